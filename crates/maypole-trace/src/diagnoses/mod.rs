//! What a document says: where time went, what held the loop, what is lost, who is slow, and whether Little's law holds.
//!
//! Owns [`Diagnoses`], [`of`] and [`from_json`]. Everything is computed from the document alone, and told in words: names
//! and places, no indices. Times are nanoseconds since the recording began.

use std::cmp::Reverse;

use serde::Serialize;

use crate::document::Document;
use crate::document::refusal::Refusal;
use crate::histogram::Histogram;
use crate::lanes::lanes;

mod holding;
mod law;
mod lost;
mod people;
mod queues;
mod tally;

pub use holding::{Contributor, LongRun, LongTurn, StallReport};
pub use law::Law;
pub use lost::{PendingTask, PendingWait};
pub use people::{Named, Place};
pub use queues::{Consumer, SlowConsumer};
pub use tally::{FunctionSummary, SlowStep, Tally, TaskSummary};

use people::People;

/// What counts as long, and how much is told.
///
/// ```
/// use maypole_trace::diagnoses::Settings;
///
/// assert_eq!(Settings::default().long_run_ns, 10_000_000);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// A run of at least this long holds the loop.
    pub long_run_ns: u64,
    /// How many long turns and long runs are told.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            long_run_ns: 10_000_000,
            most: 20,
        }
    }
}

/// Everything.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Diagnoses {
    /// The loop itself.
    #[serde(rename = "loop")]
    pub event_loop: LoopSummary,
    /// Each coroutine function, the busiest first.
    pub functions: Vec<FunctionSummary>,
    /// Each task, in the order of their creation.
    pub tasks: Vec<TaskSummary>,
    /// How many tasks there are, also when not all are told.
    pub tasks_in_all: u64,
    /// The longest batches.
    pub long_turns: Vec<LongTurn>,
    /// The longest runs without an await: hidden blocking.
    pub long_runs: Vec<LongRun>,
    /// What a watchdog saw.
    pub stalls: Vec<StallReport>,
    /// Tasks that are not done, the one that waits longest first.
    pub pending: Vec<PendingTask>,
    /// Producers held up by consumers.
    pub slow_consumers: Vec<SlowConsumer>,
    /// Little's law, for each coroutine function.
    pub laws: Vec<Law>,
}

/// The loop as a whole.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LoopSummary {
    /// The first moment that is known: 0, or where the oldest kept event began.
    pub from_ns: u64,
    /// The last.
    pub to_ns: u64,
    /// Events that the ring overwrote.
    pub dropped_events: u64,
    /// Time in batches.
    pub busy_ns: u64,
    /// Time in the poller.
    pub polling_ns: u64,
    /// The share of the time in batches.
    pub utilisation: f64,
    /// Batches.
    pub turns: u64,
    /// Runs of coroutines.
    pub steps: u64,
    /// Runs of callbacks.
    pub callbacks: u64,
    /// How long ready tasks and callbacks waited for their turn. A quantile that the runs are too few for is none.
    pub ready_p50_ns: Option<u64>,
    /// The same.
    pub ready_p99_ns: Option<u64>,
    /// The longest.
    pub ready_max_ns: u64,
    /// Time in pauses of the garbage collector.
    pub gc_ns: u64,
}

/// Reads a document in JSON and tells everything about it as JSON, with the hundred most notable tasks.
///
/// ```
/// let said = maypole_trace::diagnoses::from_json(br#"{"format": "maypole-trace", "version": 1}"#)?;
/// assert!(said.starts_with(r#"{"loop":{"from_ns":0,"#));
/// # Ok::<(), maypole_trace::Refusal>(())
/// ```
///
/// # Errors
///
/// What [`Document::parse`] refuses.
pub fn from_json(json: &[u8]) -> Result<String, Refusal> {
    let mut diagnoses = of(&Document::parse(json)?, &Settings::default());
    diagnoses.shorten(100);
    serde_json::to_string(&diagnoses).map_err(|error| Refusal::Broken(error.to_string()))
}

