//! `Task`: asyncio's task, natively. The ready queue holds the task itself; no step object, no handle.
//!
//! * this file: the memory, the type, its life and death;
//! * [`step`]: running the coroutine up to its next wait;
//! * [`waiting`]: what the coroutine yielded, and who will wake it;
//! * [`cancel`]: `cancel`, `uncancel`, `cancelling`;
//! * [`registry`]: all tasks;
//! * [`current`]: the current one;
//! * [`fields`]: names, stacks and the attributes that asyncio's own code and libraries read.
//!
//! Invariant: a pending task is in exactly one place: in the queue, or told by what it waits for.
//! Source: <https://docs.python.org/3/library/asyncio-task.html#task-object>

pub(crate) mod cancel;
pub(crate) mod current;
mod fields;
pub(crate) mod registry;
pub(crate) mod step;
mod waiting;

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use maypole_sys::prefetch;
use pyo3::ffi;

pub(crate) use registry::pending;
pub(crate) use waiting::{wake_through_loop, wakeup_of};

use crate::asyncio;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, noargs};
use crate::capi::error::{check, restore, take};
use crate::capi::pool::track;
use crate::capi::{Field, Obj, Owned, Raised, Result, call, nesting};
use crate::context;
use crate::event_loop::LoopObject;
use crate::future::{self, FutureObject};

/// The memory of a `maypole._maypole.Task`.
#[repr(C)]
pub(crate) struct TaskObject {
    pub(crate) future: FutureObject,
    coroutine: Field,
    /// What was captured; while the task runs, and once somebody has asked for it, its context.
    context: Field,
    /// The name, once somebody gave or asked for one.
    name: Field,
    /// What the task waits for.
    waits_for: Field,
    /// The exception that the next step throws into the coroutine.
    to_throw: Field,
    /// The number in the default name.
    number: Cell<u64>,
    /// A number that no other task of the process ever has; from 1.
    serial: Cell<u64>,
    /// The serial number of the task that made this one; 0 if none did.
    parent: Cell<u64>,
    /// Neighbours in the list of all pending tasks.
    links: registry::Links,
    /// `cancel()` calls that were not undone by `uncancel()`.
    cancels: Cell<i32>,
    /// What the last recording that met the task calls it; 0 if none did.
    trace_id: Cell<u32>,
    /// The next step throws `CancelledError`.
    must_cancel: Cell<bool>,
    /// Nobody wants to hear that the task was destroyed while pending.
    quiet_death: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `FutureObject`, hence with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for TaskObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const DOC: &CStr = c"Task(coro, *, loop=None, name=None, context=None, eager_start=False)\n--\n\nA coroutine that the loop runs; asyncio's Task, natively.";

/// The type object.
#[inline(always)]
pub(crate) fn class() -> &'static Obj {
    TYPE.get()
}

/// Makes the type; called once while the module is imported, after the future's.
pub(crate) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    registry::init();
    current::init()?;
    let class = Class::new(c"maypole._maypole.Task", size_of::<TaskObject>(), DOC)
        .slot(ffi::Py_tp_init, initialise as *mut c_void)
        .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
        .slot(ffi::Py_tp_finalize, finalize as *mut c_void)
        .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
        .slot(ffi::Py_tp_clear, clear as *mut c_void)
        .slot(ffi::Py_tp_repr, repr as *mut c_void)
        .fast(
            c"cancel",
            fast!(TaskObject, cancel::cancel),
            c"cancel($self, /, msg=None)\n--\n\nAsk the task to cancel itself; return False if it is done.",
        )
        .noargs(
            c"cancelling",
            noargs!(TaskObject, cancel::cancelling),
            c"Return how often cancellation was asked for.",
        )
        .noargs(
            c"uncancel",
            noargs!(TaskObject, cancel::uncancel),
            c"Take one request to cancel back; return what is left.",
        );
    let class = fields::declare(class).with_signatures_of(&asyncio::get().task)?;
    TYPE.set(class.build(Some(future::class()))?);
    Ok(())
}

