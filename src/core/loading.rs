//! Loading the data set: RDB files, of which every core reads the keys of its own slots, and logs, which a client without a
//! socket replays.
//!
//! It goes on in slices, one in each turn, so that clients are answered meanwhile: by `-LOADING`, unless the command may
//! run ([`Flags::LOADING`]). No message is sent for a key. Whoever finishes a part waits for the others
//! ([`Portion::Together`]), and all are done at the same moment.
//!
//! While the server runs, a loading begins when everything older is over: each core refuses new commands, waits until it
//! has no transaction under way and no snapshot is being taken, and tells all others so ([`Message::Quiet`]); what those had sent it before has
//! arrived by then. Nothing that is loaded is an effect, is published or counted.

pub(super) mod replay;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flume::{Receiver, TryRecvError};
use smallvec::SmallVec;

use self::replay::Log;
use crate::base::number::human_bytes;
use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::command_table::Run;
use crate::core::journal::files::plan_of_folder;
use crate::core::state::CoreState;
use crate::protocol::Error;
use crate::rdb::scan::{Damage, ENTRY_BYTES_MIN, Entry, Problem, Record};
use crate::rdb::{self, Reader, Rules, decode};
use crate::route::message::{Answer, Message};
use crate::runtime::io::{ConnId, CoreId};
use crate::shard::{Item, Key, KeyDigest, KeyspaceStats, Lfu};
use crate::shared::load::{Kind, Load, LoadMode, LoadPlan, Located, Portion, Setup, Share};

/// How long a turn's part of a loading takes at most, in nanoseconds.
const SLICE_NS: u64 = 2_000_000;
/// Keys between two looks at the clock.
const KEYS_AT_ONCE: usize = 64;
/// How long a core that has to wait sleeps.
const NAP: Duration = Duration::from_micros(200);
/// Time between two lines in the log about how far it is, in milliseconds.
const REPORT_MS: i64 = 1000;
/// Keys without elements that the log names.
const EMPTY_TOLD: u64 = 10;

/// The answer to commands that have to wait for the data set.
pub(super) const LOADING: Error = Error::text("LOADING Redis is loading the dataset in memory");

/// What a core is about to do.
#[derive(Debug)]
enum Phase {
    /// Everything older comes to its end. Whether the others have been told that it has here.
    Settling { told: bool },
    /// It goes through portions.
    Reading,
    /// It waits for the others.
    Waiting,
    /// It has found something that cannot be loaded.
    Failed,
}

/// The file that portions belong to.
enum Source {
    None,
    Rdb(Box<Rdb>),
    Log(Log),
}

/// An RDB file that is being gone through.
struct Rdb {
    path: Arc<Path>,
    kind: Kind,
    /// The records at hand.
    share: Option<Share>,
    /// The database of what comes next.
    db: usize,
    /// Keys whose time is over then are left out, Unix milliseconds.
    now_ms: i64,
    rules: Rules,
    /// So many keys more has the file room for, beyond those that it has announced: memory is made ready for no others.
    room_keys: u64,
    /// Nothing is loaded before this time, Unix microseconds (`key-load-delay`).
    rests_until_us: i64,
    /// The server goes on if a library cannot be loaded.
    may_be_refused: bool,
    /// Keys to be put in together, so that the waits for memory overlap.
    window: Vec<NewKey>,
}

/// A key on its way into a database.
struct NewKey {
    db: usize,
    digest: KeyDigest,
    item: Item,
    /// Where in the file it stands.
    offset: u64,
}

/// A core's part of a loading.
pub struct Loading {
    load: Arc<Load>,
    portions: Receiver<Portion>,
    phase: Phase,
    source: Source,
    /// The bytes of a log that are gone through.
    bytes: Option<Vec<u8>>,
    /// Parts that are finished.
    parts: usize,
    /// Nothing more comes.
    is_last: bool,
    /// Who wants to know when it is over, and the number of the question.
    answer: Option<(CoreId, u64)>,
    report_due_ms: i64,
    before: Before,
}

