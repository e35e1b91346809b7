//! `struct`: packs numbers and strings into binary strings by a format, and unpacks them
//! (<https://www.inf.puc-rio.br/~roberto/struct/>).
//!
//! Integers may have up to 32 bytes, but only 8 of them count: packing puts zeros in the place of the others, and unpacking
//! keeps the lowest. Positions are 64-bit as in the reference; each is compared with the data before it is used, so a
//! hostile one is an error.

use super::call::{Answer, Args, Failure, one, table_of, to_number};
use super::{SLOTS, to_u64};
use mlua::{Lua, MultiValue, Table, Value};

/// The largest integer, in bytes.
const INTEGER_BYTES_MAX: i32 = 32;
/// The alignment that `!` without a number asks for.
const ALIGNMENT_DEFAULT: i32 = 8;

/// The library's table.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    table_of(lua, &[("pack", pack), ("unpack", unpack), ("size", size)])
}

/// What is left of a format, and the byte order and alignment set so far.
struct Format<'a> {
    rest: &'a [u8],
    big_endian: bool,
    /// A power of two.
    alignment: u64,
}

impl<'a> Format<'a> {
    /// A format ends at a zero byte.
    fn new(text: &'a [u8]) -> Format<'a> {
        let rest = text.split(|&byte| byte == 0).next().unwrap_or_default();
        Format { rest, big_endian: false, alignment: 1 }
    }

    /// The next option and its size in bytes; 0 for those without a fixed one.
    fn next(&mut self) -> Result<Option<(u8, u64)>, Failure> {
        let [option, rest @ ..] = self.rest else { return Ok(None) };
        self.rest = rest;
        let size = match option {
            b'b' | b'B' | b'x' => 1,
            b'h' | b'H' => 2,
            b'f' => 4,
            b'l' | b'L' | b'T' | b'd' => 8,
            b'c' => self.number(1)? as u64,
            b'i' | b'I' => match self.number(4)? {
                size if size > INTEGER_BYTES_MAX => {
                    let text = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(Failure::located(text));
                }
                size => size as u64,
            },
            _ => 0,
        };
        Ok(Some((*option, size)))
    }

    /// The number that stands here, not negative, or `default` if none does.
    fn number(&mut self, default: i32) -> Result<i32, Failure> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Ok(default);
        }
        let (digits, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let add = |number: i32, digit: &u8| number.checked_mul(10)?.checked_add(i32::from(digit - b'0'));
        digits.iter().try_fold(0, add).ok_or_else(|| Failure::located("integral size overflow"))
    }

    /// How many bytes stand between `position` and an element of `size` bytes.
    fn padding(&self, position: u64, option: u8, size: u64) -> u64 {
        if size == 0 || option == b'c' {
            return 0;
        }
        // Sizes that are no powers of two are treated alike: that is how the reference aligns them.
        let size = size.min(self.alignment);
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }

    /// Follows an option that stands for no element.
    fn control(&mut self, option: u8) -> Result<(), Failure> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => match self.number(ALIGNMENT_DEFAULT)? {
                alignment if alignment.count_ones() != 1 => {
                    return Err(Failure::located(format!("alignment {alignment} is not a power of 2")));
                }
                alignment => self.alignment = alignment as u64,
            },
            other => {
                let text = [b"invalid format option '", &[other][..], b"'"].concat();
                return Err(Failure::argument(1, text));
            }
        }
        Ok(())
    }

    /// `bytes`, which are in little-endian order, in the order of the format.
    fn ordered<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }
}

/// `pack(format, values...)`
fn pack(lua: &Lua, mut args: Args<'_>) -> Answer {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    // What is missing first is seen as a nil.
    args.push_nil();
    let mut packed = Vec::new();
    let mut next = 2;
    let mut take = || {
        next += 1;
        next - 1
    };
    while let Some((option, size)) = format.next()? {
        let padding = format.padding(packed.len() as u64, option, size);
        packed.resize(packed.len() + padding as usize, 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                put_integer(&mut packed, args.number(take())?, size as usize, format.big_endian);
            }
            b'x' => packed.push(0),
            b'f' => packed.extend(format.ordered((args.number(take())? as f32).to_le_bytes())),
            b'd' => packed.extend(format.ordered(args.number(take())?.to_le_bytes())),
            b'c' | b's' => {
                let position = take();
                let bytes = args.string(position)?;
                let bytes = bytes.as_bytes();
                let length = if size == 0 { bytes.len() } else { size as usize };
                let Some(bytes) = bytes.get(..length) else {
                    // The reference counts one too far.
                    return Err(Failure::argument(position + 1, "string too short"));
                };
                packed.extend_from_slice(bytes);
                if option == b's' {
                    packed.push(0);
                }
            }
            _ => format.control(option)?,
        }
    }
    one(Value::String(lua.create_string(packed)?))
}

