//! Every kind of key: its bytes, its value, when it is written, when it disappears.
//!
//! All integers are big-endian and of fixed width, so byte order is number order. Everything but
//! the server's own rows starts with the slot of the queue, because a shard owns a range of slots.
//! Tag numbers are on people's disks: never change one, never use one again. A new one has its arm in
//! [`parse_state_key`] and its checks in `verify`, which calls every other tag damage.
//!
//! Space `Messages` (no tag):
//!
//! | key | value | written | disappears |
//! | --- | --- | --- | --- |
//! | slot, generation, lane, seq | [`MessageRow`] | by a send or a move | with the message; in the main lane of a standard queue later, many at once |
//!
//! Space `State`:
//!
//! | tag | key | value | written | disappears |
//! | --- | --- | --- | --- | --- |
//! | `01` | slot 0, tag | [`ServerRow`] | at every start; when virtual time moves | never |
//! | `02` | slot 0, tag, shard | [`TurnRow`] | by every commit of a shard, as its first change | never |
//! | `03` | slot 0, tag | [`TransitKeyRow`] | at the first start with master keys of the operator's, and by a rotation | never |
//! | `04` | slot 0, tag, account and name | [`UserRow`] | when a user is created or its policies change | with the user |
//! | `05` | slot 0, tag, id | [`AccessKeyRow`] | when an access key is created, changed, used or rotated | with the key |
//! | `10` | slot, tag, full name | [`QueueRow`] | by create, purge, a change of settings or tags, and a rotation | with the queue |
//! | `11` | slot, tag, full name | [`TombstoneRow`] | when a queue is deleted | when the name is used again, or after the wait |
//! | `12` | slot, tag, generation | [`DeadRow`] | by purge and queue deletion | when all of the generation's rows are gone |
//! | `13` | slot, tag, queue id, number | [`OutboxRow`] | when a message leaves for another queue | when the target holds it, or the source again |
//! | `14` | slot, tag, queue id, task | [`MoveTask`] | when a move task of the queue starts, and as it goes on | when ten newer ones are listed, or with the queue |
//! | `20` | slot, tag, generation | [`HintRow`] | once per turn that changed the queue | with the generation |
//! | `21` | slot, tag, generation, receive | [`ReceiveRow`] | by a receive; when a message it gave out is hidden anew or goes | when all of them are gone or were received again |
//! | `22` | slot, tag, generation, due, seq | the message's group, if any | by a delayed send | when the message is received or gone |
//! | `23` | slot, tag, generation, group | [`GroupRow`] | when messages of the group come and go | with its last never-received message |
//! | `24` | slot, tag, generation, group, seq | nothing | by a send with a group | at the message's first receive, or with it |
//! | `25` | slot, tag, generation, line seq, round | the group there | when a group joins the line | when it leaves or moves |
//! | `26` | slot, tag, bucket, generation, scope, id | [`DedupRow`] | by a send with a deduplication id | with its bucket, five to ten minutes later |
//!
//! Full name: `account/region/name`, as text; of a user `account/name`. The source of an outbox row is in its key (slot and
//! queue id) and in its value (the ARN in `moved`). Deduplication rows put the bucket first, so
//! that one range delete drops the bucket of all queues of a slot.
//!
//! [`MessageRow`]: crate::model::rows::MessageRow
//! [`ReceiveRow`]: crate::model::rows::ReceiveRow
//! [`GroupRow`]: crate::model::rows::GroupRow
//! [`DedupRow`]: crate::model::rows::DedupRow
//! [`HintRow`]: crate::model::rows::HintRow
//! [`MoveTask`]: crate::model::task::MoveTask
//! [`ServerRow`]: super::values::ServerRow
//! [`TurnRow`]: super::values::TurnRow
//! [`TransitKeyRow`]: super::values::TransitKeyRow
//! [`UserRow`]: super::values::UserRow
//! [`AccessKeyRow`]: super::values::AccessKeyRow
//! [`QueueRow`]: super::values::QueueRow
//! [`TombstoneRow`]: super::values::TombstoneRow
//! [`DeadRow`]: super::values::DeadRow
//! [`OutboxRow`]: super::values::OutboxRow

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::{Key, Space, StoreError};
use crate::model::fifo::{DedupHash, GroupHash, Seq};
use crate::model::queue::{AccountId, Generation, QueueId, QueueKey, QueueName, Region, Slot};
use crate::model::rows::{DedupBucket, DedupKey, Lane, LinePlace, Place, ReceiveId, RowKey};
use crate::model::task::TaskId;
use crate::model::time::Timestamp;
use crate::model::user::{UserKey, UserName};

