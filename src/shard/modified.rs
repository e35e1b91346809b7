//! Which keys have been modified since someone last asked, of those that somebody cares about: clients that wait for
//! keys, clients that watch some before a transaction, clients that are told when what they have cached is out of date.
//!
//! A key is noted wherever Redis counts it as modified: when it appears, is replaced or removed, and when its value or
//! its expiry is changed in place; not when a command leaves it as it was. While nobody is interested in any key, which is
//! nearly always, a note costs one look at a counter. A command that finds nothing notes nothing (but keys whose time was
//! over), so that asking a waiting one again comes to an end.
//!
//! Representation: the keys of interest of each database in order, each with how many are interested and whether it
//! stands in `modified` already. With `every`, other keys are noted, too, each as often as it is modified, but not twice
//! in a row; a workbench does so for the shards that the entries go back to. Those who cache keys (`note_names`) get a list
//! of their own, of all names whatever the database, because they are told after each command even within a transaction.
//! Invariant: `parties` is the number of keys of interest, plus one with `every`, plus one with `names`.

use std::collections::{BTreeMap, VecDeque};

use super::{Databases, Hasher, Key};

/// A key with its database.
pub type DbKey = (u16, Box<[u8]>);

/// What is known of a key of interest.
#[derive(Debug, Default)]
struct Interest {
    /// Who is interested: how many times it was added and not removed.
    count: usize,
    /// It stands in `modified`.
    noted: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Modified {
    /// By database; those behind the last key of interest may be missing.
    keys: Vec<BTreeMap<Box<[u8]>, Interest>>,
    parties: usize,
    /// How many are interested in every key.
    every: usize,
    /// The first to be modified in front.
    modified: VecDeque<DbKey>,
    /// The same for those who cache keys, if there are any.
    names: Option<Vec<Box<[u8]>>>,
    /// A database was emptied, with or without keys of interest.
    flushed: bool,
    /// There is something in `names`, or `flushed` is set.
    news: bool,
}

/// What those who cache keys are told.
#[derive(Debug, Default)]
pub struct News {
    /// The names of keys that were modified, in order.
    pub names: Vec<Box<[u8]>>,
    /// A database was emptied.
    pub flushed: bool,
}

impl Modified {
    /// Somebody is interested in this key from now on.
    pub fn add(&mut self, db: u16, key: &[u8]) {
        let db = usize::from(db);
        if self.keys.len() <= db {
            self.keys.resize_with(db + 1, BTreeMap::new);
        }
        match self.keys[db].get_mut(key) {
            Some(interest) => interest.count += 1,
            None => {
                self.keys[db].insert(key.into(), Interest { count: 1, noted: false });
                self.parties += 1;
            }
        }
    }

    /// Somebody who was interested in this key is so no more.
    pub fn remove(&mut self, db: u16, key: &[u8]) {
        let Some(keys) = self.keys.get_mut(usize::from(db)) else { return };
        let Some(interest) = keys.get_mut(key) else { return };
        interest.count -= 1;
        if interest.count == 0 {
            keys.remove(key);
            self.parties -= 1;
        }
    }

    /// One more or one less is interested in every key.
    pub fn note_every(&mut self, every: bool) {
        let interested = self.every > 0;
        self.every = if every { self.every + 1 } else { self.every - 1 };
        self.parties = self.parties + usize::from(self.every > 0) - usize::from(interested);
    }

    /// The keys of interest.
    pub fn keys(&self) -> Vec<DbKey> {
        let dbs = self.keys.iter().enumerate();
        dbs.flat_map(|(db, keys)| keys.keys().map(move |key| (db as u16, key.clone()))).collect()
    }

    /// Whether the names of all keys that are modified are noted for those who cache keys.
    pub fn note_names(&mut self, wanted: bool) {
        self.parties = self.parties + usize::from(wanted) - usize::from(self.names.is_some());
        self.names = wanted.then(|| self.names.take().unwrap_or_default());
    }

