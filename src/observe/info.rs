//! The text of `INFO` (redis.io/docs/latest/commands/info), section by section, from figures that were gathered before.
//!
//! Fields have Redis's names and order. Those about things that this server does not have yet (logs, replicas, modules) say that there are none.

use std::fmt::Write;

use crate::base::number::human_bytes;
use crate::command::lookup::Lookup;
use crate::config::{Config, REDIS_VERSION, Supervised};
use crate::observe::loading::Loading;
use crate::observe::memory::Memory;
use crate::observe::stats::{CommandStats, Stats};
use crate::runtime::{cpu, system};

/// A section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The process and its settings.
    Server,
    /// Connections.
    Clients,
    /// Where memory goes.
    Memory,
    /// Snapshots and the log of changes.
    Persistence,
    /// Counters and rates.
    Stats,
    /// The part in replication.
    Replication,
    /// CPU time.
    Cpu,
    /// Modules.
    Modules,
    /// Counters per command.
    Commandstats,
    /// Counters per error code.
    Errorstats,
    /// Latencies per command.
    Latencystats,
    /// The part in a cluster.
    Cluster,
    /// Keys per database.
    Keyspace,
    /// Cores and what passes between them.
    Corelane,
    /// What the loop's time went into; shown only when asked for by name.
    Debug,
}

/// All sections by name, in the order in which they are shown.
const SECTIONS: [(Section, &str); 15] = [
    (Section::Server, "Server"),
    (Section::Clients, "Clients"),
    (Section::Memory, "Memory"),
    (Section::Persistence, "Persistence"),
    (Section::Stats, "Stats"),
    (Section::Replication, "Replication"),
    (Section::Cpu, "CPU"),
    (Section::Modules, "Modules"),
    (Section::Commandstats, "Commandstats"),
    (Section::Errorstats, "Errorstats"),
    (Section::Latencystats, "Latencystats"),
    (Section::Cluster, "Cluster"),
    (Section::Corelane, "Corelane"),
    (Section::Keyspace, "Keyspace"),
    (Section::Debug, "Debug"),
];

/// What the sections are made of.
pub struct Facts<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// The counters of all cores together.
    pub stats: &'a Stats,
    /// All commands.
    pub lookup: &'a Lookup,
    /// Memory.
    pub memory: Memory,
    /// Unix time in microseconds.
    pub now_us: i64,
    /// When the server started, Unix microseconds.
    pub started_us: i64,
    /// 40 hexadecimal digits that name this run.
    pub run_id: &'a str,
    /// 40 hexadecimal digits that name the data set's history.
    pub replication_id: &'a str,
    /// The program's path.
    pub executable: &'a str,
    /// Scripts and functions.
    pub scripts: Scripts,
    /// Loading the data set.
    pub loading: Loading,
    /// Snapshots.
    pub snapshots: Snapshots,
    /// The append-only files.
    pub logs: Logs,
}

/// What is known of the append-only files, times in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logs {
    /// How long the rewrite under way has taken so far.
    pub rewriting_for_s: Option<i64>,
    /// One begins when the snapshot under way is over.
    pub scheduled: bool,
    /// How long the last one took.
    pub last_rewrite_s: Option<i64>,
    /// The last one has failed.
    pub rewrite_failed: bool,
    /// Rewrites begun.
    pub rewrites: u64,
    /// How many have failed one after the other.
    pub failures_in_a_row: u64,
    /// A log cannot be written.
    pub failing: bool,
    /// Bytes that were written early in the last rewrite, because they were about to change.
    pub last_old_bytes: u64,
    /// Bytes of the files that are complete.
    pub complete_bytes: u64,
    /// Bytes of all files after the last rewrite, or at the start.
    pub base_bytes: u64,
}

/// What is known of snapshots, times in Unix seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshots {
    /// The one under way.
    pub current: Option<CurrentSnapshot>,
    /// When the last one succeeded, or the server started.
    pub last_save_s: i64,
    /// The last one in the background has failed.
    pub failing: bool,
    /// How long the last one in the background took.
    pub last_duration_s: Option<i64>,
    /// Snapshots begun.
    pub saves: u64,
    /// Changes that the last one holds.
    pub saved_changes: u64,
    /// Bytes that the last one has written early, because they were about to change.
    pub last_old_bytes: u64,
}

