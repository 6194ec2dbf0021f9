//! `Handle` and `TimerHandle`: asyncio's own classes, subclassed natively.
//!
//! A handle is a real `asyncio.Handle` (its fields are the slots of that class), so everything that reads, prints or compares
//! handles goes on working. Only making, running and cancelling one is native.
//!
//! Invariant: a timer handle's key is live in the wheel exactly while the handle is scheduled; cancelling takes it out at once.
//! Source: <https://docs.python.org/3/library/asyncio-eventloop.html#callback-handles>

use std::cell::Cell;

use maypole_core::Key;
use pyo3::ffi;

use crate::asyncio;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, enter};
use crate::capi::error::{attribute_error, check};
use crate::capi::object::boolean;
use crate::capi::pool::track;
use crate::capi::{Obj, Owned, Result, names, nesting};
use crate::context;
use crate::event_loop::LoopObject;
use crate::future::sleeper;

/// The two type objects.
pub(crate) struct HandleTypes {
    pub(crate) handle: Owned,
    pub(crate) timer_handle: Owned,
    /// Where a timer handle keeps its [`Scheduled`]: behind the fields of `asyncio.TimerHandle`.
    scheduled_offset: usize,
}

/// What the wheel needs to know of a timer handle. Zeroed memory is one that was never scheduled.
#[repr(C)]
struct Scheduled {
    /// The key under which the wheel holds it.
    key: Cell<u64>,
    /// Its time in seconds, while the slot `_when` is empty: a number that nobody asks for needs no object.
    when_s: Cell<f64>,
}

/// When a timer handle is due, in seconds of the loop's clock.
#[derive(Clone, Copy)]
pub(crate) enum When<'a> {
    /// A number object that the user gave.
    Given(&'a Obj),
    Seconds(f64),
}

impl When<'_> {
    /// # Errors
    /// `TypeError` for what is no number.
    pub(crate) fn seconds(self) -> Result<f64> {
        match self {
            When::Given(when) => when.as_f64(),
            When::Seconds(when_s) => Ok(when_s),
        }
    }
}

static TYPES: GilOnce<HandleTypes> = GilOnce::new();

#[inline(always)]
pub(crate) fn types() -> &'static HandleTypes {
    TYPES.get()
}

/// Makes both types; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if TYPES.is_set() {
        return Ok(());
    }
    let asyncio = asyncio::get();
    let handle = Class::new(
        c"maypole._maypole.Handle",
        basic_size(&asyncio.handle),
        HANDLE_DOC,
    )
    .collected_by_base()
    .slot(ffi::Py_tp_dealloc, dealloc as *mut std::ffi::c_void)
    .noargs(
        c"cancel",
        cancel_handle,
        c"Cancel the callback; a cancelled or finished one is left alone.",
    )
    .noargs(
        c"cancelled",
        cancelled,
        c"Return True if the callback was cancelled.",
    )
    .attribute(c"_context", get_context, Some(set_context))
    .with_signatures_of(&asyncio.handle)?
    .build(Some(&asyncio.handle))?;
    let scheduled_offset = basic_size(&asyncio.timer_handle).next_multiple_of(align_of::<Scheduled>());
    let size = scheduled_offset + size_of::<Scheduled>();
    let timer_handle = Class::new(c"maypole._maypole.TimerHandle", size, TIMER_DOC)
        .collected_by_base()
        .slot(ffi::Py_tp_dealloc, dealloc as *mut std::ffi::c_void)
        .noargs(
            c"cancel",
            cancel_timer,
            c"Cancel the callback; its timer is removed from the loop at once.",
        )
        .noargs(
            c"cancelled",
            cancelled,
            c"Return True if the callback was cancelled.",
        )
        .attribute(c"_when", get_when, Some(set_when))
        .attribute(c"_context", get_context, Some(set_context))
        .with_signatures_of(&asyncio.timer_handle)?
        .build(Some(&asyncio.timer_handle))?;
    TYPES.set(HandleTypes {
        handle,
        timer_handle,
        scheduled_offset,
    });
    Ok(())
}

