//! The list: elements in a row, with cheap work at both ends.
//!
//! A short list is one listpack (`listpack`); a long one is a deque of nodes (`quicklist`), most of them listpacks, too.
//! It becomes long when an addition would exceed [`Limits`], and short again when a removal leaves one node that is
//! within half of them. Redis's server reports these forms, so the rules are Redis's to the byte. What differs is
//! inside: nodes stand in an array in place of a chain, which makes finding an index a matter of scanning counts that
//! stand side by side, and the nodes at the ends have room, so that nothing is moved for a push or a pop.

mod nodes;
mod run;
mod walk;

use std::collections::vec_deque;
use std::ops::Range;

use smallvec::SmallVec;

use self::nodes::{Node, Nodes};
pub use self::run::End;
use self::run::Run;
use self::walk::Place;
pub use self::walk::Walk;
use crate::types::{Listpack, Str};

/// How large a listpack of a list may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `list-max-listpack-size`: so many elements, or, from -1 to -5, so many bytes: 4096, twice that, and so on.
    pub fill: i32,
    /// Bytes from which on an element of a long list has a node by itself; 0 lets that follow from `fill`. It is for tests
    /// (`DEBUG QUICKLIST-PACKED-THRESHOLD`).
    pub plain_from: usize,
}

impl Limits {
    /// Bytes of a listpack whose elements are counted.
    const BYTES_IF_COUNTED: usize = 8192;

    /// Most bytes and most elements.
    #[inline]
    fn bounds(self) -> (usize, usize) {
        match usize::try_from(self.fill) {
            Ok(count) => (usize::MAX, count.max(1)),
            Err(_) => (4096 << (-1 - self.fill).min(4), usize::MAX),
        }
    }

    /// Whether a listpack of so many bytes and elements is too large.
    #[inline]
    fn exceeded(self, bytes: usize, count: usize) -> bool {
        let (most_bytes, most) = self.bounds();
        bytes > most_bytes.min(if self.fill >= 0 { Limits::BYTES_IF_COUNTED } else { usize::MAX })
            || count > most
    }

    /// Whether an element of so many bytes has a node by itself.
    #[inline]
    fn is_large(self, bytes: usize) -> bool {
        match self.plain_from {
            0 if self.fill >= 0 => bytes > Limits::BYTES_IF_COUNTED,
            0 => bytes > self.bounds().0,
            from => bytes >= from,
        }
    }
}

/// A list. See the module.
#[derive(Clone)]
pub struct List(Form);

#[derive(Clone)]
enum Form {
    Short(Listpack),
    Long(Box<Nodes>),
}

/// A part of a list as it stands in a dump or an RDB file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The bytes of a listpack.
    Packed(&'a [u8]),
    /// One element.
    Plain(&'a [u8]),
}

impl<'a> Part<'a> {
    /// The bytes of either.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Part::Packed(bytes) | Part::Plain(bytes) => bytes,
        }
    }
}

/// A part that a list is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedPart {
    /// Elements.
    Packed(Listpack),
    /// One element.
    Plain(Vec<u8>),
}

impl Default for List {
    fn default() -> List {
        List(Form::Short(Listpack::new()))
    }
}

impl List {
    /// Of parts in their order, of which empty ones are left out. It takes the form that suits its size.
    pub fn from_parts(parts: impl IntoIterator<Item = OwnedPart>, limits: Limits) -> List {
        let mut nodes = Nodes::new(limits);
        for part in parts {
            match part {
                OwnedPart::Packed(pack) if pack.is_empty() => {}
                OwnedPart::Packed(pack) => nodes.append(Node::Run(Run::from(pack))),
                OwnedPart::Plain(bytes) => nodes.append(Node::Plain(bytes.into_boxed_slice())),
            }
        }
        let mut list = List(Form::Long(Box::new(nodes)));
        list.shorten(limits.bounds());
        list
    }

