//! Command lines and the replies to them. The tables were checked against a Redis 7.4.1 server.

use super::*;
use crate::base::crc::SLOTS;
use crate::execute::Handler;
use crate::protocol::resp::{Reply, Resp};
use crate::shard::{ExpiryPolicy, Hasher, Lfu, Str};
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOW_MS: i64 = 1_700_000_000_000;

/// A client of a shard.
struct Client {
    shard: Shard,
    db: usize,
    changes: u64,
    resp: Resp,
}

impl Client {
    fn new() -> Client {
        let mut shard = Shard::new(16, Hasher::from_seed(1), 1);
        shard.now_ms = NOW_MS;
        Client { shard, db: 0, changes: 0, resp: Resp::V2 }
    }

    /// The reply to a command whose arguments are separated by blanks; `""` is an empty one.
    fn run(&mut self, line: &str) -> String {
        let args: Vec<&[u8]> =
            line.split(' ').map(|arg| if arg == "\"\"" { &b""[..] } else { arg.as_bytes() }).collect();
        let mut out = Vec::new();
        let reply = Reply::new(&mut out, self.resp);
        let mut cx = Exec::new(&args, &mut self.shard, self.db, reply, None);
        // Whether it failed shows in the reply.
        let _ = cx.run(handler(&args));
        self.changes += cx.changes;
        self.db = cx.db;
        String::from_utf8(out).expect("replies of the tests are text")
    }

    fn check(&mut self, table: &[(&str, &str)]) {
        for (line, reply) in table {
            assert_eq!(self.run(line), format!("{}\r\n", reply.replace('|', "\r\n")), "{line}");
        }
    }
}

fn handler(args: &[&[u8]]) -> Handler {
    let word = |at: usize| String::from_utf8_lossy(args[at]).to_ascii_lowercase();
    match word(0).as_str() {
        "object" | "memory" | "debug" => match word(1).as_str() {
            "encoding" => object_encoding,
            "refcount" => object_refcount,
            "idletime" => object_idletime,
            "freq" => object_freq,
            "usage" => memory_usage,
            "object" => debug_object,
            other => panic!("{other}"),
        },
        "set" => |cx| {
            let key = cx.key(1);
            cx.shard.set_string(cx.db, &key, Str::classify(cx.args[2]), ExpiryPolicy::Clear);
            cx.reply.ok();
            Ok(())
        },
        "get" => |cx| {
            let key = cx.key(1);
            match cx.shard.lookup_read(cx.db, &key) {
                Some(item) => item.str().with_bytes(|bytes| cx.reply.bulk(bytes)),
                None => cx.reply.null(),
            }
            Ok(())
        },
        "select" => |cx| {
            cx.db = existing_db(cx.shard, int32(cx.args[1])?)?;
            cx.reply.ok();
            Ok(())
        },
        "del" => del,
        "unlink" => unlink,
        "exists" => exists,
        "touch" => touch,
        "type" => type_,
        "dbsize" => dbsize,
        "expire" => expire,
        "pexpire" => pexpire,
        "expireat" => expireat,
        "pexpireat" => pexpireat,
        "ttl" => ttl,
        "pttl" => pttl,
        "expiretime" => expiretime,
        "pexpiretime" => pexpiretime,
        "persist" => persist,
        "rename" => rename,
        "renamenx" => renamenx,
        "copy" => copy,
        "move" => move_,
        "randomkey" => randomkey,
        "keys" => keys,
        "scan" => scan,
        "flushdb" => flushdb,
        "flushall" => flushall,
        "swapdb" => swapdb,
        other => panic!("{other}"),
    }
}

#[test]
fn counting_and_removing() {
    let mut client = Client::new();
    client.check(&[
        ("del k", ":0"),
        ("set a 1", "+OK"),
        ("set b x", "+OK"),
        ("dbsize", ":2"),
        ("exists a a b c", ":3"),
        ("touch a a b c", ":3"),
        ("type a", "+string"),
        ("type c", "+none"),
        ("del a a c", ":1"),
        ("unlink b c", ":1"),
        ("dbsize", ":0"),
        ("randomkey", "$-1"),
        ("keys *", "*0"),
        ("scan 0", "*2|$1|0|*0"),
        ("set \"\" x", "+OK"),
        ("exists \"\"", ":1"),
        ("randomkey", "$0|"),
        ("keys *", "*1|$0|"),
    ]);
    assert_eq!(client.changes, 2);
}

