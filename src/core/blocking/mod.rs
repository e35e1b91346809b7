//! Clients that wait for keys: `BLPOP` and its like.
//!
//! A blocking command first runs as any other. If it finds nothing, its handler says what it waits for, and the client
//! joins the lines of its keys in the same instant: where the command ran on the keys' own shard, at once ([`serve`]); where
//! it ran on borrowed entries, as they are given back. So no change of a key can be missed in between.
//!
//! When a key changes, its shard asks those in line one after the other (`Message::Offer`), and the client's core tries the
//! command again:
//! - on the shard itself, if client and keys are all here: right after the command that made the key ready;
//! - on the entries that came with the offer. They are reserved meanwhile, so that no other command gets in between; this
//!   is how it goes if all keys that the command needs are on that shard. One that takes from any of its keys needs no more
//!   than the ready one;
//! - as a transaction, if it needs keys of several shards, or they are not free.
//!
//! In each case the command runs on the core of its client, which knows whether that still waits: nothing is taken from a
//! key for somebody who is gone. What was not needed goes back as it came, and the next in line is asked.
//!
//! Representation: a wait is named by the place of its reply, which is left open in the client's row. Invariants: a client
//! is [`Waiting::Blocked`] exactly while its wait is in `clients` or in `awaiting`; in `clients` its place is in the line of
//! each of its keys, or it is under way there; `deadlines` holds exactly the waits that end by themselves.

pub(super) mod serve;
mod waiters;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ahash::AHashMap;
use smallvec::SmallVec;

use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::core::dispatch::{Keys, Whose};
use crate::core::state::CoreState;
use crate::execute::Wait;
use crate::net::client::Waiting;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::{
    Aftermath, Blocked, Call, Grant, Loan, LogParts, Message, OwnedArgs, Place, ReplyTo, Traces, TxnId,
    WaitId,
};
use crate::runtime::io::CoreId;
use crate::shard::{DbKey, Kind, Slot};
use crate::txn::locks::TicketId;
use waiters::Waiters;

const UNBLOCKED: Error = Error::text("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// The wait of one of this core's clients.
#[derive(Debug)]
struct Client {
    to: ReplyTo,
    blocked: Blocked,
    /// The shards on which it stands in line.
    shards: SmallVec<[CoreId; 2]>,
    /// A transaction tries the command.
    trying: bool,
}

/// What a test lets go wrong, to see that it notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Keys that come back to their shard, or were changed under a reservation, are not offered to anybody.
    Deaf,
    /// Keys granted to a waiter stay where they are, too.
    Copies,
}

/// What a core knows about waiting: of its own clients, and of all that wait for keys of its shard.
#[derive(Debug, Default)]
pub struct Blocking {
    /// This core's clients, by id.
    clients: BTreeMap<u64, Client>,
    /// This core's clients that wait for answers of the cores, by id: the number of the question, and when the wait ends.
    awaiting: AHashMap<u64, (u64, Option<i64>)>,
    /// When waits end, Unix milliseconds, with the client.
    deadlines: BTreeSet<(i64, u64)>,
    /// Clients that may try again when `CLIENT PAUSE` ends.
    postponed: Vec<ReplyTo>,
    /// Who waits for keys of this shard.
    waiters: Waiters,
    /// Reservations that waiters of other cores use.
    grants: AHashMap<TxnId, Held>,
    /// Waits of this core's clients that ended well: on the shard itself, on granted entries, and as transactions.
    pub served: [u64; 3],
    /// Test-only: what goes wrong.
    pub fault_for_test: Option<Fault>,
}

impl Blocking {
    /// Whether nobody waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
            && self.awaiting.is_empty()
            && self.deadlines.is_empty()
            && self.postponed.is_empty()
            && self.waiters.is_empty()
            && self.grants.is_empty()
    }

    /// Waits of this core's clients that end by themselves.
    pub fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// Keys of this shard that somebody waits for, and those of them whose end somebody waits for.
    pub fn keys(&self) -> (usize, usize) {
        self.waiters.keys()
    }

    /// Whether somebody is to be asked although no command has run.
    pub fn has_pending(&self) -> bool {
        self.waiters.has_pending()
    }

    /// A client waits for the answers to a question.
    pub(super) fn begin_await(&mut self, client: u64, question: u64, until_ms: Option<i64>) {
        self.awaiting.insert(client, (question, until_ms));
        self.deadlines.extend(until_ms.map(|until_ms| (until_ms, client)));
    }

    /// Ends that; whether it was so.
    pub(super) fn end_await(&mut self, client: u64) -> bool {
        let Some((_, until_ms)) = self.awaiting.remove(&client) else { return false };
        if let Some(until_ms) = until_ms {
            self.deadlines.remove(&(until_ms, client));
        }
        true
    }

    fn client(&mut self, to: ReplyTo) -> Option<&mut Client> {
        self.clients.get_mut(&to.client).filter(|client| client.to == to)
    }
}

