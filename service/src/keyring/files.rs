//! Keys in files, which not everybody may use.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{MasterKey, OperatorKeys, parse_key, parse_keys};
use crate::cipher::KEY_BYTES;
use crate::env::os_random;
use crate::store::format::sync_dir;

/// The server's own key, in its data folder, beside what a checkpoint copies.
const SERVER_KEY: &str = "master.key";

/// More bytes than any file of keys has.
const FILE_BYTES_MAX: u64 = 4 << 20;

impl OperatorKeys {
    /// The keys of a file. The error names the file, and no secret.
    pub fn read(path: &Path) -> Result<OperatorKeys, String> {
        let text = read(path)?.ok_or_else(|| format!("{}: there is no such file", path.display()));
        parse_keys(&text?).map_err(|why| format!("{}: {why}", path.display()))
    }
}

/// The server's own key, from its data folder. Where there is none, and one is wanted, it is made.
pub fn server_key(data: &Path, wanted: bool) -> Result<Option<MasterKey>, String> {
    let path = data.join(SERVER_KEY);
    let key = match read(&path)? {
        Some(text) => parse_key(&text).map_err(|why| format!("{}: {why}", path.display()))?,
        None if wanted => {
            let key = os_random();
            write(data, &path, &key).map_err(|error| format!("{}: {error}", path.display()))?;
            key
        }
        None => return Ok(None),
    };
    Ok(Some(MasterKey::unnamed(&key)))
}

/// All of the file or none of it: half a key would lock everybody out at the next start.
fn write(data: &Path, path: &Path, key: &[u8; KEY_BYTES]) -> std::io::Result<()> {
    let draft = path.with_extension("key.new");
    let left = fs::remove_file(&draft);
    left.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_dir(data)
}

/// A file that not everybody may use; `None` where there is none.
fn read(path: &Path) -> Result<Option<String>, String> {
    let named = |why: String| format!("{}: {why}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(error.to_string())),
    };
    let mode = file.metadata().map_err(|error| named(error.to_string()))?.mode() & 0o777;
    if mode & 0o007 != 0 {
        let path = path.display();
        return Err(format!(
            "{path}: everybody may use it (mode {mode:03o}): `chmod 600 {path}`, please"
        ));
    }
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
    read.map(|_| Some(text)).map_err(|error| named(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::keyring::Keyring;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let data = tempfile::tempdir().unwrap();
        assert!(server_key(data.path(), false).unwrap().is_none());
        let first = server_key(data.path(), true).unwrap().unwrap();
        let mode = fs::metadata(data.path().join(SERVER_KEY)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let sealed = Keyring::new(None, Some(first)).seal(b"x", b"hush");
        let second = server_key(data.path(), true).unwrap();
        assert_eq!(Keyring::new(None, second).open(b"x", &sealed), Ok(b"hush".to_vec()));
        let names: Vec<_> = fs::read_dir(data.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "no draft is left");
    }

    #[test]
    fn a_file_that_everybody_may_use_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(SERVER_KEY);
        fs::write(&path, STANDARD.encode([1; KEY_BYTES])).unwrap();
        for mode in [0o604, 0o602, 0o666, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = server_key(data.path(), true).unwrap_err();
            assert!(error.contains(&format!("mode {mode:o}")), "{error}");
            assert!(OperatorKeys::read(&path).unwrap_err().contains("chmod 600"));
        }
        for mode in [0o400, 0o440] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(server_key(data.path(), true).unwrap().is_some());
        }
    }

    #[test]
    fn errors_name_the_file() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("keys.toml");
        assert!(
            OperatorKeys::read(&path).unwrap_err().contains("keys.toml: there is no such file")
        );
        File::options().create_new(true).write(true).mode(0o600).open(&path).unwrap();
        assert!(OperatorKeys::read(&path).unwrap_err().contains("keys.toml: line 1"));
    }
}
