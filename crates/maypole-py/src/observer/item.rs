//! One item of the queue, while somebody looks at it: a sample, a recording, hooks, the watchdog.
//!
//! What the looking itself runs in Python (hooks, texts of exceptions) happens before and after the item, never inside a borrow
//! of the observer, and its errors never reach the item.

use maypole_sys::monotonic_ns;
use maypole_trace::{Event, SiteId, TextId, Waker};

use super::instruments::Hook;
use super::people::end_of;
use super::places;
use super::recording::{Ready, Recording};
use super::{HOOKS, Observer, STAMPS};
use crate::capi::class::Native;
use crate::capi::error::{restore, take};
use crate::capi::{Obj, Owned, Result};
use crate::event_loop::LoopObject;
use crate::task::TaskObject;

/// What is known of an item before it runs.
struct Before {
    sample: Option<Sample>,
    recorded: Option<Recorded>,
}

/// The item is one of those that are looked at for the metrics.
struct Sample {
    began_ns: u64,
    /// How long it lay in the queue.
    waited_ns: u64,
    code: Owned,
}

/// The item in the recording: number of the task (0 for a callback), stamp, begin, function of the task, name of the callback.
struct Recorded {
    task: u32,
    ready: Ready,
    began_ticks: u64,
    function: SiteId,
    name: Option<TextId>,
}

impl Observer {
    /// Runs one item by `run`, and looks at it.
    ///
    /// # Errors
    /// What `run` fails with, or a hook that ends the program.
    #[cold]
    pub(crate) fn run(
        &self,
        event_loop: &LoopObject,
        item: &Obj,
        place: u64,
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let task = TaskObject::downcast(item);
        let hooks = task.is_some() && self.has(HOOKS);
        if hooks {
            self.tell(event_loop.as_obj(), Hook::BeforeTaskStep, &[item])?;
        }
        let before = self.before(item, task, place);
        let outcome = run();
        let pending = if outcome.is_err() { take() } else { None };
        self.after(task, before);
        let told = if hooks {
            self.after_step(event_loop, item, task)
        } else {
            Ok(())
        };
        match pending {
            Some(pending) => Err(restore(pending)),
            None => outcome.and(told),
        }
    }

    /// Runs a step of a task that was woken by a callback, inside that callback, and looks at it.
    ///
    /// # Errors
    /// As [`Observer::run`].
    #[cold]
    pub(crate) fn run_inside_callback(
        &self,
        event_loop: &LoopObject,
        task: &TaskObject,
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let item = task.as_obj();
        self.tell(event_loop.as_obj(), Hook::BeforeTaskStep, &[item])?;
        let recorded = self.begin_step(task, Recording::becomes_step);
        let outcome = run();
        let pending = if outcome.is_err() { take() } else { None };
        if let Some(recorded) = recorded {
            self.end_record(&recorded, Some(task));
        }
        let told = self.after_step(event_loop, item, Some(task));
        match pending {
            Some(pending) => Err(restore(pending)),
            None => outcome.and(told),
        }
    }

    fn after_step(&self, event_loop: &LoopObject, item: &Obj, task: Option<&TaskObject>) -> Result<()> {
        self.tell(event_loop.as_obj(), Hook::AfterTaskStep, &[item])?;
        if task.is_some_and(|task| task.future.is_done()) {
            self.tell(event_loop.as_obj(), Hook::TaskExited, &[item])?;
        }
        Ok(())
    }

    #[inline]
    fn before(&self, item: &Obj, task: Option<&TaskObject>, place: u64) -> Before {
        let sample = if self.sampling.awaits(place) {
            self.begin_sample(task)
        } else {
            None
        };
        let recorded = match task {
            _ if !self.records() => None,
            Some(task) => self.begin_step(task, Recording::taken),
            None => self.begin_callback(item),
        };
        if self.has(STAMPS) {
            self.item_began_ns.set(monotonic_ns());
            self.running.set(item.own());
        }
        Before { sample, recorded }
    }

