//! Row by row: what each must be by itself, and whose it is.

use bytes::Bytes;

use super::{Catalogue, Keys, Reading, Report};
use crate::keyring::Keyring;
use crate::keyring::data_key::KeyOwner;
use crate::model::digest::md5_of_body;
use crate::model::fifo::GroupHash;
use crate::model::queue::{Generation, QueueKey, Slot};
use crate::model::rows::{DedupRow, GroupRow, HintRow, MessageRow, RowKey};
use crate::model::task::MoveTask;
use crate::store::codec::{Value, decode, decode_receive};
use crate::store::keys::{
    KeyRange, StateKey, all_messages_range, parse_row_key, parse_state_key, server_key, slot_of,
    slot_range,
};
use crate::store::payload::{decode_payload, is_sealed};
use crate::store::values::{
    AccessKeyRow, DeadRow, OutboxRow, QueueRow, ServerRow, TombstoneRow, TransitKeyRow, TurnRow,
    UserRow,
};
use crate::store::{Key, Limit, Snapshot, Space, StoreError};

/// Rows one read takes.
const PAGE: Limit = Limit { rows: 1_000, bytes: 1024 * 1024 };

/// The rows of a range, in order. After an error there are no more.
pub(super) struct Rows<'a> {
    store: &'a dyn Snapshot,
    space: Space,
    page: std::vec::IntoIter<(Vec<u8>, Bytes)>,
    rest: Option<KeyRange>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(store: &'a dyn Snapshot, range: KeyRange) -> Rows<'a> {
        let space = range.from.space;
        Rows { store, space, page: Vec::new().into_iter(), rest: Some(range) }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<(Vec<u8>, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.page.next() {
                return Some(Ok(row));
            }
            let KeyRange { from, to } = self.rest.take()?;
            match self.store.scan(&from, &to, PAGE) {
                Err(error) => return Some(Err(error)),
                Ok(page) => {
                    self.page = page.rows.into_iter();
                    let from = page.next.map(|bytes| Key { space: self.space, bytes });
                    self.rest = from.map(|from| KeyRange { from, to });
                }
            }
        }
    }
}

/// Every row of a slot but its messages decodes and belongs to something. Answers the slot's queues.
pub(super) fn check_state(
    store: &dyn Snapshot,
    slot: Slot,
    keys: Keys<'_>,
    report: &mut Report,
) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let mut server = false;
    for row in Rows::new(store, slot_range(Space::State, slot)) {
        let Some((key, value)) = report.read(row) else { break };
        report.counts.rows += 1;
        server |= key == server_key().bytes;
        let checked = check_row(slot, &key, value, keys, &mut catalogue, report);
        report.read(checked);
    }
    if slot == Slot(0) && !server {
        report.fault(|| "the server's own record is missing".into());
    }
    catalogue
}

/// Catalogue rows come before those of queues in a slot, so that what there is is known by then.
fn check_row(
    slot: Slot,
    key: &[u8],
    value: Bytes,
    keys: Keys<'_>,
    catalogue: &mut Catalogue,
    report: &mut Report,
) -> Result<(), StoreError> {
    let (_, key) = parse_state_key(key)?;
    match key {
        StateKey::Server => decodes::<ServerRow>(value)?,
        StateKey::Turn(_) => decodes::<TurnRow>(value)?,
        StateKey::TransitKey => decodes::<TransitKeyRow>(value)?,
        StateKey::User(user) => {
            decodes::<UserRow>(value)?;
            catalogue.users.insert(user);
        }
        StateKey::AccessKey(id) => {
            let row: AccessKeyRow = decode(value)?;
            if row.owner.user().is_some_and(|user| !catalogue.users.contains(user)) {
                report.fault(|| format!("access key {id}: no such user"));
            }
        }
        StateKey::Queue(name) => {
            let row: QueueRow = decode(value)?;
            check_queue(slot, name, row, keys.keyring, catalogue, report);
        }
        StateKey::Tombstone(_) => decodes::<TombstoneRow>(value)?,
        StateKey::Dead(generation) => {
            decodes::<DeadRow>(value)?;
            catalogue.dead.push(generation);
        }
        StateKey::Outbox(key) => {
            let row: OutboxRow = decode(value)?;
            report.counts.under_way += 1;
            if QueueKey::parse_arn(&row.target_arn).is_none() {
                report.fault(|| format!("{key:?} goes to {:?}, which is no queue", row.target_arn));
            }
            check_payload(&row.message, keys.transit)?;
        }
        StateKey::Task(key) => {
            decodes::<MoveTask>(value)?;
            if !catalogue.queues.values().any(|(_, row, _)| row.id == key.source) {
                report.fault(|| format!("{key:?}: no such queue"));
            }
        }
        StateKey::Hint(generation) => {
            decodes::<HintRow>(value)?;
            check_belongs(slot, generation, catalogue, report);
        }
        StateKey::Row(generation, row) => {
            match row {
                RowKey::Receive(receive) => drop(decode_receive(receive, value)?),
                RowKey::Timer(..) => decodes::<Option<GroupHash>>(value)?,
                RowKey::Group(_) => decodes::<GroupRow>(value)?,
                RowKey::Member(..) => decodes::<()>(value)?,
                RowKey::Line(_) => decodes::<GroupHash>(value)?,
                // They outlive their queue, until their bucket is dropped.
                RowKey::Dedup(_) => return decodes::<DedupRow>(value),
                RowKey::Message(_) => {
                    return Err(StoreError::Corrupt(format!("{row:?} is in the wrong space")));
                }
            }
            check_belongs(slot, generation, catalogue, report);
        }
    }
    Ok(())
}

