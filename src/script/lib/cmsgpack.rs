//! `cmsgpack`: MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>) as lua-cmsgpack 0.4.0 writes and reads
//! it: integers in the shortest form, other numbers as floats if that loses nothing, a table as an array if its keys
//! are just 1 to n.
//!
//! Tables nested deeper than [`NESTING_MAX`] are packed as nil. Unpacking keeps the open tables on a heap and counts the
//! stack slots that the reference would use, so that it gives up at the same depth with the same error.

use super::call::{Answer, Args, Failure, one, table_of};
use super::{SLOTS, to_i64};
use mlua::{Lua, MultiValue, Table, Value};

/// The depth at which tables are packed as nil.
const NESTING_MAX: usize = 16;

/// The library's table.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = table_of(
        lua,
        &[
            ("pack", pack),
            ("unpack", |lua, args| unpack(lua, &args, 0, 0, args.count())),
            ("unpack_one", |lua, args| unpack(lua, &args, 1, args.integer_or(2, 0)?, 1)),
            ("unpack_limit", |lua, args| unpack(lua, &args, args.integer(2)?, args.integer_or(3, 0)?, 1)),
        ],
    )?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

/// `pack(values...)`: all of them, one after the other.
fn pack(lua: &Lua, args: Args<'_>) -> Answer {
    if args.count() == 0 {
        return Err(Failure::argument(0, "MessagePack pack needs input."));
    }
    if 2 * args.count() > SLOTS {
        return Err(Failure::argument(0, "Too many arguments for MessagePack pack."));
    }
    let mut packed = Vec::new();
    for value in args.values() {
        put_value(&mut packed, value, 0)?;
    }
    one(Value::String(lua.create_string(packed)?))
}

fn put_value(packed: &mut Vec<u8>, value: &Value, level: usize) -> mlua::Result<()> {
    match value {
        Value::Boolean(flag) => packed.push(if *flag { 0xc3 } else { 0xc2 }),
        Value::Integer(number) => put_integer(packed, *number),
        Value::Number(number) => put_number(packed, *number),
        Value::String(text) => {
            let bytes = text.as_bytes();
            put_size(packed, bytes.len(), (0xa0, 31), Some(0xd9), 0xda);
            packed.extend_from_slice(&bytes);
        }
        Value::Table(table) if level < NESTING_MAX => return put_table(packed, table, level),
        _ => packed.push(0xc0),
    }
    Ok(())
}

/// A double that `mlua` does not show as an integer: a fraction, `-0`, or beyond 64 bits.
fn put_number(packed: &mut Vec<u8>, number: f64) {
    let integer = to_i64(number);
    let single = number as f32;
    if integer as f64 == number {
        put_integer(packed, integer);
    } else if f64::from(single) == number {
        packed.push(0xca);
        packed.extend(single.to_be_bytes());
    } else {
        packed.push(0xcb);
        packed.extend(number.to_be_bytes());
    }
}

fn put_integer(packed: &mut Vec<u8>, number: i64) {
    let bytes = number.to_be_bytes();
    let (mark, size) = match number {
        -32..=127 => return packed.push(number as u8),
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..=-0x21 => (0xd0, 1),
        -0x8000..=-0x81 => (0xd1, 2),
        -0x8000_0000..=-0x8001 => (0xd2, 4),
        ..=-0x8000_0001 => (0xd3, 8),
    };
    packed.push(mark);
    packed.extend_from_slice(&bytes[8 - size..]);
}

/// A size in the shortest form: `short` is the mark that holds sizes up to a maximum, `mark8` stands before one byte,
/// `mark16` before two, the mark after that before four.
fn put_size(packed: &mut Vec<u8>, size: usize, short: (u8, usize), mark8: Option<u8>, mark16: u8) {
    match mark8 {
        _ if size <= short.1 => packed.push(short.0 | size as u8),
        Some(mark) if size <= 0xff => packed.extend([mark, size as u8]),
        _ if size <= 0xffff => {
            packed.push(mark16);
            packed.extend((size as u16).to_be_bytes());
        }
        _ => {
            packed.push(mark16 + 1);
            packed.extend((size as u32).to_be_bytes());
        }
    }
}

