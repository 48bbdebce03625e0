//! Messages on their way from one queue to another. Inside a shard the move is one batch. Between
//! shards the source's batch takes the message out and writes an outbox row, and the target's batch
//! writes the message and removes that row.
//!
//! At any time one shard alone may touch an outbox row: the owner of the queue it is addressed to.
//! When that queue is gone, its shard addresses the row back to the source, and with that hands it
//! to the source's shard. What goes between shards is a hint, a row's key; losing it, or hearing it
//! twice, does no harm.
//!
//! Messages arrive in the order in which they left, as long as nobody sends more before they have:
//! where one cannot go on, nothing that comes after it goes past. Move tasks rely on it.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::core::ShardCore;
use super::map::SLOTS;
use super::request::Request;
use super::turn::{Leaving, Turn};
use crate::engine::command::{Command, Departure};
use crate::env::another_message_id;
use crate::model::queue::{QueueKey, Slot};
use crate::store::codec::{decode, encode};
use crate::store::keys::{OutboxKey, outbox_key, outbox_range, parse_outbox_key, slot_of};
use crate::store::payload::{sealed, unsealed, with_another_id};
use crate::store::values::OutboxRow;
use crate::store::{Key, Limit, Op, StoreError};

use super::handle::QueueInfo;

/// Keys one hint carries, so that a turn's work is bounded.
const HINT_KEYS_MAX: usize = 1_000;

/// Keys of failed hints that are kept; beyond it they are found again by a scan.
const KEPT_KEYS_MAX: usize = 10_000;

/// Rows one step of a scan looks at: their messages come with them.
const RESCAN_LIMIT: Limit = Limit { rows: 1_000, bytes: 4 * 1024 * 1024 };

/// How long to wait before a shard that was too busy is asked again.
const RETRY: Duration = Duration::from_millis(10);

/// What a shard knows about rows under way; the rows themselves are the truth.
#[derive(Default)]
pub(super) struct Outbox {
    /// Rows by the shard that is to look at them.
    hints: BTreeMap<usize, Vec<OutboxKey>>,
    /// Rows this turn has dealt with: the store shows them until the commit.
    dealt_with: HashSet<OutboxKey>,
    /// When to try again what did not work.
    retry_at: Option<Duration>,
    /// Rows of this shard that could not be dealt with.
    again: Vec<OutboxKey>,
    rescan: Option<Rescan>,
}

/// A scan for outbox rows.
struct Rescan {
    slots: std::vec::IntoIter<Slot>,
    from: Option<(Key, Key)>,
    /// The first scan of a start counts what it finds.
    count: bool,
}

impl Outbox {
    /// Looks for rows that an earlier process left in these slots.
    pub(super) fn after_start(slots: impl Iterator<Item = Slot>) -> Outbox {
        let slots = slots.collect::<Vec<_>>().into_iter();
        let rescan = Some(Rescan { slots, from: None, count: true });
        Outbox { rescan, retry_at: Some(Duration::ZERO), ..Outbox::default() }
    }

    /// When there is something to do without a request, on the boot clock.
    pub(super) fn due_at(&self) -> Option<Duration> {
        self.retry_at
    }

    /// Hints for the shard itself.
    pub(super) fn take_hints_of(&mut self, shard: usize) -> Option<Vec<OutboxKey>> {
        self.dealt_with.clear();
        self.hints.remove(&shard)
    }

    fn retry(&mut self, at: Duration) {
        self.retry_at = Some(self.retry_at.map_or(at, |old| old.min(at)));
    }
}

impl ShardCore {
    /// What to tell other shards after a step: `Request::Arrivals` with these keys.
    pub fn take_hints(&mut self) -> Vec<(usize, Vec<OutboxKey>)> {
        let hints = std::mem::take(&mut self.outbox.hints);
        let chunks = |(shard, keys): (usize, Vec<OutboxKey>)| {
            let chunks: Vec<_> =
                keys.chunks(HINT_KEYS_MAX).map(|keys| (shard, keys.to_vec())).collect();
            chunks
        };
        hints.into_iter().flat_map(chunks).collect()
    }

    /// A shard was too busy to be told.
    pub fn hint_again(&mut self, shard: usize, keys: Vec<OutboxKey>) {
        let kept: usize = self.outbox.hints.values().map(Vec::len).sum();
        if kept + keys.len() <= KEPT_KEYS_MAX {
            self.outbox.hints.entry(shard).or_default().extend(keys);
        } else {
            // What was kept is found with the rest, and in order.
            self.outbox.hints.remove(&shard);
            // Rows that come back to their source lie in slots of other shards: look everywhere.
            let slots = (0..SLOTS).map(|slot| Slot(slot as u8)).collect::<Vec<_>>();
            self.outbox.rescan =
                Some(Rescan { slots: slots.into_iter(), from: None, count: false });
        }
        self.outbox.retry(self.options.time.boot() + RETRY);
    }

