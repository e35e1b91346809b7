//! `DUMP` and `RESTORE`: values as clients carry them from one server to another.

use super::effects::Words;
use super::{Class, Exec};
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::rdb::{Rules, payload};
use crate::shard::{Lfu, Shard};

/// `DUMP key`
pub fn dump(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    match cx.shard.lookup_read(cx.db, &key) {
        Some(item) => cx.reply.bulk(payload::dump(item, true)),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
pub fn restore(cx: &mut Exec<'_>) -> Result<(), Error> {
    const BUSY: Error = Error::text("BUSYKEY Target key name already exists.");
    const BAD_TTL: Error = Error::text("ERR Invalid TTL value, must be >= 0");
    const BAD_FOOTER: Error = Error::text("ERR DUMP payload version or checksum are wrong");
    const BAD_FORMAT: Error = Error::text("ERR Bad data format");
    let options = Options::parse(&cx.args[4..])?;
    let (key, db) = (cx.key(1), cx.db);
    if !options.replace && cx.shard.lookup_write(db, &key).is_some() {
        return Err(BUSY);
    }
    let ttl = at_least_zero(cx.args[2], BAD_TTL)?;
    let open =
        if cx.shard.settings.ignores_checksums { payload::opened_in_any_case } else { payload::opened };
    let body = open(cx.args[3]).ok_or(BAD_FOOTER)?;
    let rules = Rules { settings: cx.shard.settings, hasher: cx.shard.hasher().clone() };
    let object = payload::restore(body, &rules).map_err(|error| {
        cx.shard.complaint = Some(error.to_string());
        BAD_FORMAT
    })?;
    let expire_at_ms = match ttl {
        0 => None,
        at if options.absolute => Some(at),
        ttl => Some(cx.shard.now_ms.wrapping_add(ttl)),
    };
    let old = if options.replace { cx.shard.take(db, &key) } else { None };
    let deleted = old.is_some();
    if let Some(item) = old {
        cx.shard.discard(item);
    }
    if expire_at_ms.is_some_and(|at| at <= cx.shard.expiry_clock_ms()) {
        if deleted {
            cx.changes += 1;
            cx.removed(&key);
            cx.deletion_effect(&key);
        }
    } else {
        cx.shard.insert(db, &key, object.into_item(key.bytes, expire_at_ms));
        cx.shard.watch_fields(db, &key);
        if let Some(clock) = options.clock(cx.shard)
            && let Some(item) = cx.shard.dbs.of_mut(db, &key).get_mut(&key)
        {
            item.set_lru(clock);
        }
        cx.changes += 1;
        cx.wrote(Class::GENERIC, "restore", &key);
        if let Some(at) = expire_at_ms.filter(|_| !options.absolute) {
            let mut digits = itoa::Buffer::new();
            let mut args = Words::from_slice(cx.args);
            args[2] = digits.format(at).as_bytes();
            args.push(b"ABSTTL");
            cx.effect(&key, &args);
        }
    }
    cx.reply.ok();
    Ok(())
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Options, Error> {
        const BAD_IDLETIME: Error = Error::text("ERR Invalid IDLETIME value, must be >= 0");
        const BAD_FREQ: Error = Error::text("ERR Invalid FREQ value, must be >= 0 and <= 255");
        let mut options = Options::default();
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            if is("replace") {
                options.replace = true;
            } else if is("absttl") {
                options.absolute = true;
            } else if is("idletime") && options.frequency.is_none() {
                let seconds = args.next().ok_or(Error::Syntax)?;
                options.idle_seconds = Some(at_least_zero(seconds, BAD_IDLETIME)?);
            } else if is("freq") && options.idle_seconds.is_none() {
                let frequency = at_least_zero(args.next().ok_or(Error::Syntax)?, BAD_FREQ)?;
                options.frequency = Some(frequency.try_into().map_err(|_| BAD_FREQ)?);
            } else {
                return Err(Error::Syntax);
            }
        }
        Ok(options)
    }

    /// The access clock that they ask for, if the eviction policy uses such a one.
    fn clock(&self, shard: &Shard) -> Option<u32> {
        match shard.lfu {
            Some(_) => self.frequency.map(|frequency| Lfu::clock(shard.now_ms, frequency)),
            None => self.idle_seconds.map(|idle| shard.lru_clock_before(idle)),
        }
    }
}

/// An integer, or `negative` if it is one below zero.
fn at_least_zero(text: &[u8], negative: Error) -> Result<i64, Error> {
    let number = integer(text)?;
    if number < 0 { Err(negative) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::quote;
    use crate::execute::hashes;
    use crate::execute::strings::testing::Bench;
    use crate::shard::Budget;
    use crate::shard::expiry::ExpireProgress;
    use crate::shard::values::{Hash, Typed};

    /// What DUMP answers without its `$length`.
    fn dumped(bench: &mut Bench, key: &str) -> Vec<u8> {
        let reply = bench.run(&[b"dump", key.as_bytes()]);
        let start = reply.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        reply[start..reply.len() - 2].to_vec()
    }

    /// Answers a RESTORE with `payload` in the place of `@`.
    fn restored(bench: &mut Bench, line: &str, payload: &[u8]) -> String {
        let args = quote::split_args(line.as_bytes()).unwrap();
        let args: Vec<&[u8]> = args.iter().map(|arg| if arg == b"@" { payload } else { &arg[..] }).collect();
        String::from_utf8_lossy(&bench.run(&args)).trim_end().into()
    }

    #[test]
    fn the_payload_of_a_string_is_that_of_redis() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("dump none", "$-1"),
            ("set x xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "+OK"),
            ("set n 10", "+OK"),
        ]);
        assert_eq!(dumped(&mut bench, "n"), b"\x00\xc0\x0a\x09\x00\xbe\x6d\x06\x89\x5a\x28\x00\x0a");
        assert_eq!(
            dumped(&mut bench, "x"),
            b"\x00\xc3\x09\x1e\x01\x78\x78\xe0\x11\x00\x01\x78\x78\x09\x00\x20\x95\x6e\x13\x74\x87\x88\x24"
        );
    }

    #[test]
    fn errors_come_in_the_order_of_redis() {
        let mut bench = Bench::new();
        bench.line("set there 1");
        let valid = dumped(&mut bench, "there");
        let mut damaged = valid.clone();
        damaged[1] ^= 1;
        let mut newer = valid[..valid.len() - 10].to_vec();
        newer.extend([13, 0]);
        let crc = crate::base::crc64::crc64(0, &newer).to_le_bytes();
        newer.extend(crc);
        let syntax = "-ERR syntax error";
        let footer = "-ERR DUMP payload version or checksum are wrong";
        for (line, payload, reply) in [
            ("restore there x @ bogus", &valid, syntax),
            ("restore there x @ idletime", &valid, syntax),
            ("restore there x @ idletime 1 freq 1", &valid, syntax),
            ("restore there x @ freq 1 idletime 1", &valid, syntax),
            ("restore there x @ idletime x", &valid, "-ERR value is not an integer or out of range"),
            ("restore there x @ idletime -1", &valid, "-ERR Invalid IDLETIME value, must be >= 0"),
            ("restore there x @ freq -1", &valid, "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("restore there x @ freq 256", &valid, "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("restore there x @", &damaged, "-BUSYKEY Target key name already exists."),
            ("restore there x @ replace", &damaged, "-ERR value is not an integer or out of range"),
            ("restore k -1 @", &damaged, "-ERR Invalid TTL value, must be >= 0"),
            ("restore k 0 @", &damaged, footer),
            ("restore k 0 @", &newer, footer),
            ("restore k 0 @", &b"short".to_vec(), footer),
            ("restore k 0 @", &payload::sealed(vec![], 9), "-ERR Bad data format"),
            ("restore k 0 @", &payload::sealed(vec![6, 1], 9), "-ERR Bad data format"),
            ("restore k 0 @", &payload::sealed(vec![0, 1, b'a', b'b'], 9), "-ERR Bad data format"),
            ("restore k 0 @", &payload::sealed(vec![1, 0], 9), "-ERR Bad data format"),
            ("restore k 0 @", &valid, "+OK"),
            ("restore there 0 @ REPLACE", &valid, "+OK"),
        ] {
            assert_eq!(restored(&mut bench, line, payload), reply, "{line}");
        }
        bench.expect(&[("get k", "$1 1"), ("get there", "$1 1")]);
    }

    #[test]
    fn fields_of_a_restored_hash_expire() {
        let mut bench = Bench::of(&[("hset", hashes::hset), ("hpexpire", hashes::hpexpire)]);
        bench.expect(&[("hset h f 1 g 2", ":2"), ("hpexpire h 50 fields 1 f", "*1 :1")]);
        let payload = dumped(&mut bench, "h");
        bench.shard.now_ms += 10;
        assert_eq!(restored(&mut bench, "restore copy 0 @", &payload), "+OK");
        bench.shard.now_ms += 200;
        while bench.shard.expire_some(&mut Budget::items(100)) == ExpireProgress::More {}
        let copy = bench.shard.peek_as::<Hash>(0, &bench.shard.key(b"copy")).unwrap().unwrap();
        assert_eq!(copy.len(), 1);
    }

    #[test]
    fn expiries_and_access_clocks() {
        let mut bench = Bench::new();
        bench.line("set x abc");
        let payload = dumped(&mut bench, "x");
        for (line, expiry) in [
            ("restore k 5 @ replace", Some(1_000_005)),
            ("restore k 1000001 @ replace absttl", Some(1_000_001)),
            ("restore k 0 @ replace absttl idletime 100", None),
        ] {
            assert_eq!(restored(&mut bench, line, &payload), "+OK");
            assert_eq!(bench.changes, 1);
            assert_eq!(bench.item("k").unwrap().expire_at_ms(), expiry, "{line}");
        }
        assert_eq!(bench.shard.idle_seconds(bench.item("k").unwrap()), 100);
        assert_eq!(restored(&mut bench, "restore k 1000000 @ replace absttl", &payload), "+OK");
        assert_eq!((bench.item("k").is_some(), bench.changes), (false, 1));
        assert_eq!(restored(&mut bench, "restore k 9223372036854775807 @", &payload), "+OK");
        assert_eq!((bench.item("k").is_some(), bench.changes), (false, 0));
        bench.shard.lfu = Some(Lfu { log_factor: 10, decay_minutes: 1 });
        assert_eq!(restored(&mut bench, "restore k 0 @ freq 200", &payload), "+OK");
        assert_eq!(bench.item("k").unwrap().lru() & 0xff, 200);
    }
}
