//! LZF, the compression of strings in RDB files: Lempel-Ziv with byte-aligned codes
//! (oldhome.schmorp.de/marc/liblzf.html).
//!
//! Compressed data is a sequence of
//!
//! ```text
//! 000lllll                        then l + 1 bytes that are copied
//! lllooooo oooooooo               repeat l + 2 bytes (l = 1..=6) that stand o + 1 bytes back
//! 111ooooo llllllll oooooooo      repeat l + 9 bytes that stand o + 1 bytes back
//! ```
//!
//! and the length of the original is stored elsewhere.

/// Longest piece that is copied by one code.
const LITERAL_MAX: usize = 32;
/// Shortest and longest piece that is repeated by one code.
const REPEAT_MIN: usize = 3;
const REPEAT_MAX: usize = 264;
/// How far back a repeated piece may begin.
const DISTANCE_MAX: usize = 1 << 13;
/// The length in the first byte of a code from which on there is a second one.
const LONG_REPEAT: usize = 7;
/// One compressed byte stands for less than this many bytes: three bytes repeat at most 264.
const EXPANSION_MAX: usize = REPEAT_MAX / REPEAT_MIN;

const TABLE_BITS: u32 = 16;

/// Bytes that liblzf wants to be free before it writes a repetition, and at the end.
const SPARE_FOR_REPEAT: usize = 4;
const SPARE_AT_END: usize = 3;

/// Compresses. It remembers where it saw which three bytes, in a table that it keeps from one call to the next. The hash
/// and the choices are those of liblzf, so that what comes out is what Redis writes.
#[derive(Debug, Clone, Default)]
pub struct Compressor {
    /// By the hash of three bytes, where they stood last; allocated when first used. A place is counted from the first
    /// input on, so that those in earlier inputs are told by being below `base`, and nothing has to be cleared.
    seen: Vec<u32>,
    /// The place of the input's first byte, at least 1.
    base: u32,
}

