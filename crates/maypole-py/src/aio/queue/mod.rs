//! `Queue`, `LifoQueue`, `PriorityQueue`: asyncio's queues, natively.
//!
//! * this file: the memory, the types, putting and taking;
//! * [`items`]: what is in the queue;
//! * [`flow`]: `put`, `get` and `join`, which may wait;
//! * [`fields`]: texts, and the attributes that subclasses and libraries use.
//!
//! A subclass may override what asyncio lets it override (`_init`, `_put`, `_get`) and more (`qsize`, `full`, `put_nowait`): for an
//! instance of a subclass every such step is a call of its method.
//!
//! Source: <https://docs.python.org/3/library/asyncio-queue.html>

mod fields;
mod flow;
mod items;

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use pyo3::ffi;

use super::bound::Bound;
use super::held::{self, Arguments, Held};
use super::stdlib::{self, names};
use super::waiters::{Waiters, finish, is_done};
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, fast, noargs};
use crate::capi::error::{check, restore, value_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Field, Obj, Owned, Raised, Result, call};
use items::{Items, Order};

/// The memory of a `maypole.Queue`.
#[repr(C)]
struct QueueObject {
    bound: Bound,
    items: Items,
    getters: Waiters,
    putters: Waiters,
    joiners: Waiters,
    /// `maxsize` as it was given.
    maxsize: Field,
    /// The same as a number; 0 for no limit.
    room: Cell<i64>,
    /// Items that were put and for which `task_done` was not called.
    unfinished: Cell<i64>,
    is_shut_down: Cell<bool>,
    /// Exactly one of the three types: nothing is overridden.
    is_plain: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `Bound`, hence with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for QueueObject {}

struct Types {
    queue: Owned,
    lifo: Owned,
    priority: Owned,
}

static TYPES: GilOnce<Types> = GilOnce::new();

const DOC: &CStr = c"Queue(maxsize=0)\n--\n\nItems from tasks to tasks, first in, first out; asyncio's Queue, natively.\n\n\
Args:\n    maxsize: items for which there is room; 0 or less for no limit.\n\n\
Cancel safety: a cancelled put() has put nothing and a cancelled get() has taken nothing; the next in line is woken.\n\n\
Source: https://docs.python.org/3/library/asyncio-queue.html#asyncio.Queue";
const LIFO_DOC: &CStr = c"LifoQueue(maxsize=0)\n--\n\nA Queue that gives the item put last.\n\n\
Source: https://docs.python.org/3/library/asyncio-queue.html#asyncio.LifoQueue";
const PRIORITY_DOC: &CStr = c"PriorityQueue(maxsize=0)\n--\n\nA Queue that gives the smallest item.\n\n\
Source: https://docs.python.org/3/library/asyncio-queue.html#asyncio.PriorityQueue";

/// Makes the types; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if TYPES.is_set() {
        return Ok(());
    }
    let queue = held::build(fields::declare(with_methods(class(c"maypole.Queue", DOC))), None)?;
    let lifo = held::build(class(c"maypole.LifoQueue", LIFO_DOC), Some(&queue))?;
    let priority = held::build(class(c"maypole.PriorityQueue", PRIORITY_DOC), Some(&queue))?;
    TYPES.set(Types {
        queue,
        lifo,
        priority,
    });
    Ok(())
}

fn class(name: &'static CStr, doc: &'static CStr) -> Class {
    let dict = std::mem::offset_of!(QueueObject, bound.dict);
    let weak = std::mem::offset_of!(QueueObject, bound.weak_references);
    held::class::<QueueObject>(name, doc, dict, weak)
}

