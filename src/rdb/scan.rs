//! RDB files, read: chunks of bytes go in, records come out. Values that nobody asks for are passed over, not read.
//!
//! A record lies within a chunk, and is handed out where it is, or it begins in one and ends in another: then it is put
//! together in `carry`, with as few bytes of the later chunk as it needs. Values that are passed over are never put
//! together, however long they are. Invariant: `carry` begins where `offset` says, and holds no complete record.
//!
//! All versions that Redis 2.8 to 7.4 wrote are known. What is wrong is told with its place in the file.

use std::borrow::Cow;
use std::fmt;

use super::skip::Skip;
use super::{Error, Reader, VERSION, opcodes, types};
use crate::base::crc64::crc64;

const MAGIC: &[u8; 5] = b"REDIS";
const HEAD_LEN: usize = 9;
/// The first version with a checksum at the end.
const CHECKSUM_SINCE: u16 = 5;
/// The first version with facts about the file and sizes of databases.
const AUX_SINCE: u16 = 7;
/// Bytes of the next chunk that a record is tried with, if it does not say how many it needs.
const PIECE: usize = 64;

/// What stands in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// The beginning, with the version of the format.
    Version(u16),
    /// A fact about the file.
    Aux {
        /// What it is about.
        name: Cow<'a, [u8]>,
        /// What is said.
        value: Cow<'a, [u8]>,
    },
    /// The code of a function library.
    Library(Cow<'a, [u8]>),
    /// Entries of this database follow.
    Select(u64),
    /// How many keys the database has, and how many of them expire.
    Sizes {
        /// Keys.
        keys: u64,
        /// Keys with an expiry.
        expires: u64,
    },
    /// A key that was asked for.
    Entry(Entry<'a>),
    /// The end; what follows in the chunk ([`Scanner::consumed`]) is no part of it.
    End,
}

/// A key with its value.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The number of its database.
    pub db: u64,
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// The type of the value, for [`super::decode`].
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
    /// Where the value stands in the file.
    pub value_at: u64,
    /// What else is said about the key.
    pub about: About,
}

/// What is said about a key before it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct About {
    /// When it expires, Unix milliseconds.
    pub expire_at_ms: Option<i64>,
    /// Seconds since it was last accessed.
    pub idle_seconds: Option<u64>,
    /// The counter of its accesses.
    pub frequency: Option<u8>,
}

/// Something is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} (at offset {offset})")]
pub struct Damage {
    /// Where, in bytes from the beginning.
    pub offset: u64,
    /// What.
    pub problem: Problem,
}

/// What may be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It does not begin as an RDB file does.
    #[error("Wrong signature trying to load DB from file")]
    Signature,
    /// A version that is not known.
    #[error("Can't handle RDB format version {0}")]
    Version(u16),
    /// Neither a type of value nor anything else that may stand here.
    #[error("Unknown RDB type or opcode {0}")]
    Opcode(u8),
    /// Data of a module.
    #[error("The RDB file contains module data I can't load: no matching module type '{0}'")]
    Module(ModuleName),
    /// A function in a form that was never released.
    #[error("Pre-release function format not supported.")]
    PreReleaseFunction,
    /// Something contradicts itself.
    #[error("{0}")]
    Corrupt(#[from] Error),
    /// It ends before its end.
    #[error("Unexpected EOF reading RDB file")]
    EndsEarly,
    /// Something was changed, anywhere.
    #[error("RDB CRC error: wrong RDB checksum expected: ({expected:x}) but got ({found:x})")]
    Checksum {
        /// The checksum of what is there.
        expected: u64,
        /// What the file says.
        found: u64,
    },
}

/// The name of a module's type, which its number spells: nine characters of 6 bits, then 10 bits of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleName(u64);

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..9).try_for_each(|nth| {
            let index = (self.0 >> (10 + 6 * (8 - nth))) & 63;
            write!(f, "{}", char::from(CHARACTERS[index as usize]))
        })
    }
}

/// Which part of a file comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Body,
    Checksum,
    Over,
}

/// What a step has found.
enum Found {
    /// Something that only matters for what follows.
    Nothing,
    Version,
    Aux,
    Library,
    Select,
    Sizes(u64, u64),
    Entry,
    /// The end of what the checksum covers.
    LastOpcode,
    End,
}

