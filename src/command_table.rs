//! THE table: every command with its declaration. `COMMAND`, lookup, arity errors, ACL categories, key
//! extraction and routing over shards are derived from it; nothing else names a command.
//!
//! The rows stand in one file per group, in alphabetical order; [`FAMILIES`] is the one list of the files.
//! Names are lower case and unique, and at most one level of subcommands exists.

mod bitmap;
mod connection;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod pubsub;
mod scripting;
mod server;
mod set;
mod sorted_set;
mod stream;
mod string;
mod transactions;

use crate::admin;
use crate::command::spec::Spec;
use crate::execute;

/// What runs a command.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// Nothing: it has subcommands that run.
    Subcommands,
    /// A handler on the shard that owns the keys.
    Keys(execute::Handler),
    /// A handler on the connection's core, with the session and the core's state.
    Session(admin::Handler),
    /// The core itself: it runs the commands that `MULTI` has queued.
    Exec,
    /// The core itself: it runs a script.
    Script(ScriptKind),
}

/// How a command names the script that it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptKind {
    /// By its text.
    Text,
    /// By its SHA-1.
    Sha,
    /// It is a function, named by its library.
    Function,
}

/// One row: a command, what runs it, and its subcommands.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The declaration.
    pub spec: Spec,
    /// What runs it.
    pub run: Run,
    /// Subcommands, empty for an ordinary command.
    pub subcommands: &'static [Entry],
    /// Syntax and summary of subcommands that the handler tells apart by itself: they appear in `HELP`, but
    /// are no commands to `COMMAND`, ACL and statistics (`DEBUG` in Redis).
    pub unlisted: &'static [(&'static str, &'static str)],
}

impl Entry {
    /// A row without subcommands.
    pub const fn new(spec: Spec) -> Entry {
        Entry { spec, run: Run::Subcommands, subcommands: &[], unlisted: &[] }
    }

    /// A handler on the shard that owns the keys runs it.
    pub const fn keys(mut self, handler: execute::Handler) -> Entry {
        self.run = Run::Keys(handler);
        self
    }

    /// A handler on the connection's core runs it.
    pub const fn session(mut self, handler: admin::Handler) -> Entry {
        self.run = Run::Session(handler);
        self
    }

    /// It runs the commands that `MULTI` has queued.
    pub const fn exec(mut self) -> Entry {
        self.run = Run::Exec;
        self
    }

    /// It runs a script.
    pub const fn script(mut self, kind: ScriptKind) -> Entry {
        self.run = Run::Script(kind);
        self
    }

    /// Makes it a container.
    pub const fn subcommands(mut self, subcommands: &'static [Entry]) -> Entry {
        self.subcommands = subcommands;
        self
    }

    /// Sets the subcommands that only `HELP` shows.
    pub const fn unlisted(mut self, unlisted: &'static [(&'static str, &'static str)]) -> Entry {
        self.unlisted = unlisted;
        self
    }
}

/// All commands.
pub static FAMILIES: &[&[Entry]] = &[
    string::ROWS,
    list::ROWS,
    bitmap::ROWS,
    hyperloglog::ROWS,
    set::ROWS,
    hash::ROWS,
    sorted_set::ROWS,
    geo::ROWS,
    stream::ROWS,
    transactions::ROWS,
    generic::ROWS,
    pubsub::ROWS,
    scripting::ROWS,
    connection::ROWS,
    server::ROWS,
];

/// All commands in the order of the table, without subcommands.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().copied().flatten()
}

/// The vocabulary of the rows.
mod words {
    pub(super) use super::Entry;
    pub(super) use crate::command::keys::{bitfield_key_flags, set_key_flags, sort_keys, sort_ro_keys};
    pub(super) use crate::command::spec::Merge::*;
    pub(super) use crate::command::spec::Spread::*;
    pub(super) use crate::command::spec::{Categories, Flags, Group, KeyFlags, KeySpec, Spec};

    pub(super) const WRITE: Flags = Flags::WRITE;
    pub(super) const READONLY: Flags = Flags::READONLY;
    pub(super) const DENYOOM: Flags = Flags::DENYOOM;
    pub(super) const ADMIN: Flags = Flags::ADMIN;
    pub(super) const PUBSUB: Flags = Flags::PUBSUB;
    pub(super) const NOSCRIPT: Flags = Flags::NOSCRIPT;
    pub(super) const LOADING: Flags = Flags::LOADING;
    pub(super) const STALE: Flags = Flags::STALE;
    pub(super) const BLOCKING: Flags = Flags::BLOCKING;
    pub(super) const FAST: Flags = Flags::FAST;
    pub(super) const NO_AUTH: Flags = Flags::NO_AUTH;
    pub(super) const ALLOW_BUSY: Flags = Flags::ALLOW_BUSY;
    pub(super) const NO_ASYNC_LOADING: Flags = Flags::NO_ASYNC_LOADING;
    pub(super) const NO_MULTI: Flags = Flags::NO_MULTI;
    pub(super) const MAY_REPLICATE: Flags = Flags::MAY_REPLICATE;
    pub(super) const PROTECTED: Flags = Flags::PROTECTED;
    pub(super) const TOUCHES_ARBITRARY_KEYS: Flags = Flags::TOUCHES_ARBITRARY_KEYS;
    pub(super) const SYSTEM: Flags = Flags::SYSTEM;
    pub(super) const SKIP_MONITOR: Flags = Flags::SKIP_MONITOR;
    pub(super) const NO_MANDATORY_KEYS: Flags = Flags::NO_MANDATORY_KEYS;
    pub(super) const UNQUEUED: Flags = Flags::UNQUEUED;
    pub(super) const SKIP_SLOWLOG: Flags = Flags::SKIP_SLOWLOG;