fn with_methods(class: Class) -> Class {
    let class = class
        .fast(
            c"put",
            fast!(QueueObject, flow::put),
            c"put($self, item)\n--\n\nAwait it: puts the item once there is room.",
        )
        .noargs(
            c"get",
            noargs!(QueueObject, flow::get),
            c"Await it: returns the next item once there is one.",
        )
        .noargs(
            c"join",
            noargs!(QueueObject, flow::join),
            c"Await it: returns once task_done() was called for every item.",
        )
        .fast(
            c"put_nowait",
            fast!(QueueObject, put_nowait),
            c"put_nowait($self, item)\n--\n\nPut the item, or raise QueueFull.",
        )
        .noargs(
            c"get_nowait",
            noargs!(QueueObject, get_nowait),
            c"Return the next item, or raise QueueEmpty.",
        )
        .noargs(
            c"qsize",
            noargs!(QueueObject, qsize),
            c"Return the number of items in the queue.",
        )
        .noargs(
            c"empty",
            noargs!(QueueObject, empty),
            c"Return True if there are no items.",
        )
        .noargs(
            c"full",
            noargs!(QueueObject, full),
            c"Return True if there is no room; never if maxsize is 0.",
        )
        .noargs(
            c"task_done",
            noargs!(QueueObject, task_done),
            c"Say that the work on one item that was taken is done.",
        );
    if cfg!(Py_3_13) {
        return class.fast(
            c"shutdown",
            fast!(QueueObject, shutdown),
            c"shutdown($self, immediate=False)\n--\n\nLet put() and, once the queue is empty, get() raise QueueShutDown.",
        );
    }
    class
}

impl Held for QueueObject {
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        self.bound.visit(visitor)?;
        self.items.visit(visitor)?;
        for line in [&self.getters, &self.putters, &self.joiners] {
            line.visit(visitor)?;
        }
        visitor.visit_opt(self.maxsize.peek())
    }

    fn clear(&self) {
        self.bound.clear();
        self.items.clear();
        for line in [&self.getters, &self.putters, &self.joiners] {
            line.clear();
        }
        drop(self.maxsize.take());
    }

    fn weak_references(&self) -> Option<&Cell<*mut ffi::PyObject>> {
        Some(&self.bound.weak_references)
    }

    fn initialise(&self, args: Arguments) -> Result<()> {
        let maxsize = match args.optional("Queue", "maxsize")? {
            Some(given) => given.own(),
            None => call::integer(0)?,
        };
        for line in [&self.getters, &self.putters, &self.joiners] {
            line.clear();
        }
        self.unfinished.set(0);
        self.is_shut_down.set(false);
        self.set_room(&maxsize)?;
        let types = TYPES.get();
        let class = self.as_obj().type_ptr().cast();
        self.is_plain.set(
            [&types.queue, &types.lifo, &types.priority]
                .iter()
                .any(|own| own.as_ptr() == class),
        );
        self.items.begin(self.order())?;
        if !self.is_plain.get() {
            self.as_obj().call_method(&names().initialise, &[&maxsize])?;
        }
        Ok(())
    }
}

impl QueueObject {
    fn order(&self) -> Order {
        let (types, this) = (TYPES.get(), self.as_obj());
        if this.is_instance_of(types.lifo.as_ptr().cast()) {
            Order::LastIn
        } else if this.is_instance_of(types.priority.as_ptr().cast()) {
            Order::Smallest
        } else {
            Order::FirstIn
        }
    }

    /// Any number will do as asyncio's `maxsize`: 2.5 has room for 3 items, infinity for all.
    fn set_room(&self, maxsize: &Obj) -> Result<()> {
        let room = maxsize.as_f64()?.ceil();
        self.maxsize.set(maxsize.own());
        // A float beyond the range becomes the end of the range.
        self.room.set(if room.is_finite() { room as i64 } else { 0 });
        Ok(())
    }

    #[inline]
    fn is_full(&self) -> Result<bool> {
        if !self.is_plain.get() {
            return self.as_obj().call_method(&names().full, &[])?.truthy();
        }
        let room = self.room.get();
        Ok(room > 0 && self.items.len()? as i64 >= room)
    }

    #[inline]
    fn is_empty(&self) -> Result<bool> {
        if !self.is_plain.get() {
            return self.as_obj().call_method(&names().empty, &[])?.truthy();
        }
        Ok(self.items.len()? == 0)
    }

