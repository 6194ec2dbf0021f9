//! What each task did, moment by moment: ready, running, waiting.
//!
//! Owns [`Lane`] and [`Span`]. The document tells steps and waits apart; here they are laid end to end, once for all who
//! ask.
//!
//! Invariant: the spans of a lane are in order and do not overlap.

use std::collections::HashMap;

use crate::document::group::{Step, Task, Wait};
use crate::document::{Document, NONE};
use crate::words::WaitKind;

/// What a task is at, for a while.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum State {
    /// It could run, and others did.
    Ready(Step),
    /// It runs.
    Running(Step),
    /// It waits; `begin_ns` of the wait may lie before the span.
    Waiting(Wait),
}

/// A state and how long it lasted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Span {
    pub(crate) begin_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) state: State,
}

impl Span {
    pub(crate) const fn duration_ns(&self) -> u64 {
        self.end_ns - self.begin_ns
    }
}

/// A task and its spans.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Lane {
    pub(crate) task: Task,
    pub(crate) spans: Vec<Span>,
}

/// The lanes of all tasks, in the order of the document's tasks.
pub(crate) fn lanes(document: &Document) -> Vec<Lane> {
    let rows: HashMap<u32, usize> = document
        .tasks
        .rows()
        .enumerate()
        .map(|(row, task)| (task.id, row))
        .collect();
    let mut steps: Vec<Vec<Step>> = vec![Vec::new(); rows.len()];
    let mut waits: Vec<Vec<Wait>> = vec![Vec::new(); rows.len()];
    for step in document.steps.rows() {
        if let Some(&row) = rows.get(&step.task) {
            steps[row].push(step);
        }
    }
    for wait in document.waits.rows() {
        if let Some(&row) = rows.get(&wait.task) {
            waits[row].push(wait);
        }
    }
    let both = steps.into_iter().zip(waits);
    document
        .tasks
        .rows()
        .zip(both)
        .map(|(task, (steps, waits))| lane(document, task, &steps, &waits))
        .collect()
}

fn lane(document: &Document, task: Task, steps: &[Step], waits: &[Wait]) -> Lane {
    let mut spans = Spans {
        until: None,
        spans: Vec::with_capacity(3 * steps.len() + 1),
    };
    let mut waits = waits;
    for step in steps {
        let (before, after) = waits.split_at(waits.partition_point(|wait| wait.begin_ns <= step.begin_ns));
        waits = after;
        spans.waiting(task.id, before, step.ready_ns);
        spans.add(step.ready_ns, step.begin_ns, State::Ready(*step));
        spans.add(step.begin_ns, step.end_ns, State::Running(*step));
    }
    // What is done waits for nothing more.
    if task.ended_ns < 0 {
        spans.waiting(task.id, waits, document.duration_ns);
    }
    Lane {
        task,
        spans: spans.spans,
    }
}

struct Spans {
    /// The end of the newest span; none before the first.
    until: Option<u64>,
    spans: Vec<Span>,
}

impl Spans {
    fn add(&mut self, begin_ns: u64, end_ns: u64, state: State) {
        let begin_ns = begin_ns.max(self.until.unwrap_or(0));
        // A run is told even when the clock did not move; a state that nobody was in is not.
        if begin_ns < end_ns || (begin_ns == end_ns && matches!(state, State::Running(_))) {
            self.spans.push(Span {
                begin_ns,
                end_ns,
                state,
            });
            self.until = Some(end_ns);
        }
    }

    /// The waits from the end of the step before to `ready_ns`, the first of them from that end on.
    fn waiting(&mut self, task: u32, waits: &[Wait], ready_ns: u64) {
        let unknown = Wait {
            task,
            begin_ns: self.until.unwrap_or(0),
            kind: WaitKind::Unknown,
            site: NONE,
            on_task: 0,
            operation: NONE,
        };
        if waits.is_empty() && self.until.is_some() {
            self.add(unknown.begin_ns, ready_ns, State::Waiting(unknown));
        }
        for (index, wait) in waits.iter().enumerate() {
            let begin_ns = if index == 0 {
                self.until.unwrap_or(wait.begin_ns)
            } else {
                wait.begin_ns
            };
            let end_ns = waits
                .get(index + 1)
                .map_or(ready_ns, |next| next.begin_ns.min(ready_ns));
            self.add(begin_ns, end_ns, State::Waiting(*wait));
        }
    }
}
