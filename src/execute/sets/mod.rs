//! Set commands (redis.io/docs/latest/commands/?group=set).
//!
//! A handler checks its arguments in the order in which Redis does, because that decides which error a client sees. A
//! set that has lost its last member is removed with its key.

mod algebra;
mod random;
#[cfg(test)]
mod tests;

pub use algebra::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
pub use random::{spop, srandmember};

use super::scan_options::{self, ScanOptions, Scanned};
use super::{Class, Exec};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::values::{Set, SetRules};
use crate::shard::{Budget, Shard, Str};

/// `SADD key member [member ...]`
pub fn sadd(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, rules, members) = (cx.key(1), rules(cx.shard), &cx.args[2..]);
    let set =
        cx.shard.write_or_insert(cx.db, &key, || Set::for_members(members[0], members.len(), &rules))?;
    set.prepare(members.len(), &rules);
    let added = members.iter().filter(|member| set.insert(Str::Bytes(member), &rules)).count();
    if added > 0 {
        cx.wrote(Class::SET, "sadd", &key);
    }
    cx.changes += added as u64;
    cx.reply.int(added as i64);
    Ok(())
}

/// `SREM key member [member ...]`
pub fn srem(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let mut removed = 0;
    if let Some(set) = cx.shard.write::<Set>(cx.db, &key)? {
        removed = cx.args[2..].iter().filter(|member| set.remove(Str::Bytes(member))).count();
        let none_left = set.is_empty();
        if removed > 0 {
            cx.took(Class::SET, "srem", &key, none_left);
        }
    }
    cx.changes += removed as u64;
    cx.reply.int(removed as i64);
    Ok(())
}

/// `SISMEMBER key member`
pub fn sismember(cx: &mut Exec<'_>) -> Result<(), Error> {
    let set = cx.shard.read::<Set>(cx.db, &cx.key(1))?;
    let found = set.is_some_and(|set| set.contains(Str::Bytes(cx.args[2])));
    cx.reply.int(i64::from(found));
    Ok(())
}

/// `SMISMEMBER key member [member ...]`
pub fn smismember(cx: &mut Exec<'_>) -> Result<(), Error> {
    let set = cx.shard.read::<Set>(cx.db, &cx.key(1))?;
    let members = &cx.args[2..];
    cx.reply.array(members.len());
    for member in members {
        let found = set.is_some_and(|set| set.contains(Str::Bytes(member)));
        cx.reply.int(i64::from(found));
    }
    Ok(())
}

/// `SCARD key`
pub fn scard(cx: &mut Exec<'_>) -> Result<(), Error> {
    let set = cx.shard.read::<Set>(cx.db, &cx.key(1))?;
    cx.reply.int(set.map_or(0, Set::len) as i64);
    Ok(())
}

/// `SMEMBERS key`
pub fn smembers(cx: &mut Exec<'_>) -> Result<(), Error> {
    let set = cx.shard.read::<Set>(cx.db, &cx.key(1))?;
    cx.reply.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| bulk(&mut cx.reply, member));
    Ok(())
}

/// `SMOVE source destination member`
pub fn smove(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (source, destination, member) = (cx.key(1), cx.key(2), Str::Bytes(cx.args[3]));
    let rules = rules(cx.shard);
    if cx.shard.write::<Set>(cx.db, &source)?.is_none() {
        cx.reply.int(0);
        return Ok(());
    }
    cx.shard.write::<Set>(cx.db, &destination)?;
    let Some(set) = cx.shard.write::<Set>(cx.db, &source)? else { unreachable!("it was found") };
    if source.bytes == destination.bytes {
        cx.reply.int(i64::from(set.contains(member)));
        return Ok(());
    }
    if !set.remove(member) {
        cx.reply.int(0);
        return Ok(());
    }
    let none_left = set.is_empty();
    cx.took(Class::SET, "srem", &source, none_left);
    let make = || Set::for_members(cx.args[3], 1, &rules);
    let added = cx.shard.write_or_insert(cx.db, &destination, make)?.insert(member, &rules);
    if added {
        cx.wrote(Class::SET, "sadd", &destination);
    }
    cx.effect(&source, &[b"SREM", source.bytes, cx.args[3]]);
    if added {
        cx.effect(&destination, &[b"SADD", destination.bytes, cx.args[3]]);
    }
    cx.changes += 1 + u64::from(added);
    cx.reply.int(1);
    Ok(())
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub fn sscan(cx: &mut Exec<'_>) -> Result<(), Error> {
    let cursor = scan_options::parse_cursor(cx.args[2])?;
    let Some(set) = cx.shard.read::<Set>(cx.db, &cx.key(1))? else {
        scan_options::empty(&mut cx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(&cx.args[3..], Scanned::Members)?;
    let start = cx.reply.position();
    let reply = &mut cx.reply;
    let mut count = 0;
    let next = set.scan(cursor, &mut Budget::items(options.count), &mut |member| {
        member.with_bytes(|member| {
            if options.pattern.matches(member) {
                reply.bulk(member);
                count += 1;
            }
        });
    });
    scan_options::finish(reply, start, next, count);
    Ok(())
}

/// The rules of encoding of a shard's sets.
fn rules(shard: &Shard) -> SetRules {
    SetRules::new(&shard.settings, shard.hasher())
}

fn bulk(reply: &mut Reply<'_>, member: Str<'_>) {
    member.with_bytes(|bytes| reply.bulk(bytes));
}
