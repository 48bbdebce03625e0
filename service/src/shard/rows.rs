//! The rows of one queue as a turn sees them: what the store holds, and over it what this turn has
//! written so far.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::engine::command::{Answer, Due, Need};
use crate::model::fifo::Seq;
use crate::model::queue::{Generation, Slot};
use crate::model::rows::{Lane, MessageRow, Place, RowKey, Write};
use crate::model::time::Timestamp;
use crate::store::codec::{decode, decode_receive, encode_write};
use crate::store::keys::{
    KeyRange, ending_seq, line_range, members_range, messages_range, parse_row_key, row_key,
    timers_range,
};
use crate::store::{Key, Limit, Op, Space, Store, StoreError};

/// One scan returns at most so many bytes of values, beside its bound on rows.
const SCAN_BYTES_MAX: usize = 1024 * 1024;

/// Due messages of one page that may be looked up one by one: each may cost a read of the disk, for
/// which the whole shard waits.
const LOOKUPS_MAX: usize = 32;

/// Messages lie side by side when their numbers are at most so many apart on average: a scan over
/// them steps over few others, and few that are gone.
const SIDE_BY_SIDE: u64 = 8;

/// A queue's rows in a turn.
#[derive(Debug)]
pub(super) struct TurnRows {
    slot: Slot,
    generation: Generation,
    /// What this turn wrote, in order.
    writes: Vec<Write>,
    /// The last write of each key, for the first `indexed` writes. Most turns read nothing, so it
    /// is brought up to date only before a read.
    index: BTreeMap<Key, usize>,
    indexed: usize,
    /// Single rows as the store has them, loaded for the whole turn at once.
    prefetched: HashMap<Need, Option<Bytes>>,
}

impl TurnRows {
    pub(super) fn new(slot: Slot, generation: Generation) -> TurnRows {
        TurnRows {
            slot,
            generation,
            writes: Vec::new(),
            index: BTreeMap::new(),
            indexed: 0,
            prefetched: HashMap::new(),
        }
    }

