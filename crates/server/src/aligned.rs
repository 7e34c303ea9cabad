//! Memory that the kernel can move to and from a disk without its page cache: whole, aligned blocks, used again and again.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Addresses, positions and lengths of direct I/O are multiples of this: the page size, and what every disk's sectors divide.
pub(crate) const BLOCK: usize = 4096;
/// Buffers have a power of two of bytes between these. The largest is a huge page of x86-64 and of ARM with pages of 4 KiB:
/// the kernel hands that to a disk as one piece, not as 512.
pub(crate) const SMALLEST: usize = 64 << 10;
pub(crate) const LARGEST: usize = 2 << 20;
const CLASSES: usize = (LARGEST / SMALLEST).trailing_zeros() as usize + 1;
/// A freed buffer is kept as long as there are no more bytes than this in all, in use or free: pages that are there need not
/// be faulted in and cleared again.
const KEPT: usize = 64 << 20;

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
    /// Of all buffers, whoever has them.
    bytes: usize,
}

impl Pool {
    /// A buffer of at least this many bytes, at most [`LARGEST`]. What it holds is of no meaning.
    pub(crate) fn take(&self, least: usize) -> Aligned {
        assert!(least <= LARGEST, "a buffer has at most {LARGEST} bytes, not {least}");
        let size = least.next_power_of_two().max(SMALLEST);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = free.classes[class(size)].pop();
        if kept.is_none() {
            free.bytes += size;
        }
        drop(free);
        Aligned { memory: Some(kept.unwrap_or_else(|| Memory::new(size))), pool: self.clone() }
    }

    fn put(&self, memory: Memory) {
        let mut surplus = Vec::new();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let own = class(memory.size);
        free.classes[own].push(memory);
        while free.bytes > KEPT
            // Sizes that nobody asks for any more go first.
            && let Some(class) = (0..CLASSES).filter(|it| *it != own).chain([own]).find(|it| !free.classes[*it].is_empty())
            && let Some(memory) = free.classes[class].pop()
        {
            free.bytes -= memory.size;
            surplus.push(memory);
        }
        drop(free);
        // Unmapped without the lock.
        drop(surplus);
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

/// Pages of their own, not the allocator's: a megabyte that is freed goes back to the system as it is, without holes.
#[derive(Debug)]
struct Memory {
    start: NonNull<c_void>,
    size: usize,
}

#[expect(unsafe_code, reason = "the standard library has no safe way to ask for whole pages")]
impl Memory {
    fn new(size: usize) -> Memory {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
        // A huge page begins at a multiple of its size; the kernel gives that only by chance.
        let surplus = if size == LARGEST { LARGEST } else { 0 };
        // SAFETY: a mapping at an address that the kernel chooses touches nobody's memory.
        let mapped = unsafe {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            mmap_anonymous(std::ptr::null_mut(), size + surplus, protection, MapFlags::PRIVATE)
        };
        // As the allocator does: there is nothing to go on with.
        let mapped = mapped.unwrap_or_else(|error| panic!("no memory for {size} bytes: {error}"));
        let before = if surplus > 0 { mapped.align_offset(LARGEST).min(surplus) } else { 0 };
        // SAFETY: within what was mapped, or right at its end; nobody has heard of these pages yet.
        let start = unsafe {
            let start = mapped.byte_add(before);
            for (edge, len) in [(mapped, before), (start.byte_add(size), surplus - before)] {
                // Pages that stay mapped are never touched, and cost nothing but addresses.
                let _ = if len > 0 { munmap(edge, len) } else { Ok(()) };
            }
            start
        };
        ask_for_huge_page(start, size);
        let start = NonNull::new(start).unwrap_or_else(|| panic!("a mapping begins at no address"));
        Memory { start, size }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped with this size, filled with zeros by the kernel, and owned by this value alone.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.size) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed from the only owner.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.size) }
    }
}

/// A wish: small pages serve as well, for more CPU.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "tells the kernel about memory by its address")]
fn ask_for_huge_page(start: *mut c_void, size: usize) {
    if size == LARGEST {
        // SAFETY: a mapping of ours, and the advice changes nothing that a program can see.
        let _ = unsafe { rustix::mm::madvise(start, size, rustix::mm::Advice::LinuxHugepage) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_page(_: *mut c_void, _: usize) {}

// SAFETY: it owns its bytes as a `Box<[u8]>` would; nothing about them belongs to a thread.
#[expect(unsafe_code, reason = "a pointer alone forbids what its owner may do")]
unsafe impl Send for Memory {}
// SAFETY: shared, it is only read.
#[expect(unsafe_code, reason = "a pointer alone forbids what its owner may do")]
unsafe impl Sync for Memory {}

#[expect(unsafe_code, reason = "unmaps what `new` mapped")]
impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with the same size, unmapped once, and nothing borrows from it any more.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr(), self.size) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours cannot be unmapped: {unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn buffers_are_aligned_and_come_back() {
        let pool = Pool::default();
        assert_eq!(pool.take(LARGEST).as_ref().as_ptr() as usize % LARGEST, 0);
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
    fn what_is_kept_is_bounded_and_follows_what_is_asked_for() {
        let pool = Pool::default();
        for size in [SMALLEST, LARGEST, 2 * SMALLEST] {
            let many: Vec<Aligned> = (0..2 * KEPT / size).map(|_| pool.take(size)).collect();
            assert!(pool.free.lock().unwrap().bytes >= 2 * KEPT);
            drop(many);
            let free = pool.free.lock().unwrap();
            assert_eq!((free.bytes, free.classes[class(size)].len()), (KEPT, KEPT / size));
        }
    }

    #[test]
    fn positions_round_to_blocks() {
        assert_eq!([0, 1, 4095, 4096].map(block_floor), [0, 0, 0, 4096]);
        assert_eq!([0, 1, 4096, 4097].map(block_ceiling), [0, 4096, 4096, 8192]);
    }
}
