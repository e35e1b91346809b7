//! Logs on disks that do things late, in any order, or not at all.

use super::*;
use crate::aof::frame::{Txn, Verdict};
use crate::base::rng::Rng;
use crate::runtime::blocks::BLOCK_BYTES;
use crate::shard::{Effects, Reach, Slot};
use std::collections::BTreeMap;

const SIZE: u64 = 64 << 10;

fn identity() -> frame::Segment {
    frame::Segment { run: 7, shard: 0, shards: 2 }
}

fn log(sync: AppendFsync) -> Log {
    Log::new(identity(), Settings { sync, ..Settings::default() }, FileId(0), SIZE, 0)
}

fn effects(n: usize) -> Effects {
    let mut effects = Effects::default();
    effects.collect(true);
    let slot = Slot::of(b"k");
    effects.leave(n % 2, Reach::Slot(slot), &[b"SET", b"k", &vec![b'x'; n % 9000]]);
    effects
}

/// What the log's surroundings do, in any order.
#[derive(Default)]
struct Disk {
    files: BTreeMap<u32, Vec<u8>>,
    writes: Vec<(u32, FileId, u64, Blocks)>,
    syncs: Vec<FileId>,
    retired: Vec<(u32, u64)>,
    prepare: usize,
    /// One in so many writes fails; 0 for none.
    failures: usize,
}

impl Disk {
    fn take(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Write { id, file, offset, blocks, .. } => self.writes.push((id, file, offset, blocks)),
                Order::Sync(file) => self.syncs.push(file),
                Order::Retire(file, end) => self.retired.push((file.0, end)),
                Order::Prepare => self.prepare += 1,
            }
        }
    }

    /// Completes something.
    fn step(&mut self, log: &mut Log, rng: &mut Rng, now_ns: u64) {
        if !self.writes.is_empty() && rng.below(2) == 0 {
            let (id, file, offset, blocks) = self.writes.swap_remove(rng.below(self.writes.len()));
            if self.failures > 0 && rng.below(self.failures) == 0 {
                return log.on_wrote(id, blocks, Err(libc::ENOSPC), now_ns);
            }
            let bytes = self.files.entry(file.0).or_default();
            let end = offset as usize + blocks.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[offset as usize..end].copy_from_slice(blocks.bytes());
            log.on_wrote(id, blocks, Ok(()), now_ns);
        } else if !self.syncs.is_empty() {
            let file = self.syncs.swap_remove(rng.below(self.syncs.len()));
            log.on_synced(file, Ok(()), now_ns);
        }
    }
}

/// The payloads of a segment.
fn read(mut bytes: &[u8]) -> (Vec<u8>, Vec<u64>) {
    let (mut payloads, mut starts) = (Vec::new(), Vec::new());
    let frame::Opening::Segment(_, len) = frame::Segment::decode(bytes) else { panic!("no segment") };
    bytes = &bytes[len..];
    loop {
        match frame::decode(bytes, identity().seed()) {
            Verdict::Frame { header, payload, frame_len } => {
                payloads.extend_from_slice(payload);
                starts.push(header.lsn);
                bytes = &bytes[frame_len..];
            }
            Verdict::Padding(len) => bytes = &bytes[len..],
            Verdict::End => return (payloads, starts),
            Verdict::Torn(torn) => panic!("{torn}"),
        }
    }
}

#[test]
fn a_lone_client_fills_one_block_after_the_other() {
    let mut log = log(AppendFsync::Always);
    let (mut disk, mut rng) = (Disk::default(), Rng::new(1));
    for n in 0..50 {
        let end = log.append(effects(n).iter(), None);
        let mut orders = Vec::new();
        log.drive(n as u64, &mut orders);
        assert!(matches!(&orders[..], [Order::Write { mode: WriteMode::Stable, .. }, ..]), "{orders:?}");
        disk.take(orders);
        assert!(log.safe() < end);
        while !disk.writes.is_empty() {
            disk.step(&mut log, &mut rng, 1 << 40);
        }
        assert_eq!(log.safe(), end);
    }
    let (_, starts) = read(&disk.files[&0]);
    assert_eq!(starts.len(), 51, "the start, and one for each");
    assert!(disk.files[&0].len() <= 3 * BLOCK_BYTES, "{}", disk.files[&0].len());
}

