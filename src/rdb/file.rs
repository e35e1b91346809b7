//! RDB files, written in pieces by several hands:
//!
//! ```text
//! [`head`]                    9 bytes  `REDIS` and the version of the format, four digits
//! [`preamble`]                facts about the file, then the function libraries
//! any number of               [`select_db`], then any number of entries ([`entry`]) of that database
//! [`tail`]                    9 bytes  the end and the CRC-64 of all before it
//! ```
//!
//! A database may be selected any number of times, so entries of several shards may come in any order. The version is the
//! lowest that knows all that is in the file, so that older servers can read it; it is known only at the end, and the head is
//! then written again. No byte has to be read for that: whoever writes a piece computes its [`Sum`], and the sums are combined.

use super::{Writer, encode, opcodes, type_of, version_of};
use crate::base::crc64::{crc64, crc64_combine};
use crate::shard::{Item, Shard};

/// Bytes of [`head`], and of [`tail`].
pub const HEAD_LEN: usize = 9;

/// The lowest version that is written: what has no newer type can be read by Redis 5.
const VERSION_MIN: u16 = 9;
/// The first version with function libraries.
pub const VERSION_OF_LIBRARIES: u16 = 10;

/// What has to be known of a piece of a file: its checksum, its length, and the version that can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    crc: u64,
    len: u64,
    version: u16,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { crc: 0, len: 0, version: VERSION_MIN }
    }
}

impl Sum {
    /// The sum of these bytes, which need this version of the format.
    pub fn of(bytes: &[u8], version: u16) -> Sum {
        Sum { crc: crc64(0, bytes), len: bytes.len() as u64, version: version.max(VERSION_MIN) }
    }

    /// Makes it the sum of what it is of, followed by another piece.
    pub fn append(&mut self, next: &Sum) {
        self.crc = crc64_combine(self.crc, next.crc, next.len);
        self.len += next.len;
        self.version = self.version.max(next.version);
    }

    /// The version of a file with this body.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Its bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is of nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// How a file of this version begins.
pub fn head(version: u16) -> [u8; HEAD_LEN] {
    let mut head = *b"REDIS0000";
    for (digit, power) in head[5..].iter_mut().zip([1000, 100, 10, 1]) {
        *digit += (version / power % 10) as u8;
    }
    head
}

/// How a file ends whose pieces between [`head`] and this have the sum `body`; `checksum` as in `rdbchecksum`.
pub fn tail(body: &Sum, checksum: bool) -> [u8; HEAD_LEN] {
    let mut tail = [opcodes::EOF, 0, 0, 0, 0, 0, 0, 0, 0];
    if checksum {
        let before = crc64_combine(crc64(0, &head(body.version)), body.crc, body.len);
        let crc = crc64(before, &tail[..1]);
        tail[1..].copy_from_slice(&crc.to_le_bytes());
    }
    tail
}

/// What a file says about itself.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The version of Redis that the server is compatible with.
    pub redis_version: &'a str,
    /// When it is written, Unix seconds.
    pub created_s: i64,
    /// What the server has allocated, in bytes.
    pub used_memory_bytes: u64,
    /// Whether it is the base of an append only file.
    pub is_aof_base: bool,
}

/// What comes behind the head: facts, and the code of the function libraries, compressed if wanted.
pub fn preamble<'a>(
    about: &About<'_>,
    libraries: impl IntoIterator<Item = &'a [u8]>,
    compress: bool,
) -> (Vec<u8>, Sum) {
    let mut writer = Writer::new(Vec::new(), compress);
    let mut version = VERSION_MIN;
    let facts = [
        ("redis-ver", about.redis_version.to_owned()),
        ("redis-bits", usize::BITS.to_string()),
        ("ctime", about.created_s.to_string()),
        ("used-mem", about.used_memory_bytes.to_string()),
        ("aof-base", u8::from(about.is_aof_base).to_string()),
    ];
    for (name, value) in facts {
        writer.byte(opcodes::AUX);
        writer.blob(name.as_bytes());
        writer.blob(value.as_bytes());
    }
    for code in libraries {
        writer.byte(opcodes::FUNCTION2);
        writer.blob(code);
        version = VERSION_OF_LIBRARIES;
    }
    let bytes = writer.into_output();
    let sum = Sum::of(&bytes, version);
    (bytes, sum)
}

/// Says that entries of this database follow, about so many, of which so many have an expiry.
pub fn select_db(out: &mut Vec<u8>, db: usize, keys: u64, expires: u64) {
    let mut writer = Writer::new(out, false);
    writer.byte(opcodes::SELECT_DB);
    writer.length(db as u64);
    writer.byte(opcodes::RESIZE_DB);
    writer.length(keys);
    writer.length(expires);
}

/// How much a key is used, as far as the policy of eviction wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// It does not.
    Untold,
    /// Seconds since the last access (LRU).
    Idle(u32),
    /// The counter of accesses (LFU).
    Frequency(u8),
}

impl Usage {
    /// The use of an item of this shard; `lru` if the policy is one of those.
    pub fn of(item: &Item, shard: &Shard, lru: bool) -> Usage {
        match shard.lfu {
            Some(lfu) => Usage::Frequency(lfu.frequency(item.lru(), shard.now_ms)),
            None if lru => Usage::Idle(shard.idle_seconds(item)),
            None => Usage::Untold,
        }
    }
}

/// Writes a key with its value and all that belongs to it. Returns the version that it needs.
pub fn entry(out: &mut Vec<u8>, item: &Item, usage: Usage, compress: bool) -> u16 {
    let mut writer = Writer::new(out, compress);
    if let Some(at) = item.expire_at_ms() {
        writer.byte(opcodes::EXPIRE_TIME_MS);
        writer.millis(at);
    }
    match usage {
        Usage::Untold => {}
        Usage::Idle(seconds) => {
            writer.byte(opcodes::IDLE);
            writer.length(seconds.into());
        }
        Usage::Frequency(count) => writer.raw(&[opcodes::FREQUENCY, count]),
    }
    let kind = type_of(item);
    writer.byte(kind);
    writer.blob(item.key());
    encode(item, &mut writer);
    version_of(kind).max(VERSION_MIN)
}
