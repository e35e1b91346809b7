//! The effects of each command that does not leave its own arguments, to the letter.
//!
//! Lines run one after the other on one shard; `wait` lets milliseconds pass, and an empty line in the place of effects says
//! that there are none. Effects are separated by semicolons; one in another database than the first begins with its number
//! and a colon. `@` is a payload, both as an argument and in an effect.

use super::events_tests::handler;
use super::*;
use crate::base::quote::split_args;
use crate::protocol::resp::Resp;
use crate::rdb::payload;
use crate::shard::expiry::ExpireProgress;
use crate::shard::{Budget, Hasher, Reach, Slot, Str};

/// A command and its effects.
type Line = (&'static str, &'static str);

struct Bench {
    shard: Shard,
    payload: Vec<u8>,
}

impl Bench {
    /// Time stands at 1,000,000 ms.
    fn new() -> Bench {
        let mut shard = Shard::new(2, Hasher::from_seed(7), 7);
        shard.now_ms = 1_000_000;
        shard.effects.collect(true);
        Bench { shard, payload: payload::dump(&Item::new(b"x", Str::Bytes(b"abc"), None), true) }
    }

    fn run(&mut self, line: &str) -> String {
        if let Some(ms) = line.strip_prefix("wait ") {
            self.shard.now_ms += ms.parse::<i64>().unwrap();
            return String::new();
        }
        let words = split_args(line.as_bytes()).expect(line);
        let words = words.iter().map(|word| if word == b"@" { &self.payload[..] } else { &word[..] });
        let args: Vec<&[u8]> = words.collect();
        let mut out = Vec::new();
        let mut exec = Exec::new(&args, &mut self.shard, 0, Reply::new(&mut out, Resp::V2), None);
        let _ = exec.run_at_once(handler(&args));
        self.taken()
    }

    /// The effects, as text.
    fn taken(&mut self) -> String {
        let mut all = Vec::new();
        for effect in self.shard.effects.iter() {
            let mut words = words_of(effect.command);
            if words[0] == "RESTORE" {
                words[3] = "@".into();
            }
            let everywhere = matches!(words[0].as_str(), "FLUSHDB" | "FLUSHALL" | "SWAPDB");
            let key = if words[0] == "XGROUP" || words[0] == "PFDEBUG" { 2 } else { 1 };
            let reach =
                if everywhere { Reach::Everywhere } else { Reach::Slot(Slot::of(words[key].as_bytes())) };
            assert_eq!(effect.reach, reach, "{words:?}");
            let db = if effect.db == 0 { String::new() } else { format!("{}:", effect.db) };
            all.push(format!("{db}{}", words.join(" ")));
        }
        self.shard.effects.clear();
        all.join("; ")
    }

    #[track_caller]
    fn expect(&mut self, lines: &[Line]) {
        for (line, effects) in lines {
            assert_eq!(self.run(line), *effects, "{line}");
        }
    }
}

/// The arguments of a command in RESP.
fn words_of(mut command: &[u8]) -> Vec<String> {
    let number = |rest: &mut &[u8]| {
        let end = rest.iter().position(|&byte| byte == b'\r').unwrap();
        let number: usize = std::str::from_utf8(&rest[1..end]).unwrap().parse().unwrap();
        *rest = &rest[end + 2..];
        number
    };
    let count = number(&mut command);
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let len = number(&mut command);
        words.push(command[..len].escape_ascii().to_string());
        command = &command[len + 2..];
    }
    assert!(command.is_empty());
    words
}

