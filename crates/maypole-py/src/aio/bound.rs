//! What events, locks, semaphores and queues share: they belong to the loop in which somebody first had to wait for them.
//!
//! Source: `asyncio.mixins._LoopBoundMixin`.

use std::cell::Cell;
use std::ffi::c_int;

use pyo3::ffi;

use super::stdlib::{running_loop, string_of};
use crate::capi::class::{Native, Visitor};
use crate::capi::error::{Raised, attribute_error};
use crate::capi::{Field, Obj, Owned, Result, call};

/// The first part of the memory of such an object.
#[repr(C)]
pub(super) struct Bound {
    ob_base: ffi::PyObject,
    /// `_loop`: empty until somebody waits.
    event_loop: Field,
    pub(super) dict: Field,
    pub(super) weak_references: Cell<*mut ffi::PyObject>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for Bound {}

impl Bound {
    /// The running loop, to which the object belongs from now on.
    ///
    /// # Errors
    /// `RuntimeError` if it belongs to another one, or none runs.
    #[inline]
    pub(super) fn bind(&self) -> Result<Owned> {
        let running = running_loop()?;
        match self.event_loop.peek() {
            None => self.event_loop.set(running.clone()),
            Some(own) if own.is(&running) => {}
            Some(_) => return Err(self.bound_elsewhere()),
        }
        Ok(running)
    }

    #[cold]
    fn bound_elsewhere(&self) -> Raised {
        // SAFETY: a live object and a format that shows one.
        unsafe {
            ffi::PyErr_Format(
                ffi::PyExc_RuntimeError,
                c"%R is bound to a different event loop".as_ptr(),
                self.as_obj().as_ptr(),
            )
        };
        Raised
    }

    pub(super) fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        visitor.visit_opt(self.event_loop.peek())?;
        visitor.visit_opt(self.dict.peek())
    }

    pub(super) fn clear(&self) {
        drop((self.event_loop.take(), self.dict.take()));
    }

    pub(super) fn get_loop(&self) -> Owned {
        self.event_loop.get_or_none()
    }

    /// `_loop = value`: tests of asyncio set it.
    pub(super) fn set_loop(&self, value: Option<&Obj>) -> Result<()> {
        let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
        let value = (!value.is_none()).then(|| value.own());
        drop(self.event_loop.replace(value));
        Ok(())
    }

    /// `<asyncio's text of any object [extra]>`.
    pub(super) fn describe(&self, extra: &str) -> Result<Owned> {
        // SAFETY: the base of all types has this slot.
        let plain = unsafe {
            let repr = ffi::PyBaseObject_Type.tp_repr;
            Owned::steal(repr.map_or(std::ptr::null_mut(), |repr| repr(self.as_obj().as_ptr())))?
        };
        let plain = string_of(&plain)?;
        let plain = plain.strip_prefix('<').unwrap_or(&plain);
        let plain = plain.strip_suffix('>').unwrap_or(plain);
        call::text(&format!("<{plain} [{extra}]>"))
    }
}
