//! The provided buffer ring: receive buffers that the kernel picks from when bytes arrive, so that an idle
//! connection holds none.
//!
//! Representation: one anonymous mapping holds the ring of descriptors (shared with the kernel) and, after it,
//! the buffers. Buffers are a little further apart than their size, because the first lines of buffers that
//! are a power of two apart would all fall into the same cache sets.
//!
//! Invariant: a buffer belongs either to the kernel (its descriptor lies between the ring's head and tail) or to
//! us (between the completion that names it and [`BufferRing::give_back`]), never to both.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// Extra distance between buffers, in bytes: five cache lines.
const STAGGER_BYTES: usize = 320;

/// A registered buffer ring. It must outlive the ring it is registered with.
#[derive(Debug)]
pub struct BufferRing {
    memory: NonNull<u8>,
    mapped_bytes: usize,
    /// Offset of the first buffer in `memory`.
    buffers_at: usize,
    buffer_bytes: usize,
    mask: u16,
    /// Our copy of the ring's tail.
    tail: u16,
}

impl BufferRing {
    /// Maps and registers `count` (a power of two) buffers as group `group`.
    ///
    /// # Errors
    /// Those of `mmap` and of `IORING_REGISTER_PBUF_RING` (`EINVAL` before Linux 5.19).
    pub fn register(
        submitter: &Submitter<'_>,
        group: u16,
        count: u16,
        buffer_bytes: usize,
    ) -> io::Result<BufferRing> {
        assert!(count.is_power_of_two());
        let buffers_at = (usize::from(count) * size_of::<BufRingEntry>()).next_multiple_of(4096);
        let mapped_bytes = buffers_at + usize::from(count) * (buffer_bytes + STAGGER_BYTES);
        // SAFETY: a fresh private anonymous mapping; no existing memory is affected.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).expect("mmap never returns null without MAP_FIXED");
        let mut ring =
            BufferRing { memory, mapped_bytes, buffers_at, buffer_bytes, mask: count - 1, tail: 0 };
        // SAFETY: the descriptors lie at the page-aligned start of the mapping, are zeroed and number `count`;
        // the mapping lives until `ring` is dropped, which is after the io_uring (see the struct's contract).
        unsafe { submitter.register_buf_ring_with_flags(memory.as_ptr() as u64, count, group, 0)? };
        for id in 0..count {
            ring.give_back(id);
        }
        Ok(ring)
    }

    /// The first `len` bytes of a buffer that a completion named and that was not given back since.
    #[inline]
    pub fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(id <= self.mask && len <= self.buffer_bytes);
        // SAFETY: in bounds by the assertion; the kernel does not write to a buffer after the completion that
        // names it until it is given back, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(self.offset(id)), len) }
    }

    /// Lets the kernel have a buffer (again).
    #[inline]
    pub fn give_back(&mut self, id: u16) {
        assert!(id <= self.mask);
        let entries = self.memory.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the descriptor index is masked into the ring; the kernel reads a descriptor only once the tail
        // has passed it, and the tail is stored after it with release ordering. The tail is a 2-byte aligned
        // field of the first descriptor that the kernel only reads.
        unsafe {
            let entry = &mut *entries.add(usize::from(self.tail & self.mask));
            entry.set_addr(self.memory.as_ptr() as u64 + self.offset(id) as u64);
            entry.set_len(self.buffer_bytes as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut());
            tail.store(self.tail, Ordering::Release);
        }
    }

    fn offset(&self, id: u16) -> usize {
        self.buffers_at + usize::from(id) * (self.buffer_bytes + STAGGER_BYTES)
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: `memory` and `mapped_bytes` come from the mapping made in `register`; the io_uring that used it
        // is gone (see the struct's contract).
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.mapped_bytes) };
    }
}
