//! Functions of Lua's base library as the sandbox has them: what knows frozen tables, what must not catch the error that ends
//! a script, and what keeps compiled code and finalizers out. They are called from Lua.

use super::fiber;
use super::sandbox::frozen;
use super::state::{ALL, Kind, Outcome, Raise, State, upvalue};
use super::task::{Pause, Task};

/// How many VM instructions run between two looks at the clock.
pub(super) const INSTRUCTIONS: i32 = 10_000;

/// Raises a text, preceded by the place of the function that called.
fn raise(s: State, text: &[u8]) -> Outcome {
    s.push_position(1);
    s.push_bytes(text);
    s.concat(2);
    Err(Raise)
}

const READONLY: &[u8] = b"Attempt to modify a readonly table";

/// `__newindex` of frozen tables.
pub(super) fn refuse_write(s: State) -> Outcome {
    raise(s, READONLY)
}

/// `__index` of tables that hold all that there is.
pub(super) fn unknown_global(s: State) -> Outcome {
    if s.top() != 2 {
        return raise(s, b"Wrong number of arguments to luaProtectedTableError");
    }
    if !matches!(s.kind(2), Kind::String | Kind::Number) {
        return raise(s, b"Second argument to luaProtectedTableError must be a string or number");
    }
    s.push_position(1);
    s.push_bytes(b"Script attempted to access nonexistent global variable '");
    s.push_value(2);
    s.push_bytes(b"'");
    s.concat(4);
    Err(Raise)
}

/// A stock function that writes into its first argument, unless that is frozen. A finalizer cannot be set by any of them.
pub(super) fn write_guarded(s: State) -> Outcome {
    if frozen(s, 1) || is_finalizer(s, 2) {
        // Lua itself refuses it here, in a function that has no line.
        s.push_bytes(READONLY);
        return Err(Raise);
    }
    s.become_function(upvalue(1))
}

fn is_finalizer(s: State, key: i32) -> bool {
    s.kind(key) == Kind::String && s.bytes(key) == Some(b"__gc")
}

/// A stock function that reads its first argument, or the real table behind it.
pub(super) fn read_through(s: State) -> Outcome {
    if frozen(s, 1) {
        s.raw_get_index(-1, 2);
        s.replace(1);
        s.pop(1);
    }
    s.become_function(upvalue(1))
}

/// `pairs`, with the `next` that reads through.
pub(super) fn pairs(s: State) -> Outcome {
    s.check_table(1);
    s.push_value(upvalue(1));
    s.push_value(1);
    s.push_nil();
    Ok(3)
}

/// `getmetatable`
pub(super) fn getmetatable(s: State) -> Outcome {
    s.check_any(1);
    if frozen(s, 1) {
        s.raw_get_index(-1, 3);
    } else if s.metatable(1) {
        s.raw_get_field(-1, b"__metatable");
        if s.kind(-1) == Kind::Nil {
            s.pop(1);
        }
    } else {
        s.push_nil();
    }
    Ok(1)
}

/// `newproxy`: userdata with a metatable of its own, one of another proxy, or none. Upvalue 1 guards such metatables.
pub(super) fn newproxy(s: State) -> Outcome {
    s.set_top(1);
    s.new_userdata();
    if !s.truth(1) {
        return Ok(1);
    }
    if s.kind(1) == Kind::Boolean {
        s.new_table(0, 1);
        s.push_value(upvalue(1));
        s.set_metatable(-2);
    } else if !s.metatable(1) || !is_guarded(s) {
        s.argument_error(1, c"boolean or proxy expected");
    }
    s.set_metatable(2);
    Ok(1)
}

/// Whether the table on top is a metatable that `newproxy` has made.
fn is_guarded(s: State) -> bool {
    if !s.metatable(-1) {
        return false;
    }
    let guarded = s.address(-1) == s.address(upvalue(1));
    s.pop(1);
    guarded
}

/// `__newindex` of such metatables.
pub(super) fn set_in_proxy(s: State) -> Outcome {
    s.set_top(3);
    if is_finalizer(s, 2) {
        return refuse_write(s);
    }
    s.raw_set(1);
    Ok(0)
}

