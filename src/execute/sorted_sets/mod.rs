//! Sorted set commands (redis.io/docs/latest/commands/?group=sorted-set).
//!
//! Every range, be it of ranks, scores or members, becomes a range of ranks first ([`bounds`]); what follows (replying,
//! storing, removing) is the same for all. A handler checks its arguments in the order in which Redis does, because
//! that decides which error a client sees.

pub(super) mod add;
mod bounds;
mod combine;
mod members;
mod pop;
mod random;
mod ranges;

pub use add::{zadd, zincrby};
pub use combine::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
pub use members::{zcard, zmscore, zrank, zrem, zrevrank, zscan, zscore};
pub use pop::{bzmpop, bzpopmax, bzpopmin, zmpop, zpopmax, zpopmin};
pub use random::zrandmember;
pub use ranges::{
    zcount, zlexcount, zrange, zrangebylex, zrangebyscore, zrangestore, zremrangebylex, zremrangebyrank,
    zremrangebyscore, zrevrange, zrevrangebylex, zrevrangebyscore,
};

use crate::base::number::format_f64;
use crate::execute::{Class, Exec};
use crate::protocol::resp::{Reply, Resp};
use crate::shard::values::{Typed, Zset, ZsetRules};
use crate::shard::{Item, Shard, Str};

/// What new and growing sorted sets of a shard go by.
pub(super) fn rules(shard: &Shard) -> ZsetRules {
    ZsetRules { settings: shard.settings, hasher: shard.hasher().clone() }
}

/// Writes a member.
pub(super) fn reply_member(reply: &mut Reply<'_>, member: Str<'_>) {
    match member {
        Str::Int(number) => reply.bulk_int(number),
        Str::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// A member with its score.
type Entry<'a> = (Str<'a>, f64);

/// Puts members into the order of a sorted set.
pub(super) fn sort_entries(entries: &mut [Entry<'_>]) {
    entries.sort_unstable_by(|(a, a_score), (b, b_score)| {
        let by_score = a_score.partial_cmp(b_score).expect("a score is a number");
        by_score.then_with(|| a.with_bytes(|a| b.with_bytes(|b| a.cmp(b))))
    });
}

/// Writes a score.
fn reply_score(reply: &mut Reply<'_>, score: f64) {
    reply.double_text(&format_f64(score));
}

/// Writes the head of so many members. With scores RESP3 has an array for each, RESP2 one flat array for all.
fn reply_head(reply: &mut Reply<'_>, count: usize, with_scores: bool) {
    let flat = with_scores && reply.resp() == Resp::V2;
    reply.array(if flat { 2 * count } else { count });
}

/// Writes one of the members behind [`reply_head`].
fn reply_entry(reply: &mut Reply<'_>, (member, score): Entry<'_>, with_scores: bool) {
    if !with_scores {
        return reply_member(reply, member);
    }
    if reply.resp() == Resp::V3 {
        reply.array(2);
    }
    reply_member(reply, member);
    reply_score(reply, score);
}

/// Puts a result in the place of whatever the key at argument `at` has, nothing in the place of an empty one, and
/// answers how many members it has. `event` is what has happened if it has any.
pub(super) fn store(cx: &mut Exec<'_>, event: &'static str, at: usize, result: Zset) {
    let (key, len) = (cx.key(at), result.len());
    let made = (len > 0).then(|| Item::collection(key.bytes, result.wrap(), None));
    cx.changes += u64::from(cx.store(Class::ZSET, event, &key, made));
    cx.reply.int(len as i64);
}
