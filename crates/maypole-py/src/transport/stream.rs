//! The type of a connection's transport: fields, life, flags.
//!
//! The type is a subclass of `asyncio.Transport` (of the class beneath it that `sendfile` asks for), so its fields lie behind those of that class. `maypole.transports.StreamTransport`
//! is its subclass in Python.
//!
//! Source: <https://docs.python.org/3/library/asyncio-protocol.html#transports>

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use super::outgoing::Outgoing;
use super::tls::TlsProtocol;
use super::{read, write};
use crate::capi::call::import_from;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Visitor, enter};
use crate::capi::class_cache::ClassCache;
use crate::capi::error::{check, runtime_error};
use crate::capi::member::Slot;
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Field, Obj, Owned, Result, call};
use crate::event_loop::LoopObject;

/// Bits of [`StreamFields::ready`].
pub(crate) const READABLE: u8 = 1;
pub(crate) const WRITABLE: u8 = 2;

/// The default high-water mark, asyncio's 64 KiB.
const HIGH_WATER: usize = 64 * 1024;

/// The native fields of a transport.
pub(crate) struct StreamFields {
    pub(super) event_loop: Field,
    pub(super) protocol: Field,
    /// The context in which the protocol is called: from Python 3.15 on the one that asyncio gives to the transport, before a copy
    /// of the one in which the connection was made.
    pub(super) context: Field,
    /// A future that is told when everything is sent (`sendfile` waits for it).
    pub(super) empty_waiter: Field,
    pub(super) outgoing: RefCell<Outgoing>,
    pub(super) fd: Cell<c_int>,
    /// Calls of `write` after the connection was lost, plus one for the loss.
    pub(super) conn_lost: Cell<u32>,
    pub(super) high_water: Cell<usize>,
    pub(super) low_water: Cell<usize>,
    /// What the poller reported and the turn has not yet looked at.
    pub(crate) ready: Cell<u8>,
    /// The protocol fills buffers of its own (`BufferedProtocol`).
    pub(super) buffered: Cell<bool>,
    /// The protocol is TLS of ours ([`super::tls`]).
    pub(super) tls: Cell<bool>,
    pub(super) closing: Cell<bool>,
    pub(super) paused: Cell<bool>,
    pub(super) eof: Cell<bool>,
    pub(super) protocol_paused: Cell<bool>,
    /// The transport is in the loop's list of those that have to send at the end of the turn.
    pub(super) must_flush: Cell<bool>,
    /// The poller watches for room to send.
    pub(super) watches_writing: Cell<bool>,
}

struct Layout {
    class: Owned,
    cache: ClassCache,
    /// Where the fields lie in an instance.
    offset: usize,
    /// The field of `asyncio.BaseTransport`.
    extra: Slot,
    /// `asyncio.BufferedProtocol`.
    buffered_protocol: Owned,
}

static LAYOUT: GilOnce<Layout> = GilOnce::new();

const DOC: &CStr =
    c"StreamTransport()\n--\n\nThe native half of maypole.transports.StreamTransport: reading and writing.";

/// Makes the type; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if LAYOUT.is_set() {
        return Ok(());
    }
    let base = import_from("asyncio.transports", "_FlowControlMixin")?;
    // SAFETY: a live type object.
    let base_size = unsafe { (*base.as_ptr().cast::<ffi::PyTypeObject>()).tp_basicsize as usize };
    let offset = base_size.next_multiple_of(align_of::<StreamFields>());
    let class = Class::new(
        c"maypole._maypole.StreamTransport",
        offset + size_of::<StreamFields>(),
        DOC,
    )
    .slot(ffi::Py_tp_new, new as *mut c_void)
    .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
    .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
    .slot(ffi::Py_tp_clear, clear as *mut c_void);
    let layout = Layout {
        class: with_fields(with_methods(class)).build(Some(&base))?,
        cache: ClassCache::new(),
        offset,
        extra: Slot::of(&base, "_extra")?,
        buffered_protocol: import_from("asyncio.protocols", "BufferedProtocol")?,
    };
    LAYOUT.set(layout);
    Ok(())
}

