//! Everything one core keeps between its turns, apart from the system's side of connections and queues.
//!
//! The state does no I/O: events go in, and what is to be done comes out as bytes in the clients' reply rows, messages
//! in the outboxes and [`Order`]s, which [`crate::core::Core`] carries out at the end of the turn.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashMap;
use smallvec::SmallVec;

use crate::admin;
use crate::command::lookup::Command;
use crate::command::lookup::{self, Lookup};
use crate::command::spec::Flags;
use crate::config::{AppendFsync, Config};
use crate::core::blocking::Blocking;
use crate::core::journal::Journal;
use crate::core::journal::health::WriteRefusal;
use crate::core::loading::Loading;
use crate::core::programs::{Program, Scripting};
use crate::core::snapshot::Snapshotting;
use crate::core::tracking::Tracking;
use crate::core::upkeep::Schedule;
use crate::net::client::{Client, Waiting};
use crate::net::clients::Clients;
use crate::net::multi::Multi;
use crate::observe::rates::Rates;
use crate::observe::stats::{CoreFigures, DbFigures, Stats};
use crate::protocol::resp::Parser;
use crate::pubsub::{Kind, PubSub};
use crate::route::ShardMap;
use crate::route::message::{Acquire, Answer, Batch, Call, Message, OwnedArgs, ReplyTo, TxnId};
use crate::runtime::cpu;
use crate::runtime::io::{Clock, ConnId, CoreId, Socket};
use crate::script::{Engine, Logger};
use crate::shard::{Db, Hasher, Lfu, Settings, Shard};
use crate::shared::{Shared, SlowScript};
use crate::txn::coordinator::Txn;
use crate::txn::locks::{Locks, TicketId};
use crate::txn::watches::Watches;

/// Output buffers kept for reuse, and the largest that is worth keeping, in bytes.
const SPARE_BUFFERS_MAX: usize = 256;
const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// What the system is to be asked for at the end of the turn.
#[derive(Debug)]
pub enum Order {
    /// Receive from this socket.
    Attach(ConnId, Socket),
    /// Stop receiving.
    Pause(ConnId),
    /// Receive again.
    Resume(ConnId),
    /// End the connection.
    Close(ConnId),
}

/// Who is told when a reservation that had to wait is granted.
#[derive(Debug)]
pub enum Waiter {
    /// The coordinator of a transaction that wants this.
    Txn(Box<Acquire>),
    /// A program of this core, by number: it runs now.
    Program(u64),
    /// A client of a core that wants to watch keys, and the number of the question.
    Watch {
        /// The core.
        from: CoreId,
        /// The number that the answer bears.
        number: u64,
        /// The client's id.
        client: u64,
    },
    /// A command of this shard that was held back: it runs now.
    Run {
        /// The core whose client sent it.
        from: CoreId,
        /// Where the reply goes.
        to: ReplyTo,
        /// The command.
        call: Call,
        /// Its arguments.
        args: OwnedArgs,
    },
}

/// A question to all cores that is not answered completely.
pub struct Asking {
    /// Whose command it is.
    pub conn: ConnId,
    /// Its id.
    pub client: u64,
    /// The command's arguments.
    pub args: OwnedArgs,
    /// By core.
    pub answers: Vec<Option<Answer>>,
    /// The client waits until its time is over, whatever the answers.
    pub in_vain: bool,
    /// When the command began, in the clock's ticks.
    pub started_ticks: u64,
    /// The number of the program that it is a part of.
    pub program: Option<u64>,
    /// As much of the reply as is written.
    pub reply: Vec<u8>,
    /// Writes the rest of it.
    pub then: admin::Then,
}

/// Messages to clients that come after the reply of what they run: those that a client publishes to itself, and all that
/// come to one that begins to listen by a transaction, before the reply that confirms it.
#[derive(Debug, Default)]
pub struct HeldPushes {
    /// The connection whose command about the session, or whose transaction, is running right now.
    pub running: Option<ConnId>,
    /// Encoded messages, by connection: a transaction may wait for other cores while others' commands run. All that come to a
    /// client with an entry join it.
    pub messages: AHashMap<ConnId, Vec<u8>>,
}

