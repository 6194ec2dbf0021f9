//! An operation that can be awaited: `sleep(1)`, `lock.acquire()`, `queue.get()`.
//!
//! One pooled object is the coroutine and the future that it waits for:
//!
//! * until it is awaited, it is a coroutine that has not begun: `asyncio.iscoroutine` holds, `create_task` takes it, and dropping
//!   it warns that it was never awaited;
//! * if it can be done at once, it returns, and neither frame nor future nor timer was made;
//! * if it has to wait, it yields itself, and while it waits it is a future (`asyncio.isfuture` holds), so that tasks of any kind
//!   can wait for it.
//!
//! What it does is written in its [`Steps`].
//!
//! Invariant: `begin` runs at the first `send`, never when the operation is made.
//! Invariant: an operation that was suspended ends either by `resume` or by `abandon`, never by both.
//! Source: <https://peps.python.org/pep-0492/#coroutine-objects>

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use maypole_core::Key;
use pyo3::ffi;

use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, getter, noargs, setter};
use crate::capi::error::{attribute_error, check, current_is, restore, runtime_error, take, type_error};
use crate::capi::object::{boolean, none};
use crate::capi::pool::{Pool, track};
use crate::capi::{Args, Field, Obj, Owned, Raised, Result, call, names, nesting};
use crate::event_loop::LoopObject;
use crate::future::iterator::{exception_to_throw, itself, stop_iteration};
use crate::future::{self, FutureObject};
use crate::task::step::{Resumed, resume};

/// What a step of an operation ends with.
pub(super) enum Step {
    /// The operation is done.
    Return(Owned),
    /// It waits for its future, which somebody will finish.
    Wait,
    /// It goes on in the next turn.
    Yield,
    /// Another awaitable, given to [`Operation::delegate`], goes on in its place.
    Delegate,
}

/// What an operation on a `T` does. `T` is the object whose method made it.
#[repr(C)]
pub(super) struct Steps<T: 'static> {
    /// What messages call the operation, as a coroutine's `__qualname__`.
    pub(super) name: &'static CStr,
    /// The first step.
    pub(super) begin: fn(&T, &Operation) -> Result<Step>,
    /// Goes on after a suspension, with the result of the future or of the awaitable in its place.
    pub(super) resume: fn(&T, &Operation, Owned) -> Result<Step>,
    /// Undoes what the suspension needs; an exception was thrown into it, or its future failed.
    pub(super) abandon: fn(&T, &Operation) -> Result<()>,
}

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// Nobody has awaited it.
    New = 0,
    /// One of its steps is running.
    Running,
    /// It waits for its future.
    Waiting,
    /// It goes on in the next turn.
    Yielded,
    /// Another awaitable goes on in its place.
    Delegated,
    Done,
}

/// The memory of a `maypole._maypole.Operation`.
#[repr(C)]
pub(crate) struct Operation {
    /// What the task waits for; empty until then.
    future: FutureObject,
    /// The steps, for the type of `owner`.
    steps: Cell<Option<&'static Steps<Obj>>>,
    /// The object whose method made the operation.
    owner: Field,
    /// What the operation works with: an item, a delay, the awaitable in its place.
    value: Field,
    /// Where a search goes on.
    mark: Cell<usize>,
    /// Where the wheel holds the operation, while `timed`.
    timer: Cell<u64>,
    timed: Cell<bool>,
    stage: Cell<Stage>,
}

// SAFETY: `repr(C)`, begins with a `FutureObject`, hence with a `PyObject`; zeroed memory is valid for every field.
unsafe impl Native for Operation {}

struct Types {
    class: Owned,
    pool: Pool,
}

static TYPES: GilOnce<Types> = GilOnce::new();

const DOC: &CStr = c"A native coroutine, such as sleep(1) or lock.acquire(); await it.";

/// The type object.
#[inline(always)]
pub(crate) fn class() -> &'static Obj {
    &TYPES.get().class
}

