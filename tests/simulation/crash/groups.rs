//! Groups of keys of their own, each of which goes through stages: after a crash each group is exactly as after one of its stages,
//! whatever durability its clients asked for.
//!
//! Each stage is one command, transaction or script on all keys that the group has. What must have survived is known
//! without a search, so runs may be long:
//! - a stage that a durable client was answered, or saw;
//! - a command on one shard that was answered before another stage was sent, if that one has survived and is on the same shard,
//!   too: what is lost of a shard's log is its end. (What borrows keys of other shards is logged there as these are given
//!   back, which who does not ask for durability does not wait for.)

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use corelane::config::AppendFsync;
use corelane::core::journal::Careless;
use corelane::route::ShardMap;
use corelane::runtime::io::CoreId;
use corelane::runtime::sim::{Faults, LinkId, SlowDisk};
use corelane::shard::Slot;

use super::{Folder, Life, Logging};
use crate::client::is_refused;
use crate::cluster::Cluster;
use crate::random::{number, seeds};
use crate::support::resp::{Decoder, Value, encode};
use crate::support::rng::Rng;
use crate::support::{Request, request};

const STEPS: usize = 8_000;

/// What keys hold: a string, or the elements of a list.
type Contents = BTreeMap<String, Content>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(String),
    List(Vec<String>),
}

#[derive(Debug)]
struct Stage {
    /// What is sent; the last reply says that it is done.
    requests: Vec<Request>,
    /// What is there afterwards.
    after: Contents,
    shards: BTreeSet<u16>,
    sent_step: u64,
    answered_step: Option<u64>,
    shown: String,
}

impl Stage {
    /// Whether this is a command that its shard runs, and logs before it answers.
    fn is_plain(&self) -> bool {
        let name = &self.requests[0][0];
        let borrows = name == b"MULTI" || name == b"EVAL" || name.starts_with(b"B");
        self.shards.len() == 1 && !borrows
    }
}

#[derive(Debug, Default)]
struct Group {
    keys: BTreeMap<String, bool>,
    stages: Vec<Stage>,
    /// So many stages must have survived.
    least: usize,
    /// No more than so many have.
    most: usize,
    /// So many stages have survived the latest crash, if there was one.
    settled: Option<usize>,
    /// No further stage comes.
    closed: bool,
}

impl Group {
    fn after(&self, stages: usize) -> Contents {
        if stages == 0 { Contents::new() } else { self.stages[stages - 1].after.clone() }
    }

    fn push(&mut self, map: ShardMap, requests: Vec<Request>, after: Contents) {
        for (key, content) in &after {
            self.keys.insert(key.clone(), matches!(content, Content::List(_)));
        }
        let words = requests.iter().map(|request| crate::support::shown(request));
        let shown = words.collect::<Vec<_>>().join("; ");
        let before = self.after(self.stages.len());
        let keys = before.keys().chain(after.keys());
        let shards = keys.map(|key| map.owner(Slot::of(key.as_bytes())).0).collect();
        let (sent_step, answered_step) = (0, None);
        self.stages.push(Stage { requests, after, shards, sent_step, answered_step, shown });
    }
}

/// What a reply is to.
enum Due {
    Nothing,
    /// The stage with this number of this group is done.
    Stage(usize, usize),
    /// Shows what a key of a group holds.
    Look(usize, String),
}

struct Client {
    rng: Rng,
    core: u16,
    durable: bool,
    depth: usize,
    link: Option<LinkId>,
    decoder: Decoder,
    due: VecDeque<Due>,
    /// Groups whose next stage it may send.
    own: Vec<usize>,
    /// It waits for elements, and does nothing else.
    waits: bool,
}

/// What the runs of some seeds have met.
#[derive(Debug, Default)]
struct Met {
    lives: usize,
    stages: usize,
    lost: usize,
    answered_and_lost: usize,
    switches: usize,
}

