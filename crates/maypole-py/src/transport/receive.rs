//! One read of a connection, as a `bytes` object.
//!
//! Small data is read into the loop's buffer and copied: its size is not known before. Where the last read was large, the next one
//! goes straight into a new object of about that size, which is cut to what came, and nothing is copied.

use std::cell::Cell;
use std::ffi::c_int;
use std::io::Result as IoResult;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use pyo3::ffi;

use crate::capi::error::memory_error;
use crate::capi::{Owned, Raised, Result, call};
use crate::event_loop::LoopObject;

/// How much one read takes at most, as in asyncio. The loop has one buffer of this size for all its transports.
pub(super) const READ_MAX: usize = 256 * 1024;

/// From this size of the last read on, the next one goes into an object of its own.
const LARGE_MIN: usize = 16 * 1024;

unsafe extern "C" {
    /// In CPython's documented interface; pyo3's declarations lack it.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

/// Where one read comes from.
pub(crate) struct Source<'a> {
    pub(crate) event_loop: &'a LoopObject,
    pub(crate) fd: RawFd,
    /// How much the last read gave, of this source or of its like; what it gives next is put here.
    pub(crate) last_read: &'a Cell<u32>,
    pub(crate) room: Room,
}

/// How much one read may bring.
pub(crate) enum Room {
    /// What it brings: what is left comes with the next.
    Stream,
    /// So many bytes, and there must be room for them: of a datagram, what does not fit is lost.
    Exactly(usize),
}

/// Reads once: the data, or `None` at the end of the stream.
///
/// # Errors
/// The outer result has `MemoryError`, the inner one what the socket answers: to make an exception of that may run the collector,
/// and the loop's buffer is borrowed here.
pub(crate) fn receive(source: &Source<'_>) -> Result<IoResult<Option<Owned>>> {
    let last = source.last_read.get() as usize;
    let received = match source.room {
        Room::Stream if last >= LARGE_MIN => receive_large(source, room_for(last))?,
        Room::Exactly(size) if last >= LARGE_MIN || size > READ_MAX => receive_large(source, size)?,
        Room::Stream => receive_small(source, READ_MAX)?,
        Room::Exactly(size) => receive_small(source, size)?,
    };
    if let Ok(Some((_, size))) = &received {
        source.event_loop.observer.metrics.bytes_read.add(*size as u64);
    }
    Ok(received.map(|received| received.map(|(data, _)| data)))
}

/// Room for as much as last time and a little more: an object that is filled may not have taken all.
const fn room_for(last: usize) -> usize {
    let room = (last + 1).next_multiple_of(LARGE_MIN);
    if room < READ_MAX { room } else { READ_MAX }
}

fn receive_small(source: &Source<'_>, room: usize) -> Result<IoResult<Option<(Owned, usize)>>> {
    let mut buffer = source.event_loop.read_buffer.borrow_mut();
    if buffer.len() < READ_MAX {
        let missing = READ_MAX - buffer.len();
        buffer.try_reserve_exact(missing).map_err(|_| memory_error())?;
        buffer.resize(READ_MAX, 0);
    }
    match maypole_sys::stream::recv(source.fd, &mut buffer[..room]) {
        Ok(0) => Ok(Ok(None)),
        Ok(size) => {
            source.last_read.set(size as u32);
            call::bytes(&buffer[..size]).map(|data| Ok(Some((data, size))))
        }
        Err(error) => Ok(Err(error)),
    }
}

fn receive_large(source: &Source<'_>, room: usize) -> Result<IoResult<Option<(Owned, usize)>>> {
    // SAFETY: the lock is held; what is not filled below is cut off before anybody sees the object.
    let data = unsafe {
        Owned::steal(ffi::PyBytes_FromStringAndSize(
            std::ptr::null(),
            room as ffi::Py_ssize_t,
        ))?
    };
    // SAFETY: the object is new, and its memory, of `room` bytes, is known to nobody else.
    let memory = unsafe {
        std::slice::from_raw_parts_mut(
            ffi::PyBytes_AsString(data.as_ptr()).cast::<MaybeUninit<u8>>(),
            room,
        )
    };
    match maypole_sys::stream::recv_uninit(source.fd, memory) {
        Ok(0) => Ok(Ok(None)),
        Ok(size) => {
            // What filled its object may have been part of something larger.
            let expected = if size == room { size * 2 } else { size };
            source.last_read.set(expected.min(READ_MAX - 1) as u32);
            cut(data, size, room).map(|data| Ok(Some((data, size))))
        }
        Err(error) => Ok(Err(error)),
    }
}

fn cut(data: Owned, size: usize, room: usize) -> Result<Owned> {
    if size == room {
        return Ok(data);
    }
    let mut place = data.into_ptr();
    // SAFETY: the only reference to a new object; the call moves it, or frees it and raises.
    if unsafe { _PyBytes_Resize(&raw mut place, size as ffi::Py_ssize_t) } < 0 {
        return Err(Raised);
    }
    // SAFETY: the object at its new place, with the reference that the old one had.
    unsafe { Owned::steal(place) }
}
