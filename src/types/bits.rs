//! Bitmaps: `GETBIT`, `SETBIT`, `BITCOUNT`, `BITPOS` and `BITOP` on plain bytes.
//!
//! Bit 0 is the most significant bit of the first byte. Positions are in bits unless a [`Unit`] says
//! otherwise; what lies behind the last byte counts as zero.

use std::ops::Range;

/// What `BITCOUNT` and `BITPOS` count their start and end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// `BYTE`, the default.
    #[default]
    Byte,
    /// `BIT`.
    Bit,
}

impl Unit {
    fn bits(self) -> u64 {
        match self {
            Unit::Byte => 8,
            Unit::Bit => 1,
        }
    }
}

/// The bit at `offset`; false behind the end.
pub fn get_bit(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|i| bytes.get(i)).copied().unwrap_or(0);
    byte & bit_mask(offset) != 0
}

/// Sets the bit at `offset`, which lies within `bytes`, and returns what it was.
pub fn set_bit(bytes: &mut [u8], offset: u64, on: bool) -> bool {
    let byte = &mut bytes[(offset / 8) as usize];
    let mask = bit_mask(offset);
    let was = *byte & mask != 0;
    *byte = if on { *byte | mask } else { *byte & !mask };
    was
}

fn bit_mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}

/// The number of bits that are set.
pub fn count(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let in_words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    in_words + tail.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// `BITCOUNT` between two inclusive positions, negative ones counted from the end.
pub fn count_between(bytes: &[u8], start: i64, end: i64, unit: Unit) -> u64 {
    // Two positions before the first byte would both be moved to it: their order is checked first.
    if start < 0 && end < 0 && start > end {
        return 0;
    }
    let range = bit_range(bytes.len(), start, end, unit);
    if range.is_empty() {
        return 0;
    }
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let before = bytes[first] & !head_mask(range.start);
    let after = bytes[last] & !tail_mask(range.end);
    count(&bytes[first..=last]) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// `BITPOS`: the position of the first bit equal to `bit` from `start` to `end`, -1 if there is none.
/// Without an `end` the zeros behind the last byte count too, unless `start` lies there as well.
pub fn position(bytes: &[u8], bit: bool, start: i64, end: Option<i64>, unit: Unit) -> i64 {
    let range = bit_range(bytes.len(), start, end.unwrap_or(-1), unit);
    if range.is_empty() {
        return -1;
    }
    match find(bytes, bit, range.clone()) {
        Some(position) => position as i64,
        None if !bit && end.is_none() => range.end as i64,
        None => -1,
    }
}

/// Clips two inclusive positions, negative ones counted from the end, to bits of `len` bytes.
fn bit_range(len: usize, start: i64, end: i64, unit: Unit) -> Range<u64> {
    let total = (len as u64 * 8 / unit.bits()) as i64;
    let from_end = |position: i64| if position < 0 { (total + position).max(0) } else { position };
    let (start, end) = (from_end(start), from_end(end).min(total - 1));
    if start > end { 0..0 } else { start as u64 * unit.bits()..(end as u64 + 1) * unit.bits() }
}

/// The first bit equal to `bit` in a range that is not empty and lies within `bytes`.
fn find(bytes: &[u8], bit: bool, range: Range<u64>) -> Option<u64> {
    // Looking for zeros is looking for ones in the complement.
    let flip = if bit { 0 } else { u8::MAX };
    let (first, last) = ((range.start / 8) as usize, ((range.end - 1) / 8) as usize);
    let edge = |at: usize, mask: u8| {
        let hit = (bytes[at] ^ flip) & mask;
        (hit != 0).then(|| at as u64 * 8 + u64::from(hit.leading_zeros()))
    };
    if first == last {
        return edge(first, head_mask(range.start) & tail_mask(range.end));
    }
    edge(first, head_mask(range.start))
        .or_else(|| edge(first + 1 + first_other(&bytes[first + 1..last], flip)?, u8::MAX))
        .or_else(|| edge(last, tail_mask(range.end)))
}

/// The index of the first byte that is not `byte`, eight at a time.
fn first_other(bytes: &[u8], byte: u8) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let start = 8 * words.iter().position(|word| *word != [byte; 8]).unwrap_or(words.len());
    Some(start + bytes[start..].iter().position(|b| *b != byte)?)
}

/// The bits of a byte from position `start` on.
fn head_mask(start: u64) -> u8 {
    u8::MAX >> (start % 8)
}

/// The bits of a byte before position `end`; all if `end` is the next byte's first.
fn tail_mask(end: u64) -> u8 {
    !(u8::MAX.checked_shr(((end + 7) % 8 + 1) as u32).unwrap_or(0))
}

/// The operations of `BITOP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitOp {
    /// Bits set in all sources.
    And,
    /// Bits set in any source.
    Or,
    /// Bits set in an odd number of sources.
    Xor,
    /// Bits not set in the only source.
    Not,
}

