//! Snapshots: when they begin, the cut, this core's part in one, and what follows from its end.
//!
//! The *cut* is a transaction that reserves all shards and does nothing with them but begin the walk
//! ([`crate::shard::snapshot`]) on each. Every command has run before it on all of its shards, or runs after it on all of
//! them, because a transaction lets go of a shard only when all were granted. From then on each core walks in its turns, a bounded part at a time,
//! and sends what it has written to the storage thread, which writes the file and tells the core that began.
//!
//! Invariants: `part` is there from the cut until all is sent or the snapshot is given up; `begun` is there on the core that
//! began from then until the end, which is both that the cut is done and that the storage thread has told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::admin::{SnapshotCommand, load_snapshot};
use crate::aof::log::Log;
use crate::command::lookup::{Command, CommandId};
use crate::command::spec::Flags;
use crate::command_table;
use crate::config::REDIS_VERSION;
use crate::core::dispatch::Whose;
use crate::core::state::CoreState;
use crate::net::client::Waiting;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::rdb::{file, payload};
use crate::route::message::{Call, Loan, Message, OwnedArgs, ReplyTo, TxnId};
use crate::runtime::io::ConnId;
use crate::shard::snapshot::{self, BEHIND_MAX_BYTES};
use crate::shard::{Budget, Db};
use crate::shared::load::LoadMode;
use crate::snapshots::{Run, SnapshotPlan, SnapshotPurpose};
use crate::storage::{Event, Job, Piece, SnapshotFile, Written};
use crate::txn::coordinator::{Txn, Work};

/// Items walked before the clock is looked at.
const ITEMS_PER_LOOK: usize = 16;
/// Time of one turn's part of the walk, in nanoseconds; a single huge value may take longer.
const PART_NS: u64 = 50_000;
/// After one that has failed, the next begins after so many seconds, unless somebody asks for it.
const RETRY_S: i64 = 5;

const IN_PROGRESS: Error = Error::text("ERR Background save already in progress");
const OTHER_IN_PROGRESS: Error = Error::text(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a \
     BGSAVE whenever possible.",
);
const CANNOT_STOP: Error = Error::text("ERR Errors trying to SHUTDOWN. Check logs.");
const FAILED: Error = Error::text("ERR");
/// While snapshots fail and `stop-writes-on-bgsave-error` is on.
pub(super) const UNSAFE_WRITE: Error = Error::text(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may \
     modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
     snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
);

/// Who has a snapshot taken.
#[derive(Debug, Clone, Copy)]
pub enum Starter {
    /// Nobody in particular: a save point, a schedule.
    Server,
    /// A client, which is answered after the cut.
    Bgsave(ReplyTo),
    /// A client, which is answered at the end.
    Save(ReplyTo),
    /// A client; what is saved is loaded in the place of what is there.
    Reload(ReplyTo, LoadMode),
    /// The server stops afterwards; or if it cannot be saved and this is forced.
    Shutdown {
        /// The client that has asked for that, if it was no signal.
        to: Option<ReplyTo>,
        /// Stop in any case.
        force: bool,
    },
}

impl Starter {
    fn is_background(self) -> bool {
        matches!(self, Starter::Server | Starter::Bgsave(_))
    }
}

/// What this core has begun.
#[derive(Debug)]
struct Begun {
    run: Arc<Run>,
    starter: Starter,
    /// The transaction that cuts and, if it holds, still has the shards.
    txn: TxnId,
    is_cut: bool,
    result: Option<Result<Written, String>>,
}

/// This core's part in a snapshot.
#[derive(Debug)]
struct Part {
    run: Arc<Run>,
    way: flume::Sender<Piece>,
    /// What of the walk's counts is a part of the run's.
    keys: u64,
    old_bytes: u64,
    /// When the walk last went on, in ticks, and by how many keys.
    last: (u64, u64),
}

/// What a core knows of snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshotting {
    part: Option<Part>,
    begun: Option<Begun>,
    /// The server stops after a snapshot, for which the one under way is given up.
    shutdown: Option<Starter>,
    /// The transaction that has all shards for good, since the last snapshot.
    last_cut: Option<TxnId>,
}

