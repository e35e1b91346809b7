//! Floating-point literals as C's `strtod` and `strtold` read them (locale "C"), and the rounding
//! of binary significands to nearest, ties to even.
//!
//! A literal is an optional sign followed by a decimal number with an optional exponent, a
//! hexadecimal number with an optional binary exponent, or `inf`/`infinity` in any case. NaN is not
//! among them: no command takes it.

/// A literal's sign and size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Literal<'a> {
    pub(super) negative: bool,
    pub(super) magnitude: Magnitude<'a>,
}

/// A literal without its sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Magnitude<'a> {
    Infinity,
    Decimal(Decimal<'a>),
    Binary(Binary),
}

/// `integer.fraction * 10^exponent`; both parts are ASCII digits, one of them may be empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decimal<'a> {
    pub(super) integer: &'a [u8],
    pub(super) fraction: &'a [u8],
    pub(super) exponent: i64,
}

/// `significand * 2^exponent`, plus something less than `2^exponent` if `sticky`. A sticky
/// significand has more bits than any format keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binary {
    pub(super) significand: u128,
    pub(super) exponent: i64,
    pub(super) sticky: bool,
}

/// Exponents beyond this are all the same: far out of every format's range.
const EXPONENT_LIMIT: i64 = 1 << 40;

impl Decimal<'_> {
    /// The digits without leading zeros, and the power of ten of the last one.
    pub(super) fn digits(&self) -> (impl Iterator<Item = u8> + Clone, i64) {
        let digits = self.integer.iter().chain(self.fraction).copied().skip_while(|&d| d == b'0');
        (digits, self.exponent - self.fraction.len() as i64)
    }

    /// Whether every digit is zero.
    pub(super) fn is_zero(&self) -> bool {
        self.integer.iter().chain(self.fraction).all(|&d| d == b'0')
    }
}

impl Binary {
    /// The nearest number with `precision` significant bits (at most 64) and no bit below
    /// `2^min_exponent`, as `(significand, exponent)`. The significand is below `2^precision`.
    pub(super) fn round(self, precision: u32, min_exponent: i64) -> (u64, i64) {
        let bits = 128 - self.significand.leading_zeros();
        let excess = i64::from(bits) - i64::from(precision);
        let drop = excess.max(min_exponent - self.exponent);
        if drop <= 0 {
            debug_assert!(!self.sticky, "a sticky significand is longer than what is kept");
            return (self.significand as u64, self.exponent);
        }
        let exponent = self.exponent + drop;
        match drop_bits(self.significand, drop as u64, self.sticky) {
            carried if carried >> precision != 0 => ((carried >> 1) as u64, exponent + 1),
            kept => (kept as u64, exponent),
        }
    }
}

/// `n / 2^bits` to the nearest integer, ties to even; `sticky` says that `n` itself lacks a fraction.
pub(super) fn drop_bits(n: u128, bits: u64, sticky: bool) -> u128 {
    if bits == 0 || bits > 128 {
        return if bits == 0 { n } else { 0 };
    }
    let kept = n.checked_shr(bits as u32).unwrap_or(0);
    let half = 1u128 << (bits - 1);
    let rest = n & (half | (half - 1));
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    kept + u128::from(up)
}

/// Reads a literal that takes up the whole text.
pub(super) fn scan(text: &[u8]) -> Option<Literal<'_>> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let magnitude = match rest {
        [b'0', b'x' | b'X', hex @ ..] => Magnitude::Binary(scan_hex(hex)?),
        [b'0'..=b'9' | b'.', ..] => Magnitude::Decimal(scan_decimal(rest)?),
        _ if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") => {
            Magnitude::Infinity
        }
        _ => return None,
    };
    Some(Literal { negative, magnitude })
}

/// The length of the longest literal at the beginning of a text, 0 if there is none.
pub(super) fn prefix_length(text: &[u8]) -> usize {
    let signs = usize::from(matches!(text, [b'+' | b'-', ..]));
    let rest = &text[signs..];
    let length = match rest {
        [b'0', b'x' | b'X', hex @ ..] => match number_length(hex, u8::is_ascii_hexdigit, b'p') {
            0 => 1,
            length => 2 + length,
        },
        [b'i' | b'I', ..] => {
            let starts = |word: &&str| starts_with(rest, word);
            ["infinity", "inf"].iter().find(|word| starts(word)).map_or(0, |word| word.len())
        }
        _ => number_length(rest, u8::is_ascii_digit, b'e'),
    };
    if length == 0 { 0 } else { signs + length }
}

