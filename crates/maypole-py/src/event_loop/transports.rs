//! Which native transport has which descriptor.
//!
//! Invariant: an entry keeps nothing alive and is never stale: a transport leaves the table when its connection ends, or when it dies.

use std::os::fd::RawFd;

use pyo3::ffi;

use super::LoopObject;
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Result, call};
use crate::transport::StreamFields;

impl LoopObject {
    /// Notes a transport that has a connection with this descriptor.
    pub(crate) fn keep_transport(&self, fd: RawFd, transport: &Obj) {
        let Ok(place) = usize::try_from(fd) else { return };
        let mut transports = self.transports.borrow_mut();
        if place >= transports.len() {
            transports.resize(place + 1, std::ptr::null_mut());
        }
        transports[place] = transport.as_ptr();
    }

    /// Takes a transport out, unless its descriptor is another's by now; returns whether it was there.
    pub(crate) fn forget_transport(&self, fd: RawFd, transport: &Obj) -> bool {
        let mut transports = self.transports.borrow_mut();
        let place = usize::try_from(fd).ok().and_then(|fd| transports.get_mut(fd));
        match place {
            Some(place) if *place == transport.as_ptr() => {
                *place = std::ptr::null_mut();
                true
            }
            _ => false,
        }
    }

    fn transport(&self, fd: RawFd) -> Option<&Obj> {
        let place = usize::try_from(fd).ok()?;
        let transport: *mut ffi::PyObject = *self.transports.borrow().get(place)?;
        // SAFETY: null, or a transport that lives: it takes itself out before its memory goes.
        unsafe { Obj::from_ptr_opt(transport) }
    }
}

fn descriptor(given: &Obj) -> RawFd {
    crate::address::exact_integer(given)
        .and_then(|fd| RawFd::try_from(fd).ok())
        .unwrap_or(-1)
}

/// `_transport_at(fd)`: the native transport of a connected stream socket, or `None`.
pub(super) fn transport_at(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_transport_at", &["fd"], 1)?;
    Ok(this.transport(descriptor(given[0])).map_or_else(none, Obj::own))
}

/// `_keep_transport(fd, transport)`: False if it is no native one with this descriptor.
pub(super) fn keep(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_keep_transport", &["fd", "transport"], 2)?;
    let fd = descriptor(given[0]);
    let own = StreamFields::downcast(given[1]).is_some_and(|fields| fields.is_connected(this, fd));
    if own {
        this.keep_transport(fd, given[1]);
    }
    Ok(boolean(own))
}

/// `_forget_transport(fd)`: False if no native one has this descriptor.
pub(super) fn forget(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_forget_transport", &["fd"], 1)?;
    let fd = descriptor(given[0]);
    Ok(boolean(match this.transport(fd) {
        Some(transport) => this.forget_transport(fd, transport),
        None => false,
    }))
}

/// `_transport_fds()`: the descriptors of the native transports.
pub(super) fn descriptors(this: &LoopObject) -> Result<Owned> {
    let fds: Vec<usize> = {
        let transports = this.transports.borrow();
        let kept = transports.iter().enumerate().filter(|(_, kept)| !kept.is_null());
        kept.map(|(fd, _)| fd).collect()
    };
    call::list(
        fds.into_iter()
            .map(|fd| call::unsigned(fd as u64))
            .collect::<Result<_>>()?,
    )
}
