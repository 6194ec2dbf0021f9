//! Rate limits: how fast, who is next, and when.

pub mod gcra;
pub mod limiter;
pub mod rule;
pub mod sliding_log;
