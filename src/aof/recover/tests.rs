//! Recovery against a model of a server and its disk.
//!
//! The model writes logs of several shards as a server does: frames in whole blocks, several writes under way at a time that
//! end in any order, transactions over several shards, several segments and runs. A crash leaves any sectors of the writes
//! that were under way. What must be recovered follows from the list of everything that was logged.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use super::*;
use crate::aof::frame::{self, HEADER_LEN, Txn, Verdict};
use crate::base::rng::Rng;
use crate::base::temp_folder::TempFolder;

const BLOCK: usize = 4096;
/// What a disk writes as a whole.
const SECTOR: usize = 512;
const SEGMENT_BYTES: usize = 8 * BLOCK;

/// Files by name.
pub(super) type Disk = BTreeMap<OsString, Vec<u8>>;

/// One thing that a shard has logged.
#[derive(Debug, Clone)]
struct Unit {
    start: u64,
    end: u64,
    txn: Option<Txn>,
}

#[derive(Debug)]
struct Write {
    file: OsString,
    offset: usize,
    bytes: Vec<u8>,
    end: u64,
    done: bool,
}

/// A shard's log in the model.
#[derive(Debug)]
struct Shard {
    identity: Segment,
    file: OsString,
    /// Offset behind the last frame, and the bytes of its block up to there.
    end: usize,
    tail: Vec<u8>,
    frames: Vec<u8>,
    payload: Vec<u8>,
    units: Vec<Unit>,
    writes: Vec<Write>,
    stable: u64,
}

