//! From the protocol to the descriptor: what a turn writes is collected and sent with one system call.
//!
//! asyncio sends at once and keeps what the socket does not take. Here `write` only collects; the loop sends at the end of the
//! turn, or `write` itself does as soon as more is waiting than the high-water mark allows. Whoever looks at the buffer
//! (`get_write_buffer_size`, `close`, `write_eof`, water marks) sees what asyncio would show: it is sent first.
//!
//! Source: <https://docs.python.org/3/library/asyncio-protocol.html#write-only-transports>

use std::io::ErrorKind;

use pyo3::ffi;

use super::read::fatal;
use super::stream::StreamFields;
use super::{life, tls};
use crate::asyncio;
use crate::capi::error::{
    check, current_ends_program, memory_error, os_error, runtime_error, take, type_error,
};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Field, Obj, Owned, Raised, Result, call, last_calls, names};

/// With more bytes waiting, `write` sends without waiting for the end of the turn: what is large would have left the processor's
/// caches by then.
const SEND_AT_ONCE: usize = 8 * 1024;

pub(super) fn write(this: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let chunk = chunk_of(args.single("write", "data")?, "data argument")?;
    check_writable(fields, "write")?;
    collect(this, fields, chunk)?;
    Ok(none())
}

pub(super) fn writelines(this: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let list_of_data = args.single("writelines", "list_of_data")?;
    // Before Python 3.12 asyncio joins the lines and calls `write`.
    check_writable(fields, if cfg!(Py_3_12) { "writelines" } else { "write" })?;
    // SAFETY: a live object; the call raises for what cannot be iterated.
    let iterator = unsafe { Owned::steal(ffi::PyObject_GetIter(list_of_data.as_ptr()))? };
    let mut chunks = Vec::new();
    // SAFETY: an iterator; null means its end, or an error.
    while let Some(item) = unsafe { Owned::steal_opt(last_calls::PyIter_Next(iterator.as_ptr())) } {
        chunks.try_reserve(1).map_err(|_| memory_error())?;
        chunks.push(chunk_of(&item, "an item of the list")?);
    }
    // SAFETY: reading the indicator needs only the lock.
    if !unsafe { ffi::PyErr_Occurred() }.is_null() {
        return Err(Raised);
    }
    for chunk in chunks {
        collect(this, fields, chunk)?;
    }
    Ok(none())
}

/// The data as an exact `bytes` object: itself, or a copy, because its owner may change it after the call.
#[inline]
pub(super) fn chunk_of(data: &Obj, what: &str) -> Result<Owned> {
    // SAFETY: the type object is a static of the interpreter.
    if data.type_ptr() == &raw mut ffi::PyBytes_Type {
        return Ok(data.own());
    }
    copy_of(data, what)
}

#[cold]
fn copy_of(data: &Obj, what: &str) -> Result<Owned> {
    // SAFETY: live objects and static type objects.
    let known = unsafe {
        ffi::PyBytes_Check(data.as_ptr()) != 0
            || ffi::PyByteArray_Check(data.as_ptr()) != 0
            || ffi::PyMemoryView_Check(data.as_ptr()) != 0
    };
    if !known {
        // SAFETY: the type of a live object has a name.
        let name = unsafe { std::ffi::CStr::from_ptr((*data.type_ptr()).tp_name) }.to_string_lossy();
        let name = name.rsplit('.').next().unwrap_or_default();
        return Err(type_error(&format!(
            "{what} must be a bytes-like object, not '{name}'"
        )));
    }
    let mut view = ffi::Py_buffer::new();
    // SAFETY: a live object and a place for the view. A view that is not contiguous is made so by the copy below.
    check(unsafe { ffi::PyObject_GetBuffer(data.as_ptr(), &raw mut view, ffi::PyBUF_FULL_RO) })?;
    // SAFETY: the lock is held; the memory of the new object is filled at once.
    let copy = unsafe { Owned::steal(ffi::PyBytes_FromStringAndSize(std::ptr::null(), view.len)) };
    let copied = copy.and_then(|copy| {
        // SAFETY: the new object has `len` bytes, and the view describes as many.
        let status = unsafe {
            ffi::PyBuffer_ToContiguous(
                ffi::PyBytes_AsString(copy.as_ptr()).cast(),
                &raw mut view,
                view.len,
                b'C' as _,
            )
        };
        check(status).map(|()| copy)
    });
    // SAFETY: filled above, released once.
    unsafe { ffi::PyBuffer_Release(&raw mut view) };
    copied
}

