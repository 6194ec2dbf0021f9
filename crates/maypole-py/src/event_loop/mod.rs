//! The loop object: `maypole._maypole.Loop`, the native half of `maypole.EventLoop`.
//!
//! The Python half inherits what runs once per connection or per loop from CPython's own asyncio; this half owns what runs once
//! per callback:
//!
//! * [`schedule`]: `call_soon`, `call_later`, `call_at`, `call_soon_threadsafe`.
//! * [`spawn`]: `create_task` and `create_future`.
//! * [`turn`]: one turn, and turns until `stop()`.
//! * [`wait`]: waiting for descriptors, timers, other threads and signals; the only place that gives up the interpreter lock.
//! * [`virtual_wait`]: the same on the virtual clock.
//! * [`watch`]: readers and writers.
//! * [`state`]: the clock, `stop`, `close` and the fields that inherited code reads.
//! * [`failure`]: where the exception of a callback goes.
//!
//! Invariant: no `RefCell` of the loop is borrowed while Python code can run; what a table hands back is dropped after the borrow.
//! Invariant: everything the loop holds is visited by `tp_traverse`, so a cycle through a queued callback can be collected.

mod failure;
mod schedule;
mod spawn;
mod state;
mod turn;
mod virtual_wait;
mod wait;
mod watch;

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::rc::Rc;

use maypole_core::{Key, Sources, Turn, VirtualClock};
use maypole_sys::Events;
use pyo3::ffi;

use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, getter, noargs, setter};
use crate::capi::class_cache::ClassCache;
use crate::capi::error::{check, value_error};
use crate::capi::pool::Pool;
use crate::capi::{Args, Field, Obj, Owned, Raised, Result, call, names};

/// Where the loop's time comes from.
pub(crate) enum Clock {
    /// `CLOCK_MONOTONIC`, as `time.monotonic()`.
    Monotonic,
    /// Time that jumps when nothing is ready.
    Virtual(VirtualClock),
}

/// Memory of dead objects, by type.
pub(crate) struct Pools {
    pub(crate) handles: Pool,
    pub(crate) timer_handles: Pool,
    pub(crate) futures: Pool,
    pub(crate) tasks: Pool,
}

impl Pools {
    fn new() -> Pools {
        Pools {
            handles: Pool::new(),
            timer_handles: Pool::new(),
            futures: Pool::new(),
            tasks: Pool::new(),
        }
    }

    fn close(&self) {
        for pool in [&self.handles, &self.timer_handles, &self.futures, &self.tasks] {
            pool.close();
        }
    }
}

