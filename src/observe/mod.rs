//! What the server knows about itself: counters, latencies, logs.

pub mod stats;
