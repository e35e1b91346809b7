//! A plain in-memory Redis of strings, one command at a time: what a correct server may answer.
//!
//! The checker of histories tries operations on it in many orders, so a [`Model`] is cheap to copy (keys and
//! values are shared) and can be hashed. Databases without keys are not stored: equal contents mean
//! equal models.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::bundles::{Bundle, bundle};
use super::resp::Value;

type Bytes = Rc<[u8]>;

/// All databases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Model {
    databases: BTreeMap<usize, BTreeMap<Bytes, Bytes>>,
}

/// What the model says about a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This reply, apart from the spelling of nulls.
    Exactly(Value),
    /// An array of these keys in any order.
    KeysInAnyOrder(Vec<Vec<u8>>),
    /// One of these keys, or nil if there are none.
    OneOf(Vec<Vec<u8>>),
    /// Any bulk string.
    Text,
    /// An array, each element as said.
    Each(Vec<Expected>),
    /// No reply is right: the operation cannot have taken effect now.
    Never,
}

impl Expected {
    /// Whether `reply`, with its nulls unified by [`Value::with_one_null`], is allowed.
    pub fn allows(&self, reply: &Value) -> bool {
        match self {
            Expected::Exactly(value) => value == reply,
            Expected::KeysInAnyOrder(keys) => {
                let Value::Array(items) = reply else { return false };
                let listed: BTreeSet<&Value> = items.iter().collect();
                items.len() == keys.len() && keys.iter().all(|key| listed.contains(&Value::bulk(key)))
            }
            Expected::OneOf(keys) if keys.is_empty() => reply.is_null(),
            Expected::OneOf(keys) => keys.iter().any(|key| *reply == Value::bulk(key)),
            Expected::Text => matches!(reply, Value::Bulk(_)),
            Expected::Each(all) => {
                let Value::Array(items) = reply else { return false };
                items.len() == all.len() && all.iter().zip(items).all(|(one, item)| one.allows(item))
            }
            Expected::Never => false,
        }
    }

    /// Some reply that is allowed.
    pub fn some(&self) -> Value {
        match self {
            Expected::Exactly(value) => value.clone(),
            Expected::KeysInAnyOrder(keys) => Value::Array(keys.iter().rev().map(Value::bulk).collect()),
            Expected::OneOf(keys) => keys.first().map_or(Value::Null, Value::bulk),
            Expected::Text => Value::bulk(""),
            Expected::Each(all) => Value::Array(all.iter().map(Expected::some).collect()),
            Expected::Never => panic!("no reply is allowed"),
        }
    }
}

/// The part of the keyspace that a request may read or write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Footprint {
    /// These keys, each with its database.
    Keys(Vec<(usize, Vec<u8>)>),
    /// Everything.
    Everything,
}

impl Footprint {
    /// Whether an operation on one part can notice one on the other.
    pub fn overlaps(&self, other: &Footprint) -> bool {
        match (self, other) {
            (Footprint::Keys(a), Footprint::Keys(b)) => a.iter().any(|key| b.contains(key)),
            (Footprint::Keys(keys), Footprint::Everything)
            | (Footprint::Everything, Footprint::Keys(keys)) => !keys.is_empty(),
            (Footprint::Everything, Footprint::Everything) => true,
        }
    }

    /// Both parts together.
    pub fn union(self, other: Footprint) -> Footprint {
        match (self, other) {
            (Footprint::Keys(mut a), Footprint::Keys(b)) => {
                a.extend(b);
                a.sort();
                a.dedup();
                Footprint::Keys(a)
            }
            _ => Footprint::Everything,
        }
    }
}

