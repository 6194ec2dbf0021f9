//! What a coroutine yielded, and who will wake its task.
//!
//! A native future of the same native loop keeps the task itself and queues it when done. Everything else (asyncio's own futures
//! and tasks, futures of libraries, other loops) calls the task's wake-up function through the loop.

use std::ffi::c_void;

use pyo3::ffi;

use super::{TaskObject, current, step};
use crate::aio;
use crate::capi::class::{Native, enter};
use crate::capi::error::{check, restore, take};
use crate::capi::{Obj, Owned, Raised, Result, call, last_calls, names};
use crate::context;
use crate::event_loop::LoopObject;
use crate::future::callbacks::call_soon_of_foreign;
use crate::future::{self, FutureObject};

impl TaskObject {
    /// Arranges the next step after the coroutine has yielded `value`.
    #[inline]
    pub(super) fn wait_for(&self, value: Owned) -> Result<()> {
        let class = value.type_ptr().cast();
        if class == future::class().as_ptr()
            || class == super::class().as_ptr()
            || aio::is_future_class(class)
        {
            return self.wait_for_own(value);
        }
        if value.is_none() {
            return self.schedule_step();
        }
        self.wait_for_foreign(value)
    }

    fn wait_for_own(&self, value: Owned) -> Result<()> {
        if value.is(self.as_obj()) {
            return self.throw_next(format_error(
                c"Task cannot await on itself: %R",
                &[self.as_obj()],
            )?);
        }
        // SAFETY: the exact type was checked by the caller.
        let future = unsafe { FutureObject::of(value.as_ptr()) };
        let event_loop = self.future.event_loop()?;
        if !future.event_loop()?.is(event_loop) {
            return self.throw_next(other_loop(self, &value)?);
        }
        if !future.blocking.replace(false) {
            return self.throw_next(not_awaited(self, &value)?);
        }
        match LoopObject::downcast(event_loop) {
            Some(own) if future.is_done() => own.enqueue_task(self.as_obj().own())?,
            Some(_) => future.add_waiter(self.as_obj().own())?,
            None => self.ask_for_wakeup(&value)?,
        }
        self.waits_for.set(value.clone());
        if self.must_cancel.get() && cancel_waited(self, &value)? {
            self.must_cancel.set(false);
        }
        Ok(())
    }

    /// Futures that are not ours, by the protocol that `asyncio.isfuture` checks.
    #[cold]
    fn wait_for_foreign(&self, value: Owned) -> Result<()> {
        let blocking = match value.get_attr(&names::get().blocking) {
            Ok(blocking) if !blocking.is_none() => blocking,
            Ok(_) => return self.throw_next(bad_yield(self, &value)?),
            Err(Raised) if missing_attribute() => return self.throw_next(bad_yield(self, &value)?),
            Err(Raised) => return Err(Raised),
        };
        if !loop_of(&value)?.is(self.future.event_loop()?) {
            return self.throw_next(other_loop(self, &value)?);
        }
        if !blocking.truthy()? {
            return self.throw_next(not_awaited(self, &value)?);
        }
        value.set_attr(&names::get().blocking, &crate::capi::object::boolean(false))?;
        self.ask_for_wakeup(&value)?;
        self.waits_for.set(value.clone());
        if self.must_cancel.get() && cancel_waited(self, &value)? {
            self.must_cancel.set(false);
        }
        Ok(())
    }

    /// `value.add_done_callback(wakeup, context=task's context)`.
    fn ask_for_wakeup(&self, value: &Obj) -> Result<()> {
        let method = value.get_attr(&names::get().add_done_callback)?;
        let positional = call::tuple(&[&*wakeup_of(self.as_obj())?])?;
        let Some(context) = context::own_in(&self.context)? else {
            return Ok(());
        };
        // SAFETY: the lock is held.
        let keywords = unsafe { Owned::steal(ffi::PyDict_New())? };
        let name = &names::get().context;
        // SAFETY: three live objects.
        check(unsafe { ffi::PyDict_SetItem(keywords.as_ptr(), name.as_ptr(), context.as_ptr()) })?;
        // SAFETY: a callable, a tuple and a dictionary.
        unsafe {
            Owned::steal(last_calls::PyObject_Call(
                method.as_ptr(),
                positional.as_ptr(),
                keywords.as_ptr(),
            ))
        }
        .map(drop)
    }

    /// The next step throws `exception` into the coroutine.
    #[cold]
    fn throw_next(&self, exception: Owned) -> Result<()> {
        self.to_throw.set(exception);
        self.schedule_step()
    }

    /// Queues the next step.
    #[inline]
    pub(super) fn schedule_step(&self) -> Result<()> {
        let event_loop = self.future.event_loop()?;
        match LoopObject::downcast(event_loop) {
            Some(own) => own.enqueue_task(self.as_obj().own()),
            None => self.schedule_on_foreign(&event_loop.own()),
        }
    }

    #[cold]
    fn schedule_on_foreign(&self, event_loop: &Obj) -> Result<()> {
        let Some(context) = context::own_in(&self.context)? else {
            return Ok(());
        };
        call_soon_of_foreign(event_loop, &*function(&STEP, self.as_obj())?, &[], &context)
    }
}

/// Cancels what a task waits for, with the task's message.
fn cancel_waited(task: &TaskObject, waited: &Obj) -> Result<bool> {
    let message = task.future.cancel_message();
    super::cancel::cancel_awaited(waited, message.as_deref())
}

/// `futures._get_loop(value)`: by `get_loop()`, or by the field of older kinds of futures.
fn loop_of(value: &Obj) -> Result<Owned> {
    match value.get_attr(&names::get().get_loop) {
        Ok(method) => method.call(&[]),
        Err(Raised) if missing_attribute() => value.get_attr(&names::get().loop_field),
        Err(Raised) => Err(Raised),
    }
}