/// Makes the type; called once while the module is imported, after the future's.
pub(super) fn init() -> Result<()> {
    if TYPES.is_set() {
        return Ok(());
    }
    let class = Class::new(c"maypole._maypole.Operation", size_of::<Operation>(), DOC)
        .slot(ffi::Py_tp_new, refuse_new as *mut c_void)
        .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
        .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
        .slot(ffi::Py_tp_clear, clear as *mut c_void)
        .slot(ffi::Py_tp_repr, repr as *mut c_void)
        .slot(ffi::Py_am_await, itself as *mut c_void)
        .slot(ffi::Py_am_send, send_slot as *mut c_void)
        .slot(ffi::Py_tp_iter, itself as *mut c_void)
        .slot(ffi::Py_tp_iternext, next as *mut c_void)
        .noargs(
            c"__await__",
            noargs!(Operation, await_method),
            c"Return the operation, which is its own iterator.",
        )
        .fast(
            c"send",
            fast!(Operation, send),
            c"Begin or go on; the value is ignored.",
        )
        .fast(
            c"throw",
            fast!(Operation, throw),
            c"Raise an exception where the operation stands.",
        )
        .noargs(c"close", noargs!(Operation, close), c"Give the operation up.")
        .fast(
            c"cancel",
            fast!(Operation, cancel_method),
            c"Cancel the wait; return whether it could be.",
        )
        .attribute(c"__name__", getter!(Operation, get_name), None)
        .attribute(c"__qualname__", getter!(Operation, get_qualified_name), None)
        .attribute(c"cr_running", getter!(Operation, get_running), None)
        .attribute(
            c"_asyncio_future_blocking",
            getter!(Operation, get_blocking),
            Some(setter!(Operation, set_blocking)),
        );
    TYPES.set(Types {
        class: class.build(Some(future::class()))?,
        pool: Pool::new(),
    });
    Ok(())
}

/// An object whose methods make operations.
pub(super) trait Owner {
    fn as_owner(&self) -> &Obj;
}

impl<T: Native> Owner for T {
    fn as_owner(&self) -> &Obj {
        self.as_obj()
    }
}

impl Owner for Obj {
    fn as_owner(&self) -> &Obj {
        self
    }
}

/// A new operation on `owner`.
///
/// # Errors
/// Only when memory is short.
#[inline]
pub(super) fn new<T: Owner>(steps: &'static Steps<T>, owner: &T, value: Option<&Obj>) -> Result<Owned> {
    let types = TYPES.get();
    // SAFETY: the pool is given operations only; empty fields are a valid operation.
    let object = unsafe { types.pool.take(&types.class)? };
    // SAFETY: made of our type just now.
    let this = unsafe { Operation::of(object.as_ptr()) };
    let steps = std::ptr::from_ref(steps).cast::<Steps<Obj>>();
    // SAFETY: `Steps` is `repr(C)`, and its functions take `&T` where they are called with `&Obj`: both are pointers to the same
    // Python object, since `owner` is one.
    this.steps.set(Some(unsafe { &*steps }));
    this.owner.set(owner.as_owner().own());
    if let Some(value) = value {
        this.value.set(value.own());
    }
    this.stage.set(Stage::New);
    track(&object);
    Ok(object)
}

