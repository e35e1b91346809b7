//! Numbers as Redis reads and prints them: clients see the digits, so they have to be the same.

use std::fmt;
use std::ops::Deref;

use super::grisu;
use super::literal::{self, Binary, Magnitude};

/// Length of the longest canonical 64-bit integer.
const MAX_INTEGER_TEXT: usize = 20;

/// Reads a signed integer in its canonical form: what printing it would give, so no sign `+`, no
/// spaces, no leading zeros and no `-0`. A string for which this succeeds can be kept as an integer.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'1'..=b'9', ..] => {}
        [b'0'] if !negative => return Some(0),
        _ => return None,
    }
    if text.len() > MAX_INTEGER_TEXT {
        return None;
    }
    let mut n = 0u64;
    // 18 digits cannot overflow.
    let (head, tail) = digits.split_at(digits.len().min(18));
    for byte in head {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + u64::from(digit);
    }
    for byte in tail {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative { 0i64.checked_sub_unsigned(n) } else { i64::try_from(n).ok() }
}

/// Reads an unsigned integer the way stream IDs are read: canonical integers that are not negative,
/// and beyond them what C's `strtoull` takes (leading blanks, a sign, leading zeros; a negative
/// number wraps around).
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if let Some(n) = parse_i64(text) {
        return u64::try_from(n).ok();
    }
    let (negative, digits) = match trim_blanks(text) {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let n = parse_digits(digits)?.ok()?;
    Some(if negative { n.wrapping_neg() } else { n })
}

/// The number these ASCII digits write, `Err` if it is beyond 64 bits, `None` if they are not digits
/// or there are none.
fn parse_digits(digits: &[u8]) -> Option<Result<u64, Overflow>> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')));
    Some(value.ok_or(Overflow))
}

/// A number beyond 64 bits.
struct Overflow;

/// Reads a double argument: a decimal or hexadecimal number or `inf`/`infinity` in any case, with
/// nothing around it. Fails on NaN, on overflow and on numbers that are not zero but round to it.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (value, exact_zero) = read_f64(text)?;
    let overflow = value.is_infinite() && !is_infinity(text);
    let underflow = value == 0.0 && !exact_zero;
    (!overflow && !underflow).then_some(value)
}

/// Reads the longest number at the beginning of a text, as C's `strtod` does (without leading blanks): NaN counts, and
/// what is beyond the range is infinite or zero. Answers the number and its length in bytes.
pub fn parse_f64_prefix(text: &[u8]) -> Option<(f64, usize)> {
    let length = literal::prefix_length(text);
    if let Some((value, _)) = read_f64(&text[..length]) {
        return Some((value, length));
    }
    let signs = usize::from(matches!(text, [b'+' | b'-', ..]));
    let nan = if text.starts_with(b"-") { -f64::NAN } else { f64::NAN };
    literal::nan_length(&text[signs..]).map(|length| (nan, signs + length))
}

/// Reads a bound of a score range (`ZRANGEBYSCORE`, without its `(`): like [`parse_f64`], but with
/// leading blanks allowed, overflow to infinity, underflow to zero, nothing at all meaning zero, and a zero byte
/// as the end of the text.
pub fn parse_f64_bound(text: &[u8]) -> Option<f64> {
    match text.split(|&byte| byte == 0).next().unwrap_or_default() {
        [] => Some(0.0),
        text => read_f64(trim_blanks(text)).map(|(value, _)| value),
    }
}

fn is_infinity(text: &[u8]) -> bool {
    matches!(text, [b'i' | b'I', ..] | [b'+' | b'-', b'i' | b'I', ..])
}

/// The double nearest to a literal, and whether the literal writes zero.
fn read_f64(text: &[u8]) -> Option<(f64, bool)> {
    let literal = literal::scan(text)?;
    let sign = if literal.negative { -1.0 } else { 1.0 };
    match literal.magnitude {
        Magnitude::Infinity => Some((sign * f64::INFINITY, false)),
        Magnitude::Binary(binary) => Some((sign * binary_f64(binary), binary.significand == 0)),
        Magnitude::Decimal(decimal) => {
            let value = std::str::from_utf8(text).ok()?.parse().ok()?;
            Some((value, value == 0.0 && decimal.is_zero()))
        }
    }
}

