use maypole_trace::diagnoses::{self, Diagnoses, Settings};
use maypole_trace::{Ended, Event, Outcome, Ring, SiteId, TextId, WaitKind, Waker};
use proptest::prelude::*;

use crate::recorded::{Recorded, any_event, json, recorded_of};

const MS: u64 = 1_000_000;

fn said(recorded: &Recorded, end: u64) -> Diagnoses {
    diagnoses::of(&recorded.document(end), &Settings::default())
}

fn with(recorded: &mut Recorded, events: impl IntoIterator<Item = Event>) {
    events.into_iter().for_each(|event| recorded.ring.push(event));
}

fn created(at: u64, task: u32, parent: u32, function: SiteId) -> Event {
    Event::created(at, task, parent, function, TextId::numbered(task), SiteId(0))
}

fn step(task: u32, function: SiteId, ready: u64, begin: u64, end: u64) -> Event {
    Event::step(task, function.short(), ready, begin, end, Waker::Unknown, 0)
}

fn returned(at: u64, task: u32) -> Event {
    Event::ended(at, task, Ended::Returned, TextId::NONE)
}

/// A recording with the functions `main` and `work` of `app.py`, and two lines of `work`.
fn app() -> (Recorded, [SiteId; 4]) {
    let mut recorded = Recorded::new(100_000);
    let places = [(1, "main"), (10, "work"), (12, "work"), (14, "work")];
    let sites = places.map(|(line, function)| recorded.sites.intern("app.py", line, function));
    (recorded, sites)
}

#[test]
fn the_time_of_a_task_is_told_by_what_it_did() {
    let (mut recorded, [_, work, sleeps, reads]) = app();
    with(
        &mut recorded,
        [
            created(0, 1, 0, work),
            step(1, work, 0, 10, 30),
            Event::wait(30, 1, WaitKind::Sleep, sleeps, 0),
            step(1, work, 130, 135, 185),
            Event::wait(185, 1, WaitKind::Io, reads, 0),
            step(1, work, 200, 203, 213),
            returned(213, 1),
        ],
    );
    let said = said(&recorded, 300);
    let task = &said.tasks[0];
    assert_eq!(
        (task.task.name.as_str(), task.outcome, task.ended_ns),
        ("Task-1", Outcome::Returned, Some(213))
    );
    assert_eq!(task.function.as_ref().unwrap().function, "work");
    let tally = &task.tally;
    assert_eq!(
        (tally.steps, tally.busy_ns, tally.ready_ns, tally.waited_ns),
        (3, 80, 18, 115)
    );
    assert_eq!(
        tally.waits.iter().collect::<Vec<_>>(),
        [(&WaitKind::Sleep, &100), (&WaitKind::Io, &15)]
    );
    let slowest = tally.slowest.as_ref().unwrap();
    assert_eq!((slowest.begin_ns, slowest.duration_ns), (135, 50));
    assert_eq!(slowest.ended_at.as_ref().unwrap().line, 14);
}

#[test]
fn a_function_is_the_sum_of_its_tasks_the_busiest_first() {
    let (mut recorded, [main, work, ..]) = app();
    with(
        &mut recorded,
        [
            created(0, 1, 0, main),
            step(1, main, 0, 0, 5),
            created(5, 2, 1, work),
            created(5, 3, 1, work),
            step(2, work, 5, 10, 20),
            returned(20, 2),
            step(3, work, 5, 20, 50),
            Event::ended(50, 3, Ended::Raised, TextId::NONE),
        ],
    );
    let said = said(&recorded, 100);
    let names: Vec<_> = said
        .functions
        .iter()
        .map(|function| function.function.as_ref().unwrap().line)
        .collect();
    assert_eq!(names, [10, 1]);
    let work = &said.functions[0];
    assert_eq!(
        (
            work.tasks,
            work.tally.steps,
            work.tally.busy_ns,
            work.tally.ready_ns
        ),
        (2, 2, 40, 20)
    );
    assert_eq!(
        work.outcomes.iter().collect::<Vec<_>>(),
        [(&Outcome::Returned, &1), (&Outcome::Raised, &1)]
    );
    assert_eq!(work.tally.slowest.as_ref().unwrap().task, 3);
}