/// The kinds of rows in the space `State`, by the second byte of their key.
mod tag {
    pub(super) const SERVER: u8 = 0x01;
    pub(super) const TURN: u8 = 0x02;
    pub(super) const TRANSIT_KEY: u8 = 0x03;
    pub(super) const USER: u8 = 0x04;
    pub(super) const ACCESS_KEY: u8 = 0x05;
    pub(super) const QUEUE: u8 = 0x10;
    pub(super) const TOMBSTONE: u8 = 0x11;
    pub(super) const DEAD: u8 = 0x12;
    pub(super) const OUTBOX: u8 = 0x13;
    pub(super) const TASK: u8 = 0x14;
    pub(super) const HINT: u8 = 0x20;
    pub(super) const DELIVERY: u8 = 0x21;
    pub(super) const TIMER: u8 = 0x22;
    pub(super) const GROUP: u8 = 0x23;
    pub(super) const MEMBER: u8 = 0x24;
    pub(super) const LINE: u8 = 0x25;
    pub(super) const DEDUP: u8 = 0x26;
}

/// All keys of one space with `from <= key < to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that is in it.
    pub from: Key,
    /// The first key that is not.
    pub to: Key,
}

/// The key of a queue's row.
pub fn row_key(slot: Slot, generation: Generation, key: &RowKey) -> Key {
    let row = |tag| Builder::state(slot, tag).u64(generation.0);
    match *key {
        RowKey::Message(Place { lane, seq }) => {
            Builder::messages(slot).u64(generation.0).u8(lane_byte(lane)).u64(seq.0).done()
        }
        RowKey::Receive(receive) => row(tag::DELIVERY).u64(receive.0).done(),
        RowKey::Timer(due, seq) => row(tag::TIMER).u64(due.0).u64(seq.0).done(),
        RowKey::Group(group) => row(tag::GROUP).u128(group.0).done(),
        RowKey::Member(group, seq) => row(tag::MEMBER).u128(group.0).u64(seq.0).done(),
        RowKey::Line(place) => row(tag::LINE).u64(place.seq.0).u64(place.round).done(),
        RowKey::Dedup(DedupKey { bucket, scope, id }) => Builder::state(slot, tag::DEDUP)
            .u64(bucket.0)
            .u64(generation.0)
            .u128(scope.0)
            .u128(id.0)
            .done(),
    }
}

/// What [`row_key`] made a key of.
pub fn parse_row_key(space: Space, key: &[u8]) -> Result<(Slot, Generation, RowKey), StoreError> {
    let mut parts = Parts { key, rest: key };
    let slot = Slot(parts.u8()?);
    if space == Space::Messages {
        let generation = Generation(parts.u64()?);
        let lane = match parts.u8()? {
            0 => Lane::Main,
            1 => Lane::Delayed,
            _ => return Err(parts.corrupt()),
        };
        let place = Place { lane, seq: Seq(parts.u64()?) };
        return parts.end((slot, generation, RowKey::Message(place)));
    }
    let tag = parts.u8()?;
    if tag == tag::DEDUP {
        let bucket = DedupBucket(parts.u64()?);
        let generation = Generation(parts.u64()?);
        let scope = GroupHash(parts.u128()?);
        let id = DedupHash(parts.u128()?);
        return parts.end((slot, generation, RowKey::Dedup(DedupKey { bucket, scope, id })));
    }
    let generation = Generation(parts.u64()?);
    let row = match tag {
        tag::DELIVERY => RowKey::Receive(ReceiveId(parts.u64()?)),
        tag::TIMER => RowKey::Timer(Timestamp(parts.u64()?), Seq(parts.u64()?)),
        tag::GROUP => RowKey::Group(GroupHash(parts.u128()?)),
        tag::MEMBER => RowKey::Member(GroupHash(parts.u128()?), Seq(parts.u64()?)),
        tag::LINE => RowKey::Line(LinePlace { seq: Seq(parts.u64()?), round: parts.u64()? }),
        _ => return Err(parts.corrupt()),
    };
    parts.end((slot, generation, row))
}

