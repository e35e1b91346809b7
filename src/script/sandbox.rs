//! What scripts see: the globals and libraries of Redis's sandbox, built once per VM.
//!
//! Lua 5.1 has no read-only tables, so what scripts must not change is *frozen*: they get an empty table in its place whose
//! metatable leads reads to the real table and refuses writes. Functions that would pass metatables by, such as `rawset`,
//! `next` and `table.insert`, are replaced by ones that know frozen tables. The metatable of a frozen table has
//! [`MARK`] at 1, the real table at 2, and at 3 what `getmetatable` shows.
//!
//! There are two environments. Scripts of `EVAL` run in one with the globals `KEYS` and `ARGV`; functions run in the other,
//! which shows nothing but a small `redis` while a library is loaded.
//!
//! Invariant: no script gets hold of a real table, of an environment's metatable, or of a way to set a finalizer (`__gc`),
//! in which the count hook does not run.

use super::lib::LIBRARIES;
use super::state::{GLOBALS, Kind, Outcome, Raise, State, upvalue};
use super::{api, base};
use crate::config::REDIS_VERSION;

/// What every function given to [`super::state::Anchor::protected`] finds as upvalues, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The frozen environment of scripts.
    ScriptEnvironment = 1,
    /// The real globals of scripts.
    ScriptGlobals,
    /// The frozen environment of functions.
    FunctionEnvironment,
    /// Its metatable.
    FunctionMetatable,
    /// What its `__index` is while functions run.
    FunctionGlobals,
    /// What its `__index` is while a library is loaded.
    LoadGlobals,
    /// Compiled scripts by id.
    Scripts,
    /// Loaded functions by id.
    Functions,
    /// Makes a table of an error, with its place.
    Handler,
    /// From here on, strings.
    Keys,
    Argv,
    Index,
    Err,
    Ok,
    Double,
    BigNumber,
    VerbatimString,
    Map,
    Set,
    Format,
    String,
}

impl Slot {
    const STRINGS: [&'static [u8]; 12] = [
        b"KEYS",
        b"ARGV",
        b"__index",
        b"err",
        b"ok",
        b"double",
        b"big_number",
        b"verbatim_string",
        b"map",
        b"set",
        b"format",
        b"string",
    ];

    /// Pushes the value, in a function given to `protected`.
    pub(super) fn push(self, s: State) {
        s.push_value(self.index());
    }

    /// Its index, in a function given to `protected`.
    pub(super) fn index(self) -> i32 {
        upvalue(self as i32)
    }
}

/// Its address marks frozen tables.
static MARK: u8 = 0;

/// Globals that scripts share with stock Lua.
const STOCK: &[&[u8]] = &[
    b"_VERSION",
    b"assert",
    b"error",
    b"gcinfo",
    b"getfenv",
    b"ipairs",
    b"rawequal",
    b"select",
    b"setfenv",
    b"tonumber",
    b"tostring",
    b"type",
    b"unpack",
];
/// Functions of stock Lua that write into their first argument.
const WRITERS: &[&[u8]] = &[b"setmetatable", b"rawset"];
/// Functions of stock Lua that read their first argument.
const READERS: &[&[u8]] = &[b"next", b"rawget"];
/// Libraries of stock Lua.
const STOCK_LIBRARIES: &[&[u8]] = &[b"string", b"math", b"table", b"coroutine", b"os"];

/// Builds everything and pushes the [`Slot`]s. The stack holds the tables of [`LIBRARIES`].
pub(super) fn build(s: State) -> Outcome {
    if !s.check_stack(64) {
        return Err(Raise);
    }
    // The functions that are loaded, for `redis.register_function`.
    s.new_table(0, 0);
    let functions = s.top();
    // The libraries, frozen.
    s.new_table(0, 0);
    let libraries = s.top();
    for (index, (name, _)) in LIBRARIES.iter().enumerate() {
        s.push_value(index as i32 + 1);
        freeze(s, None);
        s.raw_set_field(libraries, name.as_bytes());
    }
    for name in STOCK_LIBRARIES {
        take_stock_library(s, name);
        freeze(s, None);
        s.raw_set_field(libraries, name);
    }
    protect_string_metatable(s, libraries);

    push_globals(s, libraries, Api::Script);
    let script_globals = s.top();
    push_environment(s);
    let script_environment = s.top();
    push_globals(s, libraries, Api::Function);
    let function_globals = s.top();
    push_environment(s);
    let function_environment = s.top();
    push_load_globals(s, functions);
    let load_globals = s.top();
    for (globals, environment) in
        [(script_globals, script_environment), (function_globals, function_environment)]
    {
        s.push_value(environment);
        s.raw_set_field(globals, b"_G");
    }
    // Code that scripts compile themselves begins here.
    s.push_value(script_environment);
    s.replace(GLOBALS);

    let slots = s.top();
    s.push_value(script_environment);
    s.push_value(script_globals);
    s.push_value(function_environment);
    s.metatable(function_environment);
    s.push_value(function_globals);
    s.push_value(load_globals);
    s.new_table(0, 0);
    s.push_value(functions);
    s.push_native(api::handle_error, 0);
    Slot::STRINGS.iter().for_each(|name| s.push_bytes(name));
    Ok(s.top() - slots)
}

