//! The classes of keyspace events, and the letters that stand for them in `notify-keyspace-events`
//! (redis.io/docs/latest/develop/use/keyspace-notifications).
//!
//! Representation: a bit for each class, and one for each of the two kinds of channels that events are published to.

use bitflags::bitflags;

bitflags! {
    /// Classes of keyspace notifications (`notify-keyspace-events`), in Redis's bits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct EventClasses: u32 {
        /// Publish to channels named after keys (`K`).
        const KEYSPACE = 1;
        /// Publish to channels named after events (`E`).
        const KEYEVENT = 1 << 1;
        /// Commands for any type (`g`).
        const GENERIC = 1 << 2;
        /// Strings (`$`).
        const STRING = 1 << 3;
        /// Lists (`l`).
        const LIST = 1 << 4;
        /// Sets (`s`).
        const SET = 1 << 5;
        /// Hashes (`h`).
        const HASH = 1 << 6;
        /// Sorted sets (`z`).
        const ZSET = 1 << 7;
        /// Keys that expired (`x`).
        const EXPIRED = 1 << 8;
        /// Keys removed to free memory (`e`).
        const EVICTED = 1 << 9;
        /// Streams (`t`).
        const STREAM = 1 << 10;
        /// Reads of missing keys (`m`).
        const KEY_MISS = 1 << 11;
        /// Types of modules (`d`).
        const MODULE = 1 << 13;
        /// Keys that are created (`n`).
        const NEW = 1 << 14;
        /// What `A` stands for: everything but misses, new keys and the two channel kinds.
        const ALL = Self::GENERIC.bits() | Self::STRING.bits() | Self::LIST.bits() | Self::SET.bits()
            | Self::HASH.bits() | Self::ZSET.bits() | Self::EXPIRED.bits() | Self::EVICTED.bits()
            | Self::STREAM.bits() | Self::MODULE.bits();
    }
}

/// Letters of the classes that `A` covers or hides, in the order in which they are shown.
const CLASS_LETTERS: [(u8, EventClasses); 11] = [
    (b'g', EventClasses::GENERIC),
    (b'$', EventClasses::STRING),
    (b'l', EventClasses::LIST),
    (b's', EventClasses::SET),
    (b'h', EventClasses::HASH),
    (b'z', EventClasses::ZSET),
    (b'x', EventClasses::EXPIRED),
    (b'e', EventClasses::EVICTED),
    (b't', EventClasses::STREAM),
    (b'd', EventClasses::MODULE),
    (b'n', EventClasses::NEW),
];

/// Letters that are shown even next to `A`.
const CHANNEL_LETTERS: [(u8, EventClasses); 3] =
    [(b'K', EventClasses::KEYSPACE), (b'E', EventClasses::KEYEVENT), (b'm', EventClasses::KEY_MISS)];

impl EventClasses {
    /// Reads letters such as `KEA`; `None` if one of them stands for nothing.
    pub fn parse(letters: &[u8]) -> Option<EventClasses> {
        let mut classes = EventClasses::empty();
        for &letter in letters {
            let known = CLASS_LETTERS.iter().chain(&CHANNEL_LETTERS).chain(&[(b'A', EventClasses::ALL)]);
            let (_, class) = known.into_iter().find(|(known, _)| *known == letter)?;
            classes |= *class;
        }
        Some(classes)
    }

    /// The letters, in Redis's order. As in Redis, `A` swallows `n`.
    pub fn letters(self) -> String {
        let mut shown = String::new();
        if self.contains(EventClasses::ALL) {
            shown.push('A');
        } else {
            shown
                .extend(CLASS_LETTERS.iter().filter(|(_, c)| self.contains(*c)).map(|(l, _)| char::from(*l)));
        }
        shown.extend(CHANNEL_LETTERS.iter().filter(|(_, c)| self.contains(*c)).map(|(l, _)| char::from(*l)));
        shown
    }

    /// The classes whose events are to be published: none unless there is a kind of channel to publish them to.
    pub fn published(self) -> EventClasses {
        let channels = EventClasses::KEYSPACE | EventClasses::KEYEVENT;
        if self.intersects(channels) { self } else { EventClasses::empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters() {
        for (given, shown) in
            [("", ""), ("KEA", "AKE"), ("g$lshzxetd", "A"), ("Ex", "xE"), ("Kmn", "nKm"), ("An", "A")]
        {
            assert_eq!(EventClasses::parse(given.as_bytes()).unwrap().letters(), shown);
        }
        assert!(EventClasses::parse(b"Kq").is_none());
    }

    #[test]
    fn without_a_kind_of_channel_nothing_is_published() {
        for (given, published) in [("A", ""), ("Am", ""), ("KA", "AK"), ("Eg", "gE"), ("K", "K")] {
            assert_eq!(EventClasses::parse(given.as_bytes()).unwrap().published().letters(), published);
        }
    }
}
