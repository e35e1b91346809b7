//! A hash.

use super::{Typed, typed};
use crate::shard::Budget;
use crate::shard::item::Encoding;
use crate::types::Listpack;

/// A hash.
#[derive(Debug, Clone, Default)]
pub struct Hash {
    pack: Listpack,
}

impl Typed for Hash {
    typed!(Hash);

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
