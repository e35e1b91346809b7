//! Set commands against what Redis answers.

use super::*;
use crate::execute::Handler;
use crate::execute::strings::testing::Bench;
use crate::protocol::resp::Resp;
use crate::shard::Encoding;

const HANDLERS: &[(&str, Handler)] = &[
    ("sadd", sadd),
    ("scard", scard),
    ("sdiff", sdiff),
    ("sdiffstore", sdiffstore),
    ("sinter", sinter),
    ("sintercard", sintercard),
    ("sinterstore", sinterstore),
    ("sismember", sismember),
    ("smembers", smembers),
    ("smismember", smismember),
    ("smove", smove),
    ("spop", spop),
    ("srandmember", srandmember),
    ("srem", srem),
    ("sscan", sscan),
    ("sunion", sunion),
    ("sunionstore", sunionstore),
];
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn bench() -> Bench {
    Bench::of(HANDLERS)
}

/// `name` and the numbers of the range as one command line.
fn with_numbers(name: &str, numbers: std::ops::Range<i32>) -> String {
    numbers.fold(name.to_string(), |line, number| format!("{line} {number}"))
}

fn encoding(bench: &Bench, key: &str) -> Option<Encoding> {
    bench.item(key).map(|item| item.encoding())
}

#[test]
fn members_come_and_go() {
    let mut bench = bench();
    for (line, reply, changes) in [
        ("sadd s 2 1 2", ":2", 2),
        ("sadd s 1", ":0", 0),
        ("scard s", ":2", 0),
        ("sismember s 1", ":1", 0),
        ("sismember s 01", ":0", 0),
        ("smismember s 1 3 2", "*3 :1 :0 :1", 0),
        ("smembers s", "*2 $1 1 $1 2", 0),
        ("sadd s x", ":1", 1),
        ("smembers s", "*3 $1 1 $1 2 $1 x", 0),
        ("srem s 1 9 x", ":2", 2),
        ("srem s 2 2", ":1", 1),
        ("scard s", ":0", 0),
        ("srem s 2", ":0", 0),
        ("smembers s", "*0", 0),
        ("smismember s 1 2", "*2 :0 :0", 0),
        ("sismember s 1", ":0", 0),
    ] {
        assert_eq!(bench.line(line), reply, "{line}");
        assert_eq!(bench.changes, changes, "{line}");
    }
    assert!(bench.item("s").is_none(), "an empty set goes");
}

#[test]
fn a_key_of_another_type_is_refused() {
    let mut bench = bench();
    bench.expect(&[("set k 1", "+OK"), ("sadd s a", ":1")]);
    for line in [
        "sadd k 1",
        "srem k 1",
        "sismember k 1",
        "smismember k 1",
        "scard k",
        "smembers k",
        "smove k s 1",
        "smove s k a",
        "spop k",
        "spop k 1",
        "srandmember k",
        "srandmember k 2",
        "sinter none s k",
        "sintercard 2 none k",
        "sinterstore to none k",
        "sunion k",
        "sunionstore to s k",
        "sdiff none k",
        "sdiffstore to k",
        "sscan k 0",
    ] {
        assert_eq!(bench.line(line), WRONG_TYPE, "{line}");
        assert_eq!(bench.changes, 0, "{line}");
    }
    assert_eq!(bench.line("smove none k a"), ":0", "the source is looked at first");
    assert_eq!(bench.line("sunionstore k s"), ":1", "a target may be of any type");
}

#[test]
fn moving_a_member() {
    let mut bench = bench();
    bench.expect(&[("sadd a 1 2", ":2"), ("sadd b 2 x", ":2")]);
    for (line, reply, changes) in [
        ("smove a b 3", ":0", 0),
        ("smove a a 1", ":1", 0),
        ("smove a a 3", ":0", 0),
        ("smove a b 2", ":1", 1),
        ("smove a c 1", ":1", 2),
        ("smembers c", "*1 $1 1", 0),
        ("scard b", ":2", 0),
    ] {
        assert_eq!(bench.line(line), reply, "{line}");
        assert_eq!(bench.changes, changes, "{line}");
    }
    assert!(bench.item("a").is_none());
    assert_eq!(encoding(&bench, "c"), Some(Encoding::Intset));
}

