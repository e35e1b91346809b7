//! Reading lists.

use super::{clamp, resolve};
use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::execute::strings::reply_value;
use crate::protocol::Error;
use crate::types::List;

/// `LLEN key`
pub fn llen(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = cx.shard.read::<List>(cx.db, &key)?.map_or(0, List::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `LINDEX key index`
pub fn lindex(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let Some(list) = cx.shard.read::<List>(cx.db, &key)? else {
        cx.reply.null();
        return Ok(());
    };
    match resolve(integer(cx.args[2])?, list.len()).and_then(|index| list.get(index)) {
        Some(element) => reply_value(&mut cx.reply, Some(element)),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `LRANGE key start stop`
pub fn lrange(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (start, stop) = (integer(cx.args[2])?, integer(cx.args[3])?);
    let key = cx.key(1);
    let Some(list) = cx.shard.read::<List>(cx.db, &key)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let range = clamp(start, stop, list.len());
    cx.reply.array(range.len());
    list.range(range).for_each(|element| reply_value(&mut cx.reply, Some(element)));
    Ok(())
}
