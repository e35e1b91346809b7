//! Random commands on lists, some of them long enough for several nodes, some with elements that have nodes of their own.
//!
//! Before a blocking command something is pushed: one that finds nothing would be timed by each server's own clock. What
//! `OBJECT ENCODING` says of lists is left to the tests of the handlers, because Redis 7.0 knows no listpacks of them.

use super::{Commands, exact, words};

const KEYS: &[&str] = &["list", "{list}2", "queue", "{queue}1", "long:list"];
const ENDS: &[&str] = &["LEFT", "RIGHT", "left", "Right"];

impl Commands {
    fn list_key(&mut self) -> String {
        self.pick(KEYS).into()
    }

    /// Seldom a key that holds something else. It is not for commands that create lists, see the module.
    fn any_key(&mut self) -> String {
        if self.rng.chance(4) { self.key() } else { self.list_key() }
    }

    /// Mostly one of few, so that they are found again.
    fn element(&mut self) -> String {
        match self.rng.below(100) {
            0..6 => self.value(),
            6 => "large".repeat(1_700),
            7 => "medium".repeat(200),
            8..55 => self.rng.below(8).to_string(),
            _ => ["a", "bb", "ccc", "a longer element"][self.rng.below(4)].into(),
        }
    }

    fn elements(&mut self) -> Vec<String> {
        if self.rng.chance(3) {
            return (0..300).map(|number| format!("element number {number}")).collect();
        }
        (0..1 + self.rng.below(5)).map(|_| self.element()).collect()
    }

    fn position(&mut self) -> String {
        match self.rng.below(20) {
            0 => self.integer(),
            1..4 => self.rng.between(-400, 400).to_string(),
            _ => self.rng.between(-12, 12).to_string(),
        }
    }

    fn end(&mut self) -> String {
        if self.rng.chance(3) { "MIDDLE".into() } else { self.pick(ENDS).into() }
    }

    pub(super) fn list_command(&mut self) -> Vec<String> {
        match self.rng.below(100) {
            0..30 => self.list_push(),
            30..45 => self.list_pop(),
            45..55 => self.list_move(),
            55..75 => self.list_read(),
            75..97 => self.list_change(),
            _ => self.list_wait(),
        }
    }

    fn list_push(&mut self) -> Vec<String> {
        let name = self.pick(&["LPUSH", "RPUSH", "RPUSH", "LPUSHX", "RPUSHX"]);
        let key = if name.ends_with('X') { self.any_key() } else { self.list_key() };
        let mut all = words([name], [key]);
        all.extend(self.elements());
        all
    }

    fn list_pop(&mut self) -> Vec<String> {
        if self.rng.chance(30) {
            let mut all = words(["LMPOP"], []);
            self.push_counted_keys(&mut all);
            return all;
        }
        let mut all = words([self.pick(&["LPOP", "RPOP"])], [self.any_key()]);
        if self.rng.chance(40) {
            all.push(self.position());
        }
        all
    }

    /// `numkeys key [key ...] LEFT|RIGHT [COUNT count]`
    fn push_counted_keys(&mut self, all: &mut Vec<String>) {
        let keys = 1 + self.rng.below(3);
        let wrong = usize::from(self.rng.chance(4));
        all.push((keys + wrong).to_string());
        all.extend((0..keys).map(|_| self.any_key()));
        all.push(self.end());
        if self.rng.chance(50) {
            all.extend(["COUNT".into(), self.position()]);
        }
    }

    fn list_move(&mut self) -> Vec<String> {
        let keys = [self.list_key(), self.list_key()];
        if self.rng.chance(40) {
            return words(["RPOPLPUSH"], keys);
        }
        let mut all = words(["LMOVE"], keys);
        all.extend([self.end(), self.end()]);
        all
    }

    fn list_read(&mut self) -> Vec<String> {
        let key = self.any_key();
        match self.rng.below(10) {
            0 => words(["LLEN"], [key]),
            1..4 => words(["LINDEX"], [key, self.position()]),
            4..7 => words(["LRANGE"], [key, self.position(), self.position()]),
            _ => {
                let mut all = words(["LPOS"], [key, self.element()]);
                for option in ["RANK", "COUNT", "MAXLEN"] {
                    if self.rng.chance(35) {
                        let value = if self.rng.chance(5) {
                            self.integer()
                        } else {
                            self.rng.between(-3, 6).to_string()
                        };
                        all.extend([option.into(), value]);
                    }
                }
                all
            }
        }
    }

    fn list_change(&mut self) -> Vec<String> {
        let key = self.any_key();
        match self.rng.below(10) {
            0..3 => {
                let place = self.pick(&["BEFORE", "AFTER", "before", "BESIDE"]).into();
                words(["LINSERT"], [key, place, self.element(), self.element()])
            }
            3..6 => words(["LSET"], [key, self.rng.between(-12, 12).to_string(), self.element()]),
            6..8 => words(["LREM"], [key, self.position(), self.element()]),
            _ if self.rng.chance(50) => words(["LTRIM"], [key, "1".into(), "-2".into()]),
            _ => words(["LTRIM"], [key, self.position(), self.position()]),
        }
    }

    /// Something is pushed, then taken by a blocking command.
    fn list_wait(&mut self) -> Vec<String> {
        let (key, timeout) = (self.list_key(), "0.01".to_string());
        let waiting = match self.rng.below(5) {
            0..2 => words([self.pick(&["BLPOP", "BRPOP"])], [self.list_key(), key.clone(), timeout]),
            2 => words(["BRPOPLPUSH"], [key.clone(), self.list_key(), timeout]),
            3 => words(["BLMOVE"], [key.clone(), self.list_key(), self.end(), self.end(), timeout]),
            _ => {
                let mut all =
                    words(["BLMPOP"], [timeout, "2".into(), self.list_key(), key.clone(), self.end()]);
                if self.rng.chance(50) {
                    all.extend(["COUNT".into(), self.position()]);
                }
                all
            }
        };
        self.queued.push_back(exact(&waiting));
        words(["RPUSH"], [key, self.element()])
    }
}
