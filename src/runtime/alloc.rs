//! The allocator: mimalloc, and a count of the bytes that are allocated.
//!
//! Blocks for types that need an alignment of at most [`SMALL_ALIGN`] come from mimalloc's plain functions, which
//! keep blocks tight; its aligned functions, which the `mimalloc` crate uses for every block, take 8 bytes more.
//!
//! Each thread counts for itself, in a cell of a fixed array that no other thread writes, so that counting costs two
//! plain loads and stores per call and no cache line moves between cores. What one thread allocates and another frees
//! makes the one cell grow and the other shrink below zero: only the sum means something. Threads beyond the array share
//! its last cell by atomic addition. A thread's cell outlives it; the server's threads are few and live as long as it does.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use libmimalloc_sys as mi;

/// Threads that have a cell of their own, and the one cell that the others share.
const CELLS: usize = 256;

/// A count on a cache line of its own.
#[repr(align(64))]
struct CountCell(AtomicIsize);

static COUNTS: [CountCell; CELLS] = [const { CountCell(AtomicIsize::new(0)) }; CELLS];
static NEXT_CELL: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The thread's place in [`COUNTS`]. It needs no destructor and no allocation, or counting would call itself.
    static CELL: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// mimalloc with counting.
#[derive(Debug)]
pub struct CountingAllocator;

/// What mimalloc guarantees for every block; `MI_MAX_ALIGN_SIZE` in `.cargo/config.toml` says the same.
const SMALL_ALIGN: usize = 8;

// SAFETY: every block comes from mimalloc with at least the size and the alignment of its layout: the plain
// functions guarantee `SMALL_ALIGN` for blocks of at least that size, and smaller blocks hold no type that needs
// more than their size. Counting touches statics only and allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: mimalloc takes every size, and `Layout` makes the alignment a power of two.
        unsafe {
            if layout.align() <= SMALL_ALIGN {
                mi::mi_malloc(layout.size()).cast()
            } else {
                mi::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as in `alloc`.
        unsafe {
            if layout.align() <= SMALL_ALIGN {
                mi::mi_zalloc(layout.size()).cast()
            } else {
                mi::mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's contract: the block was allocated by this allocator, so by mimalloc.
        unsafe { mi::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as in `dealloc` and `alloc`.
        unsafe {
            if layout.align() <= SMALL_ALIGN {
                mi::mi_realloc(block.cast(), size).cast()
            } else {
                mi::mi_realloc_aligned(block.cast(), size, layout.align()).cast()
            }
        }
    }
}

#[inline]
fn count(bytes: isize) {
    let at = CELL.get();
    if at < CELLS - 1 {
        let count = &COUNTS[at].0;
        count.store(count.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    } else {
        count_elsewhere(at, bytes);
    }
}

#[cold]
fn count_elsewhere(at: usize, bytes: isize) {
    if at == usize::MAX {
        CELL.set(NEXT_CELL.fetch_add(1, Ordering::Relaxed).min(CELLS - 1));
        return count(bytes);
    }
    COUNTS[CELLS - 1].0.fetch_add(bytes, Ordering::Relaxed);
}

/// Bytes that the program has asked for and not given back. 0 where [`CountingAllocator`] is not the global allocator.
pub fn allocated_bytes() -> usize {
    let sum: isize = COUNTS.iter().map(|count| count.0.load(Ordering::Relaxed)).sum();
    sum.max(0) as usize
}

/// Bytes that mimalloc has committed, in use or not.
pub fn committed_bytes() -> usize {
    let mut committed = 0;
    let ignored = std::ptr::null_mut();
    // SAFETY: mi_process_info takes null for figures that are not wanted, and `committed` is exclusively borrowed.
    unsafe {
        mi::mi_process_info(ignored, ignored, ignored, ignored, ignored, &mut committed, ignored, ignored)
    };
    committed
}

/// Gives the calling thread's unused memory back to the system.
pub fn purge() {
    // SAFETY: mi_collect may be called at any time.
    unsafe { mi::mi_collect(true) }
}

/// mimalloc's own report.
pub fn report() -> String {
    let mut text = String::new();
    // SAFETY: mi_stats_print_out calls `append` during this call only, with the pointer to `text`, which is exclusively
    // borrowed for that time.
    unsafe { mi::mi_stats_print_out(Some(append), (&raw mut text).cast::<c_void>()) };
    text
}

/// Appends a piece of [`report`].
unsafe extern "C" fn append(piece: *const c_char, text: *mut c_void) {
    if piece.is_null() {
        return;
    }
    // SAFETY: mimalloc passes a NUL-terminated string and the pointer that `report` gave it.
    let (text, piece) = unsafe { (&mut *text.cast::<String>(), CStr::from_ptr(piece)) };
    text.push_str(&piece.to_string_lossy());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_blocks_from_thread_to_thread() {
        let layout = Layout::from_size_align(1 << 40, 1).unwrap();
        let before = allocated_bytes();
        count(layout.size() as isize);
        assert!(allocated_bytes() >= before + layout.size());
        std::thread::spawn(move || count(-(layout.size() as isize))).join().unwrap();
        assert!(allocated_bytes() < before + layout.size());
    }

    #[test]
    fn blocks_come_from_mimalloc_and_are_counted() {
        let layout = Layout::array::<u64>(1 << 16).unwrap();
        // SAFETY: the block is used within its size and freed with the layout of its last size.
        unsafe {
            let block = CountingAllocator.alloc_zeroed(layout);
            assert_eq!(*block.add(layout.size() - 1), 0);
            let block = CountingAllocator.realloc(block, layout, 8);
            CountingAllocator.dealloc(block, Layout::array::<u64>(1).unwrap());
        }
        assert!(committed_bytes() > 0);
        purge();
        assert!(report().contains("heap"), "{}", report());
    }
}
