//! Several strings at one instant.

use super::get::reply_value;
use super::value;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::{ExpiryPolicy, Str};

/// `MGET key [key ...]`. What is no string is answered as if it was not there.
pub fn mget(cx: &mut Exec<'_>) -> Result<(), Error> {
    cx.reply.array(cx.args.len() - 1);
    for index in 1..cx.args.len() {
        let key = cx.key(index);
        let item = cx.shard.lookup_read(cx.db, &key);
        reply_value(&mut cx.reply, item.and_then(|item| value(item).ok()));
    }
    Ok(())
}

/// `MSET key value [key value ...]`.
pub fn mset(cx: &mut Exec<'_>) -> Result<(), Error> {
    check_pairs(cx, "mset")?;
    set_pairs(cx);
    cx.reply.ok();
    Ok(())
}

/// `MSETNX key value [key value ...]`: sets nothing if any of the keys is there.
pub fn msetnx(cx: &mut Exec<'_>) -> Result<(), Error> {
    check_pairs(cx, "msetnx")?;
    let absent = (1..cx.args.len()).step_by(2).all(|index| {
        let key = cx.key(index);
        cx.shard.lookup_write(cx.db, &key).is_none()
    });
    if absent {
        set_pairs(cx);
    }
    cx.reply.int(i64::from(absent));
    Ok(())
}

fn check_pairs(cx: &Exec<'_>, command: &'static str) -> Result<(), Error> {
    if cx.args.len() % 2 == 1 { Ok(()) } else { Err(Error::Arity(command.into())) }
}

fn set_pairs(cx: &mut Exec<'_>) {
    for index in (1..cx.args.len()).step_by(2) {
        let (key, value) = (cx.key(index), Str::classify(cx.args[index + 1]));
        cx.shard.set_string(cx.db, &key, value, ExpiryPolicy::Clear);
        cx.changes += 1;
        cx.wrote(Class::STRING, "set", &key);
        if cx.shard.effects.each_key() {
            cx.effect(&key, &[b"SET", key.bytes, cx.args[index + 1]]);
        } else {
            cx.shard.effects.names_further(key.slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::execute::strings::testing::Bench;

    #[test]
    fn many_at_once() {
        let mut bench = Bench::new();
        for (line, reply, changes) in [
            ("mset a 1 b two", "+OK", 2),
            ("mget a b c a", "*4 $1 1 $3 two $-1 $1 1", 0),
            ("msetnx c 3 b 4", ":0", 0),
            ("msetnx c 3 c 4 d 5", ":1", 3),
            ("mget b c d", "*3 $3 two $1 4 $1 5", 0),
            ("mset a 1 b", "-ERR wrong number of arguments for 'mset' command", 0),
            ("msetnx x 1 y", "-ERR wrong number of arguments for 'msetnx' command", 0),
            ("mget x", "*1 $-1", 0),
        ] {
            assert_eq!(bench.line(line), reply, "{line}");
            assert_eq!(bench.changes, changes, "{line}");
        }
    }

    #[test]
    fn mset_removes_the_expiry() {
        let mut bench = Bench::new();
        bench.expect(&[("set k 1 ex 10", "+OK"), ("mset k 2", "+OK")]);
        assert_eq!(bench.item("k").unwrap().expire_at_ms(), None);
    }
}
