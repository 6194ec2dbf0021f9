//! `Future`: asyncio's future, natively.
//!
//! * this file: the memory, the type, its life and death;
//! * [`outcome`]: result, exception, cancellation;
//! * [`callbacks`]: who is told when it is done: Python callbacks and waiting native tasks, in the order of their coming;
//! * [`iterator`]: awaiting it;
//! * [`awaited_by`]: who awaits it, for call graphs;
//! * [`fields`]: the attributes that asyncio's own code and libraries read.
//! * [`sleeper`]: the end of `asyncio.sleep`.
//!
//! A future is its own iterator: `await future` makes no object. Its `__class__` answers `asyncio.Future`, so `isinstance` holds.
//!
//! Invariant: zeroed memory is a valid, uninitialised future; every field is empty until `__init__`.
//! Invariant: who is waiting is told exactly once, when the state leaves pending.
//! Source: <https://docs.python.org/3/library/asyncio-future.html>

mod awaited_by;
pub(crate) mod callbacks;
pub(crate) mod fields;
pub(crate) mod iterator;
pub(crate) mod outcome;
pub(crate) mod sleeper;
pub(crate) mod stop_iteration;

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use crate::asyncio;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, getter, noargs, setter};
use crate::capi::error::{check, runtime_error};
use crate::capi::pool::track;
use crate::capi::{Field, Obj, Owned, Raised, Result, names, nesting};
use crate::event_loop::LoopObject;
use callbacks::Callback;

/// Whether a future is done, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Pending = 0,
    Cancelled,
    /// Done with a result.
    Finished,
    /// Done with an exception.
    Failed,
}

/// A list that most futures never need: one word while it is not there, instead of three.
type Callbacks = Option<Box<Vec<Callback>>>;

/// The memory of a `maypole._maypole.Future`, and the first part of a task's.
#[repr(C)]
pub(crate) struct FutureObject {
    ob_base: ffi::PyObject,
    event_loop: Field,
    /// By state: the result, the exception, or the exception with which a task was cancelled.
    outcome: Field,
    /// The traceback that the exception had when it was set.
    exception_tb: Field,
    cancel_message: Field,
    source_traceback: Field,
    /// The native task that awaits, if nobody was there before it.
    waiter: Field,
    /// Everybody else who is to be told, in order; made when needed.
    callbacks: RefCell<Callbacks>,
    dict: Field,
    weak_references: Cell<*mut ffi::PyObject>,
    state: Cell<State>,
    /// `_asyncio_future_blocking`: set by `await`, cleared by the task that sees it.
    pub(crate) blocking: Cell<bool>,
    /// The exception was not retrieved yet: say so when the future dies.
    log_traceback: Cell<bool>,
    /// A recording saw it come from `run_in_executor`.
    of_executor: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid for every field (null, false, `Pending`, `None`).
unsafe impl Native for FutureObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const DOC: &CStr =
    c"Future(*, loop=None)\n--\n\nA result that will be there later; asyncio's Future, natively.";

/// The type object.
#[inline(always)]
pub(crate) fn class() -> &'static Obj {
    TYPE.get()
}

/// Makes the type; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    iterator::init()?;
    stop_iteration::init()?;
    awaited_by::init()?;
    if TYPE.is_set() {
        return Ok(());
    }
    let class = Class::new(c"maypole._maypole.Future", size_of::<FutureObject>(), DOC)
        .offset(c"__dictoffset__", std::mem::offset_of!(FutureObject, dict))
        .offset(
            c"__weaklistoffset__",
            std::mem::offset_of!(FutureObject, weak_references),
        )
        .slot(ffi::Py_tp_init, initialise as *mut c_void)
        .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
        .slot(ffi::Py_tp_finalize, finalize as *mut c_void)
        .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
        .slot(ffi::Py_tp_clear, clear as *mut c_void)
        .slot(ffi::Py_tp_repr, repr as *mut c_void)
        .slot(ffi::Py_am_await, iterator::itself as *mut c_void)
        .slot(ffi::Py_tp_iter, iterator::itself as *mut c_void)
        .slot(ffi::Py_tp_iternext, iterator::next as *mut c_void);
    let class = with_methods(class).with_signatures_of(&asyncio::get().future)?;
    TYPE.set(fields::declare(class).build(None)?);
    Ok(())
}

