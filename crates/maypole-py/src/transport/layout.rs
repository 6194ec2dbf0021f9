//! A native type under a Python class of asyncio: its fields lie behind those of that class.
//!
//! Instances have a dictionary, made at the first foreign attribute, and can be referred to weakly. So a subclass in Python with
//! empty `__slots__` takes no memory of its own.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::mem::offset_of;

use pyo3::ffi;

use crate::capi::class::{Class, Visitor, enter};
use crate::capi::class_cache::ClassCache;
use crate::capi::error::type_error;
use crate::capi::member::Slot;
use crate::capi::{Field, Obj, Owned, Result};

/// The native fields of a transport.
pub(super) trait Fields: Sized + 'static {
    /// What [`Layout::build`] made; set before any instance exists.
    fn layout() -> &'static Layout<Self>;

    /// The fields of a transport that has no connection yet.
    fn empty() -> Self;

    /// Lets go of every Python object.
    fn clear(&self, transport: &Obj);

    /// Shows every Python object to the collector.
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int>;

    /// What happens to a transport that nobody refers to any more; no exception is left set.
    fn finalize(&self, _transport: &Obj) {}

    /// The fields of a transport.
    ///
    /// # Safety
    /// `transport` is an instance of the type.
    #[inline(always)]
    unsafe fn of(transport: &Obj) -> &Self {
        // SAFETY: the caller's word; `new` wrote the fields there.
        &unsafe { instance::<Self>(transport) }.fields
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

/// What an instance has behind the fields of asyncio's class.
struct Instance<F> {
    fields: F,
    dict: Field,
    weak_references: Cell<*mut ffi::PyObject>,
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
        let offset = base_size.next_multiple_of(align_of::<Instance<F>>());
        let class = Class::new(name, offset + size_of::<Instance<F>>(), doc)
            .offset(c"__dictoffset__", offset + offset_of!(Instance<F>, dict))
            .offset(
                c"__weaklistoffset__",
                offset + offset_of!(Instance<F>, weak_references),
            )
            .attribute(c"__dict__", get_dict, Some(ffi::PyObject_GenericSetDict))
            .slot(ffi::Py_tp_new, new::<F> as *mut c_void)
            .slot(ffi::Py_tp_dealloc, dealloc::<F> as *mut c_void)
            .slot(ffi::Py_tp_traverse, traverse::<F> as *mut c_void)
            .slot(ffi::Py_tp_clear, clear::<F> as *mut c_void)
            .slot(ffi::Py_tp_finalize, finalize::<F> as *mut c_void);
        Ok(Layout {
            class: add(class).build(Some(base))?,
            cache: ClassCache::new(),
            offset,
            extra: Slot::of(base, "_extra")?,
            fields: PhantomData,
        })
    }
}

impl<F: Fields> Layout<F> {
    /// Makes an instance of the type or of a subclass, without calling its `__init__`.
    ///
    /// # Errors
    /// `TypeError` for any other class, or that memory is short.
    pub(super) fn allocate(&self, class: &Obj) -> Result<Owned> {
        // SAFETY: the type object is a static of the interpreter.
        let is_type = class.is_instance_of(&raw mut ffi::PyType_Type);
        let class = class.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: two live types, the first by the check before.
        if !is_type || unsafe { ffi::PyType_IsSubtype(class, self.class.as_ptr().cast()) } == 0 {
            return Err(type_error("expected a class of native transports"));
        }
        // SAFETY: our type or a subclass; the memory is zeroed and of at least our size.
        let this = unsafe { Owned::steal(ffi::PyType_GenericAlloc(class, 0))? };
        let empty = Instance {
            fields: F::empty(),
            dict: Field::empty(),
            weak_references: Cell::new(std::ptr::null_mut()),
        };
        // SAFETY: the place lies in the new object. The collector cannot have run since it was made.
        unsafe { std::ptr::write(this.as_ptr().byte_add(self.offset).cast(), empty) };
        Ok(this)
    }

    /// `_extra` of `asyncio.BaseTransport`.
    ///
    /// # Safety
    /// `transport` is an instance of the type.
    pub(super) unsafe fn extra(&self, transport: &Obj) -> Option<Owned> {
        // SAFETY: the caller's word.
        unsafe { self.extra.get(transport) }
    }

    /// Fills `_extra`, and hands back what was there.
    ///
    /// # Safety
    /// As [`Layout::extra`].
    #[must_use = "dropping the old value may run Python code: choose when"]
    pub(super) unsafe fn set_extra(&self, transport: &Obj, extra: Option<Owned>) -> Option<Owned> {
        // SAFETY: the caller's word.
        unsafe { self.extra.replace(transport, extra) }
    }
}

