//! One client: the session's choices and the connection's buffers.

use crate::command::lookup::CommandId;
use crate::net::hold::Hold;
use crate::net::multi::Multi;
use crate::net::reply_row::ReplyRow;
use crate::protocol::resp::{Parser, Resp};
use crate::pubsub::Counts;
use crate::runtime::io::ConnId;
use crate::tracking::Choice;

/// What `CLIENT REPLY` has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// Every command is answered.
    #[default]
    On,
    /// None is.
    Off,
    /// The command that is running, `CLIENT REPLY SKIP` itself, and the next one are not.
    SkipNext,
    /// The command that is running is not.
    Skip,
}

/// Why a client's further requests wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waiting {
    /// They don't.
    #[default]
    No,
    /// The next request may only run when all replies of earlier ones are there.
    Replies,
    /// A transaction over several shards is under way.
    Txn,
    /// Other cores were asked something.
    Ask,
    /// A command waits for keys.
    Blocked,
    /// `CLIENT PAUSE` is in force.
    Paused,
    /// The client does not read its replies.
    Room,
    /// Too much is on its way to another core already.
    Outbox,
}

/// The state of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// The client can be served.
    #[default]
    Open,
    /// It is over, and the client is kept only until its program has ended.
    Closed,
    /// The same, and the system holds nothing for it any more.
    Released,
}

/// What the session has chosen; `RESET` sets it back.
#[derive(Debug, Default)]
pub struct Session {
    /// `CLIENT SETNAME`.
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`.
    pub lib_name: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`.
    pub lib_ver: Vec<u8>,
    /// The selected database.
    pub db: u16,
    /// The protocol version.
    pub resp: Resp,
    /// Whether commands may run; false until `AUTH` if a password is required.
    pub authenticated: bool,
    /// `CLIENT REPLY`.
    pub reply_mode: ReplyMode,
    /// `CLIENT NO-EVICT`.
    pub no_evict: bool,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: bool,
    /// `MONITOR` is on.
    pub monitor: bool,
    /// `MULTI`: commands wait for `EXEC`.
    pub multi: Option<Box<Multi>>,
    /// `WATCH`: databases and keys.
    pub watched: Vec<(u16, Box<[u8]>)>,
    /// `CLIENT DURABILITY`: whether replies wait until what they tell is safe, if the session does not leave that to the server.
    pub durable: Option<bool>,
    /// `CLIENT TRACKING`.
    pub tracking: Option<Box<Choice>>,
}

impl Session {
    /// Bytes of commands that wait for `EXEC`.
    pub fn multi_bytes(&self) -> usize {
        self.multi.as_ref().map_or(0, |multi| multi.memory_bytes())
    }
}

/// What replies of other cores are taken to need before the first has come, and at least, in bytes.
const REMOTE_REPLY_BYTES: (usize, usize) = (16 << 10, 256);

/// Bytes of a frame that is not complete, or of requests that have to wait.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// Where the first frame that has not run begins in `bytes`. What is before it is given up only when that is most
    /// of it: requests that wait one by one would otherwise move all behind them each time.
    start: usize,
    /// How far that frame was parsed.
    pub parser: Parser,
    /// Parsing again is of no use with fewer bytes than this.
    pub at_least: usize,
}

impl Input {
    /// Input that begins with a frame that has been parsed to some extent.
    pub fn new(bytes: &[u8], parser: Parser, at_least: usize) -> Input {
        Input { bytes: bytes.to_vec(), start: 0, parser, at_least }
    }

    /// From the start of the first frame that has not run.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Adds what has come in.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives up so many bytes at the beginning.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..std::mem::take(&mut self.start));
        }
    }

    /// Whether another attempt to run a request makes sense.
    #[inline]
    pub fn is_worth_a_try(&self) -> bool {
        self.bytes().len() >= self.at_least
    }

    /// Heap bytes held, and how many of them hold no input.
    pub fn memory_bytes(&self) -> (usize, usize) {
        (self.bytes.capacity() + self.parser.memory_bytes(), self.bytes.capacity() - self.bytes().len())
    }
}

/// Sizes of a request that is running, as `CLIENT LIST` shows them; zero while none is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Running {
    /// Its frame.
    pub frame_bytes: usize,
    /// Its arguments.
    pub args_bytes: usize,
}

