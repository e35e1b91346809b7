//! Random commands on sorted sets and places.
//!
//! Redis leaves ranges of members (BYLEX) undefined unless all scores are equal, so these go to sorted sets of their own. Of
//! what is drawn at random only the form is compared. Negative offsets of LIMIT do not occur: in Redis they depend on
//! the encoding.

use super::{Commands, Comparison, Drawn, exact, words};

const KEYS: &[&str] = &["z", "{z}1", "{z}2", "zz", "big:zset"];
/// Sorted sets whose scores are all 0.
const LEX_KEYS: &[&str] = &["lex", "lex:2"];
const GEO_KEYS: &[&str] = &["geo", "geo:2"];
const SCORES: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "1.5",
    "-0.25",
    "0.1",
    "3",
    "1e3",
    "1e20",
    "-1e20",
    "inf",
    "-inf",
    "+inf",
    "3.141592653589793",
    "1e-7",
    "123456789012",
    "4611686018427387905",
    "5e-324",
];
const SCORE_BOUNDS: &[&str] =
    &["-inf", "+inf", "(1", "1", "0", "(0", "2", "(1.5", "(inf", "-1e20", "(-1", "foo", "", "(", " 1"];
const LEX_BOUNDS: &[&str] = &["-", "+", "[a", "(a", "[b", "(m", "[m", "[", "(", "[x1", "a", ""];
const UNITS: &[&str] = &["m", "km", "ft", "mi", "KM", "yd"];
const LONGITUDES: &[&str] =
    &["0", "13.36", "15.087", "-73.9", "179.9", "-179.8", "151.2", "2.35", "180", "-181"];
const LATITUDES: &[&str] =
    &["0", "38.115556", "37.502669", "40.7", "-33.8", "85.05", "-85.04", "48.85", "66.5", "90"];

impl Commands {
    fn zset_key(&mut self) -> String {
        // Seldom one that holds something else.
        if self.rng.chance(4) { self.key() } else { self.pick(KEYS).into() }
    }

    fn zset_keys(&mut self) -> Vec<String> {
        (0..1 + self.rng.below(3)).map(|_| self.zset_key()).collect()
    }

    fn member(&mut self) -> String {
        match self.rng.below(60) {
            0 => self.value(),
            1..30 => self.rng.below(40).to_string(),
            _ => format!("m{}", self.rng.below(30)),
        }
    }

    fn members(&mut self, most: usize) -> Vec<String> {
        (0..1 + self.rng.below(most)).map(|_| self.member()).collect()
    }

    fn score(&mut self) -> String {
        match self.rng.below(4) {
            0 => self.pick(SCORES).into(),
            1 => format!("{}.{}", self.rng.between(-9, 9), self.rng.below(1000)),
            _ => self.rng.between(-10, 10).to_string(),
        }
    }

    fn rank(&mut self) -> String {
        if self.rng.chance(5) { self.integer() } else { self.rng.between(-15, 15).to_string() }
    }

    pub(super) fn sorted_set_command(&mut self) -> Drawn {
        match self.rng.below(100) {
            0..30 => (self.zset_update(), Comparison::Exact),
            30..45 => (self.zset_read(), Comparison::Exact),
            45..65 => (self.zset_range(), Comparison::Exact),
            65..75 => (self.zset_lex(), Comparison::Exact),
            75..87 => (self.zset_combination(), Comparison::Exact),
            87..92 => self.zset_random(),
            _ => (self.geo_command(), Comparison::Exact),
        }
    }

    fn zset_update(&mut self) -> Vec<String> {
        let key = self.zset_key();
        match self.rng.below(20) {
            0..10 => {
                let mut all = words(["ZADD"], [key]);
                for option in ["NX", "XX", "GT", "LT", "CH", "INCR"] {
                    if self.rng.chance(8) {
                        all.push(option.into());
                    }
                }
                let pairs = if self.rng.chance(2) { 150 } else { 1 + self.rng.below(6) };
                for _ in 0..pairs {
                    all.extend([self.score(), self.member()]);
                }
                all
            }
            10..12 => words(["ZINCRBY"], [key, self.score(), self.member()]),
            12..15 => {
                let mut all = words(["ZREM"], [key]);
                all.extend(self.members(4));
                all
            }
            15 => words(["ZREMRANGEBYRANK"], [key, self.rank(), self.rank()]),
            16 => words(["ZREMRANGEBYSCORE"], [key, self.pick(SCORE_BOUNDS).into(), self.score()]),
            17..19 => {
                let mut all = words([self.pick(&["ZPOPMIN", "ZPOPMAX"])], [key]);
                if self.rng.chance(50) {
                    all.push(self.rng.between(-1, 5).to_string());
                }
                all
            }
            _ => {
                let (keys, blocking) = (self.zset_keys(), self.rng.chance(30));
                let mut all =
                    if blocking { words(["BZMPOP"], ["0.01".into()]) } else { words(["ZMPOP"], []) };
                all.push(keys.len().to_string());
                // A blocking one must find something, or the two servers do different things while they wait.
                if blocking {
                    self.queued.push_back(exact(
                        &all.iter().cloned().chain(keys).chain(["MIN".into()]).collect::<Vec<_>>(),
                    ));
                    return words(["ZADD"], [self.pick(KEYS).into(), "1".into(), "m".into()]);
                }
                all.extend(keys);
                all.push(self.pick(&["MIN", "MAX", "mid"]).into());
                if self.rng.chance(50) {
                    all.extend(["COUNT".into(), self.rng.between(0, 5).to_string()]);
                }
                all
            }
        }
    }

