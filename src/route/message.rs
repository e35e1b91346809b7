//! The closed set of messages between cores. All traffic between cores can be read here.
//!
//! Messages of one turn to the same core travel as one [`Batch`]. Arguments and replies of ordinary commands lie
//! packed in the batch's byte arena, so that a command that crosses cores allocates nothing.
//!
//! Six conversations exist:
//! 1. `Run` -> `Reply`: one command whose keys all belong to the receiver.
//! 2. `Acquire` -> `Granted` | `Refused`, `Perform` or `Cut` -> `Performed`, `Release`: one participant's part of a transaction over
//!    several shards (see [`crate::txn`]); `Safe`, and `Stable` -> `Settled`, `Wanted` -> `Hasten`: how far it is
//!    logged (see `core::journal`).
//! 3. `Run` -> `Blocked`, `Offer` -> `Release`, `Withdraw`: a client that waits for keys (see `core::blocking`).
//! 4. `Ask` -> `Answer`: a question to a core about its connections or counters, or an order to it.
//! 5. `Publish`: a message for the subscribers of a core (see [`crate::pubsub`]).
//! 6. `Invalidate`, `Modified`, `Flushed`: what clients have cached is out of date; `Redirect` -> `Broken`: one client is
//!    told for another; `Forget` (see [`crate::tracking`]).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::aof::frame;
use crate::command::lookup::CommandId;
use crate::observe::stats::Stats;
use crate::protocol::Error;
use crate::protocol::resp::Resp;
use crate::pubsub::Change;
use crate::runtime::io::{ConnId, CoreId, Socket};
use crate::shard::item::{Item, Kind};
use crate::shard::{DbKey, Effects, KeyDigest, Wing};
use crate::tracking::PrefixChange;

/// Arguments as slices, on the stack for usual commands.
pub type Args<'a> = SmallVec<[&'a [u8]; 8]>;

/// What travels through a mailbox.
#[derive(Debug, Default)]
pub struct Batch {
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// What the ranges in the messages refer to.
    pub bytes: Vec<u8>,
}

impl Batch {
    /// Empties the batch and keeps its memory, if that is moderate.
    pub fn recycle(mut self) -> Batch {
        self.messages.clear();
        self.bytes.clear();
        if self.bytes.capacity() > 1 << 20 {
            self.bytes = Vec::new();
        }
        self
    }

    /// Copies arguments into the arena.
    pub fn pack_args(&mut self, args: &[&[u8]]) -> PackedArgs {
        let start = self.bytes.len();
        for arg in args {
            self.bytes.extend_from_slice(&(arg.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(arg);
        }
        PackedArgs { start, argc: args.len() as u32 }
    }

    /// The arguments packed by [`Batch::pack_args`].
    pub fn args(&self, packed: PackedArgs) -> Args<'_> {
        let mut rest = &self.bytes[packed.start..];
        (0..packed.argc)
            .map(|_| {
                let (len, after) = rest.split_first_chunk::<4>().expect("packed by pack_args");
                let (arg, after) = after.split_at(u32::from_le_bytes(*len) as usize);
                rest = after;
                arg
            })
            .collect()
    }
}

/// Arguments in a batch's arena, each shorter than 4 GiB.
#[derive(Debug, Clone, Copy)]
pub struct PackedArgs {
    start: usize,
    argc: u32,
}

/// Arguments that live on their own.
#[derive(Debug, Clone, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl OwnedArgs {
    /// A copy of `args`.
    pub fn new(args: &[&[u8]]) -> OwnedArgs {
        let mut owned = OwnedArgs {
            bytes: Vec::with_capacity(args.iter().map(|arg| arg.len()).sum()),
            ends: Vec::with_capacity(args.len()),
        };
        for arg in args {
            owned.bytes.extend_from_slice(arg);
            owned.ends.push(owned.bytes.len());
        }
        owned
    }

    /// As slices.
    pub fn slices(&self) -> Args<'_> {
        let mut start = 0;
        self.ends
            .iter()
            .map(|&end| {
                let arg = &self.bytes[start..end];
                start = end;
                arg
            })
            .collect()
    }
}

