//! Seconds as the user writes them, nanoseconds as the loop counts them.
//!
//! Owns the two conversions and [`NEVER_NS`]. Inside the core time is a `u64` of nanoseconds on the loop's clock,
//! always passed in; seconds in `f64` exist only at the edge.
//!
//! Invariant: `seconds(deadline_ns(w)) >= w` for every `w` that is a number: a timer never fires before its time,
//! by the very clock its owner reads.

/// The deadline that never comes: a timer with it stays until it is cancelled.
///
/// ```
/// assert_eq!(maypole_core::deadline_ns(f64::INFINITY), maypole_core::NEVER_NS);
/// ```
pub const NEVER_NS: u64 = u64::MAX;

const NS_PER_SECOND: f64 = 1e9;

/// The first nanosecond whose time in seconds is not before `when_seconds`.
///
/// Rounds up, so that `seconds(deadline_ns(w)) >= w` also where an `f64` no longer tells nanoseconds apart (clocks
/// beyond 52 days). A negative time and NaN give 0: they are due at once, as in asyncio. A time beyond `u64`
/// nanoseconds (584 years) and infinity give [`NEVER_NS`].
///
/// ```
/// use maypole_core::{deadline_ns, seconds};
///
/// assert_eq!(deadline_ns(1.5), 1_500_000_000);
/// assert_eq!(deadline_ns(-1.0), 0);
/// assert_eq!(deadline_ns(f64::NAN), 0);
/// assert!(seconds(deadline_ns(0.1 + 0.2)) >= 0.1 + 0.2);
/// ```
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is checked to be positive and below 2^64; the cast saturates besides"
)]
pub fn deadline_ns(when_seconds: f64) -> u64 {
    if when_seconds.is_nan() || when_seconds <= 0.0 {
        return 0;
    }
    let mut ns = (when_seconds * NS_PER_SECOND).ceil() as u64;
    if ns > 0 && seconds(ns - 1) >= when_seconds {
        ns -= 1; // the product was rounded up past a whole nanosecond
    }
    while seconds(ns) < when_seconds {
        // The gap between neighbouring f64 values of this size; below 2^53 it is one nanosecond.
        ns = ns.saturating_add(1 << 11_u32.saturating_sub(ns.leading_zeros()));
    }
    ns
}

/// `ns` nanoseconds in seconds, rounded to the nearest `f64`; [`NEVER_NS`] is infinity.
///
/// ```
/// assert_eq!(maypole_core::seconds(2_250_000_000), 2.25);
/// assert_eq!(maypole_core::seconds(maypole_core::NEVER_NS), f64::INFINITY);
/// ```
#[must_use]
#[allow(
    clippy::cast_precision_loss,
    reason = "seconds are the lossy side; deadline_ns rounds so that it never hurts"
)]
pub fn seconds(ns: u64) -> f64 {
    if ns == NEVER_NS {
        f64::INFINITY
    } else {
        ns as f64 / NS_PER_SECOND
    }
}
