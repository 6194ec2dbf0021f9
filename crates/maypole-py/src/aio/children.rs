//! The awaitables that `gather` and `as_completed` watch: what is native among them, and how they tell.

use pyo3::ffi;

use super::as_completed::Completions;
use super::gather::{self, Gathering};
use super::operation::Operation;
use super::stdlib;
use crate::capi::{Obj, Owned, Result, call};
use crate::event_loop::LoopObject;
use crate::future::{self, FutureObject};
use crate::task::{self, TaskObject};

/// Whether somebody put another `create_task` on the loop or its class: a replaced method is no built-in function.
pub(super) fn is_replaced(event_loop: &Obj) -> Result<bool> {
    let method = event_loop.get_attr(&stdlib::names().create_task)?;
    Ok(method.type_ptr() != &raw mut ffi::PyCFunction_Type)
}

/// Whether all arguments are different, and each is a coroutine or a native future of this loop; and there is one.
pub(super) fn are_native(given: &[&Obj], event_loop: &Obj) -> Result<bool> {
    if given.is_empty() {
        return Ok(false);
    }
    for child in given {
        if is_coroutine(child) {
            continue;
        }
        match own_future(child) {
            Some(future) if future.event_loop()?.is(event_loop) => {}
            _ => return Ok(false),
        }
    }
    let mut addresses = call::collect(given.iter().map(|child| Ok(std::ptr::from_ref(*child))))?;
    addresses.sort_unstable();
    Ok(addresses.windows(2).all(|pair| pair[0] != pair[1]))
}

fn is_coroutine(given: &Obj) -> bool {
    // SAFETY: the type object is a static of the interpreter.
    given.type_ptr() == &raw mut ffi::PyCoro_Type || Operation::downcast(given).is_some_and(Operation::is_new)
}

/// A future of exactly our types, whose state nobody overrides.
fn own_future(given: &Obj) -> Option<&FutureObject> {
    let class = given.type_ptr().cast();
    if class == future::class().as_ptr()
        || class == task::class().as_ptr()
        || class == gather::class().as_ptr()
    {
        FutureObject::downcast(given)
    } else {
        None
    }
}

/// The future of one argument; a task that only its watcher knows may die without a word.
pub(super) fn child_of(event_loop: &LoopObject, given: &Obj) -> Result<Owned> {
    if !is_coroutine(given) {
        return Ok(given.own());
    }
    let parts = task::Parts {
        coroutine: given,
        name: None,
        context: None,
    };
    let child = task::spawn(event_loop, &parts)?;
    if let Some(task) = TaskObject::downcast(&child) {
        task.die_quietly();
    }
    Ok(child)
}

/// Tells a watcher that a child is done, if `waiter` is one; it is queued then, as a task would be.
#[inline(always)]
pub(crate) fn note(waiter: &Obj, child: &Obj) {
    if let Some(gathering) = Gathering::downcast(waiter) {
        gathering.note(child);
    } else if let Some(completions) = Completions::downcast(waiter) {
        completions.note(child);
    }
}

/// What a watcher looks like in `child._callbacks`; `None` for what is none.
pub(crate) fn callback_of(waiter: &Obj) -> Option<Result<Owned>> {
    if Gathering::downcast(waiter).is_none() && Completions::downcast(waiter).is_none() {
        return None;
    }
    Some(call::interned("_child_done").and_then(|name| waiter.get_attr(&name)))
}
