//! Active expiry and deferred freeing: work that is done in small steps between commands.
//!
//! Expiry goes over the keyspace in passes, at most one per [`PASS_INTERVAL_MS`]. A pass looks at every slot
//! whose hint says that something may be due, and walks its table. The position is a hash, so that a walk can
//! be interrupted anywhere. While a slot is walked its hint collects the earliest expiry of what stays; when it
//! is done the hint is put off a little if the walk found few, so that a big table is not walked for every key.
//!
//! A walk also finds the hashes that have fields whose time is over. They are dealt with one by one before it goes on.

use std::collections::VecDeque;

use super::item::Item;
use super::table::Table;
use super::{Budget, Expired, Key, Reach, Shard, Slot};
use crate::base::event_classes::EventClasses;

/// Least time between the starts of two passes.
pub const PASS_INTERVAL_MS: i64 = 100;
/// A slot that was walked mostly in vain rests for as many milliseconds as it has items, at most this long.
const LONGEST_REST_MS: i64 = 1000;
/// A walk was worth it if one in so many items was due.
const WORTH_IT: usize = 8;
/// Cost of looking for the next due slot, in items.
const SEARCH_COST: usize = 8;

/// How far [`Shard::expire_some`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpireProgress {
    /// The budget is spent and there may be more to do.
    More,
    /// Nothing is to be done before this time, Unix milliseconds.
    IdleUntil(i64),
}

/// Where the current pass stands.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Whether there is one.
    running: bool,
    started_ms: i64,
    db: usize,
    slot: usize,
    /// Set while the slot is being walked.
    walk: Option<Walk>,
    /// Keys of hashes that the walk has found to have fields whose time is over: at most as many as a budget.
    hashes: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy)]
struct Walk {
    position: u64,
    /// Items when it began.
    len: usize,
    removed: usize,
    /// Earliest expiry of the items kept.
    earliest: i64,
}

impl Shard {
    /// Removes keys whose time is over until the budget is spent or the pass is done. Each removed key is
    /// counted and recorded as by lazy expiry.
    pub fn expire_some(&mut self, budget: &mut Budget) -> ExpireProgress {
        let idle_until = self.pass.started_ms.saturating_add(PASS_INTERVAL_MS);
        if !self.active_expiry || self.expiry_paused || self.loading {
            return ExpireProgress::IdleUntil(self.now_ms.saturating_add(PASS_INTERVAL_MS));
        }
        if !self.pass.running {
            // A clock that was set back must not stop expiry.
            if self.now_ms < idle_until && self.now_ms >= self.pass.started_ms {
                return ExpireProgress::IdleUntil(idle_until);
            }
            self.pass = Pass { running: true, started_ms: self.now_ms, ..Pass::default() };
        }
        while !budget.is_spent() {
            if !self.expire_step(budget) {
                self.pass.running = false;
                return ExpireProgress::IdleUntil(self.pass.started_ms.saturating_add(PASS_INTERVAL_MS));
            }
        }
        ExpireProgress::More
    }

    /// Goes on with a walk or begins the next one; `false` if the pass is done.
    fn expire_step(&mut self, budget: &mut Budget) -> bool {
        if let Some(name) = self.pass.hashes.pop() {
            let key = self.key(&name);
            if !self.expire_fields(self.pass.db, &key, budget) {
                self.pass.hashes.push(name);
            }
            budget.spend(1);
            return true;
        }
        if self.pass.db == self.dbs.len() {
            return false;
        }
        let (db, _) = self.dbs.own_mut(self.pass.db);
        let slot = self.pass.slot;
        if let Some(walk) = self.pass.walk {
            self.pass.walk = self.walk_on(slot, walk, budget);
            if self.pass.walk.is_none() {
                self.pass.slot += 1;
            }
            return true;
        }
        budget.spend(SEARCH_COST);
        let found = if db.volatile_len() + db.watched_len() == 0 {
            None
        } else {
            db.next_due_slot(slot, self.now_ms)
        };
        if let Some(due) = found {
            db.forget_due(due);
            self.pass.slot = due;
            self.pass.walk =
                Some(Walk { position: 0, len: db.slot_len_at(due), removed: 0, earliest: i64::MAX });
        } else {
            self.pass.db += 1;
            self.pass.slot = 0;
        }
        true
    }

