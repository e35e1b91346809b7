//! A sorted set: unique members in the order of their scores, equal scores in the order of the members.
//!
//! A small one is a listpack of members and scores in turns, in that order, as in Redis: a score that is an integer is
//! stored as one, any other as its digits. A large one, which Redis calls a skiplist, is a hash table with a tree
//! ([`Scored`]). It becomes large when a member is added beyond the limits of [`Settings`], and stays so.

use std::ops::Range;

use super::scored::{self, Scored};
use super::{Fields, Typed, typed};
use crate::base::number::{format_f64, parse_f64_bound};
use crate::base::rng::Rng;
use crate::shard::item::Encoding;
use crate::shard::{Budget, Hasher, Settings};
use crate::types::listpack::At;
use crate::types::{Listpack, Str};

/// Bytes beyond which no listpack grows.
const LISTPACK_MAX_BYTES: usize = 1 << 30;

/// A sorted set. See the module.
#[derive(Debug, Clone)]
pub struct Zset(Form);

#[derive(Debug, Clone)]
enum Form {
    Small(Listpack),
    Large(Box<Scored>),
}

/// What decides over the form of a sorted set, and how its members are hashed.
#[derive(Debug, Clone)]
pub struct ZsetRules {
    /// The limits.
    pub settings: Settings,
    /// The hash function.
    pub hasher: Hasher,
}

impl Zset {
    /// An empty one that is about to get so many members, the first of which has so many bytes.
    pub fn for_members(count: usize, member_len: usize, rules: &ZsetRules) -> Zset {
        let limits = &rules.settings;
        let small = count <= limits.zset_max_listpack_entries && member_len <= limits.zset_max_listpack_value;
        Zset(if small {
            Form::Small(Listpack::new())
        } else {
            Form::Large(Box::new(Scored::new(&rules.hasher)))
        })
    }

    /// Of members that are unique and in order.
    pub fn from_sorted(members: &[(Str<'_>, f64)], rules: &ZsetRules) -> Zset {
        let longest = members.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
        let mut zset = Zset::for_members(members.len(), longest, rules);
        for &(member, score) in members {
            match &mut zset.0 {
                Form::Small(list) => append(list, member, score),
                Form::Large(scored) => {
                    member.with_bytes(|member| scored.set(member, score));
                }
            }
        }
        zset
    }

    /// Of the listpack of a small one, which becomes large if it exceeds the limit of members; `None` if it is not well-formed:
    /// members and scores by turns, no member twice, all in order.
    pub fn from_listpack(list: Listpack, rules: &ZsetRules) -> Option<Zset> {
        if list.len() % 2 == 1 || !has_scores(&list) || !is_ordered(&list) || !list.is_unique(2) {
            return None;
        }
        let mut zset = Zset(Form::Small(list));
        zset.expect_members(zset.len(), rules);
        Some(zset)
    }

    /// The hash table of a large one.
    #[inline]
    pub fn fields(&self) -> Option<&Fields> {
        match &self.0 {
            Form::Large(scored) => Some(scored.fields()),
            Form::Small(_) => None,
        }
    }

    /// The listpack of a small one.
    pub fn listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Form::Small(list) => Some(list),
            Form::Large(_) => None,
        }
    }

    /// Makes it large if so many members are too many for a listpack.
    pub fn expect_members(&mut self, count: usize, rules: &ZsetRules) {
        if count > rules.settings.zset_max_listpack_entries {
            self.enlarge(rules);
        }
    }

