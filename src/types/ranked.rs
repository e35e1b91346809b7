//! A sequence of members ordered by score, then by member, that is searched by either and by rank.
//!
//! It is a B+-tree. A leaf is one array of entries, so that walking along it touches consecutive memory; an inner node
//! keeps beside each child the child's first entry and how many entries are below it. A search for a score, for a
//! member or for a rank goes from the root to one leaf: O(log n), in few cache lines, as scores are compared where they
//! stand and a member is looked at only among equal scores.
//!
//! Invariants: entries are in strictly ascending order; all leaves are equally deep; no node is empty except a leaf that
//! is the root; what stands beside a child agrees with the child. Removing from a node that then is less than a quarter
//! full joins it with a neighbour. A full node that grows at one of its ends is split there, not in the middle: entries that
//! come in order fill their leaves.
//!
//! A member is any small copyable handle to bytes. Scores are never NaN.

use std::mem;
use std::ops::Range;
use std::slice;

/// Most entries of a leaf. Tests use small nodes to get high trees.
const LEAF_MAX: usize = if cfg!(test) { 8 } else { 64 };
/// Most children of an inner node.
const INNER_MAX: usize = if cfg!(test) { 8 } else { 32 };

/// A member with its score.
#[derive(Debug, Clone, Copy)]
pub struct Entry<M> {
    /// The score.
    pub score: f64,
    /// The member.
    pub member: M,
}

impl<M: AsRef<[u8]>> Entry<M> {
    /// Whether it stands before such an entry.
    #[inline]
    fn is_before(&self, score: f64, member: &[u8]) -> bool {
        self.score < score || (self.score == score && self.member.as_ref() < member)
    }

    /// Whether it stands behind such an entry.
    #[inline]
    fn is_behind(&self, score: f64, member: &[u8]) -> bool {
        self.score > score || (self.score == score && self.member.as_ref() > member)
    }
}

#[derive(Debug)]
enum Node<M> {
    Leaf(Vec<Entry<M>>),
    Inner(Vec<Child<M>>),
}

#[derive(Debug)]
struct Child<M> {
    first: Entry<M>,
    len: usize,
    node: Node<M>,
}

impl<M: Copy + AsRef<[u8]>> Child<M> {
    fn of(node: Node<M>) -> Child<M> {
        Child { first: node.first(), len: node.len(), node }
    }
}

impl<M: Copy + AsRef<[u8]>> Node<M> {
    /// The first entry. There must be one.
    fn first(&self) -> Entry<M> {
        match self {
            Node::Leaf(entries) => entries[0],
            Node::Inner(children) => children[0].first,
        }
    }

    /// Entries below.
    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(children) => children.iter().map(|child| child.len).sum(),
        }
    }

    /// Whether it has so few entries or children that it should be joined with a neighbour.
    fn is_sparse(&self) -> bool {
        match self {
            Node::Leaf(entries) => entries.len() < LEAF_MAX / 4,
            Node::Inner(children) => children.len() < INNER_MAX / 4,
        }
    }

    /// Puts an entry in its place. Returns what has to stand right of this node if that was split.
    fn insert(&mut self, entry: Entry<M>) -> Option<Child<M>> {
        let (score, member) = (entry.score, entry.member);
        match self {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|e| e.is_before(score, member.as_ref()));
                insert_at(entries, at, entry, LEAF_MAX).map(|right| Child::of(Node::Leaf(right)))
            }
            Node::Inner(children) => {
                let behind = children.partition_point(|c| !c.first.is_behind(score, member.as_ref()));
                let at = behind.saturating_sub(1);
                let child = &mut children[at];
                let right = child.node.insert(entry);
                child.len += 1;
                child.first = child.node.first();
                let right = right?;
                child.len -= right.len;
                insert_at(children, at + 1, right, INNER_MAX).map(|right| Child::of(Node::Inner(right)))
            }
        }
    }

    /// Removes an entry, if it is there.
    fn remove(&mut self, score: f64, member: &[u8]) -> Option<M> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.partition_point(|e| e.is_before(score, member));
                let found = entries.get(at).is_some_and(|e| !e.is_behind(score, member));
                found.then(|| entries.remove(at).member)
            }
            Node::Inner(children) => {
                let at = children.partition_point(|c| !c.first.is_behind(score, member)).checked_sub(1)?;
                let child = &mut children[at];
                let removed = child.node.remove(score, member)?;
                child.len -= 1;
                if child.len == 0 {
                    children.remove(at);
                } else {
                    child.first = child.node.first();
                    if child.node.is_sparse() && children.len() > 1 {
                        join(children, at.saturating_sub(1));
                    }
                }
                Some(removed)
            }
        }
    }

    /// Takes over what stands in the node to its right, which is as deep.
    fn append(&mut self, right: Node<M>) {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) => left.extend(right),
            (Node::Inner(left), Node::Inner(right)) => left.extend(right),
            _ => unreachable!("all leaves are equally deep"),
        }
    }

    /// The right half, if it has become larger than a node may be.
    fn split_if_too_large(&mut self) -> Option<Node<M>> {
        match self {
            Node::Leaf(entries) if entries.len() > LEAF_MAX => {
                Some(Node::Leaf(cut(entries, entries.len() / 2)))
            }
            Node::Inner(children) if children.len() > INNER_MAX => {
                Some(Node::Inner(cut(children, children.len() / 2)))
            }
            _ => None,
        }
    }

    /// Frees the last leaf. Returns how many entries it had.
    fn drop_last_leaf(&mut self) -> usize {
        match self {
            Node::Leaf(entries) => mem::take(entries).len(),
            Node::Inner(children) => {
                let Some(last) = children.last_mut() else { return 0 };
                let dropped = last.node.drop_last_leaf();
                last.len -= dropped;
                if last.len == 0 {
                    children.pop();
                }
                dropped
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.capacity() * size_of::<Entry<M>>(),
            Node::Inner(children) => {
                let below: usize = children.iter().map(|child| child.node.heap_bytes()).sum();
                children.capacity() * size_of::<Child<M>>() + below
            }
        }
    }
}

