//! Many futures inside one task, each polled only when it was woken.
//!
//! Invariant: a child is in the queue exactly when it is flagged as queued; the children woken first are polled first.
//! Invariant: one poll of the set polls each child at most once, so a child that always wakes itself cannot keep the
//! task from the loop.
//! Invariant: no waker is cloned, woken or dropped while the lock is held.
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The futures of one `join_all` or `as_completed`, by their place in the input.
pub(crate) struct ChildSet<F> {
    children: Vec<Option<Child<F>>>,
    left: usize,
    woken: Arc<Woken>,
    /// Woken children that this round of polls still has to come to.
    batch: VecDeque<usize>,
}

struct Child<F> {
    future: Pin<Box<F>>,
    shared: Arc<ChildWaker>,
}

/// What the wakers of all children share with the set.
struct Woken {
    state: Mutex<WokenState>,
}

struct WokenState {
    queue: VecDeque<usize>,
    /// The task to wake; `None` once it has been.
    parent: Option<Waker>,
}

struct ChildWaker {
    index: usize,
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl<F: Future> ChildSet<F> {
    pub(crate) fn new(futures: impl IntoIterator<Item = F>) -> Self {
        let woken = Arc::new(Woken {
            state: Mutex::new(WokenState {
                queue: VecDeque::new(),
                parent: None,
            }),
        });
        let child = |(index, future)| {
            let shared = ChildWaker {
                index,
                queued: AtomicBool::new(true),
                woken: Arc::clone(&woken),
            };
            Some(Child {
                future: Box::pin(future),
                shared: Arc::new(shared),
            })
        };
        let children: Vec<_> = futures.into_iter().enumerate().map(child).collect();
        let left = children.len();
        Self {
            children,
            left,
            woken,
            batch: (0..left).collect(),
        }
    }

    /// How many children have not given their output yet.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Gives the place and the output of the next child that is done; `None` when all are.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(usize, F::Output)>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.batch.is_empty() {
            std::mem::swap(&mut self.batch, &mut self.woken.lock().queue);
        }
        while let Some(index) = self.batch.pop_front() {
            if let Poll::Ready(output) = self.poll_child(index) {
                self.left -= 1;
                return Poll::Ready(Some((index, output)));
            }
        }
        if !self.woken.expect_wake(context.waker().clone()) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_child(&mut self, index: usize) -> Poll<F::Output> {
        let Some(Some(child)) = self.children.get_mut(index) else {
            return Poll::Pending;
        }; // a wake after the end
        // A swap and not a store, so that what was written before the last wake is seen.
        child.shared.queued.swap(false, Ordering::AcqRel);
        let waker = Waker::from(Arc::clone(&child.shared));
        let polled = child.future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.children[index] = None;
        }
        polled
    }
}

impl<F> fmt::Debug for ChildSet<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSet")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Woken {
    fn lock(&self) -> MutexGuard<'_, WokenState> {
        // No foreign code runs under the lock, so a panic cannot leave a half-done change behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the task to wake; `false` when a child was woken already, and nobody would be told again.
    fn expect_wake(&self, parent: Waker) -> bool {
        let mut state = self.lock();
        let quiet = state.queue.is_empty();
        let before = state.parent.replace(parent);
        drop(state);
        drop(before);
        quiet
    }
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let parent = {
            let mut state = self.woken.lock();
            state.queue.push_back(self.index);
            state.parent.take()
        };
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}
