//! `bit`: Lua BitOp (<https://bitop.luajit.org/api.html>) on 32 bits. Numbers are taken modulo 2^32 and rounded to the
//! nearest integer; results are signed.

use super::call::{Answer, Args, Failure, one, table_of};
use mlua::{Lua, Table, Value};

/// The library's table.
pub fn table(lua: &Lua) -> mlua::Result<Table> {
    table_of(
        lua,
        &[
            ("tobit", |_, args| signed(bits(&args, 1)?)),
            ("bnot", |_, args| signed(!bits(&args, 1)?)),
            ("band", |_, args| fold(&args, |a, b| a & b)),
            ("bor", |_, args| fold(&args, |a, b| a | b)),
            ("bxor", |_, args| fold(&args, |a, b| a ^ b)),
            ("lshift", |_, args| shift(&args, |n, by| n << by)),
            ("rshift", |_, args| shift(&args, |n, by| n >> by)),
            ("arshift", |_, args| shift(&args, |n, by| (n as i32 >> by) as u32)),
            ("rol", |_, args| shift(&args, u32::rotate_left)),
            ("ror", |_, args| shift(&args, u32::rotate_right)),
            ("bswap", |_, args| signed(bits(&args, 1)?.swap_bytes())),
            ("tohex", to_hex),
        ],
    )
}

/// An argument's 32 bits.
fn bits(args: &Args<'_>, position: usize) -> Result<u32, Failure> {
    /// Adding 2^52 + 2^51 rounds a double to an integer and moves that to the lowest bits, also of negative ones.
    const ALIGN: f64 = 6755399441055744.0;
    Ok((args.number(position)? + ALIGN).to_bits() as u32)
}

fn signed(bits: u32) -> Answer {
    one(Value::Integer((bits as i32).into()))
}

/// Combines all arguments: the first, then from the last on, which decides whose error is seen.
fn fold(args: &Args<'_>, combine: fn(u32, u32) -> u32) -> Answer {
    let mut all = bits(args, 1)?;
    for position in (2..=args.count()).rev() {
        all = combine(all, bits(args, position)?);
    }
    signed(all)
}

fn shift(args: &Args<'_>, shift: fn(u32, u32) -> u32) -> Answer {
    let number = bits(args, 1)?;
    signed(shift(number, bits(args, 2)? & 31))
}

/// The last `n` (8 at most and by default) hexadecimal digits, in upper case if `n` is negative.
fn to_hex(lua: &Lua, args: Args<'_>) -> Answer {
    let number = bits(&args, 1)?;
    let digits = if args.count() < 2 { 8 } else { bits(&args, 2)? as i32 };
    let text = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
    one(Value::String(lua.create_string(&text[text.len() - digits.unsigned_abs().min(8) as usize..])?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn bits_as_lua_bitop_has_them() {
        check(&[
            (
                "return bit.tobit(0xffffffff), bit.tobit(0xffffffff + 1), bit.tobit(2^40 + 1234)",
                "-1, 0, 1234",
            ),
            (
                "return bit.tobit(1.5), bit.tobit(2.5), bit.tobit(-0.5), bit.tobit(1e300)",
                "2, 2, 0, -2013235812",
            ),
            ("return bit.bnot(0), bit.bnot(0x12345678)", "-1, -305419897"),
            ("return bit.band(1), bit.bxor(1, 2), bit.bor(1, 2, 4, 8, 16, 32, 64, 128)", "1, 3, 255"),
            (
                "return bit.lshift(1, 0), bit.lshift(1, 8), bit.lshift(1, 40), bit.lshift(0x87654321, 12)",
                "1, 256, 256, 1412567040",
            ),
            ("return bit.rshift(256, 8), bit.rshift(-256, 8), bit.arshift(-256, 8)", "1, 16777215, -1"),
            (
                "return bit.rol(0x12345678, 12), bit.ror(0x12345678, 12), bit.rol(5, 0)",
                "1164411171, 1736516421, 5",
            ),
            ("return bit.bswap(0x12345678), bit.bswap(0x78563412)", "2018915346, 305419896"),
            (
                "return bit.tohex(1), bit.tohex(-1), bit.tohex(-1, -8), bit.tohex(0x21, 4), bit.tohex(0x87654321, 4)",
                "00000001, ffffffff, FFFFFFFF, 0021, 4321",
            ),
            (
                "return bit.tohex(65535, -2147483648), bit.tohex(1, 0), bit.tohex(1, 99)",
                "0000FFFF, , 00000001",
            ),
            ("return bit.band('0x10', 16), bit.tobit(' 7 ')", "16, 7"),
            (
                "return bit.band('a', {})",
                "!user_script:1: bad argument #1 to 'band' (number expected, got string)",
            ),
            (
                "return bit.band(1, 'a', {})",
                "!user_script:1: bad argument #3 to 'band' (number expected, got table)",
            ),
            (
                "return bit.lshift(1)",
                "!user_script:1: bad argument #2 to 'lshift' (number expected, got no value)",
            ),
            (
                "return bit.tohex(1, nil)",
                "!user_script:1: bad argument #2 to 'tohex' (number expected, got nil)",
            ),
        ]);
    }
}
