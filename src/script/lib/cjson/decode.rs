//! JSON to Lua values. A scanner makes tokens of the text, which ends at its end or where a zero byte stands in the place
//! of a token; the tables around a value stand on a heap.
//!
//! Beyond the standard, numbers are what C's `strtod` takes as long as `decode_invalid_numbers` is on, and control
//! characters in strings are let through.

use super::super::SLOTS;
use super::super::call::Failure;
use super::Settings;
use crate::base::number::parse_f64_prefix;
use mlua::{Lua, LuaString, Table, Value};
use std::borrow::Cow;

/// The value of a JSON text.
pub(super) fn decode(lua: &Lua, settings: &Settings, json: &[u8]) -> Result<Value, Failure> {
    if json.len() >= 2 && json[..2].contains(&0) {
        return Err(Failure::located("JSON parser does not support UTF-16 or UTF-32"));
    }
    let scanner = Scanner { json, at: 0, invalid_numbers: settings.decode_invalid_numbers.get() == 1 };
    let max_depth = settings.decode_max_depth.get() as usize;
    let mut decoder = Decoder { lua, scanner, open: Vec::new(), max_depth, slots: 1 };
    let value = decoder.value().map_err(|failure| match failure {
        // Open tables and their keys are also held by `mlua`, which has a little less room than the reference.
        Failure::Lua(mlua::Error::StackError) => decoder.too_deep(),
        other => other,
    })?;
    match decoder.scanner.next() {
        (_, Token::End) => Ok(value),
        found => Err(unexpected("the end", &found)),
    }
}

/// What the text consists of.
enum Token<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Cow<'a, [u8]>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// None of these, and why.
    Error(&'static str),
}

impl Token<'_> {
    /// How errors speak of it.
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(why) => why,
        }
    }
}

/// A token and where it stands, an error where it is noticed.
type Found<'a> = (usize, Token<'a>);

fn unexpected(expected: &str, (at, token): &Found<'_>) -> Failure {
    // The reference prints positions with 32 bits.
    let position = (at + 1) as i32;
    Failure::located(format!("Expected {expected} but found {} at character {position}", token.name()))
}

struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
    invalid_numbers: bool,
}

impl<'a> Scanner<'a> {
    /// The byte at an index; 0 behind the end.
    fn byte(&self, index: usize) -> u8 {
        self.json.get(index).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Found<'a> {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let start = self.at;
        let rest = self.json.get(start..).unwrap_or_default();
        let (length, token) = match self.byte(start) {
            0 => (0, Token::End),
            b'{' => (1, Token::ObjectBegin),
            b'}' => (1, Token::ObjectEnd),
            b'[' => (1, Token::ArrayBegin),
            b']' => (1, Token::ArrayEnd),
            b':' => (1, Token::Colon),
            b',' => (1, Token::Comma),
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' if self.invalid_numbers || !is_nonstandard(rest) => number(rest),
            b'-' | b'0'..=b'9' => (0, Token::Error("invalid number")),
            _ if rest.starts_with(b"true") => (4, Token::Boolean(true)),
            _ if rest.starts_with(b"false") => (5, Token::Boolean(false)),
            _ if rest.starts_with(b"null") => (4, Token::Null),
            b'+' | b'i' | b'I' | b'n' | b'N' if self.invalid_numbers && is_nonstandard(rest) => number(rest),
            _ => (0, Token::Error("invalid token")),
        };
        self.at += length;
        (start, token)
    }