    /// Of elements in their order. It takes the form that suits its size.
    pub fn from_elements<'a>(elements: impl Iterator<Item = &'a [u8]>, limits: Limits) -> List {
        let mut nodes = Nodes::new(limits);
        elements.for_each(|element| nodes.push(End::Back, element, limits));
        let mut list = List(Form::Long(Box::new(nodes)));
        list.shorten(limits.bounds());
        list
    }

    /// Its parts; a list without elements may have an empty one.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let (short, long) = match &self.0 {
            Form::Short(pack) => (Some(Part::Packed(pack.as_bytes())), vec_deque::Iter::default()),
            Form::Long(nodes) => (None, nodes.iter()),
        };
        short.into_iter().chain(long.map(|node| match node {
            Node::Run(run) => Part::Packed(run.view().as_bytes()),
            Node::Plain(bytes) => Part::Plain(bytes),
        }))
    }

    /// Whether it is one listpack, rather than a quicklist.
    pub fn is_listpack(&self) -> bool {
        matches!(self.0, Form::Short(_))
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Short(pack) => pack.len(),
            Form::Long(nodes) => nodes.len(),
        }
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Short(pack) => pack.byte_len(),
            Form::Long(nodes) => size_of::<Nodes>() + nodes.heap_bytes(),
        }
    }

    /// Makes the list long if it would be too large for a listpack with `added` more elements of `bytes` together.
    #[inline]
    fn lengthen_for(&mut self, bytes: usize, added: usize, limits: Limits) {
        if let Form::Short(pack) = &mut self.0
            && limits.exceeded(pack.byte_len() + bytes, pack.len() + added)
        {
            let pack = std::mem::take(pack);
            *self = List(Form::Long(Box::new(Nodes::new(limits))));
            if let Form::Long(nodes) = &mut self.0
                && !pack.is_empty()
            {
                nodes.append(Node::Run(Run::from(pack)));
            }
        }
    }

    /// Makes the list short if one listpack holds it and has at most so many bytes and elements.
    #[inline]
    fn shorten(&mut self, (bytes, count): (usize, usize)) {
        if let Form::Long(nodes) = &mut self.0
            && let Some(run) = nodes.only_run()
            && run.byte_len() <= bytes
            && run.count() <= count
        {
            *self = List(Form::Short(run.edit(std::mem::take)));
        }
    }

    /// What follows a removal: half of the limits, lest the form changes to and fro.
    #[inline]
    fn shrink(&mut self, limits: Limits) {
        let (bytes, count) = limits.bounds();
        self.shorten((bytes / 2, count / 2));
    }

    /// Adds elements at an end, one behind the other.
    #[inline]
    pub fn push(&mut self, end: End, elements: &[&[u8]], limits: Limits) {
        let bytes = elements.iter().map(|element| element.len()).sum();
        self.lengthen_for(bytes, elements.len(), limits);
        match (&mut self.0, elements) {
            (Form::Short(pack), &[element]) => match end {
                End::Front => pack.push_front(Str::Bytes(element)),
                End::Back => pack.push_back(Str::Bytes(element)),
            },
            (Form::Short(pack), _) => {
                let elements = elements.iter().map(|element| Str::Bytes(element));
                match end {
                    End::Front => {
                        let first = pack.first().unwrap_or(pack.end());
                        pack.insert(first, &elements.rev().collect::<Vec<_>>());
                    }
                    End::Back => pack.extend(&elements.collect::<Vec<_>>()),
                }
            }
            (Form::Long(nodes), _) => {
                for element in elements {
                    nodes.push(end, element, limits);
                }
            }
        }
    }

    /// Takes the element at an end away, after it has been read.
    #[inline]
    pub fn pop<R>(&mut self, end: End, limits: Limits, read: impl FnOnce(Str<'_>) -> R) -> Option<R> {
        let result = self.take(end, read);
        self.shrink(limits);
        result
    }

    /// Moves the element at one end to an end, after it has been read.
    pub fn rotate<R>(
        &mut self,
        from: End,
        to: End,
        limits: Limits,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let element = self.take(from, |element| element.with_bytes(SmallVec::<[u8; 128]>::from_slice))?;
        self.push(to, &[&element], limits);
        self.shrink(limits);
        Some(read(&element))
    }

    #[inline]
    fn take<R>(&mut self, end: End, read: impl FnOnce(Str<'_>) -> R) -> Option<R> {
        match &mut self.0 {
            Form::Short(pack) => {
                let at = match end {
                    End::Front => pack.first(),
                    End::Back => pack.last(),
                }?;
                let result = read(pack.get(at));
                pack.remove(at, 1);
                Some(result)
            }
            Form::Long(nodes) => nodes.pop(end, read),
        }
    }

    /// The element with an index.
    pub fn get(&self, index: usize) -> Option<Str<'_>> {
        self.range(index..self.len()).next()
    }

    /// All elements.
    pub fn iter(&self) -> Walk<'_, false> {
        self.walk(0)
    }

    /// All elements, from the tail to the head.
    pub fn iter_back(&self) -> Walk<'_, true> {
        self.walk(self.len().saturating_sub(1))
    }

    /// The elements with these indexes, which may exceed the list.
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = Str<'_>> {
        self.walk::<false>(range.start).take(range.len())
    }

    /// Likewise, the last first. All of the indexes are in the list.
    pub fn range_back(&self, range: Range<usize>) -> impl Iterator<Item = Str<'_>> {
        self.walk::<true>(range.end.saturating_sub(1)).take(range.len())
    }

    /// A walk from an element on, or over nothing if there is no such element.
    fn walk<const BACK: bool>(&self, first: usize) -> Walk<'_, BACK> {
        let nothing = || Walk::new(Place::Over, vec_deque::Iter::default());
        match &self.0 {
            _ if first >= self.len() => nothing(),
            Form::Short(pack) => {
                let view = pack.view();
                let at = view.seek(first as isize).expect("the index is in the list");
                let at = if BACK { view.next(at).unwrap_or(view.end()) } else { at };
                Walk::new(Place::Run(view, at), vec_deque::Iter::default())
            }
            Form::Long(nodes) => nodes.walk(nodes.spot(first)),
        }
    }

    /// Inserts an element before or `behind` the first that equals `pivot`. Returns whether there is one.
    pub fn insert(&mut self, pivot: &[u8], behind: bool, element: &[u8], limits: Limits) -> bool {
        self.lengthen_for(element.len(), 1, limits);
        match &mut self.0 {
            Form::Short(pack) => {
                let found = pack.first().and_then(|first| pack.find(pivot, first, 0));
                if let Some(at) = found {
                    let place = if behind { pack.next(at).unwrap_or(pack.end()) } else { at };
                    pack.insert(place, &[Str::Bytes(element)]);
                }
                found.is_some()
            }
            Form::Long(nodes) => {
                let found = nodes.find(pivot);
                if let Some(spot) = found {
                    nodes.insert(spot, behind, element, limits);
                }
                found.is_some()
            }
        }
    }

    /// Puts another element in the place of the one with an index. Returns whether there is one.
    pub fn set(&mut self, index: usize, element: &[u8], limits: Limits) -> bool {
        self.lengthen_for(element.len(), 1, limits);
        if index >= self.len() {
            return false;
        }
        match &mut self.0 {
            Form::Short(pack) => {
                let at = pack.seek(index as isize).expect("the index is in the list");
                pack.replace(at, Str::Bytes(element));
            }
            Form::Long(nodes) => nodes.replace(nodes.spot(index), element, limits),
        }
        self.shrink(limits);
        true
    }

    /// Removes the elements with these indexes, all of which are in the list. Returns a list of what takes long to free.
    pub fn remove_range(&mut self, range: Range<usize>, limits: Limits) -> Option<List> {
        let removed = match &mut self.0 {
            Form::Short(pack) => {
                if !range.is_empty() {
                    let at = pack.seek(range.start as isize).expect("the index is in the list");
                    pack.remove(at, range.len());
                }
                None
            }
            Form::Long(nodes) => {
                let removed = nodes.remove_range(range);
                (!removed.is_empty()).then(|| List(Form::Long(Box::new(nodes.with_nodes(removed)))))
            }
        };
        self.shrink(limits);
        removed
    }

    /// Removes elements that equal `wanted`: at most `most`, the nearest to `from` first. Returns how many.
    pub fn remove_equal(&mut self, wanted: &[u8], from: End, most: usize, limits: Limits) -> usize {
        let removed = match &mut self.0 {
            Form::Short(pack) => {
                let mut run = Run::from(std::mem::take(pack));
                let removed = run.remove_equal(Str::classify(wanted), from, most);
                *pack = Listpack::from(run);
                removed
            }
            Form::Long(nodes) => nodes.remove_equal(wanted, from, most),
        };
        if removed > 0 {
            self.shrink(limits);
        }
        removed
    }

    /// Frees the elements of the last node. Returns how many bytes it took, `None` if the rest can be freed at once.
    pub fn drop_node(&mut self) -> Option<usize> {
        match &mut self.0 {
            Form::Short(_) => None,
            Form::Long(nodes) => nodes.drop_node(),
        }
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