impl CoreState {
    /// Begins a snapshot; the file's name and where it is written are up to the caller.
    ///
    /// # Errors
    /// If one is under way, or there is no storage thread.
    pub fn begin_snapshot(&mut self, plan: SnapshotPlan, starter: Starter) -> Result<(), Error> {
        let number = self.next_number();
        let (run, pieces) = Run::new(self.map, number, plan, self.now_us);
        let run = self.shared.snapshots.begin(run).map_err(|other| match other.plan.purpose {
            SnapshotPurpose::Dump => IN_PROGRESS,
            SnapshotPurpose::AofBase => OTHER_IN_PROGRESS,
        })?;
        let (shared, woken) = (Arc::clone(&self.shared), Arc::clone(&run));
        let file = SnapshotFile {
            number,
            asked_by: self.core,
            temporary: run.plan.temporary.clone(),
            path: run.plan.path.clone(),
            preamble: self.snapshot_preamble(&run),
            checksum: self.config.rdbchecksum,
            cores: self.map.shards(),
            pieces,
            on_room: Box::new(move || woken.unstall().for_each(|core| shared.storage.inbox(core).wake())),
        };
        if self.shared.storage.submit(Job::Snapshot(Box::new(file))).is_err() {
            self.shared.snapshots.end(|_| ());
            return Err(FAILED);
        }
        let now_s = self.now_us / 1_000_000;
        self.shared.snapshots.note(|figures| {
            figures.saves += u64::from(run.plan.purpose == SnapshotPurpose::Dump);
            if starter.is_background() {
                figures.last_try_s = now_s;
            }
        });
        if starter.is_background() {
            self.stats.background_snapshots += 1;
            self.shared.log.notice(format_args!("Background saving started"));
        }
        let txn = TxnId { coordinator: self.core, number: self.next_number() };
        self.snapshot.begun = Some(Begun { run, starter, txn, is_cut: false, result: None });
        let nobody = ReplyTo { conn: ConnId(u32::MAX), client: 0, sequence: 0 };
        let call = Call {
            command: CommandId(0),
            db: 0,
            resp: Default::default(),
            no_touch: true,
            track: false,
            durable: None,
        };
        let participants = self.whole_shards();
        let args = OwnedArgs::default();
        self.launch(Txn::new(txn, nobody, call, args, Work::Cut, false, self.last_ticks, participants));
        Ok(())
    }

    /// The plan of a dump.
    fn dump_plan(&self, holds: bool) -> SnapshotPlan {
        let temporary = self.config.dir.join(format!("temp-{}.rdb", std::process::id()));
        let path = self.config.dir.join(&self.config.dbfilename);
        SnapshotPlan { purpose: SnapshotPurpose::Dump, temporary, path, holds }
    }

    fn snapshot_preamble(&self, run: &Run) -> (Vec<u8>, file::Sum) {
        let about = file::About {
            redis_version: REDIS_VERSION,
            created_s: self.now_us / 1_000_000,
            used_memory_bytes: self.shared.note_memory().0 as u64,
            is_aof_base: run.plan.purpose == SnapshotPurpose::AofBase,
        };
        let (mut preamble, mut sum) = file::preamble(&about, [], self.config.rdbcompression);
        let dumped = self.shared.scripts.dump_libraries();
        if let Some(libraries) = payload::opened(&dumped).filter(|libraries| !libraries.is_empty()) {
            preamble.extend_from_slice(libraries);
            sum.append(&file::Sum::of(libraries, file::VERSION_OF_LIBRARIES));
        }
        (preamble, sum)
    }

    /// This shard's part of the cut: nothing has been done to it of what comes after, and everything of what came before.
    pub(super) fn on_cut(&mut self, txn: TxnId) {
        let run = self.shared.snapshots.current().expect("one is under way until its cut is done");
        self.cut(&run);
        if run.plan.purpose == SnapshotPurpose::AofBase {
            self.cut_log();
        }
        self.send(txn.coordinator, Message::Performed { txn, reply: Vec::new(), keys: 0 });
        if !run.plan.holds {
            self.let_go(txn);
            self.serve_pending();
        }
    }

