//! Socket addresses as Python's `socket` module shows and takes them, without asking a resolver.
//!
//! Source: <https://docs.python.org/3/library/socket.html#socket-families>

use std::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr};

use maypole_sys::datagram::{Address, Parts, v6_text};
use pyo3::ffi;

use crate::capi::object::none;
use crate::capi::{Obj, Owned, Result, call};

/// The largest flow information of IPv6.
const FLOW_MAX: i64 = 0xf_ffff;

/// The object that `socket` makes of an address.
pub(crate) fn to_python(address: &Address) -> Result<Owned> {
    match address.parts() {
        Parts::None => Ok(none()),
        Parts::V4 { host, port } => call::tuple(&[&*v4_host(host)?, &*call::integer(port.into())?]),
        Parts::V6 {
            host,
            port,
            flow,
            scope,
        } => call::tuple(&[
            &*call::text(&v6_text(host))?,
            &*call::integer(port.into())?,
            &*call::integer(flow.into())?,
            &*call::integer(scope.into())?,
        ]),
        Parts::Unix(path) if path.first() == Some(&0) => call::bytes(path),
        Parts::Unix(path) => {
            let size = path.len() as ffi::Py_ssize_t;
            // SAFETY: pointer and size describe the slice.
            unsafe { Owned::steal(ffi::PyUnicode_DecodeFSDefaultAndSize(path.as_ptr().cast(), size)) }
        }
        Parts::Other(family, rest) => call::tuple(&[&*call::integer(family.into())?, &*call::bytes(rest)?]),
    }
}

/// The text of an IPv4 host.
fn v4_host(host: Ipv4Addr) -> Result<Owned> {
    let mut text = [0; 15];
    let mut end = 0;
    for (place, octet) in host.octets().into_iter().enumerate() {
        if place > 0 {
            text[end] = b'.';
            end += 1;
        }
        for (least, divisor) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text[end] = b'0' + octet / divisor % 10;
                end += 1;
            }
        }
    }
    // SAFETY: digits and dots.
    call::text(unsafe { std::str::from_utf8_unchecked(&text[..end]) })
}

/// The address behind an object, if that is plain: a numeric host and a port for IPv4 and IPv6, an ASCII path for Unix.
///
/// `None` says nothing about the object but that `socket` must look at it: it may be a name, or wrong. No exception is left set.
/// What is read are exact tuples, strings and integers: the same object always means the same address.
pub(crate) fn from_python(family: c_int, given: &Obj) -> Option<Address> {
    if family == libc::AF_UNIX {
        let path = ascii(given)?;
        return Address::unix(path.as_bytes());
    }
    // SAFETY: the type object is a static of the interpreter.
    if given.type_ptr() != &raw mut ffi::PyTuple_Type {
        return None;
    }
    // SAFETY: an exact tuple.
    let size = unsafe { ffi::PyTuple_GET_SIZE(given.as_ptr()) };
    // SAFETY: asked for places within the tuple only, which keeps its items alive.
    let item = |place| unsafe { Obj::from_ptr(ffi::PyTuple_GET_ITEM(given.as_ptr(), place)) };
    if size < 2 {
        return None;
    }
    let host = ascii(item(0))?;
    let port = u16::try_from(exact_integer(item(1))?).ok()?;
    match family {
        libc::AF_INET if size == 2 => Some(Address::v4(host.parse::<Ipv4Addr>().ok()?, port)),
        libc::AF_INET6 if size <= 4 => {
            let host = host.parse::<Ipv6Addr>().ok()?;
            let more = |place| {
                if place < size {
                    exact_integer(item(place))
                } else {
                    Some(0)
                }
            };
            let flow = more(2).filter(|flow| (0..=FLOW_MAX).contains(flow))?;
            Some(Address::v6(
                host,
                port,
                flow as u32,
                u32::try_from(more(3)?).ok()?,
            ))
        }
        _ => None,
    }
}

/// The text of an exact `str` of ASCII.
pub(crate) fn ascii(given: &Obj) -> Option<&str> {
    // SAFETY: the type object is a static of the interpreter.
    if given.type_ptr() != &raw mut ffi::PyUnicode_Type {
        return None;
    }
    let mut size = 0;
    // SAFETY: a live string, which keeps the bytes for as long as it lives.
    let start = unsafe { ffi::PyUnicode_AsUTF8AndSize(given.as_ptr(), &raw mut size) };
    if start.is_null() {
        // A lone surrogate is no ASCII.
        // SAFETY: clears what the call above has set.
        unsafe { ffi::PyErr_Clear() };
        return None;
    }
    // SAFETY: the interpreter returned `size` bytes.
    let text = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), size as usize) };
    std::str::from_utf8(text).ok().filter(|text| text.is_ascii())
}

/// The value of an exact `int`.
pub(crate) fn exact_integer(given: &Obj) -> Option<i64> {
    // SAFETY: the type object is a static of the interpreter.
    if given.type_ptr() != &raw mut ffi::PyLong_Type {
        return None;
    }
    let mut overflow = 0;
    // SAFETY: an integer; what is too large is told by `overflow`, without an exception.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(given.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}
