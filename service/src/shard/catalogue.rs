//! Which queues there are: an immutable map per slot, replaced by the owning shard after the
//! commit that changed it, read by everybody without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::handle::QueueInfo;
use super::map::SLOTS;
use super::start::StartError;
use crate::keyring::Keyring;
use crate::keyring::data_key::{DataKey, KeyOwner};
use crate::model::queue::{AccountId, QueueKey, QueueName, Region, Slot};
use crate::store::keys::slot_of;
use crate::store::values::QueueRow;

type SlotMap = BTreeMap<QueueKey, Arc<QueueInfo>>;

/// All queues of the process. Each slot has one writer, its shard, so replacing a map needs no
/// coordination and costs only that slot's share of the queues.
pub struct Catalogue {
    slots: Vec<ArcSwap<SlotMap>>,
}

impl Default for Catalogue {
    fn default() -> Catalogue {
        Catalogue { slots: (0..SLOTS).map(|_| ArcSwap::default()).collect() }
    }
}

impl Catalogue {
    /// A queue by name.
    pub fn find(&self, key: &QueueKey) -> Option<Arc<QueueInfo>> {
        self.slot(slot_of(key)).load().get(key).cloned()
    }

    /// Queues of an account and region whose names start with `prefix`, in name order, after
    /// `after`, at most `max`.
    pub fn list(
        &self,
        account: &AccountId,
        region: &Region,
        prefix: &str,
        after: Option<&QueueName>,
        max: usize,
    ) -> Vec<Arc<QueueInfo>> {
        self.select(max, |info| {
            info.key.account == *account
                && info.key.region == *region
                && info.key.name.as_str().starts_with(prefix)
                && after.is_none_or(|after| info.key.name > *after)
        })
    }

    /// Queues whose redrive policy names `target`, in name order.
    pub fn dead_letter_sources(&self, target: &QueueKey) -> Vec<Arc<QueueInfo>> {
        self.select(usize::MAX, |info| {
            let policy = info.settings.redrive.as_ref();
            policy.and_then(|policy| policy.target()).as_ref() == Some(target)
        })
    }

    /// The same for many queues, in one pass: the sources of each that has any, in name order.
    pub fn sources_of<'a>(
        &self,
        targets: impl Iterator<Item = &'a QueueKey>,
    ) -> BTreeMap<QueueKey, Vec<QueueKey>> {
        let mut sources: BTreeMap<QueueKey, Vec<QueueKey>> =
            targets.map(|target| (target.clone(), Vec::new())).collect();
        for slot in &self.slots {
            for info in slot.load().values() {
                let target = info.settings.redrive.as_ref().and_then(|policy| policy.target());
                if let Some(of) = target.and_then(|target| sources.get_mut(&target)) {
                    of.push(info.key.clone());
                }
            }
        }
        sources.values_mut().for_each(|of| of.sort_unstable());
        sources.retain(|_, of| !of.is_empty());
        sources
    }

    /// How many queues there are.
    pub fn len(&self) -> usize {
        self.slots.iter().map(|slot| slot.load().len()).sum()
    }

    /// Whether there is no queue at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes changes of one slot visible, together. `None` removes a queue.
    pub(super) fn publish(
        &self,
        slot: Slot,
        changes: impl IntoIterator<Item = (QueueKey, Option<Arc<QueueInfo>>)>,
    ) {
        let mut map = SlotMap::clone(&self.slot(slot).load());
        for (key, info) in changes {
            match info {
                Some(info) => map.insert(key, info),
                None => map.remove(&key),
            };
        }
        self.slot(slot).store(Arc::new(map));
    }

    fn slot(&self, slot: Slot) -> &ArcSwap<SlotMap> {
        &self.slots[usize::from(slot.0)]
    }

    /// The first `max` queues in key order that are wanted.
    fn select(&self, max: usize, wanted: impl Fn(&QueueInfo) -> bool) -> Vec<Arc<QueueInfo>> {
        let mut found = Vec::new();
        for slot in &self.slots {
            let map = slot.load();
            // Each slot is in order, so nothing behind its first `max` can be among the first.
            found.extend(map.values().filter(|info| wanted(info)).take(max).cloned());
        }
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        found.truncate(max);
        found
    }
}

impl QueueInfo {
    /// A queue as its catalogue row left it. Fails when its master key is missing or wrong.
    pub(super) fn from_row(
        slot: Slot,
        key: QueueKey,
        row: QueueRow,
        keyring: &Keyring,
    ) -> Result<QueueInfo, StartError> {
        let owner = KeyOwner::Queue(slot, row.id);
        let open = |sealed: Vec<u8>| DataKey::open(keyring, &sealed, owner);
        let data_key = row.data_key.map(open).transpose();
        let data_key = data_key.map_err(|error| StartError::key(&key, error))?;
        Ok(QueueInfo {
            key,
            id: row.id,
            slot,
            generation: row.generation,
            settings: row.settings,
            tags: row.tags,
            created_at: row.created_at,
            modified_at: row.modified_at,
            purged_at: row.purged_at,
            paused: row.paused,
            data_key,
        })
    }

    /// Its catalogue row.
    pub(super) fn to_row(&self) -> QueueRow {
        QueueRow {
            id: self.id,
            generation: self.generation,
            settings: self.settings.clone(),
            tags: self.tags.clone(),
            created_at: self.created_at,
            modified_at: self.modified_at,
            purged_at: self.purged_at,
            paused: self.paused,
            data_key: self.data_key.as_ref().map(|key| key.sealed().to_vec()),
        }
    }
}
