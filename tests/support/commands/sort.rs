//! Random SORT commands on numbers and words, with keys that patterns name, which are on any shard.
//!
//! Redis does not define the order of elements whose weights are equal strings, so these are compared unordered and
//! without LIMIT; nor the order in which a set is, so one is left as it is only if it is stored. And Redis takes a number for
//! wrong if some number long before was out of range, so each SORT follows a command that makes it forget that.

use super::{Commands, Comparison, Generated, exact, request, words};

const SOURCES: &[&str] = &["numbers:list", "numbers:set", "numbers:zset", "numbers:intset"];
const DESTINATIONS: &[&str] = &["queue", "sorted", "numbers:list"];
const PATTERNS: &[&str] = &[
    "weight_*",
    "weight_*",
    "hash_*->f",
    "hash_*->f",
    "hash_*->g",
    "hash_*",
    "#",
    "constant",
    "*",
    "{h}*->f",
];

impl Commands {
    pub(super) fn sort_command(&mut self) -> (Vec<String>, Comparison) {
        if self.rng.chance(40) {
            return (self.sort_input(), Comparison::Exact);
        }
        let (sort, comparison) = self.sort();
        let source = sort[1].clone();
        self.queued.push_back(Generated { request: request(&sort), comparison });
        if !SOURCES.contains(&source.as_str()) {
            // Redis turns a sorted set that is sorted into a skiplist; its encoding is not asked for here.
            self.queued.push_back(exact(&words(["DEL"], [source])));
        }
        (words(["INCRBYFLOAT", "before:sort", "1"], []), Comparison::Exact)
    }

    fn number(&mut self) -> String {
        match self.rng.below(40) {
            0 => self.pick(&["word", "", " 5", "nan", "1e3", "inf", "0x10", "5 "]).into(),
            1..4 => format!("{}.5", self.rng.between(-9, 9)),
            _ => self.rng.below(25).to_string(),
        }
    }

    fn sort_input(&mut self) -> Vec<String> {
        let element = self.rng.below(25);
        match self.rng.below(12) {
            0..2 => words(["RPUSH", "numbers:list"], [self.number(), self.number()]),
            2 => words(["LTRIM", "numbers:list", "-20", "-1"], []),
            3 => words(["SADD", "numbers:set"], [self.number(), self.number()]),
            4 => words(["SREM", "numbers:intset"], [element.to_string()]),
            5 => words(["SADD", "numbers:intset"], [element.to_string(), self.rng.below(25).to_string()]),
            6 => words(["ZADD", "numbers:zset"], [self.rng.below(5).to_string(), self.number()]),
            7 => words(["DEL"], [format!("weight_{element}")]),
            8..10 => words(["SET"], [format!("weight_{element}"), self.number()]),
            _ => words(["HSET"], [format!("hash_{element}"), self.pick(&["f", "g"]).into(), self.number()]),
        }
    }

    fn sort(&mut self) -> (Vec<String>, Comparison) {
        let source = if self.rng.chance(3) { self.key() } else { self.pick(SOURCES).to_string() };
        let is_set = source.ends_with("set") && !source.ends_with("zset");
        let mut all = words([self.pick(&["SORT", "SORT", "SORT_RO"])], [source]);
        let alpha = self.rng.chance(30);
        let mut comparison = Comparison::Exact;
        let (mut store, mut limit) = (self.rng.chance(25), self.rng.chance(40));
        match self.rng.below(10) {
            0 => {
                all.extend(["BY".into(), "nosort".into()]);
                store |= is_set;
            }
            1..6 => {
                all.extend(["BY".into(), self.pick(PATTERNS).into()]);
                if alpha {
                    (comparison, store, limit) = (Comparison::Unordered, false, false);
                }
                if !all[3].contains('*') {
                    store |= is_set;
                }
            }
            _ => {}
        }
        if alpha {
            all.push("ALPHA".into());
        }
        if limit {
            all.extend([
                "LIMIT".into(),
                self.rng.between(-1, 5).to_string(),
                self.rng.between(-1, 8).to_string(),
            ]);
        }
        for _ in 0..[0, 0, 1, 2][self.rng.below(4)] {
            all.extend(["GET".into(), self.pick(PATTERNS).into()]);
        }
        if self.rng.chance(50) {
            all.push(self.pick(&["ASC", "DESC", "desc"]).into());
        }
        if store {
            all[0] = "SORT".into();
            all.extend(["STORE".into(), self.pick(DESTINATIONS).into()]);
        }
        if self.rng.chance(2) {
            all.push(self.pick(&["LIMIT", "BY", "STORE", "UP"]).into());
        }
        (all, comparison)
    }
}
