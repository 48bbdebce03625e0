//! Every kind of value as bytes. The first byte is the kind's version; integers are big-endian.
//! Decoding never panics: what does not read as it should is [`StoreError::Corrupt`].

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::keys::{parse_row_key, row_key};
use super::reader::Reader;
use super::values::{
    AccessKeyRow, DeadRow, OutboxRow, QueueRow, ServerRow, TombstoneRow, TransitKeyRow, TurnRow,
    UserRow,
};
use super::{Op, Space, StoreError};
use crate::model::attributes::QueueSettings;
use crate::model::fifo::{AttemptHash, GroupHash, Seq};
use crate::model::message::MessageId;
use crate::model::policy::identity_policy::IdentityPolicy;
use crate::model::queue::{AccountId, Generation, Paused, QueueId, QueueKey, Slot};
use crate::model::rows::{
    DedupRow, DeliveryRow, GroupRow, HintRow, Lane, LinePlace, MessageHead, MessageRow, Moved,
    Place, ReceiveId, ReceiveRow, RowKey, Write,
};
use crate::model::task::{MoveTask, TaskFailure, TaskStatus};
use crate::model::time::{Millis, Timestamp};
use crate::model::user::{Owner, Policies, PolicyName, UserKey, UserName};

/// A kind of value. The format of a version never changes; a new one reads the old one too.
pub trait Value: Sized {
    /// What errors call it.
    const KIND: &'static str;
    /// The version it is written in: the first byte.
    const VERSION: u8 = 1;
    /// The oldest version that can still be read.
    const OLDEST: u8 = Self::VERSION;
    /// About how many bytes `write` will add.
    fn size_hint(&self) -> usize {
        64
    }
    /// Adds everything behind the version byte.
    fn write(&self, out: &mut BytesMut);
    /// Reads what [`Value::write`] wrote, or wrote in an older version.
    fn read(reader: &mut Reader) -> Result<Self, StoreError>;
}

/// A value as it is stored.
pub fn encode<V: Value>(value: &V) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + value.size_hint());
    out.put_u8(V::VERSION);
    value.write(&mut out);
    out.freeze()
}

