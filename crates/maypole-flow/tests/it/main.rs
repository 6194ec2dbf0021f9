//! What the decisions promise, held against random histories.

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
