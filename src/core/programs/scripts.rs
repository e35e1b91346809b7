//! Scripts and functions as programs: starting them, and running the commands that they call.
//!
//! A script runs on a stack of its own (see [`crate::script`]) and stops whenever it calls a command; that runs here like any
//! part of a program, and the script goes on with the reply. One that computes for long is suspended each millisecond, so
//! that others get their turns; what it uses stays reserved.
//!
//! **Which keys.** A script declares its keys, and these are reserved before it begins. With one shard it may use any other
//! key as well, as in Redis. With several it is *bounded*: before it changes a key, the entries are copied. If it calls for a
//! key that it has not declared, or for a command over the whole keyspace, or changes a value too large to be copied, the
//! copies are put back, it ends, and begins again as a program that borrows the databases of all shards. Nobody has seen the
//! first attempt, since its keys were reserved, and what it has published is held back until it ends well. The next time it
//! borrows everything right away.

use ahash::AHashSet;

use super::{Hold, Program, Progress, Reach, may_use_any_key};
use crate::admin::Flow;
use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::command_table::{Run, ScriptKind};
use crate::core::dispatch::{Keys, Next, Whose, wait_for_replies};
use crate::core::journal::health::WriteRefusal;
use crate::core::state::CoreState;
use crate::protocol::Error;
use crate::protocol::resp::{Reply, Resp};
use crate::route::message::{Access, Killed, Loan, ReplyTo};
use crate::runtime::io::ConnId;
use crate::script::{self, Input, KILLED, Permissions, Refusal, Situation, Step};
use crate::shard::values::Value;
use crate::shard::{Event, Key, Shard};
use crate::txn::coordinator::Work;

/// Scripts that are known to use keys which they don't declare; beyond that the list begins anew.
const KNOWN_MAX: usize = 10_000;
/// Elements of a collection, and bytes of a string, up to which a bounded script may change it.
const COPIED_ELEMENTS_MAX: usize = 128;
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// How long a script that calls commands may run without a stop, in nanoseconds.
const SLICE_NS: u64 = 1_000_000;

const UNKNOWN: Error = Error::text("ERR Unknown Redis command called from script");
const WRONG_ARITY: Error = Error::text("ERR Wrong number of args calling Redis command from script");
const NOT_ALLOWED: Error = Error::text("ERR This Redis command is not allowed from script");
const READ_ONLY: Error = Error::text("ERR Write commands are not allowed from read-only scripts.");

/// What scripts have done on a core, and what it has learnt of them.
#[derive(Debug, Default)]
pub struct Scripting {
    /// Names of scripts that use more than they declare.
    unbounded: AHashSet<Box<[u8]>>,
    /// Programs whose scripts have had a slice of time and want more.
    pub(in crate::core) sliced: Vec<u64>,
    /// Scripts that borrowed all databases, because they use keys which they don't declare.
    pub undeclared: u64,
    /// Those of them that had begun with their declared keys.
    pub restarted: u64,
}

impl Scripting {
    /// Sets the counters back.
    pub fn reset(&mut self) {
        (self.undeclared, self.restarted) = (0, 0);
    }
}

/// What the script goes on with.
enum Resume {
    Begin,
    Go,
    Reply(Vec<u8>),
    Kill,
}

/// A script that runs.
pub(super) struct Script {
    run: script::Run,
    resume: Resume,
    about: About,
}

/// What the driver knows of a script that runs.
struct About {
    program: script::Program,
    is_function: bool,
    permissions: Permissions,
    /// Protocol of the reply to the command that is running.
    resp: Resp,
    /// It has called a command that writes.
    wrote: bool,
    /// When it began, Unix microseconds.
    started_us: i64,
    /// Everybody is told that the server is busy.
    announced: bool,
    /// It may use the keys of [`Program::access`] only.
    bounded: bool,
    /// The entries of keys that it has changed, as they were.
    saved: Vec<(Box<[u8]>, Loan)>,
    /// What it publishes when it ends, if it is bounded.
    notices: Vec<Notice>,
    /// The database that its client has selected.
    db: u16,
}

/// Something that a bounded script publishes when it ends.
enum Notice {
    /// An event of a key.
    Event(Event),
    /// A message.
    Message { channel: Vec<u8>, message: Vec<u8>, shard: bool },
}

/// What came of a command that a script has called.
enum Called {
    Replied(Vec<u8>),
    Asks,
    Beyond,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Script({})", self.about.program.name().escape_ascii())
    }
}

impl Script {
    /// Hands over the reply that the script waits for.
    pub(super) fn answer(&mut self, reply: Vec<u8>) {
        self.resume = Resume::Reply(reply);
    }

