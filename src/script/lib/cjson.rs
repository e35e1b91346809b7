//! `cjson`: JSON as Lua CJSON 2.1.0 with Redis's changes writes and reads it
//! (<https://www.kyne.com.au/~mark/software/lua-cjson-manual.html>).
//!
//! Each table has settings of its own, which scripts change for all scripts after them, as in Redis. `encode_keep_buffer`
//! is kept and answered only: no buffer outlives its call.

mod decode;
mod encode;

use super::call::{Answer, Args, Failure, function, one};
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// What the functions of one table share.
struct Settings {
    /// `encode_sparse_array`: whether excessively sparse arrays become objects, an index into [`SWITCH`].
    sparse_convert: Cell<usize>,
    /// How many times as many elements as values are excessive; 0: none are.
    sparse_ratio: Cell<i32>,
    /// Up to how many elements nothing is excessive.
    sparse_safe: Cell<i32>,
    encode_max_depth: Cell<i32>,
    decode_max_depth: Cell<i32>,
    /// Significant digits.
    number_precision: Cell<i32>,
    /// An index into [`SWITCH`].
    keep_buffer: Cell<usize>,
    /// An index into [`INVALID`].
    encode_invalid_numbers: Cell<usize>,
    /// An index into [`SWITCH`].
    decode_invalid_numbers: Cell<usize>,
}

const SWITCH: &[&str] = &["off", "on"];
/// What becomes of NaN and infinities when they are encoded.
const INVALID: &[&str] = &["off", "on", "null"];

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sparse_convert: Cell::new(0),
            sparse_ratio: Cell::new(2),
            sparse_safe: Cell::new(10),
            encode_max_depth: Cell::new(1000),
            decode_max_depth: Cell::new(1000),
            number_precision: Cell::new(14),
            keep_buffer: Cell::new(1),
            encode_invalid_numbers: Cell::new(0),
            decode_invalid_numbers: Cell::new(1),
        }
    }
}

/// The library's table.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    let settings = Rc::new(Settings::default());
    // Taken before any script can put something else in its place.
    let next: Function = lua.globals().raw_get("next")?;
    let table = lua.create_table()?;
    let add = |name: &str, body: fn(&Lua, &Settings, Args<'_>) -> Answer| {
        let settings = settings.clone();
        table.raw_set(name, function(lua, move |lua, args| body(lua, &settings, args))?)
    };
    let encoding = settings.clone();
    let encode = function(lua, move |lua, args| {
        let [value] = args.values() else { return Err(Failure::argument(1, "expected 1 argument")) };
        one(Value::String(lua.create_string(encode::encode(&encoding, &next, value)?)?))
    })?;
    table.raw_set("encode", encode)?;
    add("decode", |lua, settings, args| {
        if args.count() != 1 {
            return Err(Failure::argument(1, "expected 1 argument"));
        }
        one(decode::decode(lua, settings, &args.string(1)?.as_bytes())?)
    })?;
    add("encode_sparse_array", |lua, settings, args| {
        at_most(&args, 3)?;
        Ok(MultiValue::from_vec(vec![
            choice(lua, &args, 1, &settings.sparse_convert, SWITCH)?,
            integer(&args, 2, &settings.sparse_ratio, (0, i32::MAX))?,
            integer(&args, 3, &settings.sparse_safe, (0, i32::MAX))?,
        ]))
    })?;
    add("encode_max_depth", |_, settings, args| one_integer(&args, &settings.encode_max_depth, i32::MAX))?;
    add("decode_max_depth", |_, settings, args| one_integer(&args, &settings.decode_max_depth, i32::MAX))?;
    add("encode_number_precision", |_, settings, args| one_integer(&args, &settings.number_precision, 14))?;
    add("encode_keep_buffer", |lua, settings, args| one_choice(lua, &args, &settings.keep_buffer, SWITCH))?;
    add("encode_invalid_numbers", |lua, settings, args| {
        one_choice(lua, &args, &settings.encode_invalid_numbers, INVALID)
    })?;
    add("decode_invalid_numbers", |lua, settings, args| {
        one_choice(lua, &args, &settings.decode_invalid_numbers, SWITCH)
    })?;
    table.raw_set("new", function(lua, |lua, _| one(Value::Table(self::table(lua)?)))?)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

fn at_most(args: &Args<'_>, count: usize) -> Result<(), Failure> {
    if args.count() <= count {
        return Ok(());
    }
    Err(Failure::argument(count + 1, "found too many arguments"))
}

fn one_integer(args: &Args<'_>, setting: &Cell<i32>, max: i32) -> Answer {
    at_most(args, 1)?;
    one(integer(args, 1, setting, (1, max))?)
}

fn one_choice(lua: &Lua, args: &Args<'_>, setting: &Cell<usize>, names: &[&str]) -> Answer {
    at_most(args, 1)?;
    one(choice(lua, args, 1, setting, names)?)
}

