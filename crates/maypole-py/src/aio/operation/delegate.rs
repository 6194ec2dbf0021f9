//! Another awaitable that goes on in the operation's place, as behind `await` in a coroutine.

use pyo3::ffi;

use super::drive::Driven;
use super::{Operation, Stage, Step};
use crate::capi::error::{current_is, restore, take};
use crate::capi::{Obj, Owned, Raised, Result, names};
use crate::task::step::{Resumed, resume};

impl Operation {
    /// Lets `awaitable` go on in the operation's place; `resume` gets its result.
    ///
    /// # Errors
    /// `TypeError` if it cannot be awaited, and what its `__await__` raises.
    pub(in crate::aio) fn delegate(&self, awaitable: &Obj) -> Result<Step> {
        self.value.set(iterator_of(awaitable)?);
        Ok(Step::Delegate)
    }

    #[cold]
    pub(super) fn drive_delegate(&self, exception: Option<Owned>) -> Result<Driven> {
        let inner = self.value();
        self.stage.set(Stage::Running);
        match resume_nested(&inner, exception) {
            Resumed::Yielded(value) => {
                self.stage.set(Stage::Delegated);
                Ok(Driven::Yielded(value))
            }
            Resumed::Returned(value) => {
                let steps = self.steps()?;
                self.settle(self.with_owner(|owner| (steps.resume)(owner, self, value)))
            }
            Resumed::Raised => {
                let steps = self.steps()?;
                self.settle(Err(self.give_up(steps)))
            }
        }
    }
}

/// What drives an awaitable: a coroutine or another iterator with `send` itself, or what `__await__` gives.
fn iterator_of(awaitable: &Obj) -> Result<Owned> {
    // SAFETY: the type object is a static of the interpreter.
    if awaitable.type_ptr() == &raw mut ffi::PyCoro_Type || Operation::downcast(awaitable).is_some() {
        return Ok(awaitable.own());
    }
    match awaitable.get_attr(&names::get().dunder_await) {
        Ok(method) => method.call(&[]),
        // SAFETY: the exception types exist while the interpreter does.
        Err(Raised) if current_is(unsafe { ffi::PyExc_AttributeError }) => {
            drop(take());
            Err(not_awaitable(awaitable))
        }
        Err(Raised) => Err(Raised),
    }
}

#[cold]
fn not_awaitable(given: &Obj) -> Raised {
    // SAFETY: a live object and a format that takes a type's name.
    unsafe {
        ffi::PyErr_Format(
            ffi::PyExc_TypeError,
            c"object %.100s can't be used in 'await' expression".as_ptr(),
            (*given.type_ptr()).tp_name,
        )
    };
    Raised
}

/// An awaitable may have another in its place, and so on: Python's limit holds here, too.
fn resume_nested(inner: &Obj, exception: Option<Owned>) -> Resumed {
    // SAFETY: the lock is held, and the text is a C string.
    if unsafe { ffi::Py_EnterRecursiveCall(c" while awaiting an object".as_ptr()) } != 0 {
        return Resumed::Raised;
    }
    let resumed = resume_awaitable(inner, exception);
    // SAFETY: entered above.
    unsafe { ffi::Py_LeaveRecursiveCall() };
    resumed
}

fn resume_awaitable(inner: &Obj, exception: Option<Owned>) -> Resumed {
    let name = &names::get().throw;
    // SAFETY: two live objects; the function clears what it raises.
    if exception.is_some() && unsafe { ffi::PyObject_HasAttr(inner.as_ptr(), name.as_ptr()) } == 0 {
        if let Some(exception) = exception {
            restore(exception);
        }
        return Resumed::Raised;
    }
    resume(inner, exception)
}
