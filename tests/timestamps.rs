//! Going back in time: servers that note times, on several shards and over several runs, then `corelane-check aof
//! --truncate-to-timestamp` for every second, and what a server finds afterwards.
//!
//! Clients write in the middle of each second only, so that what belongs to a second is the same for them and for the server. How
//! logs are cut where units of two seconds meet is tested beside the code.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::client::{Client, await_that};
use support::redis;
use support::resp::Value;
use support::server::Server;

const STOP_MAX: Duration = Duration::from_secs(20);

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("timestamps-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the files");
    folder
}

fn start(folder: &Path, shards: &str) -> Server {
    let args =
        ["--appendonly", "yes", "--save", "", "--aof-timestamp-enabled", "yes", "--shards", shards, "--dir"];
    Server::start(&[&args.map(OsString::from)[..], &[folder.into()]].concat())
}

/// Ends a server, cleanly or not. All that it has answered is in its files.
fn stop(mut server: Server, signal: &str) {
    assert_eq!(
        server.client().call(&["WAITAOF", "1", "0", "0"]),
        Value::Array(vec![Value::Int(1), Value::Int(0)])
    );
    server.signal(signal);
    server.wait(STOP_MAX);
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970")
}

/// Data by key, as it was at the end of a second.
type Data = BTreeMap<String, i64>;

/// What a client has done.
#[derive(Default)]
struct Player {
    data: Data,
    /// The data at the end of seconds in which it was active.
    at: BTreeMap<u64, Data>,
    /// Seconds at whose ends it was active: what there was is not known.
    unknown: BTreeSet<u64>,
}

impl Player {
    /// Waits for the middle of the next second and writes for a while.
    fn second(&mut self, client: &mut Client) {
        let begun = now();
        sleep(Duration::from_millis(1300 - u64::from(begun.subsec_millis())));
        let second = now().as_secs();
        for round in 0..30 {
            let key = format!("single:{}", round % 7);
            self.add(&key, client.call(&["INCR", &key]));
            client.call(&["MULTI"]);
            let keys = [0, 1, 2].map(|part| format!("part:{}", round % 4 + part * 4));
            keys.iter().for_each(|key| _ = client.call(&["INCR", key]));
            let Value::Array(values) = client.call(&["EXEC"]) else { panic!("not executed") };
            keys.iter().zip(values).for_each(|(key, value)| self.add(key, value));
        }
        self.data.insert("text".into(), second as i64);
        client.call(&["SET", "text", &second.to_string(), "PX", "100000000"]);
        let end = now().as_secs();
        self.at.insert(end, self.data.clone());
        self.unknown.extend(second..end);
    }

    fn add(&mut self, key: &str, value: Value) {
        let Value::Int(value) = value else { panic!("{value:?} for {key}") };
        self.data.insert(key.into(), value);
    }
}

fn data_of(client: &mut Client) -> Data {
    let Value::Array(keys) = client.call(&["KEYS", "*"]) else { panic!("no keys") };
    let value = |key: &Value| {
        let Value::Bulk(key) = key else { panic!("no key") };
        let key = String::from_utf8(key.clone()).expect("a key of the test");
        let Value::Bulk(value) = client.call(&["GET", &key]) else { panic!("no value of {key}") };
        let value = String::from_utf8(value).expect("a number").parse().expect("a number");
        (key, value)
    };
    keys.iter().map(value).collect()
}

/// A copy of the files in `folder`, in another one.
fn copy_of(folder: &Path, name: &str) -> PathBuf {
    let copy = self::folder(name);
    let (from, to) = (folder.join("appendonlydir"), copy.join("appendonlydir"));
    fs::create_dir_all(&to).expect("a folder");
    for file in fs::read_dir(from).expect("the folder") {
        let path = file.expect("a file").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
    copy
}

/// A copy of the files in `folder`, cut at a time: the folder, or what the program says.
fn truncated(folder: &Path, name: &str, until: u64) -> Result<PathBuf, String> {
    let copy = copy_of(folder, name);
    let output = Command::new(env!("CARGO_BIN_EXE_corelane-check"))
        .args(["aof", "--truncate-to-timestamp", &until.to_string()])
        .arg(copy.join("appendonlydir"))
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(copy) } else { Err(text) }
}

