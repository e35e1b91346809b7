//! One core's keys: its databases, the cached clock by which keys expire, and the counts that `INFO` shows.
//!
//! A [`Shard`] is used by one thread and knows nothing of others. Its clock stands still during a command, so
//! that all parts of a command agree on what has expired. Removing a key because its time is over is
//! something that logs, replicas and clients must hear of: with `record_expired` such items are kept for
//! [`Shard::take_expired`].

pub mod access;
pub mod databases;
pub mod db;
pub mod effects;
pub mod events;
pub mod expiry;
mod field_expiry;
pub mod item;
pub mod key;
mod leaf;
mod lending;
pub mod modified;
mod size_class;
pub mod snapshot;
mod table;
pub mod values;

pub use crate::types::Str;
pub use access::Lfu;
pub use databases::{Databases, Wing};
pub use db::{Cursor, Db, ExpiryPolicy, Upsert};
pub use effects::{Effect, Effects, Reach};
pub use events::{Event, Events};
pub use expiry::{ExpireProgress, Garbage};
pub use item::{Encoding, Item, Kind};
pub use key::{Hasher, Key, KeyDigest, Slot};
pub use modified::{DbKey, Modified, News};

use std::ops::Range;

use self::snapshot::Encode;
use self::values::{Typed, Value};
use crate::base::crc::SLOTS;
use crate::base::event_classes::EventClasses;
use crate::base::rng::Rng;

/// Work that may still be done in this step, counted in items touched (some tens of nanoseconds each).
#[derive(Debug, Clone)]
pub struct Budget(usize);

impl Budget {
    /// A budget of so many items.
    pub const fn items(count: usize) -> Budget {
        Budget(count)
    }

    /// Counts work as done; there may be a little more of it than was left.
    #[inline]
    pub fn spend(&mut self, count: usize) {
        self.0 = self.0.saturating_sub(count);
    }

    /// Whether nothing is left.
    #[inline]
    pub const fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// Draws of keys whose time is over, one after the other, after which `RANDOMKEY` takes one during a pause of expiry.
const VAIN_DRAWS_MAX: usize = 100;

/// Elements of a collection that are freed at once; a larger one is freed in steps.
const FREED_AT_ONCE: usize = 64;

/// Counts for `INFO stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyspaceStats {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their time was over.
    pub expired_keys: u64,
    /// Fields of hashes removed because their time was over.
    pub expired_subkeys: u64,
}

/// A key that was removed because its time was over.
#[derive(Debug)]
pub struct Expired {
    /// Index of its database.
    pub db: usize,
    /// The key with its last value.
    pub item: Item,
}

/// What commands depend on besides keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Longest string that a command may make, in bytes (`proto-max-bulk-len`).
    pub string_max_bytes: usize,
    /// `RESTORE` takes payloads with wrong checksums, for tests.
    pub ignores_checksums: bool,
    /// Fields up to which a hash is a listpack.
    pub hash_max_listpack_entries: usize,
    /// Longest field or value of such a hash, in bytes.
    pub hash_max_listpack_value: usize,
    /// Members up to which a set of integers is an intset.
    pub set_max_intset_entries: usize,
    /// Members up to which a set is a listpack.
    pub set_max_listpack_entries: usize,
    /// Longest member of such a set, in bytes.
    pub set_max_listpack_value: usize,
    /// Members up to which a sorted set is a listpack.
    pub zset_max_listpack_entries: usize,
    /// Longest member of such a sorted set, in bytes.
    pub zset_max_listpack_value: usize,
    /// Elements of a list's listpack if positive, else a class of sizes.
    pub list_max_listpack_size: i32,
    /// Bytes from which on an element of a quicklist has a node by itself, 0 for what follows from the size of nodes.
    pub list_packed_threshold: usize,
    /// Nodes at either end of a list that Redis would not compress, 0 if it compresses none; nothing is compressed here.
    pub list_compress_depth: u32,
    /// Bytes of a stream's node, 0 for no bound.
    pub stream_node_max_bytes: usize,
    /// Entries of a stream's node, 0 for no bound.
    pub stream_node_max_entries: usize,
    /// Bytes up to which a HyperLogLog is sparse.
    pub hll_sparse_max_bytes: usize,
}

