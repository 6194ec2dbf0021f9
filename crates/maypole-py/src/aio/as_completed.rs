//! `as_completed`: natively, under the conditions of [`gather`](super::gather) and without a timeout; else asyncio's own.
//!
//! A child that is done queues the iterator, as asyncio queues a callback for it. Who asks for the next one takes it from there or
//! waits in line.
//!
//! Source: <https://docs.python.org/3/library/asyncio-task.html#asyncio.as_completed>

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{CStr, c_int, c_void};

use pyo3::ffi;

use super::children::{are_native, child_of, is_replaced};
use super::held::{self, Held};
use super::operation::{self, Operation, Step, Steps};
use super::stdlib;
use super::waiters::Waiters;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Native, Visitor, add_function, enter, fast, module_function};
use crate::capi::error::{check, raise};
use crate::capi::object::none;
use crate::capi::{Args, Field, Obj, Owned, Raised, Result, call, last_calls};
use crate::event_loop::LoopObject;
use crate::future::FutureObject;

/// The memory of what `as_completed` returns.
#[repr(C)]
pub(super) struct Completions {
    ob_base: ffi::PyObject,
    event_loop: Field,
    /// Children that are done and were not looked at, one for each time that the iterator is in the queue.
    #[expect(
        clippy::box_collection,
        reason = "zeroed memory is an empty Option of a Box, but no VecDeque"
    )]
    noted: RefCell<Option<Box<VecDeque<Owned>>>>,
    /// Children that are done, in the order of their completion.
    #[expect(
        clippy::box_collection,
        reason = "zeroed memory is an empty Option of a Box, but no VecDeque"
    )]
    done: RefCell<Option<Box<VecDeque<Owned>>>>,
    /// Those who wait for the next one.
    line: Waiters,
    /// How many children nobody has asked for.
    left: Cell<usize>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for Completions {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const CLASS_DOC: &CStr =
    c"What as_completed() returns: iterate over it with `for`, awaiting each, or with `async for`.";
const DOC: &CStr = c"as_completed(fs, *, timeout=None)\n--\n\n\
Run awaitables concurrently and iterate over them in the order of their completion.\n\n\
Args:\n    fs: coroutines, which become tasks, and futures.\n    timeout: seconds for all of them; None for no limit.\n\n\
Raises:\n    TypeError: if fs is one awaitable.\n    TimeoutError: from what is awaited after the timeout.\n\n\
Cancel safety: a cancelled wait leaves the child to the next.\n\n\
Source: https://docs.python.org/3/library/asyncio-task.html#asyncio.as_completed\n\n\
Example:\n    >>> import maypole\n    >>> async def main():\n    ...     sleeps = [maypole.sleep(0.02, 'b'), maypole.sleep(0.001, 'a')]\n    \
...     return [await one for one in maypole.as_completed(sleeps)]\n    >>> maypole.run(main())\n    ['a', 'b']";

/// Makes the type; called once while the module is imported.
pub(super) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let class = held::base::<Completions>(c"maypole._maypole._AsCompletedIterator", CLASS_DOC)
        .slot(ffi::Py_tp_new, refuse_new as *mut c_void)
        .slot(ffi::Py_tp_iter, itself as *mut c_void)
        .slot(ffi::Py_tp_iternext, next as *mut c_void)
        .slot(ffi::Py_am_aiter, itself as *mut c_void)
        .slot(ffi::Py_am_anext, next_of_async as *mut c_void)
        .fast(
            c"_child_done",
            fast!(Completions, child_done),
            c"Take in a child that is done.",
        );
    TYPE.set(class.build(None)?);
    Ok(())
}

impl Held for Completions {
    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        visitor.visit_opt(self.event_loop.peek())?;
        for children in [&self.noted, &self.done] {
            if let Some(children) = &*children.borrow() {
                children.iter().try_for_each(|child| visitor.visit(child))?;
            }
        }
        self.line.visit(visitor)
    }

    fn clear(&self) {
        let noted = self.noted.borrow_mut().take();
        let done = self.done.borrow_mut().take();
        self.line.clear();
        drop((self.event_loop.take(), noted, done));
    }
}

