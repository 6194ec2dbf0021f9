//! Datagrams through a socket whose descriptor somebody else owns, and the addresses that come with them.
//!
//! Python's socket object owns the descriptor of a transport; a number that has gone stale is answered by the kernel with `EBADF`.
//! Nothing here waits: "not now" is [`io::ErrorKind::WouldBlock`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

unsafe extern "C" {
    fn inet_ntop(
        family: c_int,
        address: *const c_void,
        text: *mut c_char,
        size: libc::socklen_t,
    ) -> *const c_char;
}

/// A socket address as the kernel gives and takes it.
///
/// # Examples
/// ```
/// use maypole_sys::datagram::{Address, Parts};
///
/// let address = Address::v4([127, 0, 0, 1].into(), 80);
/// assert!(matches!(address.parts(), Parts::V4 { port: 80, .. }));
/// assert_eq!(address, Address::from_bytes(address.bytes()));
/// ```
#[derive(Clone, Copy)]
pub struct Address {
    /// The largest address that this crate meets is that of a Unix socket.
    storage: libc::sockaddr_un,
    size: u8,
}

/// What an address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts<'a> {
    /// No address at all, as that of an unnamed Unix socket.
    None,
    /// IPv4.
    V4 {
        /// The host.
        host: Ipv4Addr,
        /// The port, in the byte order of this machine.
        port: u16,
    },
    /// IPv6.
    V6 {
        /// The host.
        host: Ipv6Addr,
        /// The port, in the byte order of this machine.
        port: u16,
        /// The flow information, in the byte order of this machine.
        flow: u32,
        /// The interface of a link-local address.
        scope: u32,
    },
    /// The path of a Unix socket; one of the abstract name space begins with a zero byte.
    Unix(&'a [u8]),
    /// Another family: its number, and what follows.
    Other(c_int, &'a [u8]),
}

const CAPACITY: usize = size_of::<libc::sockaddr_un>();
const PATH_AT: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);
/// The longest path of a Unix socket in bytes, without the zero byte at its end.
const PATH_MAX: usize = CAPACITY - PATH_AT - 1;

impl Address {
    /// No address; [`recv`] fills one.
    #[must_use]
    pub const fn none() -> Address {
        // SAFETY: plain integers, for which zero is a value.
        let storage = unsafe { std::mem::zeroed() };
        Address { storage, size: 0 }
    }

    /// The address of an IPv4 host and port.
    #[must_use]
    pub fn v4(host: Ipv4Addr, port: u16) -> Address {
        Address::of(&libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: port.to_be(),
            sin_addr: libc::in_addr {
                s_addr: u32::from(host).to_be(),
            },
            sin_zero: [0; 8],
        })
    }

    /// The address of an IPv6 host and port; `flow` has 20 bits, `scope` is the number of an interface or 0.
    #[must_use]
    pub fn v6(host: Ipv6Addr, port: u16, flow: u32, scope: u32) -> Address {
        Address::of(&libc::sockaddr_in6 {
            sin6_family: libc::AF_INET6 as libc::sa_family_t,
            sin6_port: port.to_be(),
            sin6_flowinfo: flow.to_be(),
            sin6_addr: libc::in6_addr {
                s6_addr: host.octets(),
            },
            sin6_scope_id: scope,
        })
    }

    /// The address of a Unix socket in the file system; `None` if the path is empty, too long, or has a zero byte.
    #[must_use]
    pub fn unix(path: &[u8]) -> Option<Address> {
        if path.is_empty() || path.len() > PATH_MAX || path.contains(&0) {
            return None;
        }
        let mut bytes = [0; CAPACITY];
        bytes[..PATH_AT].copy_from_slice(&(libc::AF_UNIX as libc::sa_family_t).to_ne_bytes());
        bytes[PATH_AT..PATH_AT + path.len()].copy_from_slice(path);
        Some(Address::from_bytes(&bytes[..PATH_AT + path.len() + 1]))
    }

    /// Copies an address; what is longer than any that this crate knows is cut off.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Address {
        let mut address = Address::none();
        let size = bytes.len().min(CAPACITY);
        // SAFETY: the storage is plain memory of `CAPACITY` bytes, and at most so many are copied.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut address.storage).cast(), size) };
        address.size = size as u8;
        address
    }

    /// The address that `ask` writes; a negative answer is an error of the operating system.
    ///
    /// # Errors
    /// What `errno` says after such an answer.
    #[inline]
    pub(crate) fn filled(
        ask: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> c_int,
    ) -> io::Result<Address> {
        let mut address = Address::none();
        let mut size = CAPACITY as libc::socklen_t;
        if ask((&raw mut address.storage).cast(), &raw mut size) < 0 {
            return Err(io::Error::last_os_error());
        }
        address.size = (size as usize).min(CAPACITY) as u8;
        Ok(address)
    }

    fn of<T>(raw: &T) -> Address {
        // SAFETY: a `sockaddr_in` or `sockaddr_in6`, both without padding.
        Address::from_bytes(unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(raw).cast(), size_of::<T>())
        })
    }

    /// The bytes as the kernel sees them.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the storage is fully initialised memory, and `size` is at most its size.
        unsafe { std::slice::from_raw_parts((&raw const self.storage).cast(), self.size.into()) }
    }

    /// What the address says.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        let bytes = self.bytes();
        if bytes.len() < PATH_AT {
            return Parts::None;
        }
        let rest = &bytes[PATH_AT..];
        match c_int::from(self.storage.sun_family) {
            libc::AF_INET if bytes.len() >= size_of::<libc::sockaddr_in>() => {
                // SAFETY: long enough; the storage is at least as aligned as its bytes are read here.
                let raw: libc::sockaddr_in = unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) };
                let host = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
                let port = u16::from_be(raw.sin_port);
                Parts::V4 { host, port }
            }
            libc::AF_INET6 if bytes.len() >= size_of::<libc::sockaddr_in6>() => {
                // SAFETY: as above.
                let raw: libc::sockaddr_in6 = unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) };
                Parts::V6 {
                    host: Ipv6Addr::from(raw.sin6_addr.s6_addr),
                    port: u16::from_be(raw.sin6_port),
                    flow: u32::from_be(raw.sin6_flowinfo),
                    scope: raw.sin6_scope_id,
                }
            }
            libc::AF_UNIX if rest.first() == Some(&0) => Parts::Unix(rest),
            libc::AF_UNIX => Parts::Unix(rest.split(|byte| *byte == 0).next().unwrap_or_default()),
            family => Parts::Other(family, rest),
        }
    }
}

