//! Command lines through the handlers of lists. The tables were checked against a Redis 7.4.1 server.

use super::*;
use crate::execute::Handler;
use crate::execute::strings::testing::Bench;
use crate::protocol::resp::Resp;
use crate::shard::Encoding;

const HANDLERS: &[(&str, Handler)] = &[
    ("blmove", blmove),
    ("blmpop", blmpop),
    ("blpop", blpop),
    ("brpop", brpop),
    ("brpoplpush", brpoplpush),
    ("lindex", lindex),
    ("linsert", linsert),
    ("llen", llen),
    ("lmove", lmove),
    ("lmpop", lmpop),
    ("lpop", lpop),
    ("lpos", lpos),
    ("lpush", lpush),
    ("lpushx", lpushx),
    ("lrange", lrange),
    ("lrem", lrem),
    ("lset", lset),
    ("ltrim", ltrim),
    ("rpop", rpop),
    ("rpoplpush", rpoplpush),
    ("rpush", rpush),
    ("rpushx", rpushx),
];
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_INTEGER: &str = "-ERR value is not an integer or out of range";

fn bench() -> Bench {
    Bench::of(HANDLERS)
}

fn encoding(bench: &Bench, key: &str) -> Option<Encoding> {
    bench.item(key).map(|item| item.encoding())
}

/// Runs lines and compares their replies and how many changes they count.
#[track_caller]
fn expect_changes(bench: &mut Bench, table: &[(&str, &str, u64)]) {
    for (line, reply, changes) in table {
        assert_eq!((bench.line(line).as_str(), bench.changes), (*reply, *changes), "{line}");
    }
}

#[test]
fn elements_come_and_go_at_both_ends() {
    let table = [
        ("lpushx l a", ":0", 0),
        ("rpushx l a", ":0", 0),
        ("rpush l a 1", ":2", 2),
        ("lpush l b c", ":4", 2),
        ("lpushx l d", ":5", 1),
        ("rpushx l 02 e", ":7", 2),
        ("lrange l 0 -1", "*7 $1 d $1 c $1 b $1 a $1 1 $2 02 $1 e", 0),
        ("llen l", ":7", 0),
        ("lpop l", "$1 d", 1),
        ("rpop l", "$1 e", 1),
        ("lpop l 0", "*0", 0),
        ("lpop l 2", "*2 $1 c $1 b", 2),
        ("rpop l 9", "*3 $2 02 $1 1 $1 a", 3),
        ("lpop l", "$-1", 0),
        ("rpop l 2", "*-1", 0),
        ("lpop l 0", "*-1", 0),
        ("llen l", ":0", 0),
    ];
    let mut bench = bench();
    expect_changes(&mut bench, &table);
    assert!(bench.item("l").is_none());
    bench.expect(&[
        ("lpop l -1", "-ERR value is out of range, must be positive"),
        ("rpop l x", "-ERR value is out of range, must be positive"),
        ("lpop l 1 2", "-ERR wrong number of arguments for 'lpop' command"),
        ("rpop l 1 2", "-ERR wrong number of arguments for 'rpop' command"),
    ]);
}

#[test]
fn ranges_and_indexes() {
    let mut bench = bench();
    bench.line("rpush l a b c d");
    bench.expect(&[
        ("lrange l 1 2", "*2 $1 b $1 c"),
        ("lrange l -2 -1", "*2 $1 c $1 d"),
        ("lrange l -100 0", "*1 $1 a"),
        ("lrange l 3 100", "*1 $1 d"),
        ("lrange l 4 9", "*0"),
        ("lrange l 2 1", "*0"),
        ("lrange none 0 -1", "*0"),
        ("lrange l x -1", NO_INTEGER),
        ("lrange none 0 x", NO_INTEGER),
        ("lrange l -9223372036854775808 9223372036854775807", "*4 $1 a $1 b $1 c $1 d"),
        ("lindex l 0", "$1 a"),
        ("lindex l -1", "$1 d"),
        ("lindex l 4", "$-1"),
        ("lindex l -5", "$-1"),
        ("lindex l -9223372036854775808", "$-1"),
        ("lindex none x", "$-1"),
        ("lindex l x", NO_INTEGER),
    ]);
}

