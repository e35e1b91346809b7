//! Making and removing groups and their consumers, and acknowledging entries.

use super::{id_or, is, no_group_for_key, strict_id, strict_ids, subcommand_error};
use crate::execute::arguments::integer;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::values::Stream;
use crate::types::stream::{Group, Id};

const KEY_REQUIRED: Error = Error::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
     option to create an empty stream automatically.",
);

/// `XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]`.
pub fn xgroup_create(cx: &mut Exec<'_>) -> Result<(), Error> {
    /// With each option once.
    const MOST_ARGS: usize = 8;
    let options = Options::parse(cx, true)?;
    let key = cx.key(2);
    let stream = cx.shard.write::<Stream>(cx.db, &key)?;
    if stream.is_none() && !options.mkstream {
        return Err(KEY_REQUIRED);
    }
    let newest = stream.map_or(Id::MIN, |stream| stream.counters().last_id);
    if cx.args.len() > MOST_ARGS {
        return Err(subcommand_error(cx));
    }
    let last_id = if cx.args[4] == b"$" { newest } else { strict_id(cx.args[4])? };
    let stream = cx.shard.write_or_insert(cx.db, &key, Stream::default)?;
    if !stream.create_group(cx.args[3], Group::new(last_id, options.entries_read)) {
        return Err(Error::text("BUSYGROUP Consumer Group name already exists"));
    }
    cx.event(Class::STREAM, "xgroup-create", &key);
    cx.arguments_effect(&key);
    cx.changes += 1;
    cx.reply.ok();
    Ok(())
}

/// `XGROUP SETID key group id | $ [ENTRIESREAD entries-read]`.
pub fn xgroup_setid(cx: &mut Exec<'_>) -> Result<(), Error> {
    let options = Options::parse(cx, false)?;
    if !matches!(cx.args.len(), 5 | 7) {
        group(cx)?;
        return Err(subcommand_error(cx));
    }
    let (key, id) = (cx.key(2), cx.args[4]);
    let newest = cx.shard.peek_as::<Stream>(cx.db, &key)?.map(|stream| stream.counters().last_id);
    let group = group(cx)?;
    group.last_id = if id == b"$" { newest.unwrap_or_default() } else { id_or(id, 0)? };
    group.entries_read = options.entries_read;
    cx.event(Class::STREAM, "xgroup-setid", &key);
    cx.arguments_effect(&key);
    cx.changes += 1;
    cx.reply.ok();
    Ok(())
}

/// `XGROUP DESTROY key group`.
pub fn xgroup_destroy(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(2);
    let stream = cx.shard.write::<Stream>(cx.db, &key)?.ok_or(KEY_REQUIRED)?;
    let existed = stream.remove_group(cx.args[3]).is_some();
    if existed {
        // Who waits for entries of the group learns that it is gone.
        cx.wrote(Class::STREAM, "xgroup-destroy", &key);
        cx.arguments_effect(&key);
    }
    cx.changes += u64::from(existed);
    cx.reply.int(i64::from(existed));
    Ok(())
}

/// `XGROUP CREATECONSUMER key group consumer`.
pub fn xgroup_createconsumer(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (name, now_ms) = (cx.args[4], cx.shard.now_ms);
    let created = group(cx)?.create_consumer(name, now_ms);
    if created {
        cx.changes += 1;
        cx.event(Class::STREAM, "xgroup-createconsumer", &cx.key(2));
        cx.arguments_effect(&cx.key(2));
    }
    cx.reply.int(i64::from(created));
    Ok(())
}

/// `XGROUP DELCONSUMER key group consumer`.
pub fn xgroup_delconsumer(cx: &mut Exec<'_>) -> Result<(), Error> {
    let name = cx.args[4];
    let removed = group(cx)?.remove_consumer(name);
    if removed.is_some() {
        cx.changes += 1;
        cx.event(Class::STREAM, "xgroup-delconsumer", &cx.key(2));
        cx.arguments_effect(&cx.key(2));
    }
    cx.reply.int(removed.unwrap_or(0) as i64);
    Ok(())
}

/// `XACK key group id [id ...]`.
pub fn xack(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let exists = cx.shard.read::<Stream>(cx.db, &key)?.is_some_and(|s| s.group(cx.args[2]).is_some());
    let mut acknowledged = 0;
    if exists {
        let ids = strict_ids(&cx.args[3..])?;
        let stream = cx.shard.write::<Stream>(cx.db, &key)?;
        if let Some((_, group)) = stream.and_then(|stream| stream.group_mut(cx.args[2])) {
            acknowledged = ids.into_iter().filter(|&id| group.release(id)).count();
        }
    }
    cx.changes += acknowledged as u64;
    cx.reply.int(acknowledged as i64);
    Ok(())
}

/// The group that the arguments of a subcommand name.
fn group<'c>(cx: &'c mut Exec<'_>) -> Result<&'c mut Group, Error> {
    let (key, args) = (cx.key(2), cx.args);
    let stream = cx.shard.write::<Stream>(cx.db, &key)?.ok_or(KEY_REQUIRED)?;
    match stream.group_mut(args[3]) {
        Some((_, group)) => Ok(group),
        None => Err(no_group_for_key(args[2], args[3])),
    }
}

/// What may stand behind the ID.
#[derive(Debug, Default)]
struct Options {
    mkstream: bool,
    entries_read: Option<i64>,
}

impl Options {
    fn parse(cx: &Exec<'_>, creates: bool) -> Result<Options, Error> {
        let mut options = Options::default();
        let mut rest = cx.args[5..].iter();
        while let Some(option) = rest.next() {
            if creates && is(option, "mkstream") {
                options.mkstream = true;
                continue;
            }
            let value = rest.next().filter(|_| is(option, "entriesread"));
            let read = integer(value.ok_or_else(|| subcommand_error(cx))?)?;
            if read < -1 {
                return Err(Error::text("ERR value for ENTRIESREAD must be positive or -1"));
            }
            options.entries_read = (read >= 0).then_some(read);
        }
        Ok(options)
    }
}
