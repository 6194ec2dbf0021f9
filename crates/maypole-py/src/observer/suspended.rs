//! Where coroutines and running frames stand, read without making frame objects.
//!
//! `cr_frame` makes an object that the garbage collector then has to look at; a chain of awaits that is asked so at each wait
//! costs more than the wait. Here the two words that matter, code and instruction, are read where the interpreter keeps them.
//!
//! What is read is compared, never followed, except from one running frame to its caller. A place that is met for the first time is asked
//! of the public interface as well; if the answers differ, the memory is laid out otherwise than this file believes, and it reads
//! no more ([`distrust`]).
//!
//! Source: `_PyGenObject_HEAD`, `_PyInterpreterFrame` and `struct _ts` of CPython's headers, 3.11 to 3.14. Of later versions only
//! suspended coroutines are read.

use std::cell::Cell;
use std::ffi::{CStr, c_void};

use pyo3::ffi;

use crate::capi::{Obj, Owned};

/// A chain of awaits is followed so far.
pub(super) const DEPTH_MAX: usize = 64;

/// Words lie on such addresses; the lower bits of a reference to code are flags from Python 3.14 on.
const FLAGS: usize = 0b111;

/// Where a coroutine's frame begins.
const FRAME: usize = if cfg!(Py_3_12) { 72 } else { 80 };
/// Where, in a frame, its code, its instruction and its caller are.
const CODE: usize = if cfg!(Py_3_12) { 0 } else { 32 };
const INSTRUCTION: usize = 56;
const CALLER: usize = if cfg!(Py_3_12) { 8 } else { 48 };
/// Where, in a thread's state, the running frame is; up to 3.12 behind one more pointer.
const RUNNING: Option<(usize, Option<usize>)> = if cfg!(Py_3_15) {
    None
} else if cfg!(Py_3_13) {
    Some((72, None))
} else if cfg!(Py_3_12) {
    Some((56, Some(0)))
} else {
    Some((56, Some(8)))
};

/// A code object, by its address, and an instruction of it: one line of the program for as long as the code lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Position {
    pub(super) code: usize,
    pub(super) instruction: i32,
}

impl Position {
    pub(super) const NONE: Position = Position {
        code: 0,
        instruction: -1,
    };
}

/// The public interface said otherwise.
struct Distrusted(Cell<bool>);

// SAFETY: read and written with the interpreter lock held.
unsafe impl Sync for Distrusted {}

static DISTRUSTED: Distrusted = Distrusted(Cell::new(false));

/// Whether positions are read at all.
pub(super) fn is_trusted() -> bool {
    !DISTRUSTED.0.get()
}

/// Nothing is read here any more: something read was wrong.
pub(super) fn distrust() {
    DISTRUSTED.0.set(true);
}

/// Reads a word.
///
/// # Safety
/// `base + offset` is readable memory, and a multiple of eight.
#[inline(always)]
unsafe fn word(base: *const c_void, offset: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { base.cast::<u8>().add(offset).cast::<usize>().read() }
}

/// Reads where a frame stands.
///
/// # Safety
/// `frame` and the 64 bytes from there on are readable.
#[inline(always)]
unsafe fn position(frame: *const c_void) -> Position {
    // SAFETY: the caller's promise.
    let (code, at) = unsafe { (word(frame, CODE) & !FLAGS, word(frame, INSTRUCTION)) };
    // SAFETY: the type object is a static of the interpreter.
    let head = unsafe { ffi::PyCode_Type.tp_basicsize };
    // The instructions stand at the end of the code object.
    let instruction = at.wrapping_sub(code).wrapping_sub(head.cast_unsigned());
    #[allow(
        clippy::cast_possible_truncation,
        reason = "as long as code is; else it is compared in vain"
    )]
    Position {
        code,
        instruction: instruction as i32,
    }
}

/// Where a coroutine or a generator stands; what has ended stands somewhere too. `None` for other objects.
#[inline]
pub(super) fn position_of(coroutine: &Obj) -> Option<Position> {
    let class = coroutine.type_ptr();
    if class != &raw mut ffi::PyCoro_Type && class != &raw mut ffi::PyGen_Type {
        return None;
    }
    // SAFETY: the type is exact; such an object has its frame at its end, of at least 64 bytes.
    Some(unsafe { position(coroutine.as_ptr().cast::<u8>().add(FRAME).cast()) })
}

/// The getters of `cr_await` and `gi_yieldfrom`.
#[derive(Clone, Copy)]
pub(super) struct Getters {
    coroutine: ffi::getter,
    generator: ffi::getter,
}

impl Getters {
    /// Finds them; `None` where a version of Python has none.
    pub(super) fn find() -> Option<Getters> {
        Some(Getters {
            coroutine: getter(&raw mut ffi::PyCoro_Type, c"cr_await")?,
            generator: getter(&raw mut ffi::PyGen_Type, c"gi_yieldfrom")?,
        })
    }

    /// The positions of a chain of awaits, the coroutine's own first; `None` if it is longer than `positions`.
    #[inline]
    pub(super) fn chain<'a>(
        &self,
        coroutine: &Obj,
        positions: &'a mut [Position; DEPTH_MAX],
    ) -> Option<&'a [Position]> {
        let mut depth = 0;
        let mut next = Some(coroutine.own());
        while let Some(object) = next.take()
            && let Some(position) = position_of(&object)
        {
            *positions.get_mut(depth)? = position;
            depth += 1;
            next = self.awaited_by(&object);
        }
        positions.get(..depth)
    }

    #[inline]
    fn awaited_by(&self, object: &Obj) -> Option<Owned> {
        let get = if object.type_ptr() == &raw mut ffi::PyCoro_Type {
            self.coroutine
        } else {
            self.generator
        };
        // SAFETY: the getter of the object's own type, which takes no closure and does not fail; a strong reference.
        let awaited = unsafe { Owned::steal_opt(get(object.as_ptr(), std::ptr::null_mut())) };
        awaited.filter(|awaited| !awaited.is_none())
    }
}

fn getter(class: *mut ffi::PyTypeObject, name: &CStr) -> Option<ffi::getter> {
    // SAFETY: a static type of the interpreter; its table ends with an entry without a name.
    unsafe {
        let mut entry = (*class).tp_getset;
        while !entry.is_null() && !(*entry).name.is_null() {
            if CStr::from_ptr((*entry).name) == name {
                return (*entry).get.filter(|_| (*entry).closure.is_null());
            }
            entry = entry.add(1);
        }
    }
    None
}

/// The positions of the Python code that runs now, innermost first; none where they cannot be read.
pub(super) fn running() -> impl Iterator<Item = Position> {
    let mut frame = running_frame();
    std::iter::from_fn(move || {
        if frame.is_null() {
            return None;
        }
        // SAFETY: a frame of the running thread: those that call each other live until they return.
        let (position, caller) = unsafe { (position(frame), word(frame, CALLER)) };
        frame = std::ptr::with_exposed_provenance(caller);
        Some(position)
    })
}

fn running_frame() -> *const c_void {
    let Some((offset, behind)) = RUNNING.filter(|_| is_trusted()) else {
        return std::ptr::null();
    };
    // SAFETY: the lock is held, so there is a state, laid out as the headers of this version say.
    unsafe {
        let state: *const c_void = ffi::PyThreadState_Get().cast();
        let first: *const c_void = std::ptr::with_exposed_provenance(word(state, offset));
        match behind {
            Some(offset) if !first.is_null() => std::ptr::with_exposed_provenance(word(first, offset)),
            _ => first,
        }
    }
}
