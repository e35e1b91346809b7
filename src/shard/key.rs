//! A key as it travels through a server: its bytes with the two numbers that are computed from them once,
//! the hash slot (which shard, which table) and the hash (where in the table).

use std::hash::{BuildHasher, Hasher as _};

use crate::base::crc::{SLOTS, key_slot};

/// A hash slot, below [`SLOTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The first slot.
    pub const FIRST: Slot = Slot(0);

    /// The slot with this number, or `None` if there is none.
    pub const fn new(number: u16) -> Option<Slot> {
        if (number as usize) < SLOTS { Some(Slot(number)) } else { None }
    }

    /// The slot a key belongs to.
    #[inline]
    pub fn of(key: &[u8]) -> Slot {
        Slot(key_slot(key))
    }

    /// Its number.
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its number, for indexing.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The hash function of a process. All shards use clones of one, so that items may move between them.
#[derive(Debug, Clone)]
pub struct Hasher(ahash::RandomState);

impl Hasher {
    /// With seeds that nobody outside can know, which is what keeps crafted keys from colliding.
    pub fn random() -> Hasher {
        Hasher(ahash::RandomState::new())
    }

    /// With seeds derived from one number, for simulation.
    pub fn from_seed(seed: u64) -> Hasher {
        let mut rng = crate::base::rng::Rng::new(seed);
        let [a, b, c, d] = std::array::from_fn(|_| rng.next_u64());
        Hasher(ahash::RandomState::with_seeds(a, b, c, d))
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let mut state = self.0.build_hasher();
        state.write(key);
        state.finish()
    }
}

/// A key with its slot and hash.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The key itself.
    pub bytes: &'a [u8],
    /// Its hash slot.
    pub slot: Slot,
    /// Its hash.
    pub hash: u64,
}

/// The numbers of a key without its bytes: what a core tells another, so that it need not compute them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest {
    /// Its hash slot.
    pub slot: Slot,
    /// Its hash.
    pub hash: u64,
}

impl<'a> Key<'a> {
    /// Computes slot and hash.
    #[inline]
    pub fn new(bytes: &'a [u8], hasher: &Hasher) -> Key<'a> {
        Key { bytes, slot: Slot::of(bytes), hash: hasher.hash(bytes) }
    }

    /// Its numbers.
    #[inline]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest { slot: self.slot, hash: self.hash }
    }

    /// The key of these bytes, whose numbers are known.
    #[inline]
    pub fn with_digest(bytes: &'a [u8], digest: KeyDigest) -> Key<'a> {
        Key { bytes, slot: digest.slot, hash: digest.hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_and_equal_seeds_agree_and_others_do_not() {
        let random = Hasher::random();
        assert_eq!(random.hash(b"key"), random.clone().hash(b"key"));
        assert_eq!(Hasher::from_seed(1).hash(b"key"), Hasher::from_seed(1).hash(b"key"));
        assert_ne!(Hasher::from_seed(1).hash(b"key"), Hasher::from_seed(2).hash(b"key"));
        assert_ne!(random.hash(b"a"), random.hash(b"a\0"));
    }

    #[test]
    fn slots_end_where_the_cluster_ends() {
        assert_eq!(Slot::new(16383).map(Slot::index), Some(16383));
        assert_eq!(Slot::new(16384), None);
    }
}
