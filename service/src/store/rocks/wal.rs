//! Reads RocksDB's logs without RocksDB, and without touching them: to find out what damage in them
//! means before anything is opened.
//!
//! A log is a row of blocks of 32 KiB. A block holds fragments: a masked CRC-32C, a length (u16), a
//! type (full, first, middle, last), then so many bytes; the length and all that follows in little
//! endian. A logical record is one full fragment, or first to last. In a log it is one write batch;
//! in the manifest it is one edit of the set of files.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::Bytes;

use crate::store::codec::decode;
use crate::store::keys::parse_turn_key;
use crate::store::values::TurnRow;

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;

/// What the logs of a database say, read in their order.
#[derive(Debug, Default)]
pub(super) struct LogCheck {
    /// The first place where something is wrong.
    pub(super) damage: Option<Damage>,
    /// Records behind the damage that are intact.
    pub(super) later_records: u64,
    /// What those prove: the last turn of each shard that was synced.
    pub(super) synced_up_to: BTreeMap<u16, u64>,
    /// The sequence number the next batch must have. RocksDB numbers every operation, without gaps
    /// inside a log and from one live log to the next.
    next_sequence: Option<u64>,
}

/// A place in the logs behind which they cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// The log's number.
    pub(super) log: u64,
    /// Where in it the last good record ends.
    pub(super) offset: u64,
    /// The log just ends before its last record does: what a killed process leaves behind. RocksDB
    /// copes with that.
    pub(super) torn: bool,
}

impl LogCheck {
    /// Reads the next live log.
    pub(super) fn read(&mut self, log: u64, source: impl Read) -> io::Result<()> {
        read_pieces(source, |piece| match piece {
            Piece::Record { offset, bytes } => self.record(log, offset, bytes),
            // Proof enough even if the rest is missing: the marker is the batch's first change.
            Piece::Beginning { bytes } if self.damage.is_some() => {
                self.later_batch(bytes);
            }
            Piece::Beginning { .. } => {}
            Piece::Damage { offset, torn } => self.damaged(log, offset, torn),
        })
    }

    fn damaged(&mut self, log: u64, offset: u64, torn: bool) {
        self.damage.get_or_insert(Damage { log, offset, torn });
    }

    fn record(&mut self, log: u64, offset: u64, bytes: &[u8]) {
        let Some(batch) = WriteBatch::parse(bytes) else {
            return self.damaged(log, offset, false);
        };
        let hole = self.next_sequence.is_some_and(|next| next != batch.sequence);
        if hole {
            self.damaged(log, offset, false);
        }
        if self.damage.is_some() {
            self.later_records += u64::from(self.later_batch(bytes));
            return;
        }
        // A batch at the end of all numbers is nonsense, which the next one will show.
        self.next_sequence = Some(batch.sequence.saturating_add(batch.count.into()));
    }

    /// Takes the proofs out of a batch behind the damage; `false` if it is none of this log.
    fn later_batch(&mut self, bytes: &[u8]) -> bool {
        let Some(batch) = WriteBatch::parse(bytes) else { return false };
        // Behind damage we look for records at every byte, bodies of messages included: what looks
        // like a record but is older than what was read is not one of this log.
        if self.next_sequence.is_some_and(|next| batch.sequence < next) {
            return false;
        }
        for (shard, row) in batch.turns() {
            let known = self.synced_up_to.entry(shard).or_default();
            *known = row.synced_up_to.max(*known);
        }
        true
    }
}

/// The number of the oldest log that is still needed, as a manifest says; 0 while all are. It is
/// among the first fields of an edit, so nothing behind it needs to be understood.
pub(super) fn oldest_live_log(manifest: impl Read) -> io::Result<u64> {
    const COMPARATOR: u64 = 1;
    const LOG_NUMBER: u64 = 2;
    const NEXT_FILE: u64 = 3;
    const PREVIOUS_LOG: u64 = 9;
    const OLDEST_LIVE_LOG: u64 = 10;
    const MAX_COLUMN_FAMILY: u64 = 203;
    const IGNORABLE: u64 = 1 << 13;

    let mut oldest = 0;
    read_pieces(manifest, |piece| {
        let Piece::Record { mut bytes, .. } = piece else { return };
        while let Some(tag) = varint(&mut bytes) {
            match tag {
                OLDEST_LIVE_LOG => oldest = oldest.max(varint(&mut bytes).unwrap_or(0)),
                LOG_NUMBER | NEXT_FILE | PREVIOUS_LOG | MAX_COLUMN_FAMILY => {
                    varint(&mut bytes);
                }
                COMPARATOR => {
                    slice(&mut bytes);
                }
                tag if tag & IGNORABLE != 0 => {
                    slice(&mut bytes);
                }
                _ => return,
            }
        }
    })?;
    Ok(oldest)
}

