//! From received bytes to requests: what has come in is parsed in place, a window of requests at a time; what cannot run yet is
//! kept, within bounds.

use smallvec::SmallVec;

use super::{Next, OUTPUT_PAUSE_BYTES, WINDOW};
use crate::command::keys::KeyPlan;
use crate::command::lookup::Command;
use crate::core::state::{CoreState, Order};
use crate::net::client::{Input, Waiting};
use crate::protocol::resp::{Limits, ManyArgs, Parsed, Parser, whole_array};
use crate::route::message::Args;
use crate::runtime::io::ConnId;
use crate::shard::{Key, KeyDigest};

/// Unparsed input of a client that cannot run at the moment, beyond which it is not read from, in bytes.
const INPUT_PAUSE_BYTES: usize = 1 << 20;

/// A complete request that waits for its turn.
struct Request<'a> {
    /// Where its arguments are.
    args: std::ops::Range<usize>,
    frame_len: usize,
    command: Option<&'static Command>,
    /// Its key, if it has exactly one, with its place.
    key: Option<(usize, Key<'a>)>,
}

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
    pub(in crate::core) fn take_in(&mut self, conn: ConnId, data: &[u8]) {
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
    pub(super) fn bound_input(&mut self, conn: ConnId) {
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
}
