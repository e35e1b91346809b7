//! Random stream commands.
//!
//! IDs are explicit, because two servers' clocks differ; new ones grow slowly and the others are near them. Times of
//! delivery are either this moment or long ago, so that both servers agree on who has waited long. Nothing blocks.
//!
//! Left out because Redis 7.0 differs: XINFO CONSUMERS and XINFO STREAM FULL.

use std::collections::VecDeque;

use super::{Commands, Comparison, Drawn, exact, words};

const STREAMS: &[&str] = &["s1", "{a}s", "a-stream"];
const GROUPS: &[&str] = &["g1", "g2", "group"];
const CONSUMERS: &[&str] = &["alice", "bob", "carol"];
const COUNTS: &[&str] = &["1", "2", "3", "10", "0", "-1"];
/// Bounds of pending time in milliseconds: nobody's, and that of whatever was given out at `LONG_AGO`.
const IDLE: &[&str] = &["0", "0", "0", "-1", "100000000"];
const LONG_AGO: &str = "1000";

impl Commands {
    /// A stream command and how to compare its replies.
    pub(super) fn stream_command(&mut self) -> Drawn {
        use Comparison::{Exact, Untimed};
        let key = self.stream_key();
        match self.rng.below(100) {
            0..25 => (self.xadd(key), Exact),
            25..28 => (self.xtrim(key), Exact),
            28..32 => (words(["XDEL"], std::iter::once(key).chain(self.ids())), Exact),
            32..37 => {
                let (start, end) = (self.bound("-"), self.bound("+"));
                let count = self.optional_count(40);
                (words(["XRANGE"], [vec![key, start, end], count].concat()), Exact)
            }
            37..42 => {
                let (start, end) = (self.bound("-"), self.bound("+"));
                let count = self.optional_count(40);
                (words(["XREVRANGE"], [vec![key, end, start], count].concat()), Exact)
            }
            42..44 => (words(["XLEN"], [key]), Exact),
            44..49 => (self.xread(key), Exact),
            49..51 => (self.xsetid(key), Exact),
            51..62 => (self.xgroup(key), Exact),
            62..76 => (self.xreadgroup(key), Exact),
            76..81 => {
                let group = self.pick(GROUPS).into();
                (words(["XACK"], [vec![key, group], self.ids()].concat()), Exact)
            }
            81..87 => (self.xclaim(key), Exact),
            87..91 => (self.xautoclaim(key), Exact),
            91..95 => (self.xpending(key), Untimed),
            95..98 => (words(["XINFO", "STREAM"], [key]), Untimed),
            98 => (words(["XINFO", "GROUPS"], [key]), Untimed),
            _ => (words([self.pick(&["DEL", "TYPE", "PERSIST"])], [key]), Exact),
        }
    }

    fn stream_key(&mut self) -> String {
        if self.rng.chance(4) { self.key() } else { self.pick(STREAMS).into() }
    }

    /// An ID that may exist.
    fn id(&mut self) -> String {
        let ms = (self.stream_ms as i64 - self.rng.between(-1, 25)).max(0);
        match self.rng.below(20) {
            0 => self
                .pick(&[
                    "0",
                    "0-0",
                    "5-",
                    "1-18446744073709551615",
                    "18446744073709551615-18446744073709551615",
                ])
                .into(),
            1..4 => ms.to_string(),
            _ => format!("{ms}-{}", self.rng.below(3)),
        }
    }

    fn ids(&mut self) -> Vec<String> {
        (0..1 + self.rng.below(4)).map(|_| self.id()).collect()
    }

    /// An end of a range; half the time the outermost.
    fn bound(&mut self, outermost: &str) -> String {
        match self.rng.below(10) {
            0..5 => outermost.into(),
            5..7 => format!("({}", self.id()),
            _ => self.id(),
        }
    }

    fn optional_count(&mut self, percent: usize) -> Vec<String> {
        if self.rng.chance(percent) { words(["COUNT", self.pick(COUNTS)], []) } else { Vec::new() }
    }

    fn xadd(&mut self, key: String) -> Vec<String> {
        let mut all = words(["XADD"], [key]);
        if self.rng.chance(5) {
            all.push("NOMKSTREAM".into());
        }
        if self.rng.chance(15) {
            all.extend(self.threshold());
        }
        self.stream_ms += u64::from(self.rng.chance(40));
        let ms = self.stream_ms;
        all.push(match self.rng.below(10) {
            0 => self.id(),
            1..4 => format!("{ms}-{}", self.rng.below(4)),
            _ => format!("{ms}-*"),
        });
        let fields: &[&str] =
            if self.rng.chance(70) { &["field", "2"] } else { &["field", "other", "", "-7"] };
        for field in &fields[..1 + self.rng.below(fields.len())] {
            all.extend([field.to_string(), self.value()]);
        }
        all
    }

    /// How far a stream is trimmed.
    fn threshold(&mut self) -> Vec<String> {
        let (name, threshold) = if self.rng.chance(60) {
            ("MAXLEN", self.rng.pick(&["0", "1", "3", "10", "30", "100", "-1"]).to_string())
        } else {
            ("MINID", self.id())
        };
        let operator = self.pick(&["", "=", "~", "~"]);
        let mut all = words([name, operator], [threshold]);
        all.retain(|word| !word.is_empty());
        if self.rng.chance(if operator == "~" { 30 } else { 3 }) {
            all.extend(words(["LIMIT", self.pick(&["0", "1", "100", "-1"])], []));
        }
        all
    }

    fn xtrim(&mut self, key: String) -> Vec<String> {
        let threshold = self.threshold();
        words(["XTRIM"], std::iter::once(key).chain(threshold))
    }

