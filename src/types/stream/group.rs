//! Consumer groups: which entries a group has been given, and which of them nobody has acknowledged yet
//! (redis.io/docs/latest/develop/data-types/streams, "Consumer groups").
//!
//! Invariant: an entry is pending for the group if and only if it is pending for exactly one of its consumers, the one
//! that [`Pending`] names. Only [`Group::assign`], [`Group::release`] and [`Group::remove_consumer`] change that.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Counters, Id};

/// The name of a consumer, which all that is pending for it shares.
pub type Name = Arc<[u8]>;

/// A consumer group.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The last entry that was given out.
    pub last_id: Id,
    /// How many entries were given out since the stream began, if that is known.
    pub entries_read: Option<i64>,
    pending: BTreeMap<Id, Pending>,
    consumers: BTreeMap<Name, Consumer>,
}

/// An entry that was given out and not acknowledged.
#[derive(Debug, Clone)]
pub struct Pending {
    consumer: Name,
    /// When it was given out last, in Unix milliseconds.
    pub delivered_ms: i64,
    /// How many times it was given out.
    pub deliveries: u64,
}

impl Pending {
    /// Who has it.
    pub fn consumer(&self) -> &[u8] {
        &self.consumer
    }
}

/// A consumer of a group.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// When it last asked for anything, in Unix milliseconds.
    pub seen_ms: i64,
    /// When it was last given an entry, in Unix milliseconds.
    pub active_ms: Option<i64>,
    pending: BTreeSet<Id>,
}

impl Consumer {
    /// The IDs of its pending entries.
    pub fn pending(&self) -> &BTreeSet<Id> {
        &self.pending
    }
}

impl Group {
    /// A group that goes on behind `last_id`.
    pub fn new(last_id: Id, entries_read: Option<i64>) -> Group {
        Group { last_id, entries_read, ..Group::default() }
    }

    /// All pending entries.
    pub fn pending(&self) -> &BTreeMap<Id, Pending> {
        &self.pending
    }

    /// All consumers, by name.
    pub fn consumers(&self) -> &BTreeMap<Name, Consumer> {
        &self.consumers
    }

    /// A pending entry; to change who has it, see [`assign`](Group::assign).
    pub fn pending_mut(&mut self, id: Id) -> Option<&mut Pending> {
        self.pending.get_mut(&id)
    }

    /// A consumer.
    pub fn consumer_mut(&mut self, name: &[u8]) -> Option<&mut Consumer> {
        self.consumers.get_mut(name)
    }

    /// Adds a consumer; `false` if it exists.
    pub fn create_consumer(&mut self, name: &[u8], now_ms: i64) -> bool {
        let absent = !self.consumers.contains_key(name);
        if absent {
            let consumer = Consumer { seen_ms: now_ms, active_ms: None, pending: BTreeSet::new() };
            self.consumers.insert(Name::from(name), consumer);
        }
        absent
    }

    /// Removes a consumer and everything that is pending for it. Returns how much that was.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Gives a pending entry, which may be new, to a consumer that exists.
    pub fn assign(&mut self, id: Id, consumer: &[u8], delivered_ms: i64, deliveries: u64) {
        let Some((name, _)) = self.consumers.get_key_value(consumer) else { return };
        let name = Name::clone(name);
        match self.pending.entry(id) {
            Slot::Vacant(slot) => {
                slot.insert(Pending { consumer: Name::clone(&name), delivered_ms, deliveries });
            }
            Slot::Occupied(mut slot) => {
                let pending = slot.get_mut();
                (pending.delivered_ms, pending.deliveries) = (delivered_ms, deliveries);
                if Arc::ptr_eq(&pending.consumer, &name) {
                    return;
                }
                let previous = std::mem::replace(&mut pending.consumer, Name::clone(&name));
                self.consumers.get_mut(&previous).expect("a consumer has it").pending.remove(&id);
            }
        }
        self.consumers.get_mut(&name).expect("it was just found").pending.insert(id);
    }