/// What is known of a snapshot under way.
#[derive(Debug, Clone, Copy, Default)]
pub struct CurrentSnapshot {
    /// It is a dump, not what a log begins with.
    pub is_dump: bool,
    /// When it began.
    pub started_s: i64,
    /// Keys written.
    pub keys: u64,
    /// Keys to be written.
    pub keys_total: u64,
    /// Bytes written early, because they were about to change.
    pub old_bytes: u64,
}

/// What is kept of scripts and functions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scripts {
    /// Scripts in the cache.
    pub cached: usize,
    /// Scripts that were evicted from it.
    pub evicted: u64,
    /// Bytes of the cache, estimated.
    pub cached_bytes: usize,
    /// Libraries of functions.
    pub libraries: usize,
    /// Their functions.
    pub functions: usize,
    /// Bytes of the libraries, estimated.
    pub libraries_bytes: usize,
}

/// The sections that `INFO`'s arguments ask for, in the order in which they are shown. Unknown names ask for nothing.
pub fn select(names: &[&[u8]]) -> Vec<Section> {
    let per_command = [Section::Commandstats, Section::Latencystats];
    let asks_for = |name: &[u8], section: Section, its_name: &str| match name.to_ascii_lowercase().as_slice()
    {
        b"all" | b"everything" => section != Section::Debug,
        b"default" => section != Section::Debug && !per_command.contains(&section),
        b"module_list" => section == Section::Modules,
        name => its_name.as_bytes().eq_ignore_ascii_case(name),
    };
    let names = if names.is_empty() { &[&b"default"[..]] } else { names };
    SECTIONS
        .iter()
        .filter(|(section, its_name)| names.iter().any(|name| asks_for(name, *section, its_name)))
        .map(|(section, _)| *section)
        .collect()
}

/// The text of some sections.
pub fn render(facts: &Facts<'_>, sections: &[Section]) -> String {
    let mut text = Text(String::new());
    for (section, name) in SECTIONS.iter().filter(|(section, _)| sections.contains(section)) {
        if !text.0.is_empty() {
            text.0.push_str("\r\n");
        }
        let _ = write!(text.0, "# {name}\r\n");
        facts.write(*section, &mut text);
    }
    text.0
}

/// Lines of the form `name:value`.
struct Text(String);

impl Text {
    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// A number of bytes, and again for humans.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.line(name, bytes);
        self.line(&format!("{name}_human"), human_bytes(bytes));
    }

    /// Things that there are none of.
    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.line(name, 0));
    }
}

/// A client's text as a part of a field's name: what would end the name or the line is replaced.
fn as_name(text: &str) -> String {
    text.replace(['#', ':', '\n', '\r'], "_")
}