const HANDLE_DOC: &std::ffi::CStr = c"Handle(callback, args, loop, context=None)\n--\n\nA callback that a maypole loop will run; an asyncio.Handle.";
const TIMER_DOC: &std::ffi::CStr =
    c"TimerHandle(when, callback, args, loop, context=None)\n--\n\nA callback that a maypole loop will run at a time; an asyncio.TimerHandle.";

fn basic_size(class: &Obj) -> usize {
    // SAFETY: both callers pass a type object.
    unsafe { (*class.as_ptr().cast::<ffi::PyTypeObject>()).tp_basicsize as usize }
}

impl HandleTypes {
    /// Whether the loop may run this object by reading its fields: exactly one of the two types.
    #[inline(always)]
    pub(crate) fn is_own(&self, object: &Obj) -> bool {
        let class = object.type_ptr().cast();
        class == self.handle.as_ptr() || class == self.timer_handle.as_ptr()
    }

    #[inline(always)]
    fn scheduled<'a>(&self, timer: &'a Obj) -> &'a Scheduled {
        // SAFETY: `timer` is of our timer type (callers' contract), whose instances have zeroed memory for it there.
        unsafe { &*timer.as_ptr().byte_add(self.scheduled_offset).cast::<Scheduled>() }
    }

    /// Remembers under which key the wheel holds the timer.
    #[inline(always)]
    pub(crate) fn set_key(&self, timer: &Obj, key: Key) {
        self.scheduled(timer).key.set(key.to_bits());
    }
}

/// What a new handle is made of.
pub(crate) struct Parts<'a> {
    pub(crate) callback: &'a Obj,
    pub(crate) args: &'a [&'a Obj],
    pub(crate) context: Option<&'a Obj>,
    pub(crate) event_loop: &'a LoopObject,
}

/// Makes a handle that is not yet queued.
///
/// # Errors
/// Only what the interpreter raises when memory is short, or in debug mode what formatting the stack raises.
#[inline]
pub(crate) fn new_handle(parts: &Parts<'_>) -> Result<Owned> {
    // SAFETY: this pool is given handles of this type only.
    let handle = unsafe { parts.event_loop.pools.handles.take(&types().handle)? };
    fill(&handle, parts)?;
    Ok(handle)
}

/// Makes a timer handle that is not yet scheduled.
///
/// # Errors
/// As [`new_handle`].
#[inline]
pub(crate) fn new_timer_handle(when: When<'_>, parts: &Parts<'_>) -> Result<Owned> {
    // SAFETY: this pool is given timer handles of this type only.
    let handle = unsafe { parts.event_loop.pools.timer_handles.take(&types().timer_handle)? };
    let slots = &asyncio::get().timer_slots;
    // SAFETY: a new instance of a subclass of asyncio.TimerHandle, whose slots are empty.
    unsafe {
        match when {
            When::Given(when) => slots.when.init(&handle, when.own()),
            When::Seconds(when_s) => types().scheduled(&handle).when_s.set(when_s),
        }
        slots.scheduled.init(&handle, boolean(true));
    }
    fill(&handle, parts)?;
    Ok(handle)
}

