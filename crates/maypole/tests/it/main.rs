//! What the crate promises, one topic per file.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod as_completed;
mod clock;
mod examples;
mod join;
mod log;
mod tasks;
mod tcp;
mod threads;
mod time;
mod timeout;
