//! From the words of a request to the command.
//!
//! All commands and subcommands of the table are numbered densely: each container is followed by its
//! subcommands. Names of up to [`SHORT`] bytes, nearly all of them, stand in an open-addressed table keyed by
//! the name itself, held in two integers; a probe is a multiplication and a compare that ignores case, with
//! no allocation. The few longer names are searched one after another.

use std::borrow::Cow;
use std::sync::OnceLock;

use crate::command::keys::{self, KeyPlan, KeyRange};
use crate::command::spec::{Categories, Flags, Spec};
use crate::command_table::{self, Entry};
use crate::protocol::Error;

/// Number of a command or subcommand: an index for per-command statistics and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u16);

/// A command with what is derived from its row.
#[derive(Debug)]
pub struct Command {
    /// Its number.
    pub id: CommandId,
    /// Its name with the container's: `client|kill`.
    pub full_name: &'static str,
    /// Its row in the table.
    pub entry: &'static Entry,
    /// Its container.
    pub parent: Option<CommandId>,
    /// Declared flags and those that follow from the key specs.
    pub flags: Flags,
    /// Declared ACL categories and those that follow from the flags.
    pub categories: Categories,
    /// How to find its keys.
    pub keys: KeyPlan,
    /// The range of keys that `COMMAND INFO` prints.
    pub key_range: Option<KeyRange>,
}

impl Command {
    /// The declaration.
    #[inline]
    pub fn spec(&self) -> &'static Spec {
        &self.entry.spec
    }

    /// Whether it has subcommands.
    #[inline]
    pub fn is_container(&self) -> bool {
        !self.entry.subcommands.is_empty()
    }

    fn new(id: usize, entry: &'static Entry, parent: Option<(CommandId, &str)>) -> Command {
        let spec = &entry.spec;
        let full_name = match parent {
            Some((_, container)) => format!("{container}|{}", spec.name).leak(),
            None => spec.name,
        };
        let (key_range, movable) = keys::regular_range(spec.keys);
        Command {
            id: CommandId(u16::try_from(id).expect("fewer commands than 65536")),
            full_name,
            entry,
            parent: parent.map(|(id, _)| id),
            flags: if movable { spec.flags | Flags::MOVABLE_KEYS } else { spec.flags },
            categories: all_categories(spec),
            keys: KeyPlan::of(spec),
            key_range,
        }
    }
}

/// Declared categories and those that the flags imply, as Redis derives them.
fn all_categories(spec: &Spec) -> Categories {
    let mut all = spec.categories;
    for (flag, implied) in [
        (Flags::WRITE, Categories::WRITE),
        (Flags::ADMIN, Categories::ADMIN | Categories::DANGEROUS),
        (Flags::PUBSUB, Categories::PUBSUB),
        (Flags::FAST, Categories::FAST),
        (Flags::BLOCKING, Categories::BLOCKING),
    ] {
        if spec.flags.contains(flag) {
            all |= implied;
        }
    }
    if spec.flags.contains(Flags::READONLY) && !all.contains(Categories::SCRIPTING) {
        all |= Categories::READ;
    }
    if !all.contains(Categories::FAST) {
        all |= Categories::SLOW;
    }
    all
}

/// Longest name in the hash table.
const SHORT: usize = 16;

/// The bytes of a name of up to [`SHORT`] bytes, its front and its back; they may overlap, so that only
/// together with the length they are the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    front: u64,
    back: u64,
}

impl Word {
    #[inline]
    fn new(name: &[u8]) -> Option<Word> {
        let (front, back) = match name.len() {
            8..=SHORT => (u64::from_le_bytes(*name.first_chunk()?), u64::from_le_bytes(*name.last_chunk()?)),
            4..=7 => (
                u64::from(u32::from_le_bytes(*name.first_chunk()?)),
                u64::from(u32::from_le_bytes(*name.last_chunk()?)),
            ),
            2..=3 => (
                u64::from(u16::from_le_bytes(*name.first_chunk()?)),
                u64::from(u16::from_le_bytes(*name.last_chunk()?)),
            ),
            1 => (u64::from(name[0]), 0),
            _ => return None,
        };
        Some(Word { front, back })
    }

    /// Equal for names that differ in case only.
    #[inline]
    fn hash(self) -> usize {
        const CASE: u64 = u64::from_ne_bytes([0x20; 8]);
        // The factor is 2^64 divided by the golden ratio; the good bits of a product are the upper ones.
        let mixed = (self.front | CASE) ^ (self.back | CASE).rotate_left(29);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
    }
}

