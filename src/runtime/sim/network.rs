//! Connections whose bytes move piece by piece.
//!
//! A *link* is one connection for its whole life. Bytes of the client go from `up` into events of the core that has
//! attached the link; bytes of the server go from `sending` through `down`, which is bounded by the window, into the
//! client's `inbox`. Events wait in one queue per core.
//!
//! Invariants: what a core hears of a link ends with its `close`, then `Released` follows once; the end of a link comes
//! behind all bytes that arrive; a link that broke loses bytes only from the ends of `up` and `down`.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::base::rng::Rng;
use crate::runtime::blocks::Blocks;
use crate::runtime::io::{ConnId, CoreId, Event, FileId, Gather, Handle, Io, Socket, WriteMode};
use crate::runtime::sim::disk::{Done, Drive};

/// Error numbers of Linux that the core is told of.
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;

/// A connection of the simulated network, from its client's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(usize);

/// Totals of bytes with the step in which they were reached.
#[derive(Debug, Default)]
struct Progress(Vec<(u64, u64)>);

impl Progress {
    fn add(&mut self, bytes: usize, step: u64) {
        let total = self.0.last().map_or(0, |(total, _)| *total);
        self.0.push((total + bytes as u64, step));
    }

    fn reached_at(&self, bytes: u64) -> Option<u64> {
        let at = self.0.partition_point(|(total, _)| *total < bytes);
        self.0.get(at).map(|(_, step)| *step)
    }
}

#[derive(Debug)]
struct Link {
    /// The core that serves it and the id it has there, from attaching to closing.
    server: Option<(CoreId, ConnId)>,
    up: VecDeque<u8>,
    /// When a core was given bytes of the client.
    received: Progress,
    /// When a core sent bytes.
    sent: Progress,
    /// The client sends no more.
    finished: bool,
    /// The server has been told that nothing more comes.
    end_told: bool,
    paused: bool,
    /// The send under way and how much of it is done.
    sending: Option<(Vec<u8>, usize)>,
    down: VecDeque<u8>,
    inbox: Vec<u8>,
    /// The client takes bytes out of `down`.
    reading: bool,
    /// The client is gone and nobody will ever read.
    abandoned: bool,
    broken: bool,
    closed_by_server: bool,
}

impl Link {
    fn new() -> Link {
        Link {
            server: None,
            up: VecDeque::new(),
            received: Progress::default(),
            sent: Progress::default(),
            finished: false,
            end_told: false,
            paused: false,
            sending: None,
            down: VecDeque::new(),
            inbox: Vec::new(),
            reading: true,
            abandoned: false,
            broken: false,
            closed_by_server: false,
        }
    }

    fn can_deliver_to_server(&self) -> bool {
        let end = !self.end_told && self.up.is_empty() && (self.finished || self.broken);
        self.server.is_some() && !self.paused && (!self.up.is_empty() || end)
    }

    fn can_send(&self, window: usize) -> bool {
        let fails = self.broken || self.abandoned;
        self.server.is_some() && self.sending.is_some() && (fails || self.down.len() < window)
    }

    fn can_deliver_to_client(&self) -> bool {
        self.reading && !self.down.is_empty()
    }
}

enum Notice {
    Accepted(LinkId),
    Received(LinkId, Vec<u8>),
    Ended(LinkId, i32),
    Sent(LinkId, Vec<u8>, Result<(), i32>),
    Released(ConnId),
}

/// All links.
pub(super) struct Network {
    window: usize,
    /// The present step of the world.
    pub(super) step: u64,
    links: Vec<Link>,
    attached: BTreeMap<(CoreId, ConnId), LinkId>,
    /// What each core has not been told yet.
    notices: Vec<VecDeque<Notice>>,
    /// Ids that are closed and not released.
    closing: Vec<(CoreId, ConnId)>,
}

impl Network {
    pub(super) fn new(cores: usize, window: usize) -> Network {
        Network {
            window,
            step: 0,
            links: Vec::new(),
            attached: BTreeMap::new(),
            notices: (0..cores).map(|_| VecDeque::new()).collect(),
            closing: Vec::new(),
        }
    }

    pub(super) fn has_events(&self, core: CoreId) -> bool {
        !self.notices[core.index()].is_empty()
    }

    fn pick(&self, rng: &mut Rng, suits: impl Fn(&Link) -> bool) -> Option<LinkId> {
        let suitable: Vec<usize> = (0..self.links.len()).filter(|&at| suits(&self.links[at])).collect();
        (!suitable.is_empty()).then(|| LinkId(suitable[rng.below(suitable.len())]))
    }

    /// A piece of what a client has sent, or its end, arrives.
    pub(super) fn deliver_to_server(&mut self, rng: &mut Rng, piece_max: usize) -> bool {
        let Some(id) = self.pick(rng, Link::can_deliver_to_server) else { return false };
        let link = &mut self.links[id.0];
        let Some((core, _)) = link.server else { unreachable!("only served links are picked") };
        let notice = if link.up.is_empty() {
            link.end_told = true;
            Notice::Ended(id, if link.broken { ECONNRESET } else { 0 })
        } else {
            Notice::Received(id, piece(&mut link.up, rng, piece_max))
        };
        self.notices[core.index()].push_back(notice);
        true
    }

