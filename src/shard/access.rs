//! The access clock under LFU eviction policies (redis.io/docs/reference/eviction, "The new LFU mode").
//!
//! Its 24 bits are, from the highest, 16 bits of Unix minutes when the clock was last set and an 8-bit counter.
//! The counter grows with the logarithm of the number of accesses, by chance, and decays with time; the decay is
//! computed when the clock is read. After a change of the policy the clocks of the other kind are taken as they
//! are, and the values adjust with use.

use crate::base::rng::Rng;

const COUNTER_BITS: u32 = 8;
const MINUTES: u32 = 0xffff;

/// How fast the counter grows and decays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lfu {
    /// The greater, the more accesses it takes to count one more (`lfu-log-factor`).
    pub log_factor: u32,
    /// Minutes after which one is taken away, 0 for never (`lfu-decay-time`).
    pub decay_minutes: u32,
}

impl Lfu {
    /// Counter of a new item, so that it is not the next to be evicted.
    const START: u8 = 5;

    /// The clock of a new item.
    pub fn first_access(now_ms: i64) -> u32 {
        Lfu::clock(now_ms, Lfu::START)
    }

    /// The counter of a clock after its decay.
    pub fn frequency(self, clock: u32, now_ms: i64) -> u8 {
        let counter = clock as u8;
        let (then, now) = (clock >> COUNTER_BITS, minutes(now_ms));
        let elapsed = if now >= then { now - then } else { MINUTES - then + now };
        let periods = elapsed.checked_div(self.decay_minutes).unwrap_or(0);
        counter.saturating_sub(periods.min(u32::from(u8::MAX)) as u8)
    }

    /// The clock after one more access.
    #[cold]
    pub fn access(self, clock: u32, now_ms: i64, rng: &mut Rng) -> u32 {
        let counter = self.frequency(clock, now_ms);
        let above_start = u64::from(counter.saturating_sub(Lfu::START));
        let odds = above_start * u64::from(self.log_factor) + 1;
        let grows = rng.below(odds as usize) == 0;
        Lfu::clock(now_ms, counter.saturating_add(u8::from(grows)))
    }

    /// The clock with this counter, set now.
    pub fn clock(now_ms: i64, counter: u8) -> u32 {
        minutes(now_ms) << COUNTER_BITS | u32::from(counter)
    }
}

fn minutes(now_ms: i64) -> u32 {
    (now_ms / 60_000) as u32 & MINUTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    #[test]
    fn counters_decay_one_by_one() {
        let lfu = Lfu { log_factor: 10, decay_minutes: 2 };
        let new = Lfu::first_access(0);
        let seen = [0, 1, 2, 3, 4, 9, 10, 11, 1000].map(|minutes| lfu.frequency(new, minutes * MINUTE_MS));
        assert_eq!(seen, [5, 5, 4, 4, 3, 1, 0, 0, 0]);
        let never = Lfu { decay_minutes: 0, ..lfu };
        assert_eq!(never.frequency(new, 1000 * MINUTE_MS), 5);
    }

    #[test]
    fn the_minutes_wrap() {
        let lfu = Lfu { log_factor: 10, decay_minutes: 1 };
        let before = Lfu::first_access(i64::from(MINUTES) * MINUTE_MS);
        assert_eq!(lfu.frequency(before, (i64::from(MINUTES) + 3) * MINUTE_MS), 3);
    }

    #[test]
    fn counters_grow_with_the_logarithm() {
        let lfu = Lfu { log_factor: 10, decay_minutes: 1 };
        let mut rng = Rng::new(1);
        let mut clock = Lfu::first_access(0);
        let after = [10, 100, 1000, 100_000, 3_000_000].map(|accesses| {
            (0..accesses).for_each(|_| clock = lfu.access(clock, 0, &mut rng));
            lfu.frequency(clock, 0)
        });
        assert!(after.is_sorted() && after[0] < 12 && (14..25).contains(&after[2]), "{after:?}");
        assert_eq!(after[4], u8::MAX);
        assert_eq!(lfu.frequency(lfu.access(clock, 0, &mut rng), 0), u8::MAX);
    }
}
