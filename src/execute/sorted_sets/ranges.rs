//! Ranges of members: `ZRANGE` in all its forms, storing, counting and removing them.

use std::ops::Range;

use super::bounds::{Bounds, By};
use super::{reply_entry, reply_head, rules, store};
use crate::execute::arguments::integer;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::Str;
use crate::shard::values::{Typed, Zset, ZsetRules};

/// What a name of the command leaves open.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// What the range is about, unless an option says so.
    by: Option<By>,
    /// From the highest score down, unless an option says so.
    reverse: Option<bool>,
    /// Whether scores are not asked for, but stored.
    store: bool,
}

/// A range and which part of it is wanted in which order.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    offset: i64,
    limit: i64,
    with_scores: bool,
}

impl<'a> Query<'a> {
    /// Reads the two ends and the options behind them.
    fn parse(args: &[&'a [u8]], form: Form) -> Result<Query<'a>, Error> {
        let Form { mut by, mut reverse, store } = form;
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut options = args[2..].iter();
        while let Some(option) = options.next() {
            match option.to_ascii_lowercase().as_slice() {
                b"withscores" if !store => with_scores = true,
                b"limit" if options.len() >= 2 => {
                    let mut number = || integer(options.next().expect("there are two more"));
                    (offset, limit) = (number()?, number()?);
                }
                b"rev" if form.reverse.is_none() => reverse = Some(true),
                b"bylex" if by.is_none() => by = Some(By::Lex),
                b"byscore" if by.is_none() => by = Some(By::Score),
                _ => return Err(Error::Syntax),
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(Error::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(Error::text("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let swapped = reverse && by != By::Rank;
        let (low, high) = if swapped { (args[1], args[0]) } else { (args[0], args[1]) };
        Ok(Query { bounds: Bounds::parse(by, low, high)?, reverse, offset, limit, with_scores })
    }

    /// The ranks that are wanted, counted from the lowest score.
    fn ranks(&self, zset: &Zset) -> Range<usize> {
        let Range { start, end } = self.bounds.ranks(zset, self.reverse);
        if let Bounds::Rank(..) = self.bounds {
            return start..end;
        }
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let len = (end - start).saturating_sub(offset).min(limit);
        if len == 0 {
            0..0
        } else if self.reverse {
            end - offset - len..end - offset
        } else {
            start + offset..start + offset + len
        }
    }
}

fn range(cx: &mut Exec<'_>, form: Form) -> Result<(), Error> {
    let query = Query::parse(&cx.args[2..], form)?;
    let Some(zset) = cx.shard.read::<Zset>(cx.db, &cx.key(1))? else {
        cx.reply.array(0);
        return Ok(());
    };
    let (ranks, reply) = (query.ranks(zset), &mut cx.reply);
    reply_head(reply, ranks.len(), query.with_scores);
    let mut write = |entry| reply_entry(reply, entry, query.with_scores);
    let entries = zset.iter(ranks);
    if query.reverse {
        entries.rev().for_each(&mut write)
    } else {
        entries.for_each(&mut write)
    }
    Ok(())
}

/// `ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub fn zrange(cx: &mut Exec<'_>) -> Result<(), Error> {
    range(cx, Form { by: None, reverse: None, store: false })
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub fn zrevrange(cx: &mut Exec<'_>) -> Result<(), Error> {
    range(cx, Form { by: Some(By::Rank), reverse: Some(true), store: false })
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub fn zrangebyscore(cx: &mut Exec<'_>) -> Result<(), Error> {
    range(cx, Form { by: Some(By::Score), reverse: Some(false), store: false })
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub fn zrevrangebyscore(cx: &mut Exec<'_>) -> Result<(), Error> {
    range(cx, Form { by: Some(By::Score), reverse: Some(true), store: false })
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub fn zrangebylex(cx: &mut Exec<'_>) -> Result<(), Error> {
    range(cx, Form { by: Some(By::Lex), reverse: Some(false), store: false })
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub fn zrevrangebylex(cx: &mut Exec<'_>) -> Result<(), Error> {
    range(cx, Form { by: Some(By::Lex), reverse: Some(true), store: false })
}

/// `ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]`
pub fn zrangestore(cx: &mut Exec<'_>) -> Result<(), Error> {
    let query = Query::parse(&cx.args[3..], Form { by: None, reverse: None, store: true })?;
    let rules = rules(cx.shard);
    let source = cx.shard.read::<Zset>(cx.db, &cx.key(2))?;
    let result = part(source, &query, &rules);
    store(cx, "zrangestore", 1, result);
    Ok(())
}

fn part(source: Option<&Zset>, query: &Query<'_>, rules: &ZsetRules) -> Zset {
    let members: Vec<(Str<'_>, f64)> =
        source.into_iter().flat_map(|zset| zset.iter(query.ranks(zset))).collect();
    Zset::from_sorted(&members, rules)
}

fn count(cx: &mut Exec<'_>, by: By) -> Result<(), Error> {
    let bounds = Bounds::parse(by, cx.args[2], cx.args[3])?;
    let zset = cx.shard.read::<Zset>(cx.db, &cx.key(1))?;
    cx.reply.int(zset.map_or(0, |zset| bounds.ranks(zset, false).len()) as i64);
    Ok(())
}

/// `ZCOUNT key min max`
pub fn zcount(cx: &mut Exec<'_>) -> Result<(), Error> {
    count(cx, By::Score)
}

/// `ZLEXCOUNT key min max`
pub fn zlexcount(cx: &mut Exec<'_>) -> Result<(), Error> {
    count(cx, By::Lex)
}

fn remove(cx: &mut Exec<'_>, by: By, event: &'static str) -> Result<(), Error> {
    let bounds = Bounds::parse(by, cx.args[2], cx.args[3])?;
    let key = cx.key(1);
    let mut removed = 0;
    if let Some(zset) = cx.shard.write::<Zset>(cx.db, &key)? {
        let ranks = bounds.ranks(zset, false);
        removed = ranks.len();
        zset.remove_ranks(ranks);
        let none_left = zset.is_empty();
        if removed > 0 {
            cx.took(Class::ZSET, event, &key, none_left);
        }
    }
    cx.changes += removed as u64;
    cx.reply.int(removed as i64);
    Ok(())
}

/// `ZREMRANGEBYRANK key start stop`
pub fn zremrangebyrank(cx: &mut Exec<'_>) -> Result<(), Error> {
    remove(cx, By::Rank, "zremrangebyrank")
}

/// `ZREMRANGEBYSCORE key min max`
pub fn zremrangebyscore(cx: &mut Exec<'_>) -> Result<(), Error> {
    remove(cx, By::Score, "zremrangebyscore")
}

/// `ZREMRANGEBYLEX key min max`
pub fn zremrangebylex(cx: &mut Exec<'_>) -> Result<(), Error> {
    remove(cx, By::Lex, "zremrangebylex")
}
