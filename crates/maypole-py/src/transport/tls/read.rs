//! From the stream to the application: bytes go into the engine, and what it decrypts goes on in one call.
//!
//! The engine is not asked once more than needed: with nothing left to decrypt it would raise.

use pyo3::ffi;

use super::names::current_is_again;
use super::write::{do_write, is_due, join, length, process_outgoing, slice};
use super::{State, TlsProtocol};
use crate::capi::call::integer;
use crate::capi::class::Native;
use crate::capi::error::{memory_error, runtime_error};
use crate::capi::object::none;
use crate::capi::{Obj, Owned, Raised, Result, names};

/// The most that one record of TLS holds (RFC 8446, 5.1); one call of the engine decrypts one record.
const RECORD_MAX: usize = 16 * 1024;

/// Fewer encrypted bytes than this are asked for by their number, so that small messages take small memory.
const SMALL: usize = 4 * 1024;

/// Takes encrypted bytes from the stream transport.
///
/// # Errors
/// What asyncio's `buffer_updated` raises: the transport ends the connection.
pub(crate) fn receive(protocol: &Obj, data: &Obj) -> Result<()> {
    let Some(this) = TlsProtocol::downcast(protocol) else {
        return Ok(());
    };
    if let Some(incoming) = this.incoming.get() {
        drop(incoming.call_method(&names::get().write, &[data])?);
    }
    let names = names::get();
    let step = match this.state.get() {
        State::Wrapped => return do_read(this, super::super::outgoing::bytes_of(data).len()),
        State::Handshake => &names.do_handshake,
        State::Flushing => &names.do_flush,
        State::Shutdown => &names.do_shutdown,
        State::Unwrapped => return Ok(()),
    };
    protocol.call_method(step, &[]).map(drop)
}

pub(super) fn do_read_method(this: &TlsProtocol) -> Result<Owned> {
    do_read(this, 0)?;
    Ok(none())
}

/// Decrypts what is there; `came` bytes came just now.
fn do_read(this: &TlsProtocol, came: usize) -> Result<()> {
    if !matches!(this.state.get(), State::Wrapped | State::Flushing) {
        return Ok(());
    }
    read_and_answer(this, came).or_else(|Raised| this.fail())
}

fn read_and_answer(this: &TlsProtocol, came: usize) -> Result<()> {
    if !this.app_reading_paused.get() {
        if this.app_buffered.get() {
            read_into_buffer(this)?;
        } else {
            read_chunks(this, came)?;
        }
        if is_due(this) {
            // The end of the turn encrypts, and sends what the engine has made by itself as well.
        } else if this.backlog_size.get() > 0 {
            do_write(this)?;
        } else {
            process_outgoing(this)?;
        }
    }
    control_ssl_reading(this)
}

/// What one call of the engine gave.
enum Read {
    Data(Owned),
    /// The engine needs more bytes.
    Again,
}

fn read_once(engine: &Obj, args: &[&Obj]) -> Result<Read> {
    match engine.call_method(&names::get().read, args) {
        Ok(data) => Ok(Read::Data(data)),
        Err(Raised) if current_is_again() => {
            // SAFETY: the lock is held; the exception was looked at.
            unsafe { ffi::PyErr_Clear() };
            Ok(Read::Again)
        }
        Err(Raised) => Err(Raised),
    }
}

fn read_chunks(this: &TlsProtocol, came: usize) -> Result<()> {
    let Some(engine) = this.engine.get() else {
        return Ok(());
    };
    let mut chunks = Vec::new();
    let mut first = None;
    let mut closed = false;
    let mut wanted = if (1..SMALL).contains(&came) {
        came
    } else {
        RECORD_MAX
    };
    while let Read::Data(chunk) = read_once(&engine, &[&*integer(wanted as i64)?])? {
        let size = length(&chunk)?;
        if size == 0 {
            closed = true;
            break;
        }
        match first {
            None => first = Some(chunk),
            Some(_) => {
                chunks.try_reserve(1).map_err(|_| memory_error())?;
                chunks.push(chunk);
            }
        }
        // Less than was asked for is the rest of a record.
        if size < wanted && TlsProtocol::pending(&this.incoming)? == 0 {
            break;
        }
        wanted = RECORD_MAX;
    }
    if let Some(first) = first {
        let data = if chunks.is_empty() {
            first
        } else {
            chunks.insert(0, first);
            join(chunks)?
        };
        if let Some(protocol) = this.app_protocol.get() {
            drop(protocol.call_method(&names::get().data_received, &[&data])?);
        }
    }
    if closed { end_of_data(this) } else { Ok(()) }
}

