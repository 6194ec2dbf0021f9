//! An awaitable that is done.

use pyo3::prelude::*;

/// An awaitable whose `await` returns None at once.
///
/// One object serves any number of awaits. Where a pattern has nothing to wait for, this saves a coroutine for each
/// `async with`.
#[pyclass(frozen, name = "Ready", module = "maypole._maypole")]
pub(super) struct PyReady;

#[pymethods]
impl PyReady {
    #[new]
    const fn new() -> Self {
        Self
    }

    const fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The end without an exception object: `await` takes it as None.
    const fn __next__(&self) -> Option<()> {
        None
    }
}
