//! Reading hashes.

use smallvec::SmallVec;

use super::bulk;
use crate::execute::Exec;
use crate::execute::scan_options::{self, ScanOptions, Scanned};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::Budget;
use crate::shard::values::Typed;
use crate::shard::values::hash::{Entry, Hash};
use crate::types::Str;

/// `HGET key field`
pub fn hget(cx: &mut Exec<'_>) -> Result<(), Error> {
    answer(cx, |reply, value| match value {
        Some(value) => bulk(reply, value),
        None => reply.null(),
    })
}

/// `HEXISTS key field`
pub fn hexists(cx: &mut Exec<'_>) -> Result<(), Error> {
    answer(cx, |reply, value| reply.int(i64::from(value.is_some())))
}

/// `HSTRLEN key field`
pub fn hstrlen(cx: &mut Exec<'_>) -> Result<(), Error> {
    answer(cx, |reply, value| reply.int(value.map_or(0, Str::len) as i64))
}

/// Answers with the value of the field.
#[inline]
fn answer(cx: &mut Exec<'_>, write: impl FnOnce(&mut Reply<'_>, Option<Str<'_>>)) -> Result<(), Error> {
    let (key, field, now_ms) = (cx.key(1), cx.args[2], cx.shard.expiry_clock_ms());
    let entry = cx.shard.read::<Hash>(cx.db, &key)?.and_then(|hash| hash.get(field));
    match entry {
        Some(entry) if entry.is_expired(now_ms) => {
            write(&mut cx.reply, None);
            cx.shard.expire_field(cx.db, &key, field);
        }
        entry => write(&mut cx.reply, entry.map(|entry| entry.value)),
    }
    Ok(())
}

/// `HMGET key field [field ...]`
pub fn hmget(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, fields, now_ms) = (cx.key(1), &cx.args[2..], cx.shard.expiry_clock_ms());
    let hash = cx.shard.read::<Hash>(cx.db, &key)?;
    let mut expired: SmallVec<[&[u8]; 4]> = SmallVec::new();
    cx.reply.array(fields.len());
    for field in fields {
        match hash.and_then(|hash| hash.get(field)) {
            Some(entry) if entry.is_expired(now_ms) => {
                expired.push(field);
                cx.reply.null();
            }
            Some(entry) => bulk(&mut cx.reply, entry.value),
            None => cx.reply.null(),
        }
    }
    cx.shard.expire_named_fields(cx.db, &key, &expired);
    Ok(())
}

/// `HLEN key`
pub fn hlen(cx: &mut Exec<'_>) -> Result<(), Error> {
    let len = cx.shard.read::<Hash>(cx.db, &cx.key(1))?.map_or(0, Hash::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `HGETALL key`
pub fn hgetall(cx: &mut Exec<'_>) -> Result<(), Error> {
    all(cx, Reply::map, |reply, entry| {
        bulk(reply, entry.field);
        bulk(reply, entry.value);
    })
}

/// `HKEYS key`
pub fn hkeys(cx: &mut Exec<'_>) -> Result<(), Error> {
    all(cx, Reply::array, |reply, entry| bulk(reply, entry.field))
}

/// `HVALS key`
pub fn hvals(cx: &mut Exec<'_>) -> Result<(), Error> {
    all(cx, Reply::array, |reply, entry| bulk(reply, entry.value))
}

/// Answers with something of each field.
fn all<'a>(
    cx: &mut Exec<'a>,
    head: impl FnOnce(&mut Reply<'a>, usize),
    write: impl Fn(&mut Reply<'a>, Entry<'_>),
) -> Result<(), Error> {
    let (key, now_ms) = (cx.key(1), cx.shard.expiry_clock_ms());
    let hash = cx.shard.read::<Hash>(cx.db, &key)?;
    head(&mut cx.reply, hash.map_or(0, |hash| hash.live_len(now_ms)));
    if let Some(hash) = hash {
        hash.for_each(|entry| {
            if !entry.is_expired(now_ms) {
                write(&mut cx.reply, entry);
            }
        });
    }
    Ok(())
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
pub fn hscan(cx: &mut Exec<'_>) -> Result<(), Error> {
    let cursor = scan_options::parse_cursor(cx.args[2])?;
    let (key, now_ms) = (cx.key(1), cx.shard.expiry_clock_ms());
    let Some(hash) = cx.shard.read::<Hash>(cx.db, &key)? else {
        scan_options::empty(&mut cx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(&cx.args[3..], Scanned::Fields)?;
    let (start, mut count) = (cx.reply.position(), 0);
    let next = hash.scan(cursor, &mut Budget::items(options.count), |entry| {
        if entry.is_expired(now_ms) || !entry.field.with_bytes(|field| options.pattern.matches(field)) {
            return;
        }
        bulk(&mut cx.reply, entry.field);
        count += 1;
        if !options.no_values {
            bulk(&mut cx.reply, entry.value);
            count += 1;
        }
    });
    scan_options::finish(&mut cx.reply, start, next, count);
    Ok(())
}
