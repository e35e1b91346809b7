//! Files that cores write, on a disk that forgets when the world crashes.
//!
//! What a file holds for sure is its *platter*. A write that is over but not on stable storage leaves *versions* of its
//! sectors, of which a crash keeps none, some or all; so does a write that is under way, or that has failed. A sync, or a stable
//! write, turns versions into the platter. Each write has a fate of its own in a crash: kept, lost, or torn, which is
//! one of both for each sector.
//!
//! A [slow](SlowDisk) disk brings nothing to its end before that is due; any other does so at once or later, by chance.
//!
//! Invariants: the versions of a sector are in the order of their writes; a sync covers only what was over when it was asked for;
//! what a failed sync was for is covered by no later one, as the kernel does it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::base::rng::Rng;
use crate::runtime::blocks::{BLOCK_BYTES, Blocks};
use crate::runtime::io::{Clock, CoreId, FileId, WriteMode};
use crate::runtime::sim::{SimClock, SlowDisk};

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;
/// Error numbers of Linux that the core is told of.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// What is in the files, by the number of their handles.
pub type Files = BTreeMap<u64, Vec<u8>>;

/// Content of a sector that may be there or not.
#[derive(Debug)]
struct Version {
    write: u64,
    bytes: [u8; SECTOR_BYTES],
    /// No sync covers it any more.
    orphaned: bool,
}

#[derive(Debug, Default)]
struct File {
    platter: Vec<u8>,
    /// By the number of the sector.
    versions: BTreeMap<usize, Vec<Version>>,
}

impl File {
    fn settle(&mut self, sector: usize, bytes: &[u8; SECTOR_BYTES]) {
        let start = sector * SECTOR_BYTES;
        self.platter.resize(self.platter.len().max(start + SECTOR_BYTES), 0);
        self.platter[start..start + SECTOR_BYTES].copy_from_slice(bytes);
    }

    /// Everything up to a write is stable, except what was lost before.
    fn sync(&mut self, last: u64) {
        for (sector, mut versions) in std::mem::take(&mut self.versions) {
            let covered = versions.iter().rposition(|version| version.write <= last && !version.orphaned);
            if let Some(covered) = covered {
                let stable = versions.drain(..=covered).next_back().expect("one is covered");
                self.settle(sector, &stable.bytes);
            }
            if !versions.is_empty() {
                self.versions.insert(sector, versions);
            }
        }
    }

    fn orphan(&mut self, last: u64) {
        let versions = self.versions.values_mut().flatten();
        versions.filter(|version| version.write <= last).for_each(|version| version.orphaned = true);
    }

    fn add(&mut self, write: u64, offset: u64, bytes: &[u8], kind: Kind) {
        for (n, bytes) in bytes.as_chunks::<SECTOR_BYTES>().0.iter().enumerate() {
            let sector = offset as usize / SECTOR_BYTES + n;
            if kind == Kind::Stable {
                self.versions.remove(&sector);
                self.settle(sector, bytes);
            } else {
                let versions = self.versions.entry(sector).or_default();
                versions.push(Version { write, bytes: *bytes, orphaned: kind == Kind::Doubtful });
            }
        }
    }
}

/// How much a write counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stable,
    /// To be synced.
    Plain,
    /// Failed, or under way in a crash.
    Doubtful,
}

/// What becomes of a write in a crash.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    Torn,
}

#[derive(Debug)]
enum Operation {
    Write {
        id: u32,
        offset: u64,
        blocks: Blocks,
        mode: WriteMode,
    },
    /// What it covers was over when this was the last write.
    Sync {
        last: u64,
    },
}

/// Something that a core has asked for and that is not over.
#[derive(Debug)]
struct UnderWay {
    core: CoreId,
    number: u64,
    file: FileId,
    operation: Operation,
    /// It is not over before, in nanoseconds.
    due_ns: u64,
}

