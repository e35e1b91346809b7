//! When fields expire. All times become Unix milliseconds first.

use smallvec::SmallVec;

use crate::base::number::parse_i64;
use crate::execute::arguments::integer;
use crate::execute::effects::Words;
use crate::execute::keys::{Condition, Since, Unit};
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::Key;
use crate::shard::values::Typed;
use crate::shard::values::hash::Hash;

/// The last time that can be given, Unix milliseconds.
const LATEST_MS: i64 = (1 << 46) - 1;

// What is answered for a field.
const NO_FIELD: i64 = -2;
const NO_EXPIRY: i64 = -1;
const REFUSED: i64 = 0;
const DONE: i64 = 1;
const REMOVED: i64 = 2;

/// `HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub fn hexpire(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_expiry(cx, "hexpire", Unit::Seconds, Since::Now)
}

/// `HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub fn hpexpire(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_expiry(cx, "hpexpire", Unit::Millis, Since::Now)
}

/// `HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub fn hexpireat(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_expiry(cx, "hexpireat", Unit::Seconds, Since::Epoch)
}

/// `HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]`
pub fn hpexpireat(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_expiry(cx, "hpexpireat", Unit::Millis, Since::Epoch)
}

/// A time that is over removes the field.
fn set_expiry(cx: &mut Exec<'_>, name: &'static str, unit: Unit, since: Since) -> Result<(), Error> {
    let (key, now_ms) = (cx.key(1), cx.shard.now_ms);
    let request = Request::parse(cx.args, name, unit, if since == Since::Now { now_ms } else { 0 });
    let expiry_clock_ms = cx.shard.expiry_clock_ms();
    let hash = cx.shard.write::<Hash>(cx.db, &key)?;
    let Request { at, condition, fields } = request?;
    cx.reply.array(fields.len());
    let Some(hash) = hash else {
        fields.iter().for_each(|_| cx.reply.int(NO_FIELD));
        return Ok(());
    };
    hash.allow_expiry();
    let (mut set, mut removed) = (SmallVec::<[&[u8]; 8]>::new(), SmallVec::<[&[u8]; 8]>::new());
    for field in fields {
        cx.reply.int(match hash.get(field) {
            None => NO_FIELD,
            Some(entry) if !condition.allows(entry.expire_at_ms, at) => REFUSED,
            Some(_) if at <= expiry_clock_ms => {
                hash.remove(field);
                removed.push(*field);
                REMOVED
            }
            Some(_) => {
                hash.set_expiry(field, Some(at));
                set.push(*field);
                DONE
            }
        });
    }
    let none_left = hash.is_empty();
    if !set.is_empty() {
        cx.shard.watch_fields(cx.db, &key);
    }
    if !removed.is_empty() {
        cx.took(Class::HASH, "hdel", &key, none_left);
    } else if !set.is_empty() {
        cx.wrote(Class::HASH, "hexpire", &key);
    }
    cx.shard.stats.expired_subkeys += removed.len() as u64;
    cx.changes += (set.len() + removed.len()) as u64;
    if !removed.is_empty() {
        leave(cx, &key, &[b"HDEL", key.bytes], &removed);
    }
    if !set.is_empty() {
        let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (time, count) = (time.format(at).as_bytes(), count.format(set.len()).as_bytes());
        leave(cx, &key, &[b"HPEXPIREAT", key.bytes, time, b"FIELDS", count], &set);
    }
    Ok(())
}

/// Leaves an effect on some fields.
fn leave(cx: &mut Exec<'_>, key: &Key<'_>, command: &[&[u8]], fields: &[&[u8]]) {
    let args: Words<'_> = command.iter().chain(fields).copied().collect();
    cx.effect(key, &args);
}

struct Request<'a> {
    /// Unix milliseconds.
    at: i64,
    condition: Condition,
    fields: &'a [&'a [u8]],
}

impl<'a> Request<'a> {
    fn parse(args: &'a [&'a [u8]], name: &'static str, unit: Unit, base: i64) -> Result<Request<'a>, Error> {
        let time = integer(args[2])?;
        if time < 0 {
            return Err(Error::text("ERR invalid expire time, must be >= 0"));
        }
        let scale = if unit == Unit::Seconds { 1000 } else { 1 };
        let at = time.checked_mul(scale).and_then(|time| time.checked_add(base));
        let at = at.filter(|&at| at <= LATEST_MS).ok_or(Error::InvalidExpire(name))?;
        let condition = Condition::of(args[3]);
        let fields_at = if condition.is_some() { 4 } else { 3 };
        let fields = fields(args, fields_at, "ERR Parameter `numFields` should be greater than 0")?;
        Ok(Request { at, condition: condition.unwrap_or_default(), fields })
    }
}

