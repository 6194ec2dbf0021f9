//! Heap types and the trampolines through which Python enters Rust.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::ffi;

use super::error::{Result, check, runtime_error};
use super::object::{Obj, Owned};

/// A Rust structure that is the memory of a Python object.
///
/// # Safety
/// The type is `repr(C)` and begins with a `PyObject`; every instance that Python can reach is fully initialised.
pub(crate) unsafe trait Native: Sized {
    /// Views a Python object as this structure.
    ///
    /// # Safety
    /// `object` is an instance of the Python type that this structure is the memory of.
    #[inline(always)]
    unsafe fn of<'a>(object: *mut ffi::PyObject) -> &'a Self {
        // SAFETY: by the caller's word, and by the trait's contract on the layout.
        unsafe { &*object.cast::<Self>() }
    }

    /// The same object as Python sees it.
    #[inline(always)]
    fn as_obj(&self) -> &Obj {
        // SAFETY: the structure begins with a `PyObject`, and `&self` keeps it alive.
        unsafe { Obj::from_ptr(std::ptr::from_ref(self).cast_mut().cast()) }
    }
}

/// Runs `body` on behalf of C: an error leaves the Python exception set, a panic becomes one, and nothing unwinds further.
#[inline(always)]
pub(crate) fn enter<R>(failed: R, body: impl FnOnce() -> Result<R>) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(_)) => failed,
        Err(panic) => {
            raise_panic(&*panic);
            failed
        }
    }
}

#[cold]
fn raise_panic(panic: &(dyn std::any::Any + Send)) {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned());
    runtime_error(&format!("maypole: internal error, please report it: {text}"));
}

/// A `METH_FASTCALL | METH_KEYWORDS` entry for `fn(&T, Args) -> Result<Owned>`.
macro_rules! fast {
    ($native:ty, $body:path) => {{
        unsafe extern "C" fn entry(
            this: *mut pyo3::ffi::PyObject,
            values: *const *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
            names: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::capi::class::enter(std::ptr::null_mut(), || {
                // SAFETY: the method descriptor checked the type of `this`.
                let this = unsafe { <$native as $crate::capi::class::Native>::of(this) };
                // SAFETY: these are the interpreter's own arguments.
                let args = unsafe { $crate::capi::Args::new(values, count, names) };
                $body(this, args).map($crate::capi::Owned::into_ptr)
            })
        }
        entry as pyo3::ffi::PyCFunctionFastWithKeywords
    }};
}

/// As [`fast!`], for a function of a module: `fn(Args) -> Result<Owned>`.
macro_rules! module_function {
    ($body:path) => {{
        unsafe extern "C" fn entry(
            _: *mut pyo3::ffi::PyObject,
            values: *const *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
            names: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::capi::class::enter(std::ptr::null_mut(), || {
                // SAFETY: these are the interpreter's own arguments.
                let args = unsafe { $crate::capi::Args::new(values, count, names) };
                $body(args).map($crate::capi::Owned::into_ptr)
            })
        }
        entry as pyo3::ffi::PyCFunctionFastWithKeywords
    }};
}

/// A `METH_NOARGS` entry for `fn(&T) -> Result<Owned>`.
macro_rules! noargs {
    ($native:ty, $body:path) => {{
        unsafe extern "C" fn entry(
            this: *mut pyo3::ffi::PyObject,
            _: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::capi::class::enter(std::ptr::null_mut(), || {
                // SAFETY: the method descriptor checked the type of `this`.
                let this = unsafe { <$native as $crate::capi::class::Native>::of(this) };
                $body(this).map($crate::capi::Owned::into_ptr)
            })
        }
        entry as pyo3::ffi::PyCFunction
    }};
}

/// An attribute's getter for `fn(&T) -> Result<Owned>`.
macro_rules! getter {
    ($native:ty, $body:path) => {{
        unsafe extern "C" fn entry(
            this: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::capi::class::enter(std::ptr::null_mut(), || {
                // SAFETY: the attribute descriptor checked the type of `this`.
                let this = unsafe { <$native as $crate::capi::class::Native>::of(this) };
                $body(this).map($crate::capi::Owned::into_ptr)
            })
        }
        entry as pyo3::ffi::getter
    }};
}

