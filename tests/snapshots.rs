//! Snapshots of the real binary: the cut, what stock Redis makes of the files, save points, failures, the end.

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::client::{Client, TIMEOUT, await_that, field};
use support::redis;
use support::resp::Value;
use support::rng::Rng;
use support::server::Server;

const MISCONF: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
     Commands that may modify the data set are disabled, because this instance is configured to report errors during \
     writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
     the RDB error.";

fn started(shards: &str, more: &[&str]) -> Server {
    let args = ["--shards", shards, "--save", "", "--enable-debug-command", "yes"];
    Server::start(&[&args[..], more].concat())
}

fn await_end(client: &mut Client) {
    await_that("waited for the snapshot", || field(client, "rdb_bgsave_in_progress") == "0");
}

/// Stock Redis with this dump.
fn loaded(dump: &Path) -> Server {
    let (folder, name) = (dump.parent().unwrap(), dump.file_name().unwrap());
    let args = [
        "--dir",
        folder.to_str().unwrap(),
        "--dbfilename",
        name.to_str().unwrap(),
        "--enable-debug-command",
        "yes",
    ];
    redis::start(&args)
}

/// Tells threads to stop, also when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn int(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        Value::Bulk(digits) => String::from_utf8_lossy(digits).parse().expect("a number"),
        Value::Null | Value::NullBulk => 0,
        other => panic!("{other:?} is no number"),
    }
}

/// While clients change pairs of keys on different shards by transactions, and push to lists and move between them, the
/// snapshot shows an instant.
#[test]
fn a_snapshot_shows_one_instant_of_all_shards() {
    const PAIRS: usize = 20;
    for shards in ["1", "2", "4"] {
        let server = started(shards, &["--rdb-key-save-delay", "20"]);
        let mut client = server.client();
        client.call(&["DEBUG", "POPULATE", "20000", "filler", "50"]);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for seed in 0..3 {
                let (mut client, stop) = (server.client(), &stop);
                scope.spawn(move || {
                    let mut rng = Rng::new(seed);
                    while !stop.load(Ordering::Relaxed) {
                        let pair = rng.below(PAIRS);
                        let (a, b) = (format!("a{pair}"), format!("b{pair}"));
                        match rng.below(4) {
                            0 => {
                                client.call(&["MULTI"]);
                                client.call(&["INCR", &a]);
                                client.call(&["INCR", &b]);
                                client.call(&["EXEC"]);
                            }
                            1 => {
                                let script = "redis.call('incr', KEYS[1]) redis.call('incr', KEYS[2])";
                                client.call(&["EVAL", script, "2", &a, &b]);
                            }
                            2 => drop(client.call(&["RENAME", &format!("from{pair}"), &format!("to{pair}")])),
                            _ => {
                                client.call(&["MSET", &format!("x{pair}"), "1", &format!("from{pair}"), "1"]);
                                client.call(&[
                                    "SET",
                                    &format!("filler:{}", rng.below(20_000)),
                                    "new",
                                    "PX",
                                    "30",
                                ]);
                            }
                        }
                    }
                });
            }
            let _stop = StopAtEnd(&stop);
            for round in 0..5 {
                std::thread::sleep(Duration::from_millis(30));
                assert_eq!(client.call(&["BGSAVE"]), Value::Simple(b"Background saving started".to_vec()));
                // What is written after the reply is not in the snapshot, what was before it is.
                client.call(&["SET", "round", &(round + 1).to_string()]);
                await_end(&mut client);
                assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");
                let dump = server.folder().join(format!("{round}.rdb"));
                fs::rename(server.folder().join("dump.rdb"), &dump).unwrap();
                let stock = loaded(&dump);
                let mut stock = stock.client();
                assert_eq!(int(&stock.call(&["GET", "round"])), round, "on {shards} shards");
                for pair in 0..PAIRS {
                    let counters =
                        ["a", "b"].map(|name| int(&stock.call(&["GET", &format!("{name}{pair}")])));
                    assert_eq!(counters[0], counters[1], "pair {pair} on {shards} shards");
                }
            }
        });
    }
}

