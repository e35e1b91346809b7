//! Configuration: one table of parameters ([`table`]) from which `redis.conf` ([`mod@file`]), the command line
//! ([`args`]), `CONFIG GET` and `SET` ([`get_set`]), `CONFIG REWRITE` ([`rewrite`]), the defaults and the
//! printed reference ([`mod@reference`]) are derived.
//!
//! A [`Config`] is a plain value. Nothing here acts on it: `CONFIG SET` makes a new one and says what
//! differs, and the caller applies that or drops it.

pub mod args;
pub mod file;
pub mod get_set;
pub mod reference;
pub mod rewrite;
pub mod system_check;
pub mod table;
mod types;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::event_classes::EventClasses;
pub use types::{
    Allowed, AofSyncMethod, AppendFsync, BusyPoll, CoreList, LogLevel, MaxmemoryPolicy, OutputLimit,
    OutputLimits, Reason, SavePoint, Supervised,
};

/// The Redis version whose behaviour Corelane claims, in `INFO`, `HELLO`, `--version` and elsewhere.
pub const REDIS_VERSION: &str = "7.4.1";

/// Declares [`Config`] and the value it has before the table fills in the defaults.
macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $visibility:vis $name:ident: $type:ty,)+) => {
        /// The values of all parameters. What each is for stands in [`table`]; fields here are named after
        /// their parameters, with the unit added.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $($(#[doc = $doc])+ $visibility $name: $type,)+
        }

        impl Config {
            fn blank() -> Config {
                Config { $($name: <$type>::default(),)+ }
            }
        }
    };
}

