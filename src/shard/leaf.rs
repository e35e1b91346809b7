//! The array of a leaf of [`super::table`]: how big it is, and how an entry gets in.

use super::item::Item;
use super::size_class;

/// Places up to which a leaf is a sorted list.
const TINY: usize = 8;

/// One entry of a leaf.
pub(super) type Place = Option<Item>;

/// Places of an array that are no homes.
pub(super) fn slack(capacity: usize) -> usize {
    if capacity <= TINY { capacity - 1 } else { (capacity / 16).max(2) }
}

/// Entries that an array may hold.
#[inline]
pub(super) fn max_load(capacity: usize) -> usize {
    if capacity <= TINY { capacity } else { capacity - capacity / 8 }
}

/// Whether a leaf has much more room than it needs.
#[inline]
pub(super) fn is_sparse(len: usize, capacity: usize) -> bool {
    len * 3 < capacity
}

/// The capacity that suits tables of this average length: it loads them to at most 0.84, which leaves room for
/// those that are somewhat longer.
#[inline]
pub(super) fn common_capacity(average: usize) -> usize {
    size_class::words(average + average * 3 / 16)
}

/// A capacity that leaves some room beyond so many entries.
pub(super) fn roomy(len: usize) -> usize {
    size_class::words(if len < TINY { len } else { len + len / 4 })
}

/// Inserts at a place by shifting what stands there up to the next gap; gives the item back if there is none.
#[inline]
pub(super) fn shift_in(places: &mut [Place], at: usize, item: Item) -> Result<(), Item> {
    let Some(gap) = places.get(at..).and_then(|rest| rest.iter().position(Option::is_none)) else {
        return Err(item);
    };
    let shifted = &mut places[at..=at + gap];
    shifted.rotate_right(1);
    let place = shifted[0].replace(item);
    debug_assert!(place.is_none());
    Ok(())
}
