//! Datagrams between a socket (UDP, Unix) and a protocol: the fields of the transport and its type.
//!
//! * [`receive`]: from the socket to `datagram_received`.
//! * [`send`]: from `sendto` to the socket.
//! * [`peers`]: the addresses of the latest peers.
//!
//! `maypole.transports.DatagramTransport` is the subclass in Python.
//!
//! Source: <https://docs.python.org/3/library/asyncio-protocol.html#datagram-transports>

mod peers;
mod receive;
mod send;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{CStr, c_int};

use pyo3::ffi;

use super::layout::{Fields, Layout, transport_field, transport_method};
use crate::capi::call::import_from;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Visitor};
use crate::capi::error::{check, current_ends_program, runtime_error, take, type_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Field, Obj, Owned, Raised, Result, call, names};
use crate::event_loop::LoopObject;
use peers::Peers;

/// The default high-water mark, asyncio's 64 KiB.
const HIGH_WATER: usize = 64 * 1024;

/// The native fields of a datagram transport.
pub(crate) struct DatagramFields {
    event_loop: Field,
    protocol: Field,
    /// The context in which the protocol is called: a copy of the one in which the endpoint was made.
    context: Field,
    /// The one address that a connected endpoint sends to, as asyncio was given it.
    address: Field,
    /// Datagrams that the socket has not taken.
    outgoing: RefCell<VecDeque<Outgoing>>,
    /// What `outgoing` counts for at the water marks.
    outgoing_size: Cell<usize>,
    peers: RefCell<Peers>,
    fd: Cell<c_int>,
    family: Cell<c_int>,
    /// Calls of `sendto` after the endpoint was lost, plus one for the loss.
    conn_lost: Cell<u32>,
    high_water: Cell<usize>,
    low_water: Cell<usize>,
    /// What the poller reported and the turn has not yet looked at.
    pub(crate) ready: Cell<u8>,
    /// The socket knows its peer: datagrams are sent without an address.
    connected: Cell<bool>,
    /// Events in a row that were read for a single datagram.
    singles: Cell<u32>,
    closing: Cell<bool>,
    paused: Cell<bool>,
    protocol_paused: Cell<bool>,
    /// The poller watches for room to send.
    watches_writing: Cell<bool>,
}

/// A datagram that waits to be sent.
struct Outgoing {
    /// An exact `bytes` object.
    data: Owned,
    /// The address as the program gave it; `None` for none.
    to: Owned,
}

static LAYOUT: GilOnce<Layout<DatagramFields>> = GilOnce::new();

const DOC: &CStr =
    c"DatagramTransport()\n--\n\nThe native half of maypole.transports.DatagramTransport: receiving and sending.";

/// Makes the type; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if LAYOUT.is_set() {
        return Ok(());
    }
    let base = import_from("asyncio.transports", "_FlowControlMixin")?;
    let name = c"maypole._maypole.DatagramTransport";
    LAYOUT.set(Layout::build(name, DOC, &base, |class| {
        with_fields(with_methods(class))
    })?);
    Ok(())
}

/// Adds the type to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    let (name, class) = (c"DatagramTransport", &LAYOUT.get().class);
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), class.as_ptr()) })
}

macro_rules! method {
    ($body:path) => {
        transport_method!(DatagramFields, $body)
    };
}

macro_rules! field {
    ($body:expr) => {
        transport_field!(DatagramFields, $body)
    };
}

