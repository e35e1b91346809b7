//! Clients that watch keys of a shard (`WATCH`), and whether one of these keys has changed.
//!
//! Representation: for each watcher its keys and whether one has changed; for each key its watchers. A key whose time was
//! over when it was watched is as good as gone: its removal is no change, nor is another key in its place whose time is over.
//! One whose time is over later has changed, whether it was removed or not. Invariant: the keys of the shard's [`Modified`] that are here count once for each watcher.

use std::collections::BTreeMap;

use ahash::AHashMap;
use smallvec::SmallVec;

use crate::runtime::io::CoreId;
use crate::shard::{DbKey, Item, Modified, Shard};

/// A client that watches keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Watcher {
    /// Its core.
    pub core: CoreId,
    /// Its id.
    pub client: u64,
}

#[derive(Debug)]
struct Watched {
    key: DbKey,
    /// It was there when it was watched, and its time was not over.
    there: bool,
    /// Others who had reserved it before use it still: what they do has happened before it is watched.
    to_come: bool,
}

#[derive(Debug, Default)]
struct Watch {
    changed: bool,
    keys: Vec<Watched>,
}

/// All watchers of one shard. See the module.
#[derive(Debug, Default)]
pub struct Watches {
    watches: AHashMap<Watcher, Watch>,
    watchers: BTreeMap<DbKey, SmallVec<[Watcher; 2]>>,
    /// Test-only: changes are overlooked, so that the history checker has something to find.
    broken: bool,
}

impl Watches {
    /// Number of keys that somebody watches.
    pub fn keys(&self) -> usize {
        self.watchers.len()
    }

    /// Test-only: from now on changes are overlooked.
    pub fn break_for_test(&mut self) {
        self.broken = true;
    }

    /// Adds a key to those that a client watches; with `to_come` it counts from [`Watches::begin`] on.
    pub fn watch(&mut self, watcher: Watcher, key: DbKey, to_come: bool, shard: &mut Shard) {
        let watchers = self.watchers.entry(key.clone()).or_default();
        if watchers.contains(&watcher) {
            return;
        }
        watchers.push(watcher);
        shard.modified.add(key.0, &key.1);
        let there = is_there(&key, shard);
        self.watches.entry(watcher).or_default().keys.push(Watched { key, there, to_come });
    }

    /// The keys that were still to come count from now on.
    pub fn begin(&mut self, watcher: Watcher, shard: &Shard) {
        let Some(watch) = self.watches.get_mut(&watcher) else { return };
        for watched in watch.keys.iter_mut().filter(|watched| watched.to_come) {
            (watched.there, watched.to_come) = (is_there(&watched.key, shard), false);
        }
    }

    /// A client watches no key any more.
    pub fn unwatch(&mut self, watcher: Watcher, modified: &mut Modified) {
        let Some(watch) = self.watches.remove(&watcher) else { return };
        for Watched { key, .. } in watch.keys {
            modified.remove(key.0, &key.1);
            let Some(watchers) = self.watchers.get_mut(&key) else { continue };
            watchers.retain(|other| *other != watcher);
            if watchers.is_empty() {
                self.watchers.remove(&key);
            }
        }
    }

    /// A key has changed.
    pub fn note(&mut self, key: &DbKey, shard: &Shard) {
        let Some(watchers) = self.watchers.get(key) else { return };
        let is_there = is_there(key, shard);
        for watcher in watchers {
            let Some(watch) = self.watches.get_mut(watcher) else { continue };
            let Some(watched) = watch.keys.iter().find(|watched| watched.key == *key) else { continue };
            // What was as good as gone before and is so now has not changed.
            watch.changed |= !watched.to_come && (is_there || watched.there);
        }
    }

    /// Whether none of a client's keys has changed.
    pub fn is_unchanged(&self, watcher: Watcher, shard: &Shard) -> bool {
        let expired = |watched: &Watched| {
            watched.there && item(&watched.key, shard).is_some_and(|item| item.is_expired(shard.now_ms))
        };
        let unchanged = |watch: &Watch| !watch.changed && !watch.keys.iter().any(expired);
        self.broken || self.watches.get(&watcher).is_none_or(unchanged)
    }
}