fn put_integer(packed: &mut Vec<u8>, number: f64, size: usize, big_endian: bool) {
    let mut bytes = [0; INTEGER_BYTES_MAX as usize];
    bytes[..8].copy_from_slice(&to_u64(number).to_le_bytes());
    let bytes = &mut bytes[..size];
    if big_endian {
        bytes.reverse();
    }
    packed.extend_from_slice(bytes);
}

/// `unpack(format, data, [position])`: the values and the position behind them.
fn unpack(lua: &Lua, args: Args<'_>) -> Answer {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    let data = args.string(2)?;
    let data = &*data.as_bytes();
    let start = args.integer_or(3, 1)?;
    if start == 0 {
        return Err(Failure::argument(3, "offset must be 1 or greater"));
    }
    let mut position = (start as u64).wrapping_sub(1);
    let mut values: Vec<Value> = Vec::new();
    while let Some((option, mut size)) = format.next()? {
        position = position.wrapping_add(format.padding(position, option, size));
        let mut bytes = element(data, position, size)?;
        if args.count() + values.len() + 2 > SLOTS {
            return Err(Failure::located("stack overflow (too many results)"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                values.push(get_integer(bytes, format.big_endian, option.is_ascii_lowercase()));
            }
            b'x' => {}
            b'f' => {
                let bytes = format.ordered(bytes.try_into().expect("f has 4 bytes"));
                values.push(Value::Number(f32::from_le_bytes(bytes).into()));
            }
            b'd' => {
                let bytes = format.ordered(bytes.try_into().expect("d has 8 bytes"));
                values.push(Value::Number(f64::from_le_bytes(bytes)));
            }
            b'c' => {
                if size == 0 {
                    size = previous_size(lua, values.pop())?;
                    bytes = element(data, position, size)?;
                }
                values.push(Value::String(lua.create_string(bytes)?));
            }
            b's' => {
                let rest = &data[position as usize..];
                let Some(length) = memchr::memchr(0, rest) else {
                    return Err(Failure::located("unfinished string in data"));
                };
                values.push(Value::String(lua.create_string(&rest[..length])?));
                size = length as u64 + 1;
            }
            _ => format.control(option)?,
        }
        position += size;
    }
    values.push(Value::Number((position as i64).wrapping_add(1) as f64));
    Ok(MultiValue::from_vec(values))
}

/// The `size` bytes at `position`.
fn element(data: &[u8], position: u64, size: u64) -> Result<&[u8], Failure> {
    let range = position.checked_add(size).map(|end| position as usize..end as usize);
    range.and_then(|range| data.get(range)).ok_or_else(|| Failure::argument(2, "data string too short"))
}

/// The value before `c0`, as a size.
fn previous_size(lua: &Lua, value: Option<Value>) -> Result<u64, Failure> {
    let number = value.map(|value| to_number(lua, &value)).transpose()?.flatten();
    number.map(to_u64).ok_or_else(|| Failure::located("format 'c0' needs a previous size"))
}

fn get_integer(bytes: &[u8], big_endian: bool, signed: bool) -> Value {
    let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    let number = if big_endian { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) };
    if !signed {
        return Value::Number(number as f64);
    }
    // The sign bit and all above it. The shift wraps beyond 8 bytes, as it does on x86-64 in the reference.
    let sign = u64::MAX.wrapping_shl((bytes.len() as u32).wrapping_mul(8).wrapping_sub(1));
    let number = if number & sign != 0 { number | sign } else { number };
    Value::Number(number as i64 as f64)
}

