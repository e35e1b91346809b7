//! Counters of one core. Each core counts for itself; `INFO` asks all cores for a copy and adds them up.

use ahash::AHashMap;
use hdrhistogram::Histogram;

use crate::command::lookup::CommandId;

/// The longest duration that a histogram tells apart, in nanoseconds (as in Redis: one second).
const HISTOGRAM_MAX_NS: u64 = 1_000_000_000;
/// Distinct error codes that are counted one by one; beyond them they count together (Redis' bound).
const ERROR_CODES_MAX: usize = 128;

/// Figures of one command.
#[derive(Debug, Clone, Default)]
pub struct CommandStats {
    /// Executions.
    pub calls: u64,
    /// Total time of the executions.
    pub total_ns: u64,
    /// Refused before execution: arity, authentication and the like.
    pub rejected: u64,
    /// Executions that answered with an error.
    pub failed: u64,
    /// Durations in nanoseconds, two significant digits; allocated by the first call.
    pub histogram: Option<Box<Histogram<u64>>>,
}

impl CommandStats {
    fn histogram(&mut self) -> &mut Histogram<u64> {
        self.histogram.get_or_insert_with(histogram)
    }
}

fn histogram() -> Box<Histogram<u64>> {
    Box::new(Histogram::new_with_bounds(1, HISTOGRAM_MAX_NS, 2).expect("the bounds are valid"))
}

/// Keys of one database of one shard.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DbFigures {
    /// Keys.
    pub keys: u64,
    /// Keys with an expiry.
    pub expires: u64,
    /// Bytes of the hash tables.
    pub table_bytes: u64,
    /// Hashes with fields that expire.
    pub subexpiry: u64,
    /// Estimated number of keys whose time is over and which were not removed yet.
    pub stale: f64,
    /// Estimated sum of the times to live of the others, in milliseconds.
    pub ttl_ms: f64,
}

/// What `INFO corelane` shows of one core.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CoreFigures {
    /// Clients connected.
    pub clients: u64,
    /// Keys owned, in all databases.
    pub keys: u64,
    /// Commands executed.
    pub commands: u64,
    /// Commands sent to another core.
    pub remote_commands: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// CPU seconds of its thread: user and system.
    pub cpu_seconds: (f64, f64),
}

