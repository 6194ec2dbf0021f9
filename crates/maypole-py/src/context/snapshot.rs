//! The values that were current at some moment, for all who were made then.
//!
//! Invariant: a snapshot's template is never entered, so its values never change; the spare context holds the same values, is
//! not entered, and nobody else refers to it.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use pyo3::ffi;

use super::layout::{Layout, Values};
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter};
use crate::capi::pool::{allocate, track};
use crate::capi::{Field, Obj, Owned, Result, nesting};

/// So many captures in a row must find the same values before they are shared: who changes them for each does not pay for it.
const WORTH_SHARING: u32 = 3;

/// The values of a context that several share.
#[repr(C)]
pub(crate) struct Snapshot {
    ob_base: ffi::PyObject,
    /// A context with these values, which nobody enters.
    template: Field,
    /// One to run in, if nobody does.
    spare: Field,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid.
unsafe impl Native for Snapshot {}

/// What is shared now.
struct Sharing {
    class: Owned,
    layout: Option<Layout>,
    now: Field,
    /// The values of [`Sharing::now`], which keeps them alive.
    values: Cell<Values>,
    /// The values that the last capture found, if it could not share; only compared.
    missed: Cell<Values>,
    misses: Cell<u32>,
}

static SHARING: GilOnce<Sharing> = GilOnce::new();

pub(super) fn init() -> Result<()> {
    if SHARING.is_set() {
        return Ok(());
    }
    let class = Class::new(
        c"maypole._maypole.Snapshot",
        size_of::<Snapshot>(),
        c"The values of context variables at some moment, for all callbacks and tasks that were made then.",
    )
    .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
    .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
    .slot(ffi::Py_tp_clear, clear as *mut c_void);
    SHARING.set(Sharing {
        class: class.build(None)?,
        layout: Layout::find()?,
        now: Field::empty(),
        values: Cell::new(std::ptr::null()),
        missed: Cell::new(std::ptr::null()),
        misses: Cell::new(0),
    });
    Ok(())
}

/// What a callback or a task made now will run in: a snapshot, or a context of its own.
///
/// # Errors
/// Only when memory is short.
#[inline]
pub(crate) fn capture() -> Result<Owned> {
    let sharing = SHARING.get();
    let Some(layout) = &sharing.layout else {
        return super::copy();
    };
    let values = layout.current();
    if values == sharing.values.get()
        && let Some(snapshot) = sharing.now.get()
    {
        return Ok(snapshot);
    }
    sharing.miss(layout, values)
}

/// Forgets what is shared now, if it could keep something of the program alive: the loop is about to sleep, or closes.
#[inline]
pub(crate) fn forget() {
    let sharing = SHARING.get();
    if let Some(layout) = &sharing.layout
        && sharing.values.get() != layout.empty
    {
        sharing.values.set(std::ptr::null());
        drop(sharing.now.take());
    }
}

impl Sharing {
    #[cold]
    fn miss(&self, layout: &Layout, values: Values) -> Result<Owned> {
        let again = !values.is_null() && self.missed.replace(values) == values;
        self.misses.set(if again { self.misses.get() + 1 } else { 1 });
        let template = super::copy()?;
        if self.misses.get() < WORTH_SHARING {
            return Ok(template);
        }
        self.misses.set(0);
        // Making an object may run the collector, and that anything: the values are those of the copy.
        let values = layout.of(&template);
        let object = allocate(&self.class)?;
        // SAFETY: made of our type just now.
        unsafe { Snapshot::of(object.as_ptr()) }.template.set(template);
        track(&object);
        let old = self.now.replace(Some(object.clone()));
        self.values.set(values);
        drop(old);
        Ok(object)
    }
}

impl Snapshot {
    /// The snapshot behind what [`capture`] gave; `None` if that is a context.
    #[inline(always)]
    pub(crate) fn downcast(captured: &Obj) -> Option<&Snapshot> {
        // SAFETY: the exact type is checked; it cannot be subclassed from Python, which never sees it.
        (captured.type_ptr().cast() == SHARING.get().class.as_ptr())
            .then(|| unsafe { Snapshot::of(captured.as_ptr()) })
    }

    /// A new context with these values.
    ///
    /// # Errors
    /// Only when memory is short.
    pub(super) fn copy(&self) -> Result<Owned> {
        match self.template.peek() {
            // SAFETY: a live context.
            Some(template) => unsafe { Owned::steal(ffi::PyContext_Copy(template.as_ptr())) },
            // The collector has cleared this: whoever still runs belongs to what it frees.
            None => super::copy(),
        }
    }

    /// A context with these values to run in, which nobody else has.
    ///
    /// # Errors
    /// Only when memory is short.
    #[inline(always)]
    pub(super) fn lend(&self) -> Result<Owned> {
        match self.spare.take() {
            Some(spare) => Ok(spare),
            None => self.copy(),
        }
    }

    /// Takes a context back that was lent, if nobody kept or changed it.
    #[inline(always)]
    pub(super) fn give_back(&self, context: Owned) {
        if context.reference_count() == 1 && self.is_unchanged(&context) && self.spare.is_empty() {
            drop(self.spare.replace(Some(context)));
        }
    }

    /// Whether a context that was lent still has the values of the snapshot.
    #[inline(always)]
    pub(super) fn is_unchanged(&self, context: &Obj) -> bool {
        match (&SHARING.get().layout, self.template.peek()) {
            (Some(layout), Some(template)) => layout.of(context) == layout.of(template),
            _ => false,
        }
    }

    fn empty(&self) {
        drop((self.template.take(), self.spare.take()));
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    unsafe { nesting::free(this, free) };
}

unsafe fn free(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let (class, snapshot) = unsafe { (ffi::Py_TYPE(this), Snapshot::of(this)) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    enter((), || {
        snapshot.empty();
        Ok(())
    });
    // SAFETY: memory of a collected object, untracked above.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        let this = unsafe { Snapshot::of(this) };
        // SAFETY: heap types are visited by their instances.
        let class = unsafe { Obj::from_ptr(this.as_obj().type_ptr().cast()) };
        let outcome = visitor
            .visit(class)
            .and_then(|()| visitor.visit_opt(this.template.peek()))
            .and_then(|()| visitor.visit_opt(this.spare.peek()));
        Ok(outcome.err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        unsafe { Snapshot::of(this) }.empty();
        Ok(0)
    })
}
