//! Setting whole strings: `SET` and its older relatives.

use super::expiry::{Form, Request};
use super::get::get;
use crate::execute::Exec;
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
    store(cx, &cx.key(1), cx.args[2], ExpiryPolicy::Clear);
    Ok(())
}

#[inline]
fn store(cx: &mut Exec<'_>, key: &Key<'_>, value: &[u8], policy: ExpiryPolicy) {
    cx.shard.set_string(cx.db, key, Str::classify(value), policy);
    cx.changes += 1;
}

fn set_for(cx: &mut Exec<'_>, form: Form, command: &'static str) -> Result<(), Error> {
    let at = form.time_ms(cx.args[2], cx.shard.now_ms, command)?;
    store(cx, &cx.key(1), cx.args[3], ExpiryPolicy::At(at));
    cx.reply.ok();
    Ok(())
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
