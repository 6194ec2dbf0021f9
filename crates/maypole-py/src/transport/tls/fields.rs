//! The attributes of a TLS protocol, under the names that asyncio's code reads and sets.

use std::ffi::CStr;

use pyo3::ffi;

use super::{TlsProtocol, names};
use crate::capi::class::{Class, getter, setter};
use crate::capi::object::{boolean, none};
use crate::capi::{Obj, Owned, Result, call};

struct Attribute {
    name: &'static CStr,
    get: ffi::getter,
    set: ffi::setter,
}

/// An object.
macro_rules! reference {
    ($name:literal, $field:ident) => {{
        fn read(this: &TlsProtocol) -> Result<Owned> {
            Ok(this.$field.get_or_none())
        }
        fn write(this: &TlsProtocol, value: Option<&Obj>) -> Result<()> {
            drop(this.$field.replace(value.map(Obj::own)));
            Ok(())
        }
        Attribute {
            name: $name,
            get: getter!(TlsProtocol, read),
            set: setter!(TlsProtocol, write),
        }
    }};
}

/// A truth value.
macro_rules! flag {
    ($name:literal, $field:ident) => {{
        fn read(this: &TlsProtocol) -> Result<Owned> {
            Ok(boolean(this.$field.get()))
        }
        fn write(this: &TlsProtocol, value: Option<&Obj>) -> Result<()> {
            this.$field.set(value.map_or(Ok(false), Obj::truthy)?);
            Ok(())
        }
        Attribute {
            name: $name,
            get: getter!(TlsProtocol, read),
            set: setter!(TlsProtocol, write),
        }
    }};
}

/// A number of bytes.
macro_rules! size {
    ($name:literal, $field:ident) => {{
        fn read(this: &TlsProtocol) -> Result<Owned> {
            call::unsigned(this.$field.get() as u64)
        }
        fn write(this: &TlsProtocol, value: Option<&Obj>) -> Result<()> {
            this.$field.set(bytes(value)?);
            Ok(())
        }
        Attribute {
            name: $name,
            get: getter!(TlsProtocol, read),
            set: setter!(TlsProtocol, write),
        }
    }};
}

fn bytes(value: Option<&Obj>) -> Result<usize> {
    let size = value.map_or(Ok(0), Obj::as_i64)?;
    Ok(usize::try_from(size).unwrap_or(0))
}

fn state(this: &TlsProtocol) -> Result<Owned> {
    Ok(this.state_member.get_or_none())
}

fn set_state(this: &TlsProtocol, value: Option<&Obj>) -> Result<()> {
    let member = value.map_or_else(none, Obj::own);
    this.state.set(names::state_of(&member));
    this.state_member.set(member);
    Ok(())
}

fn ssl_object(this: &TlsProtocol) -> Result<Owned> {
    Ok(this.ssl_object.get_or_none())
}

fn set_ssl_object(this: &TlsProtocol, value: Option<&Obj>) -> Result<()> {
    let engine = value.map(names::engine_of).transpose()?;
    let old = (
        this.engine.replace(engine),
        this.ssl_object.replace(value.map(Obj::own)),
    );
    drop(old);
    Ok(())
}

pub(super) fn declare(class: Class) -> Class {
    let attributes = [
        reference!(c"_app_protocol", app_protocol),
        reference!(c"_transport", transport),
        reference!(c"_incoming", incoming),
        reference!(c"_outgoing", outgoing),
        reference!(c"_write_backlog", backlog),
        size!(c"_write_buffer_size", backlog_size),
        size!(c"_incoming_high_water", incoming_high_water),
        size!(c"_incoming_low_water", incoming_low_water),
        size!(c"_outgoing_high_water", outgoing_high_water),
        size!(c"_outgoing_low_water", outgoing_low_water),
        flag!(c"_app_protocol_is_buffer", app_buffered),
        flag!(c"_app_reading_paused", app_reading_paused),
        flag!(c"_app_writing_paused", app_writing_paused),
        flag!(c"_ssl_reading_paused", ssl_reading_paused),
        flag!(c"_ssl_writing_paused", ssl_writing_paused),
        Attribute {
            name: c"_state",
            get: getter!(TlsProtocol, state),
            set: setter!(TlsProtocol, set_state),
        },
        Attribute {
            name: c"_sslobj",
            get: getter!(TlsProtocol, ssl_object),
            set: setter!(TlsProtocol, set_ssl_object),
        },
    ];
    attributes.into_iter().fold(class, |class, attribute| {
        class.attribute(attribute.name, attribute.get, Some(attribute.set))
    })
}
