//! What is ready to run, first in, first out, in batches.
//!
//! Owns [`ReadyQueue`]. A turn runs the batch that was queued when it began; what its callbacks push waits for the
//! next turn, so a callback that always schedules itself again cannot keep the loop from its timers and sockets.
//!
//! Invariant: items leave in the order they came.
//! Invariant: `batch_left() <= len()`; what is pushed during a batch is not taken in it.
//! Invariant: no method drops an item; what leaves is handed to the caller.

use std::collections::{TryReserveError, VecDeque};

/// A first-in, first-out queue that hands out only the batch marked by [`ReadyQueue::begin_batch`].
///
/// ```
/// let mut ready = maypole_core::ReadyQueue::new();
/// ready.push("a");
/// ready.push("b");
/// assert_eq!(ready.begin_batch(), 2);
/// assert_eq!(ready.take(), Some("a"));
/// ready.push("c"); // pushed during the batch: runs in the next
/// assert_eq!(ready.take(), Some("b"));
/// assert_eq!(ready.take(), None);
/// assert_eq!(ready.len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct ReadyQueue<T> {
    queue: VecDeque<T>,
    batch_left: usize,
    taken: u64,
}

impl<T> Default for ReadyQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> ReadyQueue<T> {
    /// Makes an empty queue; it allocates at the first push.
    ///
    /// ```
    /// assert!(maypole_core::ReadyQueue::<u8>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            batch_left: 0,
            taken: 0,
        }
    }

    /// Appends `item` behind everything queued.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push(1);
    /// assert_eq!(ready.len(), 1);
    /// ```
    #[inline]
    pub fn push(&mut self, item: T) {
        self.queue.push_back(item);
    }

    /// Makes room for one more item, so that the next [`ReadyQueue::push`] needs no memory.
    ///
    /// # Errors
    /// `TryReserveError` when there is no memory; the queue is as it was.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.reserve()?;
    /// ready.push(1);
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    #[inline]
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        if self.queue.len() < self.queue.capacity() {
            return Ok(());
        }
        self.queue.try_reserve(1)
    }

    /// Takes out up to `count` items, in order; what is left of the batch shrinks with them.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push(1);
    /// ready.push(2);
    /// assert_eq!(ready.drain_some(1), [1]);
    /// assert_eq!(ready.len(), 1);
    /// ```
    #[must_use = "the items are handed over to be dropped by the caller"]
    pub fn drain_some(&mut self, count: usize) -> Vec<T> {
        let count = count.min(self.queue.len());
        self.batch_left = self.batch_left.saturating_sub(count);
        self.queue.drain(..count).collect()
    }

    /// Marks what is queued now as the batch, what was left of the last one included, and returns its size.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push(1);
    /// assert_eq!(ready.begin_batch(), 1);
    /// ```
    #[inline]
    pub fn begin_batch(&mut self) -> usize {
        self.batch_left = self.queue.len();
        self.batch_left
    }

    /// Takes the next item of the batch; `None` when the batch is done.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push(1);
    /// assert_eq!(ready.take(), None, "no batch was begun");
    /// ready.begin_batch();
    /// assert_eq!(ready.take(), Some(1));
    /// ```
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.batch_left = self.batch_left.checked_sub(1)?;
        self.taken = self.taken.wrapping_add(1);
        self.queue.pop_front()
    }

    /// How many items were taken since the queue was made. The item pushed last is the one numbered
    /// `taken() + len()`, which is how an observer follows single items through the queue.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push("a");
    /// let place = ready.taken() + ready.len() as u64;
    /// ready.begin_batch();
    /// ready.take();
    /// assert_eq!(ready.taken(), place);
    /// ```
    #[inline]
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// The item that will be taken after `ahead` others, in this batch or a later one.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push("a");
    /// ready.push("b");
    /// assert_eq!((ready.upcoming(1), ready.upcoming(2)), (Some(&"b"), None));
    /// ```
    #[inline]
    #[must_use]
    pub fn upcoming(&self, ahead: usize) -> Option<&T> {
        self.queue.get(ahead)
    }

    /// How many items are queued, in the batch or behind it.
    ///
    /// ```
    /// assert_eq!(maypole_core::ReadyQueue::<u8>::new().len(), 0);
    /// ```
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is queued.
    ///
    /// ```
    /// assert!(maypole_core::ReadyQueue::<u8>::new().is_empty());
    /// ```
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many items of the batch are still to be taken.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push(1);
    /// assert_eq!(ready.batch_left(), 0);
    /// ready.begin_batch();
    /// assert_eq!(ready.batch_left(), 1);
    /// ```
    #[inline]
    #[must_use]
    pub const fn batch_left(&self) -> usize {
        self.batch_left
    }

    /// Walks over everything queued, in order.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push(1);
    /// ready.push(2);
    /// assert_eq!(ready.iter().sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.queue.iter()
    }

    /// Takes everything out, in order, and ends the batch.
    ///
    /// ```
    /// let mut ready = maypole_core::ReadyQueue::new();
    /// ready.push(1);
    /// assert_eq!(ready.drain(), [1]);
    /// assert!(ready.is_empty());
    /// ```
    #[must_use = "the items are handed over to be dropped by the caller"]
    pub fn drain(&mut self) -> Vec<T> {
        self.batch_left = 0;
        std::mem::take(&mut self.queue).into()
    }
}
