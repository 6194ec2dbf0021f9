//! Bytes through a connected stream socket whose descriptor somebody else owns.
//!
//! Python's socket object owns the descriptor of a transport; a number that has gone stale is answered by the kernel with `EBADF`.
//! A signal for a broken pipe is never raised.

use std::io::{self, IoSlice};
use std::os::fd::RawFd;

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
    // SAFETY: pointer and length describe the slice; the kernel checks the descriptor.
    let size = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
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