/// A part of a log.
enum Piece<'a> {
    /// A whole logical record, and where its first fragment starts.
    Record { offset: u64, bytes: &'a [u8] },
    /// The intact first fragment of a record whose rest may be missing.
    Beginning { bytes: &'a [u8] },
    /// Something that cannot be read; `offset` is where the last whole record ends.
    Damage { offset: u64, torn: bool },
}

/// Cuts a log into pieces. After damage it goes on with whatever is intact behind it.
fn read_pieces(mut source: impl Read, mut on: impl FnMut(Piece<'_>)) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut block_start = 0u64;
    // The record that is being put together, and where it starts.
    let mut record: Option<(u64, Vec<u8>)> = None;
    loop {
        let length = read_block(&mut source, &mut block)?;
        let data = &block[..length];
        let mut at = 0;
        while at < length {
            let offset = block_start + at as u64;
            let start = record.as_ref().map_or(offset, |(start, _)| *start);
            if length - at < HEADER_BYTES {
                // The end of a full block is padding; the end of the log is half a header.
                if length < BLOCK_BYTES {
                    on(Piece::Damage { offset: start, torn: true });
                    record = None;
                }
                break;
            }
            let Some((kind, payload)) = fragment(&data[at..]) else {
                on(Piece::Damage { offset: start, torn: is_torn(&data[at..], length) });
                record = None;
                match (at + 1..length).find(|&next| fragment(&data[next..]).is_some()) {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            };
            at += HEADER_BYTES + payload.len();
            match kind {
                FULL | FIRST if record.is_some() => {
                    on(Piece::Damage { offset: start, torn: false });
                    record = None;
                }
                MIDDLE | LAST if record.is_none() => {
                    on(Piece::Damage { offset, torn: false });
                    continue;
                }
                _ => {}
            }
            match kind {
                FULL => on(Piece::Record { offset, bytes: payload }),
                FIRST => {
                    on(Piece::Beginning { bytes: payload });
                    record = Some((offset, payload.to_vec()));
                }
                MIDDLE | LAST => {
                    if let Some((_, bytes)) = &mut record {
                        bytes.extend_from_slice(payload);
                    }
                    if kind == LAST
                        && let Some((offset, bytes)) = record.take()
                    {
                        on(Piece::Record { offset, bytes: &bytes });
                    }
                }
                // Not of a kind this version writes, but intact: RocksDB's business.
                _ => {}
            }
        }
        if length < BLOCK_BYTES {
            break;
        }
        block_start += BLOCK_BYTES as u64;
    }
    if let Some((offset, _)) = record {
        on(Piece::Damage { offset, torn: true });
    }
    Ok(())
}

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Fills the block as far as the log goes.
fn read_block(source: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match source.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The fragment at the start of these bytes, if it is intact: its type and its payload.
fn fragment(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    // Zero is what files that grew but were never written are full of.
    if kind == 0 || rest.len() < length {
        return None;
    }
    let payload = &rest[..length];
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
    (mask(checksum) == u32::from_le_bytes([c0, c1, c2, c3])).then_some((kind, payload))
}

/// RocksDB stores checksums masked, because a checksum over bytes that hold one is weak.
fn mask(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Whether a bad fragment looks like one whose end was never written: the log ends inside it.
fn is_torn(bytes: &[u8], block_length: usize) -> bool {
    let length = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    block_length < BLOCK_BYTES
        && (FULL..=LAST).contains(&bytes[6])
        && bytes.len() < HEADER_BYTES + length
}

/// A write batch as it stands in the log.
struct WriteBatch<'a> {
    sequence: u64,
    count: u32,
    operations: &'a [u8],
}

impl<'a> WriteBatch<'a> {
    fn parse(bytes: &'a [u8]) -> Option<WriteBatch<'a>> {
        let (sequence, rest) = bytes.split_first_chunk::<8>()?;
        let (count, operations) = rest.split_first_chunk::<4>()?;
        let sequence = u64::from_le_bytes(*sequence);
        Some(WriteBatch { sequence, count: u32::from_le_bytes(*count), operations })
    }

    /// The turn markers in it, as far as it can be read.
    fn turns(&self) -> Vec<(u16, TurnRow)> {
        let mut turns = Vec::new();
        let mut rest = self.operations;
        while let Some(put) = operation(&mut rest) {
            let Some((key, value)) = put else { continue };
            if let Ok(shard) = parse_turn_key(key)
                && let Ok(row) = decode(Bytes::copy_from_slice(value))
            {
                turns.push((shard, row));
            }
        }
        turns
    }
}

/// Takes one operation off: `Some(Some(..))` for a put, `None` where reading ends.
fn operation<'a>(rest: &mut &'a [u8]) -> Option<Option<(&'a [u8], &'a [u8])>> {
    const DELETE: u8 = 0x0;
    const PUT: u8 = 0x1;
    const LOG_DATA: u8 = 0x3;
    const FAMILY_DELETE: u8 = 0x4;
    const FAMILY_PUT: u8 = 0x5;
    const NOTHING: u8 = 0xd;
    const FAMILY_DELETE_RANGE: u8 = 0xe;
    const DELETE_RANGE: u8 = 0xf;

    let (&kind, tail) = rest.split_first()?;
    *rest = tail;
    if matches!(kind, FAMILY_DELETE | FAMILY_PUT | FAMILY_DELETE_RANGE) {
        varint(rest)?;
    }
    match kind {
        PUT | FAMILY_PUT => Some(Some((slice(rest)?, slice(rest)?))),
        DELETE | FAMILY_DELETE | LOG_DATA => slice(rest).map(|_| None),
        DELETE_RANGE | FAMILY_DELETE_RANGE => {
            slice(rest)?;
            slice(rest).map(|_| None)
        }
        NOTHING => Some(None),
        _ => None,
    }
}

/// A length, then so many bytes.
fn slice<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(rest)?).ok()?;
    let (slice, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(slice)
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A fragment of a log, intact.
    fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
        let checksum = mask(crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload));
        let length = u16::try_from(payload.len()).unwrap();
        let header = [&checksum.to_le_bytes()[..], &length.to_le_bytes(), &[kind]].concat();
        [&header, payload].concat()
    }

    /// Fragments of any type whose checksums are right, so that all that is in them is read: near
    /// any sequence number, with operations that look a little like some.
    fn fragments() -> impl Strategy<Value = Vec<u8>> {
        let sequence = prop_oneof![0..4_u64, Just(u64::MAX - 1), any::<u64>()];
        let operations = vec(prop_oneof![0..16_u8, any::<u8>()], 0..60);
        let batch =
            (sequence, any::<u32>(), operations).prop_map(|(sequence, count, operations)| {
                [&sequence.to_le_bytes()[..], &count.to_le_bytes(), &operations].concat()
            });
        let payload = prop_oneof![batch, vec(any::<u8>(), 0..20)];
        let one = (1..6_u8, payload).prop_map(|(kind, payload)| framed(kind, &payload));
        vec(one, 0..8).prop_map(|all| all.concat())
    }

    fn check(log: &[u8]) -> LogCheck {
        let mut check = LogCheck::default();
        check.read(7, log).unwrap();
        check
    }

    proptest! {
        #[test]
        fn no_log_makes_the_reader_panic(
            mut log in fragments(),
            padding in prop_oneof![Just(0), BLOCK_BYTES - 80..BLOCK_BYTES],
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            log.splice(0..0, framed(FULL, &vec![0; padding.min(BLOCK_BYTES - HEADER_BYTES)]));
            for (at, byte) in damage {
                let at = at.index(log.len());
                log[at] ^= byte;
            }
            let found = check(&log);
            prop_assert!(found.damage.is_none_or(|damage| damage.offset <= log.len() as u64));
            let _ = oldest_live_log(&*log);
        }
    }

    #[test]
    fn batches_that_follow_each_other_are_no_damage_and_a_gap_is() {
        let batch = |sequence: u64| {
            framed(FULL, &[&sequence.to_le_bytes()[..], &2_u32.to_le_bytes()].concat())
        };
        assert_eq!(check(&[batch(5), batch(7), batch(9)].concat()).damage, None);
        let gap = check(&[batch(5), batch(9)].concat()).damage;
        assert_eq!(gap, Some(Damage { log: 7, offset: 19, torn: false }));
        let last = [batch(u64::MAX), batch(u64::MAX)].concat();
        assert_eq!(check(&last).damage, None, "and no overflow");
    }
}
