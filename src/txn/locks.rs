//! The reservations on one shard.
//!
//! Representation: a *ticket* is one transaction's (or one held-back command's) reservation. It stands in one line
//! per key, and in the line of the shard itself: a ticket for keys stands there as [`Mode::Part`], which is
//! compatible with other parts; a ticket for the whole shard stands only there. A ticket is granted when
//! everyone before it in each of its lines is compatible with it.
//!
//! Invariants: lines are first come, first served; `Ticket::blocked` counts exactly the lines in which the
//! ticket is not clear; a granted ticket has `blocked == 0` and stays granted until released.

use std::collections::VecDeque;

use ahash::AHashMap;

use crate::route::message::Access;

/// Names a ticket until it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TicketId(u64);

/// How a ticket stands in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Reads.
    Shared,
    /// Writes.
    Exclusive,
    /// Uses a part of the shard; stands in the shard's own line only.
    Part,
}

impl Mode {
    fn compatible(self, other: Mode) -> bool {
        matches!((self, other), (Mode::Shared, Mode::Shared) | (Mode::Part, Mode::Part))
    }
}

#[derive(Debug)]
struct Place {
    ticket: TicketId,
    mode: Mode,
    clear: bool,
}

/// Who is clear stands in front, and all of those are compatible, so of one mode.
#[derive(Debug, Default)]
struct Line(VecDeque<Place>);

impl Line {
    /// Whether a newcomer would have to wait.
    fn admits(&self, mode: Mode) -> bool {
        self.0.back().is_none_or(|last| last.clear && last.mode.compatible(mode))
    }

    fn join(&mut self, ticket: TicketId, mode: Mode, clear: bool) {
        self.0.push_back(Place { ticket, mode, clear });
    }

    /// Takes a ticket out and returns those that have become clear by it.
    fn leave(&mut self, ticket: TicketId) -> Vec<TicketId> {
        if let Some(at) = self.0.iter().position(|place| place.ticket == ticket) {
            self.0.remove(at);
        }
        // Lines may be long: nobody who is clear is looked at again.
        let mut cleared = Vec::new();
        for at in self.0.partition_point(|place| place.clear)..self.0.len() {
            if at > 0 && !self.0[0].mode.compatible(self.0[at].mode) {
                break;
            }
            self.0[at].clear = true;
            cleared.push(self.0[at].ticket);
        }
        cleared
    }
}

#[derive(Debug)]
struct Ticket<W> {
    access: Access,
    /// Lines in which somebody incompatible stands before this ticket.
    blocked: usize,
    /// Who is told when a ticket that had to wait is granted.
    waiter: Option<W>,
}

/// All reservations of one shard. `W` says what to do when a waiting ticket's turn comes.
#[derive(Debug)]
pub struct Locks<W> {
    tickets: AHashMap<TicketId, Ticket<W>>,
    keys: AHashMap<u64, Line>,
    shard: Line,
    next: u64,
    /// Test-only: grant everything at once, so that the history checker has something to find.
    broken: bool,
}

impl<W> Default for Locks<W> {
    fn default() -> Locks<W> {
        Locks {
            tickets: AHashMap::new(),
            keys: AHashMap::new(),
            shard: Line::default(),
            next: 0,
            broken: false,
        }
    }
}

impl<W> Locks<W> {
    /// Whether there is no reservation at all, the usual case.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Number of tickets.
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Test-only: from now on conflicts are overlooked.
    pub fn break_for_test(&mut self) {
        self.broken = true;
    }

    /// Whether a ticket would be granted at once.
    pub fn admits(&self, access: &Access, shared: bool) -> bool {
        if self.tickets.is_empty() || self.broken {
            return true;
        }
        let mode = if shared { Mode::Shared } else { Mode::Exclusive };
        match access {
            Access::Shard => self.shard.admits(mode),
            Access::Keys(keys) => {
                self.shard.admits(Mode::Part)
                    && keys.iter().all(|key| self.keys.get(key).is_none_or(|line| line.admits(mode)))
            }
        }
    }

    /// Takes a ticket; `Ok` if it is granted at once, `Err` if it waits in line: then `waiter` comes out of
    /// [`Locks::release`] when its turn has come.
    ///
    /// # Errors
    /// The id of the waiting ticket.
    pub fn acquire(&mut self, mut access: Access, shared: bool, waiter: W) -> Result<TicketId, TicketId> {
        self.next += 1;
        let id = TicketId(self.next);
        let mode = if shared { Mode::Shared } else { Mode::Exclusive };
        let mut blocked = 0;
        let mut join = |line: &mut Line, mode| {
            let clear = self.broken || line.admits(mode);
            blocked += usize::from(!clear);
            line.join(id, mode, clear);
        };
        match &mut access {
            Access::Shard => join(&mut self.shard, mode),
            Access::Keys(keys) => {
                keys.sort_unstable();
                keys.dedup();
                join(&mut self.shard, Mode::Part);
                for key in keys.iter() {
                    join(self.keys.entry(*key).or_default(), mode);
                }
            }
        }
        let waiter = (blocked > 0).then_some(waiter);
        self.tickets.insert(id, Ticket { access, blocked, waiter });
        if blocked == 0 { Ok(id) } else { Err(id) }
    }

