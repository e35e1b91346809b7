//! How Lua calls functions of Rust: [`Args`] checks arguments as Lua's own library does, and a [`Failure`] becomes the Lua
//! error that a native function would raise, with the place and the name of the call.

use super::{SLOTS, raise, to_i64};
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};

/// What a function answers.
pub type Answer = Result<MultiValue, Failure>;

/// Why a function answers nothing.
#[derive(Debug)]
pub enum Failure {
    /// `bad argument #position to 'name' (reason)`. Positions count from 1.
    Argument(usize, Vec<u8>),
    /// A text, which gets the place of the call in front: `user_script:1: `.
    Located(Vec<u8>),
    /// A value that is raised as it is.
    Value(Value),
    /// What went wrong in Lua itself; scripts get an opaque value.
    Lua(mlua::Error),
}

impl Failure {
    /// A bad argument.
    pub fn argument(position: usize, reason: impl Into<Vec<u8>>) -> Failure {
        Failure::Argument(position, reason.into())
    }

    /// A text that gets the place of the call in front.
    pub fn located(text: impl Into<Vec<u8>>) -> Failure {
        Failure::Located(text.into())
    }

    fn into_value(self, lua: &Lua) -> mlua::Result<Value> {
        let text = match self {
            Failure::Argument(position, reason) => located(lua, &argument_error(lua, position, &reason)),
            Failure::Located(text) => located(lua, &text),
            Failure::Value(value) => return Ok(value),
            // More values at a time than Lua has slots for.
            Failure::Lua(mlua::Error::StackError) => located(lua, b"stack overflow"),
            Failure::Lua(error) => return Err(error),
        };
        Ok(Value::String(lua.create_string(text)?))
    }
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Failure {
        Failure::Lua(error)
    }
}

/// The levels of Lua's call stack while a callback runs: the callback, the native function of `raise`, its caller.
const NATIVE: usize = 1;
const CALLER: usize = 2;

/// The slots that `mlua` takes of a callback's, beside arguments and results.
const OWN_SLOTS: usize = 16;

fn located(lua: &Lua, text: &[u8]) -> Vec<u8> {
    let place = lua.inspect_stack(CALLER, |caller| {
        caller
            .current_line()
            .map(|line| format!("{}:{line}: ", caller.source().short_src.unwrap_or_default()))
    });
    [place.flatten().unwrap_or_default().as_bytes(), text].concat()
}

/// Names the argument as a script counts it: `a:f(x)` passes `a` first.
fn argument_error(lua: &Lua, position: usize, reason: &[u8]) -> Vec<u8> {
    let called = lua.inspect_stack(NATIVE, |native| {
        let names = native.names();
        (
            names.name.map_or_else(|| "?".to_owned(), |name| name.into_owned()),
            names.name_what == Some("method"),
        )
    });
    let (name, is_method) = called.unwrap_or_else(|| ("?".to_owned(), false));
    let head = match position {
        1 if is_method => format!("calling '{name}' on bad self ("),
        // Position 0 is no argument at all.
        _ if is_method => format!("bad argument #{} to '{name}' (", position as i64 - 1),
        _ => format!("bad argument #{position} to '{name}' ("),
    };
    [head.as_bytes(), reason, b")"].concat()
}

/// What `raise` raises.
fn refuse(lua: &Lua, failure: Failure) -> mlua::Result<MultiValue> {
    Ok(MultiValue::from_vec(vec![raise::mark(), failure.into_value(lua)?]))
}

/// A Lua function that runs `body`.
pub fn function<F>(lua: &Lua, body: F) -> mlua::Result<Function>
where
    F: Fn(&Lua, Args<'_>) -> Answer + 'static,
{
    let callback = lua.create_function(move |lua, values: MultiValue| {
        let slots = values.len() + OWN_SLOTS;
        match body(lua, Args { lua, values: values.into_vec() }) {
            Ok(results) if slots + results.len() <= SLOTS => Ok(results),
            Ok(_) => refuse(lua, Failure::Lua(mlua::Error::StackError)),
            Err(failure) => refuse(lua, failure),
        }
    })?;
    raise::raising(lua, callback)
}

/// The body of a function that captures nothing.
type Body = fn(&Lua, Args<'_>) -> Answer;

/// A table of functions.
pub(super) fn table_of(lua: &Lua, functions: &[(&str, Body)]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, functions.len())?;
    for (name, body) in functions {
        table.raw_set(*name, function(lua, *body)?)?;
    }
    Ok(table)
}

/// An answer of one value.
pub(super) fn one(value: impl Into<Value>) -> Answer {
    Ok(MultiValue::from_vec(vec![value.into()]))
}

/// The arguments of a call; positions count from 1.
#[derive(Debug)]
pub struct Args<'a> {
    lua: &'a Lua,
    values: Vec<Value>,
}

