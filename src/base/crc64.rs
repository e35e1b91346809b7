//! CRC-64 with the polynomial of Jones (`0xad93d23594c935a9`, reflected, initial and final value
//! zero): the checksum at the end of RDB files and `DUMP` payloads.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

/// The checksum of what `crc` is the checksum of, followed by `bytes`. It starts at zero.
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Redis, crc);
    digest.update(bytes);
    digest.finalize()
}

/// The checksum of two byte sequences one after the other, of which the second has `second_len` bytes.
pub fn crc64_combine(first: u64, second: u64, second_len: u64) -> u64 {
    checksum_combine(CrcAlgorithm::Crc64Redis, first, second, second_len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit, from the definition.
    fn model(bytes: &[u8]) -> u64 {
        const REFLECTED: u64 = 0xad93d23594c935a9u64.reverse_bits();
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ u64::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { REFLECTED } else { 0 })
        })
    }

    #[test]
    fn the_check_value_is_that_of_redis() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_definition(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            at in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(crc64(crc64(0, head), tail), model(&bytes));
            prop_assert_eq!(crc64_combine(crc64(0, head), crc64(0, tail), tail.len() as u64), model(&bytes));
        }
    }
}
