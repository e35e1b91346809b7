//! `corelane-check` as a program: what it prints and how it exits, under its own name and under those of Redis' tools.

mod support;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use corelane::aof::frame::{self, HEADER_LEN, Segment, Txn};
use support::redis;
use support::resp::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_corelane-check");

fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("appendonlydir")).expect("a folder for the files");
    folder
}

/// Runs a program with an answer on its standard input: whether it succeeds, and what it prints.
fn run(program: &Path, args: &[&str], file: &Path, answer: &str) -> (bool, String) {
    let mut child = Command::new(program)
        .args(args)
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("its input");
    // The program may end without asking.
    let _ = input.write_all(answer.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("the program ends");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn check(args: &[&str], file: &Path) -> (bool, String) {
    run(Path::new(PROGRAM), args, file, "")
}

/// The program under another name.
fn under(name: &str, folder: &Path) -> PathBuf {
    let link = folder.join(name);
    std::os::unix::fs::symlink(PROGRAM, &link).expect("a link");
    link
}

/// Whether the parts stand in the text in this order.
fn in_order(text: &str, parts: &[&str]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out += &format!("${}\r\n{word}\r\n", word.len());
    }
    out.into_bytes()
}

struct Log {
    segment: Segment,
    file: Vec<u8>,
    lsn: u64,
}

impl Log {
    fn new(shard: u16) -> Log {
        let segment = Segment { run: 77, shard, shards: 2 };
        let mut file = Vec::new();
        segment.encode_with_start(0, &mut file);
        Log { segment, file, lsn: 0 }
    }

    fn add(&mut self, payload: &[u8], safe: u64, txn: Option<u64>) {
        let seed = self.segment.seed();
        match txn {
            Some(number) => {
                let txn = Txn { coordinator: 0, number, participants: vec![0, 1] };
                frame::seal_txn(&mut self.file, payload, self.lsn, safe, &txn, seed);
            }
            None => {
                let mut room = [0; HEADER_LEN];
                frame::seal(&mut room, payload, self.lsn, safe, seed);
                self.file.extend([&room[..], payload].concat());
            }
        }
        self.lsn += payload.len() as u64;
    }
}

/// A folder as a crash leaves it: unused room, and a transaction that is complete nowhere. Returns the manifest.
fn crashed(folder: &Path) -> PathBuf {
    let mut manifest = String::new();
    for shard in 0..2 {
        let mut log = Log::new(shard);
        for number in 0..10 {
            let key = format!("{shard}:{number}");
            log.add(&command(&["SET", &key, "v"]), log.lsn, (number == 5).then_some(5));
        }
        log.add(&command(&["SET", "half", "v"]), 0, (shard == 0).then_some(6));
        log.file.resize(16384, 0);
        let name = format!("appendonly.aof.{}.incr.aof", shard + 1);
        manifest += &format!("file {name} seq {} type i\n", shard + 1);
        fs::write(folder.join("appendonlydir").join(name), log.file).expect("a segment");
    }
    let path = folder.join("appendonlydir/appendonly.aof.manifest");
    fs::write(&path, manifest).expect("a manifest");
    path
}

fn keys_in_redis(folder: &Path) -> Value {
    let args = [OsString::from("--appendonly"), "yes".into(), "--dir".into(), folder.into()];
    redis::start(&args).client().call(&["DBSIZE"])
}

#[test]
fn stock_redis_loads_what_was_fixed() {
    let folder = folder("fix");
    let manifest = crashed(&folder);
    let (ok, text) = check(&["aof"], &manifest);
    assert!(
        !ok && in_order(&text, &["Start checking Multi Part AOF", "is not valid. Use the --fix option"]),
        "{text}"
    );
    assert!(text.contains("transaction 0.6 has no part on shard 1"), "{text}");
    let first = manifest.with_file_name("appendonly.aof.1.incr.aof");
    let before = fs::read(&first).unwrap();
    let (ok, text) = check(&["aof", "--fix"], &manifest);
    assert!(!ok && text.ends_with("Aborting...\n"), "{text}");
    assert_eq!(fs::read(&first).unwrap(), before);
    let (ok, text) = check(&["aof", "--fix", "--yes"], &manifest);
    assert!(
        ok && in_order(&text, &["Successfully truncated AOF", "All AOF files and manifest are valid"]),
        "{text}"
    );
    assert_eq!(fs::read(manifest.with_file_name("appendonly.aof.1.incr.aof.bak-1")).unwrap(), before);
    let (ok, text) = check(&["aof"], manifest.parent().unwrap());
    assert!(
        ok && in_order(&text, &["INCR AOF appendonly.aof.2.incr.aof is valid", "All AOF files"]),
        "{text}"
    );
    assert_eq!(keys_in_redis(&folder), Value::Int(21));
}

#[test]
fn damage_is_named_and_cut_off_if_asked_for() {
    let folder = folder("damage");
    let manifest = crashed(&folder);
    let second = manifest.with_file_name("appendonly.aof.2.incr.aof");
    let mut bytes = fs::read(&second).unwrap();
    let at = bytes.windows(3).position(|part| part == b"1:3").unwrap();
    bytes[at] = b'x';
    fs::write(&second, &bytes).unwrap();
    let frame = bytes[..at].windows(3).rposition(|part| part == b"#F ").unwrap();
    let (ok, text) = check(&["aof"], &manifest);
    assert!(!ok && text.contains(&format!("0x{frame:16x}: the frame's checksum is wrong")), "{text}");
    assert!(
        text.ends_with(
            "AOF appendonly.aof.2.incr.aof is not valid. Use the --fix option to try fixing it.\n"
        )
    );
    let (ok, text) = check(&["aof", "--fix", "--yes"], &manifest);
    assert!(ok && text.contains("was on stable storage, and is lost"), "{text}");
    // Up to the damage on one shard, and up to the transaction that is now incomplete on the other.
    assert_eq!(keys_in_redis(&folder), Value::Int(3 + 5));
    let (ok, text) = check(&["aof"], &second);
    assert!(ok, "a single file: {text}");
}

#[test]
fn files_of_redis_are_checked_as_its_tools_do() {
    let folder = folder("redis");
    let tool = under("redis-check-aof", &folder);
    let set = command(&["set", "foo", "hello"]);
    let file = folder.join("old.aof");
    fs::write(&file, &set).unwrap();
    let (ok, text) = run(&tool, &[], &file, "");
    assert!(ok && in_order(&text, &["Start checking Old-Style AOF", "AOF", "is valid"]), "{text}");
    fs::write(&file, [&set[..], b"!!!"].concat()).unwrap();
    let (ok, text) = run(&tool, &[], &file, "");
    assert!(!ok && in_order(&text, &["ok_up_to=33, ok_up_to_line=8, diff=3", "not valid"]), "{text}");
    let (ok, text) = run(&tool, &["--fix"], &file, "y\n");
    assert!(ok && text.contains("Successfully truncated AOF"), "{text}");
    assert_eq!(fs::read(&file).unwrap(), set);
    let (ok, text) = run(&tool, &["--repair"], &file, "");
    assert!(
        !ok && text.starts_with("Usage: redis-check-aof [--fix|--truncate-to-timestamp $timestamp]"),
        "{text}"
    );

    let timed = [b"#TS:10\r\n", &set[..], b"#TS:20\r\n", &set].concat();
    fs::write(&file, &timed).unwrap();
    let (ok, text) = run(&tool, &["--truncate-to-timestamp", "15"], &file, "");
    assert!(ok && text.contains("to timestamp 15"), "{text}");
    assert_eq!(fs::read(&file).unwrap().len(), 8 + set.len());
    let (ok, text) = run(&tool, &["--truncate-to-timestamp", "5"], &file, "");
    assert!(!ok && text.contains("aborting"), "{text}");

    let part = |name: &str| folder.join("appendonlydir").join(name);
    fs::write(part("m.base.aof"), [&set[..], &command(&["multi"])].concat()).unwrap();
    fs::write(part("m.incr.aof"), &set).unwrap();
    let manifest = part("m.manifest");
    fs::write(&manifest, "file m.base.aof seq 1 type b\nfile m.incr.aof seq 1 type i\n").unwrap();
    let (ok, text) = run(&tool, &["--fix"], &manifest, "y\n");
    assert!(!ok && in_order(&text, &["Failed to truncate AOF", "because it is not the last file"]), "{text}");
    fs::write(part("m.base.aof"), &set).unwrap();
    let (ok, text) = run(&tool, &[], &manifest, "");
    let lines = [
        "Start checking Multi Part AOF",
        "Start to check BASE AOF (RESP format)",
        "BASE AOF",
        "is valid",
        "Start to check INCR files",
        "INCR AOF",
        "is valid",
        "All AOF files and manifest are valid",
    ];
    assert!(ok && in_order(&text, &lines), "{text}");
    fs::write(&manifest, "file m.base.aof seq 1 type b\n!!!\n").unwrap();
    let (ok, text) = run(&tool, &[], &manifest, "");
    assert!(!ok && text.contains("Invalid AOF manifest file format"), "{text}");
}

#[test]
fn rdb_files_are_checked_and_counted() {
    let folder = folder("rdb");
    let server = redis::start::<&str>(&[]);
    let mut client = server.client();
    for number in 0..50 {
        client.call(&["SET", &format!("user:{number}"), &"x".repeat(number)]);
    }
    client.call(&["RPUSH", "queue:1", "a", "b"]);
    client.call(&["SET", "short", "v", "EX", "50"]);
    client.call(&["SAVE"]);
    let bytes = fs::read(server.folder().join("dump.rdb")).unwrap();
    let file = folder.join("dump.rdb");
    fs::write(&file, &bytes).unwrap();
    let tool = under("redis-check-rdb", &folder);
    let (ok, text) = run(&tool, &[], &file, "");
    let lines = [
        "[offset 0] Checking RDB file",
        "AUX FIELD redis-ver",
        "Checksum OK",
        "\\o/ RDB looks OK! \\o/",
        "[info] 52 keys read",
        "[info] 1 expires",
    ];
    assert!(ok && in_order(&text, &lines), "{text}");
    let (ok, text) = check(&["stats", "--top", "1"], &file);
    let lines =
        ["52 keys", "1 keys   list", "51 keys   string", "1 keys   below 1 minute", "50 keys   user:"];
    assert!(ok && in_order(&text, &lines), "{text}");
    // Commands may follow, in a file of old versions.
    let aof = folder.join("preamble.aof");
    fs::write(&aof, [&bytes[..], &command(&["set", "k", "v"])].concat()).unwrap();
    let (ok, text) = check(&["aof"], &aof);
    assert!(ok && in_order(&text, &["RDB preamble is OK, proceeding with AOF tail", "is valid"]), "{text}");
    for (at, expected) in
        [(0, "[offset 0] Wrong signature"), (bytes.len() / 2, "[offset"), (bytes.len() - 1, "CRC")]
    {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        fs::write(&file, &damaged).unwrap();
        let (ok, text) = run(&tool, &[], &file, "");
        assert!(!ok && in_order(&text, &["--- RDB ERROR DETECTED ---", expected]), "{text}");
    }
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let (ok, text) = run(&tool, &[], &file, "");
    assert!(!ok && text.contains("Unexpected EOF reading RDB file"), "{text}");
}
