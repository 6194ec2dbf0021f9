//! `call_soon`, `call_later`, `call_at`, `call_soon_threadsafe`: from the user's call to the queue or the wheel.
//!
//! Source: <https://docs.python.org/3/library/asyncio-eventloop.html#scheduling-callbacks>

use std::ffi::CStr;

use maypole_core::time::deadline_ns;
use maypole_core::{Key, Turn};
use maypole_trace::Waker;
use pyo3::ffi;

use super::LoopObject;
use crate::capi::class::Native;
use crate::capi::error::{memory_error, runtime_error, type_error};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Result, call, names};
use crate::handle::{self, Parts, When};
use crate::thread_safe_handle;

pub(super) const CALL_SOON_DOC: &CStr =
    c"call_soon($self, callback, /, *args, context=None)\n--\n\nRun callback(*args) in the next turn; return its Handle.";
pub(super) const THREADSAFE_DOC: &CStr =
    c"call_soon_threadsafe($self, callback, /, *args, context=None)\n--\n\nLike call_soon, from any thread.";
pub(super) const CALL_LATER_DOC: &CStr =
    c"call_later($self, delay, callback, /, *args, context=None)\n--\n\nRun callback(*args) after delay seconds; return its TimerHandle.";
pub(super) const CALL_AT_DOC: &CStr =
    c"call_at($self, when, callback, /, *args, context=None)\n--\n\nRun callback(*args) at the loop time when; return its TimerHandle.";

impl LoopObject {
    #[inline(always)]
    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.get() {
            Err(runtime_error("Event loop is closed"))
        } else {
            Ok(())
        }
    }

    #[inline]
    fn parts<'a>(&'a self, given: &Scheduled<'a>) -> Parts<'a> {
        Parts {
            callback: given.callback,
            args: given.args,
            context: given.context,
            event_loop: self,
        }
    }

    /// What `time()` says, in seconds.
    ///
    /// # Errors
    /// Whatever a replaced `time()` raises.
    pub(crate) fn now_s(&self) -> Result<f64> {
        self.now_ns().map(maypole_core::time::seconds)
    }

    /// Keeps a native item until the loop time `when_s`; the key takes it out before.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed, `MemoryError`.
    #[inline]
    pub(crate) fn schedule_at(&self, when_s: f64, item: Owned) -> Result<Key> {
        self.check_open()?;
        self.keep(deadline_ns(when_s), item)
    }

    /// Queues something behind everything that is ready now.
    ///
    /// # Errors
    /// `MemoryError`: the queue is as it was.
    #[inline(always)]
    pub(crate) fn enqueue(&self, item: Owned) -> Result<()> {
        self.enqueue_by(item, Waker::Unknown)
    }

    /// As [`LoopObject::enqueue`], for an item of which it is known who made it ready.
    ///
    /// # Errors
    /// As [`LoopObject::enqueue`].
    #[inline(always)]
    pub(super) fn enqueue_by(&self, item: Owned, waker: Waker) -> Result<()> {
        if self.turn.borrow_mut().reserve_ready().is_err() {
            return Err(memory_error());
        }
        let mut turn = self.turn.borrow_mut();
        turn.enqueue(item);
        self.count_queued(&turn, waker);
        Ok(())
    }

    /// Puts something into the wheel.
    ///
    /// # Errors
    /// `MemoryError`: the wheel is as it was.
    #[inline]
    fn keep(&self, due_ns: u64, item: Owned) -> Result<Key> {
        if self.turn.borrow_mut().reserve_timer().is_err() {
            return Err(memory_error());
        }
        self.observer.timer_set(due_ns);
        Ok(self.turn.borrow_mut().schedule(due_ns, item))
    }

    /// Counts an item that was just queued.
    #[inline(always)]
    pub(super) fn count_queued(&self, turn: &Turn<Owned>, waker: Waker) {
        if self.observer.sampling.counts_down() {
            self.observer
                .queued(turn.taken().wrapping_add(turn.ready_len() as u64), waker);
        }
    }
}

pub(super) fn call_soon(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let given = Scheduled::read(args, "call_soon", None)?;
    this.check_open()?;
    if this.debug.get() {
        check_in_debug(this, given.callback, "call_soon", true)?;
    }
    let handle = handle::new_handle(&this.parts(&given))?;
    this.enqueue(handle.clone())?;
    Ok(handle)
}

