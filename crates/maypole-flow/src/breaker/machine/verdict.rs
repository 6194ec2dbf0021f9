//! What the outcomes of calls mean: slow calls, rates, rows of failures, probes, and for how long to stay open.

use super::super::state::Reason;
use super::super::trial::Finding;
use super::super::window::Mark;
use super::{Breaker, State};
use crate::line::Ticket;

impl Breaker {
    /// Count the calls as slow that have become so without ending.
    pub(super) fn count_overdue(&mut self, now_ns: u64) {
        let Some(slow_ns) = self.settings.slow_ns else {
            return;
        };
        let mut found = false;
        while let Some((_, started_ns)) = self.under_way.first() {
            if started_ns.saturating_add(slow_ns) > now_ns {
                break;
            }
            let Some((ticket, _)) = self.under_way.serve() else {
                break;
            };
            let mark = if let State::HalfOpen(trial) = &mut self.state {
                trial.found_slow();
                None
            } else {
                Some(self.window.push(now_ns, false, true))
            };
            self.overdue.insert(ticket, mark);
            found = true;
        }
        if found {
            self.judge(now_ns);
        }
    }

    /// Stop watching a call; what it was counted as, if it is overdue.
    #[allow(
        clippy::option_option,
        reason = "overdue or not, and with a mark in the window or not"
    )]
    pub(super) fn forget(&mut self, ticket: Ticket) -> Option<Option<Mark>> {
        self.settings.slow_ns?;
        if self.under_way.leave(ticket).is_some() {
            return None;
        }
        self.overdue.remove(&ticket)
    }

    pub(super) fn judge(&mut self, now_ns: u64) {
        match &self.state {
            State::Closed => {
                if let Some(reason) = self.trips(now_ns) {
                    let until_ns = now_ns.saturating_add(self.open_ns());
                    self.go(now_ns, State::Open { until_ns }, reason);
                }
            }
            State::HalfOpen(trial) => match trial.finding(&self.settings) {
                Finding::Undecided => {}
                Finding::Works => self.go(now_ns, State::Closed, Reason::ProbesWork),
                Finding::Fails => self.reopen(now_ns, Reason::ProbesFail),
            },
            _ => {}
        }
    }

    pub(super) fn trips(&mut self, now_ns: u64) -> Option<Reason> {
        let settings = &self.settings;
        if settings.consecutive.is_some_and(|row| self.failed_in_row >= row) {
            return Some(Reason::Consecutive);
        }
        let tallies = self.window.tallies(now_ns);
        if tallies.calls < settings.calls_min {
            return None;
        }
        if settings
            .failure_rate
            .is_some_and(|rate| tallies.failure_rate() >= rate)
        {
            return Some(Reason::FailureRate);
        }
        let slow = settings.slow_ns.is_some() && tallies.slow_rate() >= settings.slow_rate;
        slow.then_some(Reason::SlowRate)
    }

    pub(super) fn reopen(&mut self, now_ns: u64, reason: Reason) {
        self.failed_trials = self.failed_trials.saturating_add(1);
        let until_ns = now_ns.saturating_add(self.open_ns());
        self.go(now_ns, State::Open { until_ns }, reason);
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a wait of at most open_max, lengthened by jitter; the cast saturates"
    )]
    pub(super) fn open_ns(&mut self) -> u64 {
        let settings = &self.settings;
        let trials = i32::try_from(self.failed_trials).unwrap_or(i32::MAX);
        let grown = settings.open_ns as f64 * settings.backoff.powi(trials);
        let capped = grown.min(settings.open_max_ns as f64);
        (capped * (1.0 + settings.jitter * self.random.unit())) as u64
    }
}
