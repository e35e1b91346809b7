//! String commands (redis.io/docs/latest/commands/?group=string).
//!
//! A handler checks its arguments in the order in which Redis does, because that decides which error a client
//! sees. Values that a client sets are classified, so that numbers are stored as such; values that are changed
//! in place become buffers that grow, and are reported as `raw` from then on.

mod counters;
mod expiry;
mod get;
mod lcs;
mod many;
mod ranges;
mod set;
#[cfg(test)]
pub(super) mod testing;

pub use counters::{decr, decrby, incr, incrby, incrbyfloat};
pub(super) use get::reply_value;
pub use get::{get, getdel, getex};
pub use lcs::lcs;
pub use many::{mget, mset, msetnx};
pub use ranges::{append, getrange, setrange, strlen, substr};
pub use set::{getset, psetex, set, setex, setnx};

use crate::protocol::Error;
use crate::shard::{Item, Key, Kind, Shard, Str};

/// The value of an item, which has to be a string.
#[inline]
pub(super) fn value(item: &Item) -> Result<Str<'_>, Error> {
    match item.kind() {
        Kind::String => Ok(item.str()),
        _ => Err(Error::WrongType),
    }
}

/// The string at a key that is about to be read.
#[inline]
pub(super) fn read<'s>(shard: &'s mut Shard, db: usize, key: &Key<'_>) -> Result<Option<Str<'s>>, Error> {
    shard.lookup_read(db, key).map(value).transpose()
}

/// The string's item at a key that is about to be changed.
#[inline]
pub(super) fn write<'s>(
    shard: &'s mut Shard,
    db: usize,
    key: &Key<'_>,
) -> Result<Option<&'s mut Item>, Error> {
    let Some(item) = shard.lookup_write(db, key) else { return Ok(None) };
    value(item)?;
    Ok(Some(item))
}

/// The string at a key as a buffer of at least `len` bytes, which is not 0: what is missing is filled with
/// zeros. Says, too, whether anything was missing.
pub(super) fn buffer<'s>(
    shard: &'s mut Shard,
    db: usize,
    key: &Key<'_>,
    len: usize,
) -> Result<(&'s mut Vec<u8>, bool), Error> {
    if write(shard, db, key)?.is_none() {
        shard.insert(db, key, Item::heap(key.bytes, Vec::new(), None));
    }
    let bytes = shard.dbs.of_mut(db, key).string_mut(key).expect("it was just found or inserted");
    let grows = bytes.len() < len;
    if bytes.is_empty() {
        // Fresh zeros come from the system without being written.
        *bytes = vec![0; len];
    } else if grows {
        bytes.resize(len, 0);
    }
    Ok((bytes, grows))
}

/// What an argument stands for; the names are compared without regard to case.
pub(super) fn choice<T: Copy>(text: &[u8], choices: &[(&str, T)]) -> Option<T> {
    choices.iter().find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes())).map(|(_, choice)| *choice)
}

/// The inclusive range from `start` to `end`, of which negative ones count from the end, within `len`.
fn clamp_range(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_end = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let (first, last) = (from_end(start), from_end(end).min(len - 1));
    if (start < 0 && end < 0 && start > end) || first > last {
        return 0..0;
    }
    first as usize..last as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_clamped_to_the_string() {
        for (start, end, len, clamped) in [
            (0, -1, 3, 0..3),
            (1, 1, 3, 1..2),
            (-2, 2, 3, 1..3),
            (2, 1, 3, 0..0),
            (3, 4, 3, 0..0),
            // An end before the first position is the first position, unless the ends are in the wrong order.
            (0, -4, 3, 0..1),
            (-5, -4, 3, 0..1),
            (-4, -5, 3, 0..0),
            (1, -4, 3, 0..0),
            (-1, i64::MAX, 0, 0..0),
            (i64::MIN, i64::MAX, 3, 0..3),
            (i64::MAX, i64::MIN, 3, 0..0),
        ] {
            assert_eq!(clamp_range(start, end, len), clamped, "{start} to {end} of {len}");
        }
    }
}
