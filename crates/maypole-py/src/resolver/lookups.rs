//! `maypole._maypole.Resolver`, the look-ups of one loop that need a thread, and the functions for those that need none.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};

use pyo3::ffi;

use super::pool::{Answer, Pool, Question};
use super::{answer, query};
use crate::capi::cell::GilOnce;
use crate::capi::class::{Class, Native, Visitor, enter, fast, noargs};
use crate::capi::error::{check, current_ends_program, os_error, runtime_error, take};
use crate::capi::object::none;
use crate::capi::{Args, Obj, Owned, Raised, Result, call, names};

unsafe extern "C" {
    /// Raises an auditing event (PEP 578).
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// The memory of a `maypole._maypole.Resolver`.
#[repr(C)]
struct ResolverObject {
    ob_base: ffi::PyObject,
    pool: Pool,
    /// The futures that wait for an answer, by its number.
    waiting: RefCell<BTreeMap<u64, Owned>>,
    next: Cell<u64>,
}

// SAFETY: `repr(C)`, begins with a `PyObject`, and `new` fills every field before anybody else sees the object.
unsafe impl Native for ResolverObject {}

static TYPE: GilOnce<Owned> = GilOnce::new();

const DOC: &CStr =
    c"Resolver()\n--\n\nThe look-ups of one loop that wait for a server, on threads of their own.";

/// Makes the type; called once while the module is imported.
pub(crate) fn init() -> Result<()> {
    if TYPE.is_set() {
        return Ok(());
    }
    answer::init()?;
    let class = Class::new(c"maypole._maypole.Resolver", size_of::<ResolverObject>(), DOC)
        .slot(ffi::Py_tp_new, new as *mut c_void)
        .slot(ffi::Py_tp_dealloc, dealloc as *mut c_void)
        .slot(ffi::Py_tp_traverse, traverse as *mut c_void)
        .slot(ffi::Py_tp_clear, clear as *mut c_void)
        .fast(
            c"getaddrinfo",
            fast!(ResolverObject, getaddrinfo),
            c"getaddrinfo($self, future, host, port, family, type, proto, flags, /)\n--\n\nBegin a look-up; return its number.",
        )
        .fast(
            c"getnameinfo",
            fast!(ResolverObject, getnameinfo),
            c"getnameinfo($self, future, sockaddr, flags, /)\n--\n\nBegin a look-up; return its number.",
        )
        .fast(
            c"forget",
            fast!(ResolverObject, forget),
            c"forget($self, number, /)\n--\n\nGive up a look-up.",
        )
        .noargs(
            c"collect",
            noargs!(ResolverObject, collect),
            c"Finish the futures whose answers have come.",
        )
        .noargs(
            c"fileno",
            noargs!(ResolverObject, fileno),
            c"Return the descriptor that is readable when answers have come.",
        )
        .noargs(
            c"close",
            noargs!(ResolverObject, close),
            c"Let go of threads and futures.",
        );
    TYPE.set(class.build(None)?);
    Ok(())
}

/// Adds the type and the functions to the module.
pub(crate) fn register(module: &Obj) -> Result<()> {
    // SAFETY: a live module, a C string and a live type.
    check(unsafe { ffi::PyModule_AddObjectRef(module.as_ptr(), c"Resolver".as_ptr(), TYPE.get().as_ptr()) })?;
    // SAFETY: a live module and a table that lives forever.
    check(unsafe { ffi::PyModule_AddFunctions(module.as_ptr(), functions()) })
}

/// A module's function for `fn(Args) -> Result<Owned>`.
macro_rules! function {
    ($name:literal, $body:path, $doc:literal) => {{
        unsafe extern "C" fn entry(
            _: *mut ffi::PyObject,
            values: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            names: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            enter(std::ptr::null_mut(), || {
                // SAFETY: these are the interpreter's own arguments.
                let args = unsafe { Args::new(values, count, names) };
                $body(args).map(Owned::into_ptr)
            })
        }
        ffi::PyMethodDef {
            ml_name: $name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunctionFastWithKeywords: entry,
            },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: $doc.as_ptr(),
        }
    }};
}

