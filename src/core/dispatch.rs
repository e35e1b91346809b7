//! From received bytes to executed commands: parse, check, route, run.
//!
//! Order of effects: a client's commands run in the order sent, with one exception that concerns single-shard commands
//! on different shards: they are sent on without waiting for each other, so that a pipeline keeps all cores busy. Per key
//! and per shard the order holds, replies always come in order, and anything else (commands over several shards, or about
//! the session) waits until all replies are there.

use smallvec::SmallVec;

use crate::admin::{self, Cx, Flow};
use crate::command::keys::{self, KeyPlan};
use crate::command::lookup::Command;
use crate::command::spec::{Flags, Spread};
use crate::command_table::Run;
use crate::core::loading::LOADING;
use crate::core::state::{CoreState, Order, Waiter};
use crate::execute::{self, Exec, Wait};
use crate::net::client::{Client, Input, ReplyMode, Running, Waiting};
use crate::net::multi::Multi;
use crate::protocol::Error;
use crate::protocol::resp::{Limits, ManyArgs, Parsed, Parser, Reply, whole_array};
use crate::route::message::{Access, Args, Call, Message, OwnedArgs, ReplyTo};
use crate::runtime::io::{ConnId, CoreId};
use crate::shard::{Cursor, Key, KeyDigest};
use crate::shared::SlowScript;

/// Unparsed input of a client that cannot run at the moment, beyond which it is not read from, in bytes.
const INPUT_PAUSE_BYTES: usize = 1 << 20;
/// Unsent output of a client beyond which its requests wait, in bytes.
const OUTPUT_PAUSE_BYTES: usize = 1 << 20;
/// Replies that one client may expect from other cores, small ones.
const GAPS_MAX: usize = 4096;
/// Bytes under way to one other core beyond which clients wait.
const OUTBOX_MAX_BYTES: usize = 16 << 20;

/// Commands that a monitoring client may not run, because `CLIENT PAUSE` does not hold it back.
const KEYSPACE: Flags = Flags::READONLY.union(Flags::WRITE).union(Flags::MAY_REPLICATE);
const NOT_IN_MULTI: Error = Error::text("ERR Command not allowed inside a transaction");
const MONITOR_ON_KEYS: Error = Error::text("ERR Replica can't interact with the keyspace");
const DEBUG_NOT_ALLOWED: Error = Error::text(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
     connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);

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

/// A complete request that waits for its turn.
struct Request<'a> {
    /// Where its arguments are.
    args: std::ops::Range<usize>,
    frame_len: usize,
    command: Option<&'static Command>,
    /// Its key, if it has exactly one, with its place.
    key: Option<(usize, Key<'a>)>,
}

/// Keys of one command, with their places among the arguments.
pub(super) type Keys<'a> = SmallVec<[(usize, Key<'a>); 4]>;

impl CoreState {
    /// Bytes have come in.
    pub fn on_received(&mut self, conn: ConnId, data: &[u8]) {
        self.stats.reads += 1;
        self.stats.net_input_bytes += data.len() as u64;
        let now_ms = self.now_ms();
        let Some(client) = self.clients.get_mut(conn) else { return };
        client.received_bytes += data.len() as u64;
        client.active_ms = now_ms;
        self.take_in(conn, data);
    }

    /// Runs what a client has sent, or keeps it until it is complete or may run.
    pub(super) fn take_in(&mut self, conn: ConnId, data: &[u8]) {
        let Some(client) = self.clients.get_mut(conn).filter(|client| !client.close_after_reply) else {
            return;
        };
        if client.input.is_none() && client.is_ready() {
            let mut parser = std::mem::take(&mut self.parser);
            let (used, at_least) = self.run_requests(conn, data, &mut parser);
            if used < data.len()
                && let Some(client) = self.clients.get_mut(conn)
            {
                // What is left of the frame needs memory of its own: the receive buffer is given back.
                client.input = Some(Box::new(Input::new(&data[used..], parser, at_least)));
            } else {
                parser.reset();
                self.parser = parser;
            }
        } else {
            client.input.get_or_insert_default().extend(data);
            // Before anything runs: the bytes that complete a request count as well.
            self.bound_input(conn);
            self.run_input(conn);
        }
        self.bound_input(conn);
    }

