//! Goes through the messages of a queue beside its shard: with what the shard says about the queue
//! at one moment, it reads the rows from the store, on another thread. It changes nothing, gives
//! nothing out, and does a bounded amount of work.
//!
//! A message has one place for ever, and a walk comes by every place once: a message that is there
//! from the first step to the last is met exactly once, whatever happens to it meanwhile.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::handle::QueueInfo;
use super::messages::{Receives, shown};
use crate::engine::view::View;
use crate::model::fifo::{GroupHash, Seq};
use crate::model::filter::{Filter, Outline};
use crate::model::message::{MessageState, PeekedMessage};
use crate::model::queue::{QueueId, QueueKind};
use crate::model::rows::{Lane, MessageRow, Place, RowKey};
use crate::store::codec::decode;
use crate::store::keys::{
    KeyRange, ending_seq, members_between, messages_between, parse_row_key, row_key,
};
use crate::store::{Key, Limit, Space, Store, StoreError};

/// Rows one read asks for.
const READ_ROWS: usize = 256;

/// Bytes of messages one read takes.
const READ_BYTES: usize = 1024 * 1024;

/// How far a walk has come: places before these are behind it. At the end of a queue it stays good:
/// what arrives later lies ahead of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    main: Seq,
    delayed: Seq,
}

impl Cursor {
    /// Everything before this number is behind it.
    pub(super) fn at(seq: Seq) -> Cursor {
        Cursor { main: seq, delayed: seq }
    }

    /// Before the first message of the main lane, and behind all others.
    pub(super) fn in_main() -> Cursor {
        Cursor { main: Seq::MIN, delayed: Seq::MAX }
    }

    /// Before the first message with a delay of its own, and behind all others.
    pub(super) fn in_delayed() -> Cursor {
        Cursor { main: Seq::MAX, delayed: Seq::MIN }
    }

    /// As clients carry it from call to call. There is nothing in it that they could misuse: a
    /// cursor says where to look, not what may be seen.
    pub(super) fn to_token(self, queue: QueueId) -> String {
        let numbers = [queue.0, self.main.0, self.delayed.0];
        let bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What [`Cursor::to_token`] wrote for the same queue; a queue deleted and created again is
    /// another one. Good over a purge: sequence numbers go on behind it.
    pub(super) fn from_token(token: &str, queue: QueueId) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == 24)?;
        let mut numbers = bytes.chunks_exact(8).map(|chunk| {
            u64::from_be_bytes(chunk.try_into().expect("a chunk of eight bytes has eight bytes"))
        });
        let (id, main, delayed) = (numbers.next()?, numbers.next()?, numbers.next()?);
        (id == queue.0).then_some(Cursor { main: Seq(main), delayed: Seq(delayed) })
    }

    /// The first number that may lie ahead.
    pub(super) fn first(&self) -> Seq {
        self.main.min(self.delayed)
    }

    fn lane(&mut self, lane: Lane) -> &mut Seq {
        match lane {
            Lane::Main => &mut self.main,
            Lane::Delayed => &mut self.delayed,
        }
    }
}

/// What to look for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    /// The filter's group, as keys have it.
    pub(super) group: Option<GroupHash>,
    /// At most so many messages.
    pub(super) max: usize,
    /// Stops after the message that reaches so many bytes.
    pub(super) bytes_max: usize,
}

/// A message that is wanted.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) peeked: PeekedMessage,
    /// Bytes of its row.
    pub(super) bytes: usize,
}

/// What a walk keeps of a message.
pub(super) trait Keep: Sized {
    /// Takes what it needs.
    fn keep(found: Found) -> Self;
    /// Bytes it holds.
    fn weight(&self) -> usize;
}

impl Keep for Found {
    fn keep(found: Found) -> Found {
        found
    }

    fn weight(&self) -> usize {
        self.bytes
    }
}

/// One walk, over as many steps as it takes.
pub(super) struct Walk<K> {
    pub(super) wanted: Arc<Wanted>,
    pub(super) cursor: Cursor,
    pub(super) found: Vec<K>,
    bytes: usize,
    /// Rows it may look at, and those of them that are left.
    rows_max: usize,
    rows_left: usize,
}

impl<K: Keep> Walk<K> {
    pub(super) fn new(wanted: Arc<Wanted>, cursor: Cursor, rows_max: usize) -> Walk<K> {
        Walk { wanted, cursor, found: Vec::new(), bytes: 0, rows_max, rows_left: rows_max }
    }

