//! Hash commands against what Redis answers.

use super::*;
use crate::execute::Handler;
use crate::execute::strings::testing::Bench;
use crate::protocol::resp::Resp;

const HANDLERS: &[(&str, Handler)] = &[
    ("hdel", hdel),
    ("hexists", hexists),
    ("hexpire", hexpire),
    ("hexpireat", hexpireat),
    ("hexpiretime", hexpiretime),
    ("hget", hget),
    ("hgetall", hgetall),
    ("hincrby", hincrby),
    ("hincrbyfloat", hincrbyfloat),
    ("hkeys", hkeys),
    ("hlen", hlen),
    ("hmget", hmget),
    ("hmset", hmset),
    ("hpersist", hpersist),
    ("hpexpire", hpexpire),
    ("hpexpireat", hpexpireat),
    ("hpexpiretime", hpexpiretime),
    ("hpttl", hpttl),
    ("hrandfield", hrandfield),
    ("hscan", hscan),
    ("hset", hset),
    ("hsetnx", hsetnx),
    ("hstrlen", hstrlen),
    ("httl", httl),
    ("hvals", hvals),
];
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn bench() -> Bench {
    Bench::of(HANDLERS)
}

/// Both with a listpack and with a hash table.
fn benches() -> [Bench; 2] {
    let mut table = bench();
    table.shard.settings.hash_max_listpack_entries = 0;
    [bench(), table]
}

#[test]
fn fields_are_written_and_read() {
    for mut bench in benches() {
        bench.expect(&[
            ("hset h a 1 b two", ":2"),
            ("hset h a 2 c x c y", ":1"),
            ("hget h a", "$1 2"),
            ("hget h c", "$1 y"),
            ("hget h d", "$-1"),
            ("hget no a", "$-1"),
            ("hmget h a no b", "*3 $1 2 $-1 $3 two"),
            ("hmget no a b", "*2 $-1 $-1"),
            ("hlen h", ":3"),
            ("hlen no", ":0"),
            ("hexists h a", ":1"),
            ("hexists h d", ":0"),
            ("hstrlen h b", ":3"),
            ("hstrlen h d", ":0"),
            ("hsetnx h a 9", ":0"),
            ("hsetnx h d 9", ":1"),
            ("hmset h a 1", "+OK"),
            ("hset h a", "-ERR wrong number of arguments for 'hset' command"),
            ("hmset h a 1 b", "-ERR wrong number of arguments for 'hmset' command"),
            ("hdel h a no b", ":2"),
            ("hdel h c d e", ":2"),
            ("hdel h a", ":0"),
        ]);
        assert!(bench.item("h").is_none(), "an empty hash is no hash");
    }
}

#[test]
fn all_of_a_hash_is_a_map_in_resp3() {
    let mut bench = bench();
    bench.expect(&[
        ("hset h a 1 b two", ":2"),
        ("hgetall h", "*4 $1 a $1 1 $1 b $3 two"),
        ("hkeys h", "*2 $1 a $1 b"),
        ("hvals h", "*2 $1 1 $3 two"),
        ("hgetall no", "*0"),
        ("hkeys no", "*0"),
    ]);
    bench.resp = Resp::V3;
    bench.expect(&[
        ("hgetall h", "%2 $1 a $1 1 $1 b $3 two"),
        ("hvals h", "*2 $1 1 $3 two"),
        ("hgetall no", "%0"),
        ("hget no a", "_"),
    ]);
}

#[test]
fn other_types_are_refused() {
    let mut bench = bench();
    bench.line("set s x");
    for line in [
        "hset s a 1",
        "hget s a",
        "hgetall s",
        "hdel s a",
        "hincrby s a 1",
        "hscan s 0",
        "hrandfield s",
        "hexpire s 1 fields 1 a",
        "httl s fields 1 a",
        "hpersist s junk 1 a",
    ] {
        assert_eq!(bench.line(line), WRONG_TYPE, "{line}");
    }
}

