//! The floor: the cheapest program that answers a benchmark's SETs and GETs through one `io_uring`.
//!
//! It is the bar that the server is held against. Multishot accept and multishot receive feed one provided
//! buffer ring; every turn of the loop makes one enter and one send per connection that has replies.
//! Without `--table` it has no parser and no table: the first request of a connection tells the length and
//! kind of all that follow (load generators send requests of one fixed shape), and from then on only bytes
//! are counted. With `--table` it parses RESP and keeps a hash map: the "bare ring".
//!
//! It trusts its load generator: no bound on replies, no check of input. Use it for nothing else.
//!
//! Representation: connections are numbered by their file descriptor. Invariants:
//! - A send is a SEND request that may not wait (`MSG_DONTWAIT`) and posts no completion if it wrote
//!   everything. So when the enter that submitted it has returned and the completions are reaped, the kernel
//!   no longer reads the reply buffer. What it could not write waits for a POLLOUT completion. (Holds for up to
//!   `COMPLETIONS` connections: completions that overflow the queue would be reaped a turn late.)
//! - A receive buffer belongs to the kernel from `BufferRing::give` to the completion that names it.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode, squeue};

const USAGE: &str = "usage: floor --port N [--value-bytes N] [--table] [--spin-us N]

  --value-bytes  length of the value that every GET is answered with (default 64; not with --table)
  --table        parse requests and keep a hash map
  --spin-us      poll this long before sleeping (default 0)";

const SUBMISSIONS: u32 = 256;
const COMPLETIONS: u32 = 1024;
/// Receive buffers, a power of two, and their length. A pipeline of 100 SETs of 64-byte values has 11 KB.
const BUFFERS: u16 = 256;
const BUFFER_BYTES: usize = 16_384;
const BUFFER_GROUP: u16 = 0;
const BACKLOG: i32 = 1024;
/// How many replies are kept ready in a row.
const REPLIES_READY: usize = 8192;

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    port: u16,
    value_bytes: usize,
    table: bool,
    spin: Duration,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Options> {
        let mut options = Options { port: 0, value_bytes: 64, table: false, spin: Duration::ZERO };
        while let Some(name) = args.next() {
            match name.as_str() {
                "--port" => options.port = args.next()?.parse().ok()?,
                "--value-bytes" => options.value_bytes = args.next()?.parse().ok()?,
                "--table" => options.table = true,
                "--spin-us" => options.spin = Duration::from_micros(args.next()?.parse().ok()?),
                _ => return None,
            }
        }
        (options.port != 0).then_some(options)
    }
}

fn serve(options: &Options) -> io::Result<()> {
    let listener = listen(options.port)?;
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all().setup_cqsize(COMPLETIONS);
    if !options.spin.is_zero() {
        builder.setup_taskrun_flag();
    }
    let mut ring: IoUring = builder.build(SUBMISSIONS)?;
    let buffers = BufferRing::register(&ring)?;
    let (mut submitter, submissions, completions) = ring.split();
    submitter.register_ring_fd()?;
    Floor {
        submitter,
        submissions,
        completions,
        buffers,
        listener,
        connections: Vec::new(),
        answering: Vec::new(),
        sending: Vec::new(),
        answers: Answers::new(options),
        spin: options.spin,
    }
    .run()
}

/// A listener whose connections inherit TCP_NODELAY.
fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    socket2::SockRef::from(&listener).listen(BACKLOG)?;
    Ok(listener)
}

/// What a completion is about: the upper half of its user data; the lower is the connection.
#[derive(Clone, Copy, PartialEq)]
enum Event {
    Accept,
    Receive,
    Send,
    Writable,
}

impl Event {
    const ALL: [Event; 4] = [Event::Accept, Event::Receive, Event::Send, Event::Writable];

    fn on(self, fd: RawFd) -> u64 {
        (self as u64) << 32 | fd as u64
    }

    fn of(user_data: u64) -> (Event, RawFd) {
        (Event::ALL[(user_data >> 32) as usize], user_data as u32 as RawFd)
    }
}

