//! Mailboxes whose batches take their time.
//!
//! For each ordered pair of cores there is a lane: what was sent is first *under way*, then *there*; both parts count
//! against the capacity. Lanes are first-in first-out unless a fault is asked for that breaks this.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::base::rng::Rng;
use crate::runtime::io::{CoreId, Mailbox};

struct Lane<M> {
    under_way: VecDeque<M>,
    there: VecDeque<M>,
}

/// The lanes between all cores.
pub(super) struct Lanes<M> {
    cores: usize,
    capacity: usize,
    /// The lane of a pair stands at `from * cores + to`.
    lanes: Vec<Lane<M>>,
}

impl<M> Lanes<M> {
    pub(super) fn new(cores: usize, capacity: usize) -> Lanes<M> {
        let lane = |_| Lane { under_way: VecDeque::new(), there: VecDeque::new() };
        Lanes { cores, capacity, lanes: (0..cores * cores).map(lane).collect() }
    }

    fn lane(&mut self, from: usize, to: CoreId) -> &mut Lane<M> {
        &mut self.lanes[from * self.cores + to.index()]
    }

    pub(super) fn has_mail(&self, core: CoreId) -> bool {
        (0..self.cores).any(|from| !self.lanes[from * self.cores + core.index()].there.is_empty())
    }

    /// Lets one batch arrive; false if none is under way.
    pub(super) fn deliver(&mut self, rng: &mut Rng, overtaking: bool, lost: usize) -> bool {
        let busy: Vec<usize> =
            (0..self.lanes.len()).filter(|&at| !self.lanes[at].under_way.is_empty()).collect();
        if busy.is_empty() {
            return false;
        }
        let lane = &mut self.lanes[busy[rng.below(busy.len())]];
        // Those that are to overtake each other must first meet.
        if overtaking && lane.under_way.len() < 2 && rng.below(8) != 0 {
            return true;
        }
        let batch = if overtaking { lane.under_way.pop_back() } else { lane.under_way.pop_front() };
        if lost == 0 || rng.below(lost) != 0 {
            lane.there.extend(batch);
        }
        true
    }
}

/// The mailbox of one core.
pub struct SimMailbox<M> {
    core: CoreId,
    lanes: Rc<RefCell<Lanes<M>>>,
    /// The sender to look at first, so that none is starved.
    next_sender: usize,
}

impl<M> SimMailbox<M> {
    pub(super) fn new(core: CoreId, lanes: Rc<RefCell<Lanes<M>>>) -> SimMailbox<M> {
        SimMailbox { core, lanes, next_sender: 0 }
    }
}

impl<M> Mailbox<M> for SimMailbox<M> {
    fn cores(&self) -> usize {
        self.lanes.borrow().cores
    }

    fn send(&mut self, to: CoreId, message: M) -> Result<(), M> {
        let mut lanes = self.lanes.borrow_mut();
        let capacity = lanes.capacity;
        let lane = lanes.lane(self.core.index(), to);
        if lane.under_way.len() + lane.there.len() >= capacity {
            return Err(message);
        }
        lane.under_way.push_back(message);
        Ok(())
    }

    /// Never: a batch that arrives wakes its core.
    fn needs_doorbell(&mut self, _: CoreId) -> bool {
        false
    }

    fn has_mail(&self) -> bool {
        self.lanes.borrow().has_mail(self.core)
    }

    fn receive(&mut self) -> Option<(CoreId, M)> {
        let mut lanes = self.lanes.borrow_mut();
        let cores = lanes.cores;
        (0..cores).find_map(|offset| {
            let from = (self.next_sender + offset) % cores;
            let batch = lanes.lane(from, self.core).there.pop_front()?;
            self.next_sender = from + 1;
            Some((CoreId(from as u16), batch))
        })
    }

    fn prepare_sleep(&mut self) -> bool {
        !self.has_mail()
    }

    fn awake(&mut self) {}
}
