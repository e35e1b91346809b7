//! Whole servers in one thread: cores on a simulated network with simulated time, driven by a seed, with random clients
//! whose histories must be strictly serializable.
//!
//! `CORELANE_SIM_SEEDS` sets how many seeds each number of shards gets, `CORELANE_SIM_SEED` replays a single one and shows
//! its history if that is rejected.

mod blocking;
mod broken;
mod client;
mod cluster;
mod crash;
mod random;
mod regressions;

#[path = "../support/mod.rs"]
mod support;
