//! The operating system under maypole: the one crate of the workspace with system calls.
//!
//! | file | what it owns |
//! |---|---|
//! | `poller.rs` | the contract of every poller: [`Event`], [`Timeout`] |
//! | `epoll.rs` | that contract on Linux: [`Poller`], [`Events`] |
//! | `wake.rs` | [`Waker`]: any thread or signal handler ends a wait |
//! | `signal.rs` | [`SignalPipe`]: signal numbers as bytes, for `signal.set_wakeup_fd` |
//! | `clock.rs` | [`monotonic_ns`] for deadlines, [`StampClock`] for traces |
//! | `turn_clock.rs` | [`TurnClock`]: the time between two polls |
//! | `counter.rs` | the processor's counter behind both, and its rate |
//! | `prefetch.rs` | [`prefetch`]: hints to the processor's caches |
//! | `net.rs` | [`net`]: TCP calls that never block |
//! | `datagram.rs` | [`datagram`]: datagrams and their addresses |
//! | `resolve.rs` | [`resolve`]: names of hosts and services |
//!
//! Invariant: descriptors made here are owned ([`std::os::fd::OwnedFd`]), close on drop, and are close-on-exec.
//! Invariant: no error of the system is swallowed; where one is taken as success, the place says why.
#[cfg(not(target_os = "linux"))]
compile_error!("maypole runs on Linux only: it needs epoll and eventfd");

mod clock;
mod counter;
pub mod datagram;
mod epoll;
pub mod net;
mod poller;
mod prefetch;
pub mod resolve;
mod signal;
pub mod stream;
mod turn_clock;
mod wake;

pub use clock::{StampClock, StampSource, monotonic_ns, stamp};
pub use epoll::{EVENTS_CAPACITY, Events, Poller};
pub use poller::{Event, Timeout};
pub use prefetch::prefetch;
pub use signal::SignalPipe;
pub use turn_clock::TurnClock;
pub use wake::Waker;
