//! The elements of the format, read. See [`super::write`] for what they look like.

use std::borrow::Cow;

use super::Error;
use super::write::{INT8, INT16, INT32, LENGTH_14, LENGTH_32, LENGTH_64, LZF, SPECIAL};
use crate::base::lzf;
use crate::base::number::parse_f64;
use crate::types::Str;

const UNKNOWN_FORM: Error = Error::Corrupt("an unknown form of a string");
/// From here on the length of a double's digits stands for a value that has none.
const NO_DIGITS: u8 = 253;

/// Reads from bytes, front to back.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// A string as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text<'a> {
    /// The digits of a number.
    Int(i64),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Text<'a> {
    /// The string, as a number if it spells one.
    pub fn str(&self) -> Str<'_> {
        match self {
            Text::Int(number) => Str::Int(*number),
            Text::Bytes(bytes) => Str::classify(bytes),
        }
    }

    /// Its bytes.
    pub fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Text::Int(number) => Cow::Owned(itoa::Buffer::new().format(number).into()),
            Text::Bytes(bytes) => bytes,
        }
    }
}

/// A length, or the form of a string that has none.
enum Head {
    Length(u64),
    Special(u8),
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// So many bytes as they are.
    pub fn raw(&mut self, len: u64) -> Result<&'a [u8], Error> {
        let len = usize::try_from(len).map_err(|_| Error::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    /// `N` bytes as they are.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn head(&mut self) -> Result<Head, Error> {
        let first = self.byte()?;
        let low = first & !SPECIAL;
        Ok(match first {
            LENGTH_32 => Head::Length(u32::from_be_bytes(self.array()?).into()),
            LENGTH_64 => Head::Length(u64::from_be_bytes(self.array()?)),
            _ => match first & SPECIAL {
                0 => Head::Length(low.into()),
                LENGTH_14 => Head::Length(u16::from_be_bytes([low, self.byte()?]).into()),
                SPECIAL => Head::Special(low),
                _ => return Err(Error::Corrupt("an unknown form of a length")),
            },
        })
    }

    /// A length, a count or another number.
    pub fn length(&mut self) -> Result<u64, Error> {
        match self.head()? {
            Head::Length(length) => Ok(length),
            Head::Special(_) => Err(Error::Corrupt("a string in the place of a length")),
        }
    }

    /// A number of things to come, which is not 0.
    pub(super) fn count(&mut self) -> Result<u64, Error> {
        match self.length()? {
            0 => Err(Error::Empty),
            count => Ok(count),
        }
    }

    /// A string.
    pub fn string(&mut self) -> Result<Text<'a>, Error> {
        let form = match self.head()? {
            Head::Length(length) => return self.raw(length).map(|bytes| Text::Bytes(bytes.into())),
            Head::Special(form) => form,
        };
        Ok(match form {
            INT8 => Text::Int(i8::from_le_bytes(self.array()?).into()),
            INT16 => Text::Int(i16::from_le_bytes(self.array()?).into()),
            INT32 => Text::Int(i32::from_le_bytes(self.array()?).into()),
            LZF => {
                let (stored, len) = (self.length()?, self.length()?);
                let stored = self.raw(stored)?;
                let bytes = usize::try_from(len).ok().and_then(|len| lzf::decompress(stored, len));
                Text::Bytes(bytes.ok_or(Error::Corrupt("a string that cannot be decompressed"))?.into())
            }
            _ => return Err(UNKNOWN_FORM),
        })
    }

    /// How many bytes follow the beginning of a string, which is read.
    pub(super) fn text_len(&mut self) -> Result<u64, Error> {
        Ok(match self.head()? {
            Head::Length(length) => length,
            Head::Special(INT8) => 1,
            Head::Special(INT16) => 2,
            Head::Special(INT32) => 4,
            Head::Special(LZF) => {
                let stored = self.length()?;
                self.length()?;
                stored
            }
            Head::Special(_) => return Err(UNKNOWN_FORM),
        })
    }

    /// Passes over a string.
    pub(super) fn pass_text(&mut self) -> Result<(), Error> {
        let len = self.text_len()?;
        self.raw(len).map(drop)
    }

    /// How many bytes follow the beginning of a double as its digits, which is read.
    pub(super) fn digits_len(&mut self) -> Result<u64, Error> {
        self.byte().map(|len| if len >= NO_DIGITS { 0 } else { len.into() })
    }

    /// The bytes of a string.
    pub fn blob(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.string().map(Text::into_bytes)
    }

    /// A time in Unix milliseconds.
    pub fn millis(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_le_bytes)
    }

    /// A double as its bits.
    pub fn double(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_le_bytes)
    }

    /// A double as its digits, the older form.
    pub fn double_digits(&mut self) -> Result<f64, Error> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Ok(f64::NAN),
            len => parse_f64(self.raw(len.into())?).ok_or(Error::Corrupt("a score that is no number")),
        }
    }
}