struct Scene {
    map: ShardMap,
    rng: Rng,
    groups: Vec<Group>,
    clients: Vec<Client>,
    /// Groups that a waiter waits for, and nobody has pushed to.
    wanted: Vec<usize>,
    /// Something was refused because the log cannot be written: what follows on it fails, too.
    refused: bool,
    met: Met,
}

fn words(line: &str) -> Request {
    request(&line.split(' ').collect::<Vec<_>>())
}

fn texts(keys: &[String], value: &str) -> Contents {
    keys.iter().map(|key| (key.clone(), Content::Text(value.to_string()))).collect()
}

fn list(key: &str, value: &str) -> Contents {
    [(key.to_string(), Content::List(vec![value.to_string()]))].into()
}

/// Sets keys by a transaction, a script or one command.
fn set_all(rng: &mut Rng, keys: &[String], value: &str) -> Vec<Request> {
    let names = keys.join(" ");
    match rng.below(5) {
        0 | 1 => {
            let pairs: Vec<String> = keys.iter().map(|key| format!("{key} {value}")).collect();
            vec![words(&format!("MSET {}", pairs.join(" ")))]
        }
        2 => {
            let sets = keys.iter().map(|key| words(&format!("SET {key} {value}")));
            [words("MULTI")].into_iter().chain(sets).chain([words("EXEC")]).collect()
        }
        3 => {
            let script = "for i=1,#KEYS do redis.call('SET',KEYS[i],ARGV[1]) end return 1";
            let mut all = request(&["EVAL", script, &keys.len().to_string()]);
            all.extend(words(&format!("{names} {value}")));
            vec![all]
        }
        _ => {
            let script = "for i=2,#ARGV do redis.call('SET',ARGV[i],ARGV[1]) end return 1";
            let mut all = request(&["EVAL", script, "0"]);
            all.extend(words(&format!("{value} {names}")));
            vec![all]
        }
    }
}

fn delete_all(rng: &mut Rng, keys: &[String]) -> Vec<Request> {
    match rng.below(2) {
        0 => vec![words(&format!("DEL {}", keys.join(" ")))],
        _ => {
            let dels = keys.iter().map(|key| words(&format!("DEL {key}")));
            [words("MULTI")].into_iter().chain(dels).chain([words("EXEC")]).collect()
        }
    }
}

impl Scene {
    fn new(shards: u16, seed: u64) -> Scene {
        let rng = Rng::new(seed ^ 0x9409);
        let map = ShardMap::new(shards);
        Scene {
            map,
            rng,
            groups: Vec::new(),
            clients: Vec::new(),
            wanted: Vec::new(),
            refused: false,
            met: Met::default(),
        }
    }

    fn enter(&mut self) {
        let shards = self.map.shards();
        self.wanted.clear();
        self.refused = false;
        self.clients = (0..3 + self.rng.below(5))
            .map(|n| Client {
                rng: Rng::new(self.rng.next()),
                core: self.rng.below(shards) as u16,
                durable: self.rng.chance(60),
                depth: [1, 1, 2, 8][self.rng.below(4)],
                link: None,
                decoder: Decoder::new(),
                due: VecDeque::new(),
                own: Vec::new(),
                waits: n < 2,
            })
            .collect();
    }

    /// The next stage of a group, or the first of a new one.
    fn advance(&mut self, at: usize) -> usize {
        let client = &mut self.clients[at];
        let rng = &mut client.rng;
        let ready = |group: &usize| {
            let group = &self.groups[*group];
            !group.closed && group.stages.last().is_some_and(|stage| stage.answered_step.is_some())
        };
        let open = client.own.iter().copied().filter(ready).collect::<Vec<_>>();
        if !open.is_empty() && rng.chance(60) {
            let number = open[rng.below(open.len())];
            let group = &mut self.groups[number];
            let stage = group.stages.len();
            let (requests, after) = next_stage(rng, number, stage, &group.after(stage));
            group.push(self.map, requests, after);
            group.closed = stage >= 4 || group.after(stage + 1).is_empty();
            return number;
        }
        let number = self.groups.len();
        let mut group = Group::default();
        let key = |n: usize| format!("g{number}.{n}");
        let value = format!("v{number}.0{}", "x".repeat([0, 0, 10, 600][rng.below(4)]));
        let (requests, after) = match rng.below(5) {
            0 => (vec![words(&format!("SET {} {value}", key(0)))], texts(&[key(0)], &value)),
            1 => (vec![words(&format!("RPUSH {} {value}", key(0)))], list(&key(0), &value)),
            _ => {
                let keys: Vec<String> = (0..2 + rng.below(3)).map(key).collect();
                (set_all(rng, &keys, &value), texts(&keys, &value))
            }
        };
        group.push(self.map, requests, after);
        self.groups.push(group);
        client.own.push(number);
        number
    }

