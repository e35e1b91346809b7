//! Clients that wait for elements of lists, on a faulty network: every element that was pushed is delivered to exactly one
//! of them or is still in a list, whoever disconnects, is unblocked or runs out of time at whatever moment.
//!
//! All waiters wait before the first element is pushed. So an element is taken for one of them only by an attempt of a
//! client that waits, and such an attempt must not take anything for a client that is gone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use corelane::core::blocking::Fault;
use corelane::net::client::Waiting;
use corelane::runtime::sim::Faults;

use crate::cluster::{Cluster, User};
use crate::random::seeds;
use crate::support::resp::Value;
use crate::support::rng::Rng;

/// Lists of a run.
const LISTS: usize = 4;
/// Steps in which the waiters come to wait, at most, and steps with pushes.
const ARRIVAL_STEPS: usize = 20_000;
const PUSH_STEPS: usize = 3_000;

/// What an element is known to have become.
type Fates = BTreeMap<String, usize>;

struct Waiter {
    user: User,
    /// Elements that its reply takes out of all lists, at most.
    takes: usize,
    keys: Vec<String>,
    for_ever: bool,
}

/// One run.
struct Scene {
    rng: Rng,
    cluster: Cluster,
    waiters: Vec<Waiter>,
    helpers: Vec<Helper>,
    /// Elements of pushes that were sent.
    pushed: usize,
    /// All waiters waited before the first push.
    in_time: bool,
}

/// A client that does not wait.
struct Helper {
    user: User,
    /// What each of its requests pushes.
    pushes: Vec<Range<usize>>,
}

fn list(n: usize) -> String {
    format!("l{n}")
}

/// Clients that wait for keys.
fn blocked(cluster: &Cluster) -> usize {
    let clients = cluster.cores.iter().flat_map(|core| core.state.clients.iter());
    clients.filter(|client| client.waiting == Waiting::Blocked).count()
}

