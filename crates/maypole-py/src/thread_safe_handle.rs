//! What `call_soon_threadsafe` returns from Python 3.14 on: asyncio's own `_ThreadSafeHandle`, made and run natively.
//!
//! Its methods are asyncio's. They take the handle's lock, so `cancel()` in another thread waits for a callback that has begun; the
//! loop therefore holds the lock while it runs the callback.
//!
//! Source: `asyncio.events._ThreadSafeHandle`, <https://docs.python.org/3.14/library/asyncio-eventloop.html#asyncio.loop.call_soon_threadsafe>

use crate::capi::call::{import_from, text};
use crate::capi::cell::GilOnce;
use crate::capi::error::{restore, take};
use crate::capi::member::Slot;
use crate::capi::pool::allocate;
use crate::capi::{Obj, Owned, Raised, Result};
use crate::handle::{self, Parts};

struct ThreadSafe {
    class: Owned,
    lock: Slot,
    new_lock: Owned,
    acquire: Owned,
    release: Owned,
}

static THREAD_SAFE: GilOnce<Option<ThreadSafe>> = GilOnce::new();

/// Imports what is needed; called once while the module is imported. Before 3.14 there is nothing.
pub(crate) fn init() -> Result<()> {
    if THREAD_SAFE.is_set() {
        return Ok(());
    }
    if cfg!(not(Py_3_14)) {
        THREAD_SAFE.set(None);
        return Ok(());
    }
    let class = import_from("asyncio.events", "_ThreadSafeHandle")?;
    THREAD_SAFE.set(Some(ThreadSafe {
        lock: Slot::of(&class, "_lock")?,
        class,
        new_lock: import_from("threading", "RLock")?,
        acquire: text("acquire")?,
        release: text("release")?,
    }));
    Ok(())
}

/// Makes the handle of a callback that another thread may cancel, not yet queued.
///
/// # Errors
/// As [`handle::new_handle`].
pub(crate) fn new(parts: &Parts<'_>) -> Result<Owned> {
    let Some(kind) = THREAD_SAFE.get() else {
        return handle::new_handle(parts);
    };
    let made = allocate(&kind.class)?;
    // SAFETY: a new instance of the class that the slot was read from.
    unsafe { kind.lock.init(&made, kind.new_lock.call(&[])?) };
    // Python code reads the fields of this class: the context has to be one.
    let context = match parts.context {
        Some(context) if !context.is_none() => context.own(),
        _ => crate::context::copy()?,
    };
    let context = Some(&*context);
    handle::fill(&made, &Parts { context, ..*parts })?;
    Ok(made)
}

/// Whether this is a handle whose callback runs under its lock.
pub(crate) fn is(item: &Obj) -> bool {
    THREAD_SAFE
        .get()
        .as_ref()
        .is_some_and(|kind| item.type_ptr().cast() == kind.class.as_ptr())
}

/// Runs the callback under the handle's lock, unless it was cancelled; `failed` is called while the lock is held.
///
/// # Errors
/// What `failed` lets through.
pub(crate) fn run(item: &Obj, failed: impl FnOnce() -> Result<()>) -> Result<()> {
    let Some(kind) = THREAD_SAFE.get() else {
        return Ok(());
    };
    // SAFETY: the caller passes a handle of this kind.
    let Some(lock) = (unsafe { kind.lock.get(item) }) else {
        return Ok(());
    };
    if handle::is_cancelled(item) {
        return Ok(());
    }
    lock.call_method(&kind.acquire, &[])?;
    let outcome = if handle::is_cancelled(item) {
        Ok(())
    } else {
        handle::run(item).or_else(|Raised| failed())
    };
    let pending = if outcome.is_err() { take() } else { None };
    let released = lock.call_method(&kind.release, &[]);
    match pending {
        Some(pending) => Err(restore(pending)),
        None => released.map(drop),
    }
}
