//! Parts of strings and their lengths.

use super::{buffer, clamp_range, integer, read, write};
use crate::execute::Exec;
use crate::protocol::Error;
use crate::shard::{ExpiryPolicy, Str};

/// `GETRANGE key start end`.
pub fn getrange(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (start, end) = (integer(cx.args[2])?, integer(cx.args[3])?);
    let key = cx.key(1);
    let value = read(cx.shard, cx.db, &key)?.unwrap_or(Str::Bytes(b""));
    value.with_bytes(|bytes| cx.reply.bulk(&bytes[clamp_range(start, end, bytes.len())]));
    Ok(())
}

/// `SUBSTR key start end`, the old name of [`getrange`].
pub fn substr(cx: &mut Exec<'_>) -> Result<(), Error> {
    getrange(cx)
}

/// `STRLEN key`.
pub fn strlen(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let len = read(cx.shard, cx.db, &key)?.map_or(0, Str::len);
    cx.reply.int(len as i64);
    Ok(())
}

/// `SETRANGE key offset value`.
pub fn setrange(cx: &mut Exec<'_>) -> Result<(), Error> {
    let value = cx.args[3];
    let offset =
        usize::try_from(integer(cx.args[2])?).map_err(|_| Error::text("ERR offset is out of range"))?;
    let (key, max) = (cx.key(1), cx.shard.settings.string_max_bytes);
    let len = write(cx.shard, cx.db, &key)?.map_or(0, |item| item.str().len());
    if value.is_empty() {
        cx.reply.int(len as i64);
        return Ok(());
    }
    let end = joint_len(offset, value.len(), max)?;
    let (bytes, _) = buffer(cx.shard, cx.db, &key, end)?;
    bytes[offset..end].copy_from_slice(value);
    cx.changes += 1;
    cx.reply.int(bytes.len() as i64);
    Ok(())
}

/// `APPEND key value`.
pub fn append(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, value, max) = (cx.key(1), cx.args[2], cx.shard.settings.string_max_bytes);
    let len = match write(cx.shard, cx.db, &key)? {
        Some(item) => {
            let len = joint_len(item.str().len(), value.len(), max)?;
            item.string_mut().extend_from_slice(value);
            len
        }
        None => {
            cx.shard.set_string(cx.db, &key, Str::classify(value), ExpiryPolicy::Clear);
            value.len()
        }
    };
    cx.changes += 1;
    cx.reply.int(len as i64);
    Ok(())
}

/// The sum of two lengths, unless it is more than `max`.
fn joint_len(a: usize, b: usize, max: usize) -> Result<usize, Error> {
    a.checked_add(b).filter(|&len| len <= max).ok_or(Error::StringTooLong)
}