/// Everything about a document.
///
/// ```
/// use maypole_trace::{Document, diagnoses};
///
/// let said = diagnoses::of(&Document::default(), &diagnoses::Settings::default());
/// assert!(said.pending.is_empty());
/// ```
#[must_use]
pub fn of(document: &Document, settings: &Settings) -> Diagnoses {
    let lanes = lanes(document);
    let people = People::of(document);
    let event_loop = summary(document);
    let tasks = tally::tasks(document, &lanes, &people);
    Diagnoses {
        functions: tally::functions(&lanes, &tasks, &people),
        tasks_in_all: tasks.len() as u64,
        tasks,
        long_turns: holding::long_turns(document, &people, settings.most),
        long_runs: holding::long_runs(document, &people, settings.long_run_ns, settings.most),
        stalls: holding::stalls(document, &people),
        pending: lost::pending(document, &lanes, &people),
        slow_consumers: queues::slow_consumers(document, &lanes, &people),
        laws: law::laws(document, &people, event_loop.from_ns),
        event_loop,
    }
}

impl Diagnoses {
    /// Keeps, of the tasks, the `most` with the slowest step, that were busiest, that waited longest, that switched most;
    /// and of the pending ones the first `most`.
    pub fn shorten(&mut self, most: usize) {
        let orders: [fn(&TaskSummary) -> u64; 4] = [
            |task| {
                task.tally
                    .slowest
                    .as_ref()
                    .map_or(0, |slowest| slowest.duration_ns)
            },
            |task| task.tally.busy_ns,
            |task| task.tally.waited_ns,
            |task| task.tally.steps,
        ];
        let mut kept = vec![false; self.tasks.len()];
        for order in orders {
            let mut rows: Vec<usize> = (0..self.tasks.len()).collect();
            rows.sort_by_key(|row| Reverse(order(&self.tasks[*row])));
            rows.iter().take(most).for_each(|row| kept[*row] = true);
        }
        let mut kept = kept.into_iter();
        self.tasks.retain(|_| kept.next().unwrap_or(false));
        self.pending.truncate(most);
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a share: a rounded nanosecond does not matter"
)]
fn summary(document: &Document) -> LoopSummary {
    let span = |begin_ns: u64, end_ns: u64| end_ns.saturating_sub(begin_ns);
    let mut ready = Histogram::new();
    document
        .steps
        .rows()
        .for_each(|row| ready.record(span(row.ready_ns, row.begin_ns)));
    document
        .callbacks
        .rows()
        .for_each(|row| ready.record(span(row.ready_ns, row.begin_ns)));
    let (from_ns, to_ns) = (first_moment(document), document.duration_ns);
    let busy_ns = sum(document.turns.rows().map(|row| span(row.begin_ns, row.end_ns)));
    LoopSummary {
        from_ns,
        to_ns,
        dropped_events: document.dropped_events,
        busy_ns,
        polling_ns: sum(document.polls.rows().map(|row| span(row.begin_ns, row.end_ns))),
        utilisation: busy_ns as f64 / span(from_ns, to_ns).max(1) as f64,
        turns: document.turns.len() as u64,
        steps: document.steps.len() as u64,
        callbacks: document.callbacks.len() as u64,
        ready_p50_ns: ready.quantile(0.5),
        ready_p99_ns: ready.quantile(0.99),
        ready_max_ns: ready.max(),
        gc_ns: sum(document.gc.rows().map(|row| span(row.begin_ns, row.end_ns))),
    }
}

/// Where the known begins: what the ring overwrote is the oldest.
fn first_moment(document: &Document) -> u64 {
    if document.dropped_events == 0 {
        return 0;
    }
    let steps = document.steps.rows().map(|row| row.begin_ns);
    let turns = document.turns.rows().map(|row| row.begin_ns);
    let polls = document.polls.rows().map(|row| row.begin_ns);
    let callbacks = document.callbacks.rows().map(|row| row.begin_ns);
    let first = [steps.min(), turns.min(), polls.min(), callbacks.min()]
        .into_iter()
        .flatten()
        .min();
    first.unwrap_or(document.duration_ns)
}

/// Times of a document that somebody made up may be as large as they like.
fn add(total: &mut u64, ns: u64) {
    *total = total.saturating_add(ns);
}

fn sum(times: impl Iterator<Item = u64>) -> u64 {
    times.fold(0, u64::saturating_add)
}
