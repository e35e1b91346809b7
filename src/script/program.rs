//! What can be run: scripts of `EVAL` and functions of libraries, with their flags, and what their first lines say.
//!
//! Programs are immutable and shared by all cores. Each has an id, unique in the process, under which a VM keeps what it
//! has compiled; the ids of a library's functions follow one another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bitflags::bitflags;
use sha1::{Digest, Sha1};

use crate::base::quote::split_args;
use crate::command::spec::Flags as CommandFlags;
use crate::protocol::Error;

bitflags! {
    /// What a script or function declares about itself (redis.io/docs/latest/develop/interact/programmability/lua-api,
    /// "Script flags").
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Flags: u8 {
        /// It only reads.
        const NO_WRITES = 1;
        /// It may run and write when the server is out of memory.
        const ALLOW_OOM = 1 << 1;
        /// It may run on a replica whose data is stale.
        const ALLOW_STALE = 1 << 2;
        /// It does not run in a cluster.
        const NO_CLUSTER = 1 << 3;
        /// It may access keys of several slots.
        const ALLOW_CROSS_SLOT_KEYS = 1 << 4;
        /// A script without a shebang line: it declares nothing and is checked command by command.
        const COMPATIBLE = 1 << 5;
    }
}

impl Flags {
    /// The names, in the order in which Redis lists them.
    const NAMES: [(&'static str, Flags); 5] = [
        ("no-writes", Flags::NO_WRITES),
        ("allow-oom", Flags::ALLOW_OOM),
        ("allow-stale", Flags::ALLOW_STALE),
        ("no-cluster", Flags::NO_CLUSTER),
        ("allow-cross-slot-keys", Flags::ALLOW_CROSS_SLOT_KEYS),
    ];

    /// The names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        Flags::NAMES.into_iter().filter(move |(_, flag)| self.contains(*flag)).map(|(name, _)| name)
    }

    pub(super) fn named(name: &[u8]) -> Option<Flags> {
        Flags::NAMES.into_iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| flag)
    }

    pub(super) fn named_in_any_case(name: &[u8]) -> Option<Flags> {
        let mut names = Flags::NAMES.into_iter();
        names.find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, flag)| flag)
    }

    /// Whether such a program says that it writes.
    pub fn announce_writes(self) -> bool {
        !self.intersects(Flags::COMPATIBLE | Flags::NO_WRITES)
    }

    /// The flags of the command that runs such a program, as far as the program decides: what it declares takes the place
    /// of what the command says.
    pub fn of_command(self, command: CommandFlags) -> CommandFlags {
        if self.contains(Flags::COMPATIBLE) {
            return command;
        }
        let decided =
            CommandFlags::STALE | CommandFlags::DENYOOM | CommandFlags::WRITE | CommandFlags::MAY_REPLICATE;
        let mut flags = command.difference(decided);
        if !self.intersects(Flags::ALLOW_OOM | Flags::NO_WRITES) {
            flags |= CommandFlags::DENYOOM;
        }
        if !self.contains(Flags::NO_WRITES) {
            flags |= CommandFlags::WRITE;
        }
        if self.contains(Flags::ALLOW_STALE) {
            flags |= CommandFlags::STALE;
        }
        flags
    }
}

/// The state of the server as far as it decides whether a program may run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Situation {
    /// The command is one of `EVAL_RO`, `EVALSHA_RO`, `FCALL_RO`.
    pub read_only_command: bool,
    /// More memory is used than `maxmemory` allows.
    pub out_of_memory: bool,
    /// The server is a cluster node.
    pub cluster: bool,
    /// A replica without a link to its master that must not serve stale data.
    pub stale_replica: bool,
    /// A replica that clients must not write to.
    pub read_only_replica: bool,
    /// Snapshots fail, and `stop-writes-on-bgsave-error` is on.
    pub snapshots_fail: bool,
    /// Fewer good replicas than `min-replicas-to-write`.
    pub too_few_replicas: bool,
}

/// What a program may do once it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// Commands that write are refused.
    pub read_only: bool,
    /// Commands that need memory are not refused.
    pub allow_oom: bool,
    /// Commands may access keys of several slots.
    pub allow_cross_slot_keys: bool,
}

