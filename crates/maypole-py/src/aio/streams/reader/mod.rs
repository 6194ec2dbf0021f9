//! The reader: what comes in, and who waits for it.

mod fields;

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use crate::aio::held;
use crate::aio::operation::{Operation, Step};
use crate::aio::stdlib;
use crate::aio::streams::buffer::Buffer;
use crate::aio::streams::read;
use crate::aio::waiters::is_done;
use crate::asyncio;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Native, Visitor, enter, fast, noargs};
use crate::capi::error::{attribute_error, check, current_is, restore, runtime_error, take, value_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Field, Obj, Owned, Raised, Result, call, names};
use crate::event_loop::LoopObject;

/// The default limit in bytes, asyncio's 64 KiB.
const LIMIT: usize = 64 * 1024;

/// The memory of a `maypole._maypole.StreamReader`.
#[repr(C)]
pub(in crate::aio::streams) struct ReaderObject {
    ob_base: ffi::PyObject,
    event_loop: Field,
    transport: Field,
    /// What `set_exception` was given.
    exception: Field,
    /// The operation that waits for data.
    waiter: Field,
    pub(in crate::aio::streams) buffer: Buffer,
    /// The longest line, and half of what may wait in the buffer, in bytes.
    pub(in crate::aio::streams) limit: Cell<usize>,
    pub(in crate::aio::streams) eof: Cell<bool>,
    /// The transport was told to pause.
    paused: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for ReaderObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const DOC: &CStr = c"StreamReader(limit=65536, loop=None)\n--\n\nThe native half of maypole.StreamReader.";

/// Makes the type; called once while the module is imported.
pub(in crate::aio::streams) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let class = held::base::<ReaderObject>(c"maypole._maypole.StreamReader", DOC)
        .slot(ffi::Py_tp_init, initialise as *mut c_void)
        .noargs(
            c"exception",
            noargs!(ReaderObject, exception),
            c"Return the exception that was set, or None.",
        )
        .fast(
            c"set_exception",
            fast!(ReaderObject, set_exception),
            c"Let reading raise this exception.",
        )
        .fast(
            c"set_transport",
            fast!(ReaderObject, set_transport),
            c"Set the transport to pause and to resume.",
        )
        .fast(
            c"feed_data",
            fast!(ReaderObject, feed_data),
            c"Take bytes in, and wake who waits for them.",
        )
        .noargs(
            c"feed_eof",
            noargs!(ReaderObject, feed_eof),
            c"Say that no more will come.",
        )
        .noargs(
            c"at_eof",
            noargs!(ReaderObject, at_eof),
            c"Return True if everything was read and no more will come.",
        )
        .noargs(
            c"_wakeup_waiter",
            noargs!(ReaderObject, wake),
            c"Wake who waits for data.",
        )
        .noargs(
            c"_maybe_resume_transport",
            noargs!(ReaderObject, maybe_resume),
            c"Let the transport read again if there is room.",
        )
        .noargs(
            c"_buffered",
            noargs!(ReaderObject, buffered),
            c"Return how many bytes were not read.",
        );
    TYPE.set(held::build(read::declare(fields::declare(class)), None)?);
    Ok(())
}

impl held::Held for ReaderObject {
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        for field in [&self.event_loop, &self.transport, &self.exception, &self.waiter] {
            visitor.visit_opt(field.peek())?;
        }
        self.buffer.visit(visitor)
    }

    fn clear(&self) {
        let old = [
            self.event_loop.take(),
            self.transport.take(),
            self.exception.take(),
            self.waiter.take(),
        ];
        self.buffer.give_up();
        drop(old);
    }
}

unsafe extern "C" fn initialise(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    enter(-1, || {
        let (mut limit, mut event_loop) = (std::ptr::null_mut(), std::ptr::null_mut());
        let mut keywords = [
            c"limit".as_ptr().cast_mut(),
            c"loop".as_ptr().cast_mut(),
            std::ptr::null_mut(),
        ];
        // SAFETY: the format names two optional objects, for which there are two places.
        let parsed = unsafe {
            let (places, format) = ((&raw mut limit, &raw mut event_loop), c"|OO:StreamReader");
            let keywords = keywords.as_mut_ptr().cast();
            ffi::PyArg_ParseTupleAndKeywords(args, kwargs, format.as_ptr(), keywords, places.0, places.1)
        };
        if parsed == 0 {
            return Err(Raised);
        }
        // SAFETY: null or arguments, which the caller keeps alive.
        let (limit, event_loop) = unsafe { (Obj::from_ptr_opt(limit), Obj::from_ptr_opt(event_loop)) };
        // SAFETY: the interpreter passes an instance of our type.
        unsafe { ReaderObject::of(this) }.begin(limit, event_loop)?;
        Ok(0)
    })
}