/// Which `redis` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Api {
    Script,
    Function,
}

/// Pushes real globals, which raise an error for what they do not hold.
fn push_globals(s: State, libraries: i32, api: Api) {
    s.new_table(0, 48);
    let globals = s.top();
    for name in STOCK {
        push_stock(s, name);
        s.raw_set_field(globals, name);
    }
    for name in WRITERS {
        push_stock(s, name);
        s.push_native(base::write_guarded, 1);
        s.raw_set_field(globals, name);
    }
    for name in READERS {
        push_stock(s, name);
        s.push_native(base::read_through, 1);
        s.raw_set_field(globals, name);
    }
    s.raw_get_field(globals, b"next");
    s.push_native(base::pairs, 1);
    s.raw_set_field(globals, b"pairs");
    push_stock(s, b"load");
    s.push_native(base::load, 1);
    s.raw_set_field(globals, b"load");
    push_stock(s, b"loadstring");
    s.push_native(base::loadstring, 1);
    s.raw_set_field(globals, b"loadstring");
    push_stock(s, b"collectgarbage");
    s.push_native(base::collectgarbage, 1);
    s.raw_set_field(globals, b"collectgarbage");
    s.push_native(base::pcall, 0);
    s.raw_set_field(globals, b"pcall");
    s.push_native(base::xpcall, 0);
    s.raw_set_field(globals, b"xpcall");
    s.push_native(base::getmetatable, 0);
    s.raw_set_field(globals, b"getmetatable");
    push_proxy_guard(s);
    s.push_native(base::newproxy, 1);
    s.raw_set_field(globals, b"newproxy");

    let own = LIBRARIES.iter().map(|(name, _)| name.as_bytes());
    for name in own.chain(STOCK_LIBRARIES.iter().copied()) {
        s.raw_get_field(libraries, name);
        s.raw_set_field(globals, name);
    }
    push_redis(s, api);
    freeze(s, None);
    s.raw_set_field(globals, b"redis");
    if api == Api::Script {
        s.push_native(api::handle_error, 0);
        s.raw_set_field(globals, b"__redis__err__handler");
    }
    forbid_unknown(s);
}

/// Freezes a copy of the globals on top, which stay below it.
fn push_environment(s: State) {
    s.push_value(-1);
    s.new_table(0, 1);
    s.push_native(base::unknown_global, 0);
    s.raw_set_field(-2, b"__index");
    freeze(s, None);
    let shown = s.top();
    freeze(s, Some(shown));
}

/// Pushes what a library sees while it is loaded: nothing but a small `redis`.
fn push_load_globals(s: State, functions: i32) {
    s.new_table(0, 1);
    s.new_table(0, 8);
    s.push_value(functions);
    s.push_native(api::register_function, 1);
    s.raw_set_field(-2, b"register_function");
    add_log_and_version(s);
    forbid_unknown(s);
    freeze(s, None);
    s.raw_set_field(-2, b"redis");
    forbid_unknown(s);
}

/// Pushes the real table `redis`.
fn push_redis(s: State, api: Api) {
    s.new_table(0, 32);
    s.push_native(api::call, 0);
    s.raw_set_field(-2, b"call");
    s.push_native(api::pcall, 0);
    s.raw_set_field(-2, b"pcall");
    s.push_native(api::setresp, 0);
    s.raw_set_field(-2, b"setresp");
    s.push_native(api::sha1hex, 0);
    s.raw_set_field(-2, b"sha1hex");
    s.push_native(api::error_reply, 0);
    s.raw_set_field(-2, b"error_reply");
    s.push_native(api::status_reply, 0);
    s.raw_set_field(-2, b"status_reply");
    s.push_native(api::acl_check_cmd, 0);
    s.raw_set_field(-2, b"acl_check_cmd");
    s.push_native(api::set_repl, 0);
    s.raw_set_field(-2, b"set_repl");
    for (name, value) in [
        (&b"REPL_NONE"[..], 0.0),
        (b"REPL_AOF", 1.0),
        (b"REPL_SLAVE", 2.0),
        (b"REPL_REPLICA", 2.0),
        (b"REPL_ALL", 3.0),
    ] {
        s.push_number(value);
        s.raw_set_field(-2, name);
    }
    add_log_and_version(s);
    if api == Api::Script {
        s.push_native(api::breakpoint, 0);
        s.raw_set_field(-2, b"breakpoint");
        s.push_native(api::debug, 0);
        s.raw_set_field(-2, b"debug");
        s.push_native(api::replicate_commands, 0);
        s.raw_set_field(-2, b"replicate_commands");
    }
}

