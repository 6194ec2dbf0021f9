//! Transports: bytes between a descriptor and a protocol.
//!
//! * [`stream`]: the fields of a connection (TCP, Unix) and its type.
//! * [`accept`]: from a listening socket to such transports.
//! * [`life`]: where a connection begins and ends; [`socket`]: who owns its descriptor; [`peers`]: who is at its ends.
//! * [`read`]: from the descriptor to `data_received` or `buffer_updated`; [`receive`]: one read of data.
//! * [`write`]: collecting what a turn writes, and sending it with one system call.
//! * [`outgoing`]: the chunks that wait to be sent.
//! * [`tls`]: encryption between such a transport and a protocol.
//! * [`datagram`]: datagrams, in both directions.
//! * [`layout`]: a native type under a class of asyncio.
//!
//! What is rare (errors, limits, texts) is Python: `maypole.transports`.
//!
//! Invariant: a descriptor has one owner, the transport or a Python socket, and is closed after the transport has left the watch table.
//! So no event of a closed descriptor reaches anybody.
//! Invariant: what is written in a turn is sent at its end at the latest, in the order of the calls.

mod accept;
mod datagram;
mod layout;
mod life;
mod outgoing;
mod peers;
mod read;
pub(crate) mod receive;
mod socket;
mod stream;
mod tls;
mod write;

pub(crate) use accept::accept_burst;
pub(crate) use datagram::DatagramFields;
pub(crate) use stream::{READABLE, StreamFields, WRITABLE};

use crate::capi::{Obj, Result};

/// Makes the types; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    tls::init()?;
    stream::init()?;
    datagram::init()
}

/// Adds the types to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    stream::register(module)?;
    tls::register(module)?;
    datagram::register(module)
}
