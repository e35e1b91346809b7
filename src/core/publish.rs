//! Messages to the clients that listen to channels.
//!
//! A message is encoded once for all subscribers of a channel or pattern; each gets the bytes copied into its row of
//! replies, between two of them, and they are sent at the end of the turn with whatever else it gets. Another core gets one
//! message if it has any subscriber, and serves all of its own. Two cores' messages keep their order, so those of one
//! publisher reach each subscriber in order.

use smallvec::SmallVec;

use crate::core::connections::UNCOUNTED_OUTPUT_BYTES;
use crate::core::state::{CoreState, HeldPushes};
use crate::net::clients::Clients;
use crate::protocol::resp::{Reply, Resp};
use crate::pubsub::Subscriber;
use crate::route::message::Message;
use crate::runtime::io::{ConnId, CoreId};

impl CoreState {
    /// Sends a message to all clients of all cores that listen to a channel, or to a shard channel. Returns how many those
    /// are; a subscription that begins or ends at the same time on another core may be counted either way.
    pub fn publish(&mut self, channel: &[u8], message: &[u8], shard: bool) -> usize {
        if self.pubsub.is_empty() {
            return 0;
        }
        let (receivers, cores) = self.hand_out(channel, message, shard, false);
        self.stats.remote_messages += cores.len() as u64;
        for core in cores {
            let outbox = &mut self.outboxes[core.index()];
            let args = outbox.pack_args(&[channel, message]);
            outbox.messages.push(Message::Publish { shard, args });
        }
        receivers
    }

    /// Another core's client has published a message to channels of this core's clients.
    pub(super) fn on_publish(&mut self, channel: &[u8], message: &[u8], shard: bool) {
        self.hand_out(channel, message, shard, true);
    }

    /// Hands a message to this core's clients that listen. Returns how many those are, with those of other cores unless
    /// `only_here`, and these cores.
    fn hand_out(&mut self, channel: &[u8], message: &[u8], shard: bool, only_here: bool) -> (usize, Cores) {
        let (mut receivers, mut cores) = (0, Cores::new());
        let mut frame = self.spare_buffer();
        let mut delivery = Delivery {
            clients: &mut self.clients,
            dirty: &mut self.dirty,
            spare_buffers: &mut self.spare_buffers,
            held: &mut self.held_pushes,
            output_max_bytes: match self.config.client_output_buffer_limits.pubsub.hard_bytes {
                0 => usize::MAX,
                hard_bytes => (hard_bytes + UNCOUNTED_OUTPUT_BYTES) as usize,
            },
        };
        for (pattern, topic) in self.pubsub.listeners(channel, shard, only_here) {
            if !topic.here.is_empty() {
                frame.clear();
                encode(&mut frame, shard, pattern.map(|pattern| &**pattern), channel, message);
                receivers += delivery.copy_to(&topic.here, &mut frame);
            }
            for &(core, count) in topic.elsewhere.iter().filter(|_| !only_here) {
                receivers += count as usize;
                if !cores.contains(&core) {
                    cores.push(core);
                }
            }
        }
        self.recycle_buffer(frame);
        (receivers, cores)
    }

    /// A command about the session has run and replied: now the client may have what was held back for it.
    #[inline]
    pub(super) fn release_pushes(&mut self, conn: ConnId) {
        self.held_pushes.running = None;
        if self.held_pushes.messages.is_empty() {
            return;
        }
        if let Some(messages) = self.held_pushes.messages.remove(&conn)
            && let Some(client) = self.clients.get_mut(conn).filter(|_| !messages.is_empty())
        {
            client.row.push(&messages);
            CoreState::mark_dirty(&mut self.dirty, client);
        }
    }
}

/// Writes a message as RESP3 has it; in RESP2 only the first byte is another.
fn encode(out: &mut Vec<u8>, shard: bool, pattern: Option<&[u8]>, channel: &[u8], message: &[u8]) {
    let mut reply = Reply::new(out, Resp::V3);
    reply.push(if pattern.is_some() { 4 } else { 3 });
    reply.bulk(match (pattern, shard) {
        (Some(_), _) => "pmessage",
        (None, true) => "smessage",
        (None, false) => "message",
    });
    if let Some(pattern) = pattern {
        reply.bulk(pattern);
    }
    reply.bulk(channel);
    reply.bulk(message);
}

/// Cores with subscribers.
type Cores = SmallVec<[CoreId; 16]>;

/// What it takes to hand messages out.
struct Delivery<'a> {
    clients: &'a mut Clients,
    dirty: &'a mut Vec<ConnId>,
    spare_buffers: &'a mut Vec<Vec<u8>>,
    held: &'a mut HeldPushes,
    /// Clients that have more output than this are closed at the end of the turn.
    output_max_bytes: usize,
}

impl Delivery<'_> {
    /// Copies an encoded message to all subscribers. Returns how many those are.
    fn copy_to(&mut self, subscribers: &[Subscriber], frame: &mut [u8]) -> usize {
        let mut receivers = 0;
        for subscriber in subscribers.iter().filter(|subscriber| subscriber.active) {
            receivers += 1;
            let Some(client) = self.clients.get_mut(subscriber.conn) else { continue };
            if client.half_closed || client.close_after_reply {
                // It is closed when it has got its replies: messages must not put that off.
                continue;
            }
            if client.output_bytes() > self.output_max_bytes {
                continue;
            }
            frame[0] = match client.session.resp {
                Resp::V2 => b'*',
                Resp::V3 => b'>',
            };
            if let Some(held) = self.held.of(subscriber.conn) {
                held.extend_from_slice(frame);
                continue;
            }
            if client.row.is_bare()
                && let Some(spare) = self.spare_buffers.pop()
            {
                client.row.lend(spare);
            }
            client.row.push(frame);
            CoreState::mark_dirty(self.dirty, client);
        }
        receivers
    }
}
