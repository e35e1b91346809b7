//! Writing hashes.

use crate::base::long_double::LongDouble;
use crate::base::number::parse_i64;
use crate::execute::arguments::integer;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::Key;
use crate::shard::values::Typed;
use crate::shard::values::hash::{Growth, Hash};
use crate::types::Str;

/// `HSET key field value [field value ...]`
pub fn hset(cx: &mut Exec<'_>) -> Result<(), Error> {
    let new = set(cx, "hset")?;
    cx.reply.int(new);
    Ok(())
}

/// `HMSET key field value [field value ...]`
pub fn hmset(cx: &mut Exec<'_>) -> Result<(), Error> {
    set(cx, "hmset")?;
    cx.reply.ok();
    Ok(())
}

/// Sets all fields. Returns how many are new.
#[inline]
fn set(cx: &mut Exec<'_>, name: &'static str) -> Result<i64, Error> {
    let (pairs, []) = cx.args[2..].as_chunks::<2>() else {
        return Err(Error::Arity(name.into()));
    };
    let (key, growth) = (cx.key(1), Growth::new(&cx.shard.settings, cx.shard.hasher()));
    let hash = cx.shard.write_or_insert(cx.db, &key, Hash::default)?;
    hash.prepare(pairs.len(), &growth);
    let mut new = 0;
    for [field, value] in pairs {
        new += i64::from(hash.set(field, Str::classify(value), &growth));
    }
    cx.changes += pairs.len() as u64;
    cx.wrote(Class::HASH, "hset", &key);
    Ok(new)
}

/// `HSETNX key field value`
pub fn hsetnx(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, field, value) = (cx.key(1), cx.args[2], cx.args[3]);
    let there = current(cx, &key, field, |value| value.is_some())?;
    if !there {
        let growth = Growth::new(&cx.shard.settings, cx.shard.hasher());
        let hash = cx.shard.write_or_insert(cx.db, &key, Hash::default)?;
        hash.prepare(1, &growth);
        hash.set(field, Str::classify(value), &growth);
        cx.changes += 1;
        cx.wrote(Class::HASH, "hset", &key);
    }
    cx.reply.int(i64::from(!there));
    Ok(())
}

/// `HDEL key field [field ...]`
pub fn hdel(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, mut removed) = (cx.key(1), 0);
    if let Some(hash) = cx.shard.write::<Hash>(cx.db, &key)? {
        removed = cx.args[2..].iter().filter(|field| hash.remove(field)).count();
        let none_left = hash.is_empty();
        if removed > 0 {
            cx.took(Class::HASH, "hdel", &key, none_left);
        }
    }
    cx.changes += removed as u64;
    cx.reply.int(removed as i64);
    Ok(())
}

/// `HINCRBY key field increment`. The expiry of the field stays.
pub fn hincrby(cx: &mut Exec<'_>) -> Result<(), Error> {
    const NOT_INTEGER: Error = Error::text("ERR hash value is not an integer");
    const OVERFLOW: Error = Error::text("ERR increment or decrement would overflow");
    let (key, field) = (cx.key(1), cx.args[2]);
    let by = integer(cx.args[3])?;
    let before = current(cx, &key, field, |value| match value {
        None => Ok(0),
        Some(Str::Int(number)) => Ok(number),
        Some(Str::Bytes(text)) => parse_i64(text).ok_or(NOT_INTEGER),
    })??;
    let sum = before.checked_add(by).ok_or(OVERFLOW)?;
    update(cx, &key, field, Str::Int(sum), "hincrby")?;
    cx.reply.int(sum);
    Ok(())
}

/// `HINCRBYFLOAT key field increment`. The expiry of the field stays.
pub fn hincrbyfloat(cx: &mut Exec<'_>) -> Result<(), Error> {
    const NOT_FLOAT: Error = Error::text("ERR hash value is not a float");
    const INFINITE: Error = Error::text("ERR value is NaN or Infinity");
    const TO_INFINITE: Error = Error::text("ERR increment would produce NaN or Infinity");
    let (key, field) = (cx.key(1), cx.args[2]);
    let by = LongDouble::parse(cx.args[3]).ok_or(Error::NotFloat)?;
    if !by.is_finite() {
        return Err(INFINITE);
    }
    let before = current(cx, &key, field, |value| {
        value.unwrap_or(Str::Int(0)).with_bytes(|text| LongDouble::parse(text).ok_or(NOT_FLOAT))
    })??;
    let sum = before.checked_add(by).ok_or(TO_INFINITE)?.to_string();
    update(cx, &key, field, Str::classify(sum.as_bytes()), "hincrbyfloat")?;
    leave_field(cx, &key, field, sum.as_bytes());
    cx.reply.bulk(sum);
    Ok(())
}

/// The effect of a command that has set a field, which keeps its expiry.
fn leave_field(cx: &mut Exec<'_>, key: &Key<'_>, field: &[u8], value: &[u8]) {
    cx.effect(key, &[b"HSET", key.bytes, field, value]);
    let hash = cx.shard.peek_as::<Hash>(cx.db, key).ok().flatten();
    if let Some(at) = hash.and_then(|hash| hash.get(field)?.expire_at_ms) {
        let mut digits = itoa::Buffer::new();
        let at = digits.format(at).as_bytes();
        cx.effect(key, &[b"HPEXPIREAT", key.bytes, at, b"FIELDS", b"1", field]);
    }
}

/// What `look` makes of the value of a field that is about to be changed; one whose time is over is removed.
fn current<R>(
    cx: &mut Exec<'_>,
    key: &Key<'_>,
    field: &[u8],
    look: impl FnOnce(Option<Str<'_>>) -> R,
) -> Result<R, Error> {
    let now_ms = cx.shard.expiry_clock_ms();
    match cx.shard.write::<Hash>(cx.db, key)?.and_then(|hash| hash.get(field)) {
        Some(entry) if entry.is_expired(now_ms) => {
            cx.shard.expire_field(cx.db, key, field);
            Ok(look(None))
        }
        entry => Ok(look(entry.map(|entry| entry.value))),
    }
}

/// Sets one field, which keeps its expiry.
fn update(
    cx: &mut Exec<'_>,
    key: &Key<'_>,
    field: &[u8],
    value: Str<'_>,
    event: &'static str,
) -> Result<(), Error> {
    let growth = Growth::new(&cx.shard.settings, cx.shard.hasher());
    cx.shard.write_or_insert(cx.db, key, Hash::default)?.update(field, value, &growth);
    cx.changes += 1;
    cx.wrote(Class::HASH, event, key);
    Ok(())
}
