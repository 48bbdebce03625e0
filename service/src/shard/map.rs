//! Which slot a queue's rows live in, and which shard owns the slot.

use std::hash::Hasher;
use std::ops::Range;

use siphasher::sip::SipHasher24;

use crate::model::queue::{QueueKey, Slot};

/// How many slots there are, for ever: keys on the disk begin with one.
pub const SLOTS: usize = 256;

/// The slot of a queue. Stored in every key, so this function may never change.
pub fn slot_of(key: &QueueKey) -> Slot {
    let mut hasher = SipHasher24::new_with_keys(0, 0);
    for part in [key.account.as_str(), key.region.as_str(), key.name.as_str()] {
        hasher.write(part.as_bytes());
        // No part contains a zero, so no two keys run together.
        hasher.write(&[0]);
    }
    Slot((hasher.finish() & 0xff) as u8)
}

/// How the slots are spread over the shards: in even ranges, so that their number may change at
/// any start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMap {
    shards: usize,
}

impl ShardMap {
    /// A map of 1 to 256 shards; other numbers are brought into that range.
    pub fn new(shards: usize) -> ShardMap {
        ShardMap { shards: shards.clamp(1, SLOTS) }
    }

    /// How many shards there are.
    pub fn shards(self) -> usize {
        self.shards
    }

    /// Who owns a slot.
    pub fn owner(self, slot: Slot) -> usize {
        usize::from(slot.0) * self.shards / SLOTS
    }

    /// What a shard owns.
    pub fn slots(self, shard: usize) -> impl Iterator<Item = Slot> {
        let first = |shard: usize| (shard * SLOTS).div_ceil(self.shards);
        let range: Range<usize> = first(shard)..first(shard + 1);
        range.map(|slot| Slot(slot as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::queue::{AccountId, QueueName, Region};

    fn key(name: &str) -> QueueKey {
        QueueKey {
            account: AccountId::parse("000000000000").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            name: QueueName::parse(name).unwrap(),
        }
    }

    #[test]
    fn every_slot_has_one_owner_for_any_number_of_shards() {
        for shards in 1..=SLOTS {
            let map = ShardMap::new(shards);
            let mut seen = 0;
            for shard in 0..shards {
                for slot in map.slots(shard) {
                    assert_eq!(map.owner(slot), shard);
                    assert_eq!(usize::from(slot.0), seen);
                    seen += 1;
                }
            }
            assert_eq!(seen, SLOTS);
        }
    }

    #[test]
    fn slots_are_what_they_were_when_the_first_folder_was_written() {
        let slots: Vec<u8> =
            ["orders", "orders.fifo", "a", "b"].iter().map(|name| slot_of(&key(name)).0).collect();
        assert_eq!(slots, SLOTS_OF_FORMAT_1);
    }

    const SLOTS_OF_FORMAT_1: [u8; 4] = [0, 0, 0, 0];
}
