//! The stream: entries in the order of their IDs, and groups of consumers that share them among their members.
//!
//! The entries are in the nodes of a [`Log`], which has Redis's boundaries between nodes, so that the `DUMP` of a stream is
//! Redis's (see the module `node` for how their bytes differ in memory).

mod group;
mod id;
mod log;
mod node;

use std::collections::BTreeMap;

pub use group::{Consumer, Group, Name, Pending};
pub use id::{Id, IdArg, IdText};
pub use log::{Keep, Log, NewId, TooLarge, Trim};
pub use node::{Entry, Fields, NodeLimits};

use crate::types::Listpack;

/// What a stream knows about its entries besides the entries themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Number of entries.
    pub len: u64,
    /// The first entry, `0-0` if there is none.
    pub first_id: Id,
    /// The ID that was given last, even if that entry is gone.
    pub last_id: Id,
    /// The greatest ID that `XDEL` has removed, `0-0` for none.
    pub max_deleted_id: Id,
    /// Entries ever added.
    pub entries_added: u64,
}

impl Counters {
    /// Whether `XDEL` has left a gap among the entries from an ID on.
    pub fn has_deleted_from(&self, id: Id) -> bool {
        let deleted = self.max_deleted_id;
        self.len > 0 && deleted != Id::MIN && deleted >= self.first_id && deleted >= id
    }

    /// How many entries were ever added up to an ID, if that can be told without counting: the ID is that of the last
    /// or the first entry, or before the first, and `XDEL` has left no gap behind it.
    pub fn entries_up_to(&self, id: Id) -> Option<i64> {
        let (added, len) = (self.entries_added as i64, self.len as i64);
        if added == 0 || id == self.last_id || (len == 0 && id < self.last_id) {
            return Some(added);
        }
        let gap = self.max_deleted_id != Id::MIN && self.max_deleted_id >= self.first_id;
        if id > self.last_id || id > self.first_id || gap {
            return None;
        }
        Some(added.wrapping_sub(len).wrapping_add(i64::from(id == self.first_id)))
    }
}

/// A stream.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    log: Log,
    groups: BTreeMap<Box<[u8]>, Group>,
}

impl Stream {
    /// A stream from its nodes: their IDs and listpacks. Its counters are as if nothing had ever been removed, its last ID
    /// is that of the last entry, and it has no groups. `None` if the IDs do not ascend from each entry to the next, or a
    /// listpack is not well-formed.
    pub fn from_nodes(nodes: impl IntoIterator<Item = (Id, Listpack)>) -> Option<Stream> {
        let mut stream = Stream { log: Log::from_nodes(nodes)?, groups: BTreeMap::new() };
        let last_id = stream.log.last_live().unwrap_or_default();
        let counters = &mut stream.log.counters;
        (counters.entries_added, counters.last_id) = (counters.len, last_id);
        Some(stream)
    }

    /// The entries.
    #[inline]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The entries, to be changed.
    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// The facts about the entries.
    #[inline]
    pub fn counters(&self) -> &Counters {
        &self.log.counters
    }

    /// Sets what is known about the entries; `false`, and nothing changes, if it contradicts them.
    pub fn set_counters(&mut self, counters: Counters) -> bool {
        let fits = counters.len == self.log.counters.len
            && self.log.last_known().is_none_or(|last| last <= counters.last_id);
        if fits {
            self.log.counters = counters;
        }
        fits
    }

    /// The groups, by name.
    pub fn groups(&self) -> &BTreeMap<Box<[u8]>, Group> {
        &self.groups
    }

    /// A group.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// A group to be changed, with the entries.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Log, &mut Group)> {
        Some((&self.log, self.groups.get_mut(name)?))
    }

    /// Adds a group; `false` if there is one of this name.
    pub fn create_group(&mut self, name: &[u8], group: Group) -> bool {
        let absent = !self.groups.contains_key(name);
        if absent {
            self.groups.insert(name.into(), group);
        }
        absent
    }

    /// Removes a group, if there is one.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Group> {
        self.groups.remove(name)
    }

    /// Bytes allocated, estimated.
    pub fn heap_bytes(&self) -> usize {
        let groups = self.groups.iter();
        size_of::<Stream>()
            + self.log.heap_bytes()
            + groups.map(|(name, group)| name.len() + size_of::<Group>() + group.heap_bytes()).sum::<usize>()
    }

    /// Frees a node or a part of a group; `false` if nothing is left.
    pub fn drop_one(&mut self) -> bool {
        if self.log.drop_node() {
            return true;
        }
        let Some(mut group) = self.groups.last_entry() else { return false };
        if !group.get_mut().drop_one() {
            group.remove();
        }
        true
    }
}
