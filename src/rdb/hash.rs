//! Hashes. A field's expiry stands behind its value in a listpack, and before the field in a row of fields: 0 for none, else
//! by how much it is above one less than the first expiry, which the value begins with.

use super::{Error, Output, Reader, Rules, Writer, old, packed, types};
use crate::shard::values::hash::{Growth, Stored};
use crate::shard::values::{Hash, Typed};
use crate::types::Str;

/// The greatest expiry that Redis can hold, in Unix milliseconds.
const EXPIRY_MAX: i64 = 0xffff_ffff_ffff;

const DUPLICATE: Error = Error::Corrupt("a hash with a field twice");
const BAD_EXPIRY: Error = Error::Corrupt("an expiry out of range");

pub(super) fn type_of(hash: &Hash) -> u8 {
    match hash.stored() {
        Stored::Pairs(_) => types::HASH_LISTPACK,
        Stored::Triples(_) => types::HASH_LISTPACK_EX,
        Stored::Table if hash.next_expiry().is_some() => types::HASH_METADATA,
        Stored::Table => types::HASH,
    }
}

pub(super) fn write(hash: &Hash, writer: &mut Writer<impl Output>) {
    match (hash.stored(), hash.next_expiry()) {
        (Stored::Pairs(pack), _) => writer.blob(pack.as_bytes()),
        (Stored::Triples(pack), first) => {
            writer.millis(first.unwrap_or(0));
            writer.blob(pack.as_bytes());
        }
        (Stored::Table, first) => {
            if let Some(first) = first {
                writer.millis(first);
            }
            writer.length(hash.len() as u64);
            hash.for_each(|entry| {
                if let Some(first) = first {
                    writer.length(entry.expire_at_ms.map_or(0, |at| at.abs_diff(first) + 1));
                }
                writer.string(entry.field);
                writer.string(entry.value);
            });
        }
    }
}

pub(super) fn read(kind: u8, reader: &mut Reader<'_>, rules: &Rules) -> Result<Hash, Error> {
    let growth = Growth::new(&rules.settings, &rules.hasher);
    let pack = match kind {
        types::HASH_LISTPACK_EX => {
            reader.millis()?;
            packed::listpack(reader)?
        }
        types::HASH_LISTPACK | types::HASH_LISTPACK_EX_PRE_GA => packed::listpack(reader)?,
        types::HASH_ZIPLIST => packed::ziplist(reader)?,
        types::HASH_ZIPMAP => return zipmap(&reader.blob()?, &growth),
        _ => return fields(kind, reader, &growth),
    };
    let expires = matches!(kind, types::HASH_LISTPACK_EX | types::HASH_LISTPACK_EX_PRE_GA);
    let mut hash = if expires {
        Hash::from_triples(pack, EXPIRY_MAX)
            .ok_or(Error::Corrupt("fields with expiries that contradict themselves"))?
    } else {
        Hash::from_pairs(pack).ok_or(DUPLICATE)?
    };
    hash.prepare(hash.len(), &growth);
    Ok(hash)
}

fn fields(kind: u8, reader: &mut Reader<'_>, growth: &Growth) -> Result<Hash, Error> {
    let first = if kind == types::HASH_METADATA { reader.millis()? } else { 1 };
    let first = u64::try_from(first).map_err(|_| BAD_EXPIRY)?;
    let count = reader.count()?;
    let mut hash = Hash::default();
    if kind != types::HASH {
        hash.allow_expiry();
    }
    hash.prepare(usize::try_from(count).unwrap_or(usize::MAX), growth);
    for _ in 0..count {
        let expire_at_ms = match kind {
            types::HASH => None,
            _ => expiry(reader.length()?, first)?,
        };
        let (field, value) = (reader.string()?, reader.string()?);
        let new = field.str().with_bytes(|field| {
            let new = hash.set(field, value.str(), growth);
            if expire_at_ms.is_some() {
                hash.set_expiry(field, expire_at_ms);
            }
            new
        });
        if !new {
            return Err(DUPLICATE);
        }
    }
    Ok(hash)
}

fn classified(element: Str<'_>) -> Str<'_> {
    match element {
        Str::Bytes(bytes) => Str::classify(bytes),
        number => number,
    }
}

/// A zipmap, whose elements may be longer than a listpack's.
fn zipmap(bytes: &[u8], growth: &Growth) -> Result<Hash, Error> {
    let mut hash = Hash::default();
    for pair in old::zipmap(bytes)?.chunks_exact(2) {
        if !pair[0].with_bytes(|field| hash.set(field, classified(pair[1]), growth)) {
            return Err(DUPLICATE);
        }
    }
    Ok(hash)
}

/// The expiry that is stored as its distance from the first.
fn expiry(distance: u64, first: u64) -> Result<Option<i64>, Error> {
    if distance == 0 {
        return Ok(None);
    }
    let at = first.checked_add(distance - 1).and_then(|at| i64::try_from(at).ok());
    at.filter(|at| (1..=EXPIRY_MAX).contains(at)).map(Some).ok_or(BAD_EXPIRY)
}
