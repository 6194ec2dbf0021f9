//! One turn of the loop: wait, queue what became ready, run the batch.
//!
//! Source: the order of `asyncio.base_events.BaseEventLoop._run_once`: descriptors before timers, and only what is queued when the
//! batch begins is run in it.

use pyo3::ffi;

use super::look_ahead::look_ahead;
use super::{LoopObject, failure};
use crate::aio;
use crate::capi::class::Native;
use crate::capi::error::{restore, take, unraisable};
use crate::capi::object::none;
use crate::capi::{Obj, Owned, Result, names};
use crate::observer::Recording;
use crate::observer::instruments::Hook;
use crate::task::{self, TaskObject, current};
use crate::transport::{DatagramFields, StreamFields};
use crate::{asyncio, handle, thread_safe_handle};

/// `_run_turns()`: turns until `stop()`, or until something that ends the program leaves a callback.
pub(super) fn run_turns(this: &LoopObject) -> Result<Owned> {
    begin_run(this)?;
    this.observer.tell(this.as_obj(), Hook::BeforeRun, &[])?;
    let outcome = turns(this);
    end_run(this);
    let pending = if outcome.is_err() { take() } else { None };
    let told = this.observer.tell(this.as_obj(), Hook::AfterRun, &[]);
    match pending {
        Some(pending) => Err(restore(pending)),
        None => outcome.and(told).map(|()| none()),
    }
}

fn turns(this: &LoopObject) -> Result<()> {
    loop {
        one_turn(this)?;
        if this.stopping.get() {
            return Ok(());
        }
    }
}

/// `_run_once()`: one turn.
pub(super) fn run_once(this: &LoopObject) -> Result<Owned> {
    begin_run(this)?;
    let outcome = one_turn(this);
    end_run(this);
    outcome.map(|()| none())
}

/// What each run begins with: the poller is asked in its first turn, whatever the last run has left queued.
fn begin_run(this: &LoopObject) -> Result<()> {
    this.patched_run.set(asyncio::handle_run_is_patched()?);
    this.must_ask.set(true);
    Ok(())
}

/// What each run ends with, however it ends: the loop works no more.
fn end_run(this: &LoopObject) {
    let pending = take();
    if leave_task(this).is_err() {
        unraisable(Some(this.as_obj()));
    }
    if let Some(pending) = pending {
        restore(pending);
    }
    this.observer.metrics.worked(maypole_sys::monotonic_ns());
}

fn one_turn(this: &LoopObject) -> Result<()> {
    this.turns.set(this.turns.get() + 1);
    // What was written while the loop did not run must not wait for the first event.
    this.flush_transports()?;
    this.wait_for_work()?;
    let now_ns = this.turn_now_ns()?;
    begin_batch(this, now_ns);
    run_batch(this)?;
    this.flush_transports()
}

#[inline]
fn begin_batch(this: &LoopObject, now_ns: u64) {
    let metrics = &this.observer.metrics;
    let items = {
        let mut histograms = metrics.histograms.borrow_mut();
        this.turn.borrow_mut().begin_noting(now_ns, |deadline_ns| {
            histograms
                .timer_lateness_ns
                .record(now_ns.saturating_sub(deadline_ns));
            this.observer
                .record(|recording| recording.timer_fired(deadline_ns));
        })
    };
    metrics.batch(items);
    this.observer.record(|recording| recording.batch(items));
}

fn run_batch(this: &LoopObject) -> Result<()> {
    let outcome = run_items(this);
    let pending = if outcome.is_err() { take() } else { None };
    this.observer.record(Recording::batch_done);
    rest(this)?;
    match pending {
        Some(pending) => Err(restore(pending)),
        None => outcome,
    }
}

fn run_items(this: &LoopObject) -> Result<()> {
    let task_class = task::class().as_ptr();
    loop {
        let (item, place) = {
            let mut turn = this.turn.borrow_mut();
            look_ahead(&turn, task_class);
            (turn.take(), turn.taken())
        };
        let Some(item) = item else { return Ok(()) };
        if this.observer.looks() || this.observer.sampling.awaits(place) {
            this.observer
                .run(this, &item, place, || run_one(this, &item, task_class))?;
        } else {
            run_one(this, &item, task_class)?;
        }
    }
}

#[inline(always)]
fn run_one(this: &LoopObject, item: &Obj, task_class: *mut ffi::PyObject) -> Result<()> {
    if item.type_ptr().cast() == task_class {
        // SAFETY: the exact type was just checked.
        return step_task(this, unsafe { TaskObject::of(item.as_ptr()) });
    }
    match aio::run(item) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) => failure::report_step(this, None),
        None => run_item(this, item),
    }
}

