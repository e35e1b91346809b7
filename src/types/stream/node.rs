//! A node of a stream: a few entries in one block.
//!
//! In its files and memory Redis keeps a node as a listpack (`t_stream.c`), from which every entry can be walked in both
//! directions:
//!
//! ```text
//! live, deleted, number of fields, fields..., 0         the master entry
//! flags, ms, seq, [number of fields,] values..., count  an entry; the IDs are relative to the node's, and an entry
//!                                                       that has the master's fields lists its values only
//! ```
//!
//! More than a third of it is for walking backwards: the back length of every element, and the count of elements at the
//! end of every entry. Both follow from the rest, so they are left out here, and the two counters are kept beside the
//! bytes. What remains is walked forwards only; whoever wants the last entries first has to pass over the others, of
//! which there are few. [`Node::to_listpack`] restores the listpack byte for byte. As Redis decides by the listpack's size when
//! a node is full, that size is kept, too.
//!
//! Invariants: the bytes are well-formed; they hold `live + deleted` entries, `live` of them without [`DELETED`];
//! `packed_len` is the length of the listpack.

use super::Id;
use crate::types::Str;
use crate::types::listpack::{Encoded, Listpack, decode};

/// Flag of an entry that has been removed.
const DELETED: u8 = 1;
/// Flag of an entry that has the fields of the master entry.
const SAME_FIELDS: u8 = 2;
/// Bytes that a listpack's element with a flag or the master entry's final 0 takes.
const SMALL_NUMBER_LEN: u32 = 2;

/// How large nodes get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Bytes of a listpack (`stream-node-max-bytes`), 0 for as many as possible.
    pub max_bytes: usize,
    /// Entries (`stream-node-max-entries`), 0 for any number.
    pub max_entries: usize,
}

/// Most bytes that a listpack may have, whatever the settings.
pub(super) const MAX_BYTES: usize = 1 << 30;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Node {
    bytes: Vec<u8>,
    live: u32,
    deleted: u32,
    packed_len: u32,
}

impl Node {
    /// A node without entries whose master entry has the fields of `pairs` (field, value and so on).
    pub(super) fn new(pairs: &[&[u8]]) -> Node {
        let mut node = Node { bytes: Vec::new(), live: 0, deleted: 0, packed_len: 0 };
        node.packed_len = Listpack::EMPTY_LEN as u32 + node.counters_len() + SMALL_NUMBER_LEN;
        node.put(Str::Int(pairs.len() as i64 / 2));
        pairs.iter().step_by(2).for_each(|field| node.put(Str::Bytes(field)));
        node
    }