#[test]
fn intersection_union_and_difference() {
    let mut bench = bench();
    bench.expect(&[
        ("sadd a 1 2 3", ":3"),
        ("sadd b 2 3 4 x", ":4"),
        ("sadd c 3", ":1"),
        ("sinter a b", "*2 $1 2 $1 3"),
        ("sinter a b none", "*0"),
        ("sinter a a", "*3 $1 1 $1 2 $1 3"),
        ("sunion a c", "*3 $1 1 $1 2 $1 3"),
        ("sunion none none", "*0"),
        ("sdiff a b", "*1 $1 1"),
        ("sdiff a none c", "*2 $1 1 $1 2"),
        ("sdiff a b a", "*0"),
        ("sdiff none a", "*0"),
        ("sintercard 2 a b", ":2"),
        ("sintercard 2 a b LIMIT 1", ":1"),
        ("sintercard 2 a b limit 0", ":2"),
        ("sintercard 2 a b limit 9", ":2"),
        ("sintercard 2 a none", ":0"),
    ]);
    bench.resp = Resp::V3;
    bench.expect(&[
        ("sinter a b", "~2 $1 2 $1 3"),
        ("sdiff none", "~0"),
        ("sunion c", "~1 $1 3"),
        ("smembers none", "~0"),
    ]);
}

#[test]
fn arguments_of_sintercard() {
    let mut bench = bench();
    const NUMKEYS: &str = "-ERR numkeys should be greater than 0";
    const TOO_MANY: &str = "-ERR Number of keys can't be greater than number of args";
    const LIMIT: &str = "-ERR LIMIT can't be negative";
    bench.expect(&[
        ("sintercard 0 a", NUMKEYS),
        ("sintercard x a", NUMKEYS),
        ("sintercard -1 a", NUMKEYS),
        ("sintercard 2 a", TOO_MANY),
        ("sintercard 9223372036854775807 a", TOO_MANY),
        ("sintercard 1 a b", "-ERR syntax error"),
        ("sintercard 1 a limit", "-ERR syntax error"),
        ("sintercard 1 a limit -1", LIMIT),
        ("sintercard 1 a limit x", LIMIT),
        ("sintercard 1 a limit 1 limit 2", ":0"),
        ("sintercard 1 a limit 1 nothing 2", "-ERR syntax error"),
    ]);
}

#[test]
fn storing_a_result() {
    let mut bench = bench();
    bench.expect(&[("sadd a 1 2 3", ":3"), ("sadd b 2 3 4 x", ":4"), ("set to string ex 100", "+OK")]);
    for (line, reply, changes, left) in [
        ("sinterstore to a b", ":2", 1, Some(Encoding::Intset)),
        ("sinterstore to a none", ":0", 1, None),
        ("sinterstore to a none", ":0", 0, None),
        ("sunionstore to a b", ":5", 1, Some(Encoding::Listpack)),
        ("sdiffstore to b to", ":0", 1, None),
        ("sdiffstore to b a", ":2", 1, Some(Encoding::Listpack)),
        ("sdiffstore to a b", ":1", 1, Some(Encoding::Intset)),
        ("sunionstore to to", ":1", 1, Some(Encoding::Intset)),
    ] {
        assert_eq!(bench.line(line), reply, "{line}");
        assert_eq!((bench.changes, encoding(&bench, "to")), (changes, left), "{line}");
        assert!(bench.item("to").is_none_or(|item| !item.has_expiry()), "{line}");
    }
}

