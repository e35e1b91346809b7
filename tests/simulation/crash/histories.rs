//! Histories that end with a crash: with replies only for what is safe, some order of the operations that were answered, and of
//! some that were not, explains all replies and what is there after recovery.
//!
//! So everything that was acknowledged or seen survives, nothing that was done as one is there in part, and what was deleted
//! stays so. Each life is checked by itself: it begins with what was read after the recovery before it, and
//! ends with what is read after the next one.

use corelane::config::AppendFsync;
use corelane::core::journal::Careless;
use corelane::runtime::sim::{Faults, SlowDisk};

use super::{Folder, Life, Logging};
use crate::client::{Client, Recorder};
use crate::cluster::{Cluster, DATABASES};
use crate::random::{Verdict, drawn_bundles, number, seeds};
use crate::support::history::{Failure, Operation, Options, check};
use crate::support::request;
use crate::support::resp::Value;
use crate::support::rng::Rng;
use crate::support::workload::Workload;

const KEYS: usize = 7;
const BUDGET: usize = 100_000;
const UNDECIDED_MAX_PERCENT: u64 = 3;
const LOST_MAX: usize = 3;
/// The most steps of a life.
const STEPS: usize = 12_000;
/// Later than every step.
const AFTERWARDS: u64 = 1 << 40;

/// What the runs of some seeds have met.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Met {
    pub(super) lives: u64,
    pub(super) undecided: u64,
    pub(super) switches: usize,
    pub(super) answered: usize,
    pub(super) unanswered: usize,
}

/// A server that is broken on purpose.
pub(super) type Break = fn(&mut Cluster);

/// What all keys hold, as operations of one client.
fn read_everything(cluster: &mut Cluster, time: u64) -> Vec<Operation> {
    let mut user = cluster.user(0);
    let keys: Vec<String> = (0..KEYS).map(|n| format!("k{n}")).collect();
    let line = format!("MGET {}", keys.join(" "));
    let mut operations = Vec::new();
    for db in 0..DATABASES {
        cluster.ask(&mut user, &format!("SELECT {db}"));
        let reply = cluster.ask(&mut user, &line);
        let words: Vec<&str> = line.split(' ').collect();
        let (invoked_at, completed_at) = (time + db as u64, Some(time + db as u64));
        let request = request(&words);
        operations.push(Operation { client: usize::MAX, db, invoked_at, completed_at, request, reply });
    }
    cluster.world.close(user.link);
    cluster.rest();
    operations
}

/// Operations that lead to what was read.
fn restore(read: &[Operation]) -> Vec<Operation> {
    let one = |read: &Operation| {
        let Value::Array(values) = &read.reply else { panic!("{read} is an array") };
        let mut words = request(&["MSET"]);
        for (key, value) in read.request[1..].iter().zip(values) {
            if let Value::Bulk(value) = value {
                words.extend([key.clone(), value.clone()]);
            }
        }
        let operation = Operation {
            client: 0,
            db: read.db,
            invoked_at: 0,
            completed_at: Some(0),
            request: words,
            reply: Value::ok(),
        };
        (operation.request.len() > 1).then_some(operation)
    };
    read.iter().filter_map(one).collect()
}

/// Lets random clients work until a random moment. Returns what they have seen, and what outlives it.
fn live(mut life: Life, seed: u64, faults: Faults, met: &mut Met) -> (Vec<Operation>, Folder) {
    let mut rng = Rng::new(seed ^ 0x11fe);
    let mut recorder = Recorder::default();
    let bundles = drawn_bundles(&mut rng);
    let mut clients: Vec<Client> = (0..2 + rng.below(4))
        .map(|_| {
            let seed = rng.next();
            let workload = Workload::new(seed, KEYS).with_databases(DATABASES).with_bundles(bundles);
            Client::new(seed, workload, 5 + rng.below(30), [1, 1, 1, 3][rng.below(4)])
        })
        .collect();
    life.stir(faults);
    let most = [400, 2_000, STEPS][rng.below(3)];
    for _ in 0..rng.below(most) {
        if rng.chance(20) {
            let at = rng.below(clients.len());
            clients[at].act(&mut life.cluster, &mut recorder);
            // Who was refused a part of what it sent together knows little: the crash comes now.
            if recorder.refused() > 0 {
                break;
            }
            if recorder.lost() >= LOST_MAX {
                life.cluster.world.stop_breaking();
            }
        }
        life.step();
        for core in &mut life.cluster.cores {
            core.state.clients.iter_mut().for_each(|client| client.session.durable = Some(true));
        }
    }
    met.switches += life.switches;
    let mut history = Vec::new();
    let folder = life.crash(|cluster| {
        clients.iter_mut().for_each(|client| client.listen(cluster, &mut recorder));
        history = recorder.history(cluster);
    });
    met.answered += history.iter().filter(|operation| operation.completed_at.is_some()).count();
    met.unanswered += history.iter().filter(|operation| operation.completed_at.is_none()).count();
    (history, folder)
}

