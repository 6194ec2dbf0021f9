//! One rule of a limiter: a bucket or a window.

use super::gcra::Gcra;
use super::sliding_log::SlidingLog;

/// What limits.
#[derive(Clone, Debug)]
pub enum Rule {
    /// A rate with a burst.
    Bucket(Gcra),
    /// So many in any window.
    Window(SlidingLog),
}

impl Rule {
    pub(super) fn begin(&mut self, now_ns: u64) {
        if let Self::Bucket(bucket) = self {
            bucket.begin(now_ns);
        }
    }

    /// The most that can ever be granted at once.
    #[must_use]
    pub const fn most(&self) -> f64 {
        match self {
            Self::Bucket(bucket) => bucket.burst(),
            Self::Window(window) => window.limit(),
        }
    }

    /// How many can be granted now.
    #[must_use]
    pub fn level(&self, now_ns: u64) -> f64 {
        match self {
            Self::Bucket(bucket) => bucket.level(now_ns),
            Self::Window(window) => window.level(now_ns),
        }
    }

    /// Whether every weight must be a whole number.
    pub(super) const fn counts(&self) -> bool {
        matches!(self, Self::Window(_))
    }

    /// The first instant at which `n` can be granted after those `ahead`, whose sum is `total`.
    pub(super) fn due_ns(&self, now_ns: u64, ahead: impl Iterator<Item = f64>, total: f64, n: f64) -> u64 {
        match self {
            Self::Bucket(bucket) => bucket.due_ns(now_ns, total, n),
            Self::Window(window) => window.due_ns(now_ns, ahead, n),
        }
    }

    pub(super) fn take(&mut self, now_ns: u64, n: f64) {
        match self {
            Self::Bucket(bucket) => bucket.take(now_ns, n),
            Self::Window(window) => window.take(now_ns, n),
        }
    }

    /// Grant `n` that were due at `due_ns`, now. A window counts what the other side sees: now.
    pub(super) fn take_late(&mut self, due_ns: u64, now_ns: u64, n: f64) {
        match self {
            Self::Bucket(bucket) => bucket.take(due_ns, n),
            Self::Window(window) => window.take(now_ns, n),
        }
    }

    pub(super) fn give_back(&mut self, now_ns: u64, n: f64, granted_ns: u64) {
        match self {
            Self::Bucket(bucket) => bucket.give_back(now_ns, n, granted_ns),
            Self::Window(window) => window.give_back(n, granted_ns),
        }
    }
}
