//! Names and stacks of a task, and the attributes that asyncio's own code and libraries read.

use pyo3::ffi;

use super::{TaskObject, registry};
use crate::asyncio;
use crate::capi::class::{Class, Native, fast, getter, noargs, setter};
use crate::capi::error::{attribute_error, runtime_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Result, call};
use crate::context;
use crate::event_loop::LoopObject;

pub(super) fn declare(class: Class) -> Class {
    class
        .noargs(c"get_name", noargs!(TaskObject, get_name), c"Return the task's name.")
        .fast(c"set_name", fast!(TaskObject, set_name), c"Set the task's name.")
        .noargs(c"get_coro", noargs!(TaskObject, get_coro), c"Return the coroutine that the task runs.")
        .noargs(c"get_context", noargs!(TaskObject, get_context), c"Return the context that the task runs in.")
        .fast(c"get_stack", fast!(TaskObject, get_stack), c"get_stack($self, /, *, limit=None)\n--\n\nReturn the stack frames of the coroutine.")
        .fast(
            c"print_stack",
            fast!(TaskObject, print_stack),
            c"print_stack($self, /, *, limit=None, file=None)\n--\n\nPrint the stack or the traceback of the coroutine.",
        )
        .fast(c"set_result", fast!(TaskObject, refuse_result), c"A task's result comes from its coroutine.")
        .fast(c"set_exception", fast!(TaskObject, refuse_exception), c"A task's exception comes from its coroutine.")
        .attribute(c"_coro", getter!(TaskObject, get_coro), None)
        .attribute(c"_fut_waiter", getter!(TaskObject, get_waits_for), None)
        .attribute(c"_parent", getter!(TaskObject, get_parent), None)
        .attribute(c"_must_cancel", getter!(TaskObject, get_must_cancel), None)
        .attribute(c"_num_cancels_requested", getter!(TaskObject, get_cancels), None)
        .attribute(
            c"_log_destroy_pending",
            getter!(TaskObject, get_log_destroy_pending),
            Some(setter!(TaskObject, set_log_destroy_pending)),
        )
}

/// The text of a name: a string as it is, anything else by `str()`.
pub(super) fn text_of(name: &Obj) -> Result<Owned> {
    // SAFETY: the type object is a static of the interpreter.
    if name.type_ptr() == &raw mut ffi::PyUnicode_Type {
        return Ok(name.own());
    }
    // SAFETY: a live object.
    unsafe { Owned::steal(ffi::PyObject_Str(name.as_ptr())) }
}

fn get_name(this: &TaskObject) -> Result<Owned> {
    if let Some(name) = this.name.get() {
        return Ok(name);
    }
    let name = call::text(&format!("Task-{}", this.number.get()))?;
    this.name.set(name.clone());
    Ok(name)
}

fn set_name(this: &TaskObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("set_name", &["value"], 1)?;
    this.name.set(text_of(given[0])?);
    if let Some(own) = this.future.loop_if_begun().and_then(LoopObject::downcast)
        && own.observer.records()
    {
        own.observer.record_name(this);
    }
    Ok(none())
}

fn get_coro(this: &TaskObject) -> Result<Owned> {
    Ok(this.coroutine.get_or_none())
}

fn get_context(this: &TaskObject) -> Result<Owned> {
    Ok(context::own_in(&this.context)?.unwrap_or_else(none))
}

fn get_stack(this: &TaskObject, args: Args<'_>) -> Result<Owned> {
    let [limit] = args.bind("get_stack", [&*call::text("limit")?], 0)?;
    asyncio::get()
        .task_get_stack
        .call(&[this.as_obj(), &*limit.map_or_else(none, Obj::own)])
}

fn print_stack(this: &TaskObject, args: Args<'_>) -> Result<Owned> {
    let [limit, file] = args.bind("print_stack", [&*call::text("limit")?, &*call::text("file")?], 0)?;
    let (limit, file) = (
        limit.map_or_else(none, Obj::own),
        file.map_or_else(none, Obj::own),
    );
    asyncio::get()
        .task_print_stack
        .call(&[this.as_obj(), &limit, &file])
}

fn refuse_result(_: &TaskObject, _: Args<'_>) -> Result<Owned> {
    Err(runtime_error("Task does not support set_result operation"))
}

fn refuse_exception(_: &TaskObject, _: Args<'_>) -> Result<Owned> {
    Err(runtime_error("Task does not support set_exception operation"))
}

fn get_waits_for(this: &TaskObject) -> Result<Owned> {
    Ok(this.waits_for.get_or_none())
}

/// The task that made this one, while it is pending; else None.
fn get_parent(this: &TaskObject) -> Result<Owned> {
    let parent = match this.parent.get() {
        0 => None,
        serial => registry::pending()
            .into_iter()
            .find(|task| TaskObject::downcast(task).is_some_and(|task| task.serial.get() == serial)),
    };
    Ok(parent.unwrap_or_else(none))
}

fn get_must_cancel(this: &TaskObject) -> Result<Owned> {
    Ok(boolean(this.must_cancel.get()))
}

fn get_cancels(this: &TaskObject) -> Result<Owned> {
    call::integer(this.cancels.get().into())
}

fn get_log_destroy_pending(this: &TaskObject) -> Result<Owned> {
    Ok(boolean(!this.quiet_death.get()))
}

fn set_log_destroy_pending(this: &TaskObject, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.quiet_death.set(!value.truthy()?);
    Ok(())
}
