//! What maypole takes from the running Python's asyncio, imported once.

use pyo3::ffi;

use crate::capi::call::{import, import_from};
use crate::capi::cell::GilOnce;
use crate::capi::member::Slot;
use crate::capi::{Obj, Owned, Result, call};

/// Classes, functions and layouts of the standard library that native code needs.
pub(crate) struct Asyncio {
    /// `asyncio.Handle`.
    pub(crate) handle: Owned,
    /// `asyncio.TimerHandle`.
    pub(crate) timer_handle: Owned,
    /// `asyncio.Handle._run` as it was at import: somebody who replaces it wants to see every callback.
    pub(crate) handle_run: Owned,
    /// `()`.
    pub(crate) empty_tuple: Owned,
    /// `asyncio.Future`, which native futures answer as their class.
    pub(crate) future: Owned,
    /// `asyncio.Task`, which native tasks answer as their class.
    pub(crate) task: Owned,
    pub(crate) cancelled_error: Owned,
    pub(crate) invalid_state_error: Owned,
    /// `asyncio.futures._set_result_unless_cancelled`, with which timers end `asyncio.sleep`.
    pub(crate) set_result_unless_cancelled: Owned,
    /// What writes the text of a future's and of a task's `repr`.
    pub(crate) future_repr: Owned,
    pub(crate) task_repr: Owned,
    /// `asyncio.base_tasks._task_get_stack` and `_task_print_stack`.
    pub(crate) task_get_stack: Owned,
    pub(crate) task_print_stack: Owned,
    /// `asyncio.coroutines.iscoroutine`.
    pub(crate) is_coroutine: Owned,
    /// `asyncio.BaseEventLoop.create_task`: for factories, debug mode and keywords that this code does not know.
    pub(crate) create_task: Owned,
    /// The folders of asyncio and of maypole: code elsewhere is the program's own.
    own_folders: [String; 2],
    /// The fields of a handle.
    pub(crate) handle_slots: HandleSlots,
    /// The fields that a timer handle adds.
    pub(crate) timer_slots: TimerSlots,
}

/// Places of `asyncio.Handle.__slots__`.
pub(crate) struct HandleSlots {
    pub(crate) callback: Slot,
    pub(crate) args: Slot,
    pub(crate) cancelled: Slot,
    pub(crate) event_loop: Slot,
    pub(crate) source_traceback: Slot,
    pub(crate) repr: Slot,
    pub(crate) context: Slot,
}

/// Places of `asyncio.TimerHandle.__slots__`.
pub(crate) struct TimerSlots {
    pub(crate) scheduled: Slot,
    pub(crate) when: Slot,
}

static ASYNCIO: GilOnce<Asyncio> = GilOnce::new();

/// Imports what is needed; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if ASYNCIO.is_set() {
        return Ok(());
    }
    import("asyncio")?;
    let handle = import_from("asyncio.events", "Handle")?;
    let timer_handle = import_from("asyncio.events", "TimerHandle")?;
    let handle_run = handle.get_attr(&*call::text("_run")?)?;
    let handle_slots = HandleSlots {
        callback: Slot::of(&handle, "_callback")?,
        args: Slot::of(&handle, "_args")?,
        cancelled: Slot::of(&handle, "_cancelled")?,
        event_loop: Slot::of(&handle, "_loop")?,
        source_traceback: Slot::of(&handle, "_source_traceback")?,
        repr: Slot::of(&handle, "_repr")?,
        context: Slot::of(&handle, "_context")?,
    };
    let timer_slots = TimerSlots {
        scheduled: Slot::of(&timer_handle, "_scheduled")?,
        when: Slot::of(&timer_handle, "_when")?,
    };
    ASYNCIO.set(Asyncio {
        handle,
        timer_handle,
        handle_run,
        empty_tuple: call::tuple(&[])?,
        future: import_from("asyncio.futures", "Future")?,
        task: import_from("asyncio.tasks", "Task")?,
        cancelled_error: import_from("asyncio.exceptions", "CancelledError")?,
        invalid_state_error: import_from("asyncio.exceptions", "InvalidStateError")?,
        set_result_unless_cancelled: import_from("asyncio.futures", "_set_result_unless_cancelled")?,
        future_repr: import_from("asyncio.base_futures", "_future_repr")?,
        task_repr: import_from("asyncio.base_tasks", "_task_repr")?,
        task_get_stack: import_from("asyncio.base_tasks", "_task_get_stack")?,
        task_print_stack: import_from("asyncio.base_tasks", "_task_print_stack")?,
        is_coroutine: import_from("asyncio.coroutines", "iscoroutine")?,
        create_task: import_from("asyncio.base_events", "BaseEventLoop")?
            .get_attr(&*call::text("create_task")?)?,
        own_folders: [folder_of("asyncio")?, folder_of("maypole")?],
        handle_slots,
        timer_slots,
    });
    Ok(())
}

