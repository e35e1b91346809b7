//! Command handlers: arguments and one shard in, a reply out. A handler never sees a socket, a session or another
//! shard; if its keys are on several shards, it gets a shard that holds just the borrowed entries.

mod arguments;
pub mod bitmaps;
pub mod digest;
pub mod dump;
mod effects;
#[cfg(test)]
mod effects_tests;
#[cfg(test)]
mod events_tests;
pub mod geo;
pub mod hashes;
pub mod hyperloglog;
pub mod keys;
pub mod lists;
pub mod scan_options;
pub mod sets;
pub mod sort;
pub mod sorted_sets;
pub mod streams;
pub mod strings;

use smallvec::SmallVec;

use crate::base::event_classes::EventClasses as Class;
use crate::base::number::parse_f64;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::{Item, Key, Kind, Shard, WrongType};

/// What a handler works on.
pub struct Exec<'a> {
    /// The arguments; the first is the command's name.
    pub args: &'a [&'a [u8]],
    /// The keys.
    pub shard: &'a mut Shard,
    /// Index of the selected database.
    pub db: usize,
    /// The answer.
    pub reply: Reply<'a>,
    /// Changes to the data set made by this command, for `rdb_changes_since_last_save`.
    pub changes: u64,
    /// What the command has done is written as other effects than its own arguments, or as none.
    pub has_own_effects: bool,
    /// A script has called it.
    pub by_script: bool,
    /// Set by a blocking command that has found nothing, and has written no reply.
    pub wait: Option<Wait>,
    /// The key that routing has hashed already, and its place among the arguments.
    routed: Option<(usize, Key<'a>)>,
}

/// What a blocking command that has found nothing waits for.
#[derive(Debug, Clone)]
pub struct Wait {
    /// The places of its keys among the arguments, in ascending order.
    pub keys: SmallVec<[usize; 4]>,
    /// The kind of value that one of them has to get.
    pub kind: Kind,
    /// How long, in milliseconds; `None` for ever.
    pub timeout_ms: Option<i64>,
    /// The answer where nobody can wait, as in a transaction. When the time is over it is a null array for all commands.
    pub null: Null,
    /// What is run when a key is ready, if not the command as it was sent (`XREAD` with `$`).
    pub args: Option<Vec<Vec<u8>>>,
}

/// Kinds of nothing in RESP2; RESP3 has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Null {
    /// A null array.
    Array,
    /// A null bulk string.
    Bulk,
}

impl From<WrongType> for Error {
    fn from(_: WrongType) -> Error {
        Error::WrongType
    }
}

/// The timeout of a blocking command in milliseconds, which is given in seconds; `None` (written 0) for ever.
///
/// # Errors
/// With Redis's texts, if it is no number, negative or too large.
pub fn block_timeout(arg: &[u8]) -> Result<Option<i64>, Error> {
    let seconds = parse_f64(arg).filter(|seconds| !seconds.is_nan());
    let Some(seconds) = seconds else {
        return Err(Error::text("ERR timeout is not a float or out of range"));
    };
    let ms = seconds * 1000.0;
    if ms > i64::MAX as f64 {
        return Err(Error::text("ERR timeout is out of range"));
    }
    if ms < 0.0 {
        return Err(Error::text("ERR timeout is negative"));
    }
    Ok((ms > 0.0).then(|| ms.ceil() as i64))
}

/// A handler. On an error whatever it has written to the reply is dropped and the error is sent in its place.
pub type Handler = fn(&mut Exec<'_>) -> Result<(), Error>;

impl<'a> Exec<'a> {
    /// The context of one command.
    #[inline]
    pub fn new(
        args: &'a [&'a [u8]],
        shard: &'a mut Shard,
        db: usize,
        reply: Reply<'a>,
        routed: Option<(usize, Key<'a>)>,
    ) -> Exec<'a> {
        Exec {
            args,
            shard,
            db,
            reply,
            changes: 0,
            has_own_effects: false,
            by_script: false,
            wait: None,
            routed,
        }
    }

    /// The key at argument `index`, with slot and hash.
    #[inline]
    pub fn key(&self, index: usize) -> Key<'a> {
        match self.routed {
            Some((at, key)) if at == index => key,
            _ => self.shard.key(self.args[index]),
        }
    }

    /// Notes that a key was modified; see [`crate::shard::modified`].
    #[inline]
    pub fn modified(&mut self, key: &Key<'_>) {
        self.shard.modified.note(self.db, key.bytes);
    }

    /// Says what has happened to a key; see [`crate::shard::events`].
    #[inline]
    pub fn event(&mut self, class: Class, name: &'static str, key: &Key<'_>) {
        self.shard.events.note(class, name, self.db, key.bytes);
    }

    /// Both, as they go together nearly always.
    #[inline]
    pub fn wrote(&mut self, class: Class, name: &'static str, key: &Key<'_>) {
        if self.shard.is_observed() {
            self.modified(key);
            self.event(class, name, key);
        }
    }

    /// Elements were taken out of a collection: says so, and removes the key if none is left.
    #[inline]
    pub fn took(&mut self, class: Class, name: &'static str, key: &Key<'_>, none_left: bool) {
        self.wrote(class, name, key);
        if none_left {
            self.shard.delete(self.db, key);
            self.event(Class::GENERIC, "del", key);
        }
    }

    /// A key was removed by a command.
    #[inline]
    pub fn removed(&mut self, key: &Key<'_>) {
        self.wrote(Class::GENERIC, "del", key);
    }

    /// Puts what a command with a destination has made, if it is anything, in the place of whatever that has. `name` is what
    /// has happened then. Returns whether this changed anything.
    fn store(&mut self, class: Class, name: &'static str, key: &Key<'_>, made: Option<Item>) -> bool {
        if let Some(item) = made {
            self.shard.insert(self.db, key, item);
            self.wrote(class, name, key);
            self.value_effect(self.db, key);
            return true;
        }
        // As in Redis, whether the time of the key was over does not matter.
        let old = self.shard.take(self.db, key);
        let changed = old.is_some();
        if let Some(item) = old {
            self.shard.discard(item);
            self.removed(key);
            self.deletion_effect(key);
        }
        changed
    }

    /// Runs a handler; an error replaces what it has written. Returns whether it succeeded. Without an error and a reply
    /// it has left [`Exec::wait`].
    #[inline]
    pub fn run(&mut self, handler: Handler) -> Result<(), Error> {
        let start = self.reply.position();
        let result = handler(self);
        if let Err(error) = &result {
            self.reply.rewind(start);
            self.reply.error(error);
        }
        if self.changes > 0 && self.shard.effects.is_on() && !self.has_own_effects {
            self.arguments_effect(&self.key(1));
        }
        result
    }

    /// Runs a handler where nobody can wait, as in a transaction: a blocking command that finds nothing says so at once.
    pub fn run_at_once(&mut self, handler: Handler) -> Result<(), Error> {
        let result = self.run(handler);
        match self.wait.take().map(|wait| wait.null) {
            Some(Null::Array) => self.reply.null_array(),
            Some(Null::Bulk) => self.reply.null(),
            None => {}
        }
        result
    }
}
