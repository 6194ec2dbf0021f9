//! Waiting: for descriptors, timers, other threads and signals.
//!
//! Invariant: the interpreter lock is given up only here, only for a wait that may block, and while no Python object is borrowed.
//! Invariant: `sleeping` is set before the lock is given up and cleared by whoever rings, so a wake-up is never lost and never
//! written twice: everybody who queues work holds the lock, hence comes either before the wait or after `sleeping` is set.

use std::cell::Cell;
use std::os::fd::RawFd;
use std::rc::Rc;

use maypole_core::{Change, Key, Turn, Wait};
use maypole_sys::{Event, Events, Poller, Timeout, Waker as WakeUp, monotonic_ns};
use maypole_trace::Waker;
use pyo3::ffi;

use super::{LoopObject, turn};
use crate::aio::operation::Operation;
use crate::capi::class::Native;
use crate::capi::error::{check, os_error, runtime_error};
use crate::capi::object::none;
use crate::capi::{Obj, Owned, Result};
use crate::handle;
use crate::transport::{DatagramFields, READABLE, StreamFields, WRITABLE};

/// The key under which the poller reports the wake-up.
const WAKE_KEY: u64 = u64::MAX;

/// What is to be done about a watch after an event.
enum Ended {
    /// Somebody has cancelled a handle instead of removing the reader or writer.
    Cancelled(Key),
    /// The poller must be told what is left to watch of the descriptor.
    Changed(RawFd, Key, Change),
}

/// What becomes of a watch after an event.
enum After {
    Watched,
    /// Its handle was cancelled.
    Cancelled,
    /// It wanted this event only.
    Fired,
    /// There was no memory to note the event.
    Missed,
}

/// Poller and wake-up; both work through a shared reference, so that other threads may use them while the loop waits.
pub(super) struct Reactor {
    pub(super) poller: Poller,
    waker: WakeUp,
}

impl Reactor {
    /// Makes poller and wake-up.
    ///
    /// # Errors
    /// `OSError` when descriptors have run out.
    pub(super) fn new() -> Result<Reactor> {
        let make = || -> std::io::Result<Reactor> {
            let (poller, waker) = (Poller::new()?, WakeUp::new()?);
            poller.add(waker.as_raw_fd(), WAKE_KEY, true, false)?;
            Ok(Reactor { poller, waker })
        };
        make().map_err(|error| os_error(&error))
    }
}

/// What a wait ended with.
pub(super) enum Waited {
    /// Perhaps some events were queued.
    Done,
    /// A signal came: its Python handler must run now.
    Interrupted,
}

impl LoopObject {
    /// Waits as long as there is nothing to do, then queues what became ready.
    pub(super) fn wait_for_work(&self) -> Result<()> {
        if self.works_on() {
            return Ok(());
        }
        turn::leave_task(self)?;
        // Python code runs signal handlers by itself; batches of native callbacks would not.
        // SAFETY: the lock is held and no exception is set.
        check(unsafe { ffi::PyErr_CheckSignals() })?;
        let asked_ns = monotonic_ns();
        self.observer.metrics.worked(asked_ns);
        if self.is_virtual {
            crate::context::forget();
            self.wait_on_virtual_clock()?;
            self.observer
                .record(|recording| recording.jumped(self.own_now_ns()));
            self.observer.metrics.works(monotonic_ns());
            return Ok(());
        }
        let timeout = if self.turn.borrow().ready_len() > 0 || self.stopping.get() {
            Timeout::Now
        } else {
            // This may run finalisers, and they may queue: how long to wait is asked after it.
            crate::context::forget();
            let now_ns = self.foreign_now_ns(asked_ns)?;
            timeout_of(self.turn.borrow_mut().wait(now_ns), now_ns)
        };
        self.must_ask.set(false);
        if let Waited::Interrupted = self.poll_seen(timeout)? {
            // SAFETY: the lock is held and no exception is set.
            check(unsafe { ffi::PyErr_CheckSignals() })?;
        }
        let answered_ns = monotonic_ns();
        self.turn_clock.set(answered_ns);
        self.turn.borrow_mut().polled(answered_ns);
        self.observer.metrics.polled(asked_ns, answered_ns);
        self.observer.metrics.works(answered_ns);
        Ok(())
    }