    pub(super) const RO: KeyFlags = KeyFlags::RO;
    pub(super) const RW: KeyFlags = KeyFlags::RW;
    pub(super) const OW: KeyFlags = KeyFlags::OW;
    pub(super) const RM: KeyFlags = KeyFlags::RM;
    pub(super) const ACCESS: KeyFlags = KeyFlags::ACCESS;
    pub(super) const UPDATE: KeyFlags = KeyFlags::UPDATE;
    pub(super) const INSERT: KeyFlags = KeyFlags::INSERT;
    pub(super) const DELETE: KeyFlags = KeyFlags::DELETE;
    pub(super) const NOT_KEY: KeyFlags = KeyFlags::NOT_KEY;
    pub(super) const VARIABLE_FLAGS: KeyFlags = KeyFlags::VARIABLE_FLAGS;

    /// One key whose value is returned.
    pub(super) const KEY_READ: &[KeySpec] = &[KeySpec::at(1, &[RO, ACCESS])];
    /// One key of which only facts about the value are returned.
    pub(super) const KEY_LOOK: &[KeySpec] = &[KeySpec::at(1, &[RO])];
    /// One key whose value is returned and changed.
    pub(super) const KEY_MODIFY: &[KeySpec] = &[KeySpec::at(1, &[RW, ACCESS, UPDATE])];
    /// One key whose value is changed.
    pub(super) const KEY_UPDATE: &[KeySpec] = &[KeySpec::at(1, &[RW, UPDATE])];
    /// One key whose value is replaced, whatever it was.
    pub(super) const KEY_OVERWRITE: &[KeySpec] = &[KeySpec::at(1, &[OW, UPDATE])];
    /// Any number of keys whose values are returned.
    pub(super) const KEYS_READ: &[KeySpec] = &[KeySpec::from(1, &[RO, ACCESS])];
    /// Any number of keys of which only facts are returned.
    pub(super) const KEYS_LOOK: &[KeySpec] = &[KeySpec::from(1, &[RO])];
    /// Any number of keys that are removed.
    pub(super) const KEYS_DELETE: &[KeySpec] = &[KeySpec::from(1, &[RM, DELETE])];
    /// The key behind the name of a subcommand, of which only facts are returned.
    pub(super) const SUBCOMMAND_KEY_LOOK: &[KeySpec] = &[KeySpec::at(2, &[RO])];
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::command::keys::{self, KeyPlan};
    use crate::command::lookup::{self, Command};
    use crate::command::spec::{BeginSearch, Flags, KeyFlags, Spread};
    use crate::command::syntax::{self, Arg, Kind};

    fn commands() -> impl Iterator<Item = (&'static Command, &'static Spec)> {
        lookup::shared().all().iter().map(|command| (command, command.spec()))
    }

    #[test]
    fn names_are_lower_case_and_unique() {
        let mut seen = HashSet::new();
        for (command, spec) in commands() {
            assert!(seen.insert(command.full_name), "{} twice", command.full_name);
            let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
            assert!(spec.name.bytes().all(plain), "{}", spec.name);
        }
    }

    #[test]
    fn subcommands_have_none_themselves() {
        assert!(entries().flat_map(|entry| entry.subcommands).all(|sub| sub.subcommands.is_empty()));
    }

    #[test]
    fn whatever_has_no_subcommands_runs() {
        let subcommands = entries().flat_map(|entry| entry.subcommands);
        for entry in entries().filter(|entry| entry.subcommands.is_empty()).chain(subcommands) {
            assert!(!matches!(entry.run, Run::Subcommands), "{} has no handler", entry.spec.name);
        }
    }

    #[test]
    fn documentation_is_complete() {
        for (Command { full_name, .. }, spec) in commands() {
            assert!(spec.summary.ends_with('.') && spec.summary.len() < 100, "{full_name}: {}", spec.summary);
            assert!(spec.since.split('.').count() == 3, "{full_name}: {}", spec.since);
            assert!(
                !spec.complexity.is_empty() || ["monitor", "lolwut", "xread"].contains(full_name),
                "{full_name}"
            );
        }
    }

