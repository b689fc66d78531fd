//! Memory for a program that lives for milliseconds and has one thread.
//!
//! musl's allocator asks the kernel for small groups of pages again and again, and gives them back: dozens of mmap and
//! munmap calls a start, each with its page faults. Here small blocks come from one static area, by size classes; what is
//! freed is used again, so a `run` that stays for months does not grow. Large blocks, and all when the area is used up, are
//! the C library's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// Bytes of the area. Untouched pages of it cost nothing.
const AREA: usize = 512 << 10;
/// Classes are powers of two, from 16 bytes to 32 KiB.
const SMALLEST: u32 = 4;
const CLASSES: usize = 12;

#[repr(align(4096))]
struct Area(UnsafeCell<[u8; AREA]>);

struct Classes {
    area: Area,
    used: UnsafeCell<usize>,
    /// Freed blocks of each class, linked through their first word.
    free: UnsafeCell<[*mut u8; CLASSES]>,
}

// SAFETY: there is one thread, from the first instruction to the last (tests/architecture.rs keeps it so); the child of a
// clone has its own copy. In unit tests, which have threads, `counted` is installed instead.
unsafe impl Sync for Classes {}

#[cfg_attr(not(test), global_allocator)]
#[cfg_attr(test, allow(dead_code))]
static ALLOCATOR: Classes = Classes {
    area: Area(UnsafeCell::new([0; AREA])),
    used: UnsafeCell::new(0),
    free: UnsafeCell::new([ptr::null_mut(); CLASSES]),
};

/// The class that holds a layout; `None` for what is the C library's.
fn class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST).next_power_of_two();
    let class = (size.trailing_zeros() - SMALLEST) as usize;
    (class < CLASSES).then_some(class)
}

impl Classes {
    fn holds(&self, block: *mut u8) -> bool {
        let start = self.area.0.get() as usize;
        (start..start + AREA).contains(&(block as usize))
    }
}

// SAFETY: blocks of a class are as large and as aligned as the class (the area is page-aligned, offsets are multiples of
// the size up to 4 KiB), a block is on at most one free list, and blocks outside of the area go back to where they are from.
unsafe impl GlobalAlloc for Classes {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout).filter(|_| layout.align() <= 4096) else {
            // SAFETY: the caller's layout, unchanged.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: one thread: nobody else looks at these cells meanwhile. A block on a free list holds the next one.
        unsafe {
            let head = &mut (*self.free.get())[class];
            if !head.is_null() {
                let block = *head;
                *head = *block.cast::<*mut u8>();
                return block;
            }
            let size = 1usize << (SMALLEST as usize + class);
            let at = (*self.used.get()).next_multiple_of(size.min(4096));
            if at + size > AREA {
                return System.alloc(layout);
            }
            *self.used.get() = at + size;
            self.area.0.get().cast::<u8>().add(at)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout) {
            // SAFETY: the block is ours and nobody's any more; it is at least 16 bytes long and so aligned.
            Some(class) if self.holds(block) => unsafe {
                let head = &mut (*self.free.get())[class];
                *block.cast::<*mut u8>() = *head;
                *head = block;
            },
            // SAFETY: it came from there.
            _ => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that the new size is valid for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if !self.holds(block) {
            // SAFETY: it came from there.
            return unsafe { System.realloc(block, layout, size) };
        }
        if class(wanted).is_some() && class(wanted) == class(layout) {
            return block;
        }
        // SAFETY: the new block is distinct from the old one; as much as both hold is copied.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

/// In unit tests the C library's allocator, with an account of what each thread has asked for.
#[cfg(test)]
pub mod counted {
    use super::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    struct Counted;

    #[global_allocator]
    static ALLOCATOR: Counted = Counted;

    thread_local! {
        /// Bytes that the thread has and bytes that it had at most. Below zero when it frees what others allocated.
        static HEAP: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
    }

    fn count(more: usize, less: usize) {
        // Allocations are at most isize::MAX bytes (`Layout`).
        let _ = HEAP.try_with(|heap| {
            let (live, peak) = heap.get();
            let live = live.wrapping_add_unsigned(more).wrapping_sub_unsigned(less);
            heap.set((live, peak.max(live)));
        });
    }

    /// Does `deed`, and says how many bytes more than before this thread had on its heap at most meanwhile. Bytes as asked
    /// for; a block that grows is taken to grow in place, as large ones do (mremap).
    pub fn peak<T>(deed: impl FnOnce() -> T) -> (T, usize) {
        let (before, _) = HEAP.get();
        HEAP.set((before, before));
        let done = deed();
        let (_, peak) = HEAP.get();
        (done, usize::try_from(peak - before).unwrap_or(0))
    }

    // SAFETY: every call goes to the C library's allocator, unchanged. Counting allocates nothing: the cell is made at
    // compile time and has nothing to drop.
    unsafe impl GlobalAlloc for Counted {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count(layout.size(), 0);
            // SAFETY: the caller's layout, unchanged.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            count(0, layout.size());
            // SAFETY: it came from there.
            unsafe { System.dealloc(block, layout) }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            count(size, layout.size());
            // SAFETY: it came from there.
            unsafe { System.realloc(block, layout, size) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_a_thread_had_at_a_time_is_counted() {
        let (_, none) = counted::peak(|| 5);
        let (kept, peak) = counted::peak(|| {
            drop(vec![0u8; 1000]);
            drop(vec![0u8; 3000]);
            std::thread::spawn(|| vec![0u8; 1 << 20].len()).join().unwrap();
            let mut kept = Vec::<u8>::with_capacity(10);
            kept.reserve_exact(2000);
            kept
        });
        drop(kept);
        assert_eq!(none, 0);
        assert!((3000..8000).contains(&peak), "{peak}"); // a thread to start costs something, too
    }

    #[test]
    fn freed_blocks_are_used_again_and_keep_their_alignment() {
        let own = Classes {
            area: Area(UnsafeCell::new([0; AREA])),
            used: UnsafeCell::new(0),
            free: UnsafeCell::new([ptr::null_mut(); CLASSES]),
        };
        let own = Box::leak(Box::new(own));
        for round in 0..10_000usize {
            let layout = Layout::from_size_align(1 + round * 7 % 40_000, 1 << (round % 8)).unwrap();
            // SAFETY: allocated and freed with the same layouts; every byte of the block is written.
            unsafe {
                let block = own.alloc(layout);
                assert!(!block.is_null() && (block as usize).is_multiple_of(layout.align()));
                ptr::write_bytes(block, 7, layout.size());
                let grown = own.realloc(block, layout, layout.size() * 2);
                assert_eq!(*grown.add(layout.size() - 1), 7);
                own.dealloc(grown, Layout::from_size_align(layout.size() * 2, layout.align()).unwrap());
            }
        }
        // SAFETY: nobody else has it.
        assert!(unsafe { *own.used.get() } <= AREA);
    }
}
