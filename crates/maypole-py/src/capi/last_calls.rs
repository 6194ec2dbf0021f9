//! Calls from which a thread may not return: the interpreter may end meanwhile.
//!
//! Up to Python 3.13 a daemon thread that asks for the interpreter lock while the interpreter ends is ended by `pthread_exit`, which
//! unwinds its stack; Rust ends the whole process when that reaches one of its frames. Such a thread waits here for the end of
//! the process instead, as Python 3.14 lets it.
//!
//! The functions have names and arguments of those of CPython that they call.
//! Source: <https://github.com/python/cpython/issues/87135>, <https://github.com/rust-lang/rust/issues/135929>

#[cfg(Py_3_14)]
pub(crate) use pyo3::ffi::{
    PyIter_Next, PyIter_Send, PyObject_Call, PyObject_GetAttr, PyObject_IsTrue, PyObject_SetAttr,
    PyObject_Vectorcall, PyObject_VectorcallMethod,
};

#[cfg(not(Py_3_14))]
pub(crate) use guarded::*;

#[cfg(not(Py_3_14))]
mod guarded {
    use std::ffi::c_int;

    use pyo3::ffi::{PyObject, PySendResult};

    /// Lives during a call; dropped only when the stack is unwound beneath it.
    struct NeverReturns;

    impl Drop for NeverReturns {
        #[cold]
        fn drop(&mut self) {
            loop {
                std::thread::park();
            }
        }
    }

    macro_rules! guarded {
        ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
            mod raw {
                use super::{PyObject, PySendResult, c_int};

                #[allow(
                    clashing_extern_declarations,
                    reason = "an unwinding may pass these, which PyO3's declarations exclude"
                )]
                unsafe extern "C-unwind" {
                    $(pub(super) fn $name($($argument: $kind),*) -> $answer;)*
                }
            }

            $(
                /// # Safety
                /// As the function of CPython.
                #[inline(always)]
                #[allow(non_snake_case, reason = "CPython's names")]
                pub(crate) unsafe fn $name($($argument: $kind),*) -> $answer {
                    let guard = NeverReturns;
                    // SAFETY: the caller's word.
                    let answer = unsafe { raw::$name($($argument),*) };
                    std::mem::forget(guard);
                    answer
                }
            )*
        };
    }

    guarded! {
        fn PyIter_Next(iterator: *mut PyObject) -> *mut PyObject;
        fn PyIter_Send(
            iterator: *mut PyObject,
            argument: *mut PyObject,
            answer: *mut *mut PyObject
        ) -> PySendResult;
        fn PyObject_Call(
            callable: *mut PyObject,
            arguments: *mut PyObject,
            keywords: *mut PyObject
        ) -> *mut PyObject;
        fn PyObject_GetAttr(object: *mut PyObject, name: *mut PyObject) -> *mut PyObject;
        fn PyObject_IsTrue(object: *mut PyObject) -> c_int;
        fn PyObject_SetAttr(object: *mut PyObject, name: *mut PyObject, value: *mut PyObject) -> c_int;
        fn PyObject_Vectorcall(
            callable: *mut PyObject,
            arguments: *const *mut PyObject,
            count: usize,
            names: *mut PyObject
        ) -> *mut PyObject;
        fn PyObject_VectorcallMethod(
            name: *mut PyObject,
            arguments: *const *mut PyObject,
            count: usize,
            names: *mut PyObject
        ) -> *mut PyObject;
    }
}
