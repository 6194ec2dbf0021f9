//! What held the loop: the longest batches and who filled them, stalls, long runs.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;

use super::people::{Named, People, Place};
use super::{add, sum};
use crate::document::group::{Callback, Stall, Step, Turn};
use crate::document::{Document, Index};

/// Contributors told for each batch.
const CONTRIBUTORS: usize = 5;

/// A long batch.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LongTurn {
    /// When it began.
    pub begin_ns: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// Items queued when it began.
    pub ready: u32,
    /// Time of it in pauses of the garbage collector.
    pub gc_ns: u64,
    /// Who took most of it, the longest first.
    pub contributors: Vec<Contributor>,
}

/// A function's share of a batch: of a coroutine function all its tasks, of a callback all of its name.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Contributor {
    /// The name.
    pub name: String,
    /// The place; none for a callback.
    pub place: Option<Place>,
    /// How often it ran.
    pub runs: u64,
    /// For how long, in all.
    pub busy_ns: u64,
}

/// The loop was held, and a watchdog saw it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StallReport {
    /// `step`, `callback` or `turn`.
    pub kind: String,
    /// When it began.
    pub begin_ns: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// The task that ran.
    pub task: Option<Named>,
    /// Who made that task, and who made that one.
    pub ancestry: Vec<Named>,
    /// The guilty line first.
    pub stack: Vec<Place>,
}

/// A run without an await that was too long.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LongRun {
    /// The task; none for a callback.
    pub task: Option<Named>,
    /// Who made that task, and who made that one.
    pub ancestry: Vec<Named>,
    /// The coroutine function, or the callback.
    pub name: String,
    /// The place of the coroutine function; none for a callback.
    pub function: Option<Place>,
    /// When it began.
    pub begin_ns: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// The guilty line, when a watchdog saw it.
    pub line: Option<Place>,
    /// Runs of others that became ready meanwhile, and had to wait.
    pub delayed: u64,
}

fn span(begin_ns: u64, end_ns: u64) -> u64 {
    end_ns.saturating_sub(begin_ns)
}

/// The longest `most` batches, the longest first.
pub(super) fn long_turns(document: &Document, people: &People<'_>, most: usize) -> Vec<LongTurn> {
    let mut turns: Vec<Turn> = document.turns.rows().collect();
    turns.sort_by_key(|turn| Reverse(span(turn.begin_ns, turn.end_ns)));
    turns.truncate(most);
    let steps: Vec<Step> = document.steps.rows().collect();
    let callbacks: Vec<Callback> = document.callbacks.rows().collect();
    turns
        .iter()
        .map(|turn| long_turn(document, people, turn, &steps, &callbacks))
        .collect()
}

fn long_turn(
    document: &Document,
    people: &People<'_>,
    turn: &Turn,
    steps: &[Step],
    callbacks: &[Callback],
) -> LongTurn {
    #[derive(PartialEq, Eq, Hash)]
    enum Who {
        Function(Index),
        Callback(Index),
    }
    let inside = |begin_ns, end_ns| span(turn.begin_ns.max(begin_ns), turn.end_ns.min(end_ns));
    let mut shares: HashMap<Who, (u64, u64)> = HashMap::new();
    let mut count = |who, begin_ns, end_ns| {
        let (runs, busy_ns) = shares.entry(who).or_default();
        *runs += 1;
        add(busy_ns, inside(begin_ns, end_ns));
    };
    for step in &steps[steps.partition_point(|step| step.end_ns < turn.begin_ns)..] {
        if turn.end_ns < step.end_ns {
            break;
        }
        let function = people
            .task(step.task)
            .map_or(crate::document::NONE, |task| task.function);
        count(Who::Function(function), step.begin_ns, step.end_ns);
    }
    for callback in &callbacks[callbacks.partition_point(|callback| callback.end_ns < turn.begin_ns)..] {
        if turn.end_ns < callback.end_ns {
            break;
        }
        count(Who::Callback(callback.name), callback.begin_ns, callback.end_ns);
    }
    let told = |(who, (runs, busy_ns))| {
        let (name, place) = match who {
            Who::Function(function) => named_function(people.place(function)),
            Who::Callback(name) => (document.string(name).to_owned(), None),
        };
        Contributor {
            name,
            place,
            runs,
            busy_ns,
        }
    };
    let mut contributors: Vec<_> = shares.into_iter().map(told).collect();
    contributors.sort_by(|one, other| (other.busy_ns, &one.name).cmp(&(one.busy_ns, &other.name)));
    contributors.truncate(CONTRIBUTORS);
    LongTurn {
        begin_ns: turn.begin_ns,
        duration_ns: span(turn.begin_ns, turn.end_ns),
        ready: turn.ready,
        gc_ns: sum(document
            .gc
            .rows()
            .map(|pause| inside(pause.begin_ns, pause.end_ns))),
        contributors,
    }
}

