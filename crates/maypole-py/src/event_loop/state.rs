//! The loop's clock and the flags that its methods and CPython's inherited code share.

use std::ffi::{CStr, c_int};

use maypole_core::time::{deadline_ns, seconds};
use maypole_sys::monotonic_ns;
use pyo3::ffi;

use super::{Clock, LoopObject};
use crate::capi::class::Native;
use crate::capi::error::attribute_error;
use crate::capi::object::{boolean, none};
use crate::capi::{Obj, Owned, Raised, Result, call, names};

pub(super) const TIME_DOC: &CStr = c"time($self, /)\n--\n\nReturn the loop's clock in seconds; time.monotonic() unless the clock is virtual.";

impl LoopObject {
    /// The native clock, in nanoseconds.
    #[inline]
    pub(super) fn own_now_ns(&self) -> u64 {
        if !self.is_virtual {
            return monotonic_ns();
        }
        match &*self.clock.borrow() {
            Clock::Virtual(clock) => clock.now_ns(),
            Clock::Monotonic => monotonic_ns(),
        }
    }

    /// The time of a clock that is virtual.
    pub(crate) fn virtual_now_ns(&self) -> Option<u64> {
        self.is_virtual.then(|| self.own_now_ns())
    }

    /// What `loop.time()` says, in nanoseconds, also when somebody replaced it.
    ///
    /// # Errors
    /// Whatever a replaced `time()` raises.
    #[inline]
    pub(super) fn now_ns(&self) -> Result<u64> {
        if !self.foreign_time.get() {
            return Ok(self.own_now_ns());
        }
        let now = self.as_obj().call_method(&names::get().time, &[])?.as_f64()?;
        Ok(deadline_ns(now))
    }

    /// What `loop.time()` says, given a reading of the monotonic clock that was just taken.
    ///
    /// # Errors
    /// As [`LoopObject::now_ns`].
    #[inline]
    pub(super) fn foreign_now_ns(&self, monotonic_ns: u64) -> Result<u64> {
        if self.foreign_time.get() {
            self.now_ns()
        } else {
            Ok(monotonic_ns)
        }
    }

    /// The time by which this turn decides what is due.
    #[inline]
    pub(super) fn turn_now_ns(&self) -> Result<u64> {
        if self.turn.borrow().timers_len() == 0 {
            Ok(0)
        } else if self.is_virtual {
            self.now_ns()
        } else {
            self.foreign_now_ns(self.observer.metrics.batch_began_ns())
        }
    }
}

pub(super) fn time(this: &LoopObject) -> Result<Owned> {
    call::float(seconds(this.own_now_ns()))
}

pub(super) fn stop(this: &LoopObject) -> Result<Owned> {
    this.stopping.set(true);
    Ok(none())
}

pub(super) fn is_running(this: &LoopObject) -> Result<Owned> {
    Ok(boolean(this.thread_id.get() != 0))
}

pub(super) fn is_closed(this: &LoopObject) -> Result<Owned> {
    Ok(boolean(this.closed.get()))
}

pub(super) fn get_debug(this: &LoopObject) -> Result<Owned> {
    Ok(boolean(this.debug.get()))
}

pub(super) fn get_stopping(this: &LoopObject) -> Result<Owned> {
    Ok(boolean(this.stopping.get()))
}

pub(super) fn set_closed(this: &LoopObject, value: Option<&Obj>) -> Result<()> {
    this.closed.set(required(value)?.truthy()?);
    Ok(())
}

pub(super) fn set_stopping(this: &LoopObject, value: Option<&Obj>) -> Result<()> {
    this.stopping.set(required(value)?.truthy()?);
    Ok(())
}

pub(super) fn set_debug(this: &LoopObject, value: Option<&Obj>) -> Result<()> {
    this.debug.set(required(value)?.truthy()?);
    Ok(())
}

pub(super) fn get_thread_id(this: &LoopObject) -> Result<Owned> {
    match this.thread_id.get() {
        0 => Ok(none()),
        id => call::unsigned(id),
    }
}

pub(super) fn set_thread_id(this: &LoopObject, value: Option<&Obj>) -> Result<()> {
    let value = required(value)?;
    let id = if value.is_none() {
        0
    } else {
        value.as_i64()?.cast_unsigned()
    };
    this.thread_id.set(id);
    Ok(())
}