fn with_methods(class: Class) -> Class {
    class
        .noargs(c"result", noargs!(FutureObject, outcome::result), c"Return the result or raise the exception.")
        .noargs(c"exception", noargs!(FutureObject, outcome::exception), c"Return the exception, or None.")
        .fast(c"set_result", fast!(FutureObject, outcome::set_result), c"Mark the future done and set its result.")
        .fast(c"set_exception", fast!(FutureObject, outcome::set_exception), c"Mark the future done and set an exception.")
        .fast(c"cancel", fast!(FutureObject, outcome::cancel_method), c"Cancel the future; return whether it could be.")
        .noargs(c"cancelled", noargs!(FutureObject, fields::cancelled), c"Return True if the future was cancelled.")
        .noargs(c"done", noargs!(FutureObject, fields::done), c"Return True if the future is done.")
        .fast(c"send", fast!(FutureObject, iterator::sent_into), c"Go on where it is awaited; the value is ignored.")
        .noargs(c"get_loop", noargs!(FutureObject, fields::get_loop), c"Return the loop the future belongs to.")
        .fast(
            c"add_done_callback",
            fast!(FutureObject, callbacks::add_done_callback),
            c"add_done_callback($self, fn, /, *, context=None)\n--\n\nCall fn(future) through the loop when the future is done.",
        )
        .fast(
            c"remove_done_callback",
            fast!(FutureObject, callbacks::remove_done_callback),
            c"remove_done_callback($self, fn, /)\n--\n\nRemove every registration of fn; return how many there were.",
        )
        .noargs(
            c"_make_cancelled_error",
            noargs!(FutureObject, outcome::make_cancelled_error_method),
            c"Make the CancelledError that says why the future was cancelled.",
        )
        .noargs(c"__await__", noargs!(FutureObject, iterator::explicit), c"Return an iterator for await.")
        .noargs(c"__iter__", noargs!(FutureObject, iterator::explicit), c"Return an iterator for yield from.")
        .class_method(c"__class_getitem__", fields::class_getitem, c"See PEP 585")
        .attribute(c"_asyncio_future_blocking", getter!(FutureObject, fields::get_blocking), Some(setter!(FutureObject, fields::set_blocking)))
}

