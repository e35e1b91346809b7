//! [`Io`] on one `io_uring`: multishot accept, multishot receive into provided buffers, one send per connection
//! and turn, `MSG_RING` as the doorbell. The one file, with `buffer.rs`, that names `io_uring`.
//!
//! The ring is set up with `SINGLE_ISSUER` and `DEFER_TASKRUN`: completions are posted only while this thread is
//! inside `io_uring_enter`, so nothing interrupts a turn.
//!
//! Sends are *quiet*: they are tried inside the `enter` that submits them, and one that succeeds completely posts no
//! completion. So after an `enter` every send it submitted has either a completion, or is done. (A completion of its
//! own would end the wait for the next request; leaving it out saves 5 to 8% of a server's time at depth 16 and 100.)
//!
//! Invariants:
//! - A connection's slot is freed ([`Event::Released`]) only when the kernel holds no operation for it: neither the
//!   receive is armed nor a send under way. So a completion always belongs to the slot's present owner and
//!   needs no generation number.
//! - Bytes given to a send stay in `Conn::sending` untouched until the kernel has completed it.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use ahash::AHashMap;
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue, types};

use crate::runtime::blocks::Blocks;
use crate::runtime::buffer::BufferRing;
use crate::runtime::io::{ConnId, CoreId, Event, FileId, Gather, Handle, Io, Socket, WriteMode};
use crate::runtime::waker::Waker;

/// Entries of the submission queue: operations that one turn can start with a single system call.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue; beyond them the kernel keeps completions aside at a cost.
const COMPLETIONS: u32 = 8192;
/// Receive buffers per core, and their size. A deep pipeline fits into one.
const BUFFERS: u16 = 128;
const BUFFER_BYTES: usize = 16 * 1024;
const BUFFER_GROUP: u16 = 0;
/// Bytes sent at once at most. The kernel takes no more than just under 2 GiB, and says nothing about the rest.
const SEND_MAX_BYTES: usize = 1 << 30;

/// What a completion is about, in the upper half of its user data; the lower half is an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Accept = 1,
    Receive,
    Send,
    Cancel,
    Doorbell,
    Ring,
    /// The socket takes bytes again.
    Writable,
    /// A write to a file.
    Write,
    /// A file's data to stable storage.
    Sync,
    /// Another thread has rung the waker.
    Wake,
}

fn user_data(op: Op, index: u32) -> u64 {
    (op as u64) << 32 | u64::from(index)
}

fn split_user_data(data: u64) -> (Op, u32) {
    let op = match data >> 32 {
        1 => Op::Accept,
        2 => Op::Receive,
        3 => Op::Send,
        4 => Op::Cancel,
        5 => Op::Doorbell,
        6 => Op::Ring,
        7 => Op::Writable,
        8 => Op::Write,
        9 => Op::Sync,
        10 => Op::Wake,
        other => unreachable!("completion of unknown operation {other}"),
    };
    (op, data as u32)
}

/// The file descriptors of all cores' rings, for doorbells.
#[derive(Debug, Clone)]
pub struct Doorbells(Arc<[AtomicI32]>);

impl Doorbells {
    /// Doorbells for so many cores, none connected yet.
    pub fn new(cores: usize) -> Doorbells {
        Doorbells((0..cores).map(|_| AtomicI32::new(-1)).collect())
    }
}

/// The kernel's side of one connection.
#[derive(Debug)]
struct Conn {
    fd: OwnedFd,
    /// The multishot receive is armed: a final completion is still to come.
    receiving: bool,
    /// The upper layer wants no more bytes for now.
    paused: bool,
    closing: bool,
    /// The receive was cancelled in order to pause and has not ended yet.
    cancelling: bool,
    /// Bytes under way, and how many of them the kernel has taken.
    sending: Option<(Vec<u8>, usize)>,
    /// What the kernel holds of the send.
    send: SendState,
}