#[test]
fn strings() {
    Bench::new().expect(&[
        ("SET k v", "SET k v"),
        ("SET k v GET", "SET k v"),
        ("SET k v XX EX 10", "SET k v PXAT 1010000"),
        ("SET k v NX", ""),
        ("SET k v XX", "SET k v"),
        ("SET k v KEEPTTL GET", "SET k v KEEPTTL"),
        ("SET k v EXAT 2000", "SET k v PXAT 2000000"),
        ("SETEX k 5 v", "SET k v PXAT 1005000"),
        ("PSETEX k 5 v", "SET k v PXAT 1000005"),
        ("SETNX k w", ""),
        ("SETNX l w", "SETNX l w"),
        ("GETSET l x", "SET l x"),
        ("GETEX l", ""),
        ("GETEX l EX 10", "PEXPIREAT l 1010000"),
        ("GETEX l PERSIST", "PERSIST l"),
        ("GETEX l PERSIST", ""),
        ("GETEX l EXAT 1", "DEL l"),
        ("GETDEL k", "DEL k"),
        ("GETDEL k", ""),
        ("INCR n", "INCR n"),
        ("INCRBYFLOAT n 0.5", "SET n 1.5 KEEPTTL"),
        ("APPEND a x", "APPEND a x"),
        ("SETRANGE a 3 ''", ""),
        ("MSET a 1 b 2", "MSET a 1 b 2"),
        ("MSETNX a 1 c 2", ""),
        ("BITOP OR d a b", "SET d 3"),
        ("BITOP OR d none", "DEL d"),
        ("BITOP OR d none", ""),
        ("SETBIT s 7 1", "SETBIT s 7 1"),
        ("SETBIT s 7 1", ""),
        ("BITFIELD f OVERFLOW FAIL INCRBY u1 0 2", "BITFIELD f OVERFLOW FAIL INCRBY u1 0 2"),
        ("BITFIELD f OVERFLOW FAIL INCRBY u1 0 2", ""),
        ("SET hll x", "SET hll x"),
        ("PFADD hll a", ""),
        ("PFADD h a", "PFADD h a"),
        ("PFADD h a", ""),
        ("PFCOUNT h", "PFCOUNT h"),
        ("PFDEBUG TODENSE h", "PFDEBUG TODENSE h"),
        ("PFMERGE a", ""),
    ]);
}

#[test]
fn keys_and_databases() {
    Bench::new().expect(&[
        ("MSET a 1 b 2", "MSET a 1 b 2"),
        ("DEL a none", "DEL a none"),
        ("UNLINK none", ""),
        ("EXPIRE b 10 NX", "PEXPIREAT b 1010000"),
        ("EXPIRE b 10 NX", ""),
        ("PEXPIREAT b 1000001", "PEXPIREAT b 1000001"),
        ("EXPIRE b 100", "PEXPIREAT b 1100000"),
        ("RENAME b c", "DEL b; SET c 2 PXAT 1100000"),
        ("PERSIST c", "PERSIST c"),
        ("RENAMENX c d", "DEL c; SET d 2"),
        ("COPY d e", "SET e 2"),
        ("COPY d e DB 1", "1:SET e 2"),
        ("MOVE e 1", ""),
        ("MOVE d 1", "MOVE d 1"),
        ("EXPIRE e -1", "DEL e"),
        ("RESTORE r 5 @", "RESTORE r 1000005 @ ABSTTL"),
        ("RESTORE r 2000000 @ ABSTTL", ""),
        ("RESTORE r 2000000 @ ABSTTL REPLACE", "RESTORE r 2000000 @ ABSTTL REPLACE"),
        ("RESTORE r 1 @ REPLACE ABSTTL", "DEL r"),
        ("SWAPDB 0 1", "SWAPDB 0 1"),
        ("SWAPDB 1 1", ""),
        ("FLUSHDB ASYNC", "FLUSHDB ASYNC"),
        ("FLUSHALL", "FLUSHALL"),
    ]);
}

#[test]
fn lists() {
    Bench::new().expect(&[
        ("RPUSH l 1 2 3 4 5 6 7 8 9", "RPUSH l 1 2 3 4 5 6 7 8 9"),
        ("LMOVE l l LEFT RIGHT", "LMOVE l l LEFT RIGHT"),
        ("RPOPLPUSH l l", "LMOVE l l RIGHT LEFT"),
        ("LMOVE l m RIGHT LEFT", "RPOP l; LPUSH m 9"),
        ("RPOPLPUSH l m", "RPOP l; LPUSH m 8"),
        ("BLMOVE l m LEFT RIGHT 0", "LPOP l; RPUSH m 1"),
        ("BRPOPLPUSH m l 0", "RPOP m; LPUSH l 1"),
        ("BLPOP none l 0", "LPOP l"),
        ("BRPOP l 0", "RPOP l"),
        ("LPOP l 2", "LPOP l 2"),
        ("LMPOP 2 none l LEFT COUNT 1", "LPOP l 1"),
        ("BLMPOP 0 2 none m RIGHT COUNT 5", "RPOP m 2"),
        ("BLPOP none 1", ""),
        ("LRANGE l 0 -1", ""),
        ("SORT l ALPHA STORE m", "RESTORE m 0 @ REPLACE ABSTTL"),
        ("SORT none STORE m", "DEL m"),
    ]);
}

