//! The current task of a loop.
//!
//! Up to Python 3.13 asyncio keeps a dictionary from loop to task. From 3.14 on each thread holds the task of its running loop, and
//! one function of asyncio puts another in its place.
//!
//! Invariant: `asyncio.current_task()` tells the truth to all Python code: the task is put in before its step, and taken out before
//! anything else of the loop runs. Between two batches that both step tasks it stays, as long as no Python code runs there.

pub(crate) use kept::{enter, leave};
pub(super) use kept::{init, swap};

/// Source: `asyncio.tasks._swap_current_task`.
#[cfg(Py_3_14)]
mod kept {
    use crate::capi::cell::GilOnce;
    use crate::capi::object::none;
    use crate::capi::{Obj, Owned, Result, call};

    static SWAP: GilOnce<Owned> = GilOnce::new();

    pub(in crate::task) fn init() -> Result<()> {
        if !SWAP.is_set() {
            SWAP.set(call::import_from("asyncio.tasks", "_swap_current_task")?);
        }
        Ok(())
    }

    /// Makes `task` the current one of its loop, or none; returns the one that was.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is not the running one of this thread.
    pub(in crate::task) fn swap(event_loop: &Obj, task: Option<&Obj>) -> Result<Option<Owned>> {
        let before = match task {
            Some(task) => SWAP.get().call(&[event_loop, task])?,
            None => SWAP.get().call(&[event_loop, &*none()])?,
        };
        Ok(Some(before).filter(|before| !before.is_none()))
    }

    /// Makes `task` the current one of its loop.
    ///
    /// # Errors
    /// As [`swap`].
    #[inline]
    pub(crate) fn enter(event_loop: &Obj, task: &Obj) -> Result<()> {
        SWAP.get().call(&[event_loop, task]).map(drop)
    }

    /// Says that no task of the loop is running.
    ///
    /// # Errors
    /// As [`swap`].
    #[inline]
    pub(crate) fn leave(event_loop: &Obj) -> Result<()> {
        SWAP.get().call(&[event_loop, &*none()]).map(drop)
    }
}

/// Source: `asyncio.tasks._current_tasks`, a dictionary that asyncio's C code shares.
#[cfg(not(Py_3_14))]
mod kept {
    use pyo3::ffi;

    use crate::capi::cell::GilOnce;
    use crate::capi::error::{check, current_is, take};
    use crate::capi::{Obj, Owned, Raised, Result, call};

    static CURRENT: GilOnce<Owned> = GilOnce::new();

    pub(in crate::task) fn init() -> Result<()> {
        if !CURRENT.is_set() {
            CURRENT.set(call::import_from("asyncio.tasks", "_current_tasks")?);
        }
        Ok(())
    }

    /// Makes `task` the current one of its loop, or none; returns the one that was.
    ///
    /// # Errors
    /// Only when memory is short.
    pub(in crate::task) fn swap(event_loop: &Obj, task: Option<&Obj>) -> Result<Option<Owned>> {
        let before = current(event_loop)?;
        match task {
            Some(task) => enter(event_loop, task)?,
            None => leave(event_loop)?,
        }
        Ok(before)
    }

    /// Makes `task` the current one of its loop.
    ///
    /// # Errors
    /// Only when memory is short.
    #[inline]
    pub(crate) fn enter(event_loop: &Obj, task: &Obj) -> Result<()> {
        let current = CURRENT.get();
        // SAFETY: a live dictionary and two live objects; the key hashes by identity.
        check(unsafe { ffi::PyDict_SetItem(current.as_ptr(), event_loop.as_ptr(), task.as_ptr()) })
    }

    /// Says that no task of the loop is running.
    ///
    /// # Errors
    /// None that is known: that the key is not there is none.
    #[inline]
    pub(crate) fn leave(event_loop: &Obj) -> Result<()> {
        // SAFETY: a live dictionary and a live key.
        match check(unsafe { ffi::PyDict_DelItem(CURRENT.get().as_ptr(), event_loop.as_ptr()) }) {
            // SAFETY: the exception types exist while the interpreter does.
            Err(Raised) if current_is(unsafe { ffi::PyExc_KeyError }) => {
                drop(take());
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// The current task of a loop, whoever made it.
    fn current(event_loop: &Obj) -> Result<Option<Owned>> {
        let current = CURRENT.get();
        // SAFETY: a live dictionary and a live key; the answer is borrowed, or null with or without an error.
        let task = unsafe {
            Obj::from_ptr_opt(ffi::PyDict_GetItemWithError(
                current.as_ptr(),
                event_loop.as_ptr(),
            ))
        };
        // SAFETY: reading the indicator needs only the lock.
        if task.is_none() && !unsafe { ffi::PyErr_Occurred() }.is_null() {
            return Err(Raised);
        }
        Ok(task.map(Obj::own))
    }
}
