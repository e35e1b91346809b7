//! Random commands on hashes.
//!
//! Where Redis has a hash table, the order of fields means nothing. Of fields that are drawn at random only the form is
//! compared, unless all are. Times to live are far ahead or over, as with keys.

use super::{Commands, Comparison, Drawn, FAR, FLOATS, SKEW, words};

const KEYS: &[&str] = &["h", "{h}1", "{h}2", "big:hash"];
/// More pairs than a listpack takes.
const MANY: usize = 600;

impl Commands {
    fn hash_key(&mut self) -> String {
        // Seldom one that holds something else.
        if self.rng.chance(4) { self.key() } else { self.pick(KEYS).into() }
    }

    fn field(&mut self) -> String {
        match self.rng.below(60) {
            0 => self.value(),
            1..30 => self.rng.below(20).to_string(),
            _ => format!("f{}", self.rng.below(20)),
        }
    }

    fn fields(&mut self, most: usize) -> Vec<String> {
        (0..1 + self.rng.below(most)).map(|_| self.field()).collect()
    }

    /// A value that is seldom too long for a listpack.
    fn hash_value(&mut self) -> String {
        let value = self.value();
        if value.len() > 64 && self.rng.chance(80) { value[..20].into() } else { value }
    }

    pub(super) fn hash_command(&mut self) -> Drawn {
        match self.rng.below(100) {
            0..35 => (self.hash_write(), Comparison::Exact),
            35..60 => self.hash_read(),
            60..70 => self.hash_random(),
            70..92 if self.modern => self.field_expiry_command(),
            _ => self.hash_key_command(),
        }
    }

    fn hash_write(&mut self) -> Vec<String> {
        let key = self.hash_key();
        match self.rng.below(20) {
            0..9 => {
                let name = self.pick(&["HSET", "HSET", "HMSET"]);
                let fields = self.fields(4);
                let pairs: Vec<_> = fields.into_iter().flat_map(|field| [field, self.hash_value()]).collect();
                words([name, &key], pairs)
            }
            9 if self.rng.chance(10) => {
                let pairs = (0..MANY).flat_map(|n| [format!("{}", n * 7 % MANY), n.to_string()]);
                words(["HSET", &key], pairs)
            }
            9..12 => words(["HSETNX"], [key, self.field(), self.hash_value()]),
            12..15 => {
                let fields = self.fields(6);
                words(["HDEL", &key], fields)
            }
            15..18 => words(["HINCRBY"], [key, self.field(), self.integer()]),
            _ => {
                let by = self.pick(FLOATS).into();
                words(["HINCRBYFLOAT"], [key, self.field(), by])
            }
        }
    }

    fn hash_read(&mut self) -> Drawn {
        let key = self.hash_key();
        match self.rng.below(10) {
            0..3 => {
                let name = self.pick(&["HGET", "HEXISTS", "HSTRLEN"]);
                (words([name], [key, self.field()]), Comparison::Exact)
            }
            3..5 => {
                let fields = self.fields(5);
                (words(["HMGET", &key], fields), Comparison::Exact)
            }
            5 => (words(["HLEN", &key], []), Comparison::Exact),
            6..9 => (words([self.pick(&["HGETALL", "HKEYS", "HVALS"]), &key], []), Comparison::Unordered),
            _ => (self.hscan(key), Comparison::Cursor),
        }
    }

    fn hscan(&mut self, key: String) -> Vec<String> {
        let mut all = words(["HSCAN", &key, "0"], []);
        if self.rng.chance(40) {
            all.extend(["MATCH".into(), self.pick(&["*", "f*", "[1-3]", "nothing"]).into()]);
        }
        if self.rng.chance(40) {
            all.extend(["COUNT".into(), self.pick(&["1", "10", "1000", "0", "x"]).into()]);
        }
        if self.modern && self.rng.chance(30) {
            all.push("NOVALUES".into());
        }
        all
    }

    fn hash_random(&mut self) -> Drawn {
        let key = self.hash_key();
        let (count, comparison) = match self.rng.below(4) {
            0 => return (words(["HRANDFIELD", &key], []), Comparison::SameType),
            1 => ("1000", Comparison::Unordered),
            _ => (self.pick(&["0", "1", "2", "10", "-3", "-30", "x"]), Comparison::SameType),
        };
        let mut all = words(["HRANDFIELD", &key, count], []);
        if self.rng.chance(50) {
            all.push("WITHVALUES".into());
        }
        (all, comparison)
    }

    fn field_expiry_command(&mut self) -> Drawn {
        let key = self.hash_key();
        match self.rng.below(10) {
            0..6 => {
                let name = self.pick(&["HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT"]);
                let time = match self.rng.below(16) {
                    0 => self.pick(&["0", "-1", "70368744177664", "9223372036854775807", "abc"]).into(),
                    // Twice the same, for the conditions.
                    1..5 if name == "HEXPIREAT" => FAR.to_string(),
                    _ => self.expiry(&name[1..]),
                };
                let mut all = words([name], [key, time]);
                if self.rng.chance(50) {
                    all.push(self.pick(&["NX", "XX", "GT", "LT", "gt", "ZZ"]).into());
                }
                self.push_fields(&mut all);
                (all, Comparison::Exact)
            }
            6..9 => {
                let name = self.pick(&["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME"]);
                let skew = if name.contains('P') && name != "HEXPIRETIME" { SKEW } else { SKEW / 1_000 };
                let mut all = words([name], [key]);
                self.push_fields(&mut all);
                (all, Comparison::Within(skew))
            }
            _ => {
                let mut all = words(["HPERSIST"], [key]);
                self.push_fields(&mut all);
                (all, Comparison::Exact)
            }
        }
    }

    fn push_fields(&mut self, all: &mut Vec<String>) {
        let fields = self.fields(4);
        let count = if self.rng.chance(3) {
            self.pick(&["0", "5", "-1", "x"]).into()
        } else {
            fields.len().to_string()
        };
        all.extend([if self.rng.chance(97) { "FIELDS".into() } else { self.field() }, count]);
        all.extend(fields);
    }

    /// Commands for all types, on hashes.
    fn hash_key_command(&mut self) -> Drawn {
        let key = self.hash_key();
        let all = match self.rng.below(12) {
            0..2 => words(["DEL", &key], []),
            2..5 => words(["OBJECT", "ENCODING", &key], []),
            5 => words(["TYPE", &key], []),
            6 => words(["RENAME"], [key, self.hash_key()]),
            7..9 => words(["COPY"], [key, self.hash_key(), "REPLACE".into()]),
            9 => words(["MOVE"], [key, self.db()]),
            10 => words(["EXISTS", &key], []),
            _ => words([self.pick(&["SET", "SETNX"])], [key, self.value()]),
        };
        (all, Comparison::Exact)
    }
}