pub(super) fn call_soon_threadsafe(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let given = Scheduled::read(args, "call_soon_threadsafe", None)?;
    this.check_open()?;
    if this.debug.get() {
        check_in_debug(this, given.callback, "call_soon_threadsafe", false)?;
    }
    let handle = thread_safe_handle::new(&this.parts(&given))?;
    // The interpreter lock, which every caller holds, orders this against the loop's own use of the queue.
    this.enqueue_by(handle.clone(), Waker::Thread)?;
    this.ring()?;
    Ok(handle)
}

pub(super) fn call_later(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let given = Scheduled::read(args, "call_later", Some("delay"))?;
    let delay = given.time()?;
    if delay.is_none() {
        return Err(type_error("delay must not be None"));
    }
    let sum;
    let when = if delay.is_exact_float() && !this.foreign_time.get() {
        When::Seconds(maypole_core::time::seconds(this.now_ns()?) + delay.as_f64()?)
    } else {
        let now = this.as_obj().call_method(&names::get().time, &[])?;
        // SAFETY: two live objects; the addition raises for what is no number.
        sum = unsafe { Owned::steal(ffi::PyNumber_Add(now.as_ptr(), delay.as_ptr()))? };
        When::Given(&sum)
    };
    schedule(this, when, &given)
}

pub(super) fn call_at(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let given = Scheduled::read(args, "call_at", Some("when"))?;
    let when = given.time()?;
    if when.is_none() {
        return Err(type_error("when cannot be None"));
    }
    schedule(this, When::Given(when), &given)
}

fn schedule(this: &LoopObject, when: When<'_>, given: &Scheduled<'_>) -> Result<Owned> {
    this.check_open()?;
    if this.debug.get() {
        check_in_debug(this, given.callback, "call_at", true)?;
    }
    let deadline_ns = deadline_ns(when.seconds()?);
    let timer = handle::new_timer_handle(when, &this.parts(given))?;
    let key = this.keep(deadline_ns, timer.clone())?;
    handle::types().set_key(&timer, key);
    Ok(timer)
}

/// `_add_callback(handle)`: inherited code (signals, transports) queues handles that it made itself.
pub(super) fn add_callback(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_add_callback", &["handle"], 1)?;
    if !given[0].get_attr(&names::get().cancelled_field)?.truthy()? {
        this.enqueue(given[0].own())?;
    }
    Ok(none())
}

/// Checks that apply in debug mode only, in asyncio's own words.
#[cold]
pub(super) fn check_in_debug(this: &LoopObject, callback: &Obj, method: &str, thread: bool) -> Result<()> {
    let names = names::get();
    if thread {
        this.as_obj().call_method(&names.check_thread, &[])?;
    }
    this.as_obj()
        .call_method(&names.check_callback, &[callback, &*call::text(method)?])?;
    Ok(())
}

/// The arguments of a method that takes a callback, perhaps after a time, and a `context` keyword.
pub(super) struct Scheduled<'a> {
    /// The delay or the time, of a method that takes one.
    time: Option<&'a Obj>,
    callback: &'a Obj,
    args: &'a [&'a Obj],
    context: Option<&'a Obj>,
}

impl<'a> Scheduled<'a> {
    /// Reads `(callback, *args, context=None)`, behind `time_name` if that is given.
    #[inline(always)]
    fn read(args: Args<'a>, method: &str, time_name: Option<&str>) -> Result<Scheduled<'a>> {
        let positional = args.positional();
        let skip = usize::from(time_name.is_some());
        if positional.len() <= skip || args.has_keywords() {
            return Scheduled::read_keywords(args, method, time_name);
        }
        let time = if skip == 0 { None } else { Some(positional[0]) };
        Ok(Scheduled {
            time,
            callback: positional[skip],
            args: &positional[skip + 1..],
            context: None,
        })
    }

    #[cold]
    fn read_keywords(args: Args<'a>, method: &str, time_name: Option<&str>) -> Result<Scheduled<'a>> {
        let required: Vec<&str> = time_name.into_iter().chain(["callback"]).collect();
        // The name that asyncio's own messages have.
        let method = format!("BaseEventLoop.{method}");
        let (required, rest, context) = args.bind_before_rest(&method, &required, &names::get().context)?;
        let (callback, leading) = (required[required.len() - 1], &required[..required.len() - 1]);
        Ok(Scheduled {
            time: leading.first().copied(),
            callback,
            args: rest,
            context,
        })
    }

    /// The delay or the time of a method that takes one.
    fn time(&self) -> Result<&'a Obj> {
        self.time.ok_or_else(|| runtime_error("the call has no time"))
    }
}
