//! Expiry of the fields of hashes. As with keys, a field whose time is over is missed by everyone at once, but stays until a
//! command meets it or active expiry comes round.
//!
//! There is no index of such hashes over all keys: the hint of a slot ([`super::db`]) takes their fields in, and the walk
//! through the slot ([`super::expiry`]) finds the hashes.

use super::{Budget, Key, Reach, Shard};
use crate::base::event_classes::EventClasses;

impl Shard {
    /// Removes a field whose time is over, and the hash with its last field. Nothing happens while expiry is paused.
    #[cold]
    pub fn expire_field(&mut self, db: usize, key: &Key<'_>, field: &[u8]) {
        self.expire_named_fields(db, key, &[field]);
    }

    /// Removes such fields, as one event.
    pub fn expire_named_fields(&mut self, db: usize, key: &Key<'_>, fields: &[&[u8]]) {
        let hash = self.dbs.of_mut(db, key).hash_mut(key);
        let Some(hash) = hash.filter(|_| !self.expiry_paused) else { return };
        let (effects, reach) = (&mut self.effects, Reach::Slot(key.slot));
        let removed = fields.iter().filter(|field| {
            let removed = hash.remove(field);
            if removed {
                effects.leave(db, reach, &[b"HDEL", key.bytes, field]);
            }
            removed
        });
        let removed = removed.count();
        self.after_field_expiry(db, key, removed);
    }

    /// Removes fields whose time is over until none is left or the budget is spent, and the hash with its last field.
    /// Returns whether none is left. Nothing happens while expiry is paused.
    pub fn expire_fields(&mut self, db: usize, key: &Key<'_>, budget: &mut Budget) -> bool {
        let now_ms = self.expiry_clock_ms();
        let hash = self.dbs.of_mut(db, key).hash_mut(key);
        let Some(hash) = hash.filter(|_| !self.expiry_paused) else { return true };
        let (effects, reach) = (&mut self.effects, Reach::Slot(key.slot));
        let removed = hash.expire(now_ms, budget, &mut |field| {
            field.with_bytes(|field| effects.leave(db, reach, &[b"HDEL", key.bytes, field]));
        });
        let more = hash.has_expired(now_ms);
        let gone = self.after_field_expiry(db, key, removed);
        if !gone && !more {
            self.dbs.of_mut(db, key).watch_fields(key);
        }
        !more
    }

    /// Removes a hash that has no fields left, and says what has happened. Returns whether the hash is gone.
    fn after_field_expiry(&mut self, db: usize, key: &Key<'_>, removed: usize) -> bool {
        if removed == 0 {
            return false;
        }
        self.stats.expired_subkeys += removed as u64;
        self.events.note(EventClasses::HASH, "hexpired", db, key.bytes);
        let gone = self.remove_if_empty(db, key);
        if gone {
            self.events.note(EventClasses::GENERIC, "del", db, key.bytes);
        }
        self.modified.note(db, key.bytes);
        gone
    }

