//! From requests to executed commands: check, route, run. The requests come from [`input`]; those that may not run end in
//! [`refusal`].
//!
//! Order of effects: a client's commands run in the order sent, with one exception that concerns single-shard commands
//! on different shards: they are sent on without waiting for each other, so that a pipeline keeps all cores busy. Per key
//! and per shard the order holds, replies always come in order, and anything else (commands over several shards, or about
//! the session) waits until all replies are there.

mod input;
mod refusal;

use smallvec::SmallVec;

use crate::admin::{self, Cx, Flow};
use crate::command::keys::{self, KeyPlan};
use crate::command::lookup::Command;
use crate::command::spec::{Flags, Spread};
use crate::command_table::Run;
use crate::core::state::{CoreState, Waiter};
use crate::execute::{self, Exec, Wait};
use crate::net::client::{Client, ReplyMode, Running, Waiting};
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::{Access, Call, Message, OwnedArgs, ReplyTo};
use crate::runtime::io::{ConnId, CoreId};
use crate::shard::{Cursor, Key};

/// Unsent output of a client beyond which its requests wait, in bytes.
const OUTPUT_PAUSE_BYTES: usize = 1 << 20;
/// Replies that one client may expect from other cores, small ones.
const GAPS_MAX: usize = 4096;
/// Bytes under way to one other core beyond which clients wait.
const OUTBOX_MAX_BYTES: usize = 16 << 20;

/// Whose command ran: the client's core, and its place there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose {
    /// The core of the client.
    pub core: CoreId,
    /// The client.
    pub to: ReplyTo,
}

impl Whose {
    #[inline]
    pub(super) fn new(core: CoreId, conn: ConnId, client: u64) -> Whose {
        Whose { core, to: ReplyTo { conn, client, sequence: 0 } }
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It has run or is under way.
    Taken,
    /// It must wait (the client's `waiting` says for what) and be parsed again then.
    Again,
}

/// Requests that are looked at together. Enough to hide the latency of memory, few enough to stay in the first cache.
pub(super) const WINDOW: usize = 16;

/// Keys of one command, with their places among the arguments.
pub(super) type Keys<'a> = SmallVec<[(usize, Key<'a>); 4]>;

impl CoreState {
    pub(super) fn mark_client_dirty(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(conn) {
            CoreState::mark_dirty(&mut self.dirty, client);
        }
    }

