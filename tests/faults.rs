//! Disks that are full, syncs that fail, files that are missing or no logs: the real binary tells what is wrong, loses nothing
//! that it has acknowledged, and goes on by itself where that can be.
//!
//! A full disk is made by a limit of the size of files, which a running process can be given and relieved of without privileges,
//! and by a small file system where the system lets us mount one. Syncs fail by `DEBUG AOF-FAIL-SYNCS`; that a disk
//! which fails them keeps no promise is the simulation's matter (`tests/simulation/crash`).

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::client::{Client, TIMEOUT, await_that, field};
use support::resp::Value;
use support::server::Server;

/// Bytes of a value: few of them fill a segment.
const VALUE_BYTES: usize = 40_000;
/// Bytes of a file that hold a first segment of a log and none of those behind it; whole blocks, as files that are written past
/// the page cache end.
const LIMIT: u64 = 3 << 19;

/// A folder of its own for the test of that name, empty.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the data");
    folder
}

/// The command line of a server with a log in `folder`.
fn args<'a>(folder: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let dir = folder.to_str().expect("a path of ours");
    let args = ["--dir", dir, "--shards", "2", "--save", "", "--appendonly", "yes"];
    [&args[..], &["--enable-debug-command", "yes"], more].concat()
}

fn started(folder: &Path, more: &[&str]) -> Server {
    Server::start(&args(folder, more))
}

fn await_field(client: &mut Client, name: &str, value: &str) {
    await_that(&format!("waited for {name}:{value}"), || field(client, name) == value);
}

fn await_log(server: &Server, text: &str) {
    let deadline = Instant::now() + TIMEOUT;
    while !server.log().contains(text) {
        assert!(Instant::now() < deadline, "no {text:?} in:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The names in the append-only folder.
fn files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder.join("appendonlydir")).expect("the folder of the log");
    files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}

/// Asks for a rewrite and waits for its end.
fn rewrite(client: &mut Client, status: &str) {
    let reply = client.call(&["BGREWRITEAOF"]);
    assert!(!reply.is_error(), "{reply}");
    await_that("waited for the rewrite", || {
        field(client, "aof_rewrite_in_progress") == "0" && field(client, "aof_rewrite_scheduled") == "0"
    });
    assert_eq!(field(client, "aof_last_bgrewrite_status"), status);
}

fn text(value: &Value) -> String {
    let Value::Error(text) = value else { panic!("{value} is no error") };
    String::from_utf8_lossy(text).into_owned()
}

/// No file of the server may be larger than so many bytes, or any size is well.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let pid = server.pid().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:")]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit of util-linux sets limits");
}

/// Sets keys one after the other until it is told to stop, or refused; returns how many were acknowledged, and the refusal.
fn fill(client: &mut Client, name: &str, stop: &AtomicBool) -> (usize, Option<Value>) {
    let value = "v".repeat(VALUE_BYTES);
    let mut acknowledged = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("{name}:{acknowledged}");
        let reply =
            client.try_call(&["SET", &key, &value]).unwrap_or_else(|error| panic!("SET {key}: {error}"));
        if reply != Value::ok() {
            return (acknowledged, Some(reply));
        }
        acknowledged += 1;
    }
    (acknowledged, None)
}

/// Sets so many keys, all of which must be acknowledged.
fn fill_some(client: &mut Client, name: &str, count: usize) {
    let value = "v".repeat(VALUE_BYTES);
    for number in 0..count {
        assert_eq!(client.call(&["SET", &format!("{name}:{number}"), &value]), Value::ok());
    }
}

/// What of `count` keys is missing.
fn missing(client: &mut Client, name: &str, count: usize) -> Vec<usize> {
    let len = Value::Int(VALUE_BYTES as i64);
    (0..count).filter(|number| client.call(&["STRLEN", &format!("{name}:{number}")]) != len).collect()
}

/// Ends the server as a crash does once all that it has acknowledged must be there, and starts another on its folder.
fn crash_and_restart(mut server: Server, folder: &Path, more: &[&str]) -> Server {
    assert_eq!(
        server.client().call(&["WAITAOF", "1", "0", "20000"]),
        Value::Array(vec![Value::Int(1), Value::Int(0)])
    );
    server.signal("KILL");
    server.wait(TIMEOUT);
    started(folder, more)
}