impl HeldPushes {
    /// What is held for this client, if something has to be.
    #[inline]
    pub fn of(&mut self, conn: ConnId) -> Option<&mut Vec<u8>> {
        if self.running == Some(conn) {
            return Some(self.messages.entry(conn).or_default());
        }
        if self.messages.is_empty() { None } else { self.messages.get_mut(&conn) }
    }
}

/// `CLIENT PAUSE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// When it ends by itself, Unix milliseconds.
    pub until_ms: i64,
    /// Reads may go on.
    pub writes_only: bool,
}

impl Pause {
    /// Whether it holds this command back now.
    pub fn holds(self, command: &Command, now_ms: i64) -> bool {
        let writes = command.flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE);
        now_ms < self.until_ms && (writes || !self.writes_only)
    }
}

/// Settings that every command looks at, taken out of the configuration once per change.
#[derive(Debug, Clone, Copy)]
pub struct Hot {
    /// A password is required.
    pub password: bool,
    /// `appendfsync always`.
    pub always: bool,
    /// `latency-tracking`.
    pub latency_tracking: bool,
    /// Executions that take this long are kept in the slow log, in nanoseconds.
    pub slow_ns: u64,
    /// Executions that take this long are latency events, in nanoseconds.
    pub latency_event_ns: u64,
    /// `proto-max-bulk-len`, in bytes.
    pub bulk_max_bytes: usize,
}

impl Hot {
    fn new(config: &Config) -> Hot {
        let threshold = |enabled: bool, ns: u64| if enabled { ns } else { u64::MAX };
        Hot {
            password: !config.requirepass.is_empty(),
            always: config.appendfsync == AppendFsync::Always,
            latency_tracking: config.latency_tracking,
            slow_ns: threshold(
                config.slowlog_log_slower_than_us >= 0,
                (config.slowlog_log_slower_than_us.max(0) as u64).saturating_mul(1000),
            ),
            latency_event_ns: threshold(
                config.latency_monitor_threshold_ms > 0,
                config.latency_monitor_threshold_ms.saturating_mul(1_000_000),
            ),
            // Between cores, the length of an argument has 32 bits.
            bulk_max_bytes: config.proto_max_bulk_len_bytes.min(u64::from(u32::MAX)) as usize,
        }
    }
}

/// See the module.
pub struct CoreState {
    /// This core.
    pub core: CoreId,
    /// Who owns what.
    pub map: ShardMap,
    /// This core's keys.
    pub shard: Shard,
    /// Where commands over several shards run on borrowed entries; empty between them.
    pub workbench: Shard,
    /// This core's clients.
    pub clients: Clients,
    /// What all cores share.
    pub shared: Arc<Shared>,
    /// The configuration in force on this core.
    pub config: Arc<Config>,
    /// Parts of it at hand.
    pub hot: Hot,
    /// Counters.
    pub stats: Stats,
    /// How fast some of them grow.
    pub rates: Rates,
    /// All commands.
    pub lookup: &'static Lookup,
    /// The clock.
    pub clock: Box<dyn Clock + Send>,
    /// Unix time of this turn in microseconds; milliseconds are in `shard.now_ms`.
    pub now_us: i64,
    /// When the command before the present one ended: durations are differences of one reading per command.
    pub last_ticks: u64,
    /// Reservations on this shard.
    pub locks: Locks<Waiter>,
    /// Tickets of transactions.
    pub tickets: AHashMap<TxnId, TicketId>,
    /// Transactions that this core coordinates, by number.
    pub txns: AHashMap<u64, Txn>,
    /// The log of this shard, and what waits for it.
    pub journal: Journal,
    /// Clients that wait for keys.
    pub blocking: Blocking,
    /// Programs of this core that are under way, by number.
    pub programs: AHashMap<u64, Program>,
    /// Scripts and functions.
    pub engine: Engine,
    /// What is known of those that run.
    pub scripting: Scripting,
    /// What everybody is told to be busy with.
    pub slow_script: Option<SlowScript>,
    /// Clients that watch keys of this shard.
    pub watches: Watches,
    /// Questions that this core has asked, by number.
    pub asks: AHashMap<u64, Asking>,
    /// Messages to be sent at the end of the turn, by core.
    pub outboxes: Vec<Batch>,
    /// Messages of this core to itself.
    pub to_self: VecDeque<Message>,
    /// Messages of this core to itself that wait for the next turn.
    pub next_turn: Vec<Message>,
    /// Clients that may have something to send.
    pub dirty: Vec<ConnId>,
    /// Clients whose requests may go on.
    pub runnable: VecDeque<ConnId>,
    /// Clients that wait for an outbox to be sent.
    pub crowded: Vec<ConnId>,
    /// What to ask of the system.
    pub orders: Vec<Order>,
    /// The data set is being loaded.
    pub loading: Option<Box<Loading>>,
    /// Other cores that have nothing under way any more from before the next loading.
    pub(super) quiet_cores: usize,
    /// `CLIENT PAUSE`, if in force.
    pub pause: Option<Pause>,
    /// Work that nobody asks for rests (`DEBUG PAUSE-CRON`).
    pub upkeep_paused: bool,
    /// Who listens to which channels.
    pub pubsub: PubSub,
    /// This core's part in snapshots.
    pub(super) snapshot: Snapshotting,
    /// Why commands that write are refused, if they are.
    pub refusal: Option<WriteRefusal>,
    /// Messages that wait for a reply.
    pub held_pushes: HeldPushes,
    /// Who caches which keys.
    pub tracking: Tracking,
    /// The client whose command modifies keys, 0 if they go because their time is over.
    pub author: u64,
    /// Clients in `MONITOR`, by core.
    pub monitors: Vec<usize>,
    /// Whether there is any.
    pub monitored: bool,
    /// For frames that arrive complete.
    pub(super) parser: Parser,
    pub(super) schedule: Schedule,
    turn_ticks: u64,
    /// Commands executed before the turn.
    turn_commands: u64,
    next_number: u64,
    config_version: u64,
    pub(super) spare_buffers: Vec<Vec<u8>>,
    /// An empty queue, with capacity.
    pub spare_multi: Option<Box<Multi>>,
}

