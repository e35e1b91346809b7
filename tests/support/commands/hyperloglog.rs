//! HyperLogLog commands, and GET, which shows the bytes: on keys of their own, which become dense in time and are deleted
//! now and then, and sometimes on those of other commands.

use super::{Commands, words};

const SKETCHES: &[&str] = &["hll", "hll2", "{a}hll", "{a}hll2", "hll with a longer name"];

impl Commands {
    pub(super) fn hyperloglog_command(&mut self) -> Vec<String> {
        let key = self.sketch();
        match self.rng.below(20) {
            0..9 => {
                let most = if self.rng.chance(10) { 60 } else { 4 };
                let count = self.rng.below(most);
                let elements = (0..count).map(|_| self.rng.between(0, 4_000).to_string());
                let mut all = words(["PFADD"], [key]);
                all.extend(elements);
                all
            }
            9..13 => words(["PFCOUNT"], self.sketches(3)),
            13..15 => words(["PFMERGE"], self.sketches(4)),
            15..17 => {
                let name = self.pick(&["ENCODING", "DECODE", "decode", "GETREG", "TODENSE", "none"]);
                // The first two are frequent enough to be dense without help.
                if name == "TODENSE" && self.rng.chance(70) {
                    return words(["DEL"], [key]);
                }
                words(["PFDEBUG", name], [key])
            }
            17 if self.rng.chance(15) => words(["APPEND"], [key, "hello".into()]),
            _ => words(["GET"], [key]),
        }
    }

    fn sketch(&mut self) -> String {
        if self.rng.chance(3) { self.key() } else { self.pick(SKETCHES).into() }
    }

    fn sketches(&mut self, most: usize) -> Vec<String> {
        (0..1 + self.rng.below(most)).map(|_| self.sketch()).collect()
    }
}
