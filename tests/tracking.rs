//! Client-side caching over the socket, on 1, 2 and 8 shards: who is told of which key, when and how often, what the modes and
//! options change, and that no modification is missed however reads and writes meet.

mod support;

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::client::{Client, TIMEOUT};
use support::resp::Value;
use support::server::Server;

/// Runs a test on servers of every number of shards.
fn everywhere(test: impl Fn(&Server)) {
    for shards in ["1", "2", "8"] {
        test(&Server::start(&["--save", "", "--shards", shards, "--enable-debug-command", "yes"]));
    }
}

fn call(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

/// Calls a command, and passes by invalidations that come before its reply.
fn done(client: &mut Client, line: &str) {
    let reply = call(client, line);
    assert!(!matches!(reply, Value::Error(_) | Value::Push(_)), "{line}: {reply}");
}

fn tracking(server: &Server, options: &str) -> Client {
    let mut client = server.client_resp(3);
    assert_eq!(call(&mut client, format!("CLIENT TRACKING ON {options}").trim_end()), Value::ok());
    client
}

fn bulks(keys: &[&str]) -> Value {
    Value::Array(keys.iter().map(Value::bulk).collect())
}

fn invalidation(keys: &[&str]) -> Value {
    Value::Push(vec![Value::bulk("invalidate"), bulks(keys)])
}

fn flushed() -> Value {
    Value::Push(vec![Value::bulk("invalidate"), Value::Null])
}

fn read(client: &mut Client) -> Value {
    client.read().expect("something to read")
}

/// The keys of the next so many invalidations, in order.
fn invalidated(client: &mut Client, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.extend(keys_of(&read(client)).expect("an invalidation of keys"));
    }
    keys.sort();
    keys
}

/// The keys of an invalidation.
fn keys_of(value: &Value) -> Option<Vec<String>> {
    let Value::Push(items) = value else { return None };
    let [Value::Bulk(word), Value::Array(keys)] = items.as_slice() else { return None };
    let text = |key: &Value| match key {
        Value::Bulk(key) => String::from_utf8_lossy(key).into_owned(),
        other => panic!("{other} is no key"),
    };
    (word == b"invalidate").then(|| keys.iter().map(text).collect())
}

/// Nothing has been sent to a client: what is sent to it later comes first.
fn assert_quiet(client: &mut Client) {
    assert_eq!(call(client, "PING"), Value::Simple(b"PONG".to_vec()));
}

/// Waits until whatever is under way between cores has arrived: a client of each core has asked all of them.
fn settle(server: &Server) {
    for _ in 0..8 {
        done(&mut server.client(), "CLIENT LIST");
    }
}

