//! Scripts and functions.

use super::ScriptKind;
use super::words::*;

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
];
