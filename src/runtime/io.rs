//! What the server needs of the outside world: connections, time, and messages between cores.
//!
//! A core owns one implementation of each trait. All calls come from the core's own thread.
//!
//! Life of a connection: [`Io::attach`] gives a socket to the implementation under a [`ConnId`] chosen by the
//! caller; events for that id follow until [`Io::close`]; the id may be used again after [`Event::Released`],
//! which comes once the system holds no more operation for it.

use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::runtime::blocks::Blocks;

/// A core of this process, numbered from 0. Core and shard numbers are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreId(pub u16);

impl CoreId {
    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for CoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A connection's place in its core's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

impl ConnId {
    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A file that a core writes, numbered by the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// What stands behind a socket or a file.
#[derive(Debug)]
pub enum Handle {
    /// A file descriptor of the kernel's.
    Fd(OwnedFd),
    /// An endpoint of the simulated network.
    Simulated(u64),
}

impl Handle {
    /// The number that tells endpoints of this process apart.
    pub fn number(&self) -> u64 {
        match self {
            Handle::Fd(fd) => fd.as_raw_fd() as u64,
            Handle::Simulated(number) => *number,
        }
    }
}

/// An accepted connection that no core serves yet. It may be sent to another core.
#[derive(Debug)]
pub struct Socket {
    /// The endpoint.
    pub handle: Handle,
    /// The peer's address as `CLIENT LIST` prints it.
    pub peer: String,
    /// Our own address as `CLIENT LIST` prints it.
    pub local: String,
    /// Whether the peer is on this host (loopback or a Unix socket), for protected mode.
    pub is_local: bool,
    /// Whether this is a Unix socket.
    pub is_unix: bool,
}

impl Socket {
    /// Lets the kernel probe a silent TCP peer after `interval`, thrice within another interval, and end the connection if
    /// it does not answer. Zero leaves the socket as it is.
    ///
    /// # Errors
    /// Those of `setsockopt`.
    pub fn keep_alive(&self, interval: Duration) -> std::io::Result<()> {
        const PROBES: u32 = 3;
        let Handle::Fd(fd) = &self.handle else { return Ok(()) };
        if self.is_unix || interval.is_zero() {
            return Ok(());
        }
        let between = (interval / PROBES).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(interval).with_interval(between).with_retries(PROBES);
        SockRef::from(fd).set_tcp_keepalive(&keepalive)
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A new connection.
    Accepted(Socket),
    /// Accepting failed with this error number; the listener goes on.
    AcceptFailed(i32),
    /// Bytes of a connection, valid until the next call.
    Received(ConnId, &'a [u8]),
    /// The connection broke with this error number; 0: the peer sends nothing more, but may still receive.
    Ended(ConnId, i32),
    /// The peer was slow, and the system has taken so many more bytes of a send that goes on.
    Progress(ConnId, usize),
    /// The buffer given to [`Io::send`] is sent completely, or failed with this error number.
    Sent(ConnId, Vec<u8>, Result<(), i32>),
    /// The id is free again.
    Released(ConnId),
    /// The write with this number is over: complete, or failed with this error number.
    Wrote(u32, Blocks, Result<(), i32>),
    /// What was written to a file before [`Io::sync`] is on stable storage, or that failed with this error number.
    Synced(FileId, Result<(), i32>),
}

/// How long a wait may go on after its first event, so that one wake-up serves several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gather {
    /// Return as soon as there are so many events; 1 returns with the first.
    pub events: u32,
    /// Return with what there is after this time.
    pub within: Duration,
}

impl Gather {
    /// Return with the first event.
    pub const NONE: Gather = Gather { events: 1, within: Duration::ZERO };
}

/// How something is written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// Nobody waits for it.
    Deferred,
    /// Somebody waits.
    Prompt,
    /// Somebody waits; it is over only when the bytes are on stable storage.
    Stable,
}

/// Input and output of one core: connections, and files that it only writes.
pub trait Io {
    /// Begins to receive from a socket.
    fn attach(&mut self, conn: ConnId, socket: Socket);
    /// Stops receiving. Bytes that are on their way already may still arrive.
    fn pause(&mut self, conn: ConnId);
    /// Receives again after [`Io::pause`].
    fn resume(&mut self, conn: ConnId);
    /// Sends all of `bytes`. One send per connection may be under way; [`Event::Sent`] gives the buffer back.
    fn send(&mut self, conn: ConnId, bytes: Vec<u8>);
    /// Ends a connection at once. [`Event::Released`] follows.
    fn close(&mut self, conn: ConnId);
    /// Hands over a file to be written. Its number is not used a second time.
    fn open(&mut self, file: FileId, handle: Handle);
    /// Writes all of `blocks` at `offset`, both whole blocks; several writes may be under way, in no order. [`Event::Wrote`]
    /// gives the blocks back under the number `id`.
    fn write(&mut self, id: u32, file: FileId, offset: u64, blocks: Blocks, mode: WriteMode);
    /// Brings what has been written so far to stable storage; [`Event::Synced`] tells. One at a time for each file.
    fn sync(&mut self, file: FileId);
    /// Lets go of a file. Nothing may be under way there.
    fn close_file(&mut self, file: FileId);
    /// Stops accepting connections.
    fn stop_listening(&mut self);
    /// Starts what was asked for since the last call and collects what has happened, without waiting.
    fn poll(&mut self);
    /// Like [`Io::poll`], but if nothing has happened waits for an event, a doorbell, or the time to pass.
    fn wait(&mut self, at_most: Duration, gather: Gather);
    /// Whether [`Io::next_event`] has something.
    fn has_events(&self) -> bool;
    /// The next event, if any. Buffers of the event before it are given back.
    fn next_event(&mut self) -> Option<Event<'_>>;
    /// Wakes another core from [`Io::wait`].
    fn ring_doorbell(&mut self, core: CoreId);
}

/// Time of one core.
pub trait Clock {
    /// Unix time in microseconds.
    fn unix_us(&self) -> i64;
    /// A cheap monotonic counter, in units of its own.
    fn ticks(&self) -> u64;
    /// Converts a difference of ticks to nanoseconds.
    fn ticks_to_ns(&self, ticks: u64) -> u64;
    /// Monotonic time in nanoseconds, comparable over all cores.
    fn monotonic_ns(&self) -> u64;
    /// Blocks the core (`DEBUG SLEEP`).
    fn sleep(&self, duration: Duration);
}

/// Messages of one core to and from every other core. Queues are bounded and first-in first-out per pair.
pub trait Mailbox<M> {
    /// Number of cores, this one included.
    fn cores(&self) -> usize;
    /// Queues a message; gives it back when the queue is full.
    ///
    /// # Errors
    /// The message, if the queue to `to` is full.
    fn send(&mut self, to: CoreId, message: M) -> Result<(), M>;
    /// Whether `core` sleeps and needs a doorbell. True once per sleep.
    fn needs_doorbell(&mut self, core: CoreId) -> bool;
    /// Whether [`Mailbox::receive`] has something.
    fn has_mail(&self) -> bool;
    /// The next message of any other core, with its sender.
    fn receive(&mut self) -> Option<(CoreId, M)>;
    /// Announces that this core is about to sleep. False if a message has arrived meanwhile: don't sleep.
    fn prepare_sleep(&mut self) -> bool;
    /// Announces that this core is awake.
    fn awake(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalive_reaches_the_kernel() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let handle = Handle::Fd(stream.into());
        let socket =
            Socket { handle, peer: String::new(), local: String::new(), is_local: true, is_unix: false };
        let options = |socket: &Socket| {
            let Handle::Fd(fd) = &socket.handle else { unreachable!("made above") };
            let fd = SockRef::from(fd);
            (fd.keepalive().unwrap(), fd.tcp_keepalive_time().unwrap(), fd.tcp_keepalive_interval().unwrap())
        };
        socket.keep_alive(Duration::ZERO).unwrap();
        assert!(!options(&socket).0);
        socket.keep_alive(Duration::from_secs(300)).unwrap();
        assert_eq!(options(&socket), (true, Duration::from_secs(300), Duration::from_secs(100)));
        socket.keep_alive(Duration::from_secs(1)).unwrap();
        assert_eq!(options(&socket), (true, Duration::from_secs(1), Duration::from_secs(1)));
    }
}