    /// A send makes progress.
    pub(super) fn send(&mut self, rng: &mut Rng, piece_max: usize) -> bool {
        let window = self.window;
        let Some(id) = self.pick(rng, |link| link.can_send(window)) else { return false };
        let link = &mut self.links[id.0];
        let Some((core, _)) = link.server else { unreachable!("only served links are picked") };
        let Some((bytes, done)) = &mut link.sending else { unreachable!("only sending links are picked") };
        let fails = link.broken || link.abandoned;
        if !fails && *done < bytes.len() {
            let most = piece_max.min(window - link.down.len()).min(bytes.len() - *done);
            let end = *done + 1 + rng.below(most);
            link.down.extend(&bytes[*done..end]);
            *done = end;
            // Half of the time the core hears of the end only later.
            if *done < bytes.len() || rng.below(2) == 0 {
                return true;
            }
        }
        if let Some((bytes, _)) = link.sending.take() {
            let result = if fails { Err(EPIPE) } else { Ok(()) };
            self.notices[core.index()].push_back(Notice::Sent(id, bytes, result));
        }
        true
    }

    /// A piece of what the server has sent arrives.
    pub(super) fn deliver_to_client(&mut self, rng: &mut Rng, piece_max: usize) -> bool {
        let Some(id) = self.pick(rng, Link::can_deliver_to_client) else { return false };
        let link = &mut self.links[id.0];
        let bytes = piece(&mut link.down, rng, piece_max);
        link.inbox.extend(bytes);
        true
    }

    /// A closed id becomes free.
    pub(super) fn release(&mut self, rng: &mut Rng) -> bool {
        if self.closing.is_empty() {
            return false;
        }
        let (core, conn) = self.closing.swap_remove(rng.below(self.closing.len()));
        self.notices[core.index()].push_back(Notice::Released(conn));
        true
    }

    /// A random connection breaks; some of what is on its way is lost.
    pub(super) fn break_one(&mut self, rng: &mut Rng) {
        let Some(id) = self.pick(rng, |link| !link.broken && !link.closed_by_server) else { return };
        let link = &mut self.links[id.0];
        link.broken = true;
        for queue in [&mut link.up, &mut link.down] {
            queue.truncate(rng.below(queue.len() + 1));
        }
    }

    pub(super) fn toggle_reading(&mut self, rng: &mut Rng) {
        if let Some(id) = self.pick(rng, |link| !link.broken) {
            self.links[id.0].reading ^= true;
        }
    }

    pub(super) fn read_all(&mut self) {
        self.links.iter_mut().for_each(|link| link.reading = true);
    }

    /// All that was sent and can still arrive does.
    pub(super) fn deliver_sent(&mut self) {
        for link in self.links.iter_mut().filter(|link| !link.abandoned) {
            let (down, inbox) = (&mut link.down, &mut link.inbox);
            inbox.extend(down.drain(..));
            if let Some((bytes, done)) = link.sending.take().filter(|_| !link.broken) {
                link.inbox.extend_from_slice(&bytes[done..]);
            }
        }
    }

    pub(super) fn set_reading(&mut self, link: LinkId, reading: bool) {
        self.links[link.0].reading = reading;
    }

    pub(super) fn connect(&mut self, core: CoreId) -> LinkId {
        let id = LinkId(self.links.len());
        self.links.push(Link::new());
        self.notices[core.index()].push_back(Notice::Accepted(id));
        id
    }

    pub(super) fn client_send(&mut self, link: LinkId, bytes: &[u8]) {
        let link = &mut self.links[link.0];
        if !link.broken && !link.closed_by_server {
            link.up.extend(bytes);
        }
    }

    pub(super) fn client_receive(&mut self, link: LinkId) -> Vec<u8> {
        std::mem::take(&mut self.links[link.0].inbox)
    }

    pub(super) fn client_finish(&mut self, link: LinkId) {
        self.links[link.0].finished = true;
    }

    pub(super) fn client_close(&mut self, link: LinkId) {
        let link = &mut self.links[link.0];
        link.finished = true;
        link.abandoned = true;
    }

    pub(super) fn received_at(&self, link: LinkId, bytes: u64) -> Option<u64> {
        self.links[link.0].received.reached_at(bytes)
    }

    pub(super) fn sent_at(&self, link: LinkId, bytes: u64) -> Option<u64> {
        self.links[link.0].sent.reached_at(bytes)
    }

    pub(super) fn is_over(&self, link: LinkId) -> bool {
        let link = &self.links[link.0];
        (link.broken || link.closed_by_server) && link.down.is_empty() && link.inbox.is_empty()
    }

    /// Ends what a core hears of a link.
    fn close(&mut self, core: CoreId, conn: ConnId) {
        let Some(id) = self.attached.remove(&(core, conn)) else { return };
        let link = &mut self.links[id.0];
        link.server = None;
        link.closed_by_server = true;
        link.sending = None;
        link.up.clear();
        self.closing.push((core, conn));
    }

