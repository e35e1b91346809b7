//! Lua values to JSON. The tables around a value stand on a heap, each with where it is; the text grows in one buffer.

use super::super::call::{Failure, type_name};
use super::super::{SLOTS, to_i32};
use super::Settings;
use crate::base::number::format_f64_digits;
use mlua::{Function, Table, Value};

/// The JSON text of a value. `next` is Lua's own.
pub(super) fn encode(settings: &Settings, next: &Function, value: &Value) -> Result<Vec<u8>, Failure> {
    let mut encoder = Encoder { settings, next, json: Vec::new(), open: Vec::new(), slots: 1 };
    match encoder.all(value) {
        Ok(()) => Ok(encoder.json),
        // Open tables and their keys are also held by `mlua`, which has a little less room than the reference.
        Err(Failure::Lua(mlua::Error::StackError)) => Err(encoder.too_deep()),
        Err(failure) => Err(failure),
    }
}

struct Encoder<'a> {
    settings: &'a Settings,
    next: &'a Function,
    json: Vec<u8>,
    /// The tables that are not complete, the innermost last.
    open: Vec<Open>,
    /// How many stack slots the reference would have filled.
    slots: usize,
}

/// A table of which a part is written.
enum Open {
    /// With the index of the last element that is written and how many there are.
    Array(Table, i32, i32),
    /// With the last key that is written, nil at first.
    Object(Table, Value),
}

/// The slots that the reference wants free for a table.
const TABLE_SLOTS: usize = 3;

impl Encoder<'_> {
    /// Writes a value with everything in it.
    fn all(&mut self, value: &Value) -> Result<(), Failure> {
        self.value(value)?;
        while let Some(value) = self.advance()? {
            self.value(&value)?;
        }
        Ok(())
    }

    /// Writes a value, of a table just the beginning.
    fn value(&mut self, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Nil => self.json.extend(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => self.json.extend(b"null"),
            Value::Boolean(flag) => self.json.extend(if *flag { &b"true"[..] } else { b"false" }),
            Value::Integer(number) => self.number(*number as f64)?,
            Value::Number(number) => self.number(*number)?,
            Value::String(text) => put_string(&mut self.json, &text.as_bytes()),
            Value::Table(table) => self.begin(table)?,
            other => return Err(cannot_serialise(other, "type not supported")),
        }
        Ok(())
    }

    fn begin(&mut self, table: &Table) -> Result<(), Failure> {
        let max_depth = self.settings.encode_max_depth.get() as usize;
        if self.open.len() >= max_depth || self.slots + TABLE_SLOTS > SLOTS {
            return Err(self.too_deep());
        }
        match self.array_length(table)? {
            Some(length) => {
                self.json.push(b'[');
                self.slots += 1;
                self.open.push(Open::Array(table.clone(), 0, length));
            }
            None => {
                self.json.push(b'{');
                self.slots += 2;
                self.open.push(Open::Object(table.clone(), Value::Nil));
            }
        }
        Ok(())
    }

    fn too_deep(&self) -> Failure {
        Failure::located(format!("Cannot serialise, excessive nesting ({})", self.open.len() + 1))
    }

    /// The greatest key of a table whose keys are integers from 1 on, `None` if others are among them or none are.
    fn array_length(&self, table: &Table) -> Result<Option<i32>, Failure> {
        let (mut max, mut count) = (0i32, 0i32);
        for pair in table.pairs::<Value, bool>() {
            let key = match pair?.0 {
                Value::Integer(key) => key as f64,
                Value::Number(key) => key,
                _ => return Ok(None),
            };
            if key.floor() != key || key < 1.0 {
                return Ok(None);
            }
            if key > f64::from(max) {
                max = to_i32(key);
            }
            count = count.wrapping_add(1);
        }
        let ratio = self.settings.sparse_ratio.get();
        if ratio > 0 && max > count.wrapping_mul(ratio) && max > self.settings.sparse_safe.get() {
            if self.settings.sparse_convert.get() == 0 {
                return Err(Failure::located("Cannot serialise table: excessively sparse array"));
            }
            return Ok(None);
        }
        Ok(Some(max).filter(|max| *max > 0))
    }

    /// Goes to the next value of the innermost table, and writes what stands before it. Tables that have none are completed.
    fn advance(&mut self) -> Result<Option<Value>, Failure> {
        while let Some(open) = self.open.last_mut() {
            match open {
                Open::Array(table, index, length) if *index < *length => {
                    if *index > 0 {
                        self.json.push(b',');
                    }
                    *index += 1;
                    return Ok(Some(table.raw_get(*index)?));
                }
                Open::Array(..) => {
                    self.json.push(b']');
                    self.slots -= 1;
                }
                Open::Object(table, key) => {
                    let first = key.is_nil();
                    let (following, value): (Value, Value) = self.next.call((&*table, &*key))?;
                    if !following.is_nil() {
                        *key = following.clone();
                        if !first {
                            self.json.push(b',');
                        }
                        self.key(&following)?;
                        return Ok(Some(value));
                    }
                    self.json.push(b'}');
                    self.slots -= 2;
                }
            }
            self.open.pop();
        }
        Ok(None)
    }

    fn key(&mut self, key: &Value) -> Result<(), Failure> {
        match key {
            Value::String(text) => put_string(&mut self.json, &text.as_bytes()),
            Value::Integer(_) | Value::Number(_) => {
                self.json.push(b'"');
                self.value(key)?;
                self.json.push(b'"');
            }
            other => return Err(cannot_serialise(other, "table key must be a number or string")),
        }
        self.json.push(b':');
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), Failure> {
        let precision = self.settings.number_precision.get();
        if number.trunc() == number
            && number.abs() < 10f64.powi(precision)
            && number.to_bits() != (-0f64).to_bits()
        {
            self.json.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
            return Ok(());
        }
        if !number.is_finite() {
            match self.settings.encode_invalid_numbers.get() {
                0 => return Err(cannot_serialise(&Value::Number(number), "must not be NaN or Inf")),
                1 => {}
                _ => {
                    self.json.extend(b"null");
                    return Ok(());
                }
            }
        }
        self.json.extend_from_slice(format_f64_digits(number, precision as usize).as_bytes());
        Ok(())
    }
}

