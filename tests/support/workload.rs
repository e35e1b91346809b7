//! Random operations for recorded histories: few keys, so that clients meet, and values that occur once,
//! so that a reply tells which write it saw. Every command is one that [`super::model`] knows.

use super::Request;
use super::bundles::{Declared, cas, eval, exec};
use super::request;
use super::resp::Value;
use super::rng::Rng;

/// Which operations of several commands a workload has, each as so many in a hundred of its operations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bundles {
    /// Transactions.
    pub exec: usize,
    /// `WATCH`, to be followed by [`Workload::swap`].
    pub watch: usize,
    /// Scripts.
    pub eval: usize,
    /// Commands on the whole keyspace are among their commands.
    pub whole_keyspace: bool,
    /// Commands about the session are, too; for those that ask all cores the others wait.
    pub session: bool,
}

/// A seeded stream of operations. Give each client its own, with a seed of its own.
#[derive(Debug, Clone)]
pub struct Workload {
    rng: Rng,
    seed: u64,
    keys: usize,
    written: u64,
    databases: usize,
    whole_keyspace: bool,
    bundles: Bundles,
    /// Keys among which the next commands choose; all if there is none.
    focus: Vec<usize>,
    /// Reads all keys of one database after the other, starting with this one.
    reading: Option<usize>,
}

impl Workload {
    /// Operations on `keys` keys (5 to 8 make conflicts likely) of database 0, whole-keyspace commands included.
    pub fn new(seed: u64, keys: usize) -> Workload {
        Workload {
            rng: Rng::new(seed),
            seed,
            keys,
            written: 0,
            databases: 1,
            whole_keyspace: true,
            bundles: Bundles::default(),
            focus: Vec::new(),
            reading: None,
        }
    }

    /// Reads all of `keys` keys, of one of so many databases per operation.
    pub fn reader(keys: usize, databases: usize) -> Workload {
        Workload { reading: Some(0), databases, ..Workload::new(0, keys) }
    }

    /// Spreads the operations over databases `0..databases` and adds SWAPDB and COPY between them.
    pub fn with_databases(mut self, databases: usize) -> Workload {
        self.databases = databases;
        self
    }

    /// Leaves out DBSIZE, KEYS, RANDOMKEY, FLUSHDB, FLUSHALL and SWAPDB. Histories without them can be checked
    /// key by key, so they may be much longer.
    pub fn keys_only(mut self) -> Workload {
        self.whole_keyspace = false;
        self
    }

    /// Adds operations of several commands.
    pub fn with_bundles(mut self, bundles: Bundles) -> Workload {
        self.bundles = bundles;
        self
    }

    fn key(&mut self) -> String {
        let n = match self.focus.len() {
            0 => self.rng.below(self.keys),
            count => self.focus[self.rng.below(count)],
        };
        format!("k{n}")
    }

    fn several_keys(&mut self) -> Vec<String> {
        let count = 2 + self.rng.below(3);
        (0..count).map(|_| self.key()).collect()
    }

    fn value(&mut self) -> String {
        self.written += 1;
        format!("{:x}.{}", self.seed & 0xffff, self.written)
    }

    /// `words` and then several keys.
    fn on_keys(&mut self, words: &[&str]) -> Request {
        let mut all = request(words);
        all.extend(self.several_keys().into_iter().map(String::into_bytes));
        all
    }

    fn pairs(&mut self, command: &str) -> Request {
        let mut all = request(&[command]);
        for key in self.several_keys() {
            all.extend([key.into_bytes(), self.value().into_bytes()]);
        }
        all
    }

    /// The next operation: the selected database and the command.
    pub fn next(&mut self) -> (usize, Request) {
        if let Some(db) = self.reading {
            self.reading = Some((db + 1) % self.databases);
            let mut all = request(&["MGET"]);
            all.extend((0..self.keys).map(|n| format!("k{n}").into_bytes()));
            return (db, all);
        }
        let db = self.rng.below(self.databases);
        let Bundles { exec: execs, watch, eval: evals, .. } = self.bundles;
        match self.rng.below(100) {
            n if n < execs => return (db, exec(&self.bundle(db))),
            n if n < execs + watch => return (db, self.watch()),
            n if n < execs + watch + evals => {
                self.focus_on_some();
                let operation = self.script();
                self.focus.clear();
                return (db, operation);
            }
            _ => {}
        }
        let whole = self.whole_keyspace && self.rng.chance(6);
        (db, if whole { self.whole_keyspace_command() } else { self.key_command() })
    }

    /// What comes next uses one key or a few or all.
    fn focus_on_some(&mut self) {
        let keys = self.keys;
        self.focus = (0..self.rng.below(4)).map(|_| self.rng.below(keys)).collect();
    }

