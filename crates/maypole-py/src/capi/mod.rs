//! The one audited layer over the raw C API of CPython.
//!
//! Everything hot in maypole (loop, handles, tasks, futures, transports) is a heap type of its own, because a `METH_FASTCALL`
//! method costs half of a generated one. The price is unsafe code, and this folder is where most of it lives:
//!
//! * [`object`]: `Obj`, a borrowed Python object, and `Owned`, a strong reference; together they carry the proof that the
//!   interpreter lock is held.
//! * [`call`]: calls, attributes, items.
//! * [`error`]: raising, taking and restoring Python exceptions; [`Raised`] is the error type of the crate.
//! * [`field`]: a reference inside the memory of an object.
//! * [`class`]: building heap types and the trampolines through which Python enters Rust.
//! * [`class_cache`]: a quick check of classes that Python code subclasses.
//! * [`args`]: reading the arguments of a fast call.
//! * [`names`]: interned strings.
//! * [`cell`]: process-wide values protected by the interpreter lock.
//! * [`nesting`]: freeing long chains without a stack frame for each link.
//! * [`pool`]: memory of dead objects, kept for the next ones.
//! * `signature`: what `inspect.signature` says of native methods; `plain_function`: of a Python function, read from its code.
//! * [`last_calls`]: calls from which a thread may not return, because the interpreter ends.
//! * [`member`]: the places of `__slots__` inside objects of pure Python classes.
//!
//! Invariant: an `Obj` or `Owned` exists only on a thread that holds the interpreter lock; [`crate::event_loop`]'s wait is the one
//! place that gives the lock up, and it holds neither.
//! Invariant: no panic crosses into C; every entry goes through [`class::enter`].

pub(crate) mod args;
pub(crate) mod call;
pub(crate) mod cell;
pub(crate) mod class;
pub(crate) mod class_cache;
pub(crate) mod error;
pub(crate) mod field;
pub(crate) mod last_calls;
pub(crate) mod member;
pub(crate) mod names;
pub(crate) mod nesting;
pub(crate) mod object;
mod plain_function;
pub(crate) mod pool;
mod signature;

pub(crate) use args::Args;
pub(crate) use error::{Raised, Result};
pub(crate) use field::Field;
pub(crate) use object::{Obj, Owned};
