//! asyncio's helpers, natively: `sleep`, `Event`, `Lock`, `Semaphore`, `Queue`.
//!
//! In asyncio each call of `lock.acquire()` or `queue.get()` makes a coroutine, and each wait a future besides. Here one pooled
//! object is both.
//!
//! * [`operation`]: that object: a coroutine until it waits, a future while it does;
//! * [`sleep`]: an operation with its timer inside;
//! * [`bound`], [`waiters`], [`held`]: what locks, events and queues share: the loop they belong to, the line of those who wait,
//!   life and death of the object;
//! * [`event`], [`lock`], [`semaphore`], [`queue`]: asyncio's classes;
//! * [`stdlib`]: the parts of asyncio that these need, as they were at import.
//!
//! Everything works on any asyncio loop and under any task; a native loop with native tasks makes it fast.
//!
//! Invariant: nothing here holds a Rust borrow while Python code can run.
//! Source: <https://docs.python.org/3/library/asyncio-sync.html>, <https://docs.python.org/3/library/asyncio-queue.html>

mod bound;
mod event;
mod held;
mod lock;
pub(crate) mod operation;
mod queue;
mod semaphore;
mod sleep;
mod stdlib;
mod waiters;

use crate::capi::{Obj, Result};

/// Makes the types; called once while the module is imported, after the future's.
pub(crate) fn init() -> Result<()> {
    stdlib::init()?;
    operation::init()?;
    event::init()?;
    lock::init()?;
    semaphore::init()?;
    queue::init()
}

/// Adds types and functions to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    operation::register(module)?;
    sleep::register(module)?;
    event::register(module)?;
    lock::register(module)?;
    semaphore::register(module)?;
    queue::register(module)
}
