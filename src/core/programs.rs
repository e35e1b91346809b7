//! Programs: several commands that run as one, strictly serializable: `MULTI` ... `EXEC`, scripts and functions.
//!
//! A program runs on the core of its client, so that commands about the session can be a part of it. Its keys are
//! - all on this shard: it runs at once, without a message or a lock, or stands in line if somebody has reserved a key;
//! - on several shards: a transaction borrows their entries, and it runs on the workbench;
//! - not known before (`KEYS`, `SCAN`, `SORT ... BY`): a transaction borrows the databases of all shards.
//!
//! Nearly always it then runs to its end within one turn. A command that has to ask all cores (`CLIENT LIST`), or a script
//! that computes for long, *suspends* it: what it uses stays reserved until it goes on.
//!
//! Invariant: a program in `programs` waits for a grant, for answers or for its next slice of time, and its client for it
//! ([`Waiting::Txn`]). Once it has begun it comes to its end, and its client, whose session it needs, is kept until then, even
//! if the connection is over. While any script is suspended, no key expires actively; a program keeps the time at which it began.

mod scripts;

use self::scripts::Script;
pub(super) use self::scripts::Scripting;
use smallvec::SmallVec;

use crate::admin::{Await, Cx, Flow};
use crate::command::lookup::Command;
use crate::command::spec::Spread;
use crate::command_table::Run;
use crate::core::dispatch::{Keys, Next, Whose, wait_for_replies};
use crate::core::journal::health::WriteRefusal;
use crate::core::state::{CoreState, Waiter};
use crate::core::transactions::{Lent, error_in};
use crate::execute::{Exec, Handler, sort};
use crate::net::client::{Client, Link, ReplyMode, Waiting};
use crate::net::multi::Multi;
use crate::protocol::Error;
use crate::protocol::resp::{Reply, Resp};
use crate::route::message::{
    Access, Call, Killed, LogParts, OwnedArgs, Query, ReplyTo, RunningScript, Traces, TxnId,
};
use crate::runtime::io::ConnId;
use crate::script::Refusal;
use crate::shard::{Effects, Key, Shard};
use crate::txn::coordinator::{Participant, Txn, Work};
use crate::txn::locks::TicketId;

const WITHOUT_MULTI: Error = Error::text("ERR EXEC without MULTI");
const ABORTED: Error = Error::text("EXECABORT Transaction discarded because of previous errors.");

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
    /// The command that the client has sent.
    command: &'static Command,
    /// The session's choices as they are now.
    call: Call,
    /// `EXEC` as the client wrote it, if somebody monitors.
    shown: Option<Box<[u8]>>,
    /// What `MULTI` has queued, or the one command that runs a script.
    commands: Box<Multi>,
    /// Whether it is the former.
    is_exec: bool,
    /// The number of the next command.
    next: usize,
    /// The script that the command before that runs.
    script: Option<Box<Script>>,
    /// The replies so far.
    out: Vec<u8>,
    started_ticks: u64,
    /// Why writes were refused when its client asked for it, if they were: what waits meanwhile is not refused in part.
    refusal: Option<WriteRefusal>,
    /// The time at which it began, by which keys expire for it, Unix microseconds.
    now_us: i64,
    /// What it has done so far, if others than this shard have to be told.
    traces: Traces,
    /// What is to be logged of that, as a whole.
    effects: Effects,
    /// What it uses of this shard, if it uses no other.
    access: Access,
    hold: Hold,
}

impl Program {
    fn new(
        to: ReplyTo,
        command: &'static Command,
        call: Call,
        commands: Box<Multi>,
        refusal: Option<WriteRefusal>,
        started_ticks: u64,
    ) -> Program {
        Program {
            to,
            command,
            call,
            commands,
            is_exec: matches!(command.entry.run, Run::Exec),
            next: 0,
            script: None,
            out: Vec::new(),
            started_ticks,
            refusal,
            now_us: 0,
            traces: Traces::default(),
            effects: Effects::default(),
            shown: None,
            access: Access::Shard,
            hold: Hold::Nothing,
        }
    }
}

/// What came of running a program.
enum Progress {
    Done,
    /// It waits for answers.
    Asks,
    /// It goes on in the next turn.
    Slice,
    /// It needs keys that it has not reserved: it begins again with all of them.
    Beyond,
}

