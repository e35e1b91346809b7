//! The same random commands against stock `redis-server` and Corelane, compared reply for reply, on 1, 2 and 8
//! shards and in RESP2 and RESP3.
//!
//! A run is a function of its seed. The environment can change it:
//! - `CORELANE_DIFF_COMMANDS`: commands in total over the six combinations (default 1,080,000);
//! - `CORELANE_DIFF_SEED`: the seed (default 1);
//! - `CORELANE_DIFF_REFERENCE`: the reference server (default: `redis-server` in PATH);
//! - `CORELANE_DIFF_BINARY`: a server to test in the place of Corelane, started without `--shards`.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use support::client::Client;
use support::commands::{Commands, Comparison, DATABASES, Generated};
use support::resp::Value;
use support::rng::Rng;
use support::server::Server;
use support::{Request, redis, request, shown};

const COMMANDS: &str = "CORELANE_DIFF_COMMANDS";
const SEED: &str = "CORELANE_DIFF_SEED";
const BINARY: &str = "CORELANE_DIFF_BINARY";
/// Shards times protocol versions.
const COMBINATIONS: usize = 6;
/// Connections to each server; each has a database selected, and reaches whichever core accepts it.
const CONNECTIONS: usize = 4;
/// Commands of one pipeline.
const CHUNK: usize = 200;
/// Pipelines between two comparisons of the whole contents.
const CHUNKS_PER_AUDIT: usize = 20;
/// Commands shown with a mismatch.
const SHOWN: usize = 25;

#[test]
fn one_shard_resp2() {
    compare_servers(1, 2);
}

#[test]
fn one_shard_resp3() {
    compare_servers(1, 3);
}

#[test]
fn two_shards_resp2() {
    compare_servers(2, 2);
}

#[test]
fn two_shards_resp3() {
    compare_servers(2, 3);
}

#[test]
fn eight_shards_resp2() {
    compare_servers(8, 2);
}

#[test]
fn eight_shards_resp3() {
    compare_servers(8, 3);
}

fn number_from_env(name: &str, default: u64) -> u64 {
    let parse = |text: String| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number"));
    env::var(name).map_or(default, parse)
}

fn start_tested(shards: usize) -> Server {
    match env::var_os(BINARY) {
        Some(program) => Server::launch(&program, &["--save", ""]),
        None => Server::start(&["--shards", &shards.to_string()]),
    }
}

/// The two servers and the connections to them.
struct Pair {
    _servers: [Server; 2],
    connections: Vec<[Client; 2]>,
    /// Whether the reference is Redis 7.4, not 7.0.
    is_modern: bool,
}

impl Pair {
    fn start(shards: usize, resp: u8) -> Pair {
        let servers = [redis::start::<&str>(&[]), start_tested(shards)];
        let connect = |_| [servers[0].client_resp(resp), servers[1].client_resp(resp)];
        let mut connections: Vec<[Client; 2]> = (0..CONNECTIONS).map(connect).collect();
        let [reference, tested] = &mut connections[0];
        // The expiry of fields came with 7.4.
        let newer = request(&["COMMAND", "GETKEYS", "HPERSIST", "key", "FIELDS", "1", "field"]);
        let is_modern = !reference.pipeline(&[newer]).expect("the reference answers")[0].is_error();
        if !is_modern {
            // Small sets are no listpacks there.
            let without = request(&["CONFIG", "SET", "set-max-listpack-entries", "0"]);
            tested.pipeline(&[without]).expect("the tested server answers");
        }
        Pair { connections, _servers: servers, is_modern }
    }

    /// Sends `requests` to both servers and returns their replies in pairs: the reference's, the tested server's.
    fn run(&mut self, connection: usize, requests: &[Request]) -> Vec<[Value; 2]> {
        let [reference, tested] = &mut self.connections[connection];
        // Both work at the same time: it is faster, and their clocks read nearly the same.
        let (expected, found) = std::thread::scope(|scope| {
            let expected = scope.spawn(|| reference.pipeline(requests));
            let found = tested.pipeline(requests);
            (expected.join().expect("the reference's thread does not panic"), found)
        });
        let expected = expected.unwrap_or_else(|error| panic!("the reference server: {error}"));
        let found = found.unwrap_or_else(|error| panic!("the tested server: {error}"));
        let shown = |value| essential(value, self.is_modern);
        expected.into_iter().zip(found).map(|(expected, found)| [shown(expected), shown(found)]).collect()
    }
}

