//! What a script that runs and its driver tell each other.
//!
//! A task belongs to a VM and serves one run after the other; [`Task::reset`] stands between them. Everything is in cells,
//! because functions that Lua calls reach the task from below; none of them keeps a borrow over a call into Lua.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Logger;
use super::program::{Library, Registered};
use super::state::Arguments;
use crate::protocol::resp::Resp;

/// How long a script runs before its driver gets a chance to do something else.
const SLICE: Duration = Duration::from_millis(1);

/// Why a script is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// It waits for the reply of a command, whose arguments are in the task.
    Command,
    /// It has run for a while.
    Slice,
}

/// What `redis.register_function` is for.
#[derive(Debug)]
pub(super) enum Loading {
    /// A library is tried: its functions are listed here.
    Trial(Vec<Registered>),
    /// A known library is loaded into a VM.
    Known(Arc<Library>),
}

/// See the module.
pub(super) struct Task {
    /// Why the script is suspended.
    pub(super) pause: Cell<Pause>,
    /// Arguments of the command that it waits for.
    pub(super) args: RefCell<Arguments>,
    /// The protocol that the script wants replies in.
    pub(super) resp: Cell<Resp>,
    /// `redis.register_function` may be called.
    pub(super) loading: RefCell<Option<Loading>>,
    /// The state of `math.random`.
    pub(super) random: Cell<u64>,
    /// Where `redis.log` writes.
    pub(super) logger: Logger,
    /// The error that ends the script, without its code.
    kill: Cell<Option<&'static str>>,
    /// When the script was first seen running since its last resumption.
    seen: Cell<Option<Instant>>,
    /// When a library that loads is given up; such a run is never suspended.
    deadline: Cell<Option<(Instant, &'static str)>>,
}

impl Task {
    /// A task for a VM, with a seed for `math.random`.
    pub(super) fn new(seed: u64, logger: Logger) -> Task {
        Task {
            pause: Cell::new(Pause::Slice),
            args: RefCell::default(),
            resp: Cell::new(Resp::V2),
            loading: RefCell::new(None),
            random: Cell::new(seed),
            logger,
            kill: Cell::new(None),
            seen: Cell::new(None),
            deadline: Cell::new(None),
        }
    }

    /// Makes it ready for the next run.
    pub(super) fn reset(&self) {
        self.resp.set(Resp::V2);
        *self.loading.borrow_mut() = None;
        self.kill.set(None);
        self.deadline.set(None);
        self.resumed();
    }

    /// The script goes on from here.
    pub(super) fn resumed(&self) {
        self.seen.set(None);
        self.args.borrow_mut().clear();
    }

    /// Ends the script by an error, a text without its code.
    pub(super) fn kill(&self, text: &'static str) {
        self.kill.set(Some(text));
    }

    /// Whether the script is being ended.
    pub(super) fn is_killed(&self) -> bool {
        self.kill.get().is_some()
    }

    /// The error that ends the script.
    pub(super) fn killed_by(&self) -> Option<&'static str> {
        self.kill.get()
    }

    /// Ends the run by an error unless it is over in time; meanwhile it is not suspended.
    pub(super) fn limit(&self, time: Duration, error: &'static str) {
        self.deadline.set(Some((Instant::now() + time, error)));
    }

    /// Called now and then while the script runs: whether it has to be suspended. The clock is not read before that, so
    /// that short scripts never read it.
    pub(super) fn tick(&self) -> bool {
        let now = Instant::now();
        if let Some((deadline, error)) = self.deadline.get() {
            if now >= deadline {
                self.kill(error);
            }
            return false;
        }
        match self.seen.get() {
            None => {
                self.seen.set(Some(now));
                false
            }
            Some(seen) => now.duration_since(seen) >= SLICE,
        }
    }
}
