//! What the server knows about itself: counters, latencies, logs.

pub mod info;
pub mod latency;
pub mod loading;
pub mod log;
pub mod memory;
pub mod rates;
pub mod slowlog;
pub mod stats;