struct Floor<'a> {
    submitter: Submitter<'a>,
    submissions: SubmissionQueue<'a>,
    completions: CompletionQueue<'a>,
    buffers: BufferRing,
    listener: TcpListener,
    /// By file descriptor.
    connections: Vec<Connection>,
    /// Connections that got replies in this turn, each once.
    answering: Vec<RawFd>,
    /// Connections whose SEND is submitted in this turn.
    sending: Vec<RawFd>,
    answers: Answers,
    spin: Duration,
}

impl Floor<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.accept();
        loop {
            self.send_replies();
            self.buffers.publish();
            self.enter()?;
            self.reap();
            self.forget_sent();
        }
    }

    fn accept(&mut self) {
        let entry = opcode::AcceptMulti::new(Fd(self.listener.as_raw_fd())).build();
        self.push(entry.user_data(Event::Accept.on(0)));
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: the only memory that entries of this program point to are reply buffers, which stay
        // unchanged until the enter that submits them has returned (see the invariants above).
        while unsafe { self.submissions.push(&entry) }.is_err() {
            // Full: hand over what is queued. An error shows up again in the turn's own enter.
            self.submissions.sync();
            let _ = self.submitter.submit();
            self.submissions.sync();
        }
    }

    fn send_replies(&mut self) {
        let mut answering = std::mem::take(&mut self.answering);
        for fd in answering.drain(..) {
            let connection = &mut self.connections[fd as usize];
            connection.answering = false;
            if connection.blocked || connection.replies.is_empty() {
                continue;
            }
            let flags = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
            connection.sent = connection.replies.len();
            let entry = opcode::Send::new(Fd(fd), connection.replies.as_ptr(), connection.sent as u32)
                .flags(flags)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS);
            self.push(entry.user_data(Event::Send.on(fd)));
            self.sending.push(fd);
        }
        self.answering = answering; // for its capacity
    }

    /// Submits what is queued and waits for at least one completion, spinning first if asked to.
    fn enter(&mut self) -> io::Result<()> {
        self.submissions.sync();
        if self.spin.is_zero() {
            self.enter_once(1)?;
        } else {
            self.enter_once(0)?;
            self.spin_then_sleep()?;
        }
        self.submissions.sync();
        self.completions.sync();
        Ok(())
    }

    /// Completions appear only in an enter; the ring's flag tells when one would bring any.
    fn spin_then_sleep(&mut self) -> io::Result<()> {
        let start = Instant::now();
        self.completions.sync();
        while self.completions.is_empty() {
            if self.submissions.taskrun() {
                self.enter_once(0)?;
            } else if start.elapsed() > self.spin {
                self.enter_once(1)?;
            } else {
                std::hint::spin_loop();
            }
            self.completions.sync();
        }
        Ok(())
    }

    fn enter_once(&mut self, completions_min: u32) -> io::Result<()> {
        const GETEVENTS: u32 = 1;
        let queued = self.submissions.len() as u32;
        // SAFETY: no argument is passed that the kernel could read.
        let entered = unsafe { self.submitter.enter::<()>(queued, completions_min, GETEVENTS, None) };
        self.submissions.sync();
        match entered {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn reap(&mut self) {
        while let Some(completion) = self.completions.next() {
            let (event, fd) = Event::of(completion.user_data());
            let (result, flags) = (completion.result(), completion.flags());
            match event {
                Event::Accept => self.accepted(result, flags),
                Event::Receive => self.received(fd, result, flags),
                Event::Send => self.sent_in_part(fd, result),
                Event::Writable => {
                    self.connections[fd as usize].blocked = false;
                    self.answer_later(fd);
                }
            }
        }
    }

    fn accepted(&mut self, result: i32, flags: u32) {
        if result >= 0 {
            let index = result as usize;
            if self.connections.len() <= index {
                self.connections.resize_with(index + 1, Connection::default);
            }
            self.connections[index] = Connection::default();
            self.receive(result);
        }
        if !cqueue::more(flags) {
            self.accept();
        }
    }

    fn receive(&mut self, fd: RawFd) {
        let entry = opcode::RecvMulti::new(Fd(fd), BUFFER_GROUP).build();
        self.push(entry.user_data(Event::Receive.on(fd)));
    }

    fn received(&mut self, fd: RawFd, result: i32, flags: u32) {
        if result <= 0 && result != -libc::ENOBUFS {
            // SAFETY: accept gave us this descriptor, and its receive, the last user, has just ended.
            unsafe { libc::close(fd) };
            self.connections[fd as usize] = Connection::default();
            return;
        }
        if let Some(id) = cqueue::buffer_select(flags) {
            let bytes = self.buffers.filled(id, result as usize);
            self.answers.answer(&mut self.connections[fd as usize], bytes);
            self.buffers.give(id);
            self.answer_later(fd);
        }
        if !cqueue::more(flags) {
            self.receive(fd);
        }
    }

    fn answer_later(&mut self, fd: RawFd) {
        let connection = &mut self.connections[fd as usize];
        if !connection.answering {
            connection.answering = true;
            self.answering.push(fd);
        }
    }

    /// A SEND posts a completion only if it wrote less than everything.
    fn sent_in_part(&mut self, fd: RawFd, result: i32) {
        let connection = &mut self.connections[fd as usize];
        connection.sent = result.max(0) as usize;
        connection.blocked = true;
        let entry = opcode::PollAdd::new(Fd(fd), libc::POLLOUT as u32).build();
        self.push(entry.user_data(Event::Writable.on(fd)));
    }

    fn forget_sent(&mut self) {
        for fd in self.sending.drain(..) {
            let connection = &mut self.connections[fd as usize];
            connection.replies.drain(..std::mem::take(&mut connection.sent).min(connection.replies.len()));
        }
    }
}

#[derive(Default)]
struct Connection {
    /// Replies not sent yet; the first `sent` bytes are the kernel's while an enter runs.
    replies: Vec<u8>,
    sent: usize,
    /// Is in `Floor::answering`.
    answering: bool,
    /// The socket took no more; a poll for POLLOUT is under way.
    blocked: bool,
    shape: Option<Shape>,
    /// Bytes received since the last whole request.
    partial_len: usize,
    /// Those bytes themselves (only with a table).
    partial: Vec<u8>,
}

/// What the first request of a connection says about all its requests.
#[derive(Clone, Copy)]
enum Shape {
    Set {
        len: usize,
    },
    Get {
        len: usize,
    },
    /// Such as the CONFIG GETs with which redis-benchmark begins.
    Other,
}

/// Makes replies out of received bytes.
struct Answers {
    ok: Vec<u8>,
    value: Vec<u8>,
    value_len: usize,
    table: Option<Table>,
}

type Table = HashMap<Box<[u8]>, Box<[u8]>, ahash::RandomState>;

impl Answers {
    fn new(options: &Options) -> Answers {
        let mut value = Vec::new();
        append_bulk(&mut value, &vec![b'x'; options.value_bytes]);
        Answers {
            ok: b"+OK\r\n".repeat(REPLIES_READY),
            value_len: value.len(),
            value: value.repeat(REPLIES_READY),
            table: options.table.then(Table::default),
        }
    }

    fn answer(&mut self, connection: &mut Connection, bytes: &[u8]) {
        let shape = *connection.shape.get_or_insert_with(|| Shape::of(bytes));
        match (shape, &mut self.table) {
            (Shape::Other, _) => answer_config(&mut connection.replies, bytes),
            (_, Some(table)) => answer_from(table, connection, bytes),
            (Shape::Set { len }, None) => connection.count(bytes, len, &self.ok, b"+OK\r\n".len()),
            (Shape::Get { len }, None) => connection.count(bytes, len, &self.value, self.value_len),
        }
    }
}

impl Shape {
    fn of(bytes: &[u8]) -> Shape {
        match parse(bytes) {
            Some((len, [b"SET", ..])) => Shape::Set { len },
            Some((len, [b"GET", ..])) => Shape::Get { len },
            _ => Shape::Other,
        }
    }
}

impl Connection {
    fn count(&mut self, bytes: &[u8], request_len: usize, replies: &[u8], reply_len: usize) {
        let len = self.partial_len + bytes.len();
        self.partial_len = len % request_len;
        self.replies.extend_from_slice(&replies[..len / request_len * reply_len]);
    }
}

/// One pair with an empty name and value per CONFIG GET.
fn answer_config(replies: &mut Vec<u8>, bytes: &[u8]) {
    for _ in memchr::memmem::find_iter(bytes, "CONFIG") {
        replies.extend_from_slice(b"*2\r\n$0\r\n\r\n$0\r\n\r\n");
    }
}

fn answer_from(table: &mut Table, connection: &mut Connection, bytes: &[u8]) {
    let Connection { partial, replies, .. } = connection;
    let joined = !partial.is_empty();
    if joined {
        partial.extend_from_slice(bytes);
    }
    let input = if joined { partial.as_slice() } else { bytes };
    let mut at = 0;
    while let Some((len, [_, key, value])) = parse(&input[at..]) {
        at += len;
        if value.is_empty() {
            match table.get(key) {
                Some(value) => append_bulk(replies, value),
                None => replies.extend_from_slice(b"$-1\r\n"),
            }
            continue;
        }
        match table.get_mut(key) {
            Some(held) if held.len() == value.len() => held.copy_from_slice(value),
            Some(held) => *held = value.into(),
            None => drop(table.insert(key.into(), value.into())),
        }
        replies.extend_from_slice(b"+OK\r\n");
    }
    if joined {
        partial.drain(..at);
    } else {
        partial.extend_from_slice(&bytes[at..]);
    }
}

fn append_bulk(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'$');
    out.extend_from_slice(itoa::Buffer::new().format(value.len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The length of the first whole request in `bytes`, and its first three words.
fn parse(bytes: &[u8]) -> Option<(usize, [&[u8]; 3])> {
    let (count, mut at) = parse_length(bytes, 0)?;
    let mut words: [&[u8]; 3] = [b""; 3];
    for index in 0..count {
        let (len, start) = parse_length(bytes, at)?;
        at = start + len + 2;
        if bytes.len() < at {
            return None;
        }
        if let Some(word) = words.get_mut(index) {
            *word = &bytes[start..start + len];
        }
    }
    Some((at, words))
}

/// The number in a line such as `$16\r\n` at `at`, and where the next line starts.
fn parse_length(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().enumerate().skip(at + 1) {
        if byte == b'\r' {
            return (bytes.len() > index + 1).then_some((number, index + 2));
        }
        number = number * 10 + usize::from(byte.wrapping_sub(b'0'));
    }
    None
}

/// The provided buffers of the ring. Buffer `id` is `BUFFER_BYTES` long and starts at `id * BUFFER_BYTES`.
struct BufferRing {
    entries: *mut BufRingEntry,
    memory: *mut u8,
    /// Buffers given so far, modulo 2^16.
    tail: u16,
}

impl BufferRing {
    fn register(ring: &IoUring) -> io::Result<BufferRing> {
        let entries = map_pages(usize::from(BUFFERS) * size_of::<BufRingEntry>())?.cast();
        let memory = map_pages(usize::from(BUFFERS) * BUFFER_BYTES)?;
        // SAFETY: the pages are mapped for as long as the process lives, and are large enough.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(entries as u64, BUFFERS, BUFFER_GROUP, 0)?;
        }
        let mut buffers = BufferRing { entries, memory, tail: 0 };
        (0..BUFFERS).for_each(|id| buffers.give(id));
        buffers.publish();
        Ok(buffers)
    }

    /// The first `len` bytes of a buffer that a completion has just named.
    fn filled(&self, id: u16, len: usize) -> &[u8] {
        // SAFETY: the kernel names ids below BUFFERS and writes at most BUFFER_BYTES, and does not touch the
        // buffer again until it is given back, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory.add(usize::from(id) * BUFFER_BYTES), len) }
    }

    /// Queues a buffer for the kernel, which sees it after `publish`.
    fn give(&mut self, id: u16) {
        // SAFETY: the masked index is within the ring, and the kernel does not read entries at or after the
        // published tail. There are never more buffers than entries.
        unsafe {
            let entry = &mut *self.entries.add(usize::from(self.tail & (BUFFERS - 1)));
            entry.set_addr(self.memory.add(usize::from(id) * BUFFER_BYTES) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the tail lies in the first entry, is aligned, and is shared with the kernel only.
        unsafe { &*BufRingEntry::tail(self.entries).cast::<AtomicU16>() }.store(self.tail, Ordering::Release);
    }
}

/// Zeroed pages that are never unmapped.
fn map_pages(len: usize) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
    let pages = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    if pages == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(pages.cast()) }
}
