//! The commands on sorted sets.

use super::words::*;
use crate::execute::sorted_sets;

const fn command(name: &'static str, arity: i32) -> Spec {
    Spec::new(name, arity, Group::SortedSet).categories(Categories::SORTEDSET).spread(Keys)
}

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        command("bzmpop", -5)
            .flags(&[WRITE, BLOCKING])
            .keys(&[KeySpec::counted(2, POP)])
            .docs(
                "Takes members from one end of the first sorted set that has any, and waits for one.",
                "7.0.0",
                "O(K) + O(M*log(N)) for K keys, N members and M popped ones",
            )
            .syntax("timeout/double numkeys key [key ...] where: <MIN | MAX> [COUNT count]"),
    )
    .keys(sorted_sets::bzmpop),
    Entry::new(
        command("bzpopmax", -3)
            .flags(&[WRITE, FAST, BLOCKING])
            .keys(&[KeySpec::range(1, -2, 1, POP)])
            .docs(
                "Takes the member with the highest score from the first sorted set that has any, and waits for one.",
                "5.0.0",
                "O(log(N)) for N members",
            )
            .syntax("key [key ...] timeout/double")
            .history(&[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")]),
    )
    .keys(sorted_sets::bzpopmax),
    Entry::new(
        command("bzpopmin", -3)
            .flags(&[WRITE, FAST, BLOCKING])
            .keys(&[KeySpec::range(1, -2, 1, POP)])
            .docs(
                "Takes the member with the lowest score from the first sorted set that has any, and waits for one.",
                "5.0.0",
                "O(log(N)) for N members",
            )
            .syntax("key [key ...] timeout/double")
            .history(&[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")]),
    )
    .keys(sorted_sets::bzpopmin),
    Entry::new(
        command("zadd", -4).field(3)
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(KEY_UPDATE)
            .docs(
                "Adds members with scores to a sorted set, or changes their scores.",
                "1.2.0",
                "O(log(N)) for each member, N being the size of the sorted set",
            )
            .syntax(
                "key condition: [NX | XX]@3.0.2 comparison: [GT | LT]@6.2.0 [change: CH@3.0.2] \
                 [increment: INCR@3.0.2] score/double member data: [score/double member ...]",
            )
            .history(&[
                ("2.4.0", "Accepts multiple elements."),
                ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
                ("6.2.0", "Added the `GT` and `LT` options."),
            ]),
    )
    .keys(sorted_sets::zadd),
    Entry::new(
        command("zcard", 2)
            .flags(&[READONLY, FAST])
            .keys(KEY_LOOK)
            .docs("Says how many members a sorted set has.", "1.2.0", "O(1)")
            .syntax("key"),
    )
    .keys(sorted_sets::zcard),
    Entry::new(
        command("zcount", 4)
            .flags(&[READONLY, FAST])
            .keys(KEY_READ)
            .docs("Counts the members with scores in a range.", "2.0.0", "O(log(N)) for N members")
            .syntax("key min/double max/double"),
    )
    .keys(sorted_sets::zcount),
    Entry::new(
        command("zdiff", -3)
            .flags(&[READONLY])
            .keys(&[KeySpec::counted(1, &[RO, ACCESS])])
            .docs(
                "Returns the members of the first sorted set that no other one has.",
                "6.2.0",
                "O(N*M + K*log(K)) for M inputs, the first of N members, and K results",
            )
            .syntax("numkeys key [key ...] [WITHSCORES]"),
    )
    .keys(sorted_sets::zdiff),
    Entry::new(
        command("zdiffstore", -4)
            .flags(&[WRITE, DENYOOM])
            .keys(STORE)
            .docs(
                "Stores the members of the first sorted set that no other one has.",
                "6.2.0",
                "O(N*M + K*log(K)) for M inputs, the first of N members, and K results",
            )
            .syntax("destination/key numkeys key [key ...]"),
    )
    .keys(sorted_sets::zdiffstore),
    Entry::new(
        command("zincrby", 4).field(3)
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(KEY_MODIFY)
            .docs("Adds to the score of a member.", "1.2.0", "O(log(N)) for N members")
            .syntax("key increment member"),
    )
    .keys(sorted_sets::zincrby),
    Entry::new(
        command("zinter", -3)
            .flags(&[READONLY])
            .keys(&[KeySpec::counted(1, &[RO, ACCESS])])
            .docs("Returns the members that all sorted sets have.", "6.2.0", INTERSECTION)
            .syntax(
                "numkeys key [key ...] [WEIGHTS weight/integer [weight/integer ...]] [AGGREGATE \
                 aggregate: <SUM | MIN | MAX>] [WITHSCORES]",
            ),
    )
    .keys(sorted_sets::zinter),
    Entry::new(
        command("zintercard", -3)
            .flags(&[READONLY])
            .keys(&[KeySpec::counted(1, &[RO, ACCESS])])
            .docs(
                "Counts the members that all sorted sets have.",
                "7.0.0",
                "O(N*K) for K inputs, the smallest of N members",
            )
            .syntax("numkeys key [key ...] [LIMIT limit/integer]"),
    )
    .keys(sorted_sets::zintercard),
    Entry::new(
        command("zinterstore", -4)
            .flags(&[WRITE, DENYOOM])
            .keys(STORE)
            .docs("Stores the members that all sorted sets have.", "2.0.0", INTERSECTION)
            .syntax(
                "destination/key numkeys key [key ...] [WEIGHTS weight/integer [weight/integer ...]] \
                 [AGGREGATE aggregate: <SUM | MIN | MAX>]",
            ),
    )
    .keys(sorted_sets::zinterstore),
    Entry::new(
        command("zlexcount", 4)
            .flags(&[READONLY, FAST])
            .keys(KEY_READ)
            .docs(
                "Counts the members in a lexicographical range.",
                "2.8.9",
                "O(log(N)) for N members",
            )
            .syntax("key min max"),
    )
    .keys(sorted_sets::zlexcount),
    Entry::new(
        command("zmpop", -4)
            .flags(&[WRITE])
            .keys(&[KeySpec::counted(1, POP)])
            .docs(
                "Takes members from one end of the first sorted set that has any.",
                "7.0.0",
                "O(K) + O(M*log(N)) for K keys, N members and M popped ones",
            )
            .syntax("numkeys key [key ...] where: <MIN | MAX> [COUNT count]"),
    )
    .keys(sorted_sets::zmpop),
    Entry::new(
        command("zmscore", -3).field(2)
            .flags(&[READONLY, FAST])
            .keys(KEY_READ)
            .docs("Returns the scores of members.", "6.2.0", "O(N) for N members asked for")
            .syntax("key member [member ...]"),
    )
    .keys(sorted_sets::zmscore),
    Entry::new(
        command("zpopmax", -2)
            .flags(&[WRITE, FAST])
            .keys(KEY_POP)
            .docs(
                "Takes the members with the highest scores from a sorted set.",
                "5.0.0",
                "O(log(N)*M) for N members and M popped ones",
            )
            .syntax("key [count]"),
    )
    .keys(sorted_sets::zpopmax),
    Entry::new(
        command("zpopmin", -2)
            .flags(&[WRITE, FAST])
            .keys(KEY_POP)
            .docs(
                "Takes the members with the lowest scores from a sorted set.",
                "5.0.0",
                "O(log(N)*M) for N members and M popped ones",
            )
            .syntax("key [count]"),
    )
    .keys(sorted_sets::zpopmin),
    Entry::new(
        command("zrandmember", -2)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns members drawn at random.", "6.2.0", "O(N*log(M)) for N drawn of M members")
            .syntax("key options: [count [WITHSCORES]]")
            .tips(&["nondeterministic_output"]),
    )
    .keys(sorted_sets::zrandmember),
    Entry::new(
        command("zrange", -4)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns a range of members.", "1.2.0", RANGE)
            .syntax(
                "key start/string stop sortby: [BYSCORE | BYLEX]@6.2.0 [REV@6.2.0] [LIMIT@6.2.0 offset count] \
                 [WITHSCORES]",
            )
            .history(&[("6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.")]),
    )
    .keys(sorted_sets::zrange),
    Entry::new(
        command("zrangebylex", -4)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns the members in a lexicographical range.", "2.8.9", RANGE)
            .syntax("key min max [LIMIT offset count]")
            .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    )
    .keys(sorted_sets::zrangebylex),
    Entry::new(
        command("zrangebyscore", -4)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns the members with scores in a range.", "1.0.5", RANGE)
            .syntax("key min/double max/double [WITHSCORES@2.0.0] [LIMIT offset count]")
            .history(&[("2.0.0", "Added the `WITHSCORES` modifier.")])
            .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    )
    .keys(sorted_sets::zrangebyscore),
    Entry::new(
        command("zrangestore", -5)
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::at(1, &[OW, UPDATE]), KeySpec::at(2, &[RO, ACCESS])])
            .docs("Stores a range of members in another key.", "6.2.0", RANGE)
            .syntax(
                "dst/key src/key min max sortby: [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
            ),
    )
    .keys(sorted_sets::zrangestore),
    Entry::new(
        command("zrank", -3).field(2)
            .flags(&[READONLY, FAST])
            .keys(KEY_READ)
            .docs("Returns the rank of a member, counted from the lowest score.", "2.0.0", "O(log(N))")
            .syntax("key member [WITHSCORE]")
            .history(&[("7.2.0", "Added the optional `WITHSCORE` argument.")]),
    )
    .keys(sorted_sets::zrank),
    Entry::new(
        command("zrem", -3).field(2)
            .flags(&[WRITE, FAST])
            .keys(KEY_REMOVE)
            .docs(
                "Removes members from a sorted set.",
                "1.2.0",
                "O(M*log(N)) for N members and M removed ones",
            )
            .syntax("key member [member ...]")
            .history(&[("2.4.0", "Accepts multiple elements.")]),
    )
    .keys(sorted_sets::zrem),
    Entry::new(
        command("zremrangebylex", 4)
            .flags(&[WRITE])
            .keys(KEY_REMOVE)
            .docs("Removes the members in a lexicographical range.", "2.8.9", REMOVAL)
            .syntax("key min max"),
    )
    .keys(sorted_sets::zremrangebylex),
    Entry::new(
        command("zremrangebyrank", 4)
            .flags(&[WRITE])
            .keys(KEY_REMOVE)
            .docs("Removes the members with ranks in a range.", "2.0.0", REMOVAL)
            .syntax("key start stop/integer"),
    )
    .keys(sorted_sets::zremrangebyrank),
    Entry::new(
        command("zremrangebyscore", 4)
            .flags(&[WRITE])
            .keys(KEY_REMOVE)
            .docs("Removes the members with scores in a range.", "1.2.0", REMOVAL)
            .syntax("key min/double max/double"),
    )
    .keys(sorted_sets::zremrangebyscore),
    Entry::new(
        command("zrevrange", -4)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns a range of members, from the highest score down.", "1.2.0", RANGE)
            .syntax("key start stop/integer [WITHSCORES]")
            .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    )
    .keys(sorted_sets::zrevrange),
    Entry::new(
        command("zrevrangebylex", -4)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns the members in a lexicographical range, last one first.", "2.8.9", RANGE)
            .syntax("key max min [LIMIT offset count]")
            .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    )
    .keys(sorted_sets::zrevrangebylex),
    Entry::new(
        command("zrevrangebyscore", -4)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns the members with scores in a range, from the highest down.", "2.2.0", RANGE)
            .syntax("key max/double min/double [WITHSCORES] [LIMIT offset count]")
            .history(&[("2.1.6", "`min` and `max` can be exclusive.")])
            .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
    )
    .keys(sorted_sets::zrevrangebyscore),
    Entry::new(
        command("zrevrank", -3).field(2)
            .flags(&[READONLY, FAST])
            .keys(KEY_READ)
            .docs("Returns the rank of a member, counted from the highest score.", "2.0.0", "O(log(N))")
            .syntax("key member [WITHSCORE]")
            .history(&[("7.2.0", "Added the optional `WITHSCORE` argument.")]),
    )
    .keys(sorted_sets::zrevrank),
    Entry::new(
        command("zscan", -3)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs(
                "Goes over the members of a sorted set in steps.",
                "2.8.0",
                "O(1) for each call, O(N) for all N members",
            )
            .syntax("key cursor [MATCH pattern] [COUNT count]")
            .tips(&["nondeterministic_output"]),
    )
    .keys(sorted_sets::zscan),
    Entry::new(
        command("zscore", 3).field(2)
            .flags(&[READONLY, FAST])
            .keys(KEY_READ)
            .docs("Returns the score of a member.", "1.2.0", "O(1)")
            .syntax("key member"),
    )
    .keys(sorted_sets::zscore),
    Entry::new(
        command("zunion", -3)
            .flags(&[READONLY])
            .keys(&[KeySpec::counted(1, &[RO, ACCESS])])
            .docs("Returns the members that any of the sorted sets has.", "6.2.0", UNION)
            .syntax(
                "numkeys key [key ...] [WEIGHTS weight/integer [weight/integer ...]] [AGGREGATE \
                 aggregate: <SUM | MIN | MAX>] [WITHSCORES]",
            ),
    )
    .keys(sorted_sets::zunion),
    Entry::new(
        command("zunionstore", -4)
            .flags(&[WRITE, DENYOOM])
            .keys(STORE)
            .docs("Stores the members that any of the sorted sets has.", "2.0.0", UNION)
            .syntax(
                "destination/key numkeys key [key ...] [WEIGHTS weight/integer [weight/integer ...]] \
                 [AGGREGATE aggregate: <SUM | MIN | MAX>]",
            ),
    )
    .keys(sorted_sets::zunionstore),
];

const POP: &[KeyFlags] = &[RW, ACCESS, DELETE];
const KEY_POP: &[KeySpec] = &[KeySpec::at(1, POP)];
const KEY_REMOVE: &[KeySpec] = &[KeySpec::at(1, &[RW, DELETE])];
const STORE: &[KeySpec] = &[KeySpec::at(1, &[OW, UPDATE]), KeySpec::counted(2, &[RO, ACCESS])];

const RANGE: &str = "O(log(N)+M) for N members and M returned or stored ones";
const REMOVAL: &str = "O(M*log(N)) for N members and M removed ones";
const INTERSECTION: &str = "O(N*K) + O(M*log(M)) for K inputs, the smallest of N members, and M results";
const UNION: &str = "O(N) + O(M*log(M)) for N members in all inputs and M results";