    /// Runs what stands in a client's input, as far as it is complete and may run.
    pub fn run_input(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        if !client.is_ready() {
            return;
        }
        if let Some(mut input) = client.input.take_if(|input| input.is_worth_a_try()) {
            let mut parser = std::mem::take(&mut input.parser);
            let (used, at_least) = self.run_requests(conn, input.bytes(), &mut parser);
            input.consume(used);
            (input.parser, input.at_least) = (parser, at_least);
            let Some(client) = self.clients.get_mut(conn) else { return };
            if !input.bytes().is_empty() {
                client.input = Some(input);
            }
        }
        self.resume_receive(conn);
        // It may have been its last, and need no reply.
        self.mark_client_dirty(conn);
    }

    /// Receives again from a client whose input has gone down, or whose next frame lacks bytes, however large it is.
    fn resume_receive(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(conn).filter(|client| client.receive_paused) else { return };
        let held = client.input.as_ref().map_or(0, |input| input.bytes().len());
        if client.is_ready() || held < INPUT_PAUSE_BYTES {
            client.receive_paused = false;
            self.orders.push(Order::Resume(conn));
        }
    }

    /// Keeps a client's unparsed input within bounds: stops reading, or closes the connection.
    fn bound_input(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(conn).filter(|client| client.replay.is_none()) else {
            return;
        };
        let unparsed = client.input.as_ref().map_or(0, |input| input.bytes().len());
        let held = unparsed + client.session.multi_bytes();
        if held as u64 > self.config.client_query_buffer_limit_bytes {
            self.stats.query_limit_disconnections += 1;
            let who = crate::admin::clients::line(client, self.shard.now_ms, self.lookup);
            self.shared.log.warning(format_args!(
                "Closing client that reached max query buffer length: {who} (qbuf initial bytes: {held})"
            ));
            self.close_client(conn);
        } else if !client.is_ready() && unparsed > INPUT_PAUSE_BYTES && !client.receive_paused {
            client.receive_paused = true;
            self.orders.push(Order::Pause(conn));
        }
    }

    /// Runs requests from the beginning of `input`. Returns how many bytes are done with, and the length that the rest
    /// must reach before another attempt makes sense.
    fn run_requests(&mut self, conn: ConnId, input: &[u8], parser: &mut Parser) -> (usize, usize) {
        let mut at = 0;
        self.lend_buffer(conn);
        self.last_ticks = self.clock.ticks();
        let mut at_least = 0;
        while at < input.len() {
            if !self.may_run(conn) {
                break;
            }
            let Some(client) = self.clients.get(conn) else { return (input.len(), 0) };
            let limits = Limits {
                bulk_max_bytes: client.argument_max_bytes(self.hot.bulk_max_bytes),
                unauthenticated: !client.session.authenticated && self.hot.password,
            };
            let (next, progress) = if parser.is_at_start() {
                self.run_ahead(conn, &input[at..], &limits)
            } else {
                (Next::Taken, 0)
            };
            at += progress;
            if next == Next::Again {
                break;
            }
            if progress > 0 {
                continue;
            }
            match self.run_slowly(conn, &input[at..], parser, &limits) {
                Ok((Next::Taken, frame_len)) => at += frame_len,
                Ok((Next::Again, _)) => break,
                Err(missing) => {
                    at_least = missing;
                    break;
                }
            }
        }
        self.mark_client_dirty(conn);
        (at, at_least)
    }

    /// Whether a client's next request may run; if not, the client waits.
    #[inline]
    fn may_run(&mut self, conn: ConnId) -> bool {
        let Some(client) = self.clients.get_mut(conn) else { return false };
        if !client.is_ready() {
            return false;
        }
        let has_room = client.output_bytes() <= OUTPUT_PAUSE_BYTES || client.replay.is_some();
        if !has_room {
            // Nothing can be sent as long as the first reply is still to come.
            client.waiting = if client.row.gaps() > 0 { Waiting::Replies } else { Waiting::Room };
        }
        has_room
    }