#[test]
fn what_comes_back_is_what_was_appended_whatever_the_order_of_completions() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let sync = [AppendFsync::Always, AppendFsync::EverySecond, AppendFsync::No][rng.below(3)];
        let settings = Settings { sync, stable_writes: rng.below(2) == 0, ..Settings::default() };
        let mut log = Log::new(identity(), settings, FileId(0), SIZE, 0);
        let mut disk = Disk { failures: 20, ..Disk::default() };
        let (mut expected, mut now_ns, mut files, mut safe) = (Vec::new(), 0, 1, 0);
        let mut selected_of = None;
        for n in 0..200 {
            now_ns += rng.below(400_000_000) as u64 / [1, 1000][rng.below(2)];
            if rng.below(3) == 0 {
                let n = n * 7 + rng.below(100);
                let effects = effects(n);
                log.append(effects.iter(), None);
                expected.extend(effects.iter().map(|effect| effect.command.to_vec()));
                selected_of = Some(n % 2);
            }
            if rng.below(20) == 0 {
                log.demand(log.end());
            }
            let mut orders = Vec::new();
            log.drive(now_ns, &mut orders);
            disk.take(orders);
            if disk.prepare > 0 && rng.below(3) == 0 {
                disk.prepare -= 1;
                log.on_prepared(FileId(files), SIZE);
                files += 1;
            }
            if rng.below(30) == 0 {
                let mut orders = Vec::new();
                log.switch(FileId(files), SIZE, now_ns, &mut orders);
                files += 1;
                disk.take(orders);
            }
            disk.step(&mut log, &mut rng, now_ns);
            assert!(log.safe() >= safe && log.safe() <= log.end());
            safe = log.safe();
        }
        log.demand(log.end());
        for _ in 0..10_000 {
            if log.is_settled() {
                break;
            }
            now_ns += 1_000_000;
            let mut orders = Vec::new();
            log.drive(now_ns, &mut orders);
            disk.take(orders);
            disk.step(&mut log, &mut rng, now_ns);
        }
        assert!(log.is_settled() && log.safe() == log.end(), "seed {seed}: {log:?}");
        assert!(log.failure().is_none());
        let text: Vec<u8> = disk.files.values().flat_map(|bytes| read(bytes).0).collect();
        let mut rest = &text[..];
        for command in &expected {
            while rest.starts_with(b"*2\r\n$6\r\nSELECT") {
                rest = &rest[b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".len()..];
            }
            let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            assert!(rest.starts_with(command), "seed {seed}: {:?} for {:?}", shown(rest), shown(command));
            rest = &rest[command.len()..];
        }
        assert!(rest.is_empty() && (selected_of.is_some() || expected.is_empty()), "seed {seed}");
    }
}

#[test]
fn what_comes_while_somebody_waits_for_a_sync_goes_together() {
    let settings = Settings { sync: AppendFsync::Always, stable_writes: false, ..Settings::default() };
    let mut log = Log::new(identity(), settings, FileId(0), SIZE, 0);
    let append = |log: &mut Log| (log.append(effects(1).iter(), None), drive(log));
    let (first, orders) = append(&mut log);
    let [Order::Write { id: write, mode: WriteMode::Prompt, .. }] = orders[..] else { panic!("{orders:?}") };
    let (_, orders) = append(&mut log);
    assert!(orders.is_empty(), "{orders:?}: somebody waits for that write already");
    let wrote = |log: &mut Log, id| log.on_wrote(id, Blocks::with_room(0), Ok(()), 0);
    wrote(&mut log, write);
    let orders = drive(&mut log);
    let [Order::Sync(file)] = orders[..] else { panic!("{orders:?}") };
    let orders = drive(&mut log);
    assert!(orders.is_empty(), "{orders:?}");
    log.on_synced(file, Ok(()), 0);
    assert_eq!(log.safe(), first);
    let orders = drive(&mut log);
    let [Order::Write { id: write, .. }] = orders[..] else { panic!("{orders:?}") };
    wrote(&mut log, write);
    assert!(matches!(drive(&mut log)[..], [Order::Sync(_)]));
    log.on_synced(file, Ok(()), 0);
    assert_eq!(log.safe(), log.end());
}

