//! One turn of the loop: what runs now, in which order, and how long to wait before the next.
//!
//! Owns [`Turn`], the ready queue and the timers together with the rules between them. A driver (an event loop on an
//! operating system, a simulation, a test) supplies the time and the events:
//!
//! ```text
//!  ┌▶ must_poll(now)? ──yes──▶ wait(now) ──▶ ask the poller, that long ──▶ polled(now), enqueue(events)
//!  │                                                                          │
//!  └── take() … take() ◀── begin(now): due timers go behind what is queued, the batch is fixed ◀┘
//! ```
//!
//! Invariant: a turn is a function of its state, its calls and the `now_ns` in them; it reads no clock.
//! Invariant: a batch is what was ready when it began. What its callbacks enqueue runs in the next one.
//! Invariant: due timers run in the order of (deadline, insertion), behind what was queued before the batch began.
//! Invariant: while callbacks are ready the poller waits at most [`POLL_BUDGET_NS`] and [`POLL_SKIPS_MAX`] turns.
//! Invariant: no method drops an item. An item's drop may run foreign code that comes back to this very turn, so
//! everything that leaves is handed to the caller, who drops it when no borrow is held.

use std::collections::TryReserveError;

use crate::key::Key;
use crate::ready::ReadyQueue;
use crate::ties::Ties;
use crate::timers::Wheel;

/// How long the poller may be left unasked while callbacks are ready, in nanoseconds.
pub const POLL_BUDGET_NS: u64 = 50_000;

/// How many turns in a row may skip the poller while callbacks are ready.
pub const POLL_SKIPS_MAX: u32 = 64;

/// With at least so many timers pending, timers that follow one another closely are fired together.
pub const DENSE_TIMERS_MIN: usize = 16;

/// How close the next timer must be for that, in nanoseconds.
pub const DENSE_GAP_NS: u64 = 500_000;

/// How far apart the wake-ups for such timers are kept, in nanoseconds. Waking costs more than firing: ten thousand
/// timers a second would wake the loop ten thousand times. A loop with few timers wakes for each of them exactly; asyncio
/// rounds the wait for every timer up to as much.
pub const COALESCE_NS: u64 = 1_000_000;

/// How long the driver may wait in the poller.
///
/// ```
/// use maypole_core::{Turn, Wait};
///
/// let mut turn = Turn::new();
/// assert_eq!(turn.wait(0), Wait::Forever);
/// turn.schedule(500, "timer");
/// assert_eq!(turn.wait(0), Wait::Until(500));
/// turn.enqueue("callback");
/// assert_eq!(turn.wait(0), Wait::Poll);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Not at all: something is ready or due.
    Poll,
    /// Until this time in nanoseconds, on the clock of `now_ns`.
    Until(u64),
    /// Until an event or a wake-up: there is no timer.
    Forever,
}

/// The ready queue and the timers of one loop, and the rules of a turn.
///
/// ```
/// let mut turn = maypole_core::Turn::new();
/// turn.schedule(10, "due");
/// turn.enqueue("queued");
/// assert_eq!(turn.begin(10), 2);
/// assert_eq!(turn.take(), Some("queued"));
/// turn.enqueue("next turn");
/// assert_eq!(turn.take(), Some("due"));
/// assert_eq!(turn.take(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Turn<T> {
    ready: ReadyQueue<T>,
    timers: Wheel<T>,
    /// When the poller was last asked; `None` before the first time.
    polled_ns: Option<u64>,
    /// Whether it was asked since the last batch began.
    polled_now: bool,
    /// Batches begun without asking it, since it was last asked.
    skips: u32,
    /// When timers were last fired; `None` before the first time.
    fired_ns: Option<u64>,
    ties: Option<Ties>,
}

