//! What a loop did, and what can be read from it.
//!
//! The loop writes small [`Event`]s into a [`Ring`] and counts into [`Histogram`]s. When the recording ends, they become
//! one document, whose format `docs/reference/trace-format.md` fixes. Nothing here reads a clock: an event carries ticks,
//! and whoever makes the document says how many nanoseconds they are.
//!
//! | module | owns |
//! | --- | --- |
//! | [`event`] | one event, 40 bytes, and its words |
//! | [`record`] | an event, told again |
//! | [`ring`] | the newest events, up to a number |
//! | [`texts`] | names and messages, each kept once |
//! | [`sites`] | places in the code, each kept once |
//! | [`histogram`] | how long, how many: always on, fixed memory |
//! | [`document`] | the trace format: made from a recording, written, read |
//! | [`perfetto`] | the document as a trace for Perfetto |
//! | [`diagnoses`] | what the document says |
#![forbid(unsafe_code)]

pub mod diagnoses;
pub mod document;
pub mod event;
pub mod histogram;
mod lanes;
pub mod perfetto;
pub mod record;
pub mod ring;
pub mod sites;
pub mod texts;
pub mod words;

pub use document::build::{LiveTask, Recording, Waiting};
pub use document::refusal::Refusal;
pub use document::{Document, Index};
pub use event::Event;
pub use histogram::Histogram;
pub use record::Record;
pub use ring::Ring;
pub use sites::{SiteId, Sites, Stacks};
pub use texts::{TextId, Texts};
pub use words::{Ended, Kind, Outcome, WaitKind, Waker};