/// The kernel's part of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SendState {
    /// Nothing.
    Idle,
    /// Queued, or tried by the `enter` that is under way.
    Submitted,
    /// The socket was full.
    Full,
    /// A poll is armed that completes when the socket takes bytes again.
    Polling,
    /// It failed with this error number.
    Failed(i32),
    /// All is sent, or it failed with this error number; [`Event::Sent`] is to be reported.
    Over(Result<(), i32>),
}

impl Conn {
    /// Whether the kernel holds no send and no poll.
    fn is_send_idle(&self) -> bool {
        self.sending.is_none()
    }
}

/// A completion, copied out of the shared queue.
#[derive(Debug, Clone, Copy)]
struct Completion {
    op: Op,
    index: u32,
    result: i32,
    flags: u32,
}

/// One core's ring.
#[derive(Debug)]
pub struct RingIo {
    // Declared before `buffers`, and so dropped first: the kernel lets go of the buffers.
    ring: Ring,
    buffers: BufferRing,
    listeners: Vec<OwnedFd>,
    conns: Vec<Option<Conn>>,
    completions: VecDeque<Completion>,
    /// Ids whose connection is gone, to be reported.
    released: VecDeque<ConnId>,
    /// Sends queued since the last `enter`.
    submitted: Vec<ConnId>,
    /// Sends that are over, to be reported.
    sent: VecDeque<ConnId>,
    /// Bytes taken by sends that are not over, to be reported.
    progress: VecDeque<(ConnId, usize)>,
    /// The buffer lent out with the last event.
    lent: Option<u16>,
    /// Receives that ended for lack of buffers, to be armed again.
    starved: Vec<ConnId>,
    doorbells: Doorbells,
    waker: Waker,
    /// Times that a receive found no buffer.
    buffer_shortages: u64,
    files: AHashMap<FileId, OwnedFd>,
    /// Writes under way.
    writes: AHashMap<u32, FileWrite>,
}

/// A write under way.
#[derive(Debug)]
struct FileWrite {
    file: FileId,
    offset: u64,
    blocks: Blocks,
    mode: WriteMode,
}

struct Ring(IoUring);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

/// Why a ring could not be set up, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `io_uring` is switched off or filtered.
    #[error(
        "io_uring is not permitted here ({0}). Containers often forbid it: allow the io_uring_setup, io_uring_enter \
         and io_uring_register system calls in the seccomp profile (for Docker: --security-opt seccomp=PROFILE), and \
         see that sysctl kernel.io_uring_disabled is 0"
    )]
    Forbidden(io::Error),
    /// The kernel is too old.
    #[error("this kernel lacks {0}; Corelane needs Linux 6.1 or later")]
    TooOld(&'static str),
    /// Anything else.
    #[error("cannot set up io_uring: {0}")]
    Other(io::Error),
}

