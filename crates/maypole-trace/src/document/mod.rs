//! The document of the trace format, version 1: `docs/reference/trace-format.md`.
//!
//! Owns [`Document`]. [`build`] makes one from a recording, [`Document::write_json`] writes it, [`Document::parse`] reads
//! one back and refuses what is none.

use std::collections::HashMap;
use std::io;

use serde::{Deserialize, Serialize};

pub mod build;
mod draft;
pub mod group;
mod read;
pub mod refusal;

use group::{
    Callbacks, Cancels, Executor, Gc, Io, Marks, Polls, Site, Sites, Stalls, Steps, Tasks, Timers, Turns,
    Waits,
};

/// The name of the format.
pub const FORMAT: &str = "maypole-trace";
/// The version written and read here.
pub const VERSION: u64 = 1;

/// A row of `strings` or `sites`; [`NONE`] for none.
pub type Index = i32;
/// No row.
pub const NONE: Index = -1;

/// What a program did, as the trace format tells it.
///
/// ```
/// use maypole_trace::Document;
///
/// let mut written = Vec::new();
/// Document::default().write_json(&mut written)?;
/// assert!(written.starts_with(br#"{"format":"maypole-trace","version":1,"program":{},"#));
/// assert_eq!(Document::parse(&written)?, Document::default());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(missing_docs, reason = "the format's groups, each described at its type")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Document {
    format: String,
    version: u64,
    /// What ran.
    pub program: serde_json::Map<String, serde_json::Value>,
    /// How long was recorded.
    pub duration_ns: u64,
    /// Whether the end of the program is in it.
    pub complete: bool,
    /// What the ring overwrote, the oldest first.
    pub dropped_events: u64,
    /// Every text once.
    pub strings: Vec<String>,
    pub sites: Sites,
    pub tasks: Tasks,
    pub steps: Steps,
    pub waits: Waits,
    pub callbacks: Callbacks,
    pub turns: Turns,
    pub polls: Polls,
    pub timers: Timers,
    pub io: Io,
    pub executor: Executor,
    pub gc: Gc,
    pub cancels: Cancels,
    pub stalls: Stalls,
    pub marks: Marks,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            program: serde_json::Map::new(),
            duration_ns: 0,
            complete: true,
            dropped_events: 0,
            strings: Vec::new(),
            sites: Sites::default(),
            tasks: Tasks::default(),
            steps: Steps::default(),
            waits: Waits::default(),
            callbacks: Callbacks::default(),
            turns: Turns::default(),
            polls: Polls::default(),
            timers: Timers::default(),
            io: Io::default(),
            executor: Executor::default(),
            gc: Gc::default(),
            cancels: Cancels::default(),
            stalls: Stalls::default(),
            marks: Marks::default(),
        }
    }
}

impl Document {
    /// Writes the document, without spaces, the groups in the order of the format's example.
    ///
    /// # Errors
    ///
    /// What `out` answers when it cannot be written.
    pub fn write_json(&self, out: impl io::Write) -> io::Result<()> {
        serde_json::to_writer(out, self).map_err(io::Error::from)
    }

    /// The text of a row of `strings`; `""` for none.
    #[must_use]
    pub fn string(&self, index: Index) -> &str {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.strings.get(index))
            .map_or("", String::as_str)
    }

    /// The row of `sites`; None for none.
    #[must_use]
    pub fn site(&self, index: Index) -> Option<Site> {
        let index = usize::try_from(index).ok()?;
        (index < self.sites.len()).then(|| self.sites.row(index))
    }

    /// `app.py:12 main` for a row of `sites`; `""` for none.
    pub(crate) fn site_text(&self, index: Index) -> String {
        self.site(index).map_or_else(String::new, |site| {
            format!(
                "{}:{} {}",
                self.string(site.file),
                site.line,
                self.string(site.function)
            )
        })
    }

    /// For people: each task's name and coroutine function.
    pub(crate) fn task_names(&self) -> HashMap<u32, String> {
        let name_of = |task: &group::Task| {
            let function = self
                .site(task.function)
                .map_or("", |site| self.string(site.function));
            match (self.string(task.name), function) {
                ("", "") => format!("task {}", task.id),
                ("", function) => format!("task {} {function}", task.id),
                (name, "") => name.to_owned(),
                (name, function) => format!("{name} {function}"),
            }
        };
        self.tasks.rows().map(|task| (task.id, name_of(&task))).collect()
    }
}
