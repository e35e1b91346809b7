//! How fast counters grow: `instantaneous_ops_per_sec` and its like in `INFO`.
//!
//! Each core samples its counters ten times a second; a rate is the average of the latest 16 samples, as in Redis.

/// Samples that a rate is the average of.
const SAMPLES: usize = 16;

/// The growth of one counter.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    total: u64,
    samples: [u64; SAMPLES],
    next: usize,
}

impl Rate {
    /// Takes a sample: the counter's present value, and the milliseconds since the sample before. A counter that was set
    /// back starts anew.
    pub fn sample(&mut self, total: u64, elapsed_ms: u64) {
        let growth = total.checked_sub(self.total).unwrap_or(total);
        self.total = total;
        self.samples[self.next] = growth.saturating_mul(1000) / elapsed_ms.max(1);
        self.next = (self.next + 1) % SAMPLES;
    }

    /// Growth per second.
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / SAMPLES as u64
    }
}

/// The rates of one core.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// Commands executed.
    pub commands: Rate,
    /// Bytes received.
    pub input_bytes: Rate,
    /// Bytes sent.
    pub output_bytes: Rate,
    /// Turns of the loop.
    pub turns: Rate,
    /// Nanoseconds spent in them.
    pub busy_ns: Rate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_counter_has_its_speed() {
        let mut rate = Rate::default();
        (1..=SAMPLES as u64).for_each(|n| rate.sample(n * 50, 100));
        assert_eq!(rate.per_second(), 500);
    }

    #[test]
    fn the_past_is_forgotten_and_resets_are_no_growth() {
        let mut rate = Rate::default();
        rate.sample(1_000_000, 100);
        rate.sample(16, 1000);
        assert_eq!(rate.per_second(), (10_000_000 + 16) / 16);
        (0..SAMPLES).for_each(|_| rate.sample(16, 100));
        assert_eq!(rate.per_second(), 0);
    }
}
