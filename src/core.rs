//! One core and its turn. Everything a core does, it does here, on its own thread, in this order:
//!
//! reap completions -> parse and run requests -> messages of other cores -> upkeep -> send -> spin or sleep
//!
//! [`state::CoreState`] holds what the core knows and does no I/O; this file connects it with the system, real or
//! simulated. Which core runs what: a request is parsed, checked and routed by the core of its connection; a command runs on
//! the core that owns its keys; replies are put in order by the core of the connection.

mod accounting;
mod asking;
pub mod blocking;
mod connections;
mod dispatch;
mod events;
pub mod journal;
pub mod loading;
mod programs;
mod publish;
mod remote;
mod snapshot;
pub mod state;
pub mod tracking;
mod transactions;
mod upkeep;
mod watching;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::BusyPoll;
use crate::core::state::CoreState;
use crate::route::message::Batch;
use crate::runtime::io::{CoreId, Event, Gather, Io, Mailbox};

/// The longest spin before sleeping that `busy-poll-us auto` chooses, in nanoseconds.
const SPIN_MAX_NS: u64 = 100_000;
/// Batches of other cores handled in one turn, so that a flood of them delays no connection.
const BATCHES_PER_TURN: usize = 64;

/// How long a core that ends waits for commands over several shards, and for its log.
const WORK_MAX: Duration = Duration::from_millis(500);
const SETTLING_MAX: Duration = Duration::from_secs(10);

/// How long a sleeping core may let requests gather, in nanoseconds.
const GATHER_NS: u64 = 50_000;
/// Requests per wake-up that gathering aims at, at most.
const GATHER_EVENTS_MAX: u64 = 16;

/// How fast requests arrive. To wake up costs more than to serve one, so when several are expected within a moment, a
/// sleeping core waits for them; a client that is alone is never made to wait.
#[derive(Debug, Default)]
struct Arrivals {
    last_ns: u64,
    /// Average number within [`GATHER_NS`], times 256.
    expected_q8: u64,
}

impl Arrivals {
    /// Notes that so many have arrived since the last call.
    fn note(&mut self, count: u64, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(std::mem::replace(&mut self.last_ns, now_ns)).max(1);
        let sample = ((count * GATHER_NS) << 8) / elapsed_ns;
        // A turn counts by its length: short ones say little.
        let weight = elapsed_ns.min(8 * GATHER_NS);
        let (old, whole) = (self.expected_q8, 16 * GATHER_NS);
        self.expected_q8 = (old * (whole - weight) + sample * weight) / whole;
    }

    fn gather(&self) -> Gather {
        match (self.expected_q8 >> 8) * 3 / 4 {
            0..=2 => Gather::NONE,
            events => Gather {
                events: events.min(GATHER_EVENTS_MAX) as u32,
                within: Duration::from_nanos(GATHER_NS),
            },
        }
    }
}

/// One core.
pub struct Core<I, M> {
    /// What it knows.
    pub state: CoreState,
    io: I,
    mailbox: M,
    /// Empty batches for reuse.
    spare_batches: Vec<Batch>,
    arrivals: Arrivals,
    /// Average time between having nothing to do and the next event, in nanoseconds.
    idle_gap_ns: u64,
}

impl<I: Io, M: Mailbox<Batch>> Core<I, M> {
    /// A core with its connection to the system and to the other cores.
    pub fn new(state: CoreState, io: I, mailbox: M) -> Core<I, M> {
        Core {
            state,
            io,
            mailbox,
            spare_batches: Vec::new(),
            arrivals: Arrivals::default(),
            idle_gap_ns: u64::MAX / 2,
        }
    }

    /// Serves until the server is to stop.
    pub fn run(&mut self) {
        while !self.state.shared.stopping.load(Ordering::Relaxed) {
            let busy = self.turn();
            if busy {
                self.io.poll();
            } else {
                self.idle();
            }
        }
        self.io.stop_listening();
        self.state.shared.await_deafness();
        self.state.close_all(&mut self.io);
        self.io.poll();
        // What is not loaded by now never is, and need not be waited for.
        self.state.loading = None;
        self.settle();
    }

    /// Nobody sends anything any more: waits until what was begun is done and logged, on all cores, and all logs are on stable
    /// storage.
    fn settle(&mut self) {
        let mut begun = Instant::now();
        let mut was_settled = false;
        loop {
            let busy = self.turn();
            let patient = begun.elapsed() < WORK_MAX;
            let settled = !busy && self.state.has_settled(patient);
            if settled != was_settled {
                self.state.shared.note_settled(settled);
                was_settled = settled;
            }
            // In this order: what a core sent before it was settled is here now.
            if settled && self.state.shared.is_settled() && !self.mailbox.has_mail() {
                break;
            }
            if self.state.writes_last_base() {
                // That takes as long as it takes, as a last snapshot does.
                begun = Instant::now();
            } else if begun.elapsed() >= SETTLING_MAX {
                break;
            }
            if busy {
                self.io.poll();
            } else {
                self.io.wait(Duration::from_millis(1), Gather::NONE);
            }
        }
        self.state.finish_log();
    }