impl Operation {
    /// The operation behind a Python object, if it is one. There are no subclasses.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&Operation> {
        if object.type_ptr().cast() != class().as_ptr() {
            return None;
        }
        // SAFETY: the exact type was just checked.
        Some(unsafe { Operation::of(object.as_ptr()) })
    }

    /// Whether nobody has awaited it.
    pub(super) fn is_new(&self) -> bool {
        self.stage.get() == Stage::New
    }

    /// The operation's future: pending while it waits.
    #[inline(always)]
    pub(super) fn future(&self) -> &FutureObject {
        &self.future
    }

    /// What the operation was made with.
    pub(super) fn value(&self) -> Owned {
        self.value.get_or_none()
    }

    pub(super) fn set_value(&self, value: Owned) {
        self.value.set(value);
    }

    /// Where a search goes on; 0 at first.
    pub(super) fn mark(&self) -> usize {
        self.mark.get()
    }

    pub(super) fn set_mark(&self, mark: usize) {
        self.mark.set(mark);
    }

    /// Begins to wait on `event_loop`, for the first time or once more.
    ///
    /// # Errors
    /// In debug mode what formatting the stack raises.
    #[inline]
    pub(super) fn wait_on(&self, event_loop: &Obj) -> Result<Step> {
        if self.future.is_done() {
            self.future.rearm();
        } else {
            self.future.begin(event_loop)?;
        }
        Ok(Step::Wait)
    }

    /// Lets `awaitable` go on in the operation's place; `resume` gets its result.
    ///
    /// # Errors
    /// `TypeError` if it cannot be awaited, and what its `__await__` raises.
    pub(super) fn delegate(&self, awaitable: &Obj) -> Result<Step> {
        self.value.set(iterator_of(awaitable)?);
        Ok(Step::Delegate)
    }

    /// Lets the wheel of `event_loop` finish the future at the loop time `when_s`, unless somebody else does before.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed.
    #[inline]
    pub(super) fn finish_at(&self, event_loop: &LoopObject, when_s: f64) -> Result<()> {
        let key = event_loop.schedule_at(when_s, self.as_obj().own())?;
        self.timer.set(key.to_bits());
        self.timed.set(true);
        Ok(())
    }

    /// Takes the timer out of the wheel; one that has fired is gone already.
    #[inline]
    pub(super) fn drop_timer(&self) {
        if self.timed.replace(false)
            && let Some(own) = self.future.loop_if_begun().and_then(LoopObject::downcast)
        {
            // The operation itself stays alive: whoever runs it holds it.
            drop(own.take_timer(Key::from_bits(self.timer.get())));
        }
    }

    /// The timer is due: the operation goes on.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed, or what a foreign loop raises.
    #[inline]
    pub(crate) fn fire(&self) -> Result<()> {
        self.timed.set(false);
        if self.future.is_done() {
            return Ok(());
        }
        self.future.finish(none())
    }

    /// Cancels the wait, as the task does that is cancelled while it waits.
    ///
    /// # Errors
    /// `RuntimeError` if the operation does not wait, or its loop is closed.
    pub(crate) fn cancel(&self, message: Option<&Obj>) -> Result<bool> {
        self.future.event_loop()?;
        self.drop_timer();
        self.future.cancel(message, None)
    }

    fn steps(&self) -> Result<&'static Steps<Obj>> {
        self.steps
            .get()
            .ok_or_else(|| runtime_error("the operation was cleared"))
    }
}

/// What an operation gives to whoever drives it.
enum Driven {
    Yielded(Owned),
    Returned(Owned),
}

impl Operation {
    /// Runs up to the next suspension.
    #[inline]
    fn drive(&self) -> Result<Driven> {
        let steps = self.steps()?;
        let outcome = match self.stage.replace(Stage::Running) {
            Stage::New => self.with_owner(|owner| (steps.begin)(owner, self)),
            Stage::Yielded => self.with_owner(|owner| (steps.resume)(owner, self, none())),
            Stage::Waiting => self.woken(steps),
            Stage::Delegated => return self.drive_delegate(None),
            stage @ (Stage::Running | Stage::Done) => return Err(self.not_resumable(stage)),
        };
        self.settle(outcome)
    }

    #[inline]
    fn settle(&self, outcome: Result<Step>) -> Result<Driven> {
        match outcome {
            Ok(Step::Return(value)) => {
                self.stage.set(Stage::Done);
                Ok(Driven::Returned(value))
            }
            Ok(Step::Wait) => {
                self.stage.set(Stage::Waiting);
                self.future.blocking.set(true);
                Ok(Driven::Yielded(self.as_obj().own()))
            }
            Ok(Step::Yield) => {
                self.stage.set(Stage::Yielded);
                Ok(Driven::Yielded(none()))
            }
            Ok(Step::Delegate) => self.drive_delegate(None),
            Err(raised) => {
                self.stage.set(Stage::Done);
                Err(raised)
            }
        }
    }