/// One run: some lives.
pub(super) fn run(shards: u16, seed: u64, sync: AppendFsync, broken: Break, met: &mut Met) -> Verdict {
    let mut rng = Rng::new(seed ^ 0x0c4a);
    let logging = Logging::drawn(&mut rng, sync);
    let mut faults = Faults::drawn(seed);
    faults.write_failures = [0, 0, 0, 10][rng.below(4)];
    faults.disk_stalls = [0, 5, 20, 50][rng.below(4)];
    faults.failing_syncs = [0, 0, 0, 10][rng.below(4)];
    faults.slow_disk = (seed % 4 == 3).then(|| SlowDisk::drawn(seed));
    let (mut folder, mut history, mut undecided) = (Folder::default(), Vec::new(), false);
    let lives = 1 + rng.below(3) as u64;
    for n in 0..=lives {
        let seed = seed.wrapping_mul(31).wrapping_add(n << 40);
        let mut life = match Life::begin(folder, shards, seed, &faults, logging) {
            Ok(life) => life,
            Err(error) => return Verdict::Rejected(error),
        };
        broken(&mut life.cluster);
        let read = read_everything(&mut life.cluster, AFTERWARDS);
        history.extend(read.iter().cloned());
        match check(&history, Options { budget: BUDGET, ..Options::default() }) {
            Ok(()) => {}
            Err(Failure::Undecided { .. }) => undecided = true,
            Err(failure) => return Verdict::Rejected(format!("life {n}: {failure}")),
        }
        if n == lives {
            break;
        }
        met.lives += 1;
        history = restore(&read);
        let (new, left) = live(life, seed, faults.clone(), met);
        history.extend(new);
        folder = left;
    }
    met.undecided += u64::from(undecided);
    if undecided { Verdict::Undecided } else { Verdict::Accepted }
}

fn examine_seeds(shards: u16, sync: AppendFsync, count: u64) -> Met {
    let mut met = Met::default();
    let seeds = seeds(count);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        if let Verdict::Rejected(why) = run(shards, seed, sync, |_| (), &mut met) {
            panic!("{shards} shards, {sync:?}: replay with CORELANE_SIM_SEED={seed}: {why}");
        }
    }
    if number("CORELANE_SIM_SEEDS").is_some() {
        eprintln!("{shards} shards, {sync:?}, {count} seeds: {met:?}");
    }
    assert!(met.undecided * 100 <= count * UNDECIDED_MAX_PERCENT, "{met:?} of {count} runs are undecided");
    met
}

#[test]
fn what_was_answered_survives_on_one_shard() {
    examine_seeds(1, AppendFsync::Always, 300);
}

#[test]
fn what_was_answered_survives_on_two_shards() {
    examine_seeds(2, AppendFsync::Always, 300);
}

#[test]
fn what_was_answered_survives_on_three_shards() {
    examine_seeds(3, AppendFsync::Always, 300);
}

#[test]
fn what_was_answered_survives_on_eight_shards() {
    examine_seeds(8, AppendFsync::Always, 150);
}

#[test]
fn what_durable_sessions_were_answered_survives() {
    for (shards, sync) in [(1, AppendFsync::EverySecond), (2, AppendFsync::EverySecond), (3, AppendFsync::No)]
    {
        examine_seeds(shards, sync, 100);
    }
}

/// The first seed whose run is rejected, with the reason.
fn first_rejected(shards: u16, broken: Break) -> Option<(u64, String)> {
    (0..400).find_map(|seed| match run(shards, seed, AppendFsync::Always, broken, &mut Met::default()) {
        Verdict::Rejected(why) => Some((seed, why)),
        _ => None,
    })
}

fn break_logs(cluster: &mut Cluster, careless: Careless) {
    cluster.cores.iter_mut().for_each(|core| core.state.journal.careless_for_test = Some(careless));
}

#[test]
fn replies_before_the_disk_are_noticed() {
    for shards in [1, 2, 3, 8] {
        let found = first_rejected(shards, |cluster| break_logs(cluster, Careless::All));
        let (_, why) = found.unwrap_or_else(|| panic!("{shards} shards: nothing noticed"));
        assert!(why.contains("no order of these operations"), "{why}");
    }
}
