//! The poller on Linux: level-triggered epoll with nanosecond timeouts.
//!
//! Registration goes through `libc`, not `rustix`: callers hand over descriptor numbers they do not own (Python's
//! `add_reader(fd)`), which may be stale. The kernel answers those with `EBADF`; a `BorrowedFd` would promise they are
//! open.
//!
//! Fork: the kernel's interest set is shared between parent and child. Nothing here calls `EPOLL_CTL_DEL` on drop, so
//! a child may drop its copy of a [`Poller`] (one `close`) without taking registrations away from its parent.
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::poller::{Event, Timeout};

/// How many events one wait can report: 1024.
///
/// The rest stay ready and come with the next wait; the kernel moves reported ones to the end of its list, so none
/// starves. 1024 events are 12 KiB on x86-64, which stays in the first-level cache together with the work they start.
pub const EVENTS_CAPACITY: usize = 1024;

const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_MILLISECOND: u64 = 1_000_000;

const READ: u32 = libc::EPOLLIN as u32;
const WRITE: u32 = libc::EPOLLOUT as u32;
const ONCE: u32 = libc::EPOLLONESHOT as u32;

/// Set once when the kernel (before 5.11) or its syscall filter has no `epoll_pwait2`.
static WITHOUT_PWAIT2: AtomicBool = AtomicBool::new(false);

/// The kernel's `__kernel_timespec`: 64 bits on every architecture, unlike libc's `timespec`.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

/// A reusable buffer of up to [`EVENTS_CAPACITY`] events.
///
/// # Examples
/// ```
/// let events = maypole_sys::Events::new();
/// assert!(events.is_empty());
/// assert_eq!(events.iter().count(), 0);
/// ```
pub struct Events {
    buffer: Box<[libc::epoll_event]>,
    filled: usize,
}

