//! Keys that change their name or their database, or are copied. Expiries go with them.

use super::{existing_db, int32};
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::{Item, Key};

const SAME_OBJECT: Error = Error::text("ERR source and destination objects are the same");

/// `RENAME key newkey`
pub fn rename(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (from, to) = source_and_target(cx)?;
    if from.bytes != to.bytes {
        rename_to(cx, &from, &to);
    }
    cx.reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`
pub fn renamenx(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (from, to) = source_and_target(cx)?;
    let free = cx.shard.lookup_write(cx.db, &to).is_none();
    if free {
        rename_to(cx, &from, &to);
    }
    cx.reply.int(i64::from(free));
    Ok(())
}

/// Both keys, of which the first is there.
fn source_and_target<'a>(cx: &mut Exec<'a>) -> Result<(Key<'a>, Key<'a>), Error> {
    let (from, to) = (cx.key(1), cx.key(2));
    cx.shard.lookup_write(cx.db, &from).ok_or(Error::NoSuchKey)?;
    Ok((from, to))
}

fn rename_to(cx: &mut Exec<'_>, from: &Key<'_>, to: &Key<'_>) {
    if let Some(item) = cx.shard.take(cx.db, from) {
        cx.shard.delete(cx.db, to);
        cx.shard.insert(cx.db, to, item.renamed(to.bytes));
        cx.changes += 1;
        cx.event(Class::GENERIC, "rename_from", from);
        cx.event(Class::GENERIC, "rename_to", to);
        cx.deletion_effect(from);
        cx.value_effect(cx.db, to);
    }
}

/// `MOVE key db`
pub fn move_(cx: &mut Exec<'_>) -> Result<(), Error> {
    let target = existing_db(cx.shard, int32(cx.args[2])?)?;
    if target == cx.db {
        return Err(SAME_OBJECT);
    }
    let key = cx.key(1);
    let moves = cx.shard.lookup_write(cx.db, &key).is_some() && cx.shard.lookup_write(target, &key).is_none();
    if moves && let Some(item) = cx.shard.take(cx.db, &key) {
        cx.shard.insert(target, &key, item);
        cx.changes += 1;
        cx.event(Class::GENERIC, "move_from", &key);
        cx.shard.events.note(Class::GENERIC, "move_to", target, key.bytes);
    }
    cx.reply.int(i64::from(moves));
    Ok(())
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub fn copy(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (mut target, mut replace) = (cx.db, false);
    let mut options = cx.args[3..].iter();
    while let Some(option) = options.next() {
        if option.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if option.eq_ignore_ascii_case(b"db") {
            target = existing_db(cx.shard, int32(options.next().ok_or(Error::Syntax)?)?)?;
        } else {
            return Err(Error::Syntax);
        }
    }
    let (from, to) = (cx.key(1), cx.key(2));
    if target == cx.db && from.bytes == to.bytes {
        return Err(SAME_OBJECT);
    }
    let copied = copy_to(cx, &from, target, &to, replace);
    cx.changes += u64::from(copied);
    cx.reply.int(i64::from(copied));
    Ok(())
}

fn copy_to(cx: &mut Exec<'_>, from: &Key<'_>, target: usize, to: &Key<'_>, replace: bool) -> bool {
    let source = cx.shard.lookup_read(cx.db, from).is_some();
    if !source || (cx.shard.lookup_write(target, to).is_some() && !replace) {
        return false;
    }
    let copy: Option<Item> = cx.shard.peek(cx.db, from).map(|item| item.clone_as(to.bytes));
    copy.is_some_and(|copy| {
        cx.shard.delete(target, to);
        cx.shard.insert(target, to, copy);
        cx.shard.events.note(Class::GENERIC, "copy_to", target, to.bytes);
        cx.value_effect(target, to);
        true
    })
}