impl FutureObject {
    /// The future (or task) behind a Python object, if it is one of ours.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&FutureObject> {
        let class = object.type_ptr().cast();
        if class != TYPE.get().as_ptr()
            && class != crate::task::class().as_ptr()
            && !object.is_instance_of(TYPE.get().as_ptr().cast())
        {
            return None;
        }
        // SAFETY: the type was just checked; a task's memory begins with a future's.
        Some(unsafe { FutureObject::of(object.as_ptr()) })
    }

    /// The loop, or the error of a future whose `__init__` never ran.
    #[inline(always)]
    pub(crate) fn event_loop(&self) -> Result<&Obj> {
        self.event_loop
            .peek()
            .ok_or_else(|| runtime_error("Future object is not initialized."))
    }

    /// The loop; `None`, and no exception, for a future whose `__init__` never ran.
    #[inline(always)]
    pub(crate) fn loop_if_begun(&self) -> Option<&Obj> {
        self.event_loop.peek()
    }

    #[inline(always)]
    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    #[inline(always)]
    pub(crate) fn is_done(&self) -> bool {
        self.state.get() != State::Pending
    }

    #[inline(always)]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.get() == State::Cancelled
    }

    /// Whether a recording saw it come from `run_in_executor`.
    #[inline(always)]
    pub(crate) fn is_of_executor(&self) -> bool {
        self.of_executor.get()
    }

    pub(crate) fn comes_of_executor(&self) {
        self.of_executor.set(true);
    }

    #[inline(always)]
    pub(crate) fn has_failed(&self) -> bool {
        self.state.get() == State::Failed
    }

    /// Gives the future its loop; the debug mode of the loop decides whether it remembers where it was made.
    pub(crate) fn begin(&self, event_loop: &Obj) -> Result<()> {
        let debug = match LoopObject::downcast(event_loop) {
            Some(own) => own.debug(),
            None => event_loop.call_method(&names::get().get_debug, &[])?.truthy()?,
        };
        if debug {
            self.source_traceback.set(asyncio::creation_stack()?);
        }
        self.event_loop.set(event_loop.own());
        Ok(())
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        let fields = [
            &self.event_loop,
            &self.outcome,
            &self.exception_tb,
            &self.cancel_message,
            &self.source_traceback,
            &self.waiter,
            &self.dict,
        ];
        for field in fields {
            visitor.visit_opt(field.peek())?;
        }
        match &*self.callbacks.borrow() {
            Some(callbacks) => callbacks.iter().try_for_each(|callback| callback.visit(visitor)),
            None => Ok(()),
        }
    }

    /// Tells weak references that the object goes.
    pub(crate) fn clear_weak_references(&self) {
        if !self.weak_references.get().is_null() {
            // SAFETY: called by tp_dealloc only, with an object whose count has reached zero.
            unsafe { ffi::PyObject_ClearWeakRefs(self.object().as_ptr()) };
        }
    }

    /// Whether freeing the future can free objects that free others in turn; a number or a text as the result cannot.
    #[inline]
    fn may_free_others(&self) -> bool {
        self.outcome.peek().is_some_and(Obj::is_collected)
            || self.callbacks.borrow().is_some()
            || [&self.waiter, &self.dict, &self.exception_tb]
                .iter()
                .any(|field| !field.is_empty())
    }

    /// Where the future was made, if the loop was in debug mode.
    pub(crate) fn source_traceback(&self) -> Option<Owned> {
        self.source_traceback.get()
    }

    /// Makes a future that is done pending again, for the owner of one that nobody else keeps.
    pub(crate) fn rearm(&self) {
        drop(self.outcome.take());
        self.state.set(State::Pending);
    }

    /// Makes the future as if new, and hands back its loop.
    pub(crate) fn clear(&self) -> Option<Owned> {
        let callbacks = self.callbacks.borrow_mut().take();
        let values = [
            self.outcome.take(),
            self.exception_tb.take(),
            self.cancel_message.take(),
            self.source_traceback.take(),
            self.waiter.take(),
            self.dict.take(),
        ];
        self.state.set(State::Pending);
        self.blocking.set(false);
        self.log_traceback.set(false);
        self.of_executor.set(false);
        let event_loop = self.event_loop.take();
        drop((callbacks, values));
        event_loop
    }
}

/// A new pending future of a native loop, as `loop.create_future()` returns it.
///
/// # Errors
/// Only when memory is short, or in debug mode what formatting the stack raises.
#[inline]
pub(crate) fn new(event_loop: &LoopObject) -> Result<Owned> {
    // SAFETY: this pool is given futures of this type only; empty fields are a valid future.
    let future = unsafe { event_loop.pools.futures.take(class())? };
    // SAFETY: made of our type just now.
    let fields = unsafe { FutureObject::of(future.as_ptr()) };
    if event_loop.debug() {
        fields.source_traceback.set(asyncio::creation_stack()?);
    }
    fields.event_loop.set(event_loop.as_obj().own());
    track(&future);
    Ok(future)
}

