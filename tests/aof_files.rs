//! Folders of append-only files as stock `redis-server` sees them: it loads the segments of several shards one after the
//! other and takes everything that is no command for annotations.

mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use corelane::aof::frame::{self, HEADER_LEN, LINE_MAX, SHARDS_MAX, Segment, Txn};
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
