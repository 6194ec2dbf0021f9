//! What other threads push into the loop, and when they must ring for it.
//!
//! Owns [`Inbox`], the only door through which other threads reach the loop. `call_soon_threadsafe`, an executor
//! that is done, a signal's forwarder: each pushes an item and, if told so, rings the wake-up (an eventfd). Ringing costs
//! a system call, so it is asked for only when the loop sleeps.
//!
//! ```text
//!  other thread                      the loop
//!  push(item) -> ring? ──▶ items ──▶ drain_into(&mut out)         each turn
//!         └── rings the wake-up      begin_sleep() ? sleep : turn  before it would block
//!                                    end_sleep()                   after it woke
//! ```
//!
//! Invariant: no item is left unseen by a sleeping loop: an item pushed before `begin_sleep` makes it say no, and one
//! pushed after it makes the pusher ring.
//! Invariant: no ring is asked for while the loop is awake, and at most one in one sleep.
//! Invariant: items of one thread arrive in the order it pushed them.
//! Invariant: no item is dropped in here while the lock is held; foreign code never runs under it.
//!
//! Whether the loop sleeps and what is there are decided under one lock, so there is no window between them. `waiting`
//! repeats "there are items" outside the lock for the one reader that looks each turn. A stale read there is
//! harmless: it is cured at the next turn, and `begin_sleep` asks under the lock.

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

/// A queue from any thread to the loop's, that tells the pusher when the loop must be woken.
///
/// ```
/// let inbox = maypole_core::Inbox::new();
/// assert!(!inbox.push("early"), "the loop is awake: no need to ring");
/// assert!(!inbox.begin_sleep(), "something is there: no sleep");
///
/// let mut out = Vec::new();
/// inbox.drain_into(&mut out);
/// assert_eq!(out, ["early"]);
///
/// assert!(inbox.begin_sleep());
/// assert!(inbox.push("late"), "the loop sleeps: ring");
/// assert!(!inbox.push("later"), "it was rung for already");
/// inbox.end_sleep();
/// ```
#[derive(Debug)]
pub struct Inbox<T> {
    state: Mutex<State<T>>,
    waiting: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    items: Vec<T>,
    asleep: bool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Inbox<T> {
    /// Makes an empty inbox of a loop that is awake.
    ///
    /// ```
    /// assert!(maypole_core::Inbox::<u8>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                items: Vec::new(),
                asleep: false,
            }),
            waiting: AtomicBool::new(false),
        }
    }

    /// Appends `item`, from any thread; `true` means the caller must now ring the wake-up.
    ///
    /// ```
    /// let inbox = maypole_core::Inbox::new();
    /// assert!(inbox.begin_sleep());
    /// if inbox.push(1) { /* write to the eventfd */ } else { unreachable!() }
    /// ```
    #[must_use = "when it says true and nobody rings, the loop sleeps on"]
    pub fn push(&self, item: T) -> bool {
        let mut state = self.lock();
        state.items.push(item);
        self.waiting.store(true, Ordering::Release);
        std::mem::take(&mut state.asleep)
    }

    /// Moves everything into `out`, behind what is there, in the order it was pushed. One atomic load when empty.
    ///
    /// ```
    /// let inbox = maypole_core::Inbox::new();
    /// let _ = inbox.push(2);
    /// let mut out = vec![1];
    /// inbox.drain_into(&mut out);
    /// assert_eq!(out, [1, 2]);
    /// ```
    #[inline]
    pub fn drain_into(&self, out: &mut Vec<T>) {
        if self.waiting.load(Ordering::Acquire) {
            self.drain_locked(out);
        }
    }

    #[cold]
    fn drain_locked(&self, out: &mut Vec<T>) {
        let mut state = self.lock();
        self.waiting.store(false, Ordering::Relaxed);
        if out.is_empty() {
            std::mem::swap(out, &mut state.items); // the two buffers take turns; nothing is copied
        } else {
            out.append(&mut state.items);
        }
    }

    /// Says that the loop is about to block; `false` means that something is there and it must not.
    ///
    /// ```
    /// let inbox = maypole_core::Inbox::<u8>::new();
    /// assert!(inbox.begin_sleep());
    /// inbox.end_sleep();
    /// ```
    #[must_use = "sleeping when it says false leaves an item unseen"]
    pub fn begin_sleep(&self) -> bool {
        let mut state = self.lock();
        state.asleep = state.items.is_empty();
        state.asleep
    }

    /// Says that the loop is awake again, whatever woke it; pushers no longer ring.
    ///
    /// ```
    /// let inbox = maypole_core::Inbox::new();
    /// assert!(inbox.begin_sleep());
    /// inbox.end_sleep();
    /// assert!(!inbox.push(1));
    /// ```
    pub fn end_sleep(&self) {
        self.lock().asleep = false;
    }

    /// Whether nothing waits, as far as one atomic load can tell.
    ///
    /// ```
    /// let inbox = maypole_core::Inbox::new();
    /// let _ = inbox.push(1);
    /// assert!(!inbox.is_empty());
    /// ```
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.waiting.load(Ordering::Acquire)
    }

    /// A thread that panicked in a push left the state whole: every change under the lock is a single step.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn poisoned_lock_is_recovered() {
        let inbox = Inbox::new();
        assert!(!inbox.push(1));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = inbox.state.lock();
            panic!("while holding the lock");
        }));
        assert!(outcome.is_err() && inbox.state.is_poisoned());
        assert!(!inbox.begin_sleep());
        assert!(!inbox.push(2));
        let mut out = Vec::new();
        inbox.drain_into(&mut out);
        assert_eq!(out, [1, 2]);
        assert!(inbox.begin_sleep() && inbox.push(3));
    }
}
