//! The databases of a shard, and, while a command over the whole keyspace runs, those of the other shards.
//!
//! Representation: `own` by number. A *wing* is what another shard has lent as a whole: its slots and its databases. Each may
//! have a *walk*, the snapshot that is being taken of it, which hears of every item before it is changed, because items to be
//! changed are found by [`Databases::of_mut`] only. Nearly always there is neither wing nor walk; then looking a key up
//! costs one more branch, which is predicted.
//!
//! Invariants: the slots of `own` and of the wings don't overlap; all have the same number of databases; `is_plain` says that
//! there is no wing and no walk of `own`.

use std::ops::{Deref, Range};

use super::snapshot::{Encode, Walk};
use super::{Budget, Db, DbKey, Item, Key, Slot};
use crate::base::rng::Rng;

/// Everything that a shard holds, on loan to another.
pub struct Wing {
    /// The slots of its owner.
    pub slots: Range<u16>,
    /// The databases, by number.
    pub dbs: Vec<Db>,
    /// Keys that somebody on the owner's side is interested in.
    pub interest: Vec<DbKey>,
    /// The snapshot that its owner takes.
    pub walk: Option<Box<Walk>>,
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
    walk: Option<Box<Walk>>,
    wings: Vec<Wing>,
    is_plain: bool,
}

impl Databases {
    /// Without wings.
    pub fn new(own: Vec<Db>) -> Databases {
        Databases { own, walk: None, wings: Vec::new(), is_plain: true }
    }

    fn note_plain(&mut self) {
        self.is_plain = self.walk.is_none() && self.wings.is_empty();
    }

    /// The database that holds a key's slot.
    #[inline]
    pub fn of(&self, db: usize, key: &Key<'_>) -> &Db {
        if self.wings.is_empty() {
            return &self.own[db];
        }
        self.wing(db, key.slot).map_or(&self.own[db], |(_, part)| part)
    }

    /// Likewise, to change what the key has. Nothing else may be changed in it.
    #[inline]
    pub fn of_mut(&mut self, db: usize, key: &Key<'_>) -> &mut Db {
        if self.is_plain {
            return &mut self.own[db];
        }
        self.part_mut(db, key, true)
    }

    /// Likewise, to change what says how and when the key is used, and nothing else.
    #[inline]
    pub(super) fn of_used(&mut self, db: usize, key: &Key<'_>) -> &mut Db {
        if self.is_plain {
            return &mut self.own[db];
        }
        self.part_mut(db, key, false)
    }

    #[cold]
    fn part_mut(&mut self, db: usize, key: &Key<'_>, changes: bool) -> &mut Db {
        let (dbs, walk) = match self.wing_of(key.slot) {
            Some(wing) => {
                let wing = &mut self.wings[wing];
                (&mut wing.dbs, &mut wing.walk)
            }
            None => (&mut self.own, &mut self.walk),
        };
        if let Some(walk) = walk.as_mut().filter(|_| changes) {
            walk.before_change(db, &dbs[db], key);
        }
        &mut dbs[db]
    }

    /// So many keys more are about to be added to a database, in all shards together.
    pub fn announce(&mut self, db: usize, keys: u64) {
        self.own[db].announce(keys);
    }

    /// What was announced has come, or does not come any more.
    pub fn end_announced(&mut self) {
        self.own.iter_mut().for_each(Db::end_announced);
    }

    /// One of the shard's own databases, to remove items from, and the walk that is to hear of each of them.
    pub(super) fn own_mut(&mut self, db: usize) -> (&mut Db, Option<&mut Walk>) {
        (&mut self.own[db], self.walk.as_deref_mut())
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

    /// Empties a database in all its parts. Returns what each has had, unless a walk still needs it, and how many items
    /// there were.
    pub(super) fn empty(&mut self, db: usize) -> (Vec<Db>, usize) {
        let own = std::iter::once((&mut self.own, &mut self.walk));
        let wings = self.wings.iter_mut().map(|wing| (&mut wing.dbs, &mut wing.walk));
        let (mut emptied, mut count) = (Vec::new(), 0);
        for (dbs, walk) in own.chain(wings) {
            let empty = dbs[db].emptied();
            let old = std::mem::replace(&mut dbs[db], empty);
            count += old.len();
            match walk.as_mut().filter(|walk| walk.wants(db)) {
                Some(walk) => walk.put_aside(db, old),
                None => emptied.push(old),
            }
        }
        (emptied, count)
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
        let walks = self.wings.iter_mut().map(|wing| &mut wing.walk);
        walks.chain([&mut self.walk]).flatten().for_each(|walk| walk.exchange(a, b));
    }

    /// The cut of a snapshot: from now on what the shard's own databases have is walked through.
    pub(super) fn begin_walk(&mut self, encode: Encode) {
        debug_assert!(self.wings.is_empty());
        self.walk = Some(Box::new(Walk::new(self.own.len(), encode)));
        self.note_plain();
    }

    /// The walk, unless there is none or it is lent with the databases.
    pub fn walk(&mut self) -> Option<&mut Walk> {
        self.walk.as_deref_mut()
    }

    /// Ends the walk, be it over or not. Returns what it has kept aside.
    pub(super) fn end_walk(&mut self) -> Vec<Db> {
        let walk = self.walk.take();
        self.note_plain();
        walk.map(|walk| walk.into_aside()).unwrap_or_default()
    }

    /// Walks on. Returns what the walk has kept aside and needs no more.
    pub(super) fn walk_on(&mut self, budget: &mut Budget) -> Vec<Db> {
        self.walk.as_mut().map(|walk| walk.step(&self.own, budget)).unwrap_or_default()
    }

    /// Takes all of the shard's own databases, and leaves empty ones.
    pub fn lend(&mut self, slots: Range<u16>, interest: Vec<DbKey>) -> Wing {
        let empty = self.own.iter().map(Db::emptied).collect();
        let walk = self.walk.take();
        self.note_plain();
        Wing { slots, dbs: std::mem::replace(&mut self.own, empty), interest, walk }
    }

    /// Takes the shard's own databases back, of which it holds none meanwhile.
    pub fn take_back(&mut self, wing: Wing) {
        debug_assert!(self.own.iter().all(Db::is_empty));
        (self.own, self.walk) = (wing.dbs, wing.walk);
        self.note_plain();
    }

    /// Adds what other shards have lent.
    pub fn attach(&mut self, wings: Vec<Wing>) {
        debug_assert!(self.wings.is_empty());
        self.wings = wings;
        self.note_plain();
    }

    /// Takes it away again.
    pub fn detach(&mut self) -> Vec<Wing> {
        let wings = std::mem::take(&mut self.wings);
        self.note_plain();
        wings
    }
}

impl Deref for Databases {
    type Target = [Db];

    #[inline]
    fn deref(&self) -> &[Db] {
        &self.own
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
