//! The hash table of one slot, ordered by hash.
//!
//! A *leaf* is an array of 8-byte entries: each is empty or an [`Item`] whose tag (the upper 16 bits of the
//! pointer) holds the 16 bits of the key's hash that follow the table's prefix. The first `homes` places are the
//! homes of tags, `tag * homes / 65536`; `slack` more places follow. A leaf keeps these invariants:
//!
//! - Entries stand in the order of their tags, with gaps. Equal tags are in any order.
//! - No entry stands before its home, and there is no gap between its home and itself.
//!
//! So a lookup walks from the home until a greater tag or a gap, a deletion shifts back what stands away from
//! home, and because tags alone give every position in an array of another size, growing is one sequential
//! pass that reads no key. Up to 8 places are one home, which makes tiny leaves sorted lists that fill up.
//!
//! A leaf that would pass `SPLIT_AT` entries becomes a *node* of 16 tables for the next 4 hash bits, whose
//! prefixes are 4 bits longer. Thus no step ever works on more than some thousand entries.
//!
//! Everything is visited in the order of the hash at every size, which makes 48 bits of hash a cursor that
//! stays valid over growing, shrinking, splitting and merging. All zero bytes are an empty table.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};

use super::Budget;
use super::item::Item;
use super::key::{Hasher, Key, KeyDigest};
use super::leaf::{Place, common_capacity, is_sparse, max_load, roomy, shift_in, slack};
use super::size_class;
use crate::base::rng::Rng;

/// Entries of a leaf at which it is split.
const SPLIT_AT: usize = if cfg!(test) { 48 } else { 2048 };
/// Entries of a node below which it is merged into a leaf.
const MERGE_BELOW: usize = SPLIT_AT / 4;
/// Depth at which the tag ends with the last bit of the hash: such leaves are not split.
const MAX_DEPTH: u32 = 12;
const FANOUT: usize = 16;
const TAG_SHIFT: u32 = 48;
/// How far ahead of a walk items are asked for.
const PREFETCH_AHEAD: usize = 8;

/// A position in the order of hashes: the upper 48 bits of a hash, the lower 16 bits are zero.
pub(super) type HashPosition = u64;

/// One slot's keys. See the module.
#[repr(C)]
pub(super) struct Table {
    /// Leaf: `homes + slack` places, allocated with exactly that layout. Node: a boxed `Children`.
    /// Null if empty.
    data: *mut u8,
    /// Items in this table, with all children.
    len: u32,
    /// Places that are homes; 0 for an empty table and for a node.
    homes: u16,
    slack: u16,
}

type Children = [Table; FANOUT];

// SAFETY: a table owns its items, which are Send, and shares nothing.
unsafe impl Send for Table {}

/// Where a key is, or would be, in the leaf that its hash leads to.
pub(super) enum Position {
    Found(u32),
    Vacant(u32),
}

