//! Cancelling a task, and taking that back.
//!
//! Source: <https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.cancel>

use pyo3::ffi;

use super::TaskObject;
use crate::aio::operation::Operation;
use crate::capi::class::Native;
use crate::capi::error::check;
use crate::capi::object::boolean;
use crate::capi::{Args, Obj, Owned, Result, call, names};
use crate::event_loop::LoopObject;
use crate::future::FutureObject;

pub(super) fn cancel(this: &TaskObject, args: Args<'_>) -> Result<Owned> {
    let [message] = args.bind("cancel", [&names::get().msg], 0)?;
    request(this, message).map(boolean)
}

fn request(this: &TaskObject, message: Option<&Obj>) -> Result<bool> {
    let message = message.filter(|message| !message.is_none());
    this.future.event_loop()?;
    this.future.forget_unretrieved();
    if this.future.is_done() {
        return Ok(false);
    }
    if let Some(own) = this.future.event_loop().ok().and_then(LoopObject::downcast)
        && own.observer.records()
    {
        own.observer.record_cancel(this);
    }
    this.cancels.set(this.cancels.get() + 1);
    if let Some(waited) = this.waits_for.get()
        && cancel_awaited(&waited, message)?
    {
        return Ok(true);
    }
    this.must_cancel.set(true);
    this.future.set_cancel_message(message);
    Ok(true)
}

/// `waited.cancel(msg=message)`.
pub(crate) fn cancel_awaited(waited: &Obj, message: Option<&Obj>) -> Result<bool> {
    if waited.type_ptr().cast() == super::class().as_ptr() {
        // SAFETY: the exact type was just checked.
        return request(unsafe { TaskObject::of(waited.as_ptr()) }, message);
    }
    if let Some(future) = FutureObject::downcast(waited)
        && waited.type_ptr().cast() == crate::future::class().as_ptr()
    {
        return future.cancel(message, None);
    }
    if let Some(operation) = Operation::downcast(waited) {
        return operation.cancel(message);
    }
    let method = waited.get_attr(&names::get().cancel)?;
    // SAFETY: the lock is held.
    let keywords = unsafe { Owned::steal(ffi::PyDict_New())? };
    let name = &names::get().msg;
    let message = message.map_or_else(crate::capi::object::none, Obj::own);
    // SAFETY: three live objects.
    check(unsafe { ffi::PyDict_SetItem(keywords.as_ptr(), name.as_ptr(), message.as_ptr()) })?;
    let empty = call::tuple(&[])?;
    // SAFETY: a callable, a tuple and a dictionary.
    unsafe {
        Owned::steal(ffi::PyObject_Call(
            method.as_ptr(),
            empty.as_ptr(),
            keywords.as_ptr(),
        ))?
    }
    .truthy()
}

pub(super) fn cancelling(this: &TaskObject) -> Result<Owned> {
    call::integer(this.cancels.get().into())
}

pub(super) fn uncancel(this: &TaskObject) -> Result<Owned> {
    let left = (this.cancels.get() - 1).max(0);
    this.cancels.set(left);
    if left == 0 && cfg!(Py_3_13) {
        this.must_cancel.set(false);
    }
    call::integer(left.into())
}
