//! Entries on loan: a command over several shards runs on the core of its client, on entries that the owners hand over
//! and get back. A key's entries in all databases go together, because some commands name a second database.

use smallvec::SmallVec;

use crate::shard::{Item, Key, Shard, Wing};

impl Shard {
    /// Takes a key's entries out of every database.
    pub fn lend(&mut self, key: &Key<'_>, loan: &mut Vec<(u16, Item)>) {
        for db in 0..self.dbs.len() {
            // Not a change: what becomes of the entry is known when it comes back.
            if self.dbs.of(db, key).get(key).is_some()
                && let Some(item) = self.dbs.of_mut(db, key).remove(key)
            {
                loan.push((db as u16, item));
            }
        }
    }

    /// Hands all databases over, and holds empty ones until they come back.
    pub fn lend_all(&mut self) -> Wing {
        self.interrupt_walk();
        self.dbs.lend(self.slots.clone(), self.modified.keys())
    }

    /// Puts entries in that were lent, here or by another shard.
    pub fn receive(&mut self, loan: Vec<(u16, Item)>) {
        for (db, item) in loan {
            let bytes: SmallVec<[u8; 64]> = SmallVec::from_slice(item.key());
            let key = self.key(&bytes);
            self.put(usize::from(db), &key, item);
        }
    }
}
