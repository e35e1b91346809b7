//! The stream commands.

use super::words::*;
use crate::admin;
use crate::command::spec::{BeginSearch, FindKeys};
use crate::execute::streams;

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        Spec::new("xack", -4, Group::Stream)
            .flags(&[WRITE, FAST])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RW, UPDATE])])
            .spread(Keys)
            .docs("Marks entries that a consumer group was given as done.", "5.0.0", "O(1) for each ID")
            .syntax("key group id [id ...]"),
    )
    .keys(streams::xack),
    Entry::new(
        Spec::new("xadd", -5, Group::Stream)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RW, UPDATE])
                .notes("UPDATE instead of INSERT because of the optional trimming feature")])
            .spread(Keys)
            .docs(
                "Adds an entry to the end of a stream; a missing key counts as an empty stream.",
                "5.0.0",
                "O(1), with trimming O(N) where N is the number of entries removed",
            )
            .syntax(
                "key [NOMKSTREAM@6.2.0] trim: [strategy: <MAXLEN | MINID@6.2.0> operator: \
                [equal: = | approximately: ~] threshold [LIMIT@6.2.0 count]] id-selector: \
                <auto-id: * | id> field value data: [field value ...]",
            )
            .history(&[
                ("6.2.0", "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option."),
                ("7.0.0", "Added support for the `<ms>-*` explicit ID form."),
            ])
            .tips(&["nondeterministic_output"]),
    )
    .keys(streams::xadd),
    Entry::new(
        Spec::new("xautoclaim", -6, Group::Stream)
            .flags(&[WRITE, FAST])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RW, DELETE])])
            .spread(Keys)
            .docs(
                "Gives entries that have been pending for long to another consumer of the group.",
                "6.2.0",
                "O(1) if COUNT is small.",
            )
            .syntax("key group consumer min-idle-time start/string [COUNT count] [JUSTID]")
            .history(&[(
                "7.0.0",
                "Added an element to the reply array, containing deleted entries the command \
                cleared from the PEL",
            )])
            .tips(&["nondeterministic_output"]),
    )
    .keys(streams::xautoclaim),
    Entry::new(
        Spec::new("xclaim", -6, Group::Stream)
            .flags(&[WRITE, FAST])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RW, UPDATE])])
            .spread(Keys)
            .docs(
                "Gives entries that are pending to another consumer of the group.",
                "5.0.0",
                "O(log N) for each entry where N is the number of pending entries of the group",
            )
            .syntax(
                "key group consumer min-idle-time id [id ...] [IDLE ms/integer] [TIME unix- \
                time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
            )
            .tips(&["nondeterministic_output"]),
    )
    .keys(streams::xclaim),
    Entry::new(
        Spec::new("xdel", -3, Group::Stream)
            .flags(&[WRITE, FAST])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RW, DELETE])])
            .spread(Keys)
            .docs("Removes entries from a stream.", "5.0.0", "O(1) for each entry")
            .syntax("key id [id ...]"),
    )
    .keys(streams::xdel),
    Entry::new(Spec::new("xgroup", -2, Group::Stream).docs(
        "Makes, changes and removes consumer groups.",
        "5.0.0",
        "Depends on subcommand.",
    ))
    .subcommands(XGROUP),
    Entry::new(Spec::new("xinfo", -2, Group::Stream).docs(
        "Tells about streams, consumer groups and consumers.",
        "5.0.0",
        "Depends on subcommand.",
    ))
    .subcommands(XINFO),
    Entry::new(
        Spec::new("xlen", 2, Group::Stream)
            .flags(&[READONLY, FAST])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RO])])
            .spread(Keys)
            .docs("Counts the entries of a stream.", "5.0.0", "O(1)")
            .syntax("key"),
    )
    .keys(streams::xlen),
    Entry::new(
        Spec::new("xpending", -3, Group::Stream)
            .flags(&[READONLY])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RO, ACCESS])])
            .spread(Keys)
            .docs(
                "Tells which entries a consumer group was given and has not acknowledged.",
                "5.0.0",
                "O(N) where N is the number of entries returned, with IDLE of those passed \
                over, too; for the summary that of the consumers",
            )
            .syntax(
                "key group filters: [[IDLE@6.2.0 min-idle-time/integer] start/string end/string \
                count [consumer]]",
            )
            .history(&[("6.2.0", "Added the `IDLE` option and exclusive range intervals.")])
            .tips(&["nondeterministic_output"]),
    )
    .keys(streams::xpending),
    Entry::new(
        Spec::new("xrange", -4, Group::Stream)
            .flags(&[READONLY])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RO, ACCESS])])
            .spread(Keys)
            .docs(
                "Reads the entries within a range of IDs.",
                "5.0.0",
                "O(N) where N is the number of entries returned",
            )
            .syntax("key start/string end/string [COUNT count]")
            .history(&[("6.2.0", "Added exclusive ranges.")]),
    )
    .keys(streams::xrange),
    Entry::new(
        Spec::new("xread", -4, Group::Stream)
            .flags(&[BLOCKING, READONLY])
            .categories(Categories::STREAM)
            .keys(&[behind_streams(1)])
            .spread(Keys)
            .docs("Reads the entries behind given IDs of several streams; can wait for one.", "5.0.0", "")
            .syntax("[COUNT count] [BLOCK milliseconds] streams: <STREAMS key [key ...] id [id ...]>"),
    )
    .keys(streams::xread),
    Entry::new(
        Spec::new("xreadgroup", -7, Group::Stream)
            .flags(&[BLOCKING, WRITE])
            .categories(Categories::STREAM)
            .keys(&[behind_streams(4)])
            .spread(Keys)
            .docs(
                "Reads entries of several streams as a consumer of a group; can wait for one.",
                "5.0.0",
                "O(M) for each stream where M is the number of entries returned; an XADD serves \
                the N clients that wait for it in O(N)",
            )
            .syntax(
                "group-block: <GROUP group consumer> [COUNT count] [BLOCK milliseconds] [NOACK] \
                streams: <STREAMS key [key ...] id [id ...]>",
            ),
    )
    .keys(streams::xreadgroup),
    Entry::new(
        Spec::new("xrevrange", -4, Group::Stream)
            .flags(&[READONLY])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RO, ACCESS])])
            .spread(Keys)
            .docs(
                "Reads the entries within a range of IDs, the last first.",
                "5.0.0",
                "O(N) where N is the number of entries returned",
            )
            .syntax("key end/string start/string [COUNT count]")
            .history(&[("6.2.0", "Added exclusive ranges.")]),
    )
    .keys(streams::xrevrange),
    Entry::new(
        Spec::new("xsetid", -3, Group::Stream)
            .flags(&[WRITE, DENYOOM, FAST])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RW, UPDATE])])
            .spread(Keys)
            .docs("Sets what a stream knows about entries that are gone.", "5.0.0", "O(1)")
            .syntax(
                "key last-id [ENTRIESADDED@7.0.0 entries-added/integer] [MAXDELETEDID@7.0.0 \
                max-deleted-id]",
            )
            .history(&[("7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments.")]),
    )
    .keys(streams::xsetid),
    Entry::new(
        Spec::new("xtrim", -4, Group::Stream)
            .flags(&[WRITE])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(1, &[RW, DELETE])])
            .spread(Keys)
            .docs(
                "Removes the first entries of a stream.",
                "5.0.0",
                "O(N) where N is the number of entries removed, most of them in whole nodes at \
                once",
            )
            .syntax(
                "key trim: <strategy: <MAXLEN | MINID@6.2.0> operator: [equal: = | \
                approximately: ~] threshold [LIMIT@6.2.0 count]>",
            )
            .history(&[("6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option.")])
            .tips(&["nondeterministic_output"]),
    )
    .keys(streams::xtrim),
];

