//! Setting whole strings: `SET` and its older relatives.

use super::expiry::{Form, Request};
use super::get::get;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::{ExpiryPolicy, Key, Str};

/// `SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | KEEPTTL]`.
#[inline]
pub fn set(cx: &mut Exec<'_>) -> Result<(), Error> {
    if cx.args.len() > 3 {
        return set_with_options(cx);
    }
    store(cx, &cx.key(1), cx.args[2], ExpiryPolicy::Clear);
    cx.reply.ok();
    Ok(())
}

/// `SETNX key value`.
pub fn setnx(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let absent = cx.shard.lookup_write(cx.db, &key).is_none();
    if absent {
        store(cx, &key, cx.args[2], ExpiryPolicy::Clear);
    }
    cx.reply.int(i64::from(absent));
    Ok(())
}

/// `SETEX key seconds value`.
pub fn setex(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_for(cx, Form::Ex, "setex")
}

/// `PSETEX key milliseconds value`.
pub fn psetex(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_for(cx, Form::Px, "psetex")
}

/// `GETSET key value`.
pub fn getset(cx: &mut Exec<'_>) -> Result<(), Error> {
    get(cx)?;
    let key = cx.key(1);
    store(cx, &key, cx.args[2], ExpiryPolicy::Clear);
    leave_set(cx, &key, cx.args[2], ExpiryPolicy::Clear);
    Ok(())
}

#[inline]
fn store(cx: &mut Exec<'_>, key: &Key<'_>, value: &[u8], policy: ExpiryPolicy) {
    cx.shard.set_string(cx.db, key, Str::classify(value), policy);
    cx.changes += 1;
    cx.wrote(Class::STRING, "set", key);
    if matches!(policy, ExpiryPolicy::At(_)) {
        cx.event(Class::GENERIC, "expire", key);
    }
}

fn set_for(cx: &mut Exec<'_>, form: Form, command: &'static str) -> Result<(), Error> {
    let at = form.time_ms(cx.args[2], cx.shard.now_ms, command)?;
    let (key, policy) = (cx.key(1), ExpiryPolicy::At(at));
    store(cx, &key, cx.args[3], policy);
    leave_set(cx, &key, cx.args[3], policy);
    cx.reply.ok();
    Ok(())
}

/// The effect of a command that has set a string: neither a condition nor a relative time is in it.
fn leave_set(cx: &mut Exec<'_>, key: &Key<'_>, value: &[u8], policy: ExpiryPolicy) {
    match policy {
        ExpiryPolicy::Clear => cx.effect(key, &[b"SET", key.bytes, value]),
        ExpiryPolicy::Keep => cx.effect(key, &[b"SET", key.bytes, value, b"KEEPTTL"]),
        ExpiryPolicy::At(at) => {
            let mut digits = itoa::Buffer::new();
            cx.effect(key, &[b"SET", key.bytes, value, b"PXAT", digits.format(at).as_bytes()]);
        }
    }
}

/// Out of line, to keep the usual `SET` small.
#[inline(never)]
fn set_with_options(cx: &mut Exec<'_>) -> Result<(), Error> {
    let options = Options::parse(&cx.args[3..])?;
    let policy = options.policy(cx.shard.now_ms)?;
    let key = cx.key(1);
    if options.get {
        get(cx)?;
    }
    let allowed = match options.condition {
        None => true,
        Some(condition) => (condition == Condition::Present) == cx.shard.lookup_write(cx.db, &key).is_some(),
    };
    if allowed {
        store(cx, &key, cx.args[2], policy);
        leave_set(cx, &key, cx.args[2], policy);
    }
    match allowed {
        _ if options.get => {}
        true => cx.reply.ok(),
        false => cx.reply.null(),
    }
    Ok(())
}

/// What has to be true of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// `NX`.
    Absent,
    /// `XX`.
    Present,
}

/// The options of `SET`.
#[derive(Debug, Default)]
struct Options<'a> {
    condition: Option<Condition>,
    /// Answer with the old value.
    get: bool,
    expiry: Option<Request<'a>>,
}

