//! From the application to the stream: what a turn writes is collected, encrypted with one call and given on with one more.
//!
//! asyncio encrypts each `write` at once. Here the stream transport beneath asks for it at the end of the turn, or `write` itself
//! does as soon as more is waiting than may be, or when the transport beneath is not ours. Whoever looks (`get_write_buffer_size`,
//! water marks, a change of state) has it done first.

use pyo3::ffi;

use super::super::outgoing::bytes_of;
use super::super::stream::StreamFields;
use super::super::write as stream_write;
use super::names::current_is_again;
use super::{State, TlsProtocol};
use crate::capi::class::Native;
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Raised, Result, call, last_calls, names};

/// So many bytes are encrypted without waiting for the end of the turn.
const ENCRYPT_AT_ONCE: usize = 64 * 1024;

/// Chunks are copied together up to this size, so that small ones share a record of TLS.
const JOINED_MAX: usize = 64 * 1024;

/// What asyncio takes in `write`.
pub(super) fn is_bytes_like(data: &Obj) -> bool {
    // SAFETY: a live object and static type objects.
    unsafe {
        ffi::PyBytes_Check(data.as_ptr()) != 0
            || ffi::PyByteArray_Check(data.as_ptr()) != 0
            || ffi::PyMemoryView_Check(data.as_ptr()) != 0
    }
}

fn is_exact_bytes(data: &Obj) -> bool {
    // SAFETY: the type object is a static of the interpreter.
    data.type_ptr() == &raw mut ffi::PyBytes_Type
}

/// `len(object)`.
pub(super) fn length(object: &Obj) -> Result<usize> {
    // SAFETY: a live object; -1 says that it raised.
    usize::try_from(unsafe { ffi::PyObject_Size(object.as_ptr()) }).map_err(|_| Raised)
}

/// One `bytes` object of several. An engine of the program's own may give anything: Python joins what is no `bytes`.
pub(super) fn join(chunks: Vec<Owned>) -> Result<Owned> {
    if chunks.iter().all(|chunk| is_exact_bytes(chunk)) {
        return join_bytes(&chunks);
    }
    let join = call::bytes(b"")?.get_attr(&*call::interned("join")?)?;
    join.call(&[&*call::list(chunks)?])
}

fn join_bytes(chunks: &[Owned]) -> Result<Owned> {
    let size: usize = chunks.iter().map(|chunk| bytes_of(chunk).len()).sum();
    // SAFETY: the lock is held; the memory of the new object is filled at once.
    let joined = unsafe {
        Owned::steal(ffi::PyBytes_FromStringAndSize(
            std::ptr::null(),
            size as ffi::Py_ssize_t,
        ))?
    };
    // SAFETY: a new `bytes` object of this size that nobody else has seen.
    let mut place = unsafe { ffi::PyBytes_AsString(joined.as_ptr()).cast::<u8>() };
    for chunk in chunks {
        let bytes = bytes_of(chunk);
        // SAFETY: the sizes of all chunks add up to that of the new object, which overlaps none of them.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        // SAFETY: at most one past the end.
        place = unsafe { place.add(bytes.len()) };
    }
    Ok(joined)
}

/// `_write_appdata(list_of_data)` for one piece of data.
pub(super) fn write_one(this: &TlsProtocol, data: &Obj) -> Result<()> {
    if !takes_data(this) {
        return after_close(this);
    }
    let plain = append(this, data)?;
    encrypt_soon(this, plain)
}

/// `_write_appdata(list_of_data)` for anything that can be iterated.
pub(super) fn write_many(this: &TlsProtocol, list_of_data: &Obj) -> Result<()> {
    if !takes_data(this) {
        return after_close(this);
    }
    let mut plain = true;
    // SAFETY: a live object; the call raises for what cannot be iterated.
    let iterator = unsafe { Owned::steal(ffi::PyObject_GetIter(list_of_data.as_ptr()))? };
    // SAFETY: an iterator; null means its end, or an error.
    while let Some(data) = unsafe { Owned::steal_opt(last_calls::PyIter_Next(iterator.as_ptr())) } {
        plain &= append(this, &data)?;
    }
    // SAFETY: reading the indicator needs only the lock.
    if !unsafe { ffi::PyErr_Occurred() }.is_null() {
        return Err(Raised);
    }
    encrypt_soon(this, plain)
}

