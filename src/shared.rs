//! The little that all cores share: the configuration, counters that are touched once per connection, and the logs that
//! operators read. Keys, clients and statistics belong to one core each.

pub mod append_only;
pub mod load;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::append_only::AppendOnly;
use self::load::Load;
use crate::aof::frame;
use crate::config::Config;
use crate::observe::latency::LatencyMonitor;
use crate::observe::loading::Loading;
use crate::observe::log::Log;
use crate::observe::slowlog::SlowLog;
use crate::route::ShardMap;
use crate::runtime::alloc;
use crate::runtime::io::CoreId;
use crate::script::Scripts;
use crate::snapshots::Snapshots;
use crate::storage::Storage;

/// How long cores that stop wait for each other. A sleeping one notices within a tenth of a second.
const DEAFNESS_MAX: Duration = Duration::from_millis(300);

/// Values of `Shared::stop`.
const STOP_NOT_ASKED: u8 = 0;
const STOP_ASKED: u8 = 1;
const STOP_TAKEN: u8 = 2;

/// Locks what is shared. A panic ends the process, so a poisoned lock is not seen outside of tests.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The configuration with a version, so that a core notices a change by one load per turn.
#[derive(Debug)]
pub struct ConfigCell {
    current: Mutex<Arc<Config>>,
    version: AtomicU64,
}

impl ConfigCell {
    /// A cell that holds `config`.
    pub fn new(config: Config) -> ConfigCell {
        ConfigCell { current: Mutex::new(Arc::new(config)), version: AtomicU64::new(1) }
    }

    /// The version of the configuration; it only grows.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The configuration and its version.
    pub fn current(&self) -> (Arc<Config>, u64) {
        let current = lock(&self.current);
        (Arc::clone(&current), self.version())
    }

    /// Replaces the configuration by what `change` makes of it; all changes happen one after the other.
    ///
    /// # Errors
    /// Those of `change`, and then nothing is replaced.
    pub fn update<E>(&self, change: impl FnOnce(&Config) -> Result<Config, E>) -> Result<(), E> {
        let mut current = lock(&self.current);
        *current = Arc::new(change(&current)?);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Shared {
    /// Who owns what.
    pub map: ShardMap,
    /// The configuration.
    pub config: ConfigCell,
    /// Connections per core, those on their way to it included.
    pub connections: Box<[AtomicU32]>,
    /// Clients that are served.
    served: AtomicU32,
    /// The id of the client that connected last.
    pub last_client_id: AtomicU64,
    /// Keys that all shards remember for clients that cache them.
    pub tracked_keys: AtomicUsize,
    /// The server is to stop.
    pub stopping: AtomicBool,
    /// Cores that listen for connections.
    listening: AtomicU32,
    /// Cores that have nothing more to do, at the end.
    settled: AtomicU32,
    /// The loading of the data set that is going on, or the last one.
    load: Mutex<Option<Arc<Load>>>,
    /// The slow log.
    pub slowlog: Mutex<SlowLog>,
    /// The latency monitor.
    pub latency: Mutex<LatencyMonitor>,
    /// The log file.
    pub log: Log,
    /// Names this run of the server in its logs. No client may know it: whoever does can write values that pass for frames.
    pub log_run: u128,
    /// 40 hexadecimal digits that name this run of the server.
    pub run_id: String,
    /// When the server started, Unix microseconds.
    pub started_us: i64,
    /// Bytes allocated before the first client came.
    pub startup_bytes: AtomicUsize,
    /// The most bytes ever seen allocated.
    pub peak_bytes: AtomicUsize,
    /// 40 hexadecimal digits that name the data set's history (`master_replid`).
    pub replication_id: Mutex<String>,
    /// The program's path.
    pub executable: String,
    /// Files.
    pub storage: Storage,
    /// Snapshots.
    pub snapshots: Snapshots,
    /// What a signal has asked for.
    stop: AtomicU8,
    /// The append-only files.
    pub append_only: Arc<AppendOnly>,
    /// Scripts and functions that can be called.
    pub scripts: Arc<Scripts>,
    /// Test aid (`DEBUG SET-DISABLE-DENY-SCRIPTS`): scripts may call what they otherwise must not.
    pub scripts_may_all: AtomicBool,
    /// Scripts, and functions, that have run for `busy-reply-threshold` on all cores.
    slow_scripts: [AtomicU32; 2],
}

/// 128 bits that nobody can guess.
fn secret_run() -> u128 {
    let keys = ahash::RandomState::new();
    u128::from(keys.hash_one(0)) << 64 | u128::from(keys.hash_one(1))
}

/// What has run for `busy-reply-threshold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowScript {
    /// A script.
    Script,
    /// A function.
    Function,
}

impl Shared {
    /// What `map.shards()` cores share.
    pub fn new(map: ShardMap, config: Config, log: Log, run_id: String, started_us: i64) -> Shared {
        let executable =
            std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string());
        let replication_id = Mutex::new(run_id.chars().rev().collect());
        Shared {
            map,
            config: ConfigCell::new(config),
            connections: map.all().map(|_| AtomicU32::new(0)).collect(),
            served: AtomicU32::new(0),
            last_client_id: AtomicU64::new(0),
            tracked_keys: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            listening: AtomicU32::new(map.shards() as u32),
            settled: AtomicU32::new(0),
            load: Mutex::default(),
            slowlog: Mutex::new(SlowLog::default()),
            latency: Mutex::new(LatencyMonitor::default()),
            log,
            log_run: secret_run(),
            run_id,
            started_us,
            startup_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            replication_id,
            executable,
            storage: Storage::none(map.shards()),
            snapshots: Snapshots::new(map, started_us / 1_000_000),
            stop: AtomicU8::new(STOP_NOT_ASKED),
            append_only: Arc::default(),
            scripts: Arc::default(),
            scripts_may_all: AtomicBool::new(false),
            slow_scripts: Default::default(),
        }
    }