    /// Calls a step. Only an object that the steps were made for may be given to them, so one that the collector cleared ends here.
    #[inline(always)]
    fn with_owner<R>(&self, body: impl FnOnce(&Obj) -> Result<R>) -> Result<R> {
        let Some(owner) = self.owner.get() else {
            return Err(runtime_error("the operation was cleared"));
        };
        body(&owner)
    }

    #[inline]
    fn woken(&self, steps: &Steps<Obj>) -> Result<Step> {
        if !self.future.is_done() {
            runtime_error("await wasn't used with future");
            return Err(self.give_up(steps));
        }
        match self.future.take_result() {
            Ok(value) => self.with_owner(|owner| (steps.resume)(owner, self, value)),
            Err(Raised) => Err(self.give_up(steps)),
        }
    }

    /// Undoes the suspension because of the current exception, which stays set unless undoing it fails too.
    #[cold]
    fn give_up(&self, steps: &Steps<Obj>) -> Raised {
        let Some(exception) = take() else { return Raised };
        self.drop_timer();
        match self.with_owner(|owner| (steps.abandon)(owner, self)) {
            Ok(()) => restore(exception),
            Err(Raised) => Raised,
        }
    }

    #[cold]
    fn not_resumable(&self, stage: Stage) -> Raised {
        self.stage.set(stage);
        if stage == Stage::Running {
            crate::capi::error::value_error("coroutine already executing")
        } else {
            runtime_error("cannot reuse already awaited coroutine")
        }
    }

    #[cold]
    fn drive_delegate(&self, exception: Option<Owned>) -> Result<Driven> {
        let inner = self.value();
        self.stage.set(Stage::Running);
        match resume_nested(&inner, exception) {
            Resumed::Yielded(value) => {
                self.stage.set(Stage::Delegated);
                Ok(Driven::Yielded(value))
            }
            Resumed::Returned(value) => {
                let steps = self.steps()?;
                self.settle(self.with_owner(|owner| (steps.resume)(owner, self, value)))
            }
            Resumed::Raised => {
                let steps = self.steps()?;
                self.settle(Err(self.give_up(steps)))
            }
        }
    }

    /// Raises `exception` where the operation stands.
    #[cold]
    fn drive_by(&self, exception: Owned) -> Result<Driven> {
        match self.stage.replace(Stage::Running) {
            Stage::New => self.settle(Err(restore(exception))),
            Stage::Waiting | Stage::Yielded => {
                let steps = self.steps()?;
                restore(exception);
                self.settle(Err(self.give_up(steps)))
            }
            Stage::Delegated => self.drive_delegate(Some(exception)),
            stage @ (Stage::Running | Stage::Done) => Err(self.not_resumable(stage)),
        }
    }
}

/// What drives an awaitable: a coroutine or another iterator with `send` itself, or what `__await__` gives.
fn iterator_of(awaitable: &Obj) -> Result<Owned> {
    // SAFETY: the type object is a static of the interpreter.
    if awaitable.type_ptr() == &raw mut ffi::PyCoro_Type || Operation::downcast(awaitable).is_some() {
        return Ok(awaitable.own());
    }
    match awaitable.get_attr(&names::get().dunder_await) {
        Ok(method) => method.call(&[]),
        // SAFETY: the exception types exist while the interpreter does.
        Err(Raised) if current_is(unsafe { ffi::PyExc_AttributeError }) => {
            drop(take());
            Err(not_awaitable(awaitable))
        }
        Err(Raised) => Err(Raised),
    }
}

#[cold]
fn not_awaitable(given: &Obj) -> Raised {
    // SAFETY: a live object and a format that takes a type's name.
    unsafe {
        ffi::PyErr_Format(
            ffi::PyExc_TypeError,
            c"object %.100s can't be used in 'await' expression".as_ptr(),
            (*given.type_ptr()).tp_name,
        )
    };
    Raised
}

