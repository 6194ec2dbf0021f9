//! The driver of the turn: what `maypole_core::Turn` decides, done with the reactor, the clock and the tasks.
//!
//! Invariant: no `RefCell` borrow is held while a future is polled or dropped, or a waker is cloned, woken or dropped:
//! all of these are foreign code and may come back here.
//! Invariant: a panic of a task, a destructor or a foreign waker ends in `contain` or in the task's outcome; only the
//! future given to `run` panics through.
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use maypole_core::{Idle, Key, Slots, Turn, VirtualClock, Wait};
use maypole_sys::{Timeout, monotonic_ns};

use crate::reactor::Reactor;
use crate::task::Step;
use crate::wake::{Remote, TaskWaker};

/// The future given to `run` is no task of the slab; no task's key has these bits.
const MAIN_BITS: u64 = u64::MAX;

/// How long a virtual clock waits in real time for other threads before it calls a deadlock: 2 s.
const REAL_PATIENCE_NS: u64 = 2_000_000_000;

/// How many tasks the message of a deadlock names.
const DEADLOCK_NAMES_MAX: usize = 10;

/// What stands in the ready queue and on the timer wheel.
#[derive(Debug)]
pub(crate) enum Work {
    /// Poll this task.
    Step(Key),
    /// A timer: wake whoever sleeps.
    Wake(Waker),
}

/// Which time the timers go by.
#[derive(Debug)]
pub(crate) enum Clock {
    Monotonic,
    Virtual(RefCell<VirtualClock>),
}

/// One loop: the pure turn and all it acts on.
#[derive(Debug)]
pub(crate) struct Scheduler {
    turn: RefCell<Turn<Work>>,
    tasks: RefCell<Slots<Rc<dyn Step>>>,
    reactor: Reactor,
    clock: Clock,
    main: Arc<TaskWaker>,
    /// When the batch that runs now began.
    turn_ns: Cell<u64>,
    /// Real time a virtual clock has waited since something last came of it.
    waited_ns: Cell<u64>,
    /// Set when the loop ends: nothing new is taken in.
    closing: Cell<bool>,
}

