//! One shard's log as it is written: collects effects in frames, says which blocks are to be written where, and knows
//! which of it is on stable storage. A state machine without I/O: [`Order`]s come out, their completions go in.
//!
//! Numbers. The *log number* counts the bytes of payload that this run has logged. `end` is that of what was appended,
//! `written` and `stable` are those below which everything has been taken by the file system, and is on stable storage.
//! `safe` is where nothing can be lost any more: `stable`, but not beyond a transaction over several shards that is not
//! [settled](crate::aof::settle), since recovery may cut the log there.
//!
//! Writes are whole blocks. What follows the last frame in its block is padding. If nothing is under way, the next write
//! begins with that block again, with the same bytes and further frames in the place of the padding, so that a single client
//! does not use up a block for each command; otherwise it begins with the next block, because two writes of one block could
//! be done in either order.
//!
//! A write is *plain*, and followed by a sync, once a second or as soon as somebody waits for what it holds; or it is *stable*
//! (it ends when its bytes are on stable storage), if somebody waits and the device suits that. Stable writes count only behind
//! plain ones that were synced. While somebody waits for a plain write and its sync, the others' effects collect for the next one: each
//! pair costs the processor as much as several commands.

use std::collections::VecDeque;

use crate::aof::frame::{self, Seed, Txn};
use crate::config::AppendFsync;
use crate::runtime::blocks::{BLOCK_BYTES, Blocks};
use crate::runtime::io::{FileId, WriteMode};
use crate::shard::Effect;

/// Bytes of one write at most.
const WRITE_MAX_BYTES: usize = 1 << 20;
/// Bytes that make a plain write worth it before its time.
const PLAIN_BYTES: usize = 256 << 10;
/// The interval of plain writes while there is always something to write, in nanoseconds. What the process has not handed to
/// the kernel is lost if it is killed.
const PLAIN_INTERVAL_NS: u64 = 2_000_000;
/// The interval of syncs under `everysec`, in nanoseconds.
const SYNC_INTERVAL_NS: u64 = 1_000_000_000;
/// After an error the same is tried again so often, in nanoseconds.
const RETRY_INTERVAL_NS: u64 = 100_000_000;
/// After a segment could not be made, one is asked for so often, in nanoseconds: trying may take long, and each time is told.
const PREPARE_INTERVAL_NS: u64 = 1_000_000_000;
/// Bytes that are not written beyond which writing commands wait.
pub const BACKLOG_MAX_BYTES: usize = 64 << 20;

/// What the log asks of its surroundings.
#[derive(Debug)]
pub enum Order {
    /// Write these blocks.
    Write {
        /// Names the write.
        id: u32,
        /// The segment.
        file: FileId,
        /// Where, in bytes.
        offset: u64,
        /// What.
        blocks: Blocks,
        /// How.
        mode: WriteMode,
    },
    /// Bring the segment to stable storage.
    Sync(FileId),
    /// The segment is complete, ends at this offset, and nothing is under way there.
    Retire(FileId, u64),
    /// Another segment will be needed.
    Prepare,
}

/// Choices of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// When to sync.
    pub sync: AppendFsync,
    /// Somebody who waits does so for stable writes, and not for syncs.
    pub stable_writes: bool,
    /// Writes under way at most.
    pub writes_max: usize,
    /// Bytes written and not stable beyond which a sync does not wait for its time; 0 for no bound.
    pub unsynced_max_bytes: u64,
    /// The interval of syncs under `everysec`, in nanoseconds.
    pub sync_interval_ns: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sync: AppendFsync::EverySecond,
            stable_writes: true,
            writes_max: 8,
            unsynced_max_bytes: 0,
            sync_interval_ns: SYNC_INTERVAL_NS,
        }
    }
}

/// How long a write or a sync took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// In nanoseconds.
    pub ns: u64,
    /// What was done is on stable storage.
    pub stable: bool,
}

/// Why nothing more gets to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A write failed with this error number. It is tried again.
    Write(i32),
    /// A sync failed with this error number. What it was for may be lost, and the kernel will not say so a second time: nothing
    /// counts as stable until a base covers it.
    Sync(i32),
}

