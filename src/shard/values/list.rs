//! A list.

use super::{Typed, typed};
use crate::shard::Budget;
use crate::shard::item::Encoding;
use crate::types::Listpack;

/// A list.
#[derive(Debug, Clone, Default)]
pub struct List {
    pack: Listpack,
}

impl Typed for List {
    typed!(List);

    fn encoding(&self) -> Encoding {
        Encoding::Quicklist
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
