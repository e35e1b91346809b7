//! Publish and subscribe: who listens to what, on this core and on all others.
//!
//! A [`Topic`] is whatever can be subscribed to: a channel, a pattern or a shard channel. Each core holds every topic that
//! anybody listens to, with its own subscribers and the *number* of those on each other core, which the cores tell each
//! other by [`Change`]s. So a publisher finds in one look-up whom to serve here, which cores to tell, and how many there are.
//!
//! A subscription is *active* when its `SUBSCRIBE` is answered, that is when all cores know of it; only then do messages
//! reach it. Names are shared between topic, subscriber and the changes that travel, so each exists once.
//!
//! Invariants: a topic has a subscriber here or elsewhere. A name is in the set of a client exactly if that client is once
//! among the subscribers of the topic; `joining` lists those of its names whose subscription is not active.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ahash::AHashMap;
use smallvec::SmallVec;

use crate::base::glob;
use crate::runtime::io::{ConnId, CoreId};

/// The name of a topic.
pub type Name = Arc<[u8]>;

/// What can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A channel (`SUBSCRIBE`).
    Channel,
    /// All channels that match a pattern (`PSUBSCRIBE`).
    Pattern,
    /// A shard channel (`SSUBSCRIBE`): patterns don't match it.
    Shard,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
}

/// How many subscriptions of each kind a client has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u32; 3]);

impl Counts {
    /// Those of one kind.
    pub fn of(self, kind: Kind) -> usize {
        self.0[kind as usize] as usize
    }

    /// The number that confirmations show: channels and patterns count together.
    pub fn shown(self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.of(Kind::Shard),
            Kind::Channel | Kind::Pattern => self.of(Kind::Channel) + self.of(Kind::Pattern),
        }
    }

    /// Whether there is any.
    #[inline]
    pub fn any(self) -> bool {
        self != Counts::default()
    }

    /// About how much memory they take, in bytes: the name's place among those of the client and in its topic.
    pub fn memory_bytes(self) -> usize {
        const SUBSCRIPTION_BYTES: usize = 2 * size_of::<Name>() + size_of::<Subscriber>();
        self.0.iter().sum::<u32>() as usize * SUBSCRIPTION_BYTES
    }
}

/// A subscription that begins or ends on some core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of which kind.
    pub kind: Kind,
    /// The topic.
    pub name: Name,
    /// Whether it begins.
    pub begins: bool,
}

/// A client of this core that listens to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    /// Its connection.
    pub conn: ConnId,
    /// Whether messages reach it.
    pub active: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Topic {
    /// Clients of this core, in the order of their subscriptions.
    pub here: SmallVec<[Subscriber; 2]>,
    /// Subscribers on other cores: how many on which, at least one each.
    pub elsewhere: SmallVec<[(CoreId, u32); 2]>,
}

impl Topic {
    /// All subscribers on all cores.
    pub fn subscribers(&self) -> usize {
        self.here.len() + self.elsewhere.iter().map(|(_, count)| *count as usize).sum::<usize>()
    }

    fn is_unheard(&self) -> bool {
        self.here.is_empty() && self.elsewhere.is_empty()
    }

    fn count_elsewhere(&mut self, core: CoreId, begins: bool) {
        let place = self.elsewhere.iter().position(|(other, _)| *other == core);
        match (place, begins) {
            (Some(at), true) => self.elsewhere[at].1 += 1,
            (None, true) => self.elsewhere.push((core, 1)),
            (Some(at), false) if self.elsewhere[at].1 > 1 => self.elsewhere[at].1 -= 1,
            (Some(at), false) => drop(self.elsewhere.remove(at)),
            (None, false) => debug_assert!(false, "nobody on core {core:?} was known to listen"),
        }
    }
}

/// What one client of this core listens to.
#[derive(Debug, Default)]
struct Subscriptions {
    /// By kind.
    names: [BTreeSet<Name>; 3],
    /// Those that are not active.
    joining: Vec<(Kind, Name)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct PubSub {
    channels: AHashMap<Name, Topic>,
    shard_channels: AHashMap<Name, Topic>,
    /// In an order that does not change, because all of them are looked through.
    patterns: BTreeMap<Name, Topic>,
    clients: AHashMap<ConnId, Subscriptions>,
}

impl PubSub {
    /// Whether nobody listens to anything, on any core.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.shard_channels.is_empty()
    }