/// A file that the log is written to.
#[derive(Debug)]
struct Segment {
    file: FileId,
    /// Where the last frame ends.
    end: u64,
    /// Bytes that were made room for.
    size: u64,
    /// The bytes of the last block up to `end`.
    tail: Vec<u8>,
}

#[derive(Debug)]
struct Write {
    id: u32,
    file: FileId,
    offset: u64,
    started_ns: u64,
    /// Log number behind its last frame; a part of a larger write has that of the part before.
    end: u64,
    mode: WriteMode,
    done: bool,
}

#[derive(Debug)]
struct SyncUnderWay {
    /// Everything below is stable when it is over.
    target: u64,
    files: Vec<FileId>,
    started_ns: u64,
}

/// A part of a transaction that may be cut off.
#[derive(Debug)]
struct Part {
    /// Log numbers of its frame.
    start: u64,
    end: u64,
    txn: Txn,
    settled: bool,
}

impl Part {
    fn is_of(&self, coordinator: u16, number: u64) -> bool {
        (self.txn.coordinator, self.txn.number) == (coordinator, number)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Log {
    identity: frame::Segment,
    seed: Seed,
    settings: Settings,
    segment: Segment,
    next: Option<Segment>,
    /// `next` was asked for.
    preparing: bool,
    /// Not before this time is it asked for.
    prepare_ns: u64,
    /// Segments before the present one that are not retired.
    former: Vec<(FileId, u64)>,
    /// The database that the last command of the segment was for.
    selected: Option<u16>,
    /// Unix seconds of the last time that was written down, and of one that is to be.
    timed_s: i64,
    time_s: Option<i64>,
    /// Frames that are not written: complete ones up to `open`, from there on the header and payload of the one that
    /// is being collected, if it is any.
    frames: Vec<u8>,
    open: Option<usize>,
    end: u64,
    /// Log number behind the frames that were handed out to be written.
    handed: u64,
    written: u64,
    stable: u64,
    /// Somebody waits for what is below.
    demanded: u64,
    /// Log number behind the last plain write.
    plain_end: u64,
    /// Log number behind the last plain write that somebody waits for.
    awaited: u64,
    writes: VecDeque<Write>,
    next_write: u32,
    /// The write that begins the segment of the last switch.
    start_write: Option<u32>,
    /// Failed writes: to be tried again.
    failed: Vec<(u32, Blocks)>,
    failure: Option<Failure>,
    /// The log has gone on in another segment since a sync failed.
    switched: bool,
    retry_ns: u64,
    sync: Option<SyncUnderWay>,
    /// Files with plain writes that no sync has covered.
    unsynced: Vec<FileId>,
    last_plain_ns: u64,
    last_sync_ns: u64,
    parts: VecDeque<Part>,
    /// How many of the first parts were told to be stable, and how many of these somebody was said to wait for.
    told: usize,
    asked: usize,
    /// Parts that somebody waits for and that are still to be appended.
    hastened: Vec<(u16, u64)>,
    /// How long what has ended since the last look took.
    durations: Vec<Took>,
    /// Syncs that were due and had to wait for the one before.
    pub delayed_syncs: u64,
    delayed: bool,
}

impl Log {
    /// A log that begins with this segment, which has room for `size` bytes and holds its first line with a start.
    pub fn new(identity: frame::Segment, settings: Settings, file: FileId, size: u64, now_ns: u64) -> Log {
        let mut segment = Segment::new(identity, file, size);
        segment.tail.clear();
        identity.encode_with_start(0, &mut segment.tail);
        segment.end = segment.tail.len() as u64;
        Log {
            identity,
            seed: identity.seed(),
            settings,
            segment,
            next: None,
            preparing: false,
            prepare_ns: 0,
            former: Vec::new(),
            selected: None,
            timed_s: 0,
            time_s: None,
            frames: Vec::new(),
            open: None,
            end: 0,
            handed: 0,
            written: 0,
            stable: 0,
            demanded: 0,
            plain_end: 0,
            awaited: 0,
            writes: VecDeque::new(),
            next_write: 0,
            start_write: None,
            failed: Vec::new(),
            failure: None,
            switched: false,
            retry_ns: 0,
            sync: None,
            unsynced: Vec::new(),
            last_plain_ns: 0,
            last_sync_ns: now_ns,
            parts: VecDeque::new(),
            told: 0,
            asked: 0,
            hastened: Vec::new(),
            durations: Vec::new(),
            delayed_syncs: 0,
            delayed: false,
        }
    }

    /// Takes over changed choices.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
        if settings.sync == AppendFsync::Always {
            self.demand(self.end);
        }
    }

    /// The log number behind all that was appended.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The log number below which nothing can be lost any more.
    pub fn safe(&self) -> u64 {
        self.parts.front().map_or(self.stable, |part| part.start.min(self.stable))
    }

    /// The log number below which everything is on stable storage here.
    pub fn stable(&self) -> u64 {
        self.stable
    }

    /// Bytes that were appended and are not on stable storage.
    pub fn unstable_bytes(&self) -> u64 {
        self.end - self.stable
    }

    /// Whether so much waits to be written that writing commands have to wait.
    pub fn is_full(&self) -> bool {
        self.end - self.written > BACKLOG_MAX_BYTES as u64
    }

    /// Why nothing more gets to the disk, if so.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// How long writes and syncs took that have ended since the last call.
    pub fn take_durations(&mut self) -> Vec<Took> {
        std::mem::take(&mut self.durations)
    }

    /// Bytes that were appended and are not written.
    pub fn unwritten_bytes(&self) -> u64 {
        self.end - self.written
    }

    /// Bytes of the segments that are not retired.
    pub fn segment_bytes(&self) -> u64 {
        self.former.iter().map(|(_, end)| end).sum::<u64>() + self.segment.end
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.sync.is_some()
    }

    /// Whether what a failed sync was for is covered by a base whose instant was the last [`Log::switch`], once that base is complete.
    pub fn waits_for_base(&self) -> bool {
        self.switched && self.is_lossy()
    }

    /// That base is complete.
    pub fn on_base(&mut self) {
        if self.waits_for_base() {
            (self.failure, self.switched, self.sync) = (None, false, None);
        }
    }

    fn is_lossy(&self) -> bool {
        matches!(self.failure, Some(Failure::Sync(_)))
    }

    /// Files that are written to, or will be next.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        let former = self.former.iter().map(|(file, _)| *file);
        former.chain([self.segment.file]).chain(self.next.as_ref().map(|next| next.file))
    }

