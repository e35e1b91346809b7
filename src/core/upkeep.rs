//! Work that nobody asks for: expiry, freeing, time limits. Each turn does a bounded part of it.

use std::time::Duration;

use crate::core::state::CoreState;
use crate::shard::{Budget, ExpireProgress};
use crate::shared::lock;

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
        self.end_overdue_waits();
        let mut more = self.tidy_tracked();
        more |= self.walk_snapshot();
        if self.upkeep_paused {
            return more;
        }
        let now_ms = self.now_ms();
        // A clock that was set back must not stop anything.
        if now_ms >= self.schedule.clients_due_ms || now_ms < self.schedule.clients_due_ms - 10 * INTERVAL_MS
        {
            let start = self.clock.ticks();
            let elapsed_ms = now_ms - (self.schedule.clients_due_ms - INTERVAL_MS);
            self.schedule.clients_due_ms = now_ms + INTERVAL_MS;
            self.sample(elapsed_ms.clamp(1, 10 * INTERVAL_MS) as u64);
            self.check_clients();
            if self.core.index() == 0 {
                self.keep_up_append_only();
            }
            self.answer_after_base();
            self.begin_due_snapshots();
            self.stats.upkeep_ns += self.clock.ticks_to_ns(self.clock.ticks().wrapping_sub(start));
        }
        if self.stops_expiry() {
            // As in Redis, no key expires while a script runs, unless the script meets it.
        } else if now_ms >= self.schedule.expiry_due_ms
            || now_ms < self.schedule.expiry_due_ms - 10 * INTERVAL_MS
        {
            more |= self.expire_keys();
        }
        if !self.shard.garbage.is_empty() {
            let freed = self.shard.garbage.free_some(&mut Budget::items(ITEMS_PER_TURN));
            self.stats.lazyfreed += freed as u64;
            more |= !self.shard.garbage.is_empty();
        }
        more
    }

    /// Removes keys whose time is over; true if there are more.
    fn expire_keys(&mut self) -> bool {
        let start = self.clock.ticks();
        self.author = 0;
        let progress = self.shard.expire_some(&mut Budget::items(ITEMS_PER_TURN));
        self.log_effects();
        self.publish_events();
        self.serve();
        let elapsed_ns = self.clock.ticks_to_ns(self.clock.ticks().wrapping_sub(start));
        self.stats.expiry_ns += elapsed_ns;
        if elapsed_ns >= self.hot.latency_event_ns {
            lock(&self.shared.latency).record(
                "expire-cycle",
                self.now_us / 1_000_000,
                elapsed_ns / 1_000_000,
            );
        }
        match progress {
            ExpireProgress::More => {
                self.stats.expiry_cut_short += 1;
                true
            }
            ExpireProgress::IdleUntil(ms) => {
                self.schedule.expiry_due_ms = ms;
                false
            }
        }
    }

    /// Samples what `INFO` shows as rates and peaks.
    fn sample(&mut self, elapsed_ms: u64) {
        let (rates, stats) = (&mut self.rates, &self.stats);
        rates.commands.sample(stats.commands_processed, elapsed_ms);
        rates.input_bytes.sample(stats.net_input_bytes, elapsed_ms);
        rates.output_bytes.sample(stats.net_output_bytes, elapsed_ms);
        rates.turns.sample(stats.turns, elapsed_ms);
        rates.busy_ns.sample(stats.busy_ns, elapsed_ms);
        if self.core.index() == 0 {
            self.shared.note_memory();
        }
    }

    /// How long the core may sleep.
    pub fn until_upkeep(&self) -> Duration {
        let due_ms = self.schedule.clients_due_ms.min(self.schedule.expiry_due_ms);
        let due_ms = self.next_deadline_ms().map_or(due_ms, |deadline_ms| due_ms.min(deadline_ms));
        let rest = self.snapshot_rest().map_or(INTERVAL_MS, |rest| rest.as_millis() as i64);
        let upkeep = Duration::from_millis((due_ms - self.now_ms()).min(rest).clamp(1, INTERVAL_MS) as u64);
        let log_due_ns = self.journal.due_ns();
        if log_due_ns == u64::MAX {
            return upkeep;
        }
        upkeep.min(Duration::from_nanos(log_due_ns.saturating_sub(self.clock.monotonic_ns())))
    }
}
