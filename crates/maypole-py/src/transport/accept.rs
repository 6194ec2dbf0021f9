//! Accepting connections: from a listening socket to transports whose `connection_made` is queued.
//!
//! Nothing here is made for a connection but its protocol, its transport and a context: no task, no socket object, no names.
//!
//! Source: `asyncio.selector_events.BaseSelectorEventLoop._accept_connection`.

use std::ffi::c_int;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use maypole_sys::datagram::Address;
use maypole_sys::{net, stream};

use super::layout::Fields;
use super::life::{self, Connection};
use super::peers::{Ends, Name};
use super::socket::{Descriptor, Socket};
use super::stream::StreamFields;
use crate::asyncio;
use crate::capi::class::Native;
use crate::capi::error::{current_ends_program, os_error, take};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Raised, Result, call, names};
use crate::event_loop::LoopObject;

/// What the connections of one listening socket have in common.
struct Listener<'a> {
    event_loop: &'a LoopObject,
    /// Makes a protocol for each connection.
    factory: &'a Obj,
    /// `asyncio.Server`, or `None`.
    server: Option<&'a Obj>,
    /// The class of the transports.
    class: &'a Obj,
    /// From Python 3.15 on the server's context, of which each connection has a copy.
    context: Option<&'a Obj>,
    fd: c_int,
    family: c_int,
    proto: c_int,
}

/// `_accept_burst(sock, family, proto, factory, server, context, transport_class, backlog)`: what waits, at most `backlog`
/// connections.
///
/// # Errors
/// `OSError` for what is wrong with the listening socket, or when descriptors have run out; what a factory raises that ends the
/// program.
pub(crate) fn accept_burst(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let wanted = [
        "sock",
        "family",
        "proto",
        "factory",
        "server",
        "context",
        "transport_class",
        "backlog",
    ];
    let (given, _) = args.at_least("_accept_burst", &wanted, wanted.len())?;
    let number = |given: &Obj| given.as_i64().map(|number| c_int::try_from(number).unwrap_or(-1));
    let fileno = || {
        given[0]
            .call_method(&names::get().fileno, &[])
            .and_then(|fd| number(&fd))
    };
    let given_or_none = |place: usize| Some(given[place]).filter(|given| !given.is_none());
    let listener = Listener {
        event_loop: this,
        factory: given[3],
        server: given_or_none(4),
        class: given[6],
        context: given_or_none(5),
        fd: fileno()?,
        family: number(given[1])?,
        proto: number(given[2])?,
    };
    for _ in 0..given[7].as_i64()? {
        match stream::accept(listener.fd) {
            Ok((fd, peer)) => listener.connect(fd, &peer)?,
            Err(error) if nobody_waits(error.kind()) => break,
            Err(error) => return Err(os_error(&error)),
        }
        // The factory may have closed the server, and another socket may have got the number.
        if this.is_closed() || fileno()? != listener.fd {
            break;
        }
    }
    Ok(none())
}

fn nobody_waits(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

impl Listener<'_> {
    /// Makes protocol and transport of one connection. What the factory sets in its context is for this connection alone.
    fn connect(&self, fd: OwnedFd, peer: &Address) -> Result<()> {
        if self.proto == libc::IPPROTO_TCP
            && matches!(self.family, libc::AF_INET | libc::AF_INET6)
            && let Err(error) = net::set_nodelay(fd.as_fd(), true)
        {
            return self.report(os_error(&error), None);
        }
        let context = match self.context {
            // `context.copy()`.
            // SAFETY: a live object; the function checks its type.
            Some(context) => unsafe { Owned::steal(pyo3::ffi::PyContext_Copy(context.as_ptr())) }?,
            None => crate::context::copy()?,
        };
        let mut protocol = None;
        let outcome = crate::context::run(&context, || {
            let made = protocol.insert(self.factory.call(&[])?);
            self.begin(fd, peer, made, &context)
        });
        outcome.or_else(|raised| self.report(raised, protocol.as_deref()))
    }

    fn begin(&self, fd: OwnedFd, peer: &Address, protocol: &Obj, context: &Obj) -> Result<()> {
        let transport = StreamFields::layout().allocate(self.class)?;
        // SAFETY: just made.
        let fields = unsafe { StreamFields::of(&transport) };
        let local =
            stream::local_address(fd.as_raw_fd()).map_or_else(|_| Name::unknown(), |own| Name::of(&own));
        let peer = Name::of(peer);
        drop(fields.ends.replace(Ends { local, peer }));
        let connection = Connection {
            event_loop: self.event_loop,
            protocol,
            fd: fd.as_raw_fd(),
            socket: Socket::Descriptor(Descriptor {
                fd,
                family: self.family,
                proto: self.proto,
            }),
            own_context: self.context.map(|_| context),
            read_context: context.own(),
            server: self.server,
        };
        life::begin(&transport, fields, connection)
    }

    /// asyncio tells of a connection that could not be made in debug mode only.
    #[cold]
    fn report(&self, raised: Raised, protocol: Option<&Obj>) -> Result<()> {
        if current_ends_program() {
            return Err(raised);
        }
        let exception = take();
        if !self.event_loop.debug() {
            return Ok(());
        }
        let message = call::text("Error on transport creation for incoming connection")?;
        let entries = [
            ("message", Some(&*message)),
            ("exception", exception.as_deref()),
            ("protocol", protocol),
        ];
        asyncio::call_exception_handler(self.event_loop.as_obj(), &entries)
    }
}
