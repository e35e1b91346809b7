//! Clients coming and going, and what is sent to them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::admin::connection;
use crate::core::state::{CoreState, Order, Pause};
use crate::net::client::{Client, Link, Waiting};
use crate::route::message::Message;
use crate::runtime::io::{ConnId, CoreId, Event, Io, Socket};

const PROTECTED: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default \
     user. Only connections from the loopback interface are accepted. To serve other hosts, set a password by \
     'requirepass', or switch protected mode off by 'CONFIG SET protected-mode no' from the loopback interface if the \
     network is trusted.\r\n";

/// Output of a client that no limit counts: in Redis that much fits in the client itself, so short replies go out however
/// low the limit is.
pub(super) const UNCOUNTED_OUTPUT_BYTES: u64 = 16 * 1024;

/// Replies that are sent on their own although others of the same pipeline are still to come from other cores, in bytes.
/// Fewer wait for those: a send costs more than the moment until they are here.
const PART_BYTES: usize = 16 * 1024;

impl CoreState {
    /// Takes note of something that the system reports.
    pub fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Received(conn, data) => self.on_received(conn, data),
            Event::Sent(conn, buffer, result) => self.on_sent(conn, buffer, result),
            Event::Accepted(socket) => self.on_accepted(socket),
            Event::Progress(conn, taken) => self.on_progress(conn, taken),
            Event::Ended(conn, 0) => self.on_half_closed(conn),
            Event::Ended(conn, _) => self.close_client(conn),
            Event::Released(conn) => self.clients.free(conn),
            Event::Wrote(id, blocks, result) => self.on_wrote(id, blocks, result),
            Event::Synced(file, result) => self.on_synced(file, result),
            Event::AcceptFailed(error) => {
                let error = std::io::Error::from_raw_os_error(error);
                self.shared.log.warning(format_args!("Error accepting a client connection: {error}"));
            }
        }
    }

    /// Passes a new connection to the core with the fewest.
    fn on_accepted(&mut self, socket: Socket) {
        let core = self.shared.place_connection(self.core);
        self.send(core, Message::Adopt(Box::new(socket)));
    }

    /// Serves a connection that is counted as this core's already.
    pub(super) fn adopt(&mut self, socket: Socket) {
        let conn = self.clients.next_id();
        let refusal = self.refusal(&socket);
        let now_ms = self.now_ms();
        let id = self.shared.last_client_id.fetch_add(1, Ordering::Relaxed) + 1;
        let mut client = Client {
            fd: socket.handle.number(),
            peer: socket.peer.clone(),
            local: socket.local.clone(),
            is_local: socket.is_local,
            is_unix: socket.is_unix,
            refused: refusal.is_some(),
            ..Client::new(id, conn, connection::new_session(self), now_ms)
        };
        if let Some(text) = refusal {
            self.stats.rejected_connections += 1;
            client.row.write(|out| out.extend_from_slice(text.as_bytes()));
            client.close_after_reply = true;
            CoreState::mark_dirty(&mut self.dirty, &mut client);
        } else {
            self.stats.connections_received += 1;
            let keepalive = Duration::from_secs(self.config.tcp_keepalive_seconds.into());
            if let Err(error) = socket.keep_alive(keepalive) {
                self.shared.log.verbose(format_args!("Cannot set TCP keepalive of {}: {error}", socket.peer));
            }
        }
        self.clients.insert(client);
        self.orders.push(Order::Attach(conn, socket));
    }

    /// Why a connection is not served, as the reply that it gets.
    fn refusal(&self, socket: &Socket) -> Option<&'static str> {
        if self.config.protected_mode && !self.hot.password && !socket.is_local {
            return Some(PROTECTED);
        }
        let admitted = self.shared.admit(self.config.maxclients);
        (!admitted).then_some("-ERR max number of clients reached\r\n")
    }

    /// Ends a connection. What it has under way on other cores runs on without it, and so does a program that has begun; the
    /// client is kept for that.
    pub fn close_client(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(conn).filter(|client| client.link == Link::Open) else {
            return;
        };
        client.link = Link::Closed;
        client.close_after_reply = true;
        let (in_program, refused) = (client.in_program, client.refused);
        self.orders.push(Order::Close(conn));
        self.shared.connections[self.core.index()].fetch_sub(1, Ordering::Relaxed);
        if !refused {
            self.shared.dismiss();
        }
        if !in_program {
            self.forget_client(conn);
        }
    }

    /// Drops a client whose connection is over, and all that is known of it.
    pub(super) fn forget_client(&mut self, conn: ConnId) {
        let Some(client) = self.clients.remove(conn) else { return };
        if client.session.monitor {
            crate::admin::monitor::announce(self);
        }
        self.held_pushes.messages.remove(&conn);
        if client.is_subscribed() {
            let ended = self.pubsub.unsubscribe_all(conn);
            crate::admin::pubsub::announce(self, ended);
        }
        if client.waiting == Waiting::Blocked {
            self.abandon_wait(client.id);
        }
        self.forget_watcher(client.id, &client.session.watched);
        self.end_tracking(&client);
    }

    /// The peer has closed, or at least sends nothing more: it gets the replies to what it has sent. Who was held back by
    /// `CLIENT PAUSE`, or waits for keys, has given up.
    fn on_half_closed(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        client.half_closed = true;
        if matches!(client.waiting, Waiting::Paused | Waiting::Blocked) || client.session.monitor {
            return self.close_client(conn);
        }
        CoreState::mark_dirty(&mut self.dirty, client);
    }

    /// A client reads what is sent to it, if only slowly.
    fn on_progress(&mut self, conn: ConnId, taken: usize) {
        let now_ms = self.now_ms();
        let Some(client) = self.clients.get_mut(conn) else { return };
        client.active_ms = now_ms;
        client.sending_bytes -= taken;
        // Its limits look different now.
        CoreState::mark_dirty(&mut self.dirty, client);
    }

    fn on_sent(&mut self, conn: ConnId, buffer: Vec<u8>, result: Result<(), i32>) {
        self.stats.writes += 1;
        self.stats.net_output_bytes += buffer.len() as u64;
        if let Some(client) = self.clients.get_mut(conn) {
            client.sent_bytes += buffer.len() as u64;
            client.sending = false;
            client.sending_bytes = 0;
            client.active_ms = self.shard.now_ms;
            if client.waiting == Waiting::Room {
                client.waiting = Waiting::No;
                self.runnable.push_back(conn);
            }
            CoreState::mark_dirty(&mut self.dirty, client);
            if result.is_err() {
                self.close_client(conn);
            }
        }
        self.recycle_buffer(buffer);
    }

    /// Lets clients go on whose wait is over.
    pub fn resume_clients(&mut self) {
        for _ in 0..self.runnable.len() {
            let Some(conn) = self.runnable.pop_front() else { break };
            self.run_input(conn);
            self.mark_client_dirty(conn);
        }
    }

    /// Lets clients try again that have found an outbox too full; they wait again if it still is.
    pub fn resume_crowded(&mut self) {
        for conn in self.crowded.drain(..) {
            if let Some(client) = self.clients.get_mut(conn)
                && client.waiting == Waiting::Outbox
            {
                client.waiting = Waiting::No;
                self.runnable.push_back(conn);
            }
        }
    }

    /// Hands over what can be sent, and closes connections that have got everything.
    pub fn flush(&mut self, io: &mut impl Io) {
        // First, because a new connection may have something to be sent already.
        self.carry_out(io);
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            let Some(client) = self.clients.get_mut(conn) else { continue };
            client.dirty = false;
            if client.replay.is_some() || client.link != Link::Open {
                continue;
            }
            if !client.hold.is_idle(self.journal.safe()) {
                self.hold_back(conn, io);
            } else if client.sending {
                self.check_output_limit(conn);
            } else if client.row.ready_len() > 0
                && (client.row.gaps() == 0
                    || client.row.is_urgent()
                    || client.row.ready_len() >= PART_BYTES
                    || client.waiting == Waiting::Blocked)
            {
                let bytes = client.row.take_ready();
                client.begin_send(bytes.len());
                io.send(conn, bytes);
                self.check_output_limit(conn);
            } else if client.is_done() {
                self.close_client(conn);
            } else {
                if client.row.ready_len() == 0 {
                    let spare = client.row.take_ready();
                    self.recycle_buffer(spare);
                }
                // Replies may be held back by the first, which is still to come.
                self.check_output_limit(conn);
            }
        }
        debug_assert!(self.dirty.is_empty());
        self.dirty = dirty;
        self.carry_out(io);
    }

    /// Sends what is safe to a client whose replies wait for the log, and parks the rest.
    fn hold_back(&mut self, conn: ConnId, io: &mut impl Io) {
        let safe = self.journal.safe();
        let Some(client) = self.clients.get_mut(conn) else { return };
        let (id, parked) = (client.id, client.hold.park(&mut client.row));
        if !client.sending {
            let bytes = client.hold.take(safe);
            if !bytes.is_empty() {
                client.begin_send(bytes.len());
                io.send(conn, bytes);
            }
        }
        if let Some(until) = parked.filter(|until| *until > safe) {
            self.journal.keep_client(until, conn, id);
        }
        self.check_output_limit(conn);
    }

    fn carry_out(&mut self, io: &mut impl Io) {
        for order in self.orders.drain(..) {
            match order {
                Order::Attach(conn, socket) => io.attach(conn, socket),
                Order::Pause(conn) => io.pause(conn),
                Order::Resume(conn) => io.resume(conn),
                Order::Close(conn) => io.close(conn),
            }
        }
    }

    /// Closes a client that lets more output pile up than `client-output-buffer-limit` allows its class.
    fn check_output_limit(&mut self, conn: ConnId) {
        let now_ms = self.now_ms();
        let Some(client) = self.clients.get_mut(conn) else { return };
        let limits = &self.config.client_output_buffer_limits;
        let limit = if client.is_subscribed() { limits.pubsub } else { limits.normal };
        if limit.hard_bytes == 0 && limit.soft_bytes == 0 {
            client.soft_limit_since_ms = None;
            return;
        }
        let held = (client.output_bytes() as u64).saturating_sub(UNCOUNTED_OUTPUT_BYTES);
        let over_soft = limit.soft_bytes > 0 && held > limit.soft_bytes;
        let since_ms = over_soft.then(|| client.soft_limit_since_ms.unwrap_or(now_ms));
        client.soft_limit_since_ms = since_ms;
        let too_long = since_ms.is_some_and(|since| now_ms - since > limit.soft_seconds as i64 * 1000);
        if (limit.hard_bytes > 0 && held > limit.hard_bytes) || too_long {
            self.stats.output_limit_disconnections += 1;
            let who = crate::admin::clients::line(client, now_ms, self.lookup);
            self.shared.log.warning(format_args!(
                "Client {who} scheduled to be closed ASAP for overcoming of output buffer limits."
            ));
            self.close_client(conn);
        }
    }

    /// Closes what has been idle for too long, checks limits that depend on time, ends `CLIENT PAUSE`.
    pub fn check_clients(&mut self) {
        let now_ms = self.now_ms();
        if self.pause.is_some_and(|pause| now_ms >= pause.until_ms) {
            self.end_pause();
        }
        let timeout_ms = i64::from(self.config.timeout_seconds) * 1000;
        let idle: Vec<ConnId> = self
            .clients
            .iter()
            .filter(|client| {
                let only_watches = client.session.monitor || client.is_subscribed();
                timeout_ms > 0 && now_ms - client.active_ms > timeout_ms && !only_watches
            })
            .filter(|client| matches!(client.waiting, Waiting::No | Waiting::Room))
            .map(|client| client.conn)
            .collect();
        idle.into_iter().for_each(|conn| self.close_client(conn));
        let limited: Vec<ConnId> = self
            .clients
            .iter()
            .filter(|client| client.soft_limit_since_ms.is_some())
            .map(|client| client.conn)
            .collect();
        limited.into_iter().for_each(|conn| self.check_output_limit(conn));
    }

    /// Begins, changes or ends a pause: no key expires during one.
    pub fn set_pause(&mut self, pause: Option<Pause>) {
        self.pause = pause;
        self.shard.expiry_paused = pause.is_some();
        self.workbench.expiry_paused = pause.is_some();
    }

    /// Ends `CLIENT PAUSE`.
    pub fn end_pause(&mut self) {
        self.set_pause(None);
        for client in self.clients.iter_mut().filter(|client| client.waiting == Waiting::Paused) {
            client.waiting = Waiting::No;
            self.runnable.push_back(client.conn);
        }
        self.resume_waits();
    }

    /// The core that this state belongs to stops: sends what is ready to be sent and closes all connections.
    pub fn close_all(&mut self, io: &mut impl Io) {
        self.flush(io);
        let all: Vec<ConnId> = self.clients.iter().map(|client| client.conn).collect();
        all.into_iter().for_each(|conn| self.close_client(conn));
        self.flush(io);
    }

    /// Cores other than this one.
    pub fn others(&self) -> impl Iterator<Item = CoreId> + use<> {
        let here = self.core;
        self.map.all().filter(move |&core| core != here)
    }
}