/// An attribute's setter for `fn(&T, Option<&Obj>) -> Result<()>`; `None` means deletion.
macro_rules! setter {
    ($native:ty, $body:path) => {{
        unsafe extern "C" fn entry(
            this: *mut pyo3::ffi::PyObject,
            value: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            $crate::capi::class::enter(-1, || {
                // SAFETY: the attribute descriptor checked the type of `this`.
                let this = unsafe { <$native as $crate::capi::class::Native>::of(this) };
                // SAFETY: null or a live object, for the length of the call.
                let value = unsafe { $crate::capi::Obj::from_ptr_opt(value) };
                $body(this, value).map(|()| 0)
            })
        }
        entry as pyo3::ffi::setter
    }};
}

pub(crate) use {fast, getter, module_function, noargs, setter};

/// Collects the parts of a heap type; [`Class::build`] makes it.
pub(crate) struct Class {
    name: &'static CStr,
    size: usize,
    flags: std::ffi::c_ulong,
    slots: Vec<ffi::PyType_Slot>,
    methods: Vec<ffi::PyMethodDef>,
    attributes: Vec<ffi::PyGetSetDef>,
    members: Vec<ffi::PyMemberDef>,
}

impl Class {
    /// A class whose instances take `size` bytes; `name` is dotted and ends up in `__module__` and `__name__`.
    pub(crate) fn new(name: &'static CStr, size: usize, doc: &'static CStr) -> Class {
        let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE | ffi::Py_TPFLAGS_HAVE_GC;
        let slots = vec![slot(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast())];
        let (methods, attributes, members) = (Vec::new(), Vec::new(), Vec::new());
        Class {
            name,
            size,
            flags,
            slots,
            methods,
            attributes,
            members,
        }
    }

    /// Leaves garbage collection to the base class, whose traversal covers all of the instance's references.
    pub(crate) fn collected_by_base(mut self) -> Class {
        self.flags &= !ffi::Py_TPFLAGS_HAVE_GC;
        self
    }

    /// Lets nobody derive from the class, so that an instance is exactly of it.
    pub(crate) fn without_subclasses(mut self) -> Class {
        self.flags &= !ffi::Py_TPFLAGS_BASETYPE;
        self
    }

    pub(crate) fn slot(mut self, id: c_int, function: *mut c_void) -> Class {
        self.slots.push(slot(id, function));
        self
    }

