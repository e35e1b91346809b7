//! Who waits for stable storage: `CLIENT DURABILITY`, `WAITAOF`, `WAIT`, and what the logs hold then.

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::client::Client;
use support::redis;
use support::resp::Value;
use support::server::Server;

const SHARDS: [&str; 3] = ["1", "2", "4"];

fn start(shards: &str, more: &[&str]) -> Server {
    Server::start(&[&["--save", "", "--shards", shards, "--enable-debug-command", "yes"], more].concat())
}

/// All that the segments of a server hold, but for zeroes.
fn logs(server: &Server) -> String {
    let mut all = Vec::new();
    for entry in fs::read_dir(server.folder().join("appendonlydir")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".incr.aof") {
            all.extend(fs::read(path).unwrap().into_iter().filter(|&byte| byte != 0));
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn pair(local: i64) -> Value {
    Value::Array(vec![Value::Int(local), Value::Int(0)])
}

fn info(client: &mut Client, name: &str) -> String {
    let Value::Bulk(text) = client.call(&["INFO", "persistence"]) else { panic!("INFO is text") };
    let text = String::from_utf8(text).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn waitaof_waits_for_all_shards() {
    for shards in SHARDS {
        // Nothing would be synced by itself.
        let server = start(shards, &["--appendonly", "yes", "--appendfsync", "no"]);
        let mut c = server.client();
        for key in 0..100 {
            c.call(&["SET", &format!("key:{key}"), "value"]);
        }
        assert_eq!(c.call(&["WAITAOF", "1", "0", "0"]), pair(1));
        let logs = logs(&server);
        assert!((0..100).all(|key| logs.contains(&format!("key:{key}\r"))), "{shards} shards");
        assert_eq!(c.call(&["WAITAOF", "1", "1", "20"]), pair(1), "nobody else has it");
        assert_eq!(c.call(&["WAIT", "0", "0"]), Value::Int(0));
        assert_eq!(c.call(&["WAIT", "1", "20"]), Value::Int(0));
        // In the middle of a program nobody waits.
        c.call(&["MULTI"]);
        c.call(&["WAIT", "1", "0"]);
        c.call(&["WAITAOF", "1", "1", "0"]);
        assert_eq!(c.call(&["EXEC"]), Value::Array(vec![Value::Int(0), pair(1)]));
    }
}

#[test]
fn waits_have_redis_errors_and_can_be_ended() {
    let server = start("2", &[]);
    let mut c = server.client();
    let no_log = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    for (command, error) in [
        ("WAITAOF 1 0 0", no_log),
        ("WAITAOF 2 0 0", "ERR value is out of range, value must between 0 and 1"),
        ("WAITAOF x 0 0", "ERR value is not an integer or out of range"),
        ("WAITAOF 0 -1 0", "ERR value is out of range, must be positive"),
        ("WAITAOF 0 0 x", "ERR timeout is not an integer or out of range"),
        ("WAIT 0 -1", "ERR timeout is negative"),
        ("WAIT x 0", "ERR value is not an integer or out of range"),
    ] {
        let args: Vec<&str> = command.split(' ').collect();
        assert_eq!(c.call(&args), Value::error(error), "{command}");
    }
    assert_eq!(c.call(&["WAITAOF", "0", "0", "0"]), pair(0));
    let mut other = server.client();
    for (how, reply) in [
        (&["CLIENT", "UNBLOCK"][..], Value::Int(0)),
        (&["CLIENT", "UNBLOCK", "ERROR"], Value::error("UNBLOCKED client unblocked via CLIENT UNBLOCK")),
    ] {
        let Value::Int(id) = c.call(&["CLIENT", "ID"]) else { panic!("a number") };
        c.send(&["WAIT", "1", "0"]).unwrap();
        let id = id.to_string();
        let unblock = [&how[..2], &[&*id], &how[2..]].concat();
        until("it waits", || other.call(&unblock) == Value::Int(1));
        assert_eq!(c.read().unwrap(), reply);
    }
    assert_eq!(c.call(&["PING"]), Value::Simple(b"PONG".to_vec()));
}

#[test]
fn a_connection_chooses_whether_it_waits() {
    for shards in SHARDS {
        let server = start(shards, &["--appendonly", "yes", "--appendfsync", "no"]);
        let mut c = server.client();
        assert_eq!(c.call(&["CLIENT", "DURABILITY", "maybe"]), Value::error("ERR syntax error"));
        assert_eq!(c.call(&["CLIENT", "DURABILITY", "ALWAYS"]), Value::ok());
        for key in 0..20 {
            let (one, other) = (format!("a{key}"), format!("b{key}"));
            c.call(&["SET", &one, "value"]);
            assert!(logs(&server).contains(&format!("{one}\r")), "{shards} shards: SET {one}");
            c.call(&["MSET", &other, "1", &format!("c{key}"), "2"]);
            assert!(logs(&server).contains(&format!("{other}\r")), "{shards} shards: MSET {other}");
            c.call(&["EVAL", "return redis.call('incr', KEYS[1])", "1", &format!("d{key}")]);
            assert!(logs(&server).contains(&format!("d{key}\r")), "{shards} shards: EVAL");
        }
        let library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)";
        c.call(&["FUNCTION", "LOAD", library]);
        assert!(logs(&server).contains("#!lua name=lib"));
        assert_eq!(c.call(&["CLIENT", "DURABILITY", "relaxed"]), Value::ok());
        assert_eq!(c.call(&["CLIENT", "DURABILITY", "default"]), Value::ok());
        assert_eq!(c.call(&["RESET"]), Value::Simple(b"RESET".to_vec()));
    }
}

#[test]
fn libraries_come_back() {
    let library = |name: &str, value: u32| {
        format!("#!lua name={name}\nredis.register_function('{name}', function() return {value} end)")
    };
    for shards in SHARDS {
        let mut server = start(shards, &["--appendonly", "yes"]);
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for (nth, name) in ["one", "two", "three", "four"].iter().enumerate() {
            clients[nth].call(&["FUNCTION", "LOAD", &library(name, nth as u32)]);
        }
        clients[0].call(&["FUNCTION", "DELETE", "two"]);
        clients[1].call(&["FUNCTION", "LOAD", "REPLACE", &library("three", 30)]);
        assert_eq!(clients[2].call(&["WAITAOF", "1", "0", "0"]), pair(1));
        // A rewrite takes them over.
        if shards != "1" {
            clients[0].call(&["CONFIG", "SET", "appendonly", "no"]);
            clients[0].call(&["CONFIG", "SET", "appendonly", "yes"]);
            assert_eq!(clients[0].call(&["WAITAOF", "1", "0", "0"]), pair(1));
        }
        clients[3].call(&["FUNCTION", "LOAD", &library("five", 5)]);
        assert_eq!(clients[2].call(&["WAITAOF", "1", "0", "0"]), pair(1));
        server.signal("TERM");
        server.wait(Duration::from_secs(20));
        let again = start(shards, &["--appendonly", "yes", "--dir", server.folder().to_str().unwrap()]);
        let mut c = again.client();
        for (name, value) in [("one", 0), ("three", 30), ("four", 3), ("five", 5)] {
            assert_eq!(c.call(&["FCALL", name, "0"]), Value::Int(value), "{shards} shards: {name}");
        }
        assert_eq!(c.call(&["FCALL", "two", "0"]), Value::error("ERR Function not found"));
    }
}

#[test]
fn what_an_abandoned_script_has_removed_is_logged() {
    for shards in SHARDS {
        let server = start(shards, &["--appendonly", "yes"]);
        let mut c = server.client();
        c.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
        c.call(&["SET", "gone", "x", "PX", "1"]);
        c.call(&["HSET", "hash", "field", "x", "other", "y"]);
        c.call(&["HPEXPIRE", "hash", "1", "FIELDS", "1", "field"]);
        std::thread::sleep(Duration::from_millis(5));
        // It reads what it has declared, and then, on several shards, has to begin again.
        let script = "local a = redis.call('get', 'gone') local b = redis.call('hget', 'hash', 'field') \
                      for i = 1, 9 do redis.call('get', 'undeclared' .. i) end return {a, b}";
        let nothing = Value::Array(vec![Value::NullBulk, Value::NullBulk]);
        assert_eq!(c.call(&["EVAL", script, "2", "gone", "hash"]), nothing, "{shards} shards");
        assert_eq!(c.call(&["WAITAOF", "1", "0", "0"]), pair(1));
        let logs = logs(&server);
        assert!(logs.contains("DEL\r\n$4\r\ngone\r\n"), "{shards} shards: {logs}");
        assert!(logs.contains("HDEL\r\n$4\r\nhash\r\n$5\r\nfield\r\n"), "{shards} shards: {logs}");
    }
}

#[test]
fn rewrites_begin_when_they_are_asked_for() {
    for shards in SHARDS {
        let server = start(shards, &[]);
        let mut c = server.client();
        c.call(&["MSET", "a", "1", "b", "2", "c", "3"]);
        assert_eq!(info(&mut c, "aof_enabled"), "0");
        for _ in 0..2 {
            assert_eq!(c.call(&["CONFIG", "SET", "appendonly", "yes"]), Value::ok());
            let began = info(&mut c, "aof_rewrite_in_progress") + &info(&mut c, "aof_rewrite_scheduled");
            assert!(began.contains('1') || info(&mut c, "aof_rewrites") != "0", "{shards} shards");
            let reply = c.try_call(&["WAITAOF", "1", "0", "0"]);
            assert_eq!(reply.unwrap_or_else(|error| panic!("{error}: {}", server.log())), pair(1));
            assert_eq!(c.call(&["CONFIG", "SET", "appendonly", "no"]), Value::ok());
            c.call(&["INCR", "unlogged"]);
        }
        c.call(&["CONFIG", "SET", "appendonly", "yes"]);
        until("it is over", || info(&mut c, "aof_rewrite_in_progress") == "0");
        c.call(&["INCR", "logged"]);
        let rewrites: u32 = info(&mut c, "aof_rewrites").parse().unwrap();
        let reply = c.call(&["BGREWRITEAOF"]);
        assert_eq!(reply, Value::Simple(b"Background append only file rewriting started".to_vec()));
        until("it is over", || info(&mut c, "aof_rewrite_in_progress") == "0");
        assert!(info(&mut c, "aof_rewrites").parse::<u32>().unwrap() > rewrites);
        assert_eq!(info(&mut c, "aof_last_bgrewrite_status"), "ok");
        assert!(info(&mut c, "aof_base_size").parse::<u64>().unwrap() > 0);
    }
}

#[test]
fn flushes_begin_rewrites_on_several_shards() {
    let server = start("3", &["--appendonly", "yes"]);
    let mut c = server.client();
    c.call(&["MSET", "a", "1", "b", "2", "c", "3"]);
    for flush in [&["FLUSHDB"][..], &["SWAPDB", "0", "1"], &["FLUSHALL"]] {
        let before = info(&mut c, "aof_rewrites");
        c.call(flush);
        until("a rewrite begins", || info(&mut c, "aof_rewrites") != before);
        until("it is over", || info(&mut c, "aof_rewrite_in_progress") == "0");
        c.call(&["SET", "after", "x"]);
    }
    assert!(!logs(&server).contains("FLUSHALL"));
}

#[test]
fn after_a_clean_stop_stock_redis_goes_on() {
    for shards in SHARDS {
        for by_signal in [false, true] {
            let mut server = start(shards, &["--appendonly", "yes", "--appendfsync", "no"]);
            let mut c = server.client();
            c.call(&[
                "FUNCTION",
                "LOAD",
                "#!lua name=lib\nredis.register_function('f', function() return 7 end)",
            ]);
            for key in 0..200 {
                c.call(&["SET", &format!("key:{key}"), &key.to_string()]);
                c.call(&["MSET", &format!("a:{key}"), "1", &format!("b:{key}"), "2"]);
                c.call(&["RPUSH", &format!("list:{}", key % 7), "x"]);
            }
            c.call(&["FLUSHDB"]);
            // On several shards a rewrite has to follow before others can read the logs. Once it is not scheduled, it has begun.
            let is_over = |c: &mut Client| {
                info(c, "aof_rewrite_scheduled") + &info(c, "aof_rewrite_in_progress") == "00"
            };
            until("the rewrite is over", || is_over(&mut c));
            c.call(&["MSET", "a", "1", "b", "2", "c", "3"]);
            if by_signal {
                server.signal("TERM");
            } else {
                c.send(&["SHUTDOWN"]).unwrap();
            }
            assert_eq!(server.wait(Duration::from_secs(20)).code(), Some(0));
            let log = server.log();
            assert!(!log.contains("not on stable storage") && !log.contains("Can't cut"), "{log}");
            let folder = server.folder().join("appendonlydir");
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let is_log = path.to_string_lossy().ends_with(".aof");
                assert!(!is_log || !fs::read(&path).unwrap().contains(&0), "{}", path.display());
            }
            let folder = server.folder().to_str().unwrap();
            let redis = redis::start(&["--dir", folder, "--appendonly", "yes"]);
            let mut c = redis.client();
            let values = Value::Array(["1", "2", "3"].map(Value::bulk).to_vec());
            assert_eq!(c.call(&["MGET", "a", "b", "c"]), values, "{shards} shards");
            assert_eq!(c.call(&["FCALL", "f", "0"]), Value::Int(7));
            assert_eq!(c.call(&["DBSIZE"]), Value::Int(3), "{shards} shards");
        }
    }
}
