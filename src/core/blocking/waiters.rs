//! Who waits for which key of this shard, and whose turn it is.
//!
//! Representation: a line of waiters per key, in the order in which they came. `next` is the first in line that has not
//! been asked since the key last changed; a change begins at the front again. `asked` is the one that was asked and has not
//! answered: meanwhile nobody else is, so that all are served in order. One waiter may stand in several lines.
//!
//! Invariants: an entry stands in the line of each of its keys, under its number of arrival; no line is empty; the keys
//! with lines are those that the shard's [`Modified`] watches.

use std::collections::{BTreeMap, VecDeque};

use ahash::AHashMap;

use crate::route::message::{Place, WaitId};
use crate::shard::{DbKey, Kind, Modified};

#[derive(Debug)]
struct Standing {
    id: WaitId,
    kind: Kind,
    even_if_gone: bool,
}

#[derive(Debug, Default)]
struct Line {
    waiters: BTreeMap<u64, Standing>,
    /// Those who want to know, too, when the key is gone.
    watch_end: usize,
    next: u64,
    asked: Option<WaitId>,
}

impl Line {
    /// The next to be asked, now that the key holds a value of this kind.
    fn next_for(&self, kind: Option<Kind>) -> Option<(u64, WaitId)> {
        if self.asked.is_some() || (kind.is_none() && self.watch_end == 0) {
            return None;
        }
        let suits = |standing: &&Standing| standing.even_if_gone || kind == Some(standing.kind);
        let mut rest = self.waiters.range(self.next..);
        rest.find(|(_, standing)| suits(standing)).map(|(&order, standing)| (order, standing.id))
    }
}

#[derive(Debug)]
struct Entry {
    place: Place,
    order: u64,
    /// It was asked, by whichever line.
    asked: bool,
}

/// All waiters of one shard. See the module.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// By database.
    lines: Vec<BTreeMap<Box<[u8]>, Line>>,
    entries: AHashMap<WaitId, Entry>,
    arrivals: u64,
    /// Lines in which somebody may have to be asked.
    pending: VecDeque<DbKey>,
}

impl Waiters {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys that somebody waits for, and those of them that somebody wants to be told the end of.
    pub(super) fn keys(&self) -> (usize, usize) {
        let lines = self.lines.iter().flat_map(BTreeMap::values);
        lines.fold((0, 0), |(all, ends), line| (all + 1, ends + usize::from(line.watch_end > 0)))
    }

    /// Puts a waiter at the end of the lines of its keys.
    pub(super) fn join(&mut self, id: WaitId, place: Place, modified: &mut Modified) {
        self.arrivals += 1;
        let order = self.arrivals;
        let db = usize::from(place.db);
        if self.lines.len() <= db {
            self.lines.resize_with(db + 1, BTreeMap::new);
        }
        for key in &place.keys {
            let line = self.lines[db].entry(key.clone()).or_default();
            let standing = Standing { id, kind: place.kind, even_if_gone: place.even_if_gone };
            if line.waiters.insert(order, standing).is_none() {
                modified.add(place.db, key);
                line.watch_end += usize::from(place.even_if_gone);
            }
        }
        self.entries.insert(id, Entry { place, order, asked: false });
    }

    /// Takes a waiter out of all lines.
    pub(super) fn leave(&mut self, id: WaitId, modified: &mut Modified) {
        let Some(Entry { place, order, .. }) = self.entries.remove(&id) else { return };
        for key in place.keys {
            let Some(line) = self.lines[usize::from(place.db)].get_mut(&key) else { continue };
            if line.waiters.remove(&order).is_some() {
                modified.remove(place.db, &key);
                line.watch_end -= usize::from(place.even_if_gone);
            }
            if line.waiters.is_empty() {
                self.lines[usize::from(place.db)].remove(&key);
            } else if line.asked == Some(id) {
                line.asked = None;
                self.pending.push_front((place.db, key));
            }
        }
    }

    /// One that was asked has found nothing, and keeps its place.
    pub(super) fn answered(&mut self, id: WaitId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.asked = false;
        for key in &entry.place.keys {
            let line = self.lines[usize::from(entry.place.db)].get_mut(key);
            if let Some(line) = line.filter(|line| line.asked == Some(id)) {
                line.asked = None;
                self.pending.push_front((entry.place.db, key.clone()));
            }
        }
    }

    /// A key has changed: its line is asked from the front.
    pub(super) fn changed(&mut self, (db, key): DbKey) {
        if self.restart(db, &key) {
            self.pending.push_back((db, key));
        }
    }

    /// A key has changed, and its line, if there is one, is looked at by the caller. Returns whether there is.
    pub(super) fn restart(&mut self, db: u16, key: &[u8]) -> bool {
        let Some(line) = self.line(db, key) else { return false };
        line.next = 0;
        true
    }

    /// Whether somebody waits for a key.
    pub(super) fn has_line(&self, db: u16, key: &[u8]) -> bool {
        self.lines.get(usize::from(db)).is_some_and(|lines| lines.contains_key(key))
    }

    fn line(&mut self, db: u16, key: &[u8]) -> Option<&mut Line> {
        self.lines.get_mut(usize::from(db))?.get_mut(key)
    }