/// Fills the fields of a new instance of a subclass of `asyncio.Handle` and shows it to the collector.
///
/// # Errors
/// As [`new_handle`].
#[inline]
pub(crate) fn fill(handle: &Obj, parts: &Parts<'_>) -> Result<()> {
    let asyncio = asyncio::get();
    let slots = &asyncio.handle_slots;
    let context = match parts.context {
        Some(context) if !context.is_none() => context.own(),
        _ => context::capture()?,
    };
    let args = if parts.args.is_empty() {
        asyncio.empty_tuple.clone()
    } else {
        crate::capi::call::tuple(parts.args)?
    };
    let event_loop = parts.event_loop.as_obj().own();
    let traceback = if parts.event_loop.debug() {
        asyncio::creation_stack()?
    } else {
        crate::capi::object::none()
    };
    // SAFETY: a new instance of a subclass of asyncio.Handle (callers' contract), whose slots are empty.
    unsafe {
        slots.context.init(handle, context);
        slots.args.init(handle, args);
        slots.event_loop.init(handle, event_loop);
        slots.callback.init(handle, parts.callback.own());
        slots.cancelled.init(handle, boolean(false));
        slots.repr.init(handle, crate::capi::object::none());
        slots.source_traceback.init(handle, traceback);
    }
    track(handle);
    Ok(())
}

/// `tp_dealloc` of both types: the memory of an exact one goes back to its loop.
unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: a handle of our types, whose memory is still there.
    let callback = unsafe { asyncio::get().handle_slots.callback.peek(Obj::from_ptr(this)) };
    // A tuple between two handles, or a method of one, bounds the depth by itself.
    let nests = callback.is_some_and(|callback| types().is_own(callback));
    // SAFETY: an object of our types whose count has reached zero.
    unsafe {
        if nests {
            nesting::free(this, free)
        } else {
            free(this)
        }
    };
}

unsafe fn free(this: *mut ffi::PyObject) {
    // SAFETY: an object of our types whose count has reached zero.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: as above; untracking twice is allowed, for one that was never tracked.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    // SAFETY: as above; the classes of both types have a place for weak references, where their offset says.
    unsafe {
        let weak_references = this
            .byte_offset((*class).tp_weaklistoffset)
            .cast::<*mut ffi::PyObject>();
        if !(*weak_references).is_null() {
            ffi::PyObject_ClearWeakRefs(this);
        }
    }
    let pooled = enter(false, || {
        // SAFETY: the memory is still there, and only this function sees it.
        let handle = unsafe { Obj::from_ptr(this) };
        Ok(recycle(handle))
    });
    if !pooled {
        // SAFETY: memory of a collected object, untracked above.
        unsafe { ffi::PyObject_GC_Del(this.cast()) };
    }
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

/// Empties a dead handle and offers its memory to its loop.
fn recycle(handle: &Obj) -> bool {
    let (types, slots) = (types(), &asyncio::get().handle_slots);
    let class = handle.type_ptr().cast();
    let timer = class != types.handle.as_ptr()
        && (class == types.timer_handle.as_ptr()
            || handle.is_instance_of(types.timer_handle.as_ptr().cast()));
    // SAFETY: a handle of our types; every slot is emptied before its value is dropped.
    let event_loop = unsafe {
        for slot in [
            slots.callback,
            slots.args,
            slots.context,
            slots.cancelled,
            slots.repr,
            slots.source_traceback,
        ] {
            drop(slot.replace(handle, None));
        }
        slots.event_loop.replace(handle, None)
    };
    if timer {
        let slots = &asyncio::get().timer_slots;
        // SAFETY: a timer handle of our type.
        drop(unsafe {
            (
                slots.when.replace(handle, None),
                slots.scheduled.replace(handle, None),
            )
        });
    }
    let Some(own) = event_loop.as_deref().and_then(LoopObject::downcast) else {
        return false;
    };
    // SAFETY: exactly the pool's type, emptied above, without references.
    unsafe {
        if class == types.handle.as_ptr() {
            own.pools.handles.give(handle.as_ptr())
        } else {
            class == types.timer_handle.as_ptr() && own.pools.timer_handles.give(handle.as_ptr())
        }
    }
}

/// Whether a handle, native or asyncio's own, was cancelled.
#[inline(always)]
pub(crate) fn is_cancelled(handle: &Obj) -> bool {
    // SAFETY: the caller passes a handle.
    unsafe { asyncio::get().handle_slots.cancelled.peek(handle) }.is_some_and(Obj::is_true)
}

/// What a handle, native or asyncio's own, will call.
pub(crate) fn callback_of(handle: &Obj) -> Option<Owned> {
    // SAFETY: the caller passes a handle.
    unsafe { asyncio::get().handle_slots.callback.get(handle) }
}

/// Runs the callback of a handle, native or asyncio's own, inside its context.
///
/// # Errors
/// Whatever the callback raises.
#[inline]
pub(crate) fn run(handle: &Obj) -> Result<()> {
    let slots = &asyncio::get().handle_slots;
    // SAFETY: the caller passes a handle.
    let fields = unsafe {
        (
            slots.callback.get(handle),
            slots.args.get(handle),
            slots.context.get(handle),
        )
    };
    let (Some(callback), Some(args), Some(context)) = fields else {
        return Err(crate::capi::error::runtime_error(
            "the handle has lost its callback",
        ));
    };
    // SAFETY: the type object is a static of the interpreter.
    if args.type_ptr() != &raw mut ffi::PyTuple_Type {
        return Err(crate::capi::error::type_error(
            "the arguments of a handle must be a tuple",
        ));
    }
    if callback.is(&asyncio::get().set_result_unless_cancelled)
        && let Some(outcome) = sleeper::set_result_unless_cancelled(&args)
    {
        return outcome;
    }
    let body = || callback.call_with_tuple(&args).map(drop);
    if handle.reference_count() == 1 {
        // Only the loop has the handle: nobody can ask it for its context.
        return context::run_captured(&context, body);
    }
    let context = context::of_its_own(&context)?;
    // SAFETY: as above; the old value is what was captured or the same context.
    drop(unsafe { slots.context.replace(handle, Some(context.clone())) });
    context::run(&context, body)
}

unsafe extern "C" fn cancelled(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the method descriptor checked the type.
        Ok(boolean(is_cancelled(unsafe { Obj::from_ptr(this) })).into_ptr())
    })
}

