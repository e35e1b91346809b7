//! Changing lists by index or by value.

use super::{clamp, remove_range, resolve, signed_count};
use crate::execute::arguments::integer;
use crate::execute::strings::choice;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::types::List;
use crate::types::quicklist::End;

/// `LINSERT key BEFORE|AFTER pivot element`
pub fn linsert(cx: &mut Exec<'_>) -> Result<(), Error> {
    let behind = choice(cx.args[2], &[("after", true), ("before", false)]).ok_or(Error::Syntax)?;
    let (key, limits) = (cx.key(1), cx.shard.settings.list_limits());
    let Some(list) = cx.shard.write::<List>(cx.db, &key)? else {
        cx.reply.int(0);
        return Ok(());
    };
    if list.insert(cx.args[3], behind, cx.args[4], limits) {
        cx.reply.int(list.len() as i64);
        cx.changes += 1;
        cx.wrote(Class::LIST, "linsert", &key);
    } else {
        cx.reply.int(-1);
    }
    Ok(())
}

/// `LSET key index element`
pub fn lset(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, limits) = (cx.key(1), cx.shard.settings.list_limits());
    let list = cx.shard.write::<List>(cx.db, &key)?.ok_or(Error::NoSuchKey)?;
    // An index beyond the list goes to it, too, because Redis makes a list long before it looks for the index.
    let index = resolve(integer(cx.args[2])?, list.len()).unwrap_or(list.len());
    if !list.set(index, cx.args[3], limits) {
        return Err(Error::IndexRange);
    }
    cx.reply.ok();
    cx.changes += 1;
    cx.wrote(Class::LIST, "lset", &key);
    Ok(())
}

/// `LTRIM key start stop`
pub fn ltrim(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (start, stop) = (integer(cx.args[2])?, integer(cx.args[3])?);
    let key = cx.key(1);
    if let Some(list) = cx.shard.write::<List>(cx.db, &key)? {
        let len = list.len();
        let kept = clamp(start, stop, len);
        let mut gone = remove_range(cx, &key, kept.end..len)?;
        if !gone {
            gone = remove_range(cx, &key, 0..kept.start)?;
        }
        cx.wrote(Class::LIST, "ltrim", &key);
        if gone {
            cx.event(Class::GENERIC, "del", &key);
        }
    }
    cx.reply.ok();
    Ok(())
}

/// `LREM key count element`
pub fn lrem(cx: &mut Exec<'_>) -> Result<(), Error> {
    let count = signed_count(cx.args[2])?;
    let (key, limits) = (cx.key(1), cx.shard.settings.list_limits());
    let Some(list) = cx.shard.write::<List>(cx.db, &key)? else {
        cx.reply.int(0);
        return Ok(());
    };
    let from = if count < 0 { End::Back } else { End::Front };
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let removed = list.remove_equal(cx.args[3], from, most, limits);
    let none_left = list.is_empty();
    if removed > 0 {
        cx.took(Class::LIST, "lrem", &key, none_left);
    }
    cx.changes += removed as u64;
    cx.reply.int(removed as i64);
    Ok(())
}