fn put_table(packed: &mut Vec<u8>, table: &Table, level: usize) -> mlua::Result<()> {
    let (size, is_array) = measure(table)?;
    if is_array {
        put_size(packed, size, (0x90, 15), None, 0xdc);
        for index in 1..=size {
            put_value(packed, &table.raw_get(index)?, level + 1)?;
        }
    } else {
        put_size(packed, size, (0x80, 15), None, 0xde);
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            put_value(packed, &key, level + 1)?;
            put_value(packed, &value, level + 1)?;
        }
    }
    Ok(())
}

/// How many entries a table has, and whether their keys are the integers from 1 on without a hole.
fn measure(table: &Table) -> mlua::Result<(usize, bool)> {
    let (mut size, mut max, mut indexes) = (0, 0, true);
    for pair in table.pairs::<Value, bool>() {
        size += 1;
        match pair?.0 {
            Value::Integer(index @ 1..=0x7fff_ffff) => max = max.max(index as usize),
            _ => indexes = false,
        }
    }
    Ok((size, indexes && max == size))
}

/// Unpacks at most `limit` values from `offset` on, all if both are 0. The position behind them stands before the values,
/// -1 at the end of the data; not if all were asked for. `slots` is what the arguments take.
fn unpack(lua: &Lua, args: &Args<'_>, limit: i64, offset: i64, slots: usize) -> Answer {
    let data = args.string(1)?;
    let data = data.as_bytes();
    let start = match usize::try_from(offset) {
        Ok(start) if limit >= 0 => start,
        _ => {
            // The reference says the length in the place of the limit.
            let (offset, length) = (offset as i32, data.len() as i32);
            let text = format!("Invalid request to unpack with offset of {offset} and limit of {length}.");
            return Err(Failure::located(text));
        }
    };
    let Some(rest) = data.get(start..) else {
        let (offset, length) = (offset as i32, data.len() as i32);
        return Err(Failure::located(format!("Start offset {offset} greater than input length {length}.")));
    };
    let all = limit == 0 && offset == 0;
    let limit = if all { i64::from(i32::MAX) } else { limit };
    let mut reader = Reader { lua, rest, open: Vec::new(), slots };
    let mut values = Vec::new();
    while !reader.rest.is_empty() && (values.len() as i64) < limit {
        values.push(reader.value()?);
        reader.slots += 1;
    }
    if !all {
        reader.need_slot("in function mp_unpack_full")?;
        let position = if reader.rest.is_empty() { -1 } else { (data.len() - reader.rest.len()) as i64 };
        values.insert(0, Value::Integer(position));
    }
    Ok(MultiValue::from_vec(values))
}

/// A table that is being filled.
struct Open {
    table: Table,
    /// How many entries are still to come.
    left: u32,
    next: Part,
}

/// What comes next in a table.
enum Part {
    /// The element of an array at this index.
    Element(u32),
    Key,
    /// The value for this key.
    Value(Value),
}

/// What stands at the beginning of the rest.
enum Item {
    Scalar(Value),
    Array(u32),
    Map(u32),
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
    /// The tables around what comes next, the innermost last.
    open: Vec<Open>,
    /// How many stack slots the reference would have filled.
    slots: usize,
}

impl<'a> Reader<'a> {
    /// Reads one value with everything in it.
    fn value(&mut self) -> Result<Value, Failure> {
        loop {
            match self.item()? {
                Item::Array(size) => self.begin_array(size)?,
                Item::Map(size) => self.begin_map(size)?,
                Item::Scalar(value) => {
                    if let Some(value) = self.put(value)? {
                        return Ok(value);
                    }
                }
            }
            while let Some(complete) = self.open.pop_if(|open| open.left == 0) {
                self.slots -= if matches!(complete.next, Part::Element(_)) { 2 } else { 1 };
                if let Some(value) = self.put(Value::Table(complete.table))? {
                    return Ok(value);
                }
            }
        }
    }