/// Everything but the arguments that the execution of a command depends on.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The command.
    pub command: CommandId,
    /// The selected database.
    pub db: u16,
    /// Protocol version of the reply.
    pub resp: Resp,
    /// `CLIENT NO-TOUCH` is on: reads leave LRU and LFU data alone.
    pub no_touch: bool,
    /// The client caches what this reads (`CLIENT TRACKING`): its keys are remembered where it runs.
    pub track: bool,
    /// Whether the reply waits until what it tells is safe, if the client does not leave that to the server.
    pub durable: Option<bool>,
}

/// The client and the place in its row of replies that a reply is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyTo {
    /// Its connection, on the core that asked.
    pub conn: ConnId,
    /// Its id: the connection's place may be taken by another client meanwhile.
    pub client: u64,
    /// Number of the reply within the client's row.
    pub sequence: u64,
}

/// A transaction over several shards, numbered by its coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TxnId {
    /// The core that coordinates it.
    pub coordinator: CoreId,
    /// Unique per coordinator.
    pub number: u64,
}

/// A shard's part of a transaction that is on stable storage.
#[derive(Debug)]
pub struct StablePart {
    /// The transaction.
    pub txn: TxnId,
    /// The shards that have a part.
    pub participants: Box<[u16]>,
    /// It is the first of its log.
    pub first: bool,
}

/// The part of a shard that a ticket covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// These keys, by hash, in every database.
    Keys(SmallVec<[u64; 4]>),
    /// Everything.
    Shard,
}

/// Entries on loan to a coordinator: the database and the entry, key included.
pub type Loan = Vec<(u16, Item)>;

/// What a participant hands over to the coordinator of a transaction.
#[derive(Debug, Clone)]
pub enum Lend {
    /// Nothing.
    Nothing,
    /// The entries of these keys, in all databases.
    Keys(OwnedArgs),
    /// All databases.
    All,
}

/// What a transaction wants of one participant.
#[derive(Debug, Clone)]
pub struct Acquire {
    /// The transaction.
    pub txn: TxnId,
    /// What is to be reserved.
    pub access: Access,
    /// Whether others may read it meanwhile.
    pub shared: bool,
    /// What is to be lent to the coordinator.
    pub lend: Lend,
    /// A client of the coordinator whose watched keys must not have changed.
    pub watcher: Option<u64>,
    /// What is lent is handed over when it is safe.
    pub durable: bool,
}

/// A client's wait for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaitId {
    /// The core of the client.
    pub core: CoreId,
    /// The reply that it waits for.
    pub to: ReplyTo,
}

/// A command that has found nothing, and runs again when a key is ready.
#[derive(Debug)]
pub struct Blocked {
    /// The command.
    pub call: Call,
    /// The arguments to run it with.
    pub args: OwnedArgs,
    /// When the wait ends by itself, Unix milliseconds.
    pub until_ms: Option<i64>,
}

/// What a client waits for on one shard.
#[derive(Debug)]
pub struct Place {
    /// The database.
    pub db: u16,
    /// The kind of value that a key must get.
    pub kind: Kind,
    /// Whether any change of a key ends the wait, its removal included.
    pub even_if_gone: bool,
    /// The keys.
    pub keys: Vec<Box<[u8]>>,
    /// The keys that the command needs, if they are all on this shard.
    pub whole: Option<Vec<Box<[u8]>>>,
}

/// What becomes of a client's places in the lines of a shard.
#[derive(Debug)]
pub enum Standing {
    /// It has found nothing for the first time, and joins.
    Joins(Place),
    /// It has found nothing again.
    Stays,
    /// It has been served.
    Leaves,
}

/// What commands have done to keys of another shard, whose entries they have borrowed.
#[derive(Debug, Default)]
pub struct Traces {
    /// Keys that were modified.
    pub changed: Vec<DbKey>,
    /// The client that has modified them, 0 if their time was over.
    pub by: u64,
    /// Keys that were read, and not modified after that, if the client wants to be told when they are.
    pub read: Vec<Box<[u8]>>,
    /// Databases were emptied.
    pub flushed: bool,
}

