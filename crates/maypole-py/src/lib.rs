//! The native module `maypole._maypole`.
//!
//! This crate is the only one that knows Python. Hot types are heap types of their own on the raw C API (`capi`); everything
//! else is safe PyO3.
//!
//! Invariant: the module needs the interpreter lock and says so; a second interpreter is refused by PyO3.
//! Invariant: no panic leaves the crate as anything but a Python exception.

mod address;
mod aio;
mod asyncio;
mod capi;
mod context;
mod event_loop;
mod flow;
mod future;
mod handle;
mod memory;
mod module;
mod observer;
mod resolver;
mod task;
mod thread_safe_handle;
mod transport;