    fn enlarge(&mut self, rules: &ZsetRules) -> &mut Scored {
        if let Form::Small(list) = &self.0 {
            let mut scored = Scored::new(&rules.hasher);
            for (member, score) in Pairs::new(list, 0..list.len() / 2) {
                member.with_bytes(|member| scored.set(member, score));
            }
            self.0 = Form::Large(Box::new(scored));
        }
        let Form::Large(scored) = &mut self.0 else { unreachable!("it was just made large") };
        scored
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Form::Small(list) => find(list, member).map(|(_, score)| score),
            Form::Large(scored) => scored.score(member),
        }
    }

    /// Adds a member or changes its score, which is not NaN. Returns the old score.
    pub fn set(&mut self, member: &[u8], score: f64, rules: &ZsetRules) -> Option<f64> {
        let list = match &mut self.0 {
            Form::Large(scored) => return scored.set(member, score),
            Form::Small(list) => list,
        };
        if let Some((at, old)) = find(list, member) {
            if old != score {
                list.remove(at, 2);
                insert(list, member, score);
            }
            return Some(old);
        }
        let limits = &rules.settings;
        if list.len() / 2 < limits.zset_max_listpack_entries
            && member.len() <= limits.zset_max_listpack_value
            && list.byte_len() + member.len() <= LISTPACK_MAX_BYTES
        {
            insert(list, member, score);
            return None;
        }
        self.enlarge(rules).set(member, score)
    }

    /// Removes a member and returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Form::Large(scored) => scored.remove(member),
            Form::Small(list) => {
                let (at, score) = find(list, member)?;
                list.remove(at, 2);
                Some(score)
            }
        }
    }

    /// Removes the members of some ranks, which exist.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match &mut self.0 {
            Form::Large(scored) => scored.remove_ranks(ranks),
            Form::Small(list) => {
                if let Some(at) = list.seek(2 * ranks.start as isize) {
                    list.remove(at, 2 * ranks.len());
                }
            }
        }
    }

    /// Rank and score of a member.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match &self.0 {
            Form::Large(scored) => scored.rank(member),
            Form::Small(list) => {
                let (found, score) = find(list, member)?;
                let mut at = list.first();
                let before = std::iter::from_fn(|| {
                    let this = at?;
                    at = list.next(list.next(this)?);
                    Some(this)
                });
                Some((before.take_while(|at| *at != found).count(), score))
            }
        }
    }

    /// How many members at the beginning are `before` something. The closure must be true for the members up to some place
    /// and false for all behind it.
    pub fn count_before(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        match &self.0 {
            Form::Large(scored) => scored.count_before(before),
            Form::Small(list) => Pairs::new(list, 0..list.len() / 2)
                .take_while(|(member, score)| member.with_bytes(|member| before(*score, member)))
                .count(),
        }
    }

    /// The members of some ranks, which exist, with their scores.
    pub fn iter(&self, ranks: Range<usize>) -> ZsetIter<'_> {
        ZsetIter(match &self.0 {
            Form::Small(list) => FormIter::Small(Pairs::new(list, ranks)),
            Form::Large(scored) => FormIter::Large(scored.iter(ranks)),
        })
    }

    /// A member with its score that is drawn at random; there must be one.
    pub fn random(&self, rng: &mut Rng) -> (Str<'_>, f64) {
        let rank = rng.below(self.len());
        self.iter(rank..rank + 1).next().expect("the rank is below the number of members")
    }

    /// Visits members from a cursor on, 0 at first, until the budget is spent. Returns the next cursor, 0 at the end. A small
    /// one is visited at once, with its scores as they are stored; the scores of a large one are numbers.
    pub fn scan(
        &self,
        cursor: u64,
        budget: &mut Budget,
        visit: &mut impl FnMut(Str<'_>, ScanScore<'_>),
    ) -> u64 {
        match &self.0 {
            Form::Large(scored) => scored.scan(cursor, budget, &mut |member, score| {
                visit(Str::Bytes(member), ScanScore::Number(score))
            }),
            Form::Small(list) => {
                let mut elements = list.iter();
                while let (Some(member), Some(score)) = (elements.next(), elements.next()) {
                    visit(member, ScanScore::Text(score));
                }
                0
            }
        }
    }
}

/// A score as [`Zset::scan`] meets it.
#[derive(Debug, Clone, Copy)]
pub enum ScanScore<'a> {
    /// Its digits.
    Text(Str<'a>),
    /// Its value.
    Number(f64),
}

impl Typed for Zset {
    typed!(Zset);

    fn encoding(&self) -> Encoding {
        match self.0 {
            Form::Small(_) => Encoding::Listpack,
            Form::Large(_) => Encoding::Skiplist,
        }
    }

