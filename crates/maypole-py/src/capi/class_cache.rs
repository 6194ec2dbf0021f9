//! A quick answer to "is this object's class one of ours?" for classes that Python code subclasses.

use std::cell::Cell;

use pyo3::ffi;

use super::object::Obj;

/// The last class that was found to be a subclass of ours: nearly every object of a process is of that one.
///
/// The class is kept alive, since one that dies may leave its address to another.
pub(crate) struct ClassCache {
    last: Cell<*mut ffi::PyTypeObject>,
}

impl ClassCache {
    pub(crate) const fn new() -> ClassCache {
        ClassCache {
            last: Cell::new(std::ptr::null_mut()),
        }
    }

    /// Whether `object` is an instance of `class` or a subclass, by the C structure.
    #[inline(always)]
    pub(crate) fn is_instance(&self, object: &Obj, class: &Obj) -> bool {
        let own = object.type_ptr();
        own == self.last.get() || self.look_up(object, class)
    }

    #[cold]
    fn look_up(&self, object: &Obj, class: &Obj) -> bool {
        let is_instance = object.is_instance_of(class.as_ptr().cast());
        if is_instance {
            // SAFETY: the class of a live object is live, and gains a reference.
            unsafe { ffi::Py_INCREF(object.type_ptr().cast()) };
            let old = self.last.replace(object.type_ptr());
            // SAFETY: null, or the reference that was taken when it was stored.
            unsafe { ffi::Py_XDECREF(old.cast()) };
        }
        is_instance
    }
}
