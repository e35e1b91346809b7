//! Unions, intersections and differences of sorted sets and sets.

use super::{Entry, reply_entry, reply_head, rules, sort_entries, store};
use crate::base::number::parse_f64;
use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::shard::values::{Fields, Set, Typed, Value, Zset};
use crate::shard::{Hasher, Item, Kind, Shard, Str};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// How the scores of one member become one.
#[derive(Debug, Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn apply(self, total: f64, score: f64) -> f64 {
        match self {
            Aggregate::Sum => number_or_zero(total + score),
            Aggregate::Min if score < total => score,
            Aggregate::Max if score > total => score,
            Aggregate::Min | Aggregate::Max => total,
        }
    }
}

/// Opposite infinities add up to zero here, and so does an infinity of weight zero.
fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// An input.
#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Missing,
    Zset(&'a Zset),
    /// Each of its members has the score 1.
    Set(&'a Set),
}

impl<'a> Source<'a> {
    /// What an argument's key holds.
    fn peek(shard: &'a Shard, db: usize, key: &[u8]) -> Source<'a> {
        match shard.peek(db, &shard.key(key)).and_then(Item::value) {
            Some(Value::Zset(zset)) => Source::Zset(zset),
            Some(Value::Set(set)) => Source::Set(set),
            _ => Source::Missing,
        }
    }

    fn len(self) -> usize {
        match self {
            Source::Missing => 0,
            Source::Zset(zset) => zset.len(),
            Source::Set(set) => set.len(),
        }
    }

    fn score(self, member: Str<'_>) -> Option<f64> {
        match self {
            Source::Missing => None,
            Source::Zset(zset) => member.with_bytes(|member| zset.score(member)),
            Source::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    fn entries(self) -> Box<dyn Iterator<Item = Entry<'a>> + 'a> {
        match self {
            Source::Missing => Box::new(std::iter::empty()),
            Source::Zset(zset) => Box::new(zset.iter(0..zset.len())),
            Source::Set(set) => Box::new(set.iter().map(|member| (member, 1.0))),
        }
    }
}

/// The arguments of a combination.
struct Request<'a> {
    operation: Operation,
    keys: &'a [&'a [u8]],
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Members at which counting stops.
    limit: usize,
}

/// What a command takes besides keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Reply,
    Store,
    Count,
}

impl<'a> Request<'a> {
    /// Reads the arguments from the number of keys on, which is at `at`.
    fn parse(
        cx: &mut Exec<'a>,
        name: &str,
        operation: Operation,
        purpose: Purpose,
    ) -> Result<Request<'a>, Error> {
        let at = if purpose == Purpose::Store { 2 } else { 1 };
        let count = integer(cx.args[at])?;
        if count < 1 {
            return Err(format!("ERR at least 1 input key is needed for '{name}' command").into());
        }
        let rest = &cx.args[at + 1..];
        let count = usize::try_from(count).ok().filter(|count| *count <= rest.len()).ok_or(Error::Syntax)?;
        let (keys, options) = rest.split_at(count);
        for index in at + 1..at + 1 + count {
            let kind = cx.shard.lookup_read(cx.db, &cx.key(index)).map(Item::kind);
            if kind.is_some_and(|kind| kind != Kind::Zset && kind != Kind::Set) {
                return Err(Error::WrongType);
            }
        }
        let mut request = Request {
            operation,
            keys,
            weights: vec![1.0; count],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        request.options(options, purpose)?;
        Ok(request)
    }

    fn options(&mut self, mut options: &[&[u8]], purpose: Purpose) -> Result<(), Error> {
        let scored = self.operation != Operation::Difference && purpose != Purpose::Count;
        while let Some((name, rest)) = options.split_first() {
            options = match (name.to_ascii_lowercase().as_slice(), rest) {
                (b"weights", rest) if scored && rest.len() >= self.keys.len() => {
                    let (weights, rest) = rest.split_at(self.keys.len());
                    let weight =
                        |arg: &&[u8]| parse_f64(arg).ok_or(Error::text("ERR weight value is not a float"));
                    self.weights = weights.iter().map(weight).collect::<Result<_, _>>()?;
                    rest
                }
                (b"aggregate", [how, rest @ ..]) if scored => {
                    self.aggregate = match how.to_ascii_lowercase().as_slice() {
                        b"sum" => Aggregate::Sum,
                        b"min" => Aggregate::Min,
                        b"max" => Aggregate::Max,
                        _ => return Err(Error::Syntax),
                    };
                    rest
                }
                (b"withscores", rest) if purpose == Purpose::Reply => {
                    self.with_scores = true;
                    rest
                }
                (b"limit", [limit, rest @ ..]) if purpose == Purpose::Count => {
                    let limit = integer(limit).ok().and_then(|limit| usize::try_from(limit).ok());
                    let limit = limit.ok_or(Error::text("ERR LIMIT can't be negative"))?;
                    self.limit = if limit == 0 { usize::MAX } else { limit };
                    rest
                }
                _ => return Err(Error::Syntax),
            };
        }
        Ok(())
    }

    /// The inputs with their weights, in the order in which they are combined: the smallest first, as rounding and the
    /// cost depend on it.
    fn sources<'s>(&self, shard: &'s Shard, db: usize) -> Vec<(Source<'s>, f64)> {
        let source = |key: &&[u8]| Source::peek(shard, db, key);
        let mut sources: Vec<_> = self.keys.iter().map(source).zip(self.weights.iter().copied()).collect();
        if self.operation != Operation::Difference {
            sources.sort_by_key(|(source, _)| source.len());
        }
        sources
    }

    /// Hands out the members of an intersection or difference in the order of the first input.
    fn filtered<'s>(&self, sources: &[(Source<'s>, f64)]) -> impl Iterator<Item = Entry<'s>> {
        let (first, weight) = sources[0];
        first.entries().filter_map(move |(member, score)| {
            if self.operation == Operation::Difference {
                let kept = sources[1..].iter().all(|(other, _)| other.score(member).is_none());
                return kept.then_some((member, score));
            }
            let mut total = number_or_zero(weight * score);
            for (other, weight) in &sources[1..] {
                total = self.aggregate.apply(total, other.score(member)? * weight);
            }
            Some((member, total))
        })
    }

    /// The members of a union with their scores, as bits of doubles.
    fn united(&self, sources: &[(Source<'_>, f64)], hasher: &Hasher) -> Fields {
        let mut totals = Fields::new(hasher);
        for (source, weight) in sources {
            for (member, score) in source.entries() {
                let score = number_or_zero(weight * score);
                member.with_bytes(|member| match totals.get_mut(member) {
                    Some(item) => {
                        let total = self.aggregate.apply(total(item), score);
                        item.set_str(bits(total));
                    }
                    None => {
                        totals.insert(Item::new(member, bits(score), None));
                    }
                });
            }
        }
        totals
    }

    /// Calls `finish` with the resulting members in order.
    fn run<R>(&self, shard: &Shard, db: usize, finish: impl FnOnce(&[Entry<'_>]) -> R) -> R {
        let sources = self.sources(shard, db);
        if self.operation == Operation::Union {
            let totals = self.united(&sources, shard.hasher());
            let mut members =
                totals.iter().map(|item| (Str::Bytes(item.key()), total(item))).collect::<Vec<_>>();
            sort_entries(&mut members);
            return finish(&members);
        }
        let mut members: Vec<Entry<'_>> = self.filtered(&sources).collect();
        sort_entries(&mut members);
        finish(&members)
    }
}

fn bits(score: f64) -> Str<'static> {
    Str::Int(score.to_bits() as i64)
}

fn total(item: &Item) -> f64 {
    match item.str() {
        Str::Int(bits) => f64::from_bits(bits as u64),
        Str::Bytes(_) => unreachable!("totals are kept as integers"),
    }
}

fn reply(cx: &mut Exec<'_>, name: &str, operation: Operation) -> Result<(), Error> {
    let request = Request::parse(cx, name, operation, Purpose::Reply)?;
    let reply = &mut cx.reply;
    request.run(cx.shard, cx.db, |members| {
        reply_head(reply, members.len(), request.with_scores);
        members.iter().for_each(|entry| reply_entry(reply, *entry, request.with_scores));
    });
    Ok(())
}

fn store_result(cx: &mut Exec<'_>, event: &'static str, operation: Operation) -> Result<(), Error> {
    let request = Request::parse(cx, event, operation, Purpose::Store)?;
    let rules = rules(cx.shard);
    let result = request.run(cx.shard, cx.db, |members| Zset::from_sorted(members, &rules));
    store(cx, event, 1, result);
    Ok(())
}

/// `ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]`
pub fn zunion(cx: &mut Exec<'_>) -> Result<(), Error> {
    reply(cx, "zunion", Operation::Union)
}

/// `ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]`
pub fn zinter(cx: &mut Exec<'_>) -> Result<(), Error> {
    reply(cx, "zinter", Operation::Intersection)
}

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`
pub fn zdiff(cx: &mut Exec<'_>) -> Result<(), Error> {
    reply(cx, "zdiff", Operation::Difference)
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]`
pub fn zunionstore(cx: &mut Exec<'_>) -> Result<(), Error> {
    store_result(cx, "zunionstore", Operation::Union)
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]`
pub fn zinterstore(cx: &mut Exec<'_>) -> Result<(), Error> {
    store_result(cx, "zinterstore", Operation::Intersection)
}

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub fn zdiffstore(cx: &mut Exec<'_>) -> Result<(), Error> {
    store_result(cx, "zdiffstore", Operation::Difference)
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
pub fn zintercard(cx: &mut Exec<'_>) -> Result<(), Error> {
    let request = Request::parse(cx, "zintercard", Operation::Intersection, Purpose::Count)?;
    let sources = request.sources(cx.shard, cx.db);
    cx.reply.int(request.filtered(&sources).take(request.limit).count() as i64);
    Ok(())
}
