//! One numbered database of a shard: a [`Table`] per hash slot and what is counted about them.
//!
//! The array of tables has an entry for every slot and is allocated when the first key comes; slots of other
//! shards stay untouched zero pages. Invariants: `len` and `blocks` are sums of the tables' lengths, and
//! `volatile` counts the items that have an expiry, `watched` those whose hash is marked as watched: it has, or had when
//! someone last looked, fields that expire. `due[slot]` is the time from which active expiry should look at the slot: at
//! most the earliest expiry of an item or of a watched hash's field in it, but for the rest that [`super::expiry`] grants; 0
//! if none. `announced` keys, of all shards together, are to be added: tables are made as roomy as that takes.

use smallvec::SmallVec;

use super::Budget;
use super::item::{Item, Kind};
use super::key::{Hasher, Key, KeyDigest, Slot};
use super::leaf::common_capacity;
use super::table::{Position, Table};
use super::values::{Fields, Hash, Typed};
use crate::base::crc::SLOTS;
use crate::base::rng::Rng;
use crate::types::Str;

/// Slots are counted in blocks of so many, to find one by rank and to pass over empty ones quickly.
const BLOCK: usize = 128;

/// Tables of up to so many items grow by themselves, without a look at their neighbours.
const TINY_AVERAGE: usize = 2;

/// What happens to the expiry when a value is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryPolicy {
    /// The key will not expire.
    Clear,
    /// The key keeps the expiry that it has (`KEEPTTL`).
    Keep,
    /// The key expires at this time, Unix milliseconds.
    At(i64),
}

/// What [`Db::upsert_string`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upsert {
    /// The key is new.
    Inserted,
    /// The key had a value before.
    Replaced,
    /// Nothing: the key is there, but its time is over. Remove it first.
    Expired,
    /// Nothing: the key holds a collection, which may take long to free. Remove it first.
    Collection,
}

/// Where a scan goes on: the slot in the upper 14 of 62 bits and 48 bits of hash. 0 is the start and the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(u64);

impl Cursor {
    /// Where a scan starts, and where it has ended.
    pub const START: Cursor = Cursor(0);
    const HASH_BITS: u32 = 48;

    /// The cursor with this number, which need not come from a scan; `None` from 2^62 on.
    pub const fn new(number: u64) -> Option<Cursor> {
        if number >> 62 == 0 { Some(Cursor(number)) } else { None }
    }

    /// Its number, below 2^62.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The beginning of a slot.
    pub const fn slot_start(slot: Slot) -> Cursor {
        Cursor((slot.number() as u64) << Self::HASH_BITS)
    }

    /// Where a scan visits this key.
    pub fn of(key: &Key<'_>) -> Cursor {
        Cursor::at(key.slot.index(), key.hash)
    }

    fn at(slot: usize, position: u64) -> Cursor {
        Cursor((slot as u64) << Self::HASH_BITS | position >> 16)
    }

    /// The slot where the scan goes on.
    pub fn slot(self) -> Slot {
        Slot::new((self.0 >> Self::HASH_BITS) as u16).expect("14 bits are a slot")
    }

    fn position(self) -> u64 {
        self.0 << 16
    }
}

/// A database. See the module.
pub struct Db {
    /// One per slot, or none if the database was never used.
    tables: Box<[Table]>,
    /// Keys per block of slots.
    blocks: [u32; SLOTS / BLOCK],
    len: usize,
    volatile: usize,
    watched: usize,
    announced: u64,
    /// One per slot, or none if no key ever had an expiry.
    due: Box<[i64]>,
    hasher: Hasher,
}

impl Db {
    /// An empty database that allocates nothing.
    pub fn new(hasher: Hasher) -> Db {
        Db {
            tables: Box::default(),
            blocks: [0; SLOTS / BLOCK],
            len: 0,
            volatile: 0,
            watched: 0,
            announced: 0,
            due: Box::default(),
            hasher,
        }
    }

    /// Number of keys, with those whose time is over and which were not removed yet.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of keys that have an expiry.
    pub fn volatile_len(&self) -> usize {
        self.volatile
    }