    fn walk_on(&mut self, slot: usize, mut walk: Walk, budget: &mut Budget) -> Option<Walk> {
        let (index, now_ms) = (self.pass.db, self.now_ms);
        let (expired, record, garbage) = (&mut self.expired, self.record_expired, &mut self.garbage);
        let (modified, events, effects) = (&mut self.modified, &mut self.events, &mut self.effects);
        let reach = Slot::new(slot as u16).map_or(Reach::Everywhere, Reach::Slot);
        let mut removed = 0;
        let hashes = &mut self.pass.hashes;
        let found_before = hashes.len();
        let hasher = &self.hasher;
        let (db, mut snapshot) = self.dbs.own_mut(index);
        let (next, earliest) = db.sweep_expired(
            slot,
            walk.position,
            now_ms,
            budget,
            &mut |item| {
                removed += 1;
                effects.leave(index, reach, &[b"DEL", item.key()]);
                if let Some(snapshot) = &mut snapshot {
                    snapshot.after_removal(index, &item, &Key::new(item.key(), hasher));
                }
                events.note(EventClasses::EXPIRED, "expired", index, item.key());
                modified.note(index, item.key());
                if record {
                    expired.push(Expired { db: index, item });
                } else if item.value().is_some() {
                    garbage.push(item);
                }
            },
            &mut |item| hashes.push(item.key().to_vec()),
        );
        let hashes_found = hashes.len() - found_before;
        self.stats.expired_keys += removed as u64;
        walk.removed += removed + hashes_found;
        walk.earliest = walk.earliest.min(earliest.unwrap_or(i64::MAX));
        if let Some(position) = next {
            return Some(Walk { position, ..walk });
        }
        if walk.earliest != i64::MAX {
            let rest =
                if walk.removed * WORTH_IT < walk.len { (walk.len as i64).min(LONGEST_REST_MS) } else { 0 };
            self.dbs.own_mut(index).0.keep_due(slot, walk.earliest.max(now_ms.saturating_add(rest)));
        }
        None
    }

    /// Stops the walk, for databases are about to change places or to be emptied.
    pub(super) fn interrupt_walk(&mut self) {
        if self.pass.walk.take().is_some() {
            self.dbs.own_mut(self.pass.db).0.keep_due(self.pass.slot, self.now_ms);
        }
        for name in self.pass.hashes.drain(..) {
            self.dbs.own_mut(self.pass.db).0.keep_due(Slot::of(&name).index(), self.now_ms);
        }
    }
}

/// What was taken out of the keyspace and waits for being freed in steps.
#[derive(Default)]
pub struct Garbage {
    databases: VecDeque<Box<[Table]>>,
    /// Tables of the first database that are free already.
    done: usize,
    items: Vec<Item>,
}

impl Garbage {
    /// Adds an item whose value may take long to free.
    pub fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Takes over what waits elsewhere.
    pub fn append(&mut self, other: &mut Garbage) {
        self.items.append(&mut other.items);
        self.databases.append(&mut other.databases);
        other.done = 0;
    }

