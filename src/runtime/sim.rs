//! A world in one thread: simulated network, disk, mailboxes and time, driven by one seed.
//!
//! [`World::step`] makes one random thing happen that could happen next: bytes move a little, a batch arrives, time
//! passes, a connection breaks, or a core takes a turn (which the caller carries out, because this module knows no
//! cores). Everything random is drawn from the seed in the order of the steps, and nothing here or above iterates over a
//! map in an order of its own, so a seed replays exactly.
//!
//! What the world promises to a core is what [`io`](crate::runtime::io) demands of the real ones: bytes and batches
//! are never lost, doubled or out of order, unless a connection breaks or [`Faults`] says so. A core is awake if its
//! last turn asked for another one or if something has come in. A [calm](World::calm) world has no more faults and time
//! stands still; if nothing moves in it and somebody still waits, a wake-up was lost.

mod clock;
mod disk;
mod mailbox;
mod network;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::base::rng::Rng;
use crate::runtime::io::CoreId;

pub use clock::SimClock;
pub use disk::Files;
pub use mailbox::SimMailbox;
pub use network::{LinkId, SimIo};

use disk::{Disk, Drive};
use mailbox::Lanes;
use network::Network;

/// Kinds of things that happen, among which a step chooses.
const KINDS: usize = 8;
/// One in so many passages of time is long enough for everything that is done at intervals.
const LONG_TIMES: usize = 12;
/// How long passages of time are at most, in microseconds: most of them, the long ones, and these while a slow disk works, of
/// which much is to happen meanwhile.
const TIME_US: usize = 300;
const LONG_TIME_US: usize = 150_000;
const LONG_TIME_OF_SLOW_DISK_US: usize = 1000;

/// How long a disk takes that is slow: between half of this time and all of it, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowDisk {
    /// For a write.
    pub write_us: usize,
    /// For a sync; a stable write takes as long as a write and a sync.
    pub sync_us: usize,
}

impl SlowDisk {
    /// From one to ten milliseconds each, another mixture for every seed.
    pub fn drawn(seed: u64) -> SlowDisk {
        let mut rng = Rng::new(seed ^ 0x510d);
        let mut pick = || 1000 + rng.below(9001);
        SlowDisk { write_us: pick(), sync_us: pick() }
    }
}

/// What goes wrong, and the sizes that decide how often queues are full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// Bytes of a connection that move at once, at most.
    pub piece_max_bytes: usize,
    /// Bytes that can be on their way to a client before a send has to wait.
    pub window_bytes: usize,
    /// Batches that can be on their way from one core to one other.
    pub mailbox_capacity: usize,
    /// How many in 10,000 steps break a connection.
    pub breaks: usize,
    /// How many in 10,000 steps make a client stop reading, or read again.
    pub stalls: usize,
    /// How many in 10,000 steps make writes of files fail, or succeed again.
    pub write_failures: usize,
    /// How many in 10,000 steps make the disk stop to work for some core, or go on.
    pub disk_stalls: usize,
    /// One in so many syncs fails; 0 for none.
    pub failing_syncs: usize,
    /// Writes and syncs take their time, of which little passes at once. Otherwise they are over at any moment.
    pub slow_disk: Option<SlowDisk>,
    /// Against the promises: batches overtake each other.
    pub overtaking: bool,
    /// Against the promises: one in so many batches is lost; 0 for none.
    pub lost_batches: usize,
}

impl Faults {
    /// None: everything arrives at once and queues are long.
    pub fn none() -> Faults {
        Faults {
            piece_max_bytes: usize::MAX,
            window_bytes: usize::MAX,
            mailbox_capacity: 1024,
            breaks: 0,
            stalls: 0,
            write_failures: 0,
            disk_stalls: 0,
            failing_syncs: 0,
            slow_disk: None,
            overtaking: false,
            lost_batches: 0,
        }
    }

    /// Faults that a correct server lives with, another mixture for every seed.
    pub fn drawn(seed: u64) -> Faults {
        let mut rng = Rng::new(seed ^ 0xfa17);
        let mut pick = |choices: [usize; 4]| choices[rng.below(choices.len())];
        Faults {
            piece_max_bytes: pick([8, 40, 200, usize::MAX]),
            window_bytes: pick([20, 100, 1000, usize::MAX]),
            mailbox_capacity: pick([1, 2, 8, 1024]),
            breaks: pick([0, 0, 5, 20]),
            stalls: pick([0, 0, 20, 60]),
            ..Faults::none()
        }
    }
}

