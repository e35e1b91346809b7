//! The cores of one server in a simulated world.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use corelane::config::Config;
use corelane::core::Core;
use corelane::core::state::CoreState;
use corelane::observe::log::Log;
use corelane::route::ShardMap;
use corelane::route::message::Batch;
use corelane::runtime::io::CoreId;
use corelane::runtime::sim::{Faults, Files, LinkId, SimIo, SimMailbox, Step, World};
use corelane::shard::{Hasher, Slot};
use corelane::shared::Shared;

use crate::support::resp::{Decoder, Value, encode};
use crate::support::{Request, request};

/// Databases of simulated servers: few, because every core allocates tables for each.
pub(crate) const DATABASES: usize = 2;
/// Steps after which a calm world must have come to rest.
const STEPS_TO_REST: u64 = 3_000_000;

/// A server.
pub(crate) struct Cluster {
    pub(crate) world: World<Batch>,
    pub(crate) cores: Vec<Core<SimIo, SimMailbox<Batch>>>,
}

impl Cluster {
    /// A server with so many shards and the default configuration.
    pub(crate) fn new(shards: u16, seed: u64, faults: Faults) -> Cluster {
        Cluster::with_config(shards, seed, faults, |_| ())
    }

    /// The same with a configuration that `change` has changed.
    pub(crate) fn with_config(
        shards: u16,
        seed: u64,
        faults: Faults,
        change: impl FnOnce(&mut Config),
    ) -> Cluster {
        Cluster::with_files(shards, seed, faults, Files::new(), change)
    }

    /// The same with files on its disk.
    pub(crate) fn with_files(
        shards: u16,
        seed: u64,
        faults: Faults,
        files: Files,
        change: impl FnOnce(&mut Config),
    ) -> Cluster {
        let mut config = Config::default();
        (config.databases, config.latency_tracking) = (DATABASES as u32, false);
        change(&mut config);
        let map = ShardMap::new(shards);
        let world = World::with_files(map.shards(), seed, faults, files);
        let shared = Arc::new(Shared::new(map, config, Log::silent(), "0".repeat(40), 0));
        let hasher = Hasher::from_seed(seed);
        let core = |core: CoreId| {
            let clock = Box::new(world.clock());
            let state = CoreState::new(core, Arc::clone(&shared), &hasher, seed ^ u64::from(core.0), clock);
            Core::new(state, world.io(core), world.mailbox(core))
        };
        let cores = map.all().map(core).collect();
        Cluster { world, cores }
    }

    /// Lets one thing happen; false if nothing can.
    pub(crate) fn step(&mut self) -> bool {
        match self.world.step() {
            Step::Turn(core) => {
                let more = self.cores[core.index()].turn();
                self.world.turned(core, more);
                true
            }
            Step::Moved => true,
            Step::Nothing => false,
        }
    }

    /// Lets everything happen that can without time passing and without faults.
    pub(crate) fn rest(&mut self) {
        self.world.calm();
        let end = self.world.steps() + STEPS_TO_REST;
        while self.step() {
            assert!(self.world.steps() < end, "the server does not come to rest");
        }
    }

    /// Rests, lets time pass, and rests again.
    pub(crate) fn rest_for(&mut self, duration: Duration) {
        self.rest();
        self.world.pass(duration);
        self.rest();
    }

