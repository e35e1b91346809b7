//! Sorted sets. Large ones are written from the greatest member to the smallest, because Redis is quickest at inserting
//! before all others.

use super::{Error, Output, Reader, Rules, Text, Writer, packed, types};
use crate::shard::values::{Typed, Zset, ZsetRules};

const DUPLICATE: Error = Error::Corrupt("a sorted set with a member twice");
const DISORDER: Error = Error::Corrupt("a sorted set that is not in order");

pub(super) fn type_of(zset: &Zset) -> u8 {
    if zset.listpack().is_some() { types::ZSET_LISTPACK } else { types::ZSET_2 }
}

pub(super) fn write(zset: &Zset, writer: &mut Writer<impl Output>) {
    if let Some(pack) = zset.listpack() {
        return writer.blob(pack.as_bytes());
    }
    writer.length(zset.len() as u64);
    for (member, score) in zset.iter(0..zset.len()).rev() {
        writer.string(member);
        writer.double(score);
    }
}

pub(super) fn read(kind: u8, reader: &mut Reader<'_>, rules: &Rules) -> Result<Zset, Error> {
    let rules = ZsetRules { settings: rules.settings, hasher: rules.hasher.clone() };
    let pack = match kind {
        types::ZSET_LISTPACK => packed::listpack(reader)?,
        types::ZSET_ZIPLIST => packed::ziplist(reader)?,
        _ => return members(kind, reader, &rules),
    };
    Zset::from_listpack(pack, &rules).ok_or(DISORDER)
}

fn members(kind: u8, reader: &mut Reader<'_>, rules: &ZsetRules) -> Result<Zset, Error> {
    let count = reader.count()?;
    let mut longest = 0;
    if count <= rules.settings.zset_max_listpack_entries as u64 {
        // A listpack on the way to a large one would lose the sign of a score of -0.
        let mut ahead = reader.clone();
        for _ in 0..count {
            longest = longest.max(scored(kind, &mut ahead)?.0.str().len());
        }
    }
    let mut zset = Zset::for_members(usize::try_from(count).unwrap_or(usize::MAX), longest, rules);
    for _ in 0..count {
        let (member, score) = scored(kind, reader)?;
        if score.is_nan() {
            return Err(Error::Corrupt("a score that is no number"));
        }
        if member.str().with_bytes(|member| zset.set(member, score, rules)).is_some() {
            return Err(DUPLICATE);
        }
    }
    Ok(zset)
}

/// A member with its score.
fn scored<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<(Text<'a>, f64), Error> {
    let member = reader.string()?;
    let score = if kind == types::ZSET_2 { reader.double() } else { reader.double_digits() }?;
    Ok((member, score))
}
