//! One item of the queue, while somebody looks at it: a sample, a recording, hooks, the watchdog.
//!
//! What the looking itself runs in Python (hooks, attributes of coroutines) happens before and after the item, never inside a borrow
//! of the observer, and its errors never reach the item.

use maypole_sys::monotonic_ns;
use maypole_trace::{Ended, Event, LiveTask, SiteId, TextId, WaitKind, Waiting, Waker};
use pyo3::ffi;

use super::instruments::Hook;
use super::places::{self, Place};
use super::recording::{Code, CodeTold, Ready, Recording, method_of};
use super::{Observer, RECORDS, STAMPS};
use crate::aio::operation::Operation;
use crate::asyncio;
use crate::capi::class::Native;
use crate::capi::error::{restore, take};
use crate::capi::{Obj, Owned, Result, call, names};
use crate::event_loop::LoopObject;
use crate::handle;
use crate::task::TaskObject;

/// So many frames above a `create_task` are looked through for a line of the program's own.
const CALLERS_MAX: usize = 32;

/// The longest text of an exception that is kept.
const ERROR_MAX: usize = 200;

/// What a task waits for; the task waited for by the number that it carries.
struct Waited {
    kind: WaitKind,
    site: SiteId,
    on_task: u32,
    operation: TextId,
}

/// What is known of an item before it runs.
struct Before {
    began_ns: u64,
    /// How long it lay in the queue, if it is the sample.
    waited_ns: Option<u64>,
    code: Option<Owned>,
    /// Its recording: number of the task (0 for a callback), stamp, begin, function of the task, name of the callback.
    recorded: Option<Recorded>,
}

struct Recorded {
    task: u32,
    ready: Ready,
    began_ticks: u64,
    function: SiteId,
    name: Option<TextId>,
}

impl Observer {
    /// Runs one item by `run`, and looks at it.
    ///
    /// # Errors
    /// What `run` fails with, or a hook that ends the program.
    #[cold]
    pub(crate) fn run(
        &self,
        event_loop: &LoopObject,
        item: &Obj,
        place: u64,
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let task = TaskObject::downcast(item);
        let hooks = task.is_some() && self.has(super::HOOKS);
        if hooks {
            self.tell(event_loop.as_obj(), Hook::BeforeTaskStep, &[item])?;
        }
        let before = self.before(item, task, place);
        let outcome = run();
        let pending = if outcome.is_err() { take() } else { None };
        self.after(task, before);
        let told = if hooks {
            self.after_step(event_loop, item, task)
        } else {
            Ok(())
        };
        match pending {
            Some(pending) => Err(restore(pending)),
            None => outcome.and(told),
        }
    }

    /// Runs a step of a task that was woken by a callback, inside that callback, and looks at it.
    ///
    /// # Errors
    /// As [`Observer::run`].
    #[cold]
    pub(crate) fn run_inside_callback(
        &self,
        event_loop: &LoopObject,
        task: &TaskObject,
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let item = task.as_obj();
        self.tell(event_loop.as_obj(), Hook::BeforeTaskStep, &[item])?;
        let number = if self.has(RECORDS) {
            self.number_of(task)
        } else {
            0
        };
        let function = self.function_of(task);
        let mut recorded = None;
        self.record(|recording| {
            recorded = Some(Recorded {
                task: number,
                ready: recording.becomes_step(number),
                began_ticks: recording.step_begins(number, function),
                function,
                name: None,
            });
        });
        let outcome = run();
        let pending = if outcome.is_err() { take() } else { None };
        if let Some(recorded) = recorded {
            self.end_record(&recorded, Some(task));
        }
        let told = self.after_step(event_loop, item, Some(task));
        match pending {
            Some(pending) => Err(restore(pending)),
            None => outcome.and(told),
        }
    }

    fn after_step(&self, event_loop: &LoopObject, item: &Obj, task: Option<&TaskObject>) -> Result<()> {
        self.tell(event_loop.as_obj(), Hook::AfterTaskStep, &[item])?;
        if task.is_some_and(|task| task.future.is_done()) {
            self.tell(event_loop.as_obj(), Hook::TaskExited, &[item])?;
        }
        Ok(())
    }

