//! The declaration of one command. [`crate::command_table`] is made of these; arity errors, `COMMAND`
//! replies, ACL categories, key extraction and routing are all derived from them.
//!
//! A [`Spec`] is built in a `const` by chained calls, one line per fact, so that the table reads as a list.

use bitflags::bitflags;
use smallvec::SmallVec;

bitflags! {
    /// Command flags, as `COMMAND INFO` prints them (redis.io/docs/reference/command-tips and key-specs).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// May modify the keyspace.
        const WRITE = 1;
        /// Only reads keys.
        const READONLY = 1 << 1;
        /// May grow memory: refused when memory is exhausted.
        const DENYOOM = 1 << 2;
        /// An administrative command.
        const ADMIN = 1 << 3;
        /// Publish/subscribe.
        const PUBSUB = 1 << 4;
        /// Not allowed in scripts.
        const NOSCRIPT = 1 << 5;
        /// May block the client.
        const BLOCKING = 1 << 6;
        /// Allowed while a data set is being loaded.
        const LOADING = 1 << 7;
        /// Allowed on a replica whose data is stale.
        const STALE = 1 << 8;
        /// Not shown to `MONITOR`.
        const SKIP_MONITOR = 1 << 9;
        /// Not kept in the slow log.
        const SKIP_SLOWLOG = 1 << 10;
        /// Cluster `ASK` redirection does not apply.
        const ASKING = 1 << 11;
        /// O(1) or O(log n).
        const FAST = 1 << 12;
        /// Allowed before authentication.
        const NO_AUTH = 1 << 13;
        /// May replicate although it is no write.
        const MAY_REPLICATE = 1 << 14;
        /// Allowed while a script or another command keeps the server busy.
        const ALLOW_BUSY = 1 << 15;
        /// Not allowed inside `MULTI`.
        const NO_MULTI = 1 << 16;
        /// The key positions cannot be told from the key specs alone.
        const MOVABLE_KEYS = 1 << 17;
        /// Has key arguments, all of which may be absent.
        const NO_MANDATORY_KEYS = 1 << 18;
        /// Not allowed while a replica loads a data set and still serves the old one.
        const NO_ASYNC_LOADING = 1 << 19;
        /// Needs an `enable-...-command` setting (`DEBUG`, `MODULE`). Not printed.
        const PROTECTED = 1 << 20;
        /// Reaches keys that are not among its arguments (`SCAN`, `RANDOMKEY`). Not printed.
        const TOUCHES_ARBITRARY_KEYS = 1 << 21;
        /// For the server's own use: `syscmd` among the documentation flags. Not printed.
        const SYSTEM = 1 << 22;
        /// Runs at once although `MULTI` has begun. Not printed.
        const UNQUEUED = 1 << 23;
    }
}

bitflags! {
    /// ACL categories (redis.io/docs/management/security/acl).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Categories: u32 {
        /// Keys whatever their type.
        const KEYSPACE = 1;
        /// Reads keys.
        const READ = 1 << 1;
        /// Writes keys.
        const WRITE = 1 << 2;
        /// Sets.
        const SET = 1 << 3;
        /// Sorted sets.
        const SORTEDSET = 1 << 4;
        /// Lists.
        const LIST = 1 << 5;
        /// Hashes.
        const HASH = 1 << 6;
        /// Strings.
        const STRING = 1 << 7;
        /// Bits of strings.
        const BITMAP = 1 << 8;
        /// HyperLogLogs.
        const HYPERLOGLOG = 1 << 9;
        /// Places.
        const GEO = 1 << 10;
        /// Streams.
        const STREAM = 1 << 11;
        /// Publish/subscribe.
        const PUBSUB = 1 << 12;
        /// Administration.
        const ADMIN = 1 << 13;
        /// O(1) or O(log n).
        const FAST = 1 << 14;
        /// All that are not fast.
        const SLOW = 1 << 15;
        /// May block the client.
        const BLOCKING = 1 << 16;
        /// May harm the server or its users if misused.
        const DANGEROUS = 1 << 17;
        /// Connections and clients.
        const CONNECTION = 1 << 18;
        /// Transactions.
        const TRANSACTION = 1 << 19;
        /// Scripts and functions.
        const SCRIPTING = 1 << 20;
    }
}

bitflags! {
    /// What a command does with the keys of one key spec (redis.io/docs/reference/key-specs).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct KeyFlags: u16 {
        /// Reads the key.
        const RO = 1;
        /// Reads and changes what is there.
        const RW = 1 << 1;
        /// Replaces what is there.
        const OW = 1 << 2;
        /// Removes the key.
        const RM = 1 << 3;
        /// Returns, copies or uses the value's data.
        const ACCESS = 1 << 4;
        /// Changes data that is there.
        const UPDATE = 1 << 5;
        /// Adds data and changes none.
        const INSERT = 1 << 6;
        /// Deletes data, or all of it with the key.
        const DELETE = 1 << 7;
        /// Is no key, but is routed like one.
        const NOT_KEY = 1 << 8;
        /// The spec does not find all keys.
        const INCOMPLETE = 1 << 9;
        /// What happens to the key depends on other arguments.
        const VARIABLE_FLAGS = 1 << 10;
    }
}

