//! Receiving from a socket that the program keeps itself, without waiting.
//!
//! The interpreter's own `sock.recv` makes room for all that was asked for, and an exception when there is nothing yet.

use std::os::fd::RawFd;

use pyo3::ffi;

use super::LoopObject;
use crate::address::exact_integer;
use crate::capi::error::{current_is, os_error, take};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Result, call, names};
use crate::transport::receive::{Room, Source, receive};

/// `_receive_now(sock, n)`: up to `n` bytes, or `None` if there is nothing yet, even of a socket that blocks.
pub(super) fn receive_now(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_receive_now", &["sock", "n"], 2)?;
    let (socket, size) = (given[0], given[1]);
    let wanted = exact_integer(size).and_then(|size| usize::try_from(size).ok());
    let Some(room) = wanted.filter(|size| *size > 0) else {
        return asked_for(socket, size);
    };
    let fd = descriptor_of(socket)?;
    let source = Source {
        event_loop: this,
        fd,
        last_read: &this.last_received,
        room: Room::Exactly(room),
    };
    match receive(&source)? {
        Ok(Some(data)) => Ok(data),
        Ok(None) => call::bytes(&[]),
        Err(error) if is_not_now(&error) => Ok(none()),
        Err(error) => Err(os_error(&error)),
    }
}

/// The number of a socket; -1, which the kernel refuses, of a closed one.
fn descriptor_of(socket: &Obj) -> Result<RawFd> {
    let fd = socket.call_method(&names::get().fileno, &[])?.as_i64()?;
    Ok(RawFd::try_from(fd).unwrap_or(-1))
}

fn is_not_now(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted)
}

/// A size that is none, or asks for nothing: the socket's own answer.
#[cold]
fn asked_for(socket: &Obj, size: &Obj) -> Result<Owned> {
    let answer = socket.get_attr(&*call::text("recv")?)?.call(&[size]);
    // SAFETY: the exception types exist while the interpreter does.
    let not_now = unsafe { [ffi::PyExc_BlockingIOError, ffi::PyExc_InterruptedError] };
    if answer.is_err() && not_now.into_iter().any(current_is) {
        drop(take());
        return Ok(none());
    }
    answer
}
