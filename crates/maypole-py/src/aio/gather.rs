//! `gather`: natively, when it runs in a native loop and gets coroutines and native futures; else asyncio's own.
//!
//! A child that is done queues the gathering, as asyncio queues a callback for it: the order of everything else stays the same. No
//! handle, no context and no Python function is made for a child.
//!
//! Source: <https://docs.python.org/3/library/asyncio-task.html#asyncio.gather>

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use super::children::{are_native, child_of, is_replaced};
use super::stdlib;
use crate::asyncio;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, add_function, enter, fast, getter, module_function};
use crate::capi::error::{check, memory_error};
use crate::capi::object::{boolean, none};
use crate::capi::{Args, Obj, Owned, Result, call, last_calls, names, nesting};
use crate::event_loop::LoopObject;
use crate::future::outcome::exception;
use crate::future::{self, FutureObject, State};
use crate::task::cancel::cancel_awaited;

/// The memory of the future that `gather` returns.
#[repr(C)]
pub(crate) struct Gathering {
    future: FutureObject,
    /// In the order of the results; given up when the last is done.
    #[expect(
        clippy::box_collection,
        reason = "zeroed memory is an empty Option of a Box, but no Vec"
    )]
    children: RefCell<Option<Box<Vec<Owned>>>>,
    /// Children that are done and were not looked at, one for each time that the gathering is in the queue.
    #[expect(
        clippy::box_collection,
        reason = "zeroed memory is an empty Option of a Box, but no VecDeque"
    )]
    done: RefCell<Option<Box<VecDeque<Owned>>>>,
    /// How many children were not looked at.
    pending: Cell<usize>,
    return_exceptions: Cell<bool>,
    cancel_requested: Cell<bool>,
}

// SAFETY: `repr(C)`, begins with a `FutureObject`, hence with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for Gathering {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const CLASS_DOC: &CStr = c"The future that gather() returns: cancelling it cancels its children.";
const DOC: &CStr = c"gather(*coros_or_futures, return_exceptions=False)\n--\n\n\
Run awaitables concurrently and return a future of the list of their results, in the order of the arguments.\n\n\
Args:\n    coros_or_futures: coroutines, which become tasks, and futures; one given twice runs once.\n    \
return_exceptions: True puts exceptions among the results; False raises the first one, and the others go on.\n\n\
Raises:\n    ValueError: if futures belong to different loops.\n\n\
Cancel safety: cancelling the future cancels every child that is not done.\n\n\
Source: https://docs.python.org/3/library/asyncio-task.html#asyncio.gather\n\n\
Example:\n    >>> import maypole\n    >>> async def main():\n    ...     return await maypole.gather(maypole.sleep(0, 'a'), maypole.sleep(0, 'b'))\n    \
>>> maypole.run(main())\n    ['a', 'b']";

/// The type object.
#[inline(always)]
pub(super) fn class() -> &'static Obj {
    TYPE.get()
}

/// Makes the type; called once while the module is imported, after the future's.
pub(super) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let class = Class::new(
        c"maypole._maypole._GatheringFuture",
        size_of::<Gathering>(),
        CLASS_DOC,
    )
    .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
    .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
    .slot(ffi::Py_tp_clear, clear as *mut c_void)
    .fast(
        c"cancel",
        fast!(Gathering, cancel),
        c"Cancel every child that is not done; return whether there was one.",
    )
    .fast(
        c"_child_done",
        fast!(Gathering, child_done),
        c"Look at a child that is done.",
    )
    .attribute(c"_children", getter!(Gathering, get_children), None)
    .attribute(c"__class__", getter!(Gathering, get_class), None);
    TYPE.set(class.build(Some(future::class()))?);
    Ok(())
}

