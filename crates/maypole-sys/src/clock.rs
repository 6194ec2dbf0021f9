//! Two clocks: nanoseconds for deadlines, cheap stamps for traces.
//!
//! Deadlines use CLOCK_MONOTONIC, the clock of Python's `time.monotonic()` and so of `loop.time()`. Stamps use the
//! processor's time-stamp counter where the processor promises that it runs at one rate through every power state, and where it
//! measures as such; everywhere else a stamp *is* CLOCK_MONOTONIC.
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

use crate::counter::{FRACTION_BITS, counter, length_ns, paired, promises_steady_counter, rate};

/// How long the counter is measured against CLOCK_MONOTONIC, once per process: 2 ms, in two halves.
const CALIBRATION_NS: u64 = 2_000_000;

/// By how much the two halves may differ before the counter is not trusted: 0.2 %, parts in a thousand.
const DISAGREEMENT_PER_MILLE: u64 = 2;

/// Reads CLOCK_MONOTONIC in nanoseconds: the clock of Python's `time.monotonic()`.
///
/// # Examples
/// ```
/// let earlier_ns = maypole_sys::monotonic_ns();
/// assert!(maypole_sys::monotonic_ns() >= earlier_ns);
/// ```
#[inline]
#[must_use]
pub fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // The kernel never gives a negative CLOCK_MONOTONIC; 64 bits of nanoseconds last 584 years.
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Where stamps come from.
///
/// # Examples
/// ```
/// use maypole_sys::{StampClock, StampSource};
/// assert!(matches!(StampClock::new().source(), StampSource::Tsc | StampSource::Monotonic));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampSource {
    /// The time-stamp counter of x86-64.
    Tsc,
    /// CLOCK_MONOTONIC; one tick is one nanosecond.
    Monotonic,
}

/// Takes a stamp of the process-wide [`StampClock`], in ticks.
///
/// # Examples
/// ```
/// use maypole_sys::{StampClock, stamp};
/// let clock = StampClock::new();
/// let (began, ended) = (stamp(), stamp());
/// assert!(clock.to_ns(ended) >= clock.to_ns(began));
/// ```
#[inline]
#[must_use]
pub fn stamp() -> u64 {
    StampClock::new().now()
}

/// A cheap clock for traces, and the way back from its ticks to nanoseconds of CLOCK_MONOTONIC.
///
/// All clocks of a process share one source and one anchor, so their ticks compare. The first one measures the counter
/// for 2 ms.
///
/// # Examples
/// ```
/// use maypole_sys::{StampClock, monotonic_ns};
/// let clock = StampClock::new();
/// let stamped_ns = clock.to_ns(clock.now());
/// assert!(stamped_ns.abs_diff(monotonic_ns()) < 1_000_000_000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StampClock {
    scale: Scale,
}

/// The straight line from ticks to nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Scale {
    source: StampSource,
    anchor_ticks: u64,
    anchor_ns: u64,
    /// With [`FRACTION_BITS`] fraction bits.
    ns_per_tick: u64,
}