fn named_function(place: Option<Place>) -> (String, Option<Place>) {
    (
        place
            .as_ref()
            .map_or_else(|| "a task".to_owned(), |place| place.function.clone()),
        place,
    )
}

/// Every stall, the longest first.
pub(super) fn stalls(document: &Document, people: &People<'_>) -> Vec<StallReport> {
    let report = |stall: Stall| StallReport {
        begin_ns: stall.begin_ns,
        duration_ns: span(stall.begin_ns, stall.end_ns),
        task: people.named(stall.task),
        ancestry: people.ancestry(stall.task),
        stack: stall
            .stack
            .iter()
            .filter_map(|site| people.place(*site))
            .collect(),
        kind: stall.kind,
    };
    let mut stalls: Vec<_> = document.stalls.rows().map(report).collect();
    stalls.sort_by_key(|stall| Reverse(stall.duration_ns));
    stalls
}

/// The `most` longest runs of at least `long_ns`, the longest first.
pub(super) fn long_runs(document: &Document, people: &People<'_>, long_ns: u64, most: usize) -> Vec<LongRun> {
    let step = |step: Step| LongRun {
        task: people.named(step.task),
        ancestry: people.ancestry(step.task),
        ..run(
            people
                .task(step.task)
                .and_then(|task| people.place(task.function)),
            step.begin_ns,
            step.end_ns,
        )
    };
    let callback = |callback: Callback| LongRun {
        name: document.string(callback.name).to_owned(),
        ..run(None, callback.begin_ns, callback.end_ns)
    };
    let long = |begin_ns, end_ns| span(begin_ns, end_ns) >= long_ns;
    let steps = document
        .steps
        .rows()
        .filter(|row| long(row.begin_ns, row.end_ns))
        .map(step);
    let callbacks = document
        .callbacks
        .rows()
        .filter(|row| long(row.begin_ns, row.end_ns))
        .map(callback);
    let mut runs: Vec<LongRun> = steps.chain(callbacks).collect();
    runs.sort_by_key(|run| Reverse(run.duration_ns));
    runs.truncate(most);
    for run in &mut runs {
        let end_ns = run.begin_ns + run.duration_ns;
        run.line = guilty_line(document, people, run.begin_ns, end_ns);
        run.delayed = delayed(document, run.begin_ns, end_ns);
    }
    runs
}

fn run(function: Option<Place>, begin_ns: u64, end_ns: u64) -> LongRun {
    let (name, function) = named_function(function);
    LongRun {
        task: None,
        ancestry: Vec::new(),
        name,
        function,
        begin_ns,
        duration_ns: span(begin_ns, end_ns),
        line: None,
        delayed: 0,
    }
}

/// The innermost line of the longest stall that a watchdog saw meanwhile.
fn guilty_line(document: &Document, people: &People<'_>, begin_ns: u64, end_ns: u64) -> Option<Place> {
    let shared = |stall: &Stall| span(stall.begin_ns.max(begin_ns), stall.end_ns.min(end_ns));
    let stall = document
        .stalls
        .rows()
        .filter(|stall| shared(stall) > 0)
        .max_by_key(shared)?;
    people.place(*stall.stack.first()?)
}

fn delayed(document: &Document, begin_ns: u64, end_ns: u64) -> u64 {
    let late = |ready_ns: u64, run_ns: u64| begin_ns <= ready_ns && ready_ns < end_ns && end_ns <= run_ns;
    let steps = document
        .steps
        .rows()
        .filter(|row| late(row.ready_ns, row.begin_ns))
        .count();
    let callbacks = document
        .callbacks
        .rows()
        .filter(|row| late(row.ready_ns, row.begin_ns))
        .count();
    (steps + callbacks) as u64
}
