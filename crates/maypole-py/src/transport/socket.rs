//! Who owns the descriptor of a connection, and Python's socket object, made when somebody asks for it.
//!
//! An accepted connection is a number until then: most programs never look at `get_extra_info("socket")`.
//!
//! Invariant: exactly one owner closes the descriptor: the transport, or the Python socket that it was given to.

use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};

use maypole_sys::net;

use super::stream::StreamFields;
use crate::capi::error::{os_error, runtime_error};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Result, call, names};

/// What a transport holds of its connection.
pub(super) enum Socket {
    /// Nothing: there is no connection yet, or no more.
    Gone,
    /// The descriptor itself.
    Descriptor(Descriptor),
    /// Python's socket object, which owns the descriptor.
    Python(Owned),
}

/// A descriptor, and what Python's socket object would know besides.
pub(super) struct Descriptor {
    pub(super) fd: OwnedFd,
    pub(super) family: i32,
    pub(super) proto: i32,
}

impl StreamFields {
    /// Whether there is a connection that somebody has to close.
    pub(super) fn has_socket(&self) -> bool {
        !matches!(*self.socket.borrow(), Socket::Gone)
    }

    /// Closes the connection's descriptor; the second time it does nothing.
    ///
    /// # Errors
    /// What `close()` of a Python socket raises.
    pub(super) fn close_socket(&self) -> Result<()> {
        let socket = self.socket.replace(Socket::Gone);
        match socket {
            Socket::Gone => Ok(()),
            Socket::Descriptor(descriptor) => {
                drop(descriptor);
                Ok(())
            }
            Socket::Python(socket) => socket.call_method(&names::get().close, &[]).map(drop),
        }
    }
}

/// `_shut_down()`: the peer reads the end of the stream.
pub(super) fn shut_down(_: &Obj, fields: &StreamFields, _: Args<'_>) -> Result<Owned> {
    let python = match &*fields.socket.borrow() {
        Socket::Gone => return Ok(none()),
        Socket::Python(socket) => socket.clone(),
        Socket::Descriptor(own) => {
            return net::shutdown_write(own.fd.as_fd())
                .map(|()| none())
                .map_err(|error| os_error(&error));
        }
    };
    let how = call::integer(libc::SHUT_WR.into())?;
    python.call_method(&names::get().shutdown, &[&how])
}

/// `_sock`: Python's socket object, or `None` without a connection.
pub(super) fn get(this: &Obj, fields: &StreamFields) -> Result<Owned> {
    let (fd, family, proto) = match &*fields.socket.borrow() {
        Socket::Gone => return Ok(none()),
        Socket::Python(socket) => return Ok(socket.clone()),
        Socket::Descriptor(own) => (own.fd.as_raw_fd(), own.family, own.proto),
    };
    let arguments = [
        call::integer(family.into())?,
        call::integer(proto.into())?,
        call::integer(fd.into())?,
    ];
    let names = names::get();
    let made = this.call_method(&names.open_socket, &[&arguments[0], &arguments[1], &arguments[2]])?;
    hand_over(fields, fd, made)
}

/// Makes the Python socket the owner, unless the Python code that made it has closed the connection or was asked a second time.
fn hand_over(fields: &StreamFields, fd: i32, made: Owned) -> Result<Owned> {
    let mut socket = fields.socket.borrow_mut();
    if !matches!(&*socket, Socket::Descriptor(own) if own.fd.as_raw_fd() == fd) {
        drop(socket);
        drop(made.call_method(&names::get().detach_socket, &[])?);
        return Err(runtime_error(
            "the connection was closed while its socket object was made",
        ));
    }
    let own = std::mem::replace(&mut *socket, Socket::Python(made.clone()));
    if let Socket::Descriptor(own) = own {
        let _now_owned_by_python = own.fd.into_raw_fd();
    }
    Ok(made)
}