    /// Number of keys of interest.
    pub fn len(&self) -> usize {
        self.parties - usize::from(self.every > 0) - usize::from(self.names.is_some())
    }

    /// Whether nobody is interested in any key.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.parties == 0
    }

    /// Whether somebody is interested in this very key.
    pub fn contains(&self, db: u16, key: &[u8]) -> bool {
        self.keys.get(usize::from(db)).is_some_and(|keys| keys.contains_key(key))
    }

    /// Notes that a key was modified.
    #[inline]
    pub fn note(&mut self, db: usize, key: &[u8]) {
        if !self.is_empty() {
            self.note_if_of_interest(db, key);
        }
    }

    #[cold]
    fn note_if_of_interest(&mut self, db: usize, key: &[u8]) {
        if let Some(names) = &mut self.names
            && names.last().is_none_or(|last| **last != *key)
        {
            names.push(key.into());
            self.news = true;
        }
        let last = self.modified.back();
        let noted = match self.keys.get_mut(db).and_then(|keys| keys.get_mut(key)) {
            Some(interest) => std::mem::replace(&mut interest.noted, true),
            None => self.every == 0 || last.is_some_and(|last| usize::from(last.0) == db && *last.1 == *key),
        };
        if !noted {
            self.modified.push_back((db as u16, key.into()));
        }
    }

    /// Notes the keys of interest in a database for which `concerned` is true, when all of it changes at once.
    fn note_some(&mut self, db: usize, mut concerned: impl FnMut(&[u8]) -> bool) {
        let Some(keys) = self.keys.get_mut(db) else { return };
        for (key, interest) in keys.iter_mut().filter(|(key, interest)| !interest.noted && concerned(key)) {
            interest.noted = true;
            self.modified.push_back((db as u16, key.clone()));
        }
    }

    /// Notes the keys that go as a database is emptied, before it is.
    pub(super) fn note_flush(&mut self, db: usize, dbs: &Databases, hasher: &Hasher) {
        (self.flushed, self.news) = (true, true);
        if !self.is_empty() {
            self.note_some(db, |key| {
                let key = Key::new(key, hasher);
                dbs.of(db, &key).get(&key).is_some()
            });
        }
    }

    /// Notes the keys that a database loses or gets as it takes over what `other` has, before it does. What
    /// is over by `now_ms` already does not count as got.
    pub(super) fn note_exchange(
        &mut self,
        db: usize,
        other: usize,
        dbs: &Databases,
        hasher: &Hasher,
        now_ms: i64,
    ) {
        if !self.is_empty() {
            self.note_some(db, |key| {
                let key = Key::new(key, hasher);
                let got = dbs.of(other, &key).get(&key);
                dbs.of(db, &key).get(&key).is_some() || got.is_some_and(|item| !item.is_expired(now_ms))
            });
        }
    }

    /// Whether anything has been noted.
    #[inline]
    pub fn is_pending(&self) -> bool {
        !self.modified.is_empty() | self.news
    }