    /// Whether a queue exists that may take dead letters of another (facts sheet, 8.2).
    pub(super) fn takes_from(&self, target: &QueueKey, source: &QueueInfo) -> bool {
        let akin = target.name.kind() == source.kind()
            && target.account == source.key.account
            && target.region == source.key.region;
        akin && match self.options.map.owner(slot_of(target)) == self.options.shard {
            true => self.names.contains_key(target),
            false => self.options.catalogue.find(target).is_some(),
        }
    }

    /// Sends the turn's departures on their way. Returns the queues of this shard that changed.
    pub(super) fn depart(&mut self, turn: &mut Turn) -> Result<Vec<usize>, StoreError> {
        let mut changed = Vec::new();
        let mut blocked: Vec<QueueKey> = Vec::new();
        for leaving in std::mem::take(&mut turn.departures) {
            let here = self.options.map.owner(slot_of(&leaving.target)) == self.options.shard;
            if here && !blocked.contains(&leaving.target) {
                let (index, mut command) = match self.names.get(&leaving.target) {
                    Some(&index) => {
                        let mut departure = leaving.departure.clone();
                        let payload = &mut departure.message.payload;
                        *payload = unsealed(std::mem::take(payload), leaving.source.cipher());
                        (index, self.accept(index, departure))
                    }
                    // It was deleted in this turn.
                    None => match self.resolve(&leaving.source.key, Some(leaving.source.id)) {
                        Some(index) => (index, Command::Restore(leaving.departure.clone())),
                        // So was the source, and its messages with it.
                        None => continue,
                    },
                };
                if self.try_perform(turn, index, &mut command)?.is_ok() {
                    changed.push(index);
                    continue;
                }
                // Nothing may overtake it.
                blocked.push(leaving.target.clone());
            }
            self.write_row(turn, leaving);
        }
        Ok(changed)
    }