    #[inline]
    fn put_now(&self, item: &Obj) -> Result<()> {
        if self.is_shut_down.get() {
            return Err(shut_down());
        }
        if self.is_full()? {
            return Err(raise_class(&stdlib::get().queue_full));
        }
        if self.is_plain.get() {
            self.items.push(item.own())?;
        } else {
            self.as_obj().call_method(&names().put_item, &[item])?;
        }
        self.unfinished.set(self.unfinished.get() + 1);
        self.getters.wake_next()
    }

    #[inline]
    fn get_now(&self) -> Result<Owned> {
        if self.is_empty()? {
            return Err(if self.is_shut_down.get() {
                shut_down()
            } else {
                raise_class(&stdlib::get().queue_empty)
            });
        }
        let item = self.take_item()?;
        self.putters.wake_next()?;
        Ok(item)
    }

    #[inline]
    fn take_item(&self) -> Result<Owned> {
        if self.is_plain.get() {
            self.items.take()
        } else {
            self.as_obj().call_method(&names().get_item, &[])
        }
    }

    /// Wakes everybody in `join`.
    fn tell_joiners(&self) -> Result<()> {
        let mut place = 0;
        while let Some(joiner) = self.joiners.at(place)? {
            if !is_done(&joiner)? {
                finish(&joiner, boolean(true))?;
            }
            place += 1;
        }
        Ok(())
    }
}

#[cold]
fn raise_class(class: &Obj) -> Raised {
    match class.call(&[]) {
        Ok(exception) => restore(exception),
        Err(raised) => raised,
    }
}

#[cold]
#[cfg(Py_3_13)]
fn shut_down() -> Raised {
    raise_class(&stdlib::get().queue_shut_down)
}

/// Before 3.13 asyncio's queues cannot be shut down, and neither can ours.
#[cold]
#[cfg(not(Py_3_13))]
fn shut_down() -> Raised {
    crate::capi::error::runtime_error("the queue was shut down")
}

fn put_nowait(this: &QueueObject, args: Args<'_>) -> Result<Owned> {
    this.put_now(args.single("put_nowait", "item")?)?;
    Ok(none())
}

fn get_nowait(this: &QueueObject) -> Result<Owned> {
    this.get_now()
}

fn qsize(this: &QueueObject) -> Result<Owned> {
    call::unsigned(this.items.len()? as u64)
}

fn empty(this: &QueueObject) -> Result<Owned> {
    Ok(boolean(this.items.len()? == 0))
}

fn full(this: &QueueObject) -> Result<Owned> {
    let room = this.room.get();
    if room <= 0 {
        return Ok(boolean(false));
    }
    let size = if this.is_plain.get() {
        this.items.len()? as i64
    } else {
        this.as_obj().call_method(&names().qsize, &[])?.as_i64()?
    };
    Ok(boolean(size >= room))
}

fn task_done(this: &QueueObject) -> Result<Owned> {
    let left = this.unfinished.get() - 1;
    if left < 0 {
        return Err(value_error("task_done() called too many times"));
    }
    this.unfinished.set(left);
    if left == 0 {
        this.tell_joiners()?;
    }
    Ok(none())
}

fn shutdown(this: &QueueObject, args: Args<'_>) -> Result<Owned> {
    let [immediate] = args.bind("shutdown", [&*call::interned("immediate")?], 0)?;
    let immediate = immediate.map_or(Ok(false), Obj::truthy)?;
    this.is_shut_down.set(true);
    if immediate {
        while !this.is_empty()? {
            drop(this.take_item()?);
            this.unfinished.set((this.unfinished.get() - 1).max(0));
        }
        if this.unfinished.get() == 0 {
            this.tell_joiners()?;
        }
    }
    // Everybody looks again, and finds the queue shut down.
    for line in [&this.getters, &this.putters] {
        while let Some(waiter) = line.pop()? {
            if !is_done(&waiter)? {
                finish(&waiter, none())?;
            }
        }
    }
    Ok(none())
}

/// Adds the types to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    let types = TYPES.get();
    for (name, class) in [
        (c"Queue", &types.queue),
        (c"LifoQueue", &types.lifo),
        (c"PriorityQueue", &types.priority),
    ] {
        // SAFETY: a live module, a C string and a live type.
        check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), class.as_ptr()) })?;
    }
    Ok(())
}
