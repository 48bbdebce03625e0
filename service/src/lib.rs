//! Stanchion: a self-hosted queue service that speaks the Amazon SQS API.

pub mod api;
pub mod audit;
pub mod auth;
pub mod cipher;
pub mod config;
pub mod declared;
pub mod engine;
pub mod env;
pub mod error;
pub mod instance;
pub mod keyring;
pub mod limits;
pub mod metrics;
pub mod model;
pub mod shard;
pub mod store;
pub mod verify;