/// How far a step has come.
enum Step {
    /// So many bytes are a record.
    Whole(usize, Found),
    /// At least so many more bytes are needed for one.
    Short(u64),
}

/// Where in the bytes given something is wrong, and what.
type Wrong = (usize, Problem);

/// A value that is not complete.
#[derive(Debug)]
struct Open {
    skip: Skip,
    /// If it was asked for: how many bytes of the record were walked over.
    walked: Option<usize>,
}

/// What is known from the records so far.
#[derive(Debug)]
struct Parser {
    stage: Stage,
    version: u16,
    db: u64,
    about: About,
    open: Option<Open>,
    /// The checksum of all but the present chunk.
    crc: u64,
    verify: bool,
}

/// Reads one file. See the module.
#[derive(Debug)]
pub struct Scanner {
    parser: Parser,
    /// Where in the file the next record begins.
    offset: u64,
    carry: Vec<u8>,
    /// What is in `carry` was handed out, and is to be forgotten.
    handed_out: bool,
    /// How many more bytes the record in `carry` needs at least.
    missing: u64,
    /// How far the present chunk is read, and up to where its bytes are in the checksum.
    at: usize,
    summed: usize,
}

impl Scanner {
    /// Reads a file from its beginning; `verify` as in `rdbchecksum`.
    pub fn new(verify: bool) -> Scanner {
        let parser = Parser {
            stage: Stage::Head,
            version: 0,
            db: 0,
            about: About::default(),
            open: None,
            crc: 0,
            verify,
        };
        Scanner { parser, offset: 0, carry: Vec::new(), handed_out: false, missing: 0, at: 0, summed: 0 }
    }

    /// The next record; `None` if the rest of the chunk holds no complete one: then the next call takes the next chunk,
    /// all calls before it the same. `wants` says for each key whether it is handed out.
    ///
    /// # Errors
    /// If the file is damaged; it cannot be read any further.
    #[inline]
    pub fn next<'a>(
        &'a mut self,
        chunk: &'a [u8],
        mut wants: impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<Record<'a>>, Damage> {
        if std::mem::take(&mut self.handed_out) {
            self.carry.clear();
        }
        loop {
            if self.parser.stage == Stage::Over {
                return Ok(None);
            }
            let in_carry = !self.carry.is_empty();
            if in_carry {
                self.extend_carry(chunk);
            }
            let bytes = if in_carry { &self.carry[..] } else { &chunk[self.at..] };
            let step = self.parser.step(bytes, &mut wants);
            let step = step.map_err(|(at, problem)| Damage { offset: self.offset + at as u64, problem })?;
            let (used, found) = match step {
                Step::Whole(used, found) => (used, found),
                Step::Short(missing) => {
                    self.missing = missing;
                    if !in_carry {
                        self.carry.extend_from_slice(&chunk[self.at..]);
                        self.at = chunk.len();
                    }
                    if self.at == chunk.len() {
                        self.end_chunk(chunk);
                        return Ok(None);
                    }
                    continue;
                }
            };
            let start = self.offset;
            self.offset += used as u64;
            if in_carry {
                // What was not needed is read where it is.
                self.at -= self.carry.len() - used;
                self.carry.truncate(used);
            } else {
                self.at += used;
            }
            match found {
                Found::Nothing => self.carry.clear(),
                Found::LastOpcode => {
                    self.carry.clear();
                    self.sum(&chunk[..self.at]);
                    self.parser.stage = Stage::Checksum;
                }
                found => {
                    self.handed_out = in_carry;
                    let bytes = if in_carry { &self.carry[..] } else { &chunk[self.at - used..self.at] };
                    return self.parser.record(found, bytes, start).map(Some);
                }
            }
        }
    }

    /// Adds bytes of the chunk to a record that began before it.
    fn extend_carry(&mut self, chunk: &[u8]) {
        let rest = &chunk[self.at..];
        let wanted = usize::try_from(self.missing).unwrap_or(usize::MAX).max(PIECE);
        let piece = &rest[..wanted.min(rest.len())];
        self.carry.extend_from_slice(piece);
        self.at += piece.len();
    }

    fn sum(&mut self, chunk: &[u8]) {
        if self.parser.verify && matches!(self.parser.stage, Stage::Head | Stage::Body) {
            self.parser.crc = crc64(self.parser.crc, &chunk[self.summed..]);
        }
        self.summed = chunk.len();
    }

    fn end_chunk(&mut self, chunk: &[u8]) {
        self.sum(chunk);
        (self.at, self.summed) = (0, 0);
    }

    /// How many bytes of the present chunk were read.
    pub fn consumed(&self) -> usize {
        self.at
    }

    /// Where in the file the next record begins; after the end, where that is.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// There are no more bytes.
    ///
    /// # Errors
    /// If there should be.
    pub fn finish(&self) -> Result<(), Damage> {
        match self.parser.stage {
            Stage::Over => Ok(()),
            _ => {
                let offset = self.offset + self.carry.len() as u64;
                Err(Damage { offset, problem: Problem::EndsEarly })
            }
        }
    }
}

