//! The commands about scripts and functions.

use super::ScriptKind;
use super::words::*;
use crate::admin::{self, scripts};

/// Keys whose number stands in front of them, of which anything may become.
const SCRIPT_KEYS: &[KeySpec] = &[KeySpec::counted(2, &[RW, ACCESS, UPDATE])];
const SCRIPT_KEYS_WORST: &[KeySpec] = &[KeySpec::counted(2, &[RW, ACCESS, UPDATE])
    .notes("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")];
const SCRIPT_KEYS_READ: &[KeySpec] = &[KeySpec::counted(2, &[RO, ACCESS])];
const SCRIPT_KEYS_READ_WORST: &[KeySpec] = &[KeySpec::counted(2, &[RO, ACCESS])
    .notes("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")];

const DEPENDS: &str = "Depends on the script that is executed.";
const FUNCTION_DEPENDS: &str = "Depends on the function that is executed.";

/// A command that may change keys.
const fn writing(name: &'static str) -> Spec {
    Spec::new(name, -3, Group::Scripting)
        .flags(&[NOSCRIPT, SKIP_MONITOR, MAY_REPLICATE, NO_MANDATORY_KEYS, STALE])
        .categories(Categories::SCRIPTING)
        .spread(Keys)
}

/// A command that only reads.
const fn reading(name: &'static str) -> Spec {
    Spec::new(name, -3, Group::Scripting)
        .flags(&[NOSCRIPT, SKIP_MONITOR, NO_MANDATORY_KEYS, STALE, READONLY])
        .categories(Categories::SCRIPTING)
        .spread(Keys)
}

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        writing("eval")
            .keys(SCRIPT_KEYS_WORST)
            .docs("Runs a Lua script.", "2.6.0", DEPENDS)
            .syntax("script numkeys [key ...] [arg ...]"),
    )
    .script(ScriptKind::Text),
    Entry::new(
        reading("eval_ro")
            .keys(SCRIPT_KEYS_READ_WORST)
            .docs("Runs a Lua script that only reads.", "7.0.0", DEPENDS)
            .syntax("script numkeys [key ...] [arg ...]"),
    )
    .script(ScriptKind::Text),
    Entry::new(
        writing("evalsha")
            .keys(SCRIPT_KEYS)
            .docs("Runs a Lua script that is named by its SHA-1.", "2.6.0", DEPENDS)
            .syntax("sha1 numkeys [key ...] [arg ...]"),
    )
    .script(ScriptKind::Sha),
    Entry::new(
        reading("evalsha_ro")
            .keys(SCRIPT_KEYS_READ)
            .docs("Runs a Lua script that is named by its SHA-1 and only reads.", "7.0.0", DEPENDS)
            .syntax("sha1 numkeys [key ...] [arg ...]"),
    )
    .script(ScriptKind::Sha),
    Entry::new(
        writing("fcall")
            .keys(SCRIPT_KEYS_WORST)
            .docs("Calls a function.", "7.0.0", FUNCTION_DEPENDS)
            .syntax("function numkeys [key ...] [arg ...]"),
    )
    .script(ScriptKind::Function),
    Entry::new(
        reading("fcall_ro")
            .keys(SCRIPT_KEYS_READ_WORST)
            .docs("Calls a function that only reads.", "7.0.0", FUNCTION_DEPENDS)
            .syntax("function numkeys [key ...] [arg ...]"),
    )
    .script(ScriptKind::Function),
    Entry::new(Spec::new("function", -2, Group::Scripting).docs(
        "Container of the commands about functions.",
        "7.0.0",
        "Depends on subcommand.",
    ))
    .subcommands(FUNCTION),
    Entry::new(Spec::new("script", -2, Group::Scripting).docs(
        "Container of the commands about scripts.",
        "2.6.0",
        "Depends on subcommand.",
    ))
    .subcommands(SCRIPT),
];