    fn before(&self, item: &Obj, task: Option<&TaskObject>, place: u64) -> Before {
        let began_ns = monotonic_ns();
        let waited_ns = self.sampling.awaits(place).then(|| {
            let waited_ns = self.sampling.arrived(began_ns);
            self.metrics
                .histograms
                .borrow_mut()
                .queue_wait_ns
                .record(waited_ns);
            waited_ns
        });
        let coroutine = task.and_then(TaskObject::coroutine);
        let code = waited_ns
            .and(coroutine)
            .and_then(|coroutine| places::code_of(&coroutine));
        let recorded = if self.has(RECORDS) {
            self.begin_record(item, task)
        } else {
            None
        };
        if self.has(STAMPS) {
            self.item_began_ns.set(began_ns);
            self.running.set(item.own());
        }
        Before {
            began_ns,
            waited_ns,
            code,
            recorded,
        }
    }

    fn begin_record(&self, item: &Obj, task: Option<&TaskObject>) -> Option<Recorded> {
        let (number, function, name) = match task {
            Some(task) => (self.number_of(task), self.function_of(task), None),
            None => (0, SiteId::NONE, self.name_of(item)),
        };
        let mut recorded = None;
        self.record(|recording| {
            let ready = recording.taken(number);
            recorded = Some(Recorded {
                task: number,
                ready,
                began_ticks: recording.step_begins(number, function),
                function,
                name,
            });
        });
        recorded
    }

    fn after(&self, task: Option<&TaskObject>, before: Before) {
        if self.item_began_ns.replace(0) != 0 {
            drop(self.running.take());
        }
        if let (Some(waited_ns), Some(code)) = (before.waited_ns, &before.code) {
            let busy_ns = monotonic_ns().saturating_sub(before.began_ns);
            self.sampling.stepped(code, busy_ns, waited_ns);
        }
        if let Some(recorded) = before.recorded {
            self.end_record(&recorded, task);
        }
    }

    /// Writes the events of an item that has run.
    fn end_record(&self, recorded: &Recorded, task: Option<&TaskObject>) {
        self.record(|recording| {
            let end = recording.now();
            let was_step = recording.rest();
            let event = event_of(recorded, end).filter(|_| recorded.task != 0 || !was_step);
            if let Some(event) = event {
                recording.ring.push(event);
            }
        });
        let Some(task) = task else { return };
        if !self.has(RECORDS) {
            return;
        }
        if task.future.is_done() {
            self.record_end(task, recorded.task);
        } else {
            self.record_wait(task, recorded.task);
        }
    }

    fn record_end(&self, task: &TaskObject, number: u32) {
        let (how, error) = end_of(task);
        self.record(|recording| recording.ended(number, how, error.as_deref()));
    }

    fn record_wait(&self, task: &TaskObject, number: u32) {
        let wait = self.wait_of(task);
        self.record(|recording| {
            let (now, on_task) = (recording.now(), recording.number(wait.on_task));
            let event = Event::wait(now, number, wait.kind, wait.site, on_task);
            recording.ring.push(event.calling(wait.operation));
        });
    }

    /// What a suspended task waits for, and at which line.
    fn wait_of(&self, task: &TaskObject) -> Waited {
        let awaited = task.awaited();
        let kind = places::kind_of(awaited.as_deref());
        let (mut site, mut told, mut operation) = (SiteId::NONE, WaitKind::Unknown, TextId::NONE);
        if kind != WaitKind::Turn
            && let Some(coroutine) = task.coroutine()
        {
            (site, told, operation) = self.users_place(&places::chain(&coroutine));
        }
        if let Some(native) = awaited.as_deref().and_then(Operation::downcast) {
            self.record(|recording| operation = recording.texts.intern(method_of(native.name())));
        }
        let kind = match (kind, told) {
            (WaitKind::Future | WaitKind::Unknown, told) if told != WaitKind::Unknown => told,
            (WaitKind::Unknown, _) => WaitKind::Future,
            (kind, _) => kind,
        };
        let on_task = awaited
            .as_deref()
            .and_then(TaskObject::downcast)
            .map_or(0, TaskObject::trace_id);
        Waited {
            kind,
            site,
            on_task,
            operation,
        }
    }

    /// A task that is not done, for the end of the recording.
    pub(super) fn live_task(&self, task: &TaskObject) -> LiveTask {
        let number = self.number_of(task);
        let function = self.function_of(task);
        let wait = self.wait_of(task);
        let name = task.known_name().and_then(|name| call::text_of(&name).ok());
        let mut live = LiveTask {
            task: number,
            function,
            ..LiveTask::default()
        };
        self.record(|recording| {
            live.name = recording.name(name.as_deref(), task.number());
            live.created_ticks = recording.began_ticks;
            live.waiting = Some(Waiting {
                since_ticks: recording.began_ticks,
                kind: wait.kind,
                site: wait.site,
                on_task: recording.number(wait.on_task),
            });
        });
        live
    }