/// Writes what scripts log.
fn logger(shared: &Arc<Shared>) -> Logger {
    let shared = Arc::clone(shared);
    Rc::new(move |level, text| shared.log.at(level, format_args!("{text}")))
}

impl CoreState {
    /// A core without clients and keys.
    pub fn new(
        core: CoreId,
        shared: Arc<Shared>,
        hasher: &Hasher,
        seed: u64,
        clock: Box<dyn Clock + Send>,
    ) -> CoreState {
        let map = shared.map;
        let (config, config_version) = shared.config.current();
        let databases = config.databases as usize;
        let mut shard = Shard::new(databases, hasher.clone(), seed);
        shard.slots = map.slots_of(core);
        let lookup = lookup::shared();
        let mut state = CoreState {
            core,
            map,
            shard,
            workbench: Shard::new(databases, hasher.clone(), !seed),
            clients: Clients::default(),
            hot: Hot::new(&config),
            stats: Stats::new(lookup.all().len()),
            rates: Rates::default(),
            lookup,
            now_us: clock.unix_us(),
            last_ticks: clock.ticks(),
            clock,
            locks: Locks::default(),
            tickets: AHashMap::new(),
            txns: AHashMap::new(),
            journal: Journal::default(),
            blocking: Blocking::default(),
            programs: AHashMap::new(),
            engine: Engine::new(Arc::clone(&shared.scripts), logger(&shared)),
            scripting: Scripting::default(),
            slow_script: None,
            watches: Watches::default(),
            asks: AHashMap::new(),
            outboxes: (0..map.shards()).map(|_| Batch::default()).collect(),
            to_self: VecDeque::new(),
            next_turn: Vec::new(),
            dirty: Vec::new(),
            runnable: VecDeque::new(),
            crowded: Vec::new(),
            orders: Vec::new(),
            loading: None,
            quiet_cores: 0,
            pause: None,
            upkeep_paused: false,
            pubsub: PubSub::default(),
            snapshot: Snapshotting::default(),
            refusal: None,
            held_pushes: HeldPushes::default(),
            tracking: Tracking::new(map.shards()),
            author: 0,
            monitors: vec![0; map.shards()],
            monitored: false,
            parser: Parser::default(),
            schedule: Schedule::default(),
            turn_ticks: 0,
            turn_commands: 0,
            next_number: 0,
            config_version,
            spare_buffers: Vec::new(),
            spare_multi: None,
            config,
            shared,
        };
        state.workbench.modified.note_every(true);
        state.apply_config();
        if let Some(load) = state.shared.load() {
            state.begin_load(&load, None);
        }
        state
    }

