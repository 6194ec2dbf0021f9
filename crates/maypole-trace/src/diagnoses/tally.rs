//! Where the time of tasks went: each task, and all tasks of a coroutine function together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::add;
use super::people::{Named, People, Place};
use crate::document::{Document, Index};
use crate::lanes::{Lane, State};
use crate::words::{Outcome, WaitKind};

/// Where time went.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Tally {
    /// How often it ran.
    pub steps: u64,
    /// How long it ran, in all.
    pub busy_ns: u64,
    /// How long it could have run, and others did.
    pub ready_ns: u64,
    /// How long it waited.
    pub waited_ns: u64,
    /// The same, for each kind of wait.
    pub waits: BTreeMap<WaitKind, u64>,
    /// The longest run.
    pub slowest: Option<SlowStep>,
}

/// A run of a task.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SlowStep {
    /// Whose.
    pub task: u32,
    /// When it began.
    pub begin_ns: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// The line in which it ended by waiting; none at the end of the task, or when it is not known.
    pub ended_at: Option<Place>,
}

/// One task.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TaskSummary {
    /// Who.
    #[serde(flatten)]
    pub task: Named,
    /// Its coroutine function.
    pub function: Option<Place>,
    /// Who made it.
    pub parent: Option<Named>,
    /// The line that made it.
    pub created_at: Option<Place>,
    /// When.
    pub created_ns: u64,
    /// When it was done; none while it lives.
    pub ended_ns: Option<u64>,
    /// How.
    pub outcome: Outcome,
    /// Type and text of its exception; empty without.
    pub error: String,
    /// Where its time went.
    #[serde(flatten)]
    pub tally: Tally,
}

/// All tasks of one coroutine function.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FunctionSummary {
    /// Which; none for all whose function is not known.
    pub function: Option<Place>,
    /// How many tasks.
    pub tasks: u64,
    /// How many of them ended how.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Where their time went.
    #[serde(flatten)]
    pub tally: Tally,
}

impl Tally {
    pub(super) fn of(lane: &Lane, people: &People<'_>) -> Self {
        let mut tally = Self::default();
        for (index, span) in lane.spans.iter().enumerate() {
            match span.state {
                State::Ready(_) => add(&mut tally.ready_ns, span.duration_ns()),
                State::Waiting(wait) => {
                    add(&mut tally.waited_ns, span.duration_ns());
                    add(tally.waits.entry(wait.kind).or_default(), span.duration_ns());
                }
                State::Running(_) => {
                    let ended_at = || match lane.spans.get(index + 1)?.state {
                        State::Waiting(wait) => people.place(wait.site),
                        _ => None,
                    };
                    tally.run(lane.task.id, span.begin_ns, span.duration_ns(), ended_at);
                }
            }
        }
        tally
    }

    fn run(&mut self, task: u32, begin_ns: u64, duration_ns: u64, ended_at: impl FnOnce() -> Option<Place>) {
        self.steps += 1;
        add(&mut self.busy_ns, duration_ns);
        if self
            .slowest
            .as_ref()
            .is_none_or(|slowest| slowest.duration_ns < duration_ns)
        {
            self.slowest = Some(SlowStep {
                task,
                begin_ns,
                duration_ns,
                ended_at: ended_at(),
            });
        }
    }

    fn merge(&mut self, other: &Self) {
        self.steps += other.steps;
        add(&mut self.busy_ns, other.busy_ns);
        add(&mut self.ready_ns, other.ready_ns);
        add(&mut self.waited_ns, other.waited_ns);
        for (kind, waited_ns) in &other.waits {
            add(self.waits.entry(*kind).or_default(), *waited_ns);
        }
        let longest = |tally: &Self| tally.slowest.as_ref().map(|slowest| slowest.duration_ns);
        if longest(self) < longest(other) {
            self.slowest.clone_from(&other.slowest);
        }
    }
}

/// Each task, in the order of their creation.
pub(super) fn tasks(document: &Document, lanes: &[Lane], people: &People<'_>) -> Vec<TaskSummary> {
    let summary = |lane: &Lane| {
        let task = lane.task;
        TaskSummary {
            task: Named {
                id: task.id,
                name: document.string(task.name).to_owned(),
            },
            function: people.place(task.function),
            parent: people.named(task.parent),
            created_at: people.place(task.created_at),
            created_ns: task.created_ns,
            ended_ns: u64::try_from(task.ended_ns).ok(),
            outcome: task.outcome,
            error: document.string(task.error).to_owned(),
            tally: Tally::of(lane, people),
        }
    };
    lanes.iter().map(summary).collect()
}

/// Each coroutine function, the busiest first.
pub(super) fn functions(lanes: &[Lane], tasks: &[TaskSummary], people: &People<'_>) -> Vec<FunctionSummary> {
    let mut functions: BTreeMap<Index, FunctionSummary> = BTreeMap::new();
    for (lane, task) in lanes.iter().zip(tasks) {
        let function = functions
            .entry(lane.task.function)
            .or_insert_with(|| FunctionSummary {
                function: people.place(lane.task.function),
                tasks: 0,
                outcomes: BTreeMap::new(),
                tally: Tally::default(),
            });
        function.tasks += 1;
        *function.outcomes.entry(task.outcome).or_default() += 1;
        function.tally.merge(&task.tally);
    }
    let mut functions: Vec<_> = functions.into_values().collect();
    functions.sort_by_key(|function| std::cmp::Reverse(function.tally.busy_ns));
    functions
}
