//! Life and death of the objects of this folder that users make: the same for each type.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use super::stdlib::string_of;
use crate::capi::class::{Class, Native, Visitor, enter};
use crate::capi::error::type_error;
use crate::capi::{Obj, Owned, Raised, Result, call, nesting};

/// An object that holds Python references. Zeroed memory is a valid one.
pub(super) trait Held: Native {
    /// Visits every reference but the type.
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int>;

    /// Empties every field; it may be filled again.
    fn clear(&self);

    /// The list of weak references, if the type itself has a place for it.
    fn weak_references(&self) -> Option<&Cell<*mut ffi::PyObject>> {
        None
    }

    /// What `__init__` does, unless the type has a slot of its own for it.
    fn initialise(&self, _: Arguments) -> Result<()> {
        Ok(())
    }
}

/// The arguments of a constructor.
#[derive(Clone, Copy)]
pub(super) struct Arguments {
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
}

impl Arguments {
    /// The arguments that the interpreter gave to a constructor.
    pub(super) fn new(args: *mut ffi::PyObject, kwargs: *mut ffi::PyObject) -> Arguments {
        Arguments { args, kwargs }
    }

    /// Reads one optional argument called `name`, or none at all if that is empty, as the Python signature of `class` would.
    ///
    /// # Errors
    /// `TypeError` for anything else.
    pub(super) fn optional(&self, class: &str, name: &str) -> Result<Option<&Obj>> {
        // SAFETY: the interpreter's own tuple, and its dictionary or null.
        let (args, kwargs) = unsafe { (Obj::from_ptr(self.args), Obj::from_ptr_opt(self.kwargs)) };
        // SAFETY: a tuple.
        let count = unsafe { ffi::PyTuple_GET_SIZE(args.as_ptr()) } as usize;
        let most = usize::from(!name.is_empty());
        if count > most {
            return Err(too_many(class, most, count));
        }
        let positional = (count > 0).then(|| {
            // SAFETY: the first item of a tuple that has one.
            unsafe { Obj::from_ptr(ffi::PyTuple_GET_ITEM(args.as_ptr(), 0)) }
        });
        match kwargs {
            Some(kwargs) => keyword(class, name, kwargs, positional),
            None => Ok(positional),
        }
    }
}

/// The value of the only keyword that a constructor takes.
fn keyword<'a>(
    class: &str,
    name: &str,
    kwargs: &'a Obj,
    positional: Option<&'a Obj>,
) -> Result<Option<&'a Obj>> {
    let mut found = positional;
    let mut place: ffi::Py_ssize_t = 0;
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: a live dictionary that nobody changes meanwhile; the places receive borrowed references.
    while unsafe { ffi::PyDict_Next(kwargs.as_ptr(), &mut place, &mut key, &mut value) } != 0 {
        // SAFETY: what the iteration gave.
        let (key, value) = unsafe { (Obj::from_ptr(key), Obj::from_ptr(value)) };
        let key = string_of(key)?;
        if name.is_empty() || key != name {
            return Err(type_error(&format!(
                "{class}.__init__() got an unexpected keyword argument '{key}'"
            )));
        }
        if found.replace(value).is_some() {
            return Err(type_error(&format!(
                "{class}.__init__() got multiple values for argument '{key}'"
            )));
        }
    }
    Ok(found)
}

#[cold]
fn too_many(class: &str, most: usize, count: usize) -> Raised {
    let takes = if most == 0 {
        "1 positional argument"
    } else {
        "from 1 to 2 positional arguments"
    };
    type_error(&format!(
        "{class}.__init__() takes {takes} but {} were given",
        count + 1
    ))
}

/// A class whose instances begin with `T`: the native half of classes in Python.
pub(super) fn base<T: Held>(name: &'static CStr, doc: &'static CStr) -> Class {
    Class::new(name, size_of::<T>(), doc)
        .slot(ffi::Py_tp_dealloc, dealloc::<T> as *mut c_void)
        .slot(ffi::Py_tp_traverse, traverse::<T> as *mut c_void)
        .slot(ffi::Py_tp_clear, clear::<T> as *mut c_void)
}

/// A class whose instances are `T`, with a dictionary and weak references at these offsets.
pub(super) fn class<T: Held>(name: &'static CStr, doc: &'static CStr, dict: usize, weak: usize) -> Class {
    base::<T>(name, doc)
        .offset(c"__dictoffset__", dict)
        .offset(c"__weaklistoffset__", weak)
        .slot(ffi::Py_tp_init, initialise::<T> as *mut c_void)
        .attribute(c"__dict__", get_dict, Some(ffi::PyObject_GenericSetDict))
}

/// Makes the type. Messages of the interpreter call it by its name alone, as they do with asyncio's classes.
pub(super) fn build(class: Class, base: Option<&Obj>) -> Result<Owned> {
    let class = class.build(base)?;
    let name = &*call::interned("__name__")?;
    class.set_attr(name, &*class.get_attr(name)?)?;
    Ok(class)
}

unsafe extern "C" fn get_dict(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: the attribute descriptor checked the type, which has a dictionary.
    unsafe { ffi::PyObject_GenericGetDict(this, std::ptr::null_mut()) }
}

unsafe extern "C" fn initialise<T: Held>(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    enter(-1, || {
        // SAFETY: the interpreter passes an instance of our type.
        unsafe { T::of(this) }.initialise(Arguments { args, kwargs })?;
        Ok(0)
    })
}

unsafe extern "C" fn dealloc<T: Held>(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    unsafe { nesting::free(this, free::<T>) };
}

unsafe fn free<T: Held>(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let (class, object) = unsafe { (ffi::Py_TYPE(this), T::of(this)) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    enter((), || {
        if object.weak_references().is_some_and(|list| !list.get().is_null()) {
            // SAFETY: as above.
            unsafe { ffi::PyObject_ClearWeakRefs(this) };
        }
        object.clear();
        Ok(())
    });
    // SAFETY: memory of a collected object, untracked above.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn traverse<T: Held>(
    this: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        let this = unsafe { T::of(this) };
        // SAFETY: heap types are visited by their instances.
        let class = unsafe { Obj::from_ptr(this.as_obj().type_ptr().cast()) };
        let outcome = visitor.visit(class).and_then(|()| this.visit(visitor));
        Ok(outcome.err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear<T: Held>(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        unsafe { T::of(this) }.clear();
        Ok(0)
    })
}