#[test]
fn a_long_turn_names_who_filled_it() {
    let (mut recorded, [main, work, ..]) = app();
    let callback = recorded.texts.intern("flush");
    with(
        &mut recorded,
        [
            created(0, 1, 0, main),
            created(0, 2, 1, work),
            created(0, 3, 1, work),
        ],
    );
    // Many short ones together: no single run is long.
    let mut at = 100;
    for _ in 0..10 {
        with(
            &mut recorded,
            [step(2, work, 0, at, at + 30), step(3, work, 0, at + 30, at + 50)],
        );
        at += 50;
    }
    with(
        &mut recorded,
        [
            Event::callback(0, at, at + 5, callback, Waker::Io, 0),
            Event::gc(at - 5, at, 2),
            // The last step ends with the batch.
            step(1, main, 0, at + 10, at + 30),
            Event::turn(100, at + 30, 22),
            Event::turn(at + 40, at + 50, 1),
        ],
    );
    let said = said(&recorded, 1_000);
    let turn = &said.long_turns[0];
    assert_eq!(
        (turn.begin_ns, turn.duration_ns, turn.ready, turn.gc_ns),
        (100, 530, 22, 5)
    );
    let shares: Vec<_> = turn
        .contributors
        .iter()
        .map(|share| (share.name.as_str(), share.runs, share.busy_ns))
        .collect();
    assert_eq!(shares, [("work", 20, 500), ("main", 1, 20), ("flush", 1, 5)]);
    assert_eq!(said.long_turns[1].contributors, []);
}

#[test]
fn a_stall_names_task_ancestry_and_line() {
    let (mut recorded, [main, work, line, _]) = app();
    let stack = recorded.stacks.push(&[line, main]);
    let kind = recorded.texts.intern("step");
    with(
        &mut recorded,
        [
            created(0, 1, 0, main),
            created(5, 2, 1, work),
            created(6, 3, 2, work),
            Event::stall(20, 90, 3, kind, stack),
            Event::stall(100, 300, 0, kind, u32::MAX),
        ],
    );
    let said = said(&recorded, 400);
    assert_eq!(
        said.stalls
            .iter()
            .map(|stall| stall.duration_ns)
            .collect::<Vec<_>>(),
        [200, 70]
    );
    let stall = &said.stalls[1];
    assert_eq!(stall.task.as_ref().unwrap().name, "Task-3");
    assert_eq!(
        stall
            .ancestry
            .iter()
            .map(|task| task.name.as_str())
            .collect::<Vec<_>>(),
        ["Task-2", "Task-1"]
    );
    assert_eq!(
        stall.stack.iter().map(|place| place.line).collect::<Vec<_>>(),
        [12, 1]
    );
    assert_eq!(said.stalls[0].task, None);
}

#[test]
fn hidden_blocking_is_a_long_run_with_its_line_and_victims() {
    let (mut recorded, [main, work, line, _]) = app();
    let stack = recorded.stacks.push(&[line]);
    let kind = recorded.texts.intern("step");
    let callback = recorded.texts.intern("parse");
    with(
        &mut recorded,
        [
            created(0, 1, 0, main),
            created(0, 2, 1, work),
            step(2, work, 0, 5 * MS, 55 * MS),
            Event::stall(6 * MS, 55 * MS, 2, kind, stack),
            step(1, main, 10 * MS, 56 * MS, 57 * MS),
            Event::callback(20 * MS, 57 * MS, 69 * MS, callback, Waker::Io, 0),
            step(1, main, 70 * MS, 70 * MS, 79 * MS),
        ],
    );
    let said = said(&recorded, 100 * MS);
    let runs: Vec<_> = said
        .long_runs
        .iter()
        .map(|run| (run.name.as_str(), run.duration_ns / MS, run.delayed))
        .collect();
    assert_eq!(runs, [("work", 50, 2), ("parse", 12, 0)]);
    assert_eq!(said.long_runs[0].line.as_ref().unwrap().line, 12);
    assert_eq!(said.long_runs[0].ancestry[0].name, "Task-1");
    assert_eq!((&said.long_runs[1].line, &said.long_runs[1].task), (&None, &None));
}

