//! Calls, attributes and small conversions.

use pyo3::ffi;

use super::error::{Result, check, memory_error};
use super::last_calls;
use super::object::{Obj, Owned};

impl Obj {
    /// Calls the object with positional arguments.
    #[inline]
    pub(crate) fn call(&self, args: &[&Obj]) -> Result<Owned> {
        let first = args.as_ptr().cast::<*mut ffi::PyObject>();
        // SAFETY: `&Obj` has the layout of a non-null object pointer, and the slice outlives the call.
        unsafe {
            Owned::steal(last_calls::PyObject_Vectorcall(
                self.as_ptr(),
                first,
                args.len(),
                std::ptr::null_mut(),
            ))
        }
    }

    /// Calls the object with the items of a tuple as arguments, without building another one.
    #[inline]
    pub(crate) fn call_with_tuple(&self, args: &Obj) -> Result<Owned> {
        let tuple = args.as_ptr();
        debug_assert!(args.type_ptr() == &raw mut ffi::PyTuple_Type);
        // SAFETY: `args` is a tuple (asserted by who stores it), whose items stay alive during the call: the caller holds it.
        let items =
            unsafe { (&raw mut (*tuple.cast::<ffi::PyTupleObject>()).ob_item).cast::<*mut ffi::PyObject>() };
        // SAFETY: a tuple has a size.
        let count = unsafe { ffi::PyTuple_GET_SIZE(tuple) } as usize;
        // SAFETY: `items` points at `count` live references.
        unsafe {
            Owned::steal(last_calls::PyObject_Vectorcall(
                self.as_ptr(),
                items,
                count,
                std::ptr::null_mut(),
            ))
        }
    }

    /// Calls a method by its interned name.
    #[inline]
    pub(crate) fn call_method(&self, name: &Obj, args: &[&Obj]) -> Result<Owned> {
        debug_assert!(args.len() < 8);
        let mut stack: [*mut ffi::PyObject; 8] = [std::ptr::null_mut(); 8];
        stack[0] = self.as_ptr();
        for (place, arg) in stack[1..].iter_mut().zip(args) {
            *place = arg.as_ptr();
        }
        // SAFETY: the first `1 + args.len()` places hold live objects.
        unsafe {
            Owned::steal(last_calls::PyObject_VectorcallMethod(
                name.as_ptr(),
                stack.as_ptr(),
                1 + args.len(),
                std::ptr::null_mut(),
            ))
        }
    }

    /// As [`Obj::call_method`], with one keyword argument behind the others.
    pub(crate) fn call_method_with(&self, name: &Obj, args: &[&Obj], keyword: (&Obj, &Obj)) -> Result<Owned> {
        let names = tuple(&[keyword.0])?;
        let mut stack = vec![self];
        stack.extend_from_slice(args);
        stack.push(keyword.1);
        // SAFETY: `&Obj` has the layout of a non-null object pointer; one value is that of the one name.
        unsafe {
            Owned::steal(last_calls::PyObject_VectorcallMethod(
                name.as_ptr(),
                stack.as_ptr().cast(),
                1 + args.len(),
                names.as_ptr(),
            ))
        }
    }

    #[inline]
    pub(crate) fn get_attr(&self, name: &Obj) -> Result<Owned> {
        // SAFETY: both objects are live.
        unsafe { Owned::steal(last_calls::PyObject_GetAttr(self.as_ptr(), name.as_ptr())) }
    }

    #[inline]
    pub(crate) fn set_attr(&self, name: &Obj, value: &Obj) -> Result<()> {
        // SAFETY: all three objects are live.
        check(unsafe { last_calls::PyObject_SetAttr(self.as_ptr(), name.as_ptr(), value.as_ptr()) })
    }

    /// The truth value, as `bool(x)`.
    pub(crate) fn truthy(&self) -> Result<bool> {
        // SAFETY: the object is live.
        let answer = unsafe { last_calls::PyObject_IsTrue(self.as_ptr()) };
        check(answer)?;
        Ok(answer == 1)
    }

    /// The value as a C `double`, as `float(x)` does for numbers.
    #[inline]
    pub(crate) fn as_f64(&self) -> Result<f64> {
        // SAFETY: the object is live.
        let value = unsafe { ffi::PyFloat_AsDouble(self.as_ptr()) };
        // SAFETY: reading the error indicator needs only the lock.
        if value == -1.0 && !unsafe { ffi::PyErr_Occurred() }.is_null() {
            return Err(super::Raised);
        }
        Ok(value)
    }

    /// The value as a C `long long`.
    pub(crate) fn as_i64(&self) -> Result<i64> {
        // SAFETY: the object is live.
        let value = unsafe { ffi::PyLong_AsLongLong(self.as_ptr()) };
        // SAFETY: reading the error indicator needs only the lock.
        if value == -1 && !unsafe { ffi::PyErr_Occurred() }.is_null() {
            return Err(super::Raised);
        }
        Ok(value)
    }

    /// The value as a C `long long`; an integer beyond its range is the end of the range.
    pub(crate) fn as_clamped_i64(&self) -> Result<i64> {
        let mut overflow = 0;
        // SAFETY: the object is live; what is too large is told by `overflow`, without an exception.
        let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(self.as_ptr(), &raw mut overflow) };
        match overflow {
            0 => {}
            1.. => return Ok(i64::MAX),
            _ => return Ok(i64::MIN),
        }
        // SAFETY: reading the error indicator needs only the lock.
        if value == -1 && !unsafe { ffi::PyErr_Occurred() }.is_null() {
            return Err(super::Raised);
        }
        Ok(value)
    }

    #[inline(always)]
    pub(crate) fn is_exact_float(&self) -> bool {
        // SAFETY: the type object is a static of the interpreter.
        self.type_ptr() == &raw mut ffi::PyFloat_Type
    }
}

