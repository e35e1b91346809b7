//! Intersection, union and difference.
//!
//! In which encoding a `STORE` form leaves its result follows from the order of the steps, so they are Redis's: an
//! intersection grows as a listpack unless the smallest set is an array of integers, and becomes such an array in the
//! end if it can; unions and differences grow from an empty array of integers.

use std::ptr;

use smallvec::SmallVec;

use super::{bulk, rules};
use crate::base::number::parse_i64;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::values::{Set, SetRules, Typed};
use crate::shard::{Item, Shard, Str};
use crate::types::Listpack;

const NUMKEYS: Error = Error::text("ERR numkeys should be greater than 0");
const TOO_MANY_KEYS: Error = Error::text("ERR Number of keys can't be greater than number of args");
const LIMIT: Error = Error::text("ERR LIMIT can't be negative");

/// The sets of some keys; `None` for a key that does not exist.
type Sets<'s> = SmallVec<[Option<&'s Set>; 8]>;

/// `SINTER key [key ...]`
pub fn sinter(cx: &mut Exec<'_>) -> Result<(), Error> {
    let sets = look_up(cx.shard, cx.db, &cx.args[1..])?;
    let start = cx.reply.position();
    let reply = &mut cx.reply;
    let mut count = 0;
    intersect(sets, |member| {
        bulk(reply, member);
        count += 1;
        true
    });
    reply.prepend(start, |reply| reply.set(count));
    Ok(())
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub fn sintercard(cx: &mut Exec<'_>) -> Result<(), Error> {
    let count = parse_i64(cx.args[1]).filter(|&count| count > 0).ok_or(NUMKEYS)?;
    let rest = &cx.args[2..];
    let count = usize::try_from(count).ok().filter(|&count| count <= rest.len()).ok_or(TOO_MANY_KEYS)?;
    let (keys, mut options) = rest.split_at(count);
    let mut limit = 0;
    while let Some((name, after)) = options.split_first() {
        let (value, after) = after.split_first().ok_or(Error::Syntax)?;
        if !name.eq_ignore_ascii_case(b"limit") {
            return Err(Error::Syntax);
        }
        limit = parse_i64(value).filter(|&limit| limit >= 0).ok_or(LIMIT)?;
        options = after;
    }
    let mut count = 0;
    intersect(look_up(cx.shard, cx.db, keys)?, |_| {
        count += 1;
        count != limit
    });
    cx.reply.int(count);
    Ok(())
}

/// `SINTERSTORE destination key [key ...]`
pub fn sinterstore(cx: &mut Exec<'_>) -> Result<(), Error> {
    let rules = rules(cx.shard);
    let result = intersection(look_up(cx.shard, cx.db, &cx.args[2..])?, &rules);
    store(cx, "sinterstore", result)
}

/// `SUNION key [key ...]`
pub fn sunion(cx: &mut Exec<'_>) -> Result<(), Error> {
    let rules = rules(cx.shard);
    let result = union(&look_up(cx.shard, cx.db, &cx.args[1..])?, &rules);
    show(cx, &result)
}

/// `SUNIONSTORE destination key [key ...]`
pub fn sunionstore(cx: &mut Exec<'_>) -> Result<(), Error> {
    let rules = rules(cx.shard);
    let result = union(&look_up(cx.shard, cx.db, &cx.args[2..])?, &rules);
    store(cx, "sunionstore", result)
}

/// `SDIFF key [key ...]`
pub fn sdiff(cx: &mut Exec<'_>) -> Result<(), Error> {
    let rules = rules(cx.shard);
    let result = difference(look_up(cx.shard, cx.db, &cx.args[1..])?, &rules);
    show(cx, &result)
}

/// `SDIFFSTORE destination key [key ...]`
pub fn sdiffstore(cx: &mut Exec<'_>) -> Result<(), Error> {
    let rules = rules(cx.shard);
    let result = difference(look_up(cx.shard, cx.db, &cx.args[2..])?, &rules);
    store(cx, "sdiffstore", result)
}

/// Looks all keys up before the first is worked with: one of a wrong type is an error wherever it stands.
fn look_up<'s>(shard: &'s mut Shard, db: usize, keys: &[&[u8]]) -> Result<Sets<'s>, Error> {
    for key in keys {
        let key = shard.key(key);
        shard.read::<Set>(db, &key)?;
    }
    let shard = &*shard;
    keys.iter().map(|key| Ok(shard.peek_as::<Set>(db, &shard.key(key))?)).collect()
}

