//! Requests that do not run: why, and what they are answered.

use super::Next;
use crate::admin;
use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::command_table::Run;
use crate::core::loading::LOADING;
use crate::core::state::CoreState;
use crate::net::client::{ReplyMode, Waiting};
use crate::net::multi::Multi;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::runtime::io::ConnId;
use crate::shared::SlowScript;

/// Commands that a monitoring client may not run, because `CLIENT PAUSE` does not hold it back.
const KEYSPACE: Flags = Flags::READONLY.union(Flags::WRITE).union(Flags::MAY_REPLICATE);
const NOT_AUTHENTICATED: Error = Error::text("NOAUTH Authentication required.");
const NOT_IN_MULTI: Error = Error::text("ERR Command not allowed inside a transaction");
const MONITOR_ON_KEYS: Error = Error::text("ERR Replica can't interact with the keyspace");
const DEBUG_NOT_ALLOWED: Error = Error::text(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
     connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);

impl CoreState {
    /// Why a command may not run, whatever its arguments are.
    #[inline]
    pub(super) fn rejection_of(&mut self, conn: ConnId, command: &Command) -> Option<Error> {
        let client = self.clients.get_mut(conn)?;
        if !client.session.authenticated && self.hot.password && !command.flags.contains(Flags::NO_AUTH) {
            return Some(NOT_AUTHENTICATED);
        }
        client.last_command = Some(command.id);
        if client.session.monitor && command.flags.intersects(KEYSPACE) {
            return Some(MONITOR_ON_KEYS);
        }
        let only_listens = client.only_listens();
        if let Some(refusal) = self.refusal
            && self.would_write(conn, command)
        {
            return Some(refusal.error());
        }
        if only_listens && !may_run_while_listening(command) {
            return Some(only_listening(command));
        }
        if self.loading.is_some() && self.is_denied_while_loading(conn, command) {
            return Some(LOADING);
        }
        let slow = self.slow_script.filter(|_| !command.flags.contains(Flags::ALLOW_BUSY))?;
        Some(busy_with(slow))
    }

    /// Answers with an error and counts it.
    pub(super) fn fail(&mut self, conn: ConnId, text: &str) {
        self.stats.record_error(text);
        let Some(client) = self.clients.get_mut(conn) else { return };
        if client.session.reply_mode == ReplyMode::On {
            let resp = client.session.resp;
            client.row.write(|out| Reply::new(out, resp).error_text(text));
        }
    }

    /// Answers a command that must not run.
    #[cold]
    pub(super) fn reject(&mut self, conn: ConnId, command: Option<&Command>, error: &Error) -> Next {
        if let Some(command) = command {
            self.stats.commands[usize::from(command.id.0)].rejected += 1;
        }
        let mut text = error.to_string();
        let session = self.clients.get_mut(conn).map(|client| &mut client.session);
        if command.is_some_and(|command| matches!(command.entry.run, Run::Exec)) {
            let reason = text.strip_prefix("ERR ").unwrap_or(&text);
            text = format!("EXECABORT Transaction discarded because of: {reason}");
            if let Some(session) = session {
                session.multi = None;
            }
            self.unwatch(conn);
        } else if let Some(queue) = session.and_then(|session| session.multi.as_mut()) {
            queue.broken = true;
        }
        self.fail(conn, &text);
        self.finish_muted(conn);
        Next::Taken
    }

    /// Why a command may not run on this connection, or not now.
    pub(super) fn refusal_of(&self, conn: ConnId, command: &Command) -> Option<Error> {
        let client = self.clients.get(conn)?;
        if command.flags.contains(Flags::NO_MULTI) && client.session.multi.is_some() {
            return Some(NOT_IN_MULTI);
        }
        let protected = command.flags.contains(Flags::PROTECTED);
        let refused = protected && !self.config.enable_debug_command.permits(client.is_local);
        refused.then_some(DEBUG_NOT_ALLOWED)
    }

    /// Answers a request that is no command, or has the wrong number of arguments.
    #[cold]
    pub(super) fn refuse(&mut self, conn: ConnId, args: &[&[u8]], known: Option<&'static Command>) -> Next {
        if self.note_unknown(conn, args[0]) {
            return Next::Again;
        }
        if is_cross_protocol(args[0]) {
            return self.refuse_http(conn);
        }
        let error = self.lookup.resolve(args).expect_err("a command that takes its arguments is not refused");
        self.reject(conn, known, &error)
    }

    /// A browser that was talked into sending requests here must not get through to commands in the body.
    #[cold]
    fn refuse_http(&mut self, conn: ConnId) -> Next {
        self.stats.protocol_errors += 1;
        self.shared.log.warning(format_args!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This \
             is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. \
             Connection aborted."
        ));
        self.close_client(conn);
        Next::Taken
    }

    /// Whether `CLIENT PAUSE` holds this command back; if so the client waits.
    #[cold]
    pub(super) fn must_pause(&mut self, conn: ConnId, command: &Command) -> bool {
        let Some(pause) = self.pause else { return false };
        let holds = |command: &Command| pause.holds(command, self.now_ms());
        let queued = match command.entry.run {
            Run::Exec => self.clients.get(conn).and_then(|client| client.session.multi.as_deref()),
            _ => None,
        };
        let is_held = |multi: &Multi| multi.iter().any(|(id, _)| holds(self.lookup.get(id)));
        if !holds(command) && !queued.is_some_and(is_held) {
            return false;
        }
        match self.clients.get_mut(conn) {
            Some(client) if !client.session.monitor && client.replay.is_none() => {
                client.waiting = Waiting::Paused;
                true
            }
            _ => false,
        }
    }
}

/// Whether a client that may only listen may run this.
fn may_run_while_listening(command: &Command) -> bool {
    admin::pubsub::is_confirmed(command) || ["ping", "quit", "reset"].contains(&command.full_name)
}

#[cold]
fn only_listening(command: &Command) -> Error {
    let name = command.full_name;
    Error::from(format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    ))
}

/// The answer while a script takes long.
fn busy_with(script: SlowScript) -> Error {
    Error::text(match script {
        SlowScript::Script => {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        }
        SlowScript::Function => {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        }
    })
}

/// The first words of HTTP requests that a browser can be made to send.
fn is_cross_protocol(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}
