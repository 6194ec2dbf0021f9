//! One level of the wheel: sixty-four slots, and which of them hold timers.
//!
//! Owns [`Level`] and the arithmetic of slots: which level and slot a deadline belongs to, and which nanoseconds a
//! slot spans. It knows nothing of timers: a slot is the head of a list that `wheel.rs` links.
//!
//! Invariant: bit `s` of `occupied` is set exactly when slot `s` holds a timer.
//! Invariant: `Slot::earliest_ns` is never after the earliest deadline in the slot; with `exact` it is that deadline.

/// Bits of the deadline that one level tells apart.
const BITS: u32 = 6;
/// Slots in a level.
const SLOTS: usize = 1 << BITS;
/// Levels that together span all 64 bits of a deadline; a slot of level 0 is one nanosecond.
pub(super) const LEVELS: usize = 64usize.div_ceil(BITS as usize);

/// The end of a list of timers.
pub(super) const NIL: u32 = u32::MAX;

/// Where a timer hangs: a level and a slot in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) level: u8,
    pub(super) slot: u8,
}

impl Place {
    /// The place of `deadline_ns`, seen from `base_ns` before it: the level is that of the highest bit they differ in.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a level is below 11 and a slot below 64"
    )]
    pub(super) const fn of(deadline_ns: u64, base_ns: u64) -> Self {
        let level = (63 - ((deadline_ns ^ base_ns) | 1).leading_zeros()) / BITS;
        Self {
            level: level as u8,
            slot: ((deadline_ns >> (level * BITS)) & (SLOTS as u64 - 1)) as u8,
        }
    }

    /// The first and the last nanosecond of this place, seen from `base_ns`.
    pub(super) const fn span(self, base_ns: u64) -> (u64, u64) {
        let shift = self.level as u32 * BITS;
        let above = match u64::MAX.checked_shl(shift + BITS) {
            Some(mask) => base_ns & mask,
            None => 0,
        };
        let first = above | ((self.slot as u64) << shift);
        (first, first | ((1 << shift) - 1))
    }
}

/// The head of one slot's list, and what is known of the list without walking it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) head: u32,
    pub(super) len: u32,
    pub(super) earliest_ns: u64,
    pub(super) exact: bool,
}

impl Slot {
    pub(super) const EMPTY: Self = Self {
        head: NIL,
        len: 0,
        earliest_ns: u64::MAX,
        exact: true,
    };

    /// Puts timer `index` at the head; returns the old head, its new neighbour.
    #[inline]
    pub(super) fn push(&mut self, index: u32, deadline_ns: u64) -> u32 {
        self.len += 1;
        self.earliest_ns = self.earliest_ns.min(deadline_ns);
        std::mem::replace(&mut self.head, index)
    }

    /// Notes that a timer of `deadline_ns` left the list.
    #[inline]
    pub(super) fn left(&mut self, deadline_ns: u64) {
        self.len -= 1;
        if self.len == 0 {
            *self = Self::EMPTY;
        } else if deadline_ns == self.earliest_ns {
            self.exact = false;
        }
    }
}

/// Sixty-four slots.
#[derive(Clone, Debug)]
pub(super) struct Level {
    occupied: u64,
    slots: [Slot; SLOTS],
}

impl Level {
    pub(super) const EMPTY: Self = Self {
        occupied: 0,
        slots: [Slot::EMPTY; SLOTS],
    };

    pub(super) const fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// The first slot that holds a timer. All slots of a level lie after the base, so the lowest is the earliest.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "trailing_zeros of a u64 is at most 64"
    )]
    pub(super) const fn first(&self) -> u8 {
        self.occupied.trailing_zeros() as u8
    }

    pub(super) fn slot(&self, slot: u8) -> &Slot {
        &self.slots[slot as usize % SLOTS]
    }

    pub(super) fn slot_mut(&mut self, slot: u8) -> &mut Slot {
        &mut self.slots[slot as usize % SLOTS]
    }

    #[inline]
    pub(super) fn push(&mut self, slot: u8, index: u32, deadline_ns: u64) -> u32 {
        self.occupied |= 1 << (slot as usize % SLOTS);
        self.slot_mut(slot).push(index, deadline_ns)
    }

    #[inline]
    pub(super) fn left(&mut self, slot: u8, deadline_ns: u64) {
        let entry = self.slot_mut(slot);
        entry.left(deadline_ns);
        if entry.len == 0 {
            self.occupied &= !(1 << (slot as usize % SLOTS));
        }
    }

    /// Empties `slot` and returns what it was.
    pub(super) fn take(&mut self, slot: u8) -> Slot {
        self.occupied &= !(1 << (slot as usize % SLOTS));
        std::mem::replace(self.slot_mut(slot), Slot::EMPTY)
    }
}
