//! asyncio's helpers, natively: `sleep`, `gather`, `as_completed`, `Event`, `Lock`, `Semaphore`, `Queue`.
//!
//! In asyncio each call of `lock.acquire()` or `queue.get()` makes a coroutine, and each wait a future besides. Here one pooled
//! object is both.
//!
//! * [`operation`]: that object: a coroutine until it waits, a future while it does;
//! * [`sleep`]: an operation with its timer inside;
//! * [`gather`], [`as_completed`]: many awaitables at once; [`children`]: what they watch;
//! * [`bound`], [`waiters`], [`held`]: what locks, events and queues share: the loop they belong to, the line of those who wait,
//!   life and death of the object;
//! * [`readable`]: until a descriptor can be read, for `sock_recv`;
//! * [`event`], [`lock`], [`semaphore`], [`queue`]: asyncio's classes;
//! * [`streams`]: readers and writers;
//! * [`stdlib`]: the parts of asyncio that these need, as they were at import.
//!
//! Everything works on any asyncio loop and under any task; a native loop with native tasks makes it fast.
//!
//! Invariant: nothing here holds a Rust borrow while Python code can run.
//! Source: <https://docs.python.org/3/library/asyncio-sync.html>, <https://docs.python.org/3/library/asyncio-queue.html>

mod as_completed;
mod bound;
pub(crate) mod children;
mod event;
mod gather;
mod held;
mod lock;
pub(crate) mod operation;
mod queue;
pub(crate) mod readable;
mod semaphore;
mod sleep;
mod stdlib;
mod streams;
mod waiters;

use crate::capi::{Obj, Result};
use as_completed::Completions;
use gather::Gathering;
use operation::Operation;

/// Whether a task may wait for objects of this class as for a plain native future.
#[inline(always)]
pub(crate) fn is_future_class(class: *mut pyo3::ffi::PyObject) -> bool {
    class == operation::class().as_ptr() || class == gather::class().as_ptr()
}

/// Whether the object is what `gather` gave.
pub(crate) fn is_gathering(object: &Obj) -> bool {
    Gathering::downcast(object).is_some()
}

/// Runs an item of the queue that is one of ours: a `sleep` whose time has come, a gathering with a child that is done. No Python
/// code runs.
#[inline(always)]
pub(crate) fn run(item: &Obj) -> Option<Result<()>> {
    if let Some(operation) = Operation::downcast(item) {
        return Some(operation.fire());
    }
    if let Some(gathering) = Gathering::downcast(item) {
        return Some(gathering.step());
    }
    Completions::downcast(item).map(Completions::step)
}

/// Makes the types; called once while the module is imported, after the future's.
pub(crate) fn init() -> Result<()> {
    stdlib::init()?;
    operation::init()?;
    gather::init()?;
    as_completed::init()?;
    event::init()?;
    lock::init()?;
    semaphore::init()?;
    queue::init()?;
    streams::init()
}

/// Adds types and functions to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    operation::register(module)?;
    sleep::register(module)?;
    gather::register(module)?;
    as_completed::register(module)?;
    event::register(module)?;
    lock::register(module)?;
    semaphore::register(module)?;
    queue::register(module)?;
    streams::register(module)
}
