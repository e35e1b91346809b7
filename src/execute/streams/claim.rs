//! Entries that a group's members have not acknowledged: looking at them, and giving them to another member.

use super::effects::GroupEffects;
use super::{
    at_most, interval, interval_start, is, no_group_of_key, reply_array, reply_entry, reply_id, shown,
    strict_id,
};
use crate::base::number::parse_i64;
use crate::execute::arguments::integer;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::values::Stream;
use crate::types::stream::{Entry, Group, Id, Log, Pending};

/// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`.
pub fn xpending(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (args, now_ms) = (cx.args, cx.shard.now_ms);
    let listing = match args.len() {
        3 => None,
        6..=9 => Some(Listing::parse(args)?),
        _ => return Err(Error::Syntax),
    };
    let key = cx.key(1);
    let stream = cx.shard.read::<Stream>(cx.db, &key)?;
    let Some(group) = stream.and_then(|stream| stream.group(args[2])) else {
        return Err(no_group_of_key(args[1], args[2]));
    };
    match listing {
        None => reply_summary(&mut cx.reply, group),
        Some(listing) => listing.reply(&mut cx.reply, group, now_ms),
    }
    Ok(())
}

/// How much is pending, and for whom.
fn reply_summary(reply: &mut Reply<'_>, group: &Group) {
    let pending = group.pending();
    reply.array(4);
    reply.int(pending.len() as i64);
    let (Some((first, _)), Some((last, _))) = (pending.first_key_value(), pending.last_key_value()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply_id(reply, *first);
    reply_id(reply, *last);
    let busy = group.consumers().iter().filter(|(_, consumer)| !consumer.pending().is_empty());
    reply_array(reply, busy, |reply, (name, consumer)| {
        reply.array(2);
        reply.bulk(name);
        reply.bulk_int(consumer.pending().len() as i64);
    });
}

/// Which pending entries are to be listed.
struct Listing<'a> {
    min_idle_ms: i64,
    from: Id,
    to: Id,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Listing<'a> {
    fn parse(args: &[&'a [u8]]) -> Result<Listing<'a>, Error> {
        let mut min_idle_ms = 0;
        let mut rest = &args[3..];
        if is(rest[0], "idle") {
            min_idle_ms = integer(rest[1])?;
            rest = &rest[2..];
        }
        let [start, end, count, consumer @ ..] = rest else { return Err(Error::Syntax) };
        let count = integer(count)?.max(0) as usize;
        let (from, to) = interval(start, end)?.into_inner();
        Ok(Listing { min_idle_ms, from, to, count, consumer: consumer.first().copied() })
    }

    fn reply(&self, reply: &mut Reply<'_>, group: &Group, now_ms: i64) {
        let pending = group.pending();
        let write = |reply: &mut Reply<'_>, (id, pending): (&Id, &Pending)| {
            reply.array(4);
            reply_id(reply, *id);
            reply.bulk(pending.consumer());
            reply.int(now_ms.saturating_sub(pending.delivered_ms).max(0));
            reply.int(pending.deliveries as i64);
        };
        let wanted = |(_, pending): &(&Id, &Pending)| {
            self.min_idle_ms == 0 || now_ms.saturating_sub(pending.delivered_ms) >= self.min_idle_ms
        };
        match self.consumer {
            None => {
                let all = pending.range(self.from..).take_while(|(id, _)| **id <= self.to);
                reply_array(reply, all.filter(wanted).take(self.count), write);
            }
            Some(name) => {
                let ids = group.consumers().get(name).map(|consumer| consumer.pending().range(self.from..));
                let ids = ids.into_iter().flatten().take_while(|id| **id <= self.to);
                let all = ids.filter_map(|id| pending.get_key_value(id));
                reply_array(reply, all.filter(wanted).take(self.count), write);
            }
        }
    }
}

/// How entries change hands.
struct Claim<'a> {
    consumer: &'a [u8],
    now_ms: i64,
    /// Since when they have to be pending.
    min_idle_ms: i64,
    /// When they count as given out.
    delivered_ms: i64,
    /// How many times they count as given out, if not once more.
    deliveries: Option<u64>,
    /// Only IDs are answered, and they do not count as given out once more.
    just_id: bool,
    /// Entries that are not pending are claimed, too.
    force: bool,
}

/// What has become of an entry that was claimed.
enum Outcome<'a> {
    /// With how many times it counts as given out.
    Claimed(Entry<'a>, u64),
    /// It was pending, but is no longer in the stream, and so no longer pending either.
    Gone,
    /// It stays with whoever has it.
    Left,
}

