//! Tasks: futures that the loop owns, and the handles that wait for their outcome.
//!
//! Invariant: `future` is `None` while it is polled and after the end, so a task that comes back to itself finds
//! nothing to poll twice.
//! Invariant: a task ends once: with its output, its panic, or cancelled.
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::current::{self, LoopMissing};
use crate::wake::TaskWaker;

/// What the loop does with a task, whatever its output is.
pub(crate) trait Step: fmt::Debug {
    /// Gives the task its waker and queues its first step.
    fn begin(&self, waker: Arc<TaskWaker>);
    /// Polls the future once; ready when the task has ended. Never unwinds.
    fn step(&self) -> Poll<()>;
    /// Drops the future and ends the task as cancelled. Never unwinds.
    fn cancel(&self);
    /// Where the task was spawned.
    fn spawned_at(&self) -> &'static Location<'static>;
}

/// What a handle does with its task, whatever its future is.
trait Outcome<T> {
    fn poll_outcome(&self, context: &Context<'_>) -> Poll<Result<T, JoinError>>;
    fn is_finished(&self) -> bool;
    fn abort(&self);
}

enum End<T> {
    /// Still running; whoever waits for it.
    Open(Option<Waker>),
    Reached(Result<T, JoinError>),
    Taken,
}

struct Task<F: Future> {
    future: RefCell<Option<Pin<Box<F>>>>,
    end: RefCell<End<F::Output>>,
    /// The shared half, and the same as a `Waker`; empty only until the loop has taken the task in.
    waker: OnceCell<(Arc<TaskWaker>, Waker)>,
    aborted: Cell<bool>,
    spawned_at: &'static Location<'static>,
}

/// Why a task has no output.
///
/// # Examples
/// ```
/// let outcome = maypole::run(async { maypole::spawn(async { panic!("no luck") }).await });
/// let error: maypole::JoinError = outcome.map(|(): ()| ()).unwrap_err();
/// assert!(error.is_panic());
/// assert_eq!(error.to_string(), "the task panicked: no luck");
/// ```
pub struct JoinError {
    /// `None` for a cancelled task. The mutex is never contended: it makes the payload `Sync`, as errors should be.
    payload: Option<Mutex<Box<dyn Any + Send>>>,
}

/// Waits for the outcome of a spawned task.
///
/// Await it, or keep it to [`JoinHandle::abort`] the task. Dropping it detaches the task, which then runs on until it
/// ends or the loop does; its outcome is dropped. The source is asyncio's `Task`.
///
/// # Cancel safety
/// Dropping the future that awaits `&mut handle` loses nothing: the handle can be awaited again.
///
/// # Panics
/// When it is polled again after it gave the outcome.
///
/// # Examples
/// ```
/// let outcome = maypole::run(async {
///     let handle = maypole::spawn(async { 7 });
///     handle.await
/// });
/// assert_eq!(outcome.expect("no panic, no abort"), 7);
/// ```
pub struct JoinHandle<T> {
    task: Rc<dyn Outcome<T>>,
}

/// Starts a task on the running loop; its first step comes with the next turn, in the order of spawning.
///
/// # Panics
/// When no maypole loop runs on this thread; [`try_spawn`] returns that as an error.
///
/// # Examples
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
///
/// let log = Rc::new(RefCell::new(Vec::new()));
/// let written = Rc::clone(&log);
/// maypole::run(async move {
///     let handle = maypole::spawn({
///         let log = Rc::clone(&written);
///         async move { log.borrow_mut().push("task") }
///     });
///     written.borrow_mut().push("spawner"); // goes on first: spawning runs nothing
///     handle.await.expect("no panic, no abort");
/// });
/// assert_eq!(*log.borrow(), ["spawner", "task"]);
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    match try_spawn(future) {
        Ok(handle) => handle,
        Err(missing) => panic!("maypole::spawn: {missing}"),
    }
}

/// Starts a task on the running loop, as [`spawn`] does.
///
/// A loop that is closing cancels the task at once.
///
/// # Errors
/// [`LoopMissing`] when no maypole loop runs on this thread; the future is dropped.
///
/// # Examples
/// ```
/// assert!(maypole::try_spawn(async {}).is_err());
/// assert!(maypole::run(async { maypole::try_spawn(async {}).is_ok() }));
/// ```
#[track_caller]
pub fn try_spawn<F>(future: F) -> Result<JoinHandle<F::Output>, LoopMissing>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let scheduler = current::scheduler()?;
    let task = Rc::new(Task {
        future: RefCell::new(Some(Box::pin(future))),
        end: RefCell::new(End::Open(None)),
        waker: OnceCell::new(),
        aborted: Cell::new(false),
        spawned_at: Location::caller(),
    });
    scheduler.adopt(Rc::clone(&task) as Rc<dyn Step>);
    Ok(JoinHandle { task })
}

/// Lets everything that is ready now run before it goes on (asyncio's `sleep(0)`).
///
/// # Cancel safety
/// Dropping it loses nothing.
///
/// # Examples
/// ```
/// maypole::run(async {
///     let other = maypole::spawn(async { "ran" });
///     assert!(!other.is_finished());
///     maypole::yield_now().await;
///     assert!(other.is_finished());
/// });
/// ```
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<F: Future> Task<F> {
    /// Drops the future and keeps `outcome`, unless the drop panics: then that is the outcome.
    fn finish(&self, future: Option<Pin<Box<F>>>, outcome: Result<F::Output, JoinError>) {
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        let outcome = dropped.map_err(JoinError::panicked).and(outcome);
        let before = self.end.replace(End::Reached(outcome));
        if let End::Open(Some(joiner)) = before {
            crate::scheduler::contain(|| joiner.wake());
        }
    }
}