    /// The string whose opening quote stands here.
    fn string(&mut self) -> Found<'a> {
        let start = self.at;
        let mut plain = start + 1;
        let mut text: Cow<'a, [u8]> = Cow::Borrowed(&[]);
        loop {
            let rest = self.json.get(plain..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0)).count();
            let part = &rest[..length];
            if text.is_empty() {
                text = Cow::Borrowed(part);
            } else {
                text.to_mut().extend_from_slice(part);
            }
            let end = plain + length;
            match self.byte(end) {
                b'"' => {
                    self.at = end + 1;
                    return (start, Token::String(text));
                }
                b'\\' => match self.escape(end) {
                    Ok((character, length)) => {
                        character.put(text.to_mut());
                        plain = end + length;
                    }
                    Err(why) => return (end, Token::Error(why)),
                },
                _ => return (end, Token::Error("unexpected end of string")),
            }
        }
    }

    /// What the escape sequence at `start` stands for, and its length.
    fn escape(&self, start: usize) -> Result<(Escaped, usize), &'static str> {
        let byte = match self.byte(start + 1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => return self.unicode_escape(start).ok_or("invalid unicode escape code"),
            _ => return Err("invalid escape code"),
        };
        Ok((Escaped(byte.into()), 2))
    }

    /// A unit of UTF-16, or two for what does not fit in one.
    fn unicode_escape(&self, start: usize) -> Option<(Escaped, usize)> {
        const UNIT: usize = 6;
        let first = self.hex(start + 2)?;
        if first & 0xf800 != 0xd800 {
            return Some((Escaped(char::from_u32(first)?), UNIT));
        }
        if self.byte(start + UNIT) != b'\\' || self.byte(start + UNIT + 1) != b'u' {
            return None;
        }
        let second = self.hex(start + UNIT + 2)?;
        if first & 0x400 != 0 || second & 0xfc00 != 0xdc00 {
            return None;
        }
        let code = 0x10000 + ((first & 0x3ff) << 10 | second & 0x3ff);
        Some((Escaped(char::from_u32(code)?), 2 * UNIT))
    }

    fn hex(&self, start: usize) -> Option<u32> {
        let digit = |index| char::from(self.byte(index)).to_digit(16);
        (start..start + 4).try_fold(0, |number, index| Some(number << 4 | digit(index)?))
    }
}

/// The character that an escape sequence stands for.
struct Escaped(char);

impl Escaped {
    fn put(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.0.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// The number that stands here.
fn number(rest: &[u8]) -> (usize, Token<'_>) {
    match parse_f64_prefix(rest) {
        Some((number, length)) => (length, Token::Number(number)),
        None => (0, Token::Error("invalid number")),
    }
}

/// Whether what stands here looks like a number that JSON does not have: `+1`, `01`, `0x1`, infinity, NaN.
fn is_nonstandard(rest: &[u8]) -> bool {
    let digits = rest.strip_prefix(b"-").unwrap_or(rest);
    let word = |word: &[u8]| digits.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(word));
    match digits {
        _ if rest.starts_with(b"+") => true,
        [b'0', second, ..] => matches!(second, b'x' | b'X' | b'0'..=b'9'),
        _ => word(b"inf") || word(b"nan"),
    }
}

struct Decoder<'a> {
    lua: &'a Lua,
    scanner: Scanner<'a>,
    /// The tables that are not complete, the innermost last.
    open: Vec<Open>,
    max_depth: usize,
    /// How many stack slots the reference would have filled.
    slots: usize,
}

enum Open {
    /// With the number of its elements.
    Array(Table, usize),
    /// With the key whose value comes next.
    Object(Table, LuaString),
}

/// The slots that the reference wants free for an array (itself and a value) and for an object (a key, too).
const ARRAY_SLOTS: usize = 2;
const OBJECT_SLOTS: usize = 3;

impl<'a> Decoder<'a> {
    /// Reads one value with everything in it.
    fn value(&mut self) -> Result<Value, Failure> {
        let mut found = self.scanner.next();
        loop {
            let mut complete = match found {
                (_, Token::String(text)) => Value::String(self.lua.create_string(text)?),
                (_, Token::Number(number)) => Value::Number(number),
                (_, Token::Boolean(flag)) => Value::Boolean(flag),
                (_, Token::Null) => Value::NULL,
                (_, Token::ArrayBegin) => {
                    let table = self.descend(ARRAY_SLOTS)?;
                    found = self.scanner.next();
                    if !matches!(found.1, Token::ArrayEnd) {
                        self.slots += ARRAY_SLOTS - 1;
                        self.open.push(Open::Array(table, 0));
                        continue;
                    }
                    Value::Table(table)
                }
                (_, Token::ObjectBegin) => {
                    let table = self.descend(OBJECT_SLOTS)?;
                    found = self.scanner.next();
                    if !matches!(found.1, Token::ObjectEnd) {
                        let key = self.key(found)?;
                        self.slots += OBJECT_SLOTS - 1;
                        self.open.push(Open::Object(table, key));
                        found = self.scanner.next();
                        continue;
                    }
                    Value::Table(table)
                }
                other => return Err(unexpected("value", &other)),
            };
            loop {
                match self.put(complete)? {
                    Step::Done(value) => return Ok(value),
                    Step::Complete(table) => complete = Value::Table(table),
                    Step::Next(next) => {
                        found = next;
                        break;
                    }
                }
            }
        }
    }

