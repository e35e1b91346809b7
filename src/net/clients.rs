//! The table of a core's clients.
//!
//! A place is taken from [`Clients::insert`] to [`Clients::free`]; `free` is called when the system holds no more
//! operation for the connection, so an id never means two connections at a time.

use crate::net::client::Client;
use crate::runtime::io::ConnId;

/// All clients of a core, by connection.
#[derive(Debug, Default)]
pub struct Clients {
    places: Vec<Option<Box<Client>>>,
    free: Vec<ConnId>,
    len: usize,
}

impl Clients {
    /// The id that the next client gets.
    pub fn next_id(&self) -> ConnId {
        self.free.last().copied().unwrap_or(ConnId(self.places.len() as u32))
    }

    /// Adds a client whose `conn` is [`Clients::next_id`].
    pub fn insert(&mut self, client: Client) {
        let id = client.conn;
        if self.free.pop().is_none() {
            self.places.push(None);
        }
        self.places[id.index()] = Some(Box::new(client));
        self.len += 1;
    }

    /// Drops a client; its id stays taken until [`Clients::free`].
    pub fn remove(&mut self, id: ConnId) -> Option<Box<Client>> {
        let client = self.places[id.index()].take();
        self.len -= usize::from(client.is_some());
        client
    }

    /// Lets an id be used again.
    pub fn free(&mut self, id: ConnId) {
        debug_assert!(self.places[id.index()].is_none());
        self.free.push(id);
    }

    /// The client of a connection, if it has not been removed.
    #[inline]
    pub fn get(&self, id: ConnId) -> Option<&Client> {
        self.places.get(id.index())?.as_deref()
    }

    /// The same, mutable.
    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Client> {
        self.places.get_mut(id.index())?.as_deref_mut()
    }

    /// The client with this id on this connection; `None` if another has taken its place.
    pub fn get_same(&mut self, id: ConnId, client: u64) -> Option<&mut Client> {
        self.get_mut(id).filter(|found| found.id == client)
    }

    /// All clients that have a connection.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.places.iter().flatten().map(Box::as_ref).filter(|client| client.replay.is_none())
    }

    /// The same, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.places.iter_mut().flatten().map(Box::as_mut).filter(|client| client.replay.is_none())
    }

    /// Number of clients.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
