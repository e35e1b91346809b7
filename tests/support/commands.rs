//! Random commands for the comparison with stock `redis-server`: all string, bitmap and key commands with all
//! options, valid and invalid, on few keys of four databases so that they interact.
//!
//! Every [`Generated`] command says how its replies may be compared. What keeps the stream deterministic:
//! - Times to live are never short. An expiry lies in the past or more than ten minutes ahead; relative ones are
//!   all different by 100 s or more, so that EXPIRE's GT and LT decide alike on two servers whose clocks
//!   read a few milliseconds apart.
//! - A SET that is born expired is followed by an EXISTS of the key, which removes it: until then DBSIZE
//!   depends on when the server's own expiry comes round.
//! - Numbers that would allocate hundreds of megabytes do not occur in commands that would obey them.
//!
//! The reference can be Redis 7.4 or 7.0; `versions` says what is not sent to the latter, and why. Cursors are not distorted,
//! as 7.0 takes more malformed ones (empty, with blanks, negative beyond 64 bits).

mod hashes;
mod hyperloglog;
mod lists;
mod sets;
mod sort;
mod sorted_sets;
mod streams;
mod versions;

use std::collections::VecDeque;

use super::rng::Rng;
use super::{Request, request};
use versions::differs_in_7_0;

/// How the replies of two servers to the same command are compared. An error is always compared exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Byte for byte.
    Exact,
    /// An array or a map in any order.
    Unordered,
    /// Only the type of the reply: both nil, both a bulk string, both an integer.
    SameType,
    /// Integers, or arrays of them: equal if negative or zero, else at most this far apart.
    Within(i64),
    /// Byte for byte but for times, which need only be numbers.
    Untimed,
    /// A cursor and an array: only that shape. What SCAN returns is compared by whole iterations.
    Cursor,
}

/// One command of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The command.
    pub request: Request,
    /// How to compare its replies.
    pub comparison: Comparison,
}

/// Databases that the stream uses.
pub const DATABASES: usize = 4;

const KEYS: &[&str] =
    &["a", "b", "c", "{a}1", "{a}2", "n", "num", "long:key:with:a:longer:name:than:most", ""];
const JUNK: &[&str] = &[
    "",
    "abc",
    "-1",
    "0",
    "1.5",
    "+7",
    " 1",
    "1 ",
    "007",
    "0x10",
    "nan",
    "inf",
    "1e3",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "NX",
    "\u{0}\r\n",
];
const INTEGERS: &[&str] =
    &["0", "1", "-1", "7", "10000", "-10000", "9223372036854775807", "-9223372036854775808", "4294967296"];
const FLOATS: &[&str] =
    &["0", "1", "-1.5", "3.0e2", "0.1", "1e-3", "200.25", "-0.0", "1e15", "12345678901234567", "5.0e-18"];
const UNKNOWN: &[&str] = &["GETT", "SETXX", "MGETS", "nosuchcommand", "STR\u{1}LEN"];
/// An absolute time to live, in seconds, far in the future.
const FAR: i64 = 4_102_444_800;
/// How far apart in milliseconds two servers' clocks may seem to be.
const SKEW: i64 = 10_000;

/// The words of a command, and how its replies are compared.
type Drawn = (Vec<String>, Comparison);

/// What draws a command of a family.
type Draw = fn(&mut Commands) -> Drawn;

/// How often each family occurs, and what draws one of its commands.
const FAMILIES: &[(usize, Draw)] = &[
    (12, |commands| (commands.string_command(), Comparison::Exact)),
    (8, |commands| (commands.bitmap_command(), Comparison::Exact)),
    (15, Commands::key_command),
    (15, |commands| (commands.list_command(), Comparison::Exact)),
    (5, Commands::sort_command),
    (15, Commands::hash_command),
    (15, Commands::set_command),
    (20, Commands::sorted_set_command),
    (15, Commands::stream_command),
    (5, |commands| (commands.hyperloglog_command(), Comparison::Exact)),
    (2, |commands| (commands.other_command(), Comparison::Exact)),
];

/// A seeded stream of commands.
#[derive(Debug, Clone)]
pub struct Commands {
    rng: Rng,
    expiries: u64,
    stream_ms: u64,
    modern: bool,
    queued: VecDeque<Generated>,
}

impl Commands {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Commands {
        Commands { rng: Rng::new(seed), expiries: 0, stream_ms: 1, modern: false, queued: VecDeque::new() }
    }