impl<F: Future> Step for Task<F> {
    fn begin(&self, waker: Arc<TaskWaker>) {
        let (_, waker) = self
            .waker
            .get_or_init(|| (Arc::clone(&waker), Waker::from(waker)));
        waker.wake_by_ref();
    }

    fn step(&self) -> Poll<()> {
        let Some((shared, waker)) = self.waker.get() else {
            return Poll::Pending;
        };
        shared.dequeued();
        let Some(mut future) = self.future.take() else {
            return Poll::Ready(());
        };
        if self.aborted.get() {
            self.finish(Some(future), Err(JoinError::CANCELLED));
            return Poll::Ready(());
        }
        let mut context = Context::from_waker(waker);
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
            Ok(Poll::Pending) => {
                self.future.replace(Some(future));
                return Poll::Pending;
            }
            Ok(Poll::Ready(output)) => self.finish(Some(future), Ok(output)),
            Err(payload) => self.finish(Some(future), Err(JoinError::panicked(payload))),
        }
        Poll::Ready(())
    }

    fn cancel(&self) {
        let future = self.future.take();
        if future.is_some() {
            self.finish(future, Err(JoinError::CANCELLED));
        }
    }

    fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }
}

impl<F: Future> Outcome<F::Output> for Task<F> {
    fn poll_outcome(&self, context: &Context<'_>) -> Poll<Result<F::Output, JoinError>> {
        let before = self.end.replace(End::Taken);
        match before {
            End::Reached(outcome) => Poll::Ready(outcome),
            End::Open(known) => {
                let joiner = known.filter(|known| known.will_wake(context.waker()));
                self.end
                    .replace(End::Open(Some(joiner.unwrap_or_else(|| context.waker().clone()))));
                Poll::Pending
            }
            End::Taken => panic!("a JoinHandle was polled after it gave its outcome"),
        }
    }

    fn is_finished(&self) -> bool {
        !matches!(*self.end.borrow(), End::Open(_))
    }

    fn abort(&self) {
        if !self.is_finished() {
            self.aborted.set(true);
            if let Some((_, waker)) = self.waker.get() {
                waker.wake_by_ref();
            }
        }
    }
}

impl<F: Future> fmt::Debug for Task<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("spawned_at", &self.spawned_at)
            .finish_non_exhaustive()
    }
}

impl<T> JoinHandle<T> {
    /// Cancels the task: the loop drops its future in its next turn, and the handle gives a cancelled [`JoinError`].
    ///
    /// A task that has ended is left as it is. A task that aborts itself is dropped when it next waits.
    ///
    /// # Examples
    /// ```
    /// let outcome = maypole::run(async {
    ///     let handle = maypole::spawn(std::future::pending::<()>());
    ///     handle.abort();
    ///     handle.await
    /// });
    /// assert!(outcome.unwrap_err().is_cancelled());
    /// ```
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Says whether the task has ended, in whatever way.
    ///
    /// # Examples
    /// ```
    /// maypole::run(async {
    ///     let handle = maypole::spawn(async {});
    ///     assert!(!handle.is_finished());
    ///     maypole::yield_now().await;
    ///     assert!(handle.is_finished());
    /// });
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.poll_outcome(context)
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl JoinError {
    const CANCELLED: Self = Self { payload: None };

    fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self {
            payload: Some(Mutex::new(payload)),
        }
    }

    /// Says whether the task was cancelled, by [`JoinHandle::abort`] or by the end of its loop.
    ///
    /// # Examples
    /// ```
    /// let handle = maypole::run(async { maypole::spawn(std::future::pending::<()>()) });
    /// let error = maypole::run(handle).unwrap_err(); // the loop of the task has ended
    /// assert!(error.is_cancelled());
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.payload.is_none()
    }

    /// Says whether the task panicked.
    ///
    /// # Examples
    /// ```
    /// let outcome = maypole::run(async { maypole::spawn(async { assert!(1 > 2) }).await });
    /// assert!(outcome.unwrap_err().is_panic());
    /// ```
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.payload.is_some()
    }

    /// Gives the payload of the panic, to look at or to go on with by [`std::panic::resume_unwind`].
    ///
    /// # Errors
    /// The error itself, when the task did not panic.
    ///
    /// # Examples
    /// ```
    /// let outcome = maypole::run(async { maypole::spawn(async { std::panic::panic_any(41_u8) }).await });
    /// let payload = outcome.map(|(): ()| ()).unwrap_err().into_panic().expect("a panic");
    /// assert_eq!(payload.downcast_ref::<u8>(), Some(&41));
    /// ```
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.payload {
            Some(payload) => Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            None => Err(Self::CANCELLED),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(payload) = &self.payload else {
            return f.write_str("the task was cancelled");
        };
        let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
        match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => write!(f, "the task panicked: {text}"),
            (None, Some(text)) => write!(f, "the task panicked: {text}"),
            (None, None) => f.write_str("the task panicked"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}