fn info(client: &mut Client, name: &str) -> u64 {
    let text = match client.call(&["INFO"]) {
        Value::Bulk(text) | Value::Verbatim(text) => String::from_utf8(text).expect("INFO is text"),
        other => panic!("INFO answered {other}"),
    };
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn id(client: &mut Client) -> i64 {
    match call(client, "CLIENT ID") {
        Value::Int(id) => id,
        other => panic!("CLIENT ID answered {other}"),
    }
}

/// Keys on all shards.
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

#[test]
fn a_reader_is_told_once_of_each_key_that_is_modified() {
    everywhere(|server| {
        let mut writer = server.client();
        for key in KEYS {
            done(&mut writer, &format!("SET {key} 1"));
        }
        let mut readers: Vec<Client> = (0..4).map(|_| tracking(server, "")).collect();
        let mut stranger = server.client_resp(3);
        for reader in readers.iter_mut().chain([&mut stranger]) {
            KEYS.iter().for_each(|key| done(reader, &format!("GET {key}")));
        }
        for key in KEYS {
            done(&mut writer, &format!("SET {key} 2"));
            done(&mut writer, &format!("APPEND {key} 3"));
            for reader in &mut readers {
                assert_eq!(read(reader), invalidation(&[key]));
            }
        }
        settle(server);
        readers.iter_mut().chain([&mut stranger]).for_each(assert_quiet);
        // The database does not matter, nor does it whether there is such a key.
        done(&mut readers[0], "GET missing");
        done(&mut writer, "SELECT 5");
        done(&mut writer, "SET missing 1");
        assert_eq!(read(&mut readers[0]), invalidation(&["missing"]));
    });
}

#[test]
fn whatever_reads_is_remembered() {
    everywhere(|server| {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        let together = KEYS.join(" ");
        let many = |command: &str| format!("{command} {together}");
        for key in KEYS {
            done(&mut writer, &format!("SADD s:{key} 1"));
            done(&mut writer, &format!("SET {key} 1"));
        }
        let sets = KEYS.map(|key| format!("s:{key}")).join(" ");
        let script = format!("EVAL for_,k=0 {} {together}", KEYS.len())
            .replace("for_,k=0", "return{redis.call('get',KEYS[1]),redis.call('get',KEYS[8])}");
        for (reads, keys, prefix) in [
            (many("MGET"), &KEYS[..], ""),
            (many("EXISTS"), &KEYS[..], ""),
            (format!("SINTER {sets}"), &KEYS[..], "s:"),
            (format!("SUNION {sets}"), &KEYS[..], "s:"),
            (script, &["a", "h"][..], ""),
        ] {
            done(&mut reader, &reads);
            for key in keys {
                let write =
                    if prefix.is_empty() { format!("INCR {key}") } else { format!("SADD s:{key} {reads}") };
                done(&mut writer, &write.replace(&format!(" {sets}"), "x"));
            }
            let expected: Vec<String> = keys.iter().map(|key| format!("{prefix}{key}")).collect();
            assert_eq!(invalidated(&mut reader, keys.len()), expected, "{reads}");
        }
        settle(server);
        assert_quiet(&mut reader);
    });
}

#[test]
fn a_transaction_remembers_what_it_has_read_last() {
    everywhere(|server| {
        for scattered in [false, true] {
            let key = |name: &str| if scattered { name.to_owned() } else { format!("{name}{{t}}") };
            let (mut reader, mut writer) = (tracking(server, ""), server.client());
            let (a, b, c, h) = (key("a"), key("b"), key("c"), key("h"));
            done(&mut reader, "MULTI");
            for line in [
                format!("GET {a}"),
                format!("SET {b} 1"),
                format!("GET {b}"),
                format!("GET {c}"),
                format!("SET {c} 1"),
                format!("GET {h}"),
            ] {
                done(&mut reader, &line);
            }
            assert!(matches!(call(&mut reader, "EXEC"), Value::Array(replies) if replies.len() == 6));
            // It has modified what it had read before that, and not what it has read after that.
            assert_eq!(read(&mut reader), invalidation(&[&c]));
            settle(server);
            assert_quiet(&mut reader);
            for key in [&a, &b, &c, &h] {
                done(&mut writer, &format!("SET {key} 9"));
            }
            assert_eq!(invalidated(&mut reader, 3), [&a[..], &b, &h]);
            settle(server);
            assert_quiet(&mut reader);
        }
    });
}

#[test]
fn whatever_modifies_is_told() {
    everywhere(|server| {
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        let script = "return redis.call('set',KEYS[1],1)";
        for line in ["SADD s:h 1 2", "SADD s:b 3", "RPUSH l:h x"] {
            done(&mut writer, line);
        }
        for write in [
            "SET a 1",
            "MSET a 1 b 2 h 3",
            "RENAME h a",
            "COPY b a REPLACE",
            "EXPIRE a 100",
            "PERSIST a",
            "DEL a b",
            "SUNIONSTORE a s:h s:c",
            "SMOVE s:b a 3",
            "UNLINK a s:h",
            "LMOVE l:h a LEFT LEFT",
            "DEL a",
        ] {
            done(&mut reader, "EXISTS a");
            done(&mut writer, write);
            assert_eq!(read(&mut reader), invalidation(&["a"]), "{write}");
        }
        done(&mut reader, "EXISTS a");
        writer.call(&["EVAL", script, "1", "a"]);
        assert_eq!(read(&mut reader), invalidation(&["a"]));
        done(&mut reader, "EXISTS a");
        for line in ["MULTI", "SET h 1", "SET a 1", "EXEC"] {
            done(&mut writer, line);
        }
        assert_eq!(read(&mut reader), invalidation(&["a"]));
        // What changes nothing is not told.
        done(&mut reader, "EXISTS a");
        for line in ["SET a 1 NX", "SETNX a 1", "DEL b", "PERSIST a", "GET a"] {
            done(&mut writer, line);
        }
        settle(server);
        assert_quiet(&mut reader);
        // A push to a client that waits is told as well as what the client does with it.
        let mut waiter = server.client();
        done(&mut writer, "DEL l a");
        assert_eq!(read(&mut reader), invalidation(&["a"]));
        waiter.send(&["BLMOVE", "l", "a", "LEFT", "LEFT", "0"]).expect("sent");
        wait_until("the wait", || info(&mut writer, "blocked_clients") == 1);
        done(&mut reader, "EXISTS a");
        done(&mut writer, "RPUSH l x");
        assert_eq!(read(&mut reader), invalidation(&["a"]));
        assert_eq!(read(&mut waiter), Value::bulk("x"));
    });
}

#[test]
fn keys_whose_time_is_over_are_told() {
    everywhere(|server| {
        let (mut reader, mut all, mut writer) =
            (tracking(server, ""), tracking(server, "BCAST"), server.client());
        // Actively, and as another client finds out.
        for active in ["1", "0"] {
            done(&mut writer, &format!("DEBUG SET-ACTIVE-EXPIRE {active}"));
            done(&mut writer, "SET k 1 PX 20");
            assert_eq!(read(&mut all), invalidation(&["k"]));
            done(&mut reader, "GET k");
            std::thread::sleep(Duration::from_millis(30));
            done(&mut writer, "GET k");
            assert_eq!(read(&mut reader), invalidation(&["k"]));
            assert_eq!(read(&mut all), invalidation(&["k"]));
        }
        // Even to the client whose command finds out, whatever it says of its own commands.
        let mut own = tracking(server, "BCAST NOLOOP");
        done(&mut own, "SET k 1 PX 20");
        std::thread::sleep(Duration::from_millis(30));
        done(&mut own, "GET k");
        assert_eq!(read(&mut own), invalidation(&["k"]));
        done(&mut writer, "DEBUG SET-ACTIVE-EXPIRE 1");
    });
}

#[test]
fn what_a_client_modifies_itself_comes_after_its_reply_or_not_at_all() {
    everywhere(|server| {
        let mut both = tracking(server, "");
        let mut others = tracking(server, "NOLOOP");
        let together = KEYS.join(" ");
        let pairs = KEYS.map(|key| format!("{key} 1")).join(" ");
        for client in [&mut both, &mut others] {
            done(client, &format!("MGET {together}"));
        }
        // All at once, over all shards: no reply is overtaken.
        done(&mut both, &format!("MSET {pairs}"));
        assert_eq!(invalidated(&mut both, 8), KEYS);
        assert_eq!(invalidated(&mut others, 8), KEYS);
        for client in [&mut both, &mut others] {
            done(client, &format!("MGET {together}"));
        }
        done(&mut others, &format!("MSET {pairs}"));
        assert_eq!(invalidated(&mut both, 8), KEYS);
        for key in KEYS {
            done(&mut others, &format!("GET {key}"));
            done(&mut others, &format!("INCR {key}"));
            done(&mut both, &format!("GET {key}"));
            done(&mut both, &format!("INCR {key}"));
            assert_eq!(read(&mut both), invalidation(&[key]));
        }
        for key in KEYS {
            done(&mut others, &format!("GET {key}"));
        }
        for line in ["MULTI", "INCR a", "INCR h", "EXEC"] {
            done(&mut others, line);
        }
        let mut everything = tracking(server, "BCAST NOLOOP");
        done(&mut everything, &format!("MSET {pairs}"));
        assert_eq!(invalidated(&mut others, 6), KEYS[1..7]);
        settle(server);
        [both, others, everything].iter_mut().for_each(assert_quiet);
    });
}

#[test]
fn a_pipeline_gets_invalidations_behind_the_replies_that_they_are_about() {
    everywhere(|server| {
        let mut client = tracking(server, "");
        for round in 0..50 {
            let mut expected = Vec::new();
            for key in KEYS {
                client.send(&["GET", key]).expect("sent");
                client.send(&["SET", key, &round.to_string()]).expect("sent");
                expected.push(key);
            }
            let (mut replies, mut told) = (0, Vec::new());
            while replies < 16 || told.len() < 8 {
                let value = read(&mut client);
                match keys_of(&value) {
                    Some(keys) => {
                        for key in keys {
                            let place = KEYS.iter().position(|known| **known == key).expect("a known key");
                            assert!(replies > 2 * place, "{key} is told before its read is answered");
                            told.push(key);
                        }
                    }
                    None => replies += 1,
                }
            }
            told.sort();
            assert_eq!(told, expected);
        }
    });
}

#[test]
fn opting_in_and_out() {
    everywhere(|server| {
        let mut writer = server.client();
        for (mode, word) in [("OPTIN", "YES"), ("OPTOUT", "NO")] {
            let mut client = tracking(server, mode);
            let caching = format!("CLIENT CACHING {word}");
            // What the word is for, and what comes after it.
            for (first, second) in [("a", "b"), ("h", "c")] {
                done(&mut client, &caching);
                done(&mut client, &format!("GET {first}"));
                done(&mut client, &format!("GET {second}"));
                done(&mut writer, &format!("MSET {first} 1 {second} 1"));
                let told = if mode == "OPTIN" { first } else { second };
                assert_eq!(read(&mut client), invalidation(&[told]));
            }
            // A whole transaction, wherever in it the word is said.
            for lines in
                [[&caching, "MULTI", "GET a", "GET h", "EXEC"], ["MULTI", &caching, "GET a", "GET h", "EXEC"]]
            {
                lines.iter().for_each(|line| done(&mut client, line));
                done(&mut client, "MGET d e");
                done(&mut writer, "MSET a 1 h 1 d 1 e 1");
                let told = if mode == "OPTIN" { ["a", "h"] } else { ["d", "e"] };
                assert_eq!(invalidated(&mut client, 2), told);
            }
            // Another command uses it up, one about the client does not.
            for (between, counts) in [("PING", false), ("CLIENT ID", true)] {
                done(&mut client, &caching);
                done(&mut client, between);
                done(&mut client, "GET a");
                done(&mut writer, "SET a 1");
                settle(server);
                if counts == (mode == "OPTIN") {
                    assert_eq!(read(&mut client), invalidation(&["a"]));
                }
                assert_quiet(&mut client);
            }
        }
    });
}

#[test]
fn prefixes_hear_of_keys_that_nobody_has_read() {
    everywhere(|server| {
        let mut writer = server.client();
        let mut all = tracking(server, "BCAST");
        let mut some = tracking(server, "BCAST PREFIX a: PREFIX b:");
        assert_eq!(info(&mut writer, "tracking_total_prefixes"), 3);
        done(&mut writer, "MSET a:1{t} 1 a:2{t} 1 b:1{t} 1 c:1{t} 1");
        assert_eq!(read(&mut all), invalidation(&["a:1{t}", "a:2{t}", "b:1{t}", "c:1{t}"]));
        assert_eq!(read(&mut some), invalidation(&["a:1{t}", "a:2{t}"]));
        assert_eq!(read(&mut some), invalidation(&["b:1{t}"]));
        let spread = KEYS.map(|key| format!("a:{key} 1")).join(" ");
        done(&mut writer, &format!("MSET {spread}"));
        for client in [&mut all, &mut some] {
            let mut keys = Vec::new();
            while keys.len() < 8 {
                keys.extend(keys_of(&read(client)).expect("an invalidation"));
            }
            keys.sort();
            assert_eq!(keys, KEYS.map(|key| format!("a:{key}")));
        }
        done(&mut some, "CLIENT TRACKING ON BCAST PREFIX c:");
        done(&mut writer, "SET c:2 1");
        assert_eq!(read(&mut some), invalidation(&["c:2"]));
        done(&mut some, "CLIENT TRACKING OFF");
        done(&mut writer, "SET a:3 1");
        settle(server);
        assert_quiet(&mut some);
        assert_eq!((read(&mut all), read(&mut all)), (invalidation(&["c:2"]), invalidation(&["a:3"])));
        drop(all);
        wait_until("the end of the prefix", || info(&mut writer, "tracking_total_prefixes") == 0);
        assert_eq!(info(&mut writer, "tracking_clients"), 0);
    });
}

#[test]
fn another_client_is_told_wherever_it_is() {
    everywhere(|server| {
        let mut writer = server.client();
        // Many, so that both are on all kinds of cores.
        for resp in [2, 3] {
            for _ in 0..6 {
                let mut target = server.client_resp(resp);
                let target_id = id(&mut target);
                let mut reader = server.client();
                done(&mut reader, &format!("CLIENT TRACKING ON REDIRECT {target_id}"));
                assert_eq!(call(&mut reader, "CLIENT GETREDIR"), Value::Int(target_id));
                done(&mut reader, "MGET a h");
                if resp == 2 {
                    // It does not listen yet.
                    done(&mut writer, "SET h 1");
                    settle(server);
                    assert_eq!(
                        call(&mut target, "SUBSCRIBE __redis__:invalidate"),
                        Value::Array(vec![
                            Value::bulk("subscribe"),
                            Value::bulk("__redis__:invalidate"),
                            Value::Int(1)
                        ])
                    );
                }
                let message = |keys: &[&str]| match resp {
                    2 => Value::Array(vec![
                        Value::bulk("message"),
                        Value::bulk("__redis__:invalidate"),
                        bulks(keys),
                    ]),
                    _ => invalidation(keys),
                };
                done(&mut writer, "SET a 1");
                assert_eq!(read(&mut target), message(&["a"]));
                done(&mut writer, "FLUSHALL");
                match read(&mut target) {
                    Value::Array(items) | Value::Push(items) => {
                        assert!(items.last().is_some_and(Value::is_null))
                    }
                    other => panic!("{other} is no message"),
                }
                done(&mut reader, "HELLO 3");
                done(&mut reader, "GET a");
                drop(target);
                let broken = Value::Push(vec![Value::bulk("tracking-redir-broken"), Value::Int(target_id)]);
                wait_until("the end of the client", || {
                    let list = call(&mut writer, &format!("CLIENT LIST ID {target_id}"));
                    matches!(list, Value::Bulk(text) if text.is_empty())
                });
                done(&mut writer, "SET a 2");
                assert_eq!(read(&mut reader), broken);
                let Value::Map(about) = call(&mut reader, "CLIENT TRACKINGINFO") else {
                    panic!("a map is expected")
                };
                assert_eq!(about[0].1, Value::Set(vec![Value::bulk("on"), Value::bulk("broken_redirect")]));
                assert_eq!(about[1].1, Value::Int(target_id));
            }
        }
    });
}

#[test]
fn emptied_databases_are_told_once() {
    everywhere(|server| {
        let mut writer = server.client();
        let mut clients =
            [tracking(server, ""), tracking(server, "OPTIN NOLOOP"), tracking(server, "BCAST PREFIX x")];
        for flush in ["FLUSHALL", "FLUSHDB ASYNC", "FLUSHALL SYNC"] {
            done(&mut writer, "MSET a 1 h 1");
            done(&mut clients[0], "MGET a h");
            done(&mut writer, flush);
            clients.iter_mut().for_each(|client| assert_eq!(read(client), flushed(), "{flush}"));
            assert_eq!(info(&mut writer, "tracking_total_keys"), 0);
        }
        for line in ["MULTI", "SET a 1", "FLUSHALL", "GET a", "EXEC"] {
            done(&mut clients[0], line);
        }
        clients.iter_mut().for_each(|client| assert_eq!(read(client), flushed()));
        assert_eq!(info(&mut writer, "tracking_total_keys"), 1, "what was read after that is remembered");
        writer.call(&["EVAL", "return redis.call('flushall')", "0"]);
        clients.iter_mut().for_each(|client| assert_eq!(read(client), flushed()));
        settle(server);
        clients.iter_mut().for_each(assert_quiet);
    });
}

#[test]
fn shards_remember_no_more_keys_than_they_may() {
    everywhere(|server| {
        const READ: usize = 2000;
        let (mut reader, mut writer) = (tracking(server, ""), server.client());
        done(&mut writer, "CONFIG SET tracking-table-max-keys 80");
        let mut told = Vec::new();
        let reply_of = |reader: &mut Client, told: &mut Vec<String>| {
            while let Some(keys) = keys_of(&read(reader)) {
                told.extend(keys);
            }
        };
        for number in 0..READ {
            reader.send(&["GET", &format!("k{number}")]).expect("sent");
            reply_of(&mut reader, &mut told);
        }
        for max in [80, 8, 1] {
            done(&mut writer, &format!("CONFIG SET tracking-table-max-keys {max}"));
            wait_until("the bound", || info(&mut writer, "tracking_total_keys") <= max);
            settle(server);
            reader.send(&["PING"]).expect("sent");
            reply_of(&mut reader, &mut told);
            assert_eq!(info(&mut writer, "tracking_total_keys"), max, "no more than needed are forgotten");
            assert_eq!(info(&mut writer, "tracking_total_items"), max);
            assert_eq!(max as usize + told.len(), READ);
        }
        told.sort();
        told.dedup();
        assert_eq!(told.len(), READ - 1, "each is told once");
    });
}

#[test]
fn clients_that_are_gone_are_forgotten() {
    everywhere(|server| {
        let mut writer = server.client();
        for _ in 0..1000 {
            done(&mut tracking(server, ""), "MGET a h");
        }
        // A few may be left.
        wait_until("most to be forgotten", || info(&mut writer, "tracking_total_items") <= 2 * 300);
        let mut left = tracking(server, "");
        done(&mut left, "MGET a h");
        done(&mut left, "RESET");
        done(&mut left, "HELLO 3");
        done(&mut writer, "MSET a 1 h 1");
        assert_eq!(info(&mut writer, "tracking_total_items"), 0);
        assert_quiet(&mut left);
    });
}

#[test]
fn what_does_not_go_together_is_refused() {
    everywhere(|server| {
        let mut client = server.client();
        let refused = |client: &mut Client, line: &str, text: &str| {
            let reply = call(client, line);
            assert!(
                matches!(&reply, Value::Error(error) if String::from_utf8_lossy(error).contains(text)),
                "{line}: {reply}"
            );
        };
        for (line, text) in [
            ("CLIENT TRACKING", "wrong number of arguments"),
            ("CLIENT TRACKING MAYBE", "syntax error"),
            ("CLIENT TRACKING ON PREFIX", "syntax error"),
            ("CLIENT TRACKING ON PREFIX a", "PREFIX option requires BCAST"),
            ("CLIENT TRACKING ON OPTIN OPTOUT", "can't specify both"),
            ("CLIENT TRACKING ON BCAST OPTIN", "not compatible with BCAST"),
            ("CLIENT TRACKING ON REDIRECT x", "not an integer"),
            ("CLIENT TRACKING ON REDIRECT 1 REDIRECT 2", "can only redirect to a single"),
            ("CLIENT TRACKING ON REDIRECT 999999", "does not exist"),
            ("CLIENT TRACKING ON BCAST PREFIX a REDIRECT 999999", "does not exist"),
            (
                "CLIENT TRACKING ON BCAST PREFIX ab PREFIX a",
                "Prefix 'ab' overlaps with another provided prefix 'a'",
            ),
            ("CLIENT CACHING YES", "when the client is in tracking mode"),
        ] {
            refused(&mut client, line, text);
            assert_eq!(call(&mut client, "CLIENT GETREDIR"), Value::Int(-1), "{line}");
        }
        assert_eq!(info(&mut client, "tracking_total_prefixes"), 0);
        done(&mut client, "CLIENT TRACKING ON BCAST PREFIX ab PREFIX c");
        for (line, text) in [
            ("CLIENT TRACKING ON", "can't switch BCAST mode"),
            ("CLIENT TRACKING ON BCAST PREFIX a", "Prefix 'a' overlaps with an existing prefix 'ab'"),
            ("CLIENT TRACKING ON BCAST PREFIX d REDIRECT 999999", "does not exist"),
            ("CLIENT CACHING YES", "only valid when tracking is enabled in OPTIN mode"),
        ] {
            refused(&mut client, line, text);
        }
        assert_eq!(info(&mut client, "tracking_total_prefixes"), 2);
        let Value::Bulk(line) = call(&mut client, "CLIENT INFO") else { panic!("CLIENT INFO is text") };
        let line = String::from_utf8(line).expect("text");
        assert!(line.contains(" flags=tB ") && line.contains(" redir=0 "), "{line}");
        done(&mut client, "CLIENT TRACKING OFF OPTOUT");
        done(&mut client, "CLIENT TRACKING ON OPTOUT");
        refused(&mut client, "CLIENT TRACKING ON OPTIN", "can't switch OPTIN/OPTOUT mode");
        refused(&mut client, "CLIENT CACHING MAYBE", "syntax error");
        refused(&mut client, "CLIENT CACHING YES", "only valid when tracking is enabled in OPTIN mode");
    });
}

/// Writers count keys up, a reader keeps copies as libraries do: whenever writers pause, its copies are right.
fn copies_stay_right(server: &Server, reads: &[&str], options: &str) {
    const ROUNDS: usize = 15;
    let (paused, done_all) = (AtomicU64::new(0), AtomicBool::new(false));
    let writing = AtomicBool::new(true);
    let writers = 3_u64;
    std::thread::scope(|scope| {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let end = End(&done_all);
        for nth in 0..writers {
            let (writing, paused, done_all) = (&writing, &paused, &done_all);
            scope.spawn(move || {
                let mut writer = server.client();
                while !done_all.load(Ordering::SeqCst) {
                    if !writing.load(Ordering::SeqCst) {
                        paused.fetch_add(1, Ordering::SeqCst);
                        while !writing.load(Ordering::SeqCst) && !done_all.load(Ordering::SeqCst) {
                            std::thread::sleep(Duration::from_micros(100));
                        }
                        paused.fetch_sub(1, Ordering::SeqCst);
                        continue;
                    }
                    match nth {
                        0 => done(&mut writer, "INCR a"),
                        1 => ["MULTI", "INCR a", "INCR h", "EXEC"]
                            .iter()
                            .for_each(|line| done(&mut writer, line)),
                        _ => done(&mut writer, "INCR h"),
                    }
                }
            });
        }
        let mut reader = tracking(server, options);
        let mut plain = server.client();
        let mut copies = std::collections::BTreeMap::<String, Value>::new();
        let forget =
            |copies: &mut std::collections::BTreeMap<String, Value>, value: &Value| match keys_of(value) {
                Some(keys) => {
                    keys.iter().for_each(|key| drop(copies.remove(key)));
                    true
                }
                None => false,
            };
        for round in 0..ROUNDS {
            writing.store(true, Ordering::SeqCst);
            for read_line in reads.iter().cycle().take(60) {
                let words: Vec<&str> = read_line.split(' ').collect();
                let words: Vec<&str> = words
                    .iter()
                    .map(|word| {
                        if *word == "SCRIPT" {
                            "return{redis.call('get',KEYS[1]),redis.call('get',KEYS[2])}"
                        } else {
                            word
                        }
                    })
                    .collect();
                let multi = words[0] == "MULTI";
                let requests: Vec<Vec<&str>> = match multi {
                    true => vec![vec!["MULTI"], vec!["GET", "a"], vec!["GET", "h"], vec!["EXEC"]],
                    false => vec![words.clone()],
                };
                let mut last = Value::Null;
                for request in &requests {
                    reader.send(request).expect("sent");
                    last = loop {
                        let value = read(&mut reader);
                        if !forget(&mut copies, &value) {
                            break value;
                        }
                    };
                }
                match last {
                    Value::Array(values) => {
                        for (key, value) in ["a", "h"].into_iter().zip(values) {
                            copies.insert(key.to_owned(), value);
                        }
                    }
                    value => drop(copies.insert(words[1].to_owned(), value)),
                }
            }
            writing.store(false, Ordering::SeqCst);
            wait_until("the pause", || paused.load(Ordering::SeqCst) == writers);
            settle(server);
            reader.send(&["PING"]).expect("sent");
            while forget(&mut copies, &read(&mut reader)) {}
            for (key, copy) in &copies {
                assert_eq!(*copy, call(&mut plain, &format!("GET {key}")), "{key} in round {round}");
            }
        }
        drop(end);
    });
}

#[test]
fn no_modification_is_missed_however_reads_and_writes_meet() {
    everywhere(|server| {
        copies_stay_right(server, &["GET a", "GET h"], "");
        copies_stay_right(server, &["MGET a h", "GET a", "MULTI", "EVAL SCRIPT 2 a h"], "");
        copies_stay_right(server, &["MGET a h", "GET h"], "BCAST");
    });
}

#[test]
fn what_is_silent_or_cannot_be_told_is_not() {
    everywhere(|server| {
        let mut writer = server.client();
        // RESP2 without another client: nothing can be sent.
        let mut old = server.client();
        done(&mut old, "CLIENT TRACKING ON");
        done(&mut old, "MGET a h");
        // Without replies, invalidations come nevertheless.
        let mut silent = tracking(server, "");
        done(&mut silent, "MGET a h");
        silent.send(&["CLIENT", "REPLY", "OFF"]).expect("sent");
        done(&mut writer, "MSET a 1 h 1");
        assert_eq!(invalidated(&mut silent, 2), ["a", "h"]);
        settle(server);
        assert_quiet(&mut old);
        silent.set_timeout(Duration::from_millis(50)).expect("a timeout");
        silent.send(&["GET", "a"]).expect("sent");
        let nothing = silent.read().expect_err("no reply").kind();
        assert!(matches!(nothing, ErrorKind::WouldBlock | ErrorKind::TimedOut));
        // While a client waits for a key, it is told all the same.
        let mut waiter = tracking(server, "");
        done(&mut waiter, "GET a");
        waiter.send(&["BLPOP", "list", "0"]).expect("sent");
        wait_until("the wait", || info(&mut writer, "blocked_clients") == 1);
        done(&mut writer, "SET a 2");
        assert_eq!(read(&mut waiter), invalidation(&["a"]));
    });
}
