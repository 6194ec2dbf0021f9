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
    pub fn read(&self) -> Option<Record> {
        match self.kind {
            Kind::TaskCreated | Kind::Step | Kind::Wait | Kind::TaskEnded | Kind::Cancel => {
                self.read_of_a_task()
            }
            Kind::Callback | Kind::Turn | Kind::Poll | Kind::Executor | Kind::Gc | Kind::Stall => {
                self.read_span()
            }
            Kind::TimerSet | Kind::TimerFired | Kind::Io | Kind::Mark => Some(self.read_moment()),
        }
    }

    fn read_of_a_task(&self) -> Option<Record> {
        let Self {
            at_ticks: at,
            a,
            b,
            task,
            other,
            detail,
            ..
        } = *self;
        Some(match self.kind {
            Kind::TaskCreated => {
                let (function, name, made_at) = (SiteId(high(a)), TextId(low(a)), SiteId(low(b)));
                Record::Created {
                    at,
                    task,
                    parent: other,
                    function,
                    name,
                    made_at,
                }
            }
            Kind::Step => {
                let (function, waker) = (SiteId::from_short(self.extra), Waker::from_u8(detail)?);
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
                let (kind, site) = (WaitKind::from_u8(detail)?, SiteId(other));
                let operation = TextId(low(b).wrapping_sub(1));
                Record::Wait {
                    at,
                    task,
                    kind,
                    site,
                    on_task: low(a),
                    operation,
                }
            }
            Kind::TaskEnded => Record::Ended {
                at,
                task,
                how: Ended::from_u8(detail)?,
                error: TextId(other),
            },
            Kind::Cancel => Record::Cancel { at, task, by: other },
            _ => return None,
        })
    }

    fn read_span(&self) -> Option<Record> {
        let Self {
            at_ticks: end,
            a,
            b: begin,
            task,
            other,
            detail,
            ..
        } = *self;
        let text = TextId(other);
        Some(match self.kind {
            Kind::Callback => {
                let waker = Waker::from_u8(detail)?;
                Record::Callback {
                    ready: a,
                    begin,
                    end,
                    name: text,
                    waker,
                    waker_task: task,
                }
            }
            Kind::Turn => Record::Turn {
                begin,
                end,
                ready: other,
            },
            Kind::Poll => Record::Poll {
                begin,
                end,
                events: other,
                blocking: detail != 0,
            },
            Kind::Executor => Record::Executor {
                task,
                submitted: a,
                begin,
                end,
                name: text,
            },
            Kind::Gc => Record::Gc {
                begin,
                end,
                generation: detail,
            },
            Kind::Stall => Record::Stall {
                begin,
                end,
                task,
                kind: text,
                stack: low(a),
            },
            _ => return None,
        })
    }

    fn read_moment(&self) -> Record {
        let Self {
            at_ticks: at,
            a,
            task,
            other,
            detail,
            ..
        } = *self;
        match self.kind {
            Kind::Io => {
                let (readable, writable) = (detail & 1 != 0, detail & 2 != 0);
                Record::Io {
                    at,
                    fd: other.cast_signed(),
                    readable,
                    writable,
                }
            }
            Kind::Mark => Record::Mark {
                at,
                task,
                text: TextId(other),
                source: TextId(low(a)),
            },
            kind => Record::Timer {
                at,
                due: a,
                fired: kind == Kind::TimerFired,
                task,
            },
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "one half of two")]
const fn low(both: u64) -> u32 {
    both as u32
}

const fn high(both: u64) -> u32 {
    low(both >> 32)
}
