//! Values of all types, written and read.

use super::{Error, Output, Reader, Text, VERSION, Writer, hash, list, set, stream, types, zset};
use crate::shard::values::{Typed, Value};
use crate::shard::{Hasher, Item, Settings};

/// What a value that is read is made by: the limits of its encodings, and the hash function of its tables.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The limits.
    pub settings: Settings,
    /// The hash function.
    pub hasher: Hasher,
}

/// A value that was read.
#[derive(Debug)]
pub enum Object<'a> {
    /// A string.
    String(Text<'a>),
    /// A collection, which has elements unless it is a stream.
    Collection(Value),
}

impl Object<'_> {
    /// An item for a key. `expire_at_ms` is in Unix milliseconds.
    pub fn into_item(self, key: &[u8], expire_at_ms: Option<i64>) -> Item {
        match self {
            Object::String(text) => Item::new(key, text.str(), expire_at_ms),
            Object::Collection(value) => Item::collection(key, value, expire_at_ms),
        }
    }
}

/// The type byte of what [`encode`] writes for an item.
pub fn type_of(item: &Item) -> u8 {
    match item.value() {
        None => types::STRING,
        Some(Value::List(_)) => types::LIST_QUICKLIST_2,
        Some(Value::Set(set)) => set::type_of(set),
        Some(Value::Zset(zset)) => zset::type_of(zset),
        Some(Value::Hash(hash)) => hash::type_of(hash),
        Some(Value::Stream(stream)) => stream::type_of(stream),
    }
}

/// The first version of the format with this type, or one before it that is as widely understood.
pub fn version_of(kind: u8) -> u16 {
    match kind {
        _ if kind <= types::STREAM => 9,
        _ if kind <= types::STREAM_2 => 10,
        _ if kind <= types::STREAM_3 => 11,
        _ => VERSION,
    }
}

/// Writes an item's value.
pub fn encode(item: &Item, writer: &mut Writer<impl Output>) {
    match item.value() {
        None => writer.string(item.str()),
        Some(Value::List(list)) => list::write(list, writer),
        Some(Value::Set(set)) => set::write(set, writer),
        Some(Value::Zset(zset)) => zset::write(zset, writer),
        Some(Value::Hash(hash)) => hash::write(hash, writer),
        Some(Value::Stream(stream)) => stream::write(stream, writer),
    }
}

/// Reads a value of the type that its type byte says.
///
/// # Errors
/// If it is not well-formed, or a collection without elements.
pub fn decode<'a>(kind: u8, reader: &mut Reader<'a>, rules: &Rules) -> Result<Object<'a>, Error> {
    use types::*;
    let value = match kind {
        STRING => return reader.string().map(Object::String),
        LIST | LIST_ZIPLIST | LIST_QUICKLIST | LIST_QUICKLIST_2 => list::read(kind, reader, rules)?.wrap(),
        SET | SET_INTSET | SET_LISTPACK => set::read(kind, reader, rules)?.wrap(),
        ZSET | ZSET_2 | ZSET_ZIPLIST | ZSET_LISTPACK => zset::read(kind, reader, rules)?.wrap(),
        HASH
        | HASH_ZIPMAP
        | HASH_ZIPLIST
        | HASH_LISTPACK
        | HASH_METADATA_PRE_GA
        | HASH_LISTPACK_EX_PRE_GA
        | HASH_METADATA
        | HASH_LISTPACK_EX => hash::read(kind, reader, rules)?.wrap(),
        STREAM | STREAM_2 | STREAM_3 => return Ok(Object::Collection(stream::read(kind, reader)?.wrap())),
        _ => return Err(Error::Corrupt("an unknown type")),
    };
    if value.is_empty() { Err(Error::Empty) } else { Ok(Object::Collection(value)) }
}