/// A stored value as it was. Bulk (payloads, bodies) is sliced out of `bytes`, not copied.
pub fn decode<V: Value>(bytes: Bytes) -> Result<V, StoreError> {
    let mut reader = Reader::new(V::KIND, bytes)?;
    let version = reader.version();
    if !(V::OLDEST..=V::VERSION).contains(&version) {
        return Err(reader.corrupt(format_args!("version {version} is unknown")));
    }
    let value = V::read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// A row change as a change of the store.
pub fn encode_write(slot: Slot, generation: Generation, write: &Write) -> Op {
    let key = |key| row_key(slot, generation, &key);
    match write {
        Write::Message(place, row) => Op::Put(key(RowKey::Message(*place)), encode(row)),
        Write::Receive(receive, rows) => Op::Put(key(RowKey::Receive(*receive)), encode(rows)),
        Write::Timer(due, seq, group) => Op::Put(key(RowKey::Timer(*due, *seq)), encode(group)),
        Write::Group(group, row) => Op::Put(key(RowKey::Group(*group)), encode(row)),
        Write::Member(group, seq) => Op::Put(key(RowKey::Member(*group, *seq)), encode(&())),
        Write::Line(place, group) => Op::Put(key(RowKey::Line(*place)), encode(group)),
        Write::Dedup(dedup, row) => Op::Put(key(RowKey::Dedup(*dedup)), encode(row)),
        Write::Remove(row) => Op::Delete(key(*row)),
        Write::Clear(from, to) => {
            let place = |seq| RowKey::Message(Place { lane: Lane::Main, seq });
            Op::DeleteRange(key(place(*from)), key(place(*to)))
        }
    }
}

// The head has a fixed size; then `moved`, if any; the payload is the rest.
impl Value for MessageRow {
    const KIND: &'static str = "message";

    fn size_hint(&self) -> usize {
        let moved = self.moved.as_deref();
        64 + moved.map_or(0, |m| 32 + m.source_arn.len() + m.reason.len()) + self.payload.len()
    }

    fn write(&self, out: &mut BytesMut) {
        let head = &self.head;
        let flags = u8::from(head.due_at.is_some())
            | u8::from(head.group.is_some()) << 1
            | u8::from(head.earlier_first_received_at.is_some()) << 2
            | u8::from(self.moved.is_some()) << 3;
        out.put_u8(flags);
        out.put_u64(head.sent_at.0);
        out.put_u64(head.retained_from.0);
        out.put_u64(head.due_at.unwrap_or_default().0);
        out.put_u128(head.group.unwrap_or(GroupHash::UNGROUPED).0);
        out.put_u32(head.earlier_receives);
        out.put_u64(head.earlier_first_received_at.unwrap_or_default().0);
        if let Some(moved) = self.moved.as_deref() {
            put_moved(out, moved);
        }
        out.put_slice(&self.payload);
    }

    fn read(reader: &mut Reader) -> Result<MessageRow, StoreError> {
        let flags = reader.flags(0b1111)?;
        let sent_at = reader.timestamp()?;
        let retained_from = reader.timestamp()?;
        let due_at = reader.timestamp()?;
        let group = GroupHash(reader.u128()?);
        let earlier_receives = reader.u32()?;
        let earlier_first = reader.timestamp()?;
        let head = MessageHead {
            sent_at,
            retained_from,
            due_at: (flags & 1 != 0).then_some(due_at),
            group: (flags & 2 != 0).then_some(group),
            earlier_receives,
            earlier_first_received_at: (flags & 4 != 0).then_some(earlier_first),
        };
        let moved = if flags & 8 == 0 { None } else { Some(Box::new(read_moved(reader)?)) };
        Ok(MessageRow { head, payload: reader.rest(), moved })
    }
}

/// What a receive has left, whichever version wrote it. The first one had a row for each message,
/// under the message's number: as good as a receive of its own.
pub fn decode_receive(receive: ReceiveId, bytes: Bytes) -> Result<ReceiveRow, StoreError> {
    match bytes.first() {
        Some(&DeliveryRow::VERSION) => Ok(vec![(Seq(receive.0), decode(bytes)?)]),
        _ => decode(bytes),
    }
}

/// A row of a range of receives: which it is, and what it has left.
pub fn read_receive(key: &[u8], value: Bytes) -> Result<(ReceiveId, ReceiveRow), StoreError> {
    match parse_row_key(Space::State, key)? {
        (_, _, RowKey::Receive(receive)) => Ok((receive, decode_receive(receive, value)?)),
        _ => Err(StoreError::Corrupt("a row among deliveries is none".into())),
    }
}

impl Value for ReceiveRow {
    const KIND: &'static str = "receive";
    const VERSION: u8 = 2;

    fn size_hint(&self) -> usize {
        1 + self.len() * (8 + DELIVERY_BYTES)
    }

    fn write(&self, out: &mut BytesMut) {
        // The deliveries are all there is: their number need not be said.
        for (seq, row) in self {
            out.put_u64(seq.0);
            row.write(out);
        }
    }

    fn read(reader: &mut Reader) -> Result<ReceiveRow, StoreError> {
        let mut rows = Vec::new();
        while !reader.is_at_end() {
            rows.push((Seq(reader.u64()?), DeliveryRow::read(reader)?));
        }
        Ok(rows)
    }
}

/// About what a delivery takes.
const DELIVERY_BYTES: usize = 48;

impl Value for DeliveryRow {
    const KIND: &'static str = "delivery";

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(self.group.is_some()) | u8::from(self.attempt.is_some()) << 1);
        out.put_u8(lane_byte(self.lane));
        out.put_u64(self.visible_at.0);
        out.put_u64(self.received_at.0);
        out.put_u32(self.receive_count);
        out.put_u64(self.first_received_at.0);
        out.put_u64(self.nonce);
        out.put_u64(self.retained_from.0);
        if let Some(group) = self.group {
            out.put_u128(group.0);
        }
        if let Some((attempt, messages)) = self.attempt {
            out.put_u64(attempt.0);
            out.put_u8(messages);
        }
    }

    fn read(reader: &mut Reader) -> Result<DeliveryRow, StoreError> {
        let flags = reader.flags(0b11)?;
        Ok(DeliveryRow {
            lane: read_lane(reader)?,
            visible_at: reader.timestamp()?,
            received_at: reader.timestamp()?,
            receive_count: reader.u32()?,
            first_received_at: reader.timestamp()?,
            nonce: reader.u64()?,
            retained_from: reader.timestamp()?,
            group: if flags & 1 == 0 { None } else { Some(GroupHash(reader.u128()?)) },
            attempt: match flags & 2 {
                0 => None,
                _ => Some((AttemptHash(reader.u64()?), reader.u8()?)),
            },
        })
    }
}

