//! Ground that knows nothing of servers: bytes, numbers, checksums, patterns.

pub mod crc;
mod grisu;
mod literal;
pub mod long_double;
mod natural;
pub mod number;
pub mod rng;