/// Message rows of a lane from a `seq` on.
pub fn messages_range(slot: Slot, generation: Generation, lane: Lane, from: Seq) -> KeyRange {
    let lane_start = Builder::messages(slot).u64(generation.0).u8(lane_byte(lane)).done();
    KeyRange {
        from: row_key(slot, generation, &RowKey::Message(Place { lane, seq: from })),
        to: end_of(lane_start),
    }
}

/// All message rows of a generation, of both lanes.
pub fn all_messages_range(slot: Slot, generation: Generation) -> KeyRange {
    under(Builder::messages(slot).u64(generation.0).done())
}

/// Message rows of a lane from a `seq` on, before another.
pub fn messages_between(
    slot: Slot,
    generation: Generation,
    lane: Lane,
    from: Seq,
    until: Seq,
) -> KeyRange {
    let key = |seq| row_key(slot, generation, &RowKey::Message(Place { lane, seq }));
    KeyRange { from: key(from), to: key(until) }
}

/// Never-received messages of a group from a `seq` on, before another.
pub fn members_between(
    slot: Slot,
    generation: Generation,
    group: GroupHash,
    from: Seq,
    until: Seq,
) -> KeyRange {
    let key = |seq| row_key(slot, generation, &RowKey::Member(group, seq));
    KeyRange { from: key(from), to: key(until) }
}

/// The sequence number that the key of a message or of a member ends in; also of a place between
/// two such keys where a scan says to go on.
pub fn ending_seq(key: &[u8]) -> Result<Seq, StoreError> {
    let seq = key.last_chunk::<8>().map(|bytes| Seq(u64::from_be_bytes(*bytes)));
    seq.ok_or_else(|| Parts { key, rest: key }.corrupt())
}

/// All delivery rows of a generation.
pub fn deliveries_range(slot: Slot, generation: Generation) -> KeyRange {
    under(Builder::state(slot, tag::DELIVERY).u64(generation.0).done())
}

/// Timers from a point on, up to and including another.
pub fn timers_range(
    slot: Slot,
    generation: Generation,
    from: (Timestamp, Seq),
    until: (Timestamp, Seq),
) -> KeyRange {
    KeyRange {
        from: row_key(slot, generation, &RowKey::Timer(from.0, from.1)),
        to: after(row_key(slot, generation, &RowKey::Timer(until.0, until.1))),
    }
}

/// Never-received messages of a group from a `seq` on.
pub fn members_range(slot: Slot, generation: Generation, group: GroupHash, from: Seq) -> KeyRange {
    KeyRange {
        from: row_key(slot, generation, &RowKey::Member(group, from)),
        to: after(row_key(slot, generation, &RowKey::Member(group, Seq::MAX))),
    }
}

/// All timers of a generation.
pub fn all_timers_range(slot: Slot, generation: Generation) -> KeyRange {
    under(Builder::state(slot, tag::TIMER).u64(generation.0).done())
}

/// All groups of a generation.
pub fn all_groups_range(slot: Slot, generation: Generation) -> KeyRange {
    under(Builder::state(slot, tag::GROUP).u64(generation.0).done())
}

/// Never-received messages of all groups of a generation.
pub fn all_members_range(slot: Slot, generation: Generation) -> KeyRange {
    under(Builder::state(slot, tag::MEMBER).u64(generation.0).done())
}

/// The whole line of a generation.
pub fn whole_line_range(slot: Slot, generation: Generation) -> KeyRange {
    under(Builder::state(slot, tag::LINE).u64(generation.0).done())
}

/// Groups from one on, before another or up to the last.
pub fn groups_range(
    slot: Slot,
    generation: Generation,
    from: GroupHash,
    until: Option<GroupHash>,
) -> KeyRange {
    let key = |group| row_key(slot, generation, &RowKey::Group(group));
    let all = Builder::state(slot, tag::GROUP).u64(generation.0).done();
    KeyRange { from: key(from), to: until.map_or_else(|| end_of(all), key) }
}

