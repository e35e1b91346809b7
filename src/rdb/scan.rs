//! RDB files, read: windows on the bytes go in, records come out.
//!
//! A [`Scanner`] finds where each record ends, without a look at what is in values. What a record says is read by
//! [`Record::read`], and may be read again by somebody who knows where it begins. What is said about a key stands before it,
//! and belongs to its record.
//!
//! A window holds a part of the file. When there is no complete record left in it, the next window begins with what was not
//! read. Invariant: the first `walked` bytes of the record that comes next were looked at and are as they should be, and go as
//! far as `skip`, if there is one, has come in a value.
//!
//! All versions that Redis 2.8 to 7.4 wrote are known. What is wrong is told with its place in the file.

use std::borrow::Cow;
use std::fmt;

use super::skip::{self, Skip};
use super::{Error, Reader, VERSION, opcodes, types};
use crate::base::crc64::crc64;

/// The shortest entry: a type, and the lengths of an empty key and an empty value.
pub const ENTRY_BYTES_MIN: u64 = 3;

const MAGIC: &[u8; 5] = b"REDIS";
const HEAD_LEN: usize = 9;
/// The first version with a checksum at the end.
const CHECKSUM_SINCE: u16 = 5;
/// The first version with facts about the file and sizes of databases.
const AUX_SINCE: u16 = 7;

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
    /// A key.
    Entry(Entry<'a>),
    /// The end; what follows in the window ([`Scanner::consumed`]) is no part of it.
    End,
}

/// A key with its value.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// The type of the value, for [`super::decode`].
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
    /// Where it begins in the record.
    pub value_at: usize,
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
    Over,
}

/// Where in the bytes given something is wrong, and what. What is [`Error::Truncated`] may go on in the next window.
type Wrong = (usize, Problem);

fn at<E: Into<Problem>>(at: usize) -> impl Fn(E) -> Wrong {
    move |error| (at, error.into())
}

/// Goes through one file. See the module.
#[derive(Debug)]
pub struct Scanner {
    stage: Stage,
    version: u16,
    /// Where in the file the window begins.
    start: u64,
    /// Where in the window the next record begins.
    at: usize,
    /// How much of that record is known.
    walked: usize,
    /// The way through its value.
    skip: Option<Skip>,
    /// The checksum of all before the window.
    crc: u64,
    verify: bool,
}

impl Scanner {
    /// Reads a file from its beginning; `verify` as in `rdbchecksum`.
    pub fn new(verify: bool) -> Scanner {
        Scanner { stage: Stage::Head, version: 0, start: 0, at: 0, walked: 0, skip: None, crc: 0, verify }
    }

