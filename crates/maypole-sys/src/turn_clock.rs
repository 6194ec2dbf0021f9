//! A clock for what happens many times between two polls.
//!
//! Reading CLOCK_MONOTONIC takes longer than a short callback. The loop reads it anyway when it polls, at least every 50 µs
//! while it works; in between the processor's counter tells how much time has passed since.
//!
//! Invariant: within a millisecond of the last exact reading the time is not ahead of CLOCK_MONOTONIC, and it is never behind
//! that reading: a timer does not fire early. Who is told more asks CLOCK_MONOTONIC.
//! Invariant: an exact reading ends every error, so none can add up.

use std::cell::Cell;

use crate::clock::monotonic_ns;
use crate::counter::{counter, length_ns, paired, promises_steady_counter, rate};

/// Over how long the counter is measured: long enough that the error of two readings is some parts in a million.
const SPAN_NS: u64 = 10_000_000;

/// How far behind CLOCK_MONOTONIC the time is kept on purpose: more than a wrong rate can amount to in 50 µs.
const LAG_NS: u64 = 100;

/// By how much one rate may differ from the one before, or the counter is measured again: parts in a thousand.
const DISAGREEMENT_PER_MILLE: u64 = 10;

/// CLOCK_MONOTONIC in nanoseconds: exact when it is told, reckoned in between.
///
/// Until the counter is measured, and where the processor has none that is steady, every reading is exact.
///
/// # Examples
/// ```
/// use maypole_sys::{TurnClock, monotonic_ns};
/// let clock = TurnClock::new();
/// let exact_ns = monotonic_ns();
/// clock.set(exact_ns);
/// let reckoned_ns = clock.now_ns();
/// assert!(exact_ns <= reckoned_ns && reckoned_ns <= monotonic_ns());
/// ```
#[derive(Debug)]
pub struct TurnClock {
    /// The last exact reading, and the counter a moment later.
    last: Cell<Reading>,
    /// Where the measurement of the rate began.
    begin: Cell<Reading>,
    /// With the counter's fraction bits; 0 while it is not known.
    ns_per_tick: Cell<u64>,
    is_steady: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    ticks: u64,
    ns: u64,
}

impl TurnClock {
    /// Makes a clock that has not been told the time.
    ///
    /// # Examples
    /// ```
    /// assert!(maypole_sys::TurnClock::new().now_ns() > 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            last: Cell::default(),
            begin: Cell::default(),
            ns_per_tick: Cell::new(0),
            is_steady: promises_steady_counter(),
        }
    }

    /// Tells the time: CLOCK_MONOTONIC as it was a moment ago, in nanoseconds.
    ///
    /// # Examples
    /// ```
    /// let clock = maypole_sys::TurnClock::new();
    /// clock.set(maypole_sys::monotonic_ns());
    /// ```
    #[inline]
    pub fn set(&self, monotonic_ns: u64) {
        if !self.is_steady {
            return;
        }
        self.last.set(Reading {
            ticks: counter(),
            ns: monotonic_ns,
        });
        if monotonic_ns.saturating_sub(self.begin.get().ns) >= SPAN_NS {
            self.measure(paired());
        }
    }

    /// Gives the time in nanoseconds of CLOCK_MONOTONIC, at most a little behind it.
    ///
    /// # Examples
    /// ```
    /// let clock = maypole_sys::TurnClock::new();
    /// assert!(clock.now_ns() <= maypole_sys::monotonic_ns());
    /// ```
    #[inline]
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match self.ns_per_tick.get() {
            0 => monotonic_ns(),
            rate => self.reckoned(counter(), rate),
        }
    }

    #[inline]
    fn reckoned(&self, ticks: u64, ns_per_tick: u64) -> u64 {
        let last = self.last.get();
        // Another processor's counter may be a little behind.
        let passed_ns = length_ns(ticks.saturating_sub(last.ticks), ns_per_tick);
        last.ns.saturating_add(passed_ns.saturating_sub(LAG_NS))
    }

    /// Measures the rate since `begin`, and begins anew. After a suspend or on a counter that jumped there is none.
    #[cold]
    fn measure(&self, (ticks, ns): (u64, u64)) {
        let begin = self.begin.replace(Reading { ticks, ns });
        let before = self.ns_per_tick.get();
        let now = (begin.ns != 0)
            .then(|| rate(ticks.saturating_sub(begin.ticks), ns.saturating_sub(begin.ns)))
            .flatten()
            .unwrap_or(0);
        let agrees = before == 0 || now.abs_diff(before) <= before / 1000 * DISAGREEMENT_PER_MILLE;
        self.ns_per_tick.set(if agrees { now } else { 0 });
    }
}

impl Default for TurnClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::FRACTION_BITS;

    /// A tick is a nanosecond.
    const ONE: u64 = 1 << FRACTION_BITS;

    fn measured(readings: &[(u64, u64)]) -> u64 {
        let clock = TurnClock::new();
        for reading in readings {
            clock.measure(*reading);
        }
        clock.ns_per_tick.get()
    }

    #[test]
    fn rate_is_known_from_the_second_measurement_on() {
        assert_eq!(measured(&[(5, 1_000_000)]), 0);
        assert_eq!(measured(&[(5, 1_000_000), (20_000_005, 11_000_000)]), ONE / 2);
    }

    #[test]
    fn counter_that_jumped_is_measured_again() {
        let jumped = [(0, 1), (10_000_000, 10_000_001), (90_000_000, 20_000_001)];
        assert_eq!(measured(&jumped), 0);
        let stopped = [(0, 1), (10_000_000, 10_000_001), (10_000_000, 20_000_001)];
        assert_eq!(measured(&stopped), 0);
        let steady_again = [&jumped[..], &[(100_000_000, 30_000_001)]].concat();
        assert_eq!(measured(&steady_again), ONE);
    }

    #[test]
    fn time_stays_a_little_behind_and_never_before_the_last_reading() {
        let clock = TurnClock::new();
        clock.last.set(Reading {
            ticks: 1_000,
            ns: 70_000,
        });
        assert_eq!(
            clock.reckoned(900, ONE),
            70_000,
            "the counter of another processor"
        );
        assert_eq!(clock.reckoned(1_050, ONE), 70_000);
        assert_eq!(clock.reckoned(6_000, ONE), 75_000 - LAG_NS);
    }

    #[test]
    fn reckoned_time_is_not_ahead_of_the_clock() {
        const PROMISED_NS: u64 = 1_000_000;
        let clock = TurnClock::new();
        let began_ns = monotonic_ns();
        let mut reckoned = 0;
        while monotonic_ns() - began_ns < 4 * SPAN_NS {
            let exact_ns = monotonic_ns();
            clock.set(exact_ns);
            for _ in 0..100 {
                let now_ns = clock.now_ns();
                let later_ns = monotonic_ns();
                assert!(exact_ns <= now_ns);
                assert!(now_ns <= later_ns || later_ns - exact_ns > PROMISED_NS);
                reckoned += u32::from(clock.ns_per_tick.get() != 0);
            }
        }
        assert_eq!(reckoned > 0, promises_steady_counter());
    }
}