/// What loading must not change.
struct Before {
    changes: u64,
    keyspace: [KeyspaceStats; 2],
    effects: bool,
}

/// Why the data set cannot be loaded: lines for the log.
struct Failure(Vec<String>);

impl Failure {
    fn fatal(reason: impl std::fmt::Display) -> Failure {
        Failure(vec![reason.to_string(), "Fatal error loading the DB, check server logs. Exiting.".into()])
    }

    fn of(path: &Path, damage: &Damage) -> Failure {
        let about = format!("{}: {damage}", path.display());
        let mut lines = vec![about];
        match damage.problem {
            Problem::Signature | Problem::Version(_) => return Failure::fatal(&lines[0]),
            Problem::EndsEarly | Problem::Corrupt(_) => {
                lines.push("Short read or OOM loading DB. Unrecoverable error, aborting now.".into());
            }
            _ => {}
        }
        lines.push("Terminating server after rdb file reading failure.".into());
        Failure(lines)
    }
}

impl CoreState {
    /// Takes this core's part of a loading. `answer` names a question that is answered when it is over; without one nobody is
    /// served yet, and it begins at once.
    pub fn begin_load(&mut self, load: &Arc<Load>, answer: Option<(CoreId, u64)>) {
        let Some(portions) = load.portions(self.core) else { return };
        let before = Before {
            changes: self.stats.changes,
            keyspace: [self.shard.stats, self.workbench.stats],
            effects: self.shard.effects.is_on(),
        };
        self.loading = Some(Box::new(Loading {
            load: Arc::clone(load),
            portions,
            phase: if answer.is_some() { Phase::Settling { told: false } } else { Phase::Reading },
            source: Source::None,
            bytes: None,
            parts: 0,
            is_last: false,
            answer,
            report_due_ms: self.now_ms() + REPORT_MS,
            before,
        }));
        if answer.is_none() {
            self.set_loading(true);
        }
    }

    /// Reads files into the running server. [`Query::Load`] then asks all cores to take their parts; it is answered when
    /// everything is loaded.
    ///
    /// # Errors
    /// If a file cannot be opened.
    ///
    /// [`Query::Load`]: crate::route::message::Query::Load
    pub fn prepare_load(&mut self, plan: LoadPlan, mode: LoadMode) -> std::io::Result<()> {
        let load = Load::begin(plan, mode, self.load_setup())?;
        self.shared.set_load(load);
        Ok(())
    }

