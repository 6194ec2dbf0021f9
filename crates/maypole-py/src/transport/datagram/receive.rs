//! From the socket to the protocol.
//!
//! Source: `asyncio.selector_events._SelectorDatagramTransport._read_ready`. It takes one datagram an event; this takes some, and
//! shows the protocol the same.

use std::io::ErrorKind;

use maypole_sys::datagram::{self, Address, DATAGRAMS_MAX, Received};
use pyo3::ffi;

use super::{DatagramFields, Incoming, report};
use crate::address;
use crate::asyncio;
use crate::capi::error::{os_error, take};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Raised, Result, names};
use crate::transport::READABLE;
use crate::transport::read::fatal;

/// How many datagrams one event delivers at most, so that a flooded socket leaves the others their turn.
const DATAGRAMS_PER_EVENT: usize = 16;
/// The longest datagram that is received whole, asyncio's limit. A Unix socket may send as much.
const DATAGRAM_MAX: usize = 256 * 1024;
/// IP knows no longer datagram than 64 KiB, so several fit where one of the longest would.
const IP_PART: usize = DATAGRAM_MAX / DATAGRAMS_MAX;
const _: () = assert!(IP_PART >= 64 * 1024);

/// A batch from the socket: at most this many.
type Batch = [Option<Owned>; DATAGRAMS_MAX];

pub(super) fn read_ready(transport: &Obj, fields: &DatagramFields) -> Result<()> {
    let mut delivered = 0;
    loop {
        delivered += deliver(transport, fields)?;
        if delivered >= DATAGRAMS_PER_EVENT || !fields.is_receiving() {
            return Ok(());
        }
        match receive(fields) {
            Ok(Taken::Last) => return deliver(transport, fields).map(drop),
            Ok(Taken::PerhapsMore) => {}
            Err(Failed::Later) => return Ok(()),
            Err(Failed::Os(error)) => return error_received(transport, fields, &error),
            Err(Failed::Raised) => return fatal(transport, "Fatal read error on datagram transport"),
        }
    }
}

enum Taken {
    /// The socket had no more.
    Last,
    PerhapsMore,
}

enum Failed {
    /// There is nothing; the poller will say when.
    Later,
    Os(std::io::Error),
    Raised,
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Failed::Later,
            _ => Failed::Os(error),
        }
    }
}

impl From<Raised> for Failed {
    fn from(_: Raised) -> Failed {
        Failed::Raised
    }
}

/// Takes datagrams from the socket into `incoming`.
fn receive(fields: &DatagramFields) -> std::result::Result<Taken, Failed> {
    let mut places = [Received::none(); DATAGRAMS_MAX];
    let mut batch: Batch = [const { None }; DATAGRAMS_MAX];
    let count = take_batch(fields, &mut places, &mut batch)?;
    // Only now, when the buffer is not borrowed: making a tuple may run the collector.
    for (received, data) in places.iter().zip(&mut batch).take(count) {
        let Some(data) = data.take() else { continue };
        let from = sender(fields, &received.from)?;
        let place = fields.peers.borrow().last();
        let incoming = Incoming { data, from, place };
        fields.incoming.borrow_mut().push_back(incoming);
    }
    let whole = fields.family.get() != libc::AF_UNIX && count == DATAGRAMS_MAX;
    Ok(if whole { Taken::PerhapsMore } else { Taken::Last })
}

fn take_batch(
    fields: &DatagramFields,
    places: &mut [Received; DATAGRAMS_MAX],
    batch: &mut Batch,
) -> std::result::Result<usize, Failed> {
    let fd = fields.fd.get();
    let mut buffer = fields.event_loop()?.read_buffer.borrow_mut();
    if buffer.len() < DATAGRAM_MAX {
        buffer.resize(DATAGRAM_MAX, 0);
    }
    let count = if fields.family.get() == libc::AF_UNIX {
        places[0] = datagram::recv_one(fd, &mut buffer)?;
        1
    } else {
        datagram::recv_many(fd, &mut buffer[..DATAGRAM_MAX], places)?
    };
    for (place, received) in places[..count].iter().enumerate() {
        let data = &buffer[place * IP_PART..][..received.size];
        let size = data.len() as ffi::Py_ssize_t;
        // SAFETY: pointer and size describe the slice.
        let data = unsafe { Owned::steal(ffi::PyBytes_FromStringAndSize(data.as_ptr().cast(), size))? };
        batch[place] = Some(data);
    }
    Ok(count)
}