/// The fields of `FIELDS numfields field [field ...]`, which stands at the end.
fn fields<'a>(args: &'a [&'a [u8]], at: usize, none: &'static str) -> Result<&'a [&'a [u8]], Error> {
    const MISSING: &str = "ERR Mandatory argument FIELDS is missing or not at the right position";
    const MISMATCH: &str = "ERR The `numfields` parameter must match the number of arguments";
    if !args[at].eq_ignore_ascii_case(b"fields") {
        return Err(Error::text(MISSING));
    }
    let count = parse_i64(args[at + 1]).filter(|&count| count > 0).ok_or(Error::text(none))?;
    let fields = &args[at + 2..];
    if usize::try_from(count) != Ok(fields.len()) {
        return Err(Error::text(MISMATCH));
    }
    Ok(fields)
}

/// Likewise, where nothing but the key stands before it.
fn fields_of_key<'a>(args: &'a [&'a [u8]]) -> Result<&'a [&'a [u8]], Error> {
    fields(args, 2, "ERR Number of fields must be a positive integer")
}

/// `HTTL key FIELDS numfields field [field ...]`
pub fn httl(cx: &mut Exec<'_>) -> Result<(), Error> {
    show_expiry(cx, Unit::Seconds, Since::Now)
}

/// `HPTTL key FIELDS numfields field [field ...]`
pub fn hpttl(cx: &mut Exec<'_>) -> Result<(), Error> {
    show_expiry(cx, Unit::Millis, Since::Now)
}

/// `HEXPIRETIME key FIELDS numfields field [field ...]`
pub fn hexpiretime(cx: &mut Exec<'_>) -> Result<(), Error> {
    show_expiry(cx, Unit::Seconds, Since::Epoch)
}

/// `HPEXPIRETIME key FIELDS numfields field [field ...]`
pub fn hpexpiretime(cx: &mut Exec<'_>) -> Result<(), Error> {
    show_expiry(cx, Unit::Millis, Since::Epoch)
}

/// Seconds are rounded up.
fn show_expiry(cx: &mut Exec<'_>, unit: Unit, since: Since) -> Result<(), Error> {
    let (key, now_ms) = (cx.key(1), cx.shard.now_ms);
    let base = if since == Since::Now { now_ms } else { 0 };
    let expiry_clock_ms = cx.shard.expiry_clock_ms();
    let hash = cx.shard.read::<Hash>(cx.db, &key)?;
    let fields = fields_of_key(cx.args)?;
    cx.reply.array(fields.len());
    for field in fields {
        let entry = hash.and_then(|hash| hash.get(field)).filter(|entry| !entry.is_expired(expiry_clock_ms));
        cx.reply.int(match entry.map(|entry| entry.expire_at_ms) {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            Some(Some(at)) if unit == Unit::Seconds => (at - base + 999) / 1000,
            Some(Some(at)) => at - base,
        });
    }
    Ok(())
}

/// `HPERSIST key FIELDS numfields field [field ...]`
pub fn hpersist(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, expiry_clock_ms) = (cx.key(1), cx.shard.expiry_clock_ms());
    let mut hash = cx.shard.write::<Hash>(cx.db, &key)?;
    let fields = fields_of_key(cx.args)?;
    cx.reply.array(fields.len());
    let mut persisted = SmallVec::<[&[u8]; 8]>::new();
    for field in fields {
        let entry = hash.as_ref().and_then(|hash| hash.get(field));
        let expiry = entry.filter(|entry| !entry.is_expired(expiry_clock_ms)).map(|entry| entry.expire_at_ms);
        cx.reply.int(match (&mut hash, expiry) {
            (Some(hash), Some(Some(_))) => {
                hash.set_expiry(field, None);
                persisted.push(*field);
                DONE
            }
            (Some(_), Some(None)) => NO_EXPIRY,
            _ => NO_FIELD,
        });
    }
    if !persisted.is_empty() {
        cx.changes += 1;
        let mut count = itoa::Buffer::new();
        let count = count.format(persisted.len()).as_bytes();
        leave(cx, &key, &[b"HPERSIST", key.bytes, b"FIELDS", count], &persisted);
        cx.wrote(Class::HASH, "hpersist", &key);
    }
    Ok(())
}
