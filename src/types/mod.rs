//! The values themselves: operations on plain bytes, without a client, a reply, a clock or a journal.

pub mod bitfield;
pub mod bits;
pub mod geo;
pub mod hyperloglog;
pub mod intset;
pub mod lcs;
pub mod listpack;
pub mod quicklist;
pub mod ranked;
pub mod str;
pub mod stream;

pub use intset::Intset;
pub use listpack::Listpack;
pub use quicklist::List;
pub use str::Str;
