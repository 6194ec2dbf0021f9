//! The wake-up: any thread, or a signal handler, ends the wait of the thread that runs the loop.
//!
//! Invariant: a wake that happens before a wait ends that wait; wakes before one drain count as one.
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

/// An eventfd that makes a poller return.
///
/// It is `Send` and `Sync`; share it by `Arc`. The source is eventfd(2).
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use maypole_sys::{Events, Poller, Timeout, Waker};
/// use std::sync::Arc;
///
/// let (poller, waker, mut events) = (Poller::new()?, Arc::new(Waker::new()?), Events::new());
/// poller.add(waker.as_raw_fd(), 0, true, false)?;
/// let other = Arc::clone(&waker);
/// let thread = std::thread::spawn(move || other.wake());
/// poller.wait(&mut events, Timeout::Forever)?;
/// waker.drain()?;
/// thread.join().expect("the thread does not panic")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Waker {
    eventfd: OwnedFd,
}

impl Waker {
    /// Makes a waker, nonblocking and close-on-exec.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` or `ENOMEM` as eventfd(2) gives them.
    ///
    /// # Examples
    /// ```
    /// assert!(maypole_sys::Waker::new().is_ok());
    /// ```
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            eventfd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Makes the descriptor readable until the next [`Waker::drain`].
    ///
    /// One `write`: async-signal-safe, callable from every thread, never blocks.
    ///
    /// # Errors
    /// Others of write(2) than `EAGAIN`; a counter that is full is readable, which is all a wake wants.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let waker = maypole_sys::Waker::new()?;
    /// waker.wake()?;
    /// waker.wake()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wake(&self) -> io::Result<()> {
        loop {
            match rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes()) {
                Ok(_) | Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes all wakes so far; the owner of the loop calls it when the poller reports the waker.
    ///
    /// # Errors
    /// Others of read(2) than `EAGAIN`, which means there was no wake.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole_sys::{Events, Poller, Timeout, Waker};
    /// let (poller, waker, mut events) = (Poller::new()?, Waker::new()?, Events::new());
    /// poller.add(waker.as_raw_fd(), 0, true, false)?;
    /// waker.wake()?;
    /// waker.drain()?;
    /// assert_eq!(poller.wait(&mut events, Timeout::Now)?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(&self) -> io::Result<()> {
        let mut counter = [0_u8; 8];
        loop {
            // One read takes the whole counter of an eventfd without EFD_SEMAPHORE.
            match rustix::io::read(&self.eventfd, &mut counter) {
                Ok(_) | Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the descriptor to register for reading.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// assert!(maypole_sys::Waker::new()?.as_raw_fd() >= 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_raw_fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }
}
