//! What the server knows about itself: counters, latencies, logs.

pub mod latency;
pub mod log;
pub mod slowlog;
pub mod stats;
