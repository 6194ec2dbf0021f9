//! All pending tasks, and the current one of each loop.
//!
//! asyncio keeps its tasks in a `WeakSet`, whose `add` costs more than the rest of making a task. Here pending tasks are links of
//! a list; the Python half puts them together with asyncio's own when somebody asks for all tasks.
//!
//! Invariant: a task is in the list from its first scheduling until it is done or freed; the list owns no reference.
//! Invariant: `asyncio.current_task(loop)` tells the truth to all Python code: the entry is written before a step, and taken out
//! before anything else of the loop runs.

use std::cell::Cell;

use pyo3::ffi;

use super::TaskObject;
use crate::capi::cell::GilOnce;
use crate::capi::class::Native;
use crate::capi::error::check;
use crate::capi::{Obj, Owned, Result, call};

/// The places of a task in the list.
#[repr(C)]
pub(super) struct Links {
    previous: Cell<*const TaskObject>,
    next: Cell<*const TaskObject>,
    linked: Cell<bool>,
}

struct Registry {
    first: Cell<*const TaskObject>,
    numbers: Cell<u64>,
    /// asyncio's dictionary from loop to current task.
    current: Owned,
}

static REGISTRY: GilOnce<Registry> = GilOnce::new();

pub(super) fn init() -> Result<()> {
    if !REGISTRY.is_set() {
        let current = call::import_from("asyncio.tasks", "_current_tasks")?;
        REGISTRY.set(Registry {
            first: Cell::new(std::ptr::null()),
            numbers: Cell::new(0),
            current,
        });
    }
    Ok(())
}

/// The number of the next task without a name of its own; counts from 1.
pub(super) fn next_number() -> u64 {
    let numbers = &REGISTRY.get().numbers;
    numbers.set(numbers.get() + 1);
    numbers.get()
}

/// Links a task in; a second call does nothing.
pub(super) fn add(task: &TaskObject) {
    if task.links.linked.replace(true) {
        return;
    }
    let registry = REGISTRY.get();
    let first = registry.first.replace(task);
    task.links.next.set(first);
    task.links.previous.set(std::ptr::null());
    // SAFETY: every pointer in the list is a task that is not freed: `remove` is called before its memory goes.
    if let Some(first) = unsafe { first.as_ref() } {
        first.links.previous.set(task);
    }
}

/// Links a task out; one that is not in the list is left alone.
#[inline]
pub(super) fn remove(task: &TaskObject) {
    if !task.links.linked.replace(false) {
        return;
    }
    let (previous, next) = (task.links.previous.get(), task.links.next.get());
    // SAFETY: as in `add`.
    match unsafe { previous.as_ref() } {
        Some(previous) => previous.links.next.set(next),
        None => REGISTRY.get().first.set(next),
    }
    // SAFETY: as in `add`.
    if let Some(next) = unsafe { next.as_ref() } {
        next.links.previous.set(previous);
    }
}

/// `_pending_tasks()`: a list of all native tasks that are not done, newest first.
pub(crate) fn pending_tasks() -> Result<Owned> {
    let mut tasks = Vec::new();
    let mut place = REGISTRY.get().first.get();
    // SAFETY: as in `add`; nothing here runs Python code, so the list cannot change meanwhile.
    while let Some(task) = unsafe { place.as_ref() } {
        tasks.push(task.as_obj().own());
        place = task.links.next.get();
    }
    call::list(tasks)
}

/// Makes `task` the current one of its loop.
#[inline]
pub(crate) fn enter(event_loop: &Obj, task: &Obj) -> Result<()> {
    let current = &REGISTRY.get().current;
    // SAFETY: a live dictionary and two live objects; the key hashes by identity.
    check(unsafe { ffi::PyDict_SetItem(current.as_ptr(), event_loop.as_ptr(), task.as_ptr()) })
}

/// Says that no task of the loop is running.
#[inline]
pub(crate) fn leave(event_loop: &Obj) -> Result<()> {
    let current = &REGISTRY.get().current;
    // SAFETY: a live dictionary and a live key.
    let present = unsafe { ffi::PyDict_Contains(current.as_ptr(), event_loop.as_ptr()) };
    check(present)?;
    if present == 0 {
        return Ok(());
    }
    // SAFETY: as above.
    check(unsafe { ffi::PyDict_DelItem(current.as_ptr(), event_loop.as_ptr()) })
}

/// The current task of a loop, whoever made it.
pub(super) fn current(event_loop: &Obj) -> Result<Option<Owned>> {
    let current = &REGISTRY.get().current;
    // SAFETY: a live dictionary and a live key; the answer is borrowed, or null with or without an error.
    let task = unsafe {
        Obj::from_ptr_opt(ffi::PyDict_GetItemWithError(
            current.as_ptr(),
            event_loop.as_ptr(),
        ))
    };
    // SAFETY: reading the indicator needs only the lock.
    if task.is_none() && !unsafe { ffi::PyErr_Occurred() }.is_null() {
        return Err(crate::capi::Raised);
    }
    Ok(task.map(Obj::own))
}
