//! From the socket to the protocol.
//!
//! Source: `asyncio.selector_events._SelectorDatagramTransport._read_ready`. It takes one datagram an event; this takes some, and
//! shows the protocol the same.

use std::io::ErrorKind;

use maypole_sys::datagram::{self, Address};

use super::{DatagramFields, report};
use crate::address;
use crate::capi::error::{memory_error, os_error, take};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Raised, Result, call, names};
use crate::transport::read::fatal;

/// How many datagrams one event delivers at most, so that a flooded socket leaves the others their turn.
const DATAGRAMS_PER_EVENT: u32 = 16;
/// So many events of a single datagram pass before the socket is asked again whether it has more. Asking in vain costs a third of
/// receiving.
const SINGLES_BEFORE_ASKING: u32 = 8;
/// The longest datagram that is received whole, asyncio's limit.
const DATAGRAM_MAX: usize = 256 * 1024;

/// What one event may still deliver, and has delivered.
struct Burst {
    left: u32,
    delivered: u32,
}

pub(super) fn read_ready(transport: &Obj, fields: &DatagramFields) -> Result<()> {
    let Some(context) = fields.context.get() else {
        return Ok(());
    };
    let asks = fields.singles.get() >= SINGLES_BEFORE_ASKING;
    let mut burst = Burst {
        left: if asks { DATAGRAMS_PER_EVENT } else { 1 },
        delivered: 0,
    };
    let mut outcome = Ok(());
    while outcome.is_ok() && burst.left > 0 && fields.is_receiving() {
        if crate::context::run(&context, || deliver(transport, fields, &mut burst)).is_err() {
            // Outside of the context: the exception handler runs in it.
            outcome = report(transport, "_read_ready");
        }
    }
    // After a burst the next event is asked at once.
    if !asks {
        fields.singles.set(fields.singles.get() + 1);
    } else if burst.delivered <= 1 {
        fields.singles.set(0);
    }
    outcome
}

/// Receives and delivers until the burst ends, the socket is empty, or the protocol pauses, closes or raises.
fn deliver(transport: &Obj, fields: &DatagramFields, burst: &mut Burst) -> Result<()> {
    while burst.left > 0 && fields.is_receiving() {
        burst.left -= 1;
        let (data, from) = match receive(fields) {
            Ok(received) => received,
            Err(failed) => {
                burst.left = 0;
                return not_received(transport, fields, failed);
            }
        };
        let Some(protocol) = fields.protocol.get() else {
            return Ok(());
        };
        burst.delivered += 1;
        protocol.call_method(&names::get().datagram_received, &[&data, &from])?;
    }
    Ok(())
}

enum Failed {
    /// There is nothing; the poller will say when.
    Later,
    Os(std::io::Error),
    Raised,
}

impl From<Raised> for Failed {
    fn from(_: Raised) -> Failed {
        Failed::Raised
    }
}

fn receive(fields: &DatagramFields) -> std::result::Result<(Owned, Owned), Failed> {
    let (data, from) = {
        let mut buffer = fields.event_loop()?.read_buffer.borrow_mut();
        if buffer.len() < DATAGRAM_MAX {
            let missing = DATAGRAM_MAX - buffer.len();
            buffer.try_reserve(missing).map_err(|_| memory_error())?;
            buffer.resize(DATAGRAM_MAX, 0);
        }
        match datagram::recv(fields.fd.get(), &mut buffer[..DATAGRAM_MAX]) {
            Ok((size, from)) => (call::bytes(&buffer[..size])?, from),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Err(Failed::Later);
            }
            Err(error) => return Err(Failed::Os(error)),
        }
    };
    // Only now, when the buffer is not borrowed: making a tuple may run the collector.
    Ok((data, sender(fields, &from)?))
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

#[cold]
fn not_received(transport: &Obj, fields: &DatagramFields, failed: Failed) -> Result<()> {
    match failed {
        Failed::Later => return Ok(()),
        Failed::Raised => return fatal(transport, "Fatal read error on datagram transport"),
        Failed::Os(error) => os_error(&error),
    };
    let (Some(exception), Some(protocol)) = (take(), fields.protocol.get()) else {
        return Ok(());
    };
    protocol
        .call_method(&names::get().error_received, &[&exception])
        .map(drop)
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
    }
    Ok(boolean(changes))
}