/// Where the search for keys begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this argument; the command name is argument 0.
    Index(usize),
    /// After this keyword, looked for from argument `from` on (backwards from the end if negative).
    Keyword {
        /// The keyword, upper case.
        keyword: &'static str,
        /// First argument to look at.
        from: isize,
    },
    /// Cannot be told.
    Unknown,
}

/// How keys follow from where the search began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindKeys {
    /// Up to and including `last` (relative to the beginning; negative counts from the last argument),
    /// every `step`; with `limit` 2 the first half of the rest, and so on.
    Range {
        /// Last key, see above.
        last: isize,
        /// Distance between two keys.
        step: usize,
        /// Divisor of the remaining arguments, 0 for none.
        limit: usize,
    },
    /// The argument at `count` (relative) holds the number of keys; the first is at `first`.
    KeyNum {
        /// Position of the count.
        count: usize,
        /// Position of the first key.
        first: usize,
        /// Distance between two keys.
        step: usize,
    },
    /// Cannot be told.
    Unknown,
}

/// One key specification.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// What happens to the keys.
    pub flags: KeyFlags,
    /// Where to begin.
    pub begin: BeginSearch,
    /// How to go on.
    pub find: FindKeys,
    /// Remark printed by `COMMAND INFO`, or empty.
    pub notes: &'static str,
}

impl KeySpec {
    /// The key at argument `index`.
    pub const fn at(index: usize, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Keys from argument `index` to the last argument.
    pub const fn from(index: usize, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::range(index, -1, 1, flags)
    }

    /// Every `step`-th argument from `index` to `last` (see [`FindKeys::Range`]).
    pub const fn range(index: usize, last: isize, step: usize, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::found(index, FindKeys::Range { last, step, limit: 0 }, flags)
    }

    /// Keys whose number is argument `index`, from the next argument on.
    pub const fn counted(index: usize, flags: &[KeyFlags]) -> KeySpec {
        KeySpec::found(index, FindKeys::KeyNum { count: 0, first: 1, step: 1 }, flags)
    }

    const fn found(index: usize, find: FindKeys, flags: &[KeyFlags]) -> KeySpec {
        let mut all = KeyFlags::empty();
        let mut i = 0;
        while i < flags.len() {
            all = all.union(flags[i]);
            i += 1;
        }
        KeySpec { flags: all, begin: BeginSearch::Index(index), find, notes: "" }
    }

    /// Keys that cannot be told from the specification.
    pub const fn unknown(flags: &[KeyFlags]) -> KeySpec {
        KeySpec { begin: BeginSearch::Unknown, ..KeySpec::found(0, FindKeys::Unknown, flags) }
    }

    /// Sets the remark.
    pub const fn notes(mut self, notes: &'static str) -> KeySpec {
        self.notes = notes;
        self
    }
}

/// Tells what one call does with its key, for a command whose key spec has
/// [`KeyFlags::VARIABLE_FLAGS`]. Takes all arguments, the name included.
pub type KeyFlagsOf = fn(&[&[u8]]) -> KeyFlags;

/// A key among the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPos {
    /// Its index; the command's name is argument 0.
    pub index: usize,
    /// What happens to it.
    pub flags: KeyFlags,
}

/// Finds the keys of one call, for a command with a key spec that says [`BeginSearch::Unknown`]. Takes all arguments, the
/// name included.
pub type KeyFinder = fn(&[&[u8]]) -> SmallVec<[KeyPos; 4]>;

/// How a command whose keys may be on several shards is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// No key: runs on the core of the connection.
    Local,
    /// Runs where its keys are. If they are on several shards, their entries are borrowed and the handler
    /// runs on the connection's core.
    Keys,
    /// Keys are independent of each other: every shard runs the handler on its own keys, at one instant.
    Split(Merge),
    /// Like [`Spread::Keys`] unless the arguments hold patterns (`SORT ... BY`): then further keys follow from what the first
    /// key holds, and all shards are reserved while they are looked up.
    Patterns,
    /// Every shard runs the handler, at one instant.
    Shards(Merge),
    /// The shard is part of the cursor (`SCAN`).
    Cursor,
}

/// How the partial replies of several shards become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Integers are added up.
    Sum,
    /// Every shard says the same (`OK`); an error of any wins.
    Same,
    /// One array element per key, put back in the order of the keys.
    ByKey,
    /// Arrays are strung together.
    Concat,
    /// Candidates with weights, one is drawn (`RANDOMKEY`).
    Draw,
}