/// # Safety
/// `transport` is an instance of the type whose fields are `F`.
#[inline(always)]
unsafe fn instance<F: Fields>(transport: &Obj) -> &Instance<F> {
    // SAFETY: the caller's word; `allocate` wrote the instance there.
    unsafe {
        &*transport
            .as_ptr()
            .byte_add(F::layout().offset)
            .cast::<Instance<F>>()
    }
}

unsafe extern "C" fn new<F: Fields>(
    class: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes a live class.
        let class = unsafe { Obj::from_ptr(class.cast()) };
        F::layout().allocate(class).map(Owned::into_ptr)
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
        if !unsafe { instance::<F>(object) }.weak_references.get().is_null() {
            // SAFETY: as above.
            unsafe { ffi::PyObject_ClearWeakRefs(this) };
        }
        // SAFETY: as above.
        unsafe { forget_all::<F>(object) };
        // SAFETY: the instance was written by `allocate`, and nobody reads it after this.
        unsafe { std::ptr::drop_in_place(this.byte_add(F::layout().offset).cast::<Instance<F>>()) };
        Ok(())
    });
    // SAFETY: memory of a collected object, untracked above.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

/// # Safety
/// `transport` is an instance of the type whose fields are `F`.
unsafe fn forget_all<F: Fields>(transport: &Obj) {
    // SAFETY: the caller's word.
    let (extra, instance) = unsafe {
        (
            F::layout().extra.replace(transport, None),
            instance::<F>(transport),
        )
    };
    let dict = instance.dict.take();
    instance.fields.clear(transport);
    drop((extra, dict));
}

unsafe extern "C" fn get_dict(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: the attribute descriptor checked the type, which has a dictionary.
    unsafe { ffi::PyObject_GenericGetDict(this, std::ptr::null_mut()) }
}

/// Called by the interpreter for instances of subclasses, which is what the loop makes.
unsafe extern "C" fn finalize<F: Fields>(this: *mut ffi::PyObject) {
    enter((), || {
        // SAFETY: the interpreter passes an instance of our type, alive during finalisation.
        let object = unsafe { Obj::from_ptr(this) };
        // SAFETY: as above.
        unsafe { F::of(object) }.finalize(object);
        Ok(())
    });
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
        let (extra, instance) = unsafe { (F::layout().extra.peek(object), instance::<F>(object)) };
        let outcome = visitor
            .visit(class)
            .and_then(|()| visitor.visit_opt(extra))
            .and_then(|()| visitor.visit_opt(instance.dict.peek()))
            .and_then(|()| instance.fields.visit(visitor));
        Ok(outcome.err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear<F: Fields>(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        unsafe { forget_all::<F>(Obj::from_ptr(this)) };
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

/// A getter for `fn(&Fields) -> Result<Owned>`; after `object` for `fn(&Obj, &Fields) -> Result<Owned>`.
macro_rules! transport_field {
    ($fields:ty, object $body:path) => {{
        unsafe extern "C" fn entry(
            this: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> *mut pyo3::ffi::PyObject {
            $crate::capi::class::enter(std::ptr::null_mut(), || {
                // SAFETY: the attribute descriptor checked the type of `this`.
                let this = unsafe { $crate::capi::Obj::from_ptr(this) };
                // SAFETY: as above.
                let fields = unsafe { <$fields as $crate::transport::layout::Fields>::of(this) };
                $body(this, fields).map($crate::capi::Owned::into_ptr)
            })
        }
        entry as pyo3::ffi::getter
    }};
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

/// A setter for `fn(&Obj, &Fields, Option<&Obj>) -> Result<()>`; `None` means deletion.
macro_rules! transport_setter {
    ($fields:ty, $body:path) => {{
        unsafe extern "C" fn entry(
            this: *mut pyo3::ffi::PyObject,
            value: *mut pyo3::ffi::PyObject,
            _: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            $crate::capi::class::enter(-1, || {
                // SAFETY: the attribute descriptor checked the type of `this`.
                let this = unsafe { $crate::capi::Obj::from_ptr(this) };
                // SAFETY: as above.
                let fields = unsafe { <$fields as $crate::transport::layout::Fields>::of(this) };
                // SAFETY: null or a live object, for the length of the call.
                let value = unsafe { $crate::capi::Obj::from_ptr_opt(value) };
                $body(this, fields, value).map(|()| 0)
            })
        }
        entry as pyo3::ffi::setter
    }};
}

pub(super) use {transport_field, transport_method, transport_setter};
