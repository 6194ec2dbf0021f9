//! Context variables of callbacks and tasks: what is current when one is made is what it runs in (PEP 567).
//!
//! asyncio copies the current context for each callback and each task. A copy is an object of 64 bytes that most callbacks
//! never change, and most of them are equal. Here those who come while the same values are current share one [`Snapshot`]; a
//! context is made when one of them runs, and the next one runs in the same, if the last has left it as it was.
//!
//! * [`layout`]: where CPython keeps the values of a context, found out and checked when the module is imported;
//! * [`snapshot`]: what is shared.
//!
//! Invariant: nobody can tell a shared context from one of his own: before Python code sees a context that it may keep
//! ([`of_its_own`]), the holder has it for himself, and a context that was changed, kept or left by
//! an error is never used for another.
//! Source: <https://peps.python.org/pep-0567/>, <https://docs.python.org/3/library/contextvars.html#asyncio-support>

mod layout;
mod snapshot;

use pyo3::ffi;

pub(crate) use snapshot::{Snapshot, capture, forget};

use crate::capi::error::{check, restore, take, unraisable};
use crate::capi::{Field, Obj, Owned, Result};

/// Prepares sharing; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    snapshot::init()
}

/// A new copy of the current context, as `contextvars.copy_context()`.
#[inline]
pub(crate) fn copy() -> Result<Owned> {
    // SAFETY: the lock is held.
    unsafe { Owned::steal(ffi::PyContext_CopyCurrent()) }
}

/// A context for one holder alone, of what [`capture`] gave him; one that he has already stays the same.
///
/// # Errors
/// Only when memory is short.
pub(crate) fn of_its_own(captured: &Obj) -> Result<Owned> {
    match Snapshot::downcast(captured) {
        Some(snapshot) => snapshot.copy(),
        None => Ok(captured.own()),
    }
}

/// As [`of_its_own`], and puts it into the holder's field; `None` where that is empty.
///
/// # Errors
/// As [`of_its_own`].
pub(crate) fn own_in(field: &Field) -> Result<Option<Owned>> {
    let Some(captured) = field.get() else {
        return Ok(None);
    };
    let context = of_its_own(&captured)?;
    field.set(context.clone());
    Ok(Some(context))
}

/// Runs `body` inside `context`, as `context.run(...)` does.
///
/// # Errors
/// `RuntimeError` if the context is entered already, `TypeError` if it is no context, or what `body` raises.
#[inline]
pub(crate) fn run<R>(context: &Obj, body: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: a live object; the function checks its type.
    check(unsafe { ffi::PyContext_Enter(context.as_ptr()) })?;
    let outcome = body();
    if outcome.is_ok() {
        // SAFETY: entered above on this thread.
        check(unsafe { ffi::PyContext_Exit(context.as_ptr()) })?;
        return outcome;
    }
    leave_after_error(context);
    outcome
}

/// Leaves a context while an exception is set, without losing that exception.
#[cold]
fn leave_after_error(context: &Obj) {
    let pending = take();
    // SAFETY: entered by the caller on this thread.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } < 0 {
        unraisable(Some(context));
    }
    if let Some(pending) = pending {
        restore(pending);
    }
}

/// Runs `body` inside what [`capture`] gave, for a holder whom nobody can ask for his context meanwhile.
///
/// # Errors
/// As [`run`].
#[inline]
pub(crate) fn run_captured<R>(captured: &Obj, body: impl FnOnce() -> Result<R>) -> Result<R> {
    let Some(snapshot) = Snapshot::downcast(captured) else {
        return run(captured, body);
    };
    let context = snapshot.lend()?;
    let outcome = run(&context, body);
    if outcome.is_ok() {
        snapshot.give_back(context);
    }
    outcome
}

/// Runs `body` inside what [`capture`] put into `field`. Meanwhile the field holds the context itself, for those who ask;
/// afterwards it holds what was captured again, unless the context was changed or somebody keeps it.
///
/// # Errors
/// As [`run`].
#[inline]
pub(crate) fn run_in_field<R>(field: &Field, body: impl FnOnce() -> Result<R>) -> Result<Option<R>> {
    let Some(captured) = field.get() else {
        return Ok(None);
    };
    let Some(snapshot) = Snapshot::downcast(&captured) else {
        return run(&captured, body).map(Some);
    };
    let context = snapshot.lend()?;
    drop(field.replace(Some(context.clone())));
    let outcome = run(&context, body);
    let alone = outcome.is_ok()
        && field.peek().is_some_and(|held| held.is(&context))
        && context.reference_count() == 2;
    if alone && snapshot.is_unchanged(&context) {
        drop(field.replace(Some(captured.clone())));
        snapshot.give_back(context);
    }
    outcome.map(Some)
}
