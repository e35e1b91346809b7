//! Tests of `support::commands`.

use std::collections::BTreeSet;

use crate::support::commands::Commands;

/// Every string, bitmap and key command that the server has.
const ALL: &[&str] = &[
    "APPEND",
    "BITCOUNT",
    "BITFIELD",
    "BITFIELD_RO",
    "BITOP",
    "BITPOS",
    "COPY",
    "DBSIZE",
    "DECR",
    "DECRBY",
    "DEL",
    "EXISTS",
    "EXPIRE",
    "EXPIREAT",
    "EXPIRETIME",
    "FLUSHALL",
    "FLUSHDB",
    "GET",
    "GETBIT",
    "GETDEL",
    "GETEX",
    "GETRANGE",
    "GETSET",
    "INCR",
    "INCRBY",
    "INCRBYFLOAT",
    "KEYS",
    "LCS",
    "MGET",
    "MOVE",
    "MSET",
    "MSETNX",
    "OBJECT",
    "PERSIST",
    "PEXPIRE",
    "PEXPIREAT",
    "PEXPIRETIME",
    "PSETEX",
    "PTTL",
    "RANDOMKEY",
    "RENAME",
    "RENAMENX",
    "SCAN",
    "SET",
    "SETBIT",
    "SETEX",
    "SETNX",
    "SETRANGE",
    "STRLEN",
    "SUBSTR",
    "SWAPDB",
    "TOUCH",
    "TTL",
    "TYPE",
    "UNLINK",
];

#[test]
fn draws_every_command() {
    let mut commands = Commands::new(1);
    let drawn: BTreeSet<String> = commands
        .chunk(20_000)
        .iter()
        .map(|command| String::from_utf8_lossy(&command.request[0]).to_uppercase())
        .collect();
    let missing: Vec<_> = ALL.iter().filter(|name| !drawn.contains(**name)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}");
}

#[test]
fn equal_seeds_give_equal_streams_and_others_do_not() {
    let stream = |seed| Commands::new(seed).chunk(500);
    assert_eq!(stream(1), stream(1));
    assert_ne!(stream(1), stream(2));
}
