//! Who makes a request, and by what right.

pub mod claims;
pub mod credentials;
pub mod root;
pub mod signature;
pub mod fetch;
pub mod fresh_keys;
pub mod ids;
pub mod jwks;
pub mod oidc;
pub mod roles;
pub mod session_token;
pub mod sessions;
#[cfg(test)]
pub(crate) mod test_keys;
