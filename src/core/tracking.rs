//! Client-side caching: remembering what clients read, and telling them when it is modified (see [`crate::tracking`]).
//!
//! **A read** is remembered by the shard of its key, on which the command runs; if that has borrowed the entries, before
//! they are free for others again. So nothing can modify a key unnoticed between the read and that.
//!
//! **A modification** is noted by the shard (`shard::Modified`) and told after each command, even within a transaction. Each
//! client that has read the key, and each core with a client for one of its prefixes, gets a message; the client's core
//! alone knows what the client wants by now.
//!
//! **Order.** A shard's messages come in order, so a key's reply is at the client's core before its invalidation; that goes
//! behind all replies which are there ([`crate::net::reply_row`]), and behind the reply of a command under way whose reply
//! is put together from those of several shards (`held_pushes`). The invalidation by a client's own command therefore comes
//! after its reply, too. Emptied databases are told when *all* shards have said that theirs are.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::core::dispatch::{Keys, Whose};
use crate::core::state::CoreState;
use crate::net::client::{Client, Waiting};
use crate::protocol::resp::{Reply, Resp};
use crate::route::message::{Call, Message, ReplyTo, Traces};
use crate::runtime::io::{ConnId, CoreId};
use crate::shard::{DbKey, News};
use crate::tracking::{Mode, Prefixes, Table, Tracker};

/// Keys that are forgotten in one turn because there are too many, and entries that are tidied up.
const ITEMS_PER_TURN: usize = 512;
/// The channel by which a client in RESP2 is told for another.
const CHANNEL: &str = "__redis__:invalidate";

/// What a core knows of caching.
#[derive(Debug)]
pub struct Tracking {
    /// Who has read which keys of this shard.
    pub table: Table,
    /// Which prefixes clients listen to.
    pub prefixes: Prefixes,
    /// The shard notes what is modified.
    listening: bool,
    /// Keys of the table that all cores know of.
    counted: usize,
    /// How often databases were emptied, by shard.
    flushes: Vec<u64>,
    /// How many of these times this core's clients were told.
    flushes_told: u64,
}

impl Tracking {
    /// Nothing is cached.
    pub fn new(shards: usize) -> Tracking {
        Tracking {
            table: Table::default(),
            prefixes: Prefixes::default(),
            listening: false,
            counted: 0,
            flushes: vec![0; shards],
            flushes_told: 0,
        }
    }
}

impl From<Whose> for Tracker {
    fn from(Whose { core, to }: Whose) -> Tracker {
        Tracker { client: to.client, conn: to.conn, core }
    }
}

impl CoreState {
    /// A client's command is taken up: what its execution depends on.
    #[inline]
    pub(super) fn begin_call(client: &mut Client, command: &Command) -> Call {
        if let Some(choice) = &mut client.session.tracking {
            choice.begin_command(false);
        }
        CoreState::call_of(client, command)
    }

    /// Whether a client caches what a command reads.
    #[inline]
    pub(super) fn tracks(client: &Client, command: &Command) -> bool {
        client.session.tracking.as_ref().is_some_and(|choice| choice.remembers())
            && command.flags.contains(Flags::READONLY)
    }

    /// A command is about to run: who is to blame for what is modified. What goes while one only reads has expired.
    #[inline]
    pub(super) fn set_author(&mut self, client: u64, command: &Command) {
        self.author = if command.flags.contains(Flags::WRITE) { client } else { 0 };
    }

    /// Has the shard note what is modified as long as somebody wants to know. Called after each change of the tables.
    pub fn listen(&mut self) {
        let wanted = !self.tracking.table.is_empty() || !self.tracking.prefixes.is_empty();
        if std::mem::replace(&mut self.tracking.listening, wanted) != wanted {
            self.shard.modified.note_names(wanted);
        }
        self.count_tracked();
    }

