//! What the next items will touch is asked for while the present one runs.
//!
//! With thousands of tasks each item's objects have left the processor's caches since they were last used, and a step would wait
//! for one after the other: the item, its coroutine or its arguments, the future in them. They are asked for in that order, each
//! when the one that leads to it has had time to arrive.
//!
//! Invariant: nothing here changes anything; it reads only objects that the queue, or what is read, keeps alive.

use maypole_core::Turn;
use maypole_sys::prefetch;
use pyo3::ffi;

use crate::capi::class::Native;
use crate::capi::{Obj, Owned};
use crate::task::TaskObject;
use crate::{asyncio, handle};

/// How many items ahead an item itself is asked for.
const ITEM: usize = 4;
/// How many items ahead that is asked for to which the item leads.
const HELD: usize = 2;
/// How many items ahead the first argument of a callback is asked for.
const ARGUMENT: usize = 1;

/// Called before an item is taken.
#[inline(always)]
pub(super) fn look_ahead(turn: &Turn<Owned>, task_class: *mut ffi::PyObject) {
    let Some(held) = turn.upcoming(HELD) else { return };
    if let Some(item) = turn.upcoming(ITEM) {
        prefetch::<3>(item.as_ptr().cast());
    }
    if held.type_ptr().cast() == task_class {
        // SAFETY: the exact type was just checked.
        unsafe { TaskObject::of(held.as_ptr()) }.prefetch_held();
    } else if handle::types().is_own(held) {
        prefetch_arguments(held);
    }
    if let Some(next) = turn.upcoming(ARGUMENT)
        && handle::types().is_own(next)
    {
        prefetch_first_argument(next);
    }
}

#[inline(always)]
fn prefetch_arguments(handle: &Obj) {
    // SAFETY: a handle of our types.
    if let Some(args) = unsafe { asyncio::get().handle_slots.args.peek(handle) } {
        prefetch::<1>(args.as_ptr().cast());
    }
}

#[inline(always)]
fn prefetch_first_argument(handle: &Obj) {
    // SAFETY: a handle of our types.
    let Some(args) = (unsafe { asyncio::get().handle_slots.args.peek(handle) }) else {
        return;
    };
    // SAFETY: the arguments of a handle of ours are a tuple; of one with an item the first place is filled.
    unsafe {
        if ffi::PyTuple_CheckExact(args.as_ptr()) != 0 && ffi::PyTuple_GET_SIZE(args.as_ptr()) > 0 {
            prefetch::<2>(ffi::PyTuple_GET_ITEM(args.as_ptr(), 0).cast());
        }
    }
}