/// Values of all types, expiries, databases and functions.
#[test]
fn stock_redis_reads_what_is_written() {
    for shards in ["1", "4"] {
        let server = started(shards, &[]);
        let mut client = server.client();
        for n in 0..200 {
            let n = n.to_string();
            client.call(&["SELECT", if n.len() == 2 { "5" } else { "0" }]);
            client.call(&["SET", &format!("s{n}"), &n.repeat(30), "EX", "1000"]);
            client.call(&["RPUSH", &format!("l{n}"), &n, "a", "b"]);
            client.call(&["ZADD", &format!("z{n}"), "1.5", &n]);
            client.call(&["HSET", &format!("h{n}"), &n, &n, "f", "v"]);
            client.call(&["SADD", &format!("i{n}"), &n, "7"]);
        }
        client.call(&[
            "FUNCTION",
            "LOAD",
            "#!lua name=lib\nredis.register_function('f', function() return 5 end)",
        ]);
        let before = field(&mut client, "rdb_last_save_time");
        assert_eq!(client.call(&["LASTSAVE"]), Value::Int(before.parse().unwrap()));
        assert_ne!(field(&mut client, "rdb_changes_since_last_save"), "0");
        assert_eq!(client.call(&["SAVE"]), Value::ok());
        assert_eq!(field(&mut client, "rdb_changes_since_last_save"), "0");
        let stock = loaded(&server.folder().join("dump.rdb"));
        let mut stock = stock.client();
        assert_eq!(stock.call(&["DEBUG", "DIGEST"]), client.call(&["DEBUG", "DIGEST"]));
        assert!(int(&stock.call(&["TTL", "s1"])) > 900);
        assert_eq!(int(&stock.call(&["FCALL", "f", "0"])), 5);
        assert_eq!(stock.call(&["DBSIZE"]), client.call(&["DBSIZE"]));
    }
}

/// Whatever happens to whole databases during the walk.
#[test]
fn databases_are_as_they_were_at_the_cut() {
    for shards in ["1", "3"] {
        let server = started(shards, &["--rdb-key-save-delay", "100"]);
        let mut client = server.client();
        client.call(&["DEBUG", "POPULATE", "3000", "a"]);
        client.call(&["SELECT", "1"]);
        client.call(&["DEBUG", "POPULATE", "2000", "b"]);
        let digest = client.call(&["DEBUG", "DIGEST"]);
        client.call(&["BGSAVE"]);
        client.call(&["SWAPDB", "0", "1"]);
        client.call(&["FLUSHDB"]);
        client.call(&["DEBUG", "POPULATE", "100", "c"]);
        client.call(&["FLUSHALL"]);
        client.call(&["SET", "k", "v"]);
        assert_eq!(client.call(&["BGSAVE"]), Value::error("ERR Background save already in progress"));
        assert_eq!(client.call(&["SAVE"]), Value::error("ERR Background save already in progress"));
        await_end(&mut client);
        let stock = loaded(&server.folder().join("dump.rdb"));
        assert_eq!(stock.client().call(&["DEBUG", "DIGEST"]), digest);
        // The walk is over: nothing of it is left.
        client.call(&["FLUSHALL"]);
        client.call(&["SAVE"]);
        let stock = loaded(&server.folder().join("dump.rdb"));
        assert_eq!(stock.client().call(&["DBSIZE"]), Value::Int(0));
    }
}

#[test]
fn save_points_and_schedules_are_kept() {
    let server = started("2", &[]);
    let mut client = server.client();
    let dump = server.folder().join("dump.rdb");
    client.call(&["CONFIG", "SET", "save", "1 10"]);
    (0..10).for_each(|n| drop(client.call(&["SET", &format!("k{n}"), "v"])));
    await_that("waited for the save point", || dump.exists());
    await_that("waited for the count", || field(&mut client, "rdb_changes_since_last_save") == "0");
    client.call(&["CONFIG", "SET", "save", ""]);
    fs::remove_file(&dump).unwrap();
    // Not in the middle of a transaction.
    client.call(&["MULTI"]);
    client.call(&["BGSAVE"]);
    client.call(&["SET", "k", "v"]);
    let scheduled = Value::Simple(b"Background saving scheduled".to_vec());
    assert_eq!(client.call(&["EXEC"]), Value::Array(vec![scheduled, Value::ok()]));
    await_that("waited for what was scheduled", || dump.exists());
    assert_eq!(client.call(&["BGSAVE", "now"]), Value::error("ERR syntax error"));
    assert_eq!(field(&mut client, "rdb_saves"), "2");
}

