use maypole_trace::{Document, Ended, Event, LiveTask, Outcome, SiteId, TextId, WaitKind, Waiting, Waker};
use proptest::prelude::*;

use crate::recorded::{Recorded, any_event, json, recorded_of};

fn step(task: u32, ready: u64, begin: u64, end: u64) -> Event {
    Event::step(task, u16::MAX, ready, begin, end, Waker::Unknown, 0)
}

#[test]
fn a_task_is_told_from_its_creation_to_its_end() {
    let mut recorded = Recorded::new(100);
    let function = recorded.sites.intern("app.py", 10, "fetch");
    let made_at = recorded.sites.intern("app.py", 40, "main");
    let (name, error) = (
        recorded.texts.intern("fetcher"),
        recorded.texts.intern("ValueError: no"),
    );
    for event in [
        Event::created(5, 1, 0, made_at, TextId::numbered(1), SiteId::NONE),
        Event::created(10, 2, 1, function, name, made_at),
        Event::step(2, function.short(), 10, 20, 30, Waker::Start, 0),
        Event::ended(30, 2, Ended::Raised, error),
    ] {
        recorded.ring.push(event);
    }
    let document = recorded.document(50);
    let task = document.tasks.row(1);
    assert_eq!(
        (task.id, task.parent, task.created_ns, task.ended_ns),
        (2, 1, 10, 30)
    );
    assert_eq!(
        (document.string(task.name), document.string(task.error)),
        ("fetcher", "ValueError: no")
    );
    assert_eq!(task.outcome, Outcome::Raised);
    assert_eq!(
        document.string(document.site(task.function).unwrap().function),
        "fetch"
    );
    assert_eq!(document.site(task.created_at).unwrap().line, 40);
    assert_eq!(document.tasks.row(0).outcome, Outcome::Pending);
}

#[test]
fn a_task_whose_creation_was_overwritten_keeps_its_function() {
    let mut recorded = Recorded::new(1);
    let function = recorded.sites.intern("app.py", 10, "fetch");
    recorded.ring.push(Event::created(
        10,
        2,
        0,
        function,
        TextId::numbered(2),
        SiteId::NONE,
    ));
    recorded
        .ring
        .push(Event::step(2, function.short(), 10, 20, 30, Waker::Start, 0));
    let document = recorded.document(50);
    assert_eq!(document.dropped_events, 1);
    let task = document.tasks.row(0);
    assert_eq!(document.string(task.name), "");
    assert_ne!(task.name, -1);
    assert_eq!(
        document.string(document.site(task.function).unwrap().function),
        "fetch"
    );
}

#[test]
fn what_was_before_the_beginning_is_its_first_moment() {
    let document = Recorded::with([step(1, 100, 150, 250)]).document_from(200, 300);
    let row = document.steps.row(0);
    assert_eq!(
        (row.ready_ns, row.begin_ns, row.end_ns, document.duration_ns),
        (0, 0, 50, 100)
    );
}

#[test]
fn a_recording_lasts_as_long_as_its_last_event() {
    assert_eq!(
        Recorded::with([step(1, 1, 2, 900)]).document(300).duration_ns,
        900
    );
    assert_eq!(
        Recorded::with([step(1, 1, 2, 100)]).document(300).duration_ns,
        300
    );
}

#[test]
fn a_wait_of_the_living_is_told_even_when_it_left_the_ring() {
    let mut recorded = Recorded::with([
        step(1, 10, 20, 30),
        Event::wait(30, 1, WaitKind::Io, SiteId::NONE, 0),
    ]);
    let waiting = Waiting {
        since_ticks: 3,
        kind: WaitKind::Queue,
        site: SiteId::NONE,
        on_task: 1,
    };
    recorded.live = vec![
        LiveTask {
            task: 1,
            waiting: Some(waiting),
            ..LiveTask::default()
        },
        LiveTask {
            task: 2,
            waiting: Some(waiting),
            ..LiveTask::default()
        },
    ];
    let document = recorded.document(50);
    let waits: Vec<_> = document
        .waits
        .rows()
        .map(|wait| (wait.task, wait.kind, wait.begin_ns))
        .collect();
    assert_eq!(waits, [(2, WaitKind::Queue, 3), (1, WaitKind::Io, 30)]);
}

#[test]
fn a_task_that_is_not_known_is_no_task() {
    let document = Recorded::with([
        Event::step(1, u16::MAX, 1, 2, 3, Waker::Task, 7),
        Event::wait(3, 1, WaitKind::Task, SiteId::NONE, 8),
        Event::cancel(3, 1, 9),
    ])
    .document(10);
    assert_eq!(document.steps.row(0).waker_task, 0);
    assert_eq!(document.waits.row(0).on_task, 0);
    assert_eq!(document.cancels.row(0).by_task, 0);
}

