//! Signals as bytes: Python's C handler writes the signal's number, the loop reads it.
//!
//! An eventfd cannot do this: `signal.set_wakeup_fd` writes single bytes, and asyncio learns from them which signals
//! came.
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// A nonblocking pipe whose write end is made for `signal.set_wakeup_fd`.
///
/// The source is the documentation of `signal.set_wakeup_fd` in CPython and pipe(7).
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// let pipe = maypole_sys::SignalPipe::new()?;
/// let mut numbers = [0; 16];
/// assert_eq!(pipe.drain(&mut numbers)?, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SignalPipe {
    read_end: OwnedFd,
    write_end: OwnedFd,
}

impl SignalPipe {
    /// Makes the pipe, both ends nonblocking and close-on-exec.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` as pipe2(2) gives them.
    ///
    /// # Examples
    /// ```
    /// assert!(maypole_sys::SignalPipe::new().is_ok());
    /// ```
    pub fn new() -> io::Result<Self> {
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { read_end, write_end })
    }

    /// Gives the descriptor for `signal.set_wakeup_fd`; it stays owned here and must be taken back before the drop.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let pipe = maypole_sys::SignalPipe::new()?;
    /// assert_ne!(pipe.write_fd(), pipe.read_fd());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn write_fd(&self) -> RawFd {
        self.write_end.as_raw_fd()
    }

    /// Gives the descriptor to register for reading.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// assert!(maypole_sys::SignalPipe::new()?.read_fd() >= 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn read_fd(&self) -> RawFd {
        self.read_end.as_raw_fd()
    }

    /// Reads signal numbers into `numbers` and returns how many; 0 means that none is waiting.
    ///
    /// A full buffer may mean that more are waiting: call again. A closed write end also reads as 0.
    ///
    /// # Errors
    /// Those of read(2) other than `EAGAIN` and `EINTR`.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let pipe = maypole_sys::SignalPipe::new()?;
    /// let mut numbers = [0; 64];
    /// let count = pipe.drain(&mut numbers)?;
    /// assert!(numbers[..count].is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(&self, numbers: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.read_end, &mut *numbers) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
