//! The end of `asyncio.sleep`: its timer sets the result of a future unless that was cancelled.
//!
//! In asyncio the timer calls a Python function for that, `asyncio.futures._set_result_unless_cancelled`. Where the future is a plain
//! native one, the same is done without it.
//! Source: CPython, `Lib/asyncio/futures.py`.

use pyo3::ffi;

use super::{FutureObject, class};
use crate::capi::class::Native;
use crate::capi::{Obj, Result};

/// Does what the function does with these arguments; `None`, and nothing is done, where the function itself has to judge: other kinds
/// of futures, one that is done already, arguments that are not two.
#[inline]
pub(crate) fn set_result_unless_cancelled(args: &Obj) -> Option<Result<()>> {
    // SAFETY: the caller passes a tuple.
    if unsafe { ffi::PyTuple_GET_SIZE(args.as_ptr()) } != 2 {
        return None;
    }
    // SAFETY: the tuple has two items, and the caller keeps it alive.
    let (future, result) = unsafe {
        (
            Obj::from_ptr(ffi::PyTuple_GET_ITEM(args.as_ptr(), 0)),
            Obj::from_ptr(ffi::PyTuple_GET_ITEM(args.as_ptr(), 1)),
        )
    };
    if future.type_ptr().cast() != class().as_ptr() {
        return None;
    }
    // SAFETY: the exact type was just checked.
    let future = unsafe { FutureObject::of(future.as_ptr()) };
    if future.is_cancelled() {
        return Some(Ok(()));
    }
    (!future.is_done()).then(|| future.finish(result.own()))
}
