//! Cuts at a time against a model of logs that note times.
//!
//! The model logs commands of several shards in several runs: units of different seconds in one frame, parts of transactions that
//! are noted at different seconds, several segments. Which units must be left for a time follows from the list of all units.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use super::tests::{Disk, command, cut_disk, plan_of, read_piece, with_frames};
use super::*;
use crate::aof::frame::{self, Txn};
use crate::base::rng::Rng;

/// What was logged at once, with the annotation in front of it if there is one.
#[derive(Debug)]
struct Unit {
    /// The second that was noted last, at the unit or before it.
    time: i64,
    bytes: Vec<u8>,
    txn: Option<Txn>,
}

/// One shard's log of one run.
#[derive(Debug)]
struct Log {
    identity: Segment,
    file: OsString,
    units: Vec<Unit>,
    /// The payload of the frame that is open.
    open: Vec<u8>,
    lsn: u64,
}

#[derive(Debug)]
struct World {
    rng: Rng,
    manifest: Manifest,
    disk: Disk,
    /// By run, then by shard.
    runs: Vec<Vec<Log>>,
    now_s: i64,
    txns: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let rng = Rng::new(seed);
        let (manifest, disk) = (Manifest::default(), Disk::new());
        let mut world = World { rng, manifest, disk, runs: Vec::new(), now_s: 100, txns: 0 };
        for _ in 0..1 + world.rng.below(3) {
            world.run();
        }
        world
    }

    fn run(&mut self) {
        let shards = 1 + self.rng.below(4) as u16;
        let run = u128::from(self.rng.next_u64());
        let mut logs = Vec::new();
        for shard in 0..shards {
            let identity = Segment { run, shard, shards };
            let file = self.add_segment(identity, true);
            logs.push(Log { identity, file, units: Vec::new(), open: Vec::new(), lsn: 0 });
        }
        self.runs.push(logs);
        for shard in 0..usize::from(shards) {
            self.unit(shard, self.now_s, b"", None);
        }
        for _ in 0..self.rng.below(60) {
            self.step();
        }
        for shard in 0..usize::from(shards) {
            self.seal(shard);
        }
        let last = self.logs().iter().flat_map(|log| &log.units).map(|unit| unit.time).max();
        self.now_s = self.now_s.max(last.unwrap_or_default()) + self.rng.below(3) as i64;
    }

    fn step(&mut self) {
        let shards = self.logs().len();
        let shard = self.rng.below(shards);
        match self.rng.below(10) {
            0..5 => {
                // A value that looks like an annotation is none.
                let value = ["v", "\r\n#TS:999\r\n", "#TS:1\r\n"][self.rng.below(3)];
                self.unit(shard, self.now_s, &command(&["SET", "k", value]), None);
            }
            5..7 => {
                let participants: BTreeSet<u16> = (0..2).map(|_| self.rng.below(shards) as u16).collect();
                let participants: Vec<u16> = participants.into_iter().collect();
                let txn = Txn { coordinator: 0, number: self.txns, participants };
                self.txns += 1;
                for &shard in &txn.participants {
                    let late = i64::from(self.rng.below(4) == 0);
                    self.unit(shard.into(), self.now_s + late, &command(&["INCR", "k"]), Some(&txn));
                }
            }
            7 => self.seal(shard),
            8 => {
                self.seal(shard);
                let identity = self.logs()[shard].identity;
                self.logs()[shard].file = self.add_segment(identity, false);
            }
            _ => self.now_s += 1,
        }
    }

    fn logs(&mut self) -> &mut Vec<Log> {
        self.runs.last_mut().expect("a run")
    }

    fn add_segment(&mut self, identity: Segment, is_first: bool) -> OsString {
        let entry = self.manifest.add_increment(OsStr::new("a.aof"));
        let mut bytes = Vec::new();
        match is_first {
            true => identity.encode_with_start(0, &mut bytes),
            false => identity.encode(&mut bytes),
        }
        self.disk.insert(entry.name.clone(), bytes);
        entry.name
    }

    fn unit(&mut self, shard: usize, now_s: i64, commands: &[u8], txn: Option<&Txn>) {
        if txn.is_some() {
            self.seal(shard);
        }
        let log = &mut self.logs()[shard];
        let noted = log.units.last().map_or(0, |unit| unit.time);
        let time = noted.max(now_s);
        let mut bytes = if time > noted { format!("#TS:{time}\r\n").into_bytes() } else { Vec::new() };
        bytes.extend_from_slice(commands);
        log.open.extend_from_slice(&bytes);
        log.units.push(Unit { time, bytes, txn: txn.cloned() });
        if txn.is_some() {
            self.seal(shard);
        }
    }

    fn seal(&mut self, shard: usize) {
        let log = &mut self.runs.last_mut().expect("a run")[shard];
        if log.open.is_empty() {
            return;
        }
        let file = self.disk.get_mut(&log.file).expect("its file");
        let payload = std::mem::take(&mut log.open);
        let seed = log.identity.seed();
        // A frame with a part holds nothing else.
        let last = log.units.last().and_then(|unit| unit.txn.as_ref().filter(|_| unit.bytes == payload));
        match last {
            Some(txn) => frame::seal_txn(file, &payload, log.lsn, log.lsn, txn, seed),
            None => {
                let mut room = [0; HEADER_LEN];
                frame::seal(&mut room, &payload, log.lsn, log.lsn, seed);
                file.extend_from_slice(&room);
                file.extend_from_slice(&payload);
            }
        }
        log.lsn += payload.len() as u64;
        file.extend_from_slice(b"#  \n");
    }

    /// What must be left for a time, by run and shard; `None` if nothing is earlier.
    fn expected(&self, until: i64) -> Option<BTreeMap<(u128, u16), Vec<u8>>> {
        let mut left = BTreeMap::new();
        let mut holds = false;
        for logs in &self.runs {
            let kept = |log: &Log| log.units.iter().take_while(|unit| unit.time <= until).count();
            let mut ends: Vec<usize> = logs.iter().map(kept).collect();
            holds |= ends.iter().any(|&end| end > 0);
            let is_later = logs.iter().zip(&ends).any(|(log, &end)| end < log.units.len());
            loop {
                let has = |shard: u16, txn: &Txn| {
                    let units = &logs[usize::from(shard)].units[..ends[usize::from(shard)]];
                    units.iter().any(|unit| unit.txn.as_ref() == Some(txn))
                };
                let is_half = |unit: &Unit| {
                    unit.txn
                        .as_ref()
                        .is_some_and(|txn| !txn.participants.iter().all(|&shard| has(shard, txn)))
                };
                let cut = logs.iter().zip(&ends).map(|(log, &end)| log.units[..end].iter().position(is_half));
                let cut = cut.enumerate().find_map(|(shard, cut)| cut.map(|at| (shard, at)));
                match cut {
                    Some((shard, at)) => ends[shard] = at,
                    None => break,
                }
            }
            for (log, end) in logs.iter().zip(ends) {
                let bytes: Vec<u8> = log.units[..end].iter().flat_map(|unit| unit.bytes.clone()).collect();
                left.insert((log.identity.run, log.identity.shard), bytes);
            }
            if is_later {
                break;
            }
        }
        left.retain(|_, bytes| !bytes.is_empty());
        holds.then_some(left)
    }
}

