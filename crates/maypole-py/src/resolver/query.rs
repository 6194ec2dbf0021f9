//! Reading the arguments of `socket.getaddrinfo` and `socket.getnameinfo`.
//!
//! `None` everywhere means: not plain, ask `socket` itself. It then raises what it raises.

use std::ffi::{CString, c_int};

use maypole_sys::datagram::Address;
use maypole_sys::resolve::Query;
use pyo3::ffi;

use crate::address::{self, ascii, exact_integer};
use crate::capi::{Obj, Owned, Raised, Result};

/// The longest label of a name in DNS. The IDNA codec of Python refuses longer ones.
const LABEL_MAX: usize = 63;

/// Reads `(host, port, family, type, proto, flags)`.
///
/// # Errors
/// What encoding a host by IDNA raises.
pub(super) fn addresses(given: &[&Obj]) -> Result<Option<Query>> {
    let &[host, port, family, kind, protocol, flags] = given else {
        return Ok(None);
    };
    let Some(service) = read_service(port) else {
        return Ok(None);
    };
    let numbers = [family, kind, protocol, flags].map(read_number);
    let [Some(family), Some(kind), Some(protocol), Some(flags)] = numbers else {
        return Ok(None);
    };
    let Some(host) = read_host(host)? else {
        return Ok(None);
    };
    Ok(Some(Query {
        host,
        service,
        family,
        kind,
        protocol,
        flags,
    }))
}

fn read_host(given: &Obj) -> Result<Option<Option<CString>>> {
    if given.is_none() {
        return Ok(Some(None));
    }
    if let Some(text) = ascii(given) {
        // Within these limits the IDNA codec changes nothing.
        let (last, labels) = text
            .rsplit_once('.')
            .map_or((text, ""), |(labels, last)| (last, labels));
        let fits = last.len() <= LABEL_MAX
            && (labels.is_empty() && !text.starts_with('.')
                || labels
                    .split('.')
                    .all(|label| (1..=LABEL_MAX).contains(&label.len())));
        return Ok(CString::new(text).ok().filter(|_| fits).map(Some));
    }
    // SAFETY: the type object is a static of the interpreter.
    if given.type_ptr() != &raw mut ffi::PyUnicode_Type {
        return Ok(None);
    }
    // SAFETY: a live string and the name of a codec.
    let encoded = unsafe {
        let (codec, errors) = (c"idna".as_ptr(), std::ptr::null());
        Owned::steal(ffi::PyUnicode_AsEncodedString(given.as_ptr(), codec, errors))?
    };
    // SAFETY: the type object is a static of the interpreter.
    if encoded.type_ptr() != &raw mut ffi::PyBytes_Type {
        return Err(Raised);
    }
    // SAFETY: an exact bytes object, which lives to the end of this function.
    let bytes = unsafe {
        let size = ffi::PyBytes_Size(encoded.as_ptr()) as usize;
        std::slice::from_raw_parts(ffi::PyBytes_AsString(encoded.as_ptr()).cast::<u8>(), size)
    };
    Ok(CString::new(bytes).ok().map(Some))
}

fn read_service(given: &Obj) -> Option<Option<CString>> {
    if given.is_none() {
        return Some(None);
    }
    if let Some(number) = exact_integer(given) {
        return CString::new(number.to_string()).ok().map(Some);
    }
    CString::new(ascii(given)?).ok().map(Some)
}

/// An `int`, or an instance of a subclass, as the enumerations of `socket` are.
fn read_number(given: &Obj) -> Option<c_int> {
    // SAFETY: a live object.
    if unsafe { ffi::PyLong_Check(given.as_ptr()) } == 0 {
        return None;
    }
    let mut overflow = 0;
    // SAFETY: an integer; what is too large is told by `overflow`, without an exception.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(given.as_ptr(), &raw mut overflow) };
    c_int::try_from(value).ok().filter(|_| overflow == 0)
}

/// Reads `(sockaddr, flags)`.
pub(super) fn name(given: &[&Obj]) -> Option<(Address, c_int)> {
    let &[sockaddr, flags] = given else { return None };
    let address = [libc::AF_INET, libc::AF_INET6]
        .into_iter()
        .find_map(|family| address::from_python(family, sockaddr))?;
    Some((address, read_number(flags)?))
}

/// The same query, if it can be answered without asking a server: with a flag more that makes sure of that.
pub(super) fn without_server(query: &Query) -> Option<Query> {
    let digits = |text: &CString| text.as_bytes().iter().all(u8::is_ascii_digit);
    if !query.service.as_ref().is_none_or(digits) {
        return None;
    }
    let may_be_numeric = query.host.as_ref().is_none_or(|host| {
        let bytes = host.as_bytes();
        bytes.first().is_some_and(u8::is_ascii_digit) || bytes.contains(&b':')
    });
    let mut query = may_be_numeric.then(|| query.clone())?;
    if query.host.is_some() {
        query.flags |= libc::AI_NUMERICHOST;
    }
    Some(query)
}
