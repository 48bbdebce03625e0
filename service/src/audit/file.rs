//! A file that grows to some size and then becomes the first of the older ones: `audit.log`,
//! `audit.log.1`, `audit.log.2`. Libraries rotate by the hour, which bounds nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// The newest file, and how many older ones are kept.
pub struct RotatingFile {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    bytes_max: u64,
    older_max: u32,
}

impl RotatingFile {
    /// Goes on with the file that is there, or begins one. Nobody else may read it.
    pub fn open(path: PathBuf, bytes_max: u64, older_max: u32) -> io::Result<RotatingFile> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(RotatingFile { path, file: BufWriter::new(file), bytes, bytes_max, older_max })
    }

    /// Adds a line, which is never split over two files.
    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        // It is not there where a try before this one could not open the next, or where somebody has
        // taken it away: then nothing has to make room.
        let older = if self.path.try_exists()? { self.older_max } else { 0 };
        for n in (0..older).rev() {
            match fs::rename(self.older(n), self.older(n + 1)) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                done => done?,
            }
        }
        *self = RotatingFile::open(self.path.clone(), self.bytes_max, self.older_max)?;
        Ok(())
    }

    /// The n-th file counted from the newest, which is the zeroth.
    fn older(&self, n: u32) -> PathBuf {
        match n {
            0 => self.path.clone(),
            n => {
                let mut path = self.path.clone().into_os_string();
                path.push(format!(".{n}"));
                path.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_becomes_the_first_of_the_older_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let open = || RotatingFile::open(path.clone(), 10, 2).unwrap();
        let mut file = open();
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            file.write(line.as_bytes()).unwrap();
        }
        file.flush().unwrap();
        // A restart goes on where it was.
        let mut file = open();
        file.write(b"five and six\n").unwrap();
        file.write(b"7\n").unwrap();
        file.flush().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("audit.log"), "7\n");
        assert_eq!(read("audit.log.1"), "five and six\n");
        assert_eq!(read("audit.log.2"), "four\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn older_files_make_room_for_a_full_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut file = RotatingFile::open(path.clone(), 1, 2).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            file.write(line.as_bytes()).unwrap();
        }
        file.flush().unwrap();
        fs::rename(&path, folder.path().join("away")).unwrap();
        file.write(b"four\n").unwrap();
        file.flush().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("audit.log"), "four\n");
        assert_eq!((&*read("audit.log.1"), &*read("audit.log.2")), ("two\n", "one\n"));
    }
}
