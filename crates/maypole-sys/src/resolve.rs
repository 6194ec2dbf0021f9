//! Names of hosts and services, by the C library: the calls that may wait for a server belong on a thread of their own.
//!
//! Source: getaddrinfo(3), getnameinfo(3), RFC 3493.

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;

use crate::datagram::Address;

/// What to look up; each number is one of the C library's, 0 for any.
///
/// # Examples
/// ```
/// use maypole_sys::resolve::Query;
///
/// let query = Query { host: Some(c"127.0.0.1".into()), service: Some(c"80".into()), ..Query::default() };
/// let found = query.look_up()?;
/// assert!(found.iter().all(|entry| entry.family == 2));
/// # Ok::<(), maypole_sys::resolve::Failure>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The name or address of a host; `None` for this machine.
    pub host: Option<CString>,
    /// The name of a service or the number of a port.
    pub service: Option<CString>,
    /// As `AF_INET`.
    pub family: c_int,
    /// As `SOCK_STREAM`.
    pub kind: c_int,
    /// As `IPPROTO_TCP`.
    pub protocol: c_int,
    /// As `AI_PASSIVE`.
    pub flags: c_int,
}

/// One answer to a [`Query`].
#[derive(Debug, Clone)]
pub struct Found {
    /// As `AF_INET`.
    pub family: c_int,
    /// As `SOCK_STREAM`.
    pub kind: c_int,
    /// As `IPPROTO_TCP`.
    pub protocol: c_int,
    /// The canonical name, if `AI_CANONNAME` asked for it.
    pub canonical: Option<CString>,
    /// Where to connect to.
    pub address: Address,
}

/// Why a look-up failed.
#[derive(Debug)]
pub enum Failure {
    /// The resolver's own code, as `EAI_NONAME`.
    Resolver(c_int),
    /// An error of the operating system.
    System(io::Error),
}

impl Failure {
    fn new(code: c_int) -> Failure {
        if code == libc::EAI_SYSTEM {
            Failure::System(io::Error::last_os_error())
        } else {
            Failure::Resolver(code)
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Resolver(code) => f.write_str(&text_of(*code)),
            Failure::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

/// The C library's text for a code of [`Failure::Resolver`].
#[must_use]
pub fn text_of(code: c_int) -> String {
    // SAFETY: the function answers every number with a static text.
    unsafe { CStr::from_ptr(libc::gai_strerror(code)) }
        .to_string_lossy()
        .into_owned()
}

impl Query {
    /// Asks the C library; may wait long for a server, and cannot be interrupted.
    ///
    /// # Errors
    /// What getaddrinfo(3) answers.
    pub fn look_up(&self) -> Result<Vec<Found>, Failure> {
        // SAFETY: plain integers and pointers, for which zero is a value.
        let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
        hints.ai_family = self.family;
        hints.ai_socktype = self.kind;
        hints.ai_protocol = self.protocol;
        hints.ai_flags = self.flags;
        let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        let mut first = std::ptr::null_mut();
        // SAFETY: null or C strings that live through the call, and a place for the result.
        let code = unsafe {
            let (host, service) = (pointer(&self.host), pointer(&self.service));
            libc::getaddrinfo(host, service, &raw const hints, &raw mut first)
        };
        if code != 0 {
            return Err(Failure::new(code));
        }
        let mut found = Vec::new();
        let mut next = first;
        // SAFETY: null at the end of the list, else a live entry.
        while let Some(entry) = unsafe { next.as_ref() } {
            // SAFETY: the entry's own address and name.
            found.push(unsafe { found_of(entry) });
            next = entry.ai_next;
        }
        // SAFETY: what the call above has made, freed once.
        unsafe { libc::freeaddrinfo(first) };
        Ok(found)
    }
}

/// # Safety
/// The entry is one that getaddrinfo(3) has made.
unsafe fn found_of(entry: &libc::addrinfo) -> Found {
    // SAFETY: null or a C string.
    let canonical =
        (!entry.ai_canonname.is_null()).then(|| unsafe { CStr::from_ptr(entry.ai_canonname) }.into());
    let address = if entry.ai_addr.is_null() {
        Address::none()
    } else {
        // SAFETY: an address of that size.
        Address::from_bytes(unsafe {
            std::slice::from_raw_parts(entry.ai_addr.cast(), entry.ai_addrlen as usize)
        })
    };
    Found {
        family: entry.ai_family,
        kind: entry.ai_socktype,
        protocol: entry.ai_protocol,
        canonical,
        address,
    }
}

/// Names the host and the service of an address; may wait long for a server unless `flags` asks for numbers only.
///
/// # Errors
/// What getnameinfo(3) answers.
///
/// # Examples
/// ```
/// use maypole_sys::{datagram::Address, resolve};
///
/// let address = Address::v4([127, 0, 0, 1].into(), 80);
/// let numeric = 1 | 2; // NI_NUMERICHOST | NI_NUMERICSERV
/// let (host, service) = resolve::name(&address, numeric)?;
/// assert_eq!((host.to_str(), service.to_str()), (Ok("127.0.0.1"), Ok("80")));
/// # Ok::<(), resolve::Failure>(())
/// ```
pub fn name(address: &Address, flags: c_int) -> Result<(CString, CString), Failure> {
    let mut host = [0 as c_char; libc::NI_MAXHOST as usize];
    let mut service = [0 as c_char; 32];
    let bytes = address.bytes();
    // SAFETY: pointers and sizes describe the address and the two places for texts.
    let code = unsafe {
        libc::getnameinfo(
            bytes.as_ptr().cast(),
            bytes.len() as libc::socklen_t,
            host.as_mut_ptr(),
            host.len() as libc::socklen_t,
            service.as_mut_ptr(),
            service.len() as libc::socklen_t,
            flags,
        )
    };
    if code != 0 {
        return Err(Failure::new(code));
    }
    // SAFETY: the call wrote two C strings.
    Ok(unsafe {
        (
            CStr::from_ptr(host.as_ptr()).into(),
            CStr::from_ptr(service.as_ptr()).into(),
        )
    })
}

/// Leaves every signal to the other threads: one that waits for a server must not be the one that is woken.
///
/// # Errors
/// What pthread_sigmask(3) answers.
pub fn block_signals() -> io::Result<()> {
    // SAFETY: an empty set is made full before it is used; the old one is not asked for.
    let code = unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut())
    };
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code))
    }
}