/// A run, and the files of those before.
#[derive(Debug)]
struct World {
    rng: Rng,
    manifest: Manifest,
    disk: Disk,
    shards: Vec<Shard>,
    /// Payloads of runs that are over: by run and shard.
    past: BTreeMap<(u128, u16), Vec<u8>>,
    next_txn: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let (manifest, disk) = (Manifest::default(), Disk::new());
        let mut world = World {
            rng: Rng::new(seed),
            manifest,
            disk,
            shards: Vec::new(),
            past: BTreeMap::new(),
            next_txn: 0,
        };
        world.begin_run();
        world
    }

    fn begin_run(&mut self) {
        for shard in self.shards.drain(..) {
            self.past.insert((shard.identity.run, shard.identity.shard), shard.payload);
        }
        let shards = 1 + self.rng.below(4) as u16;
        let run = u128::from(self.rng.next_u64());
        for shard in 0..shards {
            let identity = Segment { run, shard, shards };
            let (file, tail) = self.new_segment(identity, true);
            self.shards.push(Shard {
                identity,
                file,
                end: tail.len(),
                tail,
                frames: Vec::new(),
                payload: Vec::new(),
                units: Vec::new(),
                writes: Vec::new(),
                stable: 0,
            });
        }
    }

    /// A preallocated file whose beginning is on stable storage.
    fn new_segment(&mut self, identity: Segment, is_first: bool) -> (OsString, Vec<u8>) {
        let entry = self.manifest.add_increment(OsStr::new("a.aof"));
        let mut line = Vec::new();
        match is_first {
            true => identity.encode_with_start(0, &mut line),
            false => identity.encode(&mut line),
        }
        let mut bytes = line.clone();
        bytes.resize(SEGMENT_BYTES, 0);
        self.disk.insert(entry.name.clone(), bytes);
        (entry.name, line)
    }

    fn log(&mut self, shard: usize, txn: Option<&Txn>) {
        // Log numbers tell nothing about what has no bytes.
        let len = 1 + if self.rng.below(20) == 0 { self.rng.below(9000) } else { self.rng.below(120) };
        let fill = self.rng.next_u64().to_le_bytes();
        let shard = &mut self.shards[shard];
        let start = shard.payload.len() as u64;
        let mut payload: Vec<u8> = fill.into_iter().cycle().take(len).collect();
        if len % 7 == 3 {
            // A value that looks like frames of this very log, but for the checksum.
            payload.extend_from_slice(&shard.tail);
            payload.extend_from_slice(b"\n#F 00000000 0000000000000000 ffffffffffffffff 00000000\n");
        }
        let seed = shard.identity.seed();
        match txn {
            Some(txn) => frame::seal_txn(&mut shard.frames, &payload, start, shard.stable, txn, seed),
            None => {
                let mut room = [0; HEADER_LEN];
                frame::seal(&mut room, &payload, start, shard.stable, seed);
                shard.frames.extend_from_slice(&room);
                shard.frames.extend_from_slice(&payload);
            }
        }
        shard.payload.extend_from_slice(&payload);
        shard.units.push(Unit { start, end: shard.payload.len() as u64, txn: txn.cloned() });
    }

    fn log_txn(&mut self) {
        let count = self.shards.len();
        let participants: BTreeSet<u16> = (0..2).map(|_| self.rng.below(count) as u16).collect();
        let number = self.next_txn;
        self.next_txn += 1;
        let participants: Vec<u16> = participants.into_iter().collect();
        let txn = Txn { coordinator: self.rng.below(count) as u16, number, participants };
        for &shard in &txn.participants {
            self.log(shard.into(), Some(&txn));
        }
    }

    /// Begins a write of everything that was logged.
    fn write(&mut self, index: usize) {
        let full = self.shards[index].end + self.shards[index].frames.len() + BLOCK > SEGMENT_BYTES;
        if full || self.rng.below(30) == 0 {
            let identity = self.shards[index].identity;
            // Frames know their segment, so what is logged and not written goes to the one it was sealed for.
            self.write_here(index);
            let (file, tail) = self.new_segment(identity, false);
            let shard = &mut self.shards[index];
            (shard.file, shard.end, shard.tail) = (file, tail.len(), tail);
        } else {
            self.write_here(index);
        }
    }

    fn write_here(&mut self, index: usize) {
        let shard = &mut self.shards[index];
        if shard.frames.is_empty() {
            return;
        }
        let busy = shard.writes.iter().any(|write| write.file == shard.file && !write.done);
        let mut image = Vec::new();
        let mut offset = shard.end / BLOCK * BLOCK;
        if busy && !shard.end.is_multiple_of(BLOCK) {
            offset += BLOCK;
        } else {
            image.append(&mut shard.tail);
        }
        image.append(&mut shard.frames);
        if image.len() % BLOCK == BLOCK - 1 {
            image.extend_from_slice(b"#\n");
        }
        shard.end = offset + image.len();
        shard.tail = image[image.len() / BLOCK * BLOCK..].to_vec();
        let unpadded = image.len();
        image.resize(unpadded.next_multiple_of(BLOCK), 0);
        assert!(frame::pad(&mut image[unpadded..]));
        let (file, end) = (shard.file.clone(), shard.payload.len() as u64);
        shard.writes.push(Write { file, offset, bytes: image, end, done: false });
    }

    /// Ends one of a shard's writes.
    fn end_write(&mut self, index: usize) {
        let shard = &mut self.shards[index];
        let under_way: Vec<usize> = (0..shard.writes.len()).filter(|&at| !shard.writes[at].done).collect();
        if under_way.is_empty() {
            return;
        }
        let write = &mut shard.writes[under_way[self.rng.below(under_way.len())]];
        write.done = true;
        put(&mut self.disk, &write.file, write.offset, &write.bytes);
        let done = shard.writes.iter().take_while(|write| write.done).count();
        if let Some(last) = shard.writes.drain(..done).next_back() {
            shard.stable = last.end;
        }
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            let shard = self.rng.below(self.shards.len());
            match self.rng.below(10) {
                0..4 => self.log(shard, None),
                4..6 => self.log_txn(),
                6..8 => self.write(shard),
                _ => self.end_write(shard),
            }
        }
    }

    /// Writes everything.
    fn stop(&mut self) {
        for index in 0..self.shards.len() {
            self.write_here(index);
            while !self.shards[index].writes.is_empty() {
                self.end_write(index);
            }
        }
    }

    /// The files after a crash: of each write under way any sectors are there.
    fn crash(&mut self) -> Disk {
        let mut disk = self.disk.clone();
        for shard in &self.shards {
            for write in shard.writes.iter().filter(|write| !write.done) {
                let rate = self.rng.below(4);
                for (sector, bytes) in write.bytes.chunks(SECTOR).enumerate() {
                    if self.rng.below(3) < rate {
                        put(&mut disk, &write.file, write.offset + sector * SECTOR, bytes);
                    }
                }
            }
        }
        disk
    }

    /// What is recovered if of each log what is below `ends` can be read.
    fn expected(&self, ends: &[u64]) -> Vec<u64> {
        let mut ends = ends.to_vec();
        loop {
            let has = |shard: u16, txn: &Txn, ends: &[u64]| {
                let units = &self.shards[usize::from(shard)].units;
                units
                    .iter()
                    .any(|unit| unit.txn.as_ref() == Some(txn) && unit.end <= ends[usize::from(shard)])
            };
            let cut = (0..ends.len()).find_map(|index| {
                let units = self.shards[index].units.iter().take_while(|unit| unit.end <= ends[index]);
                let half = units.filter(|unit| {
                    let mut shards = unit.txn.iter().flat_map(|txn| &txn.participants);
                    shards.any(|&shard| !has(shard, unit.txn.as_ref().expect("it has one"), &ends))
                });
                // A part without payload ends where it begins: it is gone only if the log ends before it.
                half.map(|unit| unit.start)
                    .next()
                    .filter(|&start| start < ends[index])
                    .map(|start| (index, start))
            });
            match cut {
                Some((index, start)) => ends[index] = start,
                None => return ends,
            }
        }
    }
}