    /// Deals with rows that are addressed to this shard.
    pub(super) fn arrive(
        &mut self,
        turn: &mut Turn,
        mut keys: Vec<OutboxKey>,
    ) -> Result<(), StoreError> {
        if !self.outbox.again.is_empty() {
            // What came first is tried first.
            self.outbox.again.extend(keys);
            return Ok(());
        }
        keys.retain(|key| !self.outbox.dealt_with.contains(key));
        let rows: Vec<Key> = keys.iter().map(outbox_key).collect();
        let values = match self.options.store.multi_get(&rows) {
            Ok(values) => values,
            Err(StoreError::Unavailable(_)) => {
                self.try_again(turn, keys);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut found = keys.into_iter().zip(values);
        for (key, value) in found.by_ref() {
            // Heard of it before.
            let Some(value) = value else { continue };
            let row: OutboxRow = decode(value)?;
            if self.addressee(&key, &row) == self.options.shard
                && self.outbox.dealt_with.insert(key)
                && !self.take_in(turn, key, row)?
            {
                self.outbox.dealt_with.remove(&key);
                self.try_again(turn, vec![key]);
                break;
            }
        }
        let behind: Vec<OutboxKey> = found.map(|(key, _)| key).collect();
        if !behind.is_empty() {
            self.try_again(turn, behind);
        }
        Ok(())
    }

    /// Goes on with hints and scans that did not get through.
    pub(super) fn rescan_outbox(&mut self, boot: Duration) -> Result<(), StoreError> {
        if self.outbox.retry_at.is_none_or(|at| boot < at) {
            return Ok(());
        }
        self.outbox.retry_at = None;
        let again = std::mem::take(&mut self.outbox.again);
        if !again.is_empty() {
            self.leftover.push(Request::Arrivals(again));
        }
        let Some(mut rescan) = self.outbox.rescan.take() else { return Ok(()) };
        loop {
            let (from, to) = match rescan.from.take() {
                Some(range) => range,
                None => match rescan.slots.next() {
                    None => return Ok(()),
                    Some(slot) => {
                        let range = outbox_range(slot);
                        (range.from, range.to)
                    }
                },
            };
            let page = match self.options.store.scan(&from, &to, RESCAN_LIMIT) {
                Ok(page) => page,
                Err(StoreError::Unavailable(_)) => {
                    rescan.from = Some((from, to));
                    self.outbox.rescan = Some(rescan);
                    self.outbox.retry(boot + RETRY);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let found = page.rows.len();
            for (key, value) in page.rows {
                let key = parse_outbox_key(&key)?;
                let owner = self.addressee(&key, &decode(value)?);
                self.outbox.hints.entry(owner).or_default().push(key);
            }
            if rescan.count {
                self.stats().outbox.add(found as u64);
            }
            let space = to.space;
            rescan.from = page.next.map(|bytes| (Key { space, bytes }, to));
            if found > 0 {
                self.outbox.rescan = Some(rescan);
                self.outbox.retry(boot);
                return Ok(());
            }
        }
    }

    /// Drops what has left this shard's queues and has not arrived. Only when there is no queue left
    /// anywhere that it could belong to.
    pub(super) fn drop_outbox(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        let mut ops = Vec::new();
        let mut dropped = 0;
        for slot in self.options.map.slots(self.options.shard) {
            let range = outbox_range(slot);
            let space = range.from.space;
            let mut from = range.from.clone();
            loop {
                let page = self.options.store.scan(&from, &range.to, RESCAN_LIMIT)?;
                dropped += page.rows.len() as u64;
                match page.next {
                    None if from == range.from => {
                        let delete = |(bytes, _)| Op::Delete(Key { space, bytes });
                        ops.extend(page.rows.into_iter().map(delete));
                        break;
                    }
                    // Too many to name each.
                    None => {
                        ops.push(Op::DeleteRange(range.from, range.to));
                        break;
                    }
                    Some(bytes) => from = Key { space, bytes },
                }
            }
        }
        self.stats().outbox.sub(dropped);
        turn.ops.append(&mut ops);
        Ok(())
    }

    /// Whose row it is: the shard of the queue it is addressed to.
    fn addressee(&self, key: &OutboxKey, row: &OutboxRow) -> usize {
        let target = QueueKey::parse_arn(&row.target_arn);
        self.options.map.owner(target.map_or(key.slot, |target| slot_of(&target)))
    }

    /// Takes a message in, or addresses it back; `false` when the store was too busy.
    fn take_in(
        &mut self,
        turn: &mut Turn,
        key: OutboxKey,
        mut row: OutboxRow,
    ) -> Result<bool, StoreError> {
        let target = QueueKey::parse_arn(&row.target_arn);
        let returns = row.target_arn == row.moved.source_arn;
        let index = target.as_ref().and_then(|target| match returns {
            // Deleted and created again, the source is another queue.
            true => self.resolve(target, Some(key.source)),
            false => self.resolve(target, None),
        });
        let purged_at = index
            .and_then(|index| self.queues[index].as_ref())
            .and_then(|hosted| hosted.info.purged_at);
        match index {
            // On its way it counts as there, so a purge meant it too.
            Some(_) if purged_at.is_some_and(|purged_at| row.moved.moved_at < purged_at) => {}
            Some(index) => {
                let OutboxRow { mut message, place, delivery, moved, .. } = row;
                message.payload = self.options.at_rest.take_in(message.payload);
                let departure = Departure { message, place, delivery, moved };
                let mut command = match returns {
                    true => Command::Restore(self.sealed_for(index, departure)),
                    false => self.accept(index, departure),
                };
                if self.try_perform(turn, index, &mut command)?.is_err() {
                    return Ok(false);
                }
            }
            // Nowhere to go, nowhere to return to: its queue was deleted, and it with it.
            None if returns => {}
            None => {
                row.target_arn = row.moved.source_arn.clone();
                turn.ops.push(Op::Put(outbox_key(&key), encode(&row)));
                let owner = self.addressee(&key, &row);
                self.outbox.hints.entry(owner).or_default().push(key);
                return Ok(true);
            }
        }
        turn.ops.push(Op::Delete(outbox_key(&key)));
        self.options.stats[self.options.map.owner(key.slot)].outbox.sub(1);
        Ok(true)
    }

    /// What is no dead letter is a new message to the target, with an id of its own (facts sheet,
    /// 8.5).
    fn accept(&mut self, index: usize, mut departure: Departure) -> Command {
        if !departure.moved.dead_letter {
            let payload = &mut departure.message.payload;
            *payload = with_another_id(payload, |id| another_message_id(id, &mut self.options.rng));
        }
        Command::Accept(self.sealed_for(index, departure))
    }

    /// What arrives at a queue, as that queue keeps it.
    fn sealed_for(&self, index: usize, mut departure: Departure) -> Departure {
        let queue = self.queues[index].as_ref();
        if let Some(cipher) = queue.and_then(|hosted| hosted.info.sealing()) {
            let payload = &mut departure.message.payload;
            *payload = sealed(std::mem::take(payload), Some(cipher));
        }
        departure
    }

    fn write_row(&mut self, turn: &mut Turn, leaving: Leaving) {
        let Leaving { source, target, departure } = leaving;
        let Departure { mut message, place, delivery, moved } = departure;
        message.payload = self.options.at_rest.send_off(message.payload, &source);
        let key = OutboxKey { slot: source.slot, source: source.id, number: self.fresh_id() };
        let row = OutboxRow { target_arn: target.arn(), message, place, delivery, moved };
        turn.ops.push(Op::Put(outbox_key(&key), encode(&row)));
        self.stats().outbox.add(1);
        let owner = self.options.map.owner(slot_of(&target));
        self.outbox.hints.entry(owner).or_default().push(key);
    }

    fn try_again(&mut self, turn: &Turn, keys: Vec<OutboxKey>) {
        self.outbox.again.extend(keys);
        self.outbox.retry(turn.boot + RETRY);
    }
}
