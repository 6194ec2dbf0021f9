//! Readers and writers: what `add_reader`, `add_writer` and the inherited transports stand on.
//!
//! Invariant: the poller's registration and the table agree; when the kernel refuses a descriptor, the table is put back first.
//! Source: <https://docs.python.org/3/library/asyncio-eventloop.html#watching-file-descriptors>

use std::os::fd::RawFd;

use maypole_core::{Change, Interest, Key};
use pyo3::ffi;

use super::{LoopObject, failure, turn};
use crate::capi::error::{memory_error, os_error, value_error};
use crate::capi::object::boolean;
use crate::capi::{Args, Obj, Owned, Raised, Result, names};
use crate::handle::{self, Parts};
use crate::transport::StreamFields;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Read,
    Write,
}

pub(super) fn add_reader(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    add(this, args, Side::Read, "_add_reader")
}

pub(super) fn add_writer(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    add(this, args, Side::Write, "_add_writer")
}

pub(super) fn remove_reader(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    remove(this, args, Side::Read, "_remove_reader")
}

pub(super) fn remove_writer(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    remove(this, args, Side::Write, "_remove_writer")
}

/// `_interest(fd)`: the watched events as `selectors.EVENT_READ | selectors.EVENT_WRITE`, 0 for none.
pub(super) fn interest(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (required, _) = args.at_least("_interest", &["fd"], 1)?;
    let interest = this.sources.borrow().interest(descriptor(required[0])?);
    let bits =
        i64::from(interest.contains(Interest::READ)) | i64::from(interest.contains(Interest::WRITE)) << 1;
    crate::capi::call::integer(bits)
}

fn add(this: &LoopObject, args: Args<'_>, side: Side, method: &str) -> Result<Owned> {
    let context = args.only_keyword(method, &names::get().context)?;
    let (required, rest) = args.at_least(method, &["fd", "callback"], 2)?;
    this.check_open()?;
    let fd = descriptor(required[0])?;
    let parts = Parts {
        callback: required[1],
        args: rest,
        context,
        event_loop: this,
    };
    let handle = handle::new_handle(&parts)?;
    this.reserve_source(fd)?;
    let (registration, interest) = {
        let mut sources = this.sources.borrow_mut();
        let registration = match side {
            Side::Read => sources.set_reader(fd, handle.clone()),
            Side::Write => sources.set_writer(fd, handle.clone()),
        };
        (registration, sources.interest(fd))
    };
    if let Err(error) = apply(this, fd, registration.key, registration.change) {
        drop(take(this, fd, side));
        return Err(error);
    }
    debug_assert!(!interest.is_empty());
    registration
        .replaced
        .map_or(Ok(()), |replaced| cancel_handle(&replaced))?;
    Ok(handle)
}

fn remove(this: &LoopObject, args: Args<'_>, side: Side, method: &str) -> Result<Owned> {
    let (required, _) = args.at_least(method, &["fd"], 1)?;
    if this.closed.get() {
        return Ok(boolean(false));
    }
    let fd = descriptor(required[0])?;
    let Some((handle, key, change)) = take(this, fd, side) else {
        return Ok(boolean(false));
    };
    let applied = apply(this, fd, key, change);
    cancel_handle(&handle)?;
    applied.map(|()| boolean(true))
}

/// Cancels a reader or writer that has lost its place; one that waits for a single event goes on waiting, as in asyncio.
fn cancel_handle(item: &Obj) -> Result<()> {
    if handle::types().is_own(item) {
        item.call_method(&names::get().cancel, &[])?;
    }
    Ok(())
}

fn take(this: &LoopObject, fd: RawFd, side: Side) -> Option<(Owned, Key, Change)> {
    let mut sources = this.sources.borrow_mut();
    let removal = match side {
        Side::Read => sources.remove_reader(fd),
        Side::Write => sources.remove_writer(fd),
    }?;
    Some((removal.item, removal.key, removal.change))
}

