//! Members drawn at random: `ZRANDMEMBER`.

use std::collections::BTreeSet;

use super::{reply_entry, reply_head, reply_member};
use crate::base::rng::Rng;
use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::shard::values::{Typed, Zset};

/// `ZRANDMEMBER key [count [WITHSCORES]]`. With a negative count a member may come several times.
pub fn zrandmember(cx: &mut Exec<'_>) -> Result<(), Error> {
    let Some((count, options)) = cx.args[2..].split_first() else { return one(cx) };
    let count = integer(count)?;
    if count == i64::MIN {
        let most = i64::MAX;
        return Err(format!("ERR value is out of range, value must between -{most} and {most}").into());
    }
    let with_scores = match options {
        [] => false,
        [option] if option.eq_ignore_ascii_case(b"withscores") => true,
        _ => return Err(Error::Syntax),
    };
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::text("ERR value is out of range"));
    }
    let mut rng = draw_from(cx);
    let Some(zset) = cx.shard.read::<Zset>(cx.db, &cx.key(1))? else {
        cx.reply.array(0);
        return Ok(());
    };
    let (reply, wanted) = (&mut cx.reply, count.unsigned_abs() as usize);
    if count < 0 {
        reply_head(reply, wanted, with_scores);
        for _ in 0..wanted {
            reply_entry(reply, zset.random(&mut rng), with_scores);
        }
        return Ok(());
    }
    let wanted = wanted.min(zset.len());
    reply_head(reply, wanted, with_scores);
    if wanted == zset.len() {
        zset.iter(0..wanted).for_each(|entry| reply_entry(reply, entry, with_scores));
    } else {
        let drawn = distinct(wanted, zset.len(), &mut rng);
        let entries = drawn.into_iter().flat_map(|rank| zset.iter(rank..rank + 1));
        entries.for_each(|entry| reply_entry(reply, entry, with_scores));
    }
    Ok(())
}

fn one(cx: &mut Exec<'_>) -> Result<(), Error> {
    let mut rng = draw_from(cx);
    match cx.shard.read::<Zset>(cx.db, &cx.key(1))? {
        Some(zset) => reply_member(&mut cx.reply, zset.random(&mut rng).0),
        None => cx.reply.null(),
    }
    Ok(())
}

/// A generator of its own, because the shard's cannot be used while the sorted set is borrowed from it.
fn draw_from(cx: &mut Exec<'_>) -> Rng {
    Rng::new(cx.shard.rng.next_u64())
}

/// So many different numbers below `len`, every choice of them as likely as any other (Robert Floyd's algorithm).
fn distinct(count: usize, len: usize, rng: &mut Rng) -> BTreeSet<usize> {
    let mut drawn = BTreeSet::new();
    for most in len - count..len {
        let number = rng.below(most + 1);
        if !drawn.insert(number) {
            drawn.insert(most);
        }
    }
    drawn
}
