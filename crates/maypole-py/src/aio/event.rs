//! `Event`: asyncio's event, natively.
//!
//! Source: <https://docs.python.org/3/library/asyncio-sync.html#asyncio.Event>

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use super::bound::Bound;
use super::held::{self, Arguments, Held};
use super::operation::{self, Operation, Step, Steps};
use super::waiters::{Waiters, finish, is_done};
use crate::capi::cell::GilOnce;
use crate::capi::class::{Native, Visitor, enter, getter, noargs, setter};
use crate::capi::error::{attribute_error, check};
use crate::capi::object::{boolean, none};
use crate::capi::{Obj, Owned, Result};

/// The memory of a `maypole.Event`.
#[repr(C)]
struct EventObject {
    bound: Bound,
    waiters: Waiters,
    is_set: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `Bound`, hence with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for EventObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const DOC: &CStr = c"Event()\n--\n\nA flag that tasks wait for; asyncio's Event, natively.\n\n\
Cancel safety: a cancelled wait() leaves nothing behind.\n\n\
Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.Event";

/// Makes the type; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let dict = std::mem::offset_of!(EventObject, bound.dict);
    let weak = std::mem::offset_of!(EventObject, bound.weak_references);
    let class = held::class::<EventObject>(c"maypole.Event", DOC, dict, weak)
        .slot(ffi::Py_tp_repr, repr as *mut c_void)
        .noargs(
            c"is_set",
            noargs!(EventObject, is_set),
            c"Return whether the flag is set.",
        )
        .noargs(
            c"set",
            noargs!(EventObject, set),
            c"Set the flag and wake everybody who waits.",
        )
        .noargs(c"clear", noargs!(EventObject, clear), c"Unset the flag.")
        .noargs(
            c"wait",
            noargs!(EventObject, wait),
            c"Await it: returns True once the flag is set.",
        )
        .attribute(
            c"_value",
            getter!(EventObject, is_set),
            Some(setter!(EventObject, set_value)),
        )
        .attribute(
            c"_loop",
            getter!(EventObject, get_loop),
            Some(setter!(EventObject, set_loop)),
        )
        .attribute(
            c"_waiters",
            getter!(EventObject, get_waiters),
            Some(setter!(EventObject, set_waiters)),
        );
    TYPE.set(held::build(class, None)?);
    Ok(())
}

impl Held for EventObject {
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
        args.optional("Event", "")?;
        self.waiters.clear();
        self.is_set.set(false);
        Ok(())
    }
}

static WAIT: Steps<EventObject> = Steps {
    name: c"Event.wait",
    begin,
    resume,
    abandon,
};

fn wait(this: &EventObject) -> Result<Owned> {
    operation::new(&WAIT, this, None)
}

fn begin(this: &EventObject, operation: &Operation) -> Result<Step> {
    if this.is_set.get() {
        return Ok(Step::Return(boolean(true)));
    }
    let event_loop = this.bound.bind()?;
    let step = operation.wait_on(&event_loop)?;
    this.waiters.push(operation)?;
    Ok(step)
}

fn resume(this: &EventObject, operation: &Operation, _: Owned) -> Result<Step> {
    this.waiters.remove(operation)?;
    Ok(Step::Return(boolean(true)))
}

fn abandon(this: &EventObject, operation: &Operation) -> Result<()> {
    this.waiters.remove(operation)
}

fn is_set(this: &EventObject) -> Result<Owned> {
    Ok(boolean(this.is_set.get()))
}

fn set(this: &EventObject) -> Result<Owned> {
    if this.is_set.replace(true) {
        return Ok(none());
    }
    let mut place = 0;
    while let Some(waiter) = this.waiters.at(place)? {
        if !is_done(&waiter)? {
            finish(&waiter, boolean(true))?;
        }
        place += 1;
    }
    Ok(none())
}

fn clear(this: &EventObject) -> Result<Owned> {
    this.is_set.set(false);
    Ok(none())
}

fn set_value(this: &EventObject, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.is_set.set(value.truthy()?);
    Ok(())
}

fn get_loop(this: &EventObject) -> Result<Owned> {
    Ok(this.bound.get_loop())
}

fn set_loop(this: &EventObject, value: Option<&Obj>) -> Result<()> {
    this.bound.set_loop(value)
}

fn get_waiters(this: &EventObject) -> Result<Owned> {
    this.waiters.show()
}

fn set_waiters(this: &EventObject, value: Option<&Obj>) -> Result<()> {
    this.waiters.replace(value)
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { EventObject::of(this) };
        let state = if this.is_set.get() { "set" } else { "unset" };
        let text = this.waiters.described(state)?;
        this.bound.describe(&text).map(Owned::into_ptr)
    })
}

/// Adds the type to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"Event".as_ptr(), TYPE.get().as_ptr()) })
}
