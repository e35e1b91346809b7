//! The databases of a shard, and, while a command over the whole keyspace runs, those of the other shards.
//!
//! Representation: `own` by number. A *wing* is what another shard has lent as a whole: its slots and its databases. Nearly
//! always there is none; then looking a key up costs one more branch, which is predicted. Invariant: the slots of `own` and of
//! the wings don't overlap; all have the same number of databases.

use std::ops::{Deref, DerefMut, Range};

use super::{Db, DbKey, Item, Key, Slot};
use crate::base::rng::Rng;

/// Everything that a shard holds, on loan to another.
pub struct Wing {
    /// The slots of its owner.
    pub slots: Range<u16>,
    /// The databases, by number.
    pub dbs: Vec<Db>,
    /// Keys that somebody on the owner's side is interested in.
    pub interest: Vec<DbKey>,
}

impl Wing {
    /// Its first slot.
    pub fn first(&self) -> Slot {
        Slot::new(self.slots.start).expect("a shard has slots")
    }
}

impl std::fmt::Debug for Wing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wing({:?})", self.slots)
    }
}

/// See the module. Dereferences to the shard's own databases.
pub struct Databases {
    own: Vec<Db>,
    wings: Vec<Wing>,
}

impl Databases {
    /// Without wings.
    pub fn new(own: Vec<Db>) -> Databases {
        Databases { own, wings: Vec::new() }
    }

    /// The database that holds a key's slot.
    #[inline]
    pub fn of(&self, db: usize, key: &Key<'_>) -> &Db {
        if self.wings.is_empty() {
            return &self.own[db];
        }
        self.wing(db, key.slot).map_or(&self.own[db], |(_, part)| part)
    }

    /// Likewise, to be changed.
    #[inline]
    pub fn of_mut(&mut self, db: usize, key: &Key<'_>) -> &mut Db {
        if self.wings.is_empty() {
            return &mut self.own[db];
        }
        match self.wing_of(key.slot) {
            Some(wing) => &mut self.wings[wing].dbs[db],
            None => &mut self.own[db],
        }
    }

    /// The wing that holds a slot, and its part of a database.
    pub(super) fn wing(&self, db: usize, slot: Slot) -> Option<(&Wing, &Db)> {
        self.wing_of(slot).map(|wing| (&self.wings[wing], &self.wings[wing].dbs[db]))
    }

    fn wing_of(&self, slot: Slot) -> Option<usize> {
        self.wings.iter().position(|wing| wing.slots.contains(&slot.number()))
    }

    /// One database in all its parts.
    pub fn parts(&self, db: usize) -> impl Iterator<Item = &Db> {
        std::iter::once(&self.own[db]).chain(self.wings.iter().map(move |wing| &wing.dbs[db]))
    }

    /// Likewise, to be changed.
    pub fn parts_mut(&mut self, db: usize) -> impl Iterator<Item = &mut Db> {
        std::iter::once(&mut self.own[db]).chain(self.wings.iter_mut().map(move |wing| &mut wing.dbs[db]))
    }

    /// An item drawn at random, nearly uniformly; `None` only if there is none.
    pub fn random(&self, db: usize, rng: &mut Rng) -> Option<&Item> {
        let mut rank = match self.wings.len() {
            0 => 0,
            _ => rng.below(self.parts(db).map(Db::len).sum::<usize>().max(1)),
        };
        let drawn = self.parts(db).find(|part| {
            let hit = rank < part.len();
            rank = rank.saturating_sub(part.len());
            hit
        });
        drawn?.random(rng)
    }

    /// Exchanges two databases.
    pub fn exchange(&mut self, a: usize, b: usize) {
        self.own.swap(a, b);
        self.wings.iter_mut().for_each(|wing| wing.dbs.swap(a, b));
    }

    /// Takes all of the shard's own databases, and leaves empty ones.
    pub fn lend(&mut self, slots: Range<u16>, interest: Vec<DbKey>) -> Wing {
        let empty = self.own.iter().map(Db::emptied).collect();
        Wing { slots, dbs: std::mem::replace(&mut self.own, empty), interest }
    }

    /// Takes the shard's own databases back, of which it holds none meanwhile.
    pub fn take_back(&mut self, wing: Wing) {
        debug_assert!(self.own.iter().all(Db::is_empty));
        self.own = wing.dbs;
    }

    /// Adds what other shards have lent.
    pub fn attach(&mut self, wings: Vec<Wing>) {
        debug_assert!(self.wings.is_empty());
        self.wings = wings;
    }

    /// Takes it away again.
    pub fn detach(&mut self) -> Vec<Wing> {
        std::mem::take(&mut self.wings)
    }
}

impl Deref for Databases {
    type Target = [Db];

    #[inline]
    fn deref(&self) -> &[Db] {
        &self.own
    }
}

impl DerefMut for Databases {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Db] {
        &mut self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc::SLOTS;
    use crate::shard::{Cursor, ExpiryPolicy, Hasher, Shard, Str};

    #[test]
    fn with_wings_a_shard_holds_the_whole_keyspace() {
        let hasher = Hasher::from_seed(1);
        let half = SLOTS as u16 / 2;
        let mut shards = [0..half, half..SLOTS as u16].map(|slots| {
            let mut shard = Shard::new(2, hasher.clone(), 1);
            shard.slots = slots;
            shard
        });
        let names: Vec<String> = (0..100).map(|n| format!("key:{n}")).collect();
        for name in &names {
            let key = shards[0].key(name.as_bytes());
            let home = usize::from(key.slot.number() >= half);
            shards[home].set_string(0, &key, Str::Int(1), ExpiryPolicy::Clear);
        }
        let [mut a, mut b] = shards;
        let before = (a.dbs[0].len(), b.dbs[0].len());
        assert!(before.0 > 20 && before.1 > 20 && before.0 + before.1 == 100);
        let wing = b.lend_all();
        assert!(b.dbs[0].is_empty());
        a.dbs.attach(vec![wing]);
        for name in &names {
            let key = a.key(name.as_bytes());
            assert!(a.lookup_read(0, &key).is_some(), "{name}");
        }
        // A scan goes through all parts.
        let (mut cursor, mut seen) = (Cursor::START, 0);
        while usize::from(cursor.slot().number()) < SLOTS {
            let (part, end) = a.part(0, cursor.slot());
            part.scan(cursor, crate::shard::Budget::items(usize::MAX), |_| seen += 1);
            match Slot::new(end) {
                Some(slot) => cursor = Cursor::slot_start(slot),
                None => break,
            }
        }
        assert_eq!(seen, 100);
        let drawn: std::collections::BTreeSet<Vec<u8>> =
            (0..2000).map(|_| a.random(0).unwrap().key().to_vec()).collect();
        assert_eq!(drawn.len(), 100);
        let key =
            a.key(names.iter().find(|name| a.key(name.as_bytes()).slot.number() >= half).unwrap().as_bytes());
        assert!(a.remove(0, &key).is_some());
        a.swap_dbs(0, 1);
        b.dbs.take_back(a.dbs.detach().pop().unwrap());
        assert_eq!((a.dbs[0].len(), a.dbs[1].len()), (0, before.0));
        assert_eq!((b.dbs[0].len(), b.dbs[1].len()), (0, before.1 - 1));
        assert_eq!(a.flush(1) + b.flush(1), 99);
    }
}
