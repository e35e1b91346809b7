//! The `long double` of x86-64 in software: 64 bits of significand, 15 bits of exponent.
//!
//! `INCRBYFLOAT` and `HINCRBYFLOAT` add in this format and print 17 fractional digits of the sum, so
//! the digits a client sees depend on it. Every operation rounds once, to nearest, ties to even, as
//! the x87 unit, `strtold` and `printf` do.
//!
//! A finite number is `mantissa * 2^exponent`. The mantissa of a number that was rounded has its
//! top bit set unless the exponent is the least one; shorter exact ones may stand as they are.

use std::fmt;

use super::literal::{self, Binary, Decimal, Magnitude};
use super::natural::Natural;

const PRECISION: u32 = 64;
/// Weight of the lowest bit of a subnormal number.
const MIN_EXPONENT: i64 = -16445;
/// Numbers of `2^MAX_BITS` and above are infinite.
const MAX_BITS: i64 = 16384;
/// Texts of this many bytes and more are no numbers.
const MAX_TEXT: usize = 5 * 1024;
/// The decimal points of all finite numbers that are not rounded to zero: `0.1 * 10^point` is not
/// above the number, `10^point` is.
const POINTS: std::ops::RangeInclusive<i64> = -4950..=4933;
/// Digits after the point of a printed number.
const FRACTION_DIGITS: u32 = 17;

/// A number in the 80-bit extended format.
#[derive(Debug, Clone, Copy)]
pub struct LongDouble {
    negative: bool,
    size: Size,
}

#[derive(Debug, Clone, Copy)]
enum Size {
    Infinite,
    Finite { mantissa: u64, exponent: i64 },
}

impl LongDouble {
    /// Reads a decimal or hexadecimal number, or `inf`, that takes up the whole text. Fails on texts
    /// of 5 KiB and more, on overflow and on numbers that are not zero but round to it.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= MAX_TEXT {
            return None;
        }
        let literal = literal::scan(text)?;
        let (binary, is_zero) = match literal.magnitude {
            Magnitude::Infinity => {
                return Some(LongDouble { negative: literal.negative, size: Size::Infinite });
            }
            Magnitude::Binary(binary) => (binary, binary.significand == 0),
            Magnitude::Decimal(decimal) if decimal.is_zero() => {
                (Binary { significand: 0, exponent: 0, sticky: false }, true)
            }
            Magnitude::Decimal(decimal) => (to_binary(&decimal)?, false),
        };
        let (mantissa, exponent) = round(binary)?;
        if mantissa == 0 && !is_zero {
            return None;
        }
        Some(LongDouble { negative: literal.negative, size: Size::Finite { mantissa, exponent } })
    }

    /// Whether this is a number and not an infinity.
    pub fn is_finite(self) -> bool {
        matches!(self.size, Size::Finite { .. })
    }

    /// The sum, unless it would be infinite or NaN.
    pub fn checked_add(self, other: LongDouble) -> Option<LongDouble> {
        let (Size::Finite { mantissa: m, exponent: e }, Size::Finite { mantissa: n, exponent: f }) =
            (self.size, other.size)
        else {
            return None;
        };
        let ((high, m, e), (low, n, f)) = match (top(m, e), top(n, f)) {
            (a, b) if a >= b => ((self.negative, m, e), (other.negative, n, f)),
            _ => ((other.negative, n, f), (self.negative, m, e)),
        };
        if m == 0 {
            // Two zeros: the sum is negative if both are.
            return Some(LongDouble { negative: high && low, ..self });
        }
        // The higher top bit goes to bit 126, which leaves room for a carry above and for 62 bits of
        // the other number below. What lies lower only matters as "not zero": the lowest bit says so.
        let shift = m.leading_zeros() + 63;
        let exponent = e - i64::from(shift);
        let a = u128::from(m) << shift;
        let b = align(n, f - exponent);
        let (negative, significand) = match () {
            () if high == low => (high, a + b),
            () if a >= b => (high, a - b),
            () => (low, b - a),
        };
        if significand == 0 {
            return Some(LongDouble { negative: false, size: Size::Finite { mantissa: 0, exponent: 0 } });
        }
        let (mantissa, exponent) = round(Binary { significand, exponent, sticky: false })?;
        Some(LongDouble { negative, size: Size::Finite { mantissa, exponent } })
    }
}

/// The 80-bit significand nearest to 10^`power` with its top bit set, and its binary exponent.
/// `power` is within ±4900.
pub(super) fn power_of_ten(power: i64) -> (u64, i64) {
    let one = Decimal { integer: b"1", fraction: b"", exponent: power };
    let (mantissa, exponent) = to_binary(&one).and_then(round).expect("within the format's range");
    let shift = mantissa.leading_zeros();
    (mantissa << shift, exponent - i64::from(shift))
}

