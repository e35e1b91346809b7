//! Prefixes of broadcasting mode: which of this core's clients hear of them, and which other cores have such clients.
//!
//! A key is looked up once for each *length* of a prefix that there is, however many prefixes there are. Keys that were
//! modified are collected until the end of the turn, each with whoever modified it last, and then go out together.
//!
//! Invariants: a prefix has listeners here or elsewhere; no length is empty; `modified` is true if any prefix has keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Name;
use crate::runtime::io::{ConnId, CoreId};

/// A prefix gets its first listener of a core, or loses the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixChange {
    /// The prefix.
    pub name: Name,
    /// Whether it is the first.
    pub begins: bool,
}

/// Connections of this core that listen to a prefix.
pub type Listeners = SmallVec<[ConnId; 2]>;

/// Keys, each with the client that was the last to modify it, 0 for none.
pub type ModifiedKeys = BTreeMap<Arc<[u8]>, u64>;

#[derive(Debug, Default)]
struct Prefix {
    here: Listeners,
    elsewhere: SmallVec<[CoreId; 2]>,
    /// Modified in this turn.
    keys: ModifiedKeys,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Prefixes {
    by_len: BTreeMap<usize, BTreeMap<Name, Prefix>>,
    modified: bool,
}

impl Prefixes {
    /// Number of prefixes that any client of any core listens to.
    pub fn len(&self) -> usize {
        self.by_len.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_len.is_empty()
    }

    /// A client of this core listens to a prefix. Returns what the other cores have to know.
    pub fn add(&mut self, name: &Name, conn: ConnId) -> Option<PrefixChange> {
        let prefix = self.prefix(name);
        let first = prefix.here.is_empty();
        if !prefix.here.contains(&conn) {
            prefix.here.push(conn);
        }
        first.then(|| PrefixChange { name: name.clone(), begins: true })
    }

    /// A client of this core listens to a prefix no more. Returns what the other cores have to know.
    pub fn remove(&mut self, name: &Name, conn: ConnId) -> Option<PrefixChange> {
        let prefix = self.prefix(name);
        prefix.here.retain(|other| *other != conn);
        let last = prefix.here.is_empty();
        self.drop_if_unheard(name);
        last.then(|| PrefixChange { name: name.clone(), begins: false })
    }

    /// Takes note of what has changed on another core.
    pub fn note(&mut self, core: CoreId, changes: &[PrefixChange]) {
        for PrefixChange { name, begins } in changes {
            let elsewhere = &mut self.prefix(name).elsewhere;
            elsewhere.retain(|other| *other != core);
            if *begins {
                elsewhere.push(core);
            }
            self.drop_if_unheard(name);
        }
    }

    fn prefix(&mut self, name: &Name) -> &mut Prefix {
        self.by_len.entry(name.len()).or_default().entry(name.clone()).or_default()
    }

    fn drop_if_unheard(&mut self, name: &Name) {
        let Some(same_len) = self.by_len.get_mut(&name.len()) else { return };
        if same_len.get(name).is_some_and(|prefix| prefix.here.is_empty() && prefix.elsewhere.is_empty()) {
            same_len.remove(name);
        }
        if same_len.is_empty() {
            self.by_len.remove(&name.len());
        }
    }

    /// Takes note that a key was modified by a client, 0 for none, for those of this core who want to hear of it. Returns
    /// the other cores that have such clients.
    pub fn modified(&mut self, key: &[u8], by: u64) -> SmallVec<[CoreId; 8]> {
        let mut cores = SmallVec::new();
        let mut shared: Option<Arc<[u8]>> = None;
        for (&len, prefixes) in self.by_len.range_mut(..=key.len()) {
            let Some(prefix) = prefixes.get_mut(&key[..len]) else { continue };
            if !prefix.here.is_empty() {
                let key = shared.get_or_insert_with(|| key.into()).clone();
                prefix.keys.insert(key, by);
                self.modified = true;
            }
            for &core in &prefix.elsewhere {
                if !cores.contains(&core) {
                    cores.push(core);
                }
            }
        }
        cores
    }

    /// Whether keys were modified that somebody here wants to hear of.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.modified
    }

    /// For each prefix of such keys, these, each with who has modified it, and who listens.
    pub fn take_modified(&mut self) -> Vec<(Listeners, ModifiedKeys)> {
        self.modified = false;
        let prefixes = self.by_len.values_mut().flat_map(BTreeMap::values_mut);
        prefixes
            .filter(|prefix| !prefix.keys.is_empty())
            .map(|prefix| (prefix.here.clone(), std::mem::take(&mut prefix.keys)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn name(text: &str) -> Name {
        text.as_bytes().into()
    }

    /// For some connections: keys, and who has modified them.
    type Taken = (Vec<u32>, Vec<(String, u64)>);

    fn taken(prefixes: &mut Prefixes) -> Vec<Taken> {
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let taken = prefixes.take_modified().into_iter();
        taken
            .map(|(conns, keys)| {
                (
                    conns.iter().map(|conn| conn.0).collect(),
                    keys.iter().map(|(key, by)| (text(key), *by)).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn keys_are_collected_for_each_prefix_that_they_begin_with() {
        let mut prefixes = Prefixes::default();
        for (prefix, conn) in [("", A), ("a:", A), ("a:", B), ("b:", B), ("a:long", B)] {
            prefixes.add(&name(prefix), conn);
        }
        for (key, by) in [("a:1", 7), ("c", 0), ("a:1", 8), ("b", 0), ("", 9)] {
            assert!(prefixes.modified(key.as_bytes(), by).is_empty());
        }
        let all = [("", 9), ("a:1", 8), ("b", 0), ("c", 0)].map(|(key, by)| (key.to_owned(), by));
        let expected = [(vec![1], all.to_vec()), (vec![1, 2], vec![("a:1".to_owned(), 8)])];
        assert!(prefixes.is_pending());
        assert_eq!(taken(&mut prefixes), expected);
        assert!(!prefixes.is_pending() && taken(&mut prefixes).is_empty());
    }

    #[test]
    fn other_cores_know_of_the_first_and_the_last_listener() {
        let mut here = Prefixes::default();
        let mut there = Prefixes::default();
        let begins = here.add(&name("a"), A).expect("the first");
        assert_eq!((here.add(&name("a"), A), here.add(&name("a"), B)), (None, None));
        there.note(CoreId(3), std::slice::from_ref(&begins));
        assert_eq!(there.modified(b"abc", 0).as_slice(), [CoreId(3)]);
        assert!(there.modified(b"b", 0).is_empty() && !there.is_pending());
        assert_eq!(here.remove(&name("a"), A), None);
        let ends = here.remove(&name("a"), B).expect("the last");
        assert!(here.is_empty());
        there.note(CoreId(3), &[ends]);
        assert!(there.is_empty() && there.modified(b"abc", 0).is_empty());
    }
}
