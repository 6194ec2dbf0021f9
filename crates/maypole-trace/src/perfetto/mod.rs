//! The document as a trace that Perfetto and `chrome://tracing` open.
//!
//! Owns [`from_json`] and [`write()`]. The program is the process. Its first thread is the loop: turns, with what ran in
//! them, and polls. Then a thread for each task, in the order of their creation, with slices for ready, running and
//! waiting. Arrows go from who woke to who was woken. Jobs of threads and pauses of the garbage collector have rows of
//! their own, cancellations, stalls and marks are instants, queue depth and utilisation are counters.

use std::io;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::document::Document;
use crate::document::refusal::Refusal;

mod event;
mod loop_rows;
mod nest;
mod task_rows;

use event::TraceEvent;

/// The thread of the loop.
const LOOP: u64 = 1;
/// The thread of the garbage collector's pauses.
const GC: u64 = 2;
/// The thread of task 0; task N is N further.
const TASKS: u64 = 1000;

/// Turns a document in JSON into a trace in JSON.
///
/// ```
/// let document = br#"{"format": "maypole-trace", "version": 1, "program": {"argv": ["app.py"], "pid": 7}}"#;
/// let trace = String::from_utf8(maypole_trace::perfetto::from_json(document)?)?;
/// assert!(trace.starts_with(r#"{"displayTimeUnit":"ns","traceEvents":[{"ph":"M","name":"process_name","pid":7,"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// What [`Document::parse`] refuses.
pub fn from_json(json: &[u8]) -> Result<Vec<u8>, Refusal> {
    let document = Document::parse(json)?;
    let mut trace = Vec::with_capacity(json.len());
    // A vector takes all; what it cannot take ends the process.
    write(&document, &mut trace).map_err(|error| Refusal::Broken(error.to_string()))?;
    Ok(trace)
}

/// Writes the trace of a document.
///
/// ```
/// use maypole_trace::{Document, perfetto};
///
/// let mut trace = Vec::new();
/// perfetto::write(&Document::default(), &mut trace)?;
/// assert!(trace.ends_with(b"]}"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// What `out` answers when it cannot be written.
pub fn write(document: &Document, out: impl io::Write) -> io::Result<()> {
    #[derive(Serialize)]
    #[allow(non_snake_case, reason = "the format's names")]
    struct Trace<'a> {
        displayTimeUnit: &'static str,
        traceEvents: Events<'a>,
    }
    let trace = Trace {
        displayTimeUnit: "ns",
        traceEvents: Events(document),
    };
    serde_json::to_writer(out, &trace).map_err(io::Error::from)
}

/// All events, made while they are written: a trace is several times its document.
struct Events<'a>(&'a Document);

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        let mut failure = None;
        every_event(self.0, &mut |event| {
            if failure.is_none() {
                failure = seq.serialize_element(&event).err();
            }
        });
        match failure {
            Some(error) => Err(error),
            None => seq.end(),
        }
    }
}

fn every_event(document: &Document, put: &mut dyn FnMut(TraceEvent)) {
    let program = Program::of(document);
    put(TraceEvent::new("M", "process_name", program.pid, LOOP).with("name", program.name.as_str()));
    let callbacks = loop_rows::put_loop(&program, put);
    loop_rows::put_counters(&program, put);
    loop_rows::put_jobs(&program, put);
    loop_rows::put_pauses(&program, put);
    loop_rows::put_instants(&program, put);
    task_rows::put_tasks(&program, put);
    task_rows::put_arrows(&program, &callbacks, put);
}

/// The document, and what every event of it says.
struct Program<'a> {
    document: &'a Document,
    pid: u64,
    name: String,
}

impl<'a> Program<'a> {
    fn of(document: &'a Document) -> Self {
        let pid = document
            .program
            .get("pid")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(1);
        let argv = document.program.get("argv").and_then(serde_json::Value::as_array);
        let words: Vec<_> = argv
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_str)
            .collect();
        let name = if words.is_empty() {
            "program".into()
        } else {
            words.join(" ")
        };
        Self { document, pid, name }
    }

    fn event(&self, ph: &'static str, name: impl Into<String>, tid: u64) -> TraceEvent {
        TraceEvent::new(ph, name, self.pid, tid)
    }

    /// Names a thread, and says where it stands.
    fn name_thread(&self, tid: u64, name: &str, put: &mut dyn FnMut(TraceEvent)) {
        put(self.event("M", "thread_name", tid).with("name", name));
        put(self.event("M", "thread_sort_index", tid).with("sort_index", tid));
    }

    fn slice(&self, tid: u64, name: impl Into<String>, begin_ns: u64, end_ns: u64) -> TraceEvent {
        self.event("X", name, tid).at(begin_ns).lasting(end_ns - begin_ns)
    }
}

/// The thread of a task.
const fn thread_of(task: u32) -> u64 {
    TASKS + task as u64
}
