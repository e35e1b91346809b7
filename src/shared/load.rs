//! Loading a data set from files: what is to be loaded, and how far it has come.
//!
//! A thread reads the files, in order, and passes [portions](Portion) to the cores through bounded channels (`reader`). No core
//! begins with a part before all have finished the part before it ([`Portion::Together`]).
//!
//! Invariant: `arrived` is the sum, over all cores, of how often each has finished a part.

mod reader;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use flume::{Receiver, Sender};

use self::reader::{Feeds, Trouble, named};
pub use self::reader::{Located, Portion, Share};
use super::lock;
use crate::net::client::Scope;
use crate::observe::loading::Loading;
use crate::route::ShardMap;
use crate::runtime::io::CoreId;

/// Portions on their way to one core.
const PORTIONS_MAX: usize = 8;
/// How an RDB file begins.
const MAGIC: &[u8; 5] = b"REDIS";

/// What an RDB file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A snapshot of its own: keys whose time is over are left out.
    Snapshot,
    /// What logs continue: they say themselves what has expired.
    Base,
    /// The same, and a log stands behind it in the same file.
    Preamble,
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// The core whose log it is, which replays it in parallel to others, in order with its other parts, on its own shard
    /// only; `None` for commands on any keys.
    pub core: Option<CoreId>,
    /// What it says of whole databases.
    pub scope: Scope,
    /// The file.
    pub path: PathBuf,
    /// The bytes of it that are replayed: complete commands, and lines that begin with `#`. May reach beyond the end.
    pub range: Range<u64>,
}

/// What is to be loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadPlan {
    /// An RDB file to begin with.
    pub base: Option<(Kind, PathBuf)>,
    /// Logs to go on with. Neighbours that name a core are replayed in parallel, all others one after the other.
    pub logs: Vec<LogPart>,
}

impl LoadPlan {
    /// Loads one RDB file.
    pub fn of_snapshot(path: PathBuf) -> LoadPlan {
        LoadPlan { base: Some((Kind::Snapshot, path)), logs: Vec::new() }
    }

    /// Loads an append only file as servers before Redis 7.0 wrote it: commands, perhaps behind an RDB file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_single_log(path: PathBuf) -> io::Result<LoadPlan> {
        let mut first = Vec::new();
        File::open(&path)?.take(MAGIC.len() as u64).read_to_end(&mut first)?;
        Ok(if first == MAGIC {
            LoadPlan { base: Some((Kind::Preamble, path)), logs: Vec::new() }
        } else {
            LoadPlan {
                base: None,
                logs: vec![LogPart { core: None, scope: Scope::Everything, path, range: 0..u64::MAX }],
            }
        })
    }

    /// The bytes of all files.
    fn total_bytes(&self) -> io::Result<u64> {
        let len = |path: &Path| {
            let about = File::open(path).and_then(|file| file.metadata());
            about.map(|about| about.len()).map_err(|error| named(path, error))
        };
        let mut total = self.base.as_ref().map_or(Ok(0), |(_, path)| len(path))?;
        for log in &self.logs {
            total += len(&log.path)?.min(log.range.end).saturating_sub(log.range.start);
        }
        Ok(total)
    }
}

/// How present and new data go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadMode {
    /// Everything that is there goes before.
    pub flush: bool,
    /// Keys and libraries that are there may be replaced.
    pub replace: bool,
}

/// What a loading has to know of the server.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Who takes which keys.
    pub map: ShardMap,
    /// Whether checksums are looked at (`rdbchecksum`).
    pub verify: bool,
    /// The time, Unix milliseconds.
    pub now_ms: i64,
}

/// One loading. See the module.
#[derive(Debug)]
pub struct Load {
    /// How present and new data go together.
    pub mode: LoadMode,
    /// When it began, Unix milliseconds.
    pub started_ms: i64,
    total_bytes: Arc<AtomicU64>,
    /// Cores whose clients are quiet say so here, if the files are looked for only then.
    quiet: Option<Sender<()>>,
    portions: Vec<Mutex<Option<Receiver<Portion>>>>,
    arrived: AtomicUsize,
    /// Bytes that were gone through, as if each core had a part of all: the sum over all cores.
    gone_through: AtomicU64,
    /// What the writer of the RDB file had allocated, in bytes.
    pub used_memory_bytes: AtomicU64,
    /// Keys from RDB files.
    pub keys_loaded: AtomicU64,
    /// Keys left out because their time was over.
    pub keys_expired: AtomicU64,
    /// Keys left out because their value had no elements.
    pub keys_empty: AtomicU64,
    /// Commands of logs that were refused.
    pub commands_refused: AtomicU64,
    /// A library could not be loaded into a server that goes on without what follows it.
    refused: AtomicBool,
    /// Why it has failed, in lines.
    failure: OnceLock<Vec<String>>,
    over: Mutex<bool>,
    ended: Condvar,
}

