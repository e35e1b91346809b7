//! `WAIT` and `WAITAOF`: a client waits until what was done before is safe elsewhere
//! (redis.io/docs/latest/commands/waitaof). There are no replicas: who wants one to have it waits until the time is over.

use crate::admin::{Await, Cx, Flow};
use crate::base::number::parse_i64;
use crate::protocol::Error;
use crate::route::message::{Answer, Query};

const NO_LOG: Error =
    Error::text("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");

/// `WAIT numreplicas timeout`
///
/// # Errors
/// Redis's for arguments that are no numbers, or a negative time.
pub fn wait(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let replicas = parse_i64(cx.args[1]).ok_or(Error::NotInteger)?;
    let until_ms = until(cx, cx.args[2])?;
    Ok(Flow::Await(Await {
        query: None,
        until_ms,
        in_vain: replicas > 0,
        then: |cx, _| {
            cx.reply.int(0);
            Ok(())
        },
    }))
}

/// `WAITAOF numlocal numreplicas timeout`: all that was done before, on all shards, is to be on stable storage.
///
/// # Errors
/// Redis's for arguments that are no numbers or out of range, and if there is no log.
pub fn waitaof(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let local = wants_local(cx.args)?;
    let replicas = parse_i64(cx.args[2]).ok_or(Error::NotInteger)?;
    if replicas < 0 {
        return Err(Error::text("ERR value is out of range, must be positive"));
    }
    let until_ms = until(cx, cx.args[3])?;
    if local && !cx.core.config.appendonly {
        return Err(NO_LOG);
    }
    Ok(Flow::Await(Await {
        query: Some(Query::Logged { wait: local || replicas > 0 }),
        until_ms,
        in_vain: replicas > 0,
        then: |cx, answers| {
            if wants_local(cx.args)? && !cx.core.config.appendonly {
                return Err(NO_LOG);
            }
            let is_safe = |answer: &Answer| matches!(answer, Answer::Safe(true));
            // Who has not answered is not.
            let all = answers.len() == cx.core.map.shards() && answers.iter().all(is_safe);
            cx.reply.array(2);
            cx.reply.int(i64::from(all));
            cx.reply.int(0);
            Ok(())
        },
    }))
}

fn wants_local(args: &[&[u8]]) -> Result<bool, Error> {
    match parse_i64(args[1]).ok_or(Error::NotInteger)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::text("ERR value is out of range, value must between 0 and 1")),
    }
}

/// When a wait is over, Unix milliseconds; 0 waits for ever.
fn until(cx: &Cx<'_>, timeout: &[u8]) -> Result<Option<i64>, Error> {
    let timeout_ms =
        parse_i64(timeout).ok_or(Error::text("ERR timeout is not an integer or out of range"))?;
    match timeout_ms {
        0 => Ok(None),
        ..0 => Err(Error::text("ERR timeout is negative")),
        _ => {
            let until_ms = cx.core.now_ms().checked_add(timeout_ms);
            Ok(Some(until_ms.ok_or(Error::text("ERR timeout is out of range"))?))
        }
    }
}
