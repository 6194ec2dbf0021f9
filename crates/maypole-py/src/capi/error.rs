//! Python exceptions as Rust results.

use std::ffi::CString;

use pyo3::ffi;

use super::object::{Obj, Owned};

/// Says that a Python exception is set on this thread; the exception itself stays with the interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raised;

/// What every fallible step of this crate returns.
pub(crate) type Result<T> = std::result::Result<T, Raised>;

/// Turns a C status (negative = raised) into a result.
#[inline(always)]
pub(crate) fn check(status: std::ffi::c_int) -> Result<()> {
    if status < 0 { Err(Raised) } else { Ok(()) }
}

/// Sets an exception of a built-in type with a text.
#[cold]
pub(crate) fn raise(kind: *mut ffi::PyObject, text: &str) -> Raised {
    let text = CString::new(text.replace('\0', "?")).unwrap_or_default();
    // SAFETY: `kind` is one of the interpreter's exception types, the text is a C string, the lock is held.
    unsafe { ffi::PyErr_SetString(kind, text.as_ptr()) };
    Raised
}

#[cold]
pub(crate) fn type_error(text: &str) -> Raised {
    // SAFETY: the exception types exist while the interpreter does.
    raise(unsafe { ffi::PyExc_TypeError }, text)
}

#[cold]
pub(crate) fn value_error(text: &str) -> Raised {
    // SAFETY: as above.
    raise(unsafe { ffi::PyExc_ValueError }, text)
}

#[cold]
pub(crate) fn runtime_error(text: &str) -> Raised {
    // SAFETY: as above.
    raise(unsafe { ffi::PyExc_RuntimeError }, text)
}

/// Raises `MemoryError`, which exists already and takes no memory.
#[cold]
pub(crate) fn memory_error() -> Raised {
    // SAFETY: the lock is held.
    unsafe { ffi::PyErr_NoMemory() };
    Raised
}

#[cold]
pub(crate) fn attribute_error(text: &str) -> Raised {
    // SAFETY: as above.
    raise(unsafe { ffi::PyExc_AttributeError }, text)
}

/// Raises the `OSError` subclass that belongs to an operating system's error.
#[cold]
pub(crate) fn os_error(error: &std::io::Error) -> Raised {
    let Some(code) = error.raw_os_error() else {
        // SAFETY: the exception types exist while the interpreter does.
        return raise(unsafe { ffi::PyExc_OSError }, &error.to_string());
    };
    // SAFETY: writing this thread's errno is always allowed.
    unsafe { *libc::__errno_location() = code };
    // SAFETY: the function reads errno and sets the indicator; it returns null always.
    unsafe { ffi::PyErr_SetFromErrno(ffi::PyExc_OSError) };
    Raised
}

/// Takes the current exception off the thread, normalised, with its traceback attached.
#[cold]
pub(crate) fn take() -> Option<Owned> {
    #[cfg(Py_3_12)]
    {
        // SAFETY: the lock is held; the function gives a strong reference or null.
        unsafe { Owned::steal_opt(ffi::PyErr_GetRaisedException()) }
    }
    #[cfg(not(Py_3_12))]
    {
        let (mut kind, mut value, mut trace) =
            (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: three valid places; each receives null or a strong reference.
        unsafe { ffi::PyErr_Fetch(&mut kind, &mut value, &mut trace) };
        if kind.is_null() {
            return None;
        }
        // SAFETY: the three pointers are what Fetch gave.
        unsafe { ffi::PyErr_NormalizeException(&mut kind, &mut value, &mut trace) };
        if !trace.is_null() {
            // SAFETY: `value` is an exception instance after normalisation.
            unsafe { ffi::PyException_SetTraceback(value, trace) };
        }
        // SAFETY: both are strong references or null.
        drop(unsafe { (Owned::steal_opt(kind), Owned::steal_opt(trace)) });
        // SAFETY: a strong reference or null.
        unsafe { Owned::steal_opt(value) }
    }
}

/// Sets a taken (or any other) exception instance as the current one.
#[cold]
pub(crate) fn restore(exception: Owned) -> Raised {
    #[cfg(Py_3_12)]
    // SAFETY: the function takes over the strong reference.
    unsafe {
        ffi::PyErr_SetRaisedException(exception.into_ptr());
    }
    #[cfg(not(Py_3_12))]
    {
        let kind = exception.type_ptr().cast();
        // SAFETY: `kind` is a live type; Restore takes over one reference of each argument.
        unsafe { ffi::Py_INCREF(kind) };
        // SAFETY: `exception` is a live exception instance; the call returns null or a strong reference.
        let trace = unsafe { ffi::PyException_GetTraceback(exception.as_ptr()) };
        // SAFETY: three strong references (the last may be null) change hands.
        unsafe { ffi::PyErr_Restore(kind, exception.into_ptr(), trace) };
    }
    Raised
}

/// Whether the current exception is an instance of `kind`.
#[cold]
pub(crate) fn current_is(kind: *mut ffi::PyObject) -> bool {
    // SAFETY: `kind` is an exception type; an exception is set, else the answer is simply false.
    unsafe { ffi::PyErr_ExceptionMatches(kind) != 0 }
}

/// Whether the current exception ends the program (`SystemExit`, `KeyboardInterrupt`) and must leave the loop.
#[cold]
pub(crate) fn current_ends_program() -> bool {
    // SAFETY: the exception types exist while the interpreter does.
    unsafe { current_is(ffi::PyExc_SystemExit) || current_is(ffi::PyExc_KeyboardInterrupt) }
}

/// Reports the current exception where nothing can receive it (`sys.unraisablehook`).
#[cold]
pub(crate) fn unraisable(place: Option<&Obj>) {
    // SAFETY: an exception is set; the argument is null or live.
    unsafe { ffi::PyErr_WriteUnraisable(place.map_or(std::ptr::null_mut(), Obj::as_ptr)) }
}
