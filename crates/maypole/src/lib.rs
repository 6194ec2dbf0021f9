//! The maypole event loop for Rust programs: `async fn` on one thread, with timers, tasks and TCP.
//!
//! The same turn, timer wheel and inbox that run Python's coroutines under `maypole.run` run Rust futures here, over
//! the same poller.
//!
//! ```
//! use std::time::Duration;
//!
//! let total = maypole::run_virtual(async {
//!     let task = maypole::spawn(async {
//!         maypole::sleep(Duration::from_secs(3600)).await; // no real time passes on the virtual clock
//!         40
//!     });
//!     task.await.expect("the task neither panics nor is cancelled") + 2
//! });
//! assert_eq!(total, 42);
//! ```
//!
//! | here | in asyncio | file |
//! |---|---|---|
//! | [`run`], [`Runtime`] | `asyncio.run`, `asyncio.Runner` | `runtime.rs` |
//! | [`spawn`], [`JoinHandle`] | `asyncio.create_task`, `asyncio.Task` | `task.rs` |
//! | [`join_all`] | `asyncio.gather` | `join.rs` |
//! | [`as_completed`] | `asyncio.as_completed` | `as_completed.rs` |
//! | [`sleep`], [`sleep_until`], [`yield_now`] | `asyncio.sleep` | `time.rs`, `task.rs` |
//! | [`timeout`] | `asyncio.wait_for` | `timeout.rs` |
//! | [`TcpListener`], [`TcpStream`] | `asyncio.start_server`, `asyncio.open_connection` | `tcp.rs` |
//!
//! # Cancellation
//! To cancel a future, drop it: timers and waiting reads go with it. A spawned task belongs to the loop, so dropping
//! its [`JoinHandle`] detaches it; [`JoinHandle::abort`] makes the loop drop it.
//!
//! # Threads
//! A loop runs on the thread that calls [`run`]; futures need not be `Send`. Wakers may go to any thread.
#![forbid(unsafe_code)]

mod as_completed;
mod child_set;
mod current;
mod join;
mod reactor;
mod runtime;
mod scheduler;
mod source;
mod task;
mod tcp;
mod time;
mod timeout;
mod wake;

pub use as_completed::{AsCompleted, as_completed};
pub use current::LoopMissing;
pub use join::join_all;
pub use runtime::{Builder, Runtime, run, run_virtual};
pub use task::{JoinError, JoinHandle, spawn, try_spawn, yield_now};
pub use tcp::{TcpListener, TcpStream};
pub use time::{Instant, Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, timeout};
