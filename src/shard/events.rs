//! Keyspace events: what has happened to which key, for clients that subscribe to that
//! (redis.io/docs/latest/develop/use/keyspace-notifications).
//!
//! Handlers say what they do in the order in which Redis does; the shard itself says which keys are new, expired or
//! missed. Whoever runs the handler publishes what was collected. While the configuration wants no events, which is the
//! default, one look at the mask is all that is done.

use crate::base::event_classes::EventClasses;

/// Something that has happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Index of the key's database.
    pub db: usize,
    /// Its name, as it is published.
    pub name: &'static str,
    /// The key.
    pub key: Box<[u8]>,
}

/// Events that have not been published.
#[derive(Debug)]
pub struct Events {
    /// The classes that are wanted.
    wanted: EventClasses,
    collected: Vec<Event>,
}

impl Default for Events {
    fn default() -> Events {
        Events { wanted: EventClasses::empty(), collected: Vec::new() }
    }
}

impl Events {
    /// Sets which classes of events are wanted.
    pub fn want(&mut self, classes: EventClasses) {
        self.wanted = classes;
    }

    /// Whether no event of any class is wanted.
    #[inline]
    pub fn are_off(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Collects an event if its class is wanted.
    #[inline]
    pub fn note(&mut self, class: EventClasses, name: &'static str, db: usize, key: &[u8]) {
        if self.wanted.intersects(class) {
            self.collect(name, db, key);
        }
    }

    #[cold]
    fn collect(&mut self, name: &'static str, db: usize, key: &[u8]) {
        self.collected.push(Event { db, name, key: key.into() });
    }

    /// Whether there is something to be published.
    #[inline]
    pub fn is_pending(&self) -> bool {
        !self.collected.is_empty()
    }

    /// What was collected since the last call, the oldest first.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.collected)
    }
}
