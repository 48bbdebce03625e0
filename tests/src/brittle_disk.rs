//! A disk whose syncs fail when told to: a small library that stands between a server and libc.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// As long as the file `BROKEN` does not exist, `fsync` and `fdatasync` are those of the kernel.
const LIBRARY: &str = r#"
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static int sync_with(long call, int file) {
    if (access(BROKEN, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return syscall(call, file);
}

int fsync(int file) { return sync_with(SYS_fsync, file); }
int fdatasync(int file) { return sync_with(SYS_fdatasync, file); }
"#;

/// The library, and the file that makes syncs fail.
#[derive(Debug)]
pub struct BrittleDisk {
    folder: TempDir,
}

impl BrittleDisk {
    /// A disk that works so far.
    ///
    /// # Panics
    /// Without a C compiler; but there is one, because RocksDB was compiled.
    pub fn new() -> BrittleDisk {
        let disk = BrittleDisk { folder: TempDir::new().expect("a scratch folder can be made") };
        let source = disk.path().join("syncs.c");
        fs::write(&source, LIBRARY).expect("a scratch file can be written");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(disk.library())
            .arg(format!("-DBROKEN=\"{}\"", disk.broken().display()))
            .arg(&source)
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "the library compiles");
        disk
    }

    /// Has every sync fail from now on, or work again.
    pub fn fail_syncs(&self, fail: bool) {
        let done = match fail {
            true => fs::write(self.broken(), ""),
            false => fs::remove_file(self.broken()),
        };
        done.expect("a scratch file can be made and removed");
    }

    /// What the server loads.
    pub fn library(&self) -> PathBuf {
        self.path().join("syncs.so")
    }

    fn broken(&self) -> PathBuf {
        self.path().join("broken")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Default for BrittleDisk {
    fn default() -> BrittleDisk {
        BrittleDisk::new()
    }
}
