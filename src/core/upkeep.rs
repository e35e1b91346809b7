//! Work that nobody asks for: expiry, freeing, time limits. Each turn does a bounded part of it.

use crate::core::state::CoreState;
use crate::shard::{Budget, ExpireProgress};

/// Interval of time limits and the like, in milliseconds.
const INTERVAL_MS: i64 = 100;
/// Items touched by one turn's part of expiry and of freeing. At some 100 ns each a part takes about 50 us.
const ITEMS_PER_TURN: usize = 512;

/// When which part of the upkeep is due.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    clients_due_ms: i64,
    expiry_due_ms: i64,
}

impl CoreState {
    /// Does a bounded part of what is due; true if there is more to do right away.
    pub fn upkeep(&mut self) -> bool {
        let now_ms = self.now_ms();
        // A clock that was set back must not stop anything.
        if now_ms >= self.schedule.clients_due_ms || now_ms < self.schedule.clients_due_ms - 10 * INTERVAL_MS
        {
            self.schedule.clients_due_ms = now_ms + INTERVAL_MS;
            self.check_clients();
        }
        let mut more = false;
        if now_ms >= self.schedule.expiry_due_ms || now_ms < self.schedule.expiry_due_ms - 10 * INTERVAL_MS {
            match self.shard.expire_some(&mut Budget::items(ITEMS_PER_TURN)) {
                ExpireProgress::More => more = true,
                ExpireProgress::IdleUntil(ms) => self.schedule.expiry_due_ms = ms,
            }
        }
        if !self.shard.garbage.is_empty() {
            self.shard.garbage.free_some(&mut Budget::items(ITEMS_PER_TURN));
            more |= !self.shard.garbage.is_empty();
        }
        more
    }

    /// How long the core may sleep, in milliseconds.
    pub fn ms_until_upkeep(&self) -> u64 {
        let due_ms = self.schedule.clients_due_ms.min(self.schedule.expiry_due_ms);
        (due_ms - self.now_ms()).clamp(1, INTERVAL_MS) as u64
    }
}
