//! Logs that cannot be written, or not as fast as commands come: all cores are told, and commands that write are refused, or wait.
//!
//! A write that fails is tried again, and all is well when it succeeds. What a sync that failed was for may be lost, and no later
//! sync tells: a base has to cover it. Under `appendfsync always` the process ends instead, as Redis's does.

use std::io;

use crate::aof::log::Failure;
use crate::command::spec::Flags;
use crate::command_table::Run;
use crate::config::AppendFsync;
use crate::core::snapshot::UNSAFE_WRITE;
use crate::core::state::CoreState;
use crate::net::client::Waiting;
use crate::protocol::Error;
use crate::runtime::io::ConnId;
use crate::shared::lock;
use crate::storage::plain;

/// Why commands that write are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteRefusal {
    /// Snapshots fail.
    Snapshots,
    /// A log cannot be written, with this error number.
    Log(i32),
}

impl WriteRefusal {
    /// What a command is answered.
    pub(in crate::core) fn error(self) -> Error {
        match self {
            WriteRefusal::Snapshots => UNSAFE_WRITE,
            WriteRefusal::Log(error) => {
                format!("MISCONF Errors writing to the AOF file: {}", text(error)).into()
            }
        }
    }

    /// What a script is answered that says that it writes. For snapshots [`crate::script::check`] does that.
    pub(in crate::core) fn error_to_script(self) -> Option<Error> {
        let WriteRefusal::Log(error) = self else { return None };
        Some(
            format!(
                "MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. Writable scripts \
                 are blocked. Use 'no-writes' flag for read only scripts. AOF error: {}",
                text(error)
            )
            .into(),
        )
    }
}

fn text(error: i32) -> String {
    plain(&io::Error::from_raw_os_error(error))
}

/// What all cores were told of this log.
#[derive(Debug, Default)]
pub(super) struct Told {
    failure: Option<Failure>,
    is_full: bool,
    /// How many bases there had been at the last cut.
    bases_at_cut: u64,
}

impl CoreState {
    /// Why commands that write are refused now.
    pub(in crate::core) fn refusal_of_writes(&self) -> Option<WriteRefusal> {
        let snapshots_fail = self.shared.snapshots.are_failing()
            && self.config.stop_writes_on_bgsave_error
            && !self.config.save.is_empty();
        if snapshots_fail {
            return Some(WriteRefusal::Snapshots);
        }
        self.shared.append_only.error().map(WriteRefusal::Log)
    }

    /// Whether a command has to wait because a log is full; if so its client does.
    #[inline]
    pub(in crate::core) fn must_wait_for_logs(
        &mut self,
        conn: ConnId,
        command: &crate::command::lookup::Command,
    ) -> bool {
        self.shared.append_only.is_full() && self.waits_for_logs(conn, command)
    }

    #[cold]
    fn waits_for_logs(&mut self, conn: ConnId, command: &crate::command::lookup::Command) -> bool {
        let may_write = match command.entry.run {
            Run::Exec | Run::Script(_) => true,
            _ => command.flags.contains(Flags::WRITE),
        };
        let Some(client) = self.clients.get_mut(conn).filter(|_| may_write) else { return false };
        client.waiting = Waiting::Outbox;
        self.journal.crowded.push(conn);
        true
    }

    /// Lets clients go on that have waited for logs, if none is full any more.
    pub(in crate::core) fn resume_after_full_logs(&mut self) {
        if !self.journal.crowded.is_empty() && !self.shared.append_only.is_full() {
            self.crowded.append(&mut self.journal.crowded);
        }
    }

    /// This log is cut: a base that begins now covers all before.
    pub(super) fn note_cut(&mut self) {
        self.journal.told.bases_at_cut = self.shared.append_only.bases();
    }

    /// Tells all cores how this log is, if that has changed.
    pub(super) fn watch_log(&mut self) {
        let bases = self.shared.append_only.bases();
        if let Some(log) = &mut self.journal.log
            && log.waits_for_base()
            && bases > self.journal.told.bases_at_cut
        {
            log.on_base();
        }
        let log = self.journal.log.as_ref();
        let (is_full, failure) = log.map_or((false, None), |log| (log.is_full(), log.failure()));
        if is_full != self.journal.told.is_full {
            self.journal.told.is_full = is_full;
            if self.shared.append_only.note_full(is_full) {
                self.shared.storage.wake_all();
            }
        }
        let before = std::mem::replace(&mut self.journal.told.failure, failure);
        if failure != before {
            self.tell_failure(before, failure);
        }
    }

    #[cold]
    fn tell_failure(&mut self, before: Option<Failure>, failure: Option<Failure>) {
        let log = &self.shared.log;
        match failure {
            Some(Failure::Write(error)) => {
                log.warning(format_args!("Error writing to the AOF file: {}", text(error)));
            }
            Some(Failure::Sync(error)) if self.config.appendfsync == AppendFsync::Always => {
                log.warning(format_args!(
                    "Can't persist AOF for fsync error when the AOF fsync policy is 'always': {}. Exiting...",
                    text(error)
                ));
                if self.journal.exits {
                    std::process::exit(1);
                }
            }
            Some(Failure::Sync(error)) => {
                log.warning(format_args!("Fail to fsync the AOF file: {}", text(error)));
            }
            None => log.warning(format_args!("AOF write error looks solved, Redis can write again.")),
        }
        self.shared.append_only.note_failure(before, failure);
        self.shared.storage.wake_all();
    }

    /// Takes note of how long writes and syncs took.
    pub(super) fn note_log_durations(&mut self) {
        let Some(log) = &mut self.journal.log else { return };
        for took in log.take_durations() {
            if took.stable {
                self.stats.record_sync(took.ns);
            }
            let event = match (took.stable, self.hot.always) {
                (true, true) => "aof-fsync-always",
                (true, false) => continue,
                (false, _) => "aof-write",
            };
            if took.ns >= self.hot.latency_event_ns {
                let (now_s, ms) = (self.now_us / 1_000_000, took.ns / 1_000_000);
                lock(&self.shared.latency).record(event, now_s, ms);
            }
        }
    }
}
