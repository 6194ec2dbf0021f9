//! How many at once: limits that are found while the program runs.
//!
//! Each algorithm sees the same thing, one window of samples after another, and moves the limit.

mod aimd;
pub mod concurrency;
mod gradient;
mod vegas;

/// What one window of samples showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) now_ns: u64,
    /// The mean time of the calls that were sampled; infinite when none was, and there was an overload.
    pub(crate) mean_ns: f64,
    /// The most that were under way at once.
    pub(crate) in_flight_max: u64,
    /// Whether a call met an overload.
    pub(crate) overloaded: bool,
}

impl Measured {
    /// Whether so few were under way that the limit was not what held them back.
    pub(crate) fn idle(&self, limit: f64) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "a number of calls")]
        let in_flight = self.in_flight_max as f64;
        in_flight * 2.0 < limit
    }
}