/// Decrypts straight into the protocol's own buffer.
fn read_into_buffer(this: &TlsProtocol) -> Result<()> {
    let (Some(engine), Some(protocol)) = (this.engine.get(), this.app_protocol.get()) else {
        return Ok(());
    };
    let hint = integer(TlsProtocol::pending(&this.incoming)? as i64)?;
    let buffer = protocol.call_method(&names::get().get_buffer, &[&hint])?;
    let filled = fill(this, &engine, &buffer)?;
    drop(buffer);
    if filled.is_full && may_hold_more(this, &engine)? {
        let event_loop = this.as_obj().get_attr(&names::get().loop_field)?;
        let do_read = this.as_obj().get_attr(&names::get().do_read)?;
        drop(event_loop.call_method(&names::get().call_soon, &[&do_read])?);
    }
    if filled.size > 0 {
        let size = integer(filled.size as i64)?;
        drop(protocol.call_method(&names::get().buffer_updated, &[&size])?);
    }
    if filled.closed { end_of_data(this) } else { Ok(()) }
}

struct Filled {
    size: usize,
    is_full: bool,
    closed: bool,
}

fn fill(this: &TlsProtocol, engine: &Obj, buffer: &Obj) -> Result<Filled> {
    // A slice of a `bytearray` would be a copy; one of a view is not.
    // SAFETY: a live object; the call raises for what is no buffer.
    let view = unsafe { Owned::steal(ffi::PyMemoryView_FromObject(buffer.as_ptr()))? };
    let room = length(&view)?;
    if room == 0 {
        return Err(runtime_error("get_buffer() returned an empty buffer"));
    }
    let mut size = 0;
    let mut closed = false;
    while size < room {
        let place = if size == 0 {
            view.clone()
        } else {
            slice(&view, size, room)?
        };
        let Read::Data(count) = read_once(engine, &[&*integer((room - size) as i64)?, &*place])? else {
            break;
        };
        let count = usize::try_from(count.as_i64()?).unwrap_or(0);
        if count == 0 {
            closed = true;
            break;
        }
        size += count;
        if size < room && TlsProtocol::pending(&this.incoming)? == 0 {
            break;
        }
    }
    let is_full = size >= room;
    Ok(Filled {
        size,
        is_full,
        closed,
    })
}

fn may_hold_more(this: &TlsProtocol, engine: &Obj) -> Result<bool> {
    if TlsProtocol::pending(&this.incoming)? > 0 {
        return Ok(true);
    }
    Ok(engine.call_method(&names::get().pending, &[])?.as_i64()? > 0)
}

/// The peer has sent its close_notify.
fn end_of_data(this: &TlsProtocol) -> Result<()> {
    let names = names::get();
    drop(this.as_obj().call_method(&names.call_eof_received, &[])?);
    this.as_obj().call_method(&names.start_shutdown, &[]).map(drop)
}

/// Pauses the transport beneath while too much waits for the engine.
fn control_ssl_reading(this: &TlsProtocol) -> Result<()> {
    let waiting = TlsProtocol::pending(&this.incoming)?;
    let paused = this.ssl_reading_paused.get();
    let names = names::get();
    let method = if waiting >= this.incoming_high_water.get() && !paused {
        &names.pause_reading
    } else if waiting <= this.incoming_low_water.get() && paused {
        &names.resume_reading
    } else {
        return Ok(());
    };
    this.ssl_reading_paused.set(!paused);
    match this.transport.get().filter(|transport| !transport.is_none()) {
        Some(transport) => transport.call_method(method, &[]).map(drop),
        None => Ok(()),
    }
}
