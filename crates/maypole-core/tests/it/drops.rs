//! No method drops an item: whatever leaves is handed to the caller.

use std::cell::Cell;
use std::rc::Rc;

use maypole_core::{NEVER_NS, Slots, Sources, Turn};

/// Counts its drops.
struct Item(Rc<Cell<usize>>);

impl Drop for Item {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn items() -> (Rc<Cell<usize>>, impl Fn() -> Item) {
    let drops = Rc::new(Cell::new(0));
    let counter = Rc::clone(&drops);
    (drops, move || Item(Rc::clone(&counter)))
}

#[test]
fn turn_hands_out_everything_it_held() {
    let (drops, item) = items();
    let mut turn = Turn::new();
    let mut out = Vec::new();
    for deadline_ns in [0, 5, 70, 5_000, 1 << 40, NEVER_NS] {
        let key = turn.schedule(deadline_ns, item());
        turn.schedule(deadline_ns, item());
        out.extend(turn.cancel(key));
    }
    turn.enqueue(item());
    assert_eq!(turn.begin(100), 4);
    out.extend(turn.take());
    turn.enqueue(item());
    let again = turn.schedule(6_000, item());
    turn.begin(5_001);
    out.extend(turn.cancel(again));
    out.extend(turn.drain());
    assert_eq!(out.len(), 15);
    assert_eq!(drops.get(), 0);
    assert_eq!((turn.ready_len(), turn.timers_len()), (0, 0));
}

#[test]
fn sources_hand_out_everything_they_held() {
    let (drops, item) = items();
    let mut sources = Sources::new();
    let mut out = Vec::new();
    for fd in 0..4 {
        out.extend(sources.set_reader(fd, item()).replaced);
        out.extend(sources.set_writer(fd, item()).replaced);
        out.extend(sources.set_reader(fd, item()).replaced);
    }
    out.extend(sources.remove_reader(0).map(|removal| removal.item));
    out.extend(sources.remove_writer(0).map(|removal| removal.item));
    let (reader, writer) = sources.forget(1);
    out.extend(reader.into_iter().chain(writer));
    out.extend(sources.drain());
    assert_eq!(out.len(), 12);
    assert_eq!(drops.get(), 0);
}

#[test]
fn slots_hand_out_everything_they_held() {
    let (drops, item) = items();
    let mut slots = Slots::new();
    let key = slots.insert(item());
    slots.insert(item());
    let removed = slots.remove(key);
    slots.insert(item());
    let drained = slots.drain();
    assert_eq!((removed.is_some(), drained.len()), (true, 2));
    assert_eq!(drops.get(), 0);
}
