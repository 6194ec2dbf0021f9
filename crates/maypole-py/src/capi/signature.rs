//! The signatures of methods, as `inspect.signature` reads them from a native method's text.

use std::ffi::{CStr, CString};

use pyo3::ffi;

use super::call::{import_from, text, text_of};
use super::error::{Result, take, value_error};
use super::object::{Obj, Owned};
use super::plain_function::of_plain_function;

/// The signature of `model`'s method in the form `($self, ...)`; `None` if it has none or has no such method.
///
/// # Errors
/// Only when memory is short.
pub(super) fn of(model: &Obj, name: &CStr) -> Result<Option<String>> {
    let Some(method) = optional(model.get_attr(&*text(&name.to_string_lossy())?)) else {
        return Ok(None);
    };
    // A native method keeps the text; that of a plain Python function is put together, and that of any other is asked for.
    let signature = match of_plain_function(&method)? {
        Some(signature) => Some(signature),
        None => kept_by(&method)?.map_or_else(|| asked_for(&method), |kept| Ok(Some(kept)))?,
    };
    Ok(signature.map(|signature| signature.replacen("(self", "($self", 1)))
}

/// What a native method keeps as its `__text_signature__`.
fn kept_by(method: &Obj) -> Result<Option<String>> {
    let kept = optional(method.get_attr(&*text("__text_signature__")?)).filter(|kept| !kept.is_none());
    kept.map(|kept| shown(&kept)).transpose()
}

/// What `inspect.signature` says; it takes long.
fn asked_for(method: &Obj) -> Result<Option<String>> {
    let signature =
        optional(import_from("inspect", "signature").and_then(|signature| signature.call(&[method])));
    signature.map(|signature| shown(&signature)).transpose()
}

/// A method's text with another signature in front; it lives as long as the process, as method tables do.
///
/// # Errors
/// `ValueError` if the signature holds a zero byte.
pub(super) fn doc(name: &CStr, signature: &str, doc: &CStr) -> Result<&'static CStr> {
    let doc = doc.to_string_lossy();
    let words = doc.split_once("\n--\n\n").map_or(&*doc, |(_, words)| words);
    let whole = format!("{}{signature}\n--\n\n{words}", name.to_string_lossy());
    match CString::new(whole) {
        Ok(whole) => Ok(Box::leak(whole.into_boxed_c_str())),
        Err(_) => Err(value_error("a signature holds a zero byte")),
    }
}

/// The value, or nothing where looking for it raised.
fn optional(found: Result<Owned>) -> Option<Owned> {
    if found.is_err() {
        drop(take());
    }
    found.ok()
}

fn shown(object: &Obj) -> Result<String> {
    // SAFETY: a live object.
    let shown = unsafe { Owned::steal(ffi::PyObject_Str(object.as_ptr()))? };
    text_of(&shown)
}
