//! Bitmap commands (redis.io/docs/latest/commands/?group=bitmap): strings as arrays of bits and of integers of
//! any width. [`crate::types::bits`] and [`crate::types::bitfield`] do the arithmetic.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Exec;
use super::strings::{buffer, choice, integer, read, value};
use crate::base::number::parse_i64;
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
    cx.changes += u64::from(grown || was != on);
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
    if len > 0 {
        cx.shard.insert(cx.db, &target, Item::heap(target.bytes, result, None));
        cx.changes += 1;
    } else {
        cx.changes += u64::from(cx.shard.remove(cx.db, &target).is_some());
    }
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
        cx.changes += u64::from(grown || change.before != change.after);
        cx.reply.int(if matches!(access, Access::Set(..)) { change.before } else { change.after });
    }
    Ok(())
}

/// `proto-max-bulk-len`.
fn max_bytes(cx: &Exec<'_>) -> u64 {
    cx.shard.settings.string_max_bytes as u64
}