impl RingIo {
    /// Sets up the ring of the calling thread, which alone may use it.
    ///
    /// # Errors
    /// [`SetupError`], which says what the operator can do.
    pub fn new(
        core: CoreId,
        listeners: Vec<OwnedFd>,
        doorbells: Doorbells,
        waker: Waker,
    ) -> Result<RingIo, SetupError> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
            .map_err(|error| match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => SetupError::Forbidden(error),
                Some(libc::ENOSYS) => SetupError::Forbidden(error),
                Some(libc::EINVAL) => SetupError::TooOld("io_uring's DEFER_TASKRUN"),
                _ => SetupError::Other(error),
            })?;
        let buffers = BufferRing::register(&ring.submitter(), BUFFER_GROUP, BUFFERS, BUFFER_BYTES).map_err(
            |error| match error.raw_os_error() {
                Some(libc::EINVAL) => SetupError::TooOld("provided buffer rings"),
                _ => SetupError::Other(error),
            },
        )?;
        doorbells.0[core.index()].store(ring.as_raw_fd(), Ordering::Release);
        let mut io = RingIo {
            ring: Ring(ring),
            buffers,
            listeners,
            conns: Vec::new(),
            completions: VecDeque::new(),
            released: VecDeque::new(),
            submitted: Vec::new(),
            sent: VecDeque::new(),
            progress: VecDeque::new(),
            lent: None,
            starved: Vec::new(),
            doorbells,
            waker,
            buffer_shortages: 0,
            files: AHashMap::new(),
            writes: AHashMap::new(),
        };
        io.arm_waker();
        for index in 0..io.listeners.len() {
            io.arm_accept(index);
        }
        Ok(io)
    }

    /// Queues an operation, making room if the queue is full.
    #[inline]
    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: buffers and descriptors that entries point to live until their completion: sends own their
            // bytes in `Conn::sending`, writes theirs in `writes`; descriptors are closed only after `Conn` is idle,
            // files only when nothing is under way there.
            if unsafe { self.ring.0.submission().push(entry) }.is_ok() {
                return;
            }
            self.enter();
        }
    }

    /// Submits everything queued and lets the kernel post completions.
    fn enter(&mut self) {
        let submissions = self.ring.0.submission().len() as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is passed along.
        let entered = unsafe { self.ring.0.submitter().enter::<libc::sigset_t>(submissions, 0, flags, None) };
        self.after_enter(entered);
    }

    /// Like [`RingIo::enter`], but waits for completions.
    fn enter_and_wait(&mut self, at_most: Duration, gather: Gather) {
        let time = types::Timespec::from(at_most);
        let mut args = types::SubmitArgs::new().timespec(&time);
        let mut want = 1;
        if gather.events > 1 && self.ring.0.params().is_feature_min_timeout() {
            want = gather.events as usize;
            args = args.min_wait_usec(gather.within.as_micros() as u32);
        }
        let entered = self.ring.0.submitter().submit_with_args(want, &args);
        self.after_enter(entered);
    }

    fn after_enter(&mut self, entered: io::Result<usize>) {
        match entered {
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                // Time is up, a signal came, or completions must be reaped before more is accepted.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => {}
                _ => panic!("io_uring_enter failed: {error}"),
            },
        }
        let (all_submitted, overflown) = {
            let queue = self.ring.0.submission();
            (queue.is_empty(), queue.cq_overflow())
        };
        let mut unsent = Vec::new();
        for entry in self.ring.0.completion() {
            let (op, index) = split_user_data(entry.user_data());
            let completion = Completion { op, index, result: entry.result(), flags: entry.flags() };
            match op {
                Op::Send => unsent.push(completion),
                _ => self.completions.push_back(completion),
            }
        }
        unsent.iter().for_each(|&completion| self.on_unsent(completion));
        if overflown {
            // Completions that had no room are posted by another enter; what a send did may be among them.
            self.enter();
        } else if all_submitted {
            self.settle_sends();
        }
        // Last, because they are queued for the next enter, and may need one to make room.
        for completion in unsent {
            self.poll_if_full(ConnId(completion.index));
        }
    }

    /// Lets the kernel tell when a socket that was full takes bytes again.
    fn poll_if_full(&mut self, id: ConnId) {
        let conn = self.conn(id.0);
        if conn.send != SendState::Full {
            return;
        }
        conn.send = SendState::Polling;
        let poll = opcode::PollAdd::new(types::Fd(conn.fd.as_raw_fd()), libc::POLLOUT as u32).build();
        self.push(&poll.user_data(user_data(Op::Writable, id.0)));
    }

    /// Takes the sends of the last `enter` that have posted nothing as done.
    fn settle_sends(&mut self) {
        // Those that are submitted meanwhile are for the next `enter`.
        let settled = self.submitted.len();
        for at in 0..settled {
            let id = self.submitted[at];
            let Some(conn) = self.conns[id.index()].as_mut() else { continue };
            match conn.send {
                SendState::Submitted => {
                    let (bytes, taken) = conn.sending.as_mut().expect("a send has bytes");
                    let piece = send_piece(bytes, *taken).len();
                    *taken += piece;
                    if *taken < bytes.len() {
                        self.progress.push_back((id, piece));
                        self.submit_send(id);
                        continue;
                    }
                    conn.send = SendState::Over(Ok(()));
                }
                SendState::Failed(error) => conn.send = SendState::Over(Err(error)),
                SendState::Idle | SendState::Full | SendState::Polling | SendState::Over(_) => continue,
            }
            self.sent.push_back(id);
        }
        self.submitted.drain(..settled);
    }

    /// A send has not taken all its bytes.
    #[cold]
    fn on_unsent(&mut self, completion: Completion) {
        let id = ConnId(completion.index);
        let conn = self.conn(completion.index);
        let (bytes, taken) = conn.sending.as_mut().expect("a send has bytes");
        match completion.result {
            n if n >= 0 && n as usize == send_piece(bytes, *taken).len() => {}
            n if n >= 0 || n == -libc::EAGAIN || n == -libc::EINTR => {
                let more = n.max(0) as usize;
                *taken += more;
                conn.send = SendState::Full;
                if more > 0 {
                    self.progress.push_back((id, more));
                }
            }
            error => conn.send = SendState::Failed(-error),
        }
    }

    fn arm_accept(&mut self, index: usize) {
        let fd = types::Fd(self.listeners[index].as_raw_fd());
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let entry = opcode::AcceptMulti::new(fd).flags(flags).build();
        self.push(&entry.user_data(user_data(Op::Accept, index as u32)));
    }

    /// Has every ring of the waker post a completion.
    fn arm_waker(&mut self) {
        let poll = opcode::PollAdd::new(types::Fd(self.waker.as_raw_fd()), libc::POLLIN as u32).multi(true);
        self.push(&poll.build().user_data(user_data(Op::Wake, 0)));
    }

    fn arm_receive(&mut self, id: ConnId) {
        let Some(conn) = self.conns[id.index()].as_mut() else { return };
        if conn.receiving || conn.paused || conn.closing {
            return;
        }
        conn.receiving = true;
        let entry = opcode::RecvMulti::new(types::Fd(conn.fd.as_raw_fd()), BUFFER_GROUP).build();
        self.push(&entry.user_data(user_data(Op::Receive, id.0)));
    }

    fn cancel_receive(&mut self, id: ConnId) {
        let entry = opcode::AsyncCancel::new(user_data(Op::Receive, id.0)).build();
        self.push(&entry.user_data(user_data(Op::Cancel, id.0)));
    }

    fn submit_send(&mut self, id: ConnId) {
        let conn = self.conns[id.index()].as_mut().expect("sends are submitted for live connections");
        conn.send = SendState::Submitted;
        let (bytes, taken) = conn.sending.as_ref().expect("a send has bytes");
        let piece = send_piece(bytes, *taken);
        let entry = opcode::Send::new(types::Fd(conn.fd.as_raw_fd()), piece.as_ptr(), piece.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        self.push(&entry.user_data(user_data(Op::Send, id.0)));
        self.submitted.push(id);
    }

    fn submit_write(&mut self, id: u32, write: FileWrite) {
        // The heap bytes of the blocks stay where they are when the record is moved.
        let write = self.writes.entry(id).or_insert(write);
        let bytes = write.blocks.bytes();
        let fd = types::Fd(self.files[&write.file].as_raw_fd());
        let entry = opcode::Write::new(fd, bytes.as_ptr(), bytes.len() as u32)
            .offset(write.offset)
            .rw_flags(if write.mode == WriteMode::Stable { libc::RWF_DSYNC } else { 0 })
            .build();
        // Deferred writes may be large: a worker thread of the kernel does them, so that a disk that is busy, or throttled, never
        // stops this thread. Others are tried at once.
        let flags = match write.mode {
            WriteMode::Deferred => squeue::Flags::ASYNC,
            WriteMode::Prompt | WriteMode::Stable => squeue::Flags::empty(),
        };
        self.push(&entry.flags(flags).user_data(user_data(Op::Write, id)));
    }

    /// A write has ended. One that was cut short by a signal, or took a part only, is done again as a whole: it writes the same
    /// bytes to the same place.
    fn on_wrote(&mut self, completion: Completion) -> Option<Event<'static>> {
        let id = completion.index;
        let write = self.writes.remove(&id).expect("writes are kept until they end");
        let result = match completion.result {
            n if n >= 0 && n as usize == write.blocks.len() => Ok(()),
            error if error == -libc::EINTR || error == -libc::EAGAIN => {
                self.submit_write(id, write);
                return None;
            }
            // The disk takes no more.
            n if n >= 0 => Err(libc::ENOSPC),
            error => Err(-error),
        };
        Some(Event::Wrote(id, write.blocks, result))
    }

    /// Frees a closing connection once the kernel is done with it.
    fn release_if_idle(&mut self, id: ConnId) {
        let slot = &mut self.conns[id.index()];
        if slot.as_ref().is_some_and(|conn| conn.closing && !conn.receiving && conn.is_send_idle()) {
            *slot = None;
            self.released.push_back(id);
        }
    }

    fn conn(&mut self, index: u32) -> &mut Conn {
        self.conns[index as usize].as_mut().expect("the kernel completes operations of live connections only")
    }

    /// Handles a receive's completion up to the event it means.
    fn on_receive(&mut self, completion: Completion) -> Option<Received> {
        let id = ConnId(completion.index);
        let conn = self.conn(completion.index);
        let buffer = cqueue::buffer_select(completion.flags);
        if !cqueue::more(completion.flags) {
            conn.receiving = false;
            conn.cancelling = false;
        }
        let (closing, ended) = (conn.closing, !conn.receiving);
        if closing {
            if let Some(buffer) = buffer {
                self.buffers.give_back(buffer);
            }
            self.release_if_idle(id);
            return None;
        }
        match completion.result {
            n if n > 0 => {
                if ended {
                    self.arm_receive(id);
                }
                Some(Received::Bytes(id, buffer.expect("received bytes lie in a buffer"), n as usize))
            }
            0 => Some(Received::End(id, 0)),
            error if error == -libc::ENOBUFS => {
                // Buffers come back while this batch of completions is handled; armed again after it.
                self.buffer_shortages += 1;
                self.starved.push(id);
                None
            }
            error if error == -libc::ECANCELED || error == -libc::EINTR => {
                self.arm_receive(id);
                None
            }
            error => Some(Received::End(id, -error)),
        }
    }

    /// The event that a send which is over means.
    fn on_sent(&mut self, id: ConnId) -> Option<Event<'static>> {
        let conn = self.conn(id.0);
        let (bytes, _) = conn.sending.take().expect("a send has bytes");
        let SendState::Over(result) = std::mem::replace(&mut conn.send, SendState::Idle) else {
            unreachable!("only sends that are over are reported")
        };
        if conn.closing {
            self.release_if_idle(id);
            return None;
        }
        Some(Event::Sent(id, bytes, result))
    }

    /// A socket that was full takes bytes again, or is broken: the next send tells.
    fn on_writable(&mut self, id: ConnId) {
        let conn = self.conn(id.0);
        conn.send = SendState::Idle;
        if conn.closing {
            conn.sending = None;
            return self.release_if_idle(id);
        }
        self.submit_send(id);
    }

    fn on_accept(&mut self, completion: Completion) -> Option<Event<'static>> {
        let listener = completion.index as usize;
        if !cqueue::more(completion.flags) && listener < self.listeners.len() {
            self.arm_accept(listener);
        }
        match completion.result {
            fd if fd >= 0 => {
                // SAFETY: the kernel has just created this descriptor for us, and nobody else knows it.
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                Some(Event::Accepted(describe(fd)))
            }
            error if error == -libc::ECANCELED => None,
            error => Some(Event::AcceptFailed(-error)),
        }
    }
}

