//! The store from outside: what it keeps, in which bytes, and what it makes of damage.

#[cfg(feature = "rocksdb")]
mod damage;
mod encoding;
#[cfg(feature = "rocksdb")]
mod restore;
#[cfg(feature = "rocksdb")]
mod rocks;
