//! The hierarchical timing wheel, exact to the nanosecond.
//!
//! Owns [`Wheel`]: the timers, the levels they hang in, and the run that is about to fire. The idea is Varghese and
//! Lauck's ("Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 6): a timer far away hangs in a coarse slot and
//! moves to finer ones as its time comes near. Here the finest slot is one nanosecond, but few timers go that far: a
//! slot that is short and narrow is sorted and fires as it is.
//!
//! ```text
//!  levels   coarse [ · · # · · · # ]   a slot of level n spans 64^n ns, sixty-four slots a level
//!                       ╲ opened when its time comes: moved to finer slots …
//!           fine   [ · # # · · · · ]
//!                     ╲ … or, when short and narrow, sorted
//!  run      [ t1 t2 t3 ]  ──▶ pop_due
//!  late     { t0 }        ──▶ pop_due    inserted into time that was already opened
//! ```
//!
//! Invariant: `run` and `late` hold the timers with a deadline up to `base_ns`, the levels those after it.
//! Invariant: `run` is sorted by (deadline, insertion), and its head is alive. Behind the head there may be records of
//! cancelled timers; a record is 24 bytes and there is one only for a timer whose slot was opened.
//! Invariant: a slot is opened only when `run` and `late` are empty, so what fires comes from one place at a time.
//! Invariant: `now_ns` never goes back, and nothing later than it fires.
//! Invariant: no method drops an item; what leaves is handed to the caller.

use std::collections::{BTreeSet, TryReserveError, VecDeque};

use super::level::{LEVELS, Level, NIL, Place, Slot};
use crate::key::{Key, Slots};
use crate::time::NEVER_NS;

/// A slot of at most this level (64^3 ns = 262 us) may be sorted as it is. A wider one would open so much
/// time at once that fresh timers would often fall into it, and be `late`.
const SORT_LEVEL_MAX: u8 = 3;
/// A slot of at most this many timers may be sorted as it is; a longer one is first spread over finer slots.
const SORT_LEN_MAX: u32 = 64;

/// Where a timer is.
#[derive(Clone, Copy, Debug)]
enum Home {
    Hangs(Place),
    Run,
    Late,
    Never,
}

#[derive(Clone, Debug)]
struct Timer<T> {
    deadline_ns: u64,
    sequence: u64,
    next: u32,
    previous: u32,
    home: Home,
    item: T,
}

/// What is needed to order a timer without reaching for it; the field order is the firing order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Record {
    deadline_ns: u64,
    sequence: u64,
    index: u32,
}