    /// Commands of a transaction.
    fn bundle(&mut self, db: usize) -> Vec<Request> {
        self.focus_on_some();
        let mut commands: Vec<Request> = (0..1 + self.rng.below(5)).map(|_| self.part(true)).collect();
        self.focus.clear();
        if commands.iter().any(|command| command[0] == b"SELECT") {
            commands.push(request(&["SELECT", &db.to_string()]));
        }
        commands
    }

    fn script(&mut self) -> Request {
        let declared = [Declared::All, Declared::Some, Declared::None][self.rng.below(3)];
        let commands: Vec<Request> = (0..1 + self.rng.below(4)).map(|_| self.part(false)).collect();
        eval(declared, &commands)
    }

    fn part(&mut self, in_session: bool) -> Request {
        if in_session && self.bundles.eval > 0 && self.rng.chance(4) {
            return self.script();
        }
        if self.bundles.whole_keyspace && self.rng.chance(6) {
            return self.whole_keyspace_command();
        }
        if self.databases > 1 && self.rng.chance(4) {
            return request(&["SELECT", &self.rng.below(self.databases).to_string()]);
        }
        if in_session && self.bundles.session && self.rng.chance(6) {
            return request([&["PING"][..], &["CLIENT", "LIST"]][self.rng.below(2)]);
        }
        self.key_command()
    }

    /// Keys to watch and read; [`Workload::swap`] is next.
    fn watch(&mut self) -> Request {
        let mut all = request(&["WATCH"]);
        all.extend((0..1 + self.rng.below(2)).map(|_| self.key().into_bytes()));
        all
    }

    /// What follows after a `WATCH` that was answered with these values: a transaction that writes to the keys if they are
    /// still like that, and perhaps to others.
    pub fn swap(&mut self, db: usize, watch: &[Vec<u8>], seen: &[Value]) -> Request {
        let keys = &watch[1..];
        let mut commands = if self.rng.chance(50) { self.bundle(db) } else { Vec::new() };
        for key in keys {
            let write = vec![b"SET".to_vec(), key.clone(), self.value().into_bytes()];
            commands.insert(self.rng.below(commands.len() + 1), write);
        }
        cas(keys, seen, &commands)
    }

    fn whole_keyspace_command(&mut self) -> Request {
        let other = self.rng.below(self.databases).to_string();
        match self.rng.below(10) {
            0..=2 => request(&["DBSIZE"]),
            3..=5 => request(&["KEYS", "*"]),
            6..=7 => request(&["RANDOMKEY"]),
            8 if self.databases > 1 => request(&["SWAPDB", "0", &other]),
            8 => request(&["FLUSHDB"]),
            _ => request(&["FLUSHALL"]),
        }
    }

    fn key_command(&mut self) -> Request {
        let (a, b) = (self.key(), self.key());
        match self.rng.below(40) {
            0..=5 => request(&["GET", &a]),
            6..=8 => request(&["SET", &a, &self.value()]),
            9 => request(&["GETSET", &a, &self.value()]),
            10 => request(&["SETNX", &a, &self.value()]),
            11 => request(&["APPEND", &a, &self.value()]),
            12..=13 => request(&["INCR", &a]),
            14 => request(&["INCRBY", &a, &self.rng.between(-5, 5).to_string()]),
            15 => request(&["DECR", &a]),
            16 => request(&["STRLEN", &a]),
            17 => request(&["SET", &a, &self.rng.between(0, 9).to_string()]),
            18..=19 => self.on_keys(&["DEL"]),
            20 => self.on_keys(&["UNLINK"]),
            21..=22 => self.on_keys(&["EXISTS"]),
            23 => self.on_keys(&["TOUCH"]),
            24..=27 => self.on_keys(&["MGET"]),
            28..=30 => self.pairs("MSET"),
            31..=32 => self.pairs("MSETNX"),
            33..=34 => request(&["RENAME", &a, &b]),
            35 => request(&["RENAMENX", &a, &b]),
            36 => self.copy(&a, &b),
            37..=38 => {
                let operation = self.rng.pick(&["OR", "AND", "XOR"]);
                self.on_keys(&["BITOP", operation])
            }
            _ => request(&["LCS", &a, &b]),
        }
    }

    fn copy(&mut self, from: &str, to: &str) -> Request {
        let mut words = request(&["COPY", from, to]);
        if self.databases > 1 && self.rng.chance(50) {
            words.extend(request(&["DB", &self.rng.below(self.databases).to_string()]));
        }
        if self.rng.chance(50) {
            words.extend(request(&["REPLACE"]));
        }
        words
    }
}
