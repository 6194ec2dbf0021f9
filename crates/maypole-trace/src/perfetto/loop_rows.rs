//! The rows that belong to no task: the loop, its counters, jobs of threads, pauses, instants.

use super::event::TraceEvent;
use super::nest::{Slice, nest};
use super::{GC, LOOP, Program, thread_of};
use crate::document::group::{Callback, Poll, Step, Turn};

/// Points of the utilisation's curve.
const POINTS: u64 = 500;
/// The shortest time that utilisation is told for.
const POINT_MIN_NS: u64 = 100_000;

/// What the loop did.
enum Done {
    Turn(Turn),
    Poll(Poll),
    Step(Step),
    Callback(Callback),
}

/// Turns with their items inside, and polls. Gives the beginnings and ends of the callbacks, as they are drawn.
pub(super) fn put_loop(program: &Program<'_>, put: &mut dyn FnMut(TraceEvent)) -> Vec<(u64, u64)> {
    program.name_thread(LOOP, "event loop", put);
    let document = program.document;
    let slice = |begin_ns, end_ns: u64, of| Slice {
        begin_ns,
        end_ns: end_ns.max(begin_ns),
        of,
    };
    let turns = document
        .turns
        .rows()
        .map(|row| slice(row.begin_ns, row.end_ns, Done::Turn(row)));
    let polls = document
        .polls
        .rows()
        .map(|row| slice(row.begin_ns, row.end_ns, Done::Poll(row)));
    let steps = document
        .steps
        .rows()
        .map(|row| slice(row.begin_ns, row.end_ns, Done::Step(row)));
    let callbacks = document
        .callbacks
        .rows()
        .map(|row| slice(row.begin_ns, row.end_ns, Done::Callback(row)));
    // Stable order: at one moment, a turn stands before what runs in it.
    let all = turns.chain(polls).chain(steps).chain(callbacks).collect();
    let names = document.task_names();
    let mut drawn = Vec::new();
    for Slice { begin_ns, end_ns, of } in nest(all) {
        let slice = |name: &str| program.slice(LOOP, name, begin_ns, end_ns);
        put(match of {
            Done::Turn(turn) => slice("turn").of("turn").with("ready", turn.ready),
            Done::Poll(poll) => slice(if poll.blocking == 0 {
                "poll"
            } else {
                "poll, may wait"
            })
            .of("poll")
            .coloured("thread_state_sleeping")
            .with("events", poll.events),
            Done::Step(step) => slice(names.get(&step.task).map_or("task", String::as_str))
                .of("step")
                .with("task", step.task),
            Done::Callback(callback) => {
                drawn.push((begin_ns, end_ns));
                let ready_for_ns = callback.begin_ns.saturating_sub(callback.ready_ns);
                slice(document.string(callback.name))
                    .of("callback")
                    .with("waker", callback.waker.name())
                    .with("ready_for_ns", ready_for_ns)
            }
        });
    }
    drawn
}

/// How many were queued, and how busy the loop was.
pub(super) fn put_counters(program: &Program<'_>, put: &mut dyn FnMut(TraceEvent)) {
    for turn in program.document.turns.rows() {
        put(program
            .event("C", "ready", LOOP)
            .at(turn.begin_ns)
            .with("items", turn.ready));
    }
    for (begin_ns, share) in utilisation(program) {
        // A tenth of a percent is as much as anybody sees.
        let percent = (share * 1000.0).round() / 10.0;
        put(program
            .event("C", "utilisation", LOOP)
            .at(begin_ns)
            .with("percent", percent));
    }
}

/// The share of time in turns, for equal parts of the recording.
#[allow(
    clippy::cast_precision_loss,
    reason = "a share: a rounded nanosecond does not matter"
)]
fn utilisation(program: &Program<'_>) -> Vec<(u64, f64)> {
    let duration_ns = program.document.duration_ns;
    let part_ns = (duration_ns / POINTS).max(POINT_MIN_NS);
    let parts = duration_ns.div_ceil(part_ns);
    let mut busy_ns = vec![0_u64; usize::try_from(parts).unwrap_or(0)];
    for turn in program.document.turns.rows() {
        let (mut from_ns, end_ns) = (turn.begin_ns, turn.end_ns.min(duration_ns));
        while from_ns < end_ns {
            let part = from_ns / part_ns;
            let until_ns = (part + 1).saturating_mul(part_ns).min(end_ns);
            if let Some(busy_ns) = usize::try_from(part).ok().and_then(|part| busy_ns.get_mut(part)) {
                *busy_ns = busy_ns.saturating_add(until_ns - from_ns);
            }
            from_ns = until_ns;
        }
    }
    let share = |(part, busy_ns): (u64, u64)| {
        let begin_ns = part * part_ns;
        let long_ns = part_ns.min(duration_ns - begin_ns);
        (begin_ns, (busy_ns as f64 / long_ns as f64).min(1.0))
    };
    (0..).zip(busy_ns).map(share).collect()
}

/// Jobs of threads, which overlap: each a pair of its own.
pub(super) fn put_jobs(program: &Program<'_>, put: &mut dyn FnMut(TraceEvent)) {
    for (id, job) in (1..).zip(program.document.executor.rows()) {
        let name = match program.document.string(job.name) {
            "" => "job",
            name => name,
        };
        let tid = if job.task == 0 { LOOP } else { thread_of(job.task) };
        let event = |ph, ns| program.event(ph, name, tid).of("executor").joined(id).at(ns);
        let queued_ns = job.begin_ns.saturating_sub(job.submitted_ns);
        put(event("b", job.begin_ns)
            .with("queued_ns", queued_ns)
            .with("task", job.task));
        put(event("e", job.end_ns.max(job.begin_ns)));
    }
}

/// Pauses of the garbage collector.
pub(super) fn put_pauses(program: &Program<'_>, put: &mut dyn FnMut(TraceEvent)) {
    if program.document.gc.is_empty() {
        return;
    }
    program.name_thread(GC, "garbage collector", put);
    let slices = program.document.gc.rows().map(|pause| Slice {
        begin_ns: pause.begin_ns,
        end_ns: pause.end_ns.max(pause.begin_ns),
        of: pause.generation,
    });
    for Slice { begin_ns, end_ns, of } in nest(slices.collect()) {
        put(program
            .slice(GC, "gc", begin_ns, end_ns)
            .of("gc")
            .with("generation", of));
    }
}

/// Cancellations, stalls, marks.
pub(super) fn put_instants(program: &Program<'_>, put: &mut dyn FnMut(TraceEvent)) {
    let document = program.document;
    let thread = |task| if task == 0 { LOOP } else { thread_of(task) };
    let instant = |name: &str, scope, task, ns| {
        let event = program.event("i", name, thread(task)).at(ns);
        TraceEvent {
            s: Some(scope),
            ..event
        }
    };
    for cancel in document.cancels.rows() {
        put(instant("cancel", "t", cancel.task, cancel.at_ns)
            .of("cancel")
            .with("by_task", cancel.by_task));
    }
    for stall in document.stalls.rows() {
        let stack: Vec<_> = stall.stack.iter().map(|site| document.site_text(*site)).collect();
        let name = format!("stall: {}", stall.kind);
        let duration_ns = stall.end_ns.saturating_sub(stall.begin_ns);
        let event = instant(&name, "p", stall.task, stall.begin_ns).of("stall");
        put(event.with("duration_ns", duration_ns).with("stack", stack));
    }
    for mark in document.marks.rows() {
        let event = instant(document.string(mark.text), "t", mark.task, mark.at_ns).of("mark");
        put(event.with("source", document.string(mark.source)));
    }
}
