//! The `redis` object of scripts (redis.io/docs/latest/develop/interact/programmability/lua-api) and the generator behind
//! `math.random`. The functions are called from Lua.

use super::base::raise_kill;
use super::convert::{push_error, push_reply};
use super::fiber;
use super::program::{BAD_NAME, Flags, Registered, is_name, sha_of};
use super::sandbox::frozen;
use super::state::{Kind, Outcome, Raise, State, upvalue};
use super::task::{Loading, Pause};
use crate::base::number::format_f64;
use crate::command::lookup;
use crate::config::LogLevel;
use crate::protocol::resp::Resp;

/// Raises the table of an error.
fn raise(s: State, text: &str) -> Outcome {
    push_error(s, text.as_bytes());
    Err(Raise)
}

/// `redis.call`
pub(super) fn call(s: State) -> Outcome {
    command(s, true)
}

/// `redis.pcall`
pub(super) fn pcall(s: State) -> Outcome {
    command(s, false)
}

fn command(s: State, raises: bool) -> Outcome {
    let outcome = |raised: bool| if raised { Err(Raise) } else { Ok(1) };
    if let Err(text) = prepare_arguments(s) {
        push_error(s, text.as_bytes());
        return outcome(raises);
    }
    if !fiber::is_inside() {
        push_error(s, b"redis.call can only be called inside a script invocation");
        return Err(Raise);
    }
    raise_kill(s)?;
    fiber::task(|task| {
        s.lend(s.top(), &mut task.args.borrow_mut());
        task.pause.set(Pause::Command);
    });
    fiber::suspend();
    raise_kill(s)?;
    s.set_top(0);
    let failed = fiber::input(|reply| push_reply(s, reply).map(|_| reply.first() == Some(&b'-')))?;
    outcome(failed && raises)
}

/// Makes strings of all arguments.
fn prepare_arguments(s: State) -> Result<(), &'static str> {
    let count = s.top();
    if count == 0 {
        return Err("Please specify at least one argument for this redis lib call");
    }
    for index in 1..=count {
        match s.kind(index) {
            Kind::String => {}
            Kind::Number => {
                // Lua's own conversion loses digits.
                s.push_bytes(format_f64(s.number(index).unwrap_or(0.0)).as_bytes());
                s.replace(index);
            }
            _ => return Err("Lua redis lib command arguments must be strings or integers"),
        }
    }
    Ok(())
}

/// `redis.error_reply`
pub(super) fn error_reply(s: State) -> Outcome {
    if s.top() != 1 || s.kind(1) != Kind::String {
        push_error(s, b"wrong number or type of arguments");
        return Ok(1);
    }
    if !s.bytes(1).is_some_and(|text| text.starts_with(b"-")) {
        s.push_bytes(b"-");
        s.insert(1);
        s.concat(2);
    }
    push_error(s, s.bytes(1).unwrap_or_default());
    Ok(1)
}

/// `redis.status_reply`
pub(super) fn status_reply(s: State) -> Outcome {
    if s.top() != 1 || s.kind(1) != Kind::String {
        push_error(s, b"wrong number or type of arguments");
        return Ok(1);
    }
    s.new_table(0, 1);
    s.push_value(1);
    s.raw_set_field(-2, b"ok");
    Ok(1)
}

/// `redis.sha1hex`
pub(super) fn sha1hex(s: State) -> Outcome {
    if s.top() != 1 {
        return raise(s, "wrong number of arguments");
    }
    s.push_bytes(&sha_of(s.bytes(1).unwrap_or_default()));
    Ok(1)
}

/// `redis.setresp`
pub(super) fn setresp(s: State) -> Outcome {
    if s.top() != 1 {
        return raise(s, "redis.setresp() requires one argument.");
    }
    let resp = match s.number(1).map(f64::trunc) {
        Some(2.0) => Resp::V2,
        Some(3.0) => Resp::V3,
        _ => return raise(s, "RESP version must be 2 or 3."),
    };
    fiber::task(|task| task.resp.set(resp));
    Ok(0)
}