/// Groups in line from a place on, before the places of a `seq`.
pub fn line_range(slot: Slot, generation: Generation, from: LinePlace, before: Seq) -> KeyRange {
    KeyRange {
        from: row_key(slot, generation, &RowKey::Line(from)),
        to: row_key(slot, generation, &RowKey::Line(LinePlace { seq: before, round: 0 })),
    }
}

/// Deduplication rows of all queues of a slot in one bucket.
pub fn dedup_bucket_range(slot: Slot, bucket: DedupBucket) -> KeyRange {
    under(Builder::state(slot, tag::DEDUP).u64(bucket.0).done())
}

/// Deduplication rows of all queues of a slot in every bucket before this one: what has expired.
pub fn dedup_before_range(slot: Slot, bucket: DedupBucket) -> KeyRange {
    KeyRange {
        from: Builder::state(slot, tag::DEDUP).done(),
        to: Builder::state(slot, tag::DEDUP).u64(bucket.0).done(),
    }
}

/// Every row of a generation but its deduplication rows, which go with their buckets: what is left
/// to reclaim after a purge or a queue deletion. Messages first, the hint last.
pub fn generation_ranges(slot: Slot, generation: Generation) -> Vec<KeyRange> {
    let state = [tag::DELIVERY, tag::TIMER, tag::GROUP, tag::MEMBER, tag::LINE, tag::HINT];
    let messages = all_messages_range(slot, generation);
    let state = state.map(|tag| under(Builder::state(slot, tag).u64(generation.0).done()));
    std::iter::once(messages).chain(state).collect()
}

/// The hint of a generation.
pub fn hint_key(slot: Slot, generation: Generation) -> Key {
    Builder::state(slot, tag::HINT).u64(generation.0).done()
}

/// All hints of a slot.
pub fn hints_range(slot: Slot) -> KeyRange {
    under(Builder::state(slot, tag::HINT).done())
}

/// What [`hint_key`] made a key of.
pub fn parse_hint_key(key: &[u8]) -> Result<(Slot, Generation), StoreError> {
    parse_generation_key(tag::HINT, key)
}

/// Which slot a queue belongs to. On people's disks: the hash may never change.
pub fn slot_of(key: &QueueKey) -> Slot {
    let mut hasher = SipHasher13::new();
    // The full name, without writing it down.
    for part in [key.account.as_str(), "/", key.region.as_str(), "/", key.name.as_str()] {
        hasher.write(part.as_bytes());
    }
    Slot(hasher.finish() as u8)
}

/// The catalogue row of a queue.
pub fn queue_key(slot: Slot, key: &QueueKey) -> Key {
    Builder::state(slot, tag::QUEUE).bytes(full_name(key).as_bytes()).done()
}

/// All catalogue rows of a slot.
pub fn queues_range(slot: Slot) -> KeyRange {
    under(Builder::state(slot, tag::QUEUE).done())
}

/// What [`queue_key`] made a key of.
pub fn parse_queue_key(key: &[u8]) -> Result<(Slot, QueueKey), StoreError> {
    parse_name_key(tag::QUEUE, key)
}

/// The tombstone of a deleted queue's name.
pub fn tombstone_key(slot: Slot, key: &QueueKey) -> Key {
    Builder::state(slot, tag::TOMBSTONE).bytes(full_name(key).as_bytes()).done()
}

/// All tombstones of a slot.
pub fn tombstones_range(slot: Slot) -> KeyRange {
    under(Builder::state(slot, tag::TOMBSTONE).done())
}

/// What [`tombstone_key`] made a key of.
pub fn parse_tombstone_key(key: &[u8]) -> Result<(Slot, QueueKey), StoreError> {
    parse_name_key(tag::TOMBSTONE, key)
}

/// The note that a generation is to be reclaimed.
pub fn dead_key(slot: Slot, generation: Generation) -> Key {
    Builder::state(slot, tag::DEAD).u64(generation.0).done()
}

/// All generations of a slot that are to be reclaimed.
pub fn dead_range(slot: Slot) -> KeyRange {
    under(Builder::state(slot, tag::DEAD).done())
}

/// What [`dead_key`] made a key of.
pub fn parse_dead_key(key: &[u8]) -> Result<(Slot, Generation), StoreError> {
    parse_generation_key(tag::DEAD, key)
}