impl<'a> Options<'a> {
    fn parse(options: &[&'a [u8]]) -> Result<Options<'a>, Error> {
        let mut parsed = Options::default();
        let mut rest = options.iter().copied();
        while let Some(option) = rest.next() {
            match option {
                _ if option.eq_ignore_ascii_case(b"nx") => parsed.require(Condition::Absent)?,
                _ if option.eq_ignore_ascii_case(b"xx") => parsed.require(Condition::Present)?,
                _ if option.eq_ignore_ascii_case(b"get") => parsed.get = true,
                _ if option.eq_ignore_ascii_case(b"keepttl") => Request::Keep.join(&mut parsed.expiry)?,
                _ => Request::timed(option, &mut rest)?.join(&mut parsed.expiry)?,
            }
        }
        Ok(parsed)
    }

    fn require(&mut self, condition: Condition) -> Result<(), Error> {
        if *self.condition.get_or_insert(condition) == condition { Ok(()) } else { Err(Error::Syntax) }
    }

    fn policy(&self, now_ms: i64) -> Result<ExpiryPolicy, Error> {
        Ok(match self.expiry {
            Some(Request::Time(form, text)) => ExpiryPolicy::At(form.time_ms(text, now_ms, "set")?),
            Some(Request::Keep) => ExpiryPolicy::Keep,
            Some(Request::Persist) | None => ExpiryPolicy::Clear,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::execute::strings::testing::Bench;

    #[test]
    fn conditions_and_the_old_value() {
        let mut bench = Bench::new();
        for (line, reply, changes) in [
            ("set k a xx", "$-1", 0),
            ("set k a NX", "+OK", 1),
            ("set k b nx", "$-1", 0),
            ("set k b nx nx get", "$1 a", 0),
            ("set k b xx", "+OK", 1),
            ("set k c get", "$1 b", 1),
            ("set k d XX Get gEt", "$1 c", 1),
            ("set m a get", "$-1", 1),
            ("set n a nx get", "$-1", 1),
            ("set o a xx get", "$-1", 0),
            ("setnx k e", ":0", 0),
            ("setnx p e", ":1", 1),
            ("getset k f", "$1 d", 1),
            ("getset q f", "$-1", 1),
            ("mget k m n o p q", "*6 $1 f $1 a $1 a $-1 $1 e $1 f", 0),
        ] {
            assert_eq!(bench.line(line), reply, "{line}");
            assert_eq!(bench.changes, changes, "{line}");
        }
    }

    #[test]
    fn expiry() {
        let mut bench = Bench::new();
        for (line, expire_at_ms) in [
            ("set k v ex 10", Some(1_010_000)),
            ("set k v KeepTTL", Some(1_010_000)),
            ("set k v keepttl keepttl xx", Some(1_010_000)),
            ("set k v", None),
            ("set k v keepttl", None),
            ("set k v px 1", Some(1_000_001)),
            ("set k v exat 1001", Some(1_001_000)),
            ("set k v pxat 1000002", Some(1_000_002)),
            ("set k v ex 1 EX 2", Some(1_002_000)),
            ("setex k 7 v", Some(1_007_000)),
            ("psetex k 7 v", Some(1_000_007)),
            ("set k v px 9223372036853775807", Some(i64::MAX)),
        ] {
            assert_eq!(bench.line(line), "+OK", "{line}");
            assert_eq!(bench.item("k").unwrap().expire_at_ms(), expire_at_ms, "{line}");
        }
        bench.line("getset k w");
        assert_eq!(bench.item("k").unwrap().expire_at_ms(), None);
    }

    #[test]
    fn a_key_set_to_expire_in_the_past_is_gone() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("set k v exat 1", "+OK"),
            ("get k", "$-1"),
            ("set k v pxat 1", "+OK"),
            ("set k w keepttl", "+OK"),
            ("get k", "$1 w"),
        ]);
        assert_eq!(bench.item("k").unwrap().expire_at_ms(), None);
        assert_eq!(bench.shard.stats.expired_keys, 2);
    }

    #[test]
    fn what_does_not_parse_sets_nothing() {
        let mut bench = Bench::new();
        for options in [
            "bogus",
            "nx xx",
            "xx nx",
            "ex",
            "get px",
            "persist",
            "ex 1 px 1",
            "px 1 exat 1",
            "exat 1 pxat 1",
            "ex 1 keepttl",
            "keepttl pxat 5",
            "ex nx",
        ] {
            let line = format!("set k v {options}");
            let expected = if options == "ex nx" {
                "-ERR value is not an integer or out of range"
            } else {
                "-ERR syntax error"
            };
            assert_eq!(bench.line(&line), expected, "{line}");
        }
        for time in ["ex 0", "px -1", "exat 0", "pxat -5", "ex 9223372036854775", "px 9223372036853775808"] {
            let line = format!("set k v get {time}");
            assert_eq!(bench.line(&line), "-ERR invalid expire time in 'set' command", "{line}");
        }
        bench.expect(&[
            ("setex k 0 v", "-ERR invalid expire time in 'setex' command"),
            ("psetex k -1 v", "-ERR invalid expire time in 'psetex' command"),
            ("setex k 9223372036854775807 v", "-ERR invalid expire time in 'setex' command"),
            ("setex k 1.5 v", "-ERR value is not an integer or out of range"),
        ]);
        assert!(bench.shard.dbs[0].is_empty());
    }
}
