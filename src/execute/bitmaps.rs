//! Bitmap commands (redis.io/docs/latest/commands/?group=bitmap): strings as arrays of bits and of integers of
//! any width. [`crate::types::bits`] and [`crate::types::bitfield`] do the arithmetic.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::strings::{buffer, choice, read, value};
use super::{Class, Exec};
use crate::base::number::parse_i64;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::shard::{Item, Key, Str};
use crate::types::bitfield::{self, IntType, Overflow};
use crate::types::bits::{self, BitOp, Unit};

/// `SETBIT key offset value`.
pub fn setbit(cx: &mut Exec<'_>) -> Result<(), Error> {
    let offset = bitfield::parse_offset(cx.args[2], max_bytes(cx))?;
    let on = match parse_i64(cx.args[3]) {
        Some(bit @ 0..=1) => bit == 1,
        _ => return Err(Error::text("ERR bit is not an integer or out of range")),
    };
    let key = cx.key(1);
    let (bytes, grown) = buffer(cx.shard, cx.db, &key, (offset / 8) as usize + 1)?;
    let was = bits::set_bit(bytes, offset, on);
    if grown || was != on {
        cx.changes += 1;
        cx.wrote(Class::STRING, "setbit", &key);
    }
    cx.reply.int(i64::from(was));
    Ok(())
}

/// `GETBIT key offset`.
pub fn getbit(cx: &mut Exec<'_>) -> Result<(), Error> {
    let offset = bitfield::parse_offset(cx.args[2], max_bytes(cx))?;
    let key = cx.key(1);
    let value = read(cx.shard, cx.db, &key)?.unwrap_or(Str::Bytes(b""));
    cx.reply.int(value.with_bytes(|bytes| i64::from(bits::get_bit(bytes, offset))));
    Ok(())
}

