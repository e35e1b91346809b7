//! The block sizes that mimalloc hands out anyway if its minimal alignment is 8 bytes: every multiple of 8 up to
//! 64, then four sizes per doubling. Asking for exactly these wastes nothing and makes blocks of nearly the
//! same content interchangeable.

/// The smallest class of at least `words` 8-byte words.
#[inline]
pub(super) const fn words(words: usize) -> usize {
    if words <= 8 {
        return words;
    }
    let step = 1 << ((words - 1).ilog2() - 2);
    words.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn four_classes_per_doubling() {
        let mut classes: Vec<usize> = (1..=64).map(words).collect();
        classes.dedup();
        assert_eq!(classes, [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64]);
        assert!((1..100_000).all(|n| words(n) >= n && words(words(n)) == words(n)));
    }
}
