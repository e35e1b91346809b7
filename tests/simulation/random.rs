//! Random clients on a faulty network, seed by seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use corelane::runtime::sim::Faults;

use crate::client::{Client, Recorder};
use crate::cluster::{Cluster, DATABASES, User};
use crate::support::bundles::bundle;
use crate::support::history::{Failure, Operation, Options, check};
use crate::support::model::is_refused_swap;
use crate::support::resp::Value;
use crate::support::rng::Rng;
use crate::support::workload::{Bundles, Workload};

/// Keys of a run.
const KEYS: usize = 7;
/// States that the checker looks at before it gives up, and how many in a hundred runs may end so.
const BUDGET: usize = 200_000;
const UNDECIDED_MAX_PERCENT: u64 = 2;
/// Lost replies after which no further connection breaks: each of them doubles the orders that the checker must try.
const LOST_MAX: usize = 5;
/// Steps with faults, after which the world becomes calm so that a stuck client shows.
const STEPS: u64 = 60_000;

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Undecided,
    Rejected(String),
}

/// One run.
pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) history: Vec<Operation>,
    stuck: usize,
}

/// Lets random clients work until all have their replies. `prepare` may change the server.
pub(crate) fn run(shards: u16, seed: u64, faults: Faults, prepare: impl FnOnce(&mut Cluster)) -> Run {
    let mut rng = Rng::new(seed);
    let mut cluster = Cluster::new(shards, seed, faults);
    prepare(&mut cluster);
    let mut recorder = Recorder::default();
    let bundles = drawn_bundles(&mut rng);
    let mut clients: Vec<Client> = (0..3 + rng.below(4))
        .map(|_| {
            let seed = rng.next();
            let workload = Workload::new(seed, KEYS).with_databases(DATABASES).with_bundles(bundles);
            Client::new(seed, workload, 20 + rng.below(21), [1, 1, 3, 10][rng.below(4)])
        })
        .collect();
    while !clients.iter().all(Client::is_done) && cluster.world.steps() < STEPS {
        if rng.chance(20) {
            let at = rng.below(clients.len());
            clients[at].act(&mut cluster, &mut recorder);
            if recorder.lost() >= LOST_MAX {
                cluster.world.stop_breaking();
            } else if rng.below(400) == 0 {
                clients[at].leave(&mut cluster, &mut recorder);
            }
        }
        cluster.step();
    }
    loop {
        cluster.rest();
        let mut acted = false;
        clients.iter_mut().for_each(|client| acted |= client.act(&mut cluster, &mut recorder));
        if !acted {
            break;
        }
    }
    let stuck = clients.iter().filter(|client| client.is_waiting()).count();
    if stuck == 0 {
        read_everything(&mut cluster, &mut recorder);
    }
    let history = recorder.history(&cluster);
    Run { cluster, history, stuck }
}

/// Which operations of several commands a run has: one in four has none.
pub(crate) fn drawn_bundles(rng: &mut Rng) -> Bundles {
    match rng.below(4) {
        0 => Bundles::default(),
        _ => Bundles {
            exec: [10, 30, 60][rng.below(3)],
            watch: [0, 10, 30][rng.below(3)],
            eval: [0, 10, 30][rng.below(3)],
            whole_keyspace: rng.chance(40),
            session: rng.chance(40),
        },
    }
}

/// Reads all keys by a client that comes when all others are done.
fn read_everything(cluster: &mut Cluster, recorder: &mut Recorder) {
    let mut reader = Client::new(0, Workload::reader(KEYS, DATABASES), DATABASES, 1);
    while reader.act(cluster, recorder) || !reader.is_done() {
        cluster.rest();
    }
}

impl Run {
    /// Whether every client got its replies and some order explains them.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.stuck > 0 {
            return Verdict::Rejected(format!("{} clients wait for ever", self.stuck));
        }
        match check(&self.history, Options { budget: BUDGET, ..Options::default() }) {
            Ok(()) => Verdict::Accepted,
            Err(Failure::Undecided { .. }) => Verdict::Undecided,
            Err(failure) => Verdict::Rejected(failure.to_string()),
        }
    }
}

/// Runs one seed and asserts everything that must hold; true if the checker could decide.
fn examine(shards: u16, seed: u64) -> bool {
    let mut run = run(shards, seed, Faults::drawn(seed), |_| ());
    let verdict = run.verdict();
    if let Verdict::Rejected(why) = verdict {
        if number("CORELANE_SIM_SEED").is_some() {
            run.history.iter().for_each(|operation| eprintln!("{operation}"));
        }
        panic!("{why}");
    }
    run.cluster.assert_nothing_left();
    run.cluster.assert_keys_at_home((0..KEYS).map(|n| format!("k{n}")));
    run.cluster.rest_for(Duration::from_secs(1));
    run.cluster.assert_nothing_left();
    verdict == Verdict::Accepted
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// So many seeds, unless the environment says otherwise.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    match number("CORELANE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CORELANE_SIM_SEEDS").unwrap_or(count),
    }
}