/// The elements in a reply.
fn elements(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Bulk(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            found.extend(text.starts_with('e').then(|| text.into_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| elements(item, found)),
        _ => {}
    }
}

impl Scene {
    fn new(shards: u16, seed: u64, faults: Faults, fault: Option<Fault>) -> Scene {
        let mut rng = Rng::new(seed ^ 0xb10c);
        let mut cluster = Cluster::new(shards, seed, faults);
        cluster.cores.iter_mut().for_each(|core| core.state.blocking.fault_for_test = fault);
        let waiters = (0..2 + rng.below(6)).map(|_| Scene::waiter(&mut rng, &mut cluster)).collect();
        let mut helper =
            || Helper { user: cluster.user(rng.below(usize::from(shards)) as u16), pushes: Vec::new() };
        let helpers = (0..3).map(|_| helper()).collect();
        Scene { rng, cluster, waiters, helpers, pushed: 0, in_time: true }
    }

    fn waiter(rng: &mut Rng, cluster: &mut Cluster) -> Waiter {
        let user = cluster.user(rng.below(cluster.cores.len()) as u16);
        let keys: Vec<String> = (0..1 + rng.below(3)).map(|_| list(rng.below(LISTS))).collect();
        let timeout = ["0", "0", "0.05", "0.4"][rng.below(4)];
        let (first, all) = (keys[0].clone(), keys.join(" "));
        let to = list(rng.below(LISTS));
        let (line, takes) = match rng.below(6) {
            0 => (format!("BLMOVE {first} {to} LEFT RIGHT {timeout}"), 0),
            1 => (format!("BRPOPLPUSH {first} {to} {timeout}"), 0),
            2 => (format!("BLMPOP {timeout} {} {all} LEFT COUNT 2", keys.len()), 2),
            3 => (format!("BRPOP {all} {timeout}"), 1),
            _ => (format!("BLPOP {all} {timeout}"), 1),
        };
        cluster.say(&user, &line);
        let keys = if takes == 0 { vec![first] } else { keys };
        Waiter { user, takes, keys, for_ever: timeout == "0" }
    }

    /// Lets all waiters come to wait, as far as their connections hold and their time is not over.
    fn arrive(&mut self) {
        let settled = |scene: &Scene| {
            let done = |waiter: &&Waiter| {
                let world = &scene.cluster.world;
                world.is_over(waiter.user.link) || world.sent_at(waiter.user.link, 1).is_some()
            };
            blocked(&scene.cluster) + scene.waiters.iter().filter(done).count() >= scene.waiters.len()
        };
        for _ in 0..ARRIVAL_STEPS {
            if settled(self) {
                return;
            }
            self.cluster.step();
        }
        self.in_time = false;
    }

    /// Pushes, pops, unblocks and disconnects by chance.
    fn disturb(&mut self, seed: u64) {
        // In a short run nothing comes behind that could make up for what was missed: the next push asks waiters, too.
        let steps = if seed.is_multiple_of(4) { PUSH_STEPS / 20 } else { PUSH_STEPS };
        for _ in 0..steps {
            if self.rng.below(60) == 0 {
                let helper = self.rng.below(self.helpers.len());
                let first = self.pushed;
                let lines = self.lines();
                let helper = &mut self.helpers[helper];
                // All happens with the last reply.
                helper.pushes.extend((1..lines.len()).map(|_| first..first));
                helper.pushes.push(first..self.pushed);
                lines.iter().for_each(|line| self.cluster.say(&helper.user, line));
            }
            if self.rng.below(1200) == 0 {
                let at = self.rng.below(self.waiters.len());
                self.cluster.world.close(self.waiters[at].user.link);
            }
            self.cluster.step();
        }
    }

    /// A command, or a transaction.
    fn lines(&mut self) -> Vec<String> {
        if self.rng.below(4) > 0 {
            return vec![self.line()];
        }
        let count = 1 + self.rng.below(4);
        let mut lines = vec!["MULTI".to_string()];
        lines.extend((0..count).map(|_| match self.rng.below(8) {
            0 => "CLIENT LIST".to_string(),
            1 => "KEYS *".to_string(),
            2 => {
                format!("BLMOVE {} {} LEFT RIGHT 0", list(self.rng.below(LISTS)), list(self.rng.below(LISTS)))
            }
            _ => self.line(),
        }));
        lines.push("EXEC".to_string());
        lines
    }

    fn line(&mut self) -> String {
        let (key, other) = (list(self.rng.below(LISTS)), list(self.rng.below(LISTS)));
        let id = 1 + self.rng.below(self.waiters.len() + 3);
        match self.rng.below(14) {
            12..=13 => {
                self.pushed += 1;
                format!("EVAL return(redis.call('RPUSH',KEYS[1],ARGV[1])) 1 {key} e{}", self.pushed - 1)
            }
            0 => format!("LMOVE {key} {other} LEFT LEFT"),
            1 => format!("RENAMENX {key} {other}"),
            2 => format!("CLIENT UNBLOCK {id}"),
            3 => format!("CLIENT UNBLOCK {id} ERROR"),
            4 => format!("LLEN {key}"),
            5 => format!("EXISTS {key} {other}"),
            _ => {
                let count = 1 + self.rng.below(3);
                let first = self.pushed;
                self.pushed += count;
                let elements: Vec<String> = (first..self.pushed).map(|n| format!("e{n}")).collect();
                format!("{} {key} {}", ["LPUSH", "RPUSH"][self.rng.below(2)], elements.join(" "))
            }
        }
    }

    /// What went wrong, if anything.
    fn verdict(mut self) -> Result<(), String> {
        self.cluster.world.stop_breaking();
        self.cluster.rest_for(Duration::from_secs(1));
        self.cluster.rest_for(Duration::from_secs(1));
        let mut reader = self.cluster.user(0);
        let mut left = Fates::new();
        let mut ready = Vec::new();
        for n in 0..LISTS {
            let mut found = Vec::new();
            elements(&self.cluster.ask(&mut reader, &format!("LRANGE {} 0 -1", list(n))), &mut found);
            ready.extend((!found.is_empty()).then(|| list(n)));
            found.into_iter().for_each(|element| *left.entry(element).or_default() += 1);
        }
        // Waiters whose wait has ended by being served, and of those without a reply what they take at most.
        let cores = self.cluster.cores.iter();
        let mut served = cores.flat_map(|core| core.state.blocking.served).sum::<u64>() as usize;
        let mut unheard = Vec::new();
        for waiter in &mut self.waiters {
            let replies = self.cluster.hear(&mut waiter.user);
            let mut found = Vec::new();
            replies.iter().for_each(|reply| elements(reply, &mut found));
            if waiter.takes > 0 {
                found.into_iter().for_each(|element| *left.entry(element).or_default() += 1);
            }
            let over = self.cluster.world.is_over(waiter.user.link);
            if replies.is_empty() {
                unheard.push(waiter.takes);
            } else {
                let got_something = replies.iter().any(|reply| !reply.is_null() && !reply.is_error());
                served = served.saturating_sub(usize::from(got_something));
            }
            if replies.is_empty() && !over && waiter.for_ever {
                let missed = waiter.keys.iter().find(|key| ready.contains(key));
                if let Some(key) = missed {
                    return Err(format!("a client waits for {key}, which has elements"));
                }
            }
        }
        if let Some((element, count)) = left.iter().find(|(_, count)| **count > 1) {
            return Err(format!("{element} is there {count} times"));
        }
        let mut lost = Vec::new();
        for helper in &mut self.helpers {
            // A push without a reply may not have happened.
            let replies = self.cluster.hear(&mut helper.user).len();
            let elements = helper.pushes.drain(..replies).flatten().map(|n| format!("e{n}"));
            lost.extend(elements.filter(|element| !left.contains_key(element)));
        }
        // A connection may break after its client was served.
        unheard.sort_unstable();
        if self.in_time && lost.len() > unheard.iter().rev().take(served).sum() {
            return Err(format!("{lost:?} are lost"));
        }
        self.waiters.iter().for_each(|waiter| self.cluster.world.close(waiter.user.link));
        self.cluster.rest_for(Duration::from_secs(1));
        self.cluster.assert_nothing_left();
        self.cluster.assert_keys_at_home((0..LISTS).map(list));
        Ok(())
    }
}

fn run(shards: u16, seed: u64, faults: Faults, fault: Option<Fault>) -> Result<(), String> {
    let mut scene = Scene::new(shards, seed, faults, fault);
    scene.arrive();
    scene.disturb(seed);
    scene.verdict()
}

fn run_seeds(shards: u16, count: u64) {
    for seed in seeds(count) {
        if let Err(why) = run(shards, seed, Faults::drawn(seed), None) {
            panic!("{shards} shards, seed {seed}: {why}");
        }
    }
}

#[test]
fn elements_are_delivered_once_on_one_shard() {
    run_seeds(1, 400);
}

#[test]
fn elements_are_delivered_once_on_two_shards() {
    run_seeds(2, 400);
}

#[test]
fn elements_are_delivered_once_on_three_shards() {
    run_seeds(3, 400);
}

#[test]
fn elements_are_delivered_once_on_eight_shards() {
    run_seeds(8, 300);
}

#[test]
fn broken_waiting_is_noticed() {
    for (fault, complaint) in [(Fault::Deaf, "a client waits for"), (Fault::Copies, "times")] {
        let calm = |seed| Faults { breaks: 0, ..Faults::drawn(seed) };
        let found = (0..2000).find_map(|seed| run(3, seed, calm(seed), Some(fault)).err());
        let why = found.unwrap_or_else(|| panic!("{fault:?}: nothing noticed"));
        assert!(why.contains(complaint), "{fault:?}: {why}");
    }
}

/// What the seeds must have met, so that no change makes these runs harmless unnoticed.
#[test]
fn seeds_meet_all_ways_of_being_served() {
    let (mut inline, mut granted, mut over_shards) = (0, 0, 0);
    for seed in 0..150 {
        let mut scene = Scene::new(3, seed, Faults::drawn(seed), None);
        scene.arrive();
        scene.disturb(seed);
        for core in &scene.cluster.cores {
            let [here, loan, txn] = core.state.blocking.served;
            (inline, granted, over_shards) = (inline + here, granted + loan, over_shards + txn);
        }
    }
    assert!(inline >= 10 && granted >= 10 && over_shards >= 10, "{inline} {granted} {over_shards}");
}

#[test]
fn a_transaction_serves_when_it_is_over() {
    for shards in [1, 2, 3] {
        for seed in 0..40 {
            let mut cluster = Cluster::new(shards, seed, Faults { breaks: 0, ..Faults::drawn(seed) });
            let what = format!("{shards} shards, seed {seed}");
            let mut waiters = Vec::new();
            for n in 0..4 {
                let waiter = cluster.user(n % shards);
                cluster.say(&waiter, "BLPOP l gone 0");
                waiters.push(waiter);
                while blocked(&cluster) < waiters.len() {
                    cluster.step();
                }
            }
            let mut pusher = cluster.user(0);
            let queued =
                ["RPUSH l e0", "RPUSH gone x", "LPUSH l e1", "LLEN l", "DEL gone", "LPUSH l e2", "LPOP l"];
            cluster.say(&pusher, "MULTI");
            queued.iter().for_each(|line| cluster.say(&pusher, line));
            // In some runs it waits for answers in the middle, in some it borrows all databases.
            cluster.say(&pusher, ["PING", "CLIENT LIST", "KEYS *"][seed as usize % 3]);
            for line in ["EXEC", "LRANGE l 0 -1", "RPUSH l e3", "LLEN l"] {
                cluster.say(&pusher, line);
            }
            cluster.rest();
            let mut replies = cluster.hear(&mut pusher).split_off(2 + queued.len());
            let Value::Array(mut each) = replies.remove(0) else { panic!("{what}: it has run") };
            each.pop();
            let numbers = [1, 1, 2, 2, 1, 3].map(Value::Int);
            assert_eq!(each[..6], numbers, "{what}");
            assert_eq!(each[6..], [Value::bulk("e2")], "{what}");
            assert_eq!(replies, [Value::Array(vec![]), Value::Int(1), Value::Int(0)], "{what}");
            for (waiter, element) in waiters.iter_mut().zip(["e1", "e0", "e3"]) {
                let expected = Value::Array(vec![Value::bulk("l"), Value::bulk(element)]);
                assert_eq!(cluster.hear(waiter), [expected], "{what}");
            }
            assert_eq!(blocked(&cluster), 1, "{what}: nobody gets what is gone when the transaction is over");
            cluster.world.close(waiters[3].link);
            cluster.rest();
            cluster.assert_nothing_left();
        }
    }
}

#[test]
fn first_come_first_served() {
    for shards in [1, 2, 3] {
        for seed in 0..60 {
            let mut cluster = Cluster::new(shards, seed, Faults { breaks: 0, ..Faults::drawn(seed) });
            let mut waiters = Vec::new();
            for n in 0..5 {
                let waiter = cluster.user(n % shards);
                cluster.say(&waiter, "BLPOP l 0");
                waiters.push(waiter);
                while blocked(&cluster) < waiters.len() {
                    cluster.step();
                }
            }
            let mut pusher = cluster.user(0);
            cluster.say(&pusher, "RPUSH l e0 e1 e2");
            cluster.say(&pusher, "LLEN l");
            cluster.say(&pusher, "RPUSH l e3 e4 e5");
            cluster.say(&pusher, "LRANGE l 0 -1");
            cluster.rest();
            let rest = Value::Array(vec![Value::bulk("e5")]);
            let expected = [Value::Int(3), Value::Int(0), Value::Int(3), rest];
            assert_eq!(cluster.hear(&mut pusher), expected, "{shards} shards, seed {seed}");
            for (n, waiter) in waiters.iter_mut().enumerate() {
                let expected = Value::Array(vec![Value::bulk("l"), Value::bulk(format!("e{n}"))]);
                assert_eq!(cluster.hear(waiter), [expected], "{shards} shards, seed {seed}, waiter {n}");
            }
            cluster.assert_nothing_left();
        }
    }
}