/// What a core has not been told.
#[derive(Debug)]
pub(super) enum Done {
    Wrote(u32, Blocks, Result<(), i32>),
    Synced(FileId, Result<(), i32>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Disk {
    clock: SimClock,
    /// Draws how long everything takes.
    rng: Rng,
    slow: Option<SlowDisk>,
    files: BTreeMap<u64, File>,
    open: BTreeMap<(CoreId, FileId), u64>,
    under_way: Vec<UnderWay>,
    /// Writes and syncs so far.
    count: u64,
    done: BTreeMap<CoreId, VecDeque<Done>>,
    /// Writes fail with this error number.
    failing: Option<i32>,
    /// Nothing that this core has asked for comes to its end.
    stalled: Option<CoreId>,
}

impl Disk {
    /// A disk that is not slow.
    pub(super) fn new(files: Files, clock: SimClock, seed: u64) -> Disk {
        let file = |(number, platter)| (number, File { platter, versions: BTreeMap::new() });
        Disk {
            clock,
            rng: Rng::new(seed),
            slow: None,
            files: files.into_iter().map(file).collect(),
            open: BTreeMap::new(),
            under_way: Vec::new(),
            count: 0,
            done: BTreeMap::new(),
            failing: None,
            stalled: None,
        }
    }

    /// How long everything takes that begins from now on.
    pub(super) fn set_speed(&mut self, slow: Option<SlowDisk>) {
        self.slow = slow;
    }

    /// Makes a file with content that is stable.
    pub(super) fn create(&mut self, number: u64, content: Vec<u8>) {
        let before = self.files.insert(number, File { platter: content, versions: BTreeMap::new() });
        assert!(before.is_none(), "file {number} is there already");
    }

    fn file(&mut self, core: CoreId, file: FileId) -> &mut File {
        let number = self.open.get(&(core, file)).expect("only open files are written");
        self.files.get_mut(number).expect("an open file is there")
    }

    fn begin(&mut self, core: CoreId, file: FileId, operation: Operation) {
        assert!(self.open.contains_key(&(core, file)), "{file:?} of core {core} is not open");
        self.count += 1;
        let due_ns = self.clock.monotonic_ns() + self.duration_ns(&operation);
        self.under_way.push(UnderWay { core, number: self.count, file, operation, due_ns });
    }

    fn duration_ns(&mut self, operation: &Operation) -> u64 {
        let Some(SlowDisk { write_us, sync_us }) = self.slow else { return 0 };
        let most_us = match operation {
            Operation::Write { mode: WriteMode::Stable, .. } => write_us + sync_us,
            Operation::Write { .. } => write_us,
            Operation::Sync { .. } => sync_us,
        };
        (most_us - self.rng.below(most_us / 2)) as u64 * 1000
    }

    fn write(&mut self, core: CoreId, id: u32, file: FileId, offset: u64, blocks: Blocks, mode: WriteMode) {
        let (len, block) = (blocks.len() as u64, BLOCK_BYTES as u64);
        assert!(len > 0 && len.is_multiple_of(block) && offset.is_multiple_of(block), "{offset} {len}");
        let meets = |other: &UnderWay| match &other.operation {
            Operation::Write { offset: start, blocks, .. } => {
                (other.core, other.file) == (core, file)
                    && offset < start + blocks.len() as u64
                    && *start < offset + len
            }
            Operation::Sync { .. } => false,
        };
        assert!(!self.under_way.iter().any(meets), "two writes of one block at a time in {file:?}");
        self.begin(core, file, Operation::Write { id, offset, blocks, mode });
    }

    fn sync(&mut self, core: CoreId, file: FileId) {
        let syncs = |other: &UnderWay| {
            (other.core, other.file) == (core, file) && matches!(other.operation, Operation::Sync { .. })
        };
        assert!(!self.under_way.iter().any(syncs), "two syncs of {file:?} at a time");
        // Versions get the number at which their write is over.
        let last = self.count;
        self.begin(core, file, Operation::Sync { last });
    }

    fn close(&mut self, core: CoreId, file: FileId) {
        let busy = self.under_way.iter().any(|other| (other.core, other.file) == (core, file));
        assert!(!busy, "something is under way in {file:?} of core {core}");
        self.open.remove(&(core, file));
    }

    /// Something that is under way comes to its end.
    pub(super) fn finish_one(&mut self, rng: &mut Rng, failing_syncs: usize) -> bool {
        let now_ns = self.clock.monotonic_ns();
        let can_end = |at: &usize| {
            let UnderWay { core, due_ns, .. } = self.under_way[*at];
            Some(core) != self.stalled && due_ns <= now_ns
        };
        let choices: Vec<usize> = (0..self.under_way.len()).filter(can_end).collect();
        if choices.is_empty() {
            return false;
        }
        let UnderWay { core, file, operation, .. } =
            self.under_way.swap_remove(choices[rng.below(choices.len())]);
        self.count += 1;
        let count = self.count;
        let done = match operation {
            Operation::Write { id, offset, blocks, mode } => {
                let result = self.failing.map_or(Ok(()), Err);
                let kind = match mode {
                    _ if result.is_err() => Kind::Doubtful,
                    WriteMode::Stable => Kind::Stable,
                    WriteMode::Deferred | WriteMode::Prompt => Kind::Plain,
                };
                self.file(core, file).add(count, offset, blocks.bytes(), kind);
                Done::Wrote(id, blocks, result)
            }
            Operation::Sync { last } if failing_syncs > 0 && rng.below(failing_syncs) == 0 => {
                self.file(core, file).orphan(last);
                Done::Synced(file, Err(EIO))
            }
            Operation::Sync { last } => {
                self.file(core, file).sync(last);
                Done::Synced(file, Ok(()))
            }
        };
        self.done.entry(core).or_default().push_back(done);
        true
    }

    /// Writes fail from now on, or are done again.
    pub(super) fn toggle_failing(&mut self, rng: &mut Rng) {
        let error = if rng.below(2) == 0 { EIO } else { ENOSPC };
        self.failing = self.failing.is_none().then_some(error);
    }

    /// The disk makes a core wait, or goes on.
    pub(super) fn toggle_stalled(&mut self, rng: &mut Rng, cores: usize) {
        let core = CoreId(rng.below(cores) as u16);
        self.stalled = self.stalled.is_none().then_some(core);
    }

    /// Nothing fails, waits or takes time any more.
    pub(super) fn heal(&mut self) {
        (self.failing, self.stalled, self.slow) = (None, None, None);
        self.under_way.iter_mut().for_each(|operation| operation.due_ns = 0);
    }

    pub(super) fn has_events(&self, core: CoreId) -> bool {
        self.done.get(&core).is_some_and(|done| !done.is_empty())
    }

    pub(super) fn next_event(&mut self, core: CoreId) -> Option<Done> {
        self.done.get_mut(&core)?.pop_front()
    }

    /// What is there after a crash now.
    pub(super) fn crash(&mut self, rng: &mut Rng) -> Files {
        for UnderWay { core, number, file, operation, .. } in std::mem::take(&mut self.under_way) {
            if let Operation::Write { offset, blocks, .. } = operation {
                // Behind those that are over; two of one block are never under way.
                let write = self.count + number;
                self.file(core, file).add(write, offset, blocks.bytes(), Kind::Doubtful);
            }
        }
        // Sometimes only the process is killed, or all that can be lost is.
        let (kept, lost) = [(100, 0), (0, 100), (50, 25), (25, 50), (33, 33)][rng.below(5)];
        let mut fates = BTreeMap::new();
        let mut files = Files::new();
        for (number, mut file) in std::mem::take(&mut self.files) {
            for (sector, versions) in std::mem::take(&mut file.versions) {
                for version in versions {
                    let fate = *fates.entry(version.write).or_insert_with(|| match rng.below(100) {
                        dice if dice < kept => Fate::Kept,
                        dice if dice < kept + lost => Fate::Lost,
                        _ => Fate::Torn,
                    });
                    let keeps = match fate {
                        Fate::Kept => true,
                        Fate::Lost => false,
                        Fate::Torn => rng.below(2) == 0,
                    };
                    if keeps {
                        file.settle(sector, &version.bytes);
                    }
                }
            }
            files.insert(number, file.platter);
        }
        files
    }
}

/// The disk as one core sees it.
#[derive(Debug)]
pub(super) struct Drive {
    core: CoreId,
    disk: Rc<RefCell<Disk>>,
}

impl Drive {
    pub(super) fn new(core: CoreId, disk: Rc<RefCell<Disk>>) -> Drive {
        Drive { core, disk }
    }

    pub(super) fn open(&self, file: FileId, number: u64) {
        let mut disk = self.disk.borrow_mut();
        assert!(disk.files.contains_key(&number), "no file {number}");
        let before = disk.open.insert((self.core, file), number);
        assert!(before.is_none(), "core {} opens {file:?} twice", self.core);
    }

    pub(super) fn write(&self, id: u32, file: FileId, offset: u64, blocks: Blocks, mode: WriteMode) {
        self.disk.borrow_mut().write(self.core, id, file, offset, blocks, mode);
    }

    pub(super) fn sync(&self, file: FileId) {
        self.disk.borrow_mut().sync(self.core, file);
    }

    pub(super) fn close(&self, file: FileId) {
        self.disk.borrow_mut().close(self.core, file);
    }

    pub(super) fn has_events(&self) -> bool {
        self.disk.borrow().has_events(self.core)
    }

    pub(super) fn next_event(&self) -> Option<Done> {
        self.disk.borrow_mut().next_event(self.core)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CORE: CoreId = CoreId(0);
    const FILE: FileId = FileId(1);

    fn disk() -> Disk {
        let mut disk = Disk::new(Files::new(), SimClock::default(), 0);
        disk.create(1, vec![0; BLOCK_BYTES]);
        disk.open.insert((CORE, FILE), 1);
        disk
    }

    fn blocks(byte: u8) -> Blocks {
        let mut blocks = Blocks::with_room(BLOCK_BYTES);
        blocks.extend(&[byte; BLOCK_BYTES]);
        blocks
    }

    fn write(disk: &mut Disk, byte: u8, mode: WriteMode) {
        disk.write(CORE, 0, FILE, 0, blocks(byte), mode);
        assert!(disk.finish_one(&mut Rng::new(0), 0));
    }

    /// What the sectors of the block can hold after a crash.
    fn possible(prepare: impl Fn(&mut Disk)) -> Vec<u8> {
        let mut found: Vec<u8> = (0..200)
            .flat_map(|seed| {
                let mut disk = disk();
                prepare(&mut disk);
                let files = disk.crash(&mut Rng::new(seed));
                files[&1].chunks(SECTOR_BYTES).map(|sector| sector[0]).collect::<Vec<u8>>()
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn a_crash_keeps_what_is_stable() {
        assert_eq!(possible(|disk| write(disk, 1, WriteMode::Stable)), [1]);
        assert_eq!(possible(|disk| write(disk, 1, WriteMode::Prompt)), [0, 1]);
        assert_eq!(
            possible(|disk| disk.write(CORE, 0, FILE, 0, blocks(1), WriteMode::Stable)),
            [0, 1],
            "under way"
        );
        let synced = |disk: &mut Disk| {
            write(disk, 1, WriteMode::Prompt);
            disk.sync(CORE, FILE);
            assert!(disk.finish_one(&mut Rng::new(0), 0));
            write(disk, 2, WriteMode::Prompt);
        };
        assert_eq!(possible(synced), [1, 2]);
        let early = |disk: &mut Disk| {
            disk.sync(CORE, FILE);
            disk.write(CORE, 0, FILE, 0, blocks(1), WriteMode::Prompt);
            let write = disk.under_way.remove(1);
            let sync = std::mem::replace(&mut disk.under_way, vec![write]);
            assert!(disk.finish_one(&mut Rng::new(0), 0));
            disk.under_way = sync;
            assert!(disk.finish_one(&mut Rng::new(0), 0));
        };
        assert_eq!(possible(early), [0, 1], "the sync was asked for before the write was over");
    }

    #[test]
    fn a_failed_sync_and_a_failed_write_promise_nothing() {
        let failed_sync = |disk: &mut Disk| {
            write(disk, 1, WriteMode::Prompt);
            for failing in [1, 0] {
                disk.sync(CORE, FILE);
                assert!(disk.finish_one(&mut Rng::new(0), failing));
            }
        };
        assert_eq!(possible(failed_sync), [0, 1]);
        let failed_write = |disk: &mut Disk| {
            disk.toggle_failing(&mut Rng::new(0));
            write(disk, 1, WriteMode::Stable);
            disk.heal();
        };
        assert_eq!(possible(failed_write), [0, 1]);
    }

    #[test]
    fn a_slow_disk_takes_its_time() {
        let mut disk = disk();
        disk.set_speed(Some(SlowDisk { write_us: 1000, sync_us: 3000 }));
        let clock = disk.clock.clone();
        let mut rng = Rng::new(0);
        let mut took_us = |disk: &mut Disk| {
            let steps = (0..).find(|_| {
                clock.advance(Duration::from_micros(1));
                disk.finish_one(&mut rng, 0)
            });
            steps.expect("it comes to its end") + 1
        };
        for _ in 0..20 {
            disk.write(CORE, 0, FILE, 0, blocks(1), WriteMode::Prompt);
            assert!((500..=1000).contains(&took_us(&mut disk)));
            disk.sync(CORE, FILE);
            assert!((1500..=3000).contains(&took_us(&mut disk)));
            disk.write(CORE, 0, FILE, 0, blocks(1), WriteMode::Stable);
            assert!((2000..=4000).contains(&took_us(&mut disk)));
        }
        disk.sync(CORE, FILE);
        disk.heal();
        assert!(disk.finish_one(&mut rng, 0), "in a calm world no time passes");
    }
}