/// An awaitable may have another in its place, and so on: Python's limit holds here, too.
fn resume_nested(inner: &Obj, exception: Option<Owned>) -> Resumed {
    // SAFETY: the lock is held, and the text is a C string.
    if unsafe { ffi::Py_EnterRecursiveCall(c" while awaiting an object".as_ptr()) } != 0 {
        return Resumed::Raised;
    }
    let resumed = resume_awaitable(inner, exception);
    // SAFETY: entered above.
    unsafe { ffi::Py_LeaveRecursiveCall() };
    resumed
}

fn resume_awaitable(inner: &Obj, exception: Option<Owned>) -> Resumed {
    let name = &names::get().throw;
    // SAFETY: two live objects; the function clears what it raises.
    if exception.is_some() && unsafe { ffi::PyObject_HasAttr(inner.as_ptr(), name.as_ptr()) } == 0 {
        if let Some(exception) = exception {
            restore(exception);
        }
        return Resumed::Raised;
    }
    resume(inner, exception)
}

unsafe extern "C" fn next(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        match unsafe { Operation::of(this) }.drive()? {
            Driven::Yielded(value) => Ok(value.into_ptr()),
            // Null without an exception means `StopIteration()` with the value None.
            Driven::Returned(value) if value.is_none() => Ok(std::ptr::null_mut()),
            Driven::Returned(value) => Err(stop_iteration(&value)),
        }
    })
}

unsafe extern "C" fn send_slot(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
    answer: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    let mut value = std::ptr::null_mut();
    let outcome = enter(ffi::PySendResult::PYGEN_ERROR, || {
        // SAFETY: the interpreter passes an instance of our type.
        match unsafe { Operation::of(this) }.drive()? {
            Driven::Yielded(yielded) => {
                value = yielded.into_ptr();
                Ok(ffi::PySendResult::PYGEN_NEXT)
            }
            Driven::Returned(returned) => {
                value = returned.into_ptr();
                Ok(ffi::PySendResult::PYGEN_RETURN)
            }
        }
    });
    // SAFETY: the caller's place for the answer.
    unsafe { *answer = value };
    outcome
}

fn await_method(this: &Operation) -> Result<Owned> {
    Ok(this.as_obj().own())
}

/// As a method gives it: a yielded value is returned, a returned one raised.
fn as_method(driven: Driven) -> Result<Owned> {
    match driven {
        Driven::Yielded(value) => Ok(value),
        Driven::Returned(value) => Err(stop_iteration(&value)),
    }
}

fn send(this: &Operation, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("send", &["value"], 1)?;
    if this.stage.get() == Stage::New && !given[0].is_none() {
        return Err(type_error(
            "can't send non-None value to a just-started coroutine",
        ));
    }
    this.drive().and_then(as_method)
}

/// `throw(type[, value[, traceback]])` or `throw(exception)`.
fn throw(this: &Operation, args: Args<'_>) -> Result<Owned> {
    let exception = exception_to_throw(args)?;
    this.drive_by(exception).and_then(as_method)
}

fn close(this: &Operation) -> Result<Owned> {
    match this.stage.get() {
        Stage::New | Stage::Done => {
            this.stage.set(Stage::Done);
            return Ok(none());
        }
        Stage::Running => return Err(this.not_resumable(Stage::Running)),
        Stage::Waiting | Stage::Yielded | Stage::Delegated => {}
    }
    // SAFETY: the exception types exist while the interpreter does.
    let exit = unsafe { Obj::from_ptr(ffi::PyExc_GeneratorExit) };
    match this.drive_by(exit.call(&[])?) {
        Ok(Driven::Yielded(_)) => Err(runtime_error("coroutine ignored GeneratorExit")),
        Ok(Driven::Returned(_)) => Ok(none()),
        Err(Raised) => forget_exit(exit),
    }
}

/// `GeneratorExit` and `StopIteration` are how closing ends.
fn forget_exit(exit: &Obj) -> Result<Owned> {
    // SAFETY: the exception types exist while the interpreter does.
    if current_is(exit.as_ptr()) || current_is(unsafe { ffi::PyExc_StopIteration }) {
        drop(take());
        return Ok(none());
    }
    Err(Raised)
}