/// A timer: the group of the message, if any.
impl Value for Option<GroupHash> {
    const KIND: &'static str = "timer";

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(self.is_some().into());
        if let Some(group) = self {
            out.put_u128(group.0);
        }
    }

    fn read(reader: &mut Reader) -> Result<Option<GroupHash>, StoreError> {
        Ok(if reader.bool()? { Some(GroupHash(reader.u128()?)) } else { None })
    }
}

impl Value for GroupRow {
    const KIND: &'static str = "group";

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(self.place.is_some().into());
        out.put_u64(self.fresh);
        if let Some(place) = self.place {
            out.put_u64(place.seq.0);
            out.put_u64(place.round);
        }
    }

    fn read(reader: &mut Reader) -> Result<GroupRow, StoreError> {
        let in_line = reader.bool()?;
        let fresh = reader.u64()?;
        let place = if in_line { Some(read_line_place(reader)?) } else { None };
        Ok(GroupRow { fresh, place })
    }
}

/// A member of a group: its key says it all.
impl Value for () {
    const KIND: &'static str = "member";

    fn size_hint(&self) -> usize {
        0
    }

    fn write(&self, _: &mut BytesMut) {}

    fn read(_: &mut Reader) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A place in line: the group that stands there.
impl Value for GroupHash {
    const KIND: &'static str = "line";

    fn write(&self, out: &mut BytesMut) {
        out.put_u128(self.0);
    }

    fn read(reader: &mut Reader) -> Result<GroupHash, StoreError> {
        reader.u128().map(GroupHash)
    }
}

impl Value for DedupRow {
    const KIND: &'static str = "deduplication id";

    fn write(&self, out: &mut BytesMut) {
        out.put_slice(&self.message_id.0);
        out.put_u64(self.seq.0);
        out.put_u64(self.accepted_at.0);
    }

    fn read(reader: &mut Reader) -> Result<DedupRow, StoreError> {
        Ok(DedupRow {
            message_id: MessageId(reader.array()?),
            seq: Seq(reader.u64()?),
            accepted_at: reader.timestamp()?,
        })
    }
}

impl Value for HintRow {
    const KIND: &'static str = "hint";
    const VERSION: u8 = 2;
    const OLDEST: u8 = 1;

    fn size_hint(&self) -> usize {
        148
    }

    fn write(&self, out: &mut BytesMut) {
        let flags = u8::from(self.fair_from.is_some())
            | u8::from(self.mixed_ages) << 1
            | u8::from(self.held.is_some()) << 2;
        out.put_u8(flags);
        for number in [
            self.next_seq.0,
            self.fresh.0,
            self.low.0,
            self.fresh_count,
            self.due_count,
            self.delayed_count,
            self.due_cursor.0.0,
            self.due_cursor.1.0,
            self.timers_from.0.0,
            self.timers_from.1.0,
            self.undelayed.0,
            self.line_count,
            self.line_from.seq.0,
            self.line_from.round,
            self.round,
            self.fair_from.unwrap_or_default().0,
            self.cleared.0,
            self.held.unwrap_or_default(),
        ] {
            out.put_u64(number);
        }
    }

    fn read(reader: &mut Reader) -> Result<HintRow, StoreError> {
        let flags = reader.flags(0b111)?;
        let mut hint = HintRow {
            next_seq: Seq(reader.u64()?),
            fresh: Seq(reader.u64()?),
            cleared: Seq::MIN,
            held: None,
            low: Seq(reader.u64()?),
            fresh_count: reader.u64()?,
            due_count: reader.u64()?,
            delayed_count: reader.u64()?,
            due_cursor: (reader.timestamp()?, Seq(reader.u64()?)),
            timers_from: (reader.timestamp()?, Seq(reader.u64()?)),
            undelayed: Seq(reader.u64()?),
            line_count: reader.u64()?,
            line_from: read_line_place(reader)?,
            round: reader.u64()?,
            fair_from: Some(Seq(reader.u64()?)).filter(|_| flags & 1 != 0),
            mixed_ages: flags & 2 != 0,
        };
        if reader.version() == 1 {
            // Rows went with their messages, one by one.
            hint.cleared = hint.fresh;
        } else {
            hint.cleared = Seq(reader.u64()?);
            hint.held = Some(reader.u64()?).filter(|_| flags & 4 != 0);
        }
        Ok(hint)
    }
}

impl Value for ServerRow {
    const KIND: &'static str = "server";

