//! `Limiter`: a rate limit and the line before it.

use std::sync::Mutex;

use maypole_core::{deadline_ns, seconds};
use maypole_flow::{Gcra, Limiter, Refused, Rule, SlidingLog, Ticket};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::{Durations, duration_ns, durations, each, held, refuse};

/// One rule of a `Limiter`.
#[pyclass(frozen, name = "Rule", module = "maypole._maypole")]
pub(super) struct PyRule(Rule);

#[pymethods]
impl PyRule {
    /// A rate per second with a burst, of which `initial` are there at the beginning (None: all).
    #[staticmethod]
    #[pyo3(signature = (rate, burst, initial=None))]
    fn bucket(rate: f64, burst: f64, initial: Option<f64>) -> PyResult<Self> {
        Gcra::new(rate, burst, initial)
            .map(|bucket| Self(Rule::Bucket(bucket)))
            .map_err(refuse)
    }

    /// At most `limit` in any window of so many seconds.
    #[staticmethod]
    fn window(limit: f64, per: f64) -> PyResult<Self> {
        SlidingLog::new(limit, per)
            .map(|log| Self(Rule::Window(log)))
            .map_err(refuse)
    }
}

/// A rate limit under one rule or several, with a line of whatever waits. Times are seconds of the caller's clock.
#[pyclass(frozen, name = "Limiter", module = "maypole._maypole")]
pub(super) struct PyLimiter(Mutex<Limiter<Py<PyAny>>>);

