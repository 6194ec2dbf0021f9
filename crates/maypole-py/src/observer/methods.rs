//! What the Python half asks of the observer: `_metrics`, `_trace_begin` and its kin, `_running_since`, `_set_instrument`.

use maypole_sys::monotonic_ns;
use maypole_trace::{Histogram, LiveTask};

use super::notes::trace_note;
use super::recording::Recording;
use super::sampling::ONE_IN;
use super::{RECORDS, STAMPS};
use crate::asyncio;
use crate::capi::class::{Class, Native, fast, getter, noargs};
use crate::capi::error::{os_error, runtime_error, value_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Owned, Result, call, names};
use crate::event_loop::LoopObject;
use crate::future::FutureObject;
use crate::task::{self, TaskObject};

/// Adds the methods to the type of the loop.
pub(crate) fn declare(class: Class) -> Class {
    class
        .noargs(
            c"_metrics",
            noargs!(LoopObject, metrics),
            c"Return the counters and histograms of the loop.",
        )
        .noargs(
            c"_running_since",
            noargs!(LoopObject, running_since),
            c"Return turn, ns of the batch, running task, ns of the item.",
        )
        .fast(
            c"_watch_items",
            fast!(LoopObject, watch_items),
            c"Stamp the beginning of each item, or stop that.",
        )
        .fast(
            c"_trace_number",
            fast!(LoopObject, trace_number),
            c"Return what the recording calls a task.",
        )
        .fast(
            c"_trace_executor",
            fast!(LoopObject, trace_executor),
            c"Say that a future is that of a job in an executor.",
        )
        .fast(
            c"_set_instrument",
            fast!(LoopObject, set_instrument),
            c"Set a hook by its name, or remove it with None.",
        )
        .fast(
            c"_trace_begin",
            fast!(LoopObject, trace_begin),
            c"Begin to record at most so many events.",
        )
        .noargs(
            c"_trace_end",
            noargs!(LoopObject, trace_end),
            c"Stop recording and return the document.",
        )
        .noargs(
            c"_trace_now",
            noargs!(LoopObject, trace_now),
            c"Return the nanoseconds since the recording began.",
        )
        .fast(
            c"_trace_note",
            fast!(LoopObject, trace_note),
            c"Write an event that the Python half saw.",
        )
        .attribute(c"_trace_is_on", getter!(LoopObject, trace_is_on), None)
}

fn metrics(this: &LoopObject) -> Result<Owned> {
    let metrics = &this.observer.metrics;
    let [ready, timers, watched, turns] = this.depths();
    let now_ns = monotonic_ns();
    let running_ns = match metrics.batch_began_ns() {
        0 => 0,
        began_ns => now_ns.saturating_sub(began_ns),
    };
    let number = call::unsigned;
    call::dict(&[
        ("since_ns", number(metrics.since_ns)?),
        ("wall_ns", number(now_ns.saturating_sub(metrics.since_ns))?),
        ("busy_ns", number(metrics.busy_ns.get() + running_ns)?),
        ("polling_ns", number(metrics.polling_ns.get())?),
        ("turns", number(turns)?),
        ("items", number(metrics.items.get())?),
        ("steps", number(metrics.steps.get())?),
        ("polls", number(metrics.polls.get())?),
        ("ready", number(ready)?),
        ("timers", number(timers)?),
        ("watched", number(watched)?),
        ("tasks", tasks(this)?),
        ("transports", transports(this)?),
        ("histograms", histograms(this, buckets)?),
        (
            "sums",
            histograms(this, |histogram| call::unsigned(histogram.sum()))?,
        ),
        ("sampling", number(ONE_IN.into())?),
        ("functions", functions(this)?),
    ])
}

fn tasks(this: &LoopObject) -> Result<Owned> {
    let metrics = &this.observer.metrics;
    let number = call::unsigned;
    call::dict(&[
        ("created", number(metrics.tasks_created.get())?),
        ("returned", number(metrics.tasks_returned.get())?),
        ("raised", number(metrics.tasks_raised.get())?),
        ("cancelled", number(metrics.tasks_cancelled.get())?),
        ("destroyed", number(metrics.tasks_destroyed.get())?),
        ("alive", number(metrics.tasks_alive())?),
    ])
}

fn transports(this: &LoopObject) -> Result<Owned> {
    let metrics = &this.observer.metrics;
    let number = call::unsigned;
    call::dict(&[
        ("opened", number(metrics.transports_opened.get())?),
        ("closed", number(metrics.transports_closed.get())?),
        ("bytes_read", number(metrics.bytes_read.get())?),
        ("bytes_written", number(metrics.bytes_written.get())?),
    ])
}

fn histograms(this: &LoopObject, told: impl Fn(&Histogram) -> Result<Owned>) -> Result<Owned> {
    // Copied out first: making Python objects may run the collector, and with it other people's code.
    let copies = {
        let all = this.observer.metrics.histograms.borrow();
        [
            ("turn_ns", all.turn_ns.clone()),
            ("ready_depth", all.ready_depth.clone()),
            ("queue_wait_ns", all.queue_wait_ns.clone()),
            ("timer_lateness_ns", all.timer_lateness_ns.clone()),
            ("poll_ns", all.poll_ns.clone()),
        ]
    };
    let mut entries = Vec::with_capacity(copies.len());
    for (name, histogram) in &copies {
        entries.push((*name, told(histogram)?));
    }
    call::dict(&entries)
}

fn buckets(histogram: &Histogram) -> Result<Owned> {
    let rows = histogram
        .buckets()
        .map(|(upper, count)| call::list(vec![call::unsigned(upper)?, call::unsigned(count)?]));
    call::list(rows.collect::<Result<_>>()?)
}

