//! Programs that are run for messages.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::failure::Failure;

/// Fails where there is no such program, at its path or on the search path: a mistake in typing is not to
/// be tried on every message until all of them are dead letters.
pub(crate) fn check(command: &[String]) -> Result<(), Failure> {
    match command.first() {
        Some(program) if !can_run(program) => {
            Err(Failure::Usage(format!("there is no program {program:?} that can be run")))
        }
        _ => Ok(()),
    }
}

fn can_run(program: &str) -> bool {
    let is_program = |path: &Path| {
        let found = path.metadata();
        found.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return is_program(Path::new(program));
    }
    // As systems search where nobody says where.
    let folders = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&folders).any(|folder| is_program(&folder.join(program)))
}
