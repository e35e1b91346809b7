//! `MONITOR`: a line about every command that any core runs (redis.io/docs/latest/commands/monitor).

use crate::admin::{Cx, Flow};
use crate::base::quote;
use crate::command::lookup::Command;
use crate::core::state::CoreState;
use crate::net::client::Client;
use crate::protocol::Error;
use crate::route::message::{Message, Query};

/// `MONITOR`.
///
/// # Errors
/// None.
pub fn monitor(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.client().session.monitor = true;
    announce(cx.core);
    cx.reply.ok();
    Ok(Flow::Done)
}

/// Tells all cores how many monitoring clients this one has.
pub fn announce(core: &mut CoreState) {
    let count = core.clients.iter().filter(|client| client.session.monitor).count();
    let number = core.next_number();
    for target in core.map.all() {
        core.send(target, Message::Ask { number, query: Query::Monitors(count) });
    }
}

/// The line about a command, without its leading `+`.
pub fn line(now_us: i64, client: &Client, command: &Command, args: &[&[u8]]) -> Vec<u8> {
    let (db, peer) = (client.session.db, if client.is_unix { &client.local } else { &client.peer });
    let kind = if client.is_unix { "unix:" } else { "" };
    let mut line =
        format!("{}.{:06} [{db} {kind}{peer}]", now_us / 1_000_000, now_us % 1_000_000).into_bytes();
    for (at, arg) in args.iter().enumerate() {
        line.push(b' ');
        let secret = command.spec().name == "auth" && at > 0;
        quote::repr(&mut line, if secret { b"(redacted)" } else { arg });
    }
    line
}

/// Passes a line on to this core's monitoring clients.
pub fn deliver(core: &mut CoreState, line: &[u8]) {
    for client in core.clients.iter_mut().filter(|client| client.session.monitor) {
        client.row.write(|out| {
            out.push(b'+');
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        });
        CoreState::mark_dirty(&mut core.dirty, client);
    }
}
