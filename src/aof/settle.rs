//! When transactions over several shards can be lost no more.
//!
//! Recovery cuts a log before a transaction of which some shard lacks its part. What it cuts there may hold parts of others, so
//! those are cut elsewhere, and so on. A part that is on stable storage everywhere is therefore not safe yet: something ahead
//! of it on *one* of the shards may still be missing on a third. So one place hears of all parts, in the order of each
//! shard's log, and does what recovery would do now: what it would not cut is *settled*. Different shards may have two
//! transactions in different orders, so no shard could tell from what the others have settled.
//!
//! Invariants: a queue holds the parts of one shard that are stable and not settled, in the order of its log; each is in the
//! places of its transaction.

use std::collections::VecDeque;

use ahash::AHashMap;

/// Coordinator and number of a transaction.
pub type Id = (u16, u64);

#[derive(Debug, Default)]
struct Queue {
    /// Number of the first part.
    first: u64,
    parts: VecDeque<Id>,
}

#[derive(Debug)]
struct Pending {
    participants: Box<[u16]>,
    /// Shards whose part is stable, and its number in their queues.
    places: Vec<(u16, u64)>,
    wanted: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Settlement {
    queues: Vec<Queue>,
    pending: AHashMap<Id, Pending>,
    /// Some transaction has become complete since the last look.
    is_due: bool,
}

impl Settlement {
    /// A shard's part of a transaction is stable. What it told before does not count any more if this is the `first` of its log.
    pub fn on_stable(&mut self, shard: u16, id: Id, participants: Box<[u16]>, first: bool) {
        let at = usize::from(shard);
        if self.queues.len() <= at {
            self.queues.resize_with(at + 1, Queue::default);
        }
        if first {
            self.forget(shard);
        }
        let queue = &mut self.queues[at];
        let place = (shard, queue.first + queue.parts.len() as u64);
        queue.parts.push_back(id);
        let new = || Pending { participants, places: Vec::new(), wanted: false };
        let pending = self.pending.entry(id).or_insert_with(new);
        pending.places.push(place);
        self.is_due |= pending.places.len() == pending.participants.len();
    }

    fn forget(&mut self, shard: u16) {
        for id in std::mem::take(&mut self.queues[usize::from(shard)].parts) {
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            pending.places.retain(|(other, _)| *other != shard);
            if pending.places.is_empty() {
                self.pending.remove(&id);
            }
        }
    }

    /// Somebody waits for a transaction: returns the shards that have to hasten their logs, if they need to be told.
    pub fn want(&mut self, id: Id) -> Option<&[u16]> {
        let pending = self.pending.get_mut(&id).filter(|pending| !pending.wanted)?;
        pending.wanted = true;
        Some(&pending.participants)
    }

    /// What has been settled since the last call, with the participants of each.
    pub fn settle(&mut self) -> Vec<(Id, Box<[u16]>)> {
        if !std::mem::take(&mut self.is_due) {
            return Vec::new();
        }
        // Numbers at which recovery would cut.
        let mut cuts: Vec<u64> =
            self.queues.iter().map(|queue| queue.first + queue.parts.len() as u64).collect();
        loop {
            let mut changed = false;
            for (at, queue) in self.queues.iter().enumerate() {
                let kept = (cuts[at] - queue.first) as usize;
                let kept = queue.parts.iter().take(kept).take_while(|id| self.is_whole(**id, &cuts)).count();
                let cut = queue.first + kept as u64;
                changed |= cut < cuts[at];
                cuts[at] = cut;
            }
            if !changed {
                break;
            }
        }
        let mut settled = Vec::new();
        for (queue, cut) in self.queues.iter_mut().zip(cuts) {
            let count = (cut - queue.first) as usize;
            queue.first = cut;
            for id in queue.parts.drain(..count) {
                settled.extend(self.pending.remove(&id).map(|pending| (id, pending.participants)));
            }
        }
        settled
    }

    fn is_whole(&self, id: Id, cuts: &[u64]) -> bool {
        let Some(pending) = self.pending.get(&id) else { return false };
        pending.places.len() == pending.participants.len()
            && pending.places.iter().all(|(shard, number)| *number < cuts[usize::from(*shard)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells of parts, each a shard and a transaction, and says what is settled after each.
    fn told(parts: &[(u16, u64)], participants: &[&[u16]]) -> Vec<Vec<u64>> {
        let mut settlement = Settlement::default();
        let tell = |(shard, number): &(u16, u64)| {
            settlement.on_stable(*shard, (0, *number), participants[*number as usize].into(), false);
            settlement.settle().into_iter().map(|((_, number), _)| number).collect()
        };
        parts.iter().map(tell).collect()
    }

    #[test]
    fn a_transaction_is_settled_when_all_parts_are_stable() {
        assert_eq!(told(&[(0, 0), (2, 0), (1, 0)], &[&[0, 1, 2]]), [vec![], vec![], vec![0]]);
    }

    #[test]
    fn what_is_behind_a_part_that_is_missing_elsewhere_is_not_settled() {
        // Shard 1 has 0 ahead of 1; shard 2 does not have 0 yet.
        let parts = [(1, 0), (1, 1), (0, 1), (2, 0)];
        assert_eq!(told(&parts, &[&[1, 2], &[0, 1]])[..3], [vec![], vec![], vec![]]);
        let mut last = told(&parts, &[&[1, 2], &[0, 1]]).pop().unwrap();
        last.sort_unstable();
        assert_eq!(last, [0, 1]);
    }

    #[test]
    fn orders_may_differ() {
        let parts = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 0)];
        let settled = told(&parts, &[&[0, 2], &[0, 1], &[1, 2]]);
        assert!(settled[..5].iter().all(Vec::is_empty), "{settled:?}");
        assert_eq!(settled[5].len(), 3);
    }

    #[test]
    fn a_log_that_begins_anew_leaves_nothing_behind() {
        let mut settlement = Settlement::default();
        settlement.on_stable(0, (0, 1), [0, 1].into(), true);
        settlement.on_stable(0, (0, 2), [0, 1].into(), true);
        settlement.on_stable(1, (0, 2), [0, 1].into(), true);
        assert_eq!(settlement.settle().len(), 1);
        assert!(settlement.pending.is_empty());
    }

    #[test]
    fn a_wish_is_passed_on_once() {
        let mut settlement = Settlement::default();
        assert_eq!(settlement.want((0, 1)), None);
        settlement.on_stable(0, (0, 1), [0, 1].into(), false);
        assert_eq!(settlement.want((0, 1)), Some(&[0, 1][..]));
        assert_eq!(settlement.want((0, 1)), None);
    }
}
