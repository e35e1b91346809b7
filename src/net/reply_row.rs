//! The row of replies of one connection, in the order of its requests.
//!
//! Replies that are computed here are written at once; those that come from another core leave a gap that is
//! filled later, and everything behind the gap waits. With no gap, which is the usual case, a reply is written
//! straight into the output buffer.
//!
//! Pushes are no replies: they stand between two of those that may be sent, however many are still to come. A push *about* a
//! reply (what was read is out of date) stands behind all replies that are here, whether they may be sent or not.
//!
//! Replies computed here that wait stand one after the other in `held`; only a reply that comes before an earlier one has
//! memory of its own.
//!
//! Invariants: `gaps` counts the `Gap`s in `behind`; if there is none, `behind` and `held` are empty. The `Held` places
//! in `behind` cover `held` from `released` on exactly.

use std::collections::VecDeque;

/// Places whose memory a row without gaps keeps: enough for usual pipelines, and little for an idle connection.
const IDLE_PLACES_MAX: usize = 32;
/// Bytes of waiting replies whose memory it keeps, likewise.
const IDLE_HELD_BYTES_MAX: usize = 512;

#[derive(Debug)]
enum Place {
    /// Still to come.
    Gap,
    /// Complete replies: the next so many bytes of `held`.
    Held(usize),
    /// A reply that has come before an earlier one.
    Early(Vec<u8>),
}

/// A connection's outgoing bytes.
#[derive(Debug, Default)]
pub struct ReplyRow {
    /// Replies that may be sent, and pushes.
    out: Vec<u8>,
    /// Whether `out` holds a push.
    urgent: bool,
    /// From the first gap on.
    behind: VecDeque<Place>,
    /// Sequence number of the first place in `behind`.
    first: u64,
    gaps: usize,
    /// Replies computed here that wait.
    held: Vec<u8>,
    /// Bytes at the beginning of `held` that wait no more.
    released: usize,
    /// Bytes in `Early` places.
    early_bytes: usize,
}

