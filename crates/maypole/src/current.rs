//! Which loop runs on this thread.
//!
//! Invariant: at most one loop runs on a thread; the one entered last is the current one until its entry is dropped.
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::scheduler::Scheduler;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

/// There is no running loop on this thread.
///
/// # Examples
/// ```
/// let error = maypole::try_spawn(async {}).unwrap_err();
/// assert_eq!(error.to_string(), "no running maypole loop on this thread");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopMissing;

impl fmt::Display for LoopMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no running maypole loop on this thread")
    }
}

impl std::error::Error for LoopMissing {}

/// Makes a scheduler the current one until it is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    before: Option<Rc<Scheduler>>,
}

impl Entered {
    pub(crate) fn new(scheduler: Rc<Scheduler>) -> Self {
        Self {
            before: CURRENT.with(|current| current.replace(Some(scheduler))),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = CURRENT.with(|current| current.replace(self.before.take()));
        drop(left);
    }
}

/// Gives the running loop of this thread.
pub(crate) fn scheduler() -> Result<Rc<Scheduler>, LoopMissing> {
    with(Rc::clone).ok_or(LoopMissing)
}

/// Calls `look` with the running loop of this thread, if there is one; `look` must not enter or leave a loop.
#[inline]
pub(crate) fn with<R>(look: impl FnOnce(&Rc<Scheduler>) -> R) -> Option<R> {
    // At the end of a thread its locals are gone, and wakers dropped then may still come here.
    CURRENT
        .try_with(|current| current.borrow().as_ref().map(look))
        .ok()
        .flatten()
}
