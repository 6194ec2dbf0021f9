//! Connections through a listening socket, and bytes through a connected one, whose descriptors somebody else owns.
//!
//! A number that has gone stale is answered by the kernel with `EBADF`. Nothing here waits: "not now" is
//! [`io::ErrorKind::WouldBlock`]. A signal for a broken pipe is never raised.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::datagram::Address;

/// Takes one connection that waits, non-blocking and closed on `exec`, with the address of its peer.
///
/// # Errors
/// What `accept4(2)` answers: [`io::ErrorKind::WouldBlock`] when none waits; `ECONNABORTED` concerns one connection only; `EMFILE`,
/// `ENFILE`, `ENOBUFS` and `ENOMEM` leave the connection waiting.
///
/// # Examples
/// ```
/// use maypole_sys::stream::{accept, local_address};
/// use std::net::{TcpListener, TcpStream};
/// use std::os::fd::AsRawFd;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// let (connection, peer) = accept(listener.as_raw_fd())?;
/// assert_eq!(peer, local_address(client.as_raw_fd())?);
/// # drop(connection);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn accept(listener: RawFd) -> io::Result<(OwnedFd, Address)> {
    let mut fd = -1;
    let peer = Address::filled(|place, size| {
        // SAFETY: a place for an address and one for its size, by the contract of `filled`; the kernel checks the descriptor.
        fd = unsafe { libc::accept4(listener, place, size, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) };
        fd
    })?;
    // SAFETY: the kernel has just given out this descriptor, to this call.
    Ok((unsafe { OwnedFd::from_raw_fd(fd) }, peer))
}

/// Gives the address that a socket is bound to.
///
/// # Errors
/// What `getsockname(2)` answers.
///
/// # Examples
/// See [`accept`].
pub fn local_address(fd: RawFd) -> io::Result<Address> {
    // SAFETY: as above.
    Address::filled(|place, size| unsafe { libc::getsockname(fd, place, size) })
}

/// Receives into `buffer` and returns the number of bytes; 0 at the end of the stream.
///
/// # Errors
/// What `recv(2)` answers; [`io::ErrorKind::WouldBlock`] when there is nothing yet.
///
/// # Examples
/// ```
/// use std::io::IoSlice;
/// use std::os::fd::AsRawFd;
/// use std::os::unix::net::UnixStream;
///
/// let (left, right) = UnixStream::pair()?;
/// maypole_sys::stream::send(left.as_raw_fd(), &[IoSlice::new(b"one "), IoSlice::new(b"two")])?;
/// let mut buffer = [0; 16];
/// let size = maypole_sys::stream::recv(right.as_raw_fd(), &mut buffer)?;
/// assert_eq!(&buffer[..size], b"one two");
/// # Ok::<(), std::io::Error>(())
/// ```
#[inline]
pub fn recv(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: initialised bytes are a case of bytes that may be; `recv_uninit` only writes to them.
    recv_uninit(fd, unsafe {
        &mut *(ptr::from_mut(buffer) as *mut [MaybeUninit<u8>])
    })
}

/// As [`recv`], into memory that nothing was written to; as many of its first bytes as the answer says are initialised then.
///
/// # Errors
/// As [`recv`].
///
/// # Examples
/// ```
/// use std::io::Write;
/// use std::mem::MaybeUninit;
/// use std::os::fd::AsRawFd;
/// use std::os::unix::net::UnixStream;
///
/// let (mut left, right) = UnixStream::pair()?;
/// left.write_all(b"one")?;
/// let mut buffer = [MaybeUninit::uninit(); 16];
/// assert_eq!(maypole_sys::stream::recv_uninit(right.as_raw_fd(), &mut buffer)?, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
#[inline]
pub fn recv_uninit(fd: RawFd, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    // SAFETY: pointer and length describe the slice; the kernel checks the descriptor.
    let size = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) };
    usize::try_from(size).map_err(|_| io::Error::last_os_error())
}

/// Sends the slices one after another with one system call and returns the number of bytes that were taken.
///
/// # Errors
/// What `send(2)` answers; [`io::ErrorKind::WouldBlock`] when the socket is full.
///
/// # Examples
/// See [`recv`].
#[inline]
pub fn send(fd: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let size = if let [slice] = slices {
        // SAFETY: pointer and length describe the slice; the kernel checks the descriptor.
        unsafe { libc::send(fd, slice.as_ptr().cast(), slice.len(), libc::MSG_NOSIGNAL) }
    } else {
        // SAFETY: an all-zero message header is valid: no name, no control data, no buffers.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = slices.as_ptr().cast_mut().cast();
        message.msg_iovlen = slices.len() as _;
        // SAFETY: `IoSlice` has the layout of `iovec` on Unix, by its documentation; the kernel only reads them.
        unsafe { libc::sendmsg(fd, &raw const message, libc::MSG_NOSIGNAL) }
    };
    usize::try_from(size).map_err(|_| io::Error::last_os_error())
}
