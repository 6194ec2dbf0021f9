//! Half-open: a few probes decide.
//!
//! Owns the leases of the probes and their outcomes.
//!
//! Invariant: at most `probes_at_once` are under way, and at most `probes` are let through in all, those that came back
//! uncounted apart.

use super::settings::BreakerSettings;
use super::window::Tallies;

/// One half-open time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) ends_ns: u64,
    under_way: u32,
    /// Failed and slow are counted as soon as they are known; calls when the probe has ended.
    done: Tallies,
}

/// What the probes say so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Undecided,
    Works,
    Fails,
}

impl Trial {
    pub(super) fn new(now_ns: u64, settings: &BreakerSettings) -> Self {
        Self {
            ends_ns: now_ns.saturating_add(settings.half_open_ns),
            under_way: 0,
            done: Tallies::default(),
        }
    }

    pub(super) fn admit(&mut self, settings: &BreakerSettings) -> bool {
        let free =
            self.under_way < settings.probes_at_once && self.done.calls + self.under_way < settings.probes;
        self.under_way += u32::from(free);
        free
    }

    pub(super) fn give_back(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    pub(super) fn found_slow(&mut self) {
        self.done.slow += 1;
    }

    pub(super) fn finish(&mut self, failed: bool) {
        self.give_back();
        self.done.calls += 1;
        self.done.failed += u32::from(failed);
    }

    /// Fails as soon as enough have failed for certain; works when all have answered.
    pub(super) fn finding(&self, settings: &BreakerSettings) -> Finding {
        let probes = f64::from(settings.probes);
        let failed = match (settings.failure_rate, settings.consecutive) {
            (Some(rate), _) => f64::from(self.done.failed) >= rate * probes,
            (None, Some(_)) => self.done.failed > 0,
            (None, None) => false,
        };
        let slow = settings.slow_ns.is_some() && f64::from(self.done.slow) >= settings.slow_rate * probes;
        if failed || slow {
            Finding::Fails
        } else if self.done.calls >= settings.probes {
            Finding::Works
        } else {
            Finding::Undecided
        }
    }

    /// The time is over: who has not answered has failed. `None` when nothing is known at all.
    pub(super) fn closing_finding(&self, settings: &BreakerSettings) -> Option<Finding> {
        if self.under_way > 0 {
            return Some(Finding::Fails);
        }
        if self.done.calls == 0 {
            return None;
        }
        let rate = settings.failure_rate.unwrap_or(f64::MIN_POSITIVE);
        let works = self.done.failure_rate() < rate && self.done.slow_rate() < settings.slow_rate;
        Some(if works { Finding::Works } else { Finding::Fails })
    }

    pub(super) const fn done(&self) -> Tallies {
        self.done
    }
}
