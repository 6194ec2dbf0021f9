//! The newest events, up to a number.
//!
//! Owns [`Ring`]. Its memory grows by one piece at a time, so that growing never copies what is there: a write takes the
//! same few nanoseconds whether the ring holds a thousand events or a million.

use crate::event::Event;

/// Events in a piece: 160 KiB.
const PIECE: usize = 4096;

/// The newest events, and how many older ones they overwrote.
///
/// ```
/// use maypole_trace::{Event, Ring};
///
/// let mut ring = Ring::new(2);
/// for end in 1..=3 {
///     ring.push(Event::turn(0, end, 1));
/// }
/// assert_eq!(ring.iter().map(|event| event.at_ticks).collect::<Vec<_>>(), [2, 3]);
/// assert_eq!(ring.dropped(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Ring {
    pieces: Vec<Vec<Event>>,
    capacity: usize,
    len: usize,
    /// Where the next event goes once the ring is full: the oldest.
    oldest: usize,
    dropped: u64,
}

impl Ring {
    /// A ring of at most `capacity` events, which takes memory only as events come.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self {
            pieces: Vec::new(),
            capacity,
            len: 0,
            oldest: 0,
            dropped: 0,
        }
    }

    /// Writes an event; the oldest one makes room when the ring is full.
    #[inline]
    pub fn push(&mut self, event: Event) {
        if self.len == self.capacity {
            self.overwrite(event);
            return;
        }
        self.len += 1;
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(event),
            _ => self.grow(event),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, event: Event) {
        // The last piece of a capacity that is no multiple of a piece needs less.
        let mut piece = Vec::with_capacity(PIECE.min(self.capacity - self.len + 1));
        piece.push(event);
        self.pieces.push(piece);
    }

    #[inline]
    fn overwrite(&mut self, event: Event) {
        self.dropped += 1;
        let place = self
            .pieces
            .get_mut(self.oldest / PIECE)
            .and_then(|piece| piece.get_mut(self.oldest % PIECE));
        // A ring of capacity 0 has no place: it counts what it cannot keep.
        if let Some(place) = place {
            *place = event;
            self.oldest = if self.oldest + 1 == self.capacity {
                0
            } else {
                self.oldest + 1
            };
        }
    }

    /// How many events it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many it can hold.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many events were overwritten since it was made or cleared.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The events, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        let all = || self.pieces.iter().flatten();
        all().skip(self.oldest).chain(all().take(self.oldest))
    }

    /// Forgets all events, gives their memory back, and counts from zero.
    pub fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }
}