    /// What is appended now happens at this time, Unix seconds, which is written down in front of it unless it has been.
    pub fn note_time(&mut self, now_s: i64) {
        if now_s > self.timed_s {
            self.timed_s = now_s;
            self.time_s = Some(now_s);
        }
    }

    /// Appends what a command has done here, or one shard's part of a transaction. It is never cut in two. Returns the log number
    /// behind it.
    pub fn append<'a>(&mut self, effects: impl Iterator<Item = Effect<'a>>, txn: Option<&Txn>) -> u64 {
        match txn {
            None => {
                self.open_frame();
                self.collect(effects);
            }
            Some(txn) => self.append_part(effects, txn),
        }
        if self.settings.sync == AppendFsync::Always {
            self.demanded = self.end;
        }
        self.end
    }

    fn collect<'a>(&mut self, effects: impl Iterator<Item = Effect<'a>>) {
        let before = self.frames.len();
        if let Some(time_s) = self.time_s.take() {
            self.frames.extend_from_slice(format!("#TS:{time_s}\r\n").as_bytes());
        }
        for effect in effects {
            if self.selected.replace(effect.db) != Some(effect.db) {
                let db = effect.db.to_string();
                self.frames
                    .extend_from_slice(format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db}\r\n", db.len()).as_bytes());
            }
            self.frames.extend_from_slice(effect.command);
        }
        self.end += (self.frames.len() - before) as u64;
    }

    /// Begins a frame unless one is open, in the next segment if this one is full.
    fn open_frame(&mut self) {
        if self.open.is_some() {
            return;
        }
        if self.frames.is_empty() && self.segment.end > self.segment.size / 8 * 7 {
            self.take_next();
        }
        self.open = Some(self.frames.len());
        self.frames.resize(self.frames.len() + frame::HEADER_LEN, 0);
    }

    /// Goes on to the next segment if it is there.
    fn take_next(&mut self) -> bool {
        let Some(next) = self.next.take() else { return false };
        let former = std::mem::replace(&mut self.segment, next);
        self.former.push((former.file, former.end));
        self.selected = None;
        true
    }

    /// Completes the frame that is open.
    fn seal(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (header, payload) = self.frames[open..].split_at_mut(frame::HEADER_LEN);
        let lsn = self.end - payload.len() as u64;
        if payload.is_empty() {
            self.frames.truncate(open);
        } else {
            let room = header.try_into().expect("so much room was left");
            frame::seal(room, payload, lsn, self.stable, self.seed);
        }
    }

    /// One shard's part of a transaction has a frame of its own.
    fn append_part<'a>(&mut self, effects: impl Iterator<Item = Effect<'a>>, txn: &Txn) {
        self.seal();
        self.open_frame();
        let open = self.open.take().expect("it was just opened");
        let start = self.end;
        self.collect(effects);
        if self.end == start {
            // What changes nothing here still has to have a place in the log.
            self.frames.extend_from_slice(b"#\n");
            self.end += 2;
        }
        let payload = self.frames.split_off(open + frame::HEADER_LEN);
        self.frames.truncate(open);
        frame::seal_txn(&mut self.frames, &payload, start, self.stable, txn, self.seed);
        if let Some(at) = self.hastened.iter().position(|of| *of == (txn.coordinator, txn.number)) {
            self.hastened.swap_remove(at);
            self.demand(self.end);
        }
        self.parts.push_back(Part { start, end: self.end, txn: txn.clone(), settled: false });
    }

    /// Somebody waits until everything below this log number is safe.
    #[inline]
    pub fn demand(&mut self, lsn: u64) {
        self.demanded = self.demanded.max(lsn);
    }

    /// Somebody waits for a transaction that is not settled; a part of it is here, or will be.
    pub fn hasten(&mut self, coordinator: u16, number: u64) {
        match self.parts.iter().find(|part| part.is_of(coordinator, number)) {
            Some(part) => self.demand(part.end),
            None => self.hastened.push((coordinator, number)),
        }
    }

    /// A transaction that has a stable part here can be lost no more.
    pub fn on_settled(&mut self, coordinator: u16, number: u64) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.is_of(coordinator, number)) {
            part.settled = true;
        }
        while self.parts.front().is_some_and(|part| part.settled) {
            self.parts.pop_front();
            self.told = self.told.saturating_sub(1);
            self.asked = self.asked.saturating_sub(1);
        }
    }

    /// Parts of transactions that have become stable since the last call, in order.
    pub fn stable_parts(&mut self) -> Vec<Txn> {
        let stable = self.stable;
        let news = self.parts.range(self.told..).take_while(|part| part.end <= stable);
        let news: Vec<Txn> = news.map(|part| part.txn.clone()).collect();
        self.told += news.len();
        news
    }

    /// Transactions that somebody has begun to wait for since the last call, and that other shards do not know to be waited
    /// for: their coordinators and numbers.
    pub fn wanted_parts(&mut self) -> Vec<(u16, u64)> {
        if self.settings.sync == AppendFsync::Always {
            return Vec::new();
        }
        let demanded = self.demanded;
        let news = self.parts.range(self.asked..self.told).take_while(|part| part.start < demanded);
        let news: Vec<_> = news.map(|part| (part.txn.coordinator, part.txn.number)).collect();
        self.asked += news.len();
        news
    }

    /// A segment that was asked for is there, with room for `size` bytes. It is given up at once if it was asked for before the last
    /// [`Log::switch`].
    pub fn on_prepared(&mut self, file: FileId, size: u64) {
        self.preparing = false;
        if file < self.segment.file {
            return self.former.push((file, 0));
        }
        self.next = Some(Segment::new(self.identity, file, size));
    }

    /// The segment that was asked for is of no use, and another is asked for.
    pub fn on_unfit(&mut self) {
        self.preparing = false;
    }

    /// No segment could be made; it is asked for again after a while. Until one is there the log goes on in the present one.
    pub fn on_not_prepared(&mut self, now_ns: u64) {
        (self.preparing, self.prepare_ns) = (false, now_ns + PREPARE_INTERVAL_NS);
    }

    /// Goes on in another segment, whose first bytes are those of what comes now; all that was appended is handed out to be
    /// written before. Returns the files that the log so far is in, or might have been.
    pub fn switch(&mut self, file: FileId, size: u64, now_ns: u64, orders: &mut Vec<Order>) -> Vec<FileId> {
        self.hand_out(self.mode(), now_ns, orders);
        let files = self.files().collect();
        self.switched = true;
        // The one that is next has a lower number than what comes now: it is never used.
        if let Some(unused) = self.next.replace(Segment::new(self.identity, file, size)) {
            self.former.push((unused.file, 0));
        }
        self.take_next();
        // What comes first is known to be there, although the files before may be gone when it is read.
        let mut start = [0; frame::HEADER_LEN];
        frame::seal(&mut start, &[], self.end, self.stable, self.seed);
        self.frames.extend_from_slice(&start);
        self.hand_out(WriteMode::Stable, now_ns, orders);
        self.start_write = self.writes.back().map(|write| write.id);
        files
    }

    /// Whether the beginning of the segment of the last [`Log::switch`] is on stable storage: before, the files that hold what was
    /// logged until then are needed.
    pub fn is_start_stable(&self) -> bool {
        self.start_write.is_none_or(|id| self.writes.iter().all(|write| write.id != id || write.done))
    }

    /// What is to be done now.
    pub fn drive(&mut self, now_ns: u64, orders: &mut Vec<Order>) {
        if self.failed.is_empty() {
            self.write_some(now_ns, orders);
        } else if now_ns >= self.retry_ns {
            self.retry_ns = now_ns + RETRY_INTERVAL_NS;
            for (id, blocks) in self.failed.drain(..) {
                if let Some(&Write { file, offset, mode, .. }) =
                    self.writes.iter().find(|write| write.id == id)
                {
                    orders.push(Order::Write { id, file, offset, blocks, mode });
                }
            }
        }
        self.sync_if_due(now_ns, orders);
        self.retire(orders);
        if self.wants_next() && now_ns >= self.prepare_ns {
            self.preparing = true;
            orders.push(Order::Prepare);
        }
    }

    /// Whether another segment will be needed and is not asked for.
    fn wants_next(&self) -> bool {
        self.next.is_none() && !self.preparing && self.segment.end * 2 > self.segment.size
    }

    fn write_some(&mut self, now_ns: u64, orders: &mut Vec<Order>) {
        if self.handed == self.end || self.writes.len() >= self.settings.writes_max {
            return;
        }
        let mode = self.mode();
        if mode == WriteMode::Stable
            || mode == WriteMode::Prompt && !self.is_awaited()
            || self.plain_due_ns() <= now_ns
        {
            self.hand_out(mode, now_ns, orders);
        }
    }

    /// How what was appended is to be written.
    fn mode(&self) -> WriteMode {
        match (self.demanded > self.handed, self.settings.stable_writes) {
            (false, _) => WriteMode::Deferred,
            (true, false) => WriteMode::Prompt,
            (true, true) => WriteMode::Stable,
        }
    }

    /// Whether a plain write that somebody waits for, or the sync after it, is under way.
    fn is_awaited(&self) -> bool {
        self.awaited > self.stable
    }

    /// When what waits is written although nobody waits for it.
    fn plain_due_ns(&self) -> u64 {
        if self.frames.len() >= PLAIN_BYTES { 0 } else { self.last_plain_ns + PLAIN_INTERVAL_NS }
    }

    /// When [`Log::drive`] has something to do, if it is not told of anything before.
    pub fn due_ns(&self) -> u64 {
        let mut due_ns = if self.wants_next() { self.prepare_ns } else { u64::MAX };
        if !self.failed.is_empty() {
            return due_ns.min(self.retry_ns);
        }
        if self.handed < self.end && self.writes.len() < self.settings.writes_max {
            due_ns = due_ns.min(self.plain_due_ns());
        }
        if self.settings.sync == AppendFsync::EverySecond && self.stable < self.end && self.sync.is_none() {
            due_ns = due_ns.min(self.last_sync_ns + self.settings.sync_interval_ns);
        }
        due_ns
    }

    /// Hands out everything that was appended, to be written.
    fn hand_out(&mut self, mode: WriteMode, now_ns: u64, orders: &mut Vec<Order>) {
        self.seal();
        if self.frames.is_empty() {
            return;
        }
        let segment = &mut self.segment;
        let last = self.writes.iter().rfind(|write| write.file == segment.file);
        let is_idle = last.is_none_or(|write| write.done);
        let block = BLOCK_BYTES as u64;
        let mut offset = segment.end / block * block;
        if !is_idle && !segment.end.is_multiple_of(block) {
            offset += block;
            segment.tail.clear();
        }
        if (segment.tail.len() + self.frames.len()) % BLOCK_BYTES == BLOCK_BYTES - 1 {
            // Padding takes two bytes at least.
            self.frames.extend_from_slice(b"#\n");
        }
        let unpadded = segment.tail.len() + self.frames.len();
        segment.end = offset + unpadded as u64;
        let mut padding = [0; BLOCK_BYTES];
        let padding = &mut padding[..unpadded.next_multiple_of(BLOCK_BYTES) - unpadded];
        let padded = frame::pad(padding);
        debug_assert!(padded);
        for blocks in in_blocks([&segment.tail, &self.frames, padding]) {
            let len = blocks.len() as u64;
            segment.tail.clear();
            let last = &blocks.bytes()[blocks.len() - BLOCK_BYTES..];
            segment.tail.extend_from_slice(&last[..unpadded % BLOCK_BYTES]);
            let (id, file) = (self.next_write, segment.file);
            self.next_write = self.next_write.wrapping_add(1);
            orders.push(Order::Write { id, file, offset, blocks, mode });
            self.writes.push_back(Write {
                id,
                file,
                offset,
                started_ns: now_ns,
                end: self.handed,
                mode,
                done: false,
            });
            offset += len;
        }
        self.frames.clear();
        self.frames.shrink_to(WRITE_MAX_BYTES);
        self.handed = self.end;
        if let Some(last) = self.writes.back_mut() {
            last.end = self.end;
        }
        if mode == WriteMode::Prompt {
            self.awaited = self.end;
        }
        if mode != WriteMode::Stable {
            (self.plain_end, self.last_plain_ns) = (self.end, now_ns);
            if !self.unsynced.contains(&segment.file) {
                self.unsynced.push(segment.file);
            }
        }
    }

    /// A write is over, and gives its blocks back.
    pub fn on_wrote(&mut self, id: u32, blocks: Blocks, result: Result<(), i32>, now_ns: u64) {
        let Some(write) = self.writes.iter_mut().find(|write| write.id == id) else { return };
        if let Err(error) = result {
            // The kernel tells of what it has lost once: this may have been the report on plain writes before.
            let loses_plain =
                write.mode == WriteMode::Stable && error == libc::EIO && self.plain_end > self.stable;
            if loses_plain {
                (self.failure, self.switched) = (Some(Failure::Sync(error)), false);
            } else if !self.is_lossy() {
                self.failure = Some(Failure::Write(error));
            }
            self.failed.push((id, blocks));
            self.retry_ns = now_ns + RETRY_INTERVAL_NS;
            return;
        }
        write.done = true;
        self.durations.push(Took {
            ns: now_ns.saturating_sub(write.started_ns),
            stable: write.mode == WriteMode::Stable,
        });
        while self.writes.front().is_some_and(|write| write.done) {
            let write = self.writes.pop_front().expect("there is one");
            self.written = write.end;
            if write.mode == WriteMode::Stable {
                self.count_stable();
            }
        }
        if self.failed.is_empty() && matches!(self.failure, Some(Failure::Write(_))) {
            self.failure = None;
        }
    }

    /// What is written is stable if no plain write is among it that was not synced.
    fn count_stable(&mut self) {
        if self.plain_end <= self.stable && !self.is_lossy() {
            self.stable = self.stable.max(self.written);
        }
    }

    fn sync_if_due(&mut self, now_ns: u64, orders: &mut Vec<Order>) {
        let waits =
            self.demanded > self.stable && self.plain_end > self.stable && self.written >= self.awaited;
        let many = self.settings.unsynced_max_bytes;
        let full = many > 0 && self.written - self.stable.min(self.written) > many;
        let in_time = self.settings.sync == AppendFsync::EverySecond
            && now_ns >= self.last_sync_ns + self.settings.sync_interval_ns;
        if self.written <= self.stable || !(waits || full || in_time) || self.is_lossy() {
            return;
        }
        if self.sync.is_some() {
            self.delayed_syncs += u64::from(in_time && !std::mem::replace(&mut self.delayed, true));
            return;
        }
        // What is being written right now is for the next one.
        let files = std::mem::take(&mut self.unsynced);
        for write in self.writes.iter().filter(|write| write.mode != WriteMode::Stable) {
            if !self.unsynced.contains(&write.file) {
                self.unsynced.push(write.file);
            }
        }
        if files.is_empty() {
            // What no sync has covered is in a base.
            self.stable = self.written;
            return;
        }
        orders.extend(files.iter().map(|&file| Order::Sync(file)));
        self.sync = Some(SyncUnderWay { target: self.written, files, started_ns: now_ns });
        (self.last_sync_ns, self.delayed) = (now_ns, false);
    }

    /// A sync is over.
    pub fn on_synced(&mut self, file: FileId, result: Result<(), i32>, now_ns: u64) {
        if let Err(error) = result {
            (self.failure, self.switched) = (Some(Failure::Sync(error)), false);
            return;
        }
        if self.is_lossy() {
            // Not all files that belong together are stable.
            return;
        }
        let Some(sync) = &mut self.sync else { return };
        sync.files.retain(|other| *other != file);
        if sync.files.is_empty() {
            self.durations.push(Took { ns: now_ns.saturating_sub(sync.started_ns), stable: true });
            self.stable = self.stable.max(sync.target);
            self.sync = None;
            self.count_stable();
        }
    }

    /// Gives up former segments where nothing is under way.
    fn retire(&mut self, orders: &mut Vec<Order>) {
        let Log { former, writes, unsynced, sync, .. } = self;
        former.retain(|(file, end)| {
            let busy = writes.iter().any(|write| write.file == *file)
                || unsynced.contains(file)
                || sync.as_ref().is_some_and(|sync| sync.files.contains(file));
            if !busy {
                orders.push(Order::Retire(*file, *end));
            }
            busy
        });
    }

    /// Whether everything is written and stable, and nothing under way.
    pub fn is_settled(&self) -> bool {
        self.stable == self.end && self.writes.is_empty() && self.sync.is_none()
    }

    /// The present segment and the offset at which it ends, to be cut there at a clean stop; and the one after it, which is empty.
    pub fn ends(&self) -> (FileId, u64, Option<FileId>) {
        (self.segment.file, self.segment.end, self.next.as_ref().map(|next| next.file))
    }
}

impl Segment {
    fn new(identity: frame::Segment, file: FileId, size: u64) -> Segment {
        let mut tail = Vec::new();
        identity.encode(&mut tail);
        Segment { file, end: tail.len() as u64, size, tail }
    }
}

/// Whole blocks that hold these parts, which are whole blocks together, in writes of [`WRITE_MAX_BYTES`] at most.
fn in_blocks(parts: [&[u8]; 3]) -> Vec<Blocks> {
    let mut left: usize = parts.iter().map(|part| part.len()).sum();
    let mut writes = Vec::with_capacity(left.div_ceil(WRITE_MAX_BYTES));
    for mut part in parts {
        while !part.is_empty() {
            if writes.last().is_none_or(|blocks: &Blocks| blocks.room_left() == 0) {
                writes.push(Blocks::with_room(left.min(WRITE_MAX_BYTES)));
            }
            let blocks = writes.last_mut().expect("there is one with room");
            let (now, later) = part.split_at(part.len().min(blocks.room_left()));
            blocks.extend(now);
            part = later;
            left -= now.len();
        }
    }
    writes
}

#[cfg(test)]
mod tests;
