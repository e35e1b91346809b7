//! The segments of this shard's log, rewrites, and turning the log on and off. Files are made and removed by the storage thread;
//! see [`AppendOnly`](crate::shared::append_only::AppendOnly).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::aof::frame;
use crate::aof::manifest::Folder;
use crate::aof::store::{Prepared, Store};
use crate::core::snapshot::Starter;
use crate::core::state::CoreState;
use crate::protocol::Error;
use crate::runtime::io::{FileId, Handle};
use crate::shared::lock;
use crate::snapshots::{Run, SnapshotPlan, SnapshotPurpose};
use crate::storage::{Event, Job, Work, plain};

/// Bytes of a log's first segment; each one after it has twice the size, up to `aof-segment-size`.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
/// After a rewrite that has failed, the next begins by itself after so many seconds.
const RETRY_S: i64 = 60;
/// How often a server that stops tries to write a base that it owes.
const LAST_BASES_MAX: u32 = 2;

/// Why a rewrite ends without a result when nobody needs it any more.
const TURNED_OFF: &str = "the append only file is turned off";

const IN_PROGRESS: Error = Error::text("ERR Background append only file rewriting already in progress");
const CANNOT: Error = Error::text(
    "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
);

/// What came of asking for a rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrite {
    /// It has begun.
    Started,
    /// It begins when the snapshot under way, or the program that asks for it, is over.
    Scheduled,
}

impl Rewrite {
    /// Whether it has not begun.
    pub fn is_scheduled(self) -> bool {
        self == Rewrite::Scheduled
    }

    /// What `BGREWRITEAOF` answers.
    pub fn text(self) -> &'static str {
        match self {
            Rewrite::Started => "Background append only file rewriting started",
            Rewrite::Scheduled => "Background append only file rewriting scheduled",
        }
    }
}

impl CoreState {
    /// Whose log this core writes.
    fn log_identity(&self) -> frame::Segment {
        self.shared.logs().nth(self.core.index()).expect("every core has one")
    }

    /// Begins to log in the segment that was made for this core, if one was.
    pub fn begin_log_if_made(&mut self) {
        if let Some(Prepared { seq, file, size }) = self.shared.append_only.take_segment(self.core) {
            let handle = Handle::Fd(file.into());
            self.begin_log(self.log_identity(), FileId(seq), handle, size);
        }
    }

    /// Asks for another segment.
    pub(super) fn prepare_segment(&mut self) {
        let direct = self.config.aof_direct_io;
        self.journal.segments_made += 1;
        let size = FIRST_SEGMENT_BYTES << self.journal.segments_made.min(16);
        let size = size.min(self.config.aof_segment_size_bytes);
        let append_only = Arc::clone(&self.shared.append_only);
        let identity = self.log_identity();
        let work = Work::new(move || {
            let made = append_only.with_store(|store| store.add_segment(identity, false, size, direct))?;
            Some(Event::Segment(made.map_err(|error| plain(&error))))
        });
        self.journal.wants_segment = self.shared.storage.submit(Job::Work(self.core, work)).is_err();
        if self.journal.wants_segment
            && let Some(log) = &mut self.journal.log
        {
            log.on_not_prepared(self.clock.monotonic_ns());
        }
    }

    /// What the storage thread says of a segment.
    pub(in crate::core) fn on_segment_made(&mut self, made: Result<Prepared, String>) {
        match made {
            Ok(Prepared { seq, .. }) if self.shared.append_only.has_segment(self.core) => {
                // It would come after the one in which the log goes on at the cut, and what it would get before.
                self.shared.append_only.cover([seq].into_iter());
                if let Some(log) = &mut self.journal.log {
                    log.on_unfit();
                }
            }
            Ok(Prepared { seq, file, size }) => self.on_segment(FileId(seq), Handle::Fd(file.into()), size),
            Err(error) => {
                self.shared.log.warning(format_args!("Can't make another AOF segment: {error}"));
                if let Some(log) = &mut self.journal.log {
                    log.on_not_prepared(self.clock.monotonic_ns());
                }
            }
        }
    }

    /// A segment is complete: what is behind its end is cut off.
    pub(super) fn complete_segment(&mut self, file: FileId, end: u64) {
        let append_only = Arc::clone(&self.shared.append_only);
        let shared = Arc::clone(&self.shared);
        let work = Work::new(move || {
            let done = append_only.with_store(|store| store.complete(file.0, end));
            if let Some(Err(error)) = done {
                shared.log.warning(format_args!("Can't cut an AOF segment at its end: {}", plain(&error)));
            }
            None
        });
        // If the storage thread is gone, the segment keeps its zeroes.
        self.shared.storage.submit(Job::Work(self.core, work)).ok();
    }

