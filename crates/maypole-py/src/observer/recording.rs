//! The events of one recording, and what is needed to tell them: identities of tasks, names, places.
//!
//! The queue of stamps runs beside the loop's ready queue: what is pushed there is stamped here, so each item's time of becoming
//! ready, and who woke it, are known when it is taken.
//!
//! Invariant: no method runs Python code; the objects that it is given are only held and compared by address.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use maypole_sys::StampClock;
use maypole_trace::{Ended, Event, LiveTask, Ring, SiteId, Sites, Stacks, TextId, Texts, Waker};

use super::known::{Known, SITES_MAX};
use super::suspended::Getters;

use crate::capi::Owned;

/// Different texts and stacks that are kept; further ones are told as "…".
const TEXTS_MAX: usize = 100_000;
const STACKS_MAX: usize = 1_000;

/// The identity of the next task that a recording meets. Never used twice in a process, so that what an earlier recording wrote into
/// a task is known to be stale.
static NEXT_TASK: AtomicU32 = AtomicU32::new(1);

/// When an item became ready, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    pub(super) ticks: u64,
    pub(super) waker: Waker,
    pub(super) waker_task: u32,
}

/// Where the times of events come from.
#[derive(Clone, Copy)]
enum Ticks {
    Stamps(StampClock),
    /// The loop's own clock, which stands still while code runs.
    Virtual {
        now_ns: u64,
    },
}

/// One recording.
pub(crate) struct Recording {
    ticks: Ticks,
    pub(super) began_ticks: u64,
    /// Tasks with lower numbers were met by earlier recordings.
    first_task: u32,
    pub(super) ring: Ring,
    pub(super) texts: Texts,
    pub(super) sites: Sites,
    pub(super) stacks: Stacks,
    stamps: VecDeque<Ready>,
    /// What runs now, as the waker of others.
    running: (Waker, u32),
    /// The stamp of the item that runs, and whether it became a step while it ran.
    item: Ready,
    was_step: bool,
    /// The step that runs: its task, the function of that, and when it began.
    step: Option<(u32, SiteId, u64)>,
    pub(super) known: Known,
    /// How chains of awaits are followed; `None` where that cannot be done without asking.
    pub(super) getters: Option<Getters>,
    turn: Option<(u64, u32)>,
    poll_began: u64,
}

impl Recording {
    /// An empty recording for a loop that has `queued` items ready; `virtual_ns` is the time of its clock, if that is virtual.
    pub(super) fn new(capacity: usize, queued: usize, virtual_ns: Option<u64>) -> Recording {
        let (ticks, began_ticks) = match virtual_ns {
            Some(now_ns) => (Ticks::Virtual { now_ns }, now_ns),
            None => {
                let clock = StampClock::new();
                (Ticks::Stamps(clock), clock.now())
            }
        };
        let unknown = Ready {
            ticks: began_ticks,
            waker: Waker::Unknown,
            waker_task: 0,
        };
        Recording {
            ticks,
            began_ticks,
            first_task: NEXT_TASK.load(Ordering::Relaxed),
            ring: Ring::new(capacity),
            texts: Texts::new(TEXTS_MAX),
            sites: Sites::new(SITES_MAX),
            stacks: Stacks::new(STACKS_MAX),
            stamps: std::iter::repeat_n(unknown, queued).collect(),
            running: (Waker::Unknown, 0),
            item: unknown,
            was_step: false,
            step: None,
            known: Known::default(),
            getters: Getters::find(),
            turn: None,
            poll_began: began_ticks,
        }
    }

    #[inline]
    pub(super) fn now(&self) -> u64 {
        match self.ticks {
            Ticks::Stamps(clock) => clock.now(),
            Ticks::Virtual { now_ns } => now_ns,
        }
    }

    /// The virtual clock stands at another time.
    pub(crate) fn jumped(&mut self, to_ns: u64) {
        if let Ticks::Virtual { now_ns } = &mut self.ticks {
            *now_ns = to_ns;
        }
    }

