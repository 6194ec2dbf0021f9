//! What a recording promises, held against random events.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod event;
mod histogram;
mod ring;
mod texts;