static XGROUP: &[Entry] = &[
    Entry::new(
        Spec::new("create", -5, Group::Stream)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(2, &[RW, INSERT])])
            .spread(Keys)
            .docs("Makes a consumer group.", "5.0.0", "O(1)")
            .syntax(
                "key group id-selector: <id | new-id: $> [MKSTREAM] entriesread: [ENTRIESREAD \
                entries-read/integer]",
            )
            .history(&[("7.0.0", "Added the `entries_read` named argument.")]),
    )
    .keys(streams::xgroup_create),
    Entry::new(
        Spec::new("createconsumer", 5, Group::Stream)
            .flags(&[WRITE, DENYOOM])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(2, &[RW, INSERT])])
            .spread(Keys)
            .docs("Makes a consumer of a group.", "6.2.0", "O(1)")
            .syntax("key group consumer"),
    )
    .keys(streams::xgroup_createconsumer),
    Entry::new(
        Spec::new("delconsumer", 5, Group::Stream)
            .flags(&[WRITE])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(2, &[RW, DELETE])])
            .spread(Keys)
            .docs("Removes a consumer from its group.", "5.0.0", "O(1)")
            .syntax("key group consumer"),
    )
    .keys(streams::xgroup_delconsumer),
    Entry::new(
        Spec::new("destroy", 4, Group::Stream)
            .flags(&[WRITE])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(2, &[RW, DELETE])])
            .spread(Keys)
            .docs(
                "Removes a consumer group.",
                "5.0.0",
                "O(N) where N is the number of pending entries of the group",
            )
            .syntax("key group"),
    )
    .keys(streams::xgroup_destroy),
    Entry::new(
        Spec::new("help", 2, Group::Stream).flags(&[LOADING, STALE]).categories(Categories::STREAM).docs(
            "Lists the subcommands.",
            "5.0.0",
            "O(1)",
        ),
    )
    .session(admin::help),
    Entry::new(
        Spec::new("setid", -5, Group::Stream)
            .flags(&[WRITE])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(2, &[RW, UPDATE])])
            .spread(Keys)
            .docs("Sets where a consumer group goes on.", "5.0.0", "O(1)")
            .syntax(
                "key group id-selector: <id | new-id: $> entriesread: [ENTRIESREAD entries- \
                read/integer]",
            )
            .history(&[("7.0.0", "Added the optional `entries_read` argument.")]),
    )
    .keys(streams::xgroup_setid),
];