fn functions() -> *mut ffi::PyMethodDef {
    let functions = vec![
        function!(
            c"_getaddrinfo_now",
            getaddrinfo_now,
            c"Look up what needs no server; None for what needs a thread, NotImplemented for what only socket can judge."
        ),
        function!(
            c"_getnameinfo_now",
            getnameinfo_now,
            c"Look up what needs no server; None for what needs a thread, NotImplemented for what only socket can judge."
        ),
        ffi::PyMethodDef::zeroed(),
    ];
    // The module keeps pointers to its table for the life of the process.
    Vec::leak(functions).as_mut_ptr()
}

fn not_implemented() -> Owned {
    // SAFETY: the singleton is always live.
    unsafe { Obj::from_ptr(ffi::Py_NotImplemented()) }.own()
}

/// `_getaddrinfo_now(host, port, family, type, proto, flags)`.
fn getaddrinfo_now(args: Args<'_>) -> Result<Owned> {
    let given = args.positional();
    let Some(asked) = query::addresses(given)? else {
        return Ok(not_implemented());
    };
    // SAFETY: the format names two live objects and three numbers, which follow.
    check(unsafe {
        PySys_Audit(
            c"socket.getaddrinfo".as_ptr(),
            c"OOiii".as_ptr(),
            given[0].as_ptr(),
            given[1].as_ptr(),
            asked.family,
            asked.kind,
            asked.protocol,
        )
    })?;
    let Some(query) = query::without_server(&asked) else {
        return Ok(none());
    };
    let found = query.look_up();
    // What is no number after all may be a name.
    if matches!(
        found,
        Err(maypole_sys::resolve::Failure::Resolver(libc::EAI_NONAME))
    ) && asked.flags & libc::AI_NUMERICHOST == 0
    {
        return Ok(none());
    }
    answer::value(Answer::Addresses(found))
}

/// `_getnameinfo_now(sockaddr, flags)`.
fn getnameinfo_now(args: Args<'_>) -> Result<Owned> {
    let given = args.positional();
    let Some((address, flags)) = query::name(given) else {
        return Ok(not_implemented());
    };
    // SAFETY: the format names one live object, which follows.
    check(unsafe { PySys_Audit(c"socket.getnameinfo".as_ptr(), c"(O)".as_ptr(), given[0].as_ptr()) })?;
    let numeric = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    if flags & numeric != numeric {
        return Ok(none());
    }
    answer::value(Question::Name(address, flags).ask())
}

/// `getaddrinfo(future, host, port, family, type, proto, flags)`.
fn getaddrinfo(this: &ResolverObject, args: Args<'_>) -> Result<Owned> {
    let (given, rest) = args.at_least("getaddrinfo", &["future"], 1)?;
    let Some(query) = query::addresses(rest)? else {
        return Ok(not_implemented());
    };
    begin(this, given[0], Question::Addresses(query))
}

/// `getnameinfo(future, sockaddr, flags)`.
fn getnameinfo(this: &ResolverObject, args: Args<'_>) -> Result<Owned> {
    let (given, rest) = args.at_least("getnameinfo", &["future"], 1)?;
    let Some((address, flags)) = query::name(rest) else {
        return Ok(not_implemented());
    };
    begin(this, given[0], Question::Name(address, flags))
}

fn begin(this: &ResolverObject, future: &Obj, question: Question) -> Result<Owned> {
    let number = this.next.get();
    this.next.set(number + 1);
    this.waiting.borrow_mut().insert(number, future.own());
    if this.pool.ask(number, question).is_err() {
        drop(take_waiting(this, number));
        return Err(runtime_error("can't start new thread"));
    }
    call::unsigned(number)
}

fn take_waiting(this: &ResolverObject, number: u64) -> Option<Owned> {
    this.waiting.borrow_mut().remove(&number)
}