impl TaskObject {
    /// The task behind a Python object, if it is one of ours.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&TaskObject> {
        let class = TYPE.get().as_ptr();
        if object.type_ptr().cast() != class && !object.is_instance_of(class.cast()) {
            return None;
        }
        // SAFETY: the type was just checked.
        Some(unsafe { TaskObject::of(object.as_ptr()) })
    }

    /// Makes the task as if new, and hands back its loop.
    fn clear(&self) -> Option<Owned> {
        let values = [
            self.coroutine.take(),
            self.context.take(),
            self.name.take(),
            self.waits_for.take(),
            self.to_throw.take(),
        ];
        self.number.set(0);
        self.cancels.set(0);
        self.trace_id.set(0);
        self.must_cancel.set(false);
        self.quiet_death.set(false);
        let event_loop = self.future.clear();
        drop(values);
        event_loop
    }

    fn count_destroyed(&self) {
        if let Some(own) = self.future.loop_if_begun().and_then(LoopObject::downcast) {
            own.observer.metrics.tasks_destroyed.add(1);
        }
    }

    /// Remembers who made the task: a serial number, or 0.
    #[inline(always)]
    pub(crate) fn made_by(&self, parent: u64) {
        self.parent.set(parent);
    }

    /// A number that no other task of the process ever has.
    #[inline(always)]
    pub(crate) fn serial(&self) -> u64 {
        self.serial.get()
    }

    /// Asks the processor for what a step begins with: the coroutine with its frame, and what the task has waited for.
    #[inline(always)]
    pub(crate) fn prefetch_held(&self) {
        if let Some(coroutine) = self.coroutine.peek() {
            prefetch::<4>(coroutine.as_ptr().cast());
        }
        if let Some(waited) = self.waits_for.peek() {
            prefetch::<2>(waited.as_ptr().cast());
        }
    }

    /// The coroutine, until the task is freed.
    pub(crate) fn coroutine(&self) -> Option<Owned> {
        self.coroutine.get()
    }

    /// What the task waits for.
    pub(crate) fn awaited(&self) -> Option<Owned> {
        self.waits_for.get()
    }

    /// The name that somebody gave or asked for.
    pub(crate) fn known_name(&self) -> Option<Owned> {
        self.name.get()
    }

    /// The number in the default name.
    pub(crate) fn number(&self) -> u64 {
        self.number.get()
    }

    /// What the last recording that met the task calls it; 0 if none did.
    #[inline]
    pub(crate) fn trace_id(&self) -> u32 {
        self.trace_id.get()
    }

    pub(crate) fn set_trace_id(&self, trace_id: u32) {
        self.trace_id.set(trace_id);
    }

    /// Nobody wants to hear that the task was destroyed while pending.
    pub(crate) fn die_quietly(&self) {
        self.quiet_death.set(true);
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        for field in [
            &self.coroutine,
            &self.context,
            &self.name,
            &self.waits_for,
            &self.to_throw,
        ] {
            visitor.visit_opt(field.peek())?;
        }
        self.future.traverse_with_class(visitor)
    }
}

/// What a new task is made of, besides its loop.
pub(crate) struct Parts<'a> {
    pub(crate) coroutine: &'a Obj,
    pub(crate) name: Option<&'a Obj>,
    pub(crate) context: Option<&'a Obj>,
}

/// Makes a task on a native loop and queues its first step.
///
/// # Errors
/// Only when memory is short, or what `str(name)` raises.
#[inline]
pub(crate) fn spawn(event_loop: &LoopObject, parts: &Parts<'_>) -> Result<Owned> {
    // SAFETY: this pool is given tasks of this type only; empty fields are a valid task.
    let object = unsafe { event_loop.pools.tasks.take(class())? };
    // SAFETY: made of our type just now.
    let task = unsafe { TaskObject::of(object.as_ptr()) };
    task.future.begin(event_loop.as_obj())?;
    task.begin(parts)?;
    track(&object);
    registry::add(task);
    event_loop.enqueue_new_task(&object, task)?;
    Ok(object)
}

