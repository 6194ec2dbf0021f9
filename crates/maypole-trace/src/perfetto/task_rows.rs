//! A thread for each task, and the arrows between them.

use std::collections::HashMap;

use super::event::TraceEvent;
use super::{LOOP, Program, thread_of};
use crate::document::group::Wait;
use crate::lanes::{Span, State, lanes};
use crate::words::{WaitKind, Waker};

/// Names, and what each task did.
pub(super) fn put_tasks(program: &Program<'_>, put: &mut dyn FnMut(TraceEvent)) {
    let names = program.document.task_names();
    for lane in lanes(program.document) {
        let tid = thread_of(lane.task.id);
        let name = names.get(&lane.task.id).map_or("task", String::as_str);
        program.name_thread(tid, name, put);
        let function = program.document.site(lane.task.function);
        let function = function.map_or("running", |site| program.document.string(site.function));
        for span in &lane.spans {
            put(slice(program, tid, function, span));
        }
        if let Ok(ended_ns) = u64::try_from(lane.task.ended_ns) {
            let event = program
                .event("i", lane.task.outcome.name(), tid)
                .at(ended_ns)
                .of("end");
            let error = program.document.string(lane.task.error);
            put(TraceEvent {
                s: Some("t"),
                ..event
            }
            .with("error", error));
        }
    }
}

fn slice(program: &Program<'_>, tid: u64, function: &str, span: &Span) -> TraceEvent {
    let slice = |name: &str| program.slice(tid, name, span.begin_ns, span.end_ns);
    match span.state {
        State::Ready(step) => slice("ready")
            .of("ready")
            .coloured("thread_state_runnable")
            .with("waker", step.waker.name()),
        State::Running(_) => slice(function).of("running").coloured("thread_state_running"),
        State::Waiting(wait) => waiting(program, slice(&format!("waiting: {}", wait.kind.name())), &wait),
    }
}

fn waiting(program: &Program<'_>, slice: TraceEvent, wait: &Wait) -> TraceEvent {
    let colour = match wait.kind {
        WaitKind::Io | WaitKind::Executor => "thread_state_iowait",
        WaitKind::Lock | WaitKind::Semaphore | WaitKind::Queue => "thread_state_uninterruptible",
        _ => "thread_state_sleeping",
    };
    let mut slice = slice
        .of("waiting")
        .coloured(colour)
        .with("at", program.document.site_text(wait.site));
    if wait.on_task != 0 {
        slice = slice.with("on_task", wait.on_task);
    }
    match program.document.string(wait.operation) {
        "" => slice,
        operation => slice.with("operation", operation),
    }
}

/// From the slice in which somebody woke a task, to the step that this led to. `callbacks` are those of the loop's row.
pub(super) fn put_arrows(program: &Program<'_>, callbacks: &[(u64, u64)], put: &mut dyn FnMut(TraceEvent)) {
    let mut runs_of: HashMap<u32, Vec<(u64, u64)>> = HashMap::new();
    for step in program.document.steps.rows() {
        runs_of
            .entry(step.task)
            .or_default()
            .push((step.begin_ns, step.end_ns));
    }
    let parents: HashMap<u32, u32> = program
        .document
        .tasks
        .rows()
        .map(|task| (task.id, task.parent))
        .collect();
    let mut id = 0;
    for step in program.document.steps.rows() {
        let waker_task = match step.waker {
            Waker::Start if step.waker_task == 0 => parents.get(&step.task).copied().unwrap_or(0),
            _ => step.waker_task,
        };
        let (tid, runs) = match step.waker {
            Waker::Callback => (LOOP, callbacks),
            Waker::Task | Waker::Start => (
                thread_of(waker_task),
                runs_of.get(&waker_task).map_or(&[][..], Vec::as_slice),
            ),
            _ => continue,
        };
        // An arrow that does not begin in a slice, goes back in time or to itself, is none.
        let Some((begin_ns, end_ns)) = run_at(runs, step.ready_ns) else {
            continue;
        };
        if step.begin_ns < end_ns || tid == thread_of(step.task) {
            continue;
        }
        id += 1;
        let event = |ph, tid, ns| program.event(ph, "wakes", tid).of("wakes").joined(id).at(ns);
        // At the very end of a slice, readers take the next one.
        put(event(
            "s",
            tid,
            step.ready_ns.min(end_ns.saturating_sub(1)).max(begin_ns),
        ));
        put(TraceEvent {
            bp: Some("e"),
            ..event("f", thread_of(step.task), step.begin_ns)
        });
    }
}

/// The run that went on at a moment, of runs in the order of their beginning.
fn run_at(runs: &[(u64, u64)], at_ns: u64) -> Option<(u64, u64)> {
    let newest = runs
        .partition_point(|(begin_ns, _)| *begin_ns <= at_ns)
        .checked_sub(1)?;
    runs.get(newest).copied().filter(|(_, end_ns)| at_ns <= *end_ns)
}
