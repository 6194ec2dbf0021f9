//! Who may go on, and when: pure decisions for rate limits, breakers, bulkheads, adaptive limits and retry budgets.
//!
//! Everything here is a plain value. The caller brings the time as a number of nanoseconds on a clock of its own, and the
//! tasks that wait as values that come back when it is their turn; so the same decision serves a Python future, a Rust
//! waker and a test. Nothing reads a clock, starts a thread or draws a random number that was not seeded.
//!
//! | module | owns |
//! | --- | --- |
//! | [`rate`] | how fast: a bucket, a window, and the line before them |
//! | [`breaker`] | whether to call at all |
//! | [`gate`] | how many at once |
//! | [`limit`] | how many at once, found while the program runs |
//! | [`retry_budget`] | how much may be retried |
//! | [`shedder`] | whether to take on more work |
//! | [`mod@line`] | a line of those who wait |
//! | [`clock`] | a time line over clocks that start over |
//! | [`waits`] | how long things took |
//!
//! # Rules
//!
//! A value that waits may be anything, and dropping it may run foreign code. So no method drops one: what leaves the
//! line is returned.
#![forbid(unsafe_code)]

pub mod breaker;
pub mod clock;
pub mod gate;
pub mod invalid;
pub mod limit;
pub mod line;
mod random;
pub mod rate;
pub mod retry_budget;
pub mod shedder;
pub mod waits;

pub use breaker::machine::Breaker;
pub use breaker::settings::{BreakerSettings, WindowKind};
pub use breaker::state::{Admission, Blocked, BreakerState, Calls, Reason, Transition};
pub use breaker::window::Tallies;
pub use clock::Monotone;
pub use gate::{Gate, GateTally, Group};
pub use invalid::Invalid;
pub use limit::concurrency::{AdaptiveLimit, AdaptiveSettings, Algorithm, Sample};
pub use line::{Line, Ticket};
pub use rate::gcra::Gcra;
pub use rate::limiter::{Limiter, Refused, Served, Tally};
pub use rate::rule::Rule;
pub use rate::sliding_log::SlidingLog;
pub use retry_budget::RetryBudget;
pub use shedder::Shedder;
pub use waits::Waits;
