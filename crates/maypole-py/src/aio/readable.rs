//! Waiting until a descriptor can be read, once: what `sock_recv` and its kin stand on.
//!
//! The operation itself is the reader in the loop's table of sources: no handle, no callback, no future besides. The poller reports one
//! event, after which nobody has to tell it anything.
//! Source: <https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.sock_recv>

use std::os::fd::RawFd;

use super::operation::{self, Operation, Step, Steps};
use crate::capi::class::Native;
use crate::capi::object::none;
use crate::capi::{Args, Owned, Result, call};
use crate::event_loop::{LoopObject, descriptor};

/// The steps of the wait; its value is the descriptor.
static READABLE: Steps<LoopObject> = Steps {
    name: c"sock_readable",
    begin,
    resume,
    abandon,
};

/// `_until_readable(fd)`: awaiting it waits until the descriptor can be read, has ended or has failed.
pub(crate) fn until_readable(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_until_readable", &["fd"], 1)?;
    let fd = call::integer(descriptor(given[0])?.into())?;
    operation::new(&READABLE, this, Some(&fd))
}

fn begin(event_loop: &LoopObject, operation: &Operation) -> Result<Step> {
    let step = operation.wait_on(event_loop.as_obj())?;
    event_loop.watch_once(fd_of(operation)?, operation.as_obj().own())?;
    Ok(step)
}

fn resume(_: &LoopObject, _: &Operation, _: Owned) -> Result<Step> {
    Ok(Step::Return(none()))
}

fn abandon(event_loop: &LoopObject, operation: &Operation) -> Result<()> {
    event_loop.unwatch_once(fd_of(operation)?, operation.as_obj())
}

fn fd_of(operation: &Operation) -> Result<RawFd> {
    Ok(operation.value().as_i64()? as RawFd)
}
