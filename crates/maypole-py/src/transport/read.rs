//! From the descriptor to the protocol.
//!
//! Source: `asyncio.selector_events._SelectorSocketTransport._read_ready`, whose order of checks and texts this follows.

use std::io::ErrorKind;

use pyo3::ffi;

use super::receive::{READ_MAX, Room, Source, receive};
use super::stream::{READABLE, STARTING, StreamFields, WRITABLE};
use super::write;
use crate::capi::error::{check, current_ends_program, os_error, runtime_error, take};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Raised, Result, call, names};

/// How often one event reads into a protocol's own buffer at most, while that is filled each time.
const READS_PER_EVENT: u32 = 32;

impl StreamFields {
    /// Begins to read, or looks at what the poller reported about the transport, in the connection's context; called by the turn.
    ///
    /// # Errors
    /// Only what ends the program.
    #[inline]
    pub(crate) fn run(&self, transport: &Obj) -> Result<()> {
        let ready = self.ready.replace(0);
        if ready & STARTING != 0 && start(transport, self).is_err() {
            return fatal(transport, "Fatal error on transport");
        }
        if ready & (READABLE | WRITABLE) == 0 {
            return Ok(());
        }
        let Some(context) = self.context.get() else {
            return Ok(());
        };
        crate::context::run(&context, || self.read_and_write(transport, ready))
    }

    #[inline]
    fn read_and_write(&self, transport: &Obj, ready: u8) -> Result<()> {
        if ready & READABLE != 0 && self.may_read() {
            read_ready(transport, self)?;
        }
        if ready & WRITABLE != 0 && self.watches_writing.get() {
            write::write_ready(transport, self)?;
        }
        Ok(())
    }

    fn may_read(&self) -> bool {
        !self.paused.get() && !self.closing.get() && self.conn_lost.get() == 0
    }
}

fn read_ready(transport: &Obj, fields: &StreamFields) -> Result<()> {
    if fields.buffered.get() {
        return read_while_filled(transport, fields);
    }
    let source = |event_loop| Source {
        event_loop,
        fd: fields.fd.get(),
        last_read: &fields.last_read,
        room: Room::Stream,
    };
    let received = match fields
        .event_loop()
        .map(source)
        .and_then(|source| receive(&source))
    {
        Ok(received) => received.map_err(|error| os_error_unless_later(&error)),
        Err(raised) => Err(Later::No(raised)),
    };
    match received {
        Ok(Some(data)) if fields.tls.get() => {
            call_protocol(transport, fields, "buffer_updated", |protocol| {
                super::tls::receive(protocol, &data)
            })
            .map(drop)
        }
        Ok(Some(data)) => call_protocol(transport, fields, "data_received", |protocol| {
            protocol.call_method(&names::get().data_received, &[&data])
        })
        .map(drop),
        Ok(None) => end_of_file(transport, fields),
        Err(Later::Yes) => Ok(()),
        Err(Later::No(Raised)) => fatal(transport, "Fatal read error on socket transport"),
    }
}

/// Whether a failed read is simply to be tried again when the poller says so.
enum Later {
    Yes,
    No(Raised),
}

fn os_error_unless_later(error: &std::io::Error) -> Later {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Later::Yes,
        _ => Later::No(os_error(error)),
    }
}

