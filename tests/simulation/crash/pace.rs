//! On a slow disk, who asks for durability is answered within a bounded time, however much others keep writing.
//!
//! Clients that ask for it have one request under way at a time. The others send at random moments and don't wait, so that
//! there is always more to be written. All replies are `+OK`, and the time that counts is that from the last byte of a request
//! at the server to the last of its reply there.

use corelane::config::AppendFsync;
use corelane::runtime::io::{Clock, CoreId};
use corelane::runtime::sim::{Faults, LinkId, SlowDisk};

use super::{Folder, Life, Logging};
use crate::cluster::{Cluster, key_on};
use crate::random::{number, seeds};
use crate::support::request;
use crate::support::resp::encode;
use crate::support::rng::Rng;

/// A reply takes no longer than so many times a write and a sync: what is under way when the request comes, then what holds its
/// effects, and the same once more on another shard.
const ROUNDS_MAX: u64 = 5;
/// All that has nothing to do with the disk takes no longer than this, in nanoseconds.
const REST_NS: u64 = 10_000_000;
/// A run is so many times as long as a reply may take.
const RUN: u64 = 2;
const CLIENTS: usize = 6;
const REPLY_BYTES: usize = b"+OK\r\n".len();

struct Client {
    link: LinkId,
    durable: bool,
    /// Bytes that were sent when each request was complete.
    sent: Vec<u64>,
    heard_bytes: usize,
}

impl Client {
    fn connect(cluster: &mut Cluster, core: CoreId, durable: bool) -> Client {
        let link = cluster.world.connect(core);
        cluster.rest();
        Client { link, durable, sent: Vec::new(), heard_bytes: 0 }
    }

    /// Sends another request if it may: for one shard or, sometimes, for two.
    fn act(&mut self, rng: &mut Rng, cluster: &mut Cluster) {
        self.heard_bytes += cluster.world.receive(self.link).len();
        if self.durable && self.heard_bytes < self.sent.len() * REPLY_BYTES {
            return;
        }
        let shards = cluster.cores.len();
        let [a, b] = [0; 2].map(|_| key_on(shards as u16, rng.below(shards) as u16, "k"));
        let words = if rng.chance(10) { vec!["MSET", &a, "1", &b, "2"] } else { vec!["SET", &a, "1"] };
        let mut bytes = Vec::new();
        encode(&mut bytes, &request(&words));
        self.sent.push(self.sent.last().copied().unwrap_or_default() + bytes.len() as u64);
        cluster.world.send(self.link, &bytes);
    }

    /// The steps in which each request had come in and its reply was sent, as far as they were.
    fn waits<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = (u64, Option<u64>)> + 'a {
        let replies = (1..).map(|n| cluster.world.sent_at(self.link, n * REPLY_BYTES as u64));
        let requests = self.sent.iter().map_while(|&bytes| cluster.world.received_at(self.link, bytes));
        requests.zip(replies)
    }
}

/// One run. Returns the longest wait for a reply, in percent of the longest allowed.
fn run(shards: u16, seed: u64, broken: bool) -> Result<u64, String> {
    let mut rng = Rng::new(seed ^ 0x9ace);
    let sync = [AppendFsync::Always, AppendFsync::EverySecond][rng.below(2)];
    let logging = Logging::drawn(&mut rng, sync);
    let disk = SlowDisk::drawn(seed);
    // The network is none of this: a reply that cannot be sent would count.
    let mailbox_capacity = Faults::drawn(seed).mailbox_capacity;
    let faults = Faults { slow_disk: Some(disk), mailbox_capacity, ..Faults::none() };
    let mut life = Life::begin(Folder::default(), shards, seed, &faults, logging)?;
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|n| Client::connect(&mut life.cluster, CoreId(rng.below(shards.into()) as u16), n % 2 == 0))
        .collect();
    for core in &mut life.cluster.cores {
        // Ids are given in the order of connecting, from 1 on.
        core.state.clients.iter_mut().for_each(|client| client.session.durable = Some(client.id % 2 == 1));
        if broken {
            core.state.journal.break_log_for_test();
        }
    }
    life.stir(faults);
    let clock = life.cluster.world.clock();
    let allowed_ns = ROUNDS_MAX * (disk.write_us + disk.sync_us) as u64 * 1000 + REST_NS;
    let end_ns = clock.monotonic_ns() + RUN * allowed_ns;
    let first_step = life.cluster.world.steps();
    let mut times_ns = vec![clock.monotonic_ns()];
    while clock.monotonic_ns() < end_ns {
        if rng.chance(15) {
            let at = rng.below(clients.len());
            clients[at].act(&mut rng, &mut life.cluster);
        }
        life.step();
        times_ns.push(clock.monotonic_ns());
    }
    let time_ns = |step: u64| times_ns[(step - first_step) as usize];
    let mut longest_ns = 0;
    for (received, sent) in
        clients.iter().filter(|client| client.durable).flat_map(|client| client.waits(&life.cluster))
    {
        let waited_ns = sent.map_or(clock.monotonic_ns(), time_ns) - time_ns(received);
        if waited_ns > allowed_ns {
            return Err(format!("{logging:?}, {disk:?}: no reply for {waited_ns} ns, sent: {sent:?}"));
        }
        longest_ns = longest_ns.max(waited_ns);
    }
    Ok(longest_ns * 100 / allowed_ns)
}

#[test]
fn replies_come_in_time_on_a_slow_disk() {
    for shards in [1, 2, 3] {
        let mut longest = 0;
        for seed in seeds(60) {
            match run(shards, seed, false) {
                Ok(percent) => longest = longest.max(percent),
                Err(why) => panic!("{shards} shards: replay with CORELANE_SIM_SEED={seed}: {why}"),
            }
        }
        if number("CORELANE_SIM_SEEDS").is_some() {
            eprintln!("{shards} shards: the longest wait was {longest} percent of what is allowed");
        }
        assert!(longest > 0, "{shards} shards: nothing has met the disk");
    }
}

#[test]
fn syncs_that_are_put_off_are_noticed() {
    for shards in [1, 2, 3] {
        let found = (0..60).find_map(|seed| run(shards, seed, true).err());
        let why = found.unwrap_or_else(|| panic!("{shards} shards: nothing noticed"));
        assert!(why.contains("no reply"), "{why}");
    }
}