    fn begin_array(&mut self, size: u32) -> Result<(), Failure> {
        self.slots += 1;
        self.need_slot("in function mp_decode_to_lua_array")?;
        // The index of the next element.
        self.slots += 1;
        self.open.push(Open { table: self.lua.create_table()?, left: size, next: Part::Element(1) });
        Ok(())
    }

    fn begin_map(&mut self, size: u32) -> Result<(), Failure> {
        self.slots += 1;
        self.open.push(Open { table: self.lua.create_table()?, left: size, next: Part::Key });
        Ok(())
    }

    /// Puts a value into the innermost table, or gives it back if there is none.
    fn put(&mut self, value: Value) -> Result<Option<Value>, Failure> {
        let Some(open) = self.open.last_mut() else { return Ok(Some(value)) };
        open.next = match std::mem::replace(&mut open.next, Part::Key) {
            Part::Key => {
                self.slots += 1;
                open.next = Part::Value(value);
                return Ok(None);
            }
            Part::Element(index) => {
                open.table.raw_set(index, value)?;
                Part::Element(index.wrapping_add(1))
            }
            Part::Value(key) => {
                self.slots -= 1;
                check_key(self.lua, &key)?;
                open.table.raw_set(key, value)?;
                Part::Key
            }
        };
        open.left -= 1;
        Ok(None)
    }

    fn item(&mut self) -> Result<Item, Failure> {
        let Some((&mark, rest)) = self.rest.split_first() else { return Err(missing()) };
        self.need_slot("too many return values at once; use unpack_one or unpack_limit instead.")?;
        self.rest = rest;
        Ok(Item::Scalar(match mark {
            0x00..=0x7f | 0xe0..=0xff => Value::Integer((mark as i8).into()),
            0x80..=0x8f => return Ok(Item::Map((mark & 15).into())),
            0x90..=0x9f => return Ok(Item::Array((mark & 15).into())),
            0xa0..=0xbf => self.string((mark & 31).into())?,
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Boolean(mark == 0xc3),
            0xca => Value::Number(f32::from_bits(self.unsigned(4)? as u32).into()),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            // Beyond 63 bits numbers come out negative.
            0xcc..=0xcf => Value::Integer(self.unsigned(1 << (mark - 0xcc))? as i64),
            0xd0..=0xd3 => {
                let size = 1 << (mark - 0xd0);
                let unused = 64 - 8 * size as u32;
                Value::Integer(((self.unsigned(size)? << unused) as i64) >> unused)
            }
            0xd9..=0xdb => {
                let size = self.unsigned(1 << (mark - 0xd9))?;
                self.string(size as usize)?
            }
            0xdc | 0xdd => return Ok(Item::Array(self.unsigned(2 << (mark - 0xdc))? as u32)),
            0xde | 0xdf => return Ok(Item::Map(self.unsigned(2 << (mark - 0xde))? as u32)),
            _ => return Err(Failure::located("Bad data format in input.")),
        }))
    }

    fn string(&mut self, size: usize) -> Result<Value, Failure> {
        let bytes = self.bytes(size)?;
        Ok(Value::String(self.lua.create_string(bytes)?))
    }