impl Facts<'_> {
    fn write(&self, section: Section, text: &mut Text) {
        match section {
            Section::Server => self.server(text),
            Section::Clients => self.clients(text),
            Section::Memory => self.memory(text),
            Section::Persistence => self.persistence(text),
            Section::Stats => self.stats(text),
            Section::Replication => self.replication(text),
            Section::Cpu => self.cpu(text),
            Section::Modules => {}
            Section::Commandstats => self.command_stats(text),
            Section::Errorstats => self.error_stats(text),
            Section::Latencystats => self.latency_stats(text),
            Section::Cluster => text.zeros(&["cluster_enabled"]),
            Section::Keyspace => self.keyspace(text),
            Section::Corelane => self.corelane(text),
            Section::Debug => self.debug(text),
        }
    }

    fn server(&self, text: &mut Text) {
        let config = self.config;
        let uptime_s = (self.now_us - self.started_us) / 1_000_000;
        let supervised = match config.supervised {
            Supervised::No => "no",
            Supervised::Upstart => "upstart",
            Supervised::Systemd => "systemd",
            Supervised::Auto if std::env::var_os("NOTIFY_SOCKET").is_some() => "systemd",
            Supervised::Auto => "no",
        };
        text.line("redis_version", REDIS_VERSION);
        text.line("redis_git_sha1", "00000000");
        text.line("redis_git_dirty", 0);
        text.line("redis_build_id", format_args!("corelane-{}", env!("CARGO_PKG_VERSION")));
        text.line("redis_mode", "standalone");
        text.line("os", system::system_name());
        text.line("arch_bits", usize::BITS);
        text.line("monotonic_clock", cpu::ticks_name());
        text.line("multiplexing_api", "io_uring");
        text.line("atomicvar_api", "rust-core");
        text.line("process_id", std::process::id());
        text.line("process_supervised", supervised);
        text.line("run_id", self.run_id);
        text.line("tcp_port", config.port);
        text.line("server_time_usec", self.now_us);
        text.line("uptime_in_seconds", uptime_s);
        text.line("uptime_in_days", uptime_s / 86_400);
        text.line("hz", config.hz);
        text.line("configured_hz", config.hz);
        text.line("lru_clock", (self.now_us / 1_000_000) & 0xff_ffff);
        text.line("executable", self.executable);
        text.line("config_file", config.config_file.as_deref().unwrap_or("".as_ref()).display());
        text.line("io_threads_active", 0);
        let mut listeners = Vec::new();
        if config.port > 0 {
            let addresses: Vec<String> =
                config.bind.iter().map(|address| format!("bind={address}")).collect();
            listeners.push(format!("name=tcp,{},port={}", addresses.join(","), config.port));
        }
        if !config.unixsocket.as_os_str().is_empty() {
            listeners.push(format!("name=unix,bind={}", config.unixsocket.display()));
        }
        for (number, listener) in listeners.iter().enumerate() {
            text.line(&format!("listener{number}"), listener);
        }
    }

    fn clients(&self, text: &mut Text) {
        let stats = self.stats;
        text.line("connected_clients", stats.clients);
        text.line("cluster_connections", 0);
        text.line("maxclients", self.config.maxclients);
        text.line("client_recent_max_input_buffer", stats.max_input_bytes);
        text.line("client_recent_max_output_buffer", stats.max_output_bytes);
        text.line("blocked_clients", stats.blocked_clients);
        text.line("tracking_clients", stats.tracking_clients);
        text.line("pubsub_clients", stats.pubsub_clients);
        text.line("watching_clients", self.stats.watching_clients);
        text.line("clients_in_timeout_table", stats.clients_in_timeout_table);
        text.line("total_watched_keys", self.stats.watched_keys);
        text.line("total_blocking_keys", stats.blocking_keys);
        text.line("total_blocking_keys_on_nokey", stats.blocking_keys_on_nokey);
    }

    fn memory(&self, text: &mut Text) {
        let memory = &self.memory;
        text.bytes("used_memory", memory.used);
        text.bytes("used_memory_rss", memory.resident);
        text.bytes("used_memory_peak", memory.peak);
        text.line("used_memory_peak_perc", format_args!("{:.2}%", memory.peak_percent()));
        text.line("used_memory_overhead", memory.overhead());
        text.line("used_memory_startup", memory.startup);
        text.line("used_memory_dataset", memory.dataset());
        text.line("used_memory_dataset_perc", format_args!("{:.2}%", memory.dataset_percent()));
        // As Redis does with an allocator that tells nothing else: all that is resident is the allocator's.
        text.line("allocator_allocated", memory.used);
        text.line("allocator_active", memory.resident);
        text.line("allocator_resident", memory.resident);
        text.line("allocator_muzzy", 0);
        text.bytes("total_system_memory", memory.system);
        // Scripts and functions share their VMs.
        let (vms, scripts) = (self.stats.vm_bytes, &self.scripts);
        text.line("used_memory_lua", vms);
        text.line("used_memory_vm_eval", vms);
        text.line("used_memory_lua_human", human_bytes(vms));
        text.line("used_memory_scripts_eval", scripts.cached_bytes);
        text.line("number_of_cached_scripts", scripts.cached);
        text.line("number_of_functions", scripts.functions);
        text.line("number_of_libraries", scripts.libraries);
        text.line("used_memory_vm_functions", 0);
        text.bytes("used_memory_vm_total", vms);
        text.line("used_memory_functions", scripts.libraries_bytes);
        text.bytes("used_memory_scripts", (scripts.cached_bytes + scripts.libraries_bytes) as u64);
        text.bytes("maxmemory", self.config.maxmemory_bytes);
        text.line("maxmemory_policy", self.config.maxmemory_policy.name());
        text.line("allocator_frag_ratio", format_args!("{:.2}", memory.fragmentation()));
        text.line("allocator_frag_bytes", memory.fragmentation_bytes());
        text.line("allocator_rss_ratio", "1.00");
        text.line("allocator_rss_bytes", 0);
        text.line("rss_overhead_ratio", "1.00");
        text.line("rss_overhead_bytes", 0);
        text.line("mem_fragmentation_ratio", format_args!("{:.2}", memory.fragmentation()));
        text.line("mem_fragmentation_bytes", memory.fragmentation_bytes());
        text.zeros(&[
            "mem_not_counted_for_evict",
            "mem_replication_backlog",
            "mem_total_replication_buffers",
            "mem_clients_slaves",
        ]);
        text.line("mem_clients_normal", memory.clients);
        text.zeros(&["mem_cluster_links", "mem_aof_buffer"]);
        text.line("mem_allocator", "mimalloc");
        text.zeros(&["mem_overhead_db_hashtable_rehashing", "active_defrag_running"]);
        text.line("lazyfree_pending_objects", self.stats.lazyfree_pending);
        text.line("lazyfreed_objects", self.stats.lazyfreed);
    }

    fn persistence(&self, text: &mut Text) {
        let (snapshots, now_s) = (&self.snapshots, self.now_us / 1_000_000);
        let current = snapshots.current.unwrap_or_default();
        let dump = snapshots.current.filter(|current| current.is_dump);
        let loading = &self.loading;
        text.line("loading", u8::from(loading.active));
        text.zeros(&["async_loading"]);
        text.line("current_cow_peak", current.old_bytes);
        text.line("current_cow_size", current.old_bytes);
        text.line("current_cow_size_age", 0);
        let done = 100.0 * current.keys as f64 / current.keys_total.max(1) as f64;
        text.line("current_fork_perc", format_args!("{done:.2}"));
        text.line("current_save_keys_processed", current.keys);
        text.line("current_save_keys_total", current.keys_total);
        let unsaved = self.stats.changes.saturating_sub(snapshots.saved_changes);
        text.line("rdb_changes_since_last_save", unsaved);
        text.line("rdb_bgsave_in_progress", u8::from(dump.is_some()));
        text.line("rdb_last_save_time", snapshots.last_save_s);
        text.line("rdb_last_bgsave_status", if snapshots.failing { "err" } else { "ok" });
        text.line("rdb_last_bgsave_time_sec", snapshots.last_duration_s.unwrap_or(-1));
        text.line("rdb_current_bgsave_time_sec", dump.map_or(-1, |dump| now_s - dump.started_s));
        text.line("rdb_saves", snapshots.saves);
        text.line("rdb_last_cow_size", snapshots.last_old_bytes);
        text.line("rdb_last_load_keys_expired", loading.keys_expired);
        text.line("rdb_last_load_keys_loaded", loading.keys_loaded);
        let logs = &self.logs;
        let status = |fails| if fails { "err" } else { "ok" };
        text.line("aof_enabled", u8::from(self.config.appendonly));
        text.line("aof_rewrite_in_progress", u8::from(logs.rewriting_for_s.is_some()));
        text.line("aof_rewrite_scheduled", u8::from(logs.scheduled));
        text.line("aof_last_rewrite_time_sec", logs.last_rewrite_s.unwrap_or(-1));
        text.line("aof_current_rewrite_time_sec", logs.rewriting_for_s.unwrap_or(-1));
        text.line("aof_last_bgrewrite_status", status(logs.rewrite_failed));
        text.line("aof_rewrites", logs.rewrites);
        text.line("aof_rewrites_consecutive_failures", logs.failures_in_a_row);
        text.line("aof_last_write_status", status(logs.failing));
        text.line("aof_last_cow_size", logs.last_old_bytes);
        text.zeros(&["module_fork_in_progress", "module_fork_last_cow_size"]);
        if self.config.appendonly {
            self.log_files(text);
        }
        if loading.active {
            text.line("loading_start_time", loading.started_ms / 1000);
            text.line("loading_total_bytes", loading.total_bytes);
            text.line("loading_rdb_used_mem", loading.used_memory_bytes);
            text.line("loading_loaded_bytes", loading.loaded_bytes);
            text.line("loading_loaded_perc", format_args!("{:.2}", loading.percent()));
            text.line("loading_eta_seconds", loading.seconds_left(self.now_us / 1000));
        }
    }

    fn log_files(&self, text: &mut Text) {
        let (logs, stats) = (&self.logs, self.stats);
        text.line("aof_current_size", logs.complete_bytes + stats.log_segment_bytes);
        text.line("aof_base_size", logs.base_bytes);
        text.line("aof_pending_rewrite", u8::from(logs.scheduled));
        text.line("aof_buffer_length", stats.log_unwritten_bytes);
        text.line("aof_pending_bio_fsync", stats.log_syncs);
        text.line("aof_delayed_fsync", stats.log_delayed_syncs);
        text.line("aof_unsynced_bytes", stats.log_unsynced_bytes);
        if let Some(syncs) = &stats.syncs {
            let us = |ns: u64| ns as f64 / 1000.0;
            let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| us(syncs.value_at_percentile(percent)));
            let max = us(syncs.max());
            text.line(
                "aof_sync_usec",
                format_args!("p50={p50:.3},p99={p99:.3},p99.9={p999:.3},max={max:.3}"),
            );
        }
    }

    fn stats(&self, text: &mut Text) {
        let stats = self.stats;
        let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
        text.line("total_connections_received", stats.connections_received);
        text.line("total_commands_processed", stats.commands_processed);
        text.line("instantaneous_ops_per_sec", stats.commands_per_second);
        text.line("total_net_input_bytes", stats.net_input_bytes);
        text.line("total_net_output_bytes", stats.net_output_bytes);
        text.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
        text.line("instantaneous_input_kbps", kib(stats.input_bytes_per_second));
        text.line("instantaneous_output_kbps", kib(stats.output_bytes_per_second));
        text.line("instantaneous_input_repl_kbps", "0.00");
        text.line("instantaneous_output_repl_kbps", "0.00");
        text.line("rejected_connections", stats.rejected_connections);
        text.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
        text.line("expired_subkeys", stats.expired_subkeys);
        text.line("expired_keys", stats.expired_keys);
        let expires: u64 = stats.dbs.iter().map(|db| db.expires).sum();
        let stale: f64 = stats.dbs.iter().map(|db| db.stale).sum();
        text.line("expired_stale_perc", format_args!("{:.2}", 100.0 * stale / expires.max(1) as f64));
        text.line("expired_time_cap_reached_count", stats.expiry_cut_short);
        text.line("expire_cycle_cpu_milliseconds", stats.expiry_ns / 1_000_000);
        text.zeros(&["evicted_keys", "evicted_clients"]);
        text.line("evicted_scripts", self.scripts.evicted);
        text.zeros(&["total_eviction_exceeded_time", "current_eviction_exceeded_time"]);
        text.line("keyspace_hits", stats.keyspace_hits);
        text.line("keyspace_misses", stats.keyspace_misses);
        text.line("pubsub_channels", stats.pubsub_channels);
        text.line("pubsub_patterns", stats.pubsub_patterns);
        text.line("pubsubshard_channels", stats.pubsub_shard_channels);
        text.zeros(&["latest_fork_usec"]);
        text.line("total_forks", stats.background_snapshots);
        text.zeros(&[
            "migrate_cached_sockets",
            "slave_expires_tracked_keys",
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
            "total_active_defrag_time",
            "current_active_defrag_time",
        ]);
        text.line("tracking_total_keys", stats.tracking_total_keys);
        text.line("tracking_total_items", stats.tracking_total_items);
        text.line("tracking_total_prefixes", stats.tracking_total_prefixes);
        text.zeros(&["unexpected_error_replies"]);
        text.line("total_error_replies", stats.error_replies);
        text.line("dump_payload_sanitizations", 0);
        text.line("total_reads_processed", stats.reads);
        text.line("total_writes_processed", stats.writes);
        text.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
        text.line("client_query_buffer_limit_disconnections", stats.query_limit_disconnections);
        text.line("client_output_buffer_limit_disconnections", stats.output_limit_disconnections);
        text.zeros(&["reply_buffer_shrinks", "reply_buffer_expands"]);
        let command_ns: u64 = stats.commands.iter().map(|command| command.total_ns).sum();
        text.line("eventloop_cycles", stats.turns);
        text.line("eventloop_duration_sum", stats.busy_ns / 1000);
        text.line("eventloop_duration_cmd_sum", command_ns / 1000);
        text.line("instantaneous_eventloop_cycles_per_sec", stats.turns_per_second);
        let turn_ns = stats.busy_ns_per_second.checked_div(stats.turns_per_second).unwrap_or(0);
        text.line("instantaneous_eventloop_duration_usec", turn_ns / 1000);
        text.line("acl_access_denied_auth", stats.errors.get("WRONGPASS").copied().unwrap_or(0));
        text.zeros(&["acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"]);
    }

    fn replication(&self, text: &mut Text) {
        text.line("role", "master");
        text.line("connected_slaves", 0);
        text.line("master_failover_state", "no-failover");
        text.line("master_replid", self.replication_id);
        text.line("master_replid2", "0".repeat(40));
        text.line("master_repl_offset", 0);
        text.line("second_repl_offset", -1);
        text.line("repl_backlog_active", 0);
        let size = self.config.get(&["repl-backlog-size"]).pop().map(|(_, value)| value).unwrap_or_default();
        text.line("repl_backlog_size", String::from_utf8_lossy(&size));
        text.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
    }

    fn cpu(&self, text: &mut Text) {
        let (user, system) = cpu::process_cpu_seconds();
        let (children_user, children_system) = cpu::children_cpu_seconds();
        let (main_user, main_system) = self.stats.cores.first().map_or((0.0, 0.0), |core| core.cpu_seconds);
        for (name, seconds) in [
            ("used_cpu_sys", system),
            ("used_cpu_user", user),
            ("used_cpu_sys_children", children_system),
            ("used_cpu_user_children", children_user),
            ("used_cpu_sys_main_thread", main_system),
            ("used_cpu_user_main_thread", main_user),
        ] {
            text.line(name, format_args!("{seconds:.6}"));
        }
    }

    /// Every command with its figures and its name for a field.
    fn commands(&self) -> impl Iterator<Item = (String, &CommandStats)> {
        let commands = self.lookup.all().iter().zip(&self.stats.commands);
        commands.map(|(command, stats)| (as_name(command.full_name), stats))
    }

    fn command_stats(&self, text: &mut Text) {
        for (name, stats) in self.commands() {
            if stats.calls + stats.failed + stats.rejected == 0 {
                continue;
            }
            let usec = stats.total_ns / 1000;
            text.line(
                &format!("cmdstat_{name}"),
                format_args!(
                    "calls={},usec={usec},usec_per_call={:.2},rejected_calls={},failed_calls={}",
                    stats.calls,
                    usec as f64 / stats.calls.max(1) as f64,
                    stats.rejected,
                    stats.failed
                ),
            );
        }
    }

    fn error_stats(&self, text: &mut Text) {
        let mut errors: Vec<(&String, &u64)> = self.stats.errors.iter().collect();
        errors.sort();
        for (code, count) in errors {
            text.line(&format!("errorstat_{}", as_name(code)), format_args!("count={count}"));
        }
    }

    fn latency_stats(&self, text: &mut Text) {
        let percentiles = &self.config.latency_tracking_info_percentiles;
        for (name, stats) in self.commands().filter(|_| self.config.latency_tracking) {
            let Some(histogram) = &stats.histogram else { continue };
            let value = |percentile: f64| histogram.value_at_quantile(percentile / 100.0) as f64 / 1000.0;
            let shown: Vec<String> = percentiles
                .iter()
                .map(|percentile| format!("p{percentile}={:.3}", value(*percentile)))
                .collect();
            text.line(&format!("latency_percentiles_usec_{name}"), shown.join(","));
        }
    }

    fn keyspace(&self, text: &mut Text) {
        for (number, db) in self.stats.dbs.iter().enumerate().filter(|(_, db)| db.keys > 0) {
            let average_ttl_ms = (db.ttl_ms / db.expires.max(1) as f64) as u64;
            text.line(
                &format!("db{number}"),
                format_args!(
                    "keys={},expires={},avg_ttl={average_ttl_ms},subexpiry={}",
                    db.keys, db.expires, db.subexpiry
                ),
            );
        }
    }

    fn debug(&self, text: &mut Text) {
        let stats = self.stats;
        text.line("eventloop_duration_aof_sum", 0);
        text.line("eventloop_duration_cron_sum", (stats.upkeep_ns + stats.expiry_ns) / 1000);
        text.line("eventloop_duration_max", stats.longest_turn_ns / 1000);
        text.line("eventloop_cmd_per_cycle_max", stats.max_turn_commands);
    }

    fn corelane(&self, text: &mut Text) {
        let stats = self.stats;
        text.line("corelane_version", env!("CARGO_PKG_VERSION"));
        text.line("shards", stats.cores.len());
        text.line("transactions", stats.transactions);
        text.line("contended_transactions", stats.transactions_contended);
        text.line("remote_commands", stats.remote_commands);
        text.line("remote_messages", stats.remote_messages);
        text.line("scripts_with_undeclared_keys", stats.scripts_undeclared);
        text.line("scripts_begun_anew", stats.scripts_restarted);
        for (number, core) in stats.cores.iter().enumerate() {
            let (user, system) = core.cpu_seconds;
            text.line(
                &format!("core{number}"),
                format_args!(
                    "clients={},keys={},commands={},remote_commands={},turns={},cpu_user={user:.6},cpu_sys={system:.6}",
                    core.clients, core.keys, core.commands, core.remote_commands, core.turns
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::lookup::{self, CommandId};
    use crate::observe::stats::DbFigures;

    fn text(stats: &Stats, names: &[&[u8]]) -> String {
        let config = Config::default();
        let facts = Facts {
            config: &config,
            stats,
            lookup: lookup::shared(),
            memory: Memory { used: 1 << 20, peak: 1 << 21, ..Memory::default() },
            now_us: 100_000_000_000,
            started_us: 0,
            run_id: "a",
            replication_id: "b",
            executable: "/bin/x",
            scripts: Scripts::default(),
            loading: Loading::default(),
            snapshots: Snapshots::default(),
            logs: Logs::default(),
        };
        render(&facts, &select(names))
    }

    #[test]
    fn sections_are_selected_by_name() {
        let names = |asked: &[&[u8]]| {
            let found = select(asked);
            SECTIONS.iter().filter(|(s, _)| found.contains(s)).map(|(_, name)| *name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[b"cpu", b"Server", b"nosuch", b"CPU"]), ["Server", "CPU"]);
        assert_eq!(names(&[b"everything"]).len() + 1, SECTIONS.len());
        assert_eq!(names(&[]), names(&[b"default"]));
        assert_eq!(names(&[]).len() + 3, SECTIONS.len());
        assert_eq!(names(&[b"debug"]), ["Debug"]);
        assert_eq!(names(&[b"default", b"commandstats"]).len() + 2, SECTIONS.len());
        assert_eq!(names(&[b"nosuch"]), Vec::<&str>::new());
    }

    #[test]
    fn lines_are_fields_and_sections_are_apart() {
        let all = text(&Stats::new(lookup::shared().all().len()), &[b"all"]);
        assert!(all.ends_with("\r\n") && !all.contains("\r\n\r\n\r\n"));
        for line in all.split("\r\n").filter(|line| !line.is_empty()) {
            assert!(line.starts_with("# ") || line.contains(':'), "{line}");
        }
        assert!(all.contains("\r\nused_memory_human:1.00M\r\n"));
        assert!(all.contains("\r\nuptime_in_days:1\r\n"));
    }

    #[test]
    fn counters_per_command_error_and_database() {
        let mut stats = Stats::new(lookup::shared().all().len());
        let get = lookup::shared().find(&[b"config", b"get"]).unwrap().id;
        stats.record(CommandId(get.0), 3_000, false, true);
        stats.record(CommandId(get.0), 4_500, true, true);
        stats.record_error("EVIL:CODE#1 x");
        stats.dbs = vec![
            DbFigures::default(),
            DbFigures { keys: 4, expires: 2, ttl_ms: 3000.0, subexpiry: 1, ..DbFigures::default() },
        ];
        assert_eq!(
            text(&stats, &[b"commandstats", b"errorstats", b"keyspace"]),
            "# Commandstats\r\n\
             cmdstat_config|get:calls=2,usec=7,usec_per_call=3.50,rejected_calls=0,failed_calls=1\r\n\
             \r\n# Errorstats\r\nerrorstat_EVIL_CODE_1:count=1\r\n\
             \r\n# Keyspace\r\ndb1:keys=4,expires=2,avg_ttl=1500,subexpiry=1\r\n"
        );
        let latencies = text(&stats, &[b"latencystats"]);
        assert!(latencies.contains("latency_percentiles_usec_config|get:p50=3.0"), "{latencies}");
        assert!(latencies.contains(",p99.9=4.5"), "{latencies}");
    }
}
