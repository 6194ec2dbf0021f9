//! The type of a connection's transport: fields, life, flags.
//!
//! The type is a subclass of `asyncio.Transport` (of the class beneath it that `sendfile` asks for), so its fields lie behind those of that class. `maypole.transports.StreamTransport`
//! is its subclass in Python.
//!
//! Source: <https://docs.python.org/3/library/asyncio-protocol.html#transports>

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int};

use pyo3::ffi;

use super::layout::{Fields, Layout, transport_field, transport_method, transport_setter};
use super::outgoing::Outgoing;
use super::peers::{Ends, Name};
use super::socket::Socket;
use super::{life, peers, read, socket, write};
use crate::capi::call::import_from;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Visitor};
use crate::capi::error::{check, runtime_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Field, Obj, Owned, Result, call};
use crate::event_loop::LoopObject;

/// Bits of [`StreamFields::ready`].
pub(crate) const READABLE: u8 = 1;
pub(crate) const WRITABLE: u8 = 2;
/// `connection_made` was called just before: reading starts.
pub(super) const STARTING: u8 = 4;

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
    /// The server that accepted the connection, which counts it.
    pub(super) server: Field,
    pub(super) socket: RefCell<Socket>,
    pub(super) ends: RefCell<Ends>,
    pub(super) outgoing: RefCell<Outgoing>,
    /// The descriptor's number, also after the end.
    pub(super) fd: Cell<c_int>,
    /// Calls of `write` after the connection was lost, plus one for the loss.
    pub(super) conn_lost: Cell<u32>,
    /// How much the last read brought: what the next one makes room for.
    pub(super) last_read: Cell<u32>,
    pub(super) high_water: Cell<usize>,
    pub(super) low_water: Cell<usize>,
    /// What the poller reported and the turn has not yet looked at.
    pub(crate) ready: Cell<u8>,
    /// `context` is what asyncio gave to the transport, not a copy.
    pub(super) own_context: Cell<bool>,
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

struct Types {
    layout: Layout<StreamFields>,
    /// `asyncio.BufferedProtocol`.
    buffered_protocol: Owned,
}

static TYPES: GilOnce<Types> = GilOnce::new();

const DOC: &CStr =
    c"StreamTransport()\n--\n\nThe native half of maypole.transports.StreamTransport: reading and writing.";

/// Makes the type; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if TYPES.is_set() {
        return Ok(());
    }
    let base = import_from("asyncio.transports", "_FlowControlMixin")?;
    let name = c"maypole._maypole.StreamTransport";
    TYPES.set(Types {
        layout: Layout::build(name, DOC, &base, |class| with_fields(with_methods(class)))?,
        buffered_protocol: import_from("asyncio.protocols", "BufferedProtocol")?,
    });
    Ok(())
}

/// `asyncio.BufferedProtocol`.
pub(super) fn buffered_protocol() -> &'static Obj {
    &TYPES.get().buffered_protocol
}

macro_rules! method {
    ($body:path) => {
        transport_method!(StreamFields, $body)
    };
}

macro_rules! field {
    ($($body:tt)+) => {
        transport_field!(StreamFields, $($body)+)
    };
}

