//! TCP Vegas: as many more as stand in the remote queue, by the best time seen.
//!
//! Keeps its baseline until `probe_every` has passed, and takes the next time it sees as the new one: under an overload
//! that lasts, that is a time under load.
//!
//! Source: Brakmo and Peterson, TCP Vegas, 1995; the constants are those of Netflix' concurrency-limits.

use super::Measured;

#[derive(Clone, Copy, Debug)]
pub(super) struct Vegas {
    pub(super) probe_every_ns: u64,
    baseline_ns: f64,
    probed_ns: u64,
}

impl Vegas {
    pub(super) const fn new(probe_every_ns: u64) -> Self {
        Self {
            probe_every_ns,
            baseline_ns: f64::INFINITY,
            probed_ns: 0,
        }
    }

    pub(super) const fn baseline_ns(&self) -> f64 {
        self.baseline_ns
    }

    pub(super) fn next(&mut self, limit: f64, seen: &Measured) -> f64 {
        let step = limit.log10().max(1.0);
        if seen.overloaded {
            return limit - step;
        }
        if self.baseline_ns.is_infinite() || seen.now_ns - self.probed_ns >= self.probe_every_ns {
            self.probed_ns = seen.now_ns;
            self.baseline_ns = seen.mean_ns;
            return limit;
        }
        self.baseline_ns = self.baseline_ns.min(seen.mean_ns);
        if seen.idle(limit) {
            return limit;
        }
        let queued = (limit * (1.0 - self.baseline_ns / seen.mean_ns)).ceil();
        if queued <= step {
            limit + 6.0 * step
        } else if queued < 3.0 * step {
            limit + step
        } else if queued > 6.0 * step {
            limit - step
        } else {
            limit
        }
    }
}