    fn act(&mut self, at: usize, cluster: &mut Cluster) {
        self.hear(at, cluster);
        let client = &mut self.clients[at];
        let under_way = client.due.iter().filter(|due| !matches!(due, Due::Nothing)).count();
        if under_way >= client.depth {
            return;
        }
        if client.link.is_none() {
            client.link = Some(cluster.world.connect(CoreId(client.core)));
            client.decoder = Decoder::new();
            let name = if client.durable { "durable" } else { "quick" };
            client.due.push_back(Due::Stage(usize::MAX, 0));
            return self.say(at, &[words(&format!("CLIENT SETNAME {name}"))], cluster);
        }
        if client.due.iter().any(|due| matches!(due, Due::Stage(usize::MAX, _))) {
            return;
        }
        if client.waits {
            return self.wait(at, cluster);
        }
        if client.rng.chance(20) && !self.groups.is_empty() {
            let recent = self.groups.len().min(6);
            let number = self.groups.len() - 1 - client.rng.below(recent);
            let group = &self.groups[number];
            let strings: Vec<&String> =
                group.keys.iter().filter(|(_, list)| !**list).map(|(key, _)| key).collect();
            if !strings.is_empty() {
                let key = strings[client.rng.below(strings.len())].clone();
                client.due.push_back(Due::Look(number, key.clone()));
                return self.say(at, &[words(&format!("GET {key}"))], cluster);
            }
        }
        let (number, stage) = if client.rng.chance(15) && !self.wanted.is_empty() {
            (self.wanted.swap_remove(client.rng.below(self.wanted.len())), 0)
        } else {
            let number = self.advance(at);
            (number, self.groups[number].stages.len() - 1)
        };
        self.send(at, number, stage, cluster);
    }

    /// A waiter waits for an element of a new group.
    fn wait(&mut self, at: usize, cluster: &mut Cluster) {
        let rng = &mut self.clients[at].rng;
        let number = self.groups.len();
        let (from, to, value) = (format!("g{number}.0"), format!("g{number}.1"), format!("v{number}"));
        let (line, after) = match rng.below(4) {
            0 => (format!("BLPOP {from} 0"), Contents::new()),
            1 => (format!("BLPOP other{number} {from} 0"), Contents::new()),
            2 => (format!("BRPOPLPUSH {from} {to} 0"), list(&to, &value)),
            _ => (format!("BLMOVE {from} {to} LEFT RIGHT 0"), list(&to, &value)),
        };
        let push = match rng.below(3) {
            0 => vec![words("MULTI"), words(&format!("RPUSH {from} {value}")), words("EXEC")],
            1 => vec![words(&format!("EVAL return(redis.call('RPUSH',KEYS[1],ARGV[1])) 1 {from} {value}"))],
            _ => vec![words(&format!("RPUSH {from} {value}"))],
        };
        let mut group = Group { closed: true, ..Group::default() };
        group.push(self.map, push, list(&from, &value));
        group.push(self.map, vec![words(&line)], after);
        // Not sent yet.
        group.stages[0].sent_step = u64::MAX;
        self.groups.push(group);
        self.wanted.push(number);
        self.send(at, number, 1, cluster);
    }