    /// The innermost line of the program's own code, what the innermost function is known to wait for, and what that line called.
    fn users_place(&self, chain: &[Place]) -> (SiteId, WaitKind, TextId) {
        let mut kind = WaitKind::Unknown;
        let mut operation = TextId::NONE;
        let (mut site, mut fallback) = (SiteId::NONE, SiteId::NONE);
        for (depth, place) in chain.iter().rev().enumerate() {
            let Some(known) = self.code_of(&place.code) else {
                continue;
            };
            if kind == WaitKind::Unknown {
                kind = known.wait;
            }
            if known.is_users {
                site = self.site_of(place);
                break;
            }
            if depth == 0 {
                fallback = self.site_of(place);
            }
            operation = known.operation;
        }
        if site == SiteId::NONE {
            site = fallback;
        }
        (site, kind, operation)
    }

    /// The line at which a frame of known code stands.
    fn site_of(&self, place: &Place) -> SiteId {
        let mut site = SiteId::NONE;
        self.record(|recording| {
            let address = place.code.as_ptr() as usize;
            site = recording.site(address, place.instruction(), || place.line());
        });
        site
    }

    /// What the recording knows of a code object; it is read if that is nothing.
    fn code_of(&self, code: &Owned) -> Option<Code> {
        let mut known = None;
        self.record(|recording| known = recording.code(code.as_ptr() as usize));
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
    fn function_of(&self, task: &TaskObject) -> SiteId {
        task.coroutine()
            .and_then(|coroutine| places::code_of(&coroutine))
            .and_then(|code| self.code_of(&code))
            .map_or(SiteId::NONE, |known| known.first)
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
        let users = places::running()
            .take(CALLERS_MAX)
            .find(|place| self.code_of(&place.code).is_some_and(|known| known.is_users));
        let made_at = users.map_or(SiteId::NONE, |place| self.site_of(&place));
        self.meet(task, made_at, false);
    }

    fn meet(&self, task: &TaskObject, made_at: SiteId, was_there: bool) {
        let function = self.function_of(task);
        let name = task.known_name().and_then(|name| call::text_of(&name).ok());
        task.set_trace_id(Recording::meet());
        self.record(|recording| {
            let name = recording.name(name.as_deref(), task.number());
            let at = if was_there {
                recording.began_ticks
            } else {
                recording.now()
            };
            let parent = if was_there { 0 } else { recording.running_task() };
            let number = recording.number(task.trace_id());
            recording
                .ring
                .push(Event::created(at, number, parent, function, name, made_at));
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

    /// The name of a callback: that of its function, or the type of what is no handle.
    fn name_of(&self, item: &Obj) -> Option<TextId> {
        let function = if handle::types().is_own(item) {
            if handle::is_cancelled(item) {
                return None;
            }
            function_behind(&*handle::callback_of(item)?)
        } else {
            type_of(item)
        };
        let address = function.as_ptr() as usize;
        let mut name = None;
        self.record(|recording| name = recording.callable(address));
        if name.is_some() {
            return name;
        }
        let text = name_of_function(&function);
        // Functions and types are few and live long; what is made for one call would be held in vain.
        let kind = function.type_ptr();
        let lives_long = kind == &raw mut ffi::PyFunction_Type || kind == &raw mut ffi::PyType_Type;
        self.record(|recording| {
            name = Some(if lives_long {
                recording.learn_callable(function, &text)
            } else {
                recording.texts.intern(&text)
            });
        });
        name
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

    /// Whether a recording runs.
    #[inline(always)]
    pub(crate) fn records(&self) -> bool {
        self.has(RECORDS)
    }
}

fn event_of(recorded: &Recorded, end: u64) -> Option<Event> {
    let Ready {
        ticks,
        waker,
        waker_task,
    } = recorded.ready;
    if recorded.task != 0 {
        let function = recorded.function.short();
        let (task, began) = (recorded.task, recorded.began_ticks);
        return Some(Event::step(task, function, ticks, began, end, waker, waker_task));
    }
    let waker = if waker == Waker::Start { Waker::Task } else { waker };
    recorded
        .name
        .map(|name| Event::callback(ticks, recorded.began_ticks, end, name, waker, waker_task))
}

/// How a task ended, and with which exception.
fn end_of(task: &TaskObject) -> (Ended, Option<String>) {
    if task.future.is_cancelled() {
        return (Ended::Cancelled, None);
    }
    let exception = task.future.peek_exception();
    if exception.is_none() {
        return (Ended::Returned, None);
    }
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
