//! `Semaphore` and `BoundedSemaphore`: asyncio's, natively. A free permit is taken without making anything.
//!
//! A permit that is released while somebody waits goes to the first in line at once, before that task runs; whoever comes in
//! between waits.
//! Source: <https://docs.python.org/3/library/asyncio-sync.html#semaphore>

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use super::bound::Bound;
use super::held::{self, Arguments, Held};
use super::operation::{self, Operation, Step, Steps};
use super::stdlib::names;
use super::waiters::{Waiters, finish};
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, getter, noargs, setter};
use crate::capi::error::{attribute_error, check, value_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Result, call};

/// The memory of a `maypole.Semaphore`.
#[repr(C)]
struct SemaphoreObject {
    bound: Bound,
    waiters: Waiters,
    /// Free permits that are promised to nobody.
    value: Cell<i64>,
    /// The most permits that may be free, if `is_bounded`.
    bound_value: Cell<i64>,
    is_bounded: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `Bound`, hence with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for SemaphoreObject {}

struct Types {
    semaphore: Owned,
    bounded: Owned,
}

static TYPES: GilOnce<Types> = GilOnce::new();

const DOC: &CStr =
    c"Semaphore(value=1)\n--\n\nSo many permits for tasks, first come, first served; asyncio's Semaphore, natively.\n\n\
Use it with `async with semaphore:`.\n\n\
Args:\n    value: permits at the beginning.\n\n\
Raises:\n    ValueError: if value is negative.\n\n\
Cancel safety: a cancelled acquire() holds no permit; one that was promised to it goes to the next in line.\n\n\
Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.Semaphore";
const BOUNDED_DOC: &CStr = c"BoundedSemaphore(value=1)\n--\n\nA Semaphore whose release() raises ValueError above the initial value.\n\n\
Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.BoundedSemaphore";

/// Makes the types; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if TYPES.is_set() {
        return Ok(());
    }
    let semaphore = held::build(with_members(class(c"maypole.Semaphore", DOC)), None)?;
    let bounded = class(c"maypole.BoundedSemaphore", BOUNDED_DOC)
        .slot(ffi::Py_tp_init, initialise_bounded as *mut c_void)
        .attribute(
            c"_bound_value",
            getter!(SemaphoreObject, get_bound_value),
            Some(setter!(SemaphoreObject, set_bound_value)),
        );
    let bounded = held::build(bounded, Some(&semaphore))?;
    TYPES.set(Types { semaphore, bounded });
    Ok(())
}

fn class(name: &'static CStr, doc: &'static CStr) -> Class {
    let dict = std::mem::offset_of!(SemaphoreObject, bound.dict);
    let weak = std::mem::offset_of!(SemaphoreObject, bound.weak_references);
    held::class::<SemaphoreObject>(name, doc, dict, weak)
}

fn with_members(class: Class) -> Class {
    class
        .slot(ffi::Py_tp_repr, repr as *mut c_void)
        .noargs(
            c"locked",
            noargs!(SemaphoreObject, locked),
            c"Return whether acquire() would wait.",
        )
        .noargs(
            c"acquire",
            noargs!(SemaphoreObject, acquire),
            c"Await it: returns True once a permit is held.",
        )
        .noargs(
            c"release",
            noargs!(SemaphoreObject, release),
            c"Give a permit back and wake the first in line.",
        )
        .noargs(
            c"__aenter__",
            noargs!(SemaphoreObject, aenter),
            c"Acquire a permit.",
        )
        .fast(
            c"__aexit__",
            fast!(SemaphoreObject, aexit),
            c"Release the permit.",
        )
        .attribute(
            c"_value",
            getter!(SemaphoreObject, get_value),
            Some(setter!(SemaphoreObject, set_value)),
        )
        .attribute(
            c"_loop",
            getter!(SemaphoreObject, get_loop),
            Some(setter!(SemaphoreObject, set_loop)),
        )
        .attribute(
            c"_waiters",
            getter!(SemaphoreObject, get_waiters),
            Some(setter!(SemaphoreObject, set_waiters)),
        )
}

impl Held for SemaphoreObject {
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
        let value = args.optional("Semaphore", "value")?;
        self.begin_with(value)
    }
}

unsafe extern "C" fn initialise_bounded(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    enter(-1, || {
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { SemaphoreObject::of(this) };
        let args = Arguments::new(args, kwargs);
        this.begin_with(args.optional("BoundedSemaphore", "value")?)?;
        this.bound_value.set(this.value.get());
        this.is_bounded.set(true);
        Ok(0)
    })
}

static ACQUIRE: Steps<SemaphoreObject> = Steps {
    name: c"Semaphore.acquire",
    begin: |this, operation| this.begin(operation, || boolean(true)),
    resume: |this, operation, _| this.take_over(operation, || boolean(true)),
    abandon: SemaphoreObject::abandon,
};

static ENTER: Steps<SemaphoreObject> = Steps {
    name: c"Semaphore.__aenter__",
    begin: |this, operation| this.begin(operation, none),
    resume: |this, operation, _| this.take_over(operation, none),
    abandon: SemaphoreObject::abandon,
};

