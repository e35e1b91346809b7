//! `WATCH` on the side of the client's core and of the shards: which keys a client watches, and telling watchers of changes.
//!
//! The shard of a key keeps its watchers ([`crate::txn::watches`]). `EXEC` asks it whether the keys have changed as it
//! reserves them, so that no change can come in between.

use smallvec::SmallVec;

use crate::core::state::CoreState;
use crate::route::message::{Access, Answer, Message};
use crate::runtime::io::{ConnId, CoreId};
use crate::shard::{DbKey, Key, Slot};
use crate::txn::watches::Watcher;

impl CoreState {
    /// This core's client as a watcher.
    pub(super) fn watcher(&self, client: u64) -> Watcher {
        Watcher { core: self.core, client }
    }

    /// A client of a core watches these keys of one of its databases, as far as they are on this shard.
    ///
    /// # Errors
    /// Somebody has reserved such keys. What is done under that reservation, and may have been answered already, happens
    /// before they are watched: they count from [`CoreState::begin_watch`] on, when it is their turn for this access.
    pub fn watch(&mut self, core: CoreId, client: u64, db: u16, names: &[&[u8]]) -> Result<(), Access> {
        let (map, own) = (self.map, self.core);
        let names = names.iter().filter(|name| map.owner(Slot::of(name)) == own);
        let keys: SmallVec<[Key<'_>; 4]> = names.map(|name| self.shard.key(name)).collect();
        let access = Access::Keys(keys.iter().map(|key| key.hash).collect());
        let is_free = keys.is_empty() || self.locks.admits(&access, true);
        for key in keys {
            self.watches.watch(Watcher { core, client }, (db, key.bytes.into()), !is_free, &mut self.shard);
        }
        if is_free { Ok(()) } else { Err(access) }
    }

    /// It is the turn of a client that wanted to watch reserved keys.
    pub(super) fn begin_watch(&mut self, core: CoreId, client: u64, number: u64) {
        self.watches.begin(Watcher { core, client }, &self.shard);
        self.send(core, Message::Answer { number, answer: Answer::Done });
    }

    /// A client of this core watches no key any more.
    pub fn unwatch(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        let (client, watched) = (client.id, std::mem::take(&mut client.session.watched));
        for shard in self.owners_of(&watched) {
            if shard == self.core {
                self.watches.unwatch(self.watcher(client), &mut self.shard.modified);
            } else {
                self.send(shard, Message::Unwatch { client });
            }
        }
    }

    /// A client that watches these keys is gone.
    pub(super) fn forget_watcher(&mut self, client: u64, watched: &[(u16, Box<[u8]>)]) {
        for shard in self.owners_of(watched) {
            // To this core, too: its `WATCH` may be on the way there.
            self.send(shard, Message::Unwatch { client });
        }
    }

    fn owners_of(&self, watched: &[(u16, Box<[u8]>)]) -> Vec<CoreId> {
        let mut shards: Vec<CoreId> = watched.iter().map(|(_, name)| self.owner_of(name)).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    /// The core whose shard a key belongs to.
    pub(super) fn owner_of(&self, name: &[u8]) -> CoreId {
        self.map.owner(Slot::of(name))
    }

    /// Whether no key that a client watches on this shard has changed.
    pub(super) fn is_unchanged(&self, watcher: Watcher) -> bool {
        self.watches.is_unchanged(watcher, &self.shard)
    }

    /// Tells those who want to know, but don't wait for it, that keys of this shard have changed.
    pub(super) fn tell(&mut self, changed: &[DbKey]) {
        for key in changed {
            self.watches.note(key, &self.shard);
        }
    }
}
