//! Lines of the program, and what a coroutine waits for, asked of the interpreter's public interface.
//!
//! Everything here may run Python code (a coroutine may be any object), so nothing of the observer is borrowed meanwhile. An error on
//! the way is dropped: the place is then unknown.

use std::ffi::c_int;

use maypole_trace::WaitKind;
use pyo3::ffi;

use super::suspended::DEPTH_MAX;
use crate::aio;
use crate::capi::error::take;
use crate::capi::{Obj, Owned, Result, call, names};
use crate::future::FutureObject;
use crate::task::TaskObject;

/// Where a frame stands: its code, and the instruction, which is one and the same line for ever.
pub(super) struct Frame {
    pub(super) code: Owned,
    frame: Owned,
}

impl Frame {
    fn of(frame: Owned) -> Option<Frame> {
        // SAFETY: a live frame; the code is a strong reference.
        let code = quietly(unsafe { Owned::steal(ffi::PyFrame_GetCode(frame.as_ptr().cast()).cast()) })?;
        Some(Frame { code, frame })
    }

    /// The number of the instruction within the code.
    pub(super) fn instruction(&self) -> i32 {
        // SAFETY: a live frame.
        unsafe { ffi::PyFrame_GetLasti(self.frame.as_ptr().cast()) }
    }

    /// The line of that instruction. Finding it walks through a table of the code.
    pub(super) fn line(&self) -> u32 {
        // SAFETY: a live frame.
        let line: c_int = unsafe { ffi::PyFrame_GetLineNumber(self.frame.as_ptr().cast()) };
        u32::try_from(line).unwrap_or(0)
    }
}

/// What one suspended coroutine or generator shows of itself.
struct Suspended {
    frame: Owned,
    awaits: Option<Owned>,
}

/// Drops what was raised: an observer must not disturb.
fn quietly<T>(outcome: Result<T>) -> Option<T> {
    if let Ok(value) = outcome {
        return Some(value);
    }
    drop(take());
    None
}

/// The code object of a coroutine or of a generator.
pub(crate) fn code_of(coroutine: &Obj) -> Option<Owned> {
    let names = names::get();
    let name = if coroutine.type_ptr() == &raw mut ffi::PyGen_Type {
        &names.gi_code
    } else {
        // Coroutines compiled by other tools have the attribute as well.
        &names.cr_code
    };
    quietly(coroutine.get_attr(name)).filter(|code| is_code(code))
}

fn is_code(object: &Obj) -> bool {
    // SAFETY: the type object is a static of the interpreter.
    object.type_ptr() == &raw mut ffi::PyCode_Type
}

/// The first line of a code object.
pub(super) fn first_line(code: &Obj) -> u32 {
    let line = quietly(code.get_attr(&names::get().co_firstlineno)).and_then(|line| quietly(line.as_i64()));
    line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0)
}

fn suspended(object: &Obj) -> Option<Suspended> {
    let names = names::get();
    let (frame, awaits) = if object.type_ptr() == &raw mut ffi::PyCoro_Type {
        (&names.cr_frame, &names.cr_await)
    } else if object.type_ptr() == &raw mut ffi::PyGen_Type {
        (&names.gi_frame, &names.gi_yieldfrom)
    } else {
        return None;
    };
    let frame = quietly(object.get_attr(frame)).filter(|frame| is_frame(frame))?;
    let awaits = quietly(object.get_attr(awaits)).filter(|awaits| !awaits.is_none());
    Some(Suspended { frame, awaits })
}

fn is_frame(object: &Obj) -> bool {
    // SAFETY: the type object is a static of the interpreter.
    object.type_ptr() == &raw mut ffi::PyFrame_Type
}

/// Where a suspended coroutine waits: each link of its chain of awaits with its frame, the coroutine itself first.
pub(super) fn chain(coroutine: &Obj) -> Vec<(Owned, Frame)> {
    let mut links = Vec::new();
    let mut next = Some(coroutine.own());
    while let Some(object) = next.take()
        && links.len() < DEPTH_MAX
        && let Some(seen) = suspended(&object)
    {
        links.extend(Frame::of(seen.frame).map(|frame| (object, frame)));
        next = seen.awaits;
    }
    links
}

/// The frames of the Python code that runs now, innermost first.
pub(super) fn running() -> impl Iterator<Item = Frame> {
    // SAFETY: the lock is held; a borrowed reference or null.
    let mut next = unsafe { Obj::from_ptr_opt(ffi::PyEval_GetFrame().cast()) }.map(Obj::own);
    std::iter::from_fn(move || {
        let frame = next.take()?;
        // SAFETY: a live frame; a strong reference or null.
        next = unsafe { Owned::steal_opt(ffi::PyFrame_GetBack(frame.as_ptr().cast()).cast()) };
        Frame::of(frame)
    })
}

/// What a wait for a plain native future is for.
#[inline]
pub(super) fn kind_of_future(awaited: &Obj) -> WaitKind {
    match FutureObject::downcast(awaited) {
        Some(future) if future.is_of_executor() => WaitKind::Executor,
        _ => WaitKind::Future,
    }
}

/// What a wait is for, by what was yielded.
pub(super) fn kind_of(awaited: &Obj) -> WaitKind {
    if TaskObject::downcast(awaited).is_some() {
        return WaitKind::Task;
    }
    // SAFETY: the type of a live object has a name.
    let name = unsafe { std::ffi::CStr::from_ptr((*awaited.type_ptr()).tp_name) };
    match name.to_bytes() {
        b"_asyncio.Task" => WaitKind::Task,
        b"_GatheringFuture" => WaitKind::Gather,
        _ if aio::is_gathering(awaited) => WaitKind::Gather,
        _ => WaitKind::Future,
    }
}

/// What the functions of asyncio and of its native kin wait for, by their qualified names.
pub(super) fn kind_of_function(name: &str) -> WaitKind {
    let (class, method) = name.rsplit_once('.').unwrap_or(("", name));
    match (class, method) {
        (_, "sleep") => WaitKind::Sleep,
        (_, "__sleep0") => WaitKind::Turn,
        ("Lock", _) => WaitKind::Lock,
        ("Event" | "Condition" | "Barrier", _) => WaitKind::Event,
        ("Semaphore" | "BoundedSemaphore", _) => WaitKind::Semaphore,
        ("Queue" | "PriorityQueue" | "LifoQueue", _) => WaitKind::Queue,
        (_, "gather" | "wait" | "_wait" | "wait_for" | "__aexit__" | "_wait_for_one" | "as_completed") => {
            WaitKind::Gather
        }
        (_, "to_thread" | "run_in_executor" | "getaddrinfo" | "getnameinfo") => WaitKind::Executor,
        (_, "_drain_helper" | "drain" | "_wait_for_data" | "wait_closed") => WaitKind::Io,
        ("StreamReader" | "StreamWriter" | "Process", _) => WaitKind::Io,
        (_, method) if method.starts_with("sock_") || method.starts_with("create_") => WaitKind::Io,
        _ => WaitKind::Unknown,
    }
}

/// A text attribute of a code object.
pub(super) fn text_of(code: &Obj, attribute: &Obj) -> String {
    quietly(code.get_attr(attribute))
        .and_then(|text| quietly(call::text_of(&text)))
        .unwrap_or_default()
}
