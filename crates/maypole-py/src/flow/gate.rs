//! `Gate`: places, and the lines before them.

use std::sync::Mutex;

use maypole_core::deadline_ns;
use maypole_flow::{Gate, Group, Ticket};
use pyo3::exceptions::{PyIndexError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::{Durations, durations, each, held, refuse};

/// So many places, with a line of whatever waits for each group. Group 0 is everybody.
#[pyclass(frozen, name = "Gate", module = "maypole._maypole")]
pub(super) struct PyGate {
    gate: Mutex<Gate<Py<PyAny>>>,
    groups: usize,
}

impl PyGate {
    fn group(&self, group: usize) -> PyResult<Group> {
        if group < self.groups {
            Ok(Group(group))
        } else {
            Err(PyIndexError::new_err(format!("there is no group {group}")))
        }
    }
}

#[pymethods]
impl PyGate {
    #[new]
    fn new(limit: u64, max_waiting: Option<usize>, shares: &Bound<'_, PyAny>) -> PyResult<Self> {
        let shares = each(shares, |share| share.extract())?;
        let gate = Gate::new(limit, max_waiting, &shares).map_err(refuse)?;
        Ok(Self {
            groups: gate.groups_len(),
            gate: Mutex::new(gate),
        })
    }

    /// Take n places now, unless somebody who came before waits for them.
    #[pyo3(signature = (n=1, group=0))]
    fn try_acquire(&self, n: u64, group: usize) -> PyResult<bool> {
        let group = self.group(group)?;
        Ok(held(&self.gate).try_acquire(group, n))
    }

    /// Take n places now, as `try_acquire` does, for somebody who joins the line otherwise: a no is not counted.
    #[pyo3(signature = (n=1, group=0, priority=0))]
    fn enter(&self, n: u64, group: usize, priority: i32) -> PyResult<bool> {
        let group = self.group(group)?;
        Ok(held(&self.gate).enter(group, priority, n))
    }

    /// Stand in line; returns the ticket, or 0 when the line is full.
    #[pyo3(signature = (now, n, group, who, priority=0))]
    fn join(&self, now: f64, n: u64, group: usize, who: Py<PyAny>, priority: i32) -> PyResult<u64> {
        let group = self.group(group)?;
        let joined = held(&self.gate).join(deadline_ns(now), group, priority, n, who);
        Ok(joined.map_or(0, |ticket| ticket.0))
    }

    /// Step out of the line, late or cancelled; False when this ticket is not in it any more.
    fn leave(&self, ticket: u64, group: usize, late: bool) -> PyResult<bool> {
        let group = self.group(group)?;
        let left = held(&self.gate).leave(group, Ticket(ticket), late);
        Ok(left.is_some())
    }

    /// Free n places; returns whether somebody waits. RuntimeError when the group does not hold as many.
    #[pyo3(signature = (n=1, group=0))]
    fn release(&self, n: u64, group: usize) -> PyResult<bool> {
        let group = self.group(group)?;
        let mut gate = held(&self.gate);
        if gate.release(group, n) {
            Ok(gate.waiting_len() > 0)
        } else {
            Err(too_many(n))
        }
    }

    /// Free n places whose owner was cancelled before it knew of them; returns whether somebody waits.
    fn give_back(&self, n: u64, group: usize) -> PyResult<bool> {
        let group = self.group(group)?;
        let mut gate = held(&self.gate);
        if gate.give_back(group, n) {
            Ok(gate.waiting_len() > 0)
        } else {
            Err(too_many(n))
        }
    }

    /// Grant to those whose turn it is; returns them, each with its group.
    fn serve(&self, now: f64) -> Vec<(Py<PyAny>, usize)> {
        let mut granted = Vec::new();
        held(&self.gate).serve(deadline_ns(now), &mut granted);
        granted.into_iter().map(|(who, group)| (who, group.0)).collect()
    }

    /// Count a refusal that was decided elsewhere: somebody would not wait at all.
    fn reject(&self) {
        held(&self.gate).reject();
    }

    /// The number of places; a smaller one takes effect as places are released.
    #[getter]
    fn limit(&self) -> u64 {
        held(&self.gate).limit()
    }

    #[setter]
    fn set_limit(&self, limit: u64) {
        held(&self.gate).set_limit(limit);
    }

    /// How many places are in use.
    #[getter]
    fn in_use(&self) -> u64 {
        held(&self.gate).in_use()
    }

    /// How many wait.
    #[getter]
    fn waiting(&self) -> usize {
        held(&self.gate).waiting_len()
    }

    /// The most that a group can ever have at once.
    fn most(&self, group: usize) -> PyResult<u64> {
        let group = self.group(group)?;
        Ok(held(&self.gate).most(group))
    }

    /// How many places a group has in use, and how many are kept for it.
    fn group_use(&self, group: usize) -> PyResult<(u64, u64)> {
        let group = self.group(group)?;
        let gate = held(&self.gate);
        Ok((gate.in_use_by(group), gate.reserved(group)))
    }

    /// How many were granted, rejected, cancelled; and the most that were ever in use.
    fn tally(&self) -> (u64, u64, u64, u64) {
        let tally = held(&self.gate).tally();
        (tally.granted, tally.rejected, tally.cancelled, tally.in_use_max)
    }

    /// How long those waited who were granted from the line.
    fn waits(&self) -> Durations {
        durations(held(&self.gate).waits())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A thread that holds the lock is at work here, so the line is alive: nothing to collect this time.
        let Ok(gate) = self.gate.try_lock() else {
            return Ok(());
        };
        gate.waiting().try_for_each(|who| visit.call(who))
    }

    fn __clear__(&self) {
        let waiting = held(&self.gate).clear();
        drop(waiting);
    }
}

fn too_many(n: u64) -> PyErr {
    PyRuntimeError::new_err(format!("released {n} places, more than were acquired"))
}