/// The object of a sender's address.
fn sender(fields: &DatagramFields, from: &Address) -> Result<Owned> {
    if from.bytes().is_empty() {
        return Ok(none());
    }
    if let Some(known) = fields.peers.borrow_mut().object(from) {
        return Ok(known);
    }
    let made = address::to_python(from)?;
    let gone = fields.peers.borrow_mut().remember(*from, made.clone());
    drop(gone);
    Ok(made)
}

/// Hands what was taken to the protocol, as long as it does not pause or close; returns how many that were.
fn deliver(transport: &Obj, fields: &DatagramFields) -> Result<usize> {
    let mut delivered = 0;
    while fields.is_receiving() && !fields.incoming.borrow().is_empty() {
        let Some(context) = fields.context.get() else {
            break;
        };
        if asyncio::run_in_context(&context, || deliver_each(fields, &mut delivered)).is_ok() {
            continue;
        }
        // Outside of the context: the exception handler runs in it.
        if report(transport, "_read_ready").is_err() {
            deliver_later(transport, fields)?;
            return Err(Raised);
        }
    }
    Ok(delivered)
}

fn deliver_each(fields: &DatagramFields, delivered: &mut usize) -> Result<()> {
    while fields.is_receiving() {
        let next = fields.incoming.borrow_mut().pop_front();
        let (Some(next), Some(protocol)) = (next, fields.protocol.get()) else {
            break;
        };
        *delivered += 1;
        fields.peers.borrow_mut().name(next.place);
        protocol.call_method(&names::get().datagram_received, &[&next.data, &next.from])?;
    }
    Ok(())
}

/// Queues the transport, if datagrams wait for the protocol: no event will tell of them. Keeps the current exception.
fn deliver_later(transport: &Obj, fields: &DatagramFields) -> Result<()> {
    if fields.incoming.borrow().is_empty() || !fields.is_receiving() {
        return Ok(());
    }
    let ready = fields.ready.get();
    fields.ready.set(ready | READABLE);
    if ready == 0 {
        fields.event_loop()?.enqueue(transport.own());
    }
    Ok(())
}

fn error_received(transport: &Obj, fields: &DatagramFields, error: &std::io::Error) -> Result<()> {
    os_error(error);
    let (Some(exception), Some(protocol), Some(context)) =
        (take(), fields.protocol.get(), fields.context.get())
    else {
        return Ok(());
    };
    let called = asyncio::run_in_context(&context, || {
        protocol.call_method(&names::get().error_received, &[&exception])
    });
    match called {
        Ok(_) => Ok(()),
        Err(Raised) => report(transport, "_read_ready"),
    }
}

/// `_start_reading()`: after `connection_made`, unless that paused or closed the transport.
pub(super) fn start(this: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    if fields.is_receiving() && !fields.event_loop.is_empty() {
        fields.event_loop()?.watch_reading(fields.fd.get(), this.own())?;
    }
    Ok(none())
}

pub(super) fn is_reading(_: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    Ok(boolean(!fields.closing.get() && !fields.paused.get()))
}

pub(super) fn pause(_: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    let changes = !fields.closing.get() && !fields.paused.replace(true);
    if changes {
        fields.event_loop()?.unwatch_reading(fields.fd.get())?;
    }
    Ok(boolean(changes))
}

pub(super) fn resume(this: &Obj, fields: &DatagramFields, _: Args<'_>) -> Result<Owned> {
    let changes = !fields.closing.get() && fields.paused.replace(false);
    if changes {
        fields.event_loop()?.watch_reading(fields.fd.get(), this.own())?;
        deliver_later(this, fields)?;
    }
    Ok(boolean(changes))
}
