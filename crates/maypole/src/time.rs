//! The loop's clock and its timers.
//!
//! Invariant: a sleep ends no earlier than its deadline on the clock of the loop, and never in the poll that begins it,
//! so that sleeps begun together end in the order of their deadlines, also those whose deadline has passed already.
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use maypole_core::{Key, NEVER_NS};

use crate::current::{self, LoopMissing};
use crate::scheduler::Scheduler;

/// A point in time on the clock of the running loop, real or virtual.
///
/// Instants of different loops compare only when both clocks are real.
///
/// # Examples
/// ```
/// use maypole::Instant;
/// use std::time::Duration;
///
/// maypole::run_virtual(async {
///     let began = Instant::now();
///     maypole::sleep(Duration::from_secs(5)).await;
///     assert_eq!(began.elapsed(), Duration::from_secs(5));
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    ns: u64,
}

impl Instant {
    /// Reads the clock of the running loop; outside of one, CLOCK_MONOTONIC.
    ///
    /// # Examples
    /// ```
    /// let began = maypole::Instant::now();
    /// assert!(maypole::Instant::now() >= began);
    /// ```
    #[must_use]
    pub fn now() -> Self {
        let ns = current::with(|scheduler| scheduler.now_ns());
        Self {
            ns: ns.unwrap_or_else(maypole_sys::monotonic_ns),
        }
    }

    /// Gives the time from this instant to now, or zero for an instant to come.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let later = maypole::Instant::now() + Duration::from_secs(60);
    /// assert_eq!(later.elapsed(), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Gives the later instant; one more than 584 years away never comes.
    fn add(self, length: Duration) -> Self {
        let length_ns = u64::try_from(length.as_nanos()).unwrap_or(NEVER_NS);
        Self {
            ns: self.ns.saturating_add(length_ns),
        }
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Gives the time between two instants, or zero when `earlier` is the later one.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.ns.saturating_sub(earlier.ns))
    }
}

#[derive(Debug)]
enum State {
    /// Not polled yet: how long from then.
    Delay(Duration),
    /// Not polled yet: until when.
    Until(Instant),
    Armed {
        scheduler: Rc<Scheduler>,
        timer: Key,
        deadline_ns: u64,
        waker: Waker,
    },
    Over,
}

/// A future that ends at a time; made by [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
/// Dropping it takes its timer out at once.
///
/// # Panics
/// When it is first polled where no maypole loop runs.
///
/// # Examples
/// ```
/// let nap: maypole::Sleep = maypole::sleep(std::time::Duration::from_millis(1));
/// maypole::run(nap);
/// ```
#[derive(Debug)]
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    state: State,
}

/// Sleeps for `length`, counted from the first poll (asyncio's `sleep`).
///
/// It is never early, and always lets other tasks run at least once.
///
/// # Panics
/// When it is first polled where no maypole loop runs.
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
///
/// let began = Instant::now();
/// maypole::run(maypole::sleep(Duration::from_millis(2)));
/// assert!(began.elapsed() >= Duration::from_millis(2));
/// ```
pub fn sleep(length: Duration) -> Sleep {
    Sleep {
        state: State::Delay(length),
    }
}

/// Sleeps until `deadline` on the clock of the loop (asyncio's `loop.call_at`).
///
/// It always lets other tasks run at least once. Sleeps that share a starting point end in the order of their deadlines,
/// however long it takes to begin them all.
///
/// # Panics
/// When it is first polled where no maypole loop runs.
///
/// # Examples
/// ```
/// use maypole::Instant;
/// use std::time::Duration;
///
/// maypole::run_virtual(async {
///     let deadline = Instant::now() + Duration::from_secs(60);
///     maypole::sleep_until(deadline).await;
///     assert_eq!(Instant::now(), deadline);
/// });
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        state: State::Until(deadline),
    }
}

impl Sleep {
    fn arm(scheduler: Rc<Scheduler>, deadline_ns: u64, waker: &Waker) -> State {
        let timer = scheduler.set_timer(deadline_ns, waker.clone());
        State::Armed {
            scheduler,
            timer,
            deadline_ns,
            waker: waker.clone(),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Over => return Poll::Ready(()),
            State::Armed {
                scheduler,
                deadline_ns,
                ..
            } if *deadline_ns <= scheduler.turn_ns() => {
                self.disarm();
                return Poll::Ready(());
            }
            State::Armed { waker, .. } if waker.will_wake(context.waker()) => {}
            State::Armed {
                scheduler,
                timer,
                deadline_ns,
                ..
            } => {
                // Moved to another task, say by being polled there: the timer wakes whoever polled last.
                scheduler.cancel_timer(*timer);
                self.state = Self::arm(Rc::clone(scheduler), *deadline_ns, context.waker());
            }
            State::Delay(_) | State::Until(_) => {
                let scheduler = match current::scheduler() {
                    Ok(scheduler) => scheduler,
                    Err(LoopMissing) => panic!("maypole::sleep: {LoopMissing}"),
                };
                let deadline = match self.state {
                    State::Delay(length) => {
                        Instant {
                            ns: scheduler.now_ns(),
                        } + length
                    }
                    State::Until(deadline) => deadline,
                    State::Armed { .. } | State::Over => return Poll::Ready(()),
                };
                self.state = Self::arm(scheduler, deadline.ns, context.waker());
            }
        }
        Poll::Pending
    }
}

impl Sleep {
    fn disarm(&mut self) {
        if let State::Armed { scheduler, timer, .. } = std::mem::replace(&mut self.state, State::Over) {
            scheduler.cancel_timer(timer);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}
