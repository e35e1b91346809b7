//! Ground that knows nothing of servers: bytes, numbers, checksums, patterns.

pub mod crc;
pub mod crc64;
pub mod event_classes;
pub mod glob;
mod grisu;
mod literal;
pub mod long_double;
pub mod lzf;
mod natural;
pub mod number;
pub mod quote;
pub mod rng;
#[cfg(test)]
pub mod temp_folder;
pub mod time;