    /// Puts a value into the innermost table, and goes on to what follows there.
    fn put(&mut self, value: Value) -> Result<Step<'a>, Failure> {
        let found = match self.open.last_mut() {
            None => return Ok(Step::Done(value)),
            Some(Open::Array(table, count)) => {
                *count += 1;
                table.raw_set(*count, value)?;
                let found = self.scanner.next();
                match found.1 {
                    Token::Comma => return Ok(Step::Next(self.scanner.next())),
                    Token::ArrayEnd => {}
                    _ => return Err(unexpected("comma or array end", &found)),
                }
                found
            }
            Some(Open::Object(table, key)) => {
                table.raw_set(&*key, value)?;
                self.scanner.next()
            }
        };
        match (self.open.pop(), found) {
            (Some(Open::Array(table, _)), _) => {
                self.slots -= ARRAY_SLOTS - 1;
                Ok(Step::Complete(table))
            }
            (Some(Open::Object(table, _)), (_, Token::ObjectEnd)) => {
                self.slots -= OBJECT_SLOTS - 1;
                Ok(Step::Complete(table))
            }
            (Some(Open::Object(table, _)), (_, Token::Comma)) => {
                let found = self.scanner.next();
                let key = self.key(found)?;
                self.open.push(Open::Object(table, key));
                Ok(Step::Next(self.scanner.next()))
            }
            (_, found) => Err(unexpected("comma or object end", &found)),
        }
    }

    /// The key that was found, with the colon behind it.
    fn key(&mut self, found: Found<'a>) -> Result<LuaString, Failure> {
        let (_, Token::String(text)) = found else { return Err(unexpected("object key string", &found)) };
        let key = self.lua.create_string(text)?;
        match self.scanner.next() {
            (_, Token::Colon) => Ok(key),
            other => Err(unexpected("colon", &other)),
        }
    }

    /// A new table, one level further down.
    fn descend(&mut self, slots: usize) -> Result<Table, Failure> {
        if self.open.len() >= self.max_depth || self.slots + slots > SLOTS {
            return Err(self.too_deep());
        }
        Ok(self.lua.create_table()?)
    }

    fn too_deep(&self) -> Failure {
        let (depth, position) = (self.open.len() + 1, self.scanner.at as i32);
        let text = format!("Found too many nested data structures ({depth}) at character {position}");
        Failure::located(text)
    }
}