fn add_log_and_version(s: State) {
    s.push_native(api::log, 0);
    s.raw_set_field(-2, b"log");
    for (level, name) in [&b"LOG_DEBUG"[..], b"LOG_VERBOSE", b"LOG_NOTICE", b"LOG_WARNING"].iter().enumerate()
    {
        s.push_number(level as f64);
        s.raw_set_field(-2, name);
    }
    s.push_bytes(REDIS_VERSION.as_bytes());
    s.raw_set_field(-2, b"REDIS_VERSION");
    let number = REDIS_VERSION.split('.').fold(0, |number, part| number << 8 | part.parse().unwrap_or(0));
    s.push_number(f64::from(number));
    s.raw_set_field(-2, b"REDIS_VERSION_NUM");
}

/// Pushes a global of stock Lua.
fn push_stock(s: State, name: &[u8]) {
    s.raw_get_field(GLOBALS, name);
}

/// Pushes a library of stock Lua as scripts get it.
fn take_stock_library(s: State, name: &[u8]) {
    match name {
        b"os" => {
            push_stock(s, b"os");
            s.raw_get_field(-1, b"clock");
            s.new_table(0, 1);
            s.insert(-2);
            s.raw_set_field(-2, b"clock");
            s.remove(-2);
        }
        b"math" => {
            push_stock(s, b"math");
            s.push_native(api::random, 0);
            s.raw_set_field(-2, b"random");
            s.push_native(api::randomseed, 0);
            s.raw_set_field(-2, b"randomseed");
        }
        b"table" => {
            push_stock(s, b"table");
            for name in [&b"insert"[..], b"remove", b"sort"] {
                s.raw_get_field(-1, name);
                s.push_native(base::write_guarded, 1);
                s.raw_set_field(-2, name);
            }
            for name in [&b"foreach"[..], b"foreachi"] {
                s.raw_get_field(-1, name);
                s.push_native(base::read_through, 1);
                s.raw_set_field(-2, name);
            }
        }
        b"coroutine" => {
            push_stock(s, b"coroutine");
            s.raw_get_field(-1, b"resume");
            s.push_native(base::resume, 1);
            s.raw_set_field(-2, b"resume");
        }
        _ => push_stock(s, name),
    }
}

/// Shows scripts a frozen metatable of strings.
fn protect_string_metatable(s: State, libraries: i32) {
    s.push_bytes(b"");
    if s.metatable(-1) {
        s.new_table(0, 1);
        s.raw_get_field(libraries, b"string");
        s.raw_set_field(-2, b"__index");
        freeze(s, None);
        s.raw_set_field(-2, b"__metatable");
        s.pop(1);
    }
    s.pop(1);
}

/// Pushes the metatable of the metatables of `newproxy`: it keeps finalizers out.
fn push_proxy_guard(s: State) {
    s.new_table(0, 2);
    s.push_native(base::set_in_proxy, 0);
    s.raw_set_field(-2, b"__newindex");
    s.push_bool(false);
    s.raw_set_field(-2, b"__metatable");
}

/// Makes reads of what the table on top does not hold an error.
fn forbid_unknown(s: State) {
    s.new_table(0, 1);
    s.push_native(base::unknown_global, 0);
    s.raw_set_field(-2, b"__index");
    s.set_metatable(-2);
}

/// Freezes the table on top, or the one below it if `shown` is the top, which `getmetatable` shows and which goes.
fn freeze(s: State, shown: Option<i32>) {
    let real = s.top() - i32::from(shown.is_some());
    s.new_table(0, 0);
    s.new_table(3, 3);
    s.push_address(&raw const MARK);
    s.raw_set_index(-2, 1);
    s.push_value(real);
    s.raw_set_index(-2, 2);
    if let Some(shown) = shown {
        s.push_value(shown);
        s.raw_set_index(-2, 3);
    }
    s.push_value(real);
    s.raw_set_field(-2, b"__index");
    s.push_native(base::refuse_write, 0);
    s.raw_set_field(-2, b"__newindex");
    s.push_bool(false);
    s.raw_set_field(-2, b"__metatable");
    s.set_metatable(-2);
    s.replace(real);
    s.set_top(real);
}

/// Pushes the metatable of a value if that is frozen.
pub(super) fn frozen(s: State, index: i32) -> bool {
    if s.kind(index) != Kind::Table || !s.metatable(index) {
        return false;
    }
    s.raw_get_index(-1, 1);
    let marked = s.kind(-1) == Kind::LightUserdata && s.address(-1) == (&raw const MARK).cast();
    s.pop(if marked { 1 } else { 2 });
    marked
}