/// Fills the log until the disk takes no more, looks at what clients are told, makes room, and looks whether all that was
/// acknowledged survives a crash.
fn a_full_disk(name: &str, fsync: &str) {
    let folder = folder(name);
    let more = ["--appendfsync", fsync];
    let server = started(&folder, &more);
    let (mut client, stop) = (server.client(), AtomicBool::new(false));
    client.call(&["SET", "before", "1"]);
    // Room for the first segments, of 1 MiB, and for none behind them.
    limit_files(&server, Some(LIMIT));
    let counts: Vec<(String, usize)> = std::thread::scope(|scope| {
        let fillers: Vec<_> = ["a", "b", "c"]
            .map(|name| {
                let (mut client, stop) = (server.client(), &stop);
                (name, scope.spawn(move || fill(&mut client, name, stop)))
            })
            .into();
        await_field(&mut client, "aof_last_write_status", "err");
        let refused = |error: &Value| {
            let text = text(error);
            let known = ["No space left on device", "File too large"];
            known.iter().any(|reason| text == format!("MISCONF Errors writing to the AOF file: {reason}"))
        };
        for command in [&["SET", "k", "v"][..], &["MSET", "k", "v", "l", "w"], &["DEL", "before"], &["PING"]]
        {
            let reply = client.call(command);
            assert!(refused(&reply), "{command:?}: {reply}");
        }
        client.call(&["MULTI"]);
        assert!(refused(&client.call(&["SET", "k", "v"])));
        assert!(text(&client.call(&["EXEC"])).starts_with("EXECABORT"));
        let script = client.call(&["EVAL", "return redis.call('set', KEYS[1], 1)", "1", "k"]);
        assert!(text(&script).starts_with("MISCONF Errors writing to the AOF file: "), "{script}");
        let script = client.call(&["EVAL", "#!lua\nreturn redis.call('set', KEYS[1], 1)", "1", "k"]);
        assert!(text(&script).starts_with("MISCONF Redis is configured to persist data to AOF"), "{script}");
        assert_eq!(client.call(&["GET", "before"]), Value::bulk("1"));
        if fsync != "always" {
            // There it waits: a script may see what is not durable.
            let script = ["EVAL_RO", "return redis.call('get', KEYS[1])", "1", "before"];
            assert_eq!(client.call(&script), Value::bulk("1"));
        }
        limit_files(&server, Some(LIMIT / 3));
        rewrite(&mut client, "err");
        let names = |kind: &str| files(&folder).iter().filter(|name| name.contains(kind)).count();
        assert_eq!(
            (names(".incr.aof"), names("temp")),
            (2, 0),
            "nothing is left of it: {:?}",
            files(&folder)
        );
        assert_eq!(field(&mut client, "aof_last_write_status"), "err");
        await_log(&server, "Error writing to the AOF file: ");
        await_log(&server, "Can't make another AOF segment: File too large");
        limit_files(&server, None);
        await_field(&mut client, "aof_last_write_status", "ok");
        await_log(&server, "AOF write error looks solved, Redis can write again.");
        assert_eq!(client.call(&["SET", "after", "1"]), Value::ok());
        stop.store(true, Ordering::Relaxed);
        let count = |(name, filler): (&str, std::thread::ScopedJoinHandle<'_, (usize, Option<Value>)>)| {
            let (count, refusal) = filler.join().expect("a filler");
            assert!(refusal.as_ref().is_none_or(refused), "{refusal:?}");
            (name.to_owned(), count)
        };
        fillers.into_iter().map(count).collect()
    });
    assert!(
        counts.iter().map(|(_, count)| count).sum::<usize>() * VALUE_BYTES > LIMIT as usize,
        "{counts:?}"
    );
    let tries = server.log().matches("Can't make another AOF segment").count();
    assert!(tries < 2 * TIMEOUT.as_secs() as usize, "{tries} tries are told");
    rewrite(&mut client, "ok");
    client.call(&["RPUSH", "list", "1"]);
    let server = crash_and_restart(server, &folder, &more);
    let mut client = server.client();
    for (name, count) in &counts {
        assert_eq!(missing(&mut client, name, *count), [0; 0], "{name} of {counts:?}\n{}", server.log());
    }
    for (key, value) in [("before", "1"), ("after", "1")] {
        assert_eq!(client.call(&["GET", key]), Value::bulk(value));
    }
    assert_eq!(client.call(&["LLEN", "list"]), Value::Int(1));
    drop(server);
    fs::remove_dir_all(folder).expect("the folder");
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    a_full_disk("full-everysec", "everysec");
}