    fn send(&mut self, at: usize, number: usize, stage: usize, cluster: &mut Cluster) {
        let stage_of = &mut self.groups[number].stages[stage];
        stage_of.sent_step = cluster.world.steps();
        let requests = stage_of.requests.clone();
        let client = &mut self.clients[at];
        client.due.extend(requests[1..].iter().map(|_| Due::Nothing));
        client.due.push_back(Due::Stage(number, stage));
        self.met.stages += 1;
        self.say(at, &requests, cluster);
    }

    fn say(&mut self, at: usize, requests: &[Request], cluster: &mut Cluster) {
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| encode(&mut bytes, request));
        cluster.world.send(self.clients[at].link.expect("it is connected"), &bytes);
    }

    fn hear(&mut self, at: usize, cluster: &mut Cluster) {
        let client = &mut self.clients[at];
        let Some(link) = client.link else { return };
        client.decoder.feed(&cluster.world.receive(link));
        let step = cluster.world.steps();
        while let Some(reply) = client.decoder.next().expect("replies are well-formed") {
            let due = client.due.pop_front().expect("there are no more replies than requests");
            if is_refused(&reply) {
                self.refused = true;
                continue;
            }
            assert!(!reply.is_error(), "{reply}");
            match due {
                Due::Nothing => {}
                Due::Stage(usize::MAX, _) => set_durable(cluster),
                Due::Stage(number, stage) => {
                    let group = &mut self.groups[number];
                    group.stages[stage].answered_step = Some(step);
                    if client.durable {
                        group.least = group.least.max(stage + 1);
                    }
                }
                Due::Look(number, key) => {
                    let group = &mut self.groups[number];
                    let Value::Bulk(value) = &reply else { continue };
                    let seen = Content::Text(String::from_utf8_lossy(value).into_owned());
                    let stage = group.stages.iter().position(|stage| stage.after.get(&key) == Some(&seen));
                    let stage = stage.expect("what is seen was written");
                    if client.durable {
                        group.least = group.least.max(stage + 1);
                    }
                }
            }
        }
        if cluster.world.is_over(link) {
            for due in client.due.drain(..) {
                if let Due::Stage(number, _) = due
                    && number != usize::MAX
                {
                    self.groups[number].closed = true;
                }
            }
            client.link = None;
            // Its groups are left as they are.
            client.own.clear();
        }
    }

    fn live(&mut self, mut life: Life, faults: Faults) -> Result<Folder, String> {
        self.enter();
        let may_rest = faults.failing_syncs == 0;
        life.stir(faults);
        let most = [300, 2_000, STEPS][self.rng.below(3)];
        for _ in 0..self.rng.below(most) {
            if self.rng.chance(25) {
                let at = self.rng.below(self.clients.len());
                self.act(at, &mut life.cluster);
                if self.refused {
                    break;
                }
            }
            life.step();
        }
        if may_rest && !self.refused && self.rng.chance(30) {
            self.come_to_rest(&mut life.cluster)?;
        }
        self.met.lives += 1;
        self.met.switches += life.switches;
        Ok(life.crash(|cluster| (0..self.clients.len()).for_each(|at| self.hear(at, cluster))))
    }

    /// Without faults everybody gets a reply who does not wait for an element.
    fn come_to_rest(&mut self, cluster: &mut Cluster) -> Result<(), String> {
        for _ in 0..4 {
            cluster.rest_for(Duration::from_millis(1100));
        }
        for at in 0..self.clients.len() {
            self.hear(at, cluster);
            let client = &self.clients[at];
            if let Some(Due::Stage(number, stage)) = client.due.back().filter(|_| !client.waits) {
                let shown = &self.groups[*number].stages[*stage].shown;
                return Err(format!(
                    "client {at} (durable: {}) waits for ever, at last for {shown}",
                    client.durable
                ));
            }
        }
        Ok(())
    }

    /// What went wrong with what is there after recovery, if anything.
    fn examine(&mut self, cluster: &mut Cluster) -> Result<(), String> {
        let found = self.read(cluster);
        for (number, group) in self.groups.iter_mut().enumerate() {
            let sent = group.stages.iter().take_while(|stage| stage.sent_step < u64::MAX).count();
            let contents: Contents = group
                .keys
                .keys()
                .filter_map(|key| found.get(key).map(|content| (key.clone(), content.clone())))
                .collect();
            let (least, most) = group.settled.map_or((group.least, sent), |settled| (settled, settled));
            let fits = |stages: &usize| group.after(*stages) == contents;
            let Some(survived) = (least..=most).rev().find(fits) else {
                let stages: Vec<&str> = group.stages.iter().map(|stage| &stage.shown[..]).collect();
                return Err(format!(
                    "group {number} is {contents:?} after a crash, not as after {least} to {most} of {stages:#?}"
                ));
            };
            if group.settled.is_none() {
                self.met.lost += sent - survived;
                let lost = &group.stages[survived..sent];
                self.met.answered_and_lost +=
                    lost.iter().filter(|stage| stage.answered_step.is_some()).count();
            }
            // Before the first stage there is as little as after a last one that removes everything.
            let least = (least..=most).find(fits).unwrap_or(survived);
            (group.closed, group.least, group.most) = (true, least, survived);
        }
        self.examine_order()?;
        self.groups.iter_mut().for_each(|group| group.settled = Some(group.most));
        Ok(())
    }

    /// What is lost of a shard's log is its end.
    fn examine_order(&self) -> Result<(), String> {
        let fresh = self.groups.iter().filter(|group| group.settled.is_none());
        let (mut lost, mut there) = (Vec::new(), Vec::new());
        for group in fresh {
            for (n, stage) in group.stages.iter().enumerate().filter(|(_, stage)| stage.sent_step < u64::MAX)
            {
                match n {
                    _ if n < group.least => there.push(stage),
                    _ if n >= group.most => lost.push(stage),
                    _ => {}
                }
            }
        }
        for lost in lost.iter().filter(|lost| lost.answered_step.is_some() && lost.is_plain()) {
            let later = |there: &&&Stage| {
                Some(there.sent_step) > lost.answered_step && !there.shards.is_disjoint(&lost.shards)
            };
            if let Some(later) = there.iter().find(later) {
                return Err(format!(
                    "{:?} was answered before {:?} was sent, and is lost",
                    lost.shown, later.shown
                ));
            }
        }
        Ok(())
    }

    fn read(&self, cluster: &mut Cluster) -> Contents {
        let keys: Vec<(&String, bool)> =
            self.groups.iter().flat_map(|group| &group.keys).map(|(key, list)| (key, *list)).collect();
        let mut user = cluster.user(0);
        for (key, list) in &keys {
            let line = if *list { format!("LRANGE {key} 0 -1") } else { format!("GET {key}") };
            cluster.say(&user, &line);
        }
        cluster.rest();
        let replies = cluster.hear(&mut user);
        assert_eq!(replies.len(), keys.len());
        cluster.world.close(user.link);
        cluster.rest();
        let text = |value: &Value| match value {
            Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other} is no string"),
        };
        let mut found = Contents::new();
        for ((key, _), reply) in keys.iter().zip(&replies) {
            let content = match reply {
                Value::Array(elements) if elements.is_empty() => continue,
                Value::Array(elements) => Content::List(elements.iter().map(text).collect()),
                reply if reply.is_null() => continue,
                reply => Content::Text(text(reply)),
            };
            found.insert((*key).clone(), content);
        }
        found
    }
}

