//! The hash commands.

use super::words::*;
use crate::execute::hashes;

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("hdel", -3, Group::Hash).field(2)
            .flags(&[WRITE, FAST])
            .categories(Categories::HASH)
            .keys(&[KeySpec::at(1, &[RW, DELETE])])
            .spread(Keys)
            .docs("Removes fields, and the hash with the last of them.", "2.0.0", "O(N) where N is the number of fields to be removed.")
            .syntax("key field [field ...]")
            .history(&[("2.4.0", "Accepts multiple `field` arguments.")]),
    )
    .keys(hashes::hdel),
    Entry::new(
        Spec::new("hexists", 3, Group::Hash).field(2)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_LOOK)
            .spread(Keys)
            .docs("Tells whether a field exists.", "2.0.0", "O(1)")
            .syntax("key field")
            ,
    )
    .keys(hashes::hexists),
    Entry::new(
        Spec::new("hexpire", -6, Group::Hash)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Limits the life of fields to a number of seconds.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key seconds condition: [NX | XX | GT | LT] <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::hexpire),
    Entry::new(
        Spec::new("hexpireat", -6, Group::Hash)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Ends the life of fields at a Unix time in seconds.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key unix-time-seconds condition: [NX | XX | GT | LT] <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::hexpireat),
    Entry::new(
        Spec::new("hexpiretime", -5, Group::Hash)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Tells when fields expire as a Unix time in seconds.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::hexpiretime),
    Entry::new(
        Spec::new("hget", 3, Group::Hash).field(2)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Reads the value of a field.", "2.0.0", "O(1)")
            .syntax("key field")
            ,
    )
    .keys(hashes::hget),
    Entry::new(
        Spec::new("hgetall", 2, Group::Hash)
            .flags(&[READONLY])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Reads all fields with their values.", "2.0.0", "O(N) where N is the size of the hash.")
            .syntax("key")
            .tips(&["nondeterministic_output_order"]),
    )
    .keys(hashes::hgetall),
    Entry::new(
        Spec::new("hincrby", 4, Group::Hash).field(2)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Adds a number to the integer in a field; a missing field counts as 0.", "2.0.0", "O(1)")
            .syntax("key field increment")
            ,
    )
    .keys(hashes::hincrby),
    Entry::new(
        Spec::new("hincrbyfloat", 4, Group::Hash).field(2)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(KEY_MODIFY)
            .spread(Keys)
            .docs("Adds to the floating-point number in a field; a missing field counts as 0.", "2.6.0", "O(1)")
            .syntax("key field increment/double")
            ,
    )
    .keys(hashes::hincrbyfloat),
    Entry::new(
        Spec::new("hkeys", 2, Group::Hash)
            .flags(&[READONLY])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Lists the fields.", "2.0.0", "O(N) where N is the size of the hash.")
            .syntax("key")
            .tips(&["nondeterministic_output_order"]),
    )
    .keys(hashes::hkeys),
    Entry::new(
        Spec::new("hlen", 2, Group::Hash)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_LOOK)
            .spread(Keys)
            .docs("Counts the fields.", "2.0.0", "O(1)")
            .syntax("key")
            ,
    )
    .keys(hashes::hlen),
    Entry::new(
        Spec::new("hmget", -3, Group::Hash).field(2)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Reads the values of several fields.", "2.0.0", "O(N) where N is the number of fields being requested.")
            .syntax("key field [field ...]")
            ,
    )
    .keys(hashes::hmget),
    Entry::new(
        Spec::new("hmset", -4, Group::Hash).field(2)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Writes the values of several fields.", "2.0.0", "O(N) where N is the number of fields being set.")
            .syntax("key field value data: [field value ...]")
            .deprecated("4.0.0", "`HSET` with multiple field-value pairs"),
    )
    .keys(hashes::hmset),
    Entry::new(
        Spec::new("hpersist", -5, Group::Hash)
            .flags(&[WRITE, FAST])
            .categories(Categories::HASH)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Lets fields live as long as their hash.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::hpersist),
    Entry::new(
        Spec::new("hpexpire", -6, Group::Hash)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Limits the life of fields to a number of milliseconds.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key milliseconds condition: [NX | XX | GT | LT] <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::hpexpire),
    Entry::new(
        Spec::new("hpexpireat", -6, Group::Hash)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Ends the life of fields at a Unix time in milliseconds.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key unix-time-milliseconds condition: [NX | XX | GT | LT] <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::hpexpireat),
    Entry::new(
        Spec::new("hpexpiretime", -5, Group::Hash)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Tells when fields expire as a Unix time in milliseconds.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::hpexpiretime),
    Entry::new(
        Spec::new("hpttl", -5, Group::Hash)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Tells how long fields will live in milliseconds.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::hpttl),
    Entry::new(
        Spec::new("hrandfield", -2, Group::Hash)
            .flags(&[READONLY])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Draws fields at random.", "6.2.0", "O(N) where N is the number of fields returned")
            .syntax("key options: [count [WITHVALUES]]")
            .tips(&["nondeterministic_output"]),
    )
    .keys(hashes::hrandfield),
    Entry::new(
        Spec::new("hscan", -3, Group::Hash)
            .flags(&[READONLY])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Walks through fields and values step by step.", "2.8.0", "O(1) for every call, O(N) for a whole iteration, where N is the number of fields")
            .syntax("key cursor [MATCH pattern] [COUNT count] [NOVALUES]")
            .tips(&["nondeterministic_output"]),
    )
    .keys(hashes::hscan),
    Entry::new(
        Spec::new("hset", -4, Group::Hash).field(2)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(KEY_UPDATE)
            .spread(Keys)
            .docs("Writes fields; counts those that are new.", "2.0.0", "O(N) where N is the number of field/value pairs")
            .syntax("key field value data: [field value ...]")
            .history(&[("4.0.0", "Accepts multiple `field` and `value` arguments.")]),
    )
    .keys(hashes::hset),
    Entry::new(
        Spec::new("hsetnx", 4, Group::Hash).field(2)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::HASH)
            .keys(&[KeySpec::at(1, &[RW, INSERT])])
            .spread(Keys)
            .docs("Writes a field if it does not exist yet.", "2.0.0", "O(1)")
            .syntax("key field value")
            ,
    )
    .keys(hashes::hsetnx),
    Entry::new(
        Spec::new("hstrlen", 3, Group::Hash).field(2)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_LOOK)
            .spread(Keys)
            .docs("Tells the length of the value of a field.", "3.2.0", "O(1)")
            .syntax("key field")
            ,
    )
    .keys(hashes::hstrlen),
    Entry::new(
        Spec::new("httl", -5, Group::Hash)
            .flags(&[READONLY, FAST])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Tells how long fields will live in seconds.", "7.4.0", "O(N) where N is the number of specified fields")
            .syntax("key <FIELDS numfields/integer field [field ...]>")
            ,
    )
    .keys(hashes::httl),
    Entry::new(
        Spec::new("hvals", 2, Group::Hash)
            .flags(&[READONLY])
            .categories(Categories::HASH)
            .keys(KEY_READ)
            .spread(Keys)
            .docs("Lists the values of all fields.", "2.0.0", "O(N) where N is the size of the hash.")
            .syntax("key")
            .tips(&["nondeterministic_output_order"]),
    )
    .keys(hashes::hvals),
];
