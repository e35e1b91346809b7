//! The hash table inside a large hash, set or sorted set: fields with values, each an [`Item`] in one allocation.
//!
//! It is the keyspace's own [`Table`], so it grows in bounded steps, takes about ten bytes a field besides the item, and
//! its cursor stays valid over growing and shrinking.

use crate::base::rng::Rng;
use crate::shard::Budget;
use crate::shard::item::Item;
use crate::shard::key::{Hasher, Key, Slot};
use crate::shard::table::{Position, Table};

/// Cursors are the upper 48 bits of a hash.
const POSITION_SHIFT: u32 = 16;

/// Fields with values. See the module.
pub struct Fields {
    table: Table,
    hasher: Hasher,
}

impl Fields {
    /// Without fields.
    pub fn new(hasher: &Hasher) -> Fields {
        Fields { table: Table::EMPTY, hasher: hasher.clone() }
    }

    /// Number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of one collection is in one table, so that a field's slot means nothing.
    #[inline]
    fn key<'a>(&self, field: &'a [u8]) -> Key<'a> {
        Key { bytes: field, slot: Slot::FIRST, hash: self.hasher.hash(field) }
    }

    /// The item of a field.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<&Item> {
        let key = self.key(field);
        match self.table.position(&key) {
            Position::Found(place) => Some(self.table.at(key.hash, place)),
            Position::Vacant(_) => None,
        }
    }

    /// The item of a field, to change its value. It must not be swapped with another.
    #[inline]
    pub fn get_mut(&mut self, field: &[u8]) -> Option<&mut Item> {
        let key = self.key(field);
        match self.table.position(&key) {
            Position::Found(place) => Some(self.table.at_mut(key.hash, place)),
            Position::Vacant(_) => None,
        }
    }

    /// Whether a field is there.
    #[inline]
    pub fn contains(&self, field: &[u8]) -> bool {
        matches!(self.table.position(&self.key(field)), Position::Found(_))
    }

    /// Inserts an item, whose key is the field, and returns the one that it replaced.
    #[inline]
    pub fn insert(&mut self, item: Item) -> Option<Item> {
        let hash = self.hasher.hash(item.key());
        let key = Key { bytes: item.key(), slot: Slot::FIRST, hash };
        let (vacant, old) = match self.table.position(&key) {
            Position::Vacant(place) => (place, None),
            Position::Found(place) => {
                let old = self.table.remove(hash, place);
                let Position::Vacant(place) = self.table.position(&key) else {
                    unreachable!("it was just removed")
                };
                (place, Some(old))
            }
        };
        self.table.insert(hash, vacant, item, &self.hasher);
        old
    }

    /// Inserts what `make` returns, unless the field is there. Returns whether it was inserted.
    #[inline]
    pub fn insert_new(&mut self, field: &[u8], make: impl FnOnce() -> Item) -> bool {
        let key = self.key(field);
        let Position::Vacant(place) = self.table.position(&key) else { return false };
        self.table.insert(key.hash, place, make(), &self.hasher);
        true
    }

    /// Removes a field.
    #[inline]
    pub fn remove(&mut self, field: &[u8]) -> Option<Item> {
        let key = self.key(field);
        match self.table.position(&key) {
            Position::Found(place) => Some(self.table.remove(key.hash, place)),
            Position::Vacant(_) => None,
        }
    }

    /// The hash of a field.
    #[inline]
    pub fn hash(&self, field: &[u8]) -> u64 {
        self.hasher.hash(field)
    }

    /// Asks the processor for where a field with this hash would be.
    #[inline]
    pub fn prefetch_home(&self, hash: u64) {
        self.table.prefetch_home_below(hash);
    }

    /// Asks for the item that a field with this hash seems to have.
    #[inline]
    pub fn prefetch_item(&self, hash: u64) {
        if let Some(item) = self.table.likely(hash) {
            item.prefetch();
        }
    }

    /// Visits the items whose field has this hash: hardly ever more than one.
    pub fn visit_hash(&self, hash: u64, visit: &mut impl FnMut(&Item)) {
        let from = hash >> POSITION_SHIFT << POSITION_SHIFT;
        self.table.scan(from, &mut Budget::items(1), &self.hasher, &mut |item| {
            if self.hash(item.key()) == hash {
                visit(item);
            }
        });
    }

    /// All items, in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.table.iter()
    }

    /// Visits items from a cursor on, 0 at first, until the budget is spent. Returns the next cursor, 0 at the end. Whatever
    /// is there from the first call to the last is visited at least once.
    pub fn scan(&self, cursor: u64, budget: &mut Budget, visit: &mut impl FnMut(&Item)) -> u64 {
        let from = cursor << POSITION_SHIFT;
        self.table.scan(from, budget, &self.hasher, visit).map_or(0, |next| next >> POSITION_SHIFT)
    }

    /// An item that is drawn at random, nearly uniformly.
    pub fn random(&self, rng: &mut Rng) -> Option<&Item> {
        self.table.random(rng)
    }

    /// Drops items until the budget is spent. Returns whether none is left.
    pub fn drop_some(&mut self, budget: &mut Budget) -> bool {
        self.table.drop_some(budget)
    }

    /// Bytes of the table and of all items; takes time proportional to their number.
    pub fn heap_bytes(&self) -> usize {
        self.table.memory_usage_bytes() + self.iter().map(Item::memory_usage_bytes).sum::<usize>()
    }
}

