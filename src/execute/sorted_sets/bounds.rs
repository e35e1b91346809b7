//! Ranges of ranks, scores and members, as arguments and as the ranks that they cover.

use std::ops::Range;

use crate::base::number::parse_f64_bound;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::shard::values::{Typed, Zset};

/// What a range is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// A range of members.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bounds<'a> {
    /// First and last rank; negative ones count from the end.
    Rank(i64, i64),
    /// Least and greatest score.
    Score(Bound<f64>, Bound<f64>),
    /// Least and greatest member; meant for equal scores.
    Lex(LexBound<'a>, LexBound<'a>),
}

/// An end of a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound<T> {
    at: T,
    exclusive: bool,
}

impl<T: PartialOrd> Bound<T> {
    /// Whether something lies before a range that begins here.
    fn excludes_below(&self, value: &T) -> bool {
        *value < self.at || (self.exclusive && *value == self.at)
    }

    /// Whether something lies within a range that ends here.
    fn includes_below(&self, value: &T) -> bool {
        *value < self.at || (!self.exclusive && *value == self.at)
    }
}

/// An end of a range of members.
#[derive(Debug, Clone, Copy)]
pub(super) enum LexBound<'a> {
    /// Before all (`-`).
    First,
    /// Behind all (`+`).
    Last,
    /// A member (`[` or `(`).
    Member(Bound<&'a [u8]>),
}

fn score_bound(arg: &[u8]) -> Option<Bound<f64>> {
    let (exclusive, digits) = match arg {
        [b'(', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    Some(Bound { at: parse_f64_bound(digits)?, exclusive })
}

fn lex_bound(arg: &[u8]) -> Option<LexBound<'_>> {
    match arg {
        b"-" => Some(LexBound::First),
        b"+" => Some(LexBound::Last),
        [b'[', at @ ..] => Some(LexBound::Member(Bound { at, exclusive: false })),
        [b'(', at @ ..] => Some(LexBound::Member(Bound { at, exclusive: true })),
        _ => None,
    }
}

impl<'a> Bounds<'a> {
    /// Reads the two ends of a range, the lower one first.
    pub(super) fn parse(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Bounds<'a>, Error> {
        match by {
            By::Rank => Ok(Bounds::Rank(integer(low)?, integer(high)?)),
            By::Score => match (score_bound(low), score_bound(high)) {
                (Some(low), Some(high)) => Ok(Bounds::Score(low, high)),
                _ => Err(Error::text("ERR min or max is not a float")),
            },
            By::Lex => match (lex_bound(low), lex_bound(high)) {
                (Some(low), Some(high)) => Ok(Bounds::Lex(low, high)),
                _ => Err(Error::text("ERR min or max not valid string range item")),
            },
        }
    }

    /// The ranks that the range covers, counted from the lowest score. If `reverse`, ranks in the range itself count from
    /// the highest.
    pub(super) fn ranks(&self, zset: &Zset, reverse: bool) -> Range<usize> {
        let (start, end) = match self {
            Bounds::Rank(first, last) => {
                let Range { start, end } = clamp(*first, *last, zset.len());
                if reverse { (zset.len() - end, zset.len() - start) } else { (start, end) }
            }
            Bounds::Score(low, high) => (
                zset.count_before(|score, _| low.excludes_below(&score)),
                zset.count_before(|score, _| high.includes_below(&score)),
            ),
            Bounds::Lex(low, high) => (
                zset.count_before(|_, member| match low {
                    LexBound::First => false,
                    LexBound::Last => true,
                    LexBound::Member(bound) => bound.excludes_below(&member),
                }),
                zset.count_before(|_, member| match high {
                    LexBound::First => false,
                    LexBound::Last => true,
                    LexBound::Member(bound) => bound.includes_below(&member),
                }),
            ),
        };
        start..end.max(start)
    }
}

/// The ranks from `first` to `last` of `len`.
fn clamp(first: i64, last: i64, len: usize) -> Range<usize> {
    let from_end = |rank: i64| if rank < 0 { rank.saturating_add(len as i64) } else { rank };
    let (first, last) = (from_end(first).max(0) as usize, from_end(last));
    match usize::try_from(last) {
        Ok(last) if first <= last && first < len => first..last.saturating_add(1).min(len),
        _ => 0..0,
    }
}
