//! The entries of a stream, and what is known about those that are gone.
//!
//! Nodes are kept by their ID, that of their first entry; the IDs of a node's entries are below the next node's ID. New
//! entries go into the last node. A removed entry is only marked as long as its node has others.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::node::{self, Entry, Node, NodeLimits};
use super::{Counters, Id};
use crate::types::Listpack;

/// How entries are chosen that a stream is to lose; these are the first ones, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// What may stay.
    pub keep: Keep,
    /// Only whole nodes are removed, so that more may stay.
    pub approximate: bool,
    /// Most entries to remove, 0 for any number.
    pub limit: u64,
}

/// What a trimmed stream keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The last so many entries.
    Last(u64),
    /// The entries from an ID on.
    From(Id),
}

/// Which ID a new entry gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewId {
    /// The time, or the one behind the last if that is greater.
    Auto,
    /// Of these milliseconds the next that is free.
    InMillis(u64),
    /// This one.
    Exactly(Id),
}

/// An entry whose fields and values have too many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Log {
    nodes: BTreeMap<Id, Node>,
    pub(super) counters: Counters,
}

impl Log {
    /// The facts about the entries.
    #[inline]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes in order: their IDs, and their listpacks as Redis has them.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (Id, Listpack)> {
        self.nodes.iter().map(|(id, node)| (*id, node.to_listpack()))
    }

    /// From nodes; `None` if the IDs do not ascend from each entry to the next, or a listpack is not well-formed. The
    /// counters are still to be set.
    pub(super) fn from_nodes(nodes: impl IntoIterator<Item = (Id, Listpack)>) -> Option<Log> {
        let mut log = Log::default();
        for (id, pack) in nodes {
            let node = Node::from_listpack(&pack)?;
            log.counters.len += node.live() as u64;
            log.nodes.insert(id, node).is_none().then_some(())?;
        }
        let mut last = Id::MIN;
        for (base, node) in &log.nodes {
            (*base > last).then_some(())?;
            for entry in node.entries(*base) {
                (entry.id > last && entry.id >= *base).then_some(())?;
                last = entry.id;
            }
        }
        log.counters.first_id = log.first_live().unwrap_or_default();
        Some(log)
    }

    /// Bytes that the nodes take, estimated from some of them.
    pub(super) fn heap_bytes(&self) -> usize {
        const SAMPLES: usize = 16;
        // Nodes of a tree are two thirds full.
        let entry = (size_of::<Id>() + size_of::<Node>()) * 3 / 2;
        let sampled: usize = self.nodes.values().take(SAMPLES).map(Node::heap_bytes).sum();
        sampled * self.nodes.len() / self.nodes.len().clamp(1, SAMPLES) + entry * self.nodes.len()
    }

    /// Frees the first node; `false` if there is none.
    pub(super) fn drop_node(&mut self) -> bool {
        self.nodes.pop_first().is_some()
    }

    /// The ID that a new entry gets, if it is greater than the last.
    pub fn next_id(&self, new: NewId, now_ms: u64) -> Option<Id> {
        let last = self.counters.last_id;
        let id = match new {
            NewId::Auto if now_ms > last.ms => Id::new(now_ms, 0),
            NewId::Auto => last.next()?,
            NewId::InMillis(ms) if ms == last.ms => Id::new(ms, last.seq.checked_add(1)?),
            NewId::InMillis(ms) => Id::new(ms, 0),
            NewId::Exactly(id) => id,
        };
        (id > last).then_some(id)
    }

    /// Adds an entry whose ID is greater than the last. `pairs` are fields, each with its value.
    ///
    /// # Errors
    /// If the entry is too large; nothing is added then.
    pub fn append(&mut self, id: Id, pairs: &[&[u8]], limits: NodeLimits) -> Result<(), TooLarge> {
        let payload: usize = pairs.iter().map(|part| part.len()).sum();
        if payload > node::MAX_BYTES {
            return Err(TooLarge);
        }
        match self.nodes.last_entry() {
            Some(mut tail) if tail.get().has_room(payload, limits) => {
                let base = *tail.key();
                tail.get_mut().push(base, id, pairs);
            }
            tail => {
                if let Some(mut full) = tail {
                    full.get_mut().seal();
                }
                let mut node = Node::new(pairs);
                node.push(id, id, pairs);
                self.nodes.insert(id, node);
            }
        }
        let counters = &mut self.counters;
        counters.len += 1;
        counters.entries_added = counters.entries_added.wrapping_add(1);
        counters.last_id = id;
        if counters.len == 1 {
            counters.first_id = id;
        }
        Ok(())
    }

    /// The entries with IDs in `ids`, in order.
    pub fn range(&self, ids: RangeInclusive<Id>) -> impl Iterator<Item = Entry<'_>> {
        let (from, to) = ids.into_inner();
        let first = self.nodes.range(..=from).next_back().map_or(Id::MIN, |(id, _)| *id);
        self.nodes
            .range(first..)
            .take_while(move |(base, _)| **base <= to)
            .flat_map(|(base, node)| node.entries(*base))
            .filter(move |entry| entry.id >= from && !entry.deleted)
            .take_while(move |entry| entry.id <= to)
    }

    /// The entries with IDs in `ids`, the last first.
    pub fn range_back(&self, ids: RangeInclusive<Id>) -> impl Iterator<Item = Entry<'_>> {
        let (from, to) = ids.into_inner();
        self.nodes
            .range(..=to)
            .rev()
            .flat_map(|(base, node)| node.entries(*base).collect::<Vec<_>>().into_iter().rev())
            .filter(move |entry| entry.id <= to && !entry.deleted)
            .take_while(move |entry| entry.id >= from)
    }

    /// The entries behind an ID.
    pub fn after(&self, id: Id) -> impl Iterator<Item = Entry<'_>> {
        // Behind the greatest there is nothing: an empty range.
        self.range(id.next().unwrap_or(Id::MAX)..=if id == Id::MAX { Id::MIN } else { Id::MAX })
    }

    /// The entry with this ID.
    pub fn get(&self, id: Id) -> Option<Entry<'_>> {
        self.range(id..=id).next()
    }

    /// The greatest ID of an entry, removed or not, as far as the nodes know.
    pub(super) fn last_known(&self) -> Option<Id> {
        self.nodes.iter().rev().find_map(|(base, node)| node.last_id(*base))
    }

    /// The greatest ID of an entry.
    pub fn last_live(&self) -> Option<Id> {
        self.range_back(Id::MIN..=Id::MAX).next().map(|entry| entry.id)
    }

    fn first_live(&self) -> Option<Id> {
        self.range(Id::MIN..=Id::MAX).next().map(|entry| entry.id)
    }

    /// Removes entries. Returns how many there were.
    pub fn remove(&mut self, ids: &[Id]) -> usize {
        let mut removed = 0;
        let mut first_is_gone = false;
        for &id in ids {
            if self.remove_one(id) {
                removed += 1;
                first_is_gone |= id == self.counters.first_id;
                self.counters.max_deleted_id = self.counters.max_deleted_id.max(id);
            }
        }
        if first_is_gone || self.counters.len == 0 {
            self.counters.first_id = self.first_live().unwrap_or_default();
        }
        removed
    }

    fn remove_one(&mut self, id: Id) -> bool {
        let Some((&base, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        let Some(at) = node.entries(base).find(|e| e.id == id && !e.deleted).map(|e| e.at) else {
            return false;
        };
        if node.live() == 1 {
            self.nodes.remove(&base);
        } else {
            node.mark_deleted(at);
        }
        self.counters.len -= 1;
        true
    }

    /// Removes the first entries. Returns how many.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let before = self.counters.len;
        let mut removed = 0;
        while let Some(mut first) = self.nodes.first_entry() {
            let (base, live) = (*first.key(), first.get().live() as u64);
            let len = before - removed;
            if matches!(trim.keep, Keep::Last(max) if len <= max)
                || (trim.limit > 0 && removed + live > trim.limit)
            {
                break;
            }
            let whole = match trim.keep {
                Keep::Last(max) => len - live >= max,
                Keep::From(id) => first.get().last_id(base).is_none_or(|last| last < id),
            };
            if whole {
                first.remove();
                removed += live;
                continue;
            }
            if !trim.approximate {
                removed += first.get_mut().mark_first(base, |id, marked| match trim.keep {
                    Keep::Last(max) => len - marked as u64 > max,
                    Keep::From(from) => id < from,
                }) as u64;
            }
            break;
        }
        self.counters.len = before - removed;
        if removed > 0 || self.counters.len == 0 {
            self.counters.first_id = self.first_live().unwrap_or_default();
        }
        removed
    }
}