/// Changes a number if the argument is there, and answers what holds then.
fn integer(
    args: &Args<'_>,
    position: usize,
    setting: &Cell<i32>,
    (min, max): (i32, i32),
) -> Result<Value, Failure> {
    // What is beyond 32 bits is cut off, as in the reference.
    let value = args.integer_or(position, setting.get().into())? as i32;
    if !(min..=max).contains(&value) {
        return Err(Failure::argument(1, format!("expected integer between {min} and {max}")));
    }
    setting.set(value);
    Ok(Value::Integer(value.into()))
}

/// Changes a choice, by name or by a boolean for the first two, if the argument is there, and answers what holds then.
fn choice(
    lua: &Lua,
    args: &Args<'_>,
    position: usize,
    setting: &Cell<usize>,
    names: &[&str],
) -> Result<Value, Failure> {
    match args.get(position) {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(flag)) => setting.set((*flag).into()),
        Some(_) => {
            let text = args.string(position)?;
            let text = text.as_bytes();
            let name = text.split(|&byte| byte == 0).next().unwrap_or_default();
            let Some(index) = names.iter().position(|known| known.as_bytes() == name) else {
                return Err(Failure::argument(position, [b"invalid option '", name, b"'"].concat()));
            };
            setting.set(index);
        }
    }
    match setting.get() {
        index @ (0 | 1) => Ok(Value::Boolean(index == 1)),
        index => Ok(Value::String(lua.create_string(names[index])?)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn settings_have_the_documented_defaults_and_bounds() {
        check(&[
            (
                "return cjson._NAME, cjson._VERSION, cjson.null == nil, type(cjson.null)",
                "cjson, 2.1.0, false, userdata",
            ),
            ("return cjson.encode_sparse_array()", "false, 2, 10"),
            ("return cjson.encode_sparse_array(true, 3, 4)", "true, 3, 4"),
            ("return cjson.encode_sparse_array('off', nil, 10)", "false, 3, 10"),
            ("return cjson.encode_sparse_array(nil, 2)", "false, 2, 10"),
            (
                "return cjson.encode_max_depth(), cjson.decode_max_depth(), cjson.encode_number_precision()",
                "1000, 1000, 14",
            ),
            (
                "return cjson.encode_keep_buffer(), cjson.encode_invalid_numbers(), cjson.decode_invalid_numbers()",
                "true, false, true",
            ),
            ("return cjson.encode_keep_buffer(false), cjson.encode_keep_buffer('on')", "false, true"),
            (
                "return cjson.encode_invalid_numbers('null'), cjson.encode_invalid_numbers(), cjson.encode_invalid_numbers(false)",
                "null, null, false",
            ),
            (
                "return cjson.encode_max_depth('7'), cjson.encode_max_depth(4294967297), cjson.encode_max_depth(1000)",
                "7, 1, 1000",
            ),
            (
                "return cjson.encode_max_depth(0)",
                "!user_script:1: bad argument #1 to 'encode_max_depth' (expected integer between 1 and 2147483647)",
            ),
            (
                "return cjson.encode_number_precision(15)",
                "!user_script:1: bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14)",
            ),
            (
                "return cjson.encode_sparse_array(false, 2, -1)",
                "!user_script:1: bad argument #1 to 'encode_sparse_array' (expected integer between 0 and 2147483647)",
            ),
            (
                "return cjson.encode_sparse_array(1, 2, 3, 4)",
                "!user_script:1: bad argument #4 to 'encode_sparse_array' (found too many arguments)",
            ),
            (
                "return cjson.encode_sparse_array({})",
                "!user_script:1: bad argument #1 to 'encode_sparse_array' (string expected, got table)",
            ),
            (
                "return cjson.decode_max_depth({})",
                "!user_script:1: bad argument #1 to 'decode_max_depth' (number expected, got table)",
            ),
            (
                "return cjson.decode_invalid_numbers('null')",
                "!user_script:1: bad argument #1 to 'decode_invalid_numbers' (invalid option 'null')",
            ),
            (
                "return cjson.encode_invalid_numbers(5)",
                "!user_script:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '5')",
            ),
            (
                "return cjson.encode_invalid_numbers('on\\0x'), cjson.encode_invalid_numbers(false)",
                "true, false",
            ),
            (
                "local other = cjson.new() other.encode_max_depth(1) return cjson.encode_max_depth(), other.encode_max_depth(), other._NAME",
                "1000, 1, cjson",
            ),
            ("return cjson.encode()", "!user_script:1: bad argument #1 to 'encode' (expected 1 argument)"),
            (
                "return cjson.decode('1', 2)",
                "!user_script:1: bad argument #1 to 'decode' (expected 1 argument)",
            ),
        ]);
    }
}