impl Parser {
    /// Finds where the next record ends.
    #[inline]
    fn step(&mut self, bytes: &[u8], wants: &mut impl FnMut(&[u8]) -> bool) -> Result<Step, Wrong> {
        if self.open.is_some() {
            return self.go_on(bytes);
        }
        let step = match self.stage {
            Stage::Head => self.head(bytes),
            Stage::Body => self.body(bytes, wants),
            Stage::Checksum => self.checksum(bytes),
            Stage::Over => unreachable!("nothing is read behind the end"),
        };
        match step {
            Err((_, Problem::Corrupt(Error::Truncated))) => Ok(Step::Short(1)),
            step => step,
        }
    }

    /// Goes on with a value.
    fn go_on(&mut self, bytes: &[u8]) -> Result<Step, Wrong> {
        let Some(Open { skip, walked }) = &mut self.open else { unreachable!("there is one") };
        let from = walked.unwrap_or(0);
        let used = skip.advance(&bytes[from..]).map_err(|(at, error)| (from + at, error.into()))?;
        let (end, done) = (from + used, skip.is_done());
        let is_wanted = walked.is_some();
        if done {
            self.open = None;
            return Ok(Step::Whole(end, if is_wanted { Found::Entry } else { Found::Nothing }));
        }
        if is_wanted {
            *walked = Some(end);
        } else if used > 0 {
            return Ok(Step::Whole(used, Found::Nothing));
        }
        Ok(Step::Short(skip.missing()))
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Step, Wrong> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err((0, Problem::Signature));
        }
        let Some(digits) = bytes.get(MAGIC.len()..HEAD_LEN) else {
            return Ok(Step::Short((HEAD_LEN - bytes.len()) as u64));
        };
        let number = digits.iter().take_while(|digit| digit.is_ascii_digit());
        let version = number.fold(0, |version, digit| version * 10 + u16::from(digit - b'0'));
        if !(1..=VERSION).contains(&version) || !digits.iter().all(u8::is_ascii_digit) {
            return Err((MAGIC.len(), Problem::Version(version)));
        }
        self.version = version;
        self.stage = Stage::Body;
        Ok(Step::Whole(HEAD_LEN, Found::Version))
    }

    #[inline]
    fn body(&mut self, bytes: &[u8], wants: &mut impl FnMut(&[u8]) -> bool) -> Result<Step, Wrong> {
        let mut reader = Reader::new(bytes);
        let wrong = |error: Error| (0, error.into());
        let opcode = reader.byte().map_err(wrong)?;
        if let Some(skip) = Skip::over(opcode) {
            let key = reader.blob().map_err(wrong)?;
            let wanted = wants(&key);
            let head_len = bytes.len() - reader.rest().len();
            return self.value(skip, bytes, head_len, wanted);
        }
        let found = self.opcode(opcode, &mut reader)?;
        Ok(Step::Whole(bytes.len() - reader.rest().len(), found))
    }

    /// Walks over the value of a key that has been read.
    #[inline]
    fn value(&mut self, mut skip: Skip, bytes: &[u8], head_len: usize, wanted: bool) -> Result<Step, Wrong> {
        let used = skip.advance(&bytes[head_len..]).map_err(|(at, error)| (head_len + at, error.into()))?;
        let (end, done) = (head_len + used, skip.is_done());
        if !wanted {
            self.about = About::default();
        }
        if done {
            return Ok(Step::Whole(end, if wanted { Found::Entry } else { Found::Nothing }));
        }
        let missing = skip.missing();
        self.open = Some(Open { skip, walked: wanted.then_some(end) });
        Ok(if wanted { Step::Short(missing) } else { Step::Whole(end, Found::Nothing) })
    }

    /// Reads what is no entry.
    fn opcode(&mut self, opcode: u8, reader: &mut Reader<'_>) -> Result<Found, Wrong> {
        let wrong = |error: Error| (0, error.into());
        let found = match opcode {
            opcodes::EXPIRE_TIME => {
                let seconds = i32::from_le_bytes(reader.array().map_err(wrong)?);
                self.about.expire_at_ms = Some(i64::from(seconds) * 1000);
                Found::Nothing
            }
            opcodes::EXPIRE_TIME_MS => {
                // Redis takes this for none.
                self.about.expire_at_ms = Some(reader.millis().map_err(wrong)?).filter(|&at| at != -1);
                Found::Nothing
            }
            opcodes::FREQUENCY => {
                self.about.frequency = Some(reader.byte().map_err(wrong)?);
                Found::Nothing
            }
            opcodes::IDLE => {
                self.about.idle_seconds = Some(reader.length().map_err(wrong)?);
                Found::Nothing
            }
            opcodes::SELECT_DB => {
                self.db = reader.length().map_err(wrong)?;
                Found::Select
            }
            opcodes::RESIZE_DB if self.version >= AUX_SINCE => {
                Found::Sizes(reader.length().map_err(wrong)?, reader.length().map_err(wrong)?)
            }
            opcodes::SLOT_INFO => {
                // The slot's number, and how many keys it has and how many of them expire.
                (0..3).try_for_each(|_| reader.length().map(drop)).map_err(wrong)?;
                Found::Nothing
            }
            opcodes::AUX if self.version >= AUX_SINCE => {
                (0..2).try_for_each(|_| reader.blob().map(drop)).map_err(wrong)?;
                Found::Aux
            }
            opcodes::FUNCTION2 => {
                reader.blob().map_err(wrong)?;
                Found::Library
            }
            opcodes::EOF => Found::LastOpcode,
            opcodes::FUNCTION_PRE_GA => return Err((0, Problem::PreReleaseFunction)),
            opcodes::MODULE_AUX => return Err((0, module(reader.length()).map_err(wrong)?)),
            types::MODULE | types::MODULE_2 => {
                reader.blob().map_err(wrong)?;
                return Err((0, module(reader.length()).map_err(wrong)?));
            }
            _ => return Err((0, Problem::Opcode(opcode))),
        };
        Ok(found)
    }

    fn checksum(&mut self, bytes: &[u8]) -> Result<Step, Wrong> {
        if self.version < CHECKSUM_SINCE {
            self.stage = Stage::Over;
            return Ok(Step::Whole(0, Found::End));
        }
        let found = Reader::new(bytes).array().map_err(|error| (0, error.into()))?;
        let found = u64::from_le_bytes(found);
        // 0 says that the writer has computed none.
        if self.verify && found != 0 && found != self.crc {
            return Err((0, Problem::Checksum { expected: self.crc, found }));
        }
        self.stage = Stage::Over;
        Ok(Step::Whole(size_of::<u64>(), Found::End))
    }

    /// What was found, from its bytes, which begin at `offset`.
    #[inline]
    fn record<'a>(&mut self, found: Found, bytes: &'a [u8], offset: u64) -> Result<Record<'a>, Damage> {
        let mut reader = Reader::new(bytes.get(1..).unwrap_or_default());
        let read = match found {
            Found::Entry => reader.blob().map(|key| {
                let value = reader.rest();
                let value_at = offset + (bytes.len() - value.len()) as u64;
                let about = std::mem::take(&mut self.about);
                Record::Entry(Entry { db: self.db, key, kind: bytes[0], value, value_at, about })
            }),
            Found::Version => Ok(Record::Version(self.version)),
            Found::Aux => {
                reader.blob().and_then(|name| reader.blob().map(|value| Record::Aux { name, value }))
            }
            Found::Library => reader.blob().map(Record::Library),
            Found::Select => Ok(Record::Select(self.db)),
            Found::Sizes(keys, expires) => Ok(Record::Sizes { keys, expires }),
            Found::End => Ok(Record::End),
            Found::Nothing | Found::LastOpcode => unreachable!("they are no records"),
        };
        read.map_err(|error| Damage { offset, problem: error.into() })
    }
}

fn module(id: Result<u64, Error>) -> Result<Problem, Error> {
    id.map(|id| Problem::Module(ModuleName(id)))
}
