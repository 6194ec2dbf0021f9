//! `Breaker` and `Lease`: whether to call at all.

use std::sync::Mutex;

use maypole_core::{deadline_ns, seconds};
use maypole_flow::{Admission, Blocked, Breaker, BreakerSettings, WindowKind};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{duration_ns, held, refuse};

struct State {
    breaker: Breaker,
    blocked: Option<Blocked>,
}

/// A circuit breaker. Times are seconds of the caller's clock.
#[pyclass(frozen, name = "Breaker", module = "maypole._maypole")]
pub(super) struct PyBreaker(Mutex<State>);

/// (from, to, reason, when)
type Change = (&'static str, &'static str, &'static str, f64);

#[pymethods]
impl PyBreaker {
    /// The settings are keyword arguments, as `maypole.patterns.CircuitBreaker` names them; `window_calls` or
    /// `window_seconds` is given.
    #[new]
    #[pyo3(signature = (*, seed, **settings))]
    fn new(seed: u64, settings: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let settings = settings.map_or_else(|| Ok(BreakerSettings::default()), read_settings)?;
        let breaker = Breaker::new(settings, seed).map_err(refuse)?;
        Ok(Self(Mutex::new(State {
            breaker,
            blocked: None,
        })))
    }

    /// Ask to make a call; None when it must not be made, and `blocked` says why.
    fn admit(slf: PyRef<'_, Self>, now: f64) -> Option<PyLease> {
        let admitted = {
            let mut state = held(&slf.0);
            let admitted = state.breaker.admit(deadline_ns(now));
            state.blocked = admitted.err();
            admitted.ok()?
        };
        Some(PyLease {
            breaker: slf.into(),
            admission: Mutex::new(Some(admitted)),
        })
    }

    /// Ask to make a call of a closed breaker that times none and has nothing to tell; None: ask `admit`.
    fn enter(slf: PyRef<'_, Self>) -> Option<PyLease> {
        let admitted = held(&slf.0).breaker.enter()?;
        Some(PyLease {
            breaker: slf.into(),
            admission: Mutex::new(Some(admitted)),
        })
    }

    /// Which state blocked the last call, and in how many seconds one may pass (None: unknown).
    fn blocked(&self) -> (&'static str, Option<f64>) {
        let state = held(&self.0);
        let blocked = state.blocked.unwrap_or(Blocked {
            state: state.breaker.state(),
            retry_after_ns: state.breaker.retry_after_ns(),
        });
        (blocked.state.name(), blocked.retry_after_ns.map(seconds))
    }

    /// Let time pass: finds calls that hang, and ends half-open.
    fn tick(&self, now: f64) {
        held(&self.0).breaker.tick(deadline_ns(now));
    }

    /// When the next call under way becomes slow, or None.
    fn due(&self) -> Option<f64> {
        held(&self.0).breaker.due_ns().map(seconds)
    }

    /// Let nobody through until somebody says otherwise.
    fn force_open(&self, now: f64) {
        held(&self.0).breaker.force_open(deadline_ns(now));
    }

    /// Close, with an empty window.
    fn force_close(&self, now: f64) {
        held(&self.0).breaker.close(deadline_ns(now));
    }

    /// Open for so many seconds, because another process found that the remote does not work; only when closed.
    fn open_for(&self, now: f64, seconds: f64) -> PyResult<()> {
        let wait_ns = duration_ns("seconds", seconds)?;
        held(&self.0).breaker.open_for(deadline_ns(now), wait_ns);
        Ok(())
    }

    /// Let everybody through and judge nothing.
    fn disable(&self, now: f64) {
        held(&self.0).breaker.disable(deadline_ns(now));
    }

    /// Let everybody through, count, and never trip.
    fn metrics_only(&self, now: f64) {
        held(&self.0).breaker.metrics_only(deadline_ns(now));
    }

    /// Begin anew: closed, and nothing known.
    fn reset(&self, now: f64) {
        held(&self.0).breaker.reset(deadline_ns(now));
    }

    /// The name of the state.
    #[getter]
    fn state(&self) -> &'static str {
        held(&self.0).breaker.state().name()
    }

    /// The generation: it grows with each state.
    #[getter]
    fn generation(&self) -> u64 {
        held(&self.0).breaker.generation()
    }

    /// Seconds until a call may pass; None where that cannot be known.
    #[getter]
    fn retry_after(&self) -> Option<f64> {
        held(&self.0).breaker.retry_after_ns().map(seconds)
    }

    /// How many calls are in the window, how many of them failed, how many were slow.
    fn window(&self) -> (u32, u32, u32) {
        let tallies = held(&self.0).breaker.tallies();
        (tallies.calls, tallies.failed, tallies.slow)
    }

    /// How many were admitted, rejected, succeeded, failed, cancelled, late.
    fn calls(&self) -> (u64, u64, u64, u64, u64, u64) {
        let calls = held(&self.0).breaker.calls();
        (
            calls.admitted,
            calls.rejected,
            calls.succeeded,
            calls.failed,
            calls.cancelled,
            calls.late,
        )
    }

    /// Whether there are transitions to take.
    #[getter]
    fn changed(&self) -> bool {
        held(&self.0).breaker.has_transitions()
    }

    /// The transitions since this was asked last, each as (from, to, reason, when).
    fn take_transitions(&self) -> Vec<Change> {
        let transitions = held(&self.0).breaker.take_transitions();
        transitions
            .into_iter()
            .map(|one| {
                (
                    one.from.name(),
                    one.to.name(),
                    one.reason.name(),
                    seconds(one.at_ns),
                )
            })
            .collect()
    }
}

