//! Hands the version of the Python that is built for to the sources, as `cfg(Py_3_12)` and so on.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
