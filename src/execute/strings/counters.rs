//! Strings as numbers. Their expiry stays what it is.

use super::write;
use crate::base::long_double::LongDouble;
use crate::execute::arguments::integer;
use crate::execute::{Class, Exec};
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
    cx.wrote(Class::STRING, "incrby", &key);
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
    cx.wrote(Class::STRING, "incrbyfloat", &key);
    cx.effect(&key, &[b"SET", key.bytes, sum.as_bytes(), b"KEEPTTL"]);
    cx.reply.bulk(sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::execute::strings::testing::Bench;

    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
    const NOT_FLOAT: &str = "-ERR value is not a valid float";
    const OVERFLOW: &str = "-ERR increment or decrement would overflow";

    #[test]
    fn integers() {
        Bench::new().expect(&[
            ("incr k", ":1"),
            ("incrby k 41", ":42"),
            ("decr k", ":41"),
            ("decrby k -9", ":50"),
            ("decr m", ":-1"),
            ("incrby k x", NOT_INTEGER),
            ("incrby k ' 1'", NOT_INTEGER),
            ("incrby k 9223372036854775808", NOT_INTEGER),
            ("incrby k 9223372036854775807", OVERFLOW),
            ("decrby k -9223372036854775808", "-ERR decrement would overflow"),
            ("decrby m 9223372036854775807", ":-9223372036854775808"),
            ("decr m", OVERFLOW),
            ("get k", "$2 50"),
            ("set k 007", "+OK"),
            ("incr k", NOT_INTEGER),
            ("set k ''", "+OK"),
            ("incr k", NOT_INTEGER),
            ("append k 9", ":1"),
            ("incr k", ":10"),
        ]);
    }

    #[test]
    fn floating_point_numbers() {
        Bench::new().expect(&[
            ("incrbyfloat k 0.1", "$3 0.1"),
            ("incrbyfloat k 0.2", "$3 0.3"),
            ("incrbyfloat k 5.0e3", "$22 5000.29999999999999982"),
            ("incrbyfloat k -5000.3", "$1 0"),
            ("incrbyfloat k 1e17", "$18 100000000000000000"),
            ("incrbyfloat k 0x10", "$18 100000000000000016"),
            ("incrbyfloat k inf", "-ERR increment would produce NaN or Infinity"),
            ("incrbyfloat k nan", NOT_FLOAT),
            ("incrbyfloat k 1x", NOT_FLOAT),
            ("incrbyfloat k ''", NOT_FLOAT),
            ("set k ' 1'", "+OK"),
            ("incrbyfloat k x", NOT_FLOAT),
            ("set k 3.0", "+OK"),
            ("incrbyfloat k 0", "$1 3"),
            ("incr k", ":4"),
        ]);
    }

    #[test]
    fn the_expiry_stays_and_a_float_is_stored_as_text() {
        let mut bench = Bench::new();
        for (line, encoding) in [("incr k", "int"), ("incrbyfloat k 1", "embstr"), ("decrby k 5", "int")] {
            bench.line("set k 1 ex 10");
            bench.line(line);
            let item = bench.item("k").unwrap();
            assert_eq!(item.expire_at_ms(), Some(1_010_000), "{line}");
            assert_eq!(item.encoding().name(), encoding, "{line}");
            assert_eq!(bench.changes, 1);
        }
        assert_eq!(bench.line("incrby k x"), NOT_INTEGER);
        assert_eq!(bench.changes, 0);
    }
}
