//! The commands on keys, whatever their values' type.

use super::words::*;
use crate::admin;
use crate::execute::{dump, keys, sort};

const SORTED: KeySpec = KeySpec::at(1, &[RO, ACCESS]);
const BY_PATTERN: KeySpec = KeySpec::unknown(&[RO, ACCESS])
    .notes("For BY and GET: these keys follow from the elements, so no argument names them");
const DESTINATION: KeySpec =
    KeySpec::unknown(&[OW, UPDATE]).notes("For STORE, which may stand anywhere among the options");
const SORT_CATEGORIES: Categories =
    Categories::SET.union(Categories::SORTEDSET).union(Categories::LIST).union(Categories::DANGEROUS);
const SORT_COMPLEXITY: &str = "O(N*log(N)) where N is the number of elements, O(N) if they are not sorted";

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("copy", -3, Group::Generic)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::KEYSPACE)
            .keys(&[KeySpec::at(1, &[RO, ACCESS]), KeySpec::at(2, &[OW, UPDATE])])
            .spread(Keys)
            .docs(
                "Duplicates a value under another key.",
                "6.2.0",
                "O(1) for strings, O(N) for collections, where N is the number of nested items",
            )
            .syntax("source/key destination/key [DB destination-db] [REPLACE]"),
    )
    .keys(keys::copy),
    Entry::new(
        Spec::new("del", -2, Group::Generic)
            .flags(&[WRITE])
            .categories(Categories::KEYSPACE)
            .keys(KEYS_DELETE)
            .spread(Split(Sum))
            .docs(
                "Removes keys.",
                "1.0.0",
                "O(N) where N is the number of keys, plus the number of elements of each \
                 collection removed",
            )
            .syntax("key [key ...]")
            .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    )
    .keys(keys::del),
    Entry::new(
        Spec::new("dump", 2, Group::Generic)
            .flags(&[READONLY])
            .categories(Categories::KEYSPACE)
            .keys(KEY_READ)
            .spread(Keys)
            .docs(
                "Serializes a key's value.",
                "2.6.0",
                "O(1) to access the key and additional O(N*M) to serialize it, where N is the number \
                 of Redis objects composing the value and M their average size. For small string \
                 values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
            )
            .syntax("key")
            .tips(&["nondeterministic_output"]),
    )
    .keys(dump::dump),
    Entry::new(
        Spec::new("exists", -2, Group::Generic)
            .flags(&[READONLY, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEYS_LOOK)
            .spread(Split(Sum))
            .docs(
                "Counts how many of the keys exist.",
                "1.0.0",
                "O(N) where N is the number of keys to check.",
            )
            .syntax("key [key ...]")
            .history(&[("3.0.3", "Accepts multiple `key` arguments.")])
            .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    )
    .keys(keys::exists),
    Entry::new(
        Spec::new("expire", -3, Group::Generic)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Limits a key's life to a number of seconds.", "1.0.0", "O(1)")
            .syntax("key seconds condition: [NX | XX | GT | LT]@7.0.0")
            .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    )
    .keys(keys::expire),
    Entry::new(
        Spec::new("expireat", -3, Group::Generic)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Ends a key's life at a Unix time in seconds.", "1.2.0", "O(1)")
            .syntax("key unix-time-seconds condition: [NX | XX | GT | LT]@7.0.0")
            .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    )
    .keys(keys::expireat),
    Entry::new(
        Spec::new("expiretime", 2, Group::Generic)
            .flags(&[READONLY, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Tells the Unix time in seconds at which a key expires.", "7.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(keys::expiretime),
    Entry::new(
        Spec::new("keys", 2, Group::Generic)
            .flags(&[READONLY])
            .categories(Categories::KEYSPACE)
            .categories(Categories::DANGEROUS)
            .spread(Shards(Concat))
            .docs(
                "Lists the keys that match a pattern.",
                "1.0.0",
                "O(N) where N is the number of keys in the database",
            )
            .syntax("pattern")
            .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    )
    .keys(keys::keys),
    Entry::new(
        Spec::new("move", 3, Group::Generic)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Takes a key to another database.", "1.0.0", "O(1)")
            .syntax("key db"),
    )
    .keys(keys::move_),
    Entry::new(Spec::new("object", -2, Group::Generic).docs(
        "Container of the commands about how values are held.",
        "2.2.3",
        "Depends on subcommand.",
    ))
    .subcommands(OBJECT),
    Entry::new(
        Spec::new("persist", 2, Group::Generic)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Takes a key's expiry away.", "2.2.0", "O(1)")
            .syntax("key"),
    )
    .keys(keys::persist),
    Entry::new(
        Spec::new("pexpire", -3, Group::Generic)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Limits a key's life to a number of milliseconds.", "2.6.0", "O(1)")
            .syntax("key milliseconds condition: [NX | XX | GT | LT]@7.0.0")
            .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    )
    .keys(keys::pexpire),
    Entry::new(
        Spec::new("pexpireat", -3, Group::Generic)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Ends a key's life at a Unix time in milliseconds.", "2.6.0", "O(1)")
            .syntax("key unix-time-milliseconds condition: [NX | XX | GT | LT]@7.0.0")
            .history(&[("7.0.0", "Added options: `NX`, `XX`, `GT` and `LT`.")]),
    )
    .keys(keys::pexpireat),
    Entry::new(
        Spec::new("pexpiretime", 2, Group::Generic)
            .flags(&[READONLY, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Tells the Unix time in milliseconds at which a key expires.", "7.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(keys::pexpiretime),
    Entry::new(
        Spec::new("pttl", 2, Group::Generic)
            .flags(&[READONLY, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Tells how many milliseconds a key has left.", "2.6.0", "O(1)")
            .syntax("key")
            .history(&[("2.8.0", "Added the -2 reply.")])
            .tips(&["nondeterministic_output"]),
    )
    .keys(keys::pttl),
    Entry::new(
        Spec::new("randomkey", 1, Group::Generic)
            .flags(&[READONLY, TOUCHES_ARBITRARY_KEYS])
            .categories(Categories::KEYSPACE)
            .spread(Shards(Draw))
            .docs("Picks a key at random.", "1.0.0", "O(1)")
            .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
    )
    .keys(keys::randomkey),
    Entry::new(
        Spec::new("rename", 3, Group::Generic)
            .flags(&[WRITE])
            .categories(Categories::KEYSPACE)
            .keys(&[KeySpec::at(1, &[RW, ACCESS, DELETE]), KeySpec::at(2, &[OW, UPDATE])])
            .spread(Keys)
            .docs("Gives a key another name, replacing what was there.", "1.0.0", "O(1)")
            .syntax("key newkey"),
    )
    .keys(keys::rename),
    Entry::new(
        Spec::new("renamenx", 3, Group::Generic)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .keys(&[KeySpec::at(1, &[RW, ACCESS, DELETE]), KeySpec::at(2, &[OW, INSERT])])
            .spread(Keys)
            .docs("Gives a key another name unless that name is taken.", "1.0.0", "O(1)")
            .syntax("key newkey")
            .history(&[(
                "3.2.0",
                "The command no longer returns an error when source and destination names are \
                 the same.",
            )]),
    )
    .keys(keys::renamenx),
    Entry::new(
        Spec::new("restore", -4, Group::Generic)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::KEYSPACE)
            .categories(Categories::DANGEROUS)
            .keys(KEY_OVERWRITE)
            .spread(Keys)
            .docs(
                "Creates a key from a serialized value.",
                "2.6.0",
                "O(1) to create the new key and additional O(N*M) to reconstruct the serialized \
                 value, where N is the number of Redis objects composing the value and M their \
                 average size. For small string values the time complexity is thus O(1)+O(1*M) where \
                 M is small, so simply O(1). However for sorted set values the complexity is \
                 O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
            )
            .syntax(
                "key ttl/integer serialized-value [REPLACE]@3.0.0 [ABSTTL]@5.0.0 \
                 [IDLETIME seconds/integer]@5.0.0 [FREQ frequency/integer]@5.0.0",
            )
            .history(&[
                ("3.0.0", "Added the `REPLACE` modifier."),
                ("5.0.0", "Added the `ABSTTL` modifier."),
                ("5.0.0", "Added the `IDLETIME` and `FREQ` options."),
            ]),
    )
    .keys(dump::restore),
    Entry::new(
        Spec::new("scan", -2, Group::Generic)
            .flags(&[READONLY, TOUCHES_ARBITRARY_KEYS])
            .categories(Categories::KEYSPACE)
            .spread(Cursor)
            .docs(
                "Walks through the keys step by step.",
                "2.8.0",
                "O(1) for every call, O(N) for a whole iteration, where N is the number of keys",
            )
            .syntax("cursor [MATCH pattern] [COUNT count] [TYPE@6.0.0 type]")
            .history(&[("6.0.0", "Added the `TYPE` subcommand.")])
            .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"]),
    )
    .keys(keys::scan),
    Entry::new(
        Spec::new("sort", -2, Group::Generic)
            .flags(&[WRITE, DENYOOM])
            .categories(SORT_CATEGORIES)
            .keys(&[SORTED, BY_PATTERN, DESTINATION])
            .key_finder(sort_keys)
            .spread(Patterns)
            .docs(
                "Sorts the elements of a list, a set or a sorted set, and may store them.",
                "1.0.0",
                SORT_COMPLEXITY,
            )
            .syntax(
                "key [BY by-pattern: pattern] [LIMIT offset/integer count] [GET get-pattern: pattern [GET \
                 get-pattern: pattern ...]] order: [ASC | DESC] [sorting: ALPHA] [STORE destination/key]",
            ),
    )
    .keys(sort::sort),
    Entry::new(
        Spec::new("sort_ro", -2, Group::Generic)
            .flags(&[READONLY])
            .categories(SORT_CATEGORIES)
            .keys(&[SORTED, BY_PATTERN])
            .key_finder(sort_ro_keys)
            .spread(Patterns)
            .docs("Sorts the elements of a list, a set or a sorted set.", "7.0.0", SORT_COMPLEXITY)
            .syntax(
                "key [BY by-pattern: pattern] [LIMIT offset/integer count] [GET get-pattern: pattern [GET \
                 get-pattern: pattern ...]] order: [ASC | DESC] [sorting: ALPHA]",
            ),
    )
    .keys(sort::sort_ro),
    Entry::new(
        Spec::new("touch", -2, Group::Generic)
            .flags(&[READONLY, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEYS_LOOK)
            .spread(Split(Sum))
            .docs(
                "Marks keys as used and counts those that exist.",
                "3.2.1",
                "O(N) where N is the number of keys that will be touched.",
            )
            .syntax("key [key ...]")
            .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    )
    .keys(keys::touch),
    Entry::new(
        Spec::new("ttl", 2, Group::Generic)
            .flags(&[READONLY, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Tells how many seconds a key has left.", "1.0.0", "O(1)")
            .syntax("key")
            .history(&[("2.8.0", "Added the -2 reply.")])
            .tips(&["nondeterministic_output"]),
    )
    .keys(keys::ttl),
    Entry::new(
        Spec::new("type", 2, Group::Generic)
            .flags(&[READONLY, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEY_LOOK)
            .spread(Keys)
            .docs("Names the type of a key's value.", "1.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(keys::type_),
    Entry::new(
        Spec::new("unlink", -2, Group::Generic)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .keys(KEYS_DELETE)
            .spread(Split(Sum))
            .docs(
                "Removes keys and frees their values later.",
                "4.0.0",
                "O(1) for each key; values are freed later in O(N) where N is the number of \
                 their allocations",
            )
            .syntax("key [key ...]")
            .tips(&["request_policy:multi_shard", "response_policy:agg_sum"]),
    )
    .keys(keys::unlink),
    Entry::new(
        Spec::new("wait", 3, Group::Generic)
            .flags(&[BLOCKING])
            .categories(Categories::CONNECTION)
            .docs("Waits until replicas have what was written before.", "3.0.0", "O(1)")
            .syntax("numreplicas timeout")
            .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    )
    .session(admin::wait),
    Entry::new(
        Spec::new("waitaof", 4, Group::Generic)
            .flags(&[BLOCKING])
            .categories(Categories::CONNECTION)
            .docs("Waits until what was written before is on stable storage.", "7.2.0", "O(1)")
            .syntax("numlocal numreplicas timeout")
            .tips(&["request_policy:all_shards", "response_policy:agg_min"]),
    )
    .session(admin::waitaof),
];

static OBJECT: &[Entry] = &[
    Entry::new(
        Spec::new("encoding", 3, Group::Generic)
            .flags(&[READONLY])
            .categories(Categories::KEYSPACE)
            .keys(SUBCOMMAND_KEY_LOOK)
            .spread(Keys)
            .docs("Names the representation of a value.", "2.2.3", "O(1)")
            .syntax("key")
            .tips(&["nondeterministic_output"]),
    )
    .keys(keys::object_encoding),
    Entry::new(
        Spec::new("freq", 3, Group::Generic)
            .flags(&[READONLY])
            .categories(Categories::KEYSPACE)
            .keys(SUBCOMMAND_KEY_LOOK)
            .spread(Keys)
            .docs("Tells how often a key is used, on a logarithmic scale.", "4.0.0", "O(1)")
            .syntax("key")
            .tips(&["nondeterministic_output"]),
    )
    .keys(keys::object_freq),
    Entry::new(
        Spec::new("idletime", 3, Group::Generic)
            .flags(&[READONLY])
            .categories(Categories::KEYSPACE)
            .keys(SUBCOMMAND_KEY_LOOK)
            .spread(Keys)
            .docs("Tells for how many seconds a key has not been used.", "2.2.3", "O(1)")
            .syntax("key")
            .tips(&["nondeterministic_output"]),
    )
    .keys(keys::object_idletime),
    Entry::new(
        Spec::new("refcount", 3, Group::Generic)
            .flags(&[READONLY])
            .categories(Categories::KEYSPACE)
            .keys(SUBCOMMAND_KEY_LOOK)
            .spread(Keys)
            .docs("Counts the references to a value.", "2.2.3", "O(1)")
            .syntax("key")
            .tips(&["nondeterministic_output"]),
    )
    .keys(keys::object_refcount),
    Entry::new(
        Spec::new("help", 2, Group::Generic).flags(&[LOADING, STALE]).categories(Categories::KEYSPACE).docs(
            "Lists the subcommands.",
            "6.2.0",
            "O(1)",
        ),
    )
    .session(admin::help),
];
