//! From the protocol to the socket: at once, and what the socket refuses in order when it takes datagrams again.
//!
//! Source: `asyncio.selector_events._SelectorDatagramTransport.sendto` and `_sendto_ready`, whose order of checks and texts this
//! follows.

use std::io::ErrorKind;

use maypole_sys::datagram::{self, Address};
use pyo3::ffi;

use super::{DatagramFields, Outgoing, report};
use crate::address;
use crate::capi::error::{check, current_is, memory_error, os_error, take, type_error};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Raised, Result, call, names};
use crate::transport::read::fatal;
use crate::transport::write::tell_protocol;

/// What a waiting datagram counts for besides its bytes. Python 3.13 began to count it, and to send empty datagrams.
const HEADER_SIZE: usize = if cfg!(Py_3_13) { 8 } else { 0 };
const SENDS_EMPTY: bool = cfg!(Py_3_13);

/// What became of a datagram.
enum Sent {
    Yes,
    /// The socket is full.
    Later,
    /// An exception is set.
    Failed,
}

pub(super) fn sendto(this: &Obj, fields: &DatagramFields, args: Args<'_>) -> Result<Owned> {
    let names = names::get();
    let [data, to] = args.bind("sendto", [&names.data, &names.addr], 1)?;
    let (data, none) = (data.ok_or(Raised)?, none());
    let to = to.unwrap_or(&none);
    check_type(data)?;
    if !SENDS_EMPTY && !data.truthy()? {
        return Ok(none);
    }
    let target = fields.address.get();
    if let Some(target) = &target {
        check_target(to, target)?;
        if fields.conn_lost.get() > 0 {
            return sendto_after_loss(this, fields);
        }
    }
    let to = target.as_deref().unwrap_or(to);
    if fields.outgoing.borrow().is_empty() {
        match send_now(this, fields, data, to) {
            Sent::Yes => return Ok(none),
            Sent::Failed => return failed(this, fields).map(|()| none),
            Sent::Later => watch_writing(this, fields)?,
        }
    }
    keep(this, fields, data, to)?;
    Ok(none)
}

fn check_type(data: &Obj) -> Result<()> {
    // SAFETY: live objects and static type objects.
    let known = unsafe {
        ffi::PyBytes_Check(data.as_ptr()) != 0
            || ffi::PyByteArray_Check(data.as_ptr()) != 0
            || ffi::PyMemoryView_Check(data.as_ptr()) != 0
    };
    if known { Ok(()) } else { Err(wrong_type(data)) }
}

#[cold]
fn wrong_type(data: &Obj) -> Raised {
    // SAFETY: the type of a live object has a name.
    let name = unsafe { std::ffi::CStr::from_ptr((*data.type_ptr()).tp_name) }.to_string_lossy();
    let name = name.rsplit('.').next().unwrap_or_default();
    type_error(&format!(
        "data argument must be a bytes-like object, not '{name}'"
    ))
}

/// A connected endpoint sends to its own peer only.
fn check_target(to: &Obj, target: &Obj) -> Result<()> {
    if to.is_none() || to.is(target) {
        return Ok(());
    }
    // SAFETY: two live objects; the comparison may raise and says so by -1.
    let same = unsafe { ffi::PyObject_RichCompareBool(target.as_ptr(), to.as_ptr(), ffi::Py_EQ) };
    check(same)?;
    if same == 1 {
        return Ok(());
    }
    // SAFETY: a live object.
    let text = unsafe { Owned::steal(ffi::PyObject_Str(target.as_ptr()))? };
    let message = "Invalid address: must be None or ";
    // SAFETY: two live strings and the interpreter's own exception type.
    unsafe {
        let whole = Owned::steal(ffi::PyUnicode_Concat(
            call::text(message)?.as_ptr(),
            text.as_ptr(),
        ))?;
        ffi::PyErr_SetObject(ffi::PyExc_ValueError, whole.as_ptr());
    }
    Err(Raised)
}

/// Silent at first, as in asyncio; the Python half warns when a program goes on sending.
#[cold]
fn sendto_after_loss(this: &Obj, fields: &DatagramFields) -> Result<Owned> {
    let lost = fields.conn_lost.get();
    fields.conn_lost.set(lost.saturating_add(1));
    this.call_method(&names::get().warn_lost, &[&*call::integer(lost.into())?])
}

