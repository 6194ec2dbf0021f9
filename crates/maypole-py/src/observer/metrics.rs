//! Counters and histograms of a loop, always on.
//!
//! A turn's stretches are told apart by the clock readings that the loop needs anyway: one before it asks the poller or skips it,
//! one after the poller has answered.

use std::cell::{Cell, RefCell};

use maypole_sys::monotonic_ns;
use maypole_trace::Histogram;

use crate::future::FutureObject;

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline(always)]
    pub(crate) fn add(&self, by: u64) {
        self.0.set(self.0.get().wrapping_add(by));
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// The distributions.
pub(crate) struct Histograms {
    pub(crate) turn_ns: Histogram,
    pub(crate) ready_depth: Histogram,
    pub(crate) queue_wait_ns: Histogram,
    pub(crate) timer_lateness_ns: Histogram,
    pub(crate) poll_ns: Histogram,
}

/// The counters and distributions of one loop.
pub(crate) struct Metrics {
    pub(crate) since_ns: u64,
    pub(crate) busy_ns: Counter,
    pub(crate) polling_ns: Counter,
    pub(crate) items: Counter,
    pub(crate) steps: Counter,
    pub(crate) polls: Counter,
    pub(crate) tasks_created: Counter,
    pub(crate) tasks_returned: Counter,
    pub(crate) tasks_raised: Counter,
    pub(crate) tasks_cancelled: Counter,
    pub(crate) tasks_destroyed: Counter,
    pub(crate) transports_opened: Counter,
    pub(crate) transports_closed: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) bytes_written: Counter,
    /// When the running batch began, on the monotonic clock; 0 while the loop waits or does not run.
    batch_began_ns: Cell<u64>,
    pub(crate) histograms: RefCell<Histograms>,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        Metrics {
            since_ns: monotonic_ns(),
            busy_ns: Counter::default(),
            polling_ns: Counter::default(),
            items: Counter::default(),
            steps: Counter::default(),
            polls: Counter::default(),
            tasks_created: Counter::default(),
            tasks_returned: Counter::default(),
            tasks_raised: Counter::default(),
            tasks_cancelled: Counter::default(),
            tasks_destroyed: Counter::default(),
            transports_opened: Counter::default(),
            transports_closed: Counter::default(),
            bytes_read: Counter::default(),
            bytes_written: Counter::default(),
            batch_began_ns: Cell::new(0),
            histograms: RefCell::new(Histograms {
                turn_ns: Histogram::new(),
                ready_depth: Histogram::new(),
                queue_wait_ns: Histogram::new(),
                timer_lateness_ns: Histogram::new(),
                poll_ns: Histogram::new(),
            }),
        }
    }

    /// When the running batch began; 0 while the loop waits or does not run.
    #[inline(always)]
    pub(crate) fn batch_began_ns(&self) -> u64 {
        self.batch_began_ns.get()
    }

    /// The loop works from now on.
    #[inline]
    pub(crate) fn works(&self, now_ns: u64) {
        self.batch_began_ns.set(now_ns);
    }

    /// The loop has worked up to now: the end of a turn.
    #[inline]
    pub(crate) fn worked(&self, now_ns: u64) {
        let began_ns = self.batch_began_ns.replace(0);
        if began_ns == 0 {
            return;
        }
        let took_ns = now_ns.saturating_sub(began_ns);
        self.busy_ns.add(took_ns);
        self.histograms.borrow_mut().turn_ns.record(took_ns);
    }

    /// The poller was asked and has answered.
    #[inline]
    pub(crate) fn polled(&self, asked_ns: u64, answered_ns: u64) {
        let took_ns = answered_ns.saturating_sub(asked_ns);
        self.polls.add(1);
        self.polling_ns.add(took_ns);
        self.histograms.borrow_mut().poll_ns.record(took_ns);
    }

    /// A batch of so many items begins.
    #[inline]
    pub(crate) fn batch(&self, items: usize) {
        self.items.add(items as u64);
        self.histograms.borrow_mut().ready_depth.record(items as u64);
    }

    /// A step of a task is over; perhaps its last.
    #[inline(always)]
    pub(crate) fn stepped(&self, task: &FutureObject) {
        self.steps.add(1);
        if task.is_done() {
            self.ended(task);
        }
    }

    #[inline]
    fn ended(&self, task: &FutureObject) {
        let counter = if task.is_cancelled() {
            &self.tasks_cancelled
        } else if task.has_failed() {
            &self.tasks_raised
        } else {
            &self.tasks_returned
        };
        counter.add(1);
    }

    /// So many native tasks are neither done nor destroyed.
    pub(crate) fn tasks_alive(&self) -> u64 {
        let ended = self.tasks_returned.get()
            + self.tasks_raised.get()
            + self.tasks_cancelled.get()
            + self.tasks_destroyed.get();
        self.tasks_created.get().saturating_sub(ended)
    }
}
