use std::collections::HashMap;

use maypole_trace::{Document, Ended, Event, SiteId, TextId, WaitKind, Waker, perfetto};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::recorded::{Recorded, any_event, json, recorded_of};

fn trace(document: &Document) -> Vec<Value> {
    let trace: Value = serde_json::from_slice(&perfetto::from_json(&json(document)).unwrap()).unwrap();
    assert_eq!(trace["displayTimeUnit"], "ns");
    trace["traceEvents"].as_array().unwrap().clone()
}

fn of_phase<'a>(events: &'a [Value], phase: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["ph"] == phase)
}

/// The nanoseconds that a reader takes from the number of microseconds.
fn ns(value: &Value) -> u64 {
    (value.as_f64().unwrap() * 1000.0).round() as u64
}

/// Two tasks: the first makes the second, waits for it, and is woken by it.
fn parent_and_child() -> Document {
    let mut recorded = Recorded::new(100);
    let main = recorded.sites.intern("app.py", 10, "main");
    let child = recorded.sites.intern("app.py", 20, "child");
    let line = recorded.sites.intern("app.py", 12, "main");
    for event in [
        Event::created(1_000, 1, 0, main, TextId::numbered(1), SiteId::NONE),
        Event::poll(1_100, 1_200, 0, false),
        Event::created(3_000, 2, 1, child, TextId::numbered(2), line),
        Event::step(1, main.short(), 1_000, 2_000, 4_001, Waker::Start, 0),
        Event::wait(4_001, 1, WaitKind::Task, line, 2),
        Event::turn(1_500, 4_500, 1),
        Event::step(2, child.short(), 3_000, 5_000, 6_000, Waker::Start, 1),
        Event::ended(6_000, 2, Ended::Returned, TextId::NONE),
        Event::turn(4_900, 6_500, 1),
        Event::step(1, main.short(), 5_900, 7_000, 8_000, Waker::Task, 2),
        Event::ended(8_000, 1, Ended::Returned, TextId::NONE),
        Event::turn(6_900, 8_500, 1),
    ] {
        recorded.ring.push(event);
    }
    recorded.document(10_000)
}

#[test]
fn the_process_and_every_thread_have_names() {
    let events = trace(&parent_and_child());
    let names: Vec<_> = of_phase(&events, "M")
        .filter(|event| event["name"] == "thread_name")
        .map(|event| &event["args"]["name"])
        .collect();
    assert_eq!(names, ["event loop", "Task-1 main", "Task-2 child"]);
    assert_eq!(events[0]["name"], "process_name");
}

#[test]
fn a_task_is_ready_running_and_waiting_in_turn() {
    let events = trace(&parent_and_child());
    let slices: Vec<_> = of_phase(&events, "X")
        .filter(|event| event["tid"] == 1001)
        .map(|event| {
            (
                event["name"].as_str().unwrap(),
                ns(&event["ts"]),
                ns(&event["dur"]),
            )
        })
        .collect();
    let expected = [
        ("ready", 1_000, 1_000),
        ("main", 2_000, 2_001),
        ("waiting: task", 4_001, 1_899),
        ("ready", 5_900, 1_100),
        ("main", 7_000, 1_000),
    ];
    assert_eq!(slices, expected);
    let waiting = of_phase(&events, "X")
        .find(|event| event["name"] == "waiting: task")
        .unwrap();
    assert_eq!(waiting["args"], json!({"at": "app.py:12 main", "on_task": 2}));
}