#[test]
fn a_full_disk_keeps_back_what_must_be_durable() {
    a_full_disk("full-always", "always");
}

/// A snapshot that the disk has no room for refuses writes, if there are save points, until one succeeds.
#[test]
fn a_snapshot_without_room_refuses_writes_until_one_succeeds() {
    let folder = folder("snapshot");
    let server =
        started(&folder, &["--appendonly", "no", "--save", "3600 1000000", "--rdbcompression", "no"]);
    let mut client = server.client();
    assert_eq!(client.call(&["DEBUG", "POPULATE", "20000", "key", "100"]), Value::ok());
    limit_files(&server, Some(LIMIT));
    assert_eq!(text(&client.call(&["SAVE"])), "ERR");
    assert_eq!(client.call(&["SET", "k", "v"]), Value::ok(), "SAVE tells who has asked");
    client.call(&["BGSAVE"]);
    await_field(&mut client, "rdb_last_bgsave_status", "err");
    await_log(&server, "Write error saving DB on disk: ");
    await_field(&mut client, "rdb_bgsave_in_progress", "0");
    assert!(
        text(&client.call(&["SET", "k", "w"]))
            .starts_with("MISCONF Redis is configured to save RDB snapshots")
    );
    assert_eq!(client.call(&["GET", "k"]), Value::bulk("v"));
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 0, "nothing is left of it");
    limit_files(&server, None);
    client.call(&["BGSAVE"]);
    await_field(&mut client, "rdb_last_bgsave_status", "ok");
    assert_eq!(client.call(&["SET", "k", "x"]), Value::ok());
    drop(server);
    let server = started(&folder, &["--appendonly", "no"]);
    assert_eq!(server.client().call(&["DBSIZE"]), Value::Int(20_001));
    drop(server);
    fs::remove_dir_all(folder).expect("the folder");
}

/// Under `always` the process ends where a sync fails, says so, and what it has acknowledged is there when it is started again.
#[test]
fn a_failed_sync_ends_the_server_that_promises_durability() {
    let folder = folder("sync-always");
    let more = ["--appendfsync", "always", "--aof-sync-method", "fdatasync"];
    let mut server = started(&folder, &more);
    let mut client = server.client();
    fill_some(&mut client, "before", 10);
    client.call(&["DEBUG", "AOF-FAIL-SYNCS", "1"]);
    let lost = client.try_call(&["SET", "lost", "1"]);
    assert!(lost.is_err(), "{lost:?} to what may not be durable");
    assert_eq!(server.wait(TIMEOUT).code(), Some(1));
    let log = server.log();
    let told = "Can't persist AOF for fsync error when the AOF fsync policy is 'always': Input/output error. Exiting...";
    assert!(log.contains(told), "{log}");
    drop(server);
    let server = started(&folder, &more);
    assert_eq!(missing(&mut server.client(), "before", 10), [0; 0]);
    drop(server);
    fs::remove_dir_all(folder).expect("the folder");
}

