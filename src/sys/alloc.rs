//! Memory for a program that lives for milliseconds and has one thread.
//!
//! musl's allocator asks the kernel for small groups of pages again and again, and gives them back: dozens of mmap and
//! munmap calls a start, each with its page faults. Here small blocks come from one static area, by size classes, and from
//! chunks of a mebibyte when that is used up; what is freed is used again, so a `run` that stays for months does not grow.
//! Large blocks are mappings of their own. So this module knows every block of the Rust code (the C library has some of its
//! own, for the names in a directory that it reads), and `forget_all_but` can drop them.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;

/// Bytes of the static area. Untouched pages of it cost nothing.
const AREA: usize = 512 << 10;
/// Bytes of a chunk.
const CHUNK: usize = 1 << 20;
/// What must be left of the area, in bytes, for `turn_over` to go on in it.
const WORTH_IT: usize = 64 << 10;
/// Classes are powers of two, from 16 bytes to 32 KiB.
const SMALLEST: u32 = 4;
const CLASSES: usize = 12;
/// The smallest page that a kernel has: mappings are so aligned.
const PAGE: usize = 4096;
/// The largest one: kernels of other architectures than these are built with pages of 16 or 64 KiB, too. What is given back to
/// the kernel begins and ends at its multiples: madvise(2) refuses another start, and rounds another end up, over what is in use.
const LARGEST_PAGE: usize = if cfg!(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "arm",
    target_arch = "riscv64",
    target_arch = "s390x"
)) {
    PAGE
} else {
    64 << 10
};

#[repr(align(65536))]
struct Area(UnsafeCell<[u8; AREA]>);

struct Classes {
    area: Area,
    cells: UnsafeCell<Cells>,
}

struct Cells {
    /// Where the next small block comes from, and the end of that memory. Both null before the first block.
    next: *mut u8,
    end: *mut u8,
    /// Freed blocks of each class, linked through their first word.
    free: [*mut u8; CLASSES],
    /// The chunks, and the large blocks, each list with its newest first.
    chunks: *mut Mapping,
    large: *mut Mapping,
    /// How often memory was turned over. Blocks of an earlier turn are never used again.
    turn: usize,
    /// Bytes of the area that are of an earlier turn.
    older: usize,
}

/// Stands at the start of each mapping: a chunk, or a large block.
struct Mapping {
    newer: *mut Mapping,
    older: *mut Mapping,
    /// Of the mapping, in bytes.
    length: usize,
    turn: usize,
}

/// Room for a `Mapping` in front of the blocks of a chunk.
const HEADER: usize = 64;

// SAFETY: there is one thread, from the first instruction to the last (tests/architecture.rs keeps it so); the child of a
// clone has its own copy. In unit tests, which have threads, `counted` is installed instead.
unsafe impl Sync for Classes {}

#[cfg_attr(not(test), global_allocator)]
#[cfg_attr(test, allow(dead_code))]
static ALLOCATOR: Classes = Classes::new();

/// The class that holds a layout; `None` for a block of its own.
fn class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST).next_power_of_two();
    let class = (size.trailing_zeros() - SMALLEST) as usize;
    (class < CLASSES && layout.align() <= PAGE).then_some(class)
}

/// Bytes between the start of a mapping and its large block: room for `Mapping`, and as aligned as the block must be.
fn offset(layout: Layout) -> usize {
    layout.align().max(HEADER)
}