#[test]
fn a_lost_task_stands_before_those_that_wait_for_it() {
    let (mut recorded, [main, work, line, at_event]) = app();
    with(
        &mut recorded,
        [
            created(0, 1, 0, main),
            created(5, 2, 1, work),
            step(2, work, 5, 6, 10),
            Event::wait(10, 2, WaitKind::Event, at_event, 0),
            step(1, main, 0, 20, 50),
            Event::wait(50, 1, WaitKind::Task, line, 2),
            created(60, 3, 1, work),
            created(70, 4, 1, work),
            step(4, work, 70, 71, 80),
            returned(80, 4),
        ],
    );
    let said = said(&recorded, 1_000);
    let names: Vec<_> = said.pending.iter().map(|task| task.task.name.as_str()).collect();
    assert_eq!(names, ["Task-2", "Task-1", "Task-3"]);
    let lost = said.pending[0].waiting.as_ref().unwrap();
    assert_eq!(
        (lost.kind, lost.waited_ns, &lost.on_task),
        (WaitKind::Event, 990, &None)
    );
    assert_eq!(lost.at.as_ref().unwrap().line, 14);
    assert_eq!(
        (said.pending[0].age_ns, said.pending[0].ancestry[0].name.as_str()),
        (995, "Task-1")
    );
    assert_eq!(
        said.pending[1]
            .waiting
            .as_ref()
            .unwrap()
            .on_task
            .as_ref()
            .unwrap()
            .name,
        "Task-2"
    );
    assert_eq!((said.pending[2].steps, &said.pending[2].waiting), (0, &None));
}

/// A producer and a consumer, of which one waits at the queue, and is woken by the other.
fn queue(operation: &str) -> Diagnoses {
    let (mut recorded, [main, work, line, sleeps]) = app();
    let operation = recorded.texts.intern(operation);
    with(&mut recorded, [created(0, 1, 0, main), created(0, 2, 1, work)]);
    for round in 0..10 {
        let at = round * 100;
        with(
            &mut recorded,
            [
                Event::step(1, main.short(), at, at + 1, at + 6, Waker::Task, 2),
                Event::wait(at + 6, 1, WaitKind::Queue, line, 0).calling(operation),
                Event::step(2, work.short(), at + 90, at + 90, at + 100, Waker::Timer, 0),
                Event::wait(at + 100, 2, WaitKind::Sleep, sleeps, 0),
            ],
        );
    }
    said(&recorded, 1_000)
}

#[test]
fn a_slow_consumer_is_who_wakes_the_waiting_producers() {
    for operation in ["put", "Queue.put"] {
        let said = queue(operation);
        let [slow] = &said.slow_consumers[..] else {
            panic!("{:?}", said.slow_consumers)
        };
        assert_eq!(
            (
                slow.producer.as_ref().unwrap().function.as_str(),
                slow.at.as_ref().unwrap().line
            ),
            ("main", 12)
        );
        assert_eq!((slow.producers, slow.waits, slow.waited_ns), (1, 10, 940));
        assert!((slow.share - 0.94).abs() < 0.01, "{}", slow.share);
        let [consumer] = &slow.consumers[..] else {
            panic!("{:?}", slow.consumers)
        };
        assert_eq!(
            (
                consumer.function.as_ref().unwrap().function.as_str(),
                consumer.wakes
            ),
            ("work", 9)
        );
        assert_eq!((consumer.busy_ns, consumer.waits[&WaitKind::Sleep]), (100, 810));
    }
}

