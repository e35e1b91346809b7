//! Random commands on sets.
//!
//! The order of members means nothing. What is drawn at random is compared by its form only, and a set that lost members
//! at random is deleted, so that both servers go on with the same content.

use super::{Commands, Comparison, Drawn, exact, words};

const KEYS: &[&str] = &["s", "{s}1", "{s}2", "ss", "big:set"];
/// More members than an intset or a listpack takes.
const MANY: usize = 600;

impl Commands {
    pub(super) fn set_key(&mut self) -> String {
        // Seldom one that holds something else.
        if self.rng.chance(4) { self.key() } else { self.pick(KEYS).into() }
    }

    fn set_keys(&mut self) -> Vec<String> {
        (0..1 + self.rng.below(4)).map(|_| self.set_key()).collect()
    }

    /// Mostly a small number, so that intsets live for a while.
    fn set_member(&mut self) -> String {
        match self.rng.below(80) {
            0 => self.value(),
            1..5 => self.integer(),
            5..10 => format!("m{}", self.rng.below(30)),
            _ => self.rng.below(30).to_string(),
        }
    }

    fn set_members(&mut self, most: usize) -> Vec<String> {
        (0..1 + self.rng.below(most)).map(|_| self.set_member()).collect()
    }

    pub(super) fn set_command(&mut self) -> Drawn {
        match self.rng.below(100) {
            0..35 => (self.set_write(), Comparison::Exact),
            35..55 => self.set_read(),
            55..80 => self.set_algebra(),
            80..90 => self.set_random(),
            _ => (self.set_key_command(), Comparison::Exact),
        }
    }

    fn set_write(&mut self) -> Vec<String> {
        let key = self.set_key();
        match self.rng.below(20) {
            0 if self.rng.chance(20) => words(["SADD", &key], (0..MANY).map(|n| n.to_string())),
            0..11 => {
                let members = self.set_members(5);
                words(["SADD", &key], members)
            }
            11..17 => words(["SREM", &key], self.set_members(5)),
            _ => words(["SMOVE"], [key, self.set_key(), self.set_member()]),
        }
    }

    fn set_read(&mut self) -> Drawn {
        let key = self.set_key();
        match self.rng.below(10) {
            0..2 => (words(["SCARD"], [key]), Comparison::Exact),
            2..4 => (words(["SISMEMBER"], [key, self.set_member()]), Comparison::Exact),
            4..6 => (words(["SMISMEMBER", &key], self.set_members(5)), Comparison::Exact),
            6..9 => (words(["SMEMBERS"], [key]), Comparison::Unordered),
            _ => {
                let count = self.pick(&["1", "10", "1000", "0", "x"]).to_string();
                (words(["SSCAN"], [key, "0".into(), "COUNT".into(), count]), Comparison::Cursor)
            }
        }
    }

    fn set_algebra(&mut self) -> Drawn {
        let keys = self.set_keys();
        match self.rng.below(10) {
            0..4 => (words([self.pick(&["SINTER", "SUNION", "SDIFF"])], keys), Comparison::Unordered),
            4..7 => {
                let name = self.pick(&["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]);
                (words([name, &self.set_key()], keys), Comparison::Exact)
            }
            _ => {
                let mut all = words(["SINTERCARD", &keys.len().to_string()], keys);
                if self.rng.chance(50) {
                    all.extend(["LIMIT".into(), self.pick(&["0", "1", "3", "1000", "-1", "x"]).into()]);
                }
                (all, Comparison::Exact)
            }
        }
    }

    fn set_random(&mut self) -> Drawn {
        let key = self.set_key();
        match self.rng.below(6) {
            0 => (words(["SRANDMEMBER"], [key]), Comparison::SameType),
            1 => (words(["SRANDMEMBER"], [key, "1000".into()]), Comparison::Unordered),
            2..4 => {
                let count = self.pick(&["0", "1", "3", "-3", "-30", "x"]).into();
                (words(["SRANDMEMBER"], [key, count]), Comparison::SameType)
            }
            4 => (words(["SPOP"], [key, "1000".into()]), Comparison::Unordered),
            _ => {
                let mut all = words(["SPOP"], [key.clone()]);
                if self.rng.chance(50) {
                    all.push(self.pick(&["0", "1", "2", "-1", "x"]).into());
                }
                self.queued.push_back(exact(&words(["DEL"], [key])));
                (all, Comparison::SameType)
            }
        }
    }

    /// Commands for all types, on sets.
    fn set_key_command(&mut self) -> Vec<String> {
        let key = self.set_key();
        match self.rng.below(12) {
            0..2 => words(["DEL"], [key]),
            2..6 => words(["OBJECT", "ENCODING"], [key]),
            6 => words(["RENAME"], [key, self.set_key()]),
            7..9 => words(["COPY"], [key, self.set_key(), "REPLACE".into()]),
            9 => words(["MOVE"], [key, self.db()]),
            10 => words(["EXISTS"], [key]),
            _ => words([self.pick(&["SET", "SETNX"])], [key, self.value()]),
        }
    }
}
