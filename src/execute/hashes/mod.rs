//! The hash commands. Replies, texts of errors and the order of checks are those of Redis 7.4
//! (redis.io/docs/latest/commands/?group=hash).
//!
//! A field whose time is over is missed by all commands but those of which Redis says otherwise: `HLEN` counts it and `HDEL`
//! removes it as if it was there. A command that meets one by its name removes it.

mod expiry;
mod random;
mod read;
mod write;

pub use expiry::{
    hexpire, hexpireat, hexpiretime, hpersist, hpexpire, hpexpireat, hpexpiretime, hpttl, httl,
};
pub use random::hrandfield;
pub use read::{hexists, hget, hgetall, hkeys, hlen, hmget, hscan, hstrlen, hvals};
pub use write::{hdel, hincrby, hincrbyfloat, hmset, hset, hsetnx};

use crate::protocol::resp::Reply;
use crate::types::Str;

/// Writes a field or a value.
#[inline]
fn bulk(reply: &mut Reply<'_>, text: Str<'_>) {
    match text {
        Str::Int(number) => reply.bulk_int(number),
        Str::Bytes(bytes) => reply.bulk(bytes),
    }
}

#[cfg(test)]
mod tests;
