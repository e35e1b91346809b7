//! Programs: several commands that run as one, strictly serializable (`MULTI` ... `EXEC`).
//!
//! A program runs on the core of its client, so that commands about the session can be a part of it. Its keys are
//! - all on this shard: it runs at once, without a message or a lock, or stands in line if somebody has reserved a key;
//! - on several shards: a transaction borrows their entries, and it runs on the workbench;
//! - not known before (`KEYS`, `SCAN`, `SORT ... BY`): a transaction borrows the databases of all shards.
//!
//! Nearly always it then runs to its end within one turn. A command that has to ask all cores (`CLIENT LIST`) *suspends* it:
//! what it uses stays reserved until the answers are there.
//!
//! Invariant: a program in `programs` waits for a grant or for answers, and its client for it ([`Waiting::Txn`]).

use std::collections::BTreeMap;

use crate::admin::{Cx, Flow};
use crate::command::lookup::Command;
use crate::command::spec::Spread;
use crate::command_table::Run;
use crate::core::dispatch::{Keys, Next, Whose, wait_for_replies};
use crate::core::state::{CoreState, Waiter};
use crate::core::transactions::Lent;
use crate::execute::{Exec, Handler, sort};
use crate::net::client::{ReplyMode, Waiting};
use crate::net::multi::Multi;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::{Access, Args, Call, OwnedArgs, ReplyTo, TxnId};
use crate::runtime::io::{ConnId, CoreId};
use crate::shard::{Key, Slot};
use crate::txn::coordinator::{Participant, Txn, Work};
use crate::txn::locks::TicketId;

const WITHOUT_MULTI: Error = Error::text("ERR EXEC without MULTI");
const ABORTED: Error = Error::text("EXECABORT Transaction discarded because of previous errors.");
const CLIENT_GONE: Error = Error::text("ERR the client is gone");

/// What keeps others away from what a program uses.
#[derive(Debug)]
enum Hold {
    /// Nothing: it runs within one turn.
    Nothing,
    /// A reservation on this shard.
    Ticket(TicketId),
    /// A transaction, whose entries are on the workbench, or whose databases are with this shard.
    Txn(Box<Txn>),
}

/// A program under way. See the module.
#[derive(Debug)]
pub struct Program {
    to: ReplyTo,
    /// `EXEC`, with the session's choices as they are now.
    call: Call,
    commands: Box<Multi>,
    /// The number of the next command.
    next: usize,
    /// The replies so far.
    out: Vec<u8>,
    /// Where the reply of the present command begins.
    part: usize,
    started_ticks: u64,
    /// What it uses of this shard, if it uses no other.
    access: Access,
    hold: Hold,
}

/// What came of running a program.
enum Progress {
    Done,
    /// It waits for answers.
    Asks,
}

/// The keys that commands use.
struct Reach<'a> {
    keys: Vec<Key<'a>>,
    /// Any key may be used.
    everything: bool,
}