    /// Has active expiry come round for the fields of a hash of which some got an expiry.
    pub fn watch_fields(&mut self, db: usize, key: &Key<'_>) {
        self.dbs.of_mut(db, key).watch_fields(key);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::shard::expiry::ExpireProgress;
    use crate::shard::values::Hash;
    use crate::shard::values::hash::Growth;
    use crate::shard::{Hasher, Str};
    use proptest::prelude::*;

    const START_MS: i64 = 1_000_000;

    fn shard() -> Shard {
        let mut shard = Shard::new(2, Hasher::from_seed(1), 1);
        shard.now_ms = START_MS;
        shard
    }

    fn set(shard: &mut Shard, db: usize, name: &str, field: &str, expire_at_ms: Option<i64>) {
        let growth = Growth::new(&shard.settings, shard.hasher());
        let key = shard.key(name.as_bytes());
        let hash = shard.write_or_insert(db, &key, Hash::default).unwrap();
        hash.set(field.as_bytes(), Str::Int(1), &growth);
        if expire_at_ms.is_some() {
            hash.set_expiry(field.as_bytes(), expire_at_ms);
            shard.watch_fields(db, &key);
        }
    }

    fn pass(shard: &mut Shard, budget: usize) {
        while shard.expire_some(&mut Budget::items(budget)) == ExpireProgress::More {}
    }

    fn field_count(shard: &Shard, db: usize) -> usize {
        let mut count = 0;
        shard.dbs[db].for_each(|item| count += item.value().map_or(0, |value| value.len()));
        count
    }

    proptest! {
        /// Whatever happens to the hashes: none of their fields goes before its time, and all go soon after it.
        #[test]
        fn fields_go_when_their_time_is_over(
            fields in prop::collection::vec((0usize..2, 0u8..30, 0u8..20, prop::option::of(0i64..3000)), 0..300),
            entries in 0usize..30,
            budget in 1usize..100,
            step in 1i64..500,
            swaps in any::<u8>(),
        ) {
            let mut shard = shard();
            shard.settings.hash_max_listpack_entries = entries;
            let mut times = BTreeMap::new();
            for (db, name, field, after) in fields {
                let (name, field) = (format!("{{t}}{name}"), field.to_string());
                set(&mut shard, db, &name, &field, after.map(|after| START_MS + after));
                times.insert((db, name, field), after);
            }
            for turn in 0.. {
                // A pass may be interrupted anywhere.
                shard.now_ms += step;
                let _ = shard.expire_some(&mut Budget::items(budget));
                if swaps >> (turn % 8) & 1 == 1 {
                    shard.swap_dbs(0, 1);
                    let swapped = std::mem::take(&mut times).into_iter();
                    times = swapped.map(|((db, name, field), after)| ((1 - db, name, field), after)).collect();
                }
                for ((db, name, field), after) in &times {
                    let lives = after.is_none_or(|after| START_MS + after >= shard.now_ms);
                    let key = shard.key(name.as_bytes());
                    let hash = shard.peek_as::<Hash>(*db, &key).unwrap();
                    let entry = hash.and_then(|hash| hash.get(field.as_bytes()));
                    let found = entry.is_some_and(|entry| !entry.is_expired(shard.now_ms));
                    prop_assert_eq!(found, lives, "{} {}", name, field);
                }
                if shard.now_ms > START_MS + 3000 {
                    break;
                }
            }
            for _ in 0..20 {
                shard.now_ms += 200;
                pass(&mut shard, budget);
            }
            let left = times.values().filter(|after| after.is_none()).count();
            prop_assert_eq!(field_count(&shard, 0) + field_count(&shard, 1), left);
            prop_assert_eq!(shard.dbs.iter().map(|db| db.watched_len()).sum::<usize>(), 0);
            prop_assert_eq!(shard.stats.expired_subkeys as usize, times.len() - left);
        }
    }

    #[test]
    fn a_mass_of_fields_goes_in_bounded_steps() {
        let mut shard = shard();
        for n in 0..5_000 {
            set(&mut shard, 0, "hash", &n.to_string(), Some(START_MS));
        }
        assert_eq!(shard.dbs[0].watched_len(), 1);
        shard.now_ms += 10;
        let mut before = field_count(&shard, 0);
        while shard.expire_some(&mut Budget::items(100)) == ExpireProgress::More {
            let now = field_count(&shard, 0);
            assert!(before - now <= 100);
            before = now;
        }
        assert!(before <= 100);
        assert_eq!((field_count(&shard, 0), shard.dbs[0].len(), shard.dbs[0].watched_len()), (0, 0, 0));
    }

    #[test]
    fn hashes_are_counted_wherever_they_go() {
        let mut shard = shard();
        set(&mut shard, 0, "a", "field", Some(START_MS + 10));
        set(&mut shard, 0, "a", "other", None);
        set(&mut shard, 0, "b", "field", None);
        let counts = |shard: &Shard| [0, 1].map(|db| shard.dbs[db].watched_len());
        assert_eq!(counts(&shard), [1, 0]);
        let key = shard.key(b"a");
        let item = shard.take(0, &key).unwrap();
        let copy = item.clone_as(b"c");
        shard.put(1, &key, item);
        let key = shard.key(b"c");
        shard.put(0, &key, copy);
        assert_eq!(counts(&shard), [1, 1]);
        shard.now_ms += 200;
        pass(&mut shard, 10);
        assert_eq!((counts(&shard), field_count(&shard, 0), field_count(&shard, 1)), ([0, 0], 2, 1));
        set(&mut shard, 0, "c", "field", Some(i64::MAX));
        shard.delete(0, &key);
        assert_eq!(counts(&shard), [0, 0]);
    }

    #[test]
    fn a_hash_that_lost_its_expiries_is_forgotten_when_they_were_due() {
        let mut shard = shard();
        set(&mut shard, 0, "a", "field", Some(START_MS + 10));
        let key = shard.key(b"a");
        shard.write::<Hash>(0, &key).unwrap().unwrap().set_expiry(b"field", None);
        assert_eq!(shard.dbs[0].watched_len(), 1);
        shard.now_ms += 200;
        pass(&mut shard, 10);
        assert_eq!((shard.dbs[0].watched_len(), field_count(&shard, 0)), (0, 1));
    }

    #[test]
    fn while_expiry_is_paused_fields_stay() {
        let mut shard = shard();
        set(&mut shard, 0, "a", "field", Some(START_MS + 10));
        shard.expiry_paused = true;
        shard.now_ms += 200;
        let key = shard.key(b"a");
        shard.expire_field(0, &key, b"field");
        assert!(shard.expire_fields(0, &key, &mut Budget::items(9)));
        assert_eq!(field_count(&shard, 0), 1);
        shard.expiry_paused = false;
        shard.expire_field(0, &key, b"field");
        assert_eq!((shard.dbs[0].len(), shard.stats.expired_subkeys), (0, 1));
    }
}