fn check_writable(fields: &StreamFields, method: &str) -> Result<()> {
    if fields.eof.get() {
        return Err(runtime_error(&format!(
            "Cannot call {method}() after write_eof()"
        )));
    }
    if !fields.empty_waiter.is_empty() {
        return Err(runtime_error(&format!(
            "unable to {method}; sendfile is in progress"
        )));
    }
    Ok(())
}

#[inline]
fn collect(this: &Obj, fields: &StreamFields, chunk: Owned) -> Result<()> {
    if super::outgoing::bytes_of(&chunk).is_empty() {
        return Ok(());
    }
    if fields.conn_lost.get() > 0 {
        return write_after_loss(this, fields);
    }
    let pushed = fields.outgoing.borrow_mut().push(chunk);
    if pushed.is_err() {
        return Err(memory_error());
    }
    let size = fields.outgoing.borrow().size();
    if size > SEND_AT_ONCE.min(fields.high_water.get()) {
        // With a writer registered the socket is known to be full.
        if !fields.watches_writing.get() {
            flush(this, fields)?;
        }
        return pause_protocol_if_full(this, fields);
    }
    if fields.watches_writing.get() {
        return Ok(());
    }
    flush_at_turn_end(this, fields)
}

/// As `write`, for exact `bytes` that TLS has made.
pub(super) fn write_chunk(this: &Obj, fields: &StreamFields, chunk: Owned) -> Result<()> {
    check_writable(fields, "write")?;
    collect(this, fields, chunk)
}

/// Whether the end of a turn can be used by `protocol` to write.
pub(super) fn flushes_for(fields: &StreamFields, protocol: &Obj) -> bool {
    fields.tls.get()
        && fields.protocol.peek().is_some_and(|own| own.is(protocol))
        && fields.conn_lost.get() == 0
        && !fields.event_loop.is_empty()
}

/// Has [`StreamFields::flush_turn`] called at the end of the turn.
pub(super) fn flush_at_turn_end(this: &Obj, fields: &StreamFields) -> Result<()> {
    if !fields.must_flush.replace(true) {
        fields.event_loop()?.flush_later(this.own());
    }
    Ok(())
}

/// Silent at first, as in asyncio; the Python half warns when a program goes on writing.
#[cold]
fn write_after_loss(this: &Obj, fields: &StreamFields) -> Result<()> {
    let lost = fields.conn_lost.get();
    fields.conn_lost.set(lost.saturating_add(1));
    this.call_method(&names::get().warn_lost, &[&*call::integer(lost.into())?])
        .map(drop)
}