/// `async with` of a subclass calls its `acquire`.
static ENTER_BY_METHOD: Steps<SemaphoreObject> = Steps {
    name: c"Semaphore.__aenter__",
    begin: |this, operation| operation.delegate(&*this.as_obj().call_method(&names().acquire, &[])?),
    resume: |_, _, _| Ok(Step::Return(none())),
    abandon: |_, _| Ok(()),
};

static EXIT: Steps<SemaphoreObject> = Steps {
    name: c"Semaphore.__aexit__",
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

impl SemaphoreObject {
    #[inline(always)]
    fn is_exact(&self) -> bool {
        let class = self.as_obj().type_ptr().cast();
        class == TYPES.get().semaphore.as_ptr() || class == TYPES.get().bounded.as_ptr()
    }

    fn begin_with(&self, value: Option<&Obj>) -> Result<()> {
        let value = value.map_or(Ok(1), permits_of)?;
        if value < 0 {
            return Err(value_error("Semaphore initial value must be >= 0"));
        }
        self.waiters.clear();
        self.value.set(value);
        Ok(())
    }

    #[inline]
    fn is_locked(&self) -> Result<bool> {
        Ok(self.value.get() == 0 || !self.waiters.all_cancelled()?)
    }

    #[inline]
    fn begin(&self, operation: &Operation, answer: fn() -> Owned) -> Result<Step> {
        if !self.is_locked()? {
            self.value.set(self.value.get().saturating_sub(1));
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
        self.wake_as_many_as_may()?;
        Ok(Step::Return(answer()))
    }

    /// Somebody to whom a permit was promised and who was cancelled hands it on.
    fn abandon(&self, operation: &Operation) -> Result<()> {
        self.waiters.remove(operation)?;
        let future = operation.future();
        if future.is_done() && !future.is_cancelled() {
            self.value.set(self.value.get().saturating_add(1));
        }
        self.wake_as_many_as_may()
    }

    /// Whoever came while a permit was promised had to wait, even if there were more.
    #[inline]
    fn wake_as_many_as_may(&self) -> Result<()> {
        while self.value.get() > 0 && self.wake_next()? {}
        Ok(())
    }

    #[inline]
    fn wake_next(&self) -> Result<bool> {
        let Some(waiter) = self.waiters.first_pending()? else {
            return Ok(false);
        };
        self.value.set(self.value.get().saturating_sub(1));
        finish(&waiter, boolean(true))?;
        Ok(true)
    }

    #[inline]
    fn free(&self) -> Result<()> {
        if self.is_bounded.get() && self.value.get() >= self.bound_value.get() {
            return Err(value_error("BoundedSemaphore released too many times"));
        }
        self.value.set(self.value.get().saturating_add(1));
        self.wake_next().map(drop)
    }
}

/// A number of permits: a whole number of any kind, or infinity, which is more than anybody acquires.
fn permits_of(given: &Obj) -> Result<i64> {
    if given.is_exact_float() {
        let permits = given.as_f64()?;
        if permits.is_infinite() || permits.fract() == 0.0 {
            // A float beyond the range becomes the end of the range.
            return Ok(permits as i64);
        }
    }
    given.as_clamped_i64()
}

fn acquire(this: &SemaphoreObject) -> Result<Owned> {
    operation::new(&ACQUIRE, this, None)
}

fn release(this: &SemaphoreObject) -> Result<Owned> {
    this.free()?;
    Ok(none())
}

fn aenter(this: &SemaphoreObject) -> Result<Owned> {
    let steps = if this.is_exact() { &ENTER } else { &ENTER_BY_METHOD };
    operation::new(steps, this, None)
}

fn aexit(this: &SemaphoreObject, _: Args<'_>) -> Result<Owned> {
    operation::new(&EXIT, this, None)
}

fn locked(this: &SemaphoreObject) -> Result<Owned> {
    this.is_locked().map(boolean)
}

fn get_value(this: &SemaphoreObject) -> Result<Owned> {
    call::integer(this.value.get())
}

fn set_value(this: &SemaphoreObject, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.value.set(value.as_i64()?);
    Ok(())
}

fn get_bound_value(this: &SemaphoreObject) -> Result<Owned> {
    call::integer(this.bound_value.get())
}

fn set_bound_value(this: &SemaphoreObject, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.bound_value.set(value.as_i64()?);
    Ok(())
}

fn get_loop(this: &SemaphoreObject) -> Result<Owned> {
    Ok(this.bound.get_loop())
}

fn set_loop(this: &SemaphoreObject, value: Option<&Obj>) -> Result<()> {
    this.bound.set_loop(value)
}

fn get_waiters(this: &SemaphoreObject) -> Result<Owned> {
    this.waiters.show()
}

fn set_waiters(this: &SemaphoreObject, value: Option<&Obj>) -> Result<()> {
    this.waiters.replace(value)
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { SemaphoreObject::of(this) };
        let state = if this.is_locked()? {
            "locked".to_owned()
        } else {
            format!("unlocked, value:{}", this.value.get())
        };
        let text = this.waiters.described(&state)?;
        this.bound.describe(&text).map(Owned::into_ptr)
    })
}

/// Adds the types to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    let types = TYPES.get();
    for (name, class) in [
        (c"Semaphore", &types.semaphore),
        (c"BoundedSemaphore", &types.bounded),
    ] {
        // SAFETY: a live module, a C string and a live type.
        check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), class.as_ptr()) })?;
    }
    Ok(())
}