/// `_context`: what asyncio's own code runs the callback in, and what `get_context()` returns.
unsafe extern "C" fn get_context(this: *mut ffi::PyObject, _: *mut std::ffi::c_void) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the attribute descriptor checked the type.
        let handle = unsafe { Obj::from_ptr(this) };
        let slot = asyncio::get().handle_slots.context;
        // SAFETY: as above.
        let Some(captured) = (unsafe { slot.get(handle) }) else {
            return Err(attribute_error("_context"));
        };
        let context = context::of_its_own(&captured)?;
        // SAFETY: as above; from now on the handle has the context that was shown.
        drop(unsafe { slot.replace(handle, Some(context.clone())) });
        Ok(context.into_ptr())
    })
}

unsafe extern "C" fn set_context(
    this: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    _: *mut std::ffi::c_void,
) -> std::ffi::c_int {
    enter(-1, || {
        // SAFETY: the attribute descriptor checked the type; null asks to delete, which leaves the slot empty.
        let (handle, value) = unsafe { (Obj::from_ptr(this), Obj::from_ptr_opt(value)) };
        // SAFETY: as above.
        drop(unsafe {
            asyncio::get()
                .handle_slots
                .context
                .replace(handle, value.map(Obj::own))
        });
        Ok(0)
    })
}

/// `_when`: what `when()`, comparisons and `repr` read.
unsafe extern "C" fn get_when(this: *mut ffi::PyObject, _: *mut std::ffi::c_void) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the attribute descriptor checked the type.
        let timer = unsafe { Obj::from_ptr(this) };
        // SAFETY: as above.
        let given = unsafe { asyncio::get().timer_slots.when.get(timer) };
        let when = match given {
            Some(when) => when,
            None => crate::capi::call::float(types().scheduled(timer).when_s.get())?,
        };
        Ok(when.into_ptr())
    })
}

