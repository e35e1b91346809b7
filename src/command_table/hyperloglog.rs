//! The commands on HyperLogLogs.

use super::words::*;
use crate::execute::hyperloglog;

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("pfadd", -2, Group::HyperLogLog)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HYPERLOGLOG)
            .keys(&[KeySpec::at(1, &[RW, INSERT])])
            .spread(Keys)
            .docs(
                "Adds elements to a HyperLogLog, creating it if need be.",
                "2.8.9",
                "O(1) to add every element.",
            )
            .syntax("key [element ...]"),
    )
    .keys(hyperloglog::pfadd),
    Entry::new(
        Spec::new("pfcount", -2, Group::HyperLogLog)
            .flags(&[READONLY, MAY_REPLICATE])
            .categories(Categories::HYPERLOGLOG)
            .keys(&[KeySpec::from(1, &[RW, ACCESS]).notes(
                "RW because it may change the internal representation of the key, and propagate to replicas",
            )])
            .spread(Keys)
            .docs(
                "Estimates how many different elements one HyperLogLog, or the union of several, has.",
                "2.8.9",
                "O(1) with a very small average constant time when called with a single key. O(N) with N \
                 being the number of keys, and much bigger constant times, when called with multiple keys.",
            )
            .syntax("key [key ...]"),
    )
    .keys(hyperloglog::pfcount),
    Entry::new(
        Spec::new("pfdebug", 3, Group::HyperLogLog)
            .flags(&[WRITE, DENYOOM, ADMIN, SYSTEM])
            .categories(Categories::HYPERLOGLOG)
            .keys(&[KeySpec::at(2, &[RW, ACCESS])])
            .spread(Keys)
            .docs("Shows and changes how a HyperLogLog is stored.", "2.8.9", "N/A")
            .syntax("subcommand key"),
    )
    .keys(hyperloglog::pfdebug),
    Entry::new(
        Spec::new("pfmerge", -2, Group::HyperLogLog)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::HYPERLOGLOG)
            .keys(&[KeySpec::at(1, &[RW, ACCESS, INSERT]), KeySpec::from(2, &[RO, ACCESS])])
            .spread(Keys)
            .docs(
                "Stores the union of HyperLogLogs, the destination included, in one of them.",
                "2.8.9",
                "O(N) to merge N HyperLogLogs, but with high constant times.",
            )
            .syntax("destkey [sourcekey ...]"),
    )
    .keys(hyperloglog::pfmerge),
    Entry::new(
        Spec::new("pfselftest", 1, Group::HyperLogLog)
            .flags(&[ADMIN, SYSTEM])
            .categories(Categories::HYPERLOGLOG)
            .docs("Tests the HyperLogLog implementation.", "2.8.9", "N/A"),
    )
    .keys(hyperloglog::pfselftest),
];