fn put(disk: &mut Disk, file: &OsStr, offset: usize, bytes: &[u8]) {
    let content = disk.get_mut(file).expect("a file of the disk");
    let size = content.len().max(offset + bytes.len());
    content.resize(size, 0);
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

pub(super) fn plan_of(disk: &Disk, manifest: &Manifest, rules: Rules) -> Result<Plan, Error> {
    plan_with(manifest, rules, |entry| Ok(&disk[&entry.name][..]))
}

pub(super) fn cut_disk(disk: &mut Disk, cuts: &[Cut]) {
    for cut in cuts {
        let file = disk.get_mut(&cut.entry.name).unwrap();
        assert_eq!(file.len() as u64, cut.size);
        file.truncate(cut.at as usize);
        if let Some(Reseal { at, header }) = cut.reseal {
            put(disk, &cut.entry.name, at as usize, &header);
        }
    }
}

/// What a piece holds, read without what is tested: payload, and transactions.
pub(super) fn read_piece(disk: &Disk, piece: &Piece) -> (Vec<u8>, Vec<(u16, u64)>) {
    let Content::Log(segment) = piece.content else { panic!("no log: {piece:?}") };
    let mut rest = &disk[&piece.entry.name][..piece.bytes.end as usize];
    let Opening::Segment(_, first_line) = Segment::decode(rest) else { panic!("no first line") };
    rest = &rest[first_line..];
    let (mut content, mut txns) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        match frame::decode(rest, segment.seed()) {
            Verdict::Frame { header, payload, frame_len } => {
                content.extend_from_slice(payload);
                txns.extend(header.txn.map(|txn| (txn.coordinator, txn.number)));
                rest = &rest[frame_len..];
            }
            Verdict::Padding(len) => rest = &rest[len..],
            other => panic!("{other:?} in {piece:?}"),
        }
    }
    (content, txns)
}

/// What a plan recovers of the world: payloads by run and shard, or what is wrong with it.
fn recovered(world: &World, disk: &Disk, plan: &Plan) -> Result<BTreeMap<(u128, u16), Vec<u8>>, String> {
    let mut payloads: BTreeMap<(u128, u16), Vec<u8>> = BTreeMap::new();
    let mut found: BTreeMap<(u16, u64), BTreeSet<u16>> = BTreeMap::new();
    for piece in &plan.pieces {
        let Content::Log(segment) = piece.content else { return Err("no log".into()) };
        let (content, txns) = read_piece(disk, piece);
        payloads.entry((segment.run, segment.shard)).or_default().extend(content);
        if segment.run == world.shards[0].identity.run {
            txns.into_iter().for_each(|id| _ = found.entry(id).or_default().insert(segment.shard));
        }
    }
    for shard in &world.shards {
        for txn in shard.units.iter().filter_map(|unit| unit.txn.as_ref()) {
            let there = found.get(&(txn.coordinator, txn.number)).map_or(0, BTreeSet::len);
            if there != 0 && there != txn.participants.len() {
                return Err(format!("half of {txn:?}"));
            }
        }
        let key = (shard.identity.run, shard.identity.shard);
        if !shard.payload.starts_with(payloads.get(&key).map_or(&[], Vec::as_slice)) {
            return Err(format!("no prefix of {key:?}"));
        }
    }
    Ok(payloads)
}