fn is_copy(path: &Path) -> bool {
    path.to_string_lossy().contains(".bak-")
}

/// What servers find in the folder after it was cut; one of them goes on writing.
fn check(folder: &Path, shards: &str, expected: &Data, case: &str) {
    // Each goes on writing.
    let copy = copy_of(folder, "redis");
    let redis = redis::start(&[OsString::from("--appendonly"), "yes".into(), "--dir".into(), copy.into()]);
    assert_eq!(data_of(&mut redis.client()), *expected, "stock Redis, {case}");
    let server = start(folder, shards);
    let mut client = server.client();
    assert_eq!(data_of(&mut client), *expected, "{case}");
    let mut player = Player { data: expected.clone(), ..Player::default() };
    player.add("single:1", client.call(&["INCR", "single:1"]));
    client.call(&["MSET", "new:1", "1", "new:2", "2", "new:3", "3", "new:4", "4"]);
    (1..5).for_each(|number| player.add(&format!("new:{number}"), Value::Int(number)));
    stop(server, "KILL");
    let server = start(folder, shards);
    assert_eq!(data_of(&mut server.client()), player.data, "after a restart, {case}");
}

#[test]
fn a_folder_can_be_brought_back_to_each_second() {
    for (shards, signal) in [("1", "TERM"), ("4", "KILL")] {
        let files = folder("all");
        let mut player = Player::default();
        for run in 0..2 {
            let server = start(&files, shards);
            let mut client = server.client();
            for _ in 0..2 {
                player.second(&mut client);
            }
            stop(server, if run == 0 { "TERM" } else { signal });
        }
        let (first, last) = (*player.at.keys().next().unwrap(), *player.at.keys().last().unwrap());
        for until in (first..=last).filter(|until| !player.unknown.contains(until)) {
            let (_, expected) = player.at.range(..=until).next_back().expect("there is the first");
            let case = format!("{shards} shards, {signal}, {until} of {first} to {last}");
            let cut = match truncated(&files, "cut", until) {
                Ok(cut) => cut,
                // Nothing to cut at a time, but what `--fix` is for.
                Err(text) if until == last && signal == "KILL" && text.contains("Use the --fix option") => {
                    continue;
                }
                Err(text) => panic!("{case}: {text}"),
            };
            let copies = fs::read_dir(cut.join("appendonlydir")).unwrap();
            let copied = copies.flatten().any(|file| is_copy(&file.path()));
            assert_eq!(copied, until < last, "{case}");
            check(&cut, shards, expected, &case);
        }
        let text = truncated(&files, "early", first - 1000).unwrap_err();
        assert!(text.contains(&format!("has nothing before timestamp {}, aborting", first - 1000)), "{text}");
    }
}

#[test]
fn nobody_gets_behind_a_base() {
    let files = folder("base");
    let server = start(&files, "4");
    let mut client = server.client();
    let mut player = Player::default();
    player.second(&mut client);
    let begun = now().as_secs();
    let expected = player.data.clone();
    client.call(&["BGREWRITEAOF"]);
    await_that("a new base", || server.log().contains("Background AOF rewrite finished successfully"));
    let done = now().as_secs();
    player.second(&mut client);
    stop(server, "TERM");
    // The base holds what came before, and all logs behind it say that they were begun in that second.
    let text = truncated(&files, "before", begun - 1).unwrap_err();
    assert!(text.contains("has nothing before timestamp"), "{text}");
    let cut = truncated(&files, "after", done).expect("the time of the base");
    check(&cut, "4", &expected, "the base alone");
}
