//! `SORT` and `SORT_RO` (redis.io/docs/latest/commands/sort): the elements of a list, a set or a sorted set in an order, or
//! what keys hold whose names derive from them.
//!
//! Strings are compared by their bytes, as Redis does in the locale `C`. Elements are copied into one block first, because
//! looking up the keys of a pattern may change the shard: what has expired goes. Which keys a command looks up is known
//! only once the elements are; if some may be on other shards, it runs on the whole keyspace.

mod pattern;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::Range;

use self::pattern::{Lookup, Pattern};
use super::arguments::integer;
use super::strings::reply_value;
use super::{Class, Exec};
use crate::base::number::parse_f64;
use crate::protocol::Error;
use crate::shard::values::{List, Set, Typed, Value, Zset};
use crate::shard::{Item, Shard};
use crate::types::Str;

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]`
pub fn sort(cx: &mut Exec<'_>) -> Result<(), Error> {
    answer(cx, true)
}

/// `SORT_RO`: likewise without `STORE`
pub fn sort_ro(cx: &mut Exec<'_>) -> Result<(), Error> {
    answer(cx, false)
}

/// Whether the command looks up keys besides those that its arguments name.
pub fn follows_patterns(args: &[&[u8]]) -> bool {
    Request::parse(args, true).is_ok_and(|request| {
        request.by.iter().chain(&request.get).any(|pattern| matches!(pattern, Pattern::Key { .. }))
    })
}

fn answer(cx: &mut Exec<'_>, may_store: bool) -> Result<(), Error> {
    let mut request = Request::parse(cx.args, may_store)?;
    request.by_script = cx.by_script;
    let (name, db) = (cx.args[1], cx.db);
    let mut rows = Rows::load(cx.shard, db, &request, name)?;
    let mut lookup = Lookup { shard: &mut *cx.shard, db };
    rows.arrange(&request, &mut lookup)?;
    if let Some(destination) = request.store {
        let stored = rows.stored(&request, &mut lookup);
        return store(cx, destination, stored);
    }
    cx.reply.array(rows.order.len() * request.get.len().max(1));
    for row in &rows.order {
        let element = rows.element(row);
        if request.get.is_empty() {
            cx.reply.bulk(element);
        }
        for pattern in &request.get {
            lookup.value(pattern, element, |value| reply_value(&mut cx.reply, value));
        }
    }
    Ok(())
}

/// Puts a list into a key and answers with its length; an empty one removes the key.
fn store(cx: &mut Exec<'_>, destination: usize, list: List) -> Result<(), Error> {
    let (key, len) = (cx.key(destination), list.len());
    let made = (len > 0).then(|| Item::collection(key.bytes, list.wrap(), None));
    if cx.store(Class::LIST, "sortstore", &key, made) {
        cx.changes += len.max(1) as u64;
    }
    cx.reply.int(len as i64);
    Ok(())
}

/// The arguments.
#[derive(Default)]
struct Request<'a> {
    /// What to compare in place of the elements.
    by: Option<Pattern<'a>>,
    /// Leave the elements in the order in which they are.
    as_is: bool,
    /// What to answer in place of the elements.
    get: Vec<Pattern<'a>>,
    descending: bool,
    /// Compare strings rather than numbers.
    alpha: bool,
    offset: i64,
    /// Without it, or if it is negative: all.
    count: Option<i64>,
    /// The place of the destination's name among the arguments.
    store: Option<usize>,
    /// A script has called it.
    by_script: bool,
}

impl<'a> Request<'a> {
    fn parse(args: &[&'a [u8]], may_store: bool) -> Result<Request<'a>, Error> {
        let mut request = Request::default();
        let mut at = 2;
        while let Some(&option) = args.get(at) {
            let operands = &args[at + 1..];
            at += match (option.to_ascii_lowercase().as_slice(), operands) {
                (b"asc", _) => {
                    request.descending = false;
                    1
                }
                (b"desc", _) => {
                    request.descending = true;
                    1
                }
                (b"alpha", _) => {
                    request.alpha = true;
                    1
                }
                (b"limit", [offset, count, ..]) => {
                    request.offset = integer(offset)?;
                    request.count = Some(integer(count)?);
                    3
                }
                (b"store", [_, ..]) if may_store => {
                    request.store = Some(at + 1);
                    2
                }
                (b"by", [pattern, ..]) => {
                    request.by = Some(Pattern::parse(pattern));
                    // Once a pattern without a place for the element was named, Redis never sorts.
                    request.as_is |= !pattern.contains(&b'*');
                    2
                }
                (b"get", [pattern, ..]) => {
                    request.get.push(Pattern::parse(pattern));
                    2
                }
                _ => return Err(Error::Syntax),
            };
        }
        Ok(request)
    }

    /// The part of so many elements that `LIMIT` leaves.
    fn window(&self, len: usize) -> Range<usize> {
        let at_most = |number: i64| usize::try_from(number).unwrap_or(0).min(len);
        let start = at_most(self.offset);
        let end = match self.count {
            Some(count) if count >= 0 => start + at_most(count),
            _ => len,
        };
        start..end.min(len)
    }
}

/// What an element is compared by.
enum Weight {
    /// By itself, or not at all.
    Element,
    Number(f64),
    /// A string in the block; `None`, what no key holds, comes first.
    Text(Option<Range<usize>>),
}

struct Row {
    element: Range<usize>,
    weight: Weight,
}

/// Elements under work.
#[derive(Default)]
struct Rows {
    /// The bytes of elements and of what they are compared by.
    block: Vec<u8>,
    order: Vec<Row>,
    /// Whether the elements came without an order of their own.
    unordered: bool,
}

impl Rows {
    /// The elements at a key; if they stay in their order, only those that `LIMIT` leaves.
    fn load(shard: &mut Shard, db: usize, request: &Request<'_>, name: &[u8]) -> Result<Rows, Error> {
        let key = shard.key(name);
        let item = shard.lookup_read(db, &key);
        let mut rows = Rows::default();
        let Some(value) = item.map(Item::value) else { return Ok(rows) };
        let whole = |len: usize| if request.as_is { request.window(len) } else { 0..len };
        let back = request.as_is && request.descending;
        match value {
            Some(Value::List(list)) => {
                let (len, window) = (list.len(), whole(list.len()));
                if back {
                    rows.extend(list.range_back(len - window.end..len - window.start));
                } else {
                    rows.extend(list.range(window));
                }
            }
            Some(Value::Set(set)) => rows.extend_unordered(set),
            Some(Value::Zset(zset)) => rows.extend_ranked(zset, whole(zset.len()), back),
            _ => return Err(Error::WrongType),
        }
        Ok(rows)
    }

    fn extend<'a>(&mut self, elements: impl Iterator<Item = Str<'a>>) {
        for element in elements {
            let element = element.with_bytes(|bytes| self.keep(bytes));
            self.order.push(Row { element, weight: Weight::Element });
        }
    }

    fn extend_unordered(&mut self, set: &Set) {
        self.unordered = true;
        self.extend(set.iter());
    }

    fn extend_ranked(&mut self, zset: &Zset, window: Range<usize>, back: bool) {
        let len = zset.len();
        if window.is_empty() {
            return;
        }
        if back {
            let ranks = len - window.end..len - window.start;
            self.extend(zset.iter(ranks).rev().map(|(member, _)| member));
        } else {
            self.extend(zset.iter(window).map(|(member, _)| member));
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.block.len();
        self.block.extend_from_slice(bytes);
        start..self.block.len()
    }

    fn element(&self, row: &Row) -> &[u8] {
        &self.block[row.element.clone()]
    }

    /// Puts the rows in order, and leaves those of the window.
    fn arrange(&mut self, request: &Request<'_>, lookup: &mut Lookup<'_>) -> Result<(), Error> {
        // A set that is stored, or that a script sees, gets an order in any case, so that it is the same everywhere.
        let forced = request.as_is && self.unordered && (request.store.is_some() || request.by_script);
        if request.as_is && !forced {
            if self.unordered {
                self.cut(request);
            }
            return Ok(());
        }
        if !forced {
            self.weigh(request, lookup)?;
        }
        let mut order = std::mem::take(&mut self.order);
        order.sort_by(|a, b| {
            let ordering = self.compare(a, b);
            if request.descending { ordering.reverse() } else { ordering }
        });
        self.order = order;
        self.cut(request);
        Ok(())
    }

    fn cut(&mut self, request: &Request<'_>) {
        let window = request.window(self.order.len());
        self.order.truncate(window.end);
        self.order.drain(..window.start);
    }

    /// Looks up what the rows are compared by.
    fn weigh(&mut self, request: &Request<'_>, lookup: &mut Lookup<'_>) -> Result<(), Error> {
        let mut order = std::mem::take(&mut self.order);
        let mut failed = None;
        for row in &mut order {
            let weight = match (&request.by, request.alpha) {
                (None, true) => Ok(Weight::Element),
                (None, false) => number(self.element(row)).map(Weight::Number),
                (Some(pattern), alpha) => {
                    let element = self.block[row.element.clone()].to_vec();
                    lookup.value(pattern, &element, |value| match (value, alpha) {
                        (value, true) => {
                            let keep = |value: Str<'_>| value.with_bytes(|bytes| self.keep(bytes));
                            Ok(Weight::Text(value.map(keep)))
                        }
                        (None, false) => Ok(Weight::Number(0.0)),
                        (Some(value), false) => value.with_bytes(number).map(Weight::Number),
                    })
                }
            };
            match weight {
                Ok(weight) => row.weight = weight,
                // As in Redis the others are looked up all the same.
                Err(error) => failed = Some(error),
            }
        }
        self.order = order;
        failed.map_or(Ok(()), Err)
    }

    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let text = |range: &Option<Range<usize>>| range.clone().map(|range| &self.block[range]);
        match (&a.weight, &b.weight) {
            (Weight::Text(a), Weight::Text(b)) => text(a).cmp(&text(b)),
            (Weight::Number(x), Weight::Number(y)) if x != y => x.total_cmp(y),
            _ => self.element(a).cmp(self.element(b)),
        }
    }

    /// What `STORE` stores; what no key holds becomes an empty string.
    fn stored(&self, request: &Request<'_>, lookup: &mut Lookup<'_>) -> List {
        let limits = lookup.shard.settings.list_limits();
        let mut block = Vec::new();
        let mut ends = Vec::with_capacity(self.order.len() * request.get.len().max(1));
        for row in &self.order {
            let element = self.element(row);
            if request.get.is_empty() {
                block.extend_from_slice(element);
                ends.push(block.len());
            }
            for pattern in &request.get {
                lookup.value(pattern, element, |value| {
                    value.unwrap_or(Str::Bytes(b"")).with_bytes(|bytes| block.extend_from_slice(bytes));
                });
                ends.push(block.len());
            }
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        List::from_elements(starts.zip(&ends).map(|(start, &end)| &block[start..end]), limits)
    }
}

/// What an element or a value counts as: a number with blanks before it, or nothing at all. A zero byte ends it, as in
/// Redis.
fn number(text: &[u8]) -> Result<f64, Error> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    match text.trim_ascii_start() {
        [] if text.is_empty() => Ok(0.0),
        text => parse_f64(text).ok_or(Error::text("ERR One or more scores can't be converted into double")),
    }
}