/// Whether a program with these flags may run, and what it may do then.
///
/// # Errors
/// Redis's for what the situation forbids.
pub fn check(flags: Flags, situation: &Situation) -> Result<Permissions, Error> {
    let compatible = flags.contains(Flags::COMPATIBLE);
    let refused: &[(bool, &'static str)] = if compatible {
        &[(
            situation.stale_replica,
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        )]
    } else {
        let writes = !flags.contains(Flags::NO_WRITES);
        &[
            (
                flags.contains(Flags::NO_CLUSTER) && situation.cluster,
                "ERR Can not run script on cluster, 'no-cluster' flag is set.",
            ),
            (
                !flags.contains(Flags::ALLOW_STALE) && situation.stale_replica,
                "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and \
                 'allow-stale' flag is not set on the script.",
            ),
            (
                writes && situation.read_only_replica,
                "READONLY Can not run script with write flag on readonly replica",
            ),
            (
                writes && situation.snapshots_fail,
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
                 Writable scripts are blocked. Use 'no-writes' flag for read only scripts.",
            ),
            (
                writes && situation.read_only_command,
                "ERR Can not execute a script with write flag using *_ro command.",
            ),
            (writes && situation.too_few_replicas, "NOREPLICAS Not enough good replicas to write."),
            (
                writes && !flags.contains(Flags::ALLOW_OOM) && situation.out_of_memory,
                "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
            ),
        ]
    };
    if let Some((_, text)) = refused.iter().find(|(refused, _)| *refused) {
        return Err(Error::text(text));
    }
    Ok(Permissions {
        read_only: situation.read_only_command || flags.contains(Flags::NO_WRITES),
        allow_oom: flags.contains(Flags::ALLOW_OOM),
        allow_cross_slot_keys: compatible || flags.contains(Flags::ALLOW_CROSS_SLOT_KEYS),
    })
}

/// Arguments of a command.
pub type Slices<'a, 'b> = &'a [&'b [u8]];

/// Splits what follows the script of `EVAL` or the name of `FCALL` (`args` begins with the number of keys) into keys and
/// further arguments.
///
/// # Errors
/// Redis's for a number of keys that is none, negative or more than the arguments.
pub fn split_keys<'a, 'b>(
    args: &'a [&'b [u8]],
    is_function: bool,
) -> Result<(Slices<'a, 'b>, Slices<'a, 'b>), Error> {
    let count = args.first().and_then(|count| crate::base::number::parse_i64(count));
    let (count, rest) = match count {
        Some(count) => (count, &args[1..]),
        None if is_function => return Err(Error::text("ERR Bad number of keys provided")),
        None => return Err(Error::NotInteger),
    };
    if count > rest.len() as i64 {
        return Err(Error::text("ERR Number of keys can't be greater than number of args"));
    }
    let count = usize::try_from(count).map_err(|_| Error::text("ERR Number of keys can't be negative"))?;
    Ok(rest.split_at(count))
}

/// A SHA-1 in lower-case hexadecimal digits.
pub type Sha = [u8; 40];

/// The name of a script: the SHA-1 of its text.
pub fn sha_of(text: &[u8]) -> Sha {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha1::digest(text);
    let mut sha = [0; 40];
    for (at, digit) in sha.iter_mut().enumerate() {
        let byte = digest[at / 2];
        *digit = DIGITS[usize::from(if at % 2 == 0 { byte >> 4 } else { byte & 15 })];
    }
    sha
}

/// What a client wrote for a SHA-1, if it can be one.
pub(super) fn parse_sha(text: &[u8]) -> Option<Sha> {
    let sha: Sha = text.try_into().ok()?;
    Some(sha.map(|b| b.to_ascii_lowercase()))
}

/// A script of `EVAL` or `SCRIPT LOAD`.
#[derive(Debug)]
pub struct Script {
    pub(super) id: u64,
    pub(super) sha: Sha,
    pub(super) body: Box<[u8]>,
    /// Where the Lua code begins: at the end of the shebang line, so that lines keep their numbers.
    code_at: usize,
    flags: Flags,
    /// It was loaded by `SCRIPT LOAD` and stays.
    pub(super) kept: AtomicBool,
    /// When it was used last, in nanoseconds of the cache's clock.
    pub(super) used_ns: AtomicU64,
}

impl Script {
    /// # Errors
    /// Redis's for a shebang line that is wrong.
    pub(super) fn new(id: u64, sha: Sha, body: &[u8]) -> Result<Script, Error> {
        let (flags, code_at) = read_shebang(body)?;
        Ok(Script {
            id,
            sha,
            body: body.into(),
            code_at,
            flags,
            kept: AtomicBool::new(false),
            used_ns: AtomicU64::new(0),
        })
    }

    /// Its SHA-1.
    pub fn sha(&self) -> &str {
        std::str::from_utf8(&self.sha).expect("hexadecimal digits")
    }

    /// What its shebang line declares.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Its text.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn code(&self) -> &[u8] {
        &self.body[self.code_at..]
    }

    /// An estimate of what it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Script>() + self.body.len()
    }

    /// `SCRIPT LOAD` has loaded it.
    pub(super) fn never_evict(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    pub(super) fn use_at(&self, now_ns: impl FnOnce() -> u64) {
        if !self.kept.load(Ordering::Relaxed) {
            self.used_ns.store(now_ns(), Ordering::Relaxed);
        }
    }
}