/// Redis's defaults.
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            string_max_bytes: 512 << 20,
            ignores_checksums: false,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value: 64,
            list_max_listpack_size: -2,
            list_packed_threshold: 0,
            list_compress_depth: 0,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            hll_sparse_max_bytes: 3000,
        }
    }
}

/// The key holds a value of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongType;

/// One core's keys. See the module.
pub struct Shard {
    /// The databases, by number.
    pub dbs: Databases,
    /// The slots that it owns: all, unless there are more shards.
    pub slots: Range<u16>,
    /// The clock of this turn, Unix milliseconds.
    pub now_ms: i64,
    /// Counts.
    pub stats: KeyspaceStats,
    /// For sampling.
    pub rng: Rng,
    /// Whether reads set the access clock (`CLIENT NO-TOUCH` switches that off for its connection).
    pub touch: bool,
    /// Set under an LFU policy: then the access clock counts how often an item is used, not when.
    pub lfu: Option<Lfu>,
    /// Whether keys are removed without being asked for (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expiry: bool,
    /// Whether keys stay although their time is over (`CLIENT PAUSE`). Commands miss them all the same.
    pub expiry_paused: bool,
    /// Whether logs or files are loaded. Nothing expires meanwhile: what has expired is written there.
    pub loading: bool,
    /// What was wrong with a value that `RESTORE` was given, for the log.
    pub complaint: Option<String>,
    /// Whether removed keys are kept for [`Shard::take_expired`].
    pub record_expired: bool,
    /// Settings.
    pub settings: Settings,
    /// What waits for being freed.
    pub garbage: Garbage,
    /// Keys that somebody is interested in, and which of them have been modified.
    pub modified: Modified,
    /// What has happened to keys, as far as it is to be published.
    pub events: Events,
    /// What commands have done, if somebody consumes that.
    pub effects: Effects,
    hasher: Hasher,
    expired: Vec<Expired>,
    pass: expiry::Pass,
}

impl Shard {
    /// A shard without keys.
    pub fn new(databases: usize, hasher: Hasher, seed: u64) -> Shard {
        Shard {
            dbs: Databases::new((0..databases).map(|_| Db::new(hasher.clone())).collect()),
            slots: 0..SLOTS as u16,
            now_ms: 0,
            stats: KeyspaceStats::default(),
            rng: Rng::new(seed),
            touch: true,
            lfu: None,
            active_expiry: true,
            expiry_paused: false,
            loading: false,
            complaint: None,
            record_expired: false,
            settings: Settings::default(),
            garbage: Garbage::default(),
            modified: Modified::default(),
            events: Events::default(),
            effects: Effects::default(),
            hasher,
            expired: Vec::new(),
            pass: expiry::Pass::default(),
        }
    }

    /// Whether anybody may want to hear what happens to keys.
    #[inline]
    pub fn is_observed(&self) -> bool {
        !(self.modified.is_empty() & self.events.are_off())
    }

    /// The time by which keys and fields expire: now, or the beginning of time while nothing does.
    #[inline]
    pub fn expiry_clock_ms(&self) -> i64 {
        if self.loading { i64::MIN } else { self.now_ms }
    }

    /// The longest string that a command may make, in bytes. What is in a log was made under another limit, perhaps.
    pub fn string_max_bytes(&self) -> usize {
        const WHILE_LOADING: usize = 1 << 40;
        if self.loading { WHILE_LOADING } else { self.settings.string_max_bytes }
    }

    /// The hash function.
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// The part of a database that holds a slot, and the end of its slots.
    pub fn part(&self, db: usize, slot: Slot) -> (&Db, u16) {
        match self.dbs.wing(db, slot) {
            Some((wing, part)) => (part, wing.slots.end),
            None => (&self.dbs[db], self.slots.end),
        }
    }

