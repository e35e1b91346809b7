//! Folders of append-only files as stock `redis-server` sees them: it loads the segments of several shards one after the
//! other and takes everything that is no command for annotations.

mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corelane::aof::frame::{self, HEADER_LEN, LINE_MAX, SHARDS_MAX, Segment, Txn};
use support::client::Client;
use support::redis;
use support::resp::Value;
use support::server::Server;

/// A folder of its own for the test of that name, empty.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("aof-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("appendonlydir")).expect("a folder for the files");
    folder
}

/// Starts stock Redis on the files of `folder`.
fn start_redis(folder: &Path) -> Server {
    let args = [OsString::from("--appendonly"), "yes".into(), "--dir".into(), folder.into()];
    redis::start(&args)
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out += &format!("${}\r\n{word}\r\n", word.len());
    }
    out.into_bytes()
}

fn padding(len: usize) -> Vec<u8> {
    let mut room = vec![0; len];
    assert!(frame::pad(&mut room));
    room
}

#[test]
fn stock_redis_loads_segments_of_several_shards() {
    let folder = folder("segments");
    let mut manifest = String::new();
    for shard in 0..3u16 {
        let segment = Segment { run: 7, shard, shards: 3 };
        let mut file = Vec::new();
        segment.encode(&mut file);
        let mut lsn = 0;
        for number in 0..50u64 {
            let key = format!("key:{shard}:{number}");
            let mut payload = command(&["SELECT", "1"]);
            payload.extend(command(&["SET", &key, "#F a value like a header\n"]));
            if number % 5 == 0 {
                let participants = (0..SHARDS_MAX).filter(|shard| shard % 2 == 0).collect();
                let txn = Txn { coordinator: 1, number, participants };
                frame::seal_txn(&mut file, &payload, lsn, 0, &txn, segment.seed());
            } else {
                let mut room = [0; HEADER_LEN];
                frame::seal(&mut room, &payload, lsn, 0, segment.seed());
                file.extend([&room[..], &payload].concat());
            }
            lsn += payload.len() as u64;
            file.extend(padding(2 + number as usize * 97));
        }
        file.extend(padding(LINE_MAX + 1));
        let name = format!("appendonly.aof.{}.incr.aof", shard + 1);
        manifest += &format!("file {name} seq {} type i\n", shard + 1);
        fs::write(folder.join("appendonlydir").join(name), file).expect("a segment");
    }
    fs::write(folder.join("appendonlydir/appendonly.aof.manifest"), manifest).expect("a manifest");

    let server = start_redis(&folder);
    let mut client = server.client();
    client.call(&["SELECT", "1"]);
    assert_eq!(client.call(&["DBSIZE"]), Value::Int(150));
    for key in ["key:0:0", "key:1:49", "key:2:25"] {
        let value = client.call(&["GET", key]);
        assert_eq!(value, Value::Bulk(b"#F a value like a header\n".to_vec()), "{key}");
    }
}

/// Starts Corelane on the files of `folder`.
fn start_corelane(folder: &Path, shards: &str) -> Server {
    let args = ["--appendonly", "yes", "--save", "", "--shards", shards, "--dir"].map(OsString::from);
    Server::start(&[&args[..], &[folder.into()]].concat())
}

const KEYS: i64 = 100;
/// How long a server may take to stop.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Writes keys, empties the databases, and writes others: those of all shards are there then, and nothing else.
fn write_over_shards(client: &mut Client) {
    for prefix in ["before", "after"] {
        for key in 0..KEYS {
            client.call(&["SET", &format!("{prefix}:{key}"), "value"]);
        }
        if prefix == "before" {
            assert_eq!(client.call(&["FLUSHALL"]), Value::ok());
        }
    }
}

fn assert_redis_has_the_others(folder: &Path, case: &str) {
    let server = start_redis(folder);
    let mut client = server.client();
    assert_eq!(client.call(&["DBSIZE"]), Value::Int(KEYS), "{case}");
    assert_eq!(client.call(&["GET", "after:7"]), Value::bulk("value"), "{case}");
}

#[test]
fn stock_redis_loads_what_is_left_by_a_clean_stop_after_databases_were_emptied() {
    for stop in ["SHUTDOWN NOSAVE", "SHUTDOWN SAVE", "TERM", "BGSAVE"] {
        let folder = folder("emptied");
        let mut server = start_corelane(&folder, "4");
        let mut client = server.client();
        write_over_shards(&mut client);
        match stop {
            "TERM" => server.signal(stop),
            "BGSAVE" => {
                client.call(&["CONFIG", "SET", "rdb-key-save-delay", "10000000"]);
                client.call(&["BGSAVE"]);
                client.call(&["CONFIG", "SET", "rdb-key-save-delay", "0"]);
                client.send(&["SHUTDOWN", "NOSAVE"]).expect("a request sent");
            }
            command => client.send(&command.split(' ').collect::<Vec<_>>()).expect("a request sent"),
        }
        assert!(server.wait(STOP_MAX).success(), "{stop}: {}", server.log());
        assert_redis_has_the_others(&folder, stop);
    }
}

#[test]
fn a_base_that_a_crash_has_prevented_is_written_by_the_next_run() {
    let folder = folder("crash");
    let mut server = start_corelane(&folder, "4");
    let mut client = server.client();
    client.call(&["CONFIG", "SET", "appendfsync", "always"]);
    write_over_shards(&mut client);
    server.signal("KILL");
    server.wait(STOP_MAX);
    let mut server = start_corelane(&folder, "4");
    server.signal("TERM");
    assert!(server.wait(STOP_MAX).success(), "{}", server.log());
    assert_redis_has_the_others(&folder, "the next run");
}

#[test]
fn a_transaction_schedules_rewrites() {
    for shards in ["1", "4"] {
        let folder = folder("transaction");
        let server = start_corelane(&folder, shards);
        let mut client = server.client();
        client.call(&["CONFIG", "SET", "appendonly", "no"]);
        let commands: [&[&str]; 3] =
            [&["SET", "key", "value"], &["CONFIG", "SET", "appendonly", "yes"], &["BGREWRITEAOF"]];
        client.call(&["MULTI"]);
        for command in commands {
            assert_eq!(client.call(command), Value::Simple(b"QUEUED".to_vec()));
        }
        let scheduled = Value::Simple(b"Background append only file rewriting scheduled".to_vec());
        assert_eq!(client.call(&["EXEC"]), Value::Array(vec![Value::ok(), Value::ok(), scheduled]));
        let deadline = Instant::now() + STOP_MAX;
        while !server.log().contains("Background AOF rewrite finished successfully") {
            assert!(Instant::now() < deadline, "{}", server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
