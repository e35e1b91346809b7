//! What a key can hold besides a string: the collections, each with its encodings.

mod fields;
pub mod hash;
mod list;
mod scored;
mod set;
mod stream;
mod zset;

pub use fields::Fields;
pub use hash::Hash;
pub use set::{Set, SetRules};
pub use stream::Stream;
pub use zset::{ScanScore, Zset, ZsetIter, ZsetRules};

pub use crate::types::List;

use super::Budget;
use super::item::{Encoding, Kind};

/// A collection.
#[derive(Debug, Clone)]
pub enum Value {
    /// Elements in the order of insertion.
    List(List),
    /// Unique members.
    Set(Set),
    /// Unique members in the order of their scores.
    Zset(Zset),
    /// Fields with values.
    Hash(Hash),
    /// A log of entries.
    Stream(Box<Stream>),
}

/// A type of collection.
pub trait Typed: Sized {
    /// Its kind.
    const KIND: Kind;
    /// As a value.
    fn wrap(self) -> Value;
    /// The collection in a value, if it is of this type.
    fn of(value: &Value) -> Option<&Self>;
    /// Likewise, to change it.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// How it is stored.
    fn encoding(&self) -> Encoding;
    /// Number of elements. A key whose collection has none is removed, unless it is a stream.
    fn len(&self) -> usize;
    /// Whether there is no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes allocated.
    fn heap_bytes(&self) -> usize;
    /// Frees elements until the budget is spent; `true` when the rest can be dropped at once.
    fn drop_some(&mut self, budget: &mut Budget) -> bool;
}

/// Implements the part of [`Typed`] that is the same for all: the way into a [`Value`] and out of it.
macro_rules! typed {
    ($kind:ident $(, $boxed:ident)?) => {
        const KIND: $crate::shard::Kind = $crate::shard::Kind::$kind;

        fn wrap(self) -> $crate::shard::values::Value {
            $crate::shard::values::Value::$kind($($boxed::new)?(self))
        }

        #[inline]
        fn of(value: &$crate::shard::values::Value) -> Option<&Self> {
            match value {
                $crate::shard::values::Value::$kind(this) => Some(this),
                _ => None,
            }
        }

        #[inline]
        fn of_mut(value: &mut $crate::shard::values::Value) -> Option<&mut Self> {
            match value {
                $crate::shard::values::Value::$kind(this) => Some(this),
                _ => None,
            }
        }
    };
}
use typed;

/// Evaluates an expression for the collection in a value, whatever its type.
macro_rules! each {
    ($value:expr, $this:ident => $result:expr) => {
        match $value {
            Value::List($this) => $result,
            Value::Set($this) => $result,
            Value::Zset($this) => $result,
            Value::Hash($this) => $result,
            Value::Stream($this) => $result,
        }
    };
}

impl Value {
    /// Its type.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
            Value::Zset(_) => Kind::Zset,
            Value::Hash(_) => Kind::Hash,
            Value::Stream(_) => Kind::Stream,
        }
    }

    /// The hash table of a large one.
    #[inline]
    pub fn fields(&self) -> Option<&Fields> {
        match self {
            Value::Set(Set::Table(fields)) => Some(fields),
            Value::Hash(hash) => hash.fields(),
            Value::Zset(zset) => zset.fields(),
            _ => None,
        }
    }

    /// How it is stored.
    pub fn encoding(&self) -> Encoding {
        each!(self, this => this.encoding())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        each!(self, this => this.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated.
    pub fn heap_bytes(&self) -> usize {
        each!(self, this => this.heap_bytes())
    }

    /// Frees elements until the budget is spent; `true` when the rest can be dropped at once.
    pub fn drop_some(&mut self, budget: &mut Budget) -> bool {
        each!(self, this => this.drop_some(budget))
    }
}
