//! Moving elements between lists, and taking them from the first of several that has any.

use smallvec::SmallVec;

use super::{count, end, end_name, pop_command, pop_event, pop_many, push_command, push_event};
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::types::List;
use crate::types::quicklist::End;

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`
pub fn lmove(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (from, to) = (end(cx.args[3])?, end(cx.args[4])?);
    move_one_or_null(cx, from, to)
}

/// `RPOPLPUSH source destination`
pub fn rpoplpush(cx: &mut Exec<'_>) -> Result<(), Error> {
    move_one_or_null(cx, End::Back, End::Front)
}

fn move_one_or_null(cx: &mut Exec<'_>, from: End, to: End) -> Result<(), Error> {
    if !move_one(cx, from, to)? {
        cx.reply.null();
    }
    Ok(())
}

/// Moves an element from the list at the first argument to that at the second, and answers with it. Returns whether
/// there is one.
pub(super) fn move_one(cx: &mut Exec<'_>, from: End, to: End) -> Result<bool, Error> {
    let (source, destination, db) = (cx.key(1), cx.key(2), cx.db);
    let limits = cx.shard.settings.list_limits();
    if cx.shard.write::<List>(db, &source)?.is_none() {
        return Ok(false);
    }
    cx.shard.write::<List>(db, &destination)?;
    let list = cx.shard.write::<List>(db, &source)?.expect("it was there just now");
    cx.changes += 1;
    if source.bytes == destination.bytes {
        list.rotate(from, to, limits, |element| cx.reply.bulk(element));
        cx.wrote(Class::LIST, push_event(to), &source);
        cx.event(Class::LIST, pop_event(from), &source);
        cx.effect(&source, &[b"LMOVE", source.bytes, source.bytes, end_name(from), end_name(to)]);
        return Ok(true);
    }
    let copy = |element: crate::shard::Str<'_>| element.with_bytes(SmallVec::<[u8; 128]>::from_slice);
    let element = list.pop(from, limits, copy).expect("a list that is stored has elements");
    let none_left = list.is_empty();
    cx.reply.bulk(&element);
    cx.shard.write_or_insert(db, &destination, List::default)?.push(to, &[&element], limits);
    cx.wrote(Class::LIST, push_event(to), &destination);
    cx.took(Class::LIST, pop_event(from), &source, none_left);
    cx.effect(&source, &[pop_command(from), source.bytes]);
    cx.effect(&destination, &[push_command(to), destination.bytes, &element]);
    Ok(true)
}

/// The arguments `numkeys key [key ...] LEFT|RIGHT [COUNT count]`.
pub(super) struct MultiPop {
    /// The place of the first key among all arguments.
    first: usize,
    keys: usize,
    end: End,
    most: usize,
}

impl MultiPop {
    /// Parses them from argument `at` on.
    pub(super) fn parse(args: &[&[u8]], at: usize) -> Result<MultiPop, Error> {
        let keys = count(args[at], 1, "ERR numkeys should be greater than 0")?;
        let where_at = keys.checked_add(at + 1).ok_or(Error::Syntax)?;
        let end = end(args.get(where_at).ok_or(Error::Syntax)?)?;
        let most = match &args[where_at + 1..] {
            [] => 1,
            [option, most, rest @ ..] if option.eq_ignore_ascii_case(b"count") => {
                let most = count(most, 1, "ERR count should be greater than 0")?;
                if !rest.is_empty() {
                    return Err(Error::Syntax);
                }
                most
            }
            _ => return Err(Error::Syntax),
        };
        Ok(MultiPop { first: at + 1, keys, end, most })
    }

    /// The places of the keys among all arguments.
    pub(super) fn keys(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.keys
    }

    /// Answers with the first key that has a list and elements from it, and removes them. Returns whether there is one.
    pub(super) fn run(&self, cx: &mut Exec<'_>) -> Result<bool, Error> {
        for index in self.keys() {
            let key = cx.key(index);
            if cx.shard.write::<List>(cx.db, &key)?.is_some() {
                cx.reply.array(2);
                cx.reply.bulk(key.bytes);
                let before = cx.changes;
                pop_many(cx, &key, self.end, self.most)?;
                let popped = cx.changes - before;
                cx.effect(
                    &key,
                    &[pop_command(self.end), key.bytes, itoa::Buffer::new().format(popped).as_bytes()],
                );
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]`
pub fn lmpop(cx: &mut Exec<'_>) -> Result<(), Error> {
    if !MultiPop::parse(cx.args, 1)?.run(cx)? {
        cx.reply.null_array();
    }
    Ok(())
}
