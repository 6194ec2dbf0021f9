//! An operation that can be awaited: `sleep(1)`, `lock.acquire()`, `queue.get()`.
//!
//! One pooled object is the coroutine and the future that it waits for:
//!
//! * until it is awaited, it is a coroutine that has not begun: `asyncio.iscoroutine` holds, `create_task` takes it, and dropping
//!   it warns that it was never awaited;
//! * if it can be done at once, it returns, and neither frame nor future nor timer was made;
//! * if it has to wait, it yields itself, and while it waits it is a future (`asyncio.isfuture` holds), so that tasks of any kind
//!   can wait for it.
//!
//! What it does is written in its [`Steps`].
//!
//! * this file: the memory, the type, its life and death;
//! * [`waiting`]: what a step asks for: to wait for the future, or for a time;
//! * [`drive`]: from one suspension to the next;
//! * [`delegate`]: another awaitable that goes on in the operation's place;
//! * [`methods`]: what Python code sees, of a coroutine and of a future.
//!
//! Invariant: `begin` runs at the first `send`, never when the operation is made.
//! Invariant: an operation that was suspended ends either by `resume` or by `abandon`, never by both.
//! Source: <https://peps.python.org/pep-0492/#coroutine-objects>

mod delegate;
mod drive;
mod methods;
mod waiting;

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, getter, noargs, setter};
use crate::capi::error::{check, restore, runtime_error, take, type_error};
use crate::capi::pool::{Pool, track};
use crate::capi::{Field, Obj, Owned, Result, nesting};
use crate::future::iterator::itself;
use crate::future::{self, FutureObject};

/// What a step of an operation ends with.
pub(super) enum Step {
    /// The operation is done.
    Return(Owned),
    /// It waits for its future, which somebody will finish.
    Wait,
    /// It goes on in the next turn.
    Yield,
    /// Another awaitable, given to [`Operation::delegate`], goes on in its place.
    Delegate,
}

/// What an operation on a `T` does. `T` is the object whose method made it.
#[repr(C)]
pub(super) struct Steps<T: 'static> {
    /// What messages call the operation, as a coroutine's `__qualname__`.
    pub(super) name: &'static CStr,
    /// The first step.
    pub(super) begin: fn(&T, &Operation) -> Result<Step>,
    /// Goes on after a suspension, with the result of the future or of the awaitable in its place.
    pub(super) resume: fn(&T, &Operation, Owned) -> Result<Step>,
    /// Undoes what the suspension needs; an exception was thrown into it, or its future failed.
    pub(super) abandon: fn(&T, &Operation) -> Result<()>,
}

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// Nobody has awaited it.
    New = 0,
    /// One of its steps is running.
    Running,
    /// It waits for its future.
    Waiting,
    /// It goes on in the next turn.
    Yielded,
    /// Another awaitable goes on in its place.
    Delegated,
    Done,
}

/// The memory of a `maypole._maypole.Operation`.
#[repr(C)]
pub(crate) struct Operation {
    /// What the task waits for; empty until then.
    future: FutureObject,
    /// The steps, for the type of `owner`.
    steps: Cell<Option<&'static Steps<Obj>>>,
    /// The object whose method made the operation.
    owner: Field,
    /// What the operation works with: an item, a delay, the awaitable in its place.
    value: Field,
    /// Where a search goes on.
    mark: Cell<usize>,
    /// Where the wheel holds the operation, while `timed`.
    timer: Cell<u64>,
    timed: Cell<bool>,
    stage: Cell<Stage>,
}

// SAFETY: `repr(C)`, begins with a `FutureObject`, hence with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for Operation {}

/// How many dead operations are kept, some 250 KiB at most.
const POOL_MAX: usize = 1024;

struct Types {
    class: Owned,
    pool: Pool,
}

static TYPES: GilOnce<Types> = GilOnce::new();

const DOC: &CStr = c"A native coroutine, such as sleep(1) or lock.acquire(); await it.";

/// The type object.
#[inline(always)]
pub(crate) fn class() -> &'static Obj {
    &TYPES.get().class
}

/// Makes the type; called once while the module is imported, after the future's.
pub(super) fn init() -> Result<()> {
    if TYPES.is_set() {
        return Ok(());
    }
    let class = Class::new(c"maypole._maypole.Operation", size_of::<Operation>(), DOC)
        .slot(ffi::Py_tp_new, refuse_new as *mut c_void)
        .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
        .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
        .slot(ffi::Py_tp_clear, clear as *mut c_void)
        .slot(ffi::Py_tp_repr, methods::repr as *mut c_void)
        .slot(ffi::Py_am_await, itself as *mut c_void)
        .slot(ffi::Py_am_send, methods::send_slot as *mut c_void)
        .slot(ffi::Py_tp_iter, itself as *mut c_void)
        .slot(ffi::Py_tp_iternext, methods::next as *mut c_void)
        .noargs(
            c"__await__",
            noargs!(Operation, methods::await_method),
            c"Return the operation, which is its own iterator.",
        )
        .fast(
            c"send",
            fast!(Operation, methods::send),
            c"Begin or go on; the value is ignored.",
        )
        .fast(
            c"throw",
            fast!(Operation, methods::throw),
            c"Raise an exception where the operation stands.",
        )
        .noargs(
            c"close",
            noargs!(Operation, methods::close),
            c"Give the operation up.",
        )
        .fast(
            c"cancel",
            fast!(Operation, methods::cancel_method),
            c"Cancel the wait; return whether it could be.",
        )
        .attribute(c"__name__", getter!(Operation, methods::get_name), None)
        .attribute(
            c"__qualname__",
            getter!(Operation, methods::get_qualified_name),
            None,
        )
        .attribute(c"cr_running", getter!(Operation, methods::get_running), None)
        .attribute(
            c"_asyncio_future_blocking",
            getter!(Operation, methods::get_blocking),
            Some(setter!(Operation, methods::set_blocking)),
        );
    TYPES.set(Types {
        class: class.build(Some(future::class()))?,
        pool: Pool::new(POOL_MAX),
    });
    Ok(())
}