fn binary_f64(binary: Binary) -> f64 {
    const MIN_EXPONENT: i64 = -1074;
    if binary.significand == 0 {
        return 0.0;
    }
    let (mantissa, exponent) = binary.round(f64::MANTISSA_DIGITS, MIN_EXPONENT);
    // The mantissa is exact in a double; scaling it in two steps reaches every exponent exactly.
    let half = (exponent / 2).clamp(-1022, 1023);
    let rest = (exponent - half).clamp(-1022, 1023);
    mantissa as f64 * power_of_two(half) * power_of_two(rest)
}

/// 2^`exponent`, of a normal double.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

fn trim_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\t'..=b'\r')).count();
    &text[blanks..]
}

/// The text of a double; it dereferences to `str`.
#[derive(Clone, Copy)]
pub struct F64Text {
    bytes: [u8; F64Text::CAPACITY],
    len: usize,
}

impl F64Text {
    /// More than the longest text: sign, leading `0.`, zeros, 17 digits.
    const CAPACITY: usize = 32;

    fn new(text: &str) -> F64Text {
        let mut new = F64Text { bytes: [0; F64Text::CAPACITY], len: 0 };
        new.push(text.as_bytes());
        new
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn push_zeros(&mut self, count: usize) {
        self.bytes[self.len..self.len + count].fill(b'0');
        self.len += count;
    }
}

impl Deref for F64Text {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("only ASCII was pushed")
    }
}

impl fmt::Debug for F64Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Prints a double as Redis 7.4 does in replies: integers without a point, `inf`, `-inf`, `nan`, `-0`,
/// otherwise digits that read back as the same double.
pub fn format_f64(value: f64) -> F64Text {
    /// Doubles up to this size are printed as integers if they are integers.
    const MAX_INTEGER: f64 = (i64::MAX / 2) as f64;
    if value != 0.0 && value.abs() <= MAX_INTEGER && value.trunc() == value {
        return F64Text::new(itoa::Buffer::new().format(value as i64));
    }
    format_f64_shortest(value)
}

/// Prints a double with as few digits as read back as the same double; large integers end with zeros then.
pub fn format_f64_shortest(value: f64) -> F64Text {
    if value.is_nan() {
        return F64Text::new("nan");
    }
    if value.is_infinite() {
        return F64Text::new(if value > 0.0 { "inf" } else { "-inf" });
    }
    if value == 0.0 {
        return F64Text::new(if value.is_sign_negative() { "-0" } else { "0" });
    }
    let (digits, exponent) = grisu::digits(value.abs());
    let mut text = F64Text::new(if value < 0.0 { "-" } else { "" });
    lay_out(&mut text, itoa::Buffer::new().format(digits).as_bytes(), exponent);
    text
}

/// Appends `digits * 10^exponent` in the shorter of the plain and the scientific form.
fn lay_out(text: &mut F64Text, digits: &[u8], exponent: i32) {
    let scientific = exponent + digits.len() as i32 - 1;
    let size = scientific.unsigned_abs() as usize;
    if exponent >= 0 && size < digits.len() + 7 {
        text.push(digits);
        text.push_zeros(exponent as usize);
    } else if exponent < 0 && (exponent > -7 || size < 4) {
        let fraction = exponent.unsigned_abs() as usize;
        if fraction >= digits.len() {
            text.push(b"0.");
            text.push_zeros(fraction - digits.len());
            text.push(digits);
        } else {
            let (integer, fraction) = digits.split_at(digits.len() - fraction);
            text.push(integer);
            text.push(b".");
            text.push(fraction);
        }
    } else {
        text.push(&digits[..1]);
        if digits.len() > 1 {
            text.push(b".");
            text.push(&digits[1..]);
        }
        text.push(if scientific < 0 { b"e-" } else { b"e+" });
        text.push(itoa::Buffer::new().format(size).as_bytes());
    }
}

/// Prints a double with up to 17 significant digits, as C's `%.17g` does.
pub fn format_f64_17(value: f64) -> String {
    format_f64_digits(value, 17)
}

/// Prints a double with up to `digits` significant digits (at least one), as C's `%.*g` does, but NaN without a sign.
pub fn format_f64_digits(value: f64, digits: usize) -> String {
    if value.is_infinite() || value.is_nan() || value == 0.0 {
        return format_f64(value).to_string();
    }
    let text = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = text.split_once('e').expect("the form has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..digits as i32).contains(&exponent) {
        return trim_zeros(&format!("{value:.*}", (digits as i32 - 1 - exponent) as usize)).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.unsigned_abs())
}

