//! Stream commands (redis.io/docs/latest/commands/?group=stream).
//!
//! A handler checks its arguments in the order in which Redis does, because that decides which error a client sees.
//! Commands that Redis writes to its journal in another form than they were sent in (`XREADGROUP`, `XCLAIM`) count as
//! many changes as Redis counts.

mod add;
mod claim;
mod effects;
mod groups;
mod info;
mod range;
mod read;
#[cfg(test)]
mod tests;

pub use add::{xadd, xdel, xsetid, xtrim};
pub use claim::{xautoclaim, xclaim, xpending};
pub use groups::{
    xack, xgroup_create, xgroup_createconsumer, xgroup_delconsumer, xgroup_destroy, xgroup_setid,
};
pub use info::{xinfo_consumers, xinfo_groups, xinfo_stream};
pub use range::{xlen, xrange, xrevrange};
pub use read::{xread, xreadgroup};

use std::ops::RangeInclusive;

use super::Exec;
use crate::execute::arguments::shown;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::types::stream::{Entry, Id, IdArg};

/// Whether an argument is this keyword.
fn is(arg: &[u8], keyword: &str) -> bool {
    arg.eq_ignore_ascii_case(keyword.as_bytes())
}

const INVALID_ID: Error = Error::text("ERR Invalid stream ID specified as stream command argument");

/// An ID of which the sequence number may be missing.
fn id_or(text: &[u8], missing_seq: u64) -> Result<Id, Error> {
    match IdArg::parse(text) {
        Some(IdArg::Smallest) => Ok(Id::MIN),
        Some(IdArg::Greatest) => Ok(Id::MAX),
        _ => strict_id_or(text, missing_seq),
    }
}

/// Likewise, but neither `-` nor `+`.
fn strict_id_or(text: &[u8], missing_seq: u64) -> Result<Id, Error> {
    match IdArg::parse(text) {
        Some(IdArg::Whole(id)) => Ok(id),
        Some(IdArg::Millis(ms)) => Ok(Id::new(ms, missing_seq)),
        _ => Err(INVALID_ID),
    }
}

/// The ID of an entry, with 0 for a missing sequence number.
fn strict_id(text: &[u8]) -> Result<Id, Error> {
    strict_id_or(text, 0)
}

fn strict_ids(texts: &[&[u8]]) -> Result<Vec<Id>, Error> {
    texts.iter().map(|text| strict_id(text)).collect()
}

/// The first ID of an interval; `(` in front of it leaves the ID itself out.
fn interval_start(text: &[u8]) -> Result<Id, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => {
            strict_id(id)?.next().ok_or(Error::text("ERR invalid start ID for the interval"))
        }
        id => id_or(id, 0),
    }
}

/// The last ID of an interval.
fn interval_end(text: &[u8]) -> Result<Id, Error> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => {
            strict_id_or(id, u64::MAX)?.prev().ok_or(Error::text("ERR invalid end ID for the interval"))
        }
        id => id_or(id, u64::MAX),
    }
}

fn interval(start: &[u8], end: &[u8]) -> Result<RangeInclusive<Id>, Error> {
    Ok(interval_start(start)?..=interval_end(end)?)
}

fn no_group_of_key(key: &[u8], group: &[u8]) -> Error {
    format!("NOGROUP No such key '{}' or consumer group '{}'", shown(key), shown(group)).into()
}

fn no_group_for_key(key: &[u8], group: &[u8]) -> Error {
    format!("NOGROUP No such consumer group '{}' for key name '{}'", shown(group), shown(key)).into()
}

/// The error of a subcommand whose arguments do not follow its grammar.
fn subcommand_error(cx: &Exec<'_>) -> Error {
    let (container, subcommand) = (shown(cx.args[0]).to_uppercase(), shown(cx.args[1]));
    format!("ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try {container} HELP.")
        .into()
}

fn reply_id(reply: &mut Reply<'_>, id: Id) {
    reply.bulk(&id.text()[..]);
}

/// An entry: its ID, and its fields with their values.
fn reply_entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(2 * entry.fields.len());
    for (field, value) in entry.fields {
        field.with_bytes(|bytes| reply.bulk(bytes));
        value.with_bytes(|bytes| reply.bulk(bytes));
    }
}

/// Writes an array of what `items` yields, whose number is not known beforehand.
fn reply_array<'r, T>(
    reply: &mut Reply<'r>,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Reply<'r>, T),
) {
    let start = reply.position();
    let mut count = 0;
    for item in items {
        write(reply, item);
        count += 1;
    }
    reply.prepend(start, |reply| reply.array(count));
}

/// The most items for a count of which 0 means any number.
fn at_most(count: i64) -> usize {
    if count == 0 { usize::MAX } else { count as usize }
}
