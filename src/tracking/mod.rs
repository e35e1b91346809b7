//! Client-side caching: whom to tell that a key was modified
//! (redis.io/docs/latest/develop/reference/client-side-caching).
//!
//! - [`Table`], one per shard: which clients, on whichever core, have read which of its keys. As in Redis a key is a name:
//!   the database does not matter. Whoever is told of a key is forgotten there until it reads the key again.
//! - [`Prefixes`], one per core: the prefixes that this core's clients want to hear of whatever they have read, and which
//!   other cores have clients for them.
//! - [`Choice`], one per client: what it has asked for.
//!
//! These are tables only; who reads, writes and sends is in `core::tracking`.

mod choice;
mod prefixes;
mod table;

use smallvec::SmallVec;

pub use self::choice::{Caching, Choice, Mode, Redirect};
pub use self::prefixes::{Listeners, ModifiedKeys, PrefixChange, Prefixes};
pub use self::table::Table;
use crate::runtime::io::{ConnId, CoreId};

/// The name of a key or a prefix.
pub type Name = std::sync::Arc<[u8]>;

/// A client that has read keys, in the order of ids, which are unique over the process' life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tracker {
    /// Its id.
    pub client: u64,
    /// Its connection, on that core.
    pub conn: ConnId,
    /// Its core.
    pub core: CoreId,
}

/// Trackers of one key, in their order.
pub type Trackers = SmallVec<[Tracker; 1]>;
