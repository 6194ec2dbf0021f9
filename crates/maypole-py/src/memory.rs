//! Memory for the native module when the process has none left.
//!
//! Rust ends the process when a small allocation fails; Python raises `MemoryError` and goes on. What can grow without bounds (queue,
//! wheel, watch tables, buffers) asks before it grows and raises `MemoryError`. Everything else is small, and gets a block of a
//! fixed reserve when the system refuses: long enough for Python, which needs memory for every object, to find out and to raise.
//!
//! Invariant: a block of the reserve is given to one owner at a time: its bit is set from `take` to `give_back`.
//! Invariant: the reserve is zeroed static memory, so it costs nothing until it is needed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Blocks of one size.
#[repr(C, align(4096))]
struct Blocks<const SIZE: usize, const WORDS: usize, const BYTES: usize> {
    memory: UnsafeCell<[u8; BYTES]>,
    taken: [AtomicU64; WORDS],
}

// SAFETY: the memory is only handed out, block by block, to the one who has set the block's bit.
unsafe impl<const SIZE: usize, const WORDS: usize, const BYTES: usize> Sync for Blocks<SIZE, WORDS, BYTES> {}

impl<const SIZE: usize, const WORDS: usize, const BYTES: usize> Blocks<SIZE, WORDS, BYTES> {
    const fn new() -> Self {
        assert!(SIZE.is_power_of_two() && BYTES.is_multiple_of(SIZE) && BYTES <= SIZE * WORDS * 64);
        Self {
            memory: UnsafeCell::new([0; BYTES]),
            taken: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    fn take(&self, layout: Layout) -> Option<*mut u8> {
        if layout.size() > SIZE || layout.align() > SIZE.min(4096) {
            return None;
        }
        for (place, word) in self.taken.iter().enumerate() {
            let mut bits = word.load(Ordering::Relaxed);
            while bits != u64::MAX {
                let free = bits.trailing_ones() as usize;
                if (place * 64 + free + 1) * SIZE > BYTES {
                    break;
                }
                match word.compare_exchange_weak(bits, bits | 1 << free, Ordering::Acquire, Ordering::Relaxed)
                {
                    Ok(_) => {
                        let offset = (place * 64 + free) * SIZE;
                        return Some(self.memory.get().cast::<u8>().wrapping_add(offset));
                    }
                    Err(now) => bits = now,
                }
            }
        }
        None
    }

    /// Whether the block was one of these; it is free afterwards.
    fn give_back(&self, block: *mut u8) -> bool {
        let offset = (block as usize).wrapping_sub(self.memory.get() as usize);
        if offset >= BYTES {
            return false;
        }
        let index = offset / SIZE;
        self.taken[index / 64].fetch_and(!(1 << (index % 64)), Ordering::Release);
        true
    }
}

/// The system's memory, and a reserve of 3 MiB: many small blocks, few large ones.
struct WithReserve {
    small: Blocks<128, 32, { 128 * 2048 }>,
    medium: Blocks<2048, 4, { 2048 * 128 }>,
    large: Blocks<8192, 1, { 8192 * 64 }>,
    huge: Blocks<131_072, 1, { 131_072 * 16 }>,
}

#[global_allocator]
static MEMORY: WithReserve = WithReserve {
    small: Blocks::new(),
    medium: Blocks::new(),
    large: Blocks::new(),
    huge: Blocks::new(),
};

impl WithReserve {
    #[cold]
    fn rescue(&self, layout: Layout) -> *mut u8 {
        self.small
            .take(layout)
            .or_else(|| self.medium.take(layout))
            .or_else(|| self.large.take(layout))
            .or_else(|| self.huge.take(layout))
            .unwrap_or_default()
    }

    #[inline]
    fn is_reserved(&self, block: *mut u8) -> bool {
        let start = std::ptr::from_ref(self) as usize;
        (block as usize).wrapping_sub(start) < size_of::<Self>()
    }

    #[cold]
    fn give_back(&self, block: *mut u8) {
        let found = self.small.give_back(block)
            || self.medium.give_back(block)
            || self.large.give_back(block)
            || self.huge.give_back(block);
        debug_assert!(found, "a block of the reserve lies in one of its parts");
    }

    /// Moves a block from or into the reserve.
    ///
    /// # Safety
    /// As `GlobalAlloc::realloc`.
    #[cold]
    unsafe fn move_block(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's size is not zero and fits the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as above.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: two blocks of different owners, each at least as long as what is copied.
            unsafe { std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
            // SAFETY: the caller gives the block up.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

// SAFETY: blocks are the system's, or blocks of the reserve that have one owner, are large enough and aligned (see `Blocks::take`).
unsafe impl GlobalAlloc for WithReserve {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            self.rescue(layout)
        } else {
            block
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            return block;
        }
        let block = self.rescue(layout);
        if !block.is_null() {
            // SAFETY: a block of at least that size.
            unsafe { std::ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.is_reserved(block) {
            self.give_back(block);
        } else {
            // SAFETY: every other block is the system's.
            unsafe { System.dealloc(block, layout) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.is_reserved(block) {
            // SAFETY: every other block is the system's.
            let moved = unsafe { System.realloc(block, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller's arguments; a refused `realloc` has left the block alone.
        unsafe { self.move_block(block, layout, size) }
    }
}
