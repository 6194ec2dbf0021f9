//! A load generator that is bounded in time and count, and the servers that mark the floor.
//!
//! The program `maypole-load` opens connections to a server under measurement, keeps one request in flight on
//! each of them, checks every byte that comes back and prints one JSON object: requests, errors, latency, and
//! the CPU time the *server's* process spent meanwhile. It reads that CPU time itself, right before the first
//! measured request and right after the last, so that neither start-up nor accepting connections leaks into
//! the figure.
//!
//! `floor-epoll` and `floor-tokio` are echo servers without Python: what the machine can do at best.
//!
//! - [`options`] reads the command line; [`address`] is where the server listens
//! - [`stream`] is one TCP, Unix or TLS connection; [`exchange`] is what is sent and when a reply is complete
//! - [`fleet`] keeps many connections busy; [`datagram`] does the same for UDP
//! - [`subject`] reads the measured process; [`histogram`] and [`report`] hold what was seen
//!
//! Invariant: whatever the server does, the program ends at its deadline.

pub mod address;
pub mod datagram;
pub mod exchange;
pub mod fleet;
pub mod histogram;
pub mod options;
pub mod reactor;
pub mod report;
pub mod stream;
pub mod subject;
