//! `sleep`: an operation with its timer inside; no frame, no handle, no future besides.
//!
//! Cancelling it takes the timer out of the wheel at once. On a loop that is not ours, asyncio's own `sleep` goes on in its place.
//! Source: <https://docs.python.org/3/library/asyncio-task.html#asyncio.sleep>

use std::ffi::CStr;

use pyo3::ffi;

use super::operation::{self, Operation, Step, Steps};
use super::stdlib::{self, running_loop};
use crate::capi::class::{add_function, module_function};
use crate::capi::error::{check, value_error};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Raised, Result, call};
use crate::event_loop::LoopObject;

const DOC: &CStr = c"sleep(delay, result=None)\n--\n\n\
Wait for delay seconds, then return result; sleep(0) lets others run once.\n\n\
Args:\n    delay: seconds, an int or a float; 0 or less yields once.\n    result: what awaiting it returns.\n\n\
Raises:\n    TypeError: if delay is not a number.\n    ValueError: if delay is NaN (Python 3.13 and later).\n\n\
Cancel safety: a cancelled sleep frees its timer at once and leaves nothing behind.\n\n\
Source: https://docs.python.org/3/library/asyncio-task.html#asyncio.sleep\n\n\
Example:\n    >>> import maypole\n    >>> maypole.run(maypole.sleep(0.001, 'done'))\n    'done'";

/// The steps of `sleep`; its owner is the result.
static SLEEP: Steps<Obj> = Steps {
    name: c"sleep",
    begin,
    resume,
    abandon,
};

/// `sleep(delay, result=None)`.
fn sleep(args: Args<'_>) -> Result<Owned> {
    if let ([delay], false) = (args.positional(), args.has_keywords()) {
        return operation::new(&SLEEP, &*none(), Some(*delay));
    }
    let (delay, result) = read(args)?;
    match result {
        Some(result) => operation::new(&SLEEP, result, Some(delay)),
        None => operation::new(&SLEEP, &*none(), Some(delay)),
    }
}

#[cold]
fn read(args: Args<'_>) -> Result<(&Obj, Option<&Obj>)> {
    let names = [&*call::interned("delay")?, &*call::interned("result")?];
    let [delay, result] = args.bind_function("sleep", names, 1)?;
    let delay = delay.ok_or(Raised)?;
    Ok((delay, result))
}

fn begin(result: &Obj, operation: &Operation) -> Result<Step> {
    let delay = operation.value();
    let (seconds, exact) = seconds_of(&delay)?;
    if seconds <= 0.0 {
        return Ok(Step::Yield);
    }
    if seconds.is_nan() && cfg!(Py_3_13) {
        return Err(value_error("Invalid delay: NaN (not a number)"));
    }
    let event_loop = running_loop()?;
    let Some(own) = LoopObject::downcast(&event_loop) else {
        return operation.delegate(&*stdlib::get().sleep.call(&[&delay, result])?);
    };
    let when_s = if exact {
        own.now_s()? + seconds
    } else {
        sum(own.now_s()?, &delay)?
    };
    let step = operation.wait_on(&event_loop)?;
    operation.finish_at(own, when_s)?;
    Ok(step)
}

/// The delay as a number, and whether that number is all there is to it. Other kinds of numbers are compared and added as Python
/// does it, so that they raise what they raise in asyncio.
#[inline]
fn seconds_of(delay: &Obj) -> Result<(f64, bool)> {
    // SAFETY: the type object is a static of the interpreter.
    if delay.is_exact_float() || delay.type_ptr() == &raw mut ffi::PyLong_Type {
        return Ok((delay.as_f64()?, true));
    }
    other_seconds(delay).map(|seconds| (seconds, false))
}

#[cold]
fn other_seconds(delay: &Obj) -> Result<f64> {
    let zero = call::integer(0)?;
    // SAFETY: two live objects; -1 says that the comparison raised.
    let ended = unsafe { ffi::PyObject_RichCompareBool(delay.as_ptr(), zero.as_ptr(), ffi::Py_LE) };
    check(ended)?;
    if ended == 1 {
        return Ok(0.0);
    }
    if cfg!(Py_3_13) && stdlib::get().is_nan.call(&[delay])?.truthy()? {
        return Ok(f64::NAN);
    }
    Ok(1.0)
}

#[cold]
fn sum(now_s: f64, delay: &Obj) -> Result<f64> {
    let now = call::float(now_s)?;
    // SAFETY: two live objects; the addition raises for what cannot be added.
    unsafe { Owned::steal(ffi::PyNumber_Add(now.as_ptr(), delay.as_ptr()))? }.as_f64()
}

fn resume(result: &Obj, operation: &Operation, _: Owned) -> Result<Step> {
    operation.drop_timer();
    Ok(Step::Return(result.own()))
}

fn abandon(_: &Obj, _: &Operation) -> Result<()> {
    Ok(())
}

/// Adds the function to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    add_function(module, c"sleep", module_function!(sleep), DOC)
}