/// `as_completed(fs, *, timeout=None)`.
fn as_completed(args: Args<'_>) -> Result<Owned> {
    let names = [&*call::interned("fs")?, &*call::interned("timeout")?];
    let [given, timeout] = args.bind_function("as_completed", names, 1)?;
    let given = given.ok_or(Raised)?;
    let running = stdlib::running_loop_or_none()?;
    let own = LoopObject::downcast(&running).filter(|own| own.makes_native_tasks());
    let plain = args.positional().len() == 1 && timeout.is_none_or(Obj::is_none);
    match own {
        Some(own) if plain && is_list(given) && !is_replaced(own.as_obj())? => {
            // SAFETY: a live list or tuple; the copy is a tuple that nobody changes.
            let children = unsafe { Owned::steal(ffi::PySequence_Tuple(given.as_ptr()))? };
            let children = items_of(&children);
            if are_native(children, own.as_obj())? {
                return begin(own, children);
            }
            inherited(args)
        }
        _ => inherited(args),
    }
}

/// Exactly a list or a tuple: anything else may change while it is iterated over, or be an awaitable by mistake.
fn is_list(given: &Obj) -> bool {
    let class = given.type_ptr();
    // SAFETY: the type objects are statics of the interpreter.
    class == &raw mut ffi::PyList_Type || class == &raw mut ffi::PyTuple_Type
}

/// The items of a tuple.
fn items_of(tuple: &Obj) -> &[&Obj] {
    // SAFETY: a tuple (callers' contract), which never changes; `&Obj` has the layout of a non-null object pointer.
    unsafe {
        let size = ffi::PyTuple_GET_SIZE(tuple.as_ptr()) as usize;
        let items = &raw const (*tuple.as_ptr().cast::<ffi::PyTupleObject>()).ob_item;
        std::slice::from_raw_parts(items.cast::<&Obj>(), size)
    }
}

/// asyncio's own `as_completed`: it knows every kind of awaitable and of loop, and timeouts.
#[cold]
fn inherited(args: Args<'_>) -> Result<Owned> {
    let positional = call::tuple(args.positional())?;
    // SAFETY: the lock is held.
    let keywords = unsafe { Owned::steal(ffi::PyDict_New())? };
    for (name, value) in args.keywords() {
        // SAFETY: three live objects.
        check(unsafe { ffi::PyDict_SetItem(keywords.as_ptr(), name.as_ptr(), value.as_ptr()) })?;
    }
    let function = &stdlib::get().as_completed;
    // SAFETY: a callable, a tuple and a dictionary.
    unsafe {
        Owned::steal(last_calls::PyObject_Call(
            function.as_ptr(),
            positional.as_ptr(),
            keywords.as_ptr(),
        ))
    }
}

fn begin(event_loop: &LoopObject, given: &[&Obj]) -> Result<Owned> {
    // SAFETY: our type; the generic allocator gives zeroed memory, which is a valid iterator.
    let object = unsafe { Owned::steal(ffi::PyType_GenericAlloc(TYPE.get().as_ptr().cast(), 0))? };
    // SAFETY: made of our type just now.
    let this = unsafe { Completions::of(object.as_ptr()) };
    this.event_loop.set(event_loop.as_obj().own());
    this.left.set(given.len());
    for child in given {
        let child = child_of(event_loop, child)?;
        // SAFETY: `are_native` has let only native futures through, and `child_of` makes a native task.
        let future = unsafe { FutureObject::of(child.as_ptr()) };
        if future.is_done() {
            // asyncio's callback for it comes in the next turn, too.
            this.note(&child);
            event_loop.enqueue_task(object.clone())?;
        } else {
            future.add_waiter(object.clone())?;
        }
    }
    Ok(object)
}