    /// Entries that are not deleted.
    pub(super) fn live(&self) -> usize {
        self.live as usize
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether an entry with so many bytes in its fields and values may be added.
    #[inline]
    pub(super) fn has_room(&self, payload: usize, limits: NodeLimits) -> bool {
        let max_bytes = match limits.max_bytes {
            0 => MAX_BYTES,
            bytes => bytes.min(MAX_BYTES),
        };
        let entries = (self.live + self.deleted) as usize;
        self.packed_len as usize + payload < max_bytes
            && (limits.max_entries == 0 || entries < limits.max_entries)
    }

    /// Adds an entry behind the last.
    pub(super) fn push(&mut self, base: Id, id: Id, pairs: &[&[u8]]) {
        let same = self.has_fields(pairs);
        self.put(Str::Int(i64::from(if same { SAME_FIELDS } else { 0 })));
        self.put(Str::Int(id.ms.wrapping_sub(base.ms) as i64));
        self.put(Str::Int(id.seq.wrapping_sub(base.seq) as i64));
        if same {
            pairs.iter().skip(1).step_by(2).for_each(|value| self.put(Str::Bytes(value)));
        } else {
            self.put(Str::Int(pairs.len() as i64 / 2));
            pairs.iter().for_each(|part| self.put(Str::Bytes(part)));
        }
        self.packed_len += count_len(element_count(pairs.len() / 2, same));
        self.set_counters(self.live + 1, self.deleted);
    }

    /// Gives back memory that was reserved for further entries.
    pub(super) fn seal(&mut self) {
        // The allocator leaves a block as it is when it is told to shrink it by less than half.
        self.bytes = self.bytes.as_slice().to_vec();
    }

    /// Marks an entry of this node, which is not deleted yet.
    pub(super) fn mark_deleted(&mut self, at: EntryAt) {
        // Flags take one byte, which is their number.
        self.bytes[at.0] |= DELETED;
        self.set_counters(self.live - 1, self.deleted + 1);
    }

    /// Marks the entries from the first on as long as `more` says so. Returns how many were marked.
    pub(super) fn mark_first(&mut self, base: Id, mut more: impl FnMut(Id, usize) -> bool) -> usize {
        let mut marked = Vec::new();
        for entry in self.entries(base) {
            if !more(entry.id, marked.len()) {
                break;
            }
            if !entry.deleted {
                marked.push(entry.at);
            }
        }
        marked.iter().for_each(|&at| self.mark_deleted(at));
        marked.len()
    }

    /// All entries, also those that are deleted.
    #[inline]
    pub(super) fn entries(&self, base: Id) -> Entries<'_> {
        let mut at = Cursor { bytes: &self.bytes, at: 0 };
        let master_fields = at.number() as usize;
        let names = at;
        at.skip(master_fields);
        Entries { base, at, names, master_fields }
    }

    /// The ID of the last entry, deleted or not.
    pub(super) fn last_id(&self, base: Id) -> Option<Id> {
        self.entries(base).last().map(|entry| entry.id)
    }

    /// The node as Redis keeps it.
    pub(super) fn to_listpack(&self) -> Listpack {
        let mut all = Vec::new();
        all.extend([i64::from(self.live), i64::from(self.deleted)].map(Str::Int));
        let mut cursor = Cursor { bytes: &self.bytes, at: 0 };
        let master_fields = cursor.number() as usize;
        all.push(Str::Int(master_fields as i64));
        cursor.copy(master_fields, &mut all);
        all.push(Str::Int(0));
        for _ in 0..self.live + self.deleted {
            let flags = cursor.number();
            all.push(Str::Int(flags));
            cursor.copy(2, &mut all);
            let same = flags as u8 & SAME_FIELDS != 0;
            let fields = if same { master_fields } else { cursor.number() as usize };
            if !same {
                all.push(Str::Int(fields as i64));
            }
            cursor.copy(if same { fields } else { 2 * fields }, &mut all);
            all.push(Str::Int(element_count(fields, same)));
        }
        let mut pack = Listpack::new();
        pack.extend(&all);
        pack
    }

    /// A node from its listpack; `None` if that is none.
    pub(super) fn from_listpack(pack: &Listpack) -> Option<Node> {
        let mut elements = pack.iter();
        let live = u32::try_from(number(elements.next()?)?).ok()?;
        let deleted = u32::try_from(number(elements.next()?)?).ok()?;
        let mut node = Node { bytes: Vec::new(), live, deleted, packed_len: pack.byte_len() as u32 };
        let master_fields = node.take_count(&mut elements)?;
        node.take(&mut elements, master_fields)?;
        let mut marked = 0;
        (number(elements.next()?)? == 0).then_some(())?;
        for _ in 0..live.checked_add(deleted)? {
            let flags = u8::try_from(number(elements.next()?)?).ok()?;
            (flags & !(DELETED | SAME_FIELDS) == 0).then_some(())?;
            marked += u32::from(flags & DELETED);
            node.put_head(Str::Int(i64::from(flags)));
            node.put_head(Str::Int(number(elements.next()?)?));
            node.put_head(Str::Int(number(elements.next()?)?));
            let same = flags & SAME_FIELDS != 0;
            let fields = if same { master_fields } else { node.take_count(&mut elements)? };
            node.take(&mut elements, if same { fields } else { fields.checked_mul(2)? })?;
            (number(elements.next()?)? == element_count(fields, same)).then_some(())?;
        }
        node.seal();
        (elements.next().is_none() && marked == deleted).then_some(node)
    }