    /// Number of topics of a kind that anybody listens to.
    pub fn len(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel => self.channels.len(),
            Kind::Pattern => self.patterns.len(),
            Kind::Shard => self.shard_channels.len(),
        }
    }

    /// Clients of this core that listen to something.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// A topic, if anybody listens to it.
    pub fn topic(&self, kind: Kind, name: &[u8]) -> Option<&Topic> {
        match kind {
            Kind::Channel => self.channels.get(name),
            Kind::Pattern => self.patterns.get(name),
            Kind::Shard => self.shard_channels.get(name),
        }
    }

    /// The names of all channels, or shard channels, that match a pattern, if one is given.
    pub fn channels<'a>(&'a self, shard: bool, pattern: Option<&'a [u8]>) -> impl Iterator<Item = &'a Name> {
        let topics = if shard { &self.shard_channels } else { &self.channels };
        topics.keys().filter(move |name| pattern.is_none_or(|pattern| glob::matches(pattern, name, false)))
    }

    /// The topics whose subscribers a message to a channel is for: first the channel itself, then, with their names, the
    /// patterns that match it. `only_here` leaves out those without subscribers on this core.
    pub fn listeners<'a>(
        &'a self,
        channel: &'a [u8],
        shard: bool,
        only_here: bool,
    ) -> impl Iterator<Item = (Option<&'a Name>, &'a Topic)> {
        let exact = if shard { self.shard_channels.get(channel) } else { self.channels.get(channel) };
        let patterns = if shard { None } else { Some(&self.patterns) };
        let matching = patterns
            .into_iter()
            .flatten()
            .filter(move |(_, topic)| !only_here || !topic.here.is_empty())
            .filter(move |(pattern, _)| glob::matches(pattern, channel, false));
        exact.map(|topic| (None, topic)).into_iter().chain(matching.map(|(name, topic)| (Some(name), topic)))
    }

    /// How many clients a message to a channel is for.
    pub fn receivers(&self, channel: &[u8], shard: bool) -> usize {
        self.listeners(channel, shard, false).map(|(_, topic)| topic.subscribers()).sum()
    }

    /// How many subscriptions a client has.
    pub fn counts(&self, conn: ConnId) -> Counts {
        let names = self.clients.get(&conn).map(|client| client.names.each_ref().map(BTreeSet::len));
        Counts(names.unwrap_or_default().map(|len| len as u32))
    }

    /// The names of a kind that a client listens to, in their order.
    pub fn names(&self, conn: ConnId, kind: Kind) -> Vec<Name> {
        let client = self.clients.get(&conn);
        client.map(|client| client.names[kind as usize].iter().cloned().collect()).unwrap_or_default()
    }

    /// Subscribes a client of this core, not actively yet; `None` if it was subscribed before.
    pub fn subscribe(&mut self, conn: ConnId, kind: Kind, name: &[u8]) -> Option<Change> {
        let client = self.clients.entry(conn).or_default();
        if client.names[kind as usize].contains(name) {
            return None;
        }
        let name = self.shared_name(kind, name);
        let client = self.clients.get_mut(&conn).expect("it was found above");
        client.names[kind as usize].insert(name.clone());
        client.joining.push((kind, name.clone()));
        self.topic_of(kind, &name).here.push(Subscriber { conn, active: false });
        Some(Change { kind, name, begins: true })
    }

    /// From now on messages reach a client by all of its subscriptions.
    pub fn activate(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        for (kind, name) in std::mem::take(&mut client.joining) {
            // From behind, where the new ones are.
            let mut subscribers = self.topic_of(kind, &name).here.iter_mut().rev();
            let subscriber = subscribers.find(|subscriber| subscriber.conn == conn);
            subscriber.expect("a client is among the subscribers of its topics").active = true;
        }
    }

    /// Ends a subscription of a client of this core; `None` if there was none.
    pub fn unsubscribe(&mut self, conn: ConnId, kind: Kind, name: &[u8]) -> Option<Change> {
        let client = self.clients.get_mut(&conn)?;
        let name = client.names[kind as usize].take(name)?;
        client.joining.retain(|joining| *joining != (kind, name.clone()));
        if client.names.iter().all(BTreeSet::is_empty) {
            self.clients.remove(&conn);
        }
        Some(self.end(conn, kind, name))
    }

    /// Ends all subscriptions of a client of this core.
    pub fn unsubscribe_all(&mut self, conn: ConnId) -> Vec<Change> {
        let Some(client) = self.clients.remove(&conn) else { return Vec::new() };
        let names = Kind::ALL.into_iter().zip(client.names);
        names
            .flat_map(|(kind, names)| names.into_iter().map(move |name| (kind, name)))
            .map(|(kind, name)| self.end(conn, kind, name))
            .collect()
    }

    /// Takes note of what another core's clients do.
    pub fn note(&mut self, core: CoreId, changes: &[Change]) {
        for Change { kind, name, begins } in changes {
            self.topic_of(*kind, name).count_elsewhere(core, *begins);
            self.drop_if_unheard(*kind, name);
        }
    }

    fn end(&mut self, conn: ConnId, kind: Kind, name: Name) -> Change {
        self.topic_of(kind, &name).here.retain(|subscriber| subscriber.conn != conn);
        self.drop_if_unheard(kind, &name);
        Change { kind, name, begins: false }
    }

    /// The name as it exists already, or a new one.
    fn shared_name(&self, kind: Kind, name: &[u8]) -> Name {
        let known = match kind {
            Kind::Channel => self.channels.get_key_value(name),
            Kind::Pattern => self.patterns.get_key_value(name),
            Kind::Shard => self.shard_channels.get_key_value(name),
        };
        known.map_or_else(|| Name::from(name), |(name, _)| name.clone())
    }

    fn topic_of(&mut self, kind: Kind, name: &Name) -> &mut Topic {
        match kind {
            Kind::Channel => self.channels.entry(name.clone()).or_default(),
            Kind::Pattern => self.patterns.entry(name.clone()).or_default(),
            Kind::Shard => self.shard_channels.entry(name.clone()).or_default(),
        }
    }

    fn drop_if_unheard(&mut self, kind: Kind, name: &Name) {
        if self.topic(kind, name).is_some_and(Topic::is_unheard) {
            match kind {
                Kind::Channel => drop(self.channels.remove(name)),
                Kind::Pattern => drop(self.patterns.remove(name)),
                Kind::Shard => drop(self.shard_channels.remove(name)),
            }
        }
        for topics in [&mut self.channels, &mut self.shard_channels] {
            // What a flood of channels has needed does not stay for ever.
            let len = topics.len();
            if topics.capacity() > 64 && len < topics.capacity() / 8 {
                topics.shrink_to(2 * len);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: CoreId = CoreId(0);
    const THERE: CoreId = CoreId(1);

    fn conns<'a>(listeners: impl Iterator<Item = (Option<&'a Name>, &'a Topic)>) -> Vec<(String, Vec<u32>)> {
        let text =
            |name: Option<&Name>| name.map_or("=".into(), |name| String::from_utf8_lossy(name).into_owned());
        let active = |topic: &Topic| {
            topic
                .here
                .iter()
                .filter(|subscriber| subscriber.active)
                .map(|subscriber| subscriber.conn.0)
                .collect()
        };
        listeners.map(|(name, topic)| (text(name), active(topic))).collect()
    }

    #[test]
    fn a_channel_comes_first_then_the_patterns_that_match_it() {
        let mut table = PubSub::default();
        for (conn, kind, name) in [
            (1, Kind::Pattern, "n*"),
            (2, Kind::Channel, "news"),
            (1, Kind::Channel, "news"),
            (2, Kind::Pattern, "*s"),
            (3, Kind::Pattern, "x*"),
            (4, Kind::Shard, "news"),
        ] {
            assert!(table.subscribe(ConnId(conn), kind, name.as_bytes()).is_some());
            table.activate(ConnId(conn));
        }
        let expected = [("=".to_owned(), vec![2, 1]), ("*s".to_owned(), vec![2]), ("n*".to_owned(), vec![1])];
        assert_eq!(conns(table.listeners(b"news", false, false)), expected);
        assert_eq!(conns(table.listeners(b"news", true, false)), [("=".to_owned(), vec![4])]);
        assert_eq!(table.channels(false, Some(b"n?ws")).count(), 1);
        assert_eq!(table.channels(false, Some(b"x")).count(), 0);
    }

    #[test]
    fn messages_reach_a_subscription_only_when_it_is_active() {
        let mut table = PubSub::default();
        table.subscribe(ConnId(1), Kind::Channel, b"a");
        table.activate(ConnId(1));
        table.subscribe(ConnId(1), Kind::Channel, b"b");
        assert_eq!(conns(table.listeners(b"a", false, false)), [("=".to_owned(), vec![1])]);
        assert_eq!(conns(table.listeners(b"b", false, false)), [("=".to_owned(), vec![])]);
        table.activate(ConnId(1));
        assert_eq!(conns(table.listeners(b"b", false, false)), [("=".to_owned(), vec![1])]);
    }

    #[test]
    fn patterns_of_other_cores_are_not_this_ones_to_serve() {
        let mut table = PubSub::default();
        table.note(THERE, &[Change { kind: Kind::Pattern, name: Name::from(&b"*"[..]), begins: true }]);
        assert_eq!(table.listeners(b"a", false, false).count(), 1);
        assert_eq!(table.listeners(b"a", false, true).count(), 0);
    }

    #[test]
    fn many_channels_leave_no_memory_behind() {
        let mut table = PubSub::default();
        for n in 0..10_000 {
            table.subscribe(ConnId(1), Kind::Channel, n.to_string().as_bytes());
        }
        assert_eq!(table.counts(ConnId(1)).shown(Kind::Pattern), 10_000);
        assert_eq!(table.unsubscribe_all(ConnId(1)).len(), 10_000);
        assert!(table.is_empty() && table.channels.capacity() < 256, "{}", table.channels.capacity());
    }

    proptest! {
        /// Two cores that tell each other everything know the same, and both know what a plain set of subscriptions says.
        #[test]
        fn all_cores_know_all_subscriptions(steps in prop::collection::vec((0..2usize, 0..4u32, 0..3usize, 0..3u8, 0..4u8), 1..200)) {
            let mut cores = [PubSub::default(), PubSub::default()];
            let mut model = BTreeSet::new();
            for (core, conn, kind, name, step) in steps {
                let (kind, name, other) = (Kind::ALL[kind], [b'a' + name], 1 - core);
                let conn = ConnId(conn);
                let changes: Vec<Change> = match step {
                    0 | 1 => {
                        let change = cores[core].subscribe(conn, kind, &name);
                        prop_assert_eq!(change.is_some(), model.insert((core, conn, kind, name)));
                        change.into_iter().collect()
                    }
                    2 => {
                        let change = cores[core].unsubscribe(conn, kind, &name);
                        prop_assert_eq!(change.is_some(), model.remove(&(core, conn, kind, name)));
                        change.into_iter().collect()
                    }
                    _ => {
                        let before = model.len();
                        model.retain(|(its_core, its_conn, _, _)| (*its_core, *its_conn) != (core, conn));
                        let changes = cores[core].unsubscribe_all(conn);
                        prop_assert_eq!(changes.len(), before - model.len());
                        changes
                    }
                };
                cores[other].note([HERE, THERE][core], &changes);
                for (core, table) in cores.iter().enumerate() {
                    let names: BTreeSet<_> = model.iter().map(|(_, _, kind, name)| (*kind, *name)).collect();
                    prop_assert_eq!(Kind::ALL.map(|kind| table.len(kind)).iter().sum::<usize>(), names.len());
                    for (kind, name) in names {
                        let all = model.iter().filter(|(_, _, k, n)| (*k, *n) == (kind, name)).count();
                        prop_assert_eq!(table.topic(kind, &name).map(Topic::subscribers), Some(all));
                    }
                    let clients: BTreeSet<_> = model.iter().filter(|step| step.0 == core).map(|step| step.1).collect();
                    prop_assert_eq!(table.clients(), clients.len());
                    for conn in clients {
                        let of = |kind| model.iter().filter(|step| (step.0, step.1, step.2) == (core, conn, kind)).count();
                        prop_assert_eq!(Kind::ALL.map(|kind| table.counts(conn).of(kind)), Kind::ALL.map(of));
                    }
                }
            }
        }
    }
}
