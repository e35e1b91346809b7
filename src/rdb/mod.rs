//! The form in which Redis stores values outside of memory: in RDB files and in what `DUMP` returns.
//!
//! A value is a type byte and what [`encode`] writes behind it; [`decode`] reads it back. Every type that Redis 2.8 to 7.4
//! ever wrote can be read; what is written is the oldest form that holds the value and becomes the same encoding again when
//! Redis 7.4 reads it, so that as many versions as possible can. All numbers that matter are in `write`; the forms of
//! collections that Redis no longer uses are in `old`.
//!
//! What comes in is not trusted: lengths are believed only as far as the bytes reach, so that memory is bounded by a
//! multiple of the input, and every structure is checked throughout before it becomes a value (`sanitize-dump-payload yes`).

pub mod file;
#[cfg(test)]
mod file_tests;
mod hash;
mod list;
mod object;
mod old;
mod packed;
pub mod payload;
mod read;
pub mod scan;
mod set;
mod skip;
mod stream;
#[cfg(test)]
mod tests;
mod write;
mod zset;

pub use object::{Object, Rules, decode, encode, type_of, version_of};
pub use read::{Reader, Text};
pub use write::{Count, Output, Writer};

/// The newest version of the format, that of Redis 7.4.
pub const VERSION: u16 = 12;

/// Why a value could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no such value; the field says what is wrong with them.
    #[error("{0}")]
    Corrupt(&'static str),
    /// The bytes end within the value: there may be more of it, where they come from.
    #[error("it ends early")]
    Truncated,
    /// A collection without elements, which no key holds.
    #[error("a collection without elements")]
    Empty,
}

/// What stands in a file in the place of a type byte: something else than an entry comes.
pub(crate) mod opcodes {
    pub(super) const SLOT_INFO: u8 = 244;
    /// A function library.
    pub(crate) const FUNCTION2: u8 = 245;
    /// The same in a form that was never released.
    pub(crate) const FUNCTION_PRE_GA: u8 = 246;
    pub(super) const MODULE_AUX: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const FREQUENCY: u8 = 249;
    pub(super) const AUX: u8 = 250;
    pub(super) const RESIZE_DB: u8 = 251;
    pub(super) const EXPIRE_TIME_MS: u8 = 252;
    pub(super) const EXPIRE_TIME: u8 = 253;
    pub(super) const SELECT_DB: u8 = 254;
    pub(super) const EOF: u8 = 255;
}

/// The type bytes.
mod types {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const ZSET: u8 = 3;
    pub(super) const HASH: u8 = 4;
    pub(super) const ZSET_2: u8 = 5;
    pub(super) const MODULE: u8 = 6;
    pub(super) const MODULE_2: u8 = 7;
    pub(super) const HASH_ZIPMAP: u8 = 9;
    pub(super) const LIST_ZIPLIST: u8 = 10;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const ZSET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    pub(super) const LIST_QUICKLIST: u8 = 14;
    pub(super) const STREAM: u8 = 15;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const ZSET_LISTPACK: u8 = 17;
    pub(super) const LIST_QUICKLIST_2: u8 = 18;
    pub(super) const STREAM_2: u8 = 19;
    pub(super) const SET_LISTPACK: u8 = 20;
    pub(super) const STREAM_3: u8 = 21;
    pub(super) const HASH_METADATA_PRE_GA: u8 = 22;
    pub(super) const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    pub(super) const HASH_METADATA: u8 = 24;
    pub(super) const HASH_LISTPACK_EX: u8 = 25;
}
