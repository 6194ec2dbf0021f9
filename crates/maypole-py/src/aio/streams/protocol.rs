//! From the transport to the reader, and the flow control of writing.
//!
//! Source: `asyncio.streams.StreamReaderProtocol` and its `FlowControlMixin`.

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use pyo3::ffi;

use super::super::held;
use super::super::operation::{self, Operation, Step, Steps};
use super::super::stdlib;
use super::super::waiters::{Waiters, finish, is_done};
use super::reader::ReaderObject;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Native, Visitor, fast, getter, noargs, setter};
use crate::capi::error::{attribute_error, check, raise};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Field, Obj, Owned, Raised, Result};

/// The memory of a `maypole._maypole.StreamProtocol`.
#[repr(C)]
pub(super) struct ProtocolObject {
    ob_base: ffi::PyObject,
    event_loop: Field,
    /// What the connection's data goes to, from `connection_made` to `connection_lost`.
    reader: Field,
    drain_waiters: Waiters,
    /// `reader` takes data in as our own does.
    is_plain: Cell<bool>,
    /// The transport has more to send than its high-water mark allows.
    paused: Cell<bool>,
    connection_lost: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for ProtocolObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const DOC: &CStr = c"The native half of maypole's StreamReaderProtocol.";

/// Makes the type; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let class = held::base::<ProtocolObject>(c"maypole._maypole.StreamProtocol", DOC)
        .fast(
            c"data_received",
            fast!(ProtocolObject, data_received),
            c"Hand bytes to the reader.",
        )
        .fast(
            c"_attach",
            fast!(ProtocolObject, attach),
            c"Hand what comes to this reader; None for nobody.",
        )
        .noargs(
            c"_drain_helper",
            noargs!(ProtocolObject, drain_helper),
            c"Await it: returns once writing may go on.",
        )
        .noargs(
            c"_resume_drains",
            noargs!(ProtocolObject, resume_drains),
            c"Wake everybody who waits until writing may go on.",
        )
        .attribute(
            c"_loop",
            getter!(ProtocolObject, get_loop),
            Some(setter!(ProtocolObject, set_loop)),
        )
        .attribute(
            c"_paused",
            getter!(ProtocolObject, get_paused),
            Some(setter!(ProtocolObject, set_paused)),
        )
        .attribute(
            c"_connection_lost",
            getter!(ProtocolObject, get_connection_lost),
            Some(setter!(ProtocolObject, set_connection_lost)),
        )
        .attribute(
            c"_drain_waiters",
            getter!(ProtocolObject, get_drain_waiters),
            Some(setter!(ProtocolObject, set_drain_waiters)),
        );
    TYPE.set(held::build(class, None)?);
    Ok(())
}

impl held::Held for ProtocolObject {
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        visitor.visit_opt(self.event_loop.peek())?;
        visitor.visit_opt(self.reader.peek())?;
        self.drain_waiters.visit(visitor)
    }

    fn clear(&self) {
        self.is_plain.set(false);
        drop((self.event_loop.take(), self.reader.take()));
        self.drain_waiters.clear();
    }
}

impl ProtocolObject {
    /// The protocol behind a Python object, if it is one of ours and nobody has overridden how it drains.
    pub(super) fn plain(object: &Obj) -> Result<bool> {
        if !object.is_instance_of(TYPE.get().as_ptr().cast()) {
            return Ok(false);
        }
        let name = &stdlib::names().drain_helper;
        // SAFETY: the class of a live object is live.
        let class = unsafe { Obj::from_ptr(object.type_ptr().cast()) };
        Ok(class.get_attr(name)?.is(&*TYPE.get().get_attr(name)?))
    }

    /// Whether writing may go on.
    ///
    /// # Errors
    /// `ConnectionResetError` if the connection was lost.
    #[inline]
    pub(super) fn may_write(&self) -> Result<bool> {
        if self.connection_lost.get() {
            return Err(lost());
        }
        Ok(!self.paused.get())
    }

    /// Waits until writing may go on.
    pub(super) fn wait(&self, operation: &Operation) -> Result<Step> {
        let event_loop = self.event_loop.get_or_none();
        let step = operation.wait_on(&event_loop)?;
        self.drain_waiters.push(operation)?;
        Ok(step)
    }