/// Sends what the socket takes; an error ends the connection.
///
/// # Errors
/// Only what ends the program.
pub(super) fn flush(this: &Obj, fields: &StreamFields) -> Result<()> {
    fields.must_flush.set(false);
    if fields.conn_lost.get() > 0 {
        return Ok(());
    }
    while !fields.outgoing.borrow().is_empty() {
        let sent = fields
            .outgoing
            .borrow()
            .with_slices(|slices| maypole_sys::stream::send(fields.fd.get(), slices));
        match sent {
            Ok(size) => {
                if let Some(event_loop) = fields.loop_if_connected() {
                    event_loop.observer.metrics.bytes_written.add(size as u64);
                }
                let done = fields.outgoing.borrow_mut().advance(size);
                drop(done);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return watch_writing(this, fields),
            Err(error) => {
                os_error(&error);
                let chunks = fields.outgoing.borrow_mut().clear();
                drop(chunks);
                return fatal(this, "Fatal write error on socket transport");
            }
        }
    }
    Ok(())
}

fn watch_writing(this: &Obj, fields: &StreamFields) -> Result<()> {
    if !fields.watches_writing.replace(true) {
        fields.event_loop()?.watch_writing(fields.fd.get(), this.own())?;
    }
    Ok(())
}

/// The socket takes bytes again.
pub(super) fn write_ready(this: &Obj, fields: &StreamFields) -> Result<()> {
    flush(this, fields)?;
    if fields.conn_lost.get() > 0 || fields.event_loop.is_empty() {
        return Ok(());
    }
    resume_protocol_if_low(this, fields)?;
    if !fields.outgoing.borrow().is_empty() || fields.event_loop.is_empty() {
        return Ok(());
    }
    if fields.watches_writing.replace(false) {
        fields.event_loop()?.unwatch_writing(fields.fd.get())?;
    }
    all_sent(this, fields)
}

/// Goes on after the last waiting byte.
fn all_sent(this: &Obj, fields: &StreamFields) -> Result<()> {
    let names = names::get();
    if let Some(waiter) = fields.empty_waiter.get() {
        drop(this.call_method(&names.tell_empty_waiter, &[&waiter])?);
    }
    if fields.closing.get() {
        return life::lose_now(this, fields);
    }
    if fields.eof.get() {
        return this.call_method(&names.shut_down, &[]).map(drop);
    }
    Ok(())
}

fn pause_protocol_if_full(this: &Obj, fields: &StreamFields) -> Result<()> {
    if fields.outgoing.borrow().size() <= fields.high_water.get() || fields.protocol_paused.replace(true) {
        return Ok(());
    }
    tell_protocol(
        this,
        &fields.protocol,
        &fields.event_loop,
        &names::get().pause_writing,
        "protocol.pause_writing() failed",
    )
}

fn resume_protocol_if_low(this: &Obj, fields: &StreamFields) -> Result<()> {
    if fields.outgoing.borrow().size() > fields.low_water.get() || !fields.protocol_paused.replace(false) {
        return Ok(());
    }
    tell_protocol(
        this,
        &fields.protocol,
        &fields.event_loop,
        &names::get().resume_writing,
        "protocol.resume_writing() failed",
    )
}

/// Calls a flow-control method of the protocol; its exception goes to the exception handler, the connection stays.
pub(super) fn tell_protocol(
    this: &Obj,
    protocol: &Field,
    event_loop: &Field,
    method: &Obj,
    message: &str,
) -> Result<()> {
    let Some(protocol) = protocol.get() else {
        return Ok(());
    };
    if protocol.call_method(method, &[]).is_ok() {
        return Ok(());
    }
    if current_ends_program() {
        return Err(Raised);
    }
    let (Some(exception), Some(event_loop)) = (take(), event_loop.get()) else {
        return Ok(());
    };
    let message = call::text(message)?;
    let entries = [
        ("message", Some(&*message)),
        ("exception", Some(&*exception)),
        ("transport", Some(this)),
        ("protocol", Some(&*protocol)),
    ];
    asyncio::call_exception_handler(&event_loop, &entries)
}

/// `_set_limits(high, low)`: both checked by the Python half.
pub(super) fn set_limits(this: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_set_limits", &["high", "low"], 2)?;
    let size = |given: &Obj| given.as_i64().map(|size| usize::try_from(size).unwrap_or(0));
    fields.high_water.set(size(given[0])?);
    fields.low_water.set(size(given[1])?);
    flush_unless_watched(this, fields)?;
    pause_protocol_if_full(this, fields)?;
    Ok(none())
}

/// Sends what can be sent; with a writer registered the socket is known to be full.
pub(super) fn flush_unless_watched(this: &Obj, fields: &StreamFields) -> Result<()> {
    if fields.watches_writing.get() || fields.event_loop.is_empty() {
        Ok(())
    } else {
        flush(this, fields)
    }
}

/// `_flush()`: the bytes that wait after sending what can be sent.
pub(super) fn flush_now(this: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    flush_unless_watched(this, fields)?;
    call::integer(fields.outgoing.borrow().size() as i64)
}

pub(super) fn mark_eof(this: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    fields.eof.set(true);
    flush_unless_watched(this, fields)?;
    Ok(boolean(fields.outgoing.borrow().is_empty()))
}

pub(super) fn set_empty_waiter(_: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_set_empty_waiter", &["waiter"], 1)?;
    let waiter = if given[0].is_none() {
        None
    } else {
        Some(given[0].own())
    };
    drop(fields.empty_waiter.replace(waiter));
    Ok(none())
}

/// `_buffer`: the chunks that wait, as a list.
pub(super) fn list_chunks(fields: &StreamFields) -> Result<Owned> {
    let chunks = call::collect(fields.outgoing.borrow().iter().cloned().map(Ok))?;
    call::list(chunks)
}

impl StreamFields {
    /// Sends what the turn has written, in the connection's context; called by the loop at the end of the turn.
    ///
    /// # Errors
    /// Only what ends the program.
    pub(crate) fn flush_turn(&self, transport: &Obj) -> Result<()> {
        if !self.must_flush.get() || self.event_loop.is_empty() {
            return Ok(());
        }
        let Some(context) = self.context.get() else {
            return Ok(());
        };
        crate::context::run(&context, || self.encrypt_and_flush(transport))
    }

    fn encrypt_and_flush(&self, transport: &Obj) -> Result<()> {
        if self.tls.get()
            && let Some(protocol) = self.protocol.get()
        {
            // What it writes is collected while `must_flush` is still set, and sent below.
            tls::encrypt_turn(&protocol)?;
            if self.watches_writing.get() || self.event_loop.is_empty() {
                self.must_flush.set(false);
                return Ok(());
            }
        }
        flush(transport, self)?;
        pause_protocol_if_full(transport, self)
    }
}