    /// Everybody whose connection is over is gone, and nothing is under way in any core.
    pub(crate) fn assert_nothing_left(&self) {
        for core in &self.cores {
            let state = &core.state;
            let what = format!("core {} at rest", state.core);
            assert!(state.locks.is_empty(), "{what}: {} reservations", state.locks.len());
            assert!(state.tickets.is_empty(), "{what}: {} tickets of transactions", state.tickets.len());
            assert!(state.txns.is_empty(), "{what}: {} transactions", state.txns.len());
            assert!(state.blocking.is_empty(), "{what}: {:?}", state.blocking);
            assert!(state.programs.is_empty(), "{what}: {:?}", state.programs);
            assert_eq!(state.watches.keys(), self.watched_on(state.core), "{what}: watched keys");
            assert!(state.asks.is_empty(), "{what}: {} questions", state.asks.len());
            assert!(
                state.to_self.is_empty()
                    && state.crowded.is_empty()
                    && state.runnable.is_empty()
                    && state.dirty.is_empty(),
                "{what}"
            );
            assert!(state.orders.is_empty(), "{what}: orders");
            assert!(state.outboxes.iter().all(|outbox| outbox.messages.is_empty()), "{what}: outboxes");
            assert_eq!(state.workbench.dbs.iter().map(|db| db.len()).sum::<usize>(), 0, "{what}: workbench");
            for client in state.clients.iter() {
                assert!(client.is_ready() && client.row.is_empty() && !client.sending, "{what}: {client:?}");
                assert!(client.input.is_none() && !client.receive_paused, "{what}: {client:?}");
            }
            let connections =
                state.shared.connections[state.core.index()].load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(state.clients.len(), connections as usize, "{what}: connections");
        }
    }

    /// Keys of a shard that clients watch.
    fn watched_on(&self, shard: CoreId) -> usize {
        let clients = self.cores.iter().flat_map(|core| core.state.clients.iter());
        let keys = clients.flat_map(|client| client.session.watched.iter());
        let owner = |name: &[u8]| self.cores[0].state.map.owner(Slot::of(name));
        keys.filter(|(_, name)| owner(name) == shard).collect::<BTreeSet<_>>().len()
    }

    /// Every key is where its slot says.
    pub(crate) fn assert_keys_at_home(&self, keys: impl Iterator<Item = String>) {
        for name in keys {
            let owner = self.cores[0].state.map.owner(Slot::of(name.as_bytes()));
            for core in self.cores.iter().filter(|core| core.id() != owner) {
                let shard = &core.state.shard;
                let key = shard.key(name.as_bytes());
                let strays = (0..DATABASES).filter(|&db| shard.dbs[db].get(&key).is_some()).count();
                assert_eq!(strays, 0, "core {} holds {name} of core {owner}", core.id());
            }
        }
    }

    /// A client of a directed test.
    pub(crate) fn user(&mut self, core: u16) -> User {
        User { link: self.world.connect(CoreId(core)), decoder: Decoder::new() }
    }

    /// Sends a request and takes its reply, all at rest.
    pub(crate) fn ask(&mut self, user: &mut User, line: &str) -> Value {
        self.say(user, line);
        self.rest();
        let mut replies = self.hear(user);
        assert_eq!(replies.len(), 1, "replies to {line}: {replies:?}");
        replies.remove(0)
    }

    /// Sends a request of words.
    pub(crate) fn say(&mut self, user: &User, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        self.say_request(user, &request(&words));
    }

    /// Sends a request.
    pub(crate) fn say_request(&mut self, user: &User, request: &Request) {
        let mut bytes = Vec::new();
        encode(&mut bytes, request);
        self.world.send(user.link, &bytes);
    }

    /// The replies that have arrived.
    pub(crate) fn hear(&mut self, user: &mut User) -> Vec<Value> {
        user.decoder.feed(&self.world.receive(user.link));
        std::iter::from_fn(|| user.decoder.next().expect("well-formed replies")).collect()
    }
}

/// A client of a directed test.
pub(crate) struct User {
    pub(crate) link: LinkId,
    pub(crate) decoder: Decoder,
}

/// A key with this prefix that lives on a shard.
pub(crate) fn key_on(shards: u16, shard: u16, prefix: &str) -> String {
    let map = ShardMap::new(shards);
    let mut names = (0..).map(|n| format!("{prefix}{n}"));
    names.find(|name| map.owner(Slot::of(name.as_bytes())) == CoreId(shard)).expect("some name is there")
}
