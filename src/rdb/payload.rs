//! What `DUMP` returns and `RESTORE` takes: the type byte, the value, the version of the format (2 bytes) and the CRC-64 of
//! all of that (8 bytes), both little-endian. The version is the oldest that has such a value, so that older servers take it.

use super::{Error, Object, Reader, Rules, VERSION, Writer, decode, encode, type_of, version_of};
use crate::base::crc64::crc64;
use crate::shard::Item;

const FOOTER: usize = 10;
const CHECKSUM: usize = 8;

/// An item's value as a payload, strings compressed if `compress`.
pub fn dump(item: &Item, compress: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), compress);
    let kind = type_of(item);
    writer.byte(kind);
    encode(item, &mut writer);
    sealed(writer.into_output(), version_of(kind))
}

/// A value with the footer of a version.
pub fn sealed(mut payload: Vec<u8>, version: u16) -> Vec<u8> {
    payload.extend(version.to_le_bytes());
    payload.extend(crc64(0, &payload).to_le_bytes());
    payload
}

/// The part of a payload before its footer; `None` if it is of a newer version or was changed.
pub fn opened(payload: &[u8]) -> Option<&[u8]> {
    let covered = &payload[..payload.len().checked_sub(CHECKSUM)?];
    opened_in_any_case(payload).filter(|_| crc64(0, covered).to_le_bytes() == payload[covered.len()..])
}

/// The same without a look at whether it was changed.
pub fn opened_in_any_case(payload: &[u8]) -> Option<&[u8]> {
    let (body, footer) = payload.split_at(payload.len().checked_sub(FOOTER)?);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    (version <= VERSION).then_some(body)
}

/// The value in an [`opened`] payload.
pub fn restore<'a>(body: &'a [u8], rules: &Rules) -> Result<Object<'a>, Error> {
    let mut reader = Reader::new(body);
    let kind = reader.byte()?;
    let object = decode(kind, &mut reader, rules)?;
    if reader.rest().is_empty() { Ok(object) } else { Err(Error::Corrupt("there is more than a value")) }
}