    fn len(&self) -> usize {
        match &self.0 {
            Form::Small(list) => list.len() / 2,
            Form::Large(scored) => scored.len(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Small(list) => list.byte_len(),
            Form::Large(scored) => scored.heap_bytes(),
        }
    }

    fn drop_some(&mut self, budget: &mut Budget) -> bool {
        match &mut self.0 {
            Form::Small(_) => true,
            Form::Large(scored) => scored.drop_some(budget),
        }
    }
}

/// Where a member stands in a listpack, and its score.
fn find(list: &Listpack, member: &[u8]) -> Option<(At, f64)> {
    let at = list.find(member, list.first()?, 1)?;
    Some((at, score_at(list, list.next(at)?)))
}

fn score_at(list: &Listpack, at: At) -> f64 {
    match list.get(at) {
        Str::Int(score) => score as f64,
        Str::Bytes(digits) => parse_f64_bound(digits).expect("what was stored as a score"),
    }
}

/// Whether every second element is a score.
fn has_scores(list: &Listpack) -> bool {
    list.iter().skip(1).step_by(2).all(|element| match element {
        Str::Int(_) => true,
        Str::Bytes(b"") => false,
        Str::Bytes(digits) => parse_f64_bound(digits).is_some_and(|score| !score.is_nan()),
    })
}

/// Whether members, which have scores, are in order.
fn is_ordered(list: &Listpack) -> bool {
    let members = || Pairs::new(list, 0..list.len() / 2);
    members()
        .zip(members().skip(1))
        .all(|((a, low), (b, high))| low < high || (low == high && a.with_bytes(|a| b.with_bytes(|b| a < b))))
}

/// The number of a score that is stored as an integer: Redis does so if it is one and not large.
fn integer(score: f64) -> Option<i64> {
    const MAX: f64 = (i64::MAX / 2) as f64;
    ((-MAX..=MAX).contains(&score) && score.trunc() == score).then_some(score as i64)
}

/// Puts a new member in its place.
fn insert(list: &mut Listpack, member: &[u8], score: f64) {
    let mut behind = list.first();
    while let Some(at) = behind {
        let Some(score_place) = list.next(at) else { break };
        let other = score_at(list, score_place);
        if other > score || (other == score && list.get(at).with_bytes(|other| other > member)) {
            break;
        }
        behind = list.next(score_place);
    }
    let at = behind.unwrap_or(list.end());
    with_element(score, |score| list.insert(at, &[Str::classify(member), score]));
}

fn append(list: &mut Listpack, member: Str<'_>, score: f64) {
    let member = match member {
        Str::Bytes(bytes) => Str::classify(bytes),
        number => number,
    };
    with_element(score, |score| list.extend(&[member, score]));
}

/// Calls `store` with the element that stands for a score.
fn with_element(score: f64, store: impl FnOnce(Str<'_>)) {
    match integer(score) {
        Some(number) => store(Str::Int(number)),
        None => store(Str::Bytes(format_f64(score).as_bytes())),
    }
}

/// Goes along the members of a listpack from either end.
struct Pairs<'a> {
    list: &'a Listpack,
    left: usize,
    front: Option<At>,
    back: Option<At>,
}

impl<'a> Pairs<'a> {
    fn new(list: &'a Listpack, ranks: Range<usize>) -> Pairs<'a> {
        let back = (2 * ranks.end).checked_sub(1);
        Pairs {
            list,
            left: ranks.len(),
            front: list.seek(2 * ranks.start as isize),
            back: back.and_then(|index| list.seek(index as isize)),
        }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Str<'a>, f64);

    fn next(&mut self) -> Option<(Str<'a>, f64)> {
        self.left = self.left.checked_sub(1)?;
        let at = self.front?;
        let score = self.list.next(at)?;
        self.front = self.list.next(score);
        Some((self.list.get(at), score_at(self.list, score)))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let score = self.back?;
        let at = self.list.prev(score)?;
        self.back = self.list.prev(at);
        Some((self.list.get(at), score_at(self.list, score)))
    }
}

/// Members in order with their scores, from either end.
pub struct ZsetIter<'a>(FormIter<'a>);

enum FormIter<'a> {
    Small(Pairs<'a>),
    Large(scored::Iter<'a>),
}

impl<'a> Iterator for ZsetIter<'a> {
    type Item = (Str<'a>, f64);

    fn next(&mut self) -> Option<(Str<'a>, f64)> {
        match &mut self.0 {
            FormIter::Small(pairs) => pairs.next(),
            FormIter::Large(iter) => iter.next().map(|(member, score)| (Str::Bytes(member), score)),
        }
    }
}

impl DoubleEndedIterator for ZsetIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            FormIter::Small(pairs) => pairs.next_back(),
            FormIter::Large(iter) => iter.next_back().map(|(member, score)| (Str::Bytes(member), score)),
        }
    }
}

#[cfg(test)]
#[path = "zset_tests.rs"]
mod tests;
