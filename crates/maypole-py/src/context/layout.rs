//! Where CPython keeps what a context holds.
//!
//! A context is a reference to an immutable map, and the current one is a field of the thread's state. Neither has a function
//! in the C interface that does not copy. Both places are the same in CPython 3.11 to 3.15 but for the second's offset; they are
//! looked for when the module is imported, with contexts made for the purpose. Where one is not found as expected, no context is
//! shared and every callback gets its own.
//!
//! Source: `PyContext` in `Include/internal/pycore_context.h`, `PyThreadState.context` in `Include/cpython/pystate.h`.

use pyo3::ffi;

use crate::capi::{Obj, Owned, Result, call};

/// The map of a context lies behind the object's head and the context that was current before.
const VARS_OFFSET: usize = size_of::<ffi::PyObject>() + size_of::<*mut ffi::PyObject>();

/// The field of the thread's state is looked for in so many of its words: fewer than the structure has in any version.
const STATE_WORDS: usize = 34;

/// The identity of the values that a context holds; null for unknown.
pub(super) type Values = *const ffi::PyObject;

/// The places that were found.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    current_offset: usize,
    /// The values of a context without any.
    pub(super) empty: Values,
}

impl Layout {
    /// Looks for both places; `None` if something is not as expected.
    ///
    /// # Errors
    /// Only when memory is short.
    pub(super) fn find() -> Result<Option<Layout>> {
        // SAFETY: the lock is held.
        let [first, second] = [unsafe { Owned::steal(ffi::PyContext_New())? }, unsafe {
            Owned::steal(ffi::PyContext_New())?
        }];
        let found: Vec<usize> = offsets_of_current(&first)?
            .into_iter()
            .filter({
                let again = offsets_of_current(&second)?;
                move |offset| again.contains(offset)
            })
            .collect();
        let &[current_offset] = found.as_slice() else {
            return Ok(None);
        };
        let layout = Layout {
            current_offset,
            empty: values_of(&first),
        };
        Ok(layout.is_right(&first)?.then_some(layout))
    }

    /// Whether the values of a context change when a variable is set in it, in no copy of it, and are found in the thread.
    fn is_right(&self, context: &Obj) -> Result<bool> {
        let before = self.of(context);
        // SAFETY: a live context.
        let copy = unsafe { Owned::steal(ffi::PyContext_Copy(context.as_ptr()))? };
        let variable = call::import_from("contextvars", "ContextVar")?.call(&[&*call::text("maypole")?])?;
        let value = call::text("value")?;
        let inside = super::run(context, || {
            // SAFETY: a live variable and value.
            let token = unsafe { Owned::steal(ffi::PyContextVar_Set(variable.as_ptr(), value.as_ptr()))? };
            drop(token);
            Ok(self.current())
        })?;
        let after = self.of(context);
        Ok(!before.is_null()
            && self.of(&copy) == before
            && after != before
            && !after.is_null()
            && inside == after)
    }

    /// The values of a context.
    #[inline(always)]
    pub(super) fn of(&self, context: &Obj) -> Values {
        values_of(context)
    }

    /// The values of the current context; null if the thread has none yet.
    #[inline(always)]
    pub(super) fn current(&self) -> Values {
        // SAFETY: the lock is held, so there is a state; the offset was found in it, and holds a context or null.
        unsafe {
            let state = ffi::PyThreadState_Get();
            let current = *state.byte_add(self.current_offset).cast::<*mut ffi::PyObject>();
            Obj::from_ptr_opt(current).map_or(std::ptr::null(), |current| self.of(current))
        }
    }
}

/// Reads the word where a context keeps its values.
#[inline(always)]
fn values_of(context: &Obj) -> Values {
    // SAFETY: callers pass a context, which is longer than that; the word is a pointer in every version that `find` accepts.
    unsafe { *context.as_ptr().byte_add(VARS_OFFSET).cast::<Values>() }
}

/// Where in the thread's state the context stands while it is entered.
fn offsets_of_current(context: &Obj) -> Result<Vec<usize>> {
    super::run(context, || {
        // SAFETY: the lock is held; the words read all lie within the state.
        let words =
            unsafe { std::slice::from_raw_parts(ffi::PyThreadState_Get().cast::<usize>(), STATE_WORDS) };
        let standing = words
            .iter()
            .enumerate()
            .filter(|(_, word)| **word == context.as_ptr() as usize);
        Ok(standing.map(|(place, _)| place * size_of::<usize>()).collect())
    })
}
