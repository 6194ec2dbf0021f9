//! The turn of an event loop, pure: no operating system, no Python, no clock.
//!
//! A *turn* is one trip round the loop: collect what became ready, run each item of that batch once, wait for more.
//! Everything here is a plain value. The caller brings the time as a number of nanoseconds and the events as
//! calls, so the same turn runs under a poller of the operating system, under a virtual clock, and in tests.
//!
//! ```text
//!  enqueue ───────────────▶ READY QUEUE ──begin(now)──▶ batch ──take()──▶ the caller runs it
//!  schedule ──▶ TIMER WHEEL ──due at now──▲
//!  other threads ──▶ INBOX ──────────────▶│
//!  poller's event ──▶ SOURCES (key ▶ reader, writer) ──▶│            wait(now) ──▶ how long to poll
//! ```
//!
//! | module | owns |
//! | --- | --- |
//! | [`turn`] | one turn: the ready queue, the timers, and the rules between them |
//! | [`ready`] | the queue and its batches |
//! | [`timers`] | the timing wheel |
//! | [`interest`] | for what a descriptor is watched |
//! | [`sources`] | which descriptors are watched, for whom |
//! | [`inbox`] | what other threads push, and when they must ring |
//! | [`virtual_clock`] | a clock that jumps when nothing can run |
//! | [`ties`] | another order among equal timers, from a seed |
//! | [`key`] | names that never reach a stranger |
//! | [`time`] | seconds and nanoseconds |
//!
//! # A whole loop
//!
//! Two callbacks and a timer, on a clock that is a number:
//!
//! ```
//! use maypole_core::{Turn, Wait};
//!
//! let mut turn = Turn::new();
//! let mut now_ns = 0;
//! let mut log = Vec::new();
//!
//! turn.enqueue("hello");
//! turn.schedule(5_000, "timer");
//! turn.enqueue("world");
//!
//! loop {
//!     match turn.wait(now_ns) {
//!         Wait::Poll => {}
//!         Wait::Until(wake_ns) => now_ns = wake_ns, // a real driver waits in its poller
//!         Wait::Forever => break,                   // nothing left to do
//!     }
//!     turn.polled(now_ns);
//!     turn.begin(now_ns);
//!     while let Some(name) = turn.take() {
//!         log.push((now_ns, name));
//!     }
//! }
//! assert_eq!(log, [(0, "hello"), (0, "world"), (5_000, "timer")]);
//! ```
//!
//! # Rules
//!
//! Items may be anything, and dropping one may run foreign code that comes back to the same loop. So no method drops an
//! item: what is cancelled, replaced or drained is returned, and the caller drops it when it holds no borrow.
#![forbid(unsafe_code)]

pub mod inbox;
pub mod interest;
pub mod key;
pub mod ready;
pub mod sources;
pub mod ties;
pub mod time;
pub mod timers;
pub mod turn;
pub mod virtual_clock;

pub use inbox::Inbox;
pub use interest::{Change, Interest};
pub use key::{Key, Slots};
pub use ready::ReadyQueue;
pub use sources::{Registration, Removal, Sources};
pub use ties::Ties;
pub use time::{NEVER_NS, deadline_ns, seconds};
pub use timers::Wheel;
pub use turn::{COALESCE_NS, DENSE_GAP_NS, DENSE_TIMERS_MIN, POLL_BUDGET_NS, POLL_SKIPS_MAX, Turn, Wait};
pub use virtual_clock::{Idle, Spin, VIRTUAL_START_NS, VirtualClock};