/// Position of the top bit; the lowest value for zero.
fn top(mantissa: u64, exponent: i64) -> i64 {
    if mantissa == 0 { i64::MIN } else { exponent + 63 - i64::from(mantissa.leading_zeros()) }
}

/// `mantissa * 2^shift`, with the lowest bit set if a set bit was shifted out.
fn align(mantissa: u64, shift: i64) -> u128 {
    let wide = u128::from(mantissa);
    match shift {
        0.. => wide << shift.min(127),
        -127..=-1 => (wide >> -shift) | u128::from(wide << (128 + shift) != 0),
        _ => u128::from(mantissa != 0),
    }
}

fn round(binary: Binary) -> Option<(u64, i64)> {
    let (mantissa, exponent) = binary.round(PRECISION, MIN_EXPONENT);
    (mantissa == 0 || top(mantissa, exponent) < MAX_BITS).then_some((mantissa, exponent))
}

/// The value of a decimal that is not zero, to more bits than are kept. `None` if it overflows.
fn to_binary(decimal: &Decimal<'_>) -> Option<Binary> {
    let (digits, exponent) = decimal.digits();
    let count = digits.clone().count();
    let point = count as i64 + exponent;
    if point > *POINTS.end() {
        return None;
    }
    if point < *POINTS.start() {
        return Some(Binary { significand: 0, exponent: 0, sticky: false });
    }
    if count <= 19 && (-19..=19).contains(&exponent) {
        let digits = digits.fold(0, |n, d| n * 10 + u64::from(d - b'0'));
        return Some(short_to_binary(digits, exponent));
    }
    let mut digits = Natural::from_digits(digits);
    let (significand, exponent, sticky) = if exponent >= 0 {
        digits.scale_by_ten(exponent as usize);
        digits.leading()
    } else {
        let mut divisor = Natural::new(1);
        divisor.scale_by_ten(-exponent as usize);
        digits.ratio(divisor)
    };
    Some(Binary { significand, exponent, sticky })
}

/// The same for numbers that need no more than 128 bits: nearly all that clients send.
fn short_to_binary(digits: u64, exponent: i64) -> Binary {
    let power = 10u64.pow(exponent.unsigned_abs() as u32);
    if exponent >= 0 {
        return Binary { significand: u128::from(digits) * u128::from(power), exponent: 0, sticky: false };
    }
    let (shift, divisor_shift) = (digits.leading_zeros(), power.leading_zeros());
    let dividend = u128::from(digits << shift) << 64;
    let divisor = u128::from(power << divisor_shift);
    // One more bit than a 128-bit dividend yields: the quotient must be longer than the mantissa.
    let (quotient, rest) = (dividend / divisor, dividend % divisor * 2);
    Binary {
        significand: quotient * 2 + u128::from(rest >= divisor),
        exponent: i64::from(divisor_shift) - i64::from(shift) - 65,
        sticky: rest != 0 && rest != divisor,
    }
}