/// What one shard has to log of a command or transaction that ran elsewhere.
#[derive(Debug, Default)]
pub struct LogPart {
    /// What was done to its keys.
    pub effects: Effects,
    /// The transaction, if other shards have a part, too.
    pub txn: Option<frame::Txn>,
    /// The number under which the coordinator waits until it is safe.
    pub awaited: Option<u64>,
}

/// The parts of a transaction by shard.
pub type LogParts = BTreeMap<CoreId, LogPart>;

/// What a participant is to perform.
#[derive(Debug)]
pub struct Performance {
    /// The arguments of its part.
    pub args: OwnedArgs,
    /// All participants.
    pub participants: Vec<u16>,
}

/// What a shard has to know of a command that ran on its entries elsewhere.
#[derive(Debug)]
pub struct Aftermath {
    /// The client whose command that is, on the core of the sender.
    pub of: ReplyTo,
    /// What it has done.
    pub traces: Traces,
    /// What is to be logged.
    pub part: Option<LogPart>,
    /// What the client does now, if the command is one that may wait.
    pub wait: Option<Standing>,
}

/// Keys reserved for a client that waits for one of them.
#[derive(Debug)]
pub struct Grant {
    /// Names the reservation.
    pub txn: TxnId,
    /// The entries of the keys.
    pub loan: Loan,
}

/// What one core says to another. What is rare and large is boxed, so that the frequent ones stay small.
#[derive(Debug)]
pub enum Message {
    /// Serve this connection.
    Adopt(Box<Socket>),

    /// Run a command whose keys are all yours.
    Run {
        /// Where the reply goes.
        to: ReplyTo,
        /// The command.
        call: Call,
        /// Its arguments.
        args: PackedArgs,
        /// If the command has exactly one key: its numbers.
        key: Option<KeyDigest>,
    },
    /// The reply of a `Run`, encoded.
    Reply {
        /// Where it goes.
        to: ReplyTo,
        /// The bytes, in the batch's arena.
        bytes: Range<usize>,
    },

    /// Reserve a part of your shard for a transaction.
    Acquire {
        /// What is wanted.
        acquire: Box<Acquire>,
        /// Queue up behind conflicting transactions instead of refusing.
        wait: bool,
    },
    /// The part is reserved.
    Granted {
        /// The transaction.
        txn: TxnId,
        /// The entries that were asked for.
        loan: Loan,
        /// The databases, if all were asked for.
        wing: Option<Box<Wing>>,
        /// Whether no key that the watcher watches has changed.
        unchanged: bool,
    },
    /// Somebody else has reserved a part of it.
    Refused {
        /// The transaction.
        txn: TxnId,
    },
    /// Run this on what is reserved, and let go of it.
    Perform {
        /// The transaction.
        txn: TxnId,
        /// The client of the coordinator whose command it is.
        of: ReplyTo,
        /// The command.
        call: Call,
        /// With which arguments, and who else does so.
        performance: Box<Performance>,
    },
    /// Begin your part of the snapshot under way, on all that is reserved; `Performed` follows.
    Cut {
        /// The transaction.
        txn: TxnId,
    },
    /// What `Perform` replied.
    Performed {
        /// The transaction.
        txn: TxnId,
        /// The encoded reply.
        reply: Vec<u8>,
        /// Keys in the database afterwards.
        keys: u64,
    },
    /// A part of a transaction that you have coordinated can be lost no more.
    Safe {
        /// The number that the part bore.
        number: u64,
    },
    /// My part of a transaction is on stable storage.
    Stable(Box<StablePart>),
    /// Somebody waits for a transaction of which I have said that my part is stable.
    Wanted {
        /// The transaction.
        txn: TxnId,
    },
    /// Somebody waits for a transaction of which you have a part, or will have one.
    Hasten {
        /// The transaction.
        txn: TxnId,
    },
    /// A transaction of which you have a part can be lost no more.
    Settled {
        /// The transaction.
        txn: TxnId,
    },
    /// A client of mine watches no key any more.
    Unwatch {
        /// Its id.
        client: u64,
    },
    /// Take these entries (back) and let go of what is reserved.
    Release {
        /// The transaction.
        txn: TxnId,
        /// The entries.
        loan: Loan,
        /// The databases, if they were lent.
        wing: Option<Box<Wing>>,
        /// What else follows from it.
        after: Option<Box<Aftermath>>,
    },

