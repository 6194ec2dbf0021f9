//! The waker of a task: safe on every thread, cheap on the loop's own.
//!
//! Invariant: a task is queued at most once at a time; `queued` says whether it is.
//! Invariant: on the loop's thread a wake goes straight to the ready queue; from elsewhere through the inbox, and the
//! doorbell rings when the loop sleeps.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use maypole_core::{Inbox, Key};

use crate::current;
use crate::scheduler::Work;

/// The part of a loop that other threads may touch.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) inbox: Inbox<Key>,
    pub(crate) doorbell: maypole_sys::Waker,
}

/// What stands behind the `Waker` of one task.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    key: Key,
    queued: AtomicBool,
    remote: Arc<Remote>,
}

impl TaskWaker {
    pub(crate) fn new(key: Key, remote: Arc<Remote>) -> Self {
        Self {
            key,
            queued: AtomicBool::new(false),
            remote,
        }
    }

    /// Notes that the task leaves the queue: wakes from now on queue it again.
    pub(crate) fn dequeued(&self) {
        // A swap and not a store: it takes part in the order of the wakers' swaps, so what a waker wrote before a wake
        // that found the task queued is seen by the poll that follows.
        self.queued.swap(false, Ordering::AcqRel);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let here = current::with(|scheduler| {
            let here = scheduler.is_behind(&self.remote);
            if here {
                scheduler.enqueue(Work::Step(self.key));
            }
            here
        });
        if here != Some(true) && self.remote.inbox.push(self.key) {
            let rung = self.remote.doorbell.wake();
            // An eventfd that is open and not full takes every write, and a waker has nobody to report to.
            debug_assert!(rung.is_ok(), "the doorbell of a loop failed: {rung:?}");
        }
    }
}