impl CoreState {
    /// `EXEC`.
    pub(super) fn run_exec(&mut self, conn: ConnId, command: &'static Command, args: &[&[u8]]) -> Next {
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        if client.row.gaps() > 0 {
            return wait_for_replies(client);
        }
        let Some(commands) = client.session.multi.take() else {
            return self.refuse_exec(conn, command, args, &WITHOUT_MULTI);
        };
        if commands.broken {
            self.unwatch(conn);
            return self.refuse_exec(conn, command, args, &ABORTED);
        }
        let to = ReplyTo { conn, client: client.id, sequence: 0 };
        let call = CoreState::call_of(client, command);
        let watched = std::mem::take(&mut client.session.watched);
        let mut reach = self.reach_of(&commands);
        reach.keys.extend(watched.iter().map(|(_, name)| self.shard.key(name)));
        let is_here = |key: &Key<'_>| self.map.owner(key.slot) == self.core;
        let here = self.map.shards() == 1 || !reach.everything && reach.keys.iter().all(is_here);
        let access = match reach.everything {
            true => Access::Shard,
            false => Access::Keys(reach.keys.iter().map(|key| key.hash).collect()),
        };
        let number = self.next_number();
        let started_ticks = self.last_ticks;
        let participants = (!here).then(|| self.participants_of(&reach));
        drop(reach);
        let mut program = Program {
            to,
            call,
            commands,
            next: 0,
            out: Vec::new(),
            part: 0,
            started_ticks,
            access,
            hold: Hold::Nothing,
        };
        if let Some(client) = self.clients.get_mut(conn) {
            // Until it has run; what changes before counts.
            client.session.watched = watched;
        }
        if let Some((work, participants)) = participants {
            let id = TxnId { coordinator: self.core, number: self.next_number() };
            let mut txn =
                Txn::new(id, to, call, OwnedArgs::new(args), work, false, started_ticks, participants);
            txn.program = Some(number);
            txn.watcher = Some(to.client);
            self.stats.transactions += 1;
            self.suspend(number, program);
            self.launch(txn);
        } else if self.locks.admits(&program.access, false) {
            if self.is_unchanged(self.watcher(to.client)) {
                self.begin(&mut program);
                self.go_on(number, program);
            } else {
                self.abandon(program);
            }
        } else {
            let access = program.access.clone();
            self.suspend(number, program);
            self.wait_in_line(access, false, Waiter::Program(number));
        }
        Next::Taken
    }

    fn refuse_exec(
        &mut self,
        conn: ConnId,
        command: &'static Command,
        args: &[&[u8]],
        error: &Error,
    ) -> Next {
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        let whose = Whose::new(self.core, conn, client.id);
        if client.session.reply_mode == ReplyMode::On {
            client.row.write(|out| Reply::new(out, Default::default()).error(error));
        }
        self.account(command, args, whose, Some(error));
        self.finish_muted(conn);
        Next::Taken
    }

