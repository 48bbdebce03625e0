//! The harness of the end-to-end tests: a real `stanchiond` on a free port and a scratch folder,
//! driven with real clients. It knows nothing of the server's insides; the wire is the contract.

pub mod binary;
pub mod brittle_disk;
pub mod cli;
pub mod hostile;
pub mod http;
pub mod install;
pub mod ledger;
pub mod own;
pub mod process;
pub mod program;
pub mod relay;
pub mod sdk;
pub mod sign;
pub mod terminal;
pub mod tls;

pub use brittle_disk::BrittleDisk;
pub use process::Server;
