//! The longest common subsequence of two strings (`LCS`).
//!
//! Several subsequences may be longest; the one Redis answers comes from its walk through the table
//! of lengths `L(i, j)` of all pairs of prefixes, from the end: equal bytes belong to the subsequence,
//! otherwise the walk drops a byte of the string whose loss costs less, of `b` if both cost the same.
//!
//! The walk needs less than the table: where bytes differ, dropping from `a` is better exactly if
//! `L(i, j) > L(i, j - 1)`. That is one bit per cell, and a row of these bits is computed from the
//! row above 64 cells at a time (H. Hyyrö, "Bit-Parallel LCS-length Computation Revisited", 2004).
//! A row is kept complemented: a bit is clear where the length grows.

use std::ops::RangeInclusive;

use crate::protocol::Error;

/// Strings of this length and more are refused.
const MAX_LEN: u64 = u32::MAX as u64 - 1;
/// Bytes of a cell of the table of lengths, which decides what is refused.
const CELL: u128 = 4;

/// A run of bytes that is common to both strings and part of the subsequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its place in the first string.
    pub a: RangeInclusive<usize>,
    /// Its place in the second string.
    pub b: RangeInclusive<usize>,
}

impl Match {
    /// Bytes in the run.
    #[allow(clippy::len_without_is_empty, reason = "a run holds at least one byte")]
    pub fn len(&self) -> usize {
        self.a.end() - self.a.start() + 1
    }
}

/// Refuses strings for which Redis's table of lengths would need more than `max_bytes`
/// (`proto-max-bulk-len`).
pub fn check_size(a: &[u8], b: &[u8], max_bytes: u64) -> Result<(), Error> {
    if a.len() as u64 >= MAX_LEN || b.len() as u64 >= MAX_LEN {
        return Err(Error::text("ERR String too long for LCS"));
    }
    if (a.len() as u128 + 1) * (b.len() as u128 + 1) * CELL > u128::from(max_bytes) {
        return Err(Error::text(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    Ok(())
}

/// The length of the longest common subsequence.
pub fn length(a: &[u8], b: &[u8]) -> usize {
    let masks = Masks::new(a, b);
    let mut row = masks.first_row();
    for byte in a {
        masks.advance(&mut row, *byte);
    }
    row.iter().map(|word| word.count_zeros() as usize).sum()
}

/// The runs of the longest common subsequence, the last one first, as `LCS ... IDX` lists them.
pub fn matches(a: &[u8], b: &[u8]) -> Vec<Match> {
    let masks = Masks::new(a, b);
    let mut row = masks.first_row();
    let mut rows = Vec::with_capacity(a.len() * row.len());
    for byte in a {
        masks.advance(&mut row, *byte);
        rows.extend_from_slice(&row);
    }
    let grows = |i: usize, j: usize| rows[(i - 1) * row.len() + (j - 1) / 64] >> ((j - 1) % 64) & 1 == 0;

    let mut found = Vec::new();
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if a[i - 1] != b[j - 1] {
            if grows(i, j) {
                i -= 1
            } else {
                j -= 1
            }
            continue;
        }
        let common = a[..i].iter().rev().zip(b[..j].iter().rev()).take_while(|(x, y)| x == y).count();
        found.push(Match { a: i - common..=i - 1, b: j - common..=j - 1 });
        (i, j) = (i - common, j - common);
    }
    found
}

/// The bytes of the longest common subsequence of which `matches` are the runs in `a`.
pub fn subsequence(a: &[u8], matches: &[Match]) -> Vec<u8> {
    matches.iter().rev().flat_map(|run| &a[run.a.clone()]).copied().collect()
}

/// For every byte of `a`, a bit per place of `b` that says whether it stands there.
struct Masks {
    words: usize,
    /// Where a byte's words start in `masks`.
    starts: [usize; 256],
    masks: Vec<u64>,
}

impl Masks {
    fn new(a: &[u8], b: &[u8]) -> Masks {
        const UNUSED: usize = usize::MAX;
        let words = b.len().div_ceil(64);
        let mut starts = [UNUSED; 256];
        let mut distinct = 0;
        for &byte in a {
            let start = &mut starts[usize::from(byte)];
            if *start == UNUSED {
                *start = distinct * words;
                distinct += 1;
            }
        }
        let mut masks = vec![0; distinct * words];
        for (j, &byte) in b.iter().enumerate() {
            let start = starts[usize::from(byte)];
            if start != UNUSED {
                masks[start + j / 64] |= 1 << (j % 64);
            }
        }
        Masks { words, starts, masks }
    }

    /// The row of an empty prefix of `a`: nothing grows, also not in the places behind `b`.
    fn first_row(&self) -> Vec<u64> {
        vec![u64::MAX; self.words]
    }

    /// Turns the row of a prefix of `a` into that of the prefix with one more byte.
    fn advance(&self, row: &mut [u64], byte: u8) {
        let start = self.starts[usize::from(byte)];
        let mut carry = false;
        for (word, mask) in row.iter_mut().zip(&self.masks[start..start + self.words]) {
            let (sum, first) = word.overflowing_add(*word & mask);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *word = sum | (*word & !mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The walk through the whole table, one byte at a time.
    fn model(a: &[u8], b: &[u8]) -> (usize, Vec<(usize, usize)>) {
        let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] = if a[i - 1] == b[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let (mut i, mut j, mut pairs) = (a.len(), b.len(), Vec::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                pairs.push((i, j));
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        (table[a.len()][b.len()], pairs)
    }

    #[test]
    fn documented_example() {
        let (a, b) = (b"ohmytext", b"mynewtext");
        let runs = matches(a, b);
        assert_eq!(runs, [Match { a: 4..=7, b: 5..=8 }, Match { a: 2..=3, b: 0..=1 }]);
        assert_eq!(subsequence(a, &runs), b"mytext");
        assert_eq!(length(a, b), 6);
    }

    #[test]
    fn the_limit_is_that_of_the_full_table() {
        assert_eq!(check_size(b"abc", b"abc", 64), Ok(()));
        let error = check_size(b"abc", b"abc", 63).unwrap_err().to_string();
        assert_eq!(error, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    }

    proptest! {
        #[test]
        fn the_walk_is_that_of_the_full_table(a in "[abc]{0,200}", b in "[abcd]{0,200}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let (len, pairs) = model(a, b);
            prop_assert_eq!(length(a, b), len);
            let runs = matches(a, b);
            let walked: Vec<_> =
                runs.iter().flat_map(|run| run.a.clone().rev().zip(run.b.clone().rev())).collect();
            prop_assert_eq!(walked, pairs);
            prop_assert_eq!(subsequence(a, &runs).len(), len);
        }
    }
}