#[test]
fn an_arrow_goes_from_the_waker_to_the_woken() {
    let events = trace(&parent_and_child());
    let ends = |phase| {
        let ends = of_phase(&events, phase);
        ends.map(|event| {
            (
                event["id"].as_u64().unwrap(),
                event["tid"].as_u64().unwrap(),
                ns(&event["ts"]),
            )
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(ends("s"), [(1, 1001, 3_000), (2, 1002, 5_900)]);
    assert_eq!(ends("f"), [(1, 1002, 5_000), (2, 1001, 7_000)]);
    assert!(of_phase(&events, "f").all(|event| event["bp"] == "e"));
}

#[test]
fn who_wakes_itself_gets_no_arrow() {
    let document = Recorded::with([
        Event::step(1, u16::MAX, 1_000, 2_000, 3_000, Waker::Unknown, 0),
        Event::wait(3_000, 1, WaitKind::Turn, SiteId::NONE, 0),
        Event::step(1, u16::MAX, 2_900, 4_000, 5_000, Waker::Task, 1),
    ]);
    assert_eq!(of_phase(&trace(&document.document(9_000)), "s").count(), 0);
}

#[test]
fn no_arrow_goes_back_in_time() {
    // The clocks of two threads disagree: the second began before the first was done with waking it.
    let document = Recorded::with([
        Event::step(1, u16::MAX, 1_000, 2_000, 5_000, Waker::Unknown, 0),
        Event::step(2, u16::MAX, 3_000, 4_000, 6_000, Waker::Task, 1),
    ]);
    assert_eq!(of_phase(&trace(&document.document(9_000)), "s").count(), 0);
}

#[test]
fn an_arrow_from_the_end_of_a_run_begins_within_it() {
    let document = Recorded::with([
        Event::step(1, u16::MAX, 1_000, 2_000, 3_000, Waker::Unknown, 0),
        Event::step(2, u16::MAX, 3_000, 4_000, 5_000, Waker::Task, 1),
    ]);
    let events = trace(&document.document(9_000));
    assert_eq!(
        of_phase(&events, "s")
            .map(|event| ns(&event["ts"]))
            .collect::<Vec<_>>(),
        [2_999]
    );
}

#[test]
fn the_loop_shows_turns_with_their_steps_and_polls() {
    let events = trace(&parent_and_child());
    let row: Vec<_> = of_phase(&events, "X")
        .filter(|event| event["tid"] == 1)
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        row,
        [
            "poll",
            "turn",
            "Task-1 main",
            "turn",
            "Task-2 child",
            "turn",
            "Task-1 main"
        ]
    );
}

#[test]
fn counters_tell_the_queue_and_the_utilisation() {
    let document = Recorded::with([
        Event::turn(0, 25_000_000, 7),
        Event::turn(50_000_000, 100_000_000, 3),
    ])
    .document(100_000_000);
    let events = trace(&document);
    let counters = |name| {
        of_phase(&events, "C")
            .filter(move |event| event["name"] == name)
            .map(|event| (ns(&event["ts"]), event["args"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        counters("ready"),
        [(0, json!({"items": 7})), (50_000_000, json!({"items": 3}))]
    );
    let busy = counters("utilisation");
    assert_eq!(busy.len(), 500);
    assert_eq!(busy[0].1, json!({"percent": 100.0}));
    assert_eq!(busy[200], (40_000_000, json!({"percent": 0.0})));
    let mean = busy
        .iter()
        .map(|(_, args)| args["percent"].as_f64().unwrap())
        .sum::<f64>()
        / 500.0;
    assert!((mean - 75.0).abs() < 0.1, "{mean}");
}

#[test]
fn jobs_of_threads_may_overlap() {
    let document = Recorded::with([
        Event::executor(0, 1_000, 2_000, 5_000, TextId::numbered(1)),
        Event::executor(0, 1_500, 3_000, 6_000, TextId::NONE),
    ])
    .document(9_000);
    let events = trace(&document);
    let pairs = |phase| {
        let pairs = of_phase(&events, phase);
        pairs
            .map(|event| (event["id"].as_u64().unwrap(), ns(&event["ts"])))
            .collect::<Vec<_>>()
    };
    assert_eq!(pairs("b"), [(1, 2_000), (2, 3_000)]);
    assert_eq!(pairs("e"), [(1, 5_000), (2, 6_000)]);
    assert!(of_phase(&events, "b").all(|event| event["cat"] == "executor"));
}

#[test]
fn cancellations_stalls_marks_and_ends_are_instants() {
    let mut recorded = Recorded::new(100);
    let site = recorded.sites.intern("app.py", 3, "busy");
    let stack = recorded.stacks.push(&[site]);
    let (kind, text, source) = (
        recorded.texts.intern("step"),
        recorded.texts.intern("opened"),
        recorded.texts.intern("breaker"),
    );
    for event in [
        Event::cancel(1_000, 1, 0),
        Event::stall(2_000, 5_000, 0, kind, stack),
        Event::mark(6_000, 1, text, source),
        Event::ended(7_000, 1, Ended::Raised, text),
    ] {
        recorded.ring.push(event);
    }
    let events = trace(&recorded.document(9_000));
    let instants: Vec<_> = of_phase(&events, "i")
        .map(|event| (event["name"].as_str().unwrap(), ns(&event["ts"])))
        .collect();
    assert_eq!(
        instants,
        [
            ("cancel", 1_000),
            ("stall: step", 2_000),
            ("opened", 6_000),
            ("raised", 7_000)
        ]
    );
    let stall = of_phase(&events, "i")
        .find(|event| event["cat"] == "stall")
        .unwrap();
    assert_eq!(
        stall["args"],
        json!({"duration_ns": 3_000, "stack": ["app.py:3 busy"]})
    );
    assert_eq!(stall["s"], "p");
}

#[test]
fn what_is_no_document_is_refused() {
    assert_eq!(
        perfetto::from_json(b"").unwrap_err().to_string(),
        "the trace is empty"
    );
}

proptest! {
    #[test]
    fn slices_of_a_thread_nest(
        events in prop::collection::vec(any_event(), 0..40), begin in 0_u64..100,
    ) {
        let events = trace(&recorded_of(events, 100, &[2, 4]).document_from(begin, 100));
        let mut open: HashMap<u64, Vec<u64>> = HashMap::new();
        let mut newest: HashMap<u64, u64> = HashMap::new();
        for slice in of_phase(&events, "X") {
            let (tid, begin, dur) = (slice["tid"].as_u64().unwrap(), ns(&slice["ts"]), ns(&slice["dur"]));
            prop_assert!(newest.insert(tid, begin).unwrap_or(0) <= begin);
            let open = open.entry(tid).or_default();
            while open.last().is_some_and(|end| *end <= begin) {
                open.pop();
            }
            prop_assert!(open.last().is_none_or(|end| begin + dur <= *end), "{slice} crosses its parent's end");
            open.push(begin + dur);
        }
    }

    #[test]
    fn arrows_begin_in_a_slice_and_end_in_another_later(events in prop::collection::vec(any_event(), 0..60)) {
        let events = trace(&recorded_of(events, 100, &[]).document(100));
        let within = |end: &Value| of_phase(&events, "X").any(|slice| {
            slice["tid"] == end["tid"] && ns(&slice["ts"]) <= ns(&end["ts"])
                && ns(&end["ts"]) <= ns(&slice["ts"]) + ns(&slice["dur"])
        });
        let (begins, ends): (Vec<_>, Vec<_>) = (of_phase(&events, "s").collect(), of_phase(&events, "f").collect());
        prop_assert_eq!(begins.len(), ends.len());
        for (begin, end) in begins.into_iter().zip(ends) {
            prop_assert_eq!(&begin["id"], &end["id"]);
            prop_assert!(ns(&begin["ts"]) <= ns(&end["ts"]));
            prop_assert!(within(begin) && within(end));
        }
    }

    #[test]
    fn every_thread_that_is_used_has_a_name(events in prop::collection::vec(any_event(), 0..40)) {
        let events = trace(&recorded_of(events, 100, &[]).document(100));
        let named: Vec<_> = of_phase(&events, "M").filter(|event| event["name"] == "thread_name").map(|event| &event["tid"]).collect();
        prop_assert!(events.iter().filter(|event| event["ph"] != "M").all(|event| named.contains(&&event["tid"])));
    }
}