#[test]
fn numbers() {
    const OVERFLOW: &str = "-ERR increment or decrement would overflow";
    for mut bench in benches() {
        bench.expect(&[
            ("hincrby h n 5", ":5"),
            ("hincrby h n -7", ":-2"),
            ("hincrby h n 1.5", "-ERR value is not an integer or out of range"),
            ("hincrby h n -9223372036854775807", OVERFLOW),
            ("hset h t 1x", ":1"),
            ("hincrby h t 1", "-ERR hash value is not an integer"),
            ("hincrbyfloat h t 1", "-ERR hash value is not a float"),
            ("hincrbyfloat h n 0.5", "$4 -1.5"),
            ("hincrby h n 1", "-ERR hash value is not an integer"),
            ("hincrbyfloat h n 1.5", "$1 0"),
            ("hincrby h n 1", ":1"),
            ("hincrbyfloat h n x", "-ERR value is not a valid float"),
            ("hincrbyfloat h n inf", "-ERR value is NaN or Infinity"),
            ("hget h n", "$1 1"),
        ]);
        assert_eq!(bench.line("hincrby h n 1"), ":2");
        assert_eq!(bench.changes, 1);
    }
}

#[test]
fn expiries_are_set_on_conditions() {
    for mut bench in benches() {
        bench.expect(&[
            ("hset h a 1 b 2 c 3", ":3"),
            ("hpexpire h 500 fields 2 a no", "*2 :1 :-2"),
            ("hpexpire h 400 nx fields 2 a b", "*2 :0 :1"),
            ("hpexpire h 450 gt fields 3 a b c", "*3 :0 :1 :0"),
            ("hpexpire h 300 lt fields 3 a b c", "*3 :1 :1 :1"),
            ("hexpire h 2 xx fields 1 a", "*1 :1"),
            ("hpersist h fields 3 c a no", "*3 :1 :1 :-2"),
            ("hpersist h fields 1 a", "*1 :-1"),
            ("hpttl h fields 4 a b c no", "*4 :-1 :300 :-1 :-2"),
            ("httl h fields 1 b", "*1 :1"),
            ("hexpireat h 1002 fields 1 b", "*1 :1"),
            ("hexpiretime h fields 1 b", "*1 :1002"),
            ("hpexpireat h 1001001 fields 1 b", "*1 :1"),
            ("hexpiretime h fields 1 b", "*1 :1002"),
            ("hpexpiretime h fields 1 b", "*1 :1001001"),
            ("hincrby h b 1", ":3"),
            ("hpttl h fields 1 b", "*1 :1001"),
            ("hset h b 7", ":0"),
            ("hpttl h fields 1 b", "*1 :-1"),
            ("httl no fields 2 a b", "*2 :-2 :-2"),
            ("hexpire no 1 fields 1 a", "*1 :-2"),
            ("hpersist no fields 1 a", "*1 :-2"),
            ("hpexpireat h 1000000 fields 2 a b", "*2 :2 :2"),
            ("hexpire h 0 gt fields 1 c", "*1 :0"),
            ("hexpire h 0 fields 1 c", "*1 :2"),
        ]);
        assert!(bench.item("h").is_none());
        assert_eq!((bench.changes, bench.shard.stats.expired_subkeys), (1, 3));
    }
}

