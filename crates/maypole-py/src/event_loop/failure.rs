//! Where the exception of a callback goes: to the loop's exception handler, in asyncio's words.

use super::LoopObject;
use crate::asyncio;
use crate::capi::class::Native;
use crate::capi::error::{current_ends_program, take};
use crate::capi::{Obj, Raised, Result, call, names};

/// Sends the current exception to `call_exception_handler`, unless it is one that ends the program.
///
/// # Errors
/// `SystemExit` and `KeyboardInterrupt` stay set, as does whatever the exception handler itself lets through.
#[cold]
pub(super) fn report(this: &LoopObject, handle: &Obj) -> Result<()> {
    if current_ends_program() {
        return Err(Raised);
    }
    let Some(exception) = take() else { return Ok(()) };
    this.as_obj()
        .call_method(&names::get().report_failure, &[handle, &exception])?;
    Ok(())
}

/// As [`report`], for a step of a native task that failed outside its coroutine; `None` if it is not known which.
///
/// # Errors
/// As [`report`].
#[cold]
pub(super) fn report_step(this: &LoopObject, task: Option<&Obj>) -> Result<()> {
    if current_ends_program() {
        return Err(Raised);
    }
    let Some(exception) = take() else { return Ok(()) };
    let message = call::text("Exception in callback of a task's step")?;
    let entries = [
        ("message", Some(&*message)),
        ("exception", Some(&*exception)),
        ("task", task),
    ];
    asyncio::call_exception_handler(this.as_obj(), &entries)
}

/// As [`report`], for what leaves the handling of a transport: a method of a subclass, or a descriptor that somebody has closed.
///
/// # Errors
/// As [`report`].
#[cold]
pub(super) fn report_transport(this: &LoopObject, transport: &Obj) -> Result<()> {
    if current_ends_program() {
        return Err(Raised);
    }
    let Some(exception) = take() else { return Ok(()) };
    let message = call::text("Exception in callback of a transport")?;
    let entries = [
        ("message", Some(&*message)),
        ("exception", Some(&*exception)),
        ("transport", Some(transport)),
    ];
    asyncio::call_exception_handler(this.as_obj(), &entries)
}
