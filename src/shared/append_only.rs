//! What all cores share of the append-only files: the folder, segments on their way to cores, and what is known of rewrites.
//!
//! A *rewrite* is a snapshot that becomes the new base. First segments are made for all cores ([`AppendOnly::segments`]);
//! at the cut each core goes on in its own, or begins its log there, and says which segments the base covers; when the base is
//! complete, it takes their place. Turning the log on is a rewrite that covers whatever the folder held before.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::aof::log::Failure;
use crate::aof::store::{Prepared, Store};
use crate::runtime::io::CoreId;
use crate::script::Libraries;

/// What `INFO` shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// When the rewrite under way began, Unix seconds.
    pub rewriting_since_s: Option<i64>,
    /// The one under way is to end without a result, because the log was turned off.
    pub given_up: bool,
    /// One begins when the snapshot under way is over.
    pub scheduled: bool,
    /// How long the last one took.
    pub last_rewrite_s: Option<i64>,
    /// The last one has failed.
    pub rewrite_failed: bool,
    /// How many have failed one after the other.
    pub failures_in_a_row: u64,
    /// When the last one failed, Unix seconds.
    pub failed_at_s: i64,
    /// Rewrites begun.
    pub rewrites: u64,
    /// Bytes of all files after the last one, or at the start.
    pub base_bytes: u64,
    /// Bytes of the base and of complete segments.
    pub complete_bytes: u64,
    /// Bytes that were written early in the last one, because they were about to change.
    pub last_old_bytes: u64,
    /// Effects on whole databases, each of which several logs hold: how many there are, there were when the rewrite under way began,
    /// and a base covers.
    whole_writes: u64,
    whole_writes_at_begin: u64,
    whole_writes_covered: u64,
}

/// Segments that the base which is being written covers.
#[derive(Debug, Clone, Default)]
pub struct Covered {
    /// All with lower numbers: they were there before the segments in which logs go on.
    pub below: u32,
    /// Further ones.
    pub others: Vec<u32>,
}

impl Covered {
    /// Whether the base covers this segment.
    pub fn has(&self, seq: i64) -> bool {
        seq < i64::from(self.below) || self.others.iter().any(|&other| i64::from(other) == seq)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct AppendOnly {
    /// The folder while there is a log.
    pub store: Mutex<Option<Store>>,
    segments: Mutex<Vec<Option<Prepared>>>,
    covered: Mutex<Covered>,
    figures: Mutex<Figures>,
    has_base: AtomicBool,
    writes_through: AtomicBool,
    base_libraries: Mutex<Arc<Libraries>>,
    /// Logs that cannot be written, those of them of which a sync has failed, and the last error number.
    failing: AtomicU32,
    lossy: AtomicU32,
    error: AtomicI32,
    /// Logs that are full.
    full: AtomicU32,
    /// Bases that were completed.
    bases: AtomicU64,
    /// Cores that log what they do.
    logs: AtomicU32,
    /// Where the logs end, by segment, if that is known.
    ends: Mutex<Vec<(u32, Option<u64>)>>,
}

impl AppendOnly {
    /// The figures.
    pub fn figures(&self) -> Figures {
        *lock(&self.figures)
    }

    /// Changes the figures.
    pub fn note(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut lock(&self.figures));
    }

    /// A rewrite begins now (Unix seconds), unless one is under way.
    pub fn begin_rewrite(&self, now_s: i64) -> bool {
        let mut figures = lock(&self.figures);
        if figures.rewriting_since_s.is_some() {
            return false;
        }
        figures.rewriting_since_s = Some(now_s);
        (figures.scheduled, figures.given_up) = (false, false);
        figures.whole_writes_at_begin = figures.whole_writes;
        figures.rewrites += 1;
        true
    }

    /// One of several logs has got an effect on whole databases. Who loads the logs one after the other, as stock Redis does, applies
    /// it to what others hold: a base has to cover it.
    pub fn note_whole_write(&self) {
        lock(&self.figures).whole_writes += 1;
    }

    /// Whether a base is to cover such effects, and can be written.
    pub fn owes_base(&self) -> bool {
        let figures = self.figures();
        figures.whole_writes > figures.whole_writes_covered && self.is_logged() && self.error().is_none()
    }

    /// Such effects stay as they are.
    pub fn forgive_base(&self) {
        self.note(|figures| figures.whole_writes_covered = figures.whole_writes);
    }

    /// Whether any core logs what it does.
    pub fn is_logged(&self) -> bool {
        self.logs.load(Ordering::Relaxed) > 0
    }

    /// A core begins or ends its log.
    pub fn count_log(&self, begins: bool) {
        change(&self.logs, !begins, begins);
    }

    /// Segments for all cores, in their order; none if nothing is logged. What a rewrite covers then are all that were made before.
    pub fn set_segments(&self, segments: Vec<Prepared>) {
        lock(&self.covered).below = segments.iter().map(|made| made.seq).min().unwrap_or(u32::MAX);
        *lock(&self.segments) = segments.into_iter().map(Some).collect();
    }

    /// The segment for a core, if one is there for it.
    pub fn take_segment(&self, core: CoreId) -> Option<Prepared> {
        lock(&self.segments).get_mut(core.index())?.take()
    }

    /// Whether a segment waits for a core to go on in it.
    pub fn has_segment(&self, core: CoreId) -> bool {
        lock(&self.segments).get(core.index()).is_some_and(Option::is_some)
    }

    /// Nobody is to go on in the segments that wait.
    pub fn forget_segments(&self) {
        lock(&self.segments).clear();
    }

    /// These segments are covered by the base that is being written, too.
    pub fn cover(&self, segments: impl Iterator<Item = u32>) {
        lock(&self.covered).others.extend(segments);
    }

    /// All segments that the base covers.
    pub fn take_covered(&self) -> Covered {
        std::mem::take(&mut lock(&self.covered))
    }

    /// The error number of a log that cannot be written, if there is one.
    #[inline]
    pub fn error(&self) -> Option<i32> {
        (self.failing.load(Ordering::Relaxed) > 0).then(|| self.error.load(Ordering::Relaxed))
    }

    /// Whether what some log has lost is to be covered by a base.
    pub fn is_lossy(&self) -> bool {
        self.lossy.load(Ordering::Relaxed) > 0
    }

    /// What is the matter with a log has changed.
    pub fn note_failure(&self, before: Option<Failure>, now: Option<Failure>) {
        if let Some(Failure::Write(error) | Failure::Sync(error)) = now {
            self.error.store(error, Ordering::Relaxed);
        }
        change(&self.failing, before.is_some(), now.is_some());
        let is_lossy = |failure| matches!(failure, Some(Failure::Sync(_)));
        change(&self.lossy, is_lossy(before), is_lossy(now));
    }

    /// Whether so much waits to be written to some log that commands that write have to wait.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed) > 0
    }