fields! {
    /// Addresses to listen on, as given (`127.0.0.1`, `-::1`, `*`, `-::*`).
    pub bind: Vec<String>,
    /// TCP port, 0 for none.
    pub port: u16,
    /// Unix socket, empty for none.
    pub unixsocket: PathBuf,
    /// Mode of the Unix socket, 0 for what the umask gives.
    pub unixsocketperm: u32,
    /// Refuse clients from elsewhere while there is no password.
    pub protected_mode: bool,
    /// Backlog of the TCP sockets.
    pub tcp_backlog: u32,
    /// Connections at one time.
    pub maxclients: u32,
    /// Idle time after which a connection is closed, 0 for never.
    pub timeout_seconds: u32,
    /// Interval of TCP keepalive probes, 0 for none.
    pub tcp_keepalive_seconds: u32,
    /// Longest argument of a request.
    pub proto_max_bulk_len_bytes: u64,
    /// Bound of a connection's input.
    pub client_query_buffer_limit_bytes: u64,
    /// Bounds of a connection's output, per class.
    pub client_output_buffer_limits: OutputLimits,
    /// Always false: the table refuses `yes`.
    pub daemonize: bool,
    /// Supervisor.
    pub supervised: Supervised,
    /// File for the process number, empty for none.
    pub pidfile: PathBuf,
    /// Log file, empty for the standard output.
    pub logfile: PathBuf,
    /// Log level.
    pub loglevel: LogLevel,
    /// Folder of the data files, absolute. Relative paths in other fields are meant from here.
    pub dir: PathBuf,
    /// Shards, 0 for one per core.
    pub shards: u16,
    /// Cores to use.
    pub core_list: CoreList,
    /// How long an idle core spins.
    pub busy_poll: BusyPoll,
    /// Runs of background work per second, 1 to 500.
    pub hz: u32,
    /// Raise `hz` with the number of connections.
    pub dynamic_hz: bool,
    /// Password of the default user, empty for none.
    pub requirepass: Vec<u8>,
    /// Who may set protected parameters.
    pub enable_protected_configs: Allowed,
    /// Who may use `DEBUG`.
    pub enable_debug_command: Allowed,
    /// Who may use `MODULE`.
    pub enable_module_command: Allowed,
    /// Number of databases.
    pub databases: u32,
    /// Published keyspace events.
    pub notify_keyspace_events: EventClasses,
    /// Bound of the tracking table, 0 for none.
    pub tracking_table_max_keys: u64,
    /// When snapshots are due.
    pub save: Vec<SavePoint>,
    /// Name of the snapshot.
    pub dbfilename: PathBuf,
    /// Write a log.
    pub appendonly: bool,
    /// Beginning of the names of its files.
    pub appendfilename: PathBuf,
    /// Their folder in `dir`.
    pub appenddirname: PathBuf,
    /// When the log is synced.
    pub appendfsync: AppendFsync,
    /// No syncs while a snapshot is written.
    pub no_appendfsync_on_rewrite: bool,
    /// Growth that makes a rewrite due, in per cent.
    pub auto_aof_rewrite_percentage: u32,
    /// Size below which none is due.
    pub auto_aof_rewrite_min_size_bytes: u64,
    /// Load a file whose end is cut off.
    pub aof_load_truncated: bool,
    /// Write the log past the page cache.
    pub aof_direct_io: bool,
    /// Write times into logs.
    pub aof_timestamp_enabled: bool,
    /// Keep files that are no longer needed, for tests.
    pub aof_disable_auto_gc: bool,
    /// Where the folder of logs is, if not in `dir`.
    pub aof_dir: PathBuf,
    /// How logs get to stable storage.
    pub aof_sync_method: AofSyncMethod,
    /// Size of a segment.
    pub aof_segment_size_bytes: u64,
    /// Writes of a log under way at most.
    pub aof_writes_in_flight: u32,
    /// Bytes that may be unsynced, 0 for no bound.
    pub aof_unsynced_max_bytes: u64,
    /// Interval of syncs.
    pub aof_sync_interval_ms: u32,
    /// Snapshots end with a checksum.
    pub rdbchecksum: bool,
    /// Microseconds of rest per key that is loaded from a snapshot.
    pub key_load_delay_us: i32,
    /// Compress strings in snapshots.
    pub rdbcompression: bool,
    /// Refuse writes after a snapshot has failed.
    pub stop_writes_on_bgsave_error: bool,
    /// Microseconds of rest per key of a snapshot.
    pub rdb_key_save_delay_us: i32,
    /// Memory limit, 0 for none.
    pub maxmemory_bytes: u64,
    /// Eviction policy.
    pub maxmemory_policy: MaxmemoryPolicy,
    /// Candidates per eviction.
    pub maxmemory_samples: u32,
    /// Growth of LFU counters.
    pub lfu_log_factor: u32,
    /// Decay of LFU counters.
    pub lfu_decay_time_minutes: u32,
    /// Effort of the expiry cycle, 1 to 10.
    pub active_expire_effort: u32,
    /// Keep memory off transparent huge pages.
    pub disable_thp: bool,
    /// See the table.
    pub lazyfree_lazy_eviction: bool,
    /// See the table.
    pub lazyfree_lazy_expire: bool,
    /// See the table.
    pub lazyfree_lazy_server_del: bool,
    /// See the table.
    pub lazyfree_lazy_user_del: bool,
    /// See the table.
    pub lazyfree_lazy_user_flush: bool,
    /// Threshold of the slow log; 0 takes all, negative none.
    pub slowlog_log_slower_than_us: i64,
    /// Length of the slow log.
    pub slowlog_max_len: u64,
    /// Milliseconds after which a script makes the server answer `BUSY`.
    pub busy_reply_threshold_ms: i64,
    /// Threshold of the latency monitor, 0 for off.
    pub latency_monitor_threshold_ms: u64,
    /// Whether latencies per command are kept.
    pub latency_tracking: bool,
    /// Percentiles shown in `INFO`.
    pub latency_tracking_info_percentiles: Vec<f64>,
    /// Fields of a listpack hash.
    pub hash_max_listpack_entries: u64,
    /// Longest field or value of a listpack hash.
    pub hash_max_listpack_value_bytes: u64,
    /// Elements per list node if positive, else a size class.
    pub list_max_listpack_size: i32,
    /// Uncompressed nodes at each end.
    pub list_compress_depth: u32,
    /// Members of an intset.
    pub set_max_intset_entries: u64,
    /// Members of a listpack set.
    pub set_max_listpack_entries: u64,
    /// Longest member of a listpack set.
    pub set_max_listpack_value_bytes: u64,
    /// Members of a listpack sorted set.
    pub zset_max_listpack_entries: u64,
    /// Longest member of a listpack sorted set.
    pub zset_max_listpack_value_bytes: u64,
    /// Largest sparse HyperLogLog.
    pub hll_sparse_max_bytes: u64,
    /// Bytes of a stream node, 0 for no bound.
    pub stream_node_max_bytes: u64,
    /// Entries of a stream node, 0 for no bound.
    pub stream_node_max_entries: u64,
    /// The file the server was started with, absolute; `CONFIG REWRITE` rewrites it.
    pub config_file: Option<PathBuf>,
    /// `rename-command` lines: old name, new name (empty to remove the command). The lookup of
    /// commands applies them.
    pub renamed_commands: Vec<(Vec<u8>, Vec<u8>)>,
    /// Arguments of `user` lines: name, then rules. Whoever builds the users applies them.
    pub acl_users: Vec<Vec<Vec<u8>>>,
    /// Folder the process was started in: a relative `dir` in the file is meant from here.
    start_dir: PathBuf,
    /// Values without a field that are not the default, by name.
    kept: BTreeMap<&'static str, Vec<u8>>,
}

impl Default for Config {
    /// Every parameter at the default that its row names; `dir` is the current folder.
    fn default() -> Config {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Config::started_in(here.canonicalize().unwrap_or(here))
    }
}

impl Config {
    /// The defaults of a server that was started in this folder.
    fn started_in(folder: PathBuf) -> Config {
        let mut config = Config { start_dir: folder.clone(), dir: folder, ..Config::blank() };
        table::parameters().for_each(|parameter| parameter.set_default(&mut config));
        config
    }

    /// Descriptors that a server with this configuration may need: those of its clients, and what each core and the
    /// process have open (Redis's reserve is 32 too).
    pub fn open_files_needed(&self) -> u64 {
        u64::from(self.maxclients) + self.reserved_files()
    }

    /// The most of `maxclients` that can be served with so many descriptors.
    pub fn maxclients_within(&self, open_files: u64) -> u32 {
        let possible = open_files.saturating_sub(self.reserved_files()).clamp(1, u64::from(u32::MAX)) as u32;
        possible.min(self.maxclients)
    }

    fn reserved_files(&self) -> u64 {
        32 + 4 * u64::from(self.shards)
    }

    /// Brings values into the bounds that are wider in their rows: Redis takes any `hz` and caps it.
    fn settle(&mut self) {
        self.hz = self.hz.clamp(1, 500);
    }
}
