//! Replies of one client that wait until what they tell is on stable storage.
//!
//! Replies go out in order, so what is ready is *parked* as a whole at the end of a turn, with the log number that the newest of
//! it depends on. Invariants: the numbers of parked bytes ascend; `bytes` counts them; a client whose replies need not
//! wait parks nothing.

use std::collections::VecDeque;

use crate::net::reply_row::ReplyRow;

/// See the module.
#[derive(Debug, Default)]
pub struct Hold {
    /// What was written to the row so far depends on this log number.
    until: u64,
    parked: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Hold {
    /// What is written to the row now waits until the log is safe up to this number.
    #[inline]
    pub fn until(&mut self, number: u64) {
        self.until = self.until.max(number);
    }

    /// Whether nothing waits while the log is safe up to this number.
    #[inline]
    pub fn is_idle(&self, safe: u64) -> bool {
        self.until <= safe && self.parked.is_empty()
    }

    /// Parks what is ready in a row. Returns the number that it waits for.
    pub fn park(&mut self, row: &mut ReplyRow) -> Option<u64> {
        if row.ready_len() == 0 {
            return None;
        }
        let bytes = row.take_ready();
        self.bytes += bytes.len();
        self.parked.push_back((self.until, bytes));
        Some(self.until)
    }

    /// Takes what waits no more, in order.
    pub fn take(&mut self, safe: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while self.parked.front().is_some_and(|(until, _)| *until <= safe) {
            let Some((_, bytes)) = self.parked.pop_front() else { break };
            self.bytes -= bytes.len();
            if out.is_empty() {
                out = bytes;
            } else {
                out.extend_from_slice(&bytes);
            }
        }
        out
    }

    /// Bytes that are parked.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_wait_for_what_they_tell_and_for_those_before_them() {
        let (mut hold, mut row) = (Hold::default(), ReplyRow::default());
        assert!(hold.is_idle(0));
        let mut reply = |hold: &mut Hold, until, bytes: &[u8]| {
            row.write(|out| out.extend_from_slice(bytes));
            hold.until(until);
            hold.park(&mut row)
        };
        assert_eq!(reply(&mut hold, 10, b"a"), Some(10));
        assert_eq!(reply(&mut hold, 5, b"b"), Some(10), "behind the first");
        assert_eq!(reply(&mut hold, 20, b"c"), Some(20));
        assert_eq!((hold.take(9), hold.len()), (Vec::new(), 3));
        assert_eq!(hold.take(19), b"ab");
        assert!(!hold.is_idle(19));
        assert_eq!(hold.take(20), b"c");
        assert!(hold.is_idle(20) && hold.is_empty());
    }
}
