//! The frames of one segment, and the search for traces of what should have been there.

use std::io;

use super::plain::{self, End};
use super::window::{Source, Window};
use crate::aof::frame::{self, Checksum, FRAME, HEADER_LEN, Header, LINE_MAX, Seed, Torn};

/// What comes next in a segment.
#[derive(Debug)]
pub(super) enum Item {
    /// A whole frame that begins at this offset.
    Frame(u64, Header),
    /// Nothing more; zeroes may follow.
    End,
    /// Something that is no frame.
    Torn(Torn),
}

/// A segment that is being read. Invariant: everything before `valid` is frames and padding.
#[derive(Debug)]
pub(super) struct Frames<S> {
    pub(super) window: Window<S>,
    seed: Seed,
    /// The offset behind the last frame or padding.
    pub(super) valid: u64,
}

impl<S: Source> Frames<S> {
    /// Begins behind the first line, which ends at `start`.
    pub(super) fn new(mut window: Window<S>, seed: Seed, start: u64) -> Frames<S> {
        window.go(start);
        Frames { window, seed, valid: start }
    }

    /// Reads on. Behind what is no frame there is nothing to be read.
    pub(super) fn next(&mut self) -> io::Result<Item> {
        loop {
            let start = self.valid;
            self.window.go(start);
            let ahead = self.window.ahead(LINE_MAX)?;
            match ahead.first() {
                None => return Ok(Item::End),
                Some(0) => {
                    let all = self.window.skip_zeroes()?;
                    return Ok(if all { Item::End } else { Item::Torn(Torn::Zeroes) });
                }
                Some(_) => {}
            }
            let Some(line) = frame::line(ahead) else { return Ok(Item::Torn(Torn::Line)) };
            if frame::is_padding(line) {
                self.valid += line.len() as u64;
                continue;
            }
            let Some(header) = Header::parse(line) else { return Ok(Item::Torn(Torn::Line)) };
            return Ok(match check(&mut self.window, &header, self.seed)? {
                None => {
                    self.valid = self.window.at();
                    Item::Frame(start, header)
                }
                Some(torn) => Item::Torn(torn),
            });
        }
    }

    /// Where in the payload of the frame that was just read, which ends at `valid`, the first annotation with a time after `until`
    /// stands. An annotation begins what was logged as one unit, so the frame may end there.
    pub(super) fn later(&mut self, header: &Header, until: i64) -> io::Result<Option<u64>> {
        self.window.go(self.valid - u64::from(header.len));
        let options = plain::Options { until: Some(until), end: Some(self.valid) };
        let scanned = plain::scan(&mut self.window, options)?;
        match scanned.end {
            End::Later(at) => Ok(Some(at)),
            End::Complete if self.window.at() == self.valid => Ok(None),
            _ => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "a frame holds something that is no command"))
            }
        }
    }

    /// The header line of the frame at this offset, which is no part of a transaction, if its payload ends at `end`.
    pub(super) fn shortened(&mut self, at: u64, header: &Header, end: u64) -> io::Result<[u8; HEADER_LEN]> {
        let start = at + HEADER_LEN as u64;
        let mut checksum = Checksum::default();
        self.window.go(start);
        self.window.pass(end - start, |piece| checksum.update(piece))?;
        let mut line = [0; HEADER_LEN];
        frame::seal_pieces(&mut line, (end - start) as u32, checksum, header.lsn, header.safe, self.seed);
        Ok(line)
    }

    /// Looks for a whole frame from `valid` on that proves something: its offset.
    pub(super) fn find(&mut self, proves: impl Fn(&Header, u64) -> bool) -> io::Result<Option<u64>> {
        let start = self.valid;
        self.window.go(start);
        loop {
            let ahead = self.window.ahead(LINE_MAX)?;
            let Some(found) = memchr::memmem::find(ahead, FRAME) else {
                let passed = ahead.len().saturating_sub(FRAME.len() - 1).max(1) as u64;
                if self.window.left() <= passed {
                    return Ok(None);
                }
                self.window.skip(passed);
                continue;
            };
            self.window.skip(found as u64);
            let at = self.window.at();
            let header = frame::line(self.window.ahead(LINE_MAX)?).and_then(Header::parse);
            if let Some(header) = header
                && proves(&header, at - start)
                && check(&mut self.window, &header, self.seed)?.is_none()
            {
                return Ok(Some(at));
            }
            self.window.go(at + 1);
        }
    }
}

/// Whether the frame at the window's position, which has this header, is whole; moves behind it.
fn check<S: Source>(window: &mut Window<S>, header: &Header, seed: Seed) -> io::Result<Option<Torn>> {
    let ahead = window.ahead(LINE_MAX)?;
    let Some(line) = frame::line(ahead).map(<[u8]>::to_vec) else { return Ok(Some(Torn::Line)) };
    window.skip(line.len() as u64);
    if window.left() < header.len.into() {
        return Ok(Some(Torn::Short));
    }
    let mut checksum = Checksum::default();
    if !window.pass(header.len.into(), |piece| checksum.update(piece))? {
        return Ok(Some(Torn::Short));
    }
    Ok((!header.matches(checksum.finish(&line, seed))).then_some(Torn::Checksum))
}
