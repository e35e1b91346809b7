//! Scripts that run for long: `SCRIPT KILL`, `FUNCTION KILL` and `FUNCTION STATS`; `SCRIPT SHOW` and `SCRIPT DEBUG`.
//! Each core answers for its own.

use crate::admin::{Cx, Flow};
use crate::protocol::Error;
use crate::route::message::{Answer, Killed, Query};

/// `SCRIPT KILL`.
///
/// # Errors
/// None; later, if there is nothing to end or it has written.
pub fn script_kill(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::KillScripts { functions: false }, |cx, answers| {
        const OTHER: Error = Error::text(
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
        );
        killed(cx, answers, OTHER)
    }))
}

/// `FUNCTION KILL`.
///
/// # Errors
/// As for [`script_kill`].
pub fn function_kill(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::KillScripts { functions: true }, |cx, answers| {
        const OTHER: Error = Error::text(
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        );
        killed(cx, answers, OTHER)
    }))
}

fn killed(cx: &mut Cx<'_>, answers: Vec<Answer>, of_other_kind: Error) -> Result<(), Error> {
    let killed = answers.iter().filter_map(|answer| match answer {
        Answer::Killed(killed) => Some(*killed),
        _ => None,
    });
    match killed.max().unwrap_or(Killed::Nothing) {
        Killed::Yes => {
            cx.reply.ok();
            Ok(())
        }
        Killed::HasWritten => Err(Error::text(
            "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script \
             termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
        )),
        Killed::OfOtherKind => Err(of_other_kind),
        Killed::Nothing => Err(Error::text("NOTBUSY No scripts in execution right now.")),
    }
}

/// `FUNCTION STATS`.
///
/// # Errors
/// None.
pub fn function_stats(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::RunningScript, |cx, answers| {
        let running = answers.into_iter().filter_map(|answer| match answer {
            Answer::Running(running) => running,
            _ => None,
        });
        let now_us = cx.core.clock.unix_us();
        let (libraries, functions) = cx.core.shared.scripts.libraries().counts();
        let reply = &mut cx.reply;
        reply.map(2);
        reply.bulk("running_script");
        match running.min_by_key(|script| script.started_us) {
            Some(script) => {
                reply.map(3);
                reply.bulk("name");
                reply.bulk(&script.name);
                reply.bulk("command");
                let args = script.args.slices();
                reply.array(args.len());
                args.iter().for_each(|arg| reply.bulk(arg));
                reply.bulk("duration_ms");
                reply.int((now_us - script.started_us) / 1000);
            }
            None => reply.null(),
        }
        reply.bulk("engines");
        reply.map(1);
        reply.bulk("LUA");
        reply.map(2);
        reply.bulk("libraries_count");
        reply.int(libraries as i64);
        reply.bulk("functions_count");
        reply.int(functions as i64);
        Ok(())
    }))
}

/// `SCRIPT SHOW sha1`: the text of a script, as Valkey has it (valkey.io/commands/script-show).
///
/// # Errors
/// If there is no such script.
pub fn script_show(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let script = cx.core.engine.script_by_sha(cx.args[2])?;
    cx.reply.bulk(script.body());
    Ok(Flow::Done)
}

/// `SCRIPT DEBUG YES | SYNC | NO`: there is no debugger to switch on.
///
/// # Errors
/// For anything but `NO`.
pub fn script_debug(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let mode = cx.args[2];
    if mode.eq_ignore_ascii_case(b"no") {
        cx.reply.ok();
        return Ok(Flow::Done);
    }
    if mode.eq_ignore_ascii_case(b"yes") || mode.eq_ignore_ascii_case(b"sync") {
        return Err(Error::text("ERR The script debugger is not available"));
    }
    Err(Error::text("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}