    /// Whether there is a line to be looked at.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// A line to be looked at.
    pub(super) fn take_pending(&mut self) -> Option<DbKey> {
        self.pending.pop_front()
    }

    /// Chooses who is asked now that a key holds a value of this kind. Who was asked already, because of another of its
    /// keys, will see this one as well; then nobody is to be asked but all in line wait for the answer.
    pub(super) fn ask_next(&mut self, db: u16, key: &[u8], kind: Option<Kind>) -> Option<WaitId> {
        let line = self.lines.get_mut(usize::from(db))?.get_mut(key)?;
        let (order, id) = line.next_for(kind)?;
        line.next = order + 1;
        line.asked = Some(id);
        let entry = self.entries.get_mut(&id).expect("who stands in a line has an entry");
        (!std::mem::replace(&mut entry.asked, true)).then_some(id)
    }

    /// The keys that a waiter's command needs, if they are all on this shard, and nobody else is being asked because of one of them.
    pub(super) fn whole(&self, id: WaitId) -> Option<&[Box<[u8]>]> {
        let place = &self.entries.get(&id)?.place;
        let lines = self.lines.get(usize::from(place.db))?;
        let is_others =
            |key| lines.get(key).and_then(|line: &Line| line.asked).is_some_and(|asked| asked != id);
        place.whole.as_deref().filter(|_| !place.keys.iter().any(is_others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::message::ReplyTo;
    use crate::runtime::io::{ConnId, CoreId};

    #[derive(Default)]
    struct Bench {
        waiters: Waiters,
        modified: Modified,
    }

    fn id(client: u64) -> WaitId {
        WaitId { core: CoreId(0), to: ReplyTo { conn: ConnId(client as u32), client, sequence: 0 } }
    }

    impl Bench {
        fn join(&mut self, client: u64, kind: Kind, keys: &[&str]) {
            let keys: Vec<Box<[u8]>> = keys.iter().map(|key| key.as_bytes().into()).collect();
            let place = Place { db: 0, kind, even_if_gone: kind == Kind::Stream, keys, whole: None };
            self.waiters.join(id(client), place, &mut self.modified);
        }

        fn leave(&mut self, client: u64) {
            self.waiters.leave(id(client), &mut self.modified);
        }

        fn change(&mut self, key: &str) {
            self.waiters.changed((0, key.as_bytes().into()));
        }

        fn ask(&mut self, key: &str, kind: Option<Kind>) -> Option<u64> {
            self.waiters.ask_next(0, key.as_bytes(), kind).map(|id| id.to.client)
        }
    }

    const LIST: Option<Kind> = Some(Kind::List);

    #[test]
    fn first_come_first_asked_and_each_once_per_change() {
        let mut bench = Bench::default();
        (1..=3).for_each(|client| bench.join(client, Kind::List, &["k"]));
        bench.change("k");
        assert_eq!(bench.waiters.take_pending(), Some((0, b"k"[..].into())));
        assert_eq!(bench.ask("k", None), None, "nothing there");
        assert_eq!(bench.ask("k", LIST), Some(1));
        assert_eq!(bench.ask("k", LIST), None, "the first has not answered");
        bench.waiters.answered(id(1));
        assert_eq!(bench.ask("k", LIST), Some(2));
        bench.leave(2);
        assert_eq!(bench.ask("k", LIST), Some(3));
        bench.waiters.answered(id(3));
        assert_eq!(bench.ask("k", LIST), None, "all were asked");
        bench.change("k");
        assert_eq!(bench.ask("k", LIST), Some(1), "it has kept its place");
    }

    #[test]
    fn one_waiter_is_asked_by_one_line_at_a_time() {
        let mut bench = Bench::default();
        bench.join(1, Kind::List, &["a", "b", "a"]);
        bench.join(2, Kind::List, &["b"]);
        bench.change("a");
        bench.change("b");
        assert_eq!(bench.ask("a", LIST), Some(1));
        assert_eq!(bench.ask("b", LIST), None, "it was asked");
        assert_eq!(bench.ask("b", LIST), None, "the second is not asked before it");
        bench.leave(1);
        assert_eq!(bench.ask("b", LIST), Some(2));
        assert!(!bench.modified.contains(0, b"a") && bench.modified.contains(0, b"b"));
        bench.leave(2);
        assert!(bench.waiters.is_empty() && bench.modified.is_empty());
        assert_eq!(bench.waiters.keys(), (0, 0));
    }

    #[test]
    fn values_of_other_kinds_and_ends_of_keys_concern_few() {
        let mut bench = Bench::default();
        bench.join(1, Kind::Zset, &["k"]);
        bench.join(2, Kind::List, &["k"]);
        bench.change("k");
        assert_eq!(bench.ask("k", LIST), Some(2));
        bench.join(3, Kind::Stream, &["k"]);
        assert_eq!(bench.waiters.keys(), (1, 1));
        bench.waiters.answered(id(2));
        bench.change("k");
        assert_eq!(bench.ask("k", None), Some(3));
        bench.leave(3);
        assert_eq!(bench.waiters.keys(), (1, 0));
    }
}