/// Asks the processor to load a cache line. Any address will do, it is never accessed.
#[inline]
pub(super) fn prefetch<T>(at: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: prefetching is a hint without effect on memory, valid for any address; SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

impl Table {
    pub(super) const EMPTY: Table = Table { data: ptr::null_mut(), len: 0, homes: 0, slack: 0 };

    /// An array of empty tables in memory that is not touched until it is used.
    pub(super) fn empty_array(len: usize) -> Box<[Table]> {
        assert!(len > 0);
        let layout = Layout::array::<Table>(len).expect("an array of slots is small");
        // SAFETY: the layout is not empty. All zero bytes are `Table::EMPTY`, so the array is initialized, and
        // it has the layout that the box will free.
        unsafe {
            let array = alloc_zeroed(layout).cast::<Table>();
            if array.is_null() {
                handle_alloc_error(layout);
            }
            Box::from_raw(ptr::slice_from_raw_parts_mut(array, len))
        }
    }

    /// Number of items.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Bytes allocated for the places, not for the items.
    pub(super) fn memory_usage_bytes(&self) -> usize {
        self.children().map_or(self.capacity() * size_of::<Place>(), |children| {
            size_of::<Children>() + children.iter().map(Table::memory_usage_bytes).sum::<usize>()
        })
    }

    #[inline]
    fn is_node(&self) -> bool {
        self.homes == 0 && !self.data.is_null()
    }

    #[inline]
    fn capacity(&self) -> usize {
        usize::from(self.homes) + usize::from(self.slack)
    }

    /// The places of a leaf, none of an empty table.
    #[inline]
    fn places(&self) -> &[Place] {
        if self.homes == 0 {
            return &[];
        }
        // SAFETY: with homes this is a leaf, whose data are that many initialized places.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.capacity()) }
    }

    #[inline]
    fn places_mut(&mut self) -> &mut [Place] {
        if self.homes == 0 {
            return &mut [];
        }
        // SAFETY: as in `places`, and the places are owned by this table, which is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.data.cast(), self.capacity()) }
    }

    fn children(&self) -> Option<&Children> {
        // SAFETY: the data of a node are a boxed `Children`.
        self.is_node().then(|| unsafe { &*self.data.cast::<Children>() })
    }

    fn children_mut(&mut self) -> Option<&mut Children> {
        // SAFETY: as in `children`, and the node is borrowed mutably.
        self.is_node().then(|| unsafe { &mut *self.data.cast::<Children>() })
    }

    /// The leaf (or empty table) that a hash leads to, with the part of the hash that counts there.
    #[inline]
    fn leaf(&self, hash: u64) -> (&Table, u64) {
        if self.is_node() { self.leaf_below(hash) } else { (self, hash) }
    }

    fn leaf_below(&self, mut hash: u64) -> (&Table, u64) {
        let mut table = self;
        while let Some(children) = table.children() {
            table = &children[nibble(hash)];
            hash <<= 4;
        }
        (table, hash)
    }

    #[inline]
    fn home(&self, tag: u16) -> usize {
        (usize::from(tag) * usize::from(self.homes)) >> 16
    }

    /// Looks for a key.
    #[inline]
    pub(super) fn position(&self, key: &Key<'_>) -> Position {
        let (leaf, hash) = self.leaf(key.hash);
        let tag = tag(hash);
        let places = leaf.places();
        let mut at = leaf.home(tag);
        while let Some(Some(item)) = places.get(at) {
            if item.tag() >= tag {
                if item.tag() > tag {
                    break;
                }
                if item.key_is(key.bytes) {
                    return Position::Found(at as u32);
                }
            }
            at += 1;
        }
        Position::Vacant(at as u32)
    }

    /// The item at a place where [`Table::position`] found it, as long as the table was not changed since.
    #[inline]
    pub(super) fn at(&self, hash: u64, place: u32) -> &Item {
        let (leaf, _) = self.leaf(hash);
        leaf.places()[place as usize].as_ref().expect("positions are used before the table changes")
    }

    /// Like [`Table::at`]. The tag belongs to the table: the item must not be swapped with another.
    #[inline]
    pub(super) fn at_mut(&mut self, hash: u64, place: u32) -> &mut Item {
        let leaf = if self.is_node() { self.leaf_below_mut(hash) } else { self };
        leaf.places_mut()[place as usize].as_mut().expect("positions are used before the table changes")
    }

    #[cold]
    fn leaf_below_mut(&mut self, mut hash: u64) -> &mut Table {
        let mut table = self;
        while table.is_node() {
            table = &mut table.children_mut().expect("just asked")[nibble(hash)];
            hash <<= 4;
        }
        table
    }

    /// Inserts an item whose key is not there, `vacant` being its position.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, vacant: u32, mut item: Item, hasher: &Hasher) {
        if self.has_room() {
            item.set_tag(tag(hash));
            match shift_in(self.places_mut(), vacant as usize, item) {
                Ok(()) => self.len += 1,
                Err(item) => self.insert_below(hash, item, 0, hasher),
            }
        } else {
            self.insert_below(hash, item, 0, hasher);
        }
    }

    /// Whether a leaf may take one more entry without growing.
    #[inline]
    fn has_room(&self) -> bool {
        let capacity = self.capacity();
        self.len() < max_load(capacity) && self.homes != 0
    }

    /// Inserts into a table whose hashes begin behind `4 * depth` bits, with all the changes that it takes.
    #[inline(never)]
    fn insert_below(&mut self, hash: u64, mut item: Item, depth: u32, hasher: &Hasher) {
        if !self.is_node() && self.len() >= SPLIT_AT && depth < MAX_DEPTH {
            self.split(depth, hasher);
        }
        if let Some(children) = self.children_mut() {
            children[nibble(hash)].insert_below(hash << 4, item, depth + 1, hasher);
            self.len += 1;
            return;
        }
        if !self.has_room() {
            self.resize(size_class::words(self.capacity() + 1));
        }
        let tag = tag(hash);
        item.set_tag(tag);
        loop {
            let from = self.home(tag);
            let places = self.places_mut();
            let vacant = from
                + places[from..].iter().take_while(|p| p.as_ref().is_some_and(|i| i.tag() <= tag)).count();
            match shift_in(places, vacant, item) {
                Ok(()) => break,
                Err(back) => item = back,
            }
            self.resize(size_class::words(self.capacity() + 1));
        }
        self.len += 1;
    }

    /// Makes a leaf as roomy as its neighbours are, whose average length this is, unless it has far fewer items.
    /// If tables of similar length leave a size class together, the allocator gets whole pages back.
    #[inline(never)]
    pub(super) fn keep_up(&mut self, average: usize) {
        let capacity = common_capacity(average);
        if self.homes != 0 && self.capacity() < capacity && !is_sparse(self.len(), capacity) {
            self.resize(capacity);
        }
    }

    /// Makes an empty table as roomy as its neighbours will be, whose average length this is. It is to be used at once.
    #[inline(never)]
    pub(super) fn make_room(&mut self, average: usize) {
        debug_assert_eq!(self.len, 0);
        self.resize(common_capacity(average.min(SPLIT_AT)));
    }

    /// Moves a leaf into an array of this many places, or of more if the entries crowd at its end.
    fn resize(&mut self, capacity: usize) {
        let new = Table::lay_out(self.places().iter().flatten(), capacity);
        self.forget_items();
        *self = new;
    }

    /// Gives up entries that were copied elsewhere.
    fn forget_items(&mut self) {
        let old = ManuallyDrop::new(mem::replace(self, Table::EMPTY));
        if old.homes != 0 {
            // SAFETY: a leaf's data were allocated with this layout; its items are not dropped, as they live on.
            unsafe { dealloc(old.data, leaf_layout(old.capacity())) };
        }
    }

    /// A leaf with *bitwise copies* of items that come in the order of their tags. The caller must forget the
    /// originals.
    fn lay_out<'a>(items: impl Iterator<Item = &'a Item> + Clone, mut capacity: usize) -> Table {
        loop {
            let mut leaf = Leaf::new(capacity);
            if items.clone().all(|item| leaf.push(item)) {
                return leaf.finish();
            }
            capacity = size_class::words(capacity + 1);
        }
    }

    /// Turns a leaf into a node. The new tags need the hashes and so the keys, which is why leaves are kept small.
    #[inline(never)]
    fn split(&mut self, depth: u32, hasher: &Hasher) {
        let mut children = Box::new([const { Table::EMPTY }; FANOUT]);
        let places = self.places_mut();
        for at in 0..places.len() {
            prefetch_place(places, at + PREFETCH_AHEAD);
            if let Some(item) = &mut places[at] {
                // The upper 4 bits of the tag are about to be dropped: they are the index of the child.
                let child = &mut children[usize::from(item.tag() >> 12)];
                child.len += 1;
                item.set_tag(tag(hasher.hash(item.key()) << (4 * (depth + 1))));
            }
        }
        let mut items: Vec<&Item> = places.iter().flatten().collect();
        let mut rest = items.as_mut_slice();
        for child in children.iter_mut() {
            let (own, others) = rest.split_at_mut(child.len());
            rest = others;
            child.len = 0;
            if !own.is_empty() {
                own.sort_unstable_by_key(|item| item.tag());
                *child = Table::lay_out(own.iter().copied(), roomy(own.len()));
            }
        }
        let len = self.len;
        self.forget_items();
        *self = Table { data: Box::into_raw(children).cast(), len, homes: 0, slack: 0 };
    }

    /// Turns a node, all of whose children are leaves, into a leaf.
    #[inline(never)]
    fn merge(&mut self) {
        let len = self.len();
        let Some(children) = self.children_mut() else { return };
        for (prefix, child) in children.iter_mut().enumerate() {
            debug_assert!(!child.is_node(), "a small child was merged before");
            for item in child.places_mut().iter_mut().flatten() {
                item.set_tag((prefix as u16) << 12 | item.tag() >> 4);
            }
        }
        let items = children.iter().flat_map(|child| child.places().iter().flatten());
        let leaf = if len == 0 { Table::EMPTY } else { Table::lay_out(items, roomy(len)) };
        children.iter_mut().for_each(Table::forget_items);
        // The node goes with its emptied children.
        *self = leaf;
    }

    /// Takes out the item at a place where [`Table::position`] found it.
    #[inline]
    pub(super) fn remove(&mut self, hash: u64, place: u32) -> Item {
        if self.is_node() {
            return self.remove_below(hash, place);
        }
        let item = self.take(place as usize);
        self.shrink();
        item
    }

    #[cold]
    fn remove_below(&mut self, hash: u64, place: u32) -> Item {
        let Some(children) = self.children_mut() else { return self.remove(hash, place) };
        let item = children[nibble(hash)].remove_below(hash << 4, place);
        self.len -= 1;
        self.shrink();
        item
    }

    /// Takes an item out of a leaf and closes the gap as far as the invariants ask for.
    fn take(&mut self, place: usize) -> Item {
        let homes = usize::from(self.homes);
        let places = self.places_mut();
        let item = places[place].take().expect("positions are used before the table changes");
        let away_from_home = |(at, next): (usize, &Place)| {
            next.as_ref().is_some_and(|item| (usize::from(item.tag()) * homes) >> 16 <= place + at)
        };
        let shifted = places[place + 1..].iter().enumerate().take_while(|&next| away_from_home(next)).count();
        places[place..=place + shifted].rotate_left(1);
        self.len -= 1;
        item
    }

    /// Gives back room that is not needed any more.
    #[inline]
    fn shrink(&mut self) {
        if self.is_node() {
            if self.len() < MERGE_BELOW {
                self.merge();
            }
        } else if is_sparse(self.len(), self.capacity()) {
            if self.len == 0 {
                self.forget_items();
            } else if roomy(self.len()) < self.capacity() {
                self.resize(roomy(self.len()));
            }
        }
    }

    /// All items, in the order of their hashes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        Leaves { stack: vec![self] }.flat_map(|leaf| {
            let places = leaf.places();
            places.iter().enumerate().filter_map(|(at, place)| {
                prefetch_place(places, at + PREFETCH_AHEAD);
                place.as_ref()
            })
        })
    }

    /// Visits items in the order of hashes from a position on until the budget is spent, and at least one
    /// group of items of equal position. Returns where to go on, or `None` at the end.
    pub(super) fn scan(
        &self,
        from: HashPosition,
        budget: &mut Budget,
        hasher: &Hasher,
        visit: &mut impl FnMut(&Item),
    ) -> Option<HashPosition> {
        self.scan_below(from, 0, budget, hasher, visit)
    }

    fn scan_below(
        &self,
        from: u64,
        depth: u32,
        budget: &mut Budget,
        hasher: &Hasher,
        visit: &mut impl FnMut(&Item),
    ) -> Option<u64> {
        if let Some(children) = self.children() {
            return descend(from, budget, |index, from, budget| {
                children[index].scan_below(from, depth + 1, budget, hasher, visit)
            });
        }
        let (places, first) = (self.places(), tag(from));
        let mut last = None;
        for at in self.home(first)..places.len() {
            prefetch_place(places, at + PREFETCH_AHEAD);
            let Some(item) = &places[at] else { continue };
            if item.tag() < first || (item.tag() == first && before(item, from, depth, hasher)) {
                continue;
            }
            if budget.is_spent() && last.is_some_and(|last| group(last, depth) != group(item.tag(), depth)) {
                return Some(u64::from(item.tag()) << TAG_SHIFT);
            }
            budget.spend(1);
            last = Some(item.tag());
            visit(item);
        }
        None
    }

    /// Takes out what `doomed` says, in the order of hashes from a position on until the budget is spent (which
    /// may visit some items again that were kept before). Returns where to go on, or `None` at the end.
    pub(super) fn sweep(
        &mut self,
        from: HashPosition,
        budget: &mut Budget,
        doomed: &mut impl FnMut(&Item) -> bool,
        removed: &mut impl FnMut(Item),
    ) -> Option<HashPosition> {
        self.sweep_below(from, 0, budget, doomed, removed)
    }

    fn sweep_below(
        &mut self,
        from: u64,
        depth: u32,
        budget: &mut Budget,
        doomed: &mut impl FnMut(&Item) -> bool,
        removed: &mut impl FnMut(Item),
    ) -> Option<u64> {
        let next = if let Some(children) = self.children_mut() {
            let mut gone = 0;
            let next = descend(from, budget, |index, from, budget| {
                let before = children[index].len;
                let next = children[index].sweep_below(from, depth + 1, budget, doomed, removed);
                gone += before - children[index].len;
                next
            });
            self.len -= gone;
            next
        } else {
            self.sweep_leaf(from, depth, budget, doomed, removed)
        };
        self.shrink();
        next
    }

    fn sweep_leaf(
        &mut self,
        from: u64,
        depth: u32,
        budget: &mut Budget,
        doomed: &mut impl FnMut(&Item) -> bool,
        removed: &mut impl FnMut(Item),
    ) -> Option<u64> {
        let first = tag(from);
        let mut last = None;
        let mut at = self.home(first);
        while let Some(place) = self.places().get(at) {
            prefetch_place(self.places(), at + PREFETCH_AHEAD);
            let Some(item) = place.as_ref().filter(|item| item.tag() >= first) else {
                at += 1;
                continue;
            };
            if budget.is_spent() && last.is_some_and(|last| group(last, depth) != group(item.tag(), depth)) {
                return Some(u64::from(item.tag()) << TAG_SHIFT);
            }
            budget.spend(1);
            last = Some(item.tag());
            if doomed(item) {
                removed(self.take(at));
            } else {
                at += 1;
            }
        }
        None
    }

    /// Drops items until the budget or the table is used up. Returns whether the table is empty now.
    pub(super) fn drop_some(&mut self, budget: &mut Budget) -> bool {
        let mut dropped = 0;
        if let Some(children) = self.children_mut() {
            for child in children.iter_mut().rev() {
                let before = child.len;
                let empty = child.drop_some(budget);
                dropped += before - child.len;
                if !empty {
                    break;
                }
            }
        } else {
            for place in self.places_mut().iter_mut().rev().filter(|place| place.is_some()) {
                if budget.is_spent() {
                    break;
                }
                budget.spend(1);
                let value = place.as_mut().and_then(Item::value_mut);
                if value.is_some_and(|value| !value.drop_some(budget)) {
                    break;
                }
                *place = None;
                dropped += 1;
            }
        }
        self.len -= dropped;
        if self.len == 0 {
            *self = Table::EMPTY;
        }
        self.len == 0
    }

    /// An item that is drawn at random, nearly uniformly; `None` if there is none.
    pub(super) fn random(&self, rng: &mut Rng) -> Option<&Item> {
        if let Some(children) = self.children() {
            let mut rank = rng.below(self.len());
            let drawn = children.iter().find(|child| {
                let here = rank < child.len();
                rank = rank.saturating_sub(child.len());
                here
            });
            return drawn?.random(rng);
        }
        let places = self.places();
        if places.is_empty() {
            return None;
        }
        // Leaves are at least a third full: more tries are very rarely needed.
        (0..64)
            .find_map(|_| places[rng.below(places.len())].as_ref())
            .or_else(|| places.iter().flatten().next())
    }

    /// Asks for the places around the home of a key.
    #[inline]
    pub(super) fn prefetch_home(&self, key: KeyDigest) {
        let home = self.home(tag(key.hash));
        prefetch(self.data.cast::<Place>().wrapping_add(home));
    }

    /// Likewise in a table that may be a node.
    #[inline]
    pub(super) fn prefetch_home_below(&self, hash: u64) {
        let (leaf, hash) = self.leaf(hash);
        prefetch(leaf.data.cast::<Place>().wrapping_add(leaf.home(tag(hash))));
    }

    /// The item that a key seems to have, one of its tag: its place is looked at, itself is not.
    #[inline]
    pub(super) fn likely(&self, hash: u64) -> Option<&Item> {
        let (leaf, hash) = self.leaf(hash);
        let tag = tag(hash);
        let from = leaf.places().get(leaf.home(tag)..).unwrap_or_default();
        let at_or_behind = from.iter().map_while(Option::as_ref).find(|item| item.tag() >= tag);
        at_or_behind.filter(|item| item.tag() == tag)
    }
}