impl Events {
    /// Makes an empty buffer; the only allocation of its life.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(maypole_sys::Events::new().len(), 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        let empty = libc::epoll_event { events: 0, u64: 0 };
        Self {
            buffer: vec![empty; EVENTS_CAPACITY].into_boxed_slice(),
            filled: 0,
        }
    }

    /// Says how many events the last wait left here.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(maypole_sys::Events::new().len(), 0);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Says whether the last wait left nothing here.
    ///
    /// # Examples
    /// ```
    /// assert!(maypole_sys::Events::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Iterates over the events of the last wait, in the kernel's order.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole_sys::{Events, Poller, Timeout};
    /// let mut events = Events::new();
    /// Poller::new()?.wait(&mut events, Timeout::Now)?;
    /// assert_eq!(events.iter().next(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        self.buffer[..self.filled].iter().map(|raw| {
            // Copies first: on x86-64 the kernel's struct is packed and its fields may not be borrowed.
            let (flags, key_bits) = (raw.events, raw.u64);
            Event {
                key_bits,
                readable: flags & !WRITE != 0,
                writable: flags & !READ != 0,
            }
        })
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// An epoll instance under the contract of this crate: level-triggered, keyed by the caller's bits.
///
/// Dropping it closes the instance and nothing else; see the note on fork at the top of `epoll.rs`. The source is
/// epoll(7).
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use maypole_sys::{Events, Poller, Timeout};
/// use std::io::Write;
/// use std::os::fd::AsRawFd;
/// use std::os::unix::net::UnixStream;
///
/// let (mut near, far) = UnixStream::pair()?;
/// let (poller, mut events) = (Poller::new()?, Events::new());
/// poller.add(far.as_raw_fd(), 1, true, false)?;
/// assert_eq!(poller.wait(&mut events, Timeout::Now)?, 0);
/// near.write_all(b"hello")?;
/// assert_eq!(poller.wait(&mut events, Timeout::Forever)?, 1);
/// poller.remove(far.as_raw_fd())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// Makes a poller with nothing registered.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` or `ENOMEM` as epoll_create1(2) gives them.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let poller = maypole_sys::Poller::new()?;
    /// assert!(poller.as_raw_fd() >= 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// Gives the descriptor of the epoll instance itself, for `fileno()` and for tests.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// assert!(maypole_sys::Poller::new()?.as_raw_fd() >= 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// Registers `fd` under `key_bits`; with neither interest only hang-ups and errors are reported.
    ///
    /// A number that is already registered gets the new key and interest instead of `EEXIST`: the caller, who keeps
    /// the books, has forgotten the old registration, which happens when a descriptor is duplicated and its first
    /// number closed and given out again.
    ///
    /// # Errors
    /// `EBADF` for a number that is not open, `EPERM` for a file that epoll cannot watch (a regular file), `ENOMEM` or
    /// `ENOSPC` at the system's limits.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let error = maypole_sys::Poller::new()?.add(-1, 0, true, false).unwrap_err();
    /// assert_eq!(error.raw_os_error(), Some(9)); // EBADF
    /// # Ok(())
    /// # }
    /// ```
    pub fn add(&self, fd: RawFd, key_bits: u64, readable: bool, writable: bool) -> io::Result<()> {
        self.control_or(
            libc::EPOLL_CTL_ADD,
            libc::EEXIST,
            libc::EPOLL_CTL_MOD,
            fd,
            key_bits,
            interest(readable, writable),
        )
    }

    /// Gives `fd` a new key and interest.
    ///
    /// A number the kernel does not know gets registered instead of `ENOENT`: the old file was closed behind our back
    /// (the kernel forgets a file with its last descriptor) and the number now belongs to another file.
    ///
    /// # Errors
    /// As [`Poller::add`].
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole_sys::{Events, Poller, Timeout};
    /// # use std::os::fd::AsRawFd;
    /// let (near, _far) = std::os::unix::net::UnixStream::pair()?;
    /// let (poller, mut events) = (Poller::new()?, Events::new());
    /// poller.add(near.as_raw_fd(), 1, true, false)?;
    /// poller.modify(near.as_raw_fd(), 2, false, true)?;
    /// poller.wait(&mut events, Timeout::Forever)?;
    /// assert_eq!(events.iter().next().map(|event| event.key_bits), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn modify(&self, fd: RawFd, key_bits: u64, readable: bool, writable: bool) -> io::Result<()> {
        self.control_or(
            libc::EPOLL_CTL_MOD,
            libc::ENOENT,
            libc::EPOLL_CTL_ADD,
            fd,
            key_bits,
            interest(readable, writable),
        )
    }

    /// Has one event of `fd` reported under `key_bits`, and none after it, whatever is known of `fd` so far.
    ///
    /// After the event the kernel knows the number still, silently, until it is closed, removed, or told of again.
    ///
    /// # Errors
    /// As [`Poller::add`].
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole_sys::{Events, Poller, Timeout, Waker};
    /// let (poller, waker, mut events) = (Poller::new()?, Waker::new()?, Events::new());
    /// waker.wake()?;
    /// for key_bits in [1, 2] {
    ///     poller.once(waker.as_raw_fd(), key_bits, true, false)?;
    ///     assert_eq!(poller.wait(&mut events, Timeout::Forever)?, 1);
    ///     assert_eq!(poller.wait(&mut events, Timeout::Now)?, 0);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn once(&self, fd: RawFd, key_bits: u64, readable: bool, writable: bool) -> io::Result<()> {
        // Who waits once mostly waits again.
        self.control_or(
            libc::EPOLL_CTL_MOD,
            libc::ENOENT,
            libc::EPOLL_CTL_ADD,
            fd,
            key_bits,
            interest(readable, writable) | ONCE,
        )
    }

    /// Takes `fd` out; a number that is closed or unknown is out already, which is success.
    ///
    /// # Errors
    /// None is known for a live poller; others of epoll_ctl(2) are handed on.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole_sys::{Poller, Waker};
    /// let (poller, waker) = (Poller::new()?, Waker::new()?);
    /// poller.add(waker.as_raw_fd(), 1, true, false)?;
    /// poller.remove(waker.as_raw_fd())?;
    /// poller.remove(waker.as_raw_fd())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        match self.control(libc::EPOLL_CTL_DEL, fd, 0, 0) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EBADF)) => Ok(()),
            outcome => outcome,
        }
    }

    /// Waits until something is ready or `timeout` is over, fills `events`, and returns how many there are.
    ///
    /// With a kernel before 5.11, or a container that filters `epoll_pwait2`, timeouts are rounded up to milliseconds;
    /// this is found out once per process.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] when a signal handler ran: check for signals, then wait again. `events` is empty
    /// after any error.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # use maypole_sys::{Events, Poller, Timeout, monotonic_ns};
    /// let (started_ns, mut events) = (monotonic_ns(), Events::new());
    /// assert_eq!(Poller::new()?.wait(&mut events, Timeout::After(50_000))?, 0);
    /// assert!(monotonic_ns() - started_ns >= 50_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self, events: &mut Events, timeout: Timeout) -> io::Result<usize> {
        events.filled = 0;
        if !WITHOUT_PWAIT2.load(Ordering::Relaxed) {
            match self.wait_ns(events, timeout) {
                // EPERM is how syscall filters of older containers refuse; the call itself has no such error.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    WITHOUT_PWAIT2.store(true, Ordering::Relaxed);
                }
                outcome => return outcome,
            }
        }
        self.wait_ms(events, timeout)
    }

    /// Whether timeouts are kept to the nanosecond here; see [`Poller::wait`]. It asks the kernel.
    ///
    /// # Errors
    /// No descriptors are left.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// println!("{}", if maypole_sys::Poller::has_exact_timeouts()? { "epoll_pwait2" } else { "epoll_wait" });
    /// # Ok(())
    /// # }
    /// ```
    pub fn has_exact_timeouts() -> io::Result<bool> {
        Self::new()?.wait(&mut Events::new(), Timeout::Now)?;
        Ok(!WITHOUT_PWAIT2.load(Ordering::Relaxed))
    }

    fn wait_ns(&self, events: &mut Events, timeout: Timeout) -> io::Result<usize> {
        let timespec = match timeout {
            Timeout::Forever => None,
            Timeout::Now => Some(KernelTimespec {
                seconds: 0,
                nanoseconds: 0,
            }),
            Timeout::After(timeout_ns) => Some(KernelTimespec {
                seconds: (timeout_ns / NS_PER_SECOND).cast_signed(),
                nanoseconds: (timeout_ns % NS_PER_SECOND).cast_signed(),
            }),
        };
        let timespec_ptr = timespec.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: the kernel writes at most `buffer.len()` events into `buffer`, which is exclusively borrowed here;
        // `timespec` lives until the end of this function; a null signal mask means "leave the mask alone", and its
        // size is then not read.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events.buffer.as_mut_ptr(),
                capacity(&events.buffer),
                timespec_ptr,
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        filled(events, usize::try_from(count))
    }

    fn wait_ms(&self, events: &mut Events, timeout: Timeout) -> io::Result<usize> {
        // SAFETY: the kernel writes at most `buffer.len()` events into `buffer`, which is exclusively borrowed here.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.buffer.as_mut_ptr(),
                capacity(&events.buffer),
                timeout_ms(timeout),
            )
        };
        filled(events, usize::try_from(count))
    }

    fn control_or(
        &self,
        first: libc::c_int,
        refusal: libc::c_int,
        second: libc::c_int,
        fd: RawFd,
        key_bits: u64,
        flags: u32,
    ) -> io::Result<()> {
        match self.control(first, fd, key_bits, flags) {
            Err(error) if error.raw_os_error() == Some(refusal) => self.control(second, fd, key_bits, flags),
            outcome => outcome,
        }
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, key_bits: u64, flags: u32) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: flags,
            u64: key_bits,
        };
        // SAFETY: the kernel reads `event` during the call only, and checks both descriptor numbers itself.
        let outcome = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &raw mut event) };
        if outcome == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