    fn xread(&mut self, key: String) -> Vec<String> {
        let mut all = words(["XREAD"], self.optional_count(50));
        let keys: Vec<String> =
            std::iter::once(key).chain((0..self.rng.below(3)).map(|_| self.stream_key())).collect();
        all.push("STREAMS".into());
        let ids: Vec<String> =
            keys.iter().map(|_| if self.rng.chance(10) { "$".into() } else { self.id() }).collect();
        all.extend(keys.into_iter().chain(ids));
        all
    }

    fn xsetid(&mut self, key: String) -> Vec<String> {
        let mut all = words(["XSETID"], [key, self.id()]);
        if self.rng.chance(40) {
            all.extend(words(["ENTRIESADDED", self.pick(&["0", "5", "100", "-1"])], []));
        }
        if self.rng.chance(40) {
            all.extend(["MAXDELETEDID".into(), self.id()]);
        }
        all
    }

    fn xgroup(&mut self, key: String) -> Vec<String> {
        let group: String = self.pick(GROUPS).into();
        let last_id = if self.rng.chance(40) { self.pick(&["$", "0"]).into() } else { self.id() };
        let mut all = match self.rng.below(12) {
            0..6 => words(["XGROUP", "CREATE"], [key, group, last_id]),
            6..8 => words(["XGROUP", "SETID"], [key, group, last_id]),
            8 => return words(["XGROUP", "DESTROY"], [key, group]),
            9 => return words(["XGROUP", "CREATECONSUMER"], [key, group, self.pick(CONSUMERS).into()]),
            10 => return words(["XGROUP", "DELCONSUMER"], [key, group, self.pick(CONSUMERS).into()]),
            _ => return words(["XGROUP", self.pick(&["NOSUCH", "DELGROUP"])], [key, group]),
        };
        if self.rng.chance(40) {
            all.push("MKSTREAM".into());
        }
        if self.rng.chance(20) {
            all.extend(words(["ENTRIESREAD", self.pick(&["0", "3", "-1", "-2", "x"])], []));
        }
        all
    }

    fn xreadgroup(&mut self, key: String) -> Vec<String> {
        let (group, consumer) = (self.pick(GROUPS), self.pick(CONSUMERS));
        let mut all = words(["XREADGROUP", "GROUP", group, consumer], []);
        all.extend(self.optional_count(70));
        if self.rng.chance(10) {
            all.push("NOACK".into());
        }
        let keys: Vec<String> =
            std::iter::once(key).chain((0..self.rng.below(2)).map(|_| self.stream_key())).collect();
        all.push("STREAMS".into());
        let ids: Vec<String> =
            keys.iter()
                .map(|_| {
                    if self.rng.chance(75) {
                        ">".into()
                    } else {
                        self.rng.pick(&["0", "$", "1-1"]).to_string()
                    }
                })
                .collect();
        all.extend(keys.iter().cloned().chain(ids));
        self.with_consumer(keys, group, consumer, all)
    }

    /// A command that creates a consumer, also if it has nothing for it: Redis 7.0 does not, so it is created before.
    fn with_consumer(
        &mut self,
        keys: Vec<String>,
        group: &str,
        consumer: &str,
        all: Vec<String>,
    ) -> Vec<String> {
        if self.modern {
            return all;
        }
        let create = |key| words(["XGROUP", "CREATECONSUMER"], [key, group.into(), consumer.into()]);
        let mut before: VecDeque<_> = keys.into_iter().map(create).collect();
        let first = before.pop_front().expect("there is a key");
        self.queued.extend(before.iter().chain([&all]).map(|words| exact(words)));
        first
    }

    /// `[key, group, consumer, bound of pending time]`.
    fn claim(&mut self, key: String) -> Vec<String> {
        words([], [key, self.pick(GROUPS).into(), self.pick(CONSUMERS).into(), self.pick(IDLE).into()])
    }

    fn xclaim(&mut self, key: String) -> Vec<String> {
        let mut all = words(["XCLAIM"], [self.claim(key), self.ids()].concat());
        for _ in 0..self.rng.below(3) {
            match self.rng.below(7) {
                0..2 => all.extend(words(["TIME", LONG_AGO], [])),
                2 => all.extend(words(["IDLE", "1000000000"], [])),
                3 => all.extend(words(["RETRYCOUNT", self.pick(&["0", "7", "-1"])], [])),
                4 => all.extend(["LASTID".into(), self.id()]),
                5 => all.push("FORCE".into()),
                _ => all.push("JUSTID".into()),
            }
        }
        self.with_claimant(all)
    }

    fn xautoclaim(&mut self, key: String) -> Vec<String> {
        let start = self.bound("0");
        let mut all = words(["XAUTOCLAIM"], [self.claim(key), vec![start], self.optional_count(50)].concat());
        if self.rng.chance(40) {
            all.push("JUSTID".into());
        }
        self.with_claimant(all)
    }

    fn with_claimant(&mut self, all: Vec<String>) -> Vec<String> {
        let [_, key, group, consumer, ..] = &all[..] else { unreachable!("a claim has them") };
        let (key, group, consumer) = (key.clone(), group.clone(), consumer.clone());
        self.with_consumer(vec![key], &group, &consumer, all)
    }

    fn xpending(&mut self, key: String) -> Vec<String> {
        let mut all = words(["XPENDING"], [key, self.pick(GROUPS).into()]);
        if self.rng.chance(25) {
            return all;
        }
        if self.rng.chance(30) {
            all.extend(words(["IDLE", self.pick(IDLE)], []));
        }
        all.extend([self.bound("-"), self.bound("+"), self.pick(COUNTS).into()]);
        if self.rng.chance(40) {
            all.push(self.pick(CONSUMERS).into());
        }
        all
    }
}