#[test]
fn sets_and_sorted_sets() {
    Bench::new().expect(&[
        ("SADD s a", "SADD s a"),
        ("SADD s a", ""),
        ("SPOP s", "SREM s a"),
        ("SADD s a b", "SADD s a b"),
        ("SPOP s 2", "DEL s"),
        ("SPOP s 2", ""),
        ("SADD s a b", "SADD s a b"),
        ("SADD t b", "SADD t b"),
        ("SMOVE s t a", "SREM s a; SADD t a"),
        ("SMOVE s t b", "SREM s b"),
        ("SUNIONSTORE u t none", "RESTORE u 0 @ REPLACE ABSTTL"),
        ("SINTERSTORE u none t", "DEL u"),
        ("ZADD z 1 a 2 b 3 c 4 d 5 e", "ZADD z 1 a 2 b 3 c 4 d 5 e"),
        ("ZADD z NX 7 a", ""),
        ("ZPOPMIN z", "ZPOPMIN z"),
        ("BZPOPMAX none z 0", "ZPOPMAX z"),
        ("ZMPOP 1 z MIN", "ZPOPMIN z 1"),
        ("BZMPOP 0 1 z MAX COUNT 9", "ZPOPMAX z 2"),
        ("ZADD z 1 a", "ZADD z 1 a"),
        ("ZUNIONSTORE y 1 z", "RESTORE y 0 @ REPLACE ABSTTL"),
        ("ZRANGESTORE y z 5 6", "DEL y"),
        ("GEOADD g 13 38 a", "GEOADD g 13 38 a"),
        ("GEORADIUS g 13 38 9 km STORE y", "RESTORE y 0 @ REPLACE ABSTTL"),
        ("GEOSEARCHSTORE y g FROMLONLAT 0 0 BYRADIUS 1 m", "DEL y"),
    ]);
}

#[test]
fn hashes() {
    Bench::new().expect(&[
        ("HSET h a 1 b 2 c 3", "HSET h a 1 b 2 c 3"),
        ("HINCRBYFLOAT h a 0.5", "HSET h a 1.5"),
        ("HEXPIRE h 10 FIELDS 2 a none", "HPEXPIREAT h 1010000 FIELDS 1 a"),
        ("HINCRBYFLOAT h a 0.5", "HSET h a 2; HPEXPIREAT h 1010000 FIELDS 1 a"),
        ("HPEXPIRE h 10 NX FIELDS 2 a b", "HPEXPIREAT h 1000010 FIELDS 1 b"),
        ("HEXPIREAT h 1 FIELDS 1 c", "HDEL h c"),
        ("HPERSIST h FIELDS 2 a none", "HPERSIST h FIELDS 1 a"),
        ("HPERSIST h FIELDS 2 a none", ""),
        ("wait 11", ""),
        ("HPERSIST h FIELDS 1 b", ""),
        ("HINCRBY h b 1", "HDEL h b; HINCRBY h b 1"),
    ]);
}

#[test]
fn streams() {
    Bench::new().expect(&[
        ("XADD s * f v", "XADD s 1000000-0 f v"),
        ("XADD s * f v", "XADD s 1000000-1 f v"),
        ("XADD s 1000000-* f v", "XADD s 1000000-2 f v"),
        ("XADD s NOMKSTREAM MAXLEN ~ 2 LIMIT 5 * f v", "XADD s MAXLEN = 4 1000000-3 f v"),
        ("XADD s MAXLEN 4 * f v", "XADD s MAXLEN = 4 1000000-4 f v"),
        ("XADD s MINID ~ 5 * f v", "XADD s MINID = 1000000-1 1000000-5 f v"),
        ("XADD none NOMKSTREAM * f v", ""),
        ("XTRIM s MAXLEN ~ 2", ""),
        ("XTRIM s MAXLEN 3", "XTRIM s MAXLEN = 3"),
        ("XDEL s 1-1", ""),
        ("XGROUP CREATE s g 0", "XGROUP CREATE s g 0"),
        (
            "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
            "XGROUP CREATECONSUMER s g c; \
             XCLAIM s g c 0 1000000-3 1000000-4 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1000000-4; \
             XGROUP SETID s g 1000000-4 ENTRIESREAD 5",
        ),
        ("wait 5", ""),
        (
            "XREADGROUP GROUP g c COUNT 1 STREAMS s 0",
            "XCLAIM s g c 0 1000000-3 TIME 1000005 RETRYCOUNT 2 FORCE JUSTID LASTID 1000000-4",
        ),
        (
            "XREADGROUP GROUP g d NOACK STREAMS s >",
            "XGROUP CREATECONSUMER s g d; XGROUP SETID s g 1000000-5 ENTRIESREAD 6",
        ),
        ("XREADGROUP GROUP g d STREAMS s >", ""),
        (
            "XCLAIM s g d 0 1000000-3 1000000-4 TIME 7",
            "XCLAIM s g d 0 1000000-3 TIME 7 RETRYCOUNT 3 FORCE JUSTID LASTID 1000000-5; \
             XCLAIM s g d 0 1000000-4 TIME 7 RETRYCOUNT 2 FORCE JUSTID LASTID 1000000-5",
        ),
        ("XCLAIM s g d 0 1-1 LASTID 2000000-0", "XGROUP SETID s g 2000000-0 ENTRIESREAD 6"),
        ("XDEL s 1000000-4", "XDEL s 1000000-4"),
        (
            "XAUTOCLAIM s g e 0 - COUNT 2 JUSTID",
            "XGROUP CREATECONSUMER s g e; \
             XCLAIM s g e 0 1000000-3 TIME 1000005 RETRYCOUNT 3 FORCE JUSTID LASTID 2000000-0; \
             XCLAIM s g e 0 1000000-4 TIME 1000005 RETRYCOUNT 1 FORCE JUSTID LASTID 2000000-0",
        ),
        ("XACK s g 1000000-3", "XACK s g 1000000-3"),
        ("XGROUP SETID s g $", "XGROUP SETID s g $"),
        ("XGROUP DELCONSUMER s g e", "XGROUP DELCONSUMER s g e"),
        ("XGROUP DELCONSUMER s g e", ""),
        ("XGROUP DESTROY s g", "XGROUP DESTROY s g"),
        ("XSETID s 3000000-0", "XSETID s 3000000-0"),
    ]);
}