    pub(super) fn stop_waiting(&self, operation: &Operation) -> Result<()> {
        self.drain_waiters.remove(operation)
    }
}

#[cold]
fn lost() -> Raised {
    // SAFETY: the exception types exist while the interpreter does.
    raise(unsafe { ffi::PyExc_ConnectionResetError }, "Connection lost")
}

static DRAIN: Steps<ProtocolObject> = Steps {
    name: c"FlowControlMixin._drain_helper",
    begin: |this, operation| {
        if this.may_write()? {
            return Ok(Step::Return(none()));
        }
        this.wait(operation)
    },
    resume: |this, operation, _| {
        this.stop_waiting(operation)?;
        Ok(Step::Return(none()))
    },
    abandon: ProtocolObject::stop_waiting,
};

fn drain_helper(this: &ProtocolObject) -> Result<Owned> {
    operation::new(&DRAIN, this, None)
}

/// `resume_writing` wakes everybody who drains.
fn resume_drains(this: &ProtocolObject) -> Result<Owned> {
    let mut place = 0;
    while let Some(waiter) = this.drain_waiters.at(place)? {
        if !is_done(&waiter)? {
            finish(&waiter, none())?;
        }
        place += 1;
    }
    Ok(none())
}

fn data_received(this: &ProtocolObject, args: Args<'_>) -> Result<Owned> {
    let data = args.single("data_received", "data")?;
    let reader = match this.reader.get() {
        Some(reader) => reader,
        // No connection was made; asyncio then has the reader that the protocol was made with.
        None => this.as_obj().get_attr(&stdlib::names().stream_reader)?,
    };
    if this.is_plain.get() {
        // SAFETY: `attach` checked the type of the reader.
        unsafe { ReaderObject::of(reader.as_ptr()) }.feed(data)?;
    } else if !reader.is_none() {
        reader.call_method(&stdlib::names().feed_data, &[data])?;
    }
    Ok(none())
}

/// `_attach(reader)`.
fn attach(this: &ProtocolObject, args: Args<'_>) -> Result<Owned> {
    let reader = args.single("_attach", "reader")?;
    let plain = ReaderObject::plain(reader)?.is_some();
    let reader = (!reader.is_none()).then(|| reader.own());
    this.is_plain.set(plain);
    drop(this.reader.replace(reader));
    Ok(none())
}

fn required(value: Option<&Obj>) -> Result<&Obj> {
    value.ok_or_else(|| attribute_error("cannot delete attribute"))
}

fn get_loop(this: &ProtocolObject) -> Result<Owned> {
    Ok(this.event_loop.get_or_none())
}

fn set_loop(this: &ProtocolObject, value: Option<&Obj>) -> Result<()> {
    this.event_loop.set(required(value)?.own());
    Ok(())
}

fn get_paused(this: &ProtocolObject) -> Result<Owned> {
    Ok(boolean(this.paused.get()))
}

fn set_paused(this: &ProtocolObject, value: Option<&Obj>) -> Result<()> {
    this.paused.set(required(value)?.truthy()?);
    Ok(())
}

fn get_connection_lost(this: &ProtocolObject) -> Result<Owned> {
    Ok(boolean(this.connection_lost.get()))
}

fn set_connection_lost(this: &ProtocolObject, value: Option<&Obj>) -> Result<()> {
    this.connection_lost.set(required(value)?.truthy()?);
    Ok(())
}

fn get_drain_waiters(this: &ProtocolObject) -> Result<Owned> {
    this.drain_waiters.show()
}

/// asyncio's constructor assigns an empty deque; the line stays native.
fn set_drain_waiters(this: &ProtocolObject, value: Option<&Obj>) -> Result<()> {
    let line = required(value)?;
    if line.type_ptr().cast() == stdlib::get().deque.as_ptr() && !line.truthy()? {
        this.drain_waiters.clear();
        return Ok(());
    }
    this.drain_waiters.replace(value)
}

/// Adds the type to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe {
        ffi::PyModule_AddObjectRef(module.as_ptr(), c"StreamProtocol".as_ptr(), TYPE.get().as_ptr())
    })
}