    /// Computes slot and hash of a key.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key::new(bytes, &self.hasher)
    }

    /// The access clock of LRU policies: seconds, 24 bits.
    #[inline]
    pub fn lru_clock(&self) -> u32 {
        (self.now_ms / 1000) as u32 & 0xff_ffff
    }

    /// That clock so many seconds ago.
    pub fn lru_clock_before(&self, seconds: i64) -> u32 {
        (self.now_ms / 1000).wrapping_sub(seconds) as u32 & 0xff_ffff
    }

    /// The access clock of an item that is used for the first time.
    fn first_access(&self) -> u32 {
        self.lfu.map_or(self.lru_clock(), |_| Lfu::first_access(self.now_ms))
    }

    /// The access clock of a key that is about to be set.
    #[inline]
    fn access_by_set(&mut self, db: usize, key: &Key<'_>) -> u32 {
        match self.lfu {
            None => self.lru_clock(),
            Some(lfu) => {
                let old = self.dbs.of(db, key).get(key).map(Item::lru);
                old.map_or(Lfu::first_access(self.now_ms), |old| lfu.access(old, self.now_ms, &mut self.rng))
            }
        }
    }

    /// Seconds since an item was last accessed, as far as the access clock can tell (it wraps after 194 days).
    pub fn idle_seconds(&self, item: &Item) -> u32 {
        self.lru_clock().wrapping_sub(item.lru()) & 0xff_ffff
    }

    /// The item of a key that is about to be read: counts hit or miss, expires it if its time is over, and sets
    /// its access clock.
    #[inline]
    pub fn lookup_read(&mut self, db: usize, key: &Key<'_>) -> Option<&Item> {
        let Some(place) = self.position(db, key) else {
            self.miss(db, key);
            return None;
        };
        self.stats.hits += 1;
        Some(self.touched(db, key, place, false))
    }

    #[inline]
    fn miss(&mut self, db: usize, key: &Key<'_>) {
        self.stats.misses += 1;
        self.events.note(EventClasses::KEY_MISS, "keymiss", db, key.bytes);
    }

    /// The item of a key that is asked about, not used: like [`Shard::lookup_read`], but leaves the access clock.
    pub fn lookup_about(&mut self, db: usize, key: &Key<'_>) -> Option<&Item> {
        let Some(place) = self.position(db, key) else {
            self.miss(db, key);
            return None;
        };
        self.stats.hits += 1;
        Some(self.dbs.of(db, key).at(key, place))
    }

    /// The item of a key that is looked at from outside, as by `OBJECT`: like [`Shard::lookup_about`], but that it is missing
    /// is no event.
    pub fn lookup_inspect(&mut self, db: usize, key: &Key<'_>) -> Option<&Item> {
        let place = self.position(db, key);
        let count = if place.is_some() { &mut self.stats.hits } else { &mut self.stats.misses };
        *count += 1;
        Some(self.dbs.of(db, key).at(key, place?))
    }

    /// The item of a key that is about to be changed: like [`Shard::lookup_read`], but counts neither hit nor miss.
    #[inline]
    pub fn lookup_write(&mut self, db: usize, key: &Key<'_>) -> Option<&mut Item> {
        let place = self.position(db, key)?;
        Some(self.touched(db, key, place, true))
    }

    /// The item of a key unless its time is over; nothing is counted or changed.
    #[inline]
    pub fn peek(&self, db: usize, key: &Key<'_>) -> Option<&Item> {
        self.dbs.of(db, key).get(key).filter(|item| !item.is_expired(self.expiry_clock_ms()))
    }

    /// Where a key is after it was expired if its time is over.
    #[inline]
    fn position(&mut self, db: usize, key: &Key<'_>) -> Option<u32> {
        let place = self.dbs.of(db, key).position(key)?;
        if self.dbs.of(db, key).at(key, place).is_expired(self.expiry_clock_ms()) {
            if !self.expiry_paused {
                self.expire(db, key);
            }
            return None;
        }
        Some(place)
    }

    #[inline]
    fn touched(&mut self, db: usize, key: &Key<'_>, place: u32, changes: bool) -> &mut Item {
        let clock = self.lru_clock();
        let part = if changes { self.dbs.of_mut(db, key) } else { self.dbs.of_used(db, key) };
        let item = part.at_mut(key, place);
        if self.touch {
            let access = self.lfu.map_or(clock, |lfu| lfu.access(item.lru(), self.now_ms, &mut self.rng));
            item.set_lru(access);
        }
        item
    }

    /// Removes a key because its time is over.
    #[cold]
    fn expire(&mut self, db: usize, key: &Key<'_>) {
        let Some(item) = self.dbs.of_mut(db, key).remove(key) else { return };
        self.leave_deletion(db, key);
        self.events.note(EventClasses::EXPIRED, "expired", db, key.bytes);
        self.modified.note(db, key.bytes);
        self.stats.expired_keys += 1;
        if self.record_expired {
            self.expired.push(Expired { db, item });
        } else {
            self.discard(item);
        }
    }

    /// The effect of a key's removal.
    #[inline]
    fn leave_deletion(&mut self, db: usize, key: &Key<'_>) {
        self.effects.leave(db, Reach::Slot(key.slot), &[b"DEL", key.bytes]);
    }

    /// Sets a key to a string. Returns whether it had a value before.
    #[inline]
    pub fn set_string(&mut self, db: usize, key: &Key<'_>, value: Str<'_>, policy: ExpiryPolicy) -> bool {
        let (now_ms, lru) = (self.expiry_clock_ms(), self.access_by_set(db, key));
        loop {
            match self.dbs.of_mut(db, key).upsert_string(key, value, policy, now_ms, lru) {
                Upsert::Inserted => {
                    self.note_new(db, key);
                    return false;
                }
                Upsert::Replaced => return true,
                Upsert::Expired => self.expire(db, key),
                Upsert::Collection => {
                    // What stays of it is its expiry.
                    let kept = self.dbs.of(db, key).get(key).and_then(Item::expire_at_ms);
                    self.delete(db, key);
                    if policy == ExpiryPolicy::Keep
                        && let Some(at) = kept
                    {
                        self.dbs.of_mut(db, key).upsert_string(key, value, ExpiryPolicy::At(at), now_ms, lru);
                        return true;
                    }
                    self.dbs.of_mut(db, key).upsert_string(key, value, policy, now_ms, lru);
                    return true;
                }
            }
        }
    }

    #[inline]
    fn note_new(&mut self, db: usize, key: &Key<'_>) {
        self.events.note(EventClasses::NEW, "new", db, key.bytes);
    }

    /// Inserts an item as if it was new, in the place of whatever the key has. Returns whether there was something whose
    /// time was not over.
    pub fn insert(&mut self, db: usize, key: &Key<'_>, mut item: Item) -> bool {
        self.position(db, key);
        item.set_lru(self.first_access());
        self.modified.note(db, key.bytes);
        let Some(old) = self.dbs.of_mut(db, key).insert(key, item) else {
            self.note_new(db, key);
            return false;
        };
        // One whose time is over is still there if expiry is paused.
        let lived = !old.is_expired(self.expiry_clock_ms());
        if !lived {
            self.leave_deletion(db, key);
        }
        self.discard(old);
        lived
    }

    /// Removes a key; `None` if it is not there or its time is over.
    pub fn remove(&mut self, db: usize, key: &Key<'_>) -> Option<Item> {
        self.position(db, key)?;
        self.take(db, key)
    }

    /// Removes a key and frees its value, a large one in steps. Returns whether it was there.
    pub fn delete(&mut self, db: usize, key: &Key<'_>) -> bool {
        let removed = self.remove(db, key);
        let there = removed.is_some();
        if let Some(item) = removed {
            self.discard(item);
        }
        there
    }

    /// Frees an item, a large one in steps.
    #[inline]
    pub fn discard(&mut self, item: Item) {
        if item.value().is_some_and(|value| value.len() > FREED_AT_ONCE) {
            self.garbage.push(item);
        }
    }

    /// Frees a collection, or what was taken out of one; a large one in steps.
    pub fn discard_value(&mut self, value: Value) {
        self.discard(Item::collection(b"", value, None));
    }

    /// The collection at a key that is about to be read; see [`Shard::lookup_read`].
    #[inline]
    pub fn read<T: Typed>(&mut self, db: usize, key: &Key<'_>) -> Result<Option<&T>, WrongType> {
        self.lookup_read(db, key).map(typed).transpose()
    }

    /// The collection at a key, if its time is not over; nothing is counted or changed.
    #[inline]
    pub fn peek_as<T: Typed>(&self, db: usize, key: &Key<'_>) -> Result<Option<&T>, WrongType> {
        self.peek(db, key).map(typed).transpose()
    }

    /// The collection at a key that is about to be changed. Whoever removes elements calls
    /// [`Shard::remove_if_empty`] afterwards.
    #[inline]
    pub fn write<T: Typed>(&mut self, db: usize, key: &Key<'_>) -> Result<Option<&mut T>, WrongType> {
        self.lookup_write(db, key).map(typed_mut).transpose()
    }

    /// The collection at a key that is about to be changed; what `make` returns if there is none.
    #[inline]
    pub fn write_or_insert<T: Typed>(
        &mut self,
        db: usize,
        key: &Key<'_>,
        make: impl FnOnce() -> T,
    ) -> Result<&mut T, WrongType> {
        let place = match self.position(db, key) {
            Some(place) => place,
            None => {
                self.insert(db, key, Item::collection(key.bytes, make().wrap(), None));
                self.dbs.of(db, key).position(key).expect("it was just inserted")
            }
        };
        typed_mut(self.touched(db, key, place, true))
    }

    /// Removes a key whose collection has lost its last element (a stream stays). Returns whether it was so.
    #[inline]
    pub fn remove_if_empty(&mut self, db: usize, key: &Key<'_>) -> bool {
        let value = self.dbs.of(db, key).get(key).and_then(Item::value);
        let empty = value.is_some_and(|value| value.is_empty() && value.kind() != Kind::Stream);
        if empty {
            self.dbs.of_mut(db, key).remove(key);
        }
        empty
    }

    /// Puts a collection in the place of whatever a key has, without expiry. Returns whether there was something.
    pub fn set_value(&mut self, db: usize, key: &Key<'_>, value: Value) -> bool {
        self.insert(db, key, Item::collection(key.bytes, value, None))
    }

    /// Takes an item out as it is, to be put in elsewhere.
    pub fn take(&mut self, db: usize, key: &Key<'_>) -> Option<Item> {
        let item = self.dbs.of_mut(db, key).remove(key)?;
        self.modified.note(db, key.bytes);
        Some(item)
    }

    /// Puts an item in as it is, and returns the one that it replaced.
    pub fn put(&mut self, db: usize, key: &Key<'_>, item: Item) -> Option<Item> {
        self.dbs.of_mut(db, key).insert(key, item)
    }

    /// Puts an item in whose key has this digest; gives it back if the key is there.
    pub fn add(&mut self, db: usize, digest: KeyDigest, item: Item) -> Result<(), Item> {
        self.dbs.of_mut(db, &Key::with_digest(item.key(), digest)).add(digest, item)
    }

    /// Exchanges two databases.
    pub fn swap_dbs(&mut self, a: usize, b: usize) {
        self.interrupt_walk();
        for (index, other) in [(a, b), (b, a)] {
            self.modified.note_exchange(index, other, &self.dbs, &self.hasher, self.now_ms);
        }
        self.dbs.exchange(a, b);
    }

    /// Empties a database. Its items go to the garbage. Returns how many they were.
    pub fn flush(&mut self, db: usize) -> usize {
        self.interrupt_walk();
        self.modified.note_flush(db, &self.dbs, &self.hasher);
        let (emptied, count) = self.dbs.empty(db);
        self.discard_dbs(emptied);
        count
    }

    /// Frees databases in steps.
    fn discard_dbs(&mut self, dbs: Vec<Db>) {
        dbs.into_iter().for_each(|db| self.garbage.push_tables(db.into_tables()));
    }

    /// The cut of a snapshot: what the shard has now is written, a part in every [`Shard::step_snapshot`]. One under way is
    /// given up.
    pub fn begin_snapshot(&mut self, encode: Encode) {
        self.end_snapshot();
        self.dbs.begin_walk(encode);
    }

    /// Goes on with a snapshot until the budget is spent or all is written.
    pub fn step_snapshot(&mut self, budget: &mut Budget) {
        let done = self.dbs.walk_on(budget);
        self.discard_dbs(done);
    }

    /// Ends a snapshot that is complete or not wanted any more.
    pub fn end_snapshot(&mut self) {
        let kept = self.dbs.end_walk();
        self.discard_dbs(kept);
    }

    /// Empties all databases. Returns how many items they had.
    pub fn flush_all(&mut self) -> usize {
        (0..self.dbs.len()).map(|db| self.flush(db)).sum()
    }

    /// A random key whose time is not over. Draws whose time is over are removed; while expiry is paused they are
    /// passed over, and after many of them in a row one is returned all the same, as there may be no others.
    pub fn random(&mut self, db: usize) -> Option<&Item> {
        let mut vain_draws = 0;
        loop {
            let mut rng = self.rng.clone();
            let drawn = self.dbs.random(db, &mut rng)?;
            if !drawn.is_expired(self.expiry_clock_ms()) || vain_draws == VAIN_DRAWS_MAX {
                // The same draw again, because the loop cannot hand out what it has borrowed.
                return self.dbs.random(db, &mut self.rng);
            }
            if self.expiry_paused {
                self.rng = rng;
                vain_draws += 1;
                continue;
            }
            let key = drawn.key().to_vec();
            self.expire(db, &self.key(&key));
        }
    }

    /// The keys that were removed since the last call because their time was over, oldest first.
    pub fn take_expired(&mut self) -> std::vec::Drain<'_, Expired> {
        self.expired.drain(..)
    }
}

