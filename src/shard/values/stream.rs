//! A stream.

use super::{Typed, typed};
use crate::shard::Budget;
use crate::shard::item::Encoding;
use crate::types::Listpack;

/// A stream.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    pack: Listpack,
}

impl Typed for Stream {
    typed!(Stream, Box);

    fn encoding(&self) -> Encoding {
        Encoding::Stream
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
