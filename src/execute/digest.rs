//! Digests of values, for `DEBUG DIGEST` and `DEBUG DIGEST-VALUE`: they depend on what a value holds and not on how it is
//! stored, and are those of Redis (`xorObjectDigest` in its `debug.c`), so that two servers with the same data have the same.
//!
//! What has an order is mixed in piece by piece; what has none is added up by an exclusive or.

use sha1::{Digest as _, Sha1};

use crate::base::number::format_f64_shortest;
use crate::shard::values::{Typed, Value};
use crate::shard::{Item, Kind, Str};
use crate::types::stream::Id;

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 20;

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; DIGEST_BYTES]);

impl Digest {
    /// Of nothing.
    pub const ZERO: Digest = Digest([0; DIGEST_BYTES]);

    /// Of pieces in their order.
    fn of(pieces: &[&[u8]]) -> Digest {
        let mut digest = Digest::ZERO;
        pieces.iter().for_each(|piece| digest.mix(piece));
        digest
    }

    /// The exclusive or with another.
    pub fn xor(&mut self, other: &[u8]) {
        self.0.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
    }

    /// Adds some bytes; the order in which such are added does not matter.
    pub fn add(&mut self, bytes: &[u8]) {
        self.xor(&Sha1::digest(bytes));
    }

    /// Makes it depend on some bytes and on what was mixed in before.
    pub fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn mix_str(&mut self, string: Str<'_>) {
        string.with_bytes(|bytes| self.mix(bytes));
    }

    /// Mixes in a key's value, and whether it expires.
    pub fn mix_value(&mut self, item: &Item) {
        self.mix(&type_number(item.kind()).to_be_bytes());
        match item.value() {
            None => self.mix_str(item.str()),
            Some(Value::List(list)) => list.iter().for_each(|element| self.mix_str(element)),
            Some(Value::Set(set)) => set.iter().for_each(|member| member.with_bytes(|bytes| self.add(bytes))),
            Some(Value::Zset(zset)) => {
                for (member, score) in zset.iter(0..zset.len()) {
                    let score = format_f64_shortest(score);
                    let pair = member.with_bytes(|member| Digest::of(&[member, score.as_bytes()]));
                    self.add(&pair.0);
                }
            }
            Some(Value::Hash(hash)) => hash.for_each(|entry| {
                let mut pair = Digest::ZERO;
                pair.mix_str(entry.field);
                pair.mix_str(entry.value);
                if entry.expire_at_ms.is_some() {
                    pair.add(b"!!hexpire!!");
                }
                self.add(&pair.0);
            }),
            Some(Value::Stream(stream)) => {
                for entry in stream.log().range(Id::MIN..=Id::MAX) {
                    self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                    for (field, value) in entry.fields {
                        self.mix_str(field);
                        self.mix_str(value);
                    }
                }
            }
        }
        if item.has_expiry() {
            self.add(b"!!expire!!");
        }
    }

    /// In hexadecimal.
    pub fn text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The number that a type has in Redis.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::Zset => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}
