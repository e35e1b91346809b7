//! Messages of other cores (and of this core to itself): commands on keys of this shard, a participant's part in
//! transactions, questions.

use crate::admin;
use crate::aof::frame;
use crate::command::keys::KeyPlan;
use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::command_table::Run;
use crate::core::dispatch::{Keys, WINDOW, Whose, access_of};
use crate::core::state::{CoreState, Waiter};
use crate::execute::{self, Exec, Wait};
use crate::net::client::{ReplyMode, Waiting};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::{
    Access, Acquire, Aftermath, Answer, Batch, Call, Lend, Loan, Message, OwnedArgs, Performance, Query,
    ReplyTo, TxnId,
};
use crate::runtime::io::CoreId;
use crate::shard::{DbKey, Effects, Key, KeyDigest, Wing};
use crate::txn::locks::TicketId;
use crate::txn::watches::Watcher;

/// What came of running a handler, besides its reply.
#[derive(Default)]
pub(super) struct Ran {
    /// What it replied, if that is an error.
    pub error: Option<Error>,
    /// What it waits for, if it has found nothing and not replied.
    pub wait: Option<Box<Wait>>,
    /// The borrowed entries that it ran on, as they are now.
    pub loan: Loan,
    /// The keys of those that it has changed.
    pub changed: Vec<DbKey>,
    /// What it has done to them, to be logged.
    pub effects: Effects,
}

impl CoreState {
    /// Handles all messages of a batch, and returns it for reuse.
    pub fn on_batch(&mut self, from: CoreId, mut batch: Batch) -> Batch {
        if self.loading.is_some() {
            // Whoever sent this may have found that everything is loaded.
            self.load_some();
        }
        self.last_ticks = self.clock.ticks();
        let mut messages = std::mem::take(&mut batch.messages);
        let mut to_come = messages.drain(..);
        while to_come.len() > 0 {
            self.prefetch_runs(to_come.as_slice());
            for message in to_come.by_ref().take(WINDOW) {
                self.on_message(from, &batch, message);
            }
        }
        drop(to_come);
        batch.messages = messages;
        batch.recycle()
    }

    /// Asks the processor for what the next commands will look up; see `CoreState::prefetch`.
    fn prefetch_runs(&self, messages: &[Message]) {
        let mut runs = messages.iter().take(WINDOW).filter_map(|message| match message {
            Message::Run { call, key: Some(key), .. } => Some((call.db, *key)),
            _ => None,
        });
        if let Some((db, first)) = runs.next() {
            // Nearly always the same database; another one's keys are merely fetched in vain.
            self.shard.dbs[usize::from(db)].prefetch(std::iter::once(first).chain(runs.map(|(_, key)| key)));
        }
    }

    /// Handles this core's messages to itself, those that arise meanwhile included.
    pub fn run_own_messages(&mut self) {
        let none = Batch::default();
        while let Some(message) = self.to_self.pop_front() {
            self.on_message(self.core, &none, message);
        }
    }