    fn take_count<'a>(&mut self, elements: &mut impl Iterator<Item = Str<'a>>) -> Option<usize> {
        let count = number(elements.next()?)?;
        self.put_head(Str::Int(count));
        usize::try_from(count).ok()
    }

    fn take<'a>(&mut self, elements: &mut impl Iterator<Item = Str<'a>>, count: usize) -> Option<()> {
        for _ in 0..count {
            self.put_head(elements.next()?);
        }
        Some(())
    }

    /// Whether the fields of `pairs` are the master entry's.
    #[inline]
    fn has_fields(&self, pairs: &[&[u8]]) -> bool {
        let mut master = Cursor { bytes: &self.bytes, at: 0 };
        master.number() as usize == pairs.len() / 2
            && pairs.iter().step_by(2).all(|field| master.element() == Str::classify(field))
    }

    /// Appends an element, of which the listpack grows.
    #[inline]
    fn put(&mut self, element: Str<'_>) {
        self.packed_len += self.put_head(element) as u32;
    }

    /// Appends an element without its back length. Returns its length in a listpack.
    #[inline]
    fn put_head(&mut self, element: Str<'_>) -> usize {
        let encoded = Encoded::new(element);
        self.bytes.extend_from_slice(encoded.head());
        self.bytes.extend_from_slice(encoded.tail());
        encoded.len()
    }

    #[inline]
    fn set_counters(&mut self, live: u32, deleted: u32) {
        self.packed_len -= self.counters_len();
        (self.live, self.deleted) = (live, deleted);
        self.packed_len += self.counters_len();
    }

    #[inline]
    fn counters_len(&self) -> u32 {
        count_len(i64::from(self.live)) + count_len(i64::from(self.deleted))
    }
}

/// Bytes that a counter takes in a listpack.
#[inline]
fn count_len(count: i64) -> u32 {
    Encoded::new(Str::Int(count)).len() as u32
}

/// The count at the end of an entry: the elements in front of it.
#[inline]
fn element_count(fields: usize, same: bool) -> i64 {
    let fields = fields as i64;
    if same { 3 + fields } else { 4 + 2 * fields }
}

fn number(element: Str<'_>) -> Option<i64> {
    match element {
        Str::Int(number) => Some(number),
        Str::Bytes(bytes) => match Str::classify(bytes) {
            Str::Int(number) => Some(number),
            Str::Bytes(_) => None,
        },
    }
}

/// A place among the elements of a node.
#[derive(Debug, Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn element(&mut self) -> Str<'a> {
        let (element, len) = decode(&self.bytes[self.at..]).expect("a node is well-formed");
        self.at += len;
        element
    }

    #[inline]
    fn number(&mut self) -> i64 {
        number(self.element()).expect("a number stands here")
    }

    #[inline]
    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.element();
        }
    }

    fn copy(&mut self, count: usize, to: &mut Vec<Str<'a>>) {
        to.extend((0..count).map(|_| self.element()));
    }
}

/// Where an entry begins in its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryAt(usize);

/// An entry.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Its ID.
    pub id: Id,
    /// Its fields and values.
    pub fields: Fields<'a>,
    pub(super) deleted: bool,
    pub(super) at: EntryAt,
}