#[test]
fn malformed_expiries_are_refused() {
    const MISSING: &str = "-ERR Mandatory argument FIELDS is missing or not at the right position";
    const MISMATCH: &str = "-ERR The `numfields` parameter must match the number of arguments";
    bench().expect(&[
        ("hset h a 1", ":1"),
        ("hexpire h x fields 1 a", "-ERR value is not an integer or out of range"),
        ("hexpire h -1 fields 1 a", "-ERR invalid expire time, must be >= 0"),
        ("hexpire h 70368744178 fields 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("hpexpireat h 70368744177664 fields 1 a", "-ERR invalid expire time in 'hpexpireat' command"),
        ("hpexpireat h 70368744177663 fields 1 a", "*1 :1"),
        ("hexpire h 1 yy fields 1 a", MISSING),
        ("hexpire h 1 fields 0 a", "-ERR Parameter `numFields` should be greater than 0"),
        ("hexpire h 1 fields x a", "-ERR Parameter `numFields` should be greater than 0"),
        ("hexpire h 1 nx fields 1", MISMATCH),
        ("hexpire h 1 nx fields 2 a", MISMATCH),
        ("httl h field 1 a", MISSING),
        ("httl h fields 0 a", "-ERR Number of fields must be a positive integer"),
        ("httl h fields 2 a", MISMATCH),
        ("hpersist h fields -1 a", "-ERR Number of fields must be a positive integer"),
    ]);
}

#[test]
fn fields_whose_time_is_over_are_missed() {
    for mut bench in benches() {
        bench.line("hset h a 1 b 2 c 3 d 4 e 5 f 6 g 7");
        bench.line("hpexpire h 10 fields 6 a b c d e g");
        bench.shard.now_ms += 10;
        assert_eq!(bench.line("hget h a"), "$1 1", "it lives in the millisecond it names");
        bench.shard.now_ms += 1;
        bench.expect(&[
            ("hgetall h", "*2 $1 f $1 6"),
            ("hkeys h", "*1 $1 f"),
            ("hvals h", "*1 $1 6"),
            ("hscan h 0 count 100", "*2 $1 0 *2 $1 f $1 6"),
            ("hpttl h fields 1 a", "*1 :-2"),
            ("hpersist h fields 1 a", "*1 :-2"),
            ("hlen h", ":7"),
            ("hget h a", "$-1"),
            ("hlen h", ":6"),
            ("hmget h b f b", "*3 $-1 $1 6 $-1"),
            ("hlen h", ":5"),
            ("hexists h c", ":0"),
            ("hsetnx h c 1", ":1"),
            ("hincrby h d 1", ":1"),
            ("hstrlen h e", ":0"),
            ("hdel h g", ":1"),
            ("hlen h", ":3"),
            ("hpttl h fields 2 c d", "*2 :-1 :-1"),
        ]);
        assert_eq!(bench.shard.stats.expired_subkeys, 5);
        bench.line("hpexpire h 1 fields 3 c d f");
        bench.shard.now_ms += 2;
        assert_eq!(bench.line("hrandfield h 5"), "*0");
        assert!(bench.item("h").is_none(), "it goes with its last field");
    }
}

#[test]
fn random_fields() {
    const RANGE: &str = "-ERR value is out of range";
    for mut bench in benches() {
        let pairs: Vec<String> = (0..20).map(|n| format!("{n} {n}")).collect();
        bench.line(&format!("hset h {}", pairs.join(" ")));
        let fields = |reply: &str| reply.split(' ').skip(1).filter(|word| !word.starts_with('$')).count();
        for (count, expected) in
            [("3", 3), ("6", 6), ("7", 7), ("19", 19), ("20", 20), ("99", 20), ("-50", 50)]
        {
            for (option, factor) in [("", 1), (" withvalues", 2)] {
                let reply = bench.line(&format!("hrandfield h {count}{option}"));
                assert!(reply.starts_with(&format!("*{} ", expected * factor)), "{reply}");
                assert_eq!(fields(&reply), expected * factor);
                let mut words: Vec<&str> = reply.split(" $").collect();
                words.sort_unstable();
                words.dedup();
                let unique = count.starts_with('-') || words.len() == 1 + expected;
                assert!(unique, "{reply}");
            }
        }
        bench.expect(&[
            ("hrandfield h 0", "*0"),
            ("hrandfield no", "$-1"),
            ("hrandfield no 3", "*0"),
            ("hrandfield h x", "-ERR value is not an integer or out of range"),
            ("hrandfield h 1 values", "-ERR syntax error"),
            ("hrandfield h 4611686018427387904 withvalues", RANGE),
        ]);
        assert!(bench.line("hrandfield h -9223372036854775808").starts_with(RANGE));
        bench.resp = Resp::V3;
        assert!(bench.line("hrandfield h 2 withvalues").starts_with("*2 *2 $"));
        assert_eq!(bench.line("hrandfield no"), "_");
    }
}

#[test]
fn scans() {
    let mut bench = bench();
    bench.expect(&[
        ("hset h a 1 b 2 ab 3", ":3"),
        ("hscan h 0", "*2 $1 0 *6 $1 a $1 1 $1 b $1 2 $2 ab $1 3"),
        ("hscan h 0 match a* novalues", "*2 $1 0 *2 $1 a $2 ab"),
        ("hscan no 0 junk", "*2 $1 0 *0"),
        ("hscan h x", "-ERR invalid cursor"),
        ("hscan h 0 type hash", "-ERR syntax error"),
    ]);
}
