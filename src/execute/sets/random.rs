//! Members by chance: `SPOP` and `SRANDMEMBER`.

use smallvec::SmallVec;

use super::{bulk, rules};
use crate::execute::arguments::{self, integer};
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::values::Set;
use crate::shard::{Key, Str};

const NO_ABSOLUTE_VALUE: Error =
    Error::text("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");

/// `SPOP key [count]`
pub fn spop(cx: &mut Exec<'_>) -> Result<(), Error> {
    match cx.args {
        [_, _] => spop_one(cx),
        [_, _, count] => spop_many(cx, arguments::count(count)?),
        _ => Err(Error::Syntax),
    }
}

fn spop_one(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    // The generator is a word; the set is borrowed from the same shard.
    let mut rng = cx.shard.rng.clone();
    let reply = &mut cx.reply;
    let Some(set) = cx.shard.write::<Set>(cx.db, &key)? else {
        reply.null();
        return Ok(());
    };
    let keep = |member: Str<'_>| {
        bulk(reply, member);
        member.with_bytes(SmallVec::<[u8; 64]>::from_slice)
    };
    let popped = set.pop(&mut rng, keep).expect("a set that is stored has members");
    let none_left = set.is_empty();
    cx.shard.rng = rng;
    cx.took(Class::SET, "spop", &key, none_left);
    cx.effect(&key, &[b"SREM", key.bytes, &popped]);
    cx.changes += 1;
    Ok(())
}

fn spop_many(cx: &mut Exec<'_>, count: usize) -> Result<(), Error> {
    let (key, rules) = (cx.key(1), rules(cx.shard));
    let mut rng = cx.shard.rng.clone();
    let mut removed = Removed::new(cx.wants_effects());
    let reply = &mut cx.reply;
    let set = cx.shard.write::<Set>(cx.db, &key)?;
    let len = set.as_deref().map_or(0, Set::len);
    let popped = count.min(len);
    reply.set(popped);
    match set {
        Some(set) if count >= len => {
            set.iter().for_each(|member| bulk(reply, member));
            cx.shard.delete(cx.db, &key);
            cx.wrote(Class::SET, "spop", &key);
            if len > 0 {
                cx.deletion_effect(&key);
            }
            cx.event(Class::GENERIC, "del", &key);
        }
        Some(set) if count > 0 => {
            set.pop_many(count, &mut rng, &rules, |member| {
                bulk(reply, member);
                removed.add(member);
            });
            cx.wrote(Class::SET, "spop", &key);
            removed.leave(cx, &key);
        }
        _ => {}
    }
    cx.shard.rng = rng;
    cx.changes += popped as u64;
    Ok(())
}

/// Members that were popped, for the effect of that.
struct Removed {
    wanted: bool,
    /// Where each member ends in `bytes`.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Removed {
    /// Members that one effect names at most.
    const AT_ONCE: usize = 1024;

    fn new(wanted: bool) -> Removed {
        Removed { wanted, ends: Vec::new(), bytes: Vec::new() }
    }

    fn add(&mut self, member: Str<'_>) {
        if self.wanted {
            member.with_bytes(|member| self.bytes.extend_from_slice(member));
            self.ends.push(self.bytes.len());
        }
    }

    fn leave(&self, cx: &mut Exec<'_>, key: &Key<'_>) {
        let mut start = 0;
        for ends in self.ends.chunks(Self::AT_ONCE) {
            let mut args = Vec::with_capacity(2 + ends.len());
            args.extend([&b"SREM"[..], key.bytes]);
            args.extend(ends.iter().map(|&end| &self.bytes[std::mem::replace(&mut start, end)..end]));
            cx.effect(key, &args);
        }
    }
}

/// `SRANDMEMBER key [count]`, of which a negative count allows members to come several times.
pub fn srandmember(cx: &mut Exec<'_>) -> Result<(), Error> {
    let count = match cx.args {
        [_, _] => None,
        [_, _, count] => match integer(count)? {
            i64::MIN => return Err(NO_ABSOLUTE_VALUE),
            count => Some(count),
        },
        _ => return Err(Error::Syntax),
    };
    let mut rng = cx.shard.rng.clone();
    let set = cx.shard.read::<Set>(cx.db, &cx.key(1))?;
    let reply = &mut cx.reply;
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), None) => set.random(&mut rng).into_iter().for_each(|member| bulk(reply, member)),
        (Some(set), Some(count @ 0..)) => {
            let count = set.len().min(count as usize);
            reply.array(count);
            set.sample(count, &mut rng, |member| bulk(reply, member));
        }
        (Some(set), Some(count)) => {
            reply.array(count.unsigned_abs() as usize);
            for _ in 0..count.unsigned_abs() {
                set.random(&mut rng).into_iter().for_each(|member| bulk(reply, member));
            }
        }
    }
    cx.shard.rng = rng;
    Ok(())
}
