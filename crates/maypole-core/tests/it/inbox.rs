//! The inbox with real threads; the interleavings themselves are in `tests/loom.rs`.

use std::sync::mpsc;
use std::thread;

use maypole_core::Inbox;

#[test]
fn awake_loop_is_never_rung_for() {
    let inbox = Inbox::new();
    assert!(!inbox.push(1));
    assert!(inbox.begin_sleep() || !inbox.is_empty());
    inbox.end_sleep();
    assert!(!inbox.push(2));
    let mut out = Vec::new();
    inbox.drain_into(&mut out);
    assert_eq!(out, [1, 2]);
}

#[test]
fn sleeping_loop_is_rung_for_once() {
    let inbox = Inbox::new();
    assert!(inbox.begin_sleep());
    assert_eq!(
        [inbox.push(1), inbox.push(2), inbox.push(3)],
        [true, false, false]
    );
    inbox.end_sleep();
    assert!(!inbox.begin_sleep(), "what was pushed is still there");
    assert!(!inbox.push(4), "a refused sleep is no sleep");
}

#[test]
fn refused_sleep_leaves_the_items() {
    let inbox = Inbox::new();
    assert!(!inbox.push("kept"));
    assert!(!inbox.begin_sleep());
    let mut out = vec!["before"];
    inbox.drain_into(&mut out);
    assert_eq!(out, ["before", "kept"]);
    assert!(inbox.is_empty());
    assert!(inbox.begin_sleep());
}

#[test]
fn every_item_arrives_in_its_threads_order() {
    const THREADS: usize = 4;
    const EACH: usize = 2_000;
    let inbox = Inbox::new();
    let (bell, rung) = mpsc::channel();
    let mut seen = Vec::new();
    let mut rings_heard = 0;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (inbox, bell) = (&inbox, bell.clone());
            scope.spawn(move || {
                for number in 0..EACH {
                    if inbox.push((thread, number)) {
                        bell.send(()).unwrap();
                    }
                }
            });
        }
        while seen.len() < THREADS * EACH {
            let before = seen.len();
            inbox.drain_into(&mut seen);
            if seen.len() == before && inbox.begin_sleep() {
                rung.recv().unwrap();
                rings_heard += 1;
                inbox.end_sleep();
            }
        }
    });
    assert_eq!(
        rung.try_iter().count(),
        0,
        "each of the {rings_heard} sleeps was rung for once"
    );
    for thread in 0..THREADS {
        let numbers: Vec<_> = seen
            .iter()
            .filter(|(from, _)| *from == thread)
            .map(|(_, n)| *n)
            .collect();
        assert_eq!(numbers, (0..EACH).collect::<Vec<_>>());
    }
}