/// `gather(*coros_or_futures, return_exceptions=False)`.
fn gather(args: Args<'_>) -> Result<Owned> {
    let return_exceptions = match args.only_keyword("gather", &stdlib::names().return_exceptions)? {
        Some(given) => given.truthy()?,
        None => false,
    };
    let given = args.positional();
    let running = stdlib::running_loop_or_none()?;
    match LoopObject::downcast(&running) {
        Some(own)
            if own.makes_native_tasks()
                && !is_replaced(own.as_obj())?
                && are_native(given, own.as_obj())? =>
        {
            begin(own, given, return_exceptions)
        }
        _ => inherited(given, return_exceptions),
    }
}

/// asyncio's own `gather`: it knows every kind of awaitable and of loop.
#[cold]
fn inherited(given: &[&Obj], return_exceptions: bool) -> Result<Owned> {
    let positional = call::tuple(given)?;
    // SAFETY: the lock is held.
    let keywords = unsafe { Owned::steal(ffi::PyDict_New())? };
    let (name, value) = (&stdlib::names().return_exceptions, boolean(return_exceptions));
    // SAFETY: three live objects.
    check(unsafe { ffi::PyDict_SetItem(keywords.as_ptr(), name.as_ptr(), value.as_ptr()) })?;
    let function = &stdlib::get().gather;
    // SAFETY: a callable, a tuple and a dictionary.
    unsafe {
        Owned::steal(last_calls::PyObject_Call(
            function.as_ptr(),
            positional.as_ptr(),
            keywords.as_ptr(),
        ))
    }
}

fn begin(event_loop: &LoopObject, given: &[&Obj], return_exceptions: bool) -> Result<Owned> {
    // SAFETY: our type; the generic allocator gives zeroed memory, which is a valid gathering.
    let object = unsafe { Owned::steal(ffi::PyType_GenericAlloc(class().as_ptr().cast(), 0))? };
    // SAFETY: made of our type just now.
    let this = unsafe { Gathering::of(object.as_ptr()) };
    this.future.begin(event_loop.as_obj())?;
    this.return_exceptions.set(return_exceptions);
    this.pending.set(given.len());
    let (mut children, mut done) = (Vec::new(), Vec::new());
    let reserved = children.try_reserve_exact(given.len());
    reserved.map_err(|_| memory_error())?;
    for child in given {
        let child = child_of(event_loop, child)?;
        // SAFETY: `are_native` has let only native futures through, and `child_of` makes a native task.
        let future = unsafe { FutureObject::of(child.as_ptr()) };
        if future.is_done() && cfg!(Py_3_12) {
            done.push(child.clone());
        } else if future.is_done() {
            // Up to Python 3.11 asyncio hears of it in the next turn, as of one that is done later.
            this.note(&child);
            event_loop.enqueue(object.clone())?;
        } else {
            future.add_waiter(object.clone())?;
        }
        children.push(child);
    }
    *this.children.borrow_mut() = Some(Box::new(children));
    for child in done {
        this.look_at(&child)?;
    }
    Ok(object)
}

impl Gathering {
    /// The gathering behind a Python object, if it is one. There are no subclasses.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&Gathering> {
        if object.type_ptr().cast() != TYPE.get().as_ptr() {
            return None;
        }
        // SAFETY: the exact type was just checked.
        Some(unsafe { Gathering::of(object.as_ptr()) })
    }

    /// A child is done; whoever calls this queues the gathering.
    #[inline]
    pub(super) fn note(&self, child: &Obj) {
        self.done
            .borrow_mut()
            .get_or_insert_default()
            .push_back(child.own());
    }

    /// Looks at the next child that is done.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed.
    #[inline]
    pub(super) fn step(&self) -> Result<()> {
        let child = self.done.borrow_mut().as_mut().and_then(|done| done.pop_front());
        match child {
            Some(child) => self.look_at(&child),
            None => Ok(()),
        }
    }

    #[inline]
    fn look_at(&self, child: &Obj) -> Result<()> {
        let Some(child) = FutureObject::downcast(child) else {
            return Ok(());
        };
        self.pending.set(self.pending.get().saturating_sub(1));
        if self.future.is_done() {
            // Somebody was told of another failure, or cancelled; this one counts as seen.
            child.forget_unretrieved();
            return Ok(());
        }
        if !self.return_exceptions.get() {
            match child.state() {
                State::Cancelled => return self.future.fail(child.make_cancelled_error()?),
                State::Failed => return self.future.fail(exception(child)?),
                State::Pending | State::Finished => {}
            }
        }
        if self.pending.get() == 0 {
            self.complete()
        } else {
            Ok(())
        }
    }

    /// All children are done. The word of a cancellation is that of the last argument, as in asyncio.
    fn complete(&self) -> Result<()> {
        let children = self.children.borrow_mut().take();
        let children = children.map(|children| *children).unwrap_or_default();
        let results = children.iter().map(|child| result_of(child));
        let results = call::list(results.collect::<Result<_>>()?)?;
        match children.last().and_then(|last| FutureObject::downcast(last)) {
            Some(last) if self.cancel_requested.get() => self.future.fail(last.make_cancelled_error()?),
            _ => self.future.finish(results),
        }
    }
}