/// Says which keys `request` names when sent with database `db` selected.
pub fn footprint(db: usize, request: &[Vec<u8>]) -> Footprint {
    let here = |keys: &[Vec<u8>]| Footprint::Keys(keys.iter().map(|key| (db, key.clone())).collect());
    if let Some(bundle) = bundle(request) {
        let watched = Footprint::Keys(bundle.seen.iter().map(|(key, _)| (db, key.clone())).collect());
        let commands = bundle.commands_with_databases(db).map(|(db, command)| footprint(db, command));
        return commands.fold(watched, Footprint::union);
    }
    match name(request).as_str() {
        "GET" | "SET" | "GETSET" | "SETNX" | "APPEND" | "INCR" | "INCRBY" | "DECR" | "STRLEN" => {
            here(&request[1..2])
        }
        "DEL" | "UNLINK" | "EXISTS" | "TOUCH" | "MGET" | "WATCH" => here(&request[1..]),
        "MSET" | "MSETNX" => {
            Footprint::Keys(request[1..].iter().step_by(2).map(|key| (db, key.clone())).collect())
        }
        "RENAME" | "RENAMENX" | "LCS" => here(&request[1..3]),
        "COPY" => {
            Footprint::Keys(vec![(db, request[1].clone()), (copy_target(db, request), request[2].clone())])
        }
        "BITOP" => here(&request[2..]),
        "PING" | "SELECT" | "CLIENT" => here(&[]),
        _ => Footprint::Everything,
    }
}

/// Whether `request` never changes anything.
pub fn is_read(request: &[Vec<u8>]) -> bool {
    const READS: [&str; 13] = [
        "GET",
        "STRLEN",
        "EXISTS",
        "TOUCH",
        "MGET",
        "WATCH",
        "LCS",
        "DBSIZE",
        "KEYS",
        "RANDOMKEY",
        "PING",
        "SELECT",
        "CLIENT",
    ];
    match bundle(request) {
        Some(bundle) => bundle.commands.iter().all(|command| is_read(command)),
        None => READS.contains(&name(request).as_str()),
    }
}

/// Whether an operation that was answered with `reply` certainly left everything as it was, whenever it
/// took effect. (A SET of the value that is already there does not count: elsewhere it would change something.)
pub fn changed_nothing(request: &[Vec<u8>], reply: &Value) -> bool {
    if let (Some(bundle), Value::Array(replies)) = (bundle(request), reply) {
        let mut parts = bundle.commands.iter().zip(replies);
        return parts.all(|(command, reply)| changed_nothing(command, reply));
    }
    let zero_means_refused = ["SETNX", "MSETNX", "RENAMENX", "COPY", "DEL", "UNLINK"];
    is_read(request)
        || reply.is_error()
        || is_refused_swap(request, reply)
        || (*reply == Value::Int(0) && zero_means_refused.contains(&name(request).as_str()))
}

/// Whether this is a transaction that does not run if keys that it watches have changed, were it to what they were before.
pub fn may_be_refused(request: &[Vec<u8>]) -> bool {
    request[0] == b"CAS"
}

/// Whether this is a transaction that has not run because watched keys have changed.
pub fn is_refused_swap(request: &[Vec<u8>], reply: &Value) -> bool {
    may_be_refused(request) && reply.is_null()
}

fn name(request: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(&request[0]).to_ascii_uppercase()
}

fn copy_target(db: usize, request: &[Vec<u8>]) -> usize {
    let at = request.iter().position(|word| word.eq_ignore_ascii_case(b"DB"));
    at.map_or(db, |at| number(&request[at + 1]).expect("a database index") as usize)
}

/// A decimal integer in the one spelling that Redis takes for a number.
fn number(text: &[u8]) -> Option<i64> {
    let n: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (n.to_string().as_bytes() == text).then_some(n)
}

impl Model {
    /// An empty server.
    pub fn new() -> Model {
        Model::default()
    }