fn read_settings(given: &Bound<'_, PyDict>) -> PyResult<BreakerSettings> {
    let mut settings = BreakerSettings::default();
    for (name, value) in given {
        let name: String = name.extract()?;
        match name.as_str() {
            "window_calls" => settings.window = WindowKind::Calls(value.extract()?),
            "window_seconds" => {
                settings.window = WindowKind::Span(duration_ns("window", value.extract()?)?);
            }
            "min_calls" => settings.calls_min = value.extract()?,
            "failure_rate" => settings.failure_rate = value.extract()?,
            "consecutive" => settings.consecutive = value.extract()?,
            "slow_call" => {
                let slow: Option<f64> = value.extract()?;
                settings.slow_ns = slow.map(|slow| duration_ns("slow_call", slow)).transpose()?;
            }
            "slow_rate" => settings.slow_rate = value.extract()?,
            "open_for" => settings.open_ns = duration_ns("open_for", value.extract()?)?,
            "open_max" => settings.open_max_ns = duration_ns("open_max", value.extract()?)?,
            "backoff" => settings.backoff = value.extract()?,
            "jitter" => settings.jitter = value.extract()?,
            "probes" => settings.probes = value.extract()?,
            "max_concurrent_probes" => settings.probes_at_once = value.extract()?,
            "half_open_timeout" => {
                settings.half_open_ns = duration_ns("half_open_timeout", value.extract()?)?;
            }
            _ => {
                let unknown = format!("a breaker has no setting {name}");
                return Err(pyo3::exceptions::PyTypeError::new_err(unknown));
            }
        }
    }
    Ok(settings)
}

/// The right to make one call. It ends once: a second end is ignored, and a lease that is dropped comes back uncounted.
#[pyclass(frozen, name = "Lease", module = "maypole._maypole")]
pub(super) struct PyLease {
    breaker: Py<PyBreaker>,
    admission: Mutex<Option<Admission>>,
}

#[pymethods]
impl PyLease {
    /// The call has not begun: no time runs until `begin`.
    fn hold(&self, now: f64) {
        if let Some(live) = *held(&self.admission) {
            held(&self.breaker.get().0).breaker.hold(deadline_ns(now), live);
        }
    }

    /// The call begins only now: what was waited for since the admission is not the remote's time.
    fn begin(&self, now: f64) {
        let mut admission = held(&self.admission);
        if let Some(live) = *admission {
            let breaker = &mut held(&self.breaker.get().0).breaker;
            *admission = Some(breaker.begin(deadline_ns(now), live));
        }
    }

    /// Say how the call ended, unless it had ended before; returns whether there are transitions to take.
    fn finish(&self, now: f64, failed: bool) -> bool {
        let Some(admission) = held(&self.admission).take() else {
            return false;
        };
        let breaker = &mut held(&self.breaker.get().0).breaker;
        breaker.finish(deadline_ns(now), admission, failed);
        breaker.has_transitions()
    }

    /// The call ended well, where that needs no time: closed, and no call in the window failed. False: use `finish`.
    fn succeed(&self) -> bool {
        let mut admission = held(&self.admission);
        let done = admission.is_some_and(|live| held(&self.breaker.get().0).breaker.succeed(live));
        if done {
            *admission = None;
        }
        done
    }

    /// Give the lease back uncounted; False when it had ended before.
    fn give_back(&self, now: f64) -> bool {
        let Some(admission) = held(&self.admission).take() else {
            return false;
        };
        let breaker = &mut held(&self.breaker.get().0).breaker;
        breaker.give_back(deadline_ns(now), admission);
        true
    }

    /// Whether the call is still to end.
    #[getter]
    fn live(&self) -> bool {
        held(&self.admission).is_some()
    }
}

impl Drop for PyLease {
    fn drop(&mut self) {
        if let Some(admission) = held(&self.admission).take() {
            let breaker = &mut held(&self.breaker.get().0).breaker;
            breaker.abandon(admission);
        }
    }
}
