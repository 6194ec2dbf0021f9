//! The writer: `write` and `drain`.
//!
//! Source: `asyncio.streams.StreamWriter`.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use super::super::held;
use super::super::operation::{self, Operation, Step, Steps};
use super::super::stdlib;
use super::protocol::ProtocolObject;
use super::reader::{ReaderObject, raise};
use crate::capi::cell::GilOnce;
use crate::capi::class::{Native, Visitor, enter, fast, getter, noargs, setter};
use crate::capi::error::{attribute_error, check};
use crate::capi::object::none;
use crate::capi::{Args, Field, Obj, Owned, Raised, Result};

/// The memory of a `maypole._maypole.StreamWriter`.
#[repr(C)]
pub(super) struct WriterObject {
    ob_base: ffi::PyObject,
    event_loop: Field,
    transport: Field,
    protocol: Field,
    reader: Field,
    /// `protocol` is one of ours, and nobody has overridden how it drains.
    plain_protocol: Cell<bool>,
    /// `reader` is one of ours, and nobody has overridden how it fails.
    plain_reader: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for WriterObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const DOC: &CStr =
    c"StreamWriter(transport, protocol, reader, loop)\n--\n\nThe native half of maypole.StreamWriter.";

/// Makes the type; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let class = held::base::<WriterObject>(c"maypole._maypole.StreamWriter", DOC)
        .slot(ffi::Py_tp_init, initialise as *mut c_void)
        .fast(
            c"write",
            fast!(WriterObject, write),
            c"write($self, data)\n--\n\nWrite bytes; await drain() after it.",
        )
        .fast(
            c"writelines",
            fast!(WriterObject, writelines),
            c"writelines($self, data)\n--\n\nWrite each of them.",
        )
        .noargs(
            c"drain",
            noargs!(WriterObject, drain),
            c"Await it: returns once writing may go on.",
        )
        .noargs(
            c"is_closing",
            noargs!(WriterObject, is_closing),
            c"Return True if the transport is closing or closed.",
        )
        .attribute(c"transport", getter!(WriterObject, get_transport), None)
        .attribute(
            c"_transport",
            getter!(WriterObject, get_transport),
            Some(setter!(WriterObject, set_transport)),
        )
        .attribute(
            c"_protocol",
            getter!(WriterObject, get_protocol),
            Some(setter!(WriterObject, set_protocol)),
        )
        .attribute(
            c"_reader",
            getter!(WriterObject, get_reader),
            Some(setter!(WriterObject, set_reader)),
        )
        .attribute(
            c"_loop",
            getter!(WriterObject, get_loop),
            Some(setter!(WriterObject, set_loop)),
        );
    TYPE.set(held::build(class, None)?);
    Ok(())
}

impl held::Held for WriterObject {
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        for field in [&self.event_loop, &self.transport, &self.protocol, &self.reader] {
            visitor.visit_opt(field.peek())?;
        }
        Ok(())
    }

    fn clear(&self) {
        self.plain_protocol.set(false);
        self.plain_reader.set(false);
        drop([
            self.event_loop.take(),
            self.transport.take(),
            self.protocol.take(),
            self.reader.take(),
        ]);
    }
}

unsafe extern "C" fn initialise(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    enter(-1, || {
        let mut given: [*mut ffi::PyObject; 4] = [std::ptr::null_mut(); 4];
        let mut keywords = [c"transport", c"protocol", c"reader", c"loop"]
            .map(|name| name.as_ptr().cast_mut())
            .to_vec();
        keywords.push(std::ptr::null_mut());
        let [transport, protocol, reader, event_loop] = &mut given;
        // SAFETY: the format names four objects, for which there are four places.
        let parsed = unsafe {
            ffi::PyArg_ParseTupleAndKeywords(
                args,
                kwargs,
                c"OOOO:StreamWriter".as_ptr(),
                keywords.as_mut_ptr().cast(),
                std::ptr::from_mut(transport),
                std::ptr::from_mut(protocol),
                std::ptr::from_mut(reader),
                std::ptr::from_mut(event_loop),
            )
        };
        if parsed == 0 {
            return Err(Raised);
        }
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { WriterObject::of(this) };
        // SAFETY: arguments, which the caller keeps alive.
        let [transport, protocol, reader, event_loop] =
            given.map(|given| unsafe { Obj::from_ptr_opt(given) });
        set_transport(this, transport)?;
        set_protocol(this, protocol)?;
        set_reader(this, reader)?;
        set_loop(this, event_loop)?;
        Ok(0)
    })
}

/// What `drain` has come to.
const CLOSING: usize = 1;
const WAITING: usize = 2;
const ELSEWHERE: usize = 3;

