//! What keys look like inside: `OBJECT`, `MEMORY USAGE` and `DEBUG OBJECT`. The name of the subcommand is
//! argument 1, the key argument 2.

use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::shard::{Encoding, Item, Kind, Str};

/// Integers below this are one shared object each in Redis.
const SHARED_INTEGERS: i64 = 10_000;
/// The count of references that Redis gives to shared objects.
const SHARED: i64 = i32::MAX as i64;

const LFU_IS_SELECTED: Error = Error::text(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
     policies at runtime LRU and LFU data will take some time to adjust.",
);
const LFU_IS_NOT_SELECTED: Error = Error::text(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
     between policies at runtime LRU and LFU data will take some time to adjust.",
);

/// `OBJECT ENCODING key`
pub fn object_encoding(cx: &mut Exec<'_>) -> Result<(), Error> {
    match cx.shard.lookup_about(cx.db, &cx.key(2)) {
        Some(item) => cx.reply.bulk(item.encoding().name()),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `OBJECT REFCOUNT key`
pub fn object_refcount(cx: &mut Exec<'_>) -> Result<(), Error> {
    match cx.shard.lookup_about(cx.db, &cx.key(2)) {
        Some(item) => cx.reply.int(references(item)),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `OBJECT IDLETIME key`
pub fn object_idletime(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(2);
    if cx.shard.lookup_about(cx.db, &key).is_some() && cx.shard.lfu.is_some() {
        return Err(LFU_IS_SELECTED);
    }
    match cx.shard.peek(cx.db, &key) {
        Some(item) => cx.reply.int(i64::from(cx.shard.idle_seconds(item))),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `OBJECT FREQ key`
pub fn object_freq(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (lfu, now_ms) = (cx.shard.lfu, cx.shard.now_ms);
    match cx.shard.lookup_about(cx.db, &cx.key(2)) {
        Some(item) => {
            let lfu = lfu.ok_or(LFU_IS_NOT_SELECTED)?;
            cx.reply.int(i64::from(lfu.frequency(item.lru(), now_ms)));
        }
        None => cx.reply.null(),
    }
    Ok(())
}

/// `MEMORY USAGE key [SAMPLES count]`. Strings have no elements to sample.
pub fn memory_usage(cx: &mut Exec<'_>) -> Result<(), Error> {
    for option in cx.args[3..].chunks(2) {
        let [name, count] = option else { return Err(Error::Syntax) };
        if !name.eq_ignore_ascii_case(b"samples") || integer(count)? < 0 {
            return Err(Error::Syntax);
        }
    }
    match cx.shard.dbs[cx.db].get(&cx.key(2)) {
        Some(item) => cx.reply.int((item.memory_usage_bytes() + size_of::<Item>()) as i64),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `DEBUG OBJECT key`
pub fn debug_object(cx: &mut Exec<'_>) -> Result<(), Error> {
    let item = cx.shard.dbs[cx.db].get(&cx.key(2)).ok_or(Error::NoSuchKey)?;
    cx.reply.status(&format!(
        "Value at:{:p} refcount:{} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        item.key().as_ptr(),
        references(item),
        item.encoding().name(),
        serialized_len(item),
        item.lru(),
        cx.shard.idle_seconds(item),
    ));
    Ok(())
}

/// `DEBUG SDSLEN key`. Keys and values have no spare room, and share one allocation unless the value is long.
pub fn debug_sdslen(cx: &mut Exec<'_>) -> Result<(), Error> {
    let item = cx.shard.dbs[cx.db].get(&cx.key(2)).ok_or(Error::NoSuchKey)?;
    if item.encoding() == Encoding::Int || item.kind() != Kind::String {
        return Err(Error::text("ERR Not an sds encoded string."));
    }
    let (key, value) = (item.key().len(), item.str().len());
    cx.reply.status(&format!(
        "key_sds_len:{key}, key_sds_avail:0, key_zmalloc: {key}, val_sds_len:{value}, val_sds_avail:0, val_zmalloc: {}",
        item.memory_usage_bytes().saturating_sub(key),
    ));
    Ok(())
}

fn references(item: &Item) -> i64 {
    match item.encoding() {
        Encoding::Int if matches!(item.str(), Str::Int(0..SHARED_INTEGERS)) => SHARED,
        _ => 1,
    }
}

/// Bytes that a value takes in an RDB file without compression; for a collection, about as many.
fn serialized_len(item: &Item) -> usize {
    if let Some(value) = item.value() {
        return value.heap_bytes();
    }
    match item.str() {
        Str::Int(number) if i8::try_from(number).is_ok() => 2,
        Str::Int(number) if i16::try_from(number).is_ok() => 3,
        Str::Int(number) if i32::try_from(number).is_ok() => 5,
        value => {
            let len = value.len();
            len + match len {
                0..0x40 => 1,
                0x40..0x4000 => 2,
                0x4000..=0xffff_ffff => 5,
                _ => 9,
            }
        }
    }
}
