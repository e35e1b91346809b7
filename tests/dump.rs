//! `DUMP` and `RESTORE` between Corelane and stock `redis-server`, both ways: whatever one has dumped, the other restores to
//! the same value in the same encoding. The values are those of the fuzzer's corpus, one for every type of the format,
//! and collections of many sizes that are made by commands.
//!
//! A reference older than 7.4 (Debian 12 has 7.0) refuses newer payloads and knows fewer types; it is given the corpus with
//! footers of its version, only of types that it knows, and what Corelane dumps as it is.

mod support;

use std::fs;
use std::path::Path;

use corelane::base::crc64::crc64;
use support::client::Client;
use support::redis;
use support::resp::Value;
use support::rng::Rng;
use support::server::Server;

const FOOTER: usize = 10;
/// The version of the format from Redis 7.4 on, and before.
const CURRENT: u16 = 12;
const BEFORE: u16 = 10;
/// The last type that Redis 7.0 knows.
const LAST_BEFORE: u8 = 19;
/// A short list until Redis 7.0.
const LIST_ZIPLIST: u8 = 10;

/// The two servers.
struct Pair {
    _servers: [Server; 2],
    reference: Client,
    tested: Client,
    /// The version that the reference writes.
    version: u16,
}

impl Pair {
    fn start() -> Pair {
        let servers =
            [redis::start::<&str>(&["--sanitize-dump-payload", "yes"]), Server::start(&["--shards", "2"])];
        let [mut reference, tested] = servers.each_ref().map(Server::client);
        let payload = {
            reference.call(&["SET", "probe", "1"]);
            bulk(reference.call(&["DUMP", "probe"]))
        };
        let version =
            u16::from_le_bytes([payload[payload.len() - FOOTER], payload[payload.len() - FOOTER + 1]]);
        Pair {
            _servers: servers,
            reference,
            tested,
            version: if version < CURRENT { BEFORE } else { version },
        }
    }

    fn reference_knows(&self, kind: u8) -> bool {
        self.version >= CURRENT || kind <= LAST_BEFORE
    }

    /// The body of a payload with a footer that the reference accepts.
    fn sealed(&self, body: &[u8]) -> Vec<u8> {
        let mut payload = [body, &self.version.to_le_bytes()].concat();
        payload.extend(crc64(0, &payload).to_le_bytes());
        payload
    }

    /// Restores `body` in both servers, and then what each has dumped in the other; all four values must be the same.
    fn exchange(&mut self, name: &str, body: &[u8]) {
        let payload = self.sealed(body);
        for client in [&mut self.reference, &mut self.tested] {
            client.call(&["FLUSHALL"]);
            restore(client, "k", &payload, name);
        }
        let detail = Detail { current: self.version >= CURRENT, encoding: body[0] != LIST_ZIPLIST };
        let expected = describe(&mut self.reference, "k", detail);
        assert_eq!(describe(&mut self.tested, "k", detail), expected, "{name}");
        let (from_reference, from_tested) =
            (bulk(self.reference.call(&["DUMP", "k"])), bulk(self.tested.call(&["DUMP", "k"])));
        let written = &from_tested[..from_tested.len() - FOOTER];
        if detail == (Detail { current: true, encoding: true }) && is_written_alike(written[0]) {
            assert_eq!(
                written,
                &from_reference[..from_reference.len() - FOOTER],
                "{name}: the bytes of DUMP"
            );
        }
        restore(&mut self.tested, "copy", &from_reference, name);
        assert_eq!(describe(&mut self.tested, "copy", detail), expected, "{name} of the reference");
        if self.reference_knows(written[0]) {
            restore(&mut self.reference, "copy", &from_tested, name);
            assert_eq!(describe(&mut self.reference, "copy", detail), expected, "{name} of Corelane");
        }
    }
}

/// Whether Redis 7.4 writes values that Corelane writes as this type byte for byte alike: their order does not depend on a
/// hash function, and there is no older form that Corelane prefers.
fn is_written_alike(kind: u8) -> bool {
    [0, 11, 16, 17, 18, 20, 25].contains(&kind)
}

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Detail {
    /// What Redis has since 7.4: the encodings, the fields' expiries, the times of consumers.
    current: bool,
    /// The encoding. Redis leaves a list that it read from a ziplist a quicklist, however short.
    encoding: bool,
}

fn restore(client: &mut Client, key: &str, payload: &[u8], name: &str) {
    let reply = client.call(&[b"RESTORE", key.as_bytes(), b"0", payload]);
    assert_eq!(reply, Value::ok(), "{name}");
}

fn bulk(value: Value) -> Vec<u8> {
    match value {
        Value::Bulk(bytes) => bytes,
        other => panic!("{other} in the place of a bulk string"),
    }
}

