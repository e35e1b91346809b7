//! Snapshots of the whole data set, as all cores know of them: the one that is being taken, and what became of those before.
//!
//! At most one is under way. The core that begins it puts a [`Run`] here before it asks the shards for the cut; each core
//! takes its way to the storage thread from there, and counts into it. Whoever finds that the snapshot cannot succeed says
//! so once, and all give up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::route::ShardMap;
use crate::runtime::io::CoreId;
use crate::storage::Piece;

/// Pieces on their way to the storage thread at most.
const PIECES_MAX: usize = 8;

/// What a snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotPurpose {
    /// It is the data set's dump, `dbfilename`.
    Dump,
    /// It is what a log begins with.
    AofBase,
}

/// What is to be taken.
#[derive(Debug, Clone)]
pub struct SnapshotPlan {
    /// What for.
    pub purpose: SnapshotPurpose,
    /// Where the file is written.
    pub temporary: PathBuf,
    /// The file's name when it is complete, in the same folder.
    pub path: PathBuf,
    /// No command runs between the cut and the end, on any shard: the server stops after it.
    pub holds: bool,
}

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Run {
    /// Names it.
    pub number: u64,
    /// What it is.
    pub plan: SnapshotPlan,
    /// When it began, Unix microseconds.
    pub started_us: i64,
    /// Changes that the data set had seen at the cut, over all cores.
    pub changes: AtomicU64,
    /// Keys that there were at the cut.
    pub keys_total: AtomicU64,
    /// Keys that are written.
    pub keys: AtomicU64,
    /// Bytes of entries that were written early, because they were about to change.
    pub old_bytes: AtomicU64,
    ways: Mutex<Vec<Option<flume::Sender<Piece>>>>,
    /// By core: it waits for room on the way.
    stalled: Box<[AtomicBool]>,
    has_failed: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Run {
    /// A run, and where the pieces of all cores arrive.
    pub fn new(
        map: ShardMap,
        number: u64,
        plan: SnapshotPlan,
        started_us: i64,
    ) -> (Run, flume::Receiver<Piece>) {
        let (sender, pieces) = flume::bounded(PIECES_MAX);
        let run = Run {
            number,
            plan,
            started_us,
            changes: AtomicU64::new(0),
            keys_total: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            old_bytes: AtomicU64::new(0),
            ways: Mutex::new(map.all().map(|_| Some(sender.clone())).collect()),
            stalled: map.all().map(|_| AtomicBool::new(false)).collect(),
            has_failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        };
        (run, pieces)
    }

    /// A core's way to the storage thread, once.
    pub fn take_way(&self, core: CoreId) -> Option<flume::Sender<Piece>> {
        lock(&self.ways)[core.index()].take()
    }

    /// A core has found the way full, and wants to be woken when it is not.
    pub fn stall(&self, core: CoreId) {
        self.stalled[core.index()].store(true, Ordering::SeqCst);
    }

    /// The cores that are to be woken now, each once.
    pub fn unstall(&self) -> impl Iterator<Item = CoreId> {
        let waits = |(_, stalled): &(usize, &AtomicBool)| stalled.swap(false, Ordering::SeqCst);
        self.stalled.iter().enumerate().filter(waits).map(|(core, _)| CoreId(core as u16))
    }

    /// Gives the snapshot up; the first reason counts.
    pub fn fail(&self, reason: &str) {
        lock(&self.failure).get_or_insert_with(|| reason.to_owned());
        self.has_failed.store(true, Ordering::Release);
        // Who has not begun must not, or the storage thread would wait for it.
        lock(&self.ways).iter_mut().for_each(|way| *way = None);
    }

    /// Whether it was given up.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Why it was given up.
    pub fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

/// What became of the snapshots so far, times in Unix seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// When the last one succeeded, or the server started.
    pub last_save_s: i64,
    /// When the last one in the background began.
    pub last_try_s: i64,
    /// The last one in the background has failed.
    pub failing: bool,
    /// How long the last one in the background took.
    pub last_duration_s: Option<i64>,
    /// Dumps begun.
    pub saves: u64,
    /// Bytes of entries that were written early, in the last one.
    pub last_old_bytes: u64,
    /// Changes that the last dump holds, over all cores.
    pub saved_changes: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Snapshots {
    current: Mutex<Option<Arc<Run>>>,
    figures: Mutex<Figures>,
    failing: AtomicBool,
    scheduled: AtomicBool,
    /// By core: changes so far, as of a tenth of a second ago.
    changes: Box<[AtomicU64]>,
}

impl Snapshots {
    /// None so far; the server started then (Unix seconds).
    pub fn new(map: ShardMap, started_s: i64) -> Snapshots {
        Snapshots {
            current: Mutex::default(),
            figures: Mutex::new(Figures { last_save_s: started_s, ..Figures::default() }),
            failing: AtomicBool::new(false),
            scheduled: AtomicBool::new(false),
            changes: map.all().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The one under way.
    pub fn current(&self) -> Option<Arc<Run>> {
        lock(&self.current).clone()
    }

    /// Begins one, unless there is one.
    ///
    /// # Errors
    /// The one that is under way.
    pub fn begin(&self, run: Run) -> Result<Arc<Run>, Arc<Run>> {
        let mut current = lock(&self.current);
        if let Some(current) = &*current {
            return Err(Arc::clone(current));
        }
        let run = Arc::new(run);
        *current = Some(Arc::clone(&run));
        Ok(run)
    }

    /// The one under way is over; `note` says what became of it.
    pub fn end(&self, note: impl FnOnce(&mut Figures)) {
        self.note(note);
        *lock(&self.current) = None;
    }

    /// Notes something.
    pub fn note(&self, note: impl FnOnce(&mut Figures)) {
        let mut figures = lock(&self.figures);
        note(&mut figures);
        self.failing.store(figures.failing, Ordering::Relaxed);
    }

    /// What became of those before.
    pub fn figures(&self) -> Figures {
        *lock(&self.figures)
    }

    /// Whether the last one in the background has failed.
    #[inline]
    pub fn are_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Sets whether one is to begin as soon as may be.
    pub fn schedule(&self, scheduled: bool) {
        self.scheduled.store(scheduled, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn is_scheduled(&self) -> bool {
        self.scheduled.load(Ordering::Relaxed)
    }

    /// Takes note of a core's changes so far.
    pub fn note_changes(&self, core: CoreId, changes: u64) {
        self.changes[core.index()].store(changes, Ordering::Relaxed);
    }

    /// Changes since the last dump, as far as the cores have told.
    pub fn unsaved_changes(&self) -> u64 {
        let changes: u64 = self.changes.iter().map(|changes| changes.load(Ordering::Relaxed)).sum();
        changes.saturating_sub(lock(&self.figures).saved_changes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> SnapshotPlan {
        let (temporary, path) = (PathBuf::from("t"), PathBuf::from("d"));
        SnapshotPlan { purpose: SnapshotPurpose::Dump, temporary, path, holds: false }
    }

    #[test]
    fn one_is_under_way_at_a_time() {
        let map = ShardMap::new(2);
        let snapshots = Snapshots::new(map, 5);
        let begin = |number| match snapshots.begin(Run::new(map, number, plan(), 0).0) {
            Ok(run) => Ok(run.number),
            Err(run) => Err(run.number),
        };
        assert_eq!(begin(1), Ok(1));
        assert_eq!(begin(2), Err(1));
        snapshots.note_changes(CoreId(0), 7);
        snapshots.note_changes(CoreId(1), 4);
        snapshots.end(|figures| (figures.saved_changes, figures.failing) = (9, true));
        assert_eq!((snapshots.unsaved_changes(), snapshots.are_failing()), (2, true));
        assert_eq!(begin(3), Ok(3));
    }

    #[test]
    fn a_run_that_failed_gives_nobody_a_way() {
        let map = ShardMap::new(2);
        let (run, pieces) = Run::new(map, 1, plan(), 0);
        let way = run.take_way(CoreId(0));
        assert!(way.is_some() && run.take_way(CoreId(0)).is_none());
        run.stall(CoreId(1));
        assert_eq!((run.unstall().collect::<Vec<_>>(), run.unstall().count()), (vec![CoreId(1)], 0));
        run.fail("first");
        run.fail("second");
        assert_eq!((run.has_failed(), run.failure().as_deref()), (true, Some("first")));
        drop(way);
        assert!(run.take_way(CoreId(1)).is_none());
        assert!(matches!(pieces.try_recv(), Err(flume::TryRecvError::Disconnected)));
    }
}