#[test]
fn changes_by_index_and_by_value() {
    let table = [
        ("rpush l a b a c a", ":5", 5),
        ("lset l 1 B", "+OK", 1),
        ("lset l -1 A", "+OK", 1),
        ("lset l 5 x", "-ERR index out of range", 0),
        ("lset l -6 x", "-ERR index out of range", 0),
        ("lset none 0 x", "-ERR no such key", 0),
        ("lset l x x", NO_INTEGER, 0),
        ("linsert l before B 0", ":6", 1),
        ("linsert l AFTER A 9", ":7", 1),
        ("linsert l after z 9", ":-1", 0),
        ("linsert none after z 9", ":0", 0),
        ("linsert l beside a 9", "-ERR syntax error", 0),
        ("lrange l 0 -1", "*7 $1 a $1 0 $1 B $1 a $1 c $1 A $1 9", 0),
        ("rpush l a x a", ":10", 3),
        ("lrem l -2 a", ":2", 2),
        ("lrange l 0 -1", "*8 $1 a $1 0 $1 B $1 a $1 c $1 A $1 9 $1 x", 0),
        ("lrem l 1 a", ":1", 1),
        ("lrem l 0 a", ":1", 1),
        ("lrem l 5 a", ":0", 0),
        (
            "lrem l -9223372036854775808 a",
            "-ERR value is out of range, value must between \
          -9223372036854775807 and 9223372036854775807",
            0,
        ),
        ("ltrim l 1 -2", "+OK", 2),
        ("lrange l 0 -1", "*4 $1 B $1 c $1 A $1 9", 0),
        ("ltrim l 0 x", NO_INTEGER, 0),
        ("ltrim none 0 1", "+OK", 0),
        ("ltrim l 3 1", "+OK", 4),
        ("llen l", ":0", 0),
        ("rpush l a", ":1", 1),
        ("lrem l 0 a", ":1", 1),
    ];
    let mut bench = bench();
    expect_changes(&mut bench, &table);
    assert!(bench.item("l").is_none());
}

#[test]
fn positions() {
    let mut bench = bench();
    bench.line("rpush l a b c 1 2 3 c c");
    bench.expect(&[
        ("lpos l c", ":2"),
        ("lpos l 3", ":5"),
        ("lpos l 03", "$-1"),
        ("lpos l c rank 2", ":6"),
        ("lpos l c RANK -1", ":7"),
        ("lpos l c rank -3", ":2"),
        ("lpos l c rank 4", "$-1"),
        ("lpos l c count 0", "*3 :2 :6 :7"),
        ("lpos l c count 2 rank -1", "*2 :7 :6"),
        ("lpos l c count 2 rank -9223372036854775807", "*0"),
        ("lpos l c maxlen 2", "$-1"),
        ("lpos l c maxlen 3 count 0", "*1 :2"),
        ("lpos l c maxlen 1 rank -1", ":7"),
        ("lpos l x count 1", "*0"),
        ("lpos none x count 1", "*0"),
        ("lpos none x", "$-1"),
        ("lpos l c count -1", "-ERR COUNT can't be negative"),
        ("lpos l c maxlen -1", "-ERR MAXLEN can't be negative"),
        ("lpos l c rank x", NO_INTEGER),
        ("lpos l c rank", "-ERR syntax error"),
        ("lpos l c first 1", "-ERR syntax error"),
        (
            "lpos l c rank 0",
            "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative \
             to start from the end of the list",
        ),
    ]);
}

#[test]
fn elements_move_between_lists() {
    let table = [
        ("rpush a 1 2 3", ":3", 3),
        ("rpoplpush a b", "$1 3", 1),
        ("lmove a b left RIGHT", "$1 1", 1),
        ("lmove a b right right", "$1 2", 1),
        ("lmove a b left left", "$-1", 0),
        ("rpoplpush a b", "$-1", 0),
        ("lrange b 0 -1", "*3 $1 3 $1 1 $1 2", 0),
        ("rpoplpush b b", "$1 2", 1),
        ("lmove b b left left", "$1 2", 1),
        ("lmove b b left right", "$1 2", 1),
        ("lrange b 0 -1", "*3 $1 3 $1 1 $1 2", 0),
        ("lmove a b up left", "-ERR syntax error", 0),
        ("set s x", "+OK", 1),
        ("lmove b s left left", WRONG_TYPE, 0),
        ("lmove s b left left", WRONG_TYPE, 0),
        ("lmove none s left left", "$-1", 0),
        ("llen b", ":3", 0),
        ("lmpop 2 a b left", "*2 $1 b *1 $1 3", 1),
        ("lmpop 2 a b right count 5", "*2 $1 b *2 $1 2 $1 1", 2),
        ("lmpop 2 a b left", "*-1", 0),
        ("lmpop 2 a s left", WRONG_TYPE, 0),
        ("lmpop 0 a left", "-ERR numkeys should be greater than 0", 0),
        ("lmpop x a left", "-ERR numkeys should be greater than 0", 0),
        ("lmpop 1 a left count 0", "-ERR count should be greater than 0", 0),
        ("lmpop 1 a left count 1 count 1", "-ERR syntax error", 0),
        ("lmpop 2 a left", "-ERR syntax error", 0),
        ("lmpop 9223372036854775807 a left", "-ERR syntax error", 0),
        ("lmpop 1 a left foo 1", "-ERR syntax error", 0),
    ];
    let mut bench = bench();
    expect_changes(&mut bench, &table);
    assert!(bench.item("a").is_none() && bench.item("b").is_none());
}

