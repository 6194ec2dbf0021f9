//! Many futures, all their outputs.
use std::future::poll_fn;

use crate::child_set::ChildSet;

/// Runs all `futures` at once inside the calling task and gives their outputs in the order of the input (asyncio's
/// `gather`).
///
/// A future is polled only when it was woken, so a hundred thousand of them cost no more than as many tasks. A panic in
/// one of them goes on in the caller; to have it as an error, pass the handles of spawned tasks.
///
/// # Cancel safety
/// Dropping it drops all futures that are not done, and the outputs there are.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let outputs = maypole::run_virtual(async {
///     let naps = [3, 1, 2].map(|seconds| async move {
///         maypole::sleep(Duration::from_secs(seconds)).await;
///         seconds
///     });
///     maypole::join_all(naps).await
/// });
/// assert_eq!(outputs, [3, 1, 2]);
/// ```
pub async fn join_all<I>(futures: I) -> Vec<<I::Item as Future>::Output>
where
    I: IntoIterator,
    I::Item: Future,
{
    let mut children = ChildSet::new(futures);
    let mut outputs: Vec<_> = (0..children.left()).map(|_| None).collect();
    while let Some((index, output)) = poll_fn(|context| children.poll_next(context)).await {
        outputs[index] = Some(output);
    }
    outputs.into_iter().flatten().collect()
}