/// Otherwise writes are refused until a base covers what may be lost; the rewrite begins by itself.
#[test]
fn after_a_failed_sync_the_log_is_rewritten() {
    let folder = folder("sync-everysec");
    let more = ["--appendfsync", "everysec", "--rdb-key-save-delay", "200"];
    let server = started(&folder, &more);
    let mut client = server.client();
    fill_some(&mut client, "before", 10);
    assert_eq!(client.call(&["DEBUG", "POPULATE", "5000"]), Value::ok());
    client.call(&["DEBUG", "AOF-FAIL-SYNCS", "1"]);
    client.call(&["SET", "doubtful", "1"]);
    await_log(&server, "Fail to fsync the AOF file: Input/output error");
    let refused = client.call(&["SET", "k", "v"]);
    assert_eq!(text(&refused), "MISCONF Errors writing to the AOF file: Input/output error");
    assert_eq!(field(&mut client, "aof_last_write_status"), "err");
    assert_eq!(client.call(&["GET", "doubtful"]), Value::bulk("1"));
    await_log(&server, "Background AOF rewrite finished successfully");
    await_field(&mut client, "aof_last_write_status", "ok");
    await_log(&server, "AOF write error looks solved, Redis can write again.");
    assert_eq!(client.call(&["SET", "after", "1"]), Value::ok());
    assert!(files(&folder).contains(&"appendonly.aof.2.base.rdb".to_owned()), "{:?}", files(&folder));
    let server = crash_and_restart(server, &folder, &more);
    let mut client = server.client();
    assert_eq!(missing(&mut client, "before", 10), [0; 0]);
    for key in ["doubtful", "after"] {
        assert_eq!(client.call(&["GET", key]), Value::bulk("1"));
    }
    assert_eq!(client.call(&["DBSIZE"]), Value::Int(5012));
    drop(server);
    fs::remove_dir_all(folder).expect("the folder");
}

/// A disk that does not keep up: commands that write wait when 64 MiB of a log are not written, so the memory for it is bounded;
/// reads go on, and everything is done when the disk comes round.
#[test]
fn writes_wait_for_a_disk_that_does_not_keep_up() {
    const VALUES: usize = 80;
    const FULL_BYTES: usize = 64 << 20;
    let folder = folder("backlog");
    let server = started(&folder, &["--appendfsync", "everysec"]);
    let mut client = server.client();
    client.call(&["DEBUG", "AOF-HOLD-WRITES", "1"]);
    let mut busy = server.client();
    let writer = std::thread::spawn(move || {
        let value = vec![b'v'; 1 << 20];
        let requests: Vec<Vec<Vec<u8>>> = (0..VALUES)
            .map(|n| vec![b"SET".to_vec(), b"big".to_vec(), [n.to_string().as_bytes(), &value].concat()])
            .collect();
        busy.pipeline(&requests).expect("replies")
    });
    let unwritten =
        |client: &mut Client| field(client, "aof_buffer_length").parse::<usize>().expect("a number");
    await_that("waited for a full log", || unwritten(&mut client) > FULL_BYTES);
    let mut waiting = server.client();
    waiting.send(&["SET", "other", "1"]).expect("a request");
    for _ in 0..1000 {
        assert_eq!(client.call(&["GET", "other"]), Value::NullBulk, "a write that waits");
    }
    assert!(unwritten(&mut client) < FULL_BYTES + (4 << 20), "{}", unwritten(&mut client));
    assert!(!writer.is_finished());
    client.call(&["DEBUG", "AOF-HOLD-WRITES", "0"]);
    assert_eq!(writer.join().expect("a writer"), vec![Value::ok(); VALUES]);
    assert_eq!(waiting.read().expect("a reply"), Value::ok());
    assert_eq!(client.call(&["WAITAOF", "1", "0", "0"]), Value::Array(vec![Value::Int(1), Value::Int(0)]));
    let server = crash_and_restart(server, &folder, &[]);
    let mut client = server.client();
    assert_eq!(client.call(&["GET", "other"]), Value::bulk("1"));
    assert_eq!(client.call(&["GETRANGE", "big", "0", "2"]), Value::bulk("79v"));
    drop(server);
    fs::remove_dir_all(folder).expect("the folder");
}

/// The folder of the log goes while the server runs: the next rewrite makes a new one with everything.
#[test]
fn a_folder_that_was_removed_is_made_anew_by_a_rewrite() {
    let folder = folder("removed");
    let server = started(&folder, &[]);
    let mut client = server.client();
    client.call(&["SET", "a", "1"]);
    let log = folder.join("appendonlydir");
    fs::remove_dir_all(&log).expect("the folder of the log");
    fs::write(&log, "no folder").expect("a file in its place");
    rewrite(&mut client, "err");
    await_log(&server, "Background AOF rewrite terminated by error: Can't open or create append-only dir");
    assert_eq!(client.call(&["SET", "b", "1"]), Value::ok(), "what is open can still be written");
    fs::remove_file(&log).expect("the file");
    rewrite(&mut client, "ok");
    client.call(&["SET", "c", "1"]);
    let server = crash_and_restart(server, &folder, &[]);
    for key in ["a", "b", "c"] {
        assert_eq!(server.client().call(&["GET", key]), Value::bulk("1"), "{key}: {}", server.log());
    }
    drop(server);
    fs::remove_dir_all(folder).expect("the folder");
}