impl Compressor {
    /// Appends `input`, compressed to at most `max_bytes`, to `out`. If it does not fit, with the few bytes to spare that
    /// liblzf wants at any time, returns false and leaves `out` as it was.
    pub fn compress(&mut self, input: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> bool {
        if !self.begin(input.len()) {
            return false;
        }
        let start = out.len();
        let (mut at, mut copied, mut fits) = (0, 0, true);
        while fits && at + REPEAT_MIN <= input.len() {
            let Some(earlier) = self.swap_place(input, at) else {
                at += 1;
                continue;
            };
            let len = common_len(input, earlier, at);
            push_literals(&input[copied..at], out);
            fits = out.len() - start + SPARE_FOR_REPEAT < max_bytes;
            push_repeat(at - earlier, len, out);
            at += len;
            copied = at;
            // The middle of what is repeated is not worth remembering.
            for inside in at - 2..at {
                if inside + REPEAT_MIN <= input.len() {
                    self.swap_place(input, inside);
                }
            }
        }
        // The code of the next literals counts, even if there are none.
        let pending = at - copied;
        fits &= out.len() - start + pending + pending / LITERAL_MAX + 1 + SPARE_AT_END <= max_bytes;
        push_literals(&input[copied..], out);
        self.base += input.len() as u32;
        if !fits {
            out.truncate(start);
        }
        fits
    }

    /// Whether an input of this length can be compressed.
    fn begin(&mut self, len: usize) -> bool {
        let end = u64::from(self.base) + len as u64;
        if self.seen.is_empty() || end > u64::from(u32::MAX) {
            self.seen = vec![0; 1 << TABLE_BITS];
            self.base = 1;
        }
        len < u32::MAX as usize
    }

    /// Remembers where three bytes stand. Returns where the same three stood last, if that is in reach.
    fn swap_place(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let bytes = &input[at..at + REPEAT_MIN];
        let word = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        let slot = (word >> (24 - TABLE_BITS)).wrapping_sub(word.wrapping_mul(5)) & ((1 << TABLE_BITS) - 1);
        let place = std::mem::replace(&mut self.seen[slot as usize], self.base + at as u32);
        let earlier = place.checked_sub(self.base)? as usize;
        let in_reach = earlier > 0 && at - earlier <= DISTANCE_MAX;
        (in_reach && input[earlier..].starts_with(bytes)).then_some(earlier)
    }
}

/// How many bytes from `earlier` and from `at` on, of which three are known to be, are the same, of those that one code can
/// repeat. The last two bytes of the input are left out if there are others.
fn common_len(input: &[u8], earlier: usize, at: usize) -> usize {
    let most = (input.len() - at - 2).clamp(REPEAT_MIN, REPEAT_MAX);
    let pairs = input[earlier..].iter().zip(&input[at..]).take(most);
    pairs.take_while(|(a, b)| a == b).count()
}

fn push_literals(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(LITERAL_MAX) {
        out.push(piece.len() as u8 - 1);
        out.extend_from_slice(piece);
    }
}

fn push_repeat(distance: usize, len: usize, out: &mut Vec<u8>) {
    let [high, low] = (distance as u16 - 1).to_be_bytes();
    let stored = len - 2;
    if stored < LONG_REPEAT {
        out.extend([(stored as u8) << 5 | high, low]);
    } else {
        out.extend([(LONG_REPEAT as u8) << 5 | high, (stored - LONG_REPEAT) as u8, low]);
    }
}

/// Takes apart what [`Compressor::compress`] or liblzf has made of `len` bytes; `None` if it is something else. Needs
/// no more memory than what `input` can stand for.
pub fn decompress(mut input: &[u8], len: usize) -> Option<Vec<u8>> {
    if len / EXPANSION_MAX > input.len() {
        return None;
    }
    let (mut out, mut at) = (vec![0; len], 0);
    while let Some(code) = take(&mut input) {
        let high = code & 0x1f;
        at += match usize::from(code >> 5) {
            0 => {
                let (literals, rest) = input.split_at_checked(usize::from(high) + 1)?;
                out.get_mut(at..at + literals.len())?.copy_from_slice(literals);
                input = rest;
                literals.len()
            }
            short => {
                let more = if short == LONG_REPEAT { take(&mut input)? } else { 0 };
                let distance = usize::from(u16::from_be_bytes([high, take(&mut input)?])) + 1;
                let repeated = short + usize::from(more) + 2;
                let from = at.checked_sub(distance)?;
                repeat(out.get_mut(from..at + repeated)?, distance);
                repeated
            }
        };
    }
    (at == len).then_some(out)
}

/// Fills a slice with repetitions of its first `distance` bytes.
fn repeat(bytes: &mut [u8], distance: usize) {
    if distance == 1 {
        let byte = bytes[0];
        return bytes.fill(byte);
    }
    // What is repeated may reach into the repetition: each time there is more to copy at once.
    let mut there = distance;
    while there < bytes.len() {
        let len = there.min(bytes.len() - there);
        bytes.copy_within(..len, there);
        there += len;
    }
}

fn take(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compressed(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        Compressor::default().compress(input, usize::MAX, &mut out).then_some(out)
    }

    #[test]
    fn codes_are_those_of_the_format() {
        assert_eq!(compressed(b"").unwrap(), b"");
        assert_eq!(compressed(b"abc").unwrap(), b"\x02abc");
        assert_eq!(compressed(b"-abcabc").unwrap(), b"\x03-abc\x20\x02");
        // What Redis 7.4 writes for 100 times x.
        assert_eq!(compressed(&[b'x'; 100]).unwrap(), b"\x01xx\xe0W\0\x01xx");
        assert_eq!(compressed(&[b'x'; 268]).unwrap(), b"\x01xx\xe0\xff\0\x01xx");
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut out = b"before".to_vec();
        let mut compressor = Compressor::default();
        assert!(!compressor.compress(b"incompressible", 14, &mut out));
        assert_eq!(out, b"before");
        assert!(compressor.compress(&[0; 1000], 24, &mut out));
        assert_eq!(decompress(&out[6..], 1000).unwrap(), [0; 1000]);
    }

    #[test]
    fn damage_is_noticed() {
        for (input, len) in [
            (&b"\x02ab"[..], 3),  // literals end early
            (b"\0a\x20", 4),      // no distance
            (b"\0a\xe0\0", 10),   // no distance after a length
            (b"\0a\xe0", 10),     // no length
            (b"\0a\x20\x01", 4),  // begins before the output
            (b"\0a\x20\0", 3),    // longer than it says
            (b"\0a\x20\0", 5),    // shorter than it says
            (b"\0a", usize::MAX), // far more than it can be
        ] {
            assert_eq!(decompress(input, len), None, "{input:?}");
        }
    }

    #[test]
    fn the_places_start_again_before_they_overflow() {
        let mut compressor = Compressor { seen: Vec::new(), base: 0 };
        let mut out = Vec::new();
        assert!(compressor.compress(b"abcabcabcabc", 12, &mut out));
        compressor.base = u32::MAX - 5;
        out.clear();
        assert!(compressor.compress(b"abcabcabcabc", 12, &mut out));
        assert_eq!((decompress(&out, 12).unwrap(), compressor.base), (b"abcabcabcabc".to_vec(), 13));
    }

    proptest! {
        #[test]
        fn it_comes_back(
            inputs in prop::collection::vec(
                (prop::collection::vec(0..4u8, 0..600), 1..40usize), 1..4
            ),
        ) {
            let mut compressor = Compressor::default();
            for (bytes, times) in inputs {
                let input = bytes.repeat(times);
                let mut out = Vec::new();
                prop_assert!(compressor.compress(&input, usize::MAX, &mut out));
                prop_assert!(out.len() <= input.len() + input.len().div_ceil(LITERAL_MAX));
                prop_assert_eq!(decompress(&out, input.len()), Some(input));
            }
        }

        #[test]
        fn any_bytes_are_taken_or_refused(
            input in prop::collection::vec(any::<u8>(), 0..50),
            len in 0..5000usize,
        ) {
            let _ = decompress(&input, len);
        }
    }
}