    pub(super) fn push(&mut self, writes: &mut Vec<Write>) {
        self.writes.append(writes);
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether this turn remembers deduplication ids.
    pub(super) fn writes_dedup(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::Dedup(..)))
    }

    /// Adds the turn's changes to a batch and forgets the turn.
    pub(super) fn finish(&mut self, ops: &mut Vec<Op>) {
        let (slot, generation) = (self.slot, self.generation);
        ops.extend(self.writes.iter().map(|write| encode_write(slot, generation, write)));
        self.clear();
    }

    /// Forgets the turn.
    pub(super) fn clear(&mut self) {
        self.writes.clear();
        self.index.clear();
        self.indexed = 0;
        self.prefetched.clear();
    }

    /// The key of a need that is a single row.
    pub(super) fn single(&self, need: &Need) -> Option<Key> {
        let row = match *need {
            Need::Message(place) => RowKey::Message(place),
            Need::Group(group) => RowKey::Group(group),
            Need::Dedup(key) => RowKey::Dedup(key),
            Need::Messages { .. }
            | Need::Timers { .. }
            | Need::Due { .. }
            | Need::Members { .. }
            | Need::Line { .. } => return None,
        };
        Some(row_key(self.slot, self.generation, &row))
    }

    /// Keeps what the store has for a single row.
    pub(super) fn prefetch(&mut self, need: Need, value: Option<Bytes>) {
        self.prefetched.insert(need, value);
    }

    /// What a need finds, as of the last write of this turn.
    pub(super) fn answer(&mut self, store: &dyn Store, need: Need) -> Result<Answer, StoreError> {
        self.bring_index_up_to_date();
        if let Some(key) = self.single(&need) {
            return self.answer_single(store, need, &key);
        }
        let (slot, generation) = (self.slot, self.generation);
        Ok(match need {
            Need::Messages { lane, from, rows } => {
                let range = messages_range(slot, generation, lane, from);
                let (found, more) = self.messages(store, range, rows)?;
                // A page that says there is more is never empty.
                let next = found.last().filter(|_| more).map(|(seq, _)| seq.next());
                Answer::Messages(found, next)
            }
            Need::Timers { from, rows } => {
                let range = timers_range(slot, generation, from, (Timestamp::MAX, Seq::MAX));
                let (writes, more) = self.scan(store, range, rows)?;
                let timer = |write| match write {
                    Write::Timer(due_at, seq, _) => Some((due_at, seq)),
                    _ => None,
                };
                Answer::Timers(writes.into_iter().filter_map(timer).collect(), !more)
            }
            Need::Due { from, until, rows } => {
                let range = timers_range(slot, generation, from, until);
                let (found, more) = self.due(store, range, rows)?;
                Answer::Due(found, !more)
            }
            Need::Members { group, from, rows } => {
                let range = members_range(slot, generation, group, from);
                let (writes, more) = self.scan(store, range, rows)?;
                let member = |write| match write {
                    Write::Member(_, seq) => Some(seq),
                    _ => None,
                };
                Answer::Members(writes.into_iter().filter_map(member).collect(), !more)
            }
            Need::Line { from, before, rows } => {
                let range = line_range(slot, generation, from, before);
                let (writes, more) = self.scan(store, range, rows)?;
                let place = |write| match write {
                    Write::Line(place, group) => Some((place, group)),
                    _ => None,
                };
                Answer::Line(writes.into_iter().filter_map(place).collect(), !more)
            }
            Need::Message(_) | Need::Group(_) | Need::Dedup(_) => {
                unreachable!("single rows are answered above")
            }
        })
    }

    /// Messages of a range in order, and whether there may be more behind the last one. Empty only
    /// when the range is.
    fn messages(
        &self,
        store: &dyn Store,
        range: KeyRange,
        rows: usize,
    ) -> Result<(Vec<(Seq, MessageRow)>, bool), StoreError> {
        if self.index.range(&range.from..&range.to).next().is_some() {
            let (writes, more) = self.scan(store, range, rows)?;
            return Ok((writes.into_iter().filter_map(message).collect(), more));
        }
        // Mostly there is nothing but what the store has.
        let KeyRange { mut from, to } = range;
        loop {
            let page = store.scan(&from, &to, Limit { rows, bytes: SCAN_BYTES_MAX })?;
            if let (true, Some(next)) = (page.rows.is_empty(), &page.next) {
                from.bytes.clone_from(next);
                continue;
            }
            let row = |(key, value): (Vec<u8>, Bytes)| Ok((ending_seq(&key)?, decode(value)?));
            let rows = page.rows.into_iter().map(row).collect::<Result<_, StoreError>>()?;
            return Ok((rows, page.next.is_some()));
        }
    }

    /// Due messages by their timers, and whether there may be more behind the last one. Empty only
    /// when the range is.
    fn due(
        &self,
        store: &dyn Store,
        range: KeyRange,
        rows: usize,
    ) -> Result<(Vec<Due>, bool), StoreError> {
        let (writes, more) = self.scan(store, range, rows)?;
        let timer = |write| match write {
            Write::Timer(due_at, seq, group) => Some((due_at, seq, group)),
            _ => None,
        };
        let timers: Vec<_> = writes.into_iter().filter_map(timer).collect();
        let seqs: Vec<Seq> = timers.iter().map(|(_, seq, _)| *seq).collect();
        let mut side_by_side = self.side_by_side(store, &seqs)?;
        let mut found = Vec::with_capacity(timers.len());
        let (mut bytes, mut lookups) = (0, 0);
        for (due_at, seq, group) in timers {
            if SCAN_BYTES_MAX <= bytes || LOOKUPS_MAX <= lookups {
                return Ok((found, true));
            }
            let row = match side_by_side.remove(&seq) {
                Some(row) => Some(row),
                None => {
                    lookups += 1;
                    self.delayed_message(store, seq)?
                }
            };
            bytes += row.as_ref().map_or(0, MessageRow::weight);
            found.push(Due { due_at, seq, group, row });
        }
        Ok((found, more))
    }

    /// Delayed messages around these, if they lie close together, as those mostly do that were sent
    /// together and so are due together. Found with one scan; it may miss some.
    fn side_by_side(
        &self,
        store: &dyn Store,
        seqs: &[Seq],
    ) -> Result<BTreeMap<Seq, MessageRow>, StoreError> {
        let Some(&first) = seqs.first() else { return Ok(BTreeMap::new()) };
        let end = Seq(first.0.saturating_add(SIDE_BY_SIDE * seqs.len() as u64));
        let close = seqs.iter().filter(|seq| (first..end).contains(seq)).count();
        // One alone is as well looked up.
        if close < 2 || close < seqs.len() / 2 {
            return Ok(BTreeMap::new());
        }
        let start = |seq| messages_range(self.slot, self.generation, Lane::Delayed, seq).from;
        let range = KeyRange { from: start(first), to: start(end) };
        let (writes, _) = self.scan(store, range, seqs.len())?;
        Ok(writes.into_iter().filter_map(message).collect())
    }

    fn delayed_message(
        &self,
        store: &dyn Store,
        seq: Seq,
    ) -> Result<Option<MessageRow>, StoreError> {
        let place = Place { lane: Lane::Delayed, seq };
        let key = row_key(self.slot, self.generation, &RowKey::Message(place));
        match self.answer_single(store, Need::Message(place), &key)? {
            Answer::Message(row) => Ok(row),
            _ => unreachable!("a message is answered with a message"),
        }
    }

    fn bring_index_up_to_date(&mut self) {
        for (position, write) in self.writes.iter().enumerate().skip(self.indexed) {
            // What is cleared nobody reads.
            if let Some(row) = row_of(write) {
                self.index.insert(row_key(self.slot, self.generation, &row), position);
            }
        }
        self.indexed = self.writes.len();
    }

    fn answer_single(
        &self,
        store: &dyn Store,
        need: Need,
        key: &Key,
    ) -> Result<Answer, StoreError> {
        if let Some(position) = self.index.get(key) {
            return Ok(match (&self.writes[*position], need) {
                (Write::Message(_, row), _) => Answer::Message(Some(row.clone())),
                (Write::Group(_, row), _) => Answer::Group(Some(*row)),
                (Write::Dedup(_, row), _) => Answer::Dedup(Some(*row)),
                (_, Need::Group(_)) => Answer::Group(None),
                (_, Need::Dedup(_)) => Answer::Dedup(None),
                _ => Answer::Message(None),
            });
        }
        let value = match self.prefetched.get(&need) {
            Some(value) => value.clone(),
            None => store.get(key)?,
        };
        Ok(match need {
            Need::Group(_) => Answer::Group(value.map(decode).transpose()?),
            Need::Dedup(_) => Answer::Dedup(value.map(decode).transpose()?),
            _ => Answer::Message(value.map(decode).transpose()?),
        })
    }

    /// Rows of a range in key order, and whether there may be more behind the last one. Empty only
    /// when the range is.
    fn scan(
        &self,
        store: &dyn Store,
        range: KeyRange,
        rows: usize,
    ) -> Result<(Vec<Write>, bool), StoreError> {
        let space = range.from.space;
        let mut found = Vec::new();
        let mut from = range.from;
        loop {
            let limit = Limit { rows, bytes: SCAN_BYTES_MAX };
            let page = store.scan(&from, &range.to, limit)?;
            let next = page.next.map(|bytes| Key { space, bytes });
            let edge = next.as_ref().unwrap_or(&range.to);
            found.reserve(page.rows.len());
            let mut stored = page.rows.into_iter().peekable();
            let mut written = self.index.range(&from..edge).peekable();
            loop {
                let (stored_key, written_key) =
                    (stored.peek().map(|(key, _)| key), written.peek().map(|(key, _)| &key.bytes));
                let take_stored = match (stored_key, written_key) {
                    (None, None) => break,
                    (Some(_), None) => true,
                    (None, Some(_)) => false,
                    (Some(stored), Some(written)) => stored < written,
                };
                if found.len() == rows {
                    return Ok((found, true));
                }
                if take_stored {
                    let Some((key, value)) = stored.next() else { break };
                    found.push(decode_row(space, &key, value)?);
                } else {
                    let Some((key, position)) = written.next() else { break };
                    // What this turn wrote hides what the store has.
                    stored.next_if(|(stored, _)| *stored == key.bytes);
                    match &self.writes[*position] {
                        Write::Remove(_) => {}
                        write => found.push(write.clone()),
                    }
                }
            }
            match next {
                None => return Ok((found, false)),
                Some(_) if !found.is_empty() => return Ok((found, true)),
                // All of this page was removed, by this turn or long ago.
                Some(next) => from = next,
            }
        }
    }
}