fn with_methods(class: Class) -> Class {
    class
        .fast(
            c"_begin",
            method!(begin),
            c"_begin($self, loop, fd, family, protocol, address, connected, /)\n--\n\nGive the transport its socket.",
        )
        .fast(
            c"_end",
            method!(end),
            c"_end($self, /)\n--\n\nForget loop and protocol: the socket is closed.",
        )
        .fast(
            c"_lose",
            method!(lose),
            c"_lose($self, /)\n--\n\nDrop what is not sent, stop watching, and count the endpoint as lost.",
        )
        .fast(
            c"_begin_closing",
            method!(begin_closing),
            c"_begin_closing($self, /)\n--\n\nStop receiving; return True if nothing waits to be sent.",
        )
        .fast(
            c"_start_reading",
            method!(receive::start),
            c"_start_reading($self, /)\n--\n\nWatch for datagrams unless paused or closing.",
        )
        .fast(
            c"_pause_reading",
            method!(receive::pause),
            c"_pause_reading($self, /)\n--\n\nStop receiving; return False if that was so already.",
        )
        .fast(
            c"_resume_reading",
            method!(receive::resume),
            c"_resume_reading($self, /)\n--\n\nReceive again; return False if that was so already.",
        )
        .fast(
            c"is_reading",
            method!(receive::is_reading),
            c"is_reading($self, /)\n--\n\nReturn True if the transport is receiving.",
        )
        .fast(
            c"set_protocol",
            method!(set_protocol),
            c"set_protocol($self, protocol)\n--\n\nSet a new protocol.",
        )
        .fast(
            c"get_protocol",
            method!(get_protocol),
            c"get_protocol($self, /)\n--\n\nReturn the current protocol.",
        )
        .fast(
            c"is_closing",
            method!(is_closing),
            c"is_closing($self, /)\n--\n\nReturn True if the transport is closing or closed.",
        )
        .fast(
            c"_run_ready",
            method!(run_ready),
            c"_run_ready($self, reading, /)\n--\n\nReceive, or send what waits, as if the poller had said so.",
        )
        .fast(
            c"sendto",
            method!(send::sendto),
            c"sendto($self, data, addr=None)\n--\n\nSend a datagram; does not block.",
        )
        .fast(
            c"get_write_buffer_size",
            method!(send::buffer_size),
            c"get_write_buffer_size($self, /)\n--\n\nReturn how many bytes the socket has not taken.",
        )
        .fast(
            c"_set_limits",
            method!(send::set_limits),
            c"_set_limits($self, high, low, /)\n--\n\nSet the water marks.",
        )
}

fn with_fields(class: Class) -> Class {
    class
        .attribute(c"_loop", field!(|this| Ok(this.event_loop.get_or_none())), None)
        .attribute(c"_protocol", field!(|this| Ok(this.protocol.get_or_none())), None)
        .attribute(c"_context", field!(|this| Ok(this.context.get_or_none())), None)
        .attribute(c"_address", field!(|this| Ok(this.address.get_or_none())), None)
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
        .attribute(c"_buffer", field!(send::list_outgoing), None)
}

impl Fields for DatagramFields {
    #[inline(always)]
    fn layout() -> &'static Layout<DatagramFields> {
        LAYOUT.get()
    }

    fn empty() -> DatagramFields {
        DatagramFields {
            event_loop: Field::empty(),
            protocol: Field::empty(),
            context: Field::empty(),
            address: Field::empty(),
            outgoing: RefCell::default(),
            outgoing_size: Cell::new(0),
            peers: RefCell::default(),
            fd: Cell::new(-1),
            family: Cell::new(libc::AF_UNSPEC),
            conn_lost: Cell::new(0),
            high_water: Cell::new(HIGH_WATER),
            low_water: Cell::new(HIGH_WATER / 4),
            ready: Cell::new(0),
            connected: Cell::new(false),
            singles: Cell::new(0),
            closing: Cell::new(false),
            paused: Cell::new(false),
            protocol_paused: Cell::new(false),
            watches_writing: Cell::new(false),
        }
    }

    fn clear(&self, _: &Obj) {
        self.clear_queues();
        drop([
            self.event_loop.take(),
            self.protocol.take(),
            self.context.take(),
            self.address.take(),
        ]);
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        for field in [&self.event_loop, &self.protocol, &self.context, &self.address] {
            visitor.visit_opt(field.peek())?;
        }
        for waiting in self.outgoing.borrow().iter() {
            visitor.visit(&waiting.data)?;
            visitor.visit(&waiting.to)?;
        }
        Ok(())
    }
}