    /// Whether there is something to tell those who cache keys.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.news
    }

    /// What there is to tell them.
    pub fn take_news(&mut self) -> News {
        self.news = false;
        let names = self.names.as_mut().map(std::mem::take).unwrap_or_default();
        News { names, flushed: std::mem::take(&mut self.flushed) }
    }

    /// The key that was noted first.
    pub fn take(&mut self) -> Option<DbKey> {
        let (db, key) = self.modified.pop_front()?;
        if let Some(interest) = self.keys.get_mut(usize::from(db)).and_then(|keys| keys.get_mut(&key)) {
            interest.noted = false;
        }
        Some((db, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{ExpiryPolicy, Shard, Str};

    fn taken(modified: &mut Modified) -> Vec<String> {
        std::iter::from_fn(|| modified.take())
            .map(|(db, key)| format!("{db}{}", String::from_utf8_lossy(&key)))
            .collect()
    }

    #[test]
    fn only_keys_of_interest_are_noted_and_each_once() {
        let mut modified = Modified::default();
        modified.note(0, b"a");
        assert!(!modified.is_pending());
        modified.add(1, b"a");
        modified.add(1, b"b");
        for key in [b"b", b"c", b"a", b"b"] {
            modified.note(0, key);
            modified.note(1, key);
        }
        assert_eq!(taken(&mut modified), ["1b", "1a"]);
        modified.note(1, b"b");
        assert_eq!(taken(&mut modified), ["1b"], "once more after it was taken");
    }

    #[test]
    fn a_key_is_of_interest_until_the_last_loses_it() {
        let mut modified = Modified::default();
        modified.add(1, b"b");
        modified.add(1, b"b");
        modified.add(0, b"a");
        assert_eq!(modified.len(), 2);
        modified.remove(1, b"b");
        modified.note(1, b"b");
        assert_eq!(taken(&mut modified), ["1b"]);
        modified.remove(1, b"b");
        modified.remove(1, b"b");
        assert_eq!(modified.len(), 1);
        modified.note(1, b"b");
        assert!(!modified.is_pending());
        modified.remove(0, b"a");
        assert!(modified.is_empty());
    }

    #[test]
    fn every_key_is_noted_if_that_is_asked_for() {
        let mut modified = Modified::default();
        modified.note_every(true);
        modified.note_every(true);
        modified.note_every(false);
        modified.add(0, b"b");
        for key in [b"a", b"a", b"b", b"a", b"b"] {
            modified.note(1, b"a");
            modified.note(0, key);
        }
        assert_eq!(taken(&mut modified), ["1a", "0a", "1a", "0a", "1a", "0b", "1a", "0a", "1a"]);
        assert_eq!(modified.len(), 1);
        modified.note_every(false);
        modified.remove(0, b"b");
        assert!(modified.is_empty());
    }

    #[test]
    fn names_are_noted_apart_from_keys_of_interest() {
        let mut modified = Modified::default();
        modified.add(0, b"a");
        modified.note_names(true);
        modified.note_names(true);
        for (db, key) in [(0, b"a"), (1, b"a"), (0, b"b"), (0, b"a")] {
            modified.note(db, key);
        }
        assert!(modified.has_news());
        assert_eq!(modified.take_news().names.concat(), b"aba");
        assert!(modified.is_pending() && !modified.has_news());
        assert_eq!(taken(&mut modified), ["0a"]);
        assert!(!modified.is_pending());
        assert_eq!(modified.len(), 1);
        modified.remove(0, b"a");
        modified.note_names(false);
        modified.note(0, b"a");
        assert!(modified.is_empty() && !modified.is_pending());
    }

    #[test]
    fn of_a_whole_database_those_are_noted_that_change() {
        let mut shard = Shard::new(3, Hasher::from_seed(1), 1);
        shard.now_ms = 1_000;
        for (db, name, policy) in [
            (0, b"a", ExpiryPolicy::Clear),
            (0, b"b", ExpiryPolicy::At(1)),
            (1, b"c", ExpiryPolicy::Clear),
            (1, b"d", ExpiryPolicy::At(1)),
            (1, b"x", ExpiryPolicy::Clear),
        ] {
            shard.set_string(db, &shard.key(name), Str::Int(1), policy);
        }
        for key in [b"e", b"d", b"c", b"b", b"a"] {
            shard.modified.add(0, key);
        }
        shard.swap_dbs(0, 1);
        assert_eq!(taken(&mut shard.modified), ["0a", "0b", "0c"]);
        assert!(!shard.modified.take_news().flushed);
        shard.flush_all();
        assert_eq!(taken(&mut shard.modified), ["0c", "0d"]);
        assert!(shard.modified.take_news().flushed);
        shard.flush_all();
        assert!(taken(&mut shard.modified).is_empty());
    }
}