    /// Notes how long an item lay in the queue; `None` for what is no step.
    fn begin_sample(&self, task: Option<&TaskObject>) -> Option<Sample> {
        let began_ns = monotonic_ns();
        let waited_ns = self.sampling.arrived(began_ns);
        self.metrics
            .histograms
            .borrow_mut()
            .queue_wait_ns
            .record(waited_ns);
        let code = places::code_of(&*task?.coroutine()?)?;
        Some(Sample {
            began_ns,
            waited_ns,
            code,
        })
    }

    /// A step begins in the recording, if there is one; `taken` says since when the task was ready.
    fn begin_step(
        &self,
        task: &TaskObject,
        taken: impl Fn(&mut Recording, u32) -> Ready,
    ) -> Option<Recorded> {
        let mut recorded = None;
        self.record(|recording| {
            recorded = recording
                .known_task(task)
                .map(|(number, function)| Recorded::step(recording, number, function, &taken));
        });
        if recorded.is_none() && self.records() {
            let (number, function) = (self.number_of(task), self.function_of(task));
            self.record(|recording| recorded = Some(Recorded::step(recording, number, function, &taken)));
        }
        recorded
    }

    fn begin_callback(&self, item: &Obj) -> Option<Recorded> {
        let name = self.name_of(item);
        let mut recorded = None;
        self.record(|recording| {
            recorded = Some(Recorded {
                task: 0,
                ready: recording.taken(0),
                began_ticks: recording.step_begins(0, SiteId::NONE),
                function: SiteId::NONE,
                name,
            });
        });
        recorded
    }

    #[inline]
    fn after(&self, task: Option<&TaskObject>, before: Before) {
        if self.item_began_ns.replace(0) != 0 {
            drop(self.running.take());
        }
        if let Some(sample) = before.sample {
            let busy_ns = monotonic_ns().saturating_sub(sample.began_ns);
            self.sampling.stepped(&sample.code, busy_ns, sample.waited_ns);
        }
        if let Some(recorded) = before.recorded {
            self.end_record(&recorded, task);
        }
    }

    /// Writes the events of an item that has run.
    fn end_record(&self, recorded: &Recorded, task: Option<&TaskObject>) {
        let awaited = task.and_then(TaskObject::awaited);
        let mut rest = None;
        self.record(|recording| {
            let end = recording.now();
            let was_step = recording.rest();
            if let Some(event) = recorded.event(end).filter(|_| recorded.task != 0 || !was_step) {
                recording.ring.push(event);
            }
            let Some(task) = task else { return };
            if !task.future.is_done()
                && let Some(waited) = recording.waited(task, awaited.as_deref())
            {
                recording.wait(end, recorded.task, waited);
            } else {
                rest = Some((task, end));
            }
        });
        if let Some((task, end)) = rest {
            self.end_or_learn(task, recorded.task, end);
        }
    }

    /// Tells how a task ended, or what it waits for at a place that was not met before.
    fn end_or_learn(&self, task: &TaskObject, number: u32, end: u64) {
        if task.future.is_done() {
            let (how, error) = end_of(task);
            self.record(|recording| recording.ended(end, number, how, error.as_deref()));
        } else if let Some(waited) = self.wait_of(task) {
            self.record(|recording| recording.wait(end, number, waited));
        }
    }
}

impl Recorded {
    #[inline]
    fn step(
        recording: &mut Recording,
        task: u32,
        function: SiteId,
        taken: impl Fn(&mut Recording, u32) -> Ready,
    ) -> Recorded {
        Recorded {
            task,
            ready: taken(recording, task),
            began_ticks: recording.step_begins(task, function),
            function,
            name: None,
        }
    }

    #[inline]
    fn event(&self, end: u64) -> Option<Event> {
        let Ready {
            ticks,
            waker,
            waker_task,
        } = self.ready;
        if self.task != 0 {
            let function = self.function.short();
            let (task, began) = (self.task, self.began_ticks);
            return Some(Event::step(task, function, ticks, began, end, waker, waker_task));
        }
        let waker = if waker == Waker::Start { Waker::Task } else { waker };
        self.name
            .map(|name| Event::callback(ticks, self.began_ticks, end, name, waker, waker_task))
    }
}
