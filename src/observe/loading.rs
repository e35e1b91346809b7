//! How far a loading of the data set is, for `INFO` and the log.

/// Figures of the present loading, or of the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loading {
    /// Whether it is going on.
    pub active: bool,
    /// When it began, Unix milliseconds.
    pub started_ms: i64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// What the server that wrote the RDB file had allocated, in bytes.
    pub used_memory_bytes: u64,
    /// Bytes that are loaded.
    pub loaded_bytes: u64,
    /// Keys from RDB files.
    pub keys_loaded: u64,
    /// Keys of RDB files whose time was over.
    pub keys_expired: u64,
}

impl Loading {
    /// How much of it is done, of 100.
    pub fn percent(&self) -> f64 {
        100.0 * self.loaded_bytes as f64 / self.total_bytes.max(1) as f64
    }

    /// Bytes loaded in a second.
    pub fn bytes_per_second(&self, now_ms: i64) -> u64 {
        self.loaded_bytes * 1000 / (now_ms - self.started_ms).max(1) as u64
    }

    /// Seconds until the rest is loaded if it goes on as fast; in the first second, 1.
    pub fn seconds_left(&self, now_ms: i64) -> u64 {
        if now_ms - self.started_ms < 1000 {
            return 1;
        }
        self.total_bytes.saturating_sub(self.loaded_bytes) / self.bytes_per_second(now_ms).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_expected_to_take_as_long() {
        let loading = Loading {
            active: true,
            started_ms: 10_000,
            total_bytes: 4000,
            loaded_bytes: 1000,
            ..Loading::default()
        };
        assert_eq!((loading.percent(), loading.bytes_per_second(12_000)), (25.0, 500));
        assert_eq!((loading.seconds_left(12_000), loading.seconds_left(10_500)), (6, 1));
        assert_eq!(Loading::default().percent(), 0.0);
    }
}
