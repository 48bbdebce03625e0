//! What the program does to a folder when it does not serve, and what is in a folder then.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::binary;

/// Runs `stanchiond` on a data folder until it ends.
///
/// # Panics
/// When it cannot be run.
pub fn stanchiond(data: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(binary::stanchiond());
    command.arg("--data").arg(data).args(args).output().expect("stanchiond can be run")
}

/// What it has said, on both streams.
pub fn said(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams.map(|stream| String::from_utf8_lossy(stream).into_owned()).concat()
}

/// The files in a folder, at any depth, that hold these bytes.
///
/// # Panics
/// When something in it cannot be read.
pub fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else {
            let held = fs::read(&path).expect("the file can be read");
            if held.windows(bytes.len()).any(|part| part == bytes) {
                found.push(path);
            }
        }
    }
    found
}
