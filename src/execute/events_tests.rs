//! What commands tell of the keys that they change, line by line as Redis 7.4.1 does: `redis_7_4_events.txt` was written by
//! a real server, with one more connection that listened to all events and others that watched a key each.
//!
//! A line of that file has a command, its events in order, and those of the keys `k`, `l`, `m`, `n` and `d` that are modified; a
//! key of another database than the first has `@` and its number. In brackets stand keys that are noted although Redis
//! does not touch who watches them: their time was over when they were watched, or the command is one of two that
//! `docs/differences.md` names. `@` as an argument is the `DUMP` of `abc`; `wait` lets milliseconds pass.

use std::collections::BTreeSet;

use super::*;
use crate::base::quote::split_args;
use crate::protocol::resp::Resp;
use crate::rdb::payload;
use crate::shard::{Hasher, Str};

const EVENTS: &str = include_str!("redis_7_4_events.txt");

macro_rules! handlers {
    ($($module:ident: $($name:ident)*;)*) => {
        &[$($((stringify!($name), $module::$name as Handler),)*)*]
    };
}

const HANDLERS: &[(&str, Handler)] = handlers! {
    strings: append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetnx psetex set
        setex setnx setrange strlen substr;
    bitmaps: bitcount bitfield bitfield_ro bitop bitpos getbit setbit;
    hyperloglog: pfadd pfcount pfdebug pfmerge;
    keys: copy del exists expire expireat flushall flushdb memory_usage move_ object_encoding object_freq
        object_idletime debug_object keys persist pexpire pexpireat randomkey rename renamenx scan swapdb touch ttl type_
        unlink;
    dump: dump restore;
    lists: blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset
        ltrim rpop rpoplpush rpush rpushx;
    sets: sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop
        srandmember srem sscan sunion sunionstore;
    sorted_sets: bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore
        zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebyscore zrangestore zrank zrem
        zremrangebylex zremrangebyrank zremrangebyscore zrevrange zscan zscore zunion zunionstore;
    geo: geoadd geodist geohash geopos georadius georadiusbymember geosearch geosearchstore;
    hashes: hdel hexists hexpire hexpireat hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire hpexpireat
        hrandfield hscan hset hsetnx hstrlen httl hvals;
    streams: xack xadd xautoclaim xclaim xdel xgroup_create xgroup_createconsumer xgroup_delconsumer xgroup_destroy
        xgroup_setid xinfo_groups xinfo_stream xlen xpending xrange xread xreadgroup xsetid xtrim;
    sort: sort sort_ro;
};

pub(super) fn handler(args: &[&[u8]]) -> Handler {
    let word =
        |at: usize| args.get(at).map(|arg| String::from_utf8_lossy(arg).to_lowercase()).unwrap_or_default();
    let names = [format!("{}_{}", word(0), word(1)), word(0), format!("{}_", word(0))];
    let found = names.iter().find_map(|name| HANDLERS.iter().find(|(known, _)| known == name));
    found.unwrap_or_else(|| panic!("{} is no command", names[1])).1
}

fn shard() -> Shard {
    let mut shard = Shard::new(2, Hasher::from_seed(7), 7);
    shard.now_ms = 1_700_000_000_000;
    shard.events.want(Class::all());
    shard.modified.note_every(true);
    shard
}

fn in_db(text: String, db: usize) -> String {
    if db == 0 { text } else { format!("{text}@{db}") }
}

/// Runs a command. Returns its events, and the keys that it has noted.
fn run(shard: &mut Shard, line: &str) -> (String, BTreeSet<String>) {
    let dumped = payload::dump(&Item::new(b"x", Str::Bytes(b"abc"), None), true);
    let words = split_args(line.as_bytes()).expect(line);
    let args: Vec<&[u8]> =
        words.iter().map(|word| if word == b"@" { &dumped[..] } else { &word[..] }).collect();
    let mut out = Vec::new();
    let mut cx = Exec::new(&args, shard, 0, Reply::new(&mut out, Resp::V2), None);
    // Some are meant to fail.
    let _ = cx.run_at_once(handler(&args));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let events = shard.events.take().into_iter();
    let events: Vec<String> =
        events.map(|event| in_db(format!("{} {}", event.name, text(&event.key)), event.db)).collect();
    let modified = std::iter::from_fn(|| shard.modified.take());
    (events.join(", "), modified.map(|(db, key)| in_db(text(&key), db.into())).collect())
}

#[test]
fn all_commands_tell_what_redis_tells() {
    let mut shard = shard();
    let mut mismatches = Vec::new();
    for line in EVENTS.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            shard = self::shard();
            continue;
        }
        let [command, events, keys] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("a line has three parts: {line}")
        };
        if let Some(ms) = command.strip_prefix("wait ") {
            shard.now_ms += ms.parse::<i64>().unwrap();
            continue;
        }
        let (found, noted) = run(&mut shard, command);
        let of_interest = |key: &&str| key.split('@').next().is_some_and(|name| "klmnd".contains(name));
        let noted: Vec<&str> = noted.iter().map(String::as_str).filter(of_interest).collect();
        let mut expected: Vec<&str> =
            keys.split_whitespace().map(|key| key.trim_matches(['(', ')'])).collect();
        expected.sort_unstable();
        if found != events || (noted != expected && !is_about_all(command)) {
            mismatches.push(format!("{line}\n        found {found} | {}", noted.join(" ")));
        }
    }
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}

/// Commands on whole databases note keys that somebody is interested in, and not every key.
fn is_about_all(command: &str) -> bool {
    ["swapdb", "flushdb", "flushall"].iter().any(|name| command.starts_with(name))
}

#[test]
fn nothing_is_collected_that_is_not_wanted() {
    let mut shard = shard();
    shard.modified.note_every(false);
    for (wanted, events) in
        [("", ""), ("K", ""), ("E$", "set k"), ("Eg", "expire k"), ("KA", "set k, expire k")]
    {
        shard.events.want(Class::parse(wanted.as_bytes()).unwrap().published());
        assert_eq!(run(&mut shard, "set k v ex 100"), (events.into(), BTreeSet::new()), "{wanted}");
    }
}