    /// Begins a rewrite, or has it begin when the snapshot under way, or the program that asks for it, is over. Without a log it
    /// turns that on if the configuration says so, and otherwise leaves a base alone.
    ///
    /// # Errors
    /// If one is under way, or files cannot be worked on.
    pub fn ask_for_rewrite(&mut self, in_program: bool) -> Result<Rewrite, Error> {
        let append_only = &self.shared.append_only;
        let figures = append_only.figures();
        if figures.rewriting_since_s.is_some() && !figures.given_up {
            return Err(IN_PROGRESS);
        }
        if in_program || !self.can_rewrite_now() {
            append_only.note(|figures| (figures.scheduled, figures.failures_in_a_row) = (true, 0));
            return Ok(Rewrite::Scheduled);
        }
        self.begin_rewrite()?;
        Ok(Rewrite::Started)
    }

    fn can_rewrite_now(&self) -> bool {
        // What is being turned off is turned off first.
        let append_only = &self.shared.append_only;
        let ends = append_only.is_logged() && !(self.is_logged() && self.config.appendonly);
        let is_free =
            self.shared.snapshots.current().is_none() && append_only.figures().rewriting_since_s.is_none();
        is_free && self.loading.is_none() && !ends
    }

    fn begin_rewrite(&mut self) -> Result<(), Error> {
        let append_only = Arc::clone(&self.shared.append_only);
        if !append_only.begin_rewrite(self.now_us / 1_000_000) {
            return Err(IN_PROGRESS);
        }
        let config = Arc::clone(&self.config);
        let is_on = self.journal.is_on();
        let logs: Vec<frame::Segment> = match is_on || config.appendonly {
            true => self.shared.logs().collect(),
            false => Vec::new(),
        };
        let work = Work::new(move || {
            let made = make_segments(&append_only, &config, &logs, false);
            Some(Event::SegmentsForRewrite(made.map_err(|error| plain(&error))))
        });
        if self.shared.storage.submit(Job::Work(self.core, work)).is_err() {
            self.end_rewrite(Err("there is no storage thread".into()));
            return Err(CANNOT);
        }
        Ok(())
    }

    /// Segments for all cores are there: now the snapshot.
    pub(in crate::core) fn on_segments_for_rewrite(&mut self, made: Result<(), String>) {
        let begun = made.and_then(|()| {
            if self.shared.append_only.figures().given_up {
                return Err(TURNED_OFF.into());
            }
            self.shared.append_only.set_base_libraries(self.shared.scripts.libraries());
            let temporary = self.shared.append_only.with_store(|store| store.temporary_base());
            let temporary = temporary.ok_or(TURNED_OFF)?;
            let path = temporary.with_extension("base");
            let plan = SnapshotPlan { purpose: SnapshotPurpose::AofBase, temporary, path, holds: false };
            self.begin_snapshot(plan, Starter::Server).map_err(|error| error.to_string())
        });
        if let Err(error) = begun {
            self.shared.append_only.forget_segments();
            self.end_rewrite(Err(error));
        }
    }

    /// The instant of a rewrite's snapshot, on this shard: what comes now goes to the new segment.
    pub(in crate::core) fn cut_log(&mut self) {
        let Some(Prepared { seq, file, size }) = self.shared.append_only.take_segment(self.core) else {
            return;
        };
        let (file, handle, now_ns) = (FileId(seq), Handle::Fd(file.into()), self.clock.monotonic_ns());
        self.log_effects();
        match &mut self.journal.log {
            Some(log) => {
                let covered = log.switch(file, size, now_ns, &mut self.journal.orders);
                self.shared.append_only.cover(covered.into_iter().map(|file| file.0));
                self.journal.opened.push((file, handle));
                self.journal.segments_made = 0;
                self.note_beginning();
            }
            None if self.config.appendonly => self.begin_log(self.log_identity(), file, handle, size),
            None => {}
        }
        self.note_cut();
        self.know_libraries(self.shared.append_only.base_libraries());
        self.log_libraries();
    }