/// The payloads of what a plan loads.
fn loaded(disk: &Disk, plan: &Plan) -> BTreeMap<(u128, u16), Vec<u8>> {
    let mut payloads: BTreeMap<(u128, u16), Vec<u8>> = BTreeMap::new();
    for piece in &plan.pieces {
        let Content::Log(segment) = piece.content else { panic!("no log") };
        payloads.entry((segment.run, segment.shard)).or_default().extend(read_piece(disk, piece).0);
    }
    payloads.retain(|_, bytes| !bytes.is_empty());
    payloads
}

#[test]
fn what_is_left_is_the_data_of_the_time() {
    let (mut resealed, mut refused) = (0, 0);
    for seed in 0..300 {
        let mut world = World::new(seed);
        let last = world.runs.last().unwrap()[0].file.clone();
        world.disk.get_mut(&last).unwrap().extend_from_slice(&[0; 100]);
        for until in 98..=world.now_s + 1 {
            let mut disk = world.disk.clone();
            let rules = Rules::new(true).until(until);
            let plan = match (plan_of(&disk, &world.manifest, rules), world.expected(until)) {
                (Ok(plan), Some(_)) => plan,
                (Err(Error::NothingBefore { .. }), None) => {
                    refused += 1;
                    continue;
                }
                other => panic!("seed {seed}, until {until}: {other:?}"),
            };
            resealed += plan.cuts.iter().filter(|cut| cut.reseal.is_some()).count();
            // A crash in between changes nothing.
            cut_disk(&mut disk, &plan.cuts[..world.rng.below(plan.cuts.len() + 1)]);
            let again = plan_of(&disk, &world.manifest, rules).unwrap();
            cut_disk(&mut disk, &again.cuts);
            let whole = plan_of(&disk, &world.manifest, Rules::new(true)).unwrap();
            assert!(whole.cuts.is_empty(), "seed {seed}, until {until}: {whole:?}");
            assert_eq!(Some(loaded(&disk, &whole)), world.expected(until), "seed {seed}, until {until}");
        }
        let all = plan_of(&world.disk, &world.manifest, Rules::new(true).until(i64::MAX)).unwrap();
        assert!(!all.later && all.cuts.len() == 1, "the room alone: {all:?}");
    }
    assert!(resealed > 100 && refused > 100, "{resealed}, {refused}");
}

/// A folder of increments.
fn folder(contents: &[&[u8]]) -> (Disk, Manifest) {
    let mut manifest = Manifest::default();
    let mut disk = Disk::new();
    for content in contents {
        let entry = manifest.add_increment(OsStr::new("f"));
        disk.insert(entry.name, content.to_vec());
    }
    (disk, manifest)
}

