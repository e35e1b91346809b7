//! The listpack: a row of strings and numbers in one block, in the form that Redis keeps in memory and writes to its files
//! (github.com/antirez/listpack), byte for byte, so that sizes, limits and dumps are Redis's.
//!
//! ```text
//! 4 bytes  length of the whole, little-endian
//! 2 bytes  number of elements, 65535 for "count them"
//! elements, each: encoding (1-5 or 9 bytes with the number, if it is one), bytes of the string, back length
//! 0xff
//! ```
//!
//! The *back length* is the length of what stands before it in the element, 7 bits a byte, lowest last, to be read from
//! its end; it is what makes walking backwards possible. An [`At`] is the offset of an element's first byte.
//!
//! Invariant: the bytes are well-formed throughout. [`Listpack::from_bytes`] checks it for bytes from outside; after that
//! nothing here can fail. Blocks have exactly the size of their content.

use crate::types::Str;

/// Where an element begins, in bytes from the listpack's first.
pub type At = usize;

/// Bytes before the first element.
pub(super) const HEADER: usize = 6;
/// The last byte.
pub(super) const END: u8 = 0xff;
/// The number of elements is not stored from here on.
const UNCOUNTED: usize = u16::MAX as usize;

/// A listpack. See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Listpack(Box<[u8]>);

/// The bytes of a listpack, to be read: a whole one, or one that stands inside a larger block. The same invariant holds.
#[derive(Clone, Copy)]
pub struct View<'a>(&'a [u8]);

/// An element's encoding: its first bytes, and how many bytes of a string follow.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_len: usize,
    string: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Of an element; digits become the number that they stand for.
    #[inline]
    pub(super) fn new(element: Str<'a>) -> Encoded<'a> {
        match element {
            Str::Int(number) => Encoded::number(number),
            Str::Bytes(bytes) => match Str::classify(bytes) {
                Str::Int(number) => Encoded::number(number),
                Str::Bytes(bytes) => Encoded::string(bytes),
            },
        }
    }

    #[inline]
    fn number(number: i64) -> Encoded<'static> {
        let (mut head, bytes) = ([0; 9], number.to_le_bytes());
        let head_len = match number {
            0..=127 => {
                head[0] = number as u8;
                1
            }
            -4096..=4095 => {
                let low = number as u16 & 0x1fff;
                head[..2].copy_from_slice(&[0xc0 | (low >> 8) as u8, low as u8]);
                2
            }
            _ => {
                let (code, len) = match number {
                    -0x8000..=0x7fff => (0xf1, 2),
                    -0x80_0000..=0x7f_ffff => (0xf2, 3),
                    -0x8000_0000..=0x7fff_ffff => (0xf3, 4),
                    _ => (0xf4, 8),
                };
                head[0] = code;
                head[1..=len].copy_from_slice(&bytes[..len]);
                1 + len
            }
        };
        Encoded { head, head_len, string: &[] }
    }

    #[inline]
    fn string(string: &'a [u8]) -> Encoded<'a> {
        let (mut head, len) = ([0; 9], string.len());
        let head_len = match len {
            0..=63 => {
                head[0] = 0x80 | len as u8;
                1
            }
            64..=4095 => {
                head[..2].copy_from_slice(&[0xe0 | (len >> 8) as u8, len as u8]);
                2
            }
            _ => {
                head[0] = 0xf0;
                head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
                5
            }
        };
        Encoded { head, head_len, string }
    }

    /// The encoding, and the number if it is one.
    #[inline]
    pub(super) fn head(&self) -> &[u8] {
        &self.head[..self.head_len]
    }

    /// The bytes of a string.
    #[inline]
    pub(super) fn tail(&self) -> &'a [u8] {
        self.string
    }

    /// Length with the back length.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let content = self.head_len + self.string.len();
        content + back_len_size(content)
    }

    /// Writes it to the beginning of `out`, and returns its length.
    #[inline]
    pub(super) fn write(&self, out: &mut [u8]) -> usize {
        let content = self.head_len + self.string.len();
        out[..self.head_len].copy_from_slice(&self.head[..self.head_len]);
        out[self.head_len..content].copy_from_slice(self.string);
        let size = back_len_size(content);
        for at in 0..size {
            let more = if at == 0 { 0 } else { 0x80 };
            out[content + at] = (content >> (7 * (size - 1 - at))) as u8 & 0x7f | more;
        }
        content + size
    }
}