/// Inserts into the array of a node that has at most `max` items. Returns the right part if it was split.
fn insert_at<T>(items: &mut Vec<T>, at: usize, item: T, max: usize) -> Option<Vec<T>> {
    let step = max / 8;
    if items.len() < max {
        if items.len() == items.capacity() {
            // Small steps: most leaves are between half full and full for a long time.
            items.reserve_exact(step);
        }
        items.insert(at, item);
        return None;
    }
    let middle = match at {
        0 => 0,
        at if at == max => max,
        _ => max / 2,
    };
    let mut right = cut(items, middle);
    if at > middle || middle == max {
        right.reserve_exact(step);
        right.insert(at - middle, item);
    } else {
        items.insert(at, item);
    }
    Some(right)
}

/// Cuts an array in two and returns the right part. Neither keeps memory that it does not need.
fn cut<T>(items: &mut Vec<T>, at: usize) -> Vec<T> {
    let right = items.split_off(at);
    items.shrink_to(at + 1);
    right
}

/// Joins the child at `left` with the one behind it, or divides evenly what is too much for one.
fn join<M: Copy + AsRef<[u8]>>(children: &mut Vec<Child<M>>, left: usize) {
    let right = children.remove(left + 1);
    let child = &mut children[left];
    child.len += right.len;
    child.node.append(right.node);
    if let Some(right) = child.node.split_if_too_large().map(Child::of) {
        child.len -= right.len;
        children.insert(left + 1, right);
    }
}

/// The ordered sequence. See the module.
#[derive(Debug)]
pub struct Ranked<M> {
    root: Node<M>,
    len: usize,
}

impl<M> Default for Ranked<M> {
    fn default() -> Ranked<M> {
        Ranked { root: Node::Leaf(Vec::new()), len: 0 }
    }
}