/// What stands for a child among the results.
#[inline]
fn result_of(child: &Obj) -> Result<Owned> {
    let Some(child) = FutureObject::downcast(child) else {
        return Ok(none());
    };
    match child.state() {
        State::Cancelled => {
            let message = match child.cancel_message() {
                Some(message) if !message.is_none() => message,
                _ => call::text("")?,
            };
            asyncio::get().cancelled_error.call(&[&message])
        }
        State::Failed => exception(child),
        State::Pending | State::Finished => child.take_result(),
    }
}

fn cancel(this: &Gathering, args: Args<'_>) -> Result<Owned> {
    let [message] = args.bind("cancel", [&names::get().msg], 0)?;
    if this.future.is_done() {
        return Ok(boolean(false));
    }
    let mut any = false;
    for child in this.copy_of_children()? {
        any |= cancel_awaited(&child, message)?;
    }
    if any {
        this.cancel_requested.set(true);
    }
    Ok(boolean(any))
}

/// `_child_done(child)`: what `child._callbacks` shows.
fn child_done(this: &Gathering, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("_child_done", &["child"], 1)?;
    this.look_at(given[0])?;
    Ok(none())
}

fn get_children(this: &Gathering) -> Result<Owned> {
    call::list(this.copy_of_children()?)
}

/// `__class__`: asyncio's own, so that `isinstance` holds as it does for asyncio's gathering futures.
fn get_class(_: &Gathering) -> Result<Owned> {
    Ok(stdlib::get().gathering_future.clone())
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    unsafe { nesting::free(this, free) };
}

unsafe fn free(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero; the finalizer may bring it back.
    if unsafe { ffi::PyObject_CallFinalizerFromDealloc(this) } < 0 {
        return;
    }
    // SAFETY: as above.
    let (class, gathering) = unsafe { (ffi::Py_TYPE(this), Gathering::of(this)) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    enter((), || {
        gathering.future.clear_weak_references();
        gathering.clear();
        Ok(())
    });
    // SAFETY: memory of a collected object, untracked above.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

impl Gathering {
    fn copy_of_children(&self) -> Result<Vec<Owned>> {
        let children = self.children.borrow();
        call::collect(
            children
                .iter()
                .flat_map(|children| children.iter())
                .cloned()
                .map(Ok),
        )
    }

    fn clear(&self) {
        let children = self.children.borrow_mut().take();
        let done = self.done.borrow_mut().take();
        drop((self.future.clear(), children, done));
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        if let Some(children) = &*self.children.borrow() {
            children.iter().try_for_each(|child| visitor.visit(child))?;
        }
        if let Some(done) = &*self.done.borrow() {
            done.iter().try_for_each(|child| visitor.visit(child))?;
        }
        self.future.traverse_with_class(visitor)
    }
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        Ok(unsafe { Gathering::of(this) }.visit(visitor).err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        unsafe { Gathering::of(this) }.clear();
        Ok(0)
    })
}

/// Adds the function and the type to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    add_function(module, c"gather", module_function!(gather), DOC)?;
    let name = c"_GatheringFuture".as_ptr();
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name, class().as_ptr()) })
}
