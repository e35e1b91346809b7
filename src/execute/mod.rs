//! Command handlers: arguments and one shard in, a reply out. A handler never sees a socket, a session or another
//! shard; if its keys are on several shards, it gets a shard that holds just the borrowed entries.

pub mod bitmaps;
pub mod keys;
pub mod strings;

use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::{Key, Shard};

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
    /// The key that routing has hashed already, and its place among the arguments.
    routed: Option<(usize, Key<'a>)>,
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
        Exec { args, shard, db, reply, changes: 0, routed }
    }

    /// The key at argument `index`, with slot and hash.
    #[inline]
    pub fn key(&self, index: usize) -> Key<'a> {
        match self.routed {
            Some((at, key)) if at == index => key,
            _ => self.shard.key(self.args[index]),
        }
    }

    /// Runs a handler; an error replaces what it has written. Returns whether it succeeded.
    #[inline]
    pub fn run(&mut self, handler: Handler) -> Result<(), Error> {
        let start = self.reply.position();
        let result = handler(self);
        if let Err(error) = &result {
            self.reply.rewind(start);
            self.reply.error(error);
        }
        result
    }
}
