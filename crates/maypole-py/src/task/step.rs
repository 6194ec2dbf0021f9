//! One step of a task: the coroutine runs up to its next wait, its end, or an exception.
//!
//! Source: `asyncio.tasks.Task.__step`, whose order of checks this follows.

use pyo3::ffi;

use super::{TaskObject, current, registry};
use crate::asyncio;
use crate::capi::class::Native;
use crate::capi::error::{current_ends_program, current_is, restore, take};
use crate::capi::object::none_ptr;
use crate::capi::{Obj, Owned, Raised, Result, last_calls, names};
use crate::context;
use crate::event_loop::LoopObject;
use crate::future::FutureObject;
use crate::future::outcome::invalid_state;

/// What the coroutine did with the control it was given.
pub(crate) enum Resumed {
    Yielded(Owned),
    Returned(Owned),
    Raised,
}

/// Runs one step of a task of a native loop, in the task's context.
///
/// # Errors
/// `SystemExit` and `KeyboardInterrupt` of the coroutine, after the task has them as its exception; or what asyncio would send to
/// the exception handler as the failure of a callback.
#[inline]
pub(crate) fn run(task: &TaskObject) -> Result<()> {
    context::run_in_field(&task.context, || inside_context(task)).map(Option::unwrap_or_default)
}

/// Runs one step; the caller has entered the task's context and made it the current task.
pub(super) fn inside_context(task: &TaskObject) -> Result<()> {
    if task.future.is_done() {
        return Err(invalid_state("step(): already done"));
    }
    let exception = exception_to_throw(task)?;
    let Some(coroutine) = task.coroutine.get() else {
        return Ok(());
    };
    match resume(&coroutine, exception) {
        Resumed::Yielded(value) => task.wait_for(value),
        Resumed::Returned(value) => {
            registry::remove(task);
            finish(task, value)
        }
        Resumed::Raised => {
            registry::remove(task);
            fail(task)
        }
    }
}

/// What the coroutine is to be woken with: the failure of what it waited for, or its own cancellation.
#[inline]
fn exception_to_throw(task: &TaskObject) -> Result<Option<Owned>> {
    let mut exception = task.to_throw.take();
    if let Some(waited) = task.waits_for.take()
        && exception.is_none()
        && let Some(future) = FutureObject::downcast(&waited)
    {
        exception = future.failure()?;
    }
    if task.must_cancel.replace(false) {
        let is_cancellation = exception.as_ref().is_some_and(|exception| {
            exception.is_instance_of(asyncio::get().cancelled_error.as_ptr().cast())
        });
        if !is_cancellation {
            exception = Some(task.future.make_cancelled_error()?);
        }
    }
    Ok(exception)
}

/// Goes on with a coroutine or an iterator like one, or throws `exception` into it.
#[inline]
pub(crate) fn resume(coroutine: &Obj, exception: Option<Owned>) -> Resumed {
    let Some(exception) = exception else {
        return send_none(coroutine);
    };
    match coroutine.call_method(&names::get().throw, &[&exception]) {
        Ok(value) => Resumed::Yielded(value),
        Err(Raised) => returned_by_stop_iteration(),
    }
}

#[inline]
fn send_none(coroutine: &Obj) -> Resumed {
    let mut value: *mut ffi::PyObject = std::ptr::null_mut();
    // SAFETY: two live objects and a place for the answer.
    let outcome = unsafe { last_calls::PyIter_Send(coroutine.as_ptr(), none_ptr(), &raw mut value) };
    // SAFETY: null, or a strong reference that the call gave us.
    let value = unsafe { Owned::steal_opt(value) };
    match (outcome, value) {
        (ffi::PySendResult::PYGEN_NEXT, Some(value)) => Resumed::Yielded(value),
        (ffi::PySendResult::PYGEN_RETURN, Some(value)) => Resumed::Returned(value),
        _ => Resumed::Raised,
    }
}

/// A coroutine ends by `StopIteration` when it is thrown into.
fn returned_by_stop_iteration() -> Resumed {
    // SAFETY: the exception types exist while the interpreter does.
    if !current_is(unsafe { ffi::PyExc_StopIteration }) {
        return Resumed::Raised;
    }
    let Some(stop) = take() else {
        return Resumed::Raised;
    };
    match stop.get_attr(&names::get().value) {
        Ok(value) => Resumed::Returned(value),
        Err(Raised) => Resumed::Raised,
    }
}

#[inline]
fn finish(task: &TaskObject, value: Owned) -> Result<()> {
    if task.must_cancel.replace(false) {
        // Cancelled by its own last lines.
        let message = task.future.cancel_message();
        return task.future.cancel(message.as_deref(), None).map(drop);
    }
    task.future.finish(value)
}

#[cold]
fn fail(task: &TaskObject) -> Result<()> {
    let ends_program = current_ends_program();
    let Some(exception) = take() else { return Ok(()) };
    if exception.is_instance_of(asyncio::get().cancelled_error.as_ptr().cast()) {
        return task.future.cancel(None, Some(exception)).map(drop);
    }
    task.future.fail(exception.clone())?;
    if ends_program {
        Err(restore(exception))
    } else {
        Ok(())
    }
}

/// Starts a task at once, inside the running one (`eager_start`); it is queued only if it has to wait.
pub(super) fn start_eagerly(task: &TaskObject) -> Result<()> {
    let event_loop = task.future.event_loop()?.own();
    let before = current::swap(&event_loop, Some(task.as_obj()))?;
    registry::add(task);
    let own = LoopObject::downcast(&event_loop);
    let maker = own.map_or(0, |own| own.set_running_serial(task.serial()));
    let outcome = run(task);
    let pending = if outcome.is_err() { take() } else { None };
    if let Some(own) = own {
        own.set_running_serial(maker);
        own.observer.metrics.stepped(&task.future);
    }
    current::swap(&event_loop, before.as_deref())?;
    match pending {
        Some(pending) => Err(restore(pending)),
        None => Ok(()),
    }
}