/// `BITCOUNT key [start end [BYTE | BIT]]`.
pub fn bitcount(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (start, end, unit) = match cx.args[2..] {
        [] => (0, -1, Unit::Byte),
        [start, end] => (integer(start)?, integer(end)?, Unit::Byte),
        [start, end, unit] => (integer(start)?, integer(end)?, parse_unit(unit)?),
        _ => return Err(Error::Syntax),
    };
    let key = cx.key(1);
    let value = read(cx.shard, cx.db, &key)?.unwrap_or(Str::Bytes(b""));
    cx.reply.int(value.with_bytes(|bytes| bits::count_between(bytes, start, end, unit) as i64));
    Ok(())
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`. A key that is not there counts as endless zeros.
pub fn bitpos(cx: &mut Exec<'_>) -> Result<(), Error> {
    let bit = match integer(cx.args[2])? {
        bit @ 0..=1 => bit == 1,
        _ => return Err(Error::text("ERR The bit argument must be 1 or 0.")),
    };
    let (start, end, unit) = match cx.args[3..] {
        [] => (0, None, Unit::Byte),
        [start] => (integer(start)?, None, Unit::Byte),
        [start, end] => (integer(start)?, Some(integer(end)?), Unit::Byte),
        [start, end, unit] => {
            let (start, unit) = (integer(start)?, parse_unit(unit)?);
            (start, Some(integer(end)?), unit)
        }
        _ => return Err(Error::Syntax),
    };
    let key = cx.key(1);
    cx.reply.int(match read(cx.shard, cx.db, &key)? {
        Some(value) => value.with_bytes(|bytes| bits::position(bytes, bit, start, end, unit)),
        None if bit => -1,
        None => 0,
    });
    Ok(())
}

fn parse_unit(text: &[u8]) -> Result<Unit, Error> {
    choice(text, &[("bit", Unit::Bit), ("byte", Unit::Byte)]).ok_or(Error::Syntax)
}

/// `BITOP AND | OR | XOR | NOT destkey key [key ...]`. An empty result removes the destination.
pub fn bitop(cx: &mut Exec<'_>) -> Result<(), Error> {
    let op = parse_op(cx.args[1])?;
    if op == BitOp::Not && cx.args.len() != 4 {
        return Err(Error::text("ERR BITOP NOT must be called with a single source key."));
    }
    let sources: Vec<Key<'_>> = (3..cx.args.len()).map(|index| cx.key(index)).collect();
    for key in &sources {
        read(cx.shard, cx.db, key)?;
    }
    let result = combine(cx, op, &sources)?;
    let (target, len) = (cx.key(2), result.len());
    let made = (len > 0).then(|| Item::heap(target.bytes, result, None));
    cx.changes += u64::from(cx.store(Class::STRING, "set", &target, made));
    cx.reply.int(len as i64);
    Ok(())
}

fn combine(cx: &Exec<'_>, op: BitOp, sources: &[Key<'_>]) -> Result<Vec<u8>, Error> {
    let bytes = |key| {
        Ok(match cx.shard.peek(cx.db, key).map(value).transpose()? {
            Some(Str::Bytes(bytes)) => Cow::Borrowed(bytes),
            Some(number) => Cow::Owned(number.with_bytes(<[u8]>::to_vec)),
            None => Cow::Borrowed(&b""[..]),
        })
    };
    let values = sources.iter().map(bytes).collect::<Result<Vec<Cow<'_, [u8]>>, Error>>()?;
    let slices: Vec<&[u8]> = values.iter().map(|value| &**value).collect();
    Ok(bits::combine(op, &slices))
}

fn parse_op(text: &[u8]) -> Result<BitOp, Error> {
    const OPS: [(&str, BitOp); 4] =
        [("and", BitOp::And), ("or", BitOp::Or), ("xor", BitOp::Xor), ("not", BitOp::Not)];
    choice(text, &OPS).ok_or(Error::Syntax)
}

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET type offset value | INCRBY type offset
/// increment ...]`.
pub fn bitfield(cx: &mut Exec<'_>) -> Result<(), Error> {
    let fields = parse_fields(&cx.args[2..], max_bytes(cx))?;
    match fields.iter().filter_map(Field::write_end).max() {
        Some(end) => change_fields(cx, &fields, end.div_ceil(8) as usize),
        None => read_fields(cx, &fields),
    }
}

/// `BITFIELD_RO key [GET type offset ...]`.
pub fn bitfield_ro(cx: &mut Exec<'_>) -> Result<(), Error> {
    let fields = parse_fields(&cx.args[2..], max_bytes(cx))?;
    if fields.iter().any(|field| field.write_end().is_some()) {
        return Err(Error::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read_fields(cx, &fields)
}

/// One access to an integer.
struct Field {
    ty: IntType,
    offset: u64,
    access: Access,
}

enum Access {
    Get,
    Set(i64, Overflow),
    IncrBy(i64, Overflow),
}

type Fields = SmallVec<[Field; 4]>;

impl Field {
    /// Where the integer ends, in bits, if it may be changed.
    fn write_end(&self) -> Option<u64> {
        (!matches!(self.access, Access::Get)).then(|| self.offset + self.ty.bits())
    }
}

/// A word that begins an operation of `BITFIELD`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Get,
    Set,
    IncrBy,
    Overflow,
}

const WORDS: [(&str, Word); 4] =
    [("get", Word::Get), ("set", Word::Set), ("incrby", Word::IncrBy), ("overflow", Word::Overflow)];

fn parse_fields(args: &[&[u8]], max_bytes: u64) -> Result<Fields, Error> {
    let mut fields = Fields::new();
    let mut overflow = Overflow::default();
    let mut rest = args;
    while let [word, tail @ ..] = rest {
        let word = choice(word, &WORDS).ok_or(Error::Syntax)?;
        let (ty, offset, number) = match (word, tail) {
            (Word::Overflow, [kind, tail @ ..]) => {
                overflow = parse_overflow(kind)?;
                rest = tail;
                continue;
            }
            (Word::Get, [ty, offset, tail @ ..]) => {
                rest = tail;
                (ty, offset, None)
            }
            (Word::Set | Word::IncrBy, [ty, offset, number, tail @ ..]) => {
                rest = tail;
                (ty, offset, Some(number))
            }
            _ => return Err(Error::Syntax),
        };
        let ty = IntType::parse(ty)?;
        let offset = bitfield::parse_field_offset(offset, ty, max_bytes)?;
        let access = match number {
            None => Access::Get,
            Some(number) if word == Word::Set => Access::Set(integer(number)?, overflow),
            Some(number) => Access::IncrBy(integer(number)?, overflow),
        };
        fields.push(Field { ty, offset, access });
    }
    Ok(fields)
}

fn parse_overflow(name: &[u8]) -> Result<Overflow, Error> {
    const KINDS: [(&str, Overflow); 3] =
        [("wrap", Overflow::Wrap), ("sat", Overflow::Saturate), ("fail", Overflow::Fail)];
    choice(name, &KINDS).ok_or(Error::text("ERR Invalid OVERFLOW type specified"))
}

fn read_fields(cx: &mut Exec<'_>, fields: &Fields) -> Result<(), Error> {
    let key = cx.key(1);
    let value = read(cx.shard, cx.db, &key)?.unwrap_or(Str::Bytes(b""));
    cx.reply.array(fields.len());
    value.with_bytes(|bytes| {
        for field in fields {
            cx.reply.int(bitfield::get(bytes, field.offset, field.ty));
        }
    });
    Ok(())
}

/// Makes room up to the last integer that may be written, even if none is in the end.
fn change_fields(cx: &mut Exec<'_>, fields: &Fields, len: usize) -> Result<(), Error> {
    let key = cx.key(1);
    let (bytes, grown) = buffer(cx.shard, cx.db, &key, len)?;
    let mut changes = 0;
    cx.reply.array(fields.len());
    for &Field { ty, offset, ref access } in fields {
        let change = match *access {
            Access::Get => {
                cx.reply.int(bitfield::get(bytes, offset, ty));
                continue;
            }
            Access::Set(to, overflow) => bitfield::set(bytes, offset, ty, to, overflow),
            Access::IncrBy(by, overflow) => bitfield::incr_by(bytes, offset, ty, by, overflow),
        };
        let Some(change) = change else {
            cx.reply.null();
            continue;
        };
        changes += u64::from(grown || change.before != change.after);
        cx.reply.int(if matches!(access, Access::Set(..)) { change.before } else { change.after });
    }
    if grown {
        // Also if every integer stays what it was.
        cx.arguments_effect(&key);
    }
    if changes > 0 {
        cx.changes += changes;
        cx.wrote(Class::STRING, "setbit", &key);
    }
    Ok(())
}

/// `proto-max-bulk-len`.
fn max_bytes(cx: &Exec<'_>) -> u64 {
    cx.shard.string_max_bytes() as u64
}

#[cfg(test)]
mod tests {
    use crate::execute::strings::testing::Bench;

    const NOT_INTEGER: &str = "-ERR value is not an integer or out of range";
    const BAD_OFFSET: &str = "-ERR bit offset is not an integer or out of range";
    const BAD_BIT: &str = "-ERR bit is not an integer or out of range";
    const BAD_TYPE: &str =
        "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";

    fn expect_with_changes(table: &[(&str, &str, u64)]) {
        let mut bench = Bench::new();
        for (line, reply, changes) in table {
            assert_eq!(bench.line(line), *reply, "{line}");
            assert_eq!(bench.changes, *changes, "{line}");
        }
    }

    #[test]
    fn single_bits() {
        expect_with_changes(&[
            ("getbit k 0", ":0", 0),
            ("setbit k 10 0", ":0", 1),
            ("strlen k", ":2", 0),
            ("setbit k 10 0", ":0", 0),
            ("setbit k 1 1", ":0", 1),
            ("setbit k 1 1", ":1", 0),
            ("setbit k 7 1", ":0", 1),
            ("get k", "$2 A\0", 0),
            ("setbit k 1 0", ":1", 1),
            ("getbit k 7", ":1", 0),
            ("getbit k 4294967295", ":0", 0),
            ("getbit k 4294967296", BAD_OFFSET, 0),
            ("setbit k 4294967296 1", BAD_OFFSET, 0),
            ("setbit k -1 5", BAD_OFFSET, 0),
            ("setbit k #1 1", BAD_OFFSET, 0),
            ("setbit k 0 2", BAD_BIT, 0),
            ("setbit k 0 x", BAD_BIT, 0),
            ("set n 1", "+OK", 1),
            ("setbit n 6 1", ":0", 1),
            ("get n", "$1 3", 0),
            ("getbit n 7", ":1", 0),
        ]);
    }

    #[test]
    fn counting_and_finding() {
        expect_with_changes(&[
            ("bitcount k", ":0", 0),
            ("bitcount k 0 x", NOT_INTEGER, 0),
            ("bitpos k 0", ":0", 0),
            ("bitpos k 1 5 -1", ":-1", 0),
            ("bitpos k 0 5 -1 bit", ":0", 0),
            ("set k foobar", "+OK", 1),
            ("bitcount k", ":26", 0),
            ("bitcount k 1 1", ":6", 0),
            ("bitcount k 5 30 BIT", ":17", 0),
            ("bitcount k 0 -1 Byte", ":26", 0),
            ("bitcount k -1 -5", ":0", 0),
            ("bitcount k 0", "-ERR syntax error", 0),
            ("bitcount k 0 1 bits", "-ERR syntax error", 0),
            ("bitcount k 0 1 bit x", "-ERR syntax error", 0),
            ("set k \"\\xff\\xf0\\x00\"", "+OK", 1),
            ("bitpos k 0", ":12", 0),
            ("bitpos k 1 1", ":8", 0),
            ("bitpos k 1 2", ":-1", 0),
            ("bitpos k 0 0 0", ":-1", 0),
            ("bitpos k 0 3", ":-1", 0),
            ("bitpos k 1 7 15 bit", ":7", 0),
            ("bitpos k 2", "-ERR The bit argument must be 1 or 0.", 0),
            ("bitpos k x", NOT_INTEGER, 0),
            ("bitpos k 1 0 x y", "-ERR syntax error", 0),
            ("bitpos k 1 0 x bit", NOT_INTEGER, 0),
            ("bitpos k 1 0 1 bit x", "-ERR syntax error", 0),
            ("set k \"\\xff\"", "+OK", 1),
            ("bitpos k 0", ":8", 0),
            ("set k ''", "+OK", 1),
            ("bitpos k 0", ":-1", 0),
            ("set k 12", "+OK", 1),
            ("bitcount k", ":6", 0),
        ]);
    }

    #[test]
    fn operations_between_strings() {
        expect_with_changes(&[
            ("mset a foobar b abcd n 12 e ''", "+OK", 4),
            ("set t x ex 10", "+OK", 1),
            ("bitop and t a b", ":6", 1),
            ("get t", "$6 `bc`\0\0", 0),
            ("bitop OR t a b none", ":6", 1),
            ("get t", "$6 goofar", 0),
            ("bitop xor t n n", ":2", 1),
            ("get t", "$2 \0\0", 0),
            ("bitop not t t", ":2", 1),
            ("bitcount t", ":16", 0),
            ("bitop and t none e", ":0", 1),
            ("get t", "$-1", 0),
            ("bitop and t none", ":0", 0),
            ("bitop nand t a", "-ERR syntax error", 0),
            ("bitop not t a b", "-ERR BITOP NOT must be called with a single source key.", 0),
        ]);
    }

    #[test]
    fn bitop_removes_the_expiry() {
        let mut bench = Bench::new();
        bench.expect(&[("set t 1 ex 10", "+OK"), ("bitop or t t", ":1")]);
        let item = bench.item("t").unwrap();
        assert_eq!((item.expire_at_ms(), item.encoding().name()), (None, "raw"));
    }

    #[test]
    fn integers_of_any_width() {
        expect_with_changes(&[
            ("bitfield k", "*0", 0),
            ("bitfield k get u8 0", "*1 :0", 0),
            ("get k", "$-1", 0),
            ("bitfield k set u8 0 255 get u4 4 incrby i5 #1 1", "*3 :0 :15 :-3", 2),
            ("get k", "$2 \u{fffd}@", 0),
            ("bitfield k overflow fail incrby u2 0 1 overflow sat incrby u2 0 1", "*2 $-1 :3", 0),
            ("bitfield k overflow wrap incrby u2 0 1 OVERFLOW SAT set i8 0 200", "*2 :0 :63", 2),
            ("bitfield k overflow fail set u8 #9 256", "*1 $-1", 0),
            ("strlen k", ":10", 0),
            ("bitfield k set u8 800 0 set u8 808 0", "*2 :0 :0", 2),
            ("bitfield k set u8 800 0 set u8 808 0", "*2 :0 :0", 0),
            ("bitfield_ro k get i8 0 get u63 1000", "*2 :127 :0", 0),
            ("bitfield_ro k overflow sat", "*0", 0),
            ("bitfield_ro k set u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand", 0),
            ("bitfield_ro k set u8 0 x", NOT_INTEGER, 0),
            ("bitfield k get", "-ERR syntax error", 0),
            ("bitfield k get u8", "-ERR syntax error", 0),
            ("bitfield k set u8 0", "-ERR syntax error", 0),
            ("bitfield k overflow", "-ERR syntax error", 0),
            ("bitfield k put u8 0 1", "-ERR syntax error", 0),
            ("bitfield k get u64 0", BAD_TYPE, 0),
            ("bitfield k get u8 -1", BAD_OFFSET, 0),
            ("bitfield k set u8 #536870912 x", BAD_OFFSET, 0),
            ("bitfield k set u8 0 x", NOT_INTEGER, 0),
            ("bitfield k overflow bogus get u8 0", "-ERR Invalid OVERFLOW type specified", 0),
            ("set n 1", "+OK", 1),
            ("bitfield_ro n get u8 0", "*1 :49", 0),
        ]);
    }
}
