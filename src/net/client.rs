//! One client: the session's choices and the connection's buffers.

use crate::command::lookup::CommandId;
use crate::net::reply_row::ReplyRow;
use crate::protocol::resp::{Parser, Resp};
use crate::runtime::io::ConnId;

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
    /// `CLIENT PAUSE` is in force.
    Paused,
    /// Too many replies have not been taken by the client.
    Room,
    /// Too much is on its way to another core.
    Outbox,
}

/// What the session has chosen; `RESET` sets it back.
#[derive(Debug, Clone, Default)]
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
}

/// Bytes of a frame that is not complete, or of requests that have to wait.
#[derive(Debug, Default)]
pub struct Input {
    /// From the start of the first frame that has not run.
    pub bytes: Vec<u8>,
    /// How far that frame was parsed.
    pub parser: Parser,
    /// Parsing again is of no use with fewer bytes than this.
    pub at_least: usize,
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
    /// The command about the session that is running.
    pub running: Running,
    /// Unparsed input, present only while there is some: an idle client holds no buffer.
    pub input: Option<Box<Input>>,
    /// Replies.
    pub row: ReplyRow,
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
    /// No request is accepted any more; the connection is closed when the replies are sent.
    pub close_after_reply: bool,
    /// The peer sends no more, but may still read: it gets the replies to what it has sent.
    pub finished: bool,
    /// The connection is being closed.
    pub closing: bool,
    /// Since when the soft output limit is exceeded, Unix milliseconds.
    pub soft_limit_since_ms: Option<i64>,
    /// Bytes received over its life.
    pub received_bytes: u64,
    /// Bytes sent over its life.
    pub sent_bytes: u64,
}

impl Client {
    /// Whether requests may run now.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.waiting == Waiting::No && !self.closing && !self.close_after_reply
    }

    /// Whether a reply of a request that was taken is still to come.
    pub fn expects_reply(&self) -> bool {
        self.row.gaps() > 0 || matches!(self.waiting, Waiting::Txn | Waiting::Ask)
    }

    /// Whether nothing is left to be done but to close the connection, once all output is sent.
    pub fn is_over(&self) -> bool {
        let has_request = self.input.as_ref().is_some_and(|input| input.bytes.len() >= input.at_least);
        let ends = self.close_after_reply || (self.finished && self.waiting == Waiting::No && !has_request);
        ends && !self.expects_reply()
    }

    /// Bytes of output that have not reached the kernel's socket buffer.
    pub fn output_bytes(&self) -> usize {
        self.row.len() + self.sending_bytes
    }

    /// Heap bytes held for this client.
    pub fn memory_bytes(&self) -> usize {
        let input = self
            .input
            .as_ref()
            .map_or(0, |input| size_of::<Input>() + input.bytes.capacity() + input.parser.memory_bytes());
        size_of::<Client>()
            + self.peer.capacity()
            + self.local.capacity()
            + self.session.name.capacity()
            + self.session.lib_name.capacity()
            + self.session.lib_ver.capacity()
            + input
            + self.row.memory_bytes()
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
