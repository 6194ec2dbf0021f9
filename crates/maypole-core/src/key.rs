//! Keys that outlive what they name: a slab whose slots count how often they were reused.
//!
//! Owns [`Key`] and [`Slots`]. A timer, a source, anything the loop hands out a name for, lives in a `Slots` and is
//! reached through its `Key`. A key kept too long finds nothing; it never finds a stranger.
//!
//! Invariant: a `(index, generation)` pair is handed out at most once in the life of a `Slots`.
//! Invariant: a slot whose generations are used up is retired, never reused.
//! Invariant: no method drops a value; what leaves is handed to the caller.

use std::collections::TryReserveError;

/// The end of the chain of free slots.
const NIL: u32 = u32::MAX;

/// The name of one value in a [`Slots`]: a slot and how often it had been reused.
///
/// A key is 8 bytes, `Copy`, and packs into the `u64` that an operating system's poller carries along.
///
/// ```
/// use maypole_core::{Key, Slots};
///
/// let mut slots = Slots::new();
/// let key = slots.insert("timer");
/// assert_eq!(Key::from_bits(key.to_bits()), key);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Packs the key into 64 bits: the generation above, the index below.
    ///
    /// No key ever packs to `u64::MAX`, so a caller may use that value for something of its own (a wake-up).
    ///
    /// ```
    /// let key = maypole_core::Slots::new().insert(());
    /// assert_ne!(key.to_bits(), u64::MAX);
    /// ```
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        ((self.generation as u64) << 32) | self.index as u64
    }

    /// Unpacks what [`Key::to_bits`] packed. Any other `bits` give a key that finds nothing, or an existing one.
    ///
    /// ```
    /// use maypole_core::{Key, Slots};
    ///
    /// let slots: Slots<&str> = Slots::new();
    /// assert_eq!(slots.get(Key::from_bits(77)), None);
    /// ```
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the two halves of the word are the two fields"
    )]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }

    /// The slot, without its generation: for tables inside this crate that only name live slots.
    pub(crate) const fn index(self) -> u32 {
        self.index
    }
}

#[derive(Clone, Debug)]
enum State<T> {
    Full(T),
    Free { next: u32 },
    Retired,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    generation: u32,
    state: State<T>,
}

