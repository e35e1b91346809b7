//! The coordinator's part of commands over several shards: cutting a command into parts, and carrying out what
//! [`Txn`] says next.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::command::keys::KeyPlan;
use crate::command::lookup::Command;
use crate::command::spec::{Flags, Spread};
use crate::core::dispatch::{Keys, Whose};
use crate::core::remote::Ran;
use crate::core::state::CoreState;
use crate::execute::{Exec, Wait, sort};
use crate::net::client::{ReplyMode, Waiting};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::{
    Access, Aftermath, Args, Call, Loan, LogParts, OwnedArgs, Place, ReplyTo, Standing, Traces, TxnId,
};
use crate::runtime::io::CoreId;
use crate::shard::{DbKey, Effects, Key, Slot, Wing};
use crate::txn::coordinator::{Participant, Step, Txn, Work};
use crate::txn::merge::merge;

/// What a transaction has borrowed.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// Entries of keys.
    pub loan: Loan,
    /// The databases of other shards.
    pub wings: Vec<Wing>,
}

impl From<Loan> for Lent {
    fn from(loan: Loan) -> Lent {
        Lent { loan, wings: Vec::new() }
    }
}

impl CoreState {
    /// Starts a command over several shards. Its client waits already, or waits for keys and tries `again`.
    pub(super) fn start_txn(
        &mut self,
        to: ReplyTo,
        call: Call,
        command: &'static Command,
        args: &[&[u8]],
        keys: &[(usize, Key<'_>)],
        again: bool,
    ) {
        self.stats.transactions += 1;
        let (work, participants) = match command.entry.spec.spread {
            Spread::Shards(how) => (Work::Each(how), self.every_shard(args)),
            Spread::Split(how) => (Work::Each(how), self.split(command, args, keys)),
            Spread::Patterns if sort::follows_patterns(args) => (Work::Whole, self.whole_shards()),
            _ => (Work::Borrow, self.borrow_from(keys)),
        };
        let id = TxnId { coordinator: self.core, number: self.next_number() };
        let shared = !command.flags.contains(Flags::WRITE) && matches!(work, Work::Each(_));
        let started = self.last_ticks;
        let mut txn = Txn::new(id, to, call, OwnedArgs::new(args), work, shared, started, participants);
        txn.again = again;
        txn.durable = self.is_durable(call);
        self.launch(txn);
    }

    /// Sets a transaction going.
    pub(super) fn launch(&mut self, txn: Txn) {
        let messages = txn.start();
        self.txns.insert(txn.id.number, txn);
        for (core, message) in messages {
            self.send(core, message);
        }
    }

    fn every_shard(&self, args: &[&[u8]]) -> Vec<Participant> {
        self.map
            .all()
            .map(|shard| Participant::new(shard, Access::Shard, OwnedArgs::new(args), Vec::new()))
            .collect()
    }

    /// Gives every shard the command with its own keys and what belongs to them (the values of `MSET`).
    fn split(&self, command: &Command, args: &[&[u8]], keys: &[(usize, Key<'_>)]) -> Vec<Participant> {
        let step = match command.keys {
            KeyPlan::Range(range) => range.step,
            _ => 1,
        };
        self.by_owner(keys)
            .into_iter()
            .map(|(shard, places)| {
                let mut part: Args<'_> = SmallVec::from_slice(&args[..1]);
                for &place in &places {
                    let at = keys[place].0;
                    part.extend_from_slice(&args[at..at + step]);
                }
                let access = Access::Keys(places.iter().map(|&place| keys[place].1.hash).collect());
                Participant::new(shard, access, OwnedArgs::new(&part), places)
            })
            .collect()
    }

    /// The owners of keys, each to lend their entries.
    pub(super) fn borrow_from(&self, keys: &[(usize, Key<'_>)]) -> Vec<Participant> {
        self.by_owner(keys)
            .into_iter()
            .map(|(shard, places)| {
                let names: Args<'_> = places.iter().map(|&place| keys[place].1.bytes).collect();
                let access = Access::Keys(places.iter().map(|&place| keys[place].1.hash).collect());
                Participant::new(shard, access, OwnedArgs::new(&names), places)
            })
            .collect()
    }

    /// All shards, because it cannot be told which keys are used.
    pub(super) fn whole_shards(&self) -> Vec<Participant> {
        let participant = |shard| Participant::new(shard, Access::Shard, OwnedArgs::default(), Vec::new());
        self.map.all().map(participant).collect()
    }

    /// The owners of keys in ascending order, each with the places of its keys in `keys`.
    fn by_owner(&self, keys: &[(usize, Key<'_>)]) -> Vec<(CoreId, Vec<usize>)> {
        let mut owners = BTreeMap::<CoreId, Vec<usize>>::new();
        for (place, (_, key)) in keys.iter().enumerate() {
            owners.entry(self.map.owner(key.slot)).or_default().push(place);
        }
        owners.into_iter().collect()
    }

    /// Lets a transaction take a step and does what follows from it.
    pub(super) fn advance_txn(&mut self, id: TxnId, step: impl FnOnce(&mut Txn) -> Step) {
        let Some(mut txn) = self.txns.remove(&id.number) else { return };
        match step(&mut txn) {
            Step::Send(messages) => {
                self.txns.insert(id.number, txn);
                for (core, message) in messages {
                    self.send(core, message);
                }
            }
            Step::RunBorrowed(loan, wings) => self.run_borrowed(txn, Lent { loan, wings }),
            Step::Finish(partials) => {
                let how = match txn.work {
                    Work::Each(how) => how,
                    Work::Cut => return self.after_cut(&txn),
                    Work::Borrow | Work::Whole => unreachable!("only work on every shard is merged"),
                };
                let mut out = self.spare_buffer();
                let rng = &mut self.shard.rng;
                merge(how, &partials, &mut Reply::new(&mut out, txn.call.resp), |bound| {
                    rng.below(bound as usize) as u64
                });
                let error = error_in(&out);
                let args = std::mem::take(&mut txn.args);
                self.account_txn(&txn, &args.slices(), error.as_ref());
                self.hand_over(txn.to, &out);
                self.recycle_buffer(out);
            }
        }
    }

    /// Runs what a transaction is for on what it has borrowed, and gives that back, changed or not.
    fn run_borrowed(&mut self, mut txn: Txn, lent: Lent) {
        let (to, call) = (txn.to, txn.call);
        if let Some(program) = txn.program {
            return self.begin_borrowed(program, txn, lent);
        }
        if txn.again {
            self.ends_trying(to);
            return match self.try_again(to, Some((txn.id, lent.loan))) {
                Ok(mut attempt) => {
                    self.blocking.served[2] += u64::from(attempt.served);
                    let (loan, traces) =
                        (std::mem::take(&mut attempt.loan), std::mem::take(&mut attempt.traces));
                    let parts = std::mem::take(&mut attempt.parts);
                    self.give_back(txn, loan.into(), traces, parts, |_| Some(attempt.standing()));
                }
                Err(loan) => self.give_back_unused(txn, loan.into()),
            };
        }
        let command = self.lookup.get(call.command);
        if command.flags.contains(Flags::BLOCKING) && self.clients.get_same(to.conn, to.client).is_none() {
            // Nothing is taken from a key for somebody who is gone.
            return self.give_back_unused(txn, lent);
        }
        let args = std::mem::take(&mut txn.args);
        let args = args.slices();
        let mut out = self.spare_buffer();
        if txn.work == Work::Whole {
            self.unite(lent.wings);
            self.set_author(to.client, command);
            let ran = self.run_on_shard(call, &args, None, &mut out);
            let (wings, mut traces, effects) = self.divide();
            traces.read = self.reads_of(to, call, &args);
            traces.by = self.author;
            let parts = self.finish_borrowed(&txn, &args, out, ran.error.as_ref(), effects);
            self.publish_events();
            return self.give_back(txn, Lent { wings, ..Lent::default() }, traces, parts, |_| None);
        }
        self.workbench.receive(lent.loan);
        self.set_author(to.client, command);
        let ran = self.run_on_workbench(call, &args, &mut out);
        if let Some(wait) = ran.wait {
            self.recycle_buffer(out);
            self.publish_events();
            return self.block_over_shards(txn, command, &args, &wait, (ran.loan, ran.effects));
        }
        let read = self.reads_of(to, call, &args);
        let traces = Traces { changed: ran.changed, by: self.author, read, flushed: false };
        let parts = self.finish_borrowed(&txn, &args, out, ran.error.as_ref(), ran.effects);
        self.publish_events();
        self.give_back(txn, ran.loan.into(), traces, parts, |_| None);
    }

    /// Hands the reply to a command that ran on borrowed entries to its client, or keeps it until what was done is safe. Returns
    /// what each shard has to log.
    fn finish_borrowed(
        &mut self,
        txn: &Txn,
        args: &[&[u8]],
        out: Vec<u8>,
        error: Option<&Error>,
        effects: Effects,
    ) -> LogParts {
        let saw_here = self.has_seen_here(txn);
        let mut parts = self.parts_of(txn.id, effects, saw_here);
        let out = match txn.durable {
            true => self.await_parts(&mut parts, txn.to, false, out),
            false => Some(out),
        };
        self.account_txn(txn, args, error);
        if let Some(out) = out {
            self.hand_over(txn.to, &out);
            self.recycle_buffer(out);
        }
        parts
    }

    /// The keys that a command of this core's client reads, if they are to be remembered.
    pub(super) fn reads_of(&mut self, to: ReplyTo, call: Call, args: &[&[u8]]) -> Vec<Box<[u8]>> {
        if !call.track || self.clients.get_same(to.conn, to.client).is_none() {
            return Vec::new();
        }
        let command = self.lookup.get(call.command);
        self.names_of(command, args).into_iter().map(Box::from).collect()
    }

    /// The databases of all other shards are here: from now on this shard holds the whole keyspace.
    pub(super) fn unite(&mut self, wings: Vec<Wing>) {
        // What happens to whole databases is noted for keys of interest only: those of the others are so here, too.
        for (db, key) in wings.iter().flat_map(|wing| &wing.interest) {
            self.shard.modified.add(*db, key);
        }
        self.shard.dbs.attach(wings);
        self.shard.modified.note_every(true);
        self.log_effects();
        self.shard.effects.set_each_key(true);
    }

    /// Ends that. Returns what is to be given back, what has changed, and what is to be logged.
    pub(super) fn divide(&mut self) -> (Vec<Wing>, Traces, Effects) {
        self.shard.effects.set_each_key(false);
        let effects = self.shard.effects.take();
        let changed = std::iter::from_fn(|| self.shard.modified.take()).collect();
        // Each shard tells its own.
        let flushed = self.shard.modified.take_news().flushed;
        self.shard.modified.note_every(false);
        let wings = self.shard.dbs.detach();
        for (db, key) in wings.iter().flat_map(|wing| &wing.interest) {
            self.shard.modified.remove(*db, key);
        }
        (wings, Traces { changed, flushed, ..Traces::default() }, effects)
    }

    /// A command has found nothing on several shards: its client waits from now on.
    fn block_over_shards(
        &mut self,
        mut txn: Txn,
        command: &'static Command,
        args: &[&[u8]],
        wait: &Wait,
        (loan, effects): (Loan, Effects),
    ) {
        let Txn { to, call, .. } = txn;
        let Some(client) = self.clients.get_same(to.conn, to.client) else { unreachable!("it was there") };
        let to = ReplyTo { sequence: client.row.leave_gap(), ..to };
        let blocked = self.blocked(call, args, wait);
        let mut places: BTreeMap<CoreId, Place> =
            self.map.all().map(|shard| (shard, self.place_on(shard, call, command, args, wait))).collect();
        places.retain(|_, place| !place.keys.is_empty());
        let shards = places.keys().copied().collect();
        txn.to = to;
        let parts = self.parts_of(txn.id, effects, false);
        self.give_back(txn, loan.into(), Traces::default(), parts, |shard| {
            places.remove(&shard).map(Standing::Joins)
        });
        self.begin_wait(to, blocked, shards);
        // The wait may be long.
        self.release_pushes(to.conn);
    }

    /// Runs a command on the borrowed entries on the workbench, its reply into `out`.
    pub(super) fn run_on_workbench(&mut self, call: Call, args: &[&[u8]], out: &mut Vec<u8>) -> Ran {
        let (command, handler) = self.handler_of(call);
        self.workbench.touch = !call.no_touch;
        let reply = Reply::new(out, call.resp);
        let mut exec = Exec::new(args, &mut self.workbench, usize::from(call.db), reply, None);
        let result = exec.run(handler);
        let wait = exec.wait.take().map(Box::new);
        self.stats.changes += exec.changes;
        let mut keys = Keys::new();
        self.find_keys(command, command.keys, args, &mut keys)
            .expect("they were found when the transaction began");
        let (loan, changed) = self.clear_workbench(keys.iter().map(|(_, key)| key.bytes));
        let effects = self.workbench.effects.take();
        Ran { error: result.err(), wait, loan, changed, effects }
    }

    /// Gives back what was borrowed, with what was done to it and what a client that may wait does on each shard.
    pub(super) fn give_back(
        &mut self,
        txn: Txn,
        lent: Lent,
        traces: Traces,
        mut parts: LogParts,
        mut standing: impl FnMut(CoreId) -> Option<Standing>,
    ) {
        let map = self.map;
        let owner = |slot| map.owner(slot);
        let of = txn.to;
        let after = |shard| {
            let is_there = |key: &[u8]| owner(Slot::of(key)) == shard;
            let changed: Vec<DbKey> =
                traces.changed.iter().filter(|(_, key)| is_there(key)).cloned().collect();
            let read: Vec<Box<[u8]>> = traces.read.iter().filter(|key| is_there(key)).cloned().collect();
            let wait = standing(shard);
            let part = parts.remove(&shard);
            let matters =
                wait.is_some() || part.is_some() || traces.flushed || !changed.is_empty() || !read.is_empty();
            let traces = Traces { changed, read, ..traces };
            matters.then(|| Box::new(Aftermath { of, traces, part, wait }))
        };
        for (core, message) in txn.give_back(lent.loan, lent.wings, owner, after) {
            self.send(core, message);
        }
    }

    /// Gives back what was borrowed and not touched.
    pub(super) fn give_back_unused(&mut self, txn: Txn, lent: Lent) {
        self.give_back(txn, lent, Traces::default(), LogParts::new(), |_| None);
    }

    /// Takes the entries of these keys from the workbench, and the keys that have changed there.
    pub(super) fn clear_workbench<'a>(
        &mut self,
        names: impl Iterator<Item = &'a [u8]>,
    ) -> (Loan, Vec<DbKey>) {
        let mut loan = Loan::new();
        names.for_each(|name| self.workbench.lend(&self.workbench.key(name), &mut loan));
        self.shard.garbage.append(&mut self.workbench.garbage);
        (loan, std::iter::from_fn(|| self.workbench.modified.take()).collect())
    }

    fn account_txn(&mut self, txn: &Txn, args: &[&[u8]], error: Option<&Error>) {
        let command = self.lookup.get(txn.call.command);
        let whose = Whose { core: self.core, to: txn.to };
        self.account_since(txn.started_ticks, command, args, whose, error);
    }

    /// Hands the reply to a transaction or program to its client, and lets that go on.
    pub(super) fn hand_over(&mut self, to: ReplyTo, out: &[u8]) {
        let Some(client) = self.clients.get_same(to.conn, to.client) else { return };
        if client.session.reply_mode == ReplyMode::On {
            client.row.write(|row| row.extend_from_slice(out));
            CoreState::mark_dirty(&mut self.dirty, client);
        }
        if client.waiting == Waiting::Txn {
            client.waiting = Waiting::No;
            self.runnable.push_back(to.conn);
        }
        self.finish_muted(to.conn);
        self.release_pushes(to.conn);
    }
}

/// The error that an encoded reply is, if it is one.
pub(super) fn error_in(reply: &[u8]) -> Option<Error> {
    let text = reply.strip_prefix(b"-")?.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(text).into_owned().into())
}
