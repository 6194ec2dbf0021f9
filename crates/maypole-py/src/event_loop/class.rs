//! The type `maypole._maypole.Loop`: its methods and attributes, its birth and its death.

use std::ffi::{c_int, c_void};

use maypole_core::VirtualClock;
use pyo3::ffi;

use super::{
    Clock, LoopObject, schedule, sockets, spawn, state, transports, turn, virtual_wait, wait, watch,
};
use crate::aio::readable::until_readable;
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, getter, noargs, setter};
use crate::capi::class_cache::ClassCache;
use crate::capi::error::{check, value_error};
use crate::capi::{Obj, Owned, Raised, Result, call};
use crate::observer;
use crate::transport::accept_burst;

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
    let model = call::import_from("asyncio.base_events", "BaseEventLoop")?;
    let class = observer::declare(with_fields(with_methods(class).with_signatures_of(&model)?));
    TYPE.set(class.build(None)?);
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
        .fast(
            c"_until_readable",
            fast!(LoopObject, until_readable),
            c"Await it: returns once the descriptor can be read.",
        )
        .fast(
            c"_receive_now",
            fast!(LoopObject, sockets::receive_now),
            c"Receive from a socket, or return None if there is nothing yet.",
        )
        .fast(
            c"_accept_burst",
            fast!(LoopObject, accept_burst),
            c"Accept the connections that wait at a listening socket.",
        )
        .fast(
            c"_transport_at",
            fast!(LoopObject, transports::transport_at),
            c"Return the native transport of a descriptor, or None.",
        )
        .fast(
            c"_keep_transport",
            fast!(LoopObject, transports::keep),
            c"Note a native transport; return False for any other.",
        )
        .fast(
            c"_forget_transport",
            fast!(LoopObject, transports::forget),
            c"Forget the native transport of a descriptor; return False if there is none.",
        )
        .noargs(
            c"_transport_fds",
            noargs!(LoopObject, transports::descriptors),
            c"List the descriptors of native transports.",
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
        fields.discard();
        drop((fields.task_factory.take(), fields.observer.drain()));
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
            std::ptr::drop_in_place(&raw mut (*place).transports);
            std::ptr::drop_in_place(&raw mut (*place).pools);
            std::ptr::drop_in_place(&raw mut (*place).observer);
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
        fields.discard();
        drop((fields.task_factory.take(), fields.observer.drain()));
        Ok(0)
    })
}
