//! The life of a connection: the one place where it begins and the one where it ends.
//!
//! Source: `asyncio.selector_events._SelectorTransport`, whose order of steps this follows.

use std::ffi::c_int;

use super::socket::Socket;
use super::stream::{STARTING, StreamFields};
use super::tls::TlsProtocol;
use super::write;
use crate::capi::class::Native;
use crate::capi::error::{check, restore, runtime_error, take, type_error, unraisable};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Raised, Result, names};
use crate::event_loop::LoopObject;

/// What a connection is made of.
pub(super) struct Connection<'a> {
    pub(super) event_loop: &'a LoopObject,
    pub(super) protocol: &'a Obj,
    pub(super) fd: c_int,
    pub(super) socket: Socket,
    /// The context that the protocol is called in: from Python 3.15 on asyncio gives one to each transport.
    pub(super) own_context: Option<&'a Obj>,
    /// Before that, one whose content is that of the current one, and which nobody else enters.
    pub(super) read_context: Owned,
    pub(super) server: Option<&'a Obj>,
}

/// Begins a connection: `connection_made` is queued, and then reading.
///
/// # Errors
/// What the protocol or the server raises, `RuntimeError` for a closed loop or a transport that has a connection already. The
/// transport then is what asyncio's is at that point: whoever drops it closes the connection.
pub(super) fn begin(this: &Obj, fields: &StreamFields, connection: Connection<'_>) -> Result<()> {
    if fields.has_socket() {
        return Err(runtime_error("the transport has a connection already"));
    }
    let (names, event_loop) = (names::get(), connection.event_loop);
    // One that was brought back from the dead may stand in the table of another loop.
    forget_loop(this, fields);
    fields.fd.set(connection.fd);
    drop(fields.socket.replace(connection.socket));
    fields.own_context.set(connection.own_context.is_some());
    fields.context.set(connection.read_context);
    fields.event_loop.set(event_loop.as_obj().own());
    event_loop.observer.metrics.transports_opened.add(1);
    install_protocol(fields, connection.protocol)?;
    if let Some(server) = connection.server {
        drop(fields.server.replace(Some(server.own())));
        tell_server(server, &names.attach, this)?;
    }
    event_loop.keep_transport(connection.fd, this)?;
    let made = connection.protocol.get_attr(&names.connection_made)?;
    call_soon(fields, &made, this)?;
    // Reading starts only when connection_made() was called.
    fields.ready.set(STARTING);
    event_loop.enqueue(this.own())
}

/// `loop.call_soon(callback, argument, context=own)`, also where a subclass has replaced it.
fn call_soon(fields: &StreamFields, callback: &Obj, argument: &Obj) -> Result<()> {
    let (Some(event_loop), context) = (fields.event_loop.get(), fields.context.get()) else {
        return Err(runtime_error("the transport has no connection"));
    };
    let names = names::get();
    let arguments = [callback, argument];
    match context.filter(|_| fields.own_context.get()) {
        None => event_loop.call_method(&names.call_soon, &arguments),
        Some(context) => {
            event_loop.call_method_with(&names.call_soon, &arguments, (&names.context, &context))
        }
    }
    .map(drop)
}

/// From 3.13 on a server knows its transports; before it counts them.
fn tell_server(server: &Obj, method: &Obj, transport: &Obj) -> Result<()> {
    let arguments: &[&Obj] = if cfg!(Py_3_13) { &[transport] } else { &[] };
    server.call_method(method, arguments).map(drop)
}

/// Gives a connection to a protocol.
///
/// # Errors
/// What asking for its class raises.
pub(super) fn install_protocol(fields: &StreamFields, protocol: &Obj) -> Result<()> {
    let class = super::stream::buffered_protocol();
    // SAFETY: two live objects; -1 says that the check raised.
    let buffered = unsafe { pyo3::ffi::PyObject_IsInstance(protocol.as_ptr(), class.as_ptr()) };
    check(buffered)?;
    let tls = TlsProtocol::downcast(protocol).is_some();
    fields.tls.set(tls);
    fields.buffered.set(buffered == 1 && !tls);
    fields.protocol.set(protocol.own());
    Ok(())
}

/// `_begin(loop, sock, protocol, context, server)`: the connection of a Python socket.
pub(super) fn begin_python(this: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let wanted = ["loop", "sock", "protocol", "context", "server"];
    let (given, _) = args.at_least("_begin", &wanted, wanted.len())?;
    let Some(event_loop) = LoopObject::downcast(given[0]) else {
        return Err(type_error("a native transport needs a maypole loop"));
    };
    let fd = given[1].call_method(&names::get().fileno, &[])?.as_i64()?;
    let own_context = Some(given[3]).filter(|context| !context.is_none());
    let connection = Connection {
        event_loop,
        protocol: given[2],
        fd: c_int::try_from(fd).unwrap_or(-1),
        socket: Socket::Python(given[1].own()),
        own_context,
        read_context: own_context.map_or_else(crate::context::copy, |context| Ok(context.own()))?,
        server: Some(given[4]).filter(|server| !server.is_none()),
    };
    begin(this, fields, connection)?;
    Ok(none())
}