/// Steps a native task. Between two steps in a row the current task is only overwritten, not taken out.
#[inline]
fn step_task(this: &LoopObject, task: &TaskObject) -> Result<()> {
    let entered = current::enter(this.as_obj(), task.as_obj());
    this.set_running_serial(task.serial());
    if this.debug.get() && entered.is_ok() {
        return step_task_in_debug(this, task);
    }
    let outcome = entered.and_then(|()| task::step::run(task));
    this.observer.metrics.stepped(&task.future);
    match outcome {
        Ok(()) => Ok(()),
        Err(_) => failure::report_step(this, Some(task.as_obj())),
    }
}

/// A step of a task that was made before debug mode was switched on: a slow one is logged.
#[cold]
fn step_task_in_debug(this: &LoopObject, task: &TaskObject) -> Result<()> {
    let began_ns = this.now_ns()?;
    if task::step::run(task).is_err() {
        failure::report_step(this, Some(task.as_obj()))?;
    }
    let took = maypole_core::time::seconds(this.now_ns()?.saturating_sub(began_ns));
    let took = crate::capi::call::float(took)?;
    this.as_obj()
        .call_method(&names::get().log_slow_task, &[task.as_obj(), &took])
        .map(drop)
}

/// The batch is over: no task is current. Where the next item is a task, and no Python code runs before it, its forerunner stays in
/// asyncio's dictionary until then.
#[inline]
fn rest(this: &LoopObject) -> Result<()> {
    let is_task = |item: &Owned| item.type_ptr().cast() == task::class().as_ptr();
    let stays = this.running_serial() != 0
        && this.turn.borrow().upcoming(0).is_some_and(is_task)
        && !this.observer.looks()
        && !this.foreign_time.get();
    if stays {
        this.set_running_serial(0);
        this.between_tasks.set(true);
        return Ok(());
    }
    leave_task(this)
}

/// Takes the current task out, if one was put in. It fails only where a task has unset the running loop, as in asyncio.
#[inline]
pub(super) fn leave_task(this: &LoopObject) -> Result<()> {
    let entered = this.set_running_serial(0) != 0;
    if !this.between_tasks.replace(false) && !entered {
        return Ok(());
    }
    match current::leave(this.as_obj()) {
        Ok(()) => Ok(()),
        Err(_) => failure::report_step(this, None),
    }
}

#[inline]
fn run_item(this: &LoopObject, item: &Obj) -> Result<()> {
    leave_task(this)?;
    let types = handle::types();
    if !types.is_own(item) {
        if let Some(transport) = StreamFields::downcast(item) {
            return transport
                .run(item)
                .or_else(|_| failure::report_transport(this, item));
        }
        if let Some(transport) = DatagramFields::downcast(item) {
            return transport
                .run(item)
                .or_else(|_| failure::report_transport(this, item));
        }
        return match TaskObject::downcast(item) {
            Some(task) => step_task(this, task),
            None if thread_safe_handle::is(item) => run_thread_safe(this, item),
            None => run_slowly(this, item),
        };
    }
    if this.debug.get() || this.patched_run.get() {
        return run_slowly(this, item);
    }
    if item.type_ptr().cast() == types.timer_handle.as_ptr() {
        handle::mark_unscheduled(item);
    }
    if handle::is_cancelled(item) {
        return Ok(());
    }
    match handle::run(item) {
        Ok(()) => Ok(()),
        Err(_) => failure::report(this, item),
    }
}

fn run_thread_safe(this: &LoopObject, item: &Obj) -> Result<()> {
    if this.debug.get() || this.patched_run.get() {
        return run_slowly(this, item);
    }
    thread_safe_handle::run(item, || failure::report(this, item))
}

/// Handles that are not ours, debug mode (slow-callback log) and replaced `Handle._run`: through the handle's own method.
#[cold]
fn run_slowly(this: &LoopObject, item: &Obj) -> Result<()> {
    let names = names::get();
    if item.type_ptr().cast() == handle::types().timer_handle.as_ptr() {
        handle::mark_unscheduled(item);
    }
    if item.get_attr(&names.cancelled_field)?.truthy()? {
        return Ok(());
    }
    if this.debug.get() {
        this.as_obj().call_method(&names.run_debug, &[item])?;
    } else {
        item.call_method(&names.run, &[])?;
    }
    Ok(())
}