    #[test]
    fn every_argument_has_a_name_and_a_group_has_members() {
        fn check(args: &[Arg], name: &str) {
            let names: HashSet<_> = args.iter().map(|arg| &arg.name).collect();
            assert_eq!(names.len(), args.len(), "{name}: a name twice");
            for arg in args {
                assert!(!arg.name.is_empty(), "{name}: an argument without a name");
                assert_eq!(
                    matches!(arg.kind, Kind::OneOf | Kind::Block),
                    arg.args.len() > 1,
                    "{name}: {}",
                    arg.name
                );
                check(&arg.args, name);
            }
        }
        for (command, spec) in commands() {
            check(&syntax::parse(spec.syntax, spec.keys.len()), command.full_name);
        }
    }

    /// Fewest and most arguments that fit a grammar; `None` for any number.
    fn bounds(arg: &Arg) -> (usize, Option<usize>) {
        let inner: Vec<_> = arg.args.iter().map(bounds).collect();
        let (mut least, mut most) = match arg.kind {
            Kind::PureToken => (0, Some(0)),
            Kind::OneOf => (
                inner.iter().map(|(least, _)| *least).min().unwrap_or(0),
                inner.iter().map(|(_, most)| *most).try_fold(0, |sum, most| most.map(|most| sum.max(most))),
            ),
            Kind::Block => (
                inner.iter().map(|(least, _)| least).sum(),
                inner.iter().map(|(_, most)| *most).try_fold(0, |sum, most| most.map(|most| sum + most)),
            ),
            _ => (1, Some(1)),
        };
        if arg.token.is_some() {
            least += 1;
            most = most.map(|most| most + 1);
        }
        (if arg.optional { 0 } else { least }, most.filter(|_| !arg.multiple))
    }

    #[test]
    fn arity_follows_from_the_syntax() {
        // Redis's own arities and grammars disagree for these: it leaves more to the handler, or (`QUIT`)
        // tolerates arguments that it does not document.
        let lenient = ["quit", "debug", "client|kill"];
        for (command, spec) in
            commands().filter(|(c, _)| !c.is_container() && !lenient.contains(&c.full_name))
        {
            let words = 1 + usize::from(command.parent.is_some());
            let args: Vec<_> = syntax::parse(spec.syntax, 0).iter().map(bounds).collect();
            let least = words + args.iter().map(|(least, _)| least).sum::<usize>();
            let most = args.iter().try_fold(words, |sum, (_, most)| most.map(|most| sum + most));
            let arity = if most == Some(least) { least as i32 } else { -(least as i32) };
            assert_eq!(spec.arity, arity, "{}", command.full_name);
        }
    }

    #[test]
    fn keys_are_within_the_smallest_call() {
        // COMMAND GETKEYS refuses PFMERGE with its destination alone, as in Redis.
        let has_keys = |spec: &Spec| !spec.flags.contains(Flags::NO_MANDATORY_KEYS);
        for (command, spec) in commands().filter(|(c, s)| c.full_name != "pfmerge" && has_keys(s)) {
            let args = vec![&b"1"[..]; spec.arity.unsigned_abs() as usize];
            let found = keys::keys_of(spec, &args).unwrap();
            // Keys behind a keyword are not among these arguments.
            let mut real = spec.keys.iter().filter(|key| !key.flags.contains(KeyFlags::NOT_KEY));
            let placed = real.any(|key| !matches!(key.begin, BeginSearch::Keyword { .. }));
            assert_eq!(found.is_empty(), !placed, "{}", command.full_name);
            let planned: Vec<_> = match command.keys {
                KeyPlan::None => vec![],
                KeyPlan::One(index) => vec![index],
                KeyPlan::Range(range) => range.positions(args.len()).collect(),
                KeyPlan::Search => continue,
            };
            assert_eq!(
                planned,
                found.iter().map(|key| key.index).collect::<Vec<_>>(),
                "{}",
                command.full_name
            );
        }
    }

    #[test]
    fn keys_spread_and_flags_agree() {
        for (Command { full_name, .. }, spec) in commands() {
            let keyed = matches!(spec.spread, Spread::Keys | Spread::Split(_) | Spread::Patterns);
            // WATCH names keys that it does not touch.
            let touches = keys::has_keys(spec) && !spec.flags.contains(Flags::UNQUEUED);
            assert_eq!(keyed, touches, "{full_name}");
            let variable = spec.keys.iter().any(|key| key.flags.contains(KeyFlags::VARIABLE_FLAGS));
            assert_eq!(variable, spec.variable_flags.is_some(), "{full_name}");
            let changes = KeyFlags::RW | KeyFlags::OW | KeyFlags::RM;
            let writes = spec.keys.iter().any(|key| key.flags.intersects(changes));
            let may_write = spec.flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE);
            assert!(!writes || may_write, "{full_name}");
            assert!(!spec.flags.contains(Flags::WRITE | Flags::READONLY), "{full_name}");
        }
    }
}