fn interest(readable: bool, writable: bool) -> u32 {
    (if readable { READ } else { 0 }) | (if writable { WRITE } else { 0 })
}

fn capacity(buffer: &[libc::epoll_event]) -> libc::c_int {
    libc::c_int::try_from(buffer.len()).unwrap_or(libc::c_int::MAX)
}

fn filled<E>(events: &mut Events, count: Result<usize, E>) -> io::Result<usize> {
    // Only -1, the mark of an error, fails to be a usize.
    let Ok(count) = count else {
        return Err(io::Error::last_os_error());
    };
    events.filled = count;
    Ok(count)
}

/// Rounds up, so that a wait is never early; what does not fit waits in steps of 24 days.
fn timeout_ms(timeout: Timeout) -> libc::c_int {
    match timeout {
        Timeout::Now => 0,
        Timeout::Forever => -1,
        Timeout::After(timeout_ns) => {
            libc::c_int::try_from(timeout_ns.div_ceil(NS_PER_MILLISECOND)).unwrap_or(libc::c_int::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millisecond_fallback_rounds_up() {
        assert_eq!(timeout_ms(Timeout::After(1)), 1);
        assert_eq!(timeout_ms(Timeout::After(1_000_000)), 1);
        assert_eq!(timeout_ms(Timeout::After(1_000_001)), 2);
        assert_eq!(timeout_ms(Timeout::After(u64::MAX)), libc::c_int::MAX);
        assert_eq!(timeout_ms(Timeout::Forever), -1);
    }

    #[test]
    fn millisecond_fallback_reports_the_same_events() {
        let (poller, waker, mut events) = (
            Poller::new().unwrap(),
            crate::Waker::new().unwrap(),
            Events::new(),
        );
        poller.add(waker.as_raw_fd(), 9, true, false).unwrap();
        assert_eq!(poller.wait_ms(&mut events, Timeout::After(1)).unwrap(), 0);
        waker.wake().unwrap();
        assert_eq!(poller.wait_ms(&mut events, Timeout::Forever).unwrap(), 1);
        let by_ms: Vec<_> = events.iter().collect();
        assert_eq!(poller.wait_ns(&mut events, Timeout::Forever).unwrap(), 1);
        assert_eq!(by_ms, events.iter().collect::<Vec<_>>());
    }
}