/// A fast-call entry for `fn(&Obj, &StreamFields, Args) -> Result<Owned>`.
macro_rules! method {
    ($body:path) => {{
        unsafe extern "C" fn entry(
            this: *mut ffi::PyObject,
            values: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            names: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            enter(std::ptr::null_mut(), || {
                // SAFETY: the method descriptor checked the type of `this`.
                let (this, fields) = unsafe { (Obj::from_ptr(this), StreamFields::of(Obj::from_ptr(this))) };
                // SAFETY: these are the interpreter's own arguments.
                let args = unsafe { Args::new(values, count, names) };
                $body(this, fields, args).map(Owned::into_ptr)
            })
        }
        entry as ffi::PyCFunctionFastWithKeywords
    }};
}

/// A getter for `fn(&StreamFields) -> Result<Owned>`.
macro_rules! field {
    ($body:expr) => {{
        unsafe extern "C" fn entry(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
            enter(std::ptr::null_mut(), || {
                // SAFETY: the attribute descriptor checked the type of `this`.
                let fields = unsafe { StreamFields::of(Obj::from_ptr(this)) };
                let read: fn(&StreamFields) -> Result<Owned> = $body;
                read(fields).map(Owned::into_ptr)
            })
        }
        entry as ffi::getter
    }};
}

fn with_methods(class: Class) -> Class {
    class
        .fast(
            c"_begin",
            method!(begin),
            c"_begin($self, loop, fd, protocol, context, /)\n--\n\nGive the transport its connection.",
        )
        .fast(
            c"_end",
            method!(end),
            c"_end($self, /)\n--\n\nForget loop and protocol: the connection is lost.",
        )
        .fast(
            c"_start_reading",
            method!(read::start),
            c"Watch for reading unless paused or closing.",
        )
        .fast(
            c"_stop_watching",
            method!(stop_watching),
            c"_stop_watching($self, /)\n--\n\nStop watching for reading and writing.",
        )
        .fast(
            c"_begin_closing",
            method!(begin_closing),
            c"Stop reading and send what can be sent; return True if all is sent.",
        )
        .fast(
            c"_lose",
            method!(lose),
            c"Drop what is not sent, and count the connection as lost.",
        )
        .fast(
            c"set_protocol",
            method!(set_protocol),
            c"set_protocol($self, protocol, /)\n--\n\nSet a new protocol.",
        )
        .fast(
            c"get_protocol",
            method!(get_protocol),
            c"Return the current protocol.",
        )
        .fast(
            c"is_closing",
            method!(is_closing),
            c"Return True if the transport is closing or closed.",
        )
        .fast(
            c"is_reading",
            method!(read::is_reading),
            c"Return True if the transport is receiving.",
        )
        .fast(
            c"pause_reading",
            method!(read::pause),
            c"Stop receiving until resume_reading().",
        )
        .fast(c"resume_reading", method!(read::resume), c"Receive again.")
        .fast(
            c"write",
            method!(write::write),
            c"write($self, data, /)\n--\n\nWrite some bytes; does not block.",
        )
        .fast(
            c"writelines",
            method!(write::writelines),
            c"writelines($self, list_of_data, /)\n--\n\nWrite a list of bytes.",
        )
        .fast(
            c"_set_limits",
            method!(write::set_limits),
            c"_set_limits($self, high, low, /)\n--\n\nSet the water marks.",
        )
        .fast(
            c"_flush",
            method!(write::flush_now),
            c"Send what can be sent now; return the bytes that are left.",
        )
        .fast(
            c"_mark_eof",
            method!(write::mark_eof),
            c"Note write_eof(); return True if everything is sent.",
        )
        .fast(
            c"_set_empty_waiter",
            method!(write::set_empty_waiter),
            c"Set or clear who waits for an empty buffer.",
        )
}