/// `redis.set_repl`: nothing but its argument is looked at, since commands are not sent on.
pub(super) fn set_repl(s: State) -> Outcome {
    if s.top() != 1 {
        return raise(s, "redis.set_repl() requires one argument.");
    }
    if s.number(1).unwrap_or(0.0) as i32 & !3 != 0 {
        return raise(s, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    }
    Ok(0)
}

/// `redis.replicate_commands`: it has always been done.
pub(super) fn replicate_commands(s: State) -> Outcome {
    s.push_bool(true);
    Ok(1)
}

/// `redis.breakpoint`: there is no debugger.
pub(super) fn breakpoint(s: State) -> Outcome {
    s.push_bool(false);
    Ok(1)
}

/// `redis.debug`: there is no debugger.
pub(super) fn debug(_: State) -> Outcome {
    Ok(0)
}

/// `redis.acl_check_cmd`: everybody may run every command that exists.
pub(super) fn acl_check_cmd(s: State) -> Outcome {
    if let Err(text) = prepare_arguments(s) {
        return raise(s, text);
    }
    let exists = fiber::task(|task| {
        let mut args = task.args.borrow_mut();
        s.lend(s.top(), &mut args);
        let exists = lookup::shared().find(args.get()).is_some();
        args.clear();
        exists
    });
    if !exists {
        return raise(s, "Invalid command passed to redis.acl_check_cmd()");
    }
    s.push_bool(true);
    Ok(1)
}

/// `redis.log`
pub(super) fn log(s: State) -> Outcome {
    if s.top() < 2 {
        return raise(s, "redis.log() requires two arguments or more.");
    }
    let Some(level) = s.number(1) else {
        return raise(s, "First argument must be a number (log level).");
    };
    let level = match level as i32 {
        0 => LogLevel::Debug,
        1 => LogLevel::Verbose,
        2 => LogLevel::Notice,
        3 => LogLevel::Warning,
        _ => return raise(s, "Invalid log level."),
    };
    // Numbers become strings now: below, nothing of Lua's may fail.
    for index in 2..=s.top() {
        let _ = s.bytes(index);
    }
    let texts = (2..=s.top()).filter_map(|index| s.bytes(index).map(String::from_utf8_lossy));
    let line = texts
        .fold(String::new(), |line, text| if line.is_empty() { text.into() } else { line + " " + &text });
    fiber::task(|task| (task.logger)(level, &line));
    Ok(0)
}

/// The greatest number of [`lrand48`], and what scripts' random numbers are fractions of.
const RANDOM_MAX: u32 = i32::MAX as u32;

/// The generator of the C library of that name, so that a seed gives the same numbers everywhere.
fn lrand48() -> u32 {
    fiber::task(|task| {
        let state = task.random.get().wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & 0xFFFF_FFFF_FFFF;
        task.random.set(state);
        (state >> 17) as u32
    })
}

/// `math.random`
pub(super) fn random(s: State) -> Outcome {
    let fraction = f64::from(lrand48() % RANDOM_MAX) / f64::from(RANDOM_MAX);
    let (low, high, argument) = match s.top() {
        0 => {
            s.push_number(fraction);
            return Ok(1);
        }
        1 => (1, s.check_integer(1), 1),
        2 => (s.check_integer(1), s.check_integer(2), 2),
        _ => {
            s.push_position(1);
            s.push_bytes(b"wrong number of arguments");
            s.concat(2);
            return Err(Raise);
        }
    };
    if low > high {
        s.argument_error(argument, c"interval is empty");
    }
    let count = high.wrapping_sub(low).wrapping_add(1);
    s.push_number((fraction * f64::from(count)).floor() + f64::from(low));
    Ok(1)
}

/// `math.randomseed`
pub(super) fn randomseed(s: State) -> Outcome {
    let seed = s.check_integer(1) as u32;
    fiber::task(|task| task.random.set(u64::from(seed) << 16 | 0x330E));
    Ok(0)
}

/// Makes a table of an error, `{err, source, line}`, when it is raised outside of any `pcall`.
pub(super) fn handle_error(s: State) -> Outcome {
    s.set_top(1);
    let place = s.place(1).filter(|place| !place.native).or_else(|| {
        // It was raised by a function of ours, whose caller is meant.
        s.place(1).and_then(|_| s.place(2))
    });
    if s.kind(1) != Kind::Table {
        s.new_table(0, 3);
        s.push_bytes(b"ERR ");
        push_text(s, 1);
        s.concat(2);
        s.raw_set_field(-2, b"err");
        s.replace(1);
    }
    if let Some(place) = place
        && !frozen(s, 1)
    {
        s.push_bytes(place.source);
        s.raw_set_field(1, b"source");
        s.push_number(f64::from(place.line));
        s.raw_set_field(1, b"line");
    }
    s.set_top(1);
    Ok(1)
}

/// Pushes what `tostring` makes of a value, without metamethods.
fn push_text(s: State, index: i32) {
    match s.kind(index) {
        Kind::String | Kind::Number => s.push_value(index),
        Kind::Boolean => s.push_bytes(if s.truth(index) { b"true" } else { b"false" }),
        Kind::Nil | Kind::None => s.push_bytes(b"nil"),
        Kind::Function => s.push_bytes(b"function"),
        Kind::Thread => s.push_bytes(b"thread"),
        Kind::Table => s.push_bytes(b"table"),
        Kind::Userdata | Kind::LightUserdata => s.push_bytes(b"userdata"),
    }
}

/// `redis.register_function`, for libraries that are loaded. Upvalue 1 holds the functions by id.
pub(super) fn register_function(s: State) -> Outcome {
    if !fiber::task(|task| task.loading.borrow().is_some()) {
        return raise(s, "redis.register_function can only be called on FUNCTION LOAD command");
    }
    let flags = match s.top() {
        1 => read_named(s),
        2 => read_positional(s),
        _ => Err("wrong number of arguments to redis.register_function"),
    };
    match flags.and_then(|flags| register(s, flags)) {
        Ok(None) => Ok(0),
        Ok(Some(id)) => {
            s.push_number(id as f64);
            s.push_value(CALLBACK);
            s.raw_set(upvalue(1));
            Ok(0)
        }
        Err(text) => raise(s, text),
    }
}

/// Where the arguments of `register_function` are collected.
const NAME: i32 = 2;
const DESCRIPTION: i32 = 3;
const CALLBACK: i32 = 4;

fn read_positional(s: State) -> Result<Flags, &'static str> {
    if s.bytes(1).is_none() {
        return Err("first argument to redis.register_function must be a string");
    }
    if s.kind(2) != Kind::Function {
        return Err("second argument to redis.register_function must be a function");
    }
    // table, NAME, DESCRIPTION, CALLBACK
    s.push_nil();
    s.insert(1);
    s.push_nil();
    s.insert(DESCRIPTION);
    Ok(Flags::empty())
}

