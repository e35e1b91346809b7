//! Command lines through the handlers of SORT. The tables were checked against a Redis 7.4.1 server.

use super::*;
use crate::execute::strings::testing::Bench;
use crate::execute::{Handler, hashes, lists, sets, sorted_sets};
use crate::shard::Encoding;

const HANDLERS: &[(&str, Handler)] = &[
    ("hset", hashes::hset),
    ("lrange", lists::lrange),
    ("rpush", lists::rpush),
    ("sadd", sets::sadd),
    ("sort", sort),
    ("sort_ro", sort_ro),
    ("zadd", sorted_sets::zadd),
];
const NO_NUMBER: &str = "-ERR One or more scores can't be converted into double";
const SYNTAX: &str = "-ERR syntax error";

fn bench() -> Bench {
    Bench::of(HANDLERS)
}

#[test]
fn numbers_and_strings() {
    let mut bench = bench();
    bench.line("rpush l 3 10 1.5 -2 10");
    bench.line("sadd s c b a 10 9");
    bench.line("zadd z 1 30 2 4 3 100");
    bench.line("rpush odd inf ' 7' '' 0x10 1e1");
    bench.expect(&[
        ("sort l", "*5 $2 -2 $3 1.5 $1 3 $2 10 $2 10"),
        ("sort_ro l desc", "*5 $2 10 $2 10 $1 3 $3 1.5 $2 -2"),
        ("sort l ALPHA", "*5 $2 -2 $3 1.5 $2 10 $2 10 $1 3"),
        ("sort s alpha", "*5 $2 10 $1 9 $1 a $1 b $1 c"),
        ("sort s alpha desc asc limit 1 2", "*2 $1 9 $1 a"),
        ("sort s", NO_NUMBER),
        ("sort z", "*3 $1 4 $2 30 $3 100"),
        ("sort z limit -5 2", "*2 $1 4 $2 30"),
        ("sort z limit 1 -7", "*2 $2 30 $3 100"),
        ("sort z limit 3 1", "*0"),
        ("sort z limit 0 0", "*0"),
        ("sort z limit 1 9223372036854775807", "*2 $2 30 $3 100"),
        ("sort odd", "*5 $0  $2  7 $3 1e1 $4 0x10 $3 inf"),
        ("sort none", "*0"),
        ("sort none by * get *", "*0"),
    ]);
    bench.line(r#"rpush zero "5\x00x" 3 "\x00""#);
    bench.expect(&[("sort zero", "*3 $1 \0 $1 3 $3 5\0x")]);
    bench.line("rpush big 1e400");
    bench.line("rpush tail '1 '");
    bench.line("rpush blank ' '");
    bench.line("rpush nan nan");
    bench.expect(&[
        ("sort big", NO_NUMBER),
        ("sort tail", NO_NUMBER),
        ("sort blank", NO_NUMBER),
        ("sort nan", NO_NUMBER),
    ]);
}

#[test]
fn elements_that_are_equal_as_numbers_are_compared_as_strings() {
    let mut bench = bench();
    bench.line("rpush l 1.0 1 01 1.00");
    bench.expect(&[
        ("sort l", "*4 $2 01 $1 1 $3 1.0 $4 1.00"),
        ("sort l by nothing_* desc", "*4 $4 1.00 $3 1.0 $1 1 $2 01"),
    ]);
}

#[test]
fn keys_and_fields_decide_and_are_answered() {
    let mut bench = bench();
    for line in [
        "rpush l a b c d",
        "set w_a 3",
        "set w_b 1",
        "set w_c 2",
        "hset h_a weight 1 name anne",
        "hset h_b weight 3",
        "hset h_c weight 2 name carl",
        "set h_d none",
        "rpush w_d x",
        "set a->name no",
        "hset a->b f v",
    ] {
        bench.line(line);
    }
    bench.expect(&[
        ("sort l by w_*", "*4 $1 d $1 b $1 c $1 a"),
        ("sort l by w_* desc limit 0 1 get # get w_*", "*2 $1 a $1 3"),
        ("sort l by h_*->weight", "*4 $1 d $1 a $1 c $1 b"),
        ("sort l by h_*->name alpha get h_*->name", "*4 $-1 $-1 $4 anne $4 carl"),
        ("sort l by w_* get constant get w_*->x", "*8 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1"),
        // An arrow with nothing behind it is part of the key, and so is one before the star.
        ("sort l by x get *->", "*4 $-1 $-1 $-1 $-1"),
        ("sort l by x limit 0 1 get a->*", "*1 $-1"),
        ("sort l by x limit 1 1 get a->*->f", "*1 $1 v"),
        ("sort l by h_* ", NO_NUMBER),
        ("sort l by h_* alpha limit 0 3", "*3 $1 a $1 b $1 c"),
    ]);
}

#[test]
fn the_order_that_is_there() {
    let mut bench = bench();
    bench.line("rpush l c a b");
    bench.line("zadd z 3 a 1 b 2 c");
    bench.line("sadd s 3 1 2");
    bench.expect(&[
        ("sort l by nosort", "*3 $1 c $1 a $1 b"),
        ("sort l by nosort desc", "*3 $1 b $1 a $1 c"),
        ("sort l by nosort desc limit 1 1", "*1 $1 a"),
        ("sort l by nosort limit 1 5", "*2 $1 a $1 b"),
        ("sort l by nosort limit 5 5", "*0"),
        ("sort z by nosort", "*3 $1 b $1 c $1 a"),
        ("sort z by nosort limit 1 2 desc", "*2 $1 c $1 b"),
        ("sort z by nosort limit 3 2", "*0"),
        ("sort z by nosort by w_* get #", "*3 $1 b $1 c $1 a"),
        ("sort s by nosort limit 1 1", "*1 $1 2"),
        ("sort s by nosort store d", ":3"),
        ("sort s by nosort desc store d", ":3"),
        ("lrange d 0 -1", "*3 $1 3 $1 2 $1 1"),
    ]);
}

#[test]
fn results_are_stored() {
    let mut bench = bench();
    bench.line("rpush l 3 1 2");
    bench.line("set w_1 x");
    for (line, reply, changes) in [
        ("sort l store d", ":3", 3),
        ("sort l get # get w_* limit 0 2 store d", ":4", 4),
        ("lrange d 0 -1", "*4 $1 1 $1 x $1 2 $0", 0),
        ("sort l limit 9 1 store d", ":0", 1),
        ("sort none store d", ":0", 0),
        ("sort l store x store l", ":3", 3),
        ("lrange l 0 -1", "*3 $1 1 $1 2 $1 3", 0),
        ("set text x", "+OK", 1),
        ("sort l by none_* get none_* store text", ":3", 3),
        ("lrange text 0 -1", "*3 $0  $0  $0", 0),
    ] {
        assert_eq!((bench.line(line).as_str(), bench.changes), (reply, changes), "{line}");
    }
    assert!(bench.item("d").is_none() && bench.item("x").is_none());
    assert_eq!(bench.item("l").map(Item::encoding), Some(Encoding::Listpack));
    bench.shard.settings.list_max_listpack_size = 2;
    bench.line("sort l store d");
    assert_eq!(bench.item("d").map(Item::encoding), Some(Encoding::Quicklist));
}

#[test]
fn errors() {
    let mut bench = bench();
    bench.line("set text x");
    bench.line("rpush l 1");
    let number = "-ERR value is not an integer or out of range";
    bench.expect(&[
        ("sort text", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("sort text by", SYNTAX),
        ("sort l limit 1", SYNTAX),
        ("sort l limit x y", number),
        ("sort l limit 1 y", number),
        ("sort l get", SYNTAX),
        ("sort l store", SYNTAX),
        ("sort l up", SYNTAX),
        ("sort_ro l store d", SYNTAX),
    ]);
}

#[test]
fn tells_whether_it_follows_patterns() {
    let args = |line: &'static str| line.split(' ').map(str::as_bytes).collect::<Vec<_>>();
    for (line, follows) in [
        ("sort l by w_*", true),
        ("sort l get w_*->f", true),
        ("sort l", false),
        ("sort l by x get # get y", false),
        ("sort l by w_* wrong", false),
    ] {
        assert_eq!(follows_patterns(&args(line)), follows, "{line}");
    }
}