/// A crash at a random moment, and what must hold after it.
fn check_crash(seed: u64, rules: Rules) -> Result<(), String> {
    let mut world = World::new(seed);
    for _ in 0..world.rng.below(3) {
        let steps = world.rng.below(60);
        world.steps(steps);
        world.stop();
        // The cuts of a clean stop, or of recovery.
        let plan = plan_of(&world.disk, &world.manifest, rules).map_err(|error| error.to_string())?;
        let cuts = plan.cuts.len();
        cut_disk(&mut world.disk, &plan.cuts[..cuts]);
        world.begin_run();
    }
    let steps = world.rng.below(150);
    world.steps(steps);
    let mut disk = world.crash();
    let plan = plan_of(&disk, &world.manifest, rules).map_err(|error| error.to_string())?;
    let payloads = recovered(&world, &disk, &plan)?;
    let stable: Vec<u64> = world.shards.iter().map(|shard| shard.stable).collect();
    for (shard, safe) in world.shards.iter().zip(world.expected(&stable)) {
        let key = (shard.identity.run, shard.identity.shard);
        let end = payloads.get(&key).map_or(0, Vec::len) as u64;
        if end < safe {
            return Err(format!("shard {}: {end} of {safe} safe bytes", key.1));
        }
    }
    for (key, payload) in &world.past {
        if payloads.get(key).map_or(&[][..], Vec::as_slice) != payload {
            return Err(format!("another run's log has changed: {key:?}"));
        }
    }
    // A crash between two cuts changes nothing, and neither does it when all are done.
    let some = world.rng.below(plan.cuts.len() + 1);
    cut_disk(&mut disk, &plan.cuts[..some]);
    let again = plan_of(&disk, &world.manifest, rules).map_err(|error| format!("after cuts: {error}"))?;
    let cuts = again.cuts.len();
    cut_disk(&mut disk, &again.cuts[..cuts]);
    let whole = plan_of(&disk, &world.manifest, rules).map_err(|error| format!("after cuts: {error}"))?;
    let same = recovered(&world, &disk, &whole)? == payloads;
    if !same || !whole.cuts.is_empty() {
        return Err("cuts are not the last word".into());
    }
    Ok(())
}

