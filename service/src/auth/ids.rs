//! The ids of sessions and roles.

use sha2::{Digest, Sha256};

use crate::env;
use crate::model::queue::AccountId;
use crate::model::user::iam_id;

/// How the access keys of sessions begin.
pub const SESSION_KEY_PREFIX: &str = "ASIA";

/// A new access key id of a session: 20 characters.
pub fn session_key_id() -> String {
    iam_id(SESSION_KEY_PREFIX, &env::os_random::<16>())
}

/// The id of a role: 21 characters, the same on every node and after every start.
pub fn role_id(account: &AccountId, name: &str) -> String {
    let digest = Sha256::digest(["role", account.as_str(), name].join("/"));
    iam_id("AROA", &digest[..17])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_aws() {
        let (first, second) = (session_key_id(), session_key_id());
        assert_eq!((first.len(), &first[..4]), (20, "ASIA"));
        assert_ne!(first, second);
        let account = |text| AccountId::parse(text).unwrap();
        let id = role_id(&account("000000000000"), "orders");
        assert_eq!((id.len(), &id[..4]), (21, "AROA"));
        assert_eq!(id, role_id(&account("000000000000"), "orders"));
        assert_ne!(id, role_id(&account("000000000001"), "orders"));
        assert_ne!(id, role_id(&account("000000000000"), "order"));
    }
}