    /// It has what it wants, or has done enough.
    pub(super) fn is_over(&self) -> bool {
        self.is_full() || self.rows_left == 0
    }

    /// It has as much as it wants.
    pub(super) fn is_full(&self) -> bool {
        self.wanted.max <= self.found.len() || self.wanted.bytes_max <= self.bytes
    }

    /// Time matters only to those who have looked at a good many rows: a short queue is shown as a
    /// whole, on however busy a machine.
    fn is_patient(&self) -> bool {
        self.rows_max - self.rows_left < READ_ROWS
    }

    /// Nothing that the view tells of lies ahead.
    pub(super) fn is_through(&self, view: &View) -> bool {
        view.until <= self.cursor.first()
    }

    /// Goes on as far as the view reaches, until it is over or `late` says to stop, which is not
    /// asked before a good many rows were looked at.
    pub(super) fn go_on(
        &mut self,
        store: &dyn Store,
        info: &QueueInfo,
        view: &View,
        late: &dyn Fn() -> bool,
    ) -> Result<(), StoreError> {
        for lane in [Lane::Main, Lane::Delayed] {
            let mut leg = Leg { walk: self, store, info, view, lane, late };
            leg.received()?;
            leg.unreceived()?;
        }
        Ok(())
    }
}

/// The part of a walk that lies in one lane.
struct Leg<'a, K> {
    walk: &'a mut Walk<K>,
    store: &'a dyn Store,
    info: &'a QueueInfo,
    view: &'a View,
    lane: Lane,
    late: &'a dyn Fn() -> bool,
}

