//! Replaying a log: a client without a socket, whose requests are the commands of a file.
//!
//! Its commands take the way of all others, so that whatever a command may be, it is replayed. What differs is in
//! [`Replay`]: lines that begin with `#` are passed over between commands, what is no command is damage and not answered,
//! replies are dropped, and nothing of it is counted or shown but what was refused.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use memchr::memchr;

use super::Failure;
use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::core::dispatch::Next;
use crate::core::state::CoreState;
use crate::net::client::{BAD_FORMAT, Client, Replay, Scope, Session, Waiting};
use crate::protocol::Error;
use crate::protocol::resp::Parser;
use crate::runtime::io::ConnId;

/// Bytes that are given to the client at once.
const PIECE_BYTES: usize = 64 << 10;
/// Refused commands that the log names.
const REFUSED_TOLD: u64 = 10;
/// The longest line between commands, as in Redis.
const NOTE_BYTES_MAX: usize = 1023;

/// A log that is being replayed.
pub(super) struct Log {
    path: Arc<Path>,
    conn: ConnId,
    /// Where in the file what has not been given to the client begins.
    offset: u64,
    /// How much of the chunk at hand it was given.
    fed: usize,
}

impl Log {
    /// Whether it was given all of a chunk; then the next one begins.
    pub(super) fn is_fed(&mut self, chunk: &[u8]) -> bool {
        let all = self.fed == chunk.len();
        if all {
            self.fed = 0;
        }
        all
    }
}

impl CoreState {
    /// Begins to replay a file from somewhere on.
    pub(super) fn begin_replay(&mut self, path: Arc<Path>, offset: u64, scope: Scope) -> Log {
        let conn = self.clients.next_id();
        let session = Session { authenticated: true, ..Session::default() };
        let mut client = Client::new(Client::REPLAY, conn, session, self.now_ms());
        client.replay = Some(Box::new(Replay { scope, damage: None }));
        self.clients.insert(client);
        Log { path, conn, offset, fed: 0 }
    }

    /// Whether the client has run all that it was given and is complete.
    pub(super) fn is_idle(&mut self, log: &Log) -> Result<bool, Failure> {
        self.drop_replies(log.conn);
        self.check(log)?;
        let Some(client) = self.clients.get(log.conn) else { return Ok(true) };
        let has_more = client.input.as_ref().is_some_and(|input| input.is_worth_a_try());
        Ok(client.is_ready() && client.row.gaps() == 0 && !has_more)
    }

    /// Whether in addition every command has had its effect, on all cores.
    pub(super) fn is_settled(&mut self, log: &Log) -> Result<bool, Failure> {
        let has_gaps = self.clients.get(log.conn).is_some_and(|client| client.row.gaps() > 0);
        Ok(self.is_idle(log)? && !has_gaps)
    }

    /// Gives the client the next bytes of a chunk. Returns how many.
    pub(super) fn feed(&mut self, log: &mut Log, chunk: &[u8]) -> Result<usize, Failure> {
        let piece = &chunk[log.fed..chunk.len().min(log.fed + PIECE_BYTES)];
        log.fed += piece.len();
        log.offset += piece.len() as u64;
        self.take_in(log.conn, piece);
        self.drop_replies(log.conn);
        self.check(log)?;
        Ok(piece.len())
    }

    /// Forgets what the client was answered.
    fn drop_replies(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        let replies = client.row.take_ready();
        self.recycle_buffer(replies);
    }

    /// Whether all that has run so far was a command.
    fn check(&mut self, log: &Log) -> Result<(), Failure> {
        let Some(client) = self.clients.get_mut(log.conn) else { return Ok(()) };
        let waiting = client.input.as_ref().map_or(0, |input| input.bytes().len()) as u64;
        let damage = client.replay.as_mut().and_then(|replay| replay.damage.take());
        // Nothing else ends it.
        let damage = damage.or_else(|| client.close_after_reply.then(|| BAD_FORMAT.to_owned()));
        let Some(damage) = damage else { return Ok(()) };
        Err(log.failure(log.offset - waiting, &damage))
    }

    /// Whether a client replays a log.
    pub(in crate::core) fn is_replay(&self, conn: ConnId) -> bool {
        self.replay_of(conn).is_some()
    }

