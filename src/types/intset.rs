//! A sorted array of integers: how a small set of nothing but integers is kept.
//!
//! Representation: the stock intset format, so that `DUMP` and RDB files take the bytes as they are. Little-endian:
//! a 4-byte width (2, 4 or 8), a 4-byte number of members, then the members in ascending order, each of that width.
//! The width is that of the widest member that has ever been in; it does not shrink.
//!
//! Invariants: the bytes are exactly header and members; members are strictly ascending; each fits the width.

const HEADER: usize = 8;

/// Bytes of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    /// The narrowest that holds `value`.
    fn of(value: i64) -> Width {
        if i16::try_from(value).is_ok() {
            Width::Two
        } else if i32::try_from(value).is_ok() {
            Width::Four
        } else {
            Width::Eight
        }
    }

    #[inline]
    fn bytes(self) -> usize {
        self as usize
    }
}

/// A sorted array of integers. See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct Intset(Box<[u8]>);

impl Default for Intset {
    fn default() -> Intset {
        Intset::new()
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<i64> for Intset {
    /// The distinct numbers among those given, in the narrowest width that holds them.
    fn from_iter<I: IntoIterator<Item = i64>>(members: I) -> Intset {
        let mut members: Vec<i64> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        let ends = [members.first(), members.last()];
        let width = ends.into_iter().flatten().map(|&end| Width::of(end)).max().unwrap_or(Width::Two);
        Intset::build(width, members.len(), members.into_iter())
    }
}

impl Intset {
    /// Without members.
    pub fn new() -> Intset {
        Intset::build(Width::Two, 0, std::iter::empty())
    }

    /// Takes bytes in the stock format; `None` if they are not an intset with at least one member.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Intset> {
        let (width, rest) = bytes.split_first_chunk::<4>()?;
        let (len, members) = rest.split_first_chunk::<4>()?;
        let width = u32::from_le_bytes(*width) as usize;
        let len = u32::from_le_bytes(*len) as usize;
        if ![2, 4, 8].contains(&width) || len == 0 || len.checked_mul(width)? != members.len() {
            return None;
        }
        let intset = Intset(bytes.into_boxed_slice());
        intset.iter().is_sorted_by(|a, b| a < b).then_some(intset)
    }

    /// The stock format.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        u32::from_le_bytes(self.0[4..HEADER].try_into().expect("four bytes")) as usize
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member at `index`, counted from the smallest.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline]
    pub fn get(&self, index: usize) -> i64 {
        let width = self.width();
        let start = HEADER + index * width.bytes();
        let bytes = &self.0[start..start + width.bytes()];
        const WIDE: &str = "as many bytes as the width says";
        match width {
            Width::Two => i64::from(i16::from_le_bytes(bytes.try_into().expect(WIDE))),
            Width::Four => i64::from(i32::from_le_bytes(bytes.try_into().expect(WIDE))),
            Width::Eight => i64::from_le_bytes(bytes.try_into().expect(WIDE)),
        }
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + DoubleEndedIterator + Clone {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// Adds a member; `false` if it was there.
    pub fn insert(&mut self, value: i64) -> bool {
        if Width::of(value) > self.width() {
            self.widen_and_insert(value);
            return true;
        }
        let Err(index) = self.search(value) else { return false };
        let (len, width) = (self.len() + 1, self.width());
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        bytes.reserve_exact(width.bytes());
        let at = HEADER + index * width.bytes();
        bytes.splice(at..at, value.to_le_bytes().into_iter().take(width.bytes()));
        self.finish(bytes, len);
        true
    }

    /// Removes a member; `false` if it was not there.
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.search(value) else { return false };
        self.remove_at(index);
        true
    }

    /// Removes the member at `index`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn remove_at(&mut self, index: usize) {
        let (len, width) = (self.len() - 1, self.width());
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        let at = HEADER + index * width.bytes();
        bytes.drain(at..at + width.bytes());
        self.finish(bytes, len);
    }

    fn finish(&mut self, mut bytes: Vec<u8>, len: usize) {
        bytes[4..HEADER].copy_from_slice(&(len as u32).to_le_bytes());
        self.0 = bytes.into_boxed_slice();
    }

