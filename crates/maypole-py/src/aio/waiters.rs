//! The line of those who wait, in the order of their coming.
//!
//! It is a native queue of [`Operation`]s until somebody asks for `_waiters`; from then on it is the `collections.deque` that they
//! were given, and may hold any future.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::c_int;

use pyo3::ffi;

use super::operation::Operation;
use super::stdlib::{self, names};
use crate::capi::class::Visitor;
use crate::capi::error::{attribute_error, current_is, memory_error, take};
use crate::capi::object::none;
use crate::capi::{Field, Obj, Owned, Raised, Result, call};
use crate::future::FutureObject;

/// A line of futures. Zeroed memory is an empty one.
pub(super) struct Waiters {
    #[expect(
        clippy::box_collection,
        reason = "zeroed memory is an empty Option of a Box, but no VecDeque"
    )]
    own: RefCell<Option<Box<VecDeque<Owned>>>>,
    /// The deque that was shown.
    shown: Field,
}

/// Whether a future is done.
pub(super) fn is_done(waiter: &Obj) -> Result<bool> {
    match FutureObject::downcast(waiter) {
        Some(own) => Ok(own.is_done()),
        None => waiter.call_method(&names().done, &[])?.truthy(),
    }
}

fn is_cancelled(waiter: &Obj) -> Result<bool> {
    match FutureObject::downcast(waiter) {
        Some(own) => Ok(own.is_cancelled()),
        None => waiter.call_method(&names().cancelled, &[])?.truthy(),
    }
}

/// `waiter.set_result(value)`.
#[inline]
pub(super) fn finish(waiter: &Obj, value: Owned) -> Result<()> {
    match FutureObject::downcast(waiter) {
        Some(own) => own.finish(value),
        None => waiter.call_method(&names().set_result, &[&value]).map(drop),
    }
}

impl Waiters {
    /// Puts an operation at the end.
    #[inline]
    pub(super) fn push(&self, waiter: &Operation) -> Result<()> {
        use crate::capi::class::Native;
        if let Some(shown) = self.shown.get() {
            return shown.call_method(&names().append, &[waiter.as_obj()]).map(drop);
        }
        let mut own = self.own.borrow_mut();
        let own = own.get_or_insert_default();
        own.try_reserve(1).map_err(|_| memory_error())?;
        own.push_back(waiter.as_obj().own());
        Ok(())
    }

    /// Takes an operation out, wherever it stands; one that is not there is no error.
    #[inline]
    pub(super) fn remove(&self, waiter: &Operation) -> Result<()> {
        use crate::capi::class::Native;
        if let Some(shown) = self.shown.get() {
            return remove_shown(&shown, waiter.as_obj());
        }
        let mut own = self.own.borrow_mut();
        let removed = own.as_mut().and_then(|own| {
            let place = own.iter().position(|other| other.is(waiter.as_obj()))?;
            own.remove(place)
        });
        drop((own, removed));
        Ok(())
    }

    /// Takes the first one out.
    pub(super) fn pop(&self) -> Result<Option<Owned>> {
        if let Some(shown) = self.shown.get() {
            if size(&shown)? == 0 {
                return Ok(None);
            }
            return shown.call_method(&names().popleft, &[]).map(Some);
        }
        Ok(self.own.borrow_mut().as_mut().and_then(|own| own.pop_front()))
    }

    /// The one at `place`, if there are so many.
    #[inline]
    pub(super) fn at(&self, place: usize) -> Result<Option<Owned>> {
        if let Some(shown) = self.shown.get() {
            return item(&shown, place);
        }
        Ok(self.own.borrow().as_ref().and_then(|own| own.get(place).cloned()))
    }

    #[inline]
    pub(super) fn len(&self) -> Result<usize> {
        match self.shown.get() {
            Some(shown) => size(&shown),
            None => Ok(self.own.borrow().as_ref().map_or(0, |own| own.len())),
        }
    }

    /// A state as asyncio's `repr` shows it, with the length of the line.
    pub(super) fn described(&self, state: &str) -> Result<String> {
        Ok(match self.len()? {
            0 => state.to_owned(),
            length => format!("{state}, waiters:{length}"),
        })
    }

    /// Whether nobody waits who was not cancelled.
    #[inline]
    pub(super) fn all_cancelled(&self) -> Result<bool> {
        if self.shown.is_empty() && self.own.borrow().as_ref().is_none_or(|own| own.is_empty()) {
            return Ok(true);
        }
        self.first_that_is_not(is_cancelled).map(|found| found.is_none())
    }

    /// The first one that is not done.
    #[inline]
    pub(super) fn first_pending(&self) -> Result<Option<Owned>> {
        self.first_that_is_not(is_done)
    }

    fn first_that_is_not(&self, so: fn(&Obj) -> Result<bool>) -> Result<Option<Owned>> {
        let mut place = 0;
        while let Some(waiter) = self.at(place)? {
            if !so(&waiter)? {
                return Ok(Some(waiter));
            }
            place += 1;
        }
        Ok(None)
    }

    /// Takes out up to the first one that is not done, and finishes that one with `None`.
    pub(super) fn wake_next(&self) -> Result<()> {
        while let Some(waiter) = self.pop()? {
            if !is_done(&waiter)? {
                return finish(&waiter, none());
            }
        }
        Ok(())
    }

    /// The line as Python sees it: a `collections.deque`, which is the line from now on.
    pub(super) fn show(&self) -> Result<Owned> {
        if let Some(shown) = self.shown.get() {
            return Ok(shown);
        }
        let own = self.own.borrow();
        let waiters = call::collect(own.iter().flat_map(|own| own.iter()).cloned().map(Ok))?;
        drop(own);
        let deque = stdlib::get().deque.call(&[&*call::list(waiters)?])?;
        let old = self.own.borrow_mut().take();
        self.shown.set(deque.clone());
        drop(old);
        Ok(deque)
    }

    /// `_waiters = value`.
    pub(super) fn replace(&self, value: Option<&Obj>) -> Result<()> {
        let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
        let old = self.own.borrow_mut().take();
        let value = (!value.is_none()).then(|| value.own());
        drop((self.shown.replace(value), old));
        Ok(())
    }

    pub(super) fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        if let Some(own) = &*self.own.borrow() {
            own.iter().try_for_each(|waiter| visitor.visit(waiter))?;
        }
        visitor.visit_opt(self.shown.peek())
    }

    pub(super) fn clear(&self) {
        let own = self.own.borrow_mut().take();
        drop((own, self.shown.take()));
    }
}

fn size(shown: &Obj) -> Result<usize> {
    // SAFETY: a live object; -1 says that it raised.
    usize::try_from(unsafe { ffi::PyObject_Size(shown.as_ptr()) }).map_err(|_| Raised)
}

fn item(shown: &Obj, place: usize) -> Result<Option<Owned>> {
    if place >= size(shown)? {
        return Ok(None);
    }
    // SAFETY: a live object; the function raises for what is no sequence.
    unsafe { Owned::steal(ffi::PySequence_GetItem(shown.as_ptr(), place as ffi::Py_ssize_t)) }.map(Some)
}

/// `shown.remove(waiter)`, where the waiter may be gone.
fn remove_shown(shown: &Obj, waiter: &Obj) -> Result<()> {
    match shown.call_method(&names().remove, &[waiter]) {
        Ok(_) => Ok(()),
        // SAFETY: the exception types exist while the interpreter does.
        Err(Raised) if current_is(unsafe { ffi::PyExc_ValueError }) => {
            drop(take());
            Ok(())
        }
        Err(Raised) => Err(Raised),
    }
}