/// Tries to send one datagram.
fn send_now(this: &Obj, fields: &DatagramFields, data: &Obj, to: &Obj) -> Sent {
    // A transport that has ended owns no socket: what asyncio says about that, the Python half says.
    if fields.event_loop.is_empty() {
        return send_through_socket(this, data, to);
    }
    if fields.connected.get() {
        return send_natively(fields, data, None);
    }
    match target(fields, to) {
        Some(address) => send_natively(fields, data, Some(&address)),
        None => send_through_socket(this, data, to),
    }
}

/// The address behind the program's object, if it can be told without the socket.
fn target(fields: &DatagramFields, to: &Obj) -> Option<Address> {
    if let Some(known) = fields.peers.borrow().address_if_last(to) {
        return Some(known);
    }
    let address = address::from_python(fields.family.get(), to)?;
    let gone = fields.peers.borrow_mut().remember_target(address, to.own());
    drop(gone);
    Some(address)
}

fn send_natively(fields: &DatagramFields, data: &Obj, to: Option<&Address>) -> Sent {
    let fd = fields.fd.get();
    let outcome = with_bytes(data, |bytes| datagram::send(fd, bytes, to));
    match outcome {
        Ok(Ok(())) => Sent::Yes,
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Sent::Later
        }
        Ok(Err(error)) => {
            os_error(&error);
            Sent::Failed
        }
        Err(Raised) => Sent::Failed,
    }
}

/// Calls `body` with the memory of a bytes-like object.
#[inline]
fn with_bytes<R>(data: &Obj, body: impl FnOnce(&[u8]) -> R) -> Result<R> {
    // SAFETY: the type object is a static of the interpreter.
    if data.type_ptr() == &raw mut ffi::PyBytes_Type {
        return Ok(body(crate::transport::outgoing::bytes_of(data)));
    }
    let mut view = ffi::Py_buffer::new();
    // SAFETY: a live object and a place for the view.
    check(unsafe { ffi::PyObject_GetBuffer(data.as_ptr(), &raw mut view, ffi::PyBUF_SIMPLE) })?;
    let bytes = if view.len == 0 {
        &[]
    } else {
        // SAFETY: the view describes `len` bytes until it is released below.
        unsafe { std::slice::from_raw_parts(view.buf.cast::<u8>(), view.len as usize) }
    };
    let outcome = body(bytes);
    // SAFETY: filled above, released once.
    unsafe { ffi::PyBuffer_Release(&raw mut view) };
    Ok(outcome)
}

/// `_send_through_socket(data, addr)`: names are looked up, and wrong addresses refused, by Python's socket.
#[cold]
fn send_through_socket(this: &Obj, data: &Obj, to: &Obj) -> Sent {
    if this
        .call_method(&names::get().send_through_socket, &[data, to])
        .is_ok()
    {
        return Sent::Yes;
    }
    // SAFETY: the exception types exist while the interpreter does.
    if unsafe { current_is(ffi::PyExc_BlockingIOError) || current_is(ffi::PyExc_InterruptedError) } {
        drop(take());
        return Sent::Later;
    }
    Sent::Failed
}

/// An error of the socket is the protocol's, any other ends the endpoint.
///
/// # Errors
/// What `error_received` raises, and what ends the program.
#[cold]
fn failed(this: &Obj, fields: &DatagramFields) -> Result<()> {
    // SAFETY: the exception types exist while the interpreter does.
    if !unsafe { current_is(ffi::PyExc_OSError) } {
        return fatal(this, "Fatal write error on datagram transport");
    }
    let (Some(exception), Some(protocol)) = (take(), fields.protocol.get()) else {
        return Ok(());
    };
    protocol
        .call_method(&names::get().error_received, &[&exception])
        .map(drop)
}

fn watch_writing(this: &Obj, fields: &DatagramFields) -> Result<()> {
    if !fields.watches_writing.replace(true) {
        fields.event_loop()?.watch_writing(fields.fd.get(), this.own())?;
    }
    Ok(())
}

