//! The commands on keys whatever their type: `DEL` to `TYPE` here, the families in the files below. Replies,
//! texts of errors and the order of checks are those of Redis 7.4 (redis.io/docs/latest/commands).
//!
//! Where the keyspace is spread over several shards, a handler counts what its shard holds: `DEL`, `UNLINK`,
//! `EXISTS` and `TOUCH` get their own keys only; `KEYS`, `RANDOMKEY`, `DBSIZE`, `FLUSHDB`, `FLUSHALL` and
//! `SWAPDB` run once per shard; `RENAME`, `RENAMENX` and `COPY` run on a shard made of the entries that they
//! name; `SCAN` runs where its cursor says.

mod expire;
mod flush;
mod object;
mod rename;
mod scan;

pub(super) use expire::{Condition, Since, Unit};
pub use expire::{expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl};
pub use flush::{flushall, flushdb, swapdb};
pub use object::{
    debug_listpack, debug_object, debug_quicklist, debug_sdslen, debug_table, memory_usage, object_encoding,
    object_freq, object_idletime, object_refcount,
};
pub use rename::{copy, move_, rename, renamenx};
pub use scan::{keys, randomkey, scan, scan_cursor};

use super::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::shard::{Db, Key, Shard};

/// `DEL key [key ...]`
pub fn del(cx: &mut Exec<'_>) -> Result<(), Error> {
    let removed = count_keys(cx, |cx, key| {
        let removed = cx.shard.delete(cx.db, key);
        if removed {
            cx.removed(key);
            if cx.shard.effects.each_key() {
                cx.deletion_effect(key);
            } else {
                cx.shard.effects.names_further(key.slot);
            }
        }
        removed
    });
    cx.changes += removed;
    cx.reply.int(removed as i64);
    Ok(())
}

/// `UNLINK key [key ...]`: like `DEL`, which frees large values in steps, too.
pub fn unlink(cx: &mut Exec<'_>) -> Result<(), Error> {
    del(cx)
}

/// `EXISTS key [key ...]`
pub fn exists(cx: &mut Exec<'_>) -> Result<(), Error> {
    let found = count_keys(cx, |cx, key| cx.shard.lookup_about(cx.db, key).is_some());
    cx.reply.int(found as i64);
    Ok(())
}

/// `TOUCH key [key ...]`, which sets the access clock even for clients that otherwise do not.
pub fn touch(cx: &mut Exec<'_>) -> Result<(), Error> {
    let before = std::mem::replace(&mut cx.shard.touch, true);
    let touched = count_keys(cx, |cx, key| cx.shard.lookup_read(cx.db, key).is_some());
    cx.shard.touch = before;
    cx.reply.int(touched as i64);
    Ok(())
}

/// `TYPE key`
pub fn type_(cx: &mut Exec<'_>) -> Result<(), Error> {
    let item = cx.shard.lookup_about(cx.db, &cx.key(1));
    cx.reply.status(item.map_or("none", |item| item.kind().name()));
    Ok(())
}

/// `DBSIZE`
pub fn dbsize(cx: &mut Exec<'_>) -> Result<(), Error> {
    let keys: usize = cx.shard.dbs.parts(cx.db).map(Db::len).sum();
    cx.reply.int(keys as i64);
    Ok(())
}

/// For how many of the keys, which are all arguments, something is so.
fn count_keys(cx: &mut Exec<'_>, mut holds: impl FnMut(&mut Exec<'_>, &Key<'_>) -> bool) -> u64 {
    (1..cx.args.len()).map(|index| u64::from(holds(cx, &cx.key(index)))).sum()
}

/// The index of a database, as far as it is a C `int`; whether there is such a database is checked by
/// [`existing_db`].
fn int32(arg: &[u8]) -> Result<i32, Error> {
    const RANGE: &str = "ERR value is out of range, value must between -2147483648 and 2147483647";
    integer(arg)?.try_into().map_err(|_| Error::text(RANGE))
}

fn existing_db(shard: &Shard, number: i32) -> Result<usize, Error> {
    usize::try_from(number).ok().filter(|&db| db < shard.dbs.len()).ok_or(Error::DbIndex)
}

#[cfg(test)]
mod tests;
