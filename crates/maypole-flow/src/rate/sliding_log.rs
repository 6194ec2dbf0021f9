//! So many in any window: a log of what was granted.
//!
//! Owns the log of one window. Costs memory for each grant, and is exact where a bucket is not: a bucket of `n` at
//! `n / window` lets up to `2 n` through in one window, right after a pause.
//!
//! Invariant: in any half-open interval of the window's length at most `limit` are granted and kept.
//! Invariant: the log has at most `limit` entries.

use std::collections::VecDeque;

use crate::invalid::{Invalid, require};

/// The largest limit: its log takes 16 MB.
const LIMIT_MAX: f64 = 1_000_000.0;
const NS_PER_S: f64 = 1e9;

/// A limit on how many are granted in any window of time.
///
/// ```
/// use maypole_flow::SlidingLog;
///
/// let mut limit = SlidingLog::new(2.0, 60.0)?; // 2 in any minute
/// limit.take(0, 1.0);
/// limit.take(50_000_000_000, 1.0);
/// assert_eq!(limit.due_ns(50_000_000_000, [].into_iter(), 1.0), 60_000_000_000);
/// # Ok::<(), maypole_flow::Invalid>(())
/// ```
#[derive(Clone, Debug)]
pub struct SlidingLog {
    limit: f64,
    window_ns: u64,
    granted: VecDeque<(u64, f64)>,
    held: f64,
}

impl SlidingLog {
    /// A limit of `limit` units in any `window` seconds.
    ///
    /// # Errors
    ///
    /// A limit that is no whole number from 1 to 1,000,000, a window that is not above 0 or above 146 years.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the window is checked to be in range"
    )]
    pub fn new(limit: f64, window: f64) -> Result<Self, Invalid> {
        require(
            limit >= 1.0 && limit.fract() == 0.0,
            "limit",
            "be a whole number from 1",
            limit,
        )?;
        require(limit <= LIMIT_MAX, "limit", "be at most 1000000", limit)?;
        require(
            window > 0.0 && window * NS_PER_S <= (u64::MAX / 4) as f64,
            "window",
            "be above 0 and at most 146 years",
            window,
        )?;
        Ok(Self {
            limit,
            window_ns: (window * NS_PER_S).ceil() as u64,
            granted: VecDeque::new(),
            held: 0.0,
        })
    }

    /// The most that can ever be granted at once.
    #[must_use]
    pub const fn limit(&self) -> f64 {
        self.limit
    }

    /// The length of the window, in nanoseconds.
    #[must_use]
    pub const fn window_ns(&self) -> u64 {
        self.window_ns
    }

    /// How many can be granted now.
    #[must_use]
    pub fn level(&self, now_ns: u64) -> f64 {
        let expired: f64 = self.expired(now_ns).map(|grant| grant.1).sum();
        self.limit - self.held + expired
    }

    /// The first instant at which `n` can be granted, when those `ahead` are granted before them, each as soon as it
    /// can be.
    #[must_use]
    pub fn due_ns(&self, now_ns: u64, ahead: impl Iterator<Item = f64>, n: f64) -> u64 {
        let mut to_come: Vec<(u64, f64)> = Vec::new();
        let mut gone = 0;
        let mut held = self.held;
        let mut at_ns = now_ns;
        for weight in ahead.chain([n]) {
            loop {
                let next = self
                    .granted
                    .get(gone)
                    .or_else(|| to_come.get(gone - self.granted.len()));
                match next {
                    Some(&(then_ns, its)) if self.ends_ns(then_ns) <= at_ns || held + weight > self.limit => {
                        at_ns = at_ns.max(self.ends_ns(then_ns));
                        held -= its;
                        gone += 1;
                    }
                    _ => break,
                }
            }
            held += weight;
            to_come.push((at_ns, weight));
        }
        at_ns
    }

    /// Grant `n` now. The caller has seen that they are due.
    pub fn take(&mut self, now_ns: u64, n: f64) {
        let expired = self.expired(now_ns).count();
        for (_, weight) in self.granted.drain(..expired) {
            self.held -= weight;
        }
        self.held += n;
        match self.granted.back_mut() {
            Some(last) if last.0 == now_ns => last.1 += n,
            _ => self.granted.push_back((now_ns, n)),
        }
    }

    /// Take a grant back that was not used.
    pub fn give_back(&mut self, n: f64, granted_ns: u64) {
        let Ok(index) = self.granted.binary_search_by_key(&granted_ns, |grant| grant.0) else {
            return; // it has left the window already
        };
        self.held -= n;
        self.granted[index].1 -= n;
        if self.granted[index].1 <= 0.0 {
            self.granted.remove(index);
        }
    }

    /// Go on with another limit and another window. What is in the log stays there.
    ///
    /// # Errors
    ///
    /// As [`SlidingLog::new`].
    pub fn retune(&mut self, limit: f64, window: f64) -> Result<(), Invalid> {
        let tuned = Self::new(limit, window)?;
        self.limit = tuned.limit;
        self.window_ns = tuned.window_ns;
        Ok(())
    }

    fn ends_ns(&self, granted_ns: u64) -> u64 {
        granted_ns.saturating_add(self.window_ns)
    }

    fn expired(&self, now_ns: u64) -> impl Iterator<Item = &(u64, f64)> {
        self.granted
            .iter()
            .take_while(move |grant| self.ends_ns(grant.0) <= now_ns)
    }
}
