//! Who is told when a future is done, and how.

use std::ffi::c_int;

use pyo3::ffi;

use super::{Callbacks, FutureObject};
use crate::aio::children;
use crate::capi::class::Visitor;
use crate::capi::error::{check, memory_error};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Result, call, last_calls, names};
use crate::context;
use crate::event_loop::LoopObject;

/// Somebody who waits for a future.
#[derive(Clone)]
pub(crate) enum Callback {
    /// A Python function, called through the loop in what was captured for it.
    Function { function: Owned, context: Owned },
    /// A native task, stepped by the loop, or what watches many of them.
    Waiter(Owned),
    /// Somebody who is told in another way: only named, for call graphs.
    Named(Owned),
}

impl Callback {
    pub(super) fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        match self {
            Callback::Function { function, context } => {
                visitor.visit(function)?;
                visitor.visit(context)
            }
            Callback::Waiter(task) | Callback::Named(task) => visitor.visit(task),
        }
    }
}

impl FutureObject {
    /// Registers a native task of the same native loop, to be stepped when the future is done, or what watches many futures.
    ///
    /// # Errors
    /// `MemoryError`.
    #[inline]
    pub(crate) fn add_waiter(&self, task: Owned) -> Result<()> {
        if self.waiter.is_empty() && self.callbacks.borrow().is_none() {
            // The place was empty: there is nothing to drop.
            drop(self.waiter.replace(Some(task)));
            return Ok(());
        }
        self.add_callback(Callback::Waiter(task))
    }

    fn add_callback(&self, callback: Callback) -> Result<()> {
        let reserved = self.callbacks.borrow_mut().get_or_insert_default().try_reserve(1);
        reserved.map_err(|_| memory_error())?;
        self.callbacks.borrow_mut().get_or_insert_default().push(callback);
        Ok(())
    }

    /// Queues everybody who waits, in the order of their registration.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed.
    #[inline]
    pub(super) fn tell_waiters(&self) -> Result<()> {
        if let Some(task) = self.waiter.take() {
            self.wake(task)?;
        }
        if self.callbacks.borrow().is_some() {
            self.tell_callbacks()?;
        }
        Ok(())
    }

    fn tell_callbacks(&self) -> Result<()> {
        let Some(callbacks) = self.callbacks.borrow_mut().take() else {
            return Ok(());
        };
        for callback in *callbacks {
            match callback {
                Callback::Waiter(task) => self.wake(task)?,
                Callback::Function { function, context } => self.call_through_loop(&function, &context)?,
                Callback::Named(_) => {}
            }
        }
        Ok(())
    }

    fn wake(&self, task: Owned) -> Result<()> {
        children::note(&task, self.object());
        let event_loop = self.event_loop()?;
        match LoopObject::downcast(event_loop) {
            Some(own) => own.enqueue_task(task),
            // The loop was replaced by `__init__` since: the task's own wake-up finds its way.
            None => crate::task::wake_through_loop(&task, self.object()),
        }
    }

    /// `loop.call_soon(function, self, context=context)`.
    fn call_through_loop(&self, function: &Obj, context: &Obj) -> Result<()> {
        let event_loop = self.event_loop()?.own();
        match LoopObject::downcast(&event_loop) {
            Some(own) => own.call_soon_with(function, &[self.object()], context),
            None => {
                let context = context::of_its_own(context)?;
                call_soon_of_foreign(&event_loop, function, &[self.object()], &context)
            }
        }
    }
}

