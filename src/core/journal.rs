//! From effects to replies: what commands have done goes to the log of this shard, and replies wait until it is safe.
//!
//! Whatever runs a command on this shard logs its effects right after it ([`CoreState::log_effects`]). A command that ran on
//! entries of several shards, or a transaction, leaves one *part* for each shard: they travel with the entries as these are
//! given back, and each shard logs its own.
//!
//! Who asks for durability (by `appendfsync always`, or for one connection) gets no reply before all that it has done or
//! *seen* is safe. The log remembers for each slot where its last change stands, so that a read waits only for changes of its
//! own slots. What waits:
//! - replies of this core's clients to commands that ran here: bytes that are ready are parked until the log is safe up to the
//!   number that they depend on ([`Client::hold`](crate::net::client::Client)). Who does not ask for durability is never parked;
//! - messages to other cores that carry a reply, or entries: kept here by log number;
//! - replies to transactions: with the coordinator, until every shard that has a part says that it is safe.
//!
//! Which transactions can be lost no more is found out by the first core, which hears of all parts that are stable and tells
//! those that have a part ([`Settlement`]).
//!
//! Invariant: without a log, effects are not collected and nothing waits.

pub mod files;
mod functions;
pub mod health;
pub mod segments;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;

use self::health::Told;
use crate::aof::frame;
use crate::aof::log::{Log, Order, Settings};
use crate::aof::settle::Settlement;
use crate::base::crc::SLOTS;
use crate::config::{AofSyncMethod, Config};
use crate::core::dispatch::Keys;
use crate::core::state::CoreState;
use crate::route::message::{Answer, Call, LogPart, LogParts, Message, ReplyTo, StablePart, TxnId};
use crate::runtime::blocks::Blocks;
use crate::runtime::io::{ConnId, CoreId, FileId, Handle, Io};
use crate::script::Libraries;
use crate::shard::{Effects, Reach};
use crate::shared::append_only::AppendOnly;
use crate::txn::coordinator::{Txn, Work};

/// The core that finds out which transactions are settled.
const SETTLER: CoreId = CoreId(0);

/// What waits for the log.
#[derive(Debug)]
enum Kept {
    /// Replies of a client of this core, by connection and id.
    Client(ConnId, u64),
    /// The reply of a command that ran here.
    Reply(CoreId, ReplyTo, Vec<u8>),
    /// Any other message.
    Message(CoreId, Message),
}

/// A reply that waits until other shards have logged their parts.
#[derive(Debug)]
struct Awaited {
    to: ReplyTo,
    out: Vec<u8>,
    /// It fills a gap in the client's row, and does not come at its end.
    fills: bool,
    missing: usize,
}

/// What a server that is broken on purpose takes for safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Careless {
    /// Everything.
    All,
    /// Whatever is stable here, although a part of a transaction may be missing elsewhere.
    Parts,
}

/// See the module.
#[derive(Default)]
pub struct Journal {
    log: Option<Log>,
    /// Where the last change of each slot stands; empty without a log.
    changes: Vec<u64>,
    kept: BTreeMap<(u64, u64), Kept>,
    kept_count: u64,
    awaited: AHashMap<u64, Awaited>,
    /// Of all shards; used by one core only.
    settlement: Settlement,
    /// Some part of the log was told to be stable.
    has_told: bool,
    orders: Vec<Order>,
    /// Files to be handed to the system.
    opened: Vec<(FileId, Handle)>,
    /// Files that it is to let go of.
    closed: Vec<FileId>,
    /// Segments asked for since the log began or was cut.
    segments_made: u32,
    /// A segment is asked for and nobody has taken the order.
    pub wants_segment: bool,
    /// Questions whether all is on stable storage that came before the first base was.
    before_base: Vec<(CoreId, u64)>,
    /// The function libraries as the base and the log have them, on core 0.
    libraries: Arc<Libraries>,
    /// The log is being turned off: nothing is collected any more.
    ends: bool,
    /// How often a last base was begun, on core 0 of a server that stops.
    last_bases: u32,
    /// What all cores were told of the log.
    told: Told,
    /// Clients that wait for logs that are full.
    crowded: Vec<ConnId>,
    /// The process ends when a sync fails that everybody waits for; a simulated server goes on without it.
    pub exits: bool,
    /// How long the core sleeps before it writes (`DEBUG AOF-FLUSH-SLEEP`).
    pub sleep_before_writes: Duration,
    /// Test-only: what the log asks of the disk is not carried out (`DEBUG AOF-HOLD-WRITES`).
    pub holds_writes_for_test: bool,
    /// Test-only: so many syncs still fail that have not failed (`DEBUG AOF-FAIL-SYNCS`).
    pub failing_syncs_for_test: u32,
    /// Test-only: what is not safe counts as safe.
    pub careless_for_test: Option<Careless>,
}