#[test]
fn what_expires_is_removed_before_it_is_replaced() {
    let mut bench = Bench::new();
    bench.expect(&[
        ("SET a 1 PX 1", "SET a 1 PXAT 1000001"),
        ("SET b 1 PX 1", "SET b 1 PXAT 1000001"),
        ("SET c 1 PX 1", "SET c 1 PXAT 1000001"),
        ("wait 2", ""),
        ("GET a", "DEL a"),
        ("INCR b", "DEL b; INCR b"),
        ("SET c 2", "DEL c; SET c 2"),
        ("HSET h f 1 g 2", "HSET h f 1 g 2"),
        ("HPEXPIRE h 1 FIELDS 1 f", "HPEXPIREAT h 1000003 FIELDS 1 f"),
        ("SET d 1 PX 1", "SET d 1 PXAT 1000003"),
        ("wait 500", ""),
    ]);
    while bench.shard.expire_some(&mut Budget::items(100)) == ExpireProgress::More {}
    let mut expired: Vec<String> = bench.taken().split("; ").map(String::from).collect();
    expired.sort();
    assert_eq!(expired, ["DEL d", "HDEL h f"]);
}

#[test]
fn where_keys_are_of_several_shards_each_has_its_own_effect() {
    let mut bench = Bench::new();
    bench.shard.effects.set_each_key(true);
    bench.expect(&[
        ("MSET a 1 b 2", "SET a 1; SET b 2"),
        ("MSETNX c 1 d 2", "SET c 1; SET d 2"),
        ("DEL a none b", "DEL a; DEL b"),
        ("UNLINK c none", "DEL c"),
    ]);
}

#[test]
fn nothing_expires_while_logs_are_loaded() {
    let mut bench = Bench::new();
    bench.shard.loading = true;
    bench.shard.settings.string_max_bytes = 4;
    for line in [
        "SET a 1 PXAT 1",
        "SET b 1",
        "PEXPIREAT b 1",
        "RESTORE c 1 @ ABSTTL",
        "SET d 1",
        "GETEX d PXAT 1",
        "HSET h f 1",
        "HPEXPIREAT h 1 FIELDS 1 f",
        "INCRBY a 1",
        "HINCRBY h f 1",
        // Longer than the limit.
        "SETRANGE e 5 x",
        "APPEND e y",
        "SETBIT e 63 1",
    ] {
        bench.run(line);
    }
    assert!(matches!(bench.shard.expire_some(&mut Budget::items(100)), ExpireProgress::IdleUntil(_)));
    assert_eq!((bench.shard.dbs[0].len(), bench.shard.dbs[0].volatile_len()), (6, 4));
    assert_eq!(bench.shard.stats.expired_keys + bench.shard.stats.expired_subkeys, 0);
    bench.taken();
    bench.shard.loading = false;
    bench.expect(&[("GET a", "DEL a"), ("HGET h f", "HDEL h f"), ("GET b", "DEL b"), ("GET d", "DEL d")]);
}

#[test]
fn nothing_is_left_unless_it_is_wanted() {
    let mut bench = Bench::new();
    bench.shard.effects.collect(false);
    bench.expect(&[
        ("SET a 1 PX 1", ""),
        ("SADD s a b", ""),
        ("SPOP s", ""),
        ("XADD s * f v", ""),
        ("wait 5", ""),
        ("GET a", ""),
    ]);
}