unsafe extern "C" fn set_when(
    this: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    _: *mut std::ffi::c_void,
) -> std::ffi::c_int {
    enter(-1, || {
        // SAFETY: the attribute descriptor checked the type; null asks to delete.
        let (timer, value) = unsafe { (Obj::from_ptr(this), Obj::from_ptr_opt(value)) };
        let value = value.ok_or_else(|| attribute_error("_when"))?;
        // SAFETY: as above.
        drop(unsafe { asyncio::get().timer_slots.when.replace(timer, Some(value.own())) });
        Ok(0)
    })
}

unsafe extern "C" fn cancel_handle(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the method descriptor checked the type.
        cancel(unsafe { Obj::from_ptr(this) })?;
        Ok(crate::capi::object::none().into_ptr())
    })
}

unsafe extern "C" fn cancel_timer(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the method descriptor checked the type.
        let timer = unsafe { Obj::from_ptr(this) };
        if !is_cancelled(timer) {
            unschedule(timer)?;
            cancel(timer)?;
        }
        Ok(crate::capi::object::none().into_ptr())
    })
}

/// Marks a handle as cancelled and drops what it would have called.
fn cancel(handle: &Obj) -> Result<()> {
    if is_cancelled(handle) {
        return Ok(());
    }
    let slots = &asyncio::get().handle_slots;
    // SAFETY: the caller passes a handle of our types; dropping a bool runs no code.
    drop(unsafe { slots.cancelled.replace(handle, Some(boolean(true))) });
    // SAFETY: as above.
    let event_loop = unsafe { slots.event_loop.get(handle) };
    if let Some(event_loop) = event_loop
        && wants_debug(&event_loop)?
    {
        // SAFETY: a live object.
        let text = unsafe { Owned::steal(ffi::PyObject_Repr(handle.as_ptr()))? };
        // SAFETY: the caller passes a handle of our types.
        drop(unsafe { slots.repr.replace(handle, Some(text)) });
    }
    let nothing = || Some(crate::capi::object::none());
    // SAFETY: as above; both fields are replaced before either old value is dropped, which may run code.
    let old = unsafe {
        (
            slots.callback.replace(handle, nothing()),
            slots.args.replace(handle, nothing()),
        )
    };
    drop(old);
    Ok(())
}

fn wants_debug(event_loop: &Obj) -> Result<bool> {
    match LoopObject::downcast(event_loop) {
        Some(own) => Ok(own.debug()),
        None => event_loop.call_method(&names::get().get_debug, &[])?.truthy(),
    }
}

/// Takes a timer out of its loop's wheel.
fn unschedule(timer: &Obj) -> Result<()> {
    let slots = &asyncio::get().handle_slots;
    // SAFETY: the caller passes a handle of our types.
    let Some(event_loop) = (unsafe { slots.event_loop.get(timer) }) else {
        return Ok(());
    };
    match LoopObject::downcast(&event_loop) {
        Some(own) => {
            let key = Key::from_bits(types().scheduled(timer).key.get());
            // The handle itself stays alive: the caller holds it.
            drop(own.take_timer(key));
        }
        None => drop(event_loop.call_method(&names::get().timer_handle_cancelled, &[timer])?),
    }
    mark_unscheduled(timer);
    Ok(())
}

/// Records in the handle that the wheel no longer holds it.
#[inline]
pub(crate) fn mark_unscheduled(timer: &Obj) {
    // SAFETY: the caller passes a timer handle of our type; the old value is a bool.
    drop(unsafe {
        asyncio::get()
            .timer_slots
            .scheduled
            .replace(timer, Some(boolean(false)))
    });
}

/// Adds the two types to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    for (name, class) in [
        (c"Handle", &types().handle),
        (c"TimerHandle", &types().timer_handle),
    ] {
        // SAFETY: a live module, a C string and a live type.
        check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), class.as_ptr()) })?;
    }
    Ok(())
}
