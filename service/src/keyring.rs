//! The master keys: what everything else that is secret is sealed under. None of them is ever in the
//! store, nor in a copy of it.
//!
//! The operator gives them, in a file or in the environment, and then messages are kept encrypted
//! too. Without, the server has a key of its own, made at its first start beside the store
//! (`files.rs`), and seals with it no more than must never lie about readable.

pub mod data_key;
mod files;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use crate::cipher::{Cipher, KEY_BYTES, TRAILER_BYTES};
use crate::env::os_random;

pub use files::server_key;
pub use parse::{parse_key, parse_keys};

/// The form in which something is sealed: its first byte.
const VERSION: u8 = 1;

/// The alias that AWS itself keeps: whatever key is current.
const AWS_ALIAS: &str = "alias/aws/sqs";

/// A master key.
#[derive(Clone)]
pub struct MasterKey {
    /// What it is called: 1 to 64 letters, digits, `-`, `_` or `.`.
    id: String,
    /// What `KmsMasterKeyId` may call it beside its id, each as `alias/…`.
    aliases: BTreeSet<String>,
    /// It only opens what was sealed under it before.
    disabled: bool,
    cipher: Cipher,
}

impl MasterKey {
    /// A key without a name of its own. What it is called follows from it, so that another key has
    /// another name.
    pub fn unnamed(key: &[u8; KEY_BYTES]) -> MasterKey {
        let digest =
            Sha256::new().chain_update("stanchion master key").chain_update(key).finalize();
        let id = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        MasterKey { id, aliases: BTreeSet::new(), disabled: false, cipher: Cipher::new(key) }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// The keys that an operator gives.
#[derive(Clone, Debug)]
pub struct OperatorKeys {
    keys: BTreeMap<String, MasterKey>,
    current: String,
}

impl OperatorKeys {
    /// One key, and no other.
    pub fn single(key: MasterKey) -> OperatorKeys {
        OperatorKeys { current: key.id.clone(), keys: BTreeMap::from([(key.id.clone(), key)]) }
    }
}

/// Why something that was sealed does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It names a key that is not there.
    #[error(
        "it is sealed under the master key {0}, which is not configured: add that key to the \
         master keys"
    )]
    Missing(String),
    /// The key that it names does not open it.
    #[error(
        "the master key {0} does not open it: either {0} is not the key of that name that it was \
         sealed under, or it was changed since"
    )]
    Wrong(String),
    /// It was never sealed.
    #[error("it is not in the form of something sealed")]
    Malformed,
}

/// Why a `KmsMasterKeyId` means no key that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// There is none.
    #[error("no master key answers to it")]
    Unknown,
    /// The operator has disabled it.
    #[error("its master key is disabled")]
    Disabled,
}

/// All master keys of a server.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: BTreeMap<String, MasterKey>,
    current: String,
    seals_messages: bool,
}

impl Keyring {
    /// The operator's keys, if there are any; and the server's own, which then only opens what was
    /// sealed under it before.
    pub fn new(operator: Option<OperatorKeys>, own: Option<MasterKey>) -> Keyring {
        let seals_messages = operator.is_some();
        let own = match (&operator, own) {
            (None, None) => Some(MasterKey::unnamed(&os_random())),
            (_, own) => own,
        };
        let mut keys: BTreeMap<_, _> = own.into_iter().map(|key| (key.id.clone(), key)).collect();
        let mut current = keys.keys().next().cloned().unwrap_or_default();
        if let Some(operator) = operator {
            current = operator.current;
            keys.extend(operator.keys);
        }
        Keyring { keys, current, seals_messages }
    }

    /// A key that is gone with the process, for a server that keeps nothing.
    pub fn ephemeral() -> Keyring {
        Keyring::new(None, None)
    }

    /// Whether messages are to be kept encrypted: the operator gave keys.
    pub fn seals_messages(&self) -> bool {
        self.seals_messages
    }

    /// The id of the key that seals.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// The id of the key that a `KmsMasterKeyId` means, by which new things may be sealed: a key's id,
    /// an alias of it, or the ARN of either.
    pub fn answering_to(&self, kms_key_id: &str) -> Result<&str, NoAnswer> {
        // arn:aws:kms:region:account:key/id, or …:alias/name
        let name = match kms_key_id.strip_prefix("arn:") {
            Some(arn) => arn.splitn(5, ':').last().unwrap_or_default(),
            None => kms_key_id,
        };
        let name = name.strip_prefix("key/").unwrap_or(name);
        let mut keys = self.keys.values().filter(|_| self.seals_messages);
        match keys.find(|key| key.id == name || key.aliases.contains(name)) {
            Some(key) if key.disabled => Err(NoAnswer::Disabled),
            Some(key) => Ok(&key.id),
            None if name == AWS_ALIAS => Ok(&self.current),
            None => Err(NoAnswer::Unknown),
        }
    }