/// `BITOP`: as long as the longest source; shorter ones are continued by zeros. [`BitOp::Not`] takes
/// one source.
pub fn combine(op: BitOp, sources: &[&[u8]]) -> Vec<u8> {
    /// Small enough for a block of the result to stay in the L1 cache while the sources pass over it.
    const BLOCK: usize = 16 * 1024;
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let Some((first, others)) = sources.split_first() else { return Vec::new() };
    let mut result = Vec::with_capacity(len);
    result.extend_from_slice(first);
    result.resize(len, 0);
    if op == BitOp::Not {
        debug_assert!(others.is_empty());
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    for (i, block) in result.chunks_mut(BLOCK).enumerate() {
        for source in others {
            apply(op, block, source.get(i * BLOCK..).unwrap_or_default());
        }
    }
    result
}

/// Combines a block with the source bytes that stand at its place. The loops are plain, so that the
/// compiler turns them into vector instructions.
fn apply(op: BitOp, block: &mut [u8], source: &[u8]) {
    let pairs = block.iter_mut().zip(source);
    match op {
        BitOp::And => {
            pairs.for_each(|(a, b)| *a &= b);
            let covered = source.len().min(block.len());
            block[covered..].fill(0);
        }
        BitOp::Or => pairs.for_each(|(a, b)| *a |= b),
        BitOp::Xor => pairs.for_each(|(a, b)| *a ^= b),
        BitOp::Not => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).map(move |i| byte & (0x80 >> i) != 0)).collect()
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        // Runs of equal bytes, so that searches get past whole words.
        prop::collection::vec((prop::sample::select(vec![0u8, 255, 16, 254]), 1usize..12), 0..6)
            .prop_map(|runs| runs.into_iter().flat_map(|(byte, n)| std::iter::repeat_n(byte, n)).collect())
    }

    fn any_unit() -> impl Strategy<Value = Unit> {
        prop::sample::select(vec![Unit::Byte, Unit::Bit])
    }

    /// The bits of a range of positions, and the first one's position.
    fn slice(bytes: &[u8], start: i64, end: i64, unit: Unit) -> (Vec<bool>, usize) {
        let per = if unit == Unit::Byte { 8 } else { 1 };
        let total = bytes.len() as i64 * 8 / per;
        let clip = |n: i64| if n < 0 { (n + total).max(0) } else { n };
        let (start, end) = (clip(start) * per, (clip(end).min(total - 1) + 1) * per);
        let bits = bits(bytes);
        let taken = (start..end).filter_map(|i| bits.get(i as usize).copied()).collect();
        (taken, start as usize)
    }

    #[test]
    fn documented_examples() {
        assert_eq!(count(b"foobar"), 26);
        assert_eq!(count_between(b"foobar", 0, 0, Unit::Byte), 4);
        assert_eq!(count_between(b"foobar", 1, 1, Unit::Byte), 6);
        assert_eq!(count_between(b"foobar", 5, 30, Unit::Bit), 17);
        assert_eq!(position(b"\xff\xf0\x00", false, 0, None, Unit::Byte), 12);
        assert_eq!(position(b"\x00\xff\xf0", true, 2, None, Unit::Byte), 16);
        assert_eq!(position(b"\x00\xff\xf0", true, 7, Some(15), Unit::Bit), 8);
    }

    #[test]
    fn zeros_behind_the_end_count_only_without_an_end() {
        assert_eq!(position(b"\xff\xff", false, 0, None, Unit::Byte), 16);
        assert_eq!(position(b"\xff\xff", false, 0, Some(-1), Unit::Byte), -1);
        assert_eq!(position(b"\xff\xff", false, 2, None, Unit::Byte), -1);
        assert_eq!(position(b"", false, 0, None, Unit::Byte), -1);
        assert!(!get_bit(b"\xff", 8) && get_bit(b"\xff", 7));
    }

    #[test]
    fn count_checks_the_order_of_negative_positions() {
        assert_eq!(count_between(b"\xff", -100, -200, Unit::Byte), 0);
        assert_eq!(count_between(b"\xff", -200, -100, Unit::Byte), 8);
        assert_eq!(count_between(b"\xff", i64::MIN, i64::MAX, Unit::Bit), 8);
    }

    #[test]
    fn combine_pads_with_zeros() {
        assert_eq!(combine(BitOp::And, &[b"abc", b"a"]), b"a\0\0");
        assert_eq!(combine(BitOp::Or, &[b"a", b"\x01bc"]), b"abc");
        assert_eq!(combine(BitOp::Xor, &[b"ab", b"ab", b"\x01"]), b"\x01\0");
        assert_eq!(combine(BitOp::Not, &[b"\x0f\xff"]), b"\xf0\x00");
        assert_eq!(combine(BitOp::And, &[b"", b"ab", b"ab"]), b"\0\0");
    }

    proptest! {
        #[test]
        fn ranges_agree_with_single_bits(
            bytes in any_bytes(), start in -80i64..80, end in -80i64..80, unit in any_unit(), bit: bool,
        ) {
            let (taken, first) = slice(&bytes, start, end, unit);
            if start >= 0 || end >= 0 || start <= end {
                prop_assert_eq!(
                    count_between(&bytes, start, end, unit),
                    taken.iter().filter(|b| **b).count() as u64
                );
            }
            let found = taken.iter().position(|b| *b == bit).map_or(-1, |i| (first + i) as i64);
            prop_assert_eq!(position(&bytes, bit, start, Some(end), unit), found);
        }

        #[test]
        fn set_bit_changes_one_bit(mut bytes in prop::collection::vec(any::<u8>(), 1..20), at in 0u64..160, on: bool) {
            let at = at % (bytes.len() as u64 * 8);
            let mut expected = bits(&bytes);
            let was = std::mem::replace(&mut expected[at as usize], on);
            prop_assert_eq!(set_bit(&mut bytes, at, on), was);
            prop_assert_eq!(get_bit(&bytes, at), on);
            prop_assert_eq!(bits(&bytes), expected);
        }

        #[test]
        fn combine_agrees_with_single_bytes(
            lens in prop::collection::vec(0usize..40_000, 1..4),
            op in prop::sample::select(vec![BitOp::And, BitOp::Or, BitOp::Xor]),
        ) {
            let sources: Vec<Vec<u8>> =
                lens.iter().enumerate().map(|(i, n)| (0..*n).map(|j| (j * (i + 3)) as u8).collect()).collect();
            let refs: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let expected: Vec<u8> = (0..*lens.iter().max().unwrap())
                .map(|j| {
                    let at = sources.iter().map(|s| s.get(j).copied().unwrap_or(0));
                    at.reduce(|a, b| match op {
                        BitOp::And => a & b,
                        BitOp::Or => a | b,
                        _ => a ^ b,
                    }).unwrap()
                })
                .collect();
            prop_assert!(combine(op, &refs) == expected);
        }
    }
}
