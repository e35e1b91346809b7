//! Reading what is new in streams: `XREAD`, and `XREADGROUP` for the members of a group, both of which can wait.
//!
//! Nothing is written to the reply before every stream has been looked at: their number comes first.

use std::ops::Bound;

use smallvec::SmallVec;

use super::effects::GroupEffects;
use super::{at_most, is, reply_array, reply_entry, reply_id, strict_id};
use crate::base::number::parse_i64;
use crate::execute::arguments::{integer, shown};
use crate::execute::{Class, Exec, Null, Wait};
use crate::protocol::Error;
use crate::protocol::resp::{Reply, Resp};
use crate::shard::values::Stream;
use crate::shard::{Key, Kind};
use crate::types::stream::{Group, Id, Log};

/// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`.
pub fn xread(cx: &mut Exec<'_>) -> Result<(), Error> {
    let request = Request::parse(cx, false)?;
    let mut after = SmallVec::<[Id; 8]>::new();
    for (key_at, id_at) in request.places() {
        let key = cx.key(key_at);
        let last_id = cx.shard.read::<Stream>(cx.db, &key)?.map(|stream| stream.counters().last_id);
        after.push(match cx.args[id_at] {
            b"$" => last_id.unwrap_or(Id::MIN),
            b"+" => match last_id {
                None => Id::MIN,
                Some(id) => id.prev().ok_or(Error::text("ERR the stream last element ID is 0-0"))?,
            },
            b">" => {
                return Err(Error::text(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                     option.",
                ));
            }
            id => strict_id(id)?,
        });
    }
    let mut ready = SmallVec::<[usize; 8]>::new();
    for (i, (key_at, _)) in request.places().enumerate() {
        // That a key is missing is an event once more, as in Redis.
        let stream = cx.shard.read::<Stream>(cx.db, &cx.key(key_at))?;
        if stream.is_some_and(|s| s.counters().last_id > after[i] && s.log().after(after[i]).next().is_some())
        {
            ready.push(i);
        }
    }
    if ready.is_empty() {
        request.wait(cx, &after);
        return Ok(());
    }
    reply_streams(&mut cx.reply, ready.len());
    for i in ready {
        let key = cx.key(request.first + i);
        if let Some(stream) = cx.shard.peek_as::<Stream>(cx.db, &key)? {
            reply_name(&mut cx.reply, key.bytes);
            let entries = stream.log().after(after[i]).take(at_most(request.count));
            reply_array(&mut cx.reply, entries, reply_entry);
        }
    }
    Ok(())
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]`.
pub fn xreadgroup(cx: &mut Exec<'_>) -> Result<(), Error> {
    let request = Request::parse(cx, true)?;
    let Some((group_name, consumer)) = request.group else {
        return Err(Error::text("ERR Missing GROUP option for XREADGROUP"));
    };
    let mut wanted = SmallVec::<[Wanted; 8]>::new();
    for (key_at, id_at) in request.places() {
        let key = cx.key(key_at);
        let stream = cx.shard.read::<Stream>(cx.db, &key)?;
        if stream.and_then(|stream| stream.group(group_name)).is_none() {
            let (key, group) = (shown(key.bytes), shown(group_name));
            return Err(format!(
                "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
            )
            .into());
        }
        wanted.push(Wanted::parse(cx.args[id_at])?);
    }
    let now_ms = cx.shard.now_ms;
    let (head, mut served) = (cx.reply.position(), 0);
    let wants_effects = cx.wants_effects();
    let mut joined = SmallVec::<[Key<'_>; 1]>::new();
    for (i, wanted) in wanted.into_iter().enumerate() {
        let key = cx.key(request.first + i);
        let stream = cx.shard.write::<Stream>(cx.db, &key)?;
        let Some((log, group)) = stream.and_then(|stream| stream.group_mut(group_name)) else { continue };
        let effects = GroupEffects { key, group: group_name };
        let joins = group.create_consumer(consumer, now_ms);
        if let Some(consumer) = group.consumer_mut(consumer) {
            consumer.seen_ms = now_ms;
        }
        // Looked at here, as the same stream may have been served before.
        let mut delivered = Delivered::default();
        if wanted != Wanted::New || log.after(group.last_id).next().is_some() {
            served += 1;
            reply_name(&mut cx.reply, key.bytes);
            let count = at_most(request.count);
            let delivery = Delivery { log, group, consumer, count, now_ms, wants_effects };
            delivered = match wanted {
                Wanted::Pending(after) => delivery.pending(&mut cx.reply, after),
                Wanted::New => delivery.fresh(&mut cx.reply, request.noack),
            };
        }
        let (last_id, entries_read) = (group.last_id, group.entries_read);
        if joins {
            joined.push(key);
            effects.joined(cx, consumer);
        }
        effects.got(cx, consumer, now_ms, last_id, &delivered.pending);
        if delivered.advanced {
            cx.changes += 1;
            effects.moved(cx, last_id, entries_read);
        }
    }
    cx.changes += joined.len() as u64;
    for key in joined {
        cx.event(Class::STREAM, "xgroup-createconsumer", &key);
    }
    if served == 0 {
        request.wait(cx, &[]);
    } else {
        cx.reply.prepend(head, |reply| reply_streams(reply, served));
    }
    Ok(())
}

/// The head of a reply about so many streams.
fn reply_streams(reply: &mut Reply<'_>, count: usize) {
    match reply.resp() {
        Resp::V2 => reply.array(count),
        Resp::V3 => reply.map(count),
    }
}

/// What stands in front of a stream's entries.
fn reply_name(reply: &mut Reply<'_>, key: &[u8]) {
    if reply.resp() == Resp::V2 {
        reply.array(2);
    }
    reply.bulk(key);
}

/// What a member of a group asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// `>`: what no member has been given.
    New,
    /// What it has been given and has not acknowledged, behind an ID.
    Pending(Id),
}

impl Wanted {
    fn parse(id: &[u8]) -> Result<Wanted, Error> {
        match id {
            b">" => Ok(Wanted::New),
            b"$" | b"+" => Err(format!(
                "ERR The {0} ID is meaningless in the context of XREADGROUP: you want to read the history of this \
                 consumer by specifying a proper ID, or use the > ID to get new messages. The {0} ID would just return \
                 an empty result set.",
                char::from(id[0])
            )
            .into()),
            // The greatest ID is how Redis writes `>`.
            id => Ok(Some(strict_id(id)?).filter(|&id| id != Id::MAX).map_or(Wanted::New, Wanted::Pending)),
        }
    }
}

/// Entries on their way to a consumer.
struct Delivery<'a> {
    log: &'a Log,
    group: &'a mut Group,
    consumer: &'a [u8],
    count: usize,
    now_ms: i64,
    /// Whether it is of interest which entries these are.
    wants_effects: bool,
}

/// What a delivery has changed.
#[derive(Default)]
struct Delivered {
    /// There were new entries.
    advanced: bool,
    /// What is pending since then, and how many times it was given out, if that is of interest.
    pending: Vec<(Id, u64)>,
}

impl Delivery<'_> {
    /// Gives out what is new.
    fn fresh(self, reply: &mut Reply<'_>, noack: bool) -> Delivered {
        let Delivery { log, group, consumer, count, now_ms, wants_effects } = self;
        let mut delivered = Delivered::default();
        reply_array(reply, log.after(group.last_id).take(count), |reply, entry| {
            delivered.advanced |= group.advance(entry.id, log.counters());
            if !noack {
                group.assign(entry.id, consumer, now_ms, 1);
                if wants_effects {
                    delivered.pending.push((entry.id, 1));
                }
            }
            reply_entry(reply, entry);
        });
        if delivered.advanced
            && !noack
            && let Some(consumer) = group.consumer_mut(consumer)
        {
            consumer.active_ms = Some(now_ms);
        }
        delivered
    }

    /// Gives out once more what the consumer has not acknowledged.
    fn pending(self, reply: &mut Reply<'_>, after: Id) -> Delivered {
        let Delivery { log, group, consumer, count, now_ms, wants_effects } = self;
        let mut delivered = Delivered::default();
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let pending = group.consumers().get(consumer).map(|consumer| consumer.pending().range(behind));
        let ids: Vec<Id> = pending.into_iter().flatten().copied().take(count).collect();
        reply.array(ids.len());
        for id in ids {
            match (log.get(id), group.pending_mut(id)) {
                (Some(entry), Some(pending)) => {
                    pending.delivered_ms = now_ms;
                    pending.deliveries += 1;
                    if wants_effects {
                        delivered.pending.push((id, pending.deliveries));
                    }
                    reply_entry(reply, entry);
                }
                // It was removed from the stream.
                _ => {
                    reply.array(2);
                    reply_id(reply, id);
                    reply.null_array();
                }
            }
        }
        delivered
    }
}

/// The arguments of `XREAD` and `XREADGROUP`.
struct Request<'a> {
    /// Entries of each stream, 0 for all.
    count: i64,
    /// How long to wait in milliseconds, 0 for ever.
    block: Option<i64>,
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    noack: bool,
    /// Place of the first key.
    first: usize,
    /// Number of keys; as many IDs follow.
    keys: usize,
}

impl<'a> Request<'a> {
    fn parse(cx: &Exec<'a>, for_group: bool) -> Result<Request<'a>, Error> {
        let mut request = Request { count: 0, block: None, group: None, noack: false, first: 0, keys: 0 };
        let mut at = 1;
        while let Some(&option) = cx.args.get(at) {
            let more = &cx.args[at + 1..];
            match more {
                [timeout, ..] if is(option, "block") => {
                    request.block = Some(block_timeout(timeout, cx.shard.now_ms)?);
                    at += 1;
                }
                [count, ..] if is(option, "count") => {
                    request.count = integer(count)?.max(0);
                    at += 1;
                }
                [_, ..] if is(option, "streams") => {
                    if !more.len().is_multiple_of(2) {
                        let (name, symbol) = if for_group { ("xreadgroup", '>') } else { ("xread", '$') };
                        return Err(format!(
                            "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be \
                             specified."
                        )
                        .into());
                    }
                    (request.first, request.keys) = (at + 1, more.len() / 2);
                    return Ok(request);
                }
                [group, consumer, ..] if is(option, "group") => {
                    only_for_group(for_group, "GROUP")?;
                    request.group = Some((group, consumer));
                    at += 2;
                }
                _ if is(option, "noack") => {
                    only_for_group(for_group, "NOACK")?;
                    request.noack = true;
                }
                _ => return Err(Error::Syntax),
            }
            at += 1;
        }
        Err(Error::Syntax)
    }

    /// The places of each key and its ID among the arguments.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (first, keys) = (self.first, self.keys);
        (first..first + keys).map(move |at| (at, at + keys))
    }

    /// There is nothing to read: waits, or says so. `$` among the IDs is replaced by what it stands for by now.
    fn wait(&self, cx: &mut Exec<'_>, after: &[Id]) {
        let Some(block) = self.block else {
            cx.reply.null_array();
            return;
        };
        let mut args = None;
        for ((_, id_at), id) in self.places().zip(after) {
            if cx.args[id_at] == b"$" {
                let args =
                    args.get_or_insert_with(|| cx.args.iter().map(|arg| arg.to_vec()).collect::<Vec<_>>());
                args[id_at] = id.text().to_vec();
            }
        }
        cx.wait = Some(Wait {
            keys: self.places().map(|(key_at, _)| key_at).collect(),
            kind: Kind::Stream,
            timeout_ms: (block > 0).then_some(block),
            null: Null::Array,
            args,
        });
    }
}

fn only_for_group(for_group: bool, option: &str) -> Result<(), Error> {
    if for_group {
        return Ok(());
    }
    Err(format!("ERR The {option} option is only supported by XREADGROUP. You called XREAD instead.").into())
}

fn block_timeout(text: &[u8], now_ms: i64) -> Result<i64, Error> {
    match parse_i64(text) {
        None => Err(Error::text("ERR timeout is not an integer or out of range")),
        Some(ms) if ms < 0 => Err(Error::text("ERR timeout is negative")),
        Some(ms) if ms.checked_add(now_ms).is_none() => Err(Error::text("ERR timeout is out of range")),
        Some(ms) => Ok(ms),
    }
}