#[test]
fn a_stall_brings_its_stack() {
    let mut recorded = Recorded::new(10);
    let sites = [
        recorded.sites.intern("app.py", 3, "inner"),
        recorded.sites.intern("app.py", 9, "outer"),
    ];
    let stack = recorded.stacks.push(&sites);
    let kind = recorded.texts.intern("step");
    recorded.ring.push(Event::stall(10, 90, 0, kind, stack));
    let document = recorded.document(100);
    let stall = document.stalls.row(0);
    assert_eq!(stall.kind, "step");
    let lines: Vec<_> = stall
        .stack
        .iter()
        .map(|site| document.site(*site).unwrap().line)
        .collect();
    assert_eq!(lines, [3, 9]);
}

#[test]
fn every_group_gets_its_rows() {
    let mut recorded = Recorded::new(100);
    let text = recorded.texts.intern("text");
    for event in [
        step(1, 1, 2, 3),
        Event::callback(1, 2, 3, text, Waker::Timer, 1),
        Event::turn(1, 4, 2),
        Event::poll(4, 5, 1, true),
        Event::timer_set(5, 9, 1),
        Event::timer_fired(10, 9, 1),
        Event::io(10, 7, true, false),
        Event::executor(1, 5, 6, 11, text),
        Event::gc(10, 12, 2),
        Event::mark(13, 1, text, TextId::NONE),
    ] {
        recorded.ring.push(event);
    }
    let document = recorded.document(100);
    let callback = document.callbacks.row(0);
    assert_eq!(
        (
            document.string(callback.name),
            callback.waker,
            callback.waker_task
        ),
        ("text", Waker::Timer, 1)
    );
    assert_eq!(document.turns.row(0).ready, 2);
    assert_eq!(
        (document.polls.row(0).events, document.polls.row(0).blocking),
        (1, 1)
    );
    let timers: Vec<_> = document
        .timers
        .rows()
        .map(|timer| (timer.at_ns, timer.due_ns, timer.fired))
        .collect();
    assert_eq!(timers, [(5, 9, 0), (10, 9, 1)]);
    assert_eq!(
        (
            document.io.row(0).fd,
            document.io.row(0).readable,
            document.io.row(0).writable
        ),
        (7, 1, 0)
    );
    assert_eq!(document.executor.row(0).submitted_ns, 5);
    assert_eq!(document.gc.row(0).generation, 2);
    assert_eq!(
        (
            document.string(document.marks.row(0).text),
            document.marks.row(0).source
        ),
        ("text", -1)
    );
}

fn rising(ends: impl Iterator<Item = u64>) -> bool {
    ends.collect::<Vec<_>>().is_sorted()
}

fn in_order(document: &Document) -> bool {
    rising(document.steps.rows().map(|row| row.end_ns))
        && rising(document.waits.rows().map(|row| row.begin_ns))
        && rising(document.callbacks.rows().map(|row| row.end_ns))
        && rising(document.turns.rows().map(|row| row.end_ns))
        && rising(document.polls.rows().map(|row| row.end_ns))
        && rising(document.timers.rows().map(|row| row.at_ns))
        && rising(document.io.rows().map(|row| row.at_ns))
        && rising(document.executor.rows().map(|row| row.end_ns))
        && rising(document.cancels.rows().map(|row| row.at_ns))
        && rising(document.stalls.rows().map(|row| row.end_ns))
        && rising(document.marks.rows().map(|row| row.at_ns))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_recording_becomes_a_document_that_is_read_again(
        events in prop::collection::vec(any_event(), 0..40), capacity in 0_usize..50, begin in 0_u64..100,
        live in prop::collection::btree_set(0_u32..6, 0..3),
    ) {
        let live: Vec<_> = live.into_iter().collect();
        let document = recorded_of(events, capacity, &live).document_from(begin, 100);
        // Reading checks the length of columns, every index, and that every task has its row.
        prop_assert_eq!(Document::parse(&json(&document)).unwrap(), document);
    }

    #[test]
    fn rows_stand_in_the_order_of_their_end(
        events in prop::collection::vec(any_event(), 0..40), begin in 0_u64..100,
    ) {
        let document = recorded_of(events, 100, &[2, 4]).document_from(begin, 100);
        prop_assert!(in_order(&document));
        let ids: Vec<_> = document.tasks.rows().map(|task| task.id).collect();
        prop_assert!(ids.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn no_task_runs_twice_at_once(events in prop::collection::vec(any_event(), 0..40)) {
        let document = recorded_of(events, 100, &[]).document(100);
        for task in document.tasks.rows() {
            let mut until = 0;
            for step in document.steps.rows().filter(|step| step.task == task.id) {
                prop_assert!(until <= step.ready_ns && step.ready_ns <= step.begin_ns && step.begin_ns <= step.end_ns);
                until = step.end_ns;
            }
            prop_assert!(task.ended_ns == -1 || task.ended_ns as u64 >= task.created_ns);
        }
    }

    #[test]
    fn the_recording_holds_all_its_rows(events in prop::collection::vec(any_event(), 0..40)) {
        let document = recorded_of(events, 100, &[]).document(0);
        let last = document.steps.rows().map(|row| row.end_ns).chain(document.turns.rows().map(|row| row.end_ns)).max();
        prop_assert!(last.unwrap_or(0) <= document.duration_ns);
    }
}
