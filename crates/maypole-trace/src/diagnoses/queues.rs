//! Who holds up whom through a queue.
//!
//! A full queue makes its producers wait in `put`, until a consumer takes something and thereby wakes one. So whoever
//! wakes the producers is the slow consumer. Consumers that wait in `get` have only nothing to do.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::people::{People, Place};
use super::{add, sum};
use crate::document::{Document, Index, NONE};
use crate::lanes::{Lane, Span, State};
use crate::words::WaitKind;

/// Producers that wait for most of their time are held up.
const HELD_UP: f64 = 0.5;

/// Producers that wait for room in a queue, and the consumers that make it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SlowConsumer {
    /// The line in which the producers wait.
    pub at: Option<Place>,
    /// The producers' coroutine function.
    pub producer: Option<Place>,
    /// How many of its tasks wait there.
    pub producers: u64,
    /// How often they waited.
    pub waits: u64,
    /// For how long, in all.
    pub waited_ns: u64,
    /// The share of the time that they were seen in.
    pub share: f64,
    /// Who made room, the most often first.
    pub consumers: Vec<Consumer>,
}

/// A coroutine function that takes from the queue.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Consumer {
    /// Which.
    pub function: Option<Place>,
    /// How often its tasks made room.
    pub wakes: u64,
    /// What these tasks did in the recording: how long they ran.
    pub busy_ns: u64,
    /// How long they waited, for each kind: this is what makes them slow.
    pub waits: BTreeMap<WaitKind, u64>,
}

#[derive(Default)]
struct Line {
    tasks: BTreeSet<u32>,
    waits: u64,
    waited_ns: u64,
    seen_ns: u64,
    /// Per function of the waker.
    wakes: BTreeMap<Index, u64>,
}

/// Every line at which producers wait for more than half of their time, the longest first.
#[allow(
    clippy::cast_precision_loss,
    reason = "a share: a rounded nanosecond does not matter"
)]
pub(super) fn slow_consumers(document: &Document, lanes: &[Lane], people: &People<'_>) -> Vec<SlowConsumer> {
    let mut lines: BTreeMap<(Index, Index), Line> = BTreeMap::new();
    for lane in lanes {
        for (index, span) in lane.spans.iter().enumerate() {
            let State::Waiting(wait) = span.state else {
                continue;
            };
            if wait.kind == WaitKind::Queue && is_put(document.string(wait.operation)) {
                let line = lines.entry((wait.site, lane.task.function)).or_default();
                line.count(lane, span, waker(lane, index), people);
            }
        }
    }
    let told = |((site, function), line): ((Index, Index), Line)| SlowConsumer {
        at: people.place(site),
        producer: people.place(function),
        producers: line.tasks.len() as u64,
        waits: line.waits,
        waited_ns: line.waited_ns,
        share: line.waited_ns as f64 / line.seen_ns.max(1) as f64,
        consumers: consumers(lanes, people, line.wakes),
    };
    let mut lines: Vec<_> = lines
        .into_iter()
        .map(told)
        .filter(|line| line.share > HELD_UP)
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.waited_ns));
    lines
}

impl Line {
    fn count(&mut self, lane: &Lane, span: &Span, waker: Option<u32>, people: &People<'_>) {
        if self.tasks.insert(lane.task.id) {
            add(&mut self.seen_ns, sum(lane.spans.iter().map(Span::duration_ns)));
        }
        self.waits += 1;
        add(&mut self.waited_ns, span.duration_ns());
        if let Some(waker) = waker.and_then(|waker| people.task(waker)) {
            *self.wakes.entry(waker.function).or_default() += 1;
        }
    }
}

/// `put`, by whatever class it is.
fn is_put(operation: &str) -> bool {
    operation.rsplit('.').next() == Some("put")
}

/// Who ended the wait at `index` of a lane.
fn waker(lane: &Lane, index: usize) -> Option<u32> {
    lane.spans.get(index + 1).and_then(|next| match next.state {
        State::Ready(step) | State::Running(step) => Some(step.waker_task).filter(|waker| *waker != 0),
        State::Waiting(_) => None,
    })
}

fn consumers(lanes: &[Lane], people: &People<'_>, wakes: BTreeMap<Index, u64>) -> Vec<Consumer> {
    let told = |(function, wakes)| {
        let mut consumer = Consumer {
            function: people.place(function),
            wakes,
            busy_ns: 0,
            waits: BTreeMap::new(),
        };
        let own = |lane: &&Lane| function != NONE && lane.task.function == function;
        for span in lanes.iter().filter(own).flat_map(|lane| &lane.spans) {
            match span.state {
                State::Running(_) => add(&mut consumer.busy_ns, span.duration_ns()),
                State::Waiting(wait) => add(consumer.waits.entry(wait.kind).or_default(), span.duration_ns()),
                State::Ready(_) => {}
            }
        }
        consumer
    };
    let mut consumers: Vec<_> = wakes.into_iter().map(told).collect();
    consumers.sort_by_key(|consumer| std::cmp::Reverse(consumer.wakes));
    consumers
}