    /// Removes files that are no longer needed.
    pub fn remove_history(&self) {
        let (append_only, shared) = (Arc::clone(&self.shared.append_only), Arc::clone(&self.shared));
        let work = Work::new(move || {
            if let Some(Err(error)) = append_only.with_store(Store::remove_history) {
                shared.log.warning(format_args!("Can't remove AOF files of the past: {}", plain(&error)));
            }
            None
        });
        // If the storage thread is gone, they are removed after the next rewrite.
        self.shared.storage.submit(Job::Work(self.core, work)).ok();
    }

    /// Gives up the rewrite under way, because the log is turned off.
    pub fn give_up_rewrite(&self) {
        let append_only = &self.shared.append_only;
        append_only.note(|figures| figures.scheduled = false);
        if append_only.figures().rewriting_since_s.is_none() {
            return;
        }
        self.shared.log.notice(format_args!("Killing running AOF rewrite (which is no child process)"));
        append_only.note(|figures| figures.given_up = true);
        let is_rewrite = |run: &Arc<Run>| run.plan.purpose == SnapshotPurpose::AofBase;
        if let Some(run) = self.shared.snapshots.current().filter(is_rewrite) {
            run.fail(TURNED_OFF);
            self.shared.storage.wake_all();
        }
    }

    /// The base is written, or it failed.
    pub(in crate::core) fn on_base_written(&mut self, result: Result<std::path::PathBuf, String>) {
        let path = match result {
            Ok(path) => path,
            Err(error) => return self.end_rewrite(Err(error)),
        };
        let append_only = Arc::clone(&self.shared.append_only);
        let covered = append_only.take_covered();
        let keep = self.config.aof_disable_auto_gc;
        let work = Work::new(move || {
            let replaced =
                append_only.with_store(|store| store.replace_base(&path, |seq| covered.has(seq), keep));
            let replaced = replaced.unwrap_or(Ok(())).map_err(|error| plain(&error));
            Some(Event::Rewritten(replaced))
        });
        if self.shared.storage.submit(Job::Work(self.core, work)).is_err() {
            self.end_rewrite(Err("there is no storage thread".into()));
        }
    }

    /// A rewrite is over.
    pub(in crate::core) fn end_rewrite(&mut self, result: Result<(), String>) {
        let now_s = self.now_us / 1_000_000;
        let log = &self.shared.log;
        match &result {
            Ok(()) => log.notice(format_args!("Background AOF rewrite finished successfully")),
            Err(error) => log.warning(format_args!("Background AOF rewrite terminated by error: {error}")),
        }
        if result.is_ok() {
            self.shared.append_only.count_base();
        }
        let old_bytes = self.shared.snapshots.figures().last_old_bytes;
        self.shared.append_only.note(|figures| {
            figures.last_rewrite_s = figures.rewriting_since_s.take().map(|since_s| now_s - since_s);
            figures.rewrite_failed = result.is_err() && !figures.given_up;
            figures.last_old_bytes = old_bytes;
            if figures.rewrite_failed {
                figures.failures_in_a_row += 1;
                figures.failed_at_s = now_s;
            } else {
                figures.failures_in_a_row = 0;
                figures.base_bytes = figures.complete_bytes;
            }
        });
        if self.shared.append_only.figures().scheduled {
            self.ask_for_rewrite(false).ok();
        }
    }

    /// `CONFIG SET appendonly`, and rewrites that are due. Called on core 0 in intervals.
    pub(in crate::core) fn keep_up_append_only(&mut self) {
        let figures = self.shared.append_only.figures();
        let stops = self.shared.stopping.load(Ordering::Relaxed);
        if figures.rewriting_since_s.is_some() || self.loading.is_some() || stops {
            return;
        }
        if !self.config.appendonly && !figures.scheduled {
            return;
        }
        let now_s = self.now_us / 1_000_000;
        let waits = figures.rewrite_failed && now_s - figures.failed_at_s < RETRY_S;
        let bytes = figures.complete_bytes;
        let base = figures.base_bytes.max(1);
        let growth = bytes.saturating_sub(base).saturating_mul(100) / base;
        let percentage = u64::from(self.config.auto_aof_rewrite_percentage);
        let is_large =
            percentage > 0 && bytes >= self.config.auto_aof_rewrite_min_size_bytes && growth >= percentage;
        let turns_on = self.config.appendonly && !self.shared.append_only.is_logged();
        let must_be_covered = self.shared.append_only.is_lossy() || self.owes_base();
        if figures.scheduled || (turns_on || is_large || must_be_covered) && !waits {
            if is_large && !figures.scheduled {
                self.shared
                    .log
                    .notice(format_args!("Starting automatic rewriting of AOF on {growth}% growth"));
            }
            self.ask_for_rewrite(false).ok();
        }
    }

