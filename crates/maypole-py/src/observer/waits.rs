//! What a suspended task waits for, and at which line of the program.
//!
//! Most places have been met before: then no Python object is made and no Python code runs.

use maypole_trace::{Event, LiveTask, SiteId, TextId, WaitKind, Waiting};

use super::Observer;
use super::known::{Line, Place};
use super::places;
use super::recording::Recording;
use super::suspended::{self, DEPTH_MAX, Position};
use crate::aio::operation::Operation;
use crate::capi::{Obj, call};
use crate::future;
use crate::task::TaskObject;

/// What a task waits for; the task waited for by the number that it carries.
#[derive(Clone, Copy)]
pub(super) struct Waited {
    kind: WaitKind,
    site: SiteId,
    on_task: u32,
    operation: TextId,
}

impl Waited {
    /// Puts together what was yielded, which is of this kind, and what the chain of awaits says.
    fn new(recording: &mut Recording, awaited: Option<&Obj>, kind: WaitKind, line: Line) -> Waited {
        let mut operation = line.operation;
        if let Some(native) = awaited.and_then(Operation::downcast) {
            (operation, _) = recording.operation(native.name(), places::kind_of_function);
        }
        let kind = match (kind, line.kind) {
            (WaitKind::Future | WaitKind::Unknown, told) if told != WaitKind::Unknown => told,
            (WaitKind::Unknown, _) => WaitKind::Future,
            (kind, _) => kind,
        };
        Waited {
            kind,
            site: line.site,
            on_task: awaited
                .and_then(TaskObject::downcast)
                .map_or(0, TaskObject::trace_id),
            operation,
        }
    }
}

impl Recording {
    /// What a task waits for, if each place of its chain was met before.
    #[inline]
    pub(super) fn waited(&mut self, task: &TaskObject, awaited: Option<&Obj>) -> Option<Waited> {
        let kind = self.kind_of(awaited);
        let mut line = Line::NONE;
        if kind != WaitKind::Turn
            && let Some(coroutine) = task.coroutine()
        {
            let mut positions = [Position::NONE; DEPTH_MAX];
            let getters = self.getters.filter(|_| suspended::is_trusted())?;
            line = self.known.line(getters.chain(&coroutine, &mut positions)?)?;
        }
        Some(Waited::new(self, awaited, kind, line))
    }

    /// What a wait is for, by what was yielded; the chain of awaits may know better.
    #[inline]
    fn kind_of(&mut self, awaited: Option<&Obj>) -> WaitKind {
        let Some(awaited) = awaited else {
            return WaitKind::Turn;
        };
        if awaited.type_ptr().cast() == future::class().as_ptr() {
            return places::kind_of_future(awaited);
        }
        match Operation::downcast(awaited) {
            Some(operation) => self.operation(operation.name(), places::kind_of_function).1,
            None => places::kind_of(awaited),
        }
    }

    /// Writes what a task waits for since `at`.
    pub(super) fn wait(&mut self, at: u64, task: u32, waited: Waited) {
        let on_task = self.number(waited.on_task);
        let event = Event::wait(at, task, waited.kind, waited.site, on_task);
        self.ring.push(event.calling(waited.operation));
    }
}

impl Observer {
    /// What a suspended task waits for, whatever its chain of awaits consists of.
    pub(super) fn wait_of(&self, task: &TaskObject) -> Option<Waited> {
        let awaited = task.awaited();
        let mut kind = WaitKind::Turn;
        self.record(|recording| kind = recording.kind_of(awaited.as_deref()));
        let mut line = Line::NONE;
        if kind != WaitKind::Turn
            && let Some(coroutine) = task.coroutine()
        {
            line = self.learn_line(&coroutine);
        }
        let mut waited = None;
        self.record(|recording| waited = Some(Waited::new(recording, awaited.as_deref(), kind, line)));
        waited
    }

    /// Asks each coroutine of a chain where it stands, and compares that with what was read.
    #[cold]
    fn learn_line(&self, coroutine: &Obj) -> Line {
        let mut known: Vec<Place> = Vec::new();
        for (link, frame) in places::chain(coroutine) {
            let read = suspended::position_of(&link);
            known.extend(self.learn_place(&frame, read));
        }
        Line::of(known.into_iter().rev())
    }

    /// What is known of the place of a frame; it is asked for if that is nothing. `read` is what was read without asking.
    pub(super) fn learn_place(&self, frame: &places::Frame, read: Option<Position>) -> Option<Place> {
        let position = Position {
            code: frame.code.as_ptr() as usize,
            instruction: frame.instruction(),
        };
        if read.is_some_and(|read| read != position) {
            suspended::distrust();
        }
        let mut place = None;
        self.record(|recording| place = recording.known.place(position));
        if place.is_some() {
            return place;
        }
        let code = self.code_of(&frame.code)?;
        let line = frame.line();
        self.record(|recording| place = Some(recording.learn_place(position, code, line)));
        place
    }

    /// A task that is not done, for the end of the recording.
    pub(super) fn live_task(&self, task: &TaskObject) -> LiveTask {
        let number = self.number_of(task);
        let function = self.function_of(task);
        let waited = self.wait_of(task);
        let name = task.known_name().and_then(|name| call::text_of(&name).ok());
        let mut live = LiveTask {
            task: number,
            function,
            ..LiveTask::default()
        };
        self.record(|recording| {
            live.name = recording.name(name.as_deref(), task.number());
            live.created_ticks = recording.began_ticks;
            live.waiting = waited.map(|waited| Waiting {
                since_ticks: recording.began_ticks,
                kind: waited.kind,
                site: waited.site,
                on_task: recording.number(waited.on_task),
            });
        });
        live
    }
}
