//! Keys that clients wait for, and which of them have changed since they were last looked at.
//!
//! Whatever may make a key ready for somebody is noted here: the shard notes that it appears, is replaced or removed, a
//! handler that its stream has a new entry or one group less. While nobody waits, which is nearly always, a note costs one
//! look at a counter. A command that finds nothing notes nothing (but keys whose time was over), so that asking it again
//! comes to an end.
//!
//! Representation: the awaited keys of each database in order, each with whether it stands in `changed` already. A
//! workbench has no waiters of its own; it notes every key, and each as often as it changes, for the shards that the entries
//! go back to.

use std::collections::{BTreeMap, VecDeque};

/// A key with its database.
pub type DbKey = (u16, Box<[u8]>);

/// See the module.
#[derive(Debug, Default)]
pub struct Awaited {
    /// By database; those behind the last awaited key may be missing.
    keys: Vec<BTreeMap<Box<[u8]>, bool>>,
    /// Number of awaited keys; more than none on a workbench.
    watched: usize,
    workbench: bool,
    /// Changed keys, the first to change in front.
    changed: VecDeque<DbKey>,
}

impl Awaited {
    /// One that notes every key.
    pub fn workbench() -> Awaited {
        Awaited { watched: 1, workbench: true, ..Awaited::default() }
    }

    /// Notes every key from now on, or only those that are awaited.
    pub fn note_every(&mut self, every: bool) {
        debug_assert_ne!(self.workbench, every);
        self.workbench = every;
        self.watched = if every { self.watched + 1 } else { self.watched - 1 };
    }

    /// From now on changes of this key are noted.
    pub fn add(&mut self, db: u16, key: &[u8]) {
        let db = usize::from(db);
        if self.keys.len() <= db {
            self.keys.resize_with(db + 1, BTreeMap::new);
        }
        if !self.keys[db].contains_key(key) {
            self.keys[db].insert(key.into(), false);
            self.watched += 1;
        }
    }

    /// Nobody waits for this key any more.
    pub fn remove(&mut self, db: u16, key: &[u8]) {
        let removed = self.keys.get_mut(usize::from(db)).and_then(|keys| keys.remove(key));
        self.watched -= usize::from(removed.is_some());
    }

    /// Number of awaited keys.
    pub fn len(&self) -> usize {
        self.watched
    }

    /// Whether no key is awaited.
    pub fn is_empty(&self) -> bool {
        self.watched == 0
    }

    /// Whether this key is awaited.
    pub fn contains(&self, db: u16, key: &[u8]) -> bool {
        self.keys.get(usize::from(db)).is_some_and(|keys| keys.contains_key(key))
    }

    /// Notes that a key has changed.
    #[inline]
    pub fn note(&mut self, db: usize, key: &[u8]) {
        if self.watched > 0 {
            self.note_watched(db, key);
        }
    }

    #[cold]
    fn note_watched(&mut self, db: usize, key: &[u8]) {
        let noted = self.keys.get_mut(db).and_then(|keys| keys.get_mut(key));
        if noted.map_or(self.workbench, |noted| !std::mem::replace(noted, true)) {
            self.changed.push_back((db as u16, key.into()));
        }
    }

    /// Notes that every key of a database may have changed.
    pub fn note_all(&mut self, db: usize) {
        let Some(keys) = self.keys.get_mut(db) else { return };
        for (key, noted) in keys.iter_mut().filter(|(_, noted)| !**noted) {
            *noted = true;
            self.changed.push_back((db as u16, key.clone()));
        }
    }

    /// Whether an awaited key has changed.
    #[inline]
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The key that changed first.
    pub fn take(&mut self) -> Option<DbKey> {
        let (db, key) = self.changed.pop_front()?;
        self.unmark(db, &key);
        Some((db, key))
    }

    fn unmark(&mut self, db: u16, key: &[u8]) {
        if let Some(noted) = self.keys.get_mut(usize::from(db)).and_then(|keys| keys.get_mut(key)) {
            *noted = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(awaited: &mut Awaited) -> Vec<String> {
        std::iter::from_fn(|| awaited.take())
            .map(|(db, key)| format!("{db}{}", String::from_utf8_lossy(&key)))
            .collect()
    }

    #[test]
    fn only_awaited_keys_are_noted_and_each_once() {
        let mut awaited = Awaited::default();
        awaited.note(0, b"a");
        assert!(!awaited.has_changed());
        awaited.add(1, b"a");
        awaited.add(1, b"b");
        awaited.add(1, b"b");
        for key in [b"b", b"c", b"a", b"b"] {
            awaited.note(0, key);
            awaited.note(1, key);
        }
        assert_eq!(taken(&mut awaited), ["1b", "1a"]);
        awaited.note(1, b"b");
        assert_eq!(taken(&mut awaited), ["1b"], "once more after it was taken");
        awaited.remove(1, b"b");
        awaited.remove(1, b"b");
        assert_eq!(awaited.len(), 1);
        awaited.note(1, b"b");
        assert!(!awaited.has_changed());
    }

    #[test]
    fn a_whole_database_is_noted_in_order() {
        let mut awaited = Awaited::default();
        for key in [b"c", b"a", b"b"] {
            awaited.add(0, key);
        }
        awaited.note(0, b"b");
        awaited.note_all(0);
        awaited.note_all(3);
        assert_eq!(taken(&mut awaited), ["0b", "0a", "0c"]);
    }

    #[test]
    fn a_workbench_notes_every_key() {
        let mut awaited = Awaited::workbench();
        awaited.note(0, b"a");
        awaited.note(1, b"a");
        assert_eq!(taken(&mut awaited), ["0a", "1a"]);
    }
}
