//! Result, exception and cancellation of a future, in asyncio's words.

use pyo3::ffi;

use super::{FutureObject, State};
use crate::asyncio;
use crate::capi::class::Native;
use crate::capi::error::{raise, restore, runtime_error, take, type_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Raised, Result, call, names};

impl FutureObject {
    /// Finishes the future with a result and tells who waits.
    ///
    /// # Errors
    /// `InvalidStateError` if it is done already; `RuntimeError` if its loop is closed and somebody waits.
    #[inline]
    pub(crate) fn finish(&self, result: Owned) -> Result<()> {
        self.check_pending()?;
        self.outcome.set(result);
        self.state.set(State::Finished);
        self.tell_waiters()
    }

    /// Finishes the future with an exception instance and tells who waits.
    ///
    /// # Errors
    /// As [`FutureObject::finish`].
    pub(crate) fn fail(&self, exception: Owned) -> Result<()> {
        self.check_pending()?;
        // SAFETY: an exception instance; the answer is null or a strong reference.
        drop(
            self.exception_tb
                .replace(unsafe { Owned::steal_opt(ffi::PyException_GetTraceback(exception.as_ptr())) }),
        );
        self.outcome.set(exception);
        self.state.set(State::Failed);
        self.log_traceback.set(true);
        self.tell_waiters()
    }

    /// Cancels the future unless it is done; `exception` is the one that ended a task, if there is one.
    ///
    /// # Errors
    /// `RuntimeError` if its loop is closed and somebody waits.
    pub(crate) fn cancel(&self, message: Option<&Obj>, exception: Option<Owned>) -> Result<bool> {
        self.log_traceback.set(false);
        if self.is_done() {
            return Ok(false);
        }
        self.state.set(State::Cancelled);
        drop(self.outcome.replace(exception));
        drop(self.cancel_message.replace(message.map(Obj::own)));
        self.tell_waiters()?;
        Ok(true)
    }

    /// The `CancelledError` of a cancelled future: the one that ended the task, the first time; a new one after that.
    pub(crate) fn make_cancelled_error(&self) -> Result<Owned> {
        if self.state() == State::Cancelled
            && let Some(exception) = self.outcome.take()
        {
            return Ok(exception);
        }
        let class = &asyncio::get().cancelled_error;
        match self.cancel_message.get() {
            Some(message) if !message.is_none() => class.call(&[&message]),
            _ => class.call(&[]),
        }
    }

    /// The exception that awaiting the future raises; `None` if it has a result or is pending.
    pub(crate) fn failure(&self) -> Result<Option<Owned>> {
        match self.state() {
            State::Pending | State::Finished => Ok(None),
            State::Cancelled => self.make_cancelled_error().map(Some),
            State::Failed => {
                self.log_traceback.set(false);
                let exception = self.outcome.get();
                if let Some(exception) = &exception {
                    self.put_traceback_back(exception);
                }
                Ok(exception)
            }
        }
    }

    /// Raising adds to an exception's traceback; each time anew it begins with the one it was set with.
    fn put_traceback_back(&self, exception: &Obj) {
        let trace = self.exception_tb.get_or_none();
        // SAFETY: an exception instance, and a traceback or None, which are the two things allowed.
        if unsafe { ffi::PyException_SetTraceback(exception.as_ptr(), trace.as_ptr()) } < 0 {
            crate::capi::error::unraisable(Some(exception));
        }
    }

    /// The result of a future that is done.
    ///
    /// # Errors
    /// The future's exception, `CancelledError`, or `InvalidStateError` if it is pending.
    #[inline]
    pub(crate) fn take_result(&self) -> Result<Owned> {
        match self.state() {
            State::Finished => Ok(self.outcome.get_or_none()),
            State::Pending => Err(invalid_state("Result is not set.")),
            State::Cancelled | State::Failed => match self.failure()? {
                Some(exception) => Err(restore(exception)),
                None => Err(runtime_error("the future has lost its exception")),
            },
        }
    }

    fn check_pending(&self) -> Result<()> {
        self.event_loop()?;
        if self.is_done() {
            Err(invalid_state("invalid state"))
        } else {
            Ok(())
        }
    }

    /// Tells the loop's exception handler about an exception that nobody retrieved.
    pub(crate) fn report_unretrieved(&self, object: &Obj) {
        if !self.log_traceback.replace(false) {
            return;
        }
        let pending = take();
        if self.tell_unretrieved(object).is_err() {
            crate::capi::error::unraisable(Some(object));
        }
        if let Some(pending) = pending {
            restore(pending);
        }
    }

    fn tell_unretrieved(&self, object: &Obj) -> Result<()> {
        let (Some(exception), Some(event_loop)) = (self.outcome.get(), self.event_loop.get()) else {
            return Ok(());
        };
        // SAFETY: the type of a live object is live.
        let class = unsafe { Obj::from_ptr(object.type_ptr().cast()) };
        let kind = class.get_attr(&*call::interned("__name__")?)?;
        // SAFETY: a format that shows one string, and a string.
        let message = unsafe {
            let format = c"%U exception was never retrieved".as_ptr();
            Owned::steal(ffi::PyUnicode_FromFormat(format, kind.as_ptr()))?
        };
        let entries = [
            ("message", Some(&*message)),
            ("exception", Some(&*exception)),
            ("future", Some(object)),
            ("source_traceback", self.source_traceback.peek()),
        ];
        asyncio::call_exception_handler(&event_loop, &entries)
    }
}

