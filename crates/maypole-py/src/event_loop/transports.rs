//! Which native transport has which descriptor.
//!
//! Invariant: an entry keeps nothing alive and is never stale: a transport leaves the table when its connection ends, or when it dies.

use std::collections::BTreeMap;
use std::collections::TryReserveError;
use std::os::fd::RawFd;

use pyo3::ffi;

use super::LoopObject;
use crate::capi::error::memory_error;
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Result, call};
use crate::transport::StreamFields;

/// Descriptors below this number have a place of their own; a socket whose `fileno()` answers anything else takes no room for it.
const TABLE_MAX: usize = 1 << 20;

/// Transports by descriptor; null for none.
#[derive(Default)]
pub(super) struct Transports {
    table: Vec<*mut ffi::PyObject>,
    high: BTreeMap<RawFd, *mut ffi::PyObject>,
}

impl Transports {
    fn keep(&mut self, fd: RawFd, transport: *mut ffi::PyObject) -> std::result::Result<(), TryReserveError> {
        let Some(place) = in_table(fd) else {
            self.high.insert(fd, transport);
            return Ok(());
        };
        if place >= self.table.len() {
            self.table.try_reserve(place + 1 - self.table.len())?;
            self.table.resize(place + 1, std::ptr::null_mut());
        }
        self.table[place] = transport;
        Ok(())
    }

    fn get_mut(&mut self, fd: RawFd) -> Option<&mut *mut ffi::PyObject> {
        match in_table(fd) {
            Some(place) => self.table.get_mut(place),
            None => self.high.get_mut(&fd),
        }
    }

    fn get(&self, fd: RawFd) -> Option<*mut ffi::PyObject> {
        match in_table(fd) {
            Some(place) => self.table.get(place).copied(),
            None => self.high.get(&fd).copied(),
        }
    }

    fn descriptors(&self) -> Vec<RawFd> {
        let low = (0..).zip(&self.table);
        low.chain(self.high.iter().map(|(fd, kept)| (*fd, kept)))
            .filter(|(_, kept)| !kept.is_null())
            .map(|(fd, _)| fd)
            .collect()
    }
}

fn in_table(fd: RawFd) -> Option<usize> {
    usize::try_from(fd).ok().filter(|place| *place < TABLE_MAX)
}

impl LoopObject {
    /// Notes a transport that has a connection with this descriptor.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn keep_transport(&self, fd: RawFd, transport: &Obj) -> Result<()> {
        let kept = self.transports.borrow_mut().keep(fd, transport.as_ptr());
        kept.map_err(|_| memory_error())
    }

    /// Takes a transport out, unless its descriptor is another's by now; returns whether it was there.
    pub(crate) fn forget_transport(&self, fd: RawFd, transport: &Obj) -> bool {
        let mut transports = self.transports.borrow_mut();
        match transports.get_mut(fd) {
            Some(place) if *place == transport.as_ptr() => {
                *place = std::ptr::null_mut();
                true
            }
            _ => false,
        }
    }

    fn transport(&self, fd: RawFd) -> Option<&Obj> {
        let transport = self.transports.borrow().get(fd)?;
        // SAFETY: null, or a transport whose memory is there: it takes itself out before that goes.
        let transport = unsafe { Obj::from_ptr_opt(transport) }?;
        transport.is_referred_to().then_some(transport)
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
        this.keep_transport(fd, given[1])?;
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
    let fds = this.transports.borrow().descriptors();
    call::list(
        fds.into_iter()
            .map(|fd| call::integer(fd.into()))
            .collect::<Result<_>>()?,
    )
}
