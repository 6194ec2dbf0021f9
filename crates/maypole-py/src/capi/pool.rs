//! Memory of dead objects of one type, kept for the next ones.
//!
//! A pool belongs to a loop and is capped, so what a burst leaves behind is bounded and goes with the loop.
//!
//! Invariant: what lies in the pool is untracked, has no references, and all its fields are empty.

use std::cell::{Cell, RefCell};

use pyo3::ffi;

use super::error::Result;
use super::object::{Obj, Owned};

/// Dead objects of exactly one type.
pub(crate) struct Pool {
    free: RefCell<Vec<*mut ffi::PyObject>>,
    /// How many it keeps.
    capacity: usize,
    /// Cleared when the loop goes: what dies after that is freed as usual.
    open: Cell<bool>,
}

impl Pool {
    pub(crate) fn new(capacity: usize) -> Pool {
        Pool {
            capacity,
            free: RefCell::new(Vec::new()),
            open: Cell::new(true),
        }
    }

    /// A new object of `class` with empty fields, not yet tracked by the collector; see [`track`].
    ///
    /// # Errors
    /// Only when memory is short.
    ///
    /// # Safety
    /// `class` is the one type whose objects are given to this pool.
    #[inline]
    pub(crate) unsafe fn take(&self, class: &Obj) -> Result<Owned> {
        let free = self.free.borrow_mut().pop();
        match free {
            // SAFETY: memory of this type without references; this makes it an object with one again.
            Some(memory) => unsafe { Owned::steal(ffi::PyObject_Init(memory, class.as_ptr().cast())) },
            None => allocate(class),
        }
    }

    /// Takes the memory of a dead object, if there is room.
    ///
    /// # Safety
    /// `memory` is an untracked object of this pool's type, without references, whose fields are empty. When the answer is
    /// true, the caller releases its type and never touches it again.
    #[inline]
    pub(crate) unsafe fn give(&self, memory: *mut ffi::PyObject) -> bool {
        let mut free = self.free.borrow_mut();
        if !self.open.get() || free.len() >= self.capacity || free.try_reserve(1).is_err() {
            return false;
        }
        free.push(memory);
        true
    }

    /// Frees everything, and takes nothing from now on.
    pub(crate) fn close(&self) {
        self.open.set(false);
        let free = std::mem::take(&mut *self.free.borrow_mut());
        for memory in free {
            // SAFETY: the invariant of the pool: untracked memory of a collected object.
            unsafe { ffi::PyObject_GC_Del(memory.cast()) };
        }
    }
}

/// A new object with zeroed fields, not yet tracked.
pub(crate) fn allocate(class: &Obj) -> Result<Owned> {
    // SAFETY: a live heap type; the generic allocator gives zeroed memory and tracks it.
    let object = unsafe { Owned::steal(ffi::PyType_GenericAlloc(class.as_ptr().cast(), 0))? };
    // SAFETY: tracked just now.
    unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) };
    Ok(object)
}

/// Shows a finished object to the collector.
#[inline]
pub(crate) fn track(object: &Obj) {
    // SAFETY: the callers made the object with `Pool::take` or `allocate`, which leave it untracked.
    unsafe { ffi::PyObject_GC_Track(object.as_ptr().cast()) };
}