#[pymethods]
impl PyLimiter {
    #[new]
    fn new(rules: &Bound<'_, PyAny>, max_waiting: Option<usize>) -> PyResult<Self> {
        let rules = each(rules, |rule| Ok(rule.extract::<PyRef<'_, PyRule>>()?.0.clone()))?;
        Ok(Self(Mutex::new(Limiter::new(rules, max_waiting))))
    }

    /// Take n now if nobody waits and every rule admits it. ValueError for a weight that can never be granted.
    #[pyo3(signature = (now, n=1.0))]
    fn try_acquire(&self, now: f64, n: f64) -> PyResult<bool> {
        held(&self.0).try_acquire(deadline_ns(now), n).map_err(refuse)
    }

    /// Take n now, as `try_acquire` does, for somebody who joins the line otherwise: a no is not counted.
    #[pyo3(signature = (now, n=1.0))]
    fn enter(&self, now: f64, n: f64) -> PyResult<bool> {
        held(&self.0).enter(deadline_ns(now), n).map_err(refuse)
    }

    /// Stand in line. Returns (ticket, None, 0.0), or (0, "never" | "full" | "late", seconds until it would be due).
    fn join(
        &self,
        now: f64,
        n: f64,
        timeout: Option<f64>,
        who: Py<PyAny>,
    ) -> (u64, Option<&'static str>, f64) {
        let timeout_ns = timeout.map(deadline_ns);
        let joined = held(&self.0).join(deadline_ns(now), n, timeout_ns, who);
        match joined {
            Ok(ticket) => (ticket.0, None, 0.0),
            Err((_, Refused::Never { .. })) => (0, Some("never"), f64::INFINITY),
            Err((_, Refused::Full { delay_ns })) => (0, Some("full"), seconds(delay_ns)),
            Err((_, Refused::TooLate { delay_ns })) => (0, Some("late"), seconds(delay_ns)),
        }
    }

    /// Grant to those whose turn it is. Returns (they, the instant for `give_back`, when the next is due or None).
    fn serve(&self, now: f64) -> (Vec<Py<PyAny>>, u64, Option<f64>) {
        let mut granted = Vec::new();
        let served = held(&self.0).serve(deadline_ns(now), &mut granted);
        (granted, served.at_ns, served.due_ns.map(seconds))
    }

    /// Step out of the line, late or cancelled; False when this ticket is not in it any more.
    fn leave(&self, ticket: u64, late: bool) -> bool {
        let left = held(&self.0).leave(Ticket(ticket), late);
        left.is_some()
    }

    /// Give back what was granted at that instant and not used.
    fn give_back(&self, now: f64, n: f64, granted_at: u64) {
        held(&self.0).give_back(deadline_ns(now), n, granted_at);
    }

    /// Grant nothing for so many seconds, or for longer where a pause holds already.
    fn pause(&self, now: f64, seconds: f64) -> PyResult<()> {
        let pause_ns = duration_ns("seconds", seconds)?;
        held(&self.0).pause(deadline_ns(now), pause_ns);
        Ok(())
    }

    /// Go on at another rate per second; burst None keeps the burst.
    fn set_rate(&self, now: f64, rate: f64, burst: Option<f64>) -> PyResult<()> {
        held(&self.0)
            .retune(deadline_ns(now), rate, burst)
            .map_err(refuse)
    }

    /// Go on with another window.
    fn set_window(&self, limit: f64, per: f64) -> PyResult<()> {
        held(&self.0).retune_window(limit, per).map_err(refuse)
    }

    /// Take those out of the line who cannot be granted in time any more, each with its delay in seconds.
    fn refuse_hopeless(&self, now: f64) -> Vec<(Py<PyAny>, f64)> {
        let mut refused = Vec::new();
        held(&self.0).refuse_hopeless(deadline_ns(now), &mut refused);
        refused
            .into_iter()
            .map(|(who, delay_ns)| (who, seconds(delay_ns)))
            .collect()
    }

    /// Seconds until n would be granted to somebody who joins now.
    fn delay(&self, now: f64, n: f64) -> f64 {
        seconds(held(&self.0).delay_ns(deadline_ns(now), n))
    }

    /// Seconds until it is the turn of a ticket; None when it is not in line.
    fn delay_of(&self, now: f64, ticket: u64) -> Option<f64> {
        let delay_ns = held(&self.0).delay_of_ns(deadline_ns(now), Ticket(ticket));
        delay_ns.map(seconds)
    }

    /// Refuse a weight that can never be granted: ValueError.
    fn check_weight(&self, n: f64) -> PyResult<()> {
        held(&self.0).check_weight(n).map_err(refuse)
    }

    /// Who is first in line, or None.
    fn first(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        held(&self.0).first().map(|who| who.clone_ref(py))
    }

    /// What is there now (None: when the clock was seen last): how many can be granted, the line and a pause apart;
    /// seconds until the first in line, or a newcomer, gets one; seconds that the pause still lasts.
    fn outlook(&self, now: Option<f64>) -> (f64, f64, f64) {
        let mut limiter = held(&self.0);
        let now_ns = now.map_or_else(|| limiter.latest_reading_ns(), deadline_ns);
        let next_ns = limiter.next_ns(now_ns);
        (
            limiter.level(now_ns),
            seconds(next_ns),
            seconds(limiter.paused_ns(now_ns)),
        )
    }

    /// How many wait.
    #[getter]
    fn waiting(&self) -> usize {
        held(&self.0).waiting_len()
    }

    /// The most that can be granted at once.
    #[getter]
    fn most(&self) -> f64 {
        held(&self.0).most()
    }

    /// The rules: ("bucket", rate per second, burst) or ("window", limit, seconds).
    #[getter]
    fn rules(&self) -> Vec<(&'static str, f64, f64)> {
        let describe = |rule: &Rule| match rule {
            Rule::Bucket(bucket) => ("bucket", bucket.rate(), bucket.burst()),
            Rule::Window(log) => ("window", log.limit(), seconds(log.window_ns())),
        };
        held(&self.0).rules().iter().map(describe).collect()
    }

    /// How many were granted, rejected, cancelled.
    fn tally(&self) -> (u64, u64, u64) {
        let tally = held(&self.0).tally();
        (tally.granted, tally.rejected, tally.cancelled)
    }

    /// How long those waited who were granted from the line.
    fn waits(&self) -> Durations {
        durations(held(&self.0).waits())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A thread that holds the lock is at work here, so the line is alive: nothing to collect this time.
        let Ok(limiter) = self.0.try_lock() else {
            return Ok(());
        };
        limiter.waiting().try_for_each(|who| visit.call(who))
    }

    fn __clear__(&self) {
        let waiting = held(&self.0).clear();
        drop(waiting);
    }
}