impl Load {
    /// Begins to read what `plan` names.
    ///
    /// # Errors
    /// If a file cannot be opened, or there can be no more threads.
    pub fn begin(plan: LoadPlan, mode: LoadMode, setup: Setup) -> io::Result<Arc<Load>> {
        let total_bytes = plan.total_bytes()?;
        let load = Load::of(mode, setup, None, move |_| Ok(plan))?;
        load.total_bytes.store(total_bytes, Ordering::Relaxed);
        Ok(load)
    }

    /// Looks for what is to be loaded when all cores are quiet ([`Load::quiet`]), and begins to read it then.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn begin_when_quiet(
        find: impl FnOnce() -> io::Result<LoadPlan> + Send + 'static,
        mode: LoadMode,
        setup: Setup,
    ) -> io::Result<Arc<Load>> {
        let cores = setup.map.shards();
        let (quiet, heard) = flume::bounded(cores);
        Load::of(mode, setup, Some(quiet), move |total_bytes| {
            (0..cores).try_for_each(|_| heard.recv()).map_err(|_| Trouble::Gone)?;
            let plan = find()?;
            total_bytes.store(plan.total_bytes()?, Ordering::Relaxed);
            Ok(plan)
        })
    }

    fn of(
        mode: LoadMode,
        setup: Setup,
        quiet: Option<Sender<()>>,
        find: impl FnOnce(&AtomicU64) -> Result<LoadPlan, Trouble> + Send + 'static,
    ) -> io::Result<Arc<Load>> {
        let channels = setup.map.all().map(|_| flume::bounded(PORTIONS_MAX));
        let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
        let total_bytes = Arc::<AtomicU64>::default();
        let total = Arc::clone(&total_bytes);
        thread::Builder::new().name("loader".into()).spawn(move || {
            let feeds = Feeds::new(senders, setup);
            if let Err(trouble) = find(&total).and_then(|plan| feeds.read(&plan)) {
                feeds.tell(trouble);
            }
        })?;
        Ok(Arc::new(Load {
            mode,
            started_ms: setup.now_ms,
            total_bytes,
            quiet,
            portions: receivers.into_iter().map(|receiver| Mutex::new(Some(receiver))).collect(),
            arrived: AtomicUsize::new(0),
            gone_through: AtomicU64::new(0),
            used_memory_bytes: AtomicU64::new(0),
            keys_loaded: AtomicU64::new(0),
            keys_expired: AtomicU64::new(0),
            keys_empty: AtomicU64::new(0),
            commands_refused: AtomicU64::new(0),
            refused: AtomicBool::new(false),
            failure: OnceLock::new(),
            over: Mutex::new(false),
            ended: Condvar::new(),
        }))
    }

    /// What a core is to load; `None` if it has asked before.
    pub fn portions(&self, core: CoreId) -> Option<Receiver<Portion>> {
        lock(&self.portions[core.index()]).take()
    }

    /// Whether files are looked for only when all cores are quiet.
    pub fn waits_for_quiet(&self) -> bool {
        self.quiet.is_some()
    }

    /// A core has nothing under way any more, and all that it has done is in the files. Each says so once.
    pub fn quiet(&self) {
        if let Some(quiet) = &self.quiet {
            quiet.send(()).ok();
        }
    }

    /// A core has finished a part.
    pub fn arrive(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether all cores have finished so many parts.
    pub fn are_together(&self, parts: usize) -> bool {
        self.arrived.load(Ordering::Acquire) >= parts * self.portions.len()
    }

    /// A core has done its part of these bytes, of which all cores, or only one core, have a part.
    pub fn go_through(&self, bytes: u64, all: bool) {
        let weight = if all { 1 } else { self.portions.len() as u64 };
        self.gone_through.fetch_add(bytes * weight, Ordering::Relaxed);
    }

    /// Nothing more of it is loaded, and the server goes on.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
    }

    /// Whether [`Load::refuse`] was called.
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// It has failed, for reasons given as lines. True for the first who says so.
    pub fn fail(&self, reasons: Vec<String>) -> bool {
        self.failure.set(reasons).is_ok()
    }

    /// Why it has failed.
    pub fn failure(&self) -> Option<&[String]> {
        self.failure.get().map(Vec::as_slice)
    }

    /// All cores have loaded everything.
    pub fn end(&self) {
        *lock(&self.over) = true;
        self.ended.notify_all();
    }

    /// Waits until it is over, or `gives_up` says that it never will be. Returns whether it is over.
    pub fn wait(&self, gives_up: impl Fn() -> bool) -> bool {
        const LOOK: Duration = Duration::from_millis(20);
        let mut over = lock(&self.over);
        while !*over && !gives_up() {
            over = self
                .ended
                .wait_timeout(over, LOOK)
                .map_or_else(|error| error.into_inner().0, |(over, _)| over);
        }
        *over
    }

    /// How far it is.
    pub fn figures(&self) -> Loading {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Loading {
            active: !*lock(&self.over),
            started_ms: self.started_ms,
            total_bytes: count(&self.total_bytes),
            used_memory_bytes: count(&self.used_memory_bytes),
            loaded_bytes: count(&self.gone_through) / self.portions.len() as u64,
            keys_loaded: count(&self.keys_loaded),
            keys_expired: count(&self.keys_expired),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::temp_folder::TempFolder;

    /// What a core gets, as text.
    fn received(load: &Load, core: u16) -> Vec<String> {
        let portions = load.portions(CoreId(core)).unwrap();
        assert!(load.portions(CoreId(core)).is_none(), "each core gets them once");
        portions
            .iter()
            .map(|portion| match portion {
                Portion::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Portion::Rdb(kind, _) => format!("{kind:?}"),
                Portion::Records(share) => reader::told(share),
                Portion::Log { from, scope, .. } => format!("log from {from}, {scope:?}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn each_core_gets_what_it_needs() {
        let folder = TempFolder::empty();
        let file = |name: &str, text: &str| folder.write(name, text);
        // The slots of a and b are in different halves.
        let base = folder.write(
            "base",
            b"REDIS0009\xfa\x01n\x01v\xfe\x05\x00\x01a\x01x\x00\x01b\x01y\xff\0\0\0\0\0\0\0\0",
        );
        let (one, two) = (file("one", "0123456789"), file("two", "abc"));
        let log = |core: Option<u16>, path: &Path, range| LogPart {
            core: core.map(CoreId),
            scope: if core.is_some() { Scope::OwnShard } else { Scope::Everything },
            path: path.to_owned(),
            range,
        };
        let plan = LoadPlan {
            base: Some((Kind::Base, base.clone())),
            logs: vec![log(None, &two, 0..u64::MAX), log(Some(1), &one, 2..5), log(Some(1), &two, 1..2)],
        };
        let mode = LoadMode { flush: false, replace: false };
        let setup = Setup { map: ShardMap::new(2), verify: true, now_ms: 5 };
        let load = Load::begin(plan, mode, setup).unwrap();
        let here = [
            "Base",
            "9: Aux n=v, 14: Select 5, 21: b",
            "End",
            "Together",
            "log from 0, Everything",
            "abc",
            "End",
            "Together",
            "Together",
            "Over",
        ];
        let there = [
            "Base",
            "14: Select 5, 16: a",
            "End",
            "Together",
            "Together",
            "log from 2, OwnShard",
            "234",
            "End",
            "log from 1, OwnShard",
            "b",
            "End",
            "Together",
            "Over",
        ];
        let other = std::thread::scope(|scope| {
            let other = scope.spawn(|| received(&load, 1));
            assert_eq!(received(&load, 0), here);
            other.join().unwrap()
        });
        assert_eq!(other, there);
        assert_eq!(load.figures().total_bytes, 35 + 3 + 3 + 1);
        load.go_through(35, true);
        load.go_through(3, false);
        assert_eq!(load.figures().loaded_bytes, 35 / 2 + 3);
        assert!(!load.are_together(1));
        load.arrive();
        load.arrive();
        assert!(load.are_together(1) && !load.are_together(2));
        assert_eq!(LoadPlan::of_single_log(base.clone()).unwrap().base, Some((Kind::Preamble, base)));
        assert_eq!(LoadPlan::of_single_log(one.clone()).unwrap().logs, [log(None, &one, 0..u64::MAX)]);
        assert!(Load::begin(LoadPlan::of_snapshot(folder.join("none")), mode, setup).is_err());
    }
}