impl<M: Copy + AsRef<[u8]>> Ranked<M> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry that is not there.
    pub fn insert(&mut self, score: f64, member: M) {
        debug_assert!(!score.is_nan());
        self.len += 1;
        if let Some(right) = self.root.insert(Entry { score, member }) {
            let left = mem::replace(&mut self.root, Node::Inner(Vec::new()));
            self.root = Node::Inner(vec![Child::of(left), right]);
        }
    }

    /// Removes an entry and returns its handle, if it is there.
    pub fn remove(&mut self, score: f64, member: &[u8]) -> Option<M> {
        let removed = self.root.remove(score, member)?;
        self.len -= 1;
        self.lower_root();
        Some(removed)
    }

    /// Takes away levels that have become superfluous.
    fn lower_root(&mut self) {
        while let Node::Inner(children) = &mut self.root
            && children.len() < 2
        {
            self.root = children.pop().map_or(Node::Leaf(Vec::new()), |child| child.node);
        }
    }

    /// How many entries at the beginning are `before` something. The closure must be true for the entries up to some
    /// place and false for all behind it.
    pub fn count_before(&self, before: impl Fn(&Entry<M>) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => return rank + entries.partition_point(&before),
                Node::Inner(children) => {
                    let behind = children.partition_point(|child| before(&child.first));
                    let Some(at) = behind.checked_sub(1) else { return rank };
                    rank += children[..at].iter().map(|child| child.len).sum::<usize>();
                    node = &children[at].node;
                }
            }
        }
    }

    /// The rank of an entry that is there: how many stand before it.
    pub fn rank(&self, score: f64, member: &[u8]) -> usize {
        self.count_before(|entry| entry.is_before(score, member))
    }

    /// The leaf that holds the entry of a rank, which exists, and the entry's place in it.
    fn leaf(&self, mut rank: usize) -> (&[Entry<M>], usize) {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => return (entries, rank),
                Node::Inner(children) => {
                    let at = children.iter().position(|child| match rank.checked_sub(child.len) {
                        Some(rest) => {
                            rank = rest;
                            false
                        }
                        None => true,
                    });
                    node = &children[at.expect("the rank is below the number of entries")].node;
                }
            }
        }
    }

    /// The entry of a rank.
    pub fn get(&self, rank: usize) -> Option<&Entry<M>> {
        if rank >= self.len {
            return None;
        }
        let (leaf, at) = self.leaf(rank);
        Some(&leaf[at])
    }

    /// The entries of some ranks; those beyond the end are left out.
    pub fn iter(&self, ranks: Range<usize>) -> Iter<'_, M> {
        let ranks = ranks.start..ranks.end.min(self.len);
        Iter { tree: self, ranks, front: [].iter(), back: [].iter() }
    }

    /// Frees a bounded number of entries at the end and returns how many.
    pub fn drop_some(&mut self) -> usize {
        let dropped = self.root.drop_last_leaf();
        self.len -= dropped;
        self.lower_root();
        dropped
    }

    /// Bytes allocated for nodes.
    pub fn heap_bytes(&self) -> usize {
        self.root.heap_bytes()
    }
}

/// Goes along consecutive ranks from either end.
#[derive(Debug)]
pub struct Iter<'a, M> {
    tree: &'a Ranked<M>,
    ranks: Range<usize>,
    /// What is left of the leaf that was last entered from the front.
    front: slice::Iter<'a, Entry<M>>,
    /// The same from the back.
    back: slice::Iter<'a, Entry<M>>,
}

impl<'a, M: Copy + AsRef<[u8]>> Iterator for Iter<'a, M> {
    type Item = &'a Entry<M>;

    #[inline]
    fn next(&mut self) -> Option<&'a Entry<M>> {
        if self.ranks.is_empty() {
            return None;
        }
        if self.front.len() == 0 {
            let (leaf, at) = self.tree.leaf(self.ranks.start);
            self.front = leaf[at..].iter();
        }
        self.ranks.start += 1;
        self.front.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.ranks.len(), Some(self.ranks.len()))
    }
}

impl<'a, M: Copy + AsRef<[u8]>> DoubleEndedIterator for Iter<'a, M> {
    #[inline]
    fn next_back(&mut self) -> Option<&'a Entry<M>> {
        if self.ranks.is_empty() {
            return None;
        }
        self.ranks.end -= 1;
        if self.back.len() == 0 {
            let (leaf, at) = self.tree.leaf(self.ranks.end);
            self.back = leaf[..=at].iter();
        }
        self.back.next_back()
    }
}

