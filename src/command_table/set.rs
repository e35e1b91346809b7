//! The commands on sets.

use super::words::*;
use crate::execute::sets;

/// A target that is replaced, and the keys that its new value is made from.
const TARGET_AND_SOURCES: &[KeySpec] = &[KeySpec::at(1, &[OW, UPDATE]), KeySpec::from(2, &[RO, ACCESS])];
const COUNTED_KEYS: &[KeySpec] = &[KeySpec::counted(1, &[RO, ACCESS])];
const KEY_INSERT: &[KeySpec] = &[KeySpec::at(1, &[RW, INSERT])];

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("sadd", -3, Group::Set)
            .field(2)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::SET)
            .keys(KEY_INSERT)
            .spread(Keys)
            .docs(
                "Adds members to a set, which is created if it is missing.",
                "1.0.0",
                "O(N) with N members given.",
            )
            .syntax("key member [member ...]")
            .history(&[("2.4.0", "Accepts multiple `member` arguments.")]),
    )
    .keys(sets::sadd),
    Entry::new(
        Spec::new("scard", 2, Group::Set)
            .flags(&[READONLY, FAST])
            .categories(Categories::SET)
            .keys(KEY_LOOK)
            .spread(Keys)
            .docs("Counts the members of a set.", "1.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(sets::scard),
    Entry::new(
        Spec::new("sdiff", -2, Group::Set)
            .flags(&[READONLY])
            .categories(Categories::SET)
            .keys(KEYS_READ)
            .spread(Keys)
            .docs(
                "Returns the members of the first set that no other has.",
                "1.0.0",
                "O(N) with N members in all sets together.",
            )
            .syntax("key [key ...]")
            .tips(&["nondeterministic_output_order"]),
    )
    .keys(sets::sdiff),
    Entry::new(
        Spec::new("sdiffstore", -3, Group::Set)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::SET)
            .keys(TARGET_AND_SOURCES)
            .spread(Keys)
            .docs(
                "Stores the members of the first set that no other has.",
                "1.0.0",
                "O(N) with N members in all sets together.",
            )
            .syntax("destination/key key [key ...]"),
    )
    .keys(sets::sdiffstore),
    Entry::new(
        Spec::new("sinter", -2, Group::Set)
            .flags(&[READONLY])
            .categories(Categories::SET)
            .keys(KEYS_READ)
            .spread(Keys)
            .docs(
                "Returns the members that all sets have.",
                "1.0.0",
                "O(N*M) at most with N members in the smallest of M sets.",
            )
            .syntax("key [key ...]")
            .tips(&["nondeterministic_output_order"]),
    )
    .keys(sets::sinter),
    Entry::new(
        Spec::new("sintercard", -3, Group::Set)
            .flags(&[READONLY])
            .categories(Categories::SET)
            .keys(COUNTED_KEYS)
            .spread(Keys)
            .docs(
                "Counts the members that all sets have, up to a limit.",
                "7.0.0",
                "O(N*M) at most with N members in the smallest of M sets.",
            )
            .syntax("numkeys/integer key [key ...] [LIMIT limit/integer]"),
    )
    .keys(sets::sintercard),
    Entry::new(
        Spec::new("sinterstore", -3, Group::Set)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::SET)
            .keys(TARGET_AND_SOURCES)
            .spread(Keys)
            .docs(
                "Stores the members that all sets have.",
                "1.0.0",
                "O(N*M) at most with N members in the smallest of M sets.",
            )
            .syntax("destination/key key [key ...]"),
    )
    .keys(sets::sinterstore),
    Entry::new(
        Spec::new("sismember", 3, Group::Set)
            .field(2)
            .flags(&[READONLY, FAST])
            .categories(Categories::SET)
            .keys(KEY_LOOK)
            .spread(Keys)
            .docs("Tells whether something is a member of a set.", "1.0.0", "O(1)")
            .syntax("key member"),
    )
    .keys(sets::sismember),
    Entry::new(
        Spec::new("smembers", 2, Group::Set)
            .flags(&[READONLY])
            .categories(Categories::SET)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Returns all members of a set.", "1.0.0", "O(N) with N members in the set.")
            .syntax("key")
            .tips(&["nondeterministic_output_order"]),
    )
    .keys(sets::smembers),
    Entry::new(
        Spec::new("smismember", -3, Group::Set)
            .field(2)
            .flags(&[READONLY, FAST])
            .categories(Categories::SET)
            .keys(KEY_READ)
            .spread(Keys)
            .docs(
                "Tells for each of several strings whether it is a member of a set.",
                "6.2.0",
                "O(N) with N strings given.",
            )
            .syntax("key member [member ...]"),
    )
    .keys(sets::smismember),
    Entry::new(
        Spec::new("smove", 4, Group::Set)
            .flags(&[WRITE, FAST])
            .categories(Categories::SET)
            .keys(&[KeySpec::at(1, &[RW, ACCESS, DELETE]), KeySpec::at(2, &[RW, INSERT])])
            .spread(Keys)
            .docs("Moves a member from one set to another.", "1.0.0", "O(1)")
            .syntax("source/key destination/key member"),
    )
    .keys(sets::smove),
    Entry::new(
        Spec::new("spop", -2, Group::Set)
            .flags(&[WRITE, FAST])
            .categories(Categories::SET)
            .keys(&[KeySpec::at(1, &[RW, ACCESS, DELETE])])
            .spread(Keys)
            .docs(
                "Removes random members from a set and returns them; an empty set goes.",
                "1.0.0",
                "O(N) with N members asked for.",
            )
            .syntax("key [count@3.2.0]")
            .history(&[("3.2.0", "Added the `count` argument.")])
            .tips(&["nondeterministic_output"]),
    )
    .keys(sets::spop),
    Entry::new(
        Spec::new("srandmember", -2, Group::Set)
            .flags(&[READONLY])
            .categories(Categories::SET)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Returns random members of a set.", "1.0.0", "O(N) with N members asked for.")
            .syntax("key [count@2.6.0]")
            .history(&[("2.6.0", "Added the optional `count` argument.")])
            .tips(&["nondeterministic_output"]),
    )
    .keys(sets::srandmember),
    Entry::new(
        Spec::new("srem", -3, Group::Set)
            .field(2)
            .flags(&[WRITE, FAST])
            .categories(Categories::SET)
            .keys(&[KeySpec::at(1, &[RW, DELETE])])
            .spread(Keys)
            .docs("Removes members from a set; an empty set goes.", "1.0.0", "O(N) with N members given.")
            .syntax("key member [member ...]")
            .history(&[("2.4.0", "Accepts multiple `member` arguments.")]),
    )
    .keys(sets::srem),
    Entry::new(
        Spec::new("sscan", -3, Group::Set)
            .flags(&[READONLY])
            .categories(Categories::SET)
            .keys(KEY_READ)
            .spread(Keys)
            .docs(
                "Goes over the members of a set in steps.",
                "2.8.0",
                "O(1) for every call, O(N) for all N members of the set.",
            )
            .syntax("key cursor [MATCH pattern] [COUNT count]")
            .tips(&["nondeterministic_output"]),
    )
    .keys(sets::sscan),
    Entry::new(
        Spec::new("sunion", -2, Group::Set)
            .flags(&[READONLY])
            .categories(Categories::SET)
            .keys(KEYS_READ)
            .spread(Keys)
            .docs(
                "Returns the members that any of the sets has.",
                "1.0.0",
                "O(N) with N members in all sets together.",
            )
            .syntax("key [key ...]")
            .tips(&["nondeterministic_output_order"]),
    )
    .keys(sets::sunion),
    Entry::new(
        Spec::new("sunionstore", -3, Group::Set)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::SET)
            .keys(TARGET_AND_SOURCES)
            .spread(Keys)
            .docs(
                "Stores the members that any of the sets has.",
                "1.0.0",
                "O(N) with N members in all sets together.",
            )
            .syntax("destination/key key [key ...]"),
    )
    .keys(sets::sunionstore),
];
