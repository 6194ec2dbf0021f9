//! Who awaits a future, for asyncio's call graphs (from Python 3.14 on).
//!
//! A task that awaits a native future by itself stands among those that the future tells when it is done. Who waits by other means
//! (`wait`, `as_completed`, a task group) is named by asyncio's code, through the two functions here: they know native futures and
//! hand all others to asyncio's own functions, whose place they take.
//!
//! Source: <https://docs.python.org/3.14/library/asyncio-graph.html>

use std::ffi::CStr;

use pyo3::ffi;

use super::FutureObject;
use super::callbacks::Callback;
use crate::asyncio;
use crate::capi::cell::GilOnce;
use crate::capi::class::{add_function, module_function};
use crate::capi::names::same;
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Result, call, names};

/// asyncio's own functions; before 3.14 it has none.
struct Stock {
    add: Owned,
    discard: Owned,
}

static STOCK: GilOnce<Option<Stock>> = GilOnce::new();

/// Imports what is needed; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if STOCK.is_set() {
        return Ok(());
    }
    if cfg!(not(Py_3_14)) {
        STOCK.set(None);
        return Ok(());
    }
    STOCK.set(Some(Stock {
        add: call::import_from("asyncio.futures", "future_add_to_awaited_by")?,
        discard: call::import_from("asyncio.futures", "future_discard_from_awaited_by")?,
    }));
    Ok(())
}

const ADD_DOC: &CStr = c"_future_add_to_awaited_by(fut, waiter, /)\n--\n\nRecord that waiter awaits fut.";
const DISCARD_DOC: &CStr =
    c"_future_discard_from_awaited_by(fut, waiter, /)\n--\n\nRecord that waiter awaits fut no longer.";

fn add(args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("future_add_to_awaited_by", &["fut", "waiter"], 2)?;
    let (future, waiter) = (given[0], given[1]);
    match FutureObject::downcast(future) {
        Some(own) if is_future(waiter) => own.name_waiter(waiter),
        Some(_) => {}
        None => ask(|stock| &stock.add, future, waiter)?,
    }
    Ok(none())
}

fn discard(args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("future_discard_from_awaited_by", &["fut", "waiter"], 2)?;
    let (future, waiter) = (given[0], given[1]);
    match FutureObject::downcast(future) {
        Some(own) => own.forget_waiter(waiter),
        None => ask(|stock| &stock.discard, future, waiter)?,
    }
    Ok(none())
}

fn ask(which: impl FnOnce(&Stock) -> &Owned, future: &Obj, waiter: &Obj) -> Result<()> {
    match STOCK.get() {
        Some(stock) => which(stock).call(&[future, waiter]).map(drop),
        None => Ok(()),
    }
}

fn is_future(object: &Obj) -> bool {
    let stock = asyncio::get().future.as_ptr().cast();
    FutureObject::downcast(object).is_some() || object.is_instance_of(stock)
}

impl FutureObject {
    fn name_waiter(&self, waiter: &Obj) {
        if self.is_done() {
            return;
        }
        let mut callbacks = self.callbacks.borrow_mut();
        let callbacks = callbacks.get_or_insert_default();
        if !callbacks.iter().any(|callback| callback.names(waiter)) {
            callbacks.push(Callback::Named(waiter.own()));
        }
    }

    fn forget_waiter(&self, waiter: &Obj) {
        let mut callbacks = self.callbacks.borrow_mut();
        let place = callbacks
            .as_ref()
            .and_then(|callbacks| callbacks.iter().position(|callback| callback.names(waiter)));
        let old = match (&mut *callbacks, place) {
            (Some(callbacks), Some(place)) => Some(callbacks.remove(place)),
            _ => None,
        };
        // Dropped last: it may run Python code.
        drop(callbacks);
        drop(old);
    }
}

impl Callback {
    fn names(&self, waiter: &Obj) -> bool {
        matches!(self, Callback::Named(named) if named.is(waiter))
    }

    /// The task or future that waits here; `None` for other functions.
    fn waiting(&self) -> Result<Option<Owned>> {
        match self {
            Callback::Waiter(waiter) | Callback::Named(waiter) => Ok(Some(waiter.clone())),
            Callback::Function { function, .. } => woken_by(function),
        }
    }
}

/// The task that a function wakes, if it is what a task of asyncio's own, or one of ours on another loop, registers.
fn woken_by(function: &Obj) -> Result<Option<Owned>> {
    // SAFETY: the type object is a static of the interpreter.
    if function.type_ptr() != &raw mut ffi::PyCFunction_Type {
        return Ok(None);
    }
    let name = function.get_attr(&names::get().dunder_name)?;
    if !same(&name, &names::get().task_wakeup) {
        return Ok(None);
    }
    // SAFETY: the exact type was checked; the answer is borrowed, or null.
    let task = unsafe { Obj::from_ptr_opt(ffi::PyCFunction_GetSelf(function.as_ptr())) };
    Ok(task.filter(|task| is_future(task)).map(Obj::own))
}

/// `_asyncio_awaited_by`: a frozenset of futures and tasks, or `None`.
pub(super) fn get(this: &FutureObject) -> Result<Owned> {
    let callbacks = this.all_callbacks()?;
    let waiting = callbacks
        .iter()
        .filter_map(|callback| callback.waiting().transpose());
    let waiting = call::collect(waiting)?;
    if waiting.is_empty() {
        return Ok(none());
    }
    let waiting = call::list(waiting)?;
    // SAFETY: a live list.
    unsafe { Owned::steal(ffi::PyFrozenSet_New(waiting.as_ptr())) }
}

/// Adds the functions to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    add_function(
        module,
        c"_future_add_to_awaited_by",
        module_function!(add),
        ADD_DOC,
    )?;
    add_function(
        module,
        c"_future_discard_from_awaited_by",
        module_function!(discard),
        DISCARD_DOC,
    )
}
