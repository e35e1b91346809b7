//! The table of a core's clients.
//!
//! A place is taken from [`Clients::insert`] until both [`Clients::remove`] and [`Clients::free`] were called; `free` is called
//! when the system holds no more operation for the connection, so an id never means two connections at a time.

use crate::net::client::{Client, Link};
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
        let client = self.places[id.index()].take()?;
        self.len -= 1;
        if client.link == Link::Released {
            self.free.push(id);
        }
        Some(client)
    }

    /// Lets an id be used again, as soon as no client has it.
    pub fn free(&mut self, id: ConnId) {
        match self.get_mut(id) {
            Some(client) => {
                debug_assert_eq!(client.link, Link::Closed);
                client.link = Link::Released;
            }
            None => self.free.push(id),
        }
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
        self.places.iter().flatten().map(Box::as_ref).filter(|client| is_connected(client))
    }

    /// The same, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.places.iter_mut().flatten().map(Box::as_mut).filter(|client| is_connected(client))
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

fn is_connected(client: &Client) -> bool {
    client.link == Link::Open && client.replay.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::client::Session;

    #[test]
    fn an_id_is_free_when_both_client_and_connection_are_gone() {
        for client_stays in [false, true] {
            let mut clients = Clients::default();
            let id = clients.next_id();
            clients.insert(Client::new(1, id, Session::default(), 0));
            clients.get_mut(id).expect("it was added").link = Link::Closed;
            assert_eq!((clients.iter().count(), clients.len()), (0, 1));
            let steps: [fn(&mut Clients, ConnId); 2] =
                [|clients, id| drop(clients.remove(id)), |clients, id| clients.free(id)];
            steps[usize::from(client_stays)](&mut clients, id);
            assert_ne!(clients.next_id(), id);
            steps[usize::from(!client_stays)](&mut clients, id);
            assert_eq!((clients.next_id(), clients.len()), (id, 0));
        }
    }
}
