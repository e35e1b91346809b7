//! RDB files between Corelane and stock `redis-server`, both ways; commands while a file is loaded; files that are damaged.
//! The digests of both servers are of all that is in them but expiries and what is known about how keys are used, which
//! are compared for themselves.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::client::Client;
use support::redis;
use support::resp::Value;
use support::server::Server;

const LIBRARY: &str = "#!lua name=lib\nredis.register_function('f', function() return 'loaded' end)";
/// Later than any server's clock.
const EXPIRY_MS: &str = "3800000000000";

/// Values of all types in all encodings that every version since 7.0 knows, in two databases.
fn fill(client: &mut Client) {
    let mut call = |line: &str| {
        let reply = client.call(&line.split(' ').collect::<Vec<_>>());
        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply}");
    };
    for db in [0, 3] {
        call(&format!("SELECT {db}"));
        for number in 0..300 {
            call(&format!("SET key:{number} {number}"));
        }
        call("SET text some-text-that-is-no-number");
        call(&format!("SET long {}", "abcdefgh".repeat(5000)));
        call("SETRANGE zeros 100000 x");
        call("SET empty-field x");
        for (name, count) in [("small", 5), ("large", 2000)] {
            for number in 0..count {
                call(&format!("RPUSH list:{name} element:{number} {number}"));
                call(&format!("SADD ints:{name} {}", number * 70_000));
                call(&format!("SADD set:{name} member:{number}"));
                call(&format!("ZADD zset:{name} {}.5 member:{number}", number));
                call(&format!("HSET hash:{name} field:{number} {number}"));
                call(&format!("XADD stream:{name} {}-1 field {number} other text", number + 1));
            }
        }
        call(&format!("RPUSH list:wide {}", "wide".repeat(4000)));
        call("ZADD zset:ends -inf low +inf high -0 zero");
        call("XDEL stream:large 7-1 8-1");
        call("XGROUP CREATE stream:large group 10-1");
        call("XGROUP CREATE stream:large other $");
        call("XREADGROUP GROUP group alice COUNT 20 STREAMS stream:large >");
        call("XREADGROUP GROUP group bob COUNT 5 STREAMS stream:large >");
        call("XACK stream:large group 12-1");
        call("XADD stream:empty 5-5 a b");
        call("XTRIM stream:empty MAXLEN 0");
        call("PFADD hll a b c d e");
        for name in ["key:1", "list:small", "zset:large", "hash:large"] {
            call(&format!("PEXPIREAT {name} {EXPIRY_MS}"));
        }
    }
    // Older references do not know it.
    client.call(&["HPEXPIREAT", "hash:small", EXPIRY_MS, "FIELDS", "1", "field:1"]);
    client.call(&["HPEXPIREAT", "hash:large", EXPIRY_MS, "FIELDS", "2", "field:1", "field:9"]);
    client.call(&["FUNCTION", "LOAD", LIBRARY]);
}

/// Whether a server knows fields that expire.
fn knows_expiring_fields(client: &mut Client) -> bool {
    !matches!(client.call(&["HPEXPIRETIME", "none", "FIELDS", "1", "f"]), Value::Error(_))
}

/// What is in a server, as far as it does not depend on the server; with the expiries of `fields`, if asked for.
fn content(client: &mut Client, fields: bool) -> Vec<String> {
    let mut lines = vec![client.call(&["DEBUG", "DIGEST"]).to_string()];
    lines.push(client.call(&["FCALL", "f", "0"]).to_string());
    for db in ["0", "3"] {
        client.call(&["SELECT", db]);
        let mut of = |line: &str| {
            let reply = client.call(&line.split(' ').collect::<Vec<_>>());
            lines.push(format!("{db} {line}: {reply}"));
        };
        of("DBSIZE");
        for name in ["key:1", "key:2", "list:small", "zset:large", "hash:large"] {
            of(&format!("PEXPIRETIME {name}"));
        }
        for name in
            ["key:2", "text", "long", "ints:small", "ints:large", "set:large", "zset:small", "zset:large"]
        {
            of(&format!("OBJECT ENCODING {name}"));
        }
        of("OBJECT FREQ key:2");
        of("XPENDING stream:large group");
        of("XINFO GROUPS stream:large");
        of("XLEN stream:empty");
        if fields {
            of("HPEXPIRETIME hash:large FIELDS 3 field:1 field:2 field:9");
        }
    }
    lines
}

fn saved(client: &mut Client) {
    assert_eq!(client.call(&["SAVE"]), Value::ok());
}

/// The arguments of a server that begins with the file in the folder of `server`, and saves there.
fn on_folder_of(server: &Server, more: &[&str]) -> Vec<String> {
    let folder = server.folder().display().to_string();
    let own = ["--dir", &folder, "--enable-debug-command", "yes"];
    own.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
}

#[test]
fn files_of_stock_redis_are_loaded_and_ours_by_it() {
    for policy in ["noeviction", "allkeys-lru", "volatile-lfu"] {
        let policy = ["--maxmemory-policy", policy, "--lfu-decay-time", "0"];
        let first = redis::start(&[&["--enable-debug-command", "yes"], &policy[..]].concat());
        let mut client = first.client();
        fill(&mut client);
        let fields = knows_expiring_fields(&mut client);
        let expected = content(&mut client, fields);
        saved(&mut client);
        for shards in ["1", "3"] {
            let more = [&["--shards", shards, "--save", ""], &policy[..]].concat();
            let ours = Server::start(&on_folder_of(&first, &more));
            let mut client = ours.client();
            assert_eq!(content(&mut client, fields), expected, "{policy:?} with {shards} shards");
            let info = client.call(&["INFO", "persistence"]).to_string();
            assert!(info.contains("loading:0") && !info.contains("loading_start_time"), "{info}");
            saved(&mut client);
            let stock = redis::start(&on_folder_of(&first, &policy));
            assert_eq!(
                content(&mut stock.client(), fields),
                expected,
                "{policy:?} back from {shards} shards"
            );
        }
    }
}