/// Bytes that the back length takes behind so many bytes.
#[inline]
const fn back_len_size(content: usize) -> usize {
    match content {
        0..=127 => 1,
        128..=16382 => 2,
        16383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// The element whose first byte this is: it, and its length without the back length. `None` if it is not well-formed.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> Option<(Str<'_>, usize)> {
    let (&first, rest) = bytes.split_first()?;
    let number = |len: usize| {
        let mut wide = [0; 8];
        wide[8 - len..].copy_from_slice(rest.get(..len)?);
        Some((Str::Int(i64::from_le_bytes(wide) >> (64 - 8 * len)), 1 + len))
    };
    let string =
        |head: usize, len: usize| Some((Str::Bytes(bytes.get(head..head.checked_add(len)?)?), head + len));
    match first {
        0..=0x7f => Some((Str::Int(i64::from(first)), 1)),
        0x80..=0xbf => string(1, usize::from(first & 0x3f)),
        0xc0..=0xdf => {
            let low = u16::from(first & 0x1f) << 8 | u16::from(*rest.first()?);
            Some((Str::Int(i64::from((low << 3) as i16 >> 3)), 2))
        }
        0xe0..=0xef => string(2, usize::from(first & 0xf) << 8 | usize::from(*rest.first()?)),
        0xf0 => string(5, u32::from_le_bytes(*rest.first_chunk()?) as usize),
        0xf1 => number(2),
        0xf2 => number(3),
        0xf3 => number(4),
        0xf4 => number(8),
        _ => None,
    }
}

/// The back length that ends before `end`, and how many bytes it takes.
#[inline]
fn back_len(bytes: &[u8], end: usize) -> Option<(usize, usize)> {
    let mut len = 0;
    for size in 1..=5 {
        let byte = *bytes.get(end.checked_sub(size)?)?;
        len |= usize::from(byte & 0x7f) << (7 * (size - 1));
        if byte & 0x80 == 0 {
            return Some((len, size));
        }
    }
    None
}

impl<'a> View<'a> {
    /// Of bytes that are a well-formed listpack.
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> View<'a> {
        View(bytes)
    }

    /// All bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Number of elements.
    #[inline]
    pub fn len(self) -> usize {
        match self.stored_count() {
            UNCOUNTED => self.iter().count(),
            count => count,
        }
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.len() == Listpack::EMPTY_LEN
    }

    #[inline]
    fn stored_count(self) -> usize {
        usize::from(u16::from_le_bytes([self.0[4], self.0[5]]))
    }

    /// Where the next element would be appended.
    #[inline]
    pub fn end(self) -> At {
        self.0.len() - 1
    }

    /// The first element.
    #[inline]
    pub fn first(self) -> Option<At> {
        (!self.is_empty()).then_some(HEADER)
    }

    /// The last element.
    #[inline]
    pub fn last(self) -> Option<At> {
        self.prev(self.end())
    }

    /// An element, and how many bytes it takes.
    #[inline]
    pub(super) fn element(self, at: At) -> (Str<'a>, usize) {
        let (element, content) = decode(&self.0[at..]).expect("a listpack is well-formed");
        (element, content + back_len_size(content))
    }

    /// The element behind one.
    #[inline]
    pub fn next(self, at: At) -> Option<At> {
        Some(at + self.element(at).1).filter(|&next| next < self.end())
    }

    /// The element before one, or before the end.
    #[inline]
    pub fn prev(self, at: At) -> Option<At> {
        (at > HEADER).then(|| {
            let (content, size) = back_len(self.0, at).expect("a listpack is well-formed");
            at - content - size
        })
    }

    /// An element.
    #[inline]
    pub fn get(self, at: At) -> Str<'a> {
        self.element(at).0
    }

    /// The element with this index; negative ones count from the end.
    pub fn seek(self, index: isize) -> Option<At> {
        let distance = index.unsigned_abs();
        let count = self.stored_count();
        // From the nearer end.
        if index >= 0 && count != UNCOUNTED && distance < count && distance > count / 2 {
            return self.seek(distance as isize - count as isize);
        }
        if index >= 0 {
            let mut at = self.first()?;
            for _ in 0..distance {
                at = self.next(at)?;
            }
            return Some(at);
        }
        let mut at = self.last()?;
        for _ in 1..distance {
            at = self.prev(at)?;
        }
        Some(at)
    }

    /// All elements.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Str<'a>> + Clone {
        self.iter_from(HEADER)
    }

    /// The elements from one on.
    #[inline]
    pub fn iter_from(self, at: At) -> impl Iterator<Item = Str<'a>> + Clone {
        let mut at = at;
        std::iter::from_fn(move || {
            (at < self.end()).then(|| {
                let (element, len) = self.element(at);
                at += len;
                element
            })
        })
    }

    /// The elements before a place, the nearest first.
    #[inline]
    pub fn iter_back(self, before: At) -> impl Iterator<Item = Str<'a>> + Clone {
        let mut at = before;
        std::iter::from_fn(move || {
            at = self.prev(at)?;
            Some(self.get(at))
        })
    }

    /// The first element equal to `wanted` from `from` on, looking at one element and passing over the next `skip`.
    pub fn find(self, wanted: &[u8], from: At, skip: usize) -> Option<At> {
        let wanted = Str::classify(wanted);
        let (mut at, mut passed) = (from, skip);
        while at < self.end() {
            let (element, len) = self.element(at);
            if passed == skip {
                if element == wanted {
                    return Some(at);
                }
                passed = 0;
            } else {
                passed += 1;
            }
            at += len;
        }
        None
    }
}

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack::new()
    }
}

