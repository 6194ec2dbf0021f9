//! Tasks that are not done at the end, and what they wait for.

use std::cmp::Reverse;

use serde::Serialize;

use super::people::{Named, People, Place};
use crate::document::Document;
use crate::lanes::{Lane, State};
use crate::words::{Outcome, WaitKind};

/// A task that is pending when the recording ends.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PendingTask {
    /// Who.
    #[serde(flatten)]
    pub task: Named,
    /// Its coroutine function.
    pub function: Option<Place>,
    /// The line that made it.
    pub created_at: Option<Place>,
    /// How long it has lived.
    pub age_ns: u64,
    /// Who made it, and who made that one.
    pub ancestry: Vec<Named>,
    /// How often it ran in the recording.
    pub steps: u64,
    /// What it waits for; none when it runs, is ready or never began.
    pub waiting: Option<PendingWait>,
}

/// What a task waits for at the end.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PendingWait {
    /// For what.
    pub kind: WaitKind,
    /// For how long already.
    pub waited_ns: u64,
    /// The line that waits.
    pub at: Option<Place>,
    /// The call that waits: of a queue, `put` or `get`; empty when it is not known.
    pub operation: String,
    /// The task waited for. Who waits for nobody stands at the root of those that wait for it.
    pub on_task: Option<Named>,
}

/// Every pending task, the one that waits longest first.
pub(super) fn pending(document: &Document, lanes: &[Lane], people: &People<'_>) -> Vec<PendingTask> {
    let alive = lanes.iter().filter(|lane| lane.task.outcome == Outcome::Pending);
    let mut pending: Vec<_> = alive.map(|lane| describe(document, lane, people)).collect();
    let waited = |task: &PendingTask| task.waiting.as_ref().map(|waiting| waiting.waited_ns);
    pending.sort_by_key(|task| Reverse(waited(task)));
    pending
}

fn describe(document: &Document, lane: &Lane, people: &People<'_>) -> PendingTask {
    let waiting = lane.spans.last().and_then(|span| match span.state {
        State::Waiting(wait) => Some(PendingWait {
            kind: wait.kind,
            waited_ns: span.duration_ns(),
            at: people.place(wait.site),
            operation: document.string(wait.operation).to_owned(),
            on_task: people.named(wait.on_task),
        }),
        _ => None,
    });
    PendingTask {
        task: Named {
            id: lane.task.id,
            name: document.string(lane.task.name).to_owned(),
        },
        function: people.place(lane.task.function),
        created_at: people.place(lane.task.created_at),
        age_ns: document.duration_ns.saturating_sub(lane.task.created_ns),
        ancestry: people.ancestry(lane.task.id),
        steps: lane
            .spans
            .iter()
            .filter(|span| matches!(span.state, State::Running(_)))
            .count() as u64,
        waiting,
    }
}