/// The fields of an entry with their values, in order.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    left: usize,
    /// Where the master entry's fields go on, if the entry has the same.
    names: Option<Cursor<'a>>,
    at: Cursor<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Str<'a>, Str<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Str<'a>, Str<'a>)> {
        self.left = self.left.checked_sub(1)?;
        let field = match &mut self.names {
            Some(names) => names.element(),
            None => self.at.element(),
        };
        Some((field, self.at.element()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// All entries of a node, in order.
#[derive(Debug, Clone)]
pub(super) struct Entries<'a> {
    base: Id,
    at: Cursor<'a>,
    names: Cursor<'a>,
    master_fields: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        if self.at.at == self.at.bytes.len() {
            return None;
        }
        let at = EntryAt(self.at.at);
        let flags = self.at.number() as u8;
        let ms = self.base.ms.wrapping_add(self.at.number() as u64);
        let seq = self.base.seq.wrapping_add(self.at.number() as u64);
        let same = flags & SAME_FIELDS != 0;
        let left = if same { self.master_fields } else { self.at.number() as usize };
        let fields = Fields { left, names: same.then_some(self.names), at: self.at };
        self.at.skip(if same { left } else { 2 * left });
        Some(Entry { id: Id { ms, seq }, fields, deleted: flags & DELETED != 0, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(node: &Node) -> String {
        let texts = node.to_listpack();
        let texts: Vec<String> =
            texts.iter().map(|e| e.with_bytes(|b| String::from_utf8_lossy(b).into_owned())).collect();
        texts.join(" ")
    }

    fn node() -> Node {
        let mut node = Node::new(&[b"f", b"1", b"g", b"2"]);
        node.push(Id::new(5, 7), Id::new(5, 7), &[b"f", b"1", b"g", b"2"]);
        node.push(Id::new(5, 7), Id::new(6, 0), &[b"g", b"x"]);
        node.push(Id::new(5, 7), Id::new(6, 1), &[b"f", b"", b"g", b"-12"]);
        node
    }

    #[test]
    fn the_listpack_is_that_of_redis() {
        let mut node = node();
        assert_eq!(elements(&node), "3 0 2 f g 0 2 0 0 1 2 5 0 1 -7 1 g x 6 2 1 -6  -12 5");
        let second = node.entries(Id::new(5, 7)).nth(1).unwrap();
        node.mark_deleted(second.at);
        assert_eq!(elements(&node), "2 1 2 f g 0 2 0 0 1 2 5 1 1 -7 1 g x 6 2 1 -6  -12 5");
        assert_eq!(node.packed_len as usize, node.to_listpack().byte_len());
    }

    #[test]
    fn a_node_survives_its_listpack() {
        let pack = node().to_listpack();
        let again = Node::from_listpack(&pack).unwrap();
        assert_eq!(again.to_listpack(), pack);
        assert_eq!((again.bytes, again.live, again.packed_len), (node().bytes, 3, node().packed_len));
    }

    #[test]
    fn wrong_listpacks_are_refused() {
        let good = node().to_listpack();
        let elements: Vec<Str> = good.iter().collect();
        // Each number of the structure, altered; and a missing or an additional element.
        for at in [0, 1, 2, 5, 6, 11, 15, 18, 24] {
            let mut wrong = elements.clone();
            wrong[at] = Str::Int(4);
            let mut pack = Listpack::new();
            pack.extend(&wrong);
            assert!(Node::from_listpack(&pack).is_none(), "element {at}");
        }
        for count in 0..elements.len() {
            let mut pack = Listpack::new();
            pack.extend(&elements[..count]);
            assert!(Node::from_listpack(&pack).is_none(), "{count} elements");
        }
        let mut pack = good.clone();
        pack.push_back(Str::Int(1));
        assert!(Node::from_listpack(&pack).is_none());
    }

    #[test]
    fn room_is_measured_in_bytes_of_the_listpack_and_entries() {
        let node = node();
        let len = node.to_listpack().byte_len();
        let limits = |max_bytes, max_entries| NodeLimits { max_bytes, max_entries };
        assert!(!node.has_room(10, limits(len + 10, 0)));
        assert!(node.has_room(9, limits(len + 10, 0)));
        assert!(node.has_room(9, limits(0, 4)));
        assert!(!node.has_room(9, limits(0, 3)));
    }
}