    /// Number of hashes with fields that expire, until active expiry notices that they have none any more.
    pub fn watched_len(&self) -> usize {
        self.watched
    }

    /// Number of keys in a slot.
    pub fn slot_len(&self, slot: Slot) -> usize {
        self.slot_len_at(slot.index())
    }

    pub(super) fn slot_len_at(&self, slot: usize) -> usize {
        self.tables.get(slot).map_or(0, Table::len)
    }

    /// Bytes of the tables (not of the items).
    pub fn table_bytes(&self) -> usize {
        self.tables.iter().map(|table| size_of::<Table>() + table.memory_usage_bytes()).sum()
    }

    #[inline]
    pub(super) fn position(&self, key: &Key<'_>) -> Option<u32> {
        match self.tables.get(key.slot.index())?.position(key) {
            Position::Found(place) => Some(place),
            Position::Vacant(_) => None,
        }
    }

    /// The item at a position that was just asked for.
    #[inline]
    pub(super) fn at(&self, key: &Key<'_>, place: u32) -> &Item {
        self.tables[key.slot.index()].at(key.hash, place)
    }

    #[inline]
    pub(super) fn at_mut(&mut self, key: &Key<'_>, place: u32) -> &mut Item {
        self.tables[key.slot.index()].at_mut(key.hash, place)
    }

    /// The item of a key, whether or not its time is over.
    #[inline]
    pub fn get(&self, key: &Key<'_>) -> Option<&Item> {
        let place = self.position(key)?;
        Some(self.at(key, place))
    }

    /// The item of a key, to change its value. It must not be swapped with another item; that would lose keys.
    #[inline]
    pub fn get_mut(&mut self, key: &Key<'_>) -> Option<&mut Item> {
        let place = self.position(key)?;
        Some(self.at_mut(key, place))
    }

    /// The value of a key as a growing buffer, if it is there.
    pub fn string_mut(&mut self, key: &Key<'_>) -> Option<&mut Vec<u8>> {
        self.get_mut(key).map(Item::string_mut)
    }

    /// Inserts an item, whose key is `key`, and returns the one that it replaced.
    pub fn insert(&mut self, key: &Key<'_>, item: Item) -> Option<Item> {
        debug_assert_eq!(item.key(), key.bytes);
        let old = self.remove(key);
        let vacant = self.vacancy(key).expect("it was just removed");
        self.insert_at(key.digest(), vacant, item);
        old
    }

    /// So many keys more are about to be added, in all shards together.
    pub(super) fn announce(&mut self, keys: u64) {
        self.announced = self.announced.saturating_add(keys);
    }

    /// What was announced has come, or does not come any more.
    pub(super) fn end_announced(&mut self) {
        self.announced = 0;
    }

    /// Inserts an item, whose key has this digest; gives it back if the key is there.
    pub fn add(&mut self, digest: KeyDigest, item: Item) -> Result<(), Item> {
        let average = self.announced as usize / SLOTS;
        if average > TINY_AVERAGE {
            self.allocate_tables();
            let table = &mut self.tables[digest.slot.index()];
            if table.len() == 0 {
                table.make_room(average);
            }
        }
        match self.vacancy(&Key::with_digest(item.key(), digest)) {
            Some(vacant) => {
                self.insert_at(digest, vacant, item);
                Ok(())
            }
            None => Err(item),
        }
    }

    /// Where a key would be, or `None` if it is there.
    fn vacancy(&self, key: &Key<'_>) -> Option<u32> {
        match self.tables.get(key.slot.index()).map(|table| table.position(key)) {
            Some(Position::Found(_)) => None,
            Some(Position::Vacant(place)) => Some(place),
            None => Some(0),
        }
    }

    #[inline]
    fn insert_at(&mut self, key: KeyDigest, vacant: u32, mut item: Item) {
        let slot = key.slot.index();
        if let Some(at) = item.expire_at_ms() {
            self.volatile += 1;
            self.note_expiry(slot, at);
        }
        if let Some(at) = item.value_mut().and_then(Hash::of_mut).and_then(Hash::watch) {
            self.watched += 1;
            self.note_expiry(slot, at);
        }
        self.allocate_tables();
        self.tables[slot].insert(key.hash, vacant, item, &self.hasher);
        self.len += 1;
        self.blocks[slot / BLOCK] += 1;
        self.keep_pace(slot / BLOCK);
    }

