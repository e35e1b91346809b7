//! Integers of any width at any bit of a string (`BITFIELD`).
//!
//! Bit 0 is the most significant bit of the first byte, and an integer's most significant bit comes
//! first. Bits behind the last byte read as zero; writers have to make the room first.

use crate::base::number::parse_i64;
use crate::protocol::Error;

const BAD_TYPE: Error = Error::text(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);
const BAD_OFFSET: Error = Error::text("ERR bit offset is not an integer or out of range");

/// Bytes that hold any integer at any bit: 64 bits that start at up to 7 bits into a byte.
const WINDOW: usize = 9;

/// The type of an integer: `u1` to `u63`, `i1` to `i64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntType {
    signed: bool,
    bits: u32,
}

/// What becomes of a value that its type cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It loses its upper bits.
    #[default]
    Wrap,
    /// It becomes the nearest value that the type can hold.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// A value before and after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What `SET` answers.
    pub before: i64,
    /// What `INCRBY` answers.
    pub after: i64,
}

impl IntType {
    /// Reads a type such as `u8` or `i16`.
    pub fn parse(text: &[u8]) -> Result<IntType, Error> {
        let (signed, bits) = match text {
            [b'i', bits @ ..] => (true, bits),
            [b'u', bits @ ..] => (false, bits),
            _ => return Err(BAD_TYPE),
        };
        match parse_i64(bits) {
            Some(bits @ 1..=63) => Ok(IntType { signed, bits: bits as u32 }),
            Some(64) if signed => Ok(IntType { signed, bits: 64 }),
            _ => Err(BAD_TYPE),
        }
    }

    /// The width in bits.
    pub fn bits(self) -> u64 {
        u64::from(self.bits)
    }

    fn min(self) -> i128 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    fn max(self) -> i128 {
        (1 << (self.bits - u32::from(self.signed))) - 1
    }

    /// The value that the low bits of `raw` stand for.
    fn decode(self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed { (raw << unused) as i64 >> unused } else { (raw << unused >> unused) as i64 }
    }

    /// The value to store for an exact one; `None` if nothing is to be stored.
    fn fit(self, exact: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = (self.min(), self.max());
        if (min..=max).contains(&exact) {
            return Some(exact as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.decode(exact as u64)),
            Overflow::Saturate => Some(exact.clamp(min, max) as i64),
            Overflow::Fail => None,
        }
    }
}

/// Reads a bit offset (`GETBIT`, `SETBIT`), which has to lie within `max_bytes` (`proto-max-bulk-len`;
/// `u64::MAX` where no limit applies).
pub fn parse_offset(text: &[u8], max_bytes: u64) -> Result<u64, Error> {
    parse_i64(text).and_then(|offset| check_offset(offset, max_bytes)).ok_or(BAD_OFFSET)
}

/// Reads the offset of an integer: in bits, or behind a `#` in integers of its type.
pub fn parse_field_offset(text: &[u8], ty: IntType, max_bytes: u64) -> Result<u64, Error> {
    let [b'#', index @ ..] = text else {
        return parse_offset(text, max_bytes);
    };
    // The product wraps around in Redis too; what ends up in range is taken.
    let offset = parse_i64(index).map(|index| index.wrapping_mul(i64::from(ty.bits)));
    offset.and_then(|offset| check_offset(offset, max_bytes)).ok_or(BAD_OFFSET)
}

fn check_offset(offset: i64, max_bytes: u64) -> Option<u64> {
    u64::try_from(offset).ok().filter(|offset| offset >> 3 < max_bytes)
}

/// The integer at bit `offset`.
pub fn get(bytes: &[u8], offset: u64, ty: IntType) -> i64 {
    ty.decode((window(bytes, offset) >> window_shift(offset, ty)) as u64)
}

/// Writes an integer. `None` if it does not fit and `overflow` is [`Overflow::Fail`].
///
/// A signed type of less than 64 bits saturates at its upper end for values more than `i64::MAX` below
/// that end: Redis compares by a difference that wraps around for them.
///
/// # Panics
/// If `bytes` ends before the integer does.
pub fn set(bytes: &mut [u8], offset: u64, ty: IntType, value: i64, overflow: Overflow) -> Option<Change> {
    let exact = if !ty.signed {
        // A negative value is taken as the large one with the same bits.
        i128::from(value as u64)
    } else if overflow == Overflow::Saturate
        && ty.bits < 64
        && ty.max() - i128::from(value) > i128::from(i64::MAX)
    {
        ty.max()
    } else {
        i128::from(value)
    };
    store(bytes, offset, ty, exact, overflow)
}

/// Adds to an integer. `None` if the sum does not fit and `overflow` is [`Overflow::Fail`].
///
/// # Panics
/// If `bytes` ends before the integer does.
pub fn incr_by(bytes: &mut [u8], offset: u64, ty: IntType, by: i64, overflow: Overflow) -> Option<Change> {
    let exact = i128::from(get(bytes, offset, ty)) + i128::from(by);
    store(bytes, offset, ty, exact, overflow)
}

fn store(bytes: &mut [u8], offset: u64, ty: IntType, exact: i128, overflow: Overflow) -> Option<Change> {
    let change = Change { before: get(bytes, offset, ty), after: ty.fit(exact, overflow)? };
    let shift = window_shift(offset, ty);
    let mask = ((1u128 << ty.bits) - 1) << shift;
    let bits = (change.after as u128) << shift;
    let window = (window(bytes, offset) & !mask) | (bits & mask);
    let span = (offset / 8) as usize..(offset + ty.bits()).div_ceil(8) as usize;
    let len = span.len();
    bytes[span].copy_from_slice(&window.to_be_bytes()[16 - WINDOW..][..len]);
    Some(change)
}