/// The item of a key, whether its time is over or not.
fn item<'s>((db, name): &DbKey, shard: &'s Shard) -> Option<&'s Item> {
    let key = shard.key(name);
    shard.dbs.of(usize::from(*db), &key).get(&key)
}

/// Whether a key is there and its time is not over.
fn is_there(key: &DbKey, shard: &Shard) -> bool {
    item(key, shard).is_some_and(|item| !item.is_expired(shard.now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{ExpiryPolicy, Hasher, Str};

    struct Bench {
        watches: Watches,
        shard: Shard,
    }

    const A: Watcher = Watcher { core: CoreId(0), client: 1 };
    const B: Watcher = Watcher { core: CoreId(1), client: 1 };

    impl Bench {
        fn new() -> Bench {
            let mut shard = Shard::new(2, Hasher::from_seed(1), 1);
            shard.now_ms = 1000;
            Bench { watches: Watches::default(), shard }
        }

        fn watch(&mut self, watcher: Watcher, key: &str) {
            self.watches.watch(watcher, (0, key.as_bytes().into()), false, &mut self.shard);
        }

        fn set(&mut self, key: &str, policy: ExpiryPolicy) {
            let key = self.shard.key(key.as_bytes());
            self.shard.set_string(0, &key, Str::Int(1), policy);
            self.shard.modified.note(0, key.bytes);
            self.tell();
        }

        fn delete(&mut self, key: &str) {
            let key = self.shard.key(key.as_bytes());
            self.shard.delete(0, &key);
            self.tell();
        }

        fn tell(&mut self) {
            while let Some(key) = self.shard.modified.take() {
                self.watches.note(&key, &self.shard);
            }
        }

        fn unchanged(&self, watcher: Watcher) -> bool {
            self.watches.is_unchanged(watcher, &self.shard)
        }
    }

    #[test]
    fn each_watcher_learns_of_its_own_keys() {
        let mut bench = Bench::new();
        assert!(bench.unchanged(A));
        bench.watch(A, "a");
        bench.watch(A, "a");
        bench.watch(B, "a");
        bench.watch(B, "b");
        bench.set("b", ExpiryPolicy::Clear);
        assert!(bench.unchanged(A) && !bench.unchanged(B));
        bench.watches.unwatch(B, &mut bench.shard.modified);
        assert!(bench.unchanged(B));
        assert_eq!(bench.watches.keys(), 1);
        bench.set("a", ExpiryPolicy::Clear);
        assert!(!bench.unchanged(A));
        bench.watches.unwatch(A, &mut bench.shard.modified);
        assert!(bench.shard.modified.is_empty());
        assert_eq!(bench.watches.keys(), 0);
    }

    #[test]
    fn what_happens_before_a_watch_begins_does_not_count() {
        let mut bench = Bench::new();
        bench.watch(A, "a");
        bench.watches.watch(A, (0, b"b"[..].into()), true, &mut bench.shard);
        bench.set("b", ExpiryPolicy::Clear);
        assert!(bench.unchanged(A));
        bench.watches.begin(A, &bench.shard);
        assert!(bench.unchanged(A));
        bench.set("b", ExpiryPolicy::Clear);
        assert!(!bench.unchanged(A));
        bench.watches.unwatch(A, &mut bench.shard.modified);
        bench.watches.begin(A, &bench.shard);
        assert_eq!(bench.watches.keys(), 0, "who is gone meanwhile stays so");
    }

    #[test]
    fn a_key_whose_time_ends_has_changed() {
        let mut bench = Bench::new();
        bench.set("a", ExpiryPolicy::At(2000));
        bench.watch(A, "a");
        assert!(bench.unchanged(A));
        bench.shard.now_ms = 3000;
        assert!(!bench.unchanged(A), "although it is still there");
        bench.delete("a");
        assert!(!bench.unchanged(A));
    }

    #[test]
    fn a_key_whose_time_was_over_is_as_good_as_gone() {
        let mut bench = Bench::new();
        bench.set("a", ExpiryPolicy::At(2000));
        bench.shard.now_ms = 3000;
        bench.watch(A, "a");
        assert!(bench.unchanged(A));
        bench.delete("a");
        assert!(bench.unchanged(A), "its removal is no change");
        bench.set("a", ExpiryPolicy::Clear);
        assert!(!bench.unchanged(A));
    }
}