/// A number without the zeros at the end of its fraction.
fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Prints a number of bytes with two decimals and a binary unit, as the `_human` fields of `INFO` do:
/// `512B`, `1.00K`, `1.50G`. Beyond petabytes it is plain bytes again.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    match bytes.checked_ilog2().unwrap_or(0) as usize / 10 {
        0 | 6.. => format!("{bytes}B"),
        power => format!("{:.2}{}", bytes as f64 / (1u64 << (10 * power)) as f64, UNITS[power - 1]),
    }
}

/// Reads an amount of memory as config options write it: digits and a unit in any case, `b` or nothing
/// for bytes, `k`, `m`, `g` for powers of 1000, `kb`, `mb`, `gb` for powers of 1024. As in Redis, a unit
/// alone counts zero, digits saturate at 64 bits and the product wraps around.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    const MAX_DIGITS: usize = 127;
    let digits = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    let unit: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits.len() > MAX_DIGITS {
        return None;
    }
    let count = parse_digits(digits).map_or(0, |n| n.unwrap_or(u64::MAX));
    Some(count.wrapping_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_read_up_to_where_it_ends() {
        for (text, value, length) in [
            ("12,", 12.0, 2),
            ("-1.5e3e4", -1500.0, 6),
            ("1e", 1.0, 1),
            ("1e+x", 1.0, 1),
            (".5.", 0.5, 2),
            ("0x", 0.0, 1),
            ("0x.p1", 0.0, 1),
            ("-0x1.8P+1z", -3.0, 9),
            ("0x1p", 1.0, 3),
            ("infinit", f64::INFINITY, 3),
            ("-INFINITYx", f64::NEG_INFINITY, 9),
            ("1e999", f64::INFINITY, 5),
        ] {
            assert_eq!(parse_f64_prefix(text.as_bytes()), Some((value, length)), "{text}");
        }
        for (text, negative, length) in [("nan", false, 3), ("-NaN(1_a)b", true, 9), ("+nan(1", false, 4)] {
            let (value, read) = parse_f64_prefix(text.as_bytes()).expect("NaN");
            assert!(value.is_nan() && value.is_sign_negative() == negative && read == length, "{text}");
        }
        for text in ["", "-", "+", ".", "e5", "x", "in", "na", "- 1", "--1"] {
            assert_eq!(parse_f64_prefix(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn digits_are_cut_off_as_by_printf() {
        for (value, digits, text) in [
            (1.0 / 3.0, 14, "0.33333333333333"),
            (123456789012345.0, 14, "1.2345678901234e+14"),
            (1234.0, 3, "1.23e+03"),
            (0.00012345, 2, "0.00012"),
            (0.000012345, 2, "1.2e-05"),
            (9.99, 2, "10"),
            (1e300, 14, "1e+300"),
            (-0.0, 14, "-0"),
            (5e-324, 1, "5e-324"),
        ] {
            assert_eq!(format_f64_digits(value, digits), text);
        }
    }

    #[test]
    fn integers_are_canonical() {
        for n in [0, 1, -1, 10, i64::MAX, i64::MIN, 999_999_999_999_999_999, 1_000_000_000_000_000_000] {
            assert_eq!(parse_i64(n.to_string().as_bytes()), Some(n));
        }
        for text in
            ["", "-", "-0", "+1", "01", " 1", "1 ", "1.", "9223372036854775808", "-9223372036854775809"]
        {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_i64(b"99999999999999999999"), None);
        assert_eq!(parse_i64(&[b'1'; 30]), None);
    }

    #[test]
    fn unsigned_integers_are_lenient_beyond_the_canonical_form() {
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"007"), Some(7));
        assert_eq!(parse_u64(b" +7"), Some(7));
        assert_eq!(parse_u64(b"-7"), None);
        assert_eq!(parse_u64(b" -7"), Some(7u64.wrapping_neg()));
        assert_eq!(parse_u64(b""), None);
        assert_eq!(parse_u64(b"7 "), None);
    }

    #[test]
    fn doubles_are_whole_and_in_range() {
        assert_eq!(parse_f64(b"-1.5e3"), Some(-1500.0));
        assert_eq!(parse_f64(b"+inf"), Some(f64::INFINITY));
        assert_eq!(parse_f64(b"-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_f64(b"0e-999"), Some(0.0));
        assert_eq!(parse_f64(b"3e-324"), Some(f64::from_bits(1)));
        for text in
            ["", " 1", "1 ", "nan", "1e400", "-1e400", "2e-324", "1e-400", "1x", "0x1p-1080", "0x1p1024"]
        {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn hexadecimal_doubles_round_once() {
        assert_eq!(parse_f64(b"0x1.8p1"), Some(3.0));
        assert_eq!(parse_f64(b"-0XfF"), Some(-255.0));
        assert_eq!(parse_f64(b"0x1.00000000000008p0"), Some(1.0));
        assert_eq!(parse_f64(b"0x1.00000000000018p0"), Some(1.0 + 2.0 * f64::EPSILON));
        assert_eq!(parse_f64(b"0x1.000000000000080000000000000000000000001p0"), Some(1.0 + f64::EPSILON));
        assert_eq!(parse_f64(b"0x1p-1074"), Some(f64::from_bits(1)));
        assert_eq!(parse_f64(b"0x1.8p-1074"), Some(f64::from_bits(2)));
        assert_eq!(parse_f64(b"0x0.fffffffffffff8p1024"), Some(f64::MAX));
        assert_eq!(parse_f64(b"0x0.fffffffffffffcp1024"), None);
    }

    #[test]
    fn bounds_are_lenient() {
        assert_eq!(parse_f64_bound(b""), Some(0.0));
        assert_eq!(parse_f64_bound(b" \t1"), Some(1.0));
        assert_eq!(parse_f64_bound(b"1e999"), Some(f64::INFINITY));
        assert_eq!(parse_f64_bound(b"1e-999"), Some(0.0));
        assert_eq!(parse_f64_bound(b"nan"), None);
        assert_eq!(parse_f64_bound(b"1 "), None);
        assert_eq!(parse_f64_bound(b"\0\r\n"), Some(0.0));
        assert_eq!(parse_f64_bound(b"1\0x"), Some(1.0));
    }

    #[test]
    fn doubles_print_as_in_redis() {
        // Taken from replies of a Redis 7.4 server.
        for (value, text) in [
            (3.0, "3"),
            (-0.0, "-0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.3333333333333333"),
            (4611686018427387904.0, "4611686018427387904"),
            (9223372036854775807.0, "9223372036854776000"),
            (1e20, "1e+20"),
            (123456789012345678901234.0, "123456789012345690000000"),
            (12e25, "1.2e+26"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::from_bits(1), "5e-324"),
            (0.000001, "0.000001"),
            (1e-7, "1e-7"),
            (0.00001, "0.00001"),
            (0.00012345, "1.2345e-4"),
            (-1.25e-10, "-1.25e-10"),
            (1234.5678, "1234.5678"),
            (1.7976474436201782e6, "1.7976474436201781e+6"),
            (0.00012345678901234, "1.2345678901234e-4"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(&*format_f64(value), text);
        }
        assert_eq!(&*format_f64_shortest(4_611_686_018_427_387_904.0), "4611686018427388000");
        assert_eq!(&*format_f64_shortest(-0.0), "-0");
    }

    #[test]
    fn seventeen_digits_print_as_in_c() {
        for (value, text) in [
            (1.0, "1"),
            (0.1, "0.10000000000000001"),
            (-1.5, "-1.5"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456789012345678.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (1e300, "1.0000000000000001e+300"),
            (-0.0, "-0"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_f64_17(value), text);
        }
    }

    #[test]
    fn memory_is_shown_in_binary_units() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_572_864, "1.50M"),
            ((1 << 30) - 1, "1024.00M"),
            (1 << 30, "1.00G"),
            (1 << 50, "1.00P"),
            (1 << 60, "1152921504606846976B"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }

    #[test]
    fn memory_units() {
        for (text, bytes) in [
            ("100", 100),
            ("1k", 1000),
            ("1Kb", 1024),
            ("2mb", 2 << 20),
            ("1G", 1_000_000_000),
            ("3b", 3),
            ("kb", 0),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), Some(bytes), "{text}");
        }
        assert_eq!(parse_memory(b"99999999999999999999"), Some(u64::MAX));
        for text in ["-1", "1 k", "1t", "1.5g"] {
            assert_eq!(parse_memory(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_i64_accepts_what_prints_the_same(text in "-?[0-9]{1,21}") {
            let canonical = text.parse::<i64>().ok().filter(|n| n.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), canonical);
        }

        #[test]
        fn printed_doubles_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(parse_f64(format_f64(value).as_bytes()), Some(value));
        }
    }
}
