//! `kill -9` at any instant under `appendfsync always`: what was acknowledged is there after the restart, nothing is there by
//! half, nothing that was deleted comes back, and nothing that somebody has seen is gone.
//!
//! Each client works on keys of its own, which lie on different shards, one operation after the other, so that it knows what
//! must be there: the value of its last acknowledged operation or, if one was under way when the server was killed, of that one.
//! Clients also read each other's keys and remember what they saw.
//!
//! `CORELANE_KILL_ROUNDS` sets the number of rounds. The recorder itself is checked on a server that does not keep what it
//! acknowledges (`appendfsync no`, with the newest part of each log cut off).

mod support;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::client::Client;
use support::resp::Value;
use support::rng::Rng;
use support::server::Server;

const CLIENTS: usize = 20;
const SHARDS: &str = "4";
/// Kinds of operations, each with keys of its own.
const KINDS: usize = 7;

/// What a client knows of the keys of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The last operation that was acknowledged.
    acknowledged: u64,
    /// One that may have been done.
    under_way: Option<u64>,
}

/// One client over all rounds.
struct Player {
    number: usize,
    known: [Known; KINDS],
    /// By client: the highest value that was seen of its key of the first kind.
    seen: Vec<u64>,
    rng: Rng,
}

fn number(value: &Value) -> u64 {
    match value {
        Value::Bulk(text) => std::str::from_utf8(text).unwrap().parse().unwrap(),
        Value::NullBulk => 0,
        other => panic!("{other:?} in the place of a number"),
    }
}

impl Player {
    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.number)
    }

    /// Works until the connection breaks.
    fn play(&mut self, client: &mut Client) -> io::Result<()> {
        loop {
            if self.rng.chance(15) {
                let other = self.rng.below(CLIENTS);
                let value = client.try_call(&["GET", &format!("{other}:single")])?;
                self.seen[other] = self.seen[other].max(number(&value));
                continue;
            }
            let kind = self.rng.below(KINDS);
            let value = self.known[kind].acknowledged + 1;
            self.known[kind].under_way = Some(value);
            self.operate(client, kind, value)?;
            self.known[kind] = Known { acknowledged: value, under_way: None };
        }
    }

    fn operate(&self, client: &mut Client, kind: usize, value: u64) -> io::Result<()> {
        let (key, text) = (|name| self.key(name), value.to_string());
        let reply = match kind {
            0 => client.try_call(&["SET", &key("single"), &text])?,
            1 => client.try_call(&["MSET", &key("m1"), &text, &key("m2"), &text, &key("m3"), &text])?,
            2 => {
                client.try_call(&["MULTI"])?;
                client.try_call(&["SET", &key("x1"), &text])?;
                client.try_call(&["INCR", &key("x2")])?;
                client.try_call(&["RPUSH", &key("x3"), &text])?;
                client.try_call(&["EXEC"])?
            }
            3 => {
                let script =
                    "redis.call('set', KEYS[1], ARGV[1]) return redis.call('hset', KEYS[2], 'f', ARGV[1])";
                client.try_call(&["EVAL", script, "2", &key("e1"), &key("e2"), &text])?
            }
            4 if value % 2 == 1 => client.try_call(&["SET", &key("there"), &text])?,
            4 => client.try_call(&["DEL", &key("there"), &key("never")])?,
            5 if value % 2 == 1 => client.try_call(&["LMOVE", &key("l1"), &key("l2"), "LEFT", "LEFT"])?,
            5 => client.try_call(&["LMOVE", &key("l2"), &key("l1"), "LEFT", "LEFT"])?,
            _ if value % 2 == 1 => client.try_call(&["RENAME", &key("r1"), &key("r2")])?,
            _ => client.try_call(&["RENAME", &key("r2"), &key("r1")])?,
        };
        assert!(!matches!(reply, Value::Error(_)), "{kind} {value}: {reply:?}");
        Ok(())
    }

    /// What must be there before the first round.
    fn prepare(&self, client: &mut Client) {
        client.call(&["RPUSH", &self.key("l1"), "element"]);
        client.call(&["SET", &self.key("r1"), "value"]);
    }

    /// The number of the last operation of each kind that the server knows of.
    fn recovered(&self, client: &mut Client) -> Result<[u64; KINDS], String> {
        let mut get = |name: &str| number(&client.call(&["GET", &self.key(name)]));
        let single = get("single");
        let multi = [get("m1"), get("m2"), get("m3")];
        let (x1, x2, e1, there) = (get("x1"), get("x2"), get("e1"), get("there"));
        let mut len = |name: &str| match client.call(&["LLEN", &self.key(name)]) {
            Value::Int(len) => len as u64,
            other => panic!("{other:?}"),
        };
        let (x3, l1, l2) = (len("x3"), len("l1"), len("l2"));
        let e2 = number(&client.call(&["HGET", &self.key("e2"), "f"]));
        let mut exists = |name: &str| client.call(&["EXISTS", &self.key(name)]) == Value::Int(1);
        let (r1, r2) = (exists("r1"), exists("r2"));
        let known = |kind: usize| self.known[kind].under_way.unwrap_or(self.known[kind].acknowledged);
        // Which of two states it is tells which of two operations was the last.
        let last = |kind: usize, odd: bool| {
            let last = known(kind);
            if (last % 2 == 1) == odd { last } else { last.saturating_sub(1) }
        };
        if multi != [multi[0]; 3] || x1 != x2 || x2 != x3 || e1 != e2 {
            return Err(format!("half: MSET {multi:?}, EXEC {x1} {x2} {x3}, EVAL {e1} {e2}"));
        }
        if l1 + l2 != 1 || r1 == r2 {
            return Err(format!("half: LMOVE {l1} {l2}, RENAME {r1} {r2}"));
        }
        if there > 0 && there != last(4, true) {
            return Err(format!("an old value has come back: {there}"));
        }
        Ok([single, multi[0], x1, e1, last(4, there > 0), last(5, l2 == 1), last(6, r2)])
    }

    /// Compares that with what is known, and goes on from there.
    fn check(&mut self, client: &mut Client, singles: &[u64]) -> Result<(), String> {
        let about = |what: String| format!("client {}: {what}; known: {:?}", self.number, self.known);
        let recovered = self.recovered(client).map_err(about)?;
        for (kind, (known, &found)) in self.known.iter().zip(&recovered).enumerate() {
            if found != known.acknowledged && Some(found) != known.under_way {
                return Err(about(format!("kind {kind}: {found} was found")));
            }
        }
        if let Some(other) = (0..CLIENTS).find(|&other| singles[other] < self.seen[other]) {
            return Err(about(format!(
                "{} of client {other} was seen, {} is there",
                self.seen[other], singles[other]
            )));
        }
        self.known = recovered.map(|acknowledged| Known { acknowledged, under_way: None });
        Ok(())
    }
}

