//! What Python code sees of an operation: the methods and attributes of a coroutine, and of a future while it waits.

use pyo3::ffi;

use super::drive::Driven;
use super::{Operation, Stage};
use crate::capi::class::{Native, enter};
use crate::capi::error::{attribute_error, current_is, runtime_error, take, type_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Raised, Result, call, names};
use crate::future::iterator::exception_to_throw;
use crate::future::stop_iteration::{returned, stop_iteration};

pub(super) unsafe extern "C" fn next(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        match unsafe { Operation::of(this) }.drive()? {
            Driven::Yielded(value) => Ok(value.into_ptr()),
            // Null without an exception means `StopIteration()` with the value None.
            Driven::Returned(value) if value.is_none() => Ok(std::ptr::null_mut()),
            Driven::Returned(value) => Err(returned(value)),
        }
    })
}

pub(super) unsafe extern "C" fn send_slot(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
    answer: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    let mut value = std::ptr::null_mut();
    let outcome = enter(ffi::PySendResult::PYGEN_ERROR, || {
        // SAFETY: the interpreter passes an instance of our type.
        match unsafe { Operation::of(this) }.drive()? {
            Driven::Yielded(yielded) => {
                value = yielded.into_ptr();
                Ok(ffi::PySendResult::PYGEN_NEXT)
            }
            Driven::Returned(returned) => {
                value = returned.into_ptr();
                Ok(ffi::PySendResult::PYGEN_RETURN)
            }
        }
    });
    // SAFETY: the caller's place for the answer.
    unsafe { *answer = value };
    outcome
}

pub(super) fn await_method(this: &Operation) -> Result<Owned> {
    Ok(this.as_obj().own())
}

/// As a method gives it: a yielded value is returned, a returned one raised.
fn as_method(driven: Driven) -> Result<Owned> {
    match driven {
        Driven::Yielded(value) => Ok(value),
        Driven::Returned(value) => Err(stop_iteration(&value)),
    }
}

pub(super) fn send(this: &Operation, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("send", &["value"], 1)?;
    if this.stage.get() == Stage::New && !given[0].is_none() {
        return Err(type_error(
            "can't send non-None value to a just-started coroutine",
        ));
    }
    this.drive().and_then(as_method)
}

/// `throw(type[, value[, traceback]])` or `throw(exception)`.
pub(super) fn throw(this: &Operation, args: Args<'_>) -> Result<Owned> {
    let exception = exception_to_throw(args)?;
    this.drive_by(exception).and_then(as_method)
}

pub(super) fn close(this: &Operation) -> Result<Owned> {
    match this.stage.get() {
        Stage::New | Stage::Done => {
            this.stage.set(Stage::Done);
            return Ok(none());
        }
        Stage::Running => return Err(this.not_resumable(Stage::Running)),
        Stage::Waiting | Stage::Yielded | Stage::Delegated => {}
    }
    // SAFETY: the exception types exist while the interpreter does.
    let exit = unsafe { Obj::from_ptr(ffi::PyExc_GeneratorExit) };
    match this.drive_by(exit.call(&[])?) {
        Ok(Driven::Yielded(_)) => Err(runtime_error("coroutine ignored GeneratorExit")),
        Ok(Driven::Returned(_)) => Ok(none()),
        Err(Raised) => forget_exit(exit),
    }
}

/// `GeneratorExit` and `StopIteration` are how closing ends.
fn forget_exit(exit: &Obj) -> Result<Owned> {
    // SAFETY: the exception types exist while the interpreter does.
    if current_is(exit.as_ptr()) || current_is(unsafe { ffi::PyExc_StopIteration }) {
        drop(take());
        return Ok(none());
    }
    Err(Raised)
}

pub(super) fn cancel_method(this: &Operation, args: Args<'_>) -> Result<Owned> {
    let [message] = args.bind("cancel", [&names::get().msg], 0)?;
    this.cancel(message).map(boolean)
}

pub(super) fn get_running(this: &Operation) -> Result<Owned> {
    Ok(boolean(this.stage.get() == Stage::Running))
}

/// `None` says that the object is no future, which holds as long as it does not wait.
pub(super) fn get_blocking(this: &Operation) -> Result<Owned> {
    if this.stage.get() == Stage::Waiting {
        Ok(boolean(this.future.blocking.get()))
    } else {
        Ok(none())
    }
}

pub(super) fn set_blocking(this: &Operation, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.future.blocking.set(value.truthy()?);
    Ok(())
}

impl Operation {
    pub(crate) fn name(&self) -> &'static str {
        let name = self.steps.get().map_or(c"operation", |steps| steps.name);
        name.to_str().unwrap_or("operation")
    }
}

pub(super) fn get_qualified_name(this: &Operation) -> Result<Owned> {
    call::text(this.name())
}

pub(super) fn get_name(this: &Operation) -> Result<Owned> {
    let name = this.name();
    call::text(name.rsplit('.').next().unwrap_or(name))
}

pub(super) unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let operation = unsafe { Operation::of(this) };
        let stage = match operation.stage.get() {
            Stage::New => "not started",
            Stage::Running => "running",
            Stage::Waiting | Stage::Yielded | Stage::Delegated => "waiting",
            Stage::Done => "done",
        };
        call::text(&format!("<coroutine {} at {this:p} ({stage})>", operation.name())).map(Owned::into_ptr)
    })
}
