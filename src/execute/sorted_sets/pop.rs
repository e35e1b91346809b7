//! Taking the members with the lowest or highest scores away, at once or as soon as there are any.

use super::{reply_member, reply_score};
use crate::execute::arguments::{self, integer};
use crate::execute::{Class, Exec, Null, Wait, block_timeout};
use crate::protocol::Error;
use crate::protocol::resp::Resp;
use crate::shard::Kind;
use crate::shard::values::{Typed, Zset};

/// Which end members are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Members and scores in turns.
    Flat,
    /// An array of members with their scores.
    Nested,
    /// The key, then members and scores in turns.
    KeyFlat,
    /// The key and an array of members with their scores.
    KeyNested,
}

/// Pops from the first of some keys, given as places of arguments, that is there. Returns whether there is one.
fn pop(
    cx: &mut Exec<'_>,
    keys: impl Iterator<Item = usize>,
    end: End,
    count: usize,
    form: Form,
) -> Result<bool, Error> {
    for at in keys {
        let key = cx.key(at);
        let Some(zset) = cx.shard.write::<Zset>(cx.db, &key)? else { continue };
        let (len, reply) = (zset.len(), &mut cx.reply);
        let count = count.min(len);
        match form {
            Form::Flat => reply.array(2 * count),
            Form::Nested => reply.array(count),
            Form::KeyFlat => {
                reply.array(2 * count + 1);
                reply.bulk(key.bytes);
            }
            Form::KeyNested => {
                reply.array(2);
                reply.bulk(key.bytes);
                reply.array(count);
            }
        }
        let ranks = if end == End::Min { 0..count } else { len - count..len };
        let mut entries = zset.iter(ranks.clone());
        let next = || if end == End::Min { entries.next() } else { entries.next_back() };
        for (member, score) in std::iter::from_fn(next) {
            if matches!(form, Form::Nested | Form::KeyNested) {
                reply.array(2);
            }
            reply_member(reply, member);
            reply_score(reply, score);
        }
        zset.remove_ranks(ranks);
        cx.changes += count as u64;
        if count > 0 {
            let event = if end == End::Min { "zpopmin" } else { "zpopmax" };
            cx.took(Class::ZSET, event, &key, count == len);
            let command: &[u8] = if end == End::Min { b"ZPOPMIN" } else { b"ZPOPMAX" };
            match form {
                Form::Flat | Form::Nested => {}
                Form::KeyFlat => cx.effect(&key, &[command, key.bytes]),
                Form::KeyNested => {
                    cx.effect(&key, &[command, key.bytes, itoa::Buffer::new().format(count).as_bytes()]);
                }
            }
        }
        return Ok(true);
    }
    Ok(false)
}

fn pop_one_key(cx: &mut Exec<'_>, end: End) -> Result<(), Error> {
    let (count, form) = match cx.args[2..] {
        [] => (1, Form::Flat),
        [count] => {
            let count = arguments::count(count)?;
            // RESP3 has an array for each only if a count is given.
            (count, if cx.reply.resp() == Resp::V3 { Form::Nested } else { Form::Flat })
        }
        _ => return Err(Error::Syntax),
    };
    if !pop(cx, 1..2, end, count, form)? {
        cx.reply.array(0);
    }
    Ok(())
}

/// `ZPOPMIN key [count]`
pub fn zpopmin(cx: &mut Exec<'_>) -> Result<(), Error> {
    pop_one_key(cx, End::Min)
}

/// `ZPOPMAX key [count]`
pub fn zpopmax(cx: &mut Exec<'_>) -> Result<(), Error> {
    pop_one_key(cx, End::Max)
}

/// The arguments of `ZMPOP` from the number of keys on, which is at `at`: the places of the keys, the end, the count.
fn many(args: &[&[u8]], at: usize) -> Result<(std::ops::Range<usize>, End, usize), Error> {
    let positive = |arg, error| integer(arg).ok().filter(|n| *n > 0).ok_or(Error::text(error));
    let keys = positive(args[at], "ERR numkeys should be greater than 0")?;
    let first = at + 1;
    let behind = usize::try_from(keys).ok().and_then(|keys| first.checked_add(keys));
    let options = behind.and_then(|behind| args.get(behind..)).unwrap_or_default();
    let Some((end, options)) = options.split_first() else { return Err(Error::Syntax) };
    let end = match end.to_ascii_lowercase().as_slice() {
        b"min" => End::Min,
        b"max" => End::Max,
        _ => return Err(Error::Syntax),
    };
    let count = match options {
        [] => 1,
        [name, count, rest @ ..] if name.eq_ignore_ascii_case(b"count") => {
            let count = positive(count, "ERR count should be greater than 0")?;
            if !rest.is_empty() {
                return Err(Error::Syntax);
            }
            count as usize
        }
        _ => return Err(Error::Syntax),
    };
    Ok((first..first + keys as usize, end, count))
}

/// `ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]`
pub fn zmpop(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (keys, end, count) = many(cx.args, 1)?;
    if !pop(cx, keys, end, count, Form::KeyNested)? {
        cx.reply.null_array();
    }
    Ok(())
}

/// Pops, or waits for one of the keys to get members.
fn pop_or_wait(
    cx: &mut Exec<'_>,
    timeout: &[u8],
    keys: std::ops::Range<usize>,
    end: End,
    count: usize,
    form: Form,
) -> Result<(), Error> {
    let timeout_ms = block_timeout(timeout)?;
    if !pop(cx, keys.clone(), end, count, form)? {
        cx.wait =
            Some(Wait { keys: keys.collect(), kind: Kind::Zset, timeout_ms, null: Null::Array, args: None });
    }
    Ok(())
}

fn pop_one_or_wait(cx: &mut Exec<'_>, end: End) -> Result<(), Error> {
    let last = cx.args.len() - 1;
    pop_or_wait(cx, cx.args[last], 1..last, end, 1, Form::KeyFlat)
}

/// `BZPOPMIN key [key ...] timeout`
pub fn bzpopmin(cx: &mut Exec<'_>) -> Result<(), Error> {
    pop_one_or_wait(cx, End::Min)
}

/// `BZPOPMAX key [key ...] timeout`
pub fn bzpopmax(cx: &mut Exec<'_>) -> Result<(), Error> {
    pop_one_or_wait(cx, End::Max)
}

/// `BZMPOP timeout numkeys key [key ...] <MIN | MAX> [COUNT count]`
pub fn bzmpop(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (keys, end, count) = many(cx.args, 2)?;
    pop_or_wait(cx, cx.args[1], keys, end, count, Form::KeyNested)
}