    /// Reads the clock and takes over a changed configuration.
    pub fn begin_turn(&mut self) {
        self.stats.turns += 1;
        self.set_clock();
        self.turn_ticks = self.last_ticks;
        self.turn_commands = self.stats.commands_processed;
        self.slow_script = self.shared.slow_script();
        self.to_self.extend(self.next_turn.drain(..));
        if self.shared.config.version() != self.config_version {
            self.refresh_config();
        }
        self.refusal = self.refusal_of_writes();
        self.resume_after_full_logs();
        self.take_storage_events();
    }

    /// Counts the time that the turn took, and its commands.
    pub fn end_turn(&mut self) {
        let ticks = self.clock.ticks().wrapping_sub(self.turn_ticks);
        let (turn_ns, stats) = (self.clock.ticks_to_ns(ticks), &mut self.stats);
        stats.busy_ns += turn_ns;
        stats.longest_turn_ns = stats.longest_turn_ns.max(turn_ns);
        // CONFIG RESETSTAT may have set the count back.
        let commands = stats.commands_processed.saturating_sub(self.turn_commands);
        stats.max_turn_commands = stats.max_turn_commands.max(commands);
    }

    /// Reads the clock: keys expire by what it says until the next reading.
    pub fn set_clock(&mut self) {
        self.now_us = self.clock.unix_us();
        self.shard.now_ms = self.now_us / 1000;
        self.workbench.now_ms = self.shard.now_ms;
        self.last_ticks = self.clock.ticks();
    }

    /// Takes over the present configuration.
    pub fn refresh_config(&mut self) {
        (self.config, self.config_version) = self.shared.config.current();
        self.apply_config();
    }

    fn apply_config(&mut self) {
        self.hot = Hot::new(&self.config);
        self.configure_log();
        for shard in [&mut self.shard, &mut self.workbench] {
            let config = &self.config;
            shard.settings = Settings {
                string_max_bytes: config.proto_max_bulk_len_bytes as usize,
                hash_max_listpack_entries: config.hash_max_listpack_entries as usize,
                hash_max_listpack_value: config.hash_max_listpack_value_bytes as usize,
                set_max_intset_entries: config.set_max_intset_entries as usize,
                set_max_listpack_entries: config.set_max_listpack_entries as usize,
                set_max_listpack_value: config.set_max_listpack_value_bytes as usize,
                zset_max_listpack_entries: config.zset_max_listpack_entries as usize,
                zset_max_listpack_value: config.zset_max_listpack_value_bytes as usize,
                list_max_listpack_size: config.list_max_listpack_size,
                list_compress_depth: config.list_compress_depth,
                // No parameter: DEBUG sets it.
                ignores_checksums: shard.settings.ignores_checksums,
                list_packed_threshold: shard.settings.list_packed_threshold,
                stream_node_max_bytes: config.stream_node_max_bytes as usize,
                stream_node_max_entries: config.stream_node_max_entries as usize,
                hll_sparse_max_bytes: config.hll_sparse_max_bytes as usize,
            };
            shard.events.want(self.config.notify_keyspace_events.published());
            shard.lfu = self.config.maxmemory_policy.is_lfu().then_some(Lfu {
                log_factor: self.config.lfu_log_factor,
                decay_minutes: self.config.lfu_decay_time_minutes,
            });
        }
    }

    /// Whether a key's shard is this one.
    pub fn is_own_key(&self, name: &[u8]) -> bool {
        self.owner_of(name) == self.core
    }