/// Examines so many seeds.
fn examine_seeds(shards: u16, count: u64) {
    let seeds = seeds(count);
    let count = seeds.end - seeds.start;
    let mut undecided = 0;
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| examine(shards, seed))) {
            Ok(decided) => undecided += u64::from(!decided),
            Err(_) => panic!("{shards} shards: replay with CORELANE_SIM_SEED={seed}"),
        }
    }
    assert!(undecided * 100 <= count * UNDECIDED_MAX_PERCENT, "{undecided} of {count} runs are undecided");
}

#[test]
fn histories_on_one_shard_are_strictly_serializable() {
    examine_seeds(1, 300);
}

#[test]
fn histories_on_two_shards_are_strictly_serializable() {
    examine_seeds(2, 300);
}

#[test]
fn histories_on_three_shards_are_strictly_serializable() {
    examine_seeds(3, 260);
}

#[test]
fn histories_on_eight_shards_are_strictly_serializable() {
    examine_seeds(8, 150);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [1, 7, 12] {
        let [first, second] = [(), ()].map(|()| run(3, seed, Faults::drawn(seed), |_| ()));
        assert_eq!(first.history, second.history);
        assert_eq!(first.cluster.world.steps(), second.cluster.world.steps());
    }
}

/// What the default seeds must have met, so that no change makes the simulation harmless unnoticed.
#[test]
fn seeds_meet_contention_breaks_and_unknown_outcomes() {
    let (mut contended, mut unknown, mut held_back) = (0, 0, 0);
    for seed in 0..20 {
        let run = run(3, seed, Faults::drawn(seed), |_| ());
        contended +=
            run.cluster.cores.iter().map(|core| core.state.stats.transactions_contended).sum::<u64>();
        unknown += run.history.iter().filter(|operation| operation.completed_at.is_none()).count();
        held_back += usize::from(run.cluster.cores.iter().any(|core| core.state.stats.remote_commands > 0));
    }
    assert!(contended > 100 && unknown > 20 && held_back == 20, "{contended} {unknown} {held_back}");
}

/// The same for transactions: some are refused, some that watch keys of others succeed, some wait for answers.
#[test]
fn seeds_meet_transactions_of_all_fates() {
    let (mut done, mut refused, mut whole, mut asking) = (0, 0, 0, 0);
    for seed in 0..40 {
        let run = run(3, seed, Faults::drawn(seed), |_| ());
        for operation in run.history.iter().filter(|operation| operation.completed_at.is_some()) {
            let Some(bundle) = bundle(&operation.request) else { continue };
            let has = |name: &[u8]| bundle.commands.iter().any(|command| command[0] == name);
            refused += usize::from(is_refused_swap(&operation.request, &operation.reply));
            done += usize::from(!bundle.seen.is_empty() && !operation.reply.is_null());
            whole += usize::from(has(b"DBSIZE") || has(b"KEYS") || has(b"RANDOMKEY"));
            asking += usize::from(has(b"CLIENT"));
        }
    }
    let counts = [done, refused, whole, asking];
    assert!(done > refused / 4 && counts.iter().all(|&count| count > 20), "{counts:?}");
}

/// Without writes of others every transaction runs, whatever its shards and the faults.
#[test]
fn nobody_is_refused_without_a_cause() {
    for shards in [1, 2, 3, 8] {
        for seed in 0..40 {
            let mut cluster = Cluster::new(shards, seed, Faults { breaks: 0, ..Faults::drawn(seed) });
            let mut users: Vec<User> = (0..4).map(|n| cluster.user(n % shards)).collect();
            for round in 0..5 {
                for (n, user) in users.iter().enumerate() {
                    // Each writes to its own keys and reads everybody's.
                    let [a, b] = [0, 1].map(|at| format!("k{n}.{at}"));
                    cluster.say(user, &format!("WATCH {a} {b} read{round}"));
                    cluster.say(user, "MGET k0.0 k1.1 k2.0 k3.1");
                    for line in ["MULTI", &format!("MSET {a} {round} {b} 1"), &format!("INCR {b}"), "DBSIZE"]
                    {
                        cluster.say(user, line);
                    }
                    cluster.say(user, "EXEC");
                }
                for _ in 0..200 {
                    cluster.step();
                }
            }
            cluster.rest();
            for user in &mut users {
                let replies = cluster.hear(user);
                for exec in replies.iter().skip(6).step_by(7) {
                    let Value::Array(each) = exec else { panic!("{shards} shards, seed {seed}: {exec}") };
                    assert_eq!(each[..2], [Value::ok(), Value::Int(2)]);
                }
                assert_eq!(replies.len(), 5 * 7);
            }
            cluster.assert_nothing_left();
        }
    }
}
