//! The parameters that Corelane acts on.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::{Kind, Parameter, Place, Unit, check, rows, special};
use crate::config::types::{Allowed, AofSyncMethod, AppendFsync, LogLevel, MaxmemoryPolicy, Supervised};

pub(super) static PARAMETERS: &[Parameter] = rows! {
    // Network.

    /// Addresses to listen on; one after `-` may be missing from the machine, `*` is every address.
    "bind": special(bind) = "* -::*", MULTI;
    /// TCP port; 0 for no TCP.
    "port": number(0, 65535) = "6379" => port;
    /// Path of a Unix socket to listen on; empty for none.
    "unixsocket": path = "", FIXED => unixsocket;
    /// Mode of the Unix socket in octal; 0 leaves it to the umask.
    "unixsocketperm": octal(0, 0o777) = "0", FIXED => unixsocketperm;
    /// Without a password only this machine may connect.
    "protected-mode": yes_no = "yes" => protected_mode;
    /// Length of the queue of TCP connections that wait to be accepted.
    "tcp-backlog": number(0, i32::MAX) = "511", FIXED => tcp_backlog;
    /// Connections at one time; more are refused.
    "maxclients": number(1, u32::MAX) = "10000" => maxclients;
    /// Seconds after which an idle connection is closed; 0 for never.
    "timeout": number(0, i32::MAX) = "0" => timeout_seconds;
    /// Seconds after which a silent peer is probed; 0 for never.
    "tcp-keepalive": number(0, i32::MAX) = "300" => tcp_keepalive_seconds;
    /// Longest argument of a request, in bytes.
    "proto-max-bulk-len": memory(1 << 20, i64::MAX) = "536870912" => proto_max_bulk_len_bytes;
    /// Largest amount of unprocessed input of one connection, in bytes.
    "client-query-buffer-limit": memory(1 << 20, i64::MAX) = "1073741824" => client_query_buffer_limit_bytes;
    /// When a connection whose replies pile up is closed: class, hard limit, soft limit, seconds.
    "client-output-buffer-limit": special(output_limits)
        = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", MULTI;

    // The process.

    /// Only `no`: the server stays in the foreground.
    "daemonize": yes_no(check::daemonize) = "no", FIXED => daemonize;
    /// Whom to tell that the server is ready: `upstart`, `systemd`, `auto` or `no`.
    "supervised": choice(Supervised) = "no", FIXED => supervised;
    /// File to write the process number to; empty for none.
    "pidfile": path = "", FIXED => pidfile;
    /// File to log to; empty for the standard output.
    "logfile": path = "", FIXED => logfile;
    /// How much is logged.
    "loglevel": choice(LogLevel) = "notice" => loglevel;
    /// The folder of all data files, and of relative paths.
    "dir": special(dir) = ".", PROTECTED, NOT_LOADING;
    /// Shards of the keyspace; 0 for one per core of `core-list`. Changes by a restart only.
    "shards": number(0, 1024) = "0" => shards;
    /// Cores to pin the shards' threads to, such as `0,2-3`; empty for all that the process may use.
    /// Changes by a restart only.
    "core-list": special(core_list) = "";
    /// Keep memory off transparent huge pages, whose first use can take milliseconds.
    "disable-thp": yes_no = "yes", FIXED => disable_thp;
    /// Microseconds an idle core looks for work before it sleeps; `auto` adapts to the load, 0 always sleeps.
    "busy-poll-us": special(busy_poll) = "auto";
    /// Background work per second, 1 to 500.
    "hz": number(0, i32::MAX) = "10" => hz;
    /// More background work with more connections.
    "dynamic-hz": yes_no = "yes" => dynamic_hz;

    // Access.

    /// Password of the default user; empty for none.
    "requirepass": text = "", SENSITIVE => requirepass;
    /// Who may set protected parameters while the server runs.
    "enable-protected-configs": choice(Allowed) = "no", FIXED => enable_protected_configs;
    /// Who may use `DEBUG`.
    "enable-debug-command": choice(Allowed) = "no", FIXED => enable_debug_command;
    /// Who may use `MODULE`.
    "enable-module-command": choice(Allowed) = "no", FIXED => enable_module_command;

    // Data.

    /// Number of databases.
    "databases": number(1, i32::MAX) = "16", FIXED => databases;
    /// Letters of the event classes that are published, such as `KEA`; empty for none.
    "notify-keyspace-events": special(notify) = "";
    /// Keys remembered for client-side caching; 0 for no bound.
    "tracking-table-max-keys": number(0, i64::MAX) = "1000000" => tracking_table_max_keys;
    /// Snapshots: after so many seconds with at least so many changes; empty for none.
    "save": special(save) = "3600 1 300 100 60 10000", MULTI;
    /// Name of the snapshot in `dir`.
    "dbfilename": path(check::db_filename) = "dump.rdb", PROTECTED => dbfilename;
    /// Refuse writes after a snapshot failed.
    "stop-writes-on-bgsave-error": yes_no = "yes" => stop_writes_on_bgsave_error;
    /// Compress strings in snapshots.
    "rdbcompression": yes_no = "yes" => rdbcompression;
    /// Microseconds to sleep per key of a snapshot, for tests.
    "rdb-key-save-delay": number(i32::MIN, i32::MAX) = "0", HIDDEN => rdb_key_save_delay_us;
    /// Write and check a checksum.
    "rdbchecksum": yes_no = "yes", FIXED => rdbchecksum;
    /// Microseconds to sleep per key that is loaded, for tests; nothing below 0.
    "key-load-delay": number(i32::MIN, i32::MAX) = "0", HIDDEN => key_load_delay_us;

    // The append only files.

    /// Write every change to a log.
    "appendonly": yes_no = "no", NOT_LOADING => appendonly;
    /// Beginning of the names of the append only files.
    "appendfilename": path(check::aof_filename) = "appendonly.aof", FIXED => appendfilename;
    /// Folder of the append only files in `dir`.
    "appenddirname": path(check::aof_dirname) = "appendonlydir", FIXED => appenddirname;
    /// When the log is brought to stable storage: before each reply, once a second, or when the kernel sees fit.
    "appendfsync": choice(AppendFsync) = "everysec" => appendfsync;
    /// Do not sync while a snapshot or a base file is written.
    "no-appendfsync-on-rewrite": yes_no = "no" => no_appendfsync_on_rewrite;
    /// Growth in per cent that makes a rewrite due; 0 for never.
    "auto-aof-rewrite-percentage": number(0, i32::MAX) = "100" => auto_aof_rewrite_percentage;
    /// Bytes below which no rewrite is due.
    "auto-aof-rewrite-min-size": memory(0, i64::MAX) = "67108864" => auto_aof_rewrite_min_size_bytes;
    /// Load a file whose end is cut off.
    "aof-load-truncated": yes_no = "yes" => aof_load_truncated;
    /// Write times into the files, one a second at most: `#TS:` and Unix seconds.
    "aof-timestamp-enabled": yes_no = "no" => aof_timestamp_enabled;
    /// Keep files that are no longer needed, for tests.
    "aof-disable-auto-gc": yes_no = "no", HIDDEN => aof_disable_auto_gc;
    /// Write the log past the page cache, where the file system can do that.
    "aof-direct-io": yes_no = "yes" => aof_direct_io;
    /// Folder that `appenddirname` is in, for a log on a device of its own; `dir` if it is empty.
    "aof-dir": path(check::aof_dir) = "", FIXED => aof_dir;
    /// How a log gets to stable storage when somebody waits for it: by its writes (`dsync`), by `fdatasync`, or `dsync` where the device needs no flush for it (`auto`).
    "aof-sync-method": choice(AofSyncMethod) = "auto" => aof_sync_method;
    /// Bytes of a segment of a shard's log, for which room is made before it is used. The first ones are smaller.
    "aof-segment-size": memory(1 << 20, 4_294_967_296i64) = "67108864" => aof_segment_size_bytes;
    /// Writes of a shard's log that are under way at a time, at most.
    "aof-writes-in-flight": number(1, 64) = "8" => aof_writes_in_flight;
    /// Bytes of a shard's log that may be written and not on stable storage before a sync is made at once; 0 for no bound.
    "aof-unsynced-max-bytes": memory(0, i64::MAX) = "0" => aof_unsynced_max_bytes;
    /// Milliseconds between two syncs under `everysec`.
    "aof-sync-interval-ms": number(1, 10000) = "1000" => aof_sync_interval_ms;

    // Memory and expiry.

    /// Bytes that data may take; 0 for no limit. Shown, and not enforced yet.
    "maxmemory": memory(0, u64::MAX) = "0" => maxmemory_bytes;
    /// What is removed when `maxmemory` is reached: so far only whether keys carry LRU or LFU data follows from it.
    "maxmemory-policy": choice(MaxmemoryPolicy) = "noeviction" => maxmemory_policy;
    /// Keys looked at to find one to remove.
    "maxmemory-samples": number(1, 64) = "5" => maxmemory_samples;
    /// How slowly the access counters of the LFU policies grow.
    "lfu-log-factor": number(0, i32::MAX) = "10" => lfu_log_factor;
    /// Minutes after which the access counters of the LFU policies shrink by one; 0 for never.
    "lfu-decay-time": number(0, i32::MAX) = "1" => lfu_decay_time_minutes;
    /// Effort put into finding expired keys, 1 to 10.
    "active-expire-effort": number(1, 10) = "1" => active_expire_effort;
    /// Free evicted values in the background.
    "lazyfree-lazy-eviction": yes_no = "no" => lazyfree_lazy_eviction;
    /// Free expired values in the background.
    "lazyfree-lazy-expire": yes_no = "no" => lazyfree_lazy_expire;
    /// Free overwritten values in the background.
    "lazyfree-lazy-server-del": yes_no = "no" => lazyfree_lazy_server_del;
    /// `DEL` frees in the background, as `UNLINK` does.
    "lazyfree-lazy-user-del": yes_no = "no" => lazyfree_lazy_user_del;
    /// `FLUSHDB` and `FLUSHALL` without `SYNC` or `ASYNC` free in the background.
    "lazyfree-lazy-user-flush": yes_no = "no" => lazyfree_lazy_user_flush;

    // Observation.

    /// Microseconds from which a command enters the slow log; 0 for all, -1 for none.
    "slowlog-log-slower-than": number(-1, i64::MAX) = "10000" => slowlog_log_slower_than_us;
    /// Milliseconds after which a script makes the server answer `BUSY`.
    "busy-reply-threshold" | "lua-time-limit": number(0, i64::MAX) = "5000" => busy_reply_threshold_ms;
    /// Entries of the slow log.
    "slowlog-max-len": number(0, i64::MAX) = "128" => slowlog_max_len;
    /// Milliseconds from which an event enters the latency monitor; 0 turns it off.
    "latency-monitor-threshold": number(0, i64::MAX) = "0" => latency_monitor_threshold_ms;
    /// Keep a histogram of latencies per command.
    "latency-tracking": yes_no = "yes" => latency_tracking;
    /// Percentiles of those histograms that `INFO` shows.
    "latency-tracking-info-percentiles": special(percentiles) = "50 99 99.9", MULTI;

    // Compact encodings.

    /// Fields up to which a hash is a listpack.
    "hash-max-listpack-entries" | "hash-max-ziplist-entries": number(0, i64::MAX) = "512"
        => hash_max_listpack_entries;
    /// Longest field or value of a hash that is a listpack, in bytes.
    "hash-max-listpack-value" | "hash-max-ziplist-value": memory(0, i64::MAX) = "64"
        => hash_max_listpack_value_bytes;
    /// Size of a node of a list: elements if positive, -1 to -5 for 4, 8, 16, 32 or 64 kb.
    "list-max-listpack-size" | "list-max-ziplist-size": number(i32::MIN, i32::MAX) = "-2"
        => list_max_listpack_size;
    /// Nodes at each end of a list that are not compressed; 0 compresses none.
    "list-compress-depth": number(0, i32::MAX) = "0" => list_compress_depth;
    /// Members up to which a set of integers is an intset.
    "set-max-intset-entries": number(0, i64::MAX) = "512" => set_max_intset_entries;
    /// Members up to which a set is a listpack.
    "set-max-listpack-entries": number(0, i64::MAX) = "128" => set_max_listpack_entries;
    /// Longest member of a set that is a listpack, in bytes.
    "set-max-listpack-value": number(0, i64::MAX) = "64" => set_max_listpack_value_bytes;
    /// Members up to which a sorted set is a listpack.
    "zset-max-listpack-entries" | "zset-max-ziplist-entries": number(0, i64::MAX) = "128"
        => zset_max_listpack_entries;
    /// Longest member of a sorted set that is a listpack, in bytes.
    "zset-max-listpack-value" | "zset-max-ziplist-value": memory(0, i64::MAX) = "64"
        => zset_max_listpack_value_bytes;
    /// Bytes up to which a HyperLogLog is sparse.
    "hll-sparse-max-bytes": memory(0, i64::MAX) = "3000" => hll_sparse_max_bytes;
    /// Bytes of a node of a stream; 0 for no bound.
    "stream-node-max-bytes": memory(0, i64::MAX) = "4096" => stream_node_max_bytes;
    /// Entries of a node of a stream; 0 for no bound.
    "stream-node-max-entries": number(0, i64::MAX) = "100" => stream_node_max_entries;
};