    /// One turn: handles all that has come in. Returns whether there is more to do right away.
    pub fn turn(&mut self) -> bool {
        self.state.begin_turn();
        let mut received = 0;
        while let Some(event) = self.io.next_event() {
            received += u64::from(matches!(event, Event::Received(..)));
            self.state.on_event(event);
        }
        self.arrivals.note(received, self.state.clock.ticks_to_ns(self.state.last_ticks));
        for _ in 0..BATCHES_PER_TURN {
            let Some((from, batch)) = self.mailbox.receive() else { break };
            let spare = self.state.on_batch(from, batch);
            self.spare_batches.push(spare);
        }
        self.state.run_slices();
        self.state.publish_events();
        self.state.serve_pending();
        self.state.run_own_messages();
        self.state.resume_clients();
        self.state.ask_for_parts();
        self.state.settle_parts();
        self.state.run_own_messages();
        let loads = self.state.load_some();
        let upkeep_left = self.state.upkeep();
        self.state.broadcast();
        self.send_messages();
        self.state.resume_crowded();
        self.state.drive_log(&mut self.io);
        self.state.flush(&mut self.io);
        self.state.end_turn();
        upkeep_left
            || loads
            || !self.state.runnable.is_empty()
            || !self.state.next_turn.is_empty()
            || self.state.blocking.has_pending()
            || self.state.has_slices()
            || self.mailbox.has_mail()
            || self.has_unsent()
    }

    /// Sends every outbox as one batch. One that does not fit stays and grows until there is room.
    fn send_messages(&mut self) {
        for core in self.state.others() {
            let outbox = &mut self.state.outboxes[core.index()];
            if outbox.messages.is_empty() {
                continue;
            }
            let batch = std::mem::replace(outbox, self.spare_batches.pop().unwrap_or_default());
            if let Err(batch) = self.mailbox.send(core, batch) {
                let spare = std::mem::replace(&mut self.state.outboxes[core.index()], batch);
                self.spare_batches.push(spare);
            }
            if self.mailbox.needs_doorbell(core) {
                self.io.ring_doorbell(core);
            }
        }
        self.spare_batches.truncate(64);
    }

    fn has_unsent(&self) -> bool {
        self.state.outboxes.iter().any(|outbox| !outbox.messages.is_empty())
    }

    /// Nothing to do: spins for a while if that is likely to pay, then sleeps.
    fn idle(&mut self) {
        let clock = &self.state.clock;
        let start = clock.ticks();
        let spin_ns = match self.state.config.busy_poll {
            BusyPoll::Micros(us) => u64::from(us) * 1000,
            // Spinning pays if the next event comes sooner than waking up would take; the gaps so far tell.
            BusyPoll::Auto if self.idle_gap_ns < SPIN_MAX_NS / 2 => SPIN_MAX_NS,
            BusyPoll::Auto => 0,
        };
        self.io.poll();
        loop {
            if self.io.has_events() || self.mailbox.has_mail() {
                break;
            }
            if clock.ticks_to_ns(clock.ticks().wrapping_sub(start)) >= spin_ns {
                self.sleep();
                break;
            }
            std::hint::spin_loop();
            self.io.poll();
        }
        let clock = &self.state.clock;
        let gap_ns = clock.ticks_to_ns(clock.ticks().wrapping_sub(start));
        self.idle_gap_ns = (self.idle_gap_ns / 8 * 7).saturating_add(gap_ns / 8);
    }

    fn sleep(&mut self) {
        if self.mailbox.prepare_sleep() {
            self.io.wait(self.state.until_upkeep(), self.arrivals.gather());
            self.mailbox.awake();
        }
    }

    /// This core's number.
    pub fn id(&self) -> CoreId {
        self.state.core
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_gathered_only_while_many_arrive() {
        let mut arrivals = Arrivals::default();
        let mut now_ns = 0;
        let mut turns = |arrivals: &mut Arrivals, every_ns: u64, count| {
            for _ in 0..1000 {
                now_ns += every_ns;
                arrivals.note(count, now_ns);
            }
            arrivals.gather()
        };
        assert_eq!(turns(&mut arrivals, 40_000, 1), Gather::NONE, "one client");
        assert!((5..=7).contains(&turns(&mut arrivals, 10_000, 2).events));
        assert_eq!(turns(&mut arrivals, 10_000, 100).events, GATHER_EVENTS_MAX as u32);
        assert_eq!(turns(&mut arrivals, 100_000, 0), Gather::NONE, "quiet again");
    }
}
