//! Adding members: `ZADD` and `ZINCRBY`.

use super::{reply_score, rules};
use crate::base::number::parse_f64;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::values::{Zset, ZsetRules};

/// The options of `ZADD`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::execute) struct AddOptions {
    /// Only members that are new.
    pub(in crate::execute) only_new: bool,
    /// Only members that are there.
    pub(in crate::execute) only_known: bool,
    /// Only to greater scores.
    greater: bool,
    /// Only to lesser scores.
    less: bool,
    /// Answers how many have changed, not how many were added.
    pub(in crate::execute) changed: bool,
    /// The score is added to the old one.
    increment: bool,
}

impl AddOptions {
    /// Takes the options at the beginning of `args`. Returns what is behind them.
    fn parse<'r, 'a>(&mut self, mut args: &'r [&'a [u8]]) -> &'r [&'a [u8]] {
        while let Some((option, rest)) = args.split_first() {
            match option.to_ascii_lowercase().as_slice() {
                b"nx" => self.only_new = true,
                b"xx" => self.only_known = true,
                b"gt" => self.greater = true,
                b"lt" => self.less = true,
                b"ch" => self.changed = true,
                b"incr" => self.increment = true,
                _ => break,
            }
            args = rest;
        }
        args
    }

    fn check(&self, pairs: usize) -> Result<(), Error> {
        if self.only_new && self.only_known {
            return Err(Error::text("ERR XX and NX options at the same time are not compatible"));
        }
        if (self.only_new && (self.greater || self.less)) || (self.greater && self.less) {
            return Err(Error::text("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.increment && pairs > 1 {
            return Err(Error::text("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// The score that a member gets; `None` if it stays as it is.
    fn new_score(&self, old: Option<f64>, score: f64) -> Result<Option<f64>, Error> {
        let Some(old) = old else { return Ok((!self.only_known).then_some(score)) };
        if self.only_new {
            return Ok(None);
        }
        let new = if self.increment { old + score } else { score };
        if new.is_nan() {
            return Err(Error::text("ERR resulting score is not a number (NaN)"));
        }
        let refused = (self.less && new >= old) || (self.greater && new <= old);
        Ok((!refused).then_some(new))
    }
}

/// What became of a member.
enum Outcome {
    Refused,
    Added(f64),
    Changed(f64),
    Same(f64),
}

impl Outcome {
    fn score(self) -> Option<f64> {
        match self {
            Outcome::Refused => None,
            Outcome::Added(score) | Outcome::Changed(score) | Outcome::Same(score) => Some(score),
        }
    }
}

fn add_one(
    zset: &mut Zset,
    member: &[u8],
    score: f64,
    options: &AddOptions,
    rules: &ZsetRules,
) -> Result<Outcome, Error> {
    let conditional = AddOptions { changed: false, ..*options } != AddOptions::default();
    let new = if conditional { options.new_score(zset.score(member), score)? } else { Some(score) };
    let Some(new) = new else { return Ok(Outcome::Refused) };
    Ok(match zset.set(member, new, rules) {
        None => Outcome::Added(new),
        Some(old) if old == new => Outcome::Same(new),
        Some(_) => Outcome::Changed(new),
    })
}

/// How many members were added and how many got another score.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    added: u64,
    changed: u64,
}

/// Adds members to the key at argument 1.
pub(in crate::execute) fn add(
    cx: &mut Exec<'_>,
    members: &[(f64, &[u8])],
    options: AddOptions,
) -> Result<(), Error> {
    let key = cx.key(1);
    let mut counts = Counts::default();
    let mut last = Ok(None);
    if !options.only_known || cx.shard.write::<Zset>(cx.db, &key)?.is_some() {
        let rules = rules(cx.shard);
        let make = || Zset::for_members(members.len(), members[0].1.len(), &rules);
        let zset = cx.shard.write_or_insert(cx.db, &key, make)?;
        zset.expect_members(members.len(), &rules);
        for (score, member) in members {
            let outcome = add_one(zset, member, *score, &options, &rules);
            counts.added += u64::from(matches!(outcome, Ok(Outcome::Added(_))));
            counts.changed += u64::from(matches!(outcome, Ok(Outcome::Changed(_))));
            last = outcome.map(Outcome::score);
            if last.is_err() {
                break;
            }
        }
    }
    // Those in front of one that cannot be added stay.
    if counts.added + counts.changed > 0 {
        cx.wrote(Class::ZSET, if options.increment { "zincr" } else { "zadd" }, &key);
    }
    let last = last?;
    cx.changes += counts.added + counts.changed;
    match last {
        _ if !options.increment => {
            cx.reply.int((counts.added + if options.changed { counts.changed } else { 0 }) as i64);
        }
        Some(score) => reply_score(&mut cx.reply, score),
        None => cx.reply.null(),
    }
    Ok(())
}

fn add_args(cx: &mut Exec<'_>, mut options: AddOptions) -> Result<(), Error> {
    let pairs = options.parse(&cx.args[2..]);
    let (pairs, []) = pairs.as_chunks::<2>() else { return Err(Error::Syntax) };
    if pairs.is_empty() {
        return Err(Error::Syntax);
    }
    options.check(pairs.len())?;
    let members = pairs
        .iter()
        .map(|[score, member]| Ok((parse_f64(score).ok_or(Error::NotFloat)?, *member)))
        .collect::<Result<smallvec::SmallVec<[_; 4]>, Error>>()?;
    add(cx, &members, options)
}

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]`
pub fn zadd(cx: &mut Exec<'_>) -> Result<(), Error> {
    add_args(cx, AddOptions::default())
}

/// `ZINCRBY key increment member`
pub fn zincrby(cx: &mut Exec<'_>) -> Result<(), Error> {
    add_args(cx, AddOptions { increment: true, ..AddOptions::default() })
}
