//! One event: 40 bytes, written while the program runs, read when the document is made.
//!
//! Owns [`Event`] and where the fields of each [`Kind`] lie: one constructor writes them, and
//! [`Event::read`](crate::Event::read), in the file beside, tells them again. Nothing else knows.
//!
//! Invariant: `at_ticks` is the moment at which the event was over, so that a ring is nearly in the order of the document.

use crate::sites::SiteId;
use crate::texts::TextId;
use crate::words::{Ended, Kind, WaitKind, Waker};

/// One thing that happened. Ticks are the caller's own unit.
///
/// ```
/// use maypole_trace::{Event, Record};
///
/// let event = Event::poll(1_000, 1_500, 3, true);
/// assert_eq!(event.read(), Some(Record::Poll { begin: 1_000, end: 1_500, events: 3, blocking: true }));
/// assert!(size_of::<Event>() <= 40);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// When it was over.
    pub at_ticks: u64,
    /// Mostly when it was ready, or handed in.
    pub a: u64,
    /// Mostly when it began.
    pub b: u64,
    /// The task it is about, from 1; 0 for none.
    pub task: u32,
    /// Another task, a text, a site or a count.
    pub other: u32,
    /// What it is.
    pub kind: Kind,
    /// A word, a flag or a small number.
    pub detail: u8,
    /// The function of a step.
    pub extra: u16,
}

impl Event {
    const fn new(kind: Kind, at_ticks: u64) -> Self {
        Self {
            at_ticks,
            a: 0,
            b: 0,
            task: 0,
            other: 0,
            kind,
            detail: 0,
            extra: 0,
        }
    }

    /// The task `task` was made while the task `parent` ran (0: none), by the line `made_at`; it runs the coroutine
    /// function `function`.
    #[inline]
    #[must_use]
    pub const fn created(
        at: u64,
        task: u32,
        parent: u32,
        function: SiteId,
        name: TextId,
        made_at: SiteId,
    ) -> Self {
        Self {
            a: (function.0 as u64) << 32 | name.0 as u64,
            b: made_at.0 as u64,
            task,
            other: parent,
            ..Self::new(Kind::TaskCreated, at)
        }
    }

    /// The task ran from `begin` to `end`, ready since `ready`. `function` is [`SiteId::short`] of its coroutine
    /// function, for tasks whose creation is no longer in the ring.
    #[inline]
    #[must_use]
    pub const fn step(
        task: u32,
        function: u16,
        ready: u64,
        begin: u64,
        end: u64,
        waker: Waker,
        waker_task: u32,
    ) -> Self {
        Self {
            a: ready,
            b: begin,
            task,
            other: waker_task,
            detail: waker as u8,
            extra: function,
            ..Self::new(Kind::Step, end)
        }
    }

    /// The task's step ended in a wait, at the program's own line `site`, for the task `on_task` (0: for none).
    #[inline]
    #[must_use]
    pub const fn wait(at: u64, task: u32, kind: WaitKind, site: SiteId, on_task: u32) -> Self {
        Self {
            a: on_task as u64,
            task,
            other: site.0,
            detail: kind as u8,
            ..Self::new(Kind::Wait, at)
        }
    }

    /// The same wait, which is in a call named `operation`: of a queue, `put` or `get`.
    #[inline]
    #[must_use]
    pub const fn calling(self, operation: TextId) -> Self {
        Self {
            b: operation.0.wrapping_add(1) as u64,
            ..self
        }
    }

    /// The task is done; `error` is the type and the text of its exception.
    #[inline]
    #[must_use]
    pub const fn ended(at: u64, task: u32, how: Ended, error: TextId) -> Self {
        Self {
            task,
            other: error.0,
            detail: how as u8,
            ..Self::new(Kind::TaskEnded, at)
        }
    }

    /// Somebody asked for the task's cancellation; `by` is the task that ran then, or 0.
    #[inline]
    #[must_use]
    pub const fn cancel(at: u64, task: u32, by: u32) -> Self {
        Self {
            task,
            other: by,
            ..Self::new(Kind::Cancel, at)
        }
    }

    /// A handle, or a transport's event, ran from `begin` to `end`, ready since `ready`.
    #[inline]
    #[must_use]
    pub const fn callback(
        ready: u64,
        begin: u64,
        end: u64,
        name: TextId,
        waker: Waker,
        waker_task: u32,
    ) -> Self {
        Self {
            a: ready,
            b: begin,
            task: waker_task,
            other: name.0,
            detail: waker as u8,
            ..Self::new(Kind::Callback, end)
        }
    }

    /// A batch ran; `ready` items were queued when it began.
    #[inline]
    #[must_use]
    pub const fn turn(begin: u64, end: u64, ready: u32) -> Self {
        Self {
            b: begin,
            other: ready,
            ..Self::new(Kind::Turn, end)
        }
    }

    /// The poller was asked, and told of `events` descriptors; `blocking` when it was allowed to wait.
    #[inline]
    #[must_use]
    pub const fn poll(begin: u64, end: u64, events: u32, blocking: bool) -> Self {
        Self {
            b: begin,
            other: events,
            detail: blocking as u8,
            ..Self::new(Kind::Poll, end)
        }
    }

    /// A timer was set at `at`, to be due at `due`; `task` is the one it will wake, or 0.
    #[inline]
    #[must_use]
    pub const fn timer_set(at: u64, due: u64, task: u32) -> Self {
        Self {
            a: due,
            task,
            ..Self::new(Kind::TimerSet, at)
        }
    }

    /// A timer fired at `at`, which was due at `due`; `task` is the one it wakes, or 0.
    #[inline]
    #[must_use]
    pub const fn timer_fired(at: u64, due: u64, task: u32) -> Self {
        Self {
            a: due,
            task,
            ..Self::new(Kind::TimerFired, at)
        }
    }

    /// The poller reported the descriptor `fd`.
    #[inline]
    #[must_use]
    pub const fn io(at: u64, fd: i32, readable: bool, writable: bool) -> Self {
        Self {
            other: fd.cast_unsigned(),
            detail: readable as u8 | (writable as u8) << 1,
            ..Self::new(Kind::Io, at)
        }
    }

    /// A job was handed to a thread by `task` (0: by none), begun there, and is done.
    #[inline]
    #[must_use]
    pub const fn executor(task: u32, submitted: u64, begin: u64, end: u64, name: TextId) -> Self {
        Self {
            a: submitted,
            b: begin,
            task,
            other: name.0,
            ..Self::new(Kind::Executor, end)
        }
    }

    /// The garbage collector paused the program.
    #[inline]
    #[must_use]
    pub const fn gc(begin: u64, end: u64, generation: u8) -> Self {
        Self {
            b: begin,
            detail: generation,
            ..Self::new(Kind::Gc, end)
        }
    }

    /// The loop was held from `begin` to `end`. `kind` is `step`, `callback` or `turn`; `stack` is what
    /// [`Stacks::push`](crate::Stacks::push) gave, or `u32::MAX` for none.
    #[inline]
    #[must_use]
    pub const fn stall(begin: u64, end: u64, task: u32, kind: TextId, stack: u32) -> Self {
        Self {
            a: stack as u64,
            b: begin,
            task,
            other: kind.0,
            ..Self::new(Kind::Stall, end)
        }
    }

    /// Something that the program, or the library `source`, wrote down itself.
    #[inline]
    #[must_use]
    pub const fn mark(at: u64, task: u32, text: TextId, source: TextId) -> Self {
        Self {
            a: source.0 as u64,
            task,
            other: text.0,
            ..Self::new(Kind::Mark, at)
        }
    }
}