    fn unsigned(&mut self, size: usize) -> Result<u64, Failure> {
        Ok(self.bytes(size)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn bytes(&mut self, size: usize) -> Result<&'a [u8], Failure> {
        let (bytes, rest) = self.rest.split_at_checked(size).ok_or_else(missing)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn need_slot(&self, what: &str) -> Result<(), Failure> {
        if self.slots < SLOTS {
            return Ok(());
        }
        Err(Failure::located(format!("stack overflow ({what})")))
    }
}

fn missing() -> Failure {
    Failure::located("Missing bytes in input.")
}

/// Refuses what cannot be a key.
fn check_key(lua: &Lua, key: &Value) -> Result<(), Failure> {
    let text = match key {
        Value::Nil => "table index is nil",
        Value::Number(number) if number.is_nan() => "table index is NaN",
        _ => return Ok(()),
    };
    Err(Failure::Value(Value::String(lua.create_string(text)?)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, run, state};
    use proptest::prelude::*;

    #[test]
    fn values_are_packed_in_the_shortest_form() {
        check(&[
            (
                "return cmsgpack.pack(0, 127, 128, 255, 256, 65535, 65536)",
                r"\x00\x7f\xcc\x80\xcc\xff\xcd\x01\x00\xcd\xff\xff\xce\x00\x01\x00\x00",
            ),
            (
                "return cmsgpack.pack(4294967295, 4294967296)",
                r"\xce\xff\xff\xff\xff\xcf\x00\x00\x00\x01\x00\x00\x00\x00",
            ),
            (
                "return cmsgpack.pack(-1, -32, -33, -128, -129, -32768, -32769)",
                r"\xff\xe0\xd0\xdf\xd0\x80\xd1\xff\x7f\xd1\x80\x00\xd2\xff\xff\x7f\xff",
            ),
            (
                "return cmsgpack.pack(-2147483648, -1099511627776)",
                r"\xd2\x80\x00\x00\x00\xd3\xff\xff\xff\x00\x00\x00\x00\x00",
            ),
            ("return cmsgpack.pack(2^63, -2^63)", r"\xca_\x00\x00\x00\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
            (
                "return cmsgpack.pack(0.1, 0.5, -tonumber('0'), 1/0, 1e300)",
                r"\xcb?\xb9\x99\x99\x99\x99\x99\x9a\xca?\x00\x00\x00\x00\xca\x7f\x80\x00\x00\xcb~7\xe4<\x88\x00u\x9c",
            ),
            ("return cmsgpack.pack(nil, true, false, print, cjson.null)", r"\xc0\xc3\xc2\xc0\xc0"),
            (
                "return cmsgpack.pack('', 'abc', {}, {1, 'x'}, {a = 1})",
                r"\xa0\xa3abc\x90\x92\x01\xa1x\x81\xa1a\x01",
            ),
            (
                "return cmsgpack.pack({[2] = 1}, {[1] = 1, [1.5] = 2}, {[0] = 1})",
                r"\x81\x02\x01\x82\x01\x01\xca?\xc0\x00\x00\x02\x81\x00\x01",
            ),
            (
                "return #cmsgpack.pack(('x'):rep(31)), cmsgpack.pack(('x'):rep(32)):sub(1, 3), cmsgpack.pack(('x'):rep(256)):sub(1, 3), cmsgpack.pack(('x'):rep(65536)):sub(1, 5)",
                r"32, \xd9 x, \xda\x01\x00, \xdb\x00\x01\x00\x00",
            ),
            (
                "local t = {} for i = 1, 16 do t[i] = 1 end return cmsgpack.pack(t):sub(1, 4)",
                r"\xdc\x00\x10\x01",
            ),
            (
                "local t = {} for i = 1, 65536 do t[i] = 1 end return cmsgpack.pack(t):sub(1, 6)",
                r"\xdd\x00\x01\x00\x00\x01",
            ),
            ("local t = {} for i = 2, 17 do t[i] = 1 end return cmsgpack.pack(t):sub(1, 3)", r"\xde\x00\x10"),
            (
                "local a = {} a[1] = a return cmsgpack.pack(a)",
                r"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0",
            ),
            ("return cmsgpack.pack({[{}] = {}})", r"\x81\x90\x90"),
            (
                "return cmsgpack.pack()",
                "!user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.)",
            ),
            (
                "local t = {} for i = 1, 4001 do t[i] = 1 end return cmsgpack.pack(unpack(t))",
                "!user_script:1: bad argument #0 to 'pack' (Too many arguments for MessagePack pack.)",
            ),
            ("local t = {} for i = 1, 4000 do t[i] = 1 end return #cmsgpack.pack(unpack(t))", "4000"),
        ]);
    }

    #[test]
    fn values_are_unpacked() {
        check(&[
            ("return cmsgpack.unpack('\\1\\127\\224\\255')", "1, 127, -32, -1"),
            (
                "return cmsgpack.unpack('\\204\\255\\205\\255\\254\\206\\255\\255\\255\\255')",
                "255, 65534, 4294967295",
            ),
            ("return cmsgpack.unpack('\\207\\255\\255\\255\\255\\255\\255\\255\\255')", "-1"),
            (
                "return cmsgpack.unpack('\\208\\255\\209\\255\\254\\210\\128\\0\\0\\0\\211\\255\\255\\255\\0\\0\\0\\0\\0')",
                "-1, -2, -2147483648, -1099511627776",
            ),
            (
                "return cmsgpack.unpack('\\202\\63\\0\\0\\0\\203\\63\\185\\153\\153\\153\\153\\153\\154')",
                "0.5, 0.10000000000000001",
            ),
            (
                "return cmsgpack.unpack('\\192\\194\\195\\161x\\217\\1y\\218\\0\\1z\\219\\0\\0\\0\\1!')",
                "nil, false, true, x, y, z, !",
            ),
            ("return cmsgpack.unpack('')", ""),
            ("return unpack(cmsgpack.unpack('\\147\\1\\144\\161a'))", "1, table, a"),
            (
                "return unpack(cmsgpack.unpack('\\220\\0\\1\\1')), unpack(cmsgpack.unpack('\\221\\0\\0\\0\\2\\2\\3'))",
                "1, 2, 3",
            ),
            ("local m = cmsgpack.unpack('\\130\\161a\\1\\2\\129\\161b\\3') return m.a, m[2].b", "1, 3"),
            (
                "return cmsgpack.unpack('\\222\\0\\1\\161a\\1').a, cmsgpack.unpack('\\223\\0\\0\\0\\1\\161a\\1').a",
                "1, 1",
            ),
            ("return next(cmsgpack.unpack('\\129\\144\\1'))", "table, 1"),
            ("return cmsgpack.unpack_one('\\1\\2\\3'), cmsgpack.unpack_one('\\1\\2\\3', 2)", "1, -1, 3"),
            ("return cmsgpack.unpack_one('\\1\\2', 1.9)", "-1, 2"),
            ("return cmsgpack.unpack_one('', 0)", "-1"),
            ("return cmsgpack.unpack_limit('\\1\\2\\3', 2)", "2, 1, 2"),
            ("return cmsgpack.unpack_limit('\\1\\2\\3', 2, 1)", "-1, 2, 3"),
            ("return cmsgpack.unpack_limit('\\1\\2\\3', 0, 1)", "1"),
            ("return cmsgpack.unpack_limit('\\1\\2\\3', 0)", "1, 2, 3"),
            ("return cmsgpack.unpack(12)", "49, 50"),
        ]);
    }

    #[test]
    fn bad_input_is_refused() {
        check(&[
            ("return cmsgpack.unpack('\\161')", "!user_script:1: Missing bytes in input."),
            (
                "return cmsgpack.unpack('\\1\\219\\255\\255\\255\\255')",
                "!user_script:1: Missing bytes in input.",
            ),
            (
                "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
                "!user_script:1: Missing bytes in input.",
            ),
            (
                "return cmsgpack.unpack('\\223\\255\\255\\255\\255\\1')",
                "!user_script:1: Missing bytes in input.",
            ),
            ("return cmsgpack.unpack('\\193')", "!user_script:1: Bad data format in input."),
            ("return cmsgpack.unpack('\\146\\1\\199')", "!user_script:1: Bad data format in input."),
            ("return cmsgpack.unpack('\\129\\192\\1')", "!table index is nil"),
            ("return cmsgpack.unpack('\\129\\203\\255\\248\\0\\0\\0\\0\\0\\0\\1')", "!table index is NaN"),
            (
                "return cmsgpack.unpack_one('abc', -1)",
                "!user_script:1: Invalid request to unpack with offset of -1 and limit of 3.",
            ),
            (
                "return cmsgpack.unpack_limit('abc', -1)",
                "!user_script:1: Invalid request to unpack with offset of 0 and limit of 3.",
            ),
            (
                "return cmsgpack.unpack_one('abc', 4)",
                "!user_script:1: Start offset 4 greater than input length 3.",
            ),
            (
                "return cmsgpack.unpack_limit()",
                "!user_script:1: bad argument #2 to 'unpack_limit' (number expected, got no value)",
            ),
            (
                "return cmsgpack.unpack({})",
                "!user_script:1: bad argument #1 to 'unpack' (string expected, got table)",
            ),
            ("return cmsgpack.unpack(('\\145'):rep(3999)..'\\1')", "table"),
            (
                "return cmsgpack.unpack(('\\145'):rep(9000))",
                "!user_script:1: stack overflow (in function mp_decode_to_lua_array)",
            ),
            (
                "return cmsgpack.unpack(('\\1'):rep(9000))",
                "!user_script:1: stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)",
            ),
            (
                "return select('#', cmsgpack.unpack(('\\1'):rep(7000))), select('#', cmsgpack.unpack(('\\161x'):rep(7000)))",
                "7000, 7000",
            ),
        ]);
    }

    #[test]
    fn the_bounds_of_the_native_stack_are_errors() {
        let lua = state();
        for source in [
            "('\\161x'):rep(7998)",
            "('\\161x'):rep(7999)",
            "('\\1'):rep(7998)",
            "('\\1'):rep(7999)",
            "('\\129\\1'):rep(9000)",
            "('\\129'):rep(9000)",
        ] {
            let answer = run(
                &lua,
                &format!("return type(select(2, pcall(function() return (cmsgpack.unpack({source})) end)))"),
            );
            assert!(["string", "number"].contains(&&*answer), "{source}: {answer}");
        }
    }

    /// Lua expressions of what MessagePack can hold.
    fn expression() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|number| number.to_string()),
            any::<i64>().prop_map(|number| format!("{}", number as f64)),
            any::<f64>()
                .prop_filter("a number", |number| number.is_finite())
                .prop_map(|number| format!("{number:e}")),
            "[a-z]{0,40}".prop_map(|text| format!("'{text}'")),
            any::<bool>().prop_map(|flag| flag.to_string()),
        ];
        leaf.prop_recursive(5, 60, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20)
                    .prop_map(|items| format!("{{{}}}", items.join(","))),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..20).prop_map(|entries| {
                    let entries: Vec<_> =
                        entries.iter().map(|(key, value)| format!("['{key}']={value}")).collect();
                    format!("{{{}}}", entries.join(","))
                }),
            ]
        })
    }

    const SAME: &str = "local function same(a, b)
        if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end
        for k, v in pairs(a) do if not same(v, b[k]) then return false end end
        for k in pairs(b) do if a[k] == nil then return false end end
        return true end ";

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(expression in expression()) {
            let source = format!("{SAME} local v = {expression} return same(v, cmsgpack.unpack(cmsgpack.pack(v)))");
            prop_assert_eq!(run(&state(), &source), "true");
        }

        /// Any bytes are values or one of the errors, and are read the same one by one.
        #[test]
        fn any_bytes_are_met(data in any::<Vec<u8>>()) {
            let lua = state();
            lua.globals().set("d", lua.create_string(data).expect("a string")).expect("a new global");
            let source = "local all = {pcall(cmsgpack.unpack, d)}
                local count, at = 0, 0
                if not all[1] then return all[2] end
                while at >= 0 and #d > 0 do at = cmsgpack.unpack_one(d, at) count = count + 1 end
                return count == select('#', cmsgpack.unpack(d))";
            let answer = run(&lua, source);
            let known = ["true", "Missing bytes in input.", "Bad data format in input.", "table index is nil", "table index is NaN"];
            prop_assert!(known.contains(&&*answer), "{}", answer);
        }
    }
}
