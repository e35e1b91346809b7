//! Whole databases: emptying and exchanging them.

use super::{existing_db, int32};
use crate::execute::Exec;
use crate::protocol::Error;

/// `FLUSHDB [ASYNC | SYNC]`
pub fn flushdb(cx: &mut Exec<'_>) -> Result<(), Error> {
    check_mode(cx)?;
    cx.changes += cx.shard.flush(cx.db) as u64;
    cx.everywhere_effect();
    cx.reply.ok();
    Ok(())
}

/// `FLUSHALL [ASYNC | SYNC]`
pub fn flushall(cx: &mut Exec<'_>) -> Result<(), Error> {
    check_mode(cx)?;
    cx.changes += cx.shard.flush_all() as u64;
    cx.everywhere_effect();
    cx.reply.ok();
    Ok(())
}

/// Both modes do the same: the keys are gone at once, their memory is freed step by step.
fn check_mode(cx: &Exec<'_>) -> Result<(), Error> {
    match cx.args[1..] {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"sync") || mode.eq_ignore_ascii_case(b"async") => Ok(()),
        _ => Err(Error::Syntax),
    }
}

/// `SWAPDB index1 index2`. Only the shard of the first slot counts it as a change, for all shards do it.
pub fn swapdb(cx: &mut Exec<'_>) -> Result<(), Error> {
    let first = int32(cx.args[1]).map_err(|_| Error::text("ERR invalid first DB index"))?;
    let second = int32(cx.args[2]).map_err(|_| Error::text("ERR invalid second DB index"))?;
    let (first, second) = (existing_db(cx.shard, first)?, existing_db(cx.shard, second)?);
    cx.has_own_effects = true;
    if first != second {
        cx.shard.swap_dbs(first, second);
        cx.everywhere_effect();
    }
    cx.changes += u64::from(cx.shard.slots.start == 0);
    cx.reply.ok();
    Ok(())
}
