//! Bytes that came and were not read.
//!
//! A chunk that comes into an empty buffer is kept as the object that it is; if one read takes all of it, nothing is copied. More is
//! collected in native memory. Once somebody asks for `_buffer`, the bytes are in the `bytearray` that they were given.
//!
//! Invariant: at most one of the three holds bytes.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;

use pyo3::ffi;

use crate::capi::call::import_from;
use crate::capi::class::Visitor;
use crate::capi::error::{attribute_error, check, memory_error};
use crate::capi::{Field, Obj, Owned, Raised, Result, call};

/// Memory that an empty buffer keeps.
const KEEP_MAX: usize = 64 * 1024;

/// The unread bytes of one stream. Zeroed memory is an empty buffer.
pub(super) struct Buffer {
    /// A `bytes` object, of which the part from `start` on is unread.
    chunk: Field,
    /// Native memory, of which the part from `start` on is unread.
    #[expect(
        clippy::box_collection,
        reason = "zeroed memory is an empty Option of a Box, but no Vec"
    )]
    own: RefCell<Option<Box<Vec<u8>>>>,
    /// The `bytearray` that was shown.
    shown: Field,
    start: Cell<usize>,
}

/// The memory of a `bytes` object.
fn memory_of(bytes: &Obj) -> &[u8] {
    debug_assert!(bytes.type_ptr() == &raw mut ffi::PyBytes_Type);
    // SAFETY: a bytes object (callers' contract), which never changes.
    unsafe {
        let size = ffi::PyBytes_Size(bytes.as_ptr()) as usize;
        std::slice::from_raw_parts(ffi::PyBytes_AsString(bytes.as_ptr()).cast(), size)
    }
}

