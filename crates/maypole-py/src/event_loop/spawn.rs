//! `create_task` and `create_future`: native tasks and futures, and when asyncio's own are made instead.
//!
//! Source: <https://docs.python.org/3/library/asyncio-eventloop.html#creating-futures-and-tasks>

use std::ffi::CStr;

use maypole_trace::Waker;
use pyo3::ffi;

use super::LoopObject;
use crate::asyncio;
use crate::capi::class::Native;
use crate::capi::error::check;
use crate::capi::names::same;
use crate::capi::{Args, Obj, Owned, Result, call, last_calls, names};
use crate::handle::{self, Parts};
use crate::observer::instruments::Hook;
use crate::task::TaskObject;
use crate::{future, task};

pub(super) const CREATE_TASK_DOC: &CStr =
    c"create_task($self, coro, /, *, name=None, context=None, **kwargs)\n--\n\nRun a coroutine as a task; return the Task.";

pub(super) fn create_future(this: &LoopObject) -> Result<Owned> {
    if this.plain_tasks.get() {
        return make_plain_future(this);
    }
    future::new(this)
}

/// `asyncio.Future(loop=self)`.
#[cold]
fn make_plain_future(this: &LoopObject) -> Result<Owned> {
    // SAFETY: the lock is held.
    let keywords = unsafe { Owned::steal(ffi::PyDict_New())? };
    let name = call::text("loop")?;
    // SAFETY: three live objects.
    check(unsafe { ffi::PyDict_SetItem(keywords.as_ptr(), name.as_ptr(), this.as_obj().as_ptr()) })?;
    let (class, empty) = (&asyncio::get().future, &asyncio::get().empty_tuple);
    // SAFETY: a callable, a tuple and a dictionary.
    unsafe {
        Owned::steal(last_calls::PyObject_Call(
            class.as_ptr(),
            empty.as_ptr(),
            keywords.as_ptr(),
        ))
    }
}

pub(super) fn create_task(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let Some(parts) = native_parts(this, args)? else {
        return inherited(this, args);
    };
    this.check_open()?;
    task::spawn(this, &parts)
}

impl LoopObject {
    /// Whether `create_task(coroutine)` makes a native task and does nothing else, if nobody has replaced it.
    pub(crate) fn makes_native_tasks(&self) -> bool {
        !self.plain_tasks.get() && !self.debug.get() && self.task_factory.is_empty()
    }
}

/// The arguments, if a native task is to be made of them.
#[inline]
fn native_parts<'a>(this: &LoopObject, args: Args<'a>) -> Result<Option<task::Parts<'a>>> {
    if this.plain_tasks.get() || this.debug.get() || !this.task_factory.is_empty() {
        return Ok(None);
    }
    let [coroutine] = args.positional() else {
        return Ok(None);
    };
    if !is_coroutine(coroutine)? {
        return Ok(None);
    }
    let mut parts = task::Parts {
        coroutine,
        name: None,
        context: None,
    };
    for (given, value) in args.keywords() {
        if same(given, &names::get().name) {
            parts.name = Some(value);
        } else if same(given, &names::get().context) {
            parts.context = Some(value);
        } else {
            return Ok(None);
        }
    }
    Ok(Some(parts))
}

#[inline]
fn is_coroutine(given: &Obj) -> Result<bool> {
    // SAFETY: the type object is a static of the interpreter.
    if given.type_ptr() == &raw mut ffi::PyCoro_Type {
        return Ok(true);
    }
    asyncio::get().is_coroutine.call(&[given])?.truthy()
}

/// asyncio's own method: it knows task factories, debug mode and the keywords and errors of this Python.
#[cold]
fn inherited(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let mut positional = vec![this.as_obj()];
    positional.extend_from_slice(args.positional());
    let positional = call::tuple(&positional)?;
    // SAFETY: the lock is held.
    let keywords = unsafe { Owned::steal(ffi::PyDict_New())? };
    for (name, value) in args.keywords() {
        // SAFETY: three live objects.
        check(unsafe { ffi::PyDict_SetItem(keywords.as_ptr(), name.as_ptr(), value.as_ptr()) })?;
    }
    let function = &asyncio::get().create_task;
    // SAFETY: a callable, a tuple and a dictionary.
    unsafe {
        Owned::steal(last_calls::PyObject_Call(
            function.as_ptr(),
            positional.as_ptr(),
            keywords.as_ptr(),
        ))
    }
}

impl LoopObject {
    /// The serial number of the native task that runs, which is the one that makes a task now; 0 if none runs.
    #[inline(always)]
    pub(crate) fn running_serial(&self) -> u64 {
        self.running_serial.get()
    }

    /// Says which native task runs, 0 for none; returns the one that did.
    #[inline(always)]
    pub(crate) fn set_running_serial(&self, serial: u64) -> u64 {
        self.running_serial.replace(serial)
    }

    /// Queues a step of a native task.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed, `MemoryError`.
    #[inline(always)]
    pub(crate) fn enqueue_task(&self, task: Owned) -> Result<()> {
        self.check_open()?;
        if self.observer.looks() {
            return self.enqueue_seen(task);
        }
        self.enqueue(task)
    }

    #[cold]
    fn enqueue_seen(&self, task: Owned) -> Result<()> {
        self.enqueue(task.clone())?;
        self.observer.tell(self.as_obj(), Hook::TaskScheduled, &[&task])
    }

    /// Queues the first step of a native task.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed.
    #[inline(always)]
    pub(crate) fn enqueue_new_task(&self, object: &Owned, task: &TaskObject) -> Result<()> {
        self.check_open()?;
        self.observer.spawned();
        task.made_by(self.running_serial());
        if self.observer.looks() {
            return self.enqueue_seen_spawn(object, task);
        }
        self.enqueue(object.clone())
    }

    #[cold]
    fn enqueue_seen_spawn(&self, object: &Owned, task: &TaskObject) -> Result<()> {
        if self.observer.records() {
            self.observer.record_spawn(task);
        }
        self.enqueue_by(object.clone(), Waker::Start)?;
        self.observer.tell(self.as_obj(), Hook::TaskSpawned, &[object])?;
        self.observer.tell(self.as_obj(), Hook::TaskScheduled, &[object])
    }

    /// `call_soon(function, *args, context=context)` for native callers.
    ///
    /// # Errors
    /// As `call_soon`.
    pub(crate) fn call_soon_with(&self, function: &Obj, args: &[&Obj], context: &Obj) -> Result<()> {
        self.check_open()?;
        if self.debug.get() {
            super::schedule::check_in_debug(self, function, "call_soon", true)?;
        }
        let parts = Parts {
            callback: function,
            args,
            context: Some(context),
            event_loop: self,
        };
        self.enqueue(handle::new_handle(&parts)?)
    }
}
