//! List commands (redis.io/docs/latest/commands/?group=list).
//!
//! A handler checks its arguments in the order in which Redis does, because that decides which error a client sees.

mod blocking;
mod change;
mod moves;
mod position;
mod push_pop;
mod read;
#[cfg(test)]
mod tests;

pub use blocking::{blmove, blmpop, blpop, brpop, brpoplpush};
pub use change::{linsert, lrem, lset, ltrim};
pub use moves::{lmove, lmpop, rpoplpush};
pub use position::lpos;
pub use push_pop::{lpop, lpush, lpushx, rpop, rpush, rpushx};
pub use read::{lindex, llen, lrange};

use std::ops::Range;

use super::arguments::integer;
use super::strings::{choice, reply_value};
use super::{Class, Exec};
use crate::protocol::Error;
use crate::shard::Key;
use crate::shard::values::Typed;
use crate::types::List;
use crate::types::quicklist::End;

/// The end of a list that an argument names.
fn end(arg: &[u8]) -> Result<End, Error> {
    choice(arg, &[("left", End::Front), ("right", End::Back)]).ok_or(Error::Syntax)
}

/// A number from 0 on, or from `least`; whatever else it is, the answer is `error`.
fn count(arg: &[u8], least: usize, error: &'static str) -> Result<usize, Error> {
    let number = integer(arg).ok().and_then(|number| usize::try_from(number).ok());
    number.filter(|&number| number >= least).ok_or(Error::text(error))
}

/// A number other than the lowest, which has no counterpart above 0.
fn signed_count(arg: &[u8]) -> Result<i64, Error> {
    match integer(arg)? {
        i64::MIN => Err(Error::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        number => Ok(number),
    }
}

/// What an index, which counts from the end if it is negative, stands for in a list of `len` elements.
fn resolve(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(index).ok().filter(|&index| index < len)
}

/// The indexes from `start` to `stop`, of which negative ones count from the end, within a list of `len` elements.
fn clamp(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_end = |at: i64| if at < 0 { at + len as i64 } else { at };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len as i64 - 1));
    if start > stop { 0..0 } else { start as usize..stop as usize + 1 }
}

/// The indexes of the `count` elements next to an end.
fn at_end(end: End, count: usize, len: usize) -> Range<usize> {
    let count = count.min(len);
    match end {
        End::Front => 0..count,
        End::Back => len - count..len,
    }
}

/// What has happened when something is pushed at an end.
fn push_event(end: End) -> &'static str {
    if end == End::Front { "lpush" } else { "rpush" }
}

/// What has happened when something is popped from an end.
fn pop_event(end: End) -> &'static str {
    if end == End::Front { "lpop" } else { "rpop" }
}

/// What an argument calls an end.
fn end_name(end: End) -> &'static [u8] {
    if end == End::Front { b"LEFT" } else { b"RIGHT" }
}

/// The command that pushes at an end.
fn push_command(end: End) -> &'static [u8] {
    if end == End::Front { b"LPUSH" } else { b"RPUSH" }
}

/// The command that pops from an end.
fn pop_command(end: End) -> &'static [u8] {
    if end == End::Front { b"LPOP" } else { b"RPOP" }
}

/// Removes elements; all of them with the key. Returns whether that is gone.
fn remove_range(cx: &mut Exec<'_>, key: &Key<'_>, range: Range<usize>) -> Result<bool, Error> {
    let limits = cx.shard.settings.list_limits();
    cx.changes += range.len() as u64;
    let Some(list) = cx.shard.write::<List>(cx.db, key)? else { return Ok(true) };
    if range.len() == list.len() {
        cx.shard.delete(cx.db, key);
        return Ok(true);
    }
    if let Some(removed) = list.remove_range(range, limits) {
        cx.shard.discard_value(removed.wrap());
    }
    Ok(false)
}

/// Removes up to `count` elements at an end and answers with an array of them, the one at the end first.
fn pop_many(cx: &mut Exec<'_>, key: &Key<'_>, end: End, count: usize) -> Result<(), Error> {
    let Some(list) = cx.shard.write::<List>(cx.db, key)? else { return Ok(()) };
    let range = at_end(end, count, list.len());
    cx.reply.array(range.len());
    match end {
        End::Front => list.range(range.clone()).for_each(|element| reply_value(&mut cx.reply, Some(element))),
        End::Back => {
            list.range_back(range.clone()).for_each(|element| reply_value(&mut cx.reply, Some(element)))
        }
    }
    if !range.is_empty() {
        let gone = remove_range(cx, key, range)?;
        cx.wrote(Class::LIST, pop_event(end), key);
        if gone {
            cx.event(Class::GENERIC, "del", key);
        }
    }
    Ok(())
}
