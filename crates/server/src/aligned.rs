//! Memory that the kernel can move to and from a disk without its page cache: whole, aligned blocks, used again and again.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Addresses, positions and lengths of direct I/O are multiples of this: the page size, and what every disk's sectors divide.
pub(crate) const BLOCK: usize = 4096;
/// Buffers have a power of two of bytes between these.
pub(crate) const SMALLEST: usize = 64 << 10;
pub(crate) const LARGEST: usize = 1 << 20;
const CLASSES: usize = (LARGEST / SMALLEST).trailing_zeros() as usize + 1;
/// Freed buffers are kept up to this many bytes: pages that are there need not be faulted in and cleared again.
const KEPT: usize = 8 << 20;

/// The start of the block that a position lies in.
pub(crate) fn block_floor(at: u64) -> u64 {
    at - at % BLOCK as u64
}

/// The end of the block that a position lies in; a boundary is its own.
pub(crate) fn block_ceiling(at: u64) -> u64 {
    block_floor(at + BLOCK as u64 - 1)
}

/// Where freed buffers wait for their next use. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    free: Arc<Mutex<Free>>,
}

#[derive(Debug, Default)]
struct Free {
    classes: [Vec<Memory>; CLASSES],
    bytes: usize,
}

impl Pool {
    /// A buffer of at least this many bytes, at most [`LARGEST`]. What it holds is of no meaning.
    pub(crate) fn take(&self, least: usize) -> Aligned {
        assert!(least <= LARGEST, "a buffer has at most {LARGEST} bytes, not {least}");
        let size = least.next_power_of_two().max(SMALLEST);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = free.classes[class(size)].pop();
        if kept.is_some() {
            free.bytes -= size;
        }
        drop(free);
        Aligned { memory: Some(kept.unwrap_or_else(|| Memory::new(size))), pool: self.clone() }
    }

    fn put(&self, memory: Memory) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.bytes + memory.size <= KEPT {
            free.bytes += memory.size;
            free.classes[class(memory.size)].push(memory);
        }
    }
}

fn class(size: usize) -> usize {
    (size / SMALLEST).trailing_zeros() as usize
}

/// A buffer; goes back to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Aligned {
    /// Taken out only by the drop.
    memory: Option<Memory>,
    pool: Pool,
}

impl Aligned {
    /// All of its bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut().map_or(&mut [], Memory::bytes_mut)
    }
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], Memory::bytes)
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.put(memory);
        }
    }
}

#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    size: usize,
}

#[expect(unsafe_code, reason = "the standard library has no safe way to ask for aligned memory")]
impl Memory {
    fn new(size: usize) -> Memory {
        let layout = Memory::layout(size);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Memory { start, size }
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, BLOCK).expect("a power of two up to a megabyte is a layout")
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: allocated with this size, cleared by then, and owned by this value alone.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed from the only owner.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }
}

// SAFETY: it owns its bytes as a `Box<[u8]>` would; nothing about them belongs to a thread.
#[expect(unsafe_code, reason = "a pointer alone forbids what its owner may do")]
unsafe impl Send for Memory {}
// SAFETY: shared, it is only read.
#[expect(unsafe_code, reason = "a pointer alone forbids what its owner may do")]
unsafe impl Sync for Memory {}

#[expect(unsafe_code, reason = "frees what `new` allocated")]
impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with the same layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), Memory::layout(self.size)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn buffers_are_aligned_and_come_back() {
        let pool = Pool::default();
        let mut buffer = pool.take(100_000);
        assert_eq!(buffer.as_ref().len(), 128 << 10);
        assert_eq!(buffer.as_ref().as_ptr() as usize % BLOCK, 0);
        buffer.bytes_mut()[7] = 7;
        let place = buffer.as_ref().as_ptr();
        let shared = Bytes::from_owner(buffer);
        let slice = shared.slice(7..8);
        drop(shared);
        assert_ne!(pool.take(100_000).as_ref().as_ptr(), place, "a slice still holds it");
        assert_eq!(slice[0], 7);
        drop(slice);
        let all: Vec<Aligned> = (0..3).map(|_| pool.take(100_000)).collect();
        assert!(all.iter().any(|it| it.as_ref().as_ptr() == place));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let pool = Pool::default();
        let many: Vec<Aligned> = (0..2 * KEPT / LARGEST).map(|_| pool.take(LARGEST)).collect();
        drop(many);
        assert_eq!(pool.free.lock().unwrap().bytes, KEPT);
    }

    #[test]
    fn positions_round_to_blocks() {
        assert_eq!([0, 1, 4095, 4096].map(block_floor), [0, 0, 0, 4096]);
        assert_eq!([0, 1, 4096, 4097].map(block_ceiling), [0, 4096, 4096, 8192]);
    }
}