#[test]
fn a_sync_does_not_wait_for_writes_that_come_later() {
    let settings = Settings { sync: AppendFsync::Always, stable_writes: false, ..Settings::default() };
    let mut log = Log::new(identity(), settings, FileId(0), SIZE, 0);
    let mut writes = Vec::new();
    for turn in 0..2 {
        let mut orders = Vec::new();
        log.append(effects(1).iter(), None);
        log.drive((turn + 1) * PLAIN_INTERVAL_NS, &mut orders);
        writes.extend(orders.iter().filter_map(|order| match order {
            Order::Write { id, .. } => Some(*id),
            _ => None,
        }));
    }
    assert_eq!(writes.len(), 2, "a slow write does not keep the next one back for ever");
    log.on_wrote(writes[0], Blocks::with_room(0), Ok(()), 0);
    assert!(matches!(drive(&mut log)[..], [Order::Sync(_)]));
}

fn drive(log: &mut Log) -> Vec<Order> {
    let mut orders = Vec::new();
    log.drive(0, &mut orders);
    orders
}

#[test]
fn a_transaction_is_safe_when_it_is_settled() {
    let mut log = log(AppendFsync::EverySecond);
    let (mut disk, mut rng) = (Disk::default(), Rng::new(1));
    let txn = |number| Txn { coordinator: 1, number, participants: vec![0, 1, 4] };
    let before = log.append(effects(1).iter(), None);
    log.hasten(1, 9);
    log.append(Effects::default().iter(), Some(&txn(8)));
    let between = log.append(effects(1).iter(), None);
    log.append(Effects::default().iter(), Some(&txn(9)));
    let end = log.append(effects(2).iter(), None);
    let mut orders = Vec::new();
    log.drive(0, &mut orders);
    assert!(matches!(&orders[..], [Order::Write { mode: WriteMode::Stable, .. }, ..]), "{orders:?}");
    disk.take(orders);
    assert!(log.stable_parts().is_empty() && log.wanted_parts().is_empty());
    while !disk.writes.is_empty() {
        disk.step(&mut log, &mut rng, 0);
    }
    assert_eq!(log.stable_parts(), [txn(8), txn(9)]);
    assert_eq!(log.wanted_parts(), [(1, 8), (1, 9)]);
    assert!(log.stable_parts().is_empty() && log.wanted_parts().is_empty(), "told once");
    assert_eq!(log.safe(), before);
    log.on_settled(1, 9);
    assert_eq!(log.safe(), before);
    log.on_settled(1, 8);
    assert!(log.safe() == end && between < end);
}

#[test]
fn an_error_of_a_stable_write_may_have_been_that_of_plain_ones() {
    let (mut log, blocks) = (log(AppendFsync::EverySecond), || Blocks::with_room(0));
    log.append(effects(3).iter(), None);
    let mut orders = Vec::new();
    log.drive(2_000_000, &mut orders);
    let Some(Order::Write { id, .. }) = orders.pop() else { panic!("{orders:?}") };
    log.on_wrote(id, blocks(), Ok(()), 0);
    let end = log.append(effects(3).iter(), None);
    log.demand(end);
    log.drive(2_000_000, &mut orders);
    let write = orders.iter().find(|order| matches!(order, Order::Write { mode: WriteMode::Stable, .. }));
    let Some(&Order::Write { id, .. }) = write else { panic!("{orders:?}") };
    log.on_wrote(id, blocks(), Err(libc::ENOSPC), 0);
    assert_eq!(log.failure(), Some(Failure::Write(libc::ENOSPC)), "this says nothing of others");
    log.on_wrote(id, blocks(), Err(libc::EIO), 0);
    assert_eq!(log.failure(), Some(Failure::Sync(libc::EIO)));
}

