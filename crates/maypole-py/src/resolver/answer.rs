//! The objects that `socket.getaddrinfo` and `socket.getnameinfo` return and raise.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_int};

use maypole_sys::resolve::{Failure, Found, text_of};
use pyo3::ffi;

use super::pool::Answer;
use crate::address;
use crate::capi::call::import_from;
use crate::capi::cell::GilOnce;
use crate::capi::error::os_error;
use crate::capi::{Obj, Owned, Raised, Result, call};

/// What `socket` shows for the numbers of families and kinds of sockets: members of its enumerations, where there are such.
struct Shown {
    enumeration: Owned,
    convert: Owned,
    known: RefCell<Vec<(c_int, Owned)>>,
}

impl Shown {
    fn new(enumeration: &str) -> Result<Shown> {
        Ok(Shown {
            enumeration: import_from("socket", enumeration)?,
            convert: import_from("socket", "_intenum_converter")?,
            known: RefCell::default(),
        })
    }

    fn show(&self, number: c_int) -> Result<Owned> {
        let known = self
            .known
            .borrow()
            .iter()
            .find(|(known, _)| *known == number)
            .map(|(_, shown)| shown.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let shown = self
            .convert
            .call(&[&*call::integer(number.into())?, &self.enumeration])?;
        self.known.borrow_mut().push((number, shown.clone()));
        Ok(shown)
    }
}

struct Socket {
    families: Shown,
    kinds: Shown,
    gaierror: Owned,
}

static SOCKET: GilOnce<Socket> = GilOnce::new();

/// Imports what is needed; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if !SOCKET.is_set() {
        SOCKET.set(Socket {
            families: Shown::new("AddressFamily")?,
            kinds: Shown::new("SocketKind")?,
            gaierror: import_from("socket", "gaierror")?,
        });
    }
    Ok(())
}

/// The value of an answer; an answer that is an error is raised.
pub(super) fn value(answer: Answer) -> Result<Owned> {
    match answer {
        Answer::Addresses(Ok(found)) => {
            let entries = found.iter().map(entry);
            call::list(entries.collect::<Result<_>>()?)
        }
        Answer::Name(Ok((host, service))) => call::tuple(&[&*host_name(&host)?, &*utf8(&service)?]),
        Answer::Addresses(Err(failure)) | Answer::Name(Err(failure)) => Err(raise(&failure)),
    }
}

fn entry(found: &Found) -> Result<Owned> {
    let socket = SOCKET.get();
    let empty = CString::default();
    call::tuple(&[
        &*socket.families.show(found.family)?,
        &*socket.kinds.show(found.kind)?,
        &*call::integer(found.protocol.into())?,
        &*utf8(found.canonical.as_ref().unwrap_or(&empty))?,
        &*address::to_python(&found.address)?,
    ])
}

fn utf8(text: &CStr) -> Result<Owned> {
    // SAFETY: a C string; what is no UTF-8 raises.
    unsafe { Owned::steal(ffi::PyUnicode_FromString(text.as_ptr())) }
}

fn host_name(text: &CStr) -> Result<Owned> {
    // SAFETY: two C strings.
    unsafe {
        Owned::steal(ffi::PyUnicode_DecodeLocale(
            text.as_ptr(),
            c"surrogateescape".as_ptr(),
        ))
    }
}

#[cold]
fn raise(failure: &Failure) -> Raised {
    let code = match failure {
        Failure::System(error) => return os_error(error),
        Failure::Resolver(code) => *code,
    };
    match gaierror(code) {
        Ok(exception) => crate::capi::error::restore(exception),
        Err(raised) => raised,
    }
}

fn gaierror(code: c_int) -> Result<Owned> {
    let class: &Obj = &SOCKET.get().gaierror;
    class.call(&[&*call::integer(code.into())?, &*call::text(&text_of(code))?])
}
