//! A few threads that ask the C library, and end when there is nothing to ask.
//!
//! Each loop has its own, so that nothing of it is shared with a child after `fork`.

use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use maypole_sys::Waker;
use maypole_sys::datagram::Address;
use maypole_sys::resolve::{self, Failure, Found, Query};

/// How many look-ups one loop has under way at most; the others wait their turn. A look-up waits for the network, not for a CPU.
const THREADS_MAX: usize = 16;
/// How long a thread waits for another look-up before it ends.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// What a thread is asked.
pub(super) enum Question {
    Addresses(Query),
    Name(Address, i32),
}

/// What a thread found.
pub(super) enum Answer {
    Addresses(Result<Vec<Found>, Failure>),
    Name(Result<(CString, CString), Failure>),
}

impl Question {
    pub(super) fn ask(&self) -> Answer {
        match self {
            Question::Addresses(query) => Answer::Addresses(query.look_up()),
            Question::Name(address, flags) => Answer::Name(resolve::name(address, *flags)),
        }
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Question)>,
    answers: Vec<(u64, Answer)>,
    threads: usize,
    idle: usize,
    /// Wakes the loop; gone when the loop is closed, whatever the threads still do.
    waker: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    asked: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under this lock; were it so, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads of one loop.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Makes a pool without threads.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub(super) fn new() -> io::Result<Pool> {
        let shared = Arc::new(Shared::default());
        shared.lock().waker = Some(Waker::new()?);
        Ok(Pool { shared })
    }

    /// The descriptor that is readable when there are answers; -1 once the pool is closed.
    pub(super) fn fd(&self) -> i32 {
        self.shared.lock().waker.as_ref().map_or(-1, Waker::as_raw_fd)
    }

    /// Asks; the answer comes under this number.
    ///
    /// # Errors
    /// When not a single thread can be started.
    pub(super) fn ask(&self, number: u64, question: Question) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.waiting.push_back((number, question));
        if state.idle >= state.waiting.len() || state.threads >= THREADS_MAX {
            self.shared.asked.notify_one();
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("maypole-resolver".to_owned());
        match thread.spawn(move || serve(&shared)) {
            Ok(_) => state.threads += 1,
            Err(_) if state.threads > 0 => self.shared.asked.notify_one(),
            Err(error) => {
                state.waiting.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes a question back that nobody has begun to answer.
    pub(super) fn forget(&self, number: u64) {
        self.shared
            .lock()
            .waiting
            .retain(|(waiting, _)| *waiting != number);
    }

    /// Takes the answers so far.
    ///
    /// # Errors
    /// Those of reading the wake-up.
    pub(super) fn answers(&self) -> io::Result<Vec<(u64, Answer)>> {
        let mut state = self.shared.lock();
        if let Some(waker) = &state.waker {
            waker.drain()?;
        }
        Ok(std::mem::take(&mut state.answers))
    }

    /// Lets go of the threads: those that wait end now, those that ask end with the answer, which nobody gets.
    pub(super) fn close(&self) {
        let mut state = self.shared.lock();
        state.waker = None;
        state.waiting.clear();
        state.answers.clear();
        self.shared.asked.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// The life of a thread.
fn serve(shared: &Shared) {
    // A thread that cannot block signals can still look names up.
    drop(resolve::block_signals());
    while let Some((number, question)) = next(shared) {
        let answer = question.ask();
        let mut state = shared.lock();
        let Some(waker) = &state.waker else { continue };
        // The loop takes all answers at once: one wake-up is enough. An open eventfd takes every write.
        if state.answers.is_empty() {
            drop(waker.wake());
        }
        state.answers.push((number, answer));
    }
}

/// The next question; `None` when the thread has to end, which is then no longer counted.
fn next(shared: &Shared) -> Option<(u64, Question)> {
    let mut state = shared.lock();
    loop {
        if let Some(question) = state.waiting.pop_front() {
            return Some(question);
        }
        if state.waker.is_none() {
            break;
        }
        state.idle += 1;
        let (waited, timeout) = shared
            .asked
            .wait_timeout(state, IDLE_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        state = waited;
        state.idle -= 1;
        if timeout.timed_out() && state.waiting.is_empty() {
            break;
        }
    }
    state.threads -= 1;
    None
}