#[test]
fn expiries_are_set_and_shown() {
    let mut client = Client::new();
    client.check(&[
        ("expire k 10", ":0"),
        ("ttl k", ":-2"),
        ("pttl k", ":-2"),
        ("expiretime k", ":-2"),
        ("persist k", ":0"),
        ("set k v", "+OK"),
        ("ttl k", ":-1"),
        ("pttl k", ":-1"),
        ("expiretime k", ":-1"),
        ("pexpiretime k", ":-1"),
        ("persist k", ":0"),
        ("expire k 100", ":1"),
        ("ttl k", ":100"),
        ("pexpire k 99900", ":1"),
        ("ttl k", ":100"),
        ("pexpireat k 33177117420499", ":1"),
        ("expiretime k", ":33177117420"),
        ("pexpiretime k", ":33177117420499"),
        ("pexpireat k 33177117420500", ":1"),
        ("expiretime k", ":33177117421"),
        ("expireat k 33177117420", ":1"),
        ("pexpiretime k", ":33177117420000"),
        ("persist k", ":1"),
        ("ttl k", ":-1"),
        ("pexpireat k 9223372036854775807", ":1"),
        ("pexpiretime k", ":9223372036854775807"),
        ("expiretime k", ":9223372036854776"),
        ("expire k -1", ":1"),
        ("exists k", ":0"),
        ("set k v", "+OK"),
        ("pexpire k 0", ":1"),
        ("exists k", ":0"),
        ("set k v", "+OK"),
        ("expireat k 1", ":1"),
        ("exists k", ":0"),
    ]);
    assert_eq!(client.changes, 10);
}

#[test]
fn conditions_of_expiries() {
    let mut client = Client::new();
    client.check(&[
        ("set k v", "+OK"),
        ("expire k 100 xx", ":0"),
        ("expire k 100 gt", ":0"),
        ("expire k 100 XX LT", ":0"),
        ("ttl k", ":-1"),
        ("expire k 100 lt", ":1"),
        ("ttl k", ":100"),
        ("expire k 200 nx", ":0"),
        ("expire k 50 gt", ":0"),
        ("expire k 200 LT", ":0"),
        ("expire k 200 GT", ":1"),
        ("ttl k", ":200"),
        ("expire k 300 XX GT", ":1"),
        ("expire k 100 lt XX xx", ":1"),
        ("ttl k", ":100"),
        ("pexpireat k 33177117420000", ":1"),
        ("pexpireat k 33177117420000 gt", ":0"),
        ("pexpireat k 33177117420000 lt", ":0"),
        ("persist k", ":1"),
        ("expire k 100 NX", ":1"),
        ("ttl k", ":100"),
        ("expire k -1 gt", ":0"),
        ("expire k -1 nx", ":0"),
        ("exists k", ":1"),
        ("expire k -1 lt", ":1"),
        ("exists k", ":0"),
    ]);
}