    pub(super) fn push_tables(&mut self, tables: Box<[Table]>) {
        if !tables.is_empty() {
            self.databases.push_back(tables);
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.items.is_empty()
    }

    /// Number of items that wait (`lazyfree_pending_objects`).
    pub fn len(&self) -> usize {
        let tables = self.databases.iter().flatten();
        self.items.len() + tables.map(Table::len).sum::<usize>()
    }

    /// Frees until the budget is spent. Returns how many items it freed.
    pub fn free_some(&mut self, budget: &mut Budget) -> usize {
        let mut freed = 0;
        while !budget.is_spent()
            && let Some(item) = self.items.last_mut()
        {
            budget.spend(1);
            if item.value_mut().is_none_or(|value| value.drop_some(budget)) {
                self.items.pop();
                freed += 1;
            }
        }
        while let Some(tables) = self.databases.front_mut() {
            for table in &mut tables[self.done..] {
                if budget.is_spent() {
                    return freed;
                }
                let before = table.len();
                if before == 0 {
                    self.done += 1;
                    continue;
                }
                let empty = table.drop_some(budget);
                freed += before - table.len();
                if !empty {
                    return freed;
                }
                self.done += 1;
            }
            self.databases.pop_front();
            self.done = 0;
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::values::{Set, SetRules};
    use crate::shard::{ExpiryPolicy, Hasher, Key, Str};
    use proptest::prelude::*;

    fn shard() -> Shard {
        let mut shard = Shard::new(4, Hasher::from_seed(1), 1);
        shard.now_ms = 1_000_000;
        shard
    }

    fn set(shard: &mut Shard, db: usize, name: &str, expire_at_ms: i64) {
        let key = shard.key(name.as_bytes());
        shard.set_string(db, &key, Str::Int(1), ExpiryPolicy::At(expire_at_ms));
    }

    fn run_pass(shard: &mut Shard, budget: usize) {
        while shard.expire_some(&mut Budget::items(budget)) == ExpireProgress::More {}
    }

    proptest! {
        /// After its time plus the longest rest a key is gone, and none goes before its time.
        #[test]
        fn keys_go_when_their_time_is_over(
            keys in proptest::collection::vec((0usize..4, 0u16..500, 0i64..5000), 0..600),
            budget in 1usize..200,
            step in 1i64..700,
        ) {
            let mut shard = shard();
            shard.record_expired = true;
            let start = shard.now_ms;
            let mut times = std::collections::HashMap::new();
            for (db, n, after) in keys {
                // One slot for most, so that its table splits.
                let name = if n % 3 == 0 { n.to_string() } else { format!("{{t}}{n}") };
                set(&mut shard, db, &name, start + after);
                times.insert((db, name.into_bytes()), start + after);
            }
            while shard.now_ms < start + 7000 {
                shard.now_ms += step;
                run_pass(&mut shard, budget);
                let now = shard.now_ms;
                for Expired { db, item } in shard.take_expired() {
                    let at = times.remove(&(db, item.key().to_vec()));
                    prop_assert!(at.is_some_and(|at| at < now), "too early or twice");
                }
                let late = now - PASS_INTERVAL_MS - LONGEST_REST_MS - step;
                prop_assert!(times.values().all(|&at| at >= late), "too late");
            }
            prop_assert!(times.is_empty());
            prop_assert_eq!(shard.dbs.iter().map(|db| db.len() + db.volatile_len()).sum::<usize>(), 0);
        }
    }

    #[test]
    fn a_mass_of_keys_goes_in_bounded_steps() {
        let mut shard = shard();
        for n in 0..20_000 {
            set(&mut shard, 0, &n.to_string(), 1_000_001);
        }
        shard.now_ms += 10;
        let mut before = shard.dbs[0].len();
        while shard.expire_some(&mut Budget::items(100)) == ExpireProgress::More {
            let removed = before - shard.dbs[0].len();
            assert!(removed <= 100 + 10, "{removed} in one step");
            before = shard.dbs[0].len();
        }
        assert_eq!((shard.dbs[0].len(), shard.stats.expired_keys), (0, 20_000));
    }

    #[test]
    fn swapping_and_flushing_interrupt_a_walk_without_losing_keys() {
        let mut shard = shard();
        for n in 0..300 {
            set(&mut shard, 0, &format!("{{t}}{n}"), 1_000_001);
        }
        shard.now_ms += 10;
        assert_eq!(shard.expire_some(&mut Budget::items(50)), ExpireProgress::More);
        shard.swap_dbs(0, 1);
        assert!(!shard.dbs[1].is_empty());
        for _ in 0..3 {
            run_pass(&mut shard, 50);
            shard.now_ms += PASS_INTERVAL_MS;
        }
        assert!(shard.dbs[1].is_empty());

        set(&mut shard, 0, "a", 0);
        set(&mut shard, 0, "{t}", i64::MAX);
        assert_eq!((shard.flush(0), shard.dbs[0].volatile_len()), (2, 0));
        run_pass(&mut shard, 1);
    }

    #[test]
    fn nothing_goes_while_it_is_switched_off() {
        let mut shard = shard();
        set(&mut shard, 0, "a", 1);
        shard.active_expiry = false;
        assert!(matches!(shard.expire_some(&mut Budget::items(100)), ExpireProgress::IdleUntil(_)));
        assert_eq!(shard.dbs[0].len(), 1);
        shard.active_expiry = true;
        run_pass(&mut shard, 100);
        assert_eq!(shard.dbs[0].len(), 0);
    }

    #[test]
    fn garbage_is_freed_in_steps() {
        let mut shard = shard();
        for n in 0..1000 {
            set(&mut shard, n % 3, &n.to_string(), i64::MAX);
        }
        assert_eq!(shard.flush_all(), 1000);
        shard.garbage.push(Item::string(b"big", &[0; 10_000], None));
        assert_eq!(
            (shard.garbage.len(), shard.dbs.iter().map(crate::shard::Db::len).sum::<usize>()),
            (1001, 0)
        );
        let mut freed = 0;
        while !shard.garbage.is_empty() {
            let step = shard.garbage.free_some(&mut Budget::items(64));
            assert!(step <= 64);
            freed += step;
        }
        assert_eq!(freed, 1001);
        let key = Key::new(b"1", &Hasher::from_seed(1));
        assert!(shard.peek(0, &key).is_none());
    }

    #[test]
    fn a_large_value_in_an_emptied_database_is_freed_in_steps() {
        let mut shard = shard();
        let (key, hasher) = (shard.key(b"set"), shard.hasher().clone());
        let rules = SetRules::new(&shard.settings, &hasher);
        let set = shard.write_or_insert(0, &key, Set::default).unwrap();
        (0..5_000).for_each(|n| assert!(set.insert(Str::Bytes(format!("member {n}").as_bytes()), &rules)));
        shard.flush(0);
        let mut steps = 0;
        while !shard.garbage.is_empty() {
            shard.garbage.free_some(&mut Budget::items(64));
            steps += 1;
        }
        assert!(steps >= 5_000 / 64, "{steps} steps");
    }

    #[test]
    fn while_expiry_is_paused_keys_are_missed_but_stay() {
        let mut shard = shard();
        let now = shard.now_ms;
        set(&mut shard, 0, "key", now + 10);
        shard.expiry_paused = true;
        shard.now_ms += 1000;
        run_pass(&mut shard, 10);
        let key = Hasher::from_seed(1);
        let key = Key::new(b"key", &key);
        assert!(shard.lookup_read(0, &key).is_none() && shard.remove(0, &key).is_none());
        assert!(shard.random(0).is_some(), "it looks for others for a while only");
        assert_eq!((shard.dbs[0].len(), shard.stats.expired_keys), (1, 0));
        shard.expiry_paused = false;
        assert!(shard.random(0).is_none());
        assert_eq!((shard.dbs[0].len(), shard.stats.expired_keys), (0, 1));
    }
}