/// The bytes from the one with bit `offset` on, as a big-endian number, zeros behind the end.
fn window(bytes: &[u8], offset: u64) -> u128 {
    let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
    let rest = bytes.get(start..).unwrap_or_default();
    let len = rest.len().min(WINDOW);
    let mut window = [0; 16];
    window[16 - WINDOW..][..len].copy_from_slice(&rest[..len]);
    u128::from_be_bytes(window)
}

/// Bits of the window behind the integer.
fn window_shift(offset: u64, ty: IntType) -> u32 {
    WINDOW as u32 * 8 - (offset % 8) as u32 - ty.bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ty(text: &str) -> IntType {
        IntType::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn types_are_u1_to_u63_and_i1_to_i64() {
        for text in ["u1", "u63", "i1", "i64"] {
            assert!(IntType::parse(text.as_bytes()).is_ok(), "{text}");
        }
        for text in ["u0", "u64", "i65", "i08", "i+8", "i-1", "8", "", "u", "I8"] {
            assert_eq!(IntType::parse(text.as_bytes()), Err(BAD_TYPE), "{text}");
        }
    }

    #[test]
    fn offsets_count_bits_or_integers() {
        assert_eq!(parse_offset(b"7", 1), Ok(7));
        assert_eq!(parse_offset(b"8", 1), Err(BAD_OFFSET));
        assert_eq!(parse_offset(b"#1", 100), Err(BAD_OFFSET));
        assert_eq!(parse_field_offset(b"#3", ty("u5"), 100), Ok(15));
        assert_eq!(parse_field_offset(b"3", ty("u5"), 100), Ok(3));
        for text in ["#", "#-1", "-1", "#01", "x", ""] {
            assert_eq!(parse_field_offset(text.as_bytes(), ty("u5"), 100), Err(BAD_OFFSET), "{text}");
        }
    }

    #[test]
    fn overflow_wraps_saturates_or_fails() {
        let mut byte = [250];
        assert_eq!(incr_by(&mut byte, 0, ty("u8"), 10, Overflow::Fail), None);
        assert_eq!(byte, [250]);
        let change = incr_by(&mut byte, 0, ty("u8"), 10, Overflow::Wrap);
        assert_eq!(change, Some(Change { before: 250, after: 4 }));
        assert_eq!(incr_by(&mut byte, 0, ty("u8"), -9, Overflow::Saturate).unwrap().after, 0);
        assert_eq!(incr_by(&mut byte, 0, ty("i8"), i64::MIN, Overflow::Saturate).unwrap().after, -128);
        assert_eq!(set(&mut byte, 0, ty("u8"), -1, Overflow::Saturate).unwrap().after, 255);
        assert_eq!(
            set(&mut byte, 0, ty("i8"), 200, Overflow::Wrap).unwrap(),
            Change { before: -1, after: -56 }
        );
    }

    #[test]
    fn very_low_values_saturate_at_the_upper_end() {
        let mut bytes = [0; 8];
        for (value, after) in [(i64::MIN, 127), (i64::MIN + 127, 127), (i64::MIN + 128, -128)] {
            let change = set(&mut bytes, 0, ty("i8"), value, Overflow::Saturate);
            assert_eq!(change.map(|change| change.after), Some(after));
        }
        let change = set(&mut bytes, 0, ty("i64"), i64::MIN, Overflow::Saturate);
        assert_eq!(change.map(|change| change.after), Some(i64::MIN));
    }

    #[test]
    fn bits_behind_the_end_are_zero() {
        assert_eq!(get(b"\xff", 4, ty("u8")), 0xf0);
        assert_eq!(get(b"\xff", 4, ty("i64")), -0x1000_0000_0000_0000);
        assert_eq!(get(b"", u64::MAX / 2, ty("u8")), 0);
    }

    fn any_type() -> impl Strategy<Value = IntType> {
        (any::<bool>(), 1u32..=64).prop_map(|(signed, bits)| IntType { signed: signed || bits == 64, bits })
    }

    proptest! {
        #[test]
        fn writes_agree_with_single_bits(
            mut bytes in prop::collection::vec(any::<u8>(), 17..20),
            offset in 0u64..70, ty in any_type(), value: i64,
        ) {
            let mut expected = bytes.clone();
            for i in 0..ty.bits() {
                let on = value >> (ty.bits() - 1 - i) & 1 == 1;
                crate::types::bits::set_bit(&mut expected, offset + i, on);
            }
            let before = get(&bytes, offset, ty);
            let change = set(&mut bytes, offset, ty, value, Overflow::Wrap).unwrap();
            prop_assert_eq!(&bytes, &expected);
            prop_assert_eq!(change, Change { before, after: get(&bytes, offset, ty) });
        }

        #[test]
        fn sums_wrap_to_the_width(
            mut bytes in prop::collection::vec(any::<u8>(), 17), offset in 0u64..70, ty in any_type(), by: i64,
        ) {
            let before = get(&bytes, offset, ty);
            let after = incr_by(&mut bytes, offset, ty, by, Overflow::Wrap).unwrap().after;
            prop_assert_eq!(get(&bytes, offset, ty), after);
            prop_assert_eq!((i128::from(after) - i128::from(before) - i128::from(by)) % (1 << ty.bits), 0);
            prop_assert!((ty.min()..=ty.max()).contains(&i128::from(after)));
        }
    }
}