fn forget(this: &ResolverObject, args: Args<'_>) -> Result<Owned> {
    let (given, _) = args.at_least("forget", &["number"], 1)?;
    let number = given[0].as_i64()?.cast_unsigned();
    this.pool.forget(number);
    drop(take_waiting(this, number));
    Ok(none())
}

fn fileno(this: &ResolverObject) -> Result<Owned> {
    call::integer(this.pool.fd().into())
}

/// `collect()`: the loop's reader of the pool.
fn collect(this: &ResolverObject) -> Result<Owned> {
    let answers = this.pool.answers().map_err(|error| os_error(&error))?;
    let mut failed = None;
    for (number, answer) in answers {
        let Some(future) = take_waiting(this, number) else {
            continue;
        };
        if finish(&future, answer).is_err() && failed.is_none() {
            failed = take();
        }
    }
    match failed {
        Some(exception) => Err(crate::capi::error::restore(exception)),
        None => Ok(none()),
    }
}

fn finish(future: &Obj, answer: Answer) -> Result<()> {
    let names = names::get();
    if future.call_method(&names.done, &[])?.truthy()? {
        return Ok(());
    }
    match answer::value(answer) {
        Ok(value) => future.call_method(&names.set_result, &[&value]),
        Err(Raised) if current_ends_program() => return Err(Raised),
        Err(Raised) => match take() {
            Some(exception) => future.call_method(&names.set_exception, &[&exception]),
            None => return Ok(()),
        },
    }
    .map(drop)
}

fn close(this: &ResolverObject) -> Result<Owned> {
    this.pool.close();
    let waiting = std::mem::take(&mut *this.waiting.borrow_mut());
    drop(waiting);
    Ok(none())
}

unsafe extern "C" fn new(
    class: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(std::ptr::null_mut(), || {
        let pool = Pool::new().map_err(|error| os_error(&error))?;
        // SAFETY: our type; the memory is of its size.
        let this = unsafe { Owned::steal(ffi::PyType_GenericAlloc(class, 0))? };
        let place: *mut ResolverObject = this.as_ptr().cast();
        // SAFETY: fields of the new object, written once. The collector cannot have run since it was made.
        unsafe {
            std::ptr::write(&raw mut (*place).pool, pool);
            std::ptr::write(&raw mut (*place).waiting, RefCell::default());
            std::ptr::write(&raw mut (*place).next, Cell::new(0));
        }
        Ok(this.into_ptr())
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: an object of our type whose count has reached zero.
    let class = unsafe { ffi::Py_TYPE(this) };
    // SAFETY: as above.
    unsafe { ffi::PyObject_GC_UnTrack(this.cast()) };
    enter((), || {
        let place: *mut ResolverObject = this.cast();
        // SAFETY: the fields were written by `new`, and nobody reads them after this.
        unsafe {
            std::ptr::drop_in_place(&raw mut (*place).waiting);
            std::ptr::drop_in_place(&raw mut (*place).pool);
        }
        Ok(())
    });
    // SAFETY: memory of a collected object, untracked above.
    unsafe { ffi::PyObject_GC_Del(this.cast()) };
    // SAFETY: the instance owned a reference to its heap type.
    unsafe { ffi::Py_DECREF(class.cast()) };
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, arg: *mut c_void) -> c_int {
    let visitor = Visitor::new(visit, arg);
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        let resolver = unsafe { ResolverObject::of(this) };
        // SAFETY: heap types are visited by their instances.
        let class = unsafe { Obj::from_ptr(resolver.as_obj().type_ptr().cast()) };
        let outcome = visitor.visit(class).and_then(|()| {
            resolver
                .waiting
                .borrow()
                .values()
                .try_for_each(|future| visitor.visit(future))
        });
        Ok(outcome.err().unwrap_or(0))
    })
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    enter(-1, || {
        // SAFETY: the collector passes an object of our type.
        let resolver = unsafe { ResolverObject::of(this) };
        let waiting = std::mem::take(&mut *resolver.waiting.borrow_mut());
        drop(waiting);
        Ok(0)
    })
}