    /// The keys that commands use, as far as their arguments tell.
    fn reach_of<'a>(&self, commands: &'a Multi) -> Reach<'a> {
        let mut reach = Reach { keys: Vec::with_capacity(commands.len()), everything: false };
        for (id, args) in commands.iter() {
            let command = self.lookup.get(id);
            if !matches!(command.entry.run, Run::Keys(_)) {
                continue;
            }
            reach.everything |= match command.spec().spread {
                Spread::Shards(_) | Spread::Cursor => true,
                Spread::Patterns => sort::follows_patterns(&args),
                Spread::Local | Spread::Keys | Spread::Split(_) => false,
            };
            let mut keys = Keys::new();
            // Without keys the handler refuses the arguments.
            if self.find_keys(command, command.keys, &args, &mut keys).is_ok() {
                reach.keys.extend(keys.into_iter().map(|(_, key)| key));
            }
        }
        reach
    }

    fn participants_of(&self, reach: &Reach<'_>) -> (Work, Vec<Participant>) {
        if reach.everything {
            return (Work::Whole, self.whole_shards());
        }
        let mut owners = BTreeMap::<CoreId, Vec<&Key<'_>>>::new();
        for key in &reach.keys {
            owners.entry(self.map.owner(key.slot)).or_default().push(key);
        }
        let participant = |(shard, keys): (CoreId, Vec<&Key<'_>>)| {
            let names: Args<'_> = keys.iter().map(|key| key.bytes).collect();
            let access = Access::Keys(keys.iter().map(|key| key.hash).collect());
            Participant::new(shard, access, OwnedArgs::new(&names), Vec::new())
        };
        (Work::Borrow, owners.into_iter().map(participant).collect())
    }

    /// Keeps a program until it can go on; its client waits.
    fn suspend(&mut self, number: u64, program: Program) {
        if let Some(client) = self.clients.get_same(program.to.conn, program.to.client) {
            client.waiting = Waiting::Txn;
        }
        self.programs.insert(number, program);
    }

    /// The reservation that a program stood in line for is granted. Returns whether the reservation is to be released.
    pub(super) fn begin_held(&mut self, number: u64, ticket: TicketId) -> bool {
        let Some(mut program) = self.programs.remove(&number) else { return true };
        if !self.may_begin(&program, self.is_unchanged(self.watcher(program.to.client))) {
            self.abandon(program);
            return true;
        }
        self.begin(&mut program);
        match self.run_program(number, &mut program) {
            Progress::Done => {
                self.finish(program);
                !self.pass_on_ticket(ticket)
            }
            Progress::Asks => {
                program.hold = Hold::Ticket(ticket);
                self.suspend(number, program);
                false
            }
        }
    }

    /// What a program uses has been borrowed.
    pub(super) fn begin_borrowed(&mut self, number: u64, txn: Txn, lent: Lent) {
        let Some(mut program) = self.programs.remove(&number) else { unreachable!("it waits for this") };
        if !self.may_begin(&program, txn.unchanged) {
            self.give_back(txn, lent, Vec::new(), |_| None);
            return self.abandon(program);
        }
        match txn.work {
            Work::Whole => self.unite(lent.wings),
            _ => self.workbench.receive(lent.loan),
        }
        program.hold = Hold::Txn(Box::new(txn));
        self.begin(&mut program);
        self.go_on(number, program);
    }

    /// Whether a program runs: nothing is done for somebody who is gone.
    fn may_begin(&mut self, program: &Program, unchanged: bool) -> bool {
        unchanged && self.clients.get_same(program.to.conn, program.to.client).is_some()
    }

    fn begin(&mut self, program: &mut Program) {
        program.out = self.spare_buffer();
        Reply::new(&mut program.out, program.call.resp).array(program.commands.len());
    }

    /// A key that was watched has changed: nothing runs.
    fn abandon(&mut self, mut program: Program) {
        Reply::new(&mut program.out, program.call.resp).null_array();
        self.finish(program);
    }

    /// Runs a program from where it stands, and ends its hold on what it has used when it is done.
    fn go_on(&mut self, number: u64, mut program: Program) {
        if let Progress::Asks = self.run_program(number, &mut program) {
            if let Hold::Nothing = program.hold {
                // Nobody has come in between since it was found to be free.
                program.hold = Hold::Ticket(self.reserve(program.access.clone()));
            }
            return self.suspend(number, program);
        }
        match std::mem::replace(&mut program.hold, Hold::Nothing) {
            Hold::Nothing => {
                self.finish(program);
                self.serve();
            }
            Hold::Ticket(ticket) => {
                self.finish(program);
                if !self.pass_on_ticket(ticket) {
                    self.release_ticket(ticket);
                }
                self.serve_pending();
            }
            Hold::Txn(txn) => {
                let (lent, changed) = match txn.work {
                    Work::Whole => {
                        let (wings, changed) = self.divide();
                        (Lent { wings, ..Lent::default() }, changed)
                    }
                    _ => {
                        let (loan, changed) = self.clear_workbench(txn.borrowed());
                        (loan.into(), changed)
                    }
                };
                self.finish(program);
                self.give_back(*txn, lent, changed, |_| None);
            }
        }
    }

    /// Runs a program's commands until the end, or until one has to ask.
    fn run_program(&mut self, number: u64, program: &mut Program) -> Progress {
        let commands = std::mem::take(&mut program.commands);
        self.pushes_to_self.conn = Some(program.to.conn);
        let mut progress = Progress::Done;
        while let Some((id, args)) = commands.get(program.next) {
            program.next += 1;
            let command = self.lookup.get(id);
            if let Some(client) = self.clients.get_same(program.to.conn, program.to.client) {
                program.call = CoreState::call_of(client, command);
            }
            if self.monitored {
                self.feed_monitors(program.to.conn, command, &args);
            }
            let result = match command.entry.run {
                Run::Keys(handler) => self.run_part(program, handler, &args),
                Run::Session(handler) => {
                    match self.run_session_part(number, program, command, handler, &args) {
                        Ok(true) => {
                            progress = Progress::Asks;
                            break;
                        }
                        result => result.map(|_| ()),
                    }
                }
                Run::Subcommands | Run::Exec => unreachable!("it is never queued"),
            };
            let whose = Whose { core: self.core, to: program.to };
            self.account(command, &args, whose, result.as_ref().err());
        }
        program.commands = commands;
        self.pushes_to_self.conn = None;
        progress
    }

    /// Runs a command on keys, here or on the workbench.
    fn run_part(&mut self, program: &mut Program, handler: Handler, args: &[&[u8]]) -> Result<(), Error> {
        let shard = match &program.hold {
            Hold::Txn(txn) if txn.work == Work::Borrow => &mut self.workbench,
            _ => &mut self.shard,
        };
        let call = program.call;
        shard.touch = !call.no_touch;
        let mut exec =
            Exec::new(args, shard, usize::from(call.db), Reply::new(&mut program.out, call.resp), None);
        let result = exec.run_at_once(handler);
        self.stats.changes += exec.changes;
        result
    }

    /// Runs a command about the session or the server. Returns whether it waits for answers.
    fn run_session_part(
        &mut self,
        number: u64,
        program: &mut Program,
        command: &'static Command,
        handler: crate::admin::Handler,
        args: &[&[u8]],
    ) -> Result<bool, Error> {
        let ReplyTo { conn, client, .. } = program.to;
        program.part = program.out.len();
        let result = match self.clients.get_same(conn, client) {
            Some(_) => {
                let reply = Reply::new(&mut program.out, program.call.resp);
                handler(&mut Cx { core: self, conn, command, args, reply })
            }
            None => Err(CLIENT_GONE),
        };
        match result {
            Ok(Flow::Done) => Ok(false),
            Ok(Flow::Ask(query, then)) => {
                self.ask(conn, Some(number), args, &query, Vec::new(), then);
                Ok(true)
            }
            Err(error) => {
                program.out.truncate(program.part);
                Reply::new(&mut program.out, program.call.resp).error(&error);
                Err(error)
            }
        }
    }

    /// The answers that a command of a program waits for are there; `answered` writes its reply.
    pub(super) fn on_program_answered(
        &mut self,
        number: u64,
        command: &'static Command,
        args: &[&[u8]],
        answered: impl FnOnce(&mut Cx<'_>) -> Result<(), Error>,
    ) {
        let Some(mut program) = self.programs.remove(&number) else { return };
        let ReplyTo { conn, client, .. } = program.to;
        let mut out = std::mem::take(&mut program.out);
        let result = match self.clients.get_same(conn, client) {
            Some(client) => {
                let resp = client.session.resp;
                let reply = Reply::new(&mut out, resp);
                answered(&mut Cx { core: self, conn, command, args, reply })
            }
            None => Err(CLIENT_GONE),
        };
        if let Err(error) = &result {
            out.truncate(program.part);
            Reply::new(&mut out, program.call.resp).error(error);
        }
        program.out = out;
        let whose = Whose { core: self.core, to: program.to };
        self.account(command, args, whose, result.as_ref().err());
        self.go_on(number, program);
    }

    /// Hands the reply to the client and lets it go on.
    fn finish(&mut self, program: Program) {
        let Program { to, out, started_ticks, mut commands, .. } = program;
        let exec = self.lookup.find(&[b"exec"]).map_or(program.call.command, |command| command.id);
        let exec = self.lookup.get(exec);
        self.account_since(started_ticks, exec, &[b"exec"], Whose { core: self.core, to }, None);
        self.unwatch(to.conn);
        if let Some(client) = self.clients.get_same(to.conn, to.client) {
            if client.session.reply_mode == ReplyMode::On {
                client.row.write(|row| row.extend_from_slice(&out));
                CoreState::mark_dirty(&mut self.dirty, client);
            }
            if client.waiting == Waiting::Txn {
                client.waiting = Waiting::No;
                self.runnable.push_back(to.conn);
            }
            self.finish_muted(to.conn);
            self.release_pushes(to.conn);
        }
        commands.clear();
        self.spare_multi = Some(commands);
        self.recycle_buffer(out);
    }

    /// The slot's owner, for keys that a client watches.
    pub(super) fn owner_of(&self, name: &[u8]) -> CoreId {
        self.map.owner(Slot::of(name))
    }
}
