//! Small collections that are stored as one string: a listpack, or one of the older forms.

use super::{Error, Reader, old};
use crate::types::{Listpack, Str};

/// Reads a listpack as it is.
pub(super) fn raw_listpack(reader: &mut Reader<'_>) -> Result<Listpack, Error> {
    let bytes = reader.blob()?.into_owned();
    Listpack::from_bytes(bytes).ok_or(Error::Corrupt("a listpack that contradicts itself"))
}

/// Reads a listpack. All elements that spell a number are stored as such, because they are looked for as such. Redis stores
/// them so, others may not.
pub(super) fn listpack(reader: &mut Reader<'_>) -> Result<Listpack, Error> {
    let pack = raw_listpack(reader)?;
    let spells_a_number =
        |element| matches!(element, Str::Bytes(bytes) if matches!(Str::classify(bytes), Str::Int(_)));
    if pack.iter().any(spells_a_number) {
        return of(&pack.iter().collect::<Vec<_>>());
    }
    Ok(pack)
}

/// Reads a ziplist.
pub(super) fn ziplist(reader: &mut Reader<'_>) -> Result<Listpack, Error> {
    of(&old::ziplist(&reader.blob()?)?)
}

fn of(elements: &[Str<'_>]) -> Result<Listpack, Error> {
    let mut pack = Listpack::new();
    let bytes: usize = elements.iter().map(|&element| Listpack::encoded_len(element)).sum();
    if bytes > u32::MAX as usize - Listpack::EMPTY_LEN {
        return Err(Error::Corrupt("more than a listpack can hold"));
    }
    pack.extend(elements);
    Ok(pack)
}