/// A stage that follows when the keys hold this.
fn next_stage(rng: &mut Rng, number: usize, stage: usize, now: &Contents) -> (Vec<Request>, Contents) {
    let keys: Vec<String> = now.keys().cloned().collect();
    let (fresh, value) = (format!("g{number}.{}", 10 + stage), format!("v{number}.{stage}"));
    match now.values().next() {
        Some(Content::List(_)) => {
            let line = format!("LMOVE {} {fresh} LEFT RIGHT", keys[0]);
            (vec![words(&line)], [(fresh, now[&keys[0]].clone())].into())
        }
        _ if keys.len() == 1 && rng.chance(60) => {
            let content = now[&keys[0]].clone();
            (vec![words(&format!("RENAME {} {fresh}", keys[0]))], [(fresh, content)].into())
        }
        _ if rng.chance(50) => (set_all(rng, &keys, &value), texts(&keys, &value)),
        _ => (delete_all(rng, &keys), Contents::new()),
    }
}

/// Clients that are named so ask for durability.
fn set_durable(cluster: &mut Cluster) {
    for core in &mut cluster.cores {
        for client in core.state.clients.iter_mut() {
            client.session.durable = match &client.session.name[..] {
                b"durable" => Some(true),
                b"quick" => Some(false),
                _ => None,
            };
        }
    }
}