    fn write(&self, out: &mut BytesMut) {
        out.put_u32(self.epoch);
        out.put_slice(&self.secret);
        out.put_u64(self.clock_offset.0);
    }

    fn read(reader: &mut Reader) -> Result<ServerRow, StoreError> {
        Ok(ServerRow {
            epoch: reader.u32()?,
            secret: reader.array()?,
            clock_offset: Millis(reader.u64()?),
        })
    }
}

impl Value for TurnRow {
    const KIND: &'static str = "turn";

    fn write(&self, out: &mut BytesMut) {
        out.put_u64(self.turn);
        out.put_u64(self.synced_up_to);
        out.put_u64(self.engine_time.0);
    }

    fn read(reader: &mut Reader) -> Result<TurnRow, StoreError> {
        Ok(TurnRow {
            turn: reader.u64()?,
            synced_up_to: reader.u64()?,
            engine_time: reader.timestamp()?,
        })
    }
}

/// A catalogue row as JSON: it is rare, has many optional parts, and people may want to read it.
#[derive(Serialize, Deserialize)]
struct QueueJson {
    id: u64,
    generation: u64,
    settings: QueueSettings,
    tags: BTreeMap<String, String>,
    created_at_ms: u64,
    modified_at_ms: u64,
    purged_at_ms: Option<u64>,
    /// Absent where nothing is paused, as in rows from before there was such a thing.
    #[serde(default, skip_serializing_if = "Paused::is_nothing")]
    paused: Paused,
    /// In base64. Absent where no message was ever encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_key: Option<String>,
}

impl Value for QueueRow {
    const KIND: &'static str = "queue";

    fn size_hint(&self) -> usize {
        1024
    }

    fn write(&self, out: &mut BytesMut) {
        let json = QueueJson {
            id: self.id.0,
            generation: self.generation.0,
            settings: self.settings.clone(),
            tags: self.tags.clone(),
            created_at_ms: self.created_at.0,
            modified_at_ms: self.modified_at.0,
            purged_at_ms: self.purged_at.map(|at| at.0),
            paused: self.paused,
            data_key: self.data_key.as_ref().map(|key| STANDARD.encode(key)),
        };
        let json = serde_json::to_vec(&json)
            .expect("plain structs with text keys and no fallible serializer always serialize");
        out.put_slice(&json);
    }

    fn read(reader: &mut Reader) -> Result<QueueRow, StoreError> {
        let json: QueueJson = serde_json::from_slice(&reader.rest())
            .map_err(|error| reader.corrupt(format_args!("{error}")))?;
        let data_key = json.data_key.map(|key| STANDARD.decode(key)).transpose();
        let data_key =
            data_key.map_err(|error| reader.corrupt(format_args!("data key: {error}")))?;
        Ok(QueueRow {
            id: QueueId(json.id),
            generation: Generation(json.generation),
            settings: json.settings,
            tags: json.tags,
            created_at: Timestamp(json.created_at_ms),
            modified_at: Timestamp(json.modified_at_ms),
            purged_at: json.purged_at_ms.map(Timestamp),
            paused: json.paused,
            data_key,
        })
    }
}

impl Value for TransitKeyRow {
    const KIND: &'static str = "transit key";

    fn size_hint(&self) -> usize {
        self.0.len()
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }

    fn read(reader: &mut Reader) -> Result<TransitKeyRow, StoreError> {
        Ok(TransitKeyRow(reader.rest().to_vec()))
    }
}

impl Value for TombstoneRow {
    const KIND: &'static str = "tombstone";

    fn write(&self, out: &mut BytesMut) {
        out.put_u64(self.deleted_at.0);
    }