impl TaskObject {
    fn begin(&self, parts: &Parts<'_>) -> Result<()> {
        self.serial.set(registry::next_serial());
        match parts.name {
            Some(name) if !name.is_none() => self.name.set(fields::text_of(name)?),
            _ => self.number.set(registry::next_number()),
        }
        let context = match parts.context {
            Some(context) if !context.is_none() => self.check_context(context)?.own(),
            _ => context::capture()?,
        };
        self.context.set(context);
        self.coroutine.set(parts.coroutine.own());
        Ok(())
    }

    /// Refuses what is no context, as asyncio does from Python 3.15 on; before, the task would be lost at its first step.
    fn check_context<'a>(&self, context: &'a Obj) -> Result<&'a Obj> {
        // SAFETY: a live object.
        if unsafe { ffi::PyContext_CheckExact(context.as_ptr()) } != 0 {
            return Ok(context);
        }
        self.quiet_death.set(true);
        let class = context.type_ptr();
        // SAFETY: the exception types exist while the interpreter does, and the type of a live object has a name.
        unsafe {
            ffi::PyErr_Format(
                ffi::PyExc_TypeError,
                c"a contextvars.Context was expected, got %s".as_ptr(),
                (*class).tp_name,
            )
        };
        Err(Raised)
    }

    /// What `__init__` does, on any loop.
    fn initialise(&self, event_loop: Option<&Obj>, parts: &Parts<'_>, eager_start: bool) -> Result<()> {
        self.future.reinitialise(event_loop)?;
        // A second call starts anew, as in asyncio.
        drop((self.name.take(), self.waits_for.take(), self.to_throw.take()));
        self.cancels.set(0);
        self.must_cancel.set(false);
        self.quiet_death.set(false);
        if !asyncio::get().is_coroutine.call(&[parts.coroutine])?.truthy()? {
            self.quiet_death.set(true);
            return Err(not_a_coroutine(parts.coroutine));
        }
        self.begin(parts)?;
        let event_loop = self.future.event_loop()?.own();
        if let Some(own) = LoopObject::downcast(&event_loop) {
            own.observer.spawned();
            self.made_by(own.running_serial());
        }
        if eager_start
            && event_loop
                .call_method(&crate::capi::names::get().is_running, &[])?
                .truthy()?
        {
            return step::start_eagerly(self);
        }
        registry::add(self);
        self.schedule_step()
    }
}

#[cold]
pub(crate) fn not_a_coroutine(given: &Obj) -> Raised {
    // SAFETY: a live object and a format that takes one.
    unsafe {
        ffi::PyErr_Format(
            ffi::PyExc_TypeError,
            c"a coroutine was expected, got %R".as_ptr(),
            given.as_ptr(),
        )
    };
    Raised
}