impl ReplyRow {
    /// Calls `write` with the buffer that the next reply belongs into.
    #[inline]
    pub fn write<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        if self.gaps == 0 {
            return write(&mut self.out);
        }
        let before = self.held.len();
        let result = write(&mut self.held);
        let written = self.held.len() - before;
        match self.behind.back_mut() {
            Some(Place::Held(len)) => *len += written,
            _ => self.behind.push_back(Place::Held(written)),
        }
        result
    }

    /// Adds something that is no reply and waits for none.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.urgent = true;
    }

    /// Adds something that is no reply, but comes behind those that are here already.
    pub fn push_behind(&mut self, bytes: &[u8]) {
        match self.behind.iter_mut().rfind(|place| !matches!(place, Place::Gap)) {
            None => self.push(bytes),
            Some(Place::Early(reply)) => {
                reply.extend_from_slice(bytes);
                self.early_bytes += bytes.len();
            }
            // It is the last one, so its bytes are the last of `held`.
            Some(Place::Held(len)) => {
                self.held.extend_from_slice(bytes);
                *len += bytes.len();
            }
            Some(Place::Gap) => unreachable!("gaps are left out"),
        }
    }

    /// Whether what may be sent does not wait for more, because there is a push among it.
    #[inline]
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Leaves a gap for the next reply; its number goes to [`ReplyRow::fill`].
    #[inline]
    pub fn leave_gap(&mut self) -> u64 {
        self.behind.push_back(Place::Gap);
        self.gaps += 1;
        self.first + self.behind.len() as u64 - 1
    }

    /// Fills a gap.
    pub fn fill(&mut self, sequence: u64, reply: &[u8]) {
        let at = (sequence - self.first) as usize;
        debug_assert!(matches!(self.behind[at], Place::Gap));
        self.gaps -= 1;
        if at > 0 {
            self.behind[at] = Place::Early(reply.to_vec());
            self.early_bytes += reply.len();
            return;
        }
        self.out.extend_from_slice(reply);
        self.behind.pop_front();
        self.first += 1;
        loop {
            match self.behind.front() {
                Some(Place::Held(len)) => {
                    let end = self.released + len;
                    self.out.extend_from_slice(&self.held[self.released..end]);
                    self.released = end;
                }
                Some(Place::Early(bytes)) => {
                    self.early_bytes -= bytes.len();
                    self.out.extend_from_slice(bytes);
                }
                Some(Place::Gap) | None => break,
            }
            self.behind.pop_front();
            self.first += 1;
        }
        if self.gaps == 0 {
            self.forget_waiting();
        }
    }

    /// Nothing waits any more: keeps what memory a usual pipeline needs again.
    fn forget_waiting(&mut self) {
        self.released = 0;
        self.held.clear();
        self.held.shrink_to(IDLE_HELD_BYTES_MAX);
        if self.behind.capacity() > IDLE_PLACES_MAX {
            self.behind = VecDeque::new();
        }
    }

    /// Replies that are still to come.
    #[inline]
    pub fn gaps(&self) -> usize {
        self.gaps
    }

    /// Bytes that may be sent.
    #[inline]
    pub fn ready_len(&self) -> usize {
        self.out.len()
    }

    /// Bytes that the buffer of what may be sent has room for.
    pub fn ready_capacity(&self) -> usize {
        self.out.capacity()
    }

    /// Replies, or runs of them, from the first that is still to come on.
    pub fn places_behind(&self) -> usize {
        self.behind.len()
    }

    /// All bytes here, those that wait included.
    pub fn len(&self) -> usize {
        self.out.len() + self.held.len() - self.released + self.early_bytes
    }

    /// Whether there is neither a byte nor a gap.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty() && self.behind.is_empty()
    }

    /// Takes what may be sent. The row holds no buffer then.
    #[inline]
    pub fn take_ready(&mut self) -> Vec<u8> {
        self.urgent = false;
        std::mem::take(&mut self.out)
    }

    /// Whether the row holds no buffer.
    #[inline]
    pub fn is_bare(&self) -> bool {
        self.out.capacity() == 0
    }

    /// Gives a bare row an empty buffer to write into.
    #[inline]
    pub fn lend(&mut self, buffer: Vec<u8>) {
        debug_assert!(self.is_bare() && buffer.is_empty());
        self.out = buffer;
    }

    /// Heap bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.out.capacity()
            + self.held.capacity()
            + self.early_bytes
            + self.behind.capacity() * size_of::<Place>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pushes_wait_for_no_reply() {
        let mut row = ReplyRow::default();
        row.write(|out| out.extend_from_slice(b"1"));
        let gap = row.leave_gap();
        row.write(|out| out.extend_from_slice(b"3"));
        assert!(!row.is_urgent());
        row.push(b"!");
        assert!(row.is_urgent());
        assert_eq!((row.take_ready().as_slice(), row.is_urgent()), (&b"1!"[..], false));
        row.push(b"!");
        row.fill(gap, b"2");
        assert_eq!(row.take_ready(), b"!23");
    }

    #[test]
    fn pushes_about_replies_come_behind_them() {
        let mut row = ReplyRow::default();
        row.push_behind(b"a");
        let first = row.leave_gap();
        row.push_behind(b"b");
        assert!(row.is_urgent());
        assert_eq!(row.take_ready(), b"ab");
        row.write(|out| out.extend_from_slice(b"2"));
        row.push_behind(b"c");
        let third = row.leave_gap();
        row.push_behind(b"d");
        row.fill(third, b"3");
        row.push_behind(b"e");
        let fourth = row.leave_gap();
        row.push_behind(b"f");
        assert_eq!((row.ready_len(), row.len()), (0, 6));
        row.fill(first, b"1");
        assert_eq!(row.take_ready(), b"12cd3ef");
        row.fill(fourth, b"4");
        assert_eq!(row.take_ready(), b"4");
        assert!(row.is_empty());
    }

    proptest! {
        /// Whatever the order in which gaps are filled, the bytes come out in the order of the requests.
        #[test]
        fn replies_keep_their_order(remote in prop::collection::vec(any::<bool>(), 1..40), seed in any::<u64>()) {
            let mut row = ReplyRow::default();
            let (mut gaps, mut expected, mut sent) = (Vec::new(), Vec::new(), Vec::new());
            for (n, remote) in remote.iter().enumerate() {
                let reply = format!("<{n}>").into_bytes();
                expected.extend_from_slice(&reply);
                if *remote {
                    gaps.push((row.leave_gap(), reply));
                } else {
                    row.write(|out| out.extend_from_slice(&reply));
                }
                if n % 3 == 0 {
                    sent.extend(row.take_ready());
                }
            }
            let mut random = seed;
            while !gaps.is_empty() {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let (sequence, reply) = gaps.swap_remove((random >> 33) as usize % gaps.len());
                row.fill(sequence, &reply);
            }
            sent.extend(row.take_ready());
            prop_assert_eq!(sent, expected);
            prop_assert!(row.is_empty() && row.gaps() == 0);
        }
    }
}
