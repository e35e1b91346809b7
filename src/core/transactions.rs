//! The coordinator's part of commands over several shards: cutting a command into parts, and carrying out what
//! [`Txn`] says next.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::command::keys::{KeyPlan, keys_of};
use crate::command::lookup::Command;
use crate::command::spec::{Flags, Spread};
use crate::command_table::Run;
use crate::core::dispatch::{Keys, Whose};
use crate::core::state::CoreState;
use crate::execute::{Exec, sort};
use crate::net::client::{ReplyMode, Waiting};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::{Access, Args, Call, Loan, Message, OwnedArgs, ReplyTo, TxnId};
use crate::runtime::io::CoreId;
use crate::shard::{Key, Slot};
use crate::txn::coordinator::{Participant, Step, Txn, Work};
use crate::txn::merge::merge;

impl CoreState {
    /// Starts a command over several shards. Its client waits already.
    pub(super) fn start_txn(
        &mut self,
        to: ReplyTo,
        call: Call,
        command: &'static Command,
        args: &[&[u8]],
        keys: &[(usize, Key<'_>)],
    ) {
        self.stats.transactions += 1;
        let (work, participants) = match command.entry.spec.spread {
            Spread::Shards(how) => (Work::Each(how), self.every_shard(args)),
            Spread::Split(how) => (Work::Each(how), self.split(command, args, keys)),
            Spread::Patterns if sort::follows_patterns(args) => (Work::Borrow, self.borrow_from_all(keys)),
            _ => (Work::Borrow, self.borrow_from(keys)),
        };
        let id = TxnId { coordinator: self.core, number: self.next_number() };
        let shared = !command.flags.contains(Flags::WRITE) && work != Work::Borrow;
        let started = self.last_ticks;
        let (txn, messages) =
            Txn::start(id, to, call, OwnedArgs::new(args), work, shared, started, participants);
        self.txns.insert(id.number, txn);
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

    fn borrow_from(&self, keys: &[(usize, Key<'_>)]) -> Vec<Participant> {
        self.by_owner(keys)
            .into_iter()
            .map(|(shard, places)| {
                let names: Args<'_> = places.iter().map(|&place| keys[place].1.bytes).collect();
                let access = Access::Keys(places.iter().map(|&place| keys[place].1.hash).collect());
                Participant::new(shard, access, OwnedArgs::new(&names), places)
            })
            .collect()
    }

    /// Reserves all shards, because it is not known yet which keys the command uses.
    fn borrow_from_all(&self, keys: &[(usize, Key<'_>)]) -> Vec<Participant> {
        let names = |shard| -> Args<'_> {
            let here = keys.iter().filter(|(_, key)| self.map.owner(key.slot) == shard);
            here.map(|(_, key)| key.bytes).collect()
        };
        let participant =
            |shard| Participant::new(shard, Access::Shard, OwnedArgs::new(&names(shard)), Vec::new());
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
            Step::RunBorrowed(loan) => self.run_borrowed(txn, loan),
            Step::Finish(partials) => {
                let Work::Each(how) = txn.work else { unreachable!("only work on every shard is merged") };
                let mut out = self.spare_buffer();
                let rng = &mut self.shard.rng;
                merge(how, &partials, &mut Reply::new(&mut out, txn.call.resp), |bound| {
                    rng.below(bound as usize) as u64
                });
                let error = error_in(&out);
                let args = std::mem::take(&mut txn.args);
                self.finish_txn(&txn, &args.slices(), out, error.as_ref());
            }
        }
    }

    /// Runs a command on borrowed entries and gives them back, changed or not.
    fn run_borrowed(&mut self, mut txn: Txn, loan: Loan) {
        let command = self.lookup.get(txn.call.command);
        let Run::Keys(handler) = command.entry.run else { unreachable!("only commands on keys borrow") };
        self.workbench.receive(loan);
        let args = std::mem::take(&mut txn.args);
        let more = match command.entry.spec.spread {
            Spread::Patterns => self.fetch_more(&mut txn, command, &args.slices()),
            _ => None,
        };
        if let Some(messages) = more {
            txn.args = args;
            self.txns.insert(txn.id.number, txn);
            messages.into_iter().for_each(|(core, message)| self.send(core, message));
            return;
        }
        let args = args.slices();
        let mut out = self.spare_buffer();
        self.workbench.touch = !txn.call.no_touch;
        let reply = Reply::new(&mut out, txn.call.resp);
        let mut exec = Exec::new(&args, &mut self.workbench, usize::from(txn.call.db), reply, None);
        let result = exec.run(handler);
        self.stats.changes += exec.changes;
        self.finish_txn(&txn, &args, out, result.as_ref().err());
        let loan = self.clear_workbench(&txn, command, &args);
        let map = self.map;
        for (core, message) in txn.give_back(loan, |key| map.owner(Slot::of(key))) {
            self.send(core, message);
        }
    }

    /// Takes all borrowed entries from the workbench.
    fn clear_workbench(&mut self, txn: &Txn, command: &'static Command, args: &[&[u8]]) -> Loan {
        let mut keys = Keys::new();
        self.find_keys(command, command.keys, args, &mut keys)
            .expect("they were found when the transaction began");
        let mut loan = Loan::new();
        keys.iter().for_each(|(_, key)| self.workbench.lend(key, &mut loan));
        for name in &txn.fetched {
            self.workbench.lend(&self.workbench.key(name), &mut loan);
        }
        loan
    }

    /// If the command needs further entries, now that the first are on the workbench: the messages that ask for them.
    fn fetch_more(
        &mut self,
        txn: &mut Txn,
        command: &'static Command,
        args: &[&[u8]],
    ) -> Option<Vec<(CoreId, Message)>> {
        let (db, own) = (usize::from(txn.call.db), keys_of(command.spec(), args).unwrap_or_default());
        let is_known =
            |name: &[u8]| txn.fetched.contains(name) || own.iter().any(|key| args[key.index] == name);
        let mut wanted = sort::keys_to_fetch(&mut self.workbench, db, args, is_known);
        wanted.sort_unstable();
        wanted.dedup();
        let mut shards = BTreeMap::<CoreId, Vec<Vec<u8>>>::new();
        for name in wanted {
            shards.entry(self.map.owner(Slot::of(&name))).or_default().push(name);
        }
        if shards.is_empty() {
            return None;
        }
        let loan = self.clear_workbench(txn, command, args);
        Some(txn.fetch(loan, shards))
    }

    /// Counts the command, hands the reply to the client and lets it go on.
    fn finish_txn(&mut self, txn: &Txn, args: &[&[u8]], out: Vec<u8>, error: Option<&Error>) {
        let command = self.lookup.get(txn.call.command);
        let whose = Whose { core: self.core, to: txn.to };
        self.account_since(txn.started_ticks, command, args, whose, error);
        if let Some(client) = self.clients.get_same(txn.to.conn, txn.to.client) {
            client.waiting = Waiting::No;
            if client.session.reply_mode == ReplyMode::On {
                client.row.write(|row| row.extend_from_slice(&out));
                CoreState::mark_dirty(&mut self.dirty, client);
            }
            self.runnable.push_back(txn.to.conn);
            self.finish_muted(txn.to.conn);
        }
        self.recycle_buffer(out);
    }
}

/// The error that an encoded reply is, if it is one.
fn error_in(reply: &[u8]) -> Option<Error> {
    let text = reply.strip_prefix(b"-")?.strip_suffix(b"\r\n")?;
    Some(String::from_utf8_lossy(text).into_owned().into())
}