static FUNCTION: &[Entry] = &[
    Entry::new(
        Spec::new("kill", 2, Group::Scripting)
            .flags(&[NOSCRIPT, ALLOW_BUSY])
            .categories(Categories::SCRIPTING)
            .docs("Ends a function that is running.", "7.0.0", "O(1)")
            .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    )
    .session(scripts::function_kill),
    Entry::new(
        Spec::new("stats", 2, Group::Scripting)
            .flags(&[NOSCRIPT, ALLOW_BUSY])
            .categories(Categories::SCRIPTING)
            .docs("Tells which function is running, and what is loaded.", "7.0.0", "O(1)")
            .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    )
    .session(scripts::function_stats),
    Entry::new(
        Spec::new("delete", 3, Group::Scripting)
            .flags(&[NOSCRIPT, WRITE])
            .categories(Categories::SCRIPTING)
            .docs("Removes a library with its functions.", "7.0.0", "O(1)")
            .syntax("library-name")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    )
    .session(admin::function_delete),
    Entry::new(
        Spec::new("dump", 2, Group::Scripting).flags(&[NOSCRIPT]).categories(Categories::SCRIPTING).docs(
            "Serializes all libraries.",
            "7.0.0",
            "O(N) where N is the number of functions",
        ),
    )
    .session(admin::function_dump),
    Entry::new(
        Spec::new("flush", -2, Group::Scripting)
            .flags(&[NOSCRIPT, WRITE])
            .categories(Categories::SCRIPTING)
            .docs("Removes all libraries.", "7.0.0", "O(N) where N is the number of functions deleted")
            .syntax("flush-type: [ASYNC | SYNC]")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    )
    .session(admin::function_flush),
    Entry::new(
        Spec::new("list", -2, Group::Scripting)
            .flags(&[NOSCRIPT])
            .categories(Categories::SCRIPTING)
            .docs("Describes the libraries.", "7.0.0", "O(N) where N is the number of functions")
            .syntax("[LIBRARYNAME library-name-pattern] [WITHCODE]")
            .tips(&["nondeterministic_output_order"]),
    )
    .session(admin::function_list),
    Entry::new(
        Spec::new("load", -3, Group::Scripting)
            .flags(&[NOSCRIPT, WRITE, DENYOOM])
            .categories(Categories::SCRIPTING)
            .docs("Adds a library.", "7.0.0", "O(1) (considering compilation time is redundant)")
            .syntax("[REPLACE] function-code")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    )
    .session(admin::function_load),
    Entry::new(
        Spec::new("restore", -3, Group::Scripting)
            .flags(&[NOSCRIPT, WRITE, DENYOOM])
            .categories(Categories::SCRIPTING)
            .docs(
                "Adds libraries that were serialized.",
                "7.0.0",
                "O(N) where N is the number of functions on the payload",
            )
            .syntax("serialized-value policy: [FLUSH | APPEND | REPLACE]")
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    )
    .session(admin::function_restore),
    Entry::new(
        Spec::new("help", 2, Group::Scripting)
            .flags(&[LOADING, STALE])
            .categories(Categories::SCRIPTING)
            .docs("Lists the subcommands.", "7.0.0", "O(1)"),
    )
    .session(admin::help),
];

static SCRIPT: &[Entry] = &[
    Entry::new(
        Spec::new("debug", 3, Group::Scripting)
            .flags(&[NOSCRIPT])
            .categories(Categories::SCRIPTING)
            .docs("Sets the debug mode of scripts.", "3.2.0", "O(1)")
            .syntax("mode: <YES | SYNC | NO>"),
    )
    .session(scripts::script_debug),
    Entry::new(
        Spec::new("kill", 2, Group::Scripting)
            .flags(&[NOSCRIPT, ALLOW_BUSY])
            .categories(Categories::SCRIPTING)
            .docs("Ends a script that is running.", "2.6.0", "O(1)")
            .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    )
    .session(scripts::script_kill),
    Entry::new(
        Spec::new("show", 3, Group::Scripting)
            .flags(&[NOSCRIPT])
            .categories(Categories::SCRIPTING)
            .docs("Returns the text of a script.", "8.0.0", "O(1)")
            .syntax("sha1"),
    )
    .session(scripts::script_show),
    Entry::new(
        Spec::new("exists", -3, Group::Scripting)
            .flags(&[NOSCRIPT])
            .categories(Categories::SCRIPTING)
            .docs(
                "Tells which scripts are in the cache.",
                "2.6.0",
                "O(N) with N being the number of scripts to check (so checking a single script is an O(1) \
                 operation).",
            )
            .syntax("sha1 [sha1 ...]")
            .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"]),
    )
    .session(admin::script_exists),
    Entry::new(
        Spec::new("flush", -2, Group::Scripting)
            .flags(&[NOSCRIPT])
            .categories(Categories::SCRIPTING)
            .docs(
                "Removes all scripts from the cache.",
                "2.6.0",
                "O(N) with N being the number of scripts in cache",
            )
            .syntax("flush-type: [ASYNC | SYNC]@6.2.0")
            .history(&[("6.2.0", "Added the `ASYNC` and `SYNC` flushing mode modifiers.")])
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    )
    .session(admin::script_flush),
    Entry::new(
        Spec::new("load", 3, Group::Scripting)
            .flags(&[NOSCRIPT, STALE])
            .categories(Categories::SCRIPTING)
            .docs(
                "Puts a script into the cache.",
                "2.6.0",
                "O(N) with N being the length in bytes of the script body.",
            )
            .syntax("script")
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    )
    .session(admin::script_load),
    Entry::new(
        Spec::new("help", 2, Group::Scripting)
            .flags(&[LOADING, STALE])
            .categories(Categories::SCRIPTING)
            .docs("Lists the subcommands.", "5.0.0", "O(1)"),
    )
    .session(admin::help),
];