/// How reading goes on.
enum Step<'a> {
    /// The outermost value is complete.
    Done(Value),
    /// This table is complete.
    Complete(Table),
    /// A value begins with this.
    Next(Found<'a>),
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{check, run, state};
    use proptest::prelude::*;

    #[test]
    fn json_becomes_values() {
        check(&[
            (
                "return cjson.decode('1'), cjson.decode(' true\\n'), cjson.decode('false'), cjson.decode('null'), cjson.decode('\"x\"')",
                "1, true, false, null, x",
            ),
            (
                "return unpack(cjson.decode('[0.0, -5e3, -1, 0.3e-3, 1023.2, 0e10]'))",
                "0, -5000, -1, 0.00029999999999999997, 1023.2, 0",
            ),
            (
                "return unpack(cjson.decode('[01, 0x10, +5, -0x1.8p1, 1., -.5, 1e999]'))",
                "1, 16, 5, -3, 1, -0.5, inf",
            ),
            ("return unpack(cjson.decode('[inf, -Infinity, NaN, nan(x_1), -0]'))", "inf, -inf, nan, nan, -0"),
            (r#"return cjson.decode('"\\"\\\\\\/\\b\\f\\n\\r\\t"')"#, r#""\\/\x08\x0c\n\r\t"#),
            (
                r#"return cjson.decode('"a\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\u0000b"')"#,
                r"aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x00b",
            ),
            ("return cjson.decode('\"\\255\\1\\n\"')", r"\xff\x01\n"),
            (
                "return #cjson.decode('[]'), next(cjson.decode('{}')), #cjson.decode('[[],{},[[]]]')",
                "0, nil, 3",
            ),
            (
                "local t = cjson.decode('{\"a\":[1,{\"b\":null}],\"a b\":\"c\",\"a\":2}') return t.a, t['a b']",
                "2, c",
            ),
            (
                "local t = cjson.decode('[1,null,{\"x\":[true]}]') return t[2] == cjson.null, t[3].x[1]",
                "true, true",
            ),
            ("return cjson.decode('12\\0junk'), cjson.decode(12)", "12, 12"),
        ]);
    }

    #[test]
    fn errors_tell_what_was_found_and_where() {
        for (json, expected) in [
            ("", "Expected value but found T_END at character 1"),
            ("x", "Expected value but found invalid token at character 1"),
            ("  [1, x]", "Expected value but found invalid token at character 7"),
            ("tru", "Expected value but found invalid token at character 1"),
            ("nil", "Expected value but found invalid token at character 1"),
            ("[", "Expected value but found T_END at character 2"),
            ("[1", "Expected comma or array end but found T_END at character 3"),
            ("[1,]", "Expected value but found T_ARR_END at character 4"),
            ("[1}", "Expected comma or array end but found T_OBJ_END at character 3"),
            ("{", "Expected object key string but found T_END at character 2"),
            ("{1", "Expected object key string but found T_NUMBER at character 2"),
            ("{true", "Expected object key string but found T_BOOLEAN at character 2"),
            ("{null", "Expected object key string but found T_NULL at character 2"),
            ("{[", "Expected object key string but found T_ARR_BEGIN at character 2"),
            ("{{", "Expected object key string but found T_OBJ_BEGIN at character 2"),
            (r#"{"a""#, "Expected colon but found T_END at character 5"),
            (r#"{"a","#, "Expected colon but found T_COMMA at character 5"),
            (r#"{"a":"#, "Expected value but found T_END at character 6"),
            (r#"{"a"::"#, "Expected value but found T_COLON at character 6"),
            (r#"{"a":1"#, "Expected comma or object end but found T_END at character 7"),
            (r#"{"a":1]"#, "Expected comma or object end but found T_ARR_END at character 7"),
            (r#"{"a":1,}"#, "Expected object key string but found T_OBJ_END at character 8"),
            (r#"{"a" "b""#, "Expected colon but found T_STRING at character 6"),
            ("1 2", "Expected the end but found T_NUMBER at character 3"),
            ("1x", "Expected the end but found invalid token at character 2"),
            (r#""ab"#, "Expected value but found unexpected end of string at character 4"),
            (r#""ab\x""#, "Expected value but found invalid escape code at character 4"),
            (r#""a\"#, "Expected value but found invalid escape code at character 3"),
            (r#""\u12g4""#, "Expected value but found invalid unicode escape code at character 2"),
            (r#""\ud800""#, "Expected value but found invalid unicode escape code at character 2"),
            (r#""\ude00\ud83d""#, "Expected value but found invalid unicode escape code at character 2"),
            ("-", "Expected value but found invalid number at character 1"),
            ("[-x]", "Expected value but found invalid number at character 2"),
            ("+", "Expected value but found invalid number at character 1"),
            ("0x", "Expected the end but found invalid token at character 2"),
            ("1e", "Expected the end but found invalid token at character 2"),
            ("a\0", "JSON parser does not support UTF-16 or UTF-32"),
        ] {
            let lua = state();
            lua.globals().set("json", json).expect("a new global");
            assert_eq!(
                run(&lua, "return cjson.decode(json)"),
                format!("!user_script:1: {expected}"),
                "{json}"
            );
        }
    }

    #[test]
    fn strict_numbers_are_those_of_the_standard() {
        let lua = state();
        run(&lua, "cjson.decode_invalid_numbers(false)");
        for (json, expected) in [
            ("0", "0"),
            ("-1.5e+3", "-1500"),
            ("1.", "1"),
            ("01", "!user_script:1: Expected value but found invalid number at character 1"),
            ("-0x1", "!user_script:1: Expected value but found invalid number at character 1"),
            ("-inf", "!user_script:1: Expected value but found invalid number at character 1"),
            ("+1", "!user_script:1: Expected value but found invalid token at character 1"),
            ("nan", "!user_script:1: Expected value but found invalid token at character 1"),
        ] {
            assert_eq!(run(&lua, &format!("return cjson.decode('{json}')")), expected, "{json}");
        }
    }

    #[test]
    fn nesting_has_bounds() {
        check(&[
            ("return #cjson.decode(('['):rep(1000)..(']'):rep(1000))", "1"),
            (
                "return cjson.decode(('['):rep(1001))",
                "!user_script:1: Found too many nested data structures (1001) at character 1001",
            ),
            (
                "return cjson.decode(('{\"a\":'):rep(10000))",
                "!user_script:1: Found too many nested data structures (1001) at character 5001",
            ),
            (
                "return cjson.decode(('['):rep(10000))",
                "!user_script:1: Found too many nested data structures (1001) at character 1001",
            ),
            (
                "local j = cjson.new() j.decode_max_depth(1) return #j.decode('[]'), pcall(j.decode, '[[]]')",
                "0, false, Found too many nested data structures (2) at character 2",
            ),
            (
                "local j = cjson.new() j.decode_max_depth(1e6) return #j.decode(('['):rep(7000)..(']'):rep(7000))",
                "1",
            ),
        ]);
        let lua = state();
        for json in ["('['):rep(10000)", "('{\"a\":'):rep(10000)"] {
            let source = format!("local j = cjson.new() j.decode_max_depth(1e6) return j.decode({json})");
            assert!(
                run(&lua, &source).starts_with("!user_script:1: Found too many nested data structures ("),
                "{json}"
            );
        }
    }

    /// JSON that `encode` writes as it is, apart from the order of keys.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|flag| flag.to_string()),
            any::<i32>().prop_map(|number| number.to_string()),
            "[ -!#-.0-\\[\\]-~]{0,20}".prop_map(|text| format!("\"{text}\"")),
        ];
        leaf.prop_recursive(6, 60, 10, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..10)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                ("[a-z]{0,5}", inner).prop_map(|(key, value)| format!("{{\"{key}\":{value}}}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_encoded(json in json()) {
            let lua = state();
            lua.globals().set("json", json).expect("a new global");
            prop_assert_eq!(run(&lua, "return cjson.encode(cjson.decode(json)) == json"), "true");
        }

        #[test]
        fn any_string_comes_back(text in any::<Vec<u8>>()) {
            let lua = state();
            lua.globals().set("text", lua.create_string(text).expect("a string")).expect("a new global");
            prop_assert_eq!(run(&lua, "return cjson.decode(cjson.encode(text)) == text"), "true");
        }

        /// Any text is a value or an error that says where.
        #[test]
        fn any_bytes_are_met(json in prop_oneof![any::<Vec<u8>>(), "[\\[\\]{}:,\"\\\\u0-9a-f+.eExXnulIN \0-]{0,40}".prop_map(String::into_bytes)]) {
            let lua = state();
            lua.globals().set("json", lua.create_string(json).expect("a string")).expect("a new global");
            let answer = run(&lua, "local ok, e = pcall(cjson.decode, json) return ok or e");
            let fine = answer == "true" || answer.contains(" at character ") || answer.contains("UTF-16");
            prop_assert!(fine, "{}", answer);
        }
    }
}