/// Which way a difference is found decides on its encoding.
#[test]
fn the_encoding_of_a_result_depends_on_how_it_is_found() {
    let mut bench = bench();
    bench.line(&with_numbers("sadd big x", 0..200));
    bench.line(&with_numbers("sadd most", 0..199));
    bench.expect(&[("sadd one 7", ":1"), ("sdiffstore to big most", ":2")]);
    assert_eq!(encoding(&bench, "to"), Some(Encoding::Listpack), "looked up");
    assert_eq!(bench.line("sdiffstore to big most one one one"), ":2");
    assert_eq!(encoding(&bench, "to"), Some(Encoding::Hashtable), "removed");
    assert_eq!(bench.line("sinterstore to big most"), ":199");
    assert_eq!(encoding(&bench, "to"), Some(Encoding::Intset), "numbers become an array in the end");
}

#[test]
fn random_members() {
    let mut bench = bench();
    bench.expect(&[
        ("srandmember none", "$-1"),
        ("srandmember none 3", "*0"),
        ("spop none", "$-1"),
        ("spop none 3", "*0"),
        ("sadd s 7", ":1"),
        ("srandmember s", "$1 7"),
        ("srandmember s 0", "*0"),
        ("srandmember s 2", "*1 $1 7"),
        ("srandmember s -2", "*2 $1 7 $1 7"),
        ("spop s 0", "*0"),
        ("spop s", "$1 7"),
        ("scard s", ":0"),
        ("srandmember s 1 2", "-ERR syntax error"),
        ("spop s 1 2", "-ERR syntax error"),
        ("srandmember s x", "-ERR value is not an integer or out of range"),
        ("spop s x", "-ERR value is out of range, must be positive"),
        ("spop s -1", "-ERR value is out of range, must be positive"),
        (
            "srandmember s -9223372036854775808",
            "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
    ]);
    bench.resp = Resp::V3;
    bench.expect(&[
        ("srandmember none", "_"),
        ("spop none", "_"),
        ("spop none 1", "~0"),
        ("srandmember none 1", "*0"),
        ("sadd s 7", ":1"),
        ("srandmember s 1", "*1 $1 7"),
        ("spop s 5", "~1 $1 7"),
    ]);
    assert!(bench.item("s").is_none());
}

#[test]
fn popping_some_of_many() {
    let mut bench = bench();
    for (line, left) in [
        (with_numbers("sadd s", 0..100), Encoding::Intset),
        (with_numbers("sadd s x", 0..100), Encoding::Listpack),
        (with_numbers("sadd s x", 0..1000), Encoding::Hashtable),
    ] {
        let all: i64 = bench.line(&line).trim_start_matches(':').parse().unwrap();
        let popped = bench.line("spop s 10");
        assert!(popped.starts_with("*10 "), "{popped}");
        assert_eq!((bench.changes, encoding(&bench, "s")), (10, Some(left)));
        assert_eq!(bench.line("scard s"), format!(":{}", all - 10));
        let one = bench.line("spop s");
        assert!(one.starts_with('$'), "{one}");
        assert_eq!(bench.changes, 1);
        bench.line(&format!("spop s {}", all - 12));
        assert_eq!(bench.line("scard s"), ":1");
        assert_eq!(bench.line("spop s 99").split(' ').next(), Some("*1"));
        assert!(bench.item("s").is_none());
    }
}

#[test]
fn going_over_a_set() {
    let mut bench = bench();
    bench.expect(&[
        ("sscan none 0 what", "*2 $1 0 *0"),
        ("sadd s 1 12 2", ":3"),
        ("sscan s 0", "*2 $1 0 *3 $1 1 $1 2 $2 12"),
        ("sscan s 5 match 1* count 1", "*2 $1 0 *2 $1 1 $2 12"),
        ("sscan s x", "-ERR invalid cursor"),
        ("sscan s 0 count 0", "-ERR syntax error"),
        ("sscan s 0 count x", "-ERR value is not an integer or out of range"),
        ("sscan s 0 type set", "-ERR syntax error"),
        ("sscan s 0 novalues", "-ERR NOVALUES option can only be used in HSCAN"),
    ]);
}
