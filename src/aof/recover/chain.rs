//! One shard's log of one run, over all of its segments, up to where it can be read.

use std::collections::VecDeque;
use std::io;

use super::Reseal;
use super::frames::{Frames, Item};
use super::window::{Source, Window};
use crate::aof::frame::{Header, Segment, Torn, Txn};

/// A coordinator and its number for a transaction.
pub(super) type TxnId = (u16, u64);

/// A part of a transaction that was found, and where it begins.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: TxnId,
    /// Which of the chain's segments, and the offset.
    pub(super) segment: usize,
    pub(super) at: u64,
}

/// A segment: which of the folder's files, and what is valid of it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) file: usize,
    pub(super) first_line: u64,
    pub(super) valid: u64,
}

/// Where a log cannot be read on, although there is more.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) segment: usize,
    pub(super) at: u64,
    pub(super) torn: Torn,
    /// A frame behind it, which proves that what is missing was on stable storage: segment and offset.
    pub(super) proof: Option<(usize, u64)>,
    /// The first byte there.
    pub(super) first_byte: Option<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Chain<S> {
    pub(super) identity: Segment,
    pub(super) links: Vec<Link>,
    /// Parts of transactions that were read and may have to be cut off, in order.
    pub(super) parts: VecDeque<Part>,
    pub(super) ended: bool,
    pub(super) stop: Option<Stop>,
    /// Whether anything was read that is not later than the time up to which it is read.
    pub(super) holds: bool,
    /// What the log was cut in front of because it is later: the annotation's segment and offset.
    pub(super) later: Option<(usize, u64)>,
    /// The last frame has to be sealed anew, because it loses a part.
    pub(super) reseal: Option<Reseal>,
    until: Option<i64>,
    /// Where the next frame begins, once there was one.
    lsn: Option<u64>,
    /// Links before this one are read; `frames` is that of this one.
    current: usize,
    frames: Option<Frames<S>>,
    /// The link that holds the last frame.
    last: usize,
    room: usize,
}

impl<S: Source> Chain<S> {
    /// The log in these segments, in order; each is read with room for so many bytes, up to a time if there is one.
    pub(super) fn new(identity: Segment, links: Vec<Link>, room: usize, until: Option<i64>) -> Chain<S> {
        Chain {
            identity,
            links,
            parts: VecDeque::new(),
            ended: false,
            stop: None,
            holds: false,
            later: None,
            reseal: None,
            until,
            lsn: None,
            current: 0,
            frames: None,
            last: 0,
            room,
        }
    }

    /// Reads up to the next part of a transaction, or to the end.
    pub(super) fn next(&mut self, open: &impl Fn(usize) -> io::Result<S>) -> io::Result<Option<Txn>> {
        while let Some(link) = self.links.get_mut(self.current) {
            let frames = match &mut self.frames {
                Some(frames) => frames,
                None => {
                    let window = Window::new(open(link.file)?, self.room)?;
                    self.frames.insert(Frames::new(window, self.identity.seed(), link.first_line))
                }
            };
            let item = frames.next()?;
            link.valid = frames.valid;
            let torn = match item {
                Item::Frame(at, header) if self.lsn.is_none_or(|lsn| lsn == header.lsn) => {
                    self.lsn = Some(header.end());
                    self.last = self.current;
                    if let Some(until) = self.until
                        && let Some(later) = frames.later(&header, until)?
                    {
                        let start = frames.valid - u64::from(header.len);
                        let reseal = match later > start && header.txn.is_none() {
                            true => Some(Reseal { at, header: frames.shortened(at, &header, later)? }),
                            false => None,
                        };
                        self.end_before(later, at, reseal);
                        continue;
                    }
                    self.holds |= header.len > 0;
                    let Some(txn) = header.txn else { continue };
                    let id = (txn.coordinator, txn.number);
                    self.parts.push_back(Part { id, segment: self.current, at });
                    return Ok(Some(txn));
                }
                Item::Frame(at, _) => {
                    (frames.valid, link.valid) = (at, at);
                    Torn::Gap
                }
                Item::End => {
                    self.frames = None;
                    self.current += 1;
                    continue;
                }
                Item::Torn(torn) => torn,
            };
            self.stop(torn, open)?;
        }
        self.ended = true;
        self.frames = None;
        Ok(None)
    }

    /// What begins at this offset of the present segment is later, and stands in the frame at `frame`.
    fn end_before(&mut self, later: u64, frame: u64, reseal: Option<Reseal>) {
        self.holds |= reseal.is_some();
        self.later = Some((self.current, later));
        self.cut(self.current, if reseal.is_some() { later } else { frame });
        self.reseal = reseal;
        self.current = self.links.len();
    }

    /// Nothing is valid from here on.
    fn stop(&mut self, torn: Torn, open: &impl Fn(usize) -> io::Result<S>) -> io::Result<()> {
        let Some(mut frames) = self.frames.take() else { return Ok(()) };
        // A frame that does not continue the log begins a segment or follows a frame. What is missing before the first
        // frame of a segment was to be written to the segment before.
        let is_first = torn == Torn::Gap && self.current > self.last;
        let segment = if is_first { self.last } else { self.current };
        let at = self.links[segment].valid;
        frames.window.go(frames.valid);
        let first_byte = frames.window.ahead(1)?.first().copied();
        let (mut proof, mut distance, lsn) = (None, 0, self.lsn);
        for index in self.current..self.links.len() {
            if index > self.current {
                let link = &self.links[index];
                let window = Window::new(open(link.file)?, self.room)?;
                frames = Frames::new(window, self.identity.seed(), link.first_line);
            }
            let found = frames.find(|header, offset| proves(header, lsn, distance + offset))?;
            if let Some(at) = found {
                proof = Some((index, at));
                break;
            }
            distance += frames.window.size() - frames.valid;
        }
        self.cut(segment, at);
        self.stop = Some(Stop { segment, at, torn, proof, first_byte });
        self.current = self.links.len();
        Ok(())
    }

    /// Makes the log end at an offset of one of its segments.
    pub(super) fn cut(&mut self, segment: usize, at: u64) {
        self.links[segment].valid = at;
        self.reseal = None;
        for later in &mut self.links[segment + 1..] {
            later.valid = 0;
        }
    }
}

/// Whether a frame that begins `distance` bytes behind the place where reading stopped, at log number `lsn`, proves that
/// something there was on stable storage. If nothing was read before, the log number at that place is not known, but it
/// is not below what it would be if all of those bytes were payload.
fn proves(header: &Header, lsn: Option<u64>, distance: u64) -> bool {
    let stopped = lsn.unwrap_or(header.lsn.saturating_sub(distance));
    header.safe > stopped && header.safe <= header.lsn
}