fn takes_data(this: &TlsProtocol) -> bool {
    matches!(this.state.get(), State::Handshake | State::Wrapped)
}

#[cold]
fn after_close(this: &TlsProtocol) -> Result<()> {
    this.as_obj()
        .call_method(&names::get().write_after_close, &[])
        .map(drop)
}

/// Puts data into the backlog; returns whether it is of a type that can wait.
///
/// Its owner may change a `bytearray` after the call, so that is copied.
fn append(this: &TlsProtocol, data: &Obj) -> Result<bool> {
    let plain = is_bytes_like(data);
    let chunk = if plain {
        stream_write::chunk_of(data, "data")?
    } else {
        data.own()
    };
    let size = length(&chunk)?;
    if size > 0
        && let Some(backlog) = this.backlog.get()
    {
        drop(backlog.call_method(&names::get().append, &[&chunk])?);
        this.backlog_size.set(this.backlog_size.get() + size);
    }
    Ok(plain)
}

/// Encrypts the backlog at the end of the turn, or now.
fn encrypt_soon(this: &TlsProtocol, can_wait: bool) -> Result<()> {
    let size = this.backlog_size.get();
    if size == 0 {
        return Ok(());
    }
    if can_wait && size < ENCRYPT_AT_ONCE.min(this.outgoing_high_water.get()) {
        let transport = this.transport.get();
        if this.state.get() == State::Wrapped
            && let Some(transport) = &transport
            && let Some(stream) = StreamFields::downcast(transport)
            && stream_write::flushes_for(stream, this.as_obj())
        {
            return stream_write::flush_at_turn_end(transport, stream);
        }
    }
    encrypt(this)
}

/// Whether [`encrypt_turn`] will find something to do at the end of this turn.
pub(super) fn is_due(this: &TlsProtocol) -> bool {
    let stream = this.transport.peek().and_then(StreamFields::downcast);
    this.state.get() == State::Wrapped
        && this.backlog_size.get() > 0
        && stream
            .is_some_and(|stream| stream.must_flush.get() && stream_write::flushes_for(stream, this.as_obj()))
}

/// Encrypts what a turn wrote; called by the stream transport before it sends.
///
/// # Errors
/// Only what ends the program.
pub(crate) fn encrypt_turn(protocol: &Obj) -> Result<()> {
    TlsProtocol::downcast(protocol).map_or(Ok(()), encrypt)
}

/// Encrypts the backlog if the connection is in its data phase; an error ends the connection.
fn encrypt(this: &TlsProtocol) -> Result<()> {
    if this.state.get() != State::Wrapped || this.backlog_size.get() == 0 || this.encrypting.replace(true) {
        return Ok(());
    }
    let outcome = encrypt_all(this).or_else(|Raised| this.fail());
    this.encrypting.set(false);
    outcome
}

/// As [`encrypt`] in any state, and an error is the caller's.
pub(super) fn do_write(this: &TlsProtocol) -> Result<()> {
    if this.encrypting.replace(true) {
        return Ok(());
    }
    let outcome = encrypt_all(this);
    this.encrypting.set(false);
    outcome
}

fn encrypt_all(this: &TlsProtocol) -> Result<()> {
    loop {
        let engine_took_all = encrypt_backlog(this)?;
        process_outgoing(this)?;
        // `resume_writing` may have written again.
        if !engine_took_all || this.backlog_size.get() == 0 {
            return Ok(());
        }
    }
}