/// The keys that commands use.
struct Reach<'a> {
    /// With their places in the commands, as far as they have any.
    keys: Vec<(usize, Key<'a>)>,
    /// Any key may be used.
    everything: bool,
}

/// What a program reserves before it runs.
struct Plan {
    /// On this shard, if that is enough.
    access: Access,
    /// If it is not.
    elsewhere: Option<(Work, Vec<Participant>)>,
}

/// Whether a command uses keys that its arguments do not tell.
fn may_use_any_key(command: &Command, args: &[&[u8]]) -> bool {
    match command.spec().spread {
        Spread::Shards(_) | Spread::Cursor => true,
        Spread::Patterns => sort::follows_patterns(args),
        Spread::Local | Spread::Keys | Spread::Split(_) => false,
    }
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
        let call = CoreState::begin_call(client, command);
        let watched = std::mem::take(&mut client.session.watched);
        let mut reach = self.reach_of(&commands);
        reach.keys.extend(watched.iter().map(|(_, name)| (0, self.shard.key(name))));
        let plan = self.plan(&reach);
        if let Some(client) = self.clients.get_mut(conn) {
            // Until it has run; what changes before counts.
            client.session.watched = watched;
        }
        let mut program = Program::new(to, command, call, commands, self.refusal, self.last_ticks);
        program.shown = self.monitored.then(|| args[0].into());
        self.launch_program(program, plan);
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
        if self.monitored {
            self.feed_monitors(conn, command, args, false);
        }
        self.finish_muted(conn);
        Next::Taken
    }

    /// The keys that commands use, as far as their arguments tell.
    fn reach_of<'a>(&self, commands: &'a Multi) -> Reach<'a> {
        let mut reach = Reach { keys: Vec::with_capacity(commands.len()), everything: false };
        for (id, args) in commands.iter() {
            let command = self.lookup.get(id);
            match command.entry.run {
                Run::Keys(_) => {}
                Run::Script(_) => {
                    // It cannot begin again with more keys: the commands before it would run twice.
                    reach.everything = true;
                    continue;
                }
                Run::Session(_) | Run::Exec | Run::Subcommands => continue,
            }
            reach.everything |= may_use_any_key(command, &args);
            let mut keys = Keys::new();
            // Without keys the handler refuses the arguments.
            if self.find_keys(command, command.keys, &args, &mut keys).is_ok() {
                reach.keys.extend(keys);
            }
        }
        reach
    }

    fn plan(&self, reach: &Reach<'_>) -> Plan {
        let access = match reach.everything {
            true => Access::Shard,
            false => Access::Keys(reach.keys.iter().map(|(_, key)| key.hash).collect()),
        };
        let is_here = |(_, key): &(usize, Key<'_>)| self.map.owner(key.slot) == self.core;
        if self.map.shards() == 1 || !reach.everything && reach.keys.iter().all(is_here) {
            return Plan { access, elsewhere: None };
        }
        if reach.everything {
            return Plan { access, elsewhere: Some((Work::Whole, self.whole_shards())) };
        }
        Plan { access, elsewhere: Some((Work::Borrow, self.borrow_from(&reach.keys))) }
    }

    /// Runs a program, or reserves first what it uses.
    fn launch_program(&mut self, mut program: Program, plan: Plan) {
        let number = self.next_number();
        program.access = plan.access;
        let Some((work, participants)) = plan.elsewhere else {
            if !self.locks.admits(&program.access, false) {
                let access = program.access.clone();
                self.suspend(number, program);
                return self.wait_in_line(access, false, Waiter::Program(number));
            }
            if program.is_exec && !self.is_unchanged(self.watcher(program.to.client)) {
                return self.abandon(program);
            }
            self.begin(&mut program);
            return self.go_on(number, program);
        };
        let id = TxnId { coordinator: self.core, number: self.next_number() };
        let (to, call, started) = (program.to, program.call, program.started_ticks);
        let mut txn = Txn::new(id, to, call, OwnedArgs::default(), work, false, started, participants);
        txn.program = Some(number);
        txn.durable = self.is_durable(call);
        txn.watcher = program.is_exec.then_some(to.client);
        self.stats.transactions += 1;
        self.suspend(number, program);
        self.launch(txn);
    }

    /// The client of a program that has begun.
    fn client_of(&mut self, program: &Program) -> &mut Client {
        let ReplyTo { conn, client, .. } = program.to;
        self.clients.get_same(conn, client).expect("a client is kept until its program has ended")
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
        program.hold = Hold::Ticket(ticket);
        match self.run_program(number, &mut program) {
            Progress::Done => {
                self.log_program(&mut program);
                self.finish(program, &mut LogParts::new());
                !self.pass_on_ticket(ticket)
            }
            Progress::Beyond => {
                program.hold = Hold::Nothing;
                self.begin_anew(program);
                true
            }
            progress => {
                self.postpone(number, program, &progress);
                false
            }
        }
    }

    /// What a program uses has been borrowed.
    pub(super) fn begin_borrowed(&mut self, number: u64, txn: Txn, lent: Lent) {
        let Some(mut program) = self.programs.remove(&number) else { unreachable!("it waits for this") };
        if !self.may_begin(&program, txn.unchanged) {
            self.give_back_unused(txn, lent);
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
        (unchanged || !program.is_exec) && self.clients.get_same(program.to.conn, program.to.client).is_some()
    }

    fn begin(&mut self, program: &mut Program) {
        self.client_of(program).in_program = true;
        program.out = self.spare_buffer();
        program.now_us = self.now_us;
        if program.is_exec {
            Reply::new(&mut program.out, program.call.resp).array(program.commands.len());
        }
    }

    /// A key that was watched has changed: nothing runs.
    fn abandon(&mut self, mut program: Program) {
        Reply::new(&mut program.out, program.call.resp).null_array();
        self.finish(program, &mut LogParts::new());
    }

    /// A script needs more keys than it has declared: it begins again and borrows the databases of all shards.
    fn begin_anew(&mut self, mut program: Program) {
        program.next = 0;
        self.recycle_buffer(std::mem::take(&mut program.out));
        let plan = self.plan(&Reach { keys: Vec::new(), everything: true });
        self.launch_program(program, plan);
    }

    /// Keeps a program that is not done, and what it uses.
    fn postpone(&mut self, number: u64, mut program: Program, progress: &Progress) {
        if let Hold::Nothing = program.hold {
            // Nobody has come in between since it was found to be free.
            program.hold = Hold::Ticket(self.reserve(program.access.clone()));
        }
        if let Hold::Txn(_) = program.hold {
            let noted = &mut self.place_of(&program).modified;
            program.traces.changed.extend(std::iter::from_fn(|| noted.take()));
        }
        if let Progress::Slice = progress {
            self.scripting.sliced.push(number);
        }
        self.suspend(number, program);
    }

    /// Gives scripts that were suspended another slice of time each.
    pub fn run_slices(&mut self) {
        for number in std::mem::take(&mut self.scripting.sliced) {
            if let Some(program) = self.programs.remove(&number) {
                self.go_on(number, program);
            }
        }
    }

    /// Whether a script waits for the next turn.
    pub fn has_slices(&self) -> bool {
        !self.scripting.sliced.is_empty()
    }

    /// Whether a program is under way for which no key may expire: a script that has been suspended, or a program that has the
    /// databases of all shards, which would not be told.
    pub(super) fn stops_expiry(&self) -> bool {
        let whole = |txn: &Txn| txn.work == Work::Whole;
        let stops = |program: &Program| {
            program.script.is_some() || matches!(&program.hold, Hold::Txn(txn) if whole(txn))
        };
        self.programs.values().any(stops)
    }

    /// Runs a program from where it stands, and ends its hold on what it has used when it is done.
    fn go_on(&mut self, number: u64, mut program: Program) {
        let progress = self.run_program(number, &mut program);
        let beyond = match progress {
            Progress::Done => false,
            Progress::Beyond => true,
            _ => return self.postpone(number, program, &progress),
        };
        let mut hold = std::mem::replace(&mut program.hold, Hold::Nothing);
        let txn = match std::mem::replace(&mut hold, Hold::Nothing) {
            Hold::Txn(txn) => {
                let (lent, changed) = match txn.work {
                    Work::Whole => {
                        let (wings, rest, mut effects) = self.divide();
                        program.effects.append(&mut effects);
                        (Lent { wings, ..Lent::default() }, rest.changed)
                    }
                    _ => {
                        let (loan, changed) = self.clear_workbench(txn.borrowed());
                        (loan.into(), changed)
                    }
                };
                let mut traces = std::mem::take(&mut program.traces);
                traces.changed.extend(changed);
                traces.by = program.to.client;
                Some((txn, lent, traces))
            }
            other => {
                hold = other;
                None
            }
        };
        let effects = std::mem::take(&mut program.effects);
        let mut parts = match &txn {
            Some((txn, ..)) => {
                let saw_here = self.has_seen_here(txn);
                self.parts_of(txn.id, effects, saw_here)
            }
            None => {
                program.effects = effects;
                self.log_program(&mut program);
                LogParts::new()
            }
        };
        let again = match beyond {
            true => Some(program),
            false => {
                self.finish(program, &mut parts);
                None
            }
        };
        match (txn, hold) {
            (Some((txn, lent, traces)), _) => self.give_back(*txn, lent, traces, parts, |_| None),
            (None, Hold::Ticket(ticket)) => {
                if !self.pass_on_ticket(ticket) {
                    self.release_ticket(ticket);
                }
                self.serve_pending();
            }
            (None, _) => self.serve(),
        }
        if let Some(program) = again {
            self.begin_anew(program);
        }
    }

    /// Logs what a program has done on this shard, which is all that it has used.
    fn log_program(&mut self, program: &mut Program) {
        self.shard.effects.append(&mut program.effects);
        self.log_effects();
        if self.is_durable(program.call) {
            self.hold_client(program.to.conn, self.log_end());
        }
    }

    /// Where a program's keys are: on this shard or on the workbench.
    fn place_of(&mut self, program: &Program) -> &mut Shard {
        match &program.hold {
            Hold::Txn(txn) if txn.work == Work::Borrow => &mut self.workbench,
            _ => &mut self.shard,
        }
    }

    /// Runs a program's commands until the end, or until it has to stop.
    fn run_program(&mut self, number: u64, program: &mut Program) -> Progress {
        let commands = std::mem::take(&mut program.commands);
        let now_us = self.set_time(program.now_us);
        self.held_pushes.running = Some(program.to.conn);
        let progress = loop {
            if let Some(script) = program.script.take()
                && let Some(progress) = self.run_on(number, program, &commands, script)
            {
                break progress;
            }
            let Some((id, args)) = commands.get(program.next) else { break Progress::Done };
            program.next += 1;
            let command = self.lookup.get(id);
            program.call = CoreState::call_of(self.client_of(program), command);
            if self.monitored && program.is_exec {
                self.feed_monitors(program.to.conn, command, &args, false);
            }
            if let Some(progress) = self.run_command(number, program, command, &args) {
                break progress;
            }
        };
        program.commands = commands;
        self.held_pushes.running = None;
        self.set_time(now_us);
        progress
    }

    /// Sets the time by which keys expire, Unix microseconds. Returns what it was.
    fn set_time(&mut self, now_us: i64) -> i64 {
        (self.shard.now_ms, self.workbench.now_ms) = (now_us / 1000, now_us / 1000);
        std::mem::replace(&mut self.now_us, now_us)
    }

    /// Runs a script until it ends; otherwise returns what it does.
    fn run_on(
        &mut self,
        number: u64,
        program: &mut Program,
        commands: &Multi,
        mut script: Box<Script>,
    ) -> Option<Progress> {
        match self.drive(number, program, &mut script) {
            Progress::Done => {
                self.restore_db(program, &script);
                self.end_script(*script);
                if let Some((id, args)) = commands.get(program.next - 1).filter(|_| program.is_exec) {
                    let whose = Whose { core: self.core, to: program.to };
                    self.account(self.lookup.get(id), &args, whose, None);
                }
                None
            }
            Progress::Beyond => {
                self.restore_db(program, &script);
                self.undo_script(program, *script);
                program.effects.clear();
                Some(Progress::Beyond)
            }
            progress => {
                program.script = Some(script);
                Some(progress)
            }
        }
    }

    /// A script may select a database for itself alone.
    fn restore_db(&mut self, program: &Program, script: &Script) {
        self.client_of(program).session.db = script.db();
    }

    /// Runs one command of a program, its reply behind those before it, or begins the script that it runs.
    fn run_command(
        &mut self,
        number: u64,
        program: &mut Program,
        command: &'static Command,
        args: &[&[u8]],
    ) -> Option<Progress> {
        let call = program.call;
        let result = match command.entry.run {
            Run::Keys(handler) => {
                let mut out = std::mem::take(&mut program.out);
                let result =
                    self.run_part(program, command, handler, args, (call.db, call.resp, false), &mut out);
                program.out = out;
                self.publish_events();
                result
            }
            Run::Session(handler) => {
                let mut part = self.spare_buffer();
                let result =
                    match self.run_session_part(program, command, handler, args, call.resp, &mut part) {
                        Ok(Flow::Done | Flow::Await(_) | Flow::Snapshot(_)) => Ok(()),
                        Ok(Flow::Ask(query, then)) => {
                            self.ask(program.to.conn, Some(number), args, &query, part, then);
                            return Some(Progress::Asks);
                        }
                        Err(error) => {
                            part.clear();
                            Reply::new(&mut part, call.resp).error(&error);
                            Err(error)
                        }
                    };
                program.out.extend_from_slice(&part);
                self.recycle_buffer(part);
                result
            }
            Run::Script(kind) => match self.begin_script(program, command, kind, args) {
                Ok(script) => {
                    program.script = Some(script);
                    return None;
                }
                Err(Refusal::Busy) => {
                    program.next -= 1;
                    return Some(Progress::Slice);
                }
                Err(Refusal::Error(error)) => {
                    Reply::new(&mut program.out, call.resp).error(&error);
                    Err(error)
                }
            },
            Run::Subcommands | Run::Exec => unreachable!("it is never queued"),
        };
        // A script that stands for itself is counted when its reply is sent.
        if program.is_exec {
            let whose = Whose { core: self.core, to: program.to };
            self.account(command, args, whose, result.as_ref().err());
        }
        None
    }

    /// Runs a command on keys, its reply into `out`.
    fn run_part(
        &mut self,
        program: &mut Program,
        command: &Command,
        handler: Handler,
        args: &[&[u8]],
        (db, resp, by_script): (u16, Resp, bool),
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let touch = !program.call.no_touch;
        self.set_author(program.to.client, command);
        let shard = self.place_of(program);
        shard.touch = touch;
        let mut exec = Exec::new(args, shard, usize::from(db), Reply::new(out, resp), None);
        exec.by_script = by_script;
        let result = exec.run_at_once(handler);
        self.stats.changes += exec.changes;
        let mut effects = self.place_of(program).effects.take();
        program.effects.append(&mut effects);
        self.trace_part(program, command, args);
        result
    }

    /// A command has run: tells those who cache what it has modified, and remembers what it has read.
    fn trace_part(&mut self, program: &mut Program, command: &Command, args: &[&[u8]]) {
        let client = self.client_of(program);
        let (caches, tracks) = (client.session.tracking.is_some(), CoreState::tracks(client, command));
        let Hold::Txn(_) = program.hold else {
            self.tell_news();
            if tracks {
                let whose = Whose { core: self.core, to: program.to };
                self.remember_args(whose, command, args);
            }
            return;
        };
        let noted = &mut self.place_of(program).modified;
        let flushed = noted.take_news().flushed;
        if caches || flushed {
            let changed = std::iter::from_fn(|| noted.take()).collect();
            let read = if tracks { self.names_of(command, args) } else { SmallVec::new() };
            self.trace(program.to, changed, &read, flushed, &mut program.traces);
        }
    }

    /// Runs a command about the session or the server.
    fn run_session_part(
        &mut self,
        program: &Program,
        command: &'static Command,
        handler: crate::admin::Handler,
        args: &[&[u8]],
        resp: Resp,
        out: &mut Vec<u8>,
    ) -> Result<Flow, Error> {
        let reply = Reply::new(out, resp);
        let mut cx = Cx { core: self, conn: program.to.conn, command, args, reply, in_program: true };
        let flow = match handler(&mut cx)? {
            // Nobody waits in the middle of a program: it is as if the time was over.
            Flow::Await(Await { query: Some(_), then, .. }) => Flow::Ask(Query::Logged { wait: false }, then),
            Flow::Await(Await { query: None, then, .. }) => {
                then(&mut cx, Vec::new())?;
                Flow::Done
            }
            flow => flow,
        };
        if let Flow::Snapshot(_) = flow {
            // As in Redis, not in the middle of a program.
            self.shared.snapshots.schedule(true);
            Reply::new(out, resp).status("Background saving scheduled");
        }
        Ok(flow)
    }

    /// The answers that a command of a program waits for are there; `answered` completes its reply.
    pub(super) fn on_program_answered(
        &mut self,
        number: u64,
        (started_ticks, command, args): (u64, &'static Command, &[&[u8]]),
        mut part: Vec<u8>,
        answered: impl FnOnce(&mut Cx<'_>) -> Result<(), Error>,
    ) {
        let Some(mut program) = self.programs.remove(&number) else { return };
        let resp = program.script.as_ref().map_or(program.call.resp, |script| script.resp());
        let (conn, reply) = (program.to.conn, Reply::new(&mut part, resp));
        let result = answered(&mut Cx { core: self, conn, command, args, reply, in_program: true });
        if let Err(error) = &result {
            part.clear();
            Reply::new(&mut part, resp).error(error);
        }
        match &mut program.script {
            Some(script) => script.answer(part),
            None => program.out.extend_from_slice(&part),
        }
        let whose = Whose { core: self.core, to: program.to };
        self.account_since(started_ticks, command, args, whose, result.as_ref().err());
        self.go_on(number, program);
    }

    /// Hands the reply to the client and lets it go on, or keeps it until what other shards have to log is safe.
    fn finish(&mut self, program: Program, parts: &mut LogParts) {
        let Program { to, command, call, out, started_ticks, mut commands, is_exec, shown, .. } = program;
        let whose = Whose { core: self.core, to };
        // If it has not begun, the place may be another client's by now.
        let is_there = self.clients.get_same(to.conn, to.client).is_some();
        match commands.get(0).filter(|_| !is_exec) {
            Some((_, args)) => {
                self.account_since(started_ticks, command, &args, whose, error_in(&out).as_ref());
            }
            None => {
                self.account_since(started_ticks, command, &[b"exec"], whose, None);
                if let Some(name) = shown.filter(|_| is_there) {
                    self.feed_monitors(to.conn, command, &[&name], false);
                }
                if is_there {
                    self.unwatch(to.conn);
                }
            }
        }
        if let Some(client) = self.clients.get_same(to.conn, to.client)
            && let Some(choice) = &mut client.session.tracking
        {
            choice.use_caching();
        }
        commands.clear();
        self.spare_multi = Some(commands);
        let out = match self.is_durable(call) {
            true => self.await_parts(parts, to, false, out),
            false => Some(out),
        };
        if let Some(out) = out {
            self.hand_over(to, &out);
            self.recycle_buffer(out);
        }
        if let Some(client) = self.clients.get_same(to.conn, to.client) {
            client.in_program = false;
            if client.link != Link::Open {
                self.forget_client(to.conn);
            }
        }
    }

    /// `SCRIPT KILL` and `FUNCTION KILL`, on this core.
    pub fn kill_scripts(&mut self, is_function: bool) -> Killed {
        let scripts = self.programs.values_mut().filter_map(|program| program.script.as_mut());
        scripts.map(|script| script.kill(is_function)).max().unwrap_or(Killed::Nothing)
    }

    /// The longest running script of this core that has been suspended: its name, its command's arguments, and since when
    /// it runs, Unix microseconds.
    pub fn running_script(&self) -> Option<RunningScript> {
        let running = |program: &Program| {
            let (name, is_function, started_us) = program.script.as_ref()?.running();
            let (_, args) = program.commands.get(program.next - 1)?;
            Some(RunningScript { name: name.to_vec(), is_function, started_us, args: OwnedArgs::new(&args) })
        };
        self.programs.values().filter_map(running).min_by_key(|script| script.started_us)
    }
}
