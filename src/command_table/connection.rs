//! The commands about the connection itself and about other clients.

use super::words::*;
use crate::admin::{client, clients, connection, pause, tracking};

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("auth", -2, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY])
            .categories(Categories::CONNECTION)
            .docs(
                "Logs the connection in.",
                "1.0.0",
                "O(N) where N is the number of passwords defined for the user",
            )
            .syntax("[username@6.0.0] password")
            .history(&[("6.0.0", "Added ACL style (username and password).")]),
    )
    .session(connection::auth),
    Entry::new(Spec::new("client", -2, Group::Connection).docs(
        "Container of the commands about client connections.",
        "2.4.0",
        "Depends on subcommand.",
    ))
    .subcommands(CLIENT),
    Entry::new(
        Spec::new("echo", 2, Group::Connection)
            .flags(&[LOADING, STALE, FAST])
            .categories(Categories::CONNECTION)
            .docs("Answers with its argument.", "1.0.0", "O(1)")
            .syntax("message"),
    )
    .session(connection::echo),
    Entry::new(
        Spec::new("hello", -1, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY])
            .categories(Categories::CONNECTION)
            .docs(
                "Chooses the protocol version, and optionally logs in and names the connection.",
                "6.0.0",
                "O(1)",
            )
            .syntax("arguments: [protover [AUTH username password] [SETNAME clientname]]")
            .history(&[(
                "6.2.0",
                "`protover` made optional; when called without arguments the command reports \
                 the current connection's context.",
            )]),
    )
    .session(connection::hello),
    Entry::new(
        Spec::new("ping", -1, Group::Connection)
            .flags(&[FAST])
            .categories(Categories::CONNECTION)
            .docs("Answers PONG, or its argument, to show that the server is alive.", "1.0.0", "O(1)")
            .syntax("[message]")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    )
    .session(connection::ping),
    Entry::new(
        Spec::new("quit", -1, Group::Connection)
            .flags(&[ALLOW_BUSY, NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, UNQUEUED])
            .categories(Categories::CONNECTION)
            .docs("Ends the connection.", "1.0.0", "O(1)")
            .deprecated("7.2.0", "just closing the connection"),
    )
    .session(connection::quit),
    Entry::new(
        Spec::new("reset", 1, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY, UNQUEUED])
            .categories(Categories::CONNECTION)
            .docs("Brings the connection back to the state of a new one.", "6.2.0", "O(1)"),
    )
    .session(connection::reset),
    Entry::new(
        Spec::new("select", 2, Group::Connection)
            .flags(&[LOADING, STALE, FAST])
            .categories(Categories::CONNECTION)
            .docs("Chooses the connection's database.", "1.0.0", "O(1)")
            .syntax("index"),
    )
    .session(connection::select),
];

