//! The contract of a poller: which descriptors are ready, and until when to wait for one.
//!
//! Invariant: level-triggered. A descriptor that is still ready is reported by every wait, as asyncio's `add_reader`
//! and `add_writer` promise; unless one event only was asked for.
//! Invariant: the identity of a registration is the caller's 64 key bits, never the descriptor number, so an event of
//! a closed and reused number can be told from one of its successor.
//! Invariant: a hang-up or an error counts as readable *and* writable, so that whoever waits finds out by its next read
//! or write (the rule of Python's `selectors.EpollSelector`).
//! Invariant: a wait never returns before its timeout unless something happened.

/// What one wait found out about one registered descriptor.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// use maypole_sys::{Events, Poller, Timeout, Waker};
///
/// let (poller, waker, mut events) = (Poller::new()?, Waker::new()?, Events::new());
/// poller.add(waker.as_raw_fd(), 7, true, false)?;
/// waker.wake()?;
/// poller.wait(&mut events, Timeout::Forever)?;
/// let event = events.iter().next().expect("the waker is ready");
/// assert_eq!((event.key_bits, event.readable, event.writable), (7, true, false));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The bits the caller registered the descriptor with.
    pub key_bits: u64,
    /// A read would not block (it may give data, end of file or an error).
    pub readable: bool,
    /// A write would not block (it may take data or give an error).
    pub writable: bool,
}

/// How long a wait may last.
///
/// # Examples
/// ```
/// use maypole_sys::Timeout;
///
/// assert_eq!(Timeout::until(Some(1_500), 1_000), Timeout::After(500));
/// assert_eq!(Timeout::until(Some(900), 1_000), Timeout::Now);
/// assert_eq!(Timeout::until(None, 1_000), Timeout::Forever);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Look and return at once.
    Now,
    /// At least so many nanoseconds, unless an event comes first.
    After(u64),
    /// Until an event or a signal comes.
    Forever,
}

impl Timeout {
    /// The length in seconds; `None` for [`Timeout::Forever`].
    ///
    /// # Examples
    /// ```
    /// use maypole_sys::Timeout;
    /// assert_eq!(Timeout::After(500_000_000).seconds(), Some(0.5));
    /// assert_eq!(Timeout::Forever.seconds(), None);
    /// ```
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a length for people: the 53 bits of a double last 104 days"
    )]
    pub fn seconds(self) -> Option<f64> {
        match self {
            Self::Now => Some(0.0),
            Self::After(length_ns) => Some(length_ns as f64 / 1e9),
            Self::Forever => None,
        }
    }

    /// Gives the timeout that ends at `deadline_ns`, seen from `now_ns` (both on the same clock); no deadline means
    /// [`Timeout::Forever`].
    ///
    /// # Examples
    /// ```
    /// # use maypole_sys::Timeout;
    /// assert_eq!(Timeout::until(Some(5), 5), Timeout::Now);
    /// ```
    #[must_use]
    pub fn until(deadline_ns: Option<u64>, now_ns: u64) -> Self {
        match deadline_ns {
            None => Self::Forever,
            Some(deadline_ns) if deadline_ns <= now_ns => Self::Now,
            Some(deadline_ns) => Self::After(deadline_ns - now_ns),
        }
    }
}