/// Gives the backlog to the engine; false when the engine first needs bytes from the peer.
fn encrypt_backlog(this: &TlsProtocol) -> Result<bool> {
    let (Some(backlog), Some(engine)) = (this.backlog.get(), this.engine.get()) else {
        return Ok(false);
    };
    while let Some(chunk) = take_joined(&backlog)? {
        let size = length(&chunk)?;
        let taken = match engine.call_method(&names::get().write, &[&chunk]) {
            Ok(taken) => usize::try_from(taken.as_i64()?).unwrap_or(0).min(size),
            Err(Raised) if current_is_again() => {
                // SAFETY: the lock is held; the exception was looked at.
                unsafe { ffi::PyErr_Clear() };
                drop(backlog.call_method(&names::get().append_left, &[&chunk])?);
                return Ok(false);
            }
            Err(Raised) => return Err(Raised),
        };
        this.backlog_size
            .set(this.backlog_size.get().saturating_sub(taken));
        if taken < size {
            let rest = slice(&chunk, taken, size)?;
            drop(backlog.call_method(&names::get().append_left, &[&rest])?);
        }
    }
    // After an error, or when the backlog was cleared, the count was left behind.
    this.backlog_size.set(0);
    Ok(true)
}

/// `object[from:to]`.
pub(super) fn slice(object: &Obj, from: usize, to: usize) -> Result<Owned> {
    // SAFETY: a live object; the call raises for what is no sequence.
    unsafe {
        Owned::steal(ffi::PySequence_GetSlice(
            object.as_ptr(),
            from as ffi::Py_ssize_t,
            to as ffi::Py_ssize_t,
        ))
    }
}

/// Takes the first chunks of the backlog, as one.
fn take_joined(backlog: &Obj) -> Result<Option<Owned>> {
    let count = length(backlog)?;
    if count == 0 {
        return Ok(None);
    }
    let pop = || backlog.call_method(&names::get().pop_left, &[]);
    let first = pop()?;
    if count == 1 || !is_exact_bytes(&first) {
        return Ok(Some(first));
    }
    let mut size = bytes_of(&first).len();
    let mut chunks = vec![first];
    while chunks.len() < count {
        let next = pop()?;
        if !is_exact_bytes(&next) || size + bytes_of(&next).len() > JOINED_MAX {
            drop(backlog.call_method(&names::get().append_left, &[&next])?);
            break;
        }
        size += bytes_of(&next).len();
        chunks.push(next);
    }
    if chunks.len() == 1 {
        return Ok(chunks.pop());
    }
    join_bytes(&chunks).map(Some)
}

/// Gives what the engine has made to the transport beneath, unless that is full.
pub(super) fn process_outgoing(this: &TlsProtocol) -> Result<()> {
    if !this.ssl_writing_paused.get()
        && let Some(outgoing) = this.outgoing.get()
    {
        let data = outgoing.call_method(&names::get().read, &[])?;
        if length(&data)? > 0 {
            send(this, data)?;
        }
    }
    control_app_writing(this)
}

fn send(this: &TlsProtocol, data: Owned) -> Result<()> {
    let Some(transport) = this.transport.get().filter(|transport| !transport.is_none()) else {
        return Ok(());
    };
    match StreamFields::downcast(&transport) {
        Some(stream) if is_exact_bytes(&data) => stream_write::write_chunk(&transport, stream, data),
        _ => transport.call_method(&names::get().write, &[&data]).map(drop),
    }
}

/// Looks whether the application must pause or may go on; asyncio's code tells it.
fn control_app_writing(this: &TlsProtocol) -> Result<()> {
    let mut waiting = this.backlog_size.get();
    if this.ssl_writing_paused.get() {
        waiting += TlsProtocol::pending(&this.outgoing)?;
    }
    let crossed = if this.app_writing_paused.get() {
        waiting <= this.outgoing_low_water.get()
    } else {
        waiting >= this.outgoing_high_water.get()
    };
    if crossed {
        drop(
            this.as_obj()
                .call_method(&names::get().control_app_writing, &[])?,
        );
    }
    Ok(())
}

pub(super) fn write_appdata_method(this: &TlsProtocol, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_write_appdata", &["list_of_data"], 1)?;
    write_many(this, given[0])?;
    Ok(none())
}

pub(super) fn do_write_method(this: &TlsProtocol) -> Result<Owned> {
    do_write(this)?;
    Ok(none())
}

pub(super) fn encrypt_method(this: &TlsProtocol) -> Result<Owned> {
    encrypt(this)?;
    Ok(none())
}

pub(super) fn process_outgoing_method(this: &TlsProtocol) -> Result<Owned> {
    process_outgoing(this)?;
    Ok(none())
}