impl Running {
    /// The sizes of a request with these arguments, in RESP.
    pub fn new(args: &[&[u8]]) -> Running {
        // `*<number>` or `$<length>` and its line end.
        let head = |n: usize| n.checked_ilog10().unwrap_or(0) as usize + 1 + 3;
        let args_bytes = args.iter().map(|arg| arg.len()).sum();
        let heads = head(args.len()) + args.iter().map(|arg| head(arg.len()) + 2).sum::<usize>();
        Running { frame_bytes: heads + args_bytes, args_bytes }
    }
}

/// Why a log cannot be replayed whose bytes are no commands.
pub const BAD_FORMAT: &str = "Bad file format reading the append only file: make a backup of your AOF file, then use \
                              ./redis-check-aof --fix <filename>";

/// What the commands of a log stand for that concern whole databases, as `FLUSHALL` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All keys.
    Everything,
    /// The keys of the shard of the core that replays the log.
    OwnShard,
    /// The keys of a shard as there is none now, because their number has changed: such a command cannot be replayed.
    FormerShard,
}

/// What a client is about that replays a log. It has no connection; see `core::loading`.
#[derive(Debug)]
pub struct Replay {
    /// What its commands on whole databases concern.
    pub scope: Scope,
    /// What was found that is no command. Nothing runs after it.
    pub damage: Option<String>,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// Unique over the process' life.
    pub id: u64,
    /// Its connection.
    pub conn: ConnId,
    /// Its descriptor.
    pub fd: u64,
    /// Peer address.
    pub peer: String,
    /// Own address.
    pub local: String,
    /// Whether the peer is on this host.
    pub is_local: bool,
    /// Whether the connection came by the Unix socket.
    pub is_unix: bool,
    /// It is only told why it is not served.
    pub refused: bool,
    /// When it connected, Unix milliseconds.
    pub created_ms: i64,
    /// When it last sent something, Unix milliseconds.
    pub active_ms: i64,
    /// The command that it last ran.
    pub last_command: Option<CommandId>,
    /// The session.
    pub session: Session,
    /// How many channels and patterns it listens to.
    pub subscriptions: Counts,
    /// The command about the session that is running.
    pub running: Running,
    /// Unparsed input, present only while there is some: an idle client holds no buffer.
    pub input: Option<Box<Input>>,
    /// Replies.
    pub row: ReplyRow,
    /// Replies that wait for the log.
    pub hold: Hold,
    /// Some shard may remember what it has read.
    pub remembered: bool,
    /// Bytes given to the kernel and not confirmed.
    pub sending_bytes: usize,
    /// Most bytes given to the kernel at once.
    pub output_peak_bytes: usize,
    /// Whether a send is under way.
    pub sending: bool,
    /// Whether it stands in the list of clients with something to send.
    pub dirty: bool,
    /// Why requests wait.
    pub waiting: Waiting,
    /// Whether receiving is paused, because input piles up.
    pub receive_paused: bool,
    /// The peer sends nothing more. What it has sent is answered, then the connection is closed.
    pub half_closed: bool,
    /// How large the replies of commands on other cores are, the largest of the latest counting most, in bytes.
    pub remote_reply_bytes: usize,
    /// No request is accepted any more; the connection is closed when the replies are sent.
    pub close_after_reply: bool,
    /// What has become of the connection.
    pub link: Link,
    /// A program of its has begun, which goes on, and needs the session, even if the connection is over.
    pub in_program: bool,
    /// Since when the soft output limit is exceeded, Unix milliseconds.
    pub soft_limit_since_ms: Option<i64>,
    /// It replays a log.
    pub replay: Option<Box<Replay>>,
    /// Bytes received over its life.
    pub received_bytes: u64,
    /// Bytes sent over its life.
    pub sent_bytes: u64,
}

impl Client {
    /// The id of clients that replay logs, one on each core at a time.
    pub const REPLAY: u64 = u64::MAX;