    /// The same for a reference that is Redis 7.4 (`modern`), not 7.0.
    pub fn for_reference(self, modern: bool) -> Commands {
        Commands { modern, ..self }
    }

    /// The next `at_least` commands, and those that belong to the last one: they have to be sent on the same
    /// connection, because they rely on the selected database.
    pub fn chunk(&mut self, at_least: usize) -> Vec<Generated> {
        let mut chunk = Vec::with_capacity(at_least + 1);
        while chunk.len() < at_least || !self.queued.is_empty() {
            chunk.push(self.next());
        }
        chunk
    }

    fn next(&mut self) -> Generated {
        if let Some(queued) = self.queued.pop_front() {
            return queued;
        }
        let (words, distorted, comparison) = loop {
            let (words, comparison) = self.command();
            // What is queued by now relies on the command as it is.
            let distorted =
                if self.queued.is_empty() { self.distorted(words.clone()) } else { words.clone() };
            if self.modern || !self.queued.is_empty() || !differs_in_7_0(&distorted) {
                break (words, distorted, comparison);
            }
        };
        // Other arguments can make a choice of what was all.
        let comparison = match comparison {
            Comparison::Unordered if distorted[1..] != words[1..] => Comparison::SameType,
            _ => comparison,
        };
        Generated { request: distorted.into_iter().map(String::into_bytes).collect(), comparison }
    }