fn read_named(s: State) -> Result<Flags, &'static str> {
    if s.kind(1) != Kind::Table {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua table \
             (representing named arguments).",
        );
    }
    s.set_top(CALLBACK);
    let mut flags = Flags::empty();
    s.push_nil();
    while s.next(1) {
        let key = match s.kind(-2) {
            Kind::String => s.bytes(-2).unwrap_or_default(),
            // As text, a number is an argument that is not known.
            Kind::Number => b"",
            _ => return Err("named argument key given to redis.register_function is not a string"),
        };
        let is_key = |name: &[u8]| key.eq_ignore_ascii_case(name);
        let kind = s.kind(-1);
        let is_text = matches!(kind, Kind::String | Kind::Number);
        if is_key(b"function_name") {
            require(is_text, "function_name argument given to redis.register_function must be a string")?;
            s.replace(NAME);
        } else if is_key(b"description") {
            require(is_text, "description argument given to redis.register_function must be a string")?;
            s.replace(DESCRIPTION);
        } else if is_key(b"callback") {
            let is_function = kind == Kind::Function;
            require(is_function, "callback argument given to redis.register_function must be a function")?;
            s.replace(CALLBACK);
        } else if is_key(b"flags") {
            require(
                kind == Kind::Table,
                "flags argument to redis.register_function must be a table representing function flags",
            )?;
            flags = read_flags(s).ok_or("unknown flag given")?;
            s.pop(1);
        } else {
            return Err("unknown argument given to redis.register_function");
        }
    }
    if s.kind(NAME) == Kind::Nil {
        return Err("redis.register_function must get a function name argument");
    }
    if s.kind(CALLBACK) == Kind::Nil {
        return Err("redis.register_function must get a callback argument");
    }
    Ok(flags)
}

fn require(holds: bool, error: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(error) }
}

/// The flags that the table on top lists.
fn read_flags(s: State) -> Option<Flags> {
    let mut flags = Flags::empty();
    for index in 1.. {
        s.raw_get_index(-1, index);
        let flag = match s.kind(-1) {
            Kind::Nil => break,
            Kind::String => Flags::named_in_any_case(s.bytes(-1).unwrap_or_default()),
            _ => None,
        };
        s.pop(1);
        flags |= flag?;
    }
    s.pop(1);
    Some(flags)
}

/// Registers what [`NAME`] and [`DESCRIPTION`] hold; returns the id of a function that is known already.
fn register(s: State, flags: Flags) -> Result<Option<u64>, &'static str> {
    // Numbers become strings now: below, nothing of Lua's may fail.
    let description = if s.kind(DESCRIPTION) == Kind::Nil { None } else { s.bytes(DESCRIPTION) };
    let name = s.bytes(NAME).unwrap_or_default();
    if !is_name(name) {
        return Err(BAD_NAME.strip_prefix("ERR ").unwrap_or(BAD_NAME));
    }
    fiber::task(|task| match &mut *task.loading.borrow_mut() {
        Some(Loading::Trial(functions)) => {
            if functions.iter().any(|function| *function.name == *name) {
                return Err("Function already exists in the library");
            }
            functions.push(Registered { name: name.into(), description: description.map(Into::into), flags });
            Ok(None)
        }
        Some(Loading::Known(library)) => {
            let index = library.functions.iter().position(|function| *function.name == *name);
            Ok(index.map(|index| library.first_id + index as u64))
        }
        None => Err("redis.register_function can only be called on FUNCTION LOAD command"),
    })
}