/// A folder with a log that holds a base with `k` and an increment for each shard.
fn with_log(test: &str) -> PathBuf {
    let folder = folder(test);
    let server = started(&folder, &[]);
    let mut client = server.client();
    client.call(&["SET", "k", "v"]);
    rewrite(&mut client, "ok");
    client.call(&["MSET", "a", "1", "b", "2", "c", "3"]);
    let mut server = crash_and_restart(server, &folder, &[]);
    server.signal("KILL");
    server.wait(TIMEOUT);
    folder
}

/// A server that finds files missing, or others in their place, does not start, says which file it is, and leaves all
/// as it is: what it has acknowledged before can be brought back.
#[test]
fn what_is_no_log_of_ours_is_refused_at_the_start() {
    let folder = with_log("foreign");
    let log = folder.join("appendonlydir");
    let named = |mark: &str| {
        let found = files(&folder).into_iter().find(|name| name.contains(mark));
        found.unwrap_or_else(|| panic!("no {mark} in {:?}", files(&folder)))
    };
    let (base, increment) = (named(".base."), named(".incr."));
    let manifest = "appendonly.aof.manifest".to_owned();
    let lost = format!("the AOF manifest file {}/{manifest} doesn't exist, but ", log.display());
    let cases: [(&str, &String, Option<&[u8]>, String); 7] = [
        ("no manifest", &manifest, None, lost),
        (
            "no base",
            &base,
            None,
            format!("can't open the append log file {base} for reading: No such file or directory"),
        ),
        (
            "no increment",
            &increment,
            None,
            format!("can't open the append log file {increment} for reading: No such file or directory"),
        ),
        ("a foreign manifest", &manifest, Some(b"Dear diary,\n"), "Invalid AOF manifest file format".into()),
        ("a foreign base", &base, Some(b"Dear diary,\n"), base.clone()),
        ("a foreign increment", &increment, Some(b"Dear diary,\n"), increment.clone()),
        ("an RDB file that is none", &base, Some(b"REDIS0012 and then some other thing"), base.clone()),
    ];
    for (what, name, content, told) in cases {
        let path = log.join(name);
        let aside = folder.join("aside");
        fs::rename(&path, &aside).expect("the file is there");
        if let Some(content) = content {
            fs::write(&path, content).expect("another in its place");
        }
        let before = files(&folder).len();
        let (status, text) = Server::fails_to_start(&args(&folder, &[]));
        assert_eq!(status.code(), Some(1), "{what}: {text}");
        assert!(text.matches("seconds left").count() < 3, "{what}: it goes on loading: {text}");
        assert!(text.contains(&told), "{what}: no {told:?} in {text}");
        assert_eq!(files(&folder).len(), before, "{what}");
        fs::rename(&aside, &path).expect("the file is put back");
        let server = started(&folder, &[]);
        assert_eq!(
            server.client().call(&["EXISTS", "k", "a", "b", "c"]),
            Value::Int(4),
            "{what}: {}",
            server.log()
        );
    }
    fs::remove_dir_all(folder).expect("the folder");
}

#[test]
fn a_file_in_the_place_of_the_folder_is_told_at_the_start() {
    let folder = folder("no-folder");
    fs::write(folder.join("appendonlydir"), "no folder").expect("a file");
    let (status, text) = Server::fails_to_start(&args(&folder, &[]));
    assert_eq!(status.code(), Some(1), "{text}");
    let told =
        format!("Can't open or create append-only dir {}/appendonlydir: File exists", folder.display());
    assert!(text.contains(&told), "{text}");
    let none = folder.join("none");
    let (status, text) = Server::fails_to_start(&args(&none, &[]));
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("No such file or directory"), "{text}");
    fs::remove_dir_all(folder).expect("the folder");
}