impl Completions {
    /// The iterator behind a Python object, if it is one. There are no subclasses.
    #[inline(always)]
    pub(super) fn downcast(object: &Obj) -> Option<&Completions> {
        if object.type_ptr().cast() != TYPE.get().as_ptr() {
            return None;
        }
        // SAFETY: the exact type was just checked.
        Some(unsafe { Completions::of(object.as_ptr()) })
    }

    /// A child is done; whoever calls this queues the iterator.
    #[inline]
    pub(super) fn note(&self, child: &Obj) {
        let mut noted = self.noted.borrow_mut();
        noted.get_or_insert_default().push_back(child.own());
    }

    /// Takes in the next child that is done.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed.
    #[inline]
    pub(super) fn step(&self) -> Result<()> {
        let child = self
            .noted
            .borrow_mut()
            .as_mut()
            .and_then(|noted| noted.pop_front());
        match child {
            Some(child) => self.take_in(child),
            None => Ok(()),
        }
    }

    fn take_in(&self, child: Owned) -> Result<()> {
        self.done.borrow_mut().get_or_insert_default().push_back(child);
        self.line.wake_next()
    }

    /// The next child that is done, or a wait for it.
    fn next_done(&self, operation: &Operation, answer: fn(Owned) -> Result<Owned>) -> Result<Step> {
        let child = self.done.borrow_mut().as_mut().and_then(|done| done.pop_front());
        if let Some(child) = child {
            return answer(child).map(Step::Return);
        }
        let step = operation.wait_on(&self.event_loop.get_or_none())?;
        self.line.push(operation)?;
        Ok(step)
    }

    /// Somebody who was woken and cancelled leaves the child to the next in line.
    fn abandon(&self, operation: &Operation) -> Result<()> {
        self.line.remove(operation)?;
        let future = operation.future();
        let any = self.done.borrow().as_ref().is_some_and(|done| !done.is_empty());
        if any && future.is_done() && !future.is_cancelled() {
            self.line.wake_next()?;
        }
        Ok(())
    }
}

/// What `await one` gives in a plain `for`: the result of the child.
fn result_of(child: Owned) -> Result<Owned> {
    match FutureObject::downcast(&child) {
        Some(future) => future.take_result(),
        None => Ok(none()),
    }
}

static NEXT: Steps<Completions> = Steps {
    name: c"as_completed",
    begin: |this, operation| this.next_done(operation, result_of),
    resume: |this, operation, _| this.next_done(operation, result_of),
    abandon: Completions::abandon,
};

static NEXT_OF_ASYNC: Steps<Completions> = Steps {
    name: c"as_completed.__anext__",
    begin: |this, operation| {
        let Some(left) = this.left.get().checked_sub(1) else {
            // SAFETY: the exception types exist while the interpreter does.
            return Err(raise(unsafe { ffi::PyExc_StopAsyncIteration }, ""));
        };
        this.left.set(left);
        this.next_done(operation, Ok)
    },
    resume: |this, operation, _| this.next_done(operation, Ok),
    abandon: Completions::abandon,
};

unsafe extern "C" fn itself(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter passes a live object.
    unsafe { Obj::from_ptr(this) }.own().into_ptr()
}

unsafe extern "C" fn next(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { Completions::of(this) };
        let Some(left) = this.left.get().checked_sub(1) else {
            return Ok(std::ptr::null_mut());
        };
        this.left.set(left);
        operation::new(&NEXT, this, None).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn next_of_async(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let this = unsafe { Completions::of(this) };
        operation::new(&NEXT_OF_ASYNC, this, None).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn refuse_new(
    _: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        Err(crate::capi::error::type_error(
            "cannot create 'maypole._maypole._AsCompletedIterator' instances",
        ))
    })
}

/// `_child_done(child)`: what `child._callbacks` shows.
fn child_done(this: &Completions, args: Args<'_>) -> Result<Owned> {
    this.take_in(args.single("_child_done", "child")?.own())?;
    Ok(none())
}

/// Adds the function and the type to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    add_function(module, c"as_completed", module_function!(as_completed), DOC)?;
    let name = c"_AsCompletedIterator".as_ptr();
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), name, TYPE.get().as_ptr()) })
}
