//! `CLIENT PAUSE` and `CLIENT UNPAUSE`: each core holds back the commands of its own clients, and lets no key of its
//! shard expire meanwhile (redis.io/docs/latest/commands/client-pause).

use crate::admin::{Cx, Flow};
use crate::base::number;
use crate::command::help;
use crate::core::state::{CoreState, Pause};
use crate::protocol::Error;
use crate::route::message::{Answer, Query};

/// `CLIENT PAUSE milliseconds [WRITE|ALL]`.
///
/// # Errors
/// A time that is no number, negative or too great, or another mode.
pub fn pause(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let writes_only = match *cx.args {
        [_, _, _] => false,
        [_, _, _, mode] if mode.eq_ignore_ascii_case(b"all") => false,
        [_, _, _, mode] if mode.eq_ignore_ascii_case(b"write") => true,
        [_, _, _, _] => return Err(Error::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(help::subcommand_error(cx.args)),
    };
    let for_ms =
        number::parse_i64(cx.args[2]).ok_or(Error::text("ERR timeout is not an integer or out of range"))?;
    if for_ms < 0 {
        return Err(Error::text("ERR timeout is negative"));
    }
    let until_ms = cx.core.now_ms().checked_add(for_ms).ok_or(Error::text("ERR timeout is out of range"))?;
    Ok(Flow::Ask(Query::Pause { until_ms, writes_only }, done))
}

/// `CLIENT UNPAUSE`.
///
/// # Errors
/// None.
pub fn unpause(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::Unpause, done))
}

fn done(cx: &mut Cx<'_>, _: Vec<Answer>) -> Result<(), Error> {
    cx.reply.ok();
    Ok(())
}

/// Begins a pause on this core. Of two pauses the longer and the stricter is in force.
pub fn begin(core: &mut CoreState, asked: Pause) {
    let now_ms = core.now_ms();
    let before = core.pause.filter(|pause| now_ms < pause.until_ms).unwrap_or(asked);
    let until_ms = before.until_ms.max(asked.until_ms);
    core.set_pause(Some(Pause { until_ms, writes_only: before.writes_only && asked.writes_only }));
}
