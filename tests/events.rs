//! Keyspace events: random commands against stock `redis-server` and Corelane, whose events are compared command by command,
//! on 1, 2 and 8 shards; and when events come to those who listen.
//!
//! The environment can change the comparison as it can change `tests/differential.rs`:
//! - `CORELANE_EVENTS_COMMANDS`: commands in total over the three numbers of shards (default 60,000);
//! - `CORELANE_DIFF_SEED`, `CORELANE_DIFF_REFERENCE`: as there.

mod support;

use std::env;

use corelane::route::ShardMap;
use corelane::shard::Slot;
use support::client::Client;
use support::commands::{Commands, DATABASES};
use support::resp::Value;
use support::rng::Rng;
use support::server::Server;
use support::{Request, redis, request, shown};

const COMMANDS: &str = "CORELANE_EVENTS_COMMANDS";
const SEED: &str = "CORELANE_DIFF_SEED";
/// Commands between two changes of the selected database.
const CHUNK: usize = 50;
/// Commands shown with a mismatch.
const SHOWN: usize = 4;
/// Mismatches after which a comparison ends.
const MISMATCHES: usize = 20;
/// Nothing expires unless a command looks.
const LAZY: [&str; 3] = ["DEBUG", "SET-ACTIVE-EXPIRE", "0"];

fn number_from_env(name: &str, default: u64) -> u64 {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"));
    env::var(name).map_or(default, parse)
}

/// A server, one connection that sends commands and one that listens to all events.
struct Side {
    _server: Server,
    sender: Client,
    listener: Client,
    /// A key on each shard that no command creates: a look at it is the last event from that shard.
    marks: Vec<Request>,
}

impl Side {
    fn start(server: Server, shards: u16) -> Side {
        let (mut sender, mut listener) = (server.client(), server.client());
        for command in [&["CONFIG", "SET", "notify-keyspace-events", "AKEnm"][..], &LAZY] {
            assert_eq!(sender.call(command), Value::ok());
        }
        assert!(!listener.call(&["PSUBSCRIBE", "__key*__:*"]).is_error());
        let map = ShardMap::new(shards);
        let mark_on = |shard| {
            let names = (0..).map(|number| format!("mark:{number}"));
            names
                .into_iter()
                .find(|name| map.owner(Slot::of(name.as_bytes())) == shard)
                .expect("there is one")
        };
        let marks = map.all().map(|shard| request(&["GET", &mark_on(shard)])).collect();
        Side { _server: server, sender, listener, marks }
    }

    /// Runs a command. Returns its reply and what was published, as channels and messages.
    fn run(&mut self, command: &Request) -> (Value, Vec<(String, String)>) {
        let reply = self.sender.call(command);
        self.sender.pipeline(&self.marks).expect("an answer to each mark");
        let (mut published, mut marks) = (Vec::new(), self.marks.len());
        while marks > 0 {
            let message = self.listener.read().expect("a mark is published");
            let Value::Array(parts) = &message else { panic!("{message} is no message") };
            let [_, _, Value::Bulk(channel), Value::Bulk(message)] = &parts[..] else {
                panic!("{message} is no message of a pattern")
            };
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            let (channel, message) = (text(channel), text(message));
            if message.starts_with("mark:") {
                marks -= 1;
            } else if !channel.contains("mark:") {
                published.push((channel, message));
            }
        }
        (reply, published)
    }
}

fn compare_servers(shards: u16) {
    let base = number_from_env(SEED, 1);
    let seed = base.wrapping_mul(1_000).wrapping_add(u64::from(shards));
    let total = number_from_env(COMMANDS, 60_000) as usize / 3;
    let debug = ["--enable-debug-command", "yes"];
    let tested = Server::start(&[&debug[..], &["--shards", &shards.to_string()]].concat());
    let mut sides = [Side::start(redis::start(&debug), 1), Side::start(tested, shards)];
    let newer = request(&["COMMAND", "GETKEYS", "HPERSIST", "key", "FIELDS", "1", "field"]);
    let is_modern = !sides[0].sender.call(&newer).is_error();
    let mut commands = Commands::new(seed).for_reference(is_modern);
    let (mut rng, mut history) = (Rng::new(!seed), Vec::<Request>::new());
    let (mut events, mut mismatches) = (0, Vec::new());
    let name = format!("{SEED}={base} ({shards} shards)");
    for _ in 0..total.div_ceil(CHUNK) {
        let select = request(&["SELECT", &rng.below(DATABASES).to_string()]);
        let chunk = commands.chunk(CHUNK).into_iter().map(|command| command.request);
        for command in std::iter::once(select).chain(chunk) {
            let [(_, mut expected), (_, mut found)] = sides.each_mut().map(|side| side.run(&command));
            events += expected.len();
            if shards > 1 || is_in_any_order(&command) {
                expected.sort();
                found.sort();
            }
            history.push(command);
            if expected != found {
                let last = &history[history.len().saturating_sub(SHOWN)..];
                let last: Vec<String> = last.iter().map(|line| shown(line)).collect();
                mismatches.push(format!("{}\nexpected {expected:?}\n   found {found:?}\n", last.join("\n")));
            }
            assert!(mismatches.len() < MISMATCHES, "{name}\n{}", mismatches.join("\n"));
        }
    }
    assert!(mismatches.is_empty(), "{name}\n{}", mismatches.join("\n"));
    assert!(events > total, "only {events} messages of {total} commands");
}

/// Whether a command meets keys in the order of the members of a set, which is not the same everywhere.
fn is_in_any_order(command: &Request) -> bool {
    command[0].to_ascii_uppercase().starts_with(b"SORT")
}

#[test]
fn one_shard_tells_what_redis_tells_in_its_order() {
    compare_servers(1);
}

#[test]
fn two_shards_tell_what_redis_tells() {
    compare_servers(2);
}

#[test]
fn eight_shards_tell_what_redis_tells() {
    compare_servers(8);
}