/// What a step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This core's turn: carry it out, then call [`World::turned`].
    Turn(CoreId),
    /// Something outside the cores has moved.
    Moved,
    /// Nothing can happen any more before a client acts or time passes.
    Nothing,
}

/// See the module. `M` is what cores send to each other.
pub struct World<M> {
    rng: Rng,
    faults: Faults,
    clock: SimClock,
    network: Rc<RefCell<Network>>,
    disk: Rc<RefCell<Disk>>,
    lanes: Rc<RefCell<Lanes<M>>>,
    /// By core: whether its last turn asked for another one.
    more: Vec<bool>,
    calm: bool,
}

impl<M> World<M> {
    /// A world of so many cores.
    pub fn new(cores: usize, seed: u64, faults: Faults) -> World<M> {
        World::with_files(cores, seed, faults, Files::new())
    }

    /// A world with these files on its disk.
    pub fn with_files(cores: usize, seed: u64, faults: Faults, files: Files) -> World<M> {
        let clock = SimClock::default();
        let mut disk = Disk::new(files, clock.clone(), seed);
        disk.set_speed(faults.slow_disk);
        World {
            rng: Rng::new(seed),
            clock,
            network: Rc::new(RefCell::new(Network::new(cores, faults.window_bytes))),
            disk: Rc::new(RefCell::new(disk)),
            lanes: Rc::new(RefCell::new(Lanes::new(cores, faults.mailbox_capacity))),
            more: vec![true; cores],
            calm: false,
            faults,
        }
    }

    /// The network and the disk as a core sees them. Each core has one.
    pub fn io(&self, core: CoreId) -> SimIo {
        SimIo::new(core, Rc::clone(&self.network), Drive::new(core, Rc::clone(&self.disk)))
    }

    /// The mailbox of a core. Each core has one.
    pub fn mailbox(&self, core: CoreId) -> SimMailbox<M> {
        SimMailbox::new(core, Rc::clone(&self.lanes))
    }

    /// The clock of all cores.
    pub fn clock(&self) -> SimClock {
        self.clock.clone()
    }

    /// Makes one thing happen.
    pub fn step(&mut self) -> Step {
        self.network.borrow_mut().step += 1;
        if !self.calm {
            self.misfortune();
        }
        let first = self.rng.below(KINDS);
        for offset in 0..KINDS {
            let moved = match (first + offset) % KINDS {
                0 | 1 => match self.next_turn() {
                    Some(core) => return Step::Turn(core),
                    None => false,
                },
                2 => self.pass_some_time(),
                3 => self.network.borrow_mut().deliver_to_server(&mut self.rng, self.faults.piece_max_bytes),
                4 => self.network.borrow_mut().send(&mut self.rng, self.faults.piece_max_bytes),
                5 => self.network.borrow_mut().deliver_to_client(&mut self.rng, self.faults.piece_max_bytes),
                6 => {
                    self.disk.borrow_mut().finish_one(&mut self.rng, self.faults.failing_syncs)
                        || self.network.borrow_mut().release(&mut self.rng)
                }
                _ => self.lanes.borrow_mut().deliver(
                    &mut self.rng,
                    self.faults.overtaking,
                    self.faults.lost_batches,
                ),
            };
            if moved {
                return Step::Moved;
            }
        }
        Step::Nothing
    }

    /// A core that takes its turn: one that is awake, and sometimes one that only wakes up by its timer.
    fn next_turn(&mut self) -> Option<CoreId> {
        let spurious = !self.calm && self.rng.below(8) == 0;
        let awake: Vec<CoreId> = (0..self.more.len())
            .map(|core| CoreId(core as u16))
            .filter(|&core| spurious || self.is_awake(core))
            .collect();
        (!awake.is_empty()).then(|| awake[self.rng.below(awake.len())])
    }

    fn is_awake(&self, core: CoreId) -> bool {
        self.more[core.index()]
            || self.network.borrow().has_events(core)
            || self.disk.borrow().has_events(core)
            || self.lanes.borrow().has_mail(core)
    }

    /// Notes that a core has taken its turn, and whether it asked for another one right away.
    pub fn turned(&mut self, core: CoreId, more: bool) {
        self.more[core.index()] = more;
    }