/// Counters of one core, or the sum of all.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// By [`CommandId`].
    pub commands: Vec<CommandStats>,
    /// Error replies by code (`ERR`, `WRONGTYPE`).
    pub errors: AHashMap<String, u64>,
    /// Error replies.
    pub error_replies: u64,
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused for `maxclients`.
    pub rejected_connections: u64,
    /// Commands executed.
    pub commands_processed: u64,
    /// Bytes received.
    pub net_input_bytes: u64,
    /// Bytes sent.
    pub net_output_bytes: u64,
    /// Clients closed because they did not read their replies.
    pub output_limit_disconnections: u64,
    /// Clients closed because of too much unparsed input.
    pub query_limit_disconnections: u64,
    /// Clients closed for violating the protocol, `POST` and `Host:` included.
    pub protocol_errors: u64,
    /// Transactions over several shards.
    pub transactions: u64,
    /// Those of them that met a reservation and went on in line.
    pub transactions_contended: u64,
    /// Commands sent to another core.
    pub remote_commands: u64,
    /// Published messages sent to another core, because it has subscribers.
    pub remote_messages: u64,
    /// Scripts that borrowed all databases, because they use keys which they don't declare.
    pub scripts_undeclared: u64,
    /// Those of them that had begun with their declared keys.
    pub scripts_restarted: u64,
    /// Bytes of Lua VMs.
    pub vm_bytes: u64,
    /// Clients that watch keys.
    pub watching_clients: u64,
    /// Keys that are watched.
    pub watched_keys: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Time spent in them, in nanoseconds.
    pub busy_ns: u64,
    /// The longest turn, in nanoseconds.
    pub longest_turn_ns: u64,
    /// The most commands that were executed in one turn.
    pub max_turn_commands: u64,
    /// Time spent in regular work on clients and figures, in nanoseconds; expiry counts on its own.
    pub upkeep_ns: u64,
    /// Pieces of input received.
    pub reads: u64,
    /// Pieces of output sent.
    pub writes: u64,
    /// Time spent on removing keys whose time was over, in nanoseconds.
    pub expiry_ns: u64,
    /// Turns that left keys whose time was over to the next one.
    pub expiry_cut_short: u64,
    /// Items freed after the command that dropped them.
    pub lazyfreed: u64,
    /// Reads that found their key.
    pub keyspace_hits: u64,
    /// Reads that did not.
    pub keyspace_misses: u64,
    /// Keys removed because their time was over.
    pub expired_keys: u64,
    /// Fields of hashes removed because their time was over.
    pub expired_subkeys: u64,
    /// Changes of the data set.
    pub changes: u64,
    /// Snapshots that were begun in the background; Redis forks for each of them.
    pub background_snapshots: u64,
    /// Durations of syncs of the log in nanoseconds, and of writes that end on stable storage.
    pub syncs: Option<Box<Histogram<u64>>>,

    // Gauges, filled in when a copy is made.
    /// By database.
    pub dbs: Vec<DbFigures>,
    /// Clients connected.
    pub clients: u64,
    /// Clients that wait for keys or for `CLIENT PAUSE` to end.
    pub blocked_clients: u64,
    /// Clients that are told when keys are modified (`CLIENT TRACKING`).
    pub tracking_clients: u64,
    /// Keys that any of them has read.
    pub tracking_total_keys: u64,
    /// Pairs of such a key and a client.
    pub tracking_total_items: u64,
    /// Prefixes that any of them listens to, on any core: all know the same.
    pub tracking_total_prefixes: u64,
    /// Clients that listen to channels.
    pub pubsub_clients: u64,
    /// Channels that anybody listens to, on any core: all know the same.
    pub pubsub_channels: u64,
    /// Patterns, likewise.
    pub pubsub_patterns: u64,
    /// Shard channels, likewise.
    pub pubsub_shard_channels: u64,
    /// Clients that wait for keys until some time.
    pub clients_in_timeout_table: u64,
    /// Bytes of the log's segments that are being written.
    pub log_segment_bytes: u64,
    /// Bytes that were logged and not written.
    pub log_unwritten_bytes: u64,
    /// Bytes that were logged and are not on stable storage.
    pub log_unsynced_bytes: u64,
    /// Syncs under way.
    pub log_syncs: u64,
    /// Syncs that were due and had to wait for the one before.
    pub log_delayed_syncs: u64,
    /// Keys that clients wait for.
    pub blocking_keys: u64,
    /// Those of them whose end a client waits for, too.
    pub blocking_keys_on_nokey: u64,
    /// Heap bytes of clients.
    pub client_bytes: u64,
    /// Largest unparsed input of a client, in bytes.
    pub max_input_bytes: u64,
    /// Largest unsent output of a client, in bytes.
    pub max_output_bytes: u64,
    /// Items that wait to be freed.
    pub lazyfree_pending: u64,
    /// Commands executed per second.
    pub commands_per_second: u64,
    /// Bytes received per second.
    pub input_bytes_per_second: u64,
    /// Bytes sent per second.
    pub output_bytes_per_second: u64,
    /// Turns of the loop per second.
    pub turns_per_second: u64,
    /// Nanoseconds per second that are spent in turns.
    pub busy_ns_per_second: u64,
    /// Figures that are shown per core, in the order of the cores.
    pub cores: Vec<CoreFigures>,
}

impl Stats {
    /// Counters for so many commands.
    pub fn new(commands: usize) -> Stats {
        Stats { commands: vec![CommandStats::default(); commands], ..Stats::default() }
    }

    /// Counts one execution.
    #[inline]
    pub fn record(&mut self, command: CommandId, duration_ns: u64, failed: bool, track_latency: bool) {
        self.commands_processed += 1;
        let stats = &mut self.commands[usize::from(command.0)];
        stats.calls += 1;
        stats.total_ns += duration_ns;
        stats.failed += u64::from(failed);
        if track_latency {
            stats.histogram().saturating_record(duration_ns);
        }
    }

    /// Counts a sync of the log.
    pub fn record_sync(&mut self, duration_ns: u64) {
        self.syncs.get_or_insert_with(histogram).saturating_record(duration_ns);
    }

    /// Counts an error reply by its code, the first word of the text.
    pub fn record_error(&mut self, text: &str) {
        self.error_replies += 1;
        let code = text.split(' ').next().unwrap_or_default();
        if let Some(count) = self.errors.get_mut(code) {
            *count += 1;
            return;
        }
        let code = if self.errors.len() < ERROR_CODES_MAX { code } else { "ERRORSTATS_OVERFLOW" };
        *self.errors.entry(code.to_owned()).or_default() += 1;
    }