/// Groups as `COMMAND DOCS` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the documentation
pub enum Group {
    Generic,
    String,
    Bitmap,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
    HyperLogLog,
    Geo,
    PubSub,
    Transactions,
    Scripting,
    Connection,
    Server,
    Cluster,
}

/// A deprecation, for `COMMAND DOCS`.
#[derive(Debug, Clone, Copy)]
pub struct Deprecated {
    /// Version since which the command is deprecated.
    pub since: &'static str,
    /// What to use in its place.
    pub replaced_by: &'static str,
}

/// Everything declared about one command or subcommand.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Lower-case name; for a subcommand only its own part (`kill`).
    pub name: &'static str,
    /// Number of arguments with the name; negative means at least that many. For a subcommand the container's
    /// name counts, too.
    pub arity: i32,
    /// Flags.
    pub flags: Flags,
    /// ACL categories beyond those that follow from the flags.
    pub categories: Categories,
    /// Key specs, in order.
    pub keys: &'static [KeySpec],
    /// Set if the flags of the key depend on the arguments. Such a command has one key, found by `keys`.
    pub variable_flags: Option<KeyFlagsOf>,
    /// The argument that names the first field or member which it looks up in a hash, set or sorted set; 0 if it looks up
    /// none. The memory is asked for ahead of time.
    pub field_at: u8,
    /// Set if the key specs do not tell the keys, and a function does.
    pub key_finder: Option<KeyFinder>,
    /// How it is carried out over several shards.
    pub spread: Spread,
    /// Group for `COMMAND DOCS`.
    pub group: Group,
    /// One line on what it does.
    pub summary: &'static str,
    /// Redis version that introduced it.
    pub since: &'static str,
    /// Time complexity, or empty.
    pub complexity: &'static str,
    /// Argument grammar in the notation of redis.io, with names and versions added as described at
    /// [`crate::command::syntax`]: `key value condition: [NX | XX] [GET@6.2.0]`.
    pub syntax: &'static str,
    /// `(version, change)` pairs.
    pub history: &'static [(&'static str, &'static str)],
    /// Command tips (redis.io/docs/reference/command-tips).
    pub tips: &'static [&'static str],
    /// Set if deprecated.
    pub deprecated: Option<Deprecated>,
}

impl Spec {
    /// A command with nothing but name, arity and group; the other facts are chained on.
    pub const fn new(name: &'static str, arity: i32, group: Group) -> Spec {
        Spec {
            name,
            arity,
            flags: Flags::empty(),
            categories: Categories::empty(),
            keys: &[],
            variable_flags: None,
            field_at: 0,
            key_finder: None,
            spread: Spread::Local,
            group,
            summary: "",
            since: "1.0.0",
            complexity: "",
            syntax: "",
            history: &[],
            tips: &[],
            deprecated: None,
        }
    }

    /// Adds flags.
    pub const fn flags(mut self, flags: &[Flags]) -> Spec {
        let mut i = 0;
        while i < flags.len() {
            self.flags = self.flags.union(flags[i]);
            i += 1;
        }
        self
    }

    /// Adds ACL categories.
    pub const fn categories(mut self, categories: Categories) -> Spec {
        self.categories = self.categories.union(categories);
        self
    }

    /// Sets the key specs.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Spec {
        self.keys = keys;
        self
    }

    /// Sets the function that tells the key's flags from the arguments.
    pub const fn variable_flags(mut self, flags_of: KeyFlagsOf) -> Spec {
        self.variable_flags = Some(flags_of);
        self
    }

    /// Sets the argument that names a field or member.
    pub const fn field(mut self, at: u8) -> Spec {
        self.field_at = at;
        self
    }

    /// Sets the function that finds the keys.
    pub const fn key_finder(mut self, finder: KeyFinder) -> Spec {
        self.key_finder = Some(finder);
        self
    }

    /// Sets how it spreads over shards.
    pub const fn spread(mut self, spread: Spread) -> Spec {
        self.spread = spread;
        self
    }

    /// Sets summary, version of introduction and complexity.
    pub const fn docs(
        mut self,
        summary: &'static str,
        since: &'static str,
        complexity: &'static str,
    ) -> Spec {
        self.summary = summary;
        self.since = since;
        self.complexity = complexity;
        self
    }

    /// Sets the argument grammar.
    pub const fn syntax(mut self, syntax: &'static str) -> Spec {
        self.syntax = syntax;
        self
    }

    /// Sets the history.
    pub const fn history(mut self, history: &'static [(&'static str, &'static str)]) -> Spec {
        self.history = history;
        self
    }

    /// Sets the tips.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Spec {
        self.tips = tips;
        self
    }

    /// Marks it as deprecated.
    pub const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Spec {
        self.deprecated = Some(Deprecated { since, replaced_by });
        self
    }

    /// Whether `argc` arguments (name included) fit the arity.
    #[inline]
    pub const fn takes(&self, argc: usize) -> bool {
        if self.arity >= 0 { argc as i32 == self.arity } else { argc as i32 >= -self.arity }
    }
}