fn cannot_serialise(value: &Value, reason: &str) -> Failure {
    Failure::located(format!("Cannot serialise {}: {reason}", type_name(value)))
}

/// Writes a string in quotes. Bytes that are no ASCII stay as they are.
fn put_string(json: &mut Vec<u8>, text: &[u8]) {
    json.push(b'"');
    let mut plain = 0;
    for (at, &byte) in text.iter().enumerate() {
        if !matches!(byte, 0..=31 | b'"' | b'/' | b'\\' | 127) {
            continue;
        }
        json.extend_from_slice(&text[plain..at]);
        plain = at + 1;
        let short = match byte {
            b'"' | b'/' | b'\\' => byte,
            8 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            12 => b'f',
            b'\r' => b'r',
            _ => {
                json.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
        };
        json.extend([b'\\', short]);
    }
    json.extend_from_slice(&text[plain..]);
    json.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{check, run, state};

    #[test]
    fn values_become_json() {
        check(&[
            (
                "return cjson.encode(nil), cjson.encode(true), cjson.encode(false), cjson.encode(cjson.null)",
                "null, true, false, null",
            ),
            (
                "return cjson.encode(0), cjson.encode(-tonumber('0')), cjson.encode(-1), cjson.encode(1e13), cjson.encode(1e14), cjson.encode(99999999999999)",
                "0, -0, -1, 10000000000000, 1e+14, 99999999999999",
            ),
            (
                "return cjson.encode(0.1), cjson.encode(1/3), cjson.encode(1e300), cjson.encode(1e-5), cjson.encode(123456789012345)",
                "0.1, 0.33333333333333, 1e+300, 1e-05, 1.2345678901234e+14",
            ),
            (
                "return cjson.encode('a\"b\\\\c/d\\n\\r\\t\\b\\f\\0\\31\\127\\255')",
                r#""a\\"b\\\\c\\/d\\n\\r\\t\\b\\f\\u0000\\u001f\\u007f\xff""#,
            ),
            (
                "return cjson.encode({}), cjson.encode({{}, {1}}), cjson.encode({a = {b = {}}})",
                r#"{}, [{},[1]], {"a":{"b":{}}}"#,
            ),
            (
                "return cjson.encode({1, 'x', nil, true}), cjson.encode({[3] = 1}), cjson.encode({[1] = 1, [4] = 2})",
                r#"[1,"x",null,true], [null,null,1], [1,null,null,2]"#,
            ),
            (
                "return cjson.encode({[1.5] = 1}), cjson.encode({[0] = 1}), cjson.encode({[-1] = 'x'}), cjson.encode({['1'] = 1})",
                r#"{"1.5":1}, {"0":1}, {"-1":"x"}, {"1":1}"#,
            ),
            ("return cjson.encode({[2^40] = 1}), cjson.encode(12)", r#"{"1099511627776":1}, 12"#),
            ("return cjson.encode({[1] = 1, a = 2})", r#"{"1":1,"a":2}"#),
            (
                "return cjson.encode({[10] = 1}), pcall(cjson.encode, {[11] = 1})",
                r#"[null,null,null,null,null,null,null,null,null,1], false, Cannot serialise table: excessively sparse array"#,
            ),
            (
                "local j = cjson.new() j.encode_sparse_array(true) return j.encode({[11] = 1, [12] = 2})",
                r#"{"11":1,"12":2}"#,
            ),
            ("local j = cjson.new() j.encode_sparse_array(false, 0) return #j.encode({[1000] = 1})", "4998"),
            (
                "local j = cjson.new() j.encode_sparse_array(false, 1, 1) return j.encode({1, 2}), pcall(j.encode, {1, nil, 2})",
                "[1,2], false, Cannot serialise table: excessively sparse array",
            ),
            (
                "local j = cjson.new() j.encode_number_precision(3) return j.encode(1/3), j.encode(1234), j.encode(123)",
                "0.333, 1.23e+03, 123",
            ),
        ]);
    }

    #[test]
    fn what_json_does_not_have_is_refused() {
        check(&[
            ("return cjson.encode(print)", "!user_script:1: Cannot serialise function: type not supported"),
            (
                "return cjson.encode({{print}})",
                "!user_script:1: Cannot serialise function: type not supported",
            ),
            (
                "return cjson.encode(coroutine.create(function() end))",
                "!user_script:1: Cannot serialise thread: type not supported",
            ),
            (
                "return cjson.encode({[true] = 1})",
                "!user_script:1: Cannot serialise boolean: table key must be a number or string",
            ),
            ("return cjson.encode(0/0)", "!user_script:1: Cannot serialise number: must not be NaN or Inf"),
            (
                "return cjson.encode({[1/0] = 1, a = 1})",
                "!user_script:1: Cannot serialise number: must not be NaN or Inf",
            ),
            (
                "local j = cjson.new() j.encode_invalid_numbers(true) return j.encode({0/0, 1/0, -1/0})",
                "[nan,inf,-inf]",
            ),
            (
                "local j = cjson.new() j.encode_invalid_numbers('null') return j.encode({0/0, 1/0})",
                "[null,null]",
            ),
        ]);
    }

    #[test]
    fn nesting_has_bounds() {
        check(&[
            ("local t = {} for i = 1, 999 do t = {t} end return #cjson.encode(t)", "2000"),
            (
                "local t = {} for i = 1, 1000 do t = {t} end return cjson.encode(t)",
                "!user_script:1: Cannot serialise, excessive nesting (1001)",
            ),
            (
                "local t = {} t[1] = t return cjson.encode(t)",
                "!user_script:1: Cannot serialise, excessive nesting (1001)",
            ),
            (
                "local t = {} t.x = t return cjson.encode(t)",
                "!user_script:1: Cannot serialise, excessive nesting (1001)",
            ),
            (
                "local j = cjson.new() j.encode_max_depth(1) return j.encode({}), pcall(j.encode, {{}})",
                "{}, false, Cannot serialise, excessive nesting (2)",
            ),
        ]);
        let lua = state();
        for table in ["{t}", "{a = t}"] {
            let source = format!(
                "local j = cjson.new() j.encode_max_depth(100000)
                local t = {{}} for i = 1, 10000 do t = {table} end return j.encode(t)"
            );
            let answer = run(&lua, &source);
            assert!(answer.starts_with("!user_script:2: Cannot serialise, excessive nesting ("), "{answer}");
        }
    }

    #[test]
    fn next_is_not_the_scripts() {
        check(&[("next = nil return cjson.encode({a = 1})", r#"{"a":1}"#)]);
    }
}
