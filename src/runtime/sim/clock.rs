//! Time that passes when the world says so, the same for all cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::runtime::io::Clock;

/// Unix time at which every simulation begins, in microseconds.
const START_UNIX_US: i64 = 1_700_000_000_000_000;

/// A clock; clones show the same time. It is atomic only because clocks must be able to move to other threads.
#[derive(Debug, Clone, Default)]
pub struct SimClock(Arc<AtomicU64>);

impl SimClock {
    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn unix_us(&self) -> i64 {
        START_UNIX_US + (self.monotonic_ns() / 1000) as i64
    }

    fn ticks(&self) -> u64 {
        self.monotonic_ns()
    }

    fn ticks_to_ns(&self, ticks: u64) -> u64 {
        ticks
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}
