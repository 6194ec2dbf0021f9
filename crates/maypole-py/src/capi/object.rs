//! Borrowed and owned references to Python objects.
//!
//! Invariant: both types are neither `Send` nor `Sync`; who holds one holds the interpreter lock.

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::ptr::NonNull;

use pyo3::ffi;

use super::error::{Raised, Result};

/// A Python object that somebody else keeps alive for as long as the reference lives.
#[repr(transparent)]
pub(crate) struct Obj(UnsafeCell<ffi::PyObject>);

/// A strong reference; dropping it releases the reference and may run arbitrary Python code.
#[repr(transparent)]
pub(crate) struct Owned(NonNull<ffi::PyObject>);

impl Obj {
    /// Views a raw pointer as a borrowed object.
    ///
    /// # Safety
    /// `ptr` is a live object for `'a`, and this thread holds the interpreter lock.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr<'a>(ptr: *mut ffi::PyObject) -> &'a Obj {
        // SAFETY: `Obj` is a transparent wrapper of `PyObject`; the caller vouches for the pointer.
        unsafe { &*ptr.cast::<Obj>() }
    }

    /// As [`Obj::from_ptr`], for a pointer that may be null.
    ///
    /// # Safety
    /// `ptr` is null or a live object for `'a`, and this thread holds the interpreter lock.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr_opt<'a>(ptr: *mut ffi::PyObject) -> Option<&'a Obj> {
        if ptr.is_null() {
            return None;
        }
        // SAFETY: not null, and live by the caller's word.
        Some(unsafe { Obj::from_ptr(ptr) })
    }

    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.get()
    }

    /// A new strong reference to this object.
    #[inline(always)]
    pub(crate) fn own(&self) -> Owned {
        // SAFETY: the object is live and the lock is held, by the type's invariant.
        unsafe { ffi::Py_INCREF(self.as_ptr()) };
        // SAFETY: a reference is never null.
        Owned(unsafe { NonNull::new_unchecked(self.as_ptr()) })
    }

    #[inline(always)]
    pub(crate) fn is(&self, other: &Obj) -> bool {
        std::ptr::eq(self, other)
    }

    /// Whether anybody refers to the object. In a list without references one may stand that waits to be freed: CPython puts off
    /// the freeing of what is nested deeply.
    #[inline]
    pub(crate) fn is_referred_to(&self) -> bool {
        // SAFETY: the object's memory is there.
        unsafe { ffi::Py_REFCNT(self.as_ptr()) > 0 }
    }

    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        self.as_ptr() == none_ptr()
    }

    /// How many references there are.
    #[inline(always)]
    pub(crate) fn reference_count(&self) -> isize {
        // SAFETY: a live object.
        unsafe { ffi::Py_REFCNT(self.as_ptr()) }
    }

    /// Whether the collector knows objects of this type: those that can hold others.
    #[inline(always)]
    pub(crate) fn is_collected(&self) -> bool {
        // SAFETY: the type of a live object.
        unsafe { ffi::PyType_HasFeature(self.type_ptr(), ffi::Py_TPFLAGS_HAVE_GC) != 0 }
    }

    #[inline(always)]
    pub(crate) fn is_true(&self) -> bool {
        // SAFETY: `Py_True` is immortal.
        self.as_ptr() == unsafe { ffi::Py_True() }
    }

    #[inline(always)]
    pub(crate) fn type_ptr(&self) -> *mut ffi::PyTypeObject {
        // SAFETY: the object is live.
        unsafe { ffi::Py_TYPE(self.as_ptr()) }
    }

    /// Whether the object's type is `ty` or a subclass of it, by the C structure, not by `__class__`.
    #[inline]
    pub(crate) fn is_instance_of(&self, ty: *mut ffi::PyTypeObject) -> bool {
        let own = self.type_ptr();
        // SAFETY: both are live type objects.
        own == ty || unsafe { ffi::PyType_IsSubtype(own, ty) } != 0
    }
}

#[inline(always)]
pub(crate) fn none_ptr() -> *mut ffi::PyObject {
    // SAFETY: `Py_None` is immortal.
    unsafe { ffi::Py_None() }
}

/// A strong reference to `None`.
#[inline(always)]
pub(crate) fn none() -> Owned {
    // SAFETY: `None` is always live; callers run under the lock (crate invariant of this layer).
    unsafe { Obj::from_ptr(none_ptr()) }.own()
}

/// A strong reference to `True` or `False`.
#[inline(always)]
pub(crate) fn boolean(value: bool) -> Owned {
    // SAFETY: both singletons are always live.
    let ptr = unsafe { if value { ffi::Py_True() } else { ffi::Py_False() } };
    // SAFETY: as above.
    unsafe { Obj::from_ptr(ptr) }.own()
}

impl Owned {
    /// Takes over a reference that a C function returned; null means that it raised.
    ///
    /// # Safety
    /// `ptr` is null with the error indicator set, or a strong reference that the caller gives away.
    #[inline(always)]
    pub(crate) unsafe fn steal(ptr: *mut ffi::PyObject) -> Result<Owned> {
        match NonNull::new(ptr) {
            Some(ptr) => Ok(Owned(ptr)),
            None => Err(Raised),
        }
    }

    /// Takes over a reference that may be null without an error.
    ///
    /// # Safety
    /// `ptr` is null or a strong reference that the caller gives away.
    #[inline(always)]
    pub(crate) unsafe fn steal_opt(ptr: *mut ffi::PyObject) -> Option<Owned> {
        NonNull::new(ptr).map(Owned)
    }

    /// Gives the strong reference away as a raw pointer.
    #[inline(always)]
    pub(crate) fn into_ptr(self) -> *mut ffi::PyObject {
        let ptr = self.0.as_ptr();
        std::mem::forget(self);
        ptr
    }
}

impl Deref for Owned {
    type Target = Obj;

    #[inline(always)]
    fn deref(&self) -> &Obj {
        // SAFETY: the strong reference keeps the object alive for as long as `self`.
        unsafe { Obj::from_ptr(self.0.as_ptr()) }
    }
}

impl Clone for Owned {
    #[inline(always)]
    fn clone(&self) -> Owned {
        self.own()
    }
}

impl Drop for Owned {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: this value owns one reference, and the lock is held by the type's invariant.
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) }
    }
}

impl std::fmt::Debug for Owned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Owned({:p})", self.0)
    }
}