/// The folder of a package, with a separator behind it.
fn folder_of(package: &str) -> Result<String> {
    let file = import(package)?.get_attr(&crate::capi::names::get().dunder_file)?;
    let file = call::text_of(&file)?;
    Ok(file
        .rfind('/')
        .map_or_else(String::new, |end| file[..=end].to_owned()))
}

impl Asyncio {
    /// Whether code of this file is the program's own, or a library's: not of asyncio, of maypole or of the interpreter's start.
    pub(crate) fn is_users_file(&self, file: &str) -> bool {
        let is_own = |folder: &String| !folder.is_empty() && file.starts_with(folder.as_str());
        !file.starts_with("<frozen") && !self.own_folders.iter().any(is_own)
    }
}

/// `asyncio.get_event_loop()`: the running loop, or the policy's where asyncio still asks it.
pub(crate) fn get_event_loop() -> Result<Owned> {
    import_from("asyncio.events", "get_event_loop")?.call(&[])
}

/// The task that runs on a loop; `None` when none does, or when that cannot be found out.
#[cold]
pub(crate) fn current_task(event_loop: &Obj) -> Option<Owned> {
    let task = import_from("asyncio.tasks", "current_task").and_then(|ask| ask.call(&[event_loop]));
    if task.is_err() {
        drop(crate::capi::error::take());
    }
    task.ok().filter(|task| !task.is_none())
}

/// The stack of the Python code that is calling, as asyncio's debug mode keeps it.
#[cold]
pub(crate) fn creation_stack() -> Result<Owned> {
    import_from("asyncio.format_helpers", "extract_stack")?.call(&[])
}

/// Calls `event_loop.call_exception_handler` with a context of these entries; `None` values are left out.
#[cold]
pub(crate) fn call_exception_handler(event_loop: &Obj, entries: &[(&str, Option<&Obj>)]) -> Result<()> {
    // SAFETY: the lock is held.
    let context = unsafe { Owned::steal(ffi::PyDict_New())? };
    for (key, value) in entries {
        let Some(value) = value.filter(|value| !value.is_none()) else {
            continue;
        };
        let key = call::text(key)?;
        // SAFETY: three live objects.
        crate::capi::error::check(unsafe {
            ffi::PyDict_SetItem(context.as_ptr(), key.as_ptr(), value.as_ptr())
        })?;
    }
    event_loop
        .call_method(&crate::capi::names::get().call_exception_handler, &[&context])
        .map(drop)
}

#[inline(always)]
pub(crate) fn get() -> &'static Asyncio {
    ASYNCIO.get()
}

/// Whether somebody replaced `asyncio.Handle._run`, as tools do that time or trace callbacks.
pub(crate) fn handle_run_is_patched() -> Result<bool> {
    let asyncio = get();
    let now = asyncio.handle.get_attr(&crate::capi::names::get().run)?;
    Ok(!now.is(&asyncio.handle_run))
}
