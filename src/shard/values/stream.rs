//! A stream as the value of a key.

use super::{Typed, typed};
use crate::shard::Budget;
use crate::shard::item::Encoding;
pub use crate::types::stream::Stream;

impl Typed for Stream {
    typed!(Stream, Box);

    fn encoding(&self) -> Encoding {
        Encoding::Stream
    }

    fn len(&self) -> usize {
        self.counters().len as usize
    }

    fn heap_bytes(&self) -> usize {
        Stream::heap_bytes(self)
    }

    fn drop_some(&mut self, budget: &mut Budget) -> bool {
        while !budget.is_spent() {
            if !self.drop_one() {
                return true;
            }
            budget.spend(1);
        }
        false
    }
}
