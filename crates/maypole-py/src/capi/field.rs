//! A Python reference inside the memory of an object.

use std::cell::Cell;

use pyo3::ffi;

use super::object::{Obj, Owned};

/// A place for one strong reference or none. Zeroed memory is an empty field.
///
/// Nothing here drops a reference while the field is in use: what is replaced is handed back.
#[repr(transparent)]
pub(crate) struct Field(Cell<*mut ffi::PyObject>);

impl Field {
    pub(crate) const fn empty() -> Field {
        Field(Cell::new(std::ptr::null_mut()))
    }

    /// The value, borrowed.
    ///
    /// The reference is good until Python code runs that may replace the field; take [`Field::get`] across such code.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<&Obj> {
        // SAFETY: the field holds null or a reference of its own.
        unsafe { Obj::from_ptr_opt(self.0.get()) }
    }

    /// A new reference to the value.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<Owned> {
        self.peek().map(Obj::own)
    }

    /// A new reference to the value, or to `None`.
    pub(crate) fn get_or_none(&self) -> Owned {
        self.get().unwrap_or_else(super::object::none)
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().is_null()
    }

    /// Puts a value in and hands the old one back.
    #[inline(always)]
    #[must_use = "dropping the old value may run Python code: choose when"]
    pub(crate) fn replace(&self, value: Option<Owned>) -> Option<Owned> {
        let old = self
            .0
            .replace(value.map_or(std::ptr::null_mut(), Owned::into_ptr));
        // SAFETY: the field owned it, or it is null.
        unsafe { Owned::steal_opt(old) }
    }

    /// Empties the field.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Owned> {
        self.replace(None)
    }

    /// Puts a value in and drops the old one, after the field has its new value.
    #[inline(always)]
    pub(crate) fn set(&self, value: Owned) {
        drop(self.replace(Some(value)));
    }
}
