//! The signature of a plain Python function, read from its code object.

use pyo3::ffi;

use super::call::{text, text_of};
use super::error::Result;
use super::object::{Obj, Owned};

/// The flags of a code object whose function takes `*args` and `**kwargs`.
///
/// Source: <https://docs.python.org/3/library/inspect.html#inspect-module-co-flags>
const CO_VARARGS: i64 = 0x04;
const CO_VARKEYWORDS: i64 = 0x08;

/// What `inspect.signature` would say of a Python function without annotations and attributes, in less time; `None` for anything
/// else.
///
/// # Errors
/// What a default's `__repr__` raises.
pub(super) fn of_plain_function(function: &Obj) -> Result<Option<String>> {
    if function.type_ptr() != &raw mut ffi::PyFunction_Type
        || function.get_attr(&*text("__annotations__")?)?.truthy()?
        || function.get_attr(&*text("__dict__")?)?.truthy()?
    {
        return Ok(None);
    }
    let code = Code::of(function)?;
    let mut shown = code.positional(&*function.get_attr(&*text("__defaults__")?)?)?;
    let rest = code.positional + code.keyword_only;
    if code.flags & CO_VARARGS != 0 {
        shown.push(format!("*{}", code.name(rest)?));
    } else if code.keyword_only > 0 {
        shown.push("*".to_owned());
    }
    shown.append(&mut code.keyword_only(&*function.get_attr(&*text("__kwdefaults__")?)?)?);
    if code.flags & CO_VARKEYWORDS != 0 {
        let place = rest + usize::from(code.flags & CO_VARARGS != 0);
        shown.push(format!("**{}", code.name(place)?));
    }
    Ok(Some(format!("({})", shown.join(", "))))
}

/// What a code object says of its function's parameters.
struct Code {
    /// The local names: positional parameters, then those by keyword only, `*args`, `**kwargs`, and all others.
    names: Owned,
    positional_only: usize,
    positional: usize,
    keyword_only: usize,
    flags: i64,
}

impl Code {
    fn of(function: &Obj) -> Result<Code> {
        let code = function.get_attr(&*text("__code__")?)?;
        let number = |name: &str| code.get_attr(&*text(name)?)?.as_i64();
        let count = |name: &str| number(name).map(|count| count.max(0) as usize);
        Ok(Code {
            names: code.get_attr(&*text("co_varnames")?)?,
            positional_only: count("co_posonlyargcount")?,
            positional: count("co_argcount")?,
            keyword_only: count("co_kwonlyargcount")?,
            flags: number("co_flags")?,
        })
    }

    fn name(&self, place: usize) -> Result<String> {
        text_of(&*item(&self.names, place)?)
    }

    /// The parameters that may be given by position; `defaults` is a tuple for the last of them, or `None`.
    fn positional(&self, defaults: &Obj) -> Result<Vec<String>> {
        let defaulted = if defaults.is_none() {
            0
        } else {
            // SAFETY: a live tuple.
            unsafe { ffi::PyTuple_Size(defaults.as_ptr()) }
        };
        let defaulted = defaulted.max(0) as usize;
        let mut shown = Vec::new();
        for place in 0..self.positional {
            let default = (place + defaulted).checked_sub(self.positional);
            let default = default.map(|place| item(defaults, place)).transpose()?;
            shown.push(parameter(self.name(place)?, default)?);
            if place + 1 == self.positional_only {
                shown.push("/".to_owned());
            }
        }
        Ok(shown)
    }

    /// The parameters that are given by keyword only; `defaults` is a dictionary, or `None`.
    fn keyword_only(&self, defaults: &Obj) -> Result<Vec<String>> {
        let mut shown = Vec::new();
        for place in self.positional..self.positional + self.keyword_only {
            let name = item(&self.names, place)?;
            let default = if defaults.is_none() {
                None
            } else {
                // SAFETY: a live dictionary and a live string; a name that is not there gives null, without an exception.
                unsafe { Obj::from_ptr_opt(ffi::PyDict_GetItem(defaults.as_ptr(), name.as_ptr())) }
                    .map(Obj::own)
            };
            shown.push(parameter(text_of(&name)?, default)?);
        }
        Ok(shown)
    }
}

fn parameter(name: String, default: Option<Owned>) -> Result<String> {
    let Some(default) = default else {
        return Ok(name);
    };
    // SAFETY: a live object.
    let shown = unsafe { Owned::steal(ffi::PyObject_Repr(default.as_ptr()))? };
    Ok(format!("{name}={}", text_of(&shown)?))
}

fn item(tuple: &Obj, place: usize) -> Result<Owned> {
    // SAFETY: a live object; a place that is none raises.
    unsafe { Owned::steal(ffi::PySequence_GetItem(tuple.as_ptr(), place as ffi::Py_ssize_t)) }
}