    /// A client of which nothing is known yet but this; `now_ms` in Unix milliseconds.
    pub fn new(id: u64, conn: ConnId, session: Session, now_ms: i64) -> Client {
        Client {
            id,
            conn,
            fd: 0,
            peer: String::new(),
            local: String::new(),
            is_local: true,
            is_unix: false,
            refused: false,
            created_ms: now_ms,
            active_ms: now_ms,
            last_command: None,
            session,
            subscriptions: Counts::default(),
            running: Running::default(),
            input: None,
            row: ReplyRow::default(),
            hold: Hold::default(),
            remembered: false,
            sending_bytes: 0,
            output_peak_bytes: 0,
            sending: false,
            dirty: false,
            waiting: Waiting::No,
            receive_paused: false,
            half_closed: false,
            remote_reply_bytes: Client::REMOTE_REPLY_BYTES,
            close_after_reply: false,
            link: Link::Open,
            in_program: false,
            soft_limit_since_ms: None,
            replay: None,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// Whether requests may run now.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.waiting == Waiting::No && !self.close_after_reply
    }

    /// How long its arguments may be, in bytes: as configured, but what a log holds was accepted once.
    #[inline]
    pub fn argument_max_bytes(&self, configured: usize) -> usize {
        if self.replay.is_some() { u32::MAX as usize } else { configured }
    }

    /// Whether it listens to channels.
    #[inline]
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions.any()
    }

    /// Whether it may only run what concerns its subscriptions: in RESP2, messages and replies could not be told apart.
    #[inline]
    pub fn only_listens(&self) -> bool {
        self.is_subscribed() && self.session.resp == Resp::V2
    }

    /// Whether a reply of a request that was taken is still to come.
    pub fn expects_reply(&self) -> bool {
        self.row.gaps() > 0 || matches!(self.waiting, Waiting::Txn | Waiting::Ask)
    }

    /// What [`Client::remote_reply_bytes`] begins with.
    pub const REMOTE_REPLY_BYTES: usize = REMOTE_REPLY_BYTES.0;

    /// Takes note of the size of another core's reply.
    #[inline]
    pub fn note_remote_reply(&mut self, bytes: usize) {
        let faded = self.remote_reply_bytes - self.remote_reply_bytes / 8;
        self.remote_reply_bytes = faded.max(bytes).max(REMOTE_REPLY_BYTES.1);
    }

    /// Takes note that so many bytes are given to the kernel.
    pub fn begin_send(&mut self, bytes: usize) {
        self.sending = true;
        self.sending_bytes = bytes;
        self.output_peak_bytes = self.output_peak_bytes.max(bytes);
    }

    /// Whether all that the client will ever be sent has been sent, and nothing more is to be read from it.
    pub fn is_done(&self) -> bool {
        let runs_nothing_more = self.close_after_reply
            || self.half_closed
                && self.waiting == Waiting::No
                && self.input.as_ref().is_none_or(|input| !input.is_worth_a_try());
        runs_nothing_more
            && !self.sending
            && self.row.is_empty()
            && self.hold.is_empty()
            && !self.expects_reply()
    }

    /// Bytes of output that have not reached the kernel's socket buffer.
    pub fn output_bytes(&self) -> usize {
        self.row.len() + self.hold.len() + self.sending_bytes
    }

    /// Heap bytes held for this client.
    pub fn memory_bytes(&self) -> usize {
        let input = self.input.as_ref().map_or(0, |input| size_of::<Input>() + input.memory_bytes().0);
        size_of::<Client>()
            + self.peer.capacity()
            + self.local.capacity()
            + self.session.name.capacity()
            + self.session.lib_name.capacity()
            + self.session.lib_ver.capacity()
            + input
            + self.session.multi_bytes()
            + self.subscriptions.memory_bytes()
            + self.row.memory_bytes()
            + self.hold.len()
            + self.sending_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_request_is_measured_as_it_was_sent() {
        let running = Running::new(&[b"client", b"list"]);
        assert_eq!(running.frame_bytes, b"*2\r\n$6\r\nclient\r\n$4\r\nlist\r\n".len());
        assert_eq!(running.args_bytes, 10);
        assert_eq!(
            Running::new(&[b"", &[b'x'; 10]]).frame_bytes,
            b"*2\r\n$0\r\n\r\n$10\r\n0123456789\r\n".len()
        );
    }
}
