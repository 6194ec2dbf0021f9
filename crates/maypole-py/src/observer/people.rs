//! Who the tasks are: their numbers, names, functions and makers; what callbacks are called.

use maypole_trace::{Ended, Event, SiteId, TextId, WaitKind};
use pyo3::ffi;

use super::known::{Code, CodeTold};
use super::recording::Recording;
use super::suspended;
use super::{Observer, RECORDS, places};
use crate::asyncio;
use crate::capi::error::take;
use crate::capi::{Obj, Owned, call, names};
use crate::handle;
use crate::task::TaskObject;

/// So many frames above a `create_task` are looked through for a line of the program's own.
const CALLERS_MAX: usize = 32;

/// The longest text of an exception that is kept.
const ERROR_MAX: usize = 200;

impl Recording {
    /// Number and function of a task that were both met before.
    #[inline]
    pub(super) fn known_task(&self, task: &TaskObject) -> Option<(u32, SiteId)> {
        let number = self.number(task.trace_id());
        if number == 0 {
            return None;
        }
        Some((number, self.known_function(task)?))
    }

    /// The place of a task's coroutine function, if it was met before.
    #[inline]
    fn known_function(&self, task: &TaskObject) -> Option<SiteId> {
        if !suspended::is_trusted() {
            return None;
        }
        let position = suspended::position_of(&*task.coroutine()?)?;
        self.known.code(position.code).map(|code| code.first)
    }

    /// The innermost line of the program's own that runs now, if that and all below it were met before.
    #[inline]
    fn running_line(&self) -> Option<SiteId> {
        for position in suspended::running().take(CALLERS_MAX) {
            let place = self.known.place(position)?;
            if place.is_users {
                return Some(place.site);
            }
        }
        None
    }

    /// Tells of a task under a new number.
    fn meet_task(
        &mut self,
        task: &TaskObject,
        function: SiteId,
        name: TextId,
        made_at: SiteId,
        was_there: bool,
    ) {
        task.set_trace_id(Recording::meet());
        let (at, parent) = if was_there {
            (self.began_ticks, 0)
        } else {
            (self.now(), self.running_task())
        };
        let number = self.number(task.trace_id());
        let event = Event::created(at, number, parent, function, name, made_at);
        self.ring.push(event);
    }
}

impl Observer {
    /// Whether a recording runs.
    #[inline(always)]
    pub(crate) fn records(&self) -> bool {
        self.has(RECORDS)
    }

    /// What the recording knows of a code object; it is read if that is nothing.
    pub(super) fn code_of(&self, code: &Owned) -> Option<Code> {
        let mut known = None;
        self.record(|recording| known = recording.known.code(code.as_ptr() as usize));
        if known.is_some() {
            return known;
        }
        let names = names::get();
        let file = places::text_of(code, &names.co_filename);
        let function = places::text_of(code, &names.co_qualname);
        let is_users = asyncio::get().is_users_file(&file);
        let wait = if is_users {
            WaitKind::Unknown
        } else {
            places::kind_of_function(&function)
        };
        let told = CodeTold {
            file,
            function,
            first_line: places::first_line(code),
            is_users,
            wait,
        };
        self.record(|recording| known = recording.learn_code(code.clone(), &told));
        known
    }

    /// The place of a task's coroutine function.
    pub(super) fn function_of(&self, task: &TaskObject) -> SiteId {
        let mut function = None;
        self.record(|recording| function = recording.known_function(task));
        if let Some(function) = function {
            return function;
        }
        let Some(coroutine) = task.coroutine() else {
            return SiteId::NONE;
        };
        let Some(code) = places::code_of(&coroutine) else {
            return SiteId::NONE;
        };
        if suspended::position_of(&coroutine).is_some_and(|read| read.code != code.as_ptr() as usize) {
            suspended::distrust();
        }
        self.code_of(&code).map_or(SiteId::NONE, |known| known.first)
    }

    /// The task that runs while the recording begins goes on as the one that runs.
    pub(super) fn join_running(&self, task: &TaskObject) {
        let (number, function) = (self.number_of(task), self.function_of(task));
        self.record(|recording| recording.joins(number, function));
    }

    /// The number of a task; one that the recording meets for the first time is told as made before it.
    pub(super) fn number_of(&self, task: &TaskObject) -> u32 {
        let mut number = 0;
        self.record(|recording| number = recording.number(task.trace_id()));
        if number == 0 {
            self.meet(task, SiteId::NONE, true);
            self.record(|recording| number = recording.number(task.trace_id()));
        }
        number
    }

    /// Tells of a task that was just made.
    pub(crate) fn record_spawn(&self, task: &TaskObject) {
        let mut made_at = None;
        self.record(|recording| made_at = recording.running_line());
        let made_at = made_at.unwrap_or_else(|| self.learn_running_line());
        self.meet(task, made_at, false);
    }

