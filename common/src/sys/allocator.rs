//! The memory allocator of the programs.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dlmalloc::Dlmalloc;

/// dlmalloc behind a lock of one atomic flag. An ADD of `portmap` takes it six thousand times, nearly always in one
/// thread; docs/dependencies.md has the figures of other locks and allocators.
pub struct Allocator;

struct Heap {
    is_taken: AtomicBool,
    dlmalloc: UnsafeCell<Dlmalloc>,
}

static HEAP: Heap = Heap {
    is_taken: AtomicBool::new(false),
    dlmalloc: UnsafeCell::new(Dlmalloc::new()),
};

// SAFETY: only `with` reaches `dlmalloc`, and lets one thread in at a time.
#[allow(unsafe_code)]
unsafe impl Sync for Heap {}

impl Heap {
    #[allow(unsafe_code)]
    fn with<T>(&self, action: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.is_taken.swap(true, Ordering::Acquire) {
            thread::yield_now();
        }
        // SAFETY: the flag is ours until it is stored below, and neither dlmalloc nor an action allocates or panics.
        let done = action(unsafe { &mut *self.dlmalloc.get() });
        self.is_taken.store(false, Ordering::Release);
        done
    }
}

// SAFETY: what each method promises is what dlmalloc's function promises for the same arguments.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as of the method.
        HEAP.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as of the method.
        HEAP.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as of the method.
        HEAP.with(|heap| unsafe { heap.realloc(block, layout.size(), layout.align(), size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as of the method.
        HEAP.with(|heap| unsafe { heap.free(block, layout.size(), layout.align()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code)]
    fn threads_get_blocks_that_do_not_meet() {
        let layout = Layout::from_size_align(64, 8).unwrap();
        let one = |mark: u8| {
            for _ in 0..20_000 {
                // SAFETY: each block is written and read within its size, and freed once.
                unsafe {
                    let blocks: Vec<*mut u8> = (0..4).map(|_| Allocator.alloc(layout)).collect();
                    blocks.iter().for_each(|block| block.write_bytes(mark, 64));
                    for block in blocks {
                        let bytes = std::slice::from_raw_parts(block, 64);
                        assert!(bytes.iter().all(|byte| *byte == mark));
                        Allocator.dealloc(block, layout);
                    }
                }
            }
        };
        thread::scope(|scope| {
            for mark in 1..=4 {
                scope.spawn(move || one(mark));
            }
        });
    }
}