impl Journal {
    /// Whether there is a log.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.log.is_some()
    }

    /// The log.
    pub fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// The log number below which nothing can be lost any more; the highest that there is without a log.
    #[inline]
    pub fn safe(&self) -> u64 {
        let Some(log) = &self.log else { return u64::MAX };
        match self.careless_for_test {
            None => log.safe(),
            Some(Careless::Parts) => log.stable(),
            Some(Careless::All) => u64::MAX,
        }
    }

    /// Test-only: breaks the log. See [`Log::break_for_test`].
    pub fn break_log_for_test(&mut self) {
        if let Some(log) = &mut self.log {
            log.break_for_test();
        }
    }

    /// Whether nothing waits for the log.
    pub fn is_idle(&self) -> bool {
        self.kept.is_empty() && self.awaited.is_empty() && self.before_base.is_empty()
    }

    fn keep(&mut self, until: u64, kept: Kept) {
        if let Some(log) = &mut self.log {
            log.demand(until);
        }
        self.kept_count += 1;
        self.kept.insert((until, self.kept_count), kept);
    }

    /// Tells a client that it may be sent more, when the log is safe up to `until`.
    pub(super) fn keep_client(&mut self, until: u64, conn: ConnId, id: u64) {
        self.keep(until, Kept::Client(conn, id));
    }

    /// When the log has something to do that nobody tells it of, in monotonic nanoseconds.
    pub fn due_ns(&self) -> u64 {
        self.log.as_ref().map_or(u64::MAX, Log::due_ns)
    }
}

/// What the configuration says about logs.
pub(super) fn settings(config: &Config, append_only: &AppendOnly) -> Settings {
    Settings {
        sync: config.appendfsync,
        stable_writes: match config.aof_sync_method {
            AofSyncMethod::Auto => append_only.writes_through(),
            AofSyncMethod::Dsync => true,
            AofSyncMethod::Fdatasync => false,
        },
        writes_max: config.aof_writes_in_flight as usize,
        unsynced_max_bytes: config.aof_unsynced_max_bytes,
        sync_interval_ns: u64::from(config.aof_sync_interval_ms) * 1_000_000,
    }
}

impl CoreState {
    /// Begins to log, into a segment that is open. The number of the file is that of the segment.
    pub fn begin_log(&mut self, identity: frame::Segment, file: FileId, handle: Handle, size: u64) {
        self.journal.opened.push((file, handle));
        let now_ns = self.clock.monotonic_ns();
        let settings = settings(&self.config, &self.shared.append_only);
        self.journal.log = Some(Log::new(identity, settings, file, size, now_ns));
        self.journal.segments_made = 0;
        self.know_libraries(self.shared.scripts.libraries());
        self.journal.has_told = false;
        self.shared.append_only.count_log(true);
        self.journal.changes = vec![0; SLOTS];
        for shard in [&mut self.shard, &mut self.workbench] {
            shard.effects.collect(true);
        }
        self.workbench.effects.set_each_key(true);
        self.note_beginning();
    }

    /// Writes down when the segment in which the log begins or goes on was begun.
    pub(in crate::core) fn note_beginning(&mut self) {
        if let Some(log) = &mut self.journal.log
            && self.config.aof_timestamp_enabled
        {
            log.begin_at(self.now_us / 1_000_000);
        }
    }

    /// Logs no more. What waits need not wait.
    pub fn end_log(&mut self) {
        self.journal.log = None;
        self.watch_log();
        self.shared.append_only.count_log(false);
        self.journal.ends = false;
        self.journal.changes = Vec::new();
        for shard in [&mut self.shard, &mut self.workbench] {
            shard.effects.collect(false);
            shard.effects.clear();
        }
        self.release_safe();
    }

    /// Takes over what the configuration says about logs.
    pub(super) fn configure_log(&mut self) {
        if let Some(log) = &mut self.journal.log {
            log.set(settings(&self.config, &self.shared.append_only));
        }
    }

    /// Whether this core logs what it does, and goes on doing so.
    pub fn is_logged(&self) -> bool {
        self.journal.is_on() && !self.journal.ends
    }

    /// Whether the client of a command gets no reply before everything is safe.
    #[inline]
    pub(super) fn is_durable(&self, call: Call) -> bool {
        self.journal.is_on() && call.durable.unwrap_or(self.hot.always)
    }

