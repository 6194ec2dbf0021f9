//! The gradient of the time of a call against its time without a queue, measured anew from time to time.
//!
//! Every `probe_every` the limit falls to a few for one window: the mean time of the calls that began then is the
//! baseline. In between the limit moves by `baseline / mean`, with room for a queue of its square root. Needs no target;
//! the probes cost a few per cent of the throughput.
//!
//! Source: Envoy, adaptive concurrency filter (gradient controller).

use super::Measured;

/// How many may be under way while the baseline is measured.
const PROBE_LIMIT: f64 = 3.0;
/// The baseline is taken 10 % longer, so that noise does not shrink the limit.
const BUFFER: f64 = 1.1;

#[derive(Clone, Copy, Debug)]
pub(super) struct Gradient {
    pub(super) probe_every_ns: u64,
    baseline_ns: Option<f64>,
    probed_ns: u64,
    /// The limit to go back to, while the baseline is measured.
    before: Option<f64>,
}

impl Gradient {
    pub(super) const fn new(probe_every_ns: u64) -> Self {
        Self {
            probe_every_ns,
            baseline_ns: None,
            probed_ns: 0,
            before: None,
        }
    }

    pub(super) fn baseline_ns(&self) -> f64 {
        self.baseline_ns.unwrap_or(f64::INFINITY)
    }

    /// Whether only calls count that began in this window: those before it stood in a queue.
    pub(super) const fn probing(&self) -> bool {
        self.before.is_some()
    }

    pub(super) fn next(&mut self, limit: f64, seen: &Measured) -> f64 {
        if let Some(before) = self.before.take() {
            self.probed_ns = seen.now_ns;
            if seen.mean_ns.is_infinite() {
                return before * 0.9; // even a few met nothing but an overload: what was known still holds
            }
            self.baseline_ns = Some(seen.mean_ns);
            return before;
        }
        let due = seen.now_ns - self.probed_ns >= self.probe_every_ns;
        let Some(baseline_ns) = self.baseline_ns.filter(|_| !due) else {
            self.before = Some(limit);
            return PROBE_LIMIT.min(limit);
        };
        if seen.overloaded {
            return limit * 0.9;
        }
        let gradient = (baseline_ns * BUFFER / seen.mean_ns).clamp(0.5, 2.0);
        let next = limit * gradient + (limit * gradient).sqrt();
        if seen.idle(limit) { next.min(limit) } else { next }
    }
}
