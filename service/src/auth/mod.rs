//! Who makes a request, and by what right.

pub mod credentials;
pub mod root;
pub mod signature;
pub mod stored;
