//! Sets. One that is a listpack is written member by member, which every version of Redis can read and which becomes a listpack
//! again, unless it has only numbers: read member by member it would become an array of them.

use super::{Error, Output, Reader, Rules, Writer, packed, types};
use crate::shard::values::{Fields, Set, SetRules};
use crate::types::{Intset, Str};

const DUPLICATE: Error = Error::Corrupt("a set with a member twice");

pub(super) fn type_of(set: &Set) -> u8 {
    match set {
        Set::Intset(_) => types::SET_INTSET,
        Set::Listpack(pack) if pack.iter().all(|member| matches!(member, Str::Int(_))) => types::SET_LISTPACK,
        Set::Listpack(_) | Set::Table(_) => types::SET,
    }
}

pub(super) fn write(set: &Set, writer: &mut Writer<impl Output>) {
    match (type_of(set), set) {
        (_, Set::Intset(ints)) => writer.blob(ints.as_bytes()),
        (types::SET_LISTPACK, Set::Listpack(pack)) => writer.blob(pack.as_bytes()),
        _ => {
            writer.length(set.len() as u64);
            set.iter().for_each(|member| writer.string(member));
        }
    }
}

pub(super) fn read(kind: u8, reader: &mut Reader<'_>, rules: &Rules) -> Result<Set, Error> {
    let limits = SetRules::new(&rules.settings, &rules.hasher);
    let mut set = match kind {
        types::SET_INTSET => {
            let ints = Intset::from_bytes(reader.blob()?.into_owned());
            Set::Intset(ints.ok_or(Error::Corrupt("an array of numbers that is not in order"))?)
        }
        types::SET_LISTPACK => {
            let pack = packed::listpack(reader)?;
            if !pack.is_unique(1) {
                return Err(DUPLICATE);
            }
            Set::Listpack(pack)
        }
        _ => return members(reader, rules, &limits),
    };
    set.prepare(set.len(), &limits);
    Ok(set)
}

fn members(reader: &mut Reader<'_>, rules: &Rules, limits: &SetRules) -> Result<Set, Error> {
    let count = reader.count()?;
    let mut set = Set::default();
    if count > limits.intset_entries as u64 {
        set = Set::Table(Box::new(Fields::new(&rules.hasher)));
    }
    for _ in 0..count {
        if !set.insert(reader.string()?.str(), limits) {
            return Err(DUPLICATE);
        }
    }
    Ok(set)
}