impl<K: Keep> Leg<'_, K> {
    /// Before the lane's start there are only messages that the view names.
    fn received(&mut self) -> Result<(), StoreError> {
        let (view, lane) = (self.view, self.lane);
        // Where nothing else is wanted, those are all to look at.
        let end = match self.wants_unreceived() {
            true => view.start(lane).min(view.until),
            false => view.until,
        };
        while self.position() < end && self.goes_on() {
            let ahead = view.deliveries.range(self.position()..end);
            let group = self.walk.wanted.group;
            let mine = ahead.filter(|(_, delivery)| {
                delivery.row.lane == lane && (group.is_none() || delivery.row.group == group)
            });
            let seqs: Vec<Seq> = mine.map(|(seq, _)| *seq).take(self.rows_to_read()).collect();
            match seqs.is_empty() {
                true => self.move_to(end),
                false => self.look_up(&seqs)?,
            }
        }
        Ok(())
    }

    /// From the lane's start on, the rows of the lane or of the group say what there is.
    fn unreceived(&mut self) -> Result<(), StoreError> {
        let until = self.view.until;
        while self.position() < until && self.goes_on() {
            match self.indexed_group() {
                Some(group) => self.read_group(group)?,
                None => self.read_lane()?,
            }
        }
        Ok(())
    }

    /// The next messages of the lane.
    fn read_lane(&mut self) -> Result<(), StoreError> {
        let (slot, generation) = (self.info.slot, self.info.generation);
        let from = self.position().max(self.view.start(self.lane));
        let range = messages_between(slot, generation, self.lane, from, self.view.until);
        let (rows, next) = self.read(range)?;
        for (key, value) in rows {
            let (_, _, RowKey::Message(place)) = parse_row_key(Space::Messages, &key)? else {
                return Err(StoreError::Corrupt("a row among messages is none".into()));
            };
            self.look_at(place.seq, decode(value)?)?;
            self.move_to(place.seq.next());
            if self.walk.is_over() {
                return Ok(());
            }
        }
        self.move_to(next);
        Ok(())
    }

    /// The next messages of a group that is indexed: those that were never received, by their
    /// index; the others, as the view has them.
    fn read_group(&mut self, group: GroupHash) -> Result<(), StoreError> {
        let (slot, generation) = (self.info.slot, self.info.generation);
        let from = self.position();
        let range = members_between(slot, generation, group, from, self.view.until);
        let (rows, next) = self.read(range)?;
        let received = self.view.deliveries.range(from..next.max(from));
        let received = received.filter(|(_, delivery)| delivery.row.group == Some(group));
        let mut seqs: Vec<Seq> = received.map(|(seq, _)| *seq).collect();
        for (key, _) in rows {
            let (_, _, RowKey::Member(_, seq)) = parse_row_key(Space::State, &key)? else {
                return Err(StoreError::Corrupt("a row among members is none".into()));
            };
            seqs.push(seq);
        }
        seqs.sort_unstable();
        seqs.dedup();
        for seqs in seqs.chunks(READ_ROWS) {
            self.look_up(seqs)?;
            if self.walk.is_over() {
                return Ok(());
            }
        }
        self.move_to(next);
        Ok(())
    }

    /// Rows of a range, and the number at which to go on.
    fn read(&mut self, range: KeyRange) -> Result<(Vec<StoredRow>, Seq), StoreError> {
        let limit = Limit { rows: self.rows_to_read(), bytes: READ_BYTES };
        let page = self.store.scan(&range.from, &range.to, limit)?;
        // Stepping over what was deleted is work too.
        if page.rows.is_empty() {
            self.walk.rows_left = self.walk.rows_left.saturating_sub(READ_ROWS);
        }
        let next = match (page.next, page.rows.last()) {
            (None, _) => self.view.until,
            (Some(_), Some((key, _))) => ending_seq(key)?.next(),
            (Some(next), None) => ending_seq(&next)?,
        };
        Ok((page.rows, next))
    }

    /// Looks at messages of the lane by their numbers, in order.
    fn look_up(&mut self, seqs: &[Seq]) -> Result<(), StoreError> {
        let (slot, generation, lane) = (self.info.slot, self.info.generation, self.lane);
        let key = |&seq| row_key(slot, generation, &RowKey::Message(Place { lane, seq }));
        let keys: Vec<Key> = seqs.iter().map(key).collect();
        for (seq, value) in seqs.iter().zip(self.store.multi_get(&keys)?) {
            // It may have been deleted since the view was taken.
            if let Some(value) = value {
                self.look_at(*seq, decode(value)?)?;
            }
            self.move_to(seq.next());
            if self.walk.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, seq: Seq, row: MessageRow) -> Result<(), StoreError> {
        let place = Place { lane: self.lane, seq };
        let (walk, view) = (&mut *self.walk, self.view);
        walk.rows_left = walk.rows_left.saturating_sub(1);
        let delivery = view.deliveries.get(&seq).map(|delivery| delivery.row);
        let receives = delivery.map_or(0, |delivery| delivery.receive_count);
        let outline = Outline {
            state: view.state(place, &row.head),
            sent_at: row.head.sent_at,
            receive_count: row.head.earlier_receives.saturating_add(receives),
        };
        let filter = &walk.wanted.filter;
        if view.is_expired(&row.head) || !filter.admits(&outline, view.now) {
            return Ok(());
        }
        let earlier = row.head.earlier_first_received_at;
        let receives = Receives {
            receive_count: outline.receive_count,
            first_received_at: earlier.or(delivery.map(|delivery| delivery.first_received_at)),
        };
        let (state, hidden_until) = (outline.state, view.hidden_until(place, &row.head));
        let bytes = row.weight();
        let message = shown(self.info.kind(), seq, row, receives, self.info.cipher())?;
        if filter.matches(&message.id, &message.content) {
            let peeked = PeekedMessage { state, hidden_until, message };
            let kept = K::keep(Found { place, peeked, bytes });
            walk.bytes += kept.weight();
            walk.found.push(kept);
        }
        Ok(())
    }

    /// A full page needs no more rows than it has room for, unless some will not be wanted.
    fn rows_to_read(&self) -> usize {
        let walk = &self.walk;
        match walk.wanted.filter.is_open() {
            true => READ_ROWS.min(walk.wanted.max - walk.found.len()),
            false => READ_ROWS,
        }
    }

    fn goes_on(&self) -> bool {
        !self.walk.is_over() && (self.walk.is_patient() || !(self.late)())
    }

    fn wants_unreceived(&self) -> bool {
        let states = self.walk.wanted.filter.states;
        match (self.lane, self.info.kind()) {
            (Lane::Delayed, QueueKind::Fifo) => false,
            (Lane::Main, QueueKind::Standard) => states.contains(MessageState::Available),
            _ => states.contains_any([MessageState::Available, MessageState::Delayed]),
        }
    }

    /// In a FIFO queue every message that was never received stands in the index of its group.
    fn indexed_group(&self) -> Option<GroupHash> {
        self.walk.wanted.group.filter(|_| self.info.kind() == QueueKind::Fifo)
    }

    fn position(&mut self) -> Seq {
        *self.walk.cursor.lane(self.lane)
    }

    fn move_to(&mut self, seq: Seq) {
        let position = self.walk.cursor.lane(self.lane);
        *position = seq.max(*position);
    }
}

/// A row as it is stored.
type StoredRow = (Vec<u8>, bytes::Bytes);