#[test]
fn what_cannot_be_written_is_told_and_refuses_writes() {
    for shards in ["1", "2"] {
        let mut server = started(shards, &[]);
        let mut client = server.client();
        client.call(&["SET", "k", "v"]);
        // A folder is in the way.
        fs::create_dir_all(server.folder().join("dump.rdb/x")).unwrap();
        client.call(&["BGSAVE"]);
        await_that("waited for the failure", || field(&mut client, "rdb_last_bgsave_status") == "err");
        assert!(server.log().contains("Error moving temp DB file"), "{}", server.log());
        assert_eq!(client.call(&["SAVE"]), Value::error("ERR"));
        assert_eq!(client.call(&["SET", "k", "w"]), Value::ok(), "there are no save points");
        client.call(&["CONFIG", "SET", "save", "1000 1000"]);
        for command in [&["SET", "k", "w"][..], &["PING"], &["MSET", "a", "1", "b", "2"]] {
            assert_eq!(client.call(command), Value::error(MISCONF), "{command:?}");
        }
        assert_eq!(client.call(&["GET", "k"]), Value::bulk("w"));
        let Value::Error(text) = client.call(&["EVAL", "return redis.call('set', KEYS[1], 1)", "1", "k"])
        else {
            panic!("a script has written")
        };
        assert!(text.starts_with(MISCONF.as_bytes()), "{}", String::from_utf8_lossy(&text));
        client.call(&["MULTI"]);
        assert_eq!(client.call(&["SET", "k", "w"]), Value::error(MISCONF));
        assert!(client.call(&["EXEC"]).is_error());
        client.call(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
        assert_eq!(client.call(&["SET", "k", "x"]), Value::ok());
        client.call(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "yes"]);
        // It goes on when it cannot save, and it can be told to stop all the same.
        assert_eq!(client.call(&["SHUTDOWN"]), Value::error("ERR Errors trying to SHUTDOWN. Check logs."));
        server.signal("TERM");
        await_that("waited for the signal", || server.log().contains("SIGTERM received but errors"));
        assert_eq!(client.call(&["GET", "k"]), Value::bulk("x"));
        fs::remove_dir_all(server.folder().join("dump.rdb")).unwrap();
        client.call(&["BGSAVE"]);
        await_end(&mut client);
        assert_eq!(client.call(&["SET", "k", "y"]), Value::ok());
        server.signal("TERM");
        assert_eq!(server.wait(TIMEOUT).code(), Some(0), "{}", server.log());
        let stock = loaded(&server.folder().join("dump.rdb"));
        assert_eq!(stock.client().call(&["GET", "k"]), Value::bulk("y"));
    }
}

/// What a client was told to be done is in the last snapshot.
#[test]
fn the_last_snapshot_holds_everything() {
    for (shards, command) in
        [("1", &["SHUTDOWN", "SAVE"]), ("3", &["SHUTDOWN", "SAVE"]), ("2", &["SHUTDOWN", "NOSAVE"])]
    {
        let mut server = started(shards, &["--rdb-key-save-delay", "100"]);
        let mut client = server.client();
        client.call(&["DEBUG", "POPULATE", "3000"]);
        // One that is under way is given up.
        client.call(&["BGSAVE"]);
        std::thread::scope(|scope| {
            let mut writer = server.client();
            let done = scope.spawn(move || {
                let mut done = 0;
                while writer.try_call(&["INCR", "counter"]).is_ok_and(|reply| !reply.is_error()) {
                    done += 1;
                }
                done
            });
            std::thread::sleep(Duration::from_millis(50));
            client.send(command).unwrap();
            assert_eq!(server.wait(TIMEOUT).code(), Some(0), "{}", server.log());
            let done = done.join().unwrap();
            let files = fs::read_dir(server.folder()).unwrap().map(|file| file.unwrap().file_name());
            let temporary = files.filter(|name| name.to_string_lossy().starts_with("temp-")).count();
            assert_eq!(temporary, 0, "nothing is left over");
            let dump = server.folder().join("dump.rdb");
            if command[1] == "NOSAVE" {
                assert!(!dump.exists());
                return;
            }
            let saved = int(&loaded(&dump).client().call(&["GET", "counter"]));
            assert!(saved == done || saved == done + 1, "{saved} of {done}");
        });
    }
}
