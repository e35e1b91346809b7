//! A small seeded generator of pseudo-random numbers (SplitMix64), for sampling keys and the like. It is
//! not for secrets. One seed gives one sequence, which is what simulation needs.

/// The generator; its state is one word.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Starts the sequence that belongs to `seed`.
    pub const fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; the bias is below `bound / 2^64`.
    ///
    /// # Panics
    /// If `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "an empty range holds no number");
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// A choice of `wanted` among `total` things that pass one after the other; every choice is as likely as any other
/// (Knuth, The Art of Computer Programming, 3.4.2, algorithm S).
#[derive(Debug, Clone)]
pub struct Selection {
    wanted: usize,
    left: usize,
}

impl Selection {
    /// All are chosen if there are no more than `wanted`.
    pub const fn new(wanted: usize, total: usize) -> Selection {
        Selection { wanted, left: total }
    }

    /// Whether the next thing is among the chosen. Nothing is once all have passed.
    pub fn takes(&mut self, rng: &mut Rng) -> bool {
        let taken = self.left > 0 && rng.below(self.left) < self.wanted;
        self.left = self.left.saturating_sub(1);
        self.wanted -= usize::from(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_has_the_wanted_size_and_prefers_nothing() {
        let mut rng = Rng::new(1);
        let mut seen = [0; 6];
        for _ in 0..3000 {
            let mut selection = Selection::new(2, 6);
            let taken: Vec<usize> = (0..6).filter(|_| selection.takes(&mut rng)).collect();
            assert_eq!(taken.len(), 2);
            taken.into_iter().for_each(|at| seen[at] += 1);
            assert!(!selection.takes(&mut rng));
        }
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
        let mut all = Selection::new(9, 3);
        assert!((0..3).all(|_| all.takes(&mut rng)) && !all.takes(&mut rng));
    }

    #[test]
    fn a_seed_replays_and_the_range_is_covered() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        let mut seen = [0; 10];
        for _ in 0..1000 {
            let n = a.below(10);
            assert_eq!(n, b.below(10));
            seen[n] += 1;
        }
        assert!(seen.iter().all(|&n| n > 50), "{seen:?}");
    }
}
