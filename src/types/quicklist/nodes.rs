//! The long form of a list: a deque of nodes, each a run of elements or one large element by itself.
//!
//! Where a node ends, and when two become one, follows Redis's rules to the byte, because they decide when a list gets
//! its short form back. Invariants: no node is empty; `len` is the number of elements of all nodes.

use std::collections::VecDeque;
use std::collections::vec_deque;
use std::ops::Range;

use super::Limits;
use super::run::{End, Run};
use super::walk::{Place, Walk};
use crate::types::Str;
use crate::types::listpack::{At, Listpack};

/// What Redis reckons with for the encoding of an element that is not there yet.
const ENCODING_ESTIMATE: usize = 8;

/// A node.
#[derive(Clone)]
pub(super) enum Node {
    /// Elements.
    Run(Run),
    /// One element that is too large for a listpack.
    Plain(Box<[u8]>),
}

impl Node {
    #[inline]
    fn count(&self) -> usize {
        match self {
            Node::Run(run) => run.count(),
            Node::Plain(_) => 1,
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Node::Run(run) => run.heap_bytes(),
            Node::Plain(bytes) => bytes.len(),
        }
    }

    /// Where a walk over it begins.
    #[inline]
    pub(super) fn place(&self, begin: End) -> Place<'_> {
        match self {
            Node::Run(run) => Place::in_view(run.view(), begin),
            Node::Plain(bytes) => Place::Plain(bytes),
        }
    }

    fn fit(&mut self) {
        if let Node::Run(run) = self {
            run.fit();
        }
    }
}

/// A place in a node, found by index or by value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// The node's index.
    node: usize,
    /// The element within a run; unused for a plain node.
    at: At,
}

/// See the module.
#[derive(Clone)]
pub(super) struct Nodes {
    nodes: VecDeque<Node>,
    len: usize,
    /// The size of nodes, which stays as it was when the list became long.
    fill: i16,
}

impl Nodes {
    /// Without nodes.
    pub(super) fn new(limits: Limits) -> Nodes {
        let fill = limits.fill.clamp(-5, i32::from(i16::MAX)) as i16;
        Nodes { nodes: VecDeque::new(), len: 0, fill }
    }

    /// Adds a whole node at the tail. It has elements.
    pub(super) fn append(&mut self, node: Node) {
        self.len += node.count();
        self.nodes.push_back(node);
    }