fn required(value: Option<&Obj>) -> Result<&Obj> {
    value.ok_or_else(|| attribute_error("this attribute of a loop cannot be deleted"))
}

/// `_ready`: a copy of the queue, for code that looks at it; the queue itself is native.
pub(super) fn get_ready(this: &LoopObject) -> Result<Owned> {
    let turn = this.turn.borrow();
    let items = call::collect(turn.iter().take(turn.ready_len()).cloned().map(Ok))?;
    drop(turn);
    call::list(items)
}

/// `_scheduled`: a copy of the timers, in no order.
pub(super) fn get_scheduled(this: &LoopObject) -> Result<Owned> {
    let turn = this.turn.borrow();
    let items = call::collect(turn.iter().skip(turn.ready_len()).cloned().map(Ok))?;
    drop(turn);
    call::list(items)
}

/// CPython's constructor assigns empty queues; ours are made already.
pub(super) fn ignore_queue(_: &LoopObject, _: Option<&Obj>) -> Result<()> {
    Ok(())
}

pub(super) fn get_task_factory(this: &LoopObject) -> Result<Owned> {
    Ok(this.task_factory.get_or_none())
}

pub(super) fn set_task_factory(this: &LoopObject, value: Option<&Obj>) -> Result<()> {
    let factory = value.filter(|value| !value.is_none()).map(Obj::own);
    drop(this.task_factory.replace(factory));
    Ok(())
}

pub(super) fn get_plain_tasks(this: &LoopObject) -> Result<Owned> {
    Ok(boolean(this.plain_tasks.get()))
}

pub(super) fn set_plain_tasks(this: &LoopObject, value: Option<&Obj>) -> Result<()> {
    this.plain_tasks.set(required(value)?.truthy()?);
    Ok(())
}

pub(super) fn get_clock(this: &LoopObject) -> Result<Owned> {
    call::text(if this.is_virtual { "virtual" } else { "monotonic" })
}

pub(super) fn get_turns(this: &LoopObject) -> Result<Owned> {
    call::unsigned(this.turns.get())
}

/// `_watched`: how many descriptors are watched besides the wake-up.
pub(super) fn get_watched(this: &LoopObject) -> Result<Owned> {
    call::unsigned(this.sources.borrow().len() as u64)
}

/// `_watched_fds()`: the watched descriptors.
pub(super) fn watched_fds(this: &LoopObject) -> Result<Owned> {
    let fds: Vec<i32> = this.sources.borrow().descriptors().collect();
    call::list(
        fds.into_iter()
            .map(|fd| call::integer(fd.into()))
            .collect::<Result<_>>()?,
    )
}

/// `_follow_time()`: a subclass has its own `time()`; the wheel follows it.
pub(super) fn follow_time(this: &LoopObject) -> Result<Owned> {
    this.foreign_time.set(true);
    Ok(none())
}

/// `_poller_fd`: the epoll descriptor, or -1 once the loop is closed.
pub(super) fn get_poller_fd(this: &LoopObject) -> Result<Owned> {
    let fd = this
        .reactor
        .borrow()
        .as_ref()
        .map_or(-1, |reactor| reactor.poller.as_raw_fd());
    call::integer(fd.into())
}

/// `_close_native()`: gives up everything native; the loop must not run.
pub(super) fn close_native(this: &LoopObject) -> Result<Owned> {
    let reactor = this.reactor.borrow_mut().take();
    drop(reactor);
    this.discard();
    Ok(none())
}

/// `tp_setattro`: notices when somebody replaces `time` on the loop, so that the wheel follows their clock.
pub(super) unsafe extern "C" fn set_attribute(
    this: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    crate::capi::class::enter(-1, || {
        // SAFETY: the interpreter passes a loop and a live name.
        let (object, given) = unsafe { (LoopObject::of(this), Obj::from_ptr(name)) };
        // SAFETY: three live objects, the last perhaps null for a deletion.
        if unsafe { ffi::PyObject_GenericSetAttr(this, name, value) } < 0 {
            return Err(Raised);
        }
        // SAFETY: a live object.
        let is_text = unsafe { ffi::PyUnicode_Check(name) } != 0;
        if is_text && names::same(given, &names::get().time) {
            object.foreign_time.set(!value.is_null());
        }
        Ok(0)
    })
}