/// The memory of a `maypole._maypole.Loop`.
#[repr(C)]
pub(crate) struct LoopObject {
    ob_base: ffi::PyObject,
    /// Queue and wheel. Each item is a handle, ours or a plain `asyncio.Handle`.
    turn: RefCell<Turn<Owned>>,
    /// Readers and writers by descriptor.
    sources: RefCell<Sources<Owned>>,
    /// Poller and wake-up; gone after `close()`.
    reactor: RefCell<Option<Rc<wait::Reactor>>>,
    /// What the last poll reported; borrowed by the thread that runs the loop while it waits.
    events: RefCell<Events>,
    clock: RefCell<Clock>,
    /// Whether the clock is virtual; the kind never changes.
    is_virtual: bool,
    /// Somebody replaced `time()` by a method of their own; the wheel then follows it.
    foreign_time: Cell<bool>,
    /// Somebody replaced `asyncio.Handle._run`; callbacks then go through it.
    patched_run: Cell<bool>,
    /// `task_impl="c"`: tasks and futures are asyncio's own.
    plain_tasks: Cell<bool>,
    /// What `set_task_factory` was given.
    task_factory: Field,
    /// asyncio's dictionary of current tasks has an entry for this loop.
    task_entered: Cell<bool>,
    /// Where the bytes of a read land before they become an object; made at the first read.
    pub(crate) read_buffer: RefCell<Vec<u8>>,
    /// Transports that have to send at the end of the turn.
    to_flush: RefCell<Vec<Owned>>,
    /// Memory of dead handles, futures and tasks.
    pub(crate) pools: Pools,
    closed: Cell<bool>,
    stopping: Cell<bool>,
    debug: Cell<bool>,
    /// The identifier of the thread that runs the loop, 0 when it does not run.
    thread_id: Cell<u64>,
    /// The loop waits, or is about to: whoever adds work from another thread must ring.
    sleeping: Cell<bool>,
    /// Turns taken since the loop was made.
    turns: Cell<u64>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`, and `new` fills every field before anybody else sees the object.
unsafe impl Native for LoopObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

static CLASS_CACHE: GilOnce<ClassCache> = GilOnce::new();

const DOC: &std::ffi::CStr =
    c"Loop(clock='monotonic', task_impl='native')\n--\n\nThe native half of maypole.EventLoop: queue, timers, poller.";

/// Makes the type; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    let class = Class::new(c"maypole._maypole.Loop", size_of::<LoopObject>(), DOC)
        .slot(ffi::Py_tp_new, new as *mut c_void)
        .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
        .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
        .slot(ffi::Py_tp_clear, clear as *mut c_void)
        .slot(ffi::Py_tp_setattro, state::set_attribute as *mut c_void);
    TYPE.set(with_fields(with_methods(class)).build(None)?);
    CLASS_CACHE.set(ClassCache::new());
    Ok(())
}

fn with_methods(class: Class) -> Class {
    class
        .fast(
            c"call_soon",
            fast!(LoopObject, schedule::call_soon),
            schedule::CALL_SOON_DOC,
        )
        .fast(
            c"call_soon_threadsafe",
            fast!(LoopObject, schedule::call_soon_threadsafe),
            schedule::THREADSAFE_DOC,
        )
        .fast(
            c"call_later",
            fast!(LoopObject, schedule::call_later),
            schedule::CALL_LATER_DOC,
        )
        .fast(
            c"call_at",
            fast!(LoopObject, schedule::call_at),
            schedule::CALL_AT_DOC,
        )
        .fast(
            c"create_task",
            fast!(LoopObject, spawn::create_task),
            spawn::CREATE_TASK_DOC,
        )
        .noargs(
            c"create_future",
            noargs!(LoopObject, spawn::create_future),
            c"Return a new pending Future of this loop.",
        )
        .fast(
            c"_add_callback",
            fast!(LoopObject, schedule::add_callback),
            c"Queue a handle unless it is cancelled.",
        )
        .noargs(
            c"_write_to_self",
            noargs!(LoopObject, wait::write_to_self),
            c"Wake the loop from any thread.",
        )
        .fast(
            c"_add_reader",
            fast!(LoopObject, watch::add_reader),
            c"Watch a descriptor for reading.",
        )
        .fast(
            c"_add_writer",
            fast!(LoopObject, watch::add_writer),
            c"Watch a descriptor for writing.",
        )
        .fast(
            c"_remove_reader",
            fast!(LoopObject, watch::remove_reader),
            c"Stop watching for reading.",
        )
        .fast(
            c"_remove_writer",
            fast!(LoopObject, watch::remove_writer),
            c"Stop watching for writing.",
        )
        .fast(
            c"_interest",
            fast!(LoopObject, watch::interest),
            c"Return the watched events of a descriptor.",
        )
        .noargs(
            c"_watched_fds",
            noargs!(LoopObject, state::watched_fds),
            c"List the watched descriptors.",
        )
        .noargs(
            c"_follow_time",
            noargs!(LoopObject, state::follow_time),
            c"Let the wheel follow a replaced time().",
        )
        .noargs(c"time", noargs!(LoopObject, state::time), state::TIME_DOC)
        .noargs(
            c"stop",
            noargs!(LoopObject, state::stop),
            c"Stop the loop after the current turn.",
        )
        .noargs(
            c"is_running",
            noargs!(LoopObject, state::is_running),
            c"Return True while the loop runs.",
        )
        .noargs(
            c"is_closed",
            noargs!(LoopObject, state::is_closed),
            c"Return True once the loop is closed.",
        )
        .noargs(
            c"get_debug",
            noargs!(LoopObject, state::get_debug),
            c"Return True in debug mode.",
        )
        .noargs(
            c"_run_turns",
            noargs!(LoopObject, turn::run_turns),
            c"Take turns until the loop is stopped.",
        )
        .noargs(
            c"_run_once",
            noargs!(LoopObject, turn::run_once),
            c"Take one turn.",
        )
        .fast(
            c"_advance_time",
            fast!(LoopObject, virtual_wait::advance_time),
            c"Move the virtual clock by what a blocking call took.",
        )
        .fast(
            c"_permute_ties",
            fast!(LoopObject, virtual_wait::permute_ties),
            c"Give equal deadlines and the descriptors of one poll another order, from a seed.",
        )
        .noargs(
            c"_close_native",
            noargs!(LoopObject, state::close_native),
            c"Give up poller, queue and timers.",
        )
}

fn with_fields(class: Class) -> Class {
    class
        .attribute(
            c"_closed",
            getter!(LoopObject, state::is_closed),
            Some(setter!(LoopObject, state::set_closed)),
        )
        .attribute(
            c"_stopping",
            getter!(LoopObject, state::get_stopping),
            Some(setter!(LoopObject, state::set_stopping)),
        )
        .attribute(
            c"_debug",
            getter!(LoopObject, state::get_debug),
            Some(setter!(LoopObject, state::set_debug)),
        )
        .attribute(
            c"_thread_id",
            getter!(LoopObject, state::get_thread_id),
            Some(setter!(LoopObject, state::set_thread_id)),
        )
        .attribute(
            c"_ready",
            getter!(LoopObject, state::get_ready),
            Some(setter!(LoopObject, state::ignore_queue)),
        )
        .attribute(
            c"_scheduled",
            getter!(LoopObject, state::get_scheduled),
            Some(setter!(LoopObject, state::ignore_queue)),
        )
        .attribute(
            c"_task_factory",
            getter!(LoopObject, state::get_task_factory),
            Some(setter!(LoopObject, state::set_task_factory)),
        )
        .attribute(
            c"_plain_tasks",
            getter!(LoopObject, state::get_plain_tasks),
            Some(setter!(LoopObject, state::set_plain_tasks)),
        )
        .attribute(c"_clock", getter!(LoopObject, state::get_clock), None)
        .attribute(c"_turns", getter!(LoopObject, state::get_turns), None)
        .attribute(c"_watched", getter!(LoopObject, state::get_watched), None)
        .attribute(c"_poller_fd", getter!(LoopObject, state::get_poller_fd), None)
}

/// Adds the type to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"Loop".as_ptr(), TYPE.get().as_ptr()) })
}

impl LoopObject {
    /// The loop behind a Python object, if it is one of ours.
    #[inline(always)]
    pub(crate) fn downcast(object: &Obj) -> Option<&LoopObject> {
        if !CLASS_CACHE.get().is_instance(object, TYPE.get()) {
            return None;
        }
        // SAFETY: the type was just checked.
        Some(unsafe { LoopObject::of(object.as_ptr()) })
    }

    #[inline(always)]
    pub(crate) fn debug(&self) -> bool {
        self.debug.get()
    }

    /// Takes a timer out of the wheel; `None` if it fired or was taken before.
    pub(crate) fn take_timer(&self, key: Key) -> Option<Owned> {
        self.turn.borrow_mut().cancel(key)
    }

    fn new_fields(ob_base: ffi::PyObject, clock: Clock) -> Result<LoopObject> {
        let is_virtual = matches!(clock, Clock::Virtual(_));
        Ok(LoopObject {
            ob_base,
            turn: RefCell::new(Turn::new()),
            sources: RefCell::new(Sources::new()),
            reactor: RefCell::new(Some(Rc::new(wait::Reactor::new()?))),
            events: RefCell::new(Events::new()),
            clock: RefCell::new(clock),
            is_virtual,
            foreign_time: Cell::new(false),
            patched_run: Cell::new(false),
            plain_tasks: Cell::new(false),
            task_factory: Field::empty(),
            task_entered: Cell::new(false),
            read_buffer: RefCell::new(Vec::new()),
            to_flush: RefCell::new(Vec::new()),
            pools: Pools::new(),
            closed: Cell::new(false),
            stopping: Cell::new(false),
            debug: Cell::new(false),
            thread_id: Cell::new(0),
            sleeping: Cell::new(false),
            turns: Cell::new(0),
        })
    }

    /// Takes everything out of queue, wheel and watch tables.
    fn drain(&self) -> Vec<Owned> {
        let mut all = self.turn.borrow_mut().drain();
        all.extend(self.sources.borrow_mut().drain());
        all.append(&mut self.to_flush.borrow_mut());
        all
    }

    fn visit(&self, visitor: Visitor) -> std::result::Result<(), c_int> {
        for item in self.turn.borrow().iter() {
            visitor.visit(item)?;
        }
        for item in self.sources.borrow().iter() {
            visitor.visit(item)?;
        }
        for item in self.to_flush.borrow().iter() {
            visitor.visit(item)?;
        }
        visitor.visit_opt(self.task_factory.peek())
    }
}

/// Which of two texts an optional argument is; the first one when it is left out.
fn choice(given: Option<&Obj>, argument: &str, texts: [&str; 2]) -> Result<usize> {
    let Some(given) = given else { return Ok(0) };
    for (place, text) in texts.iter().enumerate() {
        let text = call::text(text)?;
        // SAFETY: two live objects; the comparison may raise and says so by -1.
        let same = unsafe { ffi::PyObject_RichCompareBool(given.as_ptr(), text.as_ptr(), ffi::Py_EQ) };
        check(same)?;
        if same == 1 {
            return Ok(place);
        }
    }
    Err(value_error(&format!(
        "{argument} must be '{}' or '{}'",
        texts[0], texts[1]
    )))
}

unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        let (mut clock, mut task_impl) = (std::ptr::null_mut(), std::ptr::null_mut());
        let mut keywords = [
            c"clock".as_ptr().cast_mut(),
            c"task_impl".as_ptr().cast_mut(),
            std::ptr::null_mut(),
        ];
        // SAFETY: the format names two optional objects, for which there are two places.
        let parsed = unsafe {
            let (places, format) = ((&raw mut clock, &raw mut task_impl), c"|OO:Loop");
            ffi::PyArg_ParseTupleAndKeywords(
                args,
                kwargs,
                format.as_ptr(),
                keywords.as_mut_ptr().cast(),
                places.0,
                places.1,
            )
        };
        if parsed == 0 {
            return Err(Raised);
        }
        // SAFETY: null or arguments, which the caller keeps alive.
        let (clock, task_impl) = unsafe { (Obj::from_ptr_opt(clock), Obj::from_ptr_opt(task_impl)) };
        let kind = choice(clock, "clock", ["monotonic", "virtual"])?;
        let clock = if kind == 0 {
            Clock::Monotonic
        } else {
            Clock::Virtual(VirtualClock::new())
        };
        let plain_tasks = choice(task_impl, "task_impl", ["native", "c"])? == 1;
        // SAFETY: `class` is our type or a subclass, whose allocator gives zeroed memory of at least our size.
        let this = unsafe { Owned::steal(ffi::PyType_GenericAlloc(class, 0))? };
        let place = this.as_ptr().cast::<LoopObject>();
        // SAFETY: the collector must not see the object before its fields are there.
        unsafe { ffi::PyObject_GC_UnTrack(this.as_ptr().cast()) };
        // SAFETY: the header was made by the allocator; it is copied as bytes and written back unchanged.
        let header = unsafe { std::ptr::read(this.as_ptr()) };
        match LoopObject::new_fields(header, clock) {
            Ok(fields) => {
                fields.plain_tasks.set(plain_tasks);
                // SAFETY: the memory is ours, of the right size, and holds nothing that would need a drop.
                unsafe { std::ptr::write(place, fields) };
                // SAFETY: untracked above.
                unsafe { ffi::PyObject_GC_Track(this.as_ptr().cast()) };
                Ok(this.into_ptr())
            }
            Err(raised) => {
                discard_unfinished(this);
                Err(raised)
            }
        }
    })
}

/// Frees an object whose fields were never written, around `tp_dealloc`, which expects them.
#[cold]
fn discard_unfinished(this: Owned) {
    let class = this.type_ptr();
    let memory = this.into_ptr();
    // SAFETY: an untracked object with one reference that nobody else has seen.
    unsafe { ffi::PyObject_GC_Del(memory.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: tp_dealloc gets an object of this type whose reference count has reached zero.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    enter((), || {
        // SAFETY: the fields were written by `new`.
        let fields = unsafe { LoopObject::of(this) };
        drop((fields.drain(), fields.task_factory.take()));
        fields.pools.close();
        // SAFETY: the fields were written by `new`; nobody reads them after this.
        unsafe {
            let place = this.cast::<LoopObject>();
            std::ptr::drop_in_place(&raw mut (*place).turn);
            std::ptr::drop_in_place(&raw mut (*place).sources);
            std::ptr::drop_in_place(&raw mut (*place).reactor);
            std::ptr::drop_in_place(&raw mut (*place).events);
            std::ptr::drop_in_place(&raw mut (*place).clock);
            std::ptr::drop_in_place(&raw mut (*place).read_buffer);
            std::ptr::drop_in_place(&raw mut (*place).to_flush);
            std::ptr::drop_in_place(&raw mut (*place).pools);
        }
        Ok(())
    });
    // SAFETY: the type's own deallocator for the memory that its allocator gave.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of this type.
        let this = unsafe { LoopObject::of(this) };
        // SAFETY: heap types are visited by their instances.
        let class = unsafe { Obj::from_ptr(this.as_obj().type_ptr().cast()) };
        let outcome = visitor.visit(class).and_then(|()| this.visit(visitor));
        Ok(outcome.err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of this type.
        let fields = unsafe { LoopObject::of(this) };
        drop((fields.drain(), fields.task_factory.take()));
        Ok(0)
    })
}

/// Checks that apply in debug mode only, in asyncio's own words.
#[cold]
fn check_in_debug(this: &LoopObject, callback: &Obj, method: &str, thread: bool) -> Result<()> {
    let names = names::get();
    if thread {
        this.as_obj().call_method(&names.check_thread, &[])?;
    }
    this.as_obj()
        .call_method(&names.check_callback, &[callback, &*call::text(method)?])?;
    Ok(())
}

/// The arguments of a method that takes a callback after `count` other arguments and a `context` keyword.
struct Scheduled<'a> {
    leading: &'a [&'a Obj],
    callback: &'a Obj,
    args: &'a [&'a Obj],
    context: Option<&'a Obj>,
}

impl<'a> Scheduled<'a> {
    #[inline(always)]
    fn read(args: Args<'a>, method: &str, names_of_required: &[&str]) -> Result<Scheduled<'a>> {
        let count = names_of_required.len();
        let context = args.only_keyword(method, &names::get().context)?;
        let (required, rest) = args.at_least(method, names_of_required, count)?;
        let (leading, callback) = required.split_at(count - 1);
        Ok(Scheduled {
            leading,
            callback: callback[0],
            args: rest,
            context,
        })
    }
}