    /// A client has read keys of this shard.
    #[cold]
    pub(super) fn remember<'a>(&mut self, tracker: Tracker, keys: impl Iterator<Item = &'a [u8]>) {
        // The command may have found that their time was over: that is told to those who have read them before.
        self.tell_news();
        keys.for_each(|key| self.tracking.table.add(key, tracker));
        self.listen();
        self.forget_some(ITEMS_PER_TURN);
    }

    /// A client's command has run on this shard, which has all its keys.
    #[cold]
    pub(super) fn remember_args(&mut self, whose: Whose, command: &Command, args: &[&[u8]]) {
        let names = self.names_of(command, args);
        self.remember(whose.into(), names.into_iter());
    }

    /// The names of a command's keys.
    pub(super) fn names_of<'a>(&self, command: &Command, args: &[&'a [u8]]) -> SmallVec<[&'a [u8]; 4]> {
        let mut keys = Keys::new();
        // A handler that cannot tell the keys has refused the arguments.
        self.find_keys(command, command.keys, args, &mut keys).ok();
        keys.iter().map(|(_, key)| key.bytes).collect()
    }

    /// Tells what was noted on this shard to those who cache it.
    #[inline]
    pub(super) fn tell_news(&mut self) {
        if self.shard.modified.has_news() {
            self.tell_noted();
        }
    }

    #[cold]
    fn tell_noted(&mut self) {
        let News { names, flushed } = self.shard.modified.take_news();
        if flushed {
            self.shard_was_flushed();
        }
        let by = self.author;
        names.iter().for_each(|name| self.invalidate(name, by));
        self.listen();
    }

    /// Commands that ran elsewhere on entries of this shard have left traces.
    pub(super) fn follow(&mut self, whose: Whose, traces: &Traces) {
        if traces.flushed {
            self.shard_was_flushed();
        }
        if self.tracking.listening {
            traces.changed.iter().for_each(|(_, key)| self.invalidate(key, traces.by));
            self.listen();
        }
        if !traces.read.is_empty() {
            self.remember(whose.into(), traces.read.iter().map(|key| &**key));
        }
    }

    /// A key of this shard was modified by a client, 0 for none.
    fn invalidate(&mut self, key: &[u8], by: u64) {
        for tracker in self.tracking.table.take(key) {
            self.tell_reader(tracker, tracker.client == by, key);
        }
        for core in self.tracking.prefixes.modified(key, by) {
            let outbox = &mut self.outboxes[core.index()];
            let key = outbox.pack_args(&[key]);
            outbox.messages.push(Message::Modified { by, key });
        }
    }

    fn tell_reader(&mut self, Tracker { client, conn, core }: Tracker, own: bool, key: &[u8]) {
        if core == self.core {
            return self.on_invalidate(conn, client, own, key);
        }
        let outbox = &mut self.outboxes[core.index()];
        let key = outbox.pack_args(&[key]);
        outbox.messages.push(Message::Invalidate { conn, client, own, key });
    }

    /// All keys of this shard, or of one of its databases, are gone.
    fn shard_was_flushed(&mut self) {
        self.tracking.table.clear();
        for core in self.others() {
            self.send(core, Message::Flushed);
        }
        self.on_flushed(self.core);
        self.listen();
    }

    /// A shard was emptied, in part at least. When all have said so, nothing that was read before is still to come.
    pub(super) fn on_flushed(&mut self, from: CoreId) {
        self.tracking.flushes[from.index()] += 1;
        if self.tracking.flushes.iter().any(|&flushes| flushes <= self.tracking.flushes_told) {
            return;
        }
        self.tracking.flushes_told += 1;
        let tracking = self.clients.iter().filter(|client| client.session.tracking.is_some());
        let conns: Vec<ConnId> = tracking.map(|client| client.conn).collect();
        conns.into_iter().for_each(|conn| self.send_invalidation(conn, &[]));
    }

    /// A key that a client of this core has read was modified, maybe by itself, or is remembered no more.
    pub(super) fn on_invalidate(&mut self, conn: ConnId, client: u64, own: bool, key: &[u8]) {
        let Some(client) = self.clients.get_same(conn, client) else { return };
        let Some(choice) = &client.session.tracking else { return };
        if choice.mode != Mode::Broadcast && !(own && choice.no_loop) {
            self.send_invalidation(conn, &[key]);
        }
    }

    /// A key of another shard was modified.
    pub(super) fn on_modified(&mut self, by: u64, key: &[u8]) {
        // The shard has told the other cores itself.
        self.tracking.prefixes.modified(key, by);
    }

    /// Tells those who listen to prefixes what was modified in this turn.
    #[inline]
    pub fn broadcast(&mut self) {
        if self.tracking.prefixes.is_pending() {
            self.broadcast_pending();
        }
    }

    #[cold]
    fn broadcast_pending(&mut self) {
        for (conns, keys) in self.tracking.prefixes.take_modified() {
            for conn in conns {
                let Some(client) = self.clients.get(conn) else { continue };
                let no_loop = client.session.tracking.as_ref().is_some_and(|choice| choice.no_loop);
                let own = |by: u64| no_loop && by == client.id;
                let keys: Vec<&[u8]> =
                    keys.iter().filter(|(_, by)| !own(**by)).map(|(key, _)| &**key).collect();
                if !keys.is_empty() {
                    self.send_invalidation(conn, &keys);
                }
            }
        }
    }

    /// Tells a client of this core, or whoever is told for it, that keys, or all if there are none, are out of date.
    fn send_invalidation(&mut self, conn: ConnId, keys: &[&[u8]]) {
        let Some(client) = self.clients.get(conn) else { return };
        let (of, choice) = ((conn, client.id), client.session.tracking.as_ref());
        match choice.and_then(|choice| choice.redirect) {
            None => self.push_invalidation(conn, keys, false),
            Some(to) if to.core == self.core => {
                if !self.redirected((to.conn, to.client), keys) {
                    self.on_broken(of);
                }
            }
            Some(to) => {
                let outbox = &mut self.outboxes[to.core.index()];
                let keys = outbox.pack_args(keys);
                outbox.messages.push(Message::Redirect { to: (to.conn, to.client), of, keys });
            }
        }
    }

    /// What is meant for a client of another core goes to one of this.
    pub(super) fn on_redirect(&mut self, from: CoreId, to: (ConnId, u64), of: (ConnId, u64), keys: &[&[u8]]) {
        if !self.redirected(to, keys) {
            self.send(from, Message::Broken { of });
        }
    }

    /// Returns whether the client that is told for another is there.
    fn redirected(&mut self, (conn, client): (ConnId, u64), keys: &[&[u8]]) -> bool {
        let there = self.clients.get_same(conn, client).is_some_and(|client| !client.close_after_reply);
        if there {
            self.push_invalidation(conn, keys, true);
        }
        there
    }

    /// Whoever is told for a client of this core is gone.
    pub(super) fn on_broken(&mut self, (conn, client): (ConnId, u64)) {
        let Some(client) = self.clients.get_same(conn, client) else { return };
        let Some(choice) = &mut client.session.tracking else { return };
        choice.broken = true;
        let Some(redirect) = choice.redirect.filter(|_| client.session.resp == Resp::V3) else { return };
        let mut frame = self.spare_buffer();
        let mut reply = Reply::new(&mut frame, Resp::V3);
        reply.push(2);
        reply.bulk("tracking-redir-broken");
        reply.int(redirect.client as i64);
        self.push_behind(conn, frame);
    }

    /// Sends a client that keys are out of date; in RESP2 only if it listens to channels, and is told for another.
    fn push_invalidation(&mut self, conn: ConnId, keys: &[&[u8]], redirected: bool) {
        let Some(client) = self.clients.get(conn) else { return };
        let (resp, listens) = (client.session.resp, client.is_subscribed());
        if resp == Resp::V2 && !(redirected && listens) {
            return;
        }
        let mut frame = self.spare_buffer();
        let mut reply = Reply::new(&mut frame, resp);
        if resp == Resp::V3 {
            reply.push(2);
            reply.bulk("invalidate");
        } else {
            reply.push(3);
            reply.bulk("message");
            reply.bulk(CHANNEL);
        }
        if keys.is_empty() {
            reply.null();
        } else {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
        self.push_behind(conn, frame);
    }

    /// Sends a message behind all replies that the client has got, and that of the command under way.
    fn push_behind(&mut self, conn: ConnId, frame: Vec<u8>) {
        if let Some(client) = self.clients.get_mut(conn)
            && !client.half_closed
            && !client.close_after_reply
        {
            let is_under_way = matches!(client.waiting, Waiting::Txn | Waiting::Ask);
            if is_under_way {
                self.held_pushes.messages.entry(conn).or_default();
            }
            if let Some(held) = self.held_pushes.of(conn) {
                held.extend_from_slice(&frame);
            } else {
                client.row.push_behind(&frame);
                CoreState::mark_dirty(&mut self.dirty, client);
            }
        }
        self.recycle_buffer(frame);
    }

    /// A command of a program that runs on borrowed entries has run: its reads, and what it has modified. A client's own read
    /// that it has modified after that is told here, because only reads that are still good travel.
    pub(super) fn trace(
        &mut self,
        to: ReplyTo,
        changed: Vec<DbKey>,
        read: &[&[u8]],
        flushed: bool,
        traces: &mut Traces,
    ) {
        if flushed {
            traces.flushed = true;
            traces.read.clear();
        }
        for (_, key) in &changed {
            if let Some(at) = traces.read.iter().position(|read| read == key) {
                traces.read.swap_remove(at);
                self.on_invalidate(to.conn, to.client, true, key);
            }
        }
        traces.changed.extend(changed);
        for &key in read {
            if !traces.read.iter().any(|read| **read == *key) {
                traces.read.push(key.into());
            }
        }
    }

    /// A client of this core is gone.
    pub(super) fn end_tracking(&mut self, client: &Client) {
        if let Some(choice) = &client.session.tracking {
            crate::admin::tracking::end_prefixes(self, client.conn, &choice.prefixes);
        }
        if client.remembered {
            for core in self.map.all() {
                self.send(core, Message::Forget { client: client.id });
            }
        }
    }

    /// Tells the other cores how many keys this shard remembers.
    fn count_tracked(&mut self) {
        let (len, counted) = (self.tracking.table.len(), self.tracking.counted);
        self.tracking.counted = len;
        if len > counted {
            self.shared.tracked_keys.fetch_add(len - counted, Ordering::Relaxed);
        } else if len < counted {
            self.shared.tracked_keys.fetch_sub(counted - len, Ordering::Relaxed);
        }
    }

    /// Forgets some keys if all shards together remember too many, and this one more than its part of what they may; tells
    /// those who have read them. Returns whether there may be more.
    fn forget_some(&mut self, some: usize) -> bool {
        self.count_tracked();
        let max = match self.config.tracking_table_max_keys {
            0 => return false,
            max => max as usize,
        };
        let part = max / self.map.shards();
        for _ in 0..some {
            let len = self.tracking.table.len();
            let one_less = |keys| (keys > max).then(|| keys - 1);
            if len <= part
                || self
                    .shared
                    .tracked_keys
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                    .is_err()
            {
                return false;
            }
            self.tracking.counted -= 1;
            let (key, trackers) = self.tracking.table.evict(self.shard.rng.below(len));
            trackers.into_iter().for_each(|tracker| self.tell_reader(tracker, false, &key));
        }
        true
    }

    /// Does a part of what is to be tidied up. Returns whether there is more.
    pub(super) fn tidy_tracked(&mut self) -> bool {
        if !self.tracking.listening && self.tracking.table.is_tidy() {
            return false;
        }
        let more = self.forget_some(ITEMS_PER_TURN) | self.tracking.table.tidy(ITEMS_PER_TURN);
        self.listen();
        more
    }
}
