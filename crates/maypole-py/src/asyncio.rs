//! What maypole takes from the running Python's asyncio, imported once.

use pyo3::ffi;

use crate::capi::call::{import, import_from};
use crate::capi::cell::GilOnce;
use crate::capi::member::Slot;
use crate::capi::{Obj, Owned, Result, call};

/// Classes, functions and layouts of the standard library that native code needs.
pub(crate) struct Asyncio {
    /// `asyncio.Handle`.
    pub(crate) handle: Owned,
    /// `asyncio.TimerHandle`.
    pub(crate) timer_handle: Owned,
    /// `asyncio.Handle._run` as it was at import: somebody who replaces it wants to see every callback.
    pub(crate) handle_run: Owned,
    /// `()`.
    pub(crate) empty_tuple: Owned,
    /// The fields of a handle.
    pub(crate) handle_slots: HandleSlots,
    /// The fields that a timer handle adds.
    pub(crate) timer_slots: TimerSlots,
}

/// Places of `asyncio.Handle.__slots__`.
pub(crate) struct HandleSlots {
    pub(crate) callback: Slot,
    pub(crate) args: Slot,
    pub(crate) cancelled: Slot,
    pub(crate) event_loop: Slot,
    pub(crate) source_traceback: Slot,
    pub(crate) repr: Slot,
    pub(crate) context: Slot,
}

/// Places of `asyncio.TimerHandle.__slots__`.
pub(crate) struct TimerSlots {
    pub(crate) scheduled: Slot,
    pub(crate) when: Slot,
}

static ASYNCIO: GilOnce<Asyncio> = GilOnce::new();

/// Imports what is needed; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if ASYNCIO.is_set() {
        return Ok(());
    }
    import("asyncio")?;
    let handle = import_from("asyncio.events", "Handle")?;
    let timer_handle = import_from("asyncio.events", "TimerHandle")?;
    let handle_run = handle.get_attr(&*call::text("_run")?)?;
    let handle_slots = HandleSlots {
        callback: Slot::of(&handle, "_callback")?,
        args: Slot::of(&handle, "_args")?,
        cancelled: Slot::of(&handle, "_cancelled")?,
        event_loop: Slot::of(&handle, "_loop")?,
        source_traceback: Slot::of(&handle, "_source_traceback")?,
        repr: Slot::of(&handle, "_repr")?,
        context: Slot::of(&handle, "_context")?,
    };
    let timer_slots = TimerSlots {
        scheduled: Slot::of(&timer_handle, "_scheduled")?,
        when: Slot::of(&timer_handle, "_when")?,
    };
    let empty_tuple = call::tuple(&[])?;
    ASYNCIO.set(Asyncio {
        handle,
        timer_handle,
        handle_run,
        empty_tuple,
        handle_slots,
        timer_slots,
    });
    Ok(())
}

#[inline(always)]
pub(crate) fn get() -> &'static Asyncio {
    ASYNCIO.get()
}

/// Whether somebody replaced `asyncio.Handle._run`, as tools do that time or trace callbacks.
pub(crate) fn handle_run_is_patched() -> Result<bool> {
    let asyncio = get();
    let now = asyncio.handle.get_attr(&crate::capi::names::get().run)?;
    Ok(!now.is(&asyncio.handle_run))
}

/// A new copy of the current context, as `contextvars.copy_context()`.
#[inline]
pub(crate) fn copy_context() -> Result<Owned> {
    // SAFETY: the lock is held.
    unsafe { Owned::steal(ffi::PyContext_CopyCurrent()) }
}

/// Runs `body` inside `context`, as `context.run(...)` does (PEP 567).
///
/// # Errors
/// `RuntimeError` if the context is entered already, `TypeError` if it is no context, or what `body` raises.
#[inline]
pub(crate) fn run_in_context<R>(context: &Obj, body: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: a live object; the function checks its type.
    crate::capi::error::check(unsafe { ffi::PyContext_Enter(context.as_ptr()) })?;
    let outcome = body();
    if outcome.is_ok() {
        // SAFETY: entered above on this thread.
        crate::capi::error::check(unsafe { ffi::PyContext_Exit(context.as_ptr()) })?;
        return outcome;
    }
    leave_after_error(context);
    outcome
}

/// Leaves a context while an exception is set, without losing that exception.
#[cold]
fn leave_after_error(context: &Obj) {
    let pending = crate::capi::error::take();
    // SAFETY: entered by the caller on this thread.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } < 0 {
        crate::capi::error::unraisable(Some(context));
    }
    if let Some(pending) = pending {
        crate::capi::error::restore(pending);
    }
}