    /// Whether the next batch begins without asking the poller: something is ready, and it was asked a moment ago.
    #[inline]
    fn works_on(&self) -> bool {
        if self.is_virtual || self.must_ask.get() || self.turn.borrow().ready_len() == 0 {
            return false;
        }
        let now_ns = self.turn_clock.now_ns();
        if self.turn.borrow().must_poll(now_ns) {
            return false;
        }
        self.observer.metrics.worked(now_ns);
        self.observer.metrics.works(now_ns);
        true
    }

    /// Polls, and tells those who look at waits.
    #[inline]
    fn poll_seen(&self, timeout: Timeout) -> Result<Waited> {
        if !self.observer.sees_polls() {
            return self.poll(timeout);
        }
        let seconds = timeout.seconds();
        self.observer.before_poll(self.as_obj(), seconds)?;
        let outcome = self.poll(timeout)?;
        let events = self.events.try_borrow().map_or(0, |events| events.iter().count());
        self.observer
            .after_poll(self.as_obj(), seconds, events, timeout != Timeout::Now)?;
        Ok(outcome)
    }

    /// The poller and wake-up of a loop that is not closed.
    pub(super) fn reactor(&self) -> Result<Rc<Reactor>> {
        match self.reactor.borrow().as_ref() {
            Some(reactor) => Ok(Rc::clone(reactor)),
            None => Err(runtime_error("Event loop is closed")),
        }
    }

    /// Polls once, with the interpreter lock given up if the poll may block, and queues the handles of what is ready.
    pub(super) fn poll(&self, timeout: Timeout) -> Result<Waited> {
        let reactor = self.reactor()?;
        let Ok(mut events) = self.events.try_borrow_mut() else {
            return Err(runtime_error(
                "Cannot run the event loop while another thread runs it",
            ));
        };
        let outcome = if timeout == Timeout::Now {
            reactor.poller.wait(&mut events, timeout)
        } else {
            self.sleeping.set(true);
            // SAFETY: the lock is held. Nothing below touches a Python object, and the borrowed buffer is this thread's alone.
            let thread = unsafe { ffi::PyEval_SaveThread() };
            let outcome = reactor.poller.wait(&mut events, timeout);
            // SAFETY: the state is the one that this thread saved.
            unsafe { ffi::PyEval_RestoreThread(thread) };
            self.sleeping.set(false);
            outcome
        };
        match outcome {
            Ok(_) => self.queue_events(&reactor, &events).map(|()| Waited::Done),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(Waited::Interrupted),
            Err(error) => Err(os_error(&error)),
        }
    }

    /// Queues readers and writers of the events in the buffer, in the order in which the kernel reported them; on
    /// the virtual clock a seed may ask for another.
    fn queue_events(&self, reactor: &Reactor, events: &Events) -> Result<()> {
        let mut ended = Vec::new();
        if self.is_virtual {
            let mut shuffled: Vec<Event> = events.iter().collect();
            self.turn.borrow_mut().shuffle_poll(&mut shuffled);
            self.queue_each(reactor, shuffled.into_iter(), &mut ended)?;
        } else {
            self.queue_each(reactor, events.iter(), &mut ended)?;
        }
        for watch in ended {
            match watch {
                Ended::Cancelled(key) => self.drop_cancelled(key)?,
                // A cancelled handle that was dropped before may have taken the source with it.
                Ended::Changed(fd, key, change) if self.sources.borrow().fd(key).is_some() => {
                    self.tell_poller(fd, key, change)?;
                }
                Ended::Changed(..) => {}
            }
        }
        Ok(())
    }

