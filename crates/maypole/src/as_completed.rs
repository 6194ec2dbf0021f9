//! Many futures, their outputs as they come.
use std::future::poll_fn;

use crate::child_set::ChildSet;

/// Futures that run at once and give their outputs in the order in which they end; made by [`as_completed`].
///
/// # Examples
/// ```
/// let mut outputs = maypole::as_completed([async { 1 }]);
/// assert_eq!(outputs.left(), 1);
/// assert_eq!(maypole::run(outputs.next()), Some(1));
/// ```
#[derive(Debug)]
#[must_use = "the futures run only while `next` is awaited"]
pub struct AsCompleted<F> {
    children: ChildSet<F>,
}

/// Runs all `futures` at once inside the calling task and gives each output when it is there (asyncio's
/// `as_completed`).
///
/// They all begin with the first [`AsCompleted::next`], and run only while one is awaited. Futures that end in the same
/// turn come in the order in which they were woken.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let order = maypole::run_virtual(async {
///     let mut outputs = maypole::as_completed([3, 1, 2].map(|seconds| async move {
///         maypole::sleep(Duration::from_secs(seconds)).await;
///         seconds
///     }));
///     let mut order = Vec::new();
///     while let Some(seconds) = outputs.next().await {
///         order.push(seconds);
///     }
///     order
/// });
/// assert_eq!(order, [1, 2, 3]);
/// ```
pub fn as_completed<I>(futures: I) -> AsCompleted<I::Item>
where
    I: IntoIterator,
    I::Item: Future,
{
    AsCompleted {
        children: ChildSet::new(futures),
    }
}

impl<F: Future> AsCompleted<F> {
    /// Awaits the next output; `None` when all were given.
    ///
    /// # Cancel safety
    /// Dropping the future of `next` loses nothing: no output is taken before it is returned.
    ///
    /// # Examples
    /// ```
    /// maypole::run(async {
    ///     let mut outputs = maypole::as_completed([async { 'a' }]);
    ///     assert_eq!(outputs.next().await, Some('a'));
    ///     assert_eq!(outputs.next().await, None);
    /// });
    /// ```
    pub async fn next(&mut self) -> Option<F::Output> {
        poll_fn(|context| self.children.poll_next(context))
            .await
            .map(|(_, output)| output)
    }

    /// Says how many outputs are still to come.
    ///
    /// # Examples
    /// ```
    /// let naps = [1, 2, 3].map(|ms| maypole::sleep(std::time::Duration::from_millis(ms)));
    /// assert_eq!(maypole::as_completed(naps).left(), 3);
    /// ```
    #[must_use]
    pub fn left(&self) -> usize {
        self.children.left()
    }
}