    /// Unix time of this turn in milliseconds.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.shard.now_ms
    }

    /// A number for a transaction or a question.
    pub fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Sends a message to a core, this one included.
    pub fn send(&mut self, core: CoreId, message: Message) {
        if core == self.core {
            self.to_self.push_back(message);
        } else {
            self.outboxes[core.index()].messages.push(message);
        }
    }

    /// Notes that a client may have something to send.
    #[inline]
    pub fn mark_dirty(dirty: &mut Vec<ConnId>, client: &mut Client) {
        if !client.dirty {
            client.dirty = true;
            dirty.push(client.conn);
        }
    }

    /// An empty output buffer, with capacity if one is at hand.
    #[inline]
    pub fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare_buffers.pop().unwrap_or_default()
    }

    /// Takes an output buffer back.
    #[inline]
    pub fn recycle_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= SPARE_BUFFER_BYTES_MAX && self.spare_buffers.len() < SPARE_BUFFERS_MAX {
            buffer.clear();
            self.spare_buffers.push(buffer);
        }
    }

    /// A copy of the counters with gauges filled in.
    pub fn stats_now(&self) -> Stats {
        let mut stats = self.stats.clone();
        for shard in [&self.shard, &self.workbench] {
            stats.keyspace_hits += shard.stats.hits;
            stats.keyspace_misses += shard.stats.misses;
            stats.expired_keys += shard.stats.expired_keys;
            stats.expired_subkeys += shard.stats.expired_subkeys;
        }
        stats.dbs = self
            .shard
            .dbs
            .iter()
            .enumerate()
            .map(|(number, db)| {
                let (stale, ttl_ms) = db.estimate_ttl(self.now_ms(), &mut self.shard.rng.clone());
                // What is borrowed counts here.
                let borrowed = std::iter::once(&self.workbench.dbs[number]);
                let parts: SmallVec<[&Db; 8]> = self.shard.dbs.parts(number).chain(borrowed).collect();
                let sum = |count: fn(&Db) -> usize| parts.iter().map(|part| count(part) as u64).sum();
                DbFigures {
                    keys: sum(Db::len),
                    expires: sum(Db::volatile_len),
                    subexpiry: sum(Db::watched_len),
                    table_bytes: sum(Db::table_bytes),
                    stale,
                    ttl_ms,
                }
            })
            .collect();
        stats.lazyfree_pending = self.shard.garbage.len() as u64;
        stats.commands_per_second = self.rates.commands.per_second();
        stats.input_bytes_per_second = self.rates.input_bytes.per_second();
        stats.output_bytes_per_second = self.rates.output_bytes.per_second();
        stats.turns_per_second = self.rates.turns.per_second();
        stats.busy_ns_per_second = self.rates.busy_ns.per_second();
        for client in self.clients.iter() {
            stats.watching_clients += u64::from(!client.session.watched.is_empty());
            stats.clients += u64::from(!client.refused);
            stats.client_bytes += client.memory_bytes() as u64;
            let input = client.input.as_ref().map_or(0, |input| input.bytes().len()) as u64;
            stats.max_input_bytes = stats.max_input_bytes.max(input);
            stats.max_output_bytes = stats.max_output_bytes.max(client.output_bytes() as u64);
            stats.tracking_clients += u64::from(client.session.tracking.is_some());
            stats.blocked_clients += u64::from(matches!(client.waiting, Waiting::Paused | Waiting::Blocked));
        }
        stats.tracking_total_keys = self.tracking.table.len() as u64;
        stats.tracking_total_items = self.tracking.table.items() as u64;
        stats.tracking_total_prefixes = self.tracking.prefixes.len() as u64;
        stats.pubsub_clients = self.pubsub.clients() as u64;
        [stats.pubsub_channels, stats.pubsub_patterns, stats.pubsub_shard_channels] =
            Kind::ALL.map(|kind| self.pubsub.len(kind) as u64);
        (stats.scripts_undeclared, stats.scripts_restarted) =
            (self.scripting.undeclared, self.scripting.restarted);
        stats.vm_bytes = self.engine.vm_bytes() as u64;
        stats.watched_keys = self.watches.keys() as u64;
        stats.clients_in_timeout_table = self.blocking.deadlines() as u64;
        let (blocking_keys, on_nokey) = self.blocking.keys();
        (stats.blocking_keys, stats.blocking_keys_on_nokey) = (blocking_keys as u64, on_nokey as u64);
        if let Some(log) = self.journal.log() {
            stats.log_segment_bytes = log.segment_bytes();
            stats.log_unwritten_bytes = log.unwritten_bytes();
            stats.log_unsynced_bytes = log.unstable_bytes();
            stats.log_syncs = u64::from(log.is_syncing());
            stats.log_delayed_syncs = log.delayed_syncs;
        }
        stats.cores = vec![CoreFigures {
            clients: stats.clients,
            keys: stats.dbs.iter().map(|db| db.keys).sum(),
            commands: stats.commands_processed,
            remote_commands: stats.remote_commands,
            turns: stats.turns,
            cpu_seconds: cpu::thread_cpu_seconds(),
        }];
        stats
    }
}