    /// Makes an entry no longer pending; `false` if it was not.
    pub fn release(&mut self, id: Id) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        self.consumers.get_mut(&pending.consumer).expect("a consumer has it").pending.remove(&id);
        true
    }

    /// Takes note that an entry is given out. Returns whether it is the first time.
    pub fn advance(&mut self, id: Id, counters: &Counters) -> bool {
        if id <= self.last_id {
            return false;
        }
        self.entries_read = match self.entries_read {
            Some(read) if !counters.has_deleted_from(id) => Some(read.wrapping_add(1)),
            read if counters.entries_added == 0 => read,
            _ => counters.entries_up_to(id),
        };
        self.last_id = id;
        true
    }

    /// Entries of the stream that the group has not been given yet, if that is known.
    pub fn lag(&self, counters: &Counters) -> Option<i64> {
        let read = match self.entries_read {
            _ if counters.entries_added == 0 => return Some(0),
            Some(read) if !counters.has_deleted_from(self.last_id) => Some(read),
            _ => counters.entries_up_to(self.last_id),
        };
        Some((counters.entries_added as i64).wrapping_sub(read?))
    }

    /// Bytes allocated, estimated.
    pub(super) fn heap_bytes(&self) -> usize {
        // Nodes of a tree are two thirds full.
        let tree = |count: usize, size: usize| count * size * 3 / 2;
        let names: usize = self.consumers.keys().map(|name| name.len() + 2 * size_of::<usize>()).sum();
        tree(self.pending.len(), size_of::<(Id, Pending)>() + size_of::<Id>())
            + tree(self.consumers.len(), size_of::<(Name, Consumer)>())
            + names
    }

    /// Frees something; `false` if nothing large is left.
    pub(super) fn drop_one(&mut self) -> bool {
        if self.pending.pop_first().is_some() {
            return true;
        }
        let Some(mut consumer) = self.consumers.last_entry() else { return false };
        if consumer.get_mut().pending.pop_first().is_none() {
            consumer.remove();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = b"alice";
    const B: &[u8] = b"bob";

    fn group() -> Group {
        let mut group = Group::new(Id::MIN, None);
        assert!(group.create_consumer(A, 1) && group.create_consumer(B, 1) && !group.create_consumer(A, 2));
        group
    }

    fn owners(group: &Group) -> Vec<(u64, &[u8])> {
        let by_group: Vec<_> =
            group.pending.iter().map(|(id, pending)| (id.ms, pending.consumer())).collect();
        let mut by_consumer: Vec<_> = group
            .consumers
            .iter()
            .flat_map(|(name, consumer)| consumer.pending.iter().map(move |id| (id.ms, &name[..])))
            .collect();
        by_consumer.sort_unstable();
        assert_eq!(by_group, by_consumer);
        by_group
    }

    #[test]
    fn an_entry_is_pending_for_one_consumer() {
        let mut group = group();
        group.assign(Id::new(1, 0), A, 5, 1);
        group.assign(Id::new(2, 0), A, 5, 1);
        group.assign(Id::new(3, 0), B, 5, 1);
        group.assign(Id::new(2, 0), B, 6, 2);
        assert_eq!(owners(&group), [(1, A), (2, B), (3, B)]);
        assert!(group.release(Id::new(3, 0)) && !group.release(Id::new(3, 0)));
        assert_eq!(group.remove_consumer(A), Some(1));
        assert_eq!(group.remove_consumer(A), None);
        assert_eq!(owners(&group), [(2, B)]);
        let pending = group.pending_mut(Id::new(2, 0)).unwrap();
        assert_eq!((pending.delivered_ms, pending.deliveries), (6, 2));
    }

    #[test]
    fn it_is_freed_in_steps() {
        let mut group = group();
        (1..=3).for_each(|ms| group.assign(Id::new(ms, 0), if ms == 2 { B } else { A }, 0, 1));
        // Three pending entries, of the group and of a consumer, and two consumers.
        let steps = std::iter::repeat_with(|| group.drop_one()).take_while(|&more| more).count();
        assert_eq!(steps, 8);
    }

    #[test]
    fn reads_are_counted_while_nothing_ahead_is_deleted() {
        let mut counters = Counters {
            len: 3,
            first_id: Id::new(1, 0),
            last_id: Id::new(3, 0),
            max_deleted_id: Id::MIN,
            entries_added: 3,
        };
        let mut group = Group::new(Id::MIN, None);
        assert_eq!(group.lag(&counters), Some(3));
        assert!(group.advance(Id::new(1, 0), &counters) && !group.advance(Id::new(1, 0), &counters));
        assert_eq!((group.entries_read, group.lag(&counters)), (Some(1), Some(2)));
        group.advance(Id::new(2, 0), &counters);
        assert_eq!((group.entries_read, group.lag(&counters)), (Some(2), Some(1)));
        counters.max_deleted_id = Id::new(2, 5);
        assert_eq!(group.lag(&counters), None);
        group.advance(Id::new(2, 3), &counters);
        assert_eq!(group.entries_read, None);
        group.advance(Id::new(3, 0), &counters);
        assert_eq!((group.entries_read, group.lag(&counters)), (Some(3), Some(0)));
    }
}
