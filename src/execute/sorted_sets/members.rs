//! Single members: their scores and ranks, removing them, and going over all of them.

use super::{reply_member, reply_score};
use crate::base::number::format_f64_17;
use crate::execute::scan_options::{self, ScanOptions, Scanned};
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::Budget;
use crate::shard::values::{ScanScore, Typed, Zset};

/// `ZCARD key`
pub fn zcard(cx: &mut Exec<'_>) -> Result<(), Error> {
    let len = cx.shard.read::<Zset>(cx.db, &cx.key(1))?.map_or(0, Zset::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `ZSCORE key member`
pub fn zscore(cx: &mut Exec<'_>) -> Result<(), Error> {
    let zset = cx.shard.read::<Zset>(cx.db, &cx.key(1))?;
    match zset.and_then(|zset| zset.score(cx.args[2])) {
        Some(score) => reply_score(&mut cx.reply, score),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `ZMSCORE key member [member ...]`
pub fn zmscore(cx: &mut Exec<'_>) -> Result<(), Error> {
    let zset = cx.shard.read::<Zset>(cx.db, &cx.key(1))?;
    let members = &cx.args[2..];
    cx.reply.array(members.len());
    for member in members {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => reply_score(&mut cx.reply, score),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

/// `ZREM key member [member ...]`
pub fn zrem(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let mut removed = 0;
    if let Some(zset) = cx.shard.write::<Zset>(cx.db, &key)? {
        removed = cx.args[2..].iter().filter(|member| zset.remove(member).is_some()).count();
        let none_left = zset.is_empty();
        if removed > 0 {
            cx.took(Class::ZSET, "zrem", &key, none_left);
        }
    }
    cx.changes += removed as u64;
    cx.reply.int(removed as i64);
    Ok(())
}

fn rank(cx: &mut Exec<'_>, name: &'static str, reverse: bool) -> Result<(), Error> {
    let with_score = match &cx.args[3..] {
        [] => false,
        [option] if option.eq_ignore_ascii_case(b"withscore") => true,
        [_] => return Err(Error::Syntax),
        _ => return Err(Error::Arity(name.into())),
    };
    let zset = cx.shard.read::<Zset>(cx.db, &cx.key(1))?;
    let found = zset.and_then(|zset| {
        let (rank, score) = zset.rank(cx.args[2])?;
        Some((if reverse { zset.len() - 1 - rank } else { rank }, score))
    });
    match found {
        Some((rank, score)) if with_score => {
            cx.reply.array(2);
            cx.reply.int(rank as i64);
            reply_score(&mut cx.reply, score);
        }
        Some((rank, _)) => cx.reply.int(rank as i64),
        None if with_score => cx.reply.null_array(),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `ZRANK key member [WITHSCORE]`
pub fn zrank(cx: &mut Exec<'_>) -> Result<(), Error> {
    rank(cx, "zrank", false)
}

/// `ZREVRANK key member [WITHSCORE]`
pub fn zrevrank(cx: &mut Exec<'_>) -> Result<(), Error> {
    rank(cx, "zrevrank", true)
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`. The scores of a large sorted set have 17 digits, as in Redis.
pub fn zscan(cx: &mut Exec<'_>) -> Result<(), Error> {
    let cursor = scan_options::parse_cursor(cx.args[2])?;
    let Some(zset) = cx.shard.read::<Zset>(cx.db, &cx.key(1))? else {
        scan_options::empty(&mut cx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(&cx.args[3..], Scanned::Members)?;
    let (start, reply) = (cx.reply.position(), &mut cx.reply);
    let mut count = 0;
    let next = zset.scan(cursor, &mut Budget::items(options.count), &mut |member, score| {
        if member.with_bytes(|member| options.pattern.matches(member)) {
            reply_member(reply, member);
            match score {
                ScanScore::Text(digits) => reply_member(reply, digits),
                ScanScore::Number(score) => reply.bulk(format_f64_17(score)),
            }
            count += 2;
        }
    });
    scan_options::finish(reply, start, next, count);
    Ok(())
}
