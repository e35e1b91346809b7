//! Parts of strings and their lengths.

use super::{buffer, clamp_range, read, write};
use crate::execute::arguments::integer;
use crate::execute::{Class, Exec};
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
    let (key, max) = (cx.key(1), cx.shard.string_max_bytes());
    let len = write(cx.shard, cx.db, &key)?.map_or(0, |item| item.str().len());
    if value.is_empty() {
        cx.reply.int(len as i64);
        return Ok(());
    }
    let end = joint_len(offset, value.len(), max)?;
    let (bytes, _) = buffer(cx.shard, cx.db, &key, end)?;
    bytes[offset..end].copy_from_slice(value);
    let len = bytes.len();
    cx.changes += 1;
    cx.wrote(Class::STRING, "setrange", &key);
    cx.reply.int(len as i64);
    Ok(())
}

/// `APPEND key value`.
pub fn append(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (key, value, max) = (cx.key(1), cx.args[2], cx.shard.string_max_bytes());
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
    cx.wrote(Class::STRING, "append", &key);
    cx.reply.int(len as i64);
    Ok(())
}

/// The sum of two lengths, unless it is more than `max`.
fn joint_len(a: usize, b: usize, max: usize) -> Result<usize, Error> {
    a.checked_add(b).filter(|&len| len <= max).ok_or(Error::StringTooLong)
}

#[cfg(test)]
mod tests {
    use crate::execute::strings::testing::Bench;

    const TOO_LONG: &str = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";

    #[test]
    fn reading() {
        Bench::new().expect(&[
            ("getrange k 0 -1", "$0"),
            ("strlen k", ":0"),
            ("set k 'Hello World'", "+OK"),
            ("getrange k 0 4", "$5 Hello"),
            ("substr k -5 -1", "$5 World"),
            ("getrange k 4 -7", "$1 o"),
            ("getrange k -100 -200", "$0"),
            ("getrange k -200 -100", "$1 H"),
            ("getrange k 5 3", "$0"),
            ("getrange k 10 9223372036854775807", "$1 d"),
            ("getrange k 11 12", "$0"),
            ("getrange k a 1", "-ERR value is not an integer or out of range"),
            ("strlen k", ":11"),
            ("set k -1234", "+OK"),
            ("getrange k 0 1", "$2 -1"),
            ("strlen k", ":5"),
        ]);
    }

    #[test]
    fn setrange_makes_room() {
        let mut bench = Bench::new();
        for (line, reply, changes) in [
            ("setrange k 3 ''", ":0", 0),
            ("setrange k 3 ab", ":5", 1),
            ("setrange k 0 xyz", ":5", 1),
            ("setrange k 9 ''", ":5", 0),
            ("setrange k 6 !", ":7", 1),
            ("setrange k -1 a", "-ERR offset is out of range", 0),
            ("setrange k -1 ''", "-ERR offset is out of range", 0),
            ("setrange k x a", "-ERR value is not an integer or out of range", 0),
            ("setrange k 536870911 ab", TOO_LONG, 0),
            ("setrange k 9223372036854775807 ab", TOO_LONG, 0),
            ("setrange m 536870912 a", TOO_LONG, 0),
            ("get k", "$7 xyzab\0!", 0),
            ("get m", "$-1", 0),
            ("set k 100", "+OK", 1),
            ("setrange k 1 2", ":3", 1),
            ("incr k", ":121", 1),
        ] {
            assert_eq!(bench.line(line), reply, "{line}");
            assert_eq!(bench.changes, changes, "{line}");
        }
    }

    #[test]
    fn append_keeps_the_expiry() {
        let mut bench = Bench::new();
        bench.expect(&[("append k 12", ":2"), ("set n 12 ex 10", "+OK"), ("append n ''", ":2")]);
        assert_eq!(bench.item("k").unwrap().encoding().name(), "int");
        let item = bench.item("n").unwrap();
        assert_eq!((item.encoding().name(), item.expire_at_ms()), ("raw", Some(1_010_000)));
        bench.expect(&[("append k 3", ":3"), ("append n abc", ":5"), ("mget k n", "*2 $3 123 $5 12abc")]);
    }

    #[test]
    fn the_limit_is_the_setting() {
        let mut bench = Bench::new();
        bench.shard.settings.string_max_bytes = 8;
        bench.expect(&[
            // A new string came in as an argument, whose length is limited elsewhere.
            ("append k 123456789", ":9"),
            ("append k ''", TOO_LONG),
            ("set k 1234567", "+OK"),
            ("append k 8", ":8"),
            ("append k 9", TOO_LONG),
            ("setrange k 7 ab", TOO_LONG),
            ("setrange k 7 a", ":8"),
        ]);
    }
}
