//! What is kept of an execution: statistics, the slow log, latency events, and a line for clients that monitor.

use crate::admin;
use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::command_table::Run;
use crate::core::dispatch::Whose;
use crate::core::state::CoreState;
use crate::net::client::Client;
use crate::protocol::Error;
use crate::route::message::{Message, OwnedArgs, ReplyTo};
use crate::runtime::io::ConnId;
use crate::shared::lock;

impl CoreState {
    /// Counts an execution that has just ended, and keeps it in the slow log if it was slow.
    #[inline]
    pub(super) fn account(
        &mut self,
        command: &'static Command,
        args: &[&[u8]],
        whose: Whose,
        error: Option<&Error>,
    ) {
        self.account_since(self.last_ticks, command, args, whose, error);
    }

    /// [`CoreState::account`] for a command that took a conversation with other cores: all of it is its duration.
    #[inline]
    pub(super) fn account_since(
        &mut self,
        started_ticks: u64,
        command: &'static Command,
        args: &[&[u8]],
        whose: Whose,
        error: Option<&Error>,
    ) {
        let now = self.clock.ticks();
        let duration_ns = self.clock.ticks_to_ns(now.wrapping_sub(started_ticks));
        self.last_ticks = now;
        if whose.to.client == Client::REPLAY {
            return error.into_iter().for_each(|error| self.note_refused_in_log(command, error));
        }
        self.stats.record(command.id, duration_ns, error.is_some(), self.hot.latency_tracking);
        if let Some(error) = error {
            self.stats.record_error(&error.to_string());
            self.log_complaints();
        }
        if duration_ns >= self.hot.slow_ns || duration_ns >= self.hot.latency_event_ns {
            self.note_slow(command, args, whose, duration_ns);
        }
    }

    /// Says in the log what was wrong with values that were to be restored.
    #[cold]
    fn log_complaints(&mut self) {
        for shard in [&mut self.shard, &mut self.workbench] {
            if let Some(complaint) = shard.complaint.take() {
                self.shared.log.warning(format_args!(
                    "Internal error in RDB reading: integrity check failed: {complaint}"
                ));
            }
        }
    }

    #[cold]
    fn note_slow(&mut self, command: &Command, args: &[&[u8]], whose: Whose, duration_ns: u64) {
        if duration_ns >= self.hot.slow_ns && !command.flags.contains(Flags::SKIP_SLOWLOG) {
            let args = admin::redact::redacted(command, args);
            let (at_s, duration_us) = (self.now_us / 1_000_000, duration_ns / 1000);
            if whose.core == self.core {
                self.log_slow(whose.to, at_s, duration_us, &args);
            } else {
                let args = OwnedArgs::new(&args);
                self.send(
                    whose.core,
                    Message::Slow { to: whose.to, at_s, duration_us, args: Box::new(args) },
                );
            }
        }
        if duration_ns >= self.hot.latency_event_ns {
            let event = if command.flags.contains(Flags::FAST) { "fast-command" } else { "command" };
            lock(&self.shared.latency).record(event, self.now_us / 1_000_000, duration_ns / 1_000_000);
        }
    }

    /// Keeps a command of this core's client in the slow log.
    pub(super) fn log_slow(&mut self, to: ReplyTo, at_s: i64, duration_us: u64, args: &[&[u8]]) {
        let client = self.clients.get_same(to.conn, to.client);
        let (peer, name) =
            client.map(|client| (client.peer.clone(), client.session.name.clone())).unwrap_or_default();
        let max_len = self.config.slowlog_max_len as usize;
        lock(&self.shared.slowlog).push(at_s, duration_us, args, peer, name, max_len);
    }

    /// Sends a line about a command to every core that has `MONITOR` clients.
    #[cold]
    pub(super) fn feed_monitors(&mut self, conn: ConnId, command: &Command, args: &[&[u8]], by_script: bool) {
        // Scripts are shown like others, before what they call.
        let is_script = matches!(command.entry.run, Run::Script(_));
        if command.flags.intersects(Flags::SKIP_MONITOR | Flags::ADMIN) && !is_script {
            return;
        }
        let Some(client) = self.clients.get(conn) else { return };
        let line = admin::monitor::line(self.now_us, client, command, args, by_script);
        for core in self.map.all() {
            if self.monitors[core.index()] > 0 {
                self.send(core, Message::Monitor { line: line.clone() });
            }
        }
    }
}
