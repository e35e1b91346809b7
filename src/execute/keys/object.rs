//! What keys look like inside: `OBJECT`, `MEMORY USAGE` and `DEBUG OBJECT`. The name of the subcommand is
//! argument 1, the key argument 2.

use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::rdb::{Count, Writer, encode};
use crate::shard::values::hash::Stored;
use crate::shard::values::{Set, Value};
use crate::shard::{Encoding, Item, Kind, Settings, Str};
use crate::types::Listpack;
use crate::types::quicklist::Part;

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
    match cx.shard.lookup_inspect(cx.db, &cx.key(2)) {
        Some(item) => cx.reply.bulk(item.encoding().name()),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `OBJECT REFCOUNT key`
pub fn object_refcount(cx: &mut Exec<'_>) -> Result<(), Error> {
    match cx.shard.lookup_inspect(cx.db, &cx.key(2)) {
        Some(item) => cx.reply.int(references(item)),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `OBJECT IDLETIME key`
pub fn object_idletime(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(2);
    if cx.shard.lookup_inspect(cx.db, &key).is_some() && cx.shard.lfu.is_some() {
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
    match cx.shard.lookup_inspect(cx.db, &cx.key(2)) {
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
    match cx.shard.dbs.of(cx.db, &cx.key(2)).get(&cx.key(2)) {
        Some(item) => cx.reply.int((item.memory_usage_bytes() + size_of::<Item>()) as i64),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `DEBUG OBJECT key`
pub fn debug_object(cx: &mut Exec<'_>) -> Result<(), Error> {
    let item = cx.shard.dbs.of(cx.db, &cx.key(2)).get(&cx.key(2)).ok_or(Error::NoSuchKey)?;
    cx.reply.status(&format!(
        "Value at:{:p} refcount:{} encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}{}",
        item.key().as_ptr(),
        references(item),
        item.encoding().name(),
        serialized_len(item),
        item.lru(),
        cx.shard.idle_seconds(item),
        about_nodes(item, &cx.shard.settings),
    ));
    Ok(())
}

/// What `DEBUG OBJECT` says about a list of several nodes.
fn about_nodes(item: &Item, settings: &Settings) -> String {
    let Some(Value::List(list)) = item.value().filter(|_| item.encoding() == Encoding::Quicklist) else {
        return String::new();
    };
    let nodes = list.parts().count();
    let bytes: usize = list.parts().map(|part| part.bytes().len()).sum();
    format!(
        " ql_nodes:{nodes} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{bytes}",
        list.len() as f64 / nodes as f64,
        settings.list_max_listpack_size,
        u8::from(settings.list_compress_depth > 0),
    )
}

/// `DEBUG LISTPACK key`: prints its listpack.
pub fn debug_listpack(cx: &mut Exec<'_>) -> Result<(), Error> {
    let item = cx.shard.lookup_inspect(cx.db, &cx.key(2)).ok_or(Error::NoSuchKey)?;
    let pack = match item.value() {
        Some(Value::List(list)) => list.parts().next().filter(|_| list.is_listpack()).map(Part::bytes),
        Some(Value::Set(Set::Listpack(pack))) => Some(pack.as_bytes()),
        Some(Value::Zset(zset)) => zset.listpack().map(Listpack::as_bytes),
        Some(Value::Hash(hash)) => match hash.stored() {
            Stored::Pairs(pack) | Stored::Triples(pack) => Some(pack.as_bytes()),
            Stored::Table => None,
        },
        _ => None,
    };
    println!(
        "{:?}",
        pack.ok_or(Error::text("ERR Not a listpack encoded object."))?.escape_ascii().to_string()
    );
    cx.reply.status("Listpack structure printed on stdout");
    Ok(())
}

/// `DEBUG QUICKLIST key [0 | 1]`: prints its nodes.
pub fn debug_quicklist(cx: &mut Exec<'_>) -> Result<(), Error> {
    let item = cx.shard.lookup_inspect(cx.db, &cx.key(2)).ok_or(Error::NoSuchKey)?;
    let Some(Value::List(list)) = item.value().filter(|_| item.encoding() == Encoding::Quicklist) else {
        return Err(Error::text("ERR Not a quicklist encoded object."));
    };
    let with_elements = cx.args.get(3).is_some_and(|full| *full != b"0");
    for part in list.parts() {
        let (kind, bytes) = match part {
            Part::Plain(bytes) => ("element", bytes),
            Part::Packed(bytes) => ("listpack", bytes),
        };
        let content = if with_elements { bytes.escape_ascii().to_string() } else { String::new() };
        println!("{kind} of {} bytes {content}", bytes.len());
    }
    cx.reply.status("Quicklist structure printed on stdout");
    Ok(())
}

/// `DEBUG HTSTATS-KEY key [FULL]`: how large its hash table is. It is an open one, which grows and shrinks in one step.
pub fn debug_table(cx: &mut Exec<'_>) -> Result<(), Error> {
    let item = cx.shard.lookup_inspect(cx.db, &cx.key(2)).ok_or(Error::NoSuchKey)?;
    let value = item.value().filter(|_| matches!(item.encoding(), Encoding::Hashtable | Encoding::Skiplist));
    let value = value.ok_or(Error::text(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    let (len, bytes) = (value.len(), value.heap_bytes());
    let stats = format!(
        "Hash table 0 stats (main hash table):\n number of elements: {len}\n bytes with elements: {bytes}\n"
    );
    cx.reply.verbatim("txt", stats);
    Ok(())
}

/// `DEBUG SDSLEN key`. Keys and values have no spare room, and share one allocation unless the value is long.
pub fn debug_sdslen(cx: &mut Exec<'_>) -> Result<(), Error> {
    let item = cx.shard.dbs.of(cx.db, &cx.key(2)).get(&cx.key(2)).ok_or(Error::NoSuchKey)?;
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

/// Bytes that a value takes in an RDB file.
fn serialized_len(item: &Item) -> usize {
    let mut writer = Writer::new(Count::default(), true);
    encode(item, &mut writer);
    writer.into_output().0
}
