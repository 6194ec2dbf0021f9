//! A limit on how long a future may take.
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::time::sleep;

/// The time was over before the future was.
///
/// # Examples
/// ```
/// let elapsed = maypole::run_virtual(maypole::timeout(std::time::Duration::from_secs(1), std::future::pending::<()>()));
/// assert_eq!(elapsed.unwrap_err().to_string(), "not done after 1s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    limit: Duration,
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done after {:?}", self.limit)
    }
}

impl std::error::Error for Elapsed {}

/// Awaits `future` for at most `limit`, counted from the first poll (asyncio's `wait_for`).
///
/// A future that is done when the time is over gives its output.
///
/// # Errors
/// [`Elapsed`] when the time was over first; the future is dropped, which cancels it.
///
/// # Cancel safety
/// Dropping it drops the future inside.
///
/// # Panics
/// When it is first polled where no maypole loop runs.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// maypole::run_virtual(async {
///     let slow = maypole::sleep(Duration::from_secs(10));
///     assert!(maypole::timeout(Duration::from_secs(5), slow).await.is_err());
///     let quick = async { 7 };
///     assert_eq!(maypole::timeout(Duration::from_secs(5), quick).await, Ok(7));
/// });
/// ```
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let (mut future, mut alarm) = (pin!(future), pin!(sleep(limit)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => alarm.as_mut().poll(context).map(|()| Err(Elapsed { limit })),
    })
    .await
}