impl<M: Copy + AsRef<[u8]>> ExactSizeIterator for Iter<'_, M> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Name([u8; 2]);

    impl AsRef<[u8]> for Name {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    type Model = Vec<(i8, Name)>;

    /// Checks the invariants below a node; returns its depth.
    fn check(node: &Node<Name>, is_root: bool) -> usize {
        match node {
            Node::Leaf(entries) => {
                assert!(entries.len() <= LEAF_MAX && (is_root || !entries.is_empty()));
                0
            }
            Node::Inner(children) => {
                assert!(children.len() <= INNER_MAX && children.len() > usize::from(is_root));
                let depths: Vec<usize> = children
                    .iter()
                    .map(|child| {
                        assert_eq!(child.len, child.node.len());
                        let first = child.node.first();
                        assert_eq!((child.first.score, child.first.member), (first.score, first.member));
                        check(&child.node, false)
                    })
                    .collect();
                assert!(depths.iter().all(|depth| *depth == depths[0]));
                depths[0] + 1
            }
        }
    }

    fn plain(entry: &Entry<Name>) -> (i8, Name) {
        (entry.score as i8, entry.member)
    }

    fn compare(tree: &Ranked<Name>, model: &Model) {
        check(&tree.root, true);
        assert_eq!(tree.len(), model.len());
        assert_eq!(tree.is_empty(), model.is_empty());
        assert!(tree.iter(0..usize::MAX).map(plain).eq(model.iter().copied()));
        assert!(tree.iter(0..model.len()).rev().map(plain).eq(model.iter().rev().copied()));
    }

    fn build(entries: &[(i8, Name)]) -> (Ranked<Name>, Model) {
        let (mut tree, mut model) = (Ranked::default(), Model::new());
        for &entry in entries {
            if let Err(at) = model.binary_search(&entry) {
                model.insert(at, entry);
                tree.insert(f64::from(entry.0), entry.1);
            }
        }
        (tree, model)
    }

    fn entry() -> impl Strategy<Value = (i8, Name)> {
        (-4i8..4, 0u8..8, any::<u8>()).prop_map(|(score, a, b)| (score, Name([a, b])))
    }

    fn entries() -> impl Strategy<Value = Model> {
        prop::collection::vec(entry(), 0..1500)
    }

    #[test]
    fn entries_that_come_in_order_fill_their_leaves() {
        for backwards in [false, true] {
            let mut tree = Ranked::default();
            let count = 64 * LEAF_MAX;
            for n in 0..count {
                let n = if backwards { count - n } else { n };
                tree.insert(n as f64, Name((n as u16).to_be_bytes()));
            }
            assert!(check(&tree.root, true) <= 3);
            let leaf_bytes = LEAF_MAX * size_of::<Entry<Name>>();
            assert!(tree.heap_bytes() < 2 * 64 * leaf_bytes, "{}", tree.heap_bytes() / leaf_bytes);
        }
    }

    proptest! {
        #[test]
        fn it_is_what_a_sorted_list_is(added in entries(), removed in entries(), keep in any::<bool>()) {
            let (mut tree, mut model) = build(&added);
            compare(&tree, &model);
            let removed = if keep { removed } else { [removed, added].concat() };
            for entry in removed {
                let found = model.binary_search(&entry).ok().map(|at| model.remove(at).1);
                prop_assert_eq!(tree.remove(f64::from(entry.0), entry.1.as_ref()), found);
            }
            compare(&tree, &model);
        }

        #[test]
        fn ranks_and_ranges_agree(entries in entries(), wanted in entry(), a in 0usize..1000, b in 0usize..1000) {
            let (tree, model) = build(&entries);
            let rank = tree.rank(f64::from(wanted.0), wanted.1.as_ref());
            prop_assert_eq!(rank, model.partition_point(|entry| *entry < wanted));
            let before = tree.count_before(|entry| entry.score <= f64::from(wanted.0));
            prop_assert_eq!(before, model.partition_point(|entry| entry.0 <= wanted.0));
            prop_assert_eq!(tree.get(a).map(plain), model.get(a).copied());
            let expected: Model = model.iter().copied().take(b).skip(a).collect();
            prop_assert!(tree.iter(a..b).map(plain).eq(expected.iter().copied()));
            prop_assert!(tree.iter(a..b).rev().map(plain).eq(expected.iter().rev().copied()));
        }

        #[test]
        fn both_ends_meet(entries in entries(), turns in prop::collection::vec(any::<bool>(), 1600)) {
            let (tree, model) = build(&entries);
            let (mut iter, mut expected) = (tree.iter(0..model.len()).map(plain), model.iter().copied());
            for front in turns {
                let (got, wanted) =
                    if front { (iter.next(), expected.next()) } else { (iter.next_back(), expected.next_back()) };
                prop_assert_eq!(got, wanted);
            }
        }

        #[test]
        fn it_is_freed_leaf_by_leaf(entries in entries()) {
            let (mut tree, mut model) = build(&entries);
            while !tree.is_empty() {
                let dropped = tree.drop_some();
                prop_assert!((1..=LEAF_MAX).contains(&dropped));
                model.truncate(model.len() - dropped);
                compare(&tree, &model);
            }
            prop_assert!(model.is_empty());
        }
    }
}
