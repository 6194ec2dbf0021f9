//! A clock that never goes back, made from one that may.
//!
//! A pattern outlives the loop that it was first used on. The next loop may have a clock of its own (a virtual one
//! starts over), and loops in two threads may differ by the age of a cached reading. Owns the mapping from such
//! readings to the one time line on which a pattern keeps its instants.
//!
//! Invariant: what [`Monotone::observe`] returns never decreases. A reading that falls back adds no time: nobody
//! gains a permit by it.

/// Readings may fall back by this much (100 ms) and still count as the same clock: a cached reading is that old.
pub const SAME_CLOCK_NS: u64 = 100_000_000;

/// The time line of one pattern.
///
/// ```
/// use maypole_flow::Monotone;
///
/// let mut clock = Monotone::new();
/// assert_eq!(clock.observe(5_000_000_000), 5_000_000_000);
/// assert_eq!(clock.observe(4_999_000_000), 5_000_000_000); // a stale reading
/// assert_eq!(clock.observe(1_000_000_000), 5_000_000_000); // another clock: it goes on from here
/// assert_eq!(clock.observe(1_000_000_007), 5_000_000_007);
/// assert_eq!(clock.reading(6_000_000_007), 2_000_000_007);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotone {
    latest_ns: u64,
    ahead_ns: u64,
}

impl Monotone {
    /// A time line that has seen no clock yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            latest_ns: 0,
            ahead_ns: 0,
        }
    }

    /// The instant that belongs to a reading of the clock, in nanoseconds.
    pub const fn observe(&mut self, reading_ns: u64) -> u64 {
        let now_ns = reading_ns.saturating_add(self.ahead_ns);
        if now_ns >= self.latest_ns {
            self.latest_ns = now_ns;
        } else if self.latest_ns - now_ns > SAME_CLOCK_NS {
            self.ahead_ns = self.latest_ns - reading_ns;
        }
        self.latest_ns
    }

    /// What the clock will show at an instant: the deadline to give to its loop.
    #[must_use]
    pub const fn reading(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.ahead_ns)
    }

    /// The latest instant observed; 0 before the first.
    #[must_use]
    pub const fn latest_ns(&self) -> u64 {
        self.latest_ns
    }
}

/// How far below a deadline a reading may lie that was asked for in seconds: an `f64` tells no smaller steps apart.
pub(crate) const fn rounding_ns(at_ns: u64) -> u64 {
    at_ns >> 51
}