/// Runs the program on a folder until it gives up. Returns what it has logged.
fn failed_start(folder: &Path) -> String {
    let port = support::server::free_port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["--port", &port, "--bind", "127.0.0.1", "--shards", "2"])
        .current_dir(folder)
        .output()
        .expect("the program can be started");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{log}");
    log
}

#[test]
fn damaged_files_are_not_loaded() {
    let server = Server::start(&["--shards", "1", "--save", ""]);
    let mut client = server.client();
    fill(&mut client);
    saved(&mut client);
    let file = server.folder().join("dump.rdb");
    let whole = fs::read(&file).unwrap();
    for len in [3, 9, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..len]).unwrap();
        let log = failed_start(server.folder());
        assert!(log.contains(&format!("(at offset {len})")), "{log}");
        assert!(log.contains("Short read or OOM loading DB. Unrecoverable error, aborting now."), "{log}");
        assert!(log.contains("Terminating server after rdb file reading failure."), "{log}");
        assert_eq!(fs::read(&file).unwrap(), &whole[..len], "the file stays as it is");
    }
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 4;
    fs::write(&file, damaged).unwrap();
    assert!(failed_start(server.folder()).contains("(at offset "));
    fs::write(&file, b"no such file").unwrap();
    let log = failed_start(server.folder());
    assert!(log.contains("Wrong signature trying to load DB from file (at offset 0)"), "{log}");
    assert!(log.contains("Fatal error loading the DB, check server logs. Exiting."), "{log}");
}

#[test]
fn commands_wait_for_the_data_set() {
    for shards in ["1", "2"] {
        let server = Server::start(&["--shards", shards, "--save", "", "--enable-debug-command", "yes"]);
        let mut client = server.client();
        fill(&mut client);
        saved(&mut client);
        let digest = client.call(&["DEBUG", "DIGEST"]);
        client.call(&["SET", "key:1", "changed"]);
        client.call(&["SET", "new", "1"]);
        client.call(&["CONFIG", "SET", "key-load-delay", "1000"]);
        let mut other = server.client();
        let mut queued = server.client();
        queued.call(&["MULTI"]);
        queued.call(&["GET", "key:2"]);
        client.send(&["DEBUG", "RELOAD", "NOSAVE"]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let loading = Value::Error(b"LOADING Redis is loading the dataset in memory".to_vec());
        while other.call(&["GET", "key:2"]) != loading {
            assert!(Instant::now() < deadline, "nothing is loaded");
        }
        let info = other.call(&["INFO", "persistence"]).to_string();
        for field in ["loading:1", "loading_start_time:", "loading_total_bytes:", "loading_rdb_used_mem:"] {
            assert!(info.contains(field), "{field} in {info}");
        }
        assert_eq!(other.call(&["PING"]), loading);
        assert_eq!(other.call(&["MULTI"]), Value::ok());
        assert_eq!(other.call(&["SET", "a", "b"]), loading);
        let Value::Error(aborted) = other.call(&["EXEC"]) else { panic!("it was broken") };
        assert!(aborted.starts_with(b"EXECABORT"));
        let Value::Error(aborted) = queued.call(&["EXEC"]) else { panic!("it has to wait") };
        assert!(aborted.starts_with(b"EXECABORT"), "{}", aborted.escape_ascii());
        let Value::Error(refused) = other.call(&["CONFIG", "SET", "dir", "."]) else { panic!("not now") };
        assert!(!refused.is_empty());
        assert_eq!(other.call(&["CONFIG", "SET", "key-load-delay", "0"]), Value::ok());
        assert_eq!(client.read().unwrap(), Value::ok(), "{}", server.log());
        assert_eq!(client.call(&["DEBUG", "DIGEST"]), digest);
        assert_eq!(client.call(&["FCALL", "f", "0"]), Value::Bulk(b"loaded".to_vec()));
        let info = client.call(&["INFO", "persistence"]).to_string();
        assert!(info.contains("loading:0"), "{info}");
        // Without emptying the databases the same keys come again, which has to be allowed.
        assert_eq!(client.call(&["DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE"]), Value::ok());
        assert_eq!(client.call(&["DEBUG", "DIGEST"]), digest);
        let log = server.log();
        assert!(
            log.contains("DB loaded from disk: ") && log.contains("Done loading RDB, keys loaded: "),
            "{log}"
        );
    }
}

#[test]
fn nothing_is_loaded_in_the_middle_of_a_transaction() {
    for shards in ["1", "4"] {
        let args = ["--shards", shards, "--save", "", "--appendonly", "yes", "--enable-debug-command", "yes"];
        let server = Server::start(&args);
        let mut client = server.client();
        client.call(&["MSET", "a", "1", "b", "2", "c", "3"]);
        let refused =
            Value::error("ERR DEBUG RELOAD and DEBUG LOADAOF can't run in the middle of a transaction");
        let loads: [&[&str]; 3] = [&["RELOAD"], &["RELOAD", "NOSAVE"], &["LOADAOF"]];
        for load in loads {
            client.call(&["MULTI"]);
            client.call(&["INCR", "a"]);
            client.call(&[&["DEBUG"], load].concat());
            client.call(&["MGET", "b", "c"]);
            let Value::Array(replies) = client.call(&["EXEC"]) else { panic!("it runs") };
            assert_eq!(replies[1], refused);
        }
        assert_eq!(client.call(&["GET", "a"]), Value::bulk("4"));
    }
}