impl Args<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The argument, `None` if there is none.
    pub fn get(&self, position: usize) -> Option<&Value> {
        self.values.get(position.checked_sub(1)?)
    }

    /// All of them.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Puts a nil behind the last one.
    pub(super) fn push_nil(&mut self) {
        self.values.push(Value::Nil);
    }

    /// A string, or the text of a number.
    pub fn string(&self, position: usize) -> Result<LuaString, Failure> {
        match self.get(position) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value @ (Value::Integer(_) | Value::Number(_))) => {
                let text = self.lua.coerce_string(value.clone())?;
                text.ok_or_else(|| self.wrong_type(position, "string"))
            }
            _ => Err(self.wrong_type(position, "string")),
        }
    }

    /// A number, or a string that writes one.
    pub fn number(&self, position: usize) -> Result<f64, Failure> {
        match self.get(position).map(|value| to_number(self.lua, value)).transpose()?.flatten() {
            Some(number) => Ok(number),
            None => Err(self.wrong_type(position, "number")),
        }
    }

    /// A number without its fraction; see [`to_i64`] for what does not fit.
    pub fn integer(&self, position: usize) -> Result<i64, Failure> {
        self.number(position).map(to_i64)
    }

    /// The same, or `default` for none or nil.
    pub fn integer_or(&self, position: usize, default: i64) -> Result<i64, Failure> {
        match self.get(position) {
            None | Some(Value::Nil) => Ok(default),
            Some(_) => self.integer(position),
        }
    }

    fn wrong_type(&self, position: usize, expected: &str) -> Failure {
        let got = self.get(position).map_or("no value", type_name);
        Failure::argument(position, format!("{expected} expected, got {got}"))
    }
}

/// The number that a value is or writes.
pub(super) fn to_number(lua: &Lua, value: &Value) -> mlua::Result<Option<f64>> {
    match value {
        Value::Integer(number) => Ok(Some(*number as f64)),
        Value::Number(number) => Ok(Some(*number)),
        Value::String(_) => lua.coerce_number(value.clone()),
        _ => Ok(None),
    }
}

/// The name of a value's type in Lua.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::LightUserData(_) | Value::Error(_) => "userdata",
        other => other.type_name(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{run, state};
    use super::*;

    #[test]
    fn any_value_is_raised_as_it_is() {
        let lua = state();
        let raise =
            function(&lua, |_, args| Err(Failure::Value(args.values()[0].clone()))).expect("a function");
        lua.globals().set("raise", raise).expect("a new global");
        assert_eq!(
            run(&lua, "local ok, e = pcall(raise, {err = 'ERR x'}) return ok, type(e), e.err"),
            "false, table, ERR x"
        );
        assert_eq!(run(&lua, "return raise('bare')"), "!bare");
        assert_eq!(run(&lua, "return pcall(raise, nil)"), "false, nil");
    }

    #[test]
    fn errors_name_the_place_and_the_function() {
        let lua = state();
        for (source, expected) in [
            (
                "return bit.tobit({})",
                "!user_script:1: bad argument #1 to 'tobit' (number expected, got table)",
            ),
            (
                "local f = bit.tobit\nf()",
                "!user_script:2: bad argument #1 to 'f' (number expected, got no value)",
            ),
            ("return pcall(bit.tobit, {})", "false, bad argument #1 to '?' (number expected, got table)"),
            (
                "return bit:tobit()",
                "!user_script:1: calling 'tobit' on bad self (number expected, got table)",
            ),
            (
                "bit.f = function(...) return bit.band(1, ...) end return bit:f()",
                "!user_script:1: bad argument #2 to 'band' (number expected, got table)",
            ),
            (
                "return struct.pack('b', cjson.null)",
                "!user_script:1: bad argument #2 to 'pack' (number expected, got userdata)",
            ),
            (
                "local o = setmetatable({}, {__index = cmsgpack}) return o.unpack_limit('', o)",
                "!user_script:1: bad argument #2 to 'unpack_limit' (number expected, got table)",
            ),
            (
                "return ('x'):rep(2), (function() return cjson.decode('x') end)()",
                "!user_script:1: Expected value but found invalid token at character 1",
            ),
            (
                "return coroutine.wrap(function() cjson.decode('x') end)()",
                "!user_script:1: user_script:1: Expected value but found invalid token at character 1",
            ),
            (
                "return table.concat(cjson.decode('[1,2]'), bit.bor('0x10', ' 1 ')), #cjson.encode(12)",
                "1172, 2",
            ),
        ] {
            assert_eq!(run(&lua, source), expected, "{source}");
        }
    }
}