    #[inline]
    fn allocate_tables(&mut self) {
        if self.tables.is_empty() {
            self.tables = Table::empty_array(SLOTS);
        }
    }

    /// When the average table of a block needs the next size, the next insertions into the block bring one
    /// table each to that size.
    #[inline]
    fn keep_pace(&mut self, block: usize) {
        let count = self.blocks[block] as usize;
        let average = count / BLOCK;
        if average > TINY_AVERAGE && common_capacity(average) != common_capacity(average - TINY_AVERAGE) {
            self.tables[block * BLOCK + count % BLOCK].keep_up(average);
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &Key<'_>) -> Option<Item> {
        let place = self.position(key)?;
        let slot = key.slot.index();
        let item = self.tables[slot].remove(key.hash, place);
        self.count_removed(slot, &item);
        Some(item)
    }

    #[inline]
    fn count_removed(&mut self, slot: usize, item: &Item) {
        self.len -= 1;
        self.blocks[slot / BLOCK] -= 1;
        self.volatile -= usize::from(item.has_expiry());
        self.watched -= usize::from(is_watched(item));
    }

    /// The hash at a key.
    pub(super) fn hash_mut(&mut self, key: &Key<'_>) -> Option<&mut Hash> {
        self.get_mut(key)?.value_mut().and_then(Hash::of_mut)
    }

    /// Watches a hash if it has fields that expire, and not if it has none. It is to be called when some got an earlier
    /// expiry.
    pub(super) fn watch_fields(&mut self, key: &Key<'_>) {
        let Some(hash) = self.hash_mut(key) else { return };
        let before = hash.is_watched();
        let after = hash.watch();
        self.watched = self.watched + usize::from(after.is_some()) - usize::from(before);
        if let Some(at) = after {
            self.note_expiry(key.slot.index(), at);
        }
    }

    /// Sets a key to a string, in place if the old value has the same size. `lru` is the access clock, which
    /// the item gets; an item whose time is over at `now_ms` is left alone.
    #[inline]
    pub fn upsert_string(
        &mut self,
        key: &Key<'_>,
        value: Str<'_>,
        policy: ExpiryPolicy,
        now_ms: i64,
        lru: u32,
    ) -> Upsert {
        let slot = key.slot.index();
        let vacant = match self.tables.get_mut(slot).map(|table| (table.position(key), table)) {
            Some((Position::Found(place), table)) => {
                let item = table.at_mut(key.hash, place);
                let before = item.expire_at_ms();
                if before.is_some() && item.is_expired(now_ms) {
                    return Upsert::Expired;
                }
                if item.kind() != Kind::String {
                    return Upsert::Collection;
                }
                let after = policy.resolve(before);
                item.overwrite(key.bytes, value, after, lru);
                self.count_expiry_change(slot, before, after);
                return Upsert::Replaced;
            }
            Some((Position::Vacant(place), _)) => place,
            None => 0,
        };
        let mut item = Item::new(key.bytes, value, policy.resolve(None));
        item.set_lru(lru);
        self.insert_at(key.digest(), vacant, item);
        Upsert::Inserted
    }

    /// Sets or removes the expiry of a key, Unix milliseconds. Returns whether the key is there.
    pub fn set_expiry(&mut self, key: &Key<'_>, expire_at_ms: Option<i64>) -> bool {
        let Some(item) = self.get_mut(key) else { return false };
        let before = item.expire_at_ms();
        item.set_expire_at_ms(expire_at_ms);
        self.count_expiry_change(key.slot.index(), before, expire_at_ms);
        true
    }

    #[inline]
    fn count_expiry_change(&mut self, slot: usize, before: Option<i64>, after: Option<i64>) {
        self.volatile = self.volatile + usize::from(after.is_some()) - usize::from(before.is_some());
        if let Some(at) = after {
            self.note_expiry(slot, at);
        }
    }

    /// Makes sure that active expiry looks at a slot when this time is over.
    #[inline]
    fn note_expiry(&mut self, slot: usize, at: i64) {
        if self.due.is_empty() {
            self.due = vec![0; SLOTS].into_boxed_slice();
        }
        let due = &mut self.due[slot];
        let at = at.max(1);
        if *due == 0 || at < *due {
            *due = at;
        }
    }

    /// The first slot from `from` on that may hold items whose time is over.
    pub(super) fn next_due_slot(&self, from: usize, now_ms: i64) -> Option<usize> {
        let found = self.due.get(from..)?.iter().position(|&due| due != 0 && due < now_ms)?;
        Some(from + found)
    }

    /// Before a slot is swept: what is set from now on counts again.
    pub(super) fn forget_due(&mut self, slot: usize) {
        self.due[slot] = 0;
    }

    /// After (a part of) a slot was swept: one of the items that stay expires then.
    pub(super) fn keep_due(&mut self, slot: usize, at: i64) {
        self.note_expiry(slot, at);
    }

    /// Takes items whose time is over out of a slot, from a position on. Returns where to go on, or `None`
    /// when the slot is done, and the earliest expiry among the items that were kept. `overdue` gets those with a watched
    /// hash that has no fields with an expiry any more or has some whose time is over.
    pub(super) fn sweep_expired(
        &mut self,
        slot: usize,
        from: u64,
        now_ms: i64,
        budget: &mut Budget,
        removed: &mut impl FnMut(Item),
        overdue: &mut impl FnMut(&Item),
    ) -> (Option<u64>, Option<i64>) {
        let mut earliest = i64::MAX;
        let mut gone = Vec::new();
        let next = self.tables[slot].sweep(
            from,
            budget,
            &mut |item| {
                if item.is_expired(now_ms) {
                    return true;
                }
                earliest = earliest.min(item.expire_at_ms().unwrap_or(i64::MAX));
                if let Some(hash) = item.value().and_then(Hash::of).filter(|hash| hash.is_watched()) {
                    match hash.next_expiry().filter(|&at| at >= now_ms) {
                        Some(at) => earliest = earliest.min(at),
                        None => overdue(item),
                    }
                }
                false
            },
            &mut |item| gone.push(item),
        );
        for item in gone {
            self.count_removed(slot, &item);
            removed(item);
        }
        (next, (earliest != i64::MAX).then_some(earliest))
    }

    /// Visits items from a cursor on until the budget is spent, at least one unless there is none left. Every
    /// item that is there from the first call to the last is visited exactly once, whatever happens to others.
    pub fn scan(&self, cursor: Cursor, mut budget: Budget, mut visit: impl FnMut(&Item)) -> Cursor {
        let mut position = cursor.position();
        let mut slot = cursor.slot().index();
        while let Some(next) = self.next_used_slot(slot) {
            if next != slot {
                (slot, position) = (next, 0);
            }
            if budget.is_spent() {
                return Cursor::at(slot, position);
            }
            if let Some(rest) = self.tables[slot].scan(position, &mut budget, &self.hasher, &mut visit) {
                return Cursor::at(slot, rest);
            }
            (slot, position) = (slot + 1, 0);
        }
        Cursor::START
    }

    /// The first slot from `from` on that has keys.
    fn next_used_slot(&self, from: usize) -> Option<usize> {
        let mut slot = from;
        while slot < self.tables.len() {
            if slot.is_multiple_of(BLOCK) && self.blocks[slot / BLOCK] == 0 {
                slot += BLOCK;
            } else if self.tables[slot].len() == 0 {
                slot += 1;
            } else {
                return Some(slot);
            }
        }
        None
    }

    /// Visits the items of one slot.
    pub fn for_each_in_slot(&self, slot: Slot, mut visit: impl FnMut(&Item)) {
        if let Some(table) = self.tables.get(slot.index()) {
            table.scan(0, &mut Budget::items(usize::MAX), &self.hasher, &mut visit);
        }
    }

    /// Visits all items, in the order of slots and hashes.
    pub fn for_each(&self, visit: impl FnMut(&Item)) {
        self.scan(Cursor::START, Budget::items(usize::MAX), visit);
    }

    /// An item drawn at random, nearly uniformly; `None` only if there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<&Item> {
        if self.len == 0 {
            return None;
        }
        let mut rank = rng.below(self.len);
        let block = by_rank(self.blocks.iter().map(|&len| len as usize), &mut rank);
        let tables = &self.tables[block * BLOCK..][..BLOCK];
        tables[by_rank(tables.iter().map(Table::len), &mut rank)].random(rng)
    }