/// What a reservation is used for while it goes from one waiter to the next.
#[derive(Debug, Default)]
struct Held {
    /// The lines to be asked.
    lines: VecDeque<DbKey>,
    /// The keys that it covers, as far as somebody may be given them.
    keys: BTreeSet<Box<[u8]>>,
    /// What was reserved besides, for waiters that need further keys.
    more: Vec<TicketId>,
}

/// What another attempt of a waiting client came to.
pub(super) struct Attempt {
    /// The client has its reply.
    pub served: bool,
    /// Where it stood in line, if it has.
    pub shards: SmallVec<[CoreId; 2]>,
    /// The borrowed entries as they are now.
    pub loan: Loan,
    /// What was done to them.
    pub traces: Traces,
    /// What is to be logged of that.
    pub parts: LogParts,
}

impl CoreState {
    /// A command has found nothing on this shard, which has all its keys: its client waits from now on.
    pub(super) fn block(
        &mut self,
        whose: Whose,
        call: Call,
        command: &'static Command,
        args: &[&[u8]],
        wait: &Wait,
    ) {
        let id = WaitId { core: whose.core, to: whose.to };
        let place = self.place_on(self.core, call, command, args, wait);
        self.blocking.waiters.join(id, place, &mut self.shard.modified);
        let blocked = self.blocked(call, args, wait);
        if whose.core == self.core {
            self.begin_wait(whose.to, blocked, SmallVec::from_slice(&[self.core]));
        } else {
            self.send(whose.core, Message::Blocked { to: whose.to, blocked: Box::new(blocked) });
        }
    }

    /// What is kept of a command for its further attempts.
    pub(super) fn blocked(&self, call: Call, args: &[&[u8]], wait: &Wait) -> Blocked {
        let args = match &wait.args {
            Some(args) => OwnedArgs::new(&args.iter().map(Vec::as_slice).collect::<Vec<_>>()),
            None => OwnedArgs::new(args),
        };
        let until_ms = wait.timeout_ms.map(|timeout_ms| self.now_ms().saturating_add(timeout_ms));
        Blocked { call, args, until_ms }
    }

    /// What a command waits for on one shard.
    pub(super) fn place_on(
        &self,
        shard: CoreId,
        call: Call,
        command: &Command,
        args: &[&[u8]],
        wait: &Wait,
    ) -> Place {
        let is_there = |key: &&[u8]| self.map.owner(Slot::of(key)) == shard;
        let awaited = wait.keys.iter().map(|&at| args[at]).filter(is_there);
        let mut keys: Vec<Box<[u8]>> = awaited.map(Box::from).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut all = Keys::new();
        self.find_keys(command, command.keys, args, &mut all).expect("they were found when it ran");
        // A consumer of a group learns when the group, or its stream, is gone.
        let even_if_gone = wait.kind == Kind::Stream && command.flags.contains(Flags::WRITE);
        // Who takes from whichever key is ready needs no other one; for a group they must all be there.
        let any_will_do = !even_if_gone && all.iter().all(|(at, _)| wait.keys.binary_search(at).is_ok());
        let here: Vec<Box<[u8]>> =
            all.iter().filter(|(_, key)| is_there(&key.bytes)).map(|(_, key)| key.bytes.into()).collect();
        let whole = (any_will_do || here.len() == all.len()).then_some(here);
        Place { db: call.db, kind: wait.kind, even_if_gone, keys, whole }
    }

    /// A client waits, and stands in line on these shards.
    pub(super) fn begin_wait(&mut self, to: ReplyTo, blocked: Blocked, shards: SmallVec<[CoreId; 2]>) {
        let gone = match self.clients.get_same(to.conn, to.client) {
            Some(client) => {
                client.waiting = Waiting::Blocked;
                // Replies to what it sent before are not held back for a wait without end.
                CoreState::mark_dirty(&mut self.dirty, client);
                client.half_closed
            }
            None => return self.withdraw(to, &shards),
        };
        self.blocking.deadlines.extend(blocked.until_ms.map(|until_ms| (until_ms, to.client)));
        self.blocking.clients.insert(to.client, Client { to, blocked, shards, trying: false });
        if gone {
            self.close_client(to.conn);
        }
    }