static CLIENT: &[Entry] = &[
    Entry::new(
        Spec::new("caching", 3, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Says whether this connection caches what the next command reads.", "6.0.0", "O(1)")
            .syntax("mode: <YES | NO>"),
    )
    .session(tracking::caching),
    Entry::new(
        Spec::new("durability", 3, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Says whether this connection's replies wait until what they tell is on stable storage.",
                "7.4.0",
                "O(1)",
            )
            .syntax("mode: <ALWAYS | RELAXED | DEFAULT>"),
    )
    .session(client::durability),
    Entry::new(
        Spec::new("getname", 2, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Tells the connection's name.", "2.6.9", "O(1)"),
    )
    .session(client::get_name),
    Entry::new(
        Spec::new("getredir", 2, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Tells which client receives this connection's invalidation messages.", "6.0.0", "O(1)"),
    )
    .session(tracking::get_redir),
    Entry::new(
        Spec::new("id", 2, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Tells the connection's number.", "5.0.0", "O(1)"),
    )
    .session(client::id),
    Entry::new(
        Spec::new("info", 2, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Describes this connection.", "6.2.0", "O(1)")
            .tips(&["nondeterministic_output"]),
    )
    .session(clients::info),
    Entry::new(
        Spec::new("kill", -3, Group::Connection)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Closes the connections that match.",
                "2.4.0",
                "O(N) where N is the number of client connections",
            )
            .syntax(
                "filter: <old-format: ip:port!2.8.12 | new-format: <[ID@2.8.12 client-id] | \
                 [client-type: TYPE@2.8.12 <NORMAL | MASTER@3.2.0 | SLAVE | REPLICA@5.0.0 | \
                 PUBSUB>] | [USER username] | [addr: ADDR ip:port] | [laddr: LADDR@6.2.0 \
                 ip:port] | [SKIPME <YES | NO>] | [MAXAGE@7.4.0 maxage] ...>>",
            )
            .history(&[
                ("2.8.12", "Added new filter format."),
                ("2.8.12", "`ID` option."),
                ("3.2.0", "Added `master` type in for `TYPE` option."),
                (
                    "5.0.0",
                    "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward \
                     compatibility.",
                ),
                ("6.2.0", "`LADDR` option."),
                ("7.4.0", "`MAXAGE` option."),
            ]),
    )
    .session(clients::kill),
    Entry::new(
        Spec::new("list", -2, Group::Connection)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Describes the open connections.",
                "2.4.0",
                "O(N) where N is the number of client connections",
            )
            .syntax(
                "[client-type: TYPE@5.0.0 <NORMAL | MASTER | REPLICA | PUBSUB>] [ID@6.2.0 \
                 client-id [client-id ...]]",
            )
            .history(&[
                ("2.8.12", "Added unique client `id` field."),
                ("5.0.0", "Added optional `TYPE` filter."),
                ("6.0.0", "Added `user` field."),
                (
                    "6.2.0",
                    "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional \
                     `ID` filter.",
                ),
                ("7.0.0", "Added `resp`, `multi-mem`, `rbs` and `rbp` fields."),
                ("7.0.3", "Added `ssub` field."),
            ])
            .tips(&["nondeterministic_output"]),
    )
    .session(clients::list),
    Entry::new(
        Spec::new("no-evict", 3, Group::Connection)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Exempts the connection from client eviction, or stops doing so.", "7.0.0", "O(1)")
            .syntax("enabled: <ON | OFF>"),
    )
    .session(client::no_evict),
    Entry::new(
        Spec::new("no-touch", 3, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Keeps this connection's reads from counting as use of a key, or stops doing so.",
                "7.2.0",
                "O(1)",
            )
            .syntax("enabled: <ON | OFF>"),
    )
    .session(client::no_touch),
    Entry::new(
        Spec::new("pause", -3, Group::Connection)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Holds back the commands of all clients for a while.", "3.0.0", "O(1)")
            .syntax("timeout mode: [WRITE | ALL]@6.2.0")
            .history(&[("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option.")]),
    )
    .session(pause::pause),
    Entry::new(
        Spec::new("reply", 3, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Switches the replies to this connection on, off, or off for one command.", "3.2.0", "O(1)")
            .syntax("action: <ON | OFF | SKIP>"),
    )
    .session(client::reply),
    Entry::new(
        Spec::new("setinfo", 4, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Records the client library's name or version.", "7.2.0", "O(1)")
            .syntax("attr: <LIB-NAME libname | LIB-VER libver>")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    )
    .session(client::set_info),
    Entry::new(
        Spec::new("setname", 3, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Names the connection.", "2.6.9", "O(1)")
            .syntax("connection-name")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    )
    .session(client::set_name),
    Entry::new(
        Spec::new("tracking", -3, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Sets up client-side caching for this connection, or ends it.",
                "6.0.0",
                "O(1). Some options may introduce additional complexity.",
            )
            .syntax(
                "status: <ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] \
                 [OPTIN] [OPTOUT] [NOLOOP]",
            ),
    )
    .session(tracking::tracking),
    Entry::new(
        Spec::new("trackinginfo", 2, Group::Connection)
            .flags(&[NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Tells how client-side caching is set up for this connection.", "6.2.0", "O(1)"),
    )
    .session(tracking::tracking_info),
    Entry::new(
        Spec::new("unblock", -3, Group::Connection)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs(
                "Wakes a client that waits in a blocking command.",
                "5.0.0",
                "O(log N) where N is the number of client connections",
            )
            .syntax("client-id unblock-type: [TIMEOUT | ERROR]"),
    )
    .session(clients::unblock),
    Entry::new(
        Spec::new("unpause", 2, Group::Connection)
            .flags(&[ADMIN, NOSCRIPT, LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Ends a pause of clients.", "6.2.0", "O(N) Where N is the number of paused clients"),
    )
    .session(pause::unpause),
    Entry::new(
        Spec::new("help", 2, Group::Connection)
            .flags(&[LOADING, STALE])
            .categories(Categories::CONNECTION)
            .docs("Lists the subcommands.", "5.0.0", "O(1)"),
    )
    .session(client::help),
];
