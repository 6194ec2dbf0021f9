//! Awaiting a future.
//!
//! `await future` iterates the future itself: it yields itself once, and then its result. Code that calls `__await__()` by hand
//! gets a separate iterator with `send`, `throw` and `close`, as asyncio gives; those three may not all be methods of the future,
//! because an object with them counts as a coroutine. It has `send`, for drivers that send a value into what awaits it.

use std::ffi::{c_int, c_void};

use pyo3::ffi;

use super::FutureObject;
use super::stop_iteration::{returned, stop_iteration};
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, noargs};
use crate::capi::error::{restore, runtime_error, type_error};
use crate::capi::object::none;
use crate::capi::{Args, Field, Obj, Owned, Result, nesting};

/// `am_await` and `tp_iter`: the future itself.
pub(crate) unsafe extern "C" fn itself(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter passes a live object.
    unsafe { Obj::from_ptr(this) }.own().into_ptr()
}

/// `tp_iternext`: the future while it is pending, `StopIteration(result)` when it is done.
pub(super) unsafe extern "C" fn next(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let future = unsafe { FutureObject::of(this) };
        match step(future)? {
            Step::Yield(value) => Ok(value.into_ptr()),
            Step::Return(value) => {
                // Null without an exception means `StopIteration()` with the value None.
                if value.is_none() {
                    Ok(std::ptr::null_mut())
                } else {
                    Err(returned(value))
                }
            }
        }
    })
}

/// `send(value)`: what the interpreter calls in place of `tp_iternext` where a value is sent into the one that awaits.
pub(super) fn sent_into(future: &FutureObject, args: Args<'_>) -> Result<Owned> {
    args.at_least("send", &["value"], 1)?;
    match step(future)? {
        Step::Yield(value) => Ok(value),
        Step::Return(value) => Err(stop_iteration(&value)),
    }
}

enum Step {
    Yield(Owned),
    Return(Owned),
}

fn step(future: &FutureObject) -> Result<Step> {
    if future.is_done() {
        return future.take_result().map(Step::Return);
    }
    future.event_loop()?;
    if future.blocking.replace(true) {
        return Err(runtime_error("await wasn't used with future"));
    }
    Ok(Step::Yield(future.object().own()))
}

/// The iterator that an explicit `__await__()` returns.
#[repr(C)]
struct FutureIterator {
    ob_base: ffi::PyObject,
    future: Field,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid.
unsafe impl Native for FutureIterator {}

static TYPE: GilOnce<Owned> = GilOnce::new();

pub(super) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let class = Class::new(
        c"maypole._maypole.FutureIter",
        size_of::<FutureIterator>(),
        c"What awaiting a future iterates over.",
    )
    .slot(ffi::Py_tp_iter, itself as *mut c_void)
    .slot(ffi::Py_tp_iternext, iterator_next as *mut c_void)
    .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
    .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
    .slot(ffi::Py_tp_clear, clear as *mut c_void)
    .fast(
        c"send",
        fast!(FutureIterator, send),
        c"Go on; the value is ignored.",
    )
    .fast(
        c"throw",
        fast!(FutureIterator, throw),
        c"Raise an exception where the await stands.",
    )
    .noargs(c"close", noargs!(FutureIterator, close), c"Forget the future.");
    TYPE.set(class.build(None)?);
    Ok(())
}

pub(super) fn explicit(this: &FutureObject) -> Result<Owned> {
    this.event_loop()?;
    // SAFETY: our type; zeroed memory is a valid iterator.
    let iterator = unsafe { Owned::steal(ffi::PyType_GenericAlloc(TYPE.get().as_ptr().cast(), 0))? };
    // SAFETY: made of our type just now.
    unsafe { FutureIterator::of(iterator.as_ptr()) }
        .future
        .set(this.object().own());
    Ok(iterator)
}

unsafe extern "C" fn iterator_next(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        advance(unsafe { FutureIterator::of(this) }).map(Owned::into_ptr)
    })
}

fn advance(this: &FutureIterator) -> Result<Owned> {
    let Some(object) = this.future.get() else {
        return Err(stop_iteration(&none()));
    };
    let Some(future) = FutureObject::downcast(&object) else {
        return Err(stop_iteration(&none()));
    };
    let outcome = step(future);
    if !matches!(outcome, Ok(Step::Yield(_))) {
        drop(this.future.take());
    }
    match outcome? {
        Step::Yield(value) => Ok(value),
        Step::Return(value) => Err(stop_iteration(&value)),
    }
}

fn send(this: &FutureIterator, _: Args<'_>) -> Result<Owned> {
    advance(this)
}

fn close(this: &FutureIterator) -> Result<Owned> {
    drop(this.future.take());
    Ok(none())
}

/// `throw(type[, value[, traceback]])` or `throw(exception)`.
fn throw(this: &FutureIterator, args: Args<'_>) -> Result<Owned> {
    let exception = exception_to_throw(args)?;
    drop(this.future.take());
    Err(restore(exception))
}

/// The exception instance that the arguments of a `throw` method name.
pub(crate) fn exception_to_throw(args: Args<'_>) -> Result<Owned> {
    let (given, rest) = args.at_least("throw", &["type"], 1)?;
    if rest.len() > 1 && !rest[1].is_none() {
        // SAFETY: a live object.
        if unsafe { ffi::PyTraceBack_Check(rest[1].as_ptr()) } == 0 {
            return Err(type_error("throw() third argument must be a traceback"));
        }
    }
    let exception = thrown(given[0], rest.first().copied())?;
    if let Some(trace) = rest.get(1).filter(|trace| !trace.is_none()) {
        // SAFETY: an exception instance and a traceback.
        crate::capi::error::check(unsafe {
            ffi::PyException_SetTraceback(exception.as_ptr(), trace.as_ptr())
        })?;
    }
    Ok(exception)
}

fn thrown(kind: &Obj, value: Option<&Obj>) -> Result<Owned> {
    // SAFETY: a live object.
    if unsafe { ffi::PyExceptionInstance_Check(kind.as_ptr()) } != 0 {
        if value.is_some_and(|value| !value.is_none()) {
            return Err(type_error("instance exception may not have a separate value"));
        }
        return Ok(kind.own());
    }
    // SAFETY: a live object.
    if unsafe { ffi::PyExceptionClass_Check(kind.as_ptr()) } == 0 {
        return Err(type_error(
            "exceptions must be classes deriving BaseException or instances of such a class",
        ));
    }
    match value {
        // SAFETY: a live object.
        Some(value) if unsafe { ffi::PyExceptionInstance_Check(value.as_ptr()) } != 0 => Ok(value.own()),
        Some(value) if !value.is_none() => kind.call(&[value]),
        _ => kind.call(&[]),
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    unsafe { nesting::free(this, free) };
}

unsafe fn free(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    // SAFETY: as above.
    drop(unsafe { FutureIterator::of(this) }.future.take());
    // SAFETY: memory of a collected object, untracked above.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    // SAFETY: the collector passes an object of our type.
    let this = unsafe { FutureIterator::of(this) };
    // SAFETY: heap types are visited by their instances.
    let class = unsafe { Obj::from_ptr(this.as_obj().type_ptr().cast()) };
    visitor
        .visit(class)
        .and_then(|()| visitor.visit_opt(this.future.peek()))
        .err()
        .unwrap_or(0)
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    // SAFETY: the collector passes an object of our type.
    drop(unsafe { FutureIterator::of(this) }.future.take());
    0
}
