//! How much may be retried: a share of the calls, and a few for quiet times.
//!
//! Owns the calls and retries of the last ten seconds, in ten buckets. Retries without a budget multiply an overload:
//! three attempts at each of three layers are 27 calls.
//!
//! Invariant: the retries in the window are at most `retries_per_s * window + ratio * calls in the window`.
//!
//! Source: Finagle's `RetryBudget`; <https://sre.google/sre-book/handling-overload/>.

use crate::clock::Monotone;
use crate::invalid::{Invalid, require};

const STEPS: usize = 10;
const STEP_NS: u64 = 1_000_000_000;
const WINDOW_S: f64 = 10.0;

/// A budget for retries.
///
/// ```
/// use maypole_flow::RetryBudget;
///
/// let mut budget = RetryBudget::new(0.2, 0.0)?;
/// (0..10).for_each(|_| budget.deposit(0)); // ten calls allow two retries
/// assert!(budget.try_withdraw(0) && budget.try_withdraw(0));
/// assert!(!budget.try_withdraw(0));
/// # Ok::<(), maypole_flow::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget {
    ratio: f64,
    retries_per_s: f64,
    buckets: [(u32, u32); STEPS],
    calls: u32,
    retries: u32,
    step: u64,
    clock: Monotone,
    allowed: u64,
    refused: u64,
}

impl RetryBudget {
    /// A budget of `ratio` retries for each call, and of `retries_per_s` on top.
    ///
    /// # Errors
    ///
    /// A number that is negative or not finite; a ratio above 1000.
    pub fn new(ratio: f64, retries_per_s: f64) -> Result<Self, Invalid> {
        require(
            (0.0..=1000.0).contains(&ratio),
            "ratio",
            "be from 0 to 1000",
            ratio,
        )?;
        let per_s = retries_per_s;
        require(
            (0.0..=1e9).contains(&per_s),
            "min_per_s",
            "be from 0 to 1e9",
            per_s,
        )?;
        Ok(Self {
            ratio,
            retries_per_s,
            buckets: [(0, 0); STEPS],
            calls: 0,
            retries: 0,
            step: 0,
            clock: Monotone::new(),
            allowed: 0,
            refused: 0,
        })
    }

    /// Count a call; not its retries.
    pub fn deposit(&mut self, reading_ns: u64) {
        let bucket = self.advance(reading_ns);
        self.buckets[bucket].0 = self.buckets[bucket].0.saturating_add(1);
        self.calls = self.calls.saturating_add(1);
    }

    /// Ask to retry once.
    pub fn try_withdraw(&mut self, reading_ns: u64) -> bool {
        let free = self.balance(reading_ns) >= 1.0;
        if free {
            let bucket = self.advance(reading_ns);
            self.buckets[bucket].1 += 1;
            self.retries += 1;
            self.allowed += 1;
        } else {
            self.refused += 1;
        }
        free
    }

    /// How many retries are left now.
    pub fn balance(&mut self, reading_ns: u64) -> f64 {
        self.advance(reading_ns);
        let earned = self.retries_per_s * WINDOW_S + self.ratio * f64::from(self.calls);
        // One part in 10^9 forgives that 0.1 * 10 is not 1.
        (earned * (1.0 + 1e-9) - f64::from(self.retries)).max(0.0)
    }

    /// How many retries were allowed so far.
    #[must_use]
    pub const fn allowed(&self) -> u64 {
        self.allowed
    }

    /// How many were refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// How many calls are in the window.
    #[must_use]
    pub const fn calls(&self) -> u32 {
        self.calls
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "a remainder below the number of steps"
    )]
    fn advance(&mut self, reading_ns: u64) -> usize {
        let step = self.clock.observe(reading_ns) / STEP_NS;
        for later in 1..=(step - self.step).min(STEPS as u64) {
            let index = ((self.step + later) % STEPS as u64) as usize;
            let (calls, retries) = std::mem::take(&mut self.buckets[index]);
            self.calls = self.calls.saturating_sub(calls);
            self.retries -= retries;
        }
        self.step = step;
        (step % STEPS as u64) as usize
    }
}