/// The length of `nan` or `nan(...)` at the beginning of a text, in any case.
pub(super) fn nan_length(text: &[u8]) -> Option<usize> {
    if !starts_with(text, "nan") {
        return None;
    }
    let inside = text[3..].strip_prefix(b"(");
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let payload = inside.and_then(|inside| {
        let length = inside.iter().take_while(is_part).count();
        (inside.get(length) == Some(&b')')).then_some(length + 2)
    });
    Some(3 + payload.unwrap_or(0))
}

fn starts_with(text: &[u8], word: &str) -> bool {
    text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
}

/// The length of `integer[.fraction][exponent]` at the beginning of a text, 0 if it has no digit before the exponent.
fn number_length(text: &[u8], is_digit: fn(&u8) -> bool, exponent: u8) -> usize {
    let Some((_, _, rest)) = split_point(text, is_digit) else { return 0 };
    let length = text.len() - rest.len();
    let power = match rest {
        [mark, b'+' | b'-', digits @ ..] if mark.to_ascii_lowercase() == exponent => (2, digits),
        [mark, digits @ ..] if mark.to_ascii_lowercase() == exponent => (1, digits),
        _ => return length,
    };
    match power.1.iter().take_while(|byte| byte.is_ascii_digit()).count() {
        0 => length,
        digits => length + power.0 + digits,
    }
}

fn scan_decimal(text: &[u8]) -> Option<Decimal<'_>> {
    let (integer, fraction, rest) = split_point(text, u8::is_ascii_digit)?;
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', exponent @ ..] => scan_exponent(exponent)?,
        _ => return None,
    };
    Some(Decimal { integer, fraction, exponent })
}

fn scan_hex(text: &[u8]) -> Option<Binary> {
    let (integer, fraction, rest) = split_point(text, u8::is_ascii_hexdigit)?;
    let mut exponent = match rest {
        [] => 0,
        [b'p' | b'P', exponent @ ..] => scan_exponent(exponent)?,
        _ => return None,
    };
    exponent -= 4 * fraction.len() as i64;
    let (mut significand, mut sticky) = (0u128, false);
    for &digit in integer.iter().chain(fraction) {
        let digit = (digit as char).to_digit(16)?;
        if significand >> 124 == 0 {
            significand = (significand << 4) | u128::from(digit);
        } else {
            sticky |= digit != 0;
            exponent += 4;
        }
    }
    Some(Binary { significand, exponent, sticky })
}

/// Splits off `integer[.fraction]`, of at least one digit.
fn split_point(text: &[u8], is_digit: fn(&u8) -> bool) -> Option<(&[u8], &[u8], &[u8])> {
    let split = |text: &'_ [u8]| text.iter().position(|b| !is_digit(b)).unwrap_or(text.len());
    let (integer, rest) = text.split_at(split(text));
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => rest.split_at(split(rest)),
        _ => (&rest[..0], rest),
    };
    (!integer.is_empty() || !fraction.is_empty()).then_some((integer, fraction, rest))
}

fn scan_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0, |n, d| (n * 10 + i64::from(d - b'0')).min(EXPONENT_LIMIT));
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_literals_count() {
        for text in ["1", "-1.", "+.5", "1e5", "1E-05", "0x1", "0X.8p-3", "inf", "-Infinity", "00.10"] {
            assert!(scan(text.as_bytes()).is_some(), "{text}");
        }
        for text in [
            "", "-", ".", "e5", "1e", "1e+", "0x", "0x.", "0x1p", "infin", "nan", " 1", "1 ", "1_0", "--1",
            "1\0",
        ] {
            assert!(scan(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn rounding_is_to_nearest_even() {
        let round = |significand, sticky| Binary { significand, exponent: 0, sticky }.round(4, -1000);
        assert_eq!(round(0b10101, false), (0b1010, 1));
        assert_eq!(round(0b10111, false), (0b1100, 1));
        assert_eq!(round(0b10101, true), (0b1011, 1));
        assert_eq!(round(0b11111, false), (0b1000, 2));
        assert_eq!(round(0b111, false), (0b111, 0));
    }

    #[test]
    fn nothing_stays_below_the_least_exponent() {
        let round = |significand, exponent| Binary { significand, exponent, sticky: false }.round(64, 0);
        assert_eq!(round(3, -1), (2, 0));
        assert_eq!(round(1, -1), (0, 0));
        assert_eq!(round(1, -200).0, 0);
        assert_eq!(round(u128::MAX, -128), (1, 0));
        assert_eq!(round(u128::MAX, -129).0, 0);
    }
}
