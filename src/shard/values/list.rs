//! Lists as values of keys.

use super::{Typed, typed};
use crate::shard::item::Encoding;
use crate::shard::{Budget, Settings};
use crate::types::quicklist::{Limits, List};

/// Bytes that take about as long to free as a small block, because they go back to the kernel.
const BYTES_PER_STEP: usize = 64 << 10;

impl Settings {
    /// What bounds the listpacks of lists.
    #[inline]
    pub fn list_limits(&self) -> Limits {
        Limits { fill: self.list_max_listpack_size, plain_from: self.list_packed_threshold }
    }
}

impl Typed for List {
    typed!(List);

    fn encoding(&self) -> Encoding {
        if self.is_listpack() { Encoding::Listpack } else { Encoding::Quicklist }
    }

    #[inline]
    fn len(&self) -> usize {
        List::len(self)
    }

    fn heap_bytes(&self) -> usize {
        List::heap_bytes(self)
    }

    fn drop_some(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent() {
            match self.drop_node() {
                Some(bytes) => budget.spend(1 + bytes / BYTES_PER_STEP),
                None => return true,
            }
        }
        false
    }
}
