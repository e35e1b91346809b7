//! The list commands.

use super::words::*;
use crate::execute::lists;

/// A list that gets elements.
const KEY_GROW: &[KeySpec] = &[KeySpec::at(1, &[RW, INSERT])];
/// A list that gives elements away.
const KEY_POP: &[KeySpec] = &[KeySpec::at(1, &[RW, ACCESS, DELETE])];
/// Any number of such lists, and the timeout.
const KEYS_POP: &[KeySpec] = &[KeySpec::range(1, -2, 1, &[RW, ACCESS, DELETE])];
/// A list that gives, and one that gets.
const KEYS_MOVE: &[KeySpec] = &[KeySpec::at(1, &[RW, ACCESS, DELETE]), KeySpec::at(2, &[RW, INSERT])];

const PUSH_COMPLEXITY: &str = "O(1) for each element added";
const MANY_ELEMENTS: &[(&str, &str)] = &[("2.4.0", "Accepts multiple `element` arguments.")];
const MANY_ELEMENTS_IF_THERE: &[(&str, &str)] = &[("4.0.0", "Accepts multiple `element` arguments.")];
const COUNT_ADDED: &[(&str, &str)] = &[("6.2.0", "Added the `count` argument.")];
const TIMEOUT_IS_DOUBLE: &[(&str, &str)] =
    &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")];