    /// Logs what has been done on this shard since the last call.
    #[inline]
    pub(super) fn log_effects(&mut self) {
        if !self.shard.effects.is_empty() {
            self.log_pending_effects(None);
        }
    }

    /// Logs what has been done on this shard as one part of a transaction, even if that is nothing.
    pub(super) fn log_pending_effects(&mut self, txn: Option<&frame::Txn>) {
        let mut effects = std::mem::take(&mut self.shard.effects);
        self.log_part(&effects, txn);
        effects.clear();
        self.shard.effects = effects;
    }

    fn log_part(&mut self, effects: &Effects, txn: Option<&frame::Txn>) -> u64 {
        let Some(log) = &mut self.journal.log else { return 0 };
        if self.config.aof_timestamp_enabled {
            log.note_time(self.now_us / 1_000_000);
        }
        let end = log.append(effects.iter(), txn);
        let mut everywhere = false;
        for slot in effects.further() {
            self.journal.changes[usize::from(slot.number())] = end;
        }
        for effect in effects.iter() {
            match effect.reach {
                Reach::Slot(slot) => self.journal.changes[usize::from(slot.number())] = end,
                Reach::Everywhere => {
                    self.journal.changes.fill(end);
                    everywhere = true;
                }
            }
        }
        if everywhere && self.map.shards() > 1 {
            self.shared.append_only.note_whole_write();
        }
        end
    }

    /// The log number up to which the log must be safe before a command on these keys may be answered; without keys it may
    /// have seen anything.
    pub(super) fn depends_on(&self, keys: &Keys<'_>) -> u64 {
        let change = |slot: usize| self.journal.changes.get(slot).copied().unwrap_or(0);
        let slots = keys.iter().map(|(_, key)| usize::from(key.slot.number()));
        slots.map(change).max().unwrap_or_else(|| self.journal.log.as_ref().map_or(0, Log::end))
    }

    /// A command of a client of this core has run here: its reply may have to wait.
    #[inline]
    pub(super) fn hold_client(&mut self, conn: ConnId, until: u64) {
        if until > self.journal.safe()
            && let Some(client) = self.clients.get_mut(conn)
        {
            client.hold.until(until);
            if let Some(log) = &mut self.journal.log {
                log.demand(until);
            }
        }
    }

    /// Sends the reply of a command that ran here, when the log is safe up to `until`.
    pub(super) fn reply_when_safe(&mut self, until: u64, core: CoreId, to: ReplyTo, bytes: Vec<u8>) {
        self.journal.keep(until, Kept::Reply(core, to, bytes));
    }

    /// Sends a message, when the log is safe up to `until`.
    pub(super) fn send_when_safe(&mut self, until: u64, core: CoreId, message: Message) {
        if until <= self.journal.safe() {
            return self.send(core, message);
        }
        self.journal.keep(until, Kept::Message(core, message));
    }

    /// Answers whether all that was logged here is on stable storage; at once, or when it is.
    pub(super) fn answer_when_logged(&mut self, from: CoreId, number: u64, wait: bool) {
        let (until, has_base) = (self.log_end(), self.is_recoverable());
        let answer = |is_safe| Message::Answer { number, answer: Answer::Safe(is_safe) };
        let is_safe = has_base && self.is_safe(until);
        match () {
            () if is_safe || !wait || !self.config.appendonly => self.send(from, answer(is_safe)),
            () if has_base => self.send_when_safe(until, from, answer(true)),
            () => self.journal.before_base.push((from, number)),
        }
    }

    /// Whether what is logged here would be found again: there is a base that it follows.
    fn is_recoverable(&self) -> bool {
        self.is_logged() && self.shared.append_only.has_base()
    }

    /// Answers those who have asked before there was a base, if there is one now. Called in intervals.
    pub(super) fn answer_after_base(&mut self) {
        if self.journal.before_base.is_empty() || self.config.appendonly && !self.is_recoverable() {
            return;
        }
        for (from, number) in std::mem::take(&mut self.journal.before_base) {
            self.answer_when_logged(from, number, true);
        }
    }

    /// The log number behind everything that this shard has done.
    pub(super) fn log_end(&self) -> u64 {
        self.journal.log.as_ref().map_or(0, Log::end)
    }

    /// Whether everything that this shard has done is safe; if not, it will be soon.
    pub(super) fn bring_log_to_safety(&mut self) -> bool {
        let end = self.log_end();
        if let Some(log) = &mut self.journal.log {
            log.demand(end);
        }
        self.is_safe(end)
    }