/// `loop.call_soon(function, *args, context=context)` of a loop that is not ours.
pub(crate) fn call_soon_of_foreign(
    event_loop: &Obj,
    function: &Obj,
    args: &[&Obj],
    context: &Obj,
) -> Result<()> {
    let method = event_loop.get_attr(&names::get().call_soon)?;
    let mut all = vec![function];
    all.extend_from_slice(args);
    let positional = call::tuple(&all)?;
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

pub(super) fn add_done_callback(this: &FutureObject, args: Args<'_>) -> Result<Owned> {
    let context = args.only_keyword("add_done_callback", &names::get().context)?;
    let (given, _) = args.at_least("add_done_callback", &["fn"], 1)?;
    this.event_loop()?;
    let context = match context {
        Some(context) if !context.is_none() => context.own(),
        _ => context::capture()?,
    };
    if this.is_done() {
        this.call_through_loop(given[0], &context)?;
    } else {
        let callback = Callback::Function {
            function: given[0].own(),
            context,
        };
        this.add_callback(callback)?;
    }
    Ok(none())
}

/// `remove_done_callback(fn)`: compares by `==`, which may run any code, so it works on a copy.
pub(super) fn remove_done_callback(this: &FutureObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("remove_done_callback", &["fn"], 1)?;
    this.event_loop()?;
    let before = this.copy_of_callbacks()?;
    if before.is_empty() {
        return call::integer(0);
    }
    let mut removed = Vec::new();
    for (place, callback) in before.iter().enumerate() {
        if let Callback::Function { function, .. } = callback {
            // SAFETY: two live objects; -1 says that the comparison raised.
            let same =
                unsafe { ffi::PyObject_RichCompareBool(function.as_ptr(), given[0].as_ptr(), ffi::Py_EQ) };
            check(same)?;
            if same == 1 {
                removed.try_reserve(1).map_err(|_| memory_error())?;
                removed.push(place);
            }
        }
    }
    let count = removed.len() as i64;
    if count > 0 {
        drop(this.keep_others(before, &removed)?);
    }
    call::integer(count)
}

/// What a native waiter looks like in `_callbacks`.
fn wakeup_of(waiter: &Obj) -> Result<Owned> {
    children::callback_of(waiter).unwrap_or_else(|| crate::task::wakeup_of(waiter))
}

impl FutureObject {
    /// Puts back what was there `before`, but for the `removed` places; returns what is to be dropped.
    ///
    /// Whoever registered during the comparisons comes after those. If the future was done meanwhile, everybody is told.
    ///
    /// # Errors
    /// `MemoryError`: everybody stays.
    fn keep_others(&self, before: Vec<Callback>, removed: &[usize]) -> Result<(Vec<Callback>, Callbacks)> {
        let mut callbacks = self.callbacks.borrow_mut();
        let Some(now) = &*callbacks else {
            return Ok((before, None));
        };
        let mut kept = before;
        let added = &now[kept.len().min(now.len())..];
        kept.try_reserve(added.len()).map_err(|_| memory_error())?;
        let mut place = 0;
        // These are copies: who goes here is kept alive by the list that is handed back.
        kept.retain(|_| {
            place += 1;
            removed.binary_search(&(place - 1)).is_err()
        });
        kept.extend(added.iter().cloned());
        let kept = (!kept.is_empty()).then(|| Box::new(kept));
        Ok((Vec::new(), std::mem::replace(&mut *callbacks, kept)))
    }

    fn copy_of_callbacks(&self) -> Result<Vec<Callback>> {
        let callbacks = self.callbacks.borrow();
        call::collect(
            callbacks
                .iter()
                .flat_map(|callbacks| callbacks.iter())
                .cloned()
                .map(Ok),
        )
    }

    /// A copy of everything that is registered, in order.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(super) fn all_callbacks(&self) -> Result<Vec<Callback>> {
        let first = self.waiter.get().map(Callback::Waiter);
        call::collect(first.into_iter().chain(self.copy_of_callbacks()?).map(Ok))
    }

    /// `_callbacks`: a list of (function, context), or `None`, as asyncio's code reads it.
    pub(super) fn list_callbacks(&self) -> Result<Owned> {
        let pairs = self
            .all_callbacks()?
            .into_iter()
            .filter_map(|callback| match callback {
                Callback::Function { function, context } => Some(
                    context::of_its_own(&context).and_then(|context| call::tuple(&[&function, &context])),
                ),
                Callback::Waiter(waiter) => {
                    Some(wakeup_of(&waiter).and_then(|wakeup| call::tuple(&[&wakeup, &none()])))
                }
                Callback::Named(_) => None,
            });
        let pairs = call::collect(pairs)?;
        if pairs.is_empty() {
            return Ok(none());
        }
        call::list(pairs)
    }
}