unsafe extern "C" fn initialise(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    enter(-1, || {
        let mut event_loop: *mut ffi::PyObject = std::ptr::null_mut();
        let mut keywords = [c"loop".as_ptr().cast_mut(), std::ptr::null_mut()];
        let keywords = keywords.as_mut_ptr();
        // SAFETY: the format names one optional keyword-only object, for which there is one place.
        let parsed = unsafe {
            ffi::PyArg_ParseTupleAndKeywords(
                args,
                kwargs,
                c"|$O:Future".as_ptr(),
                keywords.cast(),
                &raw mut event_loop,
            )
        };
        if parsed == 0 {
            return Err(crate::capi::Raised);
        }
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { FutureObject::of(this) };
        // SAFETY: null or an argument, which the caller keeps alive.
        this.reinitialise(unsafe { Obj::from_ptr_opt(event_loop) })?;
        Ok(0)
    })
}

impl FutureObject {
    /// What `__init__` does. As in asyncio a second call starts the future anew; from 3.15 on it is refused.
    pub(crate) fn reinitialise(&self, event_loop: Option<&Obj>) -> Result<()> {
        if cfg!(Py_3_15) && !self.event_loop.is_empty() {
            return Err(already_initialised(&*fields::get_class(self)?));
        }
        drop(self.clear());
        match event_loop {
            Some(event_loop) if !event_loop.is_none() => self.begin(event_loop),
            _ => self.begin(&*asyncio::get_event_loop()?),
        }
    }
}

#[cold]
fn already_initialised(class: &Obj) -> Raised {
    let format = c"%N object is already initialized";
    // SAFETY: the exception types exist while the interpreter does, and the format takes the name of a live type.
    unsafe { ffi::PyErr_Format(ffi::PyExc_RuntimeError, format.as_ptr(), class.as_ptr()) };
    Raised
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let nests = unsafe { FutureObject::of(this) }.may_free_others();
    // SAFETY: as above.
    unsafe {
        if nests {
            nesting::free(this, free)
        } else {
            free(this)
        }
    };
}

unsafe fn free(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let (class, fields) = unsafe { (ffi::Py_TYPE(this), FutureObject::of(this)) };
    let plain = class.cast() == TYPE.get().as_ptr() && !fields.log_traceback.get();
    // SAFETY: as above; the finalizer may bring the object back.
    if !plain && unsafe { ffi::PyObject_CallFinalizerFromDealloc(this) } < 0 {
        return;
    }
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    let pooled = enter(false, || {
        fields.clear_weak_references();
        let event_loop = fields.clear();
        let Some(own) = event_loop.as_deref().and_then(LoopObject::downcast) else {
            return Ok(false);
        };
        // SAFETY: exactly the pool's type, emptied above, without references; one that was finalised would never be again.
        Ok(plain && unsafe { ffi::PyObject_GC_IsFinalized(this) == 0 && own.pools.futures.give(this) })
    });
    if !pooled {
        // SAFETY: memory of a collected object, untracked above.
        unsafe { ffi::PyObject_GC_Del(this.cast()) };
    }
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

/// `__del__`: an exception that nobody retrieved is reported.
unsafe extern "C" fn finalize(this: *mut ffi::PyObject) {
    enter((), || {
        // SAFETY: the interpreter passes an instance of our type, alive during finalisation.
        let (fields, object) = unsafe { (FutureObject::of(this), Obj::from_ptr(this)) };
        fields.report_unretrieved(object);
        Ok(())
    });
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        let this = unsafe { FutureObject::of(this) };
        Ok(this.traverse_with_class(visitor).err().unwrap_or(0))
    })
}

impl FutureObject {
    pub(crate) fn traverse_with_class(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        // SAFETY: heap types are visited by their instances.
        let class = unsafe { Obj::from_ptr(self.as_obj().type_ptr().cast()) };
        visitor.visit(class)?;
        self.visit(visitor)
    }
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        drop(unsafe { FutureObject::of(this) }.clear());
        Ok(0)
    })
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes a live object.
        let this = unsafe { Obj::from_ptr(this) };
        asyncio::get().future_repr.call(&[this]).map(Owned::into_ptr)
    })
}

/// Adds the type and its functions to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    awaited_by::register(module)?;
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"Future".as_ptr(), class().as_ptr()) })
}