/// Timers that fire in exact (deadline, insertion) order; insert and cancel take constant time.
///
/// Source: G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.
///
/// ```
/// let mut wheel = maypole_core::Wheel::new();
/// let tea = wheel.insert(180_000_000_000, "tea");
/// wheel.insert(1_000, "blink");
/// assert_eq!(wheel.next_wake_ns(), Some(1_000));
/// assert_eq!(wheel.pop_due(999), None);
/// assert_eq!(wheel.pop_due(2_000), Some((1_000, "blink")));
/// assert_eq!(wheel.cancel(tea), Some("tea"));
/// assert!(wheel.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Wheel<T> {
    timers: Slots<Timer<T>>,
    levels: Vec<Level>,
    /// Bit `n` is set exactly when level `n` holds a timer.
    occupied: u16,
    run: VecDeque<Record>,
    late: BTreeSet<Record>,
    base_ns: u64,
    now_ns: u64,
    sequence: u64,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Wheel<T> {
    /// Makes an empty wheel whose time is 0.
    ///
    /// ```
    /// assert!(maypole_core::Wheel::<u8>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            timers: Slots::new(),
            levels: vec![Level::EMPTY; LEVELS],
            occupied: 0,
            run: VecDeque::new(),
            late: BTreeSet::new(),
            base_ns: 0,
            now_ns: 0,
            sequence: 0,
        }
    }

    /// Makes room for one more timer, so that the next [`Wheel::insert`] needs next to no memory.
    ///
    /// # Errors
    /// `TryReserveError` when there is no memory; the wheel is as it was.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// wheel.reserve()?;
    /// wheel.insert(50, "timer");
    /// # Ok::<(), std::collections::TryReserveError>(())
    /// ```
    #[inline]
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        self.timers.reserve()
    }

    /// Adds a timer for `deadline_ns` and returns the key that cancels it.
    ///
    /// A deadline in the past is due at once, in its order among the due; [`NEVER_NS`] never is.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// wheel.pop_due(100);
    /// wheel.insert(50, "past");
    /// wheel.insert(maypole_core::NEVER_NS, "never");
    /// assert_eq!(wheel.pop_due(100), Some((50, "past")));
    /// assert_eq!(wheel.pop_due(u64::MAX), None);
    /// ```
    pub fn insert(&mut self, deadline_ns: u64, item: T) -> Key {
        let sequence = self.sequence;
        self.sequence += 1;
        let home = if deadline_ns == NEVER_NS {
            Home::Never
        } else if deadline_ns <= self.base_ns {
            Home::Late
        } else {
            Home::Hangs(Place::of(deadline_ns, self.base_ns))
        };
        let key = self.timers.insert(Timer {
            deadline_ns,
            sequence,
            next: NIL,
            previous: NIL,
            home,
            item,
        });
        match home {
            Home::Late => {
                self.late.insert(Record {
                    deadline_ns,
                    sequence,
                    index: key.index(),
                });
            }
            Home::Hangs(place) => self.hang(key.index(), place, deadline_ns),
            Home::Run | Home::Never => {}
        }
        key
    }

    /// Takes the timer of `key` out and returns its item; `None` when it fired or was cancelled before.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// let key = wheel.insert(10, "item");
    /// assert_eq!(wheel.cancel(key), Some("item"));
    /// assert_eq!(wheel.cancel(key), None);
    /// assert_eq!(wheel.pop_due(10), None);
    /// ```
    pub fn cancel(&mut self, key: Key) -> Option<T> {
        let Timer {
            deadline_ns,
            sequence,
            next,
            previous,
            home,
            item,
        } = self.timers.remove(key)?;
        match home {
            Home::Hangs(place) => self.unhang(place, deadline_ns, next, previous),
            Home::Run => self.skip_dead(),
            Home::Late => {
                self.late.remove(&Record {
                    deadline_ns,
                    sequence,
                    index: key.index(),
                });
            }
            Home::Never => {}
        }
        Some(item)
    }

    /// Takes the first timer due at `now_ns` and returns its deadline and item; `None` when nothing is due.
    ///
    /// A `now_ns` before one seen earlier counts as that one: time does not go back.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// wheel.insert(20, "b");
    /// wheel.insert(10, "a");
    /// wheel.insert(20, "c");
    /// let mut fired = Vec::new();
    /// while let Some((_, item)) = wheel.pop_due(20) {
    ///     fired.push(item);
    /// }
    /// assert_eq!(fired, ["a", "b", "c"]);
    /// ```
    pub fn pop_due(&mut self, now_ns: u64) -> Option<(u64, T)> {
        self.now_ns = self.now_ns.max(now_ns);
        loop {
            if let Some(record) = self.head() {
                return if record.deadline_ns <= self.now_ns {
                    self.take_head(record)
                } else {
                    None
                };
            }
            let place = self.first_place()?;
            if self.slot(place).earliest_ns > self.now_ns {
                return None;
            }
            // Without memory the timers stay where they are; they are still due in the next turn.
            self.run.try_reserve(self.slot(place).len as usize).ok()?;
            self.open(place);
        }
    }

    /// The time to wake for: nothing is due before it. `None` when no timer will ever be due.
    ///
    /// It is the first deadline, or, where that one was cancelled, at times a little before the next. Then
    /// [`Wheel::pop_due`] at that time gives nothing, and a later time is named here. Takes constant time.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// assert_eq!(wheel.next_wake_ns(), None);
    /// wheel.insert(700, ());
    /// assert_eq!(wheel.next_wake_ns(), Some(700));
    /// ```
    #[must_use]
    pub fn next_wake_ns(&self) -> Option<u64> {
        match self.head() {
            Some(record) => Some(record.deadline_ns),
            None => self.first_place().map(|place| self.slot(place).earliest_ns),
        }
    }

    /// The first deadline, exactly; `None` when no timer will ever be due.
    ///
    /// Walks one slot when the first timer in it was cancelled since; constant otherwise.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// let first = wheel.insert(1_000_001, ());
    /// wheel.insert(1_000_002, ());
    /// wheel.cancel(first);
    /// assert_eq!(wheel.next_deadline_ns(), Some(1_000_002));
    /// ```
    pub fn next_deadline_ns(&mut self) -> Option<u64> {
        if let Some(record) = self.head() {
            return Some(record.deadline_ns);
        }
        let place = self.first_place()?;
        let Slot {
            head,
            exact,
            earliest_ns,
            ..
        } = *self.slot(place);
        if exact {
            return Some(earliest_ns);
        }
        let earliest_ns = self.walk(head).map(|(_, timer)| timer.deadline_ns).min()?;
        let slot = self.levels[place.level as usize].slot_mut(place.slot);
        slot.earliest_ns = earliest_ns;
        slot.exact = true;
        Some(earliest_ns)
    }

    /// How many timers there are.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// wheel.insert(1, ());
    /// assert_eq!(wheel.len(), 1);
    /// ```
    #[must_use]
    pub const fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether there is no timer.
    ///
    /// ```
    /// assert!(maypole_core::Wheel::<()>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Walks over the items of all timers, in no order that means anything.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// wheel.insert(1, "item");
    /// assert_eq!(wheel.iter().collect::<Vec<_>>(), [&"item"]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.timers.iter().map(|(_, timer)| &timer.item)
    }

    /// Takes the items of up to `count` timers out, in no order, and needs no memory but for them.
    ///
    /// `from` is 0 at first, and is where the next call goes on.
    ///
    /// ```
    /// let (mut wheel, mut from) = (maypole_core::Wheel::new(), 0);
    /// wheel.insert(2, "timer");
    /// assert_eq!(wheel.drain_some(&mut from, 8), ["timer"]);
    /// assert!(wheel.drain_some(&mut from, 8).is_empty());
    /// ```
    #[must_use = "the items are handed over to be dropped by the caller"]
    pub fn drain_some(&mut self, from: &mut u32, count: usize) -> Vec<T> {
        let mut items = Vec::with_capacity(count.min(self.len()));
        while items.len() < count
            && let Some(key) = self.timers.first_from(*from)
        {
            *from = key.index() + 1;
            items.extend(self.cancel(key));
        }
        items
    }

    /// Takes the items of all timers out, in the order they would have fired.
    ///
    /// ```
    /// let mut wheel = maypole_core::Wheel::new();
    /// wheel.insert(2, "b");
    /// wheel.insert(1, "a");
    /// assert_eq!(wheel.drain(), ["a", "b"]);
    /// assert!(wheel.is_empty());
    /// ```
    #[must_use = "the items are handed over to be dropped by the caller"]
    pub fn drain(&mut self) -> Vec<T> {
        self.levels.fill(Level::EMPTY);
        self.occupied = 0;
        self.run.clear();
        self.late.clear();
        let mut timers = self.timers.drain();
        timers.sort_unstable_by_key(|timer| (timer.deadline_ns, timer.sequence));
        timers.into_iter().map(|timer| timer.item).collect()
    }

    fn hang(&mut self, index: u32, place: Place, deadline_ns: u64) {
        self.occupied |= 1 << place.level;
        let next = self.levels[place.level as usize].push(place.slot, index, deadline_ns);
        if let Some(neighbour) = self.timers.at_mut(next) {
            neighbour.previous = index;
        }
        if let Some(timer) = self.timers.at_mut(index) {
            timer.home = Home::Hangs(place);
            timer.next = next;
            timer.previous = NIL;
        }
    }

    fn unhang(&mut self, place: Place, deadline_ns: u64, next: u32, previous: u32) {
        if let Some(neighbour) = self.timers.at_mut(next) {
            neighbour.previous = previous;
        }
        let level = &mut self.levels[place.level as usize];
        match self.timers.at_mut(previous) {
            Some(neighbour) => neighbour.next = next,
            None => level.slot_mut(place.slot).head = next,
        }
        level.left(place.slot, deadline_ns);
        if level.is_empty() {
            self.occupied &= !(1 << place.level);
        }
    }

    /// Moves the timers of the first slot on: into `run` when they are all due or the slot is short and narrow,
    /// else into finer slots.
    fn open(&mut self, place: Place) {
        let (_, last_ns) = place.span(self.base_ns);
        let level = &mut self.levels[place.level as usize];
        let slot = level.take(place.slot);
        if level.is_empty() {
            self.occupied &= !(1 << place.level);
        }
        let sort = place.level <= SORT_LEVEL_MAX && slot.len <= SORT_LEN_MAX;
        self.base_ns = if sort { last_ns } else { last_ns.min(self.now_ns) };
        let mut index = slot.head;
        while let Some(timer) = self.timers.at_mut(index) {
            let Timer {
                deadline_ns,
                sequence,
                next,
                ..
            } = *timer;
            if deadline_ns <= self.base_ns {
                timer.home = Home::Run;
                self.run.push_back(Record {
                    deadline_ns,
                    sequence,
                    index,
                });
            } else {
                self.hang(index, Place::of(deadline_ns, self.base_ns), deadline_ns);
            }
            index = next;
        }
        self.run.make_contiguous().sort_unstable();
    }

    /// The first of what was opened and is alive.
    #[inline]
    fn head(&self) -> Option<Record> {
        match (self.run.front(), self.late.first()) {
            (Some(run), Some(late)) => Some(*run.min(late)),
            (run, late) => run.or(late).copied(),
        }
    }

    fn take_head(&mut self, record: Record) -> Option<(u64, T)> {
        let timer = self.timers.remove_at(record.index)?;
        if matches!(timer.home, Home::Late) {
            self.late.remove(&record);
        } else {
            self.run.pop_front();
            self.skip_dead();
        }
        Some((timer.deadline_ns, timer.item))
    }

    /// Drops the records of cancelled timers from the front of the run.
    fn skip_dead(&mut self) {
        while let Some(record) = self.run.front()
            && self
                .timers
                .at(record.index)
                .is_none_or(|timer| timer.sequence != record.sequence)
        {
            self.run.pop_front();
        }
    }

    /// The earliest slot that holds a timer: in the finest level that has one, the first.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a level is below 11")]
    fn first_place(&self) -> Option<Place> {
        let level = self.occupied.trailing_zeros() as u8;
        self.levels.get(level as usize).map(|found| Place {
            level,
            slot: found.first(),
        })
    }

    fn slot(&self, place: Place) -> &Slot {
        self.levels[place.level as usize].slot(place.slot)
    }

    fn walk(&self, head: u32) -> impl Iterator<Item = (u32, &Timer<T>)> {
        let mut index = head;
        std::iter::from_fn(move || {
            let timer = self.timers.at(index)?;
            Some((std::mem::replace(&mut index, timer.next), timer))
        })
    }
}
