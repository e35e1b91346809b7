//! The values themselves: operations on plain bytes, without a client, a reply, a clock or a journal.

pub mod bitfield;
pub mod bits;
pub mod lcs;