unsafe extern "C" fn initialise(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    enter(-1, || {
        let mut given: [*mut ffi::PyObject; 4] = [std::ptr::null_mut(); 4];
        let mut eager_start: c_int = 0;
        let mut keywords = [c"coro", c"loop", c"name", c"context", c"eager_start"]
            .map(|name| name.as_ptr().cast_mut())
            .to_vec();
        keywords.push(std::ptr::null_mut());
        let [coroutine, event_loop, name, context] = &mut given;
        // SAFETY: the format names four objects and a truth value, for which there are five places.
        let parsed = unsafe {
            ffi::PyArg_ParseTupleAndKeywords(
                args,
                kwargs,
                c"O|$OOOp:Task".as_ptr(),
                keywords.as_mut_ptr().cast(),
                std::ptr::from_mut(coroutine),
                std::ptr::from_mut(event_loop),
                std::ptr::from_mut(name),
                std::ptr::from_mut(context),
                &raw mut eager_start,
            )
        };
        if parsed == 0 {
            return Err(Raised);
        }
        // SAFETY: the arguments are null or live for the call; the first was required.
        let [coroutine, event_loop, name, context] = given.map(|given| unsafe { Obj::from_ptr_opt(given) });
        let Some(coroutine) = coroutine else {
            return Err(Raised);
        };
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { TaskObject::of(this) };
        this.initialise(
            event_loop,
            &Parts {
                coroutine,
                name,
                context,
            },
            eager_start != 0,
        )?;
        Ok(0)
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    if nesting::is_deep() {
        // SAFETY: an object of our type whose count has reached zero.
        registry::remove(unsafe { TaskObject::of(this) });
    }
    // SAFETY: as above; where it has to wait, the list of tasks does not lead to it any more.
    unsafe { nesting::free(this, free) };
}

unsafe fn free(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let (class, task) = unsafe { (ffi::Py_TYPE(this), TaskObject::of(this)) };
    let plain = class.cast() == TYPE.get().as_ptr() && task.future.is_done() && !task.future.is_unretrieved();
    // SAFETY: as above; the finalizer may bring the object back.
    if !plain && unsafe { ffi::PyObject_CallFinalizerFromDealloc(this) } < 0 {
        return;
    }
    let pooled = enter(false, || {
        registry::remove(task);
        // SAFETY: as above; clearing may run Python code, which the collector must not mix with.
        unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
        task.future.clear_weak_references();
        let event_loop = task.clear();
        let Some(own) = event_loop.as_deref().and_then(LoopObject::downcast) else {
            return Ok(false);
        };
        // SAFETY: exactly the pool's type, emptied above, without references; one that was finalised would never be again.
        Ok(plain && unsafe { ffi::PyObject_GC_IsFinalized(this) == 0 && own.pools.tasks.give(this) })
    });
    if !pooled {
        // SAFETY: memory of a collected object, untracked above.
        unsafe { ffi::PyObject_GC_Del(this.cast()) };
    }
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

/// `__del__`: a task destroyed while pending, and an exception that nobody retrieved, are reported.
unsafe extern "C" fn finalize(this: *mut ffi::PyObject) {
    enter((), || {
        // SAFETY: the interpreter passes an instance of our type, alive during finalisation.
        let (task, object) = unsafe { (TaskObject::of(this), Obj::from_ptr(this)) };
        if !task.future.is_done() {
            task.count_destroyed();
        }
        if !task.future.is_done() && !task.quiet_death.get() {
            let pending = take();
            if report_destroyed(task, object).is_err() {
                crate::capi::error::unraisable(Some(object));
            }
            if let Some(pending) = pending {
                restore(pending);
            }
        }
        task.future.report_unretrieved(object);
        Ok(())
    });
}

fn report_destroyed(task: &TaskObject, object: &Obj) -> Result<()> {
    // A task whose `__init__` never ran has nobody to tell.
    let Some(event_loop) = task.future.loop_if_begun().map(Obj::own) else {
        return Ok(());
    };
    let message = call::text("Task was destroyed but it is pending!")?;
    let traceback = task.future.source_traceback();
    let entries = [
        ("task", Some(object)),
        ("message", Some(&*message)),
        ("source_traceback", traceback.as_deref()),
    ];
    asyncio::call_exception_handler(&event_loop, &entries)
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        Ok(unsafe { TaskObject::of(this) }.visit(visitor).err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        drop(unsafe { TaskObject::of(this) }.clear());
        Ok(0)
    })
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes a live object.
        let this = unsafe { Obj::from_ptr(this) };
        asyncio::get().task_repr.call(&[this]).map(Owned::into_ptr)
    })
}

/// Adds the type to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"Task".as_ptr(), class().as_ptr()) })
}
