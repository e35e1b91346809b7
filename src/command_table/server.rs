//! The commands about the server.

use super::words::*;
use crate::admin::{self, monitor};
use crate::execute::keys;

pub(super) static ROWS: &[Entry] = &[
    Entry::new(Spec::new("bgrewriteaof", 1, Group::Server).flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING]).docs(
        "Has the append-only log begin anew with what there is now.",
        "1.0.0",
        "O(1)",
    ))
    .session(admin::bgrewriteaof),
    Entry::new(
        Spec::new("bgsave", -1, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, NO_ASYNC_LOADING])
            .docs("Writes a snapshot of all databases while clients are served.", "1.0.0", "O(1)")
            .syntax("[SCHEDULE@3.2.2]")
            .history(&[("3.2.2", "Added the `SCHEDULE` option.")]),
    )
    .session(admin::bgsave),
    Entry::new(
        Spec::new("command", -1, Group::Server)
            .flags(&[LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Describes every command of the server.",
                "2.8.13",
                "O(N) where N is the total number of Redis commands",
            )
            .tips(&["nondeterministic_output_order"]),
    )
    .session(admin::command)
    .subcommands(COMMAND),
    Entry::new(Spec::new("config", -2, Group::Server).docs(
        "Container of the commands about the server's configuration.",
        "2.0.0",
        "Depends on subcommand.",
    ))
    .subcommands(CONFIG),
    Entry::new(
        Spec::new("dbsize", 1, Group::Server)
            .flags(&[READONLY, FAST])
            .categories(Categories::KEYSPACE)
            .spread(Shards(Sum))
            .docs("Counts the keys of the database.", "1.0.0", "O(1)")
            .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    )
    .keys(keys::dbsize),
    Entry::new(
        Spec::new("debug", -2, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, PROTECTED, SYSTEM])
            .docs(
                "Container of the commands for testing and debugging the server.",
                "1.0.0",
                "Depends on subcommand.",
            ),
    )
    .session(admin::debug)
    .unlisted(DEBUG),
    Entry::new(
        Spec::new("flushall", -1, Group::Server)
            .flags(&[WRITE])
            .categories(Categories::KEYSPACE)
            .categories(Categories::DANGEROUS)
            .spread(Shards(Same))
            .docs(
                "Empties all databases.",
                "1.0.0",
                "O(N) where N is the total number of keys in all databases",
            )
            .syntax("flush-type: [ASYNC@4.0.0 | SYNC@6.2.0]")
            .history(&[
                ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
                ("6.2.0", "Added the `SYNC` flushing mode modifier."),
            ])
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    )
    .keys(keys::flushall),
    Entry::new(
        Spec::new("flushdb", -1, Group::Server)
            .flags(&[WRITE])
            .categories(Categories::KEYSPACE)
            .categories(Categories::DANGEROUS)
            .spread(Shards(Same))
            .docs(
                "Empties the current database.",
                "1.0.0",
                "O(N) where N is the number of keys in the selected database",
            )
            .syntax("flush-type: [ASYNC@4.0.0 | SYNC@6.2.0]")
            .history(&[
                ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
                ("6.2.0", "Added the `SYNC` flushing mode modifier."),
            ])
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    )
    .keys(keys::flushdb),
    Entry::new(
        Spec::new("info", -1, Group::Server)
            .flags(&[LOADING, STALE])
            .categories(Categories::DANGEROUS)
            .docs("Reports state and statistics of the server.", "1.0.0", "O(1)")
            .syntax("[section [section ...]]")
            .history(&[("7.0.0", "Added support for taking multiple section arguments.")])
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    )
    .session(admin::info),
    Entry::new(
        Spec::new("lastsave", 1, Group::Server)
            .flags(&[LOADING, STALE, FAST])
            .categories(Categories::ADMIN)
            .categories(Categories::DANGEROUS)
            .docs("Tells when the last snapshot was completed, as a Unix time.", "1.0.0", "O(1)")
            .tips(&["nondeterministic_output"]),
    )
    .session(admin::lastsave),
    Entry::new(Spec::new("latency", -2, Group::Server).docs(
        "Container of the commands about latency.",
        "2.8.13",
        "Depends on subcommand.",
    ))
    .subcommands(LATENCY),
    Entry::new(
        Spec::new("lolwut", -1, Group::Server)
            .flags(&[READONLY, FAST])
            .docs("Draws a picture and tells the version.", "5.0.0", "")
            .syntax("[VERSION version]"),
    )
    .session(admin::lolwut),
    Entry::new(Spec::new("memory", -2, Group::Server).docs(
        "Container of the commands about memory.",
        "4.0.0",
        "Depends on subcommand.",
    ))
    .subcommands(MEMORY),
    Entry::new(Spec::new("monitor", 1, Group::Server).flags(&[ADMIN, NOSCRIPT, LOADING, STALE]).docs(
        "Streams every command that the server receives.",
        "1.0.0",
        "",
    ))
    .session(monitor::monitor),
    Entry::new(
        Spec::new("save", 1, Group::Server).flags(&[ADMIN, NOSCRIPT, NO_MULTI, NO_ASYNC_LOADING]).docs(
            "Writes a snapshot of all databases and answers when it is complete.",
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
        ),
    )
    .session(admin::save),
    Entry::new(
        Spec::new("shutdown", -1, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE, NO_MULTI, ALLOW_BUSY])
            .docs(
                "Saves what is to be saved and stops the server.",
                "1.0.0",
                "O(N) when saving, where N is the number of keys in all databases, otherwise O(1)",
            )
            .syntax("save-selector: [NOSAVE | SAVE] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]")
            .history(&[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")]),
    )
    .session(admin::shutdown),
    Entry::new(Spec::new("slowlog", -2, Group::Server).docs(
        "Container of the commands about the slow log.",
        "2.2.12",
        "Depends on subcommand.",
    ))
    .subcommands(SLOWLOG),
    Entry::new(
        Spec::new("swapdb", 3, Group::Server)
            .flags(&[WRITE, FAST])
            .categories(Categories::KEYSPACE)
            .categories(Categories::DANGEROUS)
            .spread(Shards(Same))
            .docs(
                "Exchanges two databases.",
                "4.0.0",
                "O(N) where N is the count of clients watching or blocking on keys from both \
                 databases.",
            )
            .syntax("index1 index2"),
    )
    .keys(keys::swapdb),
    Entry::new(
        Spec::new("time", 1, Group::Server)
            .flags(&[LOADING, STALE, FAST])
            .docs("Tells the server's time.", "2.6.0", "O(1)")
            .tips(&["nondeterministic_output"]),
    )
    .session(admin::time),
];

