//! What the loop sees of itself: counters that always run, a recording, hooks, stamps for the watchdog.
//!
//! * [`metrics`]: counters and histograms, always on; [`sampling`]: which item is looked at more closely;
//! * [`recording`]: the events of a timeline, while somebody records; [`people`]: who the tasks are; [`waits`]: what they wait for;
//! * [`places`]: lines and kinds of waits, asked of the interpreter; [`suspended`]: the same, read; [`known`]: what was met before;
//! * [`instruments`]: the public hooks;
//! * [`item`]: running one item of the queue while somebody looks;
//! * [`methods`]: what the Python half asks; [`notes`]: what it adds to a recording.
//!
//! A loop that nobody looks at pays two reads of a clock and two entries in histograms per turn, and one countdown and one
//! comparison per item.
//!
//! Invariant: no borrow of what lies here is held while Python code can run.

pub(crate) mod instruments;
mod item;
mod known;
mod methods;
mod metrics;
mod notes;
mod people;
mod places;
mod recording;
mod sampling;
mod suspended;
mod waits;

use std::cell::{Cell, RefCell};
use std::ffi::c_int;

use maypole_trace::Waker;

pub(crate) use methods::declare;
pub(crate) use metrics::Metrics;
pub(crate) use recording::Recording;
use sampling::Sampling;

use crate::capi::class::Visitor;
use crate::capi::object::none;
use crate::capi::{Field, Obj, Owned, Result, call};
use instruments::{Hook, Instruments};

/// Somebody records a timeline.
pub(crate) const RECORDS: u8 = 1;
/// A hook wants to know of tasks and their steps.
pub(crate) const HOOKS: u8 = 2;
/// The watchdog wants to know when each item began.
pub(crate) const STAMPS: u8 = 4;

/// Everything that looks at one loop.
pub(crate) struct Observer {
    pub(crate) metrics: Metrics,
    pub(crate) sampling: Sampling,
    pub(crate) instruments: Instruments,
    recording: RefCell<Option<Box<Recording>>>,
    /// Who looks: [`RECORDS`], [`HOOKS`], [`STAMPS`].
    flags: Cell<u8>,
    /// When the running item began, on the monotonic clock; 0 when none runs or nobody asked.
    item_began_ns: Cell<u64>,
    /// The running item, while items are stamped.
    running: Field,
}

impl Observer {
    pub(crate) fn new() -> Observer {
        Observer {
            metrics: Metrics::new(),
            sampling: Sampling::new(),
            instruments: Instruments::new(),
            recording: RefCell::new(None),
            flags: Cell::new(0),
            item_began_ns: Cell::new(0),
            running: Field::empty(),
        }
    }

    /// Whether somebody looks at single items.
    #[inline(always)]
    pub(crate) fn looks(&self) -> bool {
        self.flags.get() != 0
    }

    #[inline(always)]
    fn has(&self, flag: u8) -> bool {
        self.flags.get() & flag != 0
    }

    fn set_flag(&self, flag: u8, on: bool) {
        let flags = self.flags.get();
        self.flags.set(if on { flags | flag } else { flags & !flag });
        self.sampling.look_at_each(self.has(RECORDS));
    }

    /// Does something with the recording, if there is one.
    #[inline(always)]
    pub(crate) fn record(&self, note: impl FnOnce(&mut Recording)) {
        if self.has(RECORDS)
            && let Some(recording) = self.recording.borrow_mut().as_mut()
        {
            note(recording);
        }
    }

    /// Notes that an item goes into the queue; `place` is its number, see [`maypole_core::Turn::taken`].
    ///
    /// Called only when [`Sampling::counts_down`] said so.
    #[cold]
    pub(crate) fn queued(&self, place: u64, waker: Waker) {
        self.sampling.queued(place);
        self.record(|recording| recording.queued(waker));
    }

    /// Notes that a timer was set.
    #[inline]
    pub(crate) fn timer_set(&self, due_ns: u64) {
        self.record(|recording| recording.timer_set(due_ns));
    }

    /// Notes that a native task was made.
    #[inline]
    pub(crate) fn spawned(&self) {
        self.metrics.tasks_created.add(1);
    }

    /// Whether somebody wants to know of polls.
    #[inline(always)]
    pub(crate) fn sees_polls(&self) -> bool {
        self.looks() || self.instruments.sees_waits()
    }

    /// The poller is about to be asked, for so many seconds; `None` for without end.
    ///
    /// # Errors
    /// A hook that ends the program.
    #[cold]
    pub(crate) fn before_poll(&self, event_loop: &Obj, seconds: Option<f64>) -> Result<()> {
        self.record(Recording::poll_begins);
        if self.instruments.has(Hook::BeforeIoWait) {
            let timeout = seconds.map_or_else(|| Ok(none()), call::float)?;
            self.tell(event_loop, Hook::BeforeIoWait, &[&timeout])?;
        }
        Ok(())
    }

    /// The poller has answered.
    ///
    /// # Errors
    /// As [`Observer::before_poll`].
    #[cold]
    pub(crate) fn after_poll(
        &self,
        event_loop: &Obj,
        seconds: Option<f64>,
        events: usize,
        blocking: bool,
    ) -> Result<()> {
        self.record(|recording| recording.poll_done(events, blocking));
        if self.instruments.has(Hook::AfterIoWait) {
            let timeout = seconds.map_or_else(|| Ok(none()), call::float)?;
            self.tell(event_loop, Hook::AfterIoWait, &[&timeout])?;
        }
        Ok(())
    }

    /// Takes every reference out, for a loop that dies.
    pub(crate) fn drain(&self) -> Vec<Owned> {
        let mut all = self.sampling.drain();
        all.append(&mut self.instruments.drain());
        all.extend(self.running.take());
        if let Some(recording) = self.recording.borrow_mut().take() {
            all.append(&mut recording.into_references());
        }
        self.flags.set(0);
        all
    }

    pub(crate) fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        visitor.visit_opt(self.running.peek())?;
        self.instruments.visit(visitor)
    }
}
