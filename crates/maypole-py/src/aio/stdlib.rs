//! What these helpers take from the running Python's asyncio, as it was at import: `maypole.install()` may have replaced the names
//! since.

use crate::capi::call::import_from;
use crate::capi::cell::GilOnce;
use crate::capi::error::runtime_error;
use crate::capi::{Obj, Owned, Result, call};

/// Functions and classes of the standard library.
pub(super) struct Stdlib {
    running_loop: Owned,
    pub(super) as_completed: Owned,
    pub(super) gather: Owned,
    /// The class of what asyncio's `gather` returns.
    pub(super) gathering_future: Owned,
    pub(super) sleep: Owned,
    pub(super) is_nan: Owned,
    pub(super) deque: Owned,
    pub(super) heap_push: Owned,
    pub(super) heap_pop: Owned,
    pub(super) queue_empty: Owned,
    pub(super) queue_full: Owned,
    /// `asyncio.QueueShutDown`, where this Python has it.
    #[cfg(Py_3_13)]
    pub(super) queue_shut_down: Owned,
    pub(super) incomplete_read: Owned,
    pub(super) limit_overrun: Owned,
    /// Method names that are called on objects of any kind.
    pub(super) names: Names,
}

/// Interned names.
pub(super) struct Names {
    pub(super) acquire: Owned,
    pub(super) append: Owned,
    pub(super) cancelled: Owned,
    pub(super) create_task: Owned,
    pub(super) done: Owned,
    pub(super) empty: Owned,
    pub(super) full: Owned,
    pub(super) get_item: Owned,
    pub(super) get_nowait: Owned,
    pub(super) initialise: Owned,
    pub(super) pop: Owned,
    pub(super) popleft: Owned,
    pub(super) put_item: Owned,
    pub(super) put_nowait: Owned,
    pub(super) qsize: Owned,
    pub(super) release: Owned,
    pub(super) remove: Owned,
    pub(super) return_exceptions: Owned,
    pub(super) set_result: Owned,
    pub(super) drain_helper: Owned,
    pub(super) exception: Owned,
    pub(super) feed_data: Owned,
    pub(super) is_closing: Owned,
    pub(super) join: Owned,
    pub(super) pause_reading: Owned,
    pub(super) resume_reading: Owned,
    pub(super) set_exception: Owned,
    pub(super) stream_reader: Owned,
    pub(super) write: Owned,
    pub(super) writelines: Owned,
}

static STDLIB: GilOnce<Stdlib> = GilOnce::new();

/// Imports what is needed; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if STDLIB.is_set() {
        return Ok(());
    }
    STDLIB.set(Stdlib {
        running_loop: import_from("asyncio.events", "_get_running_loop")?,
        as_completed: import_from("asyncio.tasks", "as_completed")?,
        gather: import_from("asyncio.tasks", "gather")?,
        gathering_future: import_from("asyncio.tasks", "_GatheringFuture")?,
        sleep: import_from("asyncio.tasks", "sleep")?,
        is_nan: import_from("math", "isnan")?,
        deque: import_from("collections", "deque")?,
        heap_push: import_from("heapq", "heappush")?,
        heap_pop: import_from("heapq", "heappop")?,
        queue_empty: import_from("asyncio.queues", "QueueEmpty")?,
        queue_full: import_from("asyncio.queues", "QueueFull")?,
        #[cfg(Py_3_13)]
        queue_shut_down: import_from("asyncio.queues", "QueueShutDown")?,
        incomplete_read: import_from("asyncio.exceptions", "IncompleteReadError")?,
        limit_overrun: import_from("asyncio.exceptions", "LimitOverrunError")?,
        names: Names::new()?,
    });
    Ok(())
}

impl Names {
    fn new() -> Result<Names> {
        Ok(Names {
            acquire: call::interned("acquire")?,
            append: call::interned("append")?,
            cancelled: call::interned("cancelled")?,
            create_task: call::interned("create_task")?,
            done: call::interned("done")?,
            empty: call::interned("empty")?,
            full: call::interned("full")?,
            get_item: call::interned("_get")?,
            get_nowait: call::interned("get_nowait")?,
            initialise: call::interned("_init")?,
            pop: call::interned("pop")?,
            popleft: call::interned("popleft")?,
            put_item: call::interned("_put")?,
            put_nowait: call::interned("put_nowait")?,
            qsize: call::interned("qsize")?,
            release: call::interned("release")?,
            remove: call::interned("remove")?,
            return_exceptions: call::interned("return_exceptions")?,
            set_result: call::interned("set_result")?,
            drain_helper: call::interned("_drain_helper")?,
            exception: call::interned("exception")?,
            feed_data: call::interned("feed_data")?,
            is_closing: call::interned("is_closing")?,
            join: call::interned("join")?,
            pause_reading: call::interned("pause_reading")?,
            resume_reading: call::interned("resume_reading")?,
            set_exception: call::interned("set_exception")?,
            stream_reader: call::interned("_stream_reader")?,
            write: call::interned("write")?,
            writelines: call::interned("writelines")?,
        })
    }
}

#[inline(always)]
pub(super) fn get() -> &'static Stdlib {
    STDLIB.get()
}

#[inline(always)]
pub(super) fn names() -> &'static Names {
    &STDLIB.get().names
}

/// The loop that runs in this thread.
///
/// # Errors
/// `RuntimeError` if none does.
#[inline]
pub(super) fn running_loop() -> Result<Owned> {
    let found = running_loop_or_none()?;
    if found.is_none() {
        return Err(runtime_error("no running event loop"));
    }
    Ok(found)
}

/// The loop that runs in this thread, or `None`.
#[inline]
pub(super) fn running_loop_or_none() -> Result<Owned> {
    get().running_loop.call(&[])
}

/// The text of a Python string.
pub(super) fn string_of(text: &Obj) -> Result<String> {
    let mut size = 0;
    // SAFETY: a live object; the function raises for what is no string.
    let bytes = unsafe { pyo3::ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &mut size) };
    if bytes.is_null() {
        return Err(crate::capi::Raised);
    }
    // SAFETY: the interpreter returned `size` bytes of UTF-8, which live as long as the string.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size as usize) };
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