static COMMAND: &[Entry] = &[
    Entry::new(
        Spec::new("count", 2, Group::Server)
            .flags(&[LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Counts the commands.", "2.8.13", "O(1)"),
    )
    .session(admin::command_count),
    Entry::new(
        Spec::new("docs", -2, Group::Server)
            .flags(&[LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Documents all commands or those named.",
                "7.0.0",
                "O(N) where N is the number of commands to look up",
            )
            .syntax("[command-name [command-name ...]]")
            .tips(&["nondeterministic_output_order"]),
    )
    .session(admin::command_docs),
    Entry::new(
        Spec::new("getkeys", -3, Group::Server)
            .flags(&[LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Picks the keys out of a full command.",
                "2.8.13",
                "O(N) where N is the number of arguments to the command",
            )
            .syntax("command [arg [arg ...]]"),
    )
    .session(admin::command_getkeys),
    Entry::new(
        Spec::new("getkeysandflags", -3, Group::Server)
            .flags(&[LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Picks the keys out of a full command and tells how each is accessed.",
                "7.0.0",
                "O(N) where N is the number of arguments to the command",
            )
            .syntax("command [arg [arg ...]]"),
    )
    .session(admin::command_getkeysandflags),
    Entry::new(
        Spec::new("info", -2, Group::Server)
            .flags(&[LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Describes all commands or those named.",
                "2.8.13",
                "O(N) where N is the number of commands to look up",
            )
            .syntax("[command-name [command-name ...]]")
            .history(&[("7.0.0", "Allowed to be called with no argument to get info on all commands.")])
            .tips(&["nondeterministic_output_order"]),
    )
    .session(admin::command_info),
    Entry::new(
        Spec::new("list", -2, Group::Server)
            .flags(&[LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Lists the names of commands, filtered if asked for.",
                "7.0.0",
                "O(N) where N is the total number of Redis commands",
            )
            .syntax("[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]")
            .tips(&["nondeterministic_output_order"]),
    )
    .session(admin::command_list),
    Entry::new(
        Spec::new("help", 2, Group::Server).flags(&[LOADING, STALE]).categories(Categories::CONNECTION).docs(
            "Lists the subcommands.",
            "5.0.0",
            "O(1)",
        ),
    )
    .session(admin::help),
];

static CONFIG: &[Entry] = &[
    Entry::new(
        Spec::new("get", -3, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs(
                "Shows parameters by name or pattern.",
                "2.0.0",
                "O(N) when N is the number of configuration parameters provided",
            )
            .syntax("parameter [parameter ...]")
            .history(&[("7.0.0", "Added the ability to pass multiple pattern parameters in one call")]),
    )
    .session(admin::config_get),
    Entry::new(
        Spec::new("resetstat", 2, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs("Sets the counters that INFO shows back to zero.", "2.0.0", "O(1)")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    )
    .session(admin::config_resetstat),
    Entry::new(
        Spec::new("rewrite", 2, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs("Writes the configuration in effect to the configuration file.", "2.8.0", "O(1)")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    )
    .session(admin::config_rewrite),
    Entry::new(
        Spec::new("set", -4, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs(
                "Changes parameters while the server runs.",
                "2.0.0",
                "O(N) when N is the number of configuration parameters provided",
            )
            .syntax("parameter value data: [parameter value ...]")
            .history(&[("7.0.0", "Added the ability to set multiple parameters in one call.")])
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    )
    .session(admin::config_set),
    Entry::new(Spec::new("help", 2, Group::Server).flags(&[LOADING, STALE]).docs(
        "Lists the subcommands.",
        "5.0.0",
        "O(1)",
    ))
    .session(admin::help),
];

static LATENCY: &[Entry] = &[
    Entry::new(
        Spec::new("doctor", 2, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs("Explains the latency seen so far in prose.", "2.8.13", "O(1)")
            .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    )
    .session(admin::latency_doctor),
    Entry::new(
        Spec::new("graph", 3, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs("Draws an event's latency as text.", "2.8.13", "O(1)")
            .syntax("event")
            .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    )
    .session(admin::latency_graph),
    Entry::new(
        Spec::new("histogram", -2, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs(
                "Shows how the latencies of commands are distributed.",
                "7.0.0",
                "O(N) where N is the number of commands with latency information being retrieved.",
            )
            .syntax("[command [command ...]]")
            .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    )
    .session(admin::latency_histogram),
    Entry::new(
        Spec::new("history", 3, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs("Lists an event's samples, each with its time.", "2.8.13", "O(1)")
            .syntax("event")
            .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    )
    .session(admin::latency_history),
    Entry::new(
        Spec::new("latest", 2, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs("Shows the newest sample of each event.", "2.8.13", "O(1)")
            .tips(&["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]),
    )
    .session(admin::latency_latest),
    Entry::new(
        Spec::new("reset", -2, Group::Server)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .docs("Forgets the samples of all events or those named.", "2.8.13", "O(1)")
            .syntax("[event [event ...]]")
            .tips(&["request_policy:all_nodes", "response_policy:agg_sum"]),
    )
    .session(admin::latency_reset),
    Entry::new(Spec::new("help", 2, Group::Server).flags(&[LOADING, STALE]).docs(
        "Lists the subcommands.",
        "2.8.13",
        "O(1)",
    ))
    .session(admin::help),
];

static MEMORY: &[Entry] = &[
    Entry::new(
        Spec::new("doctor", 2, Group::Server)
            .docs("Looks for problems with memory and reports them in prose.", "4.0.0", "O(1)")
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    )
    .session(admin::memory_doctor),
    Entry::new(
        Spec::new("malloc-stats", 2, Group::Server)
            .docs(
                "Shows the allocator's own statistics.",
                "4.0.0",
                "Depends on how much memory is allocated, could be slow",
            )
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    )
    .session(admin::memory_malloc_stats),
    Entry::new(
        Spec::new("purge", 2, Group::Server)
            .docs(
                "Makes the allocator give unused memory back.",
                "4.0.0",
                "Depends on how much memory is allocated, could be slow",
            )
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    )
    .session(admin::memory_purge),
    Entry::new(
        Spec::new("stats", 2, Group::Server).docs("Shows where memory goes.", "4.0.0", "O(1)").tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ]),
    )
    .session(admin::memory_stats),
    Entry::new(
        Spec::new("usage", -3, Group::Server)
            .flags(&[READONLY])
            .keys(SUBCOMMAND_KEY_LOOK)
            .spread(Keys)
            .docs(
                "Estimates the bytes that a key and its value take.",
                "4.0.0",
                "O(N) where N is the number of samples.",
            )
            .syntax("key [SAMPLES count]"),
    )
    .keys(keys::memory_usage),
    Entry::new(Spec::new("help", 2, Group::Server).flags(&[LOADING, STALE]).docs(
        "Lists the subcommands.",
        "4.0.0",
        "O(1)",
    ))
    .session(admin::help),
];

static SLOWLOG: &[Entry] = &[
    Entry::new(
        Spec::new("get", -2, Group::Server)
            .flags(&[ADMIN, LOADING, STALE])
            .docs("Lists the newest entries.", "2.2.12", "O(N) where N is the number of entries returned")
            .syntax("[count]")
            .history(&[("4.0.0", "Added client IP address, port and name to the reply.")])
            .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
    )
    .session(admin::slowlog_get),
    Entry::new(
        Spec::new("len", 2, Group::Server)
            .flags(&[ADMIN, LOADING, STALE])
            .docs("Counts the entries.", "2.2.12", "O(1)")
            .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    )
    .session(admin::slowlog_len),
    Entry::new(
        Spec::new("reset", 2, Group::Server)
            .flags(&[ADMIN, LOADING, STALE])
            .docs("Removes all entries.", "2.2.12", "O(N) where N is the number of entries in the slowlog")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    )
    .session(admin::slowlog_reset),
    Entry::new(Spec::new("help", 2, Group::Server).flags(&[LOADING, STALE]).docs(
        "Lists the subcommands.",
        "6.2.0",
        "O(1)",
    ))
    .session(admin::help),
];

static DEBUG: &[(&str, &str)] = &[
    ("change-repl-id", "Gives the data set's history another name."),
    (
        "config-rewrite-force-all",
        "Rewrites the configuration file with every parameter in it, also those with default values.",
    ),
    ("digest", "Shows a digest of the data set."),
    ("digest-value key [key ...]", "Shows digests of the values of the keys."),
    ("error message", "Answers with the message as an error."),
    ("htstats db [FULL]", "Shows how the tables of a database's keys are filled."),
    ("htstats-key key [FULL]", "Shows how large the hash table of the key's value is."),
    ("listpack key", "Writes the listpack of the key's value to the standard output."),
    ("log message", "Writes the message to the server's log."),
    ("object key", "Shows how the key's value is held."),
    ("pause-cron <0 | 1>", "Stops the periodic work, or lets it go on."),
    ("populate count [prefix] [size/integer]", "Creates that many keys with strings."),
    ("protocol type", "Answers with a sample of a reply type."),
    ("quicklist-packed-threshold size", "Accepted without effect: lists have no such threshold."),
    (
        "quicklist key [0 | 1]",
        "Writes the nodes of the key's list to the standard output, with their elements if 1.",
    ),
    ("replybuffer option value", "Accepted without effect: reply buffers have no fixed size."),
    ("sdslen key", "Shows the lengths of a key and its string."),
    ("set-active-expire <0 | 1>", "Stops removing expired keys that nobody asks for, or lets it go on."),
    ("set-disable-deny-scripts <0 | 1>", "Lets scripts call commands that they must not call, or no more."),
    ("sleep seconds/double", "Does nothing for that long, on every core."),
];
