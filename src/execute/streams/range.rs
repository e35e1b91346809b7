//! Reading entries by their IDs.

use super::{at_most, interval, is, reply_array, reply_entry};
use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::shard::values::Stream;

/// `XLEN key`.
pub fn xlen(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = cx.shard.read::<Stream>(cx.db, &key)?.map_or(0, |stream| stream.counters().len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `XRANGE key start end [COUNT count]`.
pub fn xrange(cx: &mut Exec<'_>) -> Result<(), Error> {
    range(cx, false)
}

/// `XREVRANGE key end start [COUNT count]`.
pub fn xrevrange(cx: &mut Exec<'_>) -> Result<(), Error> {
    range(cx, true)
}

fn range(cx: &mut Exec<'_>, backwards: bool) -> Result<(), Error> {
    let (start, end) = if backwards { (3, 2) } else { (2, 3) };
    let ids = interval(cx.args[start], cx.args[end])?;
    let mut count = None;
    let mut rest = cx.args[4..].iter();
    while let Some(option) = rest.next() {
        match rest.next() {
            Some(value) if is(option, "count") => count = Some(integer(value)?.max(0)),
            _ => return Err(Error::Syntax),
        }
    }
    let key = cx.key(1);
    let Some(stream) = cx.shard.read::<Stream>(cx.db, &key)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let (log, most) = (stream.log(), at_most(count.unwrap_or(0)));
    match backwards {
        _ if count == Some(0) => cx.reply.null_array(),
        false => reply_array(&mut cx.reply, log.range(ids).take(most), reply_entry),
        true => reply_array(&mut cx.reply, log.range_back(ids).take(most), reply_entry),
    }
    Ok(())
}
