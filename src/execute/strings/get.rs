//! Reading whole strings: `GET` and the commands that answer like it and then change the key.

use super::expiry::Request;
use super::read;
use crate::execute::Exec;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::Str;

/// Answers with a string, or null.
#[inline]
pub(super) fn reply_value(reply: &mut Reply<'_>, value: Option<Str<'_>>) {
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
    cx.changes += u64::from(cx.shard.remove(cx.db, &key).is_some());
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
    let changed = match (request, expiry) {
        (_, Some((form, at))) if !form.is_relative() && at <= now_ms => {
            cx.shard.remove(cx.db, &key).is_some()
        }
        (_, Some((_, at))) => cx.shard.dbs[cx.db].set_expiry(&key, Some(at)),
        (Some(Request::Persist), None) => {
            let has_expiry = cx.shard.peek(cx.db, &key).is_some_and(|item| item.has_expiry());
            has_expiry && cx.shard.dbs[cx.db].set_expiry(&key, None)
        }
        _ => false,
    };
    cx.changes += u64::from(changed);
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