    fn read(reader: &mut Reader) -> Result<TombstoneRow, StoreError> {
        reader.timestamp().map(|deleted_at| TombstoneRow { deleted_at })
    }
}

impl Value for DeadRow {
    const KIND: &'static str = "dead generation";

    fn write(&self, out: &mut BytesMut) {
        out.put_u64(self.since.0);
    }

    fn read(reader: &mut Reader) -> Result<DeadRow, StoreError> {
        reader.timestamp().map(|since| DeadRow { since })
    }
}

// The message comes last, because its payload is the rest. The rows inside carry no version byte:
// theirs is that of the row they are part of.
impl Value for OutboxRow {
    const KIND: &'static str = "outbox";

    fn size_hint(&self) -> usize {
        128 + self.target_arn.len() + self.message.size_hint()
    }

    fn write(&self, out: &mut BytesMut) {
        put_text(out, &self.target_arn);
        out.put_u8(lane_byte(self.place.lane));
        out.put_u64(self.place.seq.0);
        self.delivery.write(out);
        put_moved(out, &self.moved);
        self.message.write(out);
    }

    fn read(reader: &mut Reader) -> Result<OutboxRow, StoreError> {
        let target_arn = reader.text()?;
        let place = Place { lane: read_lane(reader)?, seq: Seq(reader.u64()?) };
        let delivery = DeliveryRow::read(reader)?;
        let moved = read_moved(reader)?;
        let message = MessageRow::read(reader)?;
        Ok(OutboxRow { target_arn, message, place, delivery, moved })
    }
}

impl Value for MoveTask {
    const KIND: &'static str = "move task";

    fn size_hint(&self) -> usize {
        160
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(self.destination.is_some()) | u8::from(self.rate.is_some()) << 1);
        out.put_u8(status_byte(self.status));
        out.put_u64(self.started_at.0);
        out.put_u64(self.before.0);
        out.put_u64(self.moved);
        out.put_u64(self.to_move);
        if let Some(destination) = &self.destination {
            put_text(out, &destination.arn());
        }
        if let Some(rate) = self.rate {
            out.put_u16(rate);
        }
    }

    fn read(reader: &mut Reader) -> Result<MoveTask, StoreError> {
        let flags = reader.flags(0b11)?;
        let status = reader.u8()?;
        let status = STATUSES.iter().find(|known| status_byte(**known) == status);
        let Some(&status) = status else {
            return Err(reader.corrupt(format_args!("no such status")));
        };
        let started_at = reader.timestamp()?;
        let before = Seq(reader.u64()?);
        let (moved, to_move) = (reader.u64()?, reader.u64()?);
        let destination = match flags & 1 {
            0 => None,
            _ => match QueueKey::parse_arn(&reader.text()?) {
                None => return Err(reader.corrupt(format_args!("the destination is no ARN"))),
                destination => destination,
            },
        };
        let rate = if flags & 2 == 0 { None } else { Some(reader.u16()?) };
        Ok(MoveTask { status, destination, rate, started_at, before, moved, to_move })
    }
}

const STATUSES: [TaskStatus; 7] = [
    TaskStatus::Running,
    TaskStatus::Cancelling,
    TaskStatus::Cancelled,
    TaskStatus::Completed,
    TaskStatus::Failed(TaskFailure::NoSuchQueue),
    TaskStatus::Failed(TaskFailure::UnknownSource),
    TaskStatus::Failed(TaskFailure::TookTooLong),
];

fn status_byte(status: TaskStatus) -> u8 {
    match status {
        TaskStatus::Running => 0,
        TaskStatus::Cancelling => 1,
        TaskStatus::Cancelled => 2,
        TaskStatus::Completed => 3,
        TaskStatus::Failed(TaskFailure::NoSuchQueue) => 4,
        TaskStatus::Failed(TaskFailure::UnknownSource) => 5,
        TaskStatus::Failed(TaskFailure::TookTooLong) => 6,
    }
}

/// A user as JSON, for the reasons a queue is.
#[derive(Serialize, Deserialize)]
struct UserJson {
    id: String,
    created_at_ms: u64,
    policies: BTreeMap<String, String>,
}

impl Value for UserRow {
    const KIND: &'static str = "user";

    fn size_hint(&self) -> usize {
        512
    }