#[test]
fn crashes_lose_nothing_that_is_safe_and_leave_no_half_transaction() {
    for seed in 0..500 {
        check_crash(seed, Rules::new(true)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn transactions_that_are_not_cut_are_noticed() {
    let broken = Rules::new(true).without_transactions();
    let wrong =
        (0..100).filter(|&seed| check_crash(seed, broken).is_err_and(|error| error.starts_with("half")));
    assert!(wrong.count() > 5);
}

/// A frame or line on the disk.
struct Place {
    file: OsString,
    bytes: Range<usize>,
    /// Where the log stands at its beginning.
    lsn: u64,
    safe: Option<u64>,
}

/// Everything of a shard's log, in order.
fn places(world: &World, shard: &Shard) -> Vec<Place> {
    let mut places = Vec::new();
    let mut lsn = 0;
    for entry in &world.manifest.increments {
        let bytes = &world.disk[&entry.name];
        let Opening::Segment(segment, first_line) = Segment::decode(bytes) else { panic!("no segment") };
        if segment != shard.identity {
            continue;
        }
        let mut at = first_line;
        loop {
            let (len, safe, payload) = match frame::decode(&bytes[at..], segment.seed()) {
                Verdict::Frame { header, payload, frame_len } => {
                    (frame_len, Some(header.safe), payload.len())
                }
                Verdict::Padding(len) => (len, None, 0),
                Verdict::End => break,
                other => panic!("{other:?}"),
            };
            places.push(Place { file: entry.name.clone(), bytes: at..at + len, lsn, safe });
            lsn += payload as u64;
            at += len;
        }
    }
    places
}

/// What must come of it when the bytes of `world.disk` from one on have changed.
fn check_damage(
    world: &World,
    disk: &Disk,
    shard: &Shard,
    places: &[Place],
    file: &OsStr,
    at: usize,
    name_it: bool,
) {
    let Some(hit) = places.iter().position(|place| place.file == file && place.bytes.contains(&at)) else {
        return;
    };
    let place = &places[hit];
    let intact = |later: &&Place| {
        disk[&later.file].get(later.bytes.clone()) == Some(&world.disk[&later.file][later.bytes.clone()])
    };
    let proven =
        places[hit..].iter().filter(intact).any(|later| later.safe.is_some_and(|safe| safe > place.lsn));
    match plan_of(disk, &world.manifest, Rules::new(true)) {
        Ok(plan) => {
            assert!(!proven, "damage of {file:?} at {at} was not noticed");
            let payloads = recovered(world, disk, &plan).unwrap();
            let key = (shard.identity.run, shard.identity.shard);
            assert!(payloads.get(&key).map_or(0, Vec::len) as u64 <= place.lsn);
        }
        Err(Error::Damaged { name, at: found, reason }) => {
            let rest = plan_of(disk, &world.manifest, Rules::new(true).keeping_the_undamaged()).unwrap();
            recovered(world, disk, &rest).unwrap();
            assert!(proven, "{reason}: {name:?} at {found}, but nothing safe is missing");
            if name_it {
                assert_eq!((name.as_os_str(), found), (file, place.bytes.start as u64), "{reason}");
            }
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn changed_bytes_are_found_or_were_never_safe() {
    for seed in 0..15 {
        let mut world = World::new(seed);
        world.steps(120);
        world.stop();
        for _ in 0..60 {
            let index = world.rng.below(world.shards.len());
            let shard = &world.shards[index];
            let places = places(&world, shard);
            if places.is_empty() {
                continue;
            }
            let place = &places[world.rng.below(places.len())];
            let at = place.bytes.start + world.rng.below(place.bytes.len());
            let mut disk = world.disk.clone();
            let bytes = disk.get_mut(&place.file).unwrap();
            if world.rng.below(3) > 0 {
                bytes[at] ^= 1 << world.rng.below(8);
                check_damage(&world, &disk, shard, &places, &place.file, at, true);
            } else {
                let end = (at + 1 + world.rng.below(600)).min(bytes.len());
                let changed = bytes[at..end].iter().position(|&byte| byte != 0);
                bytes[at..end].fill(0);
                let Some(first) = changed else { continue };
                check_damage(&world, &disk, shard, &places, &place.file, at + first, false);
            }
        }
    }
}

#[test]
fn a_log_cut_at_any_byte_is_recovered_up_to_there() {
    let mut world = World::new(3);
    while world.shards.len() < 2 {
        let seed = world.rng.next_u64();
        world = World::new(seed);
    }
    world.steps(200);
    world.stop();
    let plan = plan_of(&world.disk, &world.manifest, Rules::new(true)).unwrap();
    cut_disk(&mut world.disk, &plan.cuts);
    for index in 0..world.shards.len() {
        let shard = &world.shards[index];
        let file = shard.file.clone();
        let size = world.disk[&file].len();
        let places = places(&world, shard);
        for cut in size.saturating_sub(3000).max(120)..size {
            let mut disk = world.disk.clone();
            disk.get_mut(&file).unwrap().truncate(cut);
            check_damage(&world, &disk, shard, &places, &file, cut, true);
        }
    }
}

#[test]
fn first_lines_that_have_changed_are_damage() {
    let mut world = World::new(9);
    world.steps(100);
    world.stop();
    let file = world.shards[0].file.clone();
    let Opening::Segment(_, len) = Segment::decode(&world.disk[&file]) else { panic!("no first line") };
    for at in 0..len {
        let mut disk = world.disk.clone();
        disk.get_mut(&file).unwrap()[at] ^= 2;
        let error = plan_of(&disk, &world.manifest, Rules::new(true)).expect_err("an error");
        let (Error::Damaged { name, .. } | Error::Format { name, .. }) = error else { panic!("{error}") };
        assert_eq!(name, file);
    }
}

pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    words.iter().for_each(|word| out += &format!("${}\r\n{word}\r\n", word.len()));
    out.into_bytes()
}

/// A folder of files of Redis, with a base.
fn stock(contents: &[&[u8]]) -> (Disk, Manifest) {
    let mut manifest = Manifest::default();
    let mut disk = Disk::new();
    for (index, content) in contents.iter().enumerate() {
        let entry = Entry { name: format!("f.{index}").into(), seq: index as i64 + 1 };
        disk.insert(entry.name.clone(), content.to_vec());
        match index {
            0 => manifest.base = Some(entry),
            _ => manifest.increments.push(entry),
        }
    }
    (disk, manifest)
}

#[test]
fn files_of_redis_may_end_early_if_they_are_the_last() {
    let set = command(&["SET", "k", "v"]);
    let torn = [&set[..], &set[..9]].concat();
    let multi = [&set[..], &command(&["MULTI"]), &set].concat();
    let end = set.len() as u64;
    for (file, lines) in [(&torn, 3), (&multi, 4)] {
        let (disk, manifest) = stock(&[b"REDIS0012", &set, file]);
        let plan = plan_of(&disk, &manifest, Rules::new(true)).unwrap();
        let pieces: Vec<_> = plan.pieces.iter().map(|piece| (piece.content, piece.bytes.clone())).collect();
        assert_eq!(pieces, [(Content::Rdb, 0..9), (Content::Plain, 0..end), (Content::Plain, 0..end)]);
        assert_eq!((plan.cuts[0].at, plan.cuts[0].log.len()), (end, lines));
        assert!(plan.cuts[0].log.contains(&format!("!!! Truncating the AOF f.2 at offset {end} !!!")));
        let error = plan_of(&disk, &manifest, Rules::new(false)).unwrap_err();
        assert!(error.to_string().starts_with("Unexpected end of file reading the append only file f.2."));
        let (disk, manifest) = stock(&[file, &set]);
        assert!(matches!(plan_of(&disk, &manifest, Rules::new(true)), Err(Error::NotLast { .. })));
    }
    let (disk, manifest) = stock(&[&[&set[..], b"!!!"].concat()]);
    let error = plan_of(&disk, &manifest, Rules::new(true)).unwrap_err();
    assert!(matches!(error, Error::Format { at, .. } if at == end));
    assert!(error.to_string().starts_with("Bad file format reading the append only file f.0: make a backup"));
}

/// A whole segment with one frame per payload.
fn segment(identity: Segment, payloads: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    identity.encode(&mut file);
    with_frames(file, identity, payloads)
}

/// A segment that begins so, with one frame per payload behind it.
pub(super) fn with_frames(mut file: Vec<u8>, identity: Segment, payloads: &[&[u8]]) -> Vec<u8> {
    let mut lsn = 0;
    for payload in payloads {
        let mut room = [0; HEADER_LEN];
        frame::seal(&mut room, payload, lsn, lsn, identity.seed());
        file.extend([&room[..], payload].concat());
        lsn += payload.len() as u64;
    }
    file
}

#[test]
fn what_redis_appended_to_the_last_segment_is_kept() {
    let of = |shard| Segment { run: 5, shard, shards: 2 };
    let set = command(&["SET", "k", "v"]);
    let ours = [segment(of(0), &[&set]), segment(of(1), &[&set, &set])];
    let appended = [command(&["SELECT", "0"]), set.clone()].concat();
    let last = [&ours[1][..], &appended].concat();
    let (ends, end) = ([ours[0].len() as u64, ours[1].len() as u64], last.len() as u64);
    let (disk, manifest) = stock(&[b"", &ours[0], &last]);
    let plan = plan_of(&disk, &manifest, Rules::new(true)).unwrap();
    let pieces: Vec<_> = plan.pieces.iter().map(|piece| (piece.content, piece.bytes.clone())).collect();
    let expected = [
        (Content::Log(of(0)), 0..ends[0]),
        (Content::Log(of(1)), 0..ends[1]),
        (Content::Plain, ends[1]..end),
    ];
    assert_eq!(pieces, expected);
    assert_eq!(plan.groups().map(<[Piece]>::len).collect::<Vec<_>>(), [2, 1]);
    assert!(plan.cuts.is_empty());
    // It may end early like any file of Redis.
    let torn = last[..last.len() - 3].to_vec();
    let (disk, manifest) = stock(&[b"", &ours[0], &torn]);
    let plan = plan_of(&disk, &manifest, Rules::new(true)).unwrap();
    assert_eq!(plan.cuts[0].at, end - set.len() as u64);
    assert!(matches!(plan_of(&disk, &manifest, Rules::new(false)), Err(Error::Short { .. })));
    // Anywhere else it is no part of a log.
    let first = [&ours[0][..], &appended].concat();
    let (disk, manifest) = stock(&[b"", &first, &ours[1]]);
    let plan = plan_of(&disk, &manifest, Rules::new(true)).unwrap();
    assert_eq!(plan.cuts[0].at, ends[0]);
}

#[test]
fn runs_that_were_recovered_are_whole() {
    let set = command(&["SET", "k", "v"]);
    let of = |run| Segment { run, shard: 0, shards: 1 };
    let (first, second) = (segment(of(1), &[&set]), segment(of(2), &[&set]));
    let damaged = |contents: &[&[u8]]| {
        let (disk, manifest) = stock(contents);
        match plan_of(&disk, &manifest, Rules::new(true)) {
            Err(Error::Damaged { name, at, .. }) => Some((name.into_string().unwrap(), at)),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    };
    let end = first.len() as u64;
    let with_zeroes = [&first[..], &[0; 50]].concat();
    let torn = &first[..first.len() - 1];
    let start = (first.len() - set.len() - HEADER_LEN) as u64;
    assert_eq!(damaged(&[b"", &first, &second]), None);
    assert_eq!(damaged(&[b"", &with_zeroes, &second]), Some(("f.1".into(), end)));
    assert_eq!(damaged(&[b"", torn, &second]), Some(("f.1".into(), start)));
    assert_eq!(damaged(&[b"", &first, &second, &first]), Some(("f.3".into(), 0)));
    assert_eq!(damaged(&[b"", &[0; 50], &first, &second]), Some(("f.1".into(), 0)));
    assert_eq!(damaged(&[b"", b"", &first, b"", &second, &[0; 50]]), None);
    assert_eq!(damaged(&[b"", &[0; 50], &first]), None);
    let other = segment(Segment { shards: 3, ..of(1) }, &[]);
    assert_eq!(damaged(&[b"", &first, &other]), Some(("f.2".into(), 0)));
}

#[test]
fn plans_are_made_and_applied_on_files() {
    let dir = TempFolder::empty();
    let folder = Folder::new(&dir, OsStr::new("d"), OsStr::new("a.aof"));
    folder.create().unwrap();
    let mut manifest = Manifest::default();
    let entry = manifest.add_increment(folder.filename());
    let missing = plan(&folder, &manifest, Rules::new(true)).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "Fatal error: can't open the append log file a.aof.1.incr.aof for reading: \
         No such file or directory (os error 2)"
    );
    let whole = segment(Segment { run: 1, shard: 0, shards: 1 }, &[b"#\n", b"#\n"]);
    std::fs::write(folder.file(&entry), [&whole[..], &[0; 5000]].concat()).unwrap();
    let found = plan(&folder, &manifest, Rules::new(true)).unwrap();
    assert_eq!(found.cuts[0].log, Vec::<String>::new());
    apply(&folder, &found).unwrap();
    assert_eq!(std::fs::read(folder.file(&entry)).unwrap(), whole);
    let torn = [&whole[..], b"#F 0"].concat();
    std::fs::write(folder.file(&entry), &torn).unwrap();
    let found = plan(&folder, &manifest, Rules::new(true)).unwrap();
    assert_eq!(
        found.cuts[0].log,
        [format!(
            "Truncating the AOF a.aof.1.incr.aof at offset {}: no frame begins here, and nothing from there on was on \
         stable storage",
            whole.len()
        )]
    );
    apply(&folder, &found).unwrap();
    assert_eq!(std::fs::read(folder.file(&entry)).unwrap(), whole);
}
