//! Members with scores, found by member in one step and by order in O(log n): the large form of a sorted set.
//!
//! A hash table owns the members: each is an [`Item`] whose value is the score, as the bits of a double in an integer.
//! A tree ([`Ranked`]) holds the same members in order. It does not copy them but refers to the blocks of the items, which
//! is what keeps a member of 16 bytes below 80 bytes in all.
//!
//! Invariant, on which the `unsafe` here rests: every entry of the tree refers to the block of an item that is in the
//! table, or on its way into or out of it within one function of this file. A table moves its items about, but not their
//! blocks; the block of an item is replaced only when its key changes or its value gets another form, and an integer
//! that is set to another integer stays where it is. So an entry leaves the tree before its item is dropped, and
//! nothing outside of this file gets at the table mutably.
#![allow(unsafe_code)]

use std::fmt;
use std::mem;
use std::ops::Range;
use std::ptr::NonNull;

use super::fields::Fields;
use crate::shard::{Budget, Hasher, Item};
use crate::types::Str;
use crate::types::ranked::{self, Entry, Ranked};

/// Refers to the member in the block of an item: the item's own pointer, not owning the block.
#[derive(Clone, Copy)]
struct Member(NonNull<u8>);

// SAFETY: what it refers to belongs to the `Scored` that it is part of, whose items are `Send`.
unsafe impl Send for Member {}

impl Member {
    fn of(item: &Item) -> Member {
        // SAFETY: an item is a transparent pointer to its block.
        Member(unsafe { mem::transmute_copy::<Item, NonNull<u8>>(item) })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the pointer was that of an item and can be read as one; the block is alive by the invariant of the
        // module, and it is not changed while `Scored` is borrowed, which is as long as this is.
        unsafe { &*(&raw const self.0).cast::<Item>() }.key()
    }
}

impl AsRef<[u8]> for Member {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

fn payload(score: f64) -> Str<'static> {
    Str::Int(score.to_bits() as i64)
}

fn score_of(item: &Item) -> f64 {
    match item.str() {
        Str::Int(bits) => f64::from_bits(bits as u64),
        Str::Bytes(_) => unreachable!("the score is kept as an integer"),
    }
}

/// Members with scores. See the module.
pub(super) struct Scored {
    fields: Fields,
    tree: Ranked<Member>,
}

impl Scored {
    /// The members in no order.
    #[inline]
    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Without members.
    pub(super) fn new(hasher: &Hasher) -> Scored {
        Scored { fields: Fields::new(hasher), tree: Ranked::default() }
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The score of a member.
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.fields.get(member).map(score_of)
    }

    /// Adds a member or changes its score. Returns the old one; an equal one stays.
    pub(super) fn set(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let Some(item) = self.fields.get_mut(member) else {
            let item = Item::new(member, payload(score), None);
            let handle = Member::of(&item);
            self.fields.insert(item);
            self.tree.insert(score, handle);
            return None;
        };
        let old = score_of(item);
        if old != score {
            item.set_str(payload(score));
            let handle = self.tree.remove(old, member).expect("the tree has what the table has");
            self.tree.insert(score, handle);
        }
        Some(old)
    }

    /// Removes a member and returns its score.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let item = self.fields.remove(member)?;
        let score = score_of(&item);
        self.tree.remove(score, member);
        Some(score)
    }

    /// Removes the members of some ranks.
    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        for _ in ranks.clone() {
            let Some(&Entry { score, member }) = self.tree.get(ranks.start) else { return };
            self.tree.remove(score, member.bytes());
            let item = self.fields.remove(member.bytes());
            debug_assert!(item.is_some());
        }
    }

    /// How many members at the beginning are `before` something; see [`Ranked::count_before`].
    pub(super) fn count_before(&self, before: impl Fn(f64, &[u8]) -> bool) -> usize {
        self.tree.count_before(|entry| before(entry.score, entry.member.bytes()))
    }

    /// Rank and score of a member.
    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        Some((self.tree.rank(score, member), score))
    }

    /// The members of some ranks with their scores.
    pub(super) fn iter(&self, ranks: Range<usize>) -> Iter<'_> {
        Iter(self.tree.iter(ranks))
    }

    /// Visits members from a cursor on; see [`Fields::scan`].
    pub(super) fn scan(&self, cursor: u64, budget: &mut Budget, visit: &mut impl FnMut(&[u8], f64)) -> u64 {
        self.fields.scan(cursor, budget, &mut |item| visit(item.key(), score_of(item)))
    }

    /// Frees members until the budget is spent. Returns whether none is left.
    pub(super) fn drop_some(&mut self, budget: &mut Budget) -> bool {
        while !self.tree.is_empty() {
            if budget.is_spent() {
                return false;
            }
            // Freeing a leaf is one call, however many entries it has.
            self.tree.drop_some();
            budget.spend(1);
        }
        self.fields.drop_some(budget)
    }

    /// Bytes of table, items and tree; takes time proportional to their number.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Scored>() + self.fields.heap_bytes() + self.tree.heap_bytes()
    }
}

impl Clone for Scored {
    fn clone(&self) -> Scored {
        let (fields, mut tree) = (self.fields.clone(), Ranked::default());
        for (member, score) in self.iter(0..self.len()) {
            let item = fields.get(member).expect("the table has what the tree has");
            tree.insert(score, Member::of(item));
        }
        Scored { fields, tree }
    }
}

impl fmt::Debug for Scored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter(0..self.len())).finish()
    }
}

/// Members in order, with their scores.
pub(super) struct Iter<'a>(ranked::Iter<'a, Member>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], f64);

    fn next(&mut self) -> Option<(&'a [u8], f64)> {
        self.0.next().map(|entry| (entry.member.bytes(), entry.score))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|entry| (entry.member.bytes(), entry.score))
    }
}