impl<T> Default for Turn<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Turn<T> {
    /// Makes a loop's state with nothing to do.
    ///
    /// ```
    /// assert_eq!(maypole_core::Turn::<()>::new().ready_len(), 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            ready: ReadyQueue::new(),
            timers: Wheel::new(),
            polled_ns: None,
            polled_now: false,
            skips: 0,
            fired_ns: None,
            ties: None,
        }
    }

    /// Puts `item` behind everything that is ready (asyncio's `call_soon`).
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.enqueue("callback");
    /// assert_eq!(turn.ready_len(), 1);
    /// ```
    #[inline]
    pub fn enqueue(&mut self, item: T) {
        self.ready.push(item);
    }

    /// Makes room for one more ready item, so that the next [`Turn::enqueue`] needs no memory.
    ///
    /// # Errors
    /// `TryReserveError` when there is no memory; the turn is as it was.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.reserve_ready()?;
    /// turn.enqueue("callback");
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    #[inline]
    pub fn reserve_ready(&mut self) -> Result<(), TryReserveError> {
        self.ready.reserve()
    }

    /// Makes room for one more timer, so that the next [`Turn::schedule`] needs next to no memory.
    ///
    /// # Errors
    /// As [`Turn::reserve_ready`].
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.reserve_timer()?;
    /// turn.schedule(1_000, "timer");
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    #[inline]
    pub fn reserve_timer(&mut self) -> Result<(), TryReserveError> {
        self.timers.reserve()
    }

    /// Keeps `item` until `deadline_ns` (asyncio's `call_at`) and returns the key that cancels it.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.schedule(1_000, "timer");
    /// assert_eq!(turn.begin(999), 0);
    /// assert_eq!(turn.begin(1_000), 1);
    /// ```
    #[inline]
    pub fn schedule(&mut self, deadline_ns: u64, item: T) -> Key {
        self.timers.insert(deadline_ns, item)
    }

    /// Takes a timer out and returns its item; `None` when it is ready, ran, or was cancelled before.
    ///
    /// A timer whose time has come stands in the ready queue, where only its owner can make it do nothing.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// let key = turn.schedule(1_000, "timer");
    /// assert_eq!(turn.cancel(key), Some("timer"));
    /// assert_eq!(turn.cancel(key), None);
    /// ```
    #[inline]
    pub fn cancel(&mut self, key: Key) -> Option<T> {
        self.timers.cancel(key)
    }

    /// How long the driver may wait in the poller at `now_ns`. Nothing becomes due earlier; see [`Wheel::next_wake_ns`].
    ///
    /// Among many timers that are close together the wait may end up to [`COALESCE_NS`] after the first of them.
    ///
    /// ```
    /// use maypole_core::{Turn, Wait};
    ///
    /// let mut turn = Turn::new();
    /// turn.schedule(500, ());
    /// assert_eq!(turn.wait(100), Wait::Until(500));
    /// assert_eq!(turn.wait(500), Wait::Poll);
    /// ```
    #[must_use]
    pub fn wait(&self, now_ns: u64) -> Wait {
        if !self.ready.is_empty() {
            return Wait::Poll;
        }
        match self.timers.next_wake_ns() {
            None => Wait::Forever,
            Some(wake_ns) if wake_ns <= now_ns => Wait::Poll,
            Some(wake_ns) => Wait::Until(self.coalesced_ns(wake_ns, now_ns)),
        }
    }

    /// When to wake for a timer that is due at `wake_ns`: then, or a little later together with its neighbours.
    fn coalesced_ns(&self, wake_ns: u64, now_ns: u64) -> u64 {
        match self.fired_ns {
            Some(fired_ns) if self.timers.len() >= DENSE_TIMERS_MIN && wake_ns - now_ns < DENSE_GAP_NS => {
                wake_ns.max(fired_ns.saturating_add(COALESCE_NS))
            }
            _ => wake_ns,
        }
    }

    /// Whether the poller must be asked before the next batch.
    ///
    /// Asking costs a system call. While callbacks are ready it may be skipped, but never for longer than
    /// [`POLL_BUDGET_NS`] nor for more than [`POLL_SKIPS_MAX`] turns. With nothing ready it must be asked.
    ///
    /// ```
    /// use maypole_core::{POLL_BUDGET_NS, Turn};
    ///
    /// let mut turn = Turn::new();
    /// turn.polled(0);
    /// assert!(turn.must_poll(1), "nothing is ready");
    /// turn.enqueue("callback");
    /// assert!(!turn.must_poll(1));
    /// assert!(turn.must_poll(POLL_BUDGET_NS));
    /// ```
    #[inline]
    #[must_use]
    pub fn must_poll(&self, now_ns: u64) -> bool {
        self.ready.is_empty()
            || self.skips >= POLL_SKIPS_MAX
            || self
                .polled_ns
                .is_none_or(|polled_ns| now_ns.saturating_sub(polled_ns) >= POLL_BUDGET_NS)
    }

    /// Notes that the poller was asked at `now_ns`.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.enqueue("callback");
    /// assert!(turn.must_poll(0), "it was never asked");
    /// turn.polled(0);
    /// assert!(!turn.must_poll(0));
    /// ```
    #[inline]
    pub fn polled(&mut self, now_ns: u64) {
        self.polled_ns = Some(now_ns);
        self.polled_now = true;
        self.skips = 0;
    }

    /// Begins a turn at `now_ns` and returns the size of its batch: what is queued, then the due timers.
    ///
    /// What was left of the last batch comes first.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.schedule(20, "second");
    /// turn.schedule(10, "first");
    /// assert_eq!(turn.begin(30), 2);
    /// assert_eq!(turn.take(), Some("first"));
    /// ```
    pub fn begin(&mut self, now_ns: u64) -> usize {
        self.begin_noting(now_ns, |_| ())
    }

    /// As [`Turn::begin`], and tells `fired` the deadline of each timer that is due.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.schedule(10, "timer");
    /// let mut lateness_ns = 0;
    /// turn.begin_noting(30, |deadline_ns| lateness_ns = 30 - deadline_ns);
    /// assert_eq!(lateness_ns, 20);
    /// ```
    #[inline]
    pub fn begin_noting(&mut self, now_ns: u64, mut fired: impl FnMut(u64)) -> usize {
        if !std::mem::take(&mut self.polled_now) {
            self.skips = self.skips.saturating_add(1);
        }
        let queued = self.ready.len();
        if self.ties.is_some() {
            self.push_due_permuted(now_ns, &mut fired);
        }
        // Without memory a timer stays in the wheel, due, until the next turn.
        while self.ready.reserve().is_ok()
            && let Some((deadline_ns, item)) = self.timers.pop_due(now_ns)
        {
            fired(deadline_ns);
            self.ready.push(item);
        }
        if self.ready.len() > queued {
            self.fired_ns = Some(now_ns);
        }
        self.ready.begin_batch()
    }

    /// From now on lets `ties` choose the order of timers with one deadline; `None` restores that of insertion.
    ///
    /// ```
    /// use maypole_core::{Ties, Turn};
    ///
    /// let mut turn = Turn::new();
    /// turn.permute_ties(Some(Ties::new(7)));
    /// turn.schedule(20, "later");
    /// turn.schedule(10, "sooner");
    /// turn.begin(20);
    /// assert_eq!(turn.take(), Some("sooner"), "only equal deadlines are permuted");
    /// ```
    pub fn permute_ties(&mut self, ties: Option<Ties>) {
        self.ties = ties;
    }

    /// Gives what one poll reported another order, if ties are permuted; else leaves it as it is.
    ///
    /// ```
    /// use maypole_core::{Ties, Turn};
    ///
    /// let mut turn: Turn<()> = Turn::new();
    /// let mut ready = [3, 4, 5, 6];
    /// turn.shuffle_poll(&mut ready);
    /// assert_eq!(ready, [3, 4, 5, 6]);
    /// turn.permute_ties(Some(Ties::new(1)));
    /// turn.shuffle_poll(&mut ready);
    /// assert_ne!(ready, [3, 4, 5, 6]);
    /// ```
    pub fn shuffle_poll<E>(&mut self, events: &mut [E]) {
        if let Some(ties) = &mut self.ties {
            ties.shuffle(events);
        }
    }

    /// Takes the next item of the batch; `None` when the turn is over.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.enqueue("callback");
    /// turn.begin(0);
    /// assert_eq!(turn.take(), Some("callback"));
    /// assert_eq!(turn.take(), None);
    /// ```
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.ready.take()
    }

    /// How many items were taken since the turn was made; see [`ReadyQueue::taken`].
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.enqueue("callback");
    /// turn.begin(0);
    /// turn.take();
    /// assert_eq!(turn.taken(), 1);
    /// ```
    #[inline]
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.ready.taken()
    }

    /// How many items are ready, in the batch or behind it.
    ///
    /// ```
    /// assert_eq!(maypole_core::Turn::<()>::new().ready_len(), 0);
    /// ```
    #[inline]
    #[must_use]
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// The item that [`Turn::take`] will give after `ahead` others, in this batch or a later one.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.enqueue("callback");
    /// assert_eq!((turn.upcoming(0), turn.upcoming(1)), (Some(&"callback"), None));
    /// ```
    #[inline]
    #[must_use]
    pub fn upcoming(&self, ahead: usize) -> Option<&T> {
        self.ready.upcoming(ahead)
    }

    /// How many timers wait for their time.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.schedule(10, ());
    /// assert_eq!(turn.timers_len(), 1);
    /// ```
    #[must_use]
    pub const fn timers_len(&self) -> usize {
        self.timers.len()
    }

    /// The first deadline, exactly; `None` when no timer will ever be due. For a clock that jumps to it.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.schedule(10, ());
    /// assert_eq!(turn.next_deadline_ns(), Some(10));
    /// ```
    pub fn next_deadline_ns(&mut self) -> Option<u64> {
        self.timers.next_deadline_ns()
    }

    /// Walks over everything held, ready or waiting, as a garbage collector does.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.enqueue(1);
    /// turn.schedule(10, 2);
    /// assert_eq!(turn.iter().sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.ready.iter().chain(self.timers.iter())
    }

    /// Takes up to `count` items out, ready ones first, and needs no memory but for them.
    ///
    /// `from` is 0 at first, and is where the next call goes on among the timers.
    ///
    /// ```
    /// let (mut turn, mut from) = (maypole_core::Turn::new(), 0);
    /// turn.schedule(10, "timer");
    /// turn.enqueue("callback");
    /// assert_eq!(turn.drain_some(&mut from, 8), ["callback"]);
    /// assert_eq!(turn.drain_some(&mut from, 8), ["timer"]);
    /// ```
    #[must_use = "the items are handed over to be dropped by the caller"]
    pub fn drain_some(&mut self, from: &mut u32, count: usize) -> Vec<T> {
        if self.ready.is_empty() {
            self.timers.drain_some(from, count)
        } else {
            self.ready.drain_some(count)
        }
    }

    /// Takes everything out: what is ready in its order, then the timers in theirs.
    ///
    /// ```
    /// let mut turn = maypole_core::Turn::new();
    /// turn.schedule(10, "timer");
    /// turn.enqueue("callback");
    /// assert_eq!(turn.drain(), ["callback", "timer"]);
    /// ```
    #[must_use = "the items are handed over to be dropped by the caller"]
    pub fn drain(&mut self) -> Vec<T> {
        let mut items = self.ready.drain();
        items.append(&mut self.timers.drain());
        items
    }

    #[cold]
    fn push_due_permuted(&mut self, now_ns: u64, fired: &mut impl FnMut(u64)) {
        let mut due: Vec<_> = std::iter::from_fn(|| self.timers.pop_due(now_ns)).collect();
        if let Some(ties) = &mut self.ties {
            ties.permute(&mut due, |(deadline_ns, _)| *deadline_ns);
        }
        for (deadline_ns, item) in due {
            fired(deadline_ns);
            self.ready.push(item);
        }
    }
}