/// An object whose methods make operations.
pub(super) trait Owner {
    fn as_owner(&self) -> &Obj;
}

impl<T: Native> Owner for T {
    fn as_owner(&self) -> &Obj {
        self.as_obj()
    }
}

impl Owner for Obj {
    fn as_owner(&self) -> &Obj {
        self
    }
}

/// A new operation on `owner`.
///
/// # Errors
/// Only when memory is short.
#[inline]
pub(super) fn new<T: Owner>(steps: &'static Steps<T>, owner: &T, value: Option<&Obj>) -> Result<Owned> {
    let types = TYPES.get();
    // SAFETY: the pool is given operations only; empty fields are a valid operation.
    let object = unsafe { types.pool.take(&types.class)? };
    // SAFETY: made of our type just now.
    let this = unsafe { Operation::of(object.as_ptr()) };
    let steps = std::ptr::from_ref(steps).cast::<Steps<Obj>>();
    // SAFETY: `Steps` is `repr(C)`, and its functions take `&T` where they are called with `&Obj`: both are pointers to the same
    // Python object, since `owner` is one.
    this.steps.set(Some(unsafe { &*steps }));
    this.owner.set(owner.as_owner().own());
    if let Some(value) = value {
        this.value.set(value.own());
    }
    this.stage.set(Stage::New);
    track(&object);
    Ok(object)
}

impl Operation {
    /// The operation behind a Python object, if it is one. There are no subclasses.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&Operation> {
        if object.type_ptr().cast() != class().as_ptr() {
            return None;
        }
        // SAFETY: the exact type was just checked.
        Some(unsafe { Operation::of(object.as_ptr()) })
    }

    /// Whether nobody has awaited it.
    pub(super) fn is_new(&self) -> bool {
        self.stage.get() == Stage::New
    }

    /// The operation's future: pending while it waits.
    #[inline(always)]
    pub(super) fn future(&self) -> &FutureObject {
        &self.future
    }

    /// What the operation was made with.
    pub(super) fn value(&self) -> Owned {
        self.value.get_or_none()
    }

    pub(super) fn set_value(&self, value: Owned) {
        self.value.set(value);
    }

    /// Where a search goes on; 0 at first.
    pub(super) fn mark(&self) -> usize {
        self.mark.get()
    }

    pub(super) fn set_mark(&self, mark: usize) {
        self.mark.set(mark);
    }

    fn steps(&self) -> Result<&'static Steps<Obj>> {
        self.steps
            .get()
            .ok_or_else(|| runtime_error("the operation was cleared"))
    }
}

unsafe extern "C" fn refuse_new(
    _: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        Err(type_error("cannot create 'maypole._maypole.Operation' instances"))
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    unsafe { nesting::free(this, free) };
}

unsafe fn free(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let (class, operation) = unsafe { (ffi::Py_TYPE(this), Operation::of(this)) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    let pooled = enter(false, || {
        if operation.stage.get() == Stage::New {
            operation.warn_that_nobody_awaited();
        }
        operation.future.clear_weak_references();
        operation.clear();
        // SAFETY: exactly the pool's type, emptied above, without references; one that was finalised would never be again.
        Ok(unsafe { ffi::PyObject_GC_IsFinalized(this) == 0 && TYPES.get().pool.give(this) })
    });
    if !pooled {
        // SAFETY: memory of a collected object, untracked above.
        unsafe { ffi::PyObject_GC_Del(this.cast()) };
    }
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

impl Operation {
    /// Makes the operation as if new.
    #[inline]
    fn clear(&self) {
        let old = (self.owner.take(), self.value.take());
        drop(self.future.clear());
        self.timed.set(false);
        self.mark.set(0);
        drop(old);
    }

    /// A `RuntimeWarning`, as for a coroutine that is dropped before it was awaited.
    #[cold]
    fn warn_that_nobody_awaited(&self) {
        let pending = take();
        let name = self.steps.get().map_or(c"operation", |steps| steps.name);
        // SAFETY: a warning category, a format and the C string that it shows.
        let warned = unsafe {
            ffi::PyErr_WarnFormat(
                ffi::PyExc_RuntimeWarning,
                1,
                c"coroutine '%s' was never awaited".as_ptr(),
                name.as_ptr(),
            )
        };
        if warned < 0 {
            crate::capi::error::unraisable(None);
        }
        if let Some(pending) = pending {
            restore(pending);
        }
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        visitor.visit_opt(self.owner.peek())?;
        visitor.visit_opt(self.value.peek())?;
        self.future.traverse_with_class(visitor)
    }
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        Ok(unsafe { Operation::of(this) }.visit(visitor).err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        unsafe { Operation::of(this) }.clear();
        Ok(0)
    })
}

/// Adds the type to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"Operation".as_ptr(), class().as_ptr()) })
}
