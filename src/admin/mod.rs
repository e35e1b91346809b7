//! Handlers of commands about connections and the server: they see the session and the state of their core, and ask
//! other cores by [`Query`].

pub mod client;
pub mod clients;
mod command;
mod config;
pub mod connection;
mod debug;
mod info;
mod latency;
mod memory;
pub mod monitor;
pub mod pause;
pub mod pubsub;
pub mod query;
pub mod redact;
mod scripting;
pub mod scripts;
mod server;
mod slowlog;
mod snapshots;
pub mod tracking;
pub mod transactions;
mod wait;

pub use command::{
    command, command_count, command_docs, command_getkeys, command_getkeysandflags, command_info,
    command_list, help,
};
pub use config::{config_get, config_resetstat, config_rewrite, config_set};
pub use debug::{debug, load_snapshot};
pub use info::info;
pub use latency::{
    latency_doctor, latency_graph, latency_histogram, latency_history, latency_latest, latency_reset,
};
pub use memory::{memory_doctor, memory_malloc_stats, memory_purge, memory_stats};
pub use scripting::{
    function_delete, function_dump, function_flush, function_list, function_load, function_restore,
    script_exists, script_flush, script_load,
};
pub use server::{lolwut, shutdown, time};
pub use slowlog::{slowlog_get, slowlog_len, slowlog_reset};
pub use snapshots::{bgrewriteaof, bgsave, lastsave, save};
pub use wait::{wait, waitaof};

use crate::command::lookup::Command;
use crate::core::state::CoreState;
use crate::net::client::Client;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::{Answer, Query};
use crate::runtime::io::ConnId;
use crate::shared::load::LoadMode;

/// What a session handler works on.
pub struct Cx<'a> {
    /// The core.
    pub core: &'a mut CoreState,
    /// The connection that called. Its client exists while the handler runs.
    pub conn: ConnId,
    /// The command.
    pub command: &'static Command,
    /// The arguments; the first is the command's name.
    pub args: &'a [&'a [u8]],
    /// The answer.
    pub reply: Reply<'a>,
    /// Whether the command is one of a program, whose client and keys wait for nothing but its answers.
    pub in_program: bool,
}

impl Cx<'_> {
    /// The client that called.
    pub fn client(&mut self) -> &mut Client {
        self.core.clients.get_mut(self.conn).expect("the client exists while its command runs")
    }
}

/// Writes a reply, or what is missing of it, from what the cores have answered, in their order.
pub type Then = fn(&mut Cx<'_>, Vec<Answer>) -> Result<(), Error>;

/// How a session handler goes on.
pub enum Flow {
    /// The reply is written.
    Done,
    /// All cores, this one included, are to be asked; the function writes the reply, or what is missing of it, from their
    /// answers, which come in the order of the cores.
    Ask(Query, Then),
    /// As [`Flow::Ask`], but the answers may take long, and the client waits for them as others do for keys.
    Await(Await),
    /// A snapshot is to be taken, and the reply comes with it.
    Snapshot(SnapshotCommand),
}

/// What a client waits for.
#[derive(Debug, Clone)]
pub struct Await {
    /// What all cores are asked, if anything.
    pub query: Option<Query>,
    /// When it goes on with the answers that are there, Unix milliseconds.
    pub until_ms: Option<i64>,
    /// It goes on only then, whatever the answers.
    pub in_vain: bool,
    /// Writes the reply.
    pub then: Then,
}

/// A command that has a snapshot taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotCommand {
    /// `BGSAVE`: the reply comes when it has begun.
    Bgsave,
    /// `SAVE`: the reply comes when it is complete.
    Save,
    /// `DEBUG RELOAD`: it is loaded when it is complete.
    Reload(LoadMode),
    /// `SHUTDOWN`: the server stops when it is complete.
    Shutdown {
        /// It stops also if the snapshot fails.
        force: bool,
    },
}

/// A session handler. On an error whatever it has written is dropped and the error is sent in its place.
pub type Handler = fn(&mut Cx<'_>) -> Result<Flow, Error>;
