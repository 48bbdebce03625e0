//! What keeps messages and secrets unreadable on the disk.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::keyring::{Keyring, MasterKey, OperatorKeys, parse_key, server_key};

/// The environment variable with the only master key. There is no flag: a command line is for all to
/// read.
const MASTER_KEY: &str = "STANCHION_MASTER_KEY";

/// The master keys.
#[derive(Clone, Debug, Default, Args)]
pub struct AtRest {
    /// Keeps messages encrypted, with the master keys of this TOML file, which not everybody may be
    /// able to read. A single key may be given as STANCHION_MASTER_KEY instead: 32 bytes in base64
    #[arg(long, value_name = "FILE", global = true)]
    pub master_keys_file: Option<PathBuf>,

    /// The key in the environment
    #[arg(skip)]
    pub master_key: Option<MasterKey>,
}

impl AtRest {
    /// Takes the key in the environment, if there is one. The error says what is wrong.
    pub(super) fn take_key(&mut self, env: impl Fn(&str) -> Option<String>) -> Result<(), String> {
        let given = env(MASTER_KEY).filter(|text| !text.is_empty());
        let Some(text) = given else { return Ok(()) };
        if self.master_keys_file.is_some() {
            return Err(format!(
                "master_keys_file: there is also {MASTER_KEY}. One of the two, please; the file may \
                 hold several keys."
            ));
        }
        let key = parse_key(&text).map_err(|why| format!("{MASTER_KEY}: {why}"))?;
        self.master_key = Some(MasterKey::unnamed(&key));
        Ok(())
    }

    /// Whether the operator gave any.
    pub fn has_keys(&self) -> bool {
        self.master_keys_file.is_some() || self.master_key.is_some()
    }

    /// The master keys of a server that keeps its store in `data`; with `None` it keeps nothing. A
    /// server that has no key at all makes one.
    pub fn keyring(&self, data: Option<&Path>) -> Result<Keyring, String> {
        let operator = self.operator_keys()?;
        let own = data.map(|data| server_key(data, operator.is_none())).transpose()?.flatten();
        Ok(Keyring::new(operator, own))
    }

    /// The same for somebody who only looks: nothing is made.
    pub fn keyring_as_is(&self, data: &Path) -> Result<Keyring, String> {
        Ok(Keyring::new(self.operator_keys()?, server_key(data, false)?))
    }

    fn operator_keys(&self) -> Result<Option<OperatorKeys>, String> {
        let single = self.master_key.clone().map(OperatorKeys::single);
        let read = self.master_keys_file.as_deref().map(OperatorKeys::read).transpose()?;
        Ok(read.or(single))
    }
}
