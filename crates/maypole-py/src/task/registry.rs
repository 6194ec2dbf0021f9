//! All pending tasks of native loops.
//!
//! asyncio keeps its tasks in a `WeakSet`, whose `add` costs more than the rest of making a task. Here pending tasks are links of
//! a list; the Python half puts them together with asyncio's own when somebody asks for all tasks.
//!
//! Invariant: a task is in the list from its first scheduling until it is done or freed; the list owns no reference.

use std::cell::Cell;

use super::TaskObject;
use crate::capi::cell::GilOnce;
use crate::capi::class::Native;
use crate::capi::error::memory_error;
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
    serials: Cell<u64>,
}

static REGISTRY: GilOnce<Registry> = GilOnce::new();

pub(super) fn init() {
    REGISTRY.set(Registry {
        first: Cell::new(std::ptr::null()),
        numbers: Cell::new(0),
        serials: Cell::new(0),
    });
}

/// A number that no task had before; counts from 1.
#[inline]
pub(super) fn next_serial() -> u64 {
    let serials = &REGISTRY.get().serials;
    serials.set(serials.get() + 1);
    serials.get()
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
    // Room first: whoever is out of memory asks for all tasks to cancel them.
    if tasks.try_reserve_exact(walk().count()).is_err() {
        return Err(memory_error());
    }
    tasks.extend(walk());
    call::list(tasks)
}

/// All native tasks that are not done, newest first.
pub(crate) fn pending() -> Vec<Owned> {
    walk().collect()
}

fn walk() -> impl Iterator<Item = Owned> {
    let mut place = REGISTRY.get().first.get();
    let tasks = std::iter::from_fn(move || {
        // SAFETY: as in `add`; nothing here runs Python code, so the list cannot change meanwhile.
        let task = unsafe { place.as_ref() }?;
        place = task.links.next.get();
        Some(task.as_obj())
    });
    tasks.filter(|task| task.is_referred_to()).map(Obj::own)
}
