//! Forms of small collections that Redis wrote before it had listpacks: ziplists (until 7.0) and zipmaps (until 2.4).
//! They are taken apart into their elements.
//!
//! ```text
//! ziplist     4 bytes  length of the whole, little-endian
//!             4 bytes  offset of the last element
//!             2 bytes  number of elements, 65535 for "count them"
//!             elements, each: length of the element before it (1 byte, or 254 and 4 bytes), encoding, string or number
//!             0xff
//! zipmap      1 byte   number of pairs, 254 for "count them"
//!             pairs, each: length (1 byte, or 254 and 4 bytes), field, length, number of unused bytes, value, unused bytes
//!             0xff
//! ```

use super::{Error, Reader};
use crate::types::Str;

const END: u8 = 0xff;
/// Marks a length of four bytes, and in a zipmap a number of pairs that is not stored.
const LONG: u8 = 254;

/// The elements of a ziplist.
pub(super) fn ziplist(bytes: &[u8]) -> Result<Vec<Str<'_>>, Error> {
    elements(bytes).ok_or(Error::Corrupt("a ziplist that contradicts itself"))
}

/// Fields and values of a zipmap by turns.
pub(super) fn zipmap(bytes: &[u8]) -> Result<Vec<Str<'_>>, Error> {
    pairs(bytes).ok_or(Error::Corrupt("a zipmap that contradicts itself"))
}

fn elements(bytes: &[u8]) -> Option<Vec<Str<'_>>> {
    const UNCOUNTED: usize = u16::MAX as usize;
    let mut reader = Reader::new(bytes);
    let total = u32::from_le_bytes(reader.array().ok()?) as usize;
    let tail = u32::from_le_bytes(reader.array().ok()?) as usize;
    let count = usize::from(u16::from_le_bytes(reader.array().ok()?));
    let (mut found, mut last, mut last_len) = (Vec::new(), None, 0);
    while *reader.rest().first()? != END {
        let at = bytes.len() - reader.rest().len();
        if length(&mut reader)? != last_len {
            return None;
        }
        found.push(element(&mut reader)?);
        last = Some(at);
        last_len = bytes.len() - reader.rest().len() - at;
    }
    let whole = total == bytes.len() && reader.rest().len() == 1;
    let consistent = last.is_none_or(|last| last == tail) && (count == UNCOUNTED || count == found.len());
    (whole && consistent).then_some(found)
}

/// An element behind the length of its predecessor.
fn element<'a>(reader: &mut Reader<'a>) -> Option<Str<'a>> {
    let first = reader.byte().ok()?;
    let low = first & 0x3f;
    let len = match first >> 6 {
        0 => u32::from(low),
        1 => u32::from(u16::from_be_bytes([low, reader.byte().ok()?])),
        2 => u32::from_be_bytes(reader.array().ok()?),
        _ => return number(first, reader).map(Str::Int),
    };
    reader.raw(len.into()).ok().map(Str::Bytes)
}

fn number(encoding: u8, reader: &mut Reader<'_>) -> Option<i64> {
    Some(match encoding {
        0xc0 => i16::from_le_bytes(reader.array().ok()?).into(),
        0xd0 => i32::from_le_bytes(reader.array().ok()?).into(),
        0xe0 => i64::from_le_bytes(reader.array().ok()?),
        0xf0 => {
            let [a, b, c] = reader.array().ok()?;
            i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)
        }
        0xfe => i8::from_le_bytes(reader.array().ok()?).into(),
        0xf1..=0xfd => i64::from(encoding & 0xf) - 1,
        _ => return None,
    })
}

fn pairs(bytes: &[u8]) -> Option<Vec<Str<'_>>> {
    let mut reader = Reader::new(bytes);
    let count = reader.byte().ok()?;
    let mut found = Vec::new();
    while *reader.rest().first()? != END {
        let len = length(&mut reader)?;
        found.push(Str::Bytes(reader.raw(len as u64).ok()?));
        let len = length(&mut reader)?;
        let unused = reader.byte().ok()?;
        found.push(Str::Bytes(reader.raw(len as u64).ok()?));
        reader.raw(unused.into()).ok()?;
    }
    let counted = count == LONG || usize::from(count) == found.len() / 2;
    (counted && reader.rest().len() == 1).then_some(found)
}

fn length(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.byte().ok()? {
        LONG => Some(u32::from_le_bytes(reader.array().ok()?) as usize),
        END => None,
        short => Some(short.into()),
    }
}
