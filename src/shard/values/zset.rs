//! A sorted set.

use super::{Typed, typed};
use crate::shard::Budget;
use crate::shard::item::Encoding;
use crate::types::Listpack;

/// A sorted set.
#[derive(Debug, Clone, Default)]
pub struct Zset {
    pack: Listpack,
}

impl Typed for Zset {
    typed!(Zset);

    fn encoding(&self) -> Encoding {
        Encoding::Listpack
    }

    fn len(&self) -> usize {
        self.pack.len()
    }

    fn heap_bytes(&self) -> usize {
        self.pack.byte_len()
    }

    fn drop_some(&mut self, _budget: &mut Budget) -> bool {
        true
    }
}
