//! Cancelling a task, and taking that back.
//!
//! Source: <https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.cancel>

use pyo3::ffi;

use super::TaskObject;
use crate::aio::operation::Operation;
use crate::capi::class::Native;
use crate::capi::error::{check, raise};
use crate::capi::object::boolean;
use crate::capi::{Args, Obj, Owned, Result, call, last_calls, names};
use crate::event_loop::LoopObject;
use crate::future::FutureObject;

pub(super) fn cancel(this: &TaskObject, args: Args<'_>) -> Result<Owned> {
    let [message] = args.bind("cancel", [&names::get().msg], 0)?;
    request(this, message).map(boolean)
}

/// Asks a task to cancel itself, and what it waits for: tasks that wait for each other are asked in a loop, because a long chain of
/// them would need a stack frame for each.
fn request(this: &TaskObject, message: Option<&Obj>) -> Result<bool> {
    let message = message.filter(|message| !message.is_none());
    if !is_noted(this)? {
        return Ok(false);
    }
    let (mut last, mut circle) = (this.as_obj().own(), Circle::new());
    loop {
        circle.check(&last)?;
        // SAFETY: `this`, or what was found to be a task below.
        let task = unsafe { TaskObject::of(last.as_ptr()) };
        let cancelled = match task.waits_for.get() {
            Some(waited) if is_task(&waited) => {
                // SAFETY: the exact type was just checked.
                if is_noted(unsafe { TaskObject::of(waited.as_ptr()) })? {
                    last = waited;
                    continue;
                }
                false
            }
            Some(waited) => cancel_awaited(&waited, message)?,
            None => false,
        };
        if !cancelled {
            task.must_cancel.set(true);
            task.future.set_cancel_message(message);
        }
        return Ok(true);
    }
}

/// Whether a walk comes back to where it was (Brent's algorithm: a place is kept, later ones ever more rarely).
struct Circle {
    kept: *const Obj,
    steps: usize,
    steps_max: usize,
}

impl Circle {
    fn new() -> Circle {
        Circle {
            kept: std::ptr::null(),
            steps: 0,
            steps_max: 1,
        }
    }

    /// # Errors
    /// `RecursionError`, as asyncio's, if the walk would never end.
    fn check(&mut self, place: &Obj) -> Result<()> {
        if std::ptr::eq(self.kept, place) {
            let text = "tasks that wait for each other in a circle cannot be cancelled";
            // SAFETY: the exception types exist while the interpreter does.
            return Err(raise(unsafe { ffi::PyExc_RecursionError }, text));
        }
        self.steps += 1;
        if self.steps == self.steps_max {
            (self.kept, self.steps, self.steps_max) = (place, 0, self.steps_max * 2);
        }
        Ok(())
    }
}

/// Counts a request to cancel; false for a task that is done.
fn is_noted(task: &TaskObject) -> Result<bool> {
    let event_loop = task.future.event_loop()?;
    task.future.forget_unretrieved();
    if task.future.is_done() {
        return Ok(false);
    }
    if let Some(own) = LoopObject::downcast(event_loop)
        && own.observer.records()
    {
        own.observer.record_cancel(task);
    }
    task.cancels.set(task.cancels.get().saturating_add(1));
    Ok(true)
}

fn is_task(waited: &Obj) -> bool {
    waited.type_ptr().cast() == super::class().as_ptr()
}

/// `waited.cancel(msg=message)`.
pub(crate) fn cancel_awaited(waited: &Obj, message: Option<&Obj>) -> Result<bool> {
    if is_task(waited) {
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
        Owned::steal(last_calls::PyObject_Call(
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
