//! What a step of an operation asks for: to wait for the future, or for a time; and how a wait is ended from outside.

use maypole_core::Key;

use super::{Operation, Step};
use crate::capi::class::Native;
use crate::capi::object::none;
use crate::capi::{Obj, Result};
use crate::event_loop::LoopObject;

impl Operation {
    /// Begins to wait on `event_loop`, for the first time or once more.
    ///
    /// # Errors
    /// In debug mode what formatting the stack raises.
    #[inline]
    pub(in crate::aio) fn wait_on(&self, event_loop: &Obj) -> Result<Step> {
        if self.future.is_done() {
            self.future.rearm();
        } else {
            self.future.begin(event_loop)?;
        }
        Ok(Step::Wait)
    }

    /// Lets the wheel of `event_loop` finish the future at the loop time `when_s`, unless somebody else does before.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed.
    #[inline]
    pub(in crate::aio) fn finish_at(&self, event_loop: &LoopObject, when_s: f64) -> Result<()> {
        let key = event_loop.schedule_at(when_s, self.as_obj().own())?;
        self.timer.set(key.to_bits());
        self.timed.set(true);
        Ok(())
    }

    /// Takes the timer out of the wheel; one that has fired is gone already.
    #[inline]
    pub(in crate::aio) fn drop_timer(&self) {
        if self.timed.replace(false)
            && let Some(own) = self.future.loop_if_begun().and_then(LoopObject::downcast)
        {
            // The operation itself stays alive: whoever runs it holds it.
            drop(own.take_timer(Key::from_bits(self.timer.get())));
        }
    }

    /// The timer is due: the operation goes on.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed, or what a foreign loop raises.
    #[inline]
    pub(crate) fn fire(&self) -> Result<()> {
        self.timed.set(false);
        if self.future.is_done() {
            return Ok(());
        }
        self.future.finish(none())
    }

    /// Cancels the wait, as the task does that is cancelled while it waits.
    ///
    /// # Errors
    /// `RuntimeError` if the operation does not wait, or its loop is closed.
    pub(crate) fn cancel(&self, message: Option<&Obj>) -> Result<bool> {
        self.future.event_loop()?;
        self.drop_timer();
        self.future.cancel(message, None)
    }
}