/// The leaves of a table, in order.
struct Leaves<'a> {
    /// What is still to be gone through, the next on top.
    stack: Vec<&'a Table>,
}

impl<'a> Iterator for Leaves<'a> {
    type Item = &'a Table;

    fn next(&mut self) -> Option<&'a Table> {
        loop {
            let table = self.stack.pop()?;
            match table.children() {
                Some(children) => self.stack.extend(children.iter().rev()),
                None => return Some(table),
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.is_node() {
            // SAFETY: the data of a node are a boxed `Children`, owned by it.
            drop(unsafe { Box::from_raw(self.data.cast::<Children>()) });
        } else if self.homes != 0 {
            self.places_mut().iter_mut().for_each(|place| *place = None);
            // SAFETY: a leaf's data were allocated with this layout and are not used again.
            unsafe { dealloc(self.data, leaf_layout(self.capacity())) };
        }
    }
}

/// A leaf under construction. Its entries are bitwise copies that it does not own before `finish`.
struct Leaf {
    data: NonNull<Place>,
    homes: usize,
    capacity: usize,
    /// Places before this one are written.
    written: usize,
    len: u32,
}

impl Leaf {
    fn new(capacity: usize) -> Leaf {
        let slack = slack(capacity);
        // Only a table of maximal depth, whose keys have 48 hash bits in common, could come near.
        assert!(capacity - slack <= usize::from(u16::MAX), "a table of equal hashes is full");
        let layout = leaf_layout(capacity);
        // SAFETY: a leaf has at least one place.
        let Some(data) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        Leaf { data: data.cast(), homes: capacity - slack, capacity, written: 0, len: 0 }
    }