/// Whether the current exception is an `AttributeError`, which is then cleared.
fn missing_attribute() -> bool {
    // SAFETY: the exception types exist while the interpreter does.
    let missing = crate::capi::error::current_is(unsafe { ffi::PyExc_AttributeError });
    if missing {
        drop(take());
    }
    missing
}

/// Has a task stepped by its loop because `waited` is done; for loops that are not ours.
#[cold]
pub(crate) fn wake_through_loop(task: &Obj, waited: &Obj) -> Result<()> {
    let Some(own) = TaskObject::downcast(task) else {
        return Ok(());
    };
    let event_loop = own.future.event_loop()?.own();
    let Some(context) = context::own_in(&own.context)? else {
        return Ok(());
    };
    call_soon_of_foreign(&event_loop, &*wakeup_of(task)?, &[waited], &context)
}

/// The function that wakes a task: `wakeup(future)`.
pub(crate) fn wakeup_of(task: &Obj) -> Result<Owned> {
    function(&WAKEUP, task)
}

/// A method definition that the interpreter may keep a pointer to.
struct Definition(ffi::PyMethodDef);

// SAFETY: the definition is never written after it is made.
unsafe impl Sync for Definition {}

static WAKEUP: Definition = Definition(ffi::PyMethodDef {
    ml_name: c"task_wakeup".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer { PyCFunction: wakeup },
    ml_flags: ffi::METH_O,
    ml_doc: c"Wake the task: the future that it waits for is done.".as_ptr(),
});

static STEP: Definition = Definition(ffi::PyMethodDef {
    ml_name: c"task_step".as_ptr(),
    ml_meth: ffi::PyMethodDefPointer {
        PyCFunction: step_entry,
    },
    ml_flags: ffi::METH_NOARGS,
    ml_doc: c"Run the task up to its next wait.".as_ptr(),
});

fn function(definition: &'static Definition, task: &Obj) -> Result<Owned> {
    let definition = std::ptr::from_ref(&definition.0).cast_mut();
    // SAFETY: the definition lives forever and is only read; the task is live.
    unsafe {
        Owned::steal(ffi::PyCFunction_NewEx(
            definition,
            task.as_ptr(),
            std::ptr::null_mut::<c_void>().cast(),
        ))
    }
}

unsafe extern "C" fn wakeup(task: *mut ffi::PyObject, waited: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the function was made with a task as its self, and gets a live argument.
        let (task, waited) = unsafe { (TaskObject::of(task), Obj::from_ptr(waited)) };
        if let Err(Raised) = waited.call_method(&names::get().result, &[])
            && let Some(exception) = take()
        {
            task.to_throw.set(exception);
        }
        step_as_callback(task)
    })
}

unsafe extern "C" fn step_entry(task: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the function was made with a task as its self.
        step_as_callback(unsafe { TaskObject::of(task) })
    })
}

/// A step that some loop runs as an ordinary callback, in the task's context.
fn step_as_callback(task: &TaskObject) -> Result<*mut ffi::PyObject> {
    let event_loop = task.future.event_loop()?.own();
    current::enter(&event_loop, task.as_obj())?;
    let outcome = step_seen(LoopObject::downcast(&event_loop), task);
    let pending = if outcome.is_err() { take() } else { None };
    current::leave(&event_loop)?;
    match pending {
        Some(pending) => Err(restore(pending)),
        None => Ok(crate::capi::object::none().into_ptr()),
    }
}

fn step_seen(event_loop: Option<&LoopObject>, task: &TaskObject) -> Result<()> {
    let Some(own) = event_loop else {
        return step::inside_context(task);
    };
    let before = own.set_running_serial(task.serial());
    let outcome = if own.observer.looks() {
        own.observer
            .run_inside_callback(own, task, || step::inside_context(task))
    } else {
        step::inside_context(task)
    };
    own.set_running_serial(before);
    own.observer.metrics.stepped(&task.future);
    outcome
}

fn other_loop(task: &TaskObject, value: &Obj) -> Result<Owned> {
    format_error(
        c"Task %R got Future %R attached to a different loop",
        &[task.as_obj(), value],
    )
}

fn not_awaited(task: &TaskObject, value: &Obj) -> Result<Owned> {
    format_error(
        c"yield was used instead of yield from in task %R with %R",
        &[task.as_obj(), value],
    )
}

fn bad_yield(task: &TaskObject, value: &Obj) -> Result<Owned> {
    // SAFETY: the type object is a static of the interpreter.
    if value.type_ptr() == &raw mut ffi::PyGen_Type {
        let text = c"yield was used instead of yield from for generator in task %R with %R";
        return format_error(text, &[task.as_obj(), value]);
    }
    format_error(c"Task got bad yield: %R", &[value])
}

/// A `RuntimeError` whose text shows one or two objects.
#[cold]
fn format_error(format: &'static std::ffi::CStr, objects: &[&Obj]) -> Result<Owned> {
    let first = objects
        .first()
        .map_or(std::ptr::null_mut(), |object| object.as_ptr());
    let second = objects
        .get(1)
        .map_or(std::ptr::null_mut(), |object| object.as_ptr());
    // SAFETY: the format shows as many objects as are given; a further argument is ignored.
    let text = unsafe { Owned::steal(ffi::PyUnicode_FromFormat(format.as_ptr(), first, second))? };
    // SAFETY: the exception types exist while the interpreter does.
    unsafe { Obj::from_ptr(ffi::PyExc_RuntimeError) }.call(&[&text])
}