const fn row(name: &'static str, arity: i32, flags: &[Flags]) -> Spec {
    Spec::new(name, arity, Group::List).flags(flags).categories(Categories::LIST).spread(Keys)
}

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        row("blmove", 6, &[WRITE, DENYOOM, BLOCKING])
            .keys(KEYS_MOVE)
            .docs(
                "Moves an element from one list to another, waiting for one if there is none.",
                "6.2.0",
                "O(1)",
            )
            .syntax(
                "source/key destination/key wherefrom: <LEFT | RIGHT> whereto: <LEFT | RIGHT> timeout/double",
            ),
    )
    .keys(lists::blmove),
    Entry::new(
        row("blmpop", -5, &[WRITE, BLOCKING])
            .keys(&[KeySpec::counted(2, &[RW, ACCESS, DELETE])])
            .docs(
                "Removes elements of the first list that has any, waiting if none has.",
                "7.0.0",
                "O(N+M) where N is the number of keys and M the number of elements returned",
            )
            .syntax("timeout/double numkeys/integer key [key ...] where: <LEFT | RIGHT> [COUNT count]"),
    )
    .keys(lists::blmpop),
    Entry::new(
        row("blpop", -3, &[WRITE, BLOCKING])
            .keys(KEYS_POP)
            .docs(
                "Removes the first element of the first list that has any, waiting if none has.",
                "2.0.0",
                "O(N) where N is the number of keys",
            )
            .syntax("key [key ...] timeout/double")
            .history(TIMEOUT_IS_DOUBLE),
    )
    .keys(lists::blpop),
    Entry::new(
        row("brpop", -3, &[WRITE, BLOCKING])
            .keys(KEYS_POP)
            .docs(
                "Removes the last element of the first list that has any, waiting if none has.",
                "2.0.0",
                "O(N) where N is the number of keys",
            )
            .syntax("key [key ...] timeout/double")
            .history(TIMEOUT_IS_DOUBLE),
    )
    .keys(lists::brpop),
    Entry::new(
        row("brpoplpush", 4, &[WRITE, DENYOOM, BLOCKING])
            .keys(KEYS_MOVE)
            .docs(
                "Moves the last element of a list to the head of another, waiting for one if needed.",
                "2.2.0",
                "O(1)",
            )
            .syntax("source/key destination/key timeout/double")
            .history(TIMEOUT_IS_DOUBLE)
            .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    )
    .keys(lists::brpoplpush),
    Entry::new(
        row("lindex", 3, &[READONLY])
            .keys(KEY_READ)
            .docs(
                "Reads an element of a list by its index.",
                "1.0.0",
                "O(N) where N is the number of elements between the index and the nearer end",
            )
            .syntax("key index"),
    )
    .keys(lists::lindex),
    Entry::new(
        row("linsert", 5, &[WRITE, DENYOOM])
            .keys(KEY_GROW)
            .docs(
                "Inserts an element into a list, before or after another.",
                "2.2.0",
                "O(N) where N is the number of elements before the pivot",
            )
            .syntax("key where: <BEFORE | AFTER> pivot element"),
    )
    .keys(lists::linsert),
    Entry::new(
        row("llen", 2, &[READONLY, FAST])
            .keys(KEY_LOOK)
            .docs("Counts the elements of a list.", "1.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(lists::llen),
    Entry::new(
        row("lmove", 5, &[WRITE, DENYOOM])
            .keys(KEYS_MOVE)
            .docs("Moves an element from one list to another.", "6.2.0", "O(1)")
            .syntax("source/key destination/key wherefrom: <LEFT | RIGHT> whereto: <LEFT | RIGHT>"),
    )
    .keys(lists::lmove),
    Entry::new(
        row("lmpop", -4, &[WRITE])
            .keys(&[KeySpec::counted(1, &[RW, ACCESS, DELETE])])
            .docs(
                "Removes elements of the first list that has any.",
                "7.0.0",
                "O(N+M) where N is the number of keys and M the number of elements returned",
            )
            .syntax("numkeys/integer key [key ...] where: <LEFT | RIGHT> [COUNT count]"),
    )
    .keys(lists::lmpop),
    Entry::new(
        row("lpop", -2, &[WRITE, FAST])
            .keys(KEY_POP)
            .docs(
                "Removes the first elements of a list and returns them.",
                "1.0.0",
                "O(N) where N is the number of elements returned",
            )
            .syntax("key [count@6.2.0]")
            .history(COUNT_ADDED),
    )
    .keys(lists::lpop),
    Entry::new(
        row("lpos", -3, &[READONLY])
            .keys(KEY_READ)
            .docs(
                "Tells the indexes of elements that equal a value.",
                "6.0.6",
                "O(N) where N is the number of elements looked at",
            )
            .syntax("key element [RANK rank/integer] [COUNT num-matches/integer] [MAXLEN len/integer]"),
    )
    .keys(lists::lpos),
    Entry::new(
        row("lpush", -3, &[WRITE, DENYOOM, FAST])
            .keys(KEY_GROW)
            .docs(
                "Adds elements before the first of a list, which is created if needed.",
                "1.0.0",
                PUSH_COMPLEXITY,
            )
            .syntax("key element [element ...]")
            .history(MANY_ELEMENTS),
    )
    .keys(lists::lpush),
    Entry::new(
        row("lpushx", -3, &[WRITE, DENYOOM, FAST])
            .keys(KEY_GROW)
            .docs("Adds elements before the first of a list that exists.", "2.2.0", PUSH_COMPLEXITY)
            .syntax("key element [element ...]")
            .history(MANY_ELEMENTS_IF_THERE),
    )
    .keys(lists::lpushx),
    Entry::new(
        row("lrange", 4, &[READONLY])
            .keys(KEY_READ)
            .docs(
                "Reads a range of elements of a list.",
                "1.0.0",
                "O(S+N) where S is the distance of the start from the nearer end and N the number of elements \
                 returned",
            )
            .syntax("key start stop/integer"),
    )
    .keys(lists::lrange),
    Entry::new(
        row("lrem", 4, &[WRITE])
            .keys(&[KeySpec::at(1, &[RW, DELETE])])
            .docs(
                "Removes elements that equal a value.",
                "1.0.0",
                "O(N) where N is the length of the list",
            )
            .syntax("key count element"),
    )
    .keys(lists::lrem),
    Entry::new(
        row("lset", 4, &[WRITE, DENYOOM])
            .keys(KEY_UPDATE)
            .docs(
                "Replaces an element of a list by its index.",
                "1.0.0",
                "O(N) where N is the number of elements between the index and the nearer end",
            )
            .syntax("key index element"),
    )
    .keys(lists::lset),
    Entry::new(
        row("ltrim", 4, &[WRITE])
            .keys(&[KeySpec::at(1, &[RW, DELETE])])
            .docs(
                "Removes all but a range of elements of a list.",
                "1.0.0",
                "O(N) where N is the number of elements removed",
            )
            .syntax("key start stop/integer"),
    )
    .keys(lists::ltrim),
    Entry::new(
        row("rpop", -2, &[WRITE, FAST])
            .keys(KEY_POP)
            .docs(
                "Removes the last elements of a list and returns them.",
                "1.0.0",
                "O(N) where N is the number of elements returned",
            )
            .syntax("key [count@6.2.0]")
            .history(COUNT_ADDED),
    )
    .keys(lists::rpop),
    Entry::new(
        row("rpoplpush", 3, &[WRITE, DENYOOM])
            .keys(KEYS_MOVE)
            .docs("Moves the last element of a list to the head of another.", "1.2.0", "O(1)")
            .syntax("source/key destination/key")
            .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
    )
    .keys(lists::rpoplpush),
    Entry::new(
        row("rpush", -3, &[WRITE, DENYOOM, FAST])
            .keys(KEY_GROW)
            .docs(
                "Adds elements behind the last of a list, which is created if needed.",
                "1.0.0",
                PUSH_COMPLEXITY,
            )
            .syntax("key element [element ...]")
            .history(MANY_ELEMENTS),
    )
    .keys(lists::rpush),
    Entry::new(
        row("rpushx", -3, &[WRITE, DENYOOM, FAST])
            .keys(KEY_GROW)
            .docs("Adds elements behind the last of a list that exists.", "2.2.0", PUSH_COMPLEXITY)
            .syntax("key element [element ...]")
            .history(MANY_ELEMENTS_IF_THERE),
    )
    .keys(lists::rpushx),
];