    /// Whether the log is safe up to a number.
    #[inline]
    pub(super) fn is_safe(&self, until: u64) -> bool {
        until <= self.journal.safe()
    }

    /// Notes what a transaction may have seen here: anything on this shard, if that was not lent but united with the others. Returns
    /// whether something of it is not safe.
    pub(super) fn has_seen_here(&mut self, txn: &Txn) -> bool {
        let end = self.log_end();
        let unsafe_here = txn.durable && txn.work == Work::Whole && !self.is_safe(end);
        if unsafe_here {
            self.hold_client(txn.to.conn, end);
        }
        unsafe_here
    }

    /// Cuts what a transaction has done into the parts of the shards. `saw_here`: it has seen what is not safe on this shard, which has a
    /// part then, if only an empty one: what follows from something that is lost is lost, too.
    pub(super) fn parts_of(&mut self, id: TxnId, mut effects: Effects, saw_here: bool) -> LogParts {
        let mut parts = LogParts::new();
        for effect in effects.iter() {
            let shards = match effect.reach {
                Reach::Slot(slot) => vec![self.map.owner(slot)],
                Reach::Everywhere => self.map.all().collect(),
            };
            for shard in shards {
                parts.entry(shard).or_default().effects.push(effect);
            }
        }
        effects.clear();
        if saw_here && !parts.is_empty() {
            parts.entry(self.core).or_default();
        }
        if parts.len() > 1 {
            let participants: Vec<u16> = parts.keys().map(|shard| shard.0).collect();
            let txn = frame::Txn { coordinator: id.coordinator.0, number: id.number, participants };
            parts.values_mut().for_each(|part| part.txn = Some(txn.clone()));
        }
        parts
    }

    /// Keeps a reply until the shards have their parts safe; `fills` says where it stands in the client's row. Without parts it is
    /// given back.
    pub(super) fn await_parts(
        &mut self,
        parts: &mut LogParts,
        to: ReplyTo,
        fills: bool,
        out: Vec<u8>,
    ) -> Option<Vec<u8>> {
        if parts.is_empty() {
            return Some(out);
        }
        let number = self.next_number();
        parts.values_mut().for_each(|part| part.awaited = Some(number));
        self.journal.awaited.insert(number, Awaited { to, out, fills, missing: parts.len() });
        None
    }

    /// Logs a part of a transaction that another core has coordinated, or this one.
    pub(super) fn on_part(&mut self, from: CoreId, part: &LogPart) {
        // What was done here before comes before it.
        self.log_effects();
        let end = self.log_part(&part.effects, part.txn.as_ref());
        if let Some(number) = part.awaited {
            self.send_when_safe(end, from, Message::Safe { number });
        }
    }

    /// A shard has its part of a transaction safe.
    pub(super) fn on_safe(&mut self, number: u64) {
        let Some(awaited) = self.journal.awaited.get_mut(&number) else { return };
        awaited.missing -= 1;
        if awaited.missing > 0 {
            return;
        }
        let Some(Awaited { to, out, fills, .. }) = self.journal.awaited.remove(&number) else { return };
        match fills {
            true => self.on_reply(to, &out),
            false => self.hand_over(to, &out),
        }
        self.recycle_buffer(out);
    }

    /// A shard has its part of a transaction on stable storage.
    pub(super) fn on_part_stable(&mut self, shard: CoreId, part: StablePart) {
        let id = (part.txn.coordinator.0, part.txn.number);
        self.journal.settlement.on_stable(shard.0, id, part.participants, part.first);
    }

    /// Tells of the transactions that can be lost no more.
    pub(super) fn settle_parts(&mut self) {
        for ((coordinator, number), participants) in self.journal.settlement.settle() {
            let txn = TxnId { coordinator: CoreId(coordinator), number };
            for shard in participants {
                self.send(CoreId(shard), Message::Settled { txn });
            }
        }
    }

    /// Somebody waits for a transaction that was not settled a moment ago.
    pub(super) fn on_part_wanted(&mut self, txn: TxnId) {
        let participants = self.journal.settlement.want((txn.coordinator.0, txn.number));
        for shard in participants.unwrap_or_default().to_vec() {
            self.send(CoreId(shard), Message::Hasten { txn });
        }
    }

    /// Another shard waits for a part that this one has to bring to stable storage.
    pub(super) fn hasten_part(&mut self, txn: TxnId) {
        if let Some(log) = &mut self.journal.log {
            log.hasten(txn.coordinator.0, txn.number);
        }
    }