fn with_methods(class: Class) -> Class {
    class
        .fast(
            c"_begin",
            method!(life::begin_python),
            c"_begin($self, loop, sock, protocol, context, server, /)\n--\n\nGive the transport its connection.",
        )
        .fast(
            c"close",
            method!(life::close),
            c"close($self, /)\n--\n\nStop reading, send what is written, then tell the protocol that the connection is lost.",
        )
        .fast(
            c"_force_close",
            method!(life::force_close),
            c"_force_close($self, exc, /)\n--\n\nDrop what is not sent; the connection is lost.",
        )
        .fast(
            c"_call_connection_lost",
            method!(life::call_connection_lost),
            c"_call_connection_lost($self, exc, /)\n--\n\nTell the protocol, and let everything go.",
        )
        .fast(
            c"_shut_down",
            method!(socket::shut_down),
            c"_shut_down($self, /)\n--\n\nLet the peer read the end of the stream.",
        )
        .fast(
            c"get_extra_info",
            method!(peers::get_extra_info),
            c"get_extra_info($self, name, default=None)\n--\n\nGet optional transport information.",
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
            c"is_reading",
            method!(read::is_reading),
            c"is_reading($self, /)\n--\n\nReturn True if the transport is receiving.",
        )
        .fast(
            c"pause_reading",
            method!(read::pause),
            c"pause_reading($self, /)\n--\n\nStop receiving until resume_reading().",
        )
        .fast(
            c"resume_reading",
            method!(read::resume),
            c"resume_reading($self, /)\n--\n\nReceive again.",
        )
        .fast(
            c"write",
            method!(write::write),
            c"write($self, data)\n--\n\nWrite some bytes; does not block.",
        )
        .fast(
            c"writelines",
            method!(write::writelines),
            c"writelines($self, list_of_data)\n--\n\nWrite a list of bytes.",
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
        .attribute(c"_context", field!(own_context), None)
        .attribute(
            c"_has_socket",
            field!(|this| Ok(boolean(this.has_socket()))),
            None,
        )
        .attribute(c"_sock", field!(object socket::get), None)
        .attribute(
            c"_extra",
            field!(object peers::get),
            Some(transport_setter!(StreamFields, peers::set)),
        )
        .attribute(c"_server", field!(|this| Ok(this.server.get_or_none())), None)
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

fn own_context(this: &StreamFields) -> Result<Owned> {
    Ok(match this.own_context.get() {
        true => this.context.get_or_none(),
        false => none(),
    })
}

impl Fields for StreamFields {
    #[inline(always)]
    fn layout() -> &'static Layout<StreamFields> {
        &TYPES.get().layout
    }

    fn empty() -> StreamFields {
        StreamFields {
            event_loop: Field::empty(),
            protocol: Field::empty(),
            context: Field::empty(),
            empty_waiter: Field::empty(),
            server: Field::empty(),
            socket: RefCell::new(Socket::Gone),
            ends: RefCell::new(Ends {
                local: Name::unknown(),
                peer: Name::unknown(),
            }),
            outgoing: RefCell::new(Outgoing::default()),
            fd: Cell::new(-1),
            conn_lost: Cell::new(0),
            last_read: Cell::new(0),
            high_water: Cell::new(HIGH_WATER),
            low_water: Cell::new(HIGH_WATER / 4),
            ready: Cell::new(0),
            own_context: Cell::new(false),
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

    fn clear(&self, transport: &Obj) {
        life::forget_loop(transport, self);
        let chunks = self.outgoing.borrow_mut().clear();
        let socket = self.socket.replace(Socket::Gone);
        drop((chunks, socket, self.empty_waiter.take(), self.server.take()));
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        for field in [
            &self.event_loop,
            &self.protocol,
            &self.context,
            &self.empty_waiter,
            &self.server,
        ] {
            visitor.visit_opt(field.peek())?;
        }
        if let Socket::Python(socket) = &*self.socket.borrow() {
            visitor.visit(socket)?;
        }
        self.outgoing
            .borrow()
            .iter()
            .try_for_each(|chunk| visitor.visit(chunk))
    }

    fn finalize(&self, transport: &Obj) {
        life::finalize(transport, self);
    }
}

impl StreamFields {
    /// The fields of a Python object, if it is a transport of ours.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&StreamFields> {
        <StreamFields as Fields>::downcast(object)
    }

    /// Whether the transport has a connection with this descriptor, on this loop.
    pub(crate) fn is_connected(&self, event_loop: &LoopObject, fd: c_int) -> bool {
        self.fd.get() == fd
            && self
                .loop_if_connected()
                .is_some_and(|own| std::ptr::eq(own, event_loop))
    }

    /// The loop, while there is a connection.
    pub(super) fn loop_if_connected(&self) -> Option<&LoopObject> {
        self.event_loop.peek().and_then(LoopObject::downcast)
    }

    /// The loop of a transport that has a connection.
    pub(super) fn event_loop(&self) -> Result<&LoopObject> {
        self.loop_if_connected()
            .ok_or_else(|| runtime_error("the transport has no connection"))
    }
}

fn set_protocol(_: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    life::install_protocol(fields, args.single("set_protocol", "protocol")?)?;
    Ok(none())
}

fn get_protocol(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    Ok(fields.protocol.get_or_none())
}

fn is_closing(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    Ok(boolean(fields.closing.get()))
}

/// Adds the type to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    let class = &TYPES.get().layout.class;
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"StreamTransport".as_ptr(), class.as_ptr()) })
}