    /// The next record. `None` if the window holds no complete one any more; then it is time for [`Scanner::leave`].
    ///
    /// # Errors
    /// If the file is damaged; it cannot be read any further.
    #[inline]
    pub fn next<'a>(&mut self, window: &'a [u8]) -> Result<Option<Record<'a>>, Damage> {
        let bytes = &window[self.at..];
        let found = match self.stage {
            Stage::Head => self.head(bytes),
            Stage::Body => self.body(bytes),
            Stage::Over => return Ok(None),
        };
        let read = match found {
            Ok(Found::Record(len)) => Record::read(&bytes[..len]).map(|record| (len, record)),
            Ok(Found::Version) => Ok((HEAD_LEN, Record::Version(self.version))),
            Ok(Found::LastOpcode) => self.end(window).map(|len| (len, Record::End)),
            Err(wrong) => Err(wrong),
        };
        match read {
            Ok((len, record)) => {
                self.at += len;
                self.walked = 0;
                Ok(Some(record))
            }
            Err((_, Problem::Corrupt(Error::Truncated))) => Ok(None),
            Err((at, problem)) => Err(Damage { offset: self.offset() + at as u64, problem }),
        }
    }

    /// Leaves a window, whose first [`Scanner::consumed`] bytes, which are returned, are not needed any more. The next window
    /// begins behind them.
    pub fn leave(&mut self, window: &[u8]) -> usize {
        let read = std::mem::take(&mut self.at);
        if self.stage != Stage::Over {
            self.crc = self.sum(&window[..read]);
        }
        self.start += read as u64;
        read
    }

    /// How many bytes of the window were read.
    pub fn consumed(&self) -> usize {
        self.at
    }

    /// Where in the file the next record begins; after the end, where that is.
    pub fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// There are no more bytes than those of the window.
    ///
    /// # Errors
    /// If there should be.
    pub fn finish(&self, window: &[u8]) -> Result<(), Damage> {
        match self.stage {
            Stage::Over => Ok(()),
            _ => Err(Damage { offset: self.start + window.len() as u64, problem: Problem::EndsEarly }),
        }
    }

    fn sum(&self, more: &[u8]) -> u64 {
        if self.verify { crc64(self.crc, more) } else { 0 }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Found, Wrong> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err((0, Problem::Signature));
        }
        let digits = bytes.get(MAGIC.len()..HEAD_LEN).ok_or(Error::Truncated).map_err(at(0))?;
        let number = digits.iter().take_while(|digit| digit.is_ascii_digit());
        let version = number.fold(0, |version, digit| version * 10 + u16::from(digit - b'0'));
        if !(1..=VERSION).contains(&version) || !digits.iter().all(u8::is_ascii_digit) {
            return Err((MAGIC.len(), Problem::Version(version)));
        }
        self.version = version;
        self.stage = Stage::Body;
        Ok(Found::Version)
    }

    /// Finds where the next record ends.
    #[inline]
    fn body(&mut self, bytes: &[u8]) -> Result<Found, Wrong> {
        loop {
            if let Some(skip) = &mut self.skip {
                let walked = self.walked;
                self.walked +=
                    skip.advance(&bytes[walked..]).map_err(|(off, error)| (walked + off, error.into()))?;
                if !skip.is_done() {
                    return Err((self.walked, Error::Truncated.into()));
                }
                self.skip = None;
                return Ok(Found::Record(self.walked));
            }
            let mut reader = Reader::new(&bytes[self.walked..]);
            let opcode = reader.byte().map_err(at(self.walked))?;
            if skip::is_type(opcode) {
                reader.pass_text().map_err(at(self.walked))?;
                let mut text = reader.clone();
                if skip::is_text(opcode) && text.pass_text().is_ok() {
                    return Ok(Found::Record(bytes.len() - text.rest().len()));
                }
                self.skip = Skip::over(opcode);
            } else if opcode == opcodes::EOF {
                return Ok(Found::LastOpcode);
            } else if !self.pass(opcode, &mut reader).map_err(|problem| (self.walked, problem))? {
                return Ok(Found::Record(bytes.len() - reader.rest().len()));
            }
            self.walked = bytes.len() - reader.rest().len();
        }
    }

    /// Passes over what is neither a key nor the end. Returns whether it belongs to the key that comes.
    fn pass(&self, opcode: u8, reader: &mut Reader<'_>) -> Result<bool, Problem> {
        let since = |first: u16| if self.version >= first { Ok(()) } else { Err(Problem::Opcode(opcode)) };
        match opcode {
            opcodes::SELECT_DB => reader.length().map(drop)?,
            opcodes::RESIZE_DB => {
                since(AUX_SINCE)?;
                (0..2).try_for_each(|_| reader.length().map(drop))?;
            }
            opcodes::AUX => {
                since(AUX_SINCE)?;
                (0..2).try_for_each(|_| reader.pass_text())?;
            }
            opcodes::FUNCTION2 => reader.pass_text()?,
            opcodes::FUNCTION_PRE_GA => return Err(Problem::PreReleaseFunction),
            opcodes::MODULE_AUX => return Err(Problem::Module(ModuleName(reader.length()?))),
            types::MODULE | types::MODULE_2 => {
                reader.pass_text()?;
                return Err(Problem::Module(ModuleName(reader.length()?)));
            }
            _ if About::default().take(opcode, reader)? => return Ok(true),
            _ => return Err(Problem::Opcode(opcode)),
        }
        Ok(false)
    }

    /// Reads what follows the last opcode. Returns how long the last record is.
    fn end(&mut self, window: &[u8]) -> Result<usize, Wrong> {
        let mut len = self.walked + 1;
        let (covered, rest) = window.split_at(self.at + len);
        if self.version >= CHECKSUM_SINCE {
            let found = Reader::new(rest).array().map_err(at(len))?;
            let (found, expected) = (u64::from_le_bytes(found), self.sum(covered));
            // 0 says that the writer has computed none.
            if self.verify && found != 0 && found != expected {
                return Err((len, Problem::Checksum { expected, found }));
            }
            len += size_of_val(&found);
        }
        self.stage = Stage::Over;
        Ok(len)
    }
}

/// What a scanner has come to.
enum Found {
    /// What [`Record::read`] reads, with its length.
    Record(usize),
    Version,
    LastOpcode,
}

impl<'a> Record<'a> {
    /// Reads a record of which a [`Scanner`] has found that it stands at the beginning of `bytes`; what stands behind it is
    /// taken for a part of its value. Version and end are not read so.
    ///
    /// # Errors
    /// What is wrong, and where.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Record<'a>, (usize, Problem)> {
        let mut reader = Reader::new(bytes);
        let mut about = About::default();
        loop {
            let from = bytes.len() - reader.rest().len();
            let opcode = reader.byte().map_err(at(from))?;
            if skip::is_type(opcode) {
                let key = reader.blob().map_err(at(from))?;
                let value = reader.rest();
                let value_at = bytes.len() - value.len();
                return Ok(Record::Entry(Entry { key, kind: opcode, value, value_at, about }));
            }
            if !about.take(opcode, &mut reader).map_err(at(from))? {
                return Record::without_key(opcode, &mut reader).map_err(|problem| (from, problem));
            }
        }
    }

    fn without_key(opcode: u8, reader: &mut Reader<'a>) -> Result<Record<'a>, Problem> {
        Ok(match opcode {
            opcodes::SELECT_DB => Record::Select(reader.length()?),
            opcodes::RESIZE_DB => Record::Sizes { keys: reader.length()?, expires: reader.length()? },
            opcodes::AUX => Record::Aux { name: reader.blob()?, value: reader.blob()? },
            opcodes::FUNCTION2 => Record::Library(reader.blob()?),
            _ => return Err(Problem::Opcode(opcode)),
        })
    }
}

impl About {
    /// Takes note of what an opcode says, and reads it; false if that is nothing about a key.
    fn take(&mut self, opcode: u8, reader: &mut Reader<'_>) -> Result<bool, Error> {
        match opcode {
            opcodes::EXPIRE_TIME => {
                let seconds = i32::from_le_bytes(reader.array()?);
                self.expire_at_ms = Some(i64::from(seconds) * 1000);
            }
            // Redis takes -1 for none.
            opcodes::EXPIRE_TIME_MS => self.expire_at_ms = Some(reader.millis()?).filter(|&at| at != -1),
            opcodes::FREQUENCY => self.frequency = Some(reader.byte()?),
            opcodes::IDLE => self.idle_seconds = Some(reader.length()?),
            // The slot's number, and how many keys it has and how many of them expire.
            opcodes::SLOT_INFO => (0..3).try_for_each(|_| reader.length().map(drop))?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