fn show(cx: &mut Exec<'_>, result: &Set) -> Result<(), Error> {
    cx.reply.set(result.len());
    result.iter().for_each(|member| bulk(&mut cx.reply, member));
    Ok(())
}

/// Puts the result in the place of whatever the first key holds; an empty result removes that.
fn store(cx: &mut Exec<'_>, event: &'static str, result: Set) -> Result<(), Error> {
    let (key, len) = (cx.key(1), result.len());
    let made = (len > 0).then(|| Item::collection(key.bytes, result.wrap(), None));
    cx.changes += u64::from(cx.store(Class::SET, event, &key, made));
    cx.reply.int(len as i64);
    Ok(())
}

/// Visits the members that all sets have, until `visit` says to stop.
fn intersect(sets: Sets<'_>, mut visit: impl FnMut(Str<'_>) -> bool) {
    let Some((smallest, others)) = smallest_first(sets) else { return };
    for member in smallest.iter() {
        if others.iter().all(|set| ptr::eq(*set, smallest) || set.contains(member)) && !visit(member) {
            return;
        }
    }
}

/// The smallest set and the others in ascending order; `None` if one of them does not exist.
fn smallest_first(sets: Sets<'_>) -> Option<(&Set, SmallVec<[&Set; 8]>)> {
    let mut sets: SmallVec<[&Set; 8]> = sets.into_iter().collect::<Option<_>>()?;
    sets.sort_by_key(|set| set.len());
    let smallest = sets.remove(0);
    Some((smallest, sets))
}

fn intersection(sets: Sets<'_>, rules: &SetRules) -> Set {
    let smallest = sets.iter().min_by_key(|set| set.map_or(0, Set::len)).copied().flatten();
    let mut result = match smallest {
        Some(Set::Intset(_)) => Set::default(),
        _ => Set::Listpack(Listpack::new()),
    };
    let mut numbers_only = true;
    intersect(sets, |member| {
        numbers_only = numbers_only && is_number(member);
        result.insert(member, rules);
        true
    });
    if numbers_only && !result.is_empty() {
        result.become_intset(rules);
    }
    result
}

fn is_number(member: Str<'_>) -> bool {
    match member {
        Str::Int(_) => true,
        Str::Bytes(bytes) => matches!(Str::classify(bytes), Str::Int(_)),
    }
}

fn union(sets: &[Option<&Set>], rules: &SetRules) -> Set {
    let mut result = Set::default();
    for member in sets.iter().flatten().flat_map(|set| set.iter()) {
        result.insert(member, rules);
    }
    result
}

/// What the first set has and no other.
fn difference(sets: Sets<'_>, rules: &SetRules) -> Set {
    let Some((Some(first), others)) = sets.split_first() else { return Set::default() };
    let mut others: SmallVec<[&Set; 8]> = others.iter().flatten().copied().collect();
    if others.iter().any(|set| ptr::eq(*set, *first)) {
        return Set::default();
    }
    // Looking every member up in the other sets does less work per step, so it may take twice the steps.
    let look_ups = first.len() * (1 + others.len()) / 2;
    let removals = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    let mut result = Set::default();
    if look_ups <= removals {
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        for member in first.iter().filter(|member| !others.iter().any(|set| set.contains(*member))) {
            result.insert(member, rules);
        }
        return result;
    }
    for member in first.iter() {
        result.insert(member, rules);
    }
    for set in others {
        for member in set.iter() {
            result.remove(member);
        }
        if result.is_empty() {
            break;
        }
    }
    result
}
