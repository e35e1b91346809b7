//! Where values end, without reading what is in them: so fast that one thread can do it for all cores.
//!
//! The form of each type is data: a row of [`Part`]s, of which some repeat. [`Skip`] walks along it, and may stop after any
//! byte that it was given and go on when there are more.

use smallvec::{SmallVec, smallvec};

use super::{Error, Reader, types};

/// A part of a value.
#[derive(Debug)]
enum Part {
    /// A string.
    Text,
    /// A length or another number in that form.
    Number,
    /// So many bytes.
    Raw(u64),
    /// A score as digits.
    Digits,
    /// A number, and as often what follows here.
    Repeat(&'static [Part]),
}

use Part::{Digits, Number, Raw, Repeat, Text};

const ID: Part = Raw(16);
const TIME: Part = Raw(8);
const NODES: Part = Repeat(&[Text, Text]);
const PENDING: Part = Repeat(&[ID, TIME, Number]);
const CONSUMERS: Part = Repeat(&[Text, TIME, Repeat(&[ID])]);
const ACTIVE_CONSUMERS: Part = Repeat(&[Text, TIME, TIME, Repeat(&[ID])]);

const STREAM: &[Part] = &[NODES, Number, Number, Number, Repeat(&[Text, Number, Number, PENDING, CONSUMERS])];
const STREAM_2: &[Part] = &[
    NODES,
    Number,
    Number,
    Number,
    Number,
    Number,
    Number,
    Number,
    Number,
    Repeat(&[Text, Number, Number, Number, PENDING, CONSUMERS]),
];
const STREAM_3: &[Part] = &[
    NODES,
    Number,
    Number,
    Number,
    Number,
    Number,
    Number,
    Number,
    Number,
    Repeat(&[Text, Number, Number, Number, PENDING, ACTIVE_CONSUMERS]),
];

/// Whether there is such a type of values.
#[inline]
pub(super) fn is_type(kind: u8) -> bool {
    parts(kind).is_some()
}

/// Whether a value of this type is one string.
#[inline]
pub(super) fn is_text(kind: u8) -> bool {
    matches!(parts(kind), Some([Text]))
}

/// The parts of a value of this type.
#[inline]
fn parts(kind: u8) -> Option<&'static [Part]> {
    Some(match kind {
        types::STRING
        | types::HASH_ZIPMAP
        | types::LIST_ZIPLIST
        | types::SET_INTSET
        | types::ZSET_ZIPLIST
        | types::HASH_ZIPLIST
        | types::HASH_LISTPACK
        | types::ZSET_LISTPACK
        | types::SET_LISTPACK
        | types::HASH_LISTPACK_EX_PRE_GA => &[Text],
        types::LIST | types::SET | types::LIST_QUICKLIST => &[Repeat(&[Text])],
        types::ZSET => &[Repeat(&[Text, Digits])],
        types::ZSET_2 => &[Repeat(&[Text, Raw(8)])],
        types::HASH => &[Repeat(&[Text, Text])],
        types::LIST_QUICKLIST_2 => &[Repeat(&[Number, Text])],
        types::HASH_METADATA_PRE_GA => &[Repeat(&[Number, Text, Text])],
        types::HASH_METADATA => &[TIME, Repeat(&[Number, Text, Text])],
        types::HASH_LISTPACK_EX => &[TIME, Text],
        types::STREAM => STREAM,
        types::STREAM_2 => STREAM_2,
        types::STREAM_3 => STREAM_3,
        _ => return None,
    })
}

/// A row of parts that is being walked along.
#[derive(Debug)]
struct Row {
    parts: &'static [Part],
    /// The part that comes next.
    next: usize,
    /// How often the row is still to be walked along, this time included.
    times: u64,
}

/// A walk over one value. See the module.
#[derive(Debug)]
pub(super) struct Skip {
    /// The row of the value, and in it those that repeat.
    rows: SmallVec<[Row; 4]>,
    /// Bytes to pass over before the next part.
    raw: u64,
}

impl Skip {
    /// A walk over a value of this type; `None` if there is no such type.
    pub(super) fn over(kind: u8) -> Option<Skip> {
        let row = Row { parts: parts(kind)?, next: 0, times: 1 };
        Some(Skip { rows: smallvec![row], raw: 0 })
    }

    /// Whether the end of the value is reached.
    pub(super) fn is_done(&self) -> bool {
        self.rows.is_empty() && self.raw == 0
    }

    /// Goes on over `bytes`, which are those behind what was used so far. Returns how many of them are used: fewer than all
    /// if the value ends, or if there is a beginning of a part only.
    ///
    /// # Errors
    /// What is wrong, and with which byte.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, (usize, Error)> {
        let mut used = 0;
        loop {
            let here = (bytes.len() - used) as u64;
            let passed = self.raw.min(here);
            self.raw -= passed;
            used += passed as usize;
            if self.raw > 0 {
                return Ok(used);
            }
            let Some(row) = self.rows.last_mut() else { return Ok(used) };
            let Some(part) = row.parts.get(row.next) else {
                row.times -= 1;
                row.next = 0;
                if row.times == 0 {
                    self.rows.pop();
                }
                continue;
            };
            let mut reader = Reader::new(&bytes[used..]);
            let mut repeated = None;
            let follows = match part {
                Text => reader.text_len(),
                Number => reader.length().map(|_| 0),
                Raw(len) => Ok(*len),
                Digits => reader.digits_len(),
                Repeat(parts) => reader.length().map(|times| {
                    repeated = Some(Row { parts, next: 0, times }).filter(|row| row.times > 0);
                    0
                }),
            };
            match follows {
                Ok(raw) => self.raw = raw,
                Err(Error::Truncated) => return Ok(used),
                Err(error) => return Err((used, error)),
            }
            used = bytes.len() - reader.rest().len();
            row.next += 1;
            self.rows.extend(repeated);
        }
    }
}