/// `close()`: no more reading; what is written already is still sent, then the connection is lost.
pub(super) fn close(this: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    if fields.closing.replace(true) {
        return Ok(none());
    }
    fields.event_loop()?.unwatch_reading(fields.fd.get())?;
    // A paused protocol is told of the room, and may write again, before the last byte is sent: so the poller's word is awaited.
    write::flush_unless_watched(this, fields)?;
    if fields.outgoing.borrow().is_empty() && fields.conn_lost.get() == 0 {
        lose(this, fields, &none())?;
    }
    Ok(none())
}

/// `_force_close(exc)`: what is not sent is dropped, and the connection is lost.
pub(super) fn force_close(this: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_force_close", &["exc"], 1)?;
    if fields.conn_lost.get() == 0 && !fields.event_loop.is_empty() {
        lose(this, fields, given[0])?;
    }
    Ok(none())
}

/// Counts the connection as lost, and queues the word of it.
fn lose(this: &Obj, fields: &StreamFields, exception: &Obj) -> Result<()> {
    count_as_lost(fields)?;
    let lost = this.get_attr(&names::get().call_connection_lost)?;
    call_soon(fields, &lost, exception)
}

fn count_as_lost(fields: &StreamFields) -> Result<()> {
    fields.closing.set(true);
    fields.conn_lost.set(fields.conn_lost.get().saturating_add(1));
    let chunks = fields.outgoing.borrow_mut().clear();
    drop(chunks);
    if let Some(event_loop) = fields.loop_if_connected() {
        event_loop.unwatch_reading(fields.fd.get())?;
        event_loop.unwatch_writing(fields.fd.get())?;
        fields.watches_writing.set(false);
    }
    Ok(())
}

/// After the last byte of a closing connection: it is lost now.
pub(super) fn lose_now(this: &Obj, fields: &StreamFields) -> Result<()> {
    if fields.conn_lost.get() > 0 {
        return Ok(());
    }
    count_as_lost(fields)?;
    end(this, fields, &none())
}

/// `_call_connection_lost(exc)`.
pub(super) fn call_connection_lost(this: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_call_connection_lost", &["exc"], 1)?;
    end(this, fields, given[0])?;
    Ok(none())
}

/// Ends a connection: the protocol is told, then everything is let go, whatever the protocol raised.
fn end(this: &Obj, fields: &StreamFields, exception: &Obj) -> Result<()> {
    let told = match fields.protocol.get() {
        Some(protocol) => protocol.call_method(&names::get().connection_lost, &[exception]),
        None => Ok(none()),
    };
    let Err(Raised) = told else {
        return let_go(this, fields);
    };
    let raised = take();
    if let_go(this, fields).is_err() {
        unraisable(Some(this));
    }
    raised.map_or(Ok(()), |raised| Err(restore(raised)))
}

fn let_go(this: &Obj, fields: &StreamFields) -> Result<()> {
    let names = names::get();
    fields.closing.set(true);
    let server = fields.server.take();
    let waiter = fields.empty_waiter.get();
    if let Some(waiter) = waiter {
        drop(this.call_method(&names.fail_empty_waiter, &[&waiter])?);
    }
    forget_loop(this, fields);
    fields.close_socket()?;
    server.map_or(Ok(()), |server| tell_server(&server, &names.detach, this))
}

/// Leaves the loop's table, and drops loop, protocol and context.
pub(super) fn forget_loop(this: &Obj, fields: &StreamFields) {
    if let Some(event_loop) = fields.loop_if_connected() {
        event_loop.forget_transport(fields.fd.get(), this);
        event_loop.observer.metrics.transports_closed.add(1);
    }
    drop([
        fields.protocol.take(),
        fields.event_loop.take(),
        fields.context.take(),
    ]);
}

/// Warns of a transport that nobody closed, and closes it.
pub(super) fn finalize(this: &Obj, fields: &StreamFields) {
    if !fields.has_socket() {
        return;
    }
    let pending = take();
    // The warning may have been made an exception; the descriptor is closed all the same.
    if this.call_method(&names::get().warn_unclosed, &[]).is_err() {
        unraisable(Some(this));
    }
    if fields.close_socket().is_err() {
        unraisable(Some(this));
    }
    if let Some(server) = fields.server.take()
        && tell_server(&server, &names::get().detach, this).is_err()
    {
        drop(take());
    }
    if let Some(pending) = pending {
        restore(pending);
    }
}
