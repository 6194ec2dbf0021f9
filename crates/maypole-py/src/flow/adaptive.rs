//! `AdaptiveLimit`: a limit on what is under way that finds its own value.

use std::sync::Mutex;

use maypole_core::{deadline_ns, seconds};
use maypole_flow::{AdaptiveLimit, AdaptiveSettings, Algorithm, Sample};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::{duration_ns, held, refuse};

/// A limit that follows what the calls show. Times are seconds of the caller's clock.
#[pyclass(frozen, name = "AdaptiveLimit", module = "maypole._maypole")]
pub(super) struct PyAdaptiveLimit(Mutex<AdaptiveLimit>);

#[pymethods]
impl PyAdaptiveLimit {
    /// The algorithm is "aimd" (needs a target), "gradient" or "vegas".
    #[new]
    #[pyo3(signature = (algorithm, *, target, probe_every, min, max, initial, window, min_samples))]
    #[allow(clippy::too_many_arguments, reason = "settings, by name")]
    fn new(
        algorithm: &str,
        target: Option<f64>,
        probe_every: f64,
        min: u64,
        max: u64,
        initial: u64,
        window: f64,
        min_samples: u32,
    ) -> PyResult<Self> {
        let probe_every_ns = duration_ns("probe_every", probe_every)?;
        let algorithm = match (algorithm, target) {
            ("aimd", Some(target)) => Algorithm::Aimd {
                target_ns: duration_ns("target", target)?,
            },
            ("aimd", None) => {
                let what = "aimd needs a target: the mean time of a call to hold, in seconds";
                return Err(PyValueError::new_err(what));
            }
            ("gradient", _) => Algorithm::Gradient { probe_every_ns },
            ("vegas", _) => Algorithm::Vegas { probe_every_ns },
            _ => {
                let what = format!("algorithm must be 'aimd', 'gradient' or 'vegas', got '{algorithm}'");
                return Err(PyValueError::new_err(what));
            }
        };
        AdaptiveLimit::new(AdaptiveSettings {
            algorithm,
            min,
            max,
            initial,
            window_ns: duration_ns("window", window)?,
            samples_min: min_samples,
        })
        .map(|limit| Self(Mutex::new(limit)))
        .map_err(refuse)
    }

    /// Take in the end of a call: "time" when its duration says something, "overload", or "drop". Returns the limit
    /// when it has moved, or None.
    fn sample(&self, now: f64, took: f64, in_flight: u64, kind: &str) -> PyResult<Option<u64>> {
        let kind = match kind {
            "time" => Sample::Time,
            "overload" => Sample::Overload,
            "drop" => Sample::Drop,
            _ => return Err(PyValueError::new_err("kind must be 'time', 'overload' or 'drop'")),
        };
        let took_ns = deadline_ns(took);
        Ok(held(&self.0).sample(deadline_ns(now), took_ns, in_flight, kind))
    }

    /// The limit now.
    #[getter]
    fn limit(&self) -> u64 {
        held(&self.0).limit()
    }

    /// The mean time of the calls in the last window, in seconds.
    #[getter]
    fn mean(&self) -> f64 {
        held(&self.0).mean_ns() / 1e9
    }

    /// The time of a call without a queue, in seconds; None where the algorithm knows none.
    #[getter]
    fn baseline(&self) -> Option<f64> {
        held(&self.0)
            .baseline_ns()
            .map(|ns| seconds(deadline_ns(ns / 1e9)))
    }
}