/// A message under way, by the slot and the id of the queue it left. Numbers are per source queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxKey {
    /// The source's slot.
    pub slot: Slot,
    /// The source. Its id, not its generation: a purge of the source does not touch what has left.
    pub source: QueueId,
    /// Unique within the source, in the order of leaving.
    pub number: u64,
}

/// The key of a message under way.
pub fn outbox_key(key: &OutboxKey) -> Key {
    Builder::state(key.slot, tag::OUTBOX).u64(key.source.0).u64(key.number).done()
}

/// Every message under way from a slot.
pub fn outbox_range(slot: Slot) -> KeyRange {
    under(Builder::state(slot, tag::OUTBOX).done())
}

/// Every message under way from one queue.
pub fn outbox_of_range(slot: Slot, source: QueueId) -> KeyRange {
    under(Builder::state(slot, tag::OUTBOX).u64(source.0).done())
}

/// Messages under way from one queue, with this number or a larger one.
pub fn outbox_from_range(key: &OutboxKey) -> KeyRange {
    KeyRange { from: outbox_key(key), ..outbox_of_range(key.slot, key.source) }
}

/// What [`outbox_key`] made a key of.
pub fn parse_outbox_key(key: &[u8]) -> Result<OutboxKey, StoreError> {
    let mut parts = Parts { key, rest: key };
    let slot = Slot(parts.u8()?);
    parts.tag(tag::OUTBOX)?;
    let source = QueueId(parts.u64()?);
    let number = parts.u64()?;
    parts.end(OutboxKey { slot, source, number })
}

/// A move task, by the slot and the id of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The source's slot.
    pub slot: Slot,
    /// The source. Created again, it is another queue, without tasks.
    pub source: QueueId,
    /// Which of its tasks.
    pub task: TaskId,
}

/// The row of a move task.
pub fn task_key(key: &TaskKey) -> Key {
    Builder::state(key.slot, tag::TASK).u64(key.source.0).u64(key.task.0).done()
}

/// All move tasks of a slot.
pub fn tasks_range(slot: Slot) -> KeyRange {
    under(Builder::state(slot, tag::TASK).done())
}

/// What [`task_key`] made a key of.
pub fn parse_task_key(key: &[u8]) -> Result<TaskKey, StoreError> {
    let mut parts = Parts { key, rest: key };
    let slot = Slot(parts.u8()?);
    parts.tag(tag::TASK)?;
    let source = QueueId(parts.u64()?);
    let task = TaskId(parts.u64()?);
    parts.end(TaskKey { slot, source, task })
}

/// The server's own record.
pub fn server_key() -> Key {
    Builder::state(Slot(0), tag::SERVER).done()
}

/// The key of messages under way.
pub fn transit_key() -> Key {
    Builder::state(Slot(0), tag::TRANSIT_KEY).done()
}

/// The turn marker of a shard. It must be the *first* change of every commit of that shard: the
/// damage check of `recovery.rs` finds it in the log by its key.
pub fn turn_key(shard: u16) -> Key {
    Builder::state(Slot(0), tag::TURN).u16(shard).done()
}

/// All turn markers; a restart with fewer shards leaves some behind.
pub fn turns_range() -> KeyRange {
    under(Builder::state(Slot(0), tag::TURN).done())
}

/// What [`turn_key`] made a key of.
pub fn parse_turn_key(key: &[u8]) -> Result<u16, StoreError> {
    let mut parts = server_row(key, tag::TURN)?;
    let shard = parts.u16()?;
    parts.end(shard)
}

/// The row of a user.
pub fn user_key(user: &UserKey) -> Key {
    let name = format!("{}/{}", user.account.as_str(), user.name.as_str());
    Builder::state(Slot(0), tag::USER).bytes(name.as_bytes()).done()
}

/// All users.
pub fn users_range() -> KeyRange {
    under(Builder::state(Slot(0), tag::USER).done())
}

/// What [`user_key`] made a key of.
pub fn parse_user_key(key: &[u8]) -> Result<UserKey, StoreError> {
    let parts = server_row(key, tag::USER)?;
    let user = std::str::from_utf8(parts.rest).ok().and_then(|text| {
        let (account, name) = text.split_once('/')?;
        Some(UserKey { account: AccountId::parse(account)?, name: UserName::parse(name)? })
    });
    user.ok_or_else(|| parts.corrupt())
}