/// The part of `bytes` that is sent next when `taken` of them have been.
fn send_piece(bytes: &[u8], taken: usize) -> &[u8] {
    &bytes[taken..bytes.len().min(taken + SEND_MAX_BYTES)]
}

/// A receive's completion that the upper layer hears of.
enum Received {
    Bytes(ConnId, u16, usize),
    End(ConnId, i32),
}

/// Looks up the addresses of an accepted socket.
fn describe(fd: OwnedFd) -> Socket {
    let socket = socket2::SockRef::from(&fd);
    let address =
        |address: io::Result<socket2::SockAddr>| address.ok().and_then(|address| address.as_socket());
    let (peer, local) = (address(socket.peer_addr()), address(socket.local_addr()));
    let is_unix = peer.is_none();
    let print = |address: Option<std::net::SocketAddr>| match address {
        Some(std::net::SocketAddr::V6(v6)) => format!("[{}]:{}", v6.ip(), v6.port()),
        Some(v4) => v4.to_string(),
        None => {
            let path = socket
                .local_addr()
                .ok()
                .and_then(|address| address.as_pathname().map(|path| path.display().to_string()));
            format!("{}:0", path.unwrap_or_default())
        }
    };
    let is_local = peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback());
    if !is_unix {
        // Replies are complete when they are sent: waiting for more would only delay them.
        socket.set_tcp_nodelay(true).ok();
    }
    let (peer, local) = (print(peer), print(local));
    Socket { handle: Handle::Fd(fd), peer, local, is_local, is_unix }
}