/// `collectgarbage`, apart from what would change how the collector works for others.
pub(super) fn collectgarbage(s: State) -> Outcome {
    if matches!(s.bytes(1), Some(b"stop" | b"restart" | b"setpause" | b"setstepmul")) {
        s.push_number(0.0);
        return Ok(1);
    }
    s.become_function(upvalue(1))
}

/// `load`: the reader is wrapped so that the text is never taken for compiled code.
pub(super) fn load(s: State) -> Outcome {
    if s.kind(1) == Kind::Function {
        s.push_value(1);
        s.push_bool(true);
        s.push_native(read_text, 2);
        s.replace(1);
    }
    s.become_function(upvalue(1))
}

/// A reader; upvalue 1 is the script's, upvalue 2 whether this is its first piece.
fn read_text(s: State) -> Outcome {
    s.set_top(0);
    s.push_value(upvalue(1));
    s.call(0, 1);
    if s.truth(upvalue(2)) {
        s.push_bool(false);
        s.replace(upvalue(2));
        make_text(s, 1);
    }
    Ok(1)
}

/// `loadstring`
pub(super) fn loadstring(s: State) -> Outcome {
    make_text(s, 1);
    s.become_function(upvalue(1))
}

/// Puts a blank before a string that Lua would take for compiled code. The parser then refuses it.
fn make_text(s: State, index: i32) {
    if s.kind(index) == Kind::String && s.bytes(index).is_some_and(is_compiled) {
        s.push_bytes(b" ");
        s.push_value(index);
        s.concat(2);
        s.replace(index);
    }
}

/// Whether Lua would take a chunk for compiled code.
pub(super) fn is_compiled(chunk: &[u8]) -> bool {
    chunk.first() == Some(&0x1b)
}

/// `pcall`: of an error that is a table with a text in `err`, scripts get the text.
pub(super) fn pcall(s: State) -> Outcome {
    s.check_any(1);
    s.push_bool(true);
    s.insert(1);
    if s.call_protected(s.top() - 2, ALL, 0).is_ok() {
        return Ok(s.top());
    }
    pass_on_kill()?;
    if s.kind(-1) == Kind::Table {
        s.raw_get_field(-1, b"err");
        match s.kind(-1) {
            Kind::String | Kind::Number => s.replace(-2),
            _ => s.pop(1),
        }
    }
    s.push_bool(false);
    s.replace(1);
    Ok(2)
}

/// `xpcall`: the handler runs when the stack is taken down, so that it can be interrupted like all other code.
pub(super) fn xpcall(s: State) -> Outcome {
    s.check_any(2);
    s.set_top(2);
    s.insert(1);
    // Before the call, because its results may leave no room on the stack.
    s.push_bool(true);
    s.insert(1);
    if s.call_protected(0, ALL, 0).is_ok() {
        s.remove(2);
        return Ok(s.top());
    }
    pass_on_kill()?;
    s.remove(1);
    s.push_value(1);
    s.insert(2);
    if s.call_protected(1, 1, 0).is_err() {
        pass_on_kill()?;
        s.pop(1);
        s.push_bytes(b"error in error handling");
    }
    s.push_bool(false);
    s.replace(1);
    Ok(2)
}

/// `coroutine.resume`
pub(super) fn resume(s: State) -> Outcome {
    let results = s.become_function(upvalue(1))?;
    if !s.truth(s.top() - results + 1) {
        pass_on_kill()?;
    }
    Ok(results)
}

/// Raises the error on top again if it ends the script.
fn pass_on_kill() -> Result<(), Raise> {
    if fiber::is_inside() && fiber::task(Task::is_killed) { Err(Raise) } else { Ok(()) }
}

/// Runs every [`INSTRUCTIONS`]: suspends the script when it has run for long, and ends it when it is killed.
pub(super) fn on_count(s: State) -> Result<(), Raise> {
    if !fiber::is_inside() {
        return Ok(());
    }
    raise_kill(s)?;
    if fiber::task(Task::tick) {
        fiber::task(|task| task.pause.set(Pause::Slice));
        fiber::suspend();
    }
    raise_kill(s)
}

/// Raises the error that ends the script, if there is one, now and at each instruction from here on.
pub(super) fn raise_kill(s: State) -> Result<(), Raise> {
    let Some(text) = fiber::task(Task::killed_by) else { return Ok(()) };
    s.every(1, on_count);
    super::convert::push_error(s, text.as_bytes());
    Err(Raise)
}
