//! Which clients have read which keys of a shard.
//!
//! Representation: the keys in no order, so that one can be chosen at random and all can be looked through in steps, and an
//! index by name. A client that ends its connection is not looked for: it stands with the `dead` until there are many of
//! them, and then all entries are gone through, some each turn. An id is never used again, so whoever is dead stays so.
//!
//! Invariants: `index` has exactly the names in `entries`, each with its place; every entry has a tracker, and `items` is
//! the number of all of them. `sweeping` holds dead clients, of which none is left from its `at` on.

use std::collections::hash_map;

use ahash::{AHashMap, AHashSet};
use smallvec::SmallVec;

use super::{Name, Tracker, Trackers};

/// Dead clients that are left alone, because to look for them costs as much as for many.
const DEAD_MAX: usize = 256;

#[derive(Debug)]
struct Entry {
    name: Name,
    trackers: Trackers,
}

/// A pass over all entries that takes dead clients out.
#[derive(Debug)]
struct Sweep {
    dead: AHashSet<u64>,
    /// Entries before this one are to be looked at.
    at: usize,
}

/// What was forgotten at once and is freed in steps.
#[derive(Debug)]
struct Garbage {
    index: hash_map::IntoIter<Name, usize>,
    entries: Vec<Entry>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Table {
    index: AHashMap<Name, usize>,
    entries: Vec<Entry>,
    items: usize,
    dead: AHashSet<u64>,
    sweeping: Option<Sweep>,
    garbage: Vec<Garbage>,
}

impl Table {
    /// Number of keys that somebody has read.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody has read any.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of pairs of a key and a client.
    pub fn items(&self) -> usize {
        self.items
    }

    /// A client has read a key.
    pub fn add(&mut self, key: &[u8], tracker: Tracker) {
        if self.is_dead(tracker.client) {
            // Its last command has stood in line for longer than it has lived.
            return;
        }
        let Some(&at) = self.index.get(key) else {
            let name = Name::from(key);
            self.index.insert(name.clone(), self.entries.len());
            self.entries.push(Entry { name, trackers: SmallVec::from_buf([tracker]) });
            self.items += 1;
            return;
        };
        let trackers = &mut self.entries[at].trackers;
        if let Err(place) = trackers.binary_search(&tracker) {
            trackers.insert(place, tracker);
            self.items += 1;
        }
    }

    /// A key was modified: those who have read it, who are forgotten.
    pub fn take(&mut self, key: &[u8]) -> Trackers {
        match self.index.get(key) {
            Some(&at) => self.remove(at).trackers,
            None => Trackers::new(),
        }
    }

    /// Forgets a key, chosen by a number below [`Table::len`].
    pub fn evict(&mut self, at: usize) -> (Name, Trackers) {
        let Entry { name, trackers } = self.remove(at);
        (name, trackers)
    }

    fn remove(&mut self, at: usize) -> Entry {
        let entry = self.entries.swap_remove(at);
        self.index.remove(&entry.name);
        self.items -= entry.trackers.len();
        if let Some(moved) = self.entries.get(at) {
            // It comes from behind: if that was looked at already, so was the new place or it is looked at again.
            self.index.insert(moved.name.clone(), at);
        }
        if let Some(sweep) = &mut self.sweeping {
            sweep.at = sweep.at.min(self.entries.len());
        }
        entry
    }

    /// All keys were modified.
    pub fn clear(&mut self) {
        let index = std::mem::take(&mut self.index).into_iter();
        self.garbage.push(Garbage { index, entries: std::mem::take(&mut self.entries) });
        self.items = 0;
        self.dead.clear();
        self.sweeping = None;
    }

    /// A client is gone.
    pub fn forget(&mut self, client: u64) {
        if !self.is_empty() {
            self.dead.insert(client);
        }
    }

    fn is_dead(&self, client: u64) -> bool {
        self.dead.contains(&client)
            || self.sweeping.as_ref().is_some_and(|sweep| sweep.dead.contains(&client))
    }

    /// Whether nothing is to be freed.
    pub fn is_tidy(&self) -> bool {
        self.garbage.is_empty()
    }