fn compare_servers(shards: usize, resp: u8) {
    let base = number_from_env(SEED, 1);
    let seed = base.wrapping_mul(1_000).wrapping_add(shards as u64 * 10 + u64::from(resp));
    let total = (number_from_env(COMMANDS, 1_080_000) as usize).div_ceil(COMBINATIONS);
    let name = format!("{SEED}={base} ({shards} shards, RESP{resp})");
    let mut pair = Pair::start(shards, resp);
    let mut commands = Commands::new(seed).for_reference(pair.is_modern);
    let mut rng = Rng::new(!seed);
    let mut history: Vec<(usize, Generated)> = Vec::with_capacity(total + CHUNK);
    for chunk in 0..total.div_ceil(CHUNK) {
        let connection = rng.below(CONNECTIONS);
        let generated: Vec<Generated> = commands.chunk(CHUNK);
        let requests: Vec<Request> = generated.iter().map(|command| command.request.clone()).collect();
        let begin = history.len();
        history.extend(generated.into_iter().map(|command| (connection, command)));
        for (i, [expected, found]) in pair.run(connection, &requests).into_iter().enumerate() {
            let comparison = history[begin + i].1.comparison;
            if let Err(difference) = compare(comparison, &expected, &found) {
                panic!(
                    "{name}: command {}: {difference}\n{}",
                    begin + i,
                    last_commands(&history[..=begin + i])
                );
            }
        }
        if chunk % CHUNKS_PER_AUDIT == CHUNKS_PER_AUDIT - 1
            && let Err(difference) = audit(&mut pair)
        {
            panic!(
                "{name}: contents after command {}: {difference}\n{}",
                history.len(),
                last_commands(&history)
            );
        }
    }
    assert!(history.len() >= total);
}

/// The last commands as a person would read them.
fn last_commands(history: &[(usize, Generated)]) -> String {
    let begin = history.len().saturating_sub(SHOWN);
    let lines = history[begin..].iter().enumerate().map(|(i, (connection, command))| {
        format!("{:>8} connection {connection}: {}\n", begin + i, shown(&command.request))
    });
    lines.collect()
}

/// Whether the two replies count as equal; if not, what differs.
fn compare(comparison: Comparison, expected: &Value, found: &Value) -> Result<(), String> {
    let equal = match (comparison, expected, found) {
        _ if expected.is_error() || found.is_error() => expected == found,
        (Comparison::Exact, _, _) => expected == found,
        (Comparison::Unordered, Value::Array(a), Value::Array(b))
        | (Comparison::Unordered, Value::Set(a), Value::Set(b)) => sorted(a) == sorted(b),
        (Comparison::Unordered, Value::Map(a), Value::Map(b)) => {
            a.iter().collect::<BTreeSet<_>>() == b.iter().collect() && a.len() == b.len()
        }
        (Comparison::Unordered, _, _) => expected == found,
        (Comparison::SameType, _, _) => kind(expected) == kind(found),
        (Comparison::Within(tolerance), &Value::Int(a), &Value::Int(b)) => {
            a == b || (a > 0 && b > 0 && a.abs_diff(b) <= tolerance as u64)
        }
        (Comparison::Within(_), Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| compare(comparison, a, b).is_ok())
        }
        (Comparison::Within(_), _, _) => expected == found,
        (Comparison::Untimed, _, _) => without_times(expected) == without_times(found),
        (Comparison::Cursor, _, _) => is_scan_reply(expected) && is_scan_reply(found),
    };
    if equal { Ok(()) } else { Err(format!("expected {expected}, found {found} ({comparison:?})")) }
}

fn sorted(items: &[Value]) -> Vec<&Value> {
    let mut items: Vec<&Value> = items.iter().collect();
    items.sort();
    items
}

/// A reply about streams with 0 in the place of times: of `XPENDING`'s entries, which are an ID, a name, a time and a count,
/// and of the fields that are named so. How many nodes Redis's tree of a stream has is its own affair, too.
/// A reply without what means nothing: whether a zero has a sign, which in Redis depends on the forms that a sorted set went
/// through; and, if the reference is Redis 7.0, that it writes doubles with 17 digits and knows no list that is a listpack.
fn essential(value: Value, is_modern: bool) -> Value {
    let essence = |text: Vec<u8>| match &text[..] {
        b"-0" => b"0".to_vec(),
        _ if is_modern => text,
        b"quicklist" => b"listpack".to_vec(),
        _ => with_shortest_number(text),
    };
    let all = |items: Vec<Value>| items.into_iter().map(|item| essential(item, is_modern)).collect();
    match value {
        Value::Bulk(text) => Value::Bulk(essence(text)),
        Value::Double(text) => Value::Double(essence(text)),
        Value::Array(items) => Value::Array(all(items)),
        Value::Set(items) => Value::Set(all(items)),
        other => other,
    }
}