impl Buffer {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.look(<[u8]>::len)
    }

    /// Looks at the unread bytes. No Python code may run meanwhile.
    #[inline]
    pub(super) fn look<R>(&self, body: impl FnOnce(&[u8]) -> R) -> R {
        if let Some(chunk) = self.chunk.peek() {
            return body(&memory_of(chunk)[self.start.get()..]);
        }
        if let Some(own) = &*self.own.borrow() {
            return body(&own[self.start.get()..]);
        }
        match self.shown.peek() {
            // SAFETY: a live bytearray; nothing changes it before `body` returns, since no Python code runs.
            Some(shown) => body(unsafe {
                let size = ffi::PyByteArray_Size(shown.as_ptr()) as usize;
                std::slice::from_raw_parts(ffi::PyByteArray_AsString(shown.as_ptr()).cast(), size)
            }),
            None => body(&[]),
        }
    }

    /// Puts what came behind what is there: any object with the buffer interface.
    ///
    /// # Errors
    /// `TypeError` for anything else, `BufferError` if somebody holds the shown bytearray.
    #[inline]
    pub(super) fn feed(&self, data: &Obj) -> Result<()> {
        if !self.shown.is_empty() {
            return self.feed_shown(data);
        }
        // SAFETY: the type object is a static of the interpreter.
        if data.type_ptr() != &raw mut ffi::PyBytes_Type {
            let view = View::of(data)?;
            return self.push(view.memory());
        }
        if self.len() == 0 {
            self.forget();
            self.chunk.set(data.own());
            Ok(())
        } else {
            self.push(memory_of(data))
        }
    }

    /// Collects bytes in native memory.
    ///
    /// # Errors
    /// `MemoryError`: the buffer is as it was.
    fn push(&self, data: &[u8]) -> Result<()> {
        let mut own = self.own.borrow_mut();
        let own = own.get_or_insert_default();
        let unread = self
            .chunk
            .peek()
            .map_or(&[][..], |chunk| &memory_of(chunk)[self.start.get()..]);
        if self.chunk.is_empty() && self.start.get() > own.len() / 2 {
            own.drain(..self.start.replace(0));
        }
        let reserved = own.try_reserve(unread.len() + data.len());
        reserved.map_err(|_| memory_error())?;
        if !self.chunk.is_empty() {
            own.clear();
            own.extend_from_slice(unread);
            self.start.set(0);
            drop(self.chunk.take());
        }
        own.extend_from_slice(data);
        Ok(())
    }

    #[cold]
    fn feed_shown(&self, data: &Obj) -> Result<()> {
        match self.shown.get() {
            Some(shown) => shown.call_method(&*call::interned("extend")?, &[data]).map(drop),
            None => Ok(()),
        }
    }

    /// Takes the first `count` bytes out, or all if there are fewer.
    #[inline]
    pub(super) fn take(&self, count: usize) -> Result<Owned> {
        let length = self.len();
        let count = count.min(length);
        if count == length
            && self.start.get() == 0
            && let Some(chunk) = self.chunk.take()
        {
            return Ok(chunk);
        }
        let taken = self.look(|unread| call::bytes(&unread[..count]))?;
        self.discard(count)?;
        Ok(taken)
    }

    /// Drops the first `count` bytes.
    pub(super) fn discard(&self, count: usize) -> Result<()> {
        if let Some(shown) = self.shown.get() {
            let count = count.min(self.len()) as ffi::Py_ssize_t;
            // SAFETY: a live bytearray.
            return check(unsafe { ffi::PySequence_DelSlice(shown.as_ptr(), 0, count) });
        }
        if count >= self.len() {
            self.forget();
        } else {
            self.start.set(self.start.get() + count);
        }
        Ok(())
    }

    /// Drops everything.
    pub(super) fn clear(&self) -> Result<()> {
        self.discard(usize::MAX)
    }

    /// Empties the native places.
    fn forget(&self) {
        self.start.set(0);
        drop(self.chunk.take());
        let mut own = self.own.borrow_mut();
        match &mut *own {
            Some(memory) if memory.capacity() <= KEEP_MAX => memory.clear(),
            _ => *own = None,
        }
    }

    /// The bytes as Python sees them: a `bytearray`, in which they are from now on.
    pub(super) fn show(&self) -> Result<Owned> {
        if let Some(shown) = self.shown.get() {
            return Ok(shown);
        }
        let shown = self.look(|unread| {
            let size = unread.len() as ffi::Py_ssize_t;
            // SAFETY: pointer and size describe the slice.
            unsafe { Owned::steal(ffi::PyByteArray_FromStringAndSize(unread.as_ptr().cast(), size)) }
        })?;
        self.give_up();
        self.shown.set(shown.clone());
        Ok(shown)
    }

    /// `_buffer = value`.
    pub(super) fn replace(&self, value: Option<&Obj>) -> Result<()> {
        let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
        // SAFETY: a live object.
        let shown = if unsafe { ffi::PyByteArray_Check(value.as_ptr()) } != 0 {
            value.own()
        } else {
            import_from("builtins", "bytearray")?.call(&[value])?
        };
        self.give_up();
        self.shown.set(shown);
        Ok(())
    }

    pub(super) fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        visitor.visit_opt(self.chunk.peek())?;
        visitor.visit_opt(self.shown.peek())
    }

    /// Gives everything up.
    pub(super) fn give_up(&self) {
        self.forget();
        *self.own.borrow_mut() = None;
        drop(self.shown.take());
    }
}

/// The memory of an object with the buffer interface, held for a copy.
struct View(ffi::Py_buffer);

impl View {
    fn of(object: &Obj) -> Result<View> {
        let mut view = ffi::Py_buffer::new();
        // SAFETY: a live object and a place for the view; the call raises for what has no simple buffer.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, ffi::PyBUF_SIMPLE) } < 0 {
            return Err(Raised);
        }
        Ok(View(view))
    }

    fn memory(&self) -> &[u8] {
        if self.0.len == 0 {
            return &[];
        }
        // SAFETY: the view holds `len` bytes until it is released.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.0.len as usize) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: filled by `of`, released once.
        unsafe { ffi::PyBuffer_Release(&raw mut self.0) };
    }
}

/// Where `wanted` begins in `data`, at `from` or later.
#[inline]
pub(super) fn find(data: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let rest = data.get(from..)?;
    if rest.len() < wanted.len() || wanted.is_empty() {
        return None;
    }
    // SAFETY: two memory areas with their lengths; both functions only read.
    let found = unsafe {
        if let [byte] = wanted {
            libc::memchr(rest.as_ptr().cast(), c_int::from(*byte), rest.len())
        } else {
            libc::memmem(
                rest.as_ptr().cast(),
                rest.len(),
                wanted.as_ptr().cast(),
                wanted.len(),
            )
        }
    };
    if found.is_null() {
        return None;
    }
    Some(from + (found as usize - rest.as_ptr() as usize))
}
