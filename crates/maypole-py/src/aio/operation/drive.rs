//! Driving an operation from one suspension to the next.

use super::{Operation, Stage, Step, Steps};
use crate::capi::class::Native;
use crate::capi::error::{restore, runtime_error, take};
use crate::capi::object::none;
use crate::capi::{Obj, Owned, Raised, Result};

/// What an operation gives to whoever drives it.
pub(super) enum Driven {
    Yielded(Owned),
    Returned(Owned),
}

impl Operation {
    /// Runs up to the next suspension.
    #[inline]
    pub(super) fn drive(&self) -> Result<Driven> {
        let steps = self.steps()?;
        let outcome = match self.stage.replace(Stage::Running) {
            Stage::New => self.with_owner(|owner| (steps.begin)(owner, self)),
            Stage::Yielded => self.with_owner(|owner| (steps.resume)(owner, self, none())),
            Stage::Waiting => self.woken(steps),
            Stage::Delegated => return self.drive_delegate(None),
            stage @ (Stage::Running | Stage::Done) => return Err(self.not_resumable(stage)),
        };
        self.settle(outcome)
    }

    #[inline]
    pub(super) fn settle(&self, outcome: Result<Step>) -> Result<Driven> {
        match outcome {
            Ok(Step::Return(value)) => {
                self.stage.set(Stage::Done);
                Ok(Driven::Returned(value))
            }
            Ok(Step::Wait) => {
                self.stage.set(Stage::Waiting);
                self.future.blocking.set(true);
                Ok(Driven::Yielded(self.as_obj().own()))
            }
            Ok(Step::Yield) => {
                self.stage.set(Stage::Yielded);
                Ok(Driven::Yielded(none()))
            }
            Ok(Step::Delegate) => self.drive_delegate(None),
            Err(raised) => {
                self.stage.set(Stage::Done);
                Err(raised)
            }
        }
    }

    /// Calls a step. Only an object that the steps were made for may be given to them, so one that the collector cleared ends here.
    #[inline(always)]
    pub(super) fn with_owner<R>(&self, body: impl FnOnce(&Obj) -> Result<R>) -> Result<R> {
        let Some(owner) = self.owner.get() else {
            return Err(runtime_error("the operation was cleared"));
        };
        body(&owner)
    }

    #[inline]
    fn woken(&self, steps: &Steps<Obj>) -> Result<Step> {
        if !self.future.is_done() {
            runtime_error("await wasn't used with future");
            return Err(self.give_up(steps));
        }
        match self.future.take_result() {
            Ok(value) => self.with_owner(|owner| (steps.resume)(owner, self, value)),
            Err(Raised) => Err(self.give_up(steps)),
        }
    }

    /// Undoes the suspension because of the current exception, which stays set unless undoing it fails too.
    #[cold]
    pub(super) fn give_up(&self, steps: &Steps<Obj>) -> Raised {
        let Some(exception) = take() else { return Raised };
        self.drop_timer();
        match self.with_owner(|owner| (steps.abandon)(owner, self)) {
            Ok(()) => restore(exception),
            Err(Raised) => Raised,
        }
    }

    #[cold]
    pub(super) fn not_resumable(&self, stage: Stage) -> Raised {
        self.stage.set(stage);
        if stage == Stage::Running {
            crate::capi::error::value_error("coroutine already executing")
        } else {
            runtime_error("cannot reuse already awaited coroutine")
        }
    }

    /// Raises `exception` where the operation stands.
    #[cold]
    pub(super) fn drive_by(&self, exception: Owned) -> Result<Driven> {
        match self.stage.replace(Stage::Running) {
            Stage::New => self.settle(Err(restore(exception))),
            Stage::Waiting | Stage::Yielded => {
                let steps = self.steps()?;
                restore(exception);
                self.settle(Err(self.give_up(steps)))
            }
            Stage::Delegated => self.drive_delegate(Some(exception)),
            stage @ (Stage::Running | Stage::Done) => Err(self.not_resumable(stage)),
        }
    }
}