    /// Asks each running frame where it stands, and compares that with what was read.
    #[cold]
    fn learn_running_line(&self) -> SiteId {
        let mut read = suspended::running();
        for frame in places::running().take(CALLERS_MAX) {
            // Entries from C stand between the frames, and are no frames for the public interface.
            let code = frame.code.as_ptr() as usize;
            let read = read.by_ref().take(CALLERS_MAX).find(|read| read.code == code);
            if let Some(place) = self.learn_place(&frame, read)
                && place.is_users
            {
                return place.site;
            }
        }
        SiteId::NONE
    }

    fn meet(&self, task: &TaskObject, made_at: SiteId, was_there: bool) {
        let function = self.function_of(task);
        let name = task.known_name().and_then(|name| call::text_of(&name).ok());
        self.record(|recording| {
            let name = recording.name(name.as_deref(), task.number());
            recording.meet_task(task, function, name, made_at, was_there);
        });
    }

    /// Tells that a task has another name; up to Python 3.11 asyncio gives every name after the task was made.
    pub(crate) fn record_name(&self, task: &TaskObject) {
        let number = self.number_of(task);
        let function = self.function_of(task);
        let name = task.known_name().and_then(|name| call::text_of(&name).ok());
        self.record(|recording| {
            let name = recording.name(name.as_deref(), task.number());
            let at = recording.now();
            recording
                .ring
                .push(Event::created(at, number, 0, function, name, SiteId::NONE));
        });
    }

    /// Tells that somebody asked for the cancellation of a task.
    #[cold]
    pub(crate) fn record_cancel(&self, task: &TaskObject) {
        let number = self.number_of(task);
        self.record(|recording| {
            let (now, by) = (recording.now(), recording.running_task());
            recording.ring.push(Event::cancel(now, number, by));
        });
    }

    /// The name of a callback: that of its function, or the type of what is no handle.
    pub(super) fn name_of(&self, item: &Obj) -> Option<TextId> {
        let function = if handle::types().is_own(item) {
            if handle::is_cancelled(item) {
                return None;
            }
            function_behind(&*handle::callback_of(item)?)
        } else {
            type_of(item)
        };
        // A function may be made for one call, and holds what it closes over; its code and types are few and live long.
        let known_by = code_behind(&function).unwrap_or_else(|| function.clone());
        let mut name = None;
        self.record(|recording| name = recording.known.callable(known_by.as_ptr() as usize));
        if name.is_some() {
            return name;
        }
        let text = name_of_function(&function);
        let lives_long = !known_by.is(&function) || function.type_ptr() == &raw mut ffi::PyType_Type;
        self.record(|recording| {
            name = Some(if lives_long {
                recording.learn_callable(known_by, &text)
            } else {
                recording.texts.intern(&text)
            });
        });
        name
    }
}

/// How a task ended, and with which exception.
pub(super) fn end_of(task: &TaskObject) -> (Ended, Option<String>) {
    if task.future.is_cancelled() {
        return (Ended::Cancelled, None);
    }
    if !task.future.has_failed() {
        return (Ended::Returned, None);
    }
    let exception = task.future.peek_exception();
    // SAFETY: the type of a live object has a name.
    let kind = unsafe { std::ffi::CStr::from_ptr((*exception.type_ptr()).tp_name) }.to_string_lossy();
    // SAFETY: a live object.
    let text = unsafe { Owned::steal(ffi::PyObject_Str(exception.as_ptr())) }
        .and_then(|text| call::text_of(&text))
        .unwrap_or_else(|_| {
            drop(take());
            String::new()
        });
    let mut told = if text.is_empty() {
        kind.into_owned()
    } else {
        format!("{kind}: {text}")
    };
    if told.len() > ERROR_MAX {
        let end = (0..=ERROR_MAX)
            .rev()
            .find(|end| told.is_char_boundary(*end))
            .unwrap_or(0);
        told.truncate(end);
        told.push('…');
    }
    (Ended::Raised, Some(told))
}

fn type_of(object: &Obj) -> Owned {
    // SAFETY: the type of a live object is live.
    unsafe { Obj::from_ptr(object.type_ptr().cast()) }.own()
}

/// The function behind a bound method; anything else is itself.
fn function_behind(callable: &Obj) -> Owned {
    // SAFETY: the type of a live object has a name.
    let kind = unsafe { std::ffi::CStr::from_ptr((*callable.type_ptr()).tp_name) };
    if kind == c"method" {
        if let Ok(function) = callable.get_attr(&names::get().dunder_func) {
            return function;
        }
        drop(take());
    }
    callable.own()
}

/// The code of a function of Python.
fn code_behind(function: &Obj) -> Option<Owned> {
    // SAFETY: the type object is a static of the interpreter.
    if function.type_ptr() != &raw mut ffi::PyFunction_Type {
        return None;
    }
    // SAFETY: the type is exact; a borrowed reference to what the function holds.
    unsafe { Obj::from_ptr_opt(ffi::PyFunction_GetCode(function.as_ptr())) }.map(Obj::own)
}

fn name_of_function(function: &Obj) -> String {
    let name = places::text_of(function, &names::get().dunder_qualname);
    if !name.is_empty() {
        return name;
    }
    // SAFETY: the type of a live object has a name.
    unsafe { std::ffi::CStr::from_ptr((*function.type_ptr()).tp_name) }
        .to_string_lossy()
        .into_owned()
}