    /// Executes `request` with database `db` selected and says what to answer. Panics on a command
    /// that the model does not know: a test must not pass because nobody looked.
    pub fn execute(&mut self, db: usize, request: &[Vec<u8>]) -> Expected {
        if let Some(bundle) = bundle(request) {
            return self.execute_all(db, &bundle);
        }
        let args = &request[1..];
        let reply = match name(request).as_str() {
            "GET" => self.fetch(db, &args[0]),
            "SET" => {
                self.put(db, &args[0], &args[1]);
                Value::ok()
            }
            "GETSET" => {
                let old = self.fetch(db, &args[0]);
                self.put(db, &args[0], &args[1]);
                old
            }
            "SETNX" | "MSETNX" => self.put_if_none_exists(db, args),
            "MSET" => {
                self.put_all(db, args);
                Value::ok()
            }
            "APPEND" => {
                let joined = [self.get(db, &args[0]).as_deref().unwrap_or(b""), &args[1]].concat();
                self.put(db, &args[0], &joined);
                Value::Int(joined.len() as i64)
            }
            "STRLEN" => Value::Int(self.get(db, &args[0]).map_or(0, |value| value.len() as i64)),
            "INCR" => self.add(db, &args[0], Some(1)),
            "DECR" => self.add(db, &args[0], Some(-1)),
            "INCRBY" => self.add(db, &args[0], number(&args[1])),
            "MGET" | "WATCH" => Value::Array(args.iter().map(|key| self.fetch(db, key)).collect()),
            "EXISTS" | "TOUCH" => count(args.iter().filter(|key| self.get(db, key).is_some())),
            "DEL" | "UNLINK" => {
                let found = args.iter().filter(|key| self.remove(db, key).is_some()).count();
                Value::Int(found as i64)
            }
            "RENAME" => self.rename(db, &args[0], &args[1], true),
            "RENAMENX" => self.rename(db, &args[0], &args[1], false),
            "COPY" => self.copy(db, request),
            "BITOP" => self.bitop(db, args),
            "LCS" => self.lcs(db, args),
            "DBSIZE" => Value::Int(self.databases.get(&db).map_or(0, |keys| keys.len() as i64)),
            "FLUSHALL" => {
                self.databases.clear();
                Value::ok()
            }
            "FLUSHDB" => {
                self.databases.remove(&db);
                Value::ok()
            }
            "SWAPDB" => self.swap(args),
            "KEYS" => {
                assert_eq!(args, [b"*"], "the model knows KEYS * only");
                return Expected::KeysInAnyOrder(self.keys(db));
            }
            "RANDOMKEY" => return Expected::OneOf(self.keys(db)),
            "PING" => Value::Simple(b"PONG".to_vec()),
            "SELECT" => Value::ok(),
            "CLIENT" => return Expected::Text,
            other => panic!("the model does not know {other}"),
        };
        Expected::Exactly(reply)
    }

    /// Several commands as one, if the keys that are watched are as they were seen.
    fn execute_all(&mut self, db: usize, bundle: &Bundle) -> Expected {
        if bundle.seen.iter().any(|(key, seen)| self.get(db, key).as_deref() != seen.as_deref()) {
            return Expected::Never;
        }
        let each = bundle.commands_with_databases(db).map(|(db, command)| self.execute(db, command));
        Expected::Each(each.collect())
    }

    fn get(&self, db: usize, key: &[u8]) -> Option<Bytes> {
        self.databases.get(&db)?.get(key).cloned()
    }

    fn fetch(&self, db: usize, key: &[u8]) -> Value {
        self.get(db, key).map_or(Value::Null, Value::bulk)
    }

    fn put(&mut self, db: usize, key: &[u8], value: &[u8]) {
        self.databases.entry(db).or_default().insert(key.into(), value.into());
    }

    fn remove(&mut self, db: usize, key: &[u8]) -> Option<Bytes> {
        let keys = self.databases.get_mut(&db)?;
        let value = keys.remove(key);
        if keys.is_empty() {
            self.databases.remove(&db);
        }
        value
    }

    fn keys(&self, db: usize) -> Vec<Vec<u8>> {
        self.databases.get(&db).into_iter().flatten().map(|(key, _)| key.to_vec()).collect()
    }

    fn put_all(&mut self, db: usize, pairs: &[Vec<u8>]) {
        for pair in pairs.chunks(2) {
            self.put(db, &pair[0], &pair[1]);
        }
    }

    fn put_if_none_exists(&mut self, db: usize, pairs: &[Vec<u8>]) -> Value {
        let free = pairs.iter().step_by(2).all(|key| self.get(db, key).is_none());
        if free {
            self.put_all(db, pairs);
        }
        Value::Int(i64::from(free))
    }

