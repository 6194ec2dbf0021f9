//! An event, told again.
//!
//! Owns [`Record`] and [`Event::read`], the way back from what the constructors of [`Event`] wrote.

use crate::event::Event;
use crate::sites::SiteId;
use crate::texts::TextId;
use crate::words::{Ended, Kind, WaitKind, Waker};

/// An event as it was told: the arguments of its constructor.
///
/// ```
/// use maypole_trace::{Event, Record};
///
/// assert_eq!(Event::gc(5, 9, 2).read(), Some(Record::Gc { begin: 5, end: 9, generation: 2 }));
/// ```
#[allow(
    missing_docs,
    reason = "the fields are the arguments of the constructor of that name, described there"
)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// [`Event::created`].
    Created {
        at: u64,
        task: u32,
        parent: u32,
        function: SiteId,
        name: TextId,
        made_at: SiteId,
    },
    /// [`Event::step`].
    Step {
        task: u32,
        function: SiteId,
        ready: u64,
        begin: u64,
        end: u64,
        waker: Waker,
        waker_task: u32,
    },
    /// [`Event::wait`].
    Wait {
        at: u64,
        task: u32,
        kind: WaitKind,
        site: SiteId,
        on_task: u32,
        operation: TextId,
    },
    /// [`Event::ended`].
    Ended {
        at: u64,
        task: u32,
        how: Ended,
        error: TextId,
    },
    /// [`Event::cancel`].
    Cancel { at: u64, task: u32, by: u32 },
    /// [`Event::callback`].
    Callback {
        ready: u64,
        begin: u64,
        end: u64,
        name: TextId,
        waker: Waker,
        waker_task: u32,
    },
    /// [`Event::turn`].
    Turn { begin: u64, end: u64, ready: u32 },
    /// [`Event::poll`].
    Poll {
        begin: u64,
        end: u64,
        events: u32,
        blocking: bool,
    },
    /// [`Event::timer_set`] and [`Event::timer_fired`].
    Timer {
        at: u64,
        due: u64,
        fired: bool,
        task: u32,
    },
    /// [`Event::io`].
    Io {
        at: u64,
        fd: i32,
        readable: bool,
        writable: bool,
    },
    /// [`Event::executor`].
    Executor {
        task: u32,
        submitted: u64,
        begin: u64,
        end: u64,
        name: TextId,
    },
    /// [`Event::gc`].
    Gc { begin: u64, end: u64, generation: u8 },
    /// [`Event::stall`].
    Stall {
        begin: u64,
        end: u64,
        task: u32,
        kind: TextId,
        stack: u32,
    },
    /// [`Event::mark`].
    Mark {
        at: u64,
        task: u32,
        text: TextId,
        source: TextId,
    },
}

impl Event {
    /// What the constructor was given. None for an event that no constructor makes: a word out of its set.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the constructors widened these from 32 bits"
    )]
    pub const fn read(&self) -> Option<Record> {
        let Self {
            at_ticks: at,
            a,
            b,
            task,
            other,
            kind,
            detail,
            extra,
        } = *self;
        let text = TextId(other);
        Some(match kind {
            Kind::TaskCreated => Record::Created {
                at,
                task,
                parent: other,
                function: SiteId((a >> 32) as u32),
                name: TextId(a as u32),
                made_at: SiteId(b as u32),
            },
            Kind::Step => {
                let Some(waker) = Waker::from_u8(detail) else {
                    return None;
                };
                let function = SiteId::from_short(extra);
                Record::Step {
                    task,
                    function,
                    ready: a,
                    begin: b,
                    end: at,
                    waker,
                    waker_task: other,
                }
            }
            Kind::Wait => {
                let Some(kind) = WaitKind::from_u8(detail) else {
                    return None;
                };
                Record::Wait {
                    at,
                    task,
                    kind,
                    site: SiteId(other),
                    on_task: a as u32,
                    operation: TextId((b as u32).wrapping_sub(1)),
                }
            }
            Kind::TaskEnded => {
                let Some(how) = Ended::from_u8(detail) else {
                    return None;
                };
                Record::Ended {
                    at,
                    task,
                    how,
                    error: text,
                }
            }
            Kind::Cancel => Record::Cancel { at, task, by: other },
            Kind::Callback => {
                let Some(waker) = Waker::from_u8(detail) else {
                    return None;
                };
                Record::Callback {
                    ready: a,
                    begin: b,
                    end: at,
                    name: text,
                    waker,
                    waker_task: task,
                }
            }
            Kind::Turn => Record::Turn {
                begin: b,
                end: at,
                ready: other,
            },
            Kind::Poll => Record::Poll {
                begin: b,
                end: at,
                events: other,
                blocking: detail != 0,
            },
            Kind::TimerSet => Record::Timer {
                at,
                due: a,
                fired: false,
                task,
            },
            Kind::TimerFired => Record::Timer {
                at,
                due: a,
                fired: true,
                task,
            },
            Kind::Io => Record::Io {
                at,
                fd: other.cast_signed(),
                readable: detail & 1 != 0,
                writable: detail & 2 != 0,
            },
            Kind::Executor => Record::Executor {
                task,
                submitted: a,
                begin: b,
                end: at,
                name: text,
            },
            Kind::Gc => Record::Gc {
                begin: b,
                end: at,
                generation: detail,
            },
            Kind::Stall => Record::Stall {
                begin: b,
                end: at,
                task,
                kind: text,
                stack: a as u32,
            },
            Kind::Mark => Record::Mark {
                at,
                task,
                text,
                source: TextId(a as u32),
            },
        })
    }
}
