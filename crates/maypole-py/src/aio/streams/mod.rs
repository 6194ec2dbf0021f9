//! Streams: the native halves of `maypole.StreamReader`, `StreamWriter` and `StreamReaderProtocol`.
//!
//! * [`buffer`]: bytes that came and were not read;
//! * [`reader`]: the reader: what comes in, and who waits for it;
//! * [`read`]: `read`, `readexactly`, `readuntil`, `readline` and iteration;
//! * [`protocol`]: from the transport to the reader, and the flow control of writing;
//! * [`writer`]: `write` and `drain`.
//!
//! The Python classes in `maypole.natives.streams` derive from these and from asyncio's own, so that `isinstance` holds and all that
//! happens once per connection is asyncio's code.
//!
//! Source: <https://docs.python.org/3/library/asyncio-stream.html>

mod buffer;
mod protocol;
mod read;
mod reader;
mod writer;

use crate::capi::{Obj, Result};

/// Makes the types; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    reader::init()?;
    protocol::init()?;
    writer::init()
}

/// Adds the types to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    reader::register(module)?;
    protocol::register(module)?;
    writer::register(module)
}