#[test]
fn errors_of_expiries() {
    const CONFLICT: &str = "-ERR NX and XX, GT or LT options at the same time are not compatible";
    const BOTH: &str = "-ERR GT and LT options at the same time are not compatible";
    let mut client = Client::new();
    client.check(&[
        ("expire k x", "-ERR value is not an integer or out of range"),
        ("expire k 1.5", "-ERR value is not an integer or out of range"),
        ("expire k 10 aa", "-ERR Unsupported option aa"),
        ("expire k 10 a\0b", "-ERR Unsupported option a"),
        ("expire k x aa", "-ERR Unsupported option aa"),
        ("expire k 10 nx xx ab", "-ERR Unsupported option ab"),
        ("expire k 10 nx xx", CONFLICT),
        ("expire k 10 gt NX", CONFLICT),
        ("expire k 10 nx lt", CONFLICT),
        ("expire k 10 nx gt lt", CONFLICT),
        ("expire k 10 gt lt", BOTH),
        ("expire k x gt lt xx", BOTH),
        ("expire k 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ("expire k 9223372036854775", "-ERR invalid expire time in 'expire' command"),
        ("expire k -9223372036854776", "-ERR invalid expire time in 'expire' command"),
        ("expire k -9223372036854775", ":0"),
        ("expireat k 9223372036854776", "-ERR invalid expire time in 'expireat' command"),
        ("expireat k 9223372036854775", ":0"),
        ("pexpire k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
        ("pexpire k -9223372036854775808", ":0"),
        ("pexpireat k 9223372036854775807", ":0"),
        ("pexpireat k 9223372036854775808", "-ERR value is not an integer or out of range"),
    ]);
    assert_eq!(client.changes, 0);
}

#[test]
fn renaming() {
    let mut client = Client::new();
    client.check(&[
        ("rename a b", "-ERR no such key"),
        ("renamenx a b", "-ERR no such key"),
        ("rename a a", "-ERR no such key"),
        ("set a 1", "+OK"),
        ("rename a a", "+OK"),
        ("renamenx a a", ":0"),
        ("pexpireat a 33177117420000", ":1"),
        ("rename a b", "+OK"),
        ("exists a", ":0"),
        ("get b", "$1|1"),
        ("pexpiretime b", ":33177117420000"),
        ("object encoding b", "$3|int"),
        ("set c x", "+OK"),
        ("renamenx c b", ":0"),
        ("rename c b", "+OK"),
        ("ttl b", ":-1"),
        ("get b", "$1|x"),
        ("renamenx b d", ":1"),
        ("dbsize", ":1"),
    ]);
    assert_eq!(client.changes, 4);
}

#[test]
fn moving_and_copying() {
    const SAME: &str = "-ERR source and destination objects are the same";
    const RANGE: &str = "-ERR value is out of range, value must between -2147483648 and 2147483647";
    let mut client = Client::new();
    client.check(&[
        ("move k x", "-ERR value is not an integer or out of range"),
        ("move k 2147483648", RANGE),
        ("move k 16", "-ERR DB index is out of range"),
        ("move k -1", "-ERR DB index is out of range"),
        ("move k 0", SAME),
        ("move k 1", ":0"),
        ("set k v", "+OK"),
        ("pexpireat k 33177117420000", ":1"),
        ("move k 1", ":1"),
        ("exists k", ":0"),
        ("set k w", "+OK"),
        ("move k 1", ":0"),
        ("select 1", "+OK"),
        ("get k", "$1|v"),
        ("pexpiretime k", ":33177117420000"),
        ("copy k c db 0", ":1"),
        ("copy k k db 0", ":0"),
        ("copy k k db 0 replace", ":1"),
        ("select 0", "+OK"),
        ("get k", "$1|v"),
        ("pexpiretime c", ":33177117420000"),
        ("copy k k", SAME),
        ("copy k k DB 0 REPLACE", SAME),
        ("copy no c", ":0"),
        ("copy no no", SAME),
        ("set k w", "+OK"),
        ("copy k c", ":0"),
        ("copy k c REPLACE", ":1"),
        ("get c", "$1|w"),
        ("ttl c", ":-1"),
        ("copy k c db", "-ERR syntax error"),
        ("copy k c db x", "-ERR value is not an integer or out of range"),
        ("copy k c db 99999999999", RANGE),
        ("copy k c db 16", "-ERR DB index is out of range"),
        ("copy k c nope", "-ERR syntax error"),
        ("copy k c db 3 db 4", ":1"),
        ("select 3", "+OK"),
        ("dbsize", ":0"),
        ("select 4", "+OK"),
        ("keys *", "*1|$1|c"),
    ]);
    assert_eq!(client.changes, 6);
}

#[test]
fn flushing_and_swapping() {
    let mut client = Client::new();
    client.check(&[
        ("swapdb x 1", "-ERR invalid first DB index"),
        ("swapdb 4294967296 1", "-ERR invalid first DB index"),
        ("swapdb 1 x", "-ERR invalid second DB index"),
        ("swapdb 0 16", "-ERR DB index is out of range"),
        ("swapdb -1 0", "-ERR DB index is out of range"),
        ("set k v", "+OK"),
        ("swapdb 0 0", "+OK"),
        ("exists k", ":1"),
        ("swapdb 0 1", "+OK"),
        ("exists k", ":0"),
        ("set a 1", "+OK"),
        ("set b 2", "+OK"),
        ("flushdb async sync", "-ERR syntax error"),
        ("flushall nope", "-ERR syntax error"),
        ("flushdb", "+OK"),
        ("dbsize", ":0"),
        ("set a 1", "+OK"),
        ("select 1", "+OK"),
        ("get k", "$1|v"),
        ("flushdb ASYNC", "+OK"),
        ("dbsize", ":0"),
        ("set k v", "+OK"),
        ("flushall sync", "+OK"),
        ("dbsize", ":0"),
        ("select 0", "+OK"),
        ("dbsize", ":0"),
    ]);
    assert_eq!(client.changes, 2 + 2 + 1 + 2);
    assert_eq!(client.shard.garbage.len(), 5);
}

#[test]
fn scanning_and_matching() {
    let mut client = Client::new();
    client.check(&[
        ("set key:1 v", "+OK"),
        ("keys key:?", "*1|$5|key:1"),
        ("keys k[a-z]y*", "*1|$5|key:1"),
        ("keys KEY*", "*0"),
        ("keys \"\"", "*0"),
        ("scan 0", "*2|$1|0|*1|$5|key:1"),
        ("scan 0 match *:1 count 100 type string", "*2|$1|0|*1|$5|key:1"),
        ("scan 0 MATCH *:2", "*2|$1|0|*0"),
        ("scan 0 TYPE STRING", "*2|$1|0|*1|$5|key:1"),
        ("scan 0 TYPE hash", "*2|$1|0|*0"),
        ("scan 0 TYPE nope", "*2|$1|0|*0"),
        ("scan 0 match *:2 match *", "*2|$1|0|*1|$5|key:1"),
        ("scan x", "-ERR invalid cursor"),
        ("scan \"\"", "-ERR invalid cursor"),
        ("scan -1", "-ERR invalid cursor"),
        ("scan 0x", "-ERR invalid cursor"),
        ("scan 18446744073709551616", "-ERR invalid cursor"),
        ("scan x nope", "-ERR invalid cursor"),
        ("scan 000", "*2|$1|0|*1|$5|key:1"),
        ("scan 0 nope", "-ERR syntax error"),
        ("scan 0 match", "-ERR syntax error"),
        ("scan 0 count", "-ERR syntax error"),
        ("scan 0 count 0", "-ERR syntax error"),
        ("scan 0 count -1", "-ERR syntax error"),
        ("scan 0 count x", "-ERR value is not an integer or out of range"),
        ("scan 0 novalues", "-ERR NOVALUES option can only be used in HSCAN"),
        ("scan 0 count 9223372036854775807", "*2|$1|0|*1|$5|key:1"),
    ]);
}

#[test]
fn any_cursor_is_taken() {
    let mut client = Client::new();
    for cursor in [1, u64::from(u32::MAX), 1 << 61, 1 << 62, u64::MAX] {
        assert_eq!(client.run(&format!("scan {cursor}")), "*2\r\n$1\r\n0\r\n*0\r\n");
    }
}

#[test]
fn looking_inside() {
    const NOT_LFU: &str = "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note \
                           that when switching between policies at runtime LRU and LFU data will take some time to \
                           adjust.";
    let mut client = Client::new();
    client.check(&[
        ("object encoding k", "$-1"),
        ("object refcount k", "$-1"),
        ("object idletime k", "$-1"),
        ("object freq k", "$-1"),
        ("memory usage k", "$-1"),
        ("debug object k", "-ERR no such key"),
        ("set i 9999", "+OK"),
        ("set s 01", "+OK"),
        ("set j 10000", "+OK"),
        ("set r 123456789012345678901234567890123456789012345", "+OK"),
        ("set e 12345678901234567890123456789012345678901234", "+OK"),
        ("object encoding i", "$3|int"),
        ("object encoding s", "$6|embstr"),
        ("object encoding e", "$6|embstr"),
        ("object encoding r", "$3|raw"),
        ("object refcount i", ":2147483647"),
        ("object refcount j", ":1"),
        ("object refcount s", ":1"),
        ("object idletime s", ":0"),
        ("object freq s", NOT_LFU),
        ("memory usage s samples", "-ERR syntax error"),
        ("memory usage s nope 1", "-ERR syntax error"),
        ("memory usage s samples -1", "-ERR syntax error"),
        ("memory usage s samples 1 x", "-ERR syntax error"),
        ("memory usage s samples x", "-ERR value is not an integer or out of range"),
        ("memory usage no samples x", "-ERR value is not an integer or out of range"),
    ]);
}

/// What follows `serializedlength:` for values that Redis does not compress.
#[test]
fn serialized_lengths() {
    let mut client = Client::new();
    for (value, len) in [
        ("0", 2),
        ("-128", 2),
        ("128", 3),
        ("-32769", 5),
        ("2147483647", 5),
        ("2147483648", 11),
        ("abc", 4),
        ("\"\"", 1),
        ("abcdefghijklmnopqrst", 21),
    ] {
        client.run(&format!("set k {value}"));
        let shown = client.run("debug object k");
        assert!(shown.contains(&format!(" serializedlength:{len} lru:")), "{value}: {shown}");
        assert!(shown.starts_with("+Value at:0x") && shown.ends_with(" lru_seconds_idle:0\r\n"), "{shown}");
    }
}

#[test]
fn memory_usage_grows_with_the_value() {
    let mut client = Client::new();
    let mut usage = |len: usize| -> usize {
        client.run(&format!("set key {}", "x".repeat(len)));
        client.run("memory usage key samples 0").trim_start_matches(':').trim_end().parse().unwrap()
    };
    let (small, large) = (usage(16), usage(100_000));
    assert!((16 + 3..64).contains(&small), "{small}");
    assert!((100_000..101_000).contains(&large), "{large}");
}

#[test]
fn asking_does_not_touch() {
    let mut client = Client::new();
    client.run("set k v");
    client.shard.now_ms += 10_000;
    for line in ["ttl k", "exists k", "type k", "object encoding k", "scan 0", "keys *", "randomkey"] {
        client.run(line);
        assert_eq!(client.run("object idletime k"), ":10\r\n", "{line}");
    }
    client.shard.touch = false;
    client.run("get k");
    assert_eq!(client.run("object idletime k"), ":10\r\n");
    client.run("touch k");
    assert_eq!(client.run("object idletime k"), ":0\r\n");
    assert!(!client.shard.touch);
}

#[test]
fn frequency_under_lfu() {
    const LFU: &str = "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
                       between policies at runtime LRU and LFU data will take some time to adjust.\r\n";
    let mut client = Client::new();
    client.shard.lfu = Some(Lfu { log_factor: 0, decay_minutes: 1 });
    client.run("set k v");
    assert_eq!(client.run("object freq k"), ":5\r\n");
    client.run("get k");
    client.run("set k w");
    assert_eq!(client.run("object freq k"), ":7\r\n");
    client.shard.now_ms += 3 * 60_000;
    assert_eq!(client.run("object freq k"), ":4\r\n");
    client.run("rename k l");
    assert_eq!(client.run("object freq l"), ":5\r\n");
    assert_eq!(client.run("object idletime l"), LFU);
    assert_eq!(client.run("object idletime k"), "$-1\r\n");
}

/// A client with `live` and, with their time over, `dead:0` to `dead:4`.
fn client_with_dead_keys() -> Client {
    let mut client = Client::new();
    client.shard.active_expiry = false;
    client.run("set live v");
    for n in 0..5 {
        client.run(&format!("set dead:{n} v"));
        client.run(&format!("pexpire dead:{n} 1"));
    }
    client.shard.now_ms += 2;
    client
}

#[test]
fn keys_whose_time_is_over_are_not_there() {
    for (line, reply, left) in [
        ("keys *", "*1|$4|live", 6),
        ("scan 0 count 100", "*2|$1|0|*1|$4|live", 1),
        ("scan 0 match dead:[123] count 100", "*2|$1|0|*0", 3),
        ("scan 0 type hash count 100", "*2|$1|0|*0", 1),
        ("exists live dead:1", ":1", 5),
        ("del dead:1", ":0", 5),
        ("ttl dead:1", ":-2", 5),
        ("expire dead:1 10", ":0", 5),
        ("persist dead:1", ":0", 5),
        ("rename dead:1 x", "-ERR no such key", 5),
        ("renamenx live dead:1", ":1", 5),
        ("copy live dead:1", ":1", 6),
        ("copy dead:1 x", ":0", 5),
        ("move dead:1 1", ":0", 5),
        ("object encoding dead:1", "$-1", 5),
        ("dbsize", ":6", 6),
    ] {
        let mut client = client_with_dead_keys();
        client.check(&[(line, reply)]);
        assert_eq!(client.shard.dbs[0].len(), left, "{line}");
    }
}

#[test]
fn a_random_key_is_alive() {
    let mut client = client_with_dead_keys();
    for _ in 0..20 {
        assert_eq!(client.run("randomkey"), "$4\r\nlive\r\n");
    }
    client.run("del live");
    assert_eq!(client.run("randomkey"), "$-1\r\n");
    assert_eq!(client.shard.dbs[0].len(), 0);
}

#[test]
fn nulls_of_resp3() {
    let mut client = Client::new();
    client.resp = Resp::V3;
    client.check(&[("randomkey", "_"), ("object freq k", "_"), ("memory usage k", "_")]);
}

#[test]
fn a_swap_counts_once_over_all_shards() {
    let mut client = Client::new();
    client.shard.slots = 8192..16384;
    assert_eq!(client.run("swapdb 0 1"), "+OK\r\n");
    assert_eq!(client.changes, 0);
}

/// Cursor and keys of a reply to `SCAN`.
fn parse_scan(reply: &str) -> (u64, Vec<String>) {
    let lines: Vec<&str> = reply.split_terminator("\r\n").collect();
    let keys = lines.iter().skip(5).step_by(2).map(|key| (*key).to_owned()).collect::<Vec<_>>();
    assert_eq!(format!("*{}", keys.len()), lines[3]);
    (lines[2].parse().unwrap(), keys)
}

proptest! {
    #[test]
    fn a_scan_over_shards_visits_every_key_once(
        keys in proptest::collection::btree_set("[a-z]{1,5}", 0..200),
        bounds in proptest::collection::btree_set(1..SLOTS as u16, 0..4),
        count in 1..30usize,
    ) {
        let ends = bounds.iter().copied().chain([SLOTS as u16]);
        let starts = [0].into_iter().chain(bounds.iter().copied());
        let mut shards: Vec<Client> = starts.zip(ends).map(|(start, end)| {
            let mut client = Client::new();
            client.shard.slots = start..end;
            client
        }).collect();
        let owner = |shards: &[Client], slot: u16| {
            shards.iter().position(|client| client.shard.slots.contains(&slot)).unwrap()
        };
        for key in &keys {
            let at = owner(&shards, crate::base::crc::key_slot(key.as_bytes()));
            shards[at].run(&format!("set {key} v"));
        }
        let mut seen = Vec::new();
        let mut cursor = 0;
        loop {
            let at = owner(&shards, scan_cursor(cursor.to_string().as_bytes()).unwrap().slot().number());
            let (next, found) = parse_scan(&shards[at].run(&format!("scan {cursor} count {count}")));
            seen.extend(found);
            if next == 0 {
                break;
            }
            prop_assert!(next > cursor);
            cursor = next;
        }
        prop_assert_eq!(seen.len(), keys.len());
        prop_assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), keys);
    }
}
