//! Additive increase, multiplicative decrease, on a target for the mean time of a call.
//!
//! By Little's law the mean time of `limit` calls under way is `limit / throughput`; so at a server that is busy the
//! limit settles where the mean time is the target.
//!
//! Source: Chiu and Jain, Analysis of the increase and decrease algorithms, 1989.

use super::Measured;

const DECREASE: f64 = 0.9;
const INCREASE: f64 = 1.0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Aimd {
    pub(super) target_ns: f64,
}

impl Aimd {
    pub(super) fn next(&self, limit: f64, seen: &Measured) -> f64 {
        if seen.overloaded || seen.mean_ns > self.target_ns {
            limit * DECREASE
        } else if seen.idle(limit) {
            limit
        } else {
            limit + INCREASE
        }
    }
}