    /// Ticks of a moment on the loop's clock.
    pub(super) fn ticks_at(&self, loop_ns: u64) -> u64 {
        match self.ticks {
            Ticks::Stamps(clock) => clock.to_ticks(loop_ns),
            Ticks::Virtual { .. } => loop_ns,
        }
    }

    /// Ticks of a moment that is so many nanoseconds after the beginning.
    pub(super) fn ticks_since(&self, since_ns: u64) -> u64 {
        match self.ticks {
            Ticks::Stamps(clock) => clock.to_ticks(clock.to_ns(self.began_ticks).saturating_add(since_ns)),
            Ticks::Virtual { .. } => self.began_ticks.saturating_add(since_ns),
        }
    }

    /// Nanoseconds since the beginning.
    pub(super) fn since_ns(&self) -> u64 {
        self.to_ns()(self.now())
    }

    /// From ticks to nanoseconds since the beginning.
    pub(super) fn to_ns(&self) -> impl Fn(u64) -> u64 + use<> {
        let (ticks, began) = (self.ticks, self.began_ticks);
        move |at| match ticks {
            Ticks::Stamps(clock) => clock.to_ns(at).saturating_sub(clock.to_ns(began)),
            Ticks::Virtual { .. } => at.saturating_sub(began),
        }
    }

    /// The number of a task in this recording, by the number that some recording gave it; 0 if this one has not met it.
    #[inline]
    pub(super) fn number(&self, trace_id: u32) -> u32 {
        trace_id.checked_sub(self.first_task).map_or(0, |below| below + 1)
    }

    /// A number for a task that was not met before; to be kept in the task.
    pub(super) fn meet() -> u32 {
        NEXT_TASK.fetch_add(1, Ordering::Relaxed)
    }

    /// Stamps an item that goes into the queue.
    pub(super) fn queued(&mut self, waker: Waker) {
        let (running, task) = self.running;
        let (waker, waker_task) = match waker {
            Waker::Unknown => (running, task),
            Waker::Start => (waker, task),
            told => (told, 0),
        };
        let ticks = self.now();
        self.stamps.push_back(Ready {
            ticks,
            waker,
            waker_task,
        });
    }

    /// Stamps the timers that a batch begins with, and the batch itself.
    pub(crate) fn batch(&mut self, items: usize) {
        let ticks = self.now();
        self.turn = Some((ticks, u32::try_from(items).unwrap_or(u32::MAX)));
        let due = Ready {
            ticks,
            waker: Waker::Timer,
            waker_task: 0,
        };
        while self.stamps.len() < items {
            self.stamps.push_back(due);
        }
    }

    /// The batch is over.
    pub(crate) fn batch_done(&mut self) {
        self.running = (Waker::Unknown, 0);
        if let Some((began, items)) = self.turn.take() {
            let now = self.now();
            self.ring.push(Event::turn(began, now, items));
        }
    }

    /// The poller is asked.
    pub(super) fn poll_begins(&mut self) {
        self.poll_began = self.now();
    }

    /// The poller has answered.
    pub(super) fn poll_done(&mut self, events: usize, blocking: bool) {
        let now = self.now();
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.ring
            .push(Event::poll(self.poll_began, now, events, blocking));
    }

    /// A timer was set, to be due at this time of the loop's clock.
    pub(super) fn timer_set(&mut self, due_ns: u64) {
        let (now, due) = (self.now(), self.ticks_at(due_ns));
        let task = self.running_task();
        self.ring.push(Event::timer_set(now, due, task));
    }

    /// A timer is due, whose time was this.
    pub(crate) fn timer_fired(&mut self, due_ns: u64) {
        let (now, due) = (self.now(), self.ticks_at(due_ns));
        self.ring.push(Event::timer_fired(now, due, 0));
    }