/// Writes that take long are events of `LATENCY`.
#[test]
fn slow_writes_of_the_log_are_told() {
    let folder = folder("slow");
    let server = started(&folder, &["--appendfsync", "always", "--latency-monitor-threshold", "5"]);
    let mut client = server.client();
    for (method, event) in [("dsync", "aof-fsync-always"), ("fdatasync", "aof-write")] {
        client.call(&["CONFIG", "SET", "aof-sync-method", method]);
        client.call(&["LATENCY", "RESET"]);
        client.call(&["DEBUG", "AOF-FLUSH-SLEEP", "20000"]);
        client.call(&["SET", "k", "v"]);
        client.call(&["DEBUG", "AOF-FLUSH-SLEEP", "0"]);
        let Value::Array(events) = client.call(&["LATENCY", "HISTORY", event]) else { panic!("an array") };
        assert!(!events.is_empty(), "{event}: {}", client.call(&["LATENCY", "LATEST"]));
    }
    drop(server);
    fs::remove_dir_all(folder).expect("the folder");
}

/// A file system that is full for everybody, the log and snapshots. It is mounted where only the server sees it; its
/// files are reached through the server. Where the system does not let us mount one, the tests with limits have to do.
#[test]
fn a_small_file_system_fills_up_and_is_relieved() {
    let folder = folder("small");
    let disk = folder.join("disk");
    fs::create_dir(&disk).expect("a folder to mount on");
    let mount = "mount -t tmpfs -o size=12m tmpfs \"$0\"";
    let mounts = |namespace: &&str| {
        let status =
            Command::new("sh").args(["-c", &format!("{namespace} '{mount}' '{}'", disk.display())]).status();
        status.is_ok_and(|status| status.success())
    };
    let namespaces = ["unshare --mount sh -c", "unshare --mount --map-root-user sh -c"];
    let Some(namespace) = namespaces.into_iter().find(mounts) else {
        println!("left out: the system lets us mount nothing");
        return;
    };
    let script = folder.join("server");
    let lines = format!(
        "#!/bin/sh\nexec {namespace} '{mount} && exec \"$@\"' '{}' '{}' \"$@\"\n",
        disk.display(),
        env!("CARGO_BIN_EXE_corelane")
    );
    fs::write(&script, lines).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its permissions");
    let server = Server::launch(script.as_os_str(), &args(&disk, &["--save", "3600 1000000"]));
    let mut client = server.client();
    let seen = PathBuf::from(format!("/proc/{}/root{}", server.pid(), disk.display()));
    let ballast = seen.join("ballast");
    fs::write(&ballast, vec![1; 4 << 20]).expect("some of the room");
    let (count, refusal) = fill(&mut client, "key", &AtomicBool::new(false));
    let misconf = "MISCONF Errors writing to the AOF file: No space left on device";
    assert_eq!(refusal.as_ref().map(text).as_deref(), Some(misconf), "{count}");
    assert_eq!(missing(&mut client, "key", count), [0; 0], "reads go on");
    client.call(&["BGSAVE"]);
    await_field(&mut client, "rdb_last_bgsave_status", "err");
    await_log(&server, "No space left on device");
    assert!(text(&client.call(&["SET", "k", "v"])).starts_with("MISCONF "));
    fs::remove_file(&ballast).expect("the ballast");
    await_field(&mut client, "aof_last_write_status", "ok");
    client.call(&["BGSAVE"]);
    await_field(&mut client, "rdb_last_bgsave_status", "ok");
    assert_eq!(client.call(&["SET", "k", "v"]), Value::ok());
    assert_eq!(
        client.call(&["WAITAOF", "1", "0", "20000"]),
        Value::Array(vec![Value::Int(1), Value::Int(0)])
    );
    // The file system ends with the server: what a crash would leave is looked at elsewhere.
    let copy = folder.join("copy");
    let copied = Command::new("cp").arg("-r").arg(&seen).arg(&copy).status();
    assert!(copied.is_ok_and(|status| status.success()));
    drop(server);
    let server = started(&copy, &[]);
    let mut client = server.client();
    assert_eq!(missing(&mut client, "key", count), [0; 0], "{}", server.log());
    assert_eq!(client.call(&["GET", "k"]), Value::bulk("v"));
    drop(server);
    fs::remove_dir_all(folder).expect("the folder");
}