impl Clone for Fields {
    fn clone(&self) -> Fields {
        let mut copy = Fields::new(&self.hasher);
        for item in self.iter() {
            copy.insert(item.clone_as(item.key()));
        }
        copy
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0..3u8, 0..400u32, any::<i64>()), 0..1200)) {
            let (mut fields, mut model) = (Fields::new(&Hasher::from_seed(3)), BTreeMap::new());
            for (step, field, value) in steps {
                let name = field.to_string();
                match step {
                    0 => prop_assert_eq!(
                        fields.remove(name.as_bytes()).map(|old| old.str().len()),
                        model.remove(&name).map(|old: i64| old.to_string().len())
                    ),
                    1 => {
                        let new = fields.insert_new(name.as_bytes(), || Item::int(name.as_bytes(), value, None));
                        prop_assert_eq!(new, !model.contains_key(&name));
                        model.entry(name).or_insert(value);
                    }
                    _ => {
                        let old = fields.insert(Item::int(name.as_bytes(), value, None));
                        prop_assert_eq!(old.is_some(), model.insert(name, value).is_some());
                    }
                }
            }
            prop_assert_eq!(fields.len(), model.len());
            for (name, value) in &model {
                let item = fields.get(name.as_bytes()).unwrap();
                prop_assert_eq!(item.str(), crate::types::Str::Int(*value));
                let mut found = Vec::new();
                fields.visit_hash(fields.hash(name.as_bytes()), &mut |item| found.push(item.key().to_vec()));
                prop_assert_eq!(found, [name.as_bytes()]);
            }
            let copy = fields.clone();
            let names = |fields: &Fields| -> BTreeSet<Vec<u8>> { fields.iter().map(|item| item.key().to_vec()).collect() };
            prop_assert_eq!(names(&copy), model.keys().map(|name| name.clone().into_bytes()).collect());
            let (mut cursor, mut seen) = (0, BTreeSet::new());
            loop {
                cursor = copy.scan(cursor, &mut Budget::items(10), &mut |item| {
                    seen.insert(item.key().to_vec());
                });
                if cursor == 0 {
                    break;
                }
            }
            prop_assert_eq!(seen, names(&fields));
            prop_assert_eq!(fields.random(&mut crate::base::rng::Rng::new(1)).is_some(), !model.is_empty());
        }
    }
}
