//! Commands about the server over the socket, on 1 and 2 shards and in RESP2 and RESP3: configuration, statistics, the
//! slow log, latencies, memory, `DEBUG` and the end of the process.

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::client::Client;
use support::redis;
use support::resp::Value;
use support::server::Server;

const SHARDS: [&str; 2] = ["1", "2"];
/// Keys of which each of two shards owns some.
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Runs a test on servers of every number of shards, in both protocol versions.
fn everywhere(test: impl Fn(&Server, Client)) {
    for shards in SHARDS {
        for resp in [2, 3] {
            let server = start(shards);
            test(&server, server.client_resp(resp));
        }
    }
}

fn start(shards: &str) -> Server {
    Server::start(&["--save", "", "--shards", shards, "--enable-debug-command", "yes"])
}

/// Connections to all cores: a new one goes to the core with the fewest.
fn spread(server: &Server) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    // From its first reply on a connection is one of its core's.
    clients.iter_mut().for_each(|client| drop(client.call(&["PING"])));
    clients
}

fn text(value: Value) -> String {
    let bytes = match value {
        Value::Simple(bytes) | Value::Error(bytes) | Value::Bulk(bytes) | Value::Double(bytes) => bytes,
        Value::Verbatim(bytes) => bytes.strip_prefix(b"txt:").expect("a plain text").to_vec(),
        other => panic!("{other} is no text"),
    };
    String::from_utf8(bytes).expect("UTF-8")
}

fn int(value: &Value) -> i64 {
    let Value::Int(n) = value else { panic!("{value} is no number") };
    *n
}

fn items(value: Value) -> Vec<Value> {
    let Value::Array(items) = value else { panic!("{value} is no array") };
    items
}

/// A map, which is a flat array in RESP2.
fn pairs(value: Value) -> Vec<(Value, Value)> {
    match value {
        Value::Map(pairs) => pairs,
        other => {
            let mut items = items(other).into_iter();
            std::iter::from_fn(|| Some((items.next()?, items.next().expect("a value for each name"))))
                .collect()
        }
    }
}

fn named(value: Value) -> HashMap<String, Value> {
    pairs(value).into_iter().map(|(name, value)| (text(name), value)).collect()
}