/// `size(format)`: how many bytes the format packs into.
fn size(_: &Lua, args: Args<'_>) -> Answer {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(&text);
    let mut position = 0u64;
    while let Some((option, size)) = format.next()? {
        position = position.wrapping_add(format.padding(position, option, size));
        match option {
            b's' => return Err(Failure::argument(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(Failure::argument(1, "option 'c0' has no fixed size")),
            // Letters and digits that mean nothing are passed over here.
            option if !option.is_ascii_alphanumeric() => format.control(option)?,
            _ => {}
        }
        position = position.wrapping_add(size);
    }
    one(Value::Number(position as i64 as f64))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, run, state};
    use proptest::prelude::*;

    #[test]
    fn values_are_packed() {
        check(&[
            (
                "return struct.pack('bBhHlLT', -1, 255, -2, 65535, -3, 4, 5)",
                r"\xff\xff\xfe\xff\xff\xff\xfd\xff\xff\xff\xff\xff\xff\xff\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00",
            ),
            ("return struct.pack('>ii3<I2', 1, 2, 3)", r"\x00\x00\x00\x01\x00\x00\x02\x03\x00"),
            (
                "return struct.pack('i0', 5), struct.pack('>i10', -2)",
                r", \x00\x00\xff\xff\xff\xff\xff\xff\xff\xfe",
            ),
            (
                "return struct.pack('f>fd', 1.5, 1.5, -2)",
                r"\x00\x00\xc0??\xc0\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x00",
            ),
            ("return struct.pack('sc0c2', 'ab', 'cd', 'efg')", r"ab\x00cdef"),
            (
                "return struct.pack('!bhbibd', 1, 2, 3, 4, 5, 6)",
                r"\x01\x00\x02\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x18@",
            ),
            (
                "return struct.pack('!4bl!1bh', 1, 2, 3, 4)",
                r"\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x04\x00",
            ),
            ("return struct.pack('bx x', '7'), struct.pack('b\\0z', 1)", r"\x07\x00\x00, \x01"),
            (
                "return struct.pack('lLLL', -1e300, 1e300, 0/0, -1)",
                r"\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\xff\xff\xff\xff\xff\xff\xff\xff",
            ),
            (
                "return struct.pack('b')",
                "!user_script:1: bad argument #2 to 'pack' (number expected, got nil)",
            ),
            (
                "return struct.pack('bs', 1)",
                "!user_script:1: bad argument #3 to 'pack' (string expected, got nil)",
            ),
            (
                "return struct.pack()",
                "!user_script:1: bad argument #1 to 'pack' (string expected, got no value)",
            ),
            (
                "return struct.pack('c3', 'ab')",
                "!user_script:1: bad argument #3 to 'pack' (string too short)",
            ),
            (
                "return struct.pack('c2147483647', 'ab')",
                "!user_script:1: bad argument #3 to 'pack' (string too short)",
            ),
            ("return struct.pack('c2147483648', 'ab')", "!user_script:1: integral size overflow"),
            ("return struct.pack('i33', 1)", "!user_script:1: integral size 33 is larger than limit of 32"),
            ("return struct.pack('!3')", "!user_script:1: alignment 3 is not a power of 2"),
            ("return struct.pack('!0')", "!user_script:1: alignment 0 is not a power of 2"),
            (
                "return struct.pack('z')",
                "!user_script:1: bad argument #1 to 'pack' (invalid format option 'z')",
            ),
            (
                "return struct.pack('\\255')",
                r"!user_script:1: bad argument #1 to 'pack' (invalid format option '\xff')",
            ),
        ]);
    }

    #[test]
    fn values_are_unpacked() {
        check(&[
            ("return struct.unpack('bB', '\\255\\255')", "-1, 255, 3"),
            ("return struct.unpack('>hHi3', '\\255\\254\\255\\254\\255\\255\\253')", "-2, 65534, -3, 8"),
            ("return struct.unpack('i0i9', struct.pack('i9', 5))", "0, 5, 10"),
            ("return struct.unpack('i9>i9', struct.pack('i9', -3)..struct.pack('>i9', -3))", "-3, -3, 19"),
            ("return struct.unpack('fd', struct.pack('fd', 0.5, 0.1))", "0.5, 0.10000000000000001, 13"),
            ("return struct.unpack('sbc0c2', 'ab\\0\\3xyzuv')", "ab, xyz, uv, 10"),
            ("return struct.unpack('c2c0', '12'..string.rep('x', 20))", "xxxxxxxxxxxx, 15"),
            ("return struct.unpack('!bxi', struct.pack('!bxi', 1, 2))", "1, 2, 9"),
            ("return struct.unpack('b', '\\1\\2\\3', 2)", "2, 3"),
            ("return struct.unpack('', 'abc')", "1"),
            ("return struct.unpack(' ', 'abc', 4)", "4"),
            (
                "return struct.unpack(' ', 'abc', 5)",
                "!user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                "return struct.unpack('b', 'abc', 0)",
                "!user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater)",
            ),
            (
                "return struct.unpack('b', 'abc', -1)",
                "!user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                "return struct.unpack('!4i', 'abcd', -1)",
                "!user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                "return struct.unpack('c10', 'abc')",
                "!user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                "return struct.unpack('bc0', '\\5abc')",
                "!user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            (
                "return struct.unpack('bc0', '\\255abc')",
                "!user_script:1: bad argument #2 to 'unpack' (data string too short)",
            ),
            ("return struct.unpack('dc0', struct.pack('d', 1e300)..'abc')", ", 9"),
            ("return struct.unpack('c0', 'abc')", "!user_script:1: format 'c0' needs a previous size"),
            ("return struct.unpack('c1c0', 'abc')", "!user_script:1: format 'c0' needs a previous size"),
            ("return struct.unpack('s', 'abc')", "!user_script:1: unfinished string in data"),
            ("return struct.unpack('c2147483648', 'abc')", "!user_script:1: integral size overflow"),
            (
                "return struct.unpack('i33', 'abc')",
                "!user_script:1: integral size 33 is larger than limit of 32",
            ),
            (
                "return struct.unpack(string.rep('b', 9000), string.rep('x', 9000))",
                "!user_script:1: stack overflow (too many results)",
            ),
            (
                "return struct.unpack('b')",
                "!user_script:1: bad argument #2 to 'unpack' (string expected, got no value)",
            ),
        ]);
    }

    #[test]
    fn sizes_are_told() {
        check(&[
            ("return struct.size('bhilTfdx'), struct.size('!bd'), struct.size('c7i5')", "36, 16, 12"),
            ("return struct.size('!bq7d'), struct.size(' <>')", "16, 0"),
            (
                "return struct.size('s')",
                "!user_script:1: bad argument #1 to 'size' (option 's' has no fixed size)",
            ),
            (
                "return struct.size('c0')",
                "!user_script:1: bad argument #1 to 'size' (option 'c0' has no fixed size)",
            ),
            (
                "return struct.size('?')",
                "!user_script:1: bad argument #1 to 'size' (invalid format option '?')",
            ),
            ("return struct.size('c2147483647c2147483647')", "4294967294"),
        ]);
    }

    proptest! {
        /// Nothing in a format or in data makes the library panic, and what it answers stands in the data.
        #[test]
        fn any_format_is_met(format in "[bBhHlLTiIcsfdx<>! 0-9]{0,12}", data in any::<Vec<u8>>(), start in any::<i64>()) {
            let lua = state();
            let globals = lua.globals();
            globals.set("f", format).expect("a new global");
            globals.set("d", lua.create_string(data).expect("a string")).expect("a new global");
            globals.set("p", start as f64).expect("a new global");
            for source in ["struct.unpack(f, d)", "struct.unpack(f, d, p)", "struct.size(f)", "struct.pack(f, d, 1, 2, 3)", "struct.pack(f, 1, d, 2)"] {
                run(&lua, &format!("return {source}"));
            }
        }

        #[test]
        fn integers_come_back(number in any::<i64>(), size in 1u32..=8, big in any::<bool>()) {
            // Doubles hold 53 bits, and `size` bytes even fewer.
            let number = number >> (64 - (8 * size).min(53));
            let lua = state();
            let order = if big { '>' } else { '<' };
            let source = format!("return (struct.unpack('{order}i{size}', struct.pack('{order}i{size}', {number})))");
            prop_assert_eq!(run(&lua, &source), number.to_string());
        }
    }
}