    fn zset_read(&mut self) -> Vec<String> {
        let key = self.zset_key();
        match self.rng.below(10) {
            0 => words(["ZCARD"], [key]),
            1..3 => words(["ZSCORE"], [key, self.member()]),
            3 => {
                let mut all = words(["ZMSCORE"], [key]);
                all.extend(self.members(5));
                all
            }
            4..7 => {
                let mut all = words([self.pick(&["ZRANK", "ZREVRANK"])], [key, self.member()]);
                if self.rng.chance(50) {
                    all.push("WITHSCORE".into());
                }
                all
            }
            7 => words(["OBJECT", "ENCODING"], [key]),
            _ => words(["ZCOUNT"], [key, self.pick(SCORE_BOUNDS).into(), self.pick(SCORE_BOUNDS).into()]),
        }
    }

    fn push_limit(&mut self, all: &mut Vec<String>) {
        if self.rng.chance(40) {
            all.extend(["LIMIT".into(), self.rng.below(5).to_string(), self.rng.between(-1, 8).to_string()]);
        }
    }

    fn zset_range(&mut self) -> Vec<String> {
        let key = self.zset_key();
        let by_score = self.rng.chance(50);
        let bound = |commands: &mut Commands| {
            if by_score { commands.pick(SCORE_BOUNDS).into() } else { commands.rank() }
        };
        let bounds = [bound(self), bound(self)];
        let mut all = match self.rng.below(4) {
            0 => words([if by_score { "ZREVRANGEBYSCORE" } else { "ZREVRANGE" }], [key]),
            1 if by_score => words(["ZRANGEBYSCORE"], [key]),
            2 => words(["ZRANGESTORE"], [self.zset_key(), key]),
            _ => words(["ZRANGE"], [key]),
        };
        all.extend(bounds);
        if ["ZRANGE", "ZRANGESTORE"].contains(&all[0].as_str()) {
            if by_score {
                all.push("BYSCORE".into());
            }
            if self.rng.chance(40) {
                all.push("REV".into());
            }
        }
        if by_score || self.rng.chance(3) {
            self.push_limit(&mut all);
        }
        if self.rng.chance(50) && (all[0] != "ZRANGESTORE" || self.rng.chance(5)) {
            all.push("WITHSCORES".into());
        }
        all
    }

    fn zset_lex(&mut self) -> Vec<String> {
        let key = self.pick(LEX_KEYS).to_string();
        let bounds = [self.pick(LEX_BOUNDS).to_string(), self.pick(LEX_BOUNDS).to_string()];
        let mut all = match self.rng.below(9) {
            0..4 => {
                let mut all = words(["ZADD"], [key]);
                for member in self.members(8) {
                    all.extend(["0".into(), member]);
                }
                // A distorted one might get other scores.
                self.queued.push_back(exact(&all));
                return words(["ZLEXCOUNT"], ["lex".into(), "-".into(), "+".into()]);
            }
            4 => words(["ZRANGE"], [key]),
            5 => words(["ZRANGEBYLEX"], [key]),
            6 => words(["ZREVRANGEBYLEX"], [key]),
            7 => words(["ZLEXCOUNT"], [key]),
            _ => words(["ZREMRANGEBYLEX"], [key]),
        };
        all.extend(bounds);
        if all[0] == "ZRANGE" {
            all.push("BYLEX".into());
            if self.rng.chance(40) {
                all.push("REV".into());
            }
        }
        if all[0].ends_with("BYLEX") && all[0] != "ZREMRANGEBYLEX" || all[0] == "ZRANGE" {
            self.push_limit(&mut all);
        }
        all
    }

