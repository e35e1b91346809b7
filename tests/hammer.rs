//! Real clients on real threads against the real binary: what the simulation does with a scheduler of its own, once more with
//! the system's. A run is cut into rounds, each on an empty keyspace; the history of a round, with the times that its clients
//! saw, must be strictly serializable.
//!
//! `CORELANE_HAMMER_SECONDS` sets how long each number of shards is hammered.

mod support;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use support::Request;
use support::bundles::{is_acknowledged, wire};
use support::client::Client;
use support::history::{Failure, Operation, Options, check};
use support::model::is_refused_swap;
use support::resp::{Value, encode};
use support::rng::Rng;
use support::server::Server;
use support::workload::{Bundles, Workload};

const CLIENTS: usize = 12;
const KEYS: usize = 6;
const DATABASES: usize = 2;
/// Operations of a client in a round.
const OPERATIONS: usize = 30;
/// States that the checker looks at before it gives up, and how many in a hundred rounds may end so.
const BUDGET: usize = 100_000;
const UNDECIDED_MAX_PERCENT: usize = 5;

/// One connection and what it does in a round.
struct Player {
    number: usize,
    client: Client,
    db: usize,
    workload: Workload,
    /// The latest operation, if that was a `WATCH`.
    watch: Option<Operation>,
}

impl Player {
    fn new(number: usize, client: Client, workload: Workload) -> Player {
        Player { number, client, db: 0, workload, watch: None }
    }

    fn play(&mut self, epoch: Instant, count: usize) -> Vec<Operation> {
        (0..count).map(|_| self.operate(epoch)).collect()
    }

    fn operate(&mut self, epoch: Instant) -> Operation {
        let (db, request) = match self.watch.take() {
            Some(Operation { db, request, reply: Value::Array(seen), .. }) => {
                (db, self.workload.swap(db, &request, &seen))
            }
            _ => self.workload.next(),
        };
        let mut requests = Vec::new();
        if db != self.db {
            requests.push(support::request(&["SELECT", &db.to_string()]));
            self.db = db;
        }
        requests.extend(wire(&request));
        let nanoseconds = || epoch.elapsed().as_nanos() as u64;
        let invoked_at = nanoseconds();
        let reply = self.converse(&requests);
        let completed_at = Some(nanoseconds());
        let operation = Operation { client: self.number, db, invoked_at, completed_at, request, reply };
        if operation.request[0] == b"WATCH" {
            self.watch = Some(operation.clone());
        }
        operation
    }

    /// The last reply; the others say that all is well.
    fn converse(&mut self, requests: &[Request]) -> Value {
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| encode(&mut bytes, request));
        self.client.send_raw(&bytes).expect("the requests are sent");
        let mut replies = self.client.read_many(requests.len()).expect("every request is answered");
        let last = replies.pop().expect("there is a request");
        assert!(replies.iter().all(is_acknowledged), "{replies:?}");
        last
    }
}

/// What many rounds have seen.
#[derive(Default)]
struct Tally {
    rounds: usize,
    operations: usize,
    undecided: usize,
    /// Transactions that watched keys and ran, or did not.
    swaps: [usize; 2],
}

/// Everybody plays at once. Returns what they saw, and what was left behind.
fn round(server: &Server, clients: &mut Vec<Client>, seed: u64) -> Vec<Operation> {
    let mut rng = Rng::new(seed);
    let bundles = Bundles {
        exec: [0, 10, 30, 60][rng.below(4)],
        watch: [0, 10, 30][rng.below(3)],
        eval: [0, 10, 30][rng.below(3)],
        whole_keyspace: rng.chance(40),
        session: rng.chance(40),
    };
    let mut players: Vec<Player> = clients
        .drain(..)
        .enumerate()
        .map(|(number, client)| {
            let workload = Workload::new(rng.next(), KEYS).with_databases(DATABASES).with_bundles(bundles);
            Player::new(number, client, workload)
        })
        .collect();
    let (epoch, start) = (Instant::now(), Barrier::new(players.len()));
    let mut history: Vec<Operation> = std::thread::scope(|scope| {
        let play = |player| {
            let player: &mut Player = player;
            start.wait();
            player.play(epoch, OPERATIONS)
        };
        let threads: Vec<_> = players.iter_mut().map(|player| scope.spawn(move || play(player))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no client fails")).collect()
    });
    let mut reader = Player::new(players.len(), server.client(), Workload::reader(KEYS, DATABASES));
    history.extend(reader.play(epoch, DATABASES));
    assert_eq!(reader.client.call(&["FLUSHALL"]), Value::ok());
    for mut player in players {
        player.converse(&[support::request(&["UNWATCH"]), support::request(&["SELECT", "0"])]);
        clients.push(player.client);
    }
    history
}

fn hammer(shards: usize) {
    let seconds = std::env::var("CORELANE_HAMMER_SECONDS").map_or(3, |text| {
        text.parse().unwrap_or_else(|_| panic!("CORELANE_HAMMER_SECONDS={text} is no number"))
    });
    let server = Server::start(&["--save", "", "--shards", &shards.to_string()]);
    let mut clients = (0..CLIENTS).map(|_| server.client()).collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tally = Tally::default();
    while tally.rounds == 0 || Instant::now() < end {
        let history = round(&server, &mut clients, tally.rounds as u64);
        match check(&history, Options { budget: BUDGET, ..Options::default() }) {
            Ok(()) => {}
            Err(Failure::Undecided { .. }) => tally.undecided += 1,
            Err(failure) => panic!("{shards} shards, round {}: {failure}", tally.rounds),
        }
        tally.rounds += 1;
        tally.operations += history.len();
        for swap in history.iter().filter(|operation| operation.request[0] == b"CAS") {
            tally.swaps[usize::from(is_refused_swap(&swap.request, &swap.reply))] += 1;
        }
    }
    let Tally { rounds, operations, undecided, swaps: [done, refused] } = tally;
    println!(
        "{shards} shards: {rounds} rounds, {operations} operations, {undecided} rounds undecided, \
         {done} swaps done and {refused} refused"
    );
    assert!(
        undecided * 100 <= rounds.max(20) * UNDECIDED_MAX_PERCENT,
        "{undecided} of {rounds} are undecided"
    );
}

#[test]
fn histories_of_real_threads_on_two_shards_are_strictly_serializable() {
    hammer(2);
}

#[test]
fn histories_of_real_threads_on_four_shards_are_strictly_serializable() {
    hammer(4);
}