fn with_shortest_number(text: Vec<u8>) -> Vec<u8> {
    let number = std::str::from_utf8(&text).ok().filter(|text| text.contains(['.', 'e']) || text.len() > 16);
    number.and_then(|text| text.parse::<f64>().ok()).map_or(text, |number| number.to_string().into_bytes())
}

fn without_times(value: &Value) -> Value {
    const TIMES: [&[u8]; 5] = [b"idle", b"inactive", b"seen-time", b"active-time", b"radix-tree-nodes"];
    let is_time = |name: &Value| matches!(name, Value::Bulk(name) if TIMES.contains(&&name[..]));
    match value {
        Value::Array(items) => {
            let mut plain: Vec<Value> = items.iter().map(without_times).collect();
            if let [Value::Bulk(_), Value::Bulk(_), time @ Value::Int(_), Value::Int(_)] = &mut plain[..] {
                *time = Value::Int(0);
            }
            for at in 1..plain.len() {
                if is_time(&plain[at - 1]) {
                    plain[at] = Value::Int(0);
                }
            }
            Value::Array(plain)
        }
        Value::Map(pairs) => Value::Map(
            pairs
                .iter()
                .map(|(name, value)| {
                    (name.clone(), if is_time(name) { Value::Int(0) } else { without_times(value) })
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

fn kind(value: &Value) -> std::mem::Discriminant<Value> {
    std::mem::discriminant(value)
}

fn is_scan_reply(value: &Value) -> bool {
    matches!(value, Value::Array(parts) if matches!(parts.as_slice(), [Value::Bulk(_), Value::Array(_)]))
}

/// Compares everything the servers hold: the keys that a whole SCAN finds, their values and their expiries.
/// It leaves connection 0 with database 0 selected on both servers.
fn audit(pair: &mut Pair) -> Result<(), String> {
    for db in 0..DATABASES {
        pair.run(0, &[request(&["SELECT", &db.to_string()])]);
        let [expected, found] = &mut pair.connections[0];
        let (keys, tested_keys) = (scan_all(expected), scan_all(found));
        let keys_listed = |keys: &BTreeSet<Vec<u8>>| shown(&keys.iter().cloned().collect::<Vec<_>>());
        if keys != tested_keys {
            let (a, b) = (keys_listed(&keys), keys_listed(&tested_keys));
            return Err(format!("database {db}: SCAN should find {a}, but finds {b}"));
        }
        let questions: BTreeMap<&str, Comparison> = BTreeMap::from([
            ("GET KEY", Comparison::Exact),
            ("LRANGE KEY 0 -1", Comparison::Exact),
            ("SMEMBERS KEY", Comparison::Unordered),
            ("ZRANGE KEY 0 -1 WITHSCORES", Comparison::Exact),
            ("HGETALL KEY", Comparison::Unordered),
            ("XRANGE KEY - +", Comparison::Exact),
            ("PEXPIRETIME KEY", Comparison::Within(10_000)),
            ("TYPE KEY", Comparison::Exact),
        ]);
        for key in &keys {
            let word = |word: &str| if word == "KEY" { key.clone() } else { word.into() };
            let requests: Vec<Request> =
                questions.keys().map(|question| question.split(' ').map(word).collect()).collect();
            let replies = pair.run(0, &requests);
            for ((request, comparison), [expected, found]) in
                requests.iter().zip(questions.values()).zip(replies)
            {
                compare(*comparison, &expected, &found)
                    .map_err(|difference| format!("database {db}: {}: {difference}", shown(request)))?;
            }
        }
    }
    pair.run(0, &[request(&["SELECT", "0"])]);
    Ok(())
}

/// All keys of the selected database, by a whole iteration in small steps.
fn scan_all(client: &mut Client) -> BTreeSet<Vec<u8>> {
    let mut keys = BTreeSet::new();
    let mut cursor = b"0".to_vec();
    // Every step of a table of a few keys on 8 shards makes progress; 2^20 of them mean that it has no end.
    for _ in 0..1 << 20 {
        let reply = client.call(&[&b"SCAN"[..], &cursor, b"COUNT", b"4"]);
        let Value::Array(parts) = &reply else { panic!("SCAN answered {reply}") };
        let [Value::Bulk(next), Value::Array(found)] = parts.as_slice() else {
            panic!("SCAN answered {reply}")
        };
        for key in found {
            let Value::Bulk(key) = key else { panic!("SCAN answered {reply}") };
            keys.insert(key.clone());
        }
        if next == b"0" {
            return keys;
        }
        cursor.clone_from(next);
    }
    panic!("SCAN does not come to an end");
}

/// The comparison itself must see a difference in every class of replies, or the whole run proves nothing.
mod comparator {
    use super::*;

    fn array(items: &[&str]) -> Value {
        Value::Array(items.iter().map(Value::bulk).collect())
    }

    fn equal(comparison: Comparison, a: &Value, b: &Value) -> bool {
        let verdicts = [compare(comparison, a, b).is_ok(), compare(comparison, b, a).is_ok()];
        assert_eq!(verdicts[0], verdicts[1], "not symmetric: {a}, {b}");
        verdicts[0]
    }

    #[test]
    fn exact_sees_every_altered_reply() {
        let replies = [
            Value::ok(),
            Value::Int(1),
            Value::Int(2),
            Value::bulk("1"),
            Value::bulk("OK"),
            Value::NullBulk,
            Value::NullArray,
            Value::Null,
            Value::error("ERR a"),
            Value::error("ERR b"),
            array(&["a", "b"]),
            array(&["b", "a"]),
            Value::Map(vec![(Value::bulk("a"), Value::bulk("b"))]),
        ];
        for (i, a) in replies.iter().enumerate() {
            for (j, b) in replies.iter().enumerate() {
                assert_eq!(equal(Comparison::Exact, a, b), i == j, "{a} and {b}");
            }
        }
    }

    #[test]
    fn unordered_ignores_the_order_only() {
        let class = Comparison::Unordered;
        assert!(equal(class, &array(&["a", "b"]), &array(&["b", "a"])));
        assert!(!equal(class, &array(&["a", "b"]), &array(&["a"])));
        assert!(!equal(class, &array(&["a", "b"]), &array(&["a", "a"])));
        assert!(!equal(class, &array(&[]), &Value::NullArray));
    }

    #[test]
    fn a_tolerance_applies_to_positive_numbers_only() {
        let class = Comparison::Within(10);
        assert!(equal(class, &Value::Int(100), &Value::Int(110)));
        assert!(!equal(class, &Value::Int(100), &Value::Int(111)));
        assert!(!equal(class, &Value::Int(-1), &Value::Int(-2)));
        assert!(!equal(class, &Value::Int(-1), &Value::Int(5)));
        assert!(!equal(class, &Value::Int(5), &Value::bulk("5")));
    }

    #[test]
    fn only_times_are_left_out() {
        let class = Comparison::Untimed;
        let pending = |time: i64, count: i64| {
            Value::Array(vec![Value::bulk("1-0"), Value::bulk("bob"), Value::Int(time), Value::Int(count)])
        };
        assert!(equal(class, &pending(5, 1), &pending(6, 1)));
        assert!(!equal(class, &pending(5, 1), &pending(5, 2)));
        let info = |name: &str, value: i64| Value::Array(vec![Value::bulk(name), Value::Int(value)]);
        assert!(equal(class, &info("idle", 5), &info("idle", 6)));
        assert!(!equal(class, &info("pending", 5), &info("pending", 6)));
        let map = |name: &str, value: i64| Value::Map(vec![(Value::bulk(name), Value::Int(value))]);
        assert!(equal(class, &map("seen-time", 5), &map("seen-time", 6)));
        assert!(!equal(class, &map("lag", 5), &map("lag", 6)));
    }

    #[test]
    fn errors_are_exact_in_every_class() {
        let classes = [
            Comparison::Exact,
            Comparison::Unordered,
            Comparison::SameType,
            Comparison::Within(10),
            Comparison::Untimed,
            Comparison::Cursor,
        ];
        for class in classes {
            assert!(equal(class, &Value::error("ERR a"), &Value::error("ERR a")));
            assert!(!equal(class, &Value::error("ERR a"), &Value::error("ERR b")));
            assert!(!equal(class, &Value::error("ERR a"), &Value::Int(1)));
        }
    }

    #[test]
    fn types_and_shapes_must_match() {
        assert!(equal(Comparison::SameType, &Value::bulk("a"), &Value::bulk("b")));
        assert!(!equal(Comparison::SameType, &Value::bulk("a"), &Value::NullBulk));
        let scan = |cursor: Value| Value::Array(vec![cursor, array(&["a"])]);
        assert!(equal(Comparison::Cursor, &scan(Value::bulk("0")), &scan(Value::bulk("7"))));
        assert!(!equal(Comparison::Cursor, &scan(Value::bulk("0")), &scan(Value::Int(0))));
        assert!(!equal(Comparison::Cursor, &scan(Value::bulk("0")), &array(&["0", "a"])));
    }
}