    /// Takes out what is left of clients that are gone, and frees what was forgotten, looking at so many entries. Returns
    /// whether there is more to do.
    pub fn tidy(&mut self, mut budget: usize) -> bool {
        while let Some(garbage) = self.garbage.last_mut() {
            if budget == 0 {
                return true;
            }
            budget -= 1;
            if garbage.index.next().is_none() & garbage.entries.pop().is_none() {
                self.garbage.pop();
            }
        }
        if self.sweeping.is_none() && self.dead.len() > DEAD_MAX {
            let dead = std::mem::take(&mut self.dead);
            self.sweeping = Some(Sweep { dead, at: self.entries.len() });
        }
        let Some(mut sweep) = self.sweeping.take() else { return false };
        while sweep.at > 0 && budget > 0 {
            (sweep.at, budget) = (sweep.at - 1, budget - 1);
            let trackers = &mut self.entries[sweep.at].trackers;
            let before = trackers.len();
            trackers.retain(|tracker| !sweep.dead.contains(&tracker.client));
            self.items -= before - trackers.len();
            if trackers.is_empty() {
                // The last one takes its place, which was looked at already.
                self.remove(sweep.at);
            }
        }
        if sweep.at > 0 {
            self.sweeping = Some(sweep);
        }
        self.sweeping.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::runtime::io::{ConnId, CoreId};

    fn tracker(client: u64) -> Tracker {
        Tracker { client, conn: ConnId(client as u32), core: CoreId(client as u16 % 3) }
    }

    fn ids(trackers: &Trackers) -> Vec<u64> {
        trackers.iter().map(|tracker| tracker.client).collect()
    }

    fn check(table: &Table) {
        assert_eq!(table.index.len(), table.entries.len());
        assert_eq!(table.items, table.entries.iter().map(|entry| entry.trackers.len()).sum::<usize>());
        for (at, entry) in table.entries.iter().enumerate() {
            assert_eq!(table.index[&entry.name], at);
            assert!(!entry.trackers.is_empty() && entry.trackers.is_sorted());
        }
    }

    #[test]
    fn readers_are_told_once_for_each_time_that_they_read() {
        let mut table = Table::default();
        for client in [7, 3, 7, 5] {
            table.add(b"k", tracker(client));
        }
        table.add(b"other", tracker(3));
        assert_eq!((table.len(), table.items()), (2, 4));
        assert_eq!(ids(&table.take(b"k")), [3, 5, 7]);
        assert!(table.take(b"k").is_empty());
        assert_eq!((table.len(), table.items()), (1, 1));
    }

    #[test]
    fn what_the_dead_have_read_is_forgotten_in_steps() {
        let mut table = Table::default();
        for key in 0..1000_u32 {
            table.add(&key.to_le_bytes(), tracker(0));
            table.add(&key.to_le_bytes(), tracker(1 + u64::from(key % 600)));
        }
        (1..=600).for_each(|client| table.forget(client));
        assert!(table.tidy(100), "it is not done at once");
        table.add(b"new", tracker(1));
        table.add(b"new", tracker(1000));
        while table.tidy(100) {}
        assert_eq!((table.len(), table.items()), (1001, 1001));
        assert_eq!(ids(&table.take(b"new")), [1000]);
        check(&table);
    }

    #[test]
    fn a_cleared_table_is_freed_in_steps() {
        let mut table = Table::default();
        (0..1000_u32).for_each(|key| table.add(&key.to_le_bytes(), tracker(1)));
        table.clear();
        assert_eq!((table.len(), table.items()), (0, 0));
        table.add(b"k", tracker(1));
        assert!(table.tidy(100));
        while table.tidy(100) {}
        assert!(table.is_tidy());
        assert_eq!(table.len(), 1);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(u8, u64),
        Take(u8),
        Evict(usize),
        Forget(u64),
        Clear,
        Tidy(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (any::<u8>(), 0..2000_u64).prop_map(|(key, client)| Step::Add(key, client)),
            4 => any::<u8>().prop_map(Step::Take),
            2 => any::<usize>().prop_map(Step::Evict),
            20 => (0..2000_u64).prop_map(Step::Forget),
            1 => Just(Step::Clear),
            4 => (0..100_usize).prop_map(Step::Tidy),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Everybody alive who has read a key is told of it, and at the end no dead client is left but the last.
        #[test]
        fn like_a_map_of_sets(steps in prop::collection::vec(step(), 1..2500)) {
            let mut table = Table::default();
            let mut model = BTreeMap::<Vec<u8>, BTreeSet<u64>>::new();
            let mut gone = BTreeSet::new();
            let alive = |trackers: &Trackers, gone: &BTreeSet<u64>| -> BTreeSet<u64> {
                ids(trackers).into_iter().filter(|client| !gone.contains(client)).collect()
            };
            for step in steps {
                match step {
                    Step::Add(key, client) => {
                        if !gone.contains(&client) {
                            table.add(&[key], tracker(client));
                            model.entry(vec![key]).or_default().insert(client);
                        }
                    }
                    Step::Take(key) => {
                        let told = model.remove(&vec![key]).unwrap_or_default();
                        prop_assert_eq!(alive(&table.take(&[key]), &gone), &told - &gone);
                    }
                    Step::Evict(number) if !table.is_empty() => {
                        let (name, trackers) = table.evict(number % table.len());
                        let told = model.remove(&name.to_vec()).unwrap_or_default();
                        prop_assert_eq!(alive(&trackers, &gone), &told - &gone);
                    }
                    Step::Evict(_) => {}
                    Step::Forget(client) => {
                        if gone.insert(client) {
                            table.forget(client);
                        }
                    }
                    Step::Clear => {
                        table.clear();
                        model.clear();
                    }
                    Step::Tidy(budget) => drop(table.tidy(budget)),
                }
                check(&table);
            }
            while table.tidy(1000) {}
            prop_assert!(table.dead.len() <= DEAD_MAX && table.sweeping.is_none());
            let is_expected = |tracker: &Tracker| {
                !gone.contains(&tracker.client) || table.dead.contains(&tracker.client)
            };
            prop_assert!(table.entries.iter().flat_map(|entry| &entry.trackers).all(is_expected));
        }
    }
}
