//! What somebody else decides: a person, or another process.

use super::super::state::Reason;
use super::{Breaker, State};

impl Breaker {
    /// Let nobody through until somebody says otherwise.
    pub fn force_open(&mut self, reading_ns: u64) {
        self.set(reading_ns, State::ForcedOpen);
    }

    /// Close, with an empty window.
    pub fn close(&mut self, reading_ns: u64) {
        self.set(reading_ns, State::Closed);
    }

    /// Open for `wait_ns`, because somebody else found that the remote does not work; only when closed.
    pub fn open_for(&mut self, reading_ns: u64, wait_ns: u64) {
        let now_ns = self.tick_at(reading_ns);
        if matches!(self.state, State::Closed) {
            let until_ns = now_ns.saturating_add(wait_ns);
            self.go(now_ns, State::Open { until_ns }, Reason::Elsewhere);
        }
    }

    /// Let everybody through and judge nothing.
    pub fn disable(&mut self, reading_ns: u64) {
        self.set(reading_ns, State::Disabled);
    }

    /// Let everybody through, count, and never trip.
    pub fn metrics_only(&mut self, reading_ns: u64) {
        self.set(reading_ns, State::MetricsOnly);
    }

    /// Begin anew: closed, and nothing known. The [`Calls`](super::super::state::Calls) stay.
    pub fn reset(&mut self, reading_ns: u64) {
        self.set(reading_ns, State::Closed);
        self.generation += 1;
        self.clear();
    }

    pub(super) fn set(&mut self, reading_ns: u64, state: State) {
        let now_ns = self.tick_at(reading_ns);
        if self.state.public() != state.public() {
            self.go(now_ns, state, Reason::ByHand);
        }
    }
}