/// A segment of a run of one shard, with a frame for each payload.
fn segment(run: u128, payloads: &[&[u8]]) -> Vec<u8> {
    segment_of(Segment { run, shard: 0, shards: 1 }, payloads)
}

fn segment_of(identity: Segment, payloads: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    identity.encode_with_start(0, &mut file);
    with_frames(file, identity, payloads)
}

/// Offsets at which files end for a time, by their order; or what is wrong.
fn ends(contents: &[&[u8]], until: i64) -> Result<Vec<usize>, String> {
    let (mut disk, manifest) = folder(contents);
    let rules = Rules::new(true).until(until);
    let plan = plan_of(&disk, &manifest, rules).map_err(|error| error.to_string())?;
    cut_disk(&mut disk, &plan.cuts);
    assert!(plan_of(&disk, &manifest, Rules::new(true)).unwrap().cuts.is_empty());
    Ok(manifest.increments.iter().map(|entry| disk[&entry.name].len()).collect())
}

#[test]
fn logs_that_follow_a_file_of_redis_go_with_it() {
    let set = command(&["SET", "k", "v"]);
    let redis = [b"#TS:10\r\n", &set[..], b"#TS:20\r\n", &set].concat();
    let first = 8 + set.len();
    let (empty, late) = (segment(1, &[]), segment(2, &[&[b"#TS:30\r\n", &set[..]].concat()]));
    let start = segment(2, &[]).len();
    let files = [&redis[..], &empty, &late];
    assert_eq!(ends(&files, 30), Ok(vec![redis.len(), empty.len(), late.len()]));
    assert_eq!(ends(&files, 29), Ok(vec![redis.len(), empty.len(), start]));
    assert_eq!(ends(&files, 19), Ok(vec![first, 0, 0]));
    assert_eq!(ends(&files, 9), Err("AOF f.1.incr.aof has nothing before timestamp 9, aborting...".into()));
    // What follows may be earlier if it tells no time.
    for behind in [segment(2, &[&set]), set] {
        let error = ends(&[&redis, &empty, &behind], 19).unwrap_err();
        let expected = format!(
            "Failed to truncate AOF f.1.incr.aof to timestamp 19 to offset {first} because it is not the last file."
        );
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn what_redis_appended_is_cut_at_a_time_as_well() {
    let set = command(&["SET", "k", "v"]);
    let log = segment(1, &[&[b"#TS:10\r\n", &set[..]].concat()]);
    let select = command(&["SELECT", "0"]);
    let timed = [&log[..], b"#TS:20\r\n", &select, &set, b"#TS:30\r\n", &set].concat();
    let next = segment(2, &[&[b"#TS:40\r\n", &set[..]].concat()]);
    let end = timed.len();
    assert_eq!(ends(&[&timed], 30), Ok(vec![end]));
    assert_eq!(ends(&[&timed], 29), Ok(vec![end - 8 - set.len()]));
    assert_eq!(ends(&[&timed, &next], 19), Ok(vec![log.len(), 0]));
    assert!(ends(&[&timed], 9).is_err());
    let before = segment(3, &[&[b"#TS:5\r\n", &set[..]].concat()]);
    assert_eq!(ends(&[&before, &timed], 9), Ok(vec![before.len(), segment(1, &[]).len()]));
    // It follows the logs of all shards.
    let of = |shard, payload: &[u8]| segment_of(Segment { run: 4, shard, shards: 2 }, &[payload]);
    let (late, early) = (of(0, &[b"#TS:8\r\n", &set[..], b"#TS:10\r\n", &set].concat()), of(1, b"#TS:8\r\n"));
    let left = late.len() - 8 - set.len();
    let appended = |what: &[u8]| [&early[..], what, &set].concat();
    assert_eq!(
        ends(&[&late, &appended(&[b"#TS:20\r\n", &select[..]].concat())], 9),
        Ok(vec![left, early.len()])
    );
    let error = ends(&[&late, &appended(&select)], 9).unwrap_err();
    assert!(error.contains("because it is not the last file"), "{error}");
}

#[test]
fn cuts_are_made_in_files() {
    let dir = crate::base::temp_folder::TempFolder::empty();
    let folder = Folder::new(&dir, OsStr::new("d"), OsStr::new("a.aof"));
    folder.create().unwrap();
    let mut manifest = Manifest::default();
    let entry = manifest.add_increment(folder.filename());
    let set = command(&["SET", "k", "v"]);
    let first = [b"#TS:10\r\n", &set[..]].concat();
    let whole = segment(1, &[&[&first[..], b"#TS:11\r\n", &set].concat()]);
    std::fs::write(folder.file(&entry), whole).unwrap();
    let found = plan(&folder, &manifest, Rules::new(true).until(10)).unwrap();
    apply(&folder, &found).unwrap();
    assert_eq!(std::fs::read(folder.file(&entry)).unwrap(), segment(1, &[&first]));
}
