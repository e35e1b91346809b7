//! The side of the shard whose keys are waited for: asking those in line after a key has changed.

use std::collections::VecDeque;

use crate::core::blocking::{Attempt, Fault, Held};
use crate::core::state::{CoreState, Waiter};
use crate::route::message::{Access, Grant, Loan, Message, ReplyTo, Standing, TxnId, WaitId};
use crate::runtime::io::CoreId;
use crate::shard::{DbKey, Item};
use crate::txn::locks::TicketId;

impl Attempt {
    /// What the client does in the lines of its keys.
    pub(in crate::core) fn standing(&self) -> Standing {
        if self.served { Standing::Leaves } else { Standing::Stays }
    }
}

impl CoreState {
    /// Asks those who wait for keys that have changed. Called after each command; it has nothing to do if none has.
    #[inline]
    pub(in crate::core) fn serve(&mut self) {
        if self.shard.modified.is_pending() {
            self.serve_pending();
        }
    }

    /// Asks whoever is to be asked, until everybody has answered or an answer is to come from another core.
    #[cold]
    pub(in crate::core) fn serve_pending(&mut self) {
        while let Some((db, key)) = self.next_line() {
            if let Some(id) = self.ask_next(db, &key) {
                self.offer(id, (db, key));
            }
        }
    }

    fn next_line(&mut self) -> Option<DbKey> {
        for changed in self.take_changes() {
            self.blocking.waiters.changed(changed);
        }
        self.blocking.waiters.take_pending()
    }

    fn ask_next(&mut self, db: u16, key: &[u8]) -> Option<WaitId> {
        let kind = self.shard.peek(usize::from(db), &self.shard.key(key)).map(Item::kind);
        self.blocking.waiters.ask_next(db, key, kind)
    }

    /// Offers a ready key to the one who is asked.
    fn offer(&mut self, id: WaitId, line: DbKey) {
        let grant = match self.blocking.waiters.whole(id).map(<[_]>::to_vec) {
            Some(keys) if self.locks.admits(&self.access_to(&keys), false) => {
                if id.core == self.core {
                    return self.try_here(id);
                }
                let txn = self.next_txn();
                let ticket = self.reserve(self.access_to(&keys));
                self.tickets.insert(txn, ticket);
                let grant = self.grant_to_waiter(txn, &keys);
                let keys = keys.into_iter().collect();
                let held = Held { lines: VecDeque::from([line]), keys, more: Vec::new() };
                self.blocking.grants.insert(txn, held);
                Some(grant)
            }
            _ => None,
        };
        self.send(id.core, Message::Offer { to: id.to, grant });
    }

    fn access_to(&self, keys: &[Box<[u8]>]) -> Access {
        Access::Keys(keys.iter().map(|key| self.shard.key(key).hash).collect())
    }

    /// Lends reserved keys to a waiter.
    fn grant_to_waiter(&mut self, txn: TxnId, keys: &[Box<[u8]>]) -> Box<Grant> {
        let mut loan = Loan::new();
        for key in keys {
            self.shard.lend(&self.shard.key(key), &mut loan);
        }
        if self.blocking.fault_for_test == Some(Fault::Copies) {
            let copies = loan.iter().map(|(db, item)| (*db, item.clone_as(item.key()))).collect();
            self.shard.receive(copies);
        }
        Box::new(Grant { txn, loan })
    }

    /// Lets a client of this core, whose keys are all here, try again.
    fn try_here(&mut self, id: WaitId) {
        if self.postpones(id.to) {
            return;
        }
        match self.try_again(id.to, None) {
            Ok(Attempt { served: false, .. }) => self.blocking.waiters.answered(id),
            Ok(attempt) => {
                self.blocking.served[0] += 1;
                self.leave_others(self.core, id.to, &attempt);
                self.blocking.waiters.leave(id, &mut self.shard.modified);
            }
            Err(_) => self.blocking.waiters.leave(id, &mut self.shard.modified),
        }
    }

    /// A client of another core, or of this one, has tried its command on keys of this shard.
    pub(in crate::core) fn on_standing(&mut self, from: CoreId, to: ReplyTo, standing: Standing) {
        let id = WaitId { core: from, to };
        match standing {
            Standing::Joins(place) => self.blocking.waiters.join(id, place, &mut self.shard.modified),
            Standing::Stays => self.blocking.waiters.answered(id),
            Standing::Leaves => self.blocking.waiters.leave(id, &mut self.shard.modified),
        }
    }

    /// A client of another core, or of this one, waits no more.
    pub(in crate::core) fn on_withdraw(&mut self, from: CoreId, to: ReplyTo) {
        self.blocking.waiters.leave(WaitId { core: from, to }, &mut self.shard.modified);
        self.serve_pending();
    }

