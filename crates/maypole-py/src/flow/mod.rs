//! The decisions of `maypole-flow` for Python: who may go on, and when.
//!
//! Each class keeps one pure value behind a mutex, so that its calls are safe from any thread. Waiting, cancelling and
//! waking is the business of `maypole.patterns`, on whatever loop there is.
//!
//! Invariant: no Python code runs, and no Python object is dropped, while a mutex is held.
//! Invariant: Python objects that wait in a line are visited by the garbage collector.

mod adaptive;
mod breaker;
mod gate;
mod limiter;
mod ready;
mod retry_budget;
mod shedder;

use std::sync::{Mutex, MutexGuard, PoisonError};

use maypole_core::deadline_ns;
use maypole_flow::{Invalid, Waits};
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;

/// Add the classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<limiter::PyRule>()?;
    module.add_class::<limiter::PyLimiter>()?;
    module.add_class::<gate::PyGate>()?;
    module.add_class::<breaker::PyBreaker>()?;
    module.add_class::<breaker::PyLease>()?;
    module.add_class::<adaptive::PyAdaptiveLimit>()?;
    module.add_class::<retry_budget::PyRetryBudget>()?;
    module.add_class::<shedder::PyShedder>()?;
    module.add_class::<ready::PyReady>()
}

/// Lock a value. What a panic left behind is still a value: each method leaves it whole before it can panic.
fn held<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an iterable gives. Its own word on its length is not asked for: memory would be taken for it.
fn each<T>(given: &Bound<'_, PyAny>, take: impl Fn(&Bound<'_, PyAny>) -> PyResult<T>) -> PyResult<Vec<T>> {
    let mut taken = Vec::new();
    for item in given.try_iter()? {
        taken.try_reserve(1).map_err(|_| PyMemoryError::new_err(()))?;
        taken.push(take(&item?)?);
    }
    Ok(taken)
}

fn refuse(error: Invalid) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A duration that Python gave in seconds.
fn duration_ns(what: &'static str, seconds: f64) -> PyResult<u64> {
    if seconds.is_finite() && seconds >= 0.0 {
        Ok(deadline_ns(seconds))
    } else {
        let must = "be finite and not negative";
        Err(refuse(Invalid {
            what,
            must,
            got: seconds,
        }))
    }
}

/// How long things took, in seconds: how many, their sum, the longest, median and 99th percentile.
type Durations = (u64, f64, f64, f64, f64);

fn durations(waits: &Waits) -> Durations {
    let seconds = maypole_core::seconds;
    (
        waits.count(),
        seconds(waits.total_ns()),
        seconds(waits.longest_ns()),
        seconds(waits.quantile_ns(0.5)),
        seconds(waits.quantile_ns(0.99)),
    )
}