    /// Keys for a purpose that follow from the master keys, by their ids; from the current one first.
    pub fn derive(&self, purpose: &[u8; 12]) -> Vec<(&str, [u8; KEY_BYTES])> {
        let mut keys: Vec<&MasterKey> = self.keys.values().collect();
        keys.sort_by_key(|key| key.id != self.current);
        let derive = |key: &&MasterKey| key.cipher.derive_key(b'S', purpose);
        keys.iter().map(|key| (&*key.id, derive(key))).collect()
    }

    /// Seals something small under the current key. It opens only for the same purpose: a constant
    /// of who seals, with whatever the thing belongs to.
    pub fn seal(&self, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        self.seal_under(&self.current, purpose, plain)
    }

    /// Seals under the key of that id; where there is none, under the current one.
    pub fn seal_under(&self, id: &str, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let key = self.keys.get(id).unwrap_or_else(|| &self.keys[&self.current]);
        let mut sealed = vec![VERSION, key.id.len() as u8];
        sealed.extend_from_slice(key.id.as_bytes());
        let heading = [&sealed, purpose].concat();
        let text = sealed.len();
        sealed.extend_from_slice(plain);
        let trailer = key.cipher.seal(&heading, &mut sealed[text..]);
        sealed.extend_from_slice(&trailer);
        sealed
    }

    /// What [`Keyring::seal`] sealed. Names the key where one is missing or wrong.
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (id, rest) = split(sealed)?;
        let key = self.keys.get(id).ok_or_else(|| KeyError::Missing(id.into()))?;
        let (text, trailer) = rest.split_last_chunk().ok_or(KeyError::Malformed)?;
        let heading = [&sealed[..sealed.len() - rest.len()], purpose].concat();
        let mut plain = text.to_vec();
        let opened = key.cipher.open(&heading, &mut plain, trailer);
        opened.map(|()| plain).map_err(|_| KeyError::Wrong(id.into()))
    }

    /// The same sealed under the current key, for a rotation; `None` where it is already.
    pub fn rewrap(&self, purpose: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
        self.rewrap_under(&self.current, purpose, sealed)
    }

    /// The same sealed under the key of that id; `None` where it is already.
    pub fn rewrap_under(
        &self,
        id: &str,
        purpose: &[u8],
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, KeyError> {
        if split(sealed)?.0 == id {
            return Ok(None);
        }
        let plain = self.open(purpose, sealed)?;
        Ok(Some(self.seal_under(id, purpose, &plain)))
    }
}

