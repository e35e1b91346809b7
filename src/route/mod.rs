//! From keys to the cores that own them, and everything that cores say to each other.

pub mod message;

use crate::base::crc::SLOTS;
use crate::runtime::io::CoreId;
use crate::shard::key::Slot;

/// Which shard owns which slot: contiguous ranges of nearly equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardMap {
    shards: u16,
}

impl ShardMap {
    /// A map over so many shards (at least one, at most one per slot).
    pub fn new(shards: u16) -> ShardMap {
        assert!((1..=SLOTS as u16).contains(&shards));
        ShardMap { shards }
    }

    /// Number of shards.
    pub fn shards(self) -> usize {
        usize::from(self.shards)
    }

    /// All shards, in the order in which locks are taken.
    pub fn all(self) -> impl Iterator<Item = CoreId> {
        (0..self.shards).map(CoreId)
    }

    /// The owner of a slot.
    #[inline]
    pub fn owner(self, slot: Slot) -> CoreId {
        CoreId(((u32::from(slot.number()) * u32::from(self.shards)) / SLOTS as u32) as u16)
    }

    /// The slots of one shard: `first..end`.
    pub fn slots_of(self, core: CoreId) -> std::ops::Range<u16> {
        let first = |shard: u32| (shard * SLOTS as u32).div_ceil(u32::from(self.shards)) as u16;
        first(u32::from(core.0))..first(u32::from(core.0) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_owners_agree_for_every_number_of_shards() {
        for shards in [1, 2, 3, 7, 8, 64, 1000] {
            let map = ShardMap::new(shards);
            let mut next = 0;
            for core in map.all() {
                let slots = map.slots_of(core);
                assert_eq!(slots.start, next);
                next = slots.end;
                assert!(slots.clone().all(|slot| map.owner(Slot::new(slot).unwrap()) == core));
            }
            assert_eq!(usize::from(next), SLOTS);
        }
    }
}