    /// Entries have come back. Returns those that somebody waits for, who could not be asked while they were out of sight.
    pub(in crate::core) fn receive_loan(&mut self, loan: Loan) -> Vec<DbKey> {
        let mut in_sight = Vec::new();
        if !self.blocking.waiters.is_empty() && !self.is_deaf() {
            let keys = loan.iter().map(|(db, item)| (*db, item.key()));
            let awaited = keys.filter(|(db, key)| self.blocking.waiters.has_line(*db, key));
            in_sight.extend(awaited.map(|(db, key)| (db, key.into())));
        }
        self.shard.receive(loan);
        in_sight
    }

    /// A reservation is about to end, under which these keys were changed, and those were out of sight: who waits for them is asked
    /// under it, before anybody else sees them, one after the other. Returns whether it is kept for somebody.
    pub(in crate::core) fn pass_on(&mut self, txn: TxnId, changed: Vec<DbKey>, in_sight: Vec<DbKey>) -> bool {
        let mut held = self.blocking.grants.remove(&txn).unwrap_or_default();
        self.join_lines(&mut held, changed);
        for line in in_sight {
            held.keys.insert(line.1.clone());
            if !held.lines.contains(&line) {
                held.lines.push_back(line);
            }
        }
        while let Some((db, key)) = held.lines.front() {
            let Some(id) = self.ask_next(*db, key) else {
                held.lines.pop_front();
                continue;
            };
            let whole = self.blocking.waiters.whole(id).map(<[_]>::to_vec);
            match whole.filter(|whole| self.covers(&mut held, whole)) {
                Some(_) if id.core == self.core => {
                    self.try_here(id);
                    let changed = self.take_changes();
                    self.join_lines(&mut held, changed);
                }
                Some(whole) => {
                    let grant = self.grant_to_waiter(txn, &whole);
                    self.blocking.grants.insert(txn, held);
                    self.send(id.core, Message::Offer { to: id.to, grant: Some(grant) });
                    return true;
                }
                // It needs other keys, too, and tries when all are free.
                None => self.send(id.core, Message::Offer { to: id.to, grant: None }),
            }
        }
        held.more.into_iter().for_each(|ticket| self.release_ticket(ticket));
        false
    }

    /// Whether all of these keys are reserved, which those that are free are by now.
    fn covers(&mut self, held: &mut Held, keys: &[Box<[u8]>]) -> bool {
        let missing: Vec<_> = keys.iter().filter(|key| !held.keys.contains(*key)).cloned().collect();
        if missing.is_empty() {
            return true;
        }
        let access = self.access_to(&missing);
        if !self.locks.admits(&access, false) {
            return false;
        }
        held.more.push(self.reserve(access));
        held.keys.extend(missing);
        true
    }

    /// The lines of keys that have changed under a reservation are asked under it, from the front.
    fn join_lines(&mut self, held: &mut Held, changed: Vec<DbKey>) {
        let deaf = self.is_deaf();
        for (db, key) in changed.into_iter().filter(|_| !deaf) {
            if self.blocking.waiters.restart(db, &key) {
                held.keys.insert(key.clone());
                held.lines.push_back((db, key));
            }
        }
    }

    fn is_deaf(&self) -> bool {
        self.blocking.fault_for_test == Some(Fault::Deaf)
    }

    /// Keys that have been modified, of those that somebody is interested in.
    pub(in crate::core) fn take_changes(&mut self) -> Vec<DbKey> {
        self.tell_news();
        let changed: Vec<DbKey> = std::iter::from_fn(|| self.shard.modified.take()).collect();
        self.tell(&changed);
        changed
    }

    /// Reserves what is known to be free.
    pub(in crate::core) fn reserve(&mut self, access: Access) -> TicketId {
        // Nobody is told, because nobody waits.
        self.locks.acquire(access, false, Waiter::Program(0)).expect("it is free")
    }

    /// A name for a reservation that this core makes on its own shard.
    fn next_txn(&mut self) -> TxnId {
        TxnId { coordinator: self.core, number: self.next_number() }
    }

    /// What stood in line has run under its reservation: those who wait for what it has changed are asked under it. Returns
    /// whether it is kept for somebody.
    pub(in crate::core) fn pass_on_ticket(&mut self, ticket: TicketId) -> bool {
        if !self.shard.modified.is_pending() {
            return false;
        }
        let (txn, changed) = (self.next_txn(), self.take_changes());
        let kept = self.pass_on(txn, changed, Vec::new());
        if kept {
            self.tickets.insert(txn, ticket);
        }
        kept
    }
}
