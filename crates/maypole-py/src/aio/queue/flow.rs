//! `put`, `get` and `join`: what may wait for another task.
//!
//! Nothing is handed over while somebody waits: who is woken looks again, and waits once more if another was faster.

use super::super::operation::{self, Operation, Step, Steps};
use super::super::stdlib::names;
use super::{QueueObject, shut_down};
use crate::capi::class::Native;
use crate::capi::object::none;
use crate::capi::{Args, Owned, Result};

static PUT: Steps<QueueObject> = Steps {
    name: c"Queue.put",
    begin: try_to_put,
    resume: |this, operation, _| try_to_put(this, operation),
    abandon: stop_putting,
};

static GET: Steps<QueueObject> = Steps {
    name: c"Queue.get",
    begin: try_to_get,
    resume: |this, operation, _| try_to_get(this, operation),
    abandon: stop_getting,
};

static JOIN: Steps<QueueObject> = Steps {
    name: c"Queue.join",
    begin: begin_to_join,
    resume: |this, operation, _| {
        this.joiners.remove(operation)?;
        Ok(Step::Return(none()))
    },
    abandon: |this, operation| this.joiners.remove(operation),
};

pub(super) fn put(this: &QueueObject, args: Args<'_>) -> Result<Owned> {
    operation::new(&PUT, this, Some(args.single("put", "item")?))
}

pub(super) fn get(this: &QueueObject) -> Result<Owned> {
    operation::new(&GET, this, None)
}

pub(super) fn join(this: &QueueObject) -> Result<Owned> {
    operation::new(&JOIN, this, None)
}

fn try_to_put(this: &QueueObject, operation: &Operation) -> Result<Step> {
    if !this.is_full()? {
        let item = operation.value();
        if this.is_plain.get() {
            this.put_now(&item)?;
        } else {
            this.as_obj().call_method(&names().put_nowait, &[&item])?;
        }
        return Ok(Step::Return(none()));
    }
    if this.is_shut_down.get() {
        return Err(shut_down());
    }
    let step = operation.wait_on(&*this.bound.bind()?)?;
    this.putters.push(operation)?;
    Ok(step)
}

/// Somebody who was woken and cancelled leaves the room to the next.
fn stop_putting(this: &QueueObject, operation: &Operation) -> Result<()> {
    this.putters.remove(operation)?;
    if was_woken(operation) && !this.is_full()? {
        this.putters.wake_next()?;
    }
    Ok(())
}

fn try_to_get(this: &QueueObject, operation: &Operation) -> Result<Step> {
    if !this.is_empty()? {
        let item = if this.is_plain.get() {
            this.get_now()?
        } else {
            this.as_obj().call_method(&names().get_nowait, &[])?
        };
        return Ok(Step::Return(item));
    }
    if this.is_shut_down.get() {
        return Err(shut_down());
    }
    let step = operation.wait_on(&*this.bound.bind()?)?;
    this.getters.push(operation)?;
    Ok(step)
}

/// Somebody who was woken and cancelled leaves the item to the next.
fn stop_getting(this: &QueueObject, operation: &Operation) -> Result<()> {
    this.getters.remove(operation)?;
    if was_woken(operation) && !this.is_empty()? {
        this.getters.wake_next()?;
    }
    Ok(())
}

fn was_woken(operation: &Operation) -> bool {
    let future = operation.future();
    future.is_done() && !future.is_cancelled()
}

fn begin_to_join(this: &QueueObject, operation: &Operation) -> Result<Step> {
    if this.unfinished.get() <= 0 {
        return Ok(Step::Return(none()));
    }
    let step = operation.wait_on(&*this.bound.bind()?)?;
    this.joiners.push(operation)?;
    Ok(step)
}