#[inline]
fn typed<T: Typed>(item: &Item) -> Result<&T, WrongType> {
    item.value().and_then(T::of).ok_or(WrongType)
}

#[inline]
fn typed_mut<T: Typed>(item: &mut Item) -> Result<&mut T, WrongType> {
    item.value_mut().and_then(T::of_mut).ok_or(WrongType)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> Shard {
        let mut shard = Shard::new(2, Hasher::from_seed(1), 1);
        shard.now_ms = 5_000_000;
        shard
    }

    #[test]
    fn reads_are_counted_and_expire_lazily() {
        let mut shard = shard();
        shard.record_expired = true;
        let key = shard.key(b"a");
        assert!(!shard.set_string(0, &key, Str::Int(1), ExpiryPolicy::At(5_000_010)));
        assert!(shard.lookup_read(0, &key).is_some());
        shard.now_ms += 10;
        assert!(shard.lookup_read(0, &key).is_some(), "it lives in the millisecond it names");
        shard.now_ms += 1;
        assert!(shard.peek(0, &key).is_none());
        assert_eq!(shard.dbs[0].len(), 1, "peeking changes nothing");
        assert!(shard.lookup_read(0, &key).is_none());
        assert!(shard.lookup_write(0, &key).is_none());
        assert_eq!(shard.stats, KeyspaceStats { hits: 2, misses: 1, expired_keys: 1, expired_subkeys: 0 });
        assert_eq!(shard.dbs[0].len(), 0);
        let expired: Vec<Expired> = shard.take_expired().collect();
        assert!(matches!(&expired[..], [Expired { db: 0, item }] if item.key() == b"a"));
    }

    #[test]
    fn setting_an_expired_key_expires_it_first() {
        let mut shard = shard();
        let key = shard.key(b"a");
        shard.set_string(0, &key, Str::Int(1), ExpiryPolicy::At(1));
        assert!(!shard.set_string(0, &key, Str::Int(2), ExpiryPolicy::Keep), "it was gone");
        assert_eq!(shard.stats.expired_keys, 1);
        assert_eq!(shard.lookup_read(0, &key).and_then(Item::expire_at_ms), None);
    }

    #[test]
    fn the_access_clock_follows_reads_unless_told_not_to() {
        let mut shard = shard();
        let key = shard.key(b"a");
        shard.set_string(0, &key, Str::Int(1), ExpiryPolicy::Clear);
        shard.now_ms += 7_900;
        shard.touch = false;
        shard.lookup_read(0, &key);
        let idle = |shard: &Shard| shard.idle_seconds(shard.peek(0, &shard.key(b"a")).unwrap());
        assert_eq!(idle(&shard), 7);
        shard.touch = true;
        shard.lookup_read(0, &key);
        assert_eq!(idle(&shard), 0);
    }

    #[test]
    fn items_move_between_shards_and_databases() {
        let (mut from, mut to) = (shard(), shard());
        let key = from.key(b"a");
        from.set_string(0, &key, Str::Bytes(b"value"), ExpiryPolicy::At(9_000_000));
        let item = from.take(0, &key).unwrap();
        assert_eq!((from.dbs[0].len(), from.dbs[0].volatile_len()), (0, 0));
        assert!(to.put(0, &key, item).is_none());
        to.swap_dbs(0, 1);
        assert!(to.peek(0, &key).is_none());
        assert_eq!(to.peek(1, &key).map(Item::str), Some(Str::Bytes(b"value")));
        assert_eq!((to.dbs[1].len(), to.dbs[1].volatile_len()), (1, 1));
    }

    #[test]
    fn random_passes_over_what_is_expired() {
        let mut shard = shard();
        assert!(shard.random(0).is_none());
        for (name, at) in [(b"a", 1), (b"b", i64::MAX)] {
            let key = shard.key(name);
            shard.set_string(0, &key, Str::Int(1), ExpiryPolicy::At(at));
        }
        assert_eq!(shard.random(0).map(Item::key), Some(&b"b"[..]));
    }
}