    /// Begins this core's part in a snapshot.
    fn cut(&mut self, run: &Arc<Run>) {
        run.changes.fetch_add(self.stats.changes, Ordering::Relaxed);
        let keys: usize = self.shard.dbs.iter().map(Db::len).sum();
        run.keys_total.fetch_add(keys as u64, Ordering::Relaxed);
        // There is none if the snapshot has failed already.
        let Some(way) = run.take_way(self.core) else { return };
        let compress = self.config.rdbcompression;
        let (lfu, now_ms) = (self.shard.lfu, self.now_ms());
        let clock = self.config.maxmemory_policy.is_lru().then(|| self.shard.lru_clock());
        let sizes: Vec<(u64, u64)> =
            self.shard.dbs.iter().map(|db| (db.len() as u64, db.volatile_len() as u64)).collect();
        let mut announced = vec![false; sizes.len()];
        self.shard.begin_snapshot(Box::new(move |out, place, item| {
            if place.opens {
                // How many follow is said once.
                let known = std::mem::replace(&mut announced[place.db], true);
                let (keys, expires) = if known { (0, 0) } else { sizes[place.db] };
                file::select_db(out, place.db, keys, expires);
            }
            let usage = match (lfu, clock) {
                (Some(lfu), _) => file::Usage::Frequency(lfu.frequency(item.lru(), now_ms)),
                (None, Some(clock)) => file::Usage::Idle(clock.wrapping_sub(item.lru()) & 0xff_ffff),
                (None, None) => file::Usage::Untold,
            };
            file::entry(out, item, usage, compress)
        }));
        let run = Arc::clone(run);
        self.snapshot.part = Some(Part { run, way, keys: 0, old_bytes: 0, last: (0, 0) });
    }

    /// All shards are cut.
    pub(super) fn after_cut(&mut self, txn: &Txn) {
        let Some(begun) = self.snapshot.begun.as_mut().filter(|begun| begun.txn == txn.id) else { return };
        begun.is_cut = true;
        if let Starter::Bgsave(to) = begun.starter {
            self.answer_later(to, "bgsave", txn.started_ticks, Ok("Background saving started"));
        }
        self.end_snapshot_if_over();
    }

    /// Takes note of what the storage thread has told.
    pub(super) fn take_storage_events(&mut self) {
        while let Some(event) = self.shared.storage.inbox(self.core).take() {
            match event {
                Event::Snapshot { number, result } => {
                    if let Some(begun) =
                        self.snapshot.begun.as_mut().filter(|begun| begun.run.number == number)
                    {
                        begun.result = Some(result);
                    }
                    self.end_snapshot_if_over();
                }
                Event::Segment(made) => self.on_segment_made(made),
                Event::SegmentsForRewrite(made) => self.on_segments_for_rewrite(made),
                Event::Rewritten(result) => self.end_rewrite(result),
            }
        }
    }

    /// Does a bounded part of the walk; true if there is more to do right away.
    pub(super) fn walk_snapshot(&mut self) -> bool {
        let Some(mut part) = self.snapshot.part.take() else { return false };
        let more = self.walk_part(&mut part);
        match more {
            Ok(more) => {
                self.snapshot.part = Some(part);
                more
            }
            Err(over) => {
                if !over && !part.run.has_failed() {
                    // The storage thread says why.
                    part.run.fail("nobody writes it");
                }
                self.shard.end_snapshot();
                false
            }
        }
    }

