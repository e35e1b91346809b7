//! The string commands.

use super::words::*;
use crate::execute::strings;

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("append", 3, Group::String)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STRING)
            .keys(&[KeySpec::at(1, &[RW, INSERT])])
            .spread(Keys)
            .docs(
                "Adds bytes to the end of a string; a missing key counts as empty.",
                "2.0.0",
                "O(1) amortized, as long as the appended value is small",
            )
            .syntax("key value"),
    )
    .keys(strings::append),
    Entry::new(
        Spec::new("decr", 2, Group::String)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STRING)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Subtracts one from an integer; a missing key counts as 0.", "1.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(strings::decr),
    Entry::new(
        Spec::new("decrby", 3, Group::String)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STRING)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Subtracts a number from an integer; a missing key counts as 0.", "1.0.0", "O(1)")
            .syntax("key decrement"),
    )
    .keys(strings::decrby),
    Entry::new(
        Spec::new("get", 2, Group::String)
            .flags(&[READONLY, FAST])
            .categories(Categories::STRING)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Reads a string.", "1.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(strings::get),
    Entry::new(
        Spec::new("getdel", 2, Group::String)
            .flags(&[WRITE, FAST])
            .categories(Categories::STRING)
            .keys(&[KeySpec::at(1, &[RW, ACCESS, DELETE])])
            .spread(Keys)
            .docs("Reads a string and removes its key.", "6.2.0", "O(1)")
            .syntax("key"),
    )
    .keys(strings::getdel),
    Entry::new(
        Spec::new("getex", -2, Group::String)
            .flags(&[WRITE, FAST])
            .categories(Categories::STRING)
            .keys(&[KeySpec::at(1, &[RW, ACCESS, UPDATE]).notes("RW and UPDATE because it changes the TTL")])
            .spread(Keys)
            .docs("Reads a string and changes its expiry.", "6.2.0", "O(1)")
            .syntax(
                "key expiration: [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
                 PXAT unix-time-milliseconds | PERSIST]",
            ),
    )
    .keys(strings::getex),
    Entry::new(
        Spec::new("getrange", 4, Group::String)
            .flags(&[READONLY])
            .categories(Categories::STRING)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Reads a part of a string.", "2.4.0", "O(N) where N is the length of the returned string")
            .syntax("key start end"),
    )
    .keys(strings::getrange),
    Entry::new(
        Spec::new("getset", 3, Group::String)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STRING)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Writes a string and answers with what was there before.", "1.0.0", "O(1)")
            .syntax("key value")
            .deprecated("6.2.0", "`SET` with the `!GET` argument"),
    )
    .keys(strings::getset),
    Entry::new(
        Spec::new("incr", 2, Group::String)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STRING)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Adds one to an integer; a missing key counts as 0.", "1.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(strings::incr),
    Entry::new(
        Spec::new("incrby", 3, Group::String)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STRING)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Adds a number to an integer; a missing key counts as 0.", "1.0.0", "O(1)")
            .syntax("key increment"),
    )
    .keys(strings::incrby),
    Entry::new(
        Spec::new("incrbyfloat", 3, Group::String)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STRING)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Adds a number to a floating-point number; a missing key counts as 0.", "2.6.0", "O(1)")
            .syntax("key increment/double"),
    )
    .keys(strings::incrbyfloat),
    Entry::new(
        Spec::new("lcs", -3, Group::String)
            .flags(&[READONLY])
            .categories(Categories::STRING)
            .keys(&[KeySpec::range(1, 1, 1, &[RO, ACCESS])])
            .spread(Keys)
            .docs(
                "Finds the longest subsequence that two strings share.",
                "7.0.0",
                "O(N*M) where N and M are the lengths of s1 and s2, respectively",
            )
            .syntax("key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]"),
    )
    .keys(strings::lcs),
    Entry::new(
        Spec::new("mget", -2, Group::String)
            .flags(&[READONLY, FAST])
            .categories(Categories::STRING)
            .keys(KEYS_READ)
            .spread(Split(ByKey))
            .docs(
                "Reads several strings at one instant.",
                "1.0.0",
                "O(N) where N is the number of keys to retrieve.",
            )
            .syntax("key [key ...]")
            .tips(&["request_policy:multi_shard"]),
    )
    .keys(strings::mget),
    Entry::new(
        Spec::new("mset", -3, Group::String)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::STRING)
            .keys(&[KeySpec::range(1, -1, 2, &[OW, UPDATE])])
            .spread(Split(Same))
            .docs(
                "Writes several strings at one instant.",
                "1.0.1",
                "O(N) where N is the number of keys to set.",
            )
            .syntax("key value data: [key value ...]")
            .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    )
    .keys(strings::mset),
    Entry::new(
        Spec::new("msetnx", -3, Group::String)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::STRING)
            .keys(&[KeySpec::range(1, -1, 2, &[OW, INSERT])])
            .spread(Keys)
            .docs(
                "Writes several strings, or none if any of the keys exists.",
                "1.0.1",
                "O(N) where N is the number of keys to set.",
            )
            .syntax("key value data: [key value ...]"),
    )
    .keys(strings::msetnx),
    Entry::new(
        Spec::new("psetex", 4, Group::String)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::STRING)
            .keys(KEY_OVERWRITE)
            .spread(Keys)
            .docs("Writes a string that expires after a number of milliseconds.", "2.6.0", "O(1)")
            .syntax("key milliseconds value")
            .deprecated("2.6.12", "`SET` with the `PX` argument"),
    )
    .keys(strings::psetex),
    Entry::new(
        Spec::new("set", -3, Group::String)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::STRING)
            .keys(&[KeySpec::at(1, &[RW, ACCESS, UPDATE, VARIABLE_FLAGS])
                .notes("RW and ACCESS due to the optional `GET` argument")])
            .variable_flags(set_key_flags)
            .spread(Keys)
            .docs("Writes a string, whatever the key held before.", "1.0.0", "O(1)")
            .syntax(
                "key value condition: [NX | XX]@2.6.12 [GET@6.2.0] expiration: [EX@2.6.12 \
                 seconds | PX@2.6.12 milliseconds | EXAT@6.2.0 unix-time-seconds | PXAT@6.2.0 \
                 unix-time-milliseconds | KEEPTTL@6.0.0]",
            )
            .history(&[
                ("2.6.12", "Added the `EX`, `PX`, `NX` and `XX` options."),
                ("6.0.0", "Added the `KEEPTTL` option."),
                ("6.2.0", "Added the `GET`, `EXAT` and `PXAT` option."),
                ("7.0.0", "Allowed the `NX` and `GET` options to be used together."),
            ]),
    )
    .keys(strings::set),
    Entry::new(
        Spec::new("setex", 4, Group::String)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::STRING)
            .keys(KEY_OVERWRITE)
            .spread(Keys)
            .docs("Writes a string that expires after a number of seconds.", "2.0.0", "O(1)")
            .syntax("key seconds value")
            .deprecated("2.6.12", "`SET` with the `EX` argument"),
    )
    .keys(strings::setex),
    Entry::new(
        Spec::new("setnx", 3, Group::String)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STRING)
            .keys(&[KeySpec::at(1, &[OW, INSERT])])
            .spread(Keys)
            .docs("Writes a string unless the key exists.", "1.0.0", "O(1)")
            .syntax("key value")
            .deprecated("2.6.12", "`SET` with the `NX` argument"),
    )
    .keys(strings::setnx),
    Entry::new(
        Spec::new("setrange", 4, Group::String)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::STRING)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs(
                "Overwrites a part of a string, growing it where needed.",
                "2.2.0",
                "O(1) for short values, otherwise O(M) where M is the length of the value",
            )
            .syntax("key offset value"),
    )
    .keys(strings::setrange),
    Entry::new(
        Spec::new("strlen", 2, Group::String)
            .flags(&[READONLY, FAST])
            .categories(Categories::STRING)
            .keys(KEY_LOOK)
            .spread(Keys)
            .docs("Tells the length of a string in bytes.", "2.2.0", "O(1)")
            .syntax("key"),
    )
    .keys(strings::strlen),
    Entry::new(
        Spec::new("substr", 4, Group::String)
            .flags(&[READONLY])
            .categories(Categories::STRING)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Reads a part of a string.", "1.0.0", "O(N) where N is the length of the returned string")
            .syntax("key start end")
            .deprecated("2.0.0", "`GETRANGE`"),
    )
    .keys(strings::substr),
];
