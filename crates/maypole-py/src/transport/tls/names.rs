//! What is taken from `ssl` and `asyncio.sslproto`, imported once.

use super::State;
use crate::capi::call::{import_from, text};
use crate::capi::cell::GilOnce;
use crate::capi::error::current_is;
use crate::capi::{Obj, Owned, Result};

pub(super) struct Ssl {
    /// The members of `asyncio.sslproto.SSLProtocolState`, by the value of [`State`].
    states: [Owned; 5],
    /// Nothing, in a Python without `ssl`: it makes no engine either.
    engine: Option<EngineTypes>,
}

struct EngineTypes {
    /// `ssl.SSLObject`, a thin Python class around an object of C.
    ssl_object: Owned,
    /// The class of that object.
    inner: Owned,
    /// `ssl.SSLWantReadError` and `ssl.SSLSyscallError`: try again when more bytes have come.
    again: [Owned; 2],
}

static SSL: GilOnce<Ssl> = GilOnce::new();

pub(super) fn init() -> Result<()> {
    let states = import_from("asyncio.sslproto", "SSLProtocolState")?;
    let state = |name: &str| states.get_attr(&*text(name)?);
    let has_ssl = !import_from("asyncio.sslproto", "ssl")?.is_none();
    SSL.set(Ssl {
        states: [
            state("UNWRAPPED")?,
            state("DO_HANDSHAKE")?,
            state("WRAPPED")?,
            state("FLUSHING")?,
            state("SHUTDOWN")?,
        ],
        engine: has_ssl.then(EngineTypes::import).transpose()?,
    });
    Ok(())
}

impl EngineTypes {
    fn import() -> Result<EngineTypes> {
        Ok(EngineTypes {
            ssl_object: import_from("ssl", "SSLObject")?,
            inner: import_from("_ssl", "_SSLSocket")?,
            again: [
                import_from("ssl", "SSLWantReadError")?,
                import_from("ssl", "SSLSyscallError")?,
            ],
        })
    }
}

/// The state that a member of `SSLProtocolState` names.
pub(super) fn state_of(member: &Obj) -> State {
    const BY_VALUE: [State; 5] = [
        State::Unwrapped,
        State::Handshake,
        State::Wrapped,
        State::Flushing,
        State::Shutdown,
    ];
    let found = SSL.get().states.iter().position(|state| state.is(member));
    found.map_or(State::Unwrapped, |value| BY_VALUE[value])
}

/// What to call `read` and `write` on: an `ssl.SSLObject` only passes both on to the object inside it.
///
/// A subclass may do more than that, so it is called itself.
pub(super) fn engine_of(ssl_object: &Obj) -> Result<Owned> {
    let Some(types) = &SSL.get().engine else {
        return Ok(ssl_object.own());
    };
    if ssl_object.type_ptr().cast() == types.ssl_object.as_ptr() {
        let inner = ssl_object.get_attr(&crate::capi::names::get().sslobj)?;
        if inner.type_ptr().cast() == types.inner.as_ptr() {
            return Ok(inner);
        }
    }
    Ok(ssl_object.own())
}

/// Whether the current exception says that the engine needs more bytes.
#[cold]
pub(super) fn current_is_again() -> bool {
    let types = SSL.get().engine.as_ref();
    types.is_some_and(|types| types.again.iter().any(|kind| current_is(kind.as_ptr())))
}
