//! `SLOWLOG` (redis.io/docs/latest/commands/slowlog-get). The log is one for all cores.

use crate::admin::{Cx, Flow};
use crate::base::number::parse_i64;
use crate::command::help::subcommand_error;
use crate::protocol::Error;
use crate::shared::lock;

/// Entries that `SLOWLOG GET` shows if not told otherwise.
const SHOWN: usize = 10;

/// `SLOWLOG GET [count]`: -1 means all.
///
/// # Errors
/// If the count is none or below -1.
pub fn slowlog_get(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let wanted = match cx.args[2..] {
        [] => SHOWN,
        [count] => match parse_i64(count) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => count as usize,
            _ => return Err(Error::text("ERR count should be greater than or equal to -1")),
        },
        _ => return Err(subcommand_error(cx.args)),
    };
    let slowlog = lock(&cx.core.shared.slowlog);
    cx.reply.array(slowlog.len().min(wanted));
    for entry in slowlog.entries().take(wanted) {
        cx.reply.array(6);
        cx.reply.int(entry.id as i64);
        cx.reply.int(entry.at_s);
        cx.reply.int(entry.duration_us as i64);
        cx.reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| cx.reply.bulk(arg));
        cx.reply.bulk(&entry.peer);
        cx.reply.bulk(&entry.name);
    }
    Ok(Flow::Done)
}

/// `SLOWLOG LEN`
///
/// # Errors
/// None.
pub fn slowlog_len(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let len = lock(&cx.core.shared.slowlog).len();
    cx.reply.int(len as i64);
    Ok(Flow::Done)
}

/// `SLOWLOG RESET`
///
/// # Errors
/// None.
pub fn slowlog_reset(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    lock(&cx.core.shared.slowlog).reset();
    cx.reply.ok();
    Ok(Flow::Done)
}