    /// `Err`: the part is over; true if it is complete.
    fn walk_part(&mut self, part: &mut Part) -> Result<bool, bool> {
        let started = self.clock.ticks();
        loop {
            // Databases that are lent have their walk with them.
            let Some(walk) = self.shard.dbs.walk() else { return Ok(false) };
            if part.run.has_failed() {
                return Err(false);
            }
            part.run.keys.fetch_add(walk.keys() - part.keys, Ordering::Relaxed);
            part.run.old_bytes.fetch_add(walk.old_bytes() - part.old_bytes, Ordering::Relaxed);
            (part.keys, part.old_bytes) = (walk.keys(), walk.old_bytes());
            if walk.is_overflown() {
                let most = BEHIND_MAX_BYTES >> 20;
                part.run
                    .fail(&format!("more than {most} MB of old values wait for being written on one core"));
                return Err(false);
            }
            while let Some(entries) = walk.take_part() {
                let piece = Piece::Entries(entries.bytes, entries.version);
                if let Some(Piece::Entries(bytes, version)) = send_piece(part, self.core, piece)? {
                    walk.put_back(snapshot::Part { bytes, version });
                    return Ok(false);
                }
            }
            if walk.is_over() {
                let is_base = part.run.plan.purpose == SnapshotPurpose::AofBase;
                if is_base && !self.journal.log().is_none_or(Log::is_start_stable) {
                    return Ok(false);
                }
                return match send_piece(part, self.core, Piece::End)? {
                    None => Err(true),
                    Some(_) => Ok(false),
                };
            }
            let now = self.clock.ticks();
            if self.clock.ticks_to_ns(now.wrapping_sub(started)) >= PART_NS {
                return Ok(true);
            }
            let delay_ns = u64::from(self.config.rdb_key_save_delay_us.max(0).unsigned_abs()) * 1000;
            let (then, keys) = part.last;
            if delay_ns * keys > self.clock.ticks_to_ns(now.wrapping_sub(then)) {
                return Ok(false);
            }
            let items = if delay_ns == 0 { ITEMS_PER_LOOK } else { 1 };
            self.shard.step_snapshot(&mut Budget::items(items));
            let walked = self.shard.dbs.walk().map_or(0, |walk| walk.keys()) - part.keys;
            part.last = (now, walked);
        }
    }

    /// How long the walk rests, if a test wants it to be slow.
    pub(super) fn snapshot_rest(&self) -> Option<Duration> {
        let delay_us = u64::from(self.config.rdb_key_save_delay_us.max(0).unsigned_abs());
        let part = self.snapshot.part.as_ref().filter(|_| delay_us > 0)?;
        Some(Duration::from_micros(delay_us * part.last.1))
    }

    /// The snapshot that this core has begun is over if its cut is done and its file is written or has failed.
    fn end_snapshot_if_over(&mut self) {
        let over = |begun: &mut Begun| begun.is_cut && begun.result.is_some();
        let Some(begun) = self.snapshot.begun.take_if(over) else { return };
        let Begun { run, starter, txn, result, .. } = begun;
        let mut result = result.expect("it is over");
        if let (Err(text), Some(reason)) = (&mut result, run.failure()) {
            *text = reason;
        }
        // A core that still walks hears that it does so in vain.
        run.fail("it is over");
        let now_s = self.now_us / 1_000_000;
        let is_dump = run.plan.purpose == SnapshotPurpose::Dump;
        let is_background = starter.is_background();
        let given_up = self.snapshot.shutdown.is_some();
        let log = &self.shared.log;
        match &result {
            Ok(_) => {
                log.notice(format_args!("DB saved on disk"));
                if is_background {
                    log.notice(format_args!("Background saving terminated with success"));
                }
            }
            Err(text) => {
                log.warning(format_args!("{text}"));
                if is_background {
                    log.warning(format_args!("Background saving error"));
                }
            }
        }
        self.shared.snapshots.end(|figures| {
            if is_dump && result.is_ok() {
                figures.last_save_s = now_s;
                figures.saved_changes = run.changes.load(Ordering::Relaxed);
                figures.failing = false;
            }
            if is_background {
                figures.last_duration_s = Some(now_s - run.started_us / 1_000_000);
                figures.last_old_bytes = run.old_bytes.load(Ordering::Relaxed);
                figures.failing |= is_dump && result.is_err() && !given_up;
            }
        });
        self.shared.storage.wake_all();
        if !is_dump {
            let path = run.plan.path.clone();
            return self.on_base_written(result.map(|_| path));
        }
        let stops = match starter {
            Starter::Shutdown { force, .. } => force || result.is_ok(),
            _ => false,
        };
        if run.plan.holds {
            self.snapshot.last_cut = Some(txn);
        }
        // A server that stops runs nothing any more that is not in its last snapshot.
        if !stops {
            self.release_last_cut();
        }
        match starter {
            Starter::Server | Starter::Bgsave(_) => {}
            Starter::Save(to) => {
                let reply = if result.is_ok() { Ok("OK") } else { Err(FAILED) };
                self.answer_later(to, "save", self.last_ticks, reply);
            }
            Starter::Reload(to, mode) => self.reload(to, mode, result.is_ok()),
            Starter::Shutdown { to, force } => self.stop_after_saving(to, force, result.is_ok()),
        }
    }