/// What they do if there is something, and their errors; what they wait for is in the tests of waiting.
#[test]
fn blocking_commands_that_need_not_wait() {
    let table = [
        ("rpush l 1 2 3 4 5 6 7", ":7", 7),
        ("blpop none l 0", "*2 $1 l $1 1", 1),
        ("brpop l none 1.5", "*2 $1 l $1 7", 1),
        ("brpoplpush l m 0", "$1 6", 1),
        ("blmove l m left right 0", "$1 2", 1),
        ("lrange m 0 -1", "*2 $1 6 $1 2", 0),
        ("blmpop 0 2 none l left count 2", "*2 $1 l *2 $1 3 $1 4", 2),
        ("blpop l -1", "-ERR timeout is negative", 0),
        ("brpop l x", "-ERR timeout is not a float or out of range", 0),
        ("blmove l m left up 0", "-ERR syntax error", 0),
        ("blmove l m left right x", "-ERR timeout is not a float or out of range", 0),
        ("blmpop 0 0 l left", "-ERR numkeys should be greater than 0", 0),
        ("blmpop x 1 l left", "-ERR timeout is not a float or out of range", 0),
        ("brpop l 1", "*2 $1 l $1 5", 1),
        ("blpop none 1", "*-1", 0),
        // Within a transaction, say; when time is over it is a null array.
        ("brpoplpush none l 1", "$-1", 0),
        ("blmpop 1 1 none left", "*-1", 0),
        ("set s x", "+OK", 1),
        ("blpop none s l 1", WRONG_TYPE, 0),
        ("blmove s m left right 1", WRONG_TYPE, 0),
    ];
    expect_changes(&mut bench(), &table);
}

#[test]
fn other_types_are_refused() {
    let mut bench = bench();
    bench.line("set s x");
    for line in [
        "lpush s a",
        "rpushx s a",
        "lpop s",
        "rpop s 2",
        "llen s",
        "lrange s 0 -1",
        "lindex s 0",
        "lset s 0 a",
        "linsert s before a b",
        "lrem s 0 a",
        "ltrim s 0 1",
        "lpos s a",
        "rpoplpush s l",
    ] {
        assert_eq!((bench.line(line).as_str(), bench.changes), (WRONG_TYPE, 0), "{line}");
    }
    assert_eq!(bench.line("get s"), "$1 x");
}

#[test]
fn nulls_of_resp3() {
    let mut bench = bench();
    bench.resp = Resp::V3;
    for line in ["lpop l", "lpop l 1", "lindex l 0", "lpos l a", "lmpop 1 l left", "rpoplpush l m"] {
        assert_eq!(bench.line(line), "_", "{line}");
    }
}

#[test]
fn the_form_follows_the_size() {
    let mut bench = bench();
    bench.shard.settings.list_max_listpack_size = 4;
    bench.line("rpush l 1 2 3 4");
    assert_eq!(encoding(&bench, "l"), Some(Encoding::Listpack));
    for (line, wanted) in [
        ("rpush l 5", Encoding::Quicklist),
        ("lpop l 2", Encoding::Quicklist),
        ("lpop l", Encoding::Quicklist),
        ("rpop l", Encoding::Listpack),
        ("lmove l l left right", Encoding::Listpack),
        ("linsert l before 4 3", Encoding::Listpack),
        ("linsert l before 4 x", Encoding::Listpack),
        ("linsert l after x 4", Encoding::Listpack),
        ("lset l 0 y", Encoding::Quicklist),
        ("ltrim l 0 1", Encoding::Listpack),
        ("rpush l 1 2 3", Encoding::Quicklist),
        ("lrem l 0 1", Encoding::Quicklist),
        ("lrem l 0 2", Encoding::Quicklist),
        ("lrem l 0 3", Encoding::Listpack),
    ] {
        bench.line(line);
        assert_eq!(encoding(&bench, "l"), Some(wanted), "{line}");
    }
}