/// The row of an access key.
pub fn access_key_key(id: &str) -> Key {
    Builder::state(Slot(0), tag::ACCESS_KEY).bytes(id.as_bytes()).done()
}

/// All access keys.
pub fn access_keys_range() -> KeyRange {
    under(Builder::state(Slot(0), tag::ACCESS_KEY).done())
}

/// What [`access_key_key`] made a key of.
pub fn parse_access_key_key(key: &[u8]) -> Result<String, StoreError> {
    let parts = server_row(key, tag::ACCESS_KEY)?;
    let legal = parts.rest.iter().all(u8::is_ascii_alphanumeric) && !parts.rest.is_empty();
    let id = std::str::from_utf8(parts.rest).ok().filter(|_| legal);
    id.map(String::from).ok_or_else(|| parts.corrupt())
}

/// A key of the space `State`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateKey {
    /// Of the [`ServerRow`](super::values::ServerRow).
    Server,
    /// Of a shard's [`TurnRow`](super::values::TurnRow).
    Turn(u16),
    /// Of the [`TransitKeyRow`](super::values::TransitKeyRow).
    TransitKey,
    /// Of a [`UserRow`](super::values::UserRow).
    User(UserKey),
    /// Of an [`AccessKeyRow`](super::values::AccessKeyRow), by its id.
    AccessKey(String),
    /// Of a [`QueueRow`](super::values::QueueRow).
    Queue(QueueKey),
    /// Of a [`TombstoneRow`](super::values::TombstoneRow).
    Tombstone(QueueKey),
    /// Of a [`DeadRow`](super::values::DeadRow).
    Dead(Generation),
    /// Of an [`OutboxRow`](super::values::OutboxRow).
    Outbox(OutboxKey),
    /// Of a [`MoveTask`](crate::model::task::MoveTask).
    Task(TaskKey),
    /// Of a [`HintRow`](crate::model::rows::HintRow).
    Hint(Generation),
    /// Of one of a queue's own rows.
    Row(Generation, RowKey),
}

/// Whatever key of the space `State` this is, and the slot it belongs to.
pub fn parse_state_key(key: &[u8]) -> Result<(Slot, StateKey), StoreError> {
    let mut parts = Parts { key, rest: key };
    let slot = Slot(parts.u8()?);
    let parsed = match parts.u8()? {
        tag::SERVER => parts.end(StateKey::Server)?,
        tag::TURN => StateKey::Turn(parse_turn_key(key)?),
        tag::TRANSIT_KEY => parts.end(StateKey::TransitKey)?,
        tag::USER => StateKey::User(parse_user_key(key)?),
        tag::ACCESS_KEY => StateKey::AccessKey(parse_access_key_key(key)?),
        tag::QUEUE => StateKey::Queue(parse_queue_key(key)?.1),
        tag::TOMBSTONE => StateKey::Tombstone(parse_tombstone_key(key)?.1),
        tag::DEAD => StateKey::Dead(parse_dead_key(key)?.1),
        tag::OUTBOX => StateKey::Outbox(parse_outbox_key(key)?),
        tag::TASK => StateKey::Task(parse_task_key(key)?),
        tag::HINT => StateKey::Hint(parse_hint_key(key)?.1),
        _ => {
            let (_, generation, row) = parse_row_key(Space::State, key)?;
            StateKey::Row(generation, row)
        }
    };
    Ok((slot, parsed))
}

/// Everything of one slot in a space.
pub fn slot_range(space: Space, slot: Slot) -> KeyRange {
    under(Key { space, bytes: vec![slot.0] })
}

/// Everything of a space: for `verify`, tests and a look at the disk.
pub fn space_range(space: Space) -> KeyRange {
    KeyRange { from: Key { space, bytes: Vec::new() }, to: last_of(space) }
}

/// The key right after this one.
pub fn after(mut key: Key) -> Key {
    key.bytes.push(0);
    key
}

fn lane_byte(lane: Lane) -> u8 {
    match lane {
        Lane::Main => 0,
        Lane::Delayed => 1,
    }
}