/// Tells the poller about a change of interest.
fn apply(this: &LoopObject, fd: RawFd, key: Key, change: Change) -> Result<()> {
    tell_poller(this, fd, key, change)?.map_err(|error| os_error(&error))
}

fn tell_poller(this: &LoopObject, fd: RawFd, key: Key, change: Change) -> Result<std::io::Result<()>> {
    let reactor = this.reactor()?;
    let bits = key.to_bits();
    let (read, write) = (
        |interest: Interest| interest.contains(Interest::READ),
        |interest: Interest| interest.contains(Interest::WRITE),
    );
    Ok(match change {
        Change::Unchanged => Ok(()),
        Change::Add(interest) => reactor.poller.add(fd, bits, read(interest), write(interest)),
        Change::Modify(interest) => reactor.poller.modify(fd, bits, read(interest), write(interest)),
        Change::Once(interest) => reactor.poller.once(fd, bits, read(interest), write(interest)),
        // A descriptor that its owner closed first has left the poller by itself.
        Change::Remove => reactor.poller.remove(fd).or_else(ignore_gone),
    })
}

fn ignore_gone(error: std::io::Error) -> std::io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EBADF) => Ok(()),
        _ => Err(error),
    }
}

impl LoopObject {
    /// Lets the poller report to a transport when its descriptor can be read.
    pub(crate) fn watch_reading(&self, fd: RawFd, transport: Owned) -> Result<()> {
        self.watch(fd, transport, Side::Read)
    }

    /// Lets the poller report to a transport when its descriptor takes bytes.
    pub(crate) fn watch_writing(&self, fd: RawFd, transport: Owned) -> Result<()> {
        self.watch(fd, transport, Side::Write)
    }

    pub(crate) fn unwatch_reading(&self, fd: RawFd) -> Result<()> {
        self.unwatch(fd, Side::Read)
    }

    pub(crate) fn unwatch_writing(&self, fd: RawFd) -> Result<()> {
        self.unwatch(fd, Side::Write)
    }

    /// Queues `item` when the descriptor can be read next, once; who was to read it waits in vain, as in asyncio.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed, `OSError` for a descriptor that cannot be watched, `MemoryError`.
    pub(crate) fn watch_once(&self, fd: RawFd, item: Owned) -> Result<()> {
        self.check_open()?;
        self.reserve_source(fd)?;
        let registration = self.sources.borrow_mut().set_reader_once(fd, item);
        if let Err(raised) = apply(self, fd, registration.key, registration.change) {
            drop(take(self, fd, Side::Read));
            return Err(raised);
        }
        registration
            .replaced
            .map_or(Ok(()), |replaced| cancel_handle(&replaced))
    }

    /// Ends the watch of [`LoopObject::watch_once`], unless its event came, or another has taken the place of `item`.
    ///
    /// # Errors
    /// What the poller answers.
    pub(crate) fn unwatch_once(&self, fd: RawFd, item: &Obj) -> Result<()> {
        let watched = self
            .sources
            .borrow()
            .reader(fd)
            .is_some_and(|reader| reader.is(item));
        if watched {
            self.unwatch(fd, Side::Read)
        } else {
            Ok(())
        }
    }

    fn reserve_source(&self, fd: RawFd) -> Result<()> {
        let reserved = self.sources.borrow_mut().reserve(fd);
        reserved.map_err(|_| memory_error())
    }

    fn watch(&self, fd: RawFd, item: Owned, side: Side) -> Result<()> {
        self.check_open()?;
        self.reserve_source(fd)?;
        let registration = {
            let mut sources = self.sources.borrow_mut();
            match side {
                Side::Read => sources.set_reader(fd, item),
                Side::Write => sources.set_writer(fd, item),
            }
        };
        if let Err(raised) = apply(self, fd, registration.key, registration.change) {
            drop(take(self, fd, side));
            return Err(raised);
        }
        drop(registration.replaced);
        Ok(())
    }

    fn unwatch(&self, fd: RawFd, side: Side) -> Result<()> {
        if self.closed.get() {
            return Ok(());
        }
        match take(self, fd, side) {
            Some((_item, key, change)) => self.tell_poller(fd, key, change),
            None => Ok(()),
        }
    }