/// Starts a server on a folder that stays.
fn start(folder: &Path, fsync: &str) -> Server {
    let dir = folder.to_str().unwrap();
    let args =
        ["--shards", SHARDS, "--appendonly", "yes", "--appendfsync", fsync, "--dir", dir, "--save", ""];
    Server::start(&args)
}

/// Lets all clients work and kills the server meanwhile.
fn round(server: &mut Server, players: &mut [Player], rng: &mut Rng) -> u64 {
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for player in &mut *players {
            let mut client = server.client();
            let done = &done;
            scope.spawn(move || {
                let before: u64 = player.known.iter().map(|known| known.acknowledged).sum();
                player.play(&mut client).unwrap_err();
                let after: u64 = player.known.iter().map(|known| known.acknowledged).sum();
                done.fetch_add(after - before, Ordering::Relaxed);
            });
        }
        std::thread::sleep(Duration::from_micros(5_000 + rng.below(120_000) as u64));
        server.signal("KILL");
    });
    server.wait(Duration::from_secs(10));
    done.into_inner()
}

fn check(server: &Server, players: &mut [Player]) -> Result<(), String> {
    let mut client = server.client();
    let single = |other: usize| format!("{other}:single");
    let singles: Vec<u64> =
        (0..CLIENTS).map(|other| number(&client.call(&["GET", &single(other)]))).collect();
    players.iter_mut().try_for_each(|player| player.check(&mut client, &singles))
}

/// A new folder with a server that knows all clients.
fn prepare(name: &str, fsync: &str, seed: u64) -> (PathBuf, Server, Vec<Player>) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kill-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let server = start(&folder, fsync);
    let mut client = server.client();
    let player = |number: usize| Player {
        number,
        known: Default::default(),
        seen: vec![0; CLIENTS],
        rng: Rng::new(seed + number as u64),
    };
    let players: Vec<Player> = (0..CLIENTS).map(player).collect();
    players.iter().for_each(|player| player.prepare(&mut client));
    (folder, server, players)
}

#[test]
fn what_was_acknowledged_outlives_the_process() {
    let rounds = std::env::var("CORELANE_KILL_ROUNDS").map_or(12, |rounds| rounds.parse().unwrap());
    let (folder, mut server, mut players) = prepare("always", "always", 1);
    let (mut rng, mut done) = (Rng::new(7), 0);
    for number in 0..rounds {
        if number % 5 == 4 {
            server.client().call(&["BGREWRITEAOF"]);
        }
        done += round(&mut server, &mut players, &mut rng);
        server = start(&folder, "always");
        if let Err(error) = check(&server, &mut players) {
            panic!("round {number}: {error}\n{}", server.log());
        }
    }
    println!("{rounds} rounds, {done} operations acknowledged");
    assert!(done > rounds * 20, "{done} operations in {rounds} rounds");
    drop(server);
    fs::remove_dir_all(&folder).unwrap();
}

/// Loses the newest bytes of a segment, as a kernel may that was not asked to keep them.
fn lose_tail(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let frames: Vec<usize> =
        (0..bytes.len().saturating_sub(3)).filter(|&at| &bytes[at..at + 3] == b"#F ").collect();
    if let Some(&at) = frames.get(frames.len() / 2) {
        OpenOptions::new().write(true).open(path).unwrap().set_len(at as u64).unwrap();
    }
}

#[test]
fn the_recorder_notices_what_is_lost() {
    let (folder, mut server, mut players) = prepare("no", "no", 2);
    let mut rng = Rng::new(8);
    let noticed = (0..10).any(|_| {
        round(&mut server, &mut players, &mut rng);
        for file in fs::read_dir(folder.join("appendonlydir")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "aof") {
                lose_tail(&path);
            }
        }
        server = start(&folder, "no");
        check(&server, &mut players).is_err()
    });
    assert!(noticed);
    drop(server);
    fs::remove_dir_all(&folder).unwrap();
}