static XINFO: &[Entry] = &[
    Entry::new(
        Spec::new("consumers", 4, Group::Stream)
            .flags(&[READONLY])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(2, &[RO, ACCESS])])
            .spread(Keys)
            .docs("Lists the consumers of a group.", "5.0.0", "O(1)")
            .syntax("key group")
            .history(&[("7.2.0", "Added the `inactive` field, and changed the meaning of `idle`.")])
            .tips(&["nondeterministic_output"]),
    )
    .keys(streams::xinfo_consumers),
    Entry::new(
        Spec::new("groups", 3, Group::Stream)
            .flags(&[READONLY])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(2, &[RO, ACCESS])])
            .spread(Keys)
            .docs("Lists the consumer groups of a stream.", "5.0.0", "O(1)")
            .syntax("key")
            .history(&[("7.0.0", "Added the `entries-read` and `lag` fields")]),
    )
    .keys(streams::xinfo_groups),
    Entry::new(
        Spec::new("help", 2, Group::Stream).flags(&[LOADING, STALE]).categories(Categories::STREAM).docs(
            "Lists the subcommands.",
            "5.0.0",
            "O(1)",
        ),
    )
    .session(admin::help),
    Entry::new(
        Spec::new("stream", -3, Group::Stream)
            .flags(&[READONLY])
            .categories(Categories::STREAM)
            .keys(&[KeySpec::at(2, &[RO, ACCESS])])
            .spread(Keys)
            .docs("Tells about a stream.", "5.0.0", "O(1)")
            .syntax("key full-block: [FULL [COUNT count]]")
            .history(&[
                ("6.0.0", "Added the `FULL` modifier."),
                (
                    "7.0.0",
                    "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, \
                `entries-read` and `lag` fields",
                ),
                ("7.2.0", "Added the `active-time` field, and changed the meaning of `seen-time`."),
            ]),
    )
    .keys(streams::xinfo_stream),
];

/// The keys of a call whose second half, behind the word `STREAMS`, is as many keys as IDs. The word is looked for from
/// argument `from` on.
const fn behind_streams(from: isize) -> KeySpec {
    KeySpec {
        flags: RO.union(ACCESS),
        begin: BeginSearch::Keyword { keyword: "STREAMS", from },
        find: FindKeys::Range { last: -1, step: 1, limit: 2 },
        notes: "",
    }
}