impl Claim<'_> {
    /// Makes the consumer known. Returns whether it is new.
    fn begin(&self, group: &mut Group) -> bool {
        let new = group.create_consumer(self.consumer, self.now_ms);
        if let Some(consumer) = group.consumer_mut(self.consumer) {
            consumer.seen_ms = self.now_ms;
        }
        new
    }

    fn take<'l>(&self, log: &'l Log, group: &mut Group, id: Id) -> Outcome<'l> {
        let Some(entry) = log.get(id) else {
            return if group.release(id) { Outcome::Gone } else { Outcome::Left };
        };
        let so_far = match group.pending().get(&id) {
            Some(pending) if self.is_too_fresh(pending) => return Outcome::Left,
            Some(pending) => pending.deliveries,
            None if self.force => 1,
            None => return Outcome::Left,
        };
        let deliveries = self.deliveries.unwrap_or(so_far + u64::from(!self.just_id));
        group.assign(id, self.consumer, self.delivered_ms, deliveries);
        if let Some(consumer) = group.consumer_mut(self.consumer) {
            consumer.active_ms = Some(self.now_ms);
        }
        Outcome::Claimed(entry, deliveries)
    }

    fn is_too_fresh(&self, pending: &Pending) -> bool {
        self.min_idle_ms > 0 && self.now_ms.saturating_sub(pending.delivered_ms) < self.min_idle_ms
    }

    /// Leaves the effects of what was claimed.
    fn leave(&self, cx: &mut Exec<'_>, effects: GroupEffects<'_>, last_id: Id, claimed: &[(Id, u64)]) {
        effects.got(cx, self.consumer, self.delivered_ms, last_id, claimed);
    }

    fn reply(&self, reply: &mut Reply<'_>, entry: Entry<'_>) {
        if self.just_id { reply_id(reply, entry.id) } else { reply_entry(reply, entry) }
    }
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count]
/// [FORCE] [JUSTID] [LASTID id]`.
pub fn xclaim(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, args, now_ms) = (cx.key(1), cx.args, cx.shard.now_ms);
    let stream = cx.shard.read::<Stream>(cx.db, &key)?;
    if stream.and_then(|stream| stream.group(args[2])).is_none() {
        return Err(no_group_of_key(args[1], args[2]));
    }
    let number = |text, name| {
        parse_i64(text).ok_or_else(|| Error::from(format!("ERR Invalid {name} argument for XCLAIM")))
    };
    let min_idle_ms = number(args[4], "min-idle-time")?.max(0);
    let ids: Vec<Id> = args[5..].iter().map_while(|arg| strict_id(arg).ok()).collect();
    let (mut claim, mut last_id) = (Claim::of(args[3], now_ms, min_idle_ms), Id::MIN);
    let mut rest = args[5 + ids.len()..].iter();
    while let Some(&option) = rest.next() {
        if is(option, "force") {
            claim.force = true;
            continue;
        }
        if is(option, "justid") {
            claim.just_id = true;
            continue;
        }
        let unknown = || Error::from(format!("ERR Unrecognized XCLAIM option '{}'", shown(option)));
        let value = *rest.as_slice().first().ok_or_else(unknown)?;
        if is(option, "idle") {
            claim.delivered_ms = now_ms.wrapping_sub(number(value, "IDLE option")?);
        } else if is(option, "time") {
            claim.delivered_ms = number(value, "TIME option")?;
        } else if is(option, "retrycount") {
            claim.deliveries = u64::try_from(number(value, "RETRYCOUNT option")?).ok();
        } else if is(option, "lastid") {
            last_id = strict_id(value)?;
        } else {
            return Err(unknown());
        }
        rest.next();
    }
    // A time in the future may come from a client whose clock is ahead: it is as good as now. In a log it comes from here.
    if !(0..=now_ms).contains(&claim.delivered_ms) && !cx.shard.loading {
        claim.delivered_ms = now_ms;
    }
    let stream = cx.shard.write::<Stream>(cx.db, &key)?;
    let Some((log, group)) = stream.and_then(|stream| stream.group_mut(args[2])) else { return Ok(()) };
    let advances = last_id > group.last_id;
    group.last_id = group.last_id.max(last_id);
    let joined = claim.begin(group);
    let mut claimed = Vec::new();
    let entries = ids.into_iter().filter_map(|id| match claim.take(log, group, id) {
        Outcome::Claimed(entry, deliveries) => {
            claimed.push((id, deliveries));
            Some(entry)
        }
        Outcome::Gone => {
            claimed.push((id, 1));
            None
        }
        Outcome::Left => None,
    });
    reply_array(&mut cx.reply, entries, |reply, entry| claim.reply(reply, entry));
    let (last_id, entries_read) = (group.last_id, group.entries_read);
    // What is claimed tells the group's last ID along with it.
    cx.changes += if claimed.is_empty() { u64::from(advances) } else { claimed.len() as u64 };
    let effects = GroupEffects { key, group: args[2] };
    if joined {
        note_joined(cx, effects, args[3]);
    }
    if claimed.is_empty() && advances {
        effects.moved(cx, last_id, entries_read);
    }
    claim.leave(cx, effects, last_id, &claimed);
    Ok(())
}

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`.
pub fn xautoclaim(cx: &mut Exec<'_>) -> Result<(), Error> {
    /// Entries that are looked at for each that may be claimed.
    const ATTEMPTS: i64 = 10;
    const MAX_COUNT: i64 = i64::MAX / 16;
    let (key, args, now_ms) = (cx.key(1), cx.args, cx.shard.now_ms);
    // As in Redis before the arguments, which shows if it is missing.
    cx.shard.lookup_read(cx.db, &key);
    let min_idle_ms =
        parse_i64(args[4]).ok_or(Error::text("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?.max(0);
    let start = interval_start(args[5])?;
    let (mut claim, mut count) = (Claim::of(args[3], now_ms, min_idle_ms), 100);
    let mut rest = args[6..].iter();
    while let Some(option) = rest.next() {
        if is(option, "justid") {
            claim.just_id = true;
            continue;
        }
        let value = rest.next().filter(|_| is(option, "count")).ok_or(Error::Syntax)?;
        count = parse_i64(value)
            .filter(|count| (1..=MAX_COUNT).contains(count))
            .ok_or(Error::text("ERR COUNT must be > 0"))?;
    }
    let stream = cx.shard.peek_as::<Stream>(cx.db, &key)?;
    if stream.and_then(|stream| stream.group(args[2])).is_none() {
        return Err(no_group_of_key(args[1], args[2]));
    }
    let stream = cx.shard.write::<Stream>(cx.db, &key)?;
    let Some((log, group)) = stream.and_then(|stream| stream.group_mut(args[2])) else { return Ok(()) };
    let joined = claim.begin(group);

    let (mut claimed, mut gone, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    let mut attempts = count.saturating_mul(ATTEMPTS);
    let mut from = Some(start);
    let next = loop {
        let next = from.and_then(|from| group.pending().range(from..).next()).map(|(id, _)| *id);
        let Some(id) = next.filter(|_| attempts > 0 && claimed.len() + gone.len() < at_most(count)) else {
            break next;
        };
        attempts -= 1;
        from = id.next();
        match claim.take(log, group, id) {
            Outcome::Claimed(entry, deliveries) => {
                claimed.push(entry);
                taken.push((id, deliveries));
            }
            Outcome::Gone => {
                gone.push(id);
                taken.push((id, 1));
            }
            Outcome::Left => {}
        }
    };
    let last_id = group.last_id;
    cx.changes += taken.len() as u64;
    cx.reply.array(3);
    reply_id(&mut cx.reply, next.unwrap_or(Id::MIN));
    reply_array(&mut cx.reply, claimed.into_iter(), |reply, entry| claim.reply(reply, entry));
    reply_array(&mut cx.reply, gone.into_iter(), reply_id);
    let effects = GroupEffects { key, group: args[2] };
    if joined {
        note_joined(cx, effects, args[3]);
    }
    claim.leave(cx, effects, last_id, &taken);
    Ok(())
}

/// The claim has made a consumer known.
fn note_joined(cx: &mut Exec<'_>, effects: GroupEffects<'_>, consumer: &[u8]) {
    cx.changes += 1;
    cx.event(Class::STREAM, "xgroup-createconsumer", &effects.key);
    effects.joined(cx, consumer);
}

impl<'a> Claim<'a> {
    fn of(consumer: &'a [u8], now_ms: i64, min_idle_ms: i64) -> Claim<'a> {
        Claim {
            consumer,
            now_ms,
            min_idle_ms,
            delivered_ms: now_ms,
            deliveries: None,
            just_id: false,
            force: false,
        }
    }
}
