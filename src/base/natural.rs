//! Natural numbers of any size, for the few exact conversions between decimal and binary that do
//! not fit into 128 bits.
//!
//! Limbs of 64 bits, least significant first, without leading zero limbs: zero has none.

use std::cmp::Ordering;

/// 10^19, the largest power of ten in a limb.
const LIMB_POWER: u64 = 10_000_000_000_000_000_000;
/// Its exponent.
const LIMB_DIGITS: usize = 19;

/// An unsigned integer of any size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Natural {
    limbs: Vec<u64>,
}

impl Natural {
    /// The number one limb holds.
    pub(super) fn new(value: u64) -> Natural {
        let mut n = Natural { limbs: vec![value] };
        n.trim();
        n
    }

    /// The number that these ASCII digits write.
    pub(super) fn from_digits(digits: impl Iterator<Item = u8>) -> Natural {
        let mut n = Natural { limbs: Vec::new() };
        let (mut chunk, mut scale) = (0, 1);
        for digit in digits {
            chunk = chunk * 10 + u64::from(digit - b'0');
            scale *= 10;
            if scale == LIMB_POWER {
                n.mul_add(scale, chunk);
                (chunk, scale) = (0, 1);
            }
        }
        n.mul_add(scale, chunk);
        n
    }

    /// Multiplies by 10^`power`.
    pub(super) fn scale_by_ten(&mut self, power: usize) {
        for _ in 0..power / LIMB_DIGITS {
            self.mul_add(LIMB_POWER, 0);
        }
        self.mul_add(10u64.pow((power % LIMB_DIGITS) as u32), 0);
    }

    /// Bits up to the highest that is set.
    pub(super) fn bit_len(&self) -> usize {
        self.limbs.last().map_or(0, |top| self.limbs.len() * 64 - top.leading_zeros() as usize)
    }

    /// Multiplies by 2^`bits`.
    pub(super) fn shift_left(&mut self, bits: usize) {
        let inner = bits % 64;
        if inner > 0 {
            let mut carry = 0;
            for limb in &mut self.limbs {
                (*limb, carry) = ((*limb << inner) | carry, *limb >> (64 - inner));
            }
            self.limbs.push(carry);
            self.trim();
        }
        if !self.limbs.is_empty() {
            self.limbs.splice(0..0, std::iter::repeat_n(0, bits / 64));
        }
    }

    /// The top bits as `(significand, exponent, sticky)`: the number is `significand * 2^exponent`
    /// plus something less than `2^exponent`, which is not zero if `sticky`.
    pub(super) fn leading(&self) -> (u128, i64, bool) {
        let split = self.limbs.len().saturating_sub(2);
        let top = self.limbs[split..].iter().rev().fold(0u128, |top, &limb| (top << 64) | u128::from(limb));
        // A highest limb of few bits leaves at least 65: more than any significand here keeps.
        (top, split as i64 * 64, self.limbs[..split].iter().any(|&limb| limb != 0))
    }

    /// `self / divisor` as `(significand, exponent, sticky)` in the sense of [`Natural::leading`],
    /// the significand of 100 or 101 bits. Neither number is zero.
    pub(super) fn ratio(mut self, mut divisor: Natural) -> (u128, i64, bool) {
        const STEPS: usize = 101;
        let (len, divisor_len) = (self.bit_len(), divisor.bit_len());
        self.shift_left(divisor_len.saturating_sub(len));
        divisor.shift_left(len.saturating_sub(divisor_len));
        let mut quotient = 0u128;
        for _ in 0..STEPS {
            quotient <<= 1;
            if self.compare(&divisor) != Ordering::Less {
                self.subtract(&divisor);
                quotient |= 1;
            }
            self.shift_left(1);
        }
        let exponent = len as i64 - divisor_len as i64 - (STEPS as i64 - 1);
        (quotient, exponent, !self.limbs.is_empty())
    }

    /// The decimal digits; `0` for zero.
    pub(super) fn into_decimal(mut self) -> String {
        let mut chunks = Vec::new();
        while !self.limbs.is_empty() {
            chunks.push(self.divide(LIMB_POWER));
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:019}"));
        }
        text
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    fn mul_add(&mut self, factor: u64, addend: u64) {
        let mut carry = u128::from(addend);
        for limb in &mut self.limbs {
            carry += u128::from(*limb) * u128::from(factor);
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry > 0 {
            self.limbs.push(carry as u64);
        }
    }

    fn divide(&mut self, divisor: u64) -> u64 {
        let mut rest = 0u128;
        for limb in self.limbs.iter_mut().rev() {
            rest = (rest << 64) | u128::from(*limb);
            *limb = (rest / u128::from(divisor)) as u64;
            rest %= u128::from(divisor);
        }
        self.trim();
        rest as u64
    }

    fn compare(&self, other: &Natural) -> Ordering {
        let by_len = self.limbs.len().cmp(&other.limbs.len());
        by_len.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    /// Subtracts a number that is not greater.
    fn subtract(&mut self, other: &Natural) {
        let mut borrow = false;
        for (i, limb) in self.limbs.iter_mut().enumerate() {
            let (less, first) = limb.overflowing_sub(other.limbs.get(i).copied().unwrap_or(0));
            let (less, second) = less.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (less, first || second);
        }
        self.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn natural(text: &str) -> Natural {
        Natural::from_digits(text.bytes())
    }

    #[test]
    fn zero_has_no_limbs() {
        assert_eq!(natural("000").bit_len(), 0);
        assert_eq!(natural("").into_decimal(), "0");
    }

    #[test]
    fn a_power_of_ten_prints_its_zeros() {
        let mut n = Natural::new(7);
        n.scale_by_ten(100);
        assert_eq!(n.into_decimal(), format!("7{}", "0".repeat(100)));
    }

    proptest! {
        #[test]
        fn decimal_round_trips(text in "[1-9][0-9]{0,120}") {
            prop_assert_eq!(natural(&text).into_decimal(), text);
        }

        #[test]
        fn small_numbers_agree_with_u128(a in 1u64.., b in 1u64.., shift in 0usize..64) {
            let mut n = natural(&a.to_string());
            n.shift_left(shift);
            let wide = u128::from(a) << shift;
            prop_assert_eq!(n.bit_len(), 128 - wide.leading_zeros() as usize);
            prop_assert_eq!(n.clone().into_decimal(), wide.to_string());
            let (quotient, exponent, _) = Natural::new(a).ratio(Natural::new(b));
            // The quotient has its top bits in common with the one that 64 more bits of `a` give.
            let expected = (u128::from(a) << 64) / u128::from(b);
            let shift = -64 - exponent;
            let got = if shift >= 0 { quotient >> shift } else { quotient << -shift };
            prop_assert_eq!(got, expected);
        }
    }
}
