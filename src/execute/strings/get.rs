//! Reading whole strings: `GET` and the commands that answer like it and then change the key.

use super::expiry::Request;
use super::read;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::Str;

/// Answers with a string, or null.
#[inline]
pub(in crate::execute) fn reply_value(reply: &mut Reply<'_>, value: Option<Str<'_>>) {
    match value {
        Some(Str::Bytes(bytes)) => reply.bulk(bytes),
        Some(Str::Int(number)) => reply.bulk_int(number),
        None => reply.null(),
    }
}

/// `GET key`.
#[inline]
pub fn get(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let value = read(cx.shard, cx.db, &key)?;
    reply_value(&mut cx.reply, value);
    Ok(())
}

/// `GETDEL key`.
pub fn getdel(cx: &mut Exec<'_>) -> Result<(), Error> {
    get(cx)?;
    let key = cx.key(1);
    if cx.shard.delete(cx.db, &key) {
        cx.changes += 1;
        cx.removed(&key);
        cx.deletion_effect(&key);
    }
    Ok(())
}

/// `GETEX key [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | PERSIST]`. A point in time
/// that has passed removes the key.
pub fn getex(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, now_ms) = (cx.key(1), cx.shard.now_ms);
    let request = parse_getex(&cx.args[2..])?;
    let Some(value) = read(cx.shard, cx.db, &key)? else {
        cx.reply.null();
        return Ok(());
    };
    let expiry = match request {
        Some(Request::Time(form, text)) => Some((form, form.time_ms(text, now_ms, "getex")?)),
        _ => None,
    };
    reply_value(&mut cx.reply, Some(value));
    let event = match (request, expiry) {
        (_, Some((form, at))) if !form.is_relative() && at <= cx.shard.expiry_clock_ms() => {
            cx.shard.delete(cx.db, &key);
            cx.deletion_effect(&key);
            "del"
        }
        (_, Some((_, at))) => {
            cx.shard.dbs.of_mut(cx.db, &key).set_expiry(&key, Some(at));
            cx.effect(&key, &[b"PEXPIREAT", key.bytes, itoa::Buffer::new().format(at).as_bytes()]);
            "expire"
        }
        (Some(Request::Persist), None)
            if cx.shard.peek(cx.db, &key).is_some_and(|item| item.has_expiry()) =>
        {
            cx.shard.dbs.of_mut(cx.db, &key).set_expiry(&key, None);
            cx.effect(&key, &[b"PERSIST", key.bytes]);
            "persist"
        }
        _ => return Ok(()),
    };
    cx.changes += 1;
    cx.wrote(Class::GENERIC, event, &key);
    Ok(())
}

fn parse_getex<'a>(options: &[&'a [u8]]) -> Result<Option<Request<'a>>, Error> {
    let mut request = None;
    let mut rest = options.iter().copied();
    while let Some(option) = rest.next() {
        if option.eq_ignore_ascii_case(b"persist") {
            Request::Persist.join(&mut request)?;
        } else {
            Request::timed(option, &mut rest)?.join(&mut request)?;
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use crate::execute::strings::testing::Bench;
    use crate::protocol::resp::Resp;

    #[test]
    fn get_answers_bytes_numbers_and_null() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("get k", "$-1"),
            ("set k hello", "+OK"),
            ("get k", "$5 hello"),
            ("set k -17", "+OK"),
            ("get k", "$3 -17"),
            ("set k ''", "+OK"),
            ("get k", "$0"),
            ("getdel k", "$0"),
            ("getdel k", "$-1"),
        ]);
        assert_eq!(bench.changes, 0);
        assert_eq!((bench.shard.stats.hits, bench.shard.stats.misses), (4, 2));
        bench.resp = Resp::V3;
        bench.expect(&[("get k", "_"), ("mget k", "*1 _")]);
    }

    #[test]
    fn getex_changes_the_expiry() {
        let mut bench = Bench::new();
        bench.line("set k 1");
        for (line, expire_at_ms, changes) in [
            ("getex k", None, 0),
            ("getex k persist", None, 0),
            ("getex k EX 10", Some(1_010_000), 1),
            ("getex k", Some(1_010_000), 0),
            ("getex k px 10", Some(1_000_010), 1),
            ("getex k exat 2000", Some(2_000_000), 1),
            ("getex k pxat 2000 pxat 1000001", Some(1_000_001), 1),
            ("getex k PERSIST persist", None, 1),
        ] {
            assert_eq!(bench.line(line), "$1 1", "{line}");
            assert_eq!(bench.item("k").unwrap().expire_at_ms(), expire_at_ms, "{line}");
            assert_eq!(bench.changes, changes, "{line}");
        }
    }

    #[test]
    fn getex_removes_a_key_whose_time_has_passed() {
        for line in ["getex k pxat 1000000", "getex k exat 1000", "getex k pxat 1"] {
            let mut bench = Bench::new();
            bench.line("set k 1");
            assert_eq!(bench.line(line), "$1 1", "{line}");
            assert_eq!(bench.changes, 1);
            assert!(bench.shard.dbs[0].is_empty(), "{line}");
        }
    }

    #[test]
    fn getex_looks_at_the_time_only_if_the_key_is_there() {
        let mut bench = Bench::new();
        bench.expect(&[("getex k ex x", "$-1"), ("getex k ex 0", "$-1"), ("set k 1", "+OK")]);
        for line in [
            "getex k ex",
            "getex k keepttl",
            "getex k nx",
            "getex k ex 1 px 1",
            "getex k persist ex 1",
            "getex k ex 1 persist",
            "getex k exat 5000 ex 1",
        ] {
            assert_eq!(bench.line(line), "-ERR syntax error", "{line}");
        }
        bench.expect(&[
            ("getex k ex x", "-ERR value is not an integer or out of range"),
            ("getex k ex 0", "-ERR invalid expire time in 'getex' command"),
            ("getex k exat -1", "-ERR invalid expire time in 'getex' command"),
            ("getex k px 9223372036854775807", "-ERR invalid expire time in 'getex' command"),
        ]);
        assert_eq!(bench.item("k").unwrap().expire_at_ms(), None);
    }
}
