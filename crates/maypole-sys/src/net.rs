//! TCP sockets that never block: the calls, each once, without any waiting.
//!
//! Invariant: every socket made here is nonblocking, close-on-exec and owned by the caller.
//! Invariant: "not now" is [`io::ErrorKind::WouldBlock`], never a wait; the caller registers with a poller and tries
//! again.
//! Invariant: a write to a closed peer is an error, never SIGPIPE.
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

const NEVER_BLOCK: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Makes a listening socket on `address`, with `SO_REUSEADDR`, for at most `backlog` connections that wait to be
/// accepted.
///
/// # Errors
/// Those of socket(2), bind(2) and listen(2), as `EADDRINUSE`, `EADDRNOTAVAIL` and `EACCES`.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use maypole_sys::net;
/// use std::os::fd::AsFd;
/// let listener = net::listen("127.0.0.1:0".parse().expect("an address"), 16)?;
/// assert_ne!(net::local_address(listener.as_fd())?.port(), 0);
/// # Ok(())
/// # }
/// ```
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    let socket = stream_socket(address)?;
    // A restarted server may bind while connections of its predecessor are in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, backlog)?;
    Ok(socket)
}

/// Takes one connection that waits, and the address of its peer.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when none waits; others of accept4(2). `ECONNABORTED` concerns one connection only;
/// `EMFILE` and `ENFILE` leave the connection waiting.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use maypole_sys::net;
/// use std::os::fd::AsFd;
/// let listener = net::listen("127.0.0.1:0".parse().expect("an address"), 16)?;
/// let error = net::accept(listener.as_fd()).unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
/// # Ok(())
/// # }
/// ```
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SocketAddr)> {
    let (socket, peer) = retry_on_intr(|| net::acceptfrom_with(listener, NEVER_BLOCK))?;
    let peer = peer.ok_or(Errno::NOTCONN)?;
    Ok((socket, SocketAddr::try_from(peer)?))
}

/// Begins to connect to `address`: the connection stands when the socket is writable and [`take_error`] says so.
///
/// # Errors
/// Those of socket(2), and those of connect(2) that are known at once.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use maypole_sys::net;
/// use std::os::fd::AsFd;
/// let listener = net::listen("127.0.0.1:0".parse().expect("an address"), 16)?;
/// let stream = net::connect(net::local_address(listener.as_fd())?)?;
/// net::take_error(stream.as_fd())?;
/// # Ok(())
/// # }
/// ```
pub fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = stream_socket(address)?;
    match net::connect(&socket, &address) {
        // An interrupted connect goes on by itself, like one in progress.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Takes the pending error of a socket (`SO_ERROR`): the outcome of a connect that was begun.
///
/// # Errors
/// The pending error itself, as `ECONNREFUSED`.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// # use maypole_sys::net;
/// # use std::os::fd::AsFd;
/// let listener = net::listen("127.0.0.1:0".parse().expect("an address"), 16)?;
/// assert!(net::take_error(listener.as_fd()).is_ok());
/// # Ok(())
/// # }
/// ```
pub fn take_error(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::socket_error(socket)??)
}

/// Reads what is there into `buffer`; 0 is the end of the stream (or an empty buffer).
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when nothing is there yet; others of recv(2).
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// # use maypole_sys::net;
/// # use std::os::fd::AsFd;
/// let (near, far) = std::os::unix::net::UnixStream::pair()?;
/// net::write(near.as_fd(), b"hi")?;
/// let mut buffer = [0; 8];
/// assert_eq!(net::read(far.as_fd(), &mut buffer)?, 2);
/// # Ok(())
/// # }
/// ```
pub fn read(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = retry_on_intr(|| net::recv(socket, &mut *buffer, RecvFlags::empty()))?;
    Ok(count)
}

/// Writes as much of `data` as the socket takes now, and returns how much that was.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when it takes nothing now; others of send(2), as `EPIPE` and `ECONNRESET`.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// # use maypole_sys::net;
/// # use std::os::fd::AsFd;
/// let (near, far) = std::os::unix::net::UnixStream::pair()?;
/// drop(far);
/// let error = net::write(near.as_fd(), b"hi").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok(())
/// # }
/// ```
pub fn write(socket: BorrowedFd<'_>, data: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| net::send(socket, data, SendFlags::NOSIGNAL))?)
}

/// Says that no more will be written: the peer reads the end of the stream.
///
/// # Errors
/// `ENOTCONN` on a socket without connection.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// # use maypole_sys::net;
/// # use std::os::fd::AsFd;
/// let (near, far) = std::os::unix::net::UnixStream::pair()?;
/// net::shutdown_write(near.as_fd())?;
/// assert_eq!(net::read(far.as_fd(), &mut [0; 8])?, 0);
/// # Ok(())
/// # }
/// ```
pub fn shutdown_write(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(net::shutdown(socket, net::Shutdown::Write)?)
}

/// Switches Nagle's algorithm off (`true`) or on: whether small writes go out at once.
///
/// # Errors
/// Those of setsockopt(2); `EOPNOTSUPP` on a socket that is not TCP.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// # use maypole_sys::net;
/// # use std::os::fd::AsFd;
/// let listener = net::listen("127.0.0.1:0".parse().expect("an address"), 16)?;
/// net::set_nodelay(listener.as_fd(), true)?;
/// # Ok(())
/// # }
/// ```
pub fn set_nodelay(socket: BorrowedFd<'_>, nodelay: bool) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(socket, nodelay)?)
}

/// Gives the address a socket is bound to.
///
/// # Errors
/// `EAFNOSUPPORT` for a socket that is neither IPv4 nor IPv6; others of getsockname(2).
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// # use maypole_sys::net;
/// # use std::os::fd::AsFd;
/// let listener = net::listen("127.0.0.1:0".parse().expect("an address"), 16)?;
/// assert!(net::local_address(listener.as_fd())?.ip().is_loopback());
/// # Ok(())
/// # }
/// ```
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(net::getsockname(socket)?)?)
}

/// Gives the address of the peer of a connected socket.
///
/// # Errors
/// `ENOTCONN` without a connection; others of getpeername(2).
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// # use maypole_sys::net;
/// # use std::os::fd::AsFd;
/// let listener = net::listen("127.0.0.1:0".parse().expect("an address"), 16)?;
/// assert!(net::peer_address(listener.as_fd()).is_err());
/// # Ok(())
/// # }
/// ```
pub fn peer_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let peer = net::getpeername(socket)?.ok_or(Errno::NOTCONN)?;
    Ok(SocketAddr::try_from(peer)?)
}

fn stream_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    Ok(net::socket_with(family, SocketType::STREAM, NEVER_BLOCK, None)?)
}