impl PartialEq for Address {
    #[inline]
    fn eq(&self, other: &Address) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Address {}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts().fmt(f)
    }
}

/// The text of an IPv6 host as the C library writes it, which differs from Rust's for some that embed IPv4.
///
/// # Examples
/// ```
/// use maypole_sys::datagram::v6_text;
/// assert_eq!(v6_text("::1".parse()?), "::1");
/// assert_eq!(v6_text("::102:304".parse()?), "::1.2.3.4");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[must_use]
pub fn v6_text(host: Ipv6Addr) -> String {
    let mut text = [0 as c_char; 46];
    let octets = host.octets();
    // SAFETY: 16 bytes of address, and room for the longest text (INET6_ADDRSTRLEN is 46).
    let written = unsafe {
        let (address, size) = (octets.as_ptr().cast(), text.len() as libc::socklen_t);
        inet_ntop(libc::AF_INET6, address, text.as_mut_ptr(), size)
    };
    if written.is_null() {
        return host.to_string();
    }
    // SAFETY: the function wrote a text with a zero byte at its end.
    unsafe { CStr::from_ptr(written) }.to_string_lossy().into_owned()
}

/// Receives one datagram into `buffer`, what does not fit is lost; returns its size and its sender.
///
/// # Errors
/// What `recvfrom(2)` answers; [`io::ErrorKind::WouldBlock`] when there is none.
///
/// # Examples
/// ```
/// use maypole_sys::datagram::{self, Address};
/// use std::net::UdpSocket;
/// use std::os::fd::AsRawFd;
///
/// let (here, there) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// let target = Address::v4([127, 0, 0, 1].into(), there.local_addr()?.port());
/// datagram::send(here.as_raw_fd(), b"one", Some(&target))?;
///
/// let mut buffer = [0; 16];
/// let (size, sender) = datagram::recv(there.as_raw_fd(), &mut buffer)?;
/// assert_eq!(&buffer[..size], b"one");
/// assert_eq!(sender, Address::v4([127, 0, 0, 1].into(), here.local_addr()?.port()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[inline]
pub fn recv(fd: RawFd, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
    let mut from = Address::none();
    let mut size = CAPACITY as libc::socklen_t;
    // SAFETY: pointer and length describe the slice, and the place for the address; the kernel checks the descriptor.
    let received = unsafe {
        let (start, place) = (buffer.as_mut_ptr().cast(), (&raw mut from.storage).cast());
        libc::recvfrom(fd, start, buffer.len(), 0, place, &raw mut size)
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    from.size = (size as usize).min(CAPACITY) as u8;
    Ok((received, from))
}

/// Sends one datagram, to `to` or to the peer of a connected socket.
///
/// # Errors
/// What `sendto(2)` answers; [`io::ErrorKind::WouldBlock`] when the socket is full.
///
/// # Examples
/// See [`recv`].
#[inline]
pub fn send(fd: RawFd, data: &[u8], to: Option<&Address>) -> io::Result<()> {
    let (name, size) = to.map_or((std::ptr::null(), 0), |to| {
        ((&raw const to.storage).cast(), libc::socklen_t::from(to.size))
    });
    // SAFETY: pointers and lengths describe the data and the address; the kernel checks the descriptor.
    let sent = unsafe {
        let start = data.as_ptr().cast();
        libc::sendto(fd, start, data.len(), libc::MSG_NOSIGNAL, name, size)
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
