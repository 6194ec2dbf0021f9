//! The loop object: `maypole._maypole.Loop`, the native half of `maypole.EventLoop`.
//!
//! The Python half inherits what runs once per connection or per loop from CPython's own asyncio; this half owns what runs once
//! per callback:
//!
//! * [`class`]: the type, its birth and death; [`pools`]: memory kept for the next objects.
//! * [`schedule`]: `call_soon`, `call_later`, `call_at`, `call_soon_threadsafe`.
//! * [`spawn`]: `create_task` and `create_future`.
//! * [`turn`]: one turn, and turns until `stop()`.
//! * [`look_ahead`]: what the next items will touch.
//! * [`wait`]: waiting for descriptors, timers, other threads and signals; the only place that gives up the interpreter lock.
//! * [`virtual_wait`]: the same on the virtual clock.
//! * [`watch`]: readers and writers; [`transports`]: which transport has which descriptor; [`sockets`]: receiving at once.
//! * [`state`]: the clock, `stop`, `close` and the fields that inherited code reads.
//! * [`failure`]: where the exception of a callback goes.
//!
//! Invariant: no `RefCell` of the loop is borrowed while Python code can run; what a table hands back is dropped after the borrow.
//! Invariant: everything the loop holds is visited by `tp_traverse`, so a cycle through a queued callback can be collected.

mod class;
mod failure;
mod look_ahead;
mod pools;
mod schedule;
mod sockets;
mod spawn;
mod state;
mod transports;
mod turn;
mod virtual_wait;
mod wait;
mod watch;

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::rc::Rc;

use maypole_core::{Key, Sources, Turn, VirtualClock};
use maypole_sys::{Events, TurnClock};
use pyo3::ffi;

pub(crate) use class::{init, register};
use pools::Pools;
use transports::Transports;
pub(crate) use watch::descriptor;

use crate::capi::class::{Native, Visitor};
use crate::capi::{Field, Owned, Result};
use crate::handle;
use crate::observer::Observer;

/// How many items are dropped together when a loop ends.
const DISCARDED_AT_ONCE: usize = 512;

/// Where the loop's time comes from.
pub(crate) enum Clock {
    /// `CLOCK_MONOTONIC`, as `time.monotonic()`.
    Monotonic,
    /// Time that jumps when nothing is ready.
    Virtual(VirtualClock),
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
    /// What time it is in a turn that does not ask the poller.
    turn_clock: TurnClock,
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
    /// The serial number of the task that asyncio's dictionary of current tasks has for this loop; 0 if it has none of ours.
    running_serial: Cell<u64>,
    /// That dictionary still has the task of the last step, because the next item is a task again.
    between_tasks: Cell<bool>,
    /// Where the bytes of a read land before they become an object; made at the first read.
    pub(crate) read_buffer: RefCell<Vec<u8>>,
    /// How much the last read of a socket gave that the program keeps itself.
    last_received: Cell<u32>,
    /// Transports that have to send at the end of the turn.
    to_flush: RefCell<Vec<Owned>>,
    /// The native stream transports by descriptor. They take themselves out.
    transports: RefCell<Transports>,
    /// Memory of dead handles, futures and tasks.
    pub(crate) pools: Pools,
    closed: Cell<bool>,
    stopping: Cell<bool>,
    debug: Cell<bool>,
    /// The identifier of the thread that runs the loop, 0 when it does not run.
    thread_id: Cell<u64>,
    /// The poller is to be asked in the next turn, also when callbacks are ready.
    must_ask: Cell<bool>,
    /// The loop waits, or is about to: whoever adds work from another thread must ring.
    sleeping: Cell<bool>,
    /// Turns taken since the loop was made.
    turns: Cell<u64>,
    /// What the loop sees of itself.
    pub(crate) observer: Observer,
}

// SAFETY: `repr(C)`, begins with a `PyObject`, and `new` fills every field before anybody else sees the object.
unsafe impl Native for LoopObject {}

impl LoopObject {
    #[inline(always)]
    pub(crate) fn debug(&self) -> bool {
        self.debug.get()
    }

    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How many items are ready, timers are waiting, descriptors are watched; how many turns were taken.
    pub(crate) fn depths(&self) -> [u64; 4] {
        let turn = self.turn.borrow();
        let (ready, timers) = (turn.ready_len(), turn.timers_len());
        [
            ready as u64,
            timers as u64,
            self.sources.borrow().len() as u64,
            self.turns.get(),
        ]
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
            turn_clock: TurnClock::new(),
            is_virtual,
            foreign_time: Cell::new(false),
            patched_run: Cell::new(false),
            plain_tasks: Cell::new(false),
            task_factory: Field::empty(),
            running_serial: Cell::new(0),
            between_tasks: Cell::new(false),
            read_buffer: RefCell::new(Vec::new()),
            last_received: Cell::new(0),
            to_flush: RefCell::new(Vec::new()),
            transports: RefCell::new(Transports::default()),
            pools: Pools::new(),
            closed: Cell::new(false),
            stopping: Cell::new(false),
            debug: Cell::new(false),
            thread_id: Cell::new(0),
            must_ask: Cell::new(false),
            sleeping: Cell::new(false),
            turns: Cell::new(0),
            observer: Observer::new(),
        })
    }

    /// Drops everything in queue, wheel and watch tables, a few at a time: a loop that is closed because memory has run out
    /// needs next to none for that.
    fn discard(&self) {
        let (mut from, mut left) = (0, self.turn.borrow().iter().count());
        // What destructors queue meanwhile is not waited for.
        while left > 0 {
            let some = self
                .turn
                .borrow_mut()
                .drain_some(&mut from, DISCARDED_AT_ONCE.min(left));
            if some.is_empty() {
                break;
            }
            left -= some.len();
            for item in &some {
                if item.type_ptr().cast() == handle::types().timer_handle.as_ptr() {
                    handle::mark_unscheduled(item);
                }
            }
        }
        let watching = self.sources.borrow_mut().drain();
        let flushing = std::mem::take(&mut *self.to_flush.borrow_mut());
        drop((watching, flushing));
        self.observer.sampling.forget();
        crate::context::forget();
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
        self.observer.visit(visitor)?;
        visitor.visit_opt(self.task_factory.peek())
    }
}