fn check_queue(
    slot: Slot,
    name: QueueKey,
    row: QueueRow,
    keyring: &Keyring,
    catalogue: &mut Catalogue,
    report: &mut Report,
) {
    report.counts.queues += 1;
    let owner = KeyOwner::Queue(slot, row.id);
    let reading = Reading::new(row.data_key.as_deref(), owner, keyring, &name, report);
    if slot_of(&name) != slot {
        report.fault(|| format!("{name} is in slot {}, where nobody looks for it", slot.0));
    }
    if row.settings.fifo.is_some() != name.name.as_str().ends_with(".fifo") {
        report.fault(|| format!("{name} has the settings of another type of queue"));
    }
    let entry = (name.clone(), row, reading);
    if let Some((twin, ..)) = catalogue.queues.insert(entry.1.generation, entry) {
        report.fault(|| format!("{name} and {twin} have the same rows"));
    }
}

/// Every message of a slot is that of a generation somebody knows of.
pub(super) fn check_messages_belong(
    store: &dyn Snapshot,
    slot: Slot,
    catalogue: &Catalogue,
    report: &mut Report,
) {
    let KeyRange { mut from, to } = slot_range(Space::Messages, slot);
    loop {
        let first = store.scan(&from, &to, Limit { rows: 1, bytes: 1 });
        let Some(page) = report.read(first) else { return };
        match (page.rows.first(), page.next) {
            (Some((key, _)), _) => {
                let parsed = parse_row_key(Space::Messages, key);
                let Some((_, generation, _)) = report.read(parsed) else { return };
                check_belongs(slot, generation, catalogue, report);
                from = all_messages_range(slot, generation).to;
            }
            (None, Some(next)) => from.bytes = next,
            (None, None) => return,
        }
    }
}

fn check_belongs(slot: Slot, generation: Generation, catalogue: &Catalogue, report: &mut Report) {
    if !catalogue.knows(generation) {
        let (slot, generation) = (slot.0, generation.0);
        report.fault(|| format!("rows of slot {slot}, generation {generation:#x}: no such queue"));
    }
}

/// What a sender sent reads back as it was.
pub(super) fn check_payload(message: &MessageRow, reading: &Reading) -> Result<(), StoreError> {
    let key = match reading {
        Reading::Lost if is_sealed(&message.payload) => return Ok(()),
        Reading::Lost => None,
        Reading::With(key) => key.as_ref().map(|key| &**key.cipher()),
    };
    let (id, content) = decode_payload(message.payload.clone(), key)?;
    if md5_of_body(&content.body) != content.body_md5 {
        return Err(StoreError::Corrupt(format!("the body of message {id} is not what was sent")));
    }
    Ok(())
}

fn decodes<V: Value>(value: Bytes) -> Result<(), StoreError> {
    decode::<V>(value).map(drop)
}