    /// A command of your client has found nothing, and has joined the lines of its keys here.
    Blocked {
        /// The reply that the client waits for.
        to: ReplyTo,
        /// The command.
        blocked: Box<Blocked>,
    },
    /// A key that your client waits for is ready: try again.
    Offer {
        /// The reply that the client waits for.
        to: ReplyTo,
        /// All keys that the command needs, if this shard has them and they were free.
        grant: Option<Box<Grant>>,
    },
    /// This client of mine waits no more.
    Withdraw {
        /// The reply that it waited for.
        to: ReplyTo,
    },

    /// A question or an order to a core.
    Ask {
        /// Number chosen by the asking core.
        number: u64,
        /// The question.
        query: Box<Query>,
    },
    /// The answer.
    Answer {
        /// Number of the question.
        number: u64,
        /// What was answered.
        answer: Answer,
    },
    /// A command of your client was slow here.
    Slow {
        /// The client.
        to: ReplyTo,
        /// When, Unix seconds.
        at_s: i64,
        /// How long, in microseconds.
        duration_us: u64,
        /// The command's arguments, secrets removed.
        args: Box<OwnedArgs>,
    },
    /// A message for your subscribers.
    Publish {
        /// Whether the channel is a shard channel.
        shard: bool,
        /// The channel and the message.
        args: PackedArgs,
    },
    /// A key that your client has read was modified, or is remembered no more.
    Invalidate {
        /// Its connection.
        conn: ConnId,
        /// Its id.
        client: u64,
        /// It has done so itself.
        own: bool,
        /// The key.
        key: PackedArgs,
    },
    /// A key was modified that begins with a prefix of your clients.
    Modified {
        /// The client that has done it, 0 for none.
        by: u64,
        /// The key.
        key: PackedArgs,
    },
    /// A database of mine was emptied.
    Flushed,
    /// What is meant for a client of mine goes to one of yours.
    Redirect {
        /// The connection and the id of yours.
        to: (ConnId, u64),
        /// Those of mine.
        of: (ConnId, u64),
        /// The keys, none for all that there are.
        keys: PackedArgs,
    },
    /// The client that a `Redirect` was for is gone.
    Broken {
        /// The connection and the id of yours that it was of.
        of: (ConnId, u64),
    },
    /// This client of mine, who has cached keys, is gone.
    Forget {
        /// Its id.
        client: u64,
    },
    /// A line for this core's `MONITOR` clients.
    Monitor {
        /// The line without its leading `+`.
        line: Vec<u8>,
    },
    /// I have nothing under way any more that began before the data set is loaded again.
    Quiet,
}

const _: () = assert!(size_of::<Message>() <= 72);

/// Classes of clients, as `TYPE` of `CLIENT LIST` and `CLIENT KILL` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientClass {
    /// All others.
    Normal,
    /// Clients that listen to channels.
    PubSub,
    /// Links of replication: there are none.
    Replication,
}

/// A script that has been running for a while.
#[derive(Debug, Clone)]
pub struct RunningScript {
    /// The SHA-1 of a script, the name of a function.
    pub name: Vec<u8>,
    /// Whether it is a function.
    pub is_function: bool,
    /// When it began, Unix microseconds.
    pub started_us: i64,
    /// The command that runs it.
    pub args: OwnedArgs,
}

/// What came of `SCRIPT KILL` or `FUNCTION KILL` on a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Killed {
    /// No script runs there.
    Nothing,
    /// One of the other kind runs.
    OfOtherKind,
    /// It has written already.
    HasWritten,
    /// It ends.
    Yes,
}