fn full_name(key: &QueueKey) -> String {
    format!("{}/{}/{}", key.account.as_str(), key.region.as_str(), key.name)
}

fn parse_name_key(tag: u8, key: &[u8]) -> Result<(Slot, QueueKey), StoreError> {
    let mut parts = Parts { key, rest: key };
    let slot = Slot(parts.u8()?);
    parts.tag(tag)?;
    let name = std::str::from_utf8(parts.rest).ok().and_then(parse_full_name);
    name.map(|name| (slot, name)).ok_or_else(|| parts.corrupt())
}

fn parse_full_name(text: &str) -> Option<QueueKey> {
    let (account, rest) = text.split_once('/')?;
    let (region, name) = rest.split_once('/')?;
    Some(QueueKey {
        account: AccountId::parse(account)?,
        region: Region::parse(region)?,
        name: QueueName::parse(name).ok()?,
    })
}

/// What is behind the tag of a row that is the server's.
fn server_row(key: &[u8], tag: u8) -> Result<Parts<'_>, StoreError> {
    let mut parts = Parts { key, rest: key };
    if parts.u8()? != 0 {
        return Err(parts.corrupt());
    }
    parts.tag(tag)?;
    Ok(parts)
}

fn parse_generation_key(tag: u8, key: &[u8]) -> Result<(Slot, Generation), StoreError> {
    let mut parts = Parts { key, rest: key };
    let slot = Slot(parts.u8()?);
    parts.tag(tag)?;
    let generation = Generation(parts.u64()?);
    parts.end((slot, generation))
}

/// All keys that start with these bytes.
fn under(prefix: Key) -> KeyRange {
    KeyRange { from: prefix.clone(), to: end_of(prefix) }
}

/// The first key after all that start with these bytes.
fn end_of(mut prefix: Key) -> Key {
    while let Some(byte) = prefix.bytes.pop() {
        if byte != u8::MAX {
            prefix.bytes.push(byte + 1);
            return prefix;
        }
    }
    last_of(prefix.space)
}

/// After every key of a space: longer than any run of `FF` that a key can start with.
fn last_of(space: Space) -> Key {
    Key { space, bytes: vec![u8::MAX; 64] }
}

/// Puts a key together.
struct Builder(Key);

impl Builder {
    fn messages(slot: Slot) -> Builder {
        // Slot, generation, lane, seq.
        let mut bytes = Vec::with_capacity(18);
        bytes.push(slot.0);
        Builder(Key { space: Space::Messages, bytes })
    }

    fn state(slot: Slot, tag: u8) -> Builder {
        // The longest fixed key, a deduplication row, has 50 bytes; most have 26 or fewer.
        let mut bytes = Vec::with_capacity(34);
        bytes.extend([slot.0, tag]);
        Builder(Key { space: Space::State, bytes })
    }

    fn bytes(mut self, bytes: &[u8]) -> Builder {
        self.0.bytes.extend_from_slice(bytes);
        self
    }

    fn u8(self, value: u8) -> Builder {
        self.bytes(&[value])
    }

    fn u16(self, value: u16) -> Builder {
        self.bytes(&value.to_be_bytes())
    }

    fn u64(self, value: u64) -> Builder {
        self.bytes(&value.to_be_bytes())
    }

    fn u128(self, value: u128) -> Builder {
        self.bytes(&value.to_be_bytes())
    }

    fn done(self) -> Key {
        self.0
    }
}

/// Takes a key apart.
struct Parts<'a> {
    key: &'a [u8],
    rest: &'a [u8],
}

impl Parts<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, StoreError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, StoreError> {
        self.take().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, StoreError> {
        self.take().map(u64::from_be_bytes)
    }

    fn u128(&mut self) -> Result<u128, StoreError> {
        self.take().map(u128::from_be_bytes)
    }

    fn tag(&mut self, tag: u8) -> Result<(), StoreError> {
        if self.u8()? == tag { Ok(()) } else { Err(self.corrupt()) }
    }

    fn end<T>(&self, parsed: T) -> Result<T, StoreError> {
        if self.rest.is_empty() { Ok(parsed) } else { Err(self.corrupt()) }
    }

    fn corrupt(&self) -> StoreError {
        StoreError::Corrupt(format!("no such key: {:02x?}", self.key))
    }
}
