//! CRC-16/XMODEM (polynomial 0x1021, start 0, not reflected) and the hash slot of a key that Redis Cluster
//! derives from it (redis.io/docs/reference/cluster-spec, "Key distribution model").
//!
//! The checksum is computed eight bytes at a time: `TABLES[n][b]` is what byte `b` contributes when `n`
//! bytes follow it in the block.

/// Number of hash slots of the keyspace.
pub const SLOTS: usize = 16384;

const TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut distance = 1;
    while distance < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[distance - 1][byte];
            tables[distance][byte] = (before << 8) ^ tables[0][(before >> 8) as usize];
            byte += 1;
        }
        distance += 1;
    }
    tables
}

/// The CRC-16/XMODEM checksum.
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    let (blocks, rest) = bytes.as_chunks::<8>();
    for block in blocks {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES[7][usize::from(block[0] ^ high)]
            ^ TABLES[6][usize::from(block[1] ^ low)]
            ^ TABLES[5][usize::from(block[2])]
            ^ TABLES[4][usize::from(block[3])]
            ^ TABLES[3][usize::from(block[4])]
            ^ TABLES[2][usize::from(block[5])]
            ^ TABLES[1][usize::from(block[6])]
            ^ TABLES[0][usize::from(block[7])];
    }
    for &byte in rest {
        crc = (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// The hash slot of a key, `0..SLOTS`. If the key has a first `{` with a `}` somewhere after it and at least
/// one byte between them, only those bytes count, so that keys can be kept together on purpose.
#[inline]
pub fn key_slot(key: &[u8]) -> u16 {
    let hashed = if has_brace(key) { hash_tag(key) } else { key };
    crc16(hashed) & (SLOTS as u16 - 1)
}

/// Whether there may be a `{` in it: eight bytes at a time, because nearly all keys have none.
#[inline]
fn has_brace(key: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let (blocks, rest) = key.as_chunks::<8>();
    let mut found = 0;
    for block in blocks {
        let zero_where_brace = u64::from_ne_bytes(*block) ^ (ONES * b'{' as u64);
        found |= zero_where_brace.wrapping_sub(ONES) & !zero_where_brace & HIGHS;
    }
    found != 0 || rest.contains(&b'{')
}

#[cold]
fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else { return key };
    let inside = &key[open + 1..];
    match memchr::memchr(b'}', inside) {
        None | Some(0) => key,
        Some(close) => &inside[..close],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn crc16_bit_by_bit(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
                if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 }
            })
        })
    }

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn slots_as_redis_cluster_computes_them() {
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(key_slot(b"{user1000}.following"), key_slot(b"user1000"));
        assert_eq!(key_slot(b"foo{bar}{zap}"), key_slot(b"bar"));
        assert_eq!(key_slot(b"foo{{bar}}zap"), key_slot(b"{bar"));
        assert_eq!(key_slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") & 16383);
        assert_eq!(
            key_slot(b"a long key with an open {brace"),
            crc16(b"a long key with an open {brace") & 16383
        );
    }

    proptest! {
        #[test]
        fn blocks_and_bits_agree(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(crc16(&bytes), crc16_bit_by_bit(&bytes));
        }

        #[test]
        fn no_brace_is_missed(key in "[a{}|z]{0,40}") {
            prop_assert_eq!(has_brace(key.as_bytes()), key.contains('{'));
        }
    }
}
