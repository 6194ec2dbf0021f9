//! Transports: bytes between a descriptor and a protocol.
//!
//! * [`stream`]: the fields of a connection (TCP, Unix) and its type.
//! * [`read`]: from the descriptor to `data_received` or `buffer_updated`.
//! * [`write`]: collecting what a turn writes, and sending it with one system call.
//! * [`outgoing`]: the chunks that wait to be sent.
//! * [`tls`]: encryption between such a transport and a protocol.
//! * [`datagram`]: datagrams, in both directions.
//! * [`layout`]: a native type under a class of asyncio.
//!
//! What happens once per connection (names of the peers, closing, errors) is Python: `maypole.transports`.
//!
//! Invariant: a transport never owns its descriptor; the Python socket does, and closes it after the transport has left the watch
//! table. So no event of a closed descriptor reaches anybody.
//! Invariant: what is written in a turn is sent at its end at the latest, in the order of the calls.

mod datagram;
mod layout;
mod outgoing;
mod read;
mod stream;
mod tls;
mod write;

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