    /// Of the keys that have an expiry, estimates from some random draws how many are stale (their time is over), and
    /// the sum of the others' times to live in milliseconds.
    pub fn estimate_ttl(&self, now_ms: i64, rng: &mut Rng) -> (f64, f64) {
        const DRAWS: usize = 64;
        if self.volatile == 0 {
            return (0.0, 0.0);
        }
        let (mut drawn, mut stale, mut ttl_ms) = (0u32, 0u32, 0.0);
        for _ in 0..DRAWS {
            let Some(expire_at_ms) = self.random(rng).and_then(Item::expire_at_ms) else { continue };
            drawn += 1;
            stale += u32::from(expire_at_ms <= now_ms);
            ttl_ms += (expire_at_ms - now_ms).max(0) as f64;
        }
        let scale = self.volatile as f64 / f64::from(drawn.max(1));
        (f64::from(stale) * scale, ttl_ms * scale)
    }

    /// An empty database with the same hash function.
    pub fn emptied(&self) -> Db {
        Db::new(self.hasher.clone())
    }

    /// Its tables; dropping them all may take long, see [`super::Garbage`].
    pub(super) fn into_tables(self) -> Box<[Table]> {
        self.tables
    }

    /// Asks the processor for the tables of keys, then the places in them, then the items: each step while the waits
    /// of the one before it overlap.
    #[inline]
    pub fn prefetch(&self, keys: impl Iterator<Item = KeyDigest> + Clone) {
        let tables = || keys.clone().filter_map(|key| Some((self.tables.get(key.slot.index())?, key)));
        tables().for_each(|(table, _)| super::table::prefetch(table));
        tables().for_each(|(table, key)| table.prefetch_home(key));
        tables().filter_map(|(table, key)| table.likely(key.hash)).for_each(Item::prefetch);
    }