/// A slab: values in numbered slots, each reached by a [`Key`] that dies with its value.
///
/// Insert, look up and remove take constant time; a freed slot is reused by the next insert.
///
/// ```
/// let mut slots = maypole_core::Slots::new();
/// let old = slots.insert("first");
/// assert_eq!(slots.remove(old), Some("first"));
/// let new = slots.insert("second"); // the same slot, a later generation
/// assert_eq!(slots.get(old), None);
/// assert_eq!(slots.get(new), Some(&"second"));
/// ```
#[derive(Clone, Debug)]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slots<T> {
    /// Makes an empty slab; it allocates at the first insert.
    ///
    /// ```
    /// assert!(maypole_core::Slots::<u8>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: NIL,
            len: 0,
        }
    }

    /// Puts `value` into a free slot and returns the key that names it.
    ///
    /// Panics when 2^32 - 1 slots are full or retired, which takes more than 64 GiB of values.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// let key = slots.insert(5);
    /// assert!(slots.contains(key));
    /// ```
    #[inline]
    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        let index = self.free;
        if let Some(slot) = self.slots.get_mut(index as usize)
            && let State::Free { next } = slot.state
        {
            self.free = next;
            slot.state = State::Full(value);
            return Key {
                index,
                generation: slot.generation,
            };
        }
        self.grow(value)
    }

    #[cold]
    fn grow(&mut self, value: T) -> Key {
        let index = u32::try_from(self.slots.len()).unwrap_or(NIL);
        assert!(index != NIL, "a slab holds at most 2^32 - 1 slots");
        self.slots.push(Slot {
            generation: 0,
            state: State::Full(value),
        });
        Key { index, generation: 0 }
    }

    /// Borrows the value of `key`, or `None` when it was removed.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// let key = slots.insert('a');
    /// assert_eq!(slots.get(key), Some(&'a'));
    /// ```
    #[inline]
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.index as usize) {
            Some(Slot {
                generation,
                state: State::Full(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Borrows the value of `key` for change, or `None` when it was removed.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// let key = slots.insert(1);
    /// *slots.get_mut(key).unwrap() += 1;
    /// assert_eq!(slots.get(key), Some(&2));
    /// ```
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize) {
            Some(Slot {
                generation,
                state: State::Full(value),
            }) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Takes the value of `key` out and frees its slot; `None` when it was removed before.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// let key = slots.insert("once");
    /// assert_eq!(slots.remove(key), Some("once"));
    /// assert_eq!(slots.remove(key), None);
    /// ```
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        match self.slots.get(key.index as usize) {
            Some(Slot {
                generation,
                state: State::Full(_),
            }) if *generation == key.generation => self.remove_at(key.index),
            _ => None,
        }
    }

    /// Whether `key` still names a value.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// let key = slots.insert(());
    /// slots.remove(key);
    /// assert!(!slots.contains(key));
    /// ```
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// How many values are in the slab.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// slots.insert(());
    /// assert_eq!(slots.len(), 1);
    /// ```
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the slab holds no value.
    ///
    /// ```
    /// assert!(maypole_core::Slots::<()>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Walks over all values with their keys, in slot order.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// let key = slots.insert("only");
    /// assert_eq!(slots.iter().collect::<Vec<_>>(), [(key, &"only")]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0u32..)
            .zip(&self.slots)
            .filter_map(|(index, slot)| match &slot.state {
                State::Full(value) => Some((
                    Key {
                        index,
                        generation: slot.generation,
                    },
                    value,
                )),
                State::Free { .. } | State::Retired => None,
            })
    }

    /// Makes room for one more value, so that the next [`Slots::insert`] needs no memory.
    ///
    /// # Errors
    /// `TryReserveError` when there is no memory; the slots are as they were.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// slots.reserve()?;
    /// slots.insert(1);
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    #[inline]
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        if self.free != NIL || self.slots.len() < self.slots.capacity() {
            return Ok(());
        }
        self.slots.try_reserve(1)
    }

    /// The key of the first value at or behind slot `from`.
    pub(crate) fn first_from(&self, from: u32) -> Option<Key> {
        let behind = self.slots.get(from as usize..)?;
        (from..).zip(behind).find_map(|(index, slot)| match slot.state {
            State::Full(_) => Some(Key {
                index,
                generation: slot.generation,
            }),
            State::Free { .. } | State::Retired => None,
        })
    }

    /// Takes all values out, in slot order; every key handed out before is stale afterwards.
    ///
    /// ```
    /// let mut slots = maypole_core::Slots::new();
    /// let key = slots.insert(1);
    /// slots.insert(2);
    /// assert_eq!(slots.drain(), [1, 2]);
    /// assert!(!slots.contains(key));
    /// ```
    #[must_use = "the values are handed over to be dropped by the caller"]
    pub fn drain(&mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len);
        for index in (0..self.slots.len()).rev() {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "insert keeps the index below 2^32 - 1"
            )]
            values.extend(self.remove_at(index as u32));
        }
        values.reverse();
        values
    }

    /// The value in slot `index`, whatever its generation.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        match self.slots.get(index as usize) {
            Some(Slot {
                state: State::Full(value),
                ..
            }) => Some(value),
            _ => None,
        }
    }

    /// The value in slot `index` for change, whatever its generation.
    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slots.get_mut(index as usize) {
            Some(Slot {
                state: State::Full(value),
                ..
            }) => Some(value),
            _ => None,
        }
    }

    /// Takes the value out of slot `index`, whatever its generation, and frees or retires the slot.
    #[inline]
    pub(crate) fn remove_at(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        if !matches!(slot.state, State::Full(_)) {
            return None;
        }
        slot.generation += 1;
        let spent = slot.generation == u32::MAX;
        let state = if spent {
            State::Retired
        } else {
            State::Free { next: self.free }
        };
        let State::Full(value) = std::mem::replace(&mut slot.state, state) else {
            return None;
        };
        if !spent {
            self.free = index;
        }
        self.len -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_with_spent_generations_is_retired() {
        let mut slots = Slots::new();
        let first = slots.insert(0);
        let second = slots.insert(1);
        slots.remove(first);
        slots.slots[0].generation = u32::MAX - 1;
        let last = slots.insert(2);
        assert_eq!(
            last,
            Key {
                index: 0,
                generation: u32::MAX - 1
            }
        );
        slots.remove(second);
        assert_eq!(slots.remove(last), Some(2));
        let next = slots.insert(3);
        assert_eq!(
            next,
            Key {
                index: 1,
                generation: 1
            },
            "the other free slot comes first"
        );
        let next = slots.insert(4);
        assert_eq!(
            next,
            Key {
                index: 2,
                generation: 0
            },
            "the spent slot does not come back"
        );
        assert_eq!((slots.len(), slots.contains(last)), (2, false));
        assert_eq!(slots.drain(), [3, 4]);
        assert_eq!(slots.insert(5).index, 1);
    }
}
