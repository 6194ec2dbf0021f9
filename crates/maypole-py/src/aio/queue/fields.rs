//! Texts of a queue, and the attributes that subclasses and libraries use.

use std::ffi::c_void;

use pyo3::ffi;

use super::super::stdlib::{names, string_of};
use super::super::waiters::{finish, is_done};
use super::QueueObject;
use crate::capi::class::{Class, Native, enter, fast, getter, noargs, setter};
use crate::capi::error::attribute_error;
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Result, call};
use crate::future::fields::class_getitem;

pub(super) fn declare(class: Class) -> Class {
    class
        .slot(ffi::Py_tp_repr, repr as *mut c_void)
        .slot(ffi::Py_tp_str, str as *mut c_void)
        .class_method(c"__class_getitem__", class_getitem, c"See PEP 585")
        .fast(
            c"_init",
            fast!(QueueObject, init),
            c"Make the container; a subclass may override it.",
        )
        .fast(
            c"_put",
            fast!(QueueObject, put_item),
            c"Put one item into the container; a subclass may override it.",
        )
        .noargs(
            c"_get",
            noargs!(QueueObject, get_item),
            c"Take one item out of the container; a subclass may override it.",
        )
        .fast(
            c"_wakeup_next",
            fast!(QueueObject, wake_next),
            c"Wake the first of these futures that is not done.",
        )
        .noargs(c"_format", noargs!(QueueObject, format), c"Describe the queue.")
        .attribute(c"maxsize", getter!(QueueObject, get_maxsize), None)
        .attribute(
            c"_maxsize",
            getter!(QueueObject, get_maxsize),
            Some(setter!(QueueObject, set_maxsize)),
        )
        .attribute(
            c"_queue",
            getter!(QueueObject, get_queue),
            Some(setter!(QueueObject, set_queue)),
        )
        .attribute(
            c"_getters",
            getter!(QueueObject, get_getters),
            Some(setter!(QueueObject, set_getters)),
        )
        .attribute(
            c"_putters",
            getter!(QueueObject, get_putters),
            Some(setter!(QueueObject, set_putters)),
        )
        .attribute(
            c"_unfinished_tasks",
            getter!(QueueObject, get_unfinished),
            Some(setter!(QueueObject, set_unfinished)),
        )
        .attribute(c"_is_shutdown", getter!(QueueObject, get_shut_down), None)
        .attribute(
            c"_loop",
            getter!(QueueObject, get_loop),
            Some(setter!(QueueObject, set_loop)),
        )
}

fn required(value: Option<&Obj>) -> Result<&Obj> {
    value.ok_or_else(|| attribute_error("cannot delete attribute"))
}

/// `_init(maxsize)`.
fn init(this: &QueueObject, _: Args<'_>) -> Result<Owned> {
    this.items.begin(this.order())?;
    Ok(none())
}

fn put_item(this: &QueueObject, args: Args<'_>) -> Result<Owned> {
    this.items.push(args.single("_put", "item")?.own())?;
    Ok(none())
}

fn get_item(this: &QueueObject) -> Result<Owned> {
    this.items.take()
}

/// `_wakeup_next(waiters)`, for subclasses with waiters of their own.
fn wake_next(_: &QueueObject, args: Args<'_>) -> Result<Owned> {
    let waiters = args.single("_wakeup_next", "waiters")?;
    while waiters.truthy()? {
        let waiter = waiters.call_method(&names().popleft, &[])?;
        if !is_done(&waiter)? {
            finish(&waiter, none())?;
            break;
        }
    }
    Ok(none())
}

fn get_maxsize(this: &QueueObject) -> Result<Owned> {
    Ok(this.maxsize.get_or_none())
}

fn set_maxsize(this: &QueueObject, value: Option<&Obj>) -> Result<()> {
    this.set_room(required(value)?)
}

fn get_queue(this: &QueueObject) -> Result<Owned> {
    this.items.show()
}

fn set_queue(this: &QueueObject, value: Option<&Obj>) -> Result<()> {
    this.items.replace(value)
}

fn get_getters(this: &QueueObject) -> Result<Owned> {
    this.getters.show()
}

fn set_getters(this: &QueueObject, value: Option<&Obj>) -> Result<()> {
    this.getters.replace(value)
}

fn get_putters(this: &QueueObject) -> Result<Owned> {
    this.putters.show()
}

fn set_putters(this: &QueueObject, value: Option<&Obj>) -> Result<()> {
    this.putters.replace(value)
}

fn get_unfinished(this: &QueueObject) -> Result<Owned> {
    call::integer(this.unfinished.get())
}

fn set_unfinished(this: &QueueObject, value: Option<&Obj>) -> Result<()> {
    this.unfinished.set(required(value)?.as_i64()?);
    Ok(())
}

fn get_shut_down(this: &QueueObject) -> Result<Owned> {
    Ok(boolean(this.is_shut_down.get()))
}

fn get_loop(this: &QueueObject) -> Result<Owned> {
    Ok(this.bound.get_loop())
}

fn set_loop(this: &QueueObject, value: Option<&Obj>) -> Result<()> {
    this.bound.set_loop(value)
}

fn text_of_repr(object: &Obj) -> Result<String> {
    // SAFETY: a live object.
    string_of(&*unsafe { Owned::steal(ffi::PyObject_Repr(object.as_ptr()))? })
}

/// `_format()`: what `repr` and `str` show.
fn format(this: &QueueObject) -> Result<Owned> {
    let mut text = format!("maxsize={}", text_of_repr(&this.maxsize.get_or_none())?);
    if this.items.len()? > 0 {
        text += &format!(" _queue={}", text_of_repr(&*this.items.to_list()?)?);
    }
    for (name, line) in [("_getters", &this.getters), ("_putters", &this.putters)] {
        match line.len()? {
            0 => {}
            length => text += &format!(" {name}[{length}]"),
        }
    }
    if this.unfinished.get() != 0 {
        text += &format!(" tasks={}", this.unfinished.get());
    }
    if this.is_shut_down.get() {
        text += " shutdown";
    }
    call::text(&text)
}

fn described(this: &QueueObject) -> Result<(String, String)> {
    let class = this.as_obj().type_ptr().cast();
    // SAFETY: the type of a live object is live.
    let name = unsafe { Obj::from_ptr(class) }.get_attr(&*call::interned("__name__")?)?;
    let format = this.as_obj().call_method(&*call::interned("_format")?, &[])?;
    Ok((string_of(&name)?, string_of(&format)?))
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let (name, format) = described(unsafe { QueueObject::of(this) })?;
        call::text(&format!("<{name} at {this:p} {format}>")).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn str(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let (name, format) = described(unsafe { QueueObject::of(this) })?;
        call::text(&format!("<{name} {format}>")).map(Owned::into_ptr)
    })
}