    /// Runs complete requests, a window of them at a time: what they will touch in memory is asked for while the
    /// requests before them are looked at, so that the waits for memory overlap. Returns the bytes of those that are done.
    fn run_ahead(&mut self, conn: ConnId, input: &[u8], limits: &Limits) -> (Next, usize) {
        let mut args = ManyArgs::new();
        let mut window = SmallVec::<[Request<'_>; WINDOW]>::new();
        let mut end = 0;
        while window.len() < WINDOW {
            let first = args.len();
            let Some(frame_len) = whole_array(&input[end..], limits, &mut args) else { break };
            end += frame_len;
            let command = self.lookup.find(&args[first..]);
            let key = match command.map(|command| command.keys) {
                Some(KeyPlan::One(at)) if first + at < args.len() => {
                    Some((at, self.shard.key(args[first + at])))
                }
                _ => None,
            };
            window.push(Request { args: first..args.len(), frame_len, command, key });
        }
        if window.len() > 1 {
            self.prefetch(conn, &window, &args);
        }
        let (mut done, mut outcome) = (0, Next::Taken);
        for (nth, request) in window.iter().enumerate() {
            if nth > 0 && !self.may_run(conn) {
                outcome = Next::Again;
                break;
            }
            outcome = self.run(conn, &args[request.args.clone()], request.command, request.key);
            if outcome == Next::Again {
                break;
            }
            done += request.frame_len;
        }
        (outcome, done)
    }

    /// Asks the processor for the tables, then the places in them, then the items that these requests will look up; then the
    /// same for fields of collections.
    fn prefetch(&self, conn: ConnId, window: &[Request<'_>], args: &[&[u8]]) {
        let Some(db) = self.clients.get(conn).map(|client| usize::from(client.session.db)) else { return };
        let keys = window.iter().filter_map(|request| request.key.map(|(_, key)| key.digest()));
        let is_here = |key: &KeyDigest| self.map.owner(key.slot) == self.core;
        self.shard.dbs[db].prefetch(keys.filter(is_here));
        let fields = window.iter().filter_map(|request| {
            let at = usize::from(request.command?.spec().field_at);
            let field = args[request.args.clone()].get(at).filter(|_| at > 0)?;
            Some((request.key?.1.digest(), *field))
        });
        self.shard.dbs[db].prefetch_fields(fields.filter(|(key, _)| is_here(key)));
    }

    /// Parses and runs one request that is inline, incomplete, odd or wrong. `Err` is the length that the frame must
    /// reach before another attempt makes sense.
    #[cold]
    fn run_slowly(
        &mut self,
        conn: ConnId,
        frame: &[u8],
        parser: &mut Parser,
        limits: &Limits,
    ) -> Result<(Next, usize), usize> {
        if let Some(outcome) = self.pass_over(conn, frame, parser) {
            return outcome;
        }
        match parser.parse(frame, limits) {
            Ok(Parsed::Request { frame_len }) => {
                let next = {
                    let args: Args<'_> = parser.args(frame).collect();
                    self.run(conn, &args, self.lookup.find(&args), None)
                };
                parser.reset();
                Ok((next, frame_len))
            }
            Ok(Parsed::Nothing { frame_len }) => {
                parser.reset();
                Ok((Next::Taken, frame_len))
            }
            Ok(Parsed::Incomplete { at_least }) => Err(at_least),
            Err(_) if self.note_bad_format(conn) => Ok((Next::Again, 0)),
            Err(error) => {
                self.stats.protocol_errors += 1;
                self.fail(conn, &error.to_string());
                if let Some(client) = self.clients.get_mut(conn) {
                    client.close_after_reply = true;
                }
                Ok((Next::Taken, frame.len()))
            }
        }
    }

    /// Gives a client's row a buffer with capacity, so that its replies need not grow one.
    fn lend_buffer(&mut self, conn: ConnId) {
        let spare = self.spare_buffer();
        match self.clients.get_mut(conn) {
            Some(client) if client.row.is_bare() => client.row.lend(spare),
            _ => self.recycle_buffer(spare),
        }
    }

    pub(super) fn mark_client_dirty(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(conn) {
            CoreState::mark_dirty(&mut self.dirty, client);
        }
    }

    /// Answers with an error and counts it.
    fn fail(&mut self, conn: ConnId, text: &str) {
        self.stats.record_error(text);
        let Some(client) = self.clients.get_mut(conn) else { return };
        if client.session.reply_mode == ReplyMode::On {
            let resp = client.session.resp;
            client.row.write(|out| Reply::new(out, resp).error_text(text));
        }
    }

    /// Answers a command that must not run.
    #[cold]
    fn reject(&mut self, conn: ConnId, command: Option<&Command>, error: &Error) -> Next {
        if let Some(command) = command {
            self.stats.commands[usize::from(command.id.0)].rejected += 1;
        }
        let mut text = error.to_string();
        let session = self.clients.get_mut(conn).map(|client| &mut client.session);
        if command.is_some_and(|command| matches!(command.entry.run, Run::Exec)) {
            let reason = text.strip_prefix("ERR ").unwrap_or(&text);
            text = format!("EXECABORT Transaction discarded because of: {reason}");
            if let Some(session) = session {
                session.multi = None;
            }
            self.unwatch(conn);
        } else if let Some(queue) = session.and_then(|session| session.multi.as_mut()) {
            queue.broken = true;
        }
        self.fail(conn, &text);
        self.finish_muted(conn);
        Next::Taken
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
        if !client.session.authenticated && self.hot.password && !command.flags.contains(Flags::NO_AUTH) {
            return self.reject(conn, Some(command), &Error::text("NOAUTH Authentication required."));
        }
        client.last_command = Some(command.id);
        if client.session.monitor && command.flags.intersects(KEYSPACE) {
            return self.reject(conn, Some(command), &MONITOR_ON_KEYS);
        }
        if let Some(refusal) = self.refusal
            && self.would_write(conn, command)
        {
            return self.reject(conn, Some(command), &refusal.error());
        }
        let Some(client) = self.clients.get_mut(conn) else { return Next::Taken };
        if client.only_listens() && !may_run_while_listening(command) {
            return self.reject(conn, Some(command), &only_listening(command));
        }
        if self.loading.is_some() && self.is_denied_while_loading(conn, command) {
            return self.reject(conn, Some(command), &LOADING);
        }
        if self.pause.is_some() && self.must_pause(conn, command) {
            return Next::Again;
        }
        if let Some(slow) = self.slow_script
            && !command.flags.contains(Flags::ALLOW_BUSY)
        {
            return self.reject(conn, Some(command), &busy_with(slow));
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

    /// Why a command may not run on this connection, or not now.
    fn refusal_of(&self, conn: ConnId, command: &Command) -> Option<Error> {
        let client = self.clients.get(conn)?;
        if command.flags.contains(Flags::NO_MULTI) && client.session.multi.is_some() {
            return Some(NOT_IN_MULTI);
        }
        let protected = command.flags.contains(Flags::PROTECTED);
        let refused = protected && !self.config.enable_debug_command.permits(client.is_local);
        refused.then_some(DEBUG_NOT_ALLOWED)
    }

    /// Answers a request that is no command, or has the wrong number of arguments.
    #[cold]
    fn refuse(&mut self, conn: ConnId, args: &[&[u8]], known: Option<&'static Command>) -> Next {
        if self.note_unknown(conn, args[0]) {
            return Next::Again;
        }
        if is_cross_protocol(args[0]) {
            return self.refuse_http(conn);
        }
        let error = self.lookup.resolve(args).expect_err("a command that takes its arguments is not refused");
        self.reject(conn, known, &error)
    }

    /// A browser that was talked into sending requests here must not get through to commands in the body.
    #[cold]
    fn refuse_http(&mut self, conn: ConnId) -> Next {
        self.stats.protocol_errors += 1;
        self.shared.log.warning(format_args!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This \
             is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. \
             Connection aborted."
        ));
        self.close_client(conn);
        Next::Taken
    }

    /// Whether `CLIENT PAUSE` holds this command back; if so the client waits.
    #[cold]
    fn must_pause(&mut self, conn: ConnId, command: &Command) -> bool {
        let Some(pause) = self.pause else { return false };
        let holds = |command: &Command| pause.holds(command, self.now_ms());
        let queued = match command.entry.run {
            Run::Exec => self.clients.get(conn).and_then(|client| client.session.multi.as_deref()),
            _ => None,
        };
        let is_held = |multi: &Multi| multi.iter().any(|(id, _)| holds(self.lookup.get(id)));
        if !holds(command) && !queued.is_some_and(is_held) {
            return false;
        }
        match self.clients.get_mut(conn) {
            Some(client) if !client.session.monitor && client.replay.is_none() => {
                client.waiting = Waiting::Paused;
                true
            }
            _ => false,
        }
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

/// Whether a client that may only listen may run this.
fn may_run_while_listening(command: &Command) -> bool {
    admin::pubsub::is_confirmed(command) || ["ping", "quit", "reset"].contains(&command.full_name)
}

#[cold]
fn only_listening(command: &Command) -> Error {
    let name = command.full_name;
    Error::from(format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    ))
}

/// The answer while a script takes long.
fn busy_with(script: SlowScript) -> Error {
    Error::text(match script {
        SlowScript::Script => {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        }
        SlowScript::Function => {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        }
    })
}

/// The first words of HTTP requests that a browser can be made to send.
fn is_cross_protocol(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}