/// A key's type, encoding and contents.
fn describe(client: &mut Client, key: &str, detail: Detail) -> Vec<Value> {
    let kind = client.call(&["TYPE", key]);
    let mut about = Vec::new();
    if detail.current && detail.encoding {
        about.push(client.call(&["OBJECT", "ENCODING", key]));
    }
    let mut ask = |words: &[&str]| about.push(client.call(words));
    match kind.to_string().as_str() {
        "+string" => ask(&["GET", key]),
        "+list" => ask(&["LRANGE", key, "0", "-1"]),
        "+set" => about.push(sorted(client.call(&["SMEMBERS", key]), 1)),
        "+zset" => ask(&["ZRANGE", key, "0", "-1", "WITHSCORES"]),
        "+hash" => {
            about.push(sorted(client.call(&["HGETALL", key]), 2));
            if detail.current {
                about.push(expiries(client, key));
            }
        }
        "+stream" => {
            ask(&["XRANGE", key, "-", "+"]);
            if detail.current {
                about.push(without_tree(client.call(&["XINFO", "STREAM", key, "FULL", "COUNT", "0"])));
            } else {
                ask(&["XINFO", "GROUPS", key]);
            }
        }
        other => panic!("{key} is {other}"),
    }
    about.push(kind);
    about
}

/// What `XINFO STREAM` says, apart from the size of a tree that only Redis has.
fn without_tree(about: Value) -> Value {
    let Value::Array(mut pairs) = about else { return about };
    let name = Value::Bulk(b"radix-tree-nodes".to_vec());
    if let Some(at) = pairs.iter().position(|item| *item == name) {
        pairs.drain(at..at + 2);
    }
    Value::Array(pairs)
}

/// The expiries of a hash's fields.
fn expiries(client: &mut Client, key: &str) -> Value {
    let fields = sorted(client.call(&["HKEYS", key]), 1);
    let Value::Array(names) = &fields else { panic!("HKEYS answered {fields}") };
    let names: Vec<Vec<u8>> = names.iter().cloned().map(bulk).collect();
    let count = names.len().to_string();
    let mut expiries = ["HPEXPIRETIME", key, "FIELDS", &count].map(|word| word.as_bytes().to_vec()).to_vec();
    expiries.extend(names);
    client.call(&expiries)
}

/// An array in groups of `size` elements, sorted.
fn sorted(array: Value, size: usize) -> Value {
    let Value::Array(items) = array else { return array };
    let mut groups: Vec<Vec<Value>> = items.chunks(size).map(<[Value]>::to_vec).collect();
    groups.sort();
    Value::Array(groups.concat())
}

#[test]
fn every_type_goes_both_ways() {
    let mut pair = Pair::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/restore");
    let mut tried = 0;
    for entry in fs::read_dir(folder).expect("a folder of cases") {
        let path = entry.expect("a folder entry").path();
        // The first byte is for the fuzzer.
        let body = fs::read(&path).expect("a readable case").split_off(1);
        if pair.reference_knows(body[0]) {
            pair.exchange(&path.display().to_string(), &body);
            tried += 1;
        }
    }
    assert!(tried >= 20, "only {tried} cases");
}

#[test]
fn values_of_many_sizes_go_both_ways() {
    let mut pair = Pair::start();
    let mut rng = Rng::new(11);
    for count in [1, 2, 31, 128, 129, 512, 513, 2_000] {
        for longest in [6, 64, 65, 3_000] {
            for command in ["RPUSH", "SADD", "ZADD", "HSET", "XADD", "PFADD", "SET"] {
                let name = format!("{command} of {count} with up to {longest} bytes");
                pair.reference.call(&["DEL", "made"]);
                for request in requests(command, count, longest, &mut rng) {
                    pair.reference.call(&request);
                }
                let payload = bulk(pair.reference.call(&["DUMP", "made"]));
                pair.exchange(&name, &payload[..payload.len() - FOOTER]);
            }
        }
    }
}

/// The requests that make a collection at the key `made`.
fn requests(command: &str, count: usize, longest: usize, rng: &mut Rng) -> Vec<Vec<Vec<u8>>> {
    let element = |rng: &mut Rng| -> Vec<u8> {
        match rng.below(4) {
            0 => rng.between(-70_000, 70_000).to_string().into_bytes(),
            1 if longest > 20 => (rng.next() as i64).to_string().into_bytes(),
            2 => b"abcdefgh".iter().copied().cycle().take(rng.below(longest) + 1).collect(),
            _ => (0..rng.below(longest.min(40)) + 1).map(|_| rng.next() as u8).collect(),
        }
    };
    let start = || vec![command.as_bytes().to_vec(), b"made".to_vec()];
    let mut request = start();
    match command {
        "SET" => request.push(element(rng)),
        "XADD" => {
            let entries = (1..=count).map(|number| {
                let mut entry = start();
                entry.push(format!("{}-{}", number * 7, number % 3).into_bytes());
                for _ in 0..1 + number % 2 {
                    entry.extend([element(rng), element(rng)]);
                }
                entry
            });
            return entries.collect();
        }
        "ZADD" => {
            for _ in 0..count {
                let score = rng.between(-400, 400) as f64 / 8.0;
                request.extend([score.to_string().into_bytes(), element(rng)]);
            }
        }
        "HSET" => (0..count).for_each(|_| request.extend([element(rng), element(rng)])),
        _ => (0..count).for_each(|_| request.push(element(rng))),
    }
    vec![request]
}