    /// Lets go of the shards if they were held during a snapshot.
    pub(super) fn release_last_cut(&mut self) {
        let Some(txn) = self.snapshot.last_cut.take() else { return };
        for core in self.map.all() {
            self.send(core, Message::Release { txn, loan: Loan::new(), wing: None, after: None });
        }
    }

    /// Loads what has just been saved, and answers then.
    fn reload(&mut self, to: ReplyTo, mode: LoadMode, saved: bool) {
        const FAILED: Error = Error::text("ERR Error trying to load the RDB dump, check server logs.");
        let Some(client) = self.clients.get_same(to.conn, to.client) else { return };
        client.waiting = Waiting::Ask;
        let load = if saved { load_snapshot(self, mode) } else { Err(FAILED) };
        match load {
            Ok((query, then)) => {
                let out = self.spare_buffer();
                self.ask(to.conn, None, &[b"debug", b"reload"], &query, out, then);
            }
            Err(error) => self.answer_later(to, "debug", self.last_ticks, Err(error)),
        }
    }

    fn stop_after_saving(&mut self, to: Option<ReplyTo>, force: bool, saved: bool) {
        if saved || force {
            if !saved {
                self.shared.log.warning(format_args!("Error trying to save the DB. Exit anyway."));
            }
            self.shared.stopping.store(true, Ordering::Relaxed);
            self.shared.storage.wake_all();
            return;
        }
        self.shared.log.warning(format_args!("Error trying to save the DB, can't exit."));
        match to {
            Some(to) => self.answer_later(to, "shutdown", self.last_ticks, Err(CANNOT_STOP)),
            None => {
                self.shared.forget_stop();
                self.shared.log.warning(format_args!(
                    "SIGTERM received but errors trying to shut down the server, check the logs for more information"
                ));
            }
        }
    }

    /// A command has a snapshot taken; its client waits for the answer.
    pub(super) fn run_snapshot_command(
        &mut self,
        to: ReplyTo,
        command: SnapshotCommand,
    ) -> Result<(), Error> {
        match command {
            SnapshotCommand::Bgsave => self.begin_snapshot(self.dump_plan(false), Starter::Bgsave(to)),
            SnapshotCommand::Reload(mode) => {
                self.begin_snapshot(self.dump_plan(true), Starter::Reload(to, mode))
            }
            SnapshotCommand::Save => self.begin_snapshot(self.dump_plan(false), Starter::Save(to)),
            SnapshotCommand::Shutdown { force } => {
                self.stop_with_snapshot(Starter::Shutdown { to: Some(to), force });
                Ok(())
            }
        }
    }

    /// The server stops with a last snapshot.
    fn stop_with_snapshot(&mut self, starter: Starter) {
        self.give_up_snapshot();
        self.snapshot.shutdown = Some(starter);
        self.go_on_stopping();
    }

    /// A server that stops needs no snapshot that is under way.
    pub(super) fn give_up_snapshot(&self) {
        if let Some(run) = self.shared.snapshots.current().filter(|run| !run.has_failed()) {
            self.shared.log.warning(format_args!("A snapshot is being taken. Giving it up!"));
            run.fail("the server stops");
            self.shared.storage.wake_all();
        }
    }

    /// Begins the last snapshot when there is no other one any more.
    fn go_on_stopping(&mut self) {
        if self.shared.snapshots.current().is_some() {
            return;
        }
        let Some(starter) = self.snapshot.shutdown.take() else { return };
        self.shared.log.notice(format_args!("Saving the final RDB snapshot before exiting."));
        if self.begin_snapshot(self.dump_plan(true), starter).is_err()
            && let Starter::Shutdown { to, force } = starter
        {
            self.stop_after_saving(to, force, false);
        }
    }