impl Cells {
    /// A new mapping; null when the kernel has no memory.
    fn map(&mut self, length: usize) -> *mut Mapping {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever the kernel likes, is in the way of nothing.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, access, kind, -1, 0) };
        if start == libc::MAP_FAILED { ptr::null_mut() } else { start.cast() }
    }

    /// The next small block of this size, a power of two; null when the kernel has no memory.
    fn carve(&mut self, size: usize, area: *mut u8) -> *mut u8 {
        if self.next.is_null() && self.turn == 0 {
            // SAFETY: the area has so many bytes.
            (self.next, self.end) = (area, unsafe { area.add(AREA) });
        }
        // Both null in a turn that has no memory yet: then nothing fits.
        let mut at = self.next.addr().next_multiple_of(size.min(PAGE));
        if at + size > self.end.addr() || self.next.is_null() {
            let chunk = self.map(CHUNK);
            if chunk.is_null() {
                return ptr::null_mut();
            }
            // SAFETY: the mapping is new, and as large.
            unsafe {
                enter(&mut self.chunks, chunk, CHUNK, self.turn);
                self.next = chunk.cast::<u8>().add(HEADER);
                self.end = chunk.cast::<u8>().add(CHUNK);
            }
            at = self.next.addr().next_multiple_of(size.min(PAGE));
        }
        let block = self.next.with_addr(at);
        self.next = block.wrapping_add(size);
        block
    }

    /// Is a small block of an earlier turn?
    fn is_older(&self, block: *mut u8, area: *mut u8) -> bool {
        if self.turn == 0 {
            return false;
        }
        let within = |start: usize, length: usize| (start..start + length).contains(&block.addr());
        if within(area.addr(), AREA) {
            return within(area.addr(), self.older);
        }
        let mut chunk = self.chunks;
        while !chunk.is_null() {
            // SAFETY: the list's links are to mappings that are in it.
            let Mapping { older, length, turn, .. } = unsafe { chunk.read() };
            if within(chunk.addr(), length) {
                return turn < self.turn;
            }
            chunk = older;
        }
        false
    }

    /// From now on blocks come from untouched pages.
    fn turn_over(&mut self, area: *mut u8) {
        let used = self.next.addr().saturating_sub(area.addr());
        let in_area = (1..=AREA).contains(&used);
        self.turn += 1;
        self.free = [ptr::null_mut(); CLASSES];
        let start = used.next_multiple_of(LARGEST_PAGE);
        if in_area && start + WORTH_IT <= AREA {
            self.older = start;
            self.next = self.next.with_addr(area.addr() + start);
        } else {
            self.older = AREA;
            (self.next, self.end) = (ptr::null_mut(), ptr::null_mut());
        }
    }

    /// Gives the pages of all blocks of earlier turns back to the kernel.
    ///
    /// # Safety
    /// None of those blocks is used again.
    unsafe fn drop_older(&mut self, area: *mut u8) {
        // SAFETY: by the contract above; a page of the area that is given back reads as zeros.
        unsafe {
            libc::madvise(area.cast(), self.older, libc::MADV_DONTNEED);
            drop_older(&mut self.chunks, self.turn);
            drop_older(&mut self.large, self.turn);
        }
    }
}

/// Puts a mapping at the head of a list.
///
/// # Safety
/// The mapping is the caller's and in no list, and the list's links are to mappings that are in it.
unsafe fn enter(head: &mut *mut Mapping, mapping: *mut Mapping, length: usize, turn: usize) {
    // SAFETY: the contract above.
    unsafe {
        mapping.write(Mapping { newer: ptr::null_mut(), older: *head, length, turn });
        if !(*head).is_null() {
            (**head).newer = mapping;
        }
    }
    *head = mapping;
}

/// Takes a mapping out of a list.
///
/// # Safety
/// The mapping is in the list, and so are its neighbours.
unsafe fn leave(head: &mut *mut Mapping, mapping: *mut Mapping) {
    // SAFETY: the contract above.
    unsafe {
        let Mapping { newer, older, .. } = mapping.read();
        if newer.is_null() {
            *head = older;
        } else {
            (*newer).older = older;
        }
        if !older.is_null() {
            (*older).newer = newer;
        }
    }
}

/// Unmaps what is of an earlier turn.
///
/// # Safety
/// Nothing in those mappings is used again.
unsafe fn drop_older(head: &mut *mut Mapping, turn: usize) {
    let mut mapping = *head;
    while !mapping.is_null() {
        // SAFETY: the mapping is in the list; once it has left, only its number is used.
        unsafe {
            let Mapping { older, length, turn: its, .. } = mapping.read();
            if its < turn {
                leave(head, mapping);
                libc::munmap(mapping.cast(), length);
            }
            mapping = older;
        }
    }
}

impl Classes {
    const fn new() -> Classes {
        let none = ptr::null_mut();
        let cells = Cells {
            next: ptr::null_mut(),
            end: ptr::null_mut(),
            free: [ptr::null_mut(); CLASSES],
            chunks: none,
            large: none,
            turn: 0,
            older: 0,
        };
        Classes { area: Area(UnsafeCell::new([0; AREA])), cells: UnsafeCell::new(cells) }
    }

    fn start(&self) -> *mut u8 {
        self.area.0.get().cast()
    }

    /// # Safety
    /// The result is not in use when this is called again: there is one thread, and no function here calls another one that
    /// allocates.
    #[allow(clippy::mut_from_ref)]
    unsafe fn cells(&self) -> &mut Cells {
        // SAFETY: the contract above.
        unsafe { &mut *self.cells.get() }
    }

    /// A mapping for one block; null when the kernel has no memory. Alignments above a page do not occur in this program.
    unsafe fn map(&self, layout: Layout) -> *mut u8 {
        let Some(length) = layout.size().checked_add(offset(layout)).filter(|_| layout.align() <= PAGE) else {
            return ptr::null_mut();
        };
        // SAFETY: the mapping is new, and has room for a `Mapping` at its start.
        unsafe {
            let cells = self.cells();
            let mapping = cells.map(length);
            if mapping.is_null() {
                return ptr::null_mut();
            }
            let turn = cells.turn;
            enter(&mut cells.large, mapping, length, turn);
            mapping.cast::<u8>().add(offset(layout))
        }
    }

