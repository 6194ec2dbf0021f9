//! The signatures of methods, as `inspect.signature` reads them from a native method's text.

use std::ffi::{CStr, CString};

use pyo3::ffi;

use super::call::{import_from, text};
use super::error::{Result, take, value_error};
use super::object::{Obj, Owned};

/// The signature of `model`'s method in the form `($self, ...)`; `None` if it has none or has no such method.
///
/// # Errors
/// Only when memory is short.
pub(super) fn of(model: &Obj, name: &CStr) -> Result<Option<String>> {
    let Some(method) = optional(model.get_attr(&*text(&name.to_string_lossy())?)) else {
        return Ok(None);
    };
    // A native method keeps the text; of a Python function it is made.
    let kept = optional(method.get_attr(&*text("__text_signature__")?)).filter(|kept| !kept.is_none());
    let signature = match kept {
        Some(kept) => Some(kept),
        None => {
            optional(import_from("inspect", "signature").and_then(|signature| signature.call(&[&method])))
        }
    };
    let Some(signature) = signature else {
        return Ok(None);
    };
    let signature = rust_string(&signature)?;
    Ok(Some(signature.replacen("(self", "($self", 1)))
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

fn rust_string(object: &Obj) -> Result<String> {
    // SAFETY: a live object.
    let shown = unsafe { Owned::steal(ffi::PyObject_Str(object.as_ptr()))? };
    let mut size = 0;
    // SAFETY: a string; the bytes belong to it.
    let bytes = unsafe { ffi::PyUnicode_AsUTF8AndSize(shown.as_ptr(), &raw mut size) };
    if bytes.is_null() {
        return Err(super::Raised);
    }
    // SAFETY: the interpreter returned `size` bytes of UTF-8, which live as long as `shown`.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size as usize) };
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
