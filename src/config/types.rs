//! The types of configuration values that are more than a flag, a number or a string.
//!
//! Each knows how to read itself from the words of a configuration line and how to show itself as
//! `CONFIG GET` does. Showing and reading again gives an equal value.

use std::borrow::Cow;

use super::value::words;
use crate::base::number::parse_memory;

/// Why a value was refused, worded as Redis words it.
pub type Reason = Cow<'static, str>;

/// Declares an enumeration together with the words that stand for it in a configuration.
macro_rules! choices {
    ($($(#[doc = $doc:literal])+ pub enum $name:ident {
        $(#[doc = $first_doc:literal])+ $first:ident = $first_word:literal,
        $($(#[doc = $item_doc:literal])+ $item:ident = $word:literal,)*
    })+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name {
            $(#[doc = $first_doc])+
            #[default]
            $first,
            $($(#[doc = $item_doc])+ $item,)*
        }

        impl $name {
            /// All of them, in the order of `NAMES`.
            pub const ALL: &'static [$name] = &[$name::$first, $($name::$item),*];
            /// The words for them.
            pub const NAMES: &'static [&'static str] = &[$first_word, $($word),*];

            /// The word for it.
            pub fn name(self) -> &'static str {
                $name::NAMES[self as usize]
            }
        }
    )+};
}

choices! {
    /// How much is logged.
    pub enum LogLevel {
        /// Everything, for development.
        Debug = "debug",
        /// Rarely useful details.
        Verbose = "verbose",
        /// What is worth knowing in production.
        Notice = "notice",
        /// Only what is important.
        Warning = "warning",
        /// Nothing.
        Nothing = "nothing",
    }

    /// When the log is brought to stable storage.
    pub enum AppendFsync {
        /// Once a second.
        EverySecond = "everysec",
        /// Before each reply.
        Always = "always",
        /// When the kernel sees fit.
        No = "no",
    }

    /// How a log gets to stable storage.
    pub enum AofSyncMethod {
        /// As suits the device.
        Auto = "auto",
        /// By the writes themselves (`RWF_DSYNC`).
        Dsync = "dsync",
        /// By `fdatasync` after writes.
        Fdatasync = "fdatasync",
    }

    /// Who supervises the process.
    pub enum Supervised {
        /// Upstart: `SIGSTOP` once ready.
        Upstart = "upstart",
        /// systemd: `READY=1` is sent to `NOTIFY_SOCKET`.
        Systemd = "systemd",
        /// Whichever the environment shows.
        Auto = "auto",
        /// Nobody.
        No = "no",
    }

    /// What is removed when `maxmemory` is reached.
    pub enum MaxmemoryPolicy {
        /// Keys with an expiry, least recently used first.
        VolatileLru = "volatile-lru",
        /// Keys with an expiry, least frequently used first.
        VolatileLfu = "volatile-lfu",
        /// Keys with an expiry, at random.
        VolatileRandom = "volatile-random",
        /// Keys with an expiry, soonest to expire first.
        VolatileTtl = "volatile-ttl",
        /// Any key, least recently used first.
        AllkeysLru = "allkeys-lru",
        /// Any key, least frequently used first.
        AllkeysLfu = "allkeys-lfu",
        /// Any key, at random.
        AllkeysRandom = "allkeys-random",
        /// Nothing: writes that need memory are refused.
        Noeviction = "noeviction",
    }

    /// Who may do a guarded thing (`DEBUG`, `MODULE`, setting protected parameters).
    pub enum Allowed {
        /// Nobody.
        No = "no",
        /// Everybody.
        Yes = "yes",
        /// Connections from this machine.
        Local = "local",
    }
}

impl MaxmemoryPolicy {
    /// Whether it looks at when keys were used.
    pub fn is_lru(self) -> bool {
        matches!(self, MaxmemoryPolicy::VolatileLru | MaxmemoryPolicy::AllkeysLru)
    }

    /// Whether it counts how often keys are used, rather than when.
    pub fn is_lfu(self) -> bool {
        matches!(self, MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu)
    }
}

impl Allowed {
    /// Whether a connection may; `local` says if it comes from this machine.
    pub fn permits(self, local: bool) -> bool {
        self == Allowed::Yes || (self == Allowed::Local && local)
    }
}

/// A snapshot is due `seconds` after the last one if at least `changes` writes happened since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last snapshot, at least 1.
    pub seconds: i64,
    /// Number of writes since the last snapshot.
    pub changes: i64,
}

impl SavePoint {
    /// Reads `seconds changes` pairs; no words or one empty word mean no save points.
    pub fn parse_all(args: &[Vec<u8>]) -> Result<Vec<SavePoint>, Reason> {
        if matches!(args, [only] if only.is_empty()) {
            return Ok(Vec::new());
        }
        let invalid = || Reason::from("Invalid save parameters");
        let mut points = Vec::new();
        for pair in args.chunks(2) {
            let [seconds, changes] = pair else { return Err(invalid()) };
            let seconds = integer(seconds).filter(|seconds| *seconds >= 1).ok_or_else(invalid)?;
            let changes = integer(changes).filter(|changes| *changes >= 0).ok_or_else(invalid)?;
            points.push(SavePoint { seconds, changes });
        }
        Ok(points)
    }
}

/// When a connection whose replies pile up is closed (`client-output-buffer-limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// Closed at once above this many bytes; 0 for no limit.
    pub hard_bytes: u64,
    /// Closed after `soft_seconds` above this many bytes; 0 for no limit.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u32,
}

/// The output limits of the three classes of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Clients with at least one subscription.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// Replaces the limits of the classes that are named in `class hard soft seconds` groups.
    /// All groups are read before any of them counts.
    pub fn with(mut self, args: &[Vec<u8>]) -> Result<OutputLimits, Reason> {
        if !args.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        for group in args.chunks(4) {
            let limit = match group[0].to_ascii_lowercase().as_slice() {
                b"normal" => &mut self.normal,
                b"slave" | b"replica" => &mut self.replica,
                b"pubsub" => &mut self.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
            };
            *limit = OutputLimit::parse(&group[1..])
                .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        }
        Ok(self)
    }

    /// `class hard soft seconds` for each class.
    pub fn show(&self) -> String {
        words([("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)].map(
            |(class, limit)| {
                format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
            },
        ))
    }
}

impl OutputLimit {
    fn parse(args: &[Vec<u8>]) -> Option<OutputLimit> {
        Some(OutputLimit {
            hard_bytes: parse_memory(&args[0])?,
            soft_bytes: parse_memory(&args[1])?,
            soft_seconds: u32::try_from(integer(&args[2])?).ok()?,
        })
    }
}

/// How long an idle core looks for work before it sleeps in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BusyPoll {
    /// As long as it has paid off lately.
    #[default]
    Auto,
    /// This many microseconds; 0 sleeps at once.
    Micros(u32),
}

