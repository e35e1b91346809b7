//! Corelane: a Redis-compatible in-memory server. One pinned thread per core, one `io_uring` per
//! thread, one shard of the keyspace per core.
//!
//! The modules stand in the order in which a command meets them:
//! socket -> bytes -> request -> plan (which shards) -> execute on the owner -> reply.

#![deny(unsafe_code)]

pub mod server;
pub mod shared;
pub mod snapshots;
pub mod storage;

pub mod core;

pub mod admin;
pub mod aof;
pub mod command;
pub mod command_table;
pub mod config;
pub mod net;
pub mod observe;
pub mod protocol;
pub mod pubsub;
pub mod route;
pub mod tracking;
pub mod txn;

pub mod execute;
pub mod rdb;
pub mod script;
pub mod shard;
pub mod types;

pub mod base;
pub mod runtime;
