//! Keyspace events: random commands against stock `redis-server` and Corelane, whose events are compared command by command,
//! on 1, 2 and 8 shards; when events come to those who listen; and what those learn who watch keys of a database that changes
//! as a whole.
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

/// A connection that listens to a pattern of channels.
fn listener(server: &Server, pattern: &str) -> Client {
    let mut client = server.client();
    assert!(!client.call(&["PSUBSCRIBE", pattern]).is_error());
    client
}

/// The next messages, as channels without their database, and what was published.
fn next(listener: &mut Client, count: usize) -> Vec<String> {
    let messages = listener.read_many(count).expect("messages are published");
    let text = |message: &Value| match message {
        Value::Array(parts) | Value::Push(parts) => match &parts[2..] {
            [Value::Bulk(channel), Value::Bulk(message)] => {
                format!("{} {}", String::from_utf8_lossy(channel), String::from_utf8_lossy(message))
            }
            _ => message.to_string(),
        },
        other => other.to_string(),
    };
    messages.iter().map(text).collect()
}

fn with_events(classes: &str, test: impl Fn(&Server, u16)) {
    for shards in [1, 2, 8] {
        let server = Server::start(&["--shards", &shards.to_string(), "--notify-keyspace-events", classes]);
        test(&server, shards);
    }
}

#[test]
fn what_is_published_follows_the_configuration() {
    with_events("K$", |server, _| {
        let (mut client, mut listener) = (server.client(), listener(server, "__key*"));
        let mut set = |classes: &str| {
            assert_eq!(client.call(&["CONFIG", "SET", "notify-keyspace-events", classes]), Value::ok());
        };
        let mut writer = server.client();
        let mut write = || assert_eq!(writer.call(&["SET", "key", "1", "EX", "1000"]), Value::ok());
        write();
        set("Eg");
        write();
        set("A");
        write();
        set("AKE");
        write();
        assert_eq!(
            next(&mut listener, 6),
            [
                "__keyspace@0__:key set",
                "__keyevent@0__:expire key",
                "__keyspace@0__:key set",
                "__keyevent@0__:set key",
                "__keyspace@0__:key expire",
                "__keyevent@0__:expire key",
            ]
        );
    });
}

#[test]
fn what_expires_by_itself_is_published() {
    with_events("Exhg", |server, _| {
        let (mut client, mut listener) = (server.client(), listener(server, "__key*"));
        client.call(&["SELECT", "5"]);
        client.call(&["SET", "key", "1", "PX", "5"]);
        assert_eq!(next(&mut listener, 2), ["__keyevent@5__:expire key", "__keyevent@5__:expired key"]);
        client.call(&["HSET", "hash", "a", "1", "b", "2"]);
        client.call(&["HPEXPIRE", "hash", "5", "FIELDS", "2", "a", "b"]);
        assert_eq!(
            next(&mut listener, 4),
            [
                "__keyevent@5__:hset hash",
                "__keyevent@5__:hexpire hash",
                "__keyevent@5__:hexpired hash",
                "__keyevent@5__:del hash"
            ]
        );
    });
}

#[test]
fn a_transaction_publishes_command_by_command() {
    with_events("KEA", |server, _| {
        let (mut client, mut listener) = (server.client(), listener(server, "__keyevent@*"));
        for command in [
            &["MULTI"][..],
            &["SET", "a", "1"],
            &["RENAME", "a", "b"],
            &["PUBLISH", "__keyevent@0__:between", "x"],
            &["DEL", "b"],
            &["EXEC"],
        ] {
            assert!(!client.call(command).is_error());
        }
        assert_eq!(
            next(&mut listener, 5),
            [
                "__keyevent@0__:set a",
                "__keyevent@0__:rename_from a",
                "__keyevent@0__:rename_to b",
                "__keyevent@0__:between x",
                "__keyevent@0__:del b"
            ]
        );
    });
}

#[test]
fn who_is_served_after_waiting_publishes_what_it_takes() {
    with_events("EA", |server, shards| {
        let (mut client, mut listener) = (server.client(), listener(server, "__keyevent@*"));
        let mut waiting = server.client();
        waiting.send(&["BLPOP", "list", "0"]).unwrap();
        while !client.call(&["INFO", "clients"]).to_string().contains("blocked_clients:1") {}
        client.call(&["RPUSH", "list", "a"]);
        waiting.read().expect("an element");
        let (mut events, mut expected) = (next(&mut listener, 3), ["rpush", "lpop", "del"]);
        if shards > 1 {
            // Published by two cores.
            events.sort();
            expected.sort_unstable();
        }
        assert_eq!(events, expected.map(|event| format!("__keyevent@0__:{event} list")));
    });
}

#[test]
fn a_client_that_listens_to_its_own_writes_gets_the_reply_first() {
    with_events("KA", |server, _| {
        let mut client = server.client_resp(3);
        client.call(&["PSUBSCRIBE", "__keyspace@*"]);
        for key in ["a", "b", "c", "d"] {
            assert_eq!(client.call(&["SET", key, "1"]), Value::ok());
            assert_eq!(next(&mut client, 1), [format!("__keyspace@0__:{key} set")]);
        }
    });
}

#[test]
fn whoever_watches_a_key_learns_that_its_database_was_emptied_or_exchanged() {
    with_events("", |server, _| {
        let mut client = server.client();
        let keys: Vec<String> = (0..8).map(|number| format!("key:{number}")).collect();
        for in_transaction in [false, true] {
            for program in [&["FLUSHALL"][..], &["FLUSHDB"], &["SWAPDB", "0", "1"]] {
                for key in &keys {
                    client.call(&["SET", key, "1"]);
                }
                let mut watchers: Vec<Client> = keys.iter().map(|_| server.client()).collect();
                for (watcher, key) in watchers.iter_mut().zip(&keys) {
                    assert_eq!(watcher.call(&["WATCH", key]), Value::ok());
                    assert_eq!(watcher.call(&["MULTI"]), Value::ok());
                }
                let [begin, end]: [&[&str]; 2] = [&["MULTI"], &["EXEC"]];
                let commands = if in_transaction { vec![begin, program, end] } else { vec![program] };
                for command in commands {
                    assert!(!client.call(command).is_error());
                }
                for (watcher, key) in watchers.iter_mut().zip(&keys) {
                    assert_eq!(watcher.call(&["EXEC"]), Value::NullArray, "{program:?} of {key}");
                }
            }
        }
    });
}