static DRAIN: Steps<WriterObject> = Steps {
    name: c"StreamWriter.drain",
    begin: |this, operation| {
        this.check_reader()?;
        if this
            .transport()?
            .call_method(&stdlib::names().is_closing, &[])?
            .truthy()?
        {
            // The loss of the connection must get a chance to be told, or a loop of write and drain would never see it.
            operation.set_mark(CLOSING);
            return Ok(Step::Yield);
        }
        this.drain(operation)
    },
    resume: |this, operation, _| match operation.mark() {
        CLOSING => this.drain(operation),
        WAITING => {
            this.stop_waiting(operation)?;
            Ok(Step::Return(none()))
        }
        _ => Ok(Step::Return(none())),
    },
    abandon: |this, operation| {
        if operation.mark() == WAITING {
            this.stop_waiting(operation)?;
        }
        Ok(())
    },
};

impl WriterObject {
    fn transport(&self) -> Result<Owned> {
        self.transport
            .get()
            .ok_or_else(|| attribute_error("the writer has no transport"))
    }

    /// Raises what reading failed with.
    #[inline]
    fn check_reader(&self) -> Result<()> {
        let Some(reader) = self.reader.get() else {
            return Ok(());
        };
        if self.plain_reader.get() {
            // SAFETY: `set_reader` checked the type of the reader.
            return unsafe { ReaderObject::of(reader.as_ptr()) }.check_exception();
        }
        if reader.is_none() {
            return Ok(());
        }
        let exception = reader.call_method(&stdlib::names().exception, &[])?;
        if exception.is_none() {
            Ok(())
        } else {
            Err(raise(exception))
        }
    }

    /// `protocol._drain_helper()`.
    #[inline]
    fn drain(&self, operation: &Operation) -> Result<Step> {
        let Some(protocol) = self.protocol.get() else {
            return Ok(Step::Return(none()));
        };
        if !self.plain_protocol.get() {
            operation.set_mark(ELSEWHERE);
            return operation.delegate(&*protocol.call_method(&stdlib::names().drain_helper, &[])?);
        }
        // SAFETY: `set_protocol` checked the type of the protocol.
        let protocol = unsafe { ProtocolObject::of(protocol.as_ptr()) };
        if protocol.may_write()? {
            return Ok(Step::Return(none()));
        }
        operation.set_mark(WAITING);
        protocol.wait(operation)
    }

    fn stop_waiting(&self, operation: &Operation) -> Result<()> {
        let Some(protocol) = self.protocol.get().filter(|_| self.plain_protocol.get()) else {
            return Ok(());
        };
        // SAFETY: `set_protocol` checked the type of the protocol.
        unsafe { ProtocolObject::of(protocol.as_ptr()) }.stop_waiting(operation)
    }
}

fn drain(this: &WriterObject) -> Result<Owned> {
    operation::new(&DRAIN, this, None)
}

fn write(this: &WriterObject, args: Args<'_>) -> Result<Owned> {
    let data = args.single("write", "data")?;
    this.transport()?.call_method(&stdlib::names().write, &[data])?;
    Ok(none())
}

fn writelines(this: &WriterObject, args: Args<'_>) -> Result<Owned> {
    let data = args.single("writelines", "data")?;
    this.transport()?
        .call_method(&stdlib::names().writelines, &[data])?;
    Ok(none())
}

fn is_closing(this: &WriterObject) -> Result<Owned> {
    this.transport()?.call_method(&stdlib::names().is_closing, &[])
}

fn required(value: Option<&Obj>) -> Result<&Obj> {
    value.ok_or_else(|| attribute_error("cannot delete attribute"))
}

fn get_transport(this: &WriterObject) -> Result<Owned> {
    Ok(this.transport.get_or_none())
}

fn set_transport(this: &WriterObject, value: Option<&Obj>) -> Result<()> {
    this.transport.set(required(value)?.own());
    Ok(())
}

fn get_protocol(this: &WriterObject) -> Result<Owned> {
    Ok(this.protocol.get_or_none())
}

fn set_protocol(this: &WriterObject, value: Option<&Obj>) -> Result<()> {
    let protocol = required(value)?;
    this.plain_protocol.set(ProtocolObject::plain(protocol)?);
    this.protocol.set(protocol.own());
    Ok(())
}

fn get_reader(this: &WriterObject) -> Result<Owned> {
    Ok(this.reader.get_or_none())
}

fn set_reader(this: &WriterObject, value: Option<&Obj>) -> Result<()> {
    let reader = required(value)?;
    this.plain_reader.set(ReaderObject::plain(reader)?.is_some());
    this.reader.set(reader.own());
    Ok(())
}

fn get_loop(this: &WriterObject) -> Result<Owned> {
    Ok(this.event_loop.get_or_none())
}

fn set_loop(this: &WriterObject, value: Option<&Obj>) -> Result<()> {
    this.event_loop.set(required(value)?.own());
    Ok(())
}

/// Adds the type to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe {
        ffi::PyModule_AddObjectRef(module.as_ptr(), c"StreamWriter".as_ptr(), TYPE.get().as_ptr())
    })
}
