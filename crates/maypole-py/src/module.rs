//! The module object: makes the types in the order of their needs and says how it was built.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::capi::{Obj, Raised, names};
use crate::{
    aio, asyncio, context, event_loop, flow, future, handle, resolver, task, thread_safe_handle, transport,
};

/// The native half of maypole: loop, handles, and the pure state machines for Python.
#[pymodule(gil_used = true)]
#[pyo3(name = "_maypole")]
fn maypole_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    make_types(module).map_err(|Raised| PyErr::fetch(module.py()))?;
    flow::register(module)?;
    module.add_function(wrap_pyfunction!(pending_tasks, module)?)?;
    module.add_function(wrap_pyfunction!(build_info, module)?)?;
    module.add_function(wrap_pyfunction!(has_exact_timeouts, module)?)?;
    module.add_function(wrap_pyfunction!(trace_to_perfetto, module)?)?;
    module.add_function(wrap_pyfunction!(trace_diagnoses, module)?)?;
    // PyO3 lists only what it added itself; a list without the types above would be wrong, so there is none.
    module.delattr(intern!(module.py(), "__all__"))
}

fn make_types(module: &Bound<'_, PyModule>) -> crate::capi::Result<()> {
    // SAFETY: the module is live and the lock is held while it is imported.
    let module = unsafe { Obj::from_ptr(module.as_ptr()) };
    names::init()?;
    asyncio::init()?;
    context::init()?;
    handle::init()?;
    thread_safe_handle::init()?;
    future::init()?;
    task::init()?;
    transport::init()?;
    resolver::init()?;
    aio::init()?;
    event_loop::init()?;
    for register in [
        handle::register,
        future::register,
        task::register,
        transport::register,
        resolver::register,
        aio::register,
        event_loop::register,
    ] {
        register(module)?;
    }
    Ok(())
}

/// Lists the native tasks that are not done, newest first, whatever loop they belong to.
#[pyfunction]
#[pyo3(name = "_pending_tasks")]
fn pending_tasks(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let tasks = task::registry::pending_tasks().map_err(|Raised| PyErr::fetch(py))?;
    // SAFETY: a strong reference to a list changes hands.
    Ok(unsafe { Bound::from_owned_ptr(py, tasks.into_ptr()) }.unbind())
}

/// Says how the native module was built.
///
/// Returns a dictionary: `version`, `profile` ("release" or "debug"), `trained` (whether by a profile of its use), `python` (the version it was built for), `backend` (the
/// poller), `target` (architecture and system).
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item(
        "profile",
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
    )?;
    info.set_item("trained", cfg!(trained))?;
    let python = py.version_info();
    info.set_item("python", format!("{}.{}", python.major, python.minor))?;
    info.set_item("backend", "epoll")?;
    info.set_item(
        "target",
        format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    )?;
    Ok(info)
}

/// Says whether the kernel has `epoll_pwait2`, whose timeouts are nanoseconds; without it they are milliseconds.
///
/// Raises `OSError` when no descriptors are left.
#[pyfunction]
#[pyo3(name = "_has_exact_timeouts")]
fn has_exact_timeouts() -> PyResult<bool> {
    Ok(maypole_sys::Poller::has_exact_timeouts()?)
}

/// Turns a trace document into a trace that Perfetto and `chrome://tracing` open.
///
/// Raises `ValueError` for what is no document of this version, with one sentence that says why.
#[pyfunction]
fn trace_to_perfetto(py: Python<'_>, document: &[u8]) -> PyResult<Py<PyBytes>> {
    let trace = py.detach(|| maypole_trace::perfetto::from_json(document));
    let trace = trace.map_err(|refusal| PyValueError::new_err(refusal.to_string()))?;
    Ok(PyBytes::new(py, &trace).unbind())
}

/// Says what a trace document shows, as JSON: tables of tasks and functions, worst turns, stalls, lost tasks, Little's law.
///
/// Raises `ValueError` for what is no document of this version, with one sentence that says why.
#[pyfunction]
fn trace_diagnoses(py: Python<'_>, document: &[u8]) -> PyResult<String> {
    py.detach(|| maypole_trace::diagnoses::from_json(document))
        .map_err(|refusal| PyValueError::new_err(refusal.to_string()))
}