/// The id of the key that something is sealed under, and what is behind it.
fn split(sealed: &[u8]) -> Result<(&str, &[u8]), KeyError> {
    let [VERSION, length, rest @ ..] = sealed else { return Err(KeyError::Malformed) };
    let (id, rest) = rest.split_at_checked(usize::from(*length)).ok_or(KeyError::Malformed)?;
    if rest.len() < TRAILER_BYTES {
        return Err(KeyError::Malformed);
    }
    Ok((std::str::from_utf8(id).map_err(|_| KeyError::Malformed)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(current: &str) -> Keyring {
        let file = format!(
            "current = '{current}'
             [[keys]]
             id = 'a'
             secret = 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE='
             [[keys]]
             id = 'b'
             secret = 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI='
             aliases = ['alias/orders']
             [[keys]]
             id = 'c'
             secret = 'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM='
             aliases = ['alias/retired']
             disabled = true"
        );
        Keyring::new(Some(parse_keys(&file).unwrap()), None)
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_alone() {
        let keyring = keyring("a");
        let sealed = keyring.seal(b"secret", b"hush");
        assert_eq!(keyring.open(b"secret", &sealed), Ok(b"hush".to_vec()));
        assert_eq!(keyring.open(b"Secret", &sealed), Err(KeyError::Wrong("a".into())));
        assert!(!sealed.windows(4).any(|part| part == b"hush"));
    }

    #[test]
    fn a_flipped_byte_is_refused_wherever_it_is() {
        let keyring = keyring("a");
        let sealed = keyring.seal(b"secret", b"hush");
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(keyring.open(b"secret", &flipped).is_err(), "byte {at}");
            assert!(keyring.open(b"secret", &sealed[..at]).is_err(), "cut to {at} bytes");
        }
    }

    #[test]
    fn a_key_that_is_missing_or_another_is_named() {
        let sealed = keyring("b").seal(b"secret", b"hush");
        let single = |id: &str, byte| {
            let key = MasterKey {
                id: id.into(),
                aliases: BTreeSet::new(),
                disabled: false,
                cipher: Cipher::new(&[byte; KEY_BYTES]),
            };
            Keyring::new(Some(OperatorKeys::single(key)), None)
        };
        let missing = single("a", 1).open(b"secret", &sealed).unwrap_err();
        assert_eq!(missing, KeyError::Missing("b".into()));
        assert!(missing.to_string().contains("master key b, which is not configured"));
        let wrong = single("b", 3).open(b"secret", &sealed).unwrap_err();
        assert_eq!(wrong, KeyError::Wrong("b".into()));
        assert!(wrong.to_string().contains("master key b does not open it"));
        assert_eq!(single("b", 2).open(b"secret", &sealed), Ok(b"hush".to_vec()));
    }

    #[test]
    fn a_rotation_seals_what_is_under_another_key() {
        let sealed = keyring("a").seal(b"secret", b"hush");
        let keyring = keyring("b");
        let again = keyring.rewrap(b"secret", &sealed).unwrap().unwrap();
        assert_eq!(split(&again).unwrap().0, "b");
        assert_eq!(keyring.open(b"secret", &again), Ok(b"hush".to_vec()));
        assert_eq!(keyring.rewrap(b"secret", &again), Ok(None));
        assert_eq!(keyring.rewrap(b"another", &sealed), Err(KeyError::Wrong("a".into())));
    }

    #[test]
    fn the_servers_own_key_goes_on_opening_when_the_operator_gives_others() {
        let own = MasterKey::unnamed(&[9; KEY_BYTES]);
        let alone = Keyring::new(None, Some(own.clone()));
        assert!(!alone.seals_messages());
        let sealed = alone.seal(b"secret", b"hush");
        let operator = OperatorKeys::single(MasterKey::unnamed(&[1; KEY_BYTES]));
        let both = Keyring::new(Some(operator), Some(own));
        assert!(both.seals_messages());
        assert_ne!(both.current(), alone.current());
        assert_eq!(both.open(b"secret", &sealed), Ok(b"hush".to_vec()));
    }

    #[test]
    fn keys_answer_to_their_ids_their_aliases_and_arns_of_both() {
        let keyring = keyring("a");
        for (kms_key_id, id) in [
            ("a", Ok("a")),
            ("b", Ok("b")),
            ("alias/orders", Ok("b")),
            ("arn:aws:kms:us-east-1:000000000000:key/b", Ok("b")),
            ("arn:aws:kms:us-east-1:000000000000:alias/orders", Ok("b")),
            ("alias/aws/sqs", Ok("a")),
            ("arn:aws:kms:us-east-1:000000000000:alias/aws/sqs", Ok("a")),
            ("c", Err(NoAnswer::Disabled)),
            ("arn:aws:kms:us-east-1:000000000000:alias/retired", Err(NoAnswer::Disabled)),
            ("alias/others", Err(NoAnswer::Unknown)),
            ("arn:aws:kms", Err(NoAnswer::Unknown)),
            ("", Err(NoAnswer::Unknown)),
        ] {
            assert_eq!(keyring.answering_to(kms_key_id), id, "{kms_key_id}");
        }
        let own = Keyring::ephemeral();
        assert_eq!(own.answering_to("alias/aws/sqs"), Ok(own.current()));
        assert_eq!(own.answering_to(own.current()), Err(NoAnswer::Unknown));
    }

    #[test]
    fn a_disabled_key_opens_what_it_sealed_before() {
        let before = keyring("a");
        let sealed = before.seal_under("c", b"secret", b"hush");
        assert_eq!(split(&sealed).unwrap().0, "c");
        assert_eq!(before.open(b"secret", &sealed), Ok(b"hush".to_vec()));
        let moved = before.rewrap(b"secret", &sealed).unwrap().unwrap();
        assert_eq!(split(&moved).unwrap().0, "a");
    }

    #[test]
    fn keys_follow_from_each_master_key_the_current_one_first() {
        let (a, b) = (keyring("a"), keyring("b"));
        let (of_a, of_b) = (a.derive(b"for sessions"), b.derive(b"for sessions"));
        assert_eq!([of_a[0].0, of_a[1].0, of_a[2].0], ["a", "b", "c"]);
        assert_eq!([of_b[1], of_b[0], of_b[2]], of_a[..]);
        assert_ne!(of_a[0].1, of_a[1].1);
    }

    #[test]
    fn no_key_is_shown() {
        let shown = format!("{:?}", keyring("a"));
        assert!(shown.contains("MasterKey(a)") && !shown.contains("AQEB"), "{shown}");
    }
}