    /// The poller reported a descriptor.
    pub(crate) fn io(&mut self, fd: i32, readable: bool, writable: bool) {
        let now = self.now();
        self.ring.push(Event::io(now, fd, readable, writable));
    }

    /// An item is taken: its stamp. `task` is its number if it is a task.
    pub(super) fn taken(&mut self, task: u32) -> Ready {
        let ready = self.stamps.pop_front().unwrap_or(Ready {
            ticks: self.began_ticks,
            waker: Waker::Unknown,
            waker_task: 0,
        });
        self.item = ready;
        self.was_step = false;
        self.running = match (task, ready.waker) {
            (0, Waker::Timer | Waker::Io | Waker::Thread) => (ready.waker, 0),
            (0, _) => (Waker::Callback, 0),
            (task, _) => (Waker::Task, task),
        };
        ready
    }

    /// The callback that runs turns out to be the step of a task: the stamp of the callback is the step's.
    pub(super) fn becomes_step(&mut self, task: u32) -> Ready {
        self.running = (Waker::Task, task);
        self.was_step = true;
        self.item
    }

    /// A step of a task begins; when.
    pub(super) fn step_begins(&mut self, task: u32, function: SiteId) -> u64 {
        let now = self.now();
        self.step = (task != 0).then_some((task, function, now));
        now
    }

    /// The task that runs while the recording begins: what it does from now on is its doing.
    pub(super) fn joins(&mut self, task: u32, function: SiteId) {
        self.running = (Waker::Task, task);
        self.step = Some((task, function, self.began_ticks));
    }

    /// The recording ends inside a step: as much of it as there was.
    fn cut_step(&mut self) {
        if let Some((task, function, began)) = self.step.take() {
            let (now, item) = (self.now(), self.item);
            let ready = item.ticks.min(began);
            self.ring.push(Event::step(
                task,
                function.short(),
                ready,
                began,
                now,
                item.waker,
                item.waker_task,
            ));
        }
    }

    /// Nothing runs: between two items. Whether the item was a callback that became a step.
    pub(super) fn rest(&mut self) -> bool {
        self.running = (Waker::Unknown, 0);
        self.step = None;
        self.was_step
    }

    /// The task that runs, or 0.
    pub(super) fn running_task(&self) -> u32 {
        self.running.1
    }

    /// A task's name: its own, or the one that follows from its number.
    pub(super) fn name(&mut self, own: Option<&str>, number: u64) -> TextId {
        match own {
            Some(own) => self.texts.intern(own),
            None => TextId::numbered(u32::try_from(number).unwrap_or(u32::MAX)),
        }
    }

    /// A task ended at `at`; `error` is what it raised.
    pub(super) fn ended(&mut self, at: u64, task: u32, how: Ended, error: Option<&str>) {
        let error = error.map_or(TextId::NONE, |error| self.texts.intern(error));
        self.ring.push(Event::ended(at, task, how, error));
    }

    /// The document; `live` are the tasks that are not done.
    ///
    /// # Errors
    /// What writing it fails with: memory is short.
    pub(super) fn document(&mut self, live: &[LiveTask]) -> std::io::Result<Vec<u8>> {
        self.cut_step();
        let end = self.now();
        if let Ticks::Stamps(clock) = &mut self.ticks {
            // The first measurement of the counter's rate was short; over a long recording its error would show.
            clock.refine();
        }
        let to_ns = self.to_ns();
        let recording = maypole_trace::Recording {
            ring: &self.ring,
            texts: &self.texts,
            sites: &self.sites,
            stacks: &self.stacks,
            live,
        };
        let document = recording.document(|ticks| i64::try_from(to_ns(ticks)).unwrap_or(i64::MAX), end);
        let mut text = Vec::new();
        document.write_json(&mut text)?;
        Ok(text)
    }

    /// The references that the recording held.
    pub(super) fn into_references(self) -> Vec<Owned> {
        self.known.into_references()
    }
}
