//! Strings as numbers. Their expiry stays what it is.

use super::{integer, write};
use crate::base::long_double::LongDouble;
use crate::execute::Exec;
use crate::protocol::Error;
use crate::shard::{ExpiryPolicy, Str};

/// `INCR key`.
pub fn incr(cx: &mut Exec<'_>) -> Result<(), Error> {
    add(cx, 1)
}

/// `DECR key`.
pub fn decr(cx: &mut Exec<'_>) -> Result<(), Error> {
    add(cx, -1)
}

/// `INCRBY key increment`.
pub fn incrby(cx: &mut Exec<'_>) -> Result<(), Error> {
    add(cx, integer(cx.args[2])?)
}

/// `DECRBY key decrement`.
pub fn decrby(cx: &mut Exec<'_>) -> Result<(), Error> {
    let by = integer(cx.args[2])?.checked_neg();
    add(cx, by.ok_or(Error::text("ERR decrement would overflow"))?)
}

#[inline]
fn add(cx: &mut Exec<'_>, by: i64) -> Result<(), Error> {
    const OVERFLOW: Error = Error::text("ERR increment or decrement would overflow");
    let key = cx.key(1);
    let sum = match write(cx.shard, cx.db, &key)? {
        Some(item) => {
            let before = match item.str() {
                Str::Int(number) => number,
                Str::Bytes(bytes) => integer(bytes)?,
            };
            let sum = before.checked_add(by).ok_or(OVERFLOW)?;
            item.set_str(Str::Int(sum));
            sum
        }
        None => {
            cx.shard.set_string(cx.db, &key, Str::Int(by), ExpiryPolicy::Clear);
            by
        }
    };
    cx.changes += 1;
    cx.reply.int(sum);
    Ok(())
}

/// `INCRBYFLOAT key increment`. The sum is stored as the text that is answered, even if that is an integer.
pub fn incrbyfloat(cx: &mut Exec<'_>) -> Result<(), Error> {
    const INFINITE: Error = Error::text("ERR increment would produce NaN or Infinity");
    let number = |text: &[u8]| LongDouble::parse(text).ok_or(Error::NotFloat);
    let key = cx.key(1);
    let item = write(cx.shard, cx.db, &key)?;
    let before = item.as_ref().map_or(Str::Int(0), |item| item.str()).with_bytes(number)?;
    let sum = before.checked_add(number(cx.args[2])?).ok_or(INFINITE)?.to_string();
    let value = Str::Bytes(sum.as_bytes());
    match item {
        Some(item) => item.set_str(value),
        None => {
            cx.shard.set_string(cx.db, &key, value, ExpiryPolicy::Clear);
        }
    }
    cx.changes += 1;
    cx.reply.bulk(sum);
    Ok(())
}