impl ReaderObject {
    fn begin(&self, limit: Option<&Obj>, event_loop: Option<&Obj>) -> Result<()> {
        self.limit.set(limit.map_or(Ok(LIMIT), limit_of)?);
        let event_loop = match event_loop {
            Some(event_loop) if !event_loop.is_none() => event_loop.own(),
            _ => asyncio::get_event_loop()?,
        };
        let debug = match LoopObject::downcast(&event_loop) {
            Some(own) => own.debug(),
            None => event_loop.call_method(&names::get().get_debug, &[])?.truthy()?,
        };
        self.event_loop.set(event_loop);
        self.eof.set(false);
        self.paused.set(false);
        self.buffer.give_up();
        drop((self.transport.take(), self.exception.take(), self.waiter.take()));
        if debug {
            let name = call::interned("_source_traceback")?;
            self.as_obj().set_attr(&name, &*asyncio::creation_stack()?)?;
        }
        Ok(())
    }

    /// The reader behind a Python object, if it is one, and its class takes data in and fails as ours does.
    pub(in crate::aio::streams) fn plain(object: &Obj) -> Result<Option<&ReaderObject>> {
        if !object.is_instance_of(TYPE.get().as_ptr().cast()) {
            return Ok(None);
        }
        // SAFETY: the class of a live object is live.
        let class = unsafe { Obj::from_ptr(object.type_ptr().cast()) };
        for name in [&stdlib::names().feed_data, &stdlib::names().exception] {
            if !class.get_attr(name)?.is(&*TYPE.get().get_attr(name)?) {
                return Ok(None);
            }
        }
        // SAFETY: the type was checked above.
        Ok(Some(unsafe { ReaderObject::of(object.as_ptr()) }))
    }

    /// What `set_exception` was given, if it was.
    #[inline]
    pub(in crate::aio::streams) fn failure(&self) -> Option<Owned> {
        self.exception.get().filter(|exception| !exception.is_none())
    }

    /// Raises the exception that was set, if there is one.
    #[inline]
    pub(in crate::aio::streams) fn check_exception(&self) -> Result<()> {
        match self.failure() {
            Some(exception) => Err(raise(exception)),
            None => Ok(()),
        }
    }

    /// Waits for more data on behalf of the method `name`.
    ///
    /// # Errors
    /// `RuntimeError` if somebody waits already.
    #[inline]
    pub(in crate::aio::streams) fn wait(&self, operation: &Operation, name: &str) -> Result<Step> {
        if !self.waiter.is_empty() {
            return Err(runtime_error(&format!(
                "{name}() called while another coroutine is already waiting for incoming data"
            )));
        }
        // A reader that waits for more than its limit would wait forever for a transport that is paused.
        if self.paused.replace(false) {
            self.resume_reading()?;
        }
        let event_loop = self.event_loop.get_or_none();
        let step = operation.wait_on(&event_loop)?;
        self.waiter.set(operation.as_obj().own());
        Ok(step)
    }

    /// The wait is over, one way or the other.
    #[inline]
    pub(in crate::aio::streams) fn stop_waiting(&self, operation: &Operation) {
        if self
            .waiter
            .peek()
            .is_some_and(|waiter| waiter.is(operation.as_obj()))
        {
            drop(self.waiter.take());
        }
    }

    fn resume_reading(&self) -> Result<()> {
        match self.transport.get() {
            Some(transport) => transport
                .call_method(&stdlib::names().resume_reading, &[])
                .map(drop),
            None => Ok(()),
        }
    }

    /// Lets the transport read again once there is room.
    #[inline]
    pub(in crate::aio::streams) fn resume_if_room(&self) -> Result<()> {
        if self.paused.get() && self.buffer.len() <= self.limit.get() {
            self.paused.set(false);
            self.resume_reading()?;
        }
        Ok(())
    }