/// The flags of a script and where its code begins.
///
/// # Errors
/// Redis's for a shebang line that is wrong.
pub fn read_shebang(body: &[u8]) -> Result<(Flags, usize), Error> {
    if !body.starts_with(b"#!") {
        return Ok((Flags::COMPATIBLE, 0));
    }
    let end = line_end(body).ok_or(Error::text("ERR Invalid script shebang"))?;
    let words = split_args(&body[..end]).unwrap_or_default();
    let Some((engine, options)) = words.split_first() else {
        return Err(Error::text("ERR Invalid engine in script shebang"));
    };
    if engine != b"#!lua" {
        return Err(error("ERR Unexpected engine in script shebang: ", engine));
    }
    let mut flags = Flags::empty();
    for option in options {
        let Some(names) = option.strip_prefix(b"flags=") else {
            return Err(error("ERR Unknown lua shebang option: ", option));
        };
        // Of an empty list Redis makes no names, elsewhere an empty name is an unknown one.
        for name in names.split(|&b| b == b',').filter(|_| !names.is_empty()) {
            flags |=
                Flags::named(name).ok_or_else(|| error("ERR Unexpected flag in script shebang: ", name))?;
        }
    }
    Ok((flags, end))
}

/// The end of the first line, if it has one; a zero byte ends the text, as in C.
fn line_end(text: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', 0, text).filter(|&end| text[end] == b'\n')
}

fn error(text: &str, what: &[u8]) -> Error {
    format!("{text}{}", String::from_utf8_lossy(what)).into()
}

/// A function as its library registers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its name.
    pub name: Box<[u8]>,
    /// What it says about itself.
    pub description: Option<Box<[u8]>>,
    /// Its flags.
    pub flags: Flags,
}

/// A library of functions.
#[derive(Debug)]
pub struct Library {
    /// The id of its first function.
    pub(super) first_id: u64,
    /// Its name.
    pub(super) name: Box<[u8]>,
    /// Its text, the first line included.
    pub(super) text: Box<[u8]>,
    /// Where the code begins in the text.
    pub(super) code_at: usize,
    /// Its functions.
    pub(super) functions: Vec<Registered>,
}

impl Library {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its text, the first line included.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Its functions.
    pub fn functions(&self) -> &[Registered] {
        &self.functions
    }

    pub(super) fn code(&self) -> &[u8] {
        &self.text[self.code_at..]
    }

    /// An estimate of what it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let described = |f: &Registered| f.description.as_ref().map_or(0, |text| text.len());
        let functions = self.functions.iter().map(|f| size_of::<Registered>() + f.name.len() + described(f));
        size_of::<Library>() + self.name.len() + self.text.len() + functions.sum::<usize>()
    }
}

/// What the first line of a library says: the name, and where the code begins.
///
/// # Errors
/// Redis's for a line that is missing or wrong, an engine that is not Lua, a name that is none.
pub(super) fn read_metadata(text: &[u8]) -> Result<(Box<[u8]>, usize), Error> {
    if !text.starts_with(b"#!") {
        return Err(Error::text("ERR Missing library metadata"));
    }
    let invalid = Error::text("ERR Invalid library metadata");
    let end = line_end(text).ok_or(invalid.clone())?;
    let words = split_args(&text[..end]).unwrap_or_default();
    let (engine, options) = words.split_first().ok_or(invalid)?;
    let mut name = None;
    for option in options {
        match option.split_at_checked(5) {
            Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                if name.replace(value).is_some() {
                    return Err(Error::text(
                        "ERR Invalid metadata value, name argument was given multiple times",
                    ));
                }
            }
            _ => return Err(error("ERR Invalid metadata value given: ", option)),
        }
    }
    let name = name.ok_or(Error::text("ERR Library name was not given"))?;
    if !is_name(name) {
        return Err(Error::text(BAD_NAME));
    }
    let engine = &engine[2..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(format!("ERR Engine '{}' not found", String::from_utf8_lossy(engine)).into());
    }
    Ok((name.into(), end))
}

/// The error for a name that is none, of libraries and functions alike.
pub(super) const BAD_NAME: &str = "ERR Library names can only contain letters, numbers, or underscores(_) and must be \
     at least one character long";

/// Whether a library or function may have this name.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A function of a library.
#[derive(Debug, Clone)]
pub struct Function {
    pub(super) library: Arc<Library>,
    pub(super) index: usize,
}

impl Function {
    /// Its name and what else was registered.
    pub fn registered(&self) -> &Registered {
        &self.library.functions[self.index]
    }