    /// Sometimes takes an argument away, adds one, replaces one by junk, or changes the case of the name.
    fn distorted(&mut self, mut words: Vec<String>) -> Vec<String> {
        let first = match words[0].as_str() {
            // What would be drawn at random in another form changes the content.
            "SPOP" => words.len(),
            // Redis cuts its index to 32 bits.
            "LSET" => words.len(),
            "HSCAN" | "SSCAN" | "ZSCAN" => 3,
            "SCAN" => 2,
            _ => 1,
        };
        let before = words.clone();
        if words.len() > first {
            match self.rng.below(100) {
                0..3 => drop(words.pop()),
                3..5 => words.push(self.rng.pick(JUNK).to_string()),
                5..8 => {
                    let at = first + self.rng.below(words.len() - first);
                    words[at] = self.rng.pick(JUNK).to_string();
                }
                _ => {}
            }
        }
        // What a negative offset means depends on the encoding in Redis.
        if words.windows(2).any(|pair| pair[0] == "LIMIT" && pair[1].starts_with('-')) {
            words = before;
        }
        if self.rng.chance(20) {
            words[0] = words[0].to_lowercase();
        }
        words
    }

    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        self.rng.pick(choices)
    }

    fn key(&mut self) -> String {
        // Half of the commands meet on three keys, the rest spread a little.
        let among = if self.rng.chance(50) { 3 } else { KEYS.len() };
        KEYS[self.rng.below(among)].into()
    }

    fn keys(&mut self) -> Vec<String> {
        (0..1 + self.rng.below(4)).map(|_| self.key()).collect()
    }

    fn value(&mut self) -> String {
        match self.rng.below(10) {
            0..3 => self.rng.between(-20, 20_000).to_string(),
            3 => self.pick(INTEGERS).into(),
            4 => self.pick(FLOATS).into(),
            5 => self.pick(JUNK).into(),
            // Around the lengths where encodings change (embstr up to 44) and 64-byte lines end.
            6 => "xyz".chars().cycle().take(40 + self.rng.below(30)).collect(),
            7 => "0123456789".repeat(self.rng.below(40)),
            _ => (0..self.rng.below(12)).map(|_| char::from(b'a' + self.rng.below(5) as u8)).collect(),
        }
    }

    fn index(&mut self) -> String {
        if self.rng.chance(8) { self.pick(INTEGERS).into() } else { self.rng.between(-70, 70).to_string() }
    }

    fn integer(&mut self) -> String {
        if self.rng.chance(20) { self.pick(INTEGERS).into() } else { self.rng.between(-100, 100).to_string() }
    }

    /// An index of a database, mostly of one that exists.
    fn db(&mut self) -> String {
        match self.rng.below(40) {
            0 => "16".into(),
            1 => "-1".into(),
            _ => self.rng.below(DATABASES).to_string(),
        }
    }

    /// A relative time to live in seconds, at least 100 s away from every other of this stream.
    fn seconds(&mut self) -> i64 {
        self.expiries += 1;
        1_000 + 100 * (self.expiries * 7_919 % 99_991) as i64
    }

    /// A value for EX, PX, EXAT or PXAT that is valid and not in the past.
    fn expiry(&mut self, unit: &str) -> String {
        let absolute = FAR + 1_000 * self.rng.between(0, 1_000);
        match unit {
            "EX" | "EXPIRE" => self.seconds().to_string(),
            "PX" | "PEXPIRE" => (self.seconds() * 1_000 + 7).to_string(),
            "EXAT" | "EXPIREAT" => absolute.to_string(),
            _ => (absolute * 1_000 + 7).to_string(),
        }
    }

    fn command(&mut self) -> Drawn {
        let mut below = self.rng.below(FAMILIES.iter().map(|(weight, _)| weight).sum());
        let (_, family) = FAMILIES
            .iter()
            .find(|(weight, _)| {
                let found = below < *weight;
                below = below.saturating_sub(*weight);
                found
            })
            .expect("the weights cover all that is drawn");
        family(self)
    }

    fn string_command(&mut self) -> Vec<String> {
        let key = self.key();
        match self.rng.below(30) {
            0..2 => words(["GET"], [key]),
            2..7 => self.set(key),
            7 => self.getex(key),
            8 => words(["GETDEL"], [key]),
            9 => words(["GETSET"], [key, self.value()]),
            10 => words(["SETNX"], [key, self.value()]),
            11 => {
                let name = self.pick(&["SETEX", "PSETEX"]);
                let time = self.expiry(if name == "SETEX" { "EX" } else { "PX" });
                words([name], [key, time, self.value()])
            }
            12 => {
                let offset =
                    self.rng.pick(&["0", "1", "3", "60", "200", "-1", "536870912", "4294967296"]).into();
                words(["SETRANGE"], [key, offset, self.value()])
            }
            13..15 => {
                let name = self.pick(&["GETRANGE", "SUBSTR"]);
                words([name], [key, self.index(), self.index()])
            }
            15..17 => words(["APPEND"], [key, self.value()]),
            17 => words(["STRLEN"], [key]),
            18 => words([self.pick(&["INCR", "DECR"])], [key]),
            19..21 => words([self.pick(&["INCRBY", "DECRBY"])], [key, self.integer()]),
            21..23 => {
                let by = if self.rng.chance(80) { self.pick(FLOATS).into() } else { self.integer() };
                words(["INCRBYFLOAT"], [key, by])
            }
            23..25 => words(["MGET"], self.keys()),
            25..28 => {
                let keys = self.keys();
                let pairs: Vec<String> = keys.into_iter().flat_map(|key| [key, self.value()]).collect();
                words([self.pick(&["MSET", "MSET", "MSETNX"])], pairs)
            }
            _ => self.lcs(key),
        }
    }

    /// SET with any combination of its options, most of them valid.
    fn set(&mut self, key: String) -> Vec<String> {
        let mut all = words(["SET"], [key.clone(), self.value()]);
        if self.rng.chance(3) {
            all.extend([self.pick(&["EXAT", "PXAT"]).to_string(), "1".into()]);
            self.queued.push_back(exact(&words(["EXISTS"], [key])));
            return all;
        }
        if self.rng.chance(30) {
            all.push(self.pick(&["NX", "XX", "nx", "xx"]).into());
        }
        if self.rng.chance(25) {
            all.push("GET".into());
        }
        if self.rng.chance(35) {
            self.push_expiry(&mut all);
        }
        if self.rng.chance(12) {
            all.push("KEEPTTL".into());
        }
        all
    }

    fn push_expiry(&mut self, all: &mut Vec<String>) {
        let unit = self.pick(&["EX", "PX", "EXAT", "PXAT"]);
        let time = match self.rng.below(20) {
            0 => self.pick(&["0", "-5", "abc", "9223372036854775807", "9223372036854775"]).into(),
            _ => self.expiry(unit),
        };
        all.extend([if self.rng.chance(20) { unit.to_lowercase() } else { unit.into() }, time]);
    }

    fn getex(&mut self, key: String) -> Vec<String> {
        let mut all = words(["GETEX"], [key]);
        match self.rng.below(10) {
            0..5 => self.push_expiry(&mut all),
            5..7 => all.push("PERSIST".into()),
            7 => all.extend([self.pick(&["EXAT", "PXAT"]).to_string(), "1".into()]),
            8 => {
                self.push_expiry(&mut all);
                all.push("PERSIST".into());
            }
            _ => {}
        }
        all
    }

    fn lcs(&mut self, key: String) -> Vec<String> {
        let mut all = words(["LCS"], [key, self.key()]);
        if self.rng.chance(30) {
            all.push("LEN".into());
        }
        if self.rng.chance(40) {
            all.push("IDX".into());
        }
        if self.rng.chance(30) {
            all.extend(["MINMATCHLEN".into(), self.rng.between(-1, 5).to_string()]);
        }
        if self.rng.chance(30) {
            all.push("WITHMATCHLEN".into());
        }
        all
    }

    fn bit_offset(&mut self) -> String {
        match self.rng.below(20) {
            0 => self.pick(&["4294967296", "-1", "18446744073709551615", "abc"]).into(),
            1..4 => self.rng.below(2_000).to_string(),
            _ => self.rng.below(100).to_string(),
        }
    }

    fn bitmap_command(&mut self) -> Vec<String> {
        let key = self.key();
        match self.rng.below(14) {
            0..2 => {
                let bit = self.pick(&["0", "1", "1", "1", "2"]).into();
                words(["SETBIT"], [key, self.bit_offset(), bit])
            }
            2 => words(["GETBIT"], [key, self.bit_offset()]),
            3..5 => {
                let range = self.bit_range(false);
                words(["BITCOUNT", &key], range)
            }
            5..7 => {
                let bit = self.pick(&["0", "1"]);
                let range = self.bit_range(true);
                words(["BITPOS", &key, bit], range)
            }
            7..10 => {
                let operation = self.pick(&["AND", "OR", "XOR", "NOT", "and", "Or"]);
                let sources = if operation == "NOT" { vec![self.key()] } else { self.keys() };
                words(["BITOP", operation, &key], sources)
            }
            10..13 => self.bitfield(key),
            _ => {
                let get = self.bitfield_get();
                words(["BITFIELD_RO", &key], get)
            }
        }
    }

    /// Valid range arguments: none, start and end, with a unit, or (BITPOS) a start alone.
    fn bit_range(&mut self, start_alone: bool) -> Vec<String> {
        match self.rng.below(5) {
            0 => vec![],
            1 if start_alone => vec![self.index()],
            1..3 => vec![self.index(), self.index()],
            _ => vec![self.index(), self.index(), self.pick(&["BIT", "BYTE", "bit", "byte"]).into()],
        }
    }

    fn bitfield_type(&mut self) -> String {
        let fixed = ["u8", "i8", "u1", "i64", "u63", "i5", "u16", "i32", "i1"];
        if self.rng.chance(5) {
            return self.pick(&["u64", "i65", "x8", "u0", "i", "8", "u-1"]).into();
        }
        if self.rng.chance(20) {
            return format!("{}{}", self.pick(&["u", "i"]), self.rng.between(1, 63));
        }
        self.pick(&fixed).into()
    }

    fn bitfield_offset(&mut self) -> String {
        match self.rng.below(20) {
            0 => self.pick(&["#-1", "-1", "#abc", "#", "4294967296", "#4294967296"]).into(),
            1..8 => format!("#{}", self.rng.below(20)),
            _ => self.rng.below(200).to_string(),
        }
    }

    fn bitfield_get(&mut self) -> Vec<String> {
        vec!["GET".into(), self.bitfield_type(), self.bitfield_offset()]
    }

    fn bitfield(&mut self, key: String) -> Vec<String> {
        let mut all = words(["BITFIELD"], [key]);
        for _ in 0..self.rng.below(5) {
            match self.rng.below(8) {
                0..2 => all.extend(self.bitfield_get()),
                2..5 => {
                    let action = self.pick(&["SET", "INCRBY", "set", "IncrBy"]).to_string();
                    all.extend([action, self.bitfield_type(), self.bitfield_offset(), self.integer()]);
                }
                _ => {
                    let policy = self.rng.pick(&["WRAP", "SAT", "FAIL", "FAIL", "SAT", "sat", "NONE"]);
                    all.extend(["OVERFLOW".to_string(), policy.into()]);
                }
            }
        }
        all
    }

    fn key_command(&mut self) -> Drawn {
        use Comparison::{Cursor, Exact, SameType, Unordered, Within};
        let key = self.key();
        match self.rng.below(60) {
            0..4 => (words([self.pick(&["DEL", "UNLINK"])], self.keys()), Exact),
            4..8 => (words([self.pick(&["EXISTS", "TOUCH"])], self.keys()), Exact),
            8..10 => (words(["TYPE"], [key]), Exact),
            10..19 => (self.expire(key), Exact),
            19..25 => match self.pick(&["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]) {
                name @ ("TTL" | "EXPIRETIME") => (words([name], [key]), Within(SKEW / 1_000)),
                name => (words([name], [key]), Within(SKEW)),
            },
            25..27 => (words(["PERSIST"], [key]), Exact),
            27..31 => (words([self.pick(&["RENAME", "RENAMENX"])], [key, self.key()]), Exact),
            31..36 => (self.copy(key), Exact),
            36..39 => (words(["MOVE"], [key, self.db()]), Exact),
            39 => (words(["RANDOMKEY"], []), SameType),
            40..42 => {
                let pattern =
                    self.pick(&["*", "a", "?", "{*}?", "[a-c]", "[^a]", "\\a", "*a*", "n??", "[", ""]);
                (words(["KEYS", pattern], []), Unordered)
            }
            42..45 => (self.scan(), Cursor),
            45..50 => match self.pick(&["ENCODING", "encoding", "REFCOUNT", "IDLETIME", "FREQ", "NOSUCH"]) {
                name @ ("REFCOUNT" | "IDLETIME") => (words(["OBJECT", name], [key]), SameType),
                name => (words(["OBJECT", name], [key]), Exact),
            },
            50..52 => (words(["DBSIZE"], []), Exact),
            52 if self.rng.chance(25) => (self.flush(), Exact),
            52..54 => (words(["SWAPDB"], [self.db(), self.db()]), Exact),
            54..57 => (words(["SELECT"], [self.db()]), Exact),
            _ => (words(["MEMORY", "USAGE"], [key]), SameType),
        }
    }

    fn expire(&mut self, key: String) -> Vec<String> {
        let name = self.pick(&["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"]);
        let time = match self.rng.below(16) {
            0 => self.pick(&["0", "-1", "-9223372036854775808", "9223372036854775807", "abc"]).into(),
            _ => self.expiry(name),
        };
        let mut all = words([name], [key, time]);
        for _ in 0..self.rng.below(3) {
            all.push(self.pick(&["NX", "XX", "GT", "LT", "gt", "lt"]).into());
        }
        all
    }

    fn copy(&mut self, key: String) -> Vec<String> {
        let mut all = words(["COPY"], [key, self.key()]);
        if self.rng.chance(40) {
            all.extend(["DB".into(), self.db()]);
        }
        if self.rng.chance(50) {
            all.push(self.pick(&["REPLACE", "replace"]).into());
        }
        all
    }

    fn scan(&mut self) -> Vec<String> {
        let cursor = if self.rng.chance(5) { "abc" } else { "0" };
        let mut all = words(["SCAN", cursor], []);
        if self.rng.chance(40) {
            all.extend(["MATCH".into(), self.pick(&["*", "a*", "[abc]", "nothing"]).into()]);
        }
        if self.rng.chance(40) {
            all.extend(["COUNT".into(), self.pick(&["1", "10", "1000", "0", "-3", "x"]).into()]);
        }
        if self.rng.chance(30) {
            all.extend(["TYPE".into(), self.pick(&["string", "STRING", "list", "hash"]).into()]);
        }
        all
    }

    fn flush(&mut self) -> Vec<String> {
        let mut all = words([self.pick(&["FLUSHDB", "FLUSHDB", "FLUSHALL"])], []);
        if self.rng.chance(50) {
            all.push(self.pick(&["ASYNC", "SYNC", "async", "NOW"]).into());
        }
        all
    }

    fn other_command(&mut self) -> Vec<String> {
        match self.rng.below(4) {
            0 => words([self.pick(UNKNOWN)], self.keys()),
            1 => words(["ECHO"], [self.value()]),
            2 if self.rng.chance(50) => words(["PING"], [self.value()]),
            2 => words(["PING"], []),
            _ => words([self.pick(&["OBJECT", "MEMORY"]), "Wrong"], self.keys()),
        }
    }
}

fn words<'a>(
    fixed: impl IntoIterator<Item = &'a str>,
    more: impl IntoIterator<Item = String>,
) -> Vec<String> {
    fixed.into_iter().map(String::from).chain(more).collect()
}

fn exact(words: &[String]) -> Generated {
    Generated { request: request(words), comparison: Comparison::Exact }
}