    /// A signal asks the server to stop; false if one has done so already.
    pub fn ask_to_stop(&self) -> bool {
        let first = self.change_stop(STOP_NOT_ASKED, STOP_ASKED);
        self.storage.wake_all();
        first
    }

    /// Whether a signal has asked for that, once.
    pub fn takes_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) == STOP_ASKED && self.change_stop(STOP_ASKED, STOP_TAKEN)
    }

    /// Forgets that a signal has asked for that; false if none has, or it is too late.
    pub fn aborts_stop(&self) -> bool {
        self.change_stop(STOP_ASKED, STOP_NOT_ASKED)
    }

    /// The server cannot stop: it may be asked again.
    pub fn forget_stop(&self) {
        self.stop.store(STOP_NOT_ASKED, Ordering::Relaxed);
    }

    fn change_stop(&self, from: u8, to: u8) -> bool {
        self.stop.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whose logs this run writes, by core.
    pub fn logs(&self) -> impl Iterator<Item = frame::Segment> + use<> {
        let (run, shards) = (self.log_run, self.map.shards() as u16);
        (0..shards).map(move |shard| frame::Segment { run, shard, shards })
    }

    /// A core that stops listens no more; waits until none does, for a moment at most. So a client that loses its connection
    /// finds nobody else to connect to.
    pub fn await_deafness(&self) {
        self.listening.fetch_sub(1, Ordering::Relaxed);
        let deadline = Instant::now() + DEAFNESS_MAX;
        while self.listening.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// At the end a core has nothing more to do, or has got something again.
    pub fn note_settled(&self, settled: bool) {
        match settled {
            true => self.settled.fetch_add(1, Ordering::AcqRel),
            false => self.settled.fetch_sub(1, Ordering::AcqRel),
        };
    }

    /// Whether no core has anything more to do.
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire) as usize == self.map.shards()
    }

    /// The loading of the data set that is going on, or the last one.
    pub fn load(&self) -> Option<Arc<Load>> {
        lock(&self.load).clone()
    }

    /// Sets what [`Shared::load`] returns.
    pub fn set_load(&self, load: Arc<Load>) {
        *lock(&self.load) = Some(load);
    }

    /// How far the data set is loaded.
    pub fn loading(&self) -> Loading {
        self.load().map(|load| load.figures()).unwrap_or_default()
    }

    /// A script or function has run for long, or does so no more.
    pub fn note_slow_script(&self, is_function: bool, runs: bool) {
        let count = &self.slow_scripts[usize::from(is_function)];
        match runs {
            true => count.fetch_add(1, Ordering::Relaxed),
            false => count.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// What has run for long, if anything has.
    pub fn slow_script(&self) -> Option<SlowScript> {
        let runs = |count: &AtomicU32| count.load(Ordering::Relaxed) > 0;
        let [script, function] = &self.slow_scripts;
        match () {
            () if runs(script) => Some(SlowScript::Script),
            () if runs(function) => Some(SlowScript::Function),
            () => None,
        }
    }

    /// Chooses the core with the fewest connections for a new one, `here` if it is among them, and counts it there.
    pub fn place_connection(&self, here: CoreId) -> CoreId {
        let load = |core: CoreId| self.connections[core.index()].load(Ordering::Relaxed);
        let least = self.map.all().min_by_key(|&core| (load(core), core != here)).expect("there is a core");
        self.connections[least.index()].fetch_add(1, Ordering::Relaxed);
        least
    }

    /// Takes note of how much is allocated now. Returns that and the most that was ever seen, in bytes.
    pub fn note_memory(&self) -> (usize, usize) {
        let now = alloc::allocated_bytes();
        (now, self.peak_bytes.fetch_max(now, Ordering::Relaxed).max(now))
    }

    /// Counts a client as served unless `max` of them are. Of two that come at the same time on different cores, one is
    /// admitted to the last place.
    pub fn admit(&self, max: u32) -> bool {
        let more = |served| (served < max).then_some(served + 1);
        self.served.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// A client that was admitted has gone.
    pub fn dismiss(&self) {
        self.served.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_clients_are_admitted_than_there_may_be() {
        let shared = Shared::new(ShardMap::new(1), Config::default(), Log::silent(), String::new(), 0);
        assert_eq!([3, 3, 3, 3].map(|max| shared.admit(max)), [true, true, true, false]);
        assert!(!shared.admit(1), "the bound was lowered below what is served");
        shared.dismiss();
        assert_eq!([3, 3].map(|max| shared.admit(max)), [true, false]);
    }
}
