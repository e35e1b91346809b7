//! The ID of a stream entry: milliseconds of Unix time and a number that orders entries of the same millisecond.
//! IDs are written `<ms>-<seq>` (redis.io/docs/latest/develop/data-types/streams, "Entry IDs").

use smallvec::SmallVec;

use crate::base::number::parse_u64;

/// An ID. IDs compare by their milliseconds, then by their sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id {
    /// Milliseconds of Unix time, as a rule.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

/// The text of an ID.
pub type IdText = SmallVec<[u8; 48]>;

/// An ID as a client writes it, of which the sequence number may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdArg {
    /// `<ms>-<seq>`.
    Whole(Id),
    /// `<ms>`.
    Millis(u64),
    /// `<ms>-*`: the sequence number is to be chosen.
    AnySeq(u64),
    /// `-`, the smallest ID.
    Smallest,
    /// `+`, the greatest ID.
    Greatest,
}

impl Id {
    /// The smallest, which no entry can have.
    pub const MIN: Id = Id::new(0, 0);
    /// The greatest.
    pub const MAX: Id = Id::new(u64::MAX, u64::MAX);

    /// From its parts.
    pub const fn new(ms: u64, seq: u64) -> Id {
        Id { ms, seq }
    }

    /// The ID right behind, unless this is the greatest.
    #[inline]
    pub fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The ID right before, unless this is the smallest.
    #[inline]
    pub fn prev(self) -> Option<Id> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => Some(Id::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// `<ms>-<seq>`.
    pub fn text(self) -> IdText {
        let mut text = IdText::new();
        text.extend_from_slice(itoa::Buffer::new().format(self.ms).as_bytes());
        text.push(b'-');
        text.extend_from_slice(itoa::Buffer::new().format(self.seq).as_bytes());
        text
    }
}

impl IdArg {
    /// Longest text that is read.
    const MAX_TEXT: usize = 127;

    /// Reads an ID. As in Redis, the text ends at its first zero byte.
    pub fn parse(text: &[u8]) -> Option<IdArg> {
        if text.len() > IdArg::MAX_TEXT {
            return None;
        }
        let text = text.split(|&byte| byte == 0).next().expect("a split has a first part");
        match text {
            b"-" => return Some(IdArg::Smallest),
            b"+" => return Some(IdArg::Greatest),
            _ => {}
        }
        match text.iter().position(|&byte| byte == b'-') {
            None => Some(IdArg::Millis(parse_u64(text)?)),
            Some(dash) => {
                let ms = parse_u64(&text[..dash])?;
                match &text[dash + 1..] {
                    b"*" => Some(IdArg::AnySeq(ms)),
                    seq => Some(IdArg::Whole(Id::new(ms, parse_u64(seq)?))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours() {
        for (id, next) in [
            (Id::new(1, 1), Some(Id::new(1, 2))),
            (Id::new(1, u64::MAX), Some(Id::new(2, 0))),
            (Id::MAX, None),
        ] {
            assert_eq!(id.next(), next);
            assert_eq!(next.and_then(Id::prev).unwrap_or(Id::MAX), id);
        }
        assert_eq!(Id::MIN.prev(), None);
    }

    #[test]
    fn texts() {
        for (text, id) in [
            ("1-2", Some(IdArg::Whole(Id::new(1, 2)))),
            ("18446744073709551615-0", Some(IdArg::Whole(Id::new(u64::MAX, 0)))),
            ("5", Some(IdArg::Millis(5))),
            ("007", Some(IdArg::Millis(7))),
            ("5-*", Some(IdArg::AnySeq(5))),
            ("-", Some(IdArg::Smallest)),
            ("+", Some(IdArg::Greatest)),
            ("5\0junk", Some(IdArg::Millis(5))),
            ("", None),
            ("*", None),
            ("-5", None),
            ("5-", None),
            ("5--5", None),
            ("5-1-1", None),
            ("18446744073709551616-0", None),
            ("1.5", None),
        ] {
            assert_eq!(IdArg::parse(text.as_bytes()), id, "{text}");
        }
        assert_eq!(&Id::new(3, 14).text()[..], b"3-14");
        assert_eq!(Id::MAX.text().len(), 41);
        assert_eq!(IdArg::parse(&[b'0'; 128]), None);
    }
}
