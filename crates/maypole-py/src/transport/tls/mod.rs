//! TLS over Python's `ssl`: the engine is an `ssl.SSLObject` between two `MemoryBIO`s, driven from here.
//!
//! * this file: the fields of a TLS connection and its type.
//! * [`names`]: what is taken from `ssl` and `asyncio.sslproto`.
//! * [`fields`]: the attributes that asyncio's own code reads and sets.
//! * [`read`]: from the bytes of the stream to `data_received` or `buffer_updated`.
//! * [`write`]: collecting what a turn writes, and encrypting it in one call.
//! * [`app_transport`]: `write` and `writelines` of the transport that the application holds.
//!
//! Handshake, shutdown, errors and time limits happen once per connection. They are asyncio's own code, inherited by
//! `maypole.transports.tls`; that code and this one share the fields below, under asyncio's names.
//!
//! Invariant: what is written in a turn is encrypted at its end at the latest, in the order of the calls, and before the
//! connection leaves the state in which asyncio would have encrypted it.
//! Source: CPython, `Lib/asyncio/sslproto.py`.

mod app_transport;
mod fields;
mod names;
mod read;
mod write;

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, fast, noargs};
use crate::capi::class_cache::ClassCache;
use crate::capi::error::{check, current_is, take};
use crate::capi::{Field, Obj, Owned, Raised, Result, call};

pub(super) use read::receive;
pub(super) use write::encrypt_turn;

/// Where a connection stands: `asyncio.sslproto.SSLProtocolState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Unwrapped = 0,
    Handshake,
    Wrapped,
    Flushing,
    Shutdown,
}

/// The memory of a `maypole._maypole.TLSProtocol`.
#[repr(C)]
pub(crate) struct TlsProtocol {
    ob_base: ffi::PyObject,
    app_protocol: Field,
    /// The transport beneath; mostly a [`super::StreamFields`].
    transport: Field,
    /// What `ssl.SSLContext.wrap_bio` gave.
    ssl_object: Field,
    /// What `read` and `write` are called on: the C object inside an `ssl.SSLObject`, or what else was given.
    engine: Field,
    /// Encrypted bytes that came and wait for the engine.
    incoming: Field,
    /// Encrypted bytes that the engine has made.
    outgoing: Field,
    /// A `collections.deque` of what the application wrote and the engine has not taken.
    backlog: Field,
    state_member: Field,
    backlog_size: Cell<usize>,
    incoming_high_water: Cell<usize>,
    incoming_low_water: Cell<usize>,
    outgoing_high_water: Cell<usize>,
    outgoing_low_water: Cell<usize>,
    state: Cell<State>,
    /// The application's protocol fills buffers of its own.
    app_buffered: Cell<bool>,
    app_reading_paused: Cell<bool>,
    app_writing_paused: Cell<bool>,
    ssl_reading_paused: Cell<bool>,
    ssl_writing_paused: Cell<bool>,
    /// Encrypting: what is written meanwhile joins the backlog and nothing more.
    encrypting: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid for every field (null, 0, false, `Unwrapped`).
unsafe impl Native for TlsProtocol {}

struct Types {
    protocol: Owned,
    cache: ClassCache,
    app_transport: Owned,
}

static TYPES: GilOnce<Types> = GilOnce::new();

const DOC: &CStr =
    c"TLSProtocol()\n--\n\nThe native half of maypole.transports.SSLProtocol: the phase in which data flows.";

/// Makes the types; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if TYPES.is_set() {
        return Ok(());
    }
    names::init()?;
    let class = Class::new(c"maypole._maypole.TLSProtocol", size_of::<TlsProtocol>(), DOC)
        .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
        .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
        .slot(ffi::Py_tp_clear, clear as *mut c_void);
    TYPES.set(Types {
        protocol: fields::declare(with_methods(class)).build(None)?,
        cache: ClassCache::new(),
        app_transport: app_transport::class()?,
    });
    Ok(())
}

fn with_methods(class: Class) -> Class {
    class
        .noargs(
            c"_do_read",
            noargs!(TlsProtocol, read::do_read_method),
            c"Decrypt what has come and give it to the application.",
        )
        .noargs(
            c"_do_write",
            noargs!(TlsProtocol, write::do_write_method),
            c"Encrypt what the application wrote and send it.",
        )
        .noargs(
            c"_encrypt",
            noargs!(TlsProtocol, write::encrypt_method),
            c"Encrypt what this turn wrote, if the connection is in its data phase.",
        )
        .noargs(
            c"_process_outgoing",
            noargs!(TlsProtocol, write::process_outgoing_method),
            c"Give what the engine has made to the transport beneath.",
        )
        .fast(
            c"_write_appdata",
            fast!(TlsProtocol, write::write_appdata_method),
            c"_write_appdata($self, list_of_data, /)\n--\n\nWrite a list of bytes.",
        )
}

impl TlsProtocol {
    /// The fields of a Python object, if it is a TLS protocol of ours.
    #[inline(always)]
    pub(super) fn downcast(object: &Obj) -> Option<&TlsProtocol> {
        let types = TYPES.get();
        if !types.cache.is_instance(object, &types.protocol) {
            return None;
        }
        // SAFETY: the type was just checked.
        Some(unsafe { TlsProtocol::of(object.as_ptr()) })
    }

    /// The bytes in one of the two `MemoryBIO`s.
    fn pending(bio: &Field) -> Result<usize> {
        match bio.get() {
            Some(bio) => bio
                .get_attr(&crate::capi::names::get().pending)?
                .as_i64()
                .map(|size| usize::try_from(size).unwrap_or(0)),
            None => Ok(0),
        }
    }

    /// Ends the connection for the current exception, as asyncio's `except Exception` does.
    ///
    /// # Errors
    /// What is no `Exception`: it goes on to the caller.
    #[cold]
    fn fail(&self) -> Result<()> {
        // SAFETY: the exception types exist while the interpreter does.
        if !current_is(unsafe { ffi::PyExc_Exception }) {
            return Err(Raised);
        }
        let Some(exception) = take() else { return Ok(()) };
        let message = call::text("Fatal error on SSL protocol")?;
        self.as_obj()
            .call_method(&crate::capi::names::get().fatal_error, &[&exception, &message])
            .map(drop)
    }

    fn references(&self) -> [&Field; 8] {
        [
            &self.app_protocol,
            &self.transport,
            &self.ssl_object,
            &self.engine,
            &self.incoming,
            &self.outgoing,
            &self.backlog,
            &self.state_member,
        ]
    }

    fn forget_references(&self) {
        drop(self.references().map(Field::take));
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    // SAFETY: as above; the memory is still there.
    unsafe { TlsProtocol::of(this) }.forget_references();
    // SAFETY: memory of a collected object, untracked above.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    // SAFETY: the collector passes an object of our type.
    let this = unsafe { TlsProtocol::of(this) };
    // SAFETY: heap types are visited by their instances.
    let class = unsafe { Obj::from_ptr(this.as_obj().type_ptr().cast()) };
    let visit_all = || {
        visitor.visit(class)?;
        this.references()
            .iter()
            .try_for_each(|field| visitor.visit_opt(field.peek()))
    };
    visit_all().err().unwrap_or(0)
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    // SAFETY: the collector passes an object of our type.
    unsafe { TlsProtocol::of(this) }.forget_references();
    0
}

/// Adds the types to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    let types = TYPES.get();
    for (name, class) in [
        (c"TLSProtocol", &types.protocol),
        (c"TLSTransport", &types.app_transport),
    ] {
        // SAFETY: a live module, a C string and a live type.
        check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), class.as_ptr()) })?;
    }
    Ok(())
}
