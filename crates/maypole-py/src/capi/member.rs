//! The places of `__slots__` inside objects of pure Python classes.
//!
//! `asyncio.Handle` keeps its fields in slots. A native subclass shares them with the Python code that reads them, so it needs
//! each slot's offset; the member descriptors of the class hold it.

use pyo3::ffi;

use super::call::text;
use super::error::{Result, type_error};
use super::object::{Obj, Owned};

/// The byte offset of one slot, valid in every instance of the class it was read from and of its subclasses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot(usize);

impl Slot {
    /// Reads the offset of slot `name` from `class`.
    ///
    /// # Errors
    /// `TypeError` if the class has no such slot, which means an asyncio of an unknown layout.
    pub(crate) fn of(class: &Obj, name: &str) -> Result<Slot> {
        let descriptor = class.get_attr(&*text(name)?)?;
        // SAFETY: the type object is a static of the interpreter.
        if descriptor.type_ptr() != &raw mut ffi::PyMemberDescr_Type {
            return Err(type_error(&format!(
                "asyncio's handles have no slot named {name}"
            )));
        }
        let descriptor = descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
        // SAFETY: the exact type was checked, so this is the structure behind the object, and its member is set.
        let offset = unsafe { (*(*descriptor).d_member).offset };
        Ok(Slot(offset as usize))
    }

    /// The slot's place in `object`.
    ///
    /// # Safety
    /// `object` is an instance of the class that the slot was read from.
    #[inline(always)]
    unsafe fn place(self, object: &Obj) -> *mut *mut ffi::PyObject {
        // SAFETY: the offset lies within an instance of the class.
        unsafe { object.as_ptr().byte_add(self.0).cast() }
    }

    /// A new reference to the slot's value, if it is set.
    ///
    /// # Safety
    /// `object` is an instance of the class that the slot was read from.
    #[inline(always)]
    pub(crate) unsafe fn get(self, object: &Obj) -> Option<Owned> {
        // SAFETY: the caller's word; a slot holds null or a live object.
        unsafe { Obj::from_ptr_opt(*self.place(object)) }.map(Obj::own)
    }

    /// The slot's raw value, without a new reference.
    ///
    /// # Safety
    /// As [`Slot::get`]; the reference is only good until Python code runs.
    #[inline(always)]
    pub(crate) unsafe fn peek(self, object: &Obj) -> Option<&Obj> {
        // SAFETY: the caller's word.
        unsafe { Obj::from_ptr_opt(*self.place(object)) }
    }

    /// Fills an empty slot.
    ///
    /// # Safety
    /// As [`Slot::get`]; the slot holds nothing.
    #[inline(always)]
    pub(crate) unsafe fn init(self, object: &Obj, value: Owned) {
        // SAFETY: the caller's word; the reference moves into the slot.
        unsafe { *self.place(object) = value.into_ptr() };
    }

    /// Puts a value into the slot and hands back the old one, so that the caller chooses when it is dropped.
    ///
    /// # Safety
    /// As [`Slot::get`].
    #[inline(always)]
    pub(crate) unsafe fn replace(self, object: &Obj, value: Option<Owned>) -> Option<Owned> {
        let value = value.map_or(std::ptr::null_mut(), Owned::into_ptr);
        // SAFETY: the caller's word; the slot owned a reference or null, which moves to the caller.
        unsafe { Owned::steal_opt(std::ptr::replace(self.place(object), value)) }
    }
}
