//! The latency monitor: per kind of event the latest spikes above `latency-monitor-threshold`, at most one per second
//! (redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor).

use std::collections::{BTreeMap, VecDeque};

/// Samples kept per event.
const SAMPLES_MAX: usize = 160;

/// One spike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When, Unix seconds.
    pub at_s: i64,
    /// How long, in milliseconds.
    pub latency_ms: u64,
}

/// The spikes of one kind of event.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Oldest first.
    pub samples: VecDeque<Sample>,
    /// The longest ever, in milliseconds.
    pub max_ms: u64,
}

/// All kinds of events that had spikes, by name.
#[derive(Debug, Default)]
pub struct LatencyMonitor {
    series: BTreeMap<&'static str, Series>,
}

impl LatencyMonitor {
    /// Keeps a spike. Of several within one second the longest is kept.
    pub fn record(&mut self, event: &'static str, at_s: i64, latency_ms: u64) {
        let series = self.series.entry(event).or_default();
        series.max_ms = series.max_ms.max(latency_ms);
        match series.samples.back_mut() {
            Some(last) if last.at_s == at_s => last.latency_ms = last.latency_ms.max(latency_ms),
            _ => {
                series.samples.push_back(Sample { at_s, latency_ms });
                if series.samples.len() > SAMPLES_MAX {
                    series.samples.pop_front();
                }
            }
        }
    }

    /// The series, by name.
    pub fn series(&self) -> impl ExactSizeIterator<Item = (&'static str, &Series)> {
        self.series.iter().map(|(name, series)| (*name, series))
    }

    /// One series.
    pub fn get(&self, event: &[u8]) -> Option<&Series> {
        self.series
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(event))
            .map(|(_, series)| series)
    }

    /// Forgets the named events, or all if none is named. Returns how many it forgot.
    pub fn reset(&mut self, events: &[&[u8]]) -> usize {
        let before = self.series.len();
        self.series.retain(|name, _| {
            !events.is_empty() && !events.iter().any(|event| name.as_bytes().eq_ignore_ascii_case(event))
        });
        before - self.series.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_per_second_and_a_bounded_number() {
        let mut monitor = LatencyMonitor::default();
        monitor.record("command", 1, 5);
        monitor.record("command", 1, 9);
        monitor.record("command", 1, 7);
        assert_eq!(monitor.get(b"COMMAND").unwrap().samples, [Sample { at_s: 1, latency_ms: 9 }]);
        (0..1000).for_each(|second| monitor.record("command", second, 1));
        let series = monitor.get(b"command").unwrap();
        assert_eq!((series.samples.len(), series.max_ms), (SAMPLES_MAX, 9));
        assert_eq!((monitor.reset(&[b"other"]), monitor.reset(&[])), (0, 1));
    }
}
