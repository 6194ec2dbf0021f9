//! What the decisions promise, held against random histories.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod adaptive;
mod breaker;
mod clock;
mod gate;
mod limiter;
mod line;
mod retry_budget;
mod shedder;
mod waits;
mod window;