/// Keeps a datagram that the socket has not taken.
fn keep(this: &Obj, fields: &DatagramFields, data: &Obj, to: &Obj) -> Result<()> {
    // SAFETY: a live bytes-like object; of an exact `bytes` object this is itself.
    let data = unsafe { Owned::steal(ffi::PyBytes_FromObject(data.as_ptr()))? };
    let size = size_of_waiting(&data);
    let to = to.own();
    let reserved = fields.outgoing.borrow_mut().try_reserve(1);
    reserved.map_err(|_| memory_error())?;
    fields.outgoing.borrow_mut().push_back(Outgoing { data, to });
    fields.outgoing_size.set(fields.outgoing_size.get() + size);
    pause_protocol_if_full(this, fields)
}

fn size_of_waiting(data: &Obj) -> usize {
    crate::transport::outgoing::bytes_of(data).len() + HEADER_SIZE
}

/// The socket takes datagrams again.
///
/// # Errors
/// Only what ends the program.
pub(super) fn write_ready(this: &Obj, fields: &DatagramFields) -> Result<()> {
    let Some(context) = fields.context.get() else {
        return Ok(());
    };
    match crate::context::run(&context, || send_waiting(this, fields)) {
        Ok(()) => Ok(()),
        // Outside of the context: the exception handler runs in it.
        Err(Raised) => report(this, "_sendto_ready"),
    }
}

fn send_waiting(this: &Obj, fields: &DatagramFields) -> Result<()> {
    loop {
        let next = fields.outgoing.borrow_mut().pop_front();
        let Some(next) = next else { break };
        let size = size_of_waiting(&next.data);
        fields
            .outgoing_size
            .set(fields.outgoing_size.get().saturating_sub(size));
        match send_now(this, fields, &next.data, &next.to) {
            Sent::Yes => {}
            Sent::Later => {
                fields.outgoing_size.set(fields.outgoing_size.get() + size);
                fields.outgoing.borrow_mut().push_front(next);
                break;
            }
            Sent::Failed => return failed(this, fields),
        }
    }
    resume_protocol_if_low(this, fields)?;
    // `resume_writing` may have sent again, or closed.
    if !fields.outgoing.borrow().is_empty() || fields.event_loop.is_empty() {
        return Ok(());
    }
    if fields.watches_writing.replace(false) {
        fields.event_loop()?.unwatch_writing(fields.fd.get())?;
    }
    if fields.closing.get() && fields.conn_lost.get() == 0 {
        this.call_method(&names::get().all_sent, &[])?;
    }
    Ok(())
}

fn pause_protocol_if_full(this: &Obj, fields: &DatagramFields) -> Result<()> {
    if fields.outgoing_size.get() <= fields.high_water.get() || fields.protocol_paused.replace(true) {
        return Ok(());
    }
    let (method, message) = (&names::get().pause_writing, "protocol.pause_writing() failed");
    tell_protocol(this, &fields.protocol, &fields.event_loop, method, message)
}

fn resume_protocol_if_low(this: &Obj, fields: &DatagramFields) -> Result<()> {
    if fields.outgoing_size.get() > fields.low_water.get() || !fields.protocol_paused.replace(false) {
        return Ok(());
    }
    let (method, message) = (&names::get().resume_writing, "protocol.resume_writing() failed");
    tell_protocol(this, &fields.protocol, &fields.event_loop, method, message)
}

/// `_set_limits(high, low)`: both checked by the Python half.
pub(super) fn set_limits(this: &Obj, fields: &DatagramFields, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_set_limits", &["high", "low"], 2)?;
    let size = |given: &Obj| given.as_i64().map(|size| usize::try_from(size).unwrap_or(0));
    fields.high_water.set(size(given[0])?);
    fields.low_water.set(size(given[1])?);
    pause_protocol_if_full(this, fields)?;
    Ok(none())
}

pub(super) fn buffer_size(_: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    call::integer(fields.outgoing_size.get() as i64)
}

/// `_buffer`: the datagrams that wait, as a list of pairs.
pub(super) fn list_outgoing(fields: &DatagramFields) -> Result<Owned> {
    let outgoing = fields.outgoing.borrow();
    let waiting = outgoing
        .iter()
        .map(|waiting| Ok((waiting.data.clone(), waiting.to.clone())));
    let waiting = call::collect(waiting)?;
    drop(outgoing);
    let pairs = waiting.iter().map(|(data, to)| call::tuple(&[data, to]));
    call::list(call::collect(pairs)?)
}
