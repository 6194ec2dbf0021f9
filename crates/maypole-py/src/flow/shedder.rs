//! `Shedder`: whether to take on more work.

use std::sync::Mutex;

use maypole_core::{deadline_ns, seconds};
use maypole_flow::Shedder;
use pyo3::prelude::*;

use super::{duration_ns, held, refuse};

/// Sheds when measured delays stay above a target for an interval. Times are seconds.
#[pyclass(frozen, name = "Shedder", module = "maypole._maypole")]
pub(super) struct PyShedder(Mutex<Shedder>);

#[pymethods]
impl PyShedder {
    #[new]
    fn new(target: f64, interval: f64) -> PyResult<Self> {
        let target_ns = duration_ns("target", target)?;
        let interval_ns = duration_ns("interval", interval)?;
        Shedder::new(target_ns, interval_ns)
            .map(|shedder| Self(Mutex::new(shedder)))
            .map_err(refuse)
    }

    /// Take in one delay, measured now; returns whether new work is to be refused.
    fn observe(&self, now: f64, delay: f64) -> bool {
        let mut shedder = held(&self.0);
        shedder.observe(deadline_ns(now), deadline_ns(delay));
        shedder.sheds()
    }

    /// Whether new work is to be refused.
    #[getter]
    fn sheds(&self) -> bool {
        held(&self.0).sheds()
    }

    /// The delay taken in last, in seconds.
    #[getter]
    fn delay(&self) -> f64 {
        seconds(held(&self.0).delay_ns())
    }
}
