//! `WATCH` on the side of the client's core and of the shards: which keys a client watches, and telling watchers of changes.
//!
//! The shard of a key keeps its watchers ([`crate::txn::watches`]). `EXEC` asks it whether the keys have changed as it
//! reserves them, so that no change can come in between.

use crate::core::state::CoreState;
use crate::route::message::Message;
use crate::runtime::io::{ConnId, CoreId};
use crate::shard::{DbKey, Slot};
use crate::txn::watches::Watcher;

impl CoreState {
    /// This core's client as a watcher.
    pub(super) fn watcher(&self, client: u64) -> Watcher {
        Watcher { core: self.core, client }
    }

    /// A client of a core watches these keys of one of its databases, as far as they are on this shard.
    pub fn watch(&mut self, core: CoreId, client: u64, db: u16, names: &[&[u8]]) {
        let map = self.map;
        for name in names.iter().filter(|name| map.owner(Slot::of(name)) == self.core) {
            self.watches.watch(Watcher { core, client }, (db, (*name).into()), &mut self.shard);
        }
    }

    /// A client of this core watches no key any more.
    pub fn unwatch(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        let (client, watched) = (client.id, std::mem::take(&mut client.session.watched));
        self.forget_watched(client, &watched);
    }

    /// Has the shards of these keys forget that a client watches them.
    pub(super) fn forget_watched(&mut self, client: u64, watched: &[(u16, Box<[u8]>)]) {
        let mut shards: Vec<CoreId> = watched.iter().map(|(_, name)| self.owner_of(name)).collect();
        shards.sort_unstable();
        shards.dedup();
        for shard in shards {
            if shard == self.core {
                self.watches.unwatch(self.watcher(client), &mut self.shard.modified);
            } else {
                self.send(shard, Message::Unwatch { client });
            }
        }
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
