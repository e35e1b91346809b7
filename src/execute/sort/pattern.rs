//! Patterns of `SORT`: names of keys, and of fields in hashes, that contain an element.

use crate::shard::values::{Hash, Typed};
use crate::shard::{Item, Kind, Shard};
use crate::types::Str;

/// What `BY` or `GET` names.
pub(super) enum Pattern<'a> {
    /// The element itself.
    Element,
    /// Nothing: there is no place for the element.
    Constant,
    /// What a key holds whose name is the element with something before and behind it.
    Key {
        /// Before the element.
        before: &'a [u8],
        /// Behind it.
        behind: &'a [u8],
        /// If the key holds a hash: the field.
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Pattern<'a> {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = text.iter().position(|&byte| byte == b'*') else { return Pattern::Constant };
        let (before, rest) = (&text[..star], &text[star + 1..]);
        let arrow = rest.windows(2).position(|pair| pair == b"->");
        match arrow.map(|at| (&rest[..at], &rest[at + 2..])) {
            Some((behind, field)) if !field.is_empty() => Pattern::Key { before, behind, field: Some(field) },
            _ => Pattern::Key { before, behind: rest, field: None },
        }
    }

    /// The key that it names for an element.
    pub(super) fn key(&self, element: &[u8]) -> Option<Vec<u8>> {
        match self {
            Pattern::Key { before, behind, .. } => Some([before, element, behind].concat()),
            _ => None,
        }
    }
}

/// Looks up what patterns name.
pub(super) struct Lookup<'s> {
    pub(super) shard: &'s mut Shard,
    pub(super) db: usize,
}

impl Lookup<'_> {
    /// Reads what a pattern names for an element, if there is such a value.
    pub(super) fn value<R>(
        &mut self,
        pattern: &Pattern<'_>,
        element: &[u8],
        read: impl FnOnce(Option<Str<'_>>) -> R,
    ) -> R {
        let (name, field) = match (pattern, pattern.key(element)) {
            (Pattern::Key { field, .. }, Some(name)) => (name, *field),
            (Pattern::Element, _) => return read(Some(Str::Bytes(element))),
            _ => return read(None),
        };
        let (db, now_ms) = (self.db, self.shard.expiry_clock_ms());
        let key = self.shard.key(&name);
        let item = self.shard.lookup_read(db, &key);
        let Some(field) = field else {
            return read(item.filter(|item| item.kind() == Kind::String).map(Item::str));
        };
        let entry = item.and_then(Item::value).and_then(Hash::of).and_then(|hash| hash.get(field));
        match entry {
            Some(entry) if entry.is_expired(now_ms) => {
                self.shard.expire_field(db, &key, field);
                read(None)
            }
            entry => read(entry.map(|entry| entry.value)),
        }
    }
}