impl Scheduler {
    pub(crate) fn new(clock: Clock) -> io::Result<Self> {
        let reactor = Reactor::new()?;
        let main = Arc::new(TaskWaker::new(
            Key::from_bits(MAIN_BITS),
            Arc::clone(reactor.remote()),
        ));
        Ok(Self {
            turn: RefCell::default(),
            tasks: RefCell::default(),
            reactor,
            clock,
            main,
            turn_ns: Cell::new(0),
            waited_ns: Cell::new(0),
            closing: Cell::new(false),
        })
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Says whether wakers with this remote part belong to this loop.
    #[inline]
    pub(crate) fn is_behind(&self, remote: &Arc<Remote>) -> bool {
        Arc::ptr_eq(self.reactor.remote(), remote)
    }

    #[inline]
    pub(crate) fn enqueue(&self, work: Work) {
        self.turn.borrow_mut().enqueue(work);
    }

    pub(crate) fn now_ns(&self) -> u64 {
        match &self.clock {
            Clock::Monotonic => monotonic_ns(),
            Clock::Virtual(clock) => clock.borrow().now_ns(),
        }
    }

    /// The time up to which timers were due when the batch that runs now began.
    pub(crate) fn turn_ns(&self) -> u64 {
        self.turn_ns.get()
    }

    pub(crate) fn set_timer(&self, deadline_ns: u64, waker: Waker) -> Key {
        self.turn.borrow_mut().schedule(deadline_ns, Work::Wake(waker))
    }

    pub(crate) fn cancel_timer(&self, key: Key) {
        let cancelled = self.turn.borrow_mut().cancel(key);
        drop(cancelled);
    }

    /// Takes in a task and queues its first step, or cancels it at once when the loop is closing.
    pub(crate) fn adopt(&self, task: Rc<dyn Step>) {
        if self.closing.get() {
            task.cancel();
            return;
        }
        let key = self.tasks.borrow_mut().insert(Rc::clone(&task));
        let waker = Arc::new(TaskWaker::new(key, Arc::clone(self.reactor.remote())));
        task.begin(waker);
    }

    /// Polls `main` and all tasks, turn by turn, until `main` is done.
    ///
    /// # Panics
    /// When `main` panics, epoll fails, or the virtual clock finds a deadlock or a spin.
    pub(crate) fn drive<F: Future>(&self, mut main: Pin<&mut F>) -> F::Output {
        let main_waker = Waker::from(Arc::clone(&self.main));
        main_waker.wake_by_ref();
        let mut arrived = Vec::new();
        loop {
            self.collect();
            self.reactor.remote().inbox.drain_into(&mut arrived);
            for key in arrived.drain(..) {
                self.enqueue(Work::Step(key));
            }
            let now_ns = self.now_ns();
            self.turn_ns.set(now_ns);
            self.turn.borrow_mut().begin(now_ns);
            while let Some(work) = self.take() {
                match work {
                    Work::Step(key) if key.to_bits() == MAIN_BITS => {
                        self.main.dequeued();
                        if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&main_waker))
                        {
                            return output;
                        }
                    }
                    Work::Step(key) => self.step(key),
                    Work::Wake(waker) => contain(|| waker.wake()),
                }
            }
            self.end_turn();
        }
    }

    /// Drops every task and takes in no more; what the destructors queue stays undone.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        let tasks = self.tasks.borrow_mut().drain();
        for task in tasks {
            task.cancel();
            contain(|| drop(task));
        }
        let left = self.turn.borrow_mut().drain();
        for work in left {
            contain(|| drop(work));
        }
    }

    fn take(&self) -> Option<Work> {
        self.turn.borrow_mut().take()
    }

    fn step(&self, key: Key) {
        let task = self.tasks.borrow().get(key).cloned();
        let Some(task) = task else { return }; // a wake after the end
        if task.step().is_ready() {
            let removed = self.tasks.borrow_mut().remove(key);
            // With the handle dropped this is the last owner, and the outcome nobody took is dropped here.
            contain(|| drop((task, removed)));
        }
    }

    /// Asks the reactor for what became ready, and waits for it when there is nothing else to do.
    fn collect(&self) {
        let now_ns = self.now_ns();
        let wait = {
            let turn = self.turn.borrow();
            if !turn.must_poll(now_ns) {
                return;
            }
            turn.wait(now_ns)
        };
        match (&self.clock, wait) {
            (_, Wait::Poll) => _ = self.reactor.wait(Timeout::Now),
            (Clock::Monotonic, Wait::Until(wake_ns)) => {
                self.reactor.wait(Timeout::until(Some(wake_ns), now_ns));
            }
            (Clock::Monotonic, Wait::Forever) => _ = self.reactor.wait(Timeout::Forever),
            (Clock::Virtual(clock), _) => self.wait_virtually(clock),
        }
        self.turn.borrow_mut().polled(self.now_ns());
    }

    /// Nothing is ready under a virtual clock: look at descriptors and other threads, then let the time jump.
    fn wait_virtually(&self, clock: &RefCell<VirtualClock>) {
        if self.reactor.wait(Timeout::Now) || !self.reactor.remote().inbox.is_empty() {
            self.progressed(clock);
            return;
        }
        let next_deadline_ns = self.turn.borrow_mut().next_deadline_ns();
        let watched = self.reactor.watches();
        let waited_ns = self.waited_ns.get();
        // A waker may be in the hands of another thread, and nobody can tell: patience, where there is no other hope.
        let outstanding = next_deadline_ns.is_none() && !watched && waited_ns < REAL_PATIENCE_NS;
        let idle = clock
            .borrow_mut()
            .idle(next_deadline_ns, watched, outstanding, waited_ns);
        match idle {
            Idle::Jump(_) => {}
            Idle::WaitReal { timeout_ns } => {
                if self.reactor.wait(Timeout::After(timeout_ns)) {
                    self.progressed(clock);
                } else {
                    self.waited_ns.set(waited_ns.saturating_add(timeout_ns));
                }
            }
            Idle::WaitForever => {
                self.reactor.wait(Timeout::Forever);
                self.progressed(clock);
            }
            Idle::Deadlock => panic!("{}", self.deadlock_message()),
        }
    }

    fn progressed(&self, clock: &RefCell<VirtualClock>) {
        self.waited_ns.set(0);
        clock.borrow_mut().progressed();
    }

    fn end_turn(&self) {
        if let Clock::Virtual(clock) = &self.clock {
            let turned = clock.borrow_mut().turn_ended();
            if let Err(spin) = turned {
                panic!("maypole: spin: {spin}");
            }
        }
    }

    fn deadlock_message(&self) -> String {
        let tasks = self.tasks.borrow();
        let mut message = String::from(
            "maypole: deadlock: no timer, no socket and no other thread can wake the future given to run",
        );
        for (_, task) in tasks.iter().take(DEADLOCK_NAMES_MAX) {
            let written = write!(message, "; nor the task spawned at {}", task.spawned_at());
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
        if let Some(more) = tasks.len().checked_sub(DEADLOCK_NAMES_MAX + 1) {
            message.push_str(&format!("; nor {} more", more + 1));
        }
        message
    }
}

/// Runs foreign code whose panic must not end the loop; the panic hook has reported it already.
pub(crate) fn contain(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        drop(payload);
    }
}