    /// A transaction can be lost no more.
    pub(super) fn on_part_settled(&mut self, txn: TxnId) {
        if let Some(log) = &mut self.journal.log {
            log.on_settled(txn.coordinator.0, txn.number);
            self.release_safe();
        }
    }

    /// A write of the log is over.
    pub(super) fn on_wrote(&mut self, id: u32, blocks: Blocks, result: Result<(), i32>) {
        let now_ns = self.clock.monotonic_ns();
        if let Some(log) = &mut self.journal.log {
            log.on_wrote(id, blocks, result, now_ns);
            self.after_log_progress();
        }
    }

    /// A sync of the log is over.
    pub(super) fn on_synced(&mut self, file: FileId, mut result: Result<(), i32>) {
        let now_ns = self.clock.monotonic_ns();
        if self.journal.failing_syncs_for_test > 0 {
            self.journal.failing_syncs_for_test -= 1;
            result = Err(libc::EIO);
        }
        if let Some(log) = &mut self.journal.log {
            log.on_synced(file, result, now_ns);
            self.after_log_progress();
        }
    }

    fn after_log_progress(&mut self) {
        self.note_log_durations();
        let Some(log) = &mut self.journal.log else { return };
        for part in log.stable_parts() {
            let txn = TxnId { coordinator: CoreId(part.coordinator), number: part.number };
            let first = !std::mem::replace(&mut self.journal.has_told, true);
            let participants = part.participants.into_boxed_slice();
            self.send(SETTLER, Message::Stable(Box::new(StablePart { txn, participants, first })));
        }
        self.release_safe();
    }

    /// Has transactions settled that somebody waits for.
    pub(super) fn ask_for_parts(&mut self) {
        let Some(log) = &mut self.journal.log else { return };
        for (coordinator, number) in log.wanted_parts() {
            let txn = TxnId { coordinator: CoreId(coordinator), number };
            self.send(SETTLER, Message::Wanted { txn });
        }
    }

    /// Lets go on what waits for no more than what is safe.
    fn release_safe(&mut self) {
        let safe = self.journal.safe();
        while let Some(entry) = self.journal.kept.first_entry()
            && entry.key().0 <= safe
        {
            match entry.remove() {
                Kept::Client(conn, id) => {
                    if let Some(client) = self.clients.get_same(conn, id) {
                        CoreState::mark_dirty(&mut self.dirty, client);
                    }
                }
                Kept::Reply(core, to, bytes) if core == self.core => self.on_reply(to, &bytes),
                Kept::Reply(core, to, bytes) => {
                    let outbox = &mut self.outboxes[core.index()];
                    let start = outbox.bytes.len();
                    outbox.bytes.extend_from_slice(&bytes);
                    outbox.messages.push(Message::Reply { to, bytes: start..outbox.bytes.len() });
                }
                Kept::Message(core, message) => self.send(core, message),
            }
        }
    }

    /// A segment that was asked for is there.
    pub fn on_segment(&mut self, file: FileId, handle: Handle, size: u64) {
        self.journal.opened.push((file, handle));
        self.journal.wants_segment = false;
        if let Some(log) = &mut self.journal.log {
            log.on_prepared(file, size);
        }
    }

    /// Has the log do what is due, and carries out what it asks for.
    pub(super) fn drive_log(&mut self, io: &mut impl Io) {
        let now_ns = self.clock.monotonic_ns();
        match &mut self.journal.log {
            Some(log) => log.drive(now_ns, &mut self.journal.orders),
            None if self.journal.closed.is_empty() => return,
            None => {}
        }
        self.carry_out_log(io);
        self.turn_log_off_if_wanted();
        self.watch_log();
    }

    fn carry_out_log(&mut self, io: &mut impl Io) {
        for (file, handle) in self.journal.opened.drain(..) {
            io.open(file, handle);
        }
        if self.journal.holds_writes_for_test {
            return;
        }
        let mut orders = std::mem::take(&mut self.journal.orders);
        let sleep = self.journal.sleep_before_writes;
        if !sleep.is_zero() && orders.iter().any(|order| matches!(order, Order::Write { .. })) {
            self.clock.sleep(sleep);
        }
        for order in orders.drain(..) {
            match order {
                Order::Write { id, file, offset, blocks, mode } => {
                    io.write(id, file, offset, blocks, mode);
                }
                Order::Sync(file) => io.sync(file),
                Order::Retire(file, end) => {
                    io.close_file(file);
                    self.complete_segment(file, end);
                }
                Order::Prepare => self.prepare_segment(),
            }
        }
        self.journal.orders = orders;
        self.journal.closed.drain(..).for_each(|file| io.close_file(file));
    }
}