#[inline]
pub(crate) fn float(value: f64) -> Result<Owned> {
    // SAFETY: the lock is held.
    unsafe { Owned::steal(ffi::PyFloat_FromDouble(value)) }
}

pub(crate) fn integer(value: i64) -> Result<Owned> {
    // SAFETY: the lock is held.
    unsafe { Owned::steal(ffi::PyLong_FromLongLong(value)) }
}

pub(crate) fn unsigned(value: u64) -> Result<Owned> {
    // SAFETY: the lock is held.
    unsafe { Owned::steal(ffi::PyLong_FromUnsignedLongLong(value)) }
}

pub(crate) fn text(value: &str) -> Result<Owned> {
    let size = value.len() as ffi::Py_ssize_t;
    // SAFETY: pointer and length describe valid UTF-8.
    unsafe { Owned::steal(ffi::PyUnicode_FromStringAndSize(value.as_ptr().cast(), size)) }
}

/// The text of a string object; lone surrogates become replacement characters.
///
/// # Errors
/// `TypeError` for what is no string.
pub(crate) fn text_of(value: &Obj) -> Result<String> {
    let mut size = 0;
    // SAFETY: a live object; the function checks that it is a string, which keeps the bytes.
    let bytes = unsafe { ffi::PyUnicode_AsUTF8AndSize(value.as_ptr(), &raw mut size) };
    if !bytes.is_null() {
        // SAFETY: the interpreter returned `size` bytes of UTF-8.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size as usize) };
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    }
    // SAFETY: the exception types exist while the interpreter does.
    if !super::error::current_is(unsafe { ffi::PyExc_UnicodeEncodeError }) {
        return Err(super::Raised);
    }
    drop(super::error::take());
    // SAFETY: a live string and two C strings.
    let encoded = unsafe {
        Owned::steal(ffi::PyUnicode_AsEncodedString(
            value.as_ptr(),
            c"utf-8".as_ptr(),
            c"replace".as_ptr(),
        ))?
    };
    let mut start = std::ptr::null_mut();
    // SAFETY: a live bytes object; both places are written before they are read.
    check(unsafe { ffi::PyBytes_AsStringAndSize(encoded.as_ptr(), &raw mut start, &raw mut size) })?;
    // SAFETY: as above.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), size as usize) };
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// A bytes object with a copy of `data`.
#[inline]
pub(crate) fn bytes(data: &[u8]) -> Result<Owned> {
    let size = data.len() as ffi::Py_ssize_t;
    // SAFETY: pointer and length describe the slice.
    unsafe { Owned::steal(ffi::PyBytes_FromStringAndSize(data.as_ptr().cast(), size)) }
}

/// A string that the interpreter keeps, for names that are compared often.
pub(crate) fn interned(value: &str) -> Result<Owned> {
    let mut text = text(value)?.into_ptr();
    // SAFETY: the place holds a string whose reference is ours; the function may put another string with one in its stead.
    unsafe { ffi::PyUnicode_InternInPlace(&raw mut text) };
    // SAFETY: as above.
    unsafe { Owned::steal(text) }
}

/// A tuple of new references to `items`.
#[inline]
pub(crate) fn tuple(items: &[&Obj]) -> Result<Owned> {
    // SAFETY: the lock is held; the size is that of a slice.
    let tuple = unsafe { Owned::steal(ffi::PyTuple_New(items.len() as ffi::Py_ssize_t))? };
    for (place, item) in items.iter().enumerate() {
        // SAFETY: the tuple is new and ours, `place` is within its size, and the reference given away is new.
        unsafe { ffi::PyTuple_SET_ITEM(tuple.as_ptr(), place as ffi::Py_ssize_t, item.own().into_ptr()) };
    }
    Ok(tuple)
}

/// What an iterator gives, however much that is.
///
/// # Errors
/// `MemoryError`, or the first error of the iterator.
pub(crate) fn collect<T>(items: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for item in items {
        all.try_reserve(1).map_err(|_| memory_error())?;
        all.push(item?);
    }
    Ok(all)
}

/// A list that takes over `items`.
pub(crate) fn list(items: Vec<Owned>) -> Result<Owned> {
    // SAFETY: the lock is held; the size is that of a vector.
    let list = unsafe { Owned::steal(ffi::PyList_New(items.len() as ffi::Py_ssize_t))? };
    for (place, item) in items.into_iter().enumerate() {
        // SAFETY: the list is new and ours, `place` is within its size, and the reference is given away.
        unsafe { ffi::PyList_SET_ITEM(list.as_ptr(), place as ffi::Py_ssize_t, item.into_ptr()) };
    }
    Ok(list)
}

/// A dictionary with these entries.
pub(crate) fn dict(entries: &[(&str, Owned)]) -> Result<Owned> {
    // SAFETY: the lock is held.
    let dict = unsafe { Owned::steal(ffi::PyDict_New())? };
    for (key, value) in entries {
        let key = text(key)?;
        // SAFETY: three live objects.
        check(unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) })?;
    }
    Ok(dict)
}

/// Imports a module by its dotted name.
pub(crate) fn import(name: &str) -> Result<Owned> {
    let name = text(name)?;
    // SAFETY: the name is a live string.
    unsafe { Owned::steal(ffi::PyImport_Import(name.as_ptr())) }
}

/// `module.attribute`, imported.
pub(crate) fn import_from(module: &str, attribute: &str) -> Result<Owned> {
    import(module)?.get_attr(&*text(attribute)?)
}