    /// Appends the copy of an item whose tag is not below the last; `false` if there is no place left.
    #[inline]
    fn push(&mut self, item: &Item) -> bool {
        let home = (usize::from(item.tag()) * self.homes) >> 16;
        self.fill(home);
        if self.written == self.capacity {
            return false;
        }
        // SAFETY: `written` is within the capacity. The copy is not dropped here, see `Drop`.
        unsafe { self.data.add(self.written).write(Some(ptr::read(item))) };
        self.written += 1;
        self.len += 1;
        true
    }

    /// Leaves gaps up to this place.
    #[inline]
    fn fill(&mut self, until: usize) {
        while self.written < until {
            // SAFETY: callers name a home or the capacity, so the place is within the array.
            unsafe { self.data.add(self.written).write(None) };
            self.written += 1;
        }
    }

    /// The table, which now owns the entries.
    fn finish(mut self) -> Table {
        self.fill(self.capacity);
        let leaf = ManuallyDrop::new(self);
        Table {
            data: leaf.data.as_ptr().cast(),
            len: leaf.len,
            homes: leaf.homes as u16,
            slack: (leaf.capacity - leaf.homes) as u16,
        }
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the copies in it belong to somebody else and are not dropped.
        unsafe { dealloc(self.data.as_ptr().cast(), leaf_layout(self.capacity)) };
    }
}

fn leaf_layout(capacity: usize) -> Layout {
    Layout::array::<Place>(capacity).expect("leaves are small")
}

#[inline]
fn tag(hash: u64) -> u16 {
    (hash >> TAG_SHIFT) as u16
}

#[inline]
fn nibble(hash: u64) -> usize {
    (hash >> 60) as usize
}

/// Entries of a leaf with the same group have the same position: deep tags say more than a position holds.
#[inline]
fn group(tag: u16, depth: u32) -> u16 {
    tag.checked_shr((4 * depth).saturating_sub(32)).unwrap_or(0)
}

/// Whether an item with the tag of `from` comes before it. That takes the hash, but only if `from` is more
/// precise than tags are, which is so where a node was merged into a leaf during a scan.
fn before(item: &Item, from: u64, depth: u32, hasher: &Hasher) -> bool {
    from << 16 != 0 && hasher.hash(item.key()) << (4 * depth) < from
}

#[inline]
fn prefetch_place(places: &[Place], at: usize) {
    if let Some(Some(item)) = places.get(at) {
        item.prefetch();
    }
}

/// Walks the children of a node from a position on.
fn descend(
    from: u64,
    budget: &mut Budget,
    mut walk: impl FnMut(usize, u64, &mut Budget) -> Option<u64>,
) -> Option<u64> {
    let first = nibble(from);
    for index in first..FANOUT {
        let start = if index == first { from << 4 } else { 0 };
        if let Some(next) = walk(index, start, budget) {
            return Some((index as u64) << 60 | next >> 4);
        }
        if budget.is_spent() && index + 1 < FANOUT {
            return Some((index as u64 + 1) << 60);
        }
    }
    None
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
