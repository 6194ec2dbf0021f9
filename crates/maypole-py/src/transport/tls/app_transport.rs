//! `write` and `writelines` of the transport that the application holds.
//!
//! The type has no fields: it is mixed into asyncio's own class, whose `_ssl_protocol` it reads.

use std::ffi::CStr;

use pyo3::ffi;

use super::{TlsProtocol, write};
use crate::capi::class::{Class, Native, fast};
use crate::capi::error::type_error;
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Result, call, names};

const DOC: &CStr =
    c"TLSTransport()\n--\n\nThe native half of the transport that an application holds under TLS: writing.";

#[repr(C)]
struct AppTransport {
    ob_base: ffi::PyObject,
}

// SAFETY: `repr(C)`, and nothing but a `PyObject`.
unsafe impl Native for AppTransport {}

pub(super) fn class() -> Result<Owned> {
    Class::new(c"maypole._maypole.TLSTransport", size_of::<AppTransport>(), DOC)
        .collected_by_base()
        .fast(
            c"write",
            fast!(AppTransport, write_one),
            c"write($self, data)\n--\n\nWrite some bytes; does not block.",
        )
        .fast(
            c"writelines",
            fast!(AppTransport, write_many),
            c"writelines($self, list_of_data)\n--\n\nWrite a list of bytes.",
        )
        .build(None)
}

fn write_one(this: &AppTransport, args: Args<'_>) -> Result<Owned> {
    let [data] = args.bind("write", [&names::get().data], 1)?;
    let Some(data) = data else { return Ok(none()) };
    if !write::is_bytes_like(data) {
        // SAFETY: the type of a live object has a name.
        let name = unsafe { CStr::from_ptr((*data.type_ptr()).tp_name) }.to_string_lossy();
        let name = name.rsplit('.').next().unwrap_or_default();
        return Err(type_error(&format!(
            "data: expecting a bytes-like instance, got {name}"
        )));
    }
    let protocol = this.as_obj().get_attr(&names::get().ssl_protocol)?;
    match TlsProtocol::downcast(&protocol) {
        Some(protocol) => write::write_one(protocol, data)?,
        // Nobody there: asyncio ignores an empty write before it looks.
        None if !data.truthy()? => {}
        None => to_another(&protocol, &*call::tuple(&[data])?)?,
    }
    Ok(none())
}

fn write_many(this: &AppTransport, args: Args<'_>) -> Result<Owned> {
    let [list_of_data] = args.bind("writelines", [&names::get().list_of_data], 1)?;
    let Some(list_of_data) = list_of_data else {
        return Ok(none());
    };
    let protocol = this.as_obj().get_attr(&names::get().ssl_protocol)?;
    match TlsProtocol::downcast(&protocol) {
        Some(protocol) => write::write_many(protocol, list_of_data)?,
        None => to_another(&protocol, list_of_data)?,
    }
    Ok(none())
}

/// A protocol of another kind, or `None` after a second `close`: what asyncio does then, with its `AttributeError`.
#[cold]
fn to_another(protocol: &Obj, list_of_data: &Obj) -> Result<()> {
    protocol
        .call_method(&names::get().write_appdata, &[list_of_data])
        .map(drop)
}