/// Which clients `CLIENT LIST` and `CLIENT KILL` mean. Empty matches all.
#[derive(Debug, Clone, Default)]
pub struct ClientFilter {
    /// Any of these ids, if not empty.
    pub ids: Vec<u64>,
    /// Peer address.
    pub address: Option<Vec<u8>>,
    /// Own address.
    pub local_address: Option<Vec<u8>>,
    /// Only clients of this class.
    pub class: Option<ClientClass>,
    /// At least this old, in seconds.
    pub min_age_s: Option<i64>,
    /// Not this client.
    pub except: Option<u64>,
}

/// A question or an order to one core.
#[derive(Debug, Clone)]
pub enum Query {
    /// Lines of `CLIENT LIST`.
    ListClients(ClientFilter),
    /// Disconnect clients.
    KillClients {
        /// Which.
        filter: ClientFilter,
        /// The client that asks: if it is among them, it still gets the reply.
        caller: u64,
    },
    /// End the wait of a client for keys.
    Unblock {
        /// The client's id.
        client: u64,
        /// Answer it with an error instead of as if its time was over.
        error: bool,
    },
    /// Hold back commands until a Unix time in milliseconds.
    Pause {
        /// When to go on by oneself.
        until_ms: i64,
        /// Only commands that write.
        writes_only: bool,
    },
    /// Go on.
    Unpause,
    /// Counters and keyspace figures.
    Stats,
    /// End scripts, or functions, that have not written.
    KillScripts {
        /// Functions.
        functions: bool,
    },
    /// Which script runs for long.
    RunningScript,
    /// Set counters back (`CONFIG RESETSTAT`).
    ResetStats,
    /// Take over the present configuration.
    ApplyConfig,
    /// Give unused memory back to the system.
    Purge,
    /// This core's part of a `DEBUG` command.
    Debug {
        /// The client's database.
        db: u16,
        /// The command's arguments.
        args: OwnedArgs,
    },
    /// A client of the asking core watches these keys, as far as they are yours.
    Watch {
        /// The client's id.
        client: u64,
        /// Its database.
        db: u16,
        /// The keys.
        keys: OwnedArgs,
    },
    /// Load what was made known to all cores; answered when all have loaded it.
    Load,
    /// Clients of the asking core have begun or ended subscriptions.
    Subscriptions(Arc<Vec<Change>>),
    /// Clients of the asking core begin to be told of keys, or end it.
    Track {
        /// The prefixes that it has clients for.
        prefixes: Arc<Vec<PrefixChange>>,
        /// A client that is asked for.
        redirect: Option<u64>,
    },
    /// So many clients of the asking core monitor commands now.
    Monitors(usize),
    /// The function libraries have changed: core 0 logs that.
    LogLibraries {
        /// Answer when it is on stable storage.
        durable: bool,
    },
    /// Whether all that was logged so far is on stable storage.
    Logged {
        /// Answer when it is, and see to it.
        wait: bool,
    },
}

/// What a core answers to a [`Query`].
#[derive(Debug)]
pub enum Answer {
    /// Done, nothing to tell.
    Done,
    /// So many.
    Count(usize),
    /// The connection of a client, if it is one of this core's.
    Found(Option<ConnId>),
    /// Lines of text, each with the client id that they are sorted by.
    Lines(Vec<(u64, String)>),
    /// What came of ending scripts.
    Killed(Killed),
    /// A script that runs for long.
    Running(Option<Box<RunningScript>>),
    /// Counters.
    Stats(Box<Stats>),
    /// Whether something is on stable storage.
    Safe(bool),
    /// What a `DEBUG` command has found; its form depends on the subcommand.
    Debug(Result<Vec<u8>, Error>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_owned_arguments_come_back() {
        let args: [&[u8]; 3] = [b"SET", b"", b"a\0b"];
        let mut batch = Batch::default();
        batch.pack_args(&[b"other"]);
        let packed = batch.pack_args(&args);
        assert_eq!(batch.args(packed).as_slice(), &args);
        assert_eq!(OwnedArgs::new(&args).slices().as_slice(), &args);
    }
}