    fn link_of(&mut self, core: CoreId, conn: ConnId) -> Option<&mut Link> {
        let id = *self.attached.get(&(core, conn))?;
        Some(&mut self.links[id.0])
    }
}

/// Takes a random piece from the front of a queue that is not empty.
fn piece(queue: &mut VecDeque<u8>, rng: &mut Rng, most: usize) -> Vec<u8> {
    let len = 1 + rng.below(queue.len().min(most));
    queue.drain(..len).collect()
}

/// The network and the disk as one core sees them.
pub struct SimIo {
    core: CoreId,
    network: Rc<RefCell<Network>>,
    drive: Drive,
    /// Bytes of the event that was handed out last.
    received: Vec<u8>,
}

impl SimIo {
    pub(super) fn new(core: CoreId, network: Rc<RefCell<Network>>, drive: Drive) -> SimIo {
        SimIo { core, network, drive, received: Vec::new() }
    }
}

impl Io for SimIo {
    fn attach(&mut self, conn: ConnId, socket: Socket) {
        let Handle::Simulated(number) = socket.handle else { unreachable!("a real socket in a simulation") };
        let id = LinkId(number as usize);
        let mut network = self.network.borrow_mut();
        let before = network.attached.insert((self.core, conn), id);
        assert!(before.is_none(), "core {} attaches two links as {conn:?}", self.core);
        network.links[id.0].server = Some((self.core, conn));
    }

    fn pause(&mut self, conn: ConnId) {
        if let Some(link) = self.network.borrow_mut().link_of(self.core, conn) {
            link.paused = true;
        }
    }

    fn resume(&mut self, conn: ConnId) {
        if let Some(link) = self.network.borrow_mut().link_of(self.core, conn) {
            link.paused = false;
        }
    }

    fn send(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let mut network = self.network.borrow_mut();
        let step = network.step;
        let link = network.link_of(self.core, conn).expect("only attached links are sent to");
        assert!(link.sending.is_none(), "two sends at a time on {conn:?} of core {}", self.core);
        assert!(!bytes.is_empty(), "nothing to send on {conn:?} of core {}", self.core);
        link.sent.add(bytes.len(), step);
        link.sending = Some((bytes, 0));
    }

    fn close(&mut self, conn: ConnId) {
        self.network.borrow_mut().close(self.core, conn);
    }

    fn open(&mut self, file: FileId, handle: Handle) {
        let Handle::Simulated(number) = handle else { unreachable!("a real file in a simulation") };
        self.drive.open(file, number);
    }

    fn write(&mut self, id: u32, file: FileId, offset: u64, blocks: Blocks, mode: WriteMode) {
        self.drive.write(id, file, offset, blocks, mode);
    }

    fn sync(&mut self, file: FileId) {
        self.drive.sync(file);
    }

    fn close_file(&mut self, file: FileId) {
        self.drive.close(file);
    }

    fn stop_listening(&mut self) {}

    fn poll(&mut self) {}

    fn wait(&mut self, _: Duration, _: Gather) {}

    fn has_events(&self) -> bool {
        self.network.borrow().has_events(self.core) || self.drive.has_events()
    }

    fn next_event(&mut self) -> Option<Event<'_>> {
        match self.drive.next_event() {
            Some(Done::Wrote(id, blocks, result)) => return Some(Event::Wrote(id, blocks, result)),
            Some(Done::Synced(file, result)) => return Some(Event::Synced(file, result)),
            None => {}
        }
        let mut network = self.network.borrow_mut();
        loop {
            let notice = network.notices[self.core.index()].pop_front()?;
            // A link without a server was closed: its core hears no more of it.
            let conn_of = |link: LinkId| network.links[link.0].server.map(|(_, conn)| conn);
            match notice {
                Notice::Accepted(link) => return Some(Event::Accepted(socket(link))),
                Notice::Released(conn) => return Some(Event::Released(conn)),
                Notice::Received(link, bytes) => {
                    if let Some(conn) = conn_of(link) {
                        let step = network.step;
                        network.links[link.0].received.add(bytes.len(), step);
                        self.received = bytes;
                        return Some(Event::Received(conn, &self.received));
                    }
                }
                Notice::Ended(link, error) => {
                    if let Some(conn) = conn_of(link) {
                        return Some(Event::Ended(conn, error));
                    }
                }
                Notice::Sent(link, bytes, result) => {
                    if let Some(conn) = conn_of(link) {
                        return Some(Event::Sent(conn, bytes, result));
                    }
                }
            }
        }
    }

    fn ring_doorbell(&mut self, _: CoreId) {}
}

fn socket(link: LinkId) -> Socket {
    Socket {
        handle: Handle::Simulated(link.0 as u64),
        peer: format!("127.0.0.1:{}", 10_000 + link.0),
        local: "127.0.0.1:6379".into(),
        is_local: true,
        is_unix: false,
    }
}