    /// The same with what the append-only folder holds when all cores are quiet and everything is written.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn prepare_load_of_logs(&mut self) -> std::io::Result<()> {
        let (config, shards) = (Arc::clone(&self.config), self.map.shards());
        let mode = LoadMode { flush: true, replace: true };
        let find = move || plan_of_folder(&config, shards);
        let load = Load::begin_when_quiet(find, mode, self.load_setup())?;
        self.shared.set_load(load);
        Ok(())
    }

    fn load_setup(&self) -> Setup {
        Setup { map: self.map, verify: self.config.rdbchecksum, now_ms: self.now_ms() }
    }

    fn set_loading(&mut self, loading: bool) {
        for shard in [&mut self.shard, &mut self.workbench] {
            shard.loading = loading;
        }
    }

    /// Whether a command has to wait for the data set.
    #[cold]
    pub(super) fn is_denied_while_loading(&self, conn: ConnId, command: &Command) -> bool {
        let Some(client) = self.clients.get(conn).filter(|client| client.replay.is_none()) else {
            return false;
        };
        let waits = |command: &Command| !command.flags.contains(Flags::LOADING);
        let queued = client.session.multi.as_deref().filter(|_| matches!(command.entry.run, Run::Exec));
        waits(command) || queued.is_some_and(|queue| queue.iter().any(|(id, _)| waits(self.lookup.get(id))))
    }

    /// Another core has nothing under way any more that began before the loading.
    pub(super) fn on_quiet(&mut self) {
        self.quiet_cores += 1;
    }

    /// Does a part of the loading, if there is one; true if there is more to do.
    pub fn load_some(&mut self) -> bool {
        let Some(mut loading) = self.loading.take() else { return false };
        let start = self.clock.ticks();
        let ended = loop {
            match self.load_step(&mut loading) {
                Ok(Step::More) => {}
                Ok(Step::Nothing) => {
                    self.clock.sleep(NAP);
                    break false;
                }
                Ok(Step::Later) => break false,
                Ok(Step::Over) => break true,
                Err(Failure(reasons)) => {
                    loading.phase = Phase::Failed;
                    self.stop_by(&loading.load, reasons);
                }
            }
            if self.clock.ticks_to_ns(self.clock.ticks().wrapping_sub(start)) >= SLICE_NS {
                break false;
            }
        };
        self.report(&mut loading);
        if ended {
            self.end_load(*loading);
            return false;
        }
        self.loading = Some(loading);
        true
    }

    /// Says why, if no other core has done so, and stops the server.
    fn stop_by(&self, load: &Load, reasons: Vec<String>) {
        if load.fail(reasons) {
            for line in load.failure().unwrap_or_default() {
                self.shared.log.warning(format_args!("{line}"));
            }
        }
        self.shared.stopping.store(true, Ordering::Relaxed);
    }

    fn load_step(&mut self, loading: &mut Loading) -> Result<Step, Failure> {
        match loading.phase {
            Phase::Settling { told } => return Ok(self.settle(loading, told)),
            Phase::Waiting if !loading.load.are_together(loading.parts) => return Ok(Step::Nothing),
            Phase::Waiting if loading.is_last => return Ok(Step::Over),
            Phase::Waiting => loading.phase = Phase::Reading,
            Phase::Failed => return Ok(Step::Nothing),
            Phase::Reading => {}
        }
        match &mut loading.source {
            Source::Rdb(rdb) if rdb.share.is_some() => return self.take_keys(&loading.load, rdb),
            Source::Log(log) => {
                if loading.bytes.is_some() {
                    return self.replay_some(&loading.load, log, &mut loading.bytes);
                }
                if !self.is_settled(log)? {
                    return Ok(Step::Later);
                }
            }
            _ => {}
        }
        match loading.portions.try_recv() {
            Ok(Portion::Over) => {
                // Nobody serves a client before all can: what comes from another core then finds everything here.
                loading.is_last = true;
                loading.parts += 1;
                loading.load.arrive();
                loading.phase = Phase::Waiting;
            }
            Ok(portion) => self.take_portion(loading, portion)?,
            Err(TryRecvError::Empty) => return Ok(Step::Nothing),
            Err(TryRecvError::Disconnected) => return Err(Failure::fatal("The reader of files has ended")),
        }
        Ok(Step::More)
    }

    /// Waits until everything older is over, here and everywhere.
    fn settle(&mut self, loading: &mut Loading, told: bool) -> Step {
        if !told {
            let asks = |number: &u64| self.asks.values().any(|asking| asking.program == Some(*number));
            let busy = !self.txns.is_empty()
                || !self.tickets.is_empty()
                || !self.programs.keys().all(asks)
                || self.shared.snapshots.current().is_some()
                || self.shared.append_only.figures().rewriting_since_s.is_some();
            if busy {
                return Step::Later;
            }
            for core in self.others() {
                self.send(core, Message::Quiet);
            }
            loading.phase = Phase::Settling { told: true };
        }
        let others = self.map.shards() - 1;
        if self.quiet_cores < others || !self.tickets.is_empty() {
            return Step::Later;
        }
        if loading.load.waits_for_quiet() && !self.bring_log_to_safety() {
            return Step::Later;
        }
        self.quiet_cores -= others;
        loading.load.quiet();
        if loading.load.mode.flush {
            self.shard.flush_all();
            if self.core.index() == 0 {
                self.shared.scripts.flush_libraries();
            }
        }
        // Nobody puts in what another core would empty.
        self.shard.effects.collect(false);
        self.workbench.effects.collect(false);
        self.set_loading(true);
        loading.phase = Phase::Reading;
        Step::More
    }

    fn take_portion(&mut self, loading: &mut Loading, portion: Portion) -> Result<(), Failure> {
        match (portion, &mut loading.source) {
            (Portion::Rdb(kind, path), _) => {
                let rules = Rules { settings: self.shard.settings, hasher: self.shard.hasher().clone() };
                loading.source = Source::Rdb(Box::new(Rdb {
                    path,
                    kind,
                    share: None,
                    db: 0,
                    now_ms: self.now_ms(),
                    rules,
                    room_keys: loading.load.figures().total_bytes / ENTRY_BYTES_MIN,
                    rests_until_us: 0,
                    may_be_refused: loading.answer.is_some(),
                    window: Vec::with_capacity(KEYS_AT_ONCE),
                }));
            }
            (Portion::Records(share), Source::Rdb(rdb)) => rdb.share = Some(share),
            (Portion::Damaged(damage), Source::Rdb(rdb)) => return Err(Failure::of(&rdb.path, &damage)),
            (Portion::Log { path, from, scope }, _) => {
                loading.source = Source::Log(self.begin_replay(path, from, scope))
            }
            (Portion::Bytes(bytes), Source::Log(_)) => loading.bytes = Some(bytes),
            (Portion::End, _) => {
                if let Source::Log(log) = std::mem::replace(&mut loading.source, Source::None) {
                    self.end_replay(log)?;
                }
            }
            (Portion::Together, _) => loading.arrive(),
            (Portion::Failed(reason), _) => return Err(Failure::fatal(reason)),
            (Portion::Over | Portion::Records(_) | Portion::Damaged(_) | Portion::Bytes(_), _) => {
                unreachable!("the file that it belongs to comes first")
            }
        }
        Ok(())
    }

    /// Has a part of the bytes at hand replayed.
    fn replay_some(
        &mut self,
        load: &Load,
        log: &mut Log,
        bytes: &mut Option<Vec<u8>>,
    ) -> Result<Step, Failure> {
        if !self.is_idle(log)? {
            return Ok(Step::Later);
        }
        let Some(chunk) = bytes else { return Ok(Step::More) };
        let fed = self.feed(log, chunk)?;
        load.go_through(fed as u64, false);
        if log.is_fed(chunk) {
            *bytes = None;
        }
        Ok(Step::More)
    }

    /// Takes in some keys.
    fn take_keys(&mut self, load: &Load, rdb: &mut Rdb) -> Result<Step, Failure> {
        if self.now_us < rdb.rests_until_us {
            return Ok(Step::Nothing);
        }
        let Some(mut share) = rdb.share.take() else { return Ok(Step::More) };
        let delay_us = self.config.key_load_delay_us.max(0);
        let mut is_done = false;
        for _ in 0..if delay_us > 0 { 1 } else { KEYS_AT_ONCE } {
            let Some(place) = share.next_record() else {
                is_done = true;
                break;
            };
            self.take_record(load, rdb, &place)?;
        }
        if !rdb.window.is_empty() {
            rdb.rests_until_us = self.now_us + i64::from(delay_us);
        }
        self.put_in(load, rdb)?;
        if is_done {
            load.go_through(share.piece_len(), true);
        } else {
            rdb.share = Some(share);
        }
        Ok(Step::More)
    }

    /// Takes in what a record of an RDB file says.
    fn take_record(&mut self, load: &Load, rdb: &mut Rdb, place: &Located<'_>) -> Result<(), Failure> {
        let damage = |(at, problem): (usize, Problem)| {
            Failure::of(&rdb.path, &Damage { offset: place.offset + at as u64, problem })
        };
        match Record::read(place.bytes).map_err(damage)? {
            Record::Entry(entry) => {
                let digest = KeyDigest { slot: place.slot, hash: rdb.rules.hasher.hash(&entry.key) };
                let about = (rdb.kind, rdb.now_ms, &rdb.rules);
                if let Some(item) = self.item_of(load, about, &entry).map_err(damage)? {
                    rdb.window.push(NewKey { db: rdb.db, digest, item, offset: place.offset });
                }
            }
            Record::Select(db) => {
                let databases = self.config.databases;
                rdb.db = usize::try_from(db).ok().filter(|&db| db < databases as usize).ok_or_else(|| {
                    Failure(vec![format!(
                        "FATAL: Data file was created with a Redis server configured to handle more than {databases} \
                         databases. Exiting"
                    )])
                })?;
            }
            Record::Library(code) => {
                if let Err(error) = self.engine.load_library(&code, load.mode.replace) {
                    let reason = format!("Failed loading library, {error}");
                    if !rdb.may_be_refused {
                        return Err(Failure::fatal(reason));
                    }
                    self.shared.log.warning(format_args!("{reason}"));
                    load.refuse();
                }
            }
            Record::Aux { name, value } => self.note(load, &name, &value),
            Record::Sizes { keys, .. } => {
                let keys = keys.min(rdb.room_keys);
                rdb.room_keys -= keys;
                self.shard.dbs.announce(rdb.db, keys);
            }
            Record::Version(_) | Record::End => {}
        }
        Ok(())
    }

    /// The item of an entry, unless it is left out.
    fn item_of(
        &self,
        load: &Load,
        (kind, now_ms, rules): (Kind, i64, &Rules),
        entry: &Entry<'_>,
    ) -> Result<Option<Item>, (usize, Problem)> {
        let mut reader = Reader::new(entry.value);
        let object = match decode(entry.kind, &mut reader, rules) {
            Ok(object) => object,
            Err(rdb::Error::Empty) => {
                // Old servers may have written such a key, which Redis passes over as well.
                if load.keys_empty.fetch_add(1, Ordering::Relaxed) < EMPTY_TOLD {
                    let key = String::from_utf8_lossy(&entry.key);
                    self.shared.log.notice(format_args!("skipping empty key: {key}"));
                }
                return Ok(None);
            }
            Err(error) => {
                let read = entry.value.len() - reader.rest().len();
                return Err((entry.value_at + read, error.into()));
            }
        };
        let about = entry.about;
        if kind == Kind::Snapshot && about.expire_at_ms.is_some_and(|at| at < now_ms) {
            load.keys_expired.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let mut item = object.into_item(&entry.key, about.expire_at_ms);
        let clock = match (self.shard.lfu, about.frequency, about.idle_seconds) {
            (Some(_), Some(frequency), _) => Lfu::clock(now_ms, frequency),
            (Some(_), None, _) => Lfu::first_access(now_ms),
            (None, _, Some(idle)) => self.shard.lru_clock_before(idle.min(i64::MAX as u64) as i64),
            (None, _, None) => self.shard.lru_clock(),
        };
        item.set_lru(clock);
        Ok(Some(item))
    }

    /// Puts keys into the databases.
    fn put_in(&mut self, load: &Load, rdb: &mut Rdb) -> Result<(), Failure> {
        if load.is_refused() {
            rdb.window.clear();
        }
        load.keys_loaded.fetch_add(rdb.window.len() as u64, Ordering::Relaxed);
        for keys in rdb.window.chunk_by(|a, b| a.db == b.db) {
            self.shard.dbs[keys[0].db].prefetch(keys.iter().map(|key| key.digest));
        }
        for NewKey { db, digest, item, offset } in rdb.window.drain(..) {
            let Err(item) = self.shard.add(db, digest, item) else { continue };
            let name: SmallVec<[u8; 64]> = SmallVec::from_slice(item.key());
            if !load.mode.replace {
                let name = String::from_utf8_lossy(&name);
                return Err(Failure::fatal(format!(
                    "{}: RDB has duplicated key '{name}' in DB {db} (at offset {offset})",
                    rdb.path.display()
                )));
            }
            let old = self.shard.put(db, &Key::with_digest(&name, digest), item);
            old.into_iter().for_each(|old| self.shard.discard(old));
        }
        Ok(())
    }

    /// Takes note of what a file says about itself.
    fn note(&self, load: &Load, name: &[u8], value: &[u8]) {
        let log = &self.shared.log;
        let value = String::from_utf8_lossy(value);
        let number = || value.parse::<i64>().unwrap_or(0);
        match name.to_ascii_lowercase().as_slice() {
            b"redis-ver" => log.notice(format_args!("Loading RDB produced by version {value}")),
            b"ctime" => {
                let age = (self.now_ms() / 1000 - number()).max(0);
                log.notice(format_args!("RDB age {age} seconds"));
            }
            b"used-mem" => {
                let bytes = number().max(0) as u64;
                load.used_memory_bytes.store(bytes, Ordering::Relaxed);
                let megabytes = bytes as f64 / (1 << 20) as f64;
                log.notice(format_args!("RDB memory usage when created {megabytes:.2} Mb"));
            }
            b"aof-preamble" if number() != 0 => log.notice(format_args!("RDB has an AOF tail")),
            b"aof-base" if number() != 0 => log.notice(format_args!("RDB is base AOF")),
            _ if name.first() == Some(&b'%') => {
                log.notice(format_args!("RDB '{}': {value}", String::from_utf8_lossy(name)));
            }
            _ => {}
        }
    }

    /// Writes into the log how far it is, now and then.
    fn report(&self, loading: &mut Loading) {
        let now_ms = self.now_ms();
        if self.core.index() > 0 || now_ms < loading.report_due_ms {
            return;
        }
        loading.report_due_ms = now_ms + REPORT_MS;
        let figures = loading.load.figures();
        self.shared.log.notice(format_args!(
            "Loading: {:.1}% of {}, {}/s, {} seconds left",
            figures.percent(),
            human_bytes(figures.total_bytes),
            human_bytes(figures.bytes_per_second(now_ms)),
            figures.seconds_left(now_ms)
        ));
    }

    /// Everything is loaded, here and on all other cores.
    fn end_load(&mut self, loading: Loading) {
        self.set_clock();
        self.set_loading(false);
        self.shard.dbs.end_announced();
        self.stats.changes = loading.before.changes;
        [self.shard.stats, self.workbench.stats] = loading.before.keyspace;
        for shard in [&mut self.shard, &mut self.workbench] {
            shard.effects.clear();
            shard.effects.collect(loading.before.effects);
        }
        if loading.answer.is_none() {
            self.begin_log_if_made();
        }
        if self.core.index() == 0 {
            let figures = loading.load.figures();
            let seconds = (self.now_ms() - figures.started_ms) as f64 / 1000.0;
            let log = &self.shared.log;
            let empty = match loading.load.keys_empty.load(Ordering::Relaxed) {
                0 => String::new(),
                count => format!(", empty keys skipped: {count}"),
            };
            log.notice(format_args!(
                "Done loading RDB, keys loaded: {}, keys expired: {}{empty}.",
                figures.keys_loaded, figures.keys_expired
            ));
            let refused = loading.load.commands_refused.load(Ordering::Relaxed);
            if refused > 0 {
                log.warning(format_args!("Commands refused reading the append only file: {refused}"));
            }
            log.notice(format_args!("DB loaded from disk: {seconds:.3} seconds"));
            loading.load.end();
        }
        if let Some((core, number)) = loading.answer {
            self.send(core, Message::Answer { number, answer: Answer::Done });
        }
    }
}

impl Loading {
    /// A part is finished.
    fn arrive(&mut self) {
        self.parts += 1;
        self.load.arrive();
        self.phase = Phase::Waiting;
    }
}

/// What a step has come to.
enum Step {
    /// There is more to do at once.
    More,
    /// Others have to do something first, who need time for it.
    Nothing,
    /// The core itself has to do something else first.
    Later,
    /// Everything is loaded.
    Over,
}
