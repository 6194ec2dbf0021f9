//! `Lock`: asyncio's lock, natively. A free lock is taken without making anything.
//!
//! Source: <https://docs.python.org/3/library/asyncio-sync.html#asyncio.Lock>

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use super::bound::Bound;
use super::held::{self, Arguments, Held};
use super::operation::{self, Operation, Step, Steps};
use super::stdlib::names;
use super::waiters::{Waiters, finish, is_done};
use crate::capi::cell::GilOnce;
use crate::capi::class::{Native, Visitor, enter, fast, getter, noargs, setter};
use crate::capi::error::{attribute_error, check, runtime_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Result};

/// The memory of a `maypole.Lock`.
#[repr(C)]
struct LockObject {
    bound: Bound,
    waiters: Waiters,
    locked: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `Bound`, hence with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for LockObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const DOC: &CStr = c"Lock()\n--\n\nA mutual exclusion lock for tasks, first come, first served; asyncio's Lock, natively.\n\n\
Use it with `async with lock:`.\n\n\
Cancel safety: a cancelled acquire() does not hold the lock, and the next in line is woken.\n\n\
Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.Lock";

/// Makes the type; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let dict = std::mem::offset_of!(LockObject, bound.dict);
    let weak = std::mem::offset_of!(LockObject, bound.weak_references);
    let class = held::class::<LockObject>(c"maypole.Lock", DOC, dict, weak)
        .slot(ffi::Py_tp_repr, repr as *mut c_void)
        .noargs(
            c"locked",
            noargs!(LockObject, locked),
            c"Return whether the lock is held.",
        )
        .noargs(
            c"acquire",
            noargs!(LockObject, acquire),
            c"Await it: returns True once the lock is held.",
        )
        .noargs(
            c"release",
            noargs!(LockObject, release),
            c"Free the lock and wake the first in line.",
        )
        .noargs(c"__aenter__", noargs!(LockObject, aenter), c"Acquire the lock.")
        .fast(c"__aexit__", fast!(LockObject, aexit), c"Release the lock.")
        .attribute(
            c"_locked",
            getter!(LockObject, locked),
            Some(setter!(LockObject, set_locked)),
        )
        .attribute(
            c"_loop",
            getter!(LockObject, get_loop),
            Some(setter!(LockObject, set_loop)),
        )
        .attribute(
            c"_waiters",
            getter!(LockObject, get_waiters),
            Some(setter!(LockObject, set_waiters)),
        );
    TYPE.set(held::build(class, None)?);
    Ok(())
}

impl Held for LockObject {
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        self.bound.visit(visitor)?;
        self.waiters.visit(visitor)
    }

    fn clear(&self) {
        self.bound.clear();
        self.waiters.clear();
    }

    fn weak_references(&self) -> Option<&Cell<*mut ffi::PyObject>> {
        Some(&self.bound.weak_references)
    }

    fn initialise(&self, args: Arguments) -> Result<()> {
        args.optional("Lock", "")?;
        self.waiters.clear();
        self.locked.set(false);
        Ok(())
    }
}

static ACQUIRE: Steps<LockObject> = Steps {
    name: c"Lock.acquire",
    begin: |this, operation| this.begin(operation, || boolean(true)),
    resume: |this, operation, _| this.take_over(operation, || boolean(true)),
    abandon: LockObject::abandon,
};

static ENTER: Steps<LockObject> = Steps {
    name: c"Lock.__aenter__",
    begin: |this, operation| this.begin(operation, none),
    resume: |this, operation, _| this.take_over(operation, none),
    abandon: LockObject::abandon,
};

/// `async with` of a subclass calls its `acquire`.
static ENTER_BY_METHOD: Steps<LockObject> = Steps {
    name: c"Lock.__aenter__",
    begin: |this, operation| operation.delegate(&*this.as_obj().call_method(&names().acquire, &[])?),
    resume: |_, _, _| Ok(Step::Return(none())),
    abandon: |_, _| Ok(()),
};

static EXIT: Steps<LockObject> = Steps {
    name: c"Lock.__aexit__",
    begin: |this, _| {
        if this.is_exact() {
            this.free()?;
        } else {
            this.as_obj().call_method(&names().release, &[])?;
        }
        Ok(Step::Return(none()))
    },
    resume: |_, _, _| Ok(Step::Return(none())),
    abandon: |_, _| Ok(()),
};

impl LockObject {
    #[inline(always)]
    fn is_exact(&self) -> bool {
        self.as_obj().type_ptr().cast() == TYPE.get().as_ptr()
    }

    #[inline]
    fn begin(&self, operation: &Operation, answer: fn() -> Owned) -> Result<Step> {
        // A lock that is free but promised to somebody who was woken is not free.
        if !self.locked.get() && self.waiters.all_cancelled()? {
            self.locked.set(true);
            return Ok(Step::Return(answer()));
        }
        let event_loop = self.bound.bind()?;
        let step = operation.wait_on(&event_loop)?;
        self.waiters.push(operation)?;
        Ok(step)
    }

    #[inline]
    fn take_over(&self, operation: &Operation, answer: fn() -> Owned) -> Result<Step> {
        self.waiters.remove(operation)?;
        self.locked.set(true);
        Ok(Step::Return(answer()))
    }

    /// Somebody who was woken and cancelled hands the lock on.
    fn abandon(&self, operation: &Operation) -> Result<()> {
        self.waiters.remove(operation)?;
        if self.locked.get() {
            return Ok(());
        }
        self.wake_first()
    }

    #[inline]
    fn free(&self) -> Result<()> {
        if !self.locked.replace(false) {
            return Err(runtime_error("Lock is not acquired."));
        }
        self.wake_first()
    }

    /// The first in line takes the lock when it runs; one that is done already will.
    #[inline]
    fn wake_first(&self) -> Result<()> {
        match self.waiters.at(0)? {
            Some(waiter) if !is_done(&waiter)? => finish(&waiter, boolean(true)),
            _ => Ok(()),
        }
    }
}

fn acquire(this: &LockObject) -> Result<Owned> {
    operation::new(&ACQUIRE, this, None)
}

fn release(this: &LockObject) -> Result<Owned> {
    this.free()?;
    Ok(none())
}

fn aenter(this: &LockObject) -> Result<Owned> {
    let steps = if this.is_exact() { &ENTER } else { &ENTER_BY_METHOD };
    operation::new(steps, this, None)
}

fn aexit(this: &LockObject, _: Args<'_>) -> Result<Owned> {
    operation::new(&EXIT, this, None)
}

fn locked(this: &LockObject) -> Result<Owned> {
    Ok(boolean(this.locked.get()))
}

fn set_locked(this: &LockObject, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.locked.set(value.truthy()?);
    Ok(())
}

fn get_loop(this: &LockObject) -> Result<Owned> {
    Ok(this.bound.get_loop())
}

fn set_loop(this: &LockObject, value: Option<&Obj>) -> Result<()> {
    this.bound.set_loop(value)
}

fn get_waiters(this: &LockObject) -> Result<Owned> {
    this.waiters.show()
}

fn set_waiters(this: &LockObject, value: Option<&Obj>) -> Result<()> {
    this.waiters.replace(value)
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { LockObject::of(this) };
        let state = if this.locked.get() { "locked" } else { "unlocked" };
        let text = this.waiters.described(state)?;
        this.bound.describe(&text).map(Owned::into_ptr)
    })
}

/// Adds the type to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"Lock".as_ptr(), TYPE.get().as_ptr()) })
}
