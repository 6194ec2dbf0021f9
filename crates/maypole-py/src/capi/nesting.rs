//! Freeing long chains without a stack frame for each link.
//!
//! A future may hold the next one as its result, and that one the next: freeing the first frees all, each inside the freeing
//! of the one before. From some depth on, what is to be freed waits until the outermost has ended. CPython does the same for
//! its containers ("trashcan", `Include/cpython/object.h`), by functions that differ between its versions.
//!
//! Invariant: what waits is known to nobody else: its count is zero, and neither the collector nor a list of ours leads to it.

use std::cell::{Cell, RefCell};

use pyo3::ffi;

/// How deep freeing may nest: some 50 KiB of stack, with a coroutine and a tuple between two objects of ours.
const DEPTH_MAX: u32 = 100;

/// An object without references, and the function that frees it.
type Dead = (*mut ffi::PyObject, unsafe fn(*mut ffi::PyObject));

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static WAITING: RefCell<Vec<Dead>> = const { RefCell::new(Vec::new()) };
}

/// Frees a dead object now, or when the freeing that led here has ended.
///
/// # Safety
/// `object` is a collected object whose count has reached zero, handed over by `tp_dealloc`; `free` frees objects of its type.
#[inline]
pub(crate) unsafe fn free(object: *mut ffi::PyObject, free: unsafe fn(*mut ffi::PyObject)) {
    let depth = DEPTH.get();
    if depth >= DEPTH_MAX && postpone((object, free)) {
        return;
    }
    DEPTH.set(depth + 1);
    // SAFETY: what the caller promises.
    unsafe { free(object) };
    DEPTH.set(depth);
    if depth == 0 {
        free_waiting();
    }
}

/// Whether [`free`] would postpone: who is in a list by an address has to leave it first.
#[inline]
pub(crate) fn is_deep() -> bool {
    DEPTH.get() >= DEPTH_MAX
}

/// False where there is no memory to remember it, or the thread ends: then it is freed at once, whatever the stack says.
#[cold]
fn postpone(dead: Dead) -> bool {
    // SAFETY: an object that the collector may know; untracking twice is allowed.
    unsafe { ffi::PyObject_GC_UnTrack(dead.0.cast()) };
    WAITING
        .try_with(|waiting| {
            let mut waiting = waiting.borrow_mut();
            let room = waiting.try_reserve(1).is_ok();
            if room {
                waiting.push(dead);
            }
            room
        })
        .unwrap_or(false)
}

/// Frees what waits, and what begins to wait meanwhile.
#[inline]
fn free_waiting() {
    while let Some((object, free)) = next_waiting() {
        DEPTH.set(1);
        // SAFETY: as handed over; a finalizer may run and bring the object back, and then the collector must know it.
        unsafe {
            ffi::PyObject_GC_Track(object.cast());
            free(object);
        }
        DEPTH.set(0);
    }
}

#[inline]
fn next_waiting() -> Option<Dead> {
    WAITING
        .try_with(|waiting| waiting.borrow_mut().pop())
        .ok()
        .flatten()
}