impl Io for RingIo {
    fn attach(&mut self, conn: ConnId, socket: Socket) {
        let Handle::Fd(fd) = socket.handle else { unreachable!("a simulated socket in a real server") };
        if self.conns.len() <= conn.index() {
            self.conns.resize_with(conn.index() + 1, || None);
        }
        self.conns[conn.index()] = Some(Conn {
            fd,
            receiving: false,
            paused: false,
            closing: false,
            cancelling: false,
            sending: None,
            send: SendState::Idle,
        });
        self.arm_receive(conn);
    }

    fn pause(&mut self, id: ConnId) {
        let Some(conn) = self.conns[id.index()].as_mut() else { return };
        conn.paused = true;
        if conn.receiving && !conn.cancelling {
            conn.cancelling = true;
            self.cancel_receive(id);
        }
    }

    fn resume(&mut self, id: ConnId) {
        let Some(conn) = self.conns[id.index()].as_mut() else { return };
        conn.paused = false;
        self.arm_receive(id);
    }

    #[inline]
    fn send(&mut self, id: ConnId, bytes: Vec<u8>) {
        let Some(conn) = self.conns[id.index()].as_mut() else { return };
        debug_assert!(conn.sending.is_none() && !bytes.is_empty());
        conn.sending = Some((bytes, 0));
        self.submit_send(id);
    }