    /// The protocol of that reply.
    pub(super) fn resp(&self) -> Resp {
        self.about.resp
    }

    /// The database that its client had selected when it began.
    pub(super) fn db(&self) -> u16 {
        self.about.db
    }

    /// What `FUNCTION STATS` tells: the name, whether it is a function, and when it began, Unix microseconds.
    pub(super) fn running(&self) -> (&[u8], bool, i64) {
        (self.about.program.name(), self.about.is_function, self.about.started_us)
    }

    /// `SCRIPT KILL` or `FUNCTION KILL`.
    pub(super) fn kill(&mut self, is_function: bool) -> Killed {
        match () {
            () if self.about.wrote => Killed::HasWritten,
            () if self.about.is_function != is_function => Killed::OfOtherKind,
            () => {
                self.resume = Resume::Kill;
                Killed::Yes
            }
        }
    }
}

impl CoreState {
    /// `EVAL` and the like.
    pub(in crate::core) fn run_script(
        &mut self,
        conn: ConnId,
        command: &'static Command,
        kind: ScriptKind,
        args: &[&[u8]],
    ) -> Next {
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        if client.row.gaps() > 0 {
            return wait_for_replies(client);
        }
        let to = ReplyTo { conn, client: client.id, sequence: 0 };
        let call = CoreState::begin_call(client, command);
        let mut reach = Reach { keys: Vec::new(), everything: true };
        if self.map.shards() > 1 {
            reach.everything = match self.script_of(kind, args) {
                Ok(script) => self.scripting.unbounded.contains(script.name()),
                // It fails when it begins, or waits until it can.
                Err(_) => false,
            };
            let keys = script::split_keys(&args[2..], false).map_or(&[][..], |(keys, _)| keys);
            reach.keys.extend(keys.iter().map(|name| (0, self.shard.key(name))));
        }
        self.scripting.undeclared += u64::from(self.map.shards() > 1 && reach.everything);
        let plan = self.plan(&reach);
        if self.monitored {
            self.feed_monitors(conn, command, args, false);
        }
        let mut commands = self.spare_multi.take().unwrap_or_default();
        commands.push(command.id, args);
        let program = Program::new(to, command, call, commands, self.refusal, self.last_ticks);
        self.launch_program(program, plan);
        Next::Taken
    }

    /// The script or function that a command runs.
    fn script_of(&mut self, kind: ScriptKind, args: &[&[u8]]) -> Result<script::Program, Refusal> {
        if kind != ScriptKind::Function {
            // As in Redis, a wrong number of keys is noticed before an unknown script.
            script::split_keys(&args[2..], false)?;
        }
        Ok(match kind {
            ScriptKind::Text => script::Program::Script(self.engine.script(args[1])?),
            ScriptKind::Sha => script::Program::Script(self.engine.script_by_sha(args[1])?),
            ScriptKind::Function => script::Program::Function(self.engine.function(args[1])?),
        })
    }

    /// Makes the script of a command of a program ready to run.
    pub(super) fn begin_script(
        &mut self,
        program: &Program,
        command: &Command,
        kind: ScriptKind,
        args: &[&[u8]],
    ) -> Result<Box<Script>, Refusal> {
        let script = self.script_of(kind, args)?;
        let (keys, rest) = script::split_keys(&args[2..], kind == ScriptKind::Function)?;
        let read_only_command = command.flags.contains(Flags::READONLY);
        let (flags, snapshots_fail) = (script.flags(), program.refusal == Some(WriteRefusal::Snapshots));
        if flags.announce_writes()
            && let Some(error) = program.refusal.and_then(WriteRefusal::error_to_script)
        {
            return Err(error.into());
        }
        let permissions =
            script::check(flags, &Situation { read_only_command, snapshots_fail, ..Situation::default() })?;
        let whole = matches!(&program.hold, Hold::Txn(txn) if txn.work == Work::Whole);
        let run = self.engine.start(&script, keys, rest, program.call.resp)?;
        let about = About {
            program: script,
            is_function: kind == ScriptKind::Function,
            permissions,
            resp: Resp::V2,
            wrote: false,
            started_us: self.now_us,
            announced: false,
            bounded: self.map.shards() > 1 && !whole,
            saved: Vec::new(),
            notices: Vec::new(),
            db: program.call.db,
        };
        Ok(Box::new(Script { run, resume: Resume::Begin, about }))
    }

