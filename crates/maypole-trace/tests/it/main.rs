//! What a recording promises, held against random events.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod building;
mod diagnoses;
mod event;
mod histogram;
mod perfetto;
mod reading;
mod recorded;
mod ring;
mod texts;