    fn close(&mut self, id: ConnId) {
        let Some(conn) = self.conns[id.index()].as_mut().filter(|conn| !conn.closing) else { return };
        conn.closing = true;
        if conn.sending.is_some() {
            // The poll of a send that waits for a peer that does not read would never end otherwise.
            socket2::SockRef::from(&conn.fd).shutdown(std::net::Shutdown::Both).ok();
        }
        if conn.receiving {
            self.cancel_receive(id);
        }
        self.release_if_idle(id);
    }

    fn open(&mut self, file: FileId, handle: Handle) {
        let Handle::Fd(fd) = handle else { unreachable!("a simulated file in a real server") };
        self.files.insert(file, fd);
    }

    fn write(&mut self, id: u32, file: FileId, offset: u64, blocks: Blocks, mode: WriteMode) {
        debug_assert!(!self.writes.contains_key(&id));
        self.submit_write(id, FileWrite { file, offset, blocks, mode });
    }

    fn sync(&mut self, file: FileId) {
        let fd = types::Fd(self.files[&file].as_raw_fd());
        let entry = opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build();
        self.push(&entry.user_data(user_data(Op::Sync, file.0)));
    }

    fn close_file(&mut self, file: FileId) {
        debug_assert!(self.writes.values().all(|write| write.file != file));
        self.files.remove(&file);
    }