    /// Lets a script run until it ends, wants more time, or waits.
    pub(super) fn drive(&mut self, number: u64, program: &mut Program, script: &mut Script) -> Progress {
        let Script { run, resume, about } = script;
        let started = self.clock.ticks();
        loop {
            let step = match std::mem::replace(resume, Resume::Go) {
                Resume::Begin => run.resume(Input::Begin, &mut program.out),
                Resume::Go => run.resume(Input::Go, &mut program.out),
                Resume::Kill => run.resume(Input::Kill(KILLED), &mut program.out),
                Resume::Reply(reply) => {
                    let step = run.resume(Input::Reply(&reply), &mut program.out);
                    self.recycle_buffer(reply);
                    step
                }
            };
            match step {
                Step::Done => return Progress::Done,
                Step::Slice => {
                    self.announce_slow(about);
                    return Progress::Slice;
                }
                Step::Command { resp } => {
                    about.resp = resp;
                    match run.with_args(|args| self.run_called(number, program, about, args)) {
                        Called::Replied(reply) => *resume = Resume::Reply(reply),
                        Called::Asks => {
                            self.announce_slow(about);
                            return Progress::Asks;
                        }
                        Called::Beyond => return Progress::Beyond,
                    }
                    // The engine measures from one command to the next.
                    if self.clock.ticks_to_ns(self.last_ticks.wrapping_sub(started)) > SLICE_NS {
                        self.announce_slow(about);
                        return Progress::Slice;
                    }
                }
            }
        }
    }

    /// A script has ended: what it has published goes out.
    pub(super) fn end_script(&mut self, script: Script) {
        for notice in script.about.notices {
            match notice {
                Notice::Event(event) => self.publish_event(&event),
                Notice::Message { channel, message, shard } => {
                    self.publish(&channel, &message, shard);
                }
            }
        }
        if script.about.announced {
            self.shared.note_slow_script(script.about.is_function, false);
            self.slow_script = self.shared.slow_script();
        }
    }

    /// Takes back what a bounded script has done, for it begins again.
    pub(super) fn undo_script(&mut self, program: &Program, script: Script) {
        let shard = self.place_of(program);
        for (name, entries) in script.about.saved {
            let mut changed = Loan::new();
            shard.lend(&shard.key(&name), &mut changed);
            shard.receive(entries);
            changed.into_iter().for_each(|(_, item)| shard.discard(item));
        }
        // Nobody is told of what has not happened.
        while shard.modified.take().is_some() {}
        shard.modified.take_news();
        if self.scripting.unbounded.len() >= KNOWN_MAX {
            self.scripting.unbounded.clear();
        }
        self.scripting.unbounded.insert(script.about.program.name().into());
        self.scripting.restarted += 1;
        self.scripting.undeclared += 1;
    }

    /// Tells all cores that a script has run for long, once.
    fn announce_slow(&mut self, about: &mut About) {
        let ms = (self.clock.unix_us() - about.started_us) / 1000;
        if about.announced || ms < self.config.busy_reply_threshold_ms {
            return;
        }
        about.announced = true;
        self.shared.note_slow_script(about.is_function, true);
        let kill = if about.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" };
        self.shared.log.warning(format_args!(
            "Slow script detected: still in execution after {ms} milliseconds. You can try killing the script using the {kill} \
             command. Script name is: {}.",
            about.program.name().escape_ascii()
        ));
    }

    /// Runs a command that a script has called.
    fn run_called(
        &mut self,
        number: u64,
        program: &mut Program,
        about: &mut About,
        args: &[&[u8]],
    ) -> Called {
        let mut out = self.spare_buffer();
        let error = match self.allowed(program, about, args) {
            Ok(command) => match self.run_allowed(number, program, about, command, args, &mut out) {
                Ok(None) => None,
                Ok(Some(called)) => return called,
                Err(error) => Some(error),
            },
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            out.clear();
            Reply::new(&mut out, about.resp).error(&error);
        }
        Called::Replied(out)
    }

