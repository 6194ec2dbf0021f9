//! The front door: make a loop, run a future on it.
use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::rc::Rc;

use maypole_core::VirtualClock;

use crate::current::{self, Entered};
use crate::scheduler::{Clock, Scheduler};

/// Runs `future` to its end on a new loop of this thread, and returns its output (asyncio's `run`).
///
/// Tasks that still run then are cancelled: dropped.
///
/// # Panics
/// When the operating system refuses an epoll instance or an eventfd ([`Builder::build`] returns that as an error), when a
/// loop runs on this thread already, and when `future` panics.
///
/// # Examples
/// ```
/// let sum = maypole::run(async { 40 + 2 });
/// assert_eq!(sum, 42);
/// ```
pub fn run<F: Future>(future: F) -> F::Output {
    built(Runtime::builder()).run(future)
}

/// Runs `future` as [`run`] does, on a virtual clock: the time jumps to the next timer when nothing is ready.
///
/// The clock starts at 1000 s. Sockets are looked at before every jump, in real time; other threads do not hold the clock
/// back while a timer is set.
///
/// # Panics
/// As [`run`]. Also when nothing can ever wake `future` (a deadlock, which names the places where the waiting tasks were
/// spawned; other threads get two seconds of real time first), and after 20,000 turns in which the clock did not move (a
/// spin).
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let (began, real) = (std::time::Instant::now(), Duration::from_secs(60));
/// maypole::run_virtual(maypole::sleep(Duration::from_secs(365 * 24 * 3600)));
/// assert!(began.elapsed() < real);
/// ```
pub fn run_virtual<F: Future>(future: F) -> F::Output {
    built(Runtime::builder().virtual_clock()).run(future)
}

fn built(builder: Builder) -> Runtime {
    match builder.build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("maypole could not make its loop: {error}"),
    }
}

/// How a [`Runtime`] is made.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// let mut runtime = maypole::Runtime::builder().virtual_clock().build()?;
/// runtime.run(maypole::sleep(std::time::Duration::from_secs(3600)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    is_virtual: bool,
}

impl Builder {
    /// Chooses the virtual clock; see [`run_virtual`].
    ///
    /// # Examples
    /// ```
    /// let builder = maypole::Runtime::builder().virtual_clock();
    /// assert!(builder.build().is_ok());
    /// ```
    #[must_use]
    pub fn virtual_clock(mut self) -> Self {
        self.is_virtual = true;
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// Those of epoll_create1(2) and eventfd(2), as `EMFILE`.
    ///
    /// # Examples
    /// ```
    /// assert!(maypole::Runtime::builder().build().is_ok());
    /// ```
    pub fn build(self) -> io::Result<Runtime> {
        let clock = if self.is_virtual {
            Clock::Virtual(RefCell::new(VirtualClock::new()))
        } else {
            Clock::Monotonic
        };
        Ok(Runtime {
            scheduler: Rc::new(Scheduler::new(clock)?),
        })
    }
}

/// A loop that can run one future after another; its tasks live on between them and are cancelled when it is dropped.
///
/// The source is asyncio's `Runner`.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// let mut runtime = maypole::Runtime::builder().build()?;
/// let handle = runtime.run(async { maypole::spawn(async { "from the first run" }) });
/// assert_eq!(runtime.run(handle).expect("no panic, no abort"), "from the first run");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Runtime {
    scheduler: Rc<Scheduler>,
}

impl Runtime {
    /// Begins to describe a loop.
    ///
    /// # Examples
    /// ```
    /// assert!(maypole::Runtime::builder().build().is_ok());
    /// ```
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs `future` to its end on this loop and returns its output.
    ///
    /// # Panics
    /// When a loop runs on this thread already, when `future` panics (the loop stays usable), and as [`run_virtual`] says
    /// under a virtual clock.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut runtime = maypole::Runtime::builder().build()?;
    /// assert_eq!(runtime.run(async { 1 }) + runtime.run(async { 2 }), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<F: Future>(&mut self, future: F) -> F::Output {
        assert!(
            current::scheduler().is_err(),
            "maypole::run was called on a thread whose maypole loop is running"
        );
        let entered = Entered::new(Rc::clone(&self.scheduler));
        // The future is dropped before the loop is left, so that its destructors find the loop.
        let output = {
            let main = pin!(future);
            self.scheduler.drive(main)
        };
        drop(entered);
        output
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let entered = Entered::new(Rc::clone(&self.scheduler));
        self.scheduler.close();
        drop(entered);
    }
}