fn functions(this: &LoopObject) -> Result<Owned> {
    let names = names::get();
    let mut rows = Vec::new();
    for (code, steps, busy_ns, queue_wait_ns) in this.observer.sampling.functions() {
        rows.push(call::list(vec![
            code.get_attr(&names.co_filename)?,
            code.get_attr(&names.co_firstlineno)?,
            code.get_attr(&names.co_qualname)?,
            call::unsigned(steps)?,
            call::unsigned(busy_ns)?,
            call::unsigned(queue_wait_ns)?,
        ])?);
    }
    call::list(rows)
}

fn running_since(this: &LoopObject) -> Result<Owned> {
    let now_ns = monotonic_ns();
    let since = |began_ns: u64| match began_ns {
        0 => 0,
        began_ns => now_ns.saturating_sub(began_ns),
    };
    let batch_ns = since(this.observer.metrics.batch_began_ns());
    let item_ns = since(this.observer.item_began_ns.get());
    let [_, _, _, turns] = this.depths();
    let task = this.observer.running_task();
    call::tuple(&[
        &*call::unsigned(turns)?,
        &*call::unsigned(batch_ns)?,
        &*task,
        &*call::unsigned(item_ns)?,
    ])
}

fn watch_items(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_watch_items", &["on"], 1)?;
    let on = given[0].truthy()?;
    this.observer.set_flag(STAMPS, on);
    Ok(none())
}

/// `_trace_number(task)`: 0 without a recording, and for what is no native task.
fn trace_number(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_trace_number", &["task"], 1)?;
    let task = TaskObject::downcast(given[0]).filter(|_| this.observer.records());
    call::unsigned(task.map_or(0, |task| this.observer.number_of(task)).into())
}

/// `_trace_executor(future)`: waits for it are told so; for what is no native future it does nothing.
fn trace_executor(_: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_trace_executor", &["future"], 1)?;
    if let Some(future) = FutureObject::downcast(given[0]) {
        future.comes_of_executor();
    }
    Ok(none())
}

fn set_instrument(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_set_instrument", &["name", "function"], 2)?;
    let name = call::text_of(given[0])?;
    let function = (!given[1].is_none()).then(|| given[1].own());
    this.observer.set_hook(&name, function)?;
    Ok(none())
}

fn trace_is_on(this: &LoopObject) -> Result<Owned> {
    Ok(boolean(this.observer.records()))
}

fn trace_begin(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_trace_begin", &["capacity"], 1)?;
    let capacity = usize::try_from(given[0].as_i64()?).unwrap_or(0);
    if capacity == 0 {
        return Err(value_error("a recording needs room for at least one event"));
    }
    if this.observer.records() {
        return Err(runtime_error("this loop is being recorded already"));
    }
    let [ready, ..] = this.depths();
    let queued = usize::try_from(ready).unwrap_or(usize::MAX);
    let recording = Recording::new(capacity, queued, this.virtual_now_ns());
    this.observer.recording.replace(Some(Box::new(recording)));
    this.observer.set_flag(RECORDS, true);
    this.observer.meet_all(this);
    if this.observer.metrics.batch_began_ns() != 0
        && let Some(task) = asyncio::current_task(this.as_obj())
        && let Some(task) = TaskObject::downcast(&task)
    {
        this.observer.join_running(task);
    }
    Ok(none())
}

fn trace_end(this: &LoopObject) -> Result<Owned> {
    if !this.observer.records() {
        return Err(runtime_error("this loop is not being recorded"));
    }
    let live = this.observer.live_tasks(this);
    let Some(mut recording) = this.observer.recording.borrow_mut().take() else {
        return Err(runtime_error("this loop is not being recorded"));
    };
    this.observer.set_flag(RECORDS, false);
    let document = recording.document(&live);
    drop(recording.into_references());
    match document {
        Ok(document) => call::bytes(&document),
        Err(error) => Err(os_error(&error)),
    }
}

fn trace_now(this: &LoopObject) -> Result<Owned> {
    let mut since_ns = None;
    this.observer
        .record(|recording| since_ns = Some(recording.since_ns()));
    match since_ns {
        Some(since_ns) => call::unsigned(since_ns),
        None => Err(runtime_error("this loop is not being recorded")),
    }
}

impl super::Observer {
    /// The task that runs now, or `None`; known while items are stamped.
    fn running_task(&self) -> Owned {
        let item = self.running.get();
        item.filter(|item| TaskObject::downcast(item).is_some())
            .unwrap_or_else(none)
    }

    /// Tells of every task of the loop that there is when the recording begins.
    fn meet_all(&self, event_loop: &LoopObject) {
        for task in pending_tasks_of(event_loop) {
            if let Some(task) = TaskObject::downcast(&task) {
                self.number_of(task);
            }
        }
    }

    /// The tasks that are not done, and what they wait for.
    fn live_tasks(&self, event_loop: &LoopObject) -> Vec<LiveTask> {
        let tasks = pending_tasks_of(event_loop);
        tasks
            .iter()
            .filter_map(|task| TaskObject::downcast(task))
            .map(|task| self.live_task(task))
            .collect()
    }
}

fn pending_tasks_of(event_loop: &LoopObject) -> Vec<Owned> {
    let mut tasks = task::pending();
    tasks.retain(|task| {
        TaskObject::downcast(task)
            .and_then(|task| task.future.event_loop().ok())
            .is_some_and(|own| own.is(event_loop.as_obj()))
    });
    tasks
}