    pub(super) fn id(&self) -> u64 {
        self.library.first_id + self.index as u64
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub enum Program {
    /// A script.
    Script(Arc<Script>),
    /// A function.
    Function(Function),
}

impl Program {
    /// What it declares.
    pub fn flags(&self) -> Flags {
        match self {
            Program::Script(script) => script.flags,
            Program::Function(function) => function.registered().flags,
        }
    }

    /// The SHA-1 of a script, the name of a function.
    pub fn name(&self) -> &[u8] {
        match self {
            Program::Script(script) => &script.sha,
            Program::Function(function) => &function.registered().name,
        }
    }

    /// Whether it is a script of `EVAL`.
    pub fn is_script(&self) -> bool {
        matches!(self, Program::Script(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shebang_lines_declare_flags() {
        assert_eq!(read_shebang(b"return 1"), Ok((Flags::COMPATIBLE, 0)));
        assert_eq!(read_shebang(b"#!lua\nreturn 1"), Ok((Flags::empty(), 5)));
        let both = Flags::NO_WRITES | Flags::ALLOW_STALE;
        assert_eq!(read_shebang(b"#!lua flags=no-writes,allow-stale\n"), Ok((both, 33)));
        let refused = |body: &[u8]| read_shebang(body).expect_err("refused").to_string();
        assert_eq!(refused(b"#!lua"), "ERR Invalid script shebang");
        assert_eq!(refused(b"#!\nreturn 1"), "ERR Unexpected engine in script shebang: #!");
        assert_eq!(refused(b"#!not-lua\n"), "ERR Unexpected engine in script shebang: #!not-lua");
        assert_eq!(refused(b"#!lua badger=data\n"), "ERR Unknown lua shebang option: badger=data");
        assert_eq!(refused(b"#!lua flags=allow-what\n"), "ERR Unexpected flag in script shebang: allow-what");
    }

    #[test]
    fn first_lines_of_libraries_name_them() {
        assert_eq!(read_metadata(b"#!lua name=lib\nx"), Ok((b"lib"[..].into(), 14)));
        assert_eq!(read_metadata(b"#!LUA NAME=\"l_1\"\n"), Ok((b"l_1"[..].into(), 16)));
        let refused = |text: &[u8]| read_metadata(text).expect_err("refused").to_string();
        assert_eq!(refused(b"x"), "ERR Missing library metadata");
        assert_eq!(refused(b"#!lua name=x"), "ERR Invalid library metadata");
        assert_eq!(refused(b"#!lua\n"), "ERR Library name was not given");
        assert_eq!(refused(b"#! name=x\n"), "ERR Engine '' not found");
        assert_eq!(refused(b"#!lua name=a-b\n"), BAD_NAME);
        assert_eq!(refused(b"#!lua name=a foo=bar\n"), "ERR Invalid metadata value given: foo=bar");
    }

    #[test]
    fn keys_are_split_from_arguments() {
        let args = [&b"1"[..], b"k", b"a"];
        assert_eq!(split_keys(&args, false), Ok((&args[1..2], &args[2..])));
        let refused = |count: &[u8], f| split_keys(&[count, b"k"], f).expect_err("refused").to_string();
        assert_eq!(refused(b"2", false), "ERR Number of keys can't be greater than number of args");
        assert_eq!(refused(b"-12", false), "ERR Number of keys can't be negative");
        assert_eq!(refused(b"x", false), "ERR value is not an integer or out of range");
        assert_eq!(refused(b"x", true), "ERR Bad number of keys provided");
    }

    #[test]
    fn flags_and_situation_decide() {
        let refused =
            |flags, situation: Situation| check(flags, &situation).expect_err("refused").to_string();
        let read_only_command = Situation { read_only_command: true, ..Situation::default() };
        assert_eq!(
            refused(Flags::empty(), read_only_command),
            "ERR Can not execute a script with write flag using *_ro command."
        );
        let permissions = check(Flags::COMPATIBLE, &read_only_command).expect("commands are checked instead");
        assert!(permissions.read_only && permissions.allow_cross_slot_keys && !permissions.allow_oom);
        let full = Situation { out_of_memory: true, ..Situation::default() };
        assert!(refused(Flags::empty(), full).starts_with("OOM allow-oom flag is not set"));
        assert!(check(Flags::NO_WRITES, &full).expect("it needs no memory").read_only);
        assert!(check(Flags::ALLOW_OOM, &full).expect("it may").allow_oom);
        let stale = Situation { stale_replica: true, ..Situation::default() };
        assert!(refused(Flags::COMPATIBLE, stale).starts_with("MASTERDOWN Link with MASTER is down and"));
        assert!(check(Flags::NO_WRITES | Flags::ALLOW_STALE, &stale).is_ok());
    }

    #[test]
    fn a_name_is_the_sha_1() {
        assert_eq!(&sha_of(b""), b"da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(parse_sha(b"DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"), Some(sha_of(b"")));
        assert_eq!(parse_sha(b"short"), None);
    }
}
