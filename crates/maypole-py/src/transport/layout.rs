//! A native type under a Python class of asyncio: its fields lie behind those of that class.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;

use pyo3::ffi;

use crate::capi::class::{Class, Visitor, enter};
use crate::capi::class_cache::ClassCache;
use crate::capi::member::Slot;
use crate::capi::{Obj, Owned, Result};

/// The native fields of a transport.
pub(super) trait Fields: Sized + 'static {
    /// What [`Layout::build`] made; set before any instance exists.
    fn layout() -> &'static Layout<Self>;

    /// The fields of a transport that has no connection yet.
    fn empty() -> Self;

    /// Lets go of every Python object.
    fn clear(&self);

    /// Shows every Python object to the collector.
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int>;

    /// The fields of a transport.
    ///
    /// # Safety
    /// `transport` is an instance of the type.
    #[inline(always)]
    unsafe fn of(transport: &Obj) -> &Self {
        // SAFETY: the caller's word; `new` wrote the fields there.
        unsafe { &*transport.as_ptr().byte_add(Self::layout().offset).cast::<Self>() }
    }

    /// The fields of a Python object, if it is such a transport.
    #[inline(always)]
    fn downcast(object: &Obj) -> Option<&Self> {
        let layout = Self::layout();
        if !layout.cache.is_instance(object, &layout.class) {
            return None;
        }
        // SAFETY: the type was just checked.
        Some(unsafe { Self::of(object) })
    }
}

/// The type of a kind of transport.
pub(super) struct Layout<F> {
    pub(super) class: Owned,
    cache: ClassCache,
    /// Where the fields lie in an instance.
    offset: usize,
    /// The field of `asyncio.BaseTransport`.
    extra: Slot,
    fields: PhantomData<fn() -> F>,
}

impl<F: Fields> Layout<F> {
    /// Makes the type, with what `add` gives it.
    ///
    /// # Errors
    /// Whatever the interpreter raises for an impossible layout.
    pub(super) fn build(
        name: &'static CStr,
        doc: &'static CStr,
        base: &Obj,
        add: impl FnOnce(Class) -> Class,
    ) -> Result<Layout<F>> {
        // SAFETY: a live type object.
        let base_size = unsafe { (*base.as_ptr().cast::<ffi::PyTypeObject>()).tp_basicsize as usize };
        let offset = base_size.next_multiple_of(align_of::<F>());
        let class = Class::new(name, offset + size_of::<F>(), doc)
            .slot(ffi::Py_tp_new, new::<F> as *mut c_void)
            .slot(ffi::Py_tp_dealloc, dealloc::<F> as *mut c_void)
            .slot(ffi::Py_tp_traverse, traverse::<F> as *mut c_void)
            .slot(ffi::Py_tp_clear, clear::<F> as *mut c_void);
        Ok(Layout {
            class: add(class).build(Some(base))?,
            cache: ClassCache::new(),
            offset,
            extra: Slot::of(base, "_extra")?,
            fields: PhantomData,
        })
    }
}

unsafe extern "C" fn new<F: Fields>(
    class: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: our type or a subclass; the memory is zeroed and of at least our size.
        let this = unsafe { Owned::steal(ffi::PyType_GenericAlloc(class, 0))? };
        // SAFETY: the place lies in the new object. The collector cannot have run since it was made.
        unsafe { std::ptr::write(this.as_ptr().byte_add(F::layout().offset).cast(), F::empty()) };
        Ok(this.into_ptr())
    })
}

unsafe extern "C" fn dealloc<F: Fields>(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    enter((), || {
        // SAFETY: the memory is still there, and only this function sees it.
        let object = unsafe { Obj::from_ptr(this) };
        // SAFETY: as above.
        let extra = unsafe { F::layout().extra.replace(object, None) };
        drop(extra);
        // SAFETY: the fields were written by `new`, and nobody reads them after this.
        unsafe {
            F::of(object).clear();
            std::ptr::drop_in_place(this.byte_add(F::layout().offset).cast::<F>());
        }
        Ok(())
    });
    // SAFETY: memory of a collected object, untracked above.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn traverse<F: Fields>(
    this: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        let object = unsafe { Obj::from_ptr(this) };
        // SAFETY: heap types are visited by their instances.
        let class = unsafe { Obj::from_ptr(object.type_ptr().cast()) };
        // SAFETY: as above.
        let (extra, fields) = unsafe { (F::layout().extra.peek(object), F::of(object)) };
        let outcome = visitor
            .visit(class)
            .and_then(|()| visitor.visit_opt(extra))
            .and_then(|()| fields.visit(visitor));
        Ok(outcome.err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear<F: Fields>(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        let object = unsafe { Obj::from_ptr(this) };
        // SAFETY: as above.
        let extra = unsafe { F::layout().extra.replace(object, None) };
        // SAFETY: as above.
        unsafe { F::of(object) }.clear();
        drop(extra);
        Ok(0)
    })
}

/// A fast-call entry for `fn(&Obj, &Fields, Args) -> Result<Owned>`.
macro_rules! transport_method {
    ($fields:ty, $body:path) => {{
        unsafe extern "C" fn entry(
            this: *mut pyo3::ffi::PyObject,
            values: *const *mut pyo3::ffi::PyObject,
            count: pyo3::ffi::Py_ssize_t,
            names: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::capi::class::enter(std::ptr::null_mut(), || {
                // SAFETY: the method descriptor checked the type of `this`.
                let this = unsafe { $crate::capi::Obj::from_ptr(this) };
                // SAFETY: as above.
                let fields = unsafe { <$fields as $crate::transport::layout::Fields>::of(this) };
                // SAFETY: these are the interpreter's own arguments.
                let args = unsafe { $crate::capi::Args::new(values, count, names) };
                $body(this, fields, args).map($crate::capi::Owned::into_ptr)
            })
        }
        entry as pyo3::ffi::PyCFunctionFastWithKeywords
    }};
}

/// A getter for `fn(&Fields) -> Result<Owned>`.
macro_rules! transport_field {
    ($fields:ty, $body:expr) => {{
        unsafe extern "C" fn entry(
            this: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::capi::class::enter(std::ptr::null_mut(), || {
                // SAFETY: the attribute descriptor checked the type of `this`.
                let this = unsafe { $crate::capi::Obj::from_ptr(this) };
                // SAFETY: as above.
                let fields = unsafe { <$fields as $crate::transport::layout::Fields>::of(this) };
                let read: fn(&$fields) -> $crate::capi::Result<$crate::capi::Owned> = $body;
                read(fields).map($crate::capi::Owned::into_ptr)
            })
        }
        entry as pyo3::ffi::getter
    }};
}

pub(super) use {transport_field, transport_method};
