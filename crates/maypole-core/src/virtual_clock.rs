//! A clock that jumps: hours of sleeping pass in the time the callbacks take.
//!
//! Owns [`VirtualClock`] and its verdicts. The time stands still while anything can run and jumps to the next timer when
//! nothing can. What a real clock would only make slow becomes an error here: waiting for nothing ([`Idle::Deadlock`])
//! and turning without end at one moment ([`Spin`]).
//!
//! Invariant: the time never goes back, and moves only by [`Idle::Jump`] and [`VirtualClock::advance`].
//! Invariant: while something outside the clock is outstanding (an executor's job, another thread), real time gets its
//! chance before virtual time moves.

use std::fmt;

use crate::time::NEVER_NS;

/// What the clock shows at first: 1000 s. Not 0, so that a deadline taken for a delay is seen at once.
pub const VIRTUAL_START_NS: u64 = 1_000_000_000_000;

/// The longest single wait in real time.
const REAL_STEP_NS: u64 = 20_000_000;

/// How long to wait in real time for outstanding work that makes no progress, before the time jumps.
const REAL_MAX_NS: u64 = 2_000_000_000;

/// How many turns may pass at one moment.
const SPIN_TURNS: u32 = 20_000;

/// What a loop under a virtual clock does when nothing is ready.
///
/// ```
/// use maypole_core::{Idle, VirtualClock};
///
/// let mut clock = VirtualClock::new();
/// assert_eq!(clock.idle(None, false, false, 0), Idle::Deadlock);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Idle {
    /// The clock has moved to this time, in nanoseconds: run what is due.
    Jump(u64),
    /// Wait in the poller, in real time, this long; then ask again.
    WaitReal {
        /// Real nanoseconds.
        timeout_ns: u64,
    },
    /// Wait in the poller, in real time, until a descriptor is ready: nothing else can happen.
    WaitForever,
    /// Nothing can ever happen: no timer, no descriptor, no outstanding work.
    Deadlock,
}

/// The loop turned too often without its clock moving.
///
/// ```
/// let mut clock = maypole_core::VirtualClock::new();
/// let spin = (0..).find_map(|_| clock.turn_ended().err()).unwrap();
/// assert_eq!(spin.turns, 20_000);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spin {
    /// Turns since the clock last moved.
    pub turns: u32,
    /// Where the clock stands, in nanoseconds.
    pub now_ns: u64,
}

impl fmt::Display for Spin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turns, now_ns } = self;
        write!(
            f,
            "the loop turned {turns} times and the clock did not move: it stands at {now_ns} ns"
        )
    }
}

impl std::error::Error for Spin {}

/// A clock that stands while something runs and jumps to the next timer when nothing can.
///
/// ```
/// use maypole_core::{Idle, Turn, VirtualClock};
///
/// let mut clock = VirtualClock::new();
/// let mut turn = Turn::new();
/// turn.schedule(clock.now_ns() + 3_600_000_000_000, "an hour later");
/// let Idle::Jump(now_ns) = clock.idle(turn.next_deadline_ns(), false, false, 0) else { unreachable!() };
/// assert_eq!(turn.begin(now_ns), 1);
/// assert_eq!(turn.take(), Some("an hour later"));
/// ```
#[derive(Clone, Debug)]
pub struct VirtualClock {
    now_ns: u64,
    turns: u32,
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl VirtualClock {
    /// Makes a clock that shows [`VIRTUAL_START_NS`].
    ///
    /// ```
    /// assert_eq!(maypole_core::VirtualClock::new().now_ns(), 1_000_000_000_000);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            now_ns: VIRTUAL_START_NS,
            turns: 0,
        }
    }

    /// The time, in nanoseconds.
    ///
    /// ```
    /// let mut clock = maypole_core::VirtualClock::new();
    /// let before_ns = clock.now_ns();
    /// clock.idle(Some(before_ns + 5), false, false, 0);
    /// assert_eq!(clock.now_ns(), before_ns + 5);
    /// ```
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// What to do when nothing is ready and the poller, asked without waiting, had nothing.
    ///
    /// `next_deadline_ns` is the first timer. `watched`: a descriptor besides the wake-up is registered. `outstanding`:
    /// jobs of an executor or foreign threads may still call in. `waited_ns`: how much real time was waited
    /// already since something last came of it. On [`Idle::Jump`] the clock has moved.
    ///
    /// ```
    /// use maypole_core::{Idle, VirtualClock};
    ///
    /// let mut clock = VirtualClock::new();
    /// let timer_ns = Some(clock.now_ns() + 7);
    /// assert_eq!(clock.idle(timer_ns, false, true, 0), Idle::WaitReal { timeout_ns: 20_000_000 });
    /// assert_eq!(clock.idle(timer_ns, false, true, 2_000_000_000), Idle::Jump(1_000_000_000_007));
    /// assert_eq!(clock.idle(None, true, false, 0), Idle::WaitForever);
    /// ```
    pub fn idle(
        &mut self,
        next_deadline_ns: Option<u64>,
        watched: bool,
        outstanding: bool,
        waited_ns: u64,
    ) -> Idle {
        let real_left_ns = REAL_MAX_NS.saturating_sub(waited_ns);
        if outstanding && real_left_ns > 0 {
            return Idle::WaitReal {
                timeout_ns: REAL_STEP_NS.min(real_left_ns),
            };
        }
        match next_deadline_ns.filter(|deadline_ns| *deadline_ns != NEVER_NS) {
            Some(deadline_ns) => {
                if deadline_ns > self.now_ns {
                    self.now_ns = deadline_ns;
                    self.turns = 0;
                }
                Idle::Jump(self.now_ns)
            }
            // Nothing to jump to, and still somebody may call in: patience is the only answer that is never wrong.
            None if outstanding => Idle::WaitReal {
                timeout_ns: REAL_STEP_NS,
            },
            None if watched => Idle::WaitForever,
            None => Idle::Deadlock,
        }
    }

    /// Moves the clock by what a blocking call took; timers that are passed over are due at the next turn.
    ///
    /// ```
    /// let mut clock = maypole_core::VirtualClock::new();
    /// clock.advance(2_000_000_000);
    /// assert_eq!(clock.now_ns(), 1_002_000_000_000);
    /// ```
    pub const fn advance(&mut self, by_ns: u64) {
        if by_ns > 0 {
            self.now_ns = self.now_ns.saturating_add(by_ns);
            self.turns = 0;
        }
    }

    /// Counts a turn; an error when too many have passed at one moment. The count then begins anew.
    ///
    /// ```
    /// assert!(maypole_core::VirtualClock::new().turn_ended().is_ok());
    /// ```
    pub fn turn_ended(&mut self) -> Result<(), Spin> {
        self.turns += 1;
        if self.turns < SPIN_TURNS {
            return Ok(());
        }
        let turns = std::mem::take(&mut self.turns);
        Err(Spin {
            turns,
            now_ns: self.now_ns,
        })
    }

    /// Notes that waiting in real time brought something, so that turns spent on it are no spinning.
    ///
    /// ```
    /// let mut clock = maypole_core::VirtualClock::new();
    /// for _ in 0..1_000_000 {
    ///     clock.progressed();
    ///     clock.turn_ended().unwrap();
    /// }
    /// ```
    pub const fn progressed(&mut self) {
        self.turns = 0;
    }
}