/// A place in the hash table. An empty one has length 0.
#[derive(Debug, Clone, Copy)]
struct Slot {
    word: Word,
    /// The bits of the word that tell names apart: all but the one for the case of letters.
    relevant: Word,
    len: u16,
    id: CommandId,
}

impl Slot {
    const EMPTY: Slot = {
        let nothing = Word { front: 0, back: 0 };
        Slot { word: nothing, relevant: nothing, len: 0, id: CommandId(0) }
    };

    fn new(word: Word, len: usize, id: CommandId) -> Slot {
        let relevant = |bytes: u64| {
            u64::from_le_bytes(
                bytes.to_le_bytes().map(|byte| if byte.is_ascii_alphabetic() { !0x20 } else { !0 }),
            )
        };
        let relevant = Word { front: relevant(word.front), back: relevant(word.back) };
        Slot { word, relevant, len: len as u16, id }
    }

    /// Whether this is the slot of a name, letters in either case. One compare without a branch in between.
    #[inline]
    fn holds(&self, word: Word, len: usize) -> bool {
        let front = (word.front ^ self.word.front) & self.relevant.front;
        let back = (word.back ^ self.word.back) & self.relevant.back;
        front | back | (len as u64 ^ u64::from(self.len)) == 0
    }
}

/// Every command by number and by name. A core holds a `&'static Lookup`.
#[derive(Debug)]
pub struct Lookup {
    commands: Vec<Command>,
    /// A power of two of slots, at most a quarter of them in use.
    slots: Vec<Slot>,
    /// Names beyond [`SHORT`] bytes.
    long: Vec<(Vec<u8>, CommandId)>,
}

/// A `rename-command` line: the present name and the new one, empty to take the command away.
pub type Renaming = (Vec<u8>, Vec<u8>);

static SHARED: OnceLock<Lookup> = OnceLock::new();

/// The one [`Lookup`].
pub fn shared() -> &'static Lookup {
    SHARED.get_or_init(|| Lookup::new(&[]).expect("nothing to rename"))
}

/// Makes the one [`Lookup`] with other names for some commands. Statistics, ACL categories and replies go on
/// calling them by their own names.
///
/// # Errors
/// A text if there is no such command, if the new name is taken, or if [`shared`] was called before.
pub fn rename(renamings: &[Renaming]) -> Result<(), &'static str> {
    let lookup = Lookup::new(renamings)?;
    SHARED.set(lookup).map_err(|_| "commands are in use already")
}

