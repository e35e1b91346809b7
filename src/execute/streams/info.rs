//! `XINFO`: what there is to know about streams, groups and consumers.

use super::{at_most, is, no_group_for_key, reply_array, reply_entry, reply_id, subcommand_error};
use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::values::Stream;
use crate::types::stream::{Consumer, Group, Id};

/// `XINFO STREAM key [FULL [COUNT count]]`.
pub fn xinfo_stream(cx: &mut Exec<'_>) -> Result<(), Error> {
    /// Entries that are shown in full without a `COUNT`.
    const COUNT: i64 = 10;
    let key = cx.key(2);
    cx.shard.read::<Stream>(cx.db, &key)?.ok_or(Error::NoSuchKey)?;
    let full = match &cx.args[3..] {
        [] => None,
        [full] if is(full, "full") => Some(COUNT),
        [full, count, value] if is(full, "full") && is(count, "count") => {
            Some(integer(value)?).map(|count| if count < 0 { COUNT } else { count })
        }
        _ => return Err(subcommand_error(cx)),
    };
    let Some(stream) = cx.shard.peek_as::<Stream>(cx.db, &key)? else { return Ok(()) };
    let reply = &mut cx.reply;
    reply.map(if full.is_some() { 9 } else { 10 });
    reply_counters(reply, stream);
    match full {
        None => reply_edges(reply, stream),
        Some(count) => reply_contents(reply, stream, at_most(count)),
    }
    Ok(())
}

/// `XINFO GROUPS key`.
pub fn xinfo_groups(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(2);
    let stream = cx.shard.read::<Stream>(cx.db, &key)?.ok_or(Error::NoSuchKey)?;
    let reply = &mut cx.reply;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk("name");
        reply.bulk(name);
        field(reply, "consumers", group.consumers().len() as i64);
        field(reply, "pending", group.pending().len() as i64);
        reply.bulk("last-delivered-id");
        reply_id(reply, group.last_id);
        reply_progress(reply, stream, group);
    }
    Ok(())
}

/// `XINFO CONSUMERS key group`.
pub fn xinfo_consumers(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, now_ms) = (cx.key(2), cx.shard.now_ms);
    let stream = cx.shard.read::<Stream>(cx.db, &key)?.ok_or(Error::NoSuchKey)?;
    let group = stream.group(cx.args[3]).ok_or_else(|| no_group_for_key(cx.args[2], cx.args[3]))?;
    let reply = &mut cx.reply;
    reply.array(group.consumers().len());
    for (name, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk("name");
        reply.bulk(name);
        field(reply, "pending", consumer.pending().len() as i64);
        field(reply, "idle", now_ms.saturating_sub(consumer.seen_ms).max(0));
        field(reply, "inactive", consumer.active_ms.map_or(-1, |ms| now_ms.saturating_sub(ms)));
    }
    Ok(())
}

fn field(reply: &mut Reply<'_>, name: &str, value: i64) {
    reply.bulk(name);
    reply.int(value);
}

fn reply_number(reply: &mut Reply<'_>, number: Option<i64>) {
    match number {
        Some(number) => reply.int(number),
        None => reply.null(),
    }
}

/// The seven fields that both forms of `XINFO STREAM` begin with.
fn reply_counters(reply: &mut Reply<'_>, stream: &Stream) {
    let (counters, nodes) = (stream.counters(), stream.log().node_count() as i64);
    field(reply, "length", counters.len as i64);
    field(reply, "radix-tree-keys", nodes);
    // The nodes of the stream and a root.
    field(reply, "radix-tree-nodes", nodes + 1);
    reply.bulk("last-generated-id");
    reply_id(reply, counters.last_id);
    reply.bulk("max-deleted-entry-id");
    reply_id(reply, counters.max_deleted_id);
    field(reply, "entries-added", counters.entries_added as i64);
    reply.bulk("recorded-first-entry-id");
    reply_id(reply, counters.first_id);
}

/// The number of groups, the first and the last entry.
fn reply_edges(reply: &mut Reply<'_>, stream: &Stream) {
    field(reply, "groups", stream.groups().len() as i64);
    let (log, all) = (stream.log(), Id::MIN..=Id::MAX);
    let edges = [("first-entry", log.range(all.clone()).next()), ("last-entry", log.range_back(all).next())];
    for (name, entry) in edges {
        reply.bulk(name);
        match entry {
            Some(entry) => reply_entry(reply, entry),
            None => reply.null(),
        }
    }
}

/// Entries, and groups with what is pending, at most `count` of each.
fn reply_contents(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.bulk("entries");
    reply_array(reply, stream.log().range(Id::MIN..=Id::MAX).take(count), reply_entry);
    reply.bulk("groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk("name");
        reply.bulk(name);
        reply.bulk("last-delivered-id");
        reply_id(reply, group.last_id);
        reply_progress(reply, stream, group);
        field(reply, "pel-count", group.pending().len() as i64);
        reply.bulk("pending");
        reply.array(group.pending().len().min(count));
        for (id, pending) in group.pending().iter().take(count) {
            reply.array(4);
            reply_id(reply, *id);
            reply.bulk(pending.consumer());
            reply.int(pending.delivered_ms);
            reply.int(pending.deliveries as i64);
        }
        reply.bulk("consumers");
        reply.array(group.consumers().len());
        for (name, consumer) in group.consumers() {
            reply_consumer(reply, group, name, consumer, count);
        }
    }
}

fn reply_consumer(reply: &mut Reply<'_>, group: &Group, name: &[u8], consumer: &Consumer, count: usize) {
    reply.map(5);
    reply.bulk("name");
    reply.bulk(name);
    field(reply, "seen-time", consumer.seen_ms);
    field(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    field(reply, "pel-count", consumer.pending().len() as i64);
    reply.bulk("pending");
    reply.array(consumer.pending().len().min(count));
    for id in consumer.pending().iter().take(count) {
        let pending = &group.pending()[id];
        reply.array(3);
        reply_id(reply, *id);
        reply.int(pending.delivered_ms);
        reply.int(pending.deliveries as i64);
    }
}

/// How far a group has got.
fn reply_progress(reply: &mut Reply<'_>, stream: &Stream, group: &Group) {
    reply.bulk("entries-read");
    reply_number(reply, group.entries_read);
    reply.bulk("lag");
    reply_number(reply, group.lag(stream.counters()));
}
