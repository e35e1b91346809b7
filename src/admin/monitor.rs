//! `MONITOR`: a line about every command that any core runs (redis.io/docs/latest/commands/monitor).
//!
//! Every core knows how many monitoring clients each core has, and sends its lines to those that have any.

use crate::admin::{Cx, Flow, redact};
use crate::base::quote;
use crate::command::lookup::Command;
use crate::core::state::CoreState;
use crate::net::client::{Client, ReplyMode, Waiting};
use crate::protocol::Error;
use crate::route::message::{Answer, Message, Query};

/// `MONITOR`. The reply comes when all cores know, so no command that begins after it is missed.
///
/// # Errors
/// None.
pub fn monitor(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    // As in Redis a second MONITOR has no reply.
    if std::mem::replace(&mut cx.client().session.monitor, true) {
        return Ok(Flow::Done);
    }
    Ok(Flow::Ask(Query::Monitors(count(cx.core)), all_know))
}

fn all_know(cx: &mut Cx<'_>, _: Vec<Answer>) -> Result<(), Error> {
    cx.reply.ok();
    Ok(())
}

fn count(core: &CoreState) -> usize {
    core.clients.iter().filter(|client| client.session.monitor).count()
}

/// Tells all cores how many monitoring clients this one has, after one has gone.
pub fn announce(core: &mut CoreState) {
    let (number, count) = (core.next_number(), count(core));
    for target in core.map.all() {
        core.send(target, Message::Ask { number, query: Box::new(Query::Monitors(count)) });
    }
}

/// The line about a command of a client, or of a script that it runs, without its leading `+`.
pub fn line(now_us: i64, client: &Client, command: &Command, args: &[&[u8]], by_script: bool) -> Vec<u8> {
    let db = client.session.db;
    let (seconds, micros) = (now_us / 1_000_000, now_us % 1_000_000);
    let mut line = match client.local.strip_suffix(":0") {
        _ if by_script => format!("{seconds}.{micros:06} [{db} lua]"),
        Some(path) if client.is_unix => format!("{seconds}.{micros:06} [{db} unix:{path}]"),
        _ => format!("{seconds}.{micros:06} [{db} {}]", client.peer),
    }
    .into_bytes();
    for arg in redact::redacted(command, args) {
        line.push(b' ');
        quote::repr(&mut line, arg);
    }
    line
}

/// Passes a line on to this core's monitoring clients.
pub fn deliver(core: &mut CoreState, line: &[u8]) {
    let listening = |client: &Client| {
        // One whose MONITOR is not answered yet would take the line for the reply.
        client.session.monitor
            && client.waiting != Waiting::Ask
            && client.session.reply_mode != ReplyMode::Off
    };
    for client in core.clients.iter_mut().filter(|client| listening(client)) {
        client.row.write(|out| {
            out.push(b'+');
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        });
        CoreState::mark_dirty(&mut core.dirty, client);
    }
}