impl DatagramFields {
    /// The fields of a Python object, if it is a datagram transport of ours.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&DatagramFields> {
        <DatagramFields as Fields>::downcast(object)
    }

    /// Looks at what the poller reported about the transport; called by the turn.
    ///
    /// # Errors
    /// Only what ends the program.
    #[inline]
    pub(crate) fn run(&self, transport: &Obj) -> Result<()> {
        let ready = self.ready.replace(0);
        if ready & super::READABLE != 0 && self.is_receiving() {
            receive::read_ready(transport, self)?;
        }
        if ready & super::WRITABLE != 0 && self.watches_writing.get() {
            send::write_ready(transport, self)?;
        }
        Ok(())
    }

    fn is_receiving(&self) -> bool {
        !self.paused.get() && !self.closing.get() && self.conn_lost.get() == 0
    }

    /// The loop of a transport that has a socket.
    fn event_loop(&self) -> Result<&LoopObject> {
        match self.event_loop.peek().and_then(LoopObject::downcast) {
            Some(event_loop) => Ok(event_loop),
            None => Err(runtime_error("the transport has no connection")),
        }
    }

    fn clear_queues(&self) {
        let outgoing = std::mem::take(&mut *self.outgoing.borrow_mut());
        self.outgoing_size.set(0);
        let peers = self.peers.borrow_mut().clear();
        drop((outgoing, peers));
    }
}

/// `_begin(loop, fd, family, protocol, address, connected)`.
fn begin(_: &Obj, fields: &DatagramFields, args: Args<'_>) -> Result<Owned> {
    let wanted = ["loop", "fd", "family", "protocol", "address", "connected"];
    let (given, _) = args.at_least("_begin", &wanted, wanted.len())?;
    if LoopObject::downcast(given[0]).is_none() {
        return Err(type_error("a native transport needs a maypole loop"));
    }
    let number = |given: &Obj| given.as_i64().map(|number| c_int::try_from(number).unwrap_or(-1));
    fields.fd.set(number(given[1])?);
    fields.family.set(number(given[2])?);
    fields.connected.set(given[5].truthy()?);
    fields.event_loop.set(given[0].own());
    fields.context.set(crate::context::copy()?);
    fields.protocol.set(given[3].own());
    let address = given[4].truthy()?.then(|| given[4].own());
    drop(fields.address.replace(address));
    Ok(none())
}

/// `_run_ready(reading)`.
fn run_ready(this: &Obj, fields: &DatagramFields, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_run_ready", &["reading"], 1)?;
    if !given[0].truthy()? {
        send::write_ready(this, fields)?;
    } else if fields.is_receiving() {
        receive::read_ready(this, fields)?;
    }
    Ok(none())
}

fn set_protocol(_: &Obj, fields: &DatagramFields, args: Args<'_>) -> Result<Owned> {
    fields
        .protocol
        .set(args.single("set_protocol", "protocol")?.own());
    Ok(none())
}

fn get_protocol(_: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    Ok(fields.protocol.get_or_none())
}

fn is_closing(_: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    Ok(boolean(fields.closing.get()))
}

/// `_end()`: loop and protocol are let go; the Python half then closes the socket.
fn end(_: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    fields.closing.set(true);
    drop([
        fields.protocol.take(),
        fields.event_loop.take(),
        fields.context.take(),
    ]);
    fields.clear_queues();
    Ok(none())
}

/// `_begin_closing()`: nothing more is received; what waits to be sent is still sent.
fn begin_closing(_: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    fields.closing.set(true);
    fields.event_loop()?.unwatch_reading(fields.fd.get())?;
    Ok(boolean(fields.outgoing.borrow().is_empty()))
}

/// `_lose()`: what waits is dropped, and the endpoint counts as lost.
fn lose(_: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    fields.closing.set(true);
    fields.conn_lost.set(fields.conn_lost.get().saturating_add(1));
    fields.clear_queues();
    let event_loop = fields.event_loop()?;
    event_loop.unwatch_reading(fields.fd.get())?;
    event_loop.unwatch_writing(fields.fd.get())?;
    fields.watches_writing.set(false);
    Ok(none())
}

/// Sends the current exception to the exception handler as that of the callback that asyncio would have run, unless it ends the
/// program. The transport stays open.
///
/// # Errors
/// What ends the program, and what the exception handler lets through.
#[cold]
fn report(transport: &Obj, callback: &str) -> Result<()> {
    if current_ends_program() {
        return Err(Raised);
    }
    let Some(exception) = take() else { return Ok(()) };
    transport
        .call_method(
            &names::get().report_failure,
            &[&exception, &*call::text(callback)?],
        )
        .map(drop)
}