/// Names of commands after some `rename-command` lines, applied in their order.
fn names(commands: &[Command], renamings: &[Renaming]) -> Result<Vec<(Vec<u8>, CommandId)>, &'static str> {
    let own = commands.iter().filter(|command| command.parent.is_none());
    let mut names: Vec<_> = own.map(|command| (command.full_name.into(), command.id)).collect();
    for (old, new) in renamings {
        let place = |wanted: &[u8], names: &[(Vec<u8>, CommandId)]| {
            names.iter().position(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        let at = place(old, &names).ok_or("No such command in rename-command")?;
        let (_, id) = names.swap_remove(at);
        if place(new, &names).is_some() {
            return Err("Target command name already exists");
        }
        if !new.is_empty() {
            names.push((new.clone(), id));
        }
    }
    Ok(names)
}

impl Lookup {
    fn new(renamings: &[Renaming]) -> Result<Lookup, &'static str> {
        let mut commands = Vec::new();
        for entry in command_table::entries() {
            let container = Command::new(commands.len(), entry, None);
            let parent = Some((container.id, container.full_name));
            commands.push(container);
            for subcommand in entry.subcommands {
                commands.push(Command::new(commands.len(), subcommand, parent));
            }
        }
        let size = (4 * command_table::entries().count()).next_power_of_two();
        let mut lookup = Lookup { commands: Vec::new(), slots: vec![Slot::EMPTY; size], long: Vec::new() };
        for (name, id) in names(&commands, renamings)? {
            lookup.insert(name, id);
        }
        lookup.commands = commands;
        Ok(lookup)
    }

    fn insert(&mut self, name: Vec<u8>, id: CommandId) {
        let Some(word) = Word::new(&name) else {
            self.long.push((name, id));
            return;
        };
        let mask = self.slots.len() - 1;
        let mut at = word.hash() & mask;
        while self.slots[at].len != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = Slot::new(word, name.len(), id);
    }

    /// The command of that name, in whatever case; no subcommands.
    #[inline]
    pub fn lookup(&self, name: &[u8]) -> Option<CommandId> {
        let Some(word) = Word::new(name) else { return self.lookup_long(name) };
        let mask = self.slots.len() - 1;
        let mut at = word.hash();
        loop {
            let slot = &self.slots[at & mask];
            if slot.holds(word, name.len()) {
                return Some(slot.id);
            }
            if slot.len == 0 {
                return None;
            }
            at += 1;
        }
    }

    #[cold]
    fn lookup_long(&self, name: &[u8]) -> Option<CommandId> {
        self.long.iter().find(|(long, _)| long.eq_ignore_ascii_case(name)).map(|(_, id)| *id)
    }

    /// The command of that number.
    #[inline]
    pub fn get(&self, id: CommandId) -> &Command {
        &self.commands[usize::from(id.0)]
    }

    /// All commands and subcommands; a command's place is its number.
    pub fn all(&self) -> &[Command] {
        &self.commands
    }

    /// All commands without subcommands.
    pub fn containers_and_commands(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter().filter(|command| command.parent.is_none())
    }

    /// The subcommands of a command.
    pub fn subcommands(&self, container: &Command) -> &[Command] {
        let first = usize::from(container.id.0) + 1;
        &self.commands[first..first + container.entry.subcommands.len()]
    }

    fn subcommand(&self, container: &Command, name: &[u8]) -> Option<&Command> {
        self.subcommands(container).iter().find(|sub| sub.spec().name.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The command or subcommand that a request calls, its arity not yet checked.
    #[inline]
    pub fn find(&self, args: &[&[u8]]) -> Option<&Command> {
        let command = self.get(self.lookup(args.first()?)?);
        match args.get(1) {
            Some(name) if command.is_container() => self.subcommand(command, name),
            _ => Some(command),
        }
    }

    /// The command by its full name (`client|kill`), as `COMMAND INFO` and ACL rules take it.
    pub fn find_full_name(&self, name: &[u8]) -> Option<&Command> {
        let mut parts = name.split(|byte| *byte == b'|');
        let command = self.get(self.lookup(parts.next()?)?);
        match (parts.next(), parts.next()) {
            (None, _) => Some(command),
            (Some(name), None) => self.subcommand(command, name),
            _ => None,
        }
    }

    /// The command or subcommand that a request calls. `args` is the whole request and not empty.
    ///
    /// # Errors
    /// Redis's for an unknown command or subcommand and for a wrong number of arguments.
    #[inline]
    pub fn resolve(&self, args: &[&[u8]]) -> Result<&Command, Error> {
        let command = self.find(args).ok_or_else(|| self.unknown(args))?;
        if command.spec().takes(args.len()) {
            Ok(command)
        } else {
            Err(Error::Arity(Cow::Borrowed(command.full_name)))
        }
    }

    #[cold]
    fn unknown(&self, args: &[&[u8]]) -> Error {
        if let (Some(_), [name, subcommand, ..]) = (args.first().and_then(|name| self.lookup(name)), args) {
            let container = String::from_utf8_lossy(name).to_uppercase();
            return format!("ERR unknown subcommand '{}'. Try {container} HELP.", quoted(subcommand, 128))
                .into();
        }
        let (name, rest) = args.split_first().map_or((&b""[..], args), |(name, rest)| (*name, rest));
        let mut text = format!("ERR unknown command '{}', with args beginning with: ", quoted(name, 128));
        let mut shown = 0;
        for arg in rest {
            if shown >= 128 {
                break;
            }
            let arg = cut(arg, 128 - shown);
            text.extend(["'", &String::from_utf8_lossy(arg), "' "]);
            shown += arg.len() + 3;
        }
        text.into()
    }
}

/// A client's bytes for an error text: up to `limit` bytes and the first NUL.
pub(crate) fn quoted(bytes: &[u8], limit: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(cut(bytes, limit))
}

fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(limit)];
    &bytes[..memchr::memchr(0, bytes).unwrap_or(bytes.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolve(text: &str) -> Result<&'static str, String> {
        let args: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        shared().resolve(&args).map(|command| command.full_name).map_err(|error| error.to_string())
    }

    #[test]
    fn every_command_is_found_in_any_case() {
        for command in shared().containers_and_commands() {
            for name in [command.full_name.to_owned(), command.full_name.to_uppercase()] {
                assert_eq!(shared().lookup(name.as_bytes()), Some(command.id), "{name}");
            }
        }
    }

    #[test]
    fn numbers_are_dense_and_subcommands_follow_their_container() {
        for (index, command) in shared().all().iter().enumerate() {
            assert_eq!(usize::from(command.id.0), index);
            assert!(shared().subcommands(command).iter().all(|sub| sub.parent == Some(command.id)));
        }
    }

    fn renamed(pairs: &[(&str, &str)]) -> Result<Lookup, &'static str> {
        let pairs: Vec<Renaming> = pairs.iter().map(|(old, new)| ((*old).into(), (*new).into())).collect();
        Lookup::new(&pairs)
    }

    #[test]
    fn commands_take_other_names() {
        let long = "x".repeat(40);
        let lookup =
            renamed(&[("FlushAll", ""), ("config", &long), ("get", "g"), ("set", "get"), ("g", "h")])
                .unwrap();
        let called = |words: &[&str]| {
            let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            lookup.find(&args).map(|command| command.full_name)
        };
        assert_eq!(called(&["H"]), Some("get"));
        assert_eq!(called(&["get"]), Some("set"));
        assert_eq!(called(&[&long.to_uppercase(), "get"]), Some("config|get"));
        for gone in ["", "flushall", "set", "config", "g"] {
            assert_eq!(called(&[gone]), None, "{gone}");
        }
    }

    #[test]
    fn renaming_the_unknown_or_to_a_taken_name_is_an_error() {
        assert_eq!(renamed(&[("nosuch", "x")]).unwrap_err(), "No such command in rename-command");
        assert_eq!(renamed(&[("get", ""), ("get", "x")]).unwrap_err(), "No such command in rename-command");
        assert_eq!(renamed(&[("get", "SET")]).unwrap_err(), "Target command name already exists");
        renamed(&[("get", "GET")]).unwrap();
    }

    #[test]
    fn requests_are_resolved() {
        assert_eq!(resolve("GeT k"), Ok("get"));
        assert_eq!(resolve("client KILL addr:1"), Ok("client|kill"));
        assert_eq!(resolve("command"), Ok("command"));
    }

    #[test]
    fn errors_have_the_texts_of_redis() {
        let unknown = |text: &str| resolve(text).unwrap_err();
        assert_eq!(unknown("foo a b"), "ERR unknown command 'foo', with args beginning with: 'a' 'b' ");
        assert_eq!(unknown("foo"), "ERR unknown command 'foo', with args beginning with: ");
        assert_eq!(unknown("Client foo"), "ERR unknown subcommand 'foo'. Try CLIENT HELP.");
        assert_eq!(unknown("client"), "ERR wrong number of arguments for 'client' command");
        assert_eq!(unknown("client kill"), "ERR wrong number of arguments for 'client|kill' command");
        assert_eq!(unknown("get"), "ERR wrong number of arguments for 'get' command");
        let (long, a) = ("x".repeat(200), "a".repeat(100));
        let expected = format!(
            "ERR unknown command '{}', with args beginning with: '{a}' '{}' ",
            &long[..128],
            &a[..25]
        );
        assert_eq!(unknown(&format!("{long} {a} {a} {a}")), expected);
        assert_eq!(unknown("a\0b c\0d"), "ERR unknown command 'a', with args beginning with: 'c' ");
    }

    proptest! {
        #[test]
        fn lookup_agrees_with_a_search(name in "[a-zA-Z@\\[`{_\0]{0,18}") {
            let model = shared().containers_and_commands().find(|c| c.full_name.eq_ignore_ascii_case(&name));
            prop_assert_eq!(shared().lookup(name.as_bytes()), model.map(|c| c.id));
        }

        #[test]
        fn a_slot_holds_its_name_alone(a in "[aA@`b_\x7f]{1,16}", b in "[aA@`b_\x7f]{1,16}") {
            let word = |name: &str| Word::new(name.as_bytes()).unwrap();
            for other in [&b, &a, &a.to_uppercase(), &a.to_lowercase()] {
                let held = Slot::new(word(&a), a.len(), CommandId(0)).holds(word(other), other.len());
                prop_assert_eq!(held, a.eq_ignore_ascii_case(other));
            }
        }
    }
}
