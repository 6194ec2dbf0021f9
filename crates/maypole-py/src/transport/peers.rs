//! Who is at the two ends of a connection: what `get_extra_info` answers.
//!
//! An accepted connection keeps both addresses as the kernel writes them; Python objects are made of them when somebody asks.
//!
//! Source: <https://docs.python.org/3/library/asyncio-protocol.html#asyncio.BaseTransport.get_extra_info>

use std::net::{Ipv4Addr, SocketAddrV4};

use maypole_sys::datagram::{Address, Parts};
use pyo3::ffi;

use super::layout::Fields;
use super::socket;
use super::stream::StreamFields;
use crate::address;
use crate::capi::error::check;
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Result, names};

/// An address in as few bytes as it needs.
pub(super) enum Name {
    V4(SocketAddrV4),
    /// Of any family, and perhaps empty, which means that it is not known.
    Other(Box<[u8]>),
}

impl Name {
    pub(super) fn unknown() -> Name {
        Name::Other(Box::default())
    }

    pub(super) fn of(address: &Address) -> Name {
        match address.parts() {
            Parts::V4 { host, port } => Name::V4(SocketAddrV4::new(host, port)),
            _ => Name::Other(address.bytes().into()),
        }
    }

    fn to_python(&self) -> Result<Owned> {
        address::to_python(&match self {
            Name::V4(end) => Address::v4(Ipv4Addr::from(end.ip().octets()), end.port()),
            Name::Other(bytes) => Address::from_bytes(bytes),
        })
    }
}

/// The two ends of an accepted connection.
pub(super) struct Ends {
    pub(super) local: Name,
    pub(super) peer: Name,
}

/// `get_extra_info(name, default=None)`.
pub(super) fn get_extra_info(this: &Obj, fields: &StreamFields, args: Args<'_>) -> Result<Owned> {
    let names = names::get();
    let (name, default) = match (args.positional(), args.has_keywords()) {
        ([name], false) => (*name, None),
        ([name, default], false) => (*name, Some(*default)),
        _ => {
            let wanted = [&*names.name, &*names.default];
            let [name, default] = args.bind("BaseTransport.get_extra_info", wanted, 1)?;
            (name.ok_or(crate::capi::Raised)?, default)
        }
    };
    // SAFETY: the method descriptor checked the type.
    let made = unsafe { StreamFields::layout().extra(this) };
    let plain = made.is_none() && {
        // SAFETY: the type object is a static of the interpreter.
        name.type_ptr() == &raw mut ffi::PyUnicode_Type
    };
    if plain {
        if names::same(name, &names.peername) {
            return fields.ends.borrow().peer.to_python();
        }
        if names::same(name, &names.sockname) {
            return fields.ends.borrow().local.to_python();
        }
        if !names::same(name, &names.socket) {
            return Ok(default.map_or_else(none, Obj::own));
        }
    }
    let extra = get(this, fields)?;
    match default {
        Some(default) => extra.call_method(&names.get, &[name, default]),
        None => extra.call_method(&names.get, &[name]),
    }
}

/// `_extra`: a dictionary of all three answers, made now if it was not there.
pub(super) fn get(this: &Obj, fields: &StreamFields) -> Result<Owned> {
    let layout = StreamFields::layout();
    // SAFETY: the attribute descriptor checked the type.
    if let Some(extra) = unsafe { layout.extra(this) } {
        return Ok(extra);
    }
    let names = names::get();
    let (peer, local) = {
        let ends = fields.ends.borrow();
        (ends.peer.to_python()?, ends.local.to_python()?)
    };
    let shared = this.call_method(&names.share_socket, &[&*socket::get(this, fields)?])?;
    // SAFETY: the lock is held.
    let extra = unsafe { Owned::steal(ffi::PyDict_New())? };
    for (name, value) in [
        (&names.peername, &peer),
        (&names.socket, &shared),
        (&names.sockname, &local),
    ] {
        // SAFETY: three live objects.
        check(unsafe { ffi::PyDict_SetItem(extra.as_ptr(), name.as_ptr(), value.as_ptr()) })?;
    }
    // SAFETY: as above.
    drop(unsafe { layout.set_extra(this, Some(extra.clone())) });
    Ok(extra)
}

/// Sets `_extra`.
pub(super) fn set(this: &Obj, _: &StreamFields, value: Option<&Obj>) -> Result<()> {
    // SAFETY: the attribute descriptor checked the type.
    drop(unsafe { StreamFields::layout().set_extra(this, value.map(Obj::own)) });
    Ok(())
}