/// Reads into the protocol's own buffer, and again while that has been filled: the rest is still in the processor's caches now.
///
/// Bounded, so that a peer that sends without end does not keep the others waiting.
fn read_while_filled(transport: &Obj, fields: &StreamFields) -> Result<()> {
    let mut total = 0;
    for _ in 0..READS_PER_EVENT {
        let Some(size) = read_into_buffer(transport, fields)? else {
            return Ok(());
        };
        total += size;
        // The protocol may have paused or closed the transport, or have put another protocol in its place.
        if total >= READ_MAX || !fields.may_read() || !fields.buffered.get() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads straight into the protocol's own buffer.
///
/// Returns the number of bytes when they have filled the buffer: there may be more.
fn read_into_buffer(transport: &Obj, fields: &StreamFields) -> Result<Option<usize>> {
    let buffer = call_protocol(transport, fields, "get_buffer", |protocol| {
        let buffer = protocol.call_method(&names::get().get_buffer, &[&*call::integer(-1)?])?;
        WritableBuffer::new(&buffer)
    })?;
    let Some(mut buffer) = buffer else { return Ok(None) };
    if fields.conn_lost.get() > 0 {
        return Ok(None);
    }
    let memory = buffer.memory();
    let capacity = memory.len();
    let received = maypole_sys::stream::recv(fields.fd.get(), memory);
    drop(buffer);
    if let (Ok(size), Some(event_loop)) = (&received, fields.loop_if_connected()) {
        event_loop.observer.metrics.bytes_read.add(*size as u64);
    }
    match received.map_err(|error| os_error_unless_later(&error)) {
        Ok(0) => end_of_file(transport, fields)?,
        Ok(size) => {
            let told = call_protocol(transport, fields, "buffer_updated", |protocol| {
                protocol.call_method(&names::get().buffer_updated, &[&*call::integer(size as i64)?])
            })?;
            return Ok((told.is_some() && size == capacity).then_some(size));
        }
        Err(Later::Yes) => {}
        Err(Later::No(Raised)) => fatal(transport, "Fatal read error on socket transport")?,
    }
    Ok(None)
}

/// The memory of a protocol's buffer, held for one read.
struct WritableBuffer(ffi::Py_buffer);

impl WritableBuffer {
    fn new(object: &Obj) -> Result<WritableBuffer> {
        let mut view = ffi::Py_buffer::new();
        // SAFETY: a live object and a place for the view; the call raises for what is no writable buffer.
        check(unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, ffi::PyBUF_WRITABLE) })?;
        let view = WritableBuffer(view);
        if view.0.len == 0 {
            return Err(runtime_error("get_buffer() returned an empty buffer"));
        }
        Ok(view)
    }

    fn memory(&mut self) -> &mut [u8] {
        // SAFETY: the view holds `len` writable bytes until it is released, and the exporter may not move them meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.0.buf.cast(), self.0.len as usize) }
    }
}

impl Drop for WritableBuffer {
    fn drop(&mut self) {
        // SAFETY: filled by `new`, released once.
        unsafe { ffi::PyBuffer_Release(&raw mut self.0) };
    }
}

/// The peer sends no more: the protocol decides whether the transport stays open for writing.
fn end_of_file(transport: &Obj, fields: &StreamFields) -> Result<()> {
    let keep_open = call_protocol(transport, fields, "eof_received", |protocol| {
        protocol.call_method(&names::get().eof_received, &[])?.truthy()
    })?;
    match keep_open {
        // The descriptor stays readable at its end: watching it on would be a busy loop.
        Some(true) => fields.event_loop()?.unwatch_reading(fields.fd.get()),
        Some(false) => transport.call_method(&names::get().close, &[]).map(drop),
        None => Ok(()),
    }
}

/// Calls a method of the protocol; its exception ends the connection.
///
/// Returns `None` when it raised.
fn call_protocol<R>(
    transport: &Obj,
    fields: &StreamFields,
    method: &str,
    body: impl FnOnce(&Obj) -> Result<R>,
) -> Result<Option<R>> {
    let Some(protocol) = fields.protocol.get() else {
        return Ok(None);
    };
    match body(&protocol) {
        Ok(value) => Ok(Some(value)),
        Err(Raised) => {
            fatal(
                transport,
                &format!("Fatal error: protocol.{method}() call failed."),
            )?;
            Ok(None)
        }
    }
}

/// `transport._fatal_error(exception, message)` for the current exception, unless that ends the program.
#[cold]
pub(super) fn fatal(transport: &Obj, message: &str) -> Result<()> {
    if current_ends_program() {
        return Err(Raised);
    }
    let Some(exception) = take() else { return Ok(()) };
    transport
        .call_method(&names::get().fatal_error, &[&exception, &*call::text(message)?])
        .map(drop)
}

/// Watches for reading, unless `connection_made` has paused or closed the transport.
fn start(this: &Obj, fields: &StreamFields) -> Result<()> {
    if fields.closing.get() || fields.paused.get() || fields.event_loop.is_empty() {
        return Ok(());
    }
    fields.event_loop()?.watch_reading(fields.fd.get(), this.own())
}

pub(super) fn is_reading(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    Ok(boolean(!fields.closing.get() && !fields.paused.get()))
}

pub(super) fn pause(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    if !fields.closing.get() && !fields.paused.replace(true) {
        fields.event_loop()?.unwatch_reading(fields.fd.get())?;
    }
    Ok(none())
}

pub(super) fn resume(this: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    if !fields.closing.get() && fields.paused.replace(false) {
        fields.event_loop()?.watch_reading(fields.fd.get(), this.own())?;
    }
    Ok(none())
}