#[test]
fn a_consumer_with_nothing_to_do_holds_up_nobody() {
    assert_eq!(queue("get").slow_consumers, []);
    assert_eq!(queue("").slow_consumers, []);
}

#[test]
fn littles_law_holds_in_a_steady_stream() {
    let (mut recorded, [_, work, ..]) = app();
    // One arrival every 10 ms, each stays 35 ms: 3.5 are there.
    for task in 1..=1_000_u32 {
        let at = u64::from(task) * 10 * MS;
        with(&mut recorded, [created(at, task, 0, work)]);
        if at + 35 * MS <= 10_000 * MS {
            with(&mut recorded, [returned(at + 35 * MS, task)]);
        }
    }
    let said = said(&recorded, 10_000 * MS);
    let law = &said.laws[0];
    assert_eq!((law.arrivals, law.completed), (1_000, 996));
    assert!((law.arrivals_per_s - 100.0).abs() < 0.001);
    assert!((law.residence_s.unwrap() - 0.035).abs() < 1e-9);
    assert!((law.present - 3.5).abs() < 0.02, "{}", law.present);
    let error = law.edge_error.unwrap();
    assert!(
        (law.present - law.expected.unwrap()).abs() <= error && error < 0.03,
        "{error}"
    );
    // All stay alike: what is left is how many come, which for a Poisson process is known to one in √1000.
    assert!((law.standard_error.unwrap() - 3.5 / 1000_f64.sqrt()).abs() < 0.001);
}

#[test]
fn littles_law_says_nothing_before_somebody_left() {
    let (mut recorded, [_, work, ..]) = app();
    with(
        &mut recorded,
        [created(10, 1, 0, work), created(20, 2, 0, work), returned(70, 2)],
    );
    let said_of_one = said(&recorded, 100);
    assert_eq!(
        (said_of_one.laws[0].completed, said_of_one.laws[0].standard_error),
        (1, None)
    );
    recorded.ring.clear();
    with(&mut recorded, [created(10, 1, 0, work)]);
    let law = &said(&recorded, 100).laws[0];
    assert_eq!(
        (law.arrivals, law.residence_s, law.expected, law.edge_error),
        (1, None, None, None)
    );
    assert!((law.present - 0.9).abs() < 1e-9);
}

#[test]
fn who_was_there_before_the_recording_is_no_arrival() {
    let (mut recorded, [_, work, ..]) = app();
    with(
        &mut recorded,
        [
            created(10, 1, 0, work),
            returned(150, 1),
            created(120, 2, 0, work),
            returned(170, 2),
        ],
    );
    let document = recorded.document_from(100, 200);
    let law = &diagnoses::of(&document, &Settings::default()).laws[0];
    assert_eq!((law.arrivals, law.completed), (1, 1));
    assert!((law.present - 1.0).abs() < 1e-9);
    assert!((law.edge_error.unwrap() - 0.5).abs() < 1e-9);
}

#[test]
fn what_was_overwritten_is_not_taken_for_idle() {
    let (mut recorded, [main, ..]) = app();
    recorded.ring = Ring::new(2);
    with(
        &mut recorded,
        [
            Event::turn(0, 100, 1),
            Event::turn(800, 900, 1),
            step(1, main, 800, 800, 900),
        ],
    );
    let said = said(&recorded, 1_000);
    assert_eq!(
        (
            said.event_loop.from_ns,
            said.event_loop.to_ns,
            said.event_loop.dropped_events
        ),
        (800, 1_000, 1)
    );
    assert!((said.event_loop.utilisation - 0.5).abs() < 1e-9);
    assert!((said.laws[0].present - 1.0).abs() < 1e-9);
}