    /// Number of elements.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        let nodes: usize = self.nodes.iter().map(Node::heap_bytes).sum();
        nodes + self.nodes.capacity() * size_of::<Node>()
    }

    /// All nodes.
    pub(super) fn iter(&self) -> vec_deque::Iter<'_, Node> {
        self.nodes.iter()
    }

    /// The run that holds all elements, if one does.
    #[inline]
    pub(super) fn only_run(&mut self) -> Option<&mut Run> {
        match self.nodes.front_mut() {
            Some(Node::Run(run)) if run.count() == self.len => Some(run),
            _ => None,
        }
    }

    /// Takes the last node away, with whatever it holds.
    pub(super) fn drop_node(&mut self) -> Option<usize> {
        let node = self.nodes.pop_back()?;
        self.len -= node.count();
        Some(node.heap_bytes())
    }

    #[inline]
    fn rules(&self, limits: Limits) -> Limits {
        Limits { fill: i32::from(self.fill), ..limits }
    }

    /// Whether a node may take another element of so many bytes.
    #[inline]
    fn accepts(&self, node: Option<&Node>, len: usize, limits: Limits) -> bool {
        let rules = self.rules(limits);
        match node {
            Some(Node::Run(run)) if !rules.is_large(len) => {
                !rules.exceeded(run.byte_len() + len + ENCODING_ESTIMATE, run.count() + 1)
            }
            _ => false,
        }
    }

    /// A node of one element.
    fn node_of(&self, element: &[u8], limits: Limits) -> Node {
        if self.rules(limits).is_large(element.len()) {
            Node::Plain(element.into())
        } else {
            Node::Run(Run::new(Str::Bytes(element)))
        }
    }

    /// Adds an element at an end.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: &[u8], limits: Limits) {
        let last = match end {
            End::Front => self.nodes.front(),
            End::Back => self.nodes.back(),
        };
        if !self.accepts(last, element.len(), limits) {
            return self.push_node(end, element, limits);
        }
        let last = match end {
            End::Front => self.nodes.front_mut(),
            End::Back => self.nodes.back_mut(),
        };
        if let Some(Node::Run(run)) = last {
            run.push(end, Str::Bytes(element));
            self.len += 1;
        }
    }

    #[cold]
    fn push_node(&mut self, end: End, element: &[u8], limits: Limits) {
        let node = self.node_of(element, limits);
        self.len += 1;
        let inner = match end {
            End::Front => {
                self.nodes.push_front(node);
                1
            }
            End::Back => {
                self.nodes.push_back(node);
                self.nodes.len().wrapping_sub(2)
            }
        };
        // The node that was the last so far is now between others, unless it is the last at the other end.
        if (1..self.nodes.len().saturating_sub(1)).contains(&inner) {
            self.nodes[inner].fit();
        }
    }

    /// Takes the element at an end away, after it has been read.
    #[inline]
    pub(super) fn pop<R>(&mut self, end: End, read: impl FnOnce(Str<'_>) -> R) -> Option<R> {
        let node = match end {
            End::Front => self.nodes.front_mut(),
            End::Back => self.nodes.back_mut(),
        };
        let (result, over) = match node? {
            Node::Run(run) => (run.pop(end, read), run.count() == 0),
            Node::Plain(bytes) => (read(Str::Bytes(bytes)), true),
        };
        if over {
            match end {
                End::Front => self.nodes.pop_front(),
                End::Back => self.nodes.pop_back(),
            };
        }
        self.len -= 1;
        Some(result)
    }

    /// The node that holds the element with an index below `len`, and how many elements stand before it in there.
    fn locate(&self, index: usize) -> (usize, usize) {
        if index < self.len / 2 {
            let mut before = index;
            for (at, node) in self.nodes.iter().enumerate() {
                match before.checked_sub(node.count()) {
                    None => return (at, before),
                    Some(rest) => before = rest,
                }
            }
        } else {
            // Elements from this one to the tail, itself included.
            let mut behind = self.len - index;
            for (at, node) in self.nodes.iter().enumerate().rev() {
                match node.count().checked_sub(behind) {
                    Some(before) => return (at, before),
                    None => behind -= node.count(),
                }
            }
        }
        unreachable!("the index is below the number of elements")
    }

    /// The element with an index below `len`.
    pub(super) fn spot(&self, index: usize) -> Spot {
        let (node, before) = self.locate(index);
        let at = match &self.nodes[node] {
            Node::Run(run) => run.view().seek(before as isize).expect("the node has so many elements"),
            Node::Plain(_) => 0,
        };
        Spot { node, at }
    }

    /// The first element that equals `wanted`.
    pub(super) fn find(&self, wanted: &[u8]) -> Option<Spot> {
        self.nodes.iter().enumerate().find_map(|(node, content)| match content {
            Node::Run(run) => {
                let view = run.view();
                Some(Spot { node, at: view.find(wanted, view.first()?, 0)? })
            }
            Node::Plain(bytes) => (**bytes == *wanted).then_some(Spot { node, at: 0 }),
        })
    }

    /// A walk that begins at an element and goes towards the tail, or with `BACK` towards the head.
    pub(super) fn walk<const BACK: bool>(&self, Spot { node, at }: Spot) -> Walk<'_, BACK> {
        let rest = if BACK { self.nodes.range(..node) } else { self.nodes.range(node + 1..) };
        let place = match &self.nodes[node] {
            Node::Run(run) => {
                let view = run.view();
                let behind = if BACK { view.next(at).unwrap_or(view.end()) } else { at };
                Place::Run(view, behind)
            }
            Node::Plain(bytes) => Place::Plain(bytes),
        };
        Walk::new(place, rest)
    }

    /// Inserts an element before or behind another.
    pub(super) fn insert(&mut self, Spot { node, at }: Spot, behind: bool, element: &[u8], limits: Limits) {
        let len = element.len();
        let beside = if behind { node + 1 } else { node };
        let at_edge = match &self.nodes[node] {
            Node::Run(run) if behind => run.view().next(at).is_none(),
            Node::Run(run) => run.view().first() == Some(at),
            Node::Plain(_) => true,
        };
        let neighbour = if behind { Some(node + 1) } else { node.checked_sub(1) };
        let neighbour =
            neighbour.filter(|&other| at_edge && self.accepts(self.nodes.get(other), len, limits));
        self.len += 1;
        if self.accepts(self.nodes.get(node), len, limits) {
            self.edit(node, |pack| {
                let place = if behind { pack.next(at).unwrap_or(pack.end()) } else { at };
                pack.insert(place, &[Str::Bytes(element)]);
            });
        } else if let Some(neighbour) = neighbour {
            self.edit(neighbour, |pack| {
                if behind {
                    pack.push_front(Str::Bytes(element));
                } else {
                    pack.push_back(Str::Bytes(element));
                }
            });
        } else if at_edge {
            self.nodes.insert(beside, self.node_of(element, limits));
        } else {
            self.insert_by_splitting(Spot { node, at }, behind, element, limits);
        }
    }

    /// Likewise, in the midst of a run that is full, or whatever it is if the element is large.
    fn insert_by_splitting(&mut self, spot: Spot, behind: bool, element: &[u8], limits: Limits) {
        let Spot { node, at } = spot;
        let Node::Run(run) = &mut self.nodes[node] else { unreachable!("a plain node has no midst") };
        let cut = if behind { run.view().next(at).expect("it is not at the edge") } else { at };
        let rest = run.split_off(cut);
        self.nodes.insert(node + 1, Node::Run(rest));
        if self.rules(limits).is_large(element.len()) {
            self.nodes.insert(node + 1, Node::Plain(element.into()));
        } else if behind {
            self.edit(node + 1, |pack| pack.push_front(Str::Bytes(element)));
            self.merge_around(node, limits);
        } else {
            self.edit(node, |pack| pack.push_back(Str::Bytes(element)));
            self.merge_around(node + 1, limits);
        }
    }

    /// Puts another element in the place of one.
    pub(super) fn replace(&mut self, Spot { node, at }: Spot, element: &[u8], limits: Limits) {
        let large = self.rules(limits).is_large(element.len());
        match &mut self.nodes[node] {
            Node::Run(run) if !large => run.edit(|pack| pack.replace(at, Str::Bytes(element))),
            Node::Run(run) => {
                let rest = run.view().next(at).map(|next| run.split_off(next));
                run.edit(|pack| pack.remove(at, 1));
                let emptied = run.count() == 0;
                let plain = Node::Plain(element.into());
                self.nodes.insert(node + 1, plain);
                if let Some(rest) = rest {
                    self.nodes.insert(node + 2, Node::Run(rest));
                }
                if emptied {
                    self.nodes.remove(node);
                } else {
                    self.merge_around(node + 1, limits);
                }
            }
            Node::Plain(bytes) if large => *bytes = element.into(),
            Node::Plain(_) => {
                self.insert(Spot { node, at }, true, element, limits);
                self.nodes.remove(node);
                self.len -= 1;
            }
        }
    }

    /// Changes the elements of a run.
    fn edit(&mut self, node: usize, change: impl FnOnce(&mut Listpack)) {
        let Node::Run(run) = &mut self.nodes[node] else { unreachable!("only runs take elements") };
        run.edit(change);
    }

    /// Joins nodes around one where the rules allow it: the two before it, the two behind it, then it and its
    /// neighbours.
    fn merge_around(&mut self, center: usize, limits: Limits) {
        let mut center = center;
        if center >= 2 && self.merge(center - 2, limits) {
            center -= 1;
        }
        self.merge(center + 1, limits);
        if center >= 1 && self.merge(center - 1, limits) {
            center -= 1;
        }
        self.merge(center, limits);
    }

    /// Joins a node and the next, if the rules allow it.
    fn merge(&mut self, first: usize, limits: Limits) -> bool {
        let rules = self.rules(limits);
        let allowed = match (self.nodes.get(first), self.nodes.get(first + 1)) {
            (Some(Node::Run(a)), Some(Node::Run(b))) => {
                let bytes = a.byte_len() + b.byte_len() - Listpack::EMPTY_LEN;
                !rules.exceeded(bytes, a.count() + b.count())
            }
            _ => false,
        };
        if allowed
            && let Some(Node::Run(second)) = self.nodes.remove(first + 1)
            && let Node::Run(run) = &mut self.nodes[first]
        {
            run.append(&second);
        }
        allowed
    }

    /// Removes elements, and returns the nodes of which nothing is left, for whoever frees them.
    pub(super) fn remove_range(&mut self, range: Range<usize>) -> VecDeque<Node> {
        if range.is_empty() {
            return VecDeque::new();
        }
        let (mut node, before) = self.locate(range.start);
        let mut left = range.len();
        self.len -= left;
        if before > 0 {
            let removed = left.min(self.nodes[node].count() - before);
            self.remove_within(node, before, removed);
            left -= removed;
            node += 1;
        }
        let first = node;
        while let Some(count) = self.nodes.get(node).map(Node::count)
            && count <= left
        {
            left -= count;
            node += 1;
        }
        let removed = self.nodes.drain(first..node).collect();
        if left > 0 {
            self.remove_within(first, 0, left);
        }
        removed
    }

    /// Removes some of the elements of a run.
    fn remove_within(&mut self, node: usize, before: usize, count: usize) {
        if count == 0 {
            return;
        }
        self.edit(node, |pack| {
            let at = pack.seek(before as isize).expect("the node has more elements");
            pack.remove(at, count);
        });
    }

    /// Removes elements that equal `wanted`: at most `most`, the nearest to `from` first. Returns how many.
    pub(super) fn remove_equal(&mut self, wanted: &[u8], from: End, most: usize) -> usize {
        let element = Str::classify(wanted);
        let mut removed = 0;
        let mut visit = |node: &mut Node| {
            if removed == most {
                return;
            }
            match node {
                Node::Run(run) => removed += run.remove_equal(element, from, most - removed),
                Node::Plain(bytes) if **bytes == *wanted => {
                    removed += 1;
                    // A node without elements, until the emptied ones are taken out below.
                    *node = Node::Run(Run::from(Listpack::new()));
                }
                Node::Plain(_) => {}
            }
        };
        match from {
            End::Front => self.nodes.iter_mut().for_each(&mut visit),
            End::Back => self.nodes.iter_mut().rev().for_each(&mut visit),
        }
        if removed > 0 {
            self.nodes.retain(|node| node.count() > 0);
            self.len -= removed;
        }
        removed
    }

    /// A list of these nodes alone.
    pub(super) fn with_nodes(&self, nodes: VecDeque<Node>) -> Nodes {
        Nodes { len: nodes.iter().map(Node::count).sum(), nodes, fill: self.fill }
    }
}