    /// The command that a script has called, if scripts may call it.
    fn allowed(&self, program: &Program, about: &About, args: &[&[u8]]) -> Result<&'static Command, Error> {
        let command = self.lookup.find(args).ok_or(UNKNOWN)?;
        if !command.spec().takes(args.len()) {
            return Err(WRONG_ARITY);
        }
        let denied = command.flags.contains(Flags::NOSCRIPT)
            && !self.shared.scripts_may_all.load(std::sync::atomic::Ordering::Relaxed);
        if denied || matches!(command.entry.run, Run::Subcommands) {
            return Err(NOT_ALLOWED);
        }
        if command.flags.contains(Flags::WRITE) && about.permissions.read_only {
            return Err(READ_ONLY);
        }
        if let Some(refusal) = program.refusal
            && command.flags.contains(Flags::WRITE)
            && !about.wrote
        {
            return Err(refusal.error());
        }
        Ok(command)
    }

    /// Runs it. `Ok(None)` if its reply, which may be an error, is in `out`.
    fn run_allowed(
        &mut self,
        number: u64,
        program: &mut Program,
        about: &mut About,
        command: &'static Command,
        args: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<Option<Called>, Error> {
        let conn = program.to.conn;
        let whose = Whose { core: self.core, to: program.to };
        if self.monitored {
            self.feed_monitors(conn, command, args, true);
        }
        let result = match command.entry.run {
            Run::Keys(handler) => {
                if about.bounded && !self.is_within(program, about, command, args) {
                    return Ok(Some(Called::Beyond));
                }
                about.wrote |= command.flags.contains(Flags::WRITE);
                let db = self.client_of(program).session.db;
                let result = self.run_part(program, command, handler, args, (db, about.resp, true), out);
                if about.bounded {
                    let events = self.place_of(program).events.take();
                    about.notices.extend(events.into_iter().map(Notice::Event));
                } else {
                    self.publish_events();
                }
                result
            }
            Run::Session(_) if about.bounded && matches!(command.full_name, "publish" | "spublish") => {
                let shard = command.full_name == "spublish";
                let receivers = self.pubsub.receivers(args[1], shard);
                let (channel, message) = (args[1].to_vec(), args[2].to_vec());
                about.notices.push(Notice::Message { channel, message, shard });
                Reply::new(out, about.resp).int(receivers as i64);
                Ok(())
            }
            Run::Session(handler) => {
                match self.run_session_part(program, command, handler, args, about.resp, out) {
                    Ok(Flow::Done | Flow::Await(_) | Flow::Snapshot(_)) => Ok(()),
                    Ok(Flow::Ask(query, then)) => {
                        self.ask(conn, Some(number), args, &query, std::mem::take(out), then);
                        return Ok(Some(Called::Asks));
                    }
                    Err(error) => Err(error),
                }
            }
            Run::Exec | Run::Script(_) | Run::Subcommands => Err(NOT_ALLOWED),
        };
        self.account(command, args, whose, result.as_ref().err());
        result.map(|()| None)
    }

    /// Whether a bounded script may run a command. What it changes is copied first.
    fn is_within(
        &mut self,
        program: &Program,
        about: &mut About,
        command: &'static Command,
        args: &[&[u8]],
    ) -> bool {
        let mut keys = Keys::new();
        if self.find_keys(command, command.keys, args, &mut keys).is_err() {
            // The handler refuses the arguments without a look at any key.
            return true;
        }
        let Access::Keys(declared) = &program.access else { return false };
        if may_use_any_key(command, args) || !keys.iter().all(|(_, key)| declared.contains(&key.hash)) {
            return false;
        }
        let writes = command.flags.contains(Flags::WRITE);
        let shard = self.place_of(program);
        keys.iter().all(|(_, key)| {
            // A read, too, removes what is overdue.
            if !writes && !is_overdue(shard, key) {
                return true;
            }
            if about.saved.iter().any(|(name, _)| **name == *key.bytes) {
                return true;
            }
            let Some(copies) = copies_of(shard, key.bytes) else { return false };
            about.saved.push((key.bytes.into(), copies));
            true
        })
    }
}

/// Whether a key, or a field that it holds, is to be removed by whoever meets it, in any database.
fn is_overdue(shard: &Shard, key: &Key<'_>) -> bool {
    let now_ms = shard.expiry_clock_ms();
    (0..shard.dbs.len()).filter_map(|db| shard.dbs.of(db, key).get(key)).any(|item| {
        let has_fields = matches!(item.value(), Some(Value::Hash(hash)) if hash.has_expired(now_ms));
        has_fields || item.is_expired(now_ms)
    })
}

/// Copies of a key's entries in all databases; `None` if one is too large.
fn copies_of(shard: &Shard, name: &[u8]) -> Option<Loan> {
    let key = shard.key(name);
    let mut copies = Loan::new();
    for db in 0..shard.dbs.len() {
        let Some(item) = shard.dbs.of(db, &key).get(&key) else { continue };
        let small = match item.value() {
            Some(value) => value.len() <= COPIED_ELEMENTS_MAX,
            None => item.memory_usage_bytes() <= COPIED_BYTES_MAX,
        };
        if !small {
            return None;
        }
        copies.push((db as u16, item.clone_as(name)));
    }
    Some(copies)
}