    /// Takes note of a command on whole databases in the log of this core's shard, where it concerns that shard alone; false if the
    /// client does not replay that.
    #[cold]
    pub(in crate::core) fn note_own_part(&self, conn: ConnId) -> bool {
        let is_own = self.replay_of(conn).is_some_and(|replay| replay.scope == Scope::OwnShard);
        if is_own {
            self.shared.append_only.note_whole_write();
        }
        is_own
    }

    /// Refuses a command that writes to whole databases, in the log of a shard that there is none like.
    #[cold]
    pub(in crate::core) fn refuses_in_log(&mut self, conn: ConnId, command: &Command) -> bool {
        let is_former = |replay: &Replay| replay.scope == Scope::FormerShard;
        self.replay_of(conn).is_some_and(is_former)
            && command.flags.contains(Flags::WRITE)
            && self.note_damage(conn, || {
                format!(
                    "'{}' in the log of a server with another number of shards can't be replayed. Start once with that number \
                     of shards, wait for the rewrite of the append only file, and stop it",
                    command.full_name
                )
            })
    }

    fn replay_of(&self, conn: ConnId) -> Option<&Replay> {
        self.clients.get(conn)?.replay.as_deref()
    }

    /// Takes note of what is no command in a log; false if the client replays none.
    #[cold]
    fn note_damage(&mut self, conn: ConnId, damage: impl FnOnce() -> String) -> bool {
        let Some(client) = self.clients.get_mut(conn) else { return false };
        let Some(replay) = &mut client.replay else { return false };
        replay.damage = Some(damage());
        client.close_after_reply = true;
        true
    }

    /// Takes note of a command that this server does not know, or not with so many arguments; false if this is no log.
    #[cold]
    pub(in crate::core) fn note_unknown(&mut self, conn: ConnId, name: &[u8]) -> bool {
        self.note_damage(conn, || {
            format!("Unknown command '{}' reading the append only file", String::from_utf8_lossy(name))
        })
    }

    /// Takes note of a command that was refused: what it once did is not there.
    #[cold]
    pub(in crate::core) fn note_refused_in_log(&self, command: &Command, error: &Error) {
        let Some(load) = self.shared.load() else { return };
        if load.commands_refused.fetch_add(1, Ordering::Relaxed) < REFUSED_TOLD {
            let name = command.full_name;
            self.shared
                .log
                .warning(format_args!("'{name}' reading the append only file was refused: {error}"));
        }
    }

    /// Takes note of bytes that are no command; false if this is no log.
    #[cold]
    pub(in crate::core) fn note_bad_format(&mut self, conn: ConnId) -> bool {
        self.note_damage(conn, || BAD_FORMAT.to_owned())
    }

    /// Passes over a line between the commands of a log that is none, and refuses whatever else begins there but a command.
    pub(in crate::core) fn pass_over(
        &mut self,
        conn: ConnId,
        frame: &[u8],
        parser: &Parser,
    ) -> Option<Result<(Next, usize), usize>> {
        if !parser.is_at_start() || frame[0] == b'*' || !self.is_replay(conn) {
            return None;
        }
        let damaged = frame[0] != b'#';
        Some(match memchr(b'\n', &frame[..frame.len().min(NOTE_BYTES_MAX)]) {
            Some(end) if !damaged => Ok((Next::Taken, end + 1)),
            None if !damaged && frame.len() < NOTE_BYTES_MAX => Err(frame.len() + 1),
            _ => {
                self.note_bad_format(conn);
                Ok((Next::Again, 0))
            }
        })
    }

    /// The file has come to its end.
    pub(super) fn end_replay(&mut self, log: Log) -> Result<(), Failure> {
        let Some(client) = self.clients.remove(log.conn) else { return Ok(()) };
        self.clients.free(log.conn);
        let rest = client.input.as_ref().map_or(0, |input| input.bytes().len()) as u64;
        debug_assert!(client.waiting == Waiting::No && client.row.gaps() == 0);
        if rest > 0 || client.session.multi.is_some() {
            return Err(log.failure(
                log.offset - rest,
                "Unexpected end of file reading the append only file. You can: 1) Make a backup of your AOF file, then use \
                 ./redis-check-aof --fix <filename>. 2) Alternatively you can set the 'aof-load-truncated' configuration \
                 option to yes and restart the server.",
            ));
        }
        Ok(())
    }
}

impl Log {
    fn failure(&self, offset: u64, damage: &str) -> Failure {
        Failure(vec![format!("{damage} ({} at offset {offset})", self.path.display())])
    }
}