    /// The same for fields (members) of large collections, after [`Db::prefetch`] of their keys.
    pub fn prefetch_fields<'a>(&self, wanted: impl Iterator<Item = (KeyDigest, &'a [u8])>) {
        let found = wanted.filter_map(|(key, field)| {
            let fields = self.tables.get(key.slot.index())?.likely(key.hash)?.value()?.fields()?;
            Some((fields, fields.hash(field)))
        });
        let found: SmallVec<[(&Fields, u64); 16]> = found.collect();
        found.iter().for_each(|(fields, hash)| fields.prefetch_home(*hash));
        found.iter().for_each(|(fields, hash)| fields.prefetch_item(*hash));
    }
}

impl ExpiryPolicy {
    #[inline]
    fn resolve(self, before: Option<i64>) -> Option<i64> {
        match self {
            ExpiryPolicy::Clear => None,
            ExpiryPolicy::Keep => before,
            ExpiryPolicy::At(at) => Some(at),
        }
    }
}

fn is_watched(item: &Item) -> bool {
    item.value().and_then(Hash::of).is_some_and(Hash::is_watched)
}

/// Which of these lengths a rank falls into; the rank within it is left in `rank`.
fn by_rank(lens: impl Iterator<Item = usize>, rank: &mut usize) -> usize {
    for (index, len) in lens.enumerate() {
        if *rank < len {
            return index;
        }
        *rank -= len;
    }
    unreachable!("a rank is below the sum of the lengths")
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::base::rng::Rng;
    use proptest::prelude::*;

    type Model = HashMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

    #[derive(Debug, Clone)]
    enum Op {
        Set(u16, u8, ExpiryPolicy),
        Insert(u16, Option<i64>),
        Append(u16),
        Expire(u16, Option<i64>),
        Remove(u16),
    }

    fn op() -> impl Strategy<Value = Op> {
        let n = || 0u16..400;
        let at = || proptest::option::of(1000i64..2000);
        prop_oneof![
            4 => (n(), any::<u8>(), prop_oneof![
                Just(ExpiryPolicy::Clear), Just(ExpiryPolicy::Keep), (1000i64..2000).prop_map(ExpiryPolicy::At)
            ]).prop_map(|(n, len, policy)| Op::Set(n, len, policy)),
            1 => (n(), at()).prop_map(|(n, at)| Op::Insert(n, at)),
            1 => n().prop_map(Op::Append),
            1 => (n(), at()).prop_map(|(n, at)| Op::Expire(n, at)),
            2 => n().prop_map(Op::Remove),
        ]
    }

    /// Few slots, so that tables split, and some that are alone.
    fn name(n: u16) -> Vec<u8> {
        if n.is_multiple_of(4) {
            n.to_string().into_bytes()
        } else {
            format!("{{{}}}{n}", n % 3).into_bytes()
        }
    }

    fn check(db: &Db, model: &Model) {
        assert_eq!(db.len(), model.len());
        assert_eq!(db.volatile_len(), model.values().filter(|(_, at)| at.is_some()).count());
        assert_eq!(db.blocks.iter().map(|&n| n as usize).sum::<usize>(), db.len());
        let mut seen = Model::new();
        db.for_each(|item| {
            let value = item.str().with_bytes(<[u8]>::to_vec);
            assert!(seen.insert(item.key().to_vec(), (value, item.expire_at_ms())).is_none(), "seen twice");
            if let Some(at) = item.expire_at_ms() {
                let due = db.due[Slot::of(item.key()).index()];
                assert!(due != 0 && due <= at, "active expiry comes in time");
            }
        });
        assert_eq!(&seen, model);
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(ops in proptest::collection::vec(op(), 0..1500)) {
            let hasher = Hasher::from_seed(1);
            let mut db = Db::new(hasher.clone());
            let mut model = Model::new();
            for op in ops {
                match op {
                    Op::Set(n, len, policy) => {
                        let (name, value) = (name(n), vec![b'v'; usize::from(len)]);
                        let key = Key::new(&name, &hasher);
                        let done = db.upsert_string(&key, Str::Bytes(&value), policy, 0, 0);
                        let before = model.get(&name).and_then(|(_, at)| *at);
                        let old = model.insert(name, (value, policy.resolve(before)));
                        prop_assert_eq!(done, if old.is_some() { Upsert::Replaced } else { Upsert::Inserted });
                    }
                    Op::Insert(n, at) => {
                        let name = name(n);
                        let old = db.insert(&Key::new(&name, &hasher), Item::string(&name, b"new", at));
                        prop_assert_eq!(old.is_some(), model.insert(name, (b"new".to_vec(), at)).is_some());
                    }
                    Op::Append(n) => {
                        let name = name(n);
                        let there = db.string_mut(&Key::new(&name, &hasher)).map(|bytes| bytes.push(b'+')).is_some();
                        prop_assert_eq!(there, model.get_mut(&name).map(|(bytes, _)| bytes.push(b'+')).is_some());
                    }
                    Op::Expire(n, at) => {
                        let name = name(n);
                        let there = db.set_expiry(&Key::new(&name, &hasher), at);
                        prop_assert_eq!(there, model.get_mut(&name).map(|value| value.1 = at).is_some());
                    }
                    Op::Remove(n) => {
                        let name = name(n);
                        let old = db.remove(&Key::new(&name, &hasher)).map(|item| item.expire_at_ms());
                        prop_assert_eq!(old, model.remove(&name).map(|(_, at)| at));
                    }
                }
            }
            check(&db, &model);
            for n in 0..400 {
                let name = name(n);
                let found = db.get(&Key::new(&name, &hasher)).map(|item| item.str().with_bytes(<[u8]>::to_vec));
                prop_assert_eq!(found.as_ref(), model.get(&name).map(|(bytes, _)| bytes));
            }
        }

        #[test]
        fn a_scan_in_steps_visits_everything_once(count in 0u16..400, budget in 1usize..100) {
            let hasher = Hasher::from_seed(2);
            let mut db = Db::new(hasher.clone());
            for n in 0..count {
                db.insert(&Key::new(&name(n), &hasher), Item::string(&name(n), b"", None));
            }
            let (mut cursor, mut seen, mut steps) = (Cursor::START, HashSet::new(), 0);
            loop {
                let mut visited = 0;
                cursor = db.scan(cursor, Budget::items(budget), |item| {
                    visited += 1;
                    assert!(seen.insert(item.key().to_vec()), "twice");
                });
                steps += 1;
                prop_assert!(visited >= budget || cursor == Cursor::START);
                prop_assert_eq!(Cursor::new(cursor.number()), Some(cursor));
                if cursor == Cursor::START {
                    break;
                }
            }
            prop_assert_eq!(seen.len(), usize::from(count));
            prop_assert!(steps <= usize::from(count) / budget + 1);
        }
    }

    #[test]
    fn any_cursor_below_the_limit_is_harmless() {
        let hasher = Hasher::from_seed(3);
        let mut db = Db::new(hasher.clone());
        assert_eq!(db.scan(Cursor::new((1 << 62) - 1).unwrap(), Budget::items(1), |_| {}), Cursor::START);
        db.insert(&Key::new(b"a", &hasher), Item::string(b"a", b"", None));
        assert_eq!(db.scan(Cursor::new((1 << 62) - 1).unwrap(), Budget::items(1), |_| {}), Cursor::START);
        assert_eq!(Cursor::new(1 << 62), None);
    }

    #[test]
    fn an_expired_item_is_not_overwritten() {
        let hasher = Hasher::from_seed(4);
        let mut db = Db::new(hasher.clone());
        let key = Key::new(b"a", &hasher);
        let set = |db: &mut Db, now| db.upsert_string(&key, Str::Int(1), ExpiryPolicy::At(10), now, 0);
        assert_eq!(set(&mut db, 0), Upsert::Inserted);
        assert_eq!(set(&mut db, 10), Upsert::Replaced);
        assert_eq!(set(&mut db, 11), Upsert::Expired);
    }

    #[test]
    fn few_keys_in_many_slots_are_drawn_evenly() {
        let hasher = Hasher::from_seed(5);
        let mut db = Db::new(hasher.clone());
        let mut rng = Rng::new(5);
        assert!(db.random(&mut rng).is_none());
        for n in 0..8u8 {
            db.insert(&Key::new(&[n], &hasher), Item::string(&[n], b"", None));
        }
        let mut drawn = [0; 8];
        for _ in 0..8000 {
            drawn[usize::from(db.random(&mut rng).unwrap().key()[0])] += 1;
        }
        assert!(drawn.iter().all(|n| (800..1200).contains(n)), "{drawn:?}");
    }

    #[test]
    fn what_is_announced_finds_room() {
        const KEYS: u64 = 10 * SLOTS as u64;
        let hasher = Hasher::from_seed(6);
        let mut db = Db::new(hasher.clone());
        let add = |db: &mut Db, n: u64| {
            let name = n.to_le_bytes();
            db.add(Key::new(&name, &hasher).digest(), Item::string(&name, b"", None))
        };
        db.announce(KEYS);
        assert!((0..KEYS / 2).all(|n| add(&mut db, n).is_ok()));
        let half_full = db.table_bytes();
        assert!((KEYS / 2..KEYS).all(|n| add(&mut db, n).is_ok()));
        assert!(db.table_bytes() < half_full * 11 / 10, "few have grown");
        assert_eq!(add(&mut db, 3).unwrap_err().key(), 3u64.to_le_bytes(), "it is given back");
        assert_eq!(db.len() as u64, KEYS);
        db.end_announced();
        let mut grown = Db::new(hasher.clone());
        assert!((0..KEYS).all(|n| add(&mut grown, n).is_ok()));
        let as_roomy = grown.table_bytes() * 9 / 10..grown.table_bytes() * 11 / 10;
        assert!(as_roomy.contains(&db.table_bytes()), "{} and {as_roomy:?}", db.table_bytes());
    }
}