fn with_fields(class: Class) -> Class {
    class
        .attribute(c"_loop", field!(|this| Ok(this.event_loop.get_or_none())), None)
        .attribute(c"_protocol", field!(|this| Ok(this.protocol.get_or_none())), None)
        .attribute(
            c"_sock_fd",
            field!(|this| call::integer(this.fd.get().into())),
            None,
        )
        .attribute(
            c"_conn_lost",
            field!(|this| call::integer(this.conn_lost.get().into())),
            None,
        )
        .attribute(c"_closing", field!(|this| Ok(boolean(this.closing.get()))), None)
        .attribute(c"_paused", field!(|this| Ok(boolean(this.paused.get()))), None)
        .attribute(c"_eof", field!(|this| Ok(boolean(this.eof.get()))), None)
        .attribute(
            c"_protocol_paused",
            field!(|this| Ok(boolean(this.protocol_paused.get()))),
            None,
        )
        .attribute(
            c"_high_water",
            field!(|this| call::integer(this.high_water.get() as i64)),
            None,
        )
        .attribute(
            c"_low_water",
            field!(|this| call::integer(this.low_water.get() as i64)),
            None,
        )
        .attribute(
            c"_empty_waiter",
            field!(|this| Ok(this.empty_waiter.get_or_none())),
            None,
        )
        .attribute(c"_buffer", field!(write::list_chunks), None)
}

impl StreamFields {
    fn new() -> StreamFields {
        StreamFields {
            event_loop: Field::empty(),
            protocol: Field::empty(),
            context: Field::empty(),
            empty_waiter: Field::empty(),
            outgoing: RefCell::new(Outgoing::default()),
            fd: Cell::new(-1),
            conn_lost: Cell::new(0),
            high_water: Cell::new(HIGH_WATER),
            low_water: Cell::new(HIGH_WATER / 4),
            ready: Cell::new(0),
            buffered: Cell::new(false),
            tls: Cell::new(false),
            closing: Cell::new(false),
            paused: Cell::new(false),
            eof: Cell::new(false),
            protocol_paused: Cell::new(false),
            must_flush: Cell::new(false),
            watches_writing: Cell::new(false),
        }
    }

    /// The fields of a transport.
    ///
    /// # Safety
    /// `transport` is an instance of our type.
    #[inline(always)]
    pub(super) unsafe fn of(transport: &Obj) -> &StreamFields {
        // SAFETY: the caller's word; `new` wrote the fields there.
        unsafe {
            &*transport
                .as_ptr()
                .byte_add(LAYOUT.get().offset)
                .cast::<StreamFields>()
        }
    }

    /// The fields of a Python object, if it is a transport of ours.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&StreamFields> {
        let layout = LAYOUT.get();
        if !layout.cache.is_instance(object, &layout.class) {
            return None;
        }
        // SAFETY: the type was just checked.
        Some(unsafe { StreamFields::of(object) })
    }

    /// The loop of a transport that has a connection.
    pub(super) fn event_loop(&self) -> Result<&LoopObject> {
        match self.event_loop.peek().and_then(LoopObject::downcast) {
            Some(event_loop) => Ok(event_loop),
            None => Err(runtime_error("the transport has no connection")),
        }
    }

    fn clear(&self) {
        let chunks = self.outgoing.borrow_mut().clear();
        let values = [
            self.event_loop.take(),
            self.protocol.take(),
            self.context.take(),
            self.empty_waiter.take(),
        ];
        drop((chunks, values));
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        for field in [
            &self.event_loop,
            &self.protocol,
            &self.context,
            &self.empty_waiter,
        ] {
            visitor.visit_opt(field.peek())?;
        }
        self.outgoing
            .borrow()
            .iter()
            .try_for_each(|chunk| visitor.visit(chunk))
    }
}

/// `_begin(loop, fd, protocol, context)`: `None` for a copy of the current context.
fn begin(_: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_begin", &["loop", "fd", "protocol", "context"], 4)?;
    let Some(event_loop) = LoopObject::downcast(given[0]) else {
        return Err(crate::capi::error::type_error(
            "a native transport needs a maypole loop",
        ));
    };
    event_loop.observer.metrics.transports_opened.add(1);
    fields.fd.set(c_int::try_from(given[1].as_i64()?).unwrap_or(-1));
    fields.event_loop.set(given[0].own());
    fields.context.set(if given[3].is_none() {
        crate::asyncio::copy_context()?
    } else {
        given[3].own()
    });
    install_protocol(fields, given[2])?;
    Ok(none())
}

