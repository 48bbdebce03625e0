//! Takes stored bytes apart, and says which kind of row would not read.

use std::fmt;

use bytes::{Buf, Bytes};

use super::StoreError;
use crate::model::time::Timestamp;

/// A position in a stored value.
pub struct Reader {
    kind: &'static str,
    version: u8,
    rest: Bytes,
}

impl Reader {
    /// Behind the version of a value of this kind, which its first byte says.
    pub fn new(kind: &'static str, bytes: Bytes) -> Result<Reader, StoreError> {
        let mut reader = Reader { kind, version: 0, rest: bytes };
        reader.version = reader.u8()?;
        Ok(reader)
    }

    /// The version in which the value was written.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// So many bytes, shared with the value, not copied.
    pub fn take(&mut self, length: usize) -> Result<Bytes, StoreError> {
        if self.rest.len() < length {
            return Err(self.corrupt(format_args!("it ends too early")));
        }
        Ok(self.rest.split_to(length))
    }

    /// Everything that is left, shared with the value, not copied.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    /// A fixed number of bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let Some(array) = self.rest.first_chunk::<N>().copied() else {
            return Err(self.corrupt(format_args!("it ends too early")));
        };
        // Nothing is shared, so nothing is counted.
        self.rest.advance(N);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, StoreError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, StoreError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, StoreError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Sixteen bytes.
    pub fn u128(&mut self) -> Result<u128, StoreError> {
        self.array().map(u128::from_be_bytes)
    }

    /// Milliseconds since the Unix epoch.
    pub fn timestamp(&mut self) -> Result<Timestamp, StoreError> {
        self.u64().map(Timestamp)
    }

    /// Zero or one.
    pub fn bool(&mut self) -> Result<bool, StoreError> {
        self.flags(1).map(|flags| flags == 1)
    }

    /// A byte of which only these bits may be set.
    pub fn flags(&mut self, known: u8) -> Result<u8, StoreError> {
        match self.u8()? {
            flags if flags & !known == 0 => Ok(flags),
            flags => Err(self.corrupt(format_args!("flags {flags:#010b} are unknown"))),
        }
    }

    /// Two bytes of length, then UTF-8.
    pub fn text(&mut self) -> Result<String, StoreError> {
        let length = self.u16()?;
        // Copied at once: to share it first would cost more.
        let Some(bytes) = self.rest.get(..length.into()) else {
            return Err(self.corrupt(format_args!("it ends too early")));
        };
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => return Err(self.corrupt(format_args!("{error}"))),
        };
        self.rest.advance(length.into());
        Ok(text)
    }

    /// Everything was read.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Fails unless everything was read.
    pub fn end(&self) -> Result<(), StoreError> {
        if self.is_at_end() {
            return Ok(());
        }
        Err(self.corrupt(format_args!("{} bytes too many", self.rest.len())))
    }

    /// The error for this value.
    pub fn corrupt(&self, what: fmt::Arguments<'_>) -> StoreError {
        StoreError::Corrupt(format!("a stored {} does not read: {what}", self.kind))
    }
}