    #[inline]
    fn wake_waiter(&self) -> Result<()> {
        match self.waiter.take() {
            Some(waiter) if !is_done(&waiter)? => crate::aio::waiters::finish(&waiter, none()),
            _ => Ok(()),
        }
    }

    /// `feed_data(data)`.
    #[inline]
    pub(in crate::aio::streams) fn feed(&self, data: &Obj) -> Result<()> {
        if self.eof.get() {
            return Err(assertion("feed_data after feed_eof"));
        }
        let before = self.buffer.len();
        self.buffer.feed(data)?;
        let length = self.buffer.len();
        if length == before {
            return Ok(());
        }
        self.wake_waiter()?;
        if length > self.limit.get().saturating_mul(2) && !self.paused.get() {
            self.pause_transport()?;
        }
        Ok(())
    }

    #[cold]
    fn pause_transport(&self) -> Result<()> {
        let Some(transport) = self.transport.get() else {
            return Ok(());
        };
        match transport.call_method(&stdlib::names().pause_reading, &[]) {
            Ok(_) => self.paused.set(true),
            // SAFETY: the exception types exist while the interpreter does.
            Err(Raised) if current_is(unsafe { ffi::PyExc_NotImplementedError }) => {
                // The transport cannot be paused; it is not asked again.
                drop((take(), self.transport.take()));
            }
            Err(Raised) => return Err(Raised),
        }
        Ok(())
    }
}

/// Raises an exception that may also be a class of exceptions.
#[cold]
pub(in crate::aio::streams) fn raise(exception: Owned) -> Raised {
    // SAFETY: a live object.
    if unsafe { ffi::PyExceptionInstance_Check(exception.as_ptr()) } != 0 {
        return restore(exception);
    }
    match exception.call(&[]) {
        Ok(instance) => restore(instance),
        Err(raised) => raised,
    }
}

#[cold]
fn assertion(text: &str) -> Raised {
    // SAFETY: the exception types exist while the interpreter does.
    crate::capi::error::raise(unsafe { ffi::PyExc_AssertionError }, text)
}

/// A limit in bytes: a positive number.
fn limit_of(given: &Obj) -> Result<usize> {
    let limit = given.as_f64()?;
    if limit <= 0.0 {
        return Err(value_error("Limit cannot be <= 0"));
    }
    // A float beyond the range becomes the end of the range.
    Ok(limit as usize)
}

fn required(value: Option<&Obj>) -> Result<&Obj> {
    value.ok_or_else(|| attribute_error("cannot delete attribute"))
}

fn exception(this: &ReaderObject) -> Result<Owned> {
    Ok(this.exception.get_or_none())
}

fn set_exception(this: &ReaderObject, args: Args<'_>) -> Result<Owned> {
    let exception = args.single("set_exception", "exc")?;
    this.exception.set(exception.own());
    if let Some(waiter) = this.waiter.take()
        && !is_done(&waiter)?
    {
        waiter.call_method(&stdlib::names().set_exception, &[exception])?;
    }
    Ok(none())
}

fn set_transport(this: &ReaderObject, args: Args<'_>) -> Result<Owned> {
    let transport = args.single("set_transport", "transport")?;
    if this
        .transport
        .peek()
        .is_some_and(|transport| !transport.is_none())
    {
        return Err(assertion("Transport already set"));
    }
    this.transport.set(transport.own());
    Ok(none())
}

fn feed_data(this: &ReaderObject, args: Args<'_>) -> Result<Owned> {
    this.feed(args.single("feed_data", "data")?)?;
    Ok(none())
}

fn feed_eof(this: &ReaderObject) -> Result<Owned> {
    this.eof.set(true);
    this.wake_waiter()?;
    Ok(none())
}

fn at_eof(this: &ReaderObject) -> Result<Owned> {
    Ok(boolean(this.eof.get() && this.buffer.len() == 0))
}

fn wake(this: &ReaderObject) -> Result<Owned> {
    this.wake_waiter()?;
    Ok(none())
}

fn maybe_resume(this: &ReaderObject) -> Result<Owned> {
    this.resume_if_room()?;
    Ok(none())
}

fn buffered(this: &ReaderObject) -> Result<Owned> {
    call::unsigned(this.buffer.len() as u64)
}

/// Adds the type to the module.
pub(in crate::aio::streams) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe {
        ffi::PyModule_AddObjectRef(module.as_ptr(), c"StreamReader".as_ptr(), TYPE.get().as_ptr())
    })
}