impl Listpack {
    /// Bytes of a listpack without elements.
    pub const EMPTY_LEN: usize = HEADER + 1;

    /// Without elements.
    pub fn new() -> Listpack {
        Listpack(Box::new([Self::EMPTY_LEN as u8, 0, 0, 0, 0, 0, END]))
    }

    /// From bytes of outside; `None` if they are not well-formed throughout.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Listpack> {
        let (total, rest) = bytes.split_first_chunk::<4>()?;
        let count = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
        if u32::from_le_bytes(*total) as usize != bytes.len()
            || *bytes.last()? != END
            || bytes.len() < HEADER + 1
        {
            return None;
        }
        let (mut at, end, mut found) = (HEADER, bytes.len() - 1, 0);
        while at < end {
            let (_, content) = decode(&bytes[at..end])?;
            let next = at.checked_add(content)?.checked_add(back_len_size(content))?;
            if next > end
                || back_len(&bytes[at + content..next], next - at - content)?
                    != (content, back_len_size(content))
            {
                return None;
            }
            (at, found) = (next, found + 1);
        }
        (count == UNCOUNTED || count == found).then(|| Listpack(bytes.into_boxed_slice()))
    }

    /// From bytes that are well-formed.
    pub(super) fn from_valid(bytes: Box<[u8]>) -> Listpack {
        Listpack(bytes)
    }

    /// All bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// All bytes, to be kept.
    pub(super) fn into_bytes(self) -> Box<[u8]> {
        self.0
    }

    /// Length of all bytes.
    #[inline]
    pub fn byte_len(&self) -> usize {
        self.0.len()
    }

    /// The bytes, to be read.
    #[inline]
    pub fn view(&self) -> View<'_> {
        View(&self.0)
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    /// Where the next element would be appended.
    #[inline]
    pub fn end(&self) -> At {
        self.view().end()
    }

    /// The first element.
    #[inline]
    pub fn first(&self) -> Option<At> {
        self.view().first()
    }

    /// The last element.
    #[inline]
    pub fn last(&self) -> Option<At> {
        self.view().last()
    }

    /// The element behind one.
    #[inline]
    pub fn next(&self, at: At) -> Option<At> {
        self.view().next(at)
    }

    /// The element before one, or before the end.
    #[inline]
    pub fn prev(&self, at: At) -> Option<At> {
        self.view().prev(at)
    }

    /// An element.
    #[inline]
    pub fn get(&self, at: At) -> Str<'_> {
        self.view().get(at)
    }

    /// The element with this index; negative ones count from the end.
    #[inline]
    pub fn seek(&self, index: isize) -> Option<At> {
        self.view().seek(index)
    }

    /// All elements.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Str<'_>> + Clone {
        self.view().iter()
    }

    /// The elements from one on.
    #[inline]
    pub fn iter_from(&self, at: At) -> impl Iterator<Item = Str<'_>> + Clone {
        self.view().iter_from(at)
    }

    /// The elements before a place, the nearest first.
    #[inline]
    pub fn iter_back(&self, before: At) -> impl Iterator<Item = Str<'_>> + Clone {
        self.view().iter_back(before)
    }

    /// The first element equal to `wanted` from `from` on, looking at one element and passing over the next `skip`.
    #[inline]
    pub fn find(&self, wanted: &[u8], from: At, skip: usize) -> Option<At> {
        self.view().find(wanted, from, skip)
    }

    /// Whether no two of the elements at 0, `stride`, twice that and so on are equal.
    pub fn is_unique(&self, stride: usize) -> bool {
        let key = |element| match element {
            Str::Int(number) => (Some(number), &b""[..]),
            Str::Bytes(bytes) => (None, bytes),
        };
        let mut keys: Vec<_> = self.iter().step_by(stride).map(key).collect();
        keys.sort_unstable();
        keys.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// Bytes that an element takes.
    #[inline]
    pub fn encoded_len(element: Str<'_>) -> usize {
        Encoded::new(element).len()
    }

    /// Adds an element behind the last.
    #[inline]
    pub fn push_back(&mut self, element: Str<'_>) {
        self.splice(self.end(), 0, 0, &[element]);
    }

    /// Adds an element before the first.
    #[inline]
    pub fn push_front(&mut self, element: Str<'_>) {
        self.splice(HEADER, 0, 0, &[element]);
    }

    /// Adds elements behind the last.
    pub fn extend(&mut self, elements: &[Str<'_>]) {
        self.splice(self.end(), 0, 0, elements);
    }

    /// Adds elements before one, or at the end.
    pub fn insert(&mut self, at: At, elements: &[Str<'_>]) {
        self.splice(at, 0, 0, elements);
    }

    /// Puts another element in the place of one, which begins where the old one began.
    #[inline]
    pub fn replace(&mut self, at: At, element: Str<'_>) {
        let len = self.view().element(at).1;
        self.splice(at, len, 1, &[element]);
    }

    /// Removes so many elements from one on, or as many as there are. The next element begins at `at` then.
    pub fn remove(&mut self, at: At, count: usize) {
        let (mut to, mut removed) = (at, 0);
        while removed < count && to < self.end() {
            to += self.view().element(to).1;
            removed += 1;
        }
        self.splice(at, to - at, removed, &[]);
    }

    /// Replaces the `removed` elements that take the `gone` bytes from `at` on.
    fn splice(&mut self, at: At, gone: usize, removed: usize, elements: &[Str<'_>]) {
        let count = self.view().stored_count();
        let encoded: smallvec::SmallVec<[Encoded<'_>; 4]> =
            elements.iter().map(|&element| Encoded::new(element)).collect();
        let added: usize = encoded.iter().map(Encoded::len).sum();
        let (old, tail) = (self.0.len(), at + gone);
        let new = old - gone + added;
        let mut bytes = Vec::from(std::mem::take(&mut self.0));
        if new > old {
            bytes.reserve_exact(new - old);
            bytes.resize(new, 0);
        }
        bytes.copy_within(tail..old, at + added);
        bytes.truncate(new);
        let mut to = at;
        for element in &encoded {
            to += element.write(&mut bytes[to..]);
        }
        bytes[..4].copy_from_slice(&(new as u32).to_le_bytes());
        self.0 = bytes.into_boxed_slice();
        let count = match count {
            UNCOUNTED => self.iter().count(),
            count => count - removed + elements.len(),
        };
        let stored = count.min(UNCOUNTED) as u16;
        self.0[4..6].copy_from_slice(&stored.to_le_bytes());
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = Vec<u8>> {
        let edges = [
            0,
            127,
            128,
            -1,
            4095,
            4096,
            -4096,
            -4097,
            0x7fff,
            -0x8000,
            0x8000,
            0x7f_ffff,
            -0x80_0001,
            1 << 31,
            i64::MIN,
            i64::MAX,
        ];
        let lengths = prop::sample::select(vec![0usize, 1, 63, 64, 125, 126, 127, 4095, 4096, 17_000]);
        prop_oneof![
            prop::sample::select(edges.to_vec()).prop_map(|n| n.to_string().into_bytes()),
            any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            lengths.prop_map(|len| vec![b'x'; len]),
            prop::collection::vec(any::<u8>(), 0..9),
        ]
    }

    fn contents(pack: &Listpack) -> Vec<Vec<u8>> {
        pack.iter().map(|element| element.with_bytes(<[u8]>::to_vec)).collect()
    }

    proptest! {
        #[test]
        fn behaves_like_a_vector(steps in prop::collection::vec((0..5u8, any::<prop::sample::Index>(), element()), 0..60)) {
            let (mut pack, mut model) = (Listpack::new(), Vec::<Vec<u8>>::new());
            for (step, at, value) in steps {
                let index = at.index(model.len() + 1);
                let place = pack.seek(index as isize).unwrap_or(pack.end());
                prop_assert_eq!(place == pack.end(), index == model.len());
                match step {
                    0 => {
                        pack.insert(place, &[Str::Bytes(&value), Str::Int(7)]);
                        model.splice(index..index, [value, b"7".to_vec()]);
                    }
                    1 if index < model.len() => {
                        pack.replace(place, Str::Bytes(&value));
                        model[index] = value;
                    }
                    2 => {
                        pack.remove(place, 2);
                        model.drain(index..(index + 2).min(model.len()));
                    }
                    3 => {
                        pack.push_front(Str::Bytes(&value));
                        model.insert(0, value);
                    }
                    _ => {
                        let before = pack.byte_len();
                        pack.push_back(Str::Bytes(&value));
                        prop_assert_eq!(pack.byte_len() - before, Listpack::encoded_len(Str::Bytes(&value)));
                        model.push(value);
                    }
                }
                prop_assert_eq!(pack.len(), model.len());
            }
            prop_assert_eq!(contents(&pack), model.clone());
            let mut back: Vec<_> =
                pack.iter_back(pack.end()).map(|element| element.with_bytes(<[u8]>::to_vec)).collect();
            back.reverse();
            prop_assert_eq!(&back, &model);
            for (index, value) in model.iter().enumerate() {
                let at = pack.seek(index as isize - model.len() as isize).unwrap();
                prop_assert!(pack.get(at).with_bytes(|bytes| bytes == &value[..]));
                let found = pack.find(value, HEADER, 0).unwrap();
                prop_assert!(found <= at && pack.get(found) == pack.get(at));
            }
            prop_assert_eq!(Listpack::from_bytes(pack.as_bytes().to_vec()), Some(pack));
        }

        #[test]
        fn whatever_is_accepted_can_be_walked(mut bytes in prop::collection::vec(any::<u8>(), 0..40), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
            bytes.insert(0, 0);
            let mut pack = Listpack::new();
            pack.extend(&[Str::Bytes(&bytes), Str::Int(300), Str::Bytes(b"abc")]);
            let mut image = pack.as_bytes().to_vec();
            for (at, byte) in flips {
                let at = at.index(image.len());
                image[at] = byte;
            }
            if let Some(pack) = Listpack::from_bytes(image) {
                prop_assert_eq!(pack.iter().count(), pack.len());
                prop_assert_eq!(pack.iter_back(pack.end()).count(), pack.len());
            }
        }
    }

    #[test]
    fn counts_beyond_the_header() {
        let mut pack = Listpack::new();
        let many = vec![Str::Int(1); 70_000];
        pack.extend(&many);
        assert_eq!((pack.len(), pack.view().stored_count()), (70_000, UNCOUNTED));
        pack.remove(HEADER, 10_000);
        assert_eq!((pack.len(), pack.view().stored_count()), (60_000, 60_000));
    }

    /// Worked out by hand from the format.
    #[test]
    fn the_bytes_are_those_of_redis() {
        let mut pack = Listpack::new();
        pack.extend(&[Str::Int(1), Str::Bytes(b"abc"), Str::Bytes(b"300")]);
        let wanted = [17, 0, 0, 0, 3, 0, 1, 1, 0x83, b'a', b'b', b'c', 4, 0xc1, 0x2c, 2, 0xff];
        assert_eq!(pack.as_bytes(), wanted);
    }
}
