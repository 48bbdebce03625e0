//! Who makes a request, and by what right.

pub mod claims;
pub mod credentials;
pub mod fetch;
pub mod fresh_keys;
pub mod ids;
pub mod jwks;
pub mod oidc;
pub mod roles;
pub mod root;
pub mod session_token;
pub mod sessions;
pub mod signature;
pub mod stored;
#[cfg(test)]
pub(crate) mod test_keys;
