//! The operating-system layer against the real kernel, one topic per file.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod clock;
mod net;
mod poller;
mod signal;
mod wake;
