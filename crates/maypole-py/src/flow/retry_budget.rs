//! `RetryBudget`: how much may be retried.

use std::sync::Mutex;

use maypole_core::deadline_ns;
use maypole_flow::RetryBudget;
use pyo3::prelude::*;

use super::{held, refuse};

/// A budget for retries over the last ten seconds. Times are seconds of the caller's clock.
#[pyclass(frozen, name = "RetryTokens", module = "maypole._maypole")]
pub(super) struct PyRetryBudget(Mutex<RetryBudget>);

#[pymethods]
impl PyRetryBudget {
    #[new]
    fn new(ratio: f64, min_per_s: f64) -> PyResult<Self> {
        RetryBudget::new(ratio, min_per_s)
            .map(|budget| Self(Mutex::new(budget)))
            .map_err(refuse)
    }

    /// Count a call; not its retries.
    fn deposit(&self, now: f64) {
        held(&self.0).deposit(deadline_ns(now));
    }

    /// Ask to retry once.
    fn try_withdraw(&self, now: f64) -> bool {
        held(&self.0).try_withdraw(deadline_ns(now))
    }

    /// How many retries are left now.
    fn balance(&self, now: f64) -> f64 {
        held(&self.0).balance(deadline_ns(now))
    }

    /// How many calls are in the window; how many retries were ever allowed, and refused.
    fn tally(&self) -> (u32, u64, u64) {
        let budget = held(&self.0);
        (budget.calls(), budget.allowed(), budget.refused())
    }
}