#[test]
fn the_loop_is_told_as_a_whole() {
    let (mut recorded, [main, ..]) = app();
    with(
        &mut recorded,
        [
            Event::poll(0, 40, 0, true),
            Event::gc(50, 53, 0),
            Event::turn(45, 95, 12),
        ],
    );
    for run in 0..12 {
        with(&mut recorded, [step(1, main, run * 8, run * 8 + 7, run * 8 + 7)]);
    }
    let event_loop = said(&recorded, 100).event_loop;
    assert_eq!(
        (event_loop.busy_ns, event_loop.polling_ns, event_loop.gc_ns),
        (50, 40, 3)
    );
    assert_eq!(
        (event_loop.turns, event_loop.steps, event_loop.callbacks),
        (1, 12, 0)
    );
    assert_eq!(
        (
            event_loop.ready_p50_ns,
            event_loop.ready_p99_ns,
            event_loop.ready_max_ns
        ),
        (Some(7), None, 7)
    );
}

#[test]
fn of_many_tasks_the_most_notable_are_told() {
    let (mut recorded, [_, work, ..]) = app();
    for task in 1..=50_u32 {
        let at = u64::from(task) * 100;
        with(&mut recorded, [step(task, work, at, at, at + u64::from(task))]);
    }
    let mut said = said(&recorded, 10_000);
    said.shorten(3);
    assert_eq!(said.tasks_in_all, 50);
    let ids: Vec<_> = said.tasks.iter().map(|task| task.task.id).collect();
    // The busiest are the latest; those that waited longest, and switched as often, are the first.
    assert_eq!(ids, [1, 2, 3, 48, 49, 50]);
    assert_eq!(said.pending.len(), 3);
}

#[test]
fn everything_is_told_as_json() {
    let (mut recorded, [main, work, ..]) = app();
    with(
        &mut recorded,
        [
            created(1, 1, 0, main),
            step(1, main, 1, 2, 20 * MS),
            created(3, 2, 1, work),
        ],
    );
    let text = diagnoses::from_json(&json(&recorded.document(30 * MS))).unwrap();
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(said["tasks"][0]["name"], "Task-1");
    assert_eq!(said["functions"][0]["function"]["file"], "app.py");
    assert_eq!(said["long_runs"][0]["task"]["id"], 1);
    assert_eq!(said["pending"][1]["waiting"], serde_json::Value::Null);
    assert_eq!(
        diagnoses::from_json(b"{").unwrap_err().to_string(),
        "the trace is cut short: it ends after 1 bytes, in the middle"
    );
}

proptest! {
    #[test]
    fn any_document_is_told_about(events in prop::collection::vec(any_event(), 0..60), capacity in 1_usize..60) {
        let document = recorded_of(events, capacity, &[1, 5]).document(100);
        let settings = Settings { long_run_ns: 10, most: 3 };
        let said = diagnoses::of(&document, &settings);
        prop_assert_eq!(said.tasks.len(), document.tasks.len());
        let steps: u64 = said.tasks.iter().map(|task| task.tally.steps).sum();
        prop_assert_eq!(steps, document.steps.len() as u64);
        for task in &said.tasks {
            let tally = &task.tally;
            prop_assert!(tally.busy_ns + tally.ready_ns + tally.waited_ns <= document.duration_ns, "{:?}", task);
        }
        serde_json::to_string(&said).unwrap();
    }

    #[test]
    fn no_time_is_too_large_to_tell(events in prop::collection::vec(any_event(), 0..60)) {
        let recorded = recorded_of(events, 100, &[1, 5]);
        let document = json(&recorded.document_by(|ticks| ticks as i64 * (i64::MAX / 128), 100));
        diagnoses::from_json(&document).unwrap();
        maypole_trace::perfetto::from_json(&document).unwrap();
    }

    #[test]
    fn littles_law_never_fails_by_more_than_the_edges(events in prop::collection::vec(any_event(), 0..80), begin in 0_u64..50) {
        let document = recorded_of(events, 60, &[]).document_from(begin, 100);
        for law in diagnoses::of(&document, &Settings::default()).laws {
            if let (Some(expected), Some(error)) = (law.expected, law.edge_error) {
                prop_assert!((law.present - expected).abs() <= error + 1e-9, "{:?}", law);
            }
        }
    }
}
