//! The arguments of a fast call (`METH_FASTCALL | METH_KEYWORDS`, PEP 590).

use pyo3::ffi;

use super::error::{Raised, Result, type_error};
use super::names::same;
use super::object::Obj;

/// Positional and keyword arguments as the interpreter passes them, borrowed for the call.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a> {
    positional: &'a [&'a Obj],
    keyword_values: &'a [&'a Obj],
    keyword_names: Option<&'a Obj>,
}

impl<'a> Args<'a> {
    /// Views the raw arguments of a fast call.
    ///
    /// # Safety
    /// The values are those that the interpreter gave to a `METH_FASTCALL | METH_KEYWORDS` function and live for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn new(
        values: *const *mut ffi::PyObject,
        positional_count: ffi::Py_ssize_t,
        names: *mut ffi::PyObject,
    ) -> Args<'a> {
        let positional_count = positional_count as usize;
        // SAFETY: null or a live tuple of strings.
        let keyword_names = unsafe { Obj::from_ptr_opt(names) };
        // SAFETY: a tuple has a size.
        let keyword_count = keyword_names.map_or(0, |names| unsafe { ffi::PyTuple_GET_SIZE(names.as_ptr()) }
            as usize);
        let count = positional_count + keyword_count;
        let all: &'a [&'a Obj] = if count == 0 {
            &[]
        } else {
            // SAFETY: the interpreter passes `count` live references; `&Obj` has the layout of such a pointer.
            unsafe { std::slice::from_raw_parts(values.cast::<&Obj>(), count) }
        };
        let (positional, keyword_values) = all.split_at(positional_count);
        Args {
            positional,
            keyword_values,
            keyword_names,
        }
    }

    #[inline(always)]
    pub(crate) fn positional(&self) -> &'a [&'a Obj] {
        self.positional
    }

    #[inline(always)]
    pub(crate) fn has_keywords(&self) -> bool {
        self.keyword_names.is_some()
    }

    /// Name and value of each keyword argument.
    pub(crate) fn keywords(&self) -> impl Iterator<Item = (&'a Obj, &'a Obj)> {
        let names = self.keyword_names;
        self.keyword_values
            .iter()
            .enumerate()
            .filter_map(move |(place, value)| {
                let names = names?;
                // SAFETY: `place` is within the tuple: there is one value for each name.
                let name =
                    unsafe { Obj::from_ptr(ffi::PyTuple_GET_ITEM(names.as_ptr(), place as ffi::Py_ssize_t)) };
                Some((name, *value))
            })
    }

    /// The value of the only keyword that the method takes; any other keyword is a `TypeError`.
    #[inline]
    pub(crate) fn only_keyword(&self, method: &str, name: &Obj) -> Result<Option<&'a Obj>> {
        if self.keyword_names.is_none() {
            return Ok(None);
        }
        let mut found = None;
        for (given, value) in self.keywords() {
            if !same(given, name) {
                return Err(unexpected_keyword(method, given));
            }
            found = Some(value);
        }
        Ok(found)
    }

    /// The only argument of a method, by position or by its name.
    #[inline]
    pub(crate) fn single(&self, method: &str, name: &str) -> Result<&'a Obj> {
        if let ([given], None) = (self.positional, self.keyword_names) {
            return Ok(*given);
        }
        let [given] = self.bind(method, [&*super::call::interned(name)?], 1)?;
        given.ok_or(Raised)
    }

    /// As [`Args::bind`], for a function, which has no `self` to count.
    #[cold]
    pub(crate) fn bind_function<const N: usize>(
        &self,
        function: &str,
        names: [&Obj; N],
        required: usize,
    ) -> Result<[Option<&'a Obj>; N]> {
        let given = self.positional.len();
        if given <= N {
            return self.bind(function, names, required);
        }
        Err(type_error(&if required < N {
            format!("{function}() takes from {required} to {N} positional arguments but {given} were given")
        } else {
            format!("{function}() takes {N} positional arguments but {given} were given")
        }))
    }

    /// Fills `places` from positional and keyword arguments, in the order of `names`, as a Python signature would.
    pub(crate) fn bind<const N: usize>(
        &self,
        method: &str,
        names: [&Obj; N],
        required: usize,
    ) -> Result<[Option<&'a Obj>; N]> {
        let mut places: [Option<&'a Obj>; N] = [None; N];
        if self.positional.len() > N {
            let given = self.positional.len() + 1;
            return Err(type_error(&format!(
                "{method}() takes at most {} positional arguments but {given} were given",
                N + 1
            )));
        }
        for (place, value) in places.iter_mut().zip(self.positional) {
            *place = Some(*value);
        }
        for (given, value) in self.keywords() {
            let Some(index) = names.iter().position(|name| same(given, name)) else {
                return Err(unexpected_keyword(method, given));
            };
            if places[index].is_some() {
                return Err(type_error(&format!(
                    "{method}() got multiple values for argument {}",
                    quoted(given)
                )));
            }
            places[index] = Some(value);
        }
        for index in 0..required {
            if places[index].is_none() {
                let name = quoted(names[index]);
                return Err(type_error(&format!(
                    "{method}() missing 1 required positional argument: {name}"
                )));
            }
        }
        Ok(places)
    }

    /// The positional arguments of a method that takes at least `count` of them and collects the rest.
    #[inline]
    pub(crate) fn at_least(
        &self,
        method: &str,
        names: &[&str],
        count: usize,
    ) -> Result<(&'a [&'a Obj], &'a [&'a Obj])> {
        if self.positional.len() < count {
            return Err(missing(method, &names[self.positional.len()..]));
        }
        Ok(self.positional.split_at(count))
    }

    /// Binds `(*required, *rest, keyword=None)` as a Python signature would, each required one also by its name.
    pub(crate) fn bind_before_rest(
        &self,
        method: &str,
        required: &[&str],
        keyword: &Obj,
    ) -> Result<(Vec<&'a Obj>, &'a [&'a Obj], Option<&'a Obj>)> {
        let (first, rest) = self
            .positional
            .split_at(required.len().min(self.positional.len()));
        let mut places: Vec<Option<&'a Obj>> = first.iter().map(|value| Some(*value)).collect();
        places.resize(required.len(), None);
        let mut optional = None;
        for (given, value) in self.keywords() {
            if same(given, keyword) {
                optional = Some(value);
                continue;
            }
            let quoted = quoted(given);
            let place = required
                .iter()
                .position(|name| quoted.trim_matches('\'') == *name);
            let Some(place) = place else {
                return Err(unexpected_keyword(method, given));
            };
            if places[place].is_some() {
                return Err(type_error(&format!(
                    "{method}() got multiple values for argument {quoted}"
                )));
            }
            places[place] = Some(value);
        }
        let absent: Vec<&str> = required
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_none())
            .map(|(name, _)| *name)
            .collect();
        if !absent.is_empty() {
            return Err(missing(method, &absent));
        }
        Ok((places.into_iter().flatten().collect(), rest, optional))
    }
}

#[cold]
fn missing(method: &str, names: &[&str]) -> Raised {
    let plural = if names.len() == 1 { "" } else { "s" };
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    type_error(&format!(
        "{method}() missing {} required positional argument{plural}: {}",
        names.len(),
        names.join(" and ")
    ))
}

#[cold]
fn unexpected_keyword(method: &str, given: &Obj) -> Raised {
    type_error(&format!(
        "{method}() got an unexpected keyword argument {}",
        quoted(given)
    ))
}

/// A string object in single quotes, for messages.
#[cold]
fn quoted(name: &Obj) -> String {
    let mut size = 0;
    // SAFETY: keyword names are live strings; the buffer belongs to the string.
    let bytes = unsafe { ffi::PyUnicode_AsUTF8AndSize(name.as_ptr(), &mut size) };
    if bytes.is_null() {
        // SAFETY: clears the error that the call above set; the name is only part of a message.
        unsafe { ffi::PyErr_Clear() };
        return "'?'".to_owned();
    }
    // SAFETY: the interpreter returned `size` bytes of UTF-8.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size as usize) };
    format!("'{}'", String::from_utf8_lossy(bytes))
}
