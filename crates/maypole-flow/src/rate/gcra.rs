//! The generic cell rate algorithm: a rate with a burst, in one number.
//!
//! Owns the theoretical arrival time (`tat`): the instant at which the bucket would be full again. A weight `n` costs
//! `n / rate` of time, and is granted when the debt after it, `tat + cost - now`, is at most `burst / rate`.
//!
//! Invariant: in any interval of length `t` the weights granted and kept sum up to at most `burst + rate * t`.
//!
//! Source: ITU-T I.371 (virtual scheduling), <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>.

use crate::invalid::{Invalid, require};

const NS_PER_S: f64 = 1e9;
/// A full bucket may take at most this long to fill (146 years): sums of instants and debts then stay in range.
const FILL_NS_MAX: f64 = (u64::MAX / 4) as f64;

/// A rate limit with a burst.
///
/// ```
/// use maypole_flow::Gcra;
///
/// let mut limit = Gcra::new(10.0, 2.0, None)?; // 10 per second, 2 at once
/// assert_eq!(limit.due_ns(0, 0.0, 1.0), 0);
/// limit.take(0, 1.0);
/// limit.take(0, 1.0);
/// assert_eq!(limit.due_ns(0, 0.0, 1.0), 100_000_000);
/// # Ok::<(), maypole_flow::Invalid>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gcra {
    unit_ns: f64,
    burst: f64,
    fill_ns: u64,
    tat_ns: u64,
    missing: f64,
}

impl Gcra {
    /// A limit of `rate` units per second of which `burst` may come at once.
    ///
    /// `initial` is how many are there at the beginning: `None` for all.
    ///
    /// # Errors
    ///
    /// A rate that is not above 0 or above 10^9, a burst that is not above 0 or takes longer than 146 years to fill,
    /// an `initial` outside 0 to burst.
    pub fn new(rate: f64, burst: f64, initial: Option<f64>) -> Result<Self, Invalid> {
        require(rate > 0.0, "rate", "be above 0", rate)?;
        require(rate <= NS_PER_S, "rate", "be at most 1e9 per second", rate)?;
        let unit_ns = NS_PER_S / rate;
        require(burst > 0.0, "burst", "be above 0", burst)?;
        require(
            burst * unit_ns <= FILL_NS_MAX,
            "burst",
            "fill within 146 years at this rate",
            burst,
        )?;
        let initial = initial.unwrap_or(burst);
        require(
            (0.0..=burst).contains(&initial),
            "initial",
            "be from 0 to burst",
            initial,
        )?;
        Ok(Self {
            unit_ns,
            burst,
            fill_ns: whole_ns(burst * unit_ns),
            tat_ns: 0,
            missing: burst - initial,
        })
    }

    /// Say when time begins: the bucket holds `initial` now.
    pub fn begin(&mut self, now_ns: u64) {
        self.tat_ns = now_ns.saturating_add(self.cost_ns(self.missing));
    }

    /// The most that can ever be granted at once.
    #[must_use]
    pub const fn burst(&self) -> f64 {
        self.burst
    }

    /// Units per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        NS_PER_S / self.unit_ns
    }

    /// How many are there now.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a level for people to read")]
    pub fn level(&self, now_ns: u64) -> f64 {
        (self.burst - self.tat_ns.saturating_sub(now_ns) as f64 / self.unit_ns).max(0.0)
    }

    /// The first instant at which `n` can be granted, when `ahead` is granted before them.
    #[must_use]
    pub fn due_ns(&self, now_ns: u64, ahead: f64, n: f64) -> u64 {
        let debt_ns = self
            .tat_ns
            .max(now_ns)
            .saturating_add(self.cost_ns(ahead))
            .saturating_add(self.cost_ns(n));
        debt_ns.saturating_sub(self.fill_ns).max(now_ns)
    }

    /// Grant `n` now. The caller has seen that they are due.
    pub fn take(&mut self, now_ns: u64, n: f64) {
        self.tat_ns = self.tat_ns.max(now_ns).saturating_add(self.cost_ns(n));
    }

    /// Take a grant back that was not used.
    ///
    /// What has been refilled since `granted_ns` does not come back: the bucket would have been as full without
    /// the grant, and the bound on the sum of weights would not hold.
    pub fn give_back(&mut self, now_ns: u64, n: f64, granted_ns: u64) {
        let refilled_ns = now_ns.saturating_sub(granted_ns);
        let back_ns = self.cost_ns(n).saturating_sub(refilled_ns);
        self.tat_ns = self.tat_ns.saturating_sub(back_ns);
    }

    /// Go on at another rate with another burst. What is there stays, up to the new burst.
    ///
    /// # Errors
    ///
    /// As [`Gcra::new`].
    pub fn retune(&mut self, now_ns: u64, rate: f64, burst: f64) -> Result<(), Invalid> {
        let level = self.level(now_ns).min(burst);
        let mut tuned = Self::new(rate, burst, Some(level))?;
        tuned.begin(now_ns);
        *self = tuned;
        Ok(())
    }

    fn cost_ns(&self, n: f64) -> u64 {
        whole_ns(n * self.unit_ns)
    }
}

/// Round up: a limit is never exceeded by rounding. Steps below 1/64 ns are noise of the multiplication.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a cast saturates"
)]
fn whole_ns(ns: f64) -> u64 {
    (ns - 1.0 / 64.0).max(0.0).ceil() as u64
}