    /// Whether a base is owed to those who load the logs one after the other.
    fn owes_base(&self) -> bool {
        self.config.appendonly && self.loading.is_none() && self.shared.append_only.owes_base()
    }

    /// Whether a server that stops writes a base that it owes.
    pub(in crate::core) fn writes_last_base(&self) -> bool {
        self.owes_base() && self.shared.append_only.figures().rewriting_since_s.is_some()
    }

    /// Sees to it that a server that stops writes the base that it owes, if it does. Returns whether it does.
    fn sees_to_last_base(&mut self) -> bool {
        if !self.owes_base() {
            return false;
        }
        self.release_last_cut();
        if self.core.index() > 0 || self.writes_last_base() {
            return true;
        }
        if self.shared.snapshots.current().is_some() {
            self.give_up_snapshot();
            return true;
        }
        if self.journal.last_bases == LAST_BASES_MAX {
            self.shared.log.warning(format_args!(
                "The append only file was not rewritten: only Corelane loads it as it is, not a server with a single log"
            ));
            self.shared.append_only.forgive_base();
            return false;
        }
        if self.can_rewrite_now() {
            self.journal.last_bases += 1;
            self.shared.log.notice(format_args!("Rewriting the append only file before exiting."));
            self.begin_rewrite().ok();
        }
        true
    }

    /// Whether nothing is under way on this core that is to be logged, and all that was logged is on stable storage. Who is not
    /// `patient` does not wait for commands over several shards: a last snapshot may hold them for ever.
    pub(in crate::core) fn has_settled(&mut self, patient: bool) -> bool {
        self.bring_log_to_safety();
        if self.sees_to_last_base() {
            return false;
        }
        let is_done = self.txns.is_empty() || !patient;
        is_done && self.journal.log.as_ref().is_none_or(|log| log.is_settled())
    }

    /// The core ends: says where its log does.
    pub(in crate::core) fn finish_log(&mut self) {
        let Some(log) = &self.journal.log else { return };
        if !log.is_settled() {
            self.shared.log.warning(format_args!(
                "The end of the log of shard {} is not on stable storage: {} bytes are missing",
                self.core.0,
                log.unstable_bytes()
            ));
            let files = log.files().map(|file| (file.0, None));
            return self.shared.append_only.note_ends(files);
        }
        let (file, end, _) = log.ends();
        self.shared.append_only.note_ends([(file.0, Some(end))].into_iter());
    }

    /// Turns the log of this core off when the configuration says so, after everything is on stable storage.
    pub(in crate::core) fn turn_log_off_if_wanted(&mut self) {
        let Some(log) = &mut self.journal.log else { return };
        if self.config.appendonly && !self.journal.ends {
            return;
        }
        // From now on it is not complete, whatever the configuration says next.
        self.journal.ends = true;
        for shard in [&mut self.shard, &mut self.workbench] {
            shard.effects.collect(false);
        }
        log.demand(log.end());
        if !log.is_settled() {
            return;
        }
        let (file, end, next) = log.ends();
        self.complete_segment(file, end);
        self.journal.closed.extend([file].into_iter().chain(next));
        self.end_log();
    }
}

/// Makes segments for all cores to go on in.
pub fn make_segments(
    append_only: &crate::shared::append_only::AppendOnly,
    config: &crate::config::Config,
    logs: &[frame::Segment],
    at_start: bool,
) -> std::io::Result<()> {
    {
        let is_logged = append_only.is_logged() || at_start;
        let mut store = lock(&append_only.store);
        // What was logged before says nothing of what came after.
        if store.is_none() || !is_logged {
            let folder = folder_of(config);
            let manifest = folder.load().map_err(std::io::Error::other)?;
            *store = Some(Store::detached(folder, manifest)?);
        }
    }
    let size = FIRST_SEGMENT_BYTES.min(config.aof_segment_size_bytes);
    let make = |store: &mut Store| store.add_segments(logs, size, config.aof_direct_io);
    if let Some(made) = append_only.with_store(make) {
        append_only.set_segments(made?);
    }
    Ok(())
}

/// Where the configuration has the append-only files.
pub fn folder_of(config: &crate::config::Config) -> Folder {
    let dir = if config.aof_dir.as_os_str().is_empty() { &config.dir } else { &config.aof_dir };
    Folder::new(dir, config.appenddirname.as_os_str(), config.appendfilename.as_os_str())
}