fn install_protocol(fields: &StreamFields, protocol: &Obj) -> Result<()> {
    let class = &LAYOUT.get().buffered_protocol;
    // SAFETY: two live objects; -1 says that the check raised.
    let buffered = unsafe { ffi::PyObject_IsInstance(protocol.as_ptr(), class.as_ptr()) };
    check(buffered)?;
    let tls = TlsProtocol::downcast(protocol).is_some();
    fields.tls.set(tls);
    fields.buffered.set(buffered == 1 && !tls);
    fields.protocol.set(protocol.own());
    Ok(())
}

fn set_protocol(_: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("set_protocol", &["protocol"], 1)?;
    install_protocol(fields, given[0])?;
    Ok(none())
}

fn get_protocol(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    Ok(fields.protocol.get_or_none())
}

fn is_closing(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    Ok(boolean(fields.closing.get()))
}

/// `_end()`: loop and protocol are let go; the Python half then closes the socket.
fn end(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    fields.closing.set(true);
    if let Ok(event_loop) = fields.event_loop() {
        event_loop.observer.metrics.transports_closed.add(1);
    }
    drop((
        fields.protocol.take(),
        fields.event_loop.take(),
        fields.context.take(),
    ));
    Ok(none())
}

/// `_stop_watching()`.
fn stop_watching(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    if let Ok(event_loop) = fields.event_loop() {
        event_loop.unwatch_reading(fields.fd.get())?;
        event_loop.unwatch_writing(fields.fd.get())?;
        fields.watches_writing.set(false);
    }
    Ok(none())
}

/// `_begin_closing()`: no more reading; what is written already is still sent.
fn begin_closing(this: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    fields.closing.set(true);
    fields.event_loop()?.unwatch_reading(fields.fd.get())?;
    // A paused protocol is told of the room, and may write again, before the last byte is sent: so the poller's word is awaited.
    write::flush_unless_watched(this, fields)?;
    Ok(boolean(fields.outgoing.borrow().is_empty()))
}

/// `_lose()`: what can be sent is sent, the rest is dropped; the connection counts as lost.
fn lose(this: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    fields.closing.set(true);
    fields.conn_lost.set(fields.conn_lost.get() + 1);
    let chunks = fields.outgoing.borrow_mut().clear();
    drop(chunks);
    stop_watching(this, fields, args)
}

unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: our type or a subclass; the memory is zeroed and of at least our size.
        let this = unsafe { Owned::steal(ffi::PyType_GenericAlloc(class, 0))? };
        // SAFETY: the place lies in the new object. The collector may look at the zeroed fields before this, and finds nothing.
        unsafe {
            std::ptr::write(
                this.as_ptr().byte_add(LAYOUT.get().offset).cast(),
                StreamFields::new(),
            )
        };
        Ok(this.into_ptr())
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    enter((), || {
        // SAFETY: the memory is still there, and only this function sees it.
        let object = unsafe { Obj::from_ptr(this) };
        // SAFETY: as above.
        let extra = unsafe { LAYOUT.get().extra.replace(object, None) };
        drop(extra);
        // SAFETY: the fields were written by `new`, and nobody reads them after this.
        unsafe {
            StreamFields::of(object).clear();
            std::ptr::drop_in_place(this.byte_add(LAYOUT.get().offset).cast::<StreamFields>());
        }
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
        let object = unsafe { Obj::from_ptr(this) };
        // SAFETY: heap types are visited by their instances.
        let class = unsafe { Obj::from_ptr(object.type_ptr().cast()) };
        // SAFETY: as above.
        let (extra, fields) = unsafe { (LAYOUT.get().extra.peek(object), StreamFields::of(object)) };
        let outcome = visitor
            .visit(class)
            .and_then(|()| visitor.visit_opt(extra))
            .and_then(|()| fields.visit(visitor));
        Ok(outcome.err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        let object = unsafe { Obj::from_ptr(this) };
        // SAFETY: as above.
        let extra = unsafe { LAYOUT.get().extra.replace(object, None) };
        // SAFETY: as above.
        unsafe { StreamFields::of(object) }.clear();
        drop(extra);
        Ok(0)
    })
}

/// Adds the type to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    let class = &LAYOUT.get().class;
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"StreamTransport".as_ptr(), class.as_ptr()) })
}
