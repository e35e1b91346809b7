//! Commands over several shards, strictly serializable.
//!
//! A transaction is run by two-phase locking. Its *coordinator* is the core of the client's connection; every core
//! that owns one of its keys is a *participant* and keeps its reservations in [`locks::Locks`].
//!
//! The coordinator first *tries*: it asks all participants at once, and none of them waits; whoever has a
//! conflicting reservation refuses. If anyone refused, everything is let go and asked for *in order*: one
//! participant after the other, from the lowest shard to the highest, each time waiting its turn in line.
//!
//! Why this cannot deadlock: a transaction that tries never waits, and one that waits holds reservations on lower
//! shards than the one it waits at, only; so a cycle of waits would have to descend somewhere. Why nobody
//! starves: lines are first come, first served, and everyone who is served lets go.
//! Why it is strictly serializable: all reservations are held at one instant, between the first request and the reply.
//!
//! Commands of one shard take no lock. They look whether there are reservations at all (nearly always not) and
//! stand in line behind conflicting ones.
//!
//! Granted work is done in one of two ways: independent keys ([`Spread::Split`], [`Spread::Shards`]) are
//! worked on by every participant with its own keys; commands that combine values borrow the entries, run on the
//! coordinator's workbench, and give them back. What may use any key borrows the databases of all shards, and runs on the
//! coordinator's shard, which holds the whole keyspace then.
//!
//! [`Spread::Split`]: crate::command::spec::Spread::Split
//! [`Spread::Shards`]: crate::command::spec::Spread::Shards

pub mod coordinator;
pub mod locks;
pub mod merge;
pub mod watches;
