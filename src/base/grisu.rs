//! Decimal digits of a double by Grisu2 (Florian Loitsch, "Printing Floating-Point Numbers Quickly
//! and Accurately with Integers", PLDI 2010).
//!
//! The digits read back as the same double. About one double in a thousand gets a digit more than
//! it needs or a last digit that is not the nearest: Redis sends those digits, so a shortest-digits
//! algorithm would not do.

use std::sync::LazyLock;

use super::long_double::power_of_ten;

/// Decimal exponents of the first and the last scaling power, and the step between them.
const FIRST_POWER: i32 = -348;
const LAST_POWER: i32 = 340;
const POWER_STEP: i32 = 8;
const POWERS_LEN: usize = ((LAST_POWER - FIRST_POWER) / POWER_STEP) as usize + 1;

/// A scaled number has its binary point between these bits: its integer part fits into 32 bits, and
/// its fraction leaves room for a multiplication by ten.
const MIN_SCALED_EXPONENT: i32 = -60;
const MAX_SCALED_EXPONENT: i32 = -32;

/// `significand * 2^exponent`.
#[derive(Debug, Clone, Copy)]
struct Float {
    significand: u64,
    exponent: i32,
}

impl Float {
    fn normalize(self) -> Float {
        let shift = self.significand.leading_zeros();
        Float { significand: self.significand << shift, exponent: self.exponent - shift as i32 }
    }

    /// The upper half of the product, rounded.
    fn scale(self, by: Float) -> Float {
        let product = u128::from(self.significand) * u128::from(by.significand);
        Float {
            significand: ((product + (1 << 63)) >> 64) as u64,
            exponent: self.exponent + by.exponent + 64,
        }
    }
}

static POWERS: LazyLock<[Float; POWERS_LEN]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let (significand, exponent) = power_of_ten(i64::from(FIRST_POWER + i as i32 * POWER_STEP));
        Float { significand, exponent: exponent as i32 }
    })
});

/// The power of ten that brings a number with this binary exponent into range, and its exponent.
///
/// Often two would do; the estimate decides which one, and with it the digits of hard cases.
fn scaling_power(exponent: i32) -> (Float, i32) {
    let estimate = (-f64::from(exponent + POWERS_LEN as i32) * std::f64::consts::LOG10_2) as i32;
    let mut index = ((estimate - FIRST_POWER) / POWER_STEP) as usize;
    loop {
        let power = POWERS[index];
        match exponent + power.exponent + 64 {
            ..MIN_SCALED_EXPONENT => index += 1,
            scaled if scaled > MAX_SCALED_EXPONENT => index -= 1,
            _ => return (power, FIRST_POWER + index as i32 * POWER_STEP),
        }
    }
}

/// `(digits, exponent)` with `digits * 10^exponent` reading back as `value`, which is finite and
/// greater than zero.
pub(super) fn digits(value: f64) -> (u64, i32) {
    let (low, value, high) = neighbourhood(value);
    let (power, power_exponent) = scaling_power(high.exponent);
    let value = value.scale(power);
    // The scaled bounds are off by up to one: only what lies inside for sure may be taken.
    let high = Float { significand: high.scale(power).significand - 1, ..value };
    let low = low.scale(power).significand + 1;
    let (digits, exponent) = generate(high, high.significand - low, high.significand - value.significand);
    (digits, exponent - power_exponent)
}

/// A double with the middles between it and its neighbours, all with the same exponent.
fn neighbourhood(value: f64) -> (Float, Float, Float) {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    const HIDDEN: u64 = 1 << FRACTION_BITS;
    const BIAS: i32 = 1023 + FRACTION_BITS as i32;
    let bits = value.to_bits();
    let (fraction, exponent) = (bits & (HIDDEN - 1), (bits >> FRACTION_BITS) as i32);
    let value = match exponent {
        0 => Float { significand: fraction, exponent: 1 - BIAS },
        _ => Float { significand: fraction | HIDDEN, exponent: exponent - BIAS },
    };
    let high = Float { significand: 2 * value.significand + 1, exponent: value.exponent - 1 }.normalize();
    // The neighbour below a power of two is half as far away.
    let step = if value.significand == HIDDEN { 2 } else { 1 };
    let low = ((value.significand << step) - 1) << (value.exponent - step - high.exponent);
    (Float { significand: low, ..high }, value.normalize(), high)
}

/// The digits of the shortest prefix of `high` that lies at most `width` below it, the last one moved
/// towards the number that lies `distance` below, and the power of ten of the last digit.
fn generate(high: Float, mut width: u64, distance: u64) -> (u64, i32) {
    let point = -high.exponent;
    let one = 1u64 << point;
    let (mut integer, mut fraction) = (high.significand >> point, high.significand & (one - 1));
    let mut digits = 0;
    for power in (0..10).rev() {
        let unit = 10u64.pow(power);
        digits = digits * 10 + integer / unit;
        integer %= unit;
        let rest = (integer << point) + fraction;
        if rest <= width {
            return (digits - overshoot(width, rest, unit << point, distance), power as i32);
        }
    }
    let (mut exponent, mut scale) = (0, 1);
    loop {
        fraction *= 10;
        width *= 10;
        scale *= 10;
        exponent -= 1;
        digits = digits * 10 + (fraction >> point);
        fraction &= one - 1;
        if fraction < width {
            return (digits - overshoot(width, fraction, one, distance.wrapping_mul(scale)), exponent);
        }
    }
}

/// How many units of the last digit to take back: while that comes closer to the number and stays
/// within `width` of the upper bound, of which `rest` is used up already.
fn overshoot(width: u64, mut rest: u64, unit: u64, distance: u64) -> u64 {
    let mut units = 0;
    while rest < distance
        && width - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        rest += unit;
        units += 1;
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_back(value: f64) -> f64 {
        let (digits, exponent) = digits(value);
        format!("{digits}e{exponent}").parse().unwrap()
    }

    #[test]
    fn digits_of_hard_cases_are_those_of_redis() {
        // Pairs that a shortest, closest algorithm prints differently.
        for (value, expected) in [
            (3.172230058817275e16, (31722300588172752, 0)),
            (2.3915139647951688e14, (23915139647951687, -2)),
            (-1.7976474436201782e6f64, (17976474436201781, -10)),
            (4.081574077309644e-1, (40815740773096443, -17)),
            (9.5, (95, -1)),
        ] {
            assert_eq!(digits(value.abs()), expected);
        }
    }

    #[test]
    fn extremes_read_back() {
        for value in [f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), f64::from_bits((1 << 52) - 1), 1.0] {
            assert_eq!(read_back(value), value);
        }
    }

    proptest! {
        #[test]
        fn every_double_reads_back(bits in 1u64..f64::INFINITY.to_bits()) {
            let value = f64::from_bits(bits);
            prop_assert_eq!(read_back(value), value);
        }
    }
}
