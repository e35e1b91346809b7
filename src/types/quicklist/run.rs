//! A run of elements: a listpack with room around it, so that elements come and go at either end without the others
//! being moved. It is a node of a quicklist.
//!
//! ```text
//! block: | room | listpack: header, elements, end | room |
//!               start                             end
//! ```
//!
//! The header wanders with the first element. Invariant: `block[start..end]` is a well-formed listpack of `count` elements.
//! Only runs at the ends of a list have room; [`Run::fit`] takes it away from the others.

use crate::types::Str;
use crate::types::listpack::{At, END, Encoded, HEADER, Listpack, View};

/// Either end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The head, where LPUSH adds.
    Front,
    /// The tail, where RPUSH adds.
    Back,
}

/// Room in bytes that a growing block gets at least.
const ROOM: usize = 64;
/// A block of which less than one part in so many is used is given back.
const SPARSE: usize = 4;
/// Unused bytes of which nobody takes notice.
const TOLERATED: usize = 1024;

/// See the module.
#[derive(Clone)]
pub(super) struct Run {
    block: Box<[u8]>,
    start: u32,
    end: u32,
    count: u32,
}

impl From<Listpack> for Run {
    fn from(pack: Listpack) -> Run {
        let count = pack.len() as u32;
        let block = pack.into_bytes();
        Run { start: 0, end: block.len() as u32, count, block }
    }
}

impl From<Run> for Listpack {
    fn from(mut run: Run) -> Listpack {
        run.fit();
        Listpack::from_valid(run.block)
    }
}

impl Run {
    /// Of one element, with room for more.
    pub(super) fn new(element: Str<'_>) -> Run {
        let mut run = Run::from(Listpack::new());
        run.push(End::Back, element);
        run
    }

    /// The elements, to be read.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View::new(&self.block[self.start as usize..self.end as usize])
    }

    /// Number of elements.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes of the listpack, without the room around it.
    #[inline]
    pub(super) fn byte_len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.block.len()
    }

    #[inline]
    fn write_header(&mut self) {
        let (start, total) = (self.start as usize, self.end - self.start);
        let count = self.count.min(u32::from(u16::MAX)) as u16;
        let header = &mut self.block[start..start + HEADER];
        header[..4].copy_from_slice(&total.to_le_bytes());
        header[4..].copy_from_slice(&count.to_le_bytes());
    }

    /// Adds an element at an end.
    #[inline]
    pub(super) fn push(&mut self, end: End, element: Str<'_>) {
        let element = Encoded::new(element);
        let len = element.len();
        let room = match end {
            End::Front => self.start as usize,
            End::Back => self.block.len() - self.end as usize,
        };
        if room < len {
            self.make_room(end, len);
        }
        let at = match end {
            End::Front => {
                self.start -= len as u32;
                self.start as usize + HEADER
            }
            End::Back => {
                self.end += len as u32;
                self.block[self.end as usize - 1] = END;
                self.end as usize - 1 - len
            }
        };
        element.write(&mut self.block[at..]);
        self.count += 1;
        self.write_header();
    }

    /// Makes room for `len` bytes and some more at an end, by use of the room at the other end if that is enough.
    #[cold]
    fn make_room(&mut self, end: End, len: usize) {
        let used = self.byte_len();
        let wanted = used + len + (used + len) / 4 + ROOM;
        let capacity = wanted.max(if wanted <= self.block.len() { self.block.len() } else { 0 });
        let start = match end {
            End::Front => capacity - used,
            End::Back => 0,
        };
        let from = self.start as usize..self.end as usize;
        if capacity == self.block.len() {
            self.block.copy_within(from, start);
        } else {
            let mut block = vec![0; capacity].into_boxed_slice();
            block[start..start + used].copy_from_slice(&self.block[from]);
            self.block = block;
        }
        (self.start, self.end) = (start as u32, (start + used) as u32);
    }

    /// Takes the element at an end away, after it has been read. There is one.
    #[inline]
    pub(super) fn pop<R>(&mut self, end: End, read: impl FnOnce(Str<'_>) -> R) -> R {
        let view = self.view();
        let at = match end {
            End::Front => HEADER,
            End::Back => view.last().expect("a run has elements"),
        };
        let (element, len) = view.element(at);
        let result = read(element);
        self.count -= 1;
        match end {
            End::Front => self.start += len as u32,
            End::Back => {
                self.end -= len as u32;
                self.block[self.end as usize - 1] = END;
            }
        }
        self.write_header();
        if self.block.len() / SPARSE > self.byte_len() + TOLERATED {
            self.fit();
        }
        result
    }

    /// Gives the room around the listpack back.
    pub(super) fn fit(&mut self) {
        if self.block.len() > self.byte_len() {
            self.block = self.view().as_bytes().into();
            (self.start, self.end) = (0, self.block.len() as u32);
        }
    }

    /// Changes the elements as a listpack.
    pub(super) fn edit<R>(&mut self, change: impl FnOnce(&mut Listpack) -> R) -> R {
        let block = std::mem::take(&mut self.block);
        let mut pack = Listpack::from(Run { block, ..*self });
        let result = change(&mut pack);
        *self = Run::from(pack);
        result
    }

    /// Cuts the elements from `at` on off.
    pub(super) fn split_off(&mut self, at: At) -> Run {
        let view = self.view();
        let rest = Run::joined(&view.as_bytes()[at..view.end()], &[], view.iter_from(at).count());
        self.end = self.start + at as u32 + 1;
        self.block[self.end as usize - 1] = END;
        self.count -= rest.count;
        self.write_header();
        self.fit();
        rest
    }

    /// Adds the elements of another run.
    pub(super) fn append(&mut self, other: &Run) {
        *self = Run::joined(self.elements(), other.elements(), self.count() + other.count());
    }

    /// The bytes of all elements.
    fn elements(&self) -> &[u8] {
        let view = self.view();
        &view.as_bytes()[HEADER..view.end()]
    }

    /// Of the bytes of `count` elements.
    fn joined(first: &[u8], second: &[u8], count: usize) -> Run {
        let block = [&[0; HEADER], first, second, &[END]].concat().into_boxed_slice();
        let mut run = Run { start: 0, end: block.len() as u32, count: count as u32, block };
        run.write_header();
        run
    }

    /// Removes elements that equal `wanted`: at most `most`, the nearest to `from` first. Returns how many.
    pub(super) fn remove_equal(&mut self, wanted: Str<'_>, from: End, most: usize) -> usize {
        let view = self.view();
        let equal = view.iter().filter(|element| *element == wanted).count();
        let removed = equal.min(most);
        if removed == 0 {
            return 0;
        }
        let mut spared = if from == End::Front { 0 } else { equal - removed };
        let mut left = removed;
        let mut kept = Vec::with_capacity(self.byte_len());
        let mut at = HEADER;
        while at < view.end() {
            let (element, len) = view.element(at);
            if left > 0 && element == wanted && spared == 0 {
                left -= 1;
            } else {
                spared -= usize::from(spared > 0 && element == wanted);
                kept.extend_from_slice(&view.as_bytes()[at..at + len]);
            }
            at += len;
        }
        *self = Run::joined(&kept, &[], self.count() - removed);
        removed
    }
}
