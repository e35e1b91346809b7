//! Adding and removing at the ends of a list.

use super::{pop_event, pop_many, push_event};
use crate::execute::arguments::count;
use crate::execute::strings::reply_value;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::types::List;
use crate::types::quicklist::End;

/// `LPUSH key element [element ...]`
#[inline]
pub fn lpush(cx: &mut Exec<'_>) -> Result<(), Error> {
    push(cx, End::Front)
}

/// `RPUSH key element [element ...]`
#[inline]
pub fn rpush(cx: &mut Exec<'_>) -> Result<(), Error> {
    push(cx, End::Back)
}

/// `LPUSHX key element [element ...]`
pub fn lpushx(cx: &mut Exec<'_>) -> Result<(), Error> {
    push_if_there(cx, End::Front)
}

/// `RPUSHX key element [element ...]`
pub fn rpushx(cx: &mut Exec<'_>) -> Result<(), Error> {
    push_if_there(cx, End::Back)
}

#[inline]
fn push(cx: &mut Exec<'_>, end: End) -> Result<(), Error> {
    let (key, limits) = (cx.key(1), cx.shard.settings.list_limits());
    let list = cx.shard.write_or_insert(cx.db, &key, List::default)?;
    list.push(end, &cx.args[2..], limits);
    cx.reply.int(list.len() as i64);
    cx.changes += cx.args.len() as u64 - 2;
    cx.wrote(Class::LIST, push_event(end), &key);
    Ok(())
}

fn push_if_there(cx: &mut Exec<'_>, end: End) -> Result<(), Error> {
    let key = cx.key(1);
    if cx.shard.write::<List>(cx.db, &key)?.is_some() {
        return push(cx, end);
    }
    cx.reply.int(0);
    Ok(())
}

/// `LPOP key [count]`
#[inline]
pub fn lpop(cx: &mut Exec<'_>) -> Result<(), Error> {
    pop(cx, End::Front, "lpop")
}

/// `RPOP key [count]`
#[inline]
pub fn rpop(cx: &mut Exec<'_>) -> Result<(), Error> {
    pop(cx, End::Back, "rpop")
}

#[inline]
fn pop(cx: &mut Exec<'_>, end: End, command: &'static str) -> Result<(), Error> {
    if cx.args.len() > 2 {
        return pop_counted(cx, end, command);
    }
    if !pop_one(cx, 1, end)? {
        cx.reply.null();
    }
    Ok(())
}

fn pop_counted(cx: &mut Exec<'_>, end: End, command: &'static str) -> Result<(), Error> {
    let &[_, _, most] = cx.args else { return Err(Error::Arity(command.into())) };
    let most = count(most)?;
    let key = cx.key(1);
    if cx.shard.write::<List>(cx.db, &key)?.is_none() {
        cx.reply.null_array();
        return Ok(());
    }
    pop_many(cx, &key, end, most)
}

/// Answers with the element at an end of the list at the key that is argument `index`, and removes it. Returns whether
/// there is one.
#[inline]
pub(super) fn pop_one(cx: &mut Exec<'_>, index: usize, end: End) -> Result<bool, Error> {
    let (key, limits) = (cx.key(index), cx.shard.settings.list_limits());
    let Some(list) = cx.shard.write::<List>(cx.db, &key)? else { return Ok(false) };
    list.pop(end, limits, |element| reply_value(&mut cx.reply, Some(element)));
    let none_left = list.is_empty();
    cx.took(Class::LIST, pop_event(end), &key, none_left);
    cx.changes += 1;
    Ok(true)
}
