//! The attributes of a future that asyncio's own code and libraries read.

use pyo3::ffi;

use super::{FutureObject, State, awaited_by, outcome};
use crate::asyncio;
use crate::capi::class::{Class, enter, getter, setter};
use crate::capi::error::{attribute_error, value_error};
use crate::capi::object::boolean;
use crate::capi::{Obj, Owned, Result};

pub(super) fn declare(class: Class) -> Class {
    class
        .attribute(c"__class__", getter!(FutureObject, get_class), None)
        .attribute(c"_state", getter!(FutureObject, get_state), None)
        .attribute(c"_result", getter!(FutureObject, get_result), None)
        .attribute(c"_exception", getter!(FutureObject, get_exception), None)
        .attribute(c"_callbacks", getter!(FutureObject, get_callbacks), None)
        .attribute(
            c"_asyncio_awaited_by",
            getter!(FutureObject, awaited_by::get),
            None,
        )
        .attribute(c"_loop", getter!(FutureObject, get_loop_field), None)
        .attribute(
            c"_source_traceback",
            getter!(FutureObject, get_source_traceback),
            None,
        )
        .attribute(
            c"_cancel_message",
            getter!(FutureObject, get_cancel_message),
            Some(setter!(FutureObject, set_cancel_message)),
        )
        .attribute(
            c"_log_traceback",
            getter!(FutureObject, get_log_traceback),
            Some(setter!(FutureObject, set_log_traceback)),
        )
}

/// `__class__`: asyncio's own class, so that `isinstance` holds; a Python subclass answers with itself.
pub(super) fn get_class(this: &FutureObject) -> Result<Owned> {
    let class = this.object().type_ptr().cast();
    if class == super::class().as_ptr() {
        return Ok(asyncio::get().future.clone());
    }
    if class == crate::task::class().as_ptr() {
        return Ok(asyncio::get().task.clone());
    }
    // SAFETY: the type of a live object is live.
    Ok(unsafe { Obj::from_ptr(class) }.own())
}

pub(super) fn done(this: &FutureObject) -> Result<Owned> {
    Ok(boolean(this.is_done()))
}

pub(super) fn cancelled(this: &FutureObject) -> Result<Owned> {
    Ok(boolean(this.state() == State::Cancelled))
}

pub(super) fn get_loop(this: &FutureObject) -> Result<Owned> {
    Ok(this.event_loop()?.own())
}

fn get_loop_field(this: &FutureObject) -> Result<Owned> {
    Ok(this.event_loop.get_or_none())
}

fn get_state(this: &FutureObject) -> Result<Owned> {
    outcome::state_name(this.state())
}

fn get_result(this: &FutureObject) -> Result<Owned> {
    Ok(this.peek_result())
}

fn get_exception(this: &FutureObject) -> Result<Owned> {
    Ok(this.peek_exception())
}

fn get_callbacks(this: &FutureObject) -> Result<Owned> {
    this.list_callbacks()
}

fn get_source_traceback(this: &FutureObject) -> Result<Owned> {
    Ok(this.source_traceback.get_or_none())
}

fn get_cancel_message(this: &FutureObject) -> Result<Owned> {
    Ok(this.cancel_message.get_or_none())
}

fn set_cancel_message(this: &FutureObject, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.cancel_message.set(value.own());
    Ok(())
}

fn get_log_traceback(this: &FutureObject) -> Result<Owned> {
    Ok(boolean(this.log_traceback.get()))
}

fn set_log_traceback(this: &FutureObject, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    if value.truthy()? {
        return Err(value_error("_log_traceback can only be set to False"));
    }
    this.log_traceback.set(false);
    Ok(())
}

pub(super) fn get_blocking(this: &FutureObject) -> Result<Owned> {
    Ok(boolean(this.blocking.get()))
}

pub(super) fn set_blocking(this: &FutureObject, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.blocking.set(value.truthy()?);
    Ok(())
}

/// `Future[int]`: a generic alias of asyncio's class (PEP 585).
pub(crate) unsafe extern "C" fn class_getitem(
    class: *mut ffi::PyObject,
    item: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: two live objects.
        unsafe { Owned::steal(ffi::Py_GenericAlias(class, item)) }.map(Owned::into_ptr)
    })
}