#[test]
fn a_failed_sync_is_not_forgotten() {
    let mut log = log(AppendFsync::EverySecond);
    let mut orders = Vec::new();
    log.append(effects(3).iter(), None);
    log.drive(2_000_000, &mut orders);
    let Some(Order::Write { id, blocks, mode: WriteMode::Deferred, .. }) = orders.pop() else {
        panic!("{orders:?}")
    };
    log.on_wrote(id, blocks, Ok(()), 0);
    assert_eq!(log.due_ns(), SYNC_INTERVAL_NS);
    log.drive(SYNC_INTERVAL_NS, &mut orders);
    assert!(matches!(orders.pop(), Some(Order::Sync(FileId(0)))));
    log.on_synced(FileId(0), Err(5), 0);
    assert_eq!(log.failure(), Some(Failure::Sync(5)));
    assert_eq!(log.safe(), 0);
}

#[test]
fn what_a_failed_sync_was_for_is_stable_when_a_base_covers_it() {
    let (mut log, mut orders) = (log(AppendFsync::EverySecond), Vec::new());
    let write = |log: &mut Log, orders: &mut Vec<Order>, now_ns| {
        log.append(effects(1).iter(), None);
        log.drive(now_ns, orders);
        for order in std::mem::take(orders) {
            match order {
                Order::Write { id, blocks, .. } => log.on_wrote(id, blocks, Ok(()), now_ns),
                order => orders.push(order),
            }
        }
    };
    let second = SYNC_INTERVAL_NS;
    write(&mut log, &mut orders, second);
    log.drive(2 * second, &mut orders);
    assert!(orders.iter().any(|order| matches!(order, Order::Sync(FileId(0)))), "{orders:?}");
    log.on_synced(FileId(0), Err(5), 2 * second);
    orders.clear();
    write(&mut log, &mut orders, 3 * second);
    assert_eq!((log.failure(), log.safe(), orders.len()), (Some(Failure::Sync(5)), 0, 0));
    assert!(!log.waits_for_base());
    log.switch(FileId(9), SIZE, 4 * second, &mut orders);
    assert!(log.waits_for_base(), "what is before is in the base");
    write(&mut log, &mut orders, 5 * second);
    assert_eq!(log.safe(), 0, "which is not complete");
    log.on_base();
    assert_eq!(log.failure(), None);
    log.drive(6 * second, &mut orders);
    let files: Vec<FileId> = orders
        .drain(..)
        .filter_map(|order| match order {
            Order::Sync(file) => Some(file),
            _ => None,
        })
        .collect();
    files.iter().for_each(|&file| log.on_synced(file, Ok(()), 6 * second));
    assert_eq!((files.contains(&FileId(9)), log.safe()), (true, log.end()));
}

#[test]
fn a_segment_that_cannot_be_made_is_asked_for_again_after_a_while() {
    let (mut log, second) = (log(AppendFsync::No), 1_000_000_000);
    for _ in 0..5 {
        log.append(effects(8999).iter(), None);
    }
    let asks = |log: &mut Log, now_ns| {
        let mut orders = Vec::new();
        log.drive(now_ns, &mut orders);
        orders.iter().filter(|order| matches!(order, Order::Prepare)).count()
    };
    assert_eq!([second, second + 1].map(|now_ns| asks(&mut log, now_ns)), [1, 0]);
    log.on_not_prepared(second);
    assert_eq!(log.due_ns(), second + PREPARE_INTERVAL_NS);
    assert_eq!([second + 1, second + PREPARE_INTERVAL_NS].map(|now_ns| asks(&mut log, now_ns)), [0, 1]);
    log.on_unfit();
    assert_eq!(asks(&mut log, second + PREPARE_INTERVAL_NS), 1, "at once");
}