    /// Tells the poller what is watched less; a watch ends the same way when somebody else has closed the descriptor.
    pub(super) fn tell_poller(&self, fd: RawFd, key: Key, change: Change) -> Result<()> {
        tell_poller(self, fd, key, change)?
            .or_else(ignore_gone)
            .map_err(|error| os_error(&error))
    }

    /// Has a transport send at the end of the turn.
    pub(crate) fn flush_later(&self, transport: Owned) {
        self.to_flush.borrow_mut().push(transport);
    }

    /// Lets the transports send what this turn has written.
    ///
    /// # Errors
    /// Only what ends the program; the transports after that one send in the next turn.
    #[inline]
    pub(super) fn flush_transports(&self) -> Result<()> {
        if self.to_flush.borrow().is_empty() {
            Ok(())
        } else {
            self.flush_each()
        }
    }

    fn flush_each(&self) -> Result<()> {
        turn::leave_task(self)?;
        let mut transports = std::mem::take(&mut *self.to_flush.borrow_mut()).into_iter();
        for transport in &mut transports {
            let Some(fields) = StreamFields::downcast(&transport) else {
                continue;
            };
            let sent = fields.flush_turn(&transport);
            if let Err(raised) = sent.or_else(|_| failure::report_transport(self, &transport)) {
                let pending = crate::capi::error::take();
                self.to_flush.borrow_mut().extend(&mut transports);
                return Err(pending.map_or(raised, crate::capi::error::restore));
            }
        }
        Ok(())
    }

    /// Removes the cancelled handles of one source: somebody cancelled a reader's handle instead of removing the reader.
    #[cold]
    pub(super) fn drop_cancelled(&self, key: Key) -> Result<()> {
        let fd = self.sources.borrow().fd(key);
        let Some(fd) = fd else { return Ok(()) };
        for side in [Side::Read, Side::Write] {
            let cancelled = {
                let sources = self.sources.borrow();
                let item = if side == Side::Read {
                    sources.reader(fd)
                } else {
                    sources.writer(fd)
                };
                item.is_some_and(|item| handle::types().is_own(item) && handle::is_cancelled(item))
            };
            if cancelled && let Some((_, key, change)) = take(self, fd, side) {
                apply(self, fd, key, change)?;
            }
        }
        Ok(())
    }
}

/// The number behind a descriptor argument: an integer or an object with `fileno()`, with the errors of `selectors`.
pub(crate) fn descriptor(given: &Obj) -> Result<RawFd> {
    // SAFETY: a live object.
    let number = if unsafe { ffi::PyLong_Check(given.as_ptr()) } != 0 {
        given.as_i64()?
    } else {
        match given
            .call_method(&crate::capi::names::get().fileno, &[])
            .and_then(|fd| fd.as_i64())
        {
            Ok(number) => number,
            Err(Raised) => return Err(invalid_object(given)),
        }
    };
    RawFd::try_from(number)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or_else(|| invalid(number))
}

/// What asking an object for its descriptor raised, as `selectors` reports it.
#[cold]
fn invalid_object(given: &Obj) -> Raised {
    let Some(exception) = crate::capi::error::take() else {
        return Raised;
    };
    // SAFETY: the exception types exist while the interpreter does.
    let expected = unsafe {
        [
            ffi::PyExc_AttributeError,
            ffi::PyExc_TypeError,
            ffi::PyExc_ValueError,
        ]
    };
    if !expected.iter().any(|kind| exception.is_instance_of(kind.cast())) {
        return crate::capi::error::restore(exception);
    }
    // SAFETY: a live object and a format that takes one.
    unsafe {
        ffi::PyErr_Format(
            ffi::PyExc_ValueError,
            c"Invalid file object: %R".as_ptr(),
            given.as_ptr(),
        )
    };
    Raised
}

#[cold]
fn invalid(number: i64) -> Raised {
    value_error(&format!("Invalid file descriptor: {number}"))
}
