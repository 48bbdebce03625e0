//! Where the programs are and where their data goes.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::process::{Launch, tail};

/// The programs of one build and a scratch folder that vanishes with this value.
#[derive(Debug)]
pub struct Place {
    /// Where the programs of this build are.
    build: PathBuf,
    server: PathBuf,
    scratch: TempDir,
}

impl Place {
    /// The programs beside the running one, unless the server is elsewhere. The scratch folder is
    /// made in `folder`, or in `bench-data` of the target folder: not in `/tmp`, which may be
    /// memory, where a sync costs nothing.
    pub fn find(server: Option<PathBuf>, folder: Option<PathBuf>) -> io::Result<Place> {
        let here = env::current_exe()?;
        let build = here.parent().ok_or(io::ErrorKind::NotFound)?;
        let folder = folder.unwrap_or_else(|| build.join("../bench-data"));
        fs::create_dir_all(&folder)?;
        Ok(Place {
            server: server.unwrap_or_else(|| build.join("stanchiond")),
            build: build.to_owned(),
            scratch: tempfile::Builder::new().prefix("run-").tempdir_in(folder)?,
        })
    }

    /// How to start `stanchiond` on the data folder of this name, with more arguments behind.
    pub fn stanchiond(&self, data: &str, more: &[&str]) -> Launch {
        Launch::stanchiond(&self.server, &self.data(data), more)
    }

    /// How to start a floor (`null` or `log`).
    pub fn floor(&self, kind: &str) -> Launch {
        Launch::floor(&self.program("floor"), kind, &self.data(kind))
    }

    /// Where a program of this build is.
    pub fn program(&self, name: &str) -> PathBuf {
        self.build.join(name)
    }

    /// The data folder of this name, which need not exist.
    pub fn data(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Throws a data folder away.
    pub fn discard(&self, name: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.data(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Throws away all data folders and logs; returns the last lines of the logs.
    pub fn clear(&self) -> io::Result<String> {
        let mut tails = String::new();
        for entry in fs::read_dir(self.scratch())? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                tails.push_str(&tail(&path));
                fs::remove_file(path)?;
            }
        }
        Ok(tails)
    }

    /// The folder all data folders are in.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }
}