#[cold]
pub(crate) fn invalid_state(text: &str) -> Raised {
    raise(asyncio::get().invalid_state_error.as_ptr(), text)
}

pub(super) fn result(this: &FutureObject) -> Result<Owned> {
    this.event_loop()?;
    this.take_result()
}

pub(crate) fn exception(this: &FutureObject) -> Result<Owned> {
    this.event_loop()?;
    match this.state() {
        State::Pending => Err(invalid_state("Exception is not set.")),
        State::Finished => Ok(none()),
        State::Failed => {
            this.log_traceback.set(false);
            Ok(this.outcome.get_or_none())
        }
        State::Cancelled => Err(restore(this.make_cancelled_error()?)),
    }
}

pub(super) fn set_result(this: &FutureObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("set_result", &["result"], 1)?;
    this.finish(given[0].own())?;
    Ok(none())
}

pub(super) fn set_exception(this: &FutureObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("set_exception", &["exception"], 1)?;
    this.check_pending()?;
    this.fail(exception_instance(given[0])?)?;
    Ok(none())
}

/// The instance that `set_exception` stores: a class is called, and what cannot be raised into a coroutine is refused.
fn exception_instance(given: &Obj) -> Result<Owned> {
    // SAFETY: a live object.
    let exception = if unsafe { ffi::PyExceptionClass_Check(given.as_ptr()) } != 0 {
        given.call(&[])?
    } else {
        given.own()
    };
    // SAFETY: a live object.
    if unsafe { ffi::PyExceptionInstance_Check(exception.as_ptr()) } == 0 {
        return Err(type_error("invalid exception object"));
    }
    // SAFETY: the exception types exist while the interpreter does.
    if unsafe { ffi::PyErr_GivenExceptionMatches(exception.as_ptr(), ffi::PyExc_StopIteration) } == 0 {
        return Ok(exception);
    }
    refuse_stop_iteration(&exception)
}

/// `StopIteration` would end the coroutine that awaits: up to 3.11 refused, from 3.12 on wrapped.
#[cold]
fn refuse_stop_iteration(exception: &Obj) -> Result<Owned> {
    let text = "StopIteration interacts badly with generators and cannot be raised into a Future";
    if cfg!(not(Py_3_12)) {
        return Err(type_error(text));
    }
    // SAFETY: the exception types exist while the interpreter does.
    let wrapped = unsafe { Obj::from_ptr(ffi::PyExc_RuntimeError) }.call(&[&*call::text(text)?])?;
    // SAFETY: both setters take over one reference to a live exception.
    unsafe {
        ffi::PyException_SetCause(wrapped.as_ptr(), exception.own().into_ptr());
        ffi::PyException_SetContext(wrapped.as_ptr(), exception.own().into_ptr());
    }
    Ok(wrapped)
}

pub(super) fn cancel_method(this: &FutureObject, args: Args<'_>) -> Result<Owned> {
    let [message] = args.bind("cancel", [&names::get().msg], 0)?;
    this.event_loop()?;
    Ok(boolean(this.cancel(message, None)?))
}

pub(super) fn make_cancelled_error_method(this: &FutureObject) -> Result<Owned> {
    this.make_cancelled_error()
}

/// Used by the module's tests of identity: the text that asyncio shows for each state.
pub(super) fn state_name(state: State) -> Result<Owned> {
    call::text(match state {
        State::Pending => "PENDING",
        State::Cancelled => "CANCELLED",
        State::Finished | State::Failed => "FINISHED",
    })
}

impl FutureObject {
    /// `_exception` as asyncio's code reads it: the exception, without marking it as retrieved.
    pub(crate) fn peek_exception(&self) -> Owned {
        if self.state() == State::Failed {
            self.outcome.get_or_none()
        } else {
            none()
        }
    }

    /// `_result` as asyncio's code reads it.
    pub(super) fn peek_result(&self) -> Owned {
        if self.state() == State::Finished {
            self.outcome.get_or_none()
        } else {
            none()
        }
    }

    /// `cancel()` on a task: its exception, if it has one, counts as seen.
    pub(crate) fn forget_unretrieved(&self) {
        self.log_traceback.set(false);
    }

    /// Whether an exception waits to be retrieved.
    pub(crate) fn is_unretrieved(&self) -> bool {
        self.log_traceback.get()
    }

    pub(crate) fn cancel_message(&self) -> Option<Owned> {
        self.cancel_message.get()
    }

    pub(crate) fn set_cancel_message(&self, message: Option<&Obj>) {
        drop(self.cancel_message.replace(message.map(Obj::own)));
    }

    /// This future as a Python object.
    pub(crate) fn object(&self) -> &Obj {
        self.as_obj()
    }
}
