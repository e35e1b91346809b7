//! The value of a string: bytes, or the number that stands for its decimal digits.

/// A string value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Str<'a> {
    /// A number, which stands for its decimal digits.
    Int(i64),
    /// Any bytes.
    Bytes(&'a [u8]),
}

impl<'a> Str<'a> {
    /// The number that these bytes are the canonical decimal form of, or the bytes.
    #[inline]
    pub fn classify(bytes: &'a [u8]) -> Str<'a> {
        match canonical_i64(bytes) {
            Some(number) => Str::Int(number),
            None => Str::Bytes(bytes),
        }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.with_bytes(<[u8]>::len)
    }

    /// Whether it is the empty string.
    pub fn is_empty(self) -> bool {
        matches!(self, Str::Bytes([]))
    }

    /// Calls `f` with its bytes.
    #[inline]
    pub fn with_bytes<R>(self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self.to_bytes(&mut itoa::Buffer::new()))
    }

    /// Its bytes; the digits of a number are written into `buffer`.
    #[inline]
    pub fn to_bytes<'b>(self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Str::Int(number) => buffer.format(number).as_bytes(),
            Str::Bytes(bytes) => bytes,
        }
    }
}

/// Reads a decimal i64 without leading zeros, plus sign or `-0`: only then do the digits follow from the number.
#[inline]
fn canonical_i64(bytes: &[u8]) -> Option<i64> {
    let (&first, digits) = bytes.split_first()?;
    match first {
        b'0' => digits.is_empty().then_some(0),
        b'1'..=b'9' if digits.len() < 19 => decimal(bytes)?.try_into().ok(),
        b'-' if matches!(digits, [b'1'..=b'9', ..]) && digits.len() < 20 => {
            0i64.checked_sub_unsigned(decimal(digits)?)
        }
        _ => None,
    }
}

/// At most 19 digits, so that it cannot overflow.
#[inline]
fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_those_that_print_the_same(text in "-?[0-9]{0,21}") {
            let canonical = text.parse::<i64>().ok().filter(|n| n.to_string() == text);
            prop_assert_eq!(canonical_i64(text.as_bytes()), canonical);
        }
    }
}