    /// A command of this core's client has found nothing on another shard.
    pub(super) fn on_blocked(&mut self, from: CoreId, to: ReplyTo, blocked: Blocked) {
        self.begin_wait(to, blocked, SmallVec::from_slice(&[from]));
    }

    /// A client that was served with the keys of one shard waits on no other.
    pub(super) fn leave_others(&mut self, shard: CoreId, to: ReplyTo, attempt: &Attempt) {
        let others: SmallVec<[CoreId; 2]> =
            attempt.shards.iter().copied().filter(|&other| other != shard).collect();
        self.withdraw(to, &others);
    }

    fn withdraw(&mut self, to: ReplyTo, shards: &[CoreId]) {
        for &shard in shards {
            if shard == self.core {
                let id = WaitId { core: self.core, to };
                self.blocking.waiters.leave(id, &mut self.shard.modified);
            } else {
                self.send(shard, Message::Withdraw { to });
            }
        }
    }

    /// Forgets a client's wait. What it has asked for goes on without it, and finds that out.
    fn forget_wait(&mut self, client: u64) -> Option<Client> {
        let client = self.blocking.clients.remove(&client)?;
        if let Some(until_ms) = client.blocked.until_ms {
            self.blocking.deadlines.remove(&(until_ms, client.to.client));
        }
        Some(client)
    }

    /// A client that may wait is gone.
    pub(super) fn abandon_wait(&mut self, client: u64) {
        if let Some((question, _)) = self.blocking.awaiting.get(&client) {
            self.asks.remove(question);
            self.blocking.end_await(client);
        }
        if let Some(client) = self.forget_wait(client) {
            self.withdraw(client.to, &client.shards);
        }
    }

    /// Ends a client's wait without an element: by an error, or as it ends when the time is over.
    fn give_up(&mut self, client: u64, error: Option<Error>) -> bool {
        if let Some(&(question, _)) = self.blocking.awaiting.get(&client) {
            self.end_asking(question, error);
            return true;
        }
        let Some(client) = self.forget_wait(client) else { return false };
        self.withdraw(client.to, &client.shards);
        let Blocked { call, args, .. } = client.blocked;
        let mut out = self.spare_buffer();
        let mut reply = Reply::new(&mut out, call.resp);
        match &error {
            Some(error) => reply.error(error),
            None => reply.null_array(),
        }
        let whose = Whose { core: self.core, to: client.to };
        self.account(self.lookup.get(call.command), &args.slices(), whose, error.as_ref());
        self.end_wait(client.to, out);
        true
    }

    /// A client waits for keys no more, but for its reply.
    fn awaken(&mut self, to: ReplyTo) {
        let now_ms = self.now_ms();
        if let Some(client) = self.clients.get_same(to.conn, to.client) {
            client.waiting = Waiting::Replies;
            client.active_ms = now_ms;
        }
    }

    /// Hands a client the reply that it has waited for.
    fn end_wait(&mut self, to: ReplyTo, reply: Vec<u8>) {
        self.awaken(to);
        self.on_reply(to, &reply);
        self.recycle_buffer(reply);
    }

    /// Ends the waits whose time is over.
    pub(super) fn end_overdue_waits(&mut self) {
        while let Some(&(until_ms, client)) = self.blocking.deadlines.first()
            && until_ms < self.now_ms()
        {
            self.give_up(client, None);
        }
    }

    /// When the next wait is over, Unix milliseconds.
    pub(super) fn next_deadline_ms(&self) -> Option<i64> {
        self.blocking.deadlines.first().map(|(until_ms, _)| until_ms + 1)
    }

    /// `CLIENT UNBLOCK`: whether this client of this core has waited.
    pub fn unblock(&mut self, client: u64, error: bool) -> bool {
        self.give_up(client, error.then_some(UNBLOCKED))
    }

    /// Lets those try again whose turn came during `CLIENT PAUSE`.
    pub(super) fn resume_waits(&mut self) {
        for to in std::mem::take(&mut self.blocking.postponed) {
            self.try_over_shards(to);
        }
    }

    /// Whether `CLIENT PAUSE` holds this client's command back; if so, it runs when that ends.
    fn postpones(&mut self, to: ReplyTo) -> bool {
        let Some(client) = self.blocking.client(to) else { return false };
        let command = self.lookup.get(client.blocked.call.command);
        let paused = self.pause.is_some_and(|pause| pause.holds(command, self.now_ms()));
        if paused {
            self.blocking.postponed.push(to);
        }
        paused
    }