    fn write(&self, out: &mut BytesMut) {
        let texts = self.policies.iter();
        let json = UserJson {
            id: self.id.clone(),
            created_at_ms: self.created_at.0,
            policies: texts.map(|(name, one)| (name.as_str().into(), one.text().into())).collect(),
        };
        let json = serde_json::to_vec(&json)
            .expect("plain structs with text keys and no fallible serializer always serialize");
        out.put_slice(&json);
    }

    fn read(reader: &mut Reader) -> Result<UserRow, StoreError> {
        let json: UserJson = serde_json::from_slice(&reader.rest())
            .map_err(|error| reader.corrupt(format_args!("{error}")))?;
        let policy = |(name, text): (String, String)| {
            Some((PolicyName::parse(&name)?, IdentityPolicy::stored(&text)?))
        };
        let policies: Option<Policies> = json.policies.into_iter().map(policy).collect();
        let policies = policies.ok_or_else(|| reader.corrupt(format_args!("a policy is none")))?;
        Ok(UserRow { id: json.id, created_at: Timestamp(json.created_at_ms), policies })
    }
}

// The sealed secret is the rest.
impl Value for AccessKeyRow {
    const KIND: &'static str = "access key";

    fn size_hint(&self) -> usize {
        128 + self.sealed.len()
    }

    fn write(&self, out: &mut BytesMut) {
        let user = self.owner.user();
        let flags = u8::from(user.is_some())
            | u8::from(self.active) << 1
            | u8::from(self.last_used_at.is_some()) << 2;
        out.put_u8(flags);
        out.put_u64(self.created_at.0);
        out.put_u64(self.last_used_at.unwrap_or_default().0);
        put_text(out, self.owner.account().as_str());
        if let Some(user) = user {
            put_text(out, user.name.as_str());
        }
        out.put_slice(&self.sealed);
    }

    fn read(reader: &mut Reader) -> Result<AccessKeyRow, StoreError> {
        let flags = reader.flags(0b111)?;
        let created_at = reader.timestamp()?;
        let last_used_at = Some(reader.timestamp()?).filter(|_| flags & 4 != 0);
        let Some(account) = AccountId::parse(&reader.text()?) else {
            return Err(reader.corrupt(format_args!("its account is none")));
        };
        let owner = match flags & 1 {
            0 => Owner::Root(account),
            _ => match UserName::parse(&reader.text()?) {
                Some(name) => Owner::User(UserKey { account, name }),
                None => return Err(reader.corrupt(format_args!("its user is none"))),
            },
        };
        let (active, sealed) = (flags & 2 != 0, reader.rest());
        Ok(AccessKeyRow { owner, active, created_at, last_used_at, sealed })
    }
}

/// Two bytes of length, then the text. Every text we store is far shorter: names, ARNs, ids.
pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    let length = u16::try_from(text.len()).expect("stored texts are bounded by limits.rs");
    out.put_u16(length);
    out.put_slice(text.as_bytes());
}

fn lane_byte(lane: Lane) -> u8 {
    match lane {
        Lane::Main => 0,
        Lane::Delayed => 1,
    }
}

fn read_lane(reader: &mut Reader) -> Result<Lane, StoreError> {
    Ok(if reader.bool()? { Lane::Delayed } else { Lane::Main })
}

fn put_moved(out: &mut BytesMut, moved: &Moved) {
    let redriven = moved.redrives > 0;
    out.put_u8(u8::from(moved.dead_letter) | u8::from(redriven) << 1);
    out.put_u32(moved.receive_count);
    out.put_u64(moved.moved_at.0);
    put_text(out, &moved.source_arn);
    put_text(out, &moved.reason);
    if redriven {
        out.put_u32(moved.redrives);
    }
}

fn read_moved(reader: &mut Reader) -> Result<Moved, StoreError> {
    let flags = reader.flags(0b11)?;
    let receive_count = reader.u32()?;
    let moved_at = reader.timestamp()?;
    let (source_arn, reason) = (reader.text()?, reader.text()?);
    let redrives = if flags & 2 == 0 { 0 } else { reader.u32()? };
    let dead_letter = flags & 1 != 0;
    Ok(Moved { source_arn, dead_letter, receive_count, moved_at, reason, redrives })
}

fn read_line_place(reader: &mut Reader) -> Result<LinePlace, StoreError> {
    Ok(LinePlace { seq: Seq(reader.u64()?), round: reader.u64()? })
}