    /// Begins what is due: the last snapshot, scheduled ones, save points, the end that a signal asks for.
    pub(super) fn begin_due_snapshots(&mut self) {
        if self.snapshot.shutdown.is_some() {
            self.go_on_stopping();
        }
        self.shared.snapshots.note_changes(self.core, self.stats.changes);
        if self.core.index() != 0 || self.shared.stopping.load(Ordering::Relaxed) {
            return;
        }
        if self.shared.takes_stop() {
            return self.stop_by_signal();
        }
        let snapshots = &self.shared.snapshots;
        let is_due = (snapshots.is_scheduled() || !self.config.save.is_empty()) && self.loading.is_none();
        if !is_due || snapshots.current().is_some() {
            return;
        }
        let (figures, now_s) = (snapshots.figures(), self.now_us / 1_000_000);
        if figures.failing && now_s - figures.last_try_s <= RETRY_S {
            return;
        }
        let unsaved = snapshots.unsaved_changes();
        let elapsed_s = now_s - figures.last_save_s;
        let point = self
            .config
            .save
            .iter()
            .find(|point| unsaved >= point.changes.unsigned_abs() && elapsed_s > point.seconds);
        if let Some(point) = point {
            let (changes, seconds) = (point.changes, point.seconds);
            self.shared.log.notice(format_args!("{changes} changes in {seconds} seconds. Saving..."));
        } else if !snapshots.is_scheduled() {
            return;
        }
        snapshots.schedule(false);
        // Another core may have been faster.
        self.begin_snapshot(self.dump_plan(false), Starter::Server).ok();
    }

    /// SIGTERM or SIGINT.
    fn stop_by_signal(&mut self) {
        self.shared.log.notice(format_args!("User requested shutdown..."));
        // What is loaded by half is not saved.
        if self.config.save.is_empty() || self.loading.is_some() {
            self.shared.stopping.store(true, Ordering::Relaxed);
            self.shared.storage.wake_all();
        } else {
            self.stop_with_snapshot(Starter::Shutdown { to: None, force: false });
        }
    }

    /// Whether a command is one that is refused while snapshots fail: it writes, it is `PING`, from which those who watch the
    /// server learn of it, or it runs a queue with a command that writes.
    #[cold]
    pub(super) fn would_write(&self, conn: ConnId, command: &Command) -> bool {
        let writes = |command: &Command| command.flags.contains(Flags::WRITE);
        let queued = match command.entry.run {
            command_table::Run::Exec => {
                self.clients.get(conn).and_then(|client| client.session.multi.as_deref())
            }
            _ => None,
        };
        writes(command)
            || command.full_name == "ping"
            || queued.is_some_and(|multi| multi.iter().any(|(id, _)| writes(self.lookup.get(id))))
    }

    /// Answers a command whose client has waited, and lets it go on.
    fn answer_later(
        &mut self,
        to: ReplyTo,
        name: &str,
        started_ticks: u64,
        reply: Result<&'static str, Error>,
    ) {
        let Some(client) = self.clients.get_same(to.conn, to.client) else { return };
        client.waiting = Waiting::No;
        let resp = client.session.resp;
        let mut out = self.spare_buffer();
        let found: Option<&'static Command> =
            self.lookup.all().iter().find(|command| command.full_name == name);
        let command = found.expect("it was called");
        if let Ok(status) = reply {
            Reply::new(&mut out, resp).status(status);
        }
        let error = reply.err();
        self.finish_session(to.conn, command, out, error.as_ref());
        let whose = Whose { core: self.core, to };
        self.account_since(started_ticks, command, &[name.as_bytes()], whose, error.as_ref());
        self.runnable.push_back(to.conn);
    }
}

/// Sends a piece, or gives it back if there is no room now; the core is woken when there is. `Err`: nobody takes it.
fn send_piece(part: &Part, core: crate::runtime::io::CoreId, piece: Piece) -> Result<Option<Piece>, bool> {
    let piece = match part.way.try_send(piece) {
        Ok(()) => return Ok(None),
        Err(flume::TrySendError::Disconnected(_)) => return Err(false),
        Err(flume::TrySendError::Full(piece)) => piece,
    };
    part.run.stall(core);
    // Room that was made before that is seen now; room that is made after it wakes the core.
    match part.way.try_send(piece) {
        Ok(()) => Ok(None),
        Err(flume::TrySendError::Disconnected(_)) => Err(false),
        Err(flume::TrySendError::Full(piece)) => Ok(Some(piece)),
    }
}