impl BusyPoll {
    /// Longest time that can be configured, in microseconds.
    pub const MAX_MICROS: u32 = 1_000_000;

    /// Reads `auto` or a number.
    pub fn parse(arg: &[u8]) -> Result<BusyPoll, Reason> {
        if arg.eq_ignore_ascii_case(b"auto") {
            return Ok(BusyPoll::Auto);
        }
        let max = BusyPoll::MAX_MICROS;
        let number =
            integer(arg).and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= max);
        number
            .map(BusyPoll::Micros)
            .ok_or_else(|| format!("argument must be 'auto' or between 0 and {max}").into())
    }

    /// `auto` or the number.
    pub fn show(self) -> String {
        match self {
            BusyPoll::Auto => "auto".to_owned(),
            BusyPoll::Micros(number) => number.to_string(),
        }
    }
}

/// Cores that threads are pinned to, in ascending order; empty for all that the process may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoreList(pub Vec<u16>);

impl CoreList {
    /// Highest core number that is taken.
    pub const MAX_CORE: u16 = 1023;

    /// Reads a list as `taskset -c` does: `0,2-3,8-15:2` (a range and, after the colon, a stride).
    pub fn parse(arg: &[u8]) -> Result<CoreList, Reason> {
        if arg.is_empty() {
            return Ok(CoreList::default());
        }
        let text = std::str::from_utf8(arg).unwrap_or("?");
        let mut cores = Vec::new();
        for item in text.split(',') {
            let (first, last, stride) = core_range(item)
                .ok_or("argument must be a list of cores such as 0,2-3 with no core above 1023")?;
            cores.extend((first..=last).step_by(stride));
        }
        cores.sort_unstable();
        cores.dedup();
        Ok(CoreList(cores))
    }

    /// The list with neighbours joined to ranges.
    pub fn show(&self) -> String {
        let runs = self.0.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
            [only] => only.to_string(),
            _ => format!("{}-{}", run[0], run[run.len() - 1]),
        });
        runs.collect::<Vec<_>>().join(",")
    }
}

fn core_range(item: &str) -> Option<(u16, u16, usize)> {
    let (range, stride) = item.split_once(':').unwrap_or((item, "1"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let stride = stride.trim().parse().ok().filter(|stride| *stride > 0)?;
    (first <= last && last <= CoreList::MAX_CORE).then_some((first, last, stride))
}

fn integer(arg: &[u8]) -> Option<i64> {
    std::str::from_utf8(arg).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_lists() {
        for (given, shown) in [("", ""), ("3", "3"), ("0-3", "0-3"), ("5,0-2,1", "0-2,5"), ("0-7:3", "0,3,6")]
        {
            assert_eq!(CoreList::parse(given.as_bytes()).unwrap().show(), shown);
        }
        for bad in ["a", "3-1", "0-4:0", "1,,2", "70000", "1024", "-1"] {
            assert!(CoreList::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn output_limits_name_only_some_classes() {
        let args = |text: &str| text.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let limits = OutputLimits::default().with(&args("Replica 1kb 10 60 pubsub 2 1 5")).unwrap();
        assert_eq!(limits.show(), "normal 0 0 0 slave 1024 10 60 pubsub 2 1 5");
        for bad in ["replica 1", "master 1 1 1", "normal x 1 1", "normal 1 1 -1"] {
            assert!(limits.with(&args(bad)).is_err(), "{bad}");
        }
    }
}
