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

mod collect;
mod disk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::collect::Part;
use crate::aof::frame::{self, Seed};
use crate::config::AppendFsync;
use crate::runtime::blocks::Blocks;
use crate::runtime::io::{FileId, WriteMode};

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
    /// Log number behind the first plain write that somebody waits for: its sync does not wait for those handed out after it.
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
    /// Test-only: see [`Log::break_for_test`].
    broken: bool,
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
            broken: false,
        }
    }

    /// Test-only: from now on a sync waits for every plain write that was handed out, also those after the first that somebody
    /// waits for.
    pub fn break_for_test(&mut self) {
        self.broken = true;
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

    /// Somebody waits until everything below this log number is safe.
    #[inline]
    pub fn demand(&mut self, lsn: u64) {
        self.demanded = self.demanded.max(lsn);
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