    fn on_message(&mut self, from: CoreId, batch: &Batch, message: Message) {
        match message {
            Message::Adopt(socket) => self.adopt(*socket),
            Message::Run { to, call, args, key } => self.on_run(from, to, call, &batch.args(args), key),
            Message::Reply { to, bytes } => self.on_reply(to, &batch.bytes[bytes]),
            Message::Acquire { acquire, wait } => self.on_acquire(acquire, wait),
            Message::Granted { txn, loan, wing, unchanged } => {
                self.advance_txn(txn, |txn| txn.on_granted(from, loan, wing, unchanged));
            }
            Message::Refused { txn } => {
                self.stats.transactions_contended += 1;
                self.advance_txn(txn, |txn| txn.on_refused());
            }
            Message::Perform { txn, of, call, performance } => {
                self.on_perform(txn, of, call, *performance);
            }
            Message::Safe { number } => self.on_safe(number),
            Message::Stable(part) => self.on_part_stable(from, *part),
            Message::Wanted { txn } => self.on_part_wanted(txn),
            Message::Hasten { txn } => self.hasten_part(txn),
            Message::Settled { txn } => self.on_part_settled(txn),
            Message::Cut { txn } => self.on_cut(txn),
            Message::Performed { txn, reply, keys } => {
                self.advance_txn(txn, |txn| txn.on_performed(from, reply, keys));
            }
            Message::Release { txn, loan, wing, after } => self.on_release(from, txn, loan, wing, after),
            Message::Unwatch { client } => {
                self.watches.unwatch(Watcher { core: from, client }, &mut self.shard.modified);
            }
            Message::Blocked { to, blocked } => self.on_blocked(from, to, *blocked),
            Message::Offer { to, grant } => self.on_offer(from, to, grant),
            Message::Withdraw { to } => self.on_withdraw(from, to),
            Message::Ask { number, query } => self.on_ask(from, number, *query),
            Message::Answer { number, answer } => self.on_answer(from, number, answer),
            Message::Slow { to, at_s, duration_us, args } => {
                self.log_slow(to, at_s, duration_us, &args.slices());
            }
            Message::Publish { shard, args } => {
                let args = batch.args(args);
                self.on_publish(args[0], args[1], shard);
            }
            Message::Invalidate { conn, client, own, key } => {
                self.on_invalidate(conn, client, own, batch.args(key)[0]);
            }
            Message::Modified { by, key } => self.on_modified(by, batch.args(key)[0]),
            Message::Flushed => self.on_flushed(from),
            Message::Redirect { to, of, keys } => self.on_redirect(from, to, of, &batch.args(keys)),
            Message::Broken { of } => self.on_broken(of),
            Message::Forget { client } => self.tracking.table.forget(client),
            Message::Quiet => self.on_quiet(),
            Message::Monitor { line } => admin::monitor::deliver(self, &line),
        }
    }

    pub(super) fn handler_of(&self, call: Call) -> (&'static Command, execute::Handler) {
        let command = self.lookup.get(call.command);
        let Run::Keys(handler) = command.entry.run else {
            unreachable!("only commands on keys are sent to their owner")
        };
        (command, handler)
    }

    /// A command of another core's client whose keys are all here.
    fn on_run(&mut self, from: CoreId, to: ReplyTo, call: Call, args: &[&[u8]], key: Option<KeyDigest>) {
        if !self.locks.is_empty() {
            let (command, _) = self.handler_of(call);
            let access = self.access_of_args(command, args);
            let shared = !command.flags.contains(Flags::WRITE);
            if !self.locks.admits(&access, shared) {
                self.wait_in_line(access, shared, Waiter::Run { from, to, call, args: OwnedArgs::new(args) });
                return;
            }
        }
        self.run_for(Whose { core: from, to }, call, args, key);
        self.serve();
    }

    /// Runs a command and sends its reply to the core of its client.
    fn run_for(&mut self, whose: Whose, call: Call, args: &[&[u8]], key: Option<KeyDigest>) {
        let (command, _) = self.handler_of(call);
        let Whose { core: from, to } = whose;
        let mut out = std::mem::take(&mut self.outboxes[from.index()].bytes);
        let start = out.len();
        let key = match (key, command.keys) {
            (Some(digest), KeyPlan::One(at)) => Some((at, Key::with_digest(args[at], digest))),
            _ => None,
        };
        self.set_author(to.client, command);
        let ran = self.run_on_shard(call, args, key, &mut out);
        self.log_effects();
        if let Some(wait) = ran.wait {
            self.outboxes[from.index()].bytes = out;
            self.block(whose, call, command, args, &wait);
            return self.publish_events();
        }
        self.account(command, args, whose, ran.error.as_ref());
        let until = if self.is_durable(call) { self.depends_on_args(command, args, key) } else { 0 };
        if !self.is_safe(until) {
            let reply = out.split_off(start);
            self.outboxes[from.index()].bytes = out;
            self.reply_when_safe(until, from, to, reply);
        } else if from == self.core {
            self.on_reply(to, &out[start..]);
            out.truncate(start);
            self.outboxes[from.index()].bytes = out;
        } else {
            let outbox = &mut self.outboxes[from.index()];
            let bytes = start..out.len();
            outbox.bytes = out;
            outbox.messages.push(Message::Reply { to, bytes });
        }
        if call.track {
            self.remember_args(whose, command, args);
        }
        self.publish_events();
    }

