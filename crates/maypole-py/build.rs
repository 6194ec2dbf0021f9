//! Hands the version of the Python that is built for to the sources, as `cfg(Py_3_12)` and so on, and whether the compiler has a
//! profile of how the library is used, as `cfg(trained)`.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    println!("cargo::rustc-check-cfg=cfg(trained)");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    if std::env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("profile-use")) {
        println!("cargo::rustc-cfg=trained");
    }
}
