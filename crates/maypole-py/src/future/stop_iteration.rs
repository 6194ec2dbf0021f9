//! How an iterator ends with a value: `StopIteration`.
//!
//! An `await` in a coroutine asks `tp_iternext` of what it awaits; its answer is an exception that the interpreter takes the value
//! out of and frees at once. So that one is of a class of ours, whose memory is used again and which makes no tuple of arguments.
//! Nothing of asyncio's has `__next__`, so a program sees it only where it traces exceptions. Whoever drives an awaitable by hand
//! (`send`, `throw`, `__await__()`) gets a plain `StopIteration`.

use std::ffi::{c_char, c_void};

use pyo3::ffi;

use crate::capi::cell::GilOnce;
use crate::capi::class::Class;
use crate::capi::error::restore;
use crate::capi::pool::{Pool, track};
use crate::capi::{Obj, Owned, Raised, Result, call};

/// The class whose instances end an `await`, and the memory of the dead ones.
struct Returned {
    class: Owned,
    no_arguments: Owned,
    pool: Pool,
}

/// How many dead ones are kept; more than one lives only where a program keeps them.
const POOL_MAX: usize = 16;

static RETURNED: GilOnce<Returned> = GilOnce::new();

pub(super) fn init() -> Result<()> {
    if RETURNED.is_set() || !is_known(stop_iteration_class()) {
        return Ok(());
    }
    let class = Class::new(
        c"maypole._maypole.StopIteration",
        size_of::<ffi::PyStopIterationObject>(),
        c"The end of an await, with its value.",
    )
    .collected_by_base()
    .without_subclasses()
    .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
    .build(Some(stop_iteration_class()))?;
    RETURNED.set(Returned {
        class,
        no_arguments: call::tuple(&[])?,
        pool: Pool::new(POOL_MAX),
    });
    Ok(())
}

fn stop_iteration_class<'a>() -> &'a Obj {
    // SAFETY: the exception types exist while the interpreter does.
    unsafe { Obj::from_ptr(ffi::PyExc_StopIteration) }
}

/// Whether the interpreter's `StopIteration` has the structure that is filled here.
fn is_known(class: &Obj) -> bool {
    // SAFETY: a live type object.
    let size = unsafe { (*class.as_ptr().cast::<ffi::PyTypeObject>()).tp_basicsize };
    size as usize == size_of::<ffi::PyStopIterationObject>()
}

/// Ends an `await` with a value: for `tp_iternext` of what only the interpreter iterates.
#[inline]
pub(crate) fn returned(value: Owned) -> Raised {
    if !RETURNED.is_set() {
        return stop_iteration(&value);
    }
    let own = RETURNED.get();
    // SAFETY: only objects of this class are given to this pool.
    let exception = match unsafe { own.pool.take(&own.class) } {
        Ok(exception) => exception,
        Err(raised) => return raised,
    };
    // SAFETY: an instance of our class, with empty fields.
    unsafe { fill(&exception, own.no_arguments.own(), value) };
    track(&exception);
    restore(exception)
}

/// # Safety
/// An instance of a class with the structure of `StopIteration`, whose fields are empty.
#[inline]
unsafe fn fill(exception: &Obj, args: Owned, value: Owned) {
    let fields = exception.as_ptr().cast::<ffi::PyStopIterationObject>();
    // SAFETY: as the caller says; the fields take over the references.
    unsafe {
        (*fields).args = args.into_ptr();
        (*fields).value = value.into_ptr();
    }
}

/// Raises `StopIteration(value)`; the instance is made by hand, since setting the class would unpack a tuple.
pub(crate) fn stop_iteration(value: &Obj) -> Raised {
    let class = stop_iteration_class();
    let exception = if is_known(class) {
        filled(class, value)
    } else {
        class.call(&[value])
    };
    match exception {
        Ok(exception) => restore(exception),
        Err(raised) => raised,
    }
}

/// `StopIteration(value)` without the calls of its constructor, which take longer than the rest of an `await`.
fn filled(class: &Obj, value: &Obj) -> Result<Owned> {
    let args = call::tuple(&[value])?;
    // SAFETY: a live type; its allocator gives zeroed memory, so every other field is unset.
    let exception = unsafe { Owned::steal(ffi::PyType_GenericAlloc(class.as_ptr().cast(), 0))? };
    // SAFETY: the caller has looked at the structure; made just now.
    unsafe { fill(&exception, args, value.own()) };
    Ok(exception)
}

/// `tp_dealloc` of our class: the value goes, the memory stays.
unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our class whose count has reached zero.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    let fields = this.cast::<ffi::PyStopIterationObject>();
    // SAFETY: as above; each reference is taken out of its field before it is dropped.
    unsafe {
        let own = [
            &raw mut (*fields).value,
            &raw mut (*fields).args,
            &raw mut (*fields).dict,
            #[cfg(Py_3_11)]
            &raw mut (*fields).notes,
            &raw mut (*fields).traceback,
            &raw mut (*fields).context,
            &raw mut (*fields).cause,
        ];
        for field in own {
            drop(Owned::steal_opt(field.replace(std::ptr::null_mut())));
        }
        (&raw mut (*fields).suppress_context).cast::<c_char>().write(0);
    }
    // SAFETY: exactly our class, which has no subclasses; emptied above, without references.
    unsafe {
        if !RETURNED.get().pool.give(this) {
            ffi::PyObject_GC_Del(this.cast());
        }
        ffi::Py_DECREF(RETURNED.get().class.as_ptr());
    }
}