    /// Runs a command on this shard, its reply into `out`.
    pub(super) fn run_on_shard(
        &mut self,
        call: Call,
        args: &[&[u8]],
        key: Option<(usize, Key<'_>)>,
        out: &mut Vec<u8>,
    ) -> Ran {
        let (_, handler) = self.handler_of(call);
        self.shard.touch = !call.no_touch;
        let mut exec =
            Exec::new(args, &mut self.shard, usize::from(call.db), Reply::new(out, call.resp), key);
        let result = exec.run(handler);
        self.stats.changes += exec.changes;
        Ran { error: result.err(), wait: exec.wait.map(Box::new), ..Ran::default() }
    }

    /// See [`CoreState::depends_on`]; `key` is the command's only one, if it is known.
    fn depends_on_args(&self, command: &Command, args: &[&[u8]], key: Option<(usize, Key<'_>)>) -> u64 {
        let mut keys = Keys::new();
        match key {
            Some(key) => keys.push(key),
            None => {
                self.find_keys(command, command.keys, args, &mut keys).ok();
            }
        }
        self.depends_on(&keys)
    }

    fn access_of_args(&self, command: &Command, args: &[&[u8]]) -> Access {
        let mut keys = Default::default();
        // A command whose keys cannot be told has been refused where it came in.
        self.find_keys(command, command.keys, args, &mut keys).ok();
        access_of(command, &keys)
    }

    /// The reply of a command that was sent to another core, or held back here.
    pub(super) fn on_reply(&mut self, to: ReplyTo, reply: &[u8]) {
        let Some(client) = self.clients.get_same(to.conn, to.client) else { return };
        let muted = client.session.reply_mode != ReplyMode::On;
        client.note_remote_reply(reply.len());
        if client.row.is_bare()
            && let Some(spare) = self.spare_buffers.pop()
        {
            client.row.lend(spare);
        }
        client.row.fill(to.sequence, if muted { b"" } else { reply });
        CoreState::mark_dirty(&mut self.dirty, client);
        if client.waiting == Waiting::Replies && client.row.gaps() == 0 {
            client.waiting = Waiting::No;
            self.runnable.push_back(to.conn);
        }
        if muted {
            self.finish_muted(to.conn);
        }
    }

    /// Puts a waiter in line for a part of the shard that is reserved.
    pub(super) fn wait_in_line(&mut self, access: Access, shared: bool, waiter: Waiter) {
        self.locks.acquire(access, shared, waiter).expect_err("whoever is admitted does not wait");
    }

    fn on_acquire(&mut self, acquire: Box<Acquire>, wait: bool) {
        let (access, shared) = (acquire.access.clone(), acquire.shared);
        if !wait && !self.locks.admits(&access, shared) {
            return self.send(acquire.txn.coordinator, Message::Refused { txn: acquire.txn });
        }
        // The waiter is made up front: it is needed only if the ticket has to wait.
        match self.locks.acquire(access, shared, Waiter::Txn(acquire.clone())) {
            Ok(ticket) => self.grant(ticket, *acquire),
            Err(ticket) => {
                self.tickets.insert(acquire.txn, ticket);
            }
        }
    }

    /// Hands over to a transaction what it has reserved.
    fn grant(&mut self, ticket: TicketId, acquire: Acquire) {
        let Acquire { txn, lend, watcher, durable, .. } = acquire;
        self.tickets.insert(txn, ticket);
        let unchanged =
            watcher.is_none_or(|client| self.is_unchanged(Watcher { core: txn.coordinator, client }));
        let (mut loan, mut wing, mut until) = (Loan::new(), None, 0);
        match lend {
            Lend::Nothing => {}
            Lend::Keys(names) => {
                let names = names.slices();
                let keys: Keys<'_> = names.iter().map(|name| (0, self.shard.key(name))).collect();
                keys.iter().for_each(|(_, key)| self.shard.lend(key, &mut loan));
                until = self.depends_on(&keys);
            }
            Lend::All => {
                wing = Some(Box::new(self.shard.lend_all()));
                until = self.log_end();
            }
        }
        // What is seen there is told.
        let until = if durable { until } else { 0 };
        self.send_when_safe(until, txn.coordinator, Message::Granted { txn, loan, wing, unchanged });
    }

    fn on_perform(&mut self, txn: TxnId, of: ReplyTo, call: Call, performance: Performance) {
        let Performance { args, participants } = performance;
        let args = &args.slices()[..];
        let mut reply = Vec::new();
        let command = self.lookup.get(call.command);
        self.set_author(of.client, command);
        // The coordinator counts the command, once for all participants.
        self.run_on_shard(call, args, None, &mut reply);
        let writes = command.flags.contains(Flags::WRITE);
        if self.journal.is_on() && writes {
            let (coordinator, number) = (txn.coordinator.0, txn.number);
            self.log_pending_effects(Some(&frame::Txn { coordinator, number, participants }));
        } else {
            self.log_effects();
        }
        self.publish_events();
        let keys = self.shard.dbs[usize::from(call.db)].len() as u64;
        let until = match self.is_durable(call) {
            true if writes => self.log_end(),
            true => self.depends_on_args(command, args, None),
            false => 0,
        };
        self.send_when_safe(until, txn.coordinator, Message::Performed { txn, reply, keys });
        if call.track {
            self.remember_args(Whose { core: txn.coordinator, to: of }, command, args);
        }
        let changed = self.take_changes();
        if !self.pass_on(txn, changed, Vec::new()) {
            self.let_go(txn);
        }
        self.serve_pending();
    }

    fn on_release(
        &mut self,
        from: CoreId,
        txn: TxnId,
        loan: Loan,
        wing: Option<Box<Wing>>,
        after: Option<Box<Aftermath>>,
    ) {
        let in_sight = self.receive_loan(loan);
        if let Some(wing) = wing {
            self.shard.dbs.take_back(*wing);
        }
        let mut changed = Vec::new();
        if let Some(after) = after {
            let Aftermath { of, traces, part, wait } = *after;
            if let Some(part) = part {
                self.on_part(from, &part);
            }
            self.tell(&traces.changed);
            self.follow(Whose { core: from, to: of }, &traces);
            if let Some(standing) = wait {
                self.on_standing(from, of, standing);
            }
            changed = traces.changed;
        }
        if !self.pass_on(txn, changed, in_sight) {
            self.let_go(txn);
        }
        self.serve_pending();
    }

    /// Ends a transaction's reservation and runs those whose turn has come.
    pub(super) fn let_go(&mut self, txn: TxnId) {
        if let Some(ticket) = self.tickets.remove(&txn) {
            self.release_ticket(ticket);
        }
    }

    /// Gives a ticket up and runs those whose turn has come.
    pub(super) fn release_ticket(&mut self, ticket: TicketId) {
        let mut granted = std::collections::VecDeque::from(self.locks.release(ticket));
        while let Some((ticket, waiter)) = granted.pop_front() {
            match waiter {
                Waiter::Txn(acquire) => self.grant(ticket, *acquire),
                Waiter::Program(number) => {
                    if self.begin_held(number, ticket) {
                        granted.extend(self.locks.release(ticket));
                    }
                }
                Waiter::Watch { from, number, client } => {
                    self.begin_watch(from, client, number);
                    granted.extend(self.locks.release(ticket));
                }
                Waiter::Run { from, to, call, args } => {
                    self.run_for(Whose { core: from, to }, call, &args.slices(), None);
                    // What is shared with other readers is not given away.
                    let exclusive = self.lookup.get(call.command).flags.contains(Flags::WRITE);
                    if !exclusive || !self.pass_on_ticket(ticket) {
                        granted.extend(self.locks.release(ticket));
                    }
                }
            }
        }
    }

    fn on_ask(&mut self, from: CoreId, number: u64, query: Query) {
        let answer = match query {
            Query::Watch { client, db, keys } => match self.watch(from, client, db, &keys.slices()) {
                Ok(()) => Answer::Done,
                Err(access) => {
                    return self.wait_in_line(access, true, Waiter::Watch { from, number, client });
                }
            },
            Query::LogLibraries { durable } => return self.on_libraries(from, number, durable),
            Query::Logged { wait } => return self.answer_when_logged(from, number, wait),
            Query::Load => match self.shared.load() {
                Some(load) => return self.begin_load(&load, Some((from, number))),
                None => Answer::Done,
            },
            query => admin::query::answer(self, from, query),
        };
        self.send(from, Message::Answer { number, answer });
    }
}
