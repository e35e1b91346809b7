//! Commands that wait for elements.

use super::end;
use super::moves::{MultiPop, move_one};
use super::pop_command;
use super::push_pop::pop_one;
use crate::execute::{Exec, Null, Wait, block_timeout};
use crate::protocol::Error;
use crate::shard::values::Typed;
use crate::types::List;
use crate::types::quicklist::End;

/// `BLPOP key [key ...] timeout`
pub fn blpop(cx: &mut Exec<'_>) -> Result<(), Error> {
    pop_or_wait(cx, End::Front)
}

/// `BRPOP key [key ...] timeout`
pub fn brpop(cx: &mut Exec<'_>) -> Result<(), Error> {
    pop_or_wait(cx, End::Back)
}

fn wait(cx: &mut Exec<'_>, keys: impl Iterator<Item = usize>, timeout_ms: Option<i64>, null: Null) {
    cx.wait = Some(Wait { keys: keys.collect(), kind: <List as Typed>::KIND, timeout_ms, null, args: None });
}

fn pop_or_wait(cx: &mut Exec<'_>, end: End) -> Result<(), Error> {
    let last = cx.args.len() - 1;
    let timeout_ms = block_timeout(cx.args[last])?;
    for index in 1..last {
        let key = cx.key(index);
        if cx.shard.write::<List>(cx.db, &key)?.is_some() {
            cx.reply.array(2);
            cx.reply.bulk(key.bytes);
            pop_one(cx, index, end)?;
            cx.effect(&key, &[pop_command(end), key.bytes]);
            return Ok(());
        }
    }
    wait(cx, 1..last, timeout_ms, Null::Array);
    Ok(())
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`
pub fn blmove(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (from, to) = (end(cx.args[3])?, end(cx.args[4])?);
    move_or_wait(cx, from, to, 5)
}

/// `BRPOPLPUSH source destination timeout`
pub fn brpoplpush(cx: &mut Exec<'_>) -> Result<(), Error> {
    move_or_wait(cx, End::Back, End::Front, 3)
}

fn move_or_wait(cx: &mut Exec<'_>, from: End, to: End, timeout: usize) -> Result<(), Error> {
    let timeout_ms = block_timeout(cx.args[timeout])?;
    if !move_one(cx, from, to)? {
        wait(cx, 1..2, timeout_ms, Null::Bulk);
    }
    Ok(())
}

/// `BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]`
pub fn blmpop(cx: &mut Exec<'_>) -> Result<(), Error> {
    let request = MultiPop::parse(cx.args, 2)?;
    let timeout_ms = block_timeout(cx.args[1])?;
    if !request.run(cx)? {
        wait(cx, request.keys(), timeout_ms, Null::Array);
    }
    Ok(())
}