    /// A key that one of this core's clients waits for is ready.
    pub(super) fn on_offer(&mut self, from: CoreId, to: ReplyTo, grant: Option<Box<Grant>>) {
        let postponed = self.postpones(to);
        match grant {
            Some(grant) if postponed => {
                let Grant { txn, loan } = *grant;
                self.send(from, Message::Release { txn, loan, wing: None, after: None });
            }
            Some(grant) => self.try_granted(from, to, *grant),
            None if postponed => {}
            None => self.try_over_shards(to),
        }
    }

    fn try_granted(&mut self, from: CoreId, to: ReplyTo, grant: Grant) {
        let Grant { txn, loan } = grant;
        let message = match self.try_again(to, Some((txn, loan))) {
            Ok(attempt) => {
                self.blocking.served[1] += u64::from(attempt.served);
                self.leave_others(from, to, &attempt);
                let wait = Some(attempt.standing());
                let part = attempt.parts.into_values().next();
                let after = Aftermath { of: to, traces: attempt.traces, part, wait };
                Message::Release { txn, loan: attempt.loan, wing: None, after: Some(Box::new(after)) }
            }
            Err(loan) => Message::Release { txn, loan, wing: None, after: None },
        };
        self.send(from, message);
    }

    /// Tries a client's command as a transaction, unless one is under way: that will see all that is there now.
    fn try_over_shards(&mut self, to: ReplyTo) {
        let Some(client) = self.blocking.client(to).filter(|client| !client.trying) else { return };
        client.trying = true;
        let (call, args) = (client.blocked.call, client.blocked.args.clone());
        let command = self.lookup.get(call.command);
        let (args, mut keys) = (args.slices(), Keys::new());
        self.find_keys(command, command.keys, &args, &mut keys).expect("they were found when it ran");
        self.start_txn(to, call, command, &args, &keys, true);
    }

    /// The transaction that tried a client's command has got all it needs.
    pub(super) fn ends_trying(&mut self, to: ReplyTo) {
        if let Some(client) = self.blocking.client(to) {
            client.trying = false;
        }
    }

    /// Runs the command of a client that waits once more: on borrowed entries, or on this shard. `Err` returns the entries
    /// if it waits no more.
    pub(super) fn try_again(&mut self, to: ReplyTo, lent: Option<(TxnId, Loan)>) -> Result<Attempt, Loan> {
        let (txn, loan) = lent.map_or((None, None), |(txn, loan)| (Some(txn), Some(loan)));
        let Some(client) = self.blocking.client(to) else { return Err(loan.unwrap_or_default()) };
        let (call, args) = (client.blocked.call, std::mem::take(&mut client.blocked.args));
        let mut out = self.spare_buffer();
        let slices = args.slices();
        let command = self.lookup.get(call.command);
        self.set_author(to.client, command);
        let here = loan.is_none();
        let ran = match loan {
            Some(loan) => {
                self.workbench.receive(loan);
                self.run_on_workbench(call, &slices, &mut out)
            }
            None => self.run_on_shard(call, &slices, None, &mut out),
        };
        self.log_effects();
        let mut parts = txn.map_or_else(LogParts::new, |txn| self.parts_of(txn, ran.effects, false));
        let served = ran.wait.is_none();
        let mut shards = SmallVec::new();
        let mut traces = Traces { changed: ran.changed, by: self.author, ..Traces::default() };
        if served {
            shards = self.forget_wait(to.client).map(|client| client.shards).unwrap_or_default();
            let whose = Whose { core: self.core, to };
            self.account(command, &slices, whose, ran.error.as_ref());
            if call.track && here {
                self.remember_args(whose, command, &slices);
            } else {
                traces.read = self.reads_of(to, call, &slices);
            }
            let until = match here && self.is_durable(call) {
                true => self.log_end(),
                false => 0,
            };
            drop(slices);
            if !self.is_safe(until) {
                self.awaken(to);
                self.reply_when_safe(until, self.core, to, out);
            } else if self.is_durable(call) {
                self.awaken(to);
                if let Some(out) = self.await_parts(&mut parts, to, true, out) {
                    self.end_wait(to, out);
                }
            } else {
                self.end_wait(to, out);
            }
        } else {
            drop(slices);
            self.blocking.client(to).expect("it still waits").blocked.args = args;
            self.recycle_buffer(out);
        }
        self.publish_events();
        Ok(Attempt { served, shards, loan: ran.loan, traces, parts })
    }
}
