//! Look-ups of hosts and services: `loop.getaddrinfo` and `loop.getnameinfo`.
//!
//! * [`pool`]: the threads that ask the C library.
//! * [`query`]: reading the arguments of `socket.getaddrinfo` and `socket.getnameinfo`.
//! * [`answer`]: the objects that those functions return and raise.
//! * [`lookups`]: the type that a loop has, and the functions that need no thread.
//!
//! Arguments that only `socket` itself should judge are left to it: the functions say `NotImplemented`.
//!
//! Invariant: a thread of the pool holds no Python object and never takes the interpreter lock.

mod answer;
mod lookups;
mod pool;
mod query;

pub(crate) use lookups::{init, register};