    pub(crate) fn fast(
        mut self,
        name: &'static CStr,
        entry: ffi::PyCFunctionFastWithKeywords,
        doc: &'static CStr,
    ) -> Class {
        self.methods.push(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunctionFastWithKeywords: entry,
            },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: doc.as_ptr(),
        });
        self
    }

    pub(crate) fn noargs(
        mut self,
        name: &'static CStr,
        entry: ffi::PyCFunction,
        doc: &'static CStr,
    ) -> Class {
        self.methods.push(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunction: entry },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: doc.as_ptr(),
        });
        self
    }

    /// A method called on the class itself (`METH_O | METH_CLASS`), for `__class_getitem__`.
    pub(crate) fn class_method(
        mut self,
        name: &'static CStr,
        entry: ffi::PyCFunction,
        doc: &'static CStr,
    ) -> Class {
        self.methods.push(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunction: entry },
            ml_flags: ffi::METH_O | ffi::METH_CLASS,
            ml_doc: doc.as_ptr(),
        });
        self
    }

    pub(crate) fn attribute(
        mut self,
        name: &'static CStr,
        get: ffi::getter,
        set: Option<ffi::setter>,
    ) -> Class {
        self.attributes.push(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(get),
            set,
            doc: std::ptr::null(),
            closure: std::ptr::null_mut(),
        });
        self
    }

    /// Declares where the instance dictionary or the list of weak references lies (`__dictoffset__`, `__weaklistoffset__`).
    pub(crate) fn offset(mut self, name: &'static CStr, offset: usize) -> Class {
        self.members.push(ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: std::ptr::null(),
        });
        self
    }

    /// Gives each method the signature that the method of the same name has in `model`, for `inspect.signature` and `help`.
    ///
    /// The signatures of asyncio's methods change between the versions of Python; ours are then always those of this one.
    ///
    /// # Errors
    /// What looking up an attribute raises.
    pub(crate) fn with_signatures_of(mut self, model: &Obj) -> Result<Class> {
        for method in &mut self.methods {
            // SAFETY: names and texts of method tables are C strings of static lifetime.
            let (name, doc) = unsafe { (CStr::from_ptr(method.ml_name), CStr::from_ptr(method.ml_doc)) };
            if let Some(signature) = super::signature::of(model, name)? {
                method.ml_doc = super::signature::doc(name, &signature, doc)?.as_ptr();
            }
        }
        Ok(self)
    }

    /// Makes the type object, with `base` as its only base if given.
    ///
    /// # Errors
    /// Whatever the interpreter raises for an impossible layout.
    pub(crate) fn build(mut self, base: Option<&Obj>) -> Result<Owned> {
        if !self.methods.is_empty() {
            self.methods.push(ffi::PyMethodDef::zeroed());
            self.slots.push(slot(ffi::Py_tp_methods, forever(self.methods)));
        }
        if !self.attributes.is_empty() {
            self.attributes.push(ffi::PyGetSetDef::default());
            self.slots.push(slot(ffi::Py_tp_getset, forever(self.attributes)));
        }
        if !self.members.is_empty() {
            self.members.push(ffi::PyMemberDef::default());
            self.slots.push(slot(ffi::Py_tp_members, forever(self.members)));
        }
        self.slots.push(slot(0, std::ptr::null_mut()));
        let mut spec = ffi::PyType_Spec {
            name: self.name.as_ptr(),
            basicsize: self.size as c_int,
            itemsize: 0,
            flags: self.flags as c_uint,
            slots: self.slots.as_mut_ptr(),
        };
        let base = base.map_or(std::ptr::null_mut(), Obj::as_ptr);
        // SAFETY: the spec and its zero-terminated slots live through the call; the tables that the type keeps live forever.
        unsafe { Owned::steal(ffi::PyType_FromSpecWithBases(&mut spec, base)) }
    }
}

fn slot(id: c_int, function: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot {
        slot: id,
        pfunc: function,
    }
}

/// Adds a function to a module.
///
/// # Errors
/// Only when memory is short.
pub(crate) fn add_function(
    module: &Obj,
    name: &'static CStr,
    entry: ffi::PyCFunctionFastWithKeywords,
    doc: &'static CStr,
) -> Result<()> {
    let definition = ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: entry,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    };
    let table = forever(vec![definition, ffi::PyMethodDef::zeroed()]);
    // SAFETY: a live module, and a table that ends with an empty definition and lives forever.
    check(unsafe { ffi::PyModule_AddFunctions(module.as_ptr(), table.cast()) })
}

/// Type objects keep pointers to their tables for the life of the process.
fn forever<T>(table: Vec<T>) -> *mut c_void {
    Vec::leak(table).as_mut_ptr().cast()
}

/// The visitor that the garbage collector passes to `tp_traverse`.
#[derive(Clone, Copy)]
pub(crate) struct Visitor {
    visit: ffi::visitproc,
    arg: *mut c_void,
}

impl Visitor {
    pub(crate) fn new(visit: ffi::visitproc, arg: *mut c_void) -> Visitor {
        Visitor { visit, arg }
    }

    /// Visits one reference; a non-zero answer ends the traversal.
    #[inline]
    pub(crate) fn visit(&self, object: &Obj) -> std::result::Result<(), c_int> {
        // SAFETY: the collector's own function and argument, and a live object.
        match unsafe { (self.visit)(object.as_ptr(), self.arg) } {
            0 => Ok(()),
            stop => Err(stop),
        }
    }

    pub(crate) fn visit_opt(&self, object: Option<&Obj>) -> std::result::Result<(), c_int> {
        object.map_or(Ok(()), |object| self.visit(object))
    }
}