fn cancel_method(this: &Operation, args: Args<'_>) -> Result<Owned> {
    let [message] = args.bind("cancel", [&names::get().msg], 0)?;
    this.cancel(message).map(boolean)
}

fn get_running(this: &Operation) -> Result<Owned> {
    Ok(boolean(this.stage.get() == Stage::Running))
}

/// `None` says that the object is no future, which holds as long as it does not wait.
fn get_blocking(this: &Operation) -> Result<Owned> {
    if this.stage.get() == Stage::Waiting {
        Ok(boolean(this.future.blocking.get()))
    } else {
        Ok(none())
    }
}

fn set_blocking(this: &Operation, value: Option<&Obj>) -> Result<()> {
    let value = value.ok_or_else(|| attribute_error("cannot delete attribute"))?;
    this.future.blocking.set(value.truthy()?);
    Ok(())
}

impl Operation {
    pub(crate) fn name(&self) -> &'static str {
        let name = self.steps.get().map_or(c"operation", |steps| steps.name);
        name.to_str().unwrap_or("operation")
    }
}

fn get_qualified_name(this: &Operation) -> Result<Owned> {
    call::text(this.name())
}

fn get_name(this: &Operation) -> Result<Owned> {
    let name = this.name();
    call::text(name.rsplit('.').next().unwrap_or(name))
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        // SAFETY: the interpreter passes an instance of our type.
        let operation = unsafe { Operation::of(this) };
        let stage = match operation.stage.get() {
            Stage::New => "not started",
            Stage::Running => "running",
            Stage::Waiting | Stage::Yielded | Stage::Delegated => "waiting",
            Stage::Done => "done",
        };
        call::text(&format!("<coroutine {} at {this:p} ({stage})>", operation.name())).map(Owned::into_ptr)
    })
}

unsafe extern "C" fn refuse_new(
    _: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        Err(type_error("cannot create 'maypole._maypole.Operation' instances"))
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    unsafe { nesting::free(this, free) };
}

unsafe fn free(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let (class, operation) = unsafe { (ffi::Py_TYPE(this), Operation::of(this)) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    let pooled = enter(false, || {
        if operation.stage.get() == Stage::New {
            operation.warn_that_nobody_awaited();
        }
        operation.future.clear_weak_references();
        operation.clear();
        // SAFETY: exactly the pool's type, emptied above, without references; one that was finalised would never be again.
        Ok(unsafe { ffi::PyObject_GC_IsFinalized(this) == 0 && TYPES.get().pool.give(this) })
    });
    if !pooled {
        // SAFETY: memory of a collected object, untracked above.
        unsafe { ffi::PyObject_GC_Del(this.cast()) };
    }
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

impl Operation {
    /// Makes the operation as if new.
    #[inline]
    fn clear(&self) {
        let old = (self.owner.take(), self.value.take());
        drop(self.future.clear());
        self.timed.set(false);
        self.mark.set(0);
        drop(old);
    }

    /// A `RuntimeWarning`, as for a coroutine that is dropped before it was awaited.
    #[cold]
    fn warn_that_nobody_awaited(&self) {
        let pending = take();
        let name = self.steps.get().map_or(c"operation", |steps| steps.name);
        // SAFETY: a warning category, a format and the C string that it shows.
        let warned = unsafe {
            ffi::PyErr_WarnFormat(
                ffi::PyExc_RuntimeWarning,
                1,
                c"coroutine '%s' was never awaited".as_ptr(),
                name.as_ptr(),
            )
        };
        if warned < 0 {
            crate::capi::error::unraisable(None);
        }
        if let Some(pending) = pending {
            restore(pending);
        }
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        visitor.visit_opt(self.owner.peek())?;
        visitor.visit_opt(self.value.peek())?;
        self.future.traverse_with_class(visitor)
    }
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        Ok(unsafe { Operation::of(this) }.visit(visitor).err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        unsafe { Operation::of(this) }.clear();
        Ok(0)
    })
}

/// Adds the type to the module.
pub(super) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"Operation".as_ptr(), class().as_ptr()) })
}