    fn pass_some_time(&mut self) -> bool {
        if self.calm {
            return false;
        }
        let most_us = match (self.rng.below(LONG_TIMES), self.faults.slow_disk) {
            (1.., _) => TIME_US,
            (0, None) => LONG_TIME_US,
            (0, Some(_)) => LONG_TIME_OF_SLOW_DISK_US,
        };
        self.clock.advance(Duration::from_micros(self.rng.below(most_us) as u64));
        true
    }

    fn misfortune(&mut self) {
        let dice = self.rng.below(10_000);
        if dice < self.faults.breaks {
            self.network.borrow_mut().break_one(&mut self.rng);
        } else if dice < self.faults.breaks + self.faults.stalls {
            self.network.borrow_mut().toggle_reading(&mut self.rng);
        }
        if self.faults.write_failures > 0 && self.rng.below(10_000) < self.faults.write_failures {
            self.disk.borrow_mut().toggle_failing(&mut self.rng);
        }
        if self.faults.disk_stalls > 0 && self.rng.below(10_000) < self.faults.disk_stalls {
            self.disk.borrow_mut().toggle_stalled(&mut self.rng, self.more.len());
        }
    }

    /// From now on no connection breaks.
    pub fn stop_breaking(&mut self) {
        self.faults.breaks = 0;
    }

    /// From now on there are no faults, every client reads, and time passes only by [`World::pass`].
    pub fn calm(&mut self) {
        self.calm = true;
        self.network.borrow_mut().read_all();
        self.disk.borrow_mut().heal();
        self.faults.failing_syncs = 0;
    }

    /// Ends calm: from now on there are these faults.
    pub fn stir(&mut self, faults: Faults) {
        self.calm = false;
        self.disk.borrow_mut().set_speed(faults.slow_disk);
        self.faults = faults;
    }

    /// Brings everything that the server has sent to the clients, as the system does after the end of a process.
    pub fn deliver_sent(&mut self) {
        self.network.borrow_mut().deliver_sent();
    }

    /// Makes a file with content that is on stable storage, for a core to write under a handle of this number.
    pub fn create_file(&mut self, number: u64, content: Vec<u8>) {
        self.disk.borrow_mut().create(number, content);
    }

    /// Everything stops at once. Returns what is in the files then: what is on stable storage, and by chance some of what is not.
    pub fn crash(mut self) -> Files {
        self.disk.borrow_mut().crash(&mut self.rng)
    }

    /// Lets time pass and wakes all cores, whose timers may be due.
    pub fn pass(&mut self, duration: Duration) {
        self.clock.advance(duration);
        self.more.fill(true);
    }

    /// A client connects, to a core's listening socket.
    pub fn connect(&mut self, core: CoreId) -> LinkId {
        self.network.borrow_mut().connect(core)
    }

    /// A client sends bytes.
    pub fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.network.borrow_mut().client_send(link, bytes);
    }

    /// What has arrived at a client since the last call.
    pub fn receive(&mut self, link: LinkId) -> Vec<u8> {
        self.network.borrow_mut().client_receive(link)
    }

    /// Whether a client has seen the end of its connection; nothing more arrives then.
    pub fn is_over(&self, link: LinkId) -> bool {
        self.network.borrow().is_over(link)
    }

    /// The number of steps so far, which serves as the time of the record below.
    pub fn steps(&self) -> u64 {
        self.network.borrow().step
    }

    /// The step in which the server had received so many bytes of a client. It cannot have acted on them earlier.
    pub fn received_at(&self, link: LinkId, bytes: u64) -> Option<u64> {
        self.network.borrow().received_at(link, bytes)
    }

    /// The step in which the server had sent so many bytes to a client. It has done before what they report.
    pub fn sent_at(&self, link: LinkId, bytes: u64) -> Option<u64> {
        self.network.borrow().sent_at(link, bytes)
    }

    /// A client sends no more, but still reads.
    pub fn finish(&mut self, link: LinkId) {
        self.network.borrow_mut().client_finish(link);
    }

    /// A client closes its connection without waiting for replies.
    pub fn close(&mut self, link: LinkId) {
        self.network.borrow_mut().client_close(link);
    }

    /// A client stops reading, or goes on.
    pub fn set_reading(&mut self, link: LinkId, reading: bool) {
        self.network.borrow_mut().set_reading(link, reading);
    }
}