    /// Gives a ticket up, granted or not, and returns those whose turn has come by it, in the order they came.
    pub fn release(&mut self, id: TicketId) -> Vec<(TicketId, W)> {
        let Some(ticket) = self.tickets.remove(&id) else { return Vec::new() };
        let mut cleared = self.shard.leave(id);
        if let Access::Keys(keys) = &ticket.access {
            for key in keys {
                let Some(line) = self.keys.get_mut(key) else { continue };
                cleared.extend(line.leave(id));
                if line.0.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
        cleared.sort_unstable();
        let mut granted = Vec::new();
        for id in cleared {
            let Some(ticket) = self.tickets.get_mut(&id) else { continue };
            ticket.blocked -= 1;
            if ticket.blocked == 0
                && let Some(waiter) = ticket.waiter.take()
            {
                granted.push((id, waiter));
            }
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smallvec::smallvec;

    fn keys(list: &[u64]) -> Access {
        Access::Keys(list.iter().copied().collect())
    }

    #[test]
    fn conflicting_tickets_stand_in_line_and_others_pass() {
        let mut locks = Locks::default();
        let first = locks.acquire(keys(&[1, 2]), false, 'a').unwrap();
        assert!(!locks.admits(&keys(&[2]), true));
        let second = locks.acquire(keys(&[2, 3]), false, 'b').unwrap_err();
        assert!(locks.acquire(keys(&[4]), false, 'c').is_ok());
        // Key 3 is free, but the second ticket stands in its line already.
        assert!(locks.acquire(keys(&[3]), true, 'd').is_err());
        assert_eq!(locks.release(first), [(second, 'b')]);
        assert_eq!(locks.release(second).into_iter().map(|(_, who)| who).collect::<Vec<_>>(), ['d']);
    }

    #[test]
    fn the_whole_shard_waits_for_its_parts_and_is_not_overtaken() {
        let mut locks = Locks::default();
        let part = locks.acquire(Access::Keys(smallvec![1]), true, 0).unwrap();
        let whole = locks.acquire(Access::Shard, false, 1).unwrap_err();
        let late = locks.acquire(keys(&[9]), true, 2).unwrap_err();
        assert_eq!(locks.release(part), [(whole, 1)]);
        assert_eq!(locks.release(whole), [(late, 2)]);
        assert!(locks.release(late).is_empty());
        assert!(locks.is_empty() && locks.keys.is_empty());
    }

    proptest! {
        /// Against the definition: a ticket is granted when every earlier unreleased ticket is compatible.
        #[test]
        fn tickets_are_granted_as_defined(
            script in prop::collection::vec((prop::option::of(prop::collection::vec(0u64..4, 1..3)), any::<bool>(), 0usize..6), 1..60),
        ) {
            let mut locks = Locks::default();
            let mut live: Vec<(TicketId, Access, bool, bool)> = Vec::new();
            let conflict = |a: &(TicketId, Access, bool, bool), b: &(TicketId, Access, bool, bool)| {
                let overlap = match (&a.1, &b.1) {
                    (Access::Keys(x), Access::Keys(y)) => x.iter().any(|key| y.contains(key)),
                    _ => true,
                };
                // A ticket for keys counts as using the shard, whether it reads or writes.
                let both_whole_or_both_keys = matches!((&a.1, &b.1), (Access::Shard, Access::Shard) | (Access::Keys(_), Access::Keys(_)));
                overlap && !(a.2 && b.2 && both_whole_or_both_keys)
            };
            for (parts, shared, release) in script {
                let access = parts.map_or(Access::Shard, |list| keys(&list));
                let admitted = locks.admits(&access, shared);
                let (id, granted) = match locks.acquire(access.clone(), shared, ()) {
                    Ok(id) => (id, true),
                    Err(id) => (id, false),
                };
                prop_assert_eq!(admitted, granted);
                live.push((id, access, shared, granted));
                if release < live.len() {
                    let (id, ..) = live.remove(release);
                    for (id, ()) in locks.release(id) {
                        live.iter_mut().find(|ticket| ticket.0 == id).unwrap().3 = true;
                    }
                }
                for at in 0..live.len() {
                    let expected = live[..at].iter().all(|before| !conflict(before, &live[at]));
                    prop_assert_eq!(live[at].3, expected, "ticket {} of {:?}", at, live);
                }
            }
            for (id, ..) in live {
                locks.release(id);
            }
            prop_assert!(locks.is_empty() && locks.keys.is_empty() && locks.shard.0.is_empty());
        }
    }
}