    fn stop_listening(&mut self) {
        for index in 0..self.listeners.len() {
            let entry = opcode::AsyncCancel::new(user_data(Op::Accept, index as u32)).build();
            self.push(&entry.user_data(user_data(Op::Cancel, 0)));
        }
        self.enter();
        self.listeners.clear();
    }

    fn poll(&mut self) {
        for id in std::mem::take(&mut self.starved) {
            self.arm_receive(id);
        }
        let idle = {
            let queue = self.ring.0.submission();
            queue.is_empty() && !queue.taskrun() && !queue.cq_overflow()
        };
        // Deferred work is only run inside the kernel; without any, entering would be wasted.
        if !idle || !self.ring.0.completion().is_empty() {
            self.enter();
        }
    }

    fn wait(&mut self, at_most: Duration, gather: Gather) {
        for id in std::mem::take(&mut self.starved) {
            self.arm_receive(id);
        }
        if !self.has_events() {
            self.enter_and_wait(at_most, gather);
        } else {
            self.enter();
        }
    }

    #[inline]
    fn has_events(&self) -> bool {
        !self.completions.is_empty()
            || !self.released.is_empty()
            || !self.sent.is_empty()
            || !self.progress.is_empty()
    }

    #[inline]
    fn next_event(&mut self) -> Option<Event<'_>> {
        if let Some(buffer) = self.lent.take() {
            self.buffers.give_back(buffer);
        }
        if let Some(id) = self.released.pop_front() {
            return Some(Event::Released(id));
        }
        while let Some((id, taken)) = self.progress.pop_front() {
            if self.conns[id.index()].as_ref().is_some_and(|conn| !conn.closing) {
                return Some(Event::Progress(id, taken));
            }
        }
        while let Some(id) = self.sent.pop_front() {
            if let Some(event) = self.on_sent(id) {
                return Some(event);
            }
        }
        while let Some(completion) = self.completions.pop_front() {
            match completion.op {
                Op::Receive => match self.on_receive(completion) {
                    Some(Received::Bytes(id, buffer, len)) => {
                        self.lent = Some(buffer);
                        return Some(Event::Received(id, self.buffers.bytes(buffer, len)));
                    }
                    Some(Received::End(id, error)) => return Some(Event::Ended(id, error)),
                    None => {}
                },
                Op::Writable => self.on_writable(ConnId(completion.index)),
                Op::Send => unreachable!("handled when it was reaped"),
                Op::Accept => {
                    if let Some(event) = self.on_accept(completion) {
                        return Some(event);
                    }
                }
                Op::Write => {
                    if let Some(event) = self.on_wrote(completion) {
                        return Some(event);
                    }
                }
                Op::Sync => {
                    let result = if completion.result < 0 { Err(-completion.result) } else { Ok(()) };
                    return Some(Event::Synced(FileId(completion.index), result));
                }
                Op::Wake => {
                    self.waker.hush();
                    if !cqueue::more(completion.flags) {
                        self.arm_waker();
                    }
                }
                Op::Cancel | Op::Doorbell | Op::Ring => {}
            }
        }
        self.released.pop_front().map(Event::Released)
    }

    fn ring_doorbell(&mut self, core: CoreId) {
        let fd: RawFd = self.doorbells.0[core.index()].load(Ordering::Acquire);
        if fd < 0 {
            return; // The core is still starting and looks at its mailbox before it sleeps.
        }
        let entry = opcode::MsgRingData::new(types::Fd(fd), 0, user_data(Op::Doorbell, 0), None).build();
        self.push(&entry.user_data(user_data(Op::Ring, 0)));
    }
}
