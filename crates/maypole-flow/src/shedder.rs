//! Load shedding by delay: refuse new work while old work waits too long.
//!
//! Owns the verdict on a stream of measured delays. A queue that was long for a moment is no overload; one whose delay
//! stayed above the target for a whole interval is, and then new work is refused until a delay is at the target again.
//! Who falls back soon after has less patience: the interval shrinks with the square root of the relapses.
//!
//! Invariant: sheds only after the delay was above the target for an interval without a break.
//! Invariant: one delay at or below the target ends the shedding.
//!
//! Source: CoDel, RFC 8289, for the interval and its law; <https://queue.acm.org/detail.cfm?id=2839461> for admission
//! of requests.

use crate::clock::Monotone;
use crate::invalid::{Invalid, require};

/// A relapse counts within so many intervals.
const MEMORY: u64 = 16;

/// Decides whether new work is taken.
///
/// ```
/// use maypole_flow::Shedder;
///
/// let mut shedder = Shedder::new(5_000_000, 100_000_000)?; // 5 ms of delay for 100 ms
/// shedder.observe(0, 50_000_000);
/// assert!(!shedder.sheds());
/// shedder.observe(100_000_000, 50_000_000);
/// assert!(shedder.sheds());
/// shedder.observe(120_000_000, 1_000_000);
/// assert!(!shedder.sheds());
/// # Ok::<(), maypole_flow::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct Shedder {
    target_ns: u64,
    interval_ns: u64,
    clock: Monotone,
    above_since_ns: Option<u64>,
    shedding: bool,
    ended_ns: Option<u64>,
    relapses: u32,
    delay_ns: u64,
}

impl Shedder {
    /// Shed when delays stay above `target_ns` for `interval_ns`.
    ///
    /// # Errors
    ///
    /// A target of 0, or an interval below the target.
    #[allow(clippy::cast_precision_loss, reason = "for a message")]
    pub fn new(target_ns: u64, interval_ns: u64) -> Result<Self, Invalid> {
        require(target_ns > 0, "target", "be above 0", 0.0)?;
        require(
            interval_ns >= target_ns,
            "interval",
            "be at least the target; seconds",
            interval_ns as f64 / 1e9,
        )?;
        Ok(Self {
            target_ns,
            interval_ns,
            clock: Monotone::new(),
            above_since_ns: None,
            shedding: false,
            ended_ns: None,
            relapses: 0,
            delay_ns: 0,
        })
    }

    /// Take in one delay, measured now.
    pub fn observe(&mut self, reading_ns: u64, delay_ns: u64) {
        let now_ns = self.clock.observe(reading_ns);
        self.delay_ns = delay_ns;
        if delay_ns <= self.target_ns {
            self.above_since_ns = None;
            if self.shedding {
                self.shedding = false;
                self.ended_ns = Some(now_ns);
            }
            return;
        }
        let since_ns = *self.above_since_ns.get_or_insert(now_ns);
        if self.shedding {
            return;
        }
        let memory_ns = self.interval_ns.saturating_mul(MEMORY);
        let relapse = self
            .ended_ns
            .is_some_and(|ended_ns| now_ns - ended_ns < memory_ns);
        let relapses = if relapse { self.relapses + 1 } else { 0 };
        if now_ns - since_ns >= self.patience_ns(relapses) {
            self.shedding = true;
            self.relapses = relapses;
        }
    }

    /// Whether new work is refused now.
    #[must_use]
    pub const fn sheds(&self) -> bool {
        self.shedding
    }

    /// The delay taken in last.
    #[must_use]
    pub const fn delay_ns(&self) -> u64 {
        self.delay_ns
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an interval made shorter"
    )]
    fn patience_ns(&self, relapses: u32) -> u64 {
        (self.interval_ns as f64 / f64::from(relapses + 1).sqrt()) as u64
    }
}