fn info(client: &mut Client, sections: &[&str]) -> HashMap<String, String> {
    let reply = text(client.call(&[&["INFO"], sections].concat()));
    let fields = reply.split("\r\n").filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn number(fields: &HashMap<String, String>, name: &str) -> i64 {
    fields[name].parse().unwrap_or_else(|_| panic!("{name} is {:?}", fields[name]))
}

/// One figure of a line such as `calls=1,usec=2`.
fn figure(fields: &HashMap<String, String>, name: &str, figure: &str) -> i64 {
    let line = fields.get(name).unwrap_or_else(|| panic!("no {name}"));
    let value = line.split(',').find_map(|part| part.strip_prefix(figure)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {figure} in {line}"))
}

fn config(client: &mut Client, name: &str) -> String {
    text(pairs(client.call(&["CONFIG", "GET", name])).remove(0).1)
}

fn set(client: &mut Client, words: &[&str]) -> String {
    text(client.call(&[&["CONFIG", "SET"], words].concat()))
}

#[test]
fn a_setting_is_in_force_on_all_cores_when_it_is_confirmed() {
    everywhere(|server, mut c| {
        for round in 1..20u32 {
            let limit = (round << 20).to_string();
            assert_eq!(set(&mut c, &["proto-max-bulk-len", &limit, "latency-tracking", "no"]), "OK");
            for client in &mut spread(server) {
                assert_eq!(config(client, "proto-max-bulk-len"), limit);
                let offset = (round << 20).to_string();
                let reply = client.call(&["SETRANGE", "long", &offset, "x"]);
                assert_eq!(
                    text(reply),
                    "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                    "{round}"
                );
            }
        }
    });
}

#[test]
fn a_setting_that_cannot_be_had_changes_nothing() {
    everywhere(|_, mut c| {
        let before = config(&mut c, "maxclients");
        for (words, reason) in [
            (vec!["maxclients", "9", "port", "1"], "'port') - Unable to listen on this port."),
            (vec!["maxclients", "9", "bind", "::1"], "'bind') - Failed to bind to specified addresses."),
            (vec!["maxclients", "9", "shards", "77"], "'shards') - Shards are made at the start."),
            (vec!["maxclients", "9", "databases", "3"], "'databases') - can't set immutable config"),
            (
                vec!["maxclients", "4000000000"],
                "is not able to handle the specified number of clients, try with",
            ),
        ] {
            let reply = set(&mut c, &words);
            assert!(reply.starts_with("ERR CONFIG SET failed (possibly related to argument "), "{reply}");
            assert!(reply.contains(reason), "{reply}");
            assert_eq!(config(&mut c, "maxclients"), before);
        }
        assert_eq!(set(&mut c, &["maxclients", "99"]), "OK");
        assert_eq!(number(&info(&mut c, &["clients"]), "maxclients"), 99);
    });
}

#[test]
fn a_password_counts_from_the_next_connection() {
    everywhere(|server, mut c| {
        assert_eq!(set(&mut c, &["requirepass", "secret"]), "OK");
        assert_eq!(text(c.call(&["PING"])), "PONG");
        let mut other = server.client();
        assert_eq!(text(other.call(&["INFO"])), "NOAUTH Authentication required.");
        assert_eq!(text(other.call(&["AUTH", "secret"])), "OK");
        assert!(info(&mut other, &[]).contains_key("redis_version"));
    });
}

#[test]
fn rewrite_writes_what_was_set() {
    for shards in SHARDS {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rewrite-{shards}.conf"));
        fs::write(&file, "# a comment\nmaxmemory 1mb\nsave \"\"\n").unwrap();
        let server = Server::start(&[file.to_str().unwrap(), "--shards", shards]);
        let mut c = server.client();
        assert_eq!(set(&mut c, &["maxmemory", "2mb", "slowlog-max-len", "7"]), "OK");
        assert_eq!(text(c.call(&["CONFIG", "REWRITE"])), "OK");
        let written = fs::read_to_string(&file).unwrap();
        assert!(written.starts_with("# a comment\nmaxmemory 2mb\n"), "{written}");
        assert!(written.contains("\nslowlog-max-len 7\n"), "{written}");
        fs::remove_file(&file).unwrap();
        let server = start(shards);
        assert_eq!(
            text(server.client().call(&["CONFIG", "REWRITE"])),
            "ERR The server is running without a config file"
        );
    }
}

#[test]
fn info_counts_what_has_happened() {
    everywhere(|server, mut c| {
        let mut clients = spread(server);
        c.call(&["CONFIG", "RESETSTAT"]);
        for (at, key) in KEYS.iter().enumerate() {
            clients[at % 4].call(&["SET", key, "value"]);
            clients[(at + 1) % 4].call(&["GET", key]);
        }
        clients[0].call(&["GET", "missing"]);
        clients[1].call(&["MGET", "a", "b", "c", "missing"]);
        clients[2].call(&["MSET", "a", "1", "b", "2", "c", "3"]);
        clients[3].call(&["EXPIRE", "a", "1000"]);
        clients[3].call(&["RENAME", "b", "z"]);
        clients[0].call(&["INCR", "h"]);
        clients[0].call(&["GET"]);
        clients[0].call(&["NOSUCH"]);
        clients[0].call(&["LCS", "a", "c", "LEN", "IDX"]);

        let all = info(&mut c, &["everything"]);
        for (name, calls, rejected, failed) in [
            ("set", 8, 0, 0),
            ("get", 9, 1, 0),
            ("mget", 1, 0, 0),
            ("mset", 1, 0, 0),
            ("expire", 1, 0, 0),
            ("rename", 1, 0, 0),
            ("incr", 1, 0, 1),
            ("lcs", 1, 0, 1),
            ("config|resetstat", 1, 0, 0),
        ] {
            let name = format!("cmdstat_{name}");
            assert_eq!(figure(&all, &name, "calls"), calls, "{name}");
            assert_eq!(figure(&all, &name, "rejected_calls"), rejected, "{name}");
            assert_eq!(figure(&all, &name, "failed_calls"), failed, "{name}");
        }
        assert_eq!(number(&all, "total_commands_processed"), 8 + 9 + 6 + 1);
        assert_eq!((number(&all, "keyspace_hits"), number(&all, "keyspace_misses")), (8 + 3 + 2, 1 + 1));
        assert_eq!(figure(&all, "errorstat_ERR", "count"), 4);
        assert_eq!(number(&all, "total_error_replies"), 4);
        assert_eq!((figure(&all, "db0", "keys"), figure(&all, "db0", "expires")), (8, 1));
        assert!((990_000..=1_000_000).contains(&figure(&all, "db0", "avg_ttl")), "{}", all["db0"]);
        assert_eq!(number(&all, "connected_clients"), 5);
        assert!(all["latency_percentiles_usec_set"].starts_with("p50="));
        assert_eq!(
            number(&all, "shards") as usize,
            all.keys()
                .filter(|name| {
                    name.strip_prefix("core").is_some_and(|number| number.parse::<usize>().is_ok())
                })
                .count()
        );
        assert_eq!(number(&all, "total_connections_received"), 0);
        assert!(number(&all, "rdb_changes_since_last_save") > 8 + 3 + 1);
        assert_eq!((all["role"].as_str(), all["redis_mode"].as_str()), ("master", "standalone"));
        assert_eq!((all["run_id"].len(), all["master_replid"].len()), (40, 40));
        assert_eq!(all["tcp_port"], server.address().port().to_string());
    });
}

#[test]
fn info_measures_memory() {
    everywhere(|server, mut c| {
        let before = number(&info(&mut c, &["memory"]), "used_memory");
        let value = vec![b'x'; 1 << 20];
        for client in &mut spread(server) {
            for key in KEYS {
                client.call(&[b"SET", key.as_bytes(), &value]);
            }
        }
        let fields = info(&mut c, &["MEMORY"]);
        let grown = number(&fields, "used_memory") - before;
        assert!((8 << 20..12 << 20).contains(&grown), "grew by {grown}");
        assert!(number(&fields, "used_memory_peak") >= number(&fields, "used_memory"));
        assert!(number(&fields, "used_memory_dataset") >= 8 << 20);
        assert!(number(&fields, "used_memory_rss") > 8 << 20);
        let stats = named(c.call(&["MEMORY", "STATS"]));
        assert_eq!(int(&stats["keys.count"]), 8);
        assert!(int(&stats["keys.bytes-per-key"]) >= 1 << 20);
        assert!(named(stats["db.0"].clone()).contains_key("overhead.hashtable.main"));
        c.call(&["FLUSHALL", "SYNC"]);
        assert_eq!(text(c.call(&["MEMORY", "PURGE"])), "OK");
        let deadline = Instant::now() + Duration::from_secs(20);
        while number(&info(&mut c, &["memory"]), "used_memory") > before + (4 << 20) {
            assert!(Instant::now() < deadline, "memory is not given back");
        }
        assert!(number(&info(&mut c, &["memory"]), "lazyfreed_objects") >= 8);
        assert!(!text(c.call(&["MEMORY", "DOCTOR"])).is_empty());
        assert!(!text(c.call(&["MEMORY", "MALLOC-STATS"])).is_empty());
    });
}

#[test]
fn rates_follow_the_traffic() {
    everywhere(|_, mut c| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while number(&info(&mut c, &["stats"]), "instantaneous_ops_per_sec") == 0 {
            assert!(Instant::now() < deadline, "the rate stays zero");
        }
        let fields = info(&mut c, &["stats"]);
        assert!(fields["instantaneous_output_kbps"].parse::<f64>().unwrap() > 0.0);
    });
}

#[test]
fn a_slow_command_is_kept_with_its_client() {
    everywhere(|server, mut c| {
        let local = c.local_address().unwrap().to_string();
        c.call(&["CLIENT", "SETNAME", "sleeper"]);
        set(&mut c, &["slowlog-log-slower-than", "100000", "latency-monitor-threshold", "100"]);
        c.call(&["SLOWLOG", "RESET"]);
        c.call(&["LATENCY", "RESET"]);
        let start = Instant::now();
        assert_eq!(text(c.call(&["debug", "sleep", "0.2"])), "OK");
        assert!(start.elapsed() >= Duration::from_millis(200));
        assert_eq!(c.call(&["SLOWLOG", "LEN"]), Value::Int(1));
        let entry = items(items(c.call(&["SLOWLOG", "GET"])).remove(0));
        assert_eq!(entry.len(), 6);
        assert!(int(&entry[2]) >= 200_000);
        assert_eq!(entry[3], Value::Array(["debug", "sleep", "0.2"].map(Value::bulk).to_vec()));
        assert_eq!((entry[4].clone(), entry[5].clone()), (Value::bulk(local), Value::bulk("sleeper")));

        let latest = items(items(c.call(&["LATENCY", "LATEST"])).remove(0));
        assert_eq!(latest[0], Value::bulk("command"));
        assert!(int(&latest[2]) >= 200 && latest[2] == latest[3]);
        let history = items(c.call(&["LATENCY", "HISTORY", "command"]));
        assert_eq!(items(history[0].clone()), latest[1..3]);
        assert!(text(c.call(&["LATENCY", "GRAPH", "command"])).starts_with("command - high "));
        assert!(text(c.call(&["LATENCY", "DOCTOR"])).contains("command"));
        assert_eq!(
            text(c.call(&["LATENCY", "GRAPH", "other"])),
            "ERR No samples available for event 'other'"
        );
        assert_eq!(items(c.call(&["LATENCY", "HISTORY", "other"])), []);
        assert_eq!(c.call(&["LATENCY", "RESET", "other"]), Value::Int(0));
        assert_eq!(c.call(&["LATENCY", "RESET"]), Value::Int(1));

        // Whichever core ran it, a command is the client's.
        set(&mut c, &["slowlog-log-slower-than", "0", "slowlog-max-len", "100"]);
        c.call(&["SLOWLOG", "RESET"]);
        for key in KEYS {
            c.call(&["SET", key, "1"]);
        }
        c.call(&["MSET", "a", "1", "b", "2", "c", "3"]);
        c.call(&["CONFIG", "SET", "masterauth", "secret", "hz", "11"]);
        let deadline = Instant::now() + Duration::from_secs(20);
        let entries = loop {
            let entries = items(c.call(&["SLOWLOG", "GET", "-1"]));
            if entries.len() >= KEYS.len() + 3 {
                break entries;
            }
            assert!(Instant::now() < deadline, "entries are missing");
        };
        for entry in &entries {
            assert_eq!(items(entry.clone())[5], Value::bulk("sleeper"), "{entry}");
        }
        let commands: Vec<String> = entries
            .into_iter()
            .map(|entry| items(items(entry).remove(3)).into_iter().map(text).collect::<Vec<_>>().join(" "))
            .collect();
        assert!(commands.contains(&"MSET a 1 b 2 c 3".to_owned()), "{commands:?}");
        assert!(commands.contains(&"CONFIG SET masterauth (redacted) hz 11".to_owned()), "{commands:?}");
        set(&mut c, &["slowlog-max-len", "2"]);
        assert!(int(&c.call(&["SLOWLOG", "LEN"])) <= 2);
        for wrong in ["-2", "x", ""] {
            assert_eq!(
                text(c.call(&["SLOWLOG", "GET", wrong])),
                "ERR count should be greater than or equal to -1"
            );
        }
        assert!(server.log().contains("Server initialized"));
    });
}

#[test]
fn histograms_hold_every_call() {
    everywhere(|server, mut c| {
        c.call(&["CONFIG", "RESETSTAT"]);
        let first = named(c.call(&["LATENCY", "HISTOGRAM"]));
        assert_eq!(first.keys().collect::<Vec<_>>(), ["config|resetstat"]);
        for client in &mut spread(server) {
            for key in KEYS {
                client.call(&["SET", key, "1"]);
            }
        }
        let set = named(named(c.call(&["LATENCY", "HISTOGRAM", "nosuch", "set"])).remove("set").unwrap());
        assert_eq!(set["calls"], Value::Int(32));
        let buckets = pairs(set["histogram_usec"].clone());
        assert_eq!(buckets.last().unwrap().1, Value::Int(32));
        assert!(buckets.iter().map(|(limit, _)| int(limit)).is_sorted());
        let config = named(c.call(&["LATENCY", "HISTOGRAM", "config"]));
        assert_eq!(config.keys().collect::<Vec<_>>(), ["config|resetstat"]);
        assert_eq!(named(c.call(&["LATENCY", "HISTOGRAM", "config|get"])).len(), 0);
    });
}

#[test]
fn debug_has_to_be_allowed() {
    for (allowed, fine) in [("no", false), ("local", true), ("yes", true)] {
        let server = Server::start(&["--enable-debug-command", allowed, "--shards", "1"]);
        let mut c = server.client();
        let reply = text(c.call(&["DEBUG", "SLEEP", "0"]));
        assert_eq!(reply == "OK", fine, "{reply}");
        assert!(fine || reply.starts_with("ERR DEBUG command not allowed. If the enable-debug-command"));
        let stats = info(&mut c, &["commandstats"]);
        assert_eq!(figure(&stats, "cmdstat_debug", "rejected_calls"), i64::from(!fine));
    }
}

#[test]
fn debug_reaches_all_shards() {
    everywhere(|server, mut c| {
        assert_eq!(text(c.call(&["DEBUG", "POPULATE", "1000", "p", "7"])), "OK");
        assert_eq!(c.call(&["DBSIZE"]), Value::Int(1000));
        assert_eq!(c.call(&["GET", "p:3"]), Value::bulk("value:3"));
        assert!(text(c.call(&["DEBUG", "HTSTATS", "0"])).contains("[Dictionary HT]"));
        assert_eq!(text(c.call(&["DEBUG", "HTSTATS", "16"])), "ERR Out of range database");
        for (at, client) in spread(server).iter_mut().enumerate() {
            for key in ["p:1", "p:2", "p:3", "p:4"] {
                let shown = text(client.call(&["DEBUG", "OBJECT", key]));
                assert!(shown.contains(" refcount:1 encoding:embstr serializedlength:8 "), "{at}: {shown}");
            }
            assert_eq!(text(client.call(&["DEBUG", "OBJECT", "nosuch"])), "ERR no such key");
        }
        c.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
        c.call(&["PEXPIRE", "p:1", "1"]);
        c.call(&["PEXPIRE", "p:2", "1"]);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(c.call(&["DBSIZE"]), Value::Int(1000));
        c.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while c.call(&["DBSIZE"]) != Value::Int(998) {
            assert!(Instant::now() < deadline, "keys do not expire");
        }
        assert_eq!(text(c.call(&["DEBUG", "ERROR", "OOPS it broke"])), "OOPS it broke");
        assert_eq!(figure(&info(&mut c, &["errorstats"]), "errorstat_OOPS", "count"), 1);
        assert_eq!(text(c.call(&["DEBUG", "LOG", "a line"])), "OK");
        assert!(server.log().contains("DEBUG LOG: a line"));
        let before = info(&mut c, &["replication"])["master_replid"].clone();
        assert_eq!(text(c.call(&["DEBUG", "CHANGE-REPL-ID"])), "OK");
        assert_ne!(info(&mut c, &["replication"])["master_replid"], before);
    });
}

/// What does not depend on time or the machine is what Redis says, byte for byte.
#[test]
fn replies_are_those_of_redis() {
    let redis = redis::start(&["--enable-debug-command", "yes"]);
    let mut differences = Vec::new();
    for shards in SHARDS {
        for resp in [2, 3] {
            let server = start(shards);
            let (mut ours, mut theirs) = (server.client_resp(resp), redis.client_resp(resp));
            theirs.call(&["FLUSHALL"]);
            for line in [
                "CONFIG GET maxmemory",
                "CONFIG GET nosuch",
                "CONFIG SET hz",
                "CONFIG SET nosuch 1",
                "CONFIG SET maxmemory x",
                "CONFIG SET timeout 0 timeout 1",
                "CONFIG SET databases 3",
                "CONFIG SET",
                "CONFIG NOSUCH",
                "CONFIG",
                "CONFIG REWRITE",
                "CONFIG RESETSTAT",
                "SLOWLOG RESET",
                "SLOWLOG LEN",
                "SLOWLOG GET",
                "SLOWLOG GET -2",
                "SLOWLOG GET x",
                "SLOWLOG GET 1 2",
                "SLOWLOG NOSUCH",
                "LATENCY RESET",
                "LATENCY LATEST",
                "LATENCY HISTORY nosuch",
                "LATENCY GRAPH nosuch",
                "LATENCY HISTOGRAM nosuch",
                "LATENCY HELP x",
                "MEMORY NOSUCH",
                "MEMORY PURGE x",
                "SHUTDOWN NOSAVE SAVE",
                "SHUTDOWN ABORT NOW",
                "SHUTDOWN ABORT",
                "SHUTDOWN x",
                "TIME x",
                "INFO nosuch",
                "LOLWUT VERSION x",
                "DEBUG",
                "DEBUG NOSUCH",
                "DEBUG SLEEP",
                "DEBUG SLEEP 0",
                "DEBUG SET-ACTIVE-EXPIRE 1",
                "DEBUG PAUSE-CRON 0",
                "DEBUG OBJECT nosuch",
                "DEBUG ERROR x",
                "DEBUG DIGEST",
                "DEBUG POPULATE x",
                "DEBUG POPULATE -1",
                "DEBUG HTSTATS x",
                "DEBUG HTSTATS 99",
                "DEBUG QUICKLIST-PACKED-THRESHOLD 5gb",
                "DEBUG QUICKLIST-PACKED-THRESHOLD 100b",
                "DEBUG REPLYBUFFER RESIZING 0",
                "DEBUG REPLYBUFFER PEAK-RESET-TIME RESET",
                "DEBUG REPLYBUFFER PEAK-RESET-TIME x",
                "DEBUG REPLYBUFFER NOSUCH 1",
                "DEBUG PROTOCOL string",
                "DEBUG PROTOCOL integer",
                "DEBUG PROTOCOL double",
                "DEBUG PROTOCOL bignum",
                "DEBUG PROTOCOL null",
                "DEBUG PROTOCOL array",
                "DEBUG PROTOCOL set",
                "DEBUG PROTOCOL map",
                "DEBUG PROTOCOL attrib",
                "DEBUG PROTOCOL true",
                "DEBUG PROTOCOL false",
                "DEBUG PROTOCOL verbatim",
                "DEBUG PROTOCOL nosuch",
                "MSET a 1 b hello c 3.5 d 100000000000",
                "EXPIRE a 1000",
                "DEBUG DIGEST-VALUE a b nosuch c",
                "DEBUG DIGEST",
                "SELECT 3",
                "SET z z",
                "DEBUG DIGEST",
                "DEBUG DIGEST-VALUE a z",
                "SELECT 0",
                "FLUSHALL",
                "DEBUG DIGEST",
            ] {
                let request: Vec<&str> = line.split(' ').collect();
                let (ours, theirs) = (ours.call(&request), theirs.call(&request));
                if ours != theirs {
                    differences.push(format!("{line} in RESP{resp}: {ours}, not {theirs}"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_container_answers_help() {
    everywhere(|_, mut c| {
        for name in ["COMMAND", "CONFIG", "DEBUG", "LATENCY", "MEMORY", "SLOWLOG"] {
            let lines = items(c.call(&[name, "HELP"]));
            assert!(text(lines[0].clone()).starts_with(&format!("{name} <subcommand>")));
        }
        let count = int(&c.call(&["COMMAND", "COUNT"]));
        assert_eq!(items(c.call(&["COMMAND"])).len() as i64, count);
        assert_eq!(c.call(&["COMMAND", "GETKEYS", "MSET", "a", "1"]), Value::Array(vec![Value::bulk("a")]));
        assert_eq!(items(c.call(&["TIME"])).len(), 2);
        assert!(text(c.call(&["LOLWUT"])).ends_with("\nRedis ver. 7.4.1\n"));
    });
}

#[test]
fn shutdown_ends_the_process() {
    for shards in SHARDS {
        for options in [&["NOSAVE"][..], &[], &["SAVE"], &["SAVE", "FORCE"]] {
            let mut server = start(shards);
            let mut c = server.client();
            let mut idle = server.client();
            // A connection that is not accepted yet would be reset, not closed.
            assert_eq!(text(idle.call(&["PING"])), "PONG");
            c.send(&[&["SHUTDOWN"], options].concat()).unwrap();
            assert_eq!(server.wait(Duration::from_secs(20)).code(), Some(0));
            assert_eq!(c.read_to_close().unwrap(), b"");
            assert_eq!(idle.read_to_close().unwrap(), b"");
        }
    }
}