impl StampClock {
    /// Gives the clock of this process; the first call of the process takes 2 ms.
    ///
    /// # Examples
    /// ```
    /// let clock = maypole_sys::StampClock::new();
    /// assert!(clock.now() > 0);
    /// ```
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        static SCALE: OnceLock<Scale> = OnceLock::new();
        Self {
            scale: *SCALE.get_or_init(|| measured_tsc().unwrap_or(Scale::MONOTONIC)),
        }
    }

    /// Says where the ticks come from.
    ///
    /// # Examples
    /// ```
    /// println!("{:?}", maypole_sys::StampClock::new().source());
    /// ```
    #[must_use]
    pub fn source(&self) -> StampSource {
        self.scale.source
    }

    /// Reads the clock, in ticks.
    ///
    /// # Examples
    /// ```
    /// let clock = maypole_sys::StampClock::new();
    /// let earlier = clock.now();
    /// assert!(clock.now() >= earlier);
    /// ```
    #[inline]
    #[must_use]
    pub fn now(&self) -> u64 {
        match self.scale.source {
            StampSource::Tsc => counter(),
            StampSource::Monotonic => monotonic_ns(),
        }
    }

    /// Converts ticks of this process to nanoseconds of CLOCK_MONOTONIC, also ticks older than the clock.
    ///
    /// # Examples
    /// ```
    /// let clock = maypole_sys::StampClock::new();
    /// assert!(clock.to_ns(clock.now()) > 0);
    /// ```
    #[must_use]
    pub fn to_ns(&self, ticks: u64) -> u64 {
        let scale = &self.scale;
        if ticks >= scale.anchor_ticks {
            scale
                .anchor_ns
                .saturating_add(scale.length_ns(ticks - scale.anchor_ticks))
        } else {
            scale
                .anchor_ns
                .saturating_sub(scale.length_ns(scale.anchor_ticks - ticks))
        }
    }

    /// Converts nanoseconds of CLOCK_MONOTONIC to ticks, the way back from [`StampClock::to_ns`].
    ///
    /// # Examples
    /// ```
    /// let clock = maypole_sys::StampClock::new();
    /// let ns = clock.to_ns(clock.now());
    /// assert!(clock.to_ns(clock.to_ticks(ns)).abs_diff(ns) < 1_000);
    /// ```
    #[must_use]
    pub fn to_ticks(&self, ns: u64) -> u64 {
        let scale = &self.scale;
        if ns >= scale.anchor_ns {
            scale
                .anchor_ticks
                .saturating_add(scale.length_ticks(ns - scale.anchor_ns))
        } else {
            scale
                .anchor_ticks
                .saturating_sub(scale.length_ticks(scale.anchor_ns - ns))
        }
    }

    /// Measures the rate again over the whole time since the process-wide anchor; call it before a long trace is
    /// written, where the error of the first 2 ms (some parts in 100,000) would show.
    ///
    /// # Examples
    /// ```
    /// use maypole_sys::{StampClock, monotonic_ns};
    /// let mut clock = StampClock::new();
    /// let before_ns = monotonic_ns();
    /// let ticks = clock.now();
    /// clock.refine();
    /// assert!(clock.to_ns(ticks).abs_diff(before_ns) < 1_000_000_000);
    /// ```
    pub fn refine(&mut self) {
        if self.scale.source == StampSource::Tsc {
            let (ticks, ns) = paired();
            if ns.saturating_sub(self.scale.anchor_ns) >= CALIBRATION_NS
                && let Some(rate) = rate(
                    ticks.wrapping_sub(self.scale.anchor_ticks),
                    ns - self.scale.anchor_ns,
                )
            {
                self.scale.ns_per_tick = rate;
            }
        }
    }
}

impl Default for StampClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Scale {
    const MONOTONIC: Self = Self {
        source: StampSource::Monotonic,
        anchor_ticks: 0,
        anchor_ns: 0,
        ns_per_tick: 1 << FRACTION_BITS,
    };

    fn length_ns(&self, ticks: u64) -> u64 {
        length_ns(ticks, self.ns_per_tick)
    }

    fn length_ticks(&self, length_ns: u64) -> u64 {
        (u128::from(length_ns) << FRACTION_BITS)
            .checked_div(u128::from(self.ns_per_tick))
            .and_then(|ticks| u64::try_from(ticks).ok())
            .unwrap_or(u64::MAX)
    }
}

/// Measures the counter in two halves; `None` when the processor does not promise a steady one, or it is not.
fn measured_tsc() -> Option<Scale> {
    if !promises_steady_counter() {
        return None;
    }
    let (first_ticks, first_ns) = paired();
    let (middle_ticks, middle_ns) = paired_at(first_ns + CALIBRATION_NS / 2);
    let (last_ticks, last_ns) = paired_at(first_ns + CALIBRATION_NS);
    let first_half = rate(middle_ticks.checked_sub(first_ticks)?, middle_ns - first_ns)?;
    let second_half = rate(last_ticks.checked_sub(middle_ticks)?, last_ns - middle_ns)?;
    let ns_per_tick = rate(last_ticks.checked_sub(first_ticks)?, last_ns - first_ns)?;
    if first_half.abs_diff(second_half) > ns_per_tick / 1000 * DISAGREEMENT_PER_MILLE {
        return None;
    }
    Some(Scale {
        source: StampSource::Tsc,
        anchor_ticks: first_ticks,
        anchor_ns: first_ns,
        ns_per_tick,
    })
}

fn paired_at(until_ns: u64) -> (u64, u64) {
    // Spins: a sleep here could let the processor change its state between the readings.
    while monotonic_ns() < until_ns {
        std::hint::spin_loop();
    }
    paired()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_before_the_anchor_convert_backwards() {
        let scale = Scale {
            source: StampSource::Tsc,
            anchor_ticks: 1_000,
            anchor_ns: 500,
            ns_per_tick: 1 << 31,
        };
        let clock = StampClock { scale };
        assert_eq!(clock.to_ns(800), 400);
        assert_eq!(clock.to_ns(1_200), 600);
        assert_eq!(clock.to_ns(0), 0);
        assert_eq!(clock.to_ticks(400), 800);
        assert_eq!(clock.to_ticks(600), 1_200);
    }

    #[test]
    fn fallback_ticks_are_nanoseconds() {
        let clock = StampClock {
            scale: Scale::MONOTONIC,
        };
        assert_eq!(clock.to_ns(123_456), 123_456);
        let before_ns = monotonic_ns();
        assert!(clock.now() >= before_ns);
    }
}
