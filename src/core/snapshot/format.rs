//! The parts of a snapshot's file: what comes first, and entries.

use crate::rdb::{self, Writer};
use crate::shard::snapshot::Place;
use crate::shard::{Item, Lfu};

/// The version that the file is said to have: the one of Redis 7.0, which reads all values that it knows. Newer servers
/// don't mind older versions, older ones refuse newer ones whatever they hold.
const VERSION: u16 = 10;

const AUX: u8 = 0xfa;
const SELECT_DB: u8 = 0xfe;
const EXPIRES_AT_MS: u8 = 0xfc;
const FREQUENCY: u8 = 0xf9;
const IDLE_SECONDS: u8 = 0xf8;

/// What is written about when an item was used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usage {
    Nothing,
    /// How long before this reading of the access clock.
    Idle(u32),
    /// How often, as of this time, Unix milliseconds.
    Frequency(Lfu, i64),
}

/// Magic, fields about the file, libraries of functions.
pub(super) fn head(fields: &[(&str, String)], libraries: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(format!("REDIS{VERSION:04}").into_bytes(), false);
    for (name, value) in fields {
        writer.byte(AUX);
        writer.blob(name.as_bytes());
        writer.blob(value.as_bytes());
    }
    writer.raw(libraries);
    writer.into_output()
}

/// Writes an item behind what is there.
pub(super) fn entry(out: &mut Vec<u8>, place: Place, item: &Item, compress: bool, usage: Usage) {
    let mut writer = Writer::new(std::mem::take(out), compress);
    if place.opens {
        writer.byte(SELECT_DB);
        writer.length(place.db as u64);
    }
    if let Some(at) = item.expire_at_ms() {
        writer.byte(EXPIRES_AT_MS);
        writer.millis(at);
    }
    match usage {
        Usage::Nothing => {}
        Usage::Idle(clock) => {
            writer.byte(IDLE_SECONDS);
            writer.length(u64::from(clock.wrapping_sub(item.lru()) & 0xff_ffff));
        }
        Usage::Frequency(lfu, now_ms) => {
            writer.byte(FREQUENCY);
            writer.byte(lfu.frequency(item.lru(), now_ms));
        }
    }
    writer.byte(rdb::type_of(item));
    writer.blob(item.key());
    rdb::encode(item, &mut writer);
    *out = writer.into_output();
}