    unsafe fn unmap(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `map` made the block with this layout, and nothing uses it any more.
        unsafe {
            let mapping = block.sub(offset(layout)).cast::<Mapping>();
            let length = (*mapping).length;
            leave(&mut self.cells().large, mapping);
            libc::munmap(mapping.cast(), length);
        }
    }

    /// Grows or shrinks a mapping, which may move. Null, and the block as it was, when the kernel has no memory.
    unsafe fn remap(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(length) = size.checked_add(offset(layout)) else { return ptr::null_mut() };
        // SAFETY: as for `unmap`; while it moves the mapping is not in the list.
        unsafe {
            let cells = self.cells();
            let mapping = block.sub(offset(layout)).cast::<Mapping>();
            let (before, turn) = ((*mapping).length, (*mapping).turn);
            leave(&mut cells.large, mapping);
            let moved = libc::mremap(mapping.cast(), before, length, libc::MREMAP_MAYMOVE);
            if moved == libc::MAP_FAILED {
                enter(&mut cells.large, mapping, before, turn);
                return ptr::null_mut();
            }
            enter(&mut cells.large, moved.cast(), length, turn);
            moved.cast::<u8>().add(offset(layout))
        }
    }
}

// SAFETY: blocks of a class are as large and as aligned as the class (areas and chunks are page-aligned, blocks start at
// multiples of their size up to 4 KiB), a block is on at most one free list, and large blocks are mappings of their own.
unsafe impl GlobalAlloc for Classes {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            // SAFETY: the caller's layout, unchanged.
            return unsafe { self.map(layout) };
        };
        // SAFETY: a block on a free list holds the next one.
        unsafe {
            let cells = self.cells();
            let head = cells.free[class];
            if head.is_null() {
                return cells.carve(1 << (SMALLEST as usize + class), self.start());
            }
            cells.free[class] = *head.cast::<*mut u8>();
            head
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class(layout) else {
            // SAFETY: it is a mapping of its own.
            return unsafe { self.unmap(block, layout) };
        };
        // SAFETY: the block is at least 16 bytes long and so aligned, and not used any more.
        unsafe {
            let cells = self.cells();
            if !cells.is_older(block, self.start()) {
                *block.cast::<*mut u8>() = cells.free[class];
                cells.free[class] = block;
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that the new size is valid for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            // SAFETY: it is a mapping of its own, and stays one.
            (None, None) => return unsafe { self.remap(block, layout, size) },
            (before, after) if before == after => return block,
            _ => {}
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

/// Builds a value in fresh memory, makes this process forget all that it had before (the heap, the stack of the callers, its
/// arguments and environment), and goes on with the value alone. Never returns: the callers have nothing to go on with.
///
/// For a child of the runtime before a container can look at it: a payload with CAP_SYS_PTRACE reads /proc/PID/mem and what a
/// copy of the runtime's memory held (the caller's environment, records, hooks). Files that the value does not own stay open.
///
/// `build` must copy what it takes: nothing in the value may point into older memory, static data excepted.
pub fn forget_all_but<T: 'static>(build: impl FnOnce() -> T, go: fn(T) -> !) -> ! {
    // SAFETY: `turn_over` only moves on; blocks that `build` frees are older and stay as they are, or are new ones.
    unsafe { ALLOCATOR.cells().turn_over(ALLOCATOR.start()) };
    let value = Box::into_raw(Box::new(build()));
    scrub_below();
    let mut here = 0u8;
    // SAFETY: after this call nothing of the older memory is used: `forget` does not return, and has all it needs in its
    // arguments and in the new memory.
    unsafe { forget(&raw mut here, value, go) }
}

/// Below the stack pointer are the remains of calls that have returned: as many bytes as `drop_stack_below` leaves, and the
/// frames of a few calls.
const BELOW: usize = LARGEST_PAGE + (12 << 10);

#[inline(never)]
fn scrub_below() {
    let mut remains = [0u8; BELOW];
    std::hint::black_box(&mut remains);
}

/// How deep calls were before, in bytes, at most: no function of this program has large frames, and none recurses without bound.
const DEEPEST: usize = 1 << 20;

/// Gives the pages of the stack below this function's own back to the kernel.
#[inline(never)]
fn drop_stack_below() {
    let here = 0u8;
    let here = std::ptr::from_ref(std::hint::black_box(&here)).addr();
    let end = here.saturating_sub(PAGE) & !(LARGEST_PAGE - 1); // the frame of the system call's wrapper is in between
    // SAFETY: below the stack pointer there is nothing that a caller still needs, and the one function that is called from here
    // needs less than a page. madvise passes over what is not mapped.
    unsafe {
        libc::madvise(ptr::with_exposed_provenance_mut(end.saturating_sub(DEEPEST)), DEEPEST, libc::MADV_DONTNEED);
    }
}

/// # Safety
/// `from` is on the stack, in the caller's frame. Nothing above it and nothing in older memory is used again.
#[inline(never)]
unsafe fn forget<T>(from: *mut u8, value: *mut T, go: fn(T) -> !) -> ! {
    // SAFETY: the contract above. What lies between `from` and the end of the environment is stack, arguments and
    // environment: writable, and this function's own frame is below it.
    unsafe {
        let ((arguments, length), end) = (super::start::arguments(), super::start::end_of_stack());
        if end > from {
            ptr::write_bytes(from, 0, end.offset_from_unsigned(from));
        }
        ptr::write_bytes(arguments, 0, length);
        super::start::write_title(arguments, length);
        drop_stack_below();
        ALLOCATOR.cells().drop_older(ALLOCATOR.start());
        go(*Box::from_raw(value))
    }
}

/// In unit tests the C library's allocator, with an account of what each thread has asked for.
#[cfg(test)]
pub mod counted {
    use super::{GlobalAlloc, Layout};
    use std::alloc::System;
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
        let own = Box::leak(Box::new(Classes::new()));
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
        // SAFETY: no other thread has it.
        let cells = unsafe { own.cells() };
        assert!(cells.chunks.is_null() && cells.large.is_null());
    }

    #[test]
    fn large_blocks_grow_move_and_go() {
        let own = Box::leak(Box::new(Classes::new()));
        for align in [1, 64, 4096] {
            let layout = Layout::from_size_align(100_000, align).unwrap();
            // SAFETY: allocated, grown and freed with the same layouts.
            unsafe {
                let blocks: Vec<*mut u8> = (0..5).map(|_| own.alloc(layout)).collect();
                for block in &blocks {
                    assert!(!block.is_null() && (*block as usize).is_multiple_of(align));
                    ptr::write_bytes(*block, 9, layout.size());
                }
                own.dealloc(blocks[2], layout);
                let grown = own.realloc(blocks[1], layout, 5_000_000);
                assert_eq!((*grown, *grown.add(99_999)), (9, 9));
                let small = own.realloc(grown, Layout::from_size_align(5_000_000, align).unwrap(), 100);
                assert_eq!(*small.add(99), 9);
                own.dealloc(small, Layout::from_size_align(100, align).unwrap());
                for block in [blocks[0], blocks[3], blocks[4]] {
                    own.dealloc(block, layout);
                }
            }
        }
        // SAFETY: no other thread has it.
        assert!(unsafe { own.cells() }.large.is_null());
    }

    #[test]
    fn what_is_older_than_a_turn_over_is_gone_and_the_rest_stays() {
        let own = Box::leak(Box::new(Classes::new()));
        let (small, large) = (Layout::from_size_align(64, 8).unwrap(), Layout::from_size_align(1 << 20, 8).unwrap());
        // SAFETY: the old block in the area is read once more, as zeros: its page is still there.
        unsafe {
            let (old, _old_large) = (own.alloc(small), own.alloc(large));
            ptr::write_bytes(old, 7, 64);
            own.cells().turn_over(own.start());
            let (new, new_large) = (own.alloc(small), own.alloc(large));
            ptr::write_bytes(new, 8, 64);
            ptr::write_bytes(new_large, 8, 1 << 20);
            own.dealloc(old, small); // must not come again
            assert_ne!(own.alloc(small), old);
            own.cells().drop_older(own.start());
            assert_eq!((*old, *new, *new_large.add((1 << 20) - 1)), (0, 8, 8));
            own.dealloc(new_large, large);
            assert!(own.cells().large.is_null());
        }
    }

    #[test]
    fn many_small_blocks_take_little_more_than_their_size() {
        let own = Box::leak(Box::new(Classes::new()));
        let layout = Layout::from_size_align(32, 8).unwrap();
        for round in 0..3 {
            // SAFETY: every block is written and freed once, but those of an earlier turn, which are dropped.
            unsafe {
                let blocks: Vec<*mut u8> = (0..100_000).map(|_| own.alloc(layout)).collect();
                for block in &blocks {
                    ptr::write_bytes(*block, 5, 32);
                }
                let (mut chunks, mut chunk) = (0, own.cells().chunks);
                while !chunk.is_null() {
                    (chunks, chunk) = (chunks + 1, (*chunk).older);
                }
                assert!(chunks * CHUNK < 2 * 32 * 100_000, "{chunks} chunks");
                assert!(own.cells().large.is_null());
                own.cells().turn_over(own.start());
                own.dealloc(blocks[99_999], layout); // of an earlier turn: must not come again
                let new = own.alloc(layout);
                assert!(!blocks.contains(&new), "round {round}");
                own.cells().drop_older(own.start());
                ptr::write_bytes(new, 6, 32);
            }
        }
    }
}
