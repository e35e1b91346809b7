//! Where memory goes: the figures of `INFO memory` and `MEMORY STATS`, derived from a few measurements.

use crate::observe::stats::Stats;

/// What was measured, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Allocated and not freed.
    pub used: u64,
    /// The most that was ever allocated.
    pub peak: u64,
    /// Allocated before the first client came.
    pub startup: u64,
    /// Occupied by the process, as the kernel sees it.
    pub resident: u64,
    /// In the machine.
    pub system: u64,
    /// Held for clients.
    pub clients: u64,
    /// Held by hash tables.
    pub tables: u64,
    /// Keys in all databases.
    pub keys: u64,
}

impl Memory {
    /// Takes over what statistics tell.
    pub fn with_stats(self, stats: &Stats) -> Memory {
        Memory {
            clients: stats.client_bytes,
            tables: stats.dbs.iter().map(|db| db.table_bytes).sum(),
            keys: stats.dbs.iter().map(|db| db.keys).sum(),
            ..self
        }
    }

    /// Bytes that are no data.
    pub fn overhead(&self) -> u64 {
        self.startup + self.clients + self.tables
    }

    /// Bytes that are data.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }

    /// Share of the data in what was allocated since the start, in percent.
    pub fn dataset_percent(&self) -> f64 {
        100.0 * ratio(self.dataset(), self.used.saturating_sub(self.startup))
    }

    /// Allocated bytes in percent of the peak.
    pub fn peak_percent(&self) -> f64 {
        100.0 * ratio(self.used, self.peak)
    }

    /// Bytes per key of what was allocated since the start.
    pub fn bytes_per_key(&self) -> u64 {
        self.used.saturating_sub(self.startup).checked_div(self.keys).unwrap_or(0)
    }

    /// Occupied bytes per allocated byte.
    pub fn fragmentation(&self) -> f64 {
        ratio(self.resident, self.used)
    }

    /// Occupied bytes beyond the allocated ones; negative if memory was swapped out.
    pub fn fragmentation_bytes(&self) -> i64 {
        self.resident as i64 - self.used as i64
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let memory = Memory {
            used: 1000,
            peak: 2000,
            startup: 200,
            resident: 1500,
            clients: 100,
            tables: 100,
            keys: 8,
            system: 1 << 30,
        };
        assert_eq!(memory.overhead() + memory.dataset(), memory.used);
        assert_eq!(
            (memory.dataset_percent(), memory.peak_percent(), memory.fragmentation()),
            (75.0, 50.0, 1.5)
        );
        assert_eq!((memory.bytes_per_key(), memory.fragmentation_bytes()), (100, 500));
        let nothing = Memory::default();
        assert_eq!((nothing.fragmentation(), nothing.bytes_per_key()), (0.0, 0));
    }
}
