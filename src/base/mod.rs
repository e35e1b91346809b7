//! Ground that knows nothing of servers: bytes, numbers, checksums, patterns.

pub mod crc;
pub mod rng;
