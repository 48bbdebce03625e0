//! Which shard owns which slot.

use crate::model::queue::Slot;

/// How many slots there are, for ever: keys on the disk begin with one.
pub const SLOTS: usize = 256;

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
        (first(shard)..first(shard + 1)).map(|slot| Slot(slot as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