/// The row that a write is about, if it is one.
fn row_of(write: &Write) -> Option<RowKey> {
    Some(match *write {
        Write::Message(place, _) => RowKey::Message(place),
        Write::Receive(receive, _) => RowKey::Receive(receive),
        Write::Timer(due, seq, _) => RowKey::Timer(due, seq),
        Write::Group(group, _) => RowKey::Group(group),
        Write::Member(group, seq) => RowKey::Member(group, seq),
        Write::Line(place, _) => RowKey::Line(place),
        Write::Dedup(key, _) => RowKey::Dedup(key),
        Write::Remove(row) => row,
        Write::Clear(..) => return None,
    })
}

/// The message that a row of a scan is.
fn message(write: Write) -> Option<(Seq, MessageRow)> {
    match write {
        Write::Message(place, row) => Some((place.seq, row)),
        _ => None,
    }
}

fn decode_row(space: Space, key: &[u8], value: Bytes) -> Result<Write, StoreError> {
    let (_, _, row) = parse_row_key(space, key)?;
    Ok(match row {
        RowKey::Message(place) => Write::Message(place, decode(value)?),
        RowKey::Receive(receive) => Write::Receive(receive, decode_receive(receive, value)?),
        RowKey::Timer(due, seq) => Write::Timer(due, seq, decode(value)?),
        RowKey::Group(group) => Write::Group(group, decode(value)?),
        RowKey::Member(group, seq) => Write::Member(group, seq),
        RowKey::Line(place) => Write::Line(place, decode(value)?),
        RowKey::Dedup(key) => Write::Dedup(key, decode(value)?),
    })
}