    /// Runs one request.
    fn run(
        &mut self,
        conn: ConnId,
        args: &[&[u8]],
        command: Option<&'static Command>,
        key: Option<(usize, Key<'_>)>,
    ) -> Next {
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        let Some(command) = command.filter(|command| command.spec().takes(args.len())) else {
            return if client.row.gaps() > 0 {
                wait_for_replies(client)
            } else {
                self.refuse(conn, args, command)
            };
        };
        if let Some(error) = self.rejection_of(conn, command) {
            return self.reject(conn, Some(command), &error);
        }
        if self.pause.is_some() && self.must_pause(conn, command) {
            return Next::Again;
        }
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        if client.session.reply_mode != ReplyMode::On && client.row.gaps() > 0 {
            return wait_for_replies(client);
        }
        if client.session.multi.is_some() && !command.flags.contains(Flags::UNQUEUED) {
            return self.enqueue(conn, command, args);
        }
        if self.must_wait_for_logs(conn, command) {
            return Next::Again;
        }
        let next = match command.entry.run {
            Run::Keys(handler) => self.run_keys(conn, command, handler, args, key),
            Run::Session(handler) => self.run_session(conn, command, handler, args),
            Run::Exec => self.run_exec(conn, command, args),
            Run::Script(kind) => self.run_script(conn, command, kind, args),
            Run::Subcommands => self.reject(conn, Some(command), &Error::Syntax),
        };
        // Only now: a request that has to wait comes here again. Programs show themselves and what they run.
        let is_program = matches!(command.entry.run, Run::Exec | Run::Script(_));
        if self.monitored && next == Next::Taken && !is_program && !self.is_replay(conn) {
            self.feed_monitors(conn, command, args, false);
        }
        next
    }

    /// Keeps a command for `EXEC`.
    fn enqueue(&mut self, conn: ConnId, command: &'static Command, args: &[&[u8]]) -> Next {
        if let Some(error) = self.refusal_of(conn, command) {
            return self.reject(conn, Some(command), &error);
        }
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        if let Some(multi) = &mut client.session.multi {
            multi.push(command.id, args);
        }
        if client.session.reply_mode == ReplyMode::On {
            client.row.write(|out| out.extend_from_slice(b"+QUEUED\r\n"));
        }
        self.finish_muted(conn);
        self.bound_input(conn);
        Next::Taken
    }

    pub(super) fn call_of(client: &Client, command: &Command) -> Call {
        Call {
            command: command.id,
            db: client.session.db,
            resp: client.session.resp,
            no_touch: client.session.no_touch,
            track: CoreState::tracks(client, command),
            durable: client.session.durable,
        }
    }

    /// Runs a command on keys: here, on the core that owns them, or as a transaction over several.
    #[inline]
    fn run_keys(
        &mut self,
        conn: ConnId,
        command: &'static Command,
        handler: execute::Handler,
        args: &[&[u8]],
        key: Option<(usize, Key<'_>)>,
    ) -> Next {
        let (mut keys, owner) = (Keys::new(), self.core);
        let owner = match (command.entry.spec.spread, command.keys) {
            (_, KeyPlan::One(at)) => {
                let (_, key) = key.unwrap_or_else(|| (at, self.shard.key(args[at])));
                keys.push((at, key));
                self.map.owner(key.slot)
            }
            (Spread::Cursor, _) => self.owner_of_cursor(args[1]),
            (Spread::Shards(_), _) if self.refuses_in_log(conn, command) => return Next::Taken,
            (Spread::Shards(_), _) if self.map.shards() > 1 && !self.note_own_part(conn) => {
                return self.run_over_shards(conn, command, args, &keys);
            }
            (Spread::Patterns, plan) if self.map.shards() > 1 && execute::sort::follows_patterns(args) => {
                self.find_keys(command, plan, args, &mut keys).expect("the keys of such a command are found");
                return self.run_over_shards(conn, command, args, &keys);
            }
            (_, KeyPlan::None) => owner,
            (_, plan) => {
                if self.find_keys(command, plan, args, &mut keys).is_err() {
                    // The arguments do not tell the keys; the handler refuses them without a look at any key.
                    return self.run_here(conn, command, handler, args, &Keys::new());
                }
                let mut owners = keys.iter().map(|(_, key)| self.map.owner(key.slot));
                let first = owners.next().unwrap_or(owner);
                if owners.any(|other| other != first) {
                    if matches!(plan, KeyPlan::Range(range) if range.is_torn(args.len())) {
                        // It cannot be cut into parts; the handler refuses it without a look at any key.
                        return self.run_here(conn, command, handler, args, &Keys::new());
                    }
                    return self.run_over_shards(conn, command, args, &keys);
                }
                first
            }
        };
        if owner == self.core {
            self.run_here(conn, command, handler, args, &keys)
        } else {
            self.run_there(conn, owner, command, args, &keys)
        }
    }

    pub(super) fn find_keys<'a>(
        &self,
        command: &Command,
        plan: KeyPlan,
        args: &[&'a [u8]],
        keys: &mut Keys<'a>,
    ) -> Result<(), Error> {
        match plan {
            KeyPlan::Range(range) => {
                keys.extend(range.positions(args.len()).map(|at| (at, self.shard.key(args[at]))));
            }
            _ => {
                let found = keys::keys_of(command.spec(), args)?;
                keys.extend(found.iter().map(|found| (found.index, self.shard.key(args[found.index]))));
            }
        }
        Ok(())
    }

    /// The shard that a `SCAN` cursor points into; one that is no cursor is refused by the handler, anywhere.
    fn owner_of_cursor(&self, cursor: &[u8]) -> CoreId {
        let cursor = crate::base::number::parse_u64(cursor).and_then(Cursor::new);
        cursor.map_or(self.core, |cursor| self.map.owner(cursor.slot()))
    }

    /// Runs a command whose keys are all on this shard.
    #[inline]
    fn run_here(
        &mut self,
        conn: ConnId,
        command: &'static Command,
        handler: execute::Handler,
        args: &[&[u8]],
        keys: &Keys<'_>,
    ) -> Next {
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        let call = CoreState::begin_call(client, command);
        if !self.locks.is_empty() {
            let access = access_of(command, keys);
            let shared = !command.flags.contains(Flags::WRITE);
            if !self.locks.admits(&access, shared) {
                let to = ReplyTo { conn, client: client.id, sequence: client.row.leave_gap() };
                if command.flags.contains(Flags::BLOCKING) {
                    client.waiting = Waiting::Replies;
                }
                let waiter = Waiter::Run { from: self.core, to, call, args: OwnedArgs::new(args) };
                self.wait_in_line(access, shared, waiter);
                return Next::Taken;
            }
        }
        let muted = client.session.reply_mode != ReplyMode::On;
        let whose = Whose::new(self.core, conn, client.id);
        self.author = if command.flags.contains(Flags::WRITE) { client.id } else { 0 };
        self.shard.touch = !call.no_touch;
        let shard = &mut self.shard;
        let (result, changes, wait) = client.row.write(|out| {
            let start = out.len();
            let reply = Reply::new(out, call.resp);
            let mut exec = Exec::new(args, shard, usize::from(call.db), reply, keys.first().copied());
            let result = exec.run(handler);
            let (changes, wait) = (exec.changes, exec.wait);
            if muted {
                out.truncate(start);
            }
            (result, changes, wait)
        });
        self.stats.changes += changes;
        self.log_effects();
        if self.is_durable(call) {
            self.hold_client(conn, self.depends_on(keys));
        }
        if let Some(wait) = wait {
            return self.block_here(conn, call, command, args, &wait);
        }
        self.account(command, args, whose, result.as_ref().err());
        if muted {
            self.finish_muted(conn);
        }
        self.publish_events();
        if call.track {
            self.remember(whose.into(), keys.iter().map(|(_, key)| key.bytes));
        }
        self.serve();
        Next::Taken
    }

    /// A command of a client of this core has found nothing on this shard.
    #[cold]
    fn block_here(
        &mut self,
        conn: ConnId,
        call: Call,
        command: &'static Command,
        args: &[&[u8]],
        wait: &Wait,
    ) -> Next {
        if let Some(client) = self.clients.get_mut(conn) {
            let to = ReplyTo { conn, client: client.id, sequence: client.row.leave_gap() };
            self.block(Whose { core: self.core, to }, call, command, args, wait);
        }
        self.publish_events();
        Next::Taken
    }

    /// Sends a command to the core that owns its keys.
    fn run_there(
        &mut self,
        conn: ConnId,
        owner: CoreId,
        command: &'static Command,
        args: &[&[u8]],
        keys: &Keys<'_>,
    ) -> Next {
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        let outbox = &mut self.outboxes[owner.index()];
        let gaps = client.row.gaps();
        if gaps > 0 && gaps >= gaps_max(client.remote_reply_bytes) {
            return wait_for_replies(client);
        }
        if outbox.bytes.len() > OUTBOX_MAX_BYTES {
            client.waiting = Waiting::Outbox;
            self.crowded.push(conn);
            return Next::Again;
        }
        self.stats.remote_commands += 1;
        let call = CoreState::begin_call(client, command);
        let to = ReplyTo { conn, client: client.id, sequence: client.row.leave_gap() };
        if command.flags.contains(Flags::BLOCKING) {
            // It may take its time: nothing overtakes it.
            client.waiting = Waiting::Replies;
        }
        let args = outbox.pack_args(args);
        let key = match command.keys {
            KeyPlan::One(_) => keys.first().map(|(_, key)| key.digest()),
            _ => None,
        };
        outbox.messages.push(Message::Run { to, call, args, key });
        Next::Taken
    }

    fn run_over_shards(
        &mut self,
        conn: ConnId,
        command: &'static Command,
        args: &[&[u8]],
        keys: &Keys<'_>,
    ) -> Next {
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        if client.row.gaps() > 0 {
            return wait_for_replies(client);
        }
        client.waiting = Waiting::Txn;
        let call = CoreState::begin_call(client, command);
        let to = ReplyTo { conn, client: client.id, sequence: 0 };
        self.start_txn(to, call, command, args, keys, false);
        Next::Taken
    }

    /// Runs a command about the session or the server.
    fn run_session(
        &mut self,
        conn: ConnId,
        command: &'static Command,
        handler: crate::admin::Handler,
        args: &[&[u8]],
    ) -> Next {
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        if client.row.gaps() > 0 {
            return wait_for_replies(client);
        }
        if let Some(error) = self.refusal_of(conn, command) {
            return self.reject(conn, Some(command), &error);
        }
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        if command.flags.contains(Flags::PUBSUB)
            && self.outboxes.iter().any(|outbox| outbox.bytes.len() > OUTBOX_MAX_BYTES)
        {
            client.waiting = Waiting::Outbox;
            self.crowded.push(conn);
            return Next::Again;
        }
        client.running = Running::new(args);
        if let Some(choice) = &mut client.session.tracking {
            let name = command.full_name;
            choice.begin_command(name.starts_with("client|") || name == "multi");
        }
        let (resp, whose) = (client.session.resp, Whose::new(self.core, conn, client.id));
        let mut out = self.spare_buffer();
        self.held_pushes.running = Some(conn);
        let reply = Reply::new(&mut out, resp);
        let mut cx = Cx { core: self, conn, command, args, reply, in_program: false };
        let result = handler(&mut cx);
        if let Ok(Flow::Ask(query, then)) = result {
            if let Some(client) = self.clients.get_mut(conn) {
                client.waiting = Waiting::Ask;
            }
            self.ask(conn, None, args, &query, out, then);
            self.release_pushes(conn);
            return Next::Taken;
        }
        let result = match result {
            Ok(Flow::Await(awaits)) => {
                self.begin_await(conn, args, awaits, out);
                self.release_pushes(conn);
                return Next::Taken;
            }
            Ok(Flow::Snapshot(snapshot)) => {
                let to = ReplyTo { conn, client: whose.to.client, sequence: 0 };
                match self.run_snapshot_command(to, snapshot) {
                    Ok(()) => {
                        if let Some(client) = self.clients.get_mut(conn) {
                            client.waiting = Waiting::Txn;
                        }
                        self.recycle_buffer(out);
                        self.release_pushes(conn);
                        return Next::Taken;
                    }
                    Err(error) => Err(error),
                }
            }
            result => result,
        };
        let error = result.err();
        self.finish_session(conn, command, out, error.as_ref());
        self.account(command, args, whose, error.as_ref());
        Next::Taken
    }

    /// Hands a session handler's reply to its client; an error takes the place of what was written.
    pub(super) fn finish_session(
        &mut self,
        conn: ConnId,
        command: &Command,
        mut out: Vec<u8>,
        error: Option<&Error>,
    ) {
        if let Some(error) = error {
            out.clear();
            Reply::new(&mut out, Default::default()).error(error);
        }
        if let Some(client) = self.clients.get_mut(conn) {
            client.running = Running::default();
            if client.session.reply_mode == ReplyMode::On || admin::pubsub::is_confirmed(command) {
                client.row.write(|row| row.extend_from_slice(&out));
            }
            // Without a reply too: the client may have to be closed.
            CoreState::mark_dirty(&mut self.dirty, client);
        }
        self.release_pushes(conn);
        self.finish_muted(conn);
        self.recycle_buffer(out);
    }

    /// Moves `CLIENT REPLY SKIP` on by one command.
    pub(super) fn finish_muted(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(conn) {
            client.session.reply_mode = match client.session.reply_mode {
                ReplyMode::SkipNext => ReplyMode::Skip,
                ReplyMode::Skip => ReplyMode::On,
                mode => mode,
            };
        }
    }
}

pub(super) fn wait_for_replies(client: &mut Client) -> Next {
    client.waiting = Waiting::Replies;
    Next::Again
}

/// Replies that one client may expect from other cores if each is as large as this: together they are not much more than
/// the output that it may have unsent.
fn gaps_max(reply_bytes: usize) -> usize {
    (OUTPUT_PAUSE_BYTES / reply_bytes).clamp(1, GAPS_MAX)
}

/// What a command of one shard needs of it.
pub(super) fn access_of(command: &Command, keys: &Keys<'_>) -> Access {
    match command.entry.spec.spread {
        Spread::Shards(_) | Spread::Cursor => Access::Shard,
        _ => Access::Keys(keys.iter().map(|(_, key)| key.hash).collect()),
    }
}