    fn add(&mut self, db: usize, key: &[u8], increment: Option<i64>) -> Value {
        let old = self.get(db, key).map_or(Some(0), |value| number(&value));
        let (Some(old), Some(increment)) = (old, increment) else {
            return Value::error("ERR value is not an integer or out of range");
        };
        let Some(sum) = old.checked_add(increment) else {
            return Value::error("ERR increment or decrement would overflow");
        };
        self.put(db, key, sum.to_string().as_bytes());
        Value::Int(sum)
    }

    fn rename(&mut self, db: usize, from: &[u8], to: &[u8], replace: bool) -> Value {
        if self.get(db, from).is_none() {
            return Value::error("ERR no such key");
        }
        if !replace && self.get(db, to).is_some() {
            return Value::Int(0);
        }
        let value = self.remove(db, from).expect("checked above");
        self.put(db, to, &value);
        if replace { Value::ok() } else { Value::Int(1) }
    }

    fn copy(&mut self, db: usize, request: &[Vec<u8>]) -> Value {
        let (from, to, target) = (&request[1], &request[2], copy_target(db, request));
        if db == target && from == to {
            return Value::error("ERR source and destination objects are the same");
        }
        let replace = request[3..].iter().any(|word| word.eq_ignore_ascii_case(b"REPLACE"));
        let Some(value) = self.get(db, from) else { return Value::Int(0) };
        if !replace && self.get(target, to).is_some() {
            return Value::Int(0);
        }
        self.put(target, to, &value);
        Value::Int(1)
    }

    fn bitop(&mut self, db: usize, args: &[Vec<u8>]) -> Value {
        let sources: Vec<Bytes> =
            args[2..].iter().map(|key| self.get(db, key).unwrap_or_else(|| Rc::from(&b""[..]))).collect();
        let combine: fn(u8, u8) -> u8 = match args[0].to_ascii_uppercase().as_slice() {
            b"OR" => |a, b| a | b,
            b"AND" => |a, b| a & b,
            b"XOR" => |a, b| a ^ b,
            other => panic!("the model does not know BITOP {}", other.escape_ascii()),
        };
        let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
        let result: Vec<u8> = (0..length)
            .map(|i| sources.iter().map(|source| source.get(i).copied().unwrap_or(0)).reduce(combine))
            .map(|byte| byte.expect("at least one source"))
            .collect();
        if result.is_empty() {
            self.remove(db, &args[1]);
        } else {
            self.put(db, &args[1], &result);
        }
        Value::Int(length as i64)
    }

    /// The longest common subsequence that Redis picks among equals: from the ends, it steps back in the first
    /// string only where that loses nothing and the second string would lose something.
    fn lcs(&self, db: usize, args: &[Vec<u8>]) -> Value {
        let a = self.get(db, &args[0]).unwrap_or_else(|| Rc::from(&b""[..]));
        let b = self.get(db, &args[1]).unwrap_or_else(|| Rc::from(&b""[..]));
        let mut lengths = vec![vec![0usize; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                lengths[i][j] = if a[i - 1] == b[j - 1] {
                    lengths[i - 1][j - 1] + 1
                } else {
                    lengths[i - 1][j].max(lengths[i][j - 1])
                };
            }
        }
        if args.get(2).is_some_and(|word| word.eq_ignore_ascii_case(b"LEN")) {
            return Value::Int(lengths[a.len()][b.len()] as i64);
        }
        let (mut i, mut j, mut common) = (a.len(), b.len(), Vec::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                common.push(a[i - 1]);
                (i, j) = (i - 1, j - 1);
            } else if lengths[i - 1][j] > lengths[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        common.reverse();
        Value::bulk(common)
    }

    fn swap(&mut self, args: &[Vec<u8>]) -> Value {
        let [a, b] = [0, 1].map(|i| number(&args[i]).expect("a database index") as usize);
        let (of_a, of_b) = (self.databases.remove(&a), self.databases.remove(&b));
        self.databases.extend(of_a.map(|keys| (b, keys)));
        self.databases.extend(of_b.map(|keys| (a, keys)));
        Value::ok()
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> Value {
    Value::Int(items.count() as i64)
}