    /// A log is full, or no more. Returns whether it was the last one.
    pub fn note_full(&self, is_full: bool) -> bool {
        change(&self.full, !is_full, is_full);
        !self.is_full()
    }

    /// How many bases were completed.
    pub fn bases(&self) -> u64 {
        self.bases.load(Ordering::Acquire)
    }

    /// One more is.
    pub fn count_base(&self) {
        self.note(|figures| figures.whole_writes_covered = figures.whole_writes_at_begin);
        self.bases.fetch_add(1, Ordering::Release);
    }

    /// The function libraries that the base under way has at least.
    pub fn base_libraries(&self) -> Arc<Libraries> {
        Arc::clone(&lock(&self.base_libraries))
    }

    /// Sets what [`AppendOnly::base_libraries`] returns.
    pub fn set_base_libraries(&self, libraries: Arc<Libraries>) {
        *lock(&self.base_libraries) = libraries;
    }

    /// A core has ended, and the last segments of its log end there; at a place that is not known if not all was written.
    pub fn note_ends(&self, ends: impl Iterator<Item = (u32, Option<u64>)>) {
        lock(&self.ends).extend(ends);
    }

    /// All cores and the storage thread have ended: leaves nothing behind but what was logged.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(&self) -> io::Result<()> {
        let ends = std::mem::take(&mut *lock(&self.ends));
        self.with_store(|store| store.finish(&ends)).unwrap_or(Ok(()))
    }

    /// Whether the manifest on disk names a base and the segments that follow it.
    pub fn has_base(&self) -> bool {
        self.has_base.load(Ordering::Acquire)
    }

    /// Whether the folder's device makes writes durable as a part of them; no before there is a folder.
    pub fn writes_through(&self) -> bool {
        self.writes_through.load(Ordering::Relaxed)
    }

    /// Does something with the folder; `None` if there is no log.
    pub fn with_store<T>(&self, work: impl FnOnce(&mut Store) -> T) -> Option<T> {
        let mut store = lock(&self.store);
        let result = store.as_mut().map(work);
        if let Some(store) = &*store {
            self.has_base.store(!store.is_detached(), Ordering::Release);
            self.writes_through.store(store.writes_through(), Ordering::Relaxed);
            let (base, complete) = store.bytes();
            self.note(|figures| figures.complete_bytes = base + complete);
        }
        result
    }
}

/// Counts something that is so now, or was before.
fn change(count: &AtomicU32, before: bool, now: bool) {
    match (before, now) {
        (false, true) => count.fetch_add(1, Ordering::Relaxed),
        (true, false) => count.fetch_sub(1, Ordering::Relaxed),
        _ => 0,
    };
}