    /// A value too wide for all members lies outside of their range: below all if negative, else above.
    fn widen_and_insert(&mut self, value: i64) {
        let (below, above) = if value < 0 { (Some(value), None) } else { (None, Some(value)) };
        let members = below.into_iter().chain(self.iter()).chain(above);
        *self = Intset::build(Width::of(value), self.len() + 1, members);
    }

    /// `len` members, which are ascending and fit `width`.
    fn build(width: Width, len: usize, members: impl Iterator<Item = i64>) -> Intset {
        let mut bytes = Vec::with_capacity(HEADER + len * width.bytes());
        bytes.extend_from_slice(&(width as u32).to_le_bytes());
        bytes.extend_from_slice(&(len as u32).to_le_bytes());
        members.for_each(|member| bytes.extend_from_slice(&member.to_le_bytes()[..width.bytes()]));
        debug_assert_eq!(bytes.len(), HEADER + len * width.bytes());
        Intset(bytes.into_boxed_slice())
    }

    #[inline]
    fn width(&self) -> Width {
        match self.0[0] {
            2 => Width::Two,
            4 => Width::Four,
            _ => Width::Eight,
        }
    }

    /// Where `value` is, or where it would have to be inserted.
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Numbers often come in ascending order.
        if high > 0 && value > self.get(high - 1) {
            return Err(high);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(&value) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_the_stock_format() {
        let mut set = Intset::new();
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 0, 0, 0, 0]);
        assert!(set.insert(5) && set.insert(-2) && !set.insert(5));
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 2, 0, 0, 0, 0xfe, 0xff, 5, 0]);
        assert!(set.insert(-40_000));
        assert_eq!(set.as_bytes()[..12], [4, 0, 0, 0, 3, 0, 0, 0, 0xc0, 0x63, 0xff, 0xff]);
        assert!(set.remove(-40_000));
        assert_eq!((set.as_bytes()[0], set.len()), (4, 2), "the width does not shrink");
        assert_eq!([5, -2].into_iter().collect::<Intset>().as_bytes()[0], 2);
    }

    #[test]
    fn widths_change_at_the_ends_of_the_ranges() {
        for (value, width) in [
            (i64::from(i16::MAX), 2),
            (i64::from(i16::MIN), 2),
            (i64::from(i16::MAX) + 1, 4),
            (i64::from(i16::MIN) - 1, 4),
            (i64::from(i32::MAX), 4),
            (i64::from(i32::MIN), 4),
            (i64::from(i32::MAX) + 1, 8),
            (i64::from(i32::MIN) - 1, 8),
            (i64::MAX, 8),
            (i64::MIN, 8),
        ] {
            let mut set = Intset::from_iter([1]);
            set.insert(value);
            assert_eq!(set.as_bytes()[0], width, "{value}");
            assert!(set.contains(1) && set.contains(value));
        }
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let good = Intset::from_iter([1, 2, 70_000]).as_bytes().to_vec();
        assert!(Intset::from_bytes(good.clone()).is_some());
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Intset::from_bytes(bytes)
        };
        assert_eq!(with(0, 3), None, "width");
        assert_eq!(with(0, 2), None, "width that does not fit the length");
        assert_eq!(with(4, 2), None, "too few members");
        assert_eq!(with(7, 0xff), None, "too many members");
        assert_eq!(with(8, 2), None, "a member twice");
        assert_eq!(with(8, 3), None, "wrong order");
        assert_eq!(Intset::from_bytes(good[..7].to_vec()), None);
        assert_eq!(Intset::from_bytes(Intset::new().as_bytes().to_vec()), None, "empty");
    }

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![-20i64..20, -40_000i64..40_000, any::<i32>().prop_map(i64::from), any::<i64>()]
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(steps in prop::collection::vec((0u8..3, number()), 1..80)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (step, value) in steps {
                match step {
                    0 => prop_assert_eq!(set.remove(value), model.remove(&value)),
                    _ => prop_assert_eq!(set.insert(value), model.insert(value)),
                }
                prop_assert_eq!(set.contains(value), model.contains(&value));
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!(set.len(), model.len());
            }
            let read_back = Intset::from_bytes(set.as_bytes().to_vec());
            prop_assert_eq!(read_back, (!model.is_empty()).then_some(set));
        }

        #[test]
        fn any_bytes_are_read_without_a_crash(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(set) = Intset::from_bytes(bytes.clone()) {
                prop_assert_eq!(set.as_bytes(), bytes);
            }
        }
    }
}