    fn zset_combination(&mut self) -> Vec<String> {
        // Sets are inputs, too.
        let input = |all: &mut Self| if all.rng.chance(15) { all.set_key() } else { all.zset_key() };
        let keys: Vec<_> = (0..1 + self.rng.below(3)).map(|_| input(self)).collect();
        let name = self.pick(&[
            "ZUNION",
            "ZINTER",
            "ZDIFF",
            "ZUNIONSTORE",
            "ZINTERSTORE",
            "ZDIFFSTORE",
            "ZINTERCARD",
        ]);
        let mut all = words([name], []);
        if name.ends_with("STORE") {
            all.push(self.zset_key());
        }
        all.push(keys.len().to_string());
        all.extend(keys.iter().cloned());
        if name.contains("DIFF") || name == "ZINTERCARD" {
            if name == "ZINTERCARD" && self.rng.chance(50) {
                all.extend(["LIMIT".into(), self.rng.between(-1, 3).to_string()]);
            }
        } else {
            if self.rng.chance(40) {
                all.push("WEIGHTS".into());
                all.extend(keys.iter().map(|_| self.score()));
            }
            if self.rng.chance(40) {
                all.extend(["AGGREGATE".into(), self.pick(&["SUM", "MIN", "MAX", "AVG"]).into()]);
            }
        }
        if !name.ends_with("STORE") && self.rng.chance(60) {
            all.push("WITHSCORES".into());
        }
        all
    }

    fn zset_random(&mut self) -> Drawn {
        let key = self.zset_key();
        match self.rng.below(4) {
            0 => (words(["ZRANDMEMBER"], [key]), Comparison::SameType),
            1 => (words(["ZRANDMEMBER"], [key, self.rng.between(-5, 5).to_string()]), Comparison::SameType),
            2 => (words(["ZRANDMEMBER"], [key, "1000".into()]), Comparison::Unordered),
            _ => (words(["ZSCAN"], [key, "0".into(), "COUNT".into(), "10".into()]), Comparison::Cursor),
        }
    }

    fn place(&mut self) -> [String; 2] {
        if self.rng.chance(50) {
            return [self.pick(LONGITUDES).into(), self.pick(LATITUDES).into()];
        }
        let degrees = |commands: &mut Commands, most: i64| {
            format!("{}.{:06}", commands.rng.between(-most, most), commands.rng.below(1_000_000))
        };
        [degrees(self, 179), degrees(self, 84)]
    }

    fn radius(&mut self) -> [String; 2] {
        let size = self.pick(&["0", "1", "100", "500.5", "5000", "20000", "1000000", "-1"]).into();
        [size, self.pick(UNITS).into()]
    }

    fn geo_command(&mut self) -> Vec<String> {
        let key = self.pick(GEO_KEYS).to_string();
        match self.rng.below(12) {
            0..4 => {
                let mut all = words(["GEOADD"], [key]);
                for option in ["NX", "XX", "CH"] {
                    if self.rng.chance(8) {
                        all.push(option.into());
                    }
                }
                for _ in 0..1 + self.rng.below(5) {
                    let place = self.place();
                    // Places that come again have one member each: it is not defined which of equally near ones comes first.
                    let member = if place[0].len() < 7 { place.join("/") } else { self.member() };
                    all.extend(place);
                    all.push(member);
                }
                all
            }
            4 => words(["GEODIST"], [key, self.member(), self.member(), self.pick(UNITS).into()]),
            5 => {
                let mut all = words([self.pick(&["GEOHASH", "GEOPOS"])], [key]);
                all.extend(self.members(4));
                all
            }
            6 => {
                let mut all = words([self.pick(&["GEORADIUS", "GEORADIUS_RO"])], [key]);
                all.extend(self.place());
                all.extend(self.radius());
                self.push_geo_options(&mut all);
                all
            }
            7 => {
                let name = self.pick(&["GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"]);
                let mut all = words([name], [key, self.member()]);
                all.extend(self.radius());
                self.push_geo_options(&mut all);
                all
            }
            _ => {
                let store = self.rng.chance(30);
                let mut all = if store {
                    words(["GEOSEARCHSTORE"], ["geo:3".into(), key])
                } else {
                    words(["GEOSEARCH"], [key])
                };
                if self.rng.chance(30) {
                    all.extend(["FROMMEMBER".into(), self.member()]);
                } else {
                    all.push("FROMLONLAT".into());
                    all.extend(self.place());
                }
                if self.rng.chance(50) {
                    all.push("BYRADIUS".into());
                } else {
                    all.extend(["BYBOX".into(), self.pick(&["1", "100", "3000", "20000"]).into()]);
                }
                all.extend(self.radius());
                self.push_geo_options(&mut all);
                all
            }
        }
    }

    fn push_geo_options(&mut self, all: &mut Vec<String>) {
        for option in ["WITHDIST", "WITHHASH", "WITHCOORD"] {
            if self.rng.chance(25) && (all[0] != "GEOSEARCHSTORE" || self.rng.chance(10)) {
                all.push(option.into());
            }
        }
        if self.rng.chance(40) {
            all.extend(["COUNT".into(), self.rng.between(0, 6).to_string()]);
        }
        if self.rng.chance(60) {
            all.push(self.pick(&["ASC", "DESC"]).into());
        }
        if self.rng.chance(10) {
            all.extend([self.pick(&["STORE", "STOREDIST"]).to_string(), "geo:3".into()]);
        }
    }
}