    /// Adds another core's counters.
    pub fn absorb(&mut self, other: &Stats) {
        for (mine, theirs) in self.commands.iter_mut().zip(&other.commands) {
            mine.calls += theirs.calls;
            mine.total_ns += theirs.total_ns;
            mine.rejected += theirs.rejected;
            mine.failed += theirs.failed;
            if let Some(histogram) = &theirs.histogram {
                mine.histogram().add(histogram.as_ref()).expect("all histograms have the same bounds");
            }
        }
        if let Some(theirs) = &other.syncs {
            let mine = self.syncs.get_or_insert_with(histogram);
            mine.add(theirs.as_ref()).expect("all histograms have the same bounds");
        }
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
        self.dbs.resize(self.dbs.len().max(other.dbs.len()), DbFigures::default());
        for (mine, theirs) in self.dbs.iter_mut().zip(&other.dbs) {
            mine.keys += theirs.keys;
            mine.expires += theirs.expires;
            mine.subexpiry += theirs.subexpiry;
            mine.table_bytes += theirs.table_bytes;
            mine.stale += theirs.stale;
            mine.ttl_ms += theirs.ttl_ms;
        }
        self.max_input_bytes = self.max_input_bytes.max(other.max_input_bytes);
        self.max_output_bytes = self.max_output_bytes.max(other.max_output_bytes);
        self.tracking_total_prefixes = self.tracking_total_prefixes.max(other.tracking_total_prefixes);
        self.pubsub_channels = self.pubsub_channels.max(other.pubsub_channels);
        self.pubsub_patterns = self.pubsub_patterns.max(other.pubsub_patterns);
        self.pubsub_shard_channels = self.pubsub_shard_channels.max(other.pubsub_shard_channels);
        self.longest_turn_ns = self.longest_turn_ns.max(other.longest_turn_ns);
        self.max_turn_commands = self.max_turn_commands.max(other.max_turn_commands);
        macro_rules! add { ($($field:ident),* $(,)?) => { $(self.$field += other.$field;)* } }
        add!(
            error_replies,
            connections_received,
            rejected_connections,
            commands_processed,
            net_input_bytes,
            net_output_bytes,
            output_limit_disconnections,
            query_limit_disconnections,
            protocol_errors,
            transactions,
            transactions_contended,
            remote_commands,
            remote_messages,
            scripts_undeclared,
            scripts_restarted,
            vm_bytes,
            watching_clients,
            watched_keys,
            turns,
            busy_ns,
            upkeep_ns,
            reads,
            writes,
            expiry_ns,
            expiry_cut_short,
            lazyfreed,
            keyspace_hits,
            keyspace_misses,
            expired_keys,
            expired_subkeys,
            background_snapshots,
            changes,
            clients,
            blocked_clients,
            tracking_clients,
            tracking_total_keys,
            tracking_total_items,
            pubsub_clients,
            clients_in_timeout_table,
            log_segment_bytes,
            log_unwritten_bytes,
            log_unsynced_bytes,
            log_syncs,
            log_delayed_syncs,
            blocking_keys,
            blocking_keys_on_nokey,
            client_bytes,
            lazyfree_pending,
            commands_per_second,
            input_bytes_per_second,
            output_bytes_per_second,
            turns_per_second,
            busy_ns_per_second,
        );
        self.cores.extend_from_slice(&other.cores);
    }

    /// Sets back what `CONFIG RESETSTAT` sets back.
    pub fn reset(&mut self) {
        let (changes, commands) = (self.changes, self.commands.len());
        *self = Stats::new(commands);
        self.changes = changes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_add_up() {
        let (mut a, mut b) = (Stats::new(2), Stats::new(2));
        a.record(CommandId(1), 1000, false, true);
        b.record(CommandId(1), 3000, true, true);
        b.record_error("WRONGTYPE x");
        b.dbs = vec![DbFigures { keys: 3, expires: 1, ..DbFigures::default() }];
        a.absorb(&b);
        assert_eq!((a.commands[1].calls, a.commands[1].total_ns, a.commands[1].failed), (2, 4000, 1));
        assert_eq!(a.commands[1].histogram.as_ref().unwrap().len(), 2);
        assert_eq!((a.errors["WRONGTYPE"], a.dbs[0].keys, a.commands_processed), (1, 3, 2));
    }

    #[test]
    fn made_up_error_codes_cost_bounded_memory() {
        let mut stats = Stats::new(0);
        (0..1000).for_each(|n| stats.record_error(&format!("E{n} x")));
        assert_eq!(stats.errors.len(), ERROR_CODES_MAX + 1);
        assert_eq!(stats.errors.values().sum::<u64>(), 1000);
    }
}