    #[inline]
    fn queue_each(
        &self,
        reactor: &Reactor,
        events: impl Iterator<Item = Event>,
        ended: &mut Vec<Ended>,
    ) -> Result<()> {
        let mut sources = self.sources.borrow_mut();
        let mut turn = self.turn.borrow_mut();
        for event in events {
            if event.key_bits == WAKE_KEY {
                reactor.waker.drain().map_err(|error| os_error(&error))?;
                continue;
            }
            let key = Key::from_bits(event.key_bits);
            let (reader, writer) = sources.ready(key, event.readable, event.writable);
            self.observer.record(|recording| {
                if let Some(fd) = sources.fd(key) {
                    recording.io(fd, event.readable, event.writable);
                }
            });
            let (mut fired, mut missed) = (false, false);
            for (item, bit) in [(reader, READABLE), (writer, WRITABLE)] {
                match item.map(|item| self.queue_ready(&mut turn, item, bit)) {
                    Some(After::Cancelled) => ended.push(Ended::Cancelled(key)),
                    Some(After::Fired) => fired = true,
                    Some(After::Missed) => missed = true,
                    Some(After::Watched) | None => {}
                }
            }
            if missed && let Some((fd, change)) = sources.arm_again(key) {
                ended.push(Ended::Changed(fd, key, change));
            }
            if fired
                && let Some(fd) = sources.fd(key)
                // Its operation is queued, so letting go of it here frees nothing.
                && let Some(removal) = sources.take_fired_reader(key)
                && removal.change != Change::Unchanged
            {
                ended.push(Ended::Changed(fd, key, removal.change));
            }
        }
        Ok(())
    }

    /// Queues a reader or a writer about which something was reported.
    #[inline]
    fn queue_ready(&self, turn: &mut Turn<Owned>, item: &Obj, bit: u8) -> After {
        if turn.reserve_ready().is_err() {
            // Without memory it is not noted; the poller will report it again, if it is asked to.
            return After::Missed;
        }
        let after = if handle::types().is_own(item) {
            if handle::is_cancelled(item) {
                return After::Cancelled;
            }
            After::Watched
        } else if Operation::downcast(item).is_some() {
            After::Fired
        } else if ready_of(item).is_some_and(|ready| ready.replace(ready.get() | bit) == 0) {
            After::Watched
        } else {
            // Queued once, whatever is reported about it.
            return After::Watched;
        };
        turn.enqueue(item.own());
        self.count_queued(turn, Waker::Io);
        after
    }

    /// Wakes the loop if it waits; callable from any thread that holds the interpreter lock.
    #[inline]
    pub(super) fn ring(&self) -> Result<()> {
        if !self.sleeping.replace(false) {
            return Ok(());
        }
        self.ring_always()
    }

    /// Writes to the wake-up whatever the loop does; a closed loop has none, as asyncio's has no self-pipe.
    pub(super) fn ring_always(&self) -> Result<()> {
        match self.reactor.borrow().as_ref() {
            Some(reactor) => reactor.waker.wake().map_err(|error| os_error(&error)),
            None => Ok(()),
        }
    }
}

/// Where a transport notes what the poller reported.
#[inline]
fn ready_of(item: &Obj) -> Option<&Cell<u8>> {
    match StreamFields::downcast(item) {
        Some(transport) => Some(&transport.ready),
        None => DatagramFields::downcast(item).map(|transport| &transport.ready),
    }
}

fn timeout_of(wait: Wait, now_ns: u64) -> Timeout {
    match wait {
        Wait::Poll => Timeout::Now,
        Wait::Until(deadline_ns) => Timeout::until(Some(deadline_ns), now_ns),
        Wait::Forever => Timeout::Forever,
    }
}

/// `_write_to_self()`: inherited code rings with it after queueing from another thread or a signal handler.
pub(super) fn write_to_self(this: &LoopObject) -> Result<Owned> {
    this.ring_always()?;
    Ok(none())
}
