//! Waiting on the virtual clock: poll, then wait for what runs outside in real time, then jump.
//!
//! The rules are those of [`maypole_core::VirtualClock`]; the exceptions that end a hopeless program are made in Python, where the
//! tasks can be named.

use maypole_core::time::deadline_ns;
use maypole_core::{Idle, Ties};
use maypole_sys::{Timeout, monotonic_ns};
use pyo3::ffi;

use super::wait::Waited;
use super::{Clock, LoopObject};
use crate::capi::class::Native;
use crate::capi::error::{check, restore, runtime_error};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Raised, Result, names};

impl LoopObject {
    pub(super) fn wait_on_virtual_clock(&self) -> Result<()> {
        self.count_turn()?;
        self.poll_with_signals(Timeout::Now)?;
        let mut waited_ns = 0;
        while self.turn.borrow().ready_len() == 0 && !self.stopping.get() {
            match self.decide(waited_ns)? {
                Idle::Jump(_) => return Ok(()),
                Idle::Deadlock => return Err(self.raise_stop(&names::get().virtual_deadlock)),
                Idle::WaitForever => self.poll_with_signals(Timeout::Forever)?,
                Idle::WaitReal { timeout_ns } => {
                    let before_ns = monotonic_ns();
                    self.poll_with_signals(Timeout::After(timeout_ns))?;
                    waited_ns += monotonic_ns().saturating_sub(before_ns);
                }
            }
        }
        Ok(())
    }

    /// Counts the turn; too many without the clock moving is a spin.
    fn count_turn(&self) -> Result<()> {
        let spun = match &mut *self.clock.borrow_mut() {
            Clock::Virtual(clock) => clock.turn_ended().is_err(),
            Clock::Monotonic => false,
        };
        if spun {
            Err(self.raise_stop(&names::get().virtual_spin))
        } else {
            Ok(())
        }
    }

    fn decide(&self, waited_ns: u64) -> Result<Idle> {
        let outstanding = self
            .as_obj()
            .call_method(&names::get().virtual_outstanding, &[])?
            .truthy()?;
        let watched = self
            .as_obj()
            .call_method(&names::get().virtual_watched, &[])?
            .truthy()?;
        if self.turn.borrow().ready_len() > 0 {
            // Another thread called while Python looked for it, and may be gone already.
            return Ok(Idle::WaitReal { timeout_ns: 0 });
        }
        let next_deadline_ns = self.turn.borrow_mut().next_deadline_ns();
        Ok(match &mut *self.clock.borrow_mut() {
            Clock::Virtual(clock) => clock.idle(next_deadline_ns, watched, outstanding, waited_ns),
            Clock::Monotonic => Idle::WaitForever,
        })
    }

    fn poll_with_signals(&self, timeout: Timeout) -> Result<()> {
        if let Waited::Interrupted = self.poll(timeout)? {
            // SAFETY: the lock is held and no exception is set.
            check(unsafe { ffi::PyErr_CheckSignals() })?;
        }
        Ok(())
    }

    /// Raises the exception that the Python half makes: it names tasks and lines.
    #[cold]
    fn raise_stop(&self, factory: &Obj) -> Raised {
        match self.as_obj().call_method(factory, &[]) {
            Ok(stop) => restore(stop),
            Err(raised) => raised,
        }
    }
}

/// `_advance_time(seconds)`: moves the clock by what a blocking call took.
pub(super) fn advance_time(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (required, _) = args.at_least("_advance_time", &["seconds"], 1)?;
    let by_ns = deadline_ns(required[0].as_f64()?);
    match &mut *this.clock.borrow_mut() {
        Clock::Virtual(clock) => clock.advance(by_ns),
        Clock::Monotonic => return Err(runtime_error("the clock of this loop is not virtual")),
    }
    Ok(none())
}

/// `_permute_ties(seed)`: another order for equal deadlines and for the descriptors of one poll.
pub(super) fn permute_ties(this: &LoopObject, args: Args<'_>) -> Result<Owned> {
    let (required, _) = args.at_least("_permute_ties", &["seed"], 1)?;
    if !this.is_virtual {
        return Err(runtime_error("the clock of this loop is not virtual"));
    }
    let ties = Ties::new(required[0].as_i64()?.cast_unsigned());
    this.turn.borrow_mut().permute_ties(Some(ties));
    Ok(none())
}