/// What a run is like.
fn run(shards: u16, seed: u64, careless: Option<Careless>) -> Result<Met, String> {
    let mut rng = Rng::new(seed ^ 0x6e0);
    let sync = [AppendFsync::Always, AppendFsync::EverySecond, AppendFsync::No][rng.below(3)];
    let logging = Logging::drawn(&mut rng, sync);
    let mut faults = Faults::drawn(seed);
    faults.write_failures = [0, 0, 0, 10][rng.below(4)];
    faults.disk_stalls = [0, 10, 50, 100][rng.below(4)];
    faults.failing_syncs = [0, 0, 0, 10][rng.below(4)];
    faults.slow_disk = (seed % 4 == 3).then(|| SlowDisk::drawn(seed));
    let (mut folder, mut scene) = (Folder::default(), Scene::new(shards, seed));
    let lives = 1 + rng.below(3) as u64;
    for n in 0..=lives {
        let what = |why: String| format!("{logging:?}, life {n}: {why}");
        let seed = seed.wrapping_mul(29).wrapping_add(n << 40);
        let mut life = Life::begin(folder, shards, seed, &faults, logging).map_err(what)?;
        life.cluster.cores.iter_mut().for_each(|core| core.state.journal.careless_for_test = careless);
        scene.examine(&mut life.cluster).map_err(what)?;
        if n == lives {
            break;
        }
        folder = scene.live(life, faults.clone()).map_err(what)?;
    }
    Ok(scene.met)
}

fn examine_seeds(shards: u16, count: u64) {
    let (seeds, mut all) = (seeds(count), Met::default());
    for seed in seeds {
        match run(shards, seed, None) {
            Err(why) => panic!("{shards} shards: replay with CORELANE_SIM_SEED={seed}: {why}"),
            Ok(met) => {
                all.lives += met.lives;
                all.stages += met.stages;
                all.lost += met.lost;
                all.answered_and_lost += met.answered_and_lost;
                all.switches += met.switches;
            }
        }
    }
    if number("CORELANE_SIM_SEEDS").is_some() {
        eprintln!("{shards} shards: {all:?}");
    }
}

#[test]
fn groups_are_whole_on_one_shard() {
    examine_seeds(1, 300);
}

#[test]
fn groups_are_whole_on_two_shards() {
    examine_seeds(2, 300);
}

#[test]
fn groups_are_whole_on_three_shards() {
    examine_seeds(3, 300);
}

#[test]
fn groups_are_whole_on_eight_shards() {
    examine_seeds(8, 200);
}

#[test]
fn careless_logs_lose_stages() {
    for shards in [1, 2, 3, 8] {
        let found = (0..300).find_map(|seed| run(shards, seed, Some(Careless::All)).err());
        let why = found.unwrap_or_else(|| panic!("{shards} shards: nothing noticed"));
        assert!(why.contains("after a crash"), "{why}");
    }
}

#[test]
fn logs_that_overlook_parts_lose_stages() {
    for shards in [2, 3, 8] {
        let found = (0..600).find_map(|seed| run(shards, seed, Some(Careless::Parts)).err());
        let why = found.unwrap_or_else(|| panic!("{shards} shards: nothing noticed"));
        assert!(why.contains("after a crash"), "{why}");
    }
}