/// The form in which Redis stores and answers a sum: no exponent, up to 17 fractional digits, no
/// trailing zeros, no negative zero.
impl fmt::Display for LongDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SCALE: u128 = 10u128.pow(FRACTION_DIGITS);
        let sign = if self.negative { "-" } else { "" };
        let (mantissa, exponent) = match self.size {
            Size::Infinite => return write!(f, "{sign}inf"),
            Size::Finite { mantissa, exponent } => (mantissa, exponent),
        };
        if exponent >= 0 && mantissa != 0 {
            let mut integer = Natural::new(mantissa);
            integer.shift_left(exponent as usize);
            return write!(f, "{sign}{}", integer.into_decimal());
        }
        // 64 bits times 57 bits: the scaled number is exact.
        let scaled = u128::from(mantissa) * SCALE;
        let fixed = literal::drop_bits(scaled, exponent.min(0).unsigned_abs(), false);
        let (integer, fraction) = (fixed / SCALE, fixed % SCALE);
        match fraction {
            0 if integer == 0 => f.write_str("0"),
            0 => write!(f, "{sign}{integer}"),
            _ => write!(f, "{sign}{integer}.{}", format!("{fraction:017}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Option<LongDouble> {
        LongDouble::parse(text.as_bytes())
    }

    fn sum(a: &str, b: &str) -> String {
        let sum = parse(a).expect("a number").checked_add(parse(b).expect("a number"));
        sum.map_or("not finite".to_owned(), |sum| sum.to_string())
    }

    /// Sums of two numbers below this fit into the mantissa.
    const SHORT: i64 = 1 << 62;

    #[test]
    fn sums_are_those_of_redis() {
        // Replies of a Redis server on x86-64. The last group is a random choice from those cases
        // where exact decimal arithmetic would answer something else.
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("3.0e3", "200", "3200"),
            ("5.0e3", "-5e3", "0"),
            ("-0", "-0", "0"),
            ("99999999999999999999", "1", "100000000000000000000"),
            ("1e-17", "0", "0.00000000000000001"),
            ("5e-18", "0", "0"),
            ("1.5e-17", "0", "0.00000000000000002"),
            ("-5e-18", "-6e-18", "-0.00000000000000001"),
            ("-1e-30", "0", "0"),
            ("1e-4950", "0", "0"),
            ("0x1p3", "0.5", "8.5"),
            ("+1", ".5", "1.5"),
            ("123456789.123456789", "0.000000001", "123456789.12345678999554366"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551617", "0", "18446744073709551616"),
            ("36893488147419103233", "0", "36893488147419103232"),
            ("36893488147419103235", "0", "36893488147419103236"),
            ("1", "5.421010862427523e-20", "1"),
            ("1e4932", "1e4932", "not finite"),
            ("inf", "1", "not finite"),
            ("inf", "-inf", "not finite"),
            ("+41.555390548600397912", "05476133111938161158.3", "5476133111938161200"),
            ("-1", "077691070.5084359948642789479052837e-2", "776909.70508435994867114"),
            (
                "+399917432.8",
                "+69842086719168866480.83112781535173414e21",
                "69842086719168866481029779161931893964800",
            ),
            ("59731686579300752.48046875", "627.7e-3", "59731686579300753.109375"),
            ("-977520360.36376195916627774", "+20.1904740458016743531117906", "-977520340.17328791337786242"),
            ("+267918635.04", "-525051590.22", "-257132955.180000000007567"),
            ("35176573091656290164", "35777105352019641289.7", "70953678443675931456"),
            ("+842.87292", "1.0e-3", "842.87391999999999997"),
            ("-37609435847545103550.49", "+43154933479460150.252231714266372816", "-37566280914065643400"),
            ("-4.95245488935530555", "-346.45", "-351.40245488935530557"),
            (
                "92571915584476353.6875",
                "07954916057077027862.26645084292850957e13",
                "79549160570770371193634864234496",
            ),
            ("52705833133544873901.238762603313000272", "-90509167520059490", "52615323966024814408"),
            ("50.4e-15", "+882146466.247142447861120297", "882146466.2471424478571862"),
            ("+5.817056779120128422", "233019298.1", "233019303.9170567791297799"),
        ] {
            assert_eq!(sum(a, b), expected, "{a} + {b}");
            assert_eq!(sum(b, a), expected, "{b} + {a}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "1e",
            "nan",
            "1e4933",
            "-1e4933",
            "1e-4951",
            "1e-9999",
            "0x1p16384",
            "0x1p-16446",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse(&"1".repeat(MAX_TEXT)).is_none());
        assert!(parse(&format!("{}1", "0".repeat(MAX_TEXT - 2))).is_some());
        assert!(parse("0e9999").is_some() && parse("-Infinity").is_some_and(|n| !n.is_finite()));
    }

    #[test]
    fn the_largest_number_prints_exactly() {
        let max = parse("0x0.ffffffffffffffffp16384").unwrap().to_string();
        assert_eq!(max.len(), 4933);
        assert!(max.starts_with("118973149535723176502126385303097020516906332229462420044032"));
        assert!(max.ends_with("604419552086811989770240"));
        assert!(parse("0x0.ffffffffffffffff8p16384").is_none());
    }

    #[test]
    fn powers_of_ten_have_their_top_bit_set() {
        assert_eq!(power_of_ten(0), (1 << 63, -63));
        assert_eq!(power_of_ten(-348), (18054884314459144840, -1220));
        assert_eq!(power_of_ten(4), (10_000 << 50, -50));
    }

    proptest! {
        #[test]
        fn sums_of_short_binary_fractions_are_exact(a in -SHORT..SHORT, b in -SHORT..SHORT, shift in 1u32..=12) {
            // n / 2^shift has as many fractional digits as it drops bits.
            let decimal = |n: i64| {
                let scale = 10i128.pow(shift);
                let scaled = (i128::from(n) * scale) >> shift;
                let sign = if scaled < 0 { "-" } else { "" };
                let (integer, fraction) = (scaled.abs() / scale, scaled.abs() % scale);
                format!("{sign}{integer}.{fraction:0width$}", width = shift as usize)
            };
            let expected = decimal(a + b);
            let expected = expected.trim_end_matches('0').trim_end_matches('.');
            prop_assert_eq!(sum(&decimal(a), &decimal(b)), expected);
        }

        #[test]
        fn long_texts_mean_the_same_as_short_ones(digits in 1u64.., exponent in -19i32..19) {
            // Zeros at the end take the number off the path for short texts.
            let short = format!("{digits}e{exponent}");
            let long = format!("{digits}{}e{}", "0".repeat(30), exponent - 30);
            prop_assert_eq!(sum(&short, "0"), sum(&long, "0"));
        }
    }
}
